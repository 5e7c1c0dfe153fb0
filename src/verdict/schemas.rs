//! Which schema a comparison stands on: the cluster's definitions and documents, else Git's or a backup's definitions, else the table. pure

use std::{cell::RefCell, rc::Rc};

use super::{fast::FastMap, memo::Memo};
use crate::{
    drift::{
        Builtin, Comparison, LeafClass, Schema,
        schema::{Definition, Origin, Shape, definition::Conversion},
        versions::{Bridge, bridge},
    },
    object::{FieldPath, Fingerprint, GroupKind, Gvk, Object, Step, Text},
    report::model::SchemaState,
    witness::{Failure, Live},
};

/// What is known of a kind in one version.
pub(super) enum Known {
    /// Its schema.
    Shape { shape: Shape, conversion: Conversion },
    /// The conventions that hold for every kind.
    Table,
}

impl Known {
    pub(super) fn schema(&self) -> &dyn Schema {
        match self {
            Self::Shape { shape, .. } => shape,
            Self::Table => &Builtin,
        }
    }

    /// Whether the version has no field at this path.
    pub(super) fn has_no(&self, path: &FieldPath) -> bool {
        let Self::Shape { shape, .. } = self else { return false };
        let steps: Vec<&str> = path.0.iter().map(|s| if let Step::Key(key) = s { &**key } else { "*" }).collect();
        shape.knows_no(&steps)
    }

    /// Fingerprint of everything about the schema that a comparison depends on.
    fn print(&self) -> Option<(Fingerprint, bool)> {
        match self {
            Self::Shape { shape, .. } => Some((shape.print, shape.complete)),
            Self::Table => None,
        }
    }
}

/// Two versions of one kind.
pub(super) struct Pair {
    pub wanted: Rc<Known>,
    pub other: Option<Rc<Known>>,
    /// Why the two cannot be compared, if so.
    pub refused: Option<Failure>,
    /// How one of them is said in the version of the other, in which they are then compared.
    pub bridge: Option<Bridge>,
}

/// What a comparison of two versions depends on.
pub(super) type PairPrint = (Option<(Fingerprint, bool)>, Option<(Fingerprint, bool)>, bool);

impl Pair {
    pub(super) fn print(&self) -> PairPrint {
        (self.wanted.print(), self.other.as_ref().and_then(|o| o.print()), self.refused.is_some())
    }

    /// A field that the other side's version does not have cannot be seen there, so nothing can be said of it.
    pub(super) fn checked(&self, comparison: Comparison, other: &Text) -> Comparison {
        let Some(known) = &self.other else { return comparison };
        match comparison.leaves.iter().find(|l| l.class == LeafClass::Missing && known.has_no(&l.path)) {
            Some(leaf) => {
                let message = format!("{} is not in version {other}, in which the other side was read", leaf.path);
                Comparison { unjudged: Some(Failure::new("version_differs", message)), ..Comparison::default() }
            }
            None => comparison,
        }
    }
}

/// What the report says of the schemas.
pub(super) fn state(live: &Live) -> SchemaState {
    let definitions = live.objects.of_kind(&GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")).count() as u64;
    SchemaState { documents: live.schemas.len() as u64, definitions, failure: live.schemas.failure.clone() }
}

/// Two versions of which nobody here knows how one is said in the other.
pub(super) fn differs(wanted: &Gvk, other: &str) -> Failure {
    let message = format!(
        "Git declares {} in version {} and it was read in version {other}, whose fields differ: declare it in version {other}",
        wanted.gk, wanted.version
    );
    Failure::new("version_differs", message)
}

/// Answers for the schemas.
pub(super) struct SchemaSide<'a> {
    live: &'a Live,
    /// The cluster's definitions before Git's and backups'.
    definitions: Vec<&'a Object>,
    known: RefCell<FastMap<Gvk, Rc<Known>>>,
    memo: &'a Memo,
}

impl<'a> SchemaSide<'a> {
    /// Definitions that were asked for and could not be read in full: their kinds, and why.
    pub(super) fn problems(&self) -> Vec<(GroupKind, String)> {
        let mut out: Vec<(GroupKind, String)> = self.memo.definition_problems();
        out.sort();
        out.dedup();
        out
    }

    pub(super) fn new(live: &'a Live, definitions: Vec<&'a Object>, memo: &'a Memo) -> Self {
        Self { live, definitions, known: RefCell::default(), memo }
    }

    /// What is known of a kind in this version.
    pub(super) fn of(&self, gvk: &Gvk) -> Rc<Known> {
        if let Some(known) = self.known.borrow().get(gvk) {
            return known.clone();
        }
        let found = Rc::new(self.look_up(gvk));
        self.known.borrow_mut().insert(gvk.clone(), found.clone());
        found
    }

    fn look_up(&self, gvk: &Gvk) -> Known {
        let plain = |shape| Known::Shape { shape, conversion: Conversion::None };
        let defined = self.definition(gvk);
        let by = |d: &Definition, complete: bool| {
            Shape::of(&d.index, gvk, Origin::Definition, complete).map(|shape| Known::Shape { shape, conversion: d.conversion })
        };
        if let Some((definition, true)) = &defined
            && let Some(known) = by(definition, true)
        {
            return known;
        }
        if let Some(shape) = self.live.schemas.served(gvk) {
            return plain(shape);
        }
        // What Git or a backup defines may be older or newer than what the cluster has, so it drops nothing.
        defined.and_then(|(d, _)| by(&d, false)).or_else(|| self.live.schemas.bundled(gvk).map(plain)).unwrap_or(Known::Table)
    }

    /// The definition of a kind, and whether it is the cluster's own.
    fn definition(&self, gvk: &Gvk) -> Option<(std::sync::Arc<Definition>, bool)> {
        // A definition is named `<plural>.<group>`; only those of this group are worth parsing.
        let of_group = self.definitions.iter().filter(|d| d.id.name.split_once('.').is_some_and(|(_, group)| *group == *gvk.gk.group));
        let object = of_group.into_iter().find(|d| self.memo.definition(d).is_ok_and(|known| known.kind == *gvk.gk.kind))?;
        let own = self.live.objects.get(&object.id).is_some_and(|o| std::ptr::eq(&**o, *object));
        Some((self.memo.schema(object)?, own))
    }

    /// What is known of the version that Git names and of the one in which the other side was read.
    pub(super) fn pair(&self, wanted: &Gvk, other: &Text) -> Pair {
        let known = self.of(wanted);
        if wanted.version == *other {
            return Pair { wanted: known, other: None, refused: None, bridge: None };
        }
        let there = self.of(&Gvk { gk: wanted.gk.clone(), version: other.clone() });
        if let Some(way) = bridge(wanted, other) {
            let newer = if way.desired_is_older { there } else { known };
            return Pair { wanted: newer, other: None, refused: None, bridge: Some(way) };
        }
        let refused = match (&*known, &*there) {
            (Known::Shape { shape: a, .. }, Known::Shape { shape: b, .. }) if a.print == b.print => None,
            (Known::Shape { conversion: Conversion::None, shape }, Known::Shape { .. }) if shape.origin == Origin::Definition => None,
            (Known::Shape { .. }, Known::Shape { .. }) => Some(differs(wanted, other)),
            _ => None,
        };
        Pair { wanted: known, other: Some(there), refused, bridge: None }
    }
}
