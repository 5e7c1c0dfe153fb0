//! One Kubernetes object as every other room sees it: identity, reduced content, fingerprint. pure
//!
//! Nothing outside this room builds an [`Object`]: it comes out of [`admit`], which has already replaced the values of Secrets by
//! keyed hashes. That is how "secret values never leave the module that reads them" is held by a type.

pub mod admit;
pub mod bounds;
pub mod builtin;
pub mod content;
pub mod id;
pub mod lookup;
pub mod packed;
pub mod path;
pub mod quantity;
pub mod redact;
pub mod renamed;
pub mod yaml;

pub use admit::{AdmitError, DeployerMark, EXCLUDE_LABEL, Meta, Object, Owner, Reduced, admit, expand, is_list, reduce};
pub use bounds::BoundsError;
pub use builtin::{Builtin, builtin};
pub use content::{BodyError, Content, Extent, Fingerprint, Place, Shelf};
pub use id::{GroupKind, Gvk, ObjectId, Text};
pub use lookup::Lookup;
pub use packed::Packed;
pub use path::{FieldPath, Step};
pub use quantity::Quantity;
pub use redact::Redactor;
