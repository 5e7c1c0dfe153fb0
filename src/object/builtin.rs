//! The kinds that a Kubernetes 1.36 server has by itself: plural name and whether their objects live in namespaces. pure
//!
//! A live cluster says this of itself; the table is for the witnesses that cannot: Git, archives and dumps.

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

/// Every built-in kind, ordered by group and kind. Kinds that only answer questions (reviews, bindings) are among them: a manifest of
/// one is not a manifest of an unknown kind.
pub const BUILTINS: &[Builtin] = &[
    kind("", "Binding", "bindings", true),
    kind("", "ComponentStatus", "componentstatuses", false),
    kind("", "ConfigMap", "configmaps", true),
    kind("", "Endpoints", "endpoints", true),
    kind("", "Event", "events", true),
    kind("", "LimitRange", "limitranges", true),
    kind("", "Namespace", "namespaces", false),
    kind("", "Node", "nodes", false),
    kind("", "PersistentVolume", "persistentvolumes", false),
    kind("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    kind("", "Pod", "pods", true),
    kind("", "PodTemplate", "podtemplates", true),
    kind("", "ReplicationController", "replicationcontrollers", true),
    kind("", "ResourceQuota", "resourcequotas", true),
    kind("", "Secret", "secrets", true),
    kind("", "Service", "services", true),
    kind("", "ServiceAccount", "serviceaccounts", true),
    kind("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", false),
    kind("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", false),
    kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
    kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
    kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
    kind("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
    kind("apiregistration.k8s.io", "APIService", "apiservices", false),
    kind("apps", "ControllerRevision", "controllerrevisions", true),
    kind("apps", "DaemonSet", "daemonsets", true),
    kind("apps", "Deployment", "deployments", true),
    kind("apps", "ReplicaSet", "replicasets", true),
    kind("apps", "StatefulSet", "statefulsets", true),
    kind("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", false),
    kind("authentication.k8s.io", "TokenReview", "tokenreviews", false),
    kind("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews", true),
    kind("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    kind("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    kind("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", false),
    kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    kind("batch", "CronJob", "cronjobs", true),
    kind("batch", "Job", "jobs", true),
    kind("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests", false),
    kind("coordination.k8s.io", "Lease", "leases", true),
    kind("coordination.k8s.io", "LeaseCandidate", "leasecandidates", true),
    kind("discovery.k8s.io", "EndpointSlice", "endpointslices", true),
    kind("events.k8s.io", "Event", "events", true),
    kind("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas", false),
    kind("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "prioritylevelconfigurations", false),
    kind("internal.apiserver.k8s.io", "StorageVersion", "storageversions", false),
    kind("networking.k8s.io", "IPAddress", "ipaddresses", false),
    kind("networking.k8s.io", "Ingress", "ingresses", true),
    kind("networking.k8s.io", "IngressClass", "ingressclasses", false),
    kind("networking.k8s.io", "NetworkPolicy", "networkpolicies", true),
    kind("networking.k8s.io", "ServiceCIDR", "servicecidrs", false),
    kind("node.k8s.io", "RuntimeClass", "runtimeclasses", false),
    kind("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
    kind("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    kind("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false),
    kind("rbac.authorization.k8s.io", "Role", "roles", true),
    kind("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    kind("resource.k8s.io", "DeviceClass", "deviceclasses", false),
    kind("resource.k8s.io", "DeviceTaintRule", "devicetaintrules", false),
    kind("resource.k8s.io", "ResourceClaim", "resourceclaims", true),
    kind("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates", true),
    kind("resource.k8s.io", "ResourcePoolStatusRequest", "resourcepoolstatusrequests", false),
    kind("resource.k8s.io", "ResourceSlice", "resourceslices", false),
    kind("scheduling.k8s.io", "PriorityClass", "priorityclasses", false),
    kind("storage.k8s.io", "CSIDriver", "csidrivers", false),
    kind("storage.k8s.io", "CSINode", "csinodes", false),
    kind("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities", true),
    kind("storage.k8s.io", "StorageClass", "storageclasses", false),
    kind("storage.k8s.io", "VolumeAttachment", "volumeattachments", false),
    kind("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses", false),
];

/// The built-in kind of this group and name.
pub fn builtin(group: &str, kind: &str) -> Option<&'static Builtin> {
    BUILTINS.binary_search_by(|b| (b.group, b.kind).cmp(&(group, kind))).ok().and_then(|i| BUILTINS.get(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_name() {
        for b in BUILTINS {
            assert_eq!(builtin(b.group, b.kind), Some(b), "{b:?}");
        }
        assert_eq!(builtin("apps", "Deployment").map(|b| (b.plural, b.namespaced)), Some(("deployments", true)));
        assert_eq!(builtin("", "Deployment"), None);
    }
}
