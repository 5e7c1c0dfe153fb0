//! The report as a value and as a stable, versioned document (`snapgap schema report` prints its JSON Schema). pure

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{AppName, Layer, SourceName},
    object::{ObjectId, Text},
    witness::{BackupState, Commit, Diagnostic, Failure, RenderEvidence},
};

/// The version of the document. It changes only when a field is renamed, removed or changes its meaning.
pub const SCHEMA: &str = "snapgap.report/v1";

/// Everything snapgap has to say at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always `snapgap.report/v1`.
    pub schema: Text,
    /// The moment the report speaks of.
    pub now: Timestamp,
    /// How old each witness is.
    pub as_of: AsOf,
    /// Counts over all objects, clean ones included.
    pub summary: Summary,
    /// Split-brain windows rolled up: first the cluster, then layers, then apps.
    pub windows: Vec<WindowRollup>,
    /// Every app.
    pub apps: Vec<AppReport>,
    /// Objects. A printed report holds the clean ones only with `--all`; the counts always cover them.
    pub objects: Vec<ObjectReport>,
    /// Every backup, newest start first.
    pub backups: Vec<BackupReport>,
    /// Every Velero schedule.
    pub schedules: Vec<ScheduleReport>,
    /// Every storage location.
    pub locations: Vec<LocationReport>,
    /// Every source.
    pub sources: Vec<SourceReport>,
    /// Kinds that could not be read, and the permission or repair that would heal them.
    pub blind_spots: Vec<BlindSpot>,
    /// What was left out, by rule, with counts.
    pub suppressed: Vec<Suppressed>,
    /// Things that a person should know and that belong to no single object.
    pub notes: Vec<Note>,
}

/// When each witness was last known to be true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AsOf {
    /// Git, per source.
    pub git: BTreeMap<SourceName, StageAge>,
    /// The cluster.
    pub cluster: StageAge,
    /// Velero's objects and archives.
    pub backups: StageAge,
}

/// The age of one stage's value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageAge {
    /// When the value was last known to be true; absent if there never was one.
    pub at: Option<Timestamp>,
    /// Why the newest attempt failed. The value in use is then the last good one.
    pub failure: Option<Failure>,
}

/// Counts over all objects known, clean ones included. Each object is counted once per axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Objects known to any witness.
    pub objects: u64,
    /// By drift verdict; every verdict is present.
    pub drift: BTreeMap<Drift, u64>,
    /// By recovery verdict; every verdict is present.
    pub recovery: BTreeMap<Recovery, u64>,
    /// Recovery verdicts by layer; every combination is present.
    pub recovery_by_layer: BTreeMap<Layer, BTreeMap<Recovery, u64>>,
    /// Objects that could not be judged, by side and reason.
    pub unknown: Vec<UnknownCount>,
    /// Where objects are: every object in exactly one cell.
    pub coverage: Vec<CoverageCell>,
    /// The state of the whole cluster's window.
    pub window: WindowState,
}

/// How many objects could not be judged for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownCount {
    /// The side that could not be read.
    pub side: Side,
    /// Stable reason.
    pub reason: Text,
    /// Objects; one that several sides fail on is counted once per side.
    pub objects: u64,
}

/// One cell of the three-circle diagram, by namespace and scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageCell {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: Text,
    /// Kind of objects counted.
    pub scope: CoverageScope,
    /// Git declares it.
    pub in_git: bool,
    /// The cluster runs it.
    pub in_cluster: bool,
    /// The newest usable backup that covers it holds it.
    pub in_backup: bool,
    /// Objects.
    pub objects: u64,
}

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

