//! Backups given as files: an archive, or a folder laid out as in a bucket. I/O: reads files and folders.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::{
    archive::ArchiveError,
    assess::FileBackup,
    beside::{self, RestoreFile, SideFile},
    custom::{self, read_backup},
    library::Library,
    state::Damage,
};
use crate::{
    config::BackupFile,
    object::Text,
    witness::{Archive, Failure, RestoreFiles, SideFiles},
};

/// The Backup object beside an archive (pkg/persistence/object_store_layout.go).
pub(crate) const MARKER: &str = "velero-backup.json";

/// Bytes of a [`MARKER`]; the API server takes no object larger than 3 MiB.
const MAX_MARKER: u64 = 4 << 20;

/// Backups in one folder.
const MAX_BACKUPS: usize = 10_000;

/// What is wrong with a path that was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilesError {
    /// The path cannot be read.
    #[error("cannot read backup {path}: {message}")]
    Unreadable {
        /// The path.
        path: String,
        /// What the system said.
        message: String,
    },
    /// An archive alone, of which nothing is known.
    #[error(
        "{path} has no {MARKER} beside it, and the cluster has no Backup of its name; put it there, or tell the backup's name and start: \
         --backup NAME={path},start=2026-01-31T01:00:00Z"
    )]
    NoStart {
        /// The archive.
        path: String,
    },
    /// The Backup object beside an archive is of another backup.
    #[error(
        "the {MARKER} beside {path} is of backup {found}; tell the archive's own name and start: --backup NAME={path},start=2026-01-31T01:00:00Z"
    )]
    OtherBackup {
        /// The archive.
        path: String,
        /// Whose object it is.
        found: String,
    },
    /// The Backup object beside an archive cannot be read.
    #[error("{path} is no Backup object of Velero: {message}; fetch it again from the bucket")]
    BadMarker {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A folder without backups.
    #[error("{path} holds no backup: neither <name>.tar.gz nor folders with {MARKER} in them, as a bucket has them under backups/")]
    NoBackups {
        /// The folder.
        path: String,
    },
    /// More backups than anybody keeps.
    #[error("{path} holds more than {MAX_BACKUPS} backups; give single ones")]
    TooMany {
        /// The folder.
        path: String,
    },
    /// Two archives of one name.
    #[error("backup {name} is given twice, by {first} and {second}; leave one out")]
    Twice {
        /// The backup.
        name: Text,
        /// One archive.
        first: String,
        /// The other.
        second: String,
    },
}

impl FilesError {
    /// A stable snake_case word: metric label and `Failure.reason`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "backup_unreadable",
            Self::NoStart { .. } => "backup_no_start",
            Self::OtherBackup { .. } => "backup_other_object",
            Self::BadMarker { .. } => "backup_bad_object",
            Self::NoBackups { .. } => "backup_none",
            Self::TooMany { .. } => "backup_too_many",
            Self::Twice { .. } => "backup_twice",
        }
    }
}

/// An archive that was found, not read yet.
#[derive(Clone, Debug)]
pub struct Found {
    /// The backup's name.
    pub name: Text,
    /// Where its archive is.
    pub archive: PathBuf,
    /// Given by name, so it is read in any case.
    pub asked_for: bool,
    /// Why it cannot be used although its folder can.
    pub failure: Option<Failure>,
    object: Option<Value>,
    start: Option<Timestamp>,
    side: SideFiles,
}

/// What is known besides the files.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Names of the Backups in the cluster: an archive of such a name needs no start of its own.
    pub backups: HashSet<Text>,
}

/// Finds the backups that were given, with what Velero wrote beside them. Their archives are not read yet.
///
/// An archive given by its path, or a folder of one backup, is asked for; of a folder of many (a bucket's layout: `backups/<name>/`) it is for
/// others to say which are worth reading.
///
/// # Errors
/// What was asked for is wrong. What is wrong inside a folder of many stands at the backup it concerns.
pub fn find(given: &[BackupFile], around: &Around) -> Result<Vec<Found>, FilesError> {
    let mut all: Vec<Found> = Vec::new();
    for file in given {
        for found in find_one(file, &around.backups)? {
            match all.iter().position(|c| c.name == found.name) {
                Some(at) if !all[at].asked_for => all[at] = found,
                Some(_) if !found.asked_for => {}
                Some(at) => {
                    let (first, second) = (shown(&all[at].archive), shown(&found.archive));
                    return Err(FilesError::Twice { name: found.name, first, second });
                }
                None => all.push(found),
            }
        }
    }
    for found in &mut all {
        let phase = found.object.as_ref().and_then(read_backup).map(|b| b.phase).unwrap_or_default();
        found.side = beside(&found.archive, &found.name, &phase);
    }
    Ok(all)
}

