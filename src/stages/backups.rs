//! The backup stage: Velero's objects from the cluster or a dump, joined with archives from files, stores and Velero. I/O: through velero, files.

mod choose;
mod downloads;
mod restores;
mod stores;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use self::{choose::Wanted, downloads::DownloadStage, stores::StoreStage};
use super::mark::Mark;
use crate::{
    config::Config,
    object::{ObjectId, Redactor, Text},
    velero::{self, FileBackup, Library, custom, files},
    witness::{BackedUp, Failure, Listing, Live, RestoreFiles},
};

/// Reads that were made in one run: the storage location (none for files), and the reason if it failed.
pub type Reads = Vec<(Option<Text>, Option<Text>)>;

/// What was read: for which marks and which cluster, the archives and the files of restores.
type Reading = (Mark, Option<Text>, Vec<FileBackup>, Vec<RestoreFiles>);

/// What is remembered between runs.
pub struct BackupStage {
    config: Arc<Config>,
    library: Library,
    stores: Vec<StoreStage>,
    downloads: Option<DownloadStage>,
    asked: restores::Asked,
    /// The archives as last read, for this mark and this cluster.
    read: Option<Reading>,
    last: Option<BackedUp>,
    more: bool,
    moment: Option<Timestamp>,
}

impl BackupStage {
    /// A stage over one configuration.
    pub fn new(config: Arc<Config>, redactor: Redactor) -> Self {
        let velero = &config.velero;
        let folder = config.cache_dir.join("backups");
        let library = Library::open(velero.reads_content().then_some(&*folder), velero.max_cache, velero.limits, redactor);
        let stores = velero.stores.iter().cloned().map(StoreStage::new).collect();
        let live = config.cluster.dump.is_none();
        let downloads = velero.downloads.clone().filter(|_| live).map(|d| DownloadStage::new(d, config.cluster.clone(), velero.namespace.clone()));
        Self { config, library, stores, downloads, asked: restores::Asked::default(), read: None, last: None, more: false, moment: None }
    }

    /// Whether archives wait to be read: each run reads one of every store, so that what was read is shown before the next.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Runs until nothing waits to be read.
    pub async fn run_through(&mut self, live: &Live, now: Timestamp) -> (BackedUp, Reads) {
        let (mut backed_up, mut reads) = self.run(live, now).await;
        while self.more {
            let (next, more) = self.run(live, now).await;
            backed_up = next;
            reads.extend(more);
        }
        (backed_up, reads)
    }

    /// Speaks of another moment than now: backups that had not ended then do not count.
    pub fn at(self, moment: Option<Timestamp>) -> Self {
        Self { moment, ..self }
    }

