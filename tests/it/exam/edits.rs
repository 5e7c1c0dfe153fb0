//! Random edits of every kind of leaf: a value is turned, taken away or added. The same seed makes the same edits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A small generator (splitmix64): the same on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for one object: the seed of the exam and whatever tells the object from others.
    pub fn new(seed: u64, of: &str) -> Self {
        // FNV-1a
        Self(of.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or_default()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Flip,
    Delete,
    Add,
}

/// One edit of one place.
#[derive(Clone, Debug)]
pub struct Edit {
    pub op: Op,
    pub pointer: String,
    /// The value afterwards; none for a deletion.
    pub value: Option<Value>,
    /// The value before; none for an addition.
    pub before: Option<Value>,
}

/// A pointer with list positions as `*`.
pub fn schema_path(pointer: &str) -> String {
    let step = |s: &str| if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) { "*".to_owned() } else { s.to_owned() };
    pointer.split('/').skip(1).map(step).collect::<Vec<_>>().join("/")
}

impl Edit {
    fn patch(op: Op, pointer: &str, value: Option<&Value>) -> Value {
        let name = match op {
            Op::Flip => "replace",
            Op::Delete => "remove",
            Op::Add => "add",
        };
        value.map_or_else(|| json!([{"op": name, "path": pointer}]), |v| json!([{"op": name, "path": pointer, "value": v}]))
    }

    /// As a JSON patch.
    pub fn forward(&self) -> Value {
        Self::patch(self.op, &self.pointer, self.value.as_ref())
    }

    /// The JSON patch that takes it back.
    pub fn backward(&self) -> Value {
        let op = match self.op {
            Op::Flip => Op::Flip,
            Op::Delete => Op::Add,
            Op::Add => Op::Delete,
        };
        Self::patch(op, &self.pointer, self.before.as_ref())
    }

    /// The object with the edit done.
    pub fn on(&self, object: &Value) -> Option<Value> {
        let mut out = object.clone();
        let (parent, last) = self.pointer.rsplit_once('/')?;
        let key = last.replace("~1", "/").replace("~0", "~");
        match (out.pointer_mut(parent)?, &self.value) {
            (Value::Object(m), Some(v)) => drop(m.insert(key, v.clone())),
            (Value::Object(m), None) => drop(m.remove(&key)?),
            (Value::Array(a), Some(v)) => match (self.op, last.parse::<usize>().ok()?) {
                (Op::Add, n) if n <= a.len() => a.insert(n, v.clone()),
                (_, n) => *a.get_mut(n)? = v.clone(),
            },
            (Value::Array(a), None) => {
                let n = last.parse::<usize>().ok().filter(|n| *n < a.len())?;
                a.remove(n);
            }
            _ => return None,
        }
        Some(out)
    }
}

/// Values that were seen under a name, in any manifest: what one manifest says, another may say too.
pub type Pool = BTreeMap<String, Vec<Value>>;

/// Collects them.
pub fn pool<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Pool {
    fn walk(value: &Value, name: &str, pool: &mut Pool) {
        match value {
            Value::Object(m) => m.iter().for_each(|(k, v)| walk(v, k, pool)),
            Value::Array(a) => a.iter().for_each(|v| walk(v, name, pool)),
            scalar => {
                let seen = pool.entry(name.to_owned()).or_default();
                if !seen.contains(scalar) {
                    seen.push(scalar.clone());
                }
            }
        }
    }
    let mut out = Pool::new();
    for (name, values) in ENUMS {
        out.insert((*name).to_owned(), values.iter().map(|v| json!(v)).collect());
    }
    objects.into_iter().for_each(|o| walk(o, "", &mut out));
    out
}

