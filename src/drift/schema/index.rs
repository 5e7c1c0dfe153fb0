//! A compact index of the types of an API: what sits at a path, for every kind of one document. pure
//!
//! Documents are read into it once and dropped. Types are numbered and refer to one another by number, so recursive types cost nothing;
//! names, lists and defaults are shared. A path is walked type by type, so nothing is ever as deep as an object is.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    mem::size_of,
};

use serde_json::Value;

use super::defaults::DefaultRule;
use crate::{
    drift::ListKind,
    object::{Fingerprint, GroupKind, Text},
};

/// Number of a type in its index.
pub type TypeId = u32;

/// What sits at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Anything: nothing is known of what is below, and nothing of it is dropped.
    Any,
    /// A scalar.
    Scalar(Scalar),
    /// A mapping with fields of its own.
    Struct(TypeId),
    /// A list; its number.
    List(u32),
    /// A mapping of free keys; its number.
    Map(u32),
}

/// How the text or number of a scalar is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// As it stands.
    Plain,
    /// As it stands, and no duration: a number, a truth value, a text of a format of its own.
    Word,
    /// A resource quantity.
    Quantity,
    /// A number or a text; the two are never the same (`80` is a port, `"80"` the name of one).
    IntOrString,
    /// Bytes in base64.
    Bytes,
    /// A duration as Go writes it.
    Duration,
    /// A moment as RFC 3339 writes it.
    Time,
}

/// A list and its items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List {
    /// How items are paired.
    pub kind: ListKind,
    /// What an item is.
    pub of: Node,
}

/// A mapping of free keys and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// Whether it has one writer as a whole.
    pub atomic: bool,
    /// Whether its values are quantities of a ResourceList, which the server rounds.
    pub resources: bool,
    /// Whether a value may be null.
    pub nullable: bool,
    /// What a value is.
    pub of: Node,
}

/// A field of a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name.
    pub name: Text,
    /// Whether zero and empty mean something else than absence.
    pub pointer: bool,
    /// Whether null is a value.
    pub nullable: bool,
    /// What is in it.
    pub node: Node,
    /// What the server fills in; a number of [`Index::rules`].
    pub defaults: Option<u32>,
    /// What it fills in as entries of this mapping.
    pub entries: Option<u32>,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Its name in Kubernetes' own API, without the common prefix; empty for types of custom resources.
    pub name: Text,
    /// Whether it has one writer as a whole.
    pub atomic: bool,
    /// Whether members that are no fields are kept.
    pub open: bool,
    /// Sorted by name.
    pub fields: Box<[Field]>,
}

/// A kind in one version.
#[derive(Clone, Debug)]
pub struct Root {
    /// Version.
    pub version: Text,
    /// Type of the whole object.
    pub of: TypeId,
    /// Fingerprint of all that the type reaches.
    pub print: Fingerprint,
}

/// The index of one document, one definition or the bundled table.
#[derive(Clone, Debug, Default)]
pub struct Index {
    pub(super) types: Vec<Type>,
    pub(super) lists: Vec<List>,
    pub(super) maps: Vec<Map>,
    pub(super) defaults: Vec<Vec<DefaultRule>>,
    pub(super) kinds: HashMap<GroupKind, Vec<Root>>,
    /// Type of `metadata`, which all kinds share.
    pub(super) metadata: Option<TypeId>,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What is there.
    pub node: Node,
    /// The field, if the last step was one.
    pub field: Option<&'a Field>,
    /// The mapping, if the last step was one of its keys.
    pub entry: Option<&'a Map>,
    /// The rules for entries of the mapping that the last step went into.
    pub entry_rules: Option<u32>,
    /// The last step names nothing that the type has, and the type is closed: the server drops it.
    pub dropped: bool,
}

impl Index {
    /// The type of a kind in this version.
    pub fn root(&self, gk: &GroupKind, version: &str) -> Option<&Root> {
        self.kinds.get(gk)?.iter().find(|r| &*r.version == version)
    }

