//! The findings of a report by cause, worst first: what the table and the Markdown form share. pure

pub(crate) mod backups;

use super::{
    model::{
        BackupReport, Basis, Drift, FieldReport, ObjectReport, Recovery, Report, Stage, Start, VolumeReport, VolumeState, WindowRollup, WindowScope,
        WindowState,
    },
    text::{counted, since, span, until},
};
use crate::drift::LeafClass;

/// One cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Claims whose bytes nobody keeps.
    Volumes,
    /// Schedules that do not run as they should, and what looks like everything and is not.
    Schedules,
    /// Windows rolled up.
    Windows,
    /// `lost`.
    Lost,
    /// `backup_stale`.
    BackupStale,
    /// Backups that hold other objects than their specs take.
    Disagreements,
    /// `split`.
    Split,
    /// Git against cluster.
    Drift,
    /// What drifts only by what people do for now.
    Operations,
    /// `resurrected`.
    Resurrected,
    /// What could not be judged.
    Unknown,
}

/// One line of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `Kind/name`, or the scope of a window.
    pub what: String,
    /// Namespace; empty for cluster-scoped objects and windows.
    pub namespace: String,
    /// App; empty if no app declares it.
    pub app: String,
    /// How long already; empty if that is not known.
    pub since: String,
    /// What is wrong and what to do.
    pub why: String,
    /// Details below it.
    pub details: Vec<String>,
}

/// The findings of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cause.
    pub cause: Cause,
    /// A word or two, as a heading.
    pub title: &'static str,
    /// What that means, in a sentence.
    pub meaning: &'static str,
    /// How many objects or windows it is about; a row may stand for several.
    pub count: u64,
    /// The findings, the oldest first.
    pub rows: Vec<Row>,
}

/// All groups that have something to show. Without `all`, windows of layers are left to those of apps, and objects that could not be
/// judged for one and the same reason are one row.
pub fn of(report: &Report, all: bool) -> Vec<Group> {
    let objects = |wanted: &dyn Fn(&ObjectReport) -> bool, row: &dyn Fn(&ObjectReport) -> Row| {
        let mut found: Vec<&ObjectReport> = report.objects.iter().filter(|o| wanted(o)).collect();
        found.sort_by(|a, b| age(a).cmp(&age(b)).then_with(|| a.id.cmp(&b.id)));
        found.into_iter().map(row).collect::<Vec<_>>()
    };
    let mut unknown_rows = objects(&ObjectReport::is_unknown, &|o| unknown_row(report, o));
    let unknown_claims = || report.volumes.iter().filter(|v| v.state == VolumeState::Unknown);
    unknown_rows.extend(unknown_claims().map(|v| volume_row(v, "its bytes: ")));
    let unknown_rows = fold(unknown_rows, all);
    let (disagreeing, disagreements) = backups::disagreements(report, all);
    let recovery = |r: Recovery| objects(&|o| o.recovery == r, &|o| object_row(report, o));
    let ending = |o: &ObjectReport| o.terminating && o.id.namespace.is_some();
    let mut drift = objects(&|o| o.drift.is_drift() && !o.operational && (all || !ending(o)), &|o| drift_row(report, o));
    if !all {
        drift.extend(endings(report, &ending));
    }
    let drifting = report.objects.iter().filter(|o| o.drift.is_drift() && !o.operational).count();
    let groups = [
        (Cause::Volumes, "VOLUMES", "Nobody has the bytes of these claims, whoever has their manifests.", volumes(report)),
        (Cause::Schedules, "SCHEDULES", "Backups that do not come, or that are not what they look like.", backups::schedules(report)),
        (Cause::Windows, "WINDOWS", "Git declares content that no usable backup holds.", windows(report, all)),
        (Cause::Lost, "LOST", "If the cluster is lost now, nobody has these.", recovery(Recovery::Lost)),
        (Cause::BackupStale, "STALE BACKUP", "Only a backup has these, and they have changed since it started.", recovery(Recovery::BackupStale)),
        (Cause::Disagreements, "NOT AS PREDICTED", "A backup holds other objects than its spec takes; what it holds is the fact.", disagreeing),
        (Cause::Split, "SPLIT", "Git and the backup disagree: a restore brings back another state than Git declares.", recovery(Recovery::Split)),
        (Cause::Drift, "DRIFT", "Git and the cluster disagree.", drift),
        (
            Cause::Operations,
            "BY HAND",
            "People run these otherwise for now: restarts, replicas, paused rollouts. A sync may end it.",
            objects(&|o| o.drift.is_drift() && o.operational, &|o| drift_row(report, o)),
        ),
        (Cause::Resurrected, "RESURRECTED", "Deleted since the backup: a restore brings these back.", recovery(Recovery::Resurrected)),
        (Cause::Unknown, "UNKNOWN", "These could not be judged.", unknown_rows),
    ];
    let unknown = report.objects.iter().filter(|o| o.is_unknown()).count() + unknown_claims().count();
    let count = |cause: Cause, rows: &[Row]| match cause {
        Cause::Unknown => unknown as u64,
        Cause::Drift => drifting as u64,
        Cause::Disagreements => disagreements,
        _ => rows.len() as u64,
    };
    let groups = groups.into_iter().map(|(cause, title, meaning, rows)| Group { cause, title, meaning, count: count(cause, &rows), rows });
    groups.filter(|g| !g.rows.is_empty()).collect()
}

