//! Versions of Kubernetes' own kinds whose difference is exactly known: an object of an older version as a newer one says it. pure
//!
//! Two sides in different versions are compared in the newer one. What a row does not name stays incomparable (`version_differs`).
//! Sources: Kubernetes pkg/apis/*/v*/conversion.go and zz_generated.conversion.go, of the last release that served the older version.

use serde_json::{Map, Value, json};

use crate::object::{GroupKind, Gvk, Text};

/// How the older version differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The fields are the same.
    Same,
    /// The same but for these members of `spec`, which have no field any more and did nothing.
    Without(&'static [&'static str]),
    /// autoscaling/v1: one percentage in the place of metrics.
    Percentage,
    /// Backends by `serviceName` and `servicePort`, and no path type.
    Backends,
    /// An empty selector chose nothing and now chooses everything.
    Selector,
}

/// Group, kind, older versions, the newer one, how.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str, How);

const ROWS: [Row; 20] = [
    ("autoscaling", "HorizontalPodAutoscaler", &["v1"], "v2", How::Percentage),
    ("autoscaling", "HorizontalPodAutoscaler", &["v2beta2"], "v2", How::Same),
    ("networking.k8s.io", "Ingress", &["v1beta1"], "v1", How::Backends),
    ("networking.k8s.io", "NetworkPolicy", &["v1beta1"], "v1", How::Same),
    ("networking.k8s.io", "IngressClass", &["v1beta1"], "v1", How::Same),
    ("policy", "PodDisruptionBudget", &["v1beta1"], "v1", How::Selector),
    ("batch", "CronJob", &["v1beta1"], "v1", How::Same),
    ("apps", "Deployment", &["v1beta1", "v1beta2"], "v1", How::Without(&["rollbackTo"])),
    ("apps", "DaemonSet", &["v1beta1", "v1beta2"], "v1", How::Without(&["templateGeneration"])),
    ("apps", "ReplicaSet", &["v1beta1", "v1beta2"], "v1", How::Same),
    ("apps", "StatefulSet", &["v1beta1", "v1beta2"], "v1", How::Same),
    ("rbac.authorization.k8s.io", "Role", &["v1beta1"], "v1", How::Same),
    ("rbac.authorization.k8s.io", "RoleBinding", &["v1beta1"], "v1", How::Same),
    ("rbac.authorization.k8s.io", "ClusterRole", &["v1beta1"], "v1", How::Same),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", &["v1beta1"], "v1", How::Same),
    ("scheduling.k8s.io", "PriorityClass", &["v1beta1"], "v1", How::Same),
    ("storage.k8s.io", "StorageClass", &["v1beta1"], "v1", How::Same),
    ("storage.k8s.io", "CSIDriver", &["v1beta1"], "v1", How::Same),
    ("coordination.k8s.io", "Lease", &["v1beta1"], "v1", How::Same),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", &["v1beta1", "v1beta2", "v1beta3"], "v1", How::Same),
];

/// How an older version is read as a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The newer version.
    pub to: Text,
    /// Whether it is the version that Git names which is the older.
    pub desired_is_older: bool,
    how: How,
}

/// Between the version that Git names and that of the other side, if the way is known.
pub fn bridge(wanted: &Gvk, other: &str) -> Option<Bridge> {
    let find = |older: &str, newer: &str| {
        let hit = |(group, kind, from, to, _): &&Row| wanted.gk.is(group, kind) && from.contains(&older) && *to == newer;
        ROWS.iter().find(hit).map(|(.., how)| *how)
    };
    let up = find(&wanted.version, other).map(|how| Bridge { to: other.into(), desired_is_older: true, how });
    up.or_else(|| find(other, &wanted.version).map(|how| Bridge { to: wanted.version.clone(), desired_is_older: false, how }))
}

