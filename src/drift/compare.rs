//! Compares one desired object with one observed one. pure
//!
//! Both trees are walked at once. Schema, owners and rules are asked only where they differ, so that equal objects cost next to nothing.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use serde_json::Value;

use super::{
    Comparison, Leaf, LeafClass, ListKind, Observed, Policy, Silence, computed,
    ignore::{Applies, Token},
    lists::{self, Keys, Pairs},
    owners::{Entry, Owners, Place, Writer},
    rules::{Facts, RULES},
    values::{is_encrypted, key_text, same, same_base64, same_duration, same_quantity},
};
use crate::{
    object::{FieldPath, Step, Text},
    witness::Failure,
};

/// Metadata that is compared at all, and whether also what only the observed side has is looked at. Name and namespace are identity, the
/// rest is the server's (uid, generation, ...). Finalizers and owners are compared if Git sets them; controllers add their own.
const METADATA: [(&str, bool); 4] = [("labels", true), ("annotations", true), ("finalizers", false), ("ownerReferences", false)];

/// Why extras are kept silent, by rule name.
const SILENT: [(&str, &str); 6] = [
    ("default_or_admission", "defaults of the API server, and fields that nobody owns because admission added them"),
    ("controller_owned", "fields that a controller owns and Git does not set"),
    ("deployer_owned", "fields that the deployer owns by client-side apply and Git does not set: mostly defaults, but it cannot be told"),
    ("unattributed", "fields that Git does not set and whose owner is not recorded"),
    ("inside_list", "fields inside lists of custom resources that Git does not set: without the schema they may be defaults"),
    ("autoscaled", "replicas that an autoscaler set through the scale subresource"),
];

/// Compares on what Git sets, and looks for what a person added or Git dropped if the observed side says who owns what.
///
/// For a backup (`look_for_additions` off) a person's additions are passed over, and extras are not counted.
pub fn compare(desired: &Value, observed: Observed<'_>, policy: &Policy<'_>) -> Comparison {
    if desired == observed.value {
        return Comparison::default();
    }
    if desired.get("sops").is_some_and(Value::is_object) {
        return Comparison { unjudged: Some(encrypted()), ..Comparison::default() };
    }
    let mut walk = Walk {
        policy,
        known: policy.schema.knows(policy.gvk),
        root: observed.value,
        managers: observed.managers,
        path: Vec::with_capacity(12),
        steps: Vec::with_capacity(12),
        frames: Vec::with_capacity(12),
        owners: OnceCell::new(),
        ignore: OnceCell::new(),
        whole: None,
        encrypted: false,
        out: Comparison::default(),
    };
    walk.object(desired, observed.value);
    let (encrypted_leaf, mut out) = (walk.encrypted, walk.out);
    if encrypted_leaf {
        return Comparison { unjudged: Some(encrypted()), ..Comparison::default() };
    }
    if out.leaves.len() > 1 {
        out.leaves.sort_by(|a, b| (&a.path, a.class).cmp(&(&b.path, b.class)));
    }
    out.silenced.sort_by(|a, b| (&a.rule, &a.reason).cmp(&(&b.rule, &b.reason)));
    out
}

fn encrypted() -> Failure {
    Failure::new(
        "encrypted",
        "the manifest in Git is encrypted by SOPS, so its values cannot be compared; render it with decryption to have it judged",
    )
}

/// A step as it was taken; the path that people read is built from it only when a leaf is reported.
#[derive(Clone, Debug)]
enum Taken<'a> {
    Key(&'a str),
    Index(usize),
    Item { item: &'a Value, keys: Arc<Keys>, index: usize },
    Value(&'a Value, usize),
}

/// The containers at one depth on both sides.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    desired: Option<&'a Value>,
    observed: Option<&'a Value>,
}

struct Walk<'a> {
    policy: &'a Policy<'a>,
    known: bool,
    root: &'a Value,
    managers: Option<&'a str>,
    /// Schema path: list items stand as `*`.
    path: Vec<&'a str>,
    steps: Vec<Taken<'a>>,
    frames: Vec<Frame<'a>>,
    owners: OnceCell<Owners>,
    ignore: OnceCell<Vec<Applies<'a>>>,
    /// The container that was last reported as a whole, so that it is reported once.
    whole: Option<*const Value>,
    encrypted: bool,
    out: Comparison,
}

