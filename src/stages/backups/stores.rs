//! One store of backups: listed on a period, its archives read one at a time. I/O: through velero's store and library, credential files.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    choose::{self, Outcome, Wanted, ended, why_unread},
    restores::Shelf,
};
use crate::{
    config::{SecretSource, Store},
    object::Text,
    velero::{
        Damage, FileBackup, Library,
        assess::DATA_GONE,
        beside::{MAX_BYTES, SideFile},
        custom,
        store::{
            Bucket, Coordinates, Listed, StoreError, StoredFile,
            error::Fault,
            feed::{Feed, Open},
            listing::MARKER,
        },
    },
    witness::{Failure, Live, RestoreFiles, SideFiles},
};

/// Bytes of a Backup object; the API server takes none larger than 3 MiB.
const MAX_MARKER: u64 = 4 << 20;

/// Backup objects that are fetched at once.
pub(super) const AT_ONCE: usize = 8;

/// One backup in the store.
struct Stored {
    listed: Listed,
    /// The Backup object, for the tag it was read at.
    object: Result<(Value, custom::Backup), Failure>,
    outcome: Outcome,
    side: SideFiles,
}

/// One store.
pub(super) struct StoreStage {
    store: Store,
    bucket: Option<(Coordinates, Bucket)>,
    listed: Option<Timestamp>,
    tried: Option<Timestamp>,
    backups: BTreeMap<Text, Stored>,
    restores: Shelf,
    /// Why the newest listing failed, if it did. What was listed before stays.
    failure: Option<Failure>,
}

/// One read of an archive: the location, and the reason if it failed.
pub(super) type Read = (Option<Text>, Option<Text>);

fn secret(source: &SecretSource) -> Result<String, Fault> {
    match source {
        SecretSource::File(path) => {
            std::fs::read_to_string(path).map_err(|e| Fault::Credentials(format!("cannot read the credentials {}: {e}", path.display())))
        }
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| Fault::Credentials(format!("the environment variable {name} with the credentials is not set")))
        }
    }
}

impl StoreStage {
    pub fn new(store: Store) -> Self {
        Self { store, bucket: None, listed: None, tried: None, backups: BTreeMap::new(), restores: Shelf::default(), failure: None }
    }

