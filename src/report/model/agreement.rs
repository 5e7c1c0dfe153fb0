//! What a backup was to hold against what it holds, in the report. pure

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::{ObjectId, Text};

/// How a backup's content departs from what Velero's selection makes of its spec. The content is the fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// Its spec takes the object, which was there when it began, and its archive does not hold it.
    MissingFromBackup,
    /// Its archive holds the object, and neither its spec nor anything else that it holds leads to it.
    UnexpectedInBackup,
}

impl Mismatch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MissingFromBackup, Self::UnexpectedInBackup];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingFromBackup => "missing_from_backup",
            Self::UnexpectedInBackup => "unexpected_in_backup",
        }
    }
}

/// One object on which prediction and content of a backup disagree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// Group, kind, namespace and name.
    #[serde(flatten)]
    pub id: ObjectId,
    /// In which way.
    pub mismatch: Mismatch,
    /// The likely reason, a stable snake_case word: `failed`, `hook_failed`, `list_failed`, `errors_unread`, `kind_unknown_then`,
    /// `changed_since`, `resource_policy`, `plugin` or `unknown`.
    pub reason: Text,
    /// One sentence: what was expected and why, and what most likely happened.
    pub why: String,
}

/// One backup's content against its spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Objects that live, were there when it began, and that its spec takes for certain.
    pub predicted: u64,
    /// How many of these it holds.
    pub held: u64,
    /// Objects that live and that its spec may take: what they were then is not known.
    pub undecided: u64,
    /// Objects that it lacks; [`Mismatch::MissingFromBackup`].
    pub missing: u64,
    /// Objects that it holds beyond its spec; [`Mismatch::UnexpectedInBackup`]. Absent while bodies that it depends on cannot be read.
    pub unexpected: Option<u64>,
}

/// The disagreements of one backup. Backups without any are not listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DisagreementReport {
    /// The backup.
    pub backup: Text,
    /// The schedule that made it.
    pub schedule: Option<Text>,
    /// When it began.
    pub start: Option<Timestamp>,
    /// Whether it is the newest one that was read of those with the same filters. Older ones go on disagreeing until they expire.
    pub newest: bool,
    /// Counts, by mismatch; one of which nothing can be said is absent.
    pub counts: BTreeMap<Mismatch, u64>,
    /// The objects, in the order of identities; of very many of one sort only the first.
    pub objects: Vec<Disagreement>,
}
