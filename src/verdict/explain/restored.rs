//! What a restore of the backup that speaks would do to an object now. pure

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Teller, fixed};
use crate::{
    object::Object,
    verdict::{copies::Copy, never, sides::Cluster},
    witness::{Backup, Side, VolumeMethod},
};

/// What a restore would do to an object now (Velero pkg/restore/restore.go `restoreItem`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreEffect {
    /// No usable backup holds it: nothing.
    Nothing,
    /// The cluster does not have it: it is created as the backup holds it.
    Create,
    /// It exists and is the same: nothing.
    SkipSame,
    /// It exists and differs: it is left alone with a warning, and overwritten only with `existingResourcePolicy: update`.
    SkipDiffers,
    /// It exists and differs: with `existingResourcePolicy: update` it is patched to what the backup holds, which rolls it back.
    Overwrite,
    /// It exists and differs: of a ServiceAccount, the backup's secrets, labels and annotations are added, and what the cluster has wins.
    Merge,
    /// It exists and differs in what the API server lets nobody change: with `existingResourcePolicy: update` the patch is refused, and only the
    /// restore's labels are set.
    Refused,
    /// Of a PersistentVolume: it is left out, and its claim gets a new one from its storage class.
    Provisioned,
    /// Velero never restores it: by its kind, because it had come to its end, or because Kubernetes makes it.
    NeverRestored,
    /// It cannot be said.
    Unknown,
}

impl Teller<'_, '_> {
    /// What a restore would do; `update` says with `existingResourcePolicy: update`.
    pub(super) fn restore(&self, update: bool) -> RestoreEffect {
        let id = &self.case.id;
        if never::by_kind(id) {
            return RestoreEffect::NeverRestored;
        }
        let mut held = None;
        if let Some((backup, copy)) = self.case.copies.held() {
            let Ok(whole) = copy.whole() else { return RestoreEffect::Unknown };
            let value = whole.content.value();
            if never::completed(copy) || never::made_by_kubernetes(id, &value) {
                return RestoreEffect::NeverRestored;
            }
            if id.gk.is("", "PersistentVolume") {
                match provisioned(backup, &id.name, &value) {
                    Some(true) => return RestoreEffect::Provisioned,
                    Some(false) => {}
                    None => return RestoreEffect::Unknown,
                }
            }
            held = Some(value);
        }
        let differs = |live: &Object| match &held {
            _ if id.gk.is("", "ServiceAccount") => RestoreEffect::Merge,
            _ if !update => RestoreEffect::SkipDiffers,
            // Of a volume and its claim, what the patch would change depends on what the restore does with the other of the two.
            _ if id.gk.is("", "PersistentVolume") || id.gk.is("", "PersistentVolumeClaim") => RestoreEffect::Unknown,
            Some(copy) if fixed::stands_between(id, &live.content.value(), copy) => RestoreEffect::Refused,
            _ => RestoreEffect::Overwrite,
        };
        match (&self.case.copies.answers[..], &self.case.live) {
            ([Copy::Missing(_) | Copy::Wanted(_) | Copy::Outside], _) => RestoreEffect::Nothing,
            ([Copy::Held(..)], Cluster::Absent) => RestoreEffect::Create,
            // Velero reads what is there in the version of the copy, so versions are no difference to it.
            ([Copy::Held(_, copy)], Cluster::Present(live)) if !live.meta.partial => match self.join.engine.same_in_full(live, copy) {
                Ok(true) => RestoreEffect::SkipSame,
                Ok(false) => differs(live),
                Err(_) => RestoreEffect::Unknown,
            },
            _ => RestoreEffect::Unknown,
        }
    }
}

/// Whether a restore leaves a PersistentVolume out and has its claim provisioned anew: where the backup has its bytes by other means than a
/// provider's snapshot, or has none and the volume would be deleted with its claim. `None` if nobody read how its bytes are kept.
fn provisioned(backup: &Backup, name: &str, copy: &serde_json::Value) -> Option<bool> {
    let deleted = copy.pointer("/spec/persistentVolumeReclaimPolicy").and_then(serde_json::Value::as_str) == Some("Delete");
    let own = match &backup.side.volumes {
        Side::Read(volumes) => volumes.iter().find(|v| v.volume.as_deref() == Some(name)),
        _ => return None,
    };
    Some(match own.and_then(|v| v.method) {
        Some(VolumeMethod::NativeSnapshot) => false,
        Some(VolumeMethod::PodVolume | VolumeMethod::DataMovement | VolumeMethod::CsiSnapshot) => true,
        None => deleted,
    })
}
