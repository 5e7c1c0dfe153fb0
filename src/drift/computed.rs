//! Defaults that depend on what stands beside them. pure
//!
//! Each arm names the Go function it repeats (Kubernetes 1.36, `pkg/apis/*/v1/defaults.go` unless said otherwise).

use serde_json::Value;

use crate::object::Gvk;

/// Whether `value`, seen only on the observed side at `path`, is what the server fills in by looking at its neighbours.
///
/// `trail` holds the observed containers from the root down to the one that `value` is in.
pub fn is_default(gvk: &Gvk, path: &[&str], trail: &[&Value], value: &Value) -> bool {
    let (Some(last), Some(parent), Some(root)) = (path.last(), trail.last(), trail.first()) else { return false };
    let beside = |key: &str| parent.get(key);
    let kind = &*gvk.gk.kind;
    match (*last, path) {
        // SetDefaults_Container
        ("imagePullPolicy", _) => beside("image").and_then(Value::as_str).is_some_and(|image| *value == pull_policy(image)),
        // SetDefaults_Volume
        ("pullPolicy", _) => beside("reference").and_then(Value::as_str).is_some_and(|image| *value == pull_policy(image)),
        // Convert_core_PodSpec_To_v1_PodSpec: the deprecated name is always filled with the other's value.
        ("serviceAccount", _) => beside("serviceAccountName") == Some(value),
        // SetDefaults_Service
        ("targetPort", ["spec", "ports", "*", _]) => kind == "Service" && beside("port") == Some(value),
        // defaultHostNetworkPorts
        ("hostPort", [.., "ports", "*", _]) => {
            let pod = trail.len().checked_sub(5).and_then(|n| trail.get(n));
            beside("containerPort") == Some(value) && pod.and_then(|p| p.get("hostNetwork")) == Some(&Value::Bool(true))
        }
        // SetDefaults_Pod; deployments and the like keep their template as it is.
        (resource, [.., "resources", "requests", _]) if kind == "Pod" => {
            trail.len().checked_sub(2).and_then(|n| trail.get(n)).and_then(|r| r.get("limits")).and_then(|l| l.get(resource)) == Some(value)
        }
        // SetDefaults_Job, SetDefaults_ReplicationController
        (label, ["metadata", "labels", _]) if matches!(kind, "Job" | "ReplicationController") => {
            root.pointer("/spec/template/metadata/labels").and_then(|l| l.get(label)) == Some(value)
        }
        ("backoffLimit", ["spec", _] | [.., "jobTemplate", "spec", _]) => beside("backoffLimitPerIndex").is_some() && *value == i64::from(i32::MAX),
        ("podReplacementPolicy", _) => beside("podFailurePolicy").is_some() && value == "Failed",
        // SetDefaults_NetworkPolicy
        ("policyTypes", ["spec", _]) if kind == "NetworkPolicy" => {
            let egress = beside("egress").and_then(Value::as_array).is_some_and(|e| !e.is_empty());
            let wanted: &[&str] = if egress { &["Ingress", "Egress"] } else { &["Ingress"] };
            value.as_array().is_some_and(|have| have.len() == wanted.len() && have.iter().zip(wanted).all(|(h, w)| h == w))
        }
        // SetDefaults_Subject
        ("apiGroup", ["subjects", "*", _]) => {
            matches!(beside("kind").and_then(Value::as_str), Some("User" | "Group")) && value == "rbac.authorization.k8s.io"
        }
        // SetDefaults_CustomResourceDefinitionSpec (apiextensions-apiserver)
        ("listKind", ["spec", "names", _]) => {
            matches!((beside("kind"), value), (Some(Value::String(k)), Value::String(v)) if *v == format!("{k}List"))
        }
        ("singular", ["spec", "names", _]) => matches!((beside("kind"), value), (Some(Value::String(k)), Value::String(v)) if *v == k.to_lowercase()),
        _ => false,
    }
}

/// `Always` for `latest` and for images without tag and digest, else `IfNotPresent` (`pkg/util/parsers` ParseImageName: a digest alone
/// leaves the tag empty).
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match (tag, digest) {
        (Some("latest"), _) | (None, false) => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry.example.com:5000/nginx", "Always"),
            ("registry.example.com:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "Always"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_value_that_its_neighbours_do_not_explain_is_no_default() {
        let pod = Gvk::parse("v1", "Pod");
        let container = json!({"image": "nginx:1", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}]});
        let spec = json!({"hostNetwork": true, "containers": [container]});
        let root = json!({"spec": spec});
        let port = json!({"containerPort": 80});
        let ask = |path: &str, trail: &[&Value], value: Value| is_default(&pod, &path.split('/').collect::<Vec<_>>(), trail, &value);
        assert!(ask("spec/containers/*/imagePullPolicy", &[&root, &spec, &container], json!("IfNotPresent")));
        assert!(!ask("spec/containers/*/imagePullPolicy", &[&root, &spec, &container], json!("Never")));
        assert!(!ask("spec/containers/*/imagePullPolicy", &[], json!("Always")));
        let list = &spec["containers"];
        let path = "spec/containers/*/ports/*/hostPort";
        assert!(ask(path, &[&root, &spec, list, &container, &container["ports"], &port], json!(80)));
        assert!(!ask(path, &[&root, &spec, list, &container, &container["ports"], &port], json!(8080)));
        let requests = json!({"cpu": "1"});
        let path = "spec/containers/*/resources/requests/cpu";
        assert!(ask(path, &[&root, &spec, &container, &container["resources"], &requests], json!("1")));
        assert!(!ask(path, &[&root, &spec, &container, &container["resources"], &requests], json!("2")));
    }
}
