//! What Velero never restores. pure

use serde_json::Value;

use crate::object::{Object, ObjectId};

/// Kinds that Velero does not restore (pkg/controller/restore_controller.go `nonRestorableResources`).
const NEVER_RESTORED: [(&str, &str); 9] = [
    ("", "Node"),
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("velero.io", "Backup"),
    ("velero.io", "Restore"),
    ("velero.io", "ResticRepository"),
    ("velero.io", "BackupRepository"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// Whether an object is of a kind that is never restored.
pub(super) fn by_kind(id: &ObjectId) -> bool {
    NEVER_RESTORED.iter().any(|(group, kind)| id.gk.is(group, kind))
}

/// Whether an object had come to its end when it was backed up: Velero restores no Job with a completion time and no Pod that succeeded or failed
/// (pkg/restore/restore.go `isCompleted`). Their phase is read with the object, as its status is no content.
pub(super) fn completed(object: &Object) -> bool {
    match (&*object.id.gk.group, &*object.id.gk.kind) {
        ("", "Pod") => matches!(object.meta.phase.as_deref(), Some("Succeeded" | "Failed")),
        ("batch", "Job") => object.meta.phase.as_deref() == Some("Complete"),
        _ => false,
    }
}

/// Whether Kubernetes makes an object by itself, so that Velero leaves it out of restores: mirror Pods (pkg/restore/restore.go), managed
/// APIServices (pkg/restore/actions/apiservice_action.go), automatic token Secrets (secret_action.go; by name, as the accounts of the time of
/// the restore are not known).
pub(super) fn made_by_kubernetes(id: &ObjectId, copy: &Value) -> bool {
    let has = |part: &str, key: &str| copy.pointer(&format!("/metadata/{part}")).is_some_and(|m| m.get(key).is_some());
    let token = || copy.get("type").and_then(Value::as_str) == Some("kubernetes.io/service-account-token") && id.name.contains("-token-");
    (id.gk.is("", "Pod") && has("annotations", "kubernetes.io/config.mirror"))
        || (id.gk.is("apiregistration.k8s.io", "APIService") && has("labels", "kube-aggregator.kubernetes.io/automanaged"))
        || (id.gk.is("", "Secret") && token())
}
