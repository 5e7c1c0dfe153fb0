//! A gzip stream under caps: bytes in all, ratio and time; inflated ahead in a thread. I/O: reads the stream it is given, and the clock.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Instant,
};

use flate2::bufread::GzDecoder;

use super::error::Problem;
use crate::config::ArchiveLimits;

/// Bytes that may inflate freely before the ratio is looked at.
const FREE: u64 = 64 << 20;

/// Inflated bytes per compressed byte beyond which an archive is a bomb. Archives of objects are at 10 to 60; deflate ends at 1032.
const RATIO: u64 = 300;

/// Bytes that are handed over at once, and how many such blocks may wait.
const BLOCK: usize = 256 << 10;
const WAITING: usize = 4;

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
    fn finish(mut self) -> Result<u64, Problem> {
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
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
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

/// What was inflated, in order.
pub(super) struct Stream {
    blocks: Receiver<Result<Vec<u8>, Problem>>,
    block: Vec<u8>,
    used: usize,
    bytes: u64,
    /// How it ended: nothing, or why it broke off.
    end: Option<Result<(), Problem>>,
}

impl<R: Read + Send> Inflate<R> {
    /// Inflates in a thread of its own while `work` looks at what came out, so that both take their time at once.
    pub fn ahead<T>(mut self, work: impl FnOnce(Stream) -> T) -> T {
        thread::scope(|scope| {
            let (sender, blocks) = sync_channel(WAITING);
            scope.spawn(move || {
                loop {
                    let mut block = vec![0; BLOCK];
                    // Whoever listens may have seen enough: then nobody is there to be told.
                    match self.fill(&mut block) {
                        Ok(0) => {
                            // The end is only known to be sound when the checksum and what follows were looked at.
                            if let Err(problem) = self.finish() {
                                let _ = sender.send(Err(problem));
                            }
                            return;
                        }
                        Ok(filled) => {
                            block.truncate(filled);
                            if sender.send(Ok(block)).is_err() {
                                return;
                            }
                        }
                        Err(problem) => {
                            let _ = sender.send(Err(problem));
                            return;
                        }
                    }
                }
            });
            work(Stream { blocks, block: Vec::new(), used: 0, bytes: 0, end: None })
        })
    }
}

impl Stream {
    /// Gets the next block, unless the stream has ended.
    fn refill(&mut self) -> Result<bool, Problem> {
        match &self.end {
            Some(Ok(())) => return Ok(false),
            Some(Err(problem)) => return Err(problem.clone()),
            None => {}
        }
        match self.blocks.recv() {
            Ok(Ok(block)) => {
                self.bytes += block.len() as u64;
                (self.block, self.used) = (block, 0);
                Ok(true)
            }
            Ok(Err(problem)) => {
                self.end = Some(Err(problem.clone()));
                Err(problem)
            }
            Err(_) => {
                self.end = Some(Ok(()));
                Ok(false)
            }
        }
    }

    /// Fills the buffer as far as the stream goes. Fewer bytes mean that it ended.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == self.block.len() && !self.refill()? {
                break;
            }
            let n = (buffer.len() - filled).min(self.block.len() - self.used);
            buffer[filled..filled + n].copy_from_slice(&self.block[self.used..self.used + n]);
            self.used += n;
            filled += n;
        }
        Ok(filled)
    }

    /// Passes over bytes; returns how many were there.
    pub fn pass(&mut self, mut bytes: u64) -> Result<u64, Problem> {
        let wanted = bytes;
        while bytes > 0 {
            if self.used == self.block.len() && !self.refill()? {
                break;
            }
            let n = bytes.min((self.block.len() - self.used) as u64);
            self.used += n as usize;
            bytes -= n;
        }
        Ok(wanted - bytes)
    }

    /// Reads on to the end, which verifies the checksum and that nothing follows. Returns the bytes inflated in all.
    pub fn finish(mut self) -> Result<u64, Problem> {
        while self.refill()? {}
        Ok(self.bytes)
    }
}
