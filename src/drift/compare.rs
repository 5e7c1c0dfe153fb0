//! Compares one desired object with one observed one. pure
//!
//! Both trees are walked at once. Schema, owners and rules are asked only where they differ, so that equal objects cost next to nothing.

use std::{cell::OnceCell, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Comparison, LeafClass, ListKind, Observed, Policy,
    exempt::Applies,
    lists::{self, Keys, Pairs},
    owners::Owners,
    values::{plain_quantity, same, same_base64, same_duration, same_quantity, same_when_rounded},
};
use crate::{object::Text, witness::Failure};

/// Metadata that is compared at all, and whether also what only the observed side has is looked at. Name and namespace are identity, the
/// rest is the server's (uid, generation, ...). Finalizers and owners are compared if Git sets them; controllers add their own.
const METADATA: [(&str, bool); 4] = [("labels", true), ("annotations", true), ("finalizers", false), ("ownerReferences", false)];

/// Compares on what Git sets, and looks for what a person added or Git dropped if the observed side says who owns what.
///
/// For a backup (`look_for_additions` off) a person's additions are passed over, and extras are not counted.
pub fn compare(desired: &Value, observed: Observed<'_>, policy: &Policy<'_>) -> Comparison {
    if desired == observed.value && policy.exempt.is_empty() {
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
        applied_text: observed.applied,
        applied: OnceCell::new(),
        path: Vec::with_capacity(12),
        steps: Vec::with_capacity(12),
        frames: Vec::with_capacity(12),
        owners: OnceCell::new(),
        applies: OnceCell::new(),
        exempt: policy.exempt.to(policy.id, policy.mark, desired, observed.value),
        git: desired,
        whole: None,
        encrypted: false,
        out: Comparison::default(),
    };
    walk.object(desired, observed.value);
    if !walk.exempt.is_empty() {
        let managers = walk.owners.get_or_init(|| Owners::read(walk.managers).named_in(walk.policy.gvk)).names();
        walk.out.uses = walk.exempt.iter().flat_map(|e| e.uses(desired, observed.value, &managers)).collect();
    }
    let (encrypted_leaf, mut out) = (walk.encrypted, walk.out);
    if encrypted_leaf {
        return Comparison { unjudged: Some(encrypted()), ..Comparison::default() };
    }
    if out.leaves.len() > 1 {
        out.leaves.sort_by(|a, b| (&a.path, a.class).cmp(&(&b.path, b.class)));
    }
    out.silenced.sort_by(|a, b| (&a.rule, &a.reason, &a.origin).cmp(&(&b.rule, &b.reason, &b.origin)));
    out
}

