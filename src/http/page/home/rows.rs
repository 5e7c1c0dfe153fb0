//! One row of each section of the first page. pure

use jiff::Timestamp;

use super::super::{
    headline::open_for,
    text::{Chip, CommitCell, ObjectCell, When, count, cut, short, shown, span},
};
use crate::report::model::{
    AppReport, BackupReport, BlindSpot, Cause, Drift, FieldReport, LocationReport, ObjectReport, ScheduleReport, Side, SourceReport, Stage,
    Suppressed, WindowRollup, WindowScope, WindowState,
};

/// Fields shown per drifted object; the rest is on its evidence page.
const FIELDS: usize = 4;
/// Commits shown per row.
const COMMITS: usize = 2;
/// Characters of a value.
const VALUE: usize = 160;

/// A window of a layer or app.
pub struct WindowRow {
    /// `layer` or `app`.
    pub scope: &'static str,
    /// Its name.
    pub name: String,
    /// Leads to the page filtered by it.
    pub href: String,
    /// State.
    pub chip: Chip,
    /// How long it has been open; empty if it is not.
    pub open_for: String,
    /// Since when.
    pub since: Option<When>,
    /// What is in it, in words.
    pub objects: Vec<String>,
    /// Commits.
    pub commits: Vec<CommitCell>,
    /// Commits that are not shown.
    pub more_commits: usize,
    /// The objective.
    pub objective: String,
    /// When it should close.
    pub closes: Option<When>,
}

impl WindowRow {
    pub(super) fn new(rollup: &WindowRollup, now: Timestamp) -> Self {
        let (scope, name) = match &rollup.of {
            WindowScope::Cluster => ("cluster", String::new()),
            WindowScope::Layer(layer) => ("layer", layer.name().to_owned()),
            WindowScope::App(app) => ("app", app.0.to_string()),
        };
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(scope, &name).finish();
        let open = rollup.state == WindowState::Open;
        let parts = [
            (rollup.pending, "pending"),
            (rollup.unsnapshotted, "unsnapshotted"),
            (rollup.resurrected, "would come back"),
            (rollup.unknown, "unknown"),
        ];
        let objects = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        Self {
            scope,
            name: shown(&name),
            href: format!("/?{query}"),
            chip: Chip::window(rollup.state, rollup.over_objective),
            open_for: if open { open_for(rollup.start, now).unwrap_or_else(|| "longer than known history".into()) } else { String::new() },
            since: rollup.start.filter(|_| open).map(|start| When::new(now, Some(start.not_after), "")),
            objects,
            commits: rollup.commits.iter().take(COMMITS).map(|c| CommitCell::new(c, now)).collect(),
            more_commits: rollup.commits.len().saturating_sub(COMMITS),
            objective: span(rollup.objective_seconds),
            closes: open.then(|| When::new(now, rollup.closes_at, "no backup is due")),
        }
    }
}

/// An object in an open window.
pub struct OpenRow {
    /// The object.
    pub object: ObjectCell,
    /// How far its content has come.
    pub chip: Chip,
    /// When it landed.
    pub since: When,
    /// What is wrong and what to do.
    pub why: String,
    /// What the backup holds instead.
    pub cause: String,
    /// Commits.
    pub commits: Vec<CommitCell>,
    /// Commits that are not shown.
    pub more_commits: usize,
}

impl OpenRow {
    pub(super) fn new(object: &ObjectReport, now: Timestamp) -> Self {
        let window = object.window.as_ref();
        let commits = window.map(|w| &w.commits[..]).unwrap_or_default();
        Self {
            object: ObjectCell::new(&object.id, object.app.as_ref(), object.layer),
            chip: match window.map(|w| w.stage) {
                Some(Stage::Pending) => Chip::warn("pending"),
                Some(Stage::Unsnapshotted) => Chip::warn("unsnapshotted"),
                Some(Stage::Resurrection) => Chip::warn("would come back"),
                None => Chip::unknown("stage unknown"),
            },
            since: When::new(now, window.and_then(|w| w.start).map(|s| s.not_after), "before known history"),
            why: cut(&object.why, 400),
            cause: window.map(|w| cause(&w.cause, now)).unwrap_or_default(),
            commits: commits.iter().take(COMMITS).map(|c| CommitCell::new(c, now)).collect(),
            more_commits: commits.len().saturating_sub(COMMITS),
        }
    }
}