/// Objects that the row of a namespace names.
const MOST_ENDING: usize = 5;

/// One row for each namespace in which things are being deleted, in the place of what drifts there.
fn endings(report: &Report, ending: &dyn Fn(&ObjectReport) -> bool) -> Vec<Row> {
    let mut by: std::collections::BTreeMap<&str, Vec<&ObjectReport>> = std::collections::BTreeMap::new();
    for object in report.objects.iter().filter(|o| o.drift.is_drift() && !o.operational && ending(o)) {
        by.entry(object.id.namespace.as_deref().unwrap_or_default()).or_default().push(object);
    }
    let details = |objects: &[&ObjectReport]| {
        let more = (objects.len() > MOST_ENDING).then(|| format!("and {} more", objects.len() - MOST_ENDING));
        let named = objects.iter().take(MOST_ENDING).map(|o| format!("{}/{}: {}", o.id.gk.kind, o.id.name, o.drift.name()));
        named.chain(more).collect()
    };
    let row = |(namespace, objects): (&str, Vec<&ObjectReport>)| Row {
        what: counted(objects.len() as u64, "object"),
        namespace: namespace.to_owned(),
        app: String::new(),
        since: String::new(),
        why: "Being deleted, while Git and the cluster disagree on them. Nothing can be synced there before that is done.".into(),
        details: details(&objects),
    };
    by.into_iter().map(row).collect()
}

/// What sorts the oldest first; unknown times last.
fn age(object: &ObjectReport) -> (bool, Option<jiff::Timestamp>) {
    let start = object.window.as_ref().and_then(|w| w.start).map(|s| s.not_before).or(object.drift_since);
    (start.is_none(), start)
}

/// How long a window has been open. An interval that is known only roughly is said to be at most that long.
pub fn open_for(report: &Report, start: Option<Start>) -> String {
    let Some(start) = start else { return String::new() };
    let longest = since(report.now, start.not_before);
    let rough = start.not_after.as_second() - start.not_before.as_second() >= 60;
    if rough || start.basis == Basis::Commit { format!("≤ {longest}") } else { longest }
}

