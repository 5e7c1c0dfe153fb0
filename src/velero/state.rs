//! What a backup is good for, and why: never judged by phase alone. pure
//!
//! Sources: pkg/apis/velero/v1/backup_types.go (phases), pkg/controller/gc_controller.go (expiration), pkg/controller/restore_controller.go
//! (what a restore demands), pkg/controller/backup_sync_controller.go (backups of other clusters in a shared bucket).

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::custom::{self, DeleteRequest};
use crate::{
    object::Text,
    witness::{BackupState, Location, Remark},
    words::span,
};

/// Velero's `--item-operation-timeout`, when a backup names none.
pub const ITEM_OPERATION_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Clocks that differ by no more than this are not worth a word; Velero's own times are whole seconds.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What is known besides the Backup itself.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// The moment to judge at.
    pub now: Timestamp,
    /// The storage locations that were found.
    pub locations: &'a [Location],
    /// Requests to delete backups.
    pub deletions: &'a [DeleteRequest],
    /// Whether the Backup object itself was found in the cluster, so that its location should be there too.
    pub in_cluster: bool,
    /// Whether its archive is at hand, so that it can be restored from without its location.
    pub at_hand: bool,
    /// uid of kube-system inside the archive.
    pub archive_cluster: Option<&'a str>,
    /// uid of kube-system in the cluster.
    pub live_cluster: Option<&'a str>,
    /// What is wrong with its archive, if that is damaged.
    pub damage: Option<&'a Damage>,
    /// That its storage location does not hold its data any more, if so.
    pub gone: Option<&'a str>,
    /// Namespaces in the archive that are here too.
    pub kin: Kin,
    /// uid of the Backup in its `velero-backup.json`.
    pub file_uid: Option<&'a str>,
}

/// What is wrong with an archive, by what that says of its backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A copy at hand is damaged: that says nothing against the backup that Velero has.
    Copy(String),
    /// What the storage location holds cannot be unpacked, at two reads in a row: Velero would restore from these very bytes, and fail.
    Stored(String),
}

/// Namespaces that the archive and the cluster have in common by name: how many are the very same by uid, and which are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// Namespaces with the same uid.
    pub same: usize,
    /// Namespaces of the same name with another uid.
    pub other: Vec<Text>,
}

/// What is said of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it is good for.
    pub state: BackupState,
    /// The same, closer: a stable word.
    pub reason: &'static str,
    /// One sentence for people, without the remarks.
    pub why: String,
    /// Evidence besides.
    pub remarks: Vec<Remark>,
}

impl Judgement {
    fn new(state: BackupState, reason: &'static str, why: impl Into<String>) -> Self {
        Self { state, reason, why: why.into(), remarks: Vec::new() }
    }

    /// The sentence with what the remarks add to it.
    pub fn sentence(&self) -> String {
        self.remarks.iter().fold(self.why.clone(), |why, remark| format!("{why}; {}", remark.message))
    }
}

/// Judges a backup.
///
/// The order is: whose it is, whether it is about to go, whether it ended well, whether it still counts, whether it can be reached. *Foreign* is
/// decided by proof: the uid of kube-system inside the archive against the cluster's own. An archive without kube-system is foreign if its
/// Backup object was synced from the bucket and not one of its namespaces is the one of that name here. That a Backup object is younger than
/// the end of its backup, or has another uid than in the bucket, is no proof: so look own ones whose object was lost and came back.
pub fn judge(backup: &custom::Backup, around: &Around<'_>) -> Judgement {
    let mut judgement = decide(backup, around);
    if let Some(gone) = around.gone.filter(|_| judgement.state.usable()) {
        judgement = Judgement::new(BackupState::Invalid, "data_gone", gone.to_owned());
    }
    if let Some(damage) = around.damage.filter(|_| judgement.state.usable()) {
        // Where the file is all that there is, nothing can be restored from it.
        let (state, why) = match damage {
            Damage::Stored(what) => {
                (BackupState::Invalid, format!("its archive in the storage location is damaged, so no restore from it can work: {what}"))
            }
            Damage::Copy(what) if around.in_cluster => {
                (judgement.state, format!("{}, but the archive at hand is damaged, so what it holds is not known: {what}", judgement.why))
            }
            Damage::Copy(what) => (BackupState::Invalid, format!("its archive is damaged, so what it holds is not known: {what}")),
        };
        judgement = Judgement::new(state, "damaged", why);
    }
    judgement.remarks = remarks(backup, around, judgement.state);
    judgement
}