fn is_bare(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn encrypted() -> Failure {
    Failure::new(
        "encrypted",
        "the manifest in Git is encrypted by SOPS, so its values cannot be compared; render it with decryption to have it judged",
    )
}

/// A step as it was taken; the path that people read is built from it only when a leaf is reported.
#[derive(Clone, Debug)]
pub(super) enum Taken<'a> {
    Key(&'a str),
    Index(usize),
    Item { item: &'a Value, keys: Arc<Keys>, index: Position },
    Value(&'a Value, Position),
}

/// Where an item stands in Git and on the other side.
pub(super) type Position = (Option<usize>, Option<usize>);

/// The containers at one depth on both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) desired: Option<&'a Value>,
    pub(super) observed: Option<&'a Value>,
}

/// One comparison under way.
pub(super) struct Walk<'a> {
    pub(super) policy: &'a Policy<'a>,
    pub(super) known: bool,
    pub(super) root: &'a Value,
    pub(super) managers: Option<&'a str>,
    pub(super) applied_text: Option<&'a str>,
    /// What was last applied client-side, parsed when it is asked for.
    pub(super) applied: OnceCell<Option<Value>>,
    /// Schema path: list items stand as `*`.
    pub(super) path: Vec<&'a str>,
    pub(super) steps: Vec<Taken<'a>>,
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) owners: OnceCell<Owners>,
    /// Whether the deployer applies server-side, if there is one.
    pub(super) applies: OnceCell<Option<bool>>,
    /// The rules of users and deployers that speak of the object.
    pub(super) exempt: Vec<Applies<'a>>,
    pub(super) git: &'a Value,
    /// The container that was last reported as a whole, so that it is reported once.
    pub(super) whole: Option<*const Value>,
    pub(super) encrypted: bool,
    pub(super) out: Comparison,
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
            // Where null is a value it keeps the default away (apiextensions defaulting/algorithm.go isNonNullableNull).
            (None, Some(_)) | (Some(_), None)
                // A merged patch cannot set null: there it means the same as absence.
                if desired.is_some() && observed.is_some() && self.policy.schema.is_nullable(self.policy.gvk, &self.path) && (desired.is_some_and(|v| !v.is_null()) || !self.merges()) =>
            {
                self.judge(LeafClass::Changed, desired, observed, false);
            }
            (Some(d), Some(o)) => self.both(d, o),
            (Some(d), None) => self.absent(d),
            (None, Some(o)) => self.extra(o, desired.is_some()),
            // Git says nothing, so the default is to come, and a null keeps it away.
            (None, None) if desired.is_none() => {
                if let Some(null) = observed.filter(|_| self.keeps_default_away()) {
                    self.extra_leaf(null);
                }
            }
            (None, None) => {}
        }
        self.steps.pop();
        self.path.pop();
    }

    fn both(&mut self, desired: &'a Value, observed: &'a Value) {
        match (desired, observed) {
            // Some defaults take the place of an empty container as a whole (a ReplicationController's selector).
            _ if is_bare(desired) && !is_bare(observed) && self.unset(desired) && self.is_default(observed, |f| f.observed) => {
                self.silence(0, (Some(desired), Some(observed)), None);
            }
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
            && ((schema.is_quantity(gvk, &self.path) && (same_quantity(a, b) || (schema.rounds(gvk, &self.path) && same_when_rounded(a, b))))
                || (schema.is_base64(gvk, &self.path) && same_base64(a, b))
                || (same_duration(a, b) && schema.is_duration(gvk, &self.path)))
    }

    fn list(&mut self, d: &'a [Value], o: &'a [Value], desired: &'a Value, observed: &'a Value) {
        match self.policy.schema.list_kind(self.policy.gvk, &self.path) {
            ListKind::Keyed(keys) => match lists::by_keys(d, o, &keys) {
                Some(pairs) => self.items(d, o, &keys, &pairs),
                None => self.keyless(d, o, &keys, (desired, observed)),
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
            self.steps.push(Taken::Item { item, keys: Arc::clone(keys), index: (di, oi) });
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

    /// A keyed list with an item that does not say which one it is. The server takes no such item, so one of Git's is told where the other side has one
    /// with keys.
    fn keyless(&mut self, d: &'a [Value], o: &'a [Value], keys: &Keys, (desired, observed): (&'a Value, &'a Value)) {
        let lacks = |item: &Value| keys.iter().any(|(k, default)| lists::key_value(item, k, default.as_deref()).is_none());
        if d.len() != o.len() || !d.iter().chain(o).all(Value::is_object) {
            return self.by_position(d, o, desired, observed);
        }
        for (i, (dv, ov)) in d.iter().zip(o).enumerate() {
            if lacks(dv) && !lacks(ov) {
                self.path.push("*");
                self.steps.push(Taken::Index(i));
                self.judge(LeafClass::Changed, Some(dv), Some(ov), false);
                self.steps.pop();
                self.path.pop();
            } else {
                self.step("*", Taken::Index(i), Some(dv), Some(ov));
            }
        }
    }

    fn set(&mut self, d: &'a [Value], o: &'a [Value]) {
        for (di, oi) in lists::as_set(d, o) {
            match (di.and_then(|i| Some((i, d.get(i)?))), oi.and_then(|i| Some((i, o.get(i)?)))) {
                (Some((i, item)), None) => self.at_value(item, (Some(i), None), |walk| walk.missing(item)),
                (None, Some((i, item))) => self.at_value(item, (None, Some(i)), |walk| walk.extra_leaf(item)),
                _ => {}
            }
        }
    }

    fn at_value(&mut self, item: &'a Value, index: Position, then: impl FnOnce(&mut Self)) {
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
        let scalars = !d.iter().chain(o).any(|v| v.is_object() || v.is_array());
        // `1000m` and `1` must find each other, or two metrics that changed places would both look changed.
        let pairs = if scalars { lists::as_bag(d, o) } else { lists::as_bag(&self.plain_items(d), &self.plain_items(o)) };
        if scalars {
            if pairs.iter().any(|&(di, oi)| di.zip(oi).is_none_or(|(i, n)| !same(&d[i], &o[n]))) {
                self.differ(desired, observed);
            }
            return;
        }
        for (i, n) in pairs.into_iter().filter_map(|(di, oi)| di.zip(oi)) {
            self.step("*", Taken::Index(i), d.get(i), o.get(n));
        }
    }

    fn plain_items(&mut self, items: &'a [Value]) -> Vec<Value> {
        self.path.push("*");
        let plain = items.iter().map(|item| self.plain(item)).collect();
        self.path.pop();
        plain
    }

    /// The value in a form that is the same for all spellings of it.
    fn plain(&mut self, value: &'a Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut plain = serde_json::Map::new();
                for (key, member) in members {
                    self.path.push(key);
                    if !self.unset(member) {
                        plain.insert(key.clone(), self.plain(member));
                    }
                    self.path.pop();
                }
                Value::Object(plain)
            }
            Value::Array(items) => Value::Array(self.plain_items(items)),
            scalar if self.policy.schema.is_quantity(self.policy.gvk, &self.path) => plain_quantity(scalar).unwrap_or_else(|| scalar.clone()),
            scalar => scalar.clone(),
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
        if self.policy.schema.drops(self.policy.gvk, &self.path) {
            return self.unknown_field(desired);
        }
        if self.unset(desired) || self.is_default(desired, |f| f.desired) {
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
                // Its members say nothing, but that it is there does (`emptyDir: {medium: ""}`); of nulls alone only an apply says even that,
                // but an item is there also if it says nothing.
                let item = self.path.last() == Some(&"*");
                if self.count() == before && (item || !members.values().all(Value::is_null) || self.deployment() == Some(true)) {
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

    /// Only the other side has it; `null` if Git says so there.
    fn extra(&mut self, observed: &'a Value, null: bool) {
        if self.unset(observed) {
            return;
        }
        if self.is_default(observed, |f| f.observed) || self.follows(observed) {
            return self.silence(0, (None, Some(observed)), None);
        }
        match observed {
            Value::Object(members) if !members.is_empty() && !self.policy.schema.is_whole(self.policy.gvk, &self.path) => {
                let (before, unowned, leaves) = (self.count(), self.unowned(), self.out.leaves.len());
                self.frames.push(Frame { desired: None, observed: Some(observed) });
                for (key, value) in members {
                    self.step(key, Taken::Key(key), None, Some(value));
                }
                self.frames.pop();
                let silent = self.count() - before;
                if self.out.leaves.len() > leaves {
                    return;
                }
                // An entry of a mapping of free keys is there or it is not: no default brings it, however little it says.
                if self.policy.schema.is_entry(self.policy.gvk, &self.path) && silent == self.unowned() - unowned {
                    return self.extra_leaf(observed);
                }
                self.dropped_whole(observed, silent == self.unowned() - unowned, null);
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
    pub(super) fn unset(&mut self, value: &'a Value) -> bool {
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

    /// Whether null is live where nothing would be the default.
    fn keeps_default_away(&self) -> bool {
        let (schema, gvk) = (self.policy.schema, self.policy.gvk);
        schema.is_nullable(gvk, &self.path) && schema.default_of(gvk, &self.path).is_some()
    }

    /// Whether the server makes this value of what Git sets beside it, whatever Git sets here.
    pub(super) fn follows(&self, value: &Value) -> bool {
        let git: Option<Vec<&Value>> = self.frames.iter().map(|f| f.desired).collect();
        git.is_some_and(|trail| self.policy.schema.follows(self.policy.gvk, &self.path, &trail, value))
    }

    /// Whether the server fills in this value, seen the side that `of` takes from the frames.
    pub(super) fn is_default(&self, value: &Value, of: impl Fn(&Frame<'a>) -> Option<&'a Value>) -> bool {
        let trail: Vec<&Value> = self.frames.iter().filter_map(of).collect();
        self.policy.schema.fills(self.policy.gvk, &self.path, &trail, value)
    }
}
