//! Claims in worlds: who keeps their bytes, or why nobody does. pure

use serde_json::json;

use super::{reasons, *};
use crate::verdict::world::{Snapshot, World, at, scope_of};

fn claim(name: &str) -> Value {
    json!({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":name,"namespace":"shop"},
        "spec":{"volumeName":"pv-data","storageClassName":"fast","resources":{"requests":{"storage":"5Gi"}}}})
}

fn copy(method: Option<VolumeMethod>, outcome: VolumeOutcome, message: Option<&str>) -> VolumeCopy {
    VolumeCopy {
        namespace: "shop".into(),
        claim: Some("data".into()),
        claim_uid: None,
        volume: None,
        pod: None,
        method,
        outcome,
        bytes: Some(7),
        at: Some(at("01:01")),
        message: message.map(str::to_owned),
    }
}

fn kept(method: VolumeMethod) -> VolumeCopy {
    copy(Some(method), VolumeOutcome::Succeeded, None)
}

fn deployment(annotations: Value) -> Value {
    let mut v = World::deployment("db", 1);
    v["spec"]["template"]["metadata"] = json!({"annotations": annotations});
    v["spec"]["template"]["spec"]["volumes"] = json!([{"name":"vol","persistentVolumeClaim":{"claimName":"data"}}]);
    v
}

/// The only claim's state, reason and backup.
fn told(world: World) -> String {
    let report = world.judge();
    assert_eq!(report.volumes.len(), 1, "{:?}", report.volumes);
    let v = &report.volumes[0];
    let letters = v.why.chars().count();
    assert!(letters > 20 && letters < 500, "{}", v.why);
    format!("{} {} {}", v.state.name(), v.reason, v.backup.as_deref().unwrap_or("-"))
}

