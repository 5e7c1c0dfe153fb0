//! What a backup was asked to hold: Velero's namespace and kind filters, and whether an object falls under them. pure
//!
//! Sources: pkg/controller/backup_controller.go `prepareBackupRequest` (defaulting), pkg/util/collections/includes_excludes.go (filters),
//! pkg/backup/item_collector.go (what is listed), pkg/backup/item_backupper.go `itemInclusionChecks` (what is then kept). Velero's own
//! actions are known here; plugins of other makers may add or leave out anything, so a scope predicts and an archive is the fact.

mod filter;
mod rules;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub(in crate::velero) use self::{
    filter::Tri,
    rules::{COHABITANTS, SNAPSHOT_KINDS},
};

use crate::{
    object::{ObjectId, Text},
    velero::{names::Name, namespaces::refused, selector::Selection},
    witness::Failure,
};

/// The filters of one backup, defaulted as Velero does. The default value knows nothing and covers nothing for certain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub(super) namespaces: Lists,
    pub(super) kinds: Kinds,
    pub(super) selection: Selection,
    /// The ConfigMap with resource policies, in Velero's namespace.
    pub(super) policy: Option<Text>,
    /// `spec.volumeGroupSnapshotLabelKey`: claims that share a value are taken together.
    pub(super) group_label: Option<Text>,
    /// `spec.volumeSnapshotLocations`: each must exist, also if snapshots are off.
    pub(super) snapshot_locations: Vec<String>,
    /// Whether these are the filters of a backup that has started, into which Velero wrote its own.
    pub(super) effective: bool,
    /// Whether the namespaces come to all there are, if the cluster was asked.
    everything: Option<bool>,
    problems: Vec<String>,
}

/// The label by which claims are grouped if nothing names another (pkg/apis/velero/v1/labels_annotations.go).
const VOLUME_GROUP: &str = "velero.io/volume-group";

/// An include list and an exclude list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
}

/// The two generations of kind filters; they cannot be mixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Kinds {
    #[default]
    Unknown,
    Old {
        kinds: Lists,
        cluster: Option<bool>,
    },
    New {
        namespaced: Lists,
        cluster: Lists,
    },
}

/// Why an object is in or out of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Stable snake_case word.
    pub reason: &'static str,
    /// For people, one sentence.
    pub message: String,
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        Self::new(why.reason, why.message)
    }
}

/// Whether an object is in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Velero was asked to hold it.
    In,
    /// Velero was asked not to, or never does.
    Out(Why),
    /// It depends on what is not known here.
    Unknown(Why),
}

/// An object as far as filters look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object.
    pub id: &'a ObjectId,
    /// Plural and group as Velero writes them: `deployments.apps`, `pods`.
    pub resource: &'a str,
    /// Whether its kind lives in namespaces.
    pub namespaced: bool,
    /// Whether all short names of its kind are known ([`Name::complete`]).
    pub complete: bool,
    /// `metadata.labels`; `None` if they are not known. An object without labels has an empty mapping.
    pub labels: Option<&'a Map<String, Value>>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

impl<'a> Subject<'a> {
    /// An object of a kind whose names are known. Labels are not known yet.
    pub fn new(id: &'a ObjectId, name: &'a Name) -> Self {
        Self { id, resource: &name.resource, namespaced: name.namespaced, complete: name.complete, labels: None, terminating: false }
    }
}

/// What Velero 1.17 and later leave out by itself (`autoExcludeNamespaceScopedResources`, `autoExcludeClusterScopedResources`).
const SNAPSHOTS: &str = "volumesnapshots.snapshot.storage.k8s.io";
const SNAPSHOT_CONTENTS: &str = "volumesnapshotcontents.snapshot.storage.k8s.io";

/// What Velero adds to a spec by itself when its backup begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// Velero 1.17 and later exclude snapshots and their contents, which they take by other ways.
    #[default]
    ExcludeSnapshots,
    /// Velero up to 1.16 adds all namespaces only.
    Namespaces,
}