    /// When the store was last listed.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.listed
    }

    /// Why nothing is known of it, if so.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn location<'l>(&self, live: &'l Live, namespace: &str) -> Option<&'l Value> {
        let name = self.store.location.as_deref()?;
        let own = |(id, _): &(&crate::object::ObjectId, &Arc<Value>)| {
            id.gk.is("velero.io", "BackupStorageLocation") && &*id.name == name && id.namespace.as_deref() == Some(namespace)
        };
        live.controllers.iter().find(own).map(|(_, object)| &**object)
    }

    /// Opens the store; anew when its location or its credentials changed, so that rotation needs no restart.
    fn open(&mut self, location: Option<&Value>) -> Result<Bucket, StoreError> {
        // A cluster that cannot be read now has not moved its bucket.
        let at = match (Coordinates::of(&self.store, location), &self.bucket) {
            (Ok(at), _) => at,
            (Err(_), Some((at, _))) if location.is_none() => at.clone(),
            (Err(e), _) => return Err(e),
        };
        let fail = |fault| StoreError::new(&at.shown(), fault);
        let text = self.store.credentials.as_ref().map(secret).transpose().map_err(fail)?;
        let ca = match &self.store.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|e| fail(Fault::Setup(format!("cannot read ca_file {}: {e}", path.display()))))?),
            None => None,
        };
        let bucket = Bucket::open(&at, text.as_deref(), ca.as_deref())?;
        self.bucket = Some((at, bucket.clone()));
        Ok(bucket)
    }

    /// Lists the store if that is due.
    pub async fn list(&mut self, live: &Live, namespace: &str, period: SignedDuration, now: Timestamp) {
        if self.tried.is_some_and(|at| now.duration_since(at) < period) {
            return;
        }
        self.tried = Some(now);
        let outcome = match self.open(self.location(live, namespace)) {
            Ok(bucket) => self.look(&bucket).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(()) => (self.listed, self.failure) = (Some(now), None),
            Err(e) => {
                let failure = Failure::from(&e);
                if self.failure.as_ref() != Some(&failure) {
                    tracing::warn!(reason = e.kind(), "{e}");
                }
                self.failure = Some(failure);
            }
        }
    }

    async fn look(&mut self, bucket: &Bucket) -> Result<(), StoreError> {
        use futures::StreamExt as _;
        let listed = bucket.list().await?;
        let known = |name: &Text, listed: &Listed| {
            self.backups.get(name).is_some_and(|known| known.object.is_ok() && known.listed.marker() == listed.marker())
        };
        let fetch: Vec<Text> = listed.iter().filter(|(name, l)| l.marker().is_some() && !known(name, l)).map(|(name, _)| name.clone()).collect();
        let fetched = futures::stream::iter(fetch).map(async |name| (name.clone(), bucket.small(&name, MARKER, MAX_MARKER).await));
        let mut fetched: BTreeMap<Text, Result<Vec<u8>, StoreError>> = fetched.buffer_unordered(AT_ONCE).collect().await;
        // One that cannot be read is its backup's matter, unless the store as a whole stopped to answer.
        if let Some(Err(e)) = fetched.values().find(|f| f.as_ref().is_err_and(|e| e.is_passing() || e.kind() == "store_unauthenticated")) {
            return Err(e.clone());
        }
        let mut before = std::mem::take(&mut self.backups);
        for (name, listed) in listed.into_iter().filter(|(_, l)| l.marker().is_some()) {
            let old = before.remove(&name);
            let object = match fetched.remove(&name) {
                Some(bytes) => bytes.map_err(|e| Failure::from(&e)).and_then(|bytes| marker(&name, &bytes)),
                None => old.as_ref().map_or_else(|| Err(Failure::new("backup_bad_object", "")), |o| o.object.clone()),
            };
            // Another archive under the same name is not the one that was read.
            let same = |o: &Stored| o.listed.archive(&name) == listed.archive(&name);
            let (outcome, side) = old.filter(same).map(|o| (o.outcome, o.side)).unwrap_or_default();
            self.backups.insert(name, Stored { listed, object, outcome, side });
        }
        self.restores.look(bucket).await
    }

    /// Reads the archive that is wanted most, if there is one that is wanted. Says what it read.
    pub async fn read(&mut self, library: &Library, asked: Wanted, live_cluster: Option<&str>) -> Option<Read> {
        let (name, file) = self.wanted(asked)?;
        let (_, bucket) = self.bucket.as_ref()?;
        let outcome = match bucket.archive(&name, &file) {
            Ok(open) => {
                let key = format!("store {} {name} {} {}", bucket.place(), file.size, file.tag);
                let origin = format!("{}/backups/{name}/{name}.tar.gz", bucket.place());
                take(library, key, origin, open, live_cluster, asked.now).await
            }
            Err(e) => Outcome::Failed(Failure::from(&e), asked.now),
        };
        let failed = outcome.content(|| Failure::new("not_needed", "")).err().map(|f| f.reason);
        let stored = self.backups.get(&name)?;
        let side = beside(bucket, &name, &stored.listed, stored.object.as_ref().map_or("", |(_, b)| &b.phase)).await;
        if let Some(stored) = self.backups.get_mut(&name) {
            (stored.outcome, stored.side) = (outcome, side);
        }
        Some((self.store.location.clone(), failed))
    }

    /// Whether it is a storage location of the cluster: then Velero brings what lies in it into the cluster as Backups.
    pub fn is_a_location(&self) -> bool {
        self.store.location.is_some()
    }

    /// Whether there is more to read.
    pub fn has_more(&self, asked: Wanted) -> bool {
        self.wanted(asked).is_some()
    }

    fn wanted(&self, asked: Wanted) -> Option<(Text, StoredFile)> {
        let there = |(name, s): (&Text, &Stored)| s.listed.archive(name).is_some() && s.object.is_ok();
        let all: Vec<(&Text, &Stored)> = self.backups.iter().filter(|(n, s)| there((n, s))).collect();
        let outcomes: Vec<(&custom::Backup, &Outcome)> =
            all.iter().filter_map(|(_, s)| s.object.as_ref().ok().map(|(_, backup)| (backup, &s.outcome))).collect();
        let (name, stored) = all[choose::next(&outcomes, asked)?];
        Some((name.clone(), stored.listed.archive(name)?.clone()))
    }

    /// What restores did, as far as it lies there.
    pub fn restores(&self) -> impl Iterator<Item = &RestoreFiles> {
        self.restores.tell()
    }

    /// What the store says, for the join with the cluster. `claimed` are the cluster's finished backups of this very location.
    pub fn tell(&self, claimed: &[custom::Backup], asked: Wanted) -> Vec<FileBackup> {
        let next = self.wanted(asked).map(|(name, _)| name);
        let place = self.bucket.as_ref().map_or_else(String::new, |(at, _)| at.shown());
        let mut told: Vec<FileBackup> = self.backups.iter().map(|(name, s)| s.tell(name, &place, next.as_ref() == Some(name))).collect();
        let lost = |b: &&custom::Backup| ended(b) && self.store.location.is_some() && b.location == self.store.location;
        for backup in claimed.iter().filter(lost).filter(|b| !self.backups.contains_key(&b.head.name)) {
            let (content, damage) = match (&self.failure, self.listed) {
                (Some(failure), None) => (failure.clone(), None),
                (_, None) => continue,
                // What came after the last listing cannot be in it.
                (_, Some(at)) if backup.completed.is_none_or(|c| c > at) => continue,
                (_, Some(_)) => {
                    let what = format!("its data is gone: {place} holds no backups/{}/{MARKER}", backup.head.name);
                    (Failure::new(DATA_GONE, what), None)
                }
            };
            told.push(FileBackup {
                name: backup.head.name.clone(),
                object: None,
                start: backup.start,
                content: Err(content),
                damage,
                cluster_uid: None,
                side: SideFiles::default(),
            });
        }
        told
    }
}

