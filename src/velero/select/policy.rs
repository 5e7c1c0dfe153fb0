//! Resource policies: the ConfigMap that a backup names, and what it changes in the kind filters. pure
//!
//! Source: Velero 1.18 internal/resourcepolicies/resource_policies.go, pkg/util/collections/includes_excludes.go `CombineWithPolicy`. Policies
//! for volumes change nothing in what manifests are taken.

use serde_json::{Map, Value};

use crate::{
    object::yaml,
    velero::{
        glob::Glob,
        names::{Names, Resolved},
        scope::{Kinds, Lists},
    },
};

/// What a ConfigMap says about kinds. `Ok(None)`: nothing, it has volumes in it only.
pub(super) fn read(config_map: &Value) -> Result<Option<[Vec<String>; 4]>, String> {
    let empty = Map::new();
    let data = config_map.get("data").and_then(Value::as_object).unwrap_or(&empty);
    let [text] = data.values().collect::<Vec<_>>()[..] else { return Err(format!("it has {} keys instead of one", data.len())) };
    let parsed = yaml::parse(text.as_str().unwrap_or_default().as_bytes(), &yaml::Limits::default()).map_err(|e| e.to_string())?;
    let policies = parsed.documents.into_iter().next().map(|d| d.value).unwrap_or_default();
    let Value::Object(policies) = policies else { return Err("it is no mapping".into()) };
    if let Some(odd) = policies.keys().find(|k| !["version", "volumePolicies", "includeExcludePolicy"].contains(&k.as_str())) {
        return Err(format!("it has an unknown member {odd}"));
    }
    if policies.get("version").and_then(Value::as_str) != Some("v1") {
        return Err("its version is not v1".into());
    }
    let Some(policy) = policies.get("includeExcludePolicy").filter(|v| !v.is_null()) else { return Ok(None) };
    let list = |key: &str| -> Result<Vec<String>, String> {
        match policy.get(key).filter(|v| !v.is_null()) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|i| i.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(|| format!("{key} holds more than texts"))
            }
            Some(_) => Err(format!("{key} is not a list")),
        }
    };
    let lists = [
        list("excludedNamespaceScopedResources")?,
        list("includedNamespaceScopedResources")?,
        list("excludedClusterScopedResources")?,
        list("includedClusterScopedResources")?,
    ];
    for pair in lists.chunks(2) {
        if pair.iter().flatten().any(|item| item == "*") {
            return Err("its includeExcludePolicy has a *".into());
        }
        if let Some(both) = pair[0].iter().find(|item| pair[1].contains(item)) {
            return Err(format!("its includeExcludePolicy both includes and excludes {both}"));
        }
    }
    Ok(Some(lists))
}

/// The kind filters with a policy's lists added where the spec's own do not already match.
pub(super) fn combine(kinds: &mut Kinds, policy: &[Vec<String>; 4], names: &Names) {
    let Kinds::New { namespaced, cluster } = kinds else { return };
    let [no_namespaced, yes_namespaced, no_cluster, yes_cluster] = policy;
    add(namespaced, no_namespaced, true, true, names);
    add(namespaced, yes_namespaced, true, false, names);
    add(cluster, no_cluster, false, true, names);
    add(cluster, yes_cluster, false, false, names);
}

fn add(lists: &mut Lists, items: &[String], namespaced: bool, exclude: bool, names: &Names) {
    let resolve = |word: &String| match names.resolve(word) {
        _ if word == "*" => Some(word.clone()),
        Resolved::Kind(name) => (name.namespaced == namespaced).then(|| name.resource.to_string()),
        Resolved::Nothing | Resolved::Several(_) => Some(word.clone()),
    };
    let matched = |list: &[String], item: &str| {
        let mut keys: Vec<String> = list.iter().filter_map(resolve).collect();
        keys.sort();
        for key in keys {
            match Glob::new(&key).map(|g| g.matches(item)) {
                None => return false,
                Some(Some(true)) => return true,
                Some(_) => {}
            }
        }
        false
    };
    for item in items.iter().filter_map(resolve) {
        if !matched(&lists.include, &item) && !matched(&lists.exclude, &item) {
            if exclude { &mut lists.exclude } else { &mut lists.include }.push(item);
        }
    }
}
