//! The kinds that every Kubernetes server has: plural name and whether their objects live in namespaces. pure

/// One built-in kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural resource name.
    pub plural: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

const fn kind(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool) -> Builtin {
    Builtin { group, kind, plural, namespaced }
}

const KINDS: &[Builtin] = &[
    kind("", "ConfigMap", "configmaps", true),
    kind("", "Endpoints", "endpoints", true),
    kind("", "Event", "events", true),
    kind("", "Namespace", "namespaces", false),
    kind("", "Node", "nodes", false),
    kind("", "PersistentVolume", "persistentvolumes", false),
    kind("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    kind("", "Pod", "pods", true),
    kind("", "Secret", "secrets", true),
    kind("", "Service", "services", true),
    kind("", "ServiceAccount", "serviceaccounts", true),
    kind("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
    kind("apps", "Deployment", "deployments", true),
    kind("apps", "ReplicaSet", "replicasets", true),
    kind("apps", "StatefulSet", "statefulsets", true),
    kind("batch", "CronJob", "cronjobs", true),
    kind("batch", "Job", "jobs", true),
    kind("discovery.k8s.io", "EndpointSlice", "endpointslices", true),
    kind("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    kind("rbac.authorization.k8s.io", "Role", "roles", true),
];

/// The built-in kind of this group and name.
pub fn builtin(group: &str, kind: &str) -> Option<&'static Builtin> {
    KINDS.iter().find(|k| k.group == group && k.kind == kind)
}