/// One object and what is said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReport {
    /// Group, kind, namespace and name.
    #[serde(flatten)]
    pub id: ObjectId,
    /// The version that Git names, else the one that was read live, else the backup's.
    pub version: Text,
    /// The app that declares it (or last did).
    pub app: Option<AppName>,
    /// The source of that app.
    pub source: Option<SourceName>,
    /// Layer.
    pub layer: Layer,
    /// What each witness says.
    pub sides: Sides,
    /// Git against cluster.
    pub drift: Drift,
    /// Since when it drifts, if it does and that is known: the owner's time, else when it was first seen.
    pub drift_since: Option<Timestamp>,
    /// What brings it back.
    pub recovery: Recovery,
    /// One sentence: what is wrong and what to do, or why nothing is.
    pub why: String,
    /// The open window, if there is one.
    pub window: Option<Window>,
    /// The backup that speaks for it: the newest usable one whose scope covers it.
    pub backup: Option<Text>,
    /// Why it could not be judged, per side.
    pub unknown: Vec<UnknownSide>,
    /// Differing fields.
    pub fields: Vec<FieldReport>,
    /// Differences that rules left out.
    pub suppressed: u32,
    /// File inside the source and line, if the renderer is plain YAML.
    pub file: Option<Text>,
    /// Line of the document's start.
    pub line: Option<u32>,
}

impl ObjectReport {
    /// Whether there is anything to look at: drift, a gap in recovery, or something unknown.
    pub fn is_finding(&self) -> bool {
        self.drift.is_drift()
            || matches!(self.recovery, Recovery::Split | Recovery::Lost | Recovery::BackupStale | Recovery::Resurrected)
            || self.is_unknown()
    }

    /// Whether either axis could not be judged.
    pub fn is_unknown(&self) -> bool {
        self.drift == Drift::Unknown || self.recovery == Recovery::Unknown
    }
}

/// What each witness says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sides {
    /// Git.
    pub git: Presence,
    /// Cluster.
    pub cluster: Presence,
    /// Backup.
    pub backup: Presence,
}

/// Why one side could not be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownSide {
    /// The side.
    pub side: Side,
    /// Stable reason.
    pub reason: Text,
    /// For people.
    pub message: String,
}

/// One differing leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldReport {
    /// Path in a form that can be pasted, for example `spec.template.spec.containers[name=app].image`.
    pub path: String,
    /// What kind of difference, Git against cluster; absent if only the backup differs.
    pub class: Option<crate::drift::LeafClass>,
    /// What Git declares, as JSON text; `(value hidden)` for Secrets.
    pub desired: Option<String>,
    /// What runs.
    pub live: Option<String>,
    /// What the backup holds; absent also if it was not compared.
    pub backed_up: Option<String>,
    /// The field manager that owns the live value.
    pub owner: Option<Text>,
    /// When that manager last wrote.
    pub time: Option<Timestamp>,
    /// File inside the source.
    pub file: Option<Text>,
    /// Line of the leaf, from 1.
    pub line: Option<u32>,
}

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
    /// Why.
    pub why: String,
    /// Velero's phase.
    pub phase: Text,
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
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleReport {
    /// Name.
    pub name: Text,
    /// Cron expression.
    pub cron: Text,
    /// Paused.
    pub paused: bool,
    /// Storage location.
    pub location: Option<Text>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Start of its newest usable backup.
    pub last_usable_start: Option<Timestamp>,
    /// Expiration of its newest usable backup.
    pub last_usable_expiration: Option<Timestamp>,
    /// Objects in its newest usable backup.
    pub last_usable_objects: Option<u64>,
    /// Next due.
    pub next_due: Option<Timestamp>,
    /// The longest gap the expression allows, in seconds.
    pub interval_seconds: Option<u64>,
    /// Its backups by state; every state is present.
    pub backups: BTreeMap<BackupState, u64>,
    /// What is wrong with it.
    pub problem: Option<String>,
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
    /// Why it is not available.
    pub message: Option<String>,
}

/// A kind that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlindSpot {
    /// The kind as `plural.group`, or the group as `*.group`.
    pub what: Text,
    /// Stable reason: `forbidden`, `stale_group`, `not_listable`, ...
    pub reason: Text,
    /// What is wrong and which permission or repair heals it.
    pub message: String,
    /// Whether something that Git or a backup names depends on it. Blind spots that nobody asks about are shown with `--all` only.
    pub matters: bool,
}

/// Differences that a rule left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suppressed {
    /// The rule.
    pub rule: Text,
    /// Why it exists.
    pub reason: String,
    /// Fields that it left out.
    pub fields: u64,
    /// Objects that it left out or touched.
    pub objects: u64,
}

/// Something that belongs to no single object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Stable snake_case word.
    pub reason: Text,
    /// What is wrong and what to do.
    pub message: String,
}
