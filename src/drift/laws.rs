//! Laws of the comparison, held over objects that are made up and over a corpus that is mutated leaf by leaf. I/O: reads tests/data/drift

use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Builtin, LeafClass, ListKind, Schema,
    cases::{line, run},
};
use crate::{config::IgnoreRule, object::Gvk};

fn corpus() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drift/objects");
    let mut all: Vec<(String, Value)> = fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().unwrap_or_default().display().to_string();
            (name, serde_yaml::from_str(&fs::read_to_string(&path).expect("readable")).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(all.len() >= 15, "only {} objects", all.len());
    all
}

/// What somebody owns who wrote all of it, in the form of managedFields.
fn owned<'v>(value: &'v Value, gvk: &Gvk, path: &mut Vec<&'v str>) -> Value {
    let mut out = Map::new();
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                path.push(key);
                out.insert(format!("f:{key}"), owned(member, gvk, path));
                path.pop();
            }
        }
        Value::Array(items) => match Builtin.list_kind(gvk, path) {
            ListKind::Keyed(keys) => {
                path.push("*");
                for item in items {
                    let key: Map<String, Value> = keys
                        .iter()
                        .map(|(k, default)| (k.to_string(), item.get(&**k).cloned().unwrap_or_else(|| json!(default.as_deref()))))
                        .collect();
                    out.insert(format!("k:{}", Value::Object(key)), owned(item, gvk, path));
                }
                path.pop();
            }
            ListKind::Set => out.extend(items.iter().map(|item| (format!("v:{item}"), json!({})))),
            ListKind::Atomic | ListKind::Bag => {}
        },
        _ => {}
    }
    Value::Object(out)
}

/// Pointers of all leaves (scalars and empty containers) and of all mappings below what Git can set.
fn places(value: &Value, at: &str, leaves: &mut Vec<String>, maps: &mut Vec<String>) {
    let child = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) if !members.is_empty() => {
            if !at.is_empty() && at != "/metadata" {
                maps.push(at.to_owned());
            }
            for (key, member) in members {
                if at.is_empty() && (key == "apiVersion" || key == "kind") || at == "/metadata" && (key == "name" || key == "namespace") {
                    continue;
                }
                places(member, &child(key), leaves, maps);
            }
        }
        Value::Array(items) if !items.is_empty() => items.iter().enumerate().for_each(|(n, item)| places(item, &child(&n.to_string()), leaves, maps)),
        _ => leaves.push(at.to_owned()),
    }
}

/// Another value of the same sort.
pub(super) fn flipped(value: &Value) -> Value {
    match value {
        Value::Bool(b) => json!(!b),
        Value::Number(n) => json!(n.as_i64().unwrap_or_default() + 1),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["x"]),
        Value::Object(_) => json!({"x": "x"}),
        Value::Null => json!("x"),
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer below the root");
    match object.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(items)) => drop(items.remove(last.parse().expect("a position"))),
        _ => panic!("no {pointer}"),
    }
}

/// Leaves whose loss says nothing, with why. A mutation that is neither reported nor here fails the test.
fn exempt(name: &str, pointer: &str, value: &Value) -> Option<&'static str> {
    let zero = matches!(value, Value::Bool(false)) || *value == json!(0) || *value == json!("") || *value == json!([]) || *value == json!({});
    if is_spelled_out_default(pointer, value) {
        return Some("Git spells out the default, and an absent field has it too");
    }
    (zero && name != "widget").then_some("empty and not a pointer in Kubernetes' own types: the server does not store it")
}

/// Defaults that the corpus spells out.
fn is_spelled_out_default(pointer: &str, value: &Value) -> bool {
    let last = pointer.rsplit('/').next().unwrap_or_default();
    matches!(
        (last, value.as_str()),
        ("protocol", Some("TCP")) | ("type", Some("ClusterIP" | "Opaque" | "RollingUpdate")) | ("apiGroup", Some("rbac.authorization.k8s.io"))
    ) || matches!((last, value.as_i64()), ("successThreshold", Some(1)))
        || (last == "suspend" && *value == json!(false))
        // Defaults that are made of what stands beside them.
        || matches!((pointer, value.as_str()), ("/spec/names/listKind", Some("WidgetList")) | ("/spec/names/singular", Some("widget")))
        || (pointer == "/spec/ports/1/targetPort" && *value == json!(9090))
}

