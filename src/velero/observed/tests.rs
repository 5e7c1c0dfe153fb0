//! Small worlds in which a backup holds too little or too much, and the many in which it only looks so. The whole is held against a real
//! Velero by `tests/it/velero_matrix.rs` and `tests/it/velero_life.rs`. pure

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    velero::Scope,
    verdict::world::{Snapshot, World, at},
    witness::{BackupContent, Entry, Failure, Results, SideFiles},
};

/// An object that was made before the backup and not written since.
fn thing(api: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let mut value = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "uid": name,
        "creationTimestamp": "2026-03-02T00:10:00Z", "resourceVersion": "10",
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "time": "2026-03-02T00:10:00Z", "fieldsV1": {"f:metadata": {"f:labels": {}}}}]}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = namespace.into();
    }
    value
}

fn map(name: &str) -> Value {
    thing("v1", "ConfigMap", Some("shop"), name)
}

fn made(mut value: Value, clock: &str) -> Value {
    value["metadata"]["creationTimestamp"] = format!("2026-03-02T{clock}:00Z").into();
    value["metadata"]["resourceVersion"] = "500".into();
    value
}

fn written(mut value: Value, clock: &str, labels: Value) -> Value {
    value["metadata"]["resourceVersion"] = "500".into();
    value["metadata"]["labels"] = labels;
    value["metadata"]["managedFields"][0]["time"] = format!("2026-03-02T{clock}:00Z").into();
    value
}

fn labelled(mut value: Value, labels: Value) -> Value {
    value["metadata"]["labels"] = labels;
    value
}

/// A ServiceAccount's role and binding, and a claim with its volume.
fn beside() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut binding = thing(rbac, "ClusterRoleBinding", None, "bound");
    binding["roleRef"] = json!({"name": "role"});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "shop", "name": "worker"}]);
    let mut claim = thing("v1", "PersistentVolumeClaim", Some("shop"), "data");
    (claim["spec"], claim["status"]) = (json!({"volumeName": "pv"}), json!({"phase": "Bound"}));
    vec![
        thing("v1", "ServiceAccount", Some("shop"), "worker"),
        thing(rbac, "ClusterRole", None, "role"),
        thing("v1", "PersistentVolume", None, "pv"),
        binding,
        claim,
    ]
}

struct Case {
    live: Vec<Value>,
    held: Vec<Value>,
    spec: Value,
    change: fn(&mut Backup),
}

fn case(live: Vec<Value>, held: Vec<Value>) -> Case {
    Case { live, held, spec: json!({}), change: |_| {} }
}

impl Case {
    fn spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }

    fn but(mut self, change: fn(&mut Backup)) -> Self {
        self.change = change;
        self
    }

    /// What is said, as `mismatch kind name: reason`.
    fn says(&self) -> Vec<String> {
        let shop = || thing("v1", "Namespace", None, "shop");
        let world = World::new().runs([vec![shop()], self.live.clone()].concat());
        // The effective spec, as Velero writes it back.
        let mut spec = json!({"includedNamespaces": ["*"], "excludedClusterScopedResources": ["volumesnapshotcontents.snapshot.storage.k8s.io"],
            "excludedNamespaceScopedResources": ["volumesnapshots.snapshot.storage.k8s.io"]});
        if self.spec.get("includeClusterResources").is_some() || self.spec.get("excludedResources").is_some() {
            spec = json!({"includedNamespaces": ["*"]});
        }
        spec.as_object_mut().expect("a mapping").extend(self.spec.as_object().expect("a mapping").clone());
        let snapshot = Snapshot::new("nightly", "01:00").scope(Scope::of_backup(&spec, true)).holding([vec![shop()], self.held.clone()].concat());
        let snapshot = snapshot.with(|b| {
            if let BackupContent::Read(archive) = &mut b.content {
                Arc::make_mut(archive).newest_version = Some(100);
            }
            (self.change)(b);
        });
        let world = world.backup(snapshot);
        let backup = &world.backed_up.backups[0];
        let Some(subject) = Subject::of(backup) else { return vec!["nothing is known".into()] };
        let view = View::of(&world.live, "velero");
        let (agreement, rows) = compare(&subject, &view, &world.live, "velero").expect("bodies are read");
        let Some(agreement) = agreement else { return vec!["nothing is said".into()] };
        assert_eq!(agreement.predicted, agreement.held + agreement.missing, "{agreement:?}");
        assert_eq!(Some(rows.len() as u64), agreement.unexpected.map(|n| n + agreement.missing));
        rows.iter().map(|r| format!("{} {} {}: {}", r.mismatch.name(), r.id.gk.kind, r.id.name, r.reason)).collect()
    }
}

