//! The first page: windows, what would be lost, drift, what would come back, unknown, backups, apps. pure

mod rows;

use std::collections::BTreeSet;

use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

pub use rows::{AppRow, BackupRow, CauseRow, DriftRow, FieldRow, LostRow, OpenRow, ScheduleRow, SourceRow, WindowRow};
pub(in crate::http::page) use rows::{bytes, cause, claim};

use super::{
    STYLE,
    headline::Headline,
    text::{When, cut, shown},
};
use crate::{
    config::{AppName, Layer},
    report::{
        Report,
        groups::backups::unfiltered,
        model::{Disagreement, DisagreementReport, ObjectReport, Recovery, VolumeReport, WindowScope, WindowState},
    },
    words::count,
};

/// Rows of a section before "show all".
pub const ROWS: usize = 25;
/// Rows of a section at most.
pub const MAX_ROWS: usize = 2000;

/// What the reader asked for, from the query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only this app.
    pub app: Option<String>,
    /// Only this layer.
    pub layer: Option<String>,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// The section to show all of.
    pub show: Option<String>,
    /// Reload every so many seconds.
    pub refresh: Option<u32>,
}

impl Query {
    /// Empty fields of the form mean "any".
    fn tidy(mut self) -> Self {
        for field in [&mut self.app, &mut self.layer, &mut self.namespace, &mut self.show] {
            *field = field.take().filter(|text| !text.is_empty());
        }
        self.refresh = self.refresh.map(|seconds| seconds.clamp(5, 3600));
        self
    }

    fn filters(&self) -> bool {
        self.app.is_some() || self.layer.is_some() || self.namespace.is_some()
    }

    fn admits(&self, object: &ObjectReport) -> bool {
        self.app.as_deref().is_none_or(|app| object.app.as_ref().is_some_and(|a| &*a.0 == app))
            && self.layer.as_deref().is_none_or(|layer| object.layer.name() == layer)
            && self.namespace.as_deref().is_none_or(|namespace| object.id.namespace.as_deref() == Some(namespace))
    }

    /// Claims belong to a layer and a namespace; no app is asked.
    fn admits_claim(&self, volume: &VolumeReport) -> bool {
        self.app.is_none()
            && self.layer.as_deref().is_none_or(|layer| volume.layer.name() == layer)
            && self.namespace.as_deref().is_none_or(|namespace| &*volume.namespace == namespace)
    }

