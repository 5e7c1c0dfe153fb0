//! Schemas against a real API server: what it describes, what it stores of custom resources, what it fills in, and what may not be read.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use snapgap::{
    cluster::{self, Connection, Inventory, Limits},
    drift::{
        Comparison, LeafClass, Observed, Policy, Schema, compare,
        rules::{Facts, Ownership, RULES},
        schema::{Builtin, Definition, Origin, Schemas, Shape, bundled, canonical::canonical, definition},
    },
    object::{Gvk, ObjectId, admit},
    witness::Live,
};

use crate::{
    cluster_read::{redactor, settings},
    support::control_plane::{ControlPlane, Options},
};

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn gvk(object: &Value) -> Gvk {
    Gvk::parse(text(object, "/apiVersion"), text(object, "/kind"))
}

/// The definitions with hard schemas and their objects.
fn hard() -> Vec<(String, Value, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/crds");
    let mut all: Vec<_> = fs::read_dir(folder).expect("the definitions").map(|e| e.expect("an entry").path()).collect();
    all.sort();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        let mut documents = text.split("\n---\n").map(|d| serde_yaml::from_str::<Value>(d).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        let definition = documents.next().expect("a definition");
        (path.file_stem().unwrap_or_default().display().to_string(), definition, documents.collect())
    };
    all.into_iter().map(read).collect()
}

/// An object as every comparison sees it.
fn reduced(object: &Value) -> Value {
    admit(object.clone(), &redactor()).expect("an object").content.value()
}

fn compared(schema: &dyn Schema, desired: &Value, live: &Value) -> Comparison {
    let gvk = gvk(desired);
    let id = ObjectId::new(&gvk.gk.group, &gvk.gk.kind, desired["metadata"]["namespace"].as_str(), text(desired, "/metadata/name"));
    let policy = Policy::of(schema, &id, &gvk);
    let managers = live["metadata"]["managedFields"].to_string();
    compare(&reduced(desired), Observed { value: &reduced(live), managers: Some(&managers), applied: None }, &policy)
}

fn leaves(comparison: &Comparison) -> Vec<String> {
    comparison.leaves.iter().map(|l| format!("{:?} {} {:?} {:?}", l.class, l.path, l.desired, l.observed)).collect()
}

async fn read(plane: &ControlPlane) -> Live {
    let settings = settings(plane.admin());
    let connection = Connection::connect(&settings).await.expect("a connection");
    cluster::read(&connection, &settings, &redactor(), &Limits::default(), &|_| {}).await
}

fn shape_of(definition: &Definition, gvk: &Gvk) -> Shape {
    Shape::of(&definition.index, gvk, Origin::Definition, true).unwrap_or_else(|| panic!("no shape of {gvk:?}"))
}

