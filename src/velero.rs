//! The backup side: which backup counts, what it was asked to hold, what it holds. I/O: `archive` and `files` read files; the rest is pure.

pub mod archive;
pub mod assess;
pub mod beside;
pub mod cron;
pub mod custom;
pub mod files;
pub mod glob;
pub mod moment;
pub mod names;
pub mod scope;
pub mod state;
pub mod torn;

pub use assess::{Cluster, FileBackup, assess};
pub use names::Names;
pub use scope::{Coverage, Scope, Subject};