impl Defaults {
    /// What the effective spec of a backup that began shows.
    pub fn shown_by(spec: &Value) -> Self {
        let scope = Scope::read(spec);
        let excludes = |lists: &Lists, kind: &str| lists.exclude.iter().any(|e| e == kind);
        let own = match &scope.kinds {
            Kinds::Unknown => true,
            Kinds::Old { kinds, .. } => excludes(kinds, SNAPSHOTS) && excludes(kinds, SNAPSHOT_CONTENTS),
            Kinds::New { namespaced, cluster } => excludes(namespaced, SNAPSHOTS) && excludes(cluster, SNAPSHOT_CONTENTS),
        };
        if own { Self::ExcludeSnapshots } else { Self::Namespaces }
    }
}

impl Scope {
    /// The scope of a Backup. A backup that has started carries its *effective* spec, written back by Velero, and is taken as it is;
    /// one that has not is defaulted as Velero 1.17 and later will.
    pub fn of_backup(spec: &Value, started: bool) -> Self {
        let mut scope = Self::read(spec);
        scope.effective = started;
        if started {
            // It was let pass, and what Velero adds afterwards is not checked again: a star beside its own exclusions, for one.
            scope.problems.clear();
        } else {
            scope.fill_defaults(Defaults::default());
            scope.check_namespaces();
        }
        scope
    }

    /// The scope that a Schedule's template will have when Velero 1.17 or later runs it, with the namespaces that are labelled to be left out.
    pub fn of_template(spec: &Value, excluded_namespaces: &[Text]) -> Self {
        Self::of_template_by(spec, excluded_namespaces, Defaults::default())
    }

    /// The same by what Velero adds.
    pub fn of_template_by(spec: &Value, excluded_namespaces: &[Text], defaults: Defaults) -> Self {
        let mut scope = Self::read(spec);
        scope.leave_out(excluded_namespaces.iter());
        scope.fill_defaults(defaults);
        scope.check_namespaces();
        scope
    }

    /// The same scope, with the namespaces that are labelled to be left out, as it will be when its backup starts.
    pub(super) fn at_start(&self, labelled: &[Text]) -> Self {
        let mut scope = self.clone();
        if !scope.effective {
            scope.leave_out(labelled.iter());
            scope.check_namespaces();
        }
        scope
    }

