//! YAML as Kubernetes' own Go parser means it (`sigs.k8s.io/yaml` over go-yaml v2), with positions. pure
//!
//! The parser beneath speaks YAML 1.2 and yields events; what a plain scalar means (`yes`, `0777`, `1_000`), what a key is, how `<<`
//! merges and what happens to a repeated key is decided here, as go-yaml v2 decides it. JSON is YAML here. One known difference is
//! left and reported: go-yaml counts U+0085, U+2028 and U+2029 as line breaks, the parser beneath does not. And where a backslash precedes
//! a single quote inside double quotes, go-yaml reads the quote and this is an error.

mod compose;
mod lines;
mod scalar;
mod text;
mod write;

pub use write::write;

use std::{borrow::Cow, fmt};

use serde_json::Value;
use thiserror::Error;

pub use lines::LineMap;

/// How many notes one file may carry; the rest is only counted in the last one.
const MOST_NOTES: usize = 100;

/// Bounds on one file. Reaching one is an error, never a half-read file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Documents in it.
    pub documents: usize,
    /// Lists and mappings inside one another, aliases followed. At most 120: JSON text with more than 127 levels cannot be read back.
    pub depth: usize,
    /// Values in all, with every alias counted as what it stands for (and long texts behind an alias by their size).
    pub nodes: usize,
}

impl Default for Limits {
    /// 10 MiB (Argo CD's limit for a whole directory), 10,000 documents, 120 levels, a million values.
    fn default() -> Self {
        Self { bytes: 10 << 20, documents: 10_000, depth: 120, nodes: 1_000_000 }
    }
}

impl Limits {
    /// The default bounds, scaled to files of up to this many bytes.
    pub fn within(bytes: u64) -> Self {
        let base = Self::default();
        let scaled = |per: u64, least: usize| least.max(usize::try_from(bytes / per).unwrap_or(usize::MAX));
        Self { bytes, documents: scaled(100, base.documents), nodes: scaled(8, base.nodes), ..base }
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Its documents, empty ones (value `Null`) included.
    pub documents: Vec<Document>,
    /// What a person should know about it. Bounded.
    pub diagnostics: Vec<Note>,
}

/// Something that is allowed but probably not meant. Never quotes content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Line from 1.
    pub line: u32,
    /// Stable word: `duplicate_key`, `merge_overrides`, `odd_line_break`, `not_utf8`, `more_notes`.
    pub reason: &'static str,
    /// What it is and what to do.
    pub message: String,
}

/// One document of a file. It may be a Secret in the clear, so its debug form does not show the value.
#[derive(Clone)]
pub struct Document {
    /// The value; `Null` for an empty document.
    pub value: Value,
    /// First line of its content, from 1.
    pub line: u32,
    /// Lines inside it.
    pub lines: LineMap,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document(line {})", self.line)
    }
}

/// Why a file is not YAML that Kubernetes would take. Never quotes content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct YamlError {
    /// Line from 1.
    pub line: u32,
    /// Column from 1.
    pub column: u32,
    /// What is wrong.
    pub reason: String,
}

/// Reads all documents of a file. UTF-8, and UTF-16 with a byte order mark; bytes that are not UTF-8 become U+FFFD and a note, as in
/// Argo CD.
///
/// # Errors
/// The first place where the file is not YAML, or where it exceeds a limit. Documents before that place are not returned: a deployer
/// would refuse the file as a whole.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Parsed, YamlError> {
    if bytes.len() as u64 > limits.bytes {
        let reason = format!("the file has {} bytes, more than the {} allowed", bytes.len(), limits.bytes);
        return Err(YamlError { line: 1, column: 1, reason });
    }
    let mut notes = Notes::default();
    let text = text::decode(bytes, &mut notes);
    text::check(&text, &mut notes)?;
    let documents = compose::compose(&text, limits, &mut notes)?;
    Ok(Parsed { documents, diagnostics: notes.finish() })
}

/// The text of a file, decoded as [`parse`] does.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    text::decode(bytes, &mut Notes::default())
}

/// Collects notes up to the bound.
#[derive(Debug, Default)]
struct Notes {
    kept: Vec<Note>,
    dropped: usize,
}

impl Notes {
    fn add(&mut self, line: u32, reason: &'static str, message: &str) {
        if self.kept.len() < MOST_NOTES {
            self.kept.push(Note { line, reason, message: message.to_owned() });
        } else {
            self.dropped += 1;
        }
    }

    fn finish(mut self) -> Vec<Note> {
        if self.dropped > 0 {
            let line = self.kept.last().map_or(1, |n| n.line);
            self.kept.push(Note { line, reason: "more_notes", message: format!("{} more remarks about this file are left out", self.dropped) });
        }
        self.kept
    }
}

#[cfg(test)]
mod tests;
