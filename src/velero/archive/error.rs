//! Why an archive cannot be read, each with a stable word and a way out. pure

use std::{fmt, time::Duration};

use thiserror::Error;

use crate::witness::Failure;

/// An archive that cannot be read. The message names the archive, what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{origin}: {problem}{}", problem.advice())]
pub struct ArchiveError {
    pub(super) origin: String,
    pub(super) problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Empty,
    NotGzip,
    Truncated,
    Corrupt(String),
    TrailingGarbage,
    MalformedTar(String),
    NotVelero,
    FormatVersion(String),
    TooManyEntries(u64),
    TooDamaged(usize),
    TooLarge(u64),
    TooHeavy(u64),
    Spilt(u64),
    Bomb { inflated: u64, compressed: u64 },
    TooSlow(Duration),
    Io(String),
}

impl ArchiveError {
    /// A stable snake_case word: metric label and `Failure.reason`.
    pub fn kind(&self) -> &'static str {
        match self.problem {
            Problem::Empty => "archive_empty",
            Problem::NotGzip => "archive_not_gzip",
            Problem::Truncated => "archive_truncated",
            Problem::Corrupt(_) => "archive_corrupt",
            Problem::TrailingGarbage => "archive_trailing_garbage",
            Problem::MalformedTar(_) => "archive_malformed",
            Problem::NotVelero => "archive_not_velero",
            Problem::FormatVersion(_) => "archive_format_version",
            Problem::TooManyEntries(_) => "archive_too_many_entries",
            Problem::TooDamaged(_) => "archive_too_damaged",
            Problem::TooLarge(_) => "archive_too_large",
            Problem::TooHeavy(_) | Problem::Spilt(_) => "archive_too_heavy",
            Problem::Bomb { .. } => "archive_bomb",
            Problem::TooSlow(_) => "archive_too_slow",
            Problem::Io(_) => "archive_io",
        }
    }

    /// Whether the archive itself is damaged, so that no restore from this file could work. A cap that was hit, a format that is not known
    /// here or a file that could not be read says nothing against the archive.
    pub fn is_damage(&self) -> bool {
        matches!(self.problem, Problem::Empty | Problem::NotGzip | Problem::Truncated | Problem::Corrupt(_) | Problem::MalformedTar(_))
    }

    /// Whether nobody could unpack it, Velero included: its gzip stream ends early, fails its checksum or is none. What our reader of tar
    /// refuses, Go's may take.
    pub fn cannot_be_unpacked(&self) -> bool {
        matches!(self.problem, Problem::Empty | Problem::NotGzip | Problem::Truncated | Problem::Corrupt(_))
    }

    /// Could not be opened or read at all.
    pub fn io(origin: &str, error: &std::io::Error) -> Self {
        Self { origin: origin.to_owned(), problem: Problem::Io(error.to_string()) }
    }

    /// What is wrong, without the name of the archive and without a setting that would let it pass.
    pub fn what(&self) -> String {
        self.problem.to_string()
    }
}

impl From<&ArchiveError> for Failure {
    fn from(error: &ArchiveError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl Problem {
    /// The setting that would let it pass; `None` if there is none.
    fn setting(&self) -> Option<&'static str> {
        match self {
            Self::TooManyEntries(_) => Some("`velero.max_entries`"),
            Self::TooLarge(_) => Some("`velero.max_total`"),
            Self::TooSlow(_) => Some("`velero.timeout`"),
            Self::Spilt(_) => Some("`velero.max_cache`"),
            _ => None,
        }
    }

    fn advice(&self) -> String {
        self.setting().map(|s| format!("; raise {s}")).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const AGAIN: &str = "fetch it again, for example with `velero backup download NAME`";
        match self {
            Self::Empty => write!(f, "the file is empty; {AGAIN}"),
            Self::NotGzip => write!(f, "not a gzip file; a Velero archive is a gzip-compressed tar, so {AGAIN}"),
            Self::Truncated => write!(f, "the archive ends too early; {AGAIN}"),
            Self::Corrupt(what) => write!(f, "the archive is damaged ({what}); {AGAIN}"),
            Self::TrailingGarbage => write!(f, "something follows after the end of the archive; {AGAIN}"),
            Self::MalformedTar(what) => write!(f, "the tar inside is malformed ({what}); {AGAIN}"),
            Self::NotVelero => {
                write!(f, "not an archive of Velero: it holds neither metadata/version nor resources/; give the file <backup>.tar.gz")
            }
            Self::FormatVersion(version) => {
                write!(f, "the archive is of format version {version:?}, and only 1 and 1.x are known; a newer snapgap may know it")
            }
            Self::TooManyEntries(cap) => write!(f, "the archive has more than {cap} entries"),
            Self::TooDamaged(cap) => write!(f, "more than {cap} of its objects cannot be read; {AGAIN}"),
            Self::TooLarge(cap) => write!(f, "the archive inflates to more than {cap} bytes"),
            Self::TooHeavy(bytes) => {
                write!(f, "names and other facts of its objects take {bytes} bytes and more, as those of no cluster do; it was not read on")
            }
            Self::Spilt(bytes) => write!(f, "more than {bytes} bytes of its objects do not fit into the cache folder, and memory is not for them"),
            Self::Bomb { inflated, compressed } => {
                write!(f, "{compressed} bytes inflate to {inflated} and more, which no archive of objects does; it was not read on")
            }
            Self::TooSlow(cap) => write!(f, "reading took more than {} seconds", cap.as_secs_f64()),
            Self::Io(what) => write!(f, "cannot be read: {what}"),
        }
    }
}
