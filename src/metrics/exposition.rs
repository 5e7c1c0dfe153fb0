//! What a scrape is answered with: every family in the text format. I/O: the process collector reads `/proc/self`.

use std::sync::Arc;

use prometheus::{Registry, TextEncoder, proto::MetricFamily};

use super::{
    collector::{Latest, ReportCollector},
    counters::Counters,
};
use crate::{build_info::BuildInfo, daemon::board::StageBoard};

/// The content type of [`Exposition::text`]. Prometheus 3 refuses a scrape without the right one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families of this process.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// Puts together collector, counters and process figures. `latest` is asked at each scrape and must answer from memory.
    pub fn new(build: BuildInfo, counters: Arc<Counters>, board: StageBoard, latest: Latest) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        counters.register(&registry)?;
        registry.register(Box::new(ReportCollector::new(build, counters, board, latest)?))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry })
    }

    /// Every family that has a series now, by name.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// The answer to a scrape.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }
}
