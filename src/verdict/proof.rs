//! What restores prove: that a backup, a namespace, a layer was brought back, and when. pure
//!
//! Completed is no proof: Velero calls a restore completed that found everything there already and made nothing. A namespace is proven by a
//! restore without errors, without filters but by namespace, that made its objects and was in the way of none. What every new namespace gets by
//! itself (its root certificate, its default ServiceAccount, endpoints) does not count against it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{join::Join, words};
use crate::{
    config::Layer,
    object::{ObjectId, Text},
    report::model::{ProofOf, ProofReport, RestoreReport},
    velero::label::valid_name,
    witness::{Backup, Restore, RestoreAction, RestoredItem, ToldBy},
};

/// What a new namespace gets by itself, so that a restore finds it there: kind and name; no name means any.
const SELF_MADE: [(&str, &str); 5] = [
    ("v1/ConfigMap", "kube-root-ca.crt"),
    ("v1/ConfigMap", "openshift-service-ca.crt"),
    ("v1/ServiceAccount", "default"),
    ("v1/Endpoints", ""),
    ("discovery.k8s.io/v1/EndpointSlice", ""),
];

/// Restores and proofs of a report.
pub(super) fn proofs(join: &Join<'_>) -> (Vec<RestoreReport>, Vec<ProofReport>) {
    let mut restores: Vec<RestoreReport> = join.inputs.backed_up.restores.iter().map(|r| restore(join, r)).collect();
    restores.sort_by(|a, b| (b.completed, &a.name).cmp(&(a.completed, &b.name)));
    let proofs = ledger(join, &restores);
    (restores, proofs)
}

#[derive(Default)]
struct Tally {
    created: u64,
    updated: u64,
    skipped: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, action: RestoreAction) {
        let count = match action {
            RestoreAction::Created => &mut self.created,
            RestoreAction::Updated => &mut self.updated,
            RestoreAction::Skipped => &mut self.skipped,
            RestoreAction::Failed => &mut self.failed,
        };
        *count += 1;
    }
}

fn self_made(item: &RestoredItem) -> bool {
    SELF_MADE.iter().any(|(kind, name)| *kind == &*item.kind && (name.is_empty() || *name == &*item.name))
}

fn restore(join: &Join<'_>, restore: &Restore) -> RestoreReport {
    let items = restore.files.items.read();
    let mut all = Tally::default();
    items.into_iter().flatten().for_each(|i| all.add(i.action));
    let count = |n: u64| items.map(|_| n);
    let (proves, why) = proves(join, restore);
    RestoreReport {
        name: restore.name.clone(),
        by: if restore.by == ToldBy::Kymaros { "kymaros" } else { "velero" }.into(),
        backup: restore.backup.clone(),
        phase: restore.phase.clone(),
        here: restore.by != ToldBy::Bucket,
        started: restore.started,
        completed: restore.completed,
        created: count(all.created),
        updated: count(all.updated),
        skipped: count(all.skipped),
        failed: count(all.failed),
        proves,
        why,
    }
}

/// The namespaces of the backup that a restore proves, and why, or why none.
fn proves(join: &Join<'_>, restore: &Restore) -> (Vec<Text>, String) {
    let nothing = |why: String| (Vec::new(), format!("it proves nothing: {why}"));
    let phase = restore.phase.as_deref();
    if restore.by == ToldBy::Kymaros {
        return match phase {
            Some("pass") if !restore.tested.is_empty() => {
                (restore.tested.clone(), "it was brought back in a sandbox and passed its checks".to_owned())
            }
            Some("pass") => nothing("its test does not say which namespaces it restored".to_owned()),
            other => nothing(format!("its result is {}", other.unwrap_or("not known"))),
        };
    }
    match phase {
        Some("Completed") => {}
        Some("" | "New" | "InProgress" | "WaitingForPluginOperations" | "Finalizing") => return nothing("it is not done".to_owned()),
        Some(other) => return nothing(format!("it ended as {other}")),
        // The bucket alone does not tell a phase; its files are written when a restore is done.
        None if restore.files.results.read().is_some() => {}
        None => return nothing("how it ended is not known".to_owned()),
    }
    if restore.errors > 0 {
        return nothing(format!("it had {}", words::count(restore.errors, "error", "errors")));
    }
    if let Some(part) = &restore.part {
        return nothing(format!("it brought back a part only ({part})"));
    }
    if restore.backup.is_none() {
        return nothing("which backup it restored is not known".to_owned());
    }
    match restore.files.items.read() {
        Some(items) => by_items(restore, items),
        None => by_labels(join, restore),
    }
}