    fn leave_out<'t>(&mut self, namespaces: impl Iterator<Item = &'t Text>) {
        for namespace in namespaces {
            if !self.namespaces.exclude.iter().any(|e| **e == **namespace) {
                self.namespaces.exclude.push(namespace.to_string());
            }
        }
    }

    /// `ValidateNamespaceIncludesExcludes`, after labelled namespaces were added: so a namespace that is named and labelled is refused.
    fn check_namespaces(&mut self) {
        let mut found = Vec::new();
        self.namespaces.check("namespaces", false, &mut found);
        found.extend(self.namespaces.include.iter().chain(&self.namespaces.exclude).filter_map(|n| refused(n)));
        for problem in found {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Whether there is anything to predict from.
    pub(super) fn is_known(&self) -> bool {
        self.kinds != Kinds::Unknown
    }

    /// Why Velero would refuse the filters, for people; empty if it would not. Such a backup ends as FailedValidation.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The ConfigMap with resource policies that it names, in Velero's namespace.
    pub fn policy(&self) -> Option<&Text> {
        self.policy.as_ref()
    }

    /// Whether nothing at all is filtered, as written: such a backup is meant to hold the whole cluster, but since Velero 1.17 leaves out
    /// most cluster-scoped objects.
    pub fn is_unfiltered_trap(&self) -> bool {
        let Kinds::New { namespaced, cluster } = &self.kinds else { return false };
        let own = |list: &[String], auto: &str| list.iter().all(|item| item == auto);
        self.namespaces_are_everything()
            && !self.selection.is_set()
            && self.policy.is_none()
            && cluster.include.is_empty()
            && cluster.exclude == [SNAPSHOT_CONTENTS]
            && namespaced.include.iter().all(|item| item == "*")
            && own(&namespaced.exclude, SNAPSHOTS)
    }

    fn read(spec: &Value) -> Self {
        let mut problems = Vec::new();
        let mut list = |key: &str| match spec.get(key).filter(|v| !v.is_null()) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(_) => {
                problems.push(format!("{key} is not a list of texts"));
                Vec::new()
            }
        };
        let namespaces = Lists { include: list("includedNamespaces"), exclude: list("excludedNamespaces") };
        let old = Lists { include: list("includedResources"), exclude: list("excludedResources") };
        let cluster = Lists { include: list("includedClusterScopedResources"), exclude: list("excludedClusterScopedResources") };
        let namespaced = Lists { include: list("includedNamespaceScopedResources"), exclude: list("excludedNamespaceScopedResources") };
        let snapshot_locations = list("volumeSnapshotLocations");
        let icr = spec.get("includeClusterResources").and_then(Value::as_bool);
        let uses_old = icr.is_some() || !old.is_empty();
        if uses_old && !(cluster.is_empty() && namespaced.is_empty()) {
            problems.push("old kind filters (includedResources, excludedResources, includeClusterResources) and new ones are mixed".to_owned());
        }
        if uses_old {
            old.check("kinds", false, &mut problems);
        } else {
            cluster.check("cluster-scoped kinds", true, &mut problems);
            namespaced.check("namespace-scoped kinds", true, &mut problems);
        }
        let present = |key: &str| spec.get(key).is_some_and(|v| !v.is_null());
        if present("labelSelector") && present("orLabelSelectors") {
            problems.push("labelSelector and orLabelSelectors are both set".to_owned());
        }
        Self {
            namespaces,
            kinds: if uses_old { Kinds::Old { kinds: old, cluster: icr } } else { Kinds::New { namespaced, cluster } },
            selection: Selection::read(spec),
            policy: policy_of(spec),
            group_label: Some(
                spec.get("volumeGroupSnapshotLabelKey").and_then(Value::as_str).filter(|k| !k.is_empty()).unwrap_or(VOLUME_GROUP).into(),
            ),
            snapshot_locations,
            effective: false,
            everything: None,
            problems,
        }
    }

    fn fill_defaults(&mut self, defaults: Defaults) {
        match &mut self.kinds {
            _ if defaults == Defaults::Namespaces => {}
            Kinds::Unknown => {}
            Kinds::Old { kinds, .. } => kinds.leave_out(&[SNAPSHOTS, SNAPSHOT_CONTENTS]),
            Kinds::New { namespaced, cluster } => {
                cluster.leave_out(&[SNAPSHOT_CONTENTS]);
                namespaced.leave_out(&[SNAPSHOTS]);
            }
        }
        if self.namespaces.include.is_empty() {
            self.namespaces.include.push("*".to_owned());
        }
    }

    /// Fixes whether the namespaces come to all there are, where the cluster was asked.
    pub(super) fn set_everything(&mut self, everything: bool) {
        self.everything = Some(everything);
    }

    fn namespaces_are_everything(&self) -> bool {
        if let Some(everything) = self.everything {
            return everything;
        }
        self.namespaces.exclude.is_empty() && self.namespaces.include.iter().all(|n| n == "*")
    }
}

/// The ConfigMap of `spec.resourcePolicy`; any other kind of reference is passed over (`GetResourcePoliciesFromBackup`).
fn policy_of(spec: &Value) -> Option<Text> {
    let text = |key: &str| spec.pointer(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/resourcePolicy/kind"), text("/resourcePolicy/name"));
    kind.eq_ignore_ascii_case("configmap").then(|| name.into())
}

impl Lists {
    pub(super) fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// `modifyResourceIncludeExclude`: excluded by Velero itself, and then no longer included.
    fn leave_out(&mut self, kinds: &[&str]) {
        for kind in kinds {
            if !self.exclude.iter().any(|e| e == kind) {
                self.exclude.push((*kind).to_owned());
            }
        }
        let exclude = &self.exclude;
        self.include.retain(|i| !exclude.contains(i));
    }

    /// `ValidateIncludesExcludes` and, for the new filters, `ValidateScopedIncludesExcludes`.
    fn check(&self, what: &str, star_may_be_excluded: bool, problems: &mut Vec<String>) {
        let star = |list: &[String]| list.iter().any(|item| item == "*");
        let others = |list: &[String]| list.iter().any(|item| item != "*");
        if star(&self.include) && others(&self.include) {
            problems.push(format!("included {what} have * beside others"));
        }
        if star(&self.exclude) && (!star_may_be_excluded || others(&self.exclude) || !self.include.is_empty()) {
            problems.push(format!("excluded {what} have a * that is not allowed there"));
        }
        if let Some(both) = self.exclude.iter().find(|item| self.include.contains(item)) {
            problems.push(format!("{both} is both an included and an excluded one of the {what}"));
        }
    }
}
