//! What became of volumes: the volume info file, PodVolumeBackups, DataUploads and provider's snapshots, all as one value. pure

use jiff::Timestamp;
use serde_json::Value;

use super::cut;
use crate::{
    object::Text,
    witness::{VolumeCopy, VolumeMethod, VolumeOutcome},
};

/// Label by which both kinds of attempts name the claim (pkg/apis/velero/v1/labels_annotations.go `PVCUIDLabel`).
const CLAIM_UID: &str = "/metadata/labels/velero.io~1pvc-uid";

pub(super) fn text(value: &Value, pointer: &str) -> Option<Text> {
    value.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty()).map(|t| cut(t).into())
}

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    value.pointer(pointer).and_then(Value::as_str).and_then(|t| t.parse().ok())
}

fn said(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(|t| t.trim().trim_end_matches(';').to_owned()).filter(|t| !t.is_empty())
}

/// `<backup>-volumeinfo.json.gz`.
pub(super) fn infos(file: &Value) -> Option<Vec<VolumeCopy>> {
    // Velero writes null for a backup without volumes.
    if file.is_null() {
        return Some(Vec::new());
    }
    Some(file.as_array()?.iter().filter_map(info).collect())
}

fn info(value: &Value) -> Option<VolumeCopy> {
    let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
    let moved = flag("snapshotDataMoved");
    let method = match (value.get("backupMethod").and_then(Value::as_str), moved) {
        (Some("PodVolumeBackup"), _) => Some(VolumeMethod::PodVolume),
        (Some("CSISnapshot"), true) => Some(VolumeMethod::DataMovement),
        (Some("CSISnapshot"), false) => Some(VolumeMethod::CsiSnapshot),
        (Some("NativeSnapshot"), _) => Some(VolumeMethod::NativeSnapshot),
        _ => None,
    };
    let ready = value.pointer("/csiSnapshotInfo/ReadyToUse").and_then(Value::as_bool);
    let outcome = match (value.get("result").and_then(Value::as_str), method) {
        _ if flag("skipped") => VolumeOutcome::Skipped,
        (Some("succeeded"), _) => VolumeOutcome::Succeeded,
        (Some("failed"), _) => VolumeOutcome::Failed,
        // Before its operation is done, an entry has no result; a snapshot that is ready is one all the same.
        (_, Some(VolumeMethod::CsiSnapshot)) if ready == Some(true) => VolumeOutcome::Succeeded,
        _ => VolumeOutcome::Running,
    };
    let sizes = ["/pvbInfo/size", "/snapshotDataMovementInfo/size", "/csiSnapshotInfo/size"];
    let phases = ["/pvbInfo/Phase", "/snapshotDataMovementInfo/Phase", "/nativeSnapshotInfo/Phase"];
    let phase = || phases.iter().find_map(|p| said(value, p)).map(|p| format!("it ended in phase {p}"));
    let message = match outcome {
        VolumeOutcome::Skipped => said(value, "/skippedReason"),
        VolumeOutcome::Failed => phase(),
        VolumeOutcome::Succeeded | VolumeOutcome::Running => None,
    };
    let size = sizes.iter().find_map(|p| value.pointer(p).and_then(Value::as_u64)).filter(|n| *n > 0);
    // Velero writes no size of none. A storage system may not tell the size of a snapshot, an uploader knows what it has read.
    let uploaded = matches!(method, Some(VolumeMethod::PodVolume | VolumeMethod::DataMovement)) && outcome == VolumeOutcome::Succeeded;
    let pod = text(value, "/pvbInfo/podName").zip(text(value, "/pvbInfo/volumeName"));
    Some(VolumeCopy {
        namespace: text(value, "/pvcNamespace").or_else(|| text(value, "/pvbInfo/podNamespace")).unwrap_or_else(|| "".into()),
        claim: text(value, "/pvcName"),
        claim_uid: None,
        volume: text(value, "/pvName"),
        pod,
        method,
        outcome,
        bytes: size.or(uploaded.then_some(0)),
        at: time(value, "/startTimestamp").or_else(|| time(value, "/completionTimestamp")),
        message,
    })
}

