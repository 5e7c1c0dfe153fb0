//! What the three witnesses said, as values: the only input of the join. pure
//!
//! Each witness is immutable once published. What could not be read stands in it as a [`Failure`], never as an absence.

pub mod holdings;
pub mod objects;
mod restore;
mod side;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub use holdings::Holdings;
use jiff::Timestamp;
pub use objects::Objects;
pub use restore::{Restore, ToldBy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use side::{
    Entry, ListedObject, RestoreAction, RestoreFiles, RestoredItem, Results, Side, SideFiles, VolumeAsk, VolumeCopy, VolumeMethod, VolumeOutcome,
};

use crate::{
    config::{App, AppName, SourceName},
    object::{GroupKind, Object, ObjectId, Text},
};

/// Why something could not be read. `reason` is stable and bounded (it is a metric label); `message` is for people and never holds
/// credentials or Secret values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Stable snake_case word, for example `forbidden`, `render_failed`, `content_unread`.
    pub reason: Text,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure from its two parts.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

// ---------------------------------------------------------------------------------------------------------------- Git

/// What Git declares.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Every configured source.
    pub sources: BTreeMap<SourceName, SourceState>,
    /// Every configured app.
    pub apps: BTreeMap<AppName, AppState>,
}

/// One source as last read.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Location without credentials.
    pub location: String,
    /// Ref as asked for, for people.
    pub reference: String,
    /// The tip as last read; `None` if it never was.
    pub tip: Option<Tip>,
    /// When the tip was last confirmed.
    pub as_of: Option<Timestamp>,
    /// Why the newest attempt failed, if it did. The tip is then the last good one.
    pub failure: Option<Failure>,
}

/// The commit that a ref points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The commit.
    pub commit: Commit,
    /// When we first saw the ref at this commit, and the last poll before that which still saw another one.
    pub observed: Option<Observed>,
}

/// When a tip was first seen between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The last poll that did not see it.
    pub not_before: Timestamp,
    /// The first poll that saw it.
    pub not_after: Timestamp,
}

/// A commit, as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// Full hexadecimal id.
    pub sha: Text,
    /// Author's name.
    pub author: Text,
    /// First line of the message.
    pub subject: Text,
    /// Committer date.
    pub time: Timestamp,
    /// Whether it has more than one parent.
    pub merge: bool,
}

/// One app as last rendered.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The app.
    pub app: App,
    /// The last good render.
    pub rendered: Option<Arc<Rendered>>,
    /// Why the newest attempt failed, if it did. `rendered` is then the last good one.
    pub failure: Option<Failure>,
    /// What earlier commits declared, newest first.
    pub history: Arc<AppHistory>,
}

impl AppState {
    /// Whether it says what another one says, by the values that they share.
    pub fn is_same(&self, other: &Self) -> bool {
        let render = match (&self.rendered, &other.rendered) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        render && Arc::ptr_eq(&self.history, &other.history) && self.failure == other.failure && self.app == other.app
    }
}

/// The result of one render.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The commit it was rendered from.
    pub revision: Text,
    /// When.
    pub at: Timestamp,
    /// The objects, in the order in which they were rendered; identities are unique (a repeated object is a diagnostic, the last wins,
    /// as it would when applied).
    pub objects: Vec<Desired>,
    /// What rendered it.
    pub evidence: RenderEvidence,
    /// What a person should know about the input.
    pub diagnostics: Vec<Diagnostic>,
}

/// What rendered an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenderEvidence {
    /// Renderer that was used (never `auto`).
    pub renderer: Text,
    /// Program and version for exec renderers, for example `kustomize v5.8.1`.
    pub tool: Option<Text>,
    /// Hash of everything that the render can depend on. Equal closures render the same.
    pub closure: Text,
    /// How the program was confined: `netns+mountns+seccomp`, `landlock+seccomp`, `none` ... ; absent for native renderers.
    pub sandbox: Option<Text>,
    /// Helm and Argo CD hooks that were left out: they are no part of the steady state.
    pub hooks: usize,
}

