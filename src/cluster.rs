//! The cluster side: discovery, inventory by list and watch, or a dump on disk. I/O: the Kubernetes API, files.
//!
//! The only room that knows kube. Secrets are reduced by `object::admit` as they come off the wire.
