//! Decides what is said of one difference: a leaf, or a count under a rule. pure

use std::borrow::Cow;

use serde_json::Value;

use super::{
    Leaf, LeafClass, Quiet, Silence,
    compare::{Frame, Taken, Walk},
    exempt::Token,
    found::{Extra, Found, operation},
    lists::{self, Keys},
    owners::Place,
    rules::{Facts, Ownership, RULES},
    switches::{ORIGIN, switched_off},
    values::{is_encrypted, key_text, same},
};
use crate::object::{FieldPath, Step, Text};

/// Why extras are kept silent, by rule name.
pub(super) const SILENT: [(&str, &str); 7] = [
    ("default_or_admission", "defaults of the API server, and fields that nobody owns because admission added them"),
    ("controller_owned", "fields that a controller owns and Git does not set"),
    ("deployer_owned", "fields that the deployer owns by client-side apply and Git does not set: mostly defaults, but it cannot be told"),
    ("unattributed", "fields that Git does not set and of whose owner nothing is known: whether a person added them cannot be told"),
    ("inside_list", "fields inside lists of custom resources that Git does not set: without the schema they may be defaults"),
    ("autoscaled", "replicas inside the range of an autoscaler that targets the object, or set by a controller through the scale subresource"),
    ("autosized", "resources inside the range of a vertical autoscaler that targets the object"),
];

/// Rule, reason and origin of a silence.
type Why = (Cow<'static, str>, Cow<'static, str>, Text);

/// What the two sides have at the leaf at hand.
pub(super) type Sides<'v> = (Option<&'v Value>, Option<&'v Value>);

impl<'a> Walk<'a> {
    /// Both sides have a value and they differ.
    pub(super) fn differ(&mut self, desired: &'a Value, observed: &'a Value) {
        let unset = self.unset(desired);
        if unset && self.is_default(observed, |f| f.observed) {
            return;
        }
        if self.follows(observed) {
            return self.silence(0, (Some(desired), Some(observed)), None);
        }
        self.judge(LeafClass::Changed, Some(desired), Some(observed), unset);
    }

    pub(super) fn missing(&mut self, desired: &'a Value) {
        self.judge(LeafClass::Missing, Some(desired), None, false);
    }

    /// Git sets what the server has no field for. Nobody can own or write it, so no rule is asked.
    pub(super) fn unknown_field(&mut self, desired: &Value) {
        self.push(Leaf {
            path: self.field_path(),
            class: LeafClass::UnknownField,
            desired: Some(desired.clone()),
            observed: None,
            owner: None,
            writer: None,
            time: None,
        });
    }

    /// A change of what Git sets, unless a rule keeps it silent.
    pub(super) fn judge(&mut self, class: LeafClass, desired: Option<&'a Value>, observed: Option<&'a Value>, unset: bool) {
        if desired.is_some_and(is_encrypted) {
            self.encrypted = true;
            return;
        }
        let set = desired.filter(|_| !unset);
        let sides = (desired, observed);
        if self.rule(set, sides, None) {
            return;
        }
        let found = Found::of(self);
        if self.rule(set, sides, Some(&found)) || self.ignored(sides, &found) {
            return;
        }
        if let Some(reason) = self.autoscaled(&found, observed) {
            return self.silence(reason, sides, found.newest.0);
        }
        let class = found.class(self, class, sides);
        let (owner, writer, time) = found.newest;
        self.push(Leaf { path: self.field_path(), class, desired: desired.cloned(), observed: observed.cloned(), owner, writer, time });
    }

    /// A leaf that only the observed side has.
    pub(super) fn extra_leaf(&mut self, observed: &'a Value) {
        let sides = (None, Some(observed));
        if self.rule(None, sides, None) {
            return;
        }
        let found = Found::of(self);
        if self.rule(None, sides, Some(&found)) || self.ignored(sides, &found) {
            return;
        }
        if let Some(reason) = self.autoscaled(&found, Some(observed)) {
            return self.silence(reason, sides, found.newest.0);
        }
        if let Some(depth) = self.whole_above() {
            return self.differ_above(depth);
        }
        // Without the schema of a custom resource a field inside a list may be a default that its writer owns with the whole list.
        if !self.known && self.path[..self.depth_in_git()].contains(&"*") {
            return self.silence(4, sides, found.newest.0);
        }
        let (class, (owner, writer, time)) = match found.extra {
            Extra::Dropped(who) => (LeafClass::Removed, who),
            Extra::Added(_) if !self.policy.look_for_additions => return,
            Extra::Added(who) => (if operation(self) { LeafClass::Operational } else { LeafClass::Added }, who),
            Extra::Silent(rule) => return self.silence(rule, sides, found.newest.0),
        };
        self.push(Leaf { path: self.field_path(), class, desired: None, observed: Some(observed.clone()), owner, writer, time });
    }

    /// How many leading steps lead to containers that Git sets.
    fn depth_in_git(&self) -> usize {
        self.frames.iter().take_while(|f| f.desired.is_some()).count().saturating_sub(1)
    }

