//! One store of backups: listed on a period, its archives read one at a time. I/O: through velero's store and library, credential files.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    choose::{AGAIN, NOT_YET_READ, Outcome, ended, why_unread},
    restores::Shelf,
    sides::Sides,
};
use crate::{
    config::{Provider, SecretSource, Store},
    object::Text,
    velero::{
        Damage, FileBackup, Library,
        archive::weight,
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

/// Bytes of all Backup objects of one store: they stay in memory. Those of ten thousand backups, as Velero writes them, fit.
const MAX_MARKERS: u64 = 64 << 20;

/// What one of them may take as a tree; one of Velero's takes some tens of kilobytes.
const MAX_WEIGHT: u64 = 32 << 20;

/// Small files that are fetched at once.
pub(super) const AT_ONCE: usize = 8;

/// Files beside archives that are fetched in one run, so that what was read is shown before the next.
const SIDES_A_RUN: usize = 128;

/// How to have an older archive read.
const ALL: &str = "`velero.read: all` has every one read";

/// One backup in the store.
struct Stored {
    listed: Listed,
    /// The Backup object, for the tag it was read at.
    object: Result<(Value, custom::Backup), Failure>,
    outcome: Outcome,
    sides: Sides,
}

/// One store.
pub(super) struct StoreStage {
    store: Store,
    bucket: Option<(Coordinates, Bucket)>,
    /// What it was opened with.
    with: (Option<String>, Option<Vec<u8>>),
    listed: Option<Timestamp>,
    tried: Option<Timestamp>,
    backups: BTreeMap<Text, Stored>,
    restores: Shelf,
    /// Backups that had ended, as the cluster says, before the newest listing began.
    ended_before: BTreeSet<Text>,
    /// Why the newest listing failed, if it did. What was listed before stays.
    failure: Option<Failure>,
    /// When it last did not answer for a small file: it is left alone for a while, unless it can be listed before.
    silent: Option<Timestamp>,
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
        Self {
            store,
            bucket: None,
            with: (None, None),
            listed: None,
            tried: None,
            backups: BTreeMap::new(),
            restores: Shelf::default(),
            ended_before: BTreeSet::new(),
            failure: None,
            silent: None,
        }
    }

    /// When the store was last listed.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.listed
    }

    /// Why the newest listing failed, if it did.
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

    /// Opens the store; anew when its location or its credentials changed or when it failed, so that rotation needs no restart. Else connections and
    /// tokens are used again.
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
        let with = (text, ca);
        // Opening a folder is how it is found to be there.
        let kept = at.provider != Provider::Folder && self.failure.is_none();
        let same = |(before, _): &&(Coordinates, Bucket)| kept && *before == at && self.with == with;
        if let Some((_, bucket)) = self.bucket.as_ref().filter(same) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::open(&at, with.0.as_deref(), with.1.as_deref())?;
        (self.bucket, self.with) = (Some((at, bucket.clone())), with);
        Ok(bucket)
    }

    /// Lists the store if that is due. `claimed` are the cluster's backups.
    pub async fn list(&mut self, live: &Live, namespace: &str, claimed: &[custom::Backup], period: SignedDuration, now: Timestamp) {
        if self.tried.is_some_and(|at| now.duration_since(at) < period) {
            return;
        }
        self.tried = Some(now);
        let outcome = match self.open(self.location(live, namespace)) {
            Ok(bucket) => self.look(&bucket).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(()) => {
                (self.listed, self.failure, self.silent) = (Some(now), None, None);
                self.ended_before = claimed.iter().filter(|b| ended(&b.phase)).map(|b| b.head.name.clone()).collect();
            }
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
        let beyond = beyond(&listed);
        let wanted = |name: &Text, l: &Listed| l.marker().is_some() && !known(name, l) && !beyond.contains(name);
        let fetch: Vec<Text> = listed.iter().filter(|(name, l)| wanted(name, l)).map(|(name, _)| name.clone()).collect();
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
                _ if beyond.contains(&name) => Err(too_many(&name)),
                Some(bytes) => bytes.map_err(|e| Failure::from(&e)).and_then(|bytes| marker(&name, &bytes)),
                None => old.as_ref().map_or_else(|| Err(Failure::new("backup_bad_object", "")), |o| o.object.clone()),
            };
            // Another archive under the same name is not the one that was read.
            let same = |o: &Stored| o.listed.archive(&name) == listed.archive(&name);
            let (unchanged, sides) = old.map(|o| (same(&o).then_some(o.outcome), o.sides)).unwrap_or_default();
            self.backups.insert(name, Stored { listed, object, outcome: unchanged.unwrap_or_default(), sides });
        }
        self.restores.look(bucket).await
    }

    /// Reads an archive. Says what it read.
    pub async fn read(&mut self, name: &Text, library: &Library, live_cluster: Option<&str>, now: Timestamp) -> Option<Read> {
        let file = self.backups.get(name)?.listed.archive(name)?.clone();
        let (_, bucket) = self.bucket.as_ref()?;
        let outcome = match bucket.archive(name, &file) {
            Ok(open) => {
                let key = format!("store {} {name} {} {}", bucket.place(), file.size, file.tag);
                let origin = format!("{}/backups/{name}/{name}.tar.gz", bucket.place());
                take(library, key, origin, open, live_cluster, now).await
            }
            Err(e) => Outcome::Failed(Failure::from(&e), now),
        };
        let failed = outcome.content(|| Failure::new("not_needed", "")).err().map(|f| f.reason);
        if let Some(stored) = self.backups.get_mut(name) {
            stored.outcome = outcome;
        }
        Some((self.store.location.clone(), failed))
    }

    /// Files beside archives that are due, newest backups first.
    fn due(&self, now: Timestamp) -> Vec<(Text, SideFile)> {
        if self.failure.is_some() || self.silent.is_some_and(|at| now.duration_since(at) < AGAIN) {
            return Vec::new();
        }
        let mut backups: Vec<(&Text, &Stored)> = self.backups.iter().collect();
        let start = |s: &Stored| s.object.as_ref().ok().and_then(|(_, b)| b.start);
        backups.sort_by_key(|(name, s)| std::cmp::Reverse((start(s), *name)));
        let of = |(name, stored): (&Text, &Stored)| -> Vec<(Text, SideFile)> {
            let Ok((_, backup)) = &stored.object else { return Vec::new() };
            let tag = |file: SideFile| stored.listed.files.get(&file.name(name)).map(|f| f.tag.clone());
            let read = !matches!(stored.outcome, Outcome::Unread | Outcome::Foreign(_));
            // The cluster may know that it has ended before the listing does: its archive is read then, and what it failed on must be known with it.
            let phase = match &*backup.phase {
                phase if ended(phase) => phase,
                _ if read => "PartiallyFailed",
                _ => return Vec::new(),
            };
            stored.sides.due(phase, read, now, tag).into_iter().map(|file| (name.clone(), file)).collect()
        };
        backups.into_iter().flat_map(of).collect()
    }

    /// Reads files beside archives that are due, not more than fit into a run. What the listing does not hold is not there.
    pub async fn read_beside(&mut self, now: Timestamp) -> bool {
        use futures::StreamExt as _;
        let Some((_, bucket)) = self.bucket.clone() else { return false };
        let due = self.due(now);
        let any = !due.is_empty();
        let tag = |name: &Text, file: SideFile| self.backups.get(name)?.listed.files.get(&file.name(name)).map(|f| f.tag.clone());
        let with_tag: Vec<(Text, SideFile, Option<String>)> = due.into_iter().map(|(name, file)| (name.clone(), file, tag(&name, file))).collect();
        let (there, absent): (Vec<_>, Vec<_>) = with_tag.into_iter().partition(|(.., tag)| tag.is_some());
        // That a file is not there costs no request.
        for (name, file, _) in absent {
            if let Some(stored) = self.backups.get_mut(&name) {
                stored.sides.take(file, &file.name(&name), None, Ok(None), now);
            }
        }
        let bucket = &bucket;
        let fetched = futures::stream::iter(there.into_iter().take(SIDES_A_RUN)).map(async |(name, file, tag)| {
            let bytes = bucket.small(&name, &file.name(&name), MAX_BYTES).await;
            (name, file, tag, bytes)
        });
        let mut fetched = fetched.buffer_unordered(AT_ONCE);
        while let Some((name, file, tag, bytes)) = fetched.next().await {
            let silent = bytes.as_ref().is_err_and(StoreError::is_passing);
            let bytes = bytes.map_err(|e| Failure::from(&e));
            if let Some(stored) = self.backups.get_mut(&name) {
                stored.sides.take(file, &file.name(&name), tag, bytes.as_ref().map(|b| Some(&**b)).map_err(Clone::clone), now);
            }
            if silent {
                self.silent = Some(now);
                break;
            }
        }
        any
    }

    /// Whether files beside archives wait to be read.
    pub fn has_more(&self, now: Timestamp) -> bool {
        self.bucket.is_some() && !self.due(now).is_empty()
    }

    /// What came of reading an archive; `None` if it cannot be read.
    pub fn readable(&self, name: &Text) -> Option<&Outcome> {
        let stored = self.backups.get(name)?;
        (stored.listed.archive(name).is_some() && stored.object.is_ok()).then_some(&stored.outcome)
    }

    /// Whether it is a storage location of the cluster: then Velero brings what lies in it into the cluster as Backups.
    pub fn is_a_location(&self) -> bool {
        self.store.location.is_some()
    }

    /// What restores did, as far as it lies there.
    pub fn restores(&self) -> impl Iterator<Item = &RestoreFiles> {
        self.restores.tell()
    }

    /// What the store says, for the join with the cluster. `claimed` are the cluster's backups: of those of this very location that it does not
    /// hold it says why.
    pub fn tell(&self, claimed: &[custom::Backup]) -> Vec<FileBackup> {
        let place = self.bucket.as_ref().map_or_else(String::new, |(at, _)| at.shown());
        let mut told: Vec<FileBackup> = self.backups.iter().map(|(name, s)| s.tell(name, &place)).collect();
        let own = |b: &&custom::Backup| ended(&b.phase) && self.store.location.is_some() && b.location == self.store.location;
        for backup in claimed.iter().filter(own).filter(|b| !self.backups.contains_key(&b.head.name)) {
            let name = &backup.head.name;
            // Velero says that a backup has ended after its files are there, so a listing that began later must have them.
            let content = match &self.failure {
                _ if self.ended_before.contains(name) => {
                    Failure::new(DATA_GONE, format!("its data is gone: {place} holds no backups/{name}/{MARKER}"))
                }
                Some(failure) => failure.clone(),
                None => Failure::new(NOT_YET_READ, "it ended after its store was last listed"),
            };
            told.push(FileBackup {
                name: name.clone(),
                object: None,
                start: backup.start,
                content: Err(content),
                damage: None,
                cluster_uid: None,
                side: SideFiles::default(),
            });
        }
        told
    }
}

