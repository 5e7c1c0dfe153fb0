//! All routes, with the names under which they are counted. I/O: none of its own; it hands requests on.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State as Extract,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};

use super::{
    api,
    guard::{Guard, guard},
    lifecycle,
    page::{self, Message, StageRow, home, object::ObjectPage},
    problem::Problem,
    state::State,
};
use crate::metrics::CONTENT_TYPE;

/// Names of the routes that answer without a token and without waiting for a turn.
pub(super) const PROBES: [&str; 3] = ["livez", "readyz", "healthz"];

/// The name of a route as a label value; never the path itself, which is the client's to choose.
pub(super) fn name(path: &str) -> &'static str {
    match path {
        "/" => "page",
        "/objects/view" => "object_page",
        "/icon.svg" => "icon",
        "/metrics" => "metrics",
        "/livez" => "livez",
        "/readyz" => "readyz",
        "/healthz" => "healthz",
        "/api/v1/report" => "api_report",
        "/api/v1/objects" => "api_objects",
        "/api/v1/object" => "api_object",
        "/api/v1/apps" => "api_apps",
        "/api/v1/backups" => "api_backups",
        "/api/v1/status" => "api_status",
        "/api/v1/schema" => "api_schema",
        "/-/poll" => "poll",
        "/-/reload" => "reload",
        _ => "other",
    }
}

/// The router over a state.
pub(super) fn router(state: State) -> Router {
    let polls = Router::new().route("/-/poll", post(lifecycle::poll)).with_state((state.clone(), Arc::new(lifecycle::Bucket::new())));
    Router::new()
        .route("/", get(front))
        .route("/objects/view", get(evidence))
        .route("/icon.svg", get(|| async { ([(header::CONTENT_TYPE, "image/svg+xml")], page::ICON) }))
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/api/v1/report", get(api::report))
        .route("/api/v1/objects", get(api::objects))
        .route("/api/v1/object", get(api::object))
        .route("/api/v1/apps", get(api::apps))
        .route("/api/v1/backups", get(api::backups))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/schema", get(api::schema))
        .route("/-/reload", post(lifecycle::reload).put(lifecycle::reload))
        .with_state(state.clone())
        .merge(polls)
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Guard::new(state), guard))
}

async fn metrics(Extract(state): Extract<State>) -> Result<Response, Problem> {
    let failed = |e: prometheus::Error| {
        tracing::error!(error = %e, "the metrics could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics could not be written; the log says why")
    };
    let text = api::blocking(move || state.metrics.text()).await?.map_err(failed)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn ready(Extract(state): Extract<State>) -> Response {
    match &state.missing()[..] {
        [] => "ready\n".into_response(),
        missing => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; "))).into_response(),
    }
}

fn html(template: &impl Template) -> Result<Response, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the page could not be written");
    template.render().map(|text| Html(text).into_response()).map_err(failed)
}

fn message(status: StatusCode, title: &str, text: &str, stages: Vec<StageRow>) -> Response {
    match html(&Message { title, text, stages }) {
        Ok(page) => (status, page).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// A problem as a page, for people.
fn told(problem: Problem) -> Response {
    let title = if problem.status == StatusCode::NOT_FOUND { "Not found" } else { "This could not be answered" };
    message(problem.status, title, &problem.message, vec![])
}

async fn front(Extract(state): Extract<State>, uri: Uri) -> Response {
    let query: home::Query = match api::query(&uri) {
        Ok(query) => query,
        Err(problem) => return told(problem),
    };
    let Some(published) = state.published() else {
        let stages = StageRow::of(&state.board.snapshot());
        return message(StatusCode::OK, "Reading Git, cluster and backups", "The first report is being made. This page reloads by itself.", stages);
    };
    let now = (state.clock)();
    match api::blocking(move || html(&home::Home::new(&published.report, query, now))).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) | Err(problem) => told(problem),
    }
}

async fn evidence(Extract(state): Extract<State>, uri: Uri) -> Response {
    let now = (state.clock)();
    let found = async {
        let query: api::ObjectQuery = api::query(&uri)?;
        let published = api::published(&state)?;
        api::blocking(move || {
            let object = query.find(&published.report)?;
            let evidence = (published.explain)(&object.id);
            html(&ObjectPage::new(object, evidence.as_ref(), &published.report, now))
        })
        .await?
    };
    found.await.unwrap_or_else(told)
}

async fn nowhere(headers: HeaderMap) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "no_such_page", "there is nothing here; the report is at /, the API under /api/v1/");
    let browser = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().windows(9).any(|part| part == b"text/html"));
    if browser { told(problem) } else { problem.into_response() }
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this is read with GET; /-/poll and /-/reload are asked with POST")
}
