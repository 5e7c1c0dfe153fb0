//! What the listener is given: the newest report, the ways to ask for work, and the boards. I/O: tokio channels.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    config::{self, SourceName},
    daemon::board::StageBoard,
    metrics::{Counters, Exposition, Latest, Snapshot},
    object::ObjectId,
    report::{Evidence, Report},
};

/// Finds the evidence of one object in the witnesses that a report was made of. May take milliseconds of processor time.
pub type Explain = Arc<dyn Fn(&ObjectId) -> Option<Evidence> + Send + Sync>;

/// A report with the way to its evidence.
pub struct Published {
    /// The report.
    pub report: Arc<Report>,
    /// The evidence of its objects.
    pub explain: Explain,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").field("now", &self.report.now).finish_non_exhaustive()
    }
}

/// Asks for a poll of one source, or of all.
pub type PollRequest = Option<SourceName>;

/// Asks for the configuration to be loaded again; the answer is why it was refused, if it was.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What the listener is given. Cloning shares it.
#[derive(Clone, Debug)]
pub struct State {
    /// The newest report; `None` before the first.
    pub report: watch::Receiver<Option<Arc<Published>>>,
    /// Where polls are asked for. A full channel means that one is asked for already.
    pub poll: mpsc::Sender<PollRequest>,
    /// Where a reload is asked for.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// The listener's configuration.
    pub web: config::Web,
    /// How every stage is doing.
    pub board: StageBoard,
    /// Counters of our own work.
    pub counters: Arc<Counters>,
    /// What a scrape is answered with.
    pub metrics: Arc<Exposition>,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl State {
    /// The newest report.
    pub fn published(&self) -> Option<Arc<Published>> {
        self.report.borrow().clone()
    }

    /// What is still missing before answers mean anything; empty once ready. Names no app, source or error: probes need no token.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.counters.config_loads().at.is_none() {
            missing.push("the configuration is not loaded".to_owned());
        }
        if self.report.borrow().is_none() {
            let mut waiting: Vec<_> = self.board.snapshot().iter().filter(|s| s.last_success.is_none()).map(|s| s.stage).collect();
            waiting.dedup();
            let waiting = if waiting.is_empty() { String::new() } else { format!(" (waiting for {})", waiting.join(", ")) };
            missing.push(format!("there is no report yet{waiting}"));
        }
        missing
    }
}

/// Lets the metrics read the newest report. `limits` gives the bounds in force.
pub fn latest(report: watch::Receiver<Option<Arc<Published>>>, limits: impl Fn() -> config::Metrics + Send + Sync + 'static) -> Latest {
    Arc::new(move || Snapshot { report: report.borrow().as_ref().map(|published| published.report.clone()), limits: limits() })
}
