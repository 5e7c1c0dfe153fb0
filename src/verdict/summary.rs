//! Counts over all objects: each once per axis, in one coverage cell, and in the tally of whatever rule left something out. pure

use std::collections::BTreeMap;

use super::{
    derived::OWNED,
    join::{Join, Made},
};
use crate::{
    config::Layer,
    drift::{LeafClass, switches::ORIGIN},
    object::Text,
    report::model::{CoverageCell, CoverageScope, Drift, ObjectReport, Presence, Recovery, Side, Summary, Suppressed, UnknownCount, WindowState},
};

/// Counts by verdict, every verdict present.
pub(super) fn by_drift<'o>(objects: impl Iterator<Item = &'o ObjectReport>) -> BTreeMap<Drift, u64> {
    let mut out: BTreeMap<Drift, u64> = Drift::ALL.into_iter().map(|d| (d, 0)).collect();
    objects.for_each(|o| *out.entry(o.drift).or_default() += 1);
    out
}

/// Counts by verdict, every verdict present.
pub(super) fn by_recovery<'o>(objects: impl Iterator<Item = &'o ObjectReport>) -> BTreeMap<Recovery, u64> {
    let mut out: BTreeMap<Recovery, u64> = Recovery::ALL.into_iter().map(|r| (r, 0)).collect();
    objects.for_each(|o| *out.entry(o.recovery).or_default() += 1);
    out
}

fn scope_of(object: &ObjectReport) -> CoverageScope {
    match &object.id.namespace {
        _ if object.id.gk.is("", "PersistentVolumeClaim") || object.id.gk.is("", "PersistentVolume") => CoverageScope::Volume,
        Some(_) => CoverageScope::Namespaced,
        None => CoverageScope::Cluster,
    }
}

fn coverage(objects: &[ObjectReport]) -> Vec<CoverageCell> {
    let mut cells: BTreeMap<(Text, CoverageScope, [bool; 3]), u64> = BTreeMap::new();
    let nowhere: Text = "".into();
    for o in objects {
        let at = |p: Presence| p == Presence::Present;
        let namespace = o.id.namespace.clone().unwrap_or_else(|| nowhere.clone());
        *cells.entry((namespace, scope_of(o), [at(o.sides.git), at(o.sides.cluster), at(o.sides.backup)])).or_default() += 1;
    }
    let mut out = Vec::with_capacity(cells.len());
    for ((namespace, scope, [in_git, in_cluster, in_backup]), objects) in cells {
        out.push(CoverageCell { namespace, scope, in_git, in_cluster, in_backup, objects });
    }
    out
}

/// The summary of all objects.
pub(super) fn summary(objects: &[ObjectReport], window: WindowState) -> Summary {
    let mut unknown: BTreeMap<(Side, Text), u64> = BTreeMap::new();
    for o in objects {
        let mut sides: Vec<(Side, &Text)> = o.unknown.iter().map(|u| (u.side, &u.reason)).collect();
        sides.sort();
        sides.dedup_by_key(|(side, _)| *side);
        sides.into_iter().for_each(|(side, reason)| *unknown.entry((side, reason.clone())).or_default() += 1);
    }
    let by_layer = |layer| (layer, by_recovery(objects.iter().filter(move |o| o.layer == layer)));
    Summary {
        objects: objects.len() as u64,
        drift: by_drift(objects.iter()),
        recovery: by_recovery(objects.iter()),
        recovery_by_layer: Layer::ALL.into_iter().map(by_layer).collect(),
        unknown: unknown.into_iter().map(|((side, reason), objects)| UnknownCount { side, reason, objects }).collect(),
        coverage: coverage(objects),
        operational: objects.iter().filter(|o| o.operational).count() as u64,
        unknown_fields: objects.iter().map(unknown_fields).sum(),
        window,
    }
}

/// Fields of an object that Git sets and that the server has not.
pub(super) fn unknown_fields(object: &ObjectReport) -> u64 {
    object.fields.iter().filter(|f| f.class == Some(LeafClass::UnknownField)).count() as u64
}

/// Where the rules stand that need no configuration.
const BUILT_IN: &str = "built in";

/// What rules left out: fields by the rules of the drift engine, objects by the rules for what controllers make.
pub(super) fn suppressed(join: &Join<'_>) -> Vec<Suppressed> {
    let mut out: BTreeMap<(String, String), Suppressed> = BTreeMap::new();
    let mut add = |rule: &str, reason: &str, origin: &str, fields: u64| {
        let entry = out.entry((rule.to_owned(), origin.to_owned())).or_insert_with(|| Suppressed {
            rule: rule.into(),
            reason: reason.to_owned(),
            origin: if origin.is_empty() { BUILT_IN.into() } else { origin.into() },
            fields: 0,
            objects: 0,
        });
        entry.fields += fields;
        entry.objects += 1;
    };
    for case in &join.cases {
        case.trio.iter().flat_map(|t| &t.silenced).for_each(|s| add(&s.rule, &s.reason, &s.origin, u64::from(s.leaves)));
        if case.extraneous {
            add("ignore_extraneous", "a person told Argo CD to pass over that Git does not declare the object", ORIGIN, 0);
        }
        let derived = case.drift == Drift::Derived || case.recovery == Recovery::Derived;
        match case.made {
            Made::By(rule) if derived => add(rule.name, rule.reason, "", 0),
            Made::From(..) if derived => add(OWNED.0, OWNED.1, "", 0),
            _ => {}
        }
    }
    out.into_values().collect()
}
