//! Our verdict beside the server's: what a dry run would change, and whether the two say the same.

use std::sync::Arc;

use serde_json::Value;
use snapgap::{
    drift::{
        Builtin, Comparison, LeafClass, Observed, Policy, Schema, compare,
        schema::{Definition, Origin, Schemas, Shape},
    },
    object::{Gvk, Object, Quantity, Redactor, Step, admit},
};

/// An object as the engine takes it in. Secret values are hidden on both sides by the same key, so that they stay comparable.
pub fn taken_in(value: &Value) -> Object {
    admit(value.clone(), &Redactor::new([7; 32])).unwrap_or_else(|e| panic!("{e}: {value}"))
}

/// The schemas of one server: definitions first, then what it describes, then the table, as the product looks them up.
#[derive(Default)]
pub struct Schemata {
    pub definitions: Vec<Definition>,
    pub served: Arc<Schemas>,
}

impl Schemata {
    pub fn of(&self, object: &Value) -> Box<dyn Schema> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let gvk = Gvk::parse(text("apiVersion"), text("kind"));
        let defined = self.definitions.iter().find_map(|d| Shape::of(&d.index, &gvk, Origin::Definition, true));
        match defined.or_else(|| self.served.served(&gvk)).or_else(|| self.served.bundled(&gvk)) {
            Some(shape) => Box::new(shape),
            None => Box::new(Builtin),
        }
    }
}

/// What the engine says of a live object.
pub fn ours(schema: &dyn Schema, desired: &Value, live: &Value) -> Comparison {
    prepared(&taken_in(desired), &taken_in(live)).judge(schema)
}

/// Schema path of a reported leaf: positions and items as `*`.
pub fn leaf_path(leaf: &snapgap::drift::Leaf) -> String {
    let step = |s: &Step| match s {
        Step::Key(key) => key.to_string().replace('~', "~0").replace('/', "~1"),
        _ => "*".to_owned(),
    };
    leaf.path.0.iter().map(step).collect::<Vec<_>>().join("/")
}

/// One place that a dry run would change.
#[derive(Clone, Debug)]
pub struct Change {
    /// List positions stand as `*`.
    pub path: String,
    pub now: Value,
    pub then: Value,
}

/// What of an object is compared. An autoscaler's status is served as annotations in its old version.
fn compared(object: &Value) -> Value {
    let mut out = taken_in(object).content.value();
    if let Some(annotations) = out.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|k, _| !k.starts_with("autoscaling.alpha.kubernetes.io/"));
        if annotations.is_empty() {
            out["metadata"].as_object_mut().expect("metadata").remove("annotations");
        }
    }
    out
}

