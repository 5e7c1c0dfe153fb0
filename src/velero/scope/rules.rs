//! Whether a scope covers an object: Velero's selection, kind by kind, with "unknown" wherever the answer is not in the filters. pure

use serde_json::Value;

use super::{
    Coverage, Kinds, Lists, SNAPSHOT_CONTENTS, SNAPSHOTS, Scope, Subject, Why,
    filter::{Resolver, Takes, Tri, namespace_included},
};
use crate::{
    object::EXCLUDE_LABEL,
    velero::{names::Names, selector::labels_of},
};

/// Kinds without the verbs that Velero wants of a kind: list, create, get and delete (pkg/discovery/helper.go `filterByVerbs`).
const WITHOUT_VERBS: [&str; 9] = [
    "bindings",
    "componentstatuses",
    "localsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "subjectaccessreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
    "tokenreviews.authentication.k8s.io",
    "imagereviews.imagepolicy.k8s.io",
];

/// Groups whose kinds are computed and can only be read.
const READ_ONLY_GROUPS: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// Kinds served by two groups: taken once, the first group that is included wins (pkg/backup/backup.go `cohabitatingResources`). The group
/// on the left is listed later.
pub(in crate::velero) const COHABITANTS: [(&str, &str); 5] = [
    ("events.events.k8s.io", "events"),
    ("deployments.extensions", "deployments.apps"),
    ("daemonsets.extensions", "daemonsets.apps"),
    ("replicasets.extensions", "replicasets.apps"),
    ("networkpolicies.extensions", "networkpolicies.networking.k8s.io"),
];

/// Kinds that Velero's own actions pull in beside others, and what pulls them in (pkg/util/actionhelpers,
/// pkg/backup/backup.go `backupCRD`).
const PULLED_IN: [(&str, &str); 7] = [
    ("pods", "a claim in the backup that it mounts"),
    ("persistentvolumeclaims", "a Pod in the backup that mounts it"),
    ("persistentvolumes", "a bound PersistentVolumeClaim in the backup"),
    ("priorityclasses.scheduling.k8s.io", "a Pod in the backup"),
    ("clusterroles.rbac.authorization.k8s.io", "a ServiceAccount in the backup"),
    ("clusterrolebindings.rbac.authorization.k8s.io", "a ServiceAccount in the backup"),
    ("customresourcedefinitions.apiextensions.k8s.io", "a custom resource in the backup"),
];

/// Kinds that the snapshot actions add past every filter (pkg/backup/actions/csi).
pub(in crate::velero) const SNAPSHOT_KINDS: [&str; 3] = [SNAPSHOTS, SNAPSHOT_CONTENTS, "volumesnapshotclasses.snapshot.storage.k8s.io"];

fn out(reason: &'static str, message: impl Into<String>) -> Coverage {
    Coverage::Out(Why { reason, message: message.into() })
}

fn unknown(reason: &'static str, message: impl Into<String>) -> Coverage {
    Coverage::Unknown(Why { reason, message: message.into() })
}

fn maybe(word: &str) -> Coverage {
    unknown("kind_name", format!("whether `{word}` in the filters means this kind is known to the cluster only; write plural.group there"))
}

impl Scope {
    /// Whether Velero was asked to hold an object.
    ///
    /// `In` and `Out` are certain as far as Velero's own code goes; all else is `Unknown` with its reason: label selectors, resource policies,
    /// names that only the cluster can resolve, and cluster-scoped kinds that are taken only beside others.
    pub fn covers(&self, subject: &Subject<'_>, names: &Names) -> Coverage {
        if self.kinds == Kinds::Unknown {
            return unknown("spec_unknown", "what the backup was asked to hold is not known; put its velero-backup.json beside the archive");
        }
        if !self.problems.is_empty() {
            return out("refused", format!("Velero refuses these filters: {}", self.problems.join("; ")));
        }
        if subject.terminating {
            return out("terminating", "objects that are being deleted never enter a backup");
        }
        let computed = subject.resource.split_once('.').is_some_and(|(_, group)| READ_ONLY_GROUPS.contains(&group));
        if computed || WITHOUT_VERBS.contains(&subject.resource) {
            return out("never_backed_up", format!("Velero takes no {}: they cannot be listed, created and deleted", subject.resource));
        }
        if subject.labels.and_then(|l| l.get(EXCLUDE_LABEL)).and_then(Value::as_str) == Some("true") {
            return out("excluded_label", format!("it is labelled {EXCLUDE_LABEL}=true"));
        }
        if let Some((_, first)) = COHABITANTS.iter().find(|(later, _)| *later == subject.resource) {
            let twin = Subject { resource: first, complete: true, ..*subject };
            match self.type_included(&twin, names) {
                Tri::No => {}
                Tri::Yes => return out("other_group", format!("Velero takes the same objects as {first}")),
                Tri::Maybe(word) => return maybe(&word),
            }
        }
        let covered = if subject.resource == "namespaces" {
            self.namespace_object(subject, names)
        } else if subject.namespaced {
            self.namespaced(subject, names)
        } else {
            self.cluster_scoped(subject, names)
        };
        match covered {
            Coverage::Out(why) if why.reason == "kind_filter" && SNAPSHOT_KINDS.contains(&subject.resource) => {
                unknown("volume_snapshot", "Velero takes the snapshots that it makes itself, and no others")
            }
            Coverage::In if self.selection.is_set() => self.selected(subject),
            Coverage::In if subject.labels.is_none() => unknown("labels_unknown", format!("whether it is labelled {EXCLUDE_LABEL} is not known")),
            covered => covered,
        }
    }

