//! The configuration file as it is written, and its way into a validated `Config`. pure
