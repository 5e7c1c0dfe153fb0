//! What restores prove: that a backup, a namespace, a layer was brought back, and when. pure
//!
//! Completed is no proof: Velero calls a restore completed that found everything there already and made nothing. A namespace is proven by a
//! restore without errors, without filters but by namespace, that made its objects and was in the way of none: nothing was skipped, patched or failed. What
//! every new namespace gets by itself (its root certificate, its default ServiceAccount, endpoints) does not count against it. Whether the bytes
//! of its claims came back too is told apart: objects that came back without them are manifests only.

mod bytes;
mod ledger;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::{bytes::Bytes, lists::Lists};
use super::{join::Join, words};
use crate::{
    object::{ObjectId, Text},
    report::model::{ProofReport, RestoreReport},
    velero::label::valid_name,
    witness::{Archive, Backup, Listing, Restore, RestoreAction, ToldBy},
};

/// Restores and proofs of a report.
pub(super) fn proofs(join: &Join<'_>) -> (Vec<RestoreReport>, Vec<ProofReport>) {
    let judge = Judge { join, lists: Lists::default() };
    let mut restores: Vec<RestoreReport> = join.inputs.backed_up.restores.iter().map(|r| judge.restore(r)).collect();
    restores.sort_by(|a, b| (b.completed, &a.name).cmp(&(a.completed, &b.name)));
    let proofs = ledger::of(join, &restores);
    (restores, proofs)
}

struct Judge<'j, 'a> {
    join: &'j Join<'a>,
    lists: Lists<'a>,
}

/// A namespace that a restore proves: what it is called in the backup, and where it was restored into.
struct Proven {
    source: Text,
    target: Text,
}

impl Proven {
    fn plain(namespace: &Text) -> Self {
        Self { source: namespace.clone(), target: namespace.clone() }
    }
}

/// What a restore proves and why, or why nothing.
type Outcome = Result<(Vec<Proven>, String), String>;

/// Whether the cluster, or the dump, says which Restores there are.
fn restores_are_listed(join: &Join<'_>) -> bool {
    let live = join.inputs.live;
    live.as_of.is_some() && live.kinds.iter().any(|(gk, kind)| gk.is("velero.io", "Restore") && matches!(kind.listing, Listing::Complete))
}

