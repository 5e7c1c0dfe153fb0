//! The one immutable report, and its text forms. pure
//!
//! Metrics, API, page, CLI and files all render the same [`model::Report`]; a thing that is gone from it is gone from all of them.

pub mod confirm;
pub mod diff;
pub mod evidence;
pub mod exit;
pub(crate) mod groups;
pub mod json;
pub mod markdown;
pub mod model;
pub mod schema;
pub mod table;
pub mod text;
pub mod yaml;

#[cfg(test)]
pub mod sample;

pub use evidence::Evidence;
pub use exit::{FailOn, exit_code};
pub use model::Report;
