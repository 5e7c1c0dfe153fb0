//! The comparisons behind a verdict: Git against cluster, Git against backup, and the differing fields of both as one list. pure

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    fast::quick_hash,
    memo::{Memo, TrioKey, print_of},
    neighbours::Neighbours,
    schemas::{self, PairPrint, SchemaSide},
    tracked::Tracked,
};
use crate::{
    drift::{
        Comparison, Leaf, LeafClass, Managers, Observed, Policy, Silence, compare,
        exempt::{Exemptions, Use},
    },
    object::{BodyError, FieldPath, Fingerprint, Gvk, Lookup, Object, ObjectId, Place, Text, redact::MARK},
    report::model::FieldReport,
    velero::edits,
    witness::Failure,
};

/// Longest value that a field of the report quotes, in bytes; `explain` has the whole.
const LONGEST_VALUE: usize = 2_000;

/// How two sides agree on what Git sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Nothing differs.
    Same,
    /// Only what a person added or ran otherwise beside what Git sets.
    Additions,
    /// Something that Git sets, or that its deployer left behind, differs.
    Differs,
}

/// The outcome of one comparison, as far as verdicts need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The other side holds everything that Git sets, and nothing that Git has dropped.
    pub holds: bool,
    pub agreement: Agreement,
    pub unjudged: Option<Failure>,
}

/// A copy that could not be read again, as a failure.
pub(super) fn body_unread(error: &BodyError) -> Failure {
    Failure::new(error.kind(), format!("the backup has a copy, but {error}; it is read anew with the next look at the backup"))
}

/// Whether the other side holds everything that Git sets, and nothing that Git has dropped.
pub(super) fn agrees(comparison: &Comparison) -> bool {
    Outcome::of(comparison).holds
}

impl Outcome {
    fn of(comparison: &Comparison) -> Self {
        // What the server has no field for is on neither side, whatever Git says.
        let mut leaves = comparison.leaves.iter().filter(|l| l.class != LeafClass::UnknownField);
        let agreement = match leaves.next() {
            None => Agreement::Same,
            Some(first) if first.is_addition() && leaves.all(Leaf::is_addition) => Agreement::Additions,
            Some(_) => Agreement::Differs,
        };
        // A field that Git dropped and the other side still has is a difference too: a restore would bring it back.
        Self { holds: comparison.unjudged.is_none() && agreement != Agreement::Differs, agreement, unjudged: comparison.unjudged.clone() }
    }
}

/// One differing field, with the path that finds its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub path: FieldPath,
    pub report: FieldReport,
    /// Whether the backup differs there.
    pub in_backup: bool,
}

/// Both comparisons of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trio {
    pub live: Option<Outcome>,
    pub backup: Option<Outcome>,
    pub fields: Vec<Field>,
    pub silenced: Vec<Silence>,
    /// Which rules of users and deployers speak of the object, and which are broken.
    pub uses: BTreeSet<Use>,
    /// Who last wrote a field of the backup's copy that differs from Git, and when.
    pub captured: Option<(Text, Option<Timestamp>)>,
}

/// How a backup's copy compares with an earlier state of Git.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    /// The copy holds everything that state set.
    pub holds: bool,
    /// Where it does not.
    pub differs: Arc<BTreeSet<FieldPath>>,
}

/// What Git declares of one object, placed.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub id: &'a ObjectId,
    pub object: &'a Object,
    pub drops_namespace: bool,
}

impl Wanted<'_> {
    /// The value to compare.
    pub(super) fn value(&self) -> Value {
        let mut value = self.object.content.value();
        if self.drops_namespace
            && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("namespace");
        }
        value
    }
}

/// Compares under one policy and remembers.
pub(super) struct Engine<'a> {
    pub schemas: SchemaSide<'a>,
    pub exempt: Exemptions,
    pub neighbours: Neighbours,
    pub tracked: Tracked,
    pub managers: &'a Managers,
    pub memo: &'a Memo,
}

/// The side that is compared with Git.
#[derive(Clone, Copy)]
pub(super) struct Other<'a> {
    pub object: &'a Object,
    /// Whether it is what runs, and not a backup.
    pub live: bool,
    /// Whether what rules keep silent is listed too.
    pub listed: bool,
}

