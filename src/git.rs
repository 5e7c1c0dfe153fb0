//! The Git side: bare mirrors, trees read from the object database, first-parent history. I/O: network, cache folder, ssh and git programs.
//!
//! The only room that knows gix. No work tree, ever.

pub mod tree;

pub use tree::{Entry, EntryKind, MemoryTree, Tree, TreeError};
