//! What deployers say that they put there, beyond the marks on the objects: inventories of Flux, the lists of Argo CD, parents of ApplySets. pure
//!
//! Sources: Flux cli-utils `object.ObjMetadata` (`<namespace>_<name>_<group>_<kind>`; colons in names are written `__`), Argo CD
//! `ApplicationStatus.Resources` (which also holds what is tracked by label alone), kubectl pkg/cmd/apply/applyset.go (the id of a set is
//! the hash of its parent's identity).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fast::FastMap;
use crate::{
    object::{DeployerMark, ObjectId, Text, renamed::today},
    witness::Live,
};

/// An entry of a deployer's list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// The deployer, as its mark on the object would name it.
    pub mark: DeployerMark,
    /// Whose list it is, for people.
    pub by: Text,
}

/// Everything that is listed, by identity.
#[derive(Debug, Default)]
pub(super) struct Tracked(FastMap<ObjectId, Listed>);

impl Tracked {
    pub(super) fn of(live: &Live) -> Self {
        // In the order of the holders: of two that list one object the first has it, whatever the order of the input.
        let lists: BTreeMap<&ObjectId, &Value> = live.controllers.iter().map(|(id, value)| (id, &**value)).collect();
        let mut out = FastMap::default();
        for (holder, value) in lists {
            let place = holder.namespace.as_ref().map_or_else(|| holder.name.to_string(), |ns| format!("{ns}/{}", holder.name));
            let (mark, entries): (fn(Text) -> DeployerMark, _) = match (&*holder.gk.group, &*holder.gk.kind) {
                ("kustomize.toolkit.fluxcd.io", "Kustomization") => (DeployerMark::FluxKustomization, inventory(value)),
                ("helm.toolkit.fluxcd.io", "HelmRelease") => (DeployerMark::FluxHelmRelease, inventory(value)),
                ("argoproj.io", "Application") => (DeployerMark::ArgoCd, resources(value)),
                _ => continue,
            };
            let name: Text = if holder.gk.kind.as_ref() == "Application" { holder.name.clone() } else { place.as_str().into() };
            for id in entries {
                let by = || format!("{} {place}", holder.gk.kind).into();
                out.entry(id).or_insert_with(|| Listed { mark: mark(name.clone()), by: by() });
            }
        }
        Self(out)
    }

    /// What a deployer's list says of an object.
    pub(super) fn get(&self, id: &ObjectId) -> Option<&Listed> {
        self.0.get(id)
    }

    /// The mark of an object: its own, or the one that the deployer's list stands for.
    pub(super) fn mark<'m>(&'m self, id: &ObjectId, own: Option<&'m DeployerMark>) -> Option<&'m DeployerMark> {
        own.or_else(|| self.0.get(id).map(|l| &l.mark))
    }
}

/// Flux's inventory.
fn inventory(value: &Value) -> Vec<ObjectId> {
    let entries = value.pointer("/status/inventory/entries").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|e| entry(e.get("id")?.as_str()?)).collect()
}

/// One entry: names hold no `_`, but for a colon that is written as two.
fn entry(id: &str) -> Option<ObjectId> {
    let (namespace, rest) = id.split_once('_')?;
    let (rest, kind) = rest.rsplit_once('_')?;
    let (name, group) = rest.rsplit_once('_')?;
    let name = name.replace("__", ":");
    (!name.is_empty() && !kind.is_empty()).then(|| ObjectId::new(today(group, kind), kind, Some(namespace), &name))
}

/// Argo CD's list. Hooks come and go with every sync and are no part of what is to be there.
fn resources(value: &Value) -> Vec<ObjectId> {
    let entries = value.pointer("/status/resources").and_then(Value::as_array).into_iter().flatten();
    let of = |e: &Value| {
        let text = |key: &str| e.get(key).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let hook = e.get("hook") == Some(&Value::Bool(true));
        (!kind.is_empty() && !name.is_empty() && !hook).then(|| ObjectId::new(today(text("group"), kind), kind, Some(text("namespace")), name))
    };
    entries.filter_map(of).collect()
}

