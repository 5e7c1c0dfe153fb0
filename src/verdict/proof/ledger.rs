//! When each backup, layer and namespace was last proven, from the restores that are told and from those that are remembered. pure
//!
//! Velero deletes restores and their files with their backup (pkg/controller/backup_deletion_controller.go), so what they proved is kept apart
//! ([`crate::verdict::Onsets`]). A remembered proof counts for namespaces that there are: in the cluster, or in a backup that can be used.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::began_before;
use crate::{
    config::Layer,
    object::{ObjectId, Text},
    report::model::{ProofOf, ProofReport, RestoreReport},
    verdict::join::Join,
    witness::Backup,
};

/// One proof of one namespace.
#[derive(Clone, Copy)]
struct Proof<'r> {
    namespace: &'r Text,
    at: Timestamp,
    /// When the restore began, as far as is known.
    began: Option<Timestamp>,
    restore: &'r Text,
    backup: Option<&'r Text>,
    with_bytes: bool,
    remembered: bool,
}

/// The newest proofs of one namespace: of its objects, and of its bytes too.
#[derive(Clone, Copy)]
struct Newest<'r> {
    any: Proof<'r>,
    with_bytes: Option<Timestamp>,
}

type ByNamespace<'r> = BTreeMap<&'r Text, Newest<'r>>;

fn newest<'r>(proofs: impl Iterator<Item = Proof<'r>>) -> ByNamespace<'r> {
    let mut found = ByNamespace::new();
    for proof in proofs {
        let with_bytes = proof.with_bytes.then_some(proof.at);
        let known = found.entry(proof.namespace).or_insert(Newest { any: proof, with_bytes });
        // What is told goes before what is remembered of the same moment.
        if (proof.at, !proof.remembered) > (known.any.at, !known.any.remembered) {
            known.any = proof;
        }
        known.with_bytes = known.with_bytes.max(with_bytes);
    }
    found
}

pub(super) fn of(join: &Join<'_>, restores: &[RestoreReport]) -> Vec<ProofReport> {
    let backups = &join.inputs.backed_up.backups;
    let start = |name: &Text| backups.iter().find(|b| b.name == *name).and_then(|b| b.start);
    let told = restores.iter().flat_map(|r| {
        // A proof is as old as its restore; one of which only the bucket knows is no newer than the backup.
        let at = r.completed.or_else(|| r.backup.as_ref().and_then(start));
        let of = move |namespace| {
            let with_bytes = r.with_bytes.contains(namespace);
            let (began, backup) = (r.started.or(r.completed), r.backup.as_ref());
            Some(Proof { namespace, at: at?, began, restore: &r.name, backup, with_bytes, remembered: false })
        };
        r.proves.iter().filter_map(of)
    });
    let mut namespaces: BTreeSet<&Text> = restores.iter().flat_map(|r| &r.proves).collect();
    let mut usable: Vec<&Backup> = backups.iter().filter(|b| b.state.usable()).collect();
    namespaces.extend(usable.iter().flat_map(|b| held(b)));
    namespaces.extend(join.inputs.live.objects.iter().filter(|(id, _)| id.gk.is("", "Namespace")).map(|(id, _)| &id.name));
    let remembered = join.inputs.onsets.proofs().iter().filter(|p| p.at <= join.inputs.now && namespaces.contains(&p.namespace)).map(|p| Proof {
        namespace: &p.namespace,
        at: p.at,
        began: Some(p.began),
        restore: &p.restore,
        backup: p.backup.as_ref(),
        with_bytes: p.with_bytes,
        remembered: true,
    });
    let all: Vec<Proof<'_>> = told.chain(remembered).collect();
    let of_namespaces = newest(all.iter().copied());

    let mut layers: BTreeMap<Layer, BTreeSet<&Text>> = BTreeMap::new();
    for namespace in &namespaces {
        let id = ObjectId::new("", "Namespace", None, namespace);
        layers.entry(join.inputs.config.layers.layer_of(&id, None)).or_default().insert(namespace);
    }
    let mut out = Vec::new();
    usable.sort_by(|a, b| (b.start, &a.name).cmp(&(a.start, &b.name)));
    for backup in usable {
        let own = newest(all.iter().copied().filter(|p| p.backup == Some(&backup.name) && !began_before(p.began, backup)));
        let namespaces: BTreeSet<&Text> = held(backup).chain(own.keys().copied()).collect();
        let mut rolled = rolled(ProofOf::Backup(backup.name.clone()), &namespaces, &own);
        // What else it holds nobody read.
        if backup.content.archive().is_err() {
            (rolled.at, rolled.with_bytes_at, rolled.restore, rolled.backup) = (None, None, None, None);
        }
        out.push(rolled);
    }
    for (layer, all) in &layers {
        out.push(rolled(ProofOf::Layer(*layer), all, &of_namespaces));
    }
    out.extend(namespaces.iter().map(|n| rolled(ProofOf::Namespace((*n).clone()), &BTreeSet::from([*n]), &of_namespaces)));
    out
}

/// Namespaces with objects in a backup whose content was read.
fn held(backup: &Backup) -> impl Iterator<Item = &Text> {
    let objects = backup.content.archive().ok().map(|archive| archive.objects.keys());
    let mut seen: BTreeSet<&Text> = BTreeSet::new();
    objects.into_iter().flatten().filter_map(|id| id.namespace.as_ref()).filter(move |n| seen.insert(n))
}

fn rolled(of: ProofOf, all: &BTreeSet<&Text>, newest: &ByNamespace<'_>) -> ProofReport {
    let proofs: Vec<&Newest<'_>> = all.iter().filter_map(|n| newest.get(*n)).collect();
    let oldest = proofs.iter().map(|p| p.any).min_by_key(|p| p.at).filter(|_| proofs.len() == all.len());
    let whole: Vec<Timestamp> = proofs.iter().filter_map(|p| p.with_bytes).collect();
    ProofReport {
        of,
        at: oldest.map(|p| p.at),
        with_bytes_at: whole.iter().min().copied().filter(|_| whole.len() == all.len()),
        restore: oldest.map(|p| p.restore.clone()),
        backup: oldest.and_then(|p| p.backup.cloned()),
        remembered: oldest.is_some_and(|p| p.remembered),
        proven: proofs.len() as u64,
        with_bytes: whole.len() as u64,
        namespaces: all.len() as u64,
    }
}
