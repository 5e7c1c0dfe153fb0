//! Selection over small worlds, one rule at a time. The whole is held against a real Velero by `tests/it/velero_matrix.rs`. pure

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::{
    object::{Redactor, admit, builtin::builtin},
    velero::coverage::{Asked, coverage, table},
    witness::{Archive, KindState, Listing, Live},
};

fn live(objects: &[Value]) -> Live {
    let mut live = Live { discovered: true, ..Live::default() };
    for value in objects {
        let object = admit(value.clone(), &Redactor::new([0; 32])).expect("an object");
        let gk = &object.id.gk;
        let known = builtin(&gk.group, &gk.kind);
        let plural = known.map_or_else(|| format!("{}s", gk.kind.to_lowercase()), |b| b.plural.to_owned());
        let namespaced = object.id.namespace.is_some();
        let state =
            KindState { plural: plural.into(), version: "v1".into(), versions: Vec::new(), namespaced, listing: Listing::Complete, told: None };
        live.kinds.insert(gk.clone(), state);
        live.objects.insert(object.id.clone(), Arc::new(object));
    }
    live
}

fn thing(api: &str, kind: &str, namespace: Option<&str>, name: &str, labels: Value) -> Value {
    let mut value = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = json!(namespace);
    }
    value
}

fn world() -> Live {
    let none = || json!({});
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut binding = thing(rbac, "ClusterRoleBinding", None, "b", none());
    binding["roleRef"] = json!({"name": "bound"});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "shop", "name": "worker"}]);
    let mut claim = thing("v1", "PersistentVolumeClaim", Some("shop"), "data", json!({"keep": "yes"}));
    (claim["spec"], claim["status"]) = (json!({"volumeName": "pv"}), json!({"phase": "Bound"}));
    let mut pod = thing("v1", "Pod", Some("shop"), "p", none());
    pod["spec"] = json!({"nodeName": "n", "priorityClassName": "high", "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]});
    pod["status"] = json!({"phase": "Running"});
    let mut definition = thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, "widgets.a.example.com", none());
    definition["spec"] = json!({});
    live(&[
        thing("v1", "Namespace", None, "shop", none()),
        thing("v1", "Namespace", None, "idle", none()),
        thing("v1", "Namespace", None, "scratch", json!({"velero.io/exclude-from-backup": "true"})),
        thing("v1", "ConfigMap", Some("scratch"), "c", none()),
        thing("v1", "ConfigMap", Some("idle"), "c", none()),
        thing("v1", "ServiceAccount", Some("shop"), "worker", none()),
        thing(rbac, "ClusterRole", None, "bound", none()),
        thing(rbac, "ClusterRole", None, "loose", none()),
        thing("storage.k8s.io/v1", "StorageClass", None, "fast", none()),
        thing("scheduling.k8s.io/v1", "PriorityClass", None, "high", none()),
        thing("v1", "PersistentVolume", None, "pv", none()),
        thing("a.example.com/v1", "Widget", Some("shop"), "w", none()),
        thing("a.example.com/v1", "Widget", Some("shop"), "gone", json!({"velero.io/exclude-from-backup": "true"})),
        binding,
        claim,
        pod,
        definition,
    ])
}

fn reasons(spec: &Value) -> BTreeMap<String, &'static str> {
    let live = world();
    let view = View::of(&live, "velero");
    let plan = Plan::of(&Scope::of_backup(spec, false), &view);
    plan.decisions().map(|(id, d)| (id.to_string(), plan.why(id, d).reason)).collect()
}

#[test]
fn a_backup_without_filters_takes_of_cluster_scope_only_what_something_leads_to() {
    let said = reasons(&json!({}));
    for (object, reason) in [
        ("ConfigMap idle/c", "listed"),
        ("ConfigMap scratch/c", "excluded_namespace"),
        ("Namespace shop", "listed"),
        ("Namespace scratch", "excluded_label"),
        ("ClusterRole.rbac.authorization.k8s.io bound", "beside"),
        ("ClusterRole.rbac.authorization.k8s.io loose", "cluster_scope"),
        ("StorageClass.storage.k8s.io fast", "cluster_scope"),
        ("PriorityClass.scheduling.k8s.io high", "beside"),
        ("PersistentVolume pv", "beside"),
        ("CustomResourceDefinition.apiextensions.k8s.io widgets.a.example.com", "beside"),
        ("Widget.a.example.com shop/gone", "excluded_label"),
    ] {
        assert_eq!(said[object], reason, "{object}");
    }
    let healed = reasons(&json!({"includedClusterScopedResources": ["*"]}));
    assert!(!healed.values().any(|r| *r == "cluster_scope"));
}

