//! The entries of a tar stream, with nothing in memory but one header and one name. I/O: the stream that it is given.
//!
//! Own code around the `tar` crate's header, because that crate reads extension headers of any size into memory.

use tar::{EntryType, Header, PaxExtensions};

use super::{error::Problem, inflate::Stream};

const BLOCK: u64 = 512;

/// The longest name of an entry: two names of 253 bytes and the folders around them have ample room.
pub(super) const MAX_NAME: usize = 4096;

/// The largest extension header: a name and some attributes. Go's archive/tar, which Velero restores with, refuses more.
const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is whose name is longer than [`MAX_NAME`].
const LONG_NAME: Kind = Kind::Other("a file with a name that no object can have");

/// Where the header of an old GNU sparse file says that more headers follow, and where those say it (GNU tar manual, "Basic Tar Format").
const SPARSE_MORE: usize = 482;
const SPARSE_STILL_MORE: usize = 504;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Other(&'static str),
}

/// Entries that are no plain file and have content all the same.
const UNKNOWN: &str = "of an unknown type";
const SPARSE: &str = "a sparse file";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Name without leading `./`.
    pub path: String,
    pub kind: Kind,
    pub size: u64,
}

pub(super) struct Tarball {
    inner: Stream,
    max_entries: u64,
    entries: u64,
    /// Bytes of the present entry that were not read yet, padding included.
    left: u64,
}

impl Tarball {
    pub fn new(inner: Stream, max_entries: u64) -> Self {
        Self { inner, max_entries, entries: 0, left: 0 }
    }

    pub fn into_inner(self) -> Stream {
        self.inner
    }

    /// The next entry, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Member>, Problem> {
        self.skip()?;
        let (mut long_name, mut long_size, mut sparse) = (None, None, false);
        loop {
            let mut header = Header::new_old();
            match self.inner.fill(header.as_mut_bytes())? {
                0 => return Ok(None),
                n if n as u64 == BLOCK => {}
                _ => return Err(Problem::MalformedTar("it ends within a header".to_owned())),
            }
            if is_blank(&header) {
                // Two empty blocks end a tar; one alone at the end of the stream will do (Go's archive/tar).
                let rest = self.inner.fill(header.as_mut_bytes())?;
                let ended = rest == 0 || is_blank(&header);
                return if ended { Ok(None) } else { Err(Problem::MalformedTar("an empty header stands between others".to_owned())) };
            }
            self.entries += 1;
            if self.entries > self.max_entries {
                return Err(Problem::TooManyEntries(self.max_entries));
            }
            verify(&header)?;
            let size = header.entry_size().map_err(|_| Problem::MalformedTar("a size is no number".to_owned()))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let mut name = self.extension(size)?;
                    name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                    long_name = Some(name);
                }
                EntryType::XHeader => {
                    let extension = self.extension(size)?;
                    for pair in PaxExtensions::new(&extension).flatten() {
                        match pair.key_bytes() {
                            b"path" => long_name = Some(pair.value_bytes().to_vec()),
                            // The header's own size is void then (RUSTSEC-2026-0068).
                            b"size" => {
                                let told = pair.value().ok().and_then(|v| v.parse().ok());
                                long_size = Some(told.ok_or_else(|| Problem::MalformedTar("a size is no number".to_owned()))?);
                            }
                            key if key.starts_with(b"GNU.sparse.") => sparse = true,
                            _ => {}
                        }
                    }
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.left = padded(size)?;
                    self.skip()?;
                }
                kind => {
                    let size = long_size.unwrap_or(size);
                    let kind = match kind {
                        EntryType::GNUSparse => {
                            self.sparse_headers(&mut header)?;
                            Kind::Other(SPARSE)
                        }
                        EntryType::Regular | EntryType::Continuous if sparse => Kind::Other(SPARSE),
                        EntryType::Regular | EntryType::Continuous => Kind::File,
                        EntryType::Directory => Kind::Folder,
                        EntryType::Link => Kind::Other("a hard link"),
                        EntryType::Symlink => Kind::Other("a symbolic link"),
                        EntryType::Char | EntryType::Block => Kind::Other("a device"),
                        EntryType::Fifo => Kind::Other("a pipe"),
                        _ => Kind::Other(UNKNOWN),
                    };
                    // Links and devices have no content, whatever their header says.
                    self.left = if matches!(kind, Kind::Other(what) if what != UNKNOWN && what != SPARSE) { 0 } else { padded(size)? };
                    let mut name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                    let long = name.len() > MAX_NAME;
                    name.truncate(MAX_NAME);
                    let path = String::from_utf8_lossy(&name).trim_start_matches("./").to_owned();
                    return Ok(Some(Member { path, kind: if long && kind == Kind::File { LONG_NAME } else { kind }, size }));
                }
            }
        }
    }

    /// Passes over the headers that follow the one of an old GNU sparse file.
    fn sparse_headers(&mut self, header: &mut Header) -> Result<(), Problem> {
        let mut more = header.as_bytes()[SPARSE_MORE] != 0;
        while more {
            self.entries += 1;
            if self.entries > self.max_entries {
                return Err(Problem::TooManyEntries(self.max_entries));
            }
            if (self.inner.fill(header.as_mut_bytes())? as u64) < BLOCK {
                return Err(Problem::MalformedTar("it ends within a header".to_owned()));
            }
            more = header.as_bytes()[SPARSE_STILL_MORE] != 0;
        }
        Ok(())
    }

    /// The content of the present entry. The caller has looked at its size.
    pub fn body(&mut self, member: &Member, into: &mut Vec<u8>) -> Result<(), Problem> {
        into.clear();
        // A header may promise much and the stream hold little, so memory follows what really comes.
        let mut left = member.size;
        while left > 0 {
            let start = into.len();
            into.resize(start + left.min(64 << 10) as usize, 0);
            let read = self.inner.fill(&mut into[start..])?;
            if read < into.len() - start {
                return Err(Problem::MalformedTar("it ends within an entry".to_owned()));
            }
            left -= read as u64;
        }
        self.left -= member.size;
        Ok(())
    }

    /// Passes over what is left of the present entry.
    pub fn skip(&mut self) -> Result<(), Problem> {
        if self.inner.pass(self.left)? < self.left {
            return Err(Problem::MalformedTar("it ends within an entry".to_owned()));
        }
        self.left = 0;
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Problem> {
        if size > MAX_EXTENSION {
            return Err(Problem::MalformedTar(format!("an extension header of {size} bytes")));
        }
        self.left = padded(size)?;
        let mut bytes = Vec::new();
        let member = Member { path: String::new(), kind: Kind::File, size };
        self.body(&member, &mut bytes)?;
        self.skip()?;
        Ok(bytes)
    }
}

/// A size with the padding up to a whole block.
fn padded(size: u64) -> Result<u64, Problem> {
    size.checked_next_multiple_of(BLOCK).ok_or_else(|| Problem::MalformedTar("a size is beyond all bounds".to_owned()))
}

fn is_blank(header: &Header) -> bool {
    header.as_bytes().iter().all(|b| *b == 0)
}

fn verify(header: &Header) -> Result<(), Problem> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|b| u32::from(*b)).sum::<u32>() + 8 * u32::from(b' ');
    match header.cksum() {
        Ok(told) if told == sum => Ok(()),
        _ => Err(Problem::MalformedTar("a header's checksum is wrong".to_owned())),
    }
}
