//! Archives that were read, each once: in memory what comparisons need, on disk the bodies. I/O: the cache folder.
//!
//! One file an archive, named by what identifies the archive (backup, etag, size). It holds reduced objects only: values of Secrets are keyed
//! hashes in it, and the key lies beside it, readable by its owner alone. A file that is damaged, or of another key, is set aside or dropped and
//! the archive read anew. Without a cache folder that can be written everything stays in memory.

mod file;
pub mod key;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use tracing::warn;

use file::{Draft, FileShelf, Loaded};

use super::archive::{self, ArchiveError};
use crate::{config::ArchiveLimits, object::Redactor, witness::Archive};

/// Ends the names of cached archives.
const ENDING: &str = "archive";

struct Held {
    archive: Arc<Archive>,
    shelf: Option<Arc<FileShelf>>,
}

struct Inner {
    /// Where files lie; `None`: bodies stay in memory.
    folder: Option<PathBuf>,
    budget: u64,
    held: HashMap<String, Held>,
}

/// All archives at hand. Cloning shares them.
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
        let inner = Inner { folder, budget, held: HashMap::new() };
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
        if let Some(held) = inner.held.get(key) {
            let Some(shelf) = held.shelf.as_ref().filter(|s| s.is_spoiled()) else { return Some(held.archive.clone()) };
            warn!(file = %shelf.path().display(), "a cached archive is damaged and was set aside; it is read anew");
            set_aside(shelf.path());
            inner.held.remove(key);
            return None;
        }
        let path = inner.folder.as_ref()?.join(name(key));
        match file::load(&path, &self.redactor, &inner.archives()) {
            Loaded::Good(archive, shelf) => {
                inner.held.insert(key.to_owned(), Held { archive: archive.clone(), shelf: Some(shelf) });
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
        let (folder, known) = {
            let inner = self.lock();
            (inner.folder.clone(), inner.archives())
        };
        let held = match folder.map(|folder| Draft::begin(&folder, &name(key), &self.redactor, known)) {
            Some(Ok(mut draft)) => {
                let archive = archive::read_with(reader, origin, &self.limits, &self.redactor, &mut draft)?;
                let (shelf, written) = draft.finish(&archive);
                if let Err(e) = written {
                    warn!("{}: {e}; backup content is read anew after a restart", shelf.path().display());
                }
                Held { archive: Arc::new(archive), shelf: Some(shelf) }
            }
            other => {
                if let Some(Err(e)) = other {
                    warn!("the cache of backups cannot be written: {e}; what they hold is kept in memory");
                }
                Held { archive: Arc::new(archive::read(reader, origin, &self.limits, &self.redactor)?), shelf: None }
            }
        };
        let archive = held.archive.clone();
        let mut inner = self.lock();
        inner.held.insert(key.to_owned(), held);
        inner.shrink(key);
        Ok(archive)
    }

    /// Forgets archives that nobody asks for any more. Their files stay as long as the budget allows.
    pub fn keep_only(&self, keys: &HashSet<String>) {
        self.lock().held.retain(|key, _| keys.contains(key));
    }
}

impl Inner {
    fn archives(&self) -> Vec<Arc<Archive>> {
        self.held.values().map(|h| h.archive.clone()).collect()
    }

    /// Removes the files that were not used for longest until the rest is within the budget. The one just written stays: it is needed now.
    fn shrink(&self, written: &str) {
        let Some(folder) = &self.folder else { return };
        let own = name(written);
        let mut files: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == ENDING) && e.file_name() != *own)
            .filter_map(|e| e.metadata().ok().map(|m| (m.modified().ok(), e.path(), m.len())))
            .collect();
        files.sort();
        let own_size = fs::metadata(folder.join(&own)).map_or(0, |m| m.len());
        let mut total: u64 = own_size + files.iter().map(|(_, _, size)| size).sum::<u64>();
        for (_, path, size) in files {
            if total <= self.budget {
                break;
            }
            // Whoever still reads from it keeps it open.
            if fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }
}

fn name(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("{hex}.{ENDING}")
}

/// Keeps a damaged file for whoever wants to know, one at most of each archive.
fn set_aside(path: &Path) {
    let _ = fs::rename(path, path.with_extension("damaged"));
}
