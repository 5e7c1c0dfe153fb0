//! Whole worlds, one row a sentence: what the witnesses hold and what is said of it. pure

use serde_json::{Value, json};

use super::{
    Memo, Onsets, explain,
    explain::{Holds, RestoreEffect},
    judge,
    world::{Snapshot, World, app, at, commit, crd, scope_of, scope_unknown},
};
use crate::{
    config::{Layer, SourceName},
    object::ObjectId,
    report::model::{Basis, Cause, Drift, Presence, Recovery, Side, Stage, WindowRollup, WindowScope, WindowState},
    witness::{BackupState, Failure, Listing},
};

fn cart(replicas: u32) -> Value {
    World::deployment("cart", replicas)
}

fn forbidden() -> Listing {
    Listing::Failed(Failure::new("forbidden", "may not list deployments: grant list"))
}

/// cart at 3 replicas in Git since 10:00 (c3), at 2 before (c2, 00:30); the nightly backup of 01:00 holds what is told.
fn moved(live: Option<u32>, held: Option<u32>) -> World {
    let world = World::new().declares("shop", vec![cart(3)]).runs(live.map(cart).into_iter().collect());
    let world = world.backup(Snapshot::new("nightly", "01:00").holding(held.map(cart).into_iter().collect()));
    world.history("shop", cart(3), &[(Some(3), "c3f2a91c0", "10:00"), (Some(2), "c2", "00:30")]).complete("shop")
}

fn edited(replicas: u32, manager: &str, clock: &str, path: Value) -> Value {
    let mut v = cart(replicas);
    v["metadata"]["managedFields"] = json!([{"manager":manager,"operation":"Update","time":format!("2026-03-02T{clock}:00Z"),"fieldsV1":path}]);
    v
}

fn replicas_by(replicas: u32, manager: &str, clock: &str) -> Value {
    edited(replicas, manager, clock, json!({"f:spec":{"f:replicas":{}}}))
}

#[test]
fn every_row_of_the_design_is_said_of_an_object() {
    let only_live = |n| World::new().runs(vec![cart(n)]);
    let nightly = |n| Snapshot::new("nightly", "01:00").holding(vec![cart(n)]);
    let empty = || Snapshot::new("nightly", "01:00");
    let elsewhere = || empty().scope(scope_of(&["elsewhere"], &[]));
    let declared = || World::new().declares("shop", vec![cart(3)]);
    for (name, world, drift, recovery) in [
        ("both hold it", moved(Some(3), Some(3)), Drift::InSync, Recovery::Either),
        ("both hold it, not applied", moved(Some(2), Some(3)), Drift::Changed, Recovery::Either),
        ("the backup is behind", moved(Some(3), Some(2)), Drift::InSync, Recovery::Split),
        ("landed after the snapshot", moved(Some(3), None), Drift::InSync, Recovery::Split),
        ("not applied at all", moved(None, None), Drift::Missing, Recovery::Split),
        ("by design only Git", declared().runs(vec![cart(3)]).backup(elsewhere()), Drift::InSync, Recovery::Git),
        ("no backup was ever meant", declared().runs(vec![cart(3)]), Drift::InSync, Recovery::Git),
        ("a schedule without a backup", declared().schedule("nightly", None), Drift::Missing, Recovery::Split),
        ("only the backup", only_live(3).backup(nightly(3)), Drift::Unmanaged, Recovery::Backup),
        ("changed since the backup", only_live(3).backup(nightly(2)), Drift::Unmanaged, Recovery::BackupStale),
        ("nobody", only_live(3).backup(empty()), Drift::Unmanaged, Recovery::Lost),
        ("nobody, and no backup at all", only_live(3), Drift::Unmanaged, Recovery::Lost),
        ("deleted since", World::new().backup(nightly(3)), Drift::Gone, Recovery::Resurrected),
    ] {
        let said = world.verdict("Deployment", "cart");
        assert_eq!((said.drift, said.recovery), (drift, recovery), "{name}: {}", said.why);
        assert_eq!(said.window.is_some(), recovery == Recovery::Split, "{name}");
    }
}

