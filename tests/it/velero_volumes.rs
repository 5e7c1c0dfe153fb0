//! Bytes of volumes on a real Velero with its node agent, a CSI snapshotter and a plugin of somebody else's: what the daemon says of each claim.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    control_plane::{ControlPlane, Options as Plane},
    daemon::{Daemon, Setting, shipped_rules, user_with},
    node::Node,
    program::eventually,
    velero::{NAMESPACE, Options, PATIENCE, Store, Velero, inflated},
};

/// What is said of a claim now.
fn claim_now(daemon: &Daemon, name: &str) -> Value {
    daemon.report()["volumes"].as_array().and_then(|all| all.iter().find(|v| v["name"] == name)).cloned().unwrap_or_default()
}

/// What is said of a claim, once it is said for this reason.
fn claim(daemon: &Daemon, name: &str, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("claim {name} is {reason}"), PATIENCE, || {
        last = claim_now(daemon, name);
        last["reason"] == reason
    });
    println!("claim {name}: {} ({}): {}", last["state"], last["reason"], last["why"]);
    last
}

/// State, method, bytes and backup of what is said.
fn keeper(claim: &Value) -> [Value; 4] {
    ["state", "method", "bytes", "backup"].map(|key| claim[key].clone())
}

/// What a backup holds otherwise than its spec says: `mismatch Kind/name: reason`.
fn disagreements(daemon: &Daemon, backup: &str) -> Vec<String> {
    let report = daemon.report();
    let of = report["disagreements"].as_array().into_iter().flatten().find(|d| d["backup"] == backup);
    let objects = of.and_then(|d| d["objects"].as_array()).into_iter().flatten();
    let word = |o: &Value, key: &str| o[key].as_str().unwrap_or_default().to_owned();
    objects.map(|o| format!("{} {}/{}: {}", word(o, "mismatch"), word(o, "kind"), word(o, "name"), word(o, "reason"))).collect()
}

/// A namespace with seven claims, of which each meets another fate.
fn shop(plane: &ControlPlane, node: &Node<'_>) {
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}).to_string());
    node.claim("shop", "photos", &[("a.jpg", &[7; 100_000]), ("b.txt", b"hello")]);
    node.claim("shop", "empty", &[]);
    node.claim("shop", "orders", &[("orders.db", b"0123456789")]);
    node.claim("shop", "scratch", &[("junk", b"junk")]);
    node.claim("shop", "ledger", &[("ledger.db", b"1,2,3")]);
    node.native_claim("shop", "legacy", &[("old", b"bytes")]);
    node.cloned_claim("shop", "cloned", &[("copy", b"bytes")]);
    plane.kubectl(&["label", "pvc", "scratch", "-n", "shop", "copy=never"]);
    plane.kubectl(&["label", "pvc", "orders", "-n", "shop", "move=yes"]);
    let opt_in = |volumes: &str| json!({"backup.velero.io/backup-volumes": volumes});
    node.pod("shop", "web", &opt_in("photos,empty"), &["photos", "empty"]);
    let mut hooked = opt_in("ledger");
    hooked["pre.hook.backup.velero.io/command"] = "[\"/bin/flush\"]".into();
    hooked["pre.hook.backup.velero.io/on-error"] = "Fail".into();
    node.pod("shop", "books", &hooked, &["ledger"]);
    let policy = "version: v1\nvolumePolicies:\n- conditions: {pvcLabels: {copy: never}}\n  action: {type: skip}\n";
    let object =
        |kind: &str, namespace: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
    let mut volumes = object("ConfigMap", NAMESPACE, "policy");
    volumes["data"] = json!({ "policy": policy });
    let mut settings = object("ConfigMap", "shop", "settings");
    settings["metadata"]["labels"] = json!({"app": "shop"});
    settings["metadata"]["annotations"] = json!({"example.com/companion": "shop/key"});
    for object in [volumes, settings, object("Secret", "shop", "key")] {
        plane.apply(&object.to_string());
    }
}

