//! What is known of the schema of a kind: lists, quantities, meaningful zeroes, defaults. pure
//!
//! [`Builtin`] is a table over the kinds of Kubernetes itself, printed from its OpenAPI document and Go types (`types.txt`), with the
//! defaults of its Go functions (`defaults.txt`). Custom resources get the shape of their metadata and a few conventions by name.

use std::{collections::HashMap, sync::LazyLock};

use serde_json::Value;

use super::{ListKind, Schema};
use crate::object::{Gvk, Text};

/// Schema knowledge of the kinds that Kubernetes itself serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

/// What sits at a place: in a field, in a list or in a map.
#[derive(Clone, Debug)]
enum Node {
    Scalar,
    Quantity,
    IntOrString,
    Bytes,
    Struct(usize),
    List(ListKind, Box<Node>),
    Map { atomic: bool, of: Box<Node> },
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    pointer: bool,
    node: Node,
    defaults: Vec<Value>,
}

#[derive(Debug)]
struct Type {
    atomic: bool,
    /// Sorted by name.
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Table {
    /// By kind: group, version and type. The newest version that the table has stands for versions it does not have.
    kinds: HashMap<&'static str, Vec<(&'static str, &'static str, usize)>>,
    types: Vec<Type>,
    /// The type of `metadata`, which custom resources share.
    metadata: Option<usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("schema/types.txt"), include_str!("schema/defaults.txt")));

/// Lists that the schema calls atomic although their order means nothing: `type.field`. RBAC: rules are a union and their parts are sets
/// (rbac.authorization.k8s.io/v1 PolicyRule). Access modes are a set. An autoscaler takes the largest of its metrics.
const BAGS: [(&str, &str); 17] = [
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

impl Table {
    /// Reads the two files. They are compiled in and held by tests, so a line that does not parse is passed over.
    fn read(shapes: &'static str, defaults: &'static str) -> Self {
        let rows = |text: &'static str| text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split('\t').collect::<Vec<_>>());
        let names: HashMap<&'static str, usize> =
            rows(shapes).filter(|r| r[0] == "type").filter_map(|r| r.get(1).copied()).enumerate().map(|(n, name)| (name, n)).collect();
        let mut known: HashMap<(&str, &str), Vec<Value>> = HashMap::new();
        for row in rows(defaults) {
            if let [of, field, json] = row[..]
                && let Ok(value) = serde_json::from_str(json)
            {
                known.entry((of, field)).or_default().push(value);
            }
        }
        let mut table = Self { kinds: HashMap::new(), types: Vec::with_capacity(names.len()), metadata: names.get("meta.v1.ObjectMeta").copied() };
        for row in rows(shapes) {
            match row[..] {
                ["kind", group, version, kind, of] => {
                    if let Some(&n) = names.get(of) {
                        table.kinds.entry(kind).or_default().push((group, version, n));
                    }
                }
                ["type", name, atomic, fields] => {
                    let mut all: Vec<Field> =
                        fields.split(' ').filter_map(|f| f.split_once(':')).map(|(f, shape)| field(name, f, shape, &names, &mut known)).collect();
                    // A plain scalar has no shape of its own, but it may have a default.
                    let rest: Vec<&str> = known.keys().filter(|(of, _)| *of == name).map(|(_, f)| *f).collect();
                    for f in rest {
                        all.push(field(name, f, "-", &names, &mut known));
                    }
                    all.sort_by_key(|f| f.name);
                    table.types.push(Type { atomic: atomic == "=", fields: all });
                }
                _ => {}
            }
        }
        table
    }

    fn root(&self, gvk: &Gvk) -> Option<usize> {
        let versions = self.kinds.get(&*gvk.gk.kind)?;
        let same = versions.iter().filter(|(group, ..)| *group == &*gvk.gk.group);
        let exact = same.clone().find(|(_, version, _)| *version == &*gvk.version);
        let stable = |version: &str| !version.contains("alpha") && !version.contains("beta");
        exact.or_else(|| same.max_by_key(|(_, version, _)| (stable(version), *version))).map(|(_, _, of)| *of)
    }

    /// Walks to a path; list items stand as `*`.
    fn find(&self, gvk: &Gvk, path: &[&str]) -> Option<Place<'_>> {
        let (start, path) = match (self.root(gvk), path) {
            (Some(root), path) => (root, path),
            // Custom resources share their metadata with all others.
            (None, ["metadata", rest @ ..]) => (self.metadata?, rest),
            (None, _) => return None,
        };
        let mut place = Place { pointer: false, node: Some(Of::Struct(start)), field: None };
        for step in path {
            place = match place.node? {
                Of::Struct(n) => {
                    let fields = &self.types.get(n)?.fields;
                    match fields.binary_search_by(|f| f.name.cmp(step)) {
                        Ok(i) => Place { pointer: fields[i].pointer, node: Some(Of::Node(&fields[i].node)), field: Some(&fields[i]) },
                        Err(_) => Place { pointer: false, node: None, field: None },
                    }
                }
                // An item or an entry is there or it is not: its zero value means something.
                Of::Node(Node::List(_, of) | Node::Map { of, .. }) => Place { pointer: true, node: Some(Of::Node(of)), field: None },
                Of::Node(_) => return None,
            };
            if let Some(Of::Node(Node::Struct(n))) = place.node {
                place.node = Some(Of::Struct(*n));
            }
        }
        Some(place)
    }
}

