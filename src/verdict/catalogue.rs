//! Causes of wrong answers that are decided before two objects are compared, as data in `tests/data/drift/causes`. I/O: reads tests/data/drift

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use super::world::{Snapshot, World, take};
use crate::{
    drift::causes,
    object::{Redactor, renamed::today},
    render::collect::{Caps, from_text},
    witness::{Desired, Rendered, Told},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Row of the catalogue.
    row: u32,
    name: String,
    /// Manifests of the app `shop`, whose destination is the namespace `shop`.
    #[serde(default)]
    git: String,
    /// What the app declared once and dropped.
    #[serde(default)]
    once: Vec<Value>,
    #[serde(default)]
    live: Vec<Value>,
    /// Objects of deployers with the lists in their status.
    #[serde(default)]
    lists: Vec<Value>,
    #[serde(default)]
    backup: Vec<Value>,
    /// Every object that there is to judge, with its drift, and its recovery if that is said too.
    expect: BTreeMap<String, String>,
    /// Hooks that were set aside.
    #[serde(default)]
    hooks: usize,
    /// Reasons of notes.
    #[serde(default)]
    notes: Vec<String>,
    /// Reasons of remarks on the manifests.
    #[serde(default)]
    remarks: Vec<String>,
    /// Paths of differing fields with their classes.
    #[serde(default)]
    fields: Vec<String>,
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn world(case: &Case) -> (World, usize) {
    let collected =
        from_text(case.git.as_bytes(), "all.yaml", &Redactor::new([7; 32]), &Caps::default()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let mut world = World::new().declares("shop", vec![]).runs(case.live.clone());
    if !case.backup.is_empty() {
        world = world.backup(Snapshot::new("nightly", "01:00").holding(case.backup.clone()));
    }
    for object in &case.once {
        world = world.removed("shop", object.clone(), "c0ffee1", "10:00");
    }
    for holder in &case.lists {
        let id = take(holder.clone()).id;
        world.live.controllers.insert(id, Arc::new(holder.clone()));
    }
    // Discovery was asked, so that it is known which versions are served.
    for object in case.live.iter().chain(&case.lists) {
        let (group, version) = text(object, "/apiVersion").split_once('/').unwrap_or(("", text(object, "/apiVersion")));
        let gk = crate::object::GroupKind::new(today(group, text(object, "/kind")), text(object, "/kind"));
        if let Some(kind) = world.live.kinds.get_mut(&gk) {
            (kind.told, kind.version) = (Some(Told::default()), version.into());
        }
    }
    let state = world.declared.apps.values_mut().next().expect("the app");
    let rendered = state.rendered.as_ref().expect("rendered");
    let objects: Vec<Desired> = collected.objects;
    state.rendered = Some(Arc::new(Rendered { objects, diagnostics: collected.diagnostics, ..(**rendered).clone() }));
    (world, collected.hooks)
}

#[test]
fn every_world_of_the_catalogue_is_judged_as_written() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for case in causes::worlds() {
        let case: Case = serde_json::from_value(case.clone()).unwrap_or_else(|e| panic!("{e}: {case}"));
        seen += 1;
        let (world, hooks) = world(&case);
        let report = world.judge();
        let said: BTreeMap<String, String> = report
            .objects
            .iter()
            .map(|o| {
                let key = format!("{}/{}", o.id.gk.kind, o.id.name);
                let both = case.expect.get(&key).is_some_and(|w| w.contains(' '));
                let word = if both { format!("{} {}", o.drift.name(), o.recovery.name()) } else { o.drift.name().to_owned() };
                (key, word)
            })
            .collect();
        let reasons = |all: Vec<String>| {
            let mut all = all;
            all.sort();
            all.dedup();
            all
        };
        // The worlds are written without managedFields where nothing depends on them.
        let notes = report.notes.iter().map(|n| n.reason.to_string()).filter(|n| n != "owners_unknown");
        let notes = reasons(notes.collect());
        let remarks = reasons(report.apps.iter().flat_map(|a| &a.diagnostics).map(|d| d.reason.to_string()).collect());
        let fields: Vec<String> =
            report.objects.iter().flat_map(|o| &o.fields).filter_map(|f| Some(format!("{} {}", f.class?.name(), f.path))).collect();
        if said != case.expect || hooks != case.hooks || notes != case.notes || remarks != case.remarks || fields != case.fields {
            let why: Vec<String> = report.objects.iter().map(|o| format!("{}: {} {:?}", o.id, o.why, o.unknown)).collect();
            wrong.push(format!(
                "{} {}:\n  objects {said:?}\n  wanted  {:?}\n  hooks {hooks} notes {notes:?} remarks {remarks:?} fields {fields:?}\n  {}",
                case.row,
                case.name,
                case.expect,
                why.join("\n  ")
            ));
        }
    }
    assert!(seen >= 25, "{seen} worlds");
    assert!(wrong.is_empty(), "{} of {seen} worlds are judged otherwise:\n{}", wrong.len(), wrong.join("\n"));
}