/// Values of fields that take only certain words.
const ENUMS: &[(&str, &[&str])] = &[
    ("imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
    ("restartPolicy", &["Always", "OnFailure", "Never"]),
    ("dnsPolicy", &["ClusterFirst", "Default", "ClusterFirstWithHostNet"]),
    ("protocol", &["TCP", "UDP", "SCTP"]),
    ("scheme", &["HTTP", "HTTPS"]),
    ("failurePolicy", &["Fail", "Ignore"]),
    ("matchPolicy", &["Exact", "Equivalent"]),
    ("concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("sessionAffinity", &["None", "ClientIP"]),
    ("externalTrafficPolicy", &["Cluster", "Local"]),
    ("internalTrafficPolicy", &["Cluster", "Local"]),
    ("pathType", &["Exact", "Prefix", "ImplementationSpecific"]),
    ("whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    ("operator", &["In", "NotIn", "Exists", "DoesNotExist", "Equal"]),
    ("sideEffects", &["None", "NoneOnDryRun"]),
    ("scope", &["*", "Cluster", "Namespaced"]),
    ("volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]),
    ("reclaimPolicy", &["Delete", "Retain"]),
    ("persistentVolumeReclaimPolicy", &["Delete", "Retain"]),
    ("selectPolicy", &["Max", "Min", "Disabled"]),
];

/// Metadata that people and Git set.
const METADATA: [&str; 2] = ["labels", "annotations"];

/// Pointers of all leaves and of all containers below what can be edited.
pub fn places(value: &Value) -> (Vec<String>, Vec<String>) {
    fn walk(value: &Value, at: &str, leaves: &mut Vec<String>, containers: &mut Vec<String>) {
        let child = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(members) if !members.is_empty() => {
                if !at.is_empty() && at != "/metadata" {
                    containers.push(at.to_owned());
                }
                for (key, member) in members {
                    let ours = match at {
                        "" => !matches!(key.as_str(), "apiVersion" | "kind" | "status"),
                        "/metadata" => METADATA.contains(&key.as_str()),
                        "/metadata/annotations" => key != "kubectl.kubernetes.io/last-applied-configuration",
                        _ => true,
                    };
                    if ours {
                        walk(member, &child(key), leaves, containers);
                    }
                }
            }
            Value::Array(items) if !items.is_empty() => {
                containers.push(at.to_owned());
                items.iter().enumerate().for_each(|(n, item)| walk(item, &child(&n.to_string()), leaves, containers));
            }
            _ => leaves.push(at.to_owned()),
        }
    }
    let (mut leaves, mut containers) = (Vec::new(), Vec::new());
    walk(value, "", &mut leaves, &mut containers);
    (leaves, containers)
}

/// Draws an edit of an object. `donor` is an object of the same kind with other fields, to add from.
pub fn draw(object: &Value, donor: Option<&Value>, pool: &Pool, dice: &mut Dice) -> Option<Edit> {
    let (leaves, containers) = places(object);
    match dice.below(5) {
        0 | 1 => {
            let pointer = dice.pick(&leaves)?.clone();
            let before = object.pointer(&pointer)?.clone();
            let value = turned(&pointer, &before, pool, dice);
            Some(Edit { op: Op::Flip, pointer, value: Some(value), before: Some(before) })
        }
        2 => {
            // Now and then a whole branch.
            let from = if dice.below(4) == 0 { &containers } else { &leaves };
            let pointer = dice.pick(from)?.clone();
            let before = object.pointer(&pointer)?.clone();
            Some(Edit { op: Op::Delete, pointer, value: None, before: Some(before) })
        }
        3 => donated(object, donor?, dice),
        _ => grown(object, &containers, dice),
    }
}

/// Another value of the same type.
pub fn turned(pointer: &str, value: &Value, pool: &Pool, dice: &mut Dice) -> Value {
    let name = pointer.split('/').rfind(|s| !s.bytes().all(|b| b.is_ascii_digit())).unwrap_or_default();
    let others: Vec<&Value> = pool.get(name).into_iter().flatten().filter(|v| *v != value && v.is_string() == value.is_string()).collect();
    if dice.below(3) > 0
        && let Some(other) = dice.pick(&others)
    {
        return (*other).clone();
    }
    match value {
        Value::Bool(b) => json!(!b),
        Value::Number(n) => n.as_i64().map_or_else(|| json!(n.as_f64().unwrap_or_default() + 1.5), |n| json!(n + 1)),
        Value::String(text) if text.parse::<u32>().is_ok() => json!(format!("{text}1")),
        Value::String(text) if text.ends_with('=') => json!("ZXhhbQ=="),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["exam"]),
        Value::Object(_) => json!({"exam": "x"}),
        Value::Null => json!("x"),
    }
}

/// A member that the donor has and the object does not.
fn donated(object: &Value, donor: &Value, dice: &mut Dice) -> Option<Edit> {
    let (leaves, containers) = places(donor);
    let absent: Vec<&String> = leaves
        .iter()
        .chain(&containers)
        .filter(|p| {
            let parent = p.rsplit_once('/').map_or("", |(parent, _)| parent);
            object.pointer(p).is_none() && object.pointer(parent).is_some_and(Value::is_object)
        })
        .collect();
    let pointer = (*dice.pick(&absent)?).clone();
    let value = donor.pointer(&pointer)?.clone();
    Some(Edit { op: Op::Add, pointer, value: Some(value), before: None })
}

/// One more member of a map of free keys, or one more item of a list.
fn grown(object: &Value, containers: &[String], dice: &mut Dice) -> Option<Edit> {
    let pointer = dice.pick(containers)?;
    match object.pointer(pointer)? {
        Value::Object(members) => {
            let value = members.values().find(|v| v.is_string()).cloned().unwrap_or(json!("x"));
            Some(Edit { op: Op::Add, pointer: format!("{pointer}/exam"), value: Some(value), before: None })
        }
        Value::Array(items) => {
            let mut item = items.last()?.clone();
            match &mut item {
                Value::Object(m) => {
                    for key in ["name", "key", "path", "mountPath", "ip", "type"] {
                        if let Some(Value::String(text)) = m.get_mut(key) {
                            text.push_str("-exam");
                            break;
                        }
                    }
                    for key in ["port", "containerPort", "hostPort", "nodePort"] {
                        if let Some(n) = m.get(key).and_then(Value::as_i64) {
                            m.insert(key.into(), json!(n + 1));
                        }
                    }
                }
                Value::String(text) => text.push_str("-exam"),
                Value::Number(n) => item = json!(n.as_i64().unwrap_or_default() + 1),
                _ => {}
            }
            Some(Edit { op: Op::Add, pointer: format!("{pointer}/{}", items.len()), value: Some(item), before: None })
        }
        _ => None,
    }
}
