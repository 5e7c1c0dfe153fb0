//! Schedules in the report: whether they run as they should, and whether they take what they look like. pure

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{object::Text, witness::BackupState};

/// How a schedule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// Its newest run yielded a usable backup, and none is overdue.
    OnTime,
    /// It never ran, and its first run is not due yet.
    Waiting,
    /// It is paused: nothing is due from it.
    Paused,
    /// Velero cannot run it: its expression, its template or its storage location.
    Refused,
    /// Its first run is overdue.
    NeverRan,
    /// Runs are overdue.
    Overdue,
    /// Its newest runs failed.
    Failing,
    /// It ran, and none of its backups is usable.
    NoUsableBackup,
}

impl ScheduleState {
    /// All states.
    pub const ALL: [Self; 8] =
        [Self::OnTime, Self::Waiting, Self::Paused, Self::Refused, Self::NeverRan, Self::Overdue, Self::Failing, Self::NoUsableBackup];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnTime => "on_time",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Refused => "refused",
            Self::NeverRan => "never_ran",
            Self::Overdue => "overdue",
            Self::Failing => "failing",
            Self::NoUsableBackup => "no_usable_backup",
        }
    }

    /// Whether backups do not come that should. One that is paused was paused by somebody.
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::OnTime | Self::Waiting | Self::Paused)
    }
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleReport {
    /// Name.
    pub name: Text,
    /// Cron expression.
    pub cron: Text,
    /// The zone that it is meant in if it names none: that of Velero's server.
    pub time_zone: Text,
    /// How it runs.
    pub state: ScheduleState,
    /// The same in a sentence, with what to do.
    pub why: String,
    /// Paused.
    pub paused: bool,
    /// `spec.skipImmediately`: whether the next run that is due is skipped; Velero turns it to false when it has. Absent: Velero's own default.
    pub skip_immediately: Option<bool>,
    /// Storage location.
    pub location: Option<Text>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When its newest run began, whatever came of it.
    pub last_run: Option<Timestamp>,
    /// What became of that run; absent if its backup is not there any more.
    pub last_run_state: Option<BackupState>,
    /// Its newest runs in a row that left no usable backup.
    pub failed_runs: u64,
    /// Start of its newest usable backup.
    pub last_usable_start: Option<Timestamp>,
    /// Expiration of its newest usable backup.
    pub last_usable_expiration: Option<Timestamp>,
    /// Objects in its newest usable backup.
    pub last_usable_objects: Option<u64>,
    /// Next due; in the past when it is overdue.
    pub next_due: Option<Timestamp>,
    /// Runs that should have begun by now and did not.
    pub overdue_runs: u64,
    /// The longest gap the expression allows, in seconds.
    pub interval_seconds: Option<u64>,
    /// How long its backups are kept, in seconds: by its newest backup, else by its template.
    pub ttl_seconds: Option<u64>,
    /// For how long, in seconds, there is none of its backups between the expiration of one and the next run; 0 if they overlap.
    pub retention_gap_seconds: u64,
    /// Other schedules that run and take everything that this one takes.
    pub covered_by: Vec<Text>,
    /// What it leaves out for want of one line in its template, if that is so.
    pub left_out: Option<LeftOut>,
    /// Its backups by state; every state is present.
    pub backups: BTreeMap<BackupState, u64>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Cluster-scoped objects that live and that a backup takes only beside others, where nothing leads to them: Velero leaves them out and says
/// Completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Whether the spec names no filter at all, and so looks like everything.
    pub unfiltered: bool,
    /// Objects.
    pub objects: u64,
    /// Those among them that no controller and no server makes again by itself.
    pub own: u64,
    /// Those among these that nobody else has: if the cluster is lost now, they are.
    pub lost: u64,
    /// Some of them by name, those that would be lost first.
    pub names: Vec<String>,
    /// The one line in the spec that makes it take them all.
    pub heal: Text,
}