#[test]
fn who_keeps_the_bytes_is_decided_by_evidence_and_the_reason_is_found_where_there_is_none() {
    let world = || World::new().runs(vec![claim("data")]);
    let new = || Snapshot::new("new", "02:00").holding(vec![claim("data")]);
    let old = || Snapshot::new("old", "01:00").holding(vec![claim("data")]);
    let nothing = || new().volumes(vec![]);
    let mounted = |annotations: Value| world().runs(vec![deployment(annotations)]).backup(nothing());
    let skipped = |why: &str| world().backup(new().volumes(vec![copy(None, VolumeOutcome::Skipped, Some(why))]));
    let tool = |v: Value| world().runs(vec![v]).backup(nothing());
    let made_late = || {
        let mut v = claim("data");
        v["metadata"]["creationTimestamp"] = "2026-03-02T03:00:00Z".into();
        World::new().runs(vec![v]).backup(Snapshot::new("new", "02:00").volumes(vec![]))
    };
    // A claim made anew: other uid, other volume, and everything that backups have of its name is of the former one.
    let anew = |created: Option<&str>, copy: VolumeCopy| {
        let mut v = claim("data");
        v["metadata"]["uid"] = "u2".into();
        if let Some(clock) = created {
            v["metadata"]["creationTimestamp"] = format!("2026-03-02T{clock}:00Z").into();
        }
        World::new().runs(vec![v]).backup(new().volumes(vec![copy]))
    };
    let of = |uid: Option<&str>, volume: Option<&str>| VolumeCopy {
        claim_uid: uid.map(Into::into),
        volume: volume.map(Into::into),
        ..kept(VolumeMethod::PodVolume)
    };
    let nightly =
        |clock: &str, copies: Vec<VolumeCopy>| Snapshot::new(&format!("n-{clock}"), clock).holding(vec![claim("data")]).volumes(copies).of("n");
    let hourly = |clock: &str| Snapshot::new("h", clock).holding(vec![claim("data")]).volumes(vec![copy(None, VolumeOutcome::Skipped, None)]).of("h");
    let skip = || vec![copy(None, VolumeOutcome::Skipped, Some("volumeSnapshot: not satisfy the criteria for VolumePolicy"))];
    let unbound = || {
        let mut v = claim("data");
        v["spec"].as_object_mut().expect("a spec").remove("volumeName");
        World::new().runs(vec![v]).backup(nothing())
    };
    let failed_pod = |message: &str| {
        let object = crate::witness::MissingObject {
            resource: Some("pods".into()),
            namespace: Some("shop".into()),
            name: "db-6d5f-x2x".into(),
            held: Some(false),
            message: message.to_owned(),
        };
        world().runs(vec![deployment(json!({}))]).backup(nothing().with(|b| b.missing.push(object)))
    };
    let failed_elsewhere = |change: fn(&mut crate::witness::MissingObject)| {
        let mut world = failed_pod("boom");
        change(&mut world.backed_up.backups[0].missing[0]);
        world
    };
    // What Velero 1.18 wrote of the claim of a pod whose hook failed, and of one that a policy leaves out.
    let failed_pod_and = |why: &str| {
        let mut world = failed_pod("Error running pre hooks for pod: timed out");
        let told =
            new().volumes(vec![copy(None, VolumeOutcome::Skipped, Some(why))]).with(|b| b.missing = world.backed_up.backups[0].missing.clone());
        world.backed_up.backups.clear();
        world.backup(told)
    };
    let empty = |method| VolumeCopy { bytes: Some(0), ..kept(method) };
    let opt_in = json!({"backup.velero.io/backup-volumes": "other, vol"});
    let opt_out = json!({"backup.velero.io/backup-volumes-excludes": "vol"});
    let by_object = |outcome| {
        let mut w = world().backup(new());
        w.backed_up.copies.push(("new".into(), copy(Some(VolumeMethod::PodVolume), outcome, None)));
        w
    };
    let rows = [
        (world().backup(new().volumes(vec![kept(VolumeMethod::PodVolume)])), "present kept new"),
        (world().backup(new().volumes(vec![kept(VolumeMethod::DataMovement)])), "present kept new"),
        (world().backup(new().volumes(vec![kept(VolumeMethod::NativeSnapshot)])), "present kept new"),
        (world().backup(new().volumes(vec![kept(VolumeMethod::CsiSnapshot)])), "snapshot snapshot_in_cluster new"),
        (world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)])).backup(nothing()), "present kept_in_older old"),
        (
            world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)])).backup(new().volumes(vec![kept(VolumeMethod::CsiSnapshot)])),
            "present kept_in_older old",
        ),
        // A newer one that could not be looked into, that does not take the claim, or that another schedule made says nothing against it.
        (world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)])).backup(new()), "present kept old"),
        (
            world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)])).backup(nothing().scope(scope_of(&["elsewhere"], &[]))),
            "present kept old",
        ),
        (world().backup(nightly("01:00", vec![kept(VolumeMethod::PodVolume)])).backup(hourly("02:00")), "present kept n-01:00"),
        (
            world().backup(nightly("01:00", vec![kept(VolumeMethod::PodVolume)])).backup(nightly("02:00", skip())).backup(hourly("03:00")),
            "present kept_in_older n-01:00",
        ),
        (anew(Some("03:00"), kept(VolumeMethod::PodVolume)), "absent too_new -"),
        (anew(Some("03:00"), copy(None, VolumeOutcome::Skipped, Some("podvolume: opted out due to annotation in pod db"))), "absent too_new -"),
        (anew(Some("02:00"), kept(VolumeMethod::PodVolume)), "present kept new"),
        (anew(None, of(Some("u2"), Some("pv-data"))), "present kept new"),
        (anew(None, of(Some("u1"), None)), "absent too_new -"),
        (anew(None, of(None, Some("pv-former"))), "absent too_new -"),
        (anew(Some("03:00"), VolumeCopy { claim: None, volume: Some("pv-data".into()), ..kept(VolumeMethod::NativeSnapshot) }), "absent too_new -"),
        // Nothing of before it was made matters, read or not.
        (anew(Some("03:00"), kept(VolumeMethod::PodVolume)).backup(Snapshot::new("older", "01:00").holding(vec![])), "absent too_new -"),
        (
            world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)]).state(crate::witness::BackupState::Expired)).backup(nothing()),
            "absent not_mounted -",
        ),
        (by_object(VolumeOutcome::Succeeded), "present kept new"),
        // Its file was not read, so what the objects do not tell nobody knows.
        (by_object(VolumeOutcome::Failed), "absent failed -"),
        (world().backup(new()), "unknown volume_info_unread -"),
        (world().backup(nothing()).backups_as_of(None), "unknown velero_unread -"),
        (world(), "absent no_usable_backup -"),
        (unbound(), "unbound unbound -"),
        (made_late(), "absent too_new -"),
        (world().backup(Snapshot::new("new", "02:00").scope(scope_of(&["elsewhere"], &[])).volumes(vec![])), "absent excluded -"),
        (skipped("podvolume: opted out due to annotation in pod db;volumeSnapshot: no applicable volumesnapshotter found"), "absent not_opted_in -"),
        (skipped("volumeSnapshot: matched action is 'skip' in chosen resource policies"), "skipped policy_skip -"),
        (world().backup(new().volumes(vec![copy(Some(VolumeMethod::PodVolume), VolumeOutcome::Failed, Some("no space left"))])), "absent failed -"),
        (mounted(json!({})), "absent not_opted_in -"),
        (mounted(opt_in), "absent no_evidence -"),
        (world().runs(vec![deployment(opt_out)]).backup(nothing().with(|b| b.volumes.fs_default = true)), "skipped opted_out -"),
        (failed_pod("pre hook failed"), "absent hook_failed -"),
        (failed_pod("boom"), "absent pod_failed -"),
        (failed_elsewhere(|m| m.namespace = Some("pay".into())), "absent not_opted_in -"),
        (failed_elsewhere(|m| m.resource = Some("configmaps".into())), "absent not_opted_in -"),
        (failed_elsewhere(|m| (m.namespace, m.resource) = (None, None)), "absent pod_failed -"),
        (failed_pod_and("volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way"), "absent hook_failed -"),
        (failed_pod_and("any: skipped due to resource policy "), "skipped policy_skip -"),
        (failed_pod_and("podvolume: opted out due to annotation in pod db"), "absent not_opted_in -"),
        (world().backup(new().volumes(vec![empty(VolumeMethod::PodVolume)])), "unknown nothing_copied -"),
        (world().backup(new().volumes(vec![empty(VolumeMethod::DataMovement), kept(VolumeMethod::CsiSnapshot)])), "snapshot snapshot_in_cluster new"),
        (
            world().backup(old().volumes(vec![kept(VolumeMethod::PodVolume)])).backup(new().volumes(vec![empty(VolumeMethod::PodVolume)])),
            "present kept old",
        ),
        (
            tool(
                json!({"apiVersion":"volsync.backube/v1alpha1","kind":"ReplicationSource","metadata":{"name":"r","namespace":"shop"},"spec":{"sourcePVC":"data","restic":{}}}),
            ),
            "elsewhere held_elsewhere -",
        ),
    ];
    for (n, (world, want)) in rows.into_iter().enumerate() {
        assert_eq!(told(world), want, "row {n}");
    }
}

