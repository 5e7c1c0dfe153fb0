//! Replicas and resources that an autoscaler answers for: silent inside its range, told outside of it. pure

use serde_json::Value;

use super::{
    compare::{Taken, Walk},
    found::Found,
    owners::Writer,
};
use crate::object::Quantity;

/// An autoscaler that targets the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// What it is, for people: `HorizontalPodAutoscaler.autoscaling shop/cart`.
    pub name: String,
    /// Fewest and most replicas, if it sets replicas.
    pub replicas: Option<(u64, u64)>,
    /// Ranges of resources, if it sets resources.
    pub resources: Vec<ResourceRange>,
}

/// The range of one resource of one container.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRange {
    /// The container; `*` for those that no other range names.
    pub container: String,
    /// The resource, for example `cpu`; `*` for those that no other range names.
    pub resource: String,
    /// Least, if it is bounded.
    pub least: Option<Quantity>,
    /// Most, if it is bounded.
    pub most: Option<Quantity>,
}

/// What is known of the autoscalers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Those that target it.
    pub by: Vec<Scaler>,
    /// Whether all autoscalers could be read, so that there is none besides.
    pub known: bool,
}

/// The program that scales for a HorizontalPodAutoscaler.
const HORIZONTAL: &str = "kube-controller-manager (scale)";

impl Walk<'_> {
    /// The position in [`super::judge::SILENT`] of the reason why an autoscaler answers for the leaf at hand.
    pub(super) fn autoscaled(&self, found: &Found, observed: Option<&Value>) -> Option<usize> {
        let scaling = self.policy.scaling;
        match self.path[..] {
            ["spec", "replicas"] => {
                let replicas = observed.and_then(Value::as_u64)?;
                let inside = |s: &Scaler| s.replicas.is_some_and(|(least, most)| (least..=most).contains(&replicas));
                // Without an autoscaler that is known, whoever scales through the subresource by itself is one, but for the program whose
                // autoscalers would be known.
                let other = scaling.by.iter().all(|s| s.replicas.is_none()) && found.scaled_by_controller;
                let other = other && !(scaling.known && found.newest.0.as_deref() == Some(HORIZONTAL));
                (scaling.by.iter().any(inside) || other).then_some(5)
            }
            [.., "resources", "requests" | "limits", resource] if found.newest.1 != Some(Writer::Person) => {
                let container = self.steps.iter().rev().find_map(|s| match s {
                    Taken::Item { item, .. } => item.get("name").and_then(Value::as_str),
                    _ => None,
                })?;
                let value = observed.and_then(Quantity::from_json)?;
                let inside = |s: &Scaler| {
                    let named = |n: &str, wanted: &str| n == wanted || n == "*";
                    let fits = |r: &&ResourceRange| named(&r.container, container) && named(&r.resource, resource);
                    let best = s.resources.iter().filter(fits).max_by_key(|r| (r.container != "*", r.resource != "*"));
                    best.is_some_and(|r| r.least.as_ref().is_none_or(|l| *l <= value) && r.most.as_ref().is_none_or(|m| value <= *m))
                };
                scaling.by.iter().any(inside).then_some(6)
            }
            _ => None,
        }
    }
}