#[test]
fn what_could_not_be_read_is_unknown_with_its_reason() {
    use Side::{Backup, Cluster, Git};
    let rows: Vec<(&str, World, Drift, Recovery, Vec<(Side, &str)>)> = vec![
        (
            "cluster",
            moved(Some(3), Some(3)).listing("apps", "Deployment", forbidden()),
            Drift::Unknown,
            Recovery::Either,
            vec![(Cluster, "forbidden")],
        ),
        ("render", moved(Some(3), Some(3)).fails("shop", "render_failed"), Drift::Unknown, Recovery::Unknown, vec![(Git, "render_failed")]),
        ("source", moved(Some(3), Some(3)).source_as_of(Some("09:00")), Drift::Unknown, Recovery::Unknown, vec![(Git, "source_stale")]),
        (
            "content",
            World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]).backup(Snapshot::new("n", "01:00").unread()),
            Drift::InSync,
            Recovery::Unknown,
            vec![(Backup, "content_unread")],
        ),
        (
            "scope",
            World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]).backup(Snapshot::new("n", "01:00").scope(scope_unknown())),
            Drift::InSync,
            Recovery::Unknown,
            vec![(Backup, "scope_unknown")],
        ),
        ("velero", moved(Some(3), Some(3)).backups_as_of(None), Drift::InSync, Recovery::Unknown, vec![(Backup, "velero_unread")]),
        (
            "all",
            moved(Some(3), Some(3)).fails("shop", "render_failed").backups_as_of(Some(at("09:00"))).cluster_as_of(None),
            Drift::Unknown,
            Recovery::Unknown,
            vec![(Git, "render_failed"), (Cluster, "cluster_unread"), (Backup, "velero_stale")],
        ),
    ];
    for (name, world, drift, recovery, unknown) in rows {
        let said = world.verdict("Deployment", "cart");
        let sides: Vec<(Side, &str)> = said.unknown.iter().map(|u| (u.side, &*u.reason)).collect();
        assert_eq!((said.drift, said.recovery, sides), (drift, recovery, unknown), "{name}: {}", said.why);
    }
}

#[test]
fn a_scope_that_cannot_be_decided_hides_no_copy_and_no_loss() {
    let open = || Snapshot::new("nightly", "01:00").scope(scope_unknown());
    let held = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]).backup(open().holding(vec![cart(3)]));
    assert_eq!(held.verdict("Deployment", "cart").recovery, Recovery::Either);
    let lost = World::new().runs(vec![cart(3)]).backup(open());
    assert_eq!(lost.verdict("Deployment", "cart").recovery, Recovery::Lost);
}