/// Something to tell about a file, with where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// File inside the source.
    pub file: Text,
    /// Line, from 1, if known.
    pub line: Option<u32>,
    /// Stable snake_case word, for example `duplicate_key`, `not_an_object`, `repeated_object`.
    pub reason: Text,
    /// What is wrong and what to do.
    pub message: String,
}

/// An object that Git declares.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The object.
    pub object: Object,
    /// Where it is written, if the renderer is plain YAML.
    pub origin: Option<Origin>,
}

/// Where an object and its leaves are written.
#[derive(Clone, Debug)]
pub struct Origin {
    /// File inside the source.
    pub file: Text,
    /// First line of the document.
    pub line: u32,
    /// Lines of the single leaves.
    pub lines: Arc<crate::object::yaml::LineMap>,
}

/// What earlier commits declared, per object: only where something changed.
#[derive(Clone, Debug, Default)]
pub struct AppHistory {
    /// Per object its states along the first-parent line, newest first. The first entry is the state at the tip, its `since` the commit
    /// that brought it there.
    pub objects: HashMap<ObjectId, Vec<PastState>>,
    /// How far the search went: everything at or after this commit was looked at. `None` if nothing was.
    pub reaches: Option<Commit>,
    /// Whether the search ended at the root commit; if not, a state older than `reaches` has an unknown start.
    pub complete: bool,
    /// Why the search could not be done or ended early, for people.
    pub note: Option<String>,
}

/// An unbroken run of commits that declare an object alike.
#[derive(Clone, Debug)]
pub struct PastState {
    /// The first-parent commit that brought this state: the oldest of the run. `None`: older than the search reached.
    pub since: Option<Commit>,
    /// The object in that state; `None`: not declared.
    pub object: Option<Arc<Object>>,
}

// ------------------------------------------------------------------------------------------------------------ cluster

/// What the cluster runs.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// uid of the namespace kube-system: the nearest thing to a cluster's identity.
    pub cluster_uid: Option<Text>,
    /// Server version, for example `v1.36.3`.
    pub server_version: Option<Text>,
    /// Every kind that discovery names, and how reading it went.
    pub kinds: BTreeMap<GroupKind, KindState>,
    /// Groups whose kinds discovery could not name (stale or failed aggregated APIs). A kind of such a group that `kinds` does not name
    /// is unknown, never absent.
    pub broken_groups: BTreeMap<Text, Failure>,
    /// Whether discovery as a whole is to be believed: a kind that it does not name is then not served.
    pub discovered: bool,
    /// Namespaces that the view speaks for, if not for the whole cluster (a dump of some namespaces): what lies elsewhere, or in no
    /// namespace, and is not in the view is unknown, never absent. `None`: the whole cluster.
    pub namespaces: Option<BTreeSet<Text>>,
    /// The objects.
    pub objects: Objects,
    /// Whole objects, status included, of the few kinds whose status speaks for others: the group `velero.io`, without DownloadRequest
    /// (its status holds a signed URL) and without managedFields.
    pub controllers: HashMap<ObjectId, Arc<serde_json::Value>>,
    /// The schemas that the server describes.
    pub schemas: Arc<crate::drift::schema::Schemas>,
    /// When the view was last known to be true.
    pub as_of: Option<Timestamp>,
    /// Why the newest attempt failed as a whole, if it did.
    pub failure: Option<Failure>,
}

impl Live {
    /// Whether the view would hold this object if it existed, as far as namespaces go.
    pub fn covers(&self, id: &ObjectId) -> bool {
        self.namespaces.as_ref().is_none_or(|covered| id.namespace.as_ref().is_some_and(|n| covered.contains(n)))
    }
}

