//! Differences that mean nothing, as data: which kind, which path, under which condition, and who says so. pure

use serde_json::Value;

use crate::object::Gvk;

/// One rule. It covers its path and everything below it.
#[derive(Debug)]
pub struct Rule {
    /// Stable name, shown and counted.
    pub name: &'static str,
    /// Why it exists, for people.
    pub reason: &'static str,
    /// Who says so: the source that writes the field.
    pub source: &'static str,
    /// Group and kind; empty means any.
    kinds: &'static [(&'static str, &'static str)],
    /// Paths. `*` at the end of a step stands for any rest of it.
    paths: &'static [&'static [&'static str]],
    on: On,
    when: When,
}

/// Which differences a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Only the observed side has it, or Git leaves it empty.
    Extra,
    /// The same, unless a person put it there.
    ExtraUnlessPerson,
    /// Any difference.
    Any,
}

/// Under which condition a rule holds.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    /// The observed role is aggregated by its controller.
    Aggregated,
    /// Git has no certificate there: nothing, white space or a placeholder.
    NoBundleInGit,
    /// The observed leaf belongs to one of these managers.
    OwnedBy(&'static [&'static str]),
}

/// Who owns the leaf at hand.
#[derive(Clone, Copy, Debug)]
pub struct Ownership<'a> {
    /// Whether a person owns it.
    pub by_person: bool,
    /// Managers that own it.
    pub managers: &'a [String],
}

/// What is known of the leaf at hand.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The kind.
    pub gvk: &'a Gvk,
    /// Schema path; list items stand as `*`.
    pub path: &'a [&'a str],
    /// What Git sets, if it sets something that is not empty.
    pub desired: Option<&'a Value>,
    /// The observed object.
    pub observed_root: &'a Value,
}

