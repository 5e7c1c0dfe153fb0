//! Backups, schedules and storage locations as the report shows them. pure

use std::collections::{BTreeMap, HashMap};

use crate::{
    object::Text,
    report::model::{BackupReport, LocationReport, ObjectReport, ScheduleReport},
    witness::{BackedUp, Backup, BackupState},
};

fn objects_in(backup: &Backup) -> Option<u64> {
    backup.content.archive().ok().map(|archive| archive.objects.len() as u64)
}

/// Newest start first; backups without a start last.
fn newest_first(backed_up: &BackedUp) -> Vec<&Backup> {
    let mut all: Vec<&Backup> = backed_up.backups.iter().collect();
    all.sort_by(|a, b| (b.start, &a.name).cmp(&(a.start, &b.name)));
    all
}

/// Every backup.
pub(super) fn backups(backed_up: &BackedUp, objects: &[ObjectReport]) -> Vec<BackupReport> {
    let mut speaks: HashMap<&Text, u64> = HashMap::new();
    objects.iter().filter_map(|o| o.backup.as_ref()).for_each(|b| *speaks.entry(b).or_default() += 1);
    let of = |b: &Backup| BackupReport {
        name: b.name.clone(),
        schedule: b.schedule.clone(),
        location: b.location.clone(),
        state: b.state,
        reason: b.reason.clone(),
        why: b.why.clone(),
        evidence: b.remarks.clone(),
        missing: b.missing.clone(),
        phase: b.phase.clone(),
        start: b.start,
        completed: b.completed,
        expires: b.expires,
        objects: objects_in(b),
        unread: b.content.archive().err().cloned(),
        speaks_for: if b.counts() { speaks.get(&b.name).copied().unwrap_or_default() } else { 0 },
    };
    newest_first(backed_up).into_iter().map(of).collect()
}

/// Every schedule, by name.
pub(super) fn schedules(backed_up: &BackedUp) -> Vec<ScheduleReport> {
    let sorted = newest_first(backed_up);
    let mut out: Vec<ScheduleReport> = Vec::new();
    for schedule in &backed_up.schedules {
        let own = || sorted.iter().filter(|b| b.schedule.as_ref() == Some(&schedule.name));
        let newest = own().find(|b| b.state.usable());
        let mut states: BTreeMap<BackupState, u64> = BackupState::ALL.into_iter().map(|s| (s, 0)).collect();
        own().for_each(|b| *states.entry(b.state).or_default() += 1);
        out.push(ScheduleReport {
            name: schedule.name.clone(),
            cron: schedule.cron.clone(),
            paused: schedule.paused,
            location: schedule.location.clone(),
            created: schedule.created,
            last_usable_start: newest.and_then(|b| b.start),
            last_usable_expiration: newest.and_then(|b| b.expires),
            last_usable_objects: newest.and_then(|b| objects_in(b)),
            next_due: schedule.next_due,
            interval_seconds: schedule.interval.map(|i| i.as_secs()),
            backups: states,
            problem: schedule.problem.clone(),
        });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

/// Every storage location, by name.
pub(super) fn locations(backed_up: &BackedUp) -> Vec<LocationReport> {
    let of = |l: &crate::witness::Location| LocationReport {
        name: l.name.clone(),
        available: l.available,
        default: l.default,
        read_only: l.read_only,
        message: l.message.clone(),
    };
    let mut out: Vec<LocationReport> = backed_up.locations.iter().map(of).collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}
