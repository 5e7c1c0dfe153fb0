//! The local drift engine: desired against observed, on what Git sets, with an owner for every differing leaf. pure
//!
//! The interface is meant to outlive today's engine: a deeper one replaces the inside of [`compare()`], not its shape.
//!
//! What today's engine does not know, it keeps silent and counts, or leaves to the reader as drift:
//! * custom resources without a definition: their lists have one writer as a whole and an order, what Git does not set inside them is not
//!   told from a default, and quantities and durations are told by name and by form;
//! * a value that admission rewrites stays under its writer's name: unless last-applied tells, it shows as `changed`;
//! * the order of keyed lists, also of `env` and `initContainers`, where it can matter.

pub mod compare;
pub mod docs;
pub mod exempt;
pub mod foretold;
mod found;
mod jq;
mod judge;
mod lists;
pub mod owners;
mod pointer;
pub mod rules;
pub mod scaling;
pub mod schema;
pub mod switches;
mod values;
pub mod versions;

#[cfg(test)]
mod cases;
#[cfg(test)]
pub(crate) mod causes;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod mutation;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use compare::compare;
pub use owners::{Managers, Writer};
pub use schema::Builtin;

use exempt::{Exemptions, Use};
use scaling::Scaling;

use crate::object::{DeployerMark, FieldPath, Gvk, ObjectId, Text};

/// What kind of difference a leaf shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeafClass {
    /// Git sets it, the other side has another value.
    Changed,
    /// Git sets it, the other side does not have it.
    Missing,
    /// Only the other side has it, and a person put it there.
    Added,
    /// Only the other side has it, and the deployer owns it: Git dropped it, and it stayed.
    Removed,
    /// A person ran the object otherwise for now: a restart, a scale by hand, a paused rollout.
    Operational,
    /// Git sets it, and a webhook or a controller made something else of it: the next sync will not heal that.
    Policy,
    /// Git sets it, but the server's schema has no such field, so the server drops it: a typo, or a field of another version. It is shown
    /// and counted, and is no drift.
    UnknownField,
}

impl LeafClass {
    /// All classes.
    pub const ALL: [Self; 7] = [Self::Changed, Self::Missing, Self::Added, Self::Removed, Self::Operational, Self::Policy, Self::UnknownField];

    /// The stable name: report field and word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Operational => "operational",
            Self::Policy => "policy",
            Self::UnknownField => "unknown_field",
        }
    }
}

/// One differing leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Where.
    pub path: FieldPath,
    /// What kind.
    pub class: LeafClass,
    /// What Git sets; absent for `Added` and `Removed`. Secret values are already hashes here.
    pub desired: Option<Value>,
    /// What the other side has; absent for `Missing`.
    pub observed: Option<Value>,
    /// Field manager that owns the observed leaf.
    pub owner: Option<Text>,
    /// What kind of writer that is.
    pub writer: Option<Writer>,
    /// When it last wrote.
    pub time: Option<Timestamp>,
}

impl Leaf {
    /// Whether it lies beside what Git sets: taking it away restores nothing that Git asks for, nor does a restore bring it against Git.
    pub fn is_addition(&self) -> bool {
        self.desired.is_none() && matches!(self.class, LeafClass::Added | LeafClass::Operational)
    }
}

/// One difference that a rule kept silent.
#[derive(Clone, Debug, PartialEq)]
pub struct Quiet {
    /// Where.
    pub path: FieldPath,
    /// What Git sets, if it sets something.
    pub desired: Option<Value>,
    /// What the other side has.
    pub observed: Option<Value>,
    /// Field manager that owns the observed leaf, where that was asked.
    pub owner: Option<Text>,
}

/// Differences that a rule kept silent.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Stable name of the rule.
    pub rule: Cow<'static, str>,
    /// Why it exists, for people.
    pub reason: Cow<'static, str>,
    /// Where the rule stands; empty for those that are built in.
    pub origin: Text,
    /// Leaves.
    pub leaves: u32,
    /// The leaves themselves, if the policy asks for them.
    pub listed: Vec<Quiet>,
}

/// The outcome of one comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Differing leaves, in path order.
    pub leaves: Vec<Leaf>,
    /// What rules kept silent.
    pub silenced: Vec<Silence>,
    /// Which rules of users and deployers speak of the object, and which are broken.
    pub uses: BTreeSet<Use>,
    /// Why nothing can be said, if so (for example desired content that is encrypted in Git).
    pub unjudged: Option<crate::witness::Failure>,
}

impl Comparison {
    /// Whether the observed object holds everything that Git sets: no leaf but of an unknown field has a desired value.
    #[cfg(test)]
    pub(crate) fn holds_desired(&self) -> bool {
        self.unjudged.is_none() && !self.leaves.iter().any(|l| l.desired.is_some() && l.class != LeafClass::UnknownField)
    }

    /// Whether the observed object also holds nothing that Git has dropped: every leaf is an addition or of an unknown field.
    #[cfg(test)]
    pub(crate) fn holds_only_desired(&self) -> bool {
        self.unjudged.is_none() && self.leaves.iter().all(|l| l.is_addition() || l.class == LeafClass::UnknownField)
    }
}

