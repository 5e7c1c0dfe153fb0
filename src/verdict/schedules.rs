//! Schedules as the report shows them: whether they run as they should, and whether they take what they look like. pure
//!
//! Source: Velero pkg/controller/schedule_controller.go. It looks at every schedule once a minute, makes no backup while one of the same schedule is
//! new or in progress, and catches nothing up: however many runs were missed, one is made.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::join::Join;
use crate::{
    object::{ObjectId, Text},
    report::{
        model::{Drift, LeftOut, ObjectReport, Recovery, ScheduleReport, ScheduleState},
        text::{counted, since, until},
    },
    velero::{
        cron::Cron,
        select::{Decision, Left, Plan},
    },
    witness::{Backup, BackupState, Schedule},
};

/// How late a run may begin: Velero looks once a minute.
const GRACE: SignedDuration = SignedDuration::from_mins(2);

/// Overdue runs that are counted.
const MOST_RUNS: u64 = 10_000;

/// Names that are spelled out.
const MOST_NAMES: usize = 5;

/// Schedules of which it is asked which of them take the same.
const MOST_COMPARED: usize = 100;

/// Every schedule, by name.
pub(super) fn schedules(join: &Join<'_>, objects: &[ObjectReport]) -> Vec<ScheduleReport> {
    let mut newest_first: Vec<&Backup> = join.inputs.backed_up.backups.iter().collect();
    newest_first.sort_by(|a, b| (b.at(), &b.name).cmp(&(a.at(), &a.name)));
    let covered = covered(join);
    let of = |(n, (schedule, plan)): (usize, (&Schedule, &Plan<'_, '_>))| {
        let named: Vec<&Backup> = newest_first.iter().copied().filter(|b| b.schedule.as_ref() == Some(&schedule.name)).collect();
        one(schedule, plan, &named, covered.get(n).cloned().unwrap_or_default(), objects, join.inputs.now)
    };
    let mut out: Vec<ScheduleReport> = join.backups.schedule_plans().enumerate().map(of).collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn one(
    schedule: &Schedule,
    plan: &Plan<'_, '_>,
    named: &[&Backup],
    covered_by: Vec<Text>,
    objects: &[ObjectReport],
    now: Timestamp,
) -> ScheduleReport {
    // Backups of another cluster's schedule of the same name are counted, and are no runs of this one.
    let own: Vec<&Backup> = named.iter().copied().filter(|b| b.state != BackupState::Foreign).collect();
    let own = &*own;
    let newest = own.iter().find(|b| b.state.usable());
    let run = own.first();
    let mut backups: BTreeMap<BackupState, u64> = BackupState::ALL.into_iter().map(|s| (s, 0)).collect();
    named.iter().for_each(|b| *backups.entry(b.state).or_default() += 1);
    let failed = |b: &&&Backup| matches!(b.state, BackupState::Invalid | BackupState::Stuck);
    let ended = own.iter().filter(|b| b.state != BackupState::Pending);
    let failed_runs = ended.take_while(failed).count() as u64;
    let cron = Cron::parse_in(&schedule.cron, &schedule.zone).ok();
    let refused = || (!plan.problems().is_empty()).then(|| format!("Velero will refuse its backups: {}", plan.problems().join("; ")));
    let problem = schedule.problem.clone().or_else(refused);
    let overdue_runs = match (&cron, schedule.next_due) {
        (Some(cron), Some(_)) if problem.is_none() => cron.runs(schedule.counts_from, now.saturating_sub(GRACE).unwrap_or(now), MOST_RUNS),
        _ => 0,
    };
    let told = own.iter().find_map(|b| Some(u64::try_from(b.expires?.duration_since(b.start?).as_secs()).unwrap_or(0)));
    let ttl = told.or_else(|| schedule.ttl.map(|t| t.as_secs()));
    let interval = schedule.interval.map(|i| i.as_secs());
    let gap = interval.zip(ttl).map_or(0, |(interval, ttl)| interval.saturating_sub(ttl));
    let mut report = ScheduleReport {
        name: schedule.name.clone(),
        cron: schedule.cron.clone(),
        time_zone: schedule.zone.iana_name().unwrap_or("UTC").into(),
        state: ScheduleState::OnTime,
        why: String::new(),
        paused: schedule.paused,
        skip_immediately: schedule.skip_immediately,
        location: schedule.location.clone(),
        created: schedule.created,
        last_run: run.and_then(|b| b.at()).max(schedule.last_backup),
        last_run_state: run.map(|b| b.state),
        failed_runs,
        last_usable_start: newest.and_then(|b| b.start),
        last_usable_expiration: newest.and_then(|b| b.expires),
        last_usable_objects: newest.and_then(|b| b.content.archive().ok()).map(|archive| archive.objects.len() as u64),
        next_due: schedule.next_due,
        overdue_runs,
        interval_seconds: interval,
        ttl_seconds: ttl,
        retention_gap_seconds: gap,
        covered_by,
        left_out: left_out(plan, objects),
        backups,
        problem,
    };
    (report.state, report.why) = state(&report, schedule, cron.as_ref(), own, now);
    report
}

/// How it runs, and why that is said.
fn state(report: &ScheduleReport, schedule: &Schedule, cron: Option<&Cron>, own: &[&Backup], now: Timestamp) -> (ScheduleState, String) {
    let due = || schedule.next_due.map_or_else(|| "no run is due".to_owned(), |d| format!("the next run is due {}", until(now, d)));
    if let Some(problem) = &report.problem {
        return (ScheduleState::Refused, problem.clone());
    }
    if schedule.paused {
        let missed = cron.and_then(|c| c.next(schedule.counts_from)).is_some_and(|next| next <= now);
        let resumed = match (schedule.skip_immediately, missed) {
            (Some(true), _) => "it waits for its next time, since skipImmediately is set",
            (_, true) => "it runs at once, unless skipImmediately is set",
            (_, false) => "it waits for its next time",
        };
        return (ScheduleState::Paused, format!("it is paused, so nothing is due; when it is resumed, {resumed}"));
    }
    if report.failed_runs > 0 {
        let newest = own.iter().find(|b| b.state != BackupState::Pending);
        let why = newest.map_or("", |b| &b.why);
        let which = if report.failed_runs == 1 { "its newest run".to_owned() } else { format!("its newest {} runs", report.failed_runs) };
        return (ScheduleState::Failing, format!("{which} left no usable backup: {why}; {}", due()));
    }
    if report.overdue_runs > 0 {
        let late = schedule.next_due.map(|d| since(now, d)).unwrap_or_default();
        let runs = if report.overdue_runs == 1 { "1 run is".to_owned() } else { format!("{} runs are", report.overdue_runs) };
        let held = own.iter().find(|b| matches!(&*b.phase, "" | "New" | "InProgress"));
        let cause = match held {
            Some(b) => format!("Velero makes none while backup {} is {}", b.name, if b.phase.is_empty() { "new" } else { &b.phase }),
            None => "does Velero run?".to_owned(),
        };
        let state = if report.last_run.is_none() { ScheduleState::NeverRan } else { ScheduleState::Overdue };
        let what = if state == ScheduleState::NeverRan { "it never ran, and its first run was due" } else { "its next run was due" };
        return (state, format!("{what} {late} ago, {runs} overdue: {cause}"));
    }
    if report.last_run.is_none() {
        return (ScheduleState::Waiting, format!("it never ran yet; {}", due()));
    }
    if report.last_usable_start.is_none() && !own.iter().any(|b| b.state == BackupState::Pending) {
        return (ScheduleState::NoUsableBackup, format!("none of its backups is usable; {}", due()));
    }
    let partly = if report.last_run_state == Some(BackupState::Degraded) { "its newest run ended as PartiallyFailed; " } else { "" };
    (ScheduleState::OnTime, format!("{partly}{}", due()))
}

/// What a spec leaves out for want of one line.
pub(super) fn left_out(plan: &Plan<'_, '_>, objects: &[ObjectReport]) -> Option<LeftOut> {
    let mut ids: Vec<&ObjectId> = plan.decisions().filter(|(_, d)| *d == Decision::Left(Left::ClusterScope)).map(|(id, _)| id).collect();
    if ids.is_empty() {
        return None;
    }
    ids.sort();
    let judged = |id: &ObjectId| objects.binary_search_by(|o| o.id.cmp(id)).ok().map(|n| &objects[n]);
    let is_own = |o: &ObjectReport| o.drift != Drift::Derived && o.recovery != Recovery::Derived;
    let own: Vec<&ObjectId> = ids.iter().copied().filter(|id| judged(id).is_none_or(is_own)).collect();
    let is_lost = |id: &&ObjectId| judged(id).is_some_and(|o| o.recovery == Recovery::Lost);
    let (lost, held): (Vec<&ObjectId>, Vec<&ObjectId>) = own.iter().copied().partition(is_lost);
    Some(LeftOut {
        unfiltered: plan.is_unfiltered_trap(),
        objects: ids.len() as u64,
        own: own.len() as u64,
        lost: lost.len() as u64,
        names: of_each_kind(lost).into_iter().chain(of_each_kind(held)).take(MOST_NAMES).map(ToString::to_string).collect(),
        heal: plan.healing_line().into(),
    })
}

/// The first object of each kind, then the second of each, and so on, so that a few names tell of every kind.
fn of_each_kind(ids: Vec<&ObjectId>) -> Vec<&ObjectId> {
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &ObjectId)> = ids
        .into_iter()
        .map(|id| {
            let rank = seen.entry(&id.gk).or_default();
            *rank += 1;
            (*rank, id)
        })
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, id)| id).collect()
}

