//! Collector and counters held against the table, and every cap. pure

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::SignedDuration;
use prometheus::proto::MetricType;

use super::*;
use crate::{
    config::{AppName, SourceName},
    daemon::board::Stage,
    http::sample,
    metrics::{Exposition, Verb, table::Kind},
    report::model::{
        BackupReport, CoverageCell, CoverageScope, Drift, ProofOf, ProofReport, Recovery, ScheduleReport, ScheduleState, Side, UnknownCount,
        VolumeReport, WindowScope, WindowState,
    },
    witness::Failure,
};

const LIMITS: config::Metrics = config::Metrics { max_object_series: 500, max_namespaces: 200, max_schedules: 100 };

fn worked() -> Arc<Counters> {
    let counters = Arc::new(Counters::new().unwrap());
    counters.config_loaded(true, sample::now());
    counters.absorb(&sample::report());
    counters.phase(Phase::Compare, Duration::from_millis(20), None);
    counters.kube_requests(Verb::List, Some(403), 1);
    counters.kube_requests(Verb::Other, None, 1);
    counters.http("metrics", 200, Duration::from_millis(2));
    counters
}

fn board() -> StageBoard {
    let board = StageBoard::new();
    for stage in [Stage::Git(SourceName("fleet".into())), Stage::Render(AppName("shop".into())), Stage::Cluster, Stage::Backups, Stage::Verdict] {
        board.finished(&stage, sample::now(), Ok(()));
    }
    board
}

fn exposition(report: Option<Report>, limits: config::Metrics, counters: Arc<Counters>, board: StageBoard) -> Exposition {
    let report = report.map(Arc::new);
    let build = BuildInfo { version: "0.1.0".into(), revision: "abc".into(), rustc: "1.95.0".into() };
    Exposition::new(build, counters, board, Arc::new(move || Snapshot { report: report.clone(), limits })).unwrap()
}

