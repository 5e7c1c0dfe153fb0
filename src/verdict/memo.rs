//! Remembers comparisons between two runs, so that one edit compares one object again. pure
//!
//! Keys are fingerprints of what was compared, so an entry can never be wrong, only unused. What a run did not use is gone after it.

use std::{
    cell::{Cell, RefCell},
    hash::Hash,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    compared::{Past, Trio},
    derived::makers::{Sought, sought},
    disagreements::Remembered,
    fast::{FastMap, quick_hash},
    schemas::PairPrint,
};
use crate::{
    object::{BodyError, Fingerprint, Object, ObjectId, Packed, Place},
    report::model::Disagreement,
    witness::{Backup, Failure},
};

/// Entries that a memo keeps of each sort if nothing else is asked for: enough for some 200,000 objects.
const DEFAULT_CAP: usize = 200_000;

/// What one comparison depends on besides the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TrioKey {
    /// Desired content.
    pub desired: Fingerprint,
    /// Whether the manifest's namespace is dropped.
    pub drops_namespace: bool,
    /// Live content and its field managers.
    pub live: Option<(Fingerprint, u64)>,
    /// The object's autoscalers.
    pub scaling: u64,
    /// The deployer that lists the object.
    pub listed: u64,
    /// The backup's content and its field managers.
    pub backup: Option<(Fingerprint, u64)>,
    /// The schemas that the comparisons with the cluster and the backup stand on.
    pub schemas: [Option<PairPrint>; 2],
}

/// What a comparison of a backup's copy with what runs depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FullKey {
    /// Live content.
    pub live: Fingerprint,
    /// The copy's content.
    pub copy: Fingerprint,
    /// The schemas of both versions.
    pub schemas: PairPrint,
}

/// A hash of field managers, or of what was last applied.
pub(super) fn print_of(packed: Option<&Packed>) -> u64 {
    quick_hash(packed.map(Packed::bytes))
}

/// What is read out of a CustomResourceDefinition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

/// How much of the last run was remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoStats {
    /// Comparisons made.
    pub compared: usize,
    /// Comparisons remembered.
    pub reused: usize,
    /// Entries held now.
    pub entries: usize,
}

struct Cache<K, V> {
    entries: FastMap<K, (V, u64)>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { entries: FastMap::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn get(&mut self, key: &K, round: u64) -> Option<V> {
        let (value, used) = self.entries.get_mut(key)?;
        *used = round;
        Some(value.clone())
    }

    /// Keeps the value if there is room; without room the next run works it out again.
    fn put(&mut self, key: K, value: V, round: u64, cap: usize) {
        if self.entries.len() < cap {
            self.entries.insert(key, (value, round));
        }
    }

    fn sweep(&mut self, round: u64) {
        self.entries.retain(|_, (_, used)| *used == round);
    }
}

/// Comparisons of earlier runs. One belongs to one stream of reports; a fresh one is always right, only slower.
pub struct Memo {
    cap: usize,
    round: Cell<u64>,
    policy: Cell<Option<Fingerprint>>,
    compared: Cell<usize>,
    reused: Cell<usize>,
    trios: RefCell<Cache<TrioKey, Arc<Trio>>>,
    pasts: RefCell<Cache<TrioKey, Past>>,
    fulls: RefCell<Cache<FullKey, Result<bool, Failure>>>,
    rules: RefCell<Cache<(Fingerprint, u64), Option<usize>>>,
    makers: RefCell<Cache<(Fingerprint, ObjectId), Option<Sought>>>,
    labels: RefCell<Cache<Fingerprint, Arc<Map<String, Value>>>>,
    definitions: RefCell<Cache<Fingerprint, Arc<Definition>>>,
    schemas: RefCell<Cache<Fingerprint, Option<Arc<crate::drift::schema::Definition>>>>,
    unexpected: RefCell<Vec<Remembered>>,
}

impl Default for Memo {
    fn default() -> Self {
        Self::with_cap(DEFAULT_CAP)
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").field("cap", &self.cap).field("stats", &self.stats()).finish()
    }
}

impl Memo {
    /// A memo that keeps at most this many entries of each sort; 0 remembers nothing.
    pub fn with_cap(cap: usize) -> Self {
        Self {
            cap,
            round: Cell::new(0),
            policy: Cell::new(None),
            compared: Cell::new(0),
            reused: Cell::new(0),
            trios: RefCell::default(),
            pasts: RefCell::default(),
            fulls: RefCell::default(),
            rules: RefCell::default(),
            makers: RefCell::default(),
            labels: RefCell::default(),
            definitions: RefCell::default(),
            schemas: RefCell::default(),
            unexpected: RefCell::default(),
        }
    }

