//! Why a store could not be read, in words of ours. I/O: none; knows the errors of object_store and reqwest.

use std::{error::Error as StdError, time::Duration};

use thiserror::Error;

use crate::witness::Failure;

/// Why a store could not be read. Never holds a credential, a signature or an address with a query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {fault}")]
pub struct StoreError {
    /// The store, for people.
    pub place: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with reading a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// What is needed to reach it is missing or wrong.
    #[error("{0}")]
    Setup(String),
    /// Credentials could not be had.
    #[error("{0}")]
    Credentials(String),
    /// The store does not take the credentials.
    #[error("the store does not accept the credentials{}", brackets(.0))]
    Unauthenticated(Option<String>),
    /// The store takes the credentials and refuses what was asked.
    #[error("the store refuses {what}{}; {heal}", brackets(.code))]
    Forbidden {
        /// What was asked.
        what: String,
        /// The store's word for it.
        code: Option<String>,
        /// What would heal it.
        heal: &'static str,
    },
    /// It is not there.
    #[error("{0} is not there")]
    Missing(String),
    /// It lies where nothing can be read before it is brought back.
    #[error("{0} lies in an archive tier, from which it must be brought back before anybody can read it, Velero too")]
    Archived(String),
    /// It was replaced while it was read.
    #[error("{0} was replaced while it was read; it is read anew")]
    Replaced(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// The store answered with a failure.
    #[error("the store failed{}", brackets(.0))]
    Server(Option<String>),
    /// More bytes than allowed.
    #[error("{what} has more than the {cap} bytes allowed")]
    TooLarge {
        /// Which file.
        what: String,
        /// The cap.
        cap: u64,
    },
    /// Velero did not answer a DownloadRequest, or not with what was asked.
    #[error("{message}")]
    Velero {
        /// A stable word.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
}

fn brackets(code: &Option<String>) -> String {
    code.as_ref().map_or_else(String::new, |c| format!(" ({c})"))
}

impl StoreError {
    /// A failure at a place.
    pub fn new(place: &str, fault: Fault) -> Self {
        Self { place: place.to_owned(), fault }
    }

    /// A stable snake_case word: metric label and `Failure.reason`.
    pub fn kind(&self) -> &'static str {
        match &self.fault {
            Fault::Setup(_) => "store_setup",
            Fault::Credentials(_) => "store_credentials",
            Fault::Unauthenticated(_) => "store_unauthenticated",
            Fault::Forbidden { .. } => "store_forbidden",
            Fault::Missing(_) => "store_missing",
            Fault::Archived(_) => "store_archived",
            Fault::Replaced(_) => "store_replaced",
            Fault::Timeout(_) => "store_timeout",
            Fault::Unreachable(_) => "store_unreachable",
            Fault::Server(_) => "store_failed",
            Fault::TooLarge { .. } => "store_too_large",
            Fault::Velero { reason, .. } => reason,
        }
    }

    /// Whether asking again soon may help.
    pub fn is_passing(&self) -> bool {
        matches!(self.fault, Fault::Timeout(_) | Fault::Unreachable(_) | Fault::Server(_))
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl Fault {
    /// Tells an error of object_store apart. `what` is what was asked for, `heal` what to do if that is refused.
    pub(super) fn of(error: &object_store::Error, what: &str, heal: &'static str) -> Self {
        use object_store::Error as E;
        // Of our own making, or about the token and not about what was asked.
        if let Some(fault) = causes(error).find_map(|e| e.downcast_ref::<Self>().cloned()).or_else(|| Self::of_token(error)) {
            return fault;
        }
        let code = code_in(error);
        let forbidden = |code, heal| Self::Forbidden { what: what.to_owned(), code, heal };
        match (error, code.as_deref()) {
            // S3 answers 403 both when it does not know the key and when the key may not do it, and the client does not tell a listing's 403 from
            // other failures: the store's own word does.
            (_, Some(word)) if OF_THE_KEY.contains(&word) => Self::Unauthenticated(code),
            (_, Some("AuthorizationFailure")) => {
                forbidden(code, "let this machine through the storage account's network rules, and look whether the key is the account's")
            }
            (_, Some("KeyBasedAuthenticationNotPermitted")) => {
                forbidden(code, "the storage account takes no keys: give a service principal or a workload identity")
            }
            (_, Some("AccessDenied" | "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions")) => forbidden(code, heal),
            (_, Some("NoSuchBucket")) => Self::Missing("the bucket".to_owned()),
            (_, Some("ContainerNotFound")) => Self::Missing("the container".to_owned()),
            (_, Some("InvalidObjectState" | "BlobArchived")) => Self::Archived(what.to_owned()),
            (_, Some("AuthorizationHeaderMalformed" | "PermanentRedirect")) => Self::Setup(OTHER_REGION.to_owned()),
            (E::NotFound { .. }, _) => Self::Missing(what.to_owned()),
            (E::Precondition { .. } | E::NotModified { .. }, _) => Self::Replaced(what.to_owned()),
            (E::Unauthenticated { .. }, _) => Self::Unauthenticated(code),
            (E::PermissionDenied { .. }, _) => forbidden(code, heal),
            (other, Some(_)) => Self::of_any(other),
            (other, None) => match said_by(other, STATUS, 3, |b| b.is_ascii_digit()).as_deref() {
                Some("401") => Self::Unauthenticated(None),
                Some("403") => forbidden(None, heal),
                Some("404") => Self::Missing("the bucket".to_owned()),
                Some(status) => Self::Server(Some(status.to_owned())),
                None if said(other, "incorrectly configured region") => Self::Setup(OTHER_REGION.to_owned()),
                None => Self::of_any(other),
            },
        }
    }

    /// Tells apart why no token was had, by which stores of clouds are asked.
    fn of_token(error: &(dyn StdError + 'static)) -> Option<Self> {
        if METADATA.iter().any(|host| said(error, host)) {
            let what = "no credentials are given, and this machine has no identity of its own (its metadata service gives no token); \
                        give credentials_file or credentials_env";
            return Some(Self::Credentials(what.to_owned()));
        }
        if said(error, "federated token file") {
            return Some(Self::Credentials("the file that AZURE_FEDERATED_TOKEN_FILE names cannot be read".to_owned()));
        }
        if !said(error, "performing token request") {
            return None;
        }
        let word = |before: &str| said_by(error, before, 64, |b| b.is_ascii_alphanumeric() || b == b'_');
        let words: Vec<String> = [word("\"error\":\""), word("AADSTS").map(|n| format!("AADSTS{n}"))].into_iter().flatten().collect();
        match (said_by(error, STATUS, 3, |b| b.is_ascii_digit()), Self::of_any(error)) {
            (Some(status), _) => {
                let words = if words.is_empty() { status } else { words.join(", ") };
                Some(Self::Credentials(format!("no token is given for the credentials ({words}); look whether tenant, client and secret are right")))
            }
            (None, Self::Unreachable(why)) => Some(Self::Unreachable(format!("no token can be asked for: {why}"))),
            (None, other) => Some(other),
        }
    }

    /// Tells an error of a connection apart.
    pub(super) fn of_any(error: &(dyn StdError + 'static)) -> Self {
        let causes: Vec<_> = causes(error).collect();
        let timed_out = |e: &&(dyn StdError + 'static)| {
            e.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
                || e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut)
        };
        if causes.iter().any(timed_out) {
            return Self::Unreachable("no answer in time".to_owned());
        }
        let io = causes.iter().rev().find_map(|e| e.downcast_ref::<std::io::Error>());
        let deepest = causes.last().map(ToString::to_string).unwrap_or_default();
        if let Some(code) = code_in(error) {
            return Self::Server(Some(code));
        }
        let tls = causes.iter().any(|e| e.to_string().contains("certificate"));
        match io {
            _ if tls && !suspicious(&deepest) => {
                Self::Unreachable(format!("TLS failed: {deepest}; give ca_file if its certificate is of an own authority"))
            }
            Some(e) if !suspicious(&e.to_string()) => Self::Unreachable(format!("no connection: {e}")),
            _ if !suspicious(&deepest) && deepest.len() < 200 => Self::Unreachable(deepest),
            _ => Self::Unreachable("the connection failed".to_owned()),
        }
    }
}

/// Whether a text may quote an address or a body.
fn suspicious(text: &str) -> bool {
    ["://", "<", "?", "=", "\""].iter().any(|sign| text.contains(sign))
}

/// Words of stores that are about the key and not about what was asked.
const OF_THE_KEY: [&str; 9] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "AuthenticationRequired",
];

/// What a bucket elsewhere means.
const OTHER_REGION: &str = "the bucket is in another region; give `region`";

/// Who gives a machine its identity.
const METADATA: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// What the client writes before the status of an answer.
const STATUS: &str = "status code: ";

/// An error and its causes.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |e: &&'e (dyn StdError + 'static)| (*e).source()).take(16)
}

/// Whether an error or one of its causes says something.
fn said(error: &(dyn StdError + 'static), what: &str) -> bool {
    causes(error).any(|e| e.to_string().contains(what))
}

/// The characters that an error or one of its causes says behind something; nothing else of it is taken.
fn said_by(error: &(dyn StdError + 'static), before: &str, longest: usize, of: impl Fn(u8) -> bool) -> Option<String> {
    causes(error).find_map(|e| {
        let text = e.to_string();
        let (_, rest) = text.split_once(before)?;
        let end = rest.bytes().take(longest).take_while(|b| of(*b)).count();
        (end > 0).then(|| rest[..end].to_owned())
    })
}

/// The machine-readable word in a store's answer (`<Code>AccessDenied</Code>`), which the client puts into its message.
fn code_in(error: &(dyn StdError + 'static)) -> Option<String> {
    said_by(error, "<Code>", 64, |b| b.is_ascii_alphanumeric() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Box<dyn StdError + Send + Sync> {
        text.to_owned().into()
    }

    #[test]
    fn a_stores_own_words_are_not_passed_on_but_for_its_code() {
        let body =
            "Server returned 403: <Error><Code>AccessDenied</Code><Message>canary</Message><AWSAccessKeyId>AKIACANARY</AWSAccessKeyId></Error>";
        let denied = object_store::Error::PermissionDenied { path: "x".into(), source: source(body) };
        let error = StoreError::new("s3://b", Fault::of(&denied, "listing backups/", "grant s3:ListBucket"));
        assert_eq!(error.to_string(), "s3://b: the store refuses listing backups/ (AccessDenied); grant s3:ListBucket");
        assert_eq!((error.kind(), error.is_passing()), ("store_forbidden", false));
        let key = object_store::Error::PermissionDenied { path: "x".into(), source: source("<Code>InvalidAccessKeyId</Code> AKIACANARY") };
        let error = StoreError::new("s3://b", Fault::of(&key, "listing backups/", "grant s3:ListBucket"));
        assert_eq!((error.kind(), error.to_string().contains("CANARY")), ("store_unauthenticated", false));
        let signed = object_store::Error::Generic { store: "S3", source: source("error for url (https://s3.example.com/b?X-Amz-Signature=canary)") };
        let error = StoreError::new("s3://b", Fault::of(&signed, "x", ""));
        assert_eq!(error.to_string(), "s3://b: the connection failed");
        let listing = object_store::Error::Generic { store: "S3", source: source("<Code>SignatureDoesNotMatch</Code>") };
        assert_eq!(StoreError::new("s3://b", Fault::of(&listing, "x", "")).kind(), "store_unauthenticated");
        let gone = object_store::Error::NotFound { path: "x".into(), source: source("<Code>NoSuchBucket</Code>") };
        assert_eq!(StoreError::new("s3://b", Fault::of(&gone, "x", "")).to_string(), "s3://b: the bucket is not there");
    }

    #[test]
    fn google_and_azure_are_told_apart_by_their_own_words_or_by_the_status() {
        let answered = |text: &str| object_store::Error::Generic { store: "X", source: source(text) };
        let body = |status: &str, code: &str| {
            format!(
                "Error performing GET https://x.example.com/b?sig=canary in 1ms - Server returned non-2xx status code: {status}: <?xml version='1.0'?><Error><Code>{code}</Code><Message>canary</Message></Error>"
            )
        };
        let bare = |status: &str| {
            format!("Error performing GET https://x.example.com/b?sig=canary in 1ms - Server returned non-2xx status code: {status}: canary")
        };
        for (text, kind, says) in [
            (body("404 Not Found", "NoSuchBucket"), "store_missing", "the bucket is not there"),
            (body("404 Not Found", "ContainerNotFound"), "store_missing", "the container is not there"),
            (body("401 Unauthorized", "AuthenticationRequired"), "store_unauthenticated", "(AuthenticationRequired)"),
            (body("403 Forbidden", "AuthenticationFailed"), "store_unauthenticated", "(AuthenticationFailed)"),
            (body("403 Forbidden", "AccessDenied"), "store_forbidden", "grant it"),
            (body("403 Forbidden", "AuthorizationPermissionMismatch"), "store_forbidden", "grant it"),
            (body("403 Forbidden", "AuthorizationFailure"), "store_forbidden", "network rules"),
            (body("403 Forbidden", "KeyBasedAuthenticationNotPermitted"), "store_forbidden", "takes no keys"),
            (body("403 Forbidden", "InvalidObjectState"), "store_archived", "archive tier"),
            (body("409 Conflict", "BlobArchived"), "store_archived", "archive tier"),
            (body("400 Bad Request", "AuthorizationHeaderMalformed"), "store_setup", "another region; give `region`"),
            (body("503 Service Unavailable", "ServerBusy"), "store_failed", "(ServerBusy)"),
            (bare("401 Unauthorized"), "store_unauthenticated", "does not accept the credentials"),
            (bare("403 Forbidden"), "store_forbidden", "the store refuses listing; grant it"),
            (bare("404 Not Found"), "store_missing", "the bucket is not there"),
            (bare("500 Internal Server Error"), "store_failed", "the store failed (500)"),
            ("Received redirect without LOCATION, this normally indicates an incorrectly configured region".into(), "store_setup", "give `region`"),
        ] {
            let error = StoreError::new("x", Fault::of(&answered(&text), "listing", "grant it"));
            assert!(error.kind() == kind && error.to_string().contains(says) && !error.to_string().contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn why_no_token_was_had_is_told_by_its_words_alone() {
        let answered = |text: &str| object_store::Error::Generic { store: "X", source: source(text) };
        for (text, kind, says) in [
            (
                r#"Error performing token request: Error performing POST https://login.example.com/t in 1ms - Server returned non-2xx status code: 401 Unauthorized: {"error":"invalid_client","error_description":"AADSTS7000215: canary"}"#,
                "store_credentials",
                "(invalid_client, AADSTS7000215)",
            ),
            (
                "Error performing token request: Error performing POST https://login.example.com/t in 1ms - Server returned non-2xx status code: 400 Bad Request: canary",
                "store_credentials",
                "(400)",
            ),
            (
                "Error performing token request: Error performing GET http://169.254.169.254/metadata?canary in 1ms - HTTP error: error sending request",
                "store_credentials",
                "no credentials are given",
            ),
            (
                "Error performing token request: Error performing GET http://metadata.google.internal/canary in 1ms - HTTP error: error sending request",
                "store_credentials",
                "no credentials are given",
            ),
            (
                "Error performing token request: Error performing POST https://login.example.com/t?canary - HTTP error: x",
                "store_unreachable",
                "no token can be asked for",
            ),
            ("Error reading federated token file ", "store_credentials", "AZURE_FEDERATED_TOKEN_FILE"),
        ] {
            let error = StoreError::new("x", Fault::of(&answered(text), "listing", "grant it"));
            assert!(error.kind() == kind && error.to_string().contains(says) && !error.to_string().contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn a_broken_connection_says_what_the_system_said() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "Connection refused (os error 111)");
        let error = StoreError::new("s3://b", Fault::of_any(&io));
        assert_eq!((error.to_string().as_str(), error.is_passing()), ("s3://b: no connection: Connection refused (os error 111)", true));
    }
}
