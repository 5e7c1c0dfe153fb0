//! The files of a dump and the documents in them. I/O: files.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{DumpError, DumpLimits};

/// One file, read.
pub(super) struct Contents {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Option<Timestamp>,
}

/// One document of a file.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) line: u32,
}

fn unreadable(path: &Path, why: &std::io::Error) -> DumpError {
    DumpError::Unreadable { path: path.to_owned(), why: why.to_string() }
}

/// Reads the one file, or every `.yaml`, `.yml` and `.json` file of the folder and its subfolders in the order of their paths. Names that
/// begin with a dot are passed over, links to folders are not followed.
pub(super) fn files(path: &Path, limits: &DumpLimits) -> Result<impl Iterator<Item = Contents>, DumpError> {
    let about = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    let mut names = Vec::new();
    if about.is_dir() {
        walk(path, path, 0, limits, &mut names)?
    } else {
        names.push(path.to_owned())
    }
    names.sort();
    let (mut read, mut total) = (Vec::with_capacity(names.len()), 0);
    for name in names {
        let contents = contents(name, limits.file_bytes.min(limits.total_bytes - total))?;
        total += contents.bytes.len() as u64;
        read.push(contents);
    }
    Ok(read.into_iter())
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
        } else if path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known)) {
            if names.len() >= limits.files {
                return Err(too_large(format!("more than {} files", limits.files)));
            }
            names.push(path);
        }
    }
    Ok(())
}

fn contents(path: PathBuf, cap: u64) -> Result<Contents, DumpError> {
    let file = File::open(&path).map_err(|e| unreadable(&path, &e))?;
    let modified = file.metadata().ok().and_then(|m| m.modified().ok()).and_then(|t| Timestamp::try_from(t).ok());
    let mut bytes = Vec::new();
    file.take(cap + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&path, &e))?;
    if bytes.len() as u64 > cap {
        return Err(DumpError::TooLarge { path, what: format!("more than the {cap} bytes that are left to it") });
    }
    Ok(Contents { path, bytes, modified })
}

/// The documents of one file, empty ones left out.
pub(super) fn documents(file: &Contents) -> Result<Vec<Document>, DumpError> {
    let mut found = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(&file.bytes).into_iter::<Value>();
    loop {
        let rest = &file.bytes[stream.byte_offset()..];
        let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let begin = stream.byte_offset() + blank;
        let line = 1 + file.bytes[..begin].iter().filter(|b| **b == b'\n').count();
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        match stream.next() {
            None => return Ok(found),
            Some(Ok(Value::Null)) => {}
            Some(Ok(value)) => found.push(Document { value, line }),
            Some(Err(e)) => {
                let line = u32::try_from(e.line()).unwrap_or(u32::MAX);
                return Err(DumpError::Syntax { path: file.path.clone(), line, why: "not JSON".into() });
            }
        }
    }
}
