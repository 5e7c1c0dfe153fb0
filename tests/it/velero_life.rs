//! What happens to backups in a real Velero's life, and what the daemon beside it says at each step.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    control_plane::{ControlPlane, Options as Plane},
    daemon::{Daemon, Setting, shipped_user},
    program::eventually,
    velero::{NAMESPACE, Options, PATIENCE, Store, Velero},
};

/// A namespace with a claim that is bound, and a running pod that mounts it, on a node without a node agent.
fn shop(plane: &ControlPlane) {
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-data"}, "spec": {"capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
            "nfs": {"server": "192.0.2.1", "path": "/data"}, "claimRef": {"namespace": "shop", "name": "data"}}}),
        object(
            "PersistentVolumeClaim",
            "data",
            json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "pv-data", "resources": {"requests": {"storage": "5Gi"}}}),
        ),
    ];
    items.extend(
        (0..10).map(
            |n| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{n}"), "namespace": "shop"}, "data": {"n": "1"}}),
        ),
    );
    plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    eventually("the namespace has its account", PATIENCE, || {
        !plane.kubectl(&["get", "serviceaccount", "default", "-n", "shop", "--ignore-not-found"]).is_empty()
    });
    let pod = object(
        "Pod",
        "db",
        json!({"nodeName": "n1", "automountServiceAccountToken": false, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "a", "image": "example.com/a", "volumeMounts": [{"name": "vol", "mountPath": "/d"}]}],
            "volumes": [{"name": "vol", "persistentVolumeClaim": {"claimName": "data"}}]}),
    );
    plane.apply(&pod.to_string());
    let patch = |args: &[&str], status: Value| {
        plane.kubectl(&[&["patch"], args, &["--subresource=status", "--type=merge", "-p", &json!({"status": status}).to_string()]].concat());
    };
    patch(&["pvc", "data", "-n", "shop"], json!({"phase": "Bound"}));
    patch(&["pod", "db", "-n", "shop"], json!({"phase": "Running"}));
}

/// A daemon that reads the bucket as a folder beside the cluster.
fn daemon(plane: &ControlPlane, velero: &Velero<'_>, user: &str) -> Daemon {
    let lines = format!("velero: {{backups: [{{file: '{}'}}]}}", velero.root().display());
    Daemon::start(&Setting::default().cluster(&shipped_user(plane, user)).with(&lines))
}

fn named<'r>(report: &'r Value, part: &str, name: &str) -> Option<&'r Value> {
    report[part].as_array()?.iter().find(|b| b["name"] == name)
}

/// Waits until a backup's state and reason are these, and returns what is said of it.
fn backup(daemon: &Daemon, name: &str, state: &str, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("backup {name} is {state} ({reason})"), PATIENCE, || {
        last = named(&daemon.report(), "backups", name).cloned().unwrap_or_default();
        last["state"] == state && last["reason"] == reason
    });
    println!("{name}: {} ({}): {}", last["state"], last["reason"], last["why"]);
    last
}

fn volume(daemon: &Daemon, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("the claim is {reason}"), PATIENCE, || {
        last = named(&daemon.report(), "volumes", "data").cloned().unwrap_or_default();
        last["reason"] == reason
    });
    println!("claim data: {} ({}): {}", last["state"], last["reason"], last["why"]);
    last
}