    /// Reads archives that changed, and judges every backup anew: time alone can end one.
    pub async fn run(&mut self, live: &Live, now: Timestamp) -> (BackedUp, Reads) {
        let mut reads = Reads::new();
        let failure = self.read_files(live, &mut reads).await.err();
        let config = self.config.clone();
        let namespace = &config.velero.namespace;
        // Namespaces are asked for their labels only; Velero's own objects must lie in the namespace that Velero watches.
        let controllers =
            live.controllers.iter().filter(|(id, _)| &*id.gk.group != "velero.io" || id.namespace.as_ref().is_none_or(|n| n == namespace));
        let namespaces: Vec<Value> = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace")).map(|(_, o)| o.content.value()).collect();
        let objects = controllers.map(|(_, object)| &**object).chain(&namespaces);
        let (mut archives, mut restores) =
            self.read.as_ref().map(|(_, _, archives, restores)| (archives.clone(), restores.clone())).unwrap_or_default();
        archives.extend(self.read_remote(live, &archives, now, &mut reads).await);
        self.read_restores(live, &mut restores, now).await;
        let uids = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace"));
        let uids = uids.filter_map(|(id, o)| Some((id.name.clone(), o.meta.uid.clone()?))).collect();
        let cluster = velero::Cluster { uid: live.cluster_uid.clone(), namespaces: uids, names: velero::Names::of(&live.kinds) };
        let mut backed_up = velero::assess(objects, archives, restores, &cluster, now);
        if let Some(moment) = self.moment {
            velero::moment::seen_from(moment, &mut backed_up);
        }
        // Archives that could not be read may hold anything: nothing is known as of any moment, rather than "there is none".
        let blind = failure.is_some() && self.read.is_none();
        let listed = self.stores.iter().filter_map(StoreStage::as_of).max();
        // A store of which nothing is known may hold anything as well, and newer than all that is known, unless it is a location of which the
        // cluster says what backups there are.
        let told = |s: &&StoreStage| s.is_a_location() && lists_backups(live);
        let unlisted = self.stores.iter().find(|s| s.as_of().is_none() && !told(s)).and_then(StoreStage::failure).cloned();
        let blind = blind || unlisted.is_some();
        backed_up.as_of = if blind { None } else { live.as_of.or(listed).or_else(|| self.read.is_some().then_some(now)) };
        backed_up.failure = failure.or(unlisted).or_else(|| unread(live));
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

    /// Looks at the stores and asks Velero; returns what they say of backups that no file tells of.
    async fn read_remote(&mut self, live: &Live, files: &[FileBackup], now: Timestamp, reads: &mut Reads) -> Vec<FileBackup> {
        let config = self.config.clone();
        let velero = &config.velero;
        let period = SignedDuration::try_from(velero.interval).unwrap_or(SignedDuration::MAX);
        let own = live.controllers.iter().filter(|(id, _)| id.gk.is("velero.io", "Backup") && id.namespace.as_ref() == Some(&velero.namespace));
        let claimed: Vec<custom::Backup> = own.filter_map(|(_, object)| custom::read_backup(object)).collect();
        let wanted = Wanted { read: velero.read, moment: self.moment, now };
        let mut told: Vec<FileBackup> = Vec::new();
        self.more = false;
        for store in &mut self.stores {
            store.list(live, &velero.namespace, period, now).await;
            reads.extend(store.read(&self.library, wanted, live.cluster_uid.as_deref()).await);
            self.more |= store.has_more(wanted);
            told.extend(store.tell(&claimed, wanted));
        }
        told.retain(|t| !files.iter().any(|f| f.name == t.name));
        if let Some(downloads) = &mut self.downloads {
            let known = |b: &custom::Backup| files.iter().chain(&told).any(|t| t.name == b.head.name && t.content.is_ok());
            let open: Vec<custom::Backup> = claimed.into_iter().filter(|b| !known(b)).collect();
            reads.extend(downloads.read(&open, live, &self.library, wanted).await);
            self.more |= downloads.has_more(&open, wanted);
            let answers = downloads.tell(&open, wanted);
            told.retain(|t| t.content.is_ok() || !answers.iter().any(|a| a.name == t.name));
            told.extend(answers);
        }
        told
    }

    /// Adds what stores and Velero tell of restores that no file tells of.
    async fn read_restores(&mut self, live: &Live, told: &mut Vec<RestoreFiles>, now: Timestamp) {
        for files in self.stores.iter().flat_map(StoreStage::restores) {
            if !told.iter().any(|t| t.name == files.name) {
                told.push(files.clone());
            }
        }
        let Some(downloads) = &mut self.downloads else { return };
        let open = restores::untold(live, &self.config.velero.namespace, told);
        self.asked.read(downloads, &open, live, now).await;
        self.more |= self.asked.has_more(&open, now);
        told.extend(self.asked.tell().cloned());
    }

    async fn read_files(&mut self, live: &Live, reads: &mut Reads) -> Result<(), Failure> {
        let given = self.config.velero.backups.clone();
        if given.is_empty() {
            return Ok(());
        }
        let library = self.library.clone();
        let own = |id: &ObjectId| id.gk.is("velero.io", "Backup") && id.namespace.as_ref() == Some(&self.config.velero.namespace);
        let backups = live.controllers.keys().filter(|id| own(id)).map(|id| id.name.clone()).collect();
        let around = files::Around { cluster_uid: live.cluster_uid.clone(), backups, moment: self.moment };
        let uid = live.cluster_uid.clone();
        let known = self.read.as_ref().map(|(mark, uid, ..)| (mark.clone(), uid.clone()));
        let work = move || {
            // The Backup object beside an archive that was given by its own path counts too.
            let mark = Mark::of(given.iter().flat_map(|b| [b.path.clone(), b.path.with_file_name(files::MARKER)]));
            if known.is_some_and(|(m, u)| m == mark && u == uid) {
                return Ok(None);
            }
            let archives = files::read(&given, &library, &around).map_err(|e| Failure::new(e.kind(), e.to_string()))?;
            let restores = given.iter().flat_map(|b| files::restores(&b.path)).collect();
            Ok(Some((mark, uid, archives, restores)))
        };
        let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::new("internal", "reading archives was stopped")));
        if let Some(read) = outcome? {
            reads.extend(read.2.iter().map(|b| (None, b.content.as_ref().err().map(|f| f.reason.clone()).filter(|r| &**r != "not_needed"))));
            self.read = Some(read);
        }
        Ok(())
    }
}

/// Whether the cluster, or the dump, says which Backups there are.
fn lists_backups(live: &Live) -> bool {
    let complete = |listing: &Listing| matches!(listing, Listing::Complete);
    live.as_of.is_some() && live.kinds.iter().any(|(gk, kind)| gk.is("velero.io", "Backup") && complete(&kind.listing))
}

/// Why Velero's own objects may be missing from the view. A cluster that does not serve Velero's kinds has no Velero: no failure.
fn unread(live: &Live) -> Option<Failure> {
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
