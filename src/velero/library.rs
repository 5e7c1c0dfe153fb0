//! Archives that were read, each once: in memory what comparisons need, on disk the bodies. I/O: the cache folder.
//!
//! One file an archive, named by what identifies the archive (backup, etag, size). It holds reduced objects only: values of Secrets are keyed
//! hashes in it, and the key lies beside it, readable by its owner alone. A file that is damaged, or of another key, is set aside or dropped and
//! the archive read anew. Without a cache folder that can be written everything stays in memory.

mod file;
pub mod key;
mod room;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sha2::{Digest, Sha256};
use tracing::warn;

use file::{Draft, FileShelf, Known, Loaded};
use room::{ENDING, Room, set_aside};

use super::archive::{self, ArchiveError};
use crate::{config::ArchiveLimits, object::Redactor, witness::Archive};

/// An archive that somebody may be using. It is not kept for its own sake: a daemon sees many come and go.
struct Held {
    key: String,
    archive: Weak<Archive>,
    shelf: Weak<FileShelf>,
}

struct Inner {
    /// Where files lie; `None`: bodies stay in memory.
    room: Option<Room>,
    /// In the order in which they came.
    held: Vec<Held>,
}

/// All archives that are in use. Cloning shares them.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Mutex<Inner>>,
    limits: ArchiveLimits,
    redactor: Redactor,
}

impl Library {
    /// A library with its files in a folder, of at most so many bytes; none keeps everything in memory.
    pub fn open(folder: Option<&Path>, budget: u64, limits: ArchiveLimits, redactor: Redactor) -> Self {
        let folder = folder.filter(|_| budget > 0).and_then(|folder| match key::private_folder(folder) {
            Ok(()) => Some(folder.to_owned()),
            Err(e) => {
                warn!("{}: {e}; what backups hold is kept in memory", folder.display());
                None
            }
        });
        let room = folder.map(|folder| Room { folder, budget });
        if let Some(room) = &room {
            room.sweep();
        }
        let inner = Inner { room, held: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)), limits, redactor }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Caps on reading one archive.
    pub fn limits(&self) -> &ArchiveLimits {
        &self.limits
    }

    /// The archive of this key, if it was read before: in this run, or in an earlier one.
    pub fn find(&self, key: &str) -> Option<Arc<Archive>> {
        let mut inner = self.lock();
        if let Some((archive, shelf)) = inner.in_use(key) {
            let Some(shelf) = shelf.filter(|s| s.is_spoiled()) else { return Some(archive) };
            warn!(file = %shelf.path().display(), "a cached archive is damaged and was set aside; it is read anew");
            set_aside(shelf.path());
            inner.held.retain(|h| h.key != key);
            return None;
        }
        let path = inner.room.as_ref()?.folder.join(name(key));
        match file::load(&path, &self.redactor, &inner.known()) {
            Loaded::Good(archive, shelf) => {
                inner.hold(key, &archive, Some(&shelf));
                Some(archive)
            }
            Loaded::None => None,
            Loaded::OtherKey => {
                // Its hashes compare with nothing that is hashed now.
                let _ = fs::remove_file(&path);
                None
            }
            Loaded::Damaged(why) => {
                warn!(file = %path.display(), "a cached archive cannot be used and was set aside ({why}); it is read anew");
                set_aside(&path);
                None
            }
        }
    }

    /// The archive of this key: as it was read before, or read now from its stream.
    pub fn read(&self, key: &str, origin: &str, reader: impl Read + Send) -> Result<Arc<Archive>, ArchiveError> {
        if let Some(archive) = self.find(key) {
            return Ok(archive);
        }
        let (room, known) = {
            let inner = self.lock();
            (inner.room.clone(), inner.known())
        };
        let (archive, shelf) = match room.map(|room| Draft::begin(&room, &name(key), &self.redactor, known)) {
            Some(Ok(mut draft)) => {
                let archive = archive::read_with(reader, origin, &self.limits, &self.redactor, &mut draft)?;
                let (shelf, written) = draft.finish(&archive);
                if let Err(e) = written {
                    warn!("{}: {e}; backup content is read anew after a restart", shelf.path().display());
                }
                (Arc::new(archive), Some(shelf))
            }
            other => {
                if let Some(Err(e)) = other {
                    warn!("the cache of backups cannot be written: {e}; what they hold is kept in memory");
                }
                (Arc::new(archive::read(reader, origin, &self.limits, &self.redactor)?), None)
            }
        };
        let mut inner = self.lock();
        inner.hold(key, &archive, shelf.as_ref());
        if let Some(room) = &inner.room {
            room.shrink(&name(key));
        }
        Ok(archive)
    }
}

impl Inner {
    /// Remembers an archive as long as somebody uses it.
    fn hold(&mut self, key: &str, archive: &Arc<Archive>, shelf: Option<&Arc<FileShelf>>) {
        self.held.retain(|h| h.key != key && h.archive.strong_count() > 0);
        self.held.push(Held { key: key.to_owned(), archive: Arc::downgrade(archive), shelf: shelf.map(Arc::downgrade).unwrap_or_default() });
    }

    fn in_use(&self, key: &str) -> Option<(Arc<Archive>, Option<Arc<FileShelf>>)> {
        let held = self.held.iter().find(|h| h.key == key)?;
        Some((held.archive.upgrade()?, held.shelf.upgrade()))
    }

    /// What a further archive can share its objects with.
    fn known(&self) -> Known {
        let alive = || self.held.iter().rev().filter_map(|h| Some((h.archive.upgrade()?, h.shelf.upgrade())));
        let (archives, shelves): (Vec<_>, Vec<_>) = alive().unzip();
        Known { archives, shelves: shelves.into_iter().flatten().collect() }
    }
}

fn name(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("{hex}.{ENDING}")
}