fn error(b: &mut Backup, resource: &str, name: Option<&str>) {
    let entry = Entry { namespace: None, resource: Some(resource.into()), name: name.map(Into::into), message: "timed out".into() };
    b.errors = 1;
    b.side = Arc::new(SideFiles { results: Side::Read(Results { errors: vec![entry], ..Results::default() }), ..SideFiles::default() });
}

#[test]
fn what_a_backup_lacks_is_told_with_its_likely_reason() {
    let keep = json!({"keep": "yes"});
    let selects = json!({"labelSelector": {"matchLabels": {"keep": "yes"}}});
    let widget = |name: &str| thing("a.example.com/v1", "Widget", Some("shop"), name);
    let defined = |clock: &str| {
        let mut crd = made(thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, "widgets.a.example.com"), clock);
        crd["metadata"]["resourceVersion"] = "9".into();
        crd
    };
    let both = || vec![map("a"), map("b")];
    let rows: Vec<(&str, Case, &[&str])> = vec![
        ("all of it", case(both(), both()), &[]),
        ("one is not there", case(both(), vec![map("a")]), &["missing_from_backup ConfigMap b: unknown"]),
        ("it was made since", case(vec![map("a"), made(map("b"), "01:30")], vec![map("a")]), &[]),
        ("it was made in the same second", case(vec![map("a"), made(map("b"), "01:00")], vec![map("a")]), &[]),
        (
            "velero failed on it",
            case(both(), vec![map("a")]).but(|b| {
                b.missing.push(crate::witness::MissingObject {
                    resource: Some("configmaps".into()),
                    namespace: Some("shop".into()),
                    name: "b".into(),
                    held: Some(false),
                    message: "no".into(),
                });
            }),
            &["missing_from_backup ConfigMap b: failed"],
        ),
        (
            "a hook failed",
            case(both(), vec![map("a")]).but(|b| {
                let message = "error executing Hook".into();
                b.missing.push(crate::witness::MissingObject { resource: None, namespace: None, name: "b".into(), held: None, message });
            }),
            &["missing_from_backup ConfigMap b: hook_failed"],
        ),
        (
            "its kind could not be listed",
            case(both(), vec![map("a")]).but(|b| error(b, "configmaps", None)),
            &["missing_from_backup ConfigMap b: list_failed"],
        ),
        ("errors that nobody read", case(both(), vec![map("a")]).but(|b| b.errors = 2), &["missing_from_backup ConfigMap b: errors_unread"]),
        (
            "written since, without a selector",
            case(
                vec![map("a"), {
                    let mut value = written(map("b"), "01:30", json!({}));
                    value["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:data": {}});
                    value
                }],
                vec![map("a")],
            ),
            &["missing_from_backup ConfigMap b: changed_since"],
        ),
        ("the label that left it out was taken off since", case(vec![map("a"), written(map("b"), "01:30", json!({}))], vec![map("a")]), &[]),
        ("labelled since", case(vec![written(map("b"), "01:30", keep.clone())], vec![]).spec(selects.clone()), &[]),
        (
            "labelled before, and written since",
            case(
                vec![{
                    let mut value = written(map("b"), "00:20", keep.clone());
                    value["metadata"]["resourceVersion"] = "500".into();
                    value
                }],
                vec![],
            )
            .spec(selects.clone()),
            &["missing_from_backup ConfigMap b: changed_since"],
        ),
        (
            "labelled before",
            case(vec![labelled(map("b"), keep.clone())], vec![]).spec(selects.clone()),
            &["missing_from_backup ConfigMap b: unknown"],
        ),
        ("labelled otherwise", case(vec![labelled(map("b"), json!({}))], vec![]).spec(selects), &[]),
        ("what rides along is there", case(beside(), beside()), &[]),
        (
            "its volume is not there",
            case(beside(), beside().into_iter().filter(|v| v["kind"] != "PersistentVolume").collect()),
            &["missing_from_backup PersistentVolume pv: unknown"],
        ),
        (
            "the account that leads to a role was made since",
            case(
                beside().into_iter().map(|v| if v["kind"] == "ServiceAccount" { made(v, "01:30") } else { v }).collect(),
                beside().into_iter().filter(|v| !v["kind"].as_str().expect("a kind").contains("Role") && v["kind"] != "ServiceAccount").collect(),
            ),
            &[],
        ),
        (
            "the binding that leads to a role was written since",
            case(
                beside().into_iter().map(|v| if v["kind"] == "ClusterRoleBinding" { written(v, "01:30", json!({})) } else { v }).collect(),
                beside().into_iter().filter(|v| !v["kind"].as_str().expect("a kind").contains("Role")).collect(),
            ),
            &[],
        ),
        ("its kind is young", case(vec![widget("w"), defined("00:58")], vec![]), &["missing_from_backup Widget w: kind_unknown_then"]),
        ("its kind is old", case(vec![widget("w"), defined("00:30")], vec![]), &["missing_from_backup Widget w: unknown"]),
        (
            "an entry that cannot be read",
            case(both(), vec![map("a")]).but(|b| {
                if let BackupContent::Read(archive) = &mut b.content {
                    Arc::make_mut(archive).unreadable.insert("resources/configmaps/namespaces/shop/b.json".into());
                }
            }),
            &[],
        ),
        (
            "clocks disagree",
            case(both(), vec![map("a")]).but(|b| b.remarks.push(crate::witness::Remark::new("clock_skew", "no"))),
            &["nothing is said"],
        ),
        ("another cluster's", case(both(), vec![]).but(|b| b.state = BackupState::Foreign), &["nothing is known"]),
        (
            "what it holds is not known",
            case(both(), vec![]).but(|b| b.content = BackupContent::Unread(Failure::new("content_unread", "no"))),
            &["nothing is known"],
        ),
        (
            "an event under its other group",
            case(vec![thing("v1", "Event", Some("shop"), "e")], vec![thing("events.k8s.io/v1", "Event", Some("shop"), "e")]),
            &[],
        ),
    ];
    for (about, case, want) in rows {
        let mut said = case.says();
        // Of a new kind the definition itself was made since too.
        said.retain(|s| !s.contains("CustomResourceDefinition"));
        assert_eq!(said, want, "{about}");
    }
}

