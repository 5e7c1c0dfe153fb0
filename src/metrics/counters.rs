//! What only grows: our own work, counted. pure
//!
//! No label value is free: enums, or words folded into bounded sets ([`super::table::bounded`]). Series of sources, apps and locations are
//! made with 0 when a report first names them and dropped when it no longer does.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::table::{self, Family};
use crate::{
    config::{AppName, SourceName},
    object::{ObjectId, Text},
    report::{
        Report,
        model::{Drift, WindowScope, WindowState},
    },
};

/// A phase of the work, as a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Asking a source for its tip and fetching it.
    Fetch,
    /// Rendering an app.
    Render,
    /// Reading the cluster.
    List,
    /// Reading Velero's objects and archives.
    BackupRead,
    /// Joining the witnesses.
    Compare,
}

impl Phase {
    /// All phases, in the order of the work.
    pub const ALL: [Self; 5] = [Self::Fetch, Self::Render, Self::List, Self::BackupRead, Self::Compare];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Render => "render",
            Self::List => "list",
            Self::BackupRead => "backup_read",
            Self::Compare => "compare",
        }
    }

    /// The phase of a stage, by the stage's kind.
    pub fn of_stage(kind: &str) -> Option<Self> {
        match kind {
            "git" => Some(Self::Fetch),
            "render" => Some(Self::Render),
            "cluster" => Some(Self::List),
            "backups" => Some(Self::BackupRead),
            "verdict" => Some(Self::Compare),
            _ => None,
        }
    }
}

/// A verb of the Kubernetes API, as a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// A stream of changes.
    Watch,
    /// A new object (DownloadRequests, access reviews).
    Create,
    /// A dry run of an apply: the only write verb, and nothing is written.
    Patch,
    /// The server's own description: API groups, OpenAPI, version.
    Discover,
    /// Anything else.
    Other,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Discover => "discover",
            Self::Other => "other",
        }
    }
}

const PHASE_BUCKETS: [f64; 7] = [0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0];
const HTTP_BUCKETS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0];
const HOUR: f64 = 3600.0;
const WINDOW_BUCKETS: [f64; 8] = [HOUR, 4.0 * HOUR, 8.0 * HOUR, 24.0 * HOUR, 48.0 * HOUR, 7.0 * 24.0 * HOUR, 14.0 * 24.0 * HOUR, 30.0 * 24.0 * HOUR];

/// Counters and histograms of our own work, and what is needed to count transitions between reports.
#[derive(Debug)]
pub struct Counters {
    phase_duration: HistogramVec,
    evaluations: IntCounter,
    evaluation_failures: IntCounterVec,
    kube_requests: IntCounterVec,
    kube_watch_restarts: IntCounter,
    http_requests: IntCounterVec,
    http_duration: Histogram,
    fetches: IntCounterVec,
    fetch_failures: IntCounterVec,
    renders: IntCounterVec,
    render_failures: IntCounterVec,
    detected: IntCounterVec,
    resolved: IntCounterVec,
    reads: IntCounterVec,
    read_failures: IntCounterVec,
    windows: Histogram,
    config: Mutex<ConfigLoads>,
    seen: Mutex<Seen>,
}

/// How loading the configuration went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigLoads {
    /// Whether the newest attempt succeeded; `None` before the first.
    pub ok: Option<bool>,
    /// When one last succeeded.
    pub at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Seen {
    any: bool,
    sources: BTreeSet<SourceName>,
    apps: BTreeSet<AppName>,
    locations: BTreeSet<Text>,
    drifting: HashMap<ObjectId, (Text, Drift)>,
    open: HashMap<AppName, Timestamp>,
}

