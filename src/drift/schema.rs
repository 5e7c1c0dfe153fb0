//! Schema knowledge of the kinds that Kubernetes itself serves. pure

use serde_json::Value;

use super::{ListKind, Schema};
use crate::object::Gvk;

/// Schema knowledge of the kinds that Kubernetes itself serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

impl Schema for Builtin {
    fn list_kind(&self, _gvk: &Gvk, _path: &[&str]) -> ListKind {
        ListKind::Atomic
    }

    fn is_quantity(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }

    fn empty_means_something(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        true
    }

    fn default_of(&self, _gvk: &Gvk, _path: &[&str]) -> Option<Value> {
        None
    }
}
