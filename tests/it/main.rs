//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

// Clippy's own leave for tests ends at the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod render_helm;
mod render_kustomize;
mod render_plan;
mod render_sandbox;
mod support;
mod yaml;
