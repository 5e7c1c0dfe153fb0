//! What stays in memory of an object whose body lies elsewhere, and how much that may be. pure
//!
//! An API server bounds what it takes. An archive may hold anything that somebody put into a bucket, so its objects are held to these bounds
//! before anything of them is kept; no object that a server took meets them.

use thiserror::Error;

use super::{DeployerMark, Owner, Reduced};

/// The longest single text of an object's identity and facts, in bytes. Names of most kinds end at 253 (apimachinery `NameIsDNSSubdomain`); those
/// that only have to be a path segment, as RBAC's, end where the paths do under which Velero has them in an archive and unpacks them.
pub const LONGEST_TEXT: usize = 4096;

/// All of these texts of one object, and its list of owners, in bytes: what an API server takes in one request (`MaxRequestBodyBytes` of
/// k8s.io/apiserver).
pub const MOST_TEXT: usize = 3 << 20;

/// Why nothing is kept of an object. Quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BoundsError {
    /// One text is too long.
    #[error("its {what} has {bytes} bytes, and no more than {LONGEST_TEXT} are kept of any")]
    Text {
        /// Which one.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
    },
    /// All of them are too much.
    #[error("its names, owners and other facts take {0} bytes, more than an API server takes of a whole object ({MOST_TEXT})")]
    All(usize),
}

impl Reduced {
    /// Bytes of identity and facts, which stay in memory wherever the body lies.
    ///
    /// # Errors
    /// When they are beyond what any object has.
    pub fn facts_size(&self) -> Result<usize, BoundsError> {
        let (id, meta) = (&self.id, &self.meta);
        let mark = meta.mark.as_ref().map(|mark| match mark {
            DeployerMark::ArgoCd(text)
            | DeployerMark::FluxKustomization(text)
            | DeployerMark::FluxHelmRelease(text)
            | DeployerMark::Helm(text)
            | DeployerMark::ApplySet(text) => text,
        });
        let own = [
            ("apiVersion", Some(&id.gk.group)),
            ("apiVersion", Some(&self.version)),
            ("kind", Some(&id.gk.kind)),
            ("metadata.namespace", id.namespace.as_ref()),
            ("metadata.name", Some(&id.name)),
            ("metadata.uid", meta.uid.as_ref()),
            ("metadata.resourceVersion", meta.resource_version.as_ref()),
            ("mark of a deployer", mark),
            ("label velero.io/backup-name", meta.restored_from.as_ref()),
            ("status.phase", meta.phase.as_ref()),
        ];
        let of_owners = meta.owners.iter().flat_map(|owner| {
            let Owner { gvk, name, uid, .. } = owner;
            [&gvk.gk.group, &gvk.gk.kind, &gvk.version, name, uid].map(|text| ("metadata.ownerReferences", Some(text)))
        });
        let mut all = size_of::<Owner>() * meta.owners.len();
        for (what, text) in own.into_iter().chain(of_owners) {
            let bytes = text.map_or(0, |t| t.len());
            if bytes > LONGEST_TEXT {
                return Err(BoundsError::Text { what, bytes });
            }
            all += bytes;
        }
        if all > MOST_TEXT { Err(BoundsError::All(all)) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{Redactor, reduce};

    /// What is said of a Pod with something else at one place.
    fn size(place: &str, value: Value) -> Result<usize, BoundsError> {
        let mut raw = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "status": {"phase": "Running"}});
        let (parent, key) = place.rsplit_once('/').expect("a pointer");
        let parent = raw.pointer_mut(parent).and_then(Value::as_object_mut).expect("a mapping");
        parent.insert(key.to_owned(), value);
        reduce(raw, &Redactor::new([0; 32])).expect("an object").facts_size()
    }

    #[test]
    fn every_text_that_stays_in_memory_has_an_end() {
        let long = "x".repeat(LONGEST_TEXT + 1);
        let owner = |key: &str| {
            let mut owner = json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"});
            owner[key] = long.as_str().into();
            json!([owner])
        };
        let mark = |key: &str| json!({key: long});
        for (place, value, what) in [
            ("/apiVersion", json!(format!("{long}/v1")), "apiVersion"),
            ("/apiVersion", json!(format!("example.com/{long}")), "apiVersion"),
            ("/kind", json!(long), "kind"),
            ("/metadata/name", json!(long), "metadata.name"),
            ("/metadata/namespace", json!(long), "metadata.namespace"),
            ("/metadata/uid", json!(long), "metadata.uid"),
            ("/metadata/resourceVersion", json!(long), "metadata.resourceVersion"),
            ("/status/phase", json!(long), "status.phase"),
            ("/metadata/ownerReferences", owner("apiVersion"), "metadata.ownerReferences"),
            ("/metadata/ownerReferences", owner("kind"), "metadata.ownerReferences"),
            ("/metadata/ownerReferences", owner("name"), "metadata.ownerReferences"),
            ("/metadata/ownerReferences", owner("uid"), "metadata.ownerReferences"),
            ("/metadata/labels", mark("velero.io/backup-name"), "label velero.io/backup-name"),
            ("/metadata/labels", mark("kustomize.toolkit.fluxcd.io/name"), "mark of a deployer"),
            ("/metadata/labels", mark("helm.toolkit.fluxcd.io/name"), "mark of a deployer"),
            ("/metadata/labels", mark("applyset.kubernetes.io/part-of"), "mark of a deployer"),
            ("/metadata/annotations", mark("meta.helm.sh/release-name"), "mark of a deployer"),
            ("/metadata/annotations", json!({"argocd.argoproj.io/tracking-id": format!("{long}:/Pod:n/a")}), "mark of a deployer"),
        ] {
            match size(place, value) {
                Err(BoundsError::Text { what: told, bytes }) => assert_eq!((told, bytes > LONGEST_TEXT), (what, true), "{place}"),
                other => panic!("{place}: {other:?}"),
            }
        }
        let crowd = |n: usize| json!(vec![json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}); n]);
        assert!(matches!(size("/metadata/ownerReferences", crowd(50_000)), Err(BoundsError::All(_))));
    }

    #[test]
    fn what_servers_take_is_taken() {
        // An RBAC name may be anything without a slash; what an ownerReference or an annotation says has no bound of its own.
        assert!(size("/metadata/name", json!(format!("system:{}", "r".repeat(2000)))).is_ok());
        assert!(size("/metadata/name", json!("n".repeat(253))).is_ok());
        let owner =
            |n: usize| json!({"apiVersion": "example.com/v1", "kind": "Cluster", "name": format!("{n}").repeat(50), "uid": format!("{n:036}")});
        assert!(size("/metadata/ownerReferences", (0..5_000).map(owner).collect()).is_ok());
        // Labels and annotations lie with the body.
        assert_eq!(size("/metadata/annotations", json!({"a": "x".repeat(200_000)})), size("/metadata/annotations", json!({})));
    }
}