#[derive(Clone, Copy)]
enum Of<'a> {
    Struct(usize),
    Node(&'a Node),
}

#[derive(Clone, Copy)]
struct Place<'a> {
    pointer: bool,
    node: Option<Of<'a>>,
    field: Option<&'a Field>,
}

fn field(
    of: &'static str,
    name: &'static str,
    shape: &'static str,
    names: &HashMap<&'static str, usize>,
    known: &mut HashMap<(&str, &str), Vec<Value>>,
) -> Field {
    let defaults = known.remove(&(of, name)).unwrap_or_default();
    let (pointer, shape) = shape.strip_prefix('*').map_or((false, shape), |rest| (true, rest));
    let element = |e: &str| match e {
        "q" => Node::Quantity,
        "i" => Node::IntOrString,
        "b" => Node::Bytes,
        _ => names.get(e).map_or(Node::Scalar, |n| Node::Struct(*n)),
    };
    let node = if let Some(list) = shape.strip_prefix('[') {
        if let Some((keys, e)) = list.strip_prefix('#').and_then(|rest| rest.split_once('#')) {
            let default = |k: &str| (k == "protocol").then(|| Text::from("TCP"));
            Node::List(ListKind::Keyed(keys.split(',').map(|k| (k.into(), default(k))).collect()), Box::new(element(e)))
        } else if let Some(e) = list.strip_prefix('~') {
            Node::List(ListKind::Set, Box::new(element(e)))
        } else {
            let kind = match (of, name) {
                place if BAGS.contains(&place) => ListKind::Bag,
                place if APPENDED.contains(&place) => ListKind::Keyed(std::sync::Arc::new([(Text::from("name"), None)])),
                _ => ListKind::Atomic,
            };
            Node::List(kind, Box::new(element(list.trim_start_matches('='))))
        }
    } else if let Some(map) = shape.strip_prefix('{') {
        let (atomic, e) = map.strip_prefix('=').map_or((false, map), |rest| (true, rest));
        Node::Map { atomic, of: Box::new(element(e)) }
    } else {
        element(shape)
    };
    Field { name, pointer, node, defaults }
}

/// Members of custom resources that are maps of free keys wherever they occur.
const FREE_MAPS: [&str; 6] = ["labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData"];

