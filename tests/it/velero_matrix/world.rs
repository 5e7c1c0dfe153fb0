//! The cluster of the matrix: some 400 objects in 12 namespaces, made so that every rule of Velero's selection has something to decide on.

use serde_json::{Value, json};

use crate::support::control_plane::ControlPlane;

/// Namespace and its labels.
const NAMESPACES: [(&str, &[(&str, &str)]); 12] = [
    ("shop", &[("team", "a"), ("tier", "web")]),
    ("shop-test", &[("team", "a")]),
    ("pay", &[("team", "b"), ("tier", "db")]),
    ("pay-test", &[("team", "b")]),
    ("team-a", &[("team", "a")]),
    ("team-b", &[("team", "b")]),
    ("scratch", &[("velero.io/exclude-from-backup", "true")]),
    ("leaving", &[]),
    ("empty", &[("team", "c")]),
    ("platform", &[("layer", "platform")]),
    ("monitoring", &[("layer", "platform"), ("app", "cart")]),
    ("x1", &[]),
];

fn object(api: &str, kind: &str, namespace: &str, name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<String, Value> = labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let mut metadata = json!({"name": name, "labels": labels});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": api, "kind": kind, "metadata": metadata})
}

fn with(mut base: Value, members: Value) -> Value {
    for (key, value) in members.as_object().expect("a mapping") {
        base[key] = value.clone();
    }
    base
}

fn definition(group: &str, kind: &str, plural: &str, singular: &str, shorts: &[&str], namespaced: bool) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    with(
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", &format!("{plural}.{group}"), &[]),
        json!({"spec": {
            "group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "plural": plural, "singular": singular, "shortNames": shorts},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        }}),
    )
}

fn definitions() -> Vec<Value> {
    vec![
        definition("a.example.com", "Widget", "widgets", "widget", &["wg"], true),
        definition("b.example.com", "Widget", "widgets", "wdg", &["wb"], true),
        definition("a.example.com", "Plan", "plans", "plan", &[], false),
        definition("a.example.com", "Unused", "unuseds", "unused", &[], true),
        definition("c.example.com", "Pod", "pods", "pod", &[], true),
    ]
}

/// What lies in an ordinary namespace.
fn ordinary(namespace: &str, n: usize) -> Vec<Value> {
    let app = ["cart", "pay", "web"][n % 3];
    let mine: &[(&str, &str)] = &[("app", app), ("tier", if n.is_multiple_of(2) { "web" } else { "db" })];
    let mut out = vec![object("v1", "ServiceAccount", namespace, "default", &[]), object("v1", "ServiceAccount", namespace, "worker", mine)];
    for i in 0..6 {
        let labels: &[(&str, &str)] = match i {
            0 => mine,
            1 => &[("app", "cart")],
            2 => &[("app", "pay"), ("tier", "web")],
            3 => &[("velero.io/exclude-from-backup", "true"), ("app", "cart")],
            4 => &[("velero.io/exclude-from-backup", "false")],
            _ => &[],
        };
        out.push(with(object("v1", "ConfigMap", namespace, &format!("settings-{i}"), labels), json!({"data": {"n": format!("{i}")}})));
    }
    out.push(with(object("v1", "Secret", namespace, "token", mine), json!({"stringData": {"k": "v"}})));
    out.push(with(object("v1", "Secret", namespace, "plain", &[]), json!({"stringData": {"k": "v"}})));
    out.push(with(object("v1", "Service", namespace, app, mine), json!({"spec": {"ports": [{"port": 80}], "selector": {"app": app}}})));
    let template = json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]}});
    let spec = json!({"selector": {"matchLabels": {"app": app}}, "template": template});
    out.push(with(object("apps/v1", "Deployment", namespace, app, mine), json!({"spec": spec})));
    let mut set = with(object("apps/v1", "ReplicaSet", namespace, &format!("{app}-1"), mine), json!({"spec": spec}));
    set["metadata"]["ownerReferences"] = owner("apps/v1", "Deployment", app);
    out.push(set);
    out.push(with(object("networking.k8s.io/v1", "NetworkPolicy", namespace, "deny", &[]), json!({"spec": {"podSelector": {}}})));
    out.push(with(
        object("networking.k8s.io/v1", "Ingress", namespace, app, mine),
        json!({"spec": {"defaultBackend": {"service": {"name": app, "port": {"number": 80}}}}}),
    ));
    out.push(with(object("rbac.authorization.k8s.io/v1", "Role", namespace, "reader", &[]), json!({"rules": []})));
    out.push(with(object("coordination.k8s.io/v1", "Lease", namespace, "leader", &[]), json!({"spec": {}})));
    out.push(with(
        object("policy/v1", "PodDisruptionBudget", namespace, app, mine),
        json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}}),
    ));
    out.push(object("a.example.com/v1", "Widget", namespace, "one", if n.is_multiple_of(2) { mine } else { &[] }));
    if n.is_multiple_of(3) {
        out.push(object("b.example.com/v1", "Widget", namespace, "one", &[]));
        out.push(object("c.example.com/v1", "Pod", namespace, "odd", &[("app", "cart")]));
    }
    out.push(with(
        object("v1", "Event", namespace, "hello", &[]),
        json!({"involvedObject": {"kind": "Pod", "namespace": namespace, "name": "p"}, "reason": "Hello"}),
    ));
    out
}

