//! Writes an archive as Velero lays it out, format 1.1.0: for the demo's world and for tests. I/O: writes to the stream or folder it is given
//!
//! Sources: pkg/backup/backup.go `writeBackupVersion`, pkg/backup/item_backupper.go `getFileForArchive`, pkg/archive/filesystem.go,
//! pkg/persistence/object_store_layout.go. The same input gives the same bytes.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::Value;
use tar::{Builder, EntryType, Header};
use thiserror::Error;

use crate::{
    object::Gvk,
    velero::{Names, beside::SideFile},
};

/// The format that Velero writes since 1.4.
pub const FORMAT_VERSION: &str = "1.1.0";

/// Why an archive could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something is no object: `apiVersion`, `kind` or `metadata.name` is missing.
    #[error("cannot write an archive: object {0} of the input has no apiVersion, kind or name")]
    NotAnObject(usize),
    /// The plural of a kind is not known.
    #[error("cannot write an archive: what objects of kind {0} are called in the plural is not known; tell it with Names::with")]
    UnknownKind(String),
    /// The Backup object has no name.
    #[error("cannot write a backup: its Backup object has no metadata.name")]
    NoName,
    /// Writing failed.
    #[error("cannot write {place}: {error}")]
    Io {
        /// File or stream.
        place: String,
        /// What the system said.
        error: io::Error,
    },
}

impl WriteError {
    /// A stable snake_case word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotAnObject(_) => "not_an_object",
            Self::UnknownKind(_) => "unknown_kind",
            Self::NoName => "no_name",
            Self::Io { .. } => "io",
        }
    }
}

/// Writes an archive of whole objects, status and all, as they are. `time` becomes the time of every entry.
pub fn write_archive<'a>(out: impl Write, objects: impl IntoIterator<Item = &'a Value>, names: &Names, time: Timestamp) -> Result<(), WriteError> {
    let failed = |error| WriteError::Io { place: "the archive".to_owned(), error };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (n, object) in objects.into_iter().enumerate() {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
        let (Some(api_version), Some(kind), Some(name)) = (text("/apiVersion"), text("/kind"), text("/metadata/name")) else {
            return Err(WriteError::NotAnObject(n));
        };
        let gvk = Gvk::parse(api_version, kind);
        let resource = &names.of_kind(&gvk.gk).ok_or_else(|| WriteError::UnknownKind(gvk.gk.to_string()))?.resource;
        let place = match text("/metadata/namespace") {
            Some(namespace) => format!("namespaces/{namespace}/{name}.json"),
            None => format!("cluster/{name}.json"),
        };
        let bytes = object.to_string().into_bytes();
        files.insert(format!("resources/{resource}/{}-preferredversion/{place}", gvk.version), bytes.clone());
        files.insert(format!("resources/{resource}/{place}"), bytes);
    }
    let gzip = GzBuilder::new().mtime(0).write(out, Compression::default());
    let mut tar = Builder::new(gzip);
    let version = format!("{FORMAT_VERSION}\n").into_bytes();
    for (path, bytes) in std::iter::once(("metadata/version".to_owned(), version)).chain(files) {
        append(&mut tar, &path, &bytes, time).map_err(failed)?;
    }
    tar.into_inner().and_then(|gzip| gzip.finish()).and_then(|mut out| out.flush()).map_err(failed)
}

/// As Go's archive/tar does: the plain header if the name fits, else an extension header before it.
fn append(tar: &mut Builder<impl Write>, path: &str, bytes: &[u8], time: Timestamp) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o755);
    header.set_mtime(u64::try_from(time.as_second()).unwrap_or(0));
    header.set_size(bytes.len() as u64);
    if header.set_path(path).is_err() {
        tar.append_pax_extensions([("path", path.as_bytes())])?;
        let short: String = path.chars().filter(char::is_ascii).take(100).collect();
        header.set_path(&short)?;
    }
    header.set_cksum();
    tar.append(&header, bytes)
}

/// Writes a backup as it lies in a bucket: `<bucket>/backups/<name>/<name>.tar.gz` and `velero-backup.json` beside it. Returns the folder.
/// The entries carry the backup's start.
pub fn write_backup<'a>(bucket: &Path, backup: &Value, objects: impl IntoIterator<Item = &'a Value>, names: &Names) -> Result<PathBuf, WriteError> {
    let name = backup.pointer("/metadata/name").and_then(Value::as_str).filter(|n| !n.is_empty()).ok_or(WriteError::NoName)?;
    let folder = bucket.join("backups").join(name);
    let failed = |path: &Path| {
        let place = path.display().to_string();
        move |error| WriteError::Io { place, error }
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let archive = folder.join(format!("{name}.tar.gz"));
    let start = backup.pointer("/status/startTimestamp").and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let file = fs::File::create(&archive).map_err(failed(&archive))?;
    write_archive(io::BufWriter::new(file), objects, names, start)?;
    // Velero writes this one last: a backup without it does not exist.
    let marker = folder.join("velero-backup.json");
    fs::write(&marker, backup.to_string()).map_err(failed(&marker))?;
    Ok(folder)
}

/// Writes one of Velero's files beside an archive that [`write_backup`] wrote into this folder.
pub fn write_beside(folder: &Path, backup: &str, file: SideFile, content: &Value) -> Result<(), WriteError> {
    let path = folder.join(file.name(backup));
    let write = || {
        let mut gzip = GzBuilder::new().mtime(0).write(fs::File::create(&path)?, Compression::default());
        gzip.write_all(content.to_string().as_bytes())?;
        gzip.finish()?.flush()
    };
    write().map_err(|error| WriteError::Io { place: path.display().to_string(), error })
}
