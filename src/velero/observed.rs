//! What a backup was to hold against what it holds: the selection is played through, and the archive is the fact. pure
//!
//! The two halves ask different witnesses. *Missing* asks the cluster: what lives now, was there when the backup began and is taken by its
//! effective spec. *Unexpected* asks the archive alone: what it holds must follow from that spec and from the rest of what it holds, whatever became
//! of the cluster since. Where time leaves room for another answer (labels written since, claims bound since), nothing is said.

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::select::{Decision, Left, Moment, Plan, Then, View, writes};
use crate::{
    object::{BodyError, Object, ObjectId},
    report::model::{Agreement, Disagreement, Mismatch},
    witness::{Archive, Backup, BackupState, Listing, Live, Side},
};

/// How old Velero's knowledge of kinds may be: it asks the server every five minutes (pkg/discovery/helper.go, `Refresh` in pkg/cmd/server).
const DISCOVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(6);

/// A backup of which both sides are known.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'b> {
    backup: &'b Backup,
    archive: &'b Archive,
    moment: Moment,
}

impl<'b> Subject<'b> {
    /// `None`: its content or its spec is not known, it does not say when it began, or it is of another cluster.
    pub fn of(backup: &'b Backup) -> Option<Self> {
        let archive = backup.content.archive().ok()?;
        let own = !matches!(backup.state, BackupState::Foreign | BackupState::Pending);
        let known = own && backup.scope.effective && backup.scope.is_known();
        Some(Self { backup, archive, moment: Moment::of(backup.start.filter(|_| known)?, archive) })
    }

    /// The backup.
    pub fn backup(&self) -> &'b Backup {
        self.backup
    }

    /// The archive.
    pub fn archive(&self) -> &'b Archive {
        self.archive
    }

    fn holds(&self, id: &ObjectId) -> bool {
        self.archive.objects.contains_key(id) || twin(id).is_some_and(|twin| self.archive.objects.contains_key(&twin))
    }
}

/// The same object under the other of two groups that serve its kind (pkg/backup/backup.go `cohabitatingResources`).
fn twin(id: &ObjectId) -> Option<ObjectId> {
    let other = match (&*id.gk.group, &*id.gk.kind) {
        ("", "Event") => "events.k8s.io",
        ("events.k8s.io", "Event") => "",
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") | ("networking.k8s.io", "NetworkPolicy") => "extensions",
        _ => return None,
    };
    Some(ObjectId::new(other, &id.gk.kind, id.namespace.as_deref(), &id.name))
}

/// Objects that a backup lacks, with the counts. `plan` is its scope played through over the cluster as it is, and `as_of` when that was so: a
/// look that is older than the backup says nothing of it, nor do two clocks that disagree: `None`.
pub fn missing(subject: &Subject<'_>, view: &View<'_>, plan: &Plan<'_, '_>, live: &Live) -> Option<(Agreement, Vec<Disagreement>)> {
    let mut agreement = Agreement::default();
    let skewed = subject.backup.remarks.iter().any(|r| &*r.reason == "clock_skew");
    if skewed || live.as_of.is_none_or(|at| at < subject.moment.start) {
        return None;
    }
    let mut lacking: Vec<(&ObjectId, &Object)> = Vec::new();
    for (id, decision) in plan.decisions() {
        let Some(object) = live.objects.get(id).filter(|_| live.kinds.get(&id.gk).is_some_and(|k| k.listing == Listing::Complete)) else { continue };
        match (decision, subject.moment.tell(object)) {
            (_, Then::NotYet) | (Decision::Left(_), _) => {}
            (Decision::Unsure(_), _) | (_, Then::Unknown) => agreement.undecided += 1,
            (Decision::Listed | Decision::Beside(_), Then::Same | Then::Written) => {
                agreement.predicted += 1;
                if subject.holds(id) {
                    agreement.held += 1;
                } else {
                    lacking.push((id, object));
                }
            }
        }
    }
    if lacking.is_empty() {
        return Some((agreement, Vec::new()));
    }
    // What leads to others now may not have been there then.
    let past = Plan::at(&subject.backup.scope, view, &subject.moment);
    let asker = Asker { subject, view, live, past: &past };
    let mut found = Vec::new();
    for (id, object) in lacking {
        agreement.predicted -= 1;
        match past.of_object(id) {
            Some(decision @ (Decision::Listed | Decision::Beside(_))) => match asker.why(id, object, decision) {
                Some(row) => found.push(row),
                None => agreement.undecided += 1,
            },
            Some(Decision::Unsure(_)) => agreement.undecided += 1,
            Some(Decision::Left(_)) | None => {}
        }
    }
    agreement.missing = found.len() as u64;
    agreement.predicted += agreement.missing;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Some((agreement, found))
}