/// One object to be compared, as borrowed parts.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Reduced content.
    pub value: &'a Value,
    /// `metadata.managedFields` as JSON text, if known.
    pub managers: Option<&'a str>,
    /// What kubectl or Argo CD last applied client-side, as JSON text, if that is known.
    pub applied: Option<&'a str>,
}

/// What is known of the schema of a kind: [`schema::Shape`] is one kind of the cluster's own API, [`Builtin`] a table and conventions.
pub trait Schema: Sync {
    /// How the list at this path (list items stand as `*`) is paired.
    fn list_kind(&self, gvk: &Gvk, path: &[&str]) -> ListKind;
    /// Whether the leaf at this path is a resource quantity.
    fn is_quantity(&self, gvk: &Gvk, path: &[&str]) -> bool;
    /// Whether an empty value at this path means something else than an absent one (`emptyDir: {}`, `podSelector: {}`).
    fn empty_means_something(&self, gvk: &Gvk, path: &[&str]) -> bool;
    /// The value that the server fills in when Git sets none; `None` if there is none or it is not known.
    fn default_of(&self, gvk: &Gvk, path: &[&str]) -> Option<Value>;
    /// Whether the kind is covered at all. Of a kind that is not, lists and defaults are not known, and the engine says less.
    fn knows(&self, _gvk: &Gvk) -> bool {
        true
    }
    /// Whether this value is one that the server fills in when Git sets none. Some fields have several, depending on others: `trail` holds
    /// the containers from the root down to the one that the value is in.
    fn fills(&self, gvk: &Gvk, path: &[&str], _trail: &[&Value], value: &Value) -> bool {
        self.default_of(gvk, path).is_some_and(|d| d == *value)
    }
    /// Whether this value is what the server makes of a field that Git sets beside this one and that wins, whatever Git sets here: some fields have
    /// two names. `git` holds Git's containers from the root down to the one that the field is in.
    fn follows(&self, _gvk: &Gvk, _path: &[&str], _git: &[&Value], _value: &Value) -> bool {
        false
    }
    /// Whether the server rounds the quantity at this path up to thousandths (`SetDefaults_ResourceList`).
    fn rounds(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether the text at this path may be a duration as Go writes it, so that `60s` and `1m0s` are the same.
    fn is_duration(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether null is a value at this path, and not the same as absence.
    fn is_nullable(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether the server has no field of this name and drops what Git sets there.
    fn drops(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether the leaf at this path is bytes in base64, where white space means nothing.
    fn is_base64(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether the kind is a custom resource.
    fn is_custom(&self, gvk: &Gvk) -> bool {
        !self.knows(gvk)
    }
    /// Whether what is at this path is an entry of a mapping of free keys.
    fn is_entry(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether it is known of the field at this path which defaults the server fills in, or that it fills in none.
    fn knows_defaults(&self, _gvk: &Gvk, _path: &[&str]) -> bool {
        false
    }
    /// Whether the mapping or list at this path has one writer as a whole, so that a member Git does not set is a change of what it sets.
    fn is_whole(&self, gvk: &Gvk, path: &[&str]) -> bool {
        matches!(self.list_kind(gvk, path), ListKind::Bag)
    }
}

/// How the items of a list are paired. Items of keyed lists that repeat a key are paired by what they say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// By these key fields, each with the default that stands for an absent one.
    Keyed(Arc<[(Text, Option<Text>)]>),
    /// A set whose items have writers of their own: order does not matter, and an item that Git does not set is an addition.
    Set,
    /// One value whose order does not matter (RBAC rules): an item that Git does not set is a change.
    Bag,
    /// As one value: order matters.
    Atomic,
}

/// What applies to a comparison besides the two objects.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// Schema knowledge.
    pub schema: &'a dyn Schema,
    /// Rules of users and deployers that leave differences out.
    pub exempt: &'a Exemptions,
    /// The deployer's mark on the object, for rules that name deployers.
    pub mark: Option<&'a DeployerMark>,
    /// The autoscalers of the object.
    pub scaling: &'a Scaling,
    /// What kind of writer a field manager is.
    pub managers: &'a Managers,
    /// Whether the observed side is a live object (a person's additions are looked for) or a backup.
    pub look_for_additions: bool,
    /// Whether silences also list their leaves.
    pub list_silences: bool,
    /// The object, for rules that name objects.
    pub id: &'a ObjectId,
    /// Version that Git names.
    pub gvk: &'a Gvk,
}

impl<'a> Policy<'a> {
    /// The policy for a live object with nothing configured.
    pub fn of(schema: &'a dyn Schema, id: &'a ObjectId, gvk: &'a Gvk) -> Self {
        static BUILT_IN: LazyLock<Managers> = LazyLock::new(Managers::default);
        const NONE: &Scaling = &Scaling { by: Vec::new(), known: false };
        Self {
            schema,
            exempt: Exemptions::none(),
            mark: None,
            scaling: NONE,
            managers: &BUILT_IN,
            look_for_additions: true,
            list_silences: false,
            id,
            gvk,
        }
    }
}