#[test]
fn what_the_server_stores_of_a_custom_resource_is_its_canonical_form() {
    let plane = ControlPlane::shared();
    plane.kubectl(&["create", "namespace", "hard"]);
    let mut wrong = Vec::new();
    let mut dropped = 0;
    let all = hard();
    assert!(all.len() >= 20, "only {} definitions", all.len());
    for (name, crd, objects) in all {
        plane.apply(&crd.to_string());
        plane.kubectl(&["wait", "--for=condition=established", "--timeout=60s", "crd", text(&crd, "/metadata/name")]);
        let definition = definition::read(&crd).expect("a definition");
        assert_eq!(definition.problem, None, "{name}");
        for object in objects {
            let (gvk, kind) = (gvk(&object), text(&object, "/kind").to_owned());
            let created = crate::support::program::eventually_some(Duration::from_secs(30), || {
                plane.try_kubectl(&["create", "-n", "hard", "--validate=false", "-o", "json", "-f", "-"], &object.to_string()).ok()
            });
            let live: Value = serde_json::from_str(&created.unwrap_or_else(|| panic!("{name}: {kind} cannot be created"))).expect("JSON");
            let shape = shape_of(&definition, &gvk);
            let mine = canonical(&reduced(&object), &shape);
            let mut stored = reduced(&live);
            stored["metadata"].as_object_mut().expect("metadata").remove("namespace");
            let mut expected = mine.value.clone();
            // Empty labels are not kept by the server, whatever the kind.
            for place in [&mut stored, &mut expected] {
                place["metadata"].as_object_mut().expect("metadata").retain(|_, v| v.as_object().is_none_or(|m| !m.is_empty()));
            }
            dropped += mine.dropped.len();
            let at = format!("{name} {}", text(&object, "/metadata/name"));
            if stored != expected {
                wrong.push(format!("{at}:\n  stored    {stored}\n  canonical {expected}"));
            }
            if canonical(&mine.value, &shape).value != mine.value {
                wrong.push(format!("{at}: the canonical form is not canonical"));
            }
            let said = compared(&shape, &object, &live);
            let odd: Vec<String> = leaves(&said).into_iter().filter(|l| !l.starts_with("UnknownField")).collect();
            if !odd.is_empty() {
                wrong.push(format!("{at}: differs from what was stored of it: {odd:?}"));
            }
            let told = said.leaves.iter().filter(|l| l.class == LeafClass::UnknownField).count();
            if told != mine.dropped.len() {
                wrong.push(format!("{at}: {told} unknown fields, {} dropped: {:?}", mine.dropped.len(), mine.dropped));
            }
        }
    }
    assert!(dropped >= 8, "only {dropped} fields were dropped");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_api_of_a_server_is_known_in_less_than_five_megabytes_and_agrees_with_the_table() {
    let plane = ControlPlane::start(Options::default());
    let live = read(&plane).await;
    assert_eq!(live.schemas.failure, None);
    println!("{} documents in {} bytes", live.schemas.len(), live.schemas.size());
    assert!(live.schemas.len() >= 15, "{} documents", live.schemas.len());
    assert!(live.schemas.size() < 5 << 20, "{} bytes", live.schemas.size());
    // The table is of the release that the tests run against, so the two say the same of every kind.
    let (mut same, mut differ) = (0, Vec::new());
    for (gk, root) in bundled::index().kinds() {
        let gvk = Gvk { gk: gk.clone(), version: root.version.clone() };
        let Some(served) = live.schemas.describe(&gvk) else { continue };
        let table = bundled::index().describe(root.of);
        if served == table {
            same += 1;
        } else {
            let odd = served.lines().zip(table.lines()).find(|(a, b)| a != b);
            differ.push(format!("{} {}: {odd:?}", gvk.api_version(), gvk.gk.kind));
        }
    }
    assert!(differ.is_empty() && same >= 50, "{same} kinds are the same, {} differ:\n{}", differ.len(), differ.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_asked_for_once_and_again_only_when_what_is_served_changes() {
    let plane = ControlPlane::start(Options::default());
    let settings = settings(plane.admin());
    let connection = Connection::connect(&settings).await.expect("a connection");
    let inventory = Inventory::start(connection, &settings, redactor(), Limits::default());
    let first = inventory.first().await;
    assert!(!first.schemas.is_empty() && first.schemas.failure.is_none(), "{:?}", first.schemas.failure);
    let asked = || plane.audit().into_iter().filter(|r| r.agent.starts_with("snapgap/")).collect::<Vec<_>>();
    let openapi = || asked().iter().filter(|r| r.uri.starts_with("/openapi")).count();
    let (before, all) = (openapi(), asked().iter().filter(|r| r.verb != "watch").count());
    let documents = inventory.stats().documents;
    assert_eq!(before as u64, documents + 1, "one list of documents and each of them once");
    // Half the minute that it is about: nothing is asked on a timer in between.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(asked().iter().filter(|r| r.verb != "watch").count(), all, "a steady state costs no request");
    plane.apply(&hard()[0].1.to_string());
    let mut views = inventory.subscribe();
    let kind = snapgap::object::GroupKind::new("hard.example.com", "Plain");
    tokio::time::timeout(Duration::from_secs(60), views.wait_for(|v| v.kinds.contains_key(&kind))).await.expect("in time").expect("a view");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(openapi() > before, "a new kind calls for a look");
    let uris: BTreeSet<String> = asked().into_iter().map(|r| r.uri).filter(|u| u.starts_with("/openapi")).collect();
    assert!(uris.iter().all(|u| !u.contains("hard.example.com")), "its definition says it all: {uris:?}");
    assert!(inventory.stats().documents <= documents + 1, "documents that did not change are not asked for again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_openapi_is_forbidden_the_table_serves_and_the_view_says_so() {
    let plane = ControlPlane::start(Options::default());
    let rules = json!([{"op": "replace", "path": "/rules/0/nonResourceURLs", "value": ["/api", "/api/*", "/apis", "/apis/*", "/version"]}]);
    plane.kubectl(&["patch", "clusterrole", "system:discovery", "--type=json", "-p", &rules.to_string()]);
    plane.kubectl(&["create", "clusterrolebinding", "reader", "--clusterrole=view", "--user=reader"]);
    let settings = settings(plane.user("reader", &[]));
    let connection = Connection::connect(&settings).await.expect("a connection");
    let live = cluster::read(&connection, &settings, &redactor(), &Limits::default(), &|_| {}).await;
    let failure = live.schemas.failure.as_ref().expect("a failure");
    assert_eq!(&*failure.reason, "forbidden");
    assert!(failure.message.contains("/openapi/v3") && failure.message.contains("compiled in"), "{}", failure.message);
    let deployment = Gvk::parse("apps/v1", "Deployment");
    assert!(live.schemas.served(&deployment).is_none());
    let table = live.schemas.bundled(&deployment).expect("the table");
    assert!(table.drops(&deployment, &["spec", "replicaz"]), "the table is of this release, so it is complete");
    assert!(!Schemas::default().bundled(&deployment).expect("the table").drops(&deployment, &["spec", "replicaz"]));
    assert!(!Builtin.drops(&deployment, &["spec", "replicaz"]), "without a server nobody can say");
}

/// What admission fills in of its own accord (the plug-ins Priority, DefaultTolerationSeconds, TaintNodesByCondition). Nobody owns it, so
/// the engine is silent about it without a rule; what has a rule is not here.
const ADMITTED: [(&str, &str); 4] =
    [("Pod", "spec/priority"), ("Pod", "spec/preemptionPolicy"), ("Pod", "spec/tolerations"), ("Node", "spec/taints")];

/// Collects what only the live side has and the schema does not explain.
struct Unexplained<'a> {
    shape: &'a Shape,
    gvk: &'a Gvk,
    found: Vec<String>,
    /// Which rows of [`ADMITTED`] were needed.
    used: &'a mut BTreeSet<usize>,
}

impl<'a> Unexplained<'a> {
    /// Whether it is filled in after the defaulting functions: by admission, or by what a rule of the engine speaks of.
    fn later(&mut self, path: &[&'a str]) -> bool {
        let at = (&*self.gvk.gk.kind, path.join("/"));
        if let Some(n) = ADMITTED.iter().position(|(kind, place)| (*kind, *place) == (at.0, at.1.as_str())) {
            self.used.insert(n);
            return true;
        }
        let facts = Facts { gvk: self.gvk, path, desired: None, observed_root: &Value::Null };
        let nobody = Ownership { by_person: false, managers: &[] };
        RULES.iter().any(|rule| rule.covers(&facts, Some(nobody)))
    }

    fn walk(&mut self, path: &mut Vec<&'a str>, trail: &mut Vec<&'a Value>, desired: Option<&'a Value>, live: &'a Value) {
        if desired.is_none() && (self.shape.fills(self.gvk, path, trail, live) || self.later(path)) {
            return;
        }
        match live {
            Value::Object(members) if !members.is_empty() => {
                trail.push(live);
                for (key, member) in members {
                    path.push(key);
                    self.walk(path, trail, desired.and_then(|d| d.get(key)), member);
                    path.pop();
                }
                trail.pop();
            }
            Value::Array(items) if !items.is_empty() && (desired.is_some() || items.iter().any(Value::is_object)) => {
                trail.push(live);
                for (n, item) in items.iter().enumerate() {
                    path.push("*");
                    self.walk(path, trail, desired.and_then(|d| d.get(n)), item);
                    path.pop();
                }
                trail.pop();
            }
            _ if desired.is_none()
                && self.shape.empty_means_something(self.gvk, path) | !matches!(live.to_string().as_str(), "{}" | "[]" | "\"\"" | "0" | "false") =>
            {
                self.found.push(format!("{} = {live}", path.join("/")));
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_that_the_server_fills_in_is_explained_by_the_table_of_defaults() {
    let plane = ControlPlane::start(Options::default());
    plane.kubectl(&["create", "namespace", "minimal"]);
    plane.kubectl(&["create", "serviceaccount", "default", "-n", "minimal"]);
    let live = read(&plane).await;
    let manifests = include_str!("../data/drift/minimal.yaml");
    let (mut wrong, mut fields, mut kinds, mut used) = (Vec::new(), 0, BTreeSet::new(), BTreeSet::new());
    for text_of in manifests.split("\n---\n") {
        let desired: Value = serde_yaml::from_str(text_of).expect("YAML");
        let gvk = gvk(&desired);
        let args = ["apply", "--server-side", "-n", "minimal", "-o", "json", "--show-managed-fields", "-f", "-"];
        let stored: Value = serde_json::from_str(&plane.try_kubectl(&args, text_of).unwrap_or_else(|e| panic!("{text_of}\n{e}"))).expect("JSON");
        let at = format!("{} {}", gvk.gk.kind, text(&desired, "/metadata/name"));
        for (from, shape) in [("the server", live.schemas.served(&gvk)), ("the table", live.schemas.bundled(&gvk))] {
            let shape = shape.unwrap_or_else(|| panic!("{from} does not know {gvk:?}"));
            let mut known = reduced(&stored);
            let mut want = reduced(&desired);
            for place in [&mut known, &mut want] {
                place.as_object_mut().expect("an object").retain(|k, _| !["apiVersion", "kind"].contains(&k.as_str()));
                let metadata = place["metadata"].as_object_mut().expect("metadata");
                metadata.remove("namespace");
                metadata.remove("name");
            }
            let mut walk = Unexplained { shape: &shape, gvk: &gvk, found: Vec::new(), used: &mut used };
            walk.walk(&mut Vec::new(), &mut Vec::new(), Some(&want), &known);
            wrong.extend(walk.found.into_iter().map(|f| format!("{at} by {from}: {f}")));
            let said = compared(&shape, &desired, &stored);
            wrong.extend(leaves(&said).into_iter().map(|l| format!("{at} by {from} differs: {l}")));
            fields += said.silenced.iter().map(|s| s.leaves).sum::<u32>();
        }
        kinds.insert(gvk.gk.kind.to_string());
    }
    println!("{} kinds, {fields} fields filled in", kinds.len());
    assert!(kinds.len() >= 40, "{} kinds", kinds.len());
    let idle: Vec<_> = ADMITTED.iter().enumerate().filter(|(n, _)| !used.contains(n)).collect();
    assert!(idle.is_empty(), "nothing is explained by {idle:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
