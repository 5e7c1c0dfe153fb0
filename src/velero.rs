//! The backup side: which backup counts, what it was asked to hold, what it holds. I/O: `archive`, `files`, `library` and `store` do; the rest is pure.

pub mod archive;
pub mod assess;
pub mod beside;
pub mod coverage;
pub mod cron;
pub mod custom;
pub mod edits;
pub mod files;
pub mod glob;
pub mod label;
pub mod library;
pub mod moment;
pub mod names;
pub mod namespaces;
pub mod observed;
mod restores;
pub mod scope;
pub mod select;
pub mod selector;
pub mod server;
pub mod state;
pub mod store;
pub mod torn;

pub use assess::{Assessed, Cluster, FileBackup, assess, assess_each};
pub use library::Library;
pub use names::Names;
pub use scope::{Coverage, Scope, Subject};
pub use state::Damage;
