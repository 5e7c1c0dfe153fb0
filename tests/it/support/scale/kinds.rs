//! The kinds of a full cluster: most objects are Deployments, ConfigMaps and Secrets, the rest is a little of everything. pure

use serde_json::{Value, json};

use crate::support::manifests::{NAMESPACES, config_map, deployment, metadata, namespace, pod_template, secret};

/// Kinds that are defined by CustomResourceDefinitions.
pub const CUSTOM: usize = 24;

/// The group of the custom kinds.
pub const GROUP: &str = "fleet.example.com";

/// Some objects of one kind.
pub struct Many {
    /// Group and version, plural: what a URL needs.
    pub api_version: String,
    pub plural: String,
    pub namespaced: bool,
    /// Whether Git declares them.
    pub declared: bool,
    pub objects: Vec<Value>,
}

fn many(plural: &str, declared: bool, count: usize, make: impl Fn(usize) -> Value) -> Many {
    let objects: Vec<Value> = (0..count).map(make).collect();
    let first = objects.first().expect("at least one of each kind");
    let (api_version, namespaced) = (first["apiVersion"].as_str().expect("text").to_owned(), first["metadata"]["namespace"].is_string());
    Many { api_version, plural: plural.to_owned(), namespaced, declared, objects }
}

fn namespaced(api: &str, kind: &str, n: usize, rest: Value) -> Value {
    with(json!({"apiVersion": api, "kind": kind, "metadata": metadata(&format!("{}-{n}", kind.to_lowercase()), n)}), rest)
}

fn global(api: &str, kind: &str, n: usize, rest: Value) -> Value {
    let labels = json!({"team": "platform"});
    with(json!({"apiVersion": api, "kind": kind, "metadata": {"name": format!("{}-{n}", kind.to_lowercase()), "labels": labels}}), rest)
}

fn with(mut object: Value, rest: Value) -> Value {
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}

fn owned(mut object: Value, api: &str, kind: &str, n: usize) -> Value {
    let (name, uid) = (format!("{}-{n}", kind.to_lowercase()), format!("00000000-0000-4000-8000-{n:012}"));
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true}]);
    object
}

/// The definition of a custom kind.
fn definition(c: usize) -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer", "default": 3},
            "mode": {"type": "string", "enum": ["fast", "slow"]},
            "endpoints": {"type": "array", "items": {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": "integer"}}}},
            "settings": {"type": "object", "additionalProperties": {"type": "string"}}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("thing{c}s.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"kind": format!("Thing{c}"), "plural": format!("thing{c}s"), "singular": format!("thing{c}")},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}]}})
}

fn custom(c: usize, n: usize) -> Value {
    let endpoints: Vec<Value> = (0..6).map(|i| json!({"host": format!("host-{i}.{n}.example.com"), "port": 8000 + i})).collect();
    let settings: serde_json::Map<_, _> = (0..12).map(|i| (format!("setting-{i}"), format!("value {i} of {n}").into())).collect();
    namespaced(&format!("{GROUP}/v1"), &format!("Thing{c}"), n, json!({"spec": {"mode": "fast", "endpoints": endpoints, "settings": settings}}))
}

/// What must be there before the rest: namespaces and definitions.
pub fn first() -> Vec<Many> {
    let space = |n: usize| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n), "labels": {"team": "shop"}}});
    vec![many("namespaces", false, NAMESPACES, space), many("customresourcedefinitions", false, CUSTOM, definition)]
}

fn rules() -> Value {
    json!([{"apiGroups": [""], "resources": ["configmaps", "services"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "update", "patch"]}])
}

fn role_of(kind: &str, n: usize) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": format!("{}-{n}", kind.to_lowercase())})
}

