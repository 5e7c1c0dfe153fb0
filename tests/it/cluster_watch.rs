//! Following a real cluster: what changes is seen, what is forbidden is named, what is defined anew is taken up.

use std::time::Duration;

use snapgap::{
    cluster::{Connection, Inventory, Limits},
    config,
    object::ObjectId,
    witness::Live,
};

use crate::{
    cluster_read::{everything, listing, redactor, settings},
    support::control_plane::ControlPlane,
};

/// Periods short enough for tests; the rules are those of the real ones.
pub fn limits() -> Limits {
    Limits {
        refused: (Duration::from_secs(2), Duration::from_secs(5)),
        retry: (Duration::from_millis(200), Duration::from_secs(2)),
        ..Limits::default()
    }
}

pub async fn follow(settings: &config::Cluster, limits: Limits) -> Inventory {
    let connection = Connection::connect(settings).await.expect("a connection");
    Inventory::start(connection, settings, redactor(), limits)
}

/// Waits until a published view has something, by the signal that consumers wait for.
pub async fn until(inventory: &Inventory, what: &str, has: impl Fn(&Live) -> bool) -> std::sync::Arc<Live> {
    let mut views = inventory.subscribe();
    let found = tokio::time::timeout(Duration::from_secs(90), views.wait_for(|live| has(live))).await;
    match found {
        Ok(Ok(live)) => live.clone(),
        Ok(Err(_)) => panic!("{what}: the inventory ended"),
        Err(_) => panic!("{what}: not within 90 s; {:?}; {:?}", inventory.stats(), inventory.first().await.failure),
    }
}

fn content(live: &Live, id: &ObjectId) -> String {
    live.objects.get(id).map(|o| o.content.json()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applied_edited_scaled_and_deleted_objects_are_seen() {
    let plane = ControlPlane::shared();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: watched}}");
    let inventory = follow(&settings(plane.admin()), limits()).await;
    let first = inventory.first().await;
    assert_eq!(first.failure, None);
    assert_eq!(listing(&first, "", "ConfigMap"), "complete");

    let (map, secret) = (ObjectId::new("", "ConfigMap", Some("watched"), "m"), ObjectId::new("", "Secret", Some("watched"), "s"));
    plane.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: watched}, data: {k: one}}");
    until(&inventory, "server-side apply", |l| content(l, &map).contains("one")).await;
    plane.kubectl_with(&["apply"], "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: watched}, stringData: {k: canary-in-a-watch}}");
    let live = until(&inventory, "client-side apply", |l| content(l, &secret).contains("hidden:")).await;
    assert!(!everything(&live).contains("canary-in-a-watch"));
    plane.kubectl(&["patch", "configmap", "m", "-n", "watched", "--type=merge", "-p", "{\"data\":{\"k\":\"two\"}}"]);
    until(&inventory, "an edit", |l| content(l, &map).contains("two")).await;

    let deployment = ObjectId::new("apps", "Deployment", Some("watched"), "d");
    plane.kubectl(&["create", "deployment", "d", "-n", "watched", "--image=example.com/d:1", "--replicas=0"]);
    until(&inventory, "a Deployment", |l| content(l, &deployment).contains("\"replicas\":0")).await;
    plane.kubectl(&["scale", "deployment", "d", "-n", "watched", "--replicas=1"]);
    let live = until(&inventory, "scaling, and what the controllers make of it", |l| {
        let made = |kind: &str| l.objects.values().any(|o| o.id.namespace.as_deref() == Some("watched") && &*o.id.gk.kind == kind);
        content(l, &deployment).contains("\"replicas\":1") && made("ReplicaSet") && made("Pod")
    })
    .await;
    let set = live.objects.values().find(|o| o.id.namespace.as_deref() == Some("watched") && &*o.id.gk.kind == "ReplicaSet").expect("made");
    assert!(
        set.meta.partial && &*set.meta.owners[0].name == "d" && !set.content.json().contains("example.com/d:1"),
        "only metadata of what is derived"
    );

    plane.kubectl(&["delete", "configmap", "m", "-n", "watched"]);
    until(&inventory, "a delete", |l| !l.objects.contains_key(&map)).await;
    let age = inventory.as_of().expect("read").duration_until(jiff::Timestamp::now());
    assert!(age.as_secs() < 5, "{age:?}");
}

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.watch.example.com}\nspec:\n  \
    group: watch.example.com\n  scope: Namespaced\n  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}\n  versions:\n  \
    - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_kind_is_taken_up_and_a_removed_one_is_dropped_without_restart() {
    let plane = ControlPlane::shared();
    let inventory = follow(&settings(plane.admin()), limits()).await;
    assert_eq!(listing(&*inventory.first().await, "watch.example.com", "Widget"), "not served");
    plane.apply(DEFINITION);
    plane.kubectl(&["wait", "--for=condition=Established", "crd/widgets.watch.example.com", "--timeout=60s"]);
    until(&inventory, "the new kind", |l| listing(l, "watch.example.com", "Widget") == "complete").await;
    plane.apply("{apiVersion: watch.example.com/v1, kind: Widget, metadata: {name: w, namespace: default}, spec: {size: 3}}");
    let widget = ObjectId::new("watch.example.com", "Widget", Some("default"), "w");
    until(&inventory, "an object of it", |l| content(l, &widget).contains("\"size\":3")).await;
    plane.kubectl(&["delete", "crd", "widgets.watch.example.com"]);
    let live = until(&inventory, "its end", |l| listing(l, "watch.example.com", "Widget") == "not served").await;
    assert!(!live.objects.contains_key(&widget) && live.broken_groups.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_kind_fails_alone_names_its_permission_and_heals_when_it_is_granted() {
    let plane = ControlPlane::shared();
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: maps-only}\nrules:\n\
        - {apiGroups: [''], resources: [configmaps, namespaces], verbs: [get, list, watch]}\n\
        - {apiGroups: [''], resources: [services], verbs: [list]}\n\
        - {apiGroups: [rbac.authorization.k8s.io], resources: ['*'], verbs: [get, list, watch]}\n";
    plane.apply(role);
    plane.kubectl(&["create", "clusterrolebinding", "maps-only", "--clusterrole=maps-only", "--user=maps-only"]);
    let slow = Limits { refused: (Duration::from_secs(600), Duration::from_secs(600)), ..limits() };
    let inventory = follow(&settings(plane.user("maps-only", &[])), slow).await;
    let first = inventory.first().await;
    assert_eq!(listing(&first, "", "ConfigMap"), "complete");
    let deployments = listing(&first, "apps", "Deployment");
    assert!(deployments.starts_with("failed: forbidden: may not list deployments in API group apps"), "{deployments}");
    assert_eq!(first.failure, None, "one kind's failure is not the cluster's");
    let services = |l: &Live| listing(l, "", "Service").starts_with("failed: forbidden: may not watch services in the core API group");
    until(&inventory, "a kind that may be listed and not watched", services).await;

    plane.apply(&format!("{role}- {{apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}}\n"));
    until(&inventory, "the grant", |l| listing(l, "apps", "Deployment") == "complete").await;
    assert!(listing(&*inventory.first().await, "apps", "StatefulSet").starts_with("failed: forbidden"));
}
