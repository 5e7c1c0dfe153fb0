//! The long-lived inventory: every kind listed once and then watched, new kinds taken up, gone ones dropped. I/O: the Kubernetes API.
//!
//! One task for each kind, one that asks what there is to read, one that publishes. A view is published when something visible changed;
//! its age is renewed in place without waking anybody.

mod follow;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    choice::Chooser,
    client::Connection,
    discovery::discover,
    intake::Intake,
    limits::{Backoff, Limits},
    schemas::Library,
    state::{Now, State, Target},
    wire::Wire,
};
use crate::{
    config,
    object::{GroupKind, Redactor},
    witness::{Failure, Live},
};

/// After news about definitions, discovery is asked again after these pauses: servers publish a new kind a while after its definition.
const SETTLING: [Duration; 4] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(30)];

/// A view that would show a new kind as not read yet waits for its first list, but no longer than this.
const NEW_KIND: Duration = Duration::from_secs(3);

/// How long to wait before a reader that ended unexpectedly is started again.
const RESTART: Duration = Duration::from_secs(5);

/// What the inventory did since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Discovery rounds.
    pub discoveries: u64,
    /// Lists of a whole kind, first ones included.
    pub lists: u64,
    /// Watches begun.
    pub watches: u64,
    /// Watch events, bookmarks included.
    pub events: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Views published.
    pub views: u64,
    /// OpenAPI documents asked for.
    pub documents: u64,
}

#[derive(Debug, Default)]
struct Counters {
    discoveries: AtomicU64,
    lists: AtomicU64,
    watches: AtomicU64,
    events: AtomicU64,
    failures: AtomicU64,
    views: AtomicU64,
    documents: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What all tasks of one inventory share.
#[derive(Debug)]
struct Shared {
    wire: Wire,
    intake: Intake,
    chooser: Chooser,
    state: Mutex<State>,
    /// Something in the state may have changed.
    news: Notify,
    /// What is served may have changed.
    rediscover: Notify,
    /// What was refused may be allowed now.
    mended: Notify,
    /// What the server serves changed, so its schemas may have.
    reread: Notify,
    lists: Semaphore,
    counters: Counters,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A task that panicked while it held the state is restarted and lists its kind anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> &Limits {
        &self.wire.limits
    }
}

/// A running inventory. Dropping it stops everything.
#[derive(Debug)]
pub struct Inventory {
    shared: Arc<Shared>,
    views: watch::Receiver<Arc<Live>>,
    stop: CancellationToken,
}

impl Drop for Inventory {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inventory {
    /// Starts reading. Must be called inside a tokio runtime.
    pub fn start(connection: Connection, settings: &config::Cluster, redactor: Redactor, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            wire: Wire::new(connection, limits),
            intake: Intake::new(redactor),
            chooser: Chooser::new(settings),
            state: Mutex::new(State::new(true, limits.grace)),
            news: Notify::new(),
            rediscover: Notify::new(),
            mended: Notify::new(),
            reread: Notify::new(),
            lists: Semaphore::new(limits.lists.max(1)),
            counters: Counters::default(),
        });
        let (sender, views) = watch::channel(Arc::new(Live::default()));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(supervise(shared.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(publish(shared.clone(), sender)));
        tokio::spawn(stop.clone().run_until_cancelled_owned(keep_schemas(shared.clone())));
        Self { shared, views, stop }
    }

    /// The views as they come. `changed` of a new receiver fires at once if there is a view already; before the first one it holds an
    /// empty `Live`. The value held also grows younger (`as_of`) while nothing changes, without `changed` firing.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Live>> {
        self.views.clone()
    }

    /// The newest view, waiting for the first one.
    pub async fn first(&self) -> Arc<Live> {
        // The receiver that is kept has never looked, so a copy of it sees a view that is there already as a change.
        let mut views = self.views.clone();
        let _ = views.changed().await;
        views.borrow().clone()
    }

    /// When what is held was last known to be true; renewed by every answer.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.shared.state().as_of(Now::read())
    }

    /// Asks the server again what it serves.
    pub fn rediscover(&self) {
        self.shared.rediscover.notify_one();
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        let c = &self.shared.counters;
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Stats {
            discoveries: read(&c.discoveries),
            lists: read(&c.lists),
            watches: read(&c.watches),
            events: read(&c.events),
            failures: read(&c.failures),
            views: read(&c.views),
            documents: read(&c.documents),
        }
    }
}