fn by_items(restore: &Restore, items: &[RestoredItem]) -> (Vec<Text>, String) {
    let back: BTreeMap<&Text, &Text> = restore.mapping.iter().map(|(from, to)| (to, from)).collect();
    let mut found: BTreeMap<&Text, Tally> = BTreeMap::new();
    for item in items.iter().filter(|i| !self_made(i)) {
        if let Some(namespace) = &item.namespace {
            found.entry(namespace).or_default().add(item.action);
        }
    }
    let whole = |t: &Tally| t.created > 0 && t.skipped == 0 && t.failed == 0;
    let proven: Vec<Text> = found.iter().filter(|(_, t)| whole(t)).map(|(n, _)| (*back.get(n).unwrap_or(n)).clone()).collect();
    if !proven.is_empty() {
        let created: u64 = found.values().filter(|t| whole(t)).map(|t| t.created).sum();
        let rest = found.len() - proven.len();
        let rest = if rest > 0 {
            format!("; in {} it was in the way of what was there", words::count(rest as u64, "namespace", "namespaces"))
        } else {
            String::new()
        };
        return (proven, format!("it made {} that were not there{rest}", words::count(created, "object", "objects")));
    }
    let made: u64 = found.values().map(|t| t.created).sum();
    let (skipped, failed): (u64, u64) = (found.values().map(|t| t.skipped).sum(), found.values().map(|t| t.failed).sum());
    let why = match (made, skipped + failed) {
        (0, 0) => "it restored no objects in namespaces".to_owned(),
        (0, _) => format!("everything was there already: {skipped} skipped, {failed} left alone because they differ or failed"),
        (made, _) => {
            format!("it made {made} objects and was in the way of others: {skipped} skipped, {failed} left alone because they differ or failed")
        }
    };
    (Vec::new(), format!("it proves nothing: {why}"))
}

/// Without its list, what it made is known by the labels that it left and by when that was made.
fn by_labels(join: &Join<'_>, restore: &Restore) -> (Vec<Text>, String) {
    let nothing = |why: String| (Vec::new(), format!("it proves nothing: {why}"));
    let (Some(started), Some(completed)) = (restore.started, restore.completed) else { return nothing("when it ran is not known".to_owned()) };
    if restore.warnings > 0 {
        let warnings = words::count(restore.warnings, "warning", "warnings");
        return nothing(format!("it had {warnings}, and what it did to each object was not read"));
    }
    let within = |id: &ObjectId, o: &crate::object::Object| {
        let its = restore.backup.as_ref().is_some_and(|b| o.meta.restored_from.as_deref() == Some(&*valid_name(b)));
        let made = o.meta.created.is_some_and(|c| c >= started && c <= completed);
        (its && made).then(|| id.namespace.clone()).flatten()
    };
    let made: BTreeSet<Text> = join.inputs.live.objects.iter().filter_map(|(id, o)| within(id, o)).collect();
    if made.is_empty() {
        return nothing("what it did to each object was not read, and nothing that it made is left here".to_owned());
    }
    let back = |n: Text| restore.mapping.iter().find(|(_, to)| **to == n).map_or(n, |(from, _)| from.clone());
    (made.into_iter().map(back).collect(), "it ended without a warning, and objects that it made are here".to_owned())
}

