//! Restores in worlds, and what they prove. pure

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    report::model::ProofOf,
    verdict::{
        Onsets,
        world::{Snapshot, World, at},
    },
    witness::{RestoreFiles, RestoredItem, RestoredVolume, Side, VolumeMethod, VolumeOutcome},
};

fn item(line: &str) -> RestoredItem {
    let (rest, action) = line.rsplit_once(' ').expect("an action");
    let (kind, path) = rest.split_once(' ').expect("a kind");
    let (namespace, name) = path.split_once('/').map_or((None, path), |(n, name)| (Some(n.into()), name));
    let action = match action {
        "created" => RestoreAction::Created,
        "updated" => RestoreAction::Updated,
        "skipped" => RestoreAction::Skipped,
        _ => RestoreAction::Failed,
    };
    RestoredItem { kind: kind.into(), namespace, name: name.into(), action }
}

fn restored(items: Option<&[&str]>) -> Restore {
    let files = RestoreFiles { items: items.map_or(Side::Unread, |i| Side::Read(i.iter().map(|l| item(l)).collect())), ..RestoreFiles::of("r") };
    Restore {
        name: "r".into(),
        by: ToldBy::Velero,
        backup: Some("b".into()),
        phase: Some("Completed".into()),
        started: Some(at("03:00")),
        completed: Some(at("03:01")),
        errors: 0,
        warnings: 0,
        mapping: BTreeMap::new(),
        part: None,
        volumes: Vec::new(),
        tested: Vec::new(),
        files,
    }
}

fn world(restores: Vec<Restore>) -> World {
    let held = vec![World::config_map("shop", "a", "1"), World::config_map("shop", "a2", "1"), World::config_map("pay", "b", "1")];
    let mut world = World::new().backup(Snapshot::new("b", "01:00").holding(held));
    world.backed_up.restores = restores;
    world
}

/// Lists of a real Velero 1.18, and what is asked of them.
#[test]
fn completed_is_no_proof_unless_the_restore_made_what_was_not_there() {
    let fresh = [
        "v1/ConfigMap shop-test/kube-root-ca.crt failed",
        "v1/ConfigMap shop-test/rates created",
        "v1/Namespace shop-test created",
        "v1/PersistentVolume pv-data failed",
        "v1/Pod shop-test/db created",
        "v1/ServiceAccount shop-test/default updated",
    ];
    let again = ["v1/ConfigMap shop/kube-root-ca.crt skipped", "v1/ConfigMap shop/rates skipped", "v1/Pod shop/db failed"];
    let some = ["v1/ConfigMap shop/a created", "v1/ConfigMap shop/b skipped"];
    let two = ["v1/ConfigMap shop/a created", "v1/ConfigMap pay/b skipped"];
    let mapped = |mut r: Restore| {
        r.mapping = [("shop".into(), "shop-test".into())].into();
        r
    };
    let with = |change: fn(&mut Restore)| {
        let mut r = restored(Some(&fresh));
        change(&mut r);
        mapped(r)
    };
    let kymaros = |result: &str| {
        let mut r = restored(None);
        (r.by, r.phase, r.tested) = (ToldBy::Kymaros, Some(result.into()), vec!["shop".into()]);
        r
    };
    let updated = ["v1/ConfigMap shop/a created", "v1/ConfigMap shop/b updated", "v1/ConfigMap shop/c updated"];
    let bucket = |read: bool, items: &[&str]| {
        let mut r = restored(Some(items));
        (r.by, r.phase, r.started, r.completed) = (ToldBy::Bucket, None, None, None);
        if read {
            r.files.results = Side::Read(Default::default());
        }
        r
    };
    let own = ["v1/ConfigMap shop/a created", "v1/ConfigMap shop/a2 created", "v1/ConfigMap pay/b skipped"];
    let renamed = ["v1/ConfigMap shop-drill/a created", "v1/ConfigMap shop-drill/a2 created", "v1/ConfigMap shop-drill/kube-root-ca.crt failed"];
    let rows = [
        (mapped(restored(Some(&fresh))), "shop", "it made 2 objects that were not there"),
        (restored(Some(&again)), "", "everything was there already: 0 patched, 1 skipped, 1 left alone"),
        (restored(Some(&some)), "", "it made 1 object and was in the way of others: 0 patched, 1 skipped"),
        (restored(Some(&two)), "shop", "in 1 namespace it was in the way"),
        (restored(Some(&[])), "", "no objects in namespaces"),
        (with(|r| r.phase = Some("PartiallyFailed".into())), "", "it ended as PartiallyFailed"),
        (restored(Some(&updated)), "", "it made 1 object and was in the way of others: 2 patched, 0 skipped"),
        (with(|r| r.phase = Some("InProgress".into())), "", "it is not done"),
        (with(|r| r.phase = Some("WaitingForPluginOperations".into())), "", "it is not done"),
        (with(|r| r.phase = Some("WaitingForPluginOperationsPartiallyFailed".into())), "", "it is not done, and it had errors"),
        (with(|r| r.phase = Some("FinalizingPartiallyFailed".into())), "", "it is not done, and it had errors"),
        (with(|r| r.errors = 2), "", "it had 2 errors"),
        (with(|r| r.part = Some("includedResources is configmaps".into())), "", "a part only (includedResources is configmaps)"),
        (with(|r| r.backup = None), "", "which backup it restored is not known"),
        (restored(None), "", "nothing that it made is left here"),
        (kymaros("pass"), "shop", "passed its checks"),
        (kymaros("partial"), "", "its result is partial"),
        (bucket(true, &own), "shop", "it made 2 objects that were not there; in 1 namespace it was in the way"),
        (bucket(true, &two), "", "only the bucket knows of it, and of the 2 that its backup holds of shop it made 1"),
        (bucket(true, &renamed), "shop", "it made 2 objects that were not there"),
        (bucket(true, &renamed[..1]), "", "what it made in namespace shop-drill is not what its backup holds of one"),
        (bucket(false, &own), "", "how it ended is not known"),
    ];
    for (n, (restore, proves, why)) in rows.into_iter().enumerate() {
        let report = world(vec![restore]).judge();
        let r = &report.restores[0];
        assert_eq!(r.proves.iter().map(|n| &**n).collect::<Vec<_>>().join(" "), proves, "row {n}: {}", r.why);
        assert!(r.why.contains(why), "row {n}: {}", r.why);
        assert_eq!(r.proves.is_empty(), r.why.starts_with("it proves nothing"), "row {n}");
    }
}

