//! The Git side: bare mirrors, trees read from the object database, first-parent history. I/O: network, cache folder, ssh and git programs.
//!
//! The only room that knows gix. No work tree, ever. No configuration, credential helper, hook or prompt of the user's Git takes part:
//! what a source needs stands in its own configuration.

mod budget;
pub mod build;
mod compact;
pub mod error;
pub mod history;
mod in_place;
mod location;
mod mirror;
pub mod odb_tree;
mod reference;
pub mod repository;
mod store;
mod transport;
pub mod tree;
pub mod update;

pub use build::{BuildError, RepoBuilder};
pub use error::{GitError, GitErrorKind};
pub use history::{Line, LineEnd};
pub use odb_tree::GitTree;
pub use repository::Repository;
pub use tree::{Entry, EntryKind, MemoryTree, Tree, TreeError};
pub use update::Update;