fn decide(backup: &custom::Backup, around: &Around<'_>) -> Judgement {
    use BackupState as S;
    if let (Some(theirs), Some(ours)) = (around.archive_cluster, around.live_cluster)
        && theirs != ours
    {
        let why = format!("it was taken from another cluster: its kube-system namespace is {theirs}, here it is {ours}");
        return Judgement::new(S::Foreign, "foreign", why);
    }
    if around.archive_cluster.is_none() && around.in_cluster && synced(backup, around) && around.kin.same == 0 && !around.kin.other.is_empty() {
        let names = around.kin.other.iter().take(3).map(|n| &**n).collect::<Vec<_>>().join(", ");
        let why = format!("it was taken from another cluster: it was synced from the bucket, and its namespaces ({names}) are not the ones here");
        return Judgement::new(S::Foreign, "foreign", why);
    }
    if backup.head.deleting {
        return Judgement::new(S::Invalid, "deleting", "its Backup object is being deleted");
    }
    if let Some(request) = around.deletions.iter().find(|d| is_open_for(d, backup)) {
        return Judgement::new(S::Invalid, "deletion_requested", format!("its deletion was asked for by DeleteBackupRequest {}", request.head.name));
    }
    match &*backup.phase {
        "Completed" | "PartiallyFailed" => finished(backup, around),
        "Failed" => Judgement::new(S::Invalid, "failed", format!("it failed{}", because(backup.failure.as_deref()))),
        "FailedValidation" => {
            let reason = (!backup.validation_errors.is_empty()).then(|| backup.validation_errors.join("; "));
            Judgement::new(S::Invalid, "failed_validation", format!("Velero refused it{}", because(reason.as_deref())))
        }
        "Deleting" => Judgement::new(S::Invalid, "deleting", "it is being deleted with all its data"),
        phase => running(phase, backup, around),
    }
}

/// Whether the Backup object came from the bucket (pkg/controller/backup_sync_controller.go), which gives it a new uid and a new creation.
fn synced(backup: &custom::Backup, around: &Around<'_>) -> bool {
    let younger = backup.head.created.zip(backup.completed).is_some_and(|(created, completed)| created > completed);
    let renamed = backup.head.uid.as_deref().zip(around.file_uid).is_some_and(|(here, there)| here != there);
    younger || renamed
}

/// Whether a request to delete this very backup is not processed yet.
fn is_open_for(request: &DeleteRequest, backup: &custom::Backup) -> bool {
    let same_uid = match (&request.backup_uid, &backup.head.uid) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    request.backup == backup.head.name && same_uid && &*request.phase != "Processed"
}

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |r| format!(": {r}"))
}

/// Phases in which Velero has not begun a backup (pkg/apis/velero/v1/backup_types.go): it may stay there for as long as others run.
fn waits(phase: &str) -> bool {
    matches!(phase, "" | "New" | "Queued" | "ReadyToStart")
}

fn running(phase: &str, backup: &custom::Backup, around: &Around<'_>) -> Judgement {
    let (reason, doing) = match phase {
        "" | "New" => ("new", "it is waiting to be looked at by Velero".to_owned()),
        "Queued" => ("queued", "it is queued behind other backups".to_owned()),
        "ReadyToStart" => ("ready_to_start", "it is about to start".to_owned()),
        "InProgress" => ("in_progress", "it is in progress".to_owned()),
        "WaitingForPluginOperations" => ("waiting_for_volumes", "it is waiting for volume data".to_owned()),
        "WaitingForPluginOperationsPartiallyFailed" => {
            ("waiting_for_volumes", "it is waiting for volume data, and will end as PartiallyFailed".to_owned())
        }
        "Finalizing" => ("finalizing", "it is being finalized".to_owned()),
        "FinalizingPartiallyFailed" => ("finalizing", "it is being finalized, and will end as PartiallyFailed".to_owned()),
        other if backup.completed.is_some() => {
            let why = format!("it ended in phase {other}, which is not known here, so it is not relied on");
            return Judgement::new(BackupState::Invalid, "unknown_phase", why);
        }
        other => ("unknown_phase", format!("it is in phase {other}, which is not known here")),
    };
    let timeout = backup.item_operation_timeout.unwrap_or(ITEM_OPERATION_TIMEOUT);
    match backup.start.or(backup.head.created).map(|since| around.now.duration_since(since)) {
        Some(age) if age > SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX) => {
            let doing = format!("{doing} for {}", span(age.unsigned_abs().as_secs()));
            // The timeout is of a backup that runs. One that waits has failed at nothing: that no run begins is the schedule's matter.
            if waits(phase) {
                return Judgement::new(BackupState::Pending, reason, format!("{doing}, so it cannot be restored yet"));
            }
            Judgement::new(BackupState::Stuck, "stuck", format!("{doing}, longer than its timeout of {}", span(timeout.as_secs())))
        }
        _ => Judgement::new(BackupState::Pending, reason, format!("{doing}, so it cannot be restored yet")),
    }
}

