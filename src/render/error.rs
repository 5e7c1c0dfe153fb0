//! Why an app could not be rendered. pure

use thiserror::Error;

use super::exec::ExecError;
use crate::git::TreeError;

/// Why an app could not be rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// A program could not render it.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The object database did not give a file.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The output is no YAML that Kubernetes takes.
    #[error("{0}")]
    Output(String),
}

impl RenderError {
    /// Stable word: metric label and failure reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exec(e) => e.kind(),
            Self::Tree(_) => "git_unreadable",
            Self::Output(_) => "bad_output",
        }
    }
}
