//! Which objects of a cluster a backup takes, each with why: Velero's selection played through. pure
//!
//! Sources, all of Velero 1.18: pkg/controller/backup_controller.go `prepareBackupRequest` (defaults, refusals), pkg/backup/item_collector.go
//! (what is listed, which Namespaces ride along), pkg/backup/item_backupper.go `itemInclusionChecks` (what is then kept), pkg/itemblock/actions
//! and pkg/util/actionhelpers (what leads to what), pkg/backup/backup.go (definitions of custom resources). `tests/it/velero_matrix.rs` holds it
//! against a real Velero, object by object. Plugins of other makers may add or leave out anything.

mod policy;
mod related;
#[cfg(test)]
mod tests;
mod then;
mod view;
mod words;

pub(in crate::velero) use then::writes;
pub use then::{Moment, Then};
pub use view::View;
use view::{Item, UNSEEN_LABELS};

use super::{
    namespaces::NamespaceFilter,
    scope::{COHABITANTS, Coverage, Kinds, SNAPSHOT_KINDS, Scope, Subject, Tri, Why},
};
use crate::object::{ObjectId, Text};

/// What is said of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The backup lists its kind, and it fits.
    Listed,
    /// It rides along with another object that the backup takes.
    Beside(usize),
    /// It is left out.
    Left(Left),
    /// It cannot be said.
    Unsure(Unsure),
}

/// Which rule leaves an object out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Velero refuses the filters.
    Refused,
    /// Its kind cannot be listed, read, created and deleted.
    Verbs,
    /// It is being deleted.
    Terminating,
    /// Its label says so.
    ExcludedLabel,
    /// Its namespace is not in the backup.
    Namespace,
    /// Its namespace is labelled to be left out.
    LabelledNamespace,
    /// Its kind is filtered out.
    Kind,
    /// No cluster-scoped object is taken.
    ClusterScopeOff,
    /// Cluster-scoped objects are taken only beside others, and nothing leads to it.
    ClusterScope,
    /// Its labels are not selected.
    Selector,
    /// Velero cannot list by the selector.
    Unlistable,
    /// A Namespace without anything that is selected.
    EmptyNamespace,
    /// The same objects are taken under another group.
    OtherGroup,
    /// Velero fails on it.
    Fails,
    /// It was made after the moment that is spoken of.
    NotYet,
}

/// Why it cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// Nothing is known of the filters.
    Spec,
    /// A word of the filters is a name that several kinds share, or a pattern that cannot be judged.
    Word,
    /// The resource policy is not there or not read.
    Policy,
    /// Velero takes the volume snapshots that it makes itself.
    Snapshot,
    /// It rides along with an object of which it cannot be said.
    Beside(usize),
    /// What Pods mount and which class they have was not read.
    Pods,
    /// The selector asks for a label that is not kept.
    Label,
    /// A kind that may lead to it was not read.
    Unread,
    /// What leads to it now was written since the moment that is spoken of.
    Written,
}

/// One backup's filters over one cluster.
#[derive(Debug)]
pub struct Plan<'v, 'a> {
    view: &'v View<'a>,
    scope: Scope,
    namespaces: NamespaceFilter,
    /// Per kind of the view: listed, and excluded in the weaker sense that counts for what rides along.
    types: Vec<(Tri, Tri)>,
    problems: Vec<String>,
    /// Whether nothing is filtered, as written.
    trap: bool,
    /// Whether a resource policy counts.
    policed: bool,
    doubt: Option<Unsure>,
    /// What each object was at the moment that is spoken of; empty: all are as they are.
    then: Vec<Then>,
    decisions: Vec<Decision>,
}

impl<'v, 'a> Plan<'v, 'a> {
    /// Plays a scope through over a cluster.
    pub fn of(scope: &Scope, view: &'v View<'a>) -> Self {
        Self::play(scope, view, None)
    }

    /// Plays the effective scope of a backup through over the cluster as it was when that began, as far as what lives now tells: objects that
    /// were made since are not there, and what leads to others and was written since leads to them perhaps.
    pub fn at(scope: &Scope, view: &'v View<'a>, moment: &Moment) -> Self {
        Self::play(scope, view, Some(moment))
    }