/// One row for what is unknown for the same reason.
fn fold(rows: Vec<Row>, all: bool) -> Vec<Row> {
    let mut folded: Vec<(Row, u64)> = Vec::new();
    for row in rows {
        match folded.iter_mut().find(|(first, _)| !all && first.why == row.why) {
            Some((first, more)) => {
                *more += 1;
                for (cell, other) in [(&mut first.namespace, &row.namespace), (&mut first.app, &row.app)] {
                    if cell != other {
                        cell.clear();
                    }
                }
            }
            None => folded.push((row, 0)),
        }
    }
    let name = |(row, more): (Row, u64)| match more {
        0 => row,
        more => Row { what: format!("{} and {} more", row.what, super::text::count(more)), since: String::new(), ..row },
    };
    folded.into_iter().map(name).collect()
}

/// Claims whose bytes nobody keeps.
fn volumes(report: &Report) -> Vec<Row> {
    report.volumes.iter().filter(|v| v.is_unprotected()).map(|v| volume_row(v, "")).collect()
}

fn volume_row(v: &VolumeReport, lead: &str) -> Row {
    Row {
        what: format!("PVC/{}", v.name),
        namespace: v.namespace.to_string(),
        app: String::new(),
        since: String::new(),
        why: format!("{lead}{}", v.why),
        details: Vec::new(),
    }
}

/// The windows that are not closed. The cluster's own is in the headline.
fn windows(report: &Report, all: bool) -> Vec<Row> {
    let shown = |w: &&WindowRollup| {
        let part = match w.of {
            WindowScope::Cluster => false,
            WindowScope::Layer(_) => all,
            WindowScope::App(_) => true,
        };
        part && (w.state != WindowState::Closed || w.resurrected > 0)
    };
    report
        .windows
        .iter()
        .filter(shown)
        .map(|w| Row {
            what: match &w.of {
                WindowScope::Cluster => "cluster".into(),
                WindowScope::Layer(layer) => format!("layer {layer}"),
                WindowScope::App(app) => format!("app {app}"),
            },
            namespace: String::new(),
            app: w.state.name().into(),
            since: open_for(report, w.start),
            why: window_text(report, w),
            details: Vec::new(),
        })
        .collect()
}

fn window_text(report: &Report, w: &WindowRollup) -> String {
    let mut parts = Vec::new();
    if w.objects > 0 {
        let stages = [(w.pending, "not applied"), (w.unsnapshotted, "applied")].into_iter().filter(|(n, _)| *n > 0);
        let stages: Vec<String> = stages.map(|(n, what)| format!("{n} {what}")).collect();
        parts.push(format!("{} ({})", counted(w.objects, "object"), stages.join(", ")));
    }
    if !w.commits.is_empty() {
        parts.push(counted(w.commits.len() as u64, "commit"));
    }
    if w.resurrected > 0 {
        parts.push(format!("{} deleted in Git would come back", w.resurrected));
    }
    if w.unknown > 0 {
        parts.push(format!("{} unknown", w.unknown));
    }
    if let (WindowState::Unknown, WindowScope::App(app)) = (w.state, &w.of) {
        parts.extend(report.apps.iter().find(|a| a.name == *app).and_then(|a| a.failure.as_ref()).map(|f| f.message.clone()));
    }
    if w.state == WindowState::None {
        parts.push("no usable backup".into());
    }
    if w.over_objective {
        parts.push(format!("longer than the {} allowed", span(w.objective_seconds)));
    }
    if let Some(due) = w.closes_at {
        parts.push(format!("next backup {}", until(report.now, due)));
    }
    parts.join(", ")
}

fn object_row(report: &Report, o: &ObjectReport) -> Row {
    let window = o.window.as_ref();
    let stage = match window.map(|w| w.stage) {
        Some(Stage::Pending) => "Pending. ",
        _ => "",
    };
    Row {
        what: format!("{}/{}", o.id.gk.kind, o.id.name),
        namespace: o.id.namespace.as_deref().unwrap_or_default().to_owned(),
        app: o.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        since: open_for(report, window.and_then(|w| w.start)),
        why: format!("{stage}{}", o.why),
        details: Vec::new(),
    }
}

