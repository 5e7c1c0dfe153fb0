//! What runs against a backup's copy in full, also where the two were read in different versions of their kind. pure
//!
//! Equal contents are the same, and different ones of one version are not: what one of them has more would be lost. In two versions one content has
//! two spellings, so the letters say nothing there. The older is said in the newer version where that is known to the last field
//! (`drift/versions.rs`), or only `apiVersion` changes; else nobody can say whether they are the same.

use serde_json::Value;

use super::{
    compared::{Engine, body_unread},
    memo::FullKey,
    schemas::Known,
};
use crate::{
    drift::schema::{Shape, canonical::canonical},
    object::{GroupKind, Object, renamed::RENAMED},
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
        if live.version == copy.version && !may_have_moved(&live.id.gk, &live.version) {
            return Ok(false);
        }
        let key = FullKey { live: there, copy: held, schemas: self.schemas.pair(&copy.gvk(), &live.version).print() };
        let found = self.memo.full(key, || {
            let copy = copy.whole()?;
            Ok(self.across_versions(live, &copy))
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

/// An object as the server would keep it, without what tells its version; and whether it has more than the shape knows.
fn settled(mut value: Value, shape: &Shape) -> (Value, bool) {
    if let Some(members) = value.as_object_mut() {
        TYPE.iter().for_each(|name| drop(members.remove(*name)));
    }
    let settled = canonical(&value, shape);
    (settled.value, !settled.dropped.is_empty())
}
