//! The words of the two axes and of the three sides. pure

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of objects a coverage cell counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CoverageScope {
    /// Cluster-scoped objects.
    Cluster,
    /// Namespaced objects.
    Namespaced,
    /// Manifests of PersistentVolumeClaims and PersistentVolumes, which Git rarely holds.
    Volume,
}

/// One of the three witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What Git declares.
    Git,
    /// What the cluster runs.
    Cluster,
    /// What the newest usable backup holds.
    Backup,
}

impl Side {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Git, Self::Cluster, Self::Backup];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Cluster => "cluster",
            Self::Backup => "backup",
        }
    }

    /// The witness, as people call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Git => "Git",
            Self::Cluster | Self::Backup => self.name(),
        }
    }
}

/// What one witness says of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is there.
    Present,
    /// It is known not to be there.
    Absent,
    /// It could not be read.
    Unknown,
}

/// The drift axis: Git against cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// What Git sets is what runs.
    InSync,
    /// Fields that Git sets are different or gone.
    Changed,
    /// Git declares it, the cluster does not have it.
    Missing,
    /// No longer in Git, still live, still carrying the deployer's mark.
    Removed,
    /// In sync, but a person put fields there that Git does not have.
    Added,
    /// Live, not in Git, not derived.
    Unmanaged,
    /// Live, not in Git, made by a controller from something else. Nothing to compare.
    Derived,
    /// Neither in Git nor live (only a backup has it). Nothing to compare.
    Gone,
    /// Could not be judged.
    Unknown,
}

impl Drift {
    /// All verdicts.
    pub const ALL: [Self; 9] =
        [Self::InSync, Self::Changed, Self::Missing, Self::Removed, Self::Added, Self::Unmanaged, Self::Derived, Self::Gone, Self::Unknown];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Unmanaged => "unmanaged",
            Self::Derived => "derived",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }

    /// Whether Git and cluster disagree on something that Git declares or declared. `unmanaged` is no disagreement.
    pub fn is_drift(self) -> bool {
        matches!(self, Self::Changed | Self::Missing | Self::Removed | Self::Added)
    }
}

/// The recovery axis: what brings the object back if the cluster is lost now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Git and backup both hold it.
    Either,
    /// Git and backup disagree, or it landed after the snapshot: the window is open. Git wins for manifests.
    Split,
    /// Only Git holds it, by design.
    Git,
    /// Only the backup has it.
    Backup,
    /// Only the backup has it, and changes since its start would be lost.
    BackupStale,
    /// Nobody has it.
    Lost,
    /// A controller makes it again from something that is recoverable.
    Derived,
    /// Deleted since; a restore brings it back.
    Resurrected,
    /// Could not be judged.
    Unknown,
}

impl Recovery {
    /// All verdicts, in the order of the design's table, `unknown` last.
    pub const ALL: [Self; 9] =
        [Self::Either, Self::Split, Self::Git, Self::Backup, Self::BackupStale, Self::Lost, Self::Derived, Self::Resurrected, Self::Unknown];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Either => "either",
            Self::Split => "split",
            Self::Git => "git",
            Self::Backup => "backup",
            Self::BackupStale => "backup_stale",
            Self::Lost => "lost",
            Self::Derived => "derived",
            Self::Resurrected => "resurrected",
            Self::Unknown => "unknown",
        }
    }
}