fn drift_row(report: &Report, o: &ObjectReport) -> Row {
    let mut why = match o.drift {
        Drift::Changed => "Fields differ from Git.",
        Drift::Missing => "Git declares it, the cluster does not have it.",
        Drift::Removed => "No longer in Git, still in the cluster.",
        Drift::Added => "Someone added fields that Git does not have.",
        _ => "",
    }
    .to_owned();
    if let Some(hint) = o.confirmed.as_ref().and_then(super::confirm::hint) {
        why = format!("{why} {hint}");
    }
    let details = o.fields.iter().filter(|f| f.class.is_some()).map(|f| field_text(report, f)).collect();
    let since = o.drift_since.map(|t| since(report.now, t)).unwrap_or_default();
    Row { why, since, details, ..object_row(report, o) }
}

/// One differing field as a line: what Git says, what runs, by whom.
fn field_text(report: &Report, f: &FieldReport) -> String {
    let value = |v: &Option<String>| v.as_deref().map_or_else(|| "(nothing)".to_owned(), |t| super::text::shorten(t, 40));
    let change = match f.class {
        Some(LeafClass::Added) => format!("added {}", value(&f.live)),
        Some(LeafClass::Removed) => format!("still {}, dropped in Git", value(&f.live)),
        Some(LeafClass::Missing) => format!("{} is gone", value(&f.desired)),
        Some(LeafClass::Operational) => format!("{} → {} by hand for now", value(&f.desired), value(&f.live)),
        Some(LeafClass::Policy) => format!("{} is made {} of by admission or a controller", value(&f.desired), value(&f.live)),
        Some(LeafClass::UnknownField) => format!("{} has no field to go to, the server drops it", value(&f.desired)),
        _ => format!("{} → {}", value(&f.desired), value(&f.live)),
    };
    let who = match (&f.owner, f.time) {
        (Some(owner), Some(time)) => format!(" ({owner}, {} ago)", since(report.now, time)),
        (Some(owner), None) => format!(" ({owner})"),
        _ => String::new(),
    };
    let place = match (&f.file, f.line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        _ => String::new(),
    };
    format!("{}: {change}{who}{place}", f.path)
}

fn unknown_row(report: &Report, o: &ObjectReport) -> Row {
    let why: Vec<String> = o.unknown.iter().map(|u| format!("{} {}: {}", u.side.word(), u.reason, u.message)).collect();
    Row { why: if why.is_empty() { o.why.clone() } else { why.join(" ") }, ..object_row(report, o) }
}

/// The first sentence of every form: the state of the whole cluster's window.
pub fn headline(report: &Report) -> String {
    let cluster = report.windows.iter().find(|w| w.of == WindowScope::Cluster);
    match report.summary.window {
        WindowState::Closed if report.summary.objects == 0 && super::exit::could_not_say(report) => "Whether a window is open cannot be said.".into(),
        WindowState::Closed => "The window is closed: every declared object is held by a usable backup, or by Git alone by design.".into(),
        WindowState::None if report.as_of.backups.failure.is_some() => "Whether there is a usable backup cannot be said.".into(),
        WindowState::None => "There is no usable backup at all.".into(),
        WindowState::Unknown => "Whether a window is open cannot be said.".into(),
        WindowState::Open => match cluster {
            Some(w) if w.start.is_some() => format!("A window is open since {}: {}.", open_for(report, w.start), window_text(report, w)),
            Some(w) => format!("A window is open: {}.", window_text(report, w)),
            None => "A window is open.".into(),
        },
    }
}

/// What stands where findings would: that there are none, or that nobody can say so, because something could not be read.
pub fn nothing(report: &Report) -> &'static str {
    if super::exit::could_not_say(report) {
        "Not everything could be read, so this says nothing of what there is to act on."
    } else {
        "Nothing to act on."
    }
}

