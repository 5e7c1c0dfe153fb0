//! The files of a dump and the documents in them. I/O: files.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{DumpError, DumpLimits};
use crate::object::yaml;

/// Endings of the files in a folder that are read.
const KNOWN: [&str; 3] = ["yaml", "yml", "json"];

/// One document of a file.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) line: u32,
}

fn unreadable(path: &Path, why: &std::io::Error) -> DumpError {
    DumpError::Unreadable { path: path.to_owned(), why: why.to_string() }
}

/// The one file, or every `.yaml`, `.yml` and `.json` file of the folder and its subfolders in the order of their paths. Names that begin
/// with a dot are passed over, links to folders are not followed.
pub(super) fn names(path: &Path, limits: &DumpLimits) -> Result<Vec<PathBuf>, DumpError> {
    let about = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    let mut names = Vec::new();
    if about.is_dir() {
        walk(path, path, 0, limits, &mut names)?
    } else {
        names.push(path.to_owned())
    }
    names.sort();
    Ok(names)
}

fn walk(root: &Path, folder: &Path, depth: usize, limits: &DumpLimits, names: &mut Vec<PathBuf>) -> Result<(), DumpError> {
    let too_large = |what: String| DumpError::TooLarge { path: root.to_owned(), what };
    if depth > limits.depth {
        return Err(too_large(format!("more than {} folders inside one another", limits.depth)));
    }
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let entry = entry.map_err(|e| unreadable(folder, &e))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().map_err(|e| unreadable(&path, &e))?.is_dir() {
            walk(root, &path, depth + 1, limits, names)?;
        } else if path.extension().is_some_and(|e| KNOWN.iter().any(|known| e == *known)) {
            if names.len() >= limits.files {
                return Err(too_large(format!("more than {} files", limits.files)));
            }
            names.push(path);
        }
    }
    Ok(())
}

/// Whether a file is compressed, as Velero's archives are.
pub(super) fn is_archive(path: &Path) -> Result<bool, DumpError> {
    let mut magic = [0; 2];
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b])
}

/// When a file was last written, if the system knows.
pub(super) fn modified(path: &Path) -> Option<Timestamp> {
    fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|t| Timestamp::try_from(t).ok())
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<File, DumpError> {
    File::open(path).map_err(|e| unreadable(path, &e))
}

/// Reads a file of at most `cap` bytes.
pub(super) fn contents(path: &Path, cap: u64) -> Result<Vec<u8>, DumpError> {
    let mut bytes = Vec::new();
    open(path)?.take(cap + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 > cap {
        return Err(DumpError::TooLarge { path: path.to_owned(), what: format!("more than the {cap} bytes that are left to it") });
    }
    Ok(bytes)
}

/// The documents of one file, empty ones left out. JSON is YAML, but several JSON documents one after the other (as `jq` writes them) are
/// not, so JSON is tried first.
pub(super) fn documents(path: &Path, bytes: &[u8]) -> Result<Vec<Document>, DumpError> {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'['))
        && let Some(found) = json(bytes)
    {
        return Ok(found);
    }
    let syntax = |e: yaml::YamlError| DumpError::Syntax { path: path.to_owned(), line: e.line, why: e.reason };
    let parsed = yaml::parse(bytes, &yaml::Limits::within(bytes.len() as u64)).map_err(syntax)?;
    let document = |d: yaml::Document| Document { value: d.value, line: d.line };
    Ok(parsed.documents.into_iter().filter(|d| !d.value.is_null()).map(document).collect())
}

/// The documents of a file that is JSON from its beginning to its end.
fn json(bytes: &[u8]) -> Option<Vec<Document>> {
    let mut found = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    loop {
        let from = stream.byte_offset();
        let begin = from + bytes.get(from..)?.iter().take_while(|b| b.is_ascii_whitespace()).count();
        match stream.next() {
            None => return Some(found),
            Some(Ok(Value::Null)) => {}
            Some(Ok(value)) => {
                let line = 1 + bytes.get(..begin)?.iter().filter(|b| **b == b'\n').count();
                found.push(Document { value, line: u32::try_from(line).unwrap_or(u32::MAX) });
            }
            Some(Err(_)) => return None,
        }
    }
}
