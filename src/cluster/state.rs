//! What is known of each kind, and the view made of it. pure
//!
//! Times are given by the caller: a monotonic one to measure with and a wall clock one to tell.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    choice::{Choice, Chooser},
    discovery::{Catalogue, Served},
    intake::{Taken, same_to_the_eye},
};
use crate::{
    drift::schema::Schemas,
    object::{GroupKind, ObjectId, Text},
    witness::{Failure, KindState, Listing, Live, objects::KindObjects},
};

/// Times the grace period after which a server that says nothing at all is silent as a whole.
const HUSHED: u32 = 3;

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// To measure with.
    pub instant: Instant,
    /// To tell.
    pub time: Timestamp,
}

/// A kind to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind.
    pub served: Served,
    /// Whether metadata is read first.
    pub metadata: bool,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    failure: Failure,
    /// Whether what is held is doubtful at once, and not only after the grace period.
    at_once: bool,
}

#[derive(Debug)]
struct Entry {
    served: Served,
    choice: Choice,
    listed: bool,
    trouble: Option<Trouble>,
    /// When the objects were last known to be true; while a watch lives, the last word of the server renews that.
    seen: Option<Timestamp>,
    objects: KindObjects,
    whole: HashMap<ObjectId, Arc<Value>>,
    shown: Option<Listing>,
}

impl Entry {
    fn new(served: Served, choice: Choice) -> Self {
        Self { served, choice, listed: false, trouble: None, seen: None, objects: KindObjects::default(), whole: HashMap::new(), shown: None }
    }

    /// `cut_off`: the server as a whole is out of reach. Then what is held stays in use with its age, and the whole view is doubtful, not one kind.
    fn listing(&self, now: Instant, grace: Duration, cut_off: bool) -> Listing {
        match (&self.choice, &self.trouble) {
            (Choice::Skip(why), _) => Listing::Skipped(why.clone()),
            (_, None) if self.listed => Listing::Complete,
            (_, None) => Listing::Failed(Failure::new("not_read_yet", format!("{} were not read yet", self.served.plural))),
            (_, Some(t)) if self.listed && !t.at_once && (cut_off || now.duration_since(t.since) < grace) => Listing::Complete,
            (_, Some(t)) => Listing::Failed(t.failure.clone()),
        }
    }

    fn pending(&self) -> bool {
        !matches!(self.choice, Choice::Skip(_)) && !self.listed && self.trouble.is_none()
    }
}

/// Everything known.
#[derive(Debug)]
pub struct State {
    kinds: BTreeMap<GroupKind, Entry>,
    broken: BTreeMap<Text, Failure>,
    version: Option<Text>,
    discovered: bool,
    trouble: Option<Failure>,
    /// Whether kinds are watched: then what is held is true as long as the watch lives.
    followed: bool,
    grace: Duration,
    changed: bool,
    shown_failure: Option<Failure>,
    last_true: Option<Timestamp>,
    /// When the server last said anything, on any connection.
    heard: Option<Now>,
    schemas: Arc<Schemas>,
    /// Whether the first outcome of reading the schemas is still awaited.
    schemas_pending: bool,
}

impl State {
    /// Nothing is known yet. `followed` says whether kinds will be watched or read once; `grace` is how long a kind that was read may be
    /// cut off before it counts as failed.
    pub fn new(followed: bool, grace: Duration) -> Self {
        Self {
            kinds: BTreeMap::new(),
            broken: BTreeMap::new(),
            version: None,
            discovered: false,
            trouble: None,
            followed,
            grace,
            changed: false,
            shown_failure: None,
            last_true: None,
            heard: None,
            schemas: Arc::default(),
            schemas_pending: followed,
        }
    }

    /// The server said something: what is watched and was not told to have changed is true as of now. A server that stalls says nothing.
    pub fn heard(&mut self, now: Now) {
        self.heard = Some(now);
    }