    fn href(&self, show: Option<&str>, refresh: Option<u32>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("app", self.app.as_deref()), ("layer", self.layer.as_deref()), ("namespace", self.namespace.as_deref()), ("show", show)]
        {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        if let Some(seconds) = refresh {
            query.append_pair("refresh", &seconds.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/".into() } else { format!("/?{query}") }
    }
}

/// One section's rows, capped.
pub struct Section<T> {
    /// Rows that are shown.
    pub rows: Vec<T>,
    /// Rows that there are.
    pub total: usize,
    /// Where all of them are shown, if not here.
    pub all: Option<String>,
}

/// A number that leads to its section.
pub struct Tile {
    /// The number.
    pub value: u64,
    /// What it counts.
    pub label: &'static str,
    /// Colour: the same classes as chips.
    pub class: &'static str,
    /// The section.
    pub href: &'static str,
}

/// A choice of the filter form.
pub struct Choice {
    /// Value and text.
    pub value: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// What looks like everything and is not.
pub struct Trap {
    /// The schedule or backup.
    pub name: String,
    /// What it leaves out, and the line that heals it.
    pub text: String,
}

/// One line of what the page is as of.
pub struct AsOfRow {
    /// The witness.
    pub name: String,
    /// When it was last known to be true.
    pub at: When,
    /// Why the newest attempt failed; empty if it did not.
    pub failure: String,
}

/// The first page.
#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    headline: Headline,
    tiles: Vec<Tile>,
    made: When,
    as_of: Vec<AsOfRow>,
    failing: bool,
    apps_choice: Vec<Choice>,
    layers_choice: Vec<Choice>,
    namespaces: Vec<String>,
    namespace: String,
    filtered: bool,
    refresh: Option<u32>,
    refresh_on: String,
    refresh_off: String,
    windows: Vec<WindowRow>,
    volumes: Section<rows::VolumeRow>,
    /// Whether nobody keeps the bytes of some claim: then volumes stand before everything else.
    bare_claims: bool,
    restores: Section<rows::RestoreRow>,
    proofs: Vec<rows::ProofRow>,
    open: Section<OpenRow>,
    lost: Section<LostRow>,
    drift: Section<DriftRow>,
    resurrected: Section<LostRow>,
    unknown: Section<CauseRow>,
    unknown_objects: usize,
    blind: Vec<rows::BlindRow>,
    blind_quiet: usize,
    backups: Section<BackupRow>,
    mismatches: Section<rows::MismatchRow>,
    traps: Vec<Trap>,
    schedules: Vec<ScheduleRow>,
    locations: Vec<rows::LocationRow>,
    apps: Vec<AppRow>,
    sources: Vec<SourceRow>,
    suppressed: Vec<rows::SuppressedRow>,
    notes: Vec<String>,
    objects: String,
    version: &'static str,
}

impl Home {
    /// The page of a report as read at `now`.
    pub fn new(report: &Report, query: Query, now: Timestamp) -> Self {
        let query = query.tidy();
        let found = Found::new(report, &query);
        let causes = CauseRow::group(&found.unknown, query.show.as_deref() == Some("unknown"));
        let tiles = found.tiles(report, &query);
        let claims: Vec<_> = rows::by_urgency(&report.volumes).into_iter().filter(|v| query.admits_claim(v)).collect();
        let as_of = as_of(report, now);
        let there = Apps::new(report, &query);
        Self {
            headline: Headline::new(report, now),
            tiles,
            made: When::new(now, Some(report.now), ""),
            failing: as_of.iter().any(|row| !row.failure.is_empty()),
            as_of,
            apps_choice: choices(report.apps.iter().map(|app| &*app.name.0), query.app.as_deref()),
            layers_choice: choices(Layer::ALL.into_iter().map(Layer::name), query.layer.as_deref()),
            namespaces: namespaces(report),
            namespace: query.namespace.clone().unwrap_or_default(),
            filtered: query.filters(),
            refresh: query.refresh,
            refresh_on: query.href(query.show.as_deref(), Some(15)),
            refresh_off: query.href(query.show.as_deref(), None),
            windows: windows(report, &query, &there, now),
            bare_claims: claims.iter().any(|v| v.is_unprotected()),
            volumes: section(claims, "volumes", &query, |v| rows::VolumeRow::new(v, now)),
            restores: section(report.restores.iter().collect(), "restores", &query, |r| rows::RestoreRow::new(r, now)),
            proofs: report.proofs.iter().filter_map(|p| rows::ProofRow::new(p, now)).collect(),
            open: section(found.open, "open", &query, |o| OpenRow::new(o, now)),
            lost: section(found.lost, "lost", &query, |o| LostRow::new(o, now)),
            drift: section(found.drifted, "drift", &query, |o| DriftRow::new(o, now)),
            resurrected: section(found.resurrected, "resurrected", &query, |o| LostRow::new(o, now)),
            unknown_objects: found.unknown.len(),
            unknown: Section {
                total: causes.len(),
                all: CauseRow::any_cut(&causes).then(|| query.href(Some("unknown"), query.refresh)),
                rows: causes,
            },
            blind: report.blind_spots.iter().filter(|spot| spot.matters).map(rows::BlindRow::new).collect(),
            blind_quiet: report.blind_spots.iter().filter(|spot| !spot.matters).count(),
            backups: section(report.backups.iter().collect(), "backups", &query, |b| BackupRow::new(b, now)),
            traps: unfiltered(report).into_iter().map(|(name, text)| Trap { name: shown(&name), text: cut(&text, 600) }).collect(),
            mismatches: section(mismatches(report, &query), "mismatches", &query, |(d, o)| rows::MismatchRow::new(d, o, now)),
            schedules: report.schedules.iter().map(|s| ScheduleRow::new(s, now)).collect(),
            locations: report.locations.iter().map(rows::LocationRow::new).collect(),
            apps: report.apps.iter().filter(|a| there.admits(&a.name, a.layer)).map(|a| AppRow::new(a, now)).collect(),
            sources: report.sources.iter().map(|s| SourceRow::new(s, now)).collect(),
            suppressed: report.suppressed.iter().map(rows::SuppressedRow::new).collect(),
            notes: report.notes.iter().map(|note| shown(&note.message)).collect(),
            objects: count(report.summary.objects, "object", "objects"),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn style(&self) -> &'static str {
        STYLE
    }
}

/// Objects on which the newest backups and their specs disagree. Who declares them is not asked here, but where they lie is.
fn mismatches<'a>(report: &'a Report, query: &Query) -> Vec<(&'a DisagreementReport, &'a Disagreement)> {
    let admits = |o: &&Disagreement| query.namespace.as_deref().is_none_or(|namespace| o.id.namespace.as_deref() == Some(namespace));
    report.disagreements.iter().filter(|d| d.newest).flat_map(|d| d.objects.iter().filter(admits).map(move |o| (d, o))).collect()
}

/// The apps that pass the filter. One has to do with a namespace if it is meant for it or if anything of it lies there.
struct Apps<'a> {
    query: &'a Query,
    in_namespace: BTreeSet<&'a AppName>,
}

impl<'a> Apps<'a> {
    fn new(report: &'a Report, query: &'a Query) -> Self {
        let meant = report.apps.iter().filter(|app| app.namespace.is_some() && app.namespace.as_deref() == query.namespace.as_deref());
        let there = report.objects.iter().filter(|o| o.id.namespace.is_some() && o.id.namespace.as_deref() == query.namespace.as_deref());
        Self { query, in_namespace: meant.map(|app| &app.name).chain(there.filter_map(|o| o.app.as_ref())).collect() }
    }