    /// The type of a kind in the newest version that is known: a stable one if there is one.
    pub fn newest(&self, gk: &GroupKind) -> Option<&Root> {
        let stable = |version: &str| !version.contains("alpha") && !version.contains("beta");
        self.kinds.get(gk)?.iter().max_by_key(|r| (stable(&r.version), r.version.clone()))
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = (&GroupKind, &Root)> {
        self.kinds.iter().flat_map(|(gk, roots)| roots.iter().map(move |r| (gk, r)))
    }

    pub(super) fn list(&self, n: u32) -> Option<&List> {
        self.lists.get(n as usize)
    }

    pub(super) fn map(&self, n: u32) -> Option<&Map> {
        self.maps.get(n as usize)
    }

    pub(super) fn of(&self, n: TypeId) -> Option<&Type> {
        self.types.get(n as usize)
    }

    pub(super) fn rules(&self, n: Option<u32>) -> &[DefaultRule] {
        n.and_then(|n| self.defaults.get(n as usize)).map_or(&[], Vec::as_slice)
    }

    /// Walks from a type along a path; list items stand as `*`. `None` below what is not known.
    pub fn find(&self, start: TypeId, path: &[&str]) -> Option<Place<'_>> {
        let mut place = Place { node: Node::Struct(start), field: None, entry: None, entry_rules: None, dropped: false };
        for step in path {
            if place.dropped {
                return Some(place);
            }
            place = match place.node {
                Node::Struct(n) => {
                    let of = self.of(n)?;
                    match of.fields.binary_search_by(|f| (*f.name).cmp(step)) {
                        Ok(i) => Place { node: of.fields[i].node, field: Some(&of.fields[i]), entry: None, entry_rules: None, dropped: false },
                        Err(_) if of.open => return None,
                        Err(_) => Place { node: Node::Any, field: None, entry: None, entry_rules: None, dropped: true },
                    }
                }
                Node::List(n) => Place { node: self.list(n)?.of, field: None, entry: None, entry_rules: None, dropped: false },
                Node::Map(n) => {
                    let map = self.map(n)?;
                    Place { node: map.of, field: None, entry: Some(map), entry_rules: place.field.and_then(|f| f.entries), dropped: false }
                }
                Node::Any | Node::Scalar(_) => return None,
            };
        }
        Some(place)
    }

    /// Whether a place has room for everything that one of another index may hold. `met` holds pairs of types that are being looked at.
    pub(super) fn covers(&self, own: Node, other: &Self, theirs: Node, met: &mut HashSet<(TypeId, TypeId)>) -> bool {
        match (own, theirs) {
            (Node::Any, _) | (Node::Scalar(_), Node::Scalar(_)) => true,
            (Node::Struct(a), Node::Struct(b)) if !met.insert((a, b)) => true,
            (Node::Struct(a), Node::Struct(b)) => {
                let (Some(a), Some(b)) = (self.of(a), other.of(b)) else { return false };
                let field = |name: &str| a.fields.binary_search_by(|f| (*f.name).cmp(name)).ok().map(|at| a.fields[at].node);
                (a.open || !b.open) && b.fields.iter().all(|f| field(&f.name).map_or(a.open, |node| self.covers(node, other, f.node, met)))
            }
            (Node::Map(a), Node::Map(b)) => self.map(a).zip(other.map(b)).is_some_and(|(a, b)| self.covers(a.of, other, b.of, met)),
            (Node::List(a), Node::List(b)) => self.list(a).zip(other.list(b)).is_some_and(|(a, b)| self.covers(a.of, other, b.of, met)),
            _ => false,
        }
    }

    /// Bytes that the index holds, names counted once.
    pub fn size(&self) -> usize {
        let mut names: HashMap<*const u8, usize> = HashMap::new();
        let mut total = size_of::<Self>();
        let mut name = |text: &Text| {
            names.insert(text.as_ptr(), text.len() + 16);
        };
        for of in &self.types {
            name(&of.name);
            total += size_of::<Type>() + of.fields.len() * size_of::<Field>();
            of.fields.iter().for_each(|f| name(&f.name));
        }
        total += self.lists.len() * size_of::<List>() + self.maps.len() * size_of::<Map>();
        for list in &self.lists {
            if let ListKind::Keyed(keys) = &list.kind {
                total += keys.len() * size_of::<(Text, Option<Text>)>() + 16;
            }
        }
        total += self.defaults.iter().map(|rules| size_of::<Vec<DefaultRule>>() + rules.iter().map(DefaultRule::size).sum::<usize>()).sum::<usize>();
        total += self.kinds.values().map(|roots| size_of::<(GroupKind, Vec<Root>)>() + roots.len() * size_of::<Root>()).sum::<usize>();
        total + names.values().sum::<usize>()
    }

