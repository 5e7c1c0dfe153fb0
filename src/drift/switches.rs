//! Marks on an object by which a person tells its deployer to leave it alone. pure

use serde_json::Value;

/// Key, values that switch the deployer off, rule, reason. A label or an annotation, in Git or in the cluster. Sources: Flux
/// kustomize-controller internal/controller (`reconcile`, `ssa`: AnyInMetadata), helm-controller internal/diff (`driftDetection`).
pub const SWITCHES: [(&str, &[&str], &str, &str); 3] = [
    ("kustomize.toolkit.fluxcd.io/reconcile", &["disabled"], "reconcile_disabled", "a person told Flux to leave the object alone"),
    (
        "kustomize.toolkit.fluxcd.io/ssa",
        &["Ignore", "IfNotPresent"],
        "applied_once",
        "Flux makes the object if it is not there and then leaves it alone",
    ),
    ("helm.toolkit.fluxcd.io/driftDetection", &["disabled"], "drift_detection_disabled", "a person told Flux to pass over drift of the object"),
];

/// Where a switch stands.
pub const ORIGIN: &str = "a mark on the object";

/// The first switch on either side: rule and reason.
pub(super) fn switched_off(desired: &Value, observed: &Value) -> Option<(&'static str, &'static str)> {
    let at = |v: &Value, section: &str, key: &str, values: &[&str]| {
        v.get("metadata").and_then(|m| m.get(section)).and_then(|s| s.get(key)).and_then(Value::as_str).is_some_and(|v| values.contains(&v))
    };
    let set = |key: &str, values: &[&str]| [desired, observed].into_iter().any(|v| at(v, "annotations", key, values) || at(v, "labels", key, values));
    SWITCHES.iter().find(|(key, values, ..)| set(key, values)).map(|(_, _, rule, reason)| (*rule, *reason))
}
