//! Compares one desired object with one observed one. pure

use serde_json::Value;

use super::{Comparison, Observed, Policy};

/// Compares on what Git sets, and looks for a person's additions if the policy asks.
pub fn compare(_desired: &Value, _observed: Observed<'_>, _policy: &Policy<'_>) -> Comparison {
    Comparison::default()
}
