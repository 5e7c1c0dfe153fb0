//! The backup stage: Velero's objects from the cluster or a dump, joined with archives from files, stores and Velero. I/O: through velero, files.

mod choose;
mod downloads;
mod given;
mod restores;
mod sides;
mod stores;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use self::{
    choose::{Candidate, NOT_YET_READ, Outcome, Wanted},
    downloads::DownloadStage,
    given::FileStage,
    stores::StoreStage,
};
use crate::{
    config::{Config, ReadBackups},
    object::{ObjectId, Redactor, Text},
    velero::{self, Assessed, FileBackup, Library, custom},
    witness::{BackedUp, Backup, BackupContent, Failure, Listing, Live, RestoreFiles},
};

/// Reads that were made in one run: the storage location (none for files), and the reason if it failed.
pub type Reads = Vec<(Option<Text>, Option<Text>)>;

/// Who told of an archive: its place among all that one told.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A file that was given.
    File(usize),
    /// A store, by its place in the configuration.
    Store(usize),
    /// Velero, asked by a DownloadRequest.
    Velero(usize),
}

/// All that is told of archives, joined with the cluster.
struct Judged {
    assessed: Assessed,
    /// Who told of each archive, and its name.
    told: Vec<(Source, Text)>,
    /// The cluster's backups that neither a file nor a store tells of.
    open: Vec<custom::Backup>,
}

impl Judged {
    fn backup(&self, told: usize) -> &Backup {
        &self.assessed.backed_up.backups[self.assessed.of_file[told]]
    }
}

