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
    #[error("the store does not accept the credentials{}", said(.0))]
    Unauthenticated(Option<String>),
    /// The store takes the credentials and refuses what was asked.
    #[error("the store refuses {what}{}; grant {permission}", said(.code))]
    Forbidden {
        /// What was asked.
        what: String,
        /// The store's word for it.
        code: Option<String>,
        /// The permission that would heal it.
        permission: &'static str,
    },
    /// It is not there.
    #[error("{0} is not there")]
    Missing(String),
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
    #[error("the store failed{}", said(.0))]
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

fn said(code: &Option<String>) -> String {
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
    /// Tells an error of object_store apart. `what` is what was asked for, `permission` what it takes.
    pub(super) fn of(error: &object_store::Error, what: &str, permission: &'static str) -> Self {
        use object_store::Error as E;
        let code = code_in(error);
        let forbidden = |code| Self::Forbidden { what: what.to_owned(), code, permission };
        match (error, code.as_deref()) {
            // S3 answers 403 both when it does not know the key and when the key may not do it, and the client does not tell a listing's 403 from
            // other failures: the store's own word does.
            (_, Some(word)) if OF_THE_KEY.contains(&word) => Self::Unauthenticated(code),
            (_, Some("AccessDenied" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions")) => {
                forbidden(code)
            }
            (_, Some("NoSuchBucket" | "ContainerNotFound")) => Self::Missing("the bucket".to_owned()),
            (E::NotFound { .. }, _) => Self::Missing(what.to_owned()),
            (E::Precondition { .. } | E::NotModified { .. }, _) => Self::Replaced(what.to_owned()),
            (E::Unauthenticated { .. }, _) => Self::Unauthenticated(code),
            (E::PermissionDenied { .. }, _) => forbidden(code),
            (other, _) => Self::of_any(other),
        }
    }

    /// Tells an error of a connection apart.
    pub(super) fn of_any(error: &(dyn StdError + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut next = Some(error);
        while let Some(cause) = next.filter(|_| causes.len() < 16) {
            causes.push(cause);
            next = cause.source();
        }
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
const OF_THE_KEY: [&str; 6] =
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthenticationFailed"];

/// The machine-readable word in a store's answer (`<Code>AccessDenied</Code>`), which the client puts into its message; nothing else of it is taken.
fn code_in(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if let Some((code, _)) = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"))
            && code.len() <= 64
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        {
            return Some(code.to_owned());
        }
        next = cause.source();
    }
    None
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
        let error = StoreError::new("s3://b", Fault::of(&denied, "listing backups/", "s3:ListBucket"));
        assert_eq!(error.to_string(), "s3://b: the store refuses listing backups/ (AccessDenied); grant s3:ListBucket");
        assert_eq!((error.kind(), error.is_passing()), ("store_forbidden", false));
        let key = object_store::Error::PermissionDenied { path: "x".into(), source: source("<Code>InvalidAccessKeyId</Code> AKIACANARY") };
        let error = StoreError::new("s3://b", Fault::of(&key, "listing backups/", "s3:ListBucket"));
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
    fn a_broken_connection_says_what_the_system_said() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "Connection refused (os error 111)");
        let error = StoreError::new("s3://b", Fault::of_any(&io));
        assert_eq!((error.to_string().as_str(), error.is_passing()), ("s3://b: no connection: Connection refused (os error 111)", true));
    }
}
