//! The cluster side: discovery, inventory by list and watch, or a dump on disk. I/O: the Kubernetes API, files.
//!
//! The only room that knows kube. Secrets are reduced by `object::admit` as they come off the wire: bodies are never given to kube's own
//! decoders, which log what they cannot read.

pub mod call;
pub mod choice;
pub mod client;
pub mod discovery;
pub mod download;
pub mod dry_run;
pub mod dump;
pub mod intake;
pub mod inventory;
pub mod limits;
pub mod page;
pub mod rbac;
mod schemas;
pub mod state;
pub mod tally;
pub mod watch;
pub mod wire;

pub use client::{ConnectError, Connection};
pub use dump::{DumpError, DumpLimits, read_dump};
pub use inventory::{Progress, read, survey};
pub use limits::Limits;
pub use watch::{Inventory, Stats};
