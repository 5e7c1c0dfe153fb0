//! What controllers and deployers put there. pure

use super::cart;
use serde_json::{Value, json};

use crate::report::model::{Drift, Recovery};
use crate::verdict::world::{Snapshot, World};

fn owned(api: &str, kind: &str, name: &str, owner: (&str, &str, &str)) -> Value {
    json!({"apiVersion":api,"kind":kind,"metadata":{"name":name,"namespace":"shop",
        "ownerReferences":[{"apiVersion":owner.0,"kind":owner.1,"name":owner.2,"uid":"u","controller":true}]}})
}

fn pods_of_cart() -> Vec<Value> {
    vec![
        cart(3),
        owned("apps/v1", "ReplicaSet", "cart-7", ("apps/v1", "Deployment", "cart")),
        owned("v1", "Pod", "cart-7-x", ("apps/v1", "ReplicaSet", "cart-7")),
    ]
}

#[test]
fn what_a_controller_makes_is_as_recoverable_as_its_root() {
    let pod = |world: World| {
        let said = world.verdict("Pod", "cart-7-x");
        (said.drift, said.recovery)
    };
    let from_git = World::new().declares("shop", vec![cart(3)]).runs(pods_of_cart());
    assert_eq!(pod(from_git.clone()), (Drift::Derived, Recovery::Derived));
    let from_backup = World::new().runs(pods_of_cart()).backup(Snapshot::new("n", "01:00").holding(vec![cart(2)]));
    assert_eq!(pod(from_backup), (Drift::Derived, Recovery::Derived));
    assert_eq!(pod(World::new().runs(pods_of_cart())), (Drift::Derived, Recovery::Lost));
    let unread = World::new().runs(pods_of_cart()).backup(Snapshot::new("n", "01:00").unread());
    let said = unread.verdict("Pod", "cart-7-x");
    assert_eq!((said.recovery, said.unknown.len()), (Recovery::Unknown, 1));
    assert_eq!(from_git.judge().suppressed.iter().map(|s| (&*s.rule, s.objects)).collect::<Vec<_>>(), [("owned", 2)]);
    // Pods that were replaced since the backup are the controller's business, not a resurrection.
    let replaced = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
    let replaced = replaced.backup(Snapshot::new("n", "01:00").holding(pods_of_cart()));
    assert_eq!(pod(replaced), (Drift::Gone, Recovery::Derived));
}

#[test]
fn owners_in_a_circle_bring_nothing_back() {
    let world = World::new().runs(vec![
        owned("apps/v1", "ReplicaSet", "a", ("apps/v1", "ReplicaSet", "b")),
        owned("apps/v1", "ReplicaSet", "b", ("apps/v1", "ReplicaSet", "a")),
    ]);
    assert_eq!(world.verdict("ReplicaSet", "a").recovery, Recovery::Lost);
    assert_eq!(world.verdict("ReplicaSet", "b").recovery, Recovery::Lost);
    let long = (0..200).map(|n| owned("apps/v1", "ReplicaSet", &format!("r{n}"), ("apps/v1", "ReplicaSet", &format!("r{}", n + 1)))).collect();
    assert_eq!(World::new().runs(long).judge().objects.len(), 200, "a chain that no controller would build ends somewhere");
}

#[test]
fn a_fresh_healthy_cluster_shows_nothing_but_what_would_be_lost() {
    let system = |kind: &str, namespace: Option<&str>, name: &str, api: &str| {
        let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":name}});
        if let Some(namespace) = namespace {
            v["metadata"]["namespace"] = namespace.into();
        }
        v
    };
    let mut service = system("Service", Some("shop"), "cart", "v1");
    service["spec"] = json!({"selector":{"app":"cart"}});
    let mut objects = pods_of_cart();
    objects.extend([
        service.clone(),
        system("Endpoints", Some("shop"), "cart", "v1"),
        system("Namespace", None, "default", "v1"),
        system("Namespace", None, "kube-system", "v1"),
        system("ServiceAccount", Some("shop"), "default", "v1"),
        system("ConfigMap", Some("shop"), "kube-root-ca.crt", "v1"),
        system("Service", Some("default"), "kubernetes", "v1"),
        system("Node", None, "n1", "v1"),
        system("Event", Some("shop"), "e", "v1"),
        system("Lease", Some("kube-node-lease"), "n1", "coordination.k8s.io/v1"),
        system("PriorityClass", None, "system-node-critical", "scheduling.k8s.io/v1"),
        system("PersistentVolumeClaim", Some("shop"), "data", "v1"),
    ]);
    let world = World::new().declares("shop", vec![cart(3), service]).runs(objects);
    let findings: Vec<String> = world.judge().objects.iter().filter(|o| o.is_finding()).map(|o| o.id.to_string()).collect();
    assert_eq!(findings, ["PersistentVolumeClaim shop/data"]);
}

#[test]
fn a_copied_mark_does_not_claim_what_a_controller_made() {
    let marked = |mut v: Value| {
        v["metadata"]["annotations"] = json!({"meta.helm.sh/release-name":"shop","meta.helm.sh/release-namespace":"shop"});
        v
    };
    let replica_set = marked(owned("apps/v1", "ReplicaSet", "cart-7", ("apps/v1", "Deployment", "cart")));
    let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3), replica_set, marked(World::deployment("old", 1))]);
    assert_eq!(world.verdict("ReplicaSet", "cart-7").drift, Drift::Derived);
    let old = world.verdict("Deployment", "old");
    assert_eq!((old.drift, old.app.map(|a| a.to_string())), (Drift::Removed, Some("shop".into())));
}

#[test]
fn what_a_deployer_put_there_that_nobody_reads_is_unknown_and_noted() {
    let mut stranger = World::deployment("stranger", 1);
    stranger["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/namespace":"flux-system","kustomize.toolkit.fluxcd.io/name":"infra"});
    let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3), stranger]);
    let said = world.verdict("Deployment", "stranger");
    assert_eq!((said.drift, said.recovery, &*said.unknown[0].reason), (Drift::Unknown, Recovery::Unknown, "app_unread"));
    assert!(world.judge().notes.iter().any(|n| n.message.contains("flux-system/infra")), "one note, not one a object");
}
