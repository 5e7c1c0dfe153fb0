//! Every rule in both directions. pure

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
    rule_for(&take(value), &service, &Memo::default()).expect("whole").map_or("none".into(), |r| r.name.into())
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
        ("lease", object("coordination.k8s.io/v1", "Lease", "shop", "l", json!({})), object("rent.example.com/v1", "Lease", "shop", "l", json!({}))),
        ("node", object("v1", "Node", "", "n1", json!({})), object("cluster.example.com/v1", "Node", "", "n1", json!({}))),
        (
            "mirror_pod",
            object("v1", "Pod", "kube-system", "etcd", json!({"annotations":{"kubernetes.io/config.mirror":"h"}})),
            object("v1", "Pod", "shop", "bare", json!({})),
        ),
        (
            "velero_snapshot",
            object("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "shop", "velero-data-x", json!({"labels":{"velero.io/backup-name":"nightly"}})),
            object("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "shop", "before-the-upgrade", json!({})),
        ),
        (
            "endpoint_slice",
            object("discovery.k8s.io/v1", "EndpointSlice", "shop", "a-x", slice("endpointslice-controller.k8s.io")),
            object("discovery.k8s.io/v1", "EndpointSlice", "shop", "a-x", slice("a-person")),
        ),
        ("kubernetes_service", object("v1", "Service", "default", "kubernetes", json!({})), object("v1", "Service", "shop", "kubernetes", json!({}))),
        ("endpoints", object("v1", "Endpoints", "shop", "selecting", json!({})), object("v1", "Endpoints", "shop", "plain", json!({}))),
        ("root_ca", object("v1", "ConfigMap", "shop", "kube-root-ca.crt", json!({})), object("v1", "ConfigMap", "shop", "my-root-ca.crt", json!({}))),
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
        ("velero_record", object("velero.io/v1", "Backup", "velero", "b", json!({})), object("velero.io/v1", "Schedule", "velero", "s", json!({}))),
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