/// Both halves at once, for who asks once. No counts: what it lacks cannot be said.
pub fn compare(subject: &Subject<'_>, view: &View<'_>, live: &Live, velero: &str) -> Result<(Option<Agreement>, Vec<Disagreement>), BodyError> {
    let plan = Plan::of(&subject.backup.scope, view);
    let unexpected = unexpected(subject, live, velero)?;
    let count = unexpected.len() as u64;
    let (agreement, mut rows) = missing(subject, view, &plan, live).unzip();
    let agreement = agreement.map(|a| Agreement { unexpected: Some(count), ..a });
    let rows = rows.get_or_insert_default();
    rows.extend(unexpected);
    rows.sort_by(|a, b| (&a.id, a.mismatch).cmp(&(&b.id, b.mismatch)));
    Ok((agreement, std::mem::take(rows)))
}

struct Asker<'s, 'v, 'a> {
    subject: &'s Subject<'s>,
    view: &'v View<'a>,
    live: &'s Live,
    past: &'s Plan<'v, 'a>,
}

impl Asker<'_, '_, '_> {
    /// The row of an object that was to be taken and is not there; `None` if it may not have been taken after all.
    fn why(&self, id: &ObjectId, object: &Object, decision: Decision) -> Option<Disagreement> {
        let backup = self.subject.backup;
        let taken = self.past.why(id, decision).message;
        let row = |reason: &str, likely: String| {
            let why = format!("its spec takes it ({taken}) and its archive does not hold it: {likely}");
            Some(Disagreement { id: id.clone(), mismatch: Mismatch::MissingFromBackup, reason: reason.into(), why })
        };
        if let Some(message) = self.failed_on(id) {
            let reason = if message.to_lowercase().contains("hook") { "hook_failed" } else { "failed" };
            return row(reason, format!("Velero failed on it: {message}"));
        }
        let written = self.written(object);
        if written && self.labelled_since(object) {
            return None;
        }
        if let Decision::Beside(n) = decision {
            let (leader, leading) = self.view.object_at(n);
            let there = self.subject.holds(leader) || self.failed_on(leader).is_some();
            if !there || self.written(leading) && self.labelled_since(leading) {
                return None;
            }
        }
        if self.unreadable(id) {
            return None;
        }
        let resource = self.view.resource_of(id);
        let errors = || backup.side.results.read().into_iter().flat_map(|r| &r.errors);
        if let Some(error) = errors().find(|e| e.name.is_none() && e.resource.is_some() && e.resource.as_deref() == resource) {
            return row("list_failed", format!("Velero failed on its kind: {}", error.message));
        }
        if backup.errors > 0 && !matches!(backup.side.results, Side::Read(_)) {
            return row("errors_unread", "the backup had errors, and which cannot be said".to_owned());
        }
        if let Some(made) = self.definition_made(id).filter(|made| self.subject.moment.start.duration_since(*made) < DISCOVERY)
            && !self.subject.archive.objects.keys().any(|o| o.gk == id.gk)
        {
            let likely = format!("it holds none of this kind, which was defined at {made}: Velero asks for kinds every five minutes only");
            return row("kind_unknown_then", likely);
        }
        if backup.scope.policy.is_some() {
            return row("resource_policy", "the resource policy may have been another one then, or a plugin passed over it".to_owned());
        }
        if written {
            let likely = "it was written since, so it may have been labelled to be left out then, or a plugin passed over it";
            return row("changed_since", likely.to_owned());
        }
        row("unknown", "no error says why; a plugin may have passed over it".to_owned())
    }

    /// Whether it may have been written since the backup looked.
    fn written(&self, object: &Object) -> bool {
        self.subject.moment.tell(object) != Then::Same || writes(object).is_none_or(|w| w.iter().any(|(at, _)| *at >= self.subject.moment.start))
    }

    /// Whether its labels were others then, as far as its managedFields tell: if they do not tell, it depends on whether labels select.
    fn labelled_since(&self, object: &Object) -> bool {
        let since = self.subject.moment.start;
        match writes(object) {
            Some(writes) => writes.iter().any(|(at, labels)| *labels && *at >= since),
            None => self.subject.backup.scope.selection.is_set(),
        }
    }

    /// What Velero's errors, or its list of what it set out to write, say of an object that the archive does not hold.
    fn failed_on(&self, id: &ObjectId) -> Option<String> {
        let resource = self.view.resource_of(id);
        let own = |m: &&crate::witness::MissingObject| {
            m.held != Some(true)
                && m.name == id.name
                && m.namespace.as_ref().is_none_or(|n| Some(n) == id.namespace.as_ref())
                && m.resource.as_deref().is_none_or(|r| Some(r) == resource)
        };
        self.subject.backup.missing.iter().find(own).map(|m| m.message.clone())
    }

    /// Whether the archive has an entry for it that cannot be read.
    fn unreadable(&self, id: &ObjectId) -> bool {
        let ending = match &id.namespace {
            Some(namespace) => format!("/namespaces/{namespace}/{}.json", id.name),
            None => format!("/cluster/{}.json", id.name),
        };
        self.subject.archive.unreadable.iter().any(|path| path.ends_with(&ending))
    }

    /// When the definition of a custom kind was made.
    fn definition_made(&self, id: &ObjectId) -> Option<Timestamp> {
        let name = self.view.resource_of(id)?;
        let definition = ObjectId::new("apiextensions.k8s.io", "CustomResourceDefinition", None, name);
        self.live.objects.get(&definition)?.meta.created
    }
}

