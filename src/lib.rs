//! snapgap: joins what Git declares, what a Kubernetes cluster runs and what its Velero backups would restore. pure
//!
//! The code map, the invariants and the decisions are in `ARCHITECTURE.md`.

pub mod build_info;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod drift;
pub mod git;
pub mod http;
pub mod metrics;
pub mod object;
pub mod render;
pub mod report;
pub mod stages;
pub mod tls;
pub mod velero;
pub mod verdict;
pub mod witness;
pub mod words;

/// The join makes and drops some million small values, which takes glibc's allocator twice as long and a third more memory
/// (docs/performance.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