impl Stored {
    fn tell(&self, name: &Text, place: &str) -> FileBackup {
        let (object, backup) = match &self.object {
            Ok((object, backup)) => (Some(object.clone()), Some(backup)),
            Err(_) => (None, None),
        };
        let phase = backup.map_or("", |b| &*b.phase);
        let gone = self.listed.archive(name).is_none() && ended(phase);
        let (content, damage) = match &self.object {
            Err(failure) => (Err(failure.clone()), None),
            Ok(_) if gone => {
                let what = format!("its data is gone: {place} holds no backups/{name}/{name}.tar.gz");
                (Err(Failure::new(DATA_GONE, what)), None)
            }
            Ok(_) => (self.outcome.content(|| why_unread(phase, ALL)), self.outcome.damage()),
        };
        let (cluster_uid, side) = (self.outcome.cluster_uid(), self.sides.files().clone());
        FileBackup { name: name.clone(), object, start: None, content, damage, cluster_uid, side }
    }
}

/// Backups whose objects are not read, because those that were written later fill what there is room for.
fn beyond(listed: &BTreeMap<Text, Listed>) -> BTreeSet<Text> {
    let mut markers: Vec<(&Text, &StoredFile)> = listed.iter().filter_map(|(name, l)| Some((name, l.marker()?))).collect();
    markers.sort_by_key(|(name, file)| std::cmp::Reverse((file.modified, *name)));
    let mut room = MAX_MARKERS;
    let fits = |file: &StoredFile, room: &mut u64| {
        // One that is too large by itself is refused when it is read, and takes no room.
        if file.size > MAX_MARKER {
            return true;
        }
        let left = room.checked_sub(file.size);
        *room = left.unwrap_or_default();
        left.is_some()
    };
    markers.into_iter().filter(|(_, file)| !fits(file, &mut room)).map(|(name, _)| name.clone()).collect()
}

