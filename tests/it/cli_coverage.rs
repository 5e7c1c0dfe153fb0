//! `snapgap coverage` over a dump: schedules of the cluster, a backup that does not exist yet, exit codes.

use std::fs;

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