/// Why the backup differs from Git, as a sentence.
pub(in crate::http::page) fn cause(cause: &Cause, now: Timestamp) -> String {
    match cause {
        Cause::Behind { holds: Some(commit) } => {
            format!("The backup holds the state of {} ({}).", short(&commit.sha), super::super::text::relative(now, commit.time))
        }
        Cause::Behind { holds: None } => "The backup holds an earlier state of Git.".into(),
        Cause::CapturedDrift { owner, time } => {
            let owner = owner.as_ref().map(|o| format!(" by {}", cut(o, 80))).unwrap_or_default();
            let time = time.map(|t| format!(" ({})", super::super::text::relative(now, t))).unwrap_or_default();
            format!("The backup captured an edit{owner}{time} that Git never declared.")
        }
        Cause::Mixed => "The backup holds an older state of Git and edits that Git never declared.".into(),
        Cause::Unknown => "History does not say why they differ.".into(),
    }
}

/// An object that would be lost, or that would come back.
pub struct LostRow {
    /// The object.
    pub object: ObjectCell,
    /// Its verdict.
    pub chip: Chip,
    /// What is wrong and what to do.
    pub why: String,
    /// Since when, if that is known.
    pub since: Option<When>,
}

impl LostRow {
    pub(super) fn new(object: &ObjectReport, now: Timestamp) -> Self {
        let landed = object.window.as_ref().and_then(|w| w.start).map(|s| s.not_after);
        Self {
            object: ObjectCell::new(&object.id, object.app.as_ref(), object.layer),
            chip: Chip::recovery(object.recovery),
            why: cut(&object.why, 400),
            since: landed.map(|at| When::new(now, Some(at), "")),
        }
    }
}

/// A drifted object.
pub struct DriftRow {
    /// The object.
    pub object: ObjectCell,
    /// Its verdict.
    pub chip: Chip,
    /// Since when.
    pub since: When,
    /// What is wrong and what to do.
    pub why: String,
    /// Fields.
    pub fields: Vec<FieldRow>,
    /// Fields that are not shown.
    pub more_fields: usize,
}

impl DriftRow {
    pub(super) fn new(object: &ObjectReport, now: Timestamp) -> Self {
        let fields: Vec<_> = object.fields.iter().filter(|f| f.class.is_some()).collect();
        Self {
            object: ObjectCell::new(&object.id, object.app.as_ref(), object.layer),
            chip: Chip::drift(object.drift),
            since: When::new(now, object.drift_since, "onset not known"),
            why: cut(&object.why, 400),
            more_fields: fields.len().saturating_sub(FIELDS),
            fields: fields.into_iter().take(FIELDS).map(|f| FieldRow::new(f, now)).collect(),
        }
    }
}

/// A differing field.
pub struct FieldRow {
    /// Where.
    pub path: String,
    /// What Git declares.
    pub desired: Option<String>,
    /// What runs.
    pub live: Option<String>,
    /// What the backup holds.
    pub backed_up: Option<String>,
    /// Who wrote the live value.
    pub owner: String,
    /// When.
    pub time: When,
    /// File and line in Git.
    pub place: String,
}

impl FieldRow {
    pub(in crate::http::page) fn new(field: &FieldReport, now: Timestamp) -> Self {
        let value = |v: &Option<String>| v.as_ref().map(|v| cut(v, VALUE));
        let line = field.line.map(|line| format!(":{line}")).unwrap_or_default();
        Self {
            path: cut(&field.path, 300),
            desired: value(&field.desired),
            live: value(&field.live),
            backed_up: value(&field.backed_up),
            owner: field.owner.as_ref().map(|o| cut(o, 80)).unwrap_or_default(),
            time: When::new(now, field.time, ""),
            place: field.file.as_ref().map(|file| format!("{}{line}", cut(file, 200))).unwrap_or_default(),
        }
    }
}

/// Objects that could not be judged for one cause.
pub struct CauseRow {
    /// The side that could not be read.
    pub side: &'static str,
    /// Stable reason.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Objects.
    pub objects: Vec<ObjectCell>,
    /// Objects that are not shown.
    pub more: usize,
}

