//! Families about backups, schedules and storage locations. pure

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    super::table,
    Sheet, flag,
    folding::{Kept, OTHER},
};
use crate::{
    report::{
        Report,
        model::{BackupReport, Mismatch, ScheduleReport},
    },
    witness::BackupState,
};

pub(super) fn put(sheet: &mut Sheet, report: &Report, kept: &Kept) {
    // Backups of a schedule that was deleted count as unscheduled: a label value must not outlive its object.
    let mut runs: BTreeMap<&str, Vec<&BackupReport>> = report.schedules.iter().map(|s| (&*s.name, Vec::new())).chain([("", Vec::new())]).collect();
    for backup in &report.backups {
        let schedule = backup.schedule.as_deref().filter(|name| runs.contains_key(name)).unwrap_or_default();
        runs.entry(schedule).or_default().push(backup);
    }
    let mut groups: BTreeMap<&str, Vec<&ScheduleReport>> = BTreeMap::new();
    for schedule in &report.schedules {
        groups.entry(kept.fold(&schedule.name)).or_default().push(schedule);
    }
    for (name, schedules) in groups {
        // Of several, those that run speak: alerts are silent about what is paused, and one that is must not silence the others.
        let running: Vec<_> = schedules.iter().copied().filter(|s| !s.paused).collect();
        let speaking = if running.is_empty() { &schedules } else { &running };
        let runs_of = |schedules: &[&ScheduleReport]| schedules.iter().filter_map(|s| runs.get(&*s.name)).map(Vec::as_slice).collect::<Vec<_>>();
        settings(sheet, name, speaking);
        last_valid(sheet, name, &runs_of(speaking));
        contents(sheet, name, &runs_of(&schedules));
    }
    let unscheduled = [runs.get("").map(Vec::as_slice).unwrap_or_default()];
    last_valid(sheet, "", &unscheduled);
    contents(sheet, "", &unscheduled);
    for location in &report.locations {
        if !location.stale {
            sheet.put(&table::LOCATION_AVAILABLE, &[&location.name], flag(location.available));
        }
    }
}

/// What a schedule says of itself; of several that are folded the value with which no alert overstates.
fn settings(sheet: &mut Sheet, name: &str, schedules: &[&ScheduleReport]) {
    let most = |of: &dyn Fn(&ScheduleReport) -> Option<u64>| schedules.iter().filter_map(|s| of(s)).max().map(|n| n as f64);
    let own = schedules.first().filter(|_| name != OTHER);
    let (cron, location) = own.map_or(("", ""), |s| (&*s.cron, s.location.as_deref().unwrap_or_default()));
    sheet.put(&table::SCHEDULE_INFO, &[name, cron, location], 1.0);
    sheet.put(&table::SCHEDULE_PAUSED, &[name], flag(schedules.iter().all(|s| s.paused)));
    let numbers = [
        (&table::SCHEDULE_INTERVAL, most(&|s| s.interval_seconds)),
        (&table::SCHEDULE_OVERDUE, most(&|s| Some(s.overdue_runs))),
        (&table::SCHEDULE_FAILED, most(&|s| Some(s.failed_runs))),
        (&table::SCHEDULE_GAP, most(&|s| s.interval_seconds.and(s.ttl_seconds).and(Some(s.retention_gap_seconds)))),
        (&table::SCHEDULE_LEFT_OUT, most(&|s| s.left_out.as_ref().filter(|l| l.unfiltered).map(|l| l.own))),
    ];
    for (family, number) in numbers {
        if let Some(number) = number {
            sheet.put(family, &[name], number);
        }
    }
    sheet.time(&table::SCHEDULE_CREATED, &[name], schedules.iter().filter_map(|s| s.created).max());
    sheet.time(&table::SCHEDULE_NEXT, &[name], schedules.iter().filter_map(|s| s.next_due).min());
}

