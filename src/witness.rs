//! What the three witnesses said, as values: the only input of the join. pure
//!
//! Each witness is immutable once published. What could not be read stands in it as a [`Failure`], never as an absence.

pub mod answers;
mod backups;
pub mod holdings;
pub mod objects;
mod restore;
mod side;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub use answers::{Answered, Answers, Said};
pub use backups::{Archive, BackedUp, Backup, BackupContent, BackupState, Location, MissingObject, Remark, Schedule};
pub use holdings::Holdings;
use jiff::Timestamp;
pub use objects::Objects;
pub use restore::{Restore, ToldBy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use side::{
    Entry, ListedObject, RestoreAction, RestoreFiles, RestoredItem, RestoredVolume, Results, Side, SideFiles, VolumeAsk, VolumeCopy, VolumeMethod,
    VolumeOutcome,
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
    /// (its status holds a signed URL) and without managedFields. Of Argo CD's Applications and Flux's Kustomizations and HelmReleases
    /// only the list of what they applied.
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