impl CauseRow {
    /// One row a cause, most objects first.
    pub(super) fn group(unknown: &[&ObjectReport], all: bool) -> Vec<Self> {
        let mut causes: std::collections::BTreeMap<(Option<Side>, &str, &str), Vec<&ObjectReport>> = std::collections::BTreeMap::new();
        for object in unknown {
            if object.unknown.is_empty() {
                causes.entry((None, "not_said", &object.why)).or_default().push(object);
            }
            for side in &object.unknown {
                causes.entry((Some(side.side), &side.reason, &side.message)).or_default().push(object);
            }
        }
        let cap = if all { super::MAX_ROWS } else { super::ROWS };
        let mut rows: Vec<_> = causes
            .into_iter()
            .map(|((side, reason, message), objects)| Self {
                side: match side {
                    Some(Side::Git) => "Git",
                    Some(Side::Cluster) => "cluster",
                    Some(Side::Backup) => "backup",
                    None => "verdict",
                },
                reason: shown(reason),
                message: cut(message, 600),
                more: objects.len().saturating_sub(cap),
                objects: objects.into_iter().take(cap).map(|o| ObjectCell::new(&o.id, o.app.as_ref(), o.layer)).collect(),
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.objects.len() + row.more));
        rows
    }

    pub(super) fn any_cut(rows: &[Self]) -> bool {
        rows.iter().any(|row| row.more > 0 && row.objects.len() < super::MAX_ROWS)
    }
}

/// A kind that could not be read.
pub struct BlindRow {
    /// The kind.
    pub what: String,
    /// Stable reason.
    pub reason: String,
    /// The way out.
    pub message: String,
}

impl BlindRow {
    pub(super) fn new(spot: &BlindSpot) -> Self {
        Self { what: shown(&spot.what), reason: shown(&spot.reason), message: cut(&spot.message, 600) }
    }
}

/// A backup.
pub struct BackupRow {
    /// Name.
    pub name: String,
    /// Schedule and location.
    pub of: String,
    /// State.
    pub chip: Chip,
    /// The time it speaks for.
    pub start: When,
    /// When it expires.
    pub expires: When,
    /// What is in it and how much of that counts.
    pub objects: Vec<String>,
    /// Why.
    pub why: String,
}

impl BackupRow {
    pub(super) fn new(backup: &BackupReport, now: Timestamp) -> Self {
        let of = [backup.schedule.as_ref().map(|s| format!("schedule {}", shown(s))), backup.location.as_ref().map(|l| format!("in {}", shown(l)))];
        let speaks = (backup.speaks_for > 0).then(|| format!("newest usable for {}", backup.speaks_for));
        let objects = [backup.objects.map(|n| count(n, "object", "objects")), speaks];
        let unread = backup.unread.as_ref().map(|failure| format!(" Content not read: {}", cut(&failure.message, 300))).unwrap_or_default();
        Self {
            name: shown(&backup.name),
            of: of.into_iter().flatten().collect::<Vec<_>>().join(", "),
            chip: if backup.state.usable() && backup.unread.is_some() { Chip::unknown("content unread") } else { Chip::backup(backup.state) },
            start: When::new(now, backup.start, "not started"),
            expires: When::new(now, backup.expires, "never"),
            objects: objects.into_iter().flatten().collect(),
            why: format!("{}{unread}", cut(&backup.why, 300)),
        }
    }
}

/// A schedule.
pub struct ScheduleRow {
    /// Name.
    pub name: String,
    /// Cron expression.
    pub cron: String,
    /// State.
    pub chip: Chip,
    /// Start of its newest usable backup.
    pub last: When,
    /// Next due.
    pub next: When,
    /// What is wrong with it.
    pub problem: String,
}

impl ScheduleRow {
    pub(super) fn new(schedule: &ScheduleReport, now: Timestamp) -> Self {
        let late = schedule.last_usable_start.zip(schedule.interval_seconds);
        let late = late.is_some_and(|(last, every)| super::super::text::age(now, last) > 2 * i64::try_from(every).unwrap_or(i64::MAX / 2));
        Self {
            name: shown(&schedule.name),
            cron: cut(&schedule.cron, 80),
            chip: match (&schedule.problem, schedule.paused, schedule.last_usable_start) {
                (Some(_), ..) => Chip::bad("broken"),
                (None, true, _) => Chip::warn("paused"),
                (None, false, None) => Chip::bad("no usable backup"),
                (None, false, Some(_)) if late => Chip::bad("late"),
                (None, false, Some(_)) => Chip::good("on time"),
            },
            last: When::new(now, schedule.last_usable_start, "none"),
            next: When::new(now, schedule.next_due, "not due"),
            problem: schedule.problem.as_ref().map(|p| cut(p, 300)).unwrap_or_default(),
        }
    }
}

/// A storage location.
pub struct LocationRow {
    /// Name.
    pub name: String,
    /// State.
    pub chip: Chip,
    /// Default, read-only, and why it is not available.
    pub about: String,
}

