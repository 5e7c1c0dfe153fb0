//! One cached archive as a file: bodies, then an index, then a footer that says where the index is. I/O: the file.
//!
//! ```text
//! header   32 bytes   format, then the mark of the key that its hashes were made with
//! bodies              of each object the reduced content as JSON text, then managedFields and what was last applied
//! index               gzip of JSON lines: the archive first, then one line an object
//! footer   48 bytes   offset of the index, its length, SHA-256 over it
//! ```

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tracing::warn;

use super::{super::archive::Keep, room::Room};
use crate::{
    object::{Extent, Fingerprint, Meta, Object, ObjectId, Place, Redactor, Reduced, Shelf, Text},
    witness::{Archive, Diagnostic, Remark},
};

/// The format; another one is read anew.
const FORMAT: &[u8; 16] = b"snapgap backup 2";

const HEADER: u64 = 32;
const FOOTER: u64 = 48;

/// The largest index that is believed: that of some ten million objects.
const MAX_INDEX: u64 = 1 << 30;

/// Tells keys apart without telling anything of them.
fn mark(redactor: &Redactor) -> [u8; 16] {
    Fingerprint::of(redactor.hide(b"snapgap: which key is this").as_bytes()).bytes()
}

/// A file that bodies are read from.
#[derive(Debug)]
pub(super) struct FileShelf {
    file: File,
    path: PathBuf,
    spoiled: AtomicBool,
}

impl FileShelf {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }
}

impl Shelf for FileShelf {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        // A length that the file cannot have must not be asked of memory.
        let ends = offset.checked_add(length as u64);
        let size = self.file.metadata().map_err(|e| e.to_string())?.len();
        if ends.is_none_or(|end| end > size) {
            self.spoiled();
            return Err("the cache file is shorter than it was".to_owned());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(|e| {
            self.spoiled();
            e.to_string()
        })?;
        Ok(bytes)
    }

    fn spoiled(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }
}

/// What the index says of the archive.
#[derive(Serialize, Deserialize)]
struct Head {
    origin: String,
    cluster_uid: Option<Text>,
    namespaces: BTreeMap<Text, Text>,
    torn: Vec<Remark>,
    diagnostics: Vec<Diagnostic>,
    unreadable: Vec<Text>,
    bytes: u64,
    #[serde(default)]
    newest_version: Option<u64>,
    objects: usize,
}

/// What the index says of an object.
#[derive(Serialize, Deserialize)]
struct Line {
    id: ObjectId,
    version: Text,
    print: [u8; 16],
    meta: Meta,
    at: (u64, u32, u32, u32, u32),
}

/// What archives in use hold.
pub(super) struct Known {
    /// The newest first.
    pub archives: Vec<Arc<Archive>>,
    /// Where their own bodies lie.
    pub shelves: Vec<Arc<FileShelf>>,
}

impl Known {
    /// The same object as the newest archive in use that has it, or with the texts of that one: archives of one cluster hold mostly the same.
    fn share(&self, mut object: Object) -> Arc<Object> {
        let Some(other) = self.archives.iter().find_map(|a| a.objects.get(&object.id)) else { return Arc::new(object) };
        if other.content == object.content && other.version == object.version && other.meta == object.meta && self.lasts(other) {
            return other.clone();
        }
        object.id = other.id.clone();
        object.version = if object.version == other.version { other.version.clone() } else { object.version };
        if object.meta == other.meta {
            object.meta = other.meta.clone();
        }
        Arc::new(object)
    }

    /// Whether a body lies in memory, or in the file of an archive that is in use. What lies in the file of one that is not would keep that file
    /// open, from backup to backup, for as long as the object stays as it is.
    fn lasts(&self, object: &Object) -> bool {
        object.content.place().is_none_or(|place| self.shelves.iter().any(|shelf| place.is_on(&**shelf)))
    }
}

