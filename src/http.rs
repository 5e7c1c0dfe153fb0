//! Metrics, API, page and health over one listener. I/O: a TCP listener, and the files of token, certificate and key.
//!
//! Everything is answered from the newest report in memory: no request reaches Git, the cluster or a backup.

pub mod api;
pub mod auth;
pub mod guard;
pub mod lifecycle;
pub mod page;
pub mod problem;
mod routes;
#[cfg(test)]
pub(crate) mod sample;
pub mod server;
pub mod state;
mod tls;

pub use server::{HttpError, Limits, Server};
pub use state::{Explain, PollRequest, Published, ReloadRequest, State, latest};
