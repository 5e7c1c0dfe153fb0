//! Backups given as files: found anew when they change, their archives read one at a time. I/O: reads files and folders, through velero.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

use super::{
    super::mark::Mark,
    choose::{Outcome, why_unread},
};
use crate::{
    config::BackupFile,
    object::{ObjectId, Text},
    velero::{
        FileBackup, Library,
        files::{self, Found},
    },
    witness::{Failure, Live, RestoreFiles},
};

/// How to have an older archive read.
const BY_PATH: &str = "give this archive by its own path to have it read";

/// What was given.
#[derive(Default)]
pub(super) struct FileStage {
    given: Vec<BackupFile>,
    /// What was found, for this mark.
    known: Option<(Mark, Vec<Found>, Vec<RestoreFiles>)>,
    outcomes: BTreeMap<PathBuf, Outcome>,
    cluster: Option<Text>,
}

impl FileStage {
    pub fn new(given: Vec<BackupFile>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Whether anything was found at all, be it nothing.
    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Looks whether the files changed, and finds them anew if so.
    ///
    /// # Errors
    /// What was asked for is wrong. What was found before stays.
    pub async fn look(&mut self, live: &Live, namespace: &Text) -> Result<(), Failure> {
        if self.given.is_empty() {
            return Ok(());
        }
        if self.cluster != live.cluster_uid {
            // Whose an archive is, is asked again.
            self.outcomes.clear();
            self.cluster.clone_from(&live.cluster_uid);
        }
        let own = |id: &ObjectId| id.gk.is("velero.io", "Backup") && id.namespace.as_ref() == Some(namespace);
        let backups = live.controllers.keys().filter(|id| own(id)).map(|id| id.name.clone()).collect();
        let (given, around) = (self.given.clone(), files::Around { backups });
        let known = self.known.as_ref().map(|(mark, ..)| mark.clone());
        let work = move || {
            // The Backup object beside an archive that was given by its own path counts too.
            let mark = Mark::of(given.iter().flat_map(|b| [b.path.clone(), b.path.with_file_name(files::MARKER)]));
            if known.is_some_and(|m| m == mark) {
                return Ok(None);
            }
            let found = files::find(&given, &around).map_err(|e| Failure::new(e.kind(), e.to_string()))?;
            let restores = given.iter().flat_map(|b| files::restores(&b.path)).collect();
            Ok(Some((mark, found, restores)))
        };
        let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::new("internal", "reading archives was stopped")));
        if let Some(known) = outcome? {
            // An archive that did not change is found in the library.
            self.outcomes.clear();
            self.known = Some(known);
        }
        Ok(())
    }

    fn found(&self) -> &[Found] {
        self.known.as_ref().map(|(_, found, _)| &**found).unwrap_or_default()
    }

    /// What the files say, for the join with the cluster.
    pub fn tell(&self) -> impl Iterator<Item = FileBackup> {
        self.found().iter().map(|found| {
            let outcome = self.outcomes.get(&found.archive).unwrap_or(&Outcome::Unread);
            let phase = found.backup().map(|b| b.phase).unwrap_or_default();
            let unread = || found.failure.clone().unwrap_or_else(|| why_unread(&phase, BY_PATH));
            found.tell(outcome.content(unread), outcome.damage(), outcome.cluster_uid())
        })
    }

    /// What came of reading the archive at this place of what is told, and whether it was asked for by name; `None` if it cannot be read.
    pub fn readable(&self, at: usize) -> Option<(&Outcome, bool)> {
        let found = self.found().get(at).filter(|f| f.failure.is_none())?;
        Some((self.outcomes.get(&found.archive).unwrap_or(&Outcome::Unread), found.asked_for))
    }

    /// Reads the archive at this place. Says why not, if it failed.
    pub async fn read(&mut self, at: usize, library: &Library, now: Timestamp) -> Option<Text> {
        let path = self.found().get(at)?.archive.clone();
        let (place, library) = (path.clone(), library.clone());
        let opened = tokio::task::spawn_blocking(move || files::open(&place, &library)).await;
        let outcome = match opened {
            Ok(Ok(archive)) => Outcome::of(archive, self.cluster.as_deref()),
            Ok(Err((failure, Some(damage)))) => Outcome::Damaged(failure, damage),
            Ok(Err((failure, None))) => Outcome::Failed(failure, now),
            Err(_) => Outcome::Failed(Failure::new("internal", "reading the archive was stopped"), now),
        };
        let failed = outcome.content(|| Failure::new("not_needed", "")).err().map(|f| f.reason);
        self.outcomes.insert(path, outcome);
        failed
    }

    /// The restores that lie beside them.
    pub fn restores(&self) -> &[RestoreFiles] {
        self.known.as_ref().map(|(.., restores)| &**restores).unwrap_or_default()
    }
}
