//! Velero's selection over 10,000 objects and 20 schedules, a backup's content against its spec, and the join after a new backup whose bodies lie in
//! the cache. Prints figure, value, target and verdict. I/O: a temporary folder.

// What the tests' builders say of a world that is malformed is said here too.
#![allow(clippy::expect_used)]

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{config, object, report, velero, verdict::*, witness};

#[path = "common/clock.rs"]
mod clock;
#[path = "../tests/it/support/manifests.rs"]
#[allow(dead_code, reason = "the full cluster uses the rest")]
mod manifests;
#[path = "../src/verdict/world.rs"]
#[allow(dead_code, reason = "the tests of the join use the rest")]
mod world;

use clock::{Table, median, ms, timed};
use manifests::{NAMESPACES, config_map, deployment, metadata, namespace, secret};
use velero::{
    Library, Names, Scope,
    archive::write::write_archive,
    observed::{Subject, compare},
    select::{Decision, Plan, View},
};
use witness::BackupContent;
use world::{Snapshot, World, app};

const OBJECTS: usize = 10_000;
const SCHEDULES: usize = 20;
const ROUNDS: usize = 7;

/// Of each forty objects: Pods that mount claims, accounts with their roles, and much that leads to nothing.
fn object(n: usize) -> Value {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut object = match n % 40 {
        0..10 => {
            let claim = format!("claim-{}", n - n % 40 + 10);
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(&format!("pod-{n}"), n), "spec": {"nodeName": "n1", "priorityClassName": "high",
                "containers": [{"name": "a", "image": "example.com/a:1"}], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]},
                "status": {"phase": "Running"}})
        }
        10 => json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(&format!("claim-{n}"), n),
            "spec": {"volumeName": format!("volume-{n}")}, "status": {"phase": "Bound"}}),
        11 => json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("volume-{}", n - 1)}, "spec": {}}),
        12 => json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&format!("account-{n}"), n)}),
        13 => json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": format!("role-{n}")}}),
        14 => {
            json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": format!("binding-{n}")}, "roleRef": {"name": format!("role-{}", n - 1)},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace(n - 2), "name": format!("account-{}", n - 2)}]})
        }
        15..28 => deployment(n, 1),
        28..37 => config_map(n, 1),
        _ => secret(n, 1),
    };
    object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{n:012}").into();
    object["metadata"]["resourceVersion"] = (1000 + n).to_string().into();
    object["metadata"]["creationTimestamp"] = "2026-03-01T10:00:00Z".into();
    object
}

/// Templates of every sort: everything, some namespaces, some kinds, labels, both generations of filters.
fn template(n: usize) -> Value {
    let (one, other) = (namespace(n), namespace(n * 7 + 3));
    match n % 7 {
        0 => json!({}),
        1 => json!({"includeClusterResources": true}),
        2 => json!({"includedNamespaces": [one, other]}),
        3 => json!({"excludedNamespaces": ["team-1*"], "excludedResources": ["secrets"]}),
        4 => json!({"labelSelector": {"matchLabels": {"team": "shop"}}, "includedNamespaces": [one]}),
        5 => json!({"includedNamespaceScopedResources": ["persistentvolumeclaims", "pods"], "includedClusterScopedResources": ["storageclasses"]}),
        _ => {
            json!({"orLabelSelectors": [{"matchLabels": {"app.kubernetes.io/name": format!("deployment-{n}")}}, {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}]})
        }
    }
}

fn world() -> World {
    let place = |n: usize| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n), "uid": namespace(n)}, "status": {"phase": "Active"}});
    let live: Vec<Value> = (0..OBJECTS).map(object).chain((0..NAMESPACES).map(place)).collect();
    let mut world = World::new();
    for a in 0..NAMESPACES {
        let name = format!("app-{a}");
        let own = (a..OBJECTS).step_by(NAMESPACES).filter(|n| (15..28).contains(&(n % 40))).map(|n| deployment(n, 1)).collect();
        world = world.app(app(&name, Some(&namespace(a)))).declares(&name, own).complete(&name);
    }
    world.runs(live)
}

fn main() -> ExitCode {
    let mut table = Table::begin();
    let world = world();
    let scopes: Vec<Scope> = (0..SCHEDULES).map(|n| Scope::of_template(&template(n), &[])).collect();
    let (mut views, mut plans, mut taken) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (took, view) = timed(|| View::of(&world.live, "velero"));
        views.push(took);
        let (took, count) = timed(|| {
            let of = |scope| Plan::of(scope, &view).decisions().filter(|(_, d)| matches!(d, Decision::Listed | Decision::Beside(_))).count();
            scopes.iter().map(of).sum::<usize>()
        });
        plans.push(took);
        taken = count;
    }
    let (view, plans) = (median(views), median(plans));
    table.fact("objects", world.live.objects.len());
    table.fact("objects that the schedules take, added up", taken);
    table.fact("a view of the cluster, once for all schedules", ms(view));
    let figure = format!("selection for {SCHEDULES} schedules, with the view");
    table.target(&figure, ms(view + plans), "< 200 ms", view + plans < Duration::from_millis(200));
    after_a_backup(&mut table, world);
    table.end()
}

/// A backup comes, of which a hundredth is another content than in the one before.
fn after_a_backup(table: &mut Table, world: World) {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = config::ArchiveLimits { entries: 1_000_000, object_bytes: 1 << 20, total_bytes: 1 << 30, time: Duration::from_secs(600) };
    let library = Library::open(Some(&folder.path().join("cache")), 1 << 30, limits, object::Redactor::new([0; 32]));
    let archive = |name: &str, changed: usize| {
        let held = |n: usize| if changed > 0 && (n * 17) % OBJECTS < changed && n % 40 >= 28 { config_map(n, 2) } else { object(n) };
        let all: Vec<Value> = (0..OBJECTS).map(held).collect();
        let path = folder.path().join(name);
        write_archive(fs::File::create(&path).expect("a file"), &all, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
        library.read(name, name, fs::File::open(&path).expect("a file")).expect("read")
    };
    let (first, second) = (archive("first", 0), archive("second", OBJECTS / 100));
    let effective = json!({"includedNamespaces": ["*"], "includeClusterResources": true});
    let snapshot = |name: &str, clock: &str, archive: &Arc<witness::Archive>| {
        let content = BackupContent::Read(archive.clone());
        Snapshot::new(name, clock).of("nightly").scope(Scope::of_backup(&effective, true)).with(|b| b.content = content)
    };
    let world = world.schedule("nightly", Some("13:00")).backup(snapshot("first", "10:00", &first));
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut memo = Memo::default();
        judge(&world.inputs(), &mut memo);
        let later = world.clone().backup(snapshot("second", "11:00", &second));
        let (took, report) = timed(|| judge(&later.inputs(), &mut memo));
        assert!(report.backups[0].speaks_for as usize > OBJECTS * 9 / 10, "the new one speaks");
        times.push(took);
    }
    let took = median(times);
    table.target("the join after a new backup of 10,000 objects", ms(took), "< 1 s", took < Duration::from_secs(1));
    let view = View::of(&world.live, "velero");
    let subject = Subject::of(&world.backed_up.backups[0]).expect("its content and its spec are known");
    let rounds = (0..ROUNDS).map(|_| timed(|| compare(&subject, &view, &world.live, "velero").expect("bodies are read")).0);
    table.fact("predicted against observed, one backup for the first time", ms(median(rounds.collect())));
}
