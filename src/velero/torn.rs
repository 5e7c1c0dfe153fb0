//! Whether a backup was taken in the middle of a sync: what single objects in it say of themselves. pure
//!
//! Argo CD: `status.operationState.phase` is `Running` while it applies (pkg/apis/application/v1alpha1/types.go). Flux: the condition
//! `Reconciling`, or an attempted revision that is not the applied one (kustomize-controller api/v1). Workloads: the generation that their
//! controller has not seen yet.

use serde_json::Value;

use crate::witness::Remark;

/// Kinds of apps/v1 whose status tells the generation that was seen.
const ROLLED_OUT: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// The sign that a raw object was in the middle of a change, if there is one.
pub fn sign(object: &Value) -> Option<Remark> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
    let group = text("/apiVersion").and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    let (kind, name) = (text("/kind")?, text("/metadata/name")?);
    let named = || format!("{} {}{}", cut(kind), text("/metadata/namespace").map(|n| format!("{}/", cut(n))).unwrap_or_default(), cut(name));
    let remark = |reason: &str, what: String| Some(Remark::new(reason, format!("{} {what}", named())));
    match (group, kind) {
        ("argoproj.io", "Application") if text("/status/operationState/phase") == Some("Running") => remark("syncing", "was being synced".to_owned()),
        ("kustomize.toolkit.fluxcd.io" | "helm.toolkit.fluxcd.io", _) => {
            let condition =
                |c: &Value| c.get("type").and_then(Value::as_str) == Some("Reconciling") && c.get("status").and_then(Value::as_str) == Some("True");
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            if conditions.into_iter().flatten().any(condition) {
                return remark("syncing", "was being reconciled".to_owned());
            }
            let (tried, applied) = (text("/status/lastAttemptedRevision")?, text("/status/lastAppliedRevision")?);
            if tried == applied {
                None
            } else {
                remark("half_applied", format!("had tried revision {} and applied {}", short(tried), short(applied)))
            }
        }
        ("apps", kind) if ROLLED_OUT.contains(&kind) => {
            let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
            let (seen, set) = (number("/status/observedGeneration").unwrap_or_default(), number("/metadata/generation")?);
            if seen >= set { None } else { remark("rolling_out", format!("had generation {set}, of which its controller had seen {seen}")) }
        }
        _ => None,
    }
}

/// A text of a body, which may be of any length, as a remark repeats it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(253)]
}

/// A revision as people read it: `main@sha1:0123abcd`.
fn short(revision: &str) -> &str {
    match revision.rfind(|c: char| !c.is_ascii_hexdigit()) {
        Some(at) if revision.len() > at + 9 => cut(&revision[..at + 9]),
        None if revision.len() > 8 => &revision[..8],
        _ => cut(revision),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_is_being_changed_says_so_itself() {
        let flux = |status: Value| json!({"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization","metadata":{"name":"apps","namespace":"flux-system"},"status":status});
        let argo = |phase: &str| json!({"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"shop","namespace":"argocd"},"status":{"operationState":{"phase":phase}}});
        let deployment = |seen: u64| json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"cart","namespace":"shop","generation":3},"status":{"observedGeneration":seen}});
        let revisions = |tried: &str, applied: &str| flux(json!({"lastAttemptedRevision":tried,"lastAppliedRevision":applied}));
        for (object, want) in [
            (argo("Running"), Some("Application argocd/shop was being synced")),
            (argo("Succeeded"), None),
            (
                flux(json!({"conditions":[{"type":"Ready","status":"True"},{"type":"Reconciling","status":"True"}]})),
                Some("Kustomization flux-system/apps was being reconciled"),
            ),
            (flux(json!({"conditions":[{"type":"Reconciling","status":"False"}]})), None),
            (
                revisions("main@sha1:0123456789abcdef", "main@sha1:fedcba9876543210"),
                Some("Kustomization flux-system/apps had tried revision main@sha1:01234567 and applied main@sha1:fedcba98"),
            ),
            (revisions("main@sha1:0123456789abcdef", "main@sha1:0123456789abcdef"), None),
            (deployment(2), Some("Deployment shop/cart had generation 3, of which its controller had seen 2")),
            (deployment(3), None),
            (json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","generation":3}}), None),
            (json!({"kind":"Deployment"}), None),
            (json!([]), None),
        ] {
            assert_eq!(sign(&object).map(|r| r.message).as_deref(), want, "{object}");
        }
    }
}
