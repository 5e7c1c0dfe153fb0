//! Files as a Velero server wrote them, and files that are damaged. pure

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::*;
use crate::witness::{Entry, RestoreAction, VolumeCopy, VolumeMethod, VolumeOutcome};

fn zip(value: &Value) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(value.to_string().as_bytes()).expect("written");
    out.finish().expect("ended")
}

fn side(file: SideFile, value: &Value) -> SideFiles {
    let mut files = SideFiles::default();
    files.take(file, "f", Ok(Some(&zip(value))));
    files
}

fn copies(file: SideFile, value: &Value) -> Vec<VolumeCopy> {
    let files = side(file, value);
    [files.volumes, files.pod_volumes, files.snapshots].iter().filter_map(Side::read).flatten().cloned().collect()
}

#[test]
fn entries_of_a_backup_name_the_object_and_those_of_a_restore_are_sentences() {
    let read = side(
        SideFile::Results,
        &json!({"errors": {
            "velero": [" message: /Error getting backup store error: /no such bucket"],
            "namespaces": {"shop": [" resource: /pods name: /db-0 message: /Error backing up item error: /daemonset pod not found in running state in node n1"]}},
            "warnings": {"cluster": ["could not restore, ClusterRole:view already exists."]}}),
    );
    let results = read.results.read().expect("read");
    let entry = |namespace: Option<&str>, resource: Option<&str>, name: Option<&str>, message: &str| Entry {
        namespace: namespace.map(Into::into),
        resource: resource.map(Into::into),
        name: name.map(Into::into),
        message: message.into(),
    };
    assert_eq!(
        results.errors,
        [
            entry(None, None, None, "Error getting backup store: no such bucket"),
            entry(Some("shop"), Some("pods"), Some("db-0"), "Error backing up item: daemonset pod not found in running state in node n1"),
        ]
    );
    assert_eq!(results.warnings, [entry(None, None, None, "could not restore, ClusterRole:view already exists.")]);
}

#[test]
fn a_crowd_of_errors_is_counted_and_not_kept() {
    let many: Vec<String> = (0..5000).map(|n| format!(" message: /m{n}")).collect();
    let read = side(SideFile::Results, &json!({"errors": {"velero": many}}));
    let results = read.results.read().expect("read");
    assert_eq!((results.errors.len(), results.untold_errors, results.untold_warnings), (2000, 3000, 0));
}

#[test]
fn every_way_to_keep_a_volume_is_told_apart() {
    let rows = [
        (
            json!({"backupMethod":"PodVolumeBackup","result":"succeeded","pvbInfo":{"size":7,"podName":"db-0","volumeName":"data","Phase":"Completed"}}),
            "Some(PodVolume) Succeeded Some(7) None",
        ),
        (
            json!({"backupMethod":"PodVolumeBackup","result":"failed","pvbInfo":{"podName":"db-0","volumeName":"data","Phase":"Failed"}}),
            "Some(PodVolume) Failed None Some(\"it ended in phase Failed\")",
        ),
        (
            json!({"backupMethod":"CSISnapshot","snapshotDataMoved":true,"result":"succeeded","snapshotDataMovementInfo":{"size":9}}),
            "Some(DataMovement) Succeeded Some(9) None",
        ),
        // As Velero 1.18 writes it of an empty volume.
        (
            json!({"backupMethod":"PodVolumeBackup","result":"succeeded","pvbInfo":{"podName":"db-0","volumeName":"data","Phase":"Completed"}}),
            "Some(PodVolume) Succeeded Some(0) None",
        ),
        (
            json!({"backupMethod":"CSISnapshot","snapshotDataMoved":false,"csiSnapshotInfo":{"size":5,"ReadyToUse":true}}),
            "Some(CsiSnapshot) Succeeded Some(5) None",
        ),
        (
            json!({"backupMethod":"CSISnapshot","snapshotDataMoved":false,"csiSnapshotInfo":{"ReadyToUse":false}}),
            "Some(CsiSnapshot) Running None None",
        ),
        (
            json!({"backupMethod":"NativeSnapshot","result":"succeeded","nativeSnapshotInfo":{"Phase":"Completed"}}),
            "Some(NativeSnapshot) Succeeded None None",
        ),
        (
            json!({"skipped":true,"skippedReason":"volumeSnapshot: no applicable volumesnapshotter found;"}),
            "None Skipped None Some(\"volumeSnapshot: no applicable volumesnapshotter found\")",
        ),
    ];
    for (mut row, want) in rows {
        row["pvcName"] = "data".into();
        row["pvcNamespace"] = "shop".into();
        let found = copies(SideFile::VolumeInfo, &json!([row]));
        let c = &found[0];
        assert_eq!((&*c.namespace, c.claim.as_deref()), ("shop", Some("data")));
        assert_eq!(format!("{:?} {:?} {:?} {:?}", c.method, c.outcome, c.bytes, c.message), want);
    }
    assert!(copies(SideFile::VolumeInfo, &json!(null)).is_empty());
}

