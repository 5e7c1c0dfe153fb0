//! Whether the bytes of a namespace's claims came back with its objects. pure
//!
//! Evidence is the restore's volume info file and the PodVolumeRestores and DataDownloads in the cluster. Nothing else is: a claim that was made and
//! bound may be empty.

use super::{Judge, Proven};
use crate::{
    object::{ObjectId, Text},
    verdict::words,
    witness::{Restore, RestoreAction, RestoredVolume, VolumeMethod, VolumeOutcome},
};

/// What is known of the bytes of one namespace.
pub(super) enum Bytes {
    /// It has no claims that had a volume.
    None,
    /// Of so many claims so many have their bytes back.
    Some { claims: u64, back: u64 },
    /// Which claims it has nobody read.
    Unknown,
}

impl Bytes {
    /// Whether nothing is missing.
    pub fn are_back(&self) -> bool {
        match self {
            Self::None => true,
            Self::Some { claims, back } => claims == back,
            Self::Unknown => false,
        }
    }
}

/// What is to be said of the bytes of all namespaces that a restore proves; begins with a semicolon if anything is.
pub(super) fn words(all: &[Bytes]) -> String {
    let (mut claims, mut back, mut unknown) = (0, 0, false);
    for bytes in all {
        match bytes {
            Bytes::None => {}
            Bytes::Some { claims: c, back: b } => (claims, back) = (claims + c, back + b),
            Bytes::Unknown => unknown = true,
        }
    }
    match (claims, back, unknown) {
        (0, _, false) => String::new(),
        (0, _, true) => "; manifests only, as far as is known: whether it has claims was not read".to_owned(),
        (_, 0, _) => format!("; manifests only: that the bytes of its {} came back nothing shows", words::count(claims, "claim", "claims")),
        _ if claims == back => format!("; the bytes of its {} came back", words::count(claims, "claim", "claims")),
        _ => format!("; the bytes of {back} of its {claims} claims came back, of the others manifests only"),
    }
}

impl Judge<'_, '_> {
    /// What is known of the bytes of a namespace that a restore proves.
    pub(super) fn bytes(&self, restore: &Restore, proven: &Proven) -> Bytes {
        let archive = self.archive(restore);
        let claim = |namespace: &Text, name: &str| ObjectId::new("", "PersistentVolumeClaim", Some(namespace), name);
        // A claim that waited for a volume when it was backed up has no bytes.
        let waits = |name: &str| {
            let copy = archive.and_then(|a| a.objects.get(&claim(&proven.source, name)));
            copy.is_some_and(|c| c.meta.phase.as_deref() == Some("Pending"))
        };
        let claims: Vec<&Text> = match (restore.files.items.read(), archive) {
            (Some(items), _) => {
                let own = items.iter().filter(|i| &*i.kind == "v1/PersistentVolumeClaim" && i.namespace.as_ref() == Some(&proven.target));
                own.filter(|i| i.action == RestoreAction::Created).map(|i| &i.name).collect()
            }
            (None, Some(archive)) => {
                let of = |id: &&ObjectId| id.gk.is("", "PersistentVolumeClaim") && id.namespace.as_ref() == Some(&proven.source);
                archive.objects.keys().filter(of).map(|id| &id.name).collect()
            }
            (None, None) => return Bytes::Unknown,
        };
        let claims: Vec<&Text> = claims.into_iter().filter(|name| !waits(name)).collect();
        if claims.is_empty() {
            return Bytes::None;
        }
        let told = restore.files.volumes.read().into_iter().flatten().chain(&restore.volumes);
        let told: Vec<&RestoredVolume> = told.filter(|v| v.namespace == proven.target).collect();
        let is_back = |name: &&&Text| {
            let live = self.join.inputs.live.objects.get(&claim(&proven.target, name));
            let its = |v: &&&RestoredVolume| match (&v.claim, &v.claim_uid) {
                (Some(claim), _) => claim == **name,
                (None, Some(uid)) => live.is_some_and(|l| l.meta.uid.as_ref() == Some(uid)),
                (None, None) => false,
            };
            told.iter().filter(its).any(|v| match v.outcome {
                Some(outcome) => outcome == VolumeOutcome::Succeeded && v.bytes != Some(0),
                // A restore waits for its data movers before it is Completed. A claim that comes from a snapshot has its bytes when it is bound.
                None if v.method == Some(VolumeMethod::DataMovement) => restore.phase.as_deref() == Some("Completed"),
                None => live.is_some_and(|l| l.meta.phase.as_deref() == Some("Bound")),
            })
        };
        Bytes::Some { claims: claims.len() as u64, back: claims.iter().filter(is_back).count() as u64 }
    }
}
