//! A remote file as a blocking stream that survives dropped connections. I/O: tasks that read from a store; the clock for the deadline.
//!
//! After a break it goes on where it was, by a range request for the very content it began with (its etag), so what comes out is one content
//! or an error.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use tokio::sync::mpsc;

use super::error::{Fault, StoreError};

/// Tries in a row that brought nothing.
const TRIES: u32 = 5;

/// Pause after the first of them; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// Chunks that may wait to be read.
const WAITING: usize = 8;

/// Pieces of a file.
pub type Chunks = BoxStream<'static, Result<Vec<u8>, Fault>>;

/// A file that can be opened at any place of it.
pub trait Open: Send + Sync + 'static {
    /// The store, for people.
    fn place(&self) -> String;

    /// Its size, if that is known.
    fn size(&self) -> Option<u64>;

    /// Opens it from an offset on. The content must be the same at every call, else the answer is [`Fault::Replaced`].
    fn open(&self, from: u64) -> BoxFuture<'_, Result<Chunks, Fault>>;
}

/// A small file, whole.
///
/// # Errors
/// When it cannot be read, or has more bytes than `cap`.
pub async fn whole(file: &dyn Open, what: &str, cap: u64) -> Result<Vec<u8>, StoreError> {
    let fail = |fault| StoreError { place: file.place(), fault };
    let mut all = Vec::new();
    let mut chunks = file.open(0).await.map_err(fail)?;
    while let Some(chunk) = chunks.next().await {
        all.extend(chunk.map_err(fail)?);
        if all.len() as u64 > cap {
            return Err(fail(Fault::TooLarge { what: what.to_owned(), cap }));
        }
    }
    Ok(all)
}

/// Why a feed broke off, for whoever asks after reading.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Mutex<Option<StoreError>>>);

impl Verdict {
    /// The error, if there was one.
    pub fn error(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: StoreError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The stream.
pub struct Feed {
    chunks: mpsc::Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
    verdict: Verdict,
}

impl Feed {
    /// Starts to read; a task of the runtime it is called in does the work until the feed is dropped.
    pub fn start(file: Arc<dyn Open>, limit: Duration) -> (Self, Verdict) {
        let (sender, chunks) = mpsc::channel(WAITING);
        let verdict = Verdict::default();
        let told = verdict.clone();
        tokio::spawn(async move {
            let place = file.place();
            let deadline = Instant::now() + limit;
            let outcome = tokio::time::timeout_at(deadline.into(), supply(&*file, &sender)).await.unwrap_or(Err(Fault::Timeout(limit)));
            if let Err(fault) = outcome {
                told.set(StoreError { place, fault });
            }
        });
        (Self { chunks, chunk: Vec::new(), used: 0, verdict: verdict.clone() }, verdict)
    }
}

async fn supply(file: &dyn Open, sender: &mpsc::Sender<Vec<u8>>) -> Result<(), Fault> {
    let (mut at, mut failed) = (0, 0);
    loop {
        let before = at;
        let fault = match file.open(at).await {
            Err(fault) => fault,
            Ok(mut chunks) => loop {
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        at += chunk.len() as u64;
                        if sender.send(chunk).await.is_err() {
                            return Ok(());
                        }
                    }
                    Some(Err(fault)) => break fault,
                    None if file.size().is_none_or(|size| at >= size) => return Ok(()),
                    None => break Fault::Unreachable("the connection was closed before the end".to_owned()),
                }
            },
        };
        failed = if at > before { 1 } else { failed + 1 };
        let passing = matches!(fault, Fault::Unreachable(_) | Fault::Server(_) | Fault::Timeout(_));
        if !passing || failed >= TRIES {
            return Err(fault);
        }
        tracing::debug!(at, %fault, "a read from a store broke off and is taken up again");
        tokio::time::sleep(PAUSE * 2u32.pow(failed - 1)).await;
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.chunk.len() {
            match self.chunks.blocking_recv() {
                Some(chunk) => (self.chunk, self.used) = (chunk, 0),
                // The task sets the verdict before it lets go of its end.
                None => return self.verdict.error().map_or(Ok(0), |e| Err(io::Error::other(e.to_string()))),
            }
        }
        let n = buffer.len().min(self.chunk.len() - self.used);
        buffer[..n].copy_from_slice(&self.chunk[self.used..self.used + n]);
        self.used += n;
        if n == 0 && !buffer.is_empty() { self.read(buffer) } else { Ok(n) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Breaks off after so many bytes each time; may be replaced after so many openings.
    struct Shaky {
        content: Vec<u8>,
        step: usize,
        opened: AtomicUsize,
        replaced_after: usize,
    }

    impl Open for Shaky {
        fn place(&self) -> String {
            "shaky".into()
        }

        fn size(&self) -> Option<u64> {
            Some(self.content.len() as u64)
        }

        fn open(&self, from: u64) -> BoxFuture<'_, Result<Chunks, Fault>> {
            Box::pin(async move {
                if self.opened.fetch_add(1, Ordering::Relaxed) >= self.replaced_after {
                    return Err(Fault::Replaced("it".into()));
                }
                let rest = &self.content[from as usize..];
                let mut chunks: Vec<Result<Vec<u8>, Fault>> = rest.iter().take(self.step).map(|b| Ok(vec![*b])).collect();
                if rest.len() > self.step && self.step % 2 == 1 {
                    chunks.push(Err(Fault::Unreachable("reset".into())));
                }
                Ok(futures::stream::iter(chunks).boxed())
            })
        }
    }

    async fn read(step: usize, replaced_after: usize) -> (io::Result<Vec<u8>>, Option<StoreError>) {
        let file = Shaky { content: (0..40).collect(), step, opened: AtomicUsize::new(0), replaced_after };
        let (mut feed, verdict) = Feed::start(Arc::new(file), Duration::from_secs(60));
        let work = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            feed.read_to_end(&mut all).map(|_| all)
        });
        (work.await.expect("no panic"), verdict.error())
    }

    #[tokio::test]
    async fn a_dropped_connection_is_taken_up_where_it_broke() {
        for step in [15, 16, 100] {
            let (all, error) = read(step, usize::MAX).await;
            assert_eq!((all.expect("whole"), error), ((0..40).collect(), None), "{step}");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_replaced_or_never_comes_is_an_error() {
        let (all, error) = read(15, 1).await;
        assert_eq!((all.is_err(), error.map(|e| e.kind())), (true, Some("store_replaced")));
        let (all, error) = read(0, usize::MAX).await;
        assert_eq!((all.is_err(), error.map(|e| e.kind())), (true, Some("store_unreachable")));
    }
}
