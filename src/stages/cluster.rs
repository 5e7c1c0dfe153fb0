//! The cluster stage: a live cluster by watch (daemon) or by one pass (one-shot), or a dump on disk. I/O: through cluster, files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{git::KubeFacts, mark::Mark};
use crate::{
    cluster::{self, Connection, DumpLimits, Inventory, Limits, Progress},
    config::Config,
    daemon::board::{Stage, StageBoard},
    object::Redactor,
    witness::{Failure, Live},
};

/// How often a dump on disk is looked at for changes.
const DUMP_PERIOD: Duration = Duration::from_millis(500);

/// How often the age of a view that nothing changes in is passed on: a cluster in which nothing happens is not stale.
const RENEWAL: Duration = Duration::from_secs(10);

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

/// Keeps reading until dropped: publishes every new view, and notes on the board how it goes.
pub async fn keep_reading(config: Arc<Config>, redactor: Redactor, board: StageBoard, out: watch::Sender<Option<Arc<Live>>>) {
    match &config.cluster.dump {
        Some(path) => follow_dump(path, &redactor, &board, &out).await,
        None => follow_cluster(&config, &redactor, &board, &out).await,
    }
}

fn note(board: &StageBoard, live: &Live) {
    let outcome = live.failure.clone().map_or(Ok(()), Err);
    // What succeeded did so at the moment that the view speaks of.
    let when = live.as_of.filter(|_| outcome.is_ok()).unwrap_or_else(Timestamp::now);
    board.finished(&Stage::Cluster, when, outcome);
}

async fn follow_cluster(config: &Config, redactor: &Redactor, board: &StageBoard, out: &watch::Sender<Option<Arc<Live>>>) {
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
        loop {
            let news = tokio::select! {
                changed = views.changed() => changed.is_ok().then_some(true),
                () = tokio::time::sleep(RENEWAL) => Some(false),
            };
            let Some(news) = news else { break };
            let view = views.borrow_and_update().clone();
            // Before the first view there is nothing to publish: the one that is held is empty.
            if news || view.as_of.is_some() && view.failure.is_none() {
                note(board, &view);
                out.send_if_modified(|slot| {
                    *slot = Some(view);
                    news
                });
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn follow_dump(path: &Path, redactor: &Redactor, board: &StageBoard, out: &watch::Sender<Option<Arc<Live>>>) {
    let mut seen = None;
    let mut renewed = Timestamp::now();
    loop {
        let at = path.to_owned();
        let current = tokio::task::spawn_blocking(move || Mark::of([at])).await.ok();
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
            out.send_if_modified(|slot| {
                if let Some(live) = slot.as_ref().filter(|l| l.failure.is_none()) {
                    *slot = Some(Arc::new(Live { as_of: Some(now), ..(**live).clone() }));
                }
                false
            });
            renewed = now;
        }
        tokio::time::sleep(DUMP_PERIOD).await;
    }
}