fn owner(api: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api, "kind": kind, "name": name, "uid": "11111111-2222-3333-4444-555555555555", "controller": true}])
}

/// A claim, and its volume if it is bound.
fn claim(namespace: &str, name: &str, labels: &[(&str, &str)], bound: bool) -> Vec<Value> {
    let volume = format!("pv-{namespace}-{name}");
    let mut spec = json!({"accessModes": ["ReadWriteMany"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}});
    let mut out = Vec::new();
    if bound {
        spec["volumeName"] = json!(volume);
        out.push(with(
            object("v1", "PersistentVolume", "", &volume, &[]),
            json!({"spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "fast", "hostPath": {"path": "/tmp/x"},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
            }}),
        ));
    }
    out.push(with(object("v1", "PersistentVolumeClaim", namespace, name, labels), json!({"spec": spec})));
    out
}

struct Mount<'a> {
    claims: &'a [&'a str],
    class: Option<&'a str>,
    node: bool,
    owned: bool,
}

fn pod(namespace: &str, name: &str, labels: &[(&str, &str)], mount: &Mount<'_>) -> Value {
    let volumes: Vec<Value> = mount.claims.iter().map(|c| json!({"name": c, "persistentVolumeClaim": {"claimName": c}})).collect();
    let mut spec = json!({"containers": [{"name": "c", "image": "example.com/c:1"}], "volumes": volumes});
    if let Some(class) = mount.class {
        spec["priorityClassName"] = json!(class);
    }
    if mount.node {
        spec["nodeName"] = json!("node-1");
    }
    let mut pod = with(object("v1", "Pod", namespace, name, labels), json!({"spec": spec}));
    if mount.owned {
        pod["metadata"]["ownerReferences"] = owner("apps/v1", "ReplicaSet", "cart-1");
    }
    pod
}