    fn play(scope: &Scope, view: &'v View<'a>, moment: Option<&Moment>) -> Self {
        let then = moment.map_or_else(Vec::new, |m| view.items.iter().map(|i| m.tell(i.object)).collect());
        let trap = scope.is_unfiltered_trap();
        let mut scope = scope.at_start(&view.labelled);
        let mut problems = scope.problems().to_vec();
        let mut policed = false;
        let mut doubt = (!scope.is_known()).then_some(Unsure::Spec);
        if let Some(name) = scope.policy.clone() {
            match view.policy(&name, moment).map(|object| policy::read(&object.content.value())) {
                Some(Ok(None)) => policed = true,
                Some(Ok(Some(_))) if matches!(scope.kinds, Kinds::Old { .. }) => {
                    problems.push(format!("resource policy {name} has filters for kinds, which cannot be used with the old kind filters"));
                }
                Some(Ok(Some(policy))) => {
                    policed = true;
                    policy::combine(&mut scope.kinds, &policy, &view.names);
                }
                Some(Err(why)) if !scope.effective => problems.push(format!("resource policy {name} cannot be used: {why}")),
                None if !scope.effective && view.complete("configmaps") => {
                    problems.push(format!("resource policy {name} is not a ConfigMap in namespace {}", view.velero));
                }
                _ => drop(doubt.get_or_insert(Unsure::Policy)),
            }
        }
        let location = |name: &str| view.live.controllers.keys().any(|id| id.gk.is("velero.io", "VolumeSnapshotLocation") && &*id.name == name);
        if !scope.effective && view.complete("volumesnapshotlocations.velero.io") {
            let absent = scope.snapshot_locations.iter().filter(|l| !location(l));
            problems.extend(absent.map(|l| format!("there is no VolumeSnapshotLocation {l}")));
        }
        let namespaces = NamespaceFilter::of(&scope.namespaces, view.all_namespaces());
        if let Some(pattern) = &namespaces.broken {
            problems.push(format!("namespace pattern {pattern} cannot be read, and the backup fails"));
        }
        scope.set_everything(namespaces.everything());
        let mut plan = Self { view, scope, namespaces, types: Vec::new(), problems, trap, policed, doubt, then, decisions: Vec::new() };
        plan.types = view.kinds.iter().map(|k| plan.type_of(k)).collect();
        plan.decide();
        plan
    }

    fn type_of(&self, kind: &view::Kind<'_>) -> (Tri, Tri) {
        let id = ObjectId::new(&kind.gk.group, &kind.gk.kind, None, "");
        let complete = self.view.names.of_kind(kind.gk).is_some_and(|n| n.complete);
        let subject = Subject { id: &id, resource: &kind.resource, namespaced: kind.state.namespaced, complete, labels: None, terminating: false };
        (self.scope.type_included(&subject, &self.view.names), self.scope.type_excluded(&subject, &self.view.names))
    }

    /// Why Velero refuses it, for people; empty if it does not. Such a backup ends as FailedValidation (or Failed, for a pattern that cannot
    /// be read).
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What the backup will complain of while it runs; it then ends as PartiallyFailed.
    pub fn complaints(&self) -> Vec<String> {
        let missing = self.view.all_namespaces().map(|all| self.namespaces.missing(all).collect::<Vec<_>>()).unwrap_or_default();
        let mut out: Vec<String> = missing.iter().map(|n| format!("namespace {n} is named and does not exist")).collect();
        if !self.scope.selection.can_list() {
            out.push("its label selector is empty or wrong, so every list of objects fails".to_owned());
        }
        let failing = self.decisions().filter(|(_, d)| *d == Decision::Left(Left::Fails));
        out.extend(failing.map(|(id, d)| format!("{id} is left out: {}", self.why(id, d).message)));
        out
    }

    /// Whether this is the backup without filters that leaves out most cluster-scoped objects.
    pub fn is_unfiltered_trap(&self) -> bool {
        self.trap
    }

