//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

// Clippy's own leave for tests ends at the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod canaries;
mod cli;
mod cli_bad_input;
mod cli_coverage;
mod cli_documents;
mod cli_usage;
mod cluster_faults;
mod cluster_read;
mod cluster_watch;
mod cluster_wire;
mod confirm;
mod daemon_cluster;
mod daemon_faults;
mod daemon_git;
mod daemon_life;
mod daemon_monitoring;
mod daemon_noise;
mod daemon_page;
mod daemon_scale;
mod deploy;
mod deploy_cluster;
mod drift_bad_input;
mod drift_exam;
mod drift_objects;
mod drift_rules;
mod drift_schemas;
mod drift_writers;
mod exam;
mod fuzz;
mod generated;
mod git_history;
mod git_http;
mod git_http_faults;
mod git_mirror;
mod git_ssh;
mod helm_release;
mod house;
mod http;
mod metrics;
mod page_browser;
mod render_helm;
mod render_history;
mod render_kustomize;
mod render_plan;
mod render_sandbox;
mod support;
#[path = "../../fuzz/targets.rs"]
mod targets;
mod velero_life;
mod velero_matrix;
mod velero_server;
mod velero_stores;
mod yaml;
