//! Why an app could not be rendered. pure

use thiserror::Error;

use crate::git::TreeError;

/// Why an app could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The commit's files could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Something that is told only by its kind and message: exec renderers use it.
    #[error("{message}")]
    Other {
        /// Stable word.
        kind: &'static str,
        /// What is wrong, where, and what to do.
        message: String,
    },
}

impl RenderError {
    /// Stable word: metric label and failure reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tree(_) => "source_unreadable",
            Self::Other { kind, .. } => kind,
        }
    }
}