#[test]
fn every_flipped_leaf_of_the_corpus_is_reported() {
    let mut silent = Vec::new();
    let mut count = 0;
    for (name, object) in corpus() {
        let (mut leaves, mut maps) = (Vec::new(), Vec::new());
        places(&object, "", &mut leaves, &mut maps);
        for pointer in &leaves {
            let mut live = object.clone();
            let place = live.pointer_mut(pointer).expect("the leaf");
            *place = flipped(place);
            count += 1;
            if run(&object, &live, None, &[], true).holds_desired() {
                silent.push(format!("{name} {pointer}"));
            }
        }
    }
    assert!(count > 280, "only {count} leaves");
    assert!(silent.is_empty(), "{} of {count} flipped leaves are not reported:\n{}", silent.len(), silent.join("\n"));
}

#[test]
fn every_deleted_leaf_of_the_corpus_is_reported_or_exempt() {
    let (mut silent, mut exempted) = (Vec::new(), Vec::new());
    for (name, object) in corpus() {
        let (mut leaves, mut maps) = (Vec::new(), Vec::new());
        places(&object, "", &mut leaves, &mut maps);
        for pointer in &leaves {
            let mut live = object.clone();
            let value = live.pointer(pointer).cloned().expect("the leaf");
            remove(&mut live, pointer);
            if run(&object, &live, None, &[], true).holds_desired() {
                match exempt(&name, pointer, &value) {
                    Some(why) => exempted.push(format!("{name} {pointer} = {value}: {why}")),
                    None => silent.push(format!("{name} {pointer} = {value}")),
                }
            }
        }
    }
    println!("deleted leaves that say nothing:\n{}", exempted.join("\n"));
    assert!(exempted.len() < 40, "too many exemptions: {}", exempted.len());
    assert!(silent.is_empty(), "{} deleted leaves are not reported:\n{}", silent.len(), silent.join("\n"));
}

#[test]
fn every_field_that_a_person_adds_to_the_corpus_is_reported() {
    let mut silent = Vec::new();
    for (name, object) in corpus() {
        let (mut leaves, mut maps) = (Vec::new(), Vec::new());
        places(&object, "", &mut leaves, &mut maps);
        for pointer in &maps {
            let mut live = object.clone();
            live.pointer_mut(pointer).and_then(Value::as_object_mut).expect("a mapping").insert("byHand".into(), json!("x"));
            // The editor owns everything; what Git sets is equal, so only the addition can show.
            let text = |key: &str| live[key].as_str().unwrap_or_default().to_owned();
            let fields = owned(&live, &Gvk::parse(&text("apiVersion"), &text("kind")), &mut Vec::new());
            let managers = json!([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}]).to_string();
            let got = run(&object, &live, Some(&managers), &[], true);
            if got.leaves.is_empty() {
                silent.push(format!("{name} {pointer} ({:?})", got.silenced));
            } else {
                assert!(got.leaves.iter().all(|l| l.class == LeafClass::Added || l.class == LeafClass::Changed), "{:?}", got.leaves);
            }
        }
    }
    // Without the schema of a custom resource, what is inside its lists is not told from a default.
    silent.retain(|s| !(s.starts_with("widget ") && s.contains("inside_list")));
    assert!(silent.is_empty(), "additions that nobody sees:\n{}", silent.join("\n"));
}