/// Series by `name{label="value",...}`.
fn series(report: Report, limits: config::Metrics) -> BTreeMap<String, f64> {
    let text = exposition(Some(report), limits, worked(), board()).text().unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn count(series: &BTreeMap<String, f64>, prefix: &str) -> usize {
    series.keys().filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn every_family_is_in_the_table_with_its_labels_and_every_one_of_the_table_is_emitted() {
    let gathered = exposition(Some(sample::report()), LIMITS, worked(), board()).gather();
    let mut emitted = BTreeSet::new();
    for family in &gathered {
        let known = TABLE.iter().find(|f| f.name == family.name()).unwrap_or_else(|| panic!("{} is not in the table", family.name()));
        emitted.insert(known.name);
        if known.origin != Origin::Process {
            assert_eq!(family.help(), known.help());
        }
        let kind = match known.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Histogram => MetricType::HISTOGRAM,
            Kind::Gauge | Kind::Info | Kind::StateSet => MetricType::GAUGE,
        };
        assert_eq!(family.get_field_type(), kind, "{}", known.name);
        let wanted: BTreeSet<&str> = known.labels.iter().copied().collect();
        for metric in family.get_metric() {
            let labels: BTreeSet<&str> = metric.get_label().iter().map(|l| l.name()).collect();
            assert_eq!(labels, wanted, "{}", known.name);
        }
    }
    for family in TABLE {
        assert!(emitted.contains(family.name), "{} is never emitted", family.name);
    }
}

#[test]
fn counts_known_in_advance_are_there_with_zero_and_moments_that_do_not_exist_are_not() {
    let series = series(sample::clean(), LIMITS);
    assert_eq!(series["snapgap_drift_objects{app=\"shop\",drift=\"changed\"}"], 0.0);
    assert_eq!(series["snapgap_recovery_objects{layer=\"cluster\",recovery=\"lost\"}"], 0.0);
    assert_eq!(series["snapgap_unknown_objects{reason=\"other\",side=\"git\"}"], 0.0);
    assert_eq!(count(&series, "snapgap_recovery_objects"), 27);
    assert_eq!(count(&series, "snapgap_split_brain_start_timestamp_seconds"), 0);
    assert_eq!(count(&series, "snapgap_object_drift_start_timestamp_seconds"), 0);
    assert!(series.iter().filter(|(name, _)| name.contains("_timestamp_seconds")).all(|(_, at)| *at > 1e9), "no moment is 0");
    let empty = exposition(None, LIMITS, Arc::new(Counters::new().unwrap()), StageBoard::new()).text().unwrap();
    assert!(empty.contains("snapgap_build_info{") && !empty.contains("_timestamp_seconds") && !empty.contains("snapgap_config_last"));
}

#[test]
fn a_state_set_has_exactly_one_state_and_unknown_is_one_of_them() {
    let series = series(sample::report(), LIMITS);
    for (app, state) in [("billing", "unknown"), ("shop", "open"), ("monitoring", "closed"), (sample::SCRIPT, "none")] {
        let states = WindowState::ALL.map(|s| series[&format!("snapgap_split_brain_state{{app=\"{app}\",state=\"{}\"}}", s.name())]);
        assert_eq!(states.iter().sum::<f64>(), 1.0, "{app}");
        assert_eq!(series[&format!("snapgap_split_brain_state{{app=\"{app}\",state=\"{state}\"}}")], 1.0);
    }
    // The latest possible start: an alert never overstates.
    let start = series["snapgap_split_brain_start_timestamp_seconds{app=\"shop\"}"];
    assert_eq!(start, (sample::now() - SignedDuration::from_mins(192)).as_second() as f64);
}

#[test]
fn sums_over_all_series_are_right() {
    let report = sample::report();
    let series = series(report.clone(), LIMITS);
    let sum = |prefix: &str| series.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<f64>() as u64;
    assert_eq!(sum("snapgap_recovery_objects"), report.summary.objects);
    assert_eq!(sum("snapgap_coverage_objects"), report.summary.coverage.iter().map(|c| c.objects).sum::<u64>());
    let drifted: u64 = table::DRIFTS.iter().map(|d| report.summary.drift[d]).sum();
    assert_eq!(sum("snapgap_drift_objects"), drifted);
    assert_eq!(sum("snapgap_backups{"), report.backups.len() as u64);
    assert_eq!(series["snapgap_backups_rejected{reason=\"unreadable\",schedule=\"weekly\"}"], 1.0);
    assert_eq!(series["snapgap_backups_rejected{reason=\"location\",schedule=\"hourly\"}"], 1.0);
    assert_eq!(series["snapgap_backups_rejected{reason=\"phase\",schedule=\"daily\"}"], 0.0, "older than the newest usable one");
}

#[test]
fn object_series_are_capped_oldest_first_and_the_rest_is_counted() {
    let cap = |max_object_series| config::Metrics { max_object_series, ..LIMITS };
    let all = series(sample::report(), LIMITS);
    assert_eq!(count(&all, "snapgap_object_drift_start_timestamp_seconds"), 5);
    let two = series(sample::report(), cap(2));
    let kept: Vec<_> = two.keys().filter(|name| name.starts_with("snapgap_object_drift")).collect();
    assert!(kept.len() == 2 && kept.iter().any(|n| n.contains("cart-legacy")) && kept.iter().any(|n| n.contains("ledger-api")), "{kept:?}");
    let dropped: f64 = two.iter().filter(|(name, _)| name.starts_with("snapgap_object_series_dropped")).map(|(_, n)| n).sum();
    assert_eq!(dropped, 3.0);
    assert_eq!(count(&series(sample::report(), cap(0)), "snapgap_object_drift"), 0);
    let mut late = sample::report();
    late.objects.iter_mut().for_each(|o| o.drift_since = None);
    let late = series(late, LIMITS);
    assert_eq!((count(&late, "snapgap_object_drift"), late["snapgap_object_series_dropped{app=\"ledger\"}"]), (0, 2.0));
}

#[test]
fn namespaces_beyond_the_cap_fold_into_one_and_no_object_is_lost() {
    let mut report = sample::report();
    report.summary.coverage = (0..50u64)
        .map(|n| CoverageCell {
            namespace: format!("ns-{n:02}").into(),
            scope: CoverageScope::Namespaced,
            in_git: true,
            in_cluster: true,
            in_backup: false,
            objects: n + 1,
        })
        .collect();
    let series = series(report, config::Metrics { max_namespaces: 3, ..LIMITS });
    let names: BTreeSet<_> = series
        .keys()
        .filter(|n| n.starts_with("snapgap_coverage"))
        .filter_map(|n| n.split("resource_namespace=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(names, BTreeSet::from(["", "__other__", "ns-47", "ns-48", "ns-49"]));
    let cell = |ns: &str| {
        series[&format!(
            "snapgap_coverage_objects{{in_backup=\"false\",in_cluster=\"true\",in_git=\"true\",resource_namespace=\"{ns}\",scope=\"namespaced\"}}"
        )]
    };
    assert_eq!((cell("ns-49"), cell("__other__")), (50.0, (1..=47).sum::<u64>() as f64));
    let of_backups = series.keys().filter(|n| n.starts_with("snapgap_namespace_last_valid")).count();
    assert_eq!(of_backups, 1, "all folded into __other__");
}

#[test]
fn claims_are_counted_by_who_keeps_them_and_those_that_nobody_keeps_are_named_up_to_the_cap() {
    let all = series(sample::report(), LIMITS);
    let count_of = |state: &str| all[&format!("snapgap_volume_claims{{resource_namespace=\"shop\",state=\"{state}\"}}")];
    assert_eq!((count_of("present"), count_of("absent"), count_of("unknown")), (1.0, 1.0, 0.0));
    assert_eq!(all["snapgap_volume_claim_unprotected{reason=\"not_opted_in\",resource_name=\"uploads\",resource_namespace=\"shop\"}"], 1.0);
    assert_eq!(count(&series(sample::report(), config::Metrics { max_object_series: 0, ..LIMITS }), "snapgap_volume_claim_unprotected"), 0);
    assert_eq!(all["snapgap_proven_namespaces{layer=\"apps\",proven=\"false\"}"], 1.0);
    assert_eq!(count(&all, "snapgap_layer_proven_restore_timestamp_seconds"), 1, "a layer of which a part was never proven has no age");
    let none = series(sample::clean(), LIMITS);
    assert_eq!(none["snapgap_volume_claims{resource_namespace=\"\",state=\"absent\"}"], 0.0);
    assert_eq!(count(&none, "snapgap_volume_claim_unprotected"), 0);
}

#[test]
fn the_age_of_the_bytes_that_backups_have_is_told_claim_by_claim_oldest_first() {
    let mut report = sample::report();
    let claim = report.volumes[0].clone();
    let of = |name: &str, reason: &str, hours: Option<i64>| VolumeReport {
        name: name.into(),
        reason: reason.into(),
        backup: hours.map(|_| "b".into()),
        at: hours.map(|h| sample::now() - SignedDuration::from_hours(h)),
        ..claim.clone()
    };
    report.volumes =
        vec![of("a", "kept", Some(1)), of("b", "kept_in_older", Some(50)), of("c", "snapshot_in_cluster", Some(2)), of("d", "failed", None)];
    let told = |max_object_series| -> BTreeMap<String, f64> {
        let all = series(report.clone(), config::Metrics { max_object_series, ..LIMITS });
        all.into_iter().filter(|(name, _)| name.starts_with("snapgap_volume_claim_bytes_timestamp_seconds")).collect()
    };
    let name = |name: &str, reason: &str| {
        format!("snapgap_volume_claim_bytes_timestamp_seconds{{reason=\"{reason}\",resource_name=\"{name}\",resource_namespace=\"shop\"}}")
    };
    let at = |hours: i64| (sample::now().as_second() - hours * 3600) as f64;
    let all = [(name("a", "kept"), at(1)), (name("b", "kept_in_older"), at(50)), (name("c", "snapshot_in_cluster"), at(2))];
    assert_eq!(told(10), all.into());
    assert_eq!(told(1), [(name("b", "kept_in_older"), at(50))].into());
}

#[test]
fn a_location_that_velero_has_not_looked_at_for_long_is_not_called_available() {
    let mut report = sample::report();
    let name = "snapgap_backup_storage_location_available{storage_location=\"default\"}";
    assert_eq!(series(report.clone(), LIMITS)[name], 1.0);
    report.locations.iter_mut().for_each(|l| l.stale = true);
    assert_eq!(count(&series(report, LIMITS), "snapgap_backup_storage_location_available"), 0);
}

#[test]
fn claims_and_proofs_fold_the_namespaces_that_all_other_families_fold() {
    let mut report = sample::report();
    let cell = |name: &str, objects| CoverageCell {
        namespace: name.into(),
        scope: CoverageScope::Namespaced,
        in_git: true,
        in_cluster: true,
        in_backup: false,
        objects,
    };
    // What comes first by name has fewest objects.
    report.summary.coverage = vec![cell("aaa", 1), cell("bbb", 2), cell("zzz", 9)];
    let claim = report.volumes[0].clone();
    report.volumes = ["aaa", "bbb", "zzz"].map(|n| VolumeReport { namespace: n.into(), ..claim.clone() }).to_vec();
    let proof = |name: &str, hours: Option<i64>| ProofReport {
        of: ProofOf::Namespace(name.into()),
        at: hours.map(|h| sample::now() - SignedDuration::from_hours(h)),
        restore: None,
        backup: None,
        with_bytes_at: None,
        remembered: false,
        with_bytes: 1,
        proven: 1,
        namespaces: 1,
    };
    report.proofs = vec![proof("aaa", Some(1)), proof("bbb", Some(5)), proof("zzz", Some(2))];
    let limits = config::Metrics { max_namespaces: 1, ..LIMITS };
    let of = |report: &Report, family: &str| -> BTreeMap<String, f64> {
        let all = series(report.clone(), limits).into_iter().filter(|(name, n)| name.starts_with(family) && *n > 0.0);
        all.filter_map(|(name, n)| Some((name.split("resource_namespace=\"").nth(1)?.split('"').next()?.to_owned(), n))).collect()
    };
    let names = |n: f64, m: f64| BTreeMap::from([("__other__".to_owned(), n), ("zzz".to_owned(), m)]);
    assert_eq!(of(&report, "snapgap_volume_claims"), names(2.0, 1.0));
    let at = |hours: i64| (sample::now().as_second() - hours * 3600) as f64;
    let proven = "snapgap_namespace_proven_restore";
    assert_eq!(of(&report, proven), names(at(5), at(2)), "of the folded ones the oldest proof");
    report.proofs[0].at = None;
    assert_eq!(of(&report, proven).into_keys().collect::<Vec<_>>(), ["zzz"], "one that was never proven leaves the folded ones without a proof");
}

#[test]
fn schedules_beyond_the_cap_fold_into_one_that_overstates_nothing() {
    let report = sample::report();
    let all = series(report.clone(), LIMITS);
    assert_eq!(count(&all, "snapgap_backup_schedule_info"), 5);
    assert!(!all.keys().any(|name| name.contains("__other__")));
    let two = series(report.clone(), config::Metrics { max_schedules: 2, ..LIMITS });
    let names = |series: &BTreeMap<String, f64>, family: &str| -> Vec<String> {
        let own = series.keys().filter(|name| name.starts_with(family));
        own.filter_map(|name| Some(name.split("schedule=\"").nth(1)?.split('"').next()?.to_owned())).collect::<BTreeSet<_>>().into_iter().collect()
    };
    // `typo` is refused and `weekly` overdue; `hourly` is paused; `daily` and `monthly` are on time.
    assert_eq!(names(&two, "snapgap_backup_schedule_paused"), ["__other__", "typo", "weekly"]);
    assert_eq!(names(&two, "snapgap_backups{"), ["", "__other__", "typo", "weekly"]);
    assert_eq!(names(&series(report.clone(), config::Metrics { max_schedules: 3, ..LIMITS }), "snapgap_backup_schedule_paused")[1], "hourly");
    let folded = |family: &str| two.get(&format!("snapgap_backup_{family}{{schedule=\"__other__\"}}")).copied();
    let own = |family: &str, name: &str| all.get(&format!("snapgap_backup_{family}{{schedule=\"{name}\"}}")).copied();
    assert_eq!(folded("schedule_paused"), Some(0.0), "one that is paused silences no other");
    assert_eq!(folded("schedule_interval_seconds"), own("schedule_interval_seconds", "monthly"));
    assert_eq!(folded("schedule_next_due_timestamp_seconds"), own("schedule_next_due_timestamp_seconds", "daily"));
    assert_eq!(folded("schedule_left_out_objects"), Some(3.0));
    assert_eq!(folded("last_valid_start_timestamp_seconds"), own("last_valid_start_timestamp_seconds", "daily"));
    assert_eq!((folded("last_valid_expiration_timestamp_seconds"), folded("newest_valid_objects")), (None, None));
    assert_eq!(two["snapgap_backup_schedule_info{cron=\"\",schedule=\"__other__\",storage_location=\"\"}"], 1.0);
    let sum = |series: &BTreeMap<String, f64>, family: &str| series.iter().filter(|(n, _)| n.starts_with(family)).map(|(_, n)| n).sum::<f64>();
    for family in ["snapgap_backups{", "snapgap_backups_rejected", "snapgap_backup_disagreeing_objects"] {
        assert_eq!(sum(&two, family), sum(&all, family), "{family}: no backup is lost");
    }
    let mut paused = report;
    paused.schedules.iter_mut().for_each(|s| (s.paused, s.state) = (true, ScheduleState::Paused));
    let paused = series(paused, config::Metrics { max_schedules: 0, ..LIMITS });
    assert_eq!(paused["snapgap_backup_schedule_paused{schedule=\"__other__\"}"], 1.0);
}

#[test]
fn of_folded_schedules_the_one_whose_newest_backup_is_oldest_speaks() {
    let mut report = sample::report();
    let daily = report.schedules[0].clone();
    report.schedules = ["a", "b", "c"].map(|name| ScheduleReport { name: name.into(), ..daily.clone() }).to_vec();
    report.schedules[2].paused = true;
    let usable = report.backups.iter().find(|b| b.state.usable()).unwrap().clone();
    let backup = |schedule: &str, hours: i64| BackupReport {
        name: format!("{schedule}-{hours}").into(),
        schedule: Some(schedule.into()),
        start: Some(sample::now() - SignedDuration::from_hours(hours)),
        ..usable.clone()
    };
    report.backups = vec![backup("a", 1), backup("a", 30), backup("b", 6), backup("b", 20), backup("c", 90)];
    let series = series(report, config::Metrics { max_schedules: 0, ..LIMITS });
    let at = series["snapgap_backup_last_valid_start_timestamp_seconds{schedule=\"__other__\"}"];
    assert_eq!((sample::now().as_second() as f64 - at) / 3600.0, 6.0);
}

#[test]
fn reasons_of_unknown_objects_are_capped() {
    let mut report = sample::report();
    report.summary.unknown = (0..100).map(|n| UnknownCount { side: Side::Git, reason: format!("r{n}").into(), objects: 1 }).collect();
    let series = series(report, LIMITS);
    assert_eq!(count(&series, "snapgap_unknown_objects{"), objects::MAX_UNKNOWN_REASONS + 1 + 2);
    assert_eq!(series["snapgap_unknown_objects{reason=\"other\",side=\"git\"}"], 68.0);
}

#[test]
fn what_is_gone_from_the_report_is_gone_from_the_metrics() {
    let counters = worked();
    let text = |report: Report| exposition(Some(report), LIMITS, counters.clone(), board()).text().unwrap();
    counters.render(&AppName("billing".into()), Some("kustomize_failed"));
    counters.fetch(&SourceName("ledger".into()), Some("auth_refused"));
    let before = text(sample::report());
    assert!(before.contains("snapgap_render_failures_total{app=\"billing\",reason=\"kustomize\"} 1"));
    assert!(before.contains("snapgap_git_fetch_failures_total{reason=\"auth\",source=\"ledger\"} 1"));
    let mut report = sample::report();
    report.apps.retain(|a| &*a.name.0 != "billing");
    report.windows.retain(|w| w.of != WindowScope::App(AppName("billing".into())));
    report.objects.retain(|o| o.app != Some(AppName("billing".into())));
    report.sources.retain(|s| &*s.name.0 != "ledger");
    report.schedules.retain(|s| &*s.name != "hourly");
    report.locations.retain(|l| &*l.name != "offsite");
    counters.absorb(&report);
    let after = text(report);
    for gone in ["app=\"billing\"", "source=\"ledger\"} ", "schedule=\"hourly\"", "storage_location=\"offsite\""] {
        let left: Vec<_> = after.lines().filter(|line| line.contains(gone) && !line.starts_with("snapgap_app_info")).collect();
        assert!(before.contains(gone) && left.is_empty(), "{left:?}");
    }
}

#[test]
fn drift_and_windows_are_counted_when_they_begin_and_end_under_our_eyes() {
    let counters = Arc::new(Counters::new().unwrap());
    let mut report = sample::report();
    let value = |name: &str| {
        let text = exposition(None, LIMITS, counters.clone(), StageBoard::new()).text().unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name}"))
    };
    let detected = "snapgap_drift_detected_total{app=\"shop\",drift=\"changed\"}";
    let resolved = "snapgap_drift_resolved_total{app=\"shop\",drift=\"changed\"}";
    counters.absorb(&report);
    assert_eq!((value(detected), value(resolved)), (0.0, 0.0), "the first report begins nothing");
    let flags = report.objects.iter().position(|o| &*o.id.name == "cart-flags").unwrap();
    report.objects[flags].drift = Drift::Unknown;
    counters.absorb(&report);
    assert_eq!(value(resolved), 0.0, "unknown is not resolved");
    report.objects[flags].drift = Drift::Changed;
    counters.absorb(&report);
    assert_eq!(value(detected), 0.0, "back from unknown is not new");
    report.objects[flags].drift = Drift::InSync;
    report.objects[flags].recovery = Recovery::Either;
    counters.absorb(&report);
    assert_eq!((value(detected), value(resolved)), (0.0, 1.0));
    report.objects[flags].drift = Drift::Changed;
    counters.absorb(&report);
    assert_eq!((value(detected), value(resolved)), (1.0, 1.0));
    let shop = report.windows.iter().position(|w| w.of == WindowScope::App(AppName("shop".into()))).unwrap();
    report.windows[shop].state = WindowState::Unknown;
    counters.absorb(&report);
    assert_eq!(value("snapgap_split_brain_window_seconds_count"), 0.0);
    report.windows[shop].state = WindowState::Closed;
    report.windows[shop].start = None;
    counters.absorb(&report);
    assert_eq!((value("snapgap_split_brain_window_seconds_count"), value("snapgap_split_brain_window_seconds_sum")), (1.0, 192.0 * 60.0));
}

#[test]
fn an_app_holds_no_longer_than_its_oldest_witness() {
    let mut report = sample::report();
    let at = |report: &Report, app: &str| {
        let name = format!("snapgap_app_last_evaluation_success_timestamp_seconds{{app=\"{app}\"}}");
        series(report.clone(), LIMITS).get(&name).map(|at| (sample::now().as_second() as f64 - at) / 60.0)
    };
    assert_eq!((at(&report, "shop"), at(&report, "ledger"), at(&report, "billing")), (Some(2.0), Some(95.0), Some(3000.0)));
    report.as_of.cluster.at = None;
    assert_eq!(at(&report, "shop"), None);
}

#[test]
fn phases_say_how_long_the_slowest_stage_waits_and_how_many_fail() {
    let board = board();
    let text = |board: &StageBoard| exposition(None, LIMITS, worked(), board.clone()).text().unwrap();
    assert!(text(&board).contains("snapgap_phase_failing{phase=\"fetch\"} 0"));
    board.finished(&Stage::Git(SourceName("ledger".into())), sample::now(), Err(Failure::new("auth", "refused")));
    let after = text(&board);
    assert!(after.contains("snapgap_phase_failing{phase=\"fetch\"} 1"));
    assert!(!after.contains("snapgap_phase_last_success_timestamp_seconds{phase=\"fetch\"}"), "one of them never succeeded");
}
