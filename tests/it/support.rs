//! Starts the real programs that the tests need, on free loopback ports, and ends them again.

pub mod render;
pub mod tools;