// --------------------------------------------------------------------------------------------------------------- made up

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..400).prop_map(Value::from),
        prop_oneof![Just(""), Just("x"), Just("1"), Just("1000m"), Just("60s"), Just("TCP"), Just("hidden:00"), Just("ENC[AES256_GCM,x]")]
            .prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("spec"),
        Just("template"),
        Just("containers"),
        Just("env"),
        Just("name"),
        Just("ports"),
        Just("containerPort"),
        Just("protocol"),
        Just("metadata"),
        Just("labels"),
        Just("finalizers"),
        Just("rules"),
        Just("verbs"),
        Just("resources"),
        Just("limits"),
        Just("cpu"),
        Just("replicas"),
        Just("selector"),
        Just("tolerations"),
        Just("emptyDir"),
        Just("volumes"),
        Just("sops"),
        Just("a/b~c"),
        Just("x")
    ]
    .prop_map(str::to_owned)
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(7, 60, 6, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(key(), inner.clone(), 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        Just(("apps/v1", "Deployment")),
        Just(("v1", "Pod")),
        Just(("v1", "Service")),
        Just(("rbac.authorization.k8s.io/v1", "Role")),
        Just(("example.com/v1", "Widget"))
    ];
    (kinds, tree(), tree(), tree()).prop_map(|((api, kind), spec, labels, rules)| {
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "labels": labels}, "spec": {"template": {"spec": spec.clone()}, "x": spec}, "rules": rules})
    })
}

fn workload() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-D]", "[a-c]{0,2}", 0..4)
        .prop_map(|m| m.into_iter().map(|(k, v)| json!({"name": k, "value": v})).collect::<Vec<_>>());
    let ports = prop::collection::btree_set(1u16..6, 0..4).prop_map(|s| s.into_iter().map(|p| json!({"containerPort": p})).collect::<Vec<_>>());
    let container = (env, ports, "[a-c]").prop_map(|(env, ports, image)| json!({"env": env, "ports": ports, "image": image}));
    prop::collection::btree_map("[a-c]", container, 0..4).prop_map(|containers| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, mut c)| {
                c["name"] = name.into();
                c
            })
            .collect();
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": containers}}}})
    })
}

/// The same object with every list turned round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (k.clone(), reversed(v))).collect()),
        Value::Array(a) => Value::Array(a.iter().rev().map(reversed).collect()),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn an_object_never_differs_from_itself(x in object()) {
        let own = run(&x, &x, None, &[], true);
        prop_assert_eq!(own, super::Comparison::default());
        // Also when the walk is forced by something that is not compared.
        let mut served = x.clone();
        served["metadata"]["uid"] = json!("u");
        served["status"] = json!({"ready": true});
        let got = run(&x, &served, None, &[], true);
        prop_assert!(got.leaves.is_empty(), "{:?}", got.leaves);
    }

    #[test]
    fn any_two_values_are_compared_without_panic(a in tree(), b in tree(), managers in tree(), x in object(), y in object()) {
        let managers = json!([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": managers}, managers]).to_string();
        run(&a, &b, Some(&managers), &[], true);
        run(&x, &y, Some(&managers), &[], true);
        run(&x, &y, Some("{"), &[], false);
    }

    #[test]
    fn the_order_of_keyed_lists_does_not_matter(a in workload(), b in workload()) {
        let lines = |x: &Value, y: &Value| run(x, y, None, &[], true).leaves.iter().map(line).collect::<Vec<_>>();
        let plain = lines(&a, &b);
        prop_assert_eq!(&plain, &lines(&a, &reversed(&b)));
        prop_assert_eq!(&plain, &lines(&reversed(&a), &b));
        prop_assert!(run(&a, &reversed(&a), None, &[], true).leaves.is_empty());
    }

    #[test]
    fn a_further_ignore_rule_never_adds_a_leaf(x in object(), y in object(), pointer in "(/(spec|template|containers|0|x|\\*)){0,4}") {
        let before: Vec<String> = run(&x, &y, None, &[], true).leaves.iter().map(line).collect();
        let rule = IgnoreRule {
            reason: "r".into(), group: None, kind: None, namespace: None, name: None,
            pointers: vec![pointer], managers: vec![], expires: None,
            jq: Vec::new(),
        };
        let after: Vec<String> = run(&x, &y, None, &[rule], true).leaves.iter().map(line).collect();
        prop_assert!(after.iter().all(|leaf| before.contains(leaf)), "{:?} {:?}", before, after);
    }

    #[test]
    fn what_git_does_not_set_never_shows_without_an_owner(x in workload(), y in workload()) {
        let none = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
        let mut live = y;
        live["metadata"]["labels"] = json!({"x": "y"});
        prop_assert!(run(&none, &live, None, &[], true).leaves.is_empty());
        prop_assert!(run(&none, &x, None, &[], true).holds_only_desired());
    }
}
