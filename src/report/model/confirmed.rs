//! What the API server's dry run says of an object that drifts, beside what snapgap says. pure

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::Text;

/// How a dry run compares with what snapgap says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The deployer's next apply would change the fields that are told, to what Git says, and no other.
    Agrees,
    /// It would leave one of them, write another value there, or change a field that is not told.
    Differs,
    /// The server would not take what Git says.
    Refused,
    /// Nobody asked, or there was no answer; `reason` says why.
    Unasked,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Agrees, Self::Differs, Self::Refused, Self::Unasked];

    /// The stable name: metric label and report field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::Refused => "refused",
            Self::Unasked => "unasked",
        }
    }
}

/// What the deployer's next apply would do to one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is told, and it would stay as it is: what Git says is there already to the server, or admission puts the other value back.
    Keeps,
    /// It is told, and it would become something else than Git says: admission writes another value.
    Alters,
    /// It is not told, and it would change.
    Changes,
}

/// One field on which the two do not say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmedField {
    /// Path. Where only the server speaks, items of lists stand by their position.
    pub path: String,
    /// What would be done.
    pub deed: Deed,
    /// What it would be afterwards, as JSON text; absent if it would be gone.
    pub then: Option<String>,
}

/// What the server's dry run of the deployer's next apply says. It never changes a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confirmed {
    /// How it compares.
    pub answer: Answer,
    /// The field manager in whose name it was asked: the deployer's own.
    pub manager: Option<Text>,
    /// When.
    pub at: Option<Timestamp>,
    /// Why it was refused or not asked: a stable snake_case word.
    pub reason: Option<Text>,
    /// The same for people; absent where a note of the report says it for all objects.
    pub message: Option<String>,
    /// Where the two differ.
    pub fields: Vec<ConfirmedField>,
}

impl Confirmed {
    /// Not asked.
    pub fn unasked(reason: &str, message: Option<String>) -> Self {
        Self { answer: Answer::Unasked, manager: None, at: None, reason: Some(reason.into()), message, fields: Vec::new() }
    }
}
