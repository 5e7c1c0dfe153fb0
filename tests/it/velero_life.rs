//! What happens to backups in a real Velero's life, and what the daemon beside it says at each step.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    cli::snapgap,
    control_plane::{ControlPlane, Options as Plane},
    daemon::{Daemon, Setting, shipped_user},
    program::eventually,
    prometheus::Prometheus,
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

/// A daemon that reads the bucket by its location's own coordinates.
fn daemon(plane: &ControlPlane, velero: &Velero<'_>, user: &str) -> Daemon {
    let lines = format!("velero: {{interval: 1s, stores: [{{location: default, credentials_file: '{}'}}]}}", velero.credentials().display());
    Daemon::start(&Setting::default().cluster(&shipped_user(plane, user)).with(&lines))
}

fn named<'r>(report: &'r Value, part: &str, name: &str) -> Option<&'r Value> {
    report[part].as_array()?.iter().find(|b| b["name"] == name)
}

/// Waits until a backup's state and reason are these, and what it holds was read if that is wanted; returns what is said of it.
fn backup(daemon: &Daemon, name: &str, state: &str, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("backup {name} is {state} ({reason})"), PATIENCE, || {
        last = named(&daemon.report(), "backups", name).cloned().unwrap_or_default();
        let waits = last["unread"]["reason"] == "not_yet_read";
        last["state"] == state && last["reason"] == reason && !waits
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

    // Completed, and the claim's bytes are not in it. It is of a schedule, as far as its label says.
    velero.create("Schedule", "nightly", &json!({"schedule": "0 1 * * *", "template": {}}));
    let mut plain = Velero::manifest("Backup", "plain", &shop_only);
    plain["metadata"]["labels"] = json!({"velero.io/schedule-name": "nightly"});
    velero.create_all(&[plain]);
    assert_eq!(velero.ended("Backup", "plain")["status"]["phase"], "Completed");
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

    // That is a finding of its own: what the backup was to hold and does not.
    let report = daemon.report();
    let disagreeing = report["disagreements"].as_array().expect("disagreements");
    let rows: Vec<_> =
        disagreeing.iter().flat_map(|d| d["objects"].as_array().expect("objects").iter().map(|o| (d["backup"].clone(), o.clone()))).collect();
    println!("{rows:#?}");
    let [(of, pod)] = &rows[..] else { panic!("one object disagrees: {rows:#?}") };
    assert_eq!((of, &pod["kind"], &pod["name"]), (&json!("files"), &json!("Pod"), &json!("db")));
    assert_eq!((&pod["mismatch"], &pod["reason"]), (&json!("missing_from_backup"), &json!("failed")));
    assert!(pod["why"].as_str().is_some_and(|w| w.contains("daemonset pod not found")), "{pod}");
    let agreement = |name: &str| named(&report, "backups", name).expect("a backup")["agreement"].clone();
    let (plain, files) = (agreement("plain"), agreement("files"));
    println!("plain: {plain}, files: {files}");
    assert!(plain["predicted"].as_u64().is_some_and(|n| n >= 16) && plain["held"] == plain["predicted"] && plain["unexpected"] == 0, "{plain}");
    assert_eq!((&files["missing"], files["held"].as_u64().map(|n| n + 1)), (&json!(1), files["predicted"].as_u64()));
    daemon.wait_metric("snapgap_backup_disagreeing_objects{mismatch=\"missing_from_backup\",schedule=\"\"}", 1.0);
    assert!(daemon.get("/").body.contains("Not as predicted"));
    assert!(daemon.get("/objects/view?kind=Pod&namespace=shop&name=db").body.contains("missing_from_backup"), "the page of the Pod says so");

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

    // Every panel of the dashboard for backups shows something of this world, but the date at which a whole layer was proven: no restore brought all
    // of its namespaces back. Marks of what happens within a minute are no panels.
    let prometheus = Prometheus::scraping(daemon.port);
    let empty = prometheus.empty("snapgap-backup");
    let expected = |q: &String| q.contains("snapgap_layer_proven_restore_timestamp_seconds") || q.contains("changes(");
    assert!(empty.iter().all(expected), "panels stay empty: {empty:#?}");
    // The cells of coverage count every object once.
    let cells = || {
        let text = daemon.get("/metrics").body;
        let own = text.lines().filter(|l| l.starts_with("snapgap_coverage_objects{"));
        own.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let objects = || daemon.report()["summary"]["objects"].as_f64().unwrap_or_default();
    eventually("the cells sum up to all objects", PATIENCE, || cells() > 100.0 && cells() == objects());
    // A backup that holds far less than the one before it: its size is that of its archive, and the shipped rule finds it.
    let size = || daemon.metric("snapgap_backup_newest_valid_objects{schedule=\"nightly\"}").unwrap_or_default();
    let shrank = "max by (cluster, schedule) (min_over_time(snapgap_backup_newest_valid_objects[5m])) \
                  < 0.5 * max by (cluster, schedule) (max_over_time(snapgap_backup_newest_valid_objects[7d]))";
    let rules = include_str!("../../deploy/prometheus/rules.yml").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(rules.contains(&shrank.split_whitespace().collect::<Vec<_>>().join(" ")), "the rule that is shipped");
    assert!(size() >= 16.0 && prometheus.query(shrank)["data"]["result"] == json!([]), "{}", size());
    let mut slim = Velero::manifest("Backup", "slim", &json!({"includedNamespaces": ["shop"], "includedResources": ["services", "secrets"]}));
    slim["metadata"]["labels"] = json!({"velero.io/schedule-name": "nightly"});
    velero.create_all(&[slim]);
    assert_eq!(velero.ended("Backup", "slim")["status"]["phase"], "Completed");
    let slim = backup(&daemon, "slim", "restorable", "completed");
    eventually("the newest one counts", PATIENCE, || Some(size()) == slim["objects"].as_f64());
    eventually("the rule finds it", PATIENCE, || prometheus.query(shrank)["data"]["result"][0]["metric"]["schedule"] == "nightly");

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

/// Waits until what is said of a schedule holds, and returns it.
fn schedule(daemon: &Daemon, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    eventually(&format!("schedule {name} is as it should be"), PATIENCE, || {
        last = named(&daemon.report(), "schedules", name).cloned().unwrap_or_default();
        holds(&last)
    });
    println!("schedule {name}: {} overdue {} failed {}: {}", last["state"], last["overdue_runs"], last["failed_runs"], last["why"]);
    last
}

#[test]
fn real_schedules_fire_and_one_that_looks_like_everything_is_healed_by_one_line() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "example.com/none"});
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "1"}});
    for object in [class, shop, map] {
        plane.apply(&object.to_string());
    }
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let of = |name: &str, cron: &str, spec: Value| {
        let mut spec = spec;
        spec["schedule"] = cron.into();
        Velero::manifest("Schedule", name, &spec)
    };
    velero.create_all(&[
        of("everything", "* * * * *", json!({"template": {"ttl": "1h"}})),
        of("brief", "@every 12h", json!({"template": {"includedNamespaces": ["shop"], "ttl": "8h"}})),
        of("asleep", "* * * * *", json!({"paused": true, "skipImmediately": true, "template": {}})),
        of("skips", "0 0 1 1 *", json!({"skipImmediately": true, "template": {"includedNamespaces": ["shop"]}})),
        of("misspelt", "61 * * * *", json!({"template": {}})),
        of("nowhere", "* * * * *", json!({"template": {"storageLocation": "no-such"}})),
        of("failing", "* * * * *", json!({"template": {"volumeSnapshotLocations": ["no-such"]}})),
    ]);
    let daemon = daemon(&plane, &velero, "schedules");
    // Before any of them ran.
    schedule(&daemon, "brief", |s| s["state"] == "waiting" && s["retention_gap_seconds"] == 4 * 3600);
    schedule(&daemon, "skips", |s| s["state"] == "waiting" && s["skip_immediately"] == false);
    let asleep = schedule(&daemon, "asleep", |s| s["state"] == "paused");
    assert_eq!((&asleep["skip_immediately"], &asleep["next_due"]), (&json!(true), &Value::Null), "a paused one is not looked at");
    let misspelt = schedule(&daemon, "misspelt", |s| s["state"] == "refused");
    assert!(misspelt["why"].as_str().is_some_and(|w| w.contains("above maximum")), "{misspelt}");
    schedule(&daemon, "nowhere", |s| s["state"] == "refused");
    // The first one fires. It looks like everything and is not.
    let fired = schedule(&daemon, "everything", |s| s["state"] == "on_time" && s["last_usable_start"].is_string());
    let left = &fired["left_out"];
    assert!(left["unfiltered"] == true && left["objects"].as_u64() > left["own"].as_u64() && left["lost"].as_u64().is_some_and(|n| n > 0), "{left}");
    assert!(left["names"].to_string().contains("StorageClass.storage.k8s.io fast"), "{left}");
    let class = |recovery: &str| {
        eventually(&format!("the class is {recovery}"), PATIENCE, || daemon.said("", "StorageClass", "fast", "recovery") == recovery)
    };
    class("lost");
    assert!(daemon.metric("snapgap_backup_schedule_left_out_objects{schedule=\"everything\"}").is_some_and(|n| n >= 1.0));
    assert!(daemon.get("/").body.contains("One line in its template heals it"));
    let home = tempfile::tempdir().expect("a folder");
    let (kubeconfig, bucket) = (plane.admin().display().to_string(), velero.root().display().to_string());
    let ask = |command: &str| snapgap(home.path(), &[command, "--kubeconfig", &kubeconfig, "--backup", &bucket]).out;
    let told = ask("report");
    println!("{told}");
    assert!(
        !told.contains("Schedule/asleep") && told.contains("One line in its template heals it: includedClusterScopedResources: [\"*\"]"),
        "{told}"
    );
    let told = ask("coverage");
    println!("{}", told.lines().take(24).collect::<Vec<_>>().join("\n"));
    assert!(told.contains("schedule everything: takes") && told.contains("everything that it takes is taken by schedule everything"), "{told}");
    let agrees = |l: &str| l.split_once(" holds ").and_then(|(_, l)| l.split_once(" of ")).is_some_and(|(a, b)| b.split(' ').next() == Some(a));
    assert!(told.lines().any(|l| l.contains("its newest backup everything-") && agrees(l)), "{told}");
    assert!(schedule(&daemon, "brief", |_| true)["covered_by"] == json!(["everything", "skips"]));
    // A run that is refused never begins, and counts.
    schedule(&daemon, "failing", |s| s["state"] == "refused" && s["failed_runs"].as_u64().is_some_and(|n| n >= 1));
    // The line heals it.
    let heal = json!({"spec": {"template": {"includedClusterScopedResources": ["*"]}}}).to_string();
    plane.kubectl(&["patch", "schedules.velero.io", "everything", "-n", NAMESPACE, "--type=merge", "-p", &heal]);
    schedule(&daemon, "everything", |s| s["left_out"].is_null());
    class("backup");
    assert_eq!(daemon.metric("snapgap_backup_schedule_left_out_objects{schedule=\"everything\"}"), None);
    // Paused, and resumed after a run was missed: Velero fires at once.
    let pause = |paused: bool| {
        let patch = json!({"spec": {"paused": paused}}).to_string();
        plane.kubectl(&["patch", "schedules.velero.io", "everything", "-n", NAMESPACE, "--type=merge", "-p", &patch]);
    };
    pause(true);
    schedule(&daemon, "everything", |s| s["state"] == "paused" && s["why"].as_str().is_some_and(|w| w.contains("it runs at once")));
    daemon.wait_metric("snapgap_backup_schedule_paused{schedule=\"everything\"}", 1.0);
    let before = velero.field("Schedule", "everything", "/status/lastBackup");
    pause(false);
    let begun = std::time::Instant::now();
    eventually("it fires again", PATIENCE, || velero.field("Schedule", "everything", "/status/lastBackup") > before);
    println!("resumed, it fired after {} s", begun.elapsed().as_secs());
    assert!(begun.elapsed() < Duration::from_secs(40), "a missed run is made up for at once");
    // Velero is down: only the clock tells.
    eventually("nothing is in progress", PATIENCE, || {
        velero.all("Backup").iter().all(|b| b["status"]["phase"] != "InProgress" && b["status"]["phase"] != Value::Null)
    });
    velero.kill();
    velero.create_all(&[of("newborn", "* * * * *", json!({"template": {"includedNamespaces": ["shop"]}}))]);
    let overdue = schedule(&daemon, "everything", |s| s["state"] == "overdue" && s["overdue_runs"].as_u64().is_some_and(|n| n >= 1));
    assert!(overdue["why"].as_str().is_some_and(|w| w.contains("does Velero run?")), "{overdue}");
    assert!(daemon.metric("snapgap_backup_schedule_overdue_runs{schedule=\"everything\"}").is_some_and(|n| n >= 1.0));
    schedule(&daemon, "newborn", |s| s["state"] == "never_ran");
    velero.run();
    schedule(&daemon, "everything", |s| s["state"] == "on_time" && s["overdue_runs"] == 0);
    schedule(&daemon, "newborn", |s| s["state"] == "on_time");
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
