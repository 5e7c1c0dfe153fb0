//! The daemon: stages that publish value, age and error, and the state file. I/O: tasks, signals, state file.

pub mod board;
mod memory;
mod run;
pub mod state;
mod tasks;

use std::sync::Arc;

pub use run::{DaemonError, Load, Setup, run};

use crate::{
    config::Config,
    http::Published,
    report::{Report, evidence},
    verdict::{self, Inputs, Onsets},
    witness::{Answers, BackedUp, Declared, Live},
};

/// What a report was made of, kept so that its evidence can be shown.
type Parts = (Arc<Config>, Arc<Declared>, Arc<Live>, Arc<BackedUp>, Arc<Onsets>, Arc<Answers>);

/// A report with the way to the evidence of its objects.
fn publish(report: Arc<Report>, parts: Parts) -> Published {
    let judged = report.clone();
    let explain = move |id: &crate::object::ObjectId| {
        let (config, declared, live, backed_up, onsets, answers) = &parts;
        let inputs = Inputs { declared, live, backed_up, config, onsets, answers, now: judged.now };
        verdict::explain(&inputs, &judged, id).map(|e| evidence::of(&e))
    };
    Published { report, explain: Arc::new(explain) }
}