    /// Takes in what the server serves now; returns the kinds to read. Kinds that are gone are dropped with their objects, unless their
    /// group is broken: then nobody knows, and the last good ones stay.
    pub fn catalogue(&mut self, found: &Catalogue, chooser: &Chooser) -> BTreeMap<GroupKind, Target> {
        let broken: BTreeMap<Text, Failure> =
            found.broken.iter().filter(|(group, _)| !chooser.indifferent(group)).map(|(g, f)| (g.clone(), f.clone())).collect();
        let before = self.kinds.len();
        self.kinds.retain(|gk, _| found.kinds.contains_key(gk) || found.broken.contains_key(&gk.group));
        self.changed |= self.kinds.len() != before || self.broken != broken || !self.discovered || self.trouble.is_some();
        for (gk, served) in &found.kinds {
            let choice = chooser.choose(served);
            match self.kinds.get_mut(gk) {
                Some(known) if known.served == *served && known.choice == choice => {}
                Some(known) => {
                    if matches!(choice, Choice::Skip(_)) {
                        *known = Entry::new(served.clone(), choice);
                    } else {
                        (known.served, known.choice) = (served.clone(), choice);
                    }
                    self.changed = true;
                }
                None => {
                    self.kinds.insert(gk.clone(), Entry::new(served.clone(), choice));
                    self.changed = true;
                }
            }
        }
        (self.broken, self.discovered, self.trouble) = (broken, true, None);
        self.version = found.version.clone().or(self.version.take());
        let target = |(gk, e): (&GroupKind, &Entry)| match e.choice {
            Choice::Skip(_) => None,
            _ => Some((gk.clone(), Target { served: e.served.clone(), metadata: e.choice == Choice::Metadata })),
        };
        self.kinds.iter().filter_map(target).collect()
    }

    /// Discovery failed as a whole. What is known stays.
    pub fn undiscovered(&mut self, failure: Failure) {
        self.changed |= self.trouble.as_ref() != Some(&failure);
        self.trouble = Some(failure);
    }

    /// All objects of a kind, as just listed. Returns whether that differs from what was held.
    pub fn replace(&mut self, gk: &GroupKind, taken: Vec<Taken>, now: Now) -> bool {
        let Some(entry) = self.kinds.get_mut(gk) else { return false };
        let (mut objects, mut whole, mut news) = (HashMap::with_capacity(taken.len()), HashMap::new(), false);
        for Taken { object, whole: all } in taken {
            let id = object.id.clone();
            if let Some(all) = all {
                news |= entry.whole.get(&id) != Some(&all);
                whole.insert(id.clone(), all);
            }
            let kept = match entry.objects.get(&id) {
                Some(known) if same_to_the_eye(known, &object) => known.clone(),
                _ => {
                    news = true;
                    object
                }
            };
            objects.insert(id, kept);
        }
        news |= objects.len() != entry.objects.len();
        if news {
            (entry.objects, entry.whole) = (Arc::new(objects), whole);
        }
        entry.listed = true;
        entry.seen = Some(now.time);
        self.changed |= news;
        self.healed(gk, now);
        news
    }

    /// An object is there, in this state. Returns whether anything visible changed.
    pub fn put(&mut self, gk: &GroupKind, taken: Taken) -> bool {
        let Some(entry) = self.kinds.get_mut(gk) else { return false };
        let id = &taken.object.id;
        let mut news = false;
        if let Some(all) = taken.whole {
            news = entry.whole.get(id) != Some(&all);
            entry.whole.insert(id.clone(), all);
        }
        if !entry.objects.get(id).is_some_and(|known| same_to_the_eye(known, &taken.object)) {
            news = true;
            Arc::make_mut(&mut entry.objects).insert(id.clone(), taken.object);
        }
        self.changed |= news;
        news
    }

