//! Rows about schedules that do not run, and about backups that do not hold what they look like. pure

use super::{Row, fold};
use crate::report::{
    model::{Disagreement, DisagreementReport, LeftOut, Report, ScheduleReport, ScheduleState},
    text::{counted, since, span},
};

fn row(report: &Report, of: &DisagreementReport, object: &Disagreement) -> Row {
    Row {
        what: format!("{}/{}", object.id.gk.kind, object.id.name),
        namespace: object.id.namespace.as_deref().unwrap_or_default().to_owned(),
        app: String::new(),
        since: of.start.map(|at| since(report.now, at)).unwrap_or_default(),
        why: format!("{}, {}: {}", of.backup, object.mismatch.name(), object.why),
        details: Vec::new(),
    }
}

/// Objects on which a backup's content and spec disagree, and how many there are. Without `all`, only of the newest backup of each set of filters.
pub(super) fn disagreements(report: &Report, all: bool) -> (Vec<Row>, u64) {
    let shown = || report.disagreements.iter().filter(|d| d.newest || all);
    let rows = shown().flat_map(|d| d.objects.iter().map(|o| row(report, d, o))).collect();
    (fold(rows, all), shown().flat_map(|d| d.counts.values()).sum())
}

/// What a spec without filters leaves out, if any of it is more than what makes itself again.
fn left_out(left: &LeftOut, place: &str) -> Option<String> {
    if !left.unfiltered || left.own == 0 {
        return None;
    }
    let held = match left.lost {
        0 => String::new(),
        lost => format!(", {lost} of which nobody has"),
    };
    let names = left.names.join(", ") + if left.own > left.names.len() as u64 { " and more" } else { "" };
    // What to do comes first: a narrow terminal cuts the rest.
    Some(format!(
        "One line in its {place} heals it: {}. It names no filter and looks like everything, yet leaves out {}{held}, and Velero says Completed: {names}",
        left.heal,
        counted(left.own, "cluster-scoped object"),
    ))
}

/// How long there is no backup at all between two of a schedule; `None` if they overlap.
pub fn retention_gap(s: &ScheduleReport) -> Option<String> {
    let (ttl, interval) = (span(s.ttl_seconds?), span(s.interval_seconds?));
    let gap = span(Some(s.retention_gap_seconds).filter(|gap| *gap > 0)?);
    Some(format!("its backups are kept for {ttl} and come up to {interval} apart, so for {gap} there is none; make ttl longer than that"))
}

/// What looks like everything and is not: schedules that run, and unscheduled backups that count. Name and sentence.
pub fn unfiltered(report: &Report) -> Vec<(String, String)> {
    let runs = |s: &&ScheduleReport| !matches!(s.state, ScheduleState::Paused | ScheduleState::Refused);
    let schedules =
        report.schedules.iter().filter(runs).filter_map(|s| Some((format!("Schedule/{}", s.name), left_out(s.left_out.as_ref()?, "template")?)));
    let known = |name: &Option<crate::object::Text>| name.as_ref().is_some_and(|n| report.schedules.iter().any(|s| s.name == *n));
    let alone = report.backups.iter().filter(|b| b.speaks_for > 0 && !known(&b.schedule));
    schedules.chain(alone.filter_map(|b| Some((format!("Backup/{}", b.name), left_out(b.left_out.as_ref()?, "spec")?)))).collect()
}

/// Schedules that do not run as they should or keep too little, and what looks like everything and is not.
pub(super) fn schedules(report: &Report) -> Vec<Row> {
    let row = |what: String, since: String, why: String| Row { what, namespace: String::new(), app: String::new(), since, why, details: Vec::new() };
    let mut rows: Vec<Row> = unfiltered(report).into_iter().map(|(what, why)| row(what, String::new(), why)).collect();
    for s in &report.schedules {
        if s.state.is_trouble() {
            let last = s.last_usable_start.map(|at| since(report.now, at)).unwrap_or_default();
            rows.push(row(format!("Schedule/{}", s.name), last, format!("{}: {}", s.state.name(), s.why)));
        }
        rows.extend(retention_gap(s).filter(|_| !s.paused).map(|why| row(format!("Schedule/{}", s.name), String::new(), why)));
    }
    rows
}