#[test]
fn what_becomes_of_backups_restores_and_volumes_is_told_at_each_step() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    shop(&plane);
    let store = Store::start();
    // Few requests a second, so that a backup takes long enough to be disturbed; rare collection, so that expiry is seen before it.
    let flags = ["--client-qps=5", "--client-burst=5", "--garbage-collection-frequency=60s"].map(str::to_owned).to_vec();
    let velero = Velero::start(&plane, &store, Options { flags, ..Options::default() });
    let shop_only = json!({"includedNamespaces": ["shop"]});

    // Completed, and the claim's bytes are not in it.
    assert_eq!(velero.back_up("plain", &shop_only)["status"]["phase"], "Completed");
    let daemon = daemon(&plane, &velero, "life");
    backup(&daemon, "plain", "restorable", "completed");
    let bare = volume(&daemon, "not_opted_in");
    assert_eq!((&bare["state"], &bare["requested_bytes"]), (&json!("absent"), &json!(5u64 << 30)));
    daemon.wait_metric("snapgap_volume_claim_unprotected{reason=\"not_opted_in\",resource_name=\"data\",resource_namespace=\"shop\"}", 1.0);
    assert!(daemon.get("/").body.contains("nobody keeps it"));

    // No node agent: the pod is left out with its volume, and the older backup speaks for it.
    let with_files = json!({"includedNamespaces": ["shop"], "defaultVolumesToFsBackup": true});
    assert_eq!(velero.back_up("files", &with_files)["status"]["phase"], "PartiallyFailed");
    let files = backup(&daemon, "files", "degraded", "partially_failed");
    let missing: Vec<_> =
        files["missing"].as_array().expect("missing").iter().map(|m| (m["resource"].clone(), m["name"].clone(), m["held"].clone())).collect();
    assert_eq!(missing, [(json!("pods"), json!("db"), json!(false))]);
    volume(&daemon, "no_node_agent");
    let speaks = |kind: &str, name: &str| daemon.said("shop", kind, name, "backup");
    eventually("the older backup speaks for the pod", PATIENCE, || speaks("Pod", "db") == "plain" && speaks("ConfigMap", "c1") == "files");

    // A namespace that does not exist: nothing is missing, and Velero calls it partially failed.
    assert_eq!(velero.back_up("gone", &json!({"includedNamespaces": ["shop", "no-such"]}))["status"]["phase"], "PartiallyFailed");
    let gone = backup(&daemon, "gone", "degraded", "partially_failed");
    assert_eq!(gone["missing"], json!([]));

    // Restores: over what is there, a part, and into an empty place.
    let restore = |name: &str, spec: Value| {
        velero.create("Restore", name, &spec);
        assert_eq!(velero.ended("Restore", name)["status"]["phase"], "Completed", "{name}");
        let mut told = Value::Null;
        eventually(&format!("restore {name} is told with what it did"), PATIENCE, || {
            told = named(&daemon.report(), "restores", name).cloned().unwrap_or_default();
            told["skipped"].is_u64() && told["completed"].is_string()
        });
        println!(
            "restore {name}: {} created {} skipped {} failed {}: {}",
            told["phase"], told["created"], told["skipped"], told["failed"], told["why"]
        );
        told
    };
    let again = restore("again", json!({"backupName": "plain"}));
    assert_eq!((&again["proves"], &again["created"]), (&json!([]), &json!(0)));
    let part = restore("part", json!({"backupName": "plain", "includedResources": ["configmaps"], "namespaceMapping": {"shop": "shop-part"}}));
    assert_eq!(part["proves"], json!([]));
    let proof = |name: &str| {
        daemon.report()["proofs"].as_array().expect("proofs").iter().find(|p| p["of"] == json!({"scope": "namespace", "name": name})).cloned()
    };
    assert_eq!(proof("shop").expect("a row")["at"], Value::Null);
    let drill = restore("drill", json!({"backupName": "plain", "namespaceMapping": {"shop": "shop-drill"}}));
    assert_eq!(drill["proves"], json!(["shop"]), "{}", drill["why"]);
    let proven = proof("shop").expect("a row");
    assert_eq!((&proven["restore"], &proven["backup"], &proven["proven"]), (&json!("drill"), &json!("plain"), &json!(1)));
    assert!(daemon.metric("snapgap_namespace_proven_restore_timestamp_seconds{resource_namespace=\"shop\"}").is_some_and(|t| t > 1e9));

    // The location goes away in the middle of a backup.
    let in_progress =
        |name: &str| eventually(&format!("{name} is in progress"), PATIENCE, || velero.field("Backup", name, "/status/phase") == "InProgress");
    velero.create("Backup", "cut-off", &shop_only);
    in_progress("cut-off");
    backup(&daemon, "cut-off", "pending", "in_progress");
    store.away();
    backup(&daemon, "plain", "unavailable", "location_unavailable");
    daemon.wait_metric("snapgap_backup_storage_location_available{storage_location=\"default\"}", 0.0);
    let cut_off = velero.ended("Backup", "cut-off");
    println!("cut-off ended as {} ({})", cut_off["status"]["phase"], cut_off["status"]["failureReason"]);
    assert_eq!(cut_off["status"]["phase"], "Failed");
    backup(&daemon, "cut-off", "invalid", "failed");
    store.back();
    backup(&daemon, "plain", "restorable", "completed");

    // Velero is killed in the middle of a backup, and starts again.
    velero.create("Backup", "killed", &shop_only);
    in_progress("killed");
    velero.kill();
    std::thread::sleep(Duration::from_secs(3));
    backup(&daemon, "killed", "pending", "in_progress");
    velero.run();
    assert_eq!(velero.ended("Backup", "killed")["status"]["phase"], "Failed");
    let killed = backup(&daemon, "killed", "invalid", "failed");
    assert!(killed["why"].as_str().is_some_and(|w| w.contains("InProgress")), "{}", killed["why"]);
    daemon.wait_metric("snapgap_backups{phase=\"Failed\",schedule=\"\"}", 2.0);

    // Expiry: first it counts no more, then it is collected.
    let mut short = shop_only.clone();
    short["ttl"] = "20s".into();
    velero.back_up("brief", &short);
    eventually("the expired backup counts no more", PATIENCE, || {
        let report = daemon.report();
        let brief = named(&report, "backups", "brief");
        let state = brief.map_or("gone", |b| b["reason"].as_str().unwrap_or_default());
        if state != "completed" {
            println!("brief: {state}")
        }
        ["expired", "deletion_requested", "deleting", "gone"].contains(&state)
    });
    eventually("the expired backup is collected and gone from the report", PATIENCE, || named(&daemon.report(), "backups", "brief").is_none());
    assert!(!velero.file("brief", ".tar.gz").exists());
}