/// What the deployer's next apply would change, by the server's own word.
pub fn theirs(live: &Value, predicted: &Value) -> Vec<Change> {
    fn walk(now: &Value, then: &Value, at: &str, out: &mut Vec<Change>) {
        let child = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") };
        match (now, then) {
            _ if now == then => {}
            (Value::Object(a), Value::Object(b)) => {
                let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
                let get = |m: &serde_json::Map<String, Value>, k: &str| m.get(k).cloned().unwrap_or(Value::Null);
                keys.for_each(|k| walk(&get(a, k), &get(b, k), &child(&k.replace('~', "~0").replace('/', "~1")), out));
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().any(|v| v.is_object() || v.is_array()) => {
                a.iter().zip(b).for_each(|(x, y)| walk(x, y, &child("*"), out));
            }
            _ => out.push(Change { path: at.to_owned(), now: now.clone(), then: then.clone() }),
        }
    }
    let mut out = Vec::new();
    walk(&compared(live), &compared(predicted), "", &mut out);
    // Of metadata the engine compares what Git can set; the rest is the server's.
    out.retain(|c| !c.path.starts_with("metadata/") || ["labels", "annotations"].iter().any(|s| c.path[9..].starts_with(s)));
    out
}

/// How a pair of answers stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Both say the same, by field.
    Agreed,
    /// A reason why the two differ that docs/drift.md lists.
    Documented(&'static str),
    /// Nobody said why: the schema path, and who speaks there alone.
    Disputed(Vec<(String, &'static str)>),
}

fn related(a: &str, b: &str) -> bool {
    let below = |x: &str, y: &str| y.strip_prefix(x).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    a.is_empty() || b.is_empty() || below(a, b) || below(b, a)
}

/// Whether two lists hold the same in another order.
fn reordered(a: &Value, b: &Value) -> bool {
    let (Value::Array(a), Value::Array(b)) = (a, b) else { return false };
    a.len() == b.len() && a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
}

/// Whether two texts say one amount: custom resources keep the letters, and nobody means another thing by them.
fn spelled_otherwise(a: &Value, b: &Value) -> bool {
    matches!((Quantity::from_json(a), Quantity::from_json(b)), (Some(a), Some(b)) if a == b)
}

/// Whether a value says no more than its absence.
pub fn empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(empty),
        other => [Value::Null, Value::from(""), Value::Array(Vec::new())].contains(other),
    }
}

/// Whether the server only fills in what goes with a field beside it that changes, which is told: a default, not what Git sets.
fn filled_in(change: &Change, asks: &[(String, LeafClass)], desired: &Value) -> bool {
    let parent = |p: &str| p.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    !change.then.is_null() && asks.iter().any(|(a, _)| parent(a) == parent(&change.path)) && !sets(desired, &change.path, &change.then)
}

/// Whether a field's own default gives way to what the default of a container around it has there.
fn by_default_of_a_branch(schema: &dyn Schema, gvk: &Gvk, change: &Change) -> bool {
    let steps: Vec<&str> = change.path.split('/').collect();
    if schema.default_of(gvk, &steps).as_ref() != Some(&change.now) {
        return false;
    }
    let has =
        |n: usize| schema.default_of(gvk, &steps[..n]).is_some_and(|d| steps[n..].iter().try_fold(&d, |v, step| v.get(*step)) == Some(&change.then));
    (1..steps.len()).any(has)
}

/// Whether a value stands in any place of this schema path.
fn sets(value: &Value, path: &str, wanted: &Value) -> bool {
    let Some((step, rest)) = path.split_once('/').or((!path.is_empty()).then_some((path, ""))) else { return value == wanted };
    match value {
        Value::Array(items) if step == "*" => items.iter().any(|i| sets(i, rest, wanted)),
        Value::Object(members) => members.get(&step.replace("~1", "/").replace("~0", "~")).is_some_and(|v| sets(v, rest, wanted)),
        _ => false,
    }
}

/// Whether a manager still stands for something at this schema path; inside lists that is not looked for.
fn wrote(live: &Value, manager: &str, path: &str) -> bool {
    let reaches = |fields: &Value| path.split('/').take_while(|s| *s != "*").try_fold(fields, |node, step| node.get(format!("f:{step}"))).is_some();
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|e| e["manager"] == manager && reaches(&e["fieldsV1"]))
}

/// The names under which a pod template has its service account: the server fills in each from the other.
const TWO_NAMES: [&str; 2] = ["spec/serviceAccount", "spec/serviceAccountName"];

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What Git sets and the server does not keep: the schema path of a field that it does not know.
    pub dropped: Option<&'a str>,
    /// Git's manifest, if the deployer merges patches.
    pub merged: Option<&'a Value>,
    /// Whether Git dropped something of which only the last manifest tells, which the engine does not have.
    pub taken: bool,
    /// Whether Git dropped something.
    pub deleted: bool,
    /// Whether kubectl's own copy of the last manifest is gone, so that kubectl does not know what it once applied.
    pub forgotten: bool,
    /// Git's manifest.
    pub desired: &'a Value,
    /// What is live.
    pub live: &'a Value,
    /// Whether the deployer applies and somebody else has written the object in another version.
    pub converted: bool,
}

/// Whether a list of ports has one number twice: kubectl merges ports by their number alone (k8s#39188).
fn repeats_ports(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| {
            let number = |p: &Value| p.get("port").or_else(|| p.get("containerPort")).and_then(Value::as_i64);
            let numbers: Vec<i64> = member.as_array().filter(|_| key == "ports").into_iter().flatten().filter_map(number).collect();
            numbers.iter().enumerate().any(|(n, port)| numbers[..n].contains(port)) || repeats_ports(member)
        }),
        Value::Array(items) => items.iter().any(repeats_ports),
        _ => false,
    }
}

