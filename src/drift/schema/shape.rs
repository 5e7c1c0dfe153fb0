//! One kind in one version, to be asked while two objects are compared. pure

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use super::{
    Builtin, bundled,
    defaults::Spot,
    index::{Index, Node, Place, Scalar, TypeId},
};
use crate::{
    drift::{ListKind, Schema},
    object::{Fingerprint, Gvk},
};

/// Where the schema of a kind comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The server's OpenAPI document.
    Server,
    /// Its CustomResourceDefinition.
    Definition,
    /// The table that is compiled in.
    Bundled,
}

/// One kind in one version.
#[derive(Clone, Debug)]
pub struct Shape {
    pub(super) index: Arc<Index>,
    pub(super) root: TypeId,
    /// Where it comes from.
    pub origin: Origin,
    /// Fingerprint of all that the kind's type reaches, and of where it comes from.
    pub print: Fingerprint,
    /// Whether a field that it does not name is one that the server does not have.
    pub complete: bool,
    custom: bool,
}

/// The parts of a shape, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub index: &'a Index,
    pub root: TypeId,
    pub custom: bool,
    pub complete: bool,
}

impl Shape {
    /// The shape of a kind; `None` if the index does not have it in this version.
    pub fn of(index: &Arc<Index>, gvk: &Gvk, origin: Origin, complete: bool) -> Option<Self> {
        let root = index.root(&gvk.gk, &gvk.version)?;
        let custom = bundled::index().newest(&gvk.gk).is_none();
        Some(Self { index: index.clone(), root: root.of, origin, print: root.print, complete, custom })
    }

    /// Bytes that its index holds.
    pub fn size(&self) -> usize {
        self.index.size()
    }

    /// Whether the type has no field of this name, whoever says so.
    pub fn knows_no(&self, path: &[&str]) -> bool {
        self.index.find(self.root, path).is_some_and(|p| p.dropped)
    }

    /// Whether it has a place for everything that another version's shape has one for.
    pub fn covers(&self, other: &Self) -> bool {
        self.print == other.print || self.index.covers(Node::Struct(self.root), &other.index, Node::Struct(other.root), &mut HashSet::new())
    }

    pub(super) fn view(&self) -> View<'_> {
        View { index: &self.index, root: self.root, custom: self.custom, complete: self.complete }
    }
}

/// Whether a leaf of a custom resource is a quantity, by its name: embedded pod templates, volume claims and quotas.
pub(super) fn quantity_by_name(path: &[&str]) -> bool {
    const MAPS: [&str; 6] = ["limits", "requests", "capacity", "hard", "nominalQuota", "borrowingLimit"];
    const NAMES: [&str; 5] = ["cpu", "memory", "storage", "sizeLimit", "ephemeral-storage"];
    match path {
        [.., parent, last] => MAPS.contains(parent) || NAMES.contains(last) || MAPS[4..].contains(last),
        _ => false,
    }
}

