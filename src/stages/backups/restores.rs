//! What restores did, as Velero wrote it under `restores/`: out of a bucket, and through DownloadRequests. I/O: through velero's store and cluster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{downloads::DownloadStage, stores::AT_ONCE};
use crate::{
    object::Text,
    velero::{
        beside::{MAX_BYTES, RestoreFile},
        custom,
        store::{Bucket, StoreError, listing::Listed},
    },
    witness::{Failure, Live, RestoreFiles, Side},
};

/// Restores of one bucket that are read, the newest.
const MOST: usize = 200;

/// How long after a failure files are tried again.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// The restores in one bucket.
#[derive(Default)]
pub(super) struct Shelf {
    known: BTreeMap<Text, (Listed, RestoreFiles)>,
}

impl Shelf {
    /// Reads what is new or another one than before. Where restores may not be listed, what was read before stays, and nothing is known of others.
    ///
    /// # Errors
    /// When the store as a whole does not answer.
    pub async fn look(&mut self, bucket: &Bucket) -> Result<(), StoreError> {
        use futures::StreamExt as _;
        let listed = match bucket.restores().await {
            Ok(listed) => listed,
            Err(e) if e.is_passing() => return Err(e),
            Err(e) => {
                tracing::debug!(reason = e.kind(), "restores are not listed: {e}");
                return Ok(());
            }
        };
        let mut before = std::mem::take(&mut self.known);
        let mut work = Vec::new();
        for (name, listed) in newest(listed) {
            match before.remove(&name) {
                Some((same, files)) if same == listed && !failed(&files) => drop(self.known.insert(name, (listed, files))),
                _ => work.push((name, listed)),
            }
        }
        let read = futures::stream::iter(work).map(async |(name, listed)| {
            let files = of_bucket(bucket, &name, &listed).await;
            (name, listed, files)
        });
        let mut read = read.buffer_unordered(AT_ONCE);
        while let Some((name, listed, files)) = read.next().await {
            let silent = is_silent(&files);
            self.known.insert(name, (listed, files));
            // The next listing tries the rest.
            if silent {
                break;
            }
        }
        Ok(())
    }

    /// What was read.
    pub fn tell(&self) -> impl Iterator<Item = &RestoreFiles> {
        self.known.values().map(|(_, files)| files)
    }
}

/// Whether the store stopped to answer.
fn is_silent(files: &RestoreFiles) -> bool {
    let failures = [files.results.failure(), files.items.failure(), files.volumes.failure()];
    failures.into_iter().flatten().any(|f| matches!(&*f.reason, "store_timeout" | "store_unreachable"))
}

fn failed(files: &RestoreFiles) -> bool {
    // A Velero before 1.14 knows no such file, and its kind of DownloadRequest is refused each time.
    let of_volumes = files.volumes.failure().is_some_and(|f| &*f.reason != "download_failed");
    files.results.failure().is_some() || files.items.failure().is_some() || of_volumes
}

/// The restores whose files were written last. A name says nothing of the time: only those that Velero's own command makes up end with it.
fn newest(listed: BTreeMap<Text, Listed>) -> Vec<(Text, Listed)> {
    let mut all: Vec<(Text, Listed)> = listed.into_iter().collect();
    all.sort_by(|(a, one), (b, other)| (other.modified(), b).cmp(&(one.modified(), a)));
    all.truncate(MOST);
    all
}

/// What the listing does not hold is not there.
async fn of_bucket(bucket: &Bucket, restore: &str, listed: &Listed) -> RestoreFiles {
    let mut files = RestoreFiles::of(restore);
    for file in RestoreFile::ALL {
        let name = file.name(restore);
        if !listed.files.contains_key(&name) {
            files.take(file, &name, Ok(None));
            continue;
        }
        match bucket.small_of("restores", restore, &name, MAX_BYTES).await {
            Ok(bytes) => files.take(file, &name, Ok(Some(&bytes))),
            Err(e) => files.take(file, &name, Err(Failure::from(&e))),
        }
    }
    files
}

/// A restore as Velero knows it: its name, and what tells it from another one of that name.
type Key = (Text, Option<Text>);

/// Restores that are asked of Velero, one at a time.
#[derive(Default)]
pub(super) struct Asked {
    known: BTreeMap<Key, (RestoreFiles, Timestamp)>,
}