impl<'a> Judge<'_, 'a> {
    fn restore(&self, restore: &'a Restore) -> RestoreReport {
        let items = restore.files.items.read();
        let counted = |action: RestoreAction| items.map(|all| all.iter().filter(|i| i.action == action).count() as u64);
        let (proves, with_bytes, why) = match self.proves(restore) {
            Err(why) => (Vec::new(), Vec::new(), format!("it proves nothing: {why}")),
            Ok((proven, why)) => {
                let bytes: Vec<Bytes> = proven.iter().map(|p| self.bytes(restore, p)).collect();
                let whole = proven.iter().zip(&bytes).filter(|(_, b)| b.are_back()).map(|(p, _)| p.source.clone()).collect();
                (proven.into_iter().map(|p| p.source).collect(), whole, format!("{why}{}", bytes::words(&bytes)))
            }
        };
        let here = match restore.by {
            ToldBy::Velero | ToldBy::Kymaros => Some(true),
            ToldBy::Bucket => restores_are_listed(self.join).then_some(false),
        };
        RestoreReport {
            name: restore.name.clone(),
            by: if restore.by == ToldBy::Kymaros { "kymaros" } else { "velero" }.into(),
            backup: restore.backup.clone(),
            phase: restore.phase.clone(),
            here,
            started: restore.started,
            completed: restore.completed,
            created: counted(RestoreAction::Created),
            updated: counted(RestoreAction::Updated),
            skipped: counted(RestoreAction::Skipped),
            failed: counted(RestoreAction::Failed),
            proves,
            with_bytes,
            why,
        }
    }

    /// The backup that was restored, unless the one of that name began after the restore and so is another.
    fn backup(&self, restore: &Restore) -> Option<&'a Backup> {
        let named = self.join.inputs.backed_up.backups.iter().find(|b| Some(&b.name) == restore.backup.as_ref())?;
        Some(named).filter(|b| !began_before(restore.started.or(restore.completed), b))
    }

    fn archive(&self, restore: &Restore) -> Option<&'a Archive> {
        self.backup(restore)?.content.archive().ok().map(|a| &**a)
    }

    /// The namespaces of the backup that a restore proves.
    fn proves(&self, restore: &'a Restore) -> Outcome {
        let phase = restore.phase.as_deref();
        if restore.by == ToldBy::Kymaros {
            return match phase {
                Some("pass") if !restore.tested.is_empty() => {
                    let tested = restore.tested.iter().map(Proven::plain).collect();
                    Ok((tested, "it was brought back in a sandbox and passed its checks".to_owned()))
                }
                Some("pass") => Err("its test does not say which namespaces it restored".to_owned()),
                other => Err(format!("its result is {}", other.unwrap_or("not known"))),
            };
        }
        match phase {
            Some("Completed") => {}
            Some("" | "New" | "InProgress") => return Err("it is not done".to_owned()),
            Some(waits) if waits.starts_with("WaitingForPluginOperations") || waits.starts_with("Finalizing") => {
                let badly = if waits.ends_with("PartiallyFailed") { ", and it had errors" } else { "" };
                return Err(format!("it is not done{badly}"));
            }
            Some(other) => return Err(format!("it ended as {other}")),
            // The bucket alone does not tell a phase; its files are written when a restore is done.
            None if restore.files.results.read().is_some() => {}
            None => return Err("how it ended is not known".to_owned()),
        }
        if restore.errors > 0 {
            return Err(format!("it had {}", words::count(restore.errors, "error", "errors")));
        }
        if let Some(part) = &restore.part {
            return Err(format!("it brought back a part only ({part})"));
        }
        if restore.backup.is_none() {
            return Err("which backup it restored is not known".to_owned());
        }
        match (restore.files.items.read(), restore.by) {
            (Some(items), ToldBy::Bucket) => self.lists.held(restore, items, self.archive(restore)),
            (Some(items), _) => self.lists.made(restore, items, self.archive(restore)),
            (None, _) => self.by_labels(restore),
        }
    }

    /// Without its list, what it made is known by the labels that it left and by when that was made.
    fn by_labels(&self, restore: &Restore) -> Outcome {
        let (Some(started), Some(completed)) = (restore.started, restore.completed) else { return Err("when it ran is not known".to_owned()) };
        if restore.warnings > 0 {
            let warnings = words::count(restore.warnings, "warning", "warnings");
            return Err(format!("it had {warnings}, and what it did to each object was not read"));
        }
        let label = restore.backup.as_deref().map(valid_name);
        let within = |id: &ObjectId, o: &crate::object::Object| {
            let its = o.meta.restored_from.is_some() && o.meta.restored_from.as_deref() == label.as_deref();
            let made = o.meta.created.is_some_and(|c| c >= started && c <= completed);
            (its && made).then(|| id.namespace.clone()).flatten()
        };
        let made: BTreeSet<Text> = self.join.inputs.live.objects.iter().filter_map(|(id, o)| within(id, o)).collect();
        if made.is_empty() {
            return Err("what it did to each object was not read, and nothing that it made is left here".to_owned());
        }
        let proven = made.into_iter().map(|target| Proven { source: mapped_back(restore, &target), target }).collect();
        Ok((proven, "it ended without a warning, and objects that it made are here".to_owned()))
    }
}

/// What a namespace is called in the backup.
fn mapped_back(restore: &Restore, target: &Text) -> Text {
    restore.mapping.iter().find(|(_, to)| *to == target).map_or_else(|| target.clone(), |(from, _)| from.clone())
}

/// Whether something that ran then ran before a backup, and so cannot have restored it: another backup had its name.
fn began_before(ran: Option<jiff::Timestamp>, backup: &Backup) -> bool {
    matches!((ran, backup.start), (Some(ran), Some(start)) if ran < start)
}
