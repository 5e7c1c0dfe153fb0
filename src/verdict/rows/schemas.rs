//! What schemas change in a verdict: fields that the server has not, versions, definitions that come and go. pure

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::cart;
use crate::{
    drift::{LeafClass, schema::Schemas},
    report::model::{Drift, ObjectReport, Recovery, Report, Side},
    verdict::{
        Memo, judge,
        world::{Snapshot, World},
    },
    witness::Failure,
};

/// A definition of Widget with one schema for each version.
fn widgets(group: &str, kind: &str, webhook: bool, versions: &[(&str, Value)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(name, spec)| json!({"name": name, "served": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}))
        .collect();
    let plural = format!("{}s", kind.to_lowercase());
    json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":format!("{plural}.{group}")},
        "spec":{"group":group,"names":{"plural":plural,"kind":kind},"scope":"Namespaced","versions":versions,
            "conversion":{"strategy": if webhook { "Webhook" } else { "None" }}}})
}

fn fields(names: &[&str]) -> Value {
    let all: serde_json::Map<String, Value> = names.iter().map(|n| ((*n).to_owned(), json!({"type":"string","default":"filled"}))).collect();
    json!({"type":"object","properties":all})
}

fn object(version: &str, kind: &str, spec: Value) -> Value {
    json!({"apiVersion":format!("example.com/{version}"),"kind":kind,"metadata":{"name":"a","namespace":"shop"},"spec":spec})
}

/// Only `desired` is declared, `definition` and `live` run.
fn custom(definition: Option<Value>, desired: Value, live: Value) -> World {
    World::new().declares("shop", vec![desired]).runs(definition.into_iter().chain([live]).collect())
}

fn of<'r>(report: &'r Report, kind: &str) -> &'r ObjectReport {
    report.objects.iter().find(|o| &*o.id.gk.kind == kind).expect("judged")
}

#[test]
fn a_field_that_the_server_has_not_is_shown_and_counted_and_no_drift() {
    let mut typo = cart(3);
    typo["spec"]["replicaz"] = json!(5);
    let mut world = World::new().declares("shop", vec![typo]).runs(vec![cart(3)]).backup(Snapshot::new("nightly", "01:00").holding(vec![cart(3)]));
    world.live.schemas = Arc::new(Schemas::new(BTreeMap::new(), Some("v1.36.3"), None));
    let report = world.judge();
    let said = of(&report, "Deployment");
    assert_eq!((said.drift, said.recovery), (Drift::InSync, Recovery::Either), "{}", said.why);
    let shown: Vec<_> = said.fields.iter().map(|f| (&*f.path, f.class, f.desired.as_deref())).collect();
    assert_eq!(shown, [("spec.replicaz", Some(LeafClass::UnknownField), Some("5"))]);
    assert_eq!(report.summary.unknown_fields, 1);
    let note = report.notes.iter().find(|n| &*n.reason == "unknown_field").expect("a note");
    assert!(note.message.contains("Deployment.apps shop/cart spec.replicaz") && note.message.starts_with("1 field "), "{}", note.message);
    // A server that is newer than the table may well have the field: then it is missing.
    world.live.schemas = Arc::new(Schemas::new(BTreeMap::new(), Some("v1.99.0"), None));
    assert_eq!(world.verdict("Deployment", "cart").drift, Drift::Changed);
}

#[test]
fn a_definition_tells_defaults_from_edits_whoever_holds_it() {
    let definition = || widgets("example.com", "Widget", false, &[("v1", fields(&["size"]))]);
    let world = custom(Some(definition()), object("v1", "Widget", json!({"size":"filled","typo":"x"})), object("v1", "Widget", json!({})));
    let report = world.judge();
    assert_eq!(of(&report, "Widget").drift, Drift::InSync);
    assert_eq!((report.summary.unknown_fields, report.as_of.schemas.definitions), (1, 1));
    // Git's own definition may be newer than what the cluster has, so it tells defaults but drops nothing.
    let desired = vec![definition(), object("v1", "Widget", json!({"size":"filled","typo":"x"}))];
    let world = World::new().declares("shop", desired).runs(vec![object("v1", "Widget", json!({}))]);
    let said = world.verdict("Widget", "a");
    let shown: Vec<_> = said.fields.iter().map(|f| (&*f.path, f.class)).collect();
    assert_eq!((said.drift, shown.as_slice()), (Drift::Changed, [("spec.typo", Some(LeafClass::Missing))].as_slice()));
}