/// A file that is being written while its archive is read.
pub(super) struct Draft {
    known: Known,
    shelf: Arc<FileShelf>,
    out: BufWriter<File>,
    temporary: NamedTempFile,
    /// The most bytes that the file may have.
    most: u64,
    offset: u64,
    index: BufWriter<GzEncoder<Vec<u8>>>,
    /// The disk is full, the file too large or the like: what comes stays in memory.
    failed: Option<io::Error>,
    /// Bytes of texts that stayed in memory.
    spilt: u64,
}

/// An index that is packed in large pieces: the encoder takes its time over each, however small.
fn index() -> BufWriter<GzEncoder<Vec<u8>>> {
    BufWriter::with_capacity(64 << 10, GzEncoder::new(Vec::new(), Compression::fast()))
}

impl Draft {
    pub fn begin(room: &Room, name: &str, redactor: &Redactor, known: Known) -> io::Result<Self> {
        let temporary = room.draft()?;
        let mut out = BufWriter::with_capacity(256 << 10, temporary.reopen()?);
        out.write_all(FORMAT)?;
        out.write_all(&mark(redactor))?;
        let shelf = FileShelf { file: temporary.reopen()?, path: room.folder.join(name), spoiled: AtomicBool::new(false) };
        let index = index();
        Ok(Self { known, shelf: Arc::new(shelf), out, temporary, most: room.budget, offset: HEADER, index, failed: None, spilt: 0 })
    }

    /// Whether so many bytes more are too many.
    fn check(&self, more: u64) -> io::Result<()> {
        if self.offset + more <= self.most {
            return Ok(());
        }
        Err(io::Error::other(format!("this one takes more than the {} bytes of `velero.max_cache`", self.most)))
    }

    fn put(&mut self, object: &Reduced, texts: [&str; 3], print: Fingerprint, extent: Extent) -> io::Result<()> {
        self.check(texts.iter().map(|t| t.len() as u64).sum())?;
        for text in texts {
            self.out.write_all(text.as_bytes())?;
        }
        self.offset += u64::from(extent.content) + u64::from(extent.managers) + u64::from(extent.applied);
        let line = Line {
            id: object.id.clone(),
            version: object.version.clone(),
            print: print.bytes(),
            meta: object.meta.clone(),
            at: (extent.offset, extent.content, extent.managers, extent.applied, extent.check),
        };
        serde_json::to_writer(&mut self.index, &line)?;
        self.index.write_all(b"\n")
    }

    /// Ends the file and puts it in its place. The archive can be read from in any case.
    pub fn finish(mut self, archive: &Archive) -> (Arc<FileShelf>, io::Result<()>) {
        let written = self.failed.take().map_or_else(|| self.end(archive), Err);
        let flushed = self.out.flush();
        let shelf = self.shelf.clone();
        let placed = written.and(flushed).and_then(|()| self.temporary.persist(&shelf.path).map(drop).map_err(|e| e.error));
        (shelf, placed)
    }

    fn end(&mut self, archive: &Archive) -> io::Result<()> {
        let index = std::mem::replace(&mut self.index, index()).into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        let head = Head {
            origin: archive.origin.clone(),
            cluster_uid: archive.cluster_uid.clone(),
            namespaces: archive.namespaces.clone(),
            torn: archive.torn.clone(),
            diagnostics: archive.diagnostics.clone(),
            unreadable: archive.unreadable.iter().cloned().collect(),
            bytes: archive.bytes,
            newest_version: archive.newest_version,
            objects: archive.objects.len(),
        };
        let mut first = GzEncoder::new(Vec::new(), Compression::fast());
        first.write_all(&serde_json::to_vec(&head)?)?;
        first.write_all(b"\n")?;
        let whole = [first.finish()?, index].concat();
        self.check(whole.len() as u64 + FOOTER)?;
        self.out.write_all(&whole)?;
        self.out.write_all(&self.offset.to_le_bytes())?;
        self.out.write_all(&(whole.len() as u64).to_le_bytes())?;
        self.out.write_all(&Sha256::digest(&whole))
    }
}

