//! What other objects in the cluster say of an object: the autoscalers that target it. pure
//!
//! Sources: autoscaling/v1 and v2 HorizontalPodAutoscaler; keda.sh/v1alpha1 ScaledObject (minReplicaCount 0, maxReplicaCount 100 by default);
//! autoscaling.k8s.io VerticalPodAutoscaler (updatePolicy, resourcePolicy).

use serde_json::Value;

use super::fast::{FastMap, quick_hash};
use crate::{
    drift::scaling::{ResourceRange, Scaler, Scaling},
    object::{GroupKind, Object, ObjectId, Quantity, Text},
    witness::{Listing, Live},
};

/// Autoscalers by what they target.
#[derive(Default)]
pub(super) struct Neighbours {
    targets: FastMap<ObjectId, (Scaling, u64)>,
    /// What holds where none is known.
    none: (Scaling, u64),
}

impl Neighbours {
    pub(super) fn of(live: &Live) -> Self {
        let kind = GroupKind::new("autoscaling", "HorizontalPodAutoscaler");
        let known = live.kinds.get(&kind).is_some_and(|k| k.listing == Listing::Complete);
        let none = Scaling { by: Vec::new(), known };
        let mut out = Self { targets: FastMap::default(), none: (none.clone(), u64::from(known)) };
        for (group, kind, read) in [
            ("autoscaling", "HorizontalPodAutoscaler", horizontal as fn(&Value) -> Option<(&Value, Scaler)>),
            ("keda.sh", "ScaledObject", keda),
            ("autoscaling.k8s.io", "VerticalPodAutoscaler", vertical),
        ] {
            for object in live.objects.of_kind(&GroupKind::new(group, kind)).filter(|o| !o.meta.partial && !o.meta.deleting) {
                let value = object.content.value();
                if let Some((target, mut scaler)) = read(&value)
                    && let Some(id) = target_of(target, object)
                {
                    scaler.name = object.id.to_string();
                    out.targets.entry(id).or_insert_with(|| (none.clone(), 0)).0.by.push(scaler);
                }
            }
        }
        for (scaling, print) in out.targets.values_mut() {
            scaling.by.sort_by(|a, b| a.name.cmp(&b.name));
            *print = quick_hash(Some(format!("{scaling:?}").as_bytes()));
        }
        out
    }