    /// Every live object with its decision.
    pub fn decisions(&self) -> impl Iterator<Item = (&'a ObjectId, Decision)> + '_ {
        self.view.items.iter().map(|i| i.id).zip(self.decisions.iter().copied())
    }

    /// The decision on one object; `None` if it is not live.
    pub fn of_object(&self, id: &ObjectId) -> Option<Decision> {
        self.view.find(id).map(|n| self.decisions[n])
    }

    /// The same as a coverage: what it was asked to hold. Whether an object is being deleted now says nothing about that.
    pub fn coverage_of(&self, id: &ObjectId) -> Option<Coverage> {
        Some(match self.of_object(id)? {
            Decision::Listed | Decision::Beside(_) => Coverage::In,
            Decision::Left(Left::Terminating) => return None,
            left @ Decision::Left(_) => Coverage::Out(self.why(id, left)),
            unsure @ Decision::Unsure(_) => Coverage::Unknown(self.why(id, unsure)),
        })
    }

    /// The reason in words.
    pub fn why(&self, id: &ObjectId, decision: Decision) -> Why {
        words::why(self, id, decision)
    }

    fn item(&self, n: usize) -> &'v Item<'a> {
        &self.view.items[n]
    }

    /// What an object was at the moment that is spoken of.
    fn then(&self, n: usize) -> Then {
        self.then.get(n).copied().unwrap_or(Then::Same)
    }

    fn decide(&mut self) {
        let count = self.view.items.len();
        if !self.problems.is_empty() {
            self.decisions = vec![Decision::Left(Left::Refused); count];
            return;
        }
        if let Some(doubt) = self.doubt {
            self.decisions = (0..count).map(|n| self.barred(n).map_or(Decision::Unsure(doubt), Decision::Left)).collect();
            return;
        }
        let mut decisions: Vec<Decision> = (0..count).map(|n| self.alone(n)).collect();
        self.namespaces_ride_along(&mut decisions);
        self.related(&mut decisions);
        self.definitions(&mut decisions);
        self.fail(&mut decisions);
        self.decisions = decisions;
    }

    /// What bars an object whatever the kind filters say.
    fn barred(&self, n: usize) -> Option<Left> {
        let item = self.item(n);
        if self.then(n) == Then::NotYet {
            return Some(Left::NotYet);
        }
        if !self.view.kinds[item.kind].storable {
            return Some(Left::Verbs);
        }
        if item.object.meta.held_back {
            return Some(Left::ExcludedLabel);
        }
        if let Some(namespace) = &item.id.namespace
            && !self.namespaces.includes(namespace)
        {
            let labelled = self.view.labelled.binary_search(namespace).is_ok();
            return Some(if labelled { Left::LabelledNamespace } else { Left::Namespace });
        }
        item.object.meta.deleting.then_some(Left::Terminating)
    }

    /// `itemInclusionChecks` for an object that something else leads to.
    fn admitted(&self, n: usize) -> Result<(), Decision> {
        if let Some(left) = self.barred(n) {
            return Err(Decision::Left(left));
        }
        let item = self.item(n);
        let (include, exclude) = &self.types[item.kind];
        let barred = if item.id.namespace.is_some() { include.clone().not() } else { exclude.clone() };
        match barred {
            Tri::No => Ok(()),
            Tri::Yes => Err(Decision::Left(self.kind_rule(item))),
            Tri::Maybe(_) => Err(Decision::Unsure(Unsure::Word)),
        }
    }

    fn kind_rule(&self, item: &Item<'_>) -> Left {
        match self.scope.kinds {
            Kinds::Old { cluster: Some(false), .. } if item.id.namespace.is_none() => Left::ClusterScopeOff,
            _ => Left::Kind,
        }
    }

    /// The decision on an object by itself. Namespaces wait for what is found in them.
    fn alone(&self, n: usize) -> Decision {
        let item = self.item(n);
        let kind = &self.view.kinds[item.kind];
        // When a data upload has ended it is put into the archive once more, whatever the filters say (pkg/backup/actions/csi/pvc_action.go).
        if self.view.is_captured() && &*kind.resource == "datauploads.velero.io" {
            return Decision::Unsure(Unsure::Snapshot);
        }
        if let Some(left) = self.barred(n) {
            return Decision::Left(left);
        }
        let (include, exclude) = &self.types[item.kind];
        if SNAPSHOT_KINDS.contains(&&*kind.resource) && *include != Tri::Yes {
            return Decision::Unsure(Unsure::Snapshot);
        }
        match include {
            Tri::Maybe(_) => return Decision::Unsure(Unsure::Word),
            Tri::No if item.id.namespace.is_some() || *exclude == Tri::Yes => return Decision::Left(self.kind_rule(item)),
            Tri::No => return Decision::Left(Left::ClusterScope),
            Tri::Yes => {}
        }
        if self.is_other_group(&kind.resource) {
            return Decision::Left(Left::OtherGroup);
        }
        if &*kind.resource == "namespaces" {
            return Decision::Left(Left::EmptyNamespace);
        }
        self.selected(item)
    }

    /// Of a kind that is served by two groups only one is taken.
    fn is_other_group(&self, resource: &str) -> bool {
        let twin = COHABITANTS.iter().find(|(later, _)| *later == resource).and_then(|(_, first)| self.view.kind_of(first));
        twin.is_some_and(|k| self.view.kinds[k].storable && self.types[k].0 == Tri::Yes)
    }

    /// Whether an object of a listed kind is listed.
    fn selected(&self, item: &Item<'_>) -> Decision {
        if let Some(namespace) = &item.id.namespace
            && !self.namespaces.lists(namespace)
        {
            return Decision::Left(Left::Namespace);
        }
        let selection = &self.scope.selection;
        if !selection.can_list() {
            return Decision::Left(Left::Unlistable);
        }
        if item.object.meta.restored_from.is_some() && selection.asks_for(&UNSEEN_LABELS) {
            return Decision::Unsure(Unsure::Label);
        }
        if !selection.is_set() || selection.matches(item.labels()) { Decision::Listed } else { Decision::Left(Left::Selector) }
    }

    /// `nsTracker`: a Namespace goes along if its labels are selected, if the filter names it, or if anything is listed in it.
    fn namespaces_ride_along(&self, decisions: &mut [Decision]) {
        let Some(kind) = self.view.kind_of("namespaces") else { return };
        if self.types[kind].0 != Tri::Yes {
            return;
        }
        let selection = &self.scope.selection;
        let named_do_not_count = self.namespaces.everything() && selection.is_set();
        let mut found: Vec<Option<usize>> = vec![None; self.view.namespaces.len()];
        for (n, item) in self.view.items.iter().enumerate() {
            if let Some(at) = item.namespace.filter(|at| found[*at].is_none() && self.then(n) != Then::NotYet) {
                let name = &self.view.namespaces[at].name;
                let kind = &self.view.kinds[item.kind];
                let listed = kind.storable && self.types[item.kind].0 == Tri::Yes && self.selected(item) == Decision::Listed;
                if listed && self.namespaces.includes(name) {
                    found[at] = Some(n);
                }
            }
        }
        for (at, namespace) in self.view.namespaces.iter().enumerate() {
            let Some(item) = self.view.items.get(namespace.item) else { continue };
            if decisions[namespace.item] != Decision::Left(Left::EmptyNamespace) {
                continue;
            }
            let by_label = namespace.active && selection.is_set() && selection.matches(item.labels());
            let by_name = namespace.active && !named_do_not_count && self.namespaces.includes(&namespace.name);
            decisions[namespace.item] = match found[at] {
                _ if by_label || by_name => Decision::Listed,
                Some(by) => Decision::Beside(by),
                None if !self.namespaces.includes(&namespace.name) => Decision::Left(Left::Namespace),
                // An object of a kind that was not read may be listed there.
                None if self.unread_may_be_listed() => Decision::Unsure(Unsure::Unread),
                None => Decision::Left(Left::EmptyNamespace),
            };
        }
    }

    fn unread_may_be_listed(&self) -> bool {
        let unread = |(k, kind): (usize, &view::Kind<'_>)| kind.storable && kind.state.namespaced && !kind.complete && self.types[k].0 == Tri::Yes;
        // Events carry no labels, and every namespace has objects without labels besides, so only labels that are there count.
        let only_labelled = !self.scope.selection.matches(&Default::default());
        self.scope.selection.can_list() && self.view.kinds.iter().enumerate().filter(|(_, k)| !only_labelled || &*k.gk.kind != "Event").any(unread)
    }

    fn name_of(&self, n: usize) -> (Text, String) {
        let item = self.item(n);
        (item.id.gk.kind.clone(), item.id.to_string())
    }
}