#[test]
fn the_sentence_says_what_is_wrong_since_when_and_what_to_do() {
    let image = |tag: &str| {
        let mut v = cart(3);
        v["spec"] = json!({"template":{"image":tag}});
        v
    };
    let images = World::new().declares("shop", vec![image("v2")]).runs(vec![image("v2")]);
    let images = images.backup(Snapshot::new("nightly-0100", "01:00").holding(vec![image("v1")]));
    let images = images.history("shop", image("v2"), &[(Some(1), "3f2a91c77", "11:02")]);
    let removed = || World::new().declares("shop", vec![]).removed("shop", cart(3), "dead0e", "10:00");
    let added = edited(3, "kubectl-edit", "09:12", json!({"f:spec":{"f:paused":{}}}));
    let added = {
        let mut v = added;
        v["spec"]["paused"] = true.into();
        v
    };
    let thing = json!({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"cart"}});
    let rows = [
        (
            images,
            "Git declares image v2 since 11:02Z (3f2a91c, Ada); the newest usable backup nightly-0100 (01:00Z) holds v1: after a restore, sync Git",
        ),
        (moved(Some(3), Some(3)), "Git and backup nightly (01:00Z) both hold it"),
        (
            moved(Some(2), Some(2)),
            "Git declares replicas 3 since 10:00Z (c3f2a91, Ada); the newest usable backup nightly (01:00Z) holds 2: after a restore, sync Git; \
             live spec.replicas is 2, Git says 3: not applied yet: sync it",
        ),
        (
            moved(Some(3), Some(3)).runs(vec![replicas_by(5, "kubectl-edit", "09:12")]),
            "Git and backup nightly (01:00Z) both hold it; live spec.replicas is 5, Git says 3 (kubectl-edit, 09:12Z): revert it or commit it",
        ),
        (
            moved(None, None),
            "Git declares it since 10:00Z (c3f2a91, Ada); the newest usable backup nightly (01:00Z) does not hold it: after a restore, sync Git; \
             the cluster does not have it: sync it",
        ),
        (
            World::new().runs(vec![cart(1)]).backup(Snapshot::new("nightly", "01:00")),
            "Nobody has it: no app declares it, and the newest usable backup nightly (01:00Z) does not hold it: commit it to Git or back it up",
        ),
        (World::new().runs(vec![cart(1)]), "Nobody has it: no app declares it, and there is no usable backup at all: commit it to Git or back it up"),
        (
            removed().runs(vec![cart(3)]).backup(Snapshot::new("nightly", "01:00").holding(vec![cart(3)])),
            "Only backup nightly (01:00Z) has it; app shop declares it no more since 10:00Z (dead0e, Ada), and it still runs: prune it",
        ),
        (
            removed().backup(Snapshot::new("nightly", "01:00").holding(vec![cart(3)])),
            "Git removed it at 10:00Z (dead0e, Ada), and backup nightly (01:00Z) still holds it: after a restore, delete it again",
        ),
        (
            moved(Some(3), Some(3)).runs(vec![added]),
            "Git and backup nightly (01:00Z) both hold it; a person added spec.paused (kubectl-edit, 09:12Z): commit it or remove it",
        ),
        (moved(Some(3), Some(3)).fails("shop", "render_failed"), "Cannot be judged: app shop cannot be rendered"),
        (
            moved(Some(3), Some(3)).listing("apps", "Deployment", forbidden()),
            "Git and backup nightly (01:00Z) both hold it; whether it drifts cannot be judged: may not list deployments: grant list",
        ),
        (
            World::new().declares("shop", vec![thing]),
            "Only Git holds it: no backup is meant to; the cluster does not serve Thing.example.com: install its definition or take it out of Git",
        ),
    ];
    for (world, want) in rows {
        assert_eq!(world.judge().objects.iter().find(|o| &*o.id.name == "cart").expect("cart").why, want);
    }
}

#[test]
fn a_deletion_under_way_is_present_and_said() {
    let mut going = cart(3);
    going["metadata"]["deletionTimestamp"] = "2026-03-02T11:59:00Z".into();
    let said = moved(Some(3), Some(3)).runs(vec![going]).verdict("Deployment", "cart");
    assert_eq!((said.sides.cluster, said.drift), (Presence::Present, Drift::InSync));
    assert!(said.why.ends_with("it is being deleted"), "{}", said.why);
}

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

fn owned(api: &str, kind: &str, name: &str, owner: (&str, &str, &str)) -> Value {
    json!({"apiVersion":api,"kind":kind,"metadata":{"name":name,"namespace":"shop",
        "ownerReferences":[{"apiVersion":owner.0,"kind":owner.1,"name":owner.2,"uid":"u","controller":true}]}})
}

fn pods_of_cart() -> Vec<Value> {
    vec![
        cart(3),
        owned("apps/v1", "ReplicaSet", "cart-7", ("apps/v1", "Deployment", "cart")),
        owned("v1", "Pod", "cart-7-x", ("apps/v1", "ReplicaSet", "cart-7")),
    ]
}