#[test]
fn a_backup_is_compared_with_the_definition_too() {
    let definition = widgets("example.com", "Widget", false, &[("v1", fields(&["size"]))]);
    let desired = || object("v1", "Widget", json!({"size":"filled"}));
    let held = vec![definition, object("v1", "Widget", json!({}))];
    let world = World::new().declares("shop", vec![desired()]).backup(Snapshot::new("nightly", "01:00").holding(held));
    assert_eq!(world.verdict("Widget", "a").recovery, Recovery::Either, "the archive's definition says that it is a default");
    let bare =
        World::new().declares("shop", vec![desired()]).backup(Snapshot::new("nightly", "01:00").holding(vec![object("v1", "Widget", json!({}))]));
    assert_eq!(bare.verdict("Widget", "a").recovery, Recovery::Split);
}

#[test]
fn versions_are_compared_where_their_schemas_allow_it() {
    let pair = |a: &[&str], b: &[&str], webhook: bool, desired: Value| {
        let definition = widgets("example.com", "Widget", webhook, &[("v1", fields(a)), ("v1beta1", fields(b))]);
        let said =
            custom(Some(definition), object("v1beta1", "Widget", desired), object("v1", "Widget", json!({"size":"filled"}))).verdict("Widget", "a");
        (said.drift, said.unknown.iter().map(|u| (u.side, u.reason.to_string())).collect::<Vec<_>>())
    };
    let differs = || vec![(Side::Git, "version_differs".to_owned())];
    assert_eq!(pair(&["size"], &["size"], true, json!({"size":"filled"})), (Drift::InSync, vec![]), "the same schema in both");
    assert_eq!(pair(&["size"], &["size"], true, json!({"size":"other"})).0, Drift::Changed);
    assert_eq!(pair(&["size", "new"], &["size"], false, json!({"size":"filled"})), (Drift::InSync, vec![]), "nothing is converted");
    assert_eq!(pair(&["size"], &["size", "old"], false, json!({"old":"x"})), (Drift::Unknown, differs()), "a field that cannot be seen");
    assert_eq!(pair(&["size"], &["sizes"], true, json!({"sizes":"filled"})), (Drift::Unknown, differs()), "a webhook may move fields");
}

#[test]
fn a_copy_in_another_version_holds_what_runs_if_both_are_known_to_say_the_same() {
    let said = |held: Vec<Value>, live: Vec<Value>, kind: &str| {
        let name = live.last().map(|v| v["metadata"]["name"].as_str().expect("a name").to_owned()).expect("one runs");
        let world = World::new().runs(live).backup(Snapshot::new("nightly", "01:00").holding(held));
        let said = world.verdict(kind, &name);
        (said.recovery, said.unknown.iter().map(|u| (u.side, u.reason.to_string())).collect::<Vec<_>>())
    };
    let differs = || (Recovery::Unknown, vec![(Side::Backup, "version_differs".to_owned())]);
    let (same, stale) = ((Recovery::Backup, vec![]), (Recovery::BackupStale, vec![]));

    let scaler = |version: &str, notes: Value, spec: Value| {
        let mut all = json!({"minReplicas":1,"maxReplicas":5,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"cart"}});
        all.as_object_mut().expect("a map").extend(spec.as_object().expect("a map").clone());
        let mut meta = json!({"name":"a","namespace":"shop"});
        meta.as_object_mut().expect("a map").extend(notes.as_object().cloned().map(|n| ("annotations".to_owned(), Value::Object(n))));
        vec![json!({"apiVersion":format!("autoscaling/{version}"),"kind":"HorizontalPodAutoscaler","metadata":meta,"spec":all})]
    };
    let cpu = |percent: u32| json!({"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":percent}}}]});
    let old = |percent: u32| json!({"targetCPUUtilizationPercentage":percent});
    let note = |key: &str| json!({(format!("autoscaling.alpha.kubernetes.io/{key}")):"[]"});
    let fast = |mut spec: Value| {
        spec["behavior"] = json!({"scaleDown":{"stabilizationWindowSeconds":5}});
        spec
    };
    let plain = || Value::Null;
    for (held, live, want) in [
        (scaler("v1", plain(), old(70)), scaler("v2", plain(), cpu(70)), same.clone()),
        (scaler("v1", note("conditions"), old(70)), scaler("v2", plain(), cpu(70)), same.clone()),
        (scaler("v2", plain(), cpu(70)), scaler("v1", note("conditions"), old(70)), same.clone()),
        (scaler("v1", plain(), old(60)), scaler("v2", plain(), cpu(70)), stale.clone()),
        (scaler("v1", plain(), old(70)), scaler("v2", plain(), fast(cpu(70))), stale.clone()),
        (scaler("v1", note("metrics"), old(70)), scaler("v2", plain(), cpu(70)), differs()),
        (scaler("v2beta1", plain(), cpu(70)), scaler("v2", plain(), cpu(70)), differs()),
    ] {
        assert_eq!(said(held.clone(), live.clone(), "HorizontalPodAutoscaler"), want, "{held:?} {live:?}");
    }

    let custom = |webhook: bool, old: &[&str], new: &[&str], held: Value, live: Value| {
        let definition = widgets("example.com", "Widget", webhook, &[("v1", fields(new)), ("v1beta1", fields(old))]);
        said(vec![object("v1beta1", "Widget", held)], vec![definition, object("v1", "Widget", live)], "Widget")
    };
    let size = |text: &str| json!({"size":text});
    assert_eq!(custom(true, &["size"], &["size"], size("s"), size("s")), same, "the same schema in both");
    assert_eq!(custom(false, &["size"], &["size"], size("s"), size("t")), stale);
    assert_eq!(
        custom(false, &["size"], &["new", "size"], size("s"), json!({"new":"filled","size":"s"})),
        same,
        "a field that came is at its default"
    );
    assert_eq!(custom(false, &["size"], &["new", "size"], size("s"), json!({"new":"x","size":"s"})), stale, "no copy of that version can hold it");
    assert_eq!(custom(false, &["old", "size"], &["size"], json!({"old":"x","size":"s"}), size("s")), differs(), "the cluster does not show it");
    assert_eq!(custom(false, &["old", "size"], &["size"], size("s"), size("s")), differs(), "what the cluster has there was not seen");
    assert_eq!(custom(false, &["old", "size"], &["size"], size("s"), size("t")), stale);
    assert_eq!(custom(true, &["size"], &["sizes"], size("s"), json!({"sizes":"s"})), differs(), "a webhook may move fields");
    let bare = said(vec![object("v1beta1", "Widget", size("s"))], vec![object("v1", "Widget", size("s"))], "Widget");
    assert_eq!(bare, differs(), "nobody knows the kind");
}

