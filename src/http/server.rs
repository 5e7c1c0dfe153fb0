//! The listener: connections with limits, TLS, and a graceful stop. I/O: a TCP listener.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{auth, routes, state::State, tls::Tls};

/// Bounds of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take to arrive, idle time before it included.
    pub head: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long one connection may last.
    pub life: Duration,
    /// How long open requests may take to end once a stop is asked for.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 256, head: seconds(20), handshake: seconds(10), life: seconds(600), grace: seconds(3) }
    }
}

/// Bytes that the head of a request may have.
const HEAD_BYTES: usize = 64 * 1024;

/// Why the listener could not start.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Another program has the port.
    #[error("port {} is in use on {}: stop the program that has it, or set web.listen to another port (0 picks a free one)", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; check web.listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("web.tls: {0}")]
    Tls(String),
    /// The token file cannot be used.
    #[error("web.token_file: {0}")]
    Token(String),
}

impl HttpError {
    /// Stable snake_case word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PortInUse(_) => "port_in_use",
            Self::Bind { .. } => "bind_failed",
            Self::Tls(_) => "tls_unusable",
            Self::Token(_) => "token_unusable",
        }
    }
}

/// A listener that is bound but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Limits,
}

impl Server {
    /// Binds the address and reads token and certificate once, so that a mistake shows at the start and not at the first request.
    pub async fn bind(state: State) -> Result<Self, HttpError> {
        let wanted = state.web.listen;
        if let Some(path) = &state.web.token_file {
            auth::read_token(path).await.map_err(HttpError::Token)?;
        }
        let tls = match &state.web.tls {
            Some((certificate, key)) => Some(Arc::new(Tls::new(certificate.clone(), key.clone()).await.map_err(HttpError::Tls)?)),
            None => None,
        };
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => HttpError::PortInUse(wanted),
            _ => HttpError::Bind { address: wanted, source },
        };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(|source| HttpError::Bind { address: wanted, source })?;
        if !wanted.ip().is_loopback() && state.web.token_file.is_none() {
            tracing::warn!(%address, "anyone who reaches this address can read the report: set web.token_file, or listen on 127.0.0.1");
        }
        Ok(Self { listener, address, tls, router: routes::router(state), limits: Limits::default() })
    }

    /// Other bounds than the usual ones.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address that was bound; with the port that was picked if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until a stop is asked for, then lets open requests end, for [`Limits::grace`] at most.
    pub async fn serve(self, stop: CancellationToken) {
        let (turns, tasks, end) = (Arc::new(Semaphore::new(self.limits.connections)), TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = async {
                let turn = turns.clone().acquire_owned().await;
                (self.listener.accept().await, turn)
            };
            let (stream, turn) = tokio::select! {
                () = stop.cancelled() => break,
                (stream, turn) = accepted => (stream, turn),
            };
            let stream = match stream {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: give open connections time to end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let (tls, router, limits, stop, end) = (self.tls.clone(), self.router.clone(), self.limits, stop.clone(), end.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = connection(stream, tls, router, limits, stop) => {}
                }
                drop(turn);
            });
        }
        drop(self.listener);
        tasks.close();
        if timeout(self.limits.grace, tasks.wait()).await.is_err() {
            end.cancel();
            tasks.wait().await;
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<Arc<Tls>>, router: Router, limits: Limits, stop: CancellationToken) {
    // Answers are small; waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, router, limits, stop).await,
        Some(tls) => match timeout(limits.handshake, tls.acceptor().await.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, router, limits, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, limits: Limits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_header_size(HEAD_BYTES);
    let mut talk = std::pin::pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        () = async { tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(limits.life) => {} } } => {
            talk.as_mut().graceful_shutdown();
            match timeout(limits.life, talk).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