#[test]
fn objects_that_copy_volumes_say_the_same_as_the_files() {
    let pvb = |status: Value| json!({"metadata":{"annotations":{"velero.io/pvc-name":"data"}},"spec":{"pod":{"namespace":"shop","name":"db-0"},"volume":"data"},"status":status});
    let done =
        of_pod_volume_backup(&pvb(json!({"phase":"Completed","startTimestamp":"2026-03-01T01:00:05Z","progress":{"totalBytes":10,"bytesDone":10}})));
    assert_eq!(
        (done.outcome, done.bytes, done.claim.as_deref(), done.method),
        (VolumeOutcome::Succeeded, Some(10), Some("data"), Some(VolumeMethod::PodVolume))
    );
    assert!(done.at.is_some());
    let nothing = of_pod_volume_backup(&pvb(json!({"phase":"Completed","progress":{}})));
    assert_eq!((nothing.outcome, nothing.bytes), (VolumeOutcome::Succeeded, Some(0)), "an empty volume, or none");
    let half = of_pod_volume_backup(&pvb(json!({"phase":"Completed","progress":{"totalBytes":10,"bytesDone":9}})));
    assert_eq!(half.outcome, VolumeOutcome::Failed);
    let failed = copies(SideFile::PodVolumeBackups, &json!([pvb(json!({"phase":"Failed","message":"no space left"}))]));
    assert_eq!((failed[0].outcome, failed[0].message.as_deref()), (VolumeOutcome::Failed, Some("no space left")));
    let moving = of_data_upload(&json!({"spec":{"sourceNamespace":"shop","sourcePVC":"data"},"status":{"phase":"InProgress"}}));
    assert_eq!((moving.outcome, &*moving.namespace, moving.claim.as_deref()), (VolumeOutcome::Running, "shop", Some("data")));
    let native = copies(SideFile::VolumeSnapshots, &json!([{"spec":{"persistentVolumeName":"pv-1"},"status":{"phase":"Completed"}}]));
    assert_eq!((native[0].volume.as_deref(), native[0].outcome), (Some("pv-1"), VolumeOutcome::Succeeded));
}

#[test]
fn what_a_restore_did_to_each_object_is_read_line_by_line() {
    let list =
        zip(&json!({"apps/v1/Deployment": ["shop/cart(created)", "shop/pay(failed)"], "v1/Namespace": ["shop(skipped)", "odd", "odd(perhaps)"]}));
    let mut files = RestoreFiles::of("r");
    files.take(RestoreFile::ResourceList, "f", Ok(Some(&list)));
    let mut told: Vec<String> =
        files.items.read().expect("read").iter().map(|i| format!("{} {:?} {} {:?}", i.kind, i.namespace.as_deref(), i.name, i.action)).collect();
    told.sort();
    assert_eq!(
        told,
        ["apps/v1/Deployment Some(\"shop\") cart Created", "apps/v1/Deployment Some(\"shop\") pay Failed", "v1/Namespace None shop Skipped"]
    );
    assert_eq!(files.items.read().map(|i| i[0].action), Some(RestoreAction::Created));
}