impl Bridge {
    /// An object of the older version as the newer one says it; one that is in the newer version stays as it is. `None`: it holds
    /// something of which the newer version makes more than a row can say.
    pub fn across(&self, mut value: Value) -> Option<Value> {
        let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else { return Some(value) };
        match self.how {
            How::Same => {}
            How::Without(gone) => gone.iter().for_each(|member| drop(spec.remove(*member))),
            How::Percentage => {
                percentage(spec)?;
                // Metrics and behaviour that version 1 has no fields for are kept in annotations, in a form of their own.
                if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
                    STATUS.iter().for_each(|key| drop(annotations.remove(*key)));
                    if annotations.keys().any(|k| k.starts_with(ROUND_TRIP)) {
                        return None;
                    }
                    if annotations.is_empty()
                        && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
                    {
                        metadata.remove("annotations");
                    }
                }
            }
            How::Backends => backends(spec)?,
            How::Selector => {
                let chooses = |v: &Value| v.as_object().is_some_and(|m| !m.is_empty()) || v.as_array().is_some_and(|l| !l.is_empty());
                spec.get("selector").and_then(Value::as_object).filter(|s| s.values().any(chooses))?;
            }
        }
        Some(value)
    }

    /// The places that a writer in the older version owns, as the newer one names them: `fields` is an entry's `fieldsV1`.
    pub fn owned(&self, fields: &mut Map<String, Value>) {
        let renamed = match self.how {
            How::Percentage => [("f:targetCPUUtilizationPercentage", "f:metrics")].as_slice(),
            How::Backends => [("f:backend", "f:defaultBackend")].as_slice(),
            How::Without(_) | How::Same | How::Selector => &[],
        };
        let Some(spec) = fields.get_mut("f:spec").and_then(Value::as_object_mut) else { return };
        for (was, is) in renamed {
            if spec.remove(*was).is_some() {
                // Whole: what lies below is named otherwise.
                spec.insert((*is).to_owned(), json!({}));
            }
        }
    }
}

/// Annotations in which autoscaling/v1 keeps what it has no fields for.
const ROUND_TRIP: &str = "autoscaling.alpha.kubernetes.io/";

/// Those of them that hold status (pkg/apis/autoscaling/annotations.go): never compared, like all status.
const STATUS: [&str; 2] = ["autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics"];

fn percentage(spec: &mut Map<String, Value>) -> Option<()> {
    if let Some(percent) = spec.remove("targetCPUUtilizationPercentage").filter(|p| !p.is_null()) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        // Both at once is no object of either version.
        spec.insert("metrics".into(), json!([metric])).is_none().then_some(())?;
    }
    Some(())
}

fn backends(spec: &mut Map<String, Value>) -> Option<()> {
    if let Some(default) = spec.remove("backend") {
        spec.insert("defaultBackend".into(), default);
    }
    if let Some(default) = spec.get_mut("defaultBackend") {
        backend(default)?;
    }
    for rule in spec.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        for path in rule.pointer_mut("/http/paths").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
            path.entry("pathType").or_insert_with(|| "ImplementationSpecific".into());
            if let Some(b) = path.get_mut("backend") {
                backend(b)?;
            }
        }
    }
    Some(())
}

fn backend(value: &mut Value) -> Option<()> {
    let map = value.as_object_mut()?;
    let (name, port) = (map.remove("serviceName"), map.remove("servicePort"));
    if name.is_none() && port.is_none() {
        return Some(());
    }
    let mut service = Map::new();
    service.extend(name.map(|n| ("name".to_owned(), n)));
    match port {
        Some(Value::Number(n)) => drop(service.insert("port".into(), json!({"number": n}))),
        Some(Value::String(name)) => drop(service.insert("port".into(), json!({"name": name}))),
        None => {}
        Some(_) => return None,
    }
    map.insert("service".into(), Value::Object(service)).is_none().then_some(())
}