#[test]
fn a_claim_that_is_selected_drags_its_pod_and_what_that_leads_to_along() {
    let said = reasons(&json!({"labelSelector": {"matchLabels": {"keep": "yes"}}}));
    for (object, reason) in [
        ("PersistentVolumeClaim shop/data", "listed"),
        ("Pod shop/p", "beside"),
        ("PriorityClass.scheduling.k8s.io high", "beside"),
        // A namespace that is labelled to be left out makes the namespaces no longer "everything", so all others go along by name.
        ("Namespace shop", "listed"),
        ("Namespace idle", "listed"),
        ("ServiceAccount shop/worker", "label_selector"),
        ("ClusterRole.rbac.authorization.k8s.io bound", "cluster_scope"),
        ("CustomResourceDefinition.apiextensions.k8s.io widgets.a.example.com", "cluster_scope"),
    ] {
        assert_eq!(said[object], reason, "{object}");
    }
}

#[test]
fn filters_that_the_cluster_makes_wrong_are_refused() {
    let named = reasons(&json!({"includedNamespaces": ["scratch"]}));
    assert!(named.values().all(|r| *r == "refused"), "a namespace that is named and labelled to be left out");
    let policy = reasons(&json!({"resourcePolicy": {"kind": "configmap", "name": "gone"}}));
    assert!(policy.values().all(|r| *r == "refused"), "a policy that is not there");
}

#[test]
fn what_was_not_read_makes_unsure_what_it_could_lead_to() {
    let mut live = world();
    for state in live.kinds.values_mut().filter(|s| &*s.plural == "serviceaccounts" || &*s.plural == "pods") {
        state.listing = Listing::Failed(crate::witness::Failure::new("forbidden", "no"));
    }
    let view = View::of(&live, "velero");
    let plan = Plan::of(&Scope::of_backup(&json!({"labelSelector": {"matchLabels": {"keep": "yes"}}}), false), &view);
    let why = |text: &str| plan.decisions().find(|(id, _)| id.to_string() == text).map(|(id, d)| plan.why(id, d).reason);
    assert_eq!(why("ClusterRole.rbac.authorization.k8s.io loose"), Some("kinds_unread"));
    assert_eq!(why("StorageClass.storage.k8s.io fast"), Some("cluster_scope"));
}

#[test]
fn coverage_names_the_trap_and_the_line_that_heals_it() {
    let live = world();
    let view = View::of(&live, "velero");
    let scope = Scope::of_template(&json!({}), &[]);
    let asked = [Asked { name: "schedule nightly".into(), scope: &scope, idle: None, next_due: None, newest: None }];
    let report = coverage(&asked, &view, &live, "velero", jiff::Timestamp::UNIX_EPOCH);
    assert_eq!((report.objects, report.taken + report.left + report.unsure), (live.objects.len() as u64, report.objects));
    assert!(report.plans[0].unfiltered_trap && report.rows.iter().all(|r| r.says.len() == 1));
    let text = table(&report, false);
    assert!(text.contains("It names no filter, and yet leaves out 2 cluster-scoped objects"), "{text}");
    assert!(text.contains("heals it: includedClusterScopedResources: [\"*\"]"), "{text}");
    assert!(table(&report, true).contains("StorageClass.storage.k8s.io fast\n  schedule nightly leaves (cluster_scope)"));
}

#[test]
fn labels_and_references_beyond_those_of_any_cluster_are_not_gathered() {
    let rbac = "rbac.authorization.k8s.io/v1";
    let binding = |subjects: usize| {
        let mut binding = thing(rbac, "ClusterRoleBinding", None, "bound", json!({}));
        binding["subjects"] = (0..subjects).map(|n| json!({"kind": "ServiceAccount", "namespace": "n", "name": n.to_string()})).collect();
        binding
    };
    let pod = |claims: usize| {
        let mut pod = thing("v1", "Pod", Some("n"), "p", json!({}));
        pod["spec"]["volumes"] = (0..claims).map(|n| json!({"name": "v", "persistentVolumeClaim": {"claimName": n.to_string()}})).collect();
        pod
    };
    let maps = |length: usize| (0..10).map(|n| thing("v1", "ConfigMap", Some("n"), &n.to_string(), json!({"keep": "x".repeat(length)}))).collect();
    let tiny = |labels: usize| {
        let labels: serde_json::Map<String, Value> = (0..labels).map(|n| (format!("l{n}"), json!(""))).collect();
        vec![thing("v1", "ConfigMap", Some("n"), "m", labels.into())]
    };
    for (what, objects, labels, whole) in [
        ("some accounts", vec![binding(100)], false, true),
        ("a crowd of accounts", vec![binding(1_000)], false, false),
        ("some claims", vec![pod(100)], false, true),
        ("a crowd of claims", vec![pod(1_000)], false, false),
        ("long labels that nobody asks for", maps(20_000), false, true),
        ("labels of some length", maps(5_000), true, true),
        ("long labels", maps(20_000), true, false),
        ("a crowd of empty labels", tiny(2_000), true, false),
    ] {
        let live = live(&objects);
        let archive = Archive { objects: live.objects.iter().map(|(_, o)| o.clone()).collect(), ..Archive::default() };
        let moment = Moment { start: "2026-03-02T01:00:00Z".parse().expect("a time"), newest_version: None };
        let view = View::captured(&archive, moment, &live, "velero", labels, 100_000);
        assert_eq!(view.map(|v| v.ids().count()).map_err(|e| e.kind()), if whole { Ok(objects.len()) } else { Err("body_unread") }, "{what}");
    }
}
