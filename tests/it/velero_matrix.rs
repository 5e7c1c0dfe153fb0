//! The matrix: what a backup takes is predicted for many specs, and a real Velero takes them all. Every set must be equal, object by object.

mod draw;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use snapgap::{
    cluster::{self, Connection, Limits},
    config::ArchiveLimits,
    object::{GroupKind, Object, ObjectId, admit},
    velero::{
        self, FileBackup, Scope, archive,
        observed::{self, Subject},
        select::{Decision, Plan, View},
    },
    witness::{Archive, Listing, Live, SideFiles},
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

fn taken(velero: &Velero<'_>, backup: &str) -> Archive {
    let limits = ArchiveLimits { entries: 100_000, object_bytes: 16 << 20, total_bytes: 1 << 30, time: Duration::from_secs(60) };
    let file = fs::File::open(velero.file(backup, ".tar.gz")).unwrap_or_else(|e| panic!("{backup}: {e}"));
    archive::read(file, backup, &limits, &redactor()).unwrap_or_else(|e| panic!("{backup}: {e}"))
}

/// Every backup by its own effective spec, as Velero wrote it back, against its archive and the cluster: rows, and backups and objects compared.
fn disagreements(files: &[FileBackup], objects: &[Value], live: &Live) -> (Vec<String>, usize, u64) {
    let cluster = velero::Cluster { uid: live.cluster_uid.clone(), ..velero::Cluster::default() };
    let backed_up = velero::assess(objects.iter(), files.to_vec(), Vec::new(), &cluster, Timestamp::now());
    let view = View::of(live, NAMESPACE);
    let (mut rows, mut compared, mut predicted) = (Vec::new(), 0, 0);
    for backup in &backed_up.backups {
        let Some(subject) = Subject::of(backup) else { continue };
        let (agreement, found) = observed::compare(&subject, &view, live, NAMESPACE).expect("bodies are in memory");
        let agreement = agreement.expect("clocks agree, and the cluster was looked at afterwards");
        assert_eq!(agreement.predicted, agreement.held + agreement.missing);
        compared += 1;
        predicted += agreement.predicted;
        rows.extend(found.iter().map(|d| format!("{}: {} {} ({}): {}", backup.name, d.mismatch.name(), d.id, d.reason, d.why)));
    }
    (rows, compared, predicted)
}

/// An archive without one object and with another one, and whether that makes a difference.
fn tamper(file: &FileBackup, less: &ObjectId, more: &Arc<Object>) -> (FileBackup, bool, bool) {
    let mut archive = (**file.content.as_ref().expect("read")).clone();
    let completed = file.object.as_ref().is_some_and(|b| b["status"]["phase"] == "Completed");
    let lost = archive.objects.contains_key(less);
    archive.objects = archive.objects.values().filter(|o| o.id != *less).cloned().collect();
    // What a partially failed one holds may have been led to by what it failed on.
    let gained = completed && archive.objects.insert(more.clone()).is_none();
    (FileBackup { content: Ok(Arc::new(archive)), ..file.clone() }, lost, gained)
}

/// A cluster goes on living: labels come and go, what led to others leads to something else, objects are made and deleted.
fn go_on(plane: &ControlPlane) {
    let all = ["label", "--overwrite", "-A", "--all"];
    for (kinds, label) in [
        ("configmaps", "app=other"),
        ("secrets", "tier=web"),
        ("services", "velero.io/exclude-from-backup=true"),
        ("serviceaccounts", "app=cart"),
        ("persistentvolumeclaims", "team=a"),
    ] {
        plane.kubectl(&[&all[..], &[kinds, label]].concat());
    }
    plane.kubectl(&["label", "configmaps", "-A", "--all", "velero.io/exclude-from-backup-"]);
    plane.kubectl(&["label", "namespaces", "--overwrite", "shop", "pay", "x1", "team=c"]);
    plane.kubectl(&["delete", "pods", "-n", "pay", "--all", "--grace-period=0", "--force"]);
    plane.kubectl(&["delete", "configmaps", "-n", "shop", "settings-1"]);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "made-later"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:discovery"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "worker"}]});
    plane.kubectl_with(&["create"], &binding.to_string());
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made-later", "namespace": "shop", "labels": {"app": "cart"}}});
    plane.kubectl_with(&["create"], &map.to_string());
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
    let mut files = Vec::new();
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
        let archive = taken(&velero, &name(n));
        let found: BTreeSet<String> = archive.objects.keys().map(normal).collect();
        files.push(FileBackup {
            name: name(n).as_str().into(),
            object: Some(ended[&name(n)].clone()),
            start: None,
            content: Ok(Arc::new(archive)),
            damage: None,
            cluster_uid: None,
            side: SideFiles::default(),
        });
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
    // The same of each backup by what Velero wrote back, and again after the cluster has gone on living: none disagrees.
    let mut objects: Vec<Value> = ended.into_values().collect();
    objects.extend(velero.all("BackupStorageLocation"));
    let (said, backups, predicted) = disagreements(&files, &objects, &live);
    println!("{backups} backups by their effective specs, {predicted} objects that live taken for certain");
    assert!(said.is_empty(), "{} disagreements:\n{}", said.len(), said.join("\n"));
    assert!(backups >= 120 && predicted > 10_000, "{backups} {predicted}");
    // A Secret less in every archive and a class more: each is found wherever it matters.
    let (secret, class) = (ObjectId::new("", "Secret", Some("team-a"), "plain"), ObjectId::new("storage.k8s.io", "StorageClass", None, "slow"));
    let tampered: Vec<_> = files.iter().map(|f| tamper(f, &secret, live.objects.get(&class).expect("a class"))).collect();
    let names = |which: fn(&(FileBackup, bool, bool)) -> bool| -> BTreeSet<String> {
        tampered.iter().filter(|t| which(t)).map(|(f, ..)| f.name.to_string()).collect()
    };
    let (less, more) = (names(|t| t.1), names(|t| t.2));
    let (said, ..) = disagreements(&tampered.iter().map(|(f, ..)| f.clone()).collect::<Vec<_>>(), &objects, &live);
    let told =
        |word: &str| -> BTreeSet<String> { said.iter().filter(|s| s.contains(word)).filter_map(|s| Some(s.split_once(':')?.0.to_owned())).collect() };
    println!("{} archives without the Secret, {} with a class too many", less.len(), more.len());
    assert_eq!(told("missing_from_backup Secret team-a/plain"), less);
    assert_eq!(told("unexpected_in_backup StorageClass.storage.k8s.io slow"), more);
    assert!(said.len() == less.len() + more.len() && less.len() >= 30 && more.len() >= 60, "{}", said.join("\n"));
    go_on(&plane);
    let later = read(&plane).await;
    let (said, backups, predicted) = disagreements(&files, &objects, &later);
    println!("later: {backups} backups, {predicted} objects that live taken for certain");
    assert!(said.is_empty(), "{} disagreements with the cluster as it went on:\n{}", said.len(), said.join("\n"));
    assert!(backups >= 120 && predicted > 5000, "{backups} {predicted}");
    assert!(rows.len() >= 120 && live.objects.len() >= 400 && refused >= 10 && compared > 10_000);
}
