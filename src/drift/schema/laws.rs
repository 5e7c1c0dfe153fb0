//! Laws of the schemas over the definitions in tests/data/crds, and what hostile ones may cost. I/O: reads tests/data/crds

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Origin, Shape, canonical::canonical, definition, openapi};
use crate::{
    drift::{Comparison, LeafClass, Observed, Policy, Schema, compare},
    object::{Gvk, ObjectId},
};

/// Every version of every hard definition.
static SHAPES: LazyLock<Vec<(Gvk, Shape)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/crds");
    let mut files: Vec<_> = fs::read_dir(folder).expect("the definitions").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        let crd: Value = serde_yaml::from_str(text.split("\n---\n").next().unwrap_or_default()).expect("YAML");
        all.extend(shapes(&crd));
    }
    assert!(all.len() >= 20, "{} shapes", all.len());
    all
});

fn shapes(crd: &Value) -> Vec<(Gvk, Shape)> {
    let read = definition::read(crd).expect("a definition");
    let versions: Vec<Gvk> = read.index.kinds().map(|(gk, root)| Gvk { gk: gk.clone(), version: root.version.clone() }).collect();
    versions.into_iter().filter_map(|gvk| Some((gvk.clone(), Shape::of(&read.index, &gvk, Origin::Definition, true)?))).collect()
}

fn shape(kind: &str) -> (Gvk, Shape) {
    SHAPES.iter().find(|(gvk, _)| &*gvk.gk.kind == kind).cloned().unwrap_or_else(|| panic!("no {kind}"))
}