fn cluster_scoped() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut out = vec![
        with(object("storage.k8s.io/v1", "StorageClass", "", "fast", &[("app", "cart")]), json!({"provisioner": "example.com/none"})),
        with(object("storage.k8s.io/v1", "StorageClass", "", "slow", &[]), json!({"provisioner": "example.com/none"})),
        with(object("scheduling.k8s.io/v1", "PriorityClass", "", "high", &[]), json!({"value": 1000})),
        with(object("scheduling.k8s.io/v1", "PriorityClass", "", "low", &[]), json!({"value": 10})),
        with(object("scheduling.k8s.io/v1", "PriorityClass", "", "unused", &[("app", "pay")]), json!({"value": 1})),
        with(object("networking.k8s.io/v1", "IngressClass", "", "edge", &[]), json!({"spec": {"controller": "example.com/edge"}})),
        object("v1", "Node", "", "node-1", &[]),
        object("a.example.com/v1", "Plan", "", "p1", &[("app", "cart")]),
        object("a.example.com/v1", "Plan", "", "p2", &[("velero.io/exclude-from-backup", "true")]),
    ];
    for name in ["worker", "excluded", "unbound", "group"] {
        let labels: &[(&str, &str)] = if name == "excluded" { &[("velero.io/exclude-from-backup", "true")] } else { &[] };
        out.push(with(object(rbac, "ClusterRole", "", &format!("own-{name}"), labels), json!({"rules": []})));
    }
    let bind = |name: &str, role: &str, subjects: Value| {
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
        with(object(rbac, "ClusterRoleBinding", "", name, &[]), json!({"roleRef": reference, "subjects": subjects}))
    };
    let account = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name});
    out.push(bind("own-shop", "own-worker", json!([account("shop", "worker"), account("shop", "worker"), account("pay", "worker")])));
    out.push(bind("own-excluded", "own-excluded", json!([account("team-a", "default")])));
    out.push(bind("own-missing", "not-there", json!([account("team-b", "worker")])));
    out.push(bind("own-nobody", "own-unbound", json!([account("shop", "not-there")])));
    out.push(bind(
        "own-group",
        "own-group",
        json!([{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:shop"}]),
    ));
    out
}

fn volumes() -> Vec<Value> {
    let running = |claims, class, owned| Mount { claims, class, node: true, owned };
    let mut out = Vec::new();
    out.extend(claim("shop", "data", &[("app", "cart")], true));
    out.extend(claim("shop", "shared", &[], true));
    out.extend(claim("shop", "pending", &[("app", "cart")], false));
    out.extend(claim("pay", "ledger", &[("velero.io/volume-group", "g1"), ("app", "pay")], true));
    out.extend(claim("pay", "journal", &[("velero.io/volume-group", "g1")], true));
    out.extend(claim("pay", "alone", &[("velero.io/volume-group", "g2")], true));
    out.extend(claim("team-a", "hidden", &[("velero.io/exclude-from-backup", "true")], true));
    out.extend(claim("team-b", "idle", &[("grouping", "k")], true));
    out.extend(claim("team-b", "idler", &[("grouping", "k")], true));
    out.push(pod("shop", "cart-a", &[("app", "cart")], &running(&["data"], Some("high"), true)));
    out.push(pod("shop", "cart-b", &[], &running(&["data", "shared"], Some("low"), true)));
    out.push(pod("shop", "reader", &[("app", "reader")], &running(&["shared"], None, false)));
    out.push(pod("shop", "waiting", &[], &Mount { claims: &["data"], class: None, node: false, owned: false }));
    out.push(pod("shop", "done", &[("app", "done")], &running(&["shared", "not-there"], None, false)));
    out.push(pod("pay", "teller", &[("app", "pay")], &running(&["ledger"], Some("low"), false)));
    out.push(pod("pay", "clerk", &[], &running(&["journal"], None, true)));
    out.push(pod("team-a", "user", &[("app", "cart")], &running(&["hidden"], Some("high"), false)));
    out.push(pod("team-b", "sleeper", &[("velero.io/exclude-from-backup", "true")], &running(&["idle"], Some("low"), false)));
    out.push(pod("team-b", "going", &[], &running(&["idle"], None, false)));
    out
}

/// Makes everything in a cluster that runs no controllers, so that nothing moves afterwards.
pub fn make(plane: &ControlPlane) {
    let list = |items: Vec<Value>| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    plane.kubectl_with(&["create"], &list(definitions()));
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    plane.kubectl_with(&["create"], &list(NAMESPACES.iter().map(|(name, labels)| object("v1", "Namespace", "", name, labels)).collect()));
    let mut items = cluster_scoped();
    for (n, (name, _)) in NAMESPACES.iter().enumerate().filter(|(_, (name, _))| *name != "empty") {
        items.extend(ordinary(name, n));
    }
    items.extend(volumes());
    let mut leaving = object("v1", "ConfigMap", "shop", "leaving", &[("app", "cart")]);
    leaving["metadata"]["finalizers"] = json!(["example.com/hold"]);
    items.push(leaving);
    let mut going = object("a.example.com/v1", "Widget", "team-b", "going", &[("app", "cart")]);
    going["metadata"]["finalizers"] = json!(["example.com/hold"]);
    items.push(going);
    plane.kubectl_with(&["create"], &list(items));
    let status = |kind: &str, namespace: &str, name: &str, phase: &str| {
        let patch = json!({"status": {"phase": phase}}).to_string();
        let mut args = vec!["patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch];
        if !namespace.is_empty() {
            args.extend(["-n", namespace]);
        }
        plane.kubectl(&args);
    };
    for (namespace, name) in [
        ("shop", "data"),
        ("shop", "shared"),
        ("pay", "ledger"),
        ("pay", "journal"),
        ("pay", "alone"),
        ("team-a", "hidden"),
        ("team-b", "idle"),
        ("team-b", "idler"),
    ] {
        status("pvc", namespace, name, "Bound");
    }
    for (namespace, name) in [
        ("shop", "cart-a"),
        ("shop", "cart-b"),
        ("shop", "reader"),
        ("pay", "teller"),
        ("pay", "clerk"),
        ("team-a", "user"),
        ("team-b", "sleeper"),
        ("team-b", "going"),
    ] {
        status("pod", namespace, name, "Running");
    }
    status("pod", "shop", "done", "Succeeded");
    plane.kubectl(&["delete", "configmap", "leaving", "-n", "shop", "--wait=false"]);
    plane.kubectl(&["delete", "widgets.a.example.com", "going", "-n", "team-b", "--wait=false"]);
    plane.kubectl(&["delete", "pod", "going", "-n", "team-b", "--wait=false", "--grace-period=3600"]);
    plane.kubectl(&["delete", "namespace", "leaving", "--wait=false"]);
}
