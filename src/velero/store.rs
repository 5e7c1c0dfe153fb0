//! Stores of backups, read-only: a bucket of S3, GCS or Azure, or a folder laid out like one. I/O: the network, files with credentials.
//!
//! The only room that knows object_store. Whatever a store or its client says is put into words of ours: their own messages quote addresses,
//! and an address may carry a signature.

pub mod bucket;
mod client;
pub mod coordinates;
pub mod credentials;
pub mod error;
mod federation;
pub mod feed;
pub mod listing;
pub mod signed;

pub use bucket::Bucket;
pub use coordinates::Coordinates;
pub use error::StoreError;
pub use listing::{Listed, StoredFile};
