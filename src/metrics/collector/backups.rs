//! Families about backups, schedules and storage locations. pure

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{super::table, Sheet, flag};
use crate::{
    report::{
        Report,
        model::{BackupReport, Mismatch},
    },
    witness::BackupState,
};

pub(super) fn put(sheet: &mut Sheet, report: &Report) {
    for schedule in &report.schedules {
        let name = &*schedule.name;
        sheet.put(&table::SCHEDULE_INFO, &[name, &schedule.cron, schedule.location.as_deref().unwrap_or_default()], 1.0);
        sheet.put(&table::SCHEDULE_PAUSED, &[name], flag(schedule.paused));
        if let Some(seconds) = schedule.interval_seconds {
            sheet.put(&table::SCHEDULE_INTERVAL, &[name], seconds as f64);
        }
        sheet.put(&table::SCHEDULE_OVERDUE, &[name], schedule.overdue_runs as f64);
        sheet.put(&table::SCHEDULE_FAILED, &[name], schedule.failed_runs as f64);
        if schedule.interval_seconds.is_some() && schedule.ttl_seconds.is_some() {
            sheet.put(&table::SCHEDULE_GAP, &[name], schedule.retention_gap_seconds as f64);
        }
        if let Some(left) = schedule.left_out.as_ref().filter(|l| l.unfiltered) {
            sheet.put(&table::SCHEDULE_LEFT_OUT, &[name], left.own as f64);
        }
        sheet.time(&table::SCHEDULE_CREATED, &[name], schedule.created);
        sheet.time(&table::SCHEDULE_NEXT, &[name], schedule.next_due);
    }
    for location in &report.locations {
        sheet.put(&table::LOCATION_AVAILABLE, &[&location.name], flag(location.available));
    }
    // Backups of a schedule that was deleted count as unscheduled: a label value must not outlive its object.
    let known: BTreeSet<&str> = report.schedules.iter().map(|s| &*s.name).collect();
    let mut by_schedule: BTreeMap<&str, Vec<&BackupReport>> = known.iter().map(|name| (*name, Vec::new())).collect();
    by_schedule.entry("").or_default();
    for backup in &report.backups {
        let schedule = backup.schedule.as_deref().filter(|name| known.contains(name)).unwrap_or_default();
        by_schedule.entry(schedule).or_default().push(backup);
    }
    for (schedule, backups) in by_schedule {
        one_schedule(sheet, schedule, &backups);
    }
}

fn one_schedule(sheet: &mut Sheet, schedule: &str, backups: &[&BackupReport]) {
    let newest = backups.iter().filter(|b| b.state.usable() && b.start.is_some()).max_by_key(|b| b.start);
    sheet.time(&table::BACKUP_LAST_VALID, &[schedule], newest.and_then(|b| b.start));
    sheet.time(&table::BACKUP_EXPIRATION, &[schedule], newest.and_then(|b| b.expires));
    if let Some(objects) = newest.and_then(|b| b.objects) {
        sheet.put(&table::BACKUP_OBJECTS, &[schedule], objects as f64);
    }
    let read = backups.iter().filter(|b| b.state.usable() && b.start.is_some() && b.agreement.is_some()).max_by_key(|b| b.start);
    if let Some(agreement) = read.and_then(|b| b.agreement.as_ref()) {
        let counts = [(Mismatch::MissingFromBackup, Some(agreement.missing)), (Mismatch::UnexpectedInBackup, agreement.unexpected)];
        for (mismatch, count) in counts.into_iter().filter_map(|(m, n)| Some((m, n?))) {
            sheet.put(&table::BACKUP_DISAGREEING, &[schedule, mismatch.name()], count as f64);
        }
    }
    let mut phases: BTreeMap<&str, u32> = table::PHASES.iter().map(|phase| (*phase, 0)).chain([("other", 0)]).collect();
    let mut rejected: BTreeMap<&str, u32> = table::REJECTIONS.iter().map(|reason| (*reason, 0)).collect();
    for backup in backups {
        let phase = if backup.phase.is_empty() { "New" } else { &*backup.phase };
        let phase = table::PHASES.iter().find(|known| **known == phase).unwrap_or(&"other");
        *phases.entry(phase).or_default() += 1;
        if let Some(reason) = rejection(backup, newest.and_then(|b| b.start)) {
            *rejected.entry(reason).or_default() += 1;
        }
    }
    for (phase, count) in phases {
        sheet.put(&table::BACKUPS, &[schedule, phase], f64::from(count));
    }
    for (reason, count) in rejected {
        sheet.put(&table::BACKUPS_REJECTED, &[schedule, reason], f64::from(count));
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