impl<'a> View<'a> {
    fn find(self, path: &[&str]) -> Option<Place<'a>> {
        self.index.find(self.root, path)
    }

    fn scalar(self, path: &[&str]) -> Option<Scalar> {
        match self.find(path)?.node {
            Node::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(super) fn list_kind(self, path: &[&str]) -> ListKind {
        match self.find(path).map(|p| p.node) {
            Some(Node::List(n)) => self.index.list(n).map_or(ListKind::Atomic, |l| l.kind.clone()),
            _ => ListKind::Atomic,
        }
    }

    pub(super) fn is_quantity(self, path: &[&str]) -> bool {
        match self.scalar(path) {
            Some(Scalar::Quantity) => true,
            Some(Scalar::IntOrString | Scalar::Plain) | None => self.custom && quantity_by_name(path),
            Some(_) => false,
        }
    }

    pub(super) fn rounds(self, path: &[&str]) -> bool {
        !self.custom && self.find(path).and_then(|p| p.entry).is_some_and(|m| m.resources)
    }

    pub(super) fn is_base64(self, path: &[&str]) -> bool {
        self.scalar(path) == Some(Scalar::Bytes)
    }

    /// A custom resource's text without a format may be one too: controllers write them back in Go's form.
    pub(super) fn is_duration(self, path: &[&str]) -> bool {
        match self.scalar(path) {
            Some(Scalar::Duration) => true,
            Some(Scalar::Plain) | None => self.custom,
            Some(_) => false,
        }
    }

    pub(super) fn is_nullable(self, path: &[&str]) -> bool {
        self.find(path).is_some_and(|p| p.field.is_some_and(|f| f.nullable) || p.entry.is_some_and(|m| m.nullable))
    }

    /// An item or an entry is there or it is not, so its zero value means something; and so does everything where nothing is known.
    pub(super) fn empty_means_something(self, path: &[&str]) -> bool {
        self.find(path).is_none_or(|p| p.field.map_or(!p.dropped, |f| f.pointer))
    }

    pub(super) fn is_entry(self, path: &[&str]) -> bool {
        self.find(path).is_some_and(|p| p.entry.is_some())
    }

    /// Whether the type has a place at this path.
    pub(super) fn has(self, path: &[&str]) -> bool {
        self.find(path).is_some_and(|p| !p.dropped)
    }

    pub(super) fn default_of(self, path: &[&str]) -> Option<Value> {
        bundled::constant(self.index.rules(self.find(path)?.field?.defaults))
    }

    pub(super) fn fills(self, spot: &Spot<'_>, value: &Value) -> bool {
        let Some(place) = self.find(spot.path) else { return false };
        match place.field {
            Some(field) => self.index.rules(field.defaults).iter().any(|r| r.gives(spot, false, value)),
            None => self.index.rules(place.entry_rules).iter().any(|r| r.gives(spot, true, value)),
        }
    }

    pub(super) fn follows(self, spot: &Spot<'_>, value: &Value) -> bool {
        let rules = self.find(spot.path).and_then(|p| p.field).map_or(&[][..], |f| self.index.rules(f.defaults));
        rules.iter().any(|r| r.decides(spot, value))
    }

    pub(super) fn is_whole(self, path: &[&str]) -> bool {
        match self.find(path).map(|p| p.node) {
            Some(Node::Struct(n)) => self.index.of(n).is_some_and(|t| t.atomic),
            Some(Node::Map(n)) => self.index.map(n).is_some_and(|m| m.atomic),
            Some(Node::List(n)) => self.index.list(n).is_some_and(|l| matches!(l.kind, ListKind::Atomic | ListKind::Bag)),
            _ => false,
        }
    }

    pub(super) fn drops(self, path: &[&str]) -> bool {
        self.complete && self.find(path).is_some_and(|p| p.dropped)
    }
}

impl Schema for Shape {
    fn knows(&self, _gvk: &Gvk) -> bool {
        true
    }

    fn list_kind(&self, _gvk: &Gvk, path: &[&str]) -> ListKind {
        self.view().list_kind(path)
    }

    fn is_quantity(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_quantity(path)
    }

    fn rounds(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().rounds(path)
    }

    fn is_base64(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_base64(path)
    }

    fn is_duration(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_duration(path)
    }

    fn is_nullable(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_nullable(path)
    }

    fn empty_means_something(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().empty_means_something(path)
    }

    fn default_of(&self, _gvk: &Gvk, path: &[&str]) -> Option<Value> {
        self.view().default_of(path)
    }

    fn fills(&self, gvk: &Gvk, path: &[&str], trail: &[&Value], value: &Value) -> bool {
        self.view().fills(&Spot { kind: &gvk.gk.kind, path, trail }, value)
    }

    fn follows(&self, gvk: &Gvk, path: &[&str], git: &[&Value], value: &Value) -> bool {
        self.view().follows(&Spot { kind: &gvk.gk.kind, path, trail: git }, value)
    }

    fn is_entry(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_entry(path)
    }

    fn is_custom(&self, _gvk: &Gvk) -> bool {
        self.custom
    }

    /// Of a custom resource the schema has all defaults. Those of Kubernetes' own kinds stand in the table, which may be older than the server.
    fn knows_defaults(&self, gvk: &Gvk, path: &[&str]) -> bool {
        if self.custom { self.complete } else { Builtin.knows_defaults(gvk, path) }
    }

    fn is_whole(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().is_whole(path)
    }

    fn drops(&self, _gvk: &Gvk, path: &[&str]) -> bool {
        self.view().drops(path)
    }
}