impl<'a> Walk<'a> {
    fn object(&mut self, desired: &'a Value, observed: &'a Value) {
        let (Value::Object(d), Value::Object(o)) = (desired, observed) else { return self.differ(desired, observed) };
        self.frames.push(Frame { desired: Some(desired), observed: Some(observed) });
        for key in d.keys().chain(o.keys().filter(|k| !d.contains_key(*k))) {
            match key.as_str() {
                "apiVersion" | "kind" | "status" => {}
                "metadata" => self.metadata(d.get(key), o.get(key)),
                key => self.step(key, Taken::Key(key), d.get(key), o.get(key)),
            }
        }
        self.frames.pop();
    }

    fn metadata(&mut self, desired: Option<&'a Value>, observed: Option<&'a Value>) {
        self.path.push("metadata");
        self.steps.push(Taken::Key("metadata"));
        self.frames.push(Frame { desired, observed });
        for (section, extras) in METADATA {
            let (d, o) = (desired.and_then(|m| m.get(section)), observed.and_then(|m| m.get(section)));
            if d.is_some() || extras {
                self.step(section, Taken::Key(section), d, o);
            }
        }
        self.frames.pop();
        self.steps.pop();
        self.path.pop();
    }

    fn step(&mut self, name: &'a str, taken: Taken<'a>, desired: Option<&'a Value>, observed: Option<&'a Value>) {
        self.path.push(name);
        self.steps.push(taken);
        // An explicit null in a manifest asks for the default, as an absent field does (apiextensions prunenulls.go, API conventions).
        match (desired.filter(|v| !v.is_null()), observed.filter(|v| !v.is_null())) {
            (Some(d), Some(o)) => self.both(d, o),
            (Some(d), None) => self.absent(d),
            (None, Some(o)) => self.extra(o),
            (None, None) => {}
        }
        self.steps.pop();
        self.path.pop();
    }

    fn both(&mut self, desired: &'a Value, observed: &'a Value) {
        match (desired, observed) {
            (Value::Object(d), Value::Object(o)) => {
                self.frames.push(Frame { desired: Some(desired), observed: Some(observed) });
                let mut shared = 0;
                for (key, value) in d {
                    let other = o.get(key);
                    shared += usize::from(other.is_some());
                    self.step(key, Taken::Key(key), Some(value), other);
                }
                if shared < o.len() {
                    for (key, value) in o.iter().filter(|(k, _)| !d.contains_key(*k)) {
                        self.step(key, Taken::Key(key), None, Some(value));
                    }
                }
                self.frames.pop();
            }
            (Value::Array(d), Value::Array(o)) => {
                self.frames.push(Frame { desired: Some(desired), observed: Some(observed) });
                self.list(d, o, desired, observed);
                self.frames.pop();
            }
            _ => {
                if !self.equal(desired, observed) {
                    self.differ(desired, observed);
                }
            }
        }
    }

    /// Whether two scalars mean the same here.
    fn equal(&self, a: &Value, b: &Value) -> bool {
        if same(a, b) {
            return true;
        }
        let (schema, gvk) = (self.policy.schema, self.policy.gvk);
        let texts = a.is_string() || b.is_string();
        texts
            && ((schema.is_quantity(gvk, &self.path) && same_quantity(a, b))
                || (schema.is_base64(gvk, &self.path) && same_base64(a, b))
                || (!self.known && same_duration(a, b)))
    }

    fn list(&mut self, d: &'a [Value], o: &'a [Value], desired: &'a Value, observed: &'a Value) {
        match self.policy.schema.list_kind(self.policy.gvk, &self.path) {
            ListKind::Keyed(keys) => match lists::by_keys(d, o, &keys) {
                Some(pairs) => self.items(d, o, &keys, &pairs),
                None => self.by_position(d, o, desired, observed),
            },
            ListKind::Set => self.set(d, o),
            ListKind::Bag => self.bag(d, o, desired, observed),
            ListKind::Atomic if !self.known && lists::has_unique_names(d) && lists::has_unique_names(o) => self.by_name(d, o, desired, observed),
            ListKind::Atomic => self.by_position(d, o, desired, observed),
        }
    }

