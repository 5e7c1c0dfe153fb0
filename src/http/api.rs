//! `/api/v1`: the report and its parts as JSON. I/O: blocking threads.
//!
//! Answers are made on blocking threads: a report of many objects takes milliseconds to write.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State as Extract,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    problem::Problem,
    state::{Published, State},
};
use crate::{
    config::Layer,
    object::ObjectId,
    report::{
        self, Report,
        model::{Drift, ObjectReport, Recovery},
    },
};

/// Objects of one answer, unless asked otherwise.
pub const LIMIT: usize = 500;
/// Objects of one answer at most.
pub const MAX_LIMIT: usize = 5000;

/// The query of a request; unknown keys are refused.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let parsed = axum::extract::Query::<T>::try_from_uri(uri);
    parsed.map(|query| query.0).map_err(|refused| Problem::bad_request(super::page::text::shown(&refused.body_text())))
}

/// The newest report, or that there is none.
pub(super) fn published(state: &State) -> Result<Arc<Published>, Problem> {
    state.published().ok_or_else(Problem::not_ready)
}

/// Runs work on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be made; the log says why");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

fn json_response(document: &impl Serialize) -> Result<Response, Problem> {
    let internal = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written as JSON");
    let body = serde_json::to_vec(document).map_err(internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    #[serde(default)]
    all: bool,
}

/// The report. Clean objects, and blind spots that nobody asks about, are in it with `all=true` only; the counts always cover them.
pub(super) async fn report(Extract(state): Extract<State>, uri: Uri) -> Result<Response, Problem> {
    let query: ReportQuery = query(&uri)?;
    let published = published(&state)?;
    blocking(move || json_response(report::json::printed(&published.report, query.all).as_ref())).await?
}

/// Which objects are asked for. Lists are separated by commas.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectsQuery {
    app: Option<String>,
    layer: Option<String>,
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    drift: Option<String>,
    recovery: Option<String>,
    #[serde(default)]
    all: bool,
    limit: Option<usize>,
    #[serde(rename = "continue")]
    after: Option<String>,
}

/// The parsed form of [`ObjectsQuery`].
struct Selection {
    query: ObjectsQuery,
    layers: Option<Vec<Layer>>,
    drifts: Option<Vec<Drift>>,
    recoveries: Option<Vec<Recovery>>,
    after: Option<ObjectId>,
    limit: usize,
}

/// Reads a list of names of a closed set; an unknown one is refused with the ones that there are.
fn named<T: Copy>(key: &str, text: Option<&str>, all: &[T], name: fn(T) -> &'static str) -> Result<Option<Vec<T>>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let one = |word: &str| all.iter().copied().find(|value| name(*value) == word);
    let parsed: Option<Vec<T>> = text.split(',').map(|word| one(word.trim())).collect();
    parsed.map(Some).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|value| name(*value)).collect();
        Problem::bad_request(format!("{key} must be one or more of {}", known.join(", ")))
    })
}

impl Selection {
    fn new(query: ObjectsQuery) -> Result<Self, Problem> {
        let limit = query.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > MAX_LIMIT {
            return Err(Problem::bad_request(format!("limit must be between 1 and {MAX_LIMIT}")));
        }
        let after = query.after.as_deref().filter(|token| !token.is_empty());
        let after = after.map(|token| {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            serde_json::from_slice(&bytes).ok()
        });
        let after = match after {
            Some(None) => return Err(Problem::bad_request("continue is not a token of an earlier answer")),
            Some(found) => found,
            None => None,
        };
        Ok(Self {
            layers: named("layer", query.layer.as_deref(), &Layer::ALL, Layer::name)?,
            drifts: named("drift", query.drift.as_deref(), &Drift::ALL, Drift::name)?,
            recoveries: named("recovery", query.recovery.as_deref(), &Recovery::ALL, Recovery::name)?,
            after,
            limit,
            query,
        })
    }

    /// Clean objects are asked for by `all`, or by naming a verdict.
    fn admits(&self, object: &ObjectReport) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == value);
        let kind = |wanted: &str| wanted.is_empty() || *wanted == *object.id.gk.kind || wanted == object.id.gk.to_string();
        (self.query.all || self.drifts.is_some() || self.recoveries.is_some() || object.is_finding())
            && is(&self.query.app, object.app.as_ref().map_or("", |app| &app.0))
            && is(&self.query.namespace, object.id.namespace.as_deref().unwrap_or_default())
            && is(&self.query.name, &object.id.name)
            && self.query.kind.as_deref().is_none_or(kind)
            && self.layers.as_ref().is_none_or(|layers| layers.contains(&object.layer))
            && self.drifts.as_ref().is_none_or(|drifts| drifts.contains(&object.drift))
            && self.recoveries.as_ref().is_none_or(|recoveries| recoveries.contains(&object.recovery))
    }
}