fn key(restore: &custom::Restore) -> Key {
    (restore.head.name.clone(), restore.head.uid.clone())
}

/// Velero writes the files of a restore when it is done, badly too.
fn is_done(restore: &custom::Restore) -> bool {
    matches!(&*restore.phase, "Completed" | "PartiallyFailed" | "Failed") && !restore.head.deleting
}

/// The cluster's restores that are done and of which nobody told yet.
pub(super) fn untold(live: &Live, namespace: &str, told: &[RestoreFiles]) -> Vec<custom::Restore> {
    let own = live.controllers.iter().filter(|(id, _)| id.gk.is("velero.io", "Restore") && id.namespace.as_deref() == Some(namespace));
    let told: BTreeSet<&Text> = told.iter().filter(|f| f.items != Side::Unread).map(|f| &f.name).collect();
    let mut found = custom::read(own.map(|(_, object)| &**object)).restores;
    // Without the Backup Velero does not know where they lie, and says nothing.
    found.retain(|r| is_done(r) && !told.contains(&r.head.name) && r.backup.as_ref().is_some_and(|b| location(live, b).is_some()));
    found.sort_by(|a, b| (b.completed, &b.head.name).cmp(&(a.completed, &a.head.name)));
    found.truncate(MOST);
    found
}

impl Asked {
    fn wanted<'r>(&self, restores: &'r [custom::Restore], now: Timestamp) -> Option<&'r custom::Restore> {
        let due = |r: &&custom::Restore| match self.known.get(&key(r)) {
            Some((files, at)) => failed(files) && now.duration_since(*at) >= AGAIN,
            None => true,
        };
        restores.iter().find(due)
    }

    /// Whether there is more to read.
    pub fn has_more(&self, restores: &[custom::Restore], now: Timestamp) -> bool {
        self.wanted(restores, now).is_some()
    }

    /// Reads what the newest one did that was not read yet.
    pub async fn read(&mut self, downloads: &mut DownloadStage, restores: &[custom::Restore], live: &Live, now: Timestamp) {
        self.known.retain(|known, _| restores.iter().any(|r| key(r) == *known));
        let Some(restore) = self.wanted(restores, now).filter(|_| !downloads.is_silent(now)) else { return };
        let name = &restore.head.name;
        // Where the bundle of its location stands, Velero knows by its backup alone.
        let location = restore.backup.as_ref().and_then(|b| location(live, b));
        let mut files = RestoreFiles::of(name);
        for file in RestoreFile::ALL {
            let wanted = file.name(name);
            let Some(answer) = downloads.small_of_restore(name, location.as_deref(), live, (file.download_kind(), &wanted), now).await else { break };
            match answer {
                Ok(bytes) => files.take(file, &wanted, Ok(Some(&bytes))),
                Err(e) if e.kind() == "download_missing" => files.take(file, &wanted, Ok(None)),
                Err(e) => files.take(file, &wanted, Err(Failure::from(&e))),
            }
        }
        self.known.insert(key(restore), (files, now));
    }

    /// What was read.
    pub fn tell(&self) -> impl Iterator<Item = &RestoreFiles> {
        self.known.values().map(|(files, _)| files)
    }
}

fn location(live: &Live, backup: &str) -> Option<String> {
    let own = |id: &crate::object::ObjectId| id.gk.is("velero.io", "Backup") && &*id.name == backup;
    let object = live.controllers.iter().find(|(id, _)| own(id)).map(|(_, object)| object)?;
    Some(object.pointer("/spec/storageLocation")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero::store::listing::StoredFile;

    #[test]
    fn the_newest_restores_are_read_whatever_their_names() {
        let of = |minute: i64| {
            let modified = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
            let file = StoredFile { size: 1, tag: String::new(), etag: None, modified };
            Listed { files: [("f".to_owned(), file)].into() }
        };
        let mut listed: BTreeMap<Text, Listed> = (0..300).map(|n| (format!("zz-{n:03}").into(), of(n))).collect();
        listed.insert("aa".into(), of(1000));
        let kept = newest(listed);
        assert_eq!((kept.len(), &*kept[0].0, &*kept[1].0, &*kept[199].0), (200, "aa", "zz-299", "zz-101"));
    }
}