    fn admits(&self, name: &AppName, layer: Layer) -> bool {
        self.query.app.as_deref().is_none_or(|app| app == &*name.0)
            && self.query.layer.as_deref().is_none_or(|l| l == layer.name())
            && (self.query.namespace.is_none() || self.in_namespace.contains(name))
    }
}

/// Roll-ups that pass the filter. That of a layer is over all its namespaces and apps, so it says nothing of one of them.
fn windows(report: &Report, query: &Query, there: &Apps, now: Timestamp) -> Vec<WindowRow> {
    let layer_of = |name: &AppName| report.apps.iter().find(|a| a.name == *name).map(|a| a.layer);
    let whole = query.app.is_none() && query.namespace.is_none();
    let admit = |scope: &WindowScope| match scope {
        WindowScope::Cluster => false,
        WindowScope::Layer(layer) => whole && query.layer.as_deref().is_none_or(|l| l == layer.name()),
        WindowScope::App(app) => there.admits(app, layer_of(app).unwrap_or(Layer::Apps)),
    };
    let mut rollups: Vec<_> = report.windows.iter().filter(|w| admit(&w.of)).collect();
    // Layers from the bottom; apps worst first, of open ones the oldest.
    rollups.sort_by_key(|w| match (&w.of, w.state) {
        (WindowScope::Cluster | WindowScope::Layer(_), _) => (0, None),
        (WindowScope::App(_), WindowState::Open) => (if w.over_objective { 1 } else { 3 }, w.start.map(|start| start.not_after)),
        (WindowScope::App(_), WindowState::None) => (2, None),
        (WindowScope::App(_), WindowState::Unknown) => (4, None),
        (WindowScope::App(_), WindowState::Closed) => (5, None),
    });
    rollups.into_iter().map(|w| WindowRow::new(w, now)).collect()
}

fn section<I, T>(items: Vec<I>, name: &str, query: &Query, row: impl Fn(I) -> T) -> Section<T> {
    let total = items.len();
    let cap = if query.show.as_deref() == Some(name) { MAX_ROWS } else { ROWS };
    let all = (total > cap && cap == ROWS).then(|| format!("{}#{name}", query.href(Some(name), query.refresh)));
    Section { rows: items.into_iter().take(cap).map(row).collect(), total, all }
}

fn choices<'a>(values: impl Iterator<Item = &'a str>, chosen: Option<&str>) -> Vec<Choice> {
    values.map(|value| Choice { value: value.to_owned(), chosen: chosen == Some(value) }).collect()
}

