//! The metric families: one table, one collector over the report, and counters of our own work. I/O: `exposition` reads
//! `/proc/self` at each scrape, through the process collector of the `prometheus` crate; the rest is pure.
//!
//! [`table`] names every family once; [`collector`] builds those of the report afresh at each scrape, so that a thing that is gone from the
//! report is gone from the metrics; [`counters`] holds what only grows; [`docs`] writes the table for people.

pub mod collector;
pub mod counters;
pub mod docs;
pub mod exposition;
pub mod table;

pub use crate::build_info::BuildInfo;
pub use collector::{Latest, Snapshot};
pub use counters::{Counters, Phase, Verb};
pub use exposition::{CONTENT_TYPE, Exposition};