#[test]
fn backups_of_another_cluster_in_the_same_bucket_are_told_apart() {
    let (here, there) =
        (ControlPlane::start(Plane { controllers: true, flags: Vec::new() }), ControlPlane::start(Plane { controllers: true, flags: Vec::new() }));
    let store = Store::start();
    for plane in [&here, &there] {
        plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}).to_string());
        plane.apply(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rates", "namespace": "shop"}, "data": {"a": "1"}}).to_string(),
        );
    }
    let theirs = Velero::start(&there, &store, Options::default());
    assert_eq!(theirs.back_up("theirs-all", &json!({"includeClusterResources": true}))["status"]["phase"], "Completed");
    assert_eq!(theirs.back_up("theirs-shop", &json!({"includedNamespaces": ["shop"]}))["status"]["phase"], "Completed");
    let ours = Velero::start(&here, &store, Options::default());
    eventually("their backups are synced into this cluster", PATIENCE, || {
        ["theirs-all", "theirs-shop"].iter().all(|b| ours.field("Backup", b, "/status/phase") == "Completed")
    });
    let beside = daemon(&here, &ours, "foreign");
    // One holds their kube-system; the other is known by its namespaces only.
    backup(&beside, "theirs-all", "foreign", "foreign");
    backup(&beside, "theirs-shop", "foreign", "foreign");
    // What another cluster backed up is no backup of ours.
    beside.wait(("shop", "ConfigMap", "rates"), "recovery", "lost");
    assert_eq!(ours.back_up("ours", &json!({"includedNamespaces": ["shop"]}))["status"]["phase"], "Completed");
    backup(&beside, "ours", "restorable", "completed");
    beside.wait(("shop", "ConfigMap", "rates"), "recovery", "backup");
    beside.wait_metric("snapgap_backups_rejected{reason=\"foreign\",schedule=\"\"}", 0.0);
    // An own one whose object was lost comes back by sync, with another uid, and is still ours.
    let object = ours.get("Backup", "ours");
    here.kubectl(&["delete", "backups.velero.io", "ours", "-n", NAMESPACE, "--wait=true"]);
    eventually("it is synced from the bucket", PATIENCE, || {
        let now = ours.get("Backup", "ours");
        !now.is_null() && now["metadata"]["uid"] != object["metadata"]["uid"]
    });
    let back = backup(&beside, "ours", "restorable", "completed");
    assert_eq!(back["evidence"], json!([]), "its namespaces prove that it is ours");
}
