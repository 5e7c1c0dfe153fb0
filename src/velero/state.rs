//! What a backup is good for, and why: never judged by phase alone. pure
//!
//! Sources: pkg/apis/velero/v1/backup_types.go (phases), pkg/controller/gc_controller.go (expiration), pkg/controller/restore_controller.go
//! (what a restore demands), pkg/controller/backup_sync_controller.go (backups of other clusters in a shared bucket).

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::custom::{self, DeleteRequest};
use crate::witness::{BackupState, Location};

/// Velero's `--item-operation-timeout`, when a backup names none.
pub const ITEM_OPERATION_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Clocks that differ by no more than this are not worth a word; Velero's own times are whole seconds.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What is known besides the Backup itself.
#[derive(Clone, Copy, Debug)]
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
    /// What is wrong with the archive at hand, if it is damaged.
    pub damage: Option<&'a str>,
}

/// Judges a backup. The text is one sentence for people.
///
/// The order is: whose it is, whether it is about to go, whether it ended well, whether it still counts, whether it can be reached. *Foreign* is
/// decided by proof only: the uid of kube-system inside the archive against the cluster's own. A Backup object that is younger than the end of
/// its backup was synced from the bucket; that is how backups of other clusters look, but also own ones whose object was lost and came back, so
/// it only adds a remark.
pub fn judge(backup: &custom::Backup, around: &Around<'_>) -> (BackupState, String) {
    let (mut state, mut why) = decide(backup, around);
    if let Some(damage) = around.damage.filter(|_| state.usable()) {
        // A damaged copy says nothing against the backup that Velero has; where the file is all that there is, nothing can be restored from it.
        let (verdict, what) =
            if around.in_cluster { (state, format!("{why}, but the archive at hand")) } else { (BackupState::Invalid, "its archive".to_owned()) };
        (state, why) = (verdict, format!("{what} is damaged, so what it holds is not known: {damage}"));
    }
    for remark in remarks(backup, around, state) {
        why.push_str("; ");
        why.push_str(&remark);
    }
    (state, why)
}

fn decide(backup: &custom::Backup, around: &Around<'_>) -> (BackupState, String) {
    use BackupState as S;
    if let (Some(theirs), Some(ours)) = (around.archive_cluster, around.live_cluster)
        && theirs != ours
    {
        return (S::Foreign, format!("it was taken from another cluster: its kube-system namespace is {theirs}, here it is {ours}"));
    }
    if backup.head.deleting {
        return (S::Invalid, "its Backup object is being deleted".to_owned());
    }
    if let Some(request) = around.deletions.iter().find(|d| is_open_for(d, backup)) {
        return (S::Invalid, format!("its deletion was asked for by DeleteBackupRequest {}", request.head.name));
    }
    match &*backup.phase {
        "Completed" | "PartiallyFailed" => finished(backup, around),
        "Failed" => (S::Invalid, format!("it failed{}", because(backup.failure.as_deref()))),
        "FailedValidation" => {
            let reason = (!backup.validation_errors.is_empty()).then(|| backup.validation_errors.join("; "));
            (S::Invalid, format!("Velero refused it{}", because(reason.as_deref())))
        }
        "Deleting" => (S::Invalid, "it is being deleted with all its data".to_owned()),
        phase => running(phase, backup, around),
    }
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

fn running(phase: &str, backup: &custom::Backup, around: &Around<'_>) -> (BackupState, String) {
    let doing = match phase {
        "" | "New" => "it is waiting to be looked at by Velero".to_owned(),
        "Queued" => "it is queued behind other backups".to_owned(),
        "ReadyToStart" => "it is about to start".to_owned(),
        "InProgress" => "it is in progress".to_owned(),
        "WaitingForPluginOperations" => "it is waiting for volume data".to_owned(),
        "WaitingForPluginOperationsPartiallyFailed" => "it is waiting for volume data, and will end as PartiallyFailed".to_owned(),
        "Finalizing" => "it is being finalized".to_owned(),
        "FinalizingPartiallyFailed" => "it is being finalized, and will end as PartiallyFailed".to_owned(),
        other if backup.completed.is_some() => {
            return (BackupState::Invalid, format!("it ended in phase {other}, which is not known here, so it is not relied on"));
        }
        other => format!("it is in phase {other}, which is not known here"),
    };
    let timeout = backup.item_operation_timeout.unwrap_or(ITEM_OPERATION_TIMEOUT);
    match backup.start.or(backup.head.created).map(|since| around.now.duration_since(since)) {
        Some(age) if age > SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX) => {
            (BackupState::Stuck, format!("{doing} for {}, longer than its timeout of {}", span(age.unsigned_abs()), span(timeout)))
        }
        _ => (BackupState::Pending, format!("{doing}, so it cannot be restored yet")),
    }
}

fn finished(backup: &custom::Backup, around: &Around<'_>) -> (BackupState, String) {
    // Velero collects a backup once its expiration is not after now.
    if let Some(expires) = backup.expires.filter(|e| *e <= around.now) {
        let kept = backup.gc_failure.as_deref().map_or_else(String::new, |f| format!(", and Velero cannot collect it ({f})"));
        return (BackupState::Expired, format!("it expired at {expires} and may vanish at any minute{kept}"));
    }
    let name = backup.location.as_deref().unwrap_or_default();
    let location = around.locations.iter().find(|l| &*l.name == name);
    match location {
        Some(location) if !location.available => {
            let message = location.message.as_deref().map_or_else(String::new, |m| format!(": {m}"));
            return (BackupState::Unavailable, format!("its storage location {name} is not available{message}"));
        }
        None if around.in_cluster && !(around.locations.is_empty() && around.at_hand) => {
            return (BackupState::Unavailable, format!("its storage location {name:?} was not found"));
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
        return (BackupState::Degraded, format!("it ended with {count}: what it does hold can be restored{unchecked}"));
    }
    let until = backup.expires.map_or_else(String::new, |e| format!(" until {e}"));
    (BackupState::Restorable, format!("it completed and can be restored{until}{unchecked}"))
}

fn remarks(backup: &custom::Backup, around: &Around<'_>, state: BackupState) -> Vec<String> {
    let mut remarks = Vec::new();
    let synced = match (backup.head.created, backup.completed) {
        (Some(created), Some(completed)) => created > completed,
        _ => false,
    };
    let proven = around.archive_cluster.is_some() && around.live_cluster.is_some();
    if synced && !proven && state != BackupState::Foreign {
        remarks.push("it looks foreign: its Backup object is younger than the backup, so it was synced from the bucket".to_owned());
    }
    if let (Some(start), Some(created), false) = (backup.start, backup.head.created, synced)
        && created.duration_since(start) > SKEW
    {
        let by = span(created.duration_since(start).unsigned_abs());
        remarks.push(format!("Velero's clock and the API server's disagree: it started {by} before it was created"));
    }
    if let Some(start) = backup.start.filter(|s| s.duration_since(around.now) > SKEW) {
        remarks.push(format!("its start lies {} in the future: clocks disagree", span(start.duration_since(around.now).unsigned_abs())));
    }
    remarks.extend(backup.head.odd.iter().cloned());
    remarks
}

/// A duration of more than no seconds in its two largest units: `4h`, `1d3h`, `1m30s`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    units.iter().filter(|(_, n)| *n > 0).take(2).map(|(unit, n)| format!("{n}{unit}")).collect()
}
