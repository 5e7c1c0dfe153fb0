//! The backup stage: Velero's objects from the cluster or a dump, joined with archives on this machine. I/O: through velero, files.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::mark::Mark;
use crate::{
    config::Config,
    object::{ObjectId, Redactor, Text},
    velero::{self, FileBackup, files},
    witness::{BackedUp, Failure, Live},
};

/// Reads that were made in one run: the storage location (none for files), and the reason if it failed.
pub type Reads = Vec<(Option<Text>, Option<Text>)>;

/// What is remembered between runs.
pub struct BackupStage {
    config: Arc<Config>,
    redactor: Redactor,
    /// The archives as last read, for this mark and this cluster.
    read: Option<(Mark, Option<Text>, Vec<FileBackup>)>,
    last: Option<BackedUp>,
    moment: Option<Timestamp>,
}

impl BackupStage {
    /// A stage over one configuration.
    pub fn new(config: Arc<Config>, redactor: Redactor) -> Self {
        Self { config, redactor, read: None, last: None, moment: None }
    }

    /// Speaks of another moment than now: backups that had not ended then do not count.
    pub fn at(self, moment: Option<Timestamp>) -> Self {
        Self { moment, ..self }
    }

    /// Reads archives that changed, and judges every backup anew: time alone can end one.
    pub async fn run(&mut self, live: &Live, now: Timestamp) -> (BackedUp, Reads) {
        let mut reads = Reads::new();
        let failure = self.read_files(live, &mut reads).await.err();
        let namespace = &self.config.velero.namespace;
        // Namespaces are asked for their labels only; Velero's own objects must lie in the namespace that Velero watches.
        let controllers = live.controllers.iter().filter(|(id, _)| id.namespace.as_ref().is_none_or(|n| n == namespace));
        let namespaces: Vec<Value> = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace")).map(|(_, o)| o.content.value()).collect();
        let objects = controllers.map(|(_, object)| &**object).chain(&namespaces);
        let archives = self.read.as_ref().map(|(_, _, archives)| archives.clone()).unwrap_or_default();
        let uids = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace"));
        let uids = uids.filter_map(|(id, o)| Some((id.name.clone(), o.meta.uid.clone()?))).collect();
        let cluster = velero::Cluster { uid: live.cluster_uid.clone(), namespaces: uids, names: velero::Names::of(&live.kinds) };
        let mut backed_up = velero::assess(objects, archives, &cluster, now);
        if let Some(moment) = self.moment {
            velero::moment::seen_from(moment, &mut backed_up);
        }
        // Archives that could not be read may hold anything: nothing is known as of any moment, rather than "there is none".
        let blind = failure.is_some() && self.read.is_none();
        backed_up.as_of = if blind { None } else { live.as_of.or_else(|| self.read.is_some().then_some(now)) };
        backed_up.failure = failure.or_else(|| unread(live));
        if backed_up.failure.is_some() {
            // What was known stays known, marked with its age.
            if let Some(last) = self.last.as_ref().filter(|_| backed_up.backups.is_empty()) {
                backed_up = BackedUp { failure: backed_up.failure, ..last.clone() };
            }
        } else {
            self.last = Some(backed_up.clone());
        }
        (backed_up, reads)
    }

    async fn read_files(&mut self, live: &Live, reads: &mut Reads) -> Result<(), Failure> {
        let given = self.config.velero.backups.clone();
        if given.is_empty() {
            return Ok(());
        }
        let (limits, redactor) = (self.config.velero.limits, self.redactor.clone());
        let own = |id: &ObjectId| id.gk.is("velero.io", "Backup") && id.namespace.as_ref() == Some(&self.config.velero.namespace);
        let backups = live.controllers.keys().filter(|id| own(id)).map(|id| id.name.clone()).collect();
        let around = files::Around { cluster_uid: live.cluster_uid.clone(), backups, moment: self.moment };
        let uid = live.cluster_uid.clone();
        let known = self.read.as_ref().map(|(mark, uid, _)| (mark.clone(), uid.clone()));
        let work = move || {
            // The Backup object beside an archive that was given by its own path counts too.
            let mark = Mark::of(given.iter().flat_map(|b| [b.path.clone(), b.path.with_file_name(files::MARKER)]));
            if known.is_some_and(|(m, u)| m == mark && u == uid) {
                return Ok(None);
            }
            let archives = files::read(&given, &limits, &redactor, &around).map_err(|e| Failure::new(e.kind(), e.to_string()))?;
            Ok(Some((mark, uid, archives)))
        };
        let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::new("internal", "reading archives was stopped")));
        if let Some(read) = outcome? {
            reads.extend(read.2.iter().map(|b| (None, b.content.as_ref().err().map(|f| f.reason.clone()).filter(|r| &**r != "not_needed"))));
            self.read = Some(read);
        }
        Ok(())
    }
}

/// Why Velero's own objects may be missing from the view. A cluster that does not serve Velero's kinds has no Velero: no failure.
fn unread(live: &Live) -> Option<Failure> {
    use crate::witness::Listing;
    // They come from the cluster: while that cannot be read, neither can they, and what was known has its age.
    if live.as_of.is_none() || live.failure.is_some() {
        return live.failure.clone();
    }
    if let Some(failure) = live.broken_groups.get("velero.io") {
        return Some(failure.clone());
    }
    let backups = live.kinds.iter().find(|(gk, _)| gk.is("velero.io", "Backup"))?;
    match &backups.1.listing {
        Listing::Complete => None,
        Listing::Skipped(failure) | Listing::Failed(failure) => Some(failure.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::{File, Surroundings};

    async fn run(text: &str, live: &Live, now: Timestamp) -> BackedUp {
        let config = File::parse(text).and_then(|f| f.validate(&Surroundings { cache_dir: "/cache".into() })).expect("valid");
        BackupStage::new(Arc::new(config), Redactor::new([0; 32])).run(live, now).await.0
    }

    #[tokio::test]
    async fn what_was_never_read_is_known_as_of_no_moment() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let unread = Live { failure: Some(Failure::new("network", "no answer")), ..Live::default() };
        let read = Live { as_of: Some(now), discovered: true, ..Live::default() };
        let nothing = run("", &unread, now).await;
        assert!(nothing.as_of.is_none() && nothing.failure.is_some(), "no cluster and no archive: nobody knows of any backup");
        let missing = run("velero: {backups: [{file: /nowhere/b.tar.gz}]}", &read, now).await;
        assert!(missing.as_of.is_none() && missing.failure.is_some(), "an archive that cannot be found is no proof that there is none");
        let none = run("", &read, now).await;
        assert!(none.as_of == Some(now) && none.failure.is_none(), "a cluster without Velero has no backups");
    }
}
