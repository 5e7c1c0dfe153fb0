//! A source's repository as the rest of the program sees it. I/O: network, cache folder, files; a thread per update.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use gix::ObjectId;
use jiff::Timestamp;

use super::{
    budget::Budget,
    error::{Fault, GitError, GitErrorKind},
    history::{self, Line},
    in_place,
    location::Location,
    mirror::Mirror,
    odb_tree::GitTree,
    reference::Wanted,
    store::Store,
    transport::{self, Memory},
    update::{Done, Job, Update, tip_ref},
};
use crate::{config::Source, witness::Commit};

/// How long an update may take to end in order once its deadline has passed; then it is left to itself.
const GRACE: Duration = Duration::from_millis(500);

/// A source's repository. Cheap to clone; may be used from many threads.
///
/// A plain path is read in place and never written to. Every other location goes through a bare mirror in the cache folder, which may be
/// deleted at any time.
#[derive(Clone, Debug)]
pub struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    location: Location,
    shown: String,
    wanted: Wanted,
    /// `None`: read in place.
    mirror: Option<Mirror>,
    store: Mutex<Option<Arc<Store>>>,
    /// Last tip of a repository that is read in place; a mirror keeps it in a ref.
    last: Mutex<Option<ObjectId>>,
    memory: Memory,
    busy: Arc<AtomicBool>,
}

