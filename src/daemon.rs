//! The daemon: stages that publish value, age and error, and the state file. I/O: tasks, signals, state file.

pub mod board;
