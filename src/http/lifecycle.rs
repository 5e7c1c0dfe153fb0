//! The two requests that cause work: a poll of Git, and a reload. I/O: tokio channels, the monotonic clock.

use std::{sync::Mutex, sync::PoisonError, time::Duration, time::Instant};

use axum::{
    Json,
    body::Body,
    extract::State as Extract,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::timeout,
};

use super::{api::query, problem::Problem, state::State};
use crate::config::SourceName;

/// Bytes that the body of a request may have. Forges send what was pushed; it is read and dropped.
pub const MAX_BODY: usize = 1024 * 1024;
/// Polls that may be asked for at once; one more is granted each second.
pub const BURST: u32 = 10;
/// How long a reload may take.
const RELOAD: Duration = Duration::from_secs(25);

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<(f64, Option<Instant>)>);

impl Bucket {
    pub(super) fn new() -> Self {
        Self(Mutex::new((f64::from(BURST), None)))
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = bucket.1.map_or(0.0, |last| now.saturating_duration_since(last).as_secs_f64());
        bucket.0 = (bucket.0 + gained).min(f64::from(BURST));
        bucket.1 = Some(now);
        let granted = bucket.0 >= 1.0;
        if granted {
            bucket.0 -= 1.0;
        }
        granted
    }
}

async fn drop_body(body: Body) -> Result<(), Problem> {
    let large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {MAX_BODY} bytes, or broke off"));
    axum::body::to_bytes(body, MAX_BODY).await.map(drop).map_err(large)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Poll {
    source: Option<String>,
}

/// Asks for a poll of one source or of all. The answer comes at once; a poll that is asked for already is not asked for twice.
pub(super) async fn poll(Extract((state, bucket)): Extract<(State, std::sync::Arc<Bucket>)>, uri: Uri, body: Body) -> Result<Response, Problem> {
    drop_body(body).await?;
    let source = query::<Poll>(&uri)?.source.filter(|name| !name.is_empty());
    if let (Some(name), Some(published)) = (&source, state.published())
        && !published.report.sources.iter().any(|known| &*known.name.0 == name)
    {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_source", "no source has this name; /api/v1/apps lists them"));
    }
    if !bucket.take(Instant::now()) {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_polls", "polls are asked for too often").retry_after(1));
    }
    match state.poll.try_send(source.map(|name| SourceName(name.into()))) {
        Ok(()) | Err(TrySendError::Full(_)) => Ok((StatusCode::ACCEPTED, Json(json!({"accepted": true}))).into_response()),
        Err(TrySendError::Closed(_)) => Err(stopping()),
    }
}

/// Asks for the configuration to be loaded again and waits for the outcome.
pub(super) async fn reload(Extract(state): Extract<State>, body: Body) -> Result<Response, Problem> {
    drop_body(body).await?;
    if !state.web.enable_lifecycle {
        return Err(Problem::new(StatusCode::FORBIDDEN, "lifecycle_disabled", "start with --web.enable-lifecycle to allow this, or send SIGHUP"));
    }
    let (answer, outcome) = oneshot::channel();
    let asked = async {
        state.reload.send(answer).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())
    };
    let late = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", "the reload takes longer than expected; the log will say how it ended");
    match timeout(RELOAD, asked).await.map_err(late)?? {
        Ok(()) => Ok(Json(json!({"reloaded": true})).into_response()),
        Err(message) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reload_failed", message)),
    }
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_granted_in_a_burst_and_then_once_a_second() {
        let (bucket, start) = (Bucket::new(), Instant::now());
        let granted = |at: u64| (0..20).filter(|_| bucket.take(start + Duration::from_secs(at))).count();
        assert_eq!((granted(0), granted(3), granted(3), granted(1000)), (10, 3, 0, 10));
    }
}
