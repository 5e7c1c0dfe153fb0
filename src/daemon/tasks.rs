//! The daemon's tasks for one configuration: Git per source, cluster, backups, verdict. I/O: through the stages.
//!
//! Every task runs on a period and on a signal, takes nothing but the latest values of the stages before it, and publishes its own.
//! One task's failure leaves the others' values in use.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    board::{Stage, StageBoard},
    memory::Memory,
};
use crate::{
    cluster::{limits::spread, tally::Requests},
    config::{Config, Source, SourceName},
    http::Published,
    metrics::{Counters, Phase},
    object::Redactor,
    stages::{
        backups::BackupStage,
        cluster,
        confirm::Confirmer,
        git::{KubeFacts, RenderEnv, SourceStage},
    },
    verdict::{self, Suspect},
    witness::{Answers, BackedUp, Declared, Live},
};

/// How long the verdict waits after a change for more changes to come.
const SETTLE: Duration = Duration::from_millis(40);

/// How often time alone is looked at: a backup expires, a window passes its objective, a value becomes stale.
const TICK: Duration = Duration::from_secs(15);

/// What all tasks of all configurations share.
#[derive(Clone)]
pub struct Shared {
    /// How every stage is doing.
    pub board: StageBoard,
    /// Counters of our own work.
    pub counters: Arc<Counters>,
    /// Where reports are published.
    pub report: watch::Sender<Option<Arc<Published>>>,
    /// Hides Secret values.
    pub redactor: Redactor,
    /// Onset times.
    pub memory: Memory,
}

/// The newest value of each witness; `None` until its stage made its first attempt.
struct Witnesses {
    declared: watch::Receiver<Option<Arc<Declared>>>,
    live: watch::Receiver<Option<Arc<Live>>>,
    backed_up: watch::Receiver<Option<Arc<BackedUp>>>,
    answers: watch::Receiver<Arc<Answers>>,
}

/// The running tasks of one configuration.
pub struct Tasks {
    polls: BTreeMap<SourceName, Arc<Notify>>,
    tracker: TaskTracker,
    token: CancellationToken,
    interrupt: Arc<AtomicBool>,
}

impl Tasks {
    /// Starts the tasks.
    pub fn start(config: Arc<Config>, env: RenderEnv, shared: Shared) -> Self {
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let interrupt = Arc::new(AtomicBool::new(false));
        let (declared_out, declared) = watch::channel(config.sources.is_empty().then(|| Arc::new(Declared::default())));
        let (live_out, live) = watch::channel(None);
        let (backed_out, backed_up) = watch::channel(None);
        shared.board.keep(stages(&config));
        let collected = Arc::new(Collected { declared: declared_out, expected: config.sources.len() });
        let polls: BTreeMap<_, _> = config.sources.keys().map(|name| (name.clone(), Arc::new(Notify::new()))).collect();
        for source in config.sources.values() {
            let task = GitTask {
                source: source.clone(),
                env: env.clone(),
                shared: shared.clone(),
                collected: collected.clone(),
                live: live.clone(),
                interrupt: interrupt.clone(),
                poll: polls.get(&source.name).cloned().unwrap_or_default(),
            };
            let apps = config.apps.values().filter(|a| a.source == source.name).cloned().collect();
            spawn(&tracker, &token, task.run(apps));
        }
        spawn(
            &tracker,
            &token,
            cluster::keep_reading(config.clone(), shared.redactor.clone(), shared.board.clone(), shared.counters.clone(), live_out),
        );
        spawn(&tracker, &token, read_backups(config.clone(), shared.clone(), live.clone(), backed_out));
        let (suspects_out, suspects) = watch::channel(Vec::new());
        let (answers_out, answers) = watch::channel(Arc::default());
        if let Some(settings) = config.cluster.confirm {
            let confirmer = Confirmer::new(config.cluster.clone(), settings, shared.redactor.clone());
            spawn(&tracker, &token, confirm(confirmer, shared.counters.clone(), suspects, answers_out.clone()));
        }
        let asks = Asks { suspects: suspects_out, _answers: answers_out };
        spawn(&tracker, &token, judge(config, shared, Witnesses { declared, live, backed_up, answers }, collected, asks));
        tracker.close();
        Self { polls, tracker, token, interrupt }
    }

    /// Asks one source for its tip at once, or all of them. A source that is being read is asked again right after.
    pub fn poll(&self, source: Option<&SourceName>) {
        for (_, notify) in self.polls.iter().filter(|(name, _)| source.is_none_or(|s| s == *name)) {
            notify.notify_one();
        }
    }

    /// Stops the tasks and waits for them, at most two seconds: blocking work checks a flag but may hang in a system call.
    pub async fn stop(self) {
        self.interrupt.store(true, Ordering::Relaxed);
        self.token.cancel();
        if tokio::time::timeout(Duration::from_secs(2), self.tracker.wait()).await.is_err() {
            warn!("some tasks did not stop in time and are left behind");
        }
    }
}