impl LocationRow {
    pub(super) fn new(location: &LocationReport) -> Self {
        let about = [
            location.default.then(|| "default".to_owned()),
            location.read_only.then(|| "read-only".to_owned()),
            location.message.as_ref().map(|m| cut(m, 300)),
        ];
        Self {
            name: shown(&location.name),
            chip: if location.available { Chip::good("available") } else { Chip::bad("unavailable") },
            about: about.into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }
}

/// An app.
pub struct AppRow {
    /// Name.
    pub name: String,
    /// Leads to the page filtered by it.
    pub href: String,
    /// Layer.
    pub layer: &'static str,
    /// Source, folder and renderer.
    pub of: String,
    /// Commit that it was rendered from.
    pub revision: String,
    /// When.
    pub rendered: When,
    /// State.
    pub chip: Chip,
    /// Counts in words.
    pub objects: String,
    /// Why the newest attempt failed.
    pub failure: String,
    /// What a person should know about its files.
    pub diagnostics: Vec<String>,
    /// Diagnostics that are not shown.
    pub more_diagnostics: usize,
}

impl AppRow {
    pub(super) fn new(app: &AppReport, now: Timestamp) -> Self {
        let drifted: u64 = app.drift.iter().filter(|(drift, _)| drift.is_drift()).map(|(_, n)| n).sum();
        let unknown = app.drift.get(&Drift::Unknown).copied().unwrap_or_default();
        let mut objects = vec![count(app.objects, "object", "objects")];
        for (n, word) in [(drifted, "drifted"), (unknown, "unknown"), (app.suppressed, "differences left out")] {
            if n > 0 {
                objects.push(format!("{n} {word}"));
            }
        }
        let renderer = app.render.as_ref().map(|r| r.tool.as_ref().unwrap_or(&r.renderer));
        let of = [Some(shown(&app.source.0)), Some(cut(&app.path, 200)).filter(|p| !p.is_empty()), renderer.map(|r| shown(r))];
        let line = |d: &crate::witness::Diagnostic| {
            let line = d.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line}: {}", cut(&d.file, 200), cut(&d.message, 300))
        };
        Self {
            name: shown(&app.name.0),
            href: format!("/?{}", url::form_urlencoded::Serializer::new(String::new()).append_pair("app", &app.name.0).finish()),
            layer: app.layer.name(),
            of: of.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            revision: app.revision.as_deref().map(short).unwrap_or_default(),
            rendered: When::new(now, app.rendered_at, "never"),
            chip: match (&app.failure, app.rendered_at) {
                (Some(_), _) => Chip::unknown("render fails"),
                (None, None) => Chip::unknown("not rendered yet"),
                (None, Some(_)) => Chip::good("rendered"),
            },
            objects: objects.join(", "),
            failure: app.failure.as_ref().map(|f| cut(&f.message, 600)).unwrap_or_default(),
            diagnostics: app.diagnostics.iter().take(super::ROWS).map(line).collect(),
            more_diagnostics: app.diagnostics.len().saturating_sub(super::ROWS),
        }
    }
}

/// A source.
pub struct SourceRow {
    /// Name.
    pub name: String,
    /// Location and ref.
    pub of: String,
    /// The tip.
    pub tip: Option<CommitCell>,
    /// When it was last confirmed.
    pub as_of: When,
    /// State.
    pub chip: Chip,
    /// Why the newest attempt failed.
    pub failure: String,
}

impl SourceRow {
    pub(super) fn new(source: &SourceReport, now: Timestamp) -> Self {
        Self {
            name: shown(&source.name.0),
            of: format!("{} @ {}", cut(&source.location, 200), cut(&source.reference, 80)),
            tip: source.tip.as_ref().map(|tip| CommitCell::new(tip, now)),
            as_of: When::new(now, source.as_of, "never"),
            chip: match (&source.failure, &source.tip) {
                (Some(_), _) => Chip::unknown("fetch fails"),
                (None, None) => Chip::unknown("not read yet"),
                (None, Some(_)) => Chip::good("read"),
            },
            failure: source.failure.as_ref().map(|f| cut(&f.message, 600)).unwrap_or_default(),
        }
    }
}

/// What a rule left out.
pub struct SuppressedRow {
    /// The rule.
    pub rule: String,
    /// Why it exists.
    pub reason: String,
    /// Counts in words.
    pub counts: String,
}

impl SuppressedRow {
    pub(super) fn new(rule: &Suppressed) -> Self {
        let counts = format!("{} on {}", count(rule.fields, "field", "fields"), count(rule.objects, "object", "objects"));
        Self { rule: shown(&rule.rule), reason: cut(&rule.reason, 300), counts }
    }
}
