//! `snapgap coverage` over a dump: schedules of the cluster, a backup that does not exist yet, exit codes.

use std::{fs, path::Path};

use serde_json::{Value, json};
use snapgap::velero::{Names, archive::write::write_archive};

use crate::support::cli::snapgap;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system, uid: u}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop, labels: {app: cart}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: shop}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: example.com/none}
---
{apiVersion: velero.io/v1, kind: Schedule, metadata: {name: nightly, namespace: velero}, spec: {schedule: '0 1 * * *', template: {}}}
";

#[test]
fn coverage_says_which_schedule_takes_each_object_and_which_rule_leaves_it_out() {
    let home = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let dump = write("cluster.yaml", CLUSTER);
    let ask = |more: &[&str]| snapgap(home.path(), &[&["coverage", "--cluster-dump", &dump], more].concat());
    let table = ask(&[]).ended(0).out;
    assert!(table.contains("schedule nightly: takes"), "{table}");
    assert!(table.contains("It names no filter, and yet leaves out 1 cluster-scoped objects"), "{table}");
    assert!(table.contains("StorageClass.storage.k8s.io (cluster_scope): fast"), "{table}");
    let plan = write("plan.yaml", "{apiVersion: velero.io/v1, kind: Backup, metadata: {name: p}, spec: {labelSelector: {matchLabels: {app: cart}}}}");
    let json = ask(&["--backup", &plan, "-o", "json"]).ended(0).json();
    assert_eq!(json["plans"][0]["name"], "backup p");
    let verdict = |name: &str| json["rows"].as_array().expect("rows").iter().find(|r| r["name"] == name).expect("the row")["says"][0].clone();
    assert_eq!(verdict("settings")["verdict"], "takes");
    assert_eq!((verdict("other")["verdict"].clone(), verdict("other")["reason"].clone()), ("leaves".into(), "label_selector".into()));
    let refused = write("refused.yaml", "{kind: Backup, metadata: {name: r}, spec: {includedNamespaces: ['*', shop]}}");
    assert!(ask(&["--backup", &refused, "--fail-on", "refused"]).ended(1).out.contains("refused: included namespaces have * beside others"));
    assert!(ask(&["--backup", &plan, "-o", "yaml", "--fail-on", "refused"]).ended(0).out.contains("schema: snapgap.coverage/v1"));
    let other = write("other.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
    assert!(ask(&["--backup", &other]).ended(3).err.contains("neither a Backup nor a Schedule"));
}

/// A finished backup of a schedule in a folder that is laid out as a bucket, holding some objects.
fn backup(store: &Path, name: &str, schedule: &str, day: u32, held: &[Value]) {
    let folder = store.join("backups").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    let at = |clock: &str| format!("2026-03-{day:02}T{clock}Z");
    let object = json!({"apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": {"name": name, "namespace": "velero", "labels": {"velero.io/schedule-name": schedule}, "creationTimestamp": at("01:00:00")},
        "spec": {"includedNamespaces": [if schedule == "nightly" { "*" } else { "shop" }]},
        "status": {"phase": "Completed", "version": 1, "formatVersion": "1.1.0", "startTimestamp": at("01:00:00"), "completionTimestamp": at("01:01:00"), "expiration": "2027-03-01T00:00:00Z"}});
    fs::write(folder.join("velero-backup.json"), object.to_string()).expect("written");
    let archive = fs::File::create(folder.join(format!("{name}.tar.gz"))).expect("a file");
    write_archive(archive, held, &Names::builtin(), jiff::Timestamp::UNIX_EPOCH).expect("an archive");
}

#[test]
fn coverage_reads_the_newest_backup_of_every_schedule_as_of_the_moment_that_was_asked_for() {
    let home = tempfile::tempdir().expect("a folder");
    let store = home.path().join("store");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}});
    for (name, schedule, day) in [("nightly-1", "nightly", 1), ("nightly-2", "nightly", 2), ("hourly-1", "hourly", 1), ("hourly-2", "hourly", 2)] {
        backup(&store, name, schedule, day, std::slice::from_ref(&map));
    }
    let dump = home.path().join("cluster.yaml");
    let second =
        "{apiVersion: velero.io/v1, kind: Schedule, metadata: {name: hourly, namespace: velero}, spec: {schedule: '0 * * * *', template: {}}}";
    fs::write(&dump, format!("{CLUSTER}---\n{second}\n")).expect("written");
    let config = home.path().join("snapgap.yaml");
    fs::write(&config, format!("cluster: {{dump: {}}}\nvelero: {{stores: [{{provider: folder, path: {}}}]}}\n", dump.display(), store.display()))
        .expect("written");
    let newest = |now: &str| {
        let said = snapgap(home.path(), &["coverage", "-f", &config.display().to_string(), "-o", "json", "--now", now]).ended(0).json();
        let of = |plan: &Value| (plan["name"].as_str().unwrap_or_default().to_owned(), plan["newest"]["backup"].as_str().map(str::to_owned));
        let mut all: Vec<_> = said["plans"].as_array().expect("plans").iter().map(of).collect();
        all.sort();
        all
    };
    let both = |day: u32| ["hourly", "nightly"].map(|s| (format!("schedule {s}"), Some(format!("{s}-{day}")))).to_vec();
    assert_eq!(newest("2026-03-02T12:00:00Z"), both(2));
    assert_eq!(newest("2026-03-01T12:00:00Z"), both(1), "what had not begun then does not count");
}