/// Names an archive on this machine: another file, or the same one written anew, has another key.
pub fn key(path: &Path, metadata: &fs::Metadata) -> io::Result<String> {
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("file {} {} {}", path.canonicalize()?.display(), metadata.len(), modified.as_nanos()))
}

/// Reads an archive on this machine, or finds it in the library. The damage is that of a copy: it says nothing against the backup that Velero has.
///
/// # Errors
/// As the archive's reader has them, with what is damaged if that is why.
pub fn open(path: &Path, library: &Library) -> Result<Arc<Archive>, (Failure, Option<Damage>)> {
    let origin = shown(path);
    let read = match fs::File::open(path).and_then(|file| Ok((key(path, &file.metadata()?)?, file))) {
        Ok((key, file)) => library.read(&key, &origin, file),
        Err(e) => Err(ArchiveError::io(&origin, &e)),
    };
    read.map_err(|e| (Failure::from(&e), e.is_damage().then(|| Damage::Copy(e.what()))))
}

impl Found {
    /// The Backup object that lies beside the archive.
    pub fn backup(&self) -> Option<custom::Backup> {
        self.object.as_ref().and_then(read_backup)
    }

    /// What is said of it for the join with the cluster.
    pub fn tell(&self, content: Result<Arc<Archive>, Failure>, damage: Option<Damage>, cluster_uid: Option<Text>) -> FileBackup {
        let (name, object, start, side) = (self.name.clone(), self.object.clone(), self.start, self.side.clone());
        FileBackup { name, object, start, content, damage, cluster_uid, side }
    }
}

/// Velero's other files in the folder of an archive, where it has the layout of a bucket.
fn beside(archive: &Path, name: &str, phase: &str) -> SideFiles {
    let mut files = SideFiles::default();
    for file in SideFile::ALL.into_iter().filter(|f| f.matters(phase)) {
        let path = archive.with_file_name(file.name(name));
        fetch(&path, |fetched| files.take(file, &shown(&path), fetched));
    }
    files
}

/// The restores of a folder laid out as in a bucket: `restores/<name>/`. What cannot be listed holds none.
pub fn restores(root: &Path) -> Vec<RestoreFiles> {
    let folders = sorted(&root.join("restores")).unwrap_or_default();
    let of = |folder: &PathBuf| {
        let name = folder.file_name()?.to_str()?;
        let mut files = RestoreFiles::of(name);
        for file in RestoreFile::ALL {
            let path = folder.join(file.name(name));
            fetch(&path, |fetched| files.take(file, &shown(&path), fetched));
        }
        Some(files)
    };
    folders.iter().filter(|f| f.is_dir()).take(MAX_BACKUPS).filter_map(of).collect()
}

