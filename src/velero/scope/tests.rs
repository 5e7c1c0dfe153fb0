//! Every document in `tests/data/velero/scope` is one set of filters with objects and whether they are covered; and what holds for all. pure

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{
    object::{GroupKind, ObjectId},
    velero::names::Names,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    spec: Value,
    /// The spec of a backup that has started is effective; any other is defaulted first.
    #[serde(default)]
    started: bool,
    #[serde(default)]
    excluded_namespaces: Vec<Text>,
    /// `Kind.group namespace/name` to `in`, `out reason` or `unknown reason`.
    covers: BTreeMap<String, String>,
}

fn names() -> Names {
    Names::builtin()
        .with(GroupKind::new("cert-manager.io", "Certificate"), "certificates", true)
        .with(GroupKind::new("cert-manager.io", "ClusterIssuer"), "clusterissuers", false)
        .with(GroupKind::new("snapshot.storage.k8s.io", "VolumeSnapshot"), "volumesnapshots", true)
        .with(GroupKind::new("snapshot.storage.k8s.io", "VolumeSnapshotContent"), "volumesnapshotcontents", false)
        .with(GroupKind::new("metrics.k8s.io", "PodMetrics"), "pods", true)
        .with(GroupKind::new("a.example.com", "Widget"), "widgets", true)
        .with(GroupKind::new("b.example.com", "Widget"), "widgets", true)
}

fn id(text: &str) -> ObjectId {
    let (kind, place) = text.split_once(' ').expect("kind and place");
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    match place.split_once('/') {
        Some((namespace, name)) => ObjectId::new(group, kind, Some(namespace), name),
        None => ObjectId::new(group, kind, None, place),
    }
}

fn ask(scope: &Scope, object: &str, names: &Names) -> Coverage {
    // A trailing word in brackets: `[excluded]` carries Velero's label, `[terminating]` is being deleted, `[labels?]` has labels unknown.
    let (object, mark) = object.split_once(" [").unwrap_or((object, ""));
    let id = id(object);
    let name = names.of_kind(&id.gk).unwrap_or_else(|| panic!("no such kind: {object}"));
    let plain = Map::new();
    let marked = json!({"velero.io/exclude-from-backup":"true"});
    let labels = match mark {
        "excluded]" => marked.as_object(),
        "labels?]" => None,
        _ => Some(&plain),
    };
    scope.covers(&Subject { labels, terminating: mark == "terminating]", ..Subject::new(&id, name) }, names)
}

fn said(coverage: &Coverage) -> String {
    match coverage {
        Coverage::In => "in".to_owned(),
        Coverage::Out(why) => format!("out {}", why.reason),
        Coverage::Unknown(why) => format!("unknown {}", why.reason),
    }
}