impl Counters {
    /// All counters at 0. Fails only if the table of families were malformed.
    pub fn new() -> Result<Self, prometheus::Error> {
        let vec = |family: &Family| IntCounterVec::new(Opts::new(family.name, family.help()), family.labels);
        let one = |family: &Family| IntCounter::with_opts(Opts::new(family.name, family.help()));
        let histogram = |family: &Family, buckets: &[f64]| HistogramOpts::new(family.name, family.help()).buckets(buckets.to_vec());
        let counters = Self {
            phase_duration: HistogramVec::new(histogram(&table::PHASE_DURATION, &PHASE_BUCKETS), table::PHASE_DURATION.labels)?,
            evaluations: one(&table::EVALUATIONS)?,
            evaluation_failures: vec(&table::EVALUATION_FAILURES)?,
            kube_requests: vec(&table::KUBE_REQUESTS)?,
            kube_watch_restarts: one(&table::KUBE_WATCH_RESTARTS)?,
            http_requests: vec(&table::HTTP_REQUESTS)?,
            http_duration: Histogram::with_opts(histogram(&table::HTTP_DURATION, &HTTP_BUCKETS))?,
            fetches: vec(&table::GIT_FETCHES)?,
            fetch_failures: vec(&table::GIT_FETCH_FAILURES)?,
            renders: vec(&table::RENDERS)?,
            render_failures: vec(&table::RENDER_FAILURES)?,
            detected: vec(&table::DRIFT_DETECTED)?,
            resolved: vec(&table::DRIFT_RESOLVED)?,
            reads: vec(&table::BACKUP_READS)?,
            read_failures: vec(&table::BACKUP_READ_FAILURES)?,
            windows: Histogram::with_opts(histogram(&table::SPLIT_WINDOW, &WINDOW_BUCKETS))?,
            config: Mutex::default(),
            seen: Mutex::default(),
        };
        for phase in Phase::ALL {
            counters.phase_duration.with_label_values(&[phase.name()]);
            for reason in table::PHASE_REASONS {
                counters.evaluation_failures.with_label_values(&[phase.name(), reason]);
            }
        }
        know(&counters.reads, &counters.read_failures, "", &table::READ_REASONS);
        for drift in table::DRIFTS {
            counters.detected.with_label_values(&["", drift.name()]);
            counters.resolved.with_label_values(&["", drift.name()]);
        }
        for verb in [Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Discover] {
            counters.kube_requests.with_label_values(&[verb.name(), "200"]);
        }
        Ok(counters)
    }