    /// What a label selector makes of an object that the other filters let in.
    fn selected(&self, subject: &Subject<'_>) -> Coverage {
        let Some(labels) = subject.labels else { return unknown("labels_unknown", "its labels are not known, and the backup selects by labels") };
        if subject.resource == "namespaces" {
            return if self.selection.matches(&labels_of(labels)) || !self.namespaces_are_everything() {
                Coverage::In
            } else {
                unknown("namespace_content", "the backup takes the Namespace only if it selects anything in it")
            };
        }
        if self.selection.can_list() && self.selection.matches(&labels_of(labels)) {
            return Coverage::In;
        }
        match PULLED_IN.iter().find(|(kind, _)| *kind == subject.resource) {
            Some((_, by)) => unknown("related_only", format!("its labels are not selected, so the backup takes it only beside {by}")),
            None if !self.selection.can_list() => out("label_selector", "Velero cannot list by the backup's label selector, so it finds nothing"),
            None => out("label_selector", "its labels are not those that the backup selects"),
        }
    }

    fn namespaced(&self, subject: &Subject<'_>, names: &Names) -> Coverage {
        let Some(namespace) = &subject.id.namespace else {
            return unknown("no_namespace", "its kind lives in namespaces, and it names none");
        };
        match namespace_included(&self.namespaces, namespace) {
            Tri::Yes => {}
            Tri::No => return out("namespace_filter", format!("namespace {namespace} is not in the backup's scope")),
            Tri::Maybe(word) => return unknown("pattern", format!("whether `{word}` matches {namespace} cannot be said for certain")),
        }
        if let Some(policy) = self.policy_decides(subject, names) {
            return policy;
        }
        match self.type_included(subject, names) {
            Tri::Yes => Coverage::In,
            Tri::No => out("kind_filter", format!("{} are not in the backup's scope", subject.resource)),
            Tri::Maybe(word) => maybe(&word),
        }
    }

    /// Namespaces go by their own rules (`collectNamespaces`, `nsTracker`).
    fn namespace_object(&self, subject: &Subject<'_>, names: &Names) -> Coverage {
        if let Kinds::Old { cluster: Some(false), .. } = self.kinds {
            return out("cluster_scope_off", "includeClusterResources is false, which leaves out Namespace objects too");
        }
        if let Some(policy) = self.policy_decides(subject, names) {
            return policy;
        }
        match self.type_included(subject, names) {
            Tri::Yes => {}
            Tri::No => return out("kind_filter", "Namespace objects are not in the backup's scope"),
            Tri::Maybe(word) => return maybe(&word),
        }
        let name = &*subject.id.name;
        match namespace_included(&self.namespaces, name) {
            Tri::Yes => Coverage::In,
            Tri::Maybe(word) => unknown("pattern", format!("whether `{word}` matches {name} cannot be said for certain")),
            Tri::No if self.selection.is_set() && subject.labels.is_some_and(|l| self.selection.matches(&labels_of(l))) => Coverage::In,
            Tri::No => out("namespace_filter", format!("namespace {name} is not in the backup's scope")),
        }
    }

