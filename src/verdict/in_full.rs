//! What runs against a backup's copy in full, also where the two were read in different versions of their kind. pure
//!
//! Equal contents are the same, and different ones of one version are not: what one of them has more would be lost. In two versions one content has
//! two spellings, so the letters say nothing there. The older is said in the newer version where that is known to the last field
//! (`drift/versions.rs`), or only `apiVersion` changes; else nobody can say whether they are the same. What Velero itself writes into copies
//! (`velero/edits.rs`) is no difference.

use serde_json::Value;

use super::{
    compared::{Engine, body_unread},
    memo::FullKey,
    schemas::Known,
};
use crate::{
    drift::schema::{Shape, canonical::canonical},
    object::{GroupKind, Object, renamed::RENAMED},
    velero::edits,
    witness::Failure,
};

/// Members that tell the version, and nothing else.
const TYPE: [&str; 2] = ["apiVersion", "kind"];

/// Whether two objects of one version may name two groups: both had only this version of kinds that moved.
fn may_have_moved(gk: &GroupKind, version: &str) -> bool {
    version == "v1beta1" && RENAMED.iter().any(|(_, kind, is)| gk.is(is, kind))
}

impl Engine<'_> {
    /// Whether a backup's copy holds exactly what runs; the failure says why that cannot be told.
    pub(super) fn same_in_full(&self, live: &Object, copy: &Object) -> Result<bool, Failure> {
        let (there, held) = (live.content.print(), copy.content.print());
        if there == held {
            return Ok(true);
        }
        let one_version = live.version == copy.version && !may_have_moved(&live.id.gk, &live.version);
        if one_version && !edits::touch(&live.id.gk) {
            return Ok(false);
        }
        let key = FullKey { live: there, copy: held, schemas: self.schemas.pair(&copy.gvk(), &live.version).print() };
        let found = self.memo.full(key, || {
            let copy = copy.whole()?;
            Ok(if one_version { Ok(but_for_edits(live, &copy)) } else { self.across_versions(live, &copy) })
        });
        found.map_err(|e| body_unread(&e))?
    }

    fn across_versions(&self, live: &Object, copy: &Object) -> Result<bool, Failure> {
        let unknown = || {
            let message = format!(
                "the backup holds {} in version {} and the cluster was read in version {}: whether both say the same is not known",
                live.id.gk, copy.version, live.version
            );
            Failure::new("version_differs", message)
        };
        let (mut held, mut there) = (copy.content.value(), live.content.value());
        edits::level(&live.id.gk, &mut there, &mut held);
        let pair = self.schemas.pair(&copy.gvk(), &live.version);
        if pair.refused.is_some() {
            return Err(unknown());
        }
        if let Some(way) = &pair.bridge {
            let older = if way.desired_is_older { &mut held } else { &mut there };
            *older = way.across(older.take()).ok_or_else(unknown)?;
        }
        // Both are taken as the cluster's version has them: that is how the copy would come back.
        let shape = |known: &'_ Known| match known {
            Known::Shape { shape, .. } => Ok(shape.clone()),
            Known::Table => Err(unknown()),
        };
        let of_copy = shape(&pair.wanted)?;
        let of_live = pair.other.as_deref().map_or_else(|| Ok(of_copy.clone()), shape)?;
        let (held, held_more) = settled(held, &of_live);
        let (there, there_more) = settled(there, &of_live);
        match held == there {
            false => Ok(false),
            // The cluster was read in a version that shows less than the copy's: what else it has nobody saw.
            true if held_more || there_more || !of_live.covers(&of_copy) => Err(unknown()),
            true => Ok(true),
        }
    }
}

/// Whether a copy of the same version holds what runs, but for what Velero wrote into it.
fn but_for_edits(live: &Object, copy: &Object) -> bool {
    let (mut held, mut there) = (copy.content.value(), live.content.value());
    edits::level(&live.id.gk, &mut there, &mut held);
    held == there
}

/// An object as the server would keep it, without what tells its version; and whether it has more than the shape knows.
fn settled(mut value: Value, shape: &Shape) -> (Value, bool) {
    if let Some(members) = value.as_object_mut() {
        TYPE.iter().for_each(|name| drop(members.remove(*name)));
    }
    let settled = canonical(&value, shape);
    (settled.value, !settled.dropped.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        report::model::{Drift, Recovery},
        verdict::world::{Snapshot, World},
    };

    fn claim(volume: &str, annotations: Value, more: Value) -> Value {
        let mut claim = json!({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"shop","annotations":annotations},
            "spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"fast","resources":{"requests":{"storage":"5Gi"}}}});
        let spec = claim["spec"].as_object_mut().expect("a spec");
        if !volume.is_empty() {
            spec.insert("volumeName".into(), volume.into());
        }
        spec.extend(more.as_object().expect("a mapping").clone());
        claim
    }

    #[test]
    fn a_claim_that_velero_edited_while_it_backed_it_up_is_no_other_claim() {
        let source = json!({"dataSource":{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"s"}});
        let (snapshot, none) = (json!({"velero.io/volume-snapshot-name":"velero-data-x"}), json!({}));
        let grown = json!({"resources":{"requests":{"storage":"6Gi"}}});
        for (what, live, copy, recovery) in [
            ("snapshotted", claim("pv", none.clone(), none.clone()), claim("pv", snapshot.clone(), none.clone()), Recovery::Backup),
            (
                "snapshotted, of a size that grew",
                claim("pv", none.clone(), none.clone()),
                claim("pv", snapshot.clone(), grown.clone()),
                Recovery::Backup,
            ),
            ("cloned", claim("pv", none.clone(), source.clone()), claim("pv", none.clone(), none.clone()), Recovery::Backup),
            ("grown since", claim("pv", none.clone(), grown), claim("pv", snapshot.clone(), none.clone()), Recovery::BackupStale),
            ("labelled since", claim("pv", json!({"a":"b"}), none.clone()), claim("pv", snapshot.clone(), none.clone()), Recovery::BackupStale),
            ("bound to another volume", claim("pv2", none.clone(), none.clone()), claim("pv", snapshot.clone(), none.clone()), Recovery::BackupStale),
        ] {
            let said = World::new().runs(vec![live]).backup(Snapshot::new("n", "01:00").holding(vec![copy])).verdict("PersistentVolumeClaim", "data");
            assert_eq!(said.recovery, recovery, "{what}: {}", said.why);
        }
        // What Git declares of how the volume was to be made, no copy of a bound claim holds.
        let (git, live) = (claim("", none.clone(), source.clone()), claim("pv", none.clone(), source));
        let world = World::new().declares("shop", vec![git]).runs(vec![live]);
        for (what, copy, recovery) in [
            ("as Velero writes it", claim("pv", snapshot.clone(), none.clone()), Recovery::Either),
            ("of another class", claim("pv", snapshot, json!({"storageClassName":"slow"})), Recovery::Split),
        ] {
            let said = world.clone().backup(Snapshot::new("n", "01:00").holding(vec![copy])).verdict("PersistentVolumeClaim", "data");
            assert_eq!((said.drift, said.recovery), (Drift::InSync, recovery), "{what}: {}", said.why);
        }
    }
}