    /// What is known of the autoscalers of an object, and a hash of it.
    pub(super) fn scaling(&self, id: &ObjectId) -> (&Scaling, u64) {
        let (scaling, print) = self.targets.get(id).unwrap_or(&self.none);
        (scaling, *print)
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
}

fn target_of(target: &Value, by: &Object) -> Option<ObjectId> {
    let group = text(target, "apiVersion").map_or("apps", |v| v.split_once('/').map_or("", |(group, _)| group));
    // The group that Deployments had before they moved; autoscalers written then still say it.
    let group = if group == "extensions" { "apps" } else { group };
    let kind = text(target, "kind").unwrap_or("Deployment");
    Some(ObjectId { gk: GroupKind::new(group, kind), namespace: by.id.namespace.clone(), name: Text::from(text(target, "name")?) })
}

fn replicas(range: (u64, u64)) -> Scaler {
    Scaler { name: String::new(), replicas: Some(range), resources: Vec::new() }
}

fn horizontal(value: &Value) -> Option<(&Value, Scaler)> {
    let spec = value.get("spec")?;
    let number = |key: &str| spec.get(key).and_then(Value::as_u64);
    Some((spec.get("scaleTargetRef")?, replicas((number("minReplicas").unwrap_or(1), number("maxReplicas")?))))
}

fn keda(value: &Value) -> Option<(&Value, Scaler)> {
    let spec = value.get("spec")?;
    let number = |key: &str| spec.get(key).and_then(Value::as_u64);
    let least = number("minReplicaCount").unwrap_or(0);
    let least = number("idleReplicaCount").map_or(least, |idle| idle.min(least));
    Some((spec.get("scaleTargetRef")?, replicas((least, number("maxReplicaCount").unwrap_or(100)))))
}

fn vertical(value: &Value) -> Option<(&Value, Scaler)> {
    let spec = value.get("spec")?;
    if spec.pointer("/updatePolicy/updateMode").and_then(Value::as_str) == Some("Off") {
        return None;
    }
    let policies: &[Value] = spec.pointer("/resourcePolicy/containerPolicies").and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let mut resources = Vec::new();
    let mut all = policies.iter().any(|p| text(p, "containerName") == Some("*"));
    for policy in policies.iter().filter(|p| text(p, "mode") != Some("Off")) {
        let container = text(policy, "containerName").unwrap_or("*");
        let bound = |side: &str, resource: &str| policy.get(side).and_then(|b| b.get(resource)).and_then(Quantity::from_json);
        let names: Vec<&str> = match policy.get("controlledResources").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).collect(),
            None => vec!["cpu", "memory"],
        };
        let range =
            |r: &str| ResourceRange { container: container.into(), resource: r.into(), least: bound("minAllowed", r), most: bound("maxAllowed", r) };
        resources.extend(names.into_iter().map(range));
        all |= container == "*";
    }
    if !all {
        // Containers that no policy names are scaled without bounds, but for those that one switches off.
        let range = |r: &str| ResourceRange { container: "*".into(), resource: r.into(), least: None, most: None };
        resources.extend(["cpu", "memory"].map(range));
        let off = policies.iter().filter(|p| text(p, "mode") == Some("Off")).filter_map(|p| text(p, "containerName"));
        // Nothing is more than the least and less than the most of an empty range.
        let never = |c: &str, r: &str| ResourceRange {
            container: c.into(),
            resource: r.into(),
            least: Quantity::from_json(&Value::from(1)),
            most: Quantity::from_json(&Value::from(0)),
        };
        resources.extend(off.flat_map(|c| [never(c, "cpu"), never(c, "memory")]));
    }
    Some((spec.get("targetRef")?, Scaler { name: String::new(), replicas: None, resources }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{report::model::Drift, verdict::world::World};

    fn scaled(n: u32, manager: &str, subresource: &str) -> serde_json::Value {
        let mut v = World::deployment("cart", n);
        v["metadata"]["managedFields"] =
            json!([{"manager":manager,"operation":"Update","subresource":subresource,"fieldsV1":{"f:spec":{"f:replicas":{}}}}]);
        v
    }

    fn scaler(api: &str, kind: &str, spec: serde_json::Value) -> serde_json::Value {
        json!({"apiVersion":api,"kind":kind,"metadata":{"name":"cart","namespace":"shop"},"spec":spec})
    }

    #[test]
    fn replicas_inside_the_range_of_an_autoscaler_are_silent_and_outside_they_are_told() {
        let target = json!({"apiVersion":"apps/v1","kind":"Deployment","name":"cart"});
        let hpa = |v: &str| scaler(v, "HorizontalPodAutoscaler", json!({"scaleTargetRef":target,"minReplicas":2,"maxReplicas":10}));
        let keda = scaler(
            "keda.sh/v1alpha1",
            "ScaledObject",
            json!({"scaleTargetRef":{"name":"cart"},"minReplicaCount":1,"idleReplicaCount":0,"maxReplicaCount":8}),
        );
        let other = scaler(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"pay"},"maxReplicas":10}),
        );
        for (by, live, manager, subresource, want) in [
            (hpa("autoscaling/v1"), 7, "kube-controller-manager", "scale", Drift::InSync),
            (hpa("autoscaling/v2"), 7, "kubectl", "scale", Drift::InSync),
            (hpa("autoscaling/v2"), 12, "kubectl", "scale", Drift::Changed),
            (hpa("autoscaling/v2"), 1, "kube-controller-manager", "scale", Drift::Changed),
            (keda.clone(), 0, "keda-operator", "scale", Drift::InSync),
            (keda, 9, "keda-operator", "scale", Drift::Changed),
            // An autoscaler that is gone left its replicas behind.
            (other.clone(), 7, "kube-controller-manager", "scale", Drift::Changed),
            // One that nobody knows of may be at work.
            (other, 7, "some-autoscaler", "scale", Drift::InSync),
        ] {
            let world = World::new().declares("shop", vec![World::deployment("cart", 3)]).runs(vec![scaled(live, manager, subresource), by.clone()]);
            assert_eq!(world.verdict("Deployment", "cart").drift, want, "{live} by {manager}: {by}");
        }
    }

    #[test]
    fn resources_inside_the_range_of_a_vertical_autoscaler_are_silent_unless_a_person_set_them() {
        let sized = |cpu: &str, manager: &str| {
            let mut v = World::deployment("cart", 1);
            v["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests":{"cpu":cpu}});
            let container =
                json!({"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:resources":{"f:requests":{"f:cpu":{}}}}}}}}});
            v["metadata"]["managedFields"] = json!([{"manager":manager,"operation":"Update","fieldsV1":container}]);
            v
        };
        let vpa = |mode: &str| {
            let policy = json!({"containerPolicies":[{"containerName":"app","minAllowed":{"cpu":"100m"},"maxAllowed":{"cpu":"2"}}]});
            scaler(
                "autoscaling.k8s.io/v1",
                "VerticalPodAutoscaler",
                json!({"targetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"cart"},"updatePolicy":{"updateMode":mode},"resourcePolicy":policy}),
            )
        };
        for (mode, cpu, manager, want) in [
            ("Auto", "1500m", "vpa-updater", Drift::InSync),
            ("Auto", "2500m", "vpa-updater", Drift::Changed),
            ("Auto", "50m", "vpa-updater", Drift::Changed),
            ("Off", "1500m", "vpa-updater", Drift::Changed),
            ("Auto", "1500m", "kubectl-edit", Drift::Changed),
        ] {
            let mut git = World::deployment("cart", 1);
            git["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests":{"cpu":"200m"}});
            let world = World::new().declares("shop", vec![git]).runs(vec![sized(cpu, manager), vpa(mode)]);
            assert_eq!(world.verdict("Deployment", "cart").drift, want, "{mode} {cpu} {manager}");
        }
    }
}