    fn items(&mut self, d: &'a [Value], o: &'a [Value], keys: &Arc<Keys>, pairs: &Pairs) {
        for &(di, oi) in pairs {
            let (dv, ov) = (di.and_then(|i| d.get(i)), oi.and_then(|i| o.get(i)));
            let Some(item) = dv.or(ov) else { continue };
            self.path.push("*");
            self.steps.push(Taken::Item { item, keys: Arc::clone(keys), index: di.or(oi).unwrap_or_default() });
            match (dv, ov) {
                (Some(dv), Some(ov)) => self.both(dv, ov),
                // An item stands or falls as one.
                (Some(dv), None) => self.missing(dv),
                (None, Some(ov)) => self.extra_leaf(ov),
                (None, None) => {}
            }
            self.steps.pop();
            self.path.pop();
        }
    }

    fn set(&mut self, d: &'a [Value], o: &'a [Value]) {
        let mut left: Vec<&Value> = o.iter().collect();
        for (i, item) in d.iter().enumerate() {
            match left.iter().position(|other| same(item, other)) {
                Some(n) => drop(left.swap_remove(n)),
                None => self.at_value(item, i, |walk| walk.missing(item)),
            }
        }
        for (i, item) in o.iter().enumerate().filter(|(_, item)| left.iter().any(|l| std::ptr::eq(*l, *item))) {
            self.at_value(item, i, |walk| walk.extra_leaf(item));
        }
    }

    fn at_value(&mut self, item: &'a Value, index: usize, then: impl FnOnce(&mut Self)) {
        self.path.push("*");
        self.steps.push(Taken::Value(item, index));
        then(self);
        self.steps.pop();
        self.path.pop();
    }

    fn bag(&mut self, d: &'a [Value], o: &'a [Value], desired: &'a Value, observed: &'a Value) {
        if d.len() != o.len() {
            return self.differ(desired, observed);
        }
        let pairs = lists::as_bag(d, o);
        if !d.iter().chain(o).any(|v| v.is_object() || v.is_array()) {
            if pairs.iter().any(|&(di, oi)| di.zip(oi).is_none_or(|(i, n)| !same(&d[i], &o[n]))) {
                self.differ(desired, observed);
            }
            return;
        }
        for (i, n) in pairs.into_iter().filter_map(|(di, oi)| di.zip(oi)) {
            self.step("*", Taken::Index(i), d.get(i), o.get(n));
        }
    }

    /// Items with names of their own in a list whose schema is not known. To the server it most likely has one writer as a whole and an
    /// order, so an item too many or another order is a change; the names only make the report more precise.
    fn by_name(&mut self, d: &'a [Value], o: &'a [Value], desired: &'a Value, observed: &'a Value) {
        let keys: Arc<Keys> = Arc::new([(Text::from("name"), None)]);
        let Some(pairs) = lists::by_keys(d, o, &keys) else { return self.by_position(d, o, desired, observed) };
        let shared: Vec<usize> = pairs.iter().filter(|(d, _)| d.is_some()).filter_map(|(_, o)| *o).collect();
        if shared.windows(2).any(|w| w[0] > w[1]) || pairs.iter().any(|(d, _)| d.is_none()) {
            return self.differ(desired, observed);
        }
        self.items(d, o, &keys, &pairs);
    }

    fn by_position(&mut self, d: &'a [Value], o: &'a [Value], desired: &'a Value, observed: &'a Value) {
        if d.len() != o.len() {
            return self.differ(desired, observed);
        }
        if d.iter().any(|v| v.is_object() || v.is_array()) {
            for (i, (dv, ov)) in d.iter().zip(o).enumerate() {
                self.step("*", Taken::Index(i), Some(dv), Some(ov));
            }
        } else if !d.iter().zip(o).all(|(dv, ov)| same(dv, ov)) {
            self.differ(desired, observed);
        }
    }

    // ------------------------------------------------------------------------------------------------------ one side only