/// Holds our answer against the server's.
pub fn stand(schema: &dyn Schema, mine: &Comparison, changes: &[Change], asked: &Asked<'_>) -> Standing {
    let Asked { dropped, merged, taken, deleted, forgotten, desired, live, converted } = *asked;
    let asking = mine.leaves.iter().filter(|l| !l.is_addition() && l.class != LeafClass::UnknownField);
    let asks: Vec<(String, LeafClass)> = asking.map(|l| (leaf_path(l), l.class)).collect();
    let text = |key: &str| desired[key].as_str().unwrap_or_default();
    let gvk = Gvk::parse(text("apiVersion"), text("kind"));
    let mut reason = None;
    let mut disputed: Vec<(String, &'static str)> = Vec::new();
    for change in changes.iter().filter(|c| !asks.iter().any(|(a, _)| related(a, &c.path))) {
        if reordered(&change.now, &change.then) {
            reason = Some("order");
        } else if mine.leaves.iter().any(|l| related(&leaf_path(l), &change.path)) {
            reason = Some("co-owned");
        } else if spelled_otherwise(&change.now, &change.then) {
            reason = Some("spelling");
        } else if empty(&change.now) && empty(&change.then) {
            reason = Some("empty");
        } else if filled_in(change, &asks, desired) {
            reason = Some("default");
        } else if knows_more(mine) {
            reason = Some("rule");
        } else if taken && (mine.silenced.iter().any(|s| s.rule == "controller_owned") || !wrote(live, "helm", &change.path)) {
            reason = Some("taken over");
        } else if deleted && by_default_of_a_branch(schema, &gvk, change) {
            reason = Some("default");
        } else {
            disputed.push((change.path.clone(), "server"));
        }
    }
    for (ask, class) in asks.iter().filter(|(a, _)| !changes.iter().any(|c| related(a, &c.path))).cloned() {
        if dropped.is_some_and(|d| related(d, &ask)) {
            reason = Some("dropped");
        } else if merged.is_some_and(repeats_ports) && ask.ends_with("ports/*") {
            reason = Some("merge key");
        } else if forgotten && class == LeafClass::Removed {
            reason = Some("forgotten");
        } else if converted && class == LeafClass::Removed {
            reason = Some("conversion");
        } else if class == LeafClass::Removed && TWO_NAMES.iter().any(|name| ask.ends_with(name)) {
            reason = Some("two names");
        } else {
            disputed.push((ask, "snapgap"));
        }
    }
    if !disputed.is_empty() {
        disputed.sort();
        disputed.dedup();
        return Standing::Disputed(disputed);
    }
    if changes.is_empty() && !mine.leaves.is_empty() {
        let unknown = mine.leaves.iter().any(|l| l.class == LeafClass::UnknownField);
        reason = reason.or(Some(if unknown { "dropped" } else { "addition" }));
    }
    reason.map_or(Standing::Agreed, Standing::Documented)
}

/// What is silent for want of an owner or of a schema. All other silences come from rules that know more than the server's apply does.
const PLAIN: [&str; 5] = ["default_or_admission", "controller_owned", "deployer_owned", "unattributed", "inside_list"];

/// Whether a rule about what a field means kept something silent.
pub fn knows_more(mine: &Comparison) -> bool {
    mine.silenced.iter().any(|s| !PLAIN.contains(&&*s.rule))
}

/// Two objects ready to be compared.
pub struct Prepared {
    desired: Object,
    live: Object,
    values: (Value, Value),
}

/// Parses what is kept as text.
pub fn prepared(desired: &Object, live: &Object) -> Prepared {
    Prepared { values: (desired.content.value(), live.content.value()), desired: desired.clone(), live: live.clone() }
}

impl Prepared {
    /// The engine's answer.
    pub fn judge(&self, schema: &dyn Schema) -> Comparison {
        let gvk = self.desired.gvk();
        let (managers, applied) = (self.live.meta.managers(), self.live.meta.applied());
        let observed = Observed { value: &self.values.1, managers: managers.as_deref(), applied: applied.as_deref() };
        compare(&self.values.0, observed, &Policy::of(schema, &self.desired.id, &gvk))
    }
}
