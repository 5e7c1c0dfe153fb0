//! The daemon as a whole: listener, tasks, signals, reload, stop. I/O: signals, a listener, tasks.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    board::StageBoard,
    memory::Memory,
    state::StateError,
    tasks::{Shared, Tasks},
};
use crate::{
    config::Config,
    http::{self, HttpError, Published, State},
    metrics::{BuildInfo, Counters, Exposition},
    object::Redactor,
    stages::git::RenderEnv,
};

/// Why the daemon could not start.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The listener.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The metrics registry, or signal handlers.
    #[error("cannot start: {0}")]
    Start(String),
}

/// Loads the configuration anew; the error is for people.
pub type Load = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What the daemon is started with.
pub struct Setup {
    /// The configuration to begin with.
    pub config: Config,
    /// How to load it again.
    pub load: Load,
    /// Hides Secret values.
    pub redactor: Redactor,
    /// This program, for confined renders.
    pub launcher: PathBuf,
    /// Ends the daemon when cancelled, as SIGTERM does.
    pub stop: CancellationToken,
    /// Told the address once the listener is open.
    pub ready: Option<tokio::sync::oneshot::Sender<SocketAddr>>,
}

/// Runs until SIGTERM, SIGINT or `stop`.
pub async fn run(setup: Setup) -> Result<(), DaemonError> {
    let Setup { config, load, redactor, launcher, stop, ready } = setup;
    let start = |e: &dyn std::fmt::Display| DaemonError::Start(e.to_string());
    let memory = Memory::load(config.state_file.as_deref())?;
    let counters = Arc::new(Counters::new().map_err(|e| start(&e))?);
    let board = StageBoard::new();
    let (report_out, report) = watch::channel::<Option<Arc<Published>>>(None);
    let (limits_out, limits) = watch::channel(config.metrics);
    let latest = http::latest(report.clone(), move || *limits.borrow());
    let metrics = Arc::new(Exposition::new(BuildInfo::current(), counters.clone(), board.clone(), latest).map_err(|e| start(&e))?);
    let (poll_out, mut poll) = mpsc::channel(16);
    let (reload_out, mut reload) = mpsc::channel::<http::ReloadRequest>(4);
    let state = State {
        report,
        poll: poll_out,
        reload: reload_out,
        web: config.web.clone(),
        board: board.clone(),
        counters: counters.clone(),
        metrics,
        clock: Timestamp::now,
    };
    let server = http::Server::bind(state).await?;
    let address = server.address();
    info!(%address, "listening");
    if !address.ip().is_loopback() && config.web.token_file.is_none() {
        warn!(%address, "the page is open to whoever can reach this address; set web.token_file to ask for a token");
    }
    let server_stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(server_stop.clone()));
    if let Some(ready) = ready {
        // Nobody may be waiting for it any more.
        let _ = ready.send(address);
    }
    let mut signals = Signals::new().map_err(|e| start(&e))?;
    let shared = Shared { board, counters: counters.clone(), report: report_out, redactor, memory: memory.clone() };
    counters.config_loaded(true, Timestamp::now());
    let mut web = config.web.clone();
    let mut state_file = config.state_file.clone();
    let mut tasks = begin(config, &launcher, &shared);
    loop {
        let answer = tokio::select! {
            () = stop.cancelled() => break,
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => None,
            },
            Some(source) = poll.recv() => { tasks.poll(source.as_ref()); continue }
            Some(answer) = reload.recv() => Some(answer),
        };
        let outcome = match load() {
            Ok(next) => {
                if next.web != web || next.state_file != state_file {
                    warn!("web and state_file are read at the start only; restart to change them");
                    (web, state_file) = (next.web.clone(), next.state_file.clone());
                }
                limits_out.send_replace(next.metrics);
                tasks.stop().await;
                tasks = begin(next, &launcher, &shared);
                info!("configuration loaded");
                Ok(())
            }
            Err(e) => {
                error!("configuration refused, the one before stays in force: {e}");
                Err(e)
            }
        };
        counters.config_loaded(outcome.is_ok(), Timestamp::now());
        if let Some(answer) = answer {
            // The client may have gone away.
            let _ = answer.send(outcome);
        }
    }
    info!("stopping");
    server_stop.cancel();
    tasks.stop().await;
    memory.save(Timestamp::now());
    if tokio::time::timeout(Duration::from_secs(1), serving).await.is_err() {
        warn!("some requests were still open");
    }
    Ok(())
}

fn begin(config: Config, launcher: &std::path::Path, shared: &Shared) -> Tasks {
    let env = RenderEnv::new(&config, shared.redactor.clone(), launcher.to_owned());
    Tasks::start(Arc::new(config), env, shared.clone())
}

enum Signal {
    Stop,
    Reload,
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