impl Engine<'_> {
    /// A fingerprint of everything that a comparison depends on besides the objects.
    pub(super) fn policy_print(exempt: &Exemptions, managers: &Managers) -> Fingerprint {
        Fingerprint::of(format!("{} {managers:?}", exempt.print()).as_bytes())
    }

    /// Compares one pair.
    pub(super) fn compare(&self, wanted: Wanted<'_>, desired: &Value, observed: &Value, other: Other<'_>) -> Comparison {
        let Other { object, live, listed } = other;
        // What Velero itself writes into a copy says nothing of Git.
        let edited = (!live && edits::touch(&wanted.id.gk)).then(|| {
            let (mut desired, mut observed) = (desired.clone(), observed.clone());
            edits::level(&wanted.id.gk, &mut desired, &mut observed);
            (desired, observed)
        });
        let (desired, observed) = edited.as_ref().map_or((desired, observed), |(d, o)| (d, o));
        let gvk = wanted.object.gvk();
        let pair = self.schemas.pair(&gvk, &object.version);
        if let Some(refused) = pair.refused {
            return Comparison { unjudged: Some(refused), ..Comparison::default() };
        }
        let (managers, applied) = (object.meta.managers(), object.meta.applied());
        // The older of two versions is said in the newer one, and they are compared there.
        let unknown = |gvk: &Gvk| Comparison { unjudged: Some(schemas::differs(gvk, &object.version)), ..Comparison::default() };
        let (gvk, desired, observed, applied) = match &pair.bridge {
            None => (gvk, Cow::Borrowed(desired), Cow::Borrowed(observed), applied),
            Some(way) => {
                let older = if way.desired_is_older { desired } else { observed };
                let Some(said) = way.across(older.clone()) else { return unknown(&gvk) };
                // What was last applied was so in a version that it does not tell; in the newer one it stays as it is.
                let applied = applied.and_then(|a| way.across(serde_json::from_str(&a).ok()?)).map(|v| v.to_string());
                let (d, o) =
                    if way.desired_is_older { (Cow::Owned(said), Cow::Borrowed(observed)) } else { (Cow::Borrowed(desired), Cow::Owned(said)) };
                (Gvk { version: way.to.clone(), ..gvk }, d, o, applied)
            }
        };
        let mark = self.tracked.mark(wanted.id, object.meta.mark.as_ref());
        let policy = Policy {
            exempt: &self.exempt,
            mark,
            scaling: self.neighbours.scaling(wanted.id).0,
            managers: self.managers,
            look_for_additions: live,
            list_silences: listed,
            ..Policy::of(pair.wanted.schema(), wanted.id, &gvk)
        };
        let observed = Observed { value: &observed, managers: managers.as_deref(), applied: applied.as_deref() };
        pair.checked(compare(&desired, observed, &policy), &object.version)
    }

    /// A hash of what a comparison reads of an object besides its content: who wrote it, and what was last applied.
    fn facts(&self, object: &Object) -> u64 {
        let here = || print_of(object.meta.managers.as_ref()) ^ print_of(object.meta.applied.as_ref()).rotate_left(1);
        object.content.place().map_or_else(here, Place::writers)
    }

    /// A hash of the mark that a deployer's list stands for: rules of that deployer hold for the object.
    fn listed(&self, id: &ObjectId) -> u64 {
        self.tracked.get(id).map_or(0, |l| quick_hash(Some(format!("{:?}", l.mark).as_bytes())))
    }

    /// What the schemas of a pair are, for the memo.
    fn schemas_of(&self, wanted: Wanted<'_>, other: Option<&Object>) -> Option<PairPrint> {
        other.map(|o| self.schemas.pair(&wanted.object.gvk(), &o.version).print())
    }

    /// Git against cluster and Git against backup.
    pub(super) fn trio(&self, wanted: Wanted<'_>, live: Option<&Object>, backup: Option<&Object>) -> Arc<Trio> {
        let print = |o: &Object| (o.content.print(), self.facts(o));
        let key = TrioKey {
            desired: wanted.object.content.print(),
            drops_namespace: wanted.drops_namespace,
            live: live.map(print),
            backup: backup.map(print),
            schemas: [self.schemas_of(wanted, live), self.schemas_of(wanted, backup)],
            scaling: self.neighbours.scaling(wanted.id).1,
            listed: self.listed(wanted.id),
        };
        self.memo.trio(key, || self.compare_both(wanted, live, backup))
    }

    /// Both comparisons, and whether every body that they needed was there.
    fn compare_both(&self, wanted: Wanted<'_>, live: Option<&Object>, backup: Option<&Object>) -> (Trio, bool) {
        let as_git = |o: &Object| !wanted.drops_namespace && o.content.print() == wanted.object.content.print();
        let as_live = |o: &Object| live.is_some_and(|l| l.content.print() == o.content.print());
        // A copy that equals what is at hand anyway need not be read again.
        let (held, unread) = match backup.map(|o| if as_git(o) || as_live(o) { Ok(Cow::Borrowed(o)) } else { o.whole() }) {
            None => (None, None),
            Some(Ok(held)) => (Some(held), None),
            Some(Err(e)) => (None, Some(body_unread(&e))),
        };
        let whole = unread.is_none();
        let mut trio = self.compare_held(wanted, live, held.as_deref());
        if let Some(failure) = unread {
            trio.backup = Some(Outcome { holds: false, agreement: Agreement::Differs, unjudged: Some(failure) });
        }
        (trio, whole)
    }

    fn compare_held(&self, wanted: Wanted<'_>, live: Option<&Object>, backup: Option<&Object>) -> Trio {
        let values = Values { wanted, live, backup, parsed: Default::default() };
        let pair = |object: &Object, is_live: bool| -> Comparison {
            // Equal contents need no parsing: a comparison of a thing with itself is empty.
            if self.exempt.is_empty() && !wanted.drops_namespace && object.content.print() == wanted.object.content.print() {
                return Comparison::default();
            }
            let value = if is_live { values.live() } else { values.backup() };
            self.compare(wanted, values.desired(), value, Other { object, live: is_live, listed: false })
        };
        let to_live = live.map(|o| pair(o, true));
        let to_backup = backup.map(|o| match (&to_live, live) {
            // The same bytes on both other sides: what Git sets differs in the same places.
            (Some(known), Some(l)) if l.content.print() == o.content.print() => {
                let leaves = known.leaves.iter().filter(|l| !l.is_addition()).cloned().collect();
                Comparison { leaves, unjudged: known.unjudged.clone(), ..Comparison::default() }
            }
            _ => pair(o, false),
        });
        let last_write = |c: &Comparison| {
            let writes = c.leaves.iter().filter_map(|l| Some((l.time, l.owner.clone()?)));
            writes.max().map(|(time, owner)| (owner, time))
        };
        Trio {
            live: to_live.as_ref().map(Outcome::of),
            backup: to_backup.as_ref().map(Outcome::of),
            captured: to_backup.as_ref().and_then(last_write),
            fields: values.fields(to_live.as_ref(), to_backup.as_ref()),
            uses: [&to_live, &to_backup].into_iter().flatten().flat_map(|c| c.uses.iter().cloned()).collect(),
            silenced: to_live.or(to_backup).map(|c| c.silenced).unwrap_or_default(),
        }
    }

    /// An earlier state of Git against a backup's copy.
    pub(super) fn past(&self, past: Wanted<'_>, copy: &Object) -> Result<Past, BodyError> {
        let key = TrioKey {
            desired: past.object.content.print(),
            drops_namespace: past.drops_namespace,
            live: None,
            backup: Some((copy.content.print(), self.facts(copy))),
            schemas: [None, self.schemas_of(past, Some(copy))],
            scaling: self.neighbours.scaling(past.id).1,
            listed: self.listed(past.id),
        };
        self.memo.past(key, || {
            let copy = &*copy.whole()?;
            let c = self.compare(past, &past.value(), &copy.content.value(), Other { object: copy, live: false, listed: false });
            let differs = c.leaves.iter().filter(|l| l.class != LeafClass::UnknownField).map(|l| l.path.clone()).collect();
            Ok(Past { holds: Outcome::of(&c).holds, differs: Arc::new(differs) })
        })
    }
}

