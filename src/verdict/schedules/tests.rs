//! What is said of a schedule, case by case. Real ones fire in `tests/it/velero_life.rs`. pure

use std::time::Duration;

use serde_json::json;

use crate::{
    report::model::{Recovery, ScheduleReport, ScheduleState as S},
    velero::Scope,
    verdict::world::{Snapshot, World, at, scope_of},
    witness::{BackupState, Schedule},
};

/// A schedule that runs each full hour and ran at eleven, at noon and five minutes.
fn hourly(change: impl FnOnce(&mut Schedule), backups: Vec<Snapshot>) -> ScheduleReport {
    let mut world = World::new().schedule("hourly", Some("13:00"));
    world.now = at("12:05");
    let schedule = &mut world.backed_up.schedules[0];
    schedule.cron = "0 * * * *".into();
    schedule.interval = Some(Duration::from_secs(3600));
    schedule.counts_from = at("12:00");
    schedule.last_backup = Some(at("12:00"));
    change(schedule);
    let world = backups.into_iter().fold(world, World::backup);
    world.judge().schedules.remove(0)
}

fn run(clock: &str, state: BackupState) -> Snapshot {
    Snapshot::new(&format!("hourly-{clock}"), clock).of("hourly").state(state)
}

#[test]
fn how_long_backups_are_kept_is_not_told_by_those_of_another_cluster() {
    let kept = |hours: i64| move |b: &mut crate::witness::Backup| b.expires = b.start.map(|s| s + jiff::SignedDuration::from_hours(hours));
    let runs = vec![run("11:00", BackupState::Restorable).with(kept(720)), run("12:00", BackupState::Foreign).with(kept(1))];
    let said = hourly(|s| s.interval = Some(Duration::from_secs(2 * 3600)), runs);
    assert_eq!((said.ttl_seconds, said.retention_gap_seconds), (Some(720 * 3600), 0));
    assert_eq!((said.backups[&BackupState::Foreign], said.backups[&BackupState::Restorable]), (1, 1), "they are counted");
}

