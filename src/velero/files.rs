//! Backups given as files: an archive, or a folder laid out as in a bucket. I/O: reads files and folders.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
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
    moment::had_ended,
    scope::Scope,
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
struct Candidate {
    name: Text,
    archive: PathBuf,
    object: Option<Value>,
    start: Option<Timestamp>,
    /// Given by name, so it is read in any case.
    asked_for: bool,
    /// Why it cannot be used although its folder can.
    failure: Option<Failure>,
}

/// What is known besides the files.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// uid of the cluster's kube-system.
    pub cluster_uid: Option<Text>,
    /// Names of the Backups in the cluster: an archive of such a name needs no start of its own.
    pub backups: HashSet<Text>,
    /// The moment that is spoken of, if it is not now.
    pub moment: Option<Timestamp>,
}

/// Finds and reads the backups that were given.
///
/// An archive given by its path, or a folder of one backup, is always read. Of a folder of many (a bucket's layout: `backups/<name>/`), the
/// newest completed backup of each scope is read and what is newer, and older ones only if that one is damaged or from another cluster: memory stays bounded by what
/// can matter. The others are told as unread with reason `not_needed`. An error means that what was asked for is wrong; what is wrong
/// inside a folder of many stands at the backup it concerns. Of backups that had not ended at the moment that is spoken of none
/// is looked for.
pub fn read(given: &[BackupFile], library: &Library, around: &Around) -> Result<Vec<FileBackup>, FilesError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for file in given {
        for candidate in find(file, &around.backups)? {
            match candidates.iter().position(|c| c.name == candidate.name) {
                Some(at) if !candidates[at].asked_for => candidates[at] = candidate,
                Some(_) if !candidate.asked_for => {}
                Some(at) => {
                    let (first, second) = (shown(&candidates[at].archive), shown(&candidate.archive));
                    return Err(FilesError::Twice { name: candidate.name, first, second });
                }
                None => candidates.push(candidate),
            }
        }
    }
    let mut searched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut scopes: Vec<Scope> = Vec::new();
    let backups: Vec<Option<custom::Backup>> = candidates.iter().map(|c| c.object.as_ref().and_then(read_backup)).collect();
    for (n, backup) in backups.iter().enumerate().filter(|(n, _)| !candidates[*n].asked_for) {
        let ended = |b: &&custom::Backup| matches!(&*b.phase, "Completed" | "PartiallyFailed") && around.moment.is_none_or(|m| had_ended(b, m));
        let Some(backup) = backup.as_ref().filter(ended) else { continue };
        let scope = Scope::of_backup(&backup.spec, true);
        let at = scopes.iter().position(|s| *s == scope).unwrap_or_else(|| {
            scopes.push(scope);
            scopes.len() - 1
        });
        searched.entry(at).or_default().push(n);
    }
    let mut contents: BTreeMap<usize, Opened> = BTreeMap::new();
    for (n, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.asked_for && c.failure.is_none()) {
        contents.insert(n, open(&candidate.archive, library));
    }
    for mut numbers in searched.into_values() {
        numbers.sort_by_key(|n| std::cmp::Reverse(backups[*n].as_ref().and_then(|b| b.start)));
        for n in numbers.into_iter().filter(|n| candidates[*n].failure.is_none()) {
            let mut opened = open(&candidates[n].archive, library);
            let foreign = matches!((around.cluster_uid.as_deref(), opened.cluster_uid.as_deref()), (Some(own), Some(theirs)) if own != theirs);
            // What a partially failed one failed on, an older one may hold.
            let whole = backups[n].as_ref().is_some_and(|b| &*b.phase == "Completed");
            let good = opened.content.is_ok() && !foreign && whole;
            if foreign {
                opened.content = Err(Failure::new("foreign", "its content was let go: it is of another cluster"));
            }
            contents.insert(n, opened);
            if good {
                break;
            }
        }
    }
    Ok(candidates.into_iter().enumerate().map(|(n, candidate)| finish(candidate, contents.remove(&n), backups[n].as_ref())).collect())
}

/// Names an archive on this machine: another file, or the same one written anew, has another key.
pub fn key(path: &Path, metadata: &fs::Metadata) -> io::Result<String> {
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("file {} {} {}", path.canonicalize()?.display(), metadata.len(), modified.as_nanos()))
}

/// An archive after an attempt to read it.
struct Opened {
    content: Result<Arc<Archive>, Failure>,
    damage: Option<Damage>,
    cluster_uid: Option<Text>,
}

fn open(path: &Path, library: &Library) -> Opened {
    let origin = shown(path);
    let read = match fs::File::open(path).and_then(|file| Ok((key(path, &file.metadata()?)?, file))) {
        Ok((key, file)) => library.read(&key, &origin, file),
        Err(e) => Err(ArchiveError::io(&origin, &e)),
    };
    match read {
        Ok(archive) => Opened { cluster_uid: archive.cluster_uid.clone(), content: Ok(archive), damage: None },
        Err(e) => Opened { content: Err(Failure::from(&e)), damage: e.is_damage().then(|| Damage::Copy(e.what())), cluster_uid: None },
    }
}

fn finish(candidate: Candidate, opened: Option<Opened>, backup: Option<&custom::Backup>) -> FileBackup {
    let opened = opened.unwrap_or_else(|| {
        let failure = candidate.failure.clone().unwrap_or_else(|| match backup {
            Some(b) if !matches!(&*b.phase, "Completed" | "PartiallyFailed") => {
                Failure::new("not_finished", "it did not end well, so it was not read")
            }
            _ => Failure::new("not_needed", "a newer backup of the same scope was read; give this archive by its own path to have it read"),
        });
        Opened { content: Err(failure), damage: None, cluster_uid: None }
    });
    FileBackup {
        side: beside(&candidate.archive, &candidate.name, backup.map_or("", |b| &b.phase)),
        name: candidate.name,
        object: candidate.object,
        start: candidate.start,
        content: opened.content,
        damage: opened.damage,
        cluster_uid: opened.cluster_uid,
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

fn find(given: &BackupFile, known: &HashSet<Text>) -> Result<Vec<Candidate>, FilesError> {
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
fn single(archive: &Path, given: &BackupFile, known: &HashSet<Text>) -> Result<Candidate, FilesError> {
    let object = marker_beside(archive)?;
    let stem = stem(archive);
    let told = object.as_ref().and_then(read_backup).map(|b| b.head.name);
    let wanted = given.name.as_deref().unwrap_or(&stem);
    let object = match told {
        // `velero backup download NAME` writes NAME-data.tar.gz.
        Some(name) if &*name == wanted || wanted.strip_suffix("-data") == Some(&*name) => {
            return Ok(Candidate { name, archive: archive.to_owned(), object, start: given.start, asked_for: true, failure: None });
        }
        Some(found) if given.start.is_none() => return Err(FilesError::OtherBackup { path: shown(archive), found: found.to_string() }),
        _ => None,
    };
    // `velero backup download` brings the archive alone; the Backup in the cluster tells the rest.
    let plain = wanted.strip_suffix("-data").filter(|name| known.contains(*name)).unwrap_or(wanted);
    if given.start.is_none() && !known.contains(plain) {
        return Err(FilesError::NoStart { path: shown(archive) });
    }
    Ok(Candidate { name: plain.into(), archive: archive.to_owned(), object, start: given.start, asked_for: true, failure: None })
}

/// One archive in a folder of many: what is wrong with it is its own matter.
fn among_many(archive: PathBuf) -> Candidate {
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
    Candidate { name: stem.into(), archive, object, start: None, asked_for: false, failure }
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
