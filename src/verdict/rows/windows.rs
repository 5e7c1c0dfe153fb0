//! Windows: stage, cause, start, roll-up. pure

use super::{cart, moved, replicas_by};
use serde_json::Value;

use crate::verdict::{
    Onsets,
    world::{Snapshot, World, app, at, commit, scope_of},
};
use crate::{
    config::Layer,
    report::model::{Basis, Cause, Recovery, Stage, WindowRollup, WindowScope, WindowState},
    witness::BackupState,
};

#[test]
fn windows_have_a_stage_a_cause_and_the_commits_since() {
    let older = &[(Some(3), "c3", "10:00"), (Some(2), "c2", "09:00"), (Some(1), "c1", "00:30")];
    let world = |live: u32, held: Value| {
        let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(live)]);
        world.backup(Snapshot::new("nightly", "01:00").holding(vec![held])).history("shop", cart(3), older).complete("shop")
    };
    let cause = |w: World| {
        let window = w.verdict("Deployment", "cart").window.expect("open");
        let commits: Vec<String> = window.commits.iter().map(|c| c.sha.to_string()).collect();
        (window.stage, window.cause, commits.join(","))
    };
    let holds = |sha: &str, clock: &str| Cause::Behind { holds: Some(commit(sha, clock)) };
    assert_eq!(cause(world(3, cart(2))), (Stage::Unsnapshotted, holds("c2", "09:00"), "c3".into()));
    assert_eq!(cause(world(2, cart(1))), (Stage::Pending, holds("c1", "00:30"), "c3,c2".into()));
    let by_hand = Cause::CapturedDrift { owner: Some("kubectl-edit".into()), time: Some(at("00:50")) };
    assert_eq!(cause(world(3, replicas_by(7, "kubectl-edit", "00:50"))), (Stage::Unsnapshotted, by_hand, "c3,c2".into()));
    // The replicas of an earlier commit, and an image that nobody ever committed.
    let mut both = cart(2);
    both["spec"]["template"]["spec"]["containers"][0]["image"] = "example/app:hotfix".into();
    assert_eq!(cause(world(3, both)), (Stage::Unsnapshotted, Cause::Mixed, "c3".into()));
    // Without a search that reaches the backup's time, nothing is said of what Git never declared.
    let short = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
    let short = short.backup(Snapshot::new("nightly", "01:00").holding(vec![cart(7)])).history("shop", cart(3), &older[..1]);
    assert_eq!(cause(short), (Stage::Unsnapshotted, Cause::Unknown, "c3".into()));
}

#[test]
fn an_object_that_landed_after_the_snapshot_is_behind_its_absence() {
    let world = |states: &[(Option<u32>, &str, &str)]| {
        let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
        let world = world.backup(Snapshot::new("nightly", "01:00")).history("shop", cart(3), states).complete("shop");
        world.verdict("Deployment", "cart").window.expect("open").cause
    };
    assert_eq!(world(&[(Some(3), "c3", "10:00"), (None, "c1", "00:10")]), Cause::Behind { holds: Some(commit("c1", "00:10")) });
    assert_eq!(world(&[(Some(3), "c3", "10:00")]), Cause::Behind { holds: None });
    assert_eq!(world(&[(Some(3), "c3", "00:30")]), Cause::Unknown, "Git had it before the backup, so Git does not explain the gap");
}

#[test]
fn a_change_and_its_revert_are_no_window() {
    let states = &[(Some(3), "revert", "11:00"), (Some(9), "change", "10:00"), (Some(3), "first", "00:30")];
    let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
    let world = world.backup(Snapshot::new("nightly", "01:00").holding(vec![cart(3)])).history("shop", cart(3), states).complete("shop");
    let said = world.verdict("Deployment", "cart");
    assert_eq!((said.recovery, said.window), (Recovery::Either, None));
}

#[test]
fn starts_are_intervals_with_their_basis_and_never_in_the_future() {
    let start = |world: World| {
        let start = world.verdict("Deployment", "cart").window.expect("open").start.expect("dated");
        (start.not_before, start.not_after, start.basis)
    };
    let behind = || moved(Some(3), Some(2));
    assert_eq!(start(behind()), (at("10:00"), at("10:00"), Basis::Commit));
    let seen = behind().tip(commit("c3f2a91c0", "10:00"), Some(("10:10", "10:15")));
    assert_eq!(start(seen), (at("10:10"), at("10:15"), Basis::Observed));
    let other_tip = behind().tip(commit("later", "11:00"), Some(("09:10", "09:15")));
    assert_eq!(start(other_tip), (at("09:15"), at("09:15"), Basis::Commit), "the ref had it at that poll, whatever its date says");
    let future = |world: World| world.history("shop", cart(3), &[(Some(3), "f", "23:00"), (Some(2), "c2", "00:30")]);
    assert_eq!(start(future(behind())), (at("12:00"), at("12:00"), Basis::Commit));
    let ahead = future(behind()).tip(commit("f", "23:00"), Some(("11:10", "23:30")));
    assert_eq!(start(ahead), (at("11:10"), at("12:00"), Basis::Observed));
    assert!(future(behind()).judge().notes.iter().any(|n| &*n.reason == "clock_skew"), "a date in the future is said");
    let undated = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]).backup(Snapshot::new("nightly", "01:00").holding(vec![cart(2)]));
    assert_eq!(undated.verdict("Deployment", "cart").window.expect("open").start, None);
}

