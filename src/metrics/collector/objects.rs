//! Families about objects: drift, recovery, coverage, unknown. Every one of them has a cap. pure

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{super::table, Sheet, folding::Kept, truth};
use crate::{
    config::{self, AppName, Layer},
    drift::LeafClass,
    report::{
        Report,
        model::{Answer, CoverageScope, Drift, ObjectReport, Presence, Recovery, Side},
    },
};

/// Reasons per side that have series of their own in `snapgap_unknown_objects`; the rest is `other`.
pub(super) const MAX_UNKNOWN_REASONS: usize = 32;

pub(super) fn put(sheet: &mut Sheet, report: &Report, limits: &config::Metrics, kept: &Kept) {
    let apps: BTreeSet<&str> = report.apps.iter().map(|app| &*app.name.0).chain([""]).collect();
    drift_counts(sheet, report);
    drift_onsets(sheet, report, limits, &apps);
    ignored(sheet, report, &apps);
    recovery(sheet, report);
    unknown(sheet, report);
    namespaces(sheet, report, kept);
}

fn app_of<'a>(object: &'a ObjectReport, apps: &BTreeSet<&str>) -> &'a str {
    object.app.as_ref().map(|AppName(name)| &**name).filter(|name| apps.contains(name)).unwrap_or_default()
}

fn drift_counts(sheet: &mut Sheet, report: &Report) {
    for drift in table::DRIFTS {
        let total = report.summary.drift.get(&drift).copied().unwrap_or_default();
        let mut declared = 0;
        for app in &report.apps {
            let count = app.drift.get(&drift).copied().unwrap_or_default();
            declared += count;
            sheet.put(&table::DRIFT_OBJECTS, &[&app.name.0, drift.name()], count as f64);
        }
        sheet.put(&table::DRIFT_OBJECTS, &["", drift.name()], total.saturating_sub(declared) as f64);
    }
}

fn drift_onsets(sheet: &mut Sheet, report: &Report, limits: &config::Metrics, apps: &BTreeSet<&str>) {
    let mut oldest: BTreeMap<(&str, Drift), Timestamp> = BTreeMap::new();
    let mut single: Vec<(Timestamp, &ObjectReport)> = Vec::new();
    let mut dropped: BTreeMap<&str, u64> = apps.iter().map(|app| (*app, 0)).collect();
    for object in report.objects.iter().filter(|object| table::DRIFTS.contains(&object.drift)) {
        let app = app_of(object, apps);
        match object.drift_since {
            Some(since) => {
                let known = oldest.entry((app, object.drift)).or_insert(since);
                *known = (*known).min(since);
                if object.drift.is_drift() {
                    single.push((since, object));
                }
            }
            None if object.drift.is_drift() => *dropped.entry(app).or_default() += 1,
            None => {}
        }
    }
    for ((app, drift), since) in oldest {
        sheet.time(&table::DRIFT_OLDEST, &[app, drift.name()], Some(since));
    }
    // The identity breaks ties, so that the same objects are chosen at every scrape.
    single.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.id.cmp(&y.id)));
    for (position, (since, object)) in single.into_iter().enumerate() {
        let app = app_of(object, apps);
        if position < limits.max_object_series {
            let namespace = object.id.namespace.as_deref().unwrap_or_default();
            let labels = [app, object.drift.name(), namespace, &object.id.gk.group, &object.id.gk.kind, &object.id.name];
            sheet.time(&table::OBJECT_DRIFT, &labels, Some(since));
        } else {
            *dropped.entry(app).or_default() += 1;
        }
    }
    for (app, count) in dropped {
        sheet.put(&table::SERIES_DROPPED, &[app], count as f64);
    }
}

fn ignored(sheet: &mut Sheet, report: &Report, apps: &BTreeSet<&str>) {
    let mut ignored: BTreeMap<&str, u64> = apps.iter().map(|app| (*app, 0)).collect();
    for object in report.objects.iter().filter(|object| object.suppressed > 0) {
        *ignored.entry(app_of(object, apps)).or_default() += 1;
    }
    for (app, count) in ignored {
        sheet.put(&table::DRIFT_IGNORED, &[app], count as f64);
    }
    let confirmed = || report.objects.iter().filter_map(|o| o.confirmed.as_ref());
    if confirmed().next().is_some() {
        for answer in Answer::ALL {
            sheet.put(&table::CONFIRMED, &[answer.name()], confirmed().filter(|c| c.answer == answer).count() as f64);
        }
    }
    let mut operational: BTreeMap<&str, u64> = apps.iter().map(|app| (*app, 0)).collect();
    for object in report.objects.iter().filter(|object| object.operational) {
        *operational.entry(app_of(object, apps)).or_default() += 1;
    }
    for (app, count) in operational {
        sheet.put(&table::OPERATIONAL, &[app], count as f64);
    }
    let mut unknown: BTreeMap<&str, usize> = apps.iter().map(|app| (*app, 0)).collect();
    for object in &report.objects {
        let fields = object.fields.iter().filter(|f| f.class == Some(LeafClass::UnknownField)).count();
        *unknown.entry(app_of(object, apps)).or_default() += fields;
    }
    for (app, count) in unknown {
        sheet.put(&table::UNKNOWN_FIELDS, &[app], count as f64);
    }
}