/// The counts over all objects, as one sentence.
pub fn counts(report: &Report) -> String {
    let recovery = [
        (Recovery::Either, "held by Git and backup"),
        (Recovery::Git, "by Git alone"),
        (Recovery::Backup, "by a backup alone"),
        (Recovery::Derived, "derived"),
        (Recovery::Split, "split"),
        (Recovery::BackupStale, "stale in the backup"),
        (Recovery::Lost, "lost"),
        (Recovery::Resurrected, "resurrected"),
        (Recovery::Unknown, "unknown"),
    ];
    let known = recovery.into_iter().filter_map(|(r, name)| Some((*report.summary.recovery.get(&r)?, name))).filter(|(n, _)| *n > 0);
    let known: Vec<String> = known.map(|(n, name)| format!("{} {name}", super::text::count(n))).collect();
    let drift = [Drift::Changed, Drift::Missing, Drift::Removed, Drift::Added, Drift::Unmanaged, Drift::Unknown];
    let drift = drift.into_iter().filter_map(|d| Some((*report.summary.drift.get(&d)?, d.name()))).filter(|(n, _)| *n > 0);
    let drift: Vec<String> = drift.map(|(n, name)| format!("{} {name}", super::text::count(n))).collect();
    let drift = if drift.is_empty() { "none".to_owned() } else { drift.join(", ") };
    let left_out: u64 = report.suppressed.iter().map(|s| s.fields).sum();
    let left_out = if left_out == 0 { String::new() } else { format!(" Left out by rules: {}.", counted(left_out, "field")) };
    if report.summary.objects == 0 {
        return format!("No objects.{left_out}");
    }
    format!("{}: {}. Drift: {drift}.{left_out}", counted(report.summary.objects, "object"), known.join(", "))
}

/// What is blind and how to heal it, one line each.
pub fn blind(report: &Report, all: bool) -> Vec<String> {
    report.blind_spots.iter().filter(|b| b.matters || all).map(|b| format!("{} ({}): {}", b.what, b.reason, b.message)).collect()
}

/// Backups that an archive was given for and that could not be read, although objects depend on them: one line each, newest first; a few,
/// unless everything is asked for.
pub fn unreadable(report: &Report, all: bool) -> Vec<String> {
    let of = |b: &BackupReport| {
        let failure = b.unread.as_ref().filter(|f| b.speaks_for > 0 && f.reason.starts_with("archive_"))?;
        let held = counted(b.speaks_for, "object");
        Some(format!("{} ({}) would speak for {held}, and what it holds is not known: {}", b.name, b.state.name(), failure.message))
    };
    report.backups.iter().filter_map(of).take(if all { usize::MAX } else { 3 }).collect()
}

/// Where schemas come from.
fn schemas(state: &super::model::SchemaState) -> String {
    let definitions = match state.definitions {
        0 => String::new(),
        n => format!(" and {}", counted(n, "definition")),
    };
    match (&state.failure, state.documents) {
        (None, 0) => format!("schemas compiled in{definitions}"),
        (None, _) => format!("schemas from the cluster{definitions}"),
        (Some(f), 0) => format!("schemas compiled in{definitions}: {}", f.message),
        (Some(f), _) => format!("schemas from the cluster in part{definitions}: {}", f.message),
    }
}

/// How old each witness is, as one sentence, failures included.
pub fn as_of(report: &Report) -> String {
    let stage = |name: String, stage: &super::model::StageAge| {
        let age = stage.at.map_or_else(|| "never read".to_owned(), |at| format!("{} ago", since(report.now, at)));
        match &stage.failure {
            Some(f) => format!("{name} {age}, then failed: {}", f.message),
            None => format!("{name} {age}"),
        }
    };
    let mut parts: Vec<String> = report.as_of.git.iter().map(|(name, s)| stage(format!("Git {name}"), s)).collect();
    parts.push(stage("cluster".into(), &report.as_of.cluster));
    parts.push(stage("backups".into(), &report.as_of.backups));
    parts.push(schemas(&report.as_of.schemas));
    format!("As of {:.0}: {}.", report.now, parts.join("; "))
}
