//! Apps, sources, backups, schedules and storage locations in the report. pure

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Agreement, Drift, LeftOut, Recovery};
use crate::{
    config::{AppName, Layer, SourceName},
    object::Text,
    witness::{BackupState, Commit, Diagnostic, Failure, MissingObject, Remark, RenderEvidence},
};

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppReport {
    /// Name.
    pub name: AppName,
    /// Source.
    pub source: SourceName,
    /// Folder inside the source.
    pub path: Text,
    /// Layer of most of its objects.
    pub layer: Layer,
    /// Destination namespace.
    pub namespace: Option<Text>,
    /// The commit it was last rendered from.
    pub revision: Option<Text>,
    /// When it was last rendered.
    pub rendered_at: Option<Timestamp>,
    /// What rendered it.
    pub render: Option<RenderEvidence>,
    /// Why the newest attempt failed. What is shown is then the last good render.
    pub failure: Option<Failure>,
    /// Objects that it declares.
    pub objects: u64,
    /// Its objects by drift verdict; every verdict is present.
    pub drift: BTreeMap<Drift, u64>,
    /// Its objects by recovery verdict; every verdict is present.
    pub recovery: BTreeMap<Recovery, u64>,
    /// Differences that rules left out.
    pub suppressed: u64,
    /// What a person should know about its files.
    pub diagnostics: Vec<Diagnostic>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// Name.
    pub name: SourceName,
    /// Location without credentials.
    pub location: String,
    /// Ref.
    pub reference: String,
    /// The commit at the tip.
    pub tip: Option<Commit>,
    /// When the tip was first seen, if it was seen between two polls.
    pub observed: Option<Timestamp>,
    /// When the tip was last confirmed.
    pub as_of: Option<Timestamp>,
    /// Why the newest attempt failed.
    pub failure: Option<Failure>,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupReport {
    /// Name.
    pub name: Text,
    /// Schedule that made it.
    pub schedule: Option<Text>,
    /// Storage location.
    pub location: Option<Text>,
    /// What it is good for.
    pub state: BackupState,
    /// The same, closer: a stable snake_case word such as `partially_failed` or `location_unavailable`.
    pub reason: Text,
    /// Why.
    pub why: String,
    /// Evidence besides: `torn`, `objects_missing`, `clock_skew`, `looks_foreign`, `same_second`, `location_read_only` and the like.
    pub evidence: Vec<Remark>,
    /// Objects that it failed on.
    pub missing: Vec<MissingObject>,
    /// Velero's phase.
    pub phase: Text,
    /// When its Backup object was made; of one that was synced from the bucket, when that was.
    pub created: Option<Timestamp>,
    /// The time it speaks for.
    pub start: Option<Timestamp>,
    /// When it was done.
    pub completed: Option<Timestamp>,
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// Objects in it, if its content was read.
    pub objects: Option<u64>,
    /// Why its content was not read.
    pub unread: Option<Failure>,
    /// Objects for which it is the newest usable backup.
    pub speaks_for: u64,
    /// Its content against what its spec takes; absent if either is not known, or what it lacks cannot be said: clocks disagree, or the view of the
    /// cluster is older than it.
    pub agreement: Option<Agreement>,
    /// Of a usable one that names no filter: what lives and is not in it although it looks like everything.
    pub left_out: Option<LeftOut>,
}

/// One storage location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocationReport {
    /// Name.
    pub name: Text,
    /// Available.
    pub available: bool,
    /// Velero's default.
    pub default: bool,
    /// Read-only.
    pub read_only: bool,
    /// Why it is not available, or why that is not known.
    pub message: Option<String>,
    /// When Velero last looked at it.
    pub validated: Option<Timestamp>,
    /// Whether that is so long ago that what it said then is not known to hold.
    pub stale: bool,
}