#[test]
fn a_tip_that_an_earlier_run_saw_arrive_is_dated_by_it() {
    let mut onsets = Onsets::default();
    let seen = |sha: &str, clock: &str| {
        let mut world = moved(Some(3), Some(2)).tip(commit(sha, "08:00"), None).source_as_of(Some(clock));
        world.now = at(clock);
        world
    };
    for (sha, clock) in [("c2", "09:50"), ("c3f2a91c0", "09:55"), ("later", "11:50")] {
        onsets.advance(&seen(sha, clock).judge(), at(clock));
    }
    let mut world = seen("later", "12:00");
    world.onsets = onsets;
    let start = world.verdict("Deployment", "cart").window.expect("open").start.expect("dated");
    assert_eq!((start.not_before, start.not_after, start.basis), (at("09:50"), at("09:55"), Basis::Observed));
}

#[test]
fn a_window_closes_at_the_next_backup_that_covers_it() {
    let due = |world: World| world.verdict("Deployment", "cart").window.expect("open").closes_at;
    let behind = || moved(Some(3), Some(2)).schedule("nightly", Some("23:00")).schedule("hourly", Some("12:30"));
    assert_eq!(due(behind()), Some(at("12:30")));
    let mut paused = behind();
    paused.backed_up.schedules[1].paused = true;
    assert_eq!(due(paused), Some(at("23:00")));
    let mut elsewhere = behind();
    elsewhere.backed_up.schedules.iter_mut().for_each(|s| s.scope = scope_of(&["elsewhere"], &[]).into());
    assert_eq!(due(elsewhere), None);
}

fn rollup(world: &World, of: WindowScope) -> WindowRollup {
    world.judge().windows.into_iter().find(|w| w.of == of).expect("rolled up")
}

#[test]
fn rollups_are_open_before_unknown_before_closed() {
    let state = |w: &World| rollup(w, WindowScope::App(crate::config::AppName("shop".into()))).state;
    let both = |held: Vec<Value>| {
        let world = World::new().declares("shop", vec![cart(3), World::config_map("shop", "c", "v")]);
        world.runs(vec![cart(3), World::config_map("shop", "c", "v")]).backup(Snapshot::new("nightly", "01:00").holding(held))
    };
    let closed = both(vec![cart(3), World::config_map("shop", "c", "v")]);
    let open = both(vec![cart(2), World::config_map("shop", "c", "v")]);
    assert_eq!(state(&closed), WindowState::Closed);
    assert_eq!(state(&open), WindowState::Open);
    assert_eq!(state(&closed.clone().fails("shop", "render_failed")), WindowState::Unknown);
    assert_eq!(state(&closed.clone().backups_as_of(None)), WindowState::Unknown);
    let none = World::new().declares("shop", vec![cart(3)]);
    assert_eq!(state(&none), WindowState::None);
    assert_eq!(state(&none.backup(Snapshot::new("n", "01:00").state(BackupState::Expired))), WindowState::None);
    let never = World::new().app(app("shop", Some("shop"))).fails("shop", "render_failed").backup(Snapshot::new("n", "01:00"));
    assert_eq!(state(&never), WindowState::Unknown, "an app without a render may declare what no backup holds");
    let whole = |w: &World| rollup(w, WindowScope::Cluster).state;
    assert_eq!(whole(&World::new().backup(Snapshot::new("n", "01:00"))), WindowState::Unknown, "no app is known, so nothing can be said of any");
    assert_eq!(whole(&World::new().app(app("shop", Some("shop"))).complete("shop").backups_as_of(None)), WindowState::Unknown);
    // One window open for certain, one object unknown: open wins.
    let mixed = open.app(app("other", Some("elsewhere"))).fails("other", "render_failed");
    assert_eq!(rollup(&mixed, WindowScope::Cluster).state, WindowState::Open);
    assert_eq!(rollup(&mixed, WindowScope::Layer(Layer::Platform)).state, WindowState::Closed);
}

#[test]
fn rollups_count_and_are_held_against_their_objective() {
    let mut world = World::sample().schedule("nightly", Some("23:00"));
    let of_app = |w: &World| rollup(w, WindowScope::App(crate::config::AppName("shop".into())));
    let rolled = of_app(&world);
    assert_eq!((rolled.objects, rolled.unsnapshotted, rolled.pending, rolled.resurrected), (2, 2, 0, 0));
    assert_eq!(rolled.commits.iter().map(|c| &*c.sha).collect::<Vec<_>>(), ["c3"], "one commit brought both");
    assert_eq!(rolled.start.map(|s| s.not_after), Some(at("10:00")));
    assert_eq!((rolled.objective_seconds, rolled.over_objective, rolled.closes_at), (8 * 3600, false, Some(at("23:00"))));
    world.now = at("18:00");
    world = world.source_as_of(Some("18:00")).cluster_as_of(Some(at("18:00"))).backups_as_of(Some(at("18:00")));
    assert!(!of_app(&world).over_objective, "eight hours are allowed");
    world.now = at("18:01");
    assert!(of_app(&world).over_objective);
    let cluster = rollup(&world, WindowScope::Cluster);
    assert!(cluster.over_objective && cluster.objective_seconds == 8 * 3600, "{cluster:?}");
}

#[test]
fn what_git_removed_and_a_backup_holds_is_counted_apart() {
    let world = World::new().declares("shop", vec![]).removed("shop", cart(3), "dead0e", "10:00");
    let world = world.backup(Snapshot::new("nightly", "01:00").holding(vec![cart(3)]));
    let said = world.verdict("Deployment", "cart");
    let window = said.window.expect("a resurrection has one");
    assert_eq!((said.recovery, window.stage, said.app.map(|a| a.to_string())), (Recovery::Resurrected, Stage::Resurrection, Some("shop".into())));
    assert_eq!(window.cause, Cause::Behind { holds: Some(commit("older", "00:01")) });
    let cluster = rollup(&world, WindowScope::Cluster);
    assert_eq!((cluster.state, cluster.objects, cluster.resurrected), (WindowState::Closed, 0, 1));
}