#[test]
fn a_changed_schema_compares_the_objects_of_its_kind_again_and_no_others() {
    let world = |size: &[&str], documents: Option<&str>| {
        let definitions = vec![
            widgets("example.com", "Widget", false, &[("v1", fields(size))]),
            widgets("example.com", "Gadget", false, &[("v1", fields(&["size"]))]),
        ];
        let objects = || vec![object("v1", "Widget", json!({"size":"a"})), object("v1", "Gadget", json!({"size":"a"})), cart(3)];
        let live = || vec![object("v1", "Widget", json!({"size":"b"})), object("v1", "Gadget", json!({"size":"b"})), cart(2)];
        let mut world = World::new().declares("shop", objects()).runs(definitions.into_iter().chain(live()).collect());
        world.live.schemas = Arc::new(Schemas::new(BTreeMap::new(), documents, None));
        world
    };
    let mut memo = Memo::default();
    let mut compared = |size: &[&str], version: Option<&str>| {
        judge(&world(size, version).inputs(), &mut memo);
        memo.stats().compared
    };
    assert!(compared(&["size"], Some("v1.36.0")) >= 3);
    assert_eq!(compared(&["size"], Some("v1.36.0")), 0, "nothing changed");
    assert_eq!(compared(&["size", "new"], Some("v1.36.0")), 1, "Widget alone");
    assert_eq!(compared(&["size", "new"], Some("v1.37.0")), 1, "the table is not complete any more for Kubernetes' own kinds");
}

#[test]
fn what_schemas_could_not_be_read_is_said() {
    let mut world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
    world.live.schemas = Arc::new(Schemas::new(BTreeMap::new(), None, Some(Failure::new("forbidden", "/openapi/v3 cannot be read"))));
    let state = world.judge().as_of.schemas;
    assert_eq!((state.documents, state.failure.map(|f| f.reason.to_string())), (0, Some("forbidden".to_owned())));
    let broken = widgets("example.com", "Widget", false, &[("v1", json!({"type":"object","properties":"none"}))]);
    let report = custom(Some(broken), object("v1", "Widget", json!({"a":"x"})), object("v1", "Widget", json!({"a":"x","b":0}))).judge();
    assert!(report.notes.iter().any(|n| &*n.reason == "schema_unread" && n.message.contains("Widget.example.com")), "{:?}", report.notes);
}
