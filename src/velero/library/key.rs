//! The key of the hashes that stand for Secret values in cached archives. I/O: one file that only its owner may read.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// The file's name.
const FILE: &str = "key";

/// Makes a folder that only its owner may enter.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// The key in a folder; drawn from the operating system's random source the first time.
///
/// # Errors
/// When it cannot be kept, or others may read it: then hashes in the cache would be as good as open to guessing.
pub fn load(folder: &Path) -> io::Result<[u8; 32]> {
    private_folder(folder)?;
    let path = folder.join(FILE);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|e| io::Error::other(e.to_string()))?;
    // Written beside and linked into place, so that of two processes that start at once both take the same key.
    let draft = tempfile::Builder::new().prefix(".key-").permissions(fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
    draft.as_file().write_all(&key)?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(&path) {
        Ok(_) => Ok(key),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => read(&path)?.ok_or_else(|| io::Error::other("the key vanished")),
        Err(e) => Err(e.error),
    }
}

fn read(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let file = match fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("{} may be read by others (mode {:o}); remove it, or set its mode to 600", path.display(), mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let bytes = io::Read::bytes(io::Read::take(file, 33)).collect::<io::Result<Vec<u8>>>()?;
    match bytes.try_into() {
        Ok(key) => Ok(Some(key)),
        Err(_) => {
            // A torn key opens nothing any more.
            fs::remove_file(path)?;
            Ok(None)
        }
    }
}