#[test]
fn what_a_controller_makes_is_as_recoverable_as_its_root() {
    let pod = |world: World| {
        let said = world.verdict("Pod", "cart-7-x");
        (said.drift, said.recovery)
    };
    let from_git = World::new().declares("shop", vec![cart(3)]).runs(pods_of_cart());
    assert_eq!(pod(from_git.clone()), (Drift::Derived, Recovery::Derived));
    let from_backup = World::new().runs(pods_of_cart()).backup(Snapshot::new("n", "01:00").holding(vec![cart(2)]));
    assert_eq!(pod(from_backup), (Drift::Derived, Recovery::Derived));
    assert_eq!(pod(World::new().runs(pods_of_cart())), (Drift::Derived, Recovery::Lost));
    let unread = World::new().runs(pods_of_cart()).backup(Snapshot::new("n", "01:00").unread());
    let said = unread.verdict("Pod", "cart-7-x");
    assert_eq!((said.recovery, said.unknown.len()), (Recovery::Unknown, 1));
    assert_eq!(from_git.judge().suppressed.iter().map(|s| (&*s.rule, s.objects)).collect::<Vec<_>>(), [("owned", 2)]);
    // Pods that were replaced since the backup are the controller's business, not a resurrection.
    let replaced = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3)]);
    let replaced = replaced.backup(Snapshot::new("n", "01:00").holding(pods_of_cart()));
    assert_eq!(pod(replaced), (Drift::Gone, Recovery::Derived));
}

#[test]
fn owners_in_a_circle_bring_nothing_back() {
    let world = World::new().runs(vec![
        owned("apps/v1", "ReplicaSet", "a", ("apps/v1", "ReplicaSet", "b")),
        owned("apps/v1", "ReplicaSet", "b", ("apps/v1", "ReplicaSet", "a")),
    ]);
    assert_eq!(world.verdict("ReplicaSet", "a").recovery, Recovery::Lost);
    assert_eq!(world.verdict("ReplicaSet", "b").recovery, Recovery::Lost);
    let long = (0..200).map(|n| owned("apps/v1", "ReplicaSet", &format!("r{n}"), ("apps/v1", "ReplicaSet", &format!("r{}", n + 1)))).collect();
    assert_eq!(World::new().runs(long).judge().objects.len(), 200, "a chain that no controller would build ends somewhere");
}

#[test]
fn a_fresh_healthy_cluster_shows_nothing_but_what_would_be_lost() {
    let system = |kind: &str, namespace: Option<&str>, name: &str, api: &str| {
        let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":name}});
        if let Some(namespace) = namespace {
            v["metadata"]["namespace"] = namespace.into();
        }
        v
    };
    let mut service = system("Service", Some("shop"), "cart", "v1");
    service["spec"] = json!({"selector":{"app":"cart"}});
    let mut objects = pods_of_cart();
    objects.extend([
        service.clone(),
        system("Endpoints", Some("shop"), "cart", "v1"),
        system("Namespace", None, "default", "v1"),
        system("Namespace", None, "kube-system", "v1"),
        system("ServiceAccount", Some("shop"), "default", "v1"),
        system("ConfigMap", Some("shop"), "kube-root-ca.crt", "v1"),
        system("Service", Some("default"), "kubernetes", "v1"),
        system("Node", None, "n1", "v1"),
        system("Event", Some("shop"), "e", "v1"),
        system("Lease", Some("kube-node-lease"), "n1", "coordination.k8s.io/v1"),
        system("PriorityClass", None, "system-node-critical", "scheduling.k8s.io/v1"),
        system("PersistentVolumeClaim", Some("shop"), "data", "v1"),
    ]);
    let world = World::new().declares("shop", vec![cart(3), service]).runs(objects);
    let findings: Vec<String> = world.judge().objects.iter().filter(|o| o.is_finding()).map(|o| o.id.to_string()).collect();
    assert_eq!(findings, ["PersistentVolumeClaim shop/data"]);
}

#[test]
fn a_copied_mark_does_not_claim_what_a_controller_made() {
    let marked = |mut v: Value| {
        v["metadata"]["annotations"] = json!({"meta.helm.sh/release-name":"shop","meta.helm.sh/release-namespace":"shop"});
        v
    };
    let replica_set = marked(owned("apps/v1", "ReplicaSet", "cart-7", ("apps/v1", "Deployment", "cart")));
    let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3), replica_set, marked(World::deployment("old", 1))]);
    assert_eq!(world.verdict("ReplicaSet", "cart-7").drift, Drift::Derived);
    let old = world.verdict("Deployment", "old");
    assert_eq!((old.drift, old.app.map(|a| a.to_string())), (Drift::Removed, Some("shop".into())));
}

