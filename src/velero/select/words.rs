//! The reasons of a selection in words, each with a stable short one. pure

use super::{Decision, Left, Plan, Unsure};
use crate::{
    object::{EXCLUDE_LABEL, ObjectId},
    velero::scope::{Kinds, Why},
};

fn said(reason: &'static str, message: impl Into<String>) -> Why {
    Why { reason, message: message.into() }
}

/// The reason for a decision.
pub(super) fn why(plan: &Plan<'_, '_>, id: &ObjectId, decision: Decision) -> Why {
    match decision {
        Decision::Listed => said("listed", "the backup lists its kind, and it fits the filters"),
        Decision::Beside(n) if id.gk.is("", "Namespace") => said("namespace_of", format!("it goes along with {}", plan.name_of(n).1)),
        Decision::Beside(n) => said("beside", beside(plan, id, n)),
        Decision::Left(left) => self::left(plan, id, left),
        Decision::Unsure(unsure) => self::unsure(plan, unsure),
    }
}

fn beside(plan: &Plan<'_, '_>, id: &ObjectId, n: usize) -> String {
    let (kind, name) = plan.name_of(n);
    match (&*id.gk.kind, &*kind) {
        ("PersistentVolumeClaim", "Pod") => format!("{name} mounts it"),
        ("Pod", "PersistentVolumeClaim") => format!("it mounts {name}"),
        ("PersistentVolumeClaim", _) => format!("it is of the same volume group as {name}"),
        ("PersistentVolume", _) => format!("{name} is bound to it"),
        ("PriorityClass", _) => format!("{name} has this class"),
        ("CustomResourceDefinition", _) => format!("it defines the kind of {name}"),
        ("ClusterRole" | "ClusterRoleBinding", _) => format!("it gives rights to {name}"),
        _ => format!("it goes along with {name}"),
    }
}

fn left(plan: &Plan<'_, '_>, id: &ObjectId, left: Left) -> Why {
    let namespace = id.namespace.as_deref().unwrap_or(&id.name);
    match left {
        Left::Refused => said("refused", format!("Velero refuses these filters: {}", plan.problems().join("; "))),
        Left::Verbs => said("never_backed_up", "Velero takes no kind that cannot be listed, read, created and deleted"),
        Left::Terminating => said("terminating", "objects that are being deleted never enter a backup"),
        Left::ExcludedLabel => said("excluded_label", format!("it is labelled {EXCLUDE_LABEL}=true")),
        Left::Namespace => said("namespace_filter", format!("namespace {namespace} is not in the backup's scope")),
        Left::LabelledNamespace => said("excluded_namespace", format!("namespace {namespace} is labelled {EXCLUDE_LABEL}=true")),
        Left::Kind => said("kind_filter", "its kind is not in the backup's scope"),
        Left::ClusterScopeOff => said("cluster_scope_off", "includeClusterResources is false"),
        Left::ClusterScope => said("cluster_scope", cluster_scope(plan)),
        Left::Selector => said("label_selector", "its labels are not those that the backup selects"),
        Left::Unlistable => said("label_selector_fails", "the backup's label selector is empty or wrong, so Velero's lists fail and find nothing"),
        Left::EmptyNamespace => said("empty_namespace", "the backup selects nothing in this namespace"),
        Left::Fails => said("claim_missing", "it mounts a claim that does not exist, and with a resource policy Velero then fails on the Pod"),
        Left::NotYet => said("not_yet", "it was made after the backup began"),
        Left::OtherGroup => said("other_group", "Velero takes the same objects under another group"),
    }
}

fn cluster_scope(plan: &Plan<'_, '_>) -> String {
    let trap = if plan.is_unfiltered_trap() { " although it names no filter at all (so since Velero 1.17)" } else { "" };
    format!("the backup takes cluster-scoped objects only beside others{trap}, and none leads to it; set {}", plan.healing_line())
}

fn unsure(plan: &Plan<'_, '_>, unsure: Unsure) -> Why {
    match unsure {
        Unsure::Spec => said("spec_unknown", "what the backup was asked to hold is not known; put its velero-backup.json beside the archive"),
        Unsure::Word => said("kind_name", "a word of the filters may mean this kind or another; write plural.group there"),
        Unsure::Policy => said("resource_policy", "the resource policy that the backup names may change what is taken, and cannot be read"),
        Unsure::Snapshot => said("volume_snapshot", "Velero takes the snapshots and data uploads that it makes itself, and no others"),
        Unsure::Beside(n) => said("related_only", format!("it goes along with {}, of which it cannot be said", plan.name_of(n).1)),
        Unsure::Pods => said("pods_unread", "it goes along with Pods that use it, and which do was not read"),
        Unsure::Label => said("label_not_kept", "the backup selects by a label that Velero itself writes, and which is not kept"),
        Unsure::Written => said("written_since", "it goes along with objects that were written since, and what they led to then is not known"),
        Unsure::Unread => said("kinds_unread", "it may go along with objects of a kind that was not read"),
    }
}

impl Plan<'_, '_> {
    /// The one line in the spec that makes the backup take all cluster-scoped objects.
    pub fn healing_line(&self) -> &'static str {
        match self.scope.kinds {
            Kinds::Old { .. } => "includeClusterResources: true",
            _ => "includedClusterScopedResources: [\"*\"]",
        }
    }
}
