//! What the backups hold, as Velero's objects and archives tell it. pure

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Diagnostic, Failure, Holdings, Restore, SideFiles, VolumeAsk, VolumeCopy};
use crate::object::Text;

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
    /// When its Backup object was made, by the API server's clock; of one that was synced from the bucket, when that was.
    pub created: Option<Timestamp>,
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
    /// When it began, or was asked for if it never did.
    pub fn at(&self) -> Option<Timestamp> {
        self.start.or(self.created)
    }

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
    /// The objects. Their bodies may lie on a shelf: [`crate::object::Object::whole`] reads them again.
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
    /// The highest resourceVersion in it, Events left out (they may be numbered by a store of their own); `None` if none is a number.
    pub newest_version: Option<u64>,
}

/// A Velero Schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: Text,
    /// The cron expression, as written.
    pub cron: Text,
    /// The zone that it is meant in if it names none: that of Velero's server.
    pub zone: TimeZone,
    /// `spec.paused`.
    pub paused: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// `status.lastBackup`: when the newest backup was submitted; says nothing about its success.
    pub last_backup: Option<Timestamp>,
    /// When Velero looks for the next run from: the newest backup, else the creation, or the last run that was skipped if that is later.
    pub counts_from: Timestamp,
    /// `spec.skipImmediately`: whether the next run that is due is to be skipped.
    pub skip_immediately: Option<bool>,
    /// `spec.template.ttl`: how long its backups are kept, if it says so.
    pub ttl: Option<Duration>,
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
    /// It is called available, and Velero has not looked at it for several times as long as it should: how long, for people.
    pub stale: Option<String>,
}
