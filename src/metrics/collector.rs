//! The one collector: every family of the report, built afresh from the current report at each scrape. pure
//!
//! Nothing is kept between scrapes, so an app, schedule or object that is gone from the report is gone from the metrics too.

mod backups;
mod folding;
mod git;
mod objects;
mod protection;
mod sheet;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{
    counters::{Counters, Phase},
    table::{self, Origin, TABLE},
};
use crate::{build_info::BuildInfo, config, daemon::board::StageBoard, report::Report};
use sheet::Sheet;

/// What a scrape is built from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The newest report; `None` before the first.
    pub report: Option<Arc<Report>>,
    /// Bounds in force.
    pub limits: config::Metrics,
}

/// Where the newest report is found. It must answer from memory.
pub type Latest = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// Builds the families of [`Origin::Report`] and [`Origin::Program`].
pub struct ReportCollector {
    build: BuildInfo,
    counters: Arc<Counters>,
    board: StageBoard,
    latest: Latest,
    descriptions: Vec<Desc>,
}

impl ReportCollector {
    /// A collector over what `latest` gives. Fails only if the table of families were malformed.
    pub fn new(build: BuildInfo, counters: Arc<Counters>, board: StageBoard, latest: Latest) -> Result<Self, prometheus::Error> {
        let ours = TABLE.iter().filter(|f| matches!(f.origin, Origin::Report | Origin::Program));
        let descriptions = ours
            .map(|f| Desc::new(f.name.into(), f.help(), f.labels.iter().map(|&l| l.into()).collect(), std::collections::HashMap::new()))
            .collect::<Result<_, _>>()?;
        Ok(Self { build, counters, board, latest, descriptions })
    }
}

impl fmt::Debug for ReportCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportCollector").field("build", &self.build).finish_non_exhaustive()
    }
}

impl Collector for ReportCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sheet = Sheet::default();
        let build = &self.build;
        sheet.put(&table::BUILD_INFO, &[&build.version, &build.revision, &build.rustc], 1.0);
        let config = self.counters.config_loads();
        if let Some(ok) = config.ok {
            sheet.put(&table::CONFIG_SUCCESSFUL, &[], flag(ok));
        }
        sheet.time(&table::CONFIG_TIME, &[], config.at);
        phases(&mut sheet, &self.board);
        let snapshot = (self.latest)();
        if let Some(report) = &snapshot.report {
            sheet.time(&table::REPORT_TIME, &[], Some(report.now));
            git::put(&mut sheet, report);
            let limits = &snapshot.limits;
            let namespaces = folding::Kept::namespaces(report, limits.max_namespaces);
            backups::put(&mut sheet, report, &folding::Kept::schedules(report, limits.max_schedules));
            objects::put(&mut sheet, report, limits, &namespaces);
            protection::put(&mut sheet, report, limits, &namespaces);
        }
        sheet.families()
    }
}

fn phases(sheet: &mut Sheet, board: &StageBoard) {
    let stages = board.snapshot();
    for phase in Phase::ALL {
        let of = || stages.iter().filter(|s| Phase::of_stage(s.stage) == Some(phase));
        sheet.put(&table::PHASE_FAILING, &[phase.name()], of().filter(|s| s.error.is_some()).count() as f64);
        let oldest = of().map(|s| s.last_success).min().flatten();
        sheet.time(&table::PHASE_SUCCESS, &[phase.name()], oldest);
    }
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn truth(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