#[test]
fn what_a_deployer_put_there_that_nobody_reads_is_unknown_and_noted() {
    let mut stranger = World::deployment("stranger", 1);
    stranger["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/namespace":"flux-system","kustomize.toolkit.fluxcd.io/name":"infra"});
    let world = World::new().declares("shop", vec![cart(3)]).runs(vec![cart(3), stranger]);
    let said = world.verdict("Deployment", "stranger");
    assert_eq!((said.drift, said.recovery, &*said.unknown[0].reason), (Drift::Unknown, Recovery::Unknown, "app_unread"));
    assert!(world.judge().notes.iter().any(|n| n.message.contains("flux-system/infra")), "one note, not one a object");
}

#[test]
fn two_apps_that_declare_one_object_are_both_named() {
    let world = World::new().declares("b", vec![cart(3)]).declares("a", vec![cart(2)]).runs(vec![cart(2)]);
    let said = world.verdict("Deployment", "cart");
    assert_eq!((said.app.map(|a| a.to_string()), said.drift), (Some("a".into()), Drift::InSync));
    let notes = world.judge().notes;
    assert!(notes.iter().any(|n| &*n.reason == "shared_object" && n.message.contains("a and b")), "{notes:?}");
}

#[test]
fn a_namespace_that_a_kind_does_not_have_is_no_difference() {
    let role = |namespace: Option<&str>| {
        let mut v = json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"reader"},"rules":[]});
        if let Some(namespace) = namespace {
            v["metadata"]["namespace"] = namespace.into();
        }
        v
    };
    let world = World::new().declares("shop", vec![role(Some("shop"))]).runs(vec![role(None)]);
    let world = world.backup(Snapshot::new("nightly", "01:00").holding(vec![role(None)]));
    let said = world.verdict("ClusterRole", "reader");
    assert_eq!((said.drift, said.recovery, said.id.namespace), (Drift::InSync, Recovery::Either, None));
}

#[test]
fn a_kind_that_the_cluster_does_not_serve_is_absent_and_noted() {
    let thing = |name: &str| json!({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":name}});
    let world = World::new().declares("shop", vec![thing("a"), thing("b")]);
    let said = world.verdict("Thing", "a");
    assert_eq!((said.sides.cluster, said.drift), (Presence::Absent, Drift::Missing));
    let notes = world.judge().notes;
    assert_eq!(notes.iter().filter(|n| &*n.reason == "kind_not_served").count(), 1, "{notes:?}");
    let defined = World::new().declares("shop", vec![crd("things", "example.com", "Thing", "Namespaced"), thing("a")]);
    assert_eq!(defined.verdict("Thing", "a").id.namespace.as_deref(), Some("shop"), "its definition in Git says that it has a namespace");
}

#[test]
fn blind_spots_matter_when_something_depends_on_them() {
    let forbidden = |world: World| world.listing("", "Secret", forbidden()).broken_group("metrics.k8s.io");
    let spots = |world: World| world.judge().blind_spots.into_iter().map(|b| (b.what.to_string(), b.matters)).collect::<Vec<_>>();
    let secret = json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"canary"}});
    assert_eq!(spots(forbidden(World::new())), [("*.metrics.k8s.io".into(), false), ("secrets".into(), false)]);
    let declared = forbidden(World::new().declares("shop", vec![secret]));
    assert_eq!(spots(declared), [("*.metrics.k8s.io".into(), false), ("secrets".into(), true)]);
}

