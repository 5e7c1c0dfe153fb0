//! The backup side: which backup counts, what it was asked to hold, what it holds. I/O: `archive` reads files; the rest is pure.

pub mod cron;
pub mod glob;
pub mod scope;

pub use scope::Scope;