#[test]
fn without_its_list_a_restore_without_a_warning_is_known_by_what_it_made() {
    let made = |created: &str| {
        let mut v = World::config_map("shop", "a", "1");
        v["metadata"]["labels"] = serde_json::json!({"velero.io/backup-name": "b"});
        v["metadata"]["creationTimestamp"] = format!("2026-03-02T{created}Z").into();
        v
    };
    let proves = |world: World| world.judge().restores[0].proves.len();
    let mut warned = restored(None);
    warned.warnings = 1;
    assert_eq!(proves(world(vec![restored(None)]).runs(vec![made("03:00:30")])), 1);
    assert_eq!(proves(world(vec![restored(None)]).runs(vec![made("04:00:00")])), 0, "made by somebody else");
    assert_eq!(proves(world(vec![warned]).runs(vec![made("03:00:30")])), 0);
}

#[test]
fn a_layer_is_proven_when_all_of_it_is_and_as_old_as_its_oldest_proof() {
    let of = |name: &str, items: &[&str], done: &str| {
        let mut r = restored(Some(items));
        (r.name, r.completed) = (name.into(), Some(at(done)));
        r
    };
    let told = |restores: Vec<Restore>| -> Vec<String> {
        let of = |p: &ProofReport| {
            let what = match &p.of {
                ProofOf::Backup(b) => format!("backup {b}"),
                ProofOf::Namespace(n) => format!("namespace {n}"),
                ProofOf::Layer(l) => format!("layer {l}"),
            };
            let at = p.at.map_or("-".to_owned(), |t| t.strftime("%H:%M").to_string());
            format!("{what} {at} {}/{}", p.proven, p.namespaces)
        };
        world(restores).judge().proofs.iter().map(of).collect()
    };
    let shop = || of("r1", &["v1/ConfigMap shop/a created"], "03:00");
    let pay = || of("r2", &["v1/ConfigMap pay/b created"], "05:00");
    assert_eq!(told(vec![]), ["backup b - 0/2", "layer apps - 0/2", "namespace pay - 0/1", "namespace shop - 0/1"]);
    assert_eq!(told(vec![shop()]), ["backup b - 1/2", "layer apps - 1/2", "namespace pay - 0/1", "namespace shop 03:00 1/1"]);
    assert_eq!(told(vec![pay(), shop()]), ["backup b 03:00 2/2", "layer apps 03:00 2/2", "namespace pay 05:00 1/1", "namespace shop 03:00 1/1"]);
    let newer = of("r3", &["v1/ConfigMap shop/a created"], "06:00");
    assert_eq!(told(vec![newer, pay(), shop()])[1], "layer apps 05:00 2/2");
    // It ran before the backup began, so it restored another one of that name.
    let mut before = of("r4", &["v1/ConfigMap shop/a created", "v1/ConfigMap pay/b created"], "00:30");
    before.started = Some(at("00:29"));
    assert_eq!(told(vec![before])[..2], ["backup b - 0/2", "layer apps 00:30 2/2"]);
}

