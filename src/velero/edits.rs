//! What Velero itself writes into copies while it takes a backup: no copy differs from what runs because of that. pure
//!
//! Sources, all of Velero 1.18.2: pkg/backup/actions/backup_pv_action.go `PVCAction.Execute` (a bound claim loses how it was to be provisioned),
//! pkg/backup/actions/csi/pvc_action.go `Execute`, `validatePVCandPV` and `setPVCRequestSizeToVSRestoreSize` (marks of its snapshot, and the size),
//! volumesnapshot_action.go, volumesnapshotcontent_action.go and volumesnapshotclass_action.go beside it. pkg/backup/item_backupper.go
//! `executeActions` means to take the marks that actions give to the server out again, and takes them out of a copy of the annotations only.

use serde_json::{Map, Value};

use crate::object::{GroupKind, Quantity};

/// Marks of one kind that are Velero's own, whoever carries them.
struct Marks {
    group: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    annotations: &'static [&'static str],
}

/// Says that a snapshot of the claim was taken, as a label and as an annotation.
const SNAPSHOT: &str = "velero.io/volume-snapshot-name";

/// Says that the snapshot's bytes are moved into the bucket.
const DATA_UPLOAD: &str = "velero.io/data-upload-name";

/// Says that what the object leads to passes the filters.
const MUST_INCLUDE: &str = "backup.velero.io/must-include-additional-items";

const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";

const MARKS: [Marks; 4] = [
    Marks {
        group: "",
        kind: "PersistentVolumeClaim",
        labels: &[SNAPSHOT, MUST_INCLUDE],
        annotations: &[SNAPSHOT, DATA_UPLOAD, MUST_INCLUDE, "backup.velero.io/skipped-no-csi-pv"],
    },
    Marks {
        group: SNAPSHOT_GROUP,
        kind: "VolumeSnapshot",
        labels: &[],
        annotations: &[
            MUST_INCLUDE,
            "velero.io/csi-vsc-deletion-policy",
            "velero.io/csi-volumesnapshot-handle",
            "velero.io/csi-driver-name",
            "velero.io/csi-volumesnapshot-restore-size",
            "velero.io/csi-volumegroupsnapshot-handle",
        ],
    },
    Marks { group: SNAPSHOT_GROUP, kind: "VolumeSnapshotContent", labels: &[], annotations: &[MUST_INCLUDE] },
    Marks { group: SNAPSHOT_GROUP, kind: "VolumeSnapshotClass", labels: &[], annotations: &[MUST_INCLUDE] },
];

/// Members of the spec by which a volume was to be found or made; of a bound claim Velero keeps none of them.
const PROVISIONING: [&str; 2] = ["dataSource", "dataSourceRef"];

fn marks(gk: &GroupKind) -> Option<&'static Marks> {
    MARKS.iter().find(|m| gk.is(m.group, m.kind))
}

/// Whether Velero edits copies of this kind.
pub fn touch(gk: &GroupKind) -> bool {
    marks(gk).is_some()
}

/// Takes out of a backup's copy, and of what it is compared with, what Velero edits in copies of that kind. `other` is what runs or what Git declares.
pub fn level(gk: &GroupKind, other: &mut Value, copy: &mut Value) {
    let Some(marks) = marks(gk) else { return };
    let marked = |mark: &str| copy.pointer("/metadata/annotations").is_some_and(|a| a.get(mark).is_some());
    // Of a snapshot whose bytes are moved the size stays as it was.
    let resized = marked(SNAPSHOT) && !marked(DATA_UPLOAD);
    for side in [&mut *other, &mut *copy] {
        if let Some(metadata) = side.get_mut("metadata").and_then(Value::as_object_mut) {
            drop_members(metadata, "labels", |key| marks.labels.contains(&key));
            drop_members(metadata, "annotations", |key| marks.annotations.contains(&key));
        }
    }
    let text = |pointer: &str| copy.pointer(pointer).and_then(Value::as_str);
    if !gk.is("", "PersistentVolumeClaim") || text("/spec/volumeName").is_none_or(str::is_empty) {
        return;
    }
    let dynamic = text("/spec/storageClassName") != Some("");
    for side in [&mut *other, &mut *copy] {
        let Some(spec) = side.get_mut("spec").and_then(Value::as_object_mut) else { continue };
        PROVISIONING.iter().for_each(|key| drop(spec.remove(*key)));
        if dynamic {
            spec.remove("selector");
        } else if let Some(Value::Object(selector)) = spec.get_mut("selector") {
            drop_members(selector, "matchLabels", |key| key.starts_with("velero.io/"));
        }
    }
    if resized {
        resize(other, copy);
    }
}

/// Velero asks for as much as the snapshot needs, if that is more than what the claim asks for.
fn resize(other: &Value, copy: &mut Value) {
    let asked = other.pointer(REQUEST);
    let size = |v: &Value| Quantity::from_json(v);
    let grown = match (asked.and_then(size), copy.pointer(REQUEST).and_then(size)) {
        (Some(asked), Some(held)) => asked < held,
        _ => false,
    };
    if let (true, Some(asked), Some(held)) = (grown, asked, copy.pointer_mut(REQUEST)) {
        *held = asked.clone();
    }
}