/// What is remembered between runs.
pub struct BackupStage {
    config: Arc<Config>,
    library: Library,
    files: FileStage,
    stores: Vec<StoreStage>,
    downloads: Option<DownloadStage>,
    asked: restores::Asked,
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
        let files = FileStage::new(velero.backups.clone());
        Self { config, library, files, stores, downloads, asked: restores::Asked::default(), last: None, more: false, moment: None }
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
        let config = self.config.clone();
        let namespace = &config.velero.namespace;
        let failure = self.files.look(live, namespace).await.err();
        let own = live.controllers.iter().filter(|(id, _)| id.gk.is("velero.io", "Backup") && id.namespace.as_ref() == Some(namespace));
        let claimed: Vec<custom::Backup> = own.filter_map(|(_, object)| custom::read_backup(object)).collect();
        let period = SignedDuration::try_from(config.velero.interval).unwrap_or(SignedDuration::MAX);
        for store in &mut self.stores {
            store.list(live, namespace, &claimed, period, now).await;
        }
        let restores = self.read_restores(live, now).await;
        let mut reads = Reads::new();
        let mut judged = self.judge(live, &claimed, &restores, now);
        let mut again = false;
        // Files are near: they are all read at once.
        while let Some((_, at)) = self.next(&judged, now, |s| matches!(s, Source::File(_))) {
            let Source::File(n) = judged.told[at].0 else { break };
            reads.push((None, self.files.read(n, &self.library, now).await));
            judged = self.judge(live, &claimed, &restores, now);
        }
        for n in 0..self.stores.len() {
            if let Some((name, _)) = self.next(&judged, now, |s| matches!(s, Source::Store(m) if m == n)) {
                reads.extend(self.stores[n].read(&name, &self.library, live.cluster_uid.as_deref(), now).await);
                again = true;
            }
            again |= self.stores[n].read_beside(now).await;
        }
        again |= self.ask_velero(&judged, live, &mut reads, now).await;
        if again {
            judged = self.judge(live, &claimed, &restores, now);
        }
        let wait = self.mark_next(&mut judged, now);
        self.more = wait || self.stores.iter().any(|s| s.has_more(now)) || self.velero_has_more(&judged, now);
        let answers = self.downloads.as_ref().is_some_and(|d| !d.is_silent(now));
        self.more |= answers && self.asked.has_more(&restores::untold(live, namespace, &restores), now);
        (self.conclude(judged.assessed.backed_up, live, failure, now), reads)
    }

    /// What is known, with as of when and why not more.
    fn conclude(&mut self, mut backed_up: BackedUp, live: &Live, failure: Option<Failure>, now: Timestamp) -> BackedUp {
        // Archives that could not be read may hold anything: nothing is known as of any moment, rather than "there is none".
        let blind = failure.is_some() && !self.files.is_known();
        let listed = self.stores.iter().filter_map(StoreStage::as_of).max();
        // A store of which nothing is known may hold anything as well, and newer than all that is known, unless it is a location of which the
        // cluster says what backups there are.
        let told = |s: &StoreStage| s.is_a_location() && lists_backups(live);
        let unlisted = self.stores.iter().find(|s| s.as_of().is_none() && !told(s)).and_then(StoreStage::failure).cloned();
        let blind = blind || unlisted.is_some();
        // One that was listed and is gone since may hold what came after.
        let gone = self.stores.iter().filter(|s| s.failure().is_some() && !told(s)).filter_map(StoreStage::as_of).min();
        let known = live.as_of.or(listed).or_else(|| self.files.is_known().then_some(now));
        backed_up.as_of = if blind { None } else { known.map(|at| gone.map_or(at, |gone| gone.min(at))) };
        let away = self.stores.iter().find_map(StoreStage::failure).cloned();
        backed_up.failure = failure.or(unlisted).or_else(|| unread(live)).or(away);
        if backed_up.failure.is_some() {
            // What was known stays known, marked with its age.
            if let Some(last) = self.last.as_ref().filter(|_| backed_up.backups.is_empty()) {
                backed_up = BackedUp { failure: backed_up.failure, ..last.clone() };
            }
        } else {
            self.last = Some(backed_up.clone());
        }
        backed_up
    }

    /// All that is told of archives, joined with the cluster: what each backup is good for, as far as is known.
    fn judge(&mut self, live: &Live, claimed: &[custom::Backup], restores: &[RestoreFiles], now: Timestamp) -> Judged {
        let namespace = &self.config.velero.namespace;
        let mut told: Vec<(Source, FileBackup)> = self.files.tell().enumerate().map(|(n, t)| (Source::File(n), t)).collect();
        let files = told.len();
        for (n, store) in self.stores.iter().enumerate() {
            told.extend(store.tell(claimed).into_iter().map(|t| (Source::Store(n), t)));
        }
        // A file wins over a store, and both over Velero: that is asked only of what nobody tells of, or whose store does not answer.
        let mut stored = told.split_off(files);
        stored.retain(|(_, t)| !told.iter().any(|(_, given)| given.name == t.name));
        let mut open = Vec::new();
        if let Some(downloads) = &mut self.downloads {
            let says = [velero::assess::DATA_GONE, NOT_YET_READ];
            let silent = |t: &FileBackup| t.object.is_none() && t.content.as_ref().is_err_and(|f| !says.contains(&&*f.reason));
            let known = |b: &custom::Backup| {
                told.iter().any(|(_, t)| t.name == b.head.name) || stored.iter().any(|(_, t)| t.name == b.head.name && !silent(t))
            };
            open = claimed.iter().filter(|b| !known(b)).cloned().collect();
            downloads.keep(&open);
        }
        let asked = |name: &Text| open.iter().any(|b| b.head.name == *name);
        told.extend(stored.into_iter().filter(|(_, t)| !asked(&t.name)));
        let answers = self.downloads.as_ref().map(|d| d.tell(&open)).unwrap_or_default();
        told.extend(answers.into_iter().enumerate().map(|(n, t)| (Source::Velero(n), t)));

        // Namespaces are asked for their labels only; Velero's own objects must lie in the namespace that Velero watches.
        let controllers =
            live.controllers.iter().filter(|(id, _)| &*id.gk.group != "velero.io" || id.namespace.as_ref().is_none_or(|n| n == namespace));
        let namespaces: Vec<Value> = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace")).map(|(_, o)| o.content.value()).collect();
        let objects = controllers.map(|(_, object)| &**object).chain(&namespaces);
        let uids = live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace"));
        let uids = uids.filter_map(|(id, o)| Some((id.name.clone(), o.meta.uid.clone()?))).collect();
        let mut server = server(live, namespace);
        server.zone = self.config.velero.time_zone.clone().or(server.zone);
        let names = velero::Names::of(&live.kinds);
        let cluster = velero::Cluster { uid: live.cluster_uid.clone(), namespaces: uids, names, server, seen: live.as_of };
        let (who, told): (Vec<(Source, Text)>, Vec<FileBackup>) = told.into_iter().map(|(s, t)| ((s, t.name.clone()), t)).unzip();
        let mut assessed = velero::assess_each(objects, told, restores.to_vec(), &cluster, now);
        if let Some(moment) = self.moment {
            velero::moment::seen_from(moment, &mut assessed.backed_up);
        }
        Judged { assessed, told: who, open }
    }

    /// The archive that is wanted most of some sources: its name, and its place among what is told.
    fn next(&self, judged: &Judged, now: Timestamp, of: impl Fn(Source) -> bool) -> Option<(Text, usize)> {
        let mut places = Vec::new();
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        for (at, (source, name)) in judged.told.iter().enumerate().filter(|(_, (source, _))| of(*source)) {
            let readable: Option<(&Outcome, bool)> = match source {
                Source::File(n) => self.files.readable(*n),
                Source::Store(n) => self.stores[*n].readable(name).map(|o| (o, false)),
                Source::Velero(n) => self.downloads.as_ref().filter(|d| !d.is_silent(now)).map(|d| (d.readable(&judged.open[*n]), false)),
            };
            let Some((outcome, asked_for)) = readable else { continue };
            places.push(at);
            candidates.push(Candidate { backup: judged.backup(at), outcome, asked_for });
        }
        let at = places[choose::next(&candidates, Wanted { read: self.read_which(), now })?];
        Some((judged.told[at].1.clone(), at))
    }

    fn read_which(&self) -> ReadBackups {
        self.config.velero.read
    }

    /// Asks Velero for the archive that is wanted most, and for files beside archives. Says whether anything was asked.
    async fn ask_velero(&mut self, judged: &Judged, live: &Live, reads: &mut Reads, now: Timestamp) -> bool {
        let next = self.next(judged, now, |s| matches!(s, Source::Velero(_)));
        let counting = counting(judged);
        let Some(downloads) = &mut self.downloads else { return false };
        if let Some(Source::Velero(n)) = next.as_ref().map(|(_, at)| judged.told[*at].0) {
            reads.push(downloads.read(&judged.open[n], live, &self.library, now).await);
        }
        downloads.read_beside(&counting, live, now).await || next.is_some()
    }

    fn velero_has_more(&self, judged: &Judged, now: Timestamp) -> bool {
        self.downloads.as_ref().is_some_and(|d| d.has_more(&counting(judged), now))
    }

    /// Says at the archives that are read next that they are. Whether there are any.
    fn mark_next(&self, judged: &mut Judged, now: Timestamp) -> bool {
        let stores = (0..self.stores.len()).filter_map(|n| self.next(judged, now, |s| matches!(s, Source::Store(m) if m == n)));
        let all: Vec<(Text, usize)> = stores.chain(self.next(judged, now, |s| matches!(s, Source::Velero(_)))).collect();
        for (_, at) in &all {
            let row = judged.assessed.of_file[*at];
            let content = &mut judged.assessed.backed_up.backups[row].content;
            if matches!(content, BackupContent::Unread(f) if &*f.reason == "not_needed") {
                *content = BackupContent::Unread(Failure::new(NOT_YET_READ, "it is about to be read"));
            }
        }
        !all.is_empty()
    }

    /// What files, stores and Velero tell of restores; a file wins over a store, and both over Velero.
    async fn read_restores(&mut self, live: &Live, now: Timestamp) -> Vec<RestoreFiles> {
        let mut told = self.files.restores().to_vec();
        for files in self.stores.iter().flat_map(StoreStage::restores) {
            if !told.iter().any(|t| t.name == files.name) {
                told.push(files.clone());
            }
        }
        let Some(downloads) = &mut self.downloads else { return told };
        let open = restores::untold(live, &self.config.velero.namespace, &told);
        self.asked.read(downloads, &open, live, now).await;
        told.extend(self.asked.tell().cloned());
        told
    }
}

/// The backups that Velero is asked of and that count, newest first.
fn counting(judged: &Judged) -> Vec<&custom::Backup> {
    let asked = judged.told.iter().enumerate().filter_map(|(at, (source, _))| match source {
        Source::Velero(n) => Some((at, &judged.open[*n])),
        _ => None,
    });
    let mut backups: Vec<&custom::Backup> = asked.filter(|(at, _)| judged.backup(*at).state.usable()).map(|(_, b)| b).collect();
    backups.sort_by_key(|b| std::cmp::Reverse((b.start, b.head.name.clone())));
    backups
}

/// How Velero's server runs, as its Deployment tells.
fn server(live: &Live, namespace: &Text) -> velero::server::Server {
    let own = |id: &ObjectId| id.gk.is("apps", "Deployment") && id.namespace.as_ref() == Some(namespace);
    let deployments: Vec<Value> = live.objects.iter().filter(|(id, o)| own(id) && !o.meta.partial).map(|(_, o)| o.content.value()).collect();
    velero::server::Server::of(&deployments)
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
mod tests;
