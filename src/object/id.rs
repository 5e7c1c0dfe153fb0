//! Who an object is: group, kind, namespace and name. pure
//!
//! The version is not part of the identity: the same object is served in several versions, and Git, cluster and backup may name
//! different ones.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shared immutable text. Identities repeat a lot between the three sides, so cloning one must cost a counter, not an allocation.
pub type Text = Arc<str>;

/// API group and kind, for example `apps` and `Deployment`. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GroupKind {
    /// API group without version; empty for the core group.
    pub group: Text,
    /// Kind in CamelCase singular, as in a manifest.
    pub kind: Text,
}

impl GroupKind {
    /// Builds a group and kind from anything that is text.
    pub fn new(group: impl Into<Text>, kind: impl Into<Text>) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }

    /// Whether this is the given group and kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }
}

impl fmt::Display for GroupKind {
    /// `Deployment.apps`, or `ConfigMap` for the core group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

/// Group, version and kind: what a manifest's `apiVersion` and `kind` say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gvk {
    /// Group and kind.
    pub gk: GroupKind,
    /// Version, for example `v1`.
    pub version: Text,
}

impl Gvk {
    /// Splits an `apiVersion` (`apps/v1`, `v1`) and pairs it with a kind.
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { gk: GroupKind::new(group, kind), version: version.into() }
    }

    /// The `apiVersion` that a manifest of this kind carries.
    pub fn api_version(&self) -> String {
        if self.gk.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.gk.group, self.version) }
    }
}

/// The identity by which the three witnesses are joined.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectId {
    /// Group and kind.
    #[serde(flatten)]
    pub gk: GroupKind,
    /// Namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<Text>,
    /// Name.
    pub name: Text,
}

impl ObjectId {
    /// Builds an identity; an empty namespace counts as none.
    pub fn new(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self { gk: GroupKind::new(group, kind), namespace: namespace.filter(|n| !n.is_empty()).map(Text::from), name: name.into() }
    }

    /// The same object in another namespace (used when an app's destination fills one in).
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.into()), ..self.clone() }
    }
}

impl fmt::Display for ObjectId {
    /// `Deployment.apps shop/cart`, or `ClusterRole.rbac.authorization.k8s.io reader`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(ns) => write!(f, "{} {}/{}", self.gk, ns, self.name),
            None => write!(f, "{} {}", self.gk, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_split_and_join() {
        for (text, group, version) in [("v1", "", "v1"), ("apps/v1", "apps", "v1"), ("a.example.com/v1beta2", "a.example.com", "v1beta2")] {
            let gvk = Gvk::parse(text, "X");
            assert_eq!((&*gvk.gk.group, &*gvk.version), (group, version));
            assert_eq!(gvk.api_version(), text);
        }
    }

    #[test]
    fn an_empty_namespace_is_no_namespace() {
        assert_eq!(ObjectId::new("", "Namespace", Some(""), "shop"), ObjectId::new("", "Namespace", None, "shop"));
        assert_eq!(ObjectId::new("apps", "Deployment", Some("shop"), "cart").to_string(), "Deployment.apps shop/cart");
    }
}
