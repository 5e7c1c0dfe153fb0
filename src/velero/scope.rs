//! What a backup was asked to hold: Velero's namespace and kind filters. pure

use std::collections::BTreeMap;

use crate::object::ObjectId;

/// Whether a backup was asked to hold an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It was.
    In,
    /// It was not, and why.
    Out(String),
    /// It cannot be said, and why.
    Unknown(String),
}

/// The filters of one backup, defaulted as Velero does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces that are held; empty means all.
    pub namespaces: Vec<String>,
    /// Resources (`plural.group`) that are held; empty means all.
    pub resources: Vec<String>,
    /// Why nothing can be said of anything.
    pub unknown: Option<String>,
}

impl Scope {
    /// Whether these filters take the object.
    pub fn covers(&self, id: &ObjectId, plural_group: &str, _namespaced: bool, _labels: &BTreeMap<String, String>) -> Coverage {
        if let Some(why) = &self.unknown {
            return Coverage::Unknown(why.clone());
        }
        let hit = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        if !hit(&self.resources, plural_group) {
            return Coverage::Out(format!("{plural_group} is not in its kinds"));
        }
        if !hit(&self.namespaces, id.namespace.as_deref().unwrap_or_default()) {
            return Coverage::Out("its namespace is not included".into());
        }
        Coverage::In
    }
}
