//! Backups and storage locations as the report shows them. pure

use std::collections::HashMap;

use super::{
    join::Join,
    schedules::{left_out, left_out_words},
};
use crate::{
    object::Text,
    report::model::{BackupReport, LocationReport, ObjectReport},
    witness::{BackedUp, Backup, Remark},
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
pub(super) fn backups(join: &Join<'_>, objects: &[ObjectReport]) -> Vec<BackupReport> {
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
        created: b.created,
        start: b.start,
        completed: b.completed,
        expires: b.expires,
        objects: objects_in(b),
        unread: b.content.archive().err().cloned(),
        agreement: None,
        left_out: None,
        speaks_for: if b.counts() { speaks.get(&b.name).copied().unwrap_or_default() } else { 0 },
    };
    let unfiltered = |b: &Backup| {
        let plan = join.backups.plan_of(&b.scope).filter(|p| b.state.usable() && p.is_unfiltered_trap())?;
        left_out(plan, objects)
    };
    let told = |b: &Backup| {
        let mut report = of(b);
        if let Some(left) = unfiltered(b) {
            let message = left_out_words(&left);
            report.why = format!("{}; {message}", report.why);
            report.evidence.push(Remark::new("unfiltered", message));
            report.left_out = Some(left);
        }
        report
    };
    newest_first(join.inputs.backed_up).into_iter().map(told).collect()
}

/// Every storage location, by name.
pub(super) fn locations(backed_up: &BackedUp) -> Vec<LocationReport> {
    let of = |l: &crate::witness::Location| LocationReport {
        name: l.name.clone(),
        available: l.available,
        default: l.default,
        read_only: l.read_only,
        message: l.message.clone().or_else(|| l.stale.clone()),
        validated: l.validated,
        stale: l.stale.is_some(),
    };
    let mut out: Vec<LocationReport> = backed_up.locations.iter().map(of).collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}