#[test]
fn each_case_has_its_state_and_its_sentence() {
    use BackupState::{Degraded, Expired, Foreign, Invalid, Pending, Restorable, Stuck};
    let never = |s: &mut Schedule| s.last_backup = None;
    let late = |from: &str, due: &str| {
        let (from, due) = (at(from), at(due));
        move |s: &mut Schedule| (s.counts_from, s.last_backup, s.next_due) = (from, Some(from), Some(due))
    };
    let refused_late = |s: &mut Schedule| {
        late("08:00", "09:00")(s);
        s.problem = Some("no such location".into());
    };
    let paused = |s: &mut Schedule| (s.paused, s.next_due) = (true, None);
    let unasked = |clock: &str| run(clock, Invalid).with(|b| b.start = None);
    let rows: Vec<(&str, ScheduleReport, S, u64, u64, &str)> = vec![
        ("all is well", hourly(|_| {}, vec![run("12:00", Restorable)]), S::OnTime, 0, 0, "the next run is due in 55 min"),
        ("it ended with errors", hourly(|_| {}, vec![run("12:00", Degraded)]), S::OnTime, 0, 0, "its newest run ended as PartiallyFailed; the next"),
        ("it runs for the first time", hourly(|_| {}, vec![run("12:00", Pending)]), S::OnTime, 0, 0, "the next run is due"),
        ("it never ran", hourly(never, vec![]), S::Waiting, 0, 0, "it never ran yet; the next run is due in 55 min"),
        (
            "it never ran and should have",
            hourly(|s| (s.counts_from, s.next_due, s.last_backup) = (at("08:30"), Some(at("09:00")), None), vec![]),
            S::NeverRan,
            4,
            0,
            "it never ran, and its first run was due 3 h 5 min ago, 4 runs are overdue: does Velero run?",
        ),
        (
            "it is a minute late",
            hourly(late("11:00", "12:00"), vec![run("11:00", Restorable)]),
            S::Overdue,
            1,
            0,
            "its next run was due 5 min ago, 1 run is overdue",
        ),
        (
            "the one before is not done",
            hourly(late("10:00", "11:00"), vec![run("10:00", Pending).with(|b| b.phase = "InProgress".into())]),
            S::Overdue,
            2,
            0,
            "its next run was due 1 h 5 min ago, 2 runs are overdue: Velero makes none while backup hourly-10:00 is InProgress",
        ),
        ("it is refused, so nothing is overdue", hourly(refused_late, vec![]), S::Refused, 0, 0, "no such location"),
        (
            "it failed",
            hourly(|_| {}, vec![run("11:00", Restorable), run("12:00", Invalid)]),
            S::Failing,
            0,
            1,
            "its newest run left no usable backup: completed;",
        ),
        (
            "it failed thrice, once before it began",
            hourly(|_| {}, vec![run("09:00", Restorable), run("10:00", Stuck), unasked("11:00"), run("12:00", Invalid)]),
            S::Failing,
            0,
            3,
            "its newest 3 runs left no usable backup",
        ),
        (
            "it failed, and another cluster's of the same name did not",
            hourly(|_| {}, vec![run("09:00", Restorable), run("10:00", Invalid), run("11:00", Invalid), run("12:00", Foreign)]),
            S::Failing,
            0,
            2,
            "its newest 2 runs left no usable backup",
        ),
        ("only another cluster ran one", hourly(never, vec![run("12:00", Foreign)]), S::Waiting, 0, 0, "it never ran yet"),
        (
            "it waits in the queue",
            hourly(|_| {}, vec![run("11:00", Restorable), run("12:00", Pending).with(|b| b.phase = "Queued".into())]),
            S::OnTime,
            0,
            0,
            "the next run is due",
        ),
        ("it failed before", hourly(|_| {}, vec![run("11:00", Invalid), run("12:00", Restorable)]), S::OnTime, 0, 0, "the next"),
        ("its backups expired", hourly(|_| {}, vec![run("12:00", Expired)]), S::NoUsableBackup, 0, 0, "none of its backups is usable"),
        ("its backups were deleted", hourly(|_| {}, vec![]), S::NoUsableBackup, 0, 0, "none of its backups is usable"),
        (
            "it is paused",
            hourly(paused, vec![run("12:00", Restorable)]),
            S::Paused,
            0,
            0,
            "it is paused, so nothing is due; when it is resumed, it waits for its",
        ),
        (
            "it is paused for long",
            hourly(|s| (s.paused, s.next_due, s.counts_from) = (true, None, at("08:00")), vec![run("08:00", Restorable)]),
            S::Paused,
            0,
            0,
            "it is paused, so nothing is due; when it is resumed, it runs at once, unless",
        ),
        (
            "it is paused and to skip",
            hourly(|s| (s.paused, s.next_due, s.counts_from, s.skip_immediately) = (true, None, at("08:00"), Some(true)), vec![]),
            S::Paused,
            0,
            0,
            "it is paused, so nothing is due; when it is resumed, it waits for its next time, since skipImmediately",
        ),
    ];
    for (about, said, state, overdue, failed, why) in rows {
        assert_eq!((said.state, said.overdue_runs, said.failed_runs), (state, overdue, failed), "{about}: {}", said.why);
        assert!(said.why.starts_with(why), "{about}: {}", said.why);
    }
}

#[test]
fn a_run_may_be_two_minutes_late() {
    for (clock, overdue) in [("12:01", 0), ("12:02", 1), ("12:03", 1)] {
        let mut world = World::new().schedule("hourly", Some("12:00")).backup(run("11:00", BackupState::Restorable));
        world.now = at(clock);
        (world.backed_up.schedules[0].cron, world.backed_up.schedules[0].counts_from) = ("0 * * * *".into(), at("11:00"));
        assert_eq!(world.judge().schedules[0].overdue_runs, overdue, "{clock}");
    }
}

#[test]
fn backups_that_expire_before_the_next_one_leave_a_gap() {
    let kept = |minutes: u64| move |s: &mut Schedule| s.ttl = Some(Duration::from_secs(minutes * 60));
    for (about, said, ttl, gap) in [
        ("nobody says", hourly(|_| {}, vec![]), None, 0),
        ("the template says enough", hourly(kept(90), vec![]), Some(5400), 0),
        ("the template says too little", hourly(kept(45), vec![]), Some(2700), 900),
        (
            "the newest backup has the word",
            hourly(kept(45), vec![run("12:00", BackupState::Restorable).with(|b| b.expires = Some(at("14:00")))]),
            Some(7200),
            0,
        ),
    ] {
        assert_eq!((said.ttl_seconds, said.retention_gap_seconds), (ttl, gap), "{about}");
    }
}

