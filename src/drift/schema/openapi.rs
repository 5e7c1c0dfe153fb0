//! The index of one group and version, from the server's OpenAPI v3 document. pure
//!
//! The document is read straight into what the index needs; paths, descriptions and examples are passed over as text. Only types that some
//! kind reaches are kept. OpenAPI says nothing of pointers and of the defaults of Kubernetes' own types, so those come from the tables.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{
    bundled::{FACTS, atomic_list},
    canonical,
    defaults::DefaultRule,
    definition::list_kind,
    index::{Builder, Field, Index, Map, Node, Scalar, Type, TypeId},
    raw::{Additional, Raw},
};
use crate::{drift::ListKind, object::GroupKind};

/// Most fields of one document. The core group has some 3,000.
const MOST_FIELDS: usize = 400_000;

/// Longest chain of references from one schema to the next, and deepest nesting inside one.
const DEEPEST: usize = 96;

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// It is no JSON, or not OpenAPI.
    #[error("it is no OpenAPI v3 document: {0}")]
    Malformed(String),
    /// It has no schemas of kinds.
    #[error("it describes no kind")]
    Empty,
    /// It is larger than is read.
    #[error("it has more than {MOST_FIELDS} fields")]
    TooLarge,
}

impl DocumentError {
    /// The stable word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
        }
    }
}

#[derive(Deserialize)]
struct Document {
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<String, Raw>,
}

/// Prefixes of the names of Kubernetes' own types.
const PREFIXES: [&str; 4] =
    ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis."];

/// Types that are scalars whatever their schema says.
const SCALARS: [(&str, Scalar); 5] = [
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", Scalar::Quantity),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", Scalar::IntOrString),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", Scalar::Duration),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", Scalar::Time),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Scalar::Time),
];

/// Schemas in definitions, and what may stand in their place.
const PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Reads a document.
///
/// # Errors
/// When it is no OpenAPI v3 document, describes no kind or is too large.
pub fn read(document: &[u8]) -> Result<Index, DocumentError> {
    let parsed: Document = serde_json::from_slice(document).map_err(|e| {
        // The parser's own words may quote the document.
        DocumentError::Malformed(format!("line {} column {}", e.line(), e.column()))
    })?;
    let mut reader = Reader { schemas: parsed.components.schemas, builder: Builder::default(), numbers: HashMap::new(), open: Vec::new(), fields: 0 };
    let mut kinds = Vec::new();
    for (name, raw) in &reader.schemas {
        if let ([one], true) = (raw.kinds.as_slice(), raw.properties.contains_key("metadata"))
            && !raw.properties.contains_key("items")
        {
            kinds.push((name.clone(), GroupKind::new(one.group.as_str(), one.kind.as_str()), one.version.clone()));
        }
    }
    if kinds.is_empty() {
        return Err(DocumentError::Empty);
    }
    for (name, gk, version) in kinds {
        let n = reader.number(&name);
        reader.builder.kind(gk, &version, n);
    }
    while let Some((name, n)) = reader.open.pop() {
        if reader.fields > MOST_FIELDS {
            return Err(DocumentError::TooLarge);
        }
        // Each named type is read once, so that its schema can go as soon as it is.
        let Some(raw) = reader.schemas.get_mut(&name).map(std::mem::take) else { continue };
        let of = reader.structure(short(&name), &raw, true, 0);
        reader.schemas.insert(name, Raw { properties: raw.properties, ..Raw::default() });
        reader.builder.fill(n, of);
    }
    Ok(reader.builder.done())
}

fn short(name: &str) -> &str {
    PREFIXES.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name)
}

struct Reader {
    schemas: BTreeMap<String, Raw>,
    builder: Builder,
    numbers: HashMap<String, TypeId>,
    /// Types that have a number and are not read yet.
    open: Vec<(String, TypeId)>,
    fields: usize,
}

impl Reader {
    fn number(&mut self, name: &str) -> TypeId {
        if let Some(n) = self.numbers.get(name) {
            return *n;
        }
        let n = self.builder.reserve();
        self.numbers.insert(name.to_owned(), n);
        self.open.push((name.to_owned(), n));
        n
    }

    /// A type; `root` if it may be that of a whole object, whose status the server alone writes.
    fn structure(&mut self, of: &str, raw: &Raw, root: bool, depth: usize) -> Type {
        let own = FACTS.knows(of);
        let whole = root && raw.properties.contains_key("metadata") && raw.properties.contains_key("spec");
        let fields = raw.properties.iter().map(|(name, schema)| {
            self.fields += 1;
            // What the server alone writes is not looked into, as in the table.
            let opaque = (whole && name == "status") || (own && name == "managedFields");
            let node = if opaque { Node::Any } else { self.node(of, name, schema, depth + 1) };
            let (rules, entries) = if own { FACTS.rules(of, name) } else { (declared(schema, &self.builder.index, node), Vec::new()) };
            Field {
                name: self.builder.name(name),
                // Of a type that the table does not have, nobody knows which fields are pointers: then zero means something.
                pointer: FACTS.pointer(of, name).unwrap_or(true),
                nullable: schema.nullable,
                node,
                defaults: self.builder.defaults(rules),
                entries: self.builder.defaults(entries),
            }
        });
        let mut fields: Vec<Field> = fields.collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let name = self.builder.name(if own { of } else { "" });
        Type { name, atomic: raw.map_type.as_deref() == Some("atomic"), open: raw.preserves(), fields: fields.into() }
    }

