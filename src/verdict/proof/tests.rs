//! Restores in worlds, and what they prove. pure

use super::*;
use crate::{
    verdict::world::{Snapshot, World, at},
    witness::{RestoreFiles, Side},
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
        tested: Vec::new(),
        files,
    }
}

fn world(restores: Vec<Restore>) -> World {
    let held = vec![World::config_map("shop", "a", "1"), World::config_map("pay", "b", "1")];
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
    let bucket = |read: bool| {
        let mut r = restored(Some(&two));
        (r.by, r.phase) = (ToldBy::Bucket, None);
        if read {
            r.files.results = Side::Read(Default::default());
        }
        r
    };
    let rows = [
        (mapped(restored(Some(&fresh))), "shop", "it made 2 objects that were not there"),
        (restored(Some(&again)), "", "everything was there already: 1 skipped, 1 left alone"),
        (restored(Some(&some)), "", "it made 1 objects and was in the way of others"),
        (restored(Some(&two)), "shop", "in 1 namespace it was in the way"),
        (restored(Some(&[])), "", "no objects in namespaces"),
        (with(|r| r.phase = Some("PartiallyFailed".into())), "", "it ended as PartiallyFailed"),
        (with(|r| r.phase = Some("InProgress".into())), "", "it is not done"),
        (with(|r| r.errors = 2), "", "it had 2 errors"),
        (with(|r| r.part = Some("includedResources is configmaps".into())), "", "a part only (includedResources is configmaps)"),
        (with(|r| r.backup = None), "", "which backup it restored is not known"),
        (restored(None), "", "nothing that it made is left here"),
        (kymaros("pass"), "shop", "passed its checks"),
        (kymaros("partial"), "", "its result is partial"),
        (bucket(true), "shop", "it made 1 object that were not there"),
        (bucket(false), "", "how it ended is not known"),
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
}
