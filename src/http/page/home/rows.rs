//! One row of each section of the first page that shows findings. pure

mod inventory;
mod protection;

use jiff::Timestamp;

use super::super::{
    headline::open_for,
    text::{Chip, CommitCell, ObjectCell, When, cut, short, shown},
};
pub use inventory::{AppRow, BackupRow, BlindRow, LocationRow, MismatchRow, ScheduleRow, SourceRow, SuppressedRow};
pub(super) use protection::by_urgency;
pub use protection::{ProofRow, RestoreRow, VolumeRow};
pub(in crate::http::page) use protection::{bytes, claim};

use crate::{
    report::{
        confirm,
        model::{Cause, FieldReport, ObjectReport, Side, Stage, WindowRollup, WindowScope, WindowState},
    },
    words::span,
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
            chip: Chip::drift_of(object),
            since: When::new(now, object.drift_since, "onset not known"),
            why: match object.confirmed.as_ref().and_then(confirm::hint) {
                Some(hint) => cut(&format!("{}. {hint}", object.why), 600),
                None => cut(&object.why, 400),
            },
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
                side: side.map_or("verdict", Side::word),
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