const WEBHOOKS: &[(&str, &str)] =
    &[("admissionregistration.k8s.io", "MutatingWebhookConfiguration"), ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration")];

/// All rules, the more particular ones first.
pub const RULES: &[Rule] = &[
    Rule {
        name: "tracking",
        reason: "a deployer's own mark on what it deployed",
        source: "Argo CD util/argo/resource_tracking.go; Flux kustomize-controller and helm-controller owner labels; Helm pkg/action/validate.go; KEP-3659 (ApplySet); kapp pkg/kapp/config/default.go; Rancher wrangler objectset; Config Sync inventory.",
        kinds: &[],
        paths: &[
            &["metadata", "annotations", "argocd.argoproj.io/tracking-id"],
            &["metadata", "annotations", "argocd.argoproj.io/installation-id"],
            &["metadata", "labels", "argocd.argoproj.io/instance"],
            &["metadata", "labels", "kustomize.toolkit.fluxcd.io/*"],
            &["metadata", "annotations", "kustomize.toolkit.fluxcd.io/*"],
            &["metadata", "labels", "helm.toolkit.fluxcd.io/*"],
            &["metadata", "annotations", "meta.helm.sh/*"],
            &["metadata", "labels", "applyset.kubernetes.io/*"],
            &["metadata", "annotations", "applyset.kubernetes.io/*"],
            &["metadata", "labels", "kapp.k14s.io/*"],
            &["metadata", "annotations", "kapp.k14s.io/*"],
            &["metadata", "labels", "objectset.rio.cattle.io/*"],
            &["metadata", "annotations", "objectset.rio.cattle.io/*"],
            &["metadata", "annotations", "config.k8s.io/owning-inventory"],
            &["metadata", "annotations", "configmanagement.gke.io/*"],
            &["metadata", "annotations", "configsync.gke.io/*"],
        ],
        on: On::Extra,
        when: When::Always,
    },
    Rule {
        name: "tracking",
        reason: "a deployer's own mark on what it deployed",
        source: "Helm 3 adds the first (pkg/action/validate.go setMetadataVisitor), Argo CD's label tracking the second.",
        kinds: &[],
        paths: &[&["metadata", "labels", "app.kubernetes.io/managed-by"], &["metadata", "labels", "app.kubernetes.io/instance"]],
        on: On::ExtraUnlessPerson,
        when: When::Always,
    },
    Rule {
        name: "bookkeeping",
        reason: "a controller's or a tool's own notes",
        source: "pkg/controller/deployment/util (revision), pkg/controller/daemon (template generation), kubectl --record, Rancher.",
        kinds: &[],
        paths: &[
            &["metadata", "annotations", "deployment.kubernetes.io/*"],
            &["metadata", "annotations", "deprecated.daemonset.template.generation"],
            &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"],
            &["metadata", "annotations", "kubernetes.io/change-cause"],
            &["metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"],
            &["metadata", "annotations", "autoscaling.alpha.kubernetes.io/*"],
            &["metadata", "annotations", "field.cattle.io/*"],
            &["metadata", "annotations", "lifecycle.cattle.io/*"],
            &["metadata", "annotations", "openshift.io/sa.scc.*"],
        ],
        on: On::Extra,
        when: When::Always,
    },
    Rule {
        name: "bookkeeping",
        reason: "a controller's or a tool's own notes",
        source: "A manifest that was exported from a cluster carries it; the controller counts on.",
        kinds: &[("apps", "Deployment"), ("apps", "ReplicaSet"), ("apps", "DaemonSet")],
        paths: &[
            &["metadata", "annotations", "deployment.kubernetes.io/revision"],
            &["metadata", "annotations", "deprecated.daemonset.template.generation"],
        ],
        on: On::Any,
        when: When::Always,
    },
    Rule {
        name: "namespace_name_label",
        reason: "the API server labels every namespace with its name",
        source: "SetDefaults_Namespace",
        kinds: &[("", "Namespace")],
        paths: &[&["metadata", "labels", "kubernetes.io/metadata.name"]],
        on: On::Extra,
        when: When::Always,
    },
    Rule {
        name: "aggregated_role",
        reason: "the rules of an aggregated ClusterRole are filled in by its controller",
        source: "pkg/controller/clusterroleaggregation",
        kinds: &[("rbac.authorization.k8s.io", "ClusterRole")],
        paths: &[&["rules"]],
        on: On::Any,
        when: When::Aggregated,
    },
    Rule {
        name: "ca_bundle",
        reason: "a certificate that Git leaves out is injected by a controller (cert-manager, Istio, an operator)",
        source: "cert-manager cainjector, istiod, operators that patch their own webhooks; kapp and Fleet do the same",
        kinds: WEBHOOKS,
        paths: &[&["webhooks", "*", "clientConfig", "caBundle"]],
        on: On::Any,
        when: When::NoBundleInGit,
    },
    Rule {
        name: "ca_bundle",
        reason: "a certificate that Git leaves out is injected by a controller (cert-manager, Istio, an operator)",
        source: "cert-manager cainjector, istiod, operators that patch their own webhooks; kapp and Fleet do the same",
        kinds: &[("apiextensions.k8s.io", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService")],
        paths: &[&["spec", "conversion", "webhook", "clientConfig", "caBundle"], &["spec", "caBundle"]],
        on: On::Any,
        when: When::NoBundleInGit,
    },
    Rule {
        name: "webhook_failure_policy",
        reason: "the webhook's own controller sets the policy once the webhook answers",
        source: "istio pilot/pkg/bootstrap webhook patching; kube-webhook-certgen (ingress-nginx, kube-prometheus-stack)",
        kinds: WEBHOOKS,
        paths: &[&["webhooks", "*", "failurePolicy"]],
        on: On::Any,
        when: When::OwnedBy(&["pilot-discovery", "kube-webhook-certgen"]),
    },
    Rule {
        name: "volume_binding",
        reason: "the volume binder writes what it bound",
        source: "pkg/controller/volume/persistentvolume, external-provisioner, external-attacher; defaultStorageClass admission",
        kinds: &[("", "PersistentVolumeClaim"), ("", "PersistentVolume")],
        paths: &[
            &["spec", "volumeName"],
            &["spec", "storageClassName"],
            &["spec", "claimRef"],
            &["metadata", "annotations", "pv.kubernetes.io/*"],
            &["metadata", "annotations", "volume.kubernetes.io/*"],
            &["metadata", "annotations", "volume.beta.kubernetes.io/*"],
            &["metadata", "finalizers"],
        ],
        on: On::Extra,
        when: When::Always,
    },
    Rule {
        name: "volume_expansion",
        reason: "the controller that expanded the volume wrote its new size",
        source: "pkg/controller/volume/expand, external-resizer",
        kinds: &[("", "PersistentVolume"), ("", "PersistentVolumeClaim")],
        paths: &[&["spec", "capacity"], &["spec", "resources", "requests"]],
        on: On::Any,
        when: When::OwnedBy(&["kube-controller-manager", "csi-resizer", "external-resizer"]),
    },
    Rule {
        name: "service_allocation",
        reason: "addresses and ports that the API server allocates when Git sets none",
        source: "pkg/registry/core/service/storage/alloc.go",
        kinds: &[("", "Service")],
        paths: &[
            &["spec", "clusterIP"],
            &["spec", "clusterIPs"],
            &["spec", "ipFamilies"],
            &["spec", "ipFamilyPolicy"],
            &["spec", "healthCheckNodePort"],
            &["spec", "ports", "*", "nodePort"],
        ],
        on: On::ExtraUnlessPerson,
        when: When::Always,
    },
    Rule {
        name: "service_account_secrets",
        reason: "token and pull secrets are appended by their controllers",
        source: "pkg/controller/serviceaccount/tokens_controller.go (before 1.24), OpenShift's image registry",
        kinds: &[("", "ServiceAccount")],
        paths: &[&["secrets"], &["imagePullSecrets"]],
        on: On::ExtraUnlessPerson,
        when: When::Always,
    },
    Rule {
        name: "job_identity",
        reason: "the API server gives every Job a selector and labels of its own",
        source: "pkg/registry/batch/job/strategy.go generateSelector",
        kinds: &[("batch", "Job")],
        paths: &[
            &["spec", "selector"],
            &["spec", "template", "metadata", "labels", "controller-uid"],
            &["spec", "template", "metadata", "labels", "job-name"],
            &["spec", "template", "metadata", "labels", "batch.kubernetes.io/*"],
            &["metadata", "labels", "controller-uid"],
            &["metadata", "labels", "job-name"],
            &["metadata", "labels", "batch.kubernetes.io/*"],
            &["metadata", "annotations", "batch.kubernetes.io/*"],
        ],
        on: On::Extra,
        when: When::Always,
    },
    Rule {
        name: "claim_template",
        reason: "the API server writes type and status into claim templates",
        source: "pkg/apis/apps/v1/conversion.go",
        kinds: &[("apps", "StatefulSet")],
        paths: &[
            &["spec", "volumeClaimTemplates", "*", "apiVersion"],
            &["spec", "volumeClaimTemplates", "*", "kind"],
            &["spec", "volumeClaimTemplates", "*", "status"],
        ],
        on: On::Any,
        when: When::Always,
    },
    Rule {
        name: "velero_writes",
        reason: "Velero itself changes this field",
        source: "pkg/controller/schedule_controller.go (resets skipImmediately), pkg/controller/backup_storage_location_controller.go (one default)",
        kinds: &[("velero.io", "Schedule")],
        paths: &[&["spec", "skipImmediately"]],
        on: On::Any,
        when: When::Always,
    },
    Rule {
        name: "velero_writes",
        reason: "Velero itself changes this field",
        source: "velero pkg/controller/schedule_controller.go (resets skipImmediately), pkg/controller/backup_storage_location_controller.go (one default)",
        kinds: &[("velero.io", "BackupStorageLocation")],
        paths: &[&["spec", "default"]],
        on: On::Any,
        when: When::Always,
    },
];

impl Rule {
    /// The kinds that the rule speaks of, for people.
    pub fn kinds(&self) -> String {
        let name = |(group, kind): &(&str, &str)| if group.is_empty() { (*kind).to_owned() } else { format!("{kind}.{group}") };
        if self.kinds.is_empty() { "any".into() } else { self.kinds.iter().map(name).collect::<Vec<_>>().join(", ") }
    }

    /// Where it holds, for people.
    pub fn places(&self) -> Vec<String> {
        self.paths.iter().map(|p| p.join(".")).collect()
    }

    /// On which differences and under which condition it holds, for people.
    pub fn condition(&self) -> String {
        let on = match self.on {
            On::Extra => "Git sets nothing there",
            On::ExtraUnlessPerson => "Git sets nothing there and no person owns it",
            On::Any => "any difference",
        };
        match self.when {
            When::Always => on.to_owned(),
            When::Aggregated => format!("{on}, if the role has an aggregationRule"),
            When::NoBundleInGit => format!("{on}, if Git has no certificate there"),
            When::OwnedBy(managers) => format!("{on}, if owned by {}", managers.join(" or ")),
        }
    }

    /// Whether the rule asks who owns the leaf. That costs the reading of managedFields, so the other rules are asked first.
    pub fn asks_owner(&self) -> bool {
        self.on == On::ExtraUnlessPerson || matches!(self.when, When::OwnedBy(_))
    }

    /// Whether the rule covers this difference; `owner` must be there for rules that ask for it.
    pub fn covers(&self, facts: &Facts<'_>, owner: Option<Ownership<'_>>) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.iter().any(|(group, kind)| facts.gvk.gk.is(group, kind));
        kind && self.paths.iter().any(|p| below(p, facts.path)) && self.on_holds(facts, owner) && self.when.holds(facts, owner)
    }

    fn on_holds(&self, facts: &Facts<'_>, owner: Option<Ownership<'_>>) -> bool {
        match self.on {
            On::Any => true,
            On::Extra => facts.desired.is_none(),
            On::ExtraUnlessPerson => facts.desired.is_none() && owner.is_some_and(|o| !o.by_person),
        }
    }
}

impl When {
    fn holds(self, facts: &Facts<'_>, owner: Option<Ownership<'_>>) -> bool {
        match self {
            Self::Always => true,
            Self::Aggregated => facts.observed_root.get("aggregationRule").is_some_and(|r| !r.is_null()),
            Self::NoBundleInGit => facts.desired.is_none_or(|d| !is_certificate(d)),
            Self::OwnedBy(managers) => owner.is_some_and(|o| o.managers.iter().any(|m| managers.contains(&m.as_str()))),
        }
    }
}

/// Whether `path` is at or below a rule's path. A leaf above it holds more than the rule speaks of, so it is not covered.
fn below(rule: &[&str], path: &[&str]) -> bool {
    path.len() >= rule.len()
        && rule.iter().zip(path).all(|(r, p)| match r.strip_suffix('*') {
            Some(prefix) => p.starts_with(prefix),
            None => r == p,
        })
}

/// Whether this is a PEM certificate in base64, by its first characters (`-----BEGIN`).
fn is_certificate(value: &Value) -> bool {
    value.as_str().is_some_and(|t| t.trim_start().starts_with("LS0tLS1CRUdJT"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_covers_its_path_and_below_and_nothing_beside() {
        let path = |p: &str| p.split('|').map(str::to_owned).collect::<Vec<_>>();
        for (rule, leaf, covered) in [
            ("a|b", "a|b", true),
            ("a|b", "a|b|c", true),
            ("a|b", "a", false),
            ("a|b", "a|bc", false),
            ("a|b.io/*", "a|b.io/x", true),
            ("a|b.io/*", "a|b.iox", false),
            ("w|*|c", "w|*|c", true),
        ] {
            let (rule, leaf) = (path(rule), path(leaf));
            let refs = |v: &[String]| v.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
            let (r, l) = (refs(&rule), refs(&leaf));
            let (r, l): (Vec<&str>, Vec<&str>) = (r.iter().map(String::as_str).collect(), l.iter().map(String::as_str).collect());
            assert_eq!(below(&r, &l), covered, "{rule:?} {leaf:?}");
        }
    }

    #[test]
    fn placeholders_are_no_certificates() {
        for (value, yes) in [(json!("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURQ=="), true), (json!("Cg=="), false), (json!("\n"), false), (json!(1), false)] {
            assert_eq!(is_certificate(&value), yes, "{value}");
        }
    }

    #[test]
    fn names_are_stable_words_and_every_rule_says_why() {
        for rule in RULES {
            assert!(rule.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", rule.name);
            assert!(rule.reason.len() > 20 && rule.source.len() > 10 && !rule.paths.is_empty(), "{}", rule.name);
        }
    }
}
