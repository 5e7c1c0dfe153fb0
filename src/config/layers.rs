//! Layers: the cluster itself, core plugins, applications. Which one an object belongs to, and what each is held against. pure

use std::{fmt, time::Duration};

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AppName;
use crate::object::ObjectId;

/// A layer. A gap weighs more where automation is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The cluster itself: kinds and namespaces that exist on every cluster.
    Cluster,
    /// Core plugins that applications stand on.
    Platform,
    /// Applications.
    Apps,
}

impl Layer {
    /// All layers, from the bottom.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Platform, Self::Apps];

    /// The stable name: metric label, report field and configuration value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Platform => "platform",
            Self::Apps => "apps",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule: everything that it names must match; an absent part matches anything.
#[derive(Clone, Debug)]
pub struct LayerRule {
    /// What the rule assigns.
    pub layer: Layer,
    /// Globs on app names.
    pub apps: Option<GlobSet>,
    /// Globs on namespaces. A cluster-scoped object has none and never matches a rule that names namespaces; a Namespace object
    /// counts as lying in itself.
    pub namespaces: Option<GlobSet>,
    /// Globs on `Kind` or `Kind.group`.
    pub kinds: Option<GlobSet>,
}

/// The rules in order, and each layer's objective.
#[derive(Clone, Debug)]
pub struct LayerRules {
    /// The first rule that matches decides.
    pub rules: Vec<LayerRule>,
    /// Longest window each layer is allowed, in the order of [`Layer::ALL`].
    pub objectives: [Duration; 3],
}

/// Compiles globs; the error names the glob that is wrong.
pub fn globs(patterns: &[impl AsRef<str>]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for p in patterns {
        set.add(Glob::new(p.as_ref()).map_err(|e| format!("`{}` is not a glob: {}", p.as_ref(), e.kind()))?);
    }
    set.build().map_err(|e| e.to_string())
}

impl LayerRules {
    /// The layer of an object, by the first rule that matches; without one, cluster-scoped objects that no app declares are `cluster`
    /// and everything else is `apps`.
    pub fn layer_of(&self, id: &ObjectId, app: Option<&AppName>) -> Layer {
        let own_namespace = id.gk.is("", "Namespace").then(|| id.name.clone());
        let namespace = id.namespace.clone().or(own_namespace);
        let kind = id.gk.to_string();
        let hit = |rule: &&LayerRule| {
            rule.apps.as_ref().is_none_or(|g| app.is_some_and(|a| g.is_match(&*a.0)))
                && rule.namespaces.as_ref().is_none_or(|g| namespace.as_ref().is_some_and(|n| g.is_match(&**n)))
                && rule.kinds.as_ref().is_none_or(|g| g.is_match(&*id.gk.kind) || g.is_match(&kind))
        };
        match self.rules.iter().find(hit) {
            Some(rule) => rule.layer,
            None if namespace.is_none() && app.is_none() => Layer::Cluster,
            None => Layer::Apps,
        }
    }

    /// The objective of a layer.
    pub fn objective(&self, layer: Layer) -> Duration {
        self.objectives[layer as usize]
    }
}

/// Namespaces and kinds that belong to a layer on most clusters. The user's rules come before these.
const DEFAULT_NAMESPACES: [(Layer, &[&str]); 2] = [
    (Layer::Cluster, &["kube-system", "kube-public", "kube-node-lease", "default"]),
    (
        Layer::Platform,
        &[
            "argocd",
            "argo-cd",
            "flux-system",
            "velero",
            "cert-manager",
            "external-secrets",
            "ingress-*",
            "traefik",
            "istio-*",
            "linkerd*",
            "monitoring",
            "observability",
            "prometheus*",
            "grafana*",
            "loki*",
            "cilium*",
            "calico-*",
            "tigera-operator",
            "metallb-*",
            "longhorn-system",
            "rook-*",
            "openebs",
            "kyverno",
            "gatekeeper-*",
            "keda",
            "external-dns",
            "sealed-secrets",
            "cattle-*",
            "openshift-*",
            "snapgap",
        ],
    ),
];

const CLUSTER_KINDS: &[&str] = &[
    "Node",
    "APIService.*",
    "FlowSchema.*",
    "PriorityLevelConfiguration.*",
    "CSINode.*",
    "CSIDriver.*",
    "RuntimeClass.*",
    "PriorityClass.*",
    "StorageClass.*",
    "VolumeAttachment.*",
    "ServiceCIDR.*",
    "IPAddress.*",
];

impl Default for LayerRules {
    /// The defaults: well-known namespaces, cluster-wide kinds, CRDs as platform; objectives 24 h, 24 h and 8 h.
    fn default() -> Self {
        let mut rules = vec![
            LayerRule { layer: Layer::Cluster, apps: None, namespaces: None, kinds: globs(CLUSTER_KINDS).ok() },
            LayerRule { layer: Layer::Platform, apps: None, namespaces: None, kinds: globs(&["CustomResourceDefinition.*"]).ok() },
        ];
        for (layer, namespaces) in DEFAULT_NAMESPACES {
            rules.push(LayerRule { layer, apps: None, namespaces: globs(namespaces).ok(), kinds: None });
        }
        let hours = |h: u64| Duration::from_secs(h * 3600);
        Self { rules, objectives: [hours(24), hours(24), hours(8)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensible_defaults_need_no_configuration() {
        let rules = LayerRules::default();
        let shop = AppName("shop".into());
        for (id, app, layer) in [
            (ObjectId::new("apps", "Deployment", Some("kube-system"), "coredns"), None, Layer::Cluster),
            (ObjectId::new("", "Namespace", None, "argocd"), None, Layer::Platform),
            (ObjectId::new("", "Namespace", None, "shop"), None, Layer::Apps),
            (ObjectId::new("apiextensions.k8s.io", "CustomResourceDefinition", None, "x.example.com"), None, Layer::Platform),
            (ObjectId::new("storage.k8s.io", "StorageClass", None, "fast"), Some(&shop), Layer::Cluster),
            (ObjectId::new("rbac.authorization.k8s.io", "ClusterRole", None, "reader"), Some(&shop), Layer::Apps),
            (ObjectId::new("rbac.authorization.k8s.io", "ClusterRole", None, "reader"), None, Layer::Cluster),
            (ObjectId::new("apps", "Deployment", Some("shop"), "cart"), None, Layer::Apps),
        ] {
            assert_eq!(rules.layer_of(&id, app), layer, "{id}");
        }
        assert!(rules.rules.iter().all(|r| r.kinds.is_some() || r.namespaces.is_some()), "every default glob compiles");
    }
}
