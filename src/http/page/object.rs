//! The evidence page of one object. pure

use askama::Template;
use jiff::Timestamp;

use super::{
    STYLE,
    home::{FieldRow, ROWS},
    text::{Chip, CommitCell, ObjectCell, When, absolute, backup_href, cut, object_query, shown},
};
use crate::report::{
    Report,
    evidence::{Diff, Evidence},
    model::{Basis, ObjectReport, Presence, VolumeEvidence, VolumeReport},
};

/// Lines of one diff at most; the rest is in the API.
pub const MAX_LINES: usize = 4000;
/// Fields at most; the rest is in the API.
const MAX_FIELDS: usize = 500;

/// A line of a diff.
pub struct Line {
    /// `add`, `del`, `hunk` or empty.
    pub class: &'static str,
    /// The line, with its sign.
    pub text: String,
}

/// A diff as shown.
pub struct DiffView {
    /// The two sides.
    pub title: String,
    /// Lines; none if the sides are the same.
    pub lines: Vec<Line>,
    /// Lines that are not shown.
    pub more: usize,
}

impl DiffView {
    fn new(diff: &Diff) -> Self {
        let class = |line: &str| match line.as_bytes().first() {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => "hunk",
            Some(b'+') => "add",
            Some(b'-') => "del",
            Some(b'@') => "hunk",
            _ => "",
        };
        let lines = diff.text.lines().take(MAX_LINES).map(|line| Line { class: class(line), text: cut(line, 2000) }).collect();
        Self { title: shown(&diff.title), lines, more: diff.text.lines().count().saturating_sub(MAX_LINES) }
    }
}

/// The bytes of a claim, which are another question than its manifest.
pub struct BytesView {
    /// Who keeps them.
    pub chip: Chip,
    /// Why, and what to do.
    pub why: String,
    /// Other tools that are set up for them.
    pub elsewhere: Vec<String>,
    /// What each backup says of them.
    pub backups: Vec<BytesRow>,
}

/// What one backup says of the bytes of a claim.
pub struct BytesRow {
    /// The backup.
    pub backup: String,
    /// Its row on the first page.
    pub href: String,
    /// What it is good for.
    pub chip: Chip,
    /// How they were to be kept, how that ended, how many there are, and why not, if not.
    pub said: String,
    /// When they were taken.
    pub at: When,
}

impl BytesView {
    fn new(volume: &VolumeReport, now: Timestamp) -> Self {
        let row = |e: &VolumeEvidence| {
            let said = [
                e.method.map(|m| m.words().to_owned()),
                Some(e.outcome.map_or("says nothing of it", |o| o.words()).to_owned()),
                e.bytes.map(super::home::bytes),
                e.message.as_ref().map(|m| cut(m, 400)),
            ];
            BytesRow {
                backup: shown(&e.backup),
                href: backup_href(&e.backup),
                chip: Chip::backup(e.state),
                said: said.into_iter().flatten().collect::<Vec<_>>().join(", "),
                at: When::new(now, e.at, ""),
            }
        };
        Self {
            chip: Chip::volume(volume.state),
            why: shown(&volume.why),
            elsewhere: volume.elsewhere.iter().map(|h| format!("{}: {}", shown(&h.tool), cut(&h.detail, 400))).collect(),
            backups: volume.evidence.iter().take(ROWS).map(row).collect(),
        }
    }
}

/// One witness.
pub struct SideRow {
    /// The witness.
    pub name: &'static str,
    /// What it says.
    pub chip: Chip,
    /// Why it could not be judged, or what it is known from.
    pub about: Vec<String>,
    /// Where that is told: the row of the backup that speaks for it.
    pub href: Option<String>,
}

/// The window of the object.
pub struct WindowView {
    /// When the content landed, as an interval with its basis.
    pub start: String,
    /// Why the backup differs.
    pub cause: String,
    /// When it should close.
    pub closes: When,
    /// All commits.
    pub commits: Vec<CommitCell>,
}

