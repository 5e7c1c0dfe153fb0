//! Whole worlds, one row a sentence: what the witnesses hold and what is said of it. pure

mod evidence;
mod made;
mod objects;
mod schemas;
mod windows;

use serde_json::{Value, json};

use super::world::{Snapshot, World, at, crd, scope_of, scope_unknown};
use crate::{
    object::ObjectId,
    report::model::{Drift, Presence, Recovery, Side},
    witness::{Failure, Listing},
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
    type Row = (&'static str, World, Drift, Recovery, Vec<(Side, &'static str)>);
    let rows: Vec<Row> = vec![
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
            "Git and backup nightly (01:00Z) both hold it; by hand for now, live spec.replicas is 5, Git says 3 (kubectl-edit, 09:12Z): end it or commit it",
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
            "Git and backup nightly (01:00Z) both hold it; by hand for now, spec.paused is true (kubectl-edit, 09:12Z): end it or commit it",
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
fn metadata_alone_is_compared_with_nothing() {
    let mut world = moved(Some(3), Some(3));
    let id = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
    let mut object = (**world.live.objects.get(&id).expect("runs")).clone();
    object.meta.partial = true;
    world.live.objects.insert(id.clone(), object.into());
    let said = world.verdict("Deployment", "cart");
    assert_eq!((said.drift, said.recovery, &*said.unknown[0].reason), (Drift::Unknown, Recovery::Either, "body_unread"));
    world.declared.apps.clear();
    world.config.apps.clear();
    let said = world.verdict("Deployment", "cart");
    assert_eq!((said.drift, said.recovery), (Drift::Unmanaged, Recovery::Unknown), "whether it changed since the backup is not known");
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
