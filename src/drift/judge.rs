//! Decides what is said of one difference: a leaf, or a count under a rule. pure

use std::borrow::Cow;

use serde_json::Value;

use super::{
    Leaf, LeafClass, Silence,
    compare::{Frame, Taken, Walk},
    ignore::{Applies, Token},
    lists::{self, Keys},
    owners::{Entry, Owners, Place, Writer},
    rules::{Facts, Ownership, RULES},
    values::{is_encrypted, key_text},
};
use crate::object::{FieldPath, Step, Text};

/// Why extras are kept silent, by rule name.
const SILENT: [(&str, &str); 6] = [
    ("default_or_admission", "defaults of the API server, and fields that nobody owns because admission added them"),
    ("controller_owned", "fields that a controller owns and Git does not set"),
    ("deployer_owned", "fields that the deployer owns by client-side apply and Git does not set: mostly defaults, but it cannot be told"),
    ("unattributed", "fields that Git does not set and whose owner is not recorded"),
    ("inside_list", "fields inside lists of custom resources that Git does not set: without the schema they may be defaults"),
    ("autoscaled", "replicas that an autoscaler set through the scale subresource"),
];

impl<'a> Walk<'a> {
    /// Both sides have a value and they differ.
    pub(super) fn differ(&mut self, desired: &'a Value, observed: &'a Value) {
        let unset = self.unset(desired);
        if unset && self.is_default(observed, |f| f.observed) {
            return;
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
        if self.rule(set, None) {
            return;
        }
        let found = Found::of(self, observed.is_some());
        if self.rule(set, Some(&found)) || self.ignored(&found) {
            return;
        }
        if self.path == ["spec", "replicas"] && found.scaled_by_controller {
            return self.silence(5);
        }
        let (owner, time) = found.newest;
        self.push(Leaf { path: self.field_path(), class, desired: desired.cloned(), observed: observed.cloned(), owner, time });
    }

    /// A leaf that only the observed side has.
    pub(super) fn extra_leaf(&mut self, observed: &'a Value) {
        if self.rule(None, None) {
            return;
        }
        let found = Found::of(self, true);
        if self.rule(None, Some(&found)) || self.ignored(&found) {
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
    pub(super) fn count(&self) -> u32 {
        let leaves = u32::try_from(self.out.leaves.len()).unwrap_or(u32::MAX);
        self.out.silenced.iter().fold(leaves, |n, s| n.saturating_add(s.leaves)) + u32::from(self.encrypted)
    }

    /// Counts the leaf under the first rule that covers it. Rules that ask for no owner are asked before `found` is looked up.
    fn rule(&mut self, desired: Option<&Value>, found: Option<&Found>) -> bool {
        let facts = Facts { gvk: self.policy.gvk, path: &self.path, desired, observed_root: self.root };
        let owner = found.map(|f| Ownership { by_person: f.by_person, managers: &f.managers });
        let Some(rule) = RULES.iter().find(|r| r.asks_owner() == found.is_some() && r.covers(&facts, owner)) else { return false };
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

    pub(super) fn silence(&mut self, n: usize) {
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
