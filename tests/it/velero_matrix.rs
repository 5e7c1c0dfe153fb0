//! The matrix: what a backup takes is predicted for many specs, and a real Velero takes them all. Every set must be equal, object by object.

mod draw;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};
use snapgap::{
    cluster::{self, Connection, Limits},
    config::ArchiveLimits,
    object::{GroupKind, ObjectId, admit},
    velero::{
        Scope, archive,
        select::{Decision, Plan, View},
    },
    witness::{Listing, Live},
};

use crate::{
    cluster_read::{redactor, settings},
    support::{
        control_plane::{ControlPlane, Options as Plane},
        velero::{NAMESPACE, Options, Store, Velero},
    },
};

/// Specs that are drawn besides those written by hand.
const DRAWN: usize = 60;

/// How long all backups together may take.
const LONG: Duration = Duration::from_secs(900);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    about: String,
    spec: Value,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../data/velero/matrix/specs.yaml");
    let mut rows: Vec<Row> = serde_yaml::from_str(text).expect("rows");
    let mut dice = draw::Dice::new(0x5eed_cafe);
    rows.extend((0..DRAWN).map(|n| Row { about: format!("drawn {n}"), spec: draw::spec(&mut dice) }));
    rows
}

fn policies(plane: &ControlPlane) {
    let kinds = "version: v1\nincludeExcludePolicy:\n  excludedNamespaceScopedResources: [secrets, wg]\n  includedClusterScopedResources: [storageclasses, plans]\n  \
                 excludedClusterScopedResources: [priorityclasses]\n";
    let volumes = "version: v1\nvolumePolicies:\n- conditions: {storageClass: [fast]}\n  action: {type: skip}\n";
    let star = "version: v1\nincludeExcludePolicy: {includedClusterScopedResources: ['*']}\n";
    for (name, data) in [
        ("policy-kinds", json!({"p": kinds})),
        ("policy-volumes", json!({"p": volumes})),
        ("policy-two-keys", json!({"p": kinds, "q": kinds})),
        ("policy-star", json!({"p": star})),
        ("policy-version", json!({"p": "version: v2\n"})),
    ] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data});
        plane.kubectl_with(&["create"], &map.to_string());
    }
}

/// The cluster as it is, with the Events that snapgap does not read.
async fn read(plane: &ControlPlane) -> Live {
    let settings = settings(plane.admin());
    let connection = Connection::connect(&settings).await.expect("a connection");
    let mut live = cluster::read(&connection, &settings, &redactor(), &Limits::default(), &|_| {}).await;
    for group in ["", "events.k8s.io"] {
        let resource = if group.is_empty() { "events" } else { "events.events.k8s.io" };
        let list: Value = serde_json::from_str(&plane.kubectl(&["get", resource, "-A", "-o", "json"])).expect("JSON");
        for item in list["items"].as_array().expect("items") {
            let object = admit(item.clone(), &redactor()).expect("an object");
            live.objects.insert(object.id.clone(), Arc::new(object));
        }
        live.kinds.get_mut(&GroupKind::new(group, "Event")).expect("served").listing = Listing::Complete;
    }
    live
}

/// An Event is stored under one of its two groups, as chance has it.
fn normal(id: &ObjectId) -> String {
    if &*id.gk.kind == "Event" { ObjectId::new("", "Event", id.namespace.as_deref(), &id.name).to_string() } else { id.to_string() }
}

fn taken(velero: &Velero<'_>, backup: &str) -> BTreeSet<String> {
    let limits = ArchiveLimits { entries: 100_000, object_bytes: 16 << 20, total_bytes: 1 << 30, time: Duration::from_secs(60) };
    let file = fs::File::open(velero.file(backup, ".tar.gz")).unwrap_or_else(|e| panic!("{backup}: {e}"));
    let archive = archive::read(file, backup, &limits, &redactor()).unwrap_or_else(|e| panic!("{backup}: {e}"));
    archive.objects.keys().map(normal).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_takes_is_what_was_predicted_object_by_object() {
    let rows = rows();
    let plane = ControlPlane::start(Plane::default());
    world::make(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    policies(&plane);
    let name = |n: usize| format!("row-{n:03}");
    // Every Backup is there before the first one begins, so that those that hold Velero's own objects all find the same.
    velero.kill();
    velero.create_all(&rows.iter().enumerate().map(|(n, row)| Velero::manifest("Backup", &name(n), &row.spec)).collect::<Vec<_>>());
    let begun = Instant::now();
    velero.run();
    let ended: BTreeMap<String, Value> =
        velero.all_ended("Backup", LONG).into_iter().map(|b| (b["metadata"]["name"].as_str().expect("a name").to_owned(), b)).collect();
    println!("{} backups in {} s", rows.len(), begun.elapsed().as_secs());
    let live = read(&plane).await;
    let view = View::of(&live, NAMESPACE);
    println!("{} objects, {} of them in {} namespaces", live.objects.len(), live.objects.keys().filter(|id| id.namespace.is_some()).count(), 12);
    let (mut wrong, mut refused, mut compared) = (Vec::new(), 0, 0);
    for (n, row) in rows.iter().enumerate() {
        let scope = Scope::of_backup(&row.spec, false);
        let plan = Plan::of(&scope, &view);
        let status = &ended[&name(n)]["status"];
        let phase = status["phase"].as_str().expect("a phase");
        let expected: &[&str] = match (plan.problems().is_empty(), plan.complaints().is_empty()) {
            (false, _) => &["FailedValidation", "Failed"],
            (true, true) => &["Completed"],
            (true, false) => &["PartiallyFailed"],
        };
        let about = format!("row {n}, {}: {}", row.about, row.spec);
        if !expected.contains(&phase) {
            wrong.push(format!("{about}\n  phase {phase}, predicted {expected:?} {:?} {:?}\n  {status}", plan.problems(), plan.complaints()));
        }
        if !plan.problems().is_empty() {
            refused += 1;
            continue;
        }
        if !velero.file(&name(n), ".tar.gz").is_file() {
            continue;
        }
        let found = taken(&velero, &name(n));
        let mut predicted = BTreeSet::new();
        for (id, decision) in plan.decisions() {
            match decision {
                Decision::Listed | Decision::Beside(_) => drop(predicted.insert(normal(id))),
                Decision::Left(_) => {}
                Decision::Unsure(_) => wrong.push(format!("{about}\n  unsure of {id}: {}", plan.why(id, decision).message)),
            }
        }
        compared += found.len();
        let missing: Vec<_> = predicted.difference(&found).take(8).collect();
        let unexpected: Vec<_> = found.difference(&predicted).take(8).collect();
        if !(missing.is_empty() && unexpected.is_empty()) {
            wrong.push(format!("{about}\n  predicted and not taken: {missing:?}\n  taken and not predicted: {unexpected:?}"));
        }
    }
    println!("{} specs, {refused} refused as predicted, {compared} objects taken", rows.len());
    assert!(wrong.is_empty(), "{} things of {} specs:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 120 && live.objects.len() >= 400 && refused >= 10 && compared > 10_000);
}