fn stages(config: &Config) -> Vec<Stage> {
    let mut all = vec![Stage::Cluster, Stage::Backups, Stage::Verdict];
    all.extend(config.sources.keys().cloned().map(Stage::Git));
    all.extend(config.apps.keys().cloned().map(Stage::Render));
    all
}

fn spawn(tracker: &TaskTracker, token: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    let token = token.clone();
    tracker.spawn(async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = task => {}
        }
    });
}

/// Joins the sources' outputs into one witness.
struct Collected {
    declared: watch::Sender<Option<Arc<Declared>>>,
    expected: usize,
}

/// One source's loop.
struct GitTask {
    source: Source,
    env: RenderEnv,
    shared: Shared,
    collected: Arc<Collected>,
    live: watch::Receiver<Option<Arc<Live>>>,
    interrupt: Arc<AtomicBool>,
    poll: Arc<Notify>,
}

impl GitTask {
    async fn run(mut self, apps: Vec<crate::config::App>) {
        let name = self.source.name.clone();
        let seen = self.shared.memory.tip(&name);
        let mut stage = SourceStage::new(self.source.clone(), apps, self.env.clone(), seen);
        let mut first = true;
        loop {
            let facts = self.facts();
            let before = Timestamp::now();
            let label = Stage::Git(name.clone());
            self.shared.board.started(&label, before);
            let clock = Instant::now();
            let (output, run) = stage.run(before, &facts, &self.interrupt).await;
            let now = Timestamp::now();
            let failed = run.fetch_failure.clone();
            self.shared.counters.fetch(&name, failed.as_ref().map(|f| &*f.reason));
            self.shared.counters.phase(Phase::Fetch, clock.elapsed(), failed.as_ref().map(|f| &*f.reason));
            for (app, failure) in &run.renders {
                self.shared.counters.render(app, failure.as_ref().map(|f| &*f.reason));
            }
            // An app that needed no new render is as good as rendered: the board shows what is true now, not what was done.
            for (app, state) in &output.apps {
                let render = Stage::Render(app.clone());
                self.shared.board.finished(&render, now, state.failure.clone().map_or(Ok(()), Err));
            }
            match &failed {
                Some(f) => warn!(source = %name, reason = &*f.reason, "{}", f.message),
                None if run.moved => {
                    if let Some(tip) = &output.state.tip {
                        info!(source = %name, commit = &*tip.commit.sha, "the tip moved");
                    }
                }
                None => {}
            }
            self.shared.board.finished(&label, now, failed.map_or(Ok(()), Err));
            self.collected.put(name.clone(), output);
            let pause = spread_out(self.source.interval, std::mem::take(&mut first));
            // A chart may render differently for another cluster version: the first discovery wakes the source once.
            let waits_for_cluster = facts == KubeFacts::default();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.poll.notified() => {}
                _ = self.live.changed(), if waits_for_cluster => {}
            }
        }
    }

    fn facts(&mut self) -> KubeFacts {
        self.live.borrow_and_update().as_ref().map(|l| cluster::facts(l)).unwrap_or_default()
    }
}

/// Shortens a period by up to a fifth, the first one by up to a half, at random: many sources, and many daemons that were started by one rollout,
/// do not ask at the same moment.
fn spread_out(period: Duration, first: bool) -> Duration {
    period.mul_f64(1.0 - spread() * if first { 0.5 } else { 0.2 })
}

impl Collected {
    /// Takes in what a cycle of one source brought. One without news only makes the value younger and wakes nobody.
    fn put(&self, name: SourceName, output: crate::stages::git::SourceOutput) {
        self.declared.send_if_modified(|slot| {
            let mut next = slot.as_deref().cloned().unwrap_or_default();
            let before = next.sources.insert(name, output.state.clone());
            let mut news = before.is_none_or(|b| (b.tip, b.failure) != (output.state.tip, output.state.failure));
            for (name, app) in output.apps {
                news |= next.apps.get(&name).is_none_or(|known| !known.is_same(&app));
                next.apps.insert(name, app);
            }
            *slot = Some(Arc::new(next));
            news
        });
    }

    fn is_complete(&self, declared: &Declared) -> bool {
        declared.sources.len() >= self.expected
    }
}

async fn read_backups(config: Arc<Config>, shared: Shared, mut live: watch::Receiver<Option<Arc<Live>>>, out: watch::Sender<Option<Arc<BackedUp>>>) {
    let mut stage = BackupStage::new(config, shared.redactor.clone());
    loop {
        let view = live.borrow_and_update().clone();
        if let Some(view) = view {
            let started = Timestamp::now();
            shared.board.started(&Stage::Backups, started);
            let clock = Instant::now();
            let (backed_up, reads) = stage.run(&view, started).await;
            for (location, failure) in reads {
                shared.counters.backup_read(location.as_deref(), failure.as_deref());
            }
            let failure = backed_up.failure.clone();
            shared.counters.phase(Phase::BackupRead, clock.elapsed(), failure.as_ref().map(|f| &*f.reason));
            shared.board.finished(&Stage::Backups, Timestamp::now(), failure.map_or(Ok(()), Err));
            out.send_replace(Some(Arc::new(backed_up)));
        }
        if stage.has_more() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            changed = live.changed() => if changed.is_err() { return },
        }
    }
}