/// Whether a kind has rows at all, so that its writers' versions are worth a look.
pub fn has_rows(gk: &GroupKind) -> bool {
    ROWS.iter().any(|(group, kind, ..)| gk.is(group, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn across(api: &str, kind: &str, other: &str, value: Value) -> Option<Value> {
        bridge(&Gvk::parse(api, kind), other).expect("a bridge").across(value)
    }

    #[test]
    fn the_older_version_is_said_in_the_newer_one() {
        let cpu = json!([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":70}}}]);
        let old = json!({"serviceName":"web","servicePort":80});
        let new = json!({"service":{"name":"web","port":{"number":80}}});
        for (api, kind, other, from, to) in [
            (
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                "v2",
                json!({"spec":{"maxReplicas":5,"targetCPUUtilizationPercentage":70}}),
                Some(json!({"spec":{"maxReplicas":5,"metrics":cpu}})),
            ),
            ("autoscaling/v1", "HorizontalPodAutoscaler", "v2", json!({"spec":{"metrics":cpu}}), Some(json!({"spec":{"metrics":cpu}}))),
            ("autoscaling/v1", "HorizontalPodAutoscaler", "v2", json!({"spec":{"metrics":cpu,"targetCPUUtilizationPercentage":70}}), None),
            (
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                "v2",
                json!({"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[]"}},"spec":{"maxReplicas":5}}),
                None,
            ),
            (
                "networking.k8s.io/v1beta1",
                "Ingress",
                "v1",
                json!({"spec":{"backend":old,"rules":[{"host":"a","http":{"paths":[{"path":"/","backend":{"serviceName":"web","servicePort":"http"}}]}}]}}),
                Some(json!({"spec":{"defaultBackend":new,"rules":[{"host":"a","http":{"paths":[{"path":"/","pathType":"ImplementationSpecific",
                    "backend":{"service":{"name":"web","port":{"name":"http"}}}}]}}]}})),
            ),
            (
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                "v2",
                json!({"metadata":{"name":"a","annotations":{"autoscaling.alpha.kubernetes.io/conditions":"[]"}},"spec":{"maxReplicas":5}}),
                Some(json!({"metadata":{"name":"a"},"spec":{"maxReplicas":5}})),
            ),
            ("networking.k8s.io/v1beta1", "Ingress", "v1", json!({"spec":{"defaultBackend":new}}), Some(json!({"spec":{"defaultBackend":new}}))),
            ("networking.k8s.io/v1beta1", "Ingress", "v1", json!({"spec":{"backend":{"serviceName":"web","servicePort":[80]}}}), None),
            ("policy/v1beta1", "PodDisruptionBudget", "v1", json!({"spec":{"selector":{}}}), None),
            ("policy/v1beta1", "PodDisruptionBudget", "v1", json!({"spec":{"minAvailable":1}}), None),
            ("apps/v1beta1", "Deployment", "v1", json!({"spec":{"rollbackTo":{"revision":1},"replicas":2}}), Some(json!({"spec":{"replicas":2}}))),
        ] {
            assert_eq!(across(api, kind, other, from.clone()), to, "{api} {from}");
        }
    }

    #[test]
    fn a_bridge_leads_up_only_and_from_either_side() {
        let between =
            |wanted: &str, kind: &str, other: &str| bridge(&Gvk::parse(wanted, kind), other).map(|b| (b.to.to_string(), b.desired_is_older));
        assert_eq!(between("autoscaling/v1", "HorizontalPodAutoscaler", "v2"), Some(("v2".into(), true)));
        assert_eq!(between("autoscaling/v2", "HorizontalPodAutoscaler", "v1"), Some(("v2".into(), false)));
        assert_eq!(between("autoscaling/v2beta1", "HorizontalPodAutoscaler", "v2"), None);
        assert_eq!(between("batch/v1beta1", "CronJob", "v1"), Some(("v1".into(), true)));
        assert_eq!(between("example.com/v1beta1", "CronJob", "v1"), None);
    }

    #[test]
    fn writers_in_the_older_version_own_the_newer_names() {
        let mut fields = json!({"f:spec":{"f:targetCPUUtilizationPercentage":{},"f:maxReplicas":{}}}).as_object().cloned().expect("a map");
        bridge(&Gvk::parse("autoscaling/v1", "HorizontalPodAutoscaler"), "v2").expect("a bridge").owned(&mut fields);
        assert_eq!(Value::Object(fields), json!({"f:spec":{"f:metrics":{},"f:maxReplicas":{}}}));
    }
}
