//! Compares one desired object with one observed one. pure

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Comparison, Leaf, LeafClass, Observed, Policy};
use crate::object::{FieldPath, Text};

/// Compares on what Git sets, and looks for a person's additions if the policy asks.
pub fn compare(desired: &Value, observed: Observed<'_>, policy: &Policy<'_>) -> Comparison {
    let mut out = Comparison::default();
    let owners = owners(observed.managers);
    walk(desired, Some(observed.value), FieldPath::root(), &owners, policy, &mut out);
    out.leaves.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

type Owners = BTreeMap<String, (Text, Option<jiff::Timestamp>)>;

fn owners(managers: Option<&str>) -> Owners {
    let mut found = Owners::new();
    let entries: Vec<Value> = managers.and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default();
    for entry in &entries {
        let Some(manager) = entry["manager"].as_str() else { continue };
        let time = entry["time"].as_str().and_then(|t| t.parse().ok());
        fields(&entry["fieldsV1"], "", &mut |path| drop(found.insert(path.to_owned(), (manager.into(), time))));
    }
    found
}

fn fields(value: &Value, path: &str, take: &mut dyn FnMut(&str)) {
    for (key, below) in value.as_object().into_iter().flatten() {
        let Some(name) = key.strip_prefix("f:") else { continue };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        take(&path);
        fields(below, &path, take);
    }
}

fn walk(desired: &Value, observed: Option<&Value>, path: FieldPath, owners: &Owners, policy: &Policy<'_>, out: &mut Comparison) {
    let owned = |path: &FieldPath| owners.get(&path.to_string()).cloned();
    let mut leaf = |class, path: FieldPath, desired: Option<&Value>, observed: Option<&Value>| {
        let (owner, time) = owned(&path).map_or((None, None), |(o, t)| (Some(o), t));
        out.leaves.push(Leaf { path, class, desired: desired.cloned(), observed: observed.cloned(), owner, time });
    };
    match (desired, observed) {
        (_, None) => leaf(LeafClass::Missing, path, Some(desired), None),
        (Value::Object(want), Some(Value::Object(have))) => {
            for (key, value) in want {
                walk(value, have.get(key), path.key(key), owners, policy, out);
            }
            for (key, value) in have.iter().filter(|(k, _)| !want.contains_key(*k)) {
                let path = path.key(key);
                let Some((owner, time)) = owners.get(&path.to_string()).cloned() else { continue };
                let class = if policy.deployers.contains(&&*owner) { LeafClass::Removed } else { LeafClass::Added };
                if class == LeafClass::Added && !policy.look_for_additions {
                    continue;
                }
                out.leaves.push(Leaf { path, class, desired: None, observed: Some(value.clone()), owner: Some(owner), time });
            }
        }
        (want, Some(have)) if want == have => {}
        (want, Some(have)) => leaf(LeafClass::Changed, path, Some(want), Some(have)),
    }
}