fn defined(schema: Value) -> (Gvk, Shape) {
    let crd =
        json!({"spec": {"group": "example.com", "names": {"kind": "Thing"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    shapes(&crd).pop().expect("a shape")
}

fn compared(gvk: &Gvk, shape: &Shape, desired: &Value, live: &Value) -> Comparison {
    let id = ObjectId::new(&gvk.gk.group, &gvk.gk.kind, Some("n"), "a");
    let policy = Policy::of(shape, &id, gvk);
    compare(desired, Observed { value: live, managers: None, applied: None }, &policy)
}

fn classes(kind: &str, desired: Value, live: Value) -> Vec<String> {
    let (gvk, shape) = shape(kind);
    let got = compared(&gvk, &shape, &json!({"spec": desired}), &json!({"spec": live}));
    got.leaves.iter().map(|l| format!("{:?} {}", l.class, l.path)).collect()
}

#[test]
fn custom_resources_are_compared_by_what_their_definition_says() {
    let none: [&str; 0] = [];
    for (kind, desired, live, want) in [
        // Defaults, and what keeps them away.
        ("Defaulted", json!({}), json!({"text": "filled", "zero": 0, "off": false}), none.as_slice()),
        ("Defaulted", json!({"text": "filled"}), json!({}), &[]),
        ("Defaulted", json!({"text": "other"}), json!({"text": "filled"}), &["Changed spec.text"]),
        ("Nullable", json!({"kept": null}), json!({"kept": "filled"}), &["Changed spec.kept"]),
        ("Nullable", json!({"kept": null}), json!({"kept": null}), &[]),
        ("Plain", json!({"text": null}), json!({}), &[]),
        // Zero and empty are stored.
        ("Plain", json!({"number": 0}), json!({}), &["Missing spec.number"]),
        ("Selecting", json!({"selector": {}}), json!({}), &["Missing spec.selector"]),
        // Typos.
        ("Plain", json!({"texd": "a"}), json!({}), &["UnknownField spec.texd"]),
        ("Open", json!({"whatever": 1}), json!({}), &["Missing spec.whatever"]),
        ("Open", json!({"known": {"whatever": 1}}), json!({"known": {}}), &["UnknownField spec.known.whatever"]),
        ("Open", json!({"closed": {"whatever": 1}}), json!({"closed": {}}), &["UnknownField spec.closed.whatever"]),
        ("Anything", json!([1]), json!([2]), &["Changed spec"]),
        // Lists.
        (
            "PortList",
            json!({"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}),
            json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}),
            &[],
        ),
        ("SetList", json!({"tags": ["a", "b"]}), json!({"tags": ["b", "a"]}), &[]),
        ("SetList", json!({"order": ["a", "b"]}), json!({"order": ["b", "a"]}), &["Changed spec.order"]),
        (
            "NestedLists",
            json!({"rules": [{"name": "b", "matches": [{}]}, {"name": "a"}]}),
            json!({"rules": [{"name": "a", "weight": 1, "matches": [{"path": {"type": "Prefix", "value": "/"}}]},
                {"name": "b", "weight": 1, "matches": [{"path": {"type": "Prefix", "value": "/"}}]}]}),
            &[],
        ),
        // Values.
        ("Quantities", json!({"size": "3072Mi"}), json!({"size": "3Gi"}), &[]),
        ("Quantities", json!({"port": 80}), json!({"port": "80"}), &["Changed spec.port"]),
        ("Durations", json!({"every": "60s"}), json!({"every": "1m0s"}), &[]),
        ("Durations", json!({"when": "60s"}), json!({"when": "1m0s"}), &["Changed spec.when"]),
        ("Durations", json!({"blob": "YW\nJj"}), json!({"blob": "YWJj"}), &[]),
        (
            "Embedded",
            json!({"template": {"metadata": {"labels": {"a": "b"}, "nope": 1}}}),
            json!({"template": {"metadata": {"labels": {"a": "b"}}}}),
            &["UnknownField spec.template.metadata.nope"],
        ),
    ] {
        assert_eq!(classes(kind, desired.clone(), live.clone()), want, "{kind} {desired} {live}");
    }
}

#[test]
fn a_default_may_look_like_anything_but_another_value_is_an_extra() {
    let (gvk, shape) = shape("Defaulted");
    let whole = json!({"spec": {"nested": {"deep": {"a": "one", "b": "set"}}}});
    let silenced =
        |live: &Value| compared(&gvk, &shape, &json!({"spec": {}}), live).silenced.iter().map(|s| (s.rule.to_string(), s.leaves)).collect::<Vec<_>>();
    assert_eq!(silenced(&whole), [("default_or_admission".to_owned(), 1)], "a default is completed by the defaults inside it");
    let other = json!({"spec": {"nested": {"deep": {"a": "one", "b": "by hand"}}}});
    assert!(silenced(&other).contains(&("unattributed".to_owned(), 1)), "{:?}", silenced(&other));
}

// ----------------------------------------------------------------------------------------------------------------- laws

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..99).prop_map(Value::from),
        Just(json!("1m")),
        Just(json!("60s")),
        Just(json!(""))
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let names = [
        "spec", "text", "nested", "deep", "ports", "port", "protocol", "name", "rules", "matches", "path", "template", "metadata", "labels", "x",
        "list", "map", "kept", "free", "known",
    ];
    scalar().prop_recursive(6, 50, 6, move |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(prop::sample::select(names.to_vec()), inner.clone(), 0..6)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_canonical_and_compares_clean(n in 0usize..20, x in tree()) {
        let (gvk, shape) = &SHAPES[n];
        let object = json!({"spec": x.clone(), "extra": x});
        let once = canonical(&object, shape);
        prop_assert_eq!(&canonical(&once.value, shape).value, &once.value);
        prop_assert!(canonical(&once.value, shape).dropped.is_empty());
        let got = compared(gvk, shape, &object, &once.value);
        prop_assert!(got.leaves.iter().all(|l| l.class == LeafClass::UnknownField), "{object} {} {:?}", once.value, got.leaves);
        prop_assert!(compared(gvk, shape, &object, &object).leaves.is_empty());
    }

    #[test]
    fn objects_that_violate_their_schema_are_compared_without_panic(n in 0usize..20, x in tree(), y in tree()) {
        let (gvk, shape) = &SHAPES[n];
        compared(gvk, shape, &json!({"spec": x.clone()}), &json!({"spec": y.clone()}));
        compared(gvk, shape, &x, &y);
        canonical(&x, shape);
    }

    #[test]
    fn any_definition_and_any_document_is_read_without_panic(x in tree(), y in tree()) {
        let versions = json!([{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": x.clone()}}}, y.clone()]);
        definition::read(&json!({"spec": {"group": "g", "names": {"kind": "K"}, "versions": versions}}));
        definition::read(&json!({"spec": x.clone()}));
        let _ = openapi::read(json!({"components": {"schemas": x}}).to_string().as_bytes());
        let _ = openapi::read(y.to_string().as_bytes());
    }
}

// -------------------------------------------------------------------------------------------------------------- hostile

fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < limit, "it took {:?}", begun.elapsed());
    done
}

fn document(schemas: Value) -> Vec<u8> {
    json!({"openapi": "3.0.0", "paths": {}, "components": {"schemas": schemas}}).to_string().into_bytes()
}

fn kind(properties: Value) -> Value {
    let mut all = json!({"metadata": {"type": "object"}});
    all.as_object_mut().expect("properties").extend(properties.as_object().cloned().unwrap_or_default());
    json!({"type": "object", "properties": all, "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Thing"}]})
}

fn thing() -> Gvk {
    Gvk::parse("example.com/v1", "Thing")
}

#[test]
fn schemas_that_refer_to_one_another_in_circles_end() {
    let schemas = json!({
        "example.Thing": kind(json!({"loop": {"$ref": "#/components/schemas/a"}, "tree": {"$ref": "#/components/schemas/tree"}, "gone": {"$ref": "#/components/schemas/nowhere"}})),
        "a": {"$ref": "#/components/schemas/b"},
        "b": {"allOf": [{"$ref": "#/components/schemas/a"}]},
        "tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/tree"}, "all": {"type": "array", "items": {"$ref": "#/components/schemas/tree"}}}},
    });
    let index = within(Duration::from_secs(5), || openapi::read(&document(schemas)).expect("read"));
    let shape = Shape::of(&Arc::new(index), &thing(), Origin::Server, true).expect("a shape");
    let deep: Vec<&str> = std::iter::repeat_n("left", 500).collect();
    let path = [&["tree"], deep.as_slice(), &["typo"]].concat();
    assert!(shape.drops(&thing(), &path) && !shape.drops(&thing(), &path[..400]));
    assert!(!shape.drops(&thing(), &["loop", "x"]) && !shape.drops(&thing(), &["gone", "x"]), "of what nobody describes nothing is dropped");
}