fn recovery(sheet: &mut Sheet, report: &Report) {
    for layer in Layer::ALL {
        let counts = report.summary.recovery_by_layer.get(&layer);
        for recovery in Recovery::ALL {
            let count = counts.and_then(|counts| counts.get(&recovery)).copied().unwrap_or_default();
            sheet.put(&table::RECOVERY, &[layer.name(), recovery.name()], count as f64);
        }
    }
}

fn unknown(sheet: &mut Sheet, report: &Report) {
    for side in Side::ALL {
        // `other` is always there, so that "nothing unknown" can be told from "no data".
        let mut counts: BTreeMap<&str, u64> = BTreeMap::from([("other", 0)]);
        for count in report.summary.unknown.iter().filter(|count| count.side == side) {
            let room = counts.len() <= MAX_UNKNOWN_REASONS || counts.contains_key(&*count.reason);
            *counts.entry(if room { &count.reason } else { "other" }).or_default() += count.objects;
        }
        for (reason, count) in counts {
            sheet.put(&table::UNKNOWN, &[side.name(), reason], count as f64);
        }
    }
}

/// The seven cells of the three circles: in at least one of them.
const CELLS: [(bool, bool, bool); 7] = [
    (true, true, true),
    (true, true, false),
    (true, false, true),
    (true, false, false),
    (false, true, true),
    (false, true, false),
    (false, false, true),
];

fn namespaces(sheet: &mut Sheet, report: &Report, kept: &Kept) {
    type Cell = (bool, bool, bool);
    let mut cells: BTreeMap<(&str, CoverageScope), BTreeMap<Cell, u64>> = BTreeMap::new();
    let mut rows: BTreeSet<&str> = kept.names().collect();
    rows.extend(report.summary.coverage.iter().map(|cell| kept.fold(&cell.namespace)));
    rows.insert("");
    for namespace in rows {
        let scopes =
            if namespace.is_empty() { [CoverageScope::Cluster, CoverageScope::Volume] } else { [CoverageScope::Namespaced, CoverageScope::Volume] };
        for scope in scopes {
            cells.insert((namespace, scope), CELLS.iter().map(|cell| (*cell, 0)).collect());
        }
    }
    for cell in &report.summary.coverage {
        let row = cells.entry((kept.fold(&cell.namespace), cell.scope)).or_default();
        *row.entry((cell.in_git, cell.in_cluster, cell.in_backup)).or_default() += cell.objects;
    }
    for ((namespace, scope), row) in &cells {
        let scope = match scope {
            CoverageScope::Cluster => "cluster",
            CoverageScope::Namespaced => "namespaced",
            CoverageScope::Volume => "volume",
        };
        for ((git, cluster, backup), count) in row {
            sheet.put(&table::COVERAGE, &[namespace, scope, truth(*git), truth(*cluster), truth(*backup)], *count as f64);
        }
    }
    let starts: BTreeMap<&str, Timestamp> = report.backups.iter().filter(|b| b.state.usable()).filter_map(|b| Some((&*b.name, b.start?))).collect();
    let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for object in report.objects.iter().filter(|object| object.sides.backup == Presence::Present) {
        let start = object.backup.as_deref().and_then(|name| starts.get(name));
        if let (Some(namespace), Some(start)) = (object.id.namespace.as_deref(), start) {
            let known = newest.entry(namespace).or_insert(*start);
            *known = (*known).max(*start);
        }
    }
    let mut folded: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (namespace, start) in newest {
        let known = folded.entry(kept.fold(namespace)).or_insert(start);
        *known = (*known).min(start);
    }
    for (namespace, start) in folded {
        sheet.time(&table::NAMESPACE_BACKUP, &[namespace], Some(start));
    }
}