#[test]
fn of_a_backup_whose_content_was_not_read_nobody_says_that_all_of_it_is_proven() {
    let mut world = World::new().backup(Snapshot::new("b", "01:00").unread());
    world.backed_up.restores = vec![restored(Some(&["v1/ConfigMap shop/a created"]))];
    let proofs = world.judge().proofs;
    let of_backup = proofs.iter().find(|p| p.of == ProofOf::Backup("b".into())).expect("a row");
    assert_eq!((of_backup.at, of_backup.proven), (None, 1));
}

#[test]
fn where_a_restore_went_is_said_only_as_far_as_it_is_known() {
    let here = |by: ToldBy, listed: bool| {
        let mut r = restored(None);
        r.by = by;
        let mut world = world(vec![r]);
        if listed {
            let list = json!({"apiVersion":"velero.io/v1","kind":"Restore","metadata":{"name":"other","namespace":"velero"}});
            world = world.runs(vec![list]);
        }
        world.judge().restores[0].here
    };
    assert_eq!((here(ToldBy::Velero, false), here(ToldBy::Bucket, false), here(ToldBy::Bucket, true)), (Some(true), None, Some(false)));
}

#[test]
fn the_label_of_a_backup_with_a_long_name_is_known_although_velero_cuts_it() {
    let long = "nightly-of-the-cluster-in-the-far-east-that-nobody-has-given-a-short-name-20260302";
    let mut v = World::config_map("shop", "a", "1");
    v["metadata"]["labels"] = json!({"velero.io/backup-name": valid_name(long)});
    v["metadata"]["creationTimestamp"] = "2026-03-02T03:00:30Z".into();
    let mut r = restored(None);
    r.backup = Some(long.into());
    let mut world = World::new().backup(Snapshot::new(long, "01:00")).runs(vec![v]);
    world.backed_up.restores = vec![r];
    assert_eq!(world.judge().restores[0].proves, ["shop".into()]);
}

fn volume(claim: &str, method: VolumeMethod, outcome: Option<VolumeOutcome>, bytes: Option<u64>) -> RestoredVolume {
    RestoredVolume { namespace: "shop".into(), claim: Some(claim.into()), claim_uid: None, method: Some(method), outcome, bytes }
}

