//! Objects as wholes: left behind, moved to another group or version, going with their namespace, operated by hand. pure

use std::sync::Arc;

use serde_json::{Value, json};

use super::cart;
use crate::{
    object::ObjectId,
    report::model::{Drift, ObjectReport, Recovery},
    verdict::world::{Snapshot, World},
    witness::{Diagnostic, Told},
};

fn lists(mut world: World, group: &str, kind: &str, name: &str, status: Value) -> World {
    world.live.controllers.insert(ObjectId::new(group, kind, Some("ops"), name), Arc::new(json!({"status": status})));
    world
}

fn said(object: ObjectReport) -> (Drift, Option<String>, String) {
    (object.drift, object.app.map(|a| a.to_string()), object.why)
}

#[test]
fn what_a_deployers_list_still_names_was_removed_from_git() {
    let world = || World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3), World::config_map("shop", "old", "1")]);
    let inventory = |ids: &[&str]| json!({"inventory": {"entries": ids.iter().map(|id| json!({"id": id, "v": "v1"})).collect::<Vec<_>>()}});
    let both = inventory(&["shop_cart_apps_Deployment", "shop_old__ConfigMap"]);
    for (group, kind, status) in [
        ("kustomize.toolkit.fluxcd.io", "Kustomization", both.clone()),
        ("helm.toolkit.fluxcd.io", "HelmRelease", both.clone()),
        (
            "argoproj.io",
            "Application",
            json!({"resources": [{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "cart"}, {"kind": "ConfigMap", "namespace": "shop", "name": "old"}]}),
        ),
    ] {
        // The list's name says nothing: that it also holds what the app declares makes it the app's.
        let (drift, app, why) = said(lists(world(), group, kind, "fleet", status).verdict("ConfigMap", "old"));
        assert_eq!((drift, app.as_deref()), (Drift::Removed, Some("shop")), "{kind}: {why}");
        assert!(why.contains(&format!("{kind} ops/fleet still lists it, and app shop declares it no more: prune it")), "{why}");
    }
    let flux = "kustomize.toolkit.fluxcd.io";
    assert_eq!(said(lists(world(), flux, "Kustomization", "fleet", inventory(&[])).verdict("ConfigMap", "old")).0, Drift::Unmanaged);
    let stranger = lists(world(), flux, "Kustomization", "infra", inventory(&["shop_old__ConfigMap"])).verdict("ConfigMap", "old");
    assert_eq!((stranger.drift, &*stranger.unknown[0].reason), (Drift::Unknown, "app_unread"), "no app here reads what that one deploys");
    // By a list of its own name an app is known although nothing that it declares runs.
    let named = World::new().declares("shop", vec![]).runs(vec![World::config_map("shop", "old", "1")]);
    assert_eq!(said(lists(named, flux, "Kustomization", "shop", both).verdict("ConfigMap", "old")).0, Drift::Removed);
}

#[test]
fn members_of_a_set_belong_to_whoever_declares_its_parent_or_another_member() {
    // The parent is the Secret `shop-set` in `shop`; its id is the hash of that.
    let set = "applyset-eCbpJu342DTReriK-mK0uVKQKWA9wT4R3Kx5t1e6pws-v1";
    let member = |mut v: Value| {
        v["metadata"]["labels"] = json!({"applyset.kubernetes.io/part-of": set});
        v
    };
    let old = member(World::config_map("shop", "old", "1"));
    let parent = |kind: &str, name: &str| json!({"apiVersion":"v1","kind":kind,"metadata":{"name":name,"namespace":"shop"}});
    let another = World::new().declares("shop", vec![cart(3)]).runs(vec![member(cart(3)), old.clone()]);
    assert_eq!(said(another.verdict("ConfigMap", "old")).0, Drift::Removed, "another member is declared");
    let declared = World::new().declares("shop", vec![parent("Secret", "shop-set")]).runs(vec![parent("Secret", "shop-set"), old.clone()]);
    assert_eq!(said(declared.verdict("ConfigMap", "old")).0, Drift::Removed, "the parent is declared");
    let stranger = World::new().declares("shop", vec![parent("Secret", "other")]).runs(vec![parent("Secret", "other"), old.clone()]);
    assert_eq!(said(stranger.verdict("ConfigMap", "old")).0, Drift::Unmanaged, "nothing says whose it is");
    let undeclared = World::new().declares("shop", vec![]).runs(vec![parent("Secret", "shop-set"), old]);
    assert_eq!(said(undeclared.verdict("ConfigMap", "old")).0, Drift::Unmanaged, "the parent is nobody's");
}