/// A kind that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindState {
    /// Plural resource name, for example `deployments`.
    pub plural: Text,
    /// Version that was read.
    pub version: Text,
    /// Other served versions.
    pub versions: Vec<Text>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// How reading went.
    pub listing: Listing,
    /// What else discovery tells of it; `None` if it was not asked (a dump).
    pub told: Option<Told>,
}

/// What discovery tells of a kind for those who name it in filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Singular name.
    pub singular: Text,
    /// Short names.
    pub shorts: Vec<Text>,
    /// Whether its objects can be listed, read, created and deleted; Velero passes over others (pkg/discovery/helper.go `filterByVerbs`).
    pub storable: bool,
    /// Where its group comes in the server's list: of two kinds of one name, the earlier is meant.
    pub rank: usize,
}

/// How reading one kind went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All objects are in the inventory: what is not there does not exist.
    Complete,
    /// Not read, and it cannot be read (no list verb) or was asked not to be: its objects cannot be judged.
    Skipped(Failure),
    /// Reading failed (403, timeout, broken group): its objects cannot be judged, and any that are in the inventory are last good ones.
    Failed(Failure),
}

// ------------------------------------------------------------------------------------------------------------- backups
/// What the backups hold.
#[derive(Clone, Debug, Default)]
pub struct BackedUp {
    /// All backups known, newest start first.
    pub backups: Vec<Backup>,
    /// Velero's schedules.
    pub schedules: Vec<Schedule>,
    /// Velero's storage locations.
    pub locations: Vec<Location>,
    /// Attempts to copy volumes that objects in the cluster tell of (PodVolumeBackup, DataUpload), by the name of their backup.
    pub copies: Vec<(Text, VolumeCopy)>,
    /// Restores that anybody tells of, newest first.
    pub restores: Vec<Restore>,
    /// When Velero's objects were last read.
    pub as_of: Option<Timestamp>,
    /// Why Velero's objects could not be read, if so. An absent Velero is not a failure.
    pub failure: Option<Failure>,
}

/// What a backup is good for. Never judged by phase alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// Completed, not expired, location available, not being deleted: it can be restored.
    Restorable,
    /// PartiallyFailed: usable, less what it misses.
    Degraded,
    /// Not done yet.
    Pending,
    /// Failed, refused by validation, or being deleted.
    Invalid,
    /// Past its expiration: it may vanish at any minute.
    Expired,
    /// Running for longer than it ever should.
    Stuck,
    /// Taken from another cluster.
    Foreign,
    /// Its location is not available, so it cannot be restored now.
    Unavailable,
}

impl BackupState {
    /// All states.
    pub const ALL: [Self; 8] =
        [Self::Restorable, Self::Degraded, Self::Pending, Self::Invalid, Self::Expired, Self::Stuck, Self::Foreign, Self::Unavailable];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restorable => "restorable",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Stuck => "stuck",
            Self::Foreign => "foreign",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether a restore from it could work now.
    pub fn usable(self) -> bool {
        matches!(self, Self::Restorable | Self::Degraded)
    }
}

/// A piece of evidence, or something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remark {
    /// Stable snake_case word, for example `torn`, `clock_skew`, `looks_foreign`.
    pub reason: Text,
    /// For people.
    pub message: String,
}

impl Remark {
    /// A remark from its two parts.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

/// One Velero backup.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Its name.
    pub name: Text,
    /// The schedule that made it, from the label `velero.io/schedule-name`.
    pub schedule: Option<Text>,
    /// Its storage location.
    pub location: Option<Text>,
    /// Velero's phase, as written.
    pub phase: Text,
    /// What it is good for.
    pub state: BackupState,
    /// The same, closer: a stable snake_case word such as `partially_failed`.
    pub reason: Text,
    /// Why, for people; one sentence.
    pub why: String,
    /// Evidence besides.
    pub remarks: Vec<Remark>,
    /// What its log of errors says it failed on.
    pub missing: Vec<MissingObject>,
    /// `status.startTimestamp`: the time it speaks for.
    pub start: Option<Timestamp>,
    /// `status.completionTimestamp`.
    pub completed: Option<Timestamp>,
    /// `status.expiration`.
    pub expires: Option<Timestamp>,
    /// Counts from the status.
    pub errors: u64,
    /// Counts from the status.
    pub warnings: u64,
    /// What it was asked to hold.
    pub scope: Arc<crate::velero::Scope>,
    /// What it holds.
    pub content: BackupContent,
    /// What Velero wrote beside its archive.
    pub side: Arc<SideFiles>,
    /// How it was to copy volumes.
    pub volumes: VolumeAsk,
}