/// The tasks that read kinds.
#[derive(Default)]
struct Readers {
    running: BTreeMap<GroupKind, (Target, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Readers {
    /// Makes the running tasks those of the targets.
    fn adjust(&mut self, shared: &Arc<Shared>, targets: &BTreeMap<GroupKind, Target>) {
        self.running.retain(|gk, (target, handle)| {
            let stays = targets.get(gk) == Some(&*target);
            if !stays {
                handle.abort();
            }
            stays
        });
        for (gk, target) in targets {
            if !self.running.contains_key(gk) {
                let handle = self.tasks.spawn(follow::follow(shared.clone(), target.clone()));
                self.running.insert(gk.clone(), (target.clone(), handle));
            }
        }
    }

    /// A task ended. Readers run for ever, so it was aborted or it broke; a broken one makes its kind unknown and is started again.
    fn ended(&mut self, shared: &Shared, outcome: Result<(Id, ()), JoinError>) -> bool {
        let id = match &outcome {
            Ok((id, ())) => *id,
            Err(e) if e.is_cancelled() => return false,
            Err(e) => e.id(),
        };
        let Some(gk) = self.running.iter().find(|(_, (_, h))| h.id() == id).map(|(gk, _)| gk.clone()) else { return false };
        self.running.remove(&gk);
        tracing::error!(kind = %gk, "the reader of a kind ended unexpectedly and is started again");
        let failure = Failure::new("reader_ended", format!("the reader of {gk} ended unexpectedly; it is started again"));
        shared.state().broke(&gk, failure, true, Duration::ZERO, Now::read());
        shared.news.notify_one();
        true
    }
}

/// Asks what there is to read and keeps the readers in line with it.
async fn supervise(shared: Arc<Shared>) {
    let limits = *shared.limits();
    let (mut readers, mut backoff, mut step) = (Readers::default(), Backoff::default(), SETTLING.len());
    let mut served = None;
    loop {
        count(&shared.counters.discoveries);
        let outcome = discover(&shared.wire).await;
        let good = outcome.is_ok();
        match outcome {
            Ok(catalogue) => {
                let targets = {
                    let mut state = shared.state();
                    state.heard(Now::read());
                    state.catalogue(&catalogue, &shared.chooser)
                };
                readers.adjust(&shared, &targets);
                shared.mended.notify_waiters();
                shared.intake.forget_unused();
                if served.as_ref() != Some(&catalogue) {
                    shared.reread.notify_one();
                    served = Some(catalogue);
                }
                backoff.reset();
            }
            Err(e) => {
                tracing::debug!(error = %e, "discovery failed");
                count(&shared.counters.failures);
                shared.state().undiscovered(shared.wire.connection().failure(&e));
            }
        }
        shared.news.notify_one();
        let pause = match (good, SETTLING.get(step)) {
            (false, _) => backoff.next(limits.retry),
            (true, Some(pause)) => *pause,
            (true, None) => period(&shared),
        };
        step = (step + 1).min(SETTLING.len());
        let mut due = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(due) => break,
                () = shared.rediscover.notified() => {
                    // The first pause is never put off: news that keep coming must not keep discovery from running.
                    step = 1;
                    due = due.min(tokio::time::Instant::now() + SETTLING[0]);
                }
                Some(outcome) = readers.tasks.join_next_with_id() => {
                    if readers.ended(&shared, outcome) {
                        due = due.min(tokio::time::Instant::now() + RESTART);
                    }
                }
            }
        }
    }
}

/// Reads the schemas when what is served changed, and again while some could not be read.
async fn keep_schemas(shared: Arc<Shared>) {
    let limits = *shared.limits();
    let (mut library, mut backoff) = (Library::default(), Backoff::default());
    shared.reread.notified().await;
    loop {
        // Whoever reads the definitions need not read what the server makes of them, so those come first.
        let begun = Instant::now();
        while shared.state().kinds_pending() && begun.elapsed() < limits.first {
            sleep(limits.debounce).await;
        }
        let (version, defined) = {
            let state = shared.state();
            (state.version(), state.defined_groups())
        };
        let read = library.refresh(&shared.wire, version.as_deref(), &defined).await;
        shared.counters.documents.fetch_add(read.asked as u64, Ordering::Relaxed);
        shared.state().learn(read.schemas);
        shared.news.notify_one();
        match read.error {
            None => {
                backoff.reset();
                shared.reread.notified().await;
            }
            Some(error) => {
                tracing::debug!(%error, "schemas cannot be read");
                let pause = backoff.next(if error.refused() { limits.refused } else { limits.retry });
                tokio::select! {
                    () = shared.reread.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        }
    }
}

/// How long to wait for the next round when nothing calls for one: rarely, unless a group is broken or definitions cannot be watched.
fn period(shared: &Shared) -> Duration {
    let state = shared.state();
    let blind = |kind: &(&str, &str)| !state.is_good(&GroupKind::new(kind.0, kind.1));
    if state.has_broken_groups() || follow::DEFINITIONS.iter().any(blind) { shared.limits().rediscover_soon } else { shared.limits().rediscover }
}

/// Publishes views: soon after something visible changed, but not too often.
async fn publish(shared: Arc<Shared>, views: watch::Sender<Arc<Live>>) {
    let limits = *shared.limits();
    let (mut published, mut last, mut pending) = (false, Instant::now(), None::<Instant>);
    loop {
        tokio::select! {
            () = shared.news.notified() => {
                sleep(limits.debounce.max(limits.gap.saturating_sub(last.elapsed()))).await;
            }
            () = sleep(limits.heartbeat) => {}
        }
        let view = {
            let mut state = shared.state();
            let now = Now::read();
            let patience = if published { NEW_KIND } else { limits.first };
            pending = state.pending().then(|| pending.unwrap_or_else(Instant::now));
            if pending.is_some_and(|since| since.elapsed() < patience) {
                continue;
            }
            if published && !state.changed(now) { Err(state.as_of(now)) } else { Ok(state.view(now)) }
        };
        match view {
            Ok(view) => {
                (published, last) = (true, Instant::now());
                count(&shared.counters.views);
                views.send_replace(Arc::new(view));
            }
            Err(as_of) => {
                views.send_if_modified(|held| {
                    Arc::make_mut(held).as_of = as_of;
                    false
                });
            }
        }
    }
}