impl Keep for Draft {
    fn keep(&mut self, mut object: Reduced) -> Arc<Object> {
        // It changes with every write of a status, and nothing asks a backup for it.
        object.meta.resource_version = None;
        let content = object.value.to_string();
        let extent = Extent::of(self.offset, &content, object.managers.as_deref(), object.applied.as_deref());
        let size = content.len() as u64;
        let Some(extent) = extent.filter(|_| self.failed.is_none()) else {
            self.spilt += size;
            return Arc::new(object.packed());
        };
        let print = Fingerprint::of(content.as_bytes());
        let texts = [&*content, object.managers.as_deref().unwrap_or_default(), object.applied.as_deref().unwrap_or_default()];
        if let Err(e) = self.put(&object, texts, print, extent) {
            warn!("the cache of backups cannot be written: {e}; what does not fit is kept in memory, and this one is read anew after a restart");
            self.failed = Some(e);
            self.spilt += size;
            return Arc::new(object.packed());
        }
        let place = Place::on(self.shelf.clone(), extent);
        self.known.share(Object::remembered(object.id, object.version, print, object.meta, place))
    }

    fn spilt(&self) -> u64 {
        self.spilt
    }
}

/// What came of looking for a file.
pub(super) enum Loaded {
    Good(Arc<Archive>, Arc<FileShelf>),
    None,
    OtherKey,
    Damaged(String),
}

/// Reads an archive's file, but for the bodies.
pub(super) fn load(path: &Path, redactor: &Redactor, known: &Known) -> Loaded {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Loaded::None,
        Err(e) => return Loaded::Damaged(e.to_string()),
    };
    // The time of last use decides which file goes when there are too many.
    let _ = file.set_modified(SystemTime::now());
    let mut header = [0; HEADER as usize];
    if let Err(e) = file.read_exact_at(&mut header, 0) {
        return Loaded::Damaged(e.to_string());
    }
    if header[..16] != *FORMAT {
        return Loaded::Damaged("it is of another format".to_owned());
    }
    if header[16..] != mark(redactor) {
        return Loaded::OtherKey;
    }
    let shelf = Arc::new(FileShelf { file, path: path.to_owned(), spoiled: AtomicBool::new(false) });
    match read_index(&shelf, known) {
        Ok(archive) => Loaded::Good(Arc::new(archive), shelf),
        Err(e) => Loaded::Damaged(e.to_string()),
    }
}

fn read_index(shelf: &Arc<FileShelf>, known: &Known) -> io::Result<Archive> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let size = shelf.file.metadata()?.len();
    let footer_at = size.checked_sub(FOOTER).filter(|at| *at >= HEADER).ok_or_else(|| bad("it is too short"))?;
    let mut footer = [0; FOOTER as usize];
    shelf.file.read_exact_at(&mut footer, footer_at)?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| footer[at + n]));
    let (offset, length) = (number(0), number(8));
    if offset.checked_add(length) != Some(footer_at) || length > MAX_INDEX {
        return Err(bad("its end is not where it should be"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| bad("its index is too large"))?];
    shelf.file.read_exact_at(&mut bytes, offset)?;
    if footer[16..] != *Sha256::digest(&bytes) {
        return Err(bad("its index is damaged"));
    }
    let mut lines = BufReader::new(MultiGzDecoder::new(&bytes[..]));
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let head: Head = serde_json::from_str(&line)?;
    let mut archive = Archive {
        origin: head.origin,
        cluster_uid: head.cluster_uid,
        namespaces: head.namespaces,
        torn: head.torn,
        diagnostics: head.diagnostics,
        unreadable: head.unreadable.into_iter().collect(),
        bytes: head.bytes,
        newest_version: head.newest_version,
        ..Archive::default()
    };
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            break;
        }
        let Line { id, version, print, meta, at } = serde_json::from_str(&line)?;
        let extent = Extent { offset: at.0, content: at.1, managers: at.2, applied: at.3, check: at.4 };
        let place = Place::on(shelf.clone(), extent);
        archive.objects.insert(known.share(Object::remembered(id, version, Fingerprint::from_bytes(print), meta, place)));
    }
    if archive.objects.len() != head.objects {
        return Err(bad("its index is not whole"));
    }
    archive.objects.shrink_to_fit();
    Ok(archive)
}
