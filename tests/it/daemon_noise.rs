//! The law of noise: a fresh control plane, one app that is applied, a backup of everything: there is nothing to tell.

use std::{collections::BTreeMap, fs};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    object::GroupKind,
    velero::{Names, archive::write::write_backup},
};

use crate::support::{
    control_plane::{ControlPlane, Options},
    daemon::{Daemon, SOON, Setting, grant, shipped_rules, shipped_user},
    git_repo::Repo,
    program::{Folder, eventually},
};

/// Every object of every kind that can be listed, and how the kinds are called, as the server tells.
fn everything(plane: &ControlPlane) -> (Vec<Value>, Names) {
    let (mut objects, mut names) = (Vec::new(), Names::builtin());
    let text = plane.kubectl(&["api-resources", "--verbs=list,get", "--no-headers"]);
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [plural, .., version, namespaced, kind] = words[..] else { panic!("{line}") };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        names = names.with(GroupKind::new(group, kind), plural, namespaced == "true");
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let list: Value = serde_json::from_str(&plane.kubectl(&["get", &resource, "-A", "-o", "json"])).expect("JSON");
        for item in list["items"].as_array().expect("items") {
            // Events are served by two groups, as the same objects; a backup holds both.
            let key = format!("{}/{}/{}/{}", item["apiVersion"], item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]);
            if seen.insert(key) {
                objects.push(item.clone());
            }
        }
    }
    (objects, names)
}

fn told(report: &Value) -> Vec<String> {
    let finding = |o: &&Value| {
        let (drift, recovery) = (o["drift"].as_str().unwrap_or_default(), o["recovery"].as_str().unwrap_or_default());
        ["changed", "missing", "removed", "added", "unknown"].contains(&drift)
            || ["split", "lost", "backup_stale", "resurrected", "unknown"].contains(&recovery)
    };
    let objects = report["objects"].as_array().expect("objects");
    let line = |o: &Value| {
        format!("{} {}/{} {}: {} {}: {} {}", o["group"], o["kind"], o["name"], o["namespace"], o["drift"], o["recovery"], o["why"], o["fields"])
    };
    objects.iter().filter(finding).map(line).collect()
}

#[test]
fn on_a_fresh_cluster_with_one_app_and_a_backup_of_everything_there_is_nothing_to_tell() {
    let (plane, folder) = (ControlPlane::start(Options { controllers: true, flags: Vec::new() }), Folder::new("snapgap-noise-"));
    let repo = Repo::new(folder.path(), "fleet");
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/daemon/shop");
    let read = |name: &str| fs::read_to_string(data.join(name)).expect("readable");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n";
    repo.set_clock(Timestamp::now().as_second() - 600);
    let files = [("shop/namespace.yaml", namespace), ("shop/workloads.yaml", &read("workloads.yaml")), ("shop/rest.yaml", &read("rest.yaml"))];
    repo.commit("Declare the shop", &files);
    plane.apply(namespace);
    plane.kubectl(&["apply", "-n", "shop", "--server-side", "-f", &repo.work().join("shop").display().to_string()]);
    let mut rules = shipped_rules(&[]);
    rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}));
    let config = shipped_user(&plane, "noise");
    grant(&plane, "noise", &rules);
    plane.kubectl(&["wait", "-n", "shop", "--for=jsonpath={.status.observedGeneration}=1", "deployment/cart", "--timeout=60s"]);
    let pods = || plane.kubectl(&["get", "pods", "-n", "shop", "-o", "name"]).lines().count();
    eventually("the controllers made the pods", SOON, || pods() >= 3);
    std::thread::sleep(std::time::Duration::from_secs(3));

    let bucket = folder.path().join("bucket");
    fs::create_dir_all(bucket.join("backups")).expect("made");
    let start = Timestamp::now();
    let (objects, names) = everything(&plane);
    println!("{} objects", objects.len());
    let marker = json!({
        "apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "all", "namespace": "velero"},
        "spec": {"includedNamespaces": ["*"], "includeClusterResources": true, "ttl": "720h0m0s"},
        "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1, "startTimestamp": start, "completionTimestamp": Timestamp::now(),
            "expiration": start + jiff::SignedDuration::from_hours(720)},
    });
    write_backup(&bucket, &marker, &objects, &names).expect("written");
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "shop")]).with(&format!(
        "cluster: {{kubeconfig: '{}', secrets: true}}\nvelero: {{backups: [{{file: '{}'}}]}}",
        config.display(),
        bucket.display()
    ));
    let daemon = Daemon::start(&setting);
    eventually("the backup was read", SOON, || daemon.json("/api/v1/backups")["backups"][0]["objects"].is_u64());
    let report = daemon.report();
    println!("the backup: {:#}\nsummary: {:#}\nnotes: {:#}", report["backups"], report["summary"], report["notes"]);
    println!("blind spots: {:#}", report["blind_spots"]);
    let told = told(&report);
    assert!(told.is_empty(), "{} findings:\n{}", told.len(), told.join("\n"));
    assert_eq!(report["summary"]["window"], "closed");

    // Without the backup, what only Git and the controllers make is still recoverable: only what a person made by hand is lost.
    let bare = Daemon::start(
        &Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "shop")])
            .with(&format!("cluster: {{kubeconfig: '{}', secrets: true}}", config.display())),
    );
    let mut lost: BTreeMap<String, String> = BTreeMap::new();
    for object in bare.report()["objects"].as_array().expect("objects").iter().filter(|o| o["recovery"] == "lost") {
        lost.insert(format!("{} {}/{}", object["namespace"], object["kind"], object["name"]), object["why"].to_string());
    }
    println!("lost without a backup: {lost:#?}");
    let ours = ["admin", "noise"];
    let strange: Vec<_> = lost.iter().filter(|(k, _)| !ours.iter().any(|o| k.contains(o)) && !k.contains("PersistentVolumeClaim")).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn a_fresh_cluster_with_its_controllers_and_nothing_else_asks_for_no_action() {
    let (plane, folder) = (ControlPlane::start(Options { controllers: true, flags: Vec::new() }), Folder::new("snapgap-fresh-"));
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("Declare nothing yet", &[("empty/README.md", "nothing is declared here\n")]);
    eventually("the controllers made the accounts of all namespaces", SOON, || {
        plane.kubectl(&["get", "serviceaccounts", "-A", "-o", "name"]).lines().count() >= 4
    });
    let daemon = Daemon::start(
        &Setting::new(&repo.git_dir.display().to_string(), &[("empty", "empty", "default")])
            .with(&format!("cluster: {{kubeconfig: '{}', secrets: true}}", plane.admin().display())),
    );
    let report = daemon.report();
    let objects = report["objects"].as_array().expect("objects").len();
    println!("{objects} objects, summary {:#}", report["summary"]);
    assert!(objects > 100, "only {objects} objects were looked at");
    let told = told(&report);
    assert!(told.is_empty(), "{} findings:\n{}", told.len(), told.join("\n"));
}