#[test]
fn who_has_the_bytes_of_each_claim_is_told_from_what_a_real_velero_copied() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    Node::install_kinds(&plane);
    let store = Store::start();
    let flags = vec!["--features=EnableCSI".to_owned()];
    let velero = Velero::start(&plane, &store, Options { flags, plugins: vec!["velero-plugin-folder"], ..Options::default() });
    let node = Node::start(&velero);
    shop(&plane, &node);
    velero.create("VolumeSnapshotLocation", "folders", &json!({"provider": "example.com/folder", "config": {"root": node.root()}}));
    // What is made within two seconds of a backup's start may or may not have been there.
    thread::sleep(Duration::from_secs(3));

    let policy = json!({"kind": "configmap", "name": "policy"});
    let night = velero.back_up("night", &json!({"includedNamespaces": ["shop"], "volumeSnapshotLocations": ["folders"], "resourcePolicy": policy}));
    assert_eq!(night["status"]["phase"], "PartiallyFailed", "a hook cannot run: {}\n{}", velero.log(), node.logs());
    let lines = format!("velero: {{backups: [{{file: '{}'}}]}}", velero.root().display());
    let user = user_with(&plane, "volumes", &shipped_rules(&["snapshot.storage.k8s.io"]));
    let daemon = Daemon::start(&Setting::default().cluster(&user).with(&lines));

    // A copy of its files, a snapshot by a plugin, a snapshot that stays in the storage system.
    let photos = claim(&daemon, "photos", "kept");
    assert_eq!(keeper(&photos), [json!("present"), json!("pod_volume"), json!(100_005), json!("night")]);
    assert_eq!(keeper(&claim(&daemon, "legacy", "kept")), [json!("present"), json!("native_snapshot"), Value::Null, json!("night")]);
    let orders = claim(&daemon, "orders", "snapshot_in_cluster");
    assert_eq!(keeper(&orders), [json!("snapshot"), json!("csi_snapshot"), json!(10), json!("night")]);
    // What Velero wrote into the copies of the claims that it snapshotted, and took out of one that came out of a snapshot, is no change since.
    for name in ["orders", "photos", "cloned", "legacy", "empty"] {
        let said = daemon.object("shop", "PersistentVolumeClaim", name).unwrap_or_else(|| panic!("claim {name} is reported"));
        assert_eq!(said["recovery"], "backup", "{said}");
    }
    let archived = inflated(&velero.file("night", ".tar.gz"));
    assert!(archived.contains("velero.io/volume-snapshot-name") && !archived.contains("\"dataSource\":"), "Velero does edit claims");
    // Nor are the snapshots' objects, which Velero makes and takes away, things that somebody deleted.
    let report = daemon.report();
    let of_velero = |o: &&Value| ["VolumeSnapshot", "VolumeSnapshotContent"].contains(&o["kind"].as_str().unwrap_or_default());
    let told: Vec<&Value> = report["objects"].as_array().into_iter().flatten().filter(of_velero).map(|o| &o["recovery"]).collect();
    assert_eq!(told, ["derived"; 4], "two snapshots with their contents");
    // Decided, failed, and not to be told.
    assert_eq!(claim(&daemon, "scratch", "policy_skip")["state"], "skipped");
    let ledger = claim(&daemon, "ledger", "hook_failed");
    assert!(ledger["state"] == "absent" && ledger["why"].as_str().is_some_and(|w| w.contains("its pod books failed")), "{ledger}");
    let empty = claim(&daemon, "empty", "nothing_copied");
    assert_eq!(
        (&empty["state"], &empty["evidence"][0]["outcome"], &empty["evidence"][0]["bytes"]),
        (&json!("unknown"), &json!("succeeded"), &json!(0))
    );
    daemon.wait_metric("snapgap_volume_claim_unprotected{reason=\"hook_failed\",resource_name=\"ledger\",resource_namespace=\"shop\"}", 1.0);
    let unprotected = daemon.get("/metrics").body.lines().filter(|l| l.starts_with("snapgap_volume_claim_unprotected{")).count();
    assert_eq!(unprotected, 1, "the others are kept, or somebody decided otherwise, or it cannot be said");
    // The pod whose hook failed stands in Velero's own list of what it backed up, and its archive does not hold it.
    assert!(inflated(&velero.file("night", "-resource-list.json.gz")).contains("shop/books"));
    assert_eq!(disagreements(&daemon, "night"), ["missing_from_backup Pod/books: hook_failed"]);

    // The same claim's bytes, moved into the bucket. What the mover leaves in the archive is its own.
    let moving = json!({"includedNamespaces": ["shop"], "labelSelector": {"matchLabels": {"move": "yes"}}, "snapshotMoveData": true});
    velero.create("Backup", "moving", &moving);
    eventually("a data upload is on its way", PATIENCE, || {
        let orders = claim_now(&daemon, "orders");
        orders["evidence"][0]["method"] == "data_movement" && (orders["state"] == "snapshot" || orders["state"] == "present")
    });
    assert_eq!(velero.ended("Backup", "moving")["status"]["phase"], "Completed", "{}\n{}", velero.log(), node.logs());
    let moved = claim(&daemon, "orders", "kept");
    assert_eq!(keeper(&moved), [json!("present"), json!("data_movement"), json!(10), json!("moving")]);
    assert_eq!(disagreements(&daemon, "moving"), Vec::<String>::new());

    // What a plugin adds is told as that.
    let labelled = json!({"includedNamespaces": ["shop"], "labelSelector": {"matchLabels": {"app": "shop"}}, "snapshotVolumes": false});
    assert_eq!(velero.back_up("labelled", &labelled)["status"]["phase"], "Completed");
    eventually("what the plugin added is told", PATIENCE, || disagreements(&daemon, "labelled") == ["unexpected_in_backup Secret/key: plugin"]);

    // Objects go, the files in the bucket stay, and say the same.
    plane.kubectl(&["delete", "podvolumebackups,datauploads", "--all", "-n", NAMESPACE, "--wait=false"]);
    let gone = || velero.all("PodVolumeBackup").is_empty() && velero.all("DataUpload").is_empty();
    eventually("the objects are gone", PATIENCE, gone);
    // The watch has a second to tell of it; what is reported after that knows.
    thread::sleep(Duration::from_secs(2));
    let now = || daemon.report()["now"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let then = jiff::Timestamp::now();
    eventually("a report that knows", PATIENCE, || now().is_some_and(|now| now > then));
    for (name, before) in [("photos", &photos), ("orders", &moved)] {
        assert_eq!(keeper(&claim(&daemon, name, "kept")), keeper(before));
    }

    // A claim that is deleted and made anew under the same name has nothing in any backup.
    plane.kubectl(&["delete", "pvc", "orders", "-n", "shop", "--wait=true"]);
    plane.kubectl(&["delete", "pv", "shop-orders", "--wait=true"]);
    std::fs::remove_dir_all(node.root().join("volumes/shop-orders")).expect("its bytes");
    thread::sleep(Duration::from_secs(2));
    node.claim("shop", "orders", &[("orders.db", b"")]);
    let anew = claim(&daemon, "orders", "too_new");
    assert!(anew["state"] == "absent" && anew["why"].as_str().is_some_and(|w| w.contains("an earlier claim of its name")), "{anew}");
}
