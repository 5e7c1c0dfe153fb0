//! What is known of the schema of a kind: types, lists, quantities, meaningful zeroes, defaults. pure
//!
//! Three sources make an [`Index`]: the server's OpenAPI documents, CustomResourceDefinitions, and a table over the kinds of Kubernetes
//! itself (`types.txt`, printed from its OpenAPI document and Go types) that serves where neither can be had. OpenAPI does not hold the
//! defaults of Kubernetes' own kinds, nor which fields are pointers, so those come from tables always (`defaults.txt`, `types.txt`).

pub mod bundled;
pub mod canonical;
pub mod defaults;
pub mod definition;
pub mod index;
pub mod known;
pub mod openapi;
mod raw;
pub mod shape;

#[cfg(test)]
mod laws;

pub use definition::Definition;
pub use index::Index;
pub use known::Schemas;
use serde_json::Value;
pub use shape::{Origin, Shape};
use shape::{View, quantity_by_name};

use super::{ListKind, Schema};
use crate::object::Gvk;

/// Schema knowledge of the kinds that Kubernetes itself serves, as compiled in. Custom resources get the shape of their metadata and a few
/// conventions by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

/// Members of custom resources that are maps of free keys wherever they occur.
const FREE_MAPS: [&str; 6] = ["labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData"];

impl Builtin {
    /// The table's knowledge of a kind. The newest version that it has stands for versions that it does not have.
    fn view(gvk: &Gvk) -> Option<View<'static>> {
        let index = bundled::index();
        let root = index.root(&gvk.gk, &gvk.version).or_else(|| index.newest(&gvk.gk))?;
        Some(View { index, root: root.of, custom: false, complete: false })
    }

    /// The same for the path at hand: custom resources share their metadata with all others.
    fn at<'p, 's>(gvk: &Gvk, path: &'p [&'s str]) -> Option<(View<'static>, &'p [&'s str])> {
        if let Some(view) = Self::view(gvk) {
            return Some((view, path));
        }
        match path {
            ["metadata", rest @ ..] => {
                Some((View { index: bundled::index(), root: bundled::index().metadata?, custom: false, complete: false }, rest))
            }
            _ => None,
        }
    }
}

impl Schema for Builtin {
    fn knows(&self, gvk: &Gvk) -> bool {
        Self::view(gvk).is_some()
    }

    fn list_kind(&self, gvk: &Gvk, path: &[&str]) -> ListKind {
        Self::at(gvk, path).map_or(ListKind::Atomic, |(view, path)| view.list_kind(path))
    }