    /// Adds every family to a registry.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.phase_duration.clone()))?;
        registry.register(Box::new(self.evaluations.clone()))?;
        registry.register(Box::new(self.kube_watch_restarts.clone()))?;
        registry.register(Box::new(self.http_duration.clone()))?;
        registry.register(Box::new(self.windows.clone()))?;
        for vec in [
            &self.evaluation_failures,
            &self.kube_requests,
            &self.http_requests,
            &self.fetches,
            &self.fetch_failures,
            &self.renders,
            &self.render_failures,
            &self.detected,
            &self.resolved,
            &self.reads,
            &self.read_failures,
        ] {
            registry.register(Box::new(vec.clone()))?;
        }
        Ok(())
    }

    /// Counts a run of a phase: how long it took, and the room's own word for why it failed, if it did.
    pub fn phase(&self, phase: Phase, took: Duration, failure: Option<&str>) {
        self.phase_duration.with_label_values(&[phase.name()]).observe(took.as_secs_f64());
        if phase == Phase::Compare {
            self.evaluations.inc();
        }
        if let Some(reason) = failure {
            self.evaluation_failures.with_label_values(&[phase.name(), table::bounded(reason, &table::PHASE_REASONS)]).inc();
        }
    }

    /// Counts a poll of a source.
    pub fn fetch(&self, source: &SourceName, failure: Option<&str>) {
        count(&self.fetches, &self.fetch_failures, &source.0, failure, &table::GIT_REASONS);
    }

    /// Counts a render of an app.
    pub fn render(&self, app: &AppName, failure: Option<&str>) {
        count(&self.renders, &self.render_failures, &app.0, failure, &table::RENDER_REASONS);
    }

    /// Counts the reading of one backup's content; a backup given as a file has no location.
    pub fn backup_read(&self, location: Option<&str>, failure: Option<&str>) {
        count(&self.reads, &self.read_failures, location.unwrap_or_default(), failure, &table::READ_REASONS);
    }

    /// Counts requests to the Kubernetes API; without a status no answer came.
    pub fn kube_requests(&self, verb: Verb, status: Option<u16>, more: u64) {
        self.kube_requests.with_label_values(&[verb.name(), status.map_or("none", table::code)]).inc_by(more);
    }

    /// Counts watches that had to start again with a list.
    pub fn kube_watch_restarts(&self, more: u64) {
        self.kube_watch_restarts.inc_by(more);
    }

    /// Counts an answer of our own listener. `handler` is a route's name, never a path.
    pub fn http(&self, handler: &'static str, status: u16, took: Duration) {
        self.http_requests.with_label_values(&[handler, table::code(status)]).inc();
        self.http_duration.observe(took.as_secs_f64());
    }

    /// Notes an attempt to load the configuration.
    pub fn config_loaded(&self, ok: bool, now: Timestamp) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.ok = Some(ok);
        config.at = if ok { Some(now) } else { config.at };
    }

    /// How loading the configuration went.
    pub fn config_loads(&self) -> ConfigLoads {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a new report: makes and drops the series of sources, apps and locations, and counts what drifted, what ceased to, and
    /// windows that closed since the report before. The first report counts nothing: what it shows did not begin under our eyes.
    pub fn absorb(&self, report: &Report) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.adopt(&mut seen, report);
        self.count_drift(&mut seen, report);
        self.count_windows(&mut seen, report);
        seen.any = true;
    }

    fn adopt(&self, seen: &mut Seen, report: &Report) {
        let sources = report.sources.iter().map(|s| s.name.clone()).collect();
        for gone in replace(&mut seen.sources, sources) {
            forget(&self.fetches, &self.fetch_failures, &gone.0, &table::GIT_REASONS);
        }
        for source in &seen.sources {
            know(&self.fetches, &self.fetch_failures, &source.0, &table::GIT_REASONS);
        }
        let apps = report.apps.iter().map(|a| a.name.clone()).collect();
        for gone in replace(&mut seen.apps, apps) {
            forget(&self.renders, &self.render_failures, &gone.0, &table::RENDER_REASONS);
            seen.open.remove(&gone);
            for drift in table::DRIFTS {
                // A series that is not there is as good as dropped.
                let _ = self.detected.remove_label_values(&[&gone.0, drift.name()]);
                let _ = self.resolved.remove_label_values(&[&gone.0, drift.name()]);
            }
        }
        for app in &seen.apps {
            know(&self.renders, &self.render_failures, &app.0, &table::RENDER_REASONS);
            for drift in table::DRIFTS {
                self.detected.with_label_values(&[&app.0, drift.name()]);
                self.resolved.with_label_values(&[&app.0, drift.name()]);
            }
        }
        let locations = report.locations.iter().map(|l| l.name.clone()).collect();
        for gone in replace(&mut seen.locations, locations) {
            forget(&self.reads, &self.read_failures, &gone, &table::READ_REASONS);
        }
        for location in &seen.locations {
            know(&self.reads, &self.read_failures, location, &table::READ_REASONS);
        }
    }

    fn count_drift(&self, seen: &mut Seen, report: &Report) {
        let mut now = HashMap::new();
        for object in &report.objects {
            // An app that the report does not list would bring a series that nothing drops.
            let app = object.app.as_ref().filter(|app| seen.apps.contains(app)).map_or_else(|| Text::from(""), |app| app.0.clone());
            if object.drift == Drift::Unknown {
                // What cannot be judged neither began nor ceased: it stays what it was.
                if let Some(before) = seen.drifting.remove(&object.id) {
                    now.insert(object.id.clone(), before);
                }
            } else if table::DRIFTS.contains(&object.drift) {
                let known = seen.drifting.get(&object.id).is_some_and(|(_, drift)| *drift == object.drift);
                if known {
                    seen.drifting.remove(&object.id);
                } else if seen.any {
                    self.detected.with_label_values(&[&app, object.drift.name()]).inc();
                }
                now.insert(object.id.clone(), (app, object.drift));
            }
        }
        for (app, drift) in seen.drifting.values() {
            let app = if seen.apps.contains(&AppName(app.clone())) { app } else { "" };
            self.resolved.with_label_values(&[app, drift.name()]).inc();
        }
        seen.drifting = now;
    }

    fn count_windows(&self, seen: &mut Seen, report: &Report) {
        for rollup in &report.windows {
            let WindowScope::App(app) = &rollup.of else { continue };
            match (rollup.state, rollup.start) {
                (WindowState::Open, Some(start)) => {
                    let known = seen.open.entry(app.clone()).or_insert(start.not_after);
                    *known = (*known).min(start.not_after);
                }
                (WindowState::Closed, _) => {
                    if let Some(start) = seen.open.remove(app) {
                        self.windows.observe((report.now.as_millisecond() - start.as_millisecond()).max(0) as f64 / 1000.0);
                    }
                }
                _ => {}
            }
        }
    }
}

fn replace<T: Ord + Clone>(old: &mut BTreeSet<T>, new: BTreeSet<T>) -> Vec<T> {
    let gone = old.difference(&new).cloned().collect();
    *old = new;
    gone
}

fn count(attempts: &IntCounterVec, failures: &IntCounterVec, name: &str, failure: Option<&str>, of: &'static [&'static str]) {
    attempts.with_label_values(&[name]).inc();
    if let Some(reason) = failure {
        failures.with_label_values(&[name, table::bounded(reason, of)]).inc();
    }
}

fn know(attempts: &IntCounterVec, failures: &IntCounterVec, name: &str, of: &[&str]) {
    attempts.with_label_values(&[name]);
    for reason in of {
        failures.with_label_values(&[name, reason]);
    }
}

fn forget(attempts: &IntCounterVec, failures: &IntCounterVec, name: &str, of: &[&str]) {
    // A series that is not there is as good as dropped.
    let _ = attempts.remove_label_values(&[name]);
    for reason in of {
        let _ = failures.remove_label_values(&[name, reason]);
    }
}