const REQUEST: &str = "/spec/resources/requests/storage";

fn drop_members(parent: &mut Map<String, Value>, section: &str, is_own: impl Fn(&str) -> bool) {
    if let Some(Value::Object(members)) = parent.get_mut(section) {
        members.retain(|key, _| !is_own(key));
        if members.is_empty() {
            parent.remove(section);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn same(kind: (&str, &str), other: &Value, copy: &Value) -> bool {
        let (mut other, mut copy) = (other.clone(), copy.clone());
        level(&GroupKind::new(kind.0, kind.1), &mut other, &mut copy);
        other == copy
    }

    const CLAIM: (&str, &str) = ("", "PersistentVolumeClaim");

    fn claim(metadata: Value, more: Value) -> Value {
        let mut spec = json!({"volumeName":"pv-1","storageClassName":"fast","resources":{"requests":{"storage":"5Gi"}}});
        spec.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
        json!({"metadata": metadata, "spec": spec})
    }

    #[test]
    fn what_velero_writes_into_a_copy_is_no_difference_and_all_else_is() {
        let source = json!({"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"s"});
        let selector = json!({"selector":{"matchLabels":{"disk":"a"}}});
        let by_hand = |more: Value| {
            let mut all = json!({"storageClassName":""});
            all.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
            claim(json!({}), all)
        };
        let plain = || claim(json!({}), json!({}));
        let sized = |size: &str| json!({"resources":{"requests":{"storage":size}}});
        let snapshot = json!({"labels":{"velero.io/volume-snapshot-name":"v"},"annotations":{"velero.io/volume-snapshot-name":"v","backup.velero.io/must-include-additional-items":"true"}});
        let moved = json!({"labels":{"velero.io/volume-snapshot-name":"v"},"annotations":{"velero.io/volume-snapshot-name":"v","velero.io/data-upload-name":"velero/b-x"}});
        let marked = |annotation: &str| json!({"metadata":{"annotations":{annotation:"true"}},"spec":{}});
        let bare = json!({"metadata":{},"spec":{}});
        let rows = [
            ("a snapshot", CLAIM, plain(), claim(snapshot.clone(), json!({})), true),
            ("a snapshot whose bytes are moved", CLAIM, plain(), claim(moved.clone(), json!({})), true),
            ("no CSI volume", CLAIM, plain(), claim(json!({"annotations":{"backup.velero.io/skipped-no-csi-pv":"true"}}), json!({})), true),
            (
                "a label of an earlier restore on what runs",
                CLAIM,
                claim(json!({"labels":{"velero.io/volume-snapshot-name":"old"}}), json!({})),
                plain(),
                true,
            ),
            ("another label", CLAIM, plain(), claim(json!({"labels":{"app":"x"}}), json!({})), false),
            ("restored out of a snapshot", CLAIM, claim(json!({}), json!({"dataSource":source})), plain(), true),
            ("the newer spelling of it", CLAIM, claim(json!({}), json!({"dataSourceRef":source})), plain(), true),
            ("a selector", CLAIM, claim(json!({}), selector.clone()), plain(), true),
            ("a selector where no class is asked for", CLAIM, by_hand(selector.clone()), by_hand(json!({})), false),
            (
                "what an earlier restore selected by",
                CLAIM,
                by_hand(json!({"selector":{"matchLabels":{"disk":"a","velero.io/dynamic-pv-restore":"x"}}})),
                by_hand(selector),
                true,
            ),
            ("grown to its snapshot", CLAIM, claim(json!({}), sized("5Gi")), claim(snapshot.clone(), sized("6Gi")), true),
            ("shrunk", CLAIM, claim(json!({}), sized("6Gi")), claim(snapshot, sized("5Gi")), false),
            ("grown without a snapshot", CLAIM, claim(json!({}), sized("5Gi")), claim(json!({}), sized("6Gi")), false),
            ("grown although its bytes are moved", CLAIM, claim(json!({}), sized("5Gi")), claim(moved, sized("6Gi")), false),
            ("another volume", CLAIM, claim(json!({}), json!({"volumeName":"pv-2"})), plain(), false),
            (
                "not bound then",
                CLAIM,
                claim(json!({}), json!({"volumeName":"","dataSource":source})),
                claim(json!({}), json!({"volumeName":""})),
                false,
            ),
            ("a VolumeSnapshot", (SNAPSHOT_GROUP, "VolumeSnapshot"), bare.clone(), marked("velero.io/csi-volumesnapshot-handle"), true),
            ("a VolumeSnapshotContent", (SNAPSHOT_GROUP, "VolumeSnapshotContent"), bare.clone(), marked(MUST_INCLUDE), true),
            ("a VolumeSnapshotClass", (SNAPSHOT_GROUP, "VolumeSnapshotClass"), bare.clone(), marked(MUST_INCLUDE), true),
            ("the same mark on another kind", ("", "ConfigMap"), bare, marked(MUST_INCLUDE), false),
        ];
        for (what, kind, other, copy, want) in rows {
            assert_eq!(same(kind, &other, &copy), want, "{what}");
        }
    }
}