/// Where the questions go, and the answers' own end: without anybody who asks, nobody may take the channel for closed.
struct Asks {
    suspects: watch::Sender<Vec<Suspect>>,
    _answers: watch::Sender<Arc<Answers>>,
}

/// Asks the server about what drifts, batch by batch, until nothing is open; then waits for news.
async fn confirm(
    mut confirmer: Confirmer,
    counters: Arc<Counters>,
    mut suspects: watch::Receiver<Vec<Suspect>>,
    answers: watch::Sender<Arc<Answers>>,
) {
    let mut counted = Requests::new();
    loop {
        let current = suspects.borrow_and_update().clone();
        if confirmer.ask(&current, Timestamp::now()).await {
            answers.send_replace(Arc::new(confirmer.answers().clone()));
        }
        let made = confirmer.requests();
        for ((verb, status), total) in &made {
            counters.kube_requests(*verb, *status, total - counted.get(&(*verb, *status)).copied().unwrap_or_default());
        }
        counted = made;
        if confirmer.open(&current, Timestamp::now()) > 0 {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            changed = suspects.changed() => if changed.is_err() { return },
        }
    }
}

async fn judge(config: Arc<Config>, shared: Shared, mut witnesses: Witnesses, collected: Arc<Collected>, asks: Asks) {
    let mut memo = verdict::Memo::default();
    loop {
        let all = (
            witnesses.declared.borrow_and_update().clone(),
            witnesses.live.borrow_and_update().clone(),
            witnesses.backed_up.borrow_and_update().clone(),
        );
        if let (Some(declared), Some(live), Some(backed_up)) = all
            && collected.is_complete(&declared)
        {
            let now = Timestamp::now();
            shared.board.started(&Stage::Verdict, now);
            let clock = Instant::now();
            let onsets = shared.memory.onsets();
            let answers = witnesses.answers.borrow_and_update().clone();
            let parts = (config.clone(), declared, live, backed_up, onsets, answers);
            let work = tokio::task::spawn_blocking(move || {
                let made = {
                    let (config, declared, live, backed_up, onsets, answers) = &parts;
                    verdict::judge_and_ask(&verdict::Inputs { declared, live, backed_up, config, onsets, answers, now }, &mut memo)
                };
                (made, parts, memo)
            });
            match work.await {
                Ok(((report, suspects), parts, returned)) => {
                    memo = returned;
                    asks.suspects.send_if_modified(|known| {
                        let news = *known != suspects;
                        *known = suspects;
                        news
                    });
                    let report = Arc::new(report);
                    shared.counters.phase(Phase::Compare, clock.elapsed(), None);
                    let learned = shared.memory.advance(&report, now);
                    shared.counters.absorb(&report);
                    shared.board.finished(&Stage::Verdict, Timestamp::now(), Ok(()));
                    shared.report.send_replace(Some(Arc::new(super::publish(report, parts))));
                    // What is dated only by being seen was not dated in the report that showed it first.
                    if learned {
                        continue;
                    }
                }
                Err(e) => {
                    memo = verdict::Memo::default();
                    let failure = crate::witness::Failure::new("internal", format!("the join stopped: {e}"));
                    warn!("{}", failure.message);
                    shared.counters.phase(Phase::Compare, clock.elapsed(), Some("internal"));
                    shared.board.finished(&Stage::Verdict, Timestamp::now(), Err(failure));
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = witnesses.declared.changed() => tokio::time::sleep(SETTLE).await,
            _ = witnesses.live.changed() => tokio::time::sleep(SETTLE).await,
            _ = witnesses.backed_up.changed() => tokio::time::sleep(SETTLE).await,
            _ = witnesses.answers.changed() => tokio::time::sleep(SETTLE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_spread_and_never_longer_than_was_asked_for() {
        let period = Duration::from_secs(100);
        for (first, shortest) in [(true, 50), (false, 80)] {
            let pauses: Vec<_> = (0..200).map(|_| spread_out(period, first)).collect();
            assert!(pauses.iter().all(|p| (Duration::from_secs(shortest)..=period).contains(p)), "{pauses:?}");
            let (least, most) = (pauses.iter().min().expect("some"), pauses.iter().max().expect("some"));
            assert!(*most - *least > (period - Duration::from_secs(shortest)) / 2, "{least:?} to {most:?} is no spread");
        }
    }
}