fn webhook(kind: &str, n: usize) -> Value {
    // The rules name a group that nobody serves, so that nothing is ever sent there.
    let rules = json!([{"apiGroups": ["nothing.example.com"], "apiVersions": ["v1"], "resources": ["things"], "operations": ["CREATE"]}]);
    let client = json!({"service": {"name": "hooks", "namespace": "default", "path": "/"}});
    let hook = json!({"name": format!("hook-{n}.example.com"), "clientConfig": client, "rules": rules, "failurePolicy": "Ignore",
        "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    global("admissionregistration.k8s.io/v1", kind, n, json!({"webhooks": [hook]}))
}

fn workloads(share: &dyn Fn(usize) -> usize) -> Vec<Many> {
    let selector = |kind: &str, n: usize| json!({"matchLabels": {"app.kubernetes.io/name": format!("{kind}-{n}")}});
    let template = |kind: &str, n: usize| pod_template(&format!("{kind}-{n}"), 1);
    let job = |n: usize| {
        let mut template = template("job", n);
        template["spec"]["restartPolicy"] = "Never".into();
        json!({"template": template})
    };
    let pod = |n: usize| namespaced("v1", "Pod", n, json!({"spec": pod_template("replicaset", 1)["spec"]}));
    vec![
        many("statefulsets", true, share(100), |n| {
            namespaced(
                "apps/v1",
                "StatefulSet",
                n,
                json!({"spec": {"serviceName": "x", "replicas": 2, "selector": selector("statefulset", n), "template": template("statefulset", n)}}),
            )
        }),
        many("daemonsets", true, share(20), |n| {
            namespaced("apps/v1", "DaemonSet", n, json!({"spec": {"selector": selector("daemonset", n), "template": template("daemonset", n)}}))
        }),
        many("cronjobs", true, share(60), |n| {
            namespaced("batch/v1", "CronJob", n, json!({"spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job(n)}}}))
        }),
        many("jobs", false, share(60), |n| owned(namespaced("batch/v1", "Job", n, json!({"spec": job(n)})), "batch/v1", "CronJob", n)),
        many("replicasets", false, share(100), |n| {
            let spec = json!({"replicas": 3, "selector": selector("replicaset", n), "template": template("replicaset", n)});
            owned(namespaced("apps/v1", "ReplicaSet", n, json!({"spec": spec})), "apps/v1", "Deployment", n)
        }),
        many("pods", false, share(100), |n| owned(pod(n), "apps/v1", "ReplicaSet", n)),
        many("controllerrevisions", false, share(20), |n| {
            owned(
                namespaced("apps/v1", "ControllerRevision", n, json!({"revision": 1, "data": {"spec": template("statefulset", n)}})),
                "apps/v1",
                "StatefulSet",
                n,
            )
        }),
        many("replicationcontrollers", true, share(10), |n| {
            let name = format!("replicationcontroller-{n}");
            namespaced(
                "v1",
                "ReplicationController",
                n,
                json!({"spec": {"replicas": 1, "selector": {"app.kubernetes.io/name": name}, "template": pod_template(&name, 1)}}),
            )
        }),
        many("podtemplates", true, share(10), |n| namespaced("v1", "PodTemplate", n, json!({"template": template("podtemplate", n)}))),
    ]
}

fn in_namespaces(share: &dyn Fn(usize) -> usize) -> Vec<Many> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let scaled = |n: usize| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("deployment-{n}")});
    vec![
        many("services", true, share(500), |n| {
            let selector = json!({"app.kubernetes.io/name": format!("deployment-{n}")});
            namespaced(
                "v1",
                "Service",
                n,
                json!({"spec": {"clusterIP": "None", "selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
            )
        }),
        many("endpointslices", false, share(100), |n| {
            let rest = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}], "ports": [{"name": "http", "port": 80}]});
            owned(namespaced("discovery.k8s.io/v1", "EndpointSlice", n, rest), "v1", "Service", n)
        }),
        many("serviceaccounts", true, share(300), |n| namespaced("v1", "ServiceAccount", n, json!({"automountServiceAccountToken": false}))),
        many("ingresses", true, share(150), |n| {
            let backend = json!({"service": {"name": format!("service-{n}"), "port": {"name": "http"}}});
            let rule = json!({"host": format!("{n}.example.com"), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
            namespaced("networking.k8s.io/v1", "Ingress", n, json!({"spec": {"rules": [rule]}}))
        }),
        many("networkpolicies", true, share(100), |n| {
            namespaced(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                n,
                json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8080}]}]}}),
            )
        }),
        many("poddisruptionbudgets", true, share(100), |n| {
            namespaced(
                "policy/v1",
                "PodDisruptionBudget",
                n,
                json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": format!("{n}")}}}}),
            )
        }),
        many("horizontalpodautoscalers", true, share(60), |n| {
            // None of the Deployments that Git declares, so that no replicas are excused.
            let target = scaled(n + 1_000_000);
            namespaced(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                n,
                json!({"spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}),
            )
        }),
        many("roles", true, share(60), |n| namespaced(rbac, "Role", n, json!({"rules": rules()}))),
        many("rolebindings", true, share(60), |n| {
            namespaced(
                rbac,
                "RoleBinding",
                n,
                json!({"roleRef": role_of("Role", n), "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace(n)}]}),
            )
        }),
        many("persistentvolumeclaims", true, share(60), |n| {
            namespaced(
                "v1",
                "PersistentVolumeClaim",
                n,
                json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}}),
            )
        }),
        many("resourcequotas", true, share(50), |n| {
            namespaced("v1", "ResourceQuota", n, json!({"spec": {"hard": {"count/things.nothing.example.com": "9"}}}))
        }),
        many("limitranges", true, share(50), |n| {
            namespaced("v1", "LimitRange", n, json!({"spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "9Ti"}}]}}))
        }),
        many("leases", false, share(10), |n| {
            namespaced("coordination.k8s.io/v1", "Lease", n, json!({"spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}}))
        }),
    ]
}

fn global_ones(share: &dyn Fn(usize) -> usize) -> Vec<Many> {
    let (rbac, storage, admission) = ("rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "admissionregistration.k8s.io/v1");
    vec![
        many("clusterroles", false, share(30), |n| global(rbac, "ClusterRole", n, json!({"rules": rules()}))),
        many("clusterrolebindings", false, share(30), |n| {
            let subject = json!({"kind": "ServiceAccount", "name": "default", "namespace": namespace(n)});
            global(rbac, "ClusterRoleBinding", n, json!({"roleRef": role_of("ClusterRole", n), "subjects": [subject]}))
        }),
        many("persistentvolumes", false, share(30), |n| {
            global(
                "v1",
                "PersistentVolume",
                n,
                json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}}),
            )
        }),
        many("nodes", false, share(10), |n| global("v1", "Node", n, json!({"spec": {"podCIDR": format!("10.2.{n}.0/24")}}))),
        many("storageclasses", false, share(5), |n| global(storage, "StorageClass", n, json!({"provisioner": "disks.example.com"}))),
        many("csidrivers", false, share(3), |n| global(storage, "CSIDriver", n, json!({"spec": {"attachRequired": false}}))),
        many("priorityclasses", false, share(10), |n| global("scheduling.k8s.io/v1", "PriorityClass", n, json!({"value": 10 + n}))),
        many("ingressclasses", false, share(3), |n| {
            global("networking.k8s.io/v1", "IngressClass", n, json!({"spec": {"controller": "example.com/ingress"}}))
        }),
        many("runtimeclasses", false, share(3), |n| global("node.k8s.io/v1", "RuntimeClass", n, json!({"handler": "runc"}))),
        many("validatingwebhookconfigurations", false, share(3), |n| webhook("ValidatingWebhookConfiguration", n)),
        many("mutatingwebhookconfigurations", false, share(3), |n| webhook("MutatingWebhookConfiguration", n)),
        many("validatingadmissionpolicies", false, share(3), |n| {
            let resources = json!([{"apiGroups": ["nothing.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}]);
            let spec = json!({"matchConstraints": {"resourceRules": resources}, "validations": [{"expression": "true"}]});
            global(admission, "ValidatingAdmissionPolicy", n, json!({"spec": spec}))
        }),
    ]
}

/// Everything else of a cluster of `total` objects. `tag` tells the state at the tip of Git: 2 everywhere, but 1 in what Git left as it was.
pub fn rest(total: usize, tag: &dyn Fn(usize) -> usize) -> Vec<Many> {
    let share = |of_ten_thousand: usize| (of_ten_thousand * total / 10_000).max(1);
    let mut all = workloads(&share);
    all.extend(in_namespaces(&share));
    all.extend(global_ones(&share));
    all.extend((0..CUSTOM).map(|c| many(&format!("thing{c}s"), true, share(40), |n| custom(c, n))));
    all.push(many("deployments", true, share(3_000), |n| deployment(n, tag(n))));
    all.push(many("secrets", true, share(1_500), |n| secret(n, 1)));
    let so_far: usize = all.iter().chain(&first()).map(|m| m.objects.len()).sum();
    all.push(many("configmaps", true, total.saturating_sub(so_far).max(1), |n| config_map(n, 1)));
    all
}
