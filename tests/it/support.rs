//! Starts the real programs that the tests need, on free loopback ports, and ends them again.

pub mod control_plane;
pub mod gate;
pub mod program;
pub mod tools;
