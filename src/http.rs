//! Metrics, API, page and health over one listener. I/O: a TCP listener.
