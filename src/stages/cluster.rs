//! The cluster stage: a live cluster by watch (daemon) or by one pass (one-shot), or a dump on disk. I/O: through cluster, files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::git::KubeFacts;
use crate::{
    cluster::{self, Connection, DumpLimits, Inventory, Limits, Progress, Stats},
    config::Config,
    daemon::board::{Stage, StageBoard},
    metrics::Counters,
    object::Redactor,
    witness::{Failure, Live},
};

/// How often a dump on disk is looked at for changes.
const DUMP_PERIOD: Duration = Duration::from_millis(500);

/// How often the age of a view that did not change is passed on, and the inventory's work counted.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long the daemon waits before it tries again to find a cluster at all.
const RECONNECT: Duration = Duration::from_secs(10);

/// What a chart may be rendered for, from what the cluster serves.
pub fn facts(live: &Live) -> KubeFacts {
    if !live.discovered {
        return KubeFacts::default();
    }
    let mut api_versions = Vec::new();
    for (gk, kind) in &live.kinds {
        for version in std::iter::once(&kind.version).chain(&kind.versions) {
            let group_version = if gk.group.is_empty() { version.to_string() } else { format!("{}/{version}", gk.group) };
            api_versions.push(format!("{group_version}/{}", gk.kind));
            api_versions.push(group_version);
        }
    }
    api_versions.sort();
    api_versions.dedup();
    KubeFacts { version: live.server_version.as_ref().map(ToString::to_string), api_versions }
}

/// Reads the cluster once.
pub async fn read_once(config: &Config, redactor: &Redactor, now: Timestamp, progress: &(dyn Fn(Progress) + Sync)) -> Live {
    match &config.cluster.dump {
        Some(path) => read_dump(path.clone(), redactor.clone(), now).await,
        None => match Connection::connect(&config.cluster).await {
            Ok(connection) => cluster::read(&connection, &config.cluster, redactor, &Limits::default(), progress).await,
            Err(e) => failed(Failure::new(e.kind(), e.to_string())),
        },
    }
}

fn failed(failure: Failure) -> Live {
    Live { failure: Some(failure), ..Live::default() }
}

async fn read_dump(path: PathBuf, redactor: Redactor, now: Timestamp) -> Live {
    let read = tokio::task::spawn_blocking(move || cluster::read_dump(&path, &redactor, &DumpLimits::default())).await;
    match read {
        Ok(Ok(live)) => Live { as_of: Some(now), ..live },
        Ok(Err(e)) => failed(Failure::new(e.kind(), e.to_string())),
        Err(_) => failed(Failure::new("internal", "reading the dump stopped")),
    }
}

/// Keeps reading until dropped: publishes every new view, notes on the board how it goes, and counts requests.
pub async fn keep_reading(
    config: Arc<Config>,
    redactor: Redactor,
    board: StageBoard,
    counters: Arc<Counters>,
    out: watch::Sender<Option<Arc<Live>>>,
) {
    match &config.cluster.dump {
        Some(path) => follow_dump(path, &redactor, &board, &out).await,
        None => follow_cluster(&config, &redactor, &board, &counters, &out).await,
    }
}

fn note(board: &StageBoard, live: &Live) {
    let outcome = live.failure.clone().map_or(Ok(()), Err);
    board.finished(&Stage::Cluster, Timestamp::now(), outcome);
}

/// Adds to the counters what an inventory did since the last time.
fn count(counters: &Counters, known: &mut Stats, now: Stats) {
    for ((verb, status), total) in &now.requests {
        counters.kube_requests(*verb, *status, total - known.requests.get(&(*verb, *status)).copied().unwrap_or_default());
    }
    counters.kube_watch_restarts(now.restarts - known.restarts);
    *known = now;
}

async fn follow_cluster(config: &Config, redactor: &Redactor, board: &StageBoard, counters: &Counters, out: &watch::Sender<Option<Arc<Live>>>) {
    loop {
        board.started(&Stage::Cluster, Timestamp::now());
        let connection = match Connection::connect(&config.cluster).await {
            Ok(connection) => connection,
            Err(e) => {
                let failure = Failure::new(e.kind(), e.to_string());
                tracing::warn!(reason = e.kind(), "{e}");
                board.finished(&Stage::Cluster, Timestamp::now(), Err(failure.clone()));
                out.send_if_modified(|slot| {
                    let news = slot.as_ref().is_none_or(|l| l.failure.as_ref() != Some(&failure));
                    if news {
                        let last = slot.as_deref().cloned().unwrap_or_default();
                        *slot = Some(Arc::new(Live { failure: Some(failure.clone()), ..last }));
                    }
                    news
                });
                tokio::time::sleep(RECONNECT).await;
                continue;
            }
        };
        let inventory = Inventory::start(connection, &config.cluster, redactor.clone(), Limits::default());
        let mut views = inventory.subscribe();
        let (mut known, mut heartbeat) = (Stats::default(), tokio::time::interval(HEARTBEAT));
        loop {
            tokio::select! {
                changed = views.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let view = views.borrow_and_update().clone();
                    note(board, &view);
                    out.send_replace(Some(view));
                }
                _ = heartbeat.tick() => {
                    renew(board, &views.borrow(), out);
                    count(counters, &mut known, inventory.stats());
                }
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Passes on that a view is as true now as when it was published, without waking anybody.
fn renew(board: &StageBoard, view: &Arc<Live>, out: &watch::Sender<Option<Arc<Live>>>) {
    out.send_if_modified(|slot| {
        if let Some(held) = slot.as_mut().filter(|held| held.as_of < view.as_of) {
            *held = view.clone();
            if view.failure.is_none() {
                board.confirmed(&Stage::Cluster, Timestamp::now());
            }
        }
        false
    });
}

/// Names, sizes and times of everything below a path: equal marks mean that nothing needs to be read again.
fn mark(path: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(next) = open.pop() {
        let Ok(meta) = std::fs::metadata(&next) else { continue };
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&next).into_iter().flatten().flatten().map(|e| e.path()));
        }
        found.push((next, meta.len(), meta.modified().ok()));
    }
    found.sort();
    found
}

async fn follow_dump(path: &Path, redactor: &Redactor, board: &StageBoard, out: &watch::Sender<Option<Arc<Live>>>) {
    let mut seen = None;
    let mut renewed = Timestamp::now();
    loop {
        let at = path.to_owned();
        let current = tokio::task::spawn_blocking(move || mark(&at)).await.ok();
        let now = Timestamp::now();
        if seen != current {
            board.started(&Stage::Cluster, now);
            let mut live = read_dump(path.to_owned(), redactor.clone(), now).await;
            if live.failure.is_some() {
                let last = out.borrow().as_deref().cloned().unwrap_or_default();
                live = Live { failure: live.failure, ..last };
            }
            note(board, &live);
            out.send_replace(Some(Arc::new(live)));
            (seen, renewed) = (current, now);
        } else if now.duration_since(renewed) > jiff::SignedDuration::from_secs(30) {
            // Unchanged files are as true now as when they were read.
            let last = out.borrow().clone();
            if let Some(live) = last.filter(|l| l.failure.is_none()) {
                renew(board, &Arc::new(Live { as_of: Some(now), ..(*live).clone() }), out);
            }
            renewed = now;
        }
        tokio::time::sleep(DUMP_PERIOD).await;
    }
}
