//! Dry runs of server-side apply, in a deployer's name: the only requests with a write verb, and only if they were asked for. I/O: the Kubernetes API.
//!
//! `dryRun=All` goes through authorization, admission and validation and stores nothing. A webhook that declares side effects is not called: the
//! server refuses the dry run instead (apiserver pkg/admission/plugin/webhook/mutating/dispatcher.go). The manifest carries the resource version that
//! was compared, so that the answer is about that state or there is none.

use std::time::Duration;

use kube::core::{
    Request, Status,
    params::{Patch, PatchParams},
};
use serde_json::Value;

use super::{
    call::CallError,
    wire::{Wire, built, whole},
};
use crate::{metrics::Verb, object::Gvk, witness::Failure};

/// Bytes of an answer. An object has 1.5 MB at most where etcd keeps it.
const MAX_BYTES: usize = 16 << 20;

/// Causes of a refusal that are told.
const MOST_CAUSES: usize = 4;

/// Longest message that is passed on, in characters.
const LONGEST: usize = 400;

/// What to ask.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Kind, in the version that the manifest names.
    pub gvk: &'a Gvk,
    /// Plural resource name.
    pub plural: &'a str,
    /// Namespace, if the kind has one.
    pub namespace: Option<&'a str>,
    /// Name.
    pub name: &'a str,
    /// In whose name.
    pub manager: &'a str,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum DryRun {
    /// The object as it would be.
    Would(Value),
    /// The server would not take the manifest: `reason` is a stable word.
    Refused(Failure),
    /// Asking is not permitted.
    Forbidden(Failure),
    /// The object is not the one that was compared any more.
    Moved,
    /// No answer, or none about the manifest; how long the server asks to be left alone.
    Nothing(Failure, Option<Duration>),
}

impl Ask<'_> {
    fn collection(&self, version: &str) -> String {
        let root = if self.gvk.gk.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", self.gvk.gk.group) };
        match self.namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The resource as RBAC names it.
    fn resource(&self) -> String {
        if self.gvk.gk.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.gvk.gk.group) }
    }
}

impl Wire {
    /// Asks what an apply of this manifest would come to. Nothing is stored.
    pub async fn dry_run(&self, ask: &Ask<'_>, manifest: &Value) -> DryRun {
        let params = PatchParams { dry_run: true, force: true, field_manager: Some(ask.manager.to_owned()), ..PatchParams::default() };
        let request = match built(Request::new(ask.collection(&ask.gvk.version)).patch(ask.name, &params, &Patch::Apply(manifest))) {
            Ok(request) => request,
            Err(e) => return nothing(&e),
        };
        let mut refused = None;
        let call = async {
            let mut pending = self.tally.begin(Verb::Patch);
            match self.connection().client.request_stream(request).await {
                Ok(body) => {
                    pending.answered(200);
                    let text = whole(Box::pin(body), MAX_BYTES).await?;
                    serde_json::from_slice(&text).map_err(|e| CallError::malformed(&e))
                }
                Err(e) => {
                    if let kube::Error::Api(status) = &e {
                        pending.answered(status.code);
                        refused = outcome(ask, status);
                    }
                    Err(CallError::of(&e))
                }
            }
        };
        let answer = self.within(call).await;
        match (answer, refused) {
            (Ok(would), _) => DryRun::Would(would),
            (Err(_), Some(outcome)) => outcome,
            (Err(e), None) => nothing(&e),
        }
    }

    /// The object as it is now, in this version.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn now(&self, ask: &Ask<'_>, version: &str) -> Result<Value, CallError> {
        self.one(&ask.collection(version), ask.name).await
    }
}

fn nothing(error: &CallError) -> DryRun {
    DryRun::Nothing(Failure::new(error.kind(), format!("the server gave no answer to the dry run: {error}")), error.retry_after())
}

/// What a refusal means; `None` if it says nothing of the manifest.
fn outcome(ask: &Ask<'_>, status: &Status) -> Option<DryRun> {
    let message = &status.message;
    let refused = |reason: &str| Some(DryRun::Refused(Failure::new(reason, words(status))));
    let unanswered = |reason: &str| Some(DryRun::Nothing(Failure::new(reason, words(status)), None));
    match status.code {
        // An authorizer's own words (apiserver endpoints/handlers/responsewriters); admission refuses with 403 too.
        403 if message.contains(" cannot patch resource ") || message.contains(" cannot create resource ") => {
            Some(DryRun::Forbidden(Failure::new("forbidden", ask.resource())))
        }
        404 | 409 | 410 => Some(DryRun::Moved),
        _ if message.contains("does not support dry run") => unanswered("webhook_side_effects"),
        _ if message.contains("failed calling webhook") => unanswered("webhook_failed"),
        _ if message.contains("failed to create typed patch object") => refused("schema"),
        403 => refused("denied"),
        422 => refused("invalid"),
        400 | 405 | 413 | 415 => refused("rejected"),
        _ => None,
    }
}