fn ingress(api: &str, backend: Value) -> Value {
    let path = json!({"path": "/", "pathType": "ImplementationSpecific", "backend": backend});
    json!({"apiVersion": api, "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]}})
}

#[test]
fn a_kind_that_moved_to_another_group_is_one_object_and_is_compared() {
    let old = |port: u32| {
        let mut v = ingress("extensions/v1beta1", json!({"serviceName": "web", "servicePort": port}));
        v["spec"]["rules"][0]["http"]["paths"][0].as_object_mut().expect("a path").remove("pathType");
        v
    };
    let new = ingress("networking.k8s.io/v1", json!({"service": {"name": "web", "port": {"number": 80}}}));
    for (port, drift) in [(80, Drift::InSync), (81, Drift::Changed)] {
        let world = World::new().declares("shop", vec![old(port)]).runs(vec![new.clone()]);
        let all = world.judge().objects;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].drift, all[0].unknown.len()), (drift, 0), "{}", all[0].why);
        assert_eq!(all[0].id.gk.group.as_ref(), "networking.k8s.io");
        // A backup of the time when the group was another holds it too.
        let backed_up = World::new().declares("shop", vec![new.clone()]).backup(Snapshot::new("n", "01:00").holding(vec![old(port)]));
        let recovery = if port == 80 { Recovery::Either } else { Recovery::Split };
        assert_eq!(backed_up.verdict("Ingress", "web").recovery, recovery);
    }
    // The server says what it serves, and that is not what Git names.
    let mut world = World::new().declares("shop", vec![old(80)]).runs(vec![new]);
    world.live.kinds.values_mut().for_each(|k| k.told = Some(Told::default()));
    let notes = world.judge().notes;
    let note = notes.iter().find(|n| &*n.reason == "version_not_served").expect("a note");
    assert!(note.message.contains("extensions/v1beta1") && note.message.contains("declare them as networking.k8s.io/v1"), "{}", note.message);
}

#[test]
fn versions_whose_difference_is_known_are_compared_and_others_are_not() {
    let cpu =
        |percent: u32| json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]);
    let hpa = |api: &str, spec: Value, managers: Value| {
        let mut spec = spec;
        spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"});
        spec["minReplicas"] = json!(2);
        spec["maxReplicas"] = json!(6);
        json!({"apiVersion": api, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "cart", "namespace": "shop", "managedFields": managers}, "spec": spec})
    };
    let git = || hpa("autoscaling/v1", json!({"targetCPUUtilizationPercentage": 70}), Value::Null);
    let none = || json!([]);
    let by = |manager: &str, api: &str, field: &str| json!([{"manager": manager, "operation": "Apply", "apiVersion": api, "fieldsV1": {"f:spec": {field: {}}}}]);
    for (what, git, live, drift, class) in [
        ("the same", git(), hpa("autoscaling/v2", json!({"metrics": cpu(70)}), none()), Drift::InSync, None),
        ("another target", git(), hpa("autoscaling/v2", json!({"metrics": cpu(80)}), none()), Drift::Changed, Some("changed")),
        (
            "the other way",
            hpa("autoscaling/v2", json!({"metrics": cpu(70)}), none()),
            hpa("autoscaling/v1", json!({"targetCPUUtilizationPercentage": 70}), none()),
            Drift::InSync,
            None,
        ),
        (
            "dropped in Git, applied in version 1",
            hpa("autoscaling/v1", json!({}), none()),
            hpa("autoscaling/v2", json!({"metrics": cpu(70)}), by("kustomize-controller", "autoscaling/v1", "f:targetCPUUtilizationPercentage")),
            Drift::Changed,
            Some("removed"),
        ),
        (
            "added by a person in version 2",
            hpa("autoscaling/v1", json!({}), none()),
            hpa("autoscaling/v2", json!({"metrics": cpu(70)}), by("kubectl-edit", "autoscaling/v2", "f:metrics")),
            Drift::Added,
            Some("added"),
        ),
    ] {
        let said = World::new().declares("shop", vec![git]).runs(vec![live]).verdict("HorizontalPodAutoscaler", "cart");
        assert_eq!(said.drift, drift, "{what}: {} {:?}", said.why, said.fields);
        assert_eq!(said.fields.first().and_then(|f| f.class).map(|c| c.name()), class, "{what}");
    }
    let mut odd = git();
    odd["metadata"]["annotations"] = json!({"autoscaling.alpha.kubernetes.io/behavior": "{}"});
    let said = World::new().declares("shop", vec![odd]).runs(vec![hpa("autoscaling/v2", json!({"metrics": cpu(70)}), none())]);
    let said = said.verdict("HorizontalPodAutoscaler", "cart");
    assert_eq!((said.drift, &*said.unknown[0].reason), (Drift::Unknown, "version_differs"));
}

