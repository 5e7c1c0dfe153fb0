//! Velero's DownloadRequests: made, waited for, taken away again. I/O: the Kubernetes API.
//!
//! Source: pkg/controller/download_request_controller.go. Velero answers with a signed address that holds for ten minutes. When the backup or
//! its location is not there, releases up to 1.18 say nothing at all, so the wait has a limit of its own.

use std::time::Duration;

use kube::core::{
    Request,
    params::{DeleteParams, GetParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{
    call::CallError,
    client::Connection,
    wire::{built, whole},
};
use crate::velero::store::{StoreError, error::Fault, signed::SignedUrl};

/// Longest time for one call.
const CALL: Duration = Duration::from_secs(15);

/// How often Velero's answer is looked for.
const PERIOD: Duration = Duration::from_millis(500);

/// Bytes of a DownloadRequest.
const MAX_BYTES: usize = 1 << 20;

/// Sends a request that kube built and reads the answer as JSON. A macro, because the request's type is of a crate that only kube knows.
macro_rules! send {
    ($pending:expr, $request:expr) => {{
        let work = async {
            let request = built($request)?;
            let body = $pending.connection.client.request_stream(request).await.map_err(|e| CallError::of(&e))?;
            let text = whole(Box::pin(body), MAX_BYTES).await?;
            serde_json::from_slice::<Value>(&text).map_err(|e| CallError::malformed(&e))
        };
        timeout(CALL, work).await.unwrap_or(Err(CallError::Timeout(CALL)))
    }};
}

/// A DownloadRequest that was answered. [`Download::end`] takes it away.
#[derive(Debug)]
pub struct Download {
    request: Pending,
    /// Where the file can be fetched.
    pub url: SignedUrl,
}

#[derive(Debug)]
struct Pending {
    connection: Connection,
    path: String,
    name: String,
}

fn refused(reason: &'static str, message: String) -> StoreError {
    StoreError::new("DownloadRequest", Fault::Velero { reason, message })
}

/// A call that failed. 403 names the permission.
fn failed(verb: &str, namespace: &str, error: &CallError) -> StoreError {
    match error {
        CallError::Status { code: 403, .. } => refused(
            "download_forbidden",
            format!(
                "may not {verb} downloadrequests.velero.io in namespace {namespace}; grant create, get and delete on them \
                 (`snapgap rbac --with download-requests` prints the role)"
            ),
        ),
        CallError::Status { code: 404, .. } => {
            refused("download_unserved", format!("namespace {namespace} of the cluster has no DownloadRequests; is Velero installed there?"))
        }
        other => refused("download_failed", format!("cannot {verb} a DownloadRequest: {other}")),
    }
}

/// Asks Velero where a file of a backup can be fetched; `kind` is the kind of the request's target (`BackupContents`, `BackupResults` ...).
///
/// # Errors
/// When it may not be asked, or does not answer in time.
pub async fn ask(connection: &Connection, namespace: &str, kind: &str, backup: &str, limit: Duration) -> Result<Download, StoreError> {
    let body = json!({"apiVersion": "velero.io/v1", "kind": "DownloadRequest", "metadata": {"generateName": "snapgap-", "namespace": namespace},
        "spec": {"target": {"kind": kind, "name": backup}}});
    let mut request =
        Pending { connection: connection.clone(), path: format!("/apis/velero.io/v1/namespaces/{namespace}/downloadrequests"), name: String::new() };
    let made = send!(request, Request::new(&request.path).create(&PostParams::default(), body.to_string().into_bytes()));
    let made = made.map_err(|e| failed("create", namespace, &e))?;
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    request.name = text(&made, "/metadata/name").ok_or_else(|| failed("create", namespace, &CallError::Malformed("it has no name".into())))?;
    let begun = Instant::now();
    let outcome = loop {
        let now = match send!(request, Request::new(&request.path).get(&request.name, &GetParams::default())) {
            Ok(now) => now,
            Err(e) => break Err(failed("get", namespace, &e)),
        };
        if let Some(url) = text(&now, "/status/downloadURL") {
            break Ok(SignedUrl::new(url));
        }
        // Phase and message of failures come with releases after 1.18.
        if text(&now, "/status/phase").as_deref() == Some("Failed") {
            let why: String = text(&now, "/status/message").unwrap_or_default().chars().take(300).collect();
            let why = if why.contains("://") { String::new() } else { why };
            break Err(refused("download_failed", format!("Velero could not answer for backup {backup}: {why}")));
        }
        if begun.elapsed() >= limit {
            break Err(refused(
                "download_unprocessed",
                format!(
                    "Velero did not answer for backup {backup} within {} s; it says nothing when the backup or its storage location is not there, \
                     so look whether Velero runs and the location is available",
                    limit.as_secs()
                ),
            ));
        }
        sleep(PERIOD).await;
    };
    match outcome {
        Ok(url) => Ok(Download { request, url }),
        Err(e) => {
            request.end().await;
            Err(e)
        }
    }
}

impl Download {
    /// Takes the request away.
    pub async fn end(self) {
        self.request.end().await;
    }
}

impl Pending {
    /// Velero deletes what has expired itself, so a request that cannot be deleted is only worth a word.
    async fn end(&self) {
        let gone = send!(self, Request::new(&self.path).delete(&self.name, &DeleteParams::default()));
        if let Err(e) = gone {
            tracing::debug!(name = %self.name, "a DownloadRequest could not be deleted: {e}");
        }
    }
}