fn claim(name: &str, phase: &str) -> Value {
    json!({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":name,"namespace":"shop","uid":format!("u-{name}")},"status":{"phase":phase}})
}

#[test]
fn a_namespace_with_claims_is_proven_with_their_bytes_only_if_something_shows_that_they_came_back() {
    use VolumeMethod::{CsiSnapshot, DataMovement, PodVolume};
    use VolumeOutcome::{Failed, Running, Succeeded};
    let two = ["v1/ConfigMap shop/a created", "v1/PersistentVolumeClaim shop/x created", "v1/PersistentVolumeClaim shop/y created"];
    let made = |file: Option<Vec<RestoredVolume>>, objects: Vec<RestoredVolume>| {
        let mut r = restored(Some(&two));
        r.files.volumes = file.map_or(Side::Unread, Side::Read);
        r.volumes = objects;
        r
    };
    let x = |method, outcome, bytes| volume("x", method, outcome, bytes);
    let y = || volume("y", PodVolume, Some(Succeeded), Some(5));
    let by_uid = RestoredVolume { claim: None, claim_uid: Some("u-x".into()), ..x(PodVolume, Some(Succeeded), Some(1)) };
    let bucket = |mut r: Restore| {
        (r.by, r.phase) = (ToldBy::Bucket, None);
        r.files.results = Side::Read(Default::default());
        r
    };
    let rows = [
        (made(Some(vec![x(PodVolume, Some(Succeeded), Some(7)), y()]), vec![]), true, "the bytes of its 2 claims came back"),
        (made(None, vec![]), false, "manifests only: that the bytes of its 2 claims came back nothing shows"),
        (made(Some(vec![]), vec![]), false, "manifests only"),
        (made(Some(vec![y()]), vec![]), false, "the bytes of 1 of its 2 claims came back, of the others manifests only"),
        (made(Some(vec![x(PodVolume, Some(Succeeded), Some(0)), y()]), vec![]), false, "1 of its 2"),
        (made(Some(vec![x(DataMovement, None, None), y()]), vec![]), true, "the bytes of its 2 claims"),
        (bucket(made(Some(vec![x(DataMovement, None, None), y()]), vec![])), false, "1 of its 2"),
        (made(None, vec![x(DataMovement, Some(Succeeded), Some(3)), y()]), true, "the bytes of its 2 claims"),
        (made(None, vec![x(DataMovement, Some(Running), None), y()]), false, "1 of its 2"),
        (made(None, vec![x(DataMovement, Some(Failed), None), y()]), false, "1 of its 2"),
        (made(None, vec![by_uid, y()]), true, "the bytes of its 2 claims"),
        (made(Some(vec![x(CsiSnapshot, Some(Succeeded), Some(3)), y()]), vec![]), true, "the bytes of its 2 claims"),
        // It was not bound yet when the file was written, and is now.
        (made(Some(vec![x(CsiSnapshot, None, Some(3)), y()]), vec![]), true, "the bytes of its 2 claims"),
    ];
    for (n, (restore, whole, why)) in rows.into_iter().enumerate() {
        let held = vec![World::config_map("shop", "a", "1"), claim("x", "Bound"), claim("y", "Bound"), claim("waits", "Pending")];
        let mut world = World::new().backup(Snapshot::new("b", "01:00").holding(held)).runs(vec![claim("x", "Bound")]);
        let mut restore = restore;
        if let (ToldBy::Bucket, Side::Read(items)) = (restore.by, &mut restore.files.items) {
            items.push(item("v1/PersistentVolumeClaim shop/waits created"));
        }
        world.backed_up.restores = vec![restore];
        let report = world.judge();
        let r = &report.restores[0];
        assert_eq!((r.proves.len(), r.with_bytes.len()), (1, usize::from(whole)), "row {n}: {}", r.why);
        assert!(r.why.contains(why), "row {n}: {}", r.why);
        let proof = report.proofs.iter().find(|p| p.of == ProofOf::Namespace("shop".into())).expect("a row");
        assert_eq!((proof.at.is_some(), proof.with_bytes_at.is_some(), proof.with_bytes), (true, whole, u64::from(whole)), "row {n}");
    }
}

#[test]
fn what_velero_passes_over_by_itself_is_in_nobodys_way() {
    let token = json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"default-token-x","namespace":"shop"},"type":"kubernetes.io/service-account-token"});
    let mirror = json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"m","namespace":"shop","annotations":{"kubernetes.io/config.mirror":"h"},
            "ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n1","uid":"u","controller":true}]}});
    let held = vec![World::config_map("shop", "a", "1"), token, mirror];
    let list = ["v1/ConfigMap shop/a created", "v1/Secret shop/default-token-x skipped", "v1/Pod shop/m skipped"];
    let mut world = World::new().backup(Snapshot::new("b", "01:00").holding(held));
    let mut bucket = restored(Some(&list));
    (bucket.by, bucket.phase, bucket.name) = (ToldBy::Bucket, None, "bucket".into());
    bucket.files.results = Side::Read(Default::default());
    world.backed_up.restores = vec![restored(Some(&list)), bucket];
    for r in world.judge().restores {
        assert_eq!(r.proves, ["shop".into()], "{}: {}", r.name, r.why);
    }
}

#[test]
fn a_proof_outlives_its_restore_and_its_backup_and_grows_old() {
    let mut world = world(vec![restored(Some(&["v1/ConfigMap shop/a created", "v1/ConfigMap pay/b created"]))]);
    let mut onsets = Onsets::default();
    onsets.advance(&world.judge(), world.now);
    // Kept over a restart.
    world.onsets = serde_json::from_str(&serde_json::to_string(&onsets).expect("written")).expect("read");
    world.backed_up.restores.clear();
    let rows = |world: &World| -> Vec<String> {
        let of = |p: &ProofReport| {
            format!("{:?} {} {} {}/{}", p.of, p.at.map_or("-".into(), |t| t.strftime("%H:%M").to_string()), p.remembered, p.proven, p.namespaces)
        };
        world.judge().proofs.iter().map(of).collect()
    };
    let all = rows(&world);
    assert_eq!(all[..2], [r#"Backup("b") 03:01 true 2/2"#, "Layer(Apps) 03:01 true 2/2"], "the restore is gone: {all:?}");
    // Collected with its backup; the newer one was never restored, and does not hold pay any more.
    world.backed_up.backups.clear();
    let world = world.backup(Snapshot::new("c", "02:00").holding(vec![World::config_map("shop", "a", "1")]));
    assert_eq!(rows(&world), [r#"Backup("c") - false 0/1"#, "Layer(Apps) 03:01 true 1/1", r#"Namespace("shop") 03:01 true 1/1"#]);
}