/// For each schedule the others that run and take everything that it takes.
fn covered(join: &Join<'_>) -> Vec<Vec<Text>> {
    let all: Vec<(&Schedule, &Plan<'_, '_>)> = join.backups.schedule_plans().collect();
    if all.len() > MOST_COMPARED {
        return Vec::new();
    }
    let taken = |plan: &Plan<'_, '_>| plan.decisions().map(|(_, d)| matches!(d, Decision::Listed | Decision::Beside(_))).collect::<Vec<bool>>();
    let sets: Vec<Vec<bool>> = all.iter().map(|(_, plan)| taken(plan)).collect();
    let runs = |s: &Schedule| !s.paused && s.problem.is_none();
    let of = |n: usize| {
        if !sets[n].contains(&true) {
            return Vec::new();
        }
        let whole = |m: &usize| *m != n && runs(all[*m].0) && sets[n].iter().zip(&sets[*m]).all(|(own, other)| !own || *other);
        (0..all.len()).filter(whole).map(|m| all[m].0.name.clone()).collect()
    };
    (0..all.len()).map(of).collect()
}

/// What is said of an unfiltered backup, so that nobody takes it for everything.
pub(super) fn left_out_words(left: &LeftOut) -> String {
    format!(
        "it names no filter, and yet Velero takes cluster-scoped objects only beside others: {} that live are not in it; one line in the spec heals that: {}",
        counted(left.objects, "object"),
        left.heal
    )
}