/// `<backup>-podvolumebackups.json.gz`: the objects themselves.
pub(super) fn pod_volume_backups(file: &Value) -> Option<Vec<VolumeCopy>> {
    if file.is_null() {
        return Some(Vec::new());
    }
    Some(file.as_array()?.iter().map(of_pod_volume_backup).collect())
}

pub(super) fn outcome(object: &Value) -> VolumeOutcome {
    let number = |key: &str| object.pointer(&format!("/status/progress/{key}")).and_then(Value::as_u64).unwrap_or_default();
    match object.pointer("/status/phase").and_then(Value::as_str) {
        // All bytes are there. None of none may be an empty volume or nothing at all: Velero calls it done, and `bytes` says so.
        Some("Completed") if number("bytesDone") >= number("totalBytes") => VolumeOutcome::Succeeded,
        Some("Completed" | "Failed" | "Canceled") => VolumeOutcome::Failed,
        _ => VolumeOutcome::Running,
    }
}

fn failed(object: &Value, outcome: VolumeOutcome) -> Option<String> {
    (outcome == VolumeOutcome::Failed).then(|| said(object, "/status/message").unwrap_or_else(|| "Velero does not say why".to_owned()))
}

pub(super) fn bytes(object: &Value, outcome: VolumeOutcome) -> Option<u64> {
    let total = object.pointer("/status/progress/totalBytes").and_then(Value::as_u64).filter(|n| *n > 0);
    total.or((outcome == VolumeOutcome::Succeeded).then_some(0))
}

/// A PodVolumeBackup (pkg/podvolume/backupper.go `newPodVolumeBackup`).
pub fn of_pod_volume_backup(object: &Value) -> VolumeCopy {
    let outcome = outcome(object);
    let pod = text(object, "/spec/pod/name").zip(text(object, "/spec/volume"));
    VolumeCopy {
        namespace: text(object, "/spec/pod/namespace").unwrap_or_else(|| "".into()),
        claim: text(object, "/metadata/annotations/velero.io~1pvc-name"),
        claim_uid: text(object, CLAIM_UID),
        volume: None,
        pod,
        method: Some(VolumeMethod::PodVolume),
        outcome,
        bytes: bytes(object, outcome),
        at: time(object, "/status/startTimestamp"),
        message: failed(object, outcome),
    }
}

/// A DataUpload (pkg/apis/velero/v2alpha1/data_upload_types.go).
pub fn of_data_upload(object: &Value) -> VolumeCopy {
    let outcome = outcome(object);
    VolumeCopy {
        namespace: text(object, "/spec/sourceNamespace").unwrap_or_else(|| "".into()),
        claim: text(object, "/spec/sourcePVC"),
        claim_uid: text(object, CLAIM_UID),
        volume: None,
        pod: None,
        method: Some(VolumeMethod::DataMovement),
        outcome,
        bytes: bytes(object, outcome),
        at: time(object, "/status/startTimestamp"),
        message: failed(object, outcome),
    }
}

/// `<backup>-volumesnapshots.json.gz`: snapshots by a provider's plugin, which know their volume only (internal/volume/volume_types.go).
pub(super) fn native_snapshots(file: &Value) -> Option<Vec<VolumeCopy>> {
    if file.is_null() {
        return Some(Vec::new());
    }
    let of = |s: &Value| {
        let done = s.pointer("/status/phase").and_then(Value::as_str) == Some("Completed");
        VolumeCopy {
            namespace: "".into(),
            claim: None,
            claim_uid: None,
            volume: text(s, "/spec/persistentVolumeName"),
            pod: None,
            method: Some(VolumeMethod::NativeSnapshot),
            outcome: if done { VolumeOutcome::Succeeded } else { VolumeOutcome::Failed },
            bytes: None,
            at: None,
            message: (!done).then(|| "the provider did not take it".to_owned()),
        }
    };
    Some(file.as_array()?.iter().map(of).collect())
}