#[derive(Serialize)]
struct ObjectsAnswer<'a> {
    now: jiff::Timestamp,
    total: usize,
    objects: &'a [&'a ObjectReport],
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Objects in the order of their identity. The token names the last one, so that pages stay whole over a newer report.
pub(super) async fn objects(Extract(state): Extract<State>, uri: Uri) -> Result<Response, Problem> {
    let selection = Selection::new(query(&uri)?)?;
    let published = published(&state)?;
    blocking(move || {
        let mut found: Vec<&ObjectReport> = published.report.objects.iter().filter(|object| selection.admits(object)).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let from = selection.after.as_ref().map_or(0, |after| found.partition_point(|object| object.id <= *after));
        let page = &found[from..found.len().min(from.saturating_add(selection.limit))];
        let more = from + page.len() < found.len();
        let next = page.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(json!(last.id).to_string()));
        json_response(&ObjectsAnswer { now: published.report.now, total: found.len(), objects: page, next })
    })
    .await?
}

/// Which one object is asked for. Without a group the kind must name one object alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectQuery {
    group: Option<String>,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl ObjectQuery {
    /// The object in a report.
    pub(super) fn find<'a>(&self, report: &'a Report) -> Result<&'a ObjectReport, Problem> {
        let namespace = self.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let hit = |object: &&ObjectReport| {
            let id = &object.id;
            *self.kind == *id.gk.kind
                && *self.name == *id.name
                && namespace == id.namespace.as_deref()
                && self.group.as_deref().is_none_or(|group| group == &*id.gk.group)
        };
        let mut hits = report.objects.iter().filter(hit);
        match (hits.next(), hits.next()) {
            (Some(object), None) => Ok(object),
            (Some(_), Some(_)) => Err(Problem::bad_request("several groups have this kind; say which with group=")),
            (None, _) => Err(Problem::new(StatusCode::NOT_FOUND, "no_such_object", "neither Git nor cluster nor a usable backup holds this object")),
        }
    }
}

/// One object with its evidence.
pub(super) async fn object(Extract(state): Extract<State>, uri: Uri) -> Result<Response, Problem> {
    let query: ObjectQuery = query(&uri)?;
    let published = published(&state)?;
    blocking(move || {
        let object = query.find(&published.report)?;
        json_response(&json!({"now": published.report.now, "object": object, "evidence": (published.explain)(&object.id)}))
    })
    .await?
}

/// Apps, sources and windows.
pub(super) async fn apps(Extract(state): Extract<State>) -> Result<Response, Problem> {
    let published = published(&state)?;
    let report = &published.report;
    json_response(&json!({"now": report.now, "apps": report.apps, "sources": report.sources, "windows": report.windows}))
}

/// Which backups are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupsQuery {
    backup: Option<String>,
    schedule: Option<String>,
}

/// Backups with what they hold against their specs and what became of them, schedules and storage locations.
pub(super) async fn backups(Extract(state): Extract<State>, uri: Uri) -> Result<Response, Problem> {
    let BackupsQuery { backup, schedule } = query(&uri)?;
    let (backup, schedule) = (backup.filter(|name| !name.is_empty()), schedule.filter(|name| !name.is_empty()));
    let published = published(&state)?;
    let report = &published.report;
    let is = |name: &str, of: Option<&str>| {
        backup.as_deref().is_none_or(|wanted| wanted == name) && schedule.as_deref().is_none_or(|wanted| of == Some(wanted))
    };
    let backups: Vec<_> = report.backups.iter().filter(|b| is(&b.name, b.schedule.as_deref())).collect();
    let disagreements: Vec<_> = report.disagreements.iter().filter(|d| is(&d.backup, d.schedule.as_deref())).collect();
    // Whoever asks for one backup or schedule is told of that one only.
    let all = backup.is_none() && schedule.is_none();
    let restores: Vec<_> = report.restores.iter().filter(|r| all || backups.iter().any(|b| r.backup.as_ref() == Some(&b.name))).collect();
    let by = |name: &str| backups.iter().any(|b| b.schedule.as_deref() == Some(name));
    let schedules: Vec<_> = report.schedules.iter().filter(|s| all || schedule.as_deref().map_or_else(|| by(&s.name), |w| w == &*s.name)).collect();
    json_response(&json!({
        "now": report.now, "backups": backups, "disagreements": disagreements, "restores": restores, "schedules": schedules,
        "locations": report.locations,
    }))
}

/// How the program and its stages are doing. Answers before the first report too.
pub(super) async fn status(Extract(state): Extract<State>) -> Result<Response, Problem> {
    let config = state.counters.config_loads();
    let published = state.published();
    let report = published.as_ref().map(|p| json!({"now": p.report.now, "as_of": p.report.as_of, "objects": p.report.summary.objects}));
    json_response(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": (state.clock)(),
        "missing": state.missing(),
        "config": {"last_reload_successful": config.ok, "last_success": config.at},
        "report": report,
        "stages": state.board.snapshot(),
    }))
}

/// The JSON Schema of the report.
pub(super) async fn schema() -> Result<Response, Problem> {
    json_response(&crate::report::schema::report())
}
