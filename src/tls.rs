//! The TLS provider of the process: one, for the API server, Git, storage and the web listener alike. I/O: process-wide state.

/// Makes ring the TLS provider of this process. Call it first thing in `main`; calling it again does nothing. Without it every TLS client
/// in the tree panics, so the rooms that open connections call it too.
pub fn install() {
    // The error says only that a provider is in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
