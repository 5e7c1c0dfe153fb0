//! One row of the sections that show what is kept and what was ever brought back: claims, restores, proofs. pure

use jiff::Timestamp;

use crate::{
    http::page::text::{Chip, When, backup_href, cut, object_href, shown},
    object::ObjectId,
    report::model::{ProofOf, ProofReport, RestoreReport, VolumeReport, VolumeState},
    words::count,
};

/// A PersistentVolumeClaim.
pub struct VolumeRow {
    /// Name.
    pub name: String,
    /// The evidence page of the claim.
    pub href: String,
    /// Namespace, volume and size.
    pub of: String,
    /// Who keeps its bytes.
    pub chip: Chip,
    /// When they were taken.
    pub at: When,
    /// The backup that has them, and how.
    pub by: String,
    /// Why, and what to do.
    pub why: String,
}

impl VolumeRow {
    pub(in crate::http::page) fn new(volume: &VolumeReport, now: Timestamp) -> Self {
        let size = volume.bytes.or(volume.requested_bytes).map(bytes);
        let of = [Some(format!("namespace {}", shown(&volume.namespace))), volume.volume.as_ref().map(|v| shown(v)), size];
        let by = [volume.backup.as_ref().map(|b| shown(b)), volume.method.map(|m| m.words().to_owned())];
        Self {
            name: shown(&volume.name),
            href: object_href(&claim(volume)),
            of: of.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            chip: Chip::volume(volume.state),
            at: When::new(now, volume.at, "never"),
            by: by.into_iter().flatten().collect::<Vec<_>>().join(", "),
            why: cut(&volume.why, 600),
        }
    }
}

/// The claim as an object.
pub(in crate::http::page) fn claim(volume: &VolumeReport) -> ObjectId {
    ObjectId::new("", "PersistentVolumeClaim", Some(&volume.namespace), &volume.name)
}

/// Bytes as people read them.
pub(in crate::http::page) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let at = (n.max(1).ilog2() / 10).min(5) as usize;
    format!("{} {}", n >> (10 * at), units[at])
}

/// Claims in the order in which they are shown: what nobody keeps first.
pub(in crate::http::page) fn by_urgency(volumes: &[VolumeReport]) -> Vec<&VolumeReport> {
    let rank = |v: &VolumeReport| match v.state {
        VolumeState::Absent => 0,
        VolumeState::Unknown => 1,
        VolumeState::Snapshot => 2,
        VolumeState::Skipped => 3,
        VolumeState::Elsewhere => 4,
        VolumeState::Present => 5,
        VolumeState::Unbound => 6,
    };
    let mut all: Vec<&VolumeReport> = volumes.iter().collect();
    all.sort_by_key(|v| (rank(v), &v.namespace, &v.name));
    all
}

/// A restore.
pub struct RestoreRow {
    /// Name.
    pub name: String,
    /// The row of the backup that was restored; empty if nobody tells which.
    pub href: String,
    /// Backup and where it went.
    pub of: String,
    /// What it proves.
    pub chip: Chip,
    /// When it was done.
    pub at: When,
    /// What it did, in words.
    pub did: Vec<String>,
    /// Why, or why not.
    pub why: String,
}

impl RestoreRow {
    pub(in crate::http::page) fn new(restore: &RestoreReport, now: Timestamp) -> Self {
        let place = match restore.here {
            Some(true) => "into this cluster",
            Some(false) => "told by the bucket alone: into another cluster, or its object is gone",
            None => "told by the bucket alone",
        };
        let of = [restore.backup.as_ref().map(|b| format!("of {}", shown(b))), Some(place.to_owned()), Some(format!("by {}", shown(&restore.by)))];
        let counts =
            [(restore.created, "made"), (restore.updated, "patched"), (restore.skipped, "skipped"), (restore.failed, "left alone or failed")];
        Self {
            name: shown(&restore.name),
            href: restore.backup.as_deref().map(backup_href).unwrap_or_default(),
            of: of.into_iter().flatten().collect::<Vec<_>>().join(", "),
            chip: match (restore.proves.len(), restore.with_bytes.len()) {
                (0, _) => Chip::plain("proves nothing"),
                (proves, whole) if whole < proves => Chip::warn("manifests only"),
                _ => Chip::good("proof"),
            },
            at: When::new(now, restore.completed, "not known"),
            did: counts.iter().filter_map(|(n, word)| n.filter(|n| *n > 0).map(|n| format!("{n} {word}"))).collect(),
            why: cut(&restore.why, 400),
        }
    }
}

/// Whether something was ever brought back.
pub struct ProofRow {
    /// What it is of.
    pub of: String,
    /// State.
    pub chip: Chip,
    /// When.
    pub at: When,
    /// By which restore, or how much of it.
    pub about: String,
}

impl ProofRow {
    /// Layers and usable backups; namespaces stand behind them.
    pub(in crate::http::page) fn new(proof: &ProofReport, now: Timestamp) -> Option<Self> {
        let of = match &proof.of {
            ProofOf::Layer(layer) => format!("layer {layer}"),
            ProofOf::Backup(name) if proof.proven > 0 => format!("backup {}", shown(name)),
            ProofOf::Backup(_) | ProofOf::Namespace(_) => return None,
        };
        let part = format!("{} of {}", proof.proven, count(proof.namespaces, "namespace", "namespaces"));
        let gone = if proof.remembered { ", which is gone" } else { "" };
        Some(Self {
            of,
            chip: match proof.at {
                Some(_) if proof.with_bytes < proof.namespaces => Chip::warn("manifests only"),
                Some(_) => Chip::good("proven"),
                None if proof.proven > 0 => Chip::warn("in part"),
                None => Chip::plain("never proven"),
            },
            at: When::new(now, proof.at, "never"),
            about: proof.restore.as_ref().map_or(part, |r| format!("oldest proof: {}{gone}", shown(r))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_largest_unit_that_fits() {
        for (n, want) in [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (5 << 30, "5 GiB"), (u64::MAX, "16383 PiB")] {
            assert_eq!(bytes(n), want);
        }
    }
}
