//! The index of a custom resource, from its CustomResourceDefinition. pure
//!
//! The server prunes, defaults and merges a custom resource by the structural schema in its definition, and by nothing else
//! (apiextensions-apiserver `pkg/apiserver/schema`): fields that are not named are dropped unless `x-kubernetes-preserve-unknown-fields`
//! says otherwise, lists are atomic unless `x-kubernetes-list-type` says otherwise, and everything that is stored, empty or zero, is kept.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{
    bundled, canonical,
    defaults::DefaultRule,
    index::{Builder, Field, Index, Map, Node, Scalar, Type, TypeId},
    raw::{Additional, Raw},
};
use crate::{
    drift::{ListKind, values::key_text},
    object::{GroupKind, Text},
};

/// Most fields of one definition. The largest that are known have some 20,000, repeated ones counted every time.
const MOST_FIELDS: usize = 400_000;

/// Deepest nesting. The parser of JSON itself ends at 128 levels of the document.
const DEEPEST: usize = 96;

/// How versions of a kind become one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Only `apiVersion` changes.
    None,
    /// By a webhook: fields may move.
    Webhook,
}

/// What a definition says.
#[derive(Debug)]
pub struct Definition {
    /// The kind.
    pub gk: GroupKind,
    /// Versions that have a schema, and their types.
    pub index: Arc<Index>,
    /// How versions become one another.
    pub conversion: Conversion,
    /// Why some version has no shape, if so.
    pub problem: Option<String>,
}

/// Reads a CustomResourceDefinition. `None` if it does not say which kind it defines.
pub fn read(definition: &Value) -> Option<Definition> {
    let spec = definition.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
    let gk = GroupKind::new(text("/group")?, text("/names/kind")?);
    let conversion = if text("/conversion/strategy") == Some("Webhook") { Conversion::Webhook } else { Conversion::None };
    let open = spec.get("preserveUnknownFields") == Some(&Value::Bool(true));
    let mut reader = Reader { builder: Builder::default(), metadata: 0, fields: 0, problem: None, open };
    reader.metadata = reader.object_meta();
    for version in spec.get("versions").and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = version.get("name").and_then(Value::as_str) else { continue };
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
            reader.problem.get_or_insert_with(|| format!("version {name} has no schema"));
            continue;
        };
        match Raw::deserialize(schema) {
            Ok(raw) => {
                let root = reader.resource(&raw, 0);
                reader.builder.kind(gk.clone(), name, root);
            }
            Err(_) => drop(reader.problem.get_or_insert_with(|| format!("the schema of version {name} is no JSON schema"))),
        }
    }
    Some(Definition { gk, index: Arc::new(reader.builder.done()), conversion, problem: reader.problem })
}

struct Reader {
    builder: Builder,
    metadata: TypeId,
    fields: usize,
    problem: Option<String>,
    /// Whether nothing is pruned anywhere (`spec.preserveUnknownFields`, from the time before structural schemas).
    open: bool,
}

impl Reader {
    /// A copy of the types of `metadata`, which the server knows by itself.
    fn object_meta(&mut self) -> TypeId {
        let table = bundled::index();
        match table.metadata {
            Some(n) => self.copied(table, n),
            None => self.builder.reserve(),
        }
    }

    fn copied(&mut self, from: &Index, n: TypeId) -> TypeId {
        let Some(of) = from.of(n) else { return self.builder.reserve() };
        let fields = of.fields.iter().map(|f| Field {
            name: self.builder.name(&f.name),
            node: self.copied_node(from, f.node),
            defaults: None,
            entries: None,
            ..f.clone()
        });
        let fields: Vec<Field> = fields.collect();
        let name = self.builder.name(&of.name);
        self.builder.add(Type { name, fields: fields.into(), ..of.clone() })
    }

    fn copied_node(&mut self, from: &Index, node: Node) -> Node {
        match node {
            Node::Any | Node::Scalar(_) => node,
            Node::Struct(n) => Node::Struct(self.copied(from, n)),
            Node::List(n) => from.list(n).cloned().map_or(Node::Any, |l| {
                let of = self.copied_node(from, l.of);
                self.builder.list(l.kind, of)
            }),
            Node::Map(n) => from.map(n).copied().map_or(Node::Any, |m| {
                let of = self.copied_node(from, m.of);
                self.builder.map(Map { of, ..m })
            }),
        }
    }

