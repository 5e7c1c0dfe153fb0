//! One update of a mirror: ask for the tip, fetch only if it moved, keep the mirror sound and small. I/O: network, cache folder.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use gix::{
    ObjectId,
    bstr::BString,
    progress::Discard,
    protocol::handshake::Ref,
    remote::{Direction, fetch::Status, fetch::Tags},
};
use tracing::{debug, warn};

use super::{
    budget::Budget,
    compact,
    error::{Fault, GitErrorKind},
    history,
    location::Location,
    mirror::{Mirror, MirrorLock},
    reference::{Offered, Wanted},
    store::{Store, words},
    transport::{self, Memory},
};
use crate::{config::Source, witness::Commit};

/// Tips that were replaced by force and are kept readable, per reference.
const SEEN: usize = 32;
/// A generation larger than this many times the cap on a fetch is fetched anew.
const DISK_FACTOR: u64 = 4;

/// Where the refs are that a mirror keeps.
pub(crate) const OURS: &str = "refs/snapgap/";
/// Where all branches and tags go for the moment when a commit is looked for among them.
const ALL: &str = "refs/snapgap-all/";

/// What an update found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The commit that the reference points at.
    pub tip: Commit,
    /// Whether that is another one than before this update (true the first time).
    pub moved: bool,
    /// Whether the former tip is no ancestor of this one: history was rewritten. The former tip stays readable.
    pub forced: bool,
    /// Requests sent to the server: HTTP requests, or connections for ssh and `file://`.
    pub requests: u32,
    /// Bytes received.
    pub bytes: u64,
}

/// Everything that one update of a mirror needs.
pub(crate) struct Job {
    pub source: Source,
    pub location: Location,
    pub wanted: Wanted,
    pub mirror: Mirror,
    pub memory: Memory,
    pub budget: Arc<Budget>,
}

/// A tip and the database that holds it.
pub(crate) struct Done {
    pub store: Arc<Store>,
    pub tip: Commit,
    pub moved: bool,
    pub forced: bool,
}