/// Whether a leaf of a custom resource is a quantity, by its name: embedded pod templates, volume claims and quotas.
fn quantity_by_name(path: &[&str]) -> bool {
    const MAPS: [&str; 6] = ["limits", "requests", "capacity", "hard", "nominalQuota", "borrowingLimit"];
    const NAMES: [&str; 5] = ["cpu", "memory", "storage", "sizeLimit", "ephemeral-storage"];
    match path {
        [.., parent, last] => MAPS.contains(parent) || NAMES.contains(last) || MAPS[4..].contains(last),
        _ => false,
    }
}

impl Schema for Builtin {
    fn knows(&self, gvk: &Gvk) -> bool {
        TABLE.root(gvk).is_some()
    }

    fn list_kind(&self, gvk: &Gvk, path: &[&str]) -> ListKind {
        match TABLE.find(gvk, path).and_then(|p| p.node) {
            Some(Of::Node(Node::List(kind, _))) => kind.clone(),
            _ => ListKind::Atomic,
        }
    }

    fn is_quantity(&self, gvk: &Gvk, path: &[&str]) -> bool {
        match TABLE.find(gvk, path) {
            Some(place) => matches!(place.node, Some(Of::Node(Node::Quantity))),
            None => !self.knows(gvk) && quantity_by_name(path),
        }
    }

    fn is_base64(&self, gvk: &Gvk, path: &[&str]) -> bool {
        TABLE.find(gvk, path).is_some_and(|p| matches!(p.node, Some(Of::Node(Node::Bytes))))
    }

    fn empty_means_something(&self, gvk: &Gvk, path: &[&str]) -> bool {
        match TABLE.find(gvk, path) {
            Some(place) => place.pointer,
            None if self.knows(gvk) => false,
            None => match path {
                [.., parent, last] => *last == "*" || FREE_MAPS.contains(parent) || last.ends_with("elector") || *last == "emptyDir",
                _ => false,
            },
        }
    }

    fn default_of(&self, gvk: &Gvk, path: &[&str]) -> Option<Value> {
        TABLE.find(gvk, path)?.field?.defaults.first().cloned()
    }

    fn is_default(&self, gvk: &Gvk, path: &[&str], value: &Value) -> bool {
        TABLE.find(gvk, path).and_then(|p| p.field).is_some_and(|f| f.defaults.contains(value))
    }

