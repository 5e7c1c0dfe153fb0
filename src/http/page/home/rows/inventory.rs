//! One row of each section of the first page that shows what there is: backups, schedules, apps, sources. pure

use jiff::Timestamp;

use crate::config::Layer;
use crate::http::page::{
    home::ROWS,
    text::{Chip, CommitCell, ObjectCell, When, anchor, api_href, backup_href, cut, short, shown},
};
use crate::report::groups::backups::retention_gap;
use crate::report::model::{
    AppReport, BackupReport, BlindSpot, Disagreement, DisagreementReport, Drift, LocationReport, Mismatch, ScheduleReport, ScheduleState,
    SourceReport, Suppressed,
};
use crate::witness::BackupState;
use crate::words::count;

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
    pub(in crate::http::page) fn new(spot: &BlindSpot) -> Self {
        Self { what: shown(&spot.what), reason: shown(&spot.reason), message: cut(&spot.message, 600) }
    }
}

/// A backup.
pub struct BackupRow {
    /// Name.
    pub name: String,
    /// Marks its row, so that others can lead to it.
    pub anchor: String,
    /// All that is known of it, as JSON.
    pub href: String,
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
    pub(in crate::http::page) fn new(backup: &BackupReport, now: Timestamp) -> Self {
        let of = [backup.schedule.as_ref().map(|s| format!("schedule {}", shown(s))), backup.location.as_ref().map(|l| format!("in {}", shown(l)))];
        let role = if backup.state.usable() { "newest usable for" } else { "would speak for" };
        let speaks = (backup.speaks_for > 0).then(|| format!("{role} {}", backup.speaks_for));
        let objects = [backup.objects.map(|n| count(n, "object", "objects")), speaks];
        let unread = backup.unread.as_ref().map(|failure| format!(" Content not read: {}", cut(&failure.message, 300))).unwrap_or_default();
        Self {
            name: shown(&backup.name),
            anchor: anchor("backup", &backup.name),
            href: api_href("backup", &backup.name),
            of: of.into_iter().flatten().collect::<Vec<_>>().join(", "),
            chip: if backup.state.usable() && backup.unread.is_some() { Chip::unknown("content unread") } else { Chip::backup(backup.state) },
            start: When::new(now, backup.start, "not started"),
            expires: When::new(now, backup.expires, "never"),
            objects: objects.into_iter().flatten().collect(),
            why: format!("{}{unread}", cut(&backup.why, 300)),
        }
    }
}

/// An object on which a backup's content and spec disagree.
pub struct MismatchRow {
    /// The object.
    pub object: ObjectCell,
    /// In which way.
    pub chip: Chip,
    /// The backup.
    pub backup: String,
    /// Its row.
    pub href: String,
    /// When it began.
    pub start: When,
    /// What was expected, and what most likely happened.
    pub why: String,
}

impl MismatchRow {
    pub(in crate::http::page) fn new(of: &DisagreementReport, object: &Disagreement, now: Timestamp) -> Self {
        Self {
            object: ObjectCell::new(&object.id, None, Layer::Apps),
            chip: match object.mismatch {
                Mismatch::MissingFromBackup => Chip::bad("missing"),
                Mismatch::UnexpectedInBackup => Chip::warn("unexpected"),
            },
            backup: shown(&of.backup),
            href: backup_href(&of.backup),
            start: When::new(now, of.start, "not started"),
            why: cut(&object.why, 400),
        }
    }
}

/// A schedule.
pub struct ScheduleRow {
    /// Name.
    pub name: String,
    /// Marks its row.
    pub anchor: String,
    /// All that is known of it and its backups, as JSON.
    pub href: String,
    /// Cron expression.
    pub cron: String,
    /// State.
    pub chip: Chip,
    /// The same in a sentence.
    pub why: String,
    /// Start of its newest usable backup.
    pub last: When,
    /// Next due.
    pub next: When,
    /// How long there is no backup, and who takes the same.
    pub more: Vec<String>,
}

impl ScheduleRow {
    pub(in crate::http::page) fn new(schedule: &ScheduleReport, now: Timestamp) -> Self {
        let covered = schedule.covered_by.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        let covered = (!covered.is_empty()).then(|| format!("Everything that it takes is taken by {covered} too."));
        let gap = retention_gap(schedule).map(|gap| format!("Retention: {gap}."));
        Self {
            name: shown(&schedule.name),
            anchor: anchor("schedule", &schedule.name),
            href: api_href("schedule", &schedule.name),
            cron: cut(&schedule.cron, 80),
            chip: match schedule.state {
                ScheduleState::OnTime if schedule.last_run_state == Some(BackupState::Degraded) => Chip::warn("partially failed"),
                ScheduleState::OnTime => Chip::good("on time"),
                ScheduleState::Waiting => Chip::plain("waiting"),
                ScheduleState::Paused => Chip::warn("paused"),
                ScheduleState::Refused => Chip::bad("refused"),
                ScheduleState::NeverRan => Chip::bad("never ran"),
                ScheduleState::Overdue => Chip::bad("overdue"),
                ScheduleState::Failing => Chip::bad("failing"),
                ScheduleState::NoUsableBackup => Chip::bad("no usable backup"),
            },
            why: cut(&schedule.why, 400),
            last: When::new(now, schedule.last_usable_start, "none"),
            next: When::new(now, schedule.next_due, "not due"),
            more: gap.into_iter().chain(covered).collect(),
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
    pub(in crate::http::page) fn new(location: &LocationReport) -> Self {
        let about = [
            location.default.then(|| "default".to_owned()),
            location.read_only.then(|| "read-only".to_owned()),
            location.message.as_ref().map(|m| cut(m, 300)),
        ];
        Self {
            name: shown(&location.name),
            chip: match (location.available, location.stale) {
                (true, true) => Chip::unknown("not looked at"),
                (true, false) => Chip::good("available"),
                (false, _) => Chip::bad("unavailable"),
            },
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
    pub(in crate::http::page) fn new(app: &AppReport, now: Timestamp) -> Self {
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
            diagnostics: app.diagnostics.iter().take(ROWS).map(line).collect(),
            more_diagnostics: app.diagnostics.len().saturating_sub(ROWS),
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
    pub(in crate::http::page) fn new(source: &SourceReport, now: Timestamp) -> Self {
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
    pub(in crate::http::page) fn new(rule: &Suppressed) -> Self {
        let counts = format!("{} on {}", count(rule.fields, "field", "fields"), count(rule.objects, "object", "objects"));
        Self { rule: shown(&rule.rule), reason: cut(&rule.reason, 300), counts }
    }
}