/// The id of the ApplySet whose parent has this identity.
fn set_of(parent: &ObjectId) -> String {
    let text = format!("{}.{}.{}.{}", parent.name, parent.namespace.as_deref().unwrap_or_default(), parent.gk.kind, parent.gk.group);
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
}

/// The parents of sets, found among identities.
pub(super) fn parents<'i>(sets: &[&Text], all: impl Iterator<Item = &'i ObjectId>) -> Vec<(Text, &'i ObjectId)> {
    if sets.is_empty() {
        return Vec::new();
    }
    let hit = |id: &'i ObjectId| {
        let set = set_of(id);
        sets.iter().find(|s| s.as_ref() == set).map(|s| ((*s).clone(), id))
    };
    all.filter_map(hit).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn entries_of_an_inventory_are_read_as_flux_writes_them() {
        for (text, id) in [
            ("shop_cart_apps_Deployment", Some(ObjectId::new("apps", "Deployment", Some("shop"), "cart"))),
            ("shop_settings__ConfigMap", Some(ObjectId::new("", "ConfigMap", Some("shop"), "settings"))),
            ("_shop__Namespace", Some(ObjectId::new("", "Namespace", None, "shop"))),
            (
                "_system__view_rbac.authorization.k8s.io_ClusterRole",
                Some(ObjectId::new("rbac.authorization.k8s.io", "ClusterRole", None, "system:view")),
            ),
            ("shop_web_extensions_Ingress", Some(ObjectId::new("networking.k8s.io", "Ingress", Some("shop"), "web"))),
            ("nonsense", None),
            ("a_b", None),
            ("____", None),
        ] {
            assert_eq!(entry(text), id, "{text}");
        }
    }

    #[test]
    fn lists_are_told_by_whom_and_broken_ones_list_nothing() {
        let holder =
            |group: &str, kind: &str, name: &str, status: Value| (ObjectId::new(group, kind, Some("ops"), name), Arc::new(json!({"status": status})));
        let inventory = |id: &str| json!({"inventory": {"entries": [{"id": id, "v": "v1"}, {"id": 3}, "junk"]}});
        let live = Live {
            controllers: [
                holder("kustomize.toolkit.fluxcd.io", "Kustomization", "apps", inventory("shop_a__ConfigMap")),
                holder("helm.toolkit.fluxcd.io", "HelmRelease", "pay", inventory("shop_b__ConfigMap")),
                holder(
                    "argoproj.io",
                    "Application",
                    "shop",
                    json!({"resources": [{"kind": "ConfigMap", "namespace": "shop", "name": "c"}, {"kind": "Job", "group": "batch", "name": "h", "hook": true}]}),
                ),
                holder("argoproj.io", "Application", "odd", json!({"resources": "all"})),
                holder("velero.io", "Backup", "b", inventory("shop_d__ConfigMap")),
            ]
            .into(),
            ..Live::default()
        };
        let tracked = Tracked::of(&live);
        let by = |name: &str| tracked.get(&ObjectId::new("", "ConfigMap", Some("shop"), name)).map(|l| (l.by.to_string(), l.mark.clone()));
        assert_eq!(by("a"), Some(("Kustomization ops/apps".into(), DeployerMark::FluxKustomization("ops/apps".into()))));
        assert_eq!(by("b"), Some(("HelmRelease ops/pay".into(), DeployerMark::FluxHelmRelease("ops/pay".into()))));
        assert_eq!(by("c"), Some(("Application ops/shop".into(), DeployerMark::ArgoCd("shop".into()))));
        assert_eq!((by("d"), tracked.0.len()), (None, 3));
    }

    #[test]
    fn the_id_of_a_set_is_the_hash_of_its_parent() {
        // From kubectl's own tests: a parent Secret `my-set` in namespace `test`.
        let parent = ObjectId::new("", "Secret", Some("test"), "my-set");
        assert_eq!(set_of(&parent), "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1");
        let (known, other): (Text, Text) = (set_of(&parent).into(), "applyset-x-v1".into());
        assert_eq!(parents(&[&other, &known], [&parent].into_iter()), [(known.clone(), &parent)]);
    }
}