    /// Git sets it, the other side has nothing.
    fn absent(&mut self, desired: &'a Value) {
        if self.unset(desired) || self.policy.schema.is_default(self.policy.gvk, &self.path, desired) {
            return;
        }
        match desired {
            Value::Object(members) if !members.is_empty() && !self.policy.schema.is_whole(self.policy.gvk, &self.path) => {
                let before = self.count();
                self.frames.push(Frame { desired: Some(desired), observed: None });
                for (key, value) in members {
                    self.step(key, Taken::Key(key), Some(value), None);
                }
                self.frames.pop();
                // Its members say nothing, but that it is there does (`emptyDir: {medium: ""}`).
                if self.count() == before {
                    self.missing(desired);
                }
            }
            Value::Array(items) => match self.policy.schema.list_kind(self.policy.gvk, &self.path) {
                ListKind::Keyed(keys) => match lists::by_keys(items, &[], &keys) {
                    Some(pairs) => self.items(items, &[], &keys, &pairs),
                    None => self.missing(desired),
                },
                ListKind::Set => self.set(items, &[]),
                _ => self.missing(desired),
            },
            _ => self.missing(desired),
        }
    }

    /// Only the other side has it.
    fn extra(&mut self, observed: &'a Value) {
        if self.unset(observed) {
            return;
        }
        if self.is_default(observed) {
            return self.silence(0);
        }
        match observed {
            Value::Object(members) if !members.is_empty() && !self.policy.schema.is_whole(self.policy.gvk, &self.path) => {
                self.frames.push(Frame { desired: None, observed: Some(observed) });
                for (key, value) in members {
                    self.step(key, Taken::Key(key), None, Some(value));
                }
                self.frames.pop();
            }
            Value::Array(items) => match self.policy.schema.list_kind(self.policy.gvk, &self.path) {
                ListKind::Keyed(keys) => match lists::by_keys(&[], items, &keys) {
                    Some(pairs) => self.items(&[], items, &keys, &pairs),
                    None => self.extra_leaf(observed),
                },
                ListKind::Set => self.set(&[], items),
                _ => self.extra_leaf(observed),
            },
            _ => self.extra_leaf(observed),
        }
    }

    /// Whether a value says no more than its absence: null, and what is empty unless empty means something here. Of kinds that the schema
    /// does not know, `0` and `false` always mean something.
    fn unset(&mut self, value: &'a Value) -> bool {
        let empty = match value {
            Value::Null => return true,
            Value::Bool(b) => !b && self.known,
            Value::Number(n) => self.known && n.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.iter().all(|(key, member)| {
                self.path.push(key);
                let unset = self.unset(member);
                self.path.pop();
                unset
            }),
        };
        empty && !self.policy.schema.empty_means_something(self.policy.gvk, &self.path)
    }

    fn is_default(&self, observed: &Value) -> bool {
        if self.policy.schema.is_default(self.policy.gvk, &self.path, observed) {
            return true;
        }
        let trail: Vec<&Value> = self.frames.iter().filter_map(|f| f.observed).collect();
        self.known && computed::is_default(self.policy.gvk, &self.path, &trail, observed)
    }

    // ------------------------------------------------------------------------------------------------------- reporting

    /// Both sides have a value and they differ.
    fn differ(&mut self, desired: &'a Value, observed: &'a Value) {
        let unset = self.unset(desired);
        if unset && self.is_default(observed) {
            return;
        }
        self.judge(LeafClass::Changed, Some(desired), Some(observed), unset);
    }

    fn missing(&mut self, desired: &'a Value) {
        self.judge(LeafClass::Missing, Some(desired), None, false);
    }

    /// A change of what Git sets, unless a rule keeps it silent.
    fn judge(&mut self, class: LeafClass, desired: Option<&'a Value>, observed: Option<&'a Value>, unset: bool) {
        if desired.is_some_and(is_encrypted) {
            self.encrypted = true;
            return;
        }
        let found = Found::of(self, observed.is_some());
        if self.rule(&found, desired.filter(|_| !unset)) || self.ignored(&found) {
            return;
        }
        if self.path == ["spec", "replicas"] && found.scaled_by_controller {
            return self.silence(5);
        }
        let (owner, time) = found.newest;
        self.push(Leaf { path: self.field_path(), class, desired: desired.cloned(), observed: observed.cloned(), owner, time });
    }