#[test]
fn veleros_own_words_are_sorted_into_reasons() {
    let said = |message: &str, fs_default: bool| {
        let mut backup = None;
        let world = World::new().backup(Snapshot::new("b", "01:00").with(|b| b.volumes.fs_default = fs_default));
        backup.replace(world.backed_up.backups[0].clone());
        let reason = reasons::velero_says(message, &backup.expect("a backup"), &[]);
        format!("{}{}", reason.word, if reason.skipped { ", decided" } else { "" })
    };
    // Each as Velero 1.18 wrote it, or as its source has it.
    for (message, fs_default, want) in [
        ("podvolume: opted out due to annotation in pod db;volumeSnapshot: no applicable volumesnapshotter found", false, "not_opted_in"),
        ("podvolume: opted out due to annotation in pod db", true, "opted_out, decided"),
        (
            "podvolume: encountered a problem with backing up the PVC of pod shop/db: daemonset pod not found in running state in node n1;volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way",
            true,
            "no_node_agent",
        ),
        (
            "podvolume: encountered a problem with backing up the PVC of pod shop/db: pod is not scheduled, name=db, namespace=shop, phase=Pending",
            true,
            "pod_not_running",
        ),
        ("volumeSnapshot: matched action is 'skip' in chosen resource policies", false, "policy_skip, decided"),
        ("any: skipped due to resource policy ", false, "policy_skip, decided"),
        ("any: item has label velero.io/exclude-from-backup=true", false, "excluded_by_label, decided"),
        ("volumeSnapshot: no applicable volumesnapshotter found", true, "no_snapshotter"),
        ("csiSnapshot: skipped b/c it's not a CSI volume", true, "no_snapshotter"),
        ("volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way", true, "not_chosen"),
        (
            "podvolume: volume v declared in pod shop/db is a block volume. Block volumes are not supported for fs backup, skipping",
            true,
            "not_copyable",
        ),
    ] {
        assert_eq!(said(message, fs_default), want, "{message}");
    }
}

