//! Split-brain windows in the report. pure

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{AppName, Layer},
    object::Text,
    witness::Commit,
};

/// The state of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WindowState {
    /// Every declared object is held by a usable backup, or by Git alone by design.
    Closed,
    /// Git declares content that no usable backup holds.
    Open,
    /// It could not be judged.
    #[default]
    Unknown,
    /// There is no usable backup at all.
    None,
}

impl WindowState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Open, Self::Unknown, Self::None];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

/// How far an object's newest declared content has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Not applied yet: Git differs from the cluster.
    Pending,
    /// Applied, not in a usable backup.
    Unsnapshotted,
    /// Git removed it, a restore would bring it back.
    Resurrection,
}

/// Why the backup differs from Git.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The backup holds an earlier state of Git.
    Behind {
        /// The commit whose state it holds; absent if the object did not exist in Git or the search did not reach it.
        holds: Option<Commit>,
    },
    /// The backup holds content that Git never declared, as far as the search reached.
    CapturedDrift {
        /// Whose edit, from the managedFields inside the backup.
        owner: Option<Text>,
        /// When.
        time: Option<Timestamp>,
    },
    /// Some of both.
    Mixed,
    /// History does not say.
    Unknown,
}

/// What a start is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The tip was seen between two polls.
    Observed,
    /// Date of the merge commit on the first-parent line.
    Merge,
    /// Date of an ordinary commit: an estimate, since it may have been pushed later.
    Commit,
}

/// When a window began: an interval, with its basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Not before this.
    pub not_before: Timestamp,
    /// Not after this.
    pub not_after: Timestamp,
    /// How it is known.
    pub basis: Basis,
}

/// The open window of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// How far the content has come.
    pub stage: Stage,
    /// When the current content landed; absent if history does not reach that far.
    pub start: Option<Start>,
    /// Why the backup differs.
    #[serde(flatten)]
    pub cause: Cause,
    /// The commits that changed this object since the state that the backup holds, newest first.
    pub commits: Vec<Commit>,
    /// When the next scheduled backup that would cover it is due.
    pub closes_at: Option<Timestamp>,
}

/// What a rolled-up window is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "scope", content = "name", rename_all = "lowercase")]
pub enum WindowScope {
    /// Everything.
    Cluster,
    /// One layer.
    Layer(Layer),
    /// One app.
    App(AppName),
}

/// Windows rolled up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowRollup {
    /// What it is about.
    #[serde(flatten)]
    pub of: WindowScope,
    /// State.
    pub state: WindowState,
    /// The oldest start among open windows.
    pub start: Option<Start>,
    /// Objects with an open window, resurrections not counted.
    pub objects: u64,
    /// Of those, not applied yet.
    pub pending: u64,
    /// Of those, applied but in no usable backup.
    pub unsnapshotted: u64,
    /// Objects that Git removed and a restore would bring back.
    pub resurrected: u64,
    /// Objects that could not be judged.
    pub unknown: u64,
    /// Distinct commits in open windows, newest first.
    pub commits: Vec<Commit>,
    /// The longest window that is allowed, in seconds.
    pub objective_seconds: u64,
    /// Whether the oldest start is longer ago than the objective.
    pub over_objective: bool,
    /// When the next scheduled backup is due that should close it.
    pub closes_at: Option<Timestamp>,
}