#[test]
fn drift_is_dated_by_its_owner_else_by_when_it_was_seen() {
    let since = |world: &World| world.verdict("Deployment", "cart").drift_since;
    let by_hand = moved(Some(3), Some(3)).runs(vec![replicas_by(5, "kubectl-edit", "09:12")]);
    assert_eq!(since(&by_hand), Some(at("09:12")));
    assert_eq!(since(&moved(Some(2), Some(2))), Some(at("10:00")), "what was right when applied drifts since Git moved on");
    let applied = |clock| moved(Some(2), Some(2)).runs(vec![replicas_by(2, "kubectl-client-side-apply", clock)]);
    assert_eq!((since(&applied("09:00")), since(&applied("11:00"))), (Some(at("10:00")), Some(at("11:00"))), "the later of Git and apply");
    let mut scaled = edited(5, "kubectl", "09:12", json!({"f:spec":{"f:replicas":{}}}));
    scaled["metadata"]["managedFields"][0]["subresource"] = "scale".into();
    scaled["metadata"]["managedFields"][0].as_object_mut().expect("an entry").remove("time");
    let mut scaled = moved(Some(3), Some(3)).runs(vec![scaled]);
    assert_eq!(since(&scaled), None, "the server writes no time for scale, and the last commit has nothing to do with it");
    scaled.onsets.advance(&scaled.judge(), at("11:40"));
    assert_eq!(since(&scaled), Some(at("11:40")));
    let mut gone = moved(None, Some(3));
    assert_eq!(since(&gone), None, "nobody saw when it vanished");
    gone.onsets.advance(&gone.judge(), at("11:40"));
    assert_eq!(since(&gone), Some(at("11:40")));
}

#[test]
fn onsets_keep_what_lasts_and_forget_what_is_gone() {
    let open = moved(None, Some(2));
    let id = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
    let mut onsets = Onsets::default();
    onsets.advance(&open.judge(), at("11:00"));
    onsets.advance(&open.judge(), at("11:05"));
    assert_eq!((onsets.drift_since(&id, Drift::Missing), onsets.window_since(&id)), (Some(at("11:00")), Some(at("11:00"))));
    let blind = open.clone().fails("shop", "render_failed");
    onsets.advance(&blind.judge(), at("11:10"));
    assert_eq!(onsets.window_since(&id), Some(at("11:00")), "what could not be judged is not gone");
    assert!(onsets.closed().is_empty());
    onsets.advance(&moved(Some(3), Some(3)).judge(), at("11:15"));
    assert_eq!((onsets.drift_since(&id, Drift::Missing), onsets.window_since(&id)), (None, None));
    let closed: Vec<_> = onsets.closed().iter().map(|c| (c.of.clone(), c.opened, c.closed)).collect();
    assert_eq!(closed[0], (WindowScope::Cluster, at("10:00"), at("11:15")));
    assert_eq!(closed.len(), 3, "cluster, layer and app");
    let json = serde_json::to_string(&onsets).expect("serialisable");
    assert_eq!(serde_json::from_str::<Onsets>(&json).expect("readable"), onsets);
    assert!(onsets.observed(&SourceName("main".into()), "t1p").is_none(), "a tip that was there at the first look is not dated");
}

