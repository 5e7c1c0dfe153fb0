//! What nobody has to back up, because a controller makes it again: a table of rules, and chains of owners. pure
//!
//! A rule here hides an object from "what would be lost", so each one is narrow: it names what the controller itself writes, and an
//! object that a person changed or made in the same place does not match. Data is never derived: PersistentVolumes and their claims
//! have a manifest that a controller wrote and bytes that nobody can make again.

use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::memo::Memo;
use crate::object::{GroupKind, Object, ObjectId};

/// One rule: the kinds it speaks of and the conditions that must all hold.
pub(super) struct Rule {
    /// Stable name, shown with every count.
    pub name: &'static str,
    /// Why it exists, for people.
    pub reason: &'static str,
    kinds: &'static [(&'static str, &'static str)],
    when: &'static [When],
}

/// One condition.
enum When {
    /// The name is one of these.
    Named(&'static [&'static str]),
    /// The name begins so.
    NameStarts(&'static str),
    /// The namespace is this one.
    In(&'static str),
    /// A label has this value.
    Label(&'static str, &'static str),
    /// A label has one of these values.
    LabelIn(&'static str, &'static [&'static str]),
    /// An annotation is there.
    Annotated(&'static str),
    /// An annotation has this value.
    Annotation(&'static str, &'static str),
    /// The member `type` has this value (Secrets).
    Type(&'static str),
    /// Nothing besides what the server itself writes: no annotations, no labels but the name's, no pull secrets.
    Bare,
    /// The Secret is named as the token controller names those it makes: `<service account>-token-<suffix>`.
    TokenName,
    /// Every writer is the server or the installer of the cluster, and one of them made it.
    OnlyInstallers,
    /// A Service of the same name selects its endpoints.
    ServiceSelects,
}

/// Programs that bring a cluster up. What only these ever wrote, the next installation writes again.
const INSTALLERS: [&str; 2] = ["kube-apiserver", "kubeadm"];
/// Programs of the control plane that add bookkeeping to such objects.
const CONTROL_PLANE: [&str; 5] = ["kube-apiserver", "kubeadm", "kube-controller-manager", "kube-scheduler", "kubelet"];

const RBAC: &[(&str, &str)] = &[
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];
const FLOW_CONTROL: &[(&str, &str)] =
    &[("flowcontrol.apiserver.k8s.io", "FlowSchema"), ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration")];

/// ServiceAccounts of the controller manager (cmd/kube-controller-manager/names and pkg/controller, Kubernetes 1.36).
const CONTROLLER_ACCOUNTS: &[&str] = &[
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "selinux-warning-controller",
    "service-account-controller",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "storage-version-migrator-controller",
    "taint-eviction-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// The rules; the first that matches is the one that is counted. Sources: the controllers named in `reason`.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "event",
        reason: "Events are written by controllers and expire within hours",
        kinds: &[("", "Event"), ("events.k8s.io", "Event")],
        when: &[],
    },
    Rule {
        name: "lease",
        reason: "Leases are heartbeats and elections; their holders write them again",
        kinds: &[("coordination.k8s.io", "Lease"), ("coordination.k8s.io", "LeaseCandidate")],
        when: &[],
    },
    Rule { name: "node", reason: "Nodes are registered by their kubelets", kinds: &[("", "Node"), ("storage.k8s.io", "CSINode")], when: &[] },
    Rule {
        name: "mirror_pod",
        reason: "Mirror pods are written by the kubelet from files on its node",
        kinds: &[("", "Pod")],
        when: &[When::Annotated("kubernetes.io/config.mirror")],
    },
    Rule {
        name: "endpoint_slice",
        reason: "EndpointSlices are made from Services by their controllers",
        kinds: &[("discovery.k8s.io", "EndpointSlice")],
        when: &[When::LabelIn(
            "endpointslice.kubernetes.io/managed-by",
            &["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"],
        )],
    },
    Rule {
        name: "kubernetes_service",
        reason: "The API server publishes itself as default/kubernetes",
        kinds: &[("", "Service"), ("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")],
        when: &[When::In("default"), When::Named(&["kubernetes"])],
    },
    Rule {
        name: "endpoints",
        reason: "Endpoints of a Service with a selector are made by the endpoints controller",
        kinds: &[("", "Endpoints")],
        when: &[When::ServiceSelects],
    },
    Rule {
        name: "root_ca",
        reason: "Every namespace gets the cluster's root certificate from the root CA publisher",
        kinds: &[("", "ConfigMap")],
        when: &[When::Named(&["kube-root-ca.crt"])],
    },
    Rule {
        name: "default_service_account",
        reason: "Every namespace gets a default ServiceAccount; one with pull secrets or annotations of its own is not meant",
        kinds: &[("", "ServiceAccount")],
        when: &[When::Named(&["default"]), When::Bare],
    },
    Rule {
        name: "controller_account",
        reason: "The controller manager makes the ServiceAccounts of its own controllers",
        kinds: &[("", "ServiceAccount")],
        when: &[When::In("kube-system"), When::Named(CONTROLLER_ACCOUNTS), When::Bare],
    },
    Rule {
        name: "service_account_token",
        reason: "Token Secrets are made by the token controller for their ServiceAccounts",
        kinds: &[("", "Secret")],
        when: &[When::Type("kubernetes.io/service-account-token"), When::TokenName],
    },
    Rule {
        name: "helm_release",
        reason: "Helm records a release anew when it installs it",
        kinds: &[("", "Secret")],
        when: &[When::Type("helm.sh/release.v1"), When::NameStarts("sh.helm.release.v1.")],
    },
    Rule {
        name: "bootstrap_rbac",
        reason: "The API server restores its default roles and bindings at every start",
        kinds: RBAC,
        when: &[When::Label("kubernetes.io/bootstrapping", "rbac-defaults")],
    },
    Rule {
        name: "flow_control",
        reason: "The API server keeps its suggested flow control configuration up to date",
        kinds: FLOW_CONTROL,
        when: &[When::Annotation("apf.kubernetes.io/autoupdate-spec", "true")],
    },
    Rule {
        name: "mandatory_flow_control",
        reason: "The API server always restores its mandatory flow control configuration",
        kinds: FLOW_CONTROL,
        when: &[When::Named(&["exempt", "catch-all"])],
    },
    Rule {
        name: "system_priority_class",
        reason: "The API server makes the system PriorityClasses",
        kinds: &[("scheduling.k8s.io", "PriorityClass")],
        when: &[When::Named(&["system-cluster-critical", "system-node-critical"])],
    },
    Rule {
        name: "automanaged_api_service",
        reason: "The API server registers the groups that it serves itself",
        kinds: &[("apiregistration.k8s.io", "APIService")],
        when: &[When::LabelIn("kube-aggregator.kubernetes.io/automanaged", &["onstart", "true"])],
    },
    Rule {
        name: "system_namespace",
        reason: "The API server makes its own namespaces; one that carries labels or annotations of a person is not meant",
        kinds: &[("", "Namespace")],
        when: &[When::Named(&["default", "kube-system", "kube-public", "kube-node-lease"]), When::Bare],
    },
    Rule {
        name: "server_config",
        reason: "The API server publishes its own settings in kube-system",
        kinds: &[("", "ConfigMap")],
        when: &[
            When::In("kube-system"),
            When::Named(&["extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking"]),
        ],
    },
    Rule {
        name: "service_cidr",
        reason: "The API server writes its own service range",
        kinds: &[("networking.k8s.io", "ServiceCIDR")],
        when: &[When::Named(&["kubernetes"])],
    },
    Rule {
        name: "ip_address",
        reason: "IPAddresses are allocated when their Services are made",
        kinds: &[("networking.k8s.io", "IPAddress")],
        when: &[],
    },
    Rule {
        name: "trust_bundle",
        reason: "The cluster publishes the certificates of its own signers",
        kinds: &[("certificates.k8s.io", "ClusterTrustBundle")],
        when: &[When::NameStarts("kubernetes.io:")],
    },
    Rule {
        name: "certificate_request",
        reason: "Requests for certificates are made by those who need them and expire within hours",
        kinds: &[("certificates.k8s.io", "CertificateSigningRequest")],
        when: &[],
    },
    Rule {
        name: "volume_attachment",
        reason: "Volumes are attached by their controller when pods need them",
        kinds: &[("storage.k8s.io", "VolumeAttachment")],
        when: &[],
    },
    Rule {
        name: "computed",
        reason: "The server computes these when they are read; nothing is stored",
        kinds: &[("", "ComponentStatus"), ("metrics.k8s.io", "NodeMetrics"), ("metrics.k8s.io", "PodMetrics")],
        when: &[],
    },
    Rule {
        name: "velero_record",
        reason: "Velero's records are synced from the bucket or made by its next run",
        kinds: &[
            ("velero.io", "Backup"),
            ("velero.io", "Restore"),
            ("velero.io", "DownloadRequest"),
            ("velero.io", "DeleteBackupRequest"),
            ("velero.io", "ServerStatusRequest"),
            ("velero.io", "PodVolumeBackup"),
            ("velero.io", "PodVolumeRestore"),
            ("velero.io", "DataUpload"),
            ("velero.io", "DataDownload"),
            ("velero.io", "BackupRepository"),
            ("velero.io", "ResticRepository"),
        ],
        when: &[],
    },
    Rule {
        name: "installer",
        reason: "Written by the installer of the cluster and by nobody since; the next installation writes it again",
        kinds: &[],
        when: &[When::OnlyInstallers],
    },
];

/// The rule for objects whose owner is recoverable.
pub(super) const OWNED: (&str, &str) = ("owned", "Its controller makes it again from its owner");

/// Kinds whose objects stand for bytes or for credentials that no controller can make again.
fn holds_data(gk: &GroupKind) -> bool {
    gk.is("", "PersistentVolume") || gk.is("", "PersistentVolumeClaim") || &*gk.group == "snapshot.storage.k8s.io"
}

/// Finds the rule that says a controller makes this object again. `service` gives the Service of the same name, if there is one.
pub(super) fn rule_for(object: &Object, service: &dyn Fn(&ObjectId) -> Option<Value>, memo: &Memo) -> Option<&'static Rule> {
    let of_kind = |r: &Rule| {
        if r.kinds.is_empty() { may_be_installed(object) } else { r.kinds.iter().any(|(g, k)| object.id.gk.is(g, k)) }
    };
    if !RULES.iter().any(of_kind) {
        return None;
    }
    let managers = memo.managers(object.meta.managers.as_ref());
    // Endpoints depend on another object, so their answer cannot be remembered by their own content.
    let context = object.id.gk.is("", "Endpoints");
    let find = || {
        let value = OnceCell::new();
        RULES.iter().position(|r| of_kind(r) && r.when.iter().all(|w| w.holds(object, &value, service)))
    };
    let found = if context { find() } else { memo.rule(object.content.print(), managers, find) };
    found.and_then(|n| RULES.get(n))
}

fn may_be_installed(object: &Object) -> bool {
    // A Secret's value differs in the next installation, so what used the old one breaks.
    let installed = |m: &str| INSTALLERS.iter().any(|i| m.contains(i));
    !holds_data(&object.id.gk) && !object.id.gk.is("", "Secret") && object.meta.managers.as_deref().is_some_and(installed)
}

/// The owner whose controller makes an object, if it has one. An owner that is not the controller only decides about garbage.
pub(super) fn owner_of(object: &Object) -> Option<[ObjectId; 2]> {
    if holds_data(&object.id.gk) {
        return None;
    }
    let owner = object.meta.owners.iter().find(|o| o.controller)?;
    let id = ObjectId { gk: owner.gvk.gk.clone(), namespace: object.id.namespace.clone(), name: owner.name.clone() };
    Some([id.clone(), ObjectId { namespace: None, ..id }])
}

impl When {
    fn holds(&self, object: &Object, parsed: &OnceCell<Value>, service: &dyn Fn(&ObjectId) -> Option<Value>) -> bool {
        let value = || parsed.get_or_init(|| object.content.value());
        let id = &object.id;
        match self {
            Self::Named(names) => names.contains(&&*id.name),
            Self::NameStarts(prefix) => id.name.starts_with(prefix),
            Self::In(namespace) => id.namespace.as_deref() == Some(namespace),
            Self::Label(key, want) => member(value(), "labels", key) == Some(want),
            Self::LabelIn(key, wants) => member(value(), "labels", key).is_some_and(|v| wants.contains(&v)),
            Self::Annotated(key) => member(value(), "annotations", key).is_some(),
            Self::Annotation(key, want) => member(value(), "annotations", key) == Some(want),
            Self::Type(want) => value().get("type").and_then(Value::as_str) == Some(want),
            Self::Bare => bare(value()),
            Self::TokenName => {
                let account = member(value(), "annotations", "kubernetes.io/service-account.name");
                let suffix = account.and_then(|a| id.name.strip_prefix(a)?.strip_prefix("-token-"));
                suffix.is_some_and(|s| s.len() == 5 && s.bytes().all(|b| b.is_ascii_alphanumeric()))
            }
            Self::OnlyInstallers => object.meta.managers.as_deref().is_some_and(only_installers),
            Self::ServiceSelects => {
                let of = ObjectId { gk: GroupKind::new("", "Service"), ..id.clone() };
                let selector = |s: Value| s.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
                service(&of).is_some_and(selector)
            }
        }
    }
}

fn member<'v>(value: &'v Value, section: &str, key: &str) -> Option<&'v str> {
    value.get("metadata")?.get(section)?.get(key)?.as_str()
}

fn bare(value: &Value) -> bool {
    let section = |name: &str| value.get("metadata").and_then(|m| m.get(name)).and_then(Value::as_object);
    let empty = |m: Option<&Map<String, Value>>| m.is_none_or(Map::is_empty);
    let own_labels = |m: Option<&Map<String, Value>>| m.is_none_or(|m| m.keys().all(|k| k == "kubernetes.io/metadata.name"));
    let no_pull_secrets = value.get("imagePullSecrets").and_then(Value::as_array).is_none_or(Vec::is_empty);
    empty(section("annotations")) && own_labels(section("labels")) && no_pull_secrets
}

fn only_installers(managers: &str) -> bool {
    let entries: Vec<Value> = serde_json::from_str(managers).unwrap_or_default();
    let names = || entries.iter().filter_map(|e| e.get("manager").and_then(Value::as_str));
    names().count() == entries.len() && names().any(|n| INSTALLERS.contains(&n)) && names().all(|n| CONTROL_PLANE.contains(&n))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::verdict::world::take;

    fn says(value: Value) -> String {
        let service = |id: &ObjectId| match &*id.name {
            "selecting" => Some(json!({"spec":{"selector":{"app":"a"}}})),
            "plain" => Some(json!({"spec":{}})),
            _ => None,
        };
        rule_for(&take(value), &service, &Memo::default()).map_or("none".into(), |r| r.name.into())
    }

    fn object(api: &str, kind: &str, namespace: &str, name: &str, more: Value) -> Value {
        let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":name}});
        if !namespace.is_empty() {
            v["metadata"]["namespace"] = namespace.into();
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            match key.as_str() {
                "labels" | "annotations" | "managedFields" | "ownerReferences" => v["metadata"][key] = value.clone(),
                _ => v[key] = value.clone(),
            }
        }
        v
    }

    /// Every rule in both directions: what it is for, and the nearest thing that a person made.
    fn cases() -> Vec<(&'static str, Value, Value)> {
        let managed = |names: &[&str]| json!({"managedFields": names.iter().map(|n| json!({"manager":n,"operation":"Update"})).collect::<Vec<_>>()});
        let slice = |by: &str| json!({"labels":{"endpointslice.kubernetes.io/managed-by":by}});
        let token = |name: &str, kind: &str| {
            object("v1", "Secret", "shop", name, json!({"type":kind,"annotations":{"kubernetes.io/service-account.name":"robot"}}))
        };
        let rbac = "rbac.authorization.k8s.io/v1";
        let flow = "flowcontrol.apiserver.k8s.io/v1";
        vec![
            ("event", object("v1", "Event", "shop", "e", json!({})), object("audit.example.com/v1", "Event", "shop", "e", json!({}))),
            (
                "lease",
                object("coordination.k8s.io/v1", "Lease", "shop", "l", json!({})),
                object("rent.example.com/v1", "Lease", "shop", "l", json!({})),
            ),
            ("node", object("v1", "Node", "", "n1", json!({})), object("cluster.example.com/v1", "Node", "", "n1", json!({}))),
            (
                "mirror_pod",
                object("v1", "Pod", "kube-system", "etcd", json!({"annotations":{"kubernetes.io/config.mirror":"h"}})),
                object("v1", "Pod", "shop", "bare", json!({})),
            ),
            (
                "endpoint_slice",
                object("discovery.k8s.io/v1", "EndpointSlice", "shop", "a-x", slice("endpointslice-controller.k8s.io")),
                object("discovery.k8s.io/v1", "EndpointSlice", "shop", "a-x", slice("a-person")),
            ),
            (
                "kubernetes_service",
                object("v1", "Service", "default", "kubernetes", json!({})),
                object("v1", "Service", "shop", "kubernetes", json!({})),
            ),
            ("endpoints", object("v1", "Endpoints", "shop", "selecting", json!({})), object("v1", "Endpoints", "shop", "plain", json!({}))),
            (
                "root_ca",
                object("v1", "ConfigMap", "shop", "kube-root-ca.crt", json!({})),
                object("v1", "ConfigMap", "shop", "my-root-ca.crt", json!({})),
            ),
            (
                "default_service_account",
                object("v1", "ServiceAccount", "shop", "default", json!({})),
                object("v1", "ServiceAccount", "shop", "default", json!({"imagePullSecrets":[{"name":"registry"}]})),
            ),
            (
                "controller_account",
                object("v1", "ServiceAccount", "kube-system", "job-controller", json!({})),
                object("v1", "ServiceAccount", "shop", "job-controller", json!({})),
            ),
            (
                "service_account_token",
                token("robot-token-x7k2p", "kubernetes.io/service-account-token"),
                token("robot-for-ci", "kubernetes.io/service-account-token"),
            ),
            (
                "helm_release",
                object("v1", "Secret", "shop", "sh.helm.release.v1.cart.v3", json!({"type":"helm.sh/release.v1"})),
                object("v1", "Secret", "shop", "sh.helm.release.v1.cart.v3", json!({"type":"Opaque"})),
            ),
            (
                "bootstrap_rbac",
                object(rbac, "ClusterRole", "", "view", json!({"labels":{"kubernetes.io/bootstrapping":"rbac-defaults"}})),
                object(rbac, "ClusterRole", "", "system:mine", json!({})),
            ),
            (
                "flow_control",
                object(flow, "FlowSchema", "", "probes", json!({"annotations":{"apf.kubernetes.io/autoupdate-spec":"true"}})),
                object(flow, "FlowSchema", "", "probes", json!({"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}})),
            ),
            ("mandatory_flow_control", object(flow, "FlowSchema", "", "exempt", json!({})), object(flow, "FlowSchema", "", "mine", json!({}))),
            (
                "system_priority_class",
                object("scheduling.k8s.io/v1", "PriorityClass", "", "system-node-critical", json!({})),
                object("scheduling.k8s.io/v1", "PriorityClass", "", "gold", json!({})),
            ),
            (
                "automanaged_api_service",
                object(
                    "apiregistration.k8s.io/v1",
                    "APIService",
                    "",
                    "v1.apps",
                    json!({"labels":{"kube-aggregator.kubernetes.io/automanaged":"onstart"}}),
                ),
                object("apiregistration.k8s.io/v1", "APIService", "", "v1beta1.metrics.k8s.io", json!({})),
            ),
            (
                "system_namespace",
                object("v1", "Namespace", "", "kube-system", json!({"labels":{"kubernetes.io/metadata.name":"kube-system"}})),
                object("v1", "Namespace", "", "default", json!({"labels":{"pod-security.kubernetes.io/enforce":"baseline"}})),
            ),
            (
                "server_config",
                object("v1", "ConfigMap", "kube-system", "extension-apiserver-authentication", json!({})),
                object("v1", "ConfigMap", "shop", "extension-apiserver-authentication", json!({})),
            ),
            (
                "service_cidr",
                object("networking.k8s.io/v1", "ServiceCIDR", "", "kubernetes", json!({})),
                object("networking.k8s.io/v1", "ServiceCIDR", "", "more", json!({})),
            ),
            (
                "ip_address",
                object("networking.k8s.io/v1", "IPAddress", "", "10.0.0.1", json!({})),
                object("ipam.example.com/v1", "IPAddress", "", "10.0.0.1", json!({})),
            ),
            (
                "trust_bundle",
                object("certificates.k8s.io/v1beta1", "ClusterTrustBundle", "", "kubernetes.io:kube-apiserver-serving:a", json!({})),
                object("certificates.k8s.io/v1beta1", "ClusterTrustBundle", "", "company-roots", json!({})),
            ),
            (
                "certificate_request",
                object("certificates.k8s.io/v1", "CertificateSigningRequest", "", "csr-1", json!({})),
                object("cert-manager.io/v1", "CertificateRequest", "shop", "c", json!({})),
            ),
            (
                "volume_attachment",
                object("storage.k8s.io/v1", "VolumeAttachment", "", "va", json!({})),
                object("storage.k8s.io/v1", "StorageClass", "", "fast", json!({})),
            ),
            ("computed", object("metrics.k8s.io/v1beta1", "PodMetrics", "shop", "p", json!({})), object("v1", "Pod", "shop", "p", json!({}))),
            (
                "velero_record",
                object("velero.io/v1", "Backup", "velero", "b", json!({})),
                object("velero.io/v1", "Schedule", "velero", "s", json!({})),
            ),
            (
                "installer",
                object("v1", "ConfigMap", "kube-system", "kubeadm-config", managed(&["kubeadm", "kube-controller-manager"])),
                object("v1", "ConfigMap", "kube-system", "coredns", managed(&["kubeadm", "kubectl-edit"])),
            ),
        ]
    }

    #[test]
    fn every_rule_hits_what_it_is_for_and_misses_what_a_person_made() {
        let mut tested = BTreeSet::new();
        for (rule, hit, miss) in cases() {
            assert_eq!(says(hit.clone()), rule, "{hit}");
            assert_eq!(says(miss.clone()), "none", "{miss}");
            tested.insert(rule);
        }
        let all: BTreeSet<&str> = RULES.iter().map(|r| r.name).collect();
        assert_eq!(tested, all, "every rule has a case");
    }

    #[test]
    fn data_and_credentials_are_never_derived() {
        let owners = json!({"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"u","controller":true}]});
        for (api, kind, namespace) in
            [("v1", "PersistentVolumeClaim", "shop"), ("v1", "PersistentVolume", ""), ("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "shop")]
        {
            let with = |more: Value| object(api, kind, namespace, "data", more);
            assert_eq!(owner_of(&take(with(owners.clone()))), None, "{kind}");
            assert_eq!(says(with(json!({"managedFields":[{"manager":"kube-apiserver"}]}))), "none", "{kind}");
        }
        assert_eq!(says(object("v1", "Secret", "kube-system", "s", json!({"managedFields":[{"manager":"kubeadm"}]}))), "none");
    }

    #[test]
    fn only_a_controller_makes_its_objects_again() {
        let with = |controller: bool| {
            let owners = json!([{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"cart-1","uid":"u","controller":controller}]);
            owner_of(&take(object("v1", "Pod", "shop", "p", json!({"ownerReferences": owners}))))
        };
        assert_eq!(with(false), None);
        let ids = with(true).expect("owned");
        assert_eq!(ids.map(|id| id.to_string()), ["ReplicaSet.apps shop/cart-1", "ReplicaSet.apps cart-1"]);
    }
}
