//! What the API server lets nobody change in an object that is there: a patch that tries is refused. pure
//!
//! Sources: pkg/apis/*/validation of Kubernetes; for Pods and Jobs also what Velero takes out of the copy before it makes the patch
//! (pkg/restore/actions/pod_action.go, job_action.go), so that every patch of one tries to change what is fixed.

use serde_json::Value;

use crate::object::ObjectId;

/// Parts of an object that are fixed.
enum Part {
    /// Whatever a restore would change.
    All,
    /// These.
    At(&'static [&'static str]),
    /// Everything below `spec` but these members.
    SpecBut(&'static [&'static str]),
    /// These, in an object that says `immutable: true` of itself.
    IfSealed(&'static [&'static str]),
}

const SCALABLE: &[&str] =
    &["replicas", "template", "updateStrategy", "minReadySeconds", "ordinals", "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"];

const FIXED: [(&str, &str, Part); 15] = [
    ("", "Pod", Part::All),
    ("batch", "Job", Part::All),
    ("", "ConfigMap", Part::IfSealed(&["/data", "/binaryData", "/immutable"])),
    ("", "Secret", Part::At(&["/type"])),
    ("", "Secret", Part::IfSealed(&["/data", "/immutable"])),
    ("apps", "Deployment", Part::At(&["/spec/selector"])),
    ("apps", "ReplicaSet", Part::At(&["/spec/selector"])),
    ("apps", "DaemonSet", Part::At(&["/spec/selector"])),
    ("apps", "StatefulSet", Part::SpecBut(SCALABLE)),
    ("apps", "ControllerRevision", Part::At(&["/data"])),
    ("rbac.authorization.k8s.io", "RoleBinding", Part::At(&["/roleRef"])),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", Part::At(&["/roleRef"])),
    ("storage.k8s.io", "StorageClass", Part::At(&["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"])),
    ("scheduling.k8s.io", "PriorityClass", Part::At(&["/value", "/preemptionPolicy"])),
    ("networking.k8s.io", "IngressClass", Part::At(&["/spec/controller"])),
];

/// Whether the way from what is there to the copy leads over something that is fixed.
pub(super) fn stands_between(id: &ObjectId, there: &Value, copy: &Value) -> bool {
    let differs = |p: &&str| there.pointer(p) != copy.pointer(p);
    let members = |v: &Value| v.get("spec").and_then(Value::as_object).map(|s| s.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    FIXED.iter().filter(|(group, kind, _)| id.gk.is(group, kind)).any(|(.., part)| match part {
        Part::All => true,
        Part::At(paths) => paths.iter().any(differs),
        Part::IfSealed(paths) => there.get("immutable") == Some(&Value::Bool(true)) && paths.iter().any(differs),
        Part::SpecBut(free) => {
            let all = members(there).into_iter().chain(members(copy)).filter(|m| !free.contains(&m.as_str()));
            all.into_iter().any(|m| there["spec"].get(&m) != copy["spec"].get(&m))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_fixed_stands_between_and_nothing_else_does() {
        for (group, kind, there, copy, want) in [
            ("", "Pod", json!({"spec":{"a":1}}), json!({"spec":{"a":2}}), true),
            ("", "ConfigMap", json!({"data":{"a":"1"}}), json!({"data":{"a":"2"}}), false),
            ("", "ConfigMap", json!({"immutable":true,"data":{"a":"1"}}), json!({"immutable":true,"data":{"a":"2"}}), true),
            (
                "",
                "ConfigMap",
                json!({"immutable":true,"data":{"a":"1"}}),
                json!({"immutable":true,"data":{"a":"1"},"metadata":{"labels":{"b":"c"}}}),
                false,
            ),
            ("", "Secret", json!({"type":"Opaque"}), json!({"type":"kubernetes.io/tls"}), true),
            ("apps", "Deployment", json!({"spec":{"replicas":1,"selector":{"a":"b"}}}), json!({"spec":{"replicas":2,"selector":{"a":"b"}}}), false),
            ("apps", "Deployment", json!({"spec":{"selector":{"a":"b"}}}), json!({"spec":{"selector":{"a":"c"}}}), true),
            ("apps", "StatefulSet", json!({"spec":{"replicas":1,"serviceName":"a"}}), json!({"spec":{"replicas":2,"serviceName":"a"}}), false),
            ("apps", "StatefulSet", json!({"spec":{"serviceName":"a"}}), json!({"spec":{"serviceName":"a","podManagementPolicy":"Parallel"}}), true),
        ] {
            let id = ObjectId::new(group, kind, Some("n"), "a");
            assert_eq!(stands_between(&id, &there, &copy), want, "{kind} {there} {copy}");
        }
    }
}