    /// An object is gone.
    pub fn remove(&mut self, gk: &GroupKind, id: &ObjectId) {
        let Some(entry) = self.kinds.get_mut(gk) else { return };
        if entry.objects.contains_key(id) {
            Arc::make_mut(&mut entry.objects).remove(id);
            entry.whole.remove(id);
            self.changed = true;
        }
    }

    /// The object of this identity, if it is held.
    pub fn held(&self, id: &ObjectId) -> Option<&Arc<crate::object::Object>> {
        self.kinds.get(&id.gk)?.objects.get(id)
    }

    /// A kind can be read again.
    pub fn healed(&mut self, gk: &GroupKind, now: Now) {
        self.returned(now);
        self.heard(now);
        if let Some(entry) = self.kinds.get_mut(gk) {
            entry.trouble = None;
            entry.seen = Some(now.time);
        }
    }

    /// A kind cannot be read, and was last known to be true `silence` ago. `at_once`: do not wait for the grace period.
    pub fn broke(&mut self, gk: &GroupKind, failure: Failure, at_once: bool, silence: Duration, now: Now) {
        let Some(entry) = self.kinds.get_mut(gk) else { return };
        match &mut entry.trouble {
            Some(trouble) => {
                trouble.at_once |= at_once;
                trouble.failure = failure;
            }
            None => {
                if entry.listed {
                    entry.seen = Some(now.time - silence);
                }
                entry.trouble = Some(Trouble { since: now.instant.checked_sub(silence).unwrap_or(now.instant), failure, at_once });
            }
        }
    }

    /// Whether every kind that could be read before is out of reach, or some are and the others say nothing either: the server is, not the
    /// kinds. Refusals are answers and do not count.
    pub fn cut_off(&self, now: Now) -> bool {
        let mut reachable =
            self.kinds.values().filter(|e| !matches!(e.choice, Choice::Skip(_)) && !e.trouble.as_ref().is_some_and(|t| t.at_once)).peekable();
        reachable.peek().is_some() && reachable.all(|e| e.trouble.is_some()) || self.hushed(now).is_some()
    }

    /// A kind that fell silent, if the server has said nothing on any connection for so long that even its bookmarks, which come about once a
    /// minute, are missing. Kinds notice a stalled server one after the other.
    fn hushed(&self, now: Now) -> Option<&Failure> {
        self.heard.filter(|h| self.followed && now.instant.duration_since(h.instant) > HUSHED * self.grace)?;
        let long = |t: &&Trouble| !t.at_once && now.instant.duration_since(t.since) > self.grace;
        let mut silent = self.kinds.values().filter_map(|e| e.trouble.as_ref().filter(long));
        silent.next().map(|t| &t.failure)
    }

    /// The server answers again: the kinds that have not come back yet get the grace period anew, so that nothing is unknown on the way.
    fn returned(&mut self, now: Now) {
        if self.cut_off(now) {
            for trouble in self.kinds.values_mut().filter_map(|e| e.trouble.as_mut()) {
                trouble.since = now.instant;
            }
        }
    }

    /// Whether the first outcome of some kind, or of the schemas, is still awaited.
    pub fn pending(&self) -> bool {
        self.kinds_pending() || (self.discovered && self.schemas_pending)
    }

    /// Whether the first outcome of some kind is still awaited.
    pub fn kinds_pending(&self) -> bool {
        self.kinds.values().any(Entry::pending) || (!self.discovered && self.trouble.is_none())
    }

    /// Takes in the schemas that the server describes.
    pub fn learn(&mut self, schemas: Schemas) {
        self.schemas = Arc::new(schemas);
        self.schemas_pending = false;
        self.changed = true;
    }

    /// Server version, as discovery told it.
    pub fn version(&self) -> Option<Text> {
        self.version.clone()
    }

    /// Groups whose kinds are defined by definitions that are held.
    pub fn defined_groups(&self) -> BTreeSet<Text> {
        let definitions = GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition");
        let held = self.kinds.get(&definitions).filter(|e| e.listed && e.trouble.is_none());
        // A definition is named `<plural>.<group>`.
        held.into_iter().flat_map(|e| e.objects.keys()).filter_map(|id| id.name.split_once('.')).map(|(_, group)| group.into()).collect()
    }

