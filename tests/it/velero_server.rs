//! The harness itself: a real Velero that backs up, restores, loses its store, is killed and comes back.

use serde_json::json;

use crate::support::{
    control_plane::{ControlPlane, Options as Plane},
    program::eventually,
    velero::{Options, PATIENCE, Store, Velero, inflated},
};

#[test]
fn a_real_velero_backs_up_restores_and_comes_back_after_it_was_killed() {
    let plane = ControlPlane::start(Plane::default());
    plane.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {a: b}\n");
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let backup = velero.back_up("first", &json!({"includedNamespaces": ["shop"]}));
    assert_eq!(backup["status"]["phase"], "Completed", "{backup}");
    assert!(velero.file("first", ".tar.gz").is_file());
    plane.kubectl(&["delete", "configmap", "settings", "-n", "shop"]);
    velero.create("Restore", "again", &json!({"backupName": "first"}));
    let restore = velero.ended("Restore", "again");
    assert_eq!(restore["status"]["phase"], "Completed", "{}", inflated(&velero.restore_file("again", "-results.gz")));
    assert!(plane.kubectl(&["get", "configmap", "settings", "-n", "shop", "-o", "yaml"]).contains("a: b"));
    store.away();
    eventually("the location is found to be away", PATIENCE, || velero.field("BackupStorageLocation", "default", "/status/phase") == "Unavailable");
    let refused = velero.back_up("refused", &json!({}));
    assert_eq!(refused["status"]["phase"], "FailedValidation", "{refused}");
    velero.kill();
    store.back();
    velero.run();
    velero.create_all(&["second", "third"].map(|name| Velero::manifest("Backup", name, &json!({}))));
    let phases: Vec<String> =
        velero.all_ended("Backup", PATIENCE).iter().map(|b| format!("{} {}", b["metadata"]["name"], b["status"]["phase"]).replace('"', "")).collect();
    assert_eq!(phases, ["first Completed", "refused FailedValidation", "second Completed", "third Completed"], "{}", velero.log());
}
