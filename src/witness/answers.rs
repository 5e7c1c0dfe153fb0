//! What the API server answered to dry runs of the deployers' next applies. pure

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::Failure;
use crate::object::{Fingerprint, GroupKind, Object, ObjectId, Text};

/// What the server said to one question.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// What the object would be, in the version that Git names.
    Would {
        /// The object as it would be.
        then: Arc<Object>,
        /// The object as it is, where it was compared in another version: the same state in the version that Git names.
        before: Option<Arc<Object>>,
    },
    /// The server would not take it.
    Refused(Failure),
    /// There was no answer, or the object had changed meanwhile.
    Nothing(Failure),
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Everything that the question depended on.
    pub key: Fingerprint,
    /// In whose name it was asked.
    pub manager: Text,
    /// When.
    pub at: Timestamp,
    /// What was said.
    pub said: Said,
}

/// All answers that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// By object; the last one each.
    pub by_object: BTreeMap<ObjectId, Answered>,
    /// Kinds that may not be asked about, and the server's word for the permission that is missing.
    pub forbidden: BTreeMap<GroupKind, Failure>,
}