    /// What the last run remembered.
    pub fn stats(&self) -> MemoStats {
        let entries = self.trios.borrow().entries.len() + self.pasts.borrow().entries.len();
        MemoStats { compared: self.compared.get(), reused: self.reused.get(), entries }
    }

    /// Starts a run under a policy; another policy than the last one's forgets what depended on it.
    pub(super) fn begin(&self, policy: Fingerprint) {
        self.round.set(self.round.get() + 1);
        self.compared.set(0);
        self.reused.set(0);
        if self.policy.replace(Some(policy)) != Some(policy) {
            self.trios.borrow_mut().entries.clear();
            self.pasts.borrow_mut().entries.clear();
        }
    }

    /// Ends a run: what it did not use is dropped.
    pub(super) fn end(&self) {
        let round = self.round.get();
        self.trios.borrow_mut().sweep(round);
        self.pasts.borrow_mut().sweep(round);
        self.fulls.borrow_mut().sweep(round);
        self.rules.borrow_mut().sweep(round);
        self.makers.borrow_mut().sweep(round);
        self.labels.borrow_mut().sweep(round);
        self.definitions.borrow_mut().sweep(round);
        self.schemas.borrow_mut().sweep(round);
        self.unexpected.borrow_mut().retain(|r| r.used == round);
    }

