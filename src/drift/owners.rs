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

/// Items of a list among which one is looked for by reading the keys of all; of more, by writing the keys of the one.
const FEW: usize = 32;

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

    /// Whether it wrote the mapping at this place as such: as an empty one (apply), or with what was in it (update).
    pub fn wrote_container(&self, path: &[Place<'_>]) -> bool {
        self.node(path).is_some_and(|node| node.is_empty() || node.contains_key("."))
    }

    /// Whether it wrote something at this place or in it, be that still there or not.
    pub fn reaches(&self, path: &[Place<'_>]) -> bool {
        self.node(path).is_some()
    }

    /// What lies at a place, if it is named there.
    fn node(&self, path: &[Place<'_>]) -> Option<&Map<String, Value>> {
        path.iter().try_fold(&self.fields, |node, place| Self::below(node, place)?.as_object())
    }

    fn below<'m>(node: &'m Map<String, Value>, place: &Place<'_>) -> Option<&'m Value> {
        match place {
            Place::Key(key) => node.get(&format!("f:{key}")),
            Place::Item(keys) => item(node, keys),
            Place::Value(value) => node.get(&format!("v:{value}")),
            Place::Index => None,
        }
    }

    /// `whole` says whether the container at this depth of the path has one writer as a whole.
    fn owns(&self, path: &[Place<'_>], whole: &dyn Fn(usize) -> bool) -> bool {
        let mut node = &self.fields;
        for (depth, place) in path.iter().enumerate() {
            let next = Self::below(node, place);
            match next.and_then(Value::as_object) {
                Some(deeper) => node = deeper,
                // A node without children is a leaf. It owns what lies below it where that has one writer as a whole; else it was written
                // empty, and what came into it later is others' (structured-merge-diff typed/tofieldset.go, merge/update.go prune).
                None => return node.is_empty() && whole(depth),
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

/// The entry of an item by its keys. The server writes them sorted by name; texts and numbers are told apart by trying both.
fn item<'f>(node: &'f Map<String, Value>, keys: &[(Text, String)]) -> Option<&'f Value> {
    if node.len() <= FEW {
        return node.iter().find(|(k, _)| k.strip_prefix("k:").is_some_and(|json| selects(json, keys))).map(|(_, v)| v);
    }
    let mut keys: Vec<&(Text, String)> = keys.iter().collect();
    keys.sort();
    let mut spelled = vec![String::from("k:{")];
    for (n, (name, text)) in keys.iter().enumerate() {
        let plain = matches!(serde_json::from_str(text), Ok(Value::Number(_) | Value::Bool(_))).then(|| text.clone());
        let forms: Vec<String> = plain.into_iter().chain([Value::from(text.as_str()).to_string()]).collect();
        let comma = if n > 0 { "," } else { "" };
        spelled = spelled.iter().flat_map(|begun| forms.iter().map(move |form| format!("{begun}{comma}{}:{form}", Value::from(&**name)))).collect();
    }
    spelled.into_iter().find_map(|begun| node.get(&format!("{begun}}}")))
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

    /// The entries that own this place (`whole` says whether the container at a depth of it has one writer), newest first; among equal times by name, so that the order of the input does not matter.
    pub fn of(&self, path: &[Place<'_>], whole: &dyn Fn(usize) -> bool) -> Vec<&Entry> {
        let mut found: Vec<&Entry> = self.0.iter().filter(|e| e.owns(path, whole)).collect();
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
        let names = |path: &[Place<'_>]| owners.of(path, &|_| true).iter().map(|e| e.manager.clone()).collect::<Vec<_>>();
        let port = |n: &str| Place::Item(vec![("port".into(), n.to_owned()), ("protocol".into(), "TCP".to_owned())]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("80")]), ["a"]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("80"), Place::Key("nodePort")]), [""; 0]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("ports"), port("81")]), [""; 0]);
        assert_eq!(names(&[Place::Key("spec"), Place::Key("selector"), Place::Key("app")]), ["b", "a"]);
        assert_eq!(names(&[Place::Key("metadata"), Place::Key("finalizers"), Place::Value("\"x\"".into())]), ["b"]);
        assert_eq!(names(&[Place::Key("metadata"), Place::Key("finalizers"), Place::Value("\"y\"".into())]), [""; 0]);
        let app = [Place::Key("spec"), Place::Key("selector"), Place::Key("app")];
        assert!(owners.of(&app, &|_| false).is_empty(), "what was written empty owns nothing that came into it later");
        assert!(owners.of(&app, &|depth| depth == 2).len() == 2 && owners.of(&app[..2], &|_| false).len() == 2);
    }

    #[test]
    fn an_item_is_found_among_few_and_among_many() {
        for many in [3, 5_000] {
            let item = |n: usize| (format!("k:{{\"port\":{n},\"protocol\":\"TCP\"}}"), json!({".": {}, "f:name": {}}));
            let mut items: Map<String, Value> = (0..many).map(item).collect();
            items.insert("k:{\"port\":\"7\",\"protocol\":\"TCP\"}".into(), json!({"f:text": {}}));
            let fields = json!({"f:ports": items});
            let owners = Owners::read(Some(&json!([{"manager": "a", "fieldsV1": fields}]).to_string()));
            let owned = |port: &str, protocol: &str, field| {
                // The keys come in the order of the schema.
                let keys = vec![("protocol".into(), protocol.to_owned()), ("port".into(), port.to_owned())];
                !owners.of(&[Place::Key("ports"), Place::Item(keys), Place::Key(field)], &|_| false).is_empty()
            };
            assert!(owned("1", "TCP", "name") && !owned("1", "UDP", "name") && !owned("1", "TCP", "nodePort"), "{many}");
            assert!(!owned("9999", "TCP", "name"), "{many}");
        }
    }

    #[test]
    fn broken_bookkeeping_owns_nothing() {
        for text in ["", "{", "[1, null, {\"fieldsV1\": 3}]", "{}"] {
            assert!(Owners::read(Some(text)).of(&[Place::Key("spec")], &|_| true).is_empty(), "{text}");
        }
    }
}