    /// Whether some group is broken.
    pub fn has_broken_groups(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Whether all objects of this kind are held and followed.
    pub fn is_good(&self, gk: &GroupKind) -> bool {
        self.kinds.get(gk).is_some_and(|e| e.listed && e.trouble.is_none())
    }

    /// Whether this kind was read before.
    pub fn was_read(&self, gk: &GroupKind) -> bool {
        self.kinds.get(gk).is_some_and(|e| e.listed)
    }

    /// Whether a view made now would look different from the last one, its age aside.
    pub fn changed(&mut self, now: Now) -> bool {
        let (grace, cut_off) = (self.grace, self.cut_off(now));
        self.changed = self.changed || self.kinds.values().any(|e| e.shown.as_ref() != Some(&e.listing(now.instant, grace, cut_off)));
        self.changed || self.failure(now) != self.shown_failure
    }

    /// When what is held was last known to be true.
    pub fn as_of(&mut self, now: Now) -> Option<Timestamp> {
        let cut_off = self.cut_off(now);
        let good = |e: &&Entry| e.listing(now.instant, self.grace, cut_off) == Listing::Complete && (!self.followed || e.served.watch);
        let time = |e: &Entry| if self.followed && e.trouble.is_none() { e.seen.max(self.heard.map(|h| h.time)) } else { e.seen };
        let oldest = self.kinds.values().filter(good).filter_map(time).min();
        self.last_true = oldest.or(self.last_true);
        self.last_true
    }

    fn failure(&self, now: Now) -> Option<Failure> {
        if let Some(trouble) = self.trouble.as_ref().filter(|_| !self.discovered) {
            return Some(trouble.clone());
        }
        if let Some(silent) = self.hushed(now) {
            return Some(Failure::new(&silent.reason, format!("the API server stopped talking; {}", silent.message)));
        }
        let mut wanted =
            self.kinds.values().filter(|e| !matches!(e.choice, Choice::Skip(_))).map(|e| e.listing(now.instant, self.grace, false)).peekable();
        wanted.peek()?;
        let mut last = None;
        for listing in wanted {
            match listing {
                Listing::Failed(f) => last = Some(f),
                _ => return None,
            }
        }
        let last = last?;
        Some(self.trouble.clone().unwrap_or_else(|| Failure::new(&last.reason, format!("no kind can be read; for one, {}", last.message))))
    }

    /// A view of everything. Cheap: objects are shared with the state and with earlier views.
    pub fn view(&mut self, now: Now) -> Live {
        let mut live =
            Live { server_version: self.version.clone(), broken_groups: self.broken.clone(), discovered: self.discovered, ..Live::default() };
        let cut_off = self.cut_off(now);
        for (gk, entry) in &mut self.kinds {
            let listing = entry.listing(now.instant, self.grace, cut_off);
            entry.shown = Some(listing.clone());
            live.objects.set_kind(gk.clone(), entry.objects.clone());
            live.controllers.extend(entry.whole.iter().map(|(id, v)| (id.clone(), v.clone())));
            let s = &entry.served;
            let state = KindState {
                plural: s.plural.clone(),
                version: s.gvk.version.clone(),
                versions: s.versions.clone(),
                namespaced: s.namespaced,
                listing,
                told: Some(s.told.clone()),
            };
            live.kinds.insert(gk.clone(), state);
        }
        live.schemas = self.schemas.clone();
        live.cluster_uid = live.objects.get(&ObjectId::new("", "Namespace", None, "kube-system")).and_then(|o| o.meta.uid.clone());
        live.as_of = self.as_of(now);
        live.failure = self.failure(now);
        self.shown_failure = live.failure.clone();
        self.changed = false;
        live
    }
}

#[cfg(test)]
mod tests;
