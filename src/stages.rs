//! The stages: each turns what it can reach into one witness, for the one-shot commands and the daemon alike. I/O: through git, render, cluster and velero.
//!
//! A stage takes no input but its settings and its own last value, is idempotent, does no retries of its own (the period is the
//! retry), and keeps the last good value when it fails.

pub mod backups;
pub mod cluster;
pub mod confirm;
pub mod git;
pub mod history;
pub mod mark;