/// The server's words, without the values that it quotes.
fn words(status: &Status) -> String {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let told: Vec<String> =
        causes.iter().filter(|c| !c.field.is_empty()).take(MOST_CAUSES).map(|c| format!("{}: {}", c.field, without_value(&c.message))).collect();
    let more = causes.len().saturating_sub(MOST_CAUSES);
    let text = match (told.is_empty(), more) {
        (true, _) => status.message.clone(),
        (false, 0) => told.join("; "),
        (false, more) => format!("{}; and {more} more", told.join("; ")),
    };
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &flat[..cut]),
        None => flat,
    }
}

/// A cause without the value that it quotes (`Invalid value: {...}: field is immutable`).
fn without_value(message: &str) -> &str {
    const QUOTING: [&str; 3] = ["Invalid value: ", "Unsupported value: ", "Duplicate value: "];
    match QUOTING.iter().find(|q| message.starts_with(**q)) {
        Some(quoting) => match message.rsplit_once(": ") {
            Some((head, tail)) if head.len() >= quoting.len() => tail,
            _ => quoting.trim_end_matches(": "),
        },
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn said(code: u16, message: &str) -> String {
        let gvk = Gvk::parse("apps/v1", "Deployment");
        let ask = Ask { gvk: &gvk, plural: "deployments", namespace: Some("shop"), name: "cart", manager: "argocd-controller" };
        match outcome(&ask, &Status::failure(message, "Reason").with_code(code)) {
            Some(DryRun::Refused(f)) => format!("refused {}", f.reason),
            Some(DryRun::Forbidden(f)) => format!("forbidden {}", f.message),
            Some(DryRun::Nothing(f, _)) => format!("nothing {}", f.reason),
            Some(DryRun::Moved) => "moved".into(),
            Some(DryRun::Would(_)) => "would".into(),
            None => "none".into(),
        }
    }

    #[test]
    fn a_missing_right_is_told_from_a_refusal_of_admission() {
        for (code, message, means) in [
            (
                403,
                r#"deployments.apps "a" is forbidden: User "u" cannot patch resource "deployments" in API group "apps""#,
                "forbidden deployments.apps",
            ),
            (403, r#"pods "a" is forbidden: violates PodSecurity "restricted:latest""#, "refused denied"),
            (422, "is invalid: spec.selector: field is immutable", "refused invalid"),
            (400, r#"admission webhook "w.example.com" does not support dry run"#, "nothing webhook_side_effects"),
            (500, r#"failed calling webhook "w.example.com": connection refused"#, "nothing webhook_failed"),
            (500, "failed to create typed patch object (a/b): .spec.x: field not declared in schema", "refused schema"),
            (409, "the object has been modified", "moved"),
            (404, "not found", "moved"),
            (429, "too many requests", "none"),
            (503, "unavailable", "none"),
        ] {
            assert_eq!(said(code, message), means, "{message}");
        }
    }

    #[test]
    fn values_that_the_server_quotes_are_not_passed_on() {
        for (message, told) in [
            ("Invalid value: {\"matchLabels\":{\"canary\":\"a: b\"}}: field is immutable", "field is immutable"),
            ("Unsupported value: \"canary\": supported values: \"TCP\", \"UDP\"", "\"TCP\", \"UDP\""),
            ("Duplicate value: \"canary\"", "Duplicate value"),
            ("Required value", "Required value"),
        ] {
            assert_eq!(without_value(message), told, "{message}");
        }
        let cause =
            |n: usize| StatusCause { reason: String::new(), message: "Invalid value: \"canary\": too long".into(), field: format!("spec.f{n}") };
        let causes = (0..6).map(cause).collect();
        let none = String::new;
        let details = StatusDetails { causes, name: none(), group: none(), kind: none(), uid: none(), retry_after_seconds: 0 };
        let status = Status { details: Some(details), ..Status::failure("x is invalid: canary", "Invalid") };
        assert_eq!(words(&status), "spec.f0: too long; spec.f1: too long; spec.f2: too long; spec.f3: too long; and 2 more");
        assert!(words(&Status::failure(&"y ".repeat(4_000), "Invalid")).len() < 450);
    }
}