    fn is_quantity(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).map_or_else(|| quantity_by_name(path), |(view, path)| view.is_quantity(path))
    }

    fn rounds(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).is_some_and(|(view, path)| view.rounds(path))
    }

    fn is_base64(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).is_some_and(|(view, path)| view.is_base64(path))
    }

    fn is_duration(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).is_none_or(|(view, path)| view.is_duration(path))
    }

    fn empty_means_something(&self, gvk: &Gvk, path: &[&str]) -> bool {
        match (Self::at(gvk, path), path) {
            (Some((view, path)), _) => view.empty_means_something(path),
            (None, [.., parent, last]) => *last == "*" || FREE_MAPS.contains(parent) || last.ends_with("elector") || *last == "emptyDir",
            (None, _) => false,
        }
    }

    fn default_of(&self, gvk: &Gvk, path: &[&str]) -> Option<Value> {
        Self::at(gvk, path).and_then(|(view, path)| view.default_of(path))
    }

    fn is_entry(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).is_some_and(|(view, path)| view.is_entry(path))
    }

    fn knows_defaults(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::view(gvk).is_some_and(|view| view.has(path))
    }

    fn fills(&self, gvk: &Gvk, path: &[&str], trail: &[&Value], value: &Value) -> bool {
        Self::view(gvk).is_some_and(|view| view.fills(&defaults::Spot { kind: &gvk.gk.kind, path, trail }, value))
    }

    fn follows(&self, gvk: &Gvk, path: &[&str], git: &[&Value], value: &Value) -> bool {
        Self::view(gvk).is_some_and(|view| view.follows(&defaults::Spot { kind: &gvk.gk.kind, path, trail: git }, value))
    }

    fn is_whole(&self, gvk: &Gvk, path: &[&str]) -> bool {
        Self::at(gvk, path).is_some_and(|(view, path)| view.is_whole(path))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Text;

    const S: Builtin = Builtin;

    fn split(path: &str) -> Vec<&str> {
        path.split('/').filter(|s| !s.is_empty()).collect()
    }

    #[test]
    fn pull_secrets_are_appended_to() {
        assert_eq!(S.list_kind(&Gvk::parse("v1", "ServiceAccount"), &["imagePullSecrets"]), ListKind::Keyed([("name".into(), None)].into()));
    }

    #[test]
    fn lists_are_paired_as_the_api_server_pairs_them() {
        let deployment = Gvk::parse("apps/v1", "Deployment");
        let service = Gvk::parse("v1", "Service");
        let by = |keys: &[(&str, Option<&str>)]| ListKind::Keyed(keys.iter().map(|(k, d)| ((*k).into(), d.map(Text::from))).collect());
        for (gvk, path, kind) in [
            (&deployment, "spec/template/spec/containers", by(&[("name", None)])),
            (&deployment, "spec/template/spec/containers/*/env", by(&[("name", None)])),
            (&deployment, "spec/template/spec/containers/*/ports", by(&[("containerPort", None), ("protocol", Some("TCP"))])),
            (&deployment, "spec/template/spec/initContainers/*/volumeMounts", by(&[("mountPath", None)])),
            (&deployment, "spec/template/spec/containers/*/args", ListKind::Atomic),
            (&deployment, "spec/template/spec/tolerations", ListKind::Atomic),
            (&deployment, "metadata/finalizers", ListKind::Set),
            (&service, "spec/ports", by(&[("port", None), ("protocol", Some("TCP"))])),
            (&Gvk::parse("rbac.authorization.k8s.io/v1", "ClusterRole"), "rules", ListKind::Bag),
            (&Gvk::parse("autoscaling/v2beta2", "HorizontalPodAutoscaler"), "spec/metrics", ListKind::Bag),
            (&Gvk::parse("example.com/v1", "Widget"), "metadata/finalizers", ListKind::Set),
            (&Gvk::parse("example.com/v1", "Widget"), "spec/parts", ListKind::Atomic),
        ] {
            assert_eq!(S.list_kind(gvk, &split(path)), kind, "{path}");
        }
    }

    #[test]
    fn quantities_and_meaningful_zeroes_and_defaults_are_known_by_path() {
        let d = Gvk::parse("apps/v1", "Deployment");
        let container = "spec/template/spec/containers/*";
        assert!(S.is_quantity(&d, &split(&format!("{container}/resources/limits/cpu"))));
        assert!(S.is_quantity(&d, &split("spec/template/spec/volumes/*/emptyDir/sizeLimit")));
        assert!(!S.is_quantity(&d, &split(&format!("{container}/image"))));
        assert!(S.is_quantity(&Gvk::parse("example.com/v1", "Widget"), &split("spec/resources/limits/cpu")));
        assert!(!S.is_quantity(&Gvk::parse("example.com/v1", "Widget"), &split("spec/size")));
        for (path, means) in [
            ("spec/replicas", true),
            ("spec/paused", false),
            ("spec/template/spec/hostNetwork", false),
            ("spec/template/spec/automountServiceAccountToken", true),
            ("spec/template/spec/volumes/*/emptyDir", true),
            ("spec/template/spec/nodeSelector", false),
            ("spec/template/metadata/labels/x", true),
            ("spec/template/spec/containers/*/resources", false),
        ] {
            assert_eq!(S.empty_means_something(&d, &split(path)), means, "{path}");
        }
        assert_eq!(S.default_of(&d, &split("spec/progressDeadlineSeconds")), Some(json!(600)));
        assert_eq!(S.default_of(&d, &split(&format!("{container}/livenessProbe/failureThreshold"))), Some(json!(3)));
        assert_eq!(S.default_of(&d, &split("spec/paused")), None);
        assert!(S.is_whole(&d, &split("spec/selector")) && !S.is_whole(&d, &split("spec/template")));
    }
}