    fn try_remember<K: Eq + Hash, V: Clone, E>(
        &self,
        cache: &RefCell<Cache<K, V>>,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<(V, bool), E> {
        let round = self.round.get();
        if let Some(value) = cache.borrow_mut().get(&key, round) {
            return Ok((value, true));
        }
        let value = make()?;
        cache.borrow_mut().put(key, value.clone(), round, self.cap);
        Ok((value, false))
    }

    fn count(&self, reused: bool) {
        let counter = if reused { &self.reused } else { &self.compared };
        counter.set(counter.get() + 1);
    }

    /// `make` says whether what it made may be remembered: what could not be read may be read the next time.
    pub(super) fn trio(&self, key: TrioKey, make: impl FnOnce() -> (Trio, bool)) -> Arc<Trio> {
        let round = self.round.get();
        if let Some(trio) = self.trios.borrow_mut().get(&key, round) {
            self.count(true);
            return trio;
        }
        let (trio, lasts) = make();
        let trio = Arc::new(trio);
        if lasts {
            self.trios.borrow_mut().put(key, trio.clone(), round, self.cap);
        }
        self.count(false);
        trio
    }

    pub(super) fn past(&self, key: TrioKey, make: impl FnOnce() -> Result<Past, BodyError>) -> Result<Past, BodyError> {
        let (past, reused) = self.try_remember(&self.pasts, key, make)?;
        self.count(reused);
        Ok(past)
    }

    /// Whether a copy holds exactly what runs, where their letters do not tell.
    pub(super) fn full(
        &self,
        key: FullKey,
        make: impl FnOnce() -> Result<Result<bool, Failure>, BodyError>,
    ) -> Result<Result<bool, Failure>, BodyError> {
        let (same, reused) = self.try_remember(&self.fulls, key, make)?;
        self.count(reused);
        Ok(same)
    }

    /// Which rule of [`super::derived`] says so, by content alone.
    pub(super) fn rule(
        &self,
        content: Fingerprint,
        managers: u64,
        make: impl FnOnce() -> Result<Option<usize>, BodyError>,
    ) -> Result<Option<usize>, BodyError> {
        Ok(self.try_remember(&self.rules, (content, managers), make)?.0)
    }

    /// What maker the marks on an object speak of; none if it cannot be read again.
    pub(super) fn maker(&self, object: &Object) -> Option<Sought> {
        let read = || Ok::<_, BodyError>(sought(&*object.whole()?));
        self.try_remember(&self.makers, (object.content.print(), object.id.clone()), read).ok()?.0
    }

    /// Stands for who wrote an object: another number, other managedFields.
    pub(super) fn writers(&self, object: &Object) -> u64 {
        object.content.place().map_or_else(|| print_of(object.meta.managers.as_ref()), Place::writers)
    }

    /// The labels of an object.
    pub(super) fn labels(&self, object: &Object) -> Result<Arc<Map<String, Value>>, BodyError> {
        let labels = |value: Value| value.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
        let read = || Ok(Arc::new(labels(object.whole()?.content.value())));
        Ok(self.try_remember(&self.labels, object.content.print(), read)?.0)
    }

    /// The schemas in a CustomResourceDefinition. Read once for each content: some definitions are a megabyte.
    pub(super) fn schema(&self, object: &Object) -> Option<Arc<crate::drift::schema::Definition>> {
        let read = || Ok::<_, BodyError>(crate::drift::schema::definition::read(&object.whole()?.content.value()).map(Arc::new));
        self.try_remember(&self.schemas, object.content.print(), read).ok()?.0
    }

    /// Definitions of this run whose schemas could not be read in full.
    pub(super) fn definition_problems(&self) -> Vec<(crate::object::GroupKind, String)> {
        let round = self.round.get();
        let cache = self.schemas.borrow();
        let used = cache.entries.values().filter(|(_, used)| *used == round).filter_map(|(d, _)| d.as_ref());
        used.filter_map(|d| Some((d.gk.clone(), d.problem.clone()?))).collect()
    }

    /// What a backup holds beyond its spec, which is a matter of its archive and of what `key` stands for. `None`: a body could not be read; it may
    /// be the next time.
    pub(super) fn unexpected(
        &self,
        backup: &Backup,
        key: u64,
        make: impl FnOnce() -> Result<Vec<Disagreement>, BodyError>,
    ) -> Option<Arc<Vec<Disagreement>>> {
        let archive = backup.content.archive().ok()?;
        let used = self.round.get();
        let same = |r: &&mut Remembered| Arc::ptr_eq(&r.archive, archive) && r.key == key && r.scope == backup.scope;
        if let Some(known) = self.unexpected.borrow_mut().iter_mut().find(same) {
            known.used = used;
            return Some(known.found.clone());
        }
        let found = make().map(Arc::new).ok()?;
        if self.cap > 0 {
            let (archive, scope) = (archive.clone(), backup.scope.clone());
            self.unexpected.borrow_mut().push(Remembered { archive, scope, key, found: found.clone(), used });
        }
        Some(found)
    }

    /// What a CustomResourceDefinition defines; empty texts if it is not one.
    pub(super) fn definition(&self, object: &Object) -> Result<Arc<Definition>, BodyError> {
        let read = || {
            let value = object.whole()?.content.value();
            let text = |p: &str| value.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
            let namespaced = text("/spec/scope") != "Cluster";
            Ok(Arc::new(Definition { kind: text("/spec/names/kind"), plural: text("/spec/names/plural"), namespaced }))
        };
        Ok(self.try_remember(&self.definitions, object.content.print(), read)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{judge, world::World};

    #[test]
    fn one_edit_compares_one_object_again() {
        let mut world = World::sample();
        let mut memo = Memo::default();
        let first = judge(&world.inputs(), &mut memo);
        assert!(memo.stats().compared >= 3, "{:?}", memo.stats());
        assert_eq!(judge(&world.inputs(), &mut memo), first);
        assert_eq!(memo.stats().compared, 0, "nothing changed");
        world = world.runs(vec![World::deployment("cart", 9)]);
        judge(&world.inputs(), &mut memo);
        assert_eq!(memo.stats().compared, 1, "one object was edited");
    }

    #[test]
    fn what_a_run_did_not_use_is_forgotten() {
        let mut memo = Memo::default();
        judge(&World::sample().inputs(), &mut memo);
        assert!(memo.stats().entries > 0);
        judge(&World::new().inputs(), &mut memo);
        assert_eq!(memo.stats().entries, 0);
    }

    #[test]
    fn a_cap_bounds_the_entries_and_changes_no_verdict() {
        let world = World::sample();
        let mut small = Memo::with_cap(1);
        let report = judge(&world.inputs(), &mut small);
        assert!(small.stats().entries <= 2, "at most one of each sort: {:?}", small.stats());
        assert_eq!(report, judge(&world.inputs(), &mut Memo::default()));
    }
}
