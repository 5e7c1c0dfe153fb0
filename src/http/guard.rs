//! What stands before every route: who may ask, how much at once, how long, and the headers of every answer. I/O: the token file.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, time::timeout};

use super::{auth, page, problem::Problem, routes, state::State};

/// Requests that are worked on at once, probes not counted.
pub const MAX_REQUESTS: usize = 32;
/// How long a request waits for its turn.
pub const QUEUE: Duration = Duration::from_secs(5);
/// How long an answer may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What the guard needs besides the request.
#[derive(Clone, Debug)]
pub struct Guard {
    state: State,
    turns: Arc<Semaphore>,
    policy: HeaderValue,
}

impl Guard {
    /// A guard over this state.
    pub fn new(state: State) -> Self {
        let hash = STANDARD.encode(Sha256::digest(page::STYLE.as_bytes()));
        let policy =
            format!("default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
        // The text is ASCII by construction.
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { state, turns: Arc::new(Semaphore::new(MAX_REQUESTS)), policy }
    }
}

/// The one layer over all routes.
pub async fn guard(Extract(guard): Extract<Guard>, request: Request, next: Next) -> Response {
    let began = std::time::Instant::now();
    let handler = routes::name(request.uri().path());
    let mut response = match admitted(&guard, handler, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    dress(&guard, response.headers_mut());
    guard.state.counters.http(handler, response.status().as_u16(), began.elapsed());
    response
}

async fn admitted(guard: &Guard, handler: &str, request: Request, next: Next) -> Result<Response, Problem> {
    if routes::PROBES.contains(&handler) {
        return Ok(next.run(request).await);
    }
    match &guard.state.web.token_file {
        Some(path) => auth::check(path, request.headers()).await?,
        None if guard.state.web.listen.ip().is_loopback() => own_name(request.headers())?,
        None => {}
    }
    if request.method() == Method::POST || request.method() == Method::PUT {
        same_site(request.headers())?;
    }
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", format!("{MAX_REQUESTS} requests are being worked on")).retry_after(5);
    let _turn = timeout(QUEUE, guard.turns.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let late = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", format!("the answer took longer than {} s", DEADLINE.as_secs()));
    timeout(DEADLINE, next.run(request)).await.map_err(late)
}

/// A listener on loopback without a token is open to every program of this machine, but must not be to the web pages that its browser
/// shows: a page whose own name was pointed at 127.0.0.1 (DNS rebinding) sends that name as `Host`.
fn own_name(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(host) = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default()) else { return Ok(()) };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "foreign_host",
        "a listener on loopback without a token answers to localhost and to addresses only; set web.token_file to use another name",
    ))
}

/// Nothing is changed for a page of another site. Programs do not send this header.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", "the request comes from a page of another site")),
    }
}

fn dress(guard: &Guard, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, guard.policy.clone());
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_answers_to_its_own_names_only() {
        let with = |host: &str| own_name(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())])).is_ok();
        for host in ["localhost", "localhost:8080", "LOCALHOST.:80", "snapgap.localhost:1", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7"] {
            assert!(with(host), "{host}");
        }
        for host in ["evil.example.com", "evil.example.com:8080", "localhost.example.com", "127.0.0.1.example.com", "", "\u{7f}".trim()] {
            assert!(host.parse::<HeaderValue>().is_err() || !with(host), "{host}");
        }
    }
}