    fn node(&mut self, of: &str, field: &str, raw: &Raw, depth: usize) -> Node {
        if depth > DEEPEST || self.fields > MOST_FIELDS {
            return Node::Any;
        }
        let reference = raw.reference.as_deref().or(match raw.all_of.as_slice() {
            [one] => one.reference.as_deref(),
            _ => None,
        });
        if let Some(name) = reference {
            return self.referred(of, field, name.trim_start_matches("#/components/schemas/"), depth);
        }
        if let Some(scalar) = raw.scalar() {
            // Kubernetes' own durations have a type of their own, so every other text is what it is.
            return Node::Scalar(if scalar == Scalar::Word && FACTS.knows(of) { Scalar::Plain } else { scalar });
        }
        if raw.kind.as_deref() == Some("array") {
            let Some(items) = raw.items.as_deref() else { return self.builder.list(ListKind::Atomic, Node::Any) };
            let inner = self.node(of, "", items, depth + 1);
            let kind = match list_kind(raw, |key| self.key_default(items, key)) {
                ListKind::Atomic => atomic_list(of, field),
                kind => with_protocol(kind),
            };
            return self.builder.list(kind, inner);
        }
        if !raw.properties.is_empty() {
            let anonymous = self.structure("", raw, raw.embedded, depth);
            return Node::Struct(self.builder.add(anonymous));
        }
        match &raw.additional {
            // A map of lists (`extra` of a user) is free form, as in the table.
            Some(Additional::Schema(inner)) if inner.kind.as_deref() == Some("array") && FACTS.knows(of) => {
                self.builder.map(Map { atomic: false, resources: false, nullable: false, of: Node::Any })
            }
            Some(Additional::Schema(inner)) => {
                let atomic = raw.map_type.as_deref() == Some("atomic");
                let node = self.node(of, "", inner, depth + 1);
                let resources = node == Node::Scalar(Scalar::Quantity) && FACTS.knows(of);
                self.builder.map(Map { atomic, resources, nullable: inner.nullable, of: node })
            }
            _ => Node::Any,
        }
    }

    fn referred(&mut self, of: &str, field: &str, name: &str, depth: usize) -> Node {
        if let Some((_, scalar)) = SCALARS.iter().find(|(n, _)| *n == name) {
            return Node::Scalar(*scalar);
        }
        if name.strip_prefix(PROPS).is_some_and(|rest| rest.starts_with("Or")) && self.schemas.contains_key(PROPS) {
            return Node::Struct(self.number(PROPS));
        }
        if self.numbers.contains_key(name) || self.schemas.get(name).is_some_and(|r| !r.properties.is_empty()) {
            return Node::Struct(self.number(name));
        }
        // A name for something without fields: a text, a list, or anything.
        match self.schemas.get_mut(name).map(std::mem::take) {
            Some(raw) => {
                let node = self.node(of, field, &raw, depth + 1);
                self.schemas.insert(name.to_owned(), raw);
                node
            }
            None => Node::Any,
        }
    }

    fn key_default<'s>(&'s self, items: &'s Raw, key: &str) -> Option<&'s Value> {
        let reference = items.reference.as_deref().or_else(|| items.all_of.first()?.reference.as_deref());
        let of = reference.and_then(|r| self.schemas.get(r.trim_start_matches("#/components/schemas/"))).unwrap_or(items);
        // `""` and `0` are how Kubernetes' generator writes that a field is no pointer.
        of.properties.get(key)?.default.as_ref().filter(|d| d.as_str() != Some("") && d.as_i64() != Some(0))
    }
}

/// What a schema itself says is filled in. `{}`, `""` and `0` are how Kubernetes' generator writes that a field is no pointer.
fn declared(raw: &Raw, index: &Index, node: Node) -> Vec<DefaultRule> {
    raw.default.clone().filter(|d| !d.is_null()).map(|d| DefaultRule::always(canonical::completed(d, index, node))).into_iter().collect()
}

/// A protocol is always TCP when it is not said (`SetDefaults_Service`, `ContainerPort`), also where an older document does not say so.
fn with_protocol(kind: ListKind) -> ListKind {
    match kind {
        ListKind::Keyed(keys) if keys.iter().any(|(k, d)| &**k == "protocol" && d.is_none()) => {
            ListKind::Keyed(keys.iter().map(|(k, d)| (k.clone(), if &**k == "protocol" { Some("TCP".into()) } else { d.clone() })).collect())
        }
        kind => kind,
    }
}
