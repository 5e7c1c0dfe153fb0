//! A small but real world, made from nothing: a repository with a history, a cluster as a folder, backups in Velero's own format.
//! I/O: writes one folder.
//!
//! Nothing downstream knows of it: the ordinary stages read the folder as they read any other.

mod cluster;
mod files;
mod story;
mod world;

pub use story::{Step, play};
pub use world::{DemoError, World};