    /// The outermost container around this leaf that Git sets and that has one writer as a whole.
    fn whole_above(&self) -> Option<usize> {
        let (schema, gvk) = (self.policy.schema, self.policy.gvk);
        (1..=self.depth_in_git()).find(|&n| match self.frames.get(n).and_then(|f| f.desired) {
            // Patches of custom resources replace every list.
            Some(Value::Array(_)) if self.known => self.is_atomic_list(n) || schema.is_custom(gvk) && self.merges(),
            Some(Value::Object(_)) if self.merges() && !self.is_replaced(n) => false,
            _ => schema.is_whole(gvk, &self.path[..n]),
        })
    }

    /// Whether merged patches replace this mapping (`patchStrategy: replace` in the Go types; there is one).
    fn is_replaced(&self, depth: usize) -> bool {
        self.policy.gvk.gk.is("policy", "PodDisruptionBudget") && self.path[..depth] == ["spec", "selector"]
    }

    /// What the deployer wrote as an empty mapping and Git dropped, with nothing in it but what nobody owns.
    pub(super) fn dropped_whole(&mut self, observed: &Value, unowned: bool, null: bool) {
        // Where the default of the container itself is what is there already, it only changes hands.
        if self.policy.schema.default_of(self.policy.gvk, &self.path).is_some_and(|default| same(&default, observed)) {
            return;
        }
        let Some((owner, writer, time)) = self.dropped_container(unowned, null) else { return };
        let sides = (None, Some(observed));
        if self.rule(None, sides, None) {
            return;
        }
        let found = Found::of(self);
        if self.rule(None, sides, Some(&found)) || self.ignored(sides, &found) {
            return;
        }
        let (path, observed) = (self.field_path(), Some(observed.clone()));
        self.push(Leaf { path, class: LeafClass::Removed, desired: None, observed, owner, writer, time });
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

    /// How many differences were silent as defaults or admission's.
    pub(super) fn unowned(&self) -> u32 {
        self.out.silenced.iter().filter(|s| s.rule == SILENT[0].0).map(|s| s.leaves).sum()
    }

    /// What has been said so far, silent or not.
    pub(super) fn count(&self) -> u32 {
        let leaves = u32::try_from(self.out.leaves.len()).unwrap_or(u32::MAX);
        self.out.silenced.iter().fold(leaves, |n, s| n.saturating_add(s.leaves)) + u32::from(self.encrypted)
    }

    /// Counts the leaf under the first rule that covers it. Rules that ask for no owner are asked before `found` is looked up.
    fn rule(&mut self, desired: Option<&Value>, sides: Sides<'_>, found: Option<&Found>) -> bool {
        let facts = Facts { gvk: self.policy.gvk, path: &self.path, desired, observed_root: self.root };
        let owner = found.map(|f| Ownership { by_person: f.by_person, managers: &f.managers });
        let Some(rule) = RULES.iter().find(|r| r.asks_owner() == found.is_some() && r.covers(&facts, owner)) else { return false };
        let owner = found.and_then(|f| f.newest.0.clone());
        self.count_silence((Cow::Borrowed(rule.name), Cow::Borrowed(rule.reason), "".into()), sides, owner);
        true
    }

    fn ignored(&mut self, sides: Sides<'_>, found: &Found) -> bool {
        if let Some((rule, reason)) = switched_off(self.git, self.root) {
            self.count_silence((rule.into(), reason.into(), ORIGIN.into()), sides, found.newest.0.clone());
            return true;
        }
        if self.exempt.is_empty() {
            return false;
        }
        let managers: Vec<&str> = found.managers.iter().map(String::as_str).collect();
        let tokens: Vec<Token> = self.steps.iter().map(Taken::token).collect();
        let Some(rule) = self.exempt.iter().find(|r| r.covers(&tokens, &managers, sides)).map(|r| r.rule) else { return false };
        let name = format!("ignore: {}", rule.reason).into();
        self.count_silence((name, rule.reason.to_string().into(), rule.origin.clone()), sides, found.newest.0.clone());
        true
    }

    pub(super) fn silence(&mut self, n: usize, sides: Sides<'_>, owner: Option<Text>) {
        // Beside a backup the extras are not looked for, so there is nothing to count.
        if self.policy.look_for_additions || n >= 5 {
            let (name, reason) = SILENT[n];
            self.count_silence((Cow::Borrowed(name), Cow::Borrowed(reason), "".into()), sides, owner);
        }
    }

    fn count_silence(&mut self, (rule, reason, origin): Why, sides: Sides<'_>, owner: Option<Text>) {
        let quiet =
            self.policy.list_silences.then(|| Quiet { path: self.field_path(), desired: sides.0.cloned(), observed: sides.1.cloned(), owner });
        match self.out.silenced.iter_mut().find(|s| s.rule == rule && s.reason == reason && s.origin == origin) {
            Some(silence) => {
                silence.leaves = silence.leaves.saturating_add(1);
                silence.listed.extend(quiet);
            }
            None => self.out.silenced.push(Silence { rule, reason, origin, leaves: 1, listed: quiet.into_iter().collect() }),
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

    pub(super) fn place(&self) -> Place<'a> {
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
            Self::Index(n) => Token::Item(Some(*n), Some(*n), n.to_string()),
            Self::Item { item, keys, index: (d, o) } => {
                Token::Item(*d, *o, Self::keys(item, keys).into_iter().map(|(_, v)| v).collect::<Vec<_>>().join(","))
            }
            Self::Value(value, (d, o)) => Token::Item(*d, *o, key_text(value)),
        }
    }
}
