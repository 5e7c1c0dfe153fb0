//! Whose bytes a restore brought back: its volume info file, PodVolumeRestores and DataDownloads, as one value. pure
//!
//! Source: internal/volume/volumes_information.go `RestoreVolumeInfoTracker`. The file is written when the objects are restored: pod volumes have
//! ended by then, with an error in the results if badly (pkg/podvolume/restorer.go `RestorePodVolumes`); data movers may be at work still, and a claim
//! that comes from a snapshot of the storage system has a volume only if it was bound by then.

use serde_json::Value;

use super::volumes::{bytes, outcome, text};
use crate::witness::{RestoredVolume, VolumeMethod, VolumeOutcome};

/// `<restore>-volumeinfo.json.gz`.
pub(super) fn infos(file: &Value) -> Option<Vec<RestoredVolume>> {
    if file.is_null() {
        return Some(Vec::new());
    }
    Some(file.as_array()?.iter().map(info).collect())
}

fn info(value: &Value) -> RestoredVolume {
    let moved = value.get("snapshotDataMoved").and_then(Value::as_bool).unwrap_or_default();
    let method = match (value.get("restoreMethod").and_then(Value::as_str), moved) {
        (Some("PodVolumeRestore"), _) => Some(VolumeMethod::PodVolume),
        (Some("CSISnapshot"), true) => Some(VolumeMethod::DataMovement),
        (Some("CSISnapshot"), false) => Some(VolumeMethod::CsiSnapshot),
        (Some("NativeSnapshot"), _) => Some(VolumeMethod::NativeSnapshot),
        _ => None,
    };
    let bound = text(value, "/pvName").is_some();
    let done = match method {
        Some(VolumeMethod::PodVolume) => true,
        Some(VolumeMethod::CsiSnapshot | VolumeMethod::NativeSnapshot) => bound,
        Some(VolumeMethod::DataMovement) | None => false,
    };
    let size = ["/pvrInfo/size", "/csiSnapshotInfo/size"].iter().find_map(|p| value.pointer(p).and_then(Value::as_u64)).filter(|n| *n > 0);
    RestoredVolume {
        namespace: text(value, "/pvcNamespace").or_else(|| text(value, "/pvrInfo/podNamespace")).unwrap_or_else(|| "".into()),
        claim: text(value, "/pvcName"),
        claim_uid: None,
        method,
        outcome: done.then_some(VolumeOutcome::Succeeded),
        bytes: size.or((method == Some(VolumeMethod::PodVolume)).then_some(0)),
    }
}

/// A PodVolumeRestore (pkg/podvolume/restorer.go `newPodVolumeRestore`). It names its claim by uid alone.
pub fn of_pod_volume_restore(object: &Value) -> RestoredVolume {
    let outcome = outcome(object);
    RestoredVolume {
        namespace: text(object, "/spec/pod/namespace").unwrap_or_else(|| "".into()),
        claim: None,
        claim_uid: text(object, "/metadata/labels/velero.io~1pvc-uid"),
        method: Some(VolumeMethod::PodVolume),
        outcome: Some(outcome),
        bytes: bytes(object, outcome),
    }
}

/// A DataDownload (pkg/restore/actions/csi/pvc_action.go `newDataDownload`).
pub fn of_data_download(object: &Value) -> RestoredVolume {
    let outcome = outcome(object);
    RestoredVolume {
        namespace: text(object, "/spec/targetVolume/namespace").unwrap_or_else(|| "".into()),
        claim: text(object, "/spec/targetVolume/pvc"),
        claim_uid: None,
        method: Some(VolumeMethod::DataMovement),
        outcome: Some(outcome),
        bytes: bytes(object, outcome),
    }
}
