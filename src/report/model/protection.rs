//! Volumes and proven restores in the report: whether bytes are kept, and whether anybody ever brought them back. pure

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::Layer,
    object::Text,
    witness::{BackupState, VolumeMethod, VolumeOutcome},
};

/// Who keeps the bytes of a claim. Its manifest is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    /// A usable backup has them.
    Present,
    /// Velero made a snapshot of them that stays in the storage system: it is gone with that.
    Snapshot,
    /// Another tool is set up to keep them: recognised, not judged.
    Elsewhere,
    /// Nobody has them, because somebody decided so: a policy or an annotation leaves them out.
    Skipped,
    /// Nobody has them.
    Absent,
    /// There are none yet: the claim is not bound to a volume.
    Unbound,
    /// It cannot be said.
    Unknown,
}

impl VolumeState {
    /// All states.
    pub const ALL: [Self; 7] = [Self::Present, Self::Snapshot, Self::Elsewhere, Self::Skipped, Self::Absent, Self::Unbound, Self::Unknown];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Snapshot => "snapshot",
            Self::Elsewhere => "elsewhere",
            Self::Skipped => "skipped",
            Self::Absent => "absent",
            Self::Unbound => "unbound",
            Self::Unknown => "unknown",
        }
    }
}

/// One PersistentVolumeClaim and its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeReport {
    /// Namespace of the claim.
    pub namespace: Text,
    /// Name of the claim.
    pub name: Text,
    /// Layer of its namespace.
    pub layer: Layer,
    /// The PersistentVolume that it is bound to.
    pub volume: Option<Text>,
    /// Its storage class.
    pub storage_class: Option<Text>,
    /// Bytes that it asks for.
    pub requested_bytes: Option<u64>,
    /// Who keeps its bytes.
    pub state: VolumeState,
    /// The same, closer: a stable snake_case word, such as `not_opted_in`.
    pub reason: Text,
    /// One sentence: who has the bytes, or why nobody has and what to do.
    pub why: String,
    /// The newest usable backup that has the bytes.
    pub backup: Option<Text>,
    /// How that backup keeps them.
    pub method: Option<VolumeMethod>,
    /// Bytes in that backup, if they are told.
    pub bytes: Option<u64>,
    /// When they were taken.
    pub at: Option<Timestamp>,
    /// Other tools that are set up for it.
    pub elsewhere: Vec<Holder>,
    /// What each backup says of it, newest start first.
    pub evidence: Vec<VolumeEvidence>,
}

impl VolumeReport {
    /// Whether nobody has the bytes and nobody decided that.
    pub fn is_unprotected(&self) -> bool {
        self.state == VolumeState::Absent
    }
}

/// A tool besides Velero that is set up for a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Stable name: `cloudnative_pg`, `volsync`, `k8up`, `longhorn`, `snapscheduler`, `volume_snapshot`.
    pub tool: Text,
    /// The object that says so, and what it does.
    pub detail: String,
}

/// What one backup says of a claim's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeEvidence {
    /// The backup.
    pub backup: Text,
    /// What it is good for.
    pub state: BackupState,
    /// How they were to be kept.
    pub method: Option<VolumeMethod>,
    /// How that ended; absent if the backup says nothing of the claim.
    pub outcome: Option<VolumeOutcome>,
    /// Bytes, if they are told.
    pub bytes: Option<u64>,
    /// When they were taken.
    pub at: Option<Timestamp>,
    /// Why not, if not.
    pub message: Option<String>,
}

/// One restore and what it proves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreReport {
    /// Name of the Restore, or of the Kymaros report.
    pub name: Text,
    /// Who made it: `velero` or `kymaros`.
    pub by: Text,
    /// The backup that was restored.
    pub backup: Option<Text>,
    /// Velero's phase, or the report's result; absent if only the bucket tells of it.
    pub phase: Option<Text>,
    /// Whether it went into this cluster. Not, if only the bucket tells of it: another cluster left it there, or its object is gone. Absent if the
    /// Restores of this cluster were not read.
    pub here: Option<bool>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was done.
    pub completed: Option<Timestamp>,
    /// Objects that it made; absent if what it did to each was not read.
    pub created: Option<u64>,
    /// Objects that it patched.
    pub updated: Option<u64>,
    /// Objects that were there already and that it left alone.
    pub skipped: Option<u64>,
    /// Objects that it failed on, those that were there and differ included.
    pub failed: Option<u64>,
    /// Namespaces of the backup that it proves.
    pub proves: Vec<Text>,
    /// Those of them of which the bytes of every claim came back too, or that have no claims; of the others it proves the manifests only.
    pub with_bytes: Vec<Text>,
    /// Why, or why not.
    pub why: String,
}

/// What a proof is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "scope", content = "name", rename_all = "lowercase")]
pub enum ProofOf {
    /// A whole backup.
    Backup(Text),
    /// A namespace, from whatever backup.
    Namespace(Text),
    /// All namespaces of a layer.
    Layer(Layer),
}

/// Whether a backup, a namespace or a layer was ever brought back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProofReport {
    /// What it is of.
    pub of: ProofOf,
    /// When it was last proven; of several namespaces the one whose proof is oldest. Absent while not all of them are.
    pub at: Option<Timestamp>,
    /// When it was last proven with the bytes of all its claims; of several namespaces the one whose proof is oldest. Absent while of some of them
    /// only manifests were ever brought back.
    pub with_bytes_at: Option<Timestamp>,
    /// The restore that proves it; of several namespaces the oldest.
    pub restore: Option<Text>,
    /// The backup that was restored.
    pub backup: Option<Text>,
    /// Whether that restore is gone, and known from what the daemon keeps.
    pub remembered: bool,
    /// Namespaces that are proven.
    pub proven: u64,
    /// Those of them that are proven with the bytes of all their claims, or have none.
    pub with_bytes: u64,
    /// Namespaces that there are.
    pub namespaces: u64,
}