fn too_many(name: &Text) -> Failure {
    let what =
        format!("backups/{name}/{MARKER} was not read: the Backup objects of this store that were written later have {MAX_MARKERS} bytes already");
    Failure::new("store_too_large", what)
}

/// The Backup object in a bucket.
fn marker(name: &Text, bytes: &[u8]) -> Result<(Value, custom::Backup), Failure> {
    let bad = |what: String| Failure::new("backup_bad_object", format!("backups/{name}/{MARKER}: {what}"));
    if weight::of(bytes) > MAX_WEIGHT {
        return Err(bad("it is made of more small parts than any Backup object".to_owned()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backup_objects_of_a_store_fill_no_more_than_their_room_and_the_latest_come_first() {
        let listed = |sizes: &[(&str, u64, i64)]| -> BTreeMap<Text, Listed> {
            let file = |size, second| StoredFile { size, tag: String::new(), etag: None, modified: Timestamp::from_second(second).expect("a time") };
            let of = |(name, size, second): &(&str, u64, i64)| {
                let files = [(MARKER.to_owned(), file(*size, *second))].into();
                (Text::from(*name), Listed { files })
            };
            sizes.iter().map(of).collect()
        };
        let beyond = |sizes: &[(&str, u64, i64)]| beyond(&listed(sizes)).iter().map(ToString::to_string).collect::<Vec<_>>();
        let full: Vec<(String, u64, i64)> = (0..16).map(|n| (format!("b{n}"), MAX_MARKER, 10 + n)).collect();
        let with = |more: &[(&str, u64, i64)]| {
            let full = full.iter().map(|(name, size, at)| (&**name, *size, *at));
            beyond(&full.chain(more.iter().copied()).collect::<Vec<_>>())
        };
        assert!(with(&[]).is_empty());
        assert_eq!(with(&[("a", 1, 1)]), ["a"], "the oldest has no room");
        assert_eq!(with(&[("z", 1, 99)]), ["b0"], "what was written last has");
        assert!(with(&[("huge", MAX_MARKERS, 99)]).is_empty(), "one that is refused anyway takes no room");
    }
}