#[test]
fn every_object_is_covered_as_velero_would() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/velero/scope");
    let (names, mut count, mut wrong) = (names(), 0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        for document in serde_yaml::Deserializer::from_str(&std::fs::read_to_string(&path).expect("cases")) {
            let case = Case::deserialize(document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let scope = if case.started { Scope::of_backup(&case.spec, true) } else { Scope::of_template(&case.spec, &case.excluded_namespaces) };
            for (object, expected) in &case.covers {
                let coverage = ask(&scope, object, &names);
                if said(&coverage) != *expected {
                    wrong.push(format!("{}: {object}: expected {expected}, found {coverage:?}", case.about));
                }
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 100, "{count}");
}

#[test]
fn a_scope_of_nothing_known_covers_nothing_for_certain() {
    assert_eq!(said(&ask(&Scope::default(), "Pod n/p", &names())), "unknown spec_unknown");
}

#[test]
fn the_trap_of_a_backup_without_filters_is_told_with_the_way_out() {
    let scope = Scope::of_template(&json!({}), &[]);
    assert!(scope.is_unfiltered_trap());
    let Coverage::Out(why) = ask(&scope, "StorageClass.storage.k8s.io fast", &names()) else { panic!("covered") };
    assert_eq!(
        why.message,
        "the backup takes cluster-scoped objects only beside others although it names no filter at all (so since Velero 1.17); set includedClusterScopedResources: [\"*\"]"
    );
    assert!(!Scope::of_template(&json!({"includeClusterResources":true}), &[]).is_unfiltered_trap());
    // Written by a Velero before 1.17, the same spec did hold the whole cluster.
    let old = Scope::of_backup(&json!({"includedNamespaces":["*"]}), true);
    assert!(!old.is_unfiltered_trap());
    assert_eq!(said(&ask(&old, "StorageClass.storage.k8s.io fast", &names())), "in");
}

#[test]
fn filters_that_velero_refuses_are_told() {
    for (spec, words) in [
        (json!({"includedResources":["pods"],"excludedNamespaceScopedResources":["x"]}), "old kind filters"),
        (json!({"includedNamespaces":["*","a"]}), "included namespaces have * beside others"),
        (json!({"excludedNamespaces":["*"]}), "excluded namespaces have a *"),
        (json!({"excludedResources":["*"]}), "excluded kinds have a *"),
        (json!({"excludedClusterScopedResources":["*"],"includedClusterScopedResources":["nodes"]}), "excluded cluster-scoped kinds have a *"),
        (json!({"includedNamespaces":["a"],"excludedNamespaces":["a"]}), "a is both an included and an excluded one of the namespaces"),
        (json!({"labelSelector":{"matchLabels":{"a":"b"}},"orLabelSelectors":[{"matchLabels":{"a":"b"}}]}), "both set"),
        (json!({"includedNamespaces":"shop"}), "includedNamespaces is not a list of texts"),
    ] {
        let scope = Scope::of_template(&spec, &[]);
        assert!(scope.problems().iter().any(|p| p.contains(words)), "{spec}: {:?}", scope.problems());
        assert_eq!(said(&ask(&scope, "Pod n/p", &names())), "out refused");
    }
    assert!(Scope::of_template(&json!({"excludedNamespaceScopedResources":["*"]}), &[]).problems().is_empty());
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        "[a-c]{1,3}",
        Just("*".to_owned()),
        "[a-c]{0,2}[*?][a-c]{0,2}",
        Just("pods".to_owned()),
        Just("cm".to_owned()),
        Just("widgets".to_owned())
    ];
    proptest::collection::vec(word, 0..4)
}

proptest! {
    #[test]
    fn an_excluded_namespace_is_never_in_and_an_excluded_kind_neither(
        included in words(), excluded in words(), kinds in words(), not_kinds in words(), new in any::<bool>(), cluster in any::<Option<bool>>(), namespace in "[a-c]{1,3}", started in any::<bool>(),
    ) {
        let mut spec = json!({"includedNamespaces":included,"excludedNamespaces":excluded.iter().chain([&namespace]).collect::<Vec<_>>()});
        if new {
            spec["includedNamespaceScopedResources"] = json!(kinds);
            spec["excludedNamespaceScopedResources"] = json!(not_kinds);
        } else {
            spec["includedResources"] = json!(kinds);
            spec["excludedResources"] = json!(not_kinds);
            spec["includeClusterResources"] = json!(cluster);
        }
        let names = names();
        let scope = Scope::of_backup(&spec, started);
        for kind in ["Pod", "ConfigMap", "Widget.a.example.com"] {
            let coverage = ask(&scope, &format!("{kind} {namespace}/x"), &names);
            prop_assert!(matches!(coverage, Coverage::Out(_)));
        }
        spec["excludedNamespaces"] = json!(excluded);
        let scope = Scope::of_backup(&spec, started);
        if not_kinds.iter().any(|k| k == "pods") {
            let coverage = ask(&scope, &format!("Pod {namespace}/x"), &names);
            prop_assert!(matches!(coverage, Coverage::Out(_)));
        }
        // Whatever is in a scope stays in it when nothing but the order of its lists changes.
        let mut turned = spec.clone();
        for list in turned.as_object_mut().into_iter().flat_map(|o| o.values_mut()).filter_map(Value::as_array_mut) {
            list.reverse();
        }
        let turned = Scope::of_backup(&turned, started);
        for object in ["Pod a/x", "ConfigMap ab/x", "Namespace a", "ClusterRole.rbac.authorization.k8s.io r", "Widget.b.example.com a/x"] {
            prop_assert_eq!(said(&ask(&scope, object, &names)), said(&ask(&turned, object, &names)));
        }
    }

    #[test]
    fn no_spec_makes_the_reading_panic(text in "\\PC{0,20}", n in 0..5usize) {
        let odd = [json!(text), json!([text, 5]), json!({"a": text}), json!(null), json!([text])];
        let spec = json!({"includedNamespaces":odd[n],"excludedResources":odd[(n + 1) % 5],"labelSelector":odd[(n + 2) % 5],"resourcePolicy":odd[(n + 3) % 5],"includeClusterResources":odd[n]});
        let scope = Scope::of_backup(&spec, n % 2 == 0);
        let _ = ask(&scope, "Pod a/x", &names());
        let _ = Scope::of_template(&odd[n], &[]);
    }
}
