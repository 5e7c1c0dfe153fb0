//! Starts the real programs that the tests need, on free loopback ports, and ends them again.