/// The three values, parsed when asked for.
struct Values<'a> {
    wanted: Wanted<'a>,
    live: Option<&'a Object>,
    backup: Option<&'a Object>,
    parsed: [OnceCell<Value>; 3],
}

impl Values<'_> {
    fn desired(&self) -> &Value {
        self.parsed[0].get_or_init(|| self.wanted.value())
    }

    fn live(&self) -> &Value {
        self.parsed[1].get_or_init(|| self.live.map_or(Value::Null, |o| o.content.value()))
    }

    fn backup(&self) -> &Value {
        self.parsed[2].get_or_init(|| match self.backup {
            None => Value::Null,
            Some(o) if o.content.place().is_none() => o.content.value(),
            // It was not read again because it equals what is at hand.
            Some(o) if self.live.is_some_and(|l| l.content.print() == o.content.print()) => self.live().clone(),
            Some(_) => self.desired().clone(),
        })
    }

    /// The leaves of both comparisons as one list in path order.
    fn fields(&self, live: Option<&Comparison>, backup: Option<&Comparison>) -> Vec<Field> {
        let mut found: BTreeMap<&FieldPath, (Option<&Leaf>, Option<&Leaf>)> = BTreeMap::new();
        live.into_iter().flat_map(|c| &c.leaves).for_each(|l| found.entry(&l.path).or_default().0 = Some(l));
        // What the server has no field for is no difference of a backup either: it is told once, beside the cluster.
        backup
            .into_iter()
            .flat_map(|c| &c.leaves)
            .filter(|l| l.class != LeafClass::UnknownField)
            .for_each(|l| found.entry(&l.path).or_default().1 = Some(l));
        let secret = self.wanted.id.gk.is("", "Secret");
        let lookup = Lookup::default();
        let show = |v: &Value| show(v, secret);
        let field = |(path, (l, b)): (&FieldPath, (Option<&Leaf>, Option<&Leaf>))| {
            let running = || self.live.and_then(|_| lookup.at(self.live(), path)).map(show);
            let held = || self.backup.and_then(|_| lookup.at(self.backup(), path)).map(show);
            let report = FieldReport {
                path: path.to_string(),
                class: l.map(|l| l.class),
                desired: l.or(b).and_then(|l| l.desired.as_ref()).map(show),
                live: l.map_or_else(running, |l| l.observed.as_ref().map(show)),
                backed_up: b.map_or_else(held, |b| b.observed.as_ref().map(show)),
                owner: l.and_then(|l| l.owner.clone()),
                writer: l.and_then(|l| l.writer),
                time: l.and_then(|l| l.time),
                file: None,
                line: None,
            };
            Field { path: path.clone(), report, in_backup: b.is_some() }
        };
        found.into_iter().map(field).collect()
    }
}

