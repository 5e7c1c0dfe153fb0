//! YAML as Kubernetes' own Go parser means it (`sigs.k8s.io/yaml` over go-yaml v2), with positions. pure

use serde_json::Value;
use thiserror::Error;

/// Lines of the leaves and containers of one document, by path. Compact: a sorted table of path hashes.
#[derive(Clone, Debug, Default)]
pub struct LineMap {}

impl LineMap {
    /// The line of the value at `path` in the document `root`, or of its nearest ancestor that has one.
    pub fn line_of(&self, _path: &super::FieldPath, _root: &Value) -> Option<u32> {
        None
    }
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The value; `Null` for an empty document.
    pub value: Value,
    /// First line of its content, from 1.
    pub line: u32,
    /// Lines inside it.
    pub lines: LineMap,
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
