//! The cache folder of one location: a lock, a pointer, and generations of a bare repository. I/O: cache folder.
//!
//! ```text
//! <cache>/git/<hash of the location>/   0700
//!     lock            held by whoever updates; ends with its process
//!     current         name of the generation in use, replaced atomically
//!     location        the location, for people
//!     g-<n>/          a bare repository
//!     g-<n>/in-use    share-locked by whoever reads; a generation goes when nobody does
//! ```
//! A generation only ever grows. Whatever would rewrite one (damage, too many packs, too large) makes a new one beside it, so a reader in
//! any process keeps what it reads, and a process killed at any point leaves the mirror as it was.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    budget::Budget,
    error::{Fault, GitErrorKind},
};

/// The folder of one location.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    folder: PathBuf,
    shown: String,
}

/// The right to change a mirror.
#[derive(Debug)]
pub(crate) struct MirrorLock {
    _file: File,
}

/// A generation that is kept while this value lives.
#[derive(Debug)]
pub(crate) struct Generation {
    pub path: PathBuf,
    in_use: File,
}

impl Mirror {
    /// The mirror of a location. Touches nothing.
    pub fn new(cache_dir: &Path, key: &str, shown: &str) -> Self {
        Self { folder: cache_dir.join("git").join(key), shown: shown.to_owned() }
    }

    /// Makes the folder, for us alone.
    fn prepare(&self) -> Result<(), Fault> {
        let folder = &self.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| Fault::io("create", folder, &e))?;
        let meta = fs::symlink_metadata(folder).map_err(|e| Fault::io("read", folder, &e))?;
        if !meta.is_dir() || meta.uid() != nix::unistd::geteuid().as_raw() {
            let what = format!("{} is not a folder of the user that runs this; remove it, or set another cache_dir", folder.display());
            return Err(Fault::new(GitErrorKind::Refused, what));
        }
        if meta.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|e| Fault::io("protect", folder, &e))?;
        }
        let about = folder.join("location");
        if !about.exists() {
            fs::write(&about, format!("{}\n", self.shown)).map_err(|e| Fault::io("write", &about, &e))?;
        }
        Ok(())
    }

    /// Waits for the right to change the mirror, for as long as the budget allows.
    pub fn lock(&self, budget: &Budget) -> Result<MirrorLock, Fault> {
        self.prepare()?;
        let path = self.folder.join("lock");
        let file = open_lock(&path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(MirrorLock { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(Fault::io("lock", &path, &e)),
            }
            if budget.check().is_err() {
                let mut fault = budget.take_fault().unwrap_or_else(|| budget.timeout_fault());
                fault.what = format!("another process is using {}; {}", self.folder.display(), fault.what);
                return Err(fault);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The generation in use, if there is one.
    pub fn current(&self) -> Result<Option<Arc<Generation>>, Fault> {
        // A generation can go between reading its name and holding it; then there is a newer one.
        for _ in 0..10 {
            let Some(name) = self.current_name()? else { return Ok(None) };
            let path = self.folder.join(&name);
            let Ok(in_use) = open_lock(&path.join("in-use")) else { continue };
            if in_use.try_lock_shared().is_ok() && self.current_name()?.as_deref() == Some(&name) {
                return Ok(Some(Arc::new(Generation { path, in_use })));
            }
        }
        Ok(None)
    }

    fn current_name(&self) -> Result<Option<String>, Fault> {
        let path = self.folder.join("current");
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned()).filter(|n| is_generation(n))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Ok(None),
            Err(e) => Err(Fault::io("read", &path, &e)),
        }
    }

    /// A folder for a new generation. It counts only after [`Mirror::publish`].
    pub fn begin(&self, _lock: &MirrorLock) -> Result<Generation, Fault> {
        let newest = self.generations()?.iter().filter_map(|n| n.strip_prefix("g-")?.parse::<u64>().ok()).max().unwrap_or(0);
        let path = self.folder.join(format!("g-{}", newest + 1));
        DirBuilder::new().mode(0o700).create(&path).map_err(|e| Fault::io("create", &path, &e))?;
        super::store::create_bare(&path)?;
        let in_use = open_lock(&path.join("in-use"))?;
        in_use.try_lock_shared().map_err(|e| Fault::io("lock", &path, &e.into()))?;
        Ok(Generation { path, in_use })
    }

    /// Makes a generation the one in use, and removes those that nobody reads any more.
    pub fn publish(&self, lock: &MirrorLock, generation: &Generation) -> Result<(), Fault> {
        let name = generation.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (path, next) = (self.folder.join("current"), self.folder.join("current.next"));
        fs::write(&next, format!("{name}\n")).map_err(|e| Fault::io("write", &next, &e))?;
        fs::rename(&next, &path).map_err(|e| Fault::io("write", &path, &e))?;
        self.sweep(lock)
    }

    /// Removes generations that are neither in use nor read: left behind by a newer one, or by a process that was killed.
    pub fn sweep(&self, _lock: &MirrorLock) -> Result<(), Fault> {
        let current = self.current_name()?;
        for name in self.generations()? {
            let path = self.folder.join(&name);
            if current.as_deref() == Some(&name) {
                continue;
            }
            let free = match open_existing(&path.join("in-use")) {
                Ok(file) => file.try_lock().is_ok(),
                // Killed before it had the file: nobody can be reading it.
                Err(e) => e.kind() == std::io::ErrorKind::NotFound,
            };
            if free {
                fs::remove_dir_all(&path).map_err(|e| Fault::io("remove", &path, &e))?;
            }
        }
        Ok(())
    }

    fn generations(&self) -> Result<Vec<String>, Fault> {
        let entries = fs::read_dir(&self.folder).map_err(|e| Fault::io("read", &self.folder, &e))?;
        Ok(entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).filter(|n| is_generation(n)).collect())
    }
}

impl Generation {
    /// Marks the generation as damaged, for every process: the next update builds a new one.
    pub fn mark_damaged(&self) {
        // If this cannot be written, the next update finds the damage by itself.
        let _ = fs::write(self.path.join("damaged"), "");
    }

    /// Whether somebody found damage in it.
    pub fn is_damaged(&self) -> bool {
        self.path.join("damaged").exists() || self.in_use.metadata().map_or(true, |m| m.nlink() == 0)
    }
}

fn is_generation(name: &str) -> bool {
    name.strip_prefix("g-").is_some_and(|n| !n.is_empty() && n.len() < 20 && n.bytes().all(|b| b.is_ascii_digit()))
}

fn open_existing(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn open_lock(path: &Path) -> Result<File, Fault> {
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    open.map_err(|e| Fault::io("open", path, &e))
}
