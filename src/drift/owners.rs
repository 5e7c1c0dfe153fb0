//! Who owns a leaf: `metadata.managedFields`, read only when a leaf differs. pure
//!
//! Format: sigs.k8s.io/structured-merge-diff `fieldpath` (`f:` member, `k:` item of a keyed list, `v:` item of a set, `i:` position, `.`
//! the place itself). A manager is not an identity: anybody may use any name, so the classes below are a judgement about programs.

mod managers;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::versions;
use crate::object::{Gvk, Text};

pub use managers::{Managers, Writer, rows as manager_rows};

/// Managers that write whole objects, so that they own every default that the server filled in.
const WHOLE_WRITERS: [&str; 3] = ["kubectl-create", "kubectl-replace", "oc-create"];

/// One entry of managedFields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Field manager.
    #[serde(default)]
    pub manager: String,
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(default)]
    operation: String,
    /// Subresource written through; empty for the object itself.
    #[serde(default)]
    pub subresource: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default, rename = "fieldsV1")]
    fields: Map<String, Value>,
}

impl Entry {
    /// When it last wrote.
    pub fn time(&self) -> Option<Timestamp> {
        self.time.as_deref().and_then(|t| t.parse().ok())
    }

    /// Whether it wrote by server-side apply: then it owns what it applied and no default.
    pub fn applied(&self) -> bool {
        self.operation == "Apply"
    }

    /// Whether it tends to own defaults because it writes whole objects.
    pub fn writes_whole_objects(&self) -> bool {
        WHOLE_WRITERS.contains(&&*self.manager)
    }

    /// The name as shown.
    pub fn name(&self) -> Text {
        if self.subresource.is_empty() { self.manager.as_str().into() } else { format!("{} ({})", self.manager, self.subresource).into() }
    }

    /// How many places it owns.
    pub fn size(&self) -> usize {
        fn leaves(node: &Map<String, Value>) -> usize {
            node.values().map(|v| v.as_object().filter(|m| !m.is_empty()).map_or(1, leaves)).sum()
        }
        leaves(&self.fields)
    }

    /// What kind of writer it is.
    pub fn writer(&self, managers: &Managers) -> Writer {
        match managers.class(&self.manager, self.applied()) {
            // What deploys writes whole objects; who writes a subresource under such a name does something else.
            Writer::Deployer if !self.subresource.is_empty() => Writer::Controller,
            class => class,
        }
    }

    fn owns(&self, path: &[Place<'_>]) -> bool {
        let mut node = &self.fields;
        for place in path {
            let next = match place {
                Place::Key(key) => node.get(&format!("f:{key}")),
                Place::Item(keys) => node.iter().find(|(k, _)| k.strip_prefix("k:").is_some_and(|json| selects(json, keys))).map(|(_, v)| v),
                Place::Value(value) => node.get(&format!("v:{value}")),
                Place::Index => None,
            };
            match next.and_then(Value::as_object) {
                Some(deeper) => node = deeper,
                // A node without children owns all that lies below it: a leaf, or something that has one writer as a whole.
                None => return node.is_empty(),
            }
        }
        true
    }
}

/// One step from the root, as ownership sees it.
#[derive(Clone, Debug)]
pub enum Place<'a> {
    /// A member of a mapping.
    Key(&'a str),
    /// An item of a keyed list: keys and their values as text.
    Item(Vec<(Text, String)>),
    /// An item of a set, as JSON text.
    Value(String),
    /// A position.
    Index,
}

fn selects(json: &str, keys: &[(Text, String)]) -> bool {
    let Ok(Value::Object(wanted)) = serde_json::from_str(json) else { return false };
    !wanted.is_empty() && wanted.iter().all(|(k, v)| keys.iter().any(|(name, text)| **name == **k && *text == super::values::key_text(v)))
}

/// All entries of one object.
#[derive(Debug, Default)]
pub struct Owners(Vec<Entry>);

impl Owners {
    /// Reads managedFields. What does not parse owns nothing, so its leaves are unattributed.
    pub fn read(json: Option<&str>) -> Self {
        let entries: Vec<Value> = json.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        Self(entries.into_iter().filter_map(|e| serde_json::from_value(e).ok()).collect())
    }

    /// The same with every place named as this version names it, where writers in another version named it otherwise.
    #[must_use]
    pub fn named_in(mut self, gvk: &Gvk) -> Self {
        if versions::has_rows(&gvk.gk) {
            for entry in self.0.iter_mut().filter(|e| !e.api_version.is_empty()) {
                let wrote = Gvk::parse(&entry.api_version, &gvk.gk.kind);
                let way = versions::bridge(&Gvk { gk: gvk.gk.clone(), version: wrote.version }, &gvk.version);
                if let Some(way) = way.filter(|w| w.desired_is_older) {
                    way.owned(&mut entry.fields);
                }
            }
        }
        self
    }

    /// The names of all managers.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|e| e.manager.clone()).collect()
    }

    /// Whether this holds for every entry.
    pub fn all(&self, holds: impl Fn(&Entry) -> bool) -> bool {
        self.0.iter().all(holds)
    }

    /// Whether nothing is known of owners.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries of deployers that write the object itself.
    pub fn deployers(&self, managers: &Managers) -> Vec<&Entry> {
        self.0.iter().filter(|e| e.subresource.is_empty() && e.writer(managers) == Writer::Deployer).collect()
    }

    /// The entries that own this place, newest first; among equal times by name, so that the order of the input does not matter.
    pub fn of(&self, path: &[Place<'_>]) -> Vec<&Entry> {
        let mut found: Vec<&Entry> = self.0.iter().filter(|e| e.owns(path)).collect();
        found.sort_by(|a, b| b.time().cmp(&a.time()).then_with(|| a.manager.cmp(&b.manager)));
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ownership_follows_keys_sets_and_wholes() {
        let owners = Owners::read(Some(
            &json!([
                {"manager": "a", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {
                    "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:selector": {}}}},
                {"manager": "b", "operation": "Update", "time": "2026-02-01T00:00:00Z", "fieldsV1": {
                    "f:spec": {"f:selector": {}}, "f:metadata": {"f:finalizers": {".": {}, "v:\"x\"": {}}}}},
                "junk"
            ])
            .to_string(),
        ));
        let names = |path: &[Place<'_>]| owners.of(path).iter().map(|e| e.manager.clone()).collect::<Vec<_>>();
        let port = |n: &str| Place::Item(vec![("port".into(), n.to_owned()), ("protocol".into(), "TCP".to_owned())]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("80")]), ["a"]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("80"), Place::Key("nodePort")]), [""; 0]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("81")]), [""; 0]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("selector"), Place::Key("app")]), ["b", "a"]);
        assert_eq!(names(&[Place::Key("metadata"), Place::Key("finalizers"), Place::Value("\"x\"".into())]), ["b"]);
        assert_eq!(names(&[Place::Key("metadata"), Place::Key("finalizers"), Place::Value("\"y\"".into())]), [""; 0]);
    }

    #[test]
    fn broken_bookkeeping_owns_nothing() {
        for text in ["", "{", "[1, null, {\"fieldsV1\": 3}]", "{}"] {
            assert!(Owners::read(Some(text)).of(&[Place::Key("spec")]).is_empty(), "{text}");
        }
    }
}
