//! How every stage is doing, in one place that daemon, metrics and API share. pure
//!
//! A stage's value stays with the stage; here stands only when it last ran, when it last succeeded, and why it fails.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::{AppName, SourceName},
    object::Text,
    witness::Failure,
};

/// Failure reasons remembered per stage; further ones are counted as `other`.
pub const MAX_REASONS: usize = 16;

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Asking one source for its tip, and fetching it if it moved.
    Git(SourceName),
    /// Rendering one app.
    Render(AppName),
    /// Reading the cluster.
    Cluster,
    /// Reading Velero's objects and archives.
    Backups,
    /// Joining the witnesses into a report.
    Verdict,
}

impl Stage {
    /// The stable word for the kind of stage.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Git(_) => "git",
            Self::Render(_) => "render",
            Self::Cluster => "cluster",
            Self::Backups => "backups",
            Self::Verdict => "verdict",
        }
    }

    /// What it works on, where there are several of the kind: the name of the source or app.
    pub fn subject(&self) -> Option<&Text> {
        match self {
            Self::Git(source) => Some(&source.0),
            Self::Render(app) => Some(&app.0),
            Self::Cluster | Self::Backups | Self::Verdict => None,
        }
    }
}

/// How one stage is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Status {
    /// Kind of stage: `git`, `render`, `cluster`, `backups` or `verdict`.
    pub stage: &'static str,
    /// Source or app it works on, if there are several of the kind.
    pub subject: Option<Text>,
    /// Whether it is at work now.
    pub running: bool,
    /// When it last began.
    pub last_started: Option<Timestamp>,
    /// When it last ended, well or not.
    pub last_finished: Option<Timestamp>,
    /// When it last ended well: its value is as of then.
    pub last_success: Option<Timestamp>,
    /// How long the last run took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Runs that ended.
    pub runs: u64,
    /// Runs that failed, by reason; at most [`MAX_REASONS`] reasons, the rest under `other`.
    pub failures: BTreeMap<Text, u64>,
    /// Why the last run failed; absent if it did not.
    pub error: Option<Failure>,
}

/// The status of every stage. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct StageBoard(Arc<RwLock<BTreeMap<Stage, Status>>>);

impl StageBoard {
    /// An empty board.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a stage begins.
    pub fn started(&self, stage: &Stage, now: Timestamp) {
        self.change(stage, |status| {
            status.running = true;
            status.last_started = Some(now);
        });
    }

    /// Notes that a stage ended. A failure leaves `last_success` where it was: the last good value stays in use.
    pub fn finished(&self, stage: &Stage, now: Timestamp, outcome: Result<(), Failure>) {
        self.change(stage, |status| {
            let began = status.last_started.filter(|_| status.running).unwrap_or(now);
            status.running = false;
            status.runs += 1;
            status.last_finished = Some(now);
            // The wall clock may step back; a negative duration says nothing.
            status.duration_ms = u64::try_from(now.as_millisecond() - began.as_millisecond()).ok();
            match outcome {
                Ok(()) => {
                    status.last_success = Some(now);
                    status.error = None;
                }
                Err(failure) => {
                    let known = status.failures.contains_key(&failure.reason) || status.failures.len() + 1 < MAX_REASONS;
                    let reason = if known { failure.reason.clone() } else { "other".into() };
                    *status.failures.entry(reason).or_default() += 1;
                    status.error = Some(failure);
                }
            }
        });
    }

    /// Keeps these stages and no others (after a reload), adding those that are new.
    pub fn keep(&self, stages: impl IntoIterator<Item = Stage>) {
        let mut board = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *board);
        board.extend(stages.into_iter().map(|stage| {
            let status = old.remove(&stage).unwrap_or_else(|| blank(&stage));
            (stage, status)
        }));
    }

    /// How one stage is doing; `None` if it was never heard of.
    pub fn get(&self, stage: &Stage) -> Option<Status> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(stage).cloned()
    }

    /// How all stages are doing, in the order in which values flow.
    pub fn snapshot(&self) -> Vec<Status> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn change(&self, stage: &Stage, change: impl FnOnce(&mut Status)) {
        let mut board = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(board.entry(stage.clone()).or_insert_with(|| blank(stage)));
    }
}

fn blank(stage: &Stage) -> Status {
    Status { stage: stage.kind(), subject: stage.subject().cloned(), ..Status::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_failure_leaves_the_last_success_and_is_counted_by_reason() {
        let board = StageBoard::new();
        board.started(&Stage::Cluster, at(10));
        assert!(board.get(&Stage::Cluster).unwrap().running);
        board.finished(&Stage::Cluster, at(12), Ok(()));
        board.started(&Stage::Cluster, at(20));
        board.finished(&Stage::Cluster, at(21), Err(Failure::new("forbidden", "no list on secrets")));
        let status = board.get(&Stage::Cluster).unwrap();
        assert_eq!((status.last_success, status.last_finished, status.duration_ms), (Some(at(12)), Some(at(21)), Some(1000)));
        assert_eq!((status.runs, status.failures["forbidden"], status.error.unwrap().reason), (2, 1, "forbidden".into()));
        board.finished(&Stage::Cluster, at(30), Ok(()));
        assert_eq!(board.get(&Stage::Cluster).unwrap().error, None);
    }

    #[test]
    fn a_reload_drops_stages_that_are_gone_and_keeps_the_history_of_the_others() {
        let (shop, gone) = (Stage::Render(AppName("shop".into())), Stage::Render(AppName("gone".into())));
        let board = StageBoard::new();
        board.finished(&shop, at(1), Ok(()));
        board.finished(&gone, at(1), Ok(()));
        board.keep([Stage::Verdict, shop.clone(), Stage::Git(SourceName("main".into()))]);
        assert_eq!(board.get(&gone), None);
        assert_eq!(board.get(&shop).unwrap().runs, 1);
        let order: Vec<_> = board.snapshot().into_iter().map(|s| (s.stage, s.subject)).collect();
        assert_eq!(order, [("git", Some("main".into())), ("render", Some("shop".into())), ("verdict", None)]);
    }

    #[test]
    fn reasons_are_capped_and_a_clock_that_steps_back_gives_no_duration() {
        let board = StageBoard::new();
        for n in 0..100 {
            board.finished(&Stage::Backups, at(n), Err(Failure::new(&format!("r{n}"), "")));
        }
        let failures = board.get(&Stage::Backups).unwrap().failures;
        assert_eq!((failures.len(), failures.values().sum::<u64>(), failures["other"]), (MAX_REASONS, 100, 85));
        board.started(&Stage::Backups, at(100));
        board.finished(&Stage::Backups, at(50), Ok(()));
        assert_eq!(board.get(&Stage::Backups).unwrap().duration_ms, None);
    }
}
