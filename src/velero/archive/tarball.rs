//! The entries of a tar stream, with nothing in memory but one header and one name. I/O: the stream that it is given.
//!
//! Own code around the `tar` crate's header, because that crate reads extension headers of any size into memory.

use std::io::Read;

use tar::{EntryType, Header, PaxExtensions};

use super::{error::Problem, inflate::Inflate};

const BLOCK: u64 = 512;

/// The longest name of an entry: two names of 253 bytes and the folders around them have ample room.
pub(super) const MAX_NAME: u64 = 4096;

/// The largest extension header: a name and some attributes.
const MAX_EXTENSION: u64 = 64 << 10;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Other(&'static str),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Name without leading `./`.
    pub path: String,
    pub kind: Kind,
    pub size: u64,
}

pub(super) struct Tarball<R: Read> {
    inner: Inflate<R>,
    max_entries: u64,
    entries: u64,
    /// Bytes of the present entry that were not read yet, padding included.
    left: u64,
}

impl<R: Read> Tarball<R> {
    pub fn new(inner: Inflate<R>, max_entries: u64) -> Self {
        Self { inner, max_entries, entries: 0, left: 0 }
    }

    pub fn into_inner(self) -> Inflate<R> {
        self.inner
    }

    /// The next entry, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Member>, Problem> {
        self.skip()?;
        let (mut long_name, mut long_size) = (None, None);
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
                    let mut name = self.extension(size, MAX_NAME + 1)?;
                    name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                    long_name = Some(name);
                }
                EntryType::XHeader => {
                    let extension = self.extension(size, MAX_EXTENSION)?;
                    for pair in PaxExtensions::new(&extension).flatten() {
                        match pair.key_bytes() {
                            b"path" => long_name = Some(pair.value_bytes().to_vec()),
                            // The header's own size is void then (RUSTSEC-2026-0068).
                            b"size" => long_size = pair.value().ok().and_then(|v| v.parse().ok()),
                            _ => {}
                        }
                    }
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.left = padded(size)?;
                    self.skip()?;
                }
                kind => {
                    let size = if long_size.is_some() { long_size.unwrap_or(size) } else { size };
                    let kind = match kind {
                        EntryType::Regular | EntryType::Continuous => Kind::File,
                        EntryType::Directory => Kind::Folder,
                        EntryType::Link => Kind::Other("a hard link"),
                        EntryType::Symlink => Kind::Other("a symbolic link"),
                        EntryType::Char | EntryType::Block => Kind::Other("a device"),
                        EntryType::Fifo => Kind::Other("a pipe"),
                        _ => Kind::Other("of an unknown type"),
                    };
                    // Links and devices have no content, whatever their header says.
                    self.left = if matches!(kind, Kind::Other(what) if what != "of an unknown type") { 0 } else { padded(size)? };
                    let name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                    if name.len() as u64 > MAX_NAME {
                        return Err(Problem::NameTooLong(MAX_NAME));
                    }
                    let name = String::from_utf8_lossy(&name);
                    let mut path = &*name;
                    while let Some(rest) = path.strip_prefix("./") {
                        path = rest;
                    }
                    return Ok(Some(Member { path: path.to_owned(), kind, size }));
                }
            }
        }
    }

    /// The content of the present entry. Refuses more than `cap` bytes without reading them.
    pub fn body(&mut self, member: &Member, cap: u64, into: &mut Vec<u8>) -> Result<(), Problem> {
        if member.size > cap {
            return Err(Problem::ObjectTooLarge { path: member.path.clone(), size: member.size, cap });
        }
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
        let mut buffer = [0; 16 << 10];
        while self.left > 0 {
            let wanted = self.left.min(buffer.len() as u64) as usize;
            if self.inner.fill(&mut buffer[..wanted])? < wanted {
                return Err(Problem::MalformedTar("it ends within an entry".to_owned()));
            }
            self.left -= wanted as u64;
        }
        Ok(())
    }

    fn extension(&mut self, size: u64, cap: u64) -> Result<Vec<u8>, Problem> {
        if size > cap {
            return Err(Problem::NameTooLong(MAX_NAME));
        }
        self.left = padded(size)?;
        let mut bytes = Vec::new();
        let member = Member { path: String::new(), kind: Kind::File, size };
        self.body(&member, cap, &mut bytes)?;
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