/// An object that a backup failed on, from its log of errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingObject {
    /// Plural and group; absent if nobody says what kind it is.
    pub resource: Option<Text>,
    /// Namespace, if it is told.
    pub namespace: Option<Text>,
    /// Name.
    pub name: Text,
    /// Whether the archive holds it all the same: the error was about its volumes or a hook. Absent if the archive was not read.
    pub held: Option<bool>,
    /// What Velero said.
    pub message: String,
}

impl Backup {
    /// Whether it may be the one that speaks for an object. One whose archive is damaged may: what it held is not known, so an older
    /// backup must not answer in its place.
    pub fn counts(&self) -> bool {
        self.state.usable() || matches!(self.content, BackupContent::Damaged(_))
    }
}

/// What a backup holds, as far as it was read.
#[derive(Clone, Debug)]
pub enum BackupContent {
    /// Read completely.
    Read(Arc<Archive>),
    /// Not read: what it holds cannot be said.
    Unread(Failure),
    /// Not readable, as the archive at hand is damaged, of a backup that could be restored from otherwise.
    Damaged(Failure),
}

impl BackupContent {
    /// The archive, or why it is not known what it holds.
    pub fn archive(&self) -> Result<&Arc<Archive>, &Failure> {
        match self {
            Self::Read(archive) => Ok(archive),
            Self::Unread(failure) | Self::Damaged(failure) => Err(failure),
        }
    }
}

/// The content of one archive.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Where it was read from, for people.
    pub origin: String,
    /// The objects. Their bodies may lie on a shelf: [`Object::whole`] reads them again.
    pub objects: Holdings,
    /// uid of kube-system inside, if it is there.
    pub cluster_uid: Option<Text>,
    /// Namespaces inside, with their uids.
    pub namespaces: BTreeMap<Text, Text>,
    /// Objects that were in the middle of a change when they were captured.
    pub torn: Vec<Remark>,
    /// What is odd about its entries; of very many only the first.
    pub diagnostics: Vec<Diagnostic>,
    /// Entries of objects that could not be read, by path: what such a backup holds of them is unknown.
    pub unreadable: HashSet<Text>,
    /// Bytes inflated.
    pub bytes: u64,
}

/// A Velero Schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: Text,
    /// The cron expression, as written.
    pub cron: Text,
    /// `spec.paused`.
    pub paused: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When the next backup is due; absent if paused, unreadable or never.
    pub next_due: Option<Timestamp>,
    /// The longest gap that the expression allows.
    pub interval: Option<Duration>,
    /// Storage location of its template.
    pub location: Option<Text>,
    /// What its template asks for.
    pub scope: Arc<crate::velero::Scope>,
    /// What is wrong with it (bad cron, failed validation), for people.
    pub problem: Option<String>,
}

/// A Velero BackupStorageLocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its name.
    pub name: Text,
    /// Whether it is Velero's default.
    pub default: bool,
    /// `status.phase` is `Available`.
    pub available: bool,
    /// `spec.accessMode` is `ReadOnly`.
    pub read_only: bool,
    /// `status.message` or why it counts as unavailable.
    pub message: Option<String>,
    /// `status.lastValidationTime`.
    pub validated: Option<Timestamp>,
}
