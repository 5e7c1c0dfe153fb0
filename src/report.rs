//! The one immutable report, and its text forms. pure
//!
//! Metrics, API, page, CLI and files all render the same [`model::Report`]; a thing that is gone from it is gone from all of them.

pub mod model;

pub use model::Report;