/// The newest usable one among the runs of one schedule.
fn newest<'a>(runs: &[&'a BackupReport]) -> Option<&'a BackupReport> {
    runs.iter().copied().filter(|b| b.state.usable() && b.start.is_some()).max_by_key(|b| b.start)
}

fn last_valid(sheet: &mut Sheet, name: &str, schedules: &[&[&BackupReport]]) {
    let newest: Vec<&BackupReport> = schedules.iter().filter_map(|runs| newest(runs)).collect();
    sheet.time(&table::BACKUP_LAST_VALID, &[name], newest.iter().filter_map(|b| b.start).min());
    // One expiration or one size says nothing of several schedules, each with its own.
    if let Some(one) = newest.first().filter(|_| name != OTHER) {
        sheet.time(&table::BACKUP_EXPIRATION, &[name], one.expires);
        if let Some(objects) = one.objects {
            sheet.put(&table::BACKUP_OBJECTS, &[name], objects as f64);
        }
    }
}

/// Counts, which add up over what is folded.
fn contents(sheet: &mut Sheet, name: &str, schedules: &[&[&BackupReport]]) {
    let mut disagreeing: BTreeMap<&str, u64> = BTreeMap::new();
    let mut phases: BTreeMap<&str, u32> = table::PHASES.iter().map(|phase| (*phase, 0)).chain([("other", 0)]).collect();
    let mut rejected: BTreeMap<&str, u32> = table::REJECTIONS.iter().map(|reason| (*reason, 0)).collect();
    for runs in schedules {
        let read = runs.iter().filter(|b| b.state.usable() && b.start.is_some() && b.agreement.is_some()).max_by_key(|b| b.start);
        if let Some(agreement) = read.and_then(|b| b.agreement.as_ref()) {
            let counts = [(Mismatch::MissingFromBackup, Some(agreement.missing)), (Mismatch::UnexpectedInBackup, agreement.unexpected)];
            for (mismatch, count) in counts.into_iter().filter_map(|(m, n)| Some((m, n?))) {
                *disagreeing.entry(mismatch.name()).or_default() += count;
            }
        }
        let usable = newest(runs).and_then(|b| b.start);
        for backup in *runs {
            let phase = if backup.phase.is_empty() { "New" } else { &*backup.phase };
            let phase = table::PHASES.iter().find(|known| **known == phase).unwrap_or(&"other");
            *phases.entry(phase).or_default() += 1;
            if let Some(reason) = rejection(backup, usable) {
                *rejected.entry(reason).or_default() += 1;
            }
        }
    }
    for (mismatch, count) in disagreeing {
        sheet.put(&table::BACKUP_DISAGREEING, &[name, mismatch], count as f64);
    }
    for (phase, count) in phases {
        sheet.put(&table::BACKUPS, &[name, phase], f64::from(count));
    }
    for (reason, count) in rejected {
        sheet.put(&table::BACKUPS_REJECTED, &[name, reason], f64::from(count));
    }
}

/// Why a backup does not count although it is no older than the newest one that does. One that is still being made is not rejected.
fn rejection(backup: &BackupReport, newest_usable: Option<Timestamp>) -> Option<&'static str> {
    // One that was refused never began; when it was asked for tells how old it is.
    if backup.start.or(backup.created).is_some_and(|at| newest_usable.is_some_and(|usable| at < usable)) {
        return None;
    }
    match backup.state {
        BackupState::Restorable | BackupState::Degraded => backup.unread.is_some().then_some("unreadable"),
        BackupState::Pending => None,
        BackupState::Invalid if backup.unread.as_ref().is_some_and(|f| f.reason.starts_with("archive_")) => Some("unreadable"),
        BackupState::Invalid => Some("phase"),
        BackupState::Stuck => Some("stuck"),
        BackupState::Expired => Some("expired"),
        BackupState::Foreign => Some("foreign"),
        BackupState::Unavailable => Some("location"),
    }
}