#[test]
fn other_tools_are_named_when_they_are_set_up_for_this_very_claim() {
    let object = |api: &str, kind: &str, spec: Value| json!({"apiVersion":api,"kind":kind,"metadata":{"name":"it","namespace":"shop"},"spec":spec});
    let labelled = |labels: Value, annotations: Value| {
        let mut v = claim("data");
        v["metadata"]["labels"] = labels;
        v["metadata"]["annotations"] = annotations;
        v
    };
    let volume = |driver: &str| json!({"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"pv-data"},"spec":{"csi":{"driver":driver}}});
    let plain = || labelled(json!({}), json!({}));
    let postgres = |cluster: &str| object("postgresql.cnpg.io/v1", "ScheduledBackup", json!({"schedule":"0 0 0 * * *","cluster":{"name":cluster}}));
    let longhorn = |groups: Value, task: &str| object("longhorn.io/v1beta2", "RecurringJob", json!({"groups":groups,"task":task,"cron":"0 1 * * *"}));
    let snapshots = |selector: Value, disabled: bool| {
        object("snapscheduler.backube/v1", "SnapshotSchedule", json!({"claimSelector":selector,"disabled":disabled}))
    };
    let rows: Vec<(Value, Vec<Value>, &str)> = vec![
        (labelled(json!({"cnpg.io/cluster":"pg"}), json!({})), vec![postgres("pg")], "cloudnative_pg"),
        (labelled(json!({"cnpg.io/cluster":"pg"}), json!({})), vec![postgres("other")], ""),
        (plain(), vec![postgres("pg")], ""),
        (plain(), vec![object("volsync.backube/v1alpha1", "ReplicationSource", json!({"sourcePVC":"data"}))], "volsync"),
        (plain(), vec![object("volsync.backube/v1alpha1", "ReplicationSource", json!({"sourcePVC":"data","paused":true}))], ""),
        (plain(), vec![object("k8up.io/v1", "Schedule", json!({"backup":{"schedule":"@daily-random"}}))], "k8up"),
        (labelled(json!({}), json!({"k8up.io/backup":"false"})), vec![object("k8up.io/v1", "Schedule", json!({"backup":{}}))], ""),
        (plain(), vec![object("k8up.io/v1", "Schedule", json!({"check":{}}))], ""),
        (plain(), vec![longhorn(json!(["default"]), "backup"), volume("driver.longhorn.io")], "longhorn"),
        (plain(), vec![longhorn(json!(["default"]), "backup"), volume("ebs.csi.aws.com")], ""),
        (
            labelled(json!({"recurring-job.longhorn.io/it":"enabled"}), json!({})),
            vec![longhorn(json!([]), "snapshot"), volume("driver.longhorn.io")],
            "longhorn",
        ),
        (
            labelled(json!({"recurring-job.longhorn.io/that":"enabled"}), json!({})),
            vec![longhorn(json!(["default"]), "backup"), volume("driver.longhorn.io")],
            "",
        ),
        (plain(), vec![longhorn(json!(["default"]), "snapshot-cleanup"), volume("driver.longhorn.io")], ""),
        (labelled(json!({"keep":"yes"}), json!({})), vec![snapshots(json!({"matchLabels":{"keep":"yes"}}), false)], "snapscheduler"),
        (plain(), vec![snapshots(json!({"matchLabels":{"keep":"yes"}}), false)], ""),
        (plain(), vec![snapshots(json!({}), true)], ""),
        (
            plain(),
            vec![object("snapshot.storage.k8s.io/v1", "VolumeSnapshot", json!({"source":{"persistentVolumeClaimName":"data"}}))],
            "volume_snapshot",
        ),
    ];
    for (n, (claim, objects, want)) in rows.into_iter().enumerate() {
        let world = World::new().runs(vec![claim]).runs(objects).backup(Snapshot::new("b", "01:00").volumes(vec![]));
        let report = world.judge();
        let tools: Vec<&str> = report.volumes[0].elsewhere.iter().map(|h| &*h.tool).collect();
        assert_eq!(tools.join(" "), want, "row {n}");
        assert_eq!(report.volumes[0].state == VolumeState::Elsewhere, !want.is_empty(), "row {n}");
    }
}

#[test]
fn a_tool_whose_kinds_cannot_be_read_is_not_passed_over_in_silence() {
    let source = json!({"apiVersion":"volsync.backube/v1alpha1","kind":"ReplicationSource","metadata":{"name":"it","namespace":"shop"},"spec":{"sourcePVC":"other"}});
    let world = World::new().runs(vec![claim("data"), source]).backup(Snapshot::new("b", "01:00").volumes(vec![]));
    let dark = world.clone().listing("volsync.backube", "ReplicationSource", crate::witness::Listing::Failed(Failure::new("forbidden", "no")));
    assert!(!world.judge().volumes[0].why.contains("could not be read"));
    let why = dark.judge().volumes[0].why.clone();
    assert!(why.ends_with("whether replicationsources.volsync.backube keep it could not be read"), "{why}");
}

#[test]
fn a_stateful_sets_claim_is_known_by_its_template() {
    let set = json!({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db","namespace":"shop"},
        "spec":{"template":{"metadata":{"annotations":{"backup.velero.io/backup-volumes":"data"}},"spec":{}},
        "volumeClaimTemplates":[{"metadata":{"name":"data"}}]}});
    let told = |name: &str| {
        let world = World::new().runs(vec![claim(name), set.clone()]).backup(Snapshot::new("b", "01:00").holding(vec![claim(name)]).volumes(vec![]));
        world.judge().volumes[0].reason.to_string()
    };
    assert_eq!((told("data-db-0"), told("data-db-x"), told("data-web-0")), ("no_evidence".into(), "not_mounted".into(), "not_mounted".into()));
}

#[test]
fn a_claim_without_bytes_is_told_whoever_has_its_manifest() {
    let world = World::new().declares("shop", vec![claim("data")]).runs(vec![claim("data")]);
    let world = world.backup(Snapshot::new("new", "02:00").holding(vec![claim("data")]).volumes(vec![]));
    let report = world.judge();
    assert_eq!(report.objects.iter().find(|o| &*o.id.name == "data").map(|o| o.recovery.name()), Some("either"));
    assert!(report.volumes[0].is_unprotected() && report.volumes[0].requested_bytes == Some(5 << 30));
}
