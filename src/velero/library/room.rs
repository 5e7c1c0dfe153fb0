//! Keeps the cache folder within its budget, and clears away what readers left that were killed. I/O: the cache folder.
//!
//! A reader holds a lock on its draft for as long as it writes it, so another process that shares the folder knows a draft that is being
//! written from one that nobody will end.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

/// How names of drafts begin, and how those of cached archives and of damaged ones end.
const DRAFT: &str = ".draft-";
pub(super) const ENDING: &str = "archive";
pub(super) const DAMAGED: &str = "damaged";

/// Where files cannot be locked: nobody writes a draft for so long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// The folder and the bytes that it may hold.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub folder: PathBuf,
    pub budget: u64,
}

/// A file in the folder. The order is the one in which they go: what is damaged first, then what was not used for longest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    whole: bool,
    used: Option<SystemTime>,
    path: PathBuf,
    size: u64,
}

impl Room {
    /// A new draft, locked.
    pub fn draft(&self) -> io::Result<NamedTempFile> {
        loop {
            let draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(&self.folder)?;
            match draft.as_file().lock() {
                Err(e) if e.kind() != io::ErrorKind::Unsupported => return Err(e),
                // Somebody may have swept it between its making and its lock.
                Ok(()) if draft.as_file().metadata()?.nlink() == 0 => {}
                _ => return Ok(draft),
            }
        }
    }

    /// Removes drafts that nobody writes any more.
    pub fn sweep(&self) {
        for (name, path) in self.files() {
            if !name.starts_with(DRAFT) {
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            let idle = || file.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
            let left = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(_)) => idle().is_some_and(|idle| idle > ABANDONED),
            };
            if left {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Removes files until the rest is within the budget: damaged ones first, then those that were not used for longest. The one of the name `own` was
    /// just written and stays, and so do drafts; both count.
    pub fn shrink(&self, own: &str) {
        let (mut total, mut may_go) = (0, Vec::new());
        for (name, path) in self.files() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let whole = !name.ends_with(DAMAGED);
            if !name.starts_with(DRAFT) && path.extension().is_none_or(|e| e != ENDING && e != DAMAGED) {
                continue;
            }
            total += metadata.len();
            if name != own && !name.starts_with(DRAFT) {
                may_go.push(Kept { whole, used: metadata.modified().ok(), path, size: metadata.len() });
            }
        }
        may_go.sort();
        for kept in may_go {
            if total <= self.budget {
                break;
            }
            // Whoever still reads from it keeps it open.
            if fs::remove_file(&kept.path).is_ok() {
                total -= kept.size;
            }
        }
    }

    fn files(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
    }
}

/// Keeps a damaged file for whoever wants to know, one at most of each archive.
pub(super) fn set_aside(path: &Path) {
    let _ = fs::rename(path, path.with_extension(DAMAGED));
}
