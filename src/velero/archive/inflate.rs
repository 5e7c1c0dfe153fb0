//! A gzip stream under caps: bytes in all, ratio and time. I/O: reads the stream it is given, and the clock for the deadline.

use std::{
    io::{self, BufRead, BufReader, Read},
    time::Instant,
};

use flate2::bufread::GzDecoder;

use super::error::Problem;
use crate::config::ArchiveLimits;

/// Bytes that may inflate freely before the ratio is looked at.
const FREE: u64 = 64 << 20;

/// Inflated bytes per compressed byte beyond which an archive is a bomb. Archives of objects are at 10 to 60; deflate ends at 1032.
const RATIO: u64 = 300;

/// Counts what passes.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// The inflated stream.
pub(super) struct Inflate<R: Read> {
    decoder: GzDecoder<BufReader<Counted<R>>>,
    limits: ArchiveLimits,
    started: Instant,
    inflated: u64,
    ended: bool,
}

impl<R: Read> Inflate<R> {
    pub fn open(reader: R, limits: &ArchiveLimits) -> Result<Self, Problem> {
        let started = Instant::now();
        let mut buffered = BufReader::with_capacity(64 << 10, Counted { inner: reader, bytes: 0 });
        let head = buffered.fill_buf().map_err(|e| Problem::Io(e.to_string()))?;
        match head {
            [] => return Err(Problem::Empty),
            [0x1f] => return Err(Problem::Truncated),
            [0x1f, 0x8b, ..] => {}
            _ => return Err(Problem::NotGzip),
        }
        Ok(Self { decoder: GzDecoder::new(buffered), limits: *limits, started, inflated: 0, ended: false })
    }

    fn check(&self) -> Result<(), Problem> {
        if self.inflated > self.limits.total_bytes {
            return Err(Problem::TooLarge(self.limits.total_bytes));
        }
        let compressed = self.decoder.get_ref().get_ref().bytes;
        if self.inflated > FREE && self.inflated / compressed.max(1) > RATIO {
            return Err(Problem::Bomb { inflated: self.inflated, compressed });
        }
        if self.started.elapsed() > self.limits.time {
            return Err(Problem::TooSlow(self.limits.time));
        }
        Ok(())
    }

    /// Reads on to the end, so that the checksum is verified, and sees that nothing follows. Returns the bytes inflated in all.
    pub fn finish(mut self) -> Result<u64, Problem> {
        let mut buffer = vec![0; 64 << 10];
        while self.fill(&mut buffer)? > 0 {}
        let inflated = self.inflated;
        let mut rest = self.decoder.into_inner();
        match rest.fill_buf() {
            Ok([]) => Ok(inflated),
            Ok(_) => Err(Problem::TrailingGarbage),
            Err(e) => Err(Problem::Io(e.to_string())),
        }
    }

    /// Fills the buffer as far as the stream goes. Fewer bytes mean that it ended.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            match self.decoder.read(&mut buffer[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    filled += read;
                    self.inflated += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Problem::Truncated),
                Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                    return Err(Problem::Corrupt(e.to_string()));
                }
                Err(e) => return Err(Problem::Io(e.to_string())),
            }
            self.check()?;
        }
        Ok(filled)
    }
}