    fn cluster_scoped(&self, subject: &Subject<'_>, names: &Names) -> Coverage {
        if let Some(policy) = self.policy_decides(subject, names) {
            return policy;
        }
        let included = self.type_included(subject, names);
        match (included, self.type_excluded(subject, names)) {
            (Tri::Yes, _) => Coverage::In,
            (Tri::Maybe(word), _) | (_, Tri::Maybe(word)) => maybe(&word),
            (Tri::No, Tri::Yes) => match self.kinds {
                Kinds::Old { cluster: Some(false), .. } => out("cluster_scope_off", "includeClusterResources is false"),
                _ => out("kind_filter", format!("{} are not in the backup's scope", subject.resource)),
            },
            (Tri::No, Tri::No) => match PULLED_IN.iter().find(|(kind, _)| *kind == subject.resource) {
                Some((_, by)) => unknown("related_only", format!("the backup takes it only beside {by}, if at all; its archive tells")),
                None => out("cluster_scope", self.cluster_scope_message()),
            },
        }
    }

    fn cluster_scope_message(&self) -> String {
        let way = match self.kinds {
            Kinds::New { .. } => "includedClusterScopedResources: [\"*\"]",
            _ => "includeClusterResources: true",
        };
        let trap = if self.is_unfiltered_trap() { " although it names no filter at all (so since Velero 1.17)" } else { "" };
        format!("the backup takes cluster-scoped objects only beside others{trap}; set {way}")
    }

    /// An include and exclude policy may change the new kind filters, and it lies in a ConfigMap that is not read. What the spec itself
    /// excludes stays excluded (`CombineWithPolicy`). With the old filters such a policy is refused, so there it has volumes in it only.
    fn policy_decides(&self, subject: &Subject<'_>, names: &Names) -> Option<Coverage> {
        let (Some(policy), Kinds::New { .. }) = (&self.policy, &self.kinds) else { return None };
        Some(match self.type_excluded(subject, names) {
            Tri::Yes => out("kind_filter", format!("{} are not in the backup's scope", subject.resource)),
            Tri::Maybe(word) => maybe(&word),
            Tri::No => unknown("resource_policy", format!("resource policy {policy} may change what is taken, and is not read")),
        })
    }

    /// `ShouldInclude` of both generations: whether a kind is listed.
    pub(in crate::velero) fn type_included(&self, subject: &Subject<'_>, names: &Names) -> Tri {
        let resolver = |takes| Resolver { names, subject, takes };
        match &self.kinds {
            Kinds::Unknown => Tri::No,
            Kinds::Old { kinds, cluster } => {
                if !subject.namespaced && *cluster == Some(false) {
                    return Tri::No;
                }
                if !subject.namespaced && subject.resource != "namespaces" && cluster.is_none() && !self.namespaces_are_everything() {
                    return Tri::No;
                }
                resolver(Takes::Both).includes(kinds)
            }
            Kinds::New { namespaced, .. } if subject.namespaced => resolver(Takes::Namespaced).includes(namespaced),
            Kinds::New { namespaced, cluster } => {
                let resolver = resolver(Takes::Cluster);
                let everything = |lists: &Lists| lists.exclude.is_empty() && lists.include.iter().all(|i| i == "*");
                resolver.matches(&cluster.exclude).not().and(|| {
                    if cluster.is_empty() && self.namespaces_are_everything() && everything(namespaced) || subject.resource == "namespaces" {
                        Tri::Yes
                    } else {
                        resolver.matches(&cluster.include)
                    }
                })
            }
        }
    }

    /// `ShouldExclude` of both generations: the weaker test, for what others pull in.
    pub(in crate::velero) fn type_excluded(&self, subject: &Subject<'_>, names: &Names) -> Tri {
        let resolver = |takes| Resolver { names, subject, takes };
        match &self.kinds {
            Kinds::Unknown => Tri::No,
            Kinds::Old { kinds, cluster } => {
                let resolver = resolver(Takes::Both);
                resolver.matches(&kinds.exclude).or(|| match cluster {
                    _ if subject.namespaced => Tri::No,
                    Some(false) => Tri::Yes,
                    Some(true) => Tri::No,
                    None => resolver.includes(kinds).not(),
                })
            }
            Kinds::New { namespaced, .. } if subject.namespaced => resolver(Takes::Namespaced).matches(&namespaced.exclude),
            Kinds::New { cluster, .. } => resolver(Takes::Cluster).matches(&cluster.exclude),
        }
    }
}