#[test]
fn whose_bytes_a_restore_brought_back_its_volume_info_says_as_far_as_it_knows() {
    let row = |more: Value| {
        let mut row = json!({"pvcName": "data", "pvcNamespace": "shop-drill", "snapshotDataMoved": false});
        row.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
        row
    };
    let rows = [
        (json!({"restoreMethod":"PodVolumeRestore","pvrInfo":{"size":7,"podName":"db-0","volumeName":"data"}}), "PodVolume Some(Succeeded) Some(7)"),
        // Velero leaves a size of none out.
        (json!({"restoreMethod":"PodVolumeRestore","pvrInfo":{"podName":"db-0","volumeName":"data"}}), "PodVolume Some(Succeeded) Some(0)"),
        (json!({"restoreMethod":"CSISnapshot","snapshotDataMoved":true,"snapshotDataMovementInfo":{"operationID":"dd-1"}}), "DataMovement None None"),
        (json!({"restoreMethod":"CSISnapshot","pvName":"pvc-1","csiSnapshotInfo":{"size":5}}), "CsiSnapshot Some(Succeeded) Some(5)"),
        (json!({"restoreMethod":"CSISnapshot","csiSnapshotInfo":{"size":5}}), "CsiSnapshot None Some(5)"),
        (
            json!({"restoreMethod":"NativeSnapshot","pvName":"pv-1","nativeSnapshotInfo":{"snapshotHandle":"s"}}),
            "NativeSnapshot Some(Succeeded) None",
        ),
    ];
    for (more, want) in rows {
        let mut files = RestoreFiles::of("r");
        files.take(RestoreFile::VolumeInfo, "f", Ok(Some(&zip(&json!([row(more)])))));
        let [v] = &files.volumes.read().expect("read")[..] else { panic!("one row") };
        assert_eq!((&*v.namespace, v.claim.as_deref()), ("shop-drill", Some("data")));
        assert_eq!(format!("{:?} {:?} {:?}", v.method.expect("a method"), v.outcome, v.bytes), want);
    }
    let mut files = RestoreFiles::of("r");
    files.take(RestoreFile::VolumeInfo, "f", Ok(Some(&zip(&json!(null)))));
    assert_eq!(files.volumes, Side::Read(Vec::new()));
    let labels = json!({"velero.io/pvc-uid": "u-claim"});
    let object = |spec: Value, progress: Value| json!({"metadata":{"labels":labels},"spec":spec,"status":{"phase":"Completed","progress":progress}});
    let pod = of_pod_volume_restore(&object(
        json!({"pod":{"namespace":"shop-drill","name":"db-0"},"volume":"data"}),
        json!({"totalBytes":4,"bytesDone":4}),
    ));
    assert_eq!(
        (&*pod.namespace, pod.claim_uid.as_deref(), pod.outcome, pod.bytes),
        ("shop-drill", Some("u-claim"), Some(VolumeOutcome::Succeeded), Some(4))
    );
    let moved =
        of_data_download(&object(json!({"targetVolume":{"namespace":"shop-drill","pvc":"data","pv":""}}), json!({"totalBytes":4,"bytesDone":2})));
    assert_eq!((moved.claim.as_deref(), moved.outcome), (Some("data"), Some(VolumeOutcome::Failed)));
}

#[test]
fn a_file_that_cannot_be_read_says_why_and_quotes_nothing() {
    let whole = zip(&json!({"errors": {"velero": ["canary"]}}));
    let mut damaged = whole.clone();
    damaged[12] ^= 0x55;
    let read = |bytes: &[u8]| {
        let mut files = SideFiles::default();
        files.take(SideFile::Results, "b-results.gz", Ok(Some(bytes)));
        files.results
    };
    for (bytes, word) in [(&whole[..whole.len() - 6], "gzip"), (&damaged, "gzip"), (b"plain", "gzip"), (&zip(&json!([])), "shape")] {
        let failed = read(bytes);
        let failure = failed.failure().expect("not read");
        assert!(failure.message.contains(word) && failure.message.contains("b-results.gz") && !failure.message.contains("canary"), "{failure:?}");
    }
    assert!(read(&zip(&json!({}))).read().is_some());
    let mut absent = SideFiles::default();
    absent.take(SideFile::VolumeInfo, "f", Ok(None));
    assert_eq!((absent.volumes, absent.results), (Side::Absent, Side::Unread));
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![b' '; 1 << 20];
    (0..70).for_each(|_| out.write_all(&chunk).expect("written"));
    let mut files = SideFiles::default();
    files.take(SideFile::Results, "f", Ok(Some(&out.finish().expect("ended"))));
    assert!(files.results.failure().expect("refused").message.contains("more than"));
}

#[test]
fn names_follow_the_layout_of_a_bucket() {
    let names = SideFile::ALL.map(|f| f.name("b"));
    assert_eq!(names[..4], ["b-results.gz", "b-volumeinfo.json.gz", "b-podvolumebackups.json.gz", "b-volumesnapshots.json.gz"]);
    assert_eq!(names[4], "b-resource-list.json.gz");
    assert_eq!(RestoreFile::ALL.map(|f| f.name("r")), ["restore-r-results.gz", "restore-r-resource-list.json.gz", "r-volumeinfo.json.gz"]);
    assert!(SideFile::ALL.iter().filter(|f| f.download_kind().is_none()).eq([&SideFile::PodVolumeBackups]));
}