/// The newest proof of one namespace.
struct Proof<'r> {
    at: jiff::Timestamp,
    restore: &'r RestoreReport,
}

fn ledger(join: &Join<'_>, restores: &[RestoreReport]) -> Vec<ProofReport> {
    let backups = &join.inputs.backed_up.backups;
    let start = |name: &Text| backups.iter().find(|b| b.name == *name).and_then(|b| b.start);
    // A proof is as old as its restore; one of which only the bucket knows is no newer than the backup.
    let at = |r: &RestoreReport| r.completed.or_else(|| r.backup.as_ref().and_then(start));
    let mut newest: BTreeMap<&Text, Proof<'_>> = BTreeMap::new();
    for restore in restores {
        let Some(at) = at(restore) else { continue };
        for namespace in &restore.proves {
            match newest.get(namespace) {
                Some(known) if known.at >= at => {}
                _ => drop(newest.insert(namespace, Proof { at, restore })),
            }
        }
    }
    let mut layers: BTreeMap<Layer, BTreeSet<&Text>> = BTreeMap::new();
    let mut namespaces: BTreeSet<&Text> = newest.keys().copied().collect();
    for backup in backups.iter().filter(|b| b.state.usable()) {
        namespaces.extend(held(backup));
    }
    let live: Vec<&Text> = join.inputs.live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace")).map(|(id, _)| &id.name).collect();
    namespaces.extend(live);
    for namespace in &namespaces {
        let id = ObjectId::new("", "Namespace", None, namespace);
        layers.entry(join.inputs.config.layers.layer_of(&id, None)).or_default().insert(namespace);
    }
    let mut out = Vec::new();
    let mut usable: Vec<&Backup> = backups.iter().filter(|b| b.state.usable()).collect();
    usable.sort_by(|a, b| (b.start, &a.name).cmp(&(a.start, &b.name)));
    for backup in usable {
        let of = restores.iter().filter(|r| r.backup.as_ref() == Some(&backup.name));
        let mut best: BTreeMap<&Text, Proof<'_>> = BTreeMap::new();
        for restore in of {
            let Some(at) = at(restore) else { continue };
            // Newest first.
            for namespace in &restore.proves {
                best.entry(namespace).or_insert(Proof { at, restore });
            }
        }
        let all: BTreeSet<&Text> = held(backup).chain(best.keys().copied()).collect();
        out.push(rolled(ProofOf::Backup(backup.name.clone()), &all, &best));
    }
    for (layer, all) in &layers {
        out.push(rolled(ProofOf::Layer(*layer), all, &newest));
    }
    out.extend(namespaces.iter().map(|n| rolled(ProofOf::Namespace((*n).clone()), &BTreeSet::from([*n]), &newest)));
    out
}

/// Namespaces with objects in a backup whose content was read.
fn held(backup: &Backup) -> impl Iterator<Item = &Text> {
    let objects = backup.content.archive().ok().map(|archive| archive.objects.keys());
    let mut seen: BTreeSet<&Text> = BTreeSet::new();
    objects.into_iter().flatten().filter_map(|id| id.namespace.as_ref()).filter(move |n| seen.insert(n))
}

fn rolled(of: ProofOf, all: &BTreeSet<&Text>, newest: &BTreeMap<&Text, Proof<'_>>) -> ProofReport {
    let proofs: Vec<&Proof<'_>> = all.iter().filter_map(|n| newest.get(*n)).collect();
    let oldest = proofs.iter().min_by_key(|p| p.at).filter(|_| proofs.len() == all.len());
    ProofReport {
        of,
        at: oldest.map(|p| p.at),
        restore: oldest.map(|p| p.restore.name.clone()),
        backup: oldest.and_then(|p| p.restore.backup.clone()),
        proven: proofs.len() as u64,
        namespaces: all.len() as u64,
    }
}