    /// A leaf that only the observed side has.
    fn extra_leaf(&mut self, observed: &'a Value) {
        let found = Found::of(self, true);
        if self.rule(&found, None) || self.ignored(&found) {
            return;
        }
        if let Some(depth) = self.whole_above() {
            return self.differ_above(depth);
        }
        // Without the schema of a custom resource a field inside a list may be a default that its writer owns with the whole list.
        if !self.known && self.path[..self.depth_in_git()].contains(&"*") {
            return self.silence(4);
        }
        let (class, (owner, time)) = match found.extra {
            Extra::Dropped(who) => (LeafClass::Removed, who),
            Extra::Added(who) if self.policy.look_for_additions => (LeafClass::Added, who),
            Extra::Added(_) => return,
            Extra::Silent(rule) => return self.silence(rule),
        };
        self.push(Leaf { path: self.field_path(), class, desired: None, observed: Some(observed.clone()), owner, time });
    }

    /// How many leading steps lead to containers that Git sets.
    fn depth_in_git(&self) -> usize {
        self.frames.iter().take_while(|f| f.desired.is_some()).count().saturating_sub(1)
    }

    /// The outermost container around this leaf that Git sets and that has one writer as a whole.
    fn whole_above(&self) -> Option<usize> {
        (1..=self.depth_in_git()).find(|&n| self.policy.schema.is_whole(self.policy.gvk, &self.path[..n]))
    }

    /// Reports a container around the leaf at hand as changed.
    fn differ_above(&mut self, depth: usize) {
        let Some(Frame { desired: Some(d), observed: Some(o) }) = self.frames.get(depth).copied() else { return };
        if self.whole.is_some_and(|w| std::ptr::eq(w, o)) {
            return;
        }
        self.whole = Some(o);
        let (path, steps) = (self.path.split_off(depth), self.steps.split_off(depth));
        self.judge(LeafClass::Changed, Some(d), Some(o), false);
        self.path.extend(path);
        self.steps.extend(steps);
    }

    /// What has been said so far, silent or not.
    fn count(&self) -> u32 {
        let leaves = u32::try_from(self.out.leaves.len()).unwrap_or(u32::MAX);
        self.out.silenced.iter().fold(leaves, |n, s| n.saturating_add(s.leaves)) + u32::from(self.encrypted)
    }

    fn rule(&mut self, found: &Found, desired: Option<&Value>) -> bool {
        let managers: Vec<&str> = found.managers.iter().map(String::as_str).collect();
        let facts =
            Facts { gvk: self.policy.gvk, path: &self.path, desired, observed_root: self.root, by_person: found.by_person, managers: &managers };
        let Some(rule) = RULES.iter().find(|r| r.covers(&facts)) else { return false };
        self.count_silence(Cow::Borrowed(rule.name), Cow::Borrowed(rule.reason));
        true
    }

    fn ignored(&mut self, found: &Found) -> bool {
        let rules = self.ignore.get_or_init(|| Applies::to(self.policy.ignore, self.policy.id));
        if rules.is_empty() {
            return false;
        }
        let managers: Vec<&str> = found.managers.iter().map(String::as_str).collect();
        let tokens: Vec<Token> = self.steps.iter().map(Taken::token).collect();
        let Some(reason) = rules.iter().find(|r| r.covers(&tokens, &managers)).map(Applies::reason) else { return false };
        let (name, reason) = (format!("ignore: {reason}"), reason.to_owned());
        self.count_silence(name.into(), reason.into());
        true
    }

    fn silence(&mut self, n: usize) {
        // Beside a backup the extras are not looked for, so there is nothing to count.
        if self.policy.look_for_additions || n == 5 {
            let (name, reason) = SILENT[n];
            self.count_silence(Cow::Borrowed(name), Cow::Borrowed(reason));
        }
    }

    fn count_silence(&mut self, rule: Cow<'static, str>, reason: Cow<'static, str>) {
        match self.out.silenced.iter_mut().find(|s| s.rule == rule && s.reason == reason) {
            Some(silence) => silence.leaves = silence.leaves.saturating_add(1),
            None => self.out.silenced.push(Silence { rule, reason, leaves: 1 }),
        }
    }

