//! What can go wrong with a repository, in words that name the source, the place and the way out. pure

use thiserror::Error;

use crate::config::SourceName;

/// The kinds of failure. Stable: metric label and `Failure.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GitErrorKind {
    /// The repository asks for credentials that were not given, or refused those that were.
    Auth,
    /// The server could not be reached, or the connection broke.
    Network,
    /// There is no such repository, folder or commit.
    NotFound,
    /// The repository is there, the branch, tag or commit is not.
    RefNotFound,
    /// The reference can mean two different commits.
    AmbiguousRef,
    /// The repository has no commits yet.
    Empty,
    /// The deadline over the whole operation passed.
    Timeout,
    /// The caller asked to stop.
    Cancelled,
    /// The server sent more than was allowed, or the mirror grew larger than allowed.
    TooLarge,
    /// The server could not prove who it is: TLS certificate or ssh host key.
    Verify,
    /// The object database is damaged or incomplete.
    Damaged,
    /// What the server sent is not what a Git server sends.
    Protocol,
    /// The configuration asks for something that is not done.
    Refused,
    /// No room on the disk under the cache folder.
    DiskFull,
    /// Another failure of this machine: permissions, a missing program.
    Io,
}

impl GitErrorKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Auth,
        Self::Network,
        Self::NotFound,
        Self::RefNotFound,
        Self::AmbiguousRef,
        Self::Empty,
        Self::Timeout,
        Self::Cancelled,
        Self::TooLarge,
        Self::Verify,
        Self::Damaged,
        Self::Protocol,
        Self::Refused,
        Self::DiskFull,
        Self::Io,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Network => "network",
            Self::NotFound => "not_found",
            Self::RefNotFound => "ref_not_found",
            Self::AmbiguousRef => "ambiguous_ref",
            Self::Empty => "empty",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::TooLarge => "too_large",
            Self::Verify => "verify",
            Self::Damaged => "damaged",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::DiskFull => "disk_full",
            Self::Io => "io",
        }
    }
}

/// A failure of one source. Holds no credentials: what servers and programs said has been searched for them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("source {source_name}: {place}: {what}")]
pub struct GitError {
    kind: GitErrorKind,
    source_name: SourceName,
    place: String,
    what: String,
}

impl GitError {
    /// The stable name of the kind: metric label and `Failure.reason`.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// The kind, to decide on.
    pub fn error_kind(&self) -> GitErrorKind {
        self.kind
    }

    pub(crate) fn new(source_name: &SourceName, place: &str, fault: Fault) -> Self {
        Self { kind: fault.kind, source_name: source_name.clone(), place: place.to_owned(), what: fault.what }
    }
}

impl From<&GitError> for crate::witness::Failure {
    fn from(error: &GitError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// A failure inside the room, before it is known whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}")]
pub(crate) struct Fault {
    pub kind: GitErrorKind,
    pub what: String,
}

impl Fault {
    pub fn new(kind: GitErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    pub fn damaged(what: impl Into<String>) -> Self {
        Self::new(GitErrorKind::Damaged, what)
    }

    /// A failed system call on `path`. A full disk is told apart, since the way out is another.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        if is_full(error) {
            return Self::new(
                GitErrorKind::DiskFull,
                format!("no room on the disk: cannot {doing} {}; free some, or set cache_dir to a larger volume", path.display()),
            );
        }
        Self::new(GitErrorKind::Io, format!("cannot {doing} {}: {error}", path.display()))
    }
}

/// Whether a system call failed for want of room.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge)
}

/// Text from a server or a program, fit to be shown: one line, no control or direction-changing characters, at most `cap` characters.
pub(crate) fn clean(text: &str, cap: usize) -> String {
    let mut out = String::new();
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if c.is_control() || is_invisible(c) {
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
    }
    match out.char_indices().nth(cap) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

/// Characters that change what others look like: bidirectional controls, zero-width and byte-order marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_server_is_one_clean_capped_line() {
        assert_eq!(clean("  a\tb\r\n\u{1b}[31mc\u{202e}d ", 50), "a b [31mcd");
        assert_eq!(clean("äöüß", 2), "äö…");
        assert_eq!(clean("äö", 2), "äö");
    }

    #[test]
    fn kinds_have_names_of_their_own_that_fit_a_metric_label() {
        let names: std::collections::BTreeSet<_> = GitErrorKind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), GitErrorKind::ALL.len());
        assert!(names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }
}
