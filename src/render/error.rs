//! Why an app could not be rendered. pure

use thiserror::Error;

use crate::{git::TreeError, object::yaml::YamlError};

/// Why an app could not be rendered. Messages name the file and the way out; they never quote what stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The app's path is not in this commit.
    #[error("no {path:?} in this commit; correct the app's path")]
    NoPath {
        /// The path, as configured.
        path: String,
    },
    /// The path lies in a submodule, whose files are in another repository.
    #[error("{path} is in a submodule; declare that repository as a source of its own")]
    Submodule {
        /// The path of the submodule.
        path: String,
    },
    /// A link that leads out of the source, or in circles.
    #[error("{path} is a link that {how}; links must stay inside the repository")]
    BadLink {
        /// The link, or the path that led to it.
        path: String,
        /// `leaves the repository` or `leads in circles`.
        how: &'static str,
    },
    /// The commit's files could not be read.
    #[error(transparent)]
    Tree(TreeError),
    /// A file is not YAML.
    #[error("{file}, {error}")]
    Yaml {
        /// The file.
        file: String,
        /// Line, column and reason.
        error: YamlError,
    },
    /// A document is not a Kubernetes object, and the rules in force make that an error.
    #[error("{file}, line {line}: {message}")]
    NotAnObject {
        /// The file.
        file: String,
        /// First line of the document.
        line: u32,
        /// What it is instead.
        message: String,
    },
    /// A cap was reached.
    #[error("more than {cap} {what} in {place}; raise the cap or narrow the app's path")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The cap.
        cap: u64,
        /// Where.
        place: String,
    },
    /// The folder has to be built by kustomize.
    #[error("{folder} holds a kustomization; render it with the kustomize renderer")]
    NeedsKustomize {
        /// The folder.
        folder: String,
    },
    /// The folder holds jsonnet, which is not rendered.
    #[error("{file} is jsonnet, which is not rendered; exclude it or render it in the repository")]
    NeedsJsonnet {
        /// The file.
        file: String,
    },
    /// `include` or `exclude` is no glob.
    #[error("{which} is not a glob: {message}")]
    BadGlob {
        /// `include` or `exclude`.
        which: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The folder lacks what the renderer needs.
    #[error("no {wanted} in {folder}; choose another renderer or correct the app's path")]
    NotRenderable {
        /// What was looked for, for example `Chart.yaml`.
        wanted: &'static str,
        /// Where.
        folder: String,
    },
    /// The renderer was not decided yet.
    #[error("the renderer of the app is still to be detected")]
    Undecided,
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
    /// The stable word for metrics and reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoPath { .. } => "path_not_found",
            Self::Submodule { .. } => "submodule",
            Self::BadLink { .. } => "bad_link",
            Self::Tree(TreeError::TooLarge { .. }) | Self::TooLarge { .. } => "too_large",
            Self::Tree(_) => "source_unreadable",
            Self::Yaml { .. } => "yaml_invalid",
            Self::NotAnObject { .. } => "not_an_object",
            Self::NeedsKustomize { .. } => "needs_kustomize",
            Self::NeedsJsonnet { .. } => "needs_jsonnet",
            Self::BadGlob { .. } => "bad_glob",
            Self::NotRenderable { .. } => "not_renderable",
            Self::Undecided => "undecided",
            Self::Other { kind, .. } => kind,
        }
    }
}

impl From<TreeError> for RenderError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