    fn push(&mut self, leaf: Leaf) {
        self.out.leaves.push(leaf);
    }

    fn field_path(&self) -> FieldPath {
        FieldPath(self.steps.iter().map(Taken::step).collect())
    }
}

impl<'a> Taken<'a> {
    fn keys(item: &Value, keys: &Keys) -> Vec<(Text, String)> {
        keys.iter().map(|(k, default)| (Text::clone(k), lists::key_value(item, k, default.as_deref()).unwrap_or_default())).collect()
    }

    fn step(&self) -> Step {
        match self {
            Self::Key(key) => Step::Key((*key).into()),
            Self::Index(n) => Step::Index(*n),
            Self::Item { item, keys, .. } => Step::Select(Self::keys(item, keys).into_iter().map(|(k, v)| (k, v.into())).collect()),
            Self::Value(value, _) => Step::Value(key_text(value).into()),
        }
    }

    fn place(&self) -> Place<'a> {
        match self {
            Self::Key(key) => Place::Key(key),
            Self::Index(_) => Place::Index,
            Self::Item { item, keys, .. } => Place::Item(Self::keys(item, keys)),
            Self::Value(value, _) => Place::Value(value.to_string()),
        }
    }

    fn token(&self) -> Token {
        match self {
            Self::Key(key) => Token::Key((*key).to_owned()),
            Self::Index(n) => Token::Item(*n, n.to_string()),
            Self::Item { item, keys, index } => Token::Item(*index, Self::keys(item, keys).into_iter().map(|(_, v)| v).collect::<Vec<_>>().join(",")),
            Self::Value(value, index) => Token::Item(*index, key_text(value)),
        }
    }
}

type Who = (Option<Text>, Option<jiff::Timestamp>);

/// What ownership says of a leaf that only the observed side has.
enum Extra {
    /// The deployer applied it, Git no longer sets it.
    Dropped(Who),
    /// A person put it there.
    Added(Who),
    /// Expected, or not to be told; the position in [`SILENT`].
    Silent(usize),
}

/// The owners of the leaf at hand.
struct Found {
    newest: Who,
    managers: Vec<String>,
    by_person: bool,
    scaled_by_controller: bool,
    extra: Extra,
}

impl Found {
    fn of(walk: &Walk<'_>, observed: bool) -> Self {
        let none = Self { newest: (None, None), managers: Vec::new(), by_person: false, scaled_by_controller: false, extra: Extra::Silent(3) };
        if !observed {
            return none;
        }
        let owners = walk.owners.get_or_init(|| Owners::read(walk.managers));
        if owners.is_empty() {
            return none;
        }
        let places: Vec<Place<'_>> = walk.steps.iter().map(Taken::place).collect();
        let entries = owners.of(&places);
        let who = |e: &Entry| (Some(e.name()), e.time());
        let writer = |e: &Entry| e.writer(walk.policy.deployers);
        let first = |w: Writer| entries.iter().copied().find(|e| writer(e) == w);
        // Who creates a custom resource by hand owns its defaults too, and without the schema they look like additions.
        let person = entries.iter().copied().find(|e| writer(e) == Writer::Person && (walk.known || !e.writes_whole_objects()));
        let dropped = entries.iter().copied().find(|e| writer(e) == Writer::Deployer && e.applied());
        let extra = match (dropped, person) {
            (Some(e), _) => Extra::Dropped(who(e)),
            (None, Some(e)) => Extra::Added(who(e)),
            (None, None) if entries.is_empty() => Extra::Silent(0),
            (None, None) if first(Writer::Controller).is_some() => Extra::Silent(1),
            (None, None) if first(Writer::Deployer).is_some() => Extra::Silent(2),
            (None, None) => Extra::Silent(3),
        };
        Self {
            newest: entries.first().map_or((None, None), |e| who(e)),
            by_person: person.is_some(),
            scaled_by_controller: entries.first().is_some_and(|e| e.subresource == "scale" && writer(e) == Writer::Controller),
            managers: entries.iter().map(|e| e.manager.clone()).collect(),
            extra,
        }
    }
}