fn finished(backup: &custom::Backup, around: &Around<'_>) -> Judgement {
    // Velero collects a backup once its expiration is not after now.
    if let Some(expires) = backup.expires.filter(|e| *e <= around.now) {
        let kept = backup.gc_failure.as_deref().map_or_else(String::new, |f| format!(", and Velero cannot collect it ({f})"));
        let reason = if kept.is_empty() { "expired" } else { "expired_not_collected" };
        return Judgement::new(BackupState::Expired, reason, format!("it expired at {expires} and may vanish at any minute{kept}"));
    }
    let name = backup.location.as_deref().unwrap_or_default();
    let location = around.locations.iter().find(|l| &*l.name == name);
    match location {
        Some(location) if !location.available => {
            let message = location.message.as_deref().map_or_else(String::new, |m| format!(": {m}"));
            let why = format!("its storage location {name} is not available{message}");
            return Judgement::new(BackupState::Unavailable, "location_unavailable", why);
        }
        None if around.in_cluster && !(around.locations.is_empty() && around.at_hand) => {
            return Judgement::new(BackupState::Unavailable, "location_missing", format!("its storage location {name:?} was not found"));
        }
        _ => {}
    }
    let unchecked = if location.is_none() { ", as far as its file tells: its storage location was not seen" } else { "" };
    if &*backup.phase == "PartiallyFailed" {
        let count = match backup.errors {
            0 => "errors".to_owned(),
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        };
        let why = format!("it ended with {count}: what it does hold can be restored{unchecked}");
        return Judgement::new(BackupState::Degraded, "partially_failed", why);
    }
    let until = backup.expires.map_or_else(String::new, |e| format!(" until {e}"));
    Judgement::new(BackupState::Restorable, "completed", format!("it completed and can be restored{until}{unchecked}"))
}

fn remarks(backup: &custom::Backup, around: &Around<'_>, state: BackupState) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |reason: &str, message: String| remarks.push(Remark::new(reason, message));
    let synced = synced(backup, around);
    let proven = around.archive_cluster.is_some() && around.live_cluster.is_some() || around.kin.same > 0;
    if synced && !proven && state != BackupState::Foreign {
        let message = "it looks foreign: its Backup object is younger than the backup, so it was synced from the bucket";
        remark("looks_foreign", message.to_owned());
    }
    if !synced && around.kin.same == 0 && !around.kin.other.is_empty() && around.archive_cluster.is_none() {
        let names = around.kin.other.iter().take(3).map(|n| &**n).collect::<Vec<_>>().join(", ");
        remark("namespaces_made_anew", format!("its namespaces ({names}) were made anew since: they have other uids here"));
    }
    if let (Some(start), Some(created), false) = (backup.start, backup.head.created, synced)
        && created.duration_since(start) > SKEW
    {
        let by = span(created.duration_since(start).unsigned_abs().as_secs());
        remark("clock_skew", format!("Velero's clock and the API server's disagree: it started {by} before it was created"));
    }
    if let Some(start) = backup.start.filter(|s| s.duration_since(around.now) > SKEW) {
        let ahead = span(start.duration_since(around.now).unsigned_abs().as_secs());
        remark("clock_skew", format!("its start lies {ahead} in the future: clocks disagree"));
    }
    let name = backup.location.as_deref().unwrap_or_default();
    if let Some(stale) = around.locations.iter().find(|l| &*l.name == name).and_then(|l| l.stale.as_ref()).filter(|_| state.usable()) {
        remark("location_not_validated", format!("whether its storage location {name} is still available is not known: {stale}"));
    }
    if state.usable() && around.locations.iter().any(|l| &*l.name == name && l.available && l.read_only) {
        remark("location_read_only", format!("its storage location {name} is read-only: it can be restored, and Velero never collects it"));
    }
    backup.head.odd.iter().for_each(|odd| remark("malformed_member", odd.clone()));
    remarks
}
