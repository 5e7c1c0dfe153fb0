//! The index of the kinds of Kubernetes itself, from the tables that are compiled in. pure

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use serde_json::Value;

use super::{
    defaults::{self, DefaultRule},
    index::{Builder, Field, Index, Map, Node, Scalar, Type, TypeId},
};
use crate::{
    drift::ListKind,
    object::{GroupKind, Text},
};

/// The minor version of Kubernetes whose API the table holds.
pub const MINOR: u32 = 36;

/// Shapes, printed by `tests/tools/schema_table.py`.
pub const TYPES: &str = include_str!("types.txt");

/// Defaults.
pub const DEFAULTS: &str = include_str!("defaults.txt");

/// Lists that the schema calls atomic although their order means nothing: `type.field`. RBAC: rules are a union and their parts are sets
/// (rbac.authorization.k8s.io/v1 PolicyRule). Access modes are a set. An autoscaler takes the largest of its metrics.
pub const BAGS: [(&str, &str); 17] = [
    ("rbac.v1.ClusterRole", "rules"),
    ("rbac.v1.Role", "rules"),
    ("rbac.v1.PolicyRule", "apiGroups"),
    ("rbac.v1.PolicyRule", "nonResourceURLs"),
    ("rbac.v1.PolicyRule", "resourceNames"),
    ("rbac.v1.PolicyRule", "resources"),
    ("rbac.v1.PolicyRule", "verbs"),
    ("rbac.v1.ClusterRoleBinding", "subjects"),
    ("rbac.v1.RoleBinding", "subjects"),
    ("rbac.v1.AggregationRule", "clusterRoleSelectors"),
    ("core.v1.PersistentVolumeClaimSpec", "accessModes"),
    ("core.v1.PersistentVolumeSpec", "accessModes"),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "metrics"),
    ("networking.v1.NetworkPolicySpec", "policyTypes"),
    ("core.v1.Capabilities", "add"),
    ("core.v1.Capabilities", "drop"),
    ("core.v1.ServiceSpec", "loadBalancerSourceRanges"),
];

/// Lists that the schema calls atomic although several writers append to them: a controller adds its own item to what Git sets.
const APPENDED: [(&str, &str); 1] = [("core.v1.ServiceAccount", "imagePullSecrets")];

/// The meaning of an atomic list of a type.
pub fn atomic_list(of: &str, field: &str) -> ListKind {
    match (of, field) {
        place if BAGS.contains(&place) => ListKind::Bag,
        place if APPENDED.contains(&place) => ListKind::Keyed([(Text::from("name"), None)].into()),
        _ => ListKind::Atomic,
    }
}

/// What the Go types say that OpenAPI does not: which fields are pointers, so that zero and empty are kept; and what is filled in.
#[derive(Debug)]
pub struct Facts {
    defaults: HashMap<(&'static str, &'static str), Vec<DefaultRule>>,
    pointers: HashMap<(&'static str, &'static str), bool>,
    types: HashSet<&'static str>,
}

/// Facts about the built-in types.
pub static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    let mut defaults: HashMap<(&str, &str), Vec<DefaultRule>> = HashMap::new();
    for line in defaults::lines(DEFAULTS) {
        defaults.entry((line.of, line.field)).or_default().push(line.rule);
    }
    let mut pointers = HashMap::new();
    for (of, _, fields) in types() {
        pointers.extend(fields.map(|(name, shape)| ((of, name), shape.starts_with('*'))));
    }
    Facts { defaults, pointers, types: types().map(|(name, ..)| name).collect() }
});

impl Facts {
    /// Whether zero and empty mean something in this field; `None` if the field is not in the table.
    pub fn pointer(&self, of: &str, field: &str) -> Option<bool> {
        self.pointers.get(&(of, field)).copied()
    }

    /// Whether the table has this type.
    pub fn knows(&self, of: &str) -> bool {
        self.types.contains(of)
    }

    /// Rules of the field, and of its entries.
    pub fn rules(&self, of: &str, field: &str) -> (Vec<DefaultRule>, Vec<DefaultRule>) {
        let get = |field: &str| self.defaults.get(&(of, field)).cloned().unwrap_or_default();
        (get(field), get(&format!("{field}/*")))
    }
}

static TABLE: LazyLock<std::sync::Arc<Index>> = LazyLock::new(|| std::sync::Arc::new(read()));

/// The index of the table.
pub fn index() -> &'static std::sync::Arc<Index> {
    &TABLE
}

type Fields = Box<dyn Iterator<Item = (&'static str, &'static str)>>;