#[test]
fn schedules_that_take_the_same_name_each_other() {
    let map = |namespace: &str| World::config_map(namespace, "a", "1");
    let mut world = World::new().runs(vec![map("shop"), map("pay")]);
    for name in ["all", "shop", "twin", "paused", "nothing"] {
        world = world.schedule(name, Some("13:00"));
    }
    for (n, namespaces) in [(1, vec!["shop"]), (2, vec!["shop"]), (4, vec!["gone"])] {
        world.backed_up.schedules[n].scope = scope_of(&namespaces, &[]).into();
    }
    world.backed_up.schedules[3].paused = true;
    let said = world.judge().schedules;
    let covered = |name: &str| said.iter().find(|s| &*s.name == name).expect("there").covered_by.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(covered("shop"), ["all", "twin"]);
    assert_eq!(covered("twin"), ["all", "shop"]);
    assert_eq!(covered("paused"), ["all"]);
    assert!(covered("all").is_empty() && covered("nothing").is_empty());
}

#[test]
fn what_looks_like_everything_and_is_not_is_told_with_the_line_that_heals_it() {
    let of = |kind: &str, name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}});
    let role = "system:basic-user";
    let bootstrap = |kind: &str| {
        let mut object = of(kind, role);
        object["metadata"]["labels"] = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        object
    };
    let live =
        vec![of("ClusterRole", "mine"), bootstrap("ClusterRole"), bootstrap("ClusterRoleBinding"), account, World::config_map("shop", "a", "1")];
    let mut world = World::new().runs(live).schedule("nightly", Some("13:00"));
    let set = |world: &mut World, template: serde_json::Value| world.backed_up.schedules[0].scope = Scope::of_template(&template, &[]).into();
    set(&mut world, json!({}));
    assert_eq!(world.verdict("ClusterRole", "mine").recovery, Recovery::Lost);
    let report = world.judge();
    let left = report.schedules[0].left_out.clone().expect("told");
    assert_eq!((left.unfiltered, left.objects, left.own, left.lost), (true, 3, 1, 1), "{left:?}");
    assert_eq!(
        (&*left.heal, &left.names[..]),
        ("includedClusterScopedResources: [\"*\"]", &["ClusterRole.rbac.authorization.k8s.io mine".to_owned()][..])
    );
    let text = crate::report::table::render(&report, &crate::report::table::Options { all: true, ..Default::default() });
    assert!(text.contains("One line in its template heals it: includedClusterScopedResources: [\"*\"]"), "{text}");
    for template in [json!({"includedClusterScopedResources": ["*"]}), json!({"includeClusterResources": true})] {
        set(&mut world, template);
        assert_eq!(world.judge().schedules[0].left_out, None, "healed");
    }
    // One that names namespaces leaves cluster scope out as asked: counted, and no row.
    set(&mut world, json!({"includedNamespaces": ["shop"]}));
    let report = world.judge();
    assert!(report.schedules[0].left_out.as_ref().is_some_and(|l| !l.unfiltered) && crate::report::groups::backups::unfiltered(&report).is_empty());
    // A backup of the same sort says so itself.
    let effective = json!({"includedNamespaces": ["*"], "excludedClusterScopedResources": ["volumesnapshotcontents.snapshot.storage.k8s.io"],
        "excludedNamespaceScopedResources": ["volumesnapshots.snapshot.storage.k8s.io"]});
    let held = vec![World::config_map("shop", "a", "1")];
    let report = world.backup(Snapshot::new("once", "11:00").scope(Scope::of_backup(&effective, true)).holding(held)).judge();
    let backup = &report.backups[0];
    assert!(backup.why.contains("one line in the spec heals that") && backup.evidence.iter().any(|r| &*r.reason == "unfiltered"), "{backup:?}");
    assert_eq!(crate::report::groups::backups::unfiltered(&report).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Backup/once"]);
}