#[test]
fn in_a_namespace_that_is_being_deleted_nothing_is_to_be_synced() {
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "status": {"phase": "Terminating"}});
    namespace["metadata"]["deletionTimestamp"] = json!("2026-03-02T11:59:00Z");
    let declared = || World::new().declares("shop", vec![cart(3), World::config_map("shop", "gone", "1")]);
    let world = declared().runs(vec![namespace, cart(2)]);
    for (kind, name, drift, why) in [
        ("ConfigMap", "gone", Drift::Missing, "its namespace is being deleted, so it cannot be made there before that is gone"),
        ("Deployment", "cart", Drift::Changed, "its namespace is being deleted"),
    ] {
        let said = world.verdict(kind, name);
        assert!(said.terminating && said.drift == drift && said.why.contains(why), "{said:?}");
        assert!(!said.why.contains("sync it") || drift == Drift::Changed, "{}", said.why);
    }
    let report = world.judge();
    let note = report.notes.iter().find(|n| &*n.reason == "namespace_terminating").expect("a note");
    assert!(note.message.contains("namespace shop is being deleted, and 2 objects"), "{}", note.message);
    let groups = crate::report::groups::of(&report, false);
    let drift = groups.iter().find(|g| g.title == "DRIFT").expect("drift");
    assert_eq!((drift.count, drift.rows.len(), drift.rows[0].what.as_str()), (2, 1, "2 objects"), "one row for the namespace");
    let healthy = declared().runs(vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}), cart(2)]);
    let said = healthy.verdict("ConfigMap", "gone");
    assert!(!said.terminating && said.why.contains("sync it"), "{}", said.why);
}

#[test]
fn what_drifts_only_by_hand_and_for_now_is_marked_and_stands_apart() {
    let restarted = |more: Value| {
        let mut v = cart(3);
        let key = "kubectl.kubernetes.io/restartedAt";
        v["spec"]["template"]["metadata"] = json!({"annotations": {key: "2026-03-02T10:00:00Z"}});
        let mut fields = json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {format!("f:{key}"): {}}}}}});
        if !more.is_null() {
            v["metadata"]["labels"] = more;
            fields["f:metadata"] = json!({"f:labels": {"f:by": {}}});
        }
        v["metadata"]["managedFields"] =
            json!([{"manager": "kubectl-rollout", "operation": "Update", "time": "2026-03-02T10:00:00Z", "fieldsV1": fields}]);
        v
    };
    let scaled = super::replicas_by(5, "kubectl-scale", "10:00");
    for (what, live, drift, operational) in [
        ("a restart", restarted(Value::Null), Drift::Added, true),
        ("replicas by hand", scaled, Drift::Changed, true),
        ("a restart and a label", restarted(json!({"by": "hand"})), Drift::Added, false),
        ("nothing", cart(3), Drift::InSync, false),
    ] {
        let world = World::new().declares("shop", vec![cart(3)]).runs(vec![live]);
        let said = world.verdict("Deployment", "cart");
        assert_eq!((said.drift, said.operational), (drift, operational), "{what}: {}", said.why);
        assert_eq!(said.why.contains("by hand for now"), operational, "{what}: {}", said.why);
        let report = world.judge();
        assert_eq!(report.summary.operational, u64::from(operational), "{what}");
        let titles: Vec<&str> =
            crate::report::groups::of(&report, false).iter().map(|g| g.title).filter(|t| ["DRIFT", "BY HAND"].contains(t)).collect();
        let want: &[&str] = if operational {
            &["BY HAND"]
        } else if drift.is_drift() {
            &["DRIFT"]
        } else {
            &[]
        };
        assert_eq!(titles, want, "{what}");
    }
}

#[test]
fn a_manifest_without_a_name_is_told() {
    let mut world = World::new().declares("shop", vec![cart(3)]);
    let state = world.declared.apps.values_mut().next().expect("the app");
    let mut rendered = (**state.rendered.as_ref().expect("rendered")).clone();
    rendered.diagnostics.push(Diagnostic {
        file: "apps/shop/job.yaml".into(),
        line: Some(7),
        reason: "generate_name".into(),
        message: "left out".into(),
    });
    state.rendered = Some(Arc::new(rendered));
    let notes = world.judge().notes;
    let note = notes.iter().find(|n| &*n.reason == "generate_name").expect("a note");
    assert!(note.message.contains("apps/shop/job.yaml:7") && note.message.contains("no identity"), "{}", note.message);
}
