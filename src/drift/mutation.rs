//! Mutation of the comparison: every single leaf of every manifest is turned, taken away and added, on both sides. I/O: reads tests/data/drift

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Builtin, Comparison, Schema, cases::run, laws::flipped};
use crate::object::{Gvk, yaml};

/// Manifests by name: the corpus and the maximal objects.
fn manifests() -> &'static [(String, Value)] {
    static ALL: LazyLock<Vec<(String, Value)>> = LazyLock::new(read_manifests);
    &ALL
}

fn read_manifests() -> Vec<(String, Value)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drift");
    let mut all = Vec::new();
    for folder in ["objects", "maximal"] {
        for entry in fs::read_dir(data.join(folder)).expect("readable") {
            let path = entry.expect("an entry").path();
            let parsed =
                yaml::parse(&fs::read(&path).expect("readable"), &yaml::Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = format!("{folder}/{}", path.file_stem().unwrap_or_default().display());
            all.extend(parsed.documents.into_iter().filter(|d| d.value.is_object()).map(|d| (name.clone(), d.value)));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(all.len() > 100, "only {} manifests", all.len());
    all
}

/// Pointers of all leaves, and of all containers, below what Git sets.
fn places(value: &Value, at: &str, leaves: &mut Vec<String>, containers: &mut Vec<String>) {
    let child = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    let identity = |key: &str| at.is_empty() && matches!(key, "apiVersion" | "kind") || at == "/metadata" && matches!(key, "name" | "namespace");
    match value {
        Value::Object(members) if !members.is_empty() => {
            if !at.is_empty() && at != "/metadata" {
                containers.push(at.to_owned());
            }
            members.iter().filter(|(k, _)| !identity(k)).for_each(|(k, m)| places(m, &child(k), leaves, containers));
        }
        Value::Array(items) if !items.is_empty() => {
            containers.push(at.to_owned());
            items.iter().enumerate().for_each(|(n, item)| places(item, &child(&n.to_string()), leaves, containers));
        }
        _ => leaves.push(at.to_owned()),
    }
}

fn without(object: &Value, pointer: &str) -> Value {
    let mut out = object.clone();
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer below the root");
    match out.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(items)) => drop(items.remove(last.parse().expect("a position"))),
        _ => panic!("no {pointer}"),
    }
    out
}

/// The object with one more member, or item, in the container at a pointer.
fn grown(object: &Value, pointer: &str) -> Value {
    let mut out = object.clone();
    match out.pointer_mut(pointer) {
        Some(Value::Object(members)) => drop(members.insert("mutant".into(), json!("x"))),
        Some(Value::Array(items)) => {
            let mut item = items.last().cloned().unwrap_or(json!("x"));
            match &mut item {
                Value::Object(members) => {
                    members.insert("mutant".into(), json!("x"));
                    for (_, value) in members.iter_mut().filter(|(k, v)| {
                        (v.is_string() || v.is_number())
                            && ["name", "key", "port", "containerPort", "mountPath", "ip", "topologyKey", "type"].contains(&k.as_str())
                    }) {
                        *value = flipped(value);
                    }
                }
                other => *other = flipped(other),
            }
            items.push(item);
        }
        _ => panic!("no {pointer}"),
    }
    out
}

/// One writer that owns all that Git can set.
fn owned_by(manager: &str, operation: &str, object: &Value) -> String {
    let fields: Map<String, Value> = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| *k != "apiVersion" && *k != "kind")
        .map(|(k, _)| (format!("f:{k}"), json!({})))
        .collect();
    json!([{"manager": manager, "operation": operation, "fieldsV1": fields}]).to_string()
}

/// Whether nothing below says more than its absence.
fn hollow(gvk: &Gvk, steps: &[&str], value: &Value) -> bool {
    let empty = match value {
        Value::Object(members) => members.iter().all(|(key, member)| hollow(gvk, &[steps, &[key.as_str()]].concat(), member)),
        other => [json!(false), json!(0), json!(""), json!([]), Value::Null].contains(other),
    };
    empty && !Builtin.empty_means_something(gvk, steps)
}

/// Why a mutant may go unseen. Nothing else may.
fn exemption(object: &Value, pointer: &str, got: &Comparison) -> Option<String> {
    if let Some(silence) = got.silenced.first() {
        return Some(format!("rule {}", silence.rule));
    }
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let gvk = Gvk::parse(&text("apiVersion"), &text("kind"));
    let steps: Vec<&str> = pointer.split('/').skip(1).map(|s| if s.bytes().all(|b| b.is_ascii_digit()) { "*" } else { s }).collect();
    let value = object.pointer(pointer)?;
    let trail: Vec<&Value> = pointer.match_indices('/').filter_map(|(n, _)| object.pointer(&pointer[..n])).collect();
    if hollow(&gvk, &steps, value) {
        return Some("empty, and not told from absence there".into());
    }
    Builtin.fills(&gvk, &steps, &trail, value).then(|| "Git spells out the default".into())
}

/// Mutants by kind of mutation: seen, exempt by reason, and what slipped through.
#[derive(Default)]
struct Score {
    mutants: usize,
    exempt: BTreeMap<String, usize>,
    silent: Vec<String>,
}