    fn is_whole(&self, gvk: &Gvk, path: &[&str]) -> bool {
        match TABLE.find(gvk, path).and_then(|p| p.node) {
            Some(Of::Struct(n)) => TABLE.types.get(n).is_some_and(|t| t.atomic),
            Some(Of::Node(Node::Map { atomic, .. })) => *atomic,
            Some(Of::Node(Node::List(kind, _))) => matches!(kind, ListKind::Atomic | ListKind::Bag),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const S: Builtin = Builtin;

    fn split(path: &str) -> Vec<&str> {
        path.split('/').filter(|s| !s.is_empty()).collect()
    }

    #[test]
    fn every_line_of_the_tables_is_read() {
        let shapes = include_str!("schema/types.txt");
        let types: Vec<&str> = shapes.lines().filter_map(|l| l.strip_prefix("type\t")).filter_map(|l| l.split('\t').next()).collect();
        assert_eq!(TABLE.types.len(), types.len());
        for line in shapes.lines().filter_map(|l| l.strip_prefix("type\t")) {
            for (_, shape) in line.split([' ', '\t']).filter_map(|f| f.split_once(':')) {
                let element = shape.trim_start_matches('*');
                let element = element.rsplit(['#', '=', '~', '{', '[']).next().unwrap_or_default();
                assert!(["q", "i", "b", "-"].contains(&element) || types.contains(&element), "{shape} names no type");
            }
        }
        let wanted = include_str!("schema/defaults.txt").lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(TABLE.types.iter().flat_map(|t| &t.fields).map(|f| f.defaults.len()).sum::<usize>(), wanted);
        let bags = TABLE.types.iter().flat_map(|t| &t.fields).filter(|f| matches!(f.node, Node::List(ListKind::Bag, _))).count();
        assert_eq!(bags, BAGS.len());
        assert_eq!(S.list_kind(&Gvk::parse("v1", "ServiceAccount"), &["imagePullSecrets"]), ListKind::Keyed([("name".into(), None)].into()));
    }

    #[test]
    fn lists_are_paired_as_the_api_server_pairs_them() {
        let deployment = Gvk::parse("apps/v1", "Deployment");
        let service = Gvk::parse("v1", "Service");
        let by = |keys: &[(&str, Option<&str>)]| ListKind::Keyed(keys.iter().map(|(k, d)| ((*k).into(), d.map(Text::from))).collect());
        for (gvk, path, kind) in [
            (&deployment, "spec/template/spec/containers", by(&[("name", None)])),
            (&deployment, "spec/template/spec/containers/*/env", by(&[("name", None)])),
            (&deployment, "spec/template/spec/containers/*/ports", by(&[("containerPort", None), ("protocol", Some("TCP"))])),
            (&deployment, "spec/template/spec/initContainers/*/volumeMounts", by(&[("mountPath", None)])),
            (&deployment, "spec/template/spec/containers/*/args", ListKind::Atomic),
            (&deployment, "spec/template/spec/tolerations", ListKind::Atomic),
            (&deployment, "metadata/finalizers", ListKind::Set),
            (&service, "spec/ports", by(&[("port", None), ("protocol", Some("TCP"))])),
            (&Gvk::parse("rbac.authorization.k8s.io/v1", "ClusterRole"), "rules", ListKind::Bag),
            (&Gvk::parse("autoscaling/v2beta2", "HorizontalPodAutoscaler"), "spec/metrics", ListKind::Bag),
            (&Gvk::parse("example.com/v1", "Widget"), "metadata/finalizers", ListKind::Set),
            (&Gvk::parse("example.com/v1", "Widget"), "spec/parts", ListKind::Atomic),
        ] {
            assert_eq!(S.list_kind(gvk, &split(path)), kind, "{path}");
        }
    }

    #[test]
    fn quantities_and_meaningful_zeroes_and_defaults_are_known_by_path() {
        let d = Gvk::parse("apps/v1", "Deployment");
        let container = "spec/template/spec/containers/*";
        assert!(S.is_quantity(&d, &split(&format!("{container}/resources/limits/cpu"))));
        assert!(S.is_quantity(&d, &split("spec/template/spec/volumes/*/emptyDir/sizeLimit")));
        assert!(!S.is_quantity(&d, &split(&format!("{container}/image"))));
        assert!(S.is_quantity(&Gvk::parse("example.com/v1", "Widget"), &split("spec/resources/limits/cpu")));
        assert!(!S.is_quantity(&Gvk::parse("example.com/v1", "Widget"), &split("spec/size")));
        for (path, means) in [
            ("spec/replicas", true),
            ("spec/paused", false),
            ("spec/template/spec/hostNetwork", false),
            ("spec/template/spec/automountServiceAccountToken", true),
            ("spec/template/spec/volumes/*/emptyDir", true),
            ("spec/template/spec/nodeSelector", false),
            ("spec/template/metadata/labels/x", true),
            ("spec/template/spec/containers/*/resources", false),
        ] {
            assert_eq!(S.empty_means_something(&d, &split(path)), means, "{path}");
        }
        assert_eq!(S.default_of(&d, &split("spec/progressDeadlineSeconds")), Some(json!(600)));
        assert_eq!(S.default_of(&d, &split(&format!("{container}/livenessProbe/failureThreshold"))), Some(json!(3)));
        assert_eq!(S.default_of(&d, &split("spec/paused")), None);
        assert!(S.is_whole(&d, &split("spec/selector")) && !S.is_whole(&d, &split("spec/template")));
    }
}