impl Stored {
    fn tell(&self, name: &Text, place: &str, chosen: bool) -> FileBackup {
        let (object, backup) = match &self.object {
            Ok((object, backup)) => (Some(object.clone()), Some(backup)),
            Err(_) => (None, None),
        };
        let gone = self.listed.archive(name).is_none() && backup.is_some_and(ended);
        let (content, damage) = match &self.object {
            Err(failure) => (Err(failure.clone()), None),
            Ok(_) if gone => {
                let what = format!("its data is gone: {place} holds no backups/{name}/{name}.tar.gz");
                (Err(Failure::new(DATA_GONE, what)), None)
            }
            Ok(_) => (self.outcome.content(|| why_unread(backup, chosen)), self.outcome.damage()),
        };
        let (cluster_uid, side) = (self.outcome.cluster_uid(), self.side.clone());
        FileBackup { name: name.clone(), object, start: None, content, damage, cluster_uid, side }
    }
}

/// What Velero wrote beside an archive. What the listing does not hold is not there.
async fn beside(bucket: &Bucket, backup: &str, listed: &Listed, phase: &str) -> SideFiles {
    let mut side = SideFiles::default();
    for file in SideFile::ALL.into_iter().filter(|f| f.matters(phase)) {
        let name = file.name(backup);
        if !listed.files.contains_key(&name) {
            side.take(file, &name, Ok(None));
            continue;
        }
        match bucket.small(backup, &name, MAX_BYTES).await {
            Ok(bytes) => side.take(file, &name, Ok(Some(&bytes))),
            Err(e) => side.take(file, &name, Err(Failure::from(&e))),
        }
    }
    side
}

/// The Backup object in a bucket.
fn marker(name: &Text, bytes: &[u8]) -> Result<(Value, custom::Backup), Failure> {
    let bad = |what: String| Failure::new("backup_bad_object", format!("backups/{name}/{MARKER}: {what}"));
    let value: Value = serde_json::from_slice(bytes).map_err(|e| bad(format!("it is not JSON at line {}, column {}", e.line(), e.column())))?;
    match custom::read_backup(&value) {
        Some(backup) if backup.head.name == *name => Ok((value, backup)),
        Some(other) => Err(bad(format!("it is of backup {}", other.head.name))),
        None => Err(bad("it is not of kind Backup of velero.io, or has no name".to_owned())),
    }
}

/// Reads an archive that can be opened again after a break.
pub(super) async fn take(library: &Library, key: String, origin: String, file: Arc<dyn Open>, live_cluster: Option<&str>, now: Timestamp) -> Outcome {
    if let Some(archive) = library.find(&key) {
        return Outcome::of(archive, live_cluster);
    }
    // What came damaged is read once more: only what is damaged twice was not damaged on its way.
    let mut again = true;
    loop {
        let (feed, verdict) = Feed::start(file.clone(), library.limits().time);
        let (library, key, origin) = (library.clone(), key.clone(), origin.clone());
        let work = tokio::task::spawn_blocking(move || library.read(&key, &origin, feed));
        return match (work.await, verdict.error()) {
            (Ok(Ok(archive)), _) => Outcome::of(archive, live_cluster),
            // The store's own failure says more than that the stream broke off.
            (_, Some(e)) => Outcome::Failed(Failure::from(&e), now),
            (Ok(Err(e)), None) if e.is_damage() && std::mem::take(&mut again) => continue,
            (Ok(Err(e)), None) if e.cannot_be_unpacked() => Outcome::Damaged(Failure::from(&e), Damage::Stored(e.what())),
            (Ok(Err(e)), None) if e.is_damage() => Outcome::Damaged(Failure::from(&e), Damage::Copy(e.what())),
            (Ok(Err(e)), None) => Outcome::Failed(Failure::from(&e), now),
            (Err(_), None) => Outcome::Failed(Failure::new("internal", "reading the archive was stopped"), now),
        };
    }
}