#[test]
fn documents_that_are_none_are_refused_with_a_reason_and_quote_nothing() {
    for (text, kind) in [
        ("", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ("{\"components\":{}}", "empty"),
        ("{\"canary\":", "malformed"),
        ("{\"components\":{\"schemas\":{\"a\":{\"type\":[\"canary\"]}}}}", "malformed"),
    ] {
        let error = openapi::read(text.as_bytes()).expect_err("refused");
        assert!(error.kind() == kind && !error.to_string().contains("canary"), "{text}: {error}");
    }
    let mut deep = String::from("{\"components\":{\"schemas\":{\"a\":");
    deep.push_str(&"{\"properties\":{\"x\":".repeat(100_000));
    assert_eq!(openapi::read(deep.as_bytes()).expect_err("refused").kind(), "malformed");
}

#[test]
fn a_huge_document_costs_a_bounded_time_and_is_refused() {
    let many = |n: usize| -> Value { Value::Object((0..n).map(|i| (format!("field{i}"), json!({"type": "string", "description": "d"}))).collect()) };
    let index = within(Duration::from_secs(60), || openapi::read(&document(json!({"example.Thing": kind(many(20_000))}))).expect("read"));
    assert!(index.size() < 5 << 20, "{} bytes", index.size());
    let huge: Map<String, Value> = (0..45).map(|i| (format!("t{i}"), json!({"type": "object", "properties": many(10_000)}))).collect();
    let mut schemas = huge.clone();
    let refer: Map<String, Value> = huge.keys().map(|k| (k.clone(), json!({"$ref": format!("#/components/schemas/{k}")}))).collect();
    schemas.insert("example.Thing".into(), kind(Value::Object(refer)));
    let error = within(Duration::from_secs(60), || openapi::read(&document(Value::Object(schemas))).expect_err("refused"));
    assert_eq!(error.kind(), "too_large");
}

#[test]
fn a_definition_that_is_too_deep_or_no_schema_says_so_and_drops_nothing_there() {
    let mut deep = json!({"type": "object"});
    for _ in 0..120 {
        deep = json!({"type": "object", "properties": {"x": deep}});
    }
    let crd = |schema: Value| json!({"spec": {"group": "example.com", "names": {"kind": "Thing"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    let read = definition::read(&crd(deep.clone())).expect("a definition");
    assert!(read.problem.as_ref().is_some_and(|p| p.contains("larger")), "{:?}", read.problem);
    let shape = Shape::of(&read.index, &thing(), Origin::Definition, true).expect("a shape");
    let path = |n: usize| std::iter::repeat_n("x", n).chain(["typo"]).collect::<Vec<_>>();
    assert!(shape.drops(&thing(), &path(3)) && !shape.drops(&thing(), &path(119)));
    let read = definition::read(&crd(json!({"type": "object", "properties": "none"}))).expect("a definition");
    assert!(read.problem.is_some() && Shape::of(&read.index, &thing(), Origin::Definition, true).is_none());
    let read = definition::read(&json!({"spec": {"group": "example.com", "names": {"kind": "Thing"}, "versions": [{"name": "v1"}, 7, null]}}));
    assert!(read.expect("a definition").problem.is_some());
    assert!(definition::read(&json!({"spec": {"names": {}}})).is_none() && definition::read(&Value::Null).is_none());
}

#[test]
fn repeated_types_of_a_definition_are_kept_once() {
    let pod = json!({"type": "object", "properties": Value::Object((0..200).map(|i| (format!("f{i}"), json!({"type": "string"}))).collect())});
    let many = json!({"type": "object", "properties": Value::Object((0..200).map(|i| (format!("pod{i}"), pod.clone())).collect())});
    let (_, shape) = defined(many);
    assert!(shape.size() < 64 << 10, "{} bytes", shape.size());
}

#[test]
fn an_object_of_fifty_thousand_leaves_is_compared_in_bounded_time() {
    let (gvk, shape) = defined(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string", "default": "x"}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }}}}));
    let big = |n: usize| -> Value {
        let map: Map<String, Value> =
            (0..20_000).map(|i| (format!("key-{i}"), json!(format!("a value that is a little longer {}", i + n)))).collect();
        let keyed: Vec<Value> = (0..10_000).map(|i| json!({"name": format!("n{}", (i * 7) % 10_000), "value": format!("v{}", i + n)})).collect();
        let set: Vec<Value> = (0..20_000).map(|i| json!(format!("s{}", i + n))).collect();
        json!({"spec": {"map": map, "keyed": keyed, "set": set, "typo": {"a": 1}}})
    };
    let (a, b) = (big(0), big(1));
    assert!(a.to_string().len() > 1_450_000, "{}", a.to_string().len());
    let got = within(Duration::from_secs(60), || compared(&gvk, &shape, &a, &b));
    assert!(got.leaves.len() > 25_000, "{} leaves", got.leaves.len());
    within(Duration::from_secs(20), || canonical(&a, &shape));
    assert!(within(Duration::from_secs(20), || compared(&gvk, &shape, &a, &a)).leaves.is_empty());
}

#[test]
fn a_print_tells_kinds_apart_and_not_the_order_of_a_document() {
    let of = |schema: Value| defined(schema).1.print;
    let base =
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}});
    assert_eq!(of(base.clone()), of(base.clone()));
    for (pointer, value) in [
        ("/properties/spec/properties/a/default", json!("x")),
        ("/properties/spec/properties/a/format", json!("byte")),
        ("/properties/spec/properties/a/nullable", json!(true)),
        ("/properties/spec/properties/c", json!({"type": "string"})),
        ("/properties/spec/x-kubernetes-preserve-unknown-fields", json!(true)),
        ("/properties/spec/x-kubernetes-map-type", json!("atomic")),
    ] {
        let mut other = base.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a path");
        other.pointer_mut(parent).expect("there")[key] = value;
        assert_ne!(of(other), of(base.clone()), "{pointer}");
    }
    let mut described = base.clone();
    described["properties"]["spec"]["description"] = json!("words");
    assert_eq!(of(described), of(base), "words are no schema");
    let prints: Vec<_> = SHAPES.iter().filter(|(gvk, _)| &*gvk.gk.kind == "SameVersion").map(|(_, shape)| shape.print).collect();
    assert!(prints.len() == 2 && prints[0] == prints[1], "{prints:?}");
}
