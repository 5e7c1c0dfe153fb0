//! Starts the real programs that the tests need, on free loopback ports, and ends them again.

pub mod authority;
pub mod browser;
pub mod cli;
pub mod clouds;
pub mod control_plane;
pub mod daemon;
pub mod gate;
pub mod git_repo;
pub mod git_servers;
pub mod manifests;
pub mod node;
pub mod program;
pub mod prometheus;
pub mod receiver;
pub mod render;
pub mod scale;
pub mod scene;
pub mod tools;
pub mod velero;
