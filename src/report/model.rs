//! The report as a value and as a stable, versioned document (`snapgap schema report` prints its JSON Schema). pure

mod agreement;
mod confirmed;
mod protection;
mod schedules;
mod sources;
mod verdicts;
mod windows;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    agreement::{Agreement, Disagreement, DisagreementReport, Mismatch},
    confirmed::{Answer, Confirmed, ConfirmedField, Deed},
    protection::{Holder, ProofOf, ProofReport, RestoreReport, VolumeEvidence, VolumeReport, VolumeState},
    schedules::{LeftOut, ScheduleReport, ScheduleState},
    sources::{AppReport, BackupReport, LocationReport, SourceReport},
    verdicts::{CoverageScope, Drift, Presence, Recovery, Side},
    windows::{Basis, Cause, Stage, Start, Window, WindowRollup, WindowScope, WindowState},
};

use crate::{
    config::{AppName, Layer, SourceName},
    object::{ObjectId, Text},
    witness::Failure,
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
    /// Every PersistentVolumeClaim that runs: whether anybody keeps its bytes.
    pub volumes: Vec<VolumeReport>,
    /// Every backup, newest start first.
    pub backups: Vec<BackupReport>,
    /// Backups that hold other objects than their specs take, newest start first.
    pub disagreements: Vec<DisagreementReport>,
    /// Every restore that anybody tells of, newest first, and what it proves.
    pub restores: Vec<RestoreReport>,
    /// What was ever brought back: usable backups, then layers, then namespaces.
    pub proofs: Vec<ProofReport>,
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
    /// What the comparisons know of the kinds.
    pub schemas: SchemaState,
}

/// Where the schemas come from that comparisons stand on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaState {
    /// OpenAPI documents of the cluster's API server; 0: the table that is compiled in serves for Kubernetes' own kinds.
    pub documents: u64,
    /// CustomResourceDefinitions that the cluster holds. Each serves for its own kind.
    pub definitions: u64,
    /// Why documents are missing, if some are.
    pub failure: Option<Failure>,
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
    /// Objects that drift by nothing but what a person does to a running object for now. They are counted under their drift verdict too.
    #[serde(default)]
    pub operational: u64,
    /// Fields that Git sets and that the server has not, so that it drops them. No drift, but most likely not what anybody meant.
    pub unknown_fields: u64,
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
    pub window: Option<Box<Window>>,
    /// The backup that speaks for it: the newest usable one whose scope covers it.
    pub backup: Option<Text>,
    /// Why it could not be judged, per side.
    pub unknown: Vec<UnknownSide>,
    /// Differing fields.
    pub fields: Vec<FieldReport>,
    /// What the server's dry run says of it; only of objects that drift, and only if that was asked for (`cluster.confirm`).
    pub confirmed: Option<Confirmed>,
    /// Whether it drifts by nothing but what a person does to a running object for now: a restart, replicas by hand, a paused rollout.
    #[serde(default)]
    pub operational: bool,
    /// Whether it, or the namespace in which it lies, is being deleted: then nothing can be synced there.
    #[serde(default)]
    pub terminating: bool,
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
    /// What kind of writer that is.
    pub writer: Option<crate::drift::Writer>,
    /// When that manager last wrote.
    pub time: Option<Timestamp>,
    /// File inside the source.
    pub file: Option<Text>,
    /// Line of the leaf, from 1.
    pub line: Option<u32>,
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
    /// Where it stands: `built in`, `configuration`, a mark on the object, or the object of a deployer that holds it.
    pub origin: Text,
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
