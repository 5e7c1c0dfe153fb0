//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

// Helpers fail a test in the same way as the test itself would.
#![allow(clippy::expect_used)]

mod support;

mod render_helm;
mod render_kustomize;
mod render_sandbox;
mod render_plan;
mod support;
mod yaml;
