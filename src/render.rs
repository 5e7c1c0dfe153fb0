//! Files to objects: the renderers and the one place that spawns them. I/O: a private folder per render, child processes.
//!
//! Planning is pure: [`detect`] decides what renders an app, [`closure`](mod@closure) what the result can depend on, [`directory`] and
//! [`collect`] turn text into objects.

pub mod closure;
pub mod collect;
pub mod detect;
pub mod directory;
pub mod error;
pub mod links;
mod sourceignore;

pub use closure::{Closure, closure};
pub use collect::{Caps, Collected};
pub use error::RenderError;