/// Suggestions for the namespace field.
fn namespaces(report: &Report) -> Vec<String> {
    let all: std::collections::BTreeSet<&str> = report.summary.coverage.iter().map(|cell| &*cell.namespace).filter(|n| !n.is_empty()).collect();
    all.into_iter().take(500).map(str::to_owned).collect()
}

fn as_of(report: &Report, now: Timestamp) -> Vec<AsOfRow> {
    let row = |name: String, age: &crate::report::model::StageAge| AsOfRow {
        name,
        at: When::new(now, age.at, "never read"),
        failure: age.failure.as_ref().map(|failure| shown(&failure.message)).unwrap_or_default(),
    };
    let git = report.as_of.git.iter().map(|(name, age)| row(format!("Git {}", shown(&name.0)), age));
    git.chain([row("Cluster".into(), &report.as_of.cluster), row("Backups".into(), &report.as_of.backups)]).collect()
}

/// The findings that pass the filter, in the order in which they are shown.
struct Found<'a> {
    open: Vec<&'a ObjectReport>,
    lost: Vec<&'a ObjectReport>,
    drifted: Vec<&'a ObjectReport>,
    resurrected: Vec<&'a ObjectReport>,
    unknown: Vec<&'a ObjectReport>,
}

impl<'a> Found<'a> {
    fn new(report: &'a Report, query: &Query) -> Self {
        let objects = || report.objects.iter().filter(|object| query.admits(object));
        let with = |recoveries: &[Recovery]| {
            let mut found: Vec<_> = objects().filter(|o| recoveries.contains(&o.recovery)).collect();
            found.sort_by_key(|o| (recoveries.iter().position(|r| *r == o.recovery), &o.id));
            found
        };
        // Longest first; what has no known beginning comes last.
        let mut drifted: Vec<_> = objects().filter(|o| o.drift.is_drift()).collect();
        drifted.sort_by_key(|o| (o.drift_since.is_none(), o.drift_since, &o.id));
        let start = |o: &ObjectReport| o.window.as_ref().and_then(|w| w.start).map(|s| s.not_after);
        let mut open = with(&[Recovery::Split]);
        open.sort_by_key(|o| (start(o).is_none(), start(o), &o.id));
        Self {
            open,
            lost: with(&[Recovery::Lost, Recovery::BackupStale]),
            drifted,
            resurrected: with(&[Recovery::Resurrected]),
            unknown: objects().filter(|o| o.is_unknown()).collect(),
        }
    }

    /// The numbers on top. Without a filter the clean ones come from the summary, which counts them even where they are not listed.
    fn tiles(&self, report: &Report, query: &Query) -> Vec<Tile> {
        let clean = if query.filters() {
            report.objects.iter().filter(|o| query.admits(o) && !o.is_finding()).count() as u64
        } else {
            report.summary.objects.saturating_sub(report.objects.iter().filter(|o| o.is_finding()).count() as u64)
        };
        let tile = |value: usize, label, class, href| Tile { value: value as u64, label, class: if value == 0 { "quiet" } else { class }, href };
        let nobody = self.lost.iter().filter(|o| o.recovery == Recovery::Lost).count();
        let bare = report.volumes.iter().filter(|v| v.is_unprotected() && query.admits_claim(v)).count();
        vec![
            tile(bare, "volumes that nobody keeps", "bad", "#volumes"),
            tile(self.open.len(), "newer in Git than in a backup", "warn", "#open"),
            tile(nobody, "held by nobody else", "bad", "#lost"),
            tile(self.lost.len() - nobody, "in a stale backup only", "warn", "#lost"),
            tile(self.drifted.len(), "drifted", "warn", "#drift"),
            tile(self.resurrected.len(), "would come back", "warn", "#resurrected"),
            tile(self.unknown.len(), "unknown", "unknown", "#unknown"),
            Tile { value: clean, label: "nothing to act on", class: "plain", href: "#apps" },
        ]
    }
}

#[cfg(test)]
mod tests;
