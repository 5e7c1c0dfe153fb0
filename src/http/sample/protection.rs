//! Claims, restores and proofs of the sample report. pure

use super::{ago, text};
use crate::{
    config::Layer,
    report::model::{ProofOf, ProofReport, RestoreReport, VolumeEvidence, VolumeReport, VolumeState},
    witness::{BackupState, VolumeMethod, VolumeOutcome},
};

pub(super) fn volumes() -> Vec<VolumeReport> {
    let one = |name: &str, state: VolumeState, reason: &str, why: &str| VolumeReport {
        namespace: "shop".into(),
        name: name.into(),
        layer: Layer::Apps,
        volume: text("pv-0412"),
        storage_class: text("fast"),
        requested_bytes: Some(20 << 30),
        state,
        reason: reason.into(),
        why: why.into(),
        backup: None,
        method: None,
        bytes: None,
        at: None,
        elsewhere: Vec::new(),
        evidence: Vec::new(),
    };
    let said = |backup: &str, state: BackupState, outcome: VolumeOutcome, bytes: Option<u64>, message: Option<&str>| VolumeEvidence {
        backup: backup.into(),
        state,
        method: Some(VolumeMethod::PodVolume),
        outcome: Some(outcome),
        bytes,
        at: bytes.map(|_| ago(700)),
        message: message.map(str::to_owned),
    };
    vec![
        VolumeReport {
            backup: text("daily-20261123020000"),
            method: Some(VolumeMethod::PodVolume),
            bytes: Some(7 << 30),
            at: Some(ago(700)),
            evidence: vec![
                said("daily-20261123020000", BackupState::Restorable, VolumeOutcome::Succeeded, Some(7 << 30), None),
                said("daily-20261122020000", BackupState::Degraded, VolumeOutcome::Failed, None, Some("the node agent lost its connection")),
            ],
            ..one("orders", VolumeState::Present, "kept", "backup daily-20261123020000 has its bytes by file-system backup")
        },
        one(
            "uploads",
            VolumeState::Absent,
            "not_opted_in",
            "nobody has its bytes: in backup daily-20261123020000 nothing is set up to copy it: annotate its pod with backup.velero.io/backup-volumes=uploads",
        ),
    ]
}

pub(super) fn restores() -> Vec<RestoreReport> {
    let one = |name: &str, minutes: i64, created: u64, skipped: u64, proves: &[&str], why: &str| RestoreReport {
        name: name.into(),
        by: "velero".into(),
        backup: text("daily-20261123020000"),
        phase: text("Completed"),
        here: Some(true),
        started: Some(ago(minutes)),
        completed: Some(ago(minutes - 1)),
        created: Some(created),
        updated: Some(0),
        skipped: Some(skipped),
        failed: Some(0),
        proves: proves.iter().map(|n| (*n).into()).collect(),
        with_bytes: Vec::new(),
        why: why.into(),
    };
    vec![
        one("drill-2", 300, 0, 31, &[], "it proves nothing: everything was there already: 31 skipped, 0 left alone because they differ or failed"),
        one(
            "drill-1",
            2900,
            31,
            0,
            &["shop"],
            "it made 31 objects that were not there; manifests only: that the bytes of its 2 claims came back nothing shows",
        ),
    ]
}

pub(super) fn proofs() -> Vec<ProofReport> {
    let one = |of: ProofOf, at: Option<i64>, proven: u64, namespaces: u64| ProofReport {
        with_bytes_at: at.filter(|_| of != ProofOf::Namespace("shop".into())).map(ago),
        with_bytes: proven.min(u64::from(of == ProofOf::Layer(Layer::Platform))),
        remembered: false,
        of,
        at: at.map(ago),
        restore: at.and_then(|_| text("drill-1")),
        backup: at.and_then(|_| text("daily-20261123020000")),
        proven,
        namespaces,
    };
    vec![
        one(ProofOf::Layer(Layer::Platform), Some(2899), 1, 1),
        one(ProofOf::Layer(Layer::Apps), None, 1, 2),
        one(ProofOf::Namespace("shop".into()), Some(2899), 1, 1),
        one(ProofOf::Namespace("payments".into()), None, 0, 1),
    ]
}