impl Score {
    fn count(&mut self, what: &str, seen: bool, exempt: impl FnOnce() -> Option<String>) {
        self.mutants += 1;
        if !seen {
            match exempt() {
                Some(why) => *self.exempt.entry(why).or_default() += 1,
                None => self.silent.push(what.to_owned()),
            }
        }
    }

    fn close(self, title: &str, least: usize) {
        println!(
            "{title}: {} mutants, {} exempt {:?}, {} slipped through",
            self.mutants,
            self.exempt.values().sum::<usize>(),
            self.exempt,
            self.silent.len()
        );
        assert!(self.mutants > least, "only {} mutants", self.mutants);
        assert!(self.silent.is_empty(), "{title}: {} of {} are not reported:\n{}", self.silent.len(), self.mutants, self.silent.join("\n"));
    }
}

fn each(mut with: impl FnMut(&str, &Value, &[String], &[String])) {
    for (name, object) in manifests() {
        let (mut leaves, mut containers) = (Vec::new(), Vec::new());
        places(object, "", &mut leaves, &mut containers);
        with(name, object, &leaves, &containers);
    }
}

#[test]
fn every_leaf_that_is_turned_on_either_side_is_reported() {
    let mut score = Score::default();
    each(|name, object, leaves, _| {
        for pointer in leaves {
            let mut other = object.clone();
            let place = other.pointer_mut(pointer).expect("the leaf");
            *place = flipped(place);
            for (desired, live, side) in [(object, &other, "live"), (&other, object, "Git")] {
                let got = run(desired, live, None, &[], true);
                score
                    .count(&format!("{name} {pointer} in {side}"), !got.holds_desired(), || got.silenced.first().map(|s| format!("rule {}", s.rule)));
            }
        }
    });
    score.close("turned", 9_000);
}

#[test]
fn every_leaf_that_live_has_lost_is_reported() {
    let mut score = Score::default();
    each(|name, object, leaves, containers| {
        for pointer in leaves.iter().chain(containers) {
            let got = run(object, &without(object, pointer), None, &[], true);
            score.count(&format!("{name} {pointer}"), !got.holds_desired(), || exemption(object, pointer, &got));
        }
    });
    score.close("lost in live", 6_000);
}

#[test]
fn every_leaf_that_git_dropped_and_the_deployer_owns_is_reported() {
    let mut score = Score::default();
    each(|name, object, leaves, _| {
        let managers = owned_by("argocd-controller", "Apply", object);
        for pointer in leaves {
            let got = run(&without(object, pointer), object, Some(&managers), &[], true);
            score.count(&format!("{name} {pointer}"), !got.leaves.is_empty(), || exemption(object, pointer, &got));
        }
    });
    score.close("dropped in Git", 4_000);
}

#[test]
fn every_member_and_item_that_a_person_adds_is_reported() {
    let mut score = Score::default();
    each(|name, object, _, containers| {
        let managers = owned_by("kubectl-edit", "Update", object);
        for pointer in containers {
            let got = run(object, &grown(object, pointer), Some(&managers), &[], true);
            score.count(&format!("{name} {pointer}"), !got.leaves.is_empty(), || got.silenced.first().map(|s| format!("rule {}", s.rule)));
        }
    });
    score.close("added by a person", 2_000);
}

#[test]
fn every_member_and_item_that_git_adds_is_reported() {
    let mut score = Score::default();
    each(|name, object, _, containers| {
        for pointer in containers {
            let got = run(&grown(object, pointer), object, None, &[], true);
            score.count(&format!("{name} {pointer}"), !got.leaves.is_empty(), || got.silenced.first().map(|s| format!("rule {}", s.rule)));
        }
    });
    score.close("added in Git", 2_000);
}

/// The text of an object with its keys in the order that the dice say.
fn shuffled(value: &Value, dice: &mut u64) -> String {
    match value {
        Value::Object(members) => {
            let mut all: Vec<(&String, &Value)> = members.iter().collect();
            for n in (1..all.len()).rev() {
                *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                all.swap(n, usize::try_from(*dice >> 33).unwrap_or_default() % (n + 1));
            }
            let members: Vec<String> = all.into_iter().map(|(k, v)| format!("{}: {}", json!(k), shuffled(v, dice))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(|i| shuffled(i, dice)).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_keys_in_a_manifest_does_not_matter(which in 0usize..100, seed in any::<u64>()) {
        let (name, object) = &manifests()[which];
        let text = shuffled(object, &mut seed.clone());
        let parsed = yaml::parse(text.as_bytes(), &yaml::Limits::default()).expect("YAML");
        prop_assert!(run(&parsed.documents[0].value, object, None, &[], true).leaves.is_empty(), "{}", name);
        prop_assert_eq!(&parsed.documents[0].value, object);
    }

    #[test]
    fn what_was_taken_in_once_is_taken_in_as_the_same_again(which in 0usize..100) {
        let (_, object) = &manifests()[which];
        let redactor = crate::object::Redactor::new([7; 32]);
        let once = crate::object::admit(object.clone(), &redactor).expect("an object").content;
        prop_assert_eq!(&crate::object::Content::of(&once.value()), &once);
        if !once.json().contains(crate::object::redact::MARK) {
            let twice = crate::object::admit(once.value(), &redactor).expect("an object").content;
            prop_assert_eq!(twice, once);
        }
    }
}
