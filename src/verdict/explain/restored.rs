//! What a restore of the backup that speaks would do to an object now. pure

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Teller, never};
use crate::verdict::{copies::Copy, sides::Cluster};

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
    /// Velero never restores it: by its kind, or because Kubernetes makes it.
    NeverRestored,
    /// It cannot be said.
    Unknown,
}

impl Teller<'_, '_> {
    /// What a restore would do; `update` says with `existingResourcePolicy: update`.
    pub(super) fn restore(&self, update: bool) -> RestoreEffect {
        let differs = match () {
            () if self.case.id.gk.is("", "ServiceAccount") => RestoreEffect::Merge,
            () if update => RestoreEffect::Overwrite,
            () => RestoreEffect::SkipDiffers,
        };
        if never::by_kind(&self.case.id) {
            return RestoreEffect::NeverRestored;
        }
        match self.case.copies.held().map(|(_, copy)| copy.whole()) {
            Some(Err(_)) => return RestoreEffect::Unknown,
            Some(Ok(copy)) if never::made_by_kubernetes(&self.case.id, &copy.content.value()) => return RestoreEffect::NeverRestored,
            _ => {}
        }
        match (&self.case.copies.answers[..], &self.case.live) {
            ([Copy::Missing(_) | Copy::Wanted(_) | Copy::Outside], _) => RestoreEffect::Nothing,
            ([Copy::Held(..)], Cluster::Absent) => RestoreEffect::Create,
            // Velero reads what is there in the version of the copy, so versions are no difference to it.
            ([Copy::Held(_, copy)], Cluster::Present(live)) if !live.meta.partial => match self.join.engine.same_in_full(live, copy) {
                Ok(true) => RestoreEffect::SkipSame,
                Ok(false) => differs,
                Err(_) => RestoreEffect::Unknown,
            },
            _ => RestoreEffect::Unknown,
        }
    }
}