#[test]
fn explain_holds_every_piece_of_evidence() {
    let world = moved(Some(3), Some(2)).backup(Snapshot::new("old", "00:40").holding(vec![cart(3)]).state(BackupState::Expired));
    let world =
        world.backup(Snapshot::new("elsewhere", "00:20").scope(scope_of(&["elsewhere"], &[]))).backup(Snapshot::new("blind", "00:10").unread());
    let report = judge(&world.inputs(), &mut Memo::default());
    let id = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
    let told = explain(&world.inputs(), &report, &id).expect("known");
    assert_eq!(told.object.file.as_deref(), Some("apps/shop/all.yaml"));
    let git = told.git.expect("declared");
    let history: Vec<_> = git.history.iter().map(|h| (h.since.as_ref().map(|c| &*c.sha), h.backed_up)).collect();
    assert_eq!(history, [(Some("c3f2a91c0"), Some(false)), (Some("c2"), Some(true))]);
    let copies: Vec<_> = told.backups.iter().map(|c| (&*c.backup, c.speaks, c.holds.clone())).collect();
    let copy = |git, live| Holds::Copy { same_as_git: Some(git), same_as_live: Some(live) };
    assert_eq!(copies[0], ("nightly", true, copy(false, false)));
    assert_eq!(copies[1], ("old", false, copy(true, true)));
    assert!(matches!(copies[2].2, Holds::Outside { .. }) && matches!(copies[3].2, Holds::Unread { .. }), "{copies:?}");
    let labels: Vec<_> = told.diffs.iter().map(|d| (&*d.left_label, &*d.right_label, d.equal)).collect();
    assert_eq!(labels, [("Git (t1p)", "cluster", true), ("Git (t1p)", "backup nightly", false), ("backup nightly", "cluster", false)]);
    assert_eq!(told.diffs[1].leaves[0].path, "spec.replicas");
    assert_eq!(told.restore, RestoreEffect::SkipDiffers);
    assert!(explain(&world.inputs(), &report, &ObjectId::new("", "ConfigMap", Some("shop"), "nope")).is_none());
}

#[test]
fn explain_says_what_a_restore_would_do() {
    let effect = |world: World, kind: &str, group: &str, name: &str| {
        let namespace = world.judge().objects.iter().find(|o| &*o.id.name == name).expect("known").id.namespace.clone();
        let id = ObjectId::new(group, kind, namespace.as_deref(), name);
        explain(&world.inputs(), &world.judge(), &id).expect("known").restore
    };
    let of_cart = |world: World| effect(world, "Deployment", "apps", "cart");
    assert_eq!(of_cart(moved(Some(3), Some(3))), RestoreEffect::SkipSame);
    assert_eq!(of_cart(moved(None, Some(3))), RestoreEffect::Create);
    assert_eq!(of_cart(moved(Some(3), None)), RestoreEffect::Nothing);
    assert_eq!(of_cart(moved(Some(3), Some(3)).backups_as_of(None)), RestoreEffect::Unknown);
    let node = json!({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}});
    assert_eq!(effect(World::new().runs(vec![node]), "Node", "", "n1"), RestoreEffect::NeverRestored);
}

#[test]
fn no_secret_value_and_no_hash_of_one_is_shown() {
    let secret = |value: &str| json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"shop"},"stringData":{"p":value}});
    let world = World::new().declares("shop", vec![secret("canary-1")]).runs(vec![secret("canary-2")]);
    let world = world.backup(Snapshot::new("nightly", "01:00").holding(vec![secret("canary-3")]));
    let report = world.judge();
    let said = world.verdict("Secret", "s");
    assert_eq!((said.drift, said.recovery), (Drift::Changed, Recovery::Split));
    assert_eq!(said.fields[0].desired.as_deref(), Some("\"(value hidden)\""));
    let told = explain(&world.inputs(), &report, &said.id).expect("known");
    let text = format!("{}{}", serde_json::to_string(&report).expect("json"), serde_json::to_string(&told).expect("json"));
    assert!(!text.contains("canary") && !text.contains("hidden:"), "{text}");
}

#[test]
fn backups_and_schedules_are_listed_with_what_they_are_good_for() {
    let world = World::sample().schedule("nightly", Some("23:00"));
    let world = world.backup(Snapshot::new("failed", "02:00").of("nightly").state(BackupState::Invalid).unread());
    let world = world.backup(Snapshot::new("older", "00:30").of("nightly").holding(vec![cart(1)]));
    let report = world.judge();
    let backups: Vec<_> = report.backups.iter().map(|b| (&*b.name, b.objects, b.speaks_for)).collect();
    assert_eq!(backups, [("failed", None, 0), ("nightly", Some(2), 3), ("older", Some(1), 0)]);
    let schedule = &report.schedules[0];
    assert_eq!((schedule.last_usable_start, schedule.last_usable_objects), (Some(at("00:30")), Some(1)));
    assert_eq!((schedule.backups[&BackupState::Invalid], schedule.backups[&BackupState::Restorable]), (1, 1));
}