/// Types of the table: name, whether it is atomic, fields with their shapes.
fn types() -> impl Iterator<Item = (&'static str, bool, Fields)> {
    TYPES.lines().filter_map(|line| {
        let mut columns = line.strip_prefix("type\t")?.split('\t');
        let (name, atomic, fields) = (columns.next()?, columns.next()?, columns.next()?);
        let fields = fields.split(' ').filter(|f| !f.is_empty()).map(|f| f.split_once(':').unwrap_or((f, "-")));
        Some((name, atomic == "=", Box::new(fields) as Fields))
    })
}

/// Reads the tables. They are compiled in and held by tests, so a line that does not parse is passed over.
fn read() -> Index {
    let mut builder = Builder::default();
    let numbers: HashMap<&str, TypeId> = types().map(|(name, ..)| (name, builder.reserve())).collect();
    for (name, atomic, fields) in types() {
        let mut all: Vec<Field> = fields.map(|(f, shape)| field(&mut builder, name, f, shape, &numbers)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(n) = numbers.get(name) {
            let name = builder.name(name);
            builder.fill(*n, Type { name, atomic, open: false, fields: all.into() });
        }
    }
    builder.index.metadata = numbers.get("meta.v1.ObjectMeta").copied();
    for line in TYPES.lines() {
        if let ["kind", group, version, kind, of] = line.split('\t').collect::<Vec<_>>()[..]
            && let Some(n) = numbers.get(of)
        {
            builder.kind(GroupKind::new(group, kind), version, *n);
        }
    }
    builder.done()
}

fn field(builder: &mut Builder, of: &'static str, name: &'static str, shape: &'static str, numbers: &HashMap<&str, TypeId>) -> Field {
    let (pointer, shape) = shape.strip_prefix('*').map_or((false, shape), |rest| (true, rest));
    let element = |e: &str| match e {
        "?" => Node::Any,
        "q" => Node::Scalar(Scalar::Quantity),
        "i" => Node::Scalar(Scalar::IntOrString),
        "b" => Node::Scalar(Scalar::Bytes),
        "d" => Node::Scalar(Scalar::Duration),
        "t" => Node::Scalar(Scalar::Time),
        _ => numbers.get(e).map_or(Node::Scalar(Scalar::Plain), |n| Node::Struct(*n)),
    };
    let node = if let Some(list) = shape.strip_prefix('[') {
        let (kind, e) = if let Some((keys, e)) = list.strip_prefix('#').and_then(|rest| rest.split_once('#')) {
            let keys: Vec<(Text, Option<Text>)> = keys.split(',').map(|k| (k.into(), (k == "protocol").then(|| Text::from("TCP")))).collect();
            (ListKind::Keyed(keys.into()), e)
        } else if let Some(e) = list.strip_prefix('~') {
            (ListKind::Set, e)
        } else {
            (atomic_list(of, name), list.trim_start_matches('='))
        };
        let of = element(e);
        builder.list(kind, of)
    } else if let Some(map) = shape.strip_prefix('{') {
        let (atomic, e) = map.strip_prefix('=').map_or((false, map), |rest| (true, rest));
        builder.map(Map { atomic, resources: e == "q", nullable: false, of: element(e) })
    } else {
        element(shape)
    };
    let (own, entries) = FACTS.rules(of, name);
    Field { name: builder.name(name), pointer, nullable: false, node, defaults: builder.defaults(own), entries: builder.defaults(entries) }
}

/// The first default of a field that holds whatever stands beside it.
pub(super) fn constant(rules: &[DefaultRule]) -> Option<Value> {
    rules.iter().find_map(DefaultRule::unconditional).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_read() {
        let names: Vec<&str> = types().map(|(name, ..)| name).collect();
        let index = index();
        assert_eq!(index.types.len(), names.len());
        for (of, _, fields) in types() {
            for (field, shape) in fields {
                let element = shape.trim_start_matches('*').rsplit(['#', '=', '~', '{', '[']).next().unwrap_or_default();
                assert!(["q", "i", "b", "d", "t", "-", "?"].contains(&element) || names.contains(&element), "{of} {field}: {shape} names no type");
            }
        }
        let text = DEFAULTS.lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(defaults::lines(DEFAULTS).count(), text, "a line of the defaults does not parse");
        for line in defaults::lines(DEFAULTS) {
            let field = line.field.trim_end_matches("/*");
            assert!(FACTS.pointer(line.of, field).is_some(), "{} has no field {field}", line.of);
        }
        for (of, field) in BAGS {
            assert!(FACTS.pointer(of, field).is_some(), "{of} has no field {field}");
        }
    }

    #[test]
    fn the_table_is_small() {
        let size = index().size();
        println!(
            "the bundled table: {} types, {} fields, {size} bytes",
            index().types.len(),
            index().types.iter().map(|t| t.fields.len()).sum::<usize>()
        );
        assert!(size < 1 << 20, "{size} bytes");
    }
}