/// Reads a small file and hands it on.
fn fetch(path: &Path, take: impl FnOnce(beside::Fetched<'_>)) {
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if metadata.len() > beside::MAX_BYTES => {
            Err(format!("it has {} bytes, more than the {} that are read", metadata.len(), beside::MAX_BYTES))
        }
        Ok(_) => fs::read(path).map(Some).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    take(bytes.as_ref().map(|b| b.as_deref()).map_err(|e| Failure::new("side_file_unreadable", format!("{}: {e}", shown(path)))));
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = shown(path);
    move |e| FilesError::Unreadable { path, message: e.to_string() }
}

fn find_one(given: &BackupFile, known: &HashSet<Text>) -> Result<Vec<Found>, FilesError> {
    let path = &given.path;
    let metadata = fs::metadata(path).map_err(unreadable(path))?;
    if metadata.is_file() {
        return Ok(vec![single(path, given, known)?]);
    }
    if path.join(MARKER).is_file() {
        return Ok(vec![single(&archive_in(path)?, given, known)?]);
    }
    let below = path.join("backups");
    let root = if below.is_dir() { &below } else { path };
    let mut found = Vec::new();
    for entry in sorted(root)? {
        let archive = if entry.is_dir() {
            match archive_in(&entry) {
                Ok(archive) => archive,
                Err(_) if entry.join(MARKER).is_file() => entry.join(format!("{}.tar.gz", stem(&entry))),
                Err(_) => continue,
            }
        } else if is_archive(&entry) {
            entry
        } else {
            continue;
        };
        if found.len() == MAX_BACKUPS {
            return Err(FilesError::TooMany { path: shown(root) });
        }
        found.push(among_many(archive));
    }
    if found.is_empty() { Err(FilesError::NoBackups { path: shown(path) }) } else { Ok(found) }
}

/// One archive that was asked for.
fn single(archive: &Path, given: &BackupFile, known: &HashSet<Text>) -> Result<Found, FilesError> {
    let found = |name, object| Found {
        name,
        archive: archive.to_owned(),
        object,
        start: given.start,
        asked_for: true,
        failure: None,
        side: SideFiles::default(),
    };
    let object = marker_beside(archive)?;
    let stem = stem(archive);
    let told = object.as_ref().and_then(read_backup).map(|b| b.head.name);
    let wanted = given.name.as_deref().unwrap_or(&stem);
    let object = match told {
        // `velero backup download NAME` writes NAME-data.tar.gz.
        Some(name) if &*name == wanted || wanted.strip_suffix("-data") == Some(&*name) => {
            return Ok(found(name, object));
        }
        Some(found) if given.start.is_none() => return Err(FilesError::OtherBackup { path: shown(archive), found: found.to_string() }),
        _ => None,
    };
    // `velero backup download` brings the archive alone; the Backup in the cluster tells the rest.
    let plain = wanted.strip_suffix("-data").filter(|name| known.contains(*name)).unwrap_or(wanted);
    if given.start.is_none() && !known.contains(plain) {
        return Err(FilesError::NoStart { path: shown(archive) });
    }
    Ok(found(plain.into(), object))
}

/// One archive in a folder of many: what is wrong with it is its own matter.
fn among_many(archive: PathBuf) -> Found {
    let stem = stem(&archive);
    let (object, failure) = match marker_beside(&archive) {
        Err(e) => (None, Some(Failure::new(e.kind(), e.to_string()))),
        Ok(None) => {
            let e = FilesError::NoStart { path: shown(&archive) };
            (None, Some(Failure::new(e.kind(), e.to_string())))
        }
        Ok(Some(object)) => match read_backup(&object).map(|b| b.head.name) {
            Some(name) if *name == *stem => (Some(object), None),
            found => {
                let found = found.map_or_else(|| "nobody".to_owned(), |n| n.to_string());
                let e = FilesError::OtherBackup { path: shown(&archive), found };
                (None, Some(Failure::new(e.kind(), e.to_string())))
            }
        },
    };
    Found { name: stem.into(), archive, object, start: None, asked_for: false, failure, side: SideFiles::default() }
}

/// The Backup object in the folder of an archive, if there is one.
fn marker_beside(archive: &Path) -> Result<Option<Value>, FilesError> {
    let path = archive.with_file_name(MARKER);
    let size = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(&path)(e)),
    };
    let bad = |message: String| FilesError::BadMarker { path: shown(&path), message };
    if size > MAX_MARKER {
        return Err(bad(format!("it has {size} bytes, more than the {MAX_MARKER} that any object can have")));
    }
    let bytes = fs::read(&path).map_err(unreadable(&path))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| bad(format!("it is not JSON at line {}, column {}", e.line(), e.column())))?;
    if read_backup(&value).is_none() {
        return Err(bad("it is not of kind Backup of velero.io, or has no name".to_owned()));
    }
    Ok(Some(value))
}

/// The archive in the folder of one backup: the one that has the folder's Backup's name, else the only one.
fn archive_in(folder: &Path) -> Result<PathBuf, FilesError> {
    let archives: Vec<PathBuf> = sorted(folder)?.into_iter().filter(|p| is_archive(p)).collect();
    let own = marker_beside(&folder.join(MARKER))?.as_ref().and_then(read_backup).map(|b| b.head.name);
    match (own.and_then(|name| archives.iter().find(|a| stem(a) == *name)), &archives[..]) {
        (Some(own), _) => Ok(own.clone()),
        (None, [only]) => Ok(only.clone()),
        _ => Err(FilesError::NoBackups { path: shown(folder) }),
    }
}

/// Velero's other files of a backup (`-volumesnapshots.json.gz` and the like) are no tar.
fn is_archive(path: &Path) -> bool {
    path.is_file() && path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with(".tar.gz") || n.ends_with(".tgz"))
}

fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(".tar.gz").or_else(|| name.strip_suffix(".tgz")).unwrap_or(&name).to_owned()
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(unreadable(folder))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable(folder))?;
    paths.sort();
    Ok(paths)
}