    /// A whole object: `apiVersion`, `kind` and `metadata` are there whatever the schema says, and metadata is the server's.
    fn resource(&mut self, raw: &Raw, depth: usize) -> TypeId {
        let own = raw.properties.iter().filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()));
        let mut fields: Vec<Field> = own.map(|(name, schema)| self.field(name, schema, depth + 1)).collect();
        for (name, node) in
            [("apiVersion", Node::Scalar(Scalar::Word)), ("kind", Node::Scalar(Scalar::Word)), ("metadata", Node::Struct(self.metadata))]
        {
            fields.push(Field { name: self.builder.name(name), pointer: false, nullable: false, node, defaults: None, entries: None });
        }
        self.finish(fields, raw)
    }

    fn finish(&mut self, mut fields: Vec<Field>, raw: &Raw) -> TypeId {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let name = self.builder.name("");
        let atomic = raw.map_type.as_deref() == Some("atomic");
        self.builder.add(Type { name, atomic, open: raw.preserves() || self.open, fields: fields.into() })
    }

    fn field(&mut self, name: &str, raw: &Raw, depth: usize) -> Field {
        self.fields += 1;
        let node = self.node(raw, depth);
        let mut rules = Vec::new();
        if let Some(default) = raw.default.clone().filter(|d| !d.is_null()) {
            rules.push(DefaultRule::always(canonical::completed(default, &self.builder.index, node)));
        }
        // What a custom resource stores is stored as it is, so that zero and empty always mean something.
        let defaults = self.builder.defaults(rules);
        Field { name: self.builder.name(name), pointer: true, nullable: raw.nullable, node, defaults, entries: None }
    }

    fn node(&mut self, raw: &Raw, depth: usize) -> Node {
        if depth > DEEPEST || self.fields > MOST_FIELDS {
            self.problem.get_or_insert_with(|| "a schema is larger than is read: what is below is compared without it".to_owned());
            return Node::Any;
        }
        if let Some(scalar) = raw.scalar() {
            return Node::Scalar(scalar);
        }
        match raw.kind.as_deref() {
            Some("array") => self.list(raw, depth),
            _ if raw.embedded => Node::Struct(self.resource(raw, depth)),
            _ if !raw.properties.is_empty() => {
                let fields: Vec<Field> = raw.properties.iter().map(|(name, schema)| self.field(name, schema, depth + 1)).collect();
                Node::Struct(self.finish(fields, raw))
            }
            _ => match &raw.additional {
                Some(Additional::Schema(of)) => {
                    self.fields += 1;
                    let inner = self.node(of, depth + 1);
                    let atomic = raw.map_type.as_deref() == Some("atomic");
                    self.builder.map(Map { atomic, resources: false, nullable: of.nullable, of: inner })
                }
                Some(Additional::Allowed(true)) => Node::Any,
                // An object without properties keeps nothing (apiextensions pruning/algorithm.go).
                _ if raw.kind.as_deref() == Some("object") && !raw.preserves() && !self.open => Node::Struct(self.finish(Vec::new(), raw)),
                _ => Node::Any,
            },
        }
    }

    fn list(&mut self, raw: &Raw, depth: usize) -> Node {
        let Some(items) = raw.items.as_deref() else { return self.builder.list(ListKind::Atomic, Node::Any) };
        self.fields += 1;
        let of = self.node(items, depth + 1);
        let kind = list_kind(raw, |key| items.properties.get(key).and_then(|p| p.default.as_ref()));
        self.builder.list(kind, of)
    }
}

/// How a list is paired, by what its schema says.
pub(super) fn list_kind<'d>(raw: &Raw, default: impl Fn(&str) -> Option<&'d Value>) -> ListKind {
    match raw.list_type.as_deref() {
        Some("set") => ListKind::Set,
        Some("map") if !raw.list_map_keys.is_empty() => {
            let key = |k: &String| (Text::from(k.as_str()), default(k).filter(|d| !d.is_null()).map(|d| Text::from(key_text(d))));
            ListKind::Keyed(raw.list_map_keys.iter().map(key).collect())
        }
        _ => ListKind::Atomic,
    }
}
