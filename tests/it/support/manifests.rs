//! Manifests of ordinary size, as many as asked for: what a team writes into Git, and what a server makes of it. pure

use serde_json::{Value, json};

/// How many namespaces, and so apps, the objects are spread over.
pub const NAMESPACES: usize = 50;

/// The namespace of the object with this number.
pub fn namespace(n: usize) -> String {
    format!("team-{:02}", n % NAMESPACES)
}

fn labels(name: &str) -> Value {
    json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "fleet", "app.kubernetes.io/managed-by": "argocd", "team": "shop"})
}

/// Metadata of a namespaced object.
pub fn metadata(name: &str, n: usize) -> Value {
    json!({"name": name, "namespace": namespace(n), "labels": labels(name)})
}

/// A pod of two containers with environment, probes, resources and a volume: some 3 KB.
pub fn pod_template(name: &str, tag: usize) -> Value {
    let container = |c: &str, settings: usize| {
        // Names of their own, so that no two objects have the same managedFields.
        let prefix = name.to_uppercase().replace('-', "_");
        let env: Vec<Value> = (0..settings)
            .map(|i| match i % 6 {
                5 => json!({"name": format!("{prefix}_SECRET_{i}"), "valueFrom": {"secretKeyRef": {"name": format!("{name}-keys"), "key": format!("key-{i}")}}}),
                _ => json!({"name": format!("{prefix}_{i}"), "value": format!("value {i} of {name}")}),
            })
            .collect();
        let probe = |path: &str, period: u32| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": 3});
        json!({"name": c, "image": format!("registry.example.com/fleet/{c}:1.{tag}.0"), "env": env,
            "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "livenessProbe": probe("/livez", 10), "readinessProbe": probe("/readyz", 5),
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"}]})
    };
    json!({"metadata": {"labels": {"app.kubernetes.io/name": name}, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {"serviceAccountName": "default", "containers": [container("app", 14), container("proxy", 6)],
            "volumes": [{"name": "settings", "configMap": {"name": format!("{name}-settings")}}]}})
}

/// A Deployment of ordinary size.
pub fn deployment(n: usize, tag: usize) -> Value {
    let name = format!("deployment-{n}");
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&name, n),
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app.kubernetes.io/name": name}}, "template": pod_template(&name, tag)}})
}

/// A ConfigMap of 1 to 4 KB.
pub fn config_map(n: usize, tag: usize) -> Value {
    let name = format!("configmap-{n}");
    let line = |k: usize, i: usize| format!("option.{i} = value {i} of key {k} of {name}, revision {tag}\n");
    let data: serde_json::Map<_, _> =
        (0..3 + n % 4).map(|k| (format!("file-{k}.properties"), (0..6).map(|i| line(k, i)).collect::<String>().into())).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&name, n), "data": data})
}

/// A Secret of some 1 KB.
pub fn secret(n: usize, tag: usize) -> Value {
    let name = format!("secret-{n}");
    let data: serde_json::Map<_, _> = (0..6).map(|k| (format!("key-{k}"), format!("{tag} {name} {k} ").repeat(6).into())).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(&name, n), "type": "Opaque", "stringData": data})
}