/// Ends the busy state, also when the worker panics.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Repository {
    /// Checks the source and opens what is there. Sends nothing and, for a mirror, writes nothing.
    ///
    /// # Errors
    /// `refused` for a location, reference or credentials that are not accepted; `not_found`, `io` or `damaged` for a path that cannot be
    /// read.
    pub fn open(source: &Source, cache_dir: &Path) -> Result<Self, GitError> {
        // The location may be one that holds credentials, so it is shown only once it has been found to hold none.
        let unread = |fault| GitError::new(&source.name, "location", fault);
        let location = Location::parse(&source.location).map_err(unread)?;
        let shown = location.display();
        let failed = |fault| GitError::new(&source.name, &shown, fault);
        let wanted = Wanted::parse(source.reference.as_deref()).map_err(failed)?;
        transport::check_auth(&source.auth, &location).map_err(failed)?;
        let (mirror, store) = match &location {
            Location::Path(path) => (None, Some(Arc::new(Store::in_place(path).map_err(failed)?))),
            _ => (Some(Mirror::new(cache_dir, &location.key(), &shown)), None),
        };
        let inner = Inner {
            source: source.clone(),
            location,
            wanted,
            mirror,
            store: Mutex::new(store),
            last: Mutex::default(),
            memory: Memory::default(),
            busy: Arc::default(),
            shown,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The location for people, without credentials.
    pub fn location(&self) -> &str {
        &self.inner.shown
    }

    /// The reference for people.
    pub fn reference(&self) -> &str {
        self.inner.wanted.display()
    }

    /// Asks for the tip, and fetches if it moved. Blocks for at most `timeout` and a moment; call it where blocking is allowed. Setting
    /// `cancel` ends it within some 50 ms. An update that is under way already in another thread is waited for.
    ///
    /// # Errors
    /// See [`super::GitErrorKind`]. The mirror is as it was: what it holds can still be read.
    pub fn update(&self, cancel: &AtomicBool) -> Result<Update, GitError> {
        let inner = &self.inner;
        let budget = Arc::new(Budget::new(inner.source.timeout, inner.source.max_fetch_bytes));
        let busy = self.take_turn(&budget, cancel)?;
        let (tell, told) = sync_channel(1);
        let worker = {
            let (this, budget) = (self.clone(), budget.clone());
            let name = format!("git {}", inner.source.name);
            std::thread::Builder::new().name(name).spawn(move || {
                let _busy = busy;
                // Nobody listens any more if the deadline has passed.
                let _ = tell.send(this.inner.work(&budget));
            })
        };
        worker.map_err(|e| self.failed(Fault::new(GitErrorKind::Io, format!("cannot start a thread: {e}"))))?;
        let mut over = Duration::ZERO;
        let pause = Duration::from_millis(20);
        let done = loop {
            match told.recv_timeout(pause) {
                Ok(done) => break done,
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Fault::damaged("reading the repository ended in a fault of the program; please report it"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if cancel.load(Ordering::Relaxed) || budget.remaining().is_zero() {
                budget.stop.store(true, Ordering::Relaxed);
                over += pause;
            }
            if over > GRACE {
                let _ = budget.check();
                break Err(budget.take_fault().unwrap_or_else(|| budget.timeout_fault()));
            }
        };
        let done = done.map_err(|fault| self.failed(fault))?;
        Ok(Update { tip: done.tip, moved: done.moved, forced: done.forced, requests: budget.requests(), bytes: budget.bytes() })
    }

    fn take_turn(&self, budget: &Budget, cancel: &AtomicBool) -> Result<Busy, GitError> {
        while self.inner.busy.swap(true, Ordering::Acquire) {
            if cancel.load(Ordering::Relaxed) {
                return Err(self.failed(Fault::new(GitErrorKind::Cancelled, "stopped on request")));
            }
            if budget.remaining().is_zero() {
                return Err(self.failed(Fault::new(GitErrorKind::Timeout, "an earlier update of this source has not ended yet")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Busy(self.inner.busy.clone()))
    }

    /// The tip as last known, without asking anybody; `None` if there never was an update.
    pub fn last_tip(&self) -> Result<Option<Commit>, GitError> {
        let find = || {
            let Some(store) = self.inner.known_store()? else { return Ok(None) };
            let id = match &self.inner.mirror {
                Some(_) => store.kept(&tip_ref(&self.inner.wanted)),
                None => *self.inner.last.lock().unwrap_or_else(PoisonError::into_inner),
            };
            id.map(|id| store.commit(&id).map(|c| c.shown)).transpose()
        };
        find().map_err(|fault| self.failed(fault))
    }

    /// The files of a commit.
    pub fn tree(&self, sha: &str) -> Result<GitTree, GitError> {
        self.with_commit(sha, |store, id| Ok(GitTree::new(store.clone(), store.commit(&id)?.tree)))
    }

    /// A commit.
    pub fn commit(&self, sha: &str) -> Result<Commit, GitError> {
        self.with_commit(sha, |store, id| Ok(store.commit(&id)?.shown))
    }

    /// The one commit whose id begins with these digits.
    pub fn find_commit(&self, digits: &str) -> Result<Commit, GitError> {
        let run = || {
            let store = self.inner.known_store()?;
            let found = store.as_ref().map_or_else(|| Ok(Vec::new()), |s| s.commits_beginning(digits))?;
            match (&found[..], store) {
                ([id], Some(store)) => Ok(store.commit(id)?.shown),
                ([], _) => {
                    let shown = super::error::clean(digits, 80);
                    Err(Fault::new(
                        GitErrorKind::NotFound,
                        format!("no commit `{shown}`; give four digits of its id at least, of one that is on the ref"),
                    ))
                }
                (several, _) => {
                    let what = format!("`{digits}` can be any of {} commits; give more digits", several.len());
                    Err(Fault::new(GitErrorKind::AmbiguousRef, what))
                }
            }
        };
        run().map_err(|fault| self.failed(fault))
    }

    /// The first-parent line from `sha`, newest first: at most `limit` commits, ending with the first one older than `not_older_than`.
    pub fn first_parents(&self, sha: &str, limit: usize, not_older_than: Option<Timestamp>) -> Result<Line, GitError> {
        self.with_commit(sha, |store, id| history::first_parents(store, id, limit, not_older_than))
    }

    /// Whether `old` is `new` or an ancestor of it. An `old` that is not here is none.
    pub fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, GitError> {
        let old = parse(old).map_err(|fault| self.failed(fault))?;
        self.with_commit(new, |store, new| history::is_ancestor(store, old, new))
    }

    fn with_commit<T>(&self, sha: &str, work: impl FnOnce(&Arc<Store>, ObjectId) -> Result<T, Fault>) -> Result<T, GitError> {
        let run = || {
            let id = parse(sha)?;
            let store = self.inner.known_store()?.filter(|s| s.has(&id));
            let store = store.ok_or_else(|| Fault::new(GitErrorKind::NotFound, format!("no commit {id} here; it may not have been fetched yet")))?;
            work(&store, id)
        };
        run().map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: Fault) -> GitError {
        GitError::new(&self.inner.source.name, &self.inner.shown, fault)
    }
}

impl Inner {
    fn work(&self, budget: &Arc<Budget>) -> Result<Done, Fault> {
        let done = match &self.mirror {
            None => self.read_in_place()?,
            Some(mirror) => Job {
                source: self.source.clone(),
                location: self.location.clone(),
                wanted: self.wanted.clone(),
                mirror: mirror.clone(),
                memory: self.memory.clone(),
                budget: budget.clone(),
            }
            .run()?,
        };
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(done.store.clone());
        Ok(done)
    }

    fn read_in_place(&self) -> Result<Done, Fault> {
        let Location::Path(path) = &self.location else { return Err(Fault::new(GitErrorKind::Io, "not a path")) };
        // Opened again each time: the folder may have been replaced, and packs come and go.
        let store = Arc::new(Store::in_place(path)?);
        let id = in_place::tip(&store, &self.wanted)?;
        let commit = store.commit(&id)?;
        store.entries(&commit.tree)?;
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(id);
        let moved = known != Some(id);
        let forced = match known.filter(|_| moved) {
            Some(known) => !history::is_ancestor(&store, known, id)?,
            None => false,
        };
        Ok(Done { store, tip: commit.shown, moved, forced })
    }

    /// The database at hand: of the last update, or of an earlier process.
    fn known_store(&self) -> Result<Option<Arc<Store>>, Fault> {
        let mut held = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none()
            && let Some(mirror) = &self.mirror
            && let Some(generation) = mirror.current()?
        {
            *held = Some(Arc::new(Store::of_mirror(generation, self.source.max_fetch_bytes)?));
        }
        Ok(held.clone())
    }
}

fn parse(sha: &str) -> Result<ObjectId, Fault> {
    ObjectId::from_hex(sha.as_bytes()).map_err(|_| Fault::new(GitErrorKind::Refused, "a commit must be written with all its 40 digits"))
}