/// Objects that a backup holds although neither its spec nor the rest of what it holds leads to them. It depends on the archive, on what kinds
/// are called and on a resource policy only, so what it says of a backup stays.
pub fn unexpected(subject: &Subject<'_>, live: &Live, velero: &str) -> Result<Vec<Disagreement>, BodyError> {
    let scope = &subject.backup.scope;
    let view = View::of_archive(subject.archive, subject.moment, live, velero, scope.selection.is_set())?;
    let plan = Plan::of(scope, &view);
    if !plan.problems().is_empty() {
        // It ran, so it was not refused: what it was asked for is not understood here.
        return Ok(Vec::new());
    }
    // What it failed on may have led to what it holds.
    let whole = subject.backup.state != BackupState::Degraded && subject.backup.errors == 0;
    let against = |d: Decision| match d {
        Decision::Left(Left::Kind | Left::Namespace | Left::LabelledNamespace | Left::ClusterScopeOff | Left::Verbs | Left::ExcludedLabel) => true,
        Decision::Left(Left::ClusterScope | Left::Selector | Left::Unlistable) => whole,
        // Namespaces ride along with objects that were listed and then left out; of two groups chance takes one; what is being deleted now
        // was not then.
        _ => false,
    };
    let row = |(id, decision): (&ObjectId, Decision)| {
        let why = format!(
            "its archive holds it, and neither its spec ({}) nor anything else that it holds leads to it: most likely a plugin added it",
            plan.why(id, decision).message
        );
        Disagreement { id: id.clone(), mismatch: Mismatch::UnexpectedInBackup, reason: "plugin".into(), why }
    };
    let mut found: Vec<Disagreement> = plan.decisions().filter(|(_, d)| against(*d)).map(row).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}
