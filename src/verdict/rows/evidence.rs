//! Evidence for one object, times that outlive a report, and lists of backups. pure

use super::{cart, moved, replicas_by};
use serde_json::{Value, json};

use crate::verdict::{
    Memo, Onsets, explain,
    explain::{Holds, RestoreEffect},
    judge,
    world::{Snapshot, World, at, scope_of},
};
use crate::{
    config::SourceName,
    object::ObjectId,
    report::model::{Drift, Recovery, WindowScope},
    witness::BackupState,
};

#[test]
fn drift_is_dated_by_its_owner_else_by_when_it_was_seen() {
    let since = |world: &World| world.verdict("Deployment", "cart").drift_since;
    let by_hand = moved(Some(3), Some(3)).runs(vec![replicas_by(5, "kubectl-edit", "09:12")]);
    assert_eq!(since(&by_hand), Some(at("09:12")));
    assert_eq!(since(&moved(Some(2), Some(2))), Some(at("10:00")), "what was right when applied drifts since Git moved on");
    let applied = |clock| moved(Some(2), Some(2)).runs(vec![replicas_by(2, "kubectl-client-side-apply", clock)]);
    assert_eq!((since(&applied("09:00")), since(&applied("11:00"))), (Some(at("10:00")), Some(at("11:00"))), "the later of Git and apply");
    let mut scaled = super::edited(5, "kubectl", "09:12", json!({"f:spec":{"f:replicas":{}}}));
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
    assert_eq!(onsets.drift_since(&id, Drift::Missing), Some(at("11:00")));
    let blind = open.clone().fails("shop", "render_failed");
    onsets.advance(&blind.judge(), at("11:10"));
    assert_eq!(onsets.drift_since(&id, Drift::Missing), Some(at("11:00")), "what could not be judged is not gone");
    assert!(onsets.closed().is_empty());
    onsets.advance(&moved(Some(3), Some(3)).judge(), at("11:15"));
    assert_eq!(onsets.drift_since(&id, Drift::Missing), None);
    let closed: Vec<_> = onsets.closed().iter().map(|c| (c.of.clone(), c.opened, c.closed)).collect();
    assert_eq!(closed[0], (WindowScope::Cluster, at("10:00"), at("11:15")));
    assert_eq!(closed.len(), 3, "cluster, layer and app");
    let json = serde_json::to_string(&onsets).expect("serialisable");
    assert_eq!(serde_json::from_str::<Onsets>(&json).expect("readable"), onsets);
    onsets.end_at(at("10:30"));
    assert!(onsets.closed().iter().all(|c| (c.opened, c.closed) == (at("10:00"), at("10:30"))), "the clock went back: {:?}", onsets.closed());
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

/// One kind, what is backed up of it, what runs, and what a restore does without and with `existingResourcePolicy: update`.
#[test]
fn a_restore_does_to_each_object_what_velero_and_the_api_server_let_it() {
    use RestoreEffect::{Create, Merge, NeverRestored, Overwrite, Provisioned, Refused, SkipDiffers, SkipSame, Unknown};
    let of = |api: &str, kind: &str, more: Value| {
        let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":"x","namespace":"shop"}});
        v.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
        v
    };
    let pod = |phase: &str, image: &str| of("v1", "Pod", json!({"spec":{"image":image},"status":{"phase":phase}}));
    let job = |status: Value| of("batch/v1", "Job", json!({"spec":{"a":1},"status":status}));
    let done = || json!({"completionTime":"2026-03-01T00:00:00Z"});
    let map = |value: &str| of("v1", "ConfigMap", json!({"data":{"k":value}}));
    let sealed = |value: &str| of("v1", "ConfigMap", json!({"data":{"k":value},"immutable":true}));
    let account = |secret: &str| of("v1", "ServiceAccount", json!({"secrets":[{"name":secret}]}));
    let pvc = |size: &str| of("v1", "PersistentVolumeClaim", json!({"spec":{"resources":{"requests":{"storage":size}}}}));
    let volume =
        |policy: &str| json!({"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"x"},"spec":{"persistentVolumeReclaimPolicy":policy}});
    let rows = [
        (map("1"), None, [Create, Create]),
        (map("1"), Some(map("1")), [SkipSame, SkipSame]),
        (map("1"), Some(map("2")), [SkipDiffers, Overwrite]),
        (sealed("1"), Some(sealed("2")), [SkipDiffers, Refused]),
        (account("a"), Some(account("b")), [Merge, Merge]),
        (pod("Running", "a"), None, [Create, Create]),
        (pod("Running", "a"), Some(pod("Running", "b")), [SkipDiffers, Refused]),
        (pod("Succeeded", "a"), None, [NeverRestored, NeverRestored]),
        (pod("Failed", "a"), Some(pod("Running", "b")), [NeverRestored, NeverRestored]),
        (job(done()), None, [NeverRestored, NeverRestored]),
        (job(json!({"active":1})), None, [Create, Create]),
        (pvc("1Gi"), Some(pvc("2Gi")), [SkipDiffers, Unknown]),
        (volume("Delete"), None, [Provisioned, Provisioned]),
        (volume("Retain"), None, [Create, Create]),
    ];
    for (n, (copy, live, want)) in rows.into_iter().enumerate() {
        let id = crate::verdict::world::take(copy.clone()).id;
        let world = World::new().backup(Snapshot::new("b", "01:00").holding(vec![copy.clone()]).volumes(Vec::new()));
        // The kind is served, whether or not there is such an object.
        let mut other = copy.clone();
        other["metadata"]["name"] = "other".into();
        let world = world.runs([other].into_iter().chain(live).collect());
        let told = explain(&world.inputs(), &world.judge(), &id).expect("known");
        assert_eq!([told.restore, told.restore_with_update], want, "row {n}: {copy}");
    }
    let unread = World::new().runs(vec![map("1")]).backup(Snapshot::new("b", "01:00").holding(vec![volume("Retain")]));
    let id = ObjectId::new("", "PersistentVolume", None, "x");
    assert_eq!(explain(&unread.inputs(), &unread.judge(), &id).expect("known").restore, Unknown, "how its bytes are kept was not read");
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