/// The evidence page.
#[derive(Template)]
#[template(path = "object.html")]
pub struct ObjectPage {
    object: ObjectCell,
    version: String,
    drift: Chip,
    recovery: Chip,
    since: Option<When>,
    why: String,
    place: String,
    sides: Vec<SideRow>,
    window: Option<WindowView>,
    bytes: Option<BytesView>,
    fields: Vec<FieldRow>,
    more_fields: usize,
    suppressed: u32,
    evidence: bool,
    facts: Vec<(String, String)>,
    diffs: Vec<DiffView>,
    notes: Vec<String>,
    made: When,
    api: String,
}

impl ObjectPage {
    /// The page of an object of a report, with the evidence that there is, as read at `now`.
    pub fn new(object: &ObjectReport, evidence: Option<&Evidence>, report: &Report, now: Timestamp) -> Self {
        let line = object.line.map(|line| format!(", line {line}")).unwrap_or_default();
        Self {
            object: ObjectCell::new(&object.id, object.app.as_ref(), object.layer),
            version: if object.id.gk.group.is_empty() {
                shown(&object.version)
            } else {
                format!("{}/{}", shown(&object.id.gk.group), shown(&object.version))
            },
            drift: Chip::drift_of(object),
            recovery: Chip::recovery(object.recovery),
            since: object.drift_since.filter(|_| object.drift.is_drift()).map(|at| When::new(now, Some(at), "")),
            why: shown(&object.why),
            place: object.file.as_ref().map(|file| format!("{}{line}", shown(file))).unwrap_or_default(),
            sides: sides(object),
            window: object.window.as_ref().map(|window| WindowView {
                start: window.start.map_or_else(
                    || "before known history".to_owned(),
                    |start| {
                        let basis = match start.basis {
                            Basis::Observed => "seen arriving between two polls",
                            Basis::Merge => "date of the merge",
                            Basis::Commit => "date of the commit, which may have been pushed later",
                        };
                        let (from, to) = (absolute(start.not_before), absolute(start.not_after));
                        if from == to { format!("{to} ({basis})") } else { format!("between {from} and {to} ({basis})") }
                    },
                ),
                cause: super::home::cause(&window.cause, now),
                closes: When::new(now, window.closes_at, "no backup is due"),
                commits: window.commits.iter().take(200).map(|commit| CommitCell::new(commit, now)).collect(),
            }),
            bytes: report.volumes.iter().find(|volume| super::home::claim(volume) == object.id).map(|volume| BytesView::new(volume, now)),
            fields: object.fields.iter().take(MAX_FIELDS).map(|field| FieldRow::new(field, now)).collect(),
            more_fields: object.fields.len().saturating_sub(MAX_FIELDS),
            suppressed: object.suppressed,
            evidence: evidence.is_some(),
            facts: evidence.map(|e| e.facts.iter().map(|f| (shown(&f.label), cut(&f.value, 2000))).collect()).unwrap_or_default(),
            diffs: evidence.map(|e| e.diffs.iter().map(DiffView::new).collect()).unwrap_or_default(),
            notes: evidence.map(|e| e.notes.iter().map(|n| shown(n)).collect()).unwrap_or_default(),
            made: When::new(now, Some(report.now), ""),
            api: format!("/api/v1/object?{}", object_query(&object.id)),
        }
    }

    fn style(&self) -> &'static str {
        STYLE
    }
}

fn sides(object: &ObjectReport) -> Vec<SideRow> {
    use crate::report::model::Side;
    let row = |name: &'static str, side: Side, presence: Presence, known_from: String| {
        let mut about: Vec<String> = object.unknown.iter().filter(|u| u.side == side).map(|u| shown(&u.message)).collect();
        if about.is_empty() && !known_from.is_empty() {
            about.push(known_from);
        }
        let chip = match presence {
            Presence::Present => Chip::plain("present"),
            Presence::Absent => Chip::plain("absent"),
            Presence::Unknown => Chip::unknown("unknown"),
        };
        let href = object.backup.as_deref().filter(|_| side == Side::Backup).map(backup_href);
        SideRow { name, chip, about, href }
    };
    let git = object.source.as_ref().map(|source| format!("source {}", shown(&source.0))).unwrap_or_default();
    let backup = object.backup.as_ref().map(|name| format!("backup {} speaks for it", shown(name))).unwrap_or_default();
    vec![
        row("Git", Side::Git, object.sides.git, git),
        row("Cluster", Side::Cluster, object.sides.cluster, String::new()),
        row("Backup", Side::Backup, object.sides.backup, backup),
    ]
}