#[test]
fn what_a_backup_holds_beyond_its_spec_is_told_whatever_became_of_the_cluster() {
    let class = || thing("storage.k8s.io/v1", "StorageClass", None, "fast");
    let elsewhere = || thing("v1", "ConfigMap", Some("pay"), "p");
    let shop = json!({"includedNamespaces": ["shop"]});
    let rows: Vec<(&str, Case, &[&str])> = vec![
        ("a class that nothing leads to", case(vec![class()], vec![class()]), &["unexpected_in_backup StorageClass fast: plugin"]),
        ("the same where cluster scope is taken", case(vec![class()], vec![class()]).spec(json!({"includeClusterResources": true})), &[]),
        (
            "a data upload of its own",
            case(vec![], vec![thing("velero.io/v2alpha1", "DataUpload", Some("velero"), "nightly-x2x")]).spec(shop.clone()),
            &[],
        ),
        ("another namespace's", case(vec![elsewhere()], vec![elsewhere()]).spec(shop.clone()), &["unexpected_in_backup ConfigMap p: plugin"]),
        (
            "a kind that is left out",
            case(vec![map("a")], vec![map("a")]).spec(json!({"excludedResources": ["configmaps"]})),
            &["unexpected_in_backup ConfigMap a: plugin"],
        ),
        ("what led to it was deleted since", case(vec![], beside()).spec(shop.clone()), &[]),
        (
            "what led to it is not in the archive either",
            case(vec![], beside().into_iter().filter(|v| v["kind"] != "PersistentVolumeClaim").collect()).spec(shop),
            &["unexpected_in_backup PersistentVolume pv: plugin"],
        ),
        (
            "what led to it may be what it failed on",
            case(vec![], vec![thing("v1", "PersistentVolume", None, "pv")]).but(|b| b.state = BackupState::Degraded),
            &[],
        ),
        (
            "its labels were changed since",
            case(vec![map("a")], vec![labelled(map("a"), json!({"keep": "yes"}))]).spec(json!({"labelSelector": {"matchLabels": {"keep": "yes"}}})),
            &[],
        ),
        (
            "it was never labelled",
            case(vec![], vec![map("a")]).spec(json!({"labelSelector": {"matchLabels": {"keep": "yes"}}})),
            &["unexpected_in_backup ConfigMap a: plugin"],
        ),
    ];
    for (about, mut case, want) in rows {
        // A kind that the cluster does not serve cannot be judged.
        case.live.extend(case.held.iter().map(|v| {
            let mut other = v.clone();
            (other["metadata"]["name"], other["metadata"]["creationTimestamp"]) = ("later".into(), "2026-03-02T02:00:00Z".into());
            other["metadata"]["labels"] = json!({});
            other
        }));
        assert_eq!(case.says(), want, "{about}");
    }
}

#[test]
fn a_look_at_the_cluster_that_is_older_than_the_backup_says_nothing_of_it() {
    let world = World::new().runs(vec![map("a")]).cluster_as_of(Some(at("00:30")));
    let world = world.backup(Snapshot::new("nightly", "01:00"));
    let view = View::of(&world.live, "velero");
    let subject = Subject::of(&world.backed_up.backups[0]).expect("known");
    let plan = Plan::of(&subject.backup().scope, &view);
    assert_eq!(missing(&subject, &view, &plan, &world.live), None);
}