/// The name of a ref of ours for a reference: its own folder, whatever characters the reference has.
pub(crate) fn ref_folder(wanted: &Wanted) -> String {
    use sha2::Digest as _;
    let hash: String = sha2::Sha256::digest(wanted.display().as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{OURS}{hash}")
}

/// The ref that keeps the tip of a reference.
pub(crate) fn tip_ref(wanted: &Wanted) -> String {
    format!("{}/tip", ref_folder(wanted))
}

impl Job {
    /// Brings the mirror up to date.
    pub fn run(&self) -> Result<Done, Fault> {
        let lock = self.mirror.lock(&self.budget)?;
        self.mirror.sweep(&lock)?;
        let current = self.mirror.current()?;
        let Some(generation) = current else { return self.renew(&lock, None) };
        compact::tidy(&generation.path);
        let sound = !generation.is_damaged();
        let store = match Store::of_mirror(generation, self.budget.cap()) {
            Ok(store) => Arc::new(store),
            Err(_) => return self.renew(&lock, None),
        };
        if !sound {
            return self.renew(&lock, Some(&store));
        }
        match self.advance(&store, &store) {
            Ok(Step::Done(done)) => self.keep_small(&lock, done),
            Ok(Step::Oversize) => self.renew(&lock, Some(&store)),
            Err(fault) if fault.kind == GitErrorKind::Damaged => {
                warn!(source = %self.source.name, reason = %fault, "the mirror is damaged and is built anew");
                self.renew(&lock, Some(&store))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Fetches into a new generation and puts it in the place of the old one, which stays if this fails.
    fn renew(&self, lock: &MirrorLock, old: Option<&Arc<Store>>) -> Result<Done, Fault> {
        let generation = Arc::new(self.mirror.begin(lock)?);
        let fetched = Store::of_mirror(generation.clone(), self.budget.cap()).and_then(|empty| {
            let empty = Arc::new(empty);
            match self.advance(&empty, old.unwrap_or(&empty)) {
                Ok(Step::Done(done)) => Ok(done),
                Ok(Step::Oversize) => {
                    Err(Fault::new(GitErrorKind::TooLarge, "the repository is larger than the mirror may be; raise `max_fetch_bytes`"))
                }
                Err(fault) if fault.kind == GitErrorKind::Damaged => {
                    Err(Fault::new(GitErrorKind::Protocol, format!("what the server sent is no sound repository: {}", fault.what)))
                }
                Err(fault) => Err(fault),
            }
        });
        let done = match fetched {
            Ok(done) => done,
            Err(fault) => {
                drop(compact::settle(&self.mirror, lock, generation, Err(fault.clone())));
                return Err(fault);
            }
        };
        if let Some(old) = old {
            self.carry_others(old, &done.store);
        }
        let store = compact::settle(&self.mirror, lock, generation, Ok(done.store.clone()))?;
        Ok(Done { store, ..done })
    }

    /// Takes the refs of other references and former tips along, the newest first, as long as there is room. What cannot be read any more
    /// is let go.
    fn carry_others(&self, old: &Store, new: &Store) {
        let own = tip_ref(&self.wanted);
        let age = |name: &str| name.rsplit('/').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(u64::MAX);
        let mut others: Vec<_> = old.kept_under(OURS).into_iter().filter(|(name, _)| *name != own).collect();
        others.sort_by_key(|(name, _)| std::cmp::Reverse(age(name)));
        for (name, id) in others {
            if !self.size(new).is_ok_and(|size| size < self.budget.cap().saturating_mul(DISK_FACTOR / 2)) {
                debug!(source = %self.source.name, "no room for older tips");
                return;
            }
            match compact::carry(old, new, id, &self.budget.stop) {
                Ok(true) => {
                    if let Err(fault) = new.keep(&[(name, id)], &[]) {
                        warn!(source = %self.source.name, reason = %fault, "a former tip could not be kept");
                    }
                }
                Ok(false) => debug!(source = %self.source.name, commit = %id, "a former tip is too far away to be kept"),
                Err(fault) => debug!(source = %self.source.name, reason = %fault, "a former tip can not be read any more"),
            }
        }
    }

    fn keep_small(&self, lock: &MirrorLock, done: Done) -> Result<Done, Fault> {
        let Some(generation) = done.store.generation() else { return Ok(done) };
        if compact::packs(&generation.path)?.len() <= compact::MAX_PACKS {
            return Ok(done);
        }
        match compact::consolidate(&self.mirror, lock, &done.store, self.budget.cap(), &self.budget.stop) {
            Ok(store) => Ok(Done { store, ..done }),
            Err(fault) => {
                // The mirror works as it is; it only has more files than it should.
                warn!(source = %self.source.name, reason = %fault, "the mirror could not be made smaller");
                Ok(done)
            }
        }
    }

    /// Asks for the tip and fetches into `store` if it is not the one that `old` holds.
    fn advance(&self, store: &Arc<Store>, old: &Arc<Store>) -> Result<Step, Fault> {
        let fresh = !Arc::ptr_eq(store, old) || store.kept(&tip_ref(&self.wanted)).is_none();
        let known = old.kept(&tip_ref(&self.wanted));
        if let Wanted::Commit(sha) = &self.wanted {
            // A commit never moves: once it is here, there is nothing to ask.
            let id = parse(sha)?;
            if store.has(&id) {
                return self.finish(store, old, known, id);
            }
        }
        let mut tip = None;
        let mut oversize = false;
        let decide = |offered: &[Offered]| {
            tip = self.wanted.resolve(offered)?;
            let Some(sha) = &tip else { return Ok(false) };
            let moved = fresh || known.is_none_or(|k| Ok(k) != parse(sha));
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, fault)) = memory.too_large.as_ref().filter(|(known, _)| moved && known == sha) {
                return Err(fault.clone());
            }
            oversize = moved && Arc::ptr_eq(store, old) && self.size(store)? > self.budget.cap().saturating_mul(DISK_FACTOR);
            Ok(moved && !oversize)
        };
        let talked = self.talk(store, &self.wanted.candidates(), decide);
        if let (Some(sha), Err(fault)) = (&tip, &talked)
            && fault.kind == GitErrorKind::TooLarge
        {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).too_large = Some((sha.clone(), fault.clone()));
        }
        if oversize {
            return Ok(Step::Oversize);
        }
        match (&self.wanted, talked) {
            // Some servers give only what a branch or tag points at.
            (Wanted::Commit(sha), result) if !store.has(&parse(sha)?) => self.fetch_everything(store, sha, result)?,
            (_, result) => result?,
        }
        let Some(sha) = tip else {
            let mut all = Vec::new();
            self.talk(store, &["refs/heads/*".to_owned(), "refs/tags/*".to_owned()], |offered| {
                all = offered.to_vec();
                Ok(false)
            })?;
            return Err(self.wanted.missing(&all));
        };
        self.finish(store, old, known, parse(&sha)?)
    }

    fn fetch_everything(&self, store: &Arc<Store>, sha: &str, first: Result<(), Fault>) -> Result<(), Fault> {
        match first {
            Err(fault) if !matches!(fault.kind, GitErrorKind::Protocol | GitErrorKind::Damaged) => return Err(fault),
            _ => {}
        }
        let mut all = Vec::new();
        let fetched = self.talk(store, &["refs/heads/*".to_owned(), "refs/tags/*".to_owned()], |offered| {
            all = offered.to_vec();
            Ok(!all.is_empty())
        });
        // Not kept: another time, a branch `a/b` could be in the way of a branch `a`.
        let gone: Vec<String> = store.kept_under(ALL).into_iter().map(|(name, _)| name).collect();
        store.keep(&[], &gone)?;
        fetched?;
        if store.has(&parse(sha)?) { Ok(()) } else { Err(self.wanted.missing(&all)) }
    }

    fn size(&self, store: &Store) -> Result<u64, Fault> {
        let Some(generation) = store.generation() else { return Ok(0) };
        Ok(compact::packs(&generation.path)?.iter().map(|(_, size)| size).sum())
    }

    /// Reads the tip, tells how it came about, and keeps it.
    fn finish(&self, store: &Arc<Store>, old: &Arc<Store>, known: Option<ObjectId>, id: ObjectId) -> Result<Step, Fault> {
        // Opened again, since a long-lived handle has room for a bounded number of new packs.
        let store = match store.generation() {
            Some(generation) if known != Some(id) => Arc::new(Store::of_mirror(generation.clone(), self.budget.cap())?),
            _ => store.clone(),
        };
        let id = store.peel(id)?;
        let commit = store.commit(&id)?;
        store.entries(&commit.tree)?;
        let moved = known != Some(id);
        let forced = match known.filter(|_| moved) {
            Some(known) => !history::is_ancestor(&store, known, id)?,
            None => false,
        };
        let mut set = vec![(tip_ref(&self.wanted), id)];
        let mut gone = Vec::new();
        if let Some(former) = known.filter(|_| forced) {
            // In a new generation the former tip has to be brought over first; if that fails it is lost, which is no reason to fail.
            if store.has(&former) || compact::carry(old, &store, former, &self.budget.stop).unwrap_or(false) {
                gone = self.remember(&store, former, &mut set);
            }
        }
        if moved || store.kept(&tip_ref(&self.wanted)) != Some(id) {
            store.keep(&set, &gone)?;
        }
        Ok(Step::Done(Done { store, tip: commit.shown, moved, forced }))
    }

    /// Adds a ref for a former tip and names those beyond the bound.
    fn remember(&self, store: &Store, former: ObjectId, set: &mut Vec<(String, ObjectId)>) -> Vec<String> {
        let prefix = format!("{}/seen/", ref_folder(&self.wanted));
        let mut numbers: Vec<u64> = store.kept_under(&prefix).iter().filter_map(|(name, _)| name.strip_prefix(&prefix)?.parse().ok()).collect();
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |n| n.saturating_add(1));
        set.push((format!("{prefix}{next}"), former));
        let excess = (numbers.len() + 1).saturating_sub(SEEN);
        numbers.into_iter().take(excess).map(|n| format!("{prefix}{n}")).collect()
    }

    /// One conversation: greets the server, shows what it offers to `decide`, and fetches if that says so.
    fn talk(&self, store: &Store, specs: &[String], mut decide: impl FnMut(&[Offered]) -> Result<bool, Fault>) -> Result<(), Fault> {
        let remembered = self.memory.lock().is_ok_and(|m| m.has_greeting());
        let first = self.talk_once(store, specs, &mut decide);
        let forget = |fault: &Fault| matches!(fault.kind, GitErrorKind::Auth | GitErrorKind::NotFound | GitErrorKind::Protocol);
        match first {
            Err(fault) if forget(&fault) => {
                if let Ok(mut memory) = self.memory.lock() {
                    memory.forget_greeting();
                }
                // The greeting that we remembered may be outdated: the server may have moved or changed.
                if remembered { self.talk_once(store, specs, &mut decide) } else { Err(fault) }
            }
            other => other,
        }
    }

    fn talk_once(&self, store: &Store, specs: &[String], decide: &mut impl FnMut(&[Offered]) -> Result<bool, Fault>) -> Result<(), Fault> {
        let repo = store.local();
        let setup = |e: gix::Error| Fault::new(GitErrorKind::Refused, format!("cannot ask for this reference: {}", words(&e)));
        let wire = transport::open(&self.source, &self.location, &self.budget, &self.memory)?;
        // The wire knows where it leads; this address only fills a place.
        let remote = repo.remote_at_without_url_rewrite("https://snapgap.invalid/").map_err(setup)?.with_fetch_tags(Tags::None);
        // A pattern needs a name to store at. Nothing is stored under it: our refs are set by `finish`.
        let specs =
            specs.iter().map(|s| if s.ends_with('*') { format!("{s}:refs/snapgap-all/{}", s.trim_start_matches("refs/")) } else { s.clone() });
        let remote = remote.with_refspecs(specs.map(BString::from), Direction::Fetch).map_err(setup)?;
        let mut connection = remote.to_connection_with_transport(wire).with_transport_options(Box::new(()));
        connection.set_credentials(|_| Ok(None));
        let prepared = connection.prepare_fetch(Discard, Default::default()).map_err(|e| self.explain(&e, GitErrorKind::Protocol))?;
        let offered: Vec<Offered> = prepared.ref_map().remote_refs.iter().map(offered).collect();
        if !decide(&offered)? {
            return Ok(());
        }
        let outcome = prepared.receive(Discard, &self.budget.stop).map_err(|e| self.explain(&e, GitErrorKind::Damaged))?;
        if let Status::Change { write_pack_bundle, .. } = outcome.status
            && let Some(keep) = write_pack_bundle.keep_path
        {
            std::fs::remove_file(&keep).map_err(|e| Fault::io("remove", &keep, &e))?;
        }
        Ok(())
    }

    /// What a failed conversation means. What the wire noted is nearer to the truth than what gix made of it.
    fn explain(&self, error: &gix::Error, otherwise: GitErrorKind) -> Fault {
        if let Some(fault) = self.budget.take_fault() {
            return fault;
        }
        if self.budget.stop.load(Ordering::Relaxed) || self.budget.remaining().is_zero() {
            let _ = self.budget.check();
            return self.budget.take_fault().unwrap_or_else(|| self.budget.timeout_fault());
        }
        let fault = super::store::from_gix("write the mirror in", std::path::Path::new("the cache folder"), error);
        if fault.kind == GitErrorKind::DiskFull {
            return fault;
        }
        Fault::new(otherwise, self.budget.safe(&words(error)))
    }
}

enum Step {
    Done(Done),
    Oversize,
}

fn parse(sha: &str) -> Result<ObjectId, Fault> {
    ObjectId::from_hex(sha.as_bytes()).map_err(|_| Fault::new(GitErrorKind::Protocol, "the server names a commit that is no SHA-1 id"))
}

fn offered(reference: &Ref) -> Offered {
    let (name, target, peeled) = reference.unpack();
    Offered { name: name.to_string(), commit: peeled.or(target).filter(|id| !id.is_null()).map(|id| id.to_string()) }
}