/// The value at a path, if it is there. List items are found by their keys.
pub(super) fn at<'v>(value: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    Lookup::default().at(value, path)
}

/// A value as the report shows it: JSON text, cut when long, Secret values hidden.
pub(super) fn show(value: &Value, secret: bool) -> String {
    let mut text = if secret { hide(value).to_string() } else { value.to_string() };
    if text.len() > LONGEST_VALUE {
        let whole = text.len();
        let cut = (0..=LONGEST_VALUE).rev().find(|n| text.is_char_boundary(*n)).unwrap_or_default();
        text.truncate(cut);
        text.push_str(&format!("… ({whole} bytes)"));
    }
    text
}

/// The hashes that stand for Secret values compare well, but say nothing to a reader.
pub(super) fn hide(value: &Value) -> Value {
    match value {
        Value::String(t) if t.starts_with(MARK) => "(value hidden)".into(),
        Value::Array(items) => items.iter().map(hide).collect(),
        Value::Object(members) => Value::Object(members.iter().map(|(k, v)| (k.clone(), hide(v))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Step;

    #[test]
    fn values_are_found_by_path_also_inside_keyed_lists() {
        let v = json!({"spec":{"ports":[{"port":80},{"port":53,"protocol":"UDP","name":"dns"}],"args":["a","b"]}});
        let spec = FieldPath::root().key("spec");
        let select = |port: &str, protocol: &str| Step::Select(vec![("port".into(), port.into()), ("protocol".into(), protocol.into())]);
        assert_eq!(at(&v, &spec.key("ports").child(select("53", "UDP")).key("name")), Some(&json!("dns")));
        assert_eq!(at(&v, &spec.key("ports").child(select("80", "TCP"))), Some(&json!({"port":80})));
        assert_eq!(at(&v, &spec.key("args").child(Step::Index(1))), Some(&json!("b")));
        assert_eq!(at(&v, &spec.key("args").child(Step::Value("a".into()))), Some(&json!("a")));
        assert_eq!(at(&v, &spec.key("nope").key("deeper")), None);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let text = show(&json!("ä".repeat(3_000)), false);
        assert!(text.len() < LONGEST_VALUE + 40 && text.ends_with("… (6002 bytes)"), "{}", text.len());
    }

    #[test]
    fn secret_values_are_hidden_at_any_depth() {
        let v = json!({"a":[format!("{MARK}0123")],"b":{"c":format!("{MARK}4567")},"d":"plain"});
        assert_eq!(show(&v, true), r#"{"a":["(value hidden)"],"b":{"c":"(value hidden)"},"d":"plain"}"#);
    }
}