    /// Everything that a type reaches, as text, a type a line. The numbers of types depend on how the document is ordered, so they are told in
    /// the order in which the walk meets them.
    pub fn describe(&self, start: TypeId) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let mut met: HashMap<TypeId, usize> = HashMap::from([(start, 0)]);
        let mut open = VecDeque::from([start]);
        while let Some(n) = open.pop_front() {
            let Some(of) = self.of(n) else { continue };
            let _ = write!(text, "\n{} {}", of.atomic, of.open);
            for field in &of.fields {
                let rules = (self.rules(field.defaults), self.rules(field.entries));
                let _ = write!(text, " {} {} {} {rules:?} ", field.name, field.pointer, field.nullable);
                let mut node = field.node;
                loop {
                    match node {
                        Node::Any => text.push('?'),
                        Node::Scalar(scalar) => {
                            let _ = write!(text, "{scalar:?}");
                        }
                        Node::Struct(to) => {
                            let next = met.len();
                            let number = *met.entry(to).or_insert_with(|| {
                                open.push_back(to);
                                next
                            });
                            let _ = write!(text, "#{number}");
                        }
                        Node::List(l) => {
                            if let Some(list) = self.list(l) {
                                let _ = write!(text, "{:?}", list.kind);
                                node = list.of;
                                continue;
                            }
                        }
                        Node::Map(m) => {
                            if let Some(map) = self.map(m) {
                                let _ = write!(text, "{{{}{}{}", map.atomic, map.resources, map.nullable);
                                node = map.of;
                                continue;
                            }
                        }
                    }
                    break;
                }
            }
        }
        text
    }
}

/// Collects types, lists, maps and names, each once.
#[derive(Debug, Default)]
pub struct Builder {
    pub(super) index: Index,
    names: HashSet<Text>,
    types: HashMap<Type, TypeId>,
    lists: HashMap<List, u32>,
    maps: HashMap<Map, u32>,
    defaults: HashMap<String, u32>,
}

fn number<K: Hash + Eq + Clone>(known: &mut HashMap<K, u32>, all: &mut Vec<K>, one: K) -> u32 {
    if let Some(n) = known.get(&one) {
        return *n;
    }
    let n = u32::try_from(all.len()).unwrap_or(u32::MAX);
    known.insert(one.clone(), n);
    all.push(one);
    n
}

impl Builder {
    /// A text, shared.
    pub fn name(&mut self, text: &str) -> Text {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        let made = Text::from(text);
        self.names.insert(made.clone());
        made
    }

    /// A list.
    pub fn list(&mut self, kind: ListKind, of: Node) -> Node {
        Node::List(number(&mut self.lists, &mut self.index.lists, List { kind, of }))
    }

    /// A mapping of free keys.
    pub fn map(&mut self, map: Map) -> Node {
        Node::Map(number(&mut self.maps, &mut self.index.maps, map))
    }

    /// A type whose fields are known, the same number for equal types.
    pub fn add(&mut self, of: Type) -> TypeId {
        if let Some(n) = self.types.get(&of) {
            return *n;
        }
        let n = self.reserve();
        self.types.insert(of.clone(), n);
        self.fill(n, of);
        n
    }

    /// A number for a type that is told later: types refer to each other in circles.
    pub fn reserve(&mut self) -> TypeId {
        let n = u32::try_from(self.index.types.len()).unwrap_or(u32::MAX);
        let name = self.name("");
        self.index.types.push(Type { name, atomic: false, open: true, fields: Box::new([]) });
        n
    }

    /// Tells a reserved type.
    pub fn fill(&mut self, n: TypeId, of: Type) {
        if let Some(place) = self.index.types.get_mut(n as usize) {
            *place = of;
        }
    }

    /// Default rules of a field.
    pub fn defaults(&mut self, rules: Vec<DefaultRule>) -> Option<u32> {
        if rules.is_empty() {
            return None;
        }
        let key = format!("{rules:?}");
        if let Some(n) = self.defaults.get(&key) {
            return Some(*n);
        }
        let n = u32::try_from(self.index.defaults.len()).unwrap_or(u32::MAX);
        self.index.defaults.push(rules);
        self.defaults.insert(key, n);
        Some(n)
    }

    /// Names the type of a kind in one version.
    pub fn kind(&mut self, gk: GroupKind, version: &str, of: TypeId) {
        let version = self.name(version);
        self.index.kinds.entry(gk).or_default().push(Root { version, of, print: Fingerprint::of(b"") });
    }

    /// The index.
    pub fn done(mut self) -> Index {
        let mut prints: HashMap<TypeId, Fingerprint> = HashMap::new();
        let all: Vec<TypeId> = self.index.kinds.values().flatten().map(|r| r.of).collect();
        for of in all {
            prints.entry(of).or_insert_with(|| Fingerprint::of(self.index.describe(of).as_bytes()));
        }
        for root in self.index.kinds.values_mut().flatten() {
            root.print = prints.get(&root.of).copied().unwrap_or(root.print);
        }
        self.index.types.shrink_to_fit();
        self.index
    }
}

/// The bytes of a value, roughly: for [`Index::size`].
pub(super) fn bytes_of(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes_of).sum(),
            Value::Object(members) => members.iter().map(|(k, v)| k.len() + 48 + bytes_of(v)).sum(),
            _ => 0,
        }
}
