//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

mod house;
// Clippy's own leave for tests ends at the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod git_history;
mod git_http;
mod git_mirror;
mod git_ssh;
// Helpers fail a test in the same way as the test itself would.
#![allow(clippy::expect_used)]

mod http;
mod metrics;
// Clippy's own leave for tests ends at the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod cluster_faults;
mod cluster_read;
mod cluster_watch;
mod support;

mod render_helm;
mod render_kustomize;
mod render_sandbox;
mod render_plan;
mod support;
mod yaml;
