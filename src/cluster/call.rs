//! Why a call to the API server failed, and what of it may be told. I/O: none; knows kube's errors.

use std::time::Duration;

use thiserror::Error;

use crate::{object::Gvk, witness::Failure};

/// Longest part of a server's own message that is passed on.
const LONGEST_MESSAGE: usize = 300;

/// Why a call failed. Messages never quote a body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The server answered with a failure.
    #[error("the API server answered {code} {reason}{}", said(.message))]
    Status {
        /// HTTP status.
        code: u16,
        /// Kubernetes' machine-readable reason, for example `Forbidden`.
        reason: String,
        /// The server's words, shortened.
        message: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// Credentials could not be had or used.
    #[error("{0}")]
    Credentials(String),
    /// More bytes than allowed.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// Not what a Kubernetes server sends.
    #[error("an answer that cannot be read: {0}")]
    Malformed(String),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn shorten(message: &str) -> String {
    let flat = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{}...", &flat[..at]),
        None => flat,
    }
}

impl CallError {
    /// The stable word for it: reason of a failure and label of a metric.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status { code: 401, .. } | Self::Credentials(_) => "unauthenticated",
            Self::Status { code: 403, .. } => "forbidden",
            Self::Status { code: 404, .. } => "not_served",
            Self::Status { code: 405 | 406, .. } => "not_listable",
            Self::Status { code: 410, .. } => "expired",
            Self::Status { code: 429, .. } => "throttled",
            Self::Status { .. } => "server_error",
            Self::Timeout(_) => "timeout",
            Self::Connection(_) => "unreachable",
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Whether only a person can heal it, so that asking again soon is no use.
    pub fn refused(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403 | 404 | 405 | 406, .. } | Self::Credentials(_))
    }

    /// Whether the resource version that was asked for is gone (a list must be made anew).
    pub fn expired(&self) -> bool {
        matches!(self, Self::Status { code: 410, .. })
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// As a failure of reading one kind: names what was asked for and what would heal it.
    pub fn failure(&self, verb: &str, plural: &str, gvk: &Gvk) -> Failure {
        let group = if gvk.gk.group.is_empty() { "the core API group".to_owned() } else { format!("API group {}", gvk.gk.group) };
        let message = match self {
            Self::Status { code: 403, .. } => format!(
                "may not {verb} {plural} in {group} across all namespaces; grant the verbs get, list and watch on that resource \
                 (`snapgap rbac` prints the role) or exclude it in the configuration"
            ),
            Self::Status { code: 401, .. } => format!("cannot {verb} {plural} in {group}: the API server does not accept these credentials"),
            other => format!("cannot {verb} {plural} in {group}: {other}"),
        };
        Failure::new(self.kind(), message)
    }

    /// The same, told apart from kube's error. Bodies and program output are left out.
    pub(crate) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::status(status),
            kube::Error::Auth(auth) => Self::Credentials(auth_words(auth)),
            kube::Error::SerdeError(e) => Self::malformed(e),
            kube::Error::FromUtf8(_) => Self::Malformed("not UTF-8".into()),
            kube::Error::ReadEvents(e) => Self::broken(e),
            kube::Error::Service(e) => match e.downcast_ref::<kube::client::AuthError>() {
                Some(auth) => Self::Credentials(auth_words(auth)),
                None => Self::Connection(chain(&**e)),
            },
            kube::Error::HyperError(e) => Self::Connection(chain(e)),
            kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
                Self::Connection("the proxy's URL must begin with http:// or https://".into())
            }
            other => Self::Connection(shorten(&other.to_string())),
        }
    }

    /// From the server's own description.
    pub(crate) fn status(status: &kube::core::Status) -> Self {
        let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
        Self::Status {
            code: status.code,
            reason: status.reason.clone(),
            message: shorten(&status.message),
            retry_after: (seconds > 0).then(|| Duration::from_secs(seconds.min(300).into())),
        }
    }

    /// From a body that broke off.
    pub(crate) fn broken(error: &std::io::Error) -> Self {
        Self::Connection(format!("the connection broke: {}", chain(error)))
    }

    /// From JSON that is none. The parser's own message may quote values, so only the place is told.
    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax => "it is not JSON",
            _ => "it is not what a Kubernetes server sends",
        };
        Self::Malformed(format!("{what}, at line {} column {}", error.line(), error.column()))
    }
}

/// What went wrong with credentials. A plugin's output may hold a token, so it is not told.
fn auth_words(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError as E;
    match error {
        E::AuthExecStart(e) => format!("the kubeconfig's exec plugin does not start: {e}"),
        // Neither the command line, which comes with its environment, nor the output is told.
        E::AuthExecRun { out, .. } => format!("the kubeconfig's exec plugin failed with {}; run it by hand to see why", out.status),
        E::AuthExecParse(_) | E::ExecPluginFailed => "the kubeconfig's exec plugin did not print credentials".into(),
        E::ReadTokenFile(e, path) => format!("cannot read the token file {}: {e}", path.display()),
        _ => "the kubeconfig's credentials cannot be used".into(),
    }
}

/// An error with all its causes, each once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    for _ in 0..8 {
        let Some(next) = cause else { break };
        let text = next.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = next.source();
    }
    shorten(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> CallError {
        CallError::Status { code, reason: reason.into(), message: message.into(), retry_after: None }
    }

    #[test]
    fn a_refusal_names_the_permission_that_would_heal_it() {
        let failure = status(403, "Forbidden", "no").failure("list", "deployments", &Gvk::parse("apps/v1", "Deployment"));
        assert_eq!(&*failure.reason, "forbidden");
        for part in ["list deployments", "API group apps", "get, list and watch", "snapgap rbac"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        let core = status(403, "Forbidden", "").failure("watch", "pods", &Gvk::parse("v1", "Pod"));
        assert!(core.message.contains("may not watch pods in the core API group"), "{}", core.message);
    }

    #[test]
    fn every_failure_has_a_word_and_only_refusals_wait_for_a_person() {
        for (error, kind, refused) in [
            (status(401, "Unauthorized", ""), "unauthenticated", true),
            (status(403, "Forbidden", ""), "forbidden", true),
            (status(404, "NotFound", ""), "not_served", true),
            (status(405, "MethodNotAllowed", ""), "not_listable", true),
            (status(410, "Expired", ""), "expired", false),
            (status(429, "TooManyRequests", ""), "throttled", false),
            (status(500, "InternalError", ""), "server_error", false),
            (status(503, "ServiceUnavailable", ""), "server_error", false),
            (CallError::Timeout(Duration::from_secs(1)), "timeout", false),
            (CallError::Connection("refused".into()), "unreachable", false),
            (CallError::Credentials("none".into()), "unauthenticated", true),
            (CallError::TooLarge(1), "too_large", false),
            (CallError::Malformed("x".into()), "malformed", false),
        ] {
            assert_eq!((error.kind(), error.refused()), (kind, refused), "{error}");
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_is_never_quoted() {
        let error = serde_json::from_str::<Vec<u8>>("[\"canary-value\"]").expect_err("no number");
        let told = CallError::malformed(&error).to_string();
        assert!(!told.contains("canary") && told.contains("line 1"), "{told}");
        let long = CallError::status(&kube::core::Status::failure(&"x".repeat(5_000), "InternalError").with_code(500));
        assert!(long.to_string().len() < 400);
    }
}
