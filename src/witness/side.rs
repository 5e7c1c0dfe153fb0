//! What Velero writes beside an archive: what went wrong, and what became of the volumes; and what a restore did. pure
//!
//! Layout: pkg/persistence/object_store_layout.go. `velero::beside` reads the files into these values.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::object::Text;

/// One file beside an archive, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Side<T> {
    /// Nobody looked for it.
    #[default]
    Unread,
    /// It is known not to be there.
    Absent,
    /// Read.
    Read(T),
    /// It could not be read.
    Failed(Failure),
}

impl<T> Side<T> {
    /// What was read.
    pub fn read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            _ => None,
        }
    }

    /// Why it could not be read, if so.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The files beside one archive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideFiles {
    /// `<backup>-results.gz`: errors and warnings, entry by entry.
    pub results: Side<Results>,
    /// What became of each volume, from `<backup>-volumeinfo.json.gz`; written since Velero 1.13.
    pub volumes: Side<Vec<VolumeCopy>>,
    /// The same from `<backup>-podvolumebackups.json.gz`, for file-system backups.
    pub pod_volumes: Side<Vec<VolumeCopy>>,
    /// The same from `<backup>-volumesnapshots.json.gz`, for snapshots by a provider's plugin.
    pub snapshots: Side<Vec<VolumeCopy>>,
    /// `<backup>-resource-list.json.gz`: what Velero set out to write. Less what the archive holds, it is what went missing, so it is worth
    /// reading for a partially failed backup only.
    pub listed: Side<Vec<ListedObject>>,
}

/// One line of a backup's resource list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Version and kind as `apps/v1/Deployment`.
    pub kind: Text,
    /// Namespace; `None` for cluster-scoped objects.
    pub namespace: Option<Text>,
    /// Name.
    pub name: Text,
}

/// The errors and warnings of a backup or restore (pkg/util/results).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Errors.
    pub errors: Vec<Entry>,
    /// Warnings.
    pub warnings: Vec<Entry>,
    /// Errors beyond those that are kept.
    pub untold_errors: u64,
    /// Warnings beyond those that are kept.
    pub untold_warnings: u64,
}

/// One error or warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The namespace it is filed under.
    pub namespace: Option<Text>,
    /// Plural and group of the object, as Velero's log names it.
    pub resource: Option<Text>,
    /// Name of the object.
    pub name: Option<Text>,
    /// What Velero said.
    pub message: String,
}

/// How the bytes of a volume are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeMethod {
    /// Files copied into the bucket by the node agent.
    PodVolume,
    /// A CSI snapshot whose data was moved into the bucket.
    DataMovement,
    /// A CSI snapshot that stays in the storage system.
    CsiSnapshot,
    /// A snapshot by a provider's plugin, kept by the provider.
    NativeSnapshot,
}

impl VolumeMethod {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::PodVolume => "file-system backup",
            Self::DataMovement => "data movement",
            Self::CsiSnapshot => "CSI snapshot",
            Self::NativeSnapshot => "provider's snapshot",
        }
    }
}

/// How an attempt to copy a volume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeOutcome {
    /// The bytes are kept.
    Succeeded,
    /// Not all of them are.
    Failed,
    /// Velero left it out.
    Skipped,
    /// Not done yet.
    Running,
}

impl VolumeOutcome {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "kept",
            Self::Failed => "failed",
            Self::Skipped => "left out",
            Self::Running => "not done yet",
        }
    }
}

/// What a backup's spec says of volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeAsk {
    /// `spec.defaultVolumesToFsBackup`: file-system backup of every pod volume that is not opted out; else of those that are opted in.
    pub fs_default: bool,
}

/// One attempt to copy one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeCopy {
    /// Namespace of the claim, or of the pod.
    pub namespace: Text,
    /// The claim; `None` if it is not told.
    pub claim: Option<Text>,
    /// uid of the claim, if it is told.
    pub claim_uid: Option<Text>,
    /// The PersistentVolume, if it is told.
    pub volume: Option<Text>,
    /// The pod and the name that the volume has in it, for file-system backups.
    pub pod: Option<(Text, Text)>,
    /// How; `None` for a skipped one.
    pub method: Option<VolumeMethod>,
    /// How it ended.
    pub outcome: VolumeOutcome,
    /// Bytes, if they are told.
    pub bytes: Option<u64>,
    /// When it was taken.
    pub at: Option<Timestamp>,
    /// Why it was skipped or failed, in Velero's words.
    pub message: Option<String>,
}

/// What is kept of a restore in the bucket, under `restores/<name>/`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoreFiles {
    /// Name of the Restore.
    pub name: Text,
    /// `restore-<name>-results.gz`.
    pub results: Side<Results>,
    /// `restore-<name>-resource-list.json.gz`: what was done to each object.
    pub items: Side<Vec<RestoredItem>>,
    /// `<name>-volumeinfo.json.gz`: whose bytes it brought back; written since Velero 1.14.
    pub volumes: Side<Vec<RestoredVolume>>,
}

/// The bytes of one claim that a restore set out to bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredVolume {
    /// Namespace that the claim was restored into.
    pub namespace: Text,
    /// The claim, if it is told.
    pub claim: Option<Text>,
    /// uid of the claim, if that is told instead.
    pub claim_uid: Option<Text>,
    /// How.
    pub method: Option<VolumeMethod>,
    /// How it ended; `None` if only the end of the restore as a whole tells.
    pub outcome: Option<VolumeOutcome>,
    /// Bytes, if they are told.
    pub bytes: Option<u64>,
}

/// What a restore did to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestoreAction {
    /// It was not there and was made.
    Created,
    /// It was there and was patched.
    Updated,
    /// It was there and was left alone.
    Skipped,
    /// It was there and differs, or making it failed.
    Failed,
}

/// One line of a restore's resource list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredItem {
    /// Version and kind as `apps/v1/Deployment`.
    pub kind: Text,
    /// Namespace it was restored into; `None` for cluster-scoped objects.
    pub namespace: Option<Text>,
    /// Name.
    pub name: Text,
    /// What was done.
    pub action: RestoreAction,
}
