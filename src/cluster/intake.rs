//! Raw objects off the wire into admitted ones, with identities that share their text. pure

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::discovery::Served;
use crate::object::{AdmitError, Gvk, Object, Redactor, Text, admit};

/// The groups whose objects are also kept whole: their status speaks for others.
const WHOLE_GROUPS: [&str; 2] = ["velero.io", crate::velero::custom::KYMAROS];

/// Kinds of deployers whose status lists what they applied, and the member of the status that does. Of these only that list is kept: it
/// changes when something is deployed, the rest of the status every few minutes. Sources: Flux kustomize-controller
/// api/v1/inventory_types.go, helm-controller api/v2/inventory_types.go; Argo CD pkg/apis/application/v1alpha1 `ApplicationStatus`.
const LISTING: [(&str, &str, &str); 3] = [
    ("kustomize.toolkit.fluxcd.io", "Kustomization", "inventory"),
    ("helm.toolkit.fluxcd.io", "HelmRelease", "inventory"),
    ("argoproj.io", "Application", "resources"),
];

/// Members of an entry of Argo CD's list that say which object it is.
const NAMING: [&str; 5] = ["group", "kind", "namespace", "name", "hook"];

/// Members of a Kymaros report's status that quote what pods wrote, and so may hold anything.
const QUOTED: [&str; 3] = ["podLogs", "events", "checks"];

/// Its one kind whose status holds a credential: a signed URL to everything in a backup.
const SIGNED: &str = "DownloadRequest";

/// An object as taken in.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The object.
    pub object: Arc<Object>,
    /// The whole of it, for the kinds that are kept whole.
    pub whole: Option<Arc<Value>>,
}

/// Takes raw objects in. One for each inventory.
#[derive(Debug)]
pub struct Intake {
    redactor: Redactor,
    texts: Mutex<HashSet<Text>>,
}

impl Intake {
    /// With the process's redactor.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, texts: Mutex::default() }
    }

    /// Takes in what the server sent for a kind. Of a Pod that something owns little more than metadata is kept: its body is its owner's
    /// template, filled in. The endpoint decides what kind it is: items of built-in lists do not say, and metadata
    /// calls itself `PartialObjectMetadata`.
    ///
    /// # Errors
    /// When it is no object; the message never quotes it.
    pub fn take(&self, kind: &Served, mut raw: Value, partial: bool) -> Result<Taken, AdmitError> {
        if let Value::Object(map) = &mut raw {
            map.insert("apiVersion".into(), kind.gvk.api_version().into());
            map.insert("kind".into(), (*kind.gvk.gk.kind).into());
        }
        let partial = partial || (kind.gvk.gk.is("", "Pod") && brief(&mut raw));
        let whole = whole(&kind.gvk, &raw);
        let mut object = admit(raw, &self.redactor)?;
        self.share(kind, &mut object);
        if partial {
            object.meta.partial = true;
            object.meta.managers = None;
            object.meta.applied = None;
        }
        Ok(Taken { object: Arc::new(object), whole })
    }

    fn share(&self, kind: &Served, object: &mut Object) {
        object.id.gk = kind.gvk.gk.clone();
        object.version = kind.gvk.version.clone();
        // A panic elsewhere leaves a set of texts no less a set of texts.
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut intern = |text: &mut Text| match texts.get(text) {
            Some(known) => *text = known.clone(),
            None => drop(texts.insert(text.clone())),
        };
        if let Some(namespace) = &mut object.id.namespace {
            intern(namespace);
        }
        for owner in &mut object.meta.owners {
            intern(&mut owner.gvk.gk.group);
            intern(&mut owner.gvk.gk.kind);
            intern(&mut owner.gvk.version);
        }
    }

    /// Forgets texts that nothing uses any more.
    pub fn forget_unused(&self) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).retain(|t| Arc::strong_count(t) > 1);
    }
}

/// Leaves of an owned Pod's body what decides which other objects a backup takes beside it: its claims, its priority class and whether it
/// was scheduled (Velero, pkg/util/actionhelpers/pod_helper.go, pkg/util/kube/pod.go). Returns whether it did.
fn brief(raw: &mut Value) -> bool {
    let owned = raw.pointer("/metadata/ownerReferences").and_then(Value::as_array).is_some_and(|o| !o.is_empty());
    let Some(spec) = raw.get_mut("spec").filter(|_| owned) else { return false };
    let volumes = spec.get_mut("volumes").map(Value::take);
    let claims: Vec<Value> = match volumes {
        Some(Value::Array(volumes)) => volumes.into_iter().filter(|v| v.get("persistentVolumeClaim").is_some()).collect(),
        _ => Vec::new(),
    };
    let mut kept = Map::new();
    for key in ["nodeName", "priorityClassName"] {
        if let Some(value) = spec.get_mut(key).map(Value::take) {
            kept.insert(key.into(), value);
        }
    }
    if !claims.is_empty() {
        kept.insert("volumes".into(), claims.into());
    }
    *spec = Value::Object(kept);
    true
}

/// The whole object if it is of a kind that is kept whole. Never a Secret: those are of the core group.
pub fn whole(gvk: &Gvk, raw: &Value) -> Option<Arc<Value>> {
    if let Some((.., member)) = LISTING.iter().find(|(group, kind, _)| gvk.gk.is(group, kind)) {
        return Some(Arc::new(listed(raw, member)));
    }
    if !WHOLE_GROUPS.contains(&&*gvk.gk.group) || &*gvk.gk.kind == SIGNED {
        return None;
    }
    let without = |map: &Map<String, Value>| {
        let mut map = map.clone();
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        if let Some(Value::Object(status)) = map.get_mut("status") {
            QUOTED.iter().for_each(|member| drop(status.remove(*member)));
        }
        Value::Object(map)
    };
    raw.as_object().map(|map| Arc::new(without(map)))
}

/// What a deployer says that it applied; nothing if it does not say.
fn listed(raw: &Value, member: &str) -> Value {
    let name = |key: &str| raw.pointer(&format!("/metadata/{key}")).cloned().unwrap_or_default();
    let mut kept = json!({"metadata": {"name": name("name"), "namespace": name("namespace")}, "status": {}});
    for key in ["apiVersion", "kind"] {
        kept[key] = raw.get(key).cloned().unwrap_or_default();
    }
    if let Some(mut list) = raw.get("status").and_then(|s| s.get(member)).cloned() {
        for entry in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.retain(|key, _| NAMING.contains(&key.as_str()));
        }
        kept["status"][member] = list;
    }
    kept
}

/// Whether anybody who looks at the two could tell them apart: content and facts, but not the resource version, which every write of a
/// status moves.
pub fn same_to_the_eye(a: &Object, b: &Object) -> bool {
    let facts = |o: &Object| (o.meta.deleting, o.meta.partial, o.meta.created, o.meta.phase.clone());
    a.content.print() == b.content.print()
        && a.version == b.version
        && facts(a) == facts(b)
        && a.meta.uid == b.meta.uid
        && a.meta.owners == b.meta.owners
        && a.meta.mark == b.meta.mark
        && a.meta.managers == b.meta.managers
        && a.meta.applied == b.meta.applied
        && a.meta.restored_from == b.meta.restored_from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::Told;

    fn kind(api_version: &str, kind: &str) -> Served {
        Served {
            gvk: Gvk::parse(api_version, kind),
            versions: Vec::new(),
            plural: "xs".into(),
            namespaced: true,
            get: true,
            list: true,
            watch: true,
            told: Told::default(),
        }
    }

    #[test]
    fn of_an_owned_pod_only_what_a_backup_looks_at_is_kept() {
        let intake = Intake::new(Redactor::new([0; 32]));
        let spec = json!({"priorityClassName": "high", "containers": [{"name": "c", "env": [{"name": "P", "value": "canary"}]}],
            "volumes": [{"name": "t", "emptyDir": {}}, {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
        let pod = |owners: Value| json!({"metadata": {"name": "p", "namespace": "n", "ownerReferences": owners}, "spec": spec.clone(), "status": {"phase": "Running"}});
        let owned = intake.take(&kind("v1", "Pod"), pod(json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}])), false);
        let owned = owned.expect("a pod").object;
        assert!(owned.meta.partial && owned.meta.phase.as_deref() == Some("Running"));
        let kept = json!({"priorityClassName": "high", "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
        assert_eq!(owned.content.value()["spec"], kept);
        let bare = intake.take(&kind("v1", "Pod"), pod(json!([])), false).expect("a pod").object;
        assert!(!bare.meta.partial && bare.content.value()["spec"] == spec);
    }

    #[test]
    fn a_secret_from_a_list_is_reduced_although_its_items_do_not_say_what_they_are() {
        let intake = Intake::new(Redactor::new([0; 32]));
        let raw = json!({"metadata": {"name": "s", "namespace": "n", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "canary"}},
            "data": {"p": "Y2FuYXJ5"}});
        for stranger in [raw.clone(), {
            let mut v = raw.clone();
            v["kind"] = "ConfigMap".into();
            v
        }] {
            let taken = intake.take(&kind("v1", "Secret"), stranger, false).expect("admitted");
            let shown = format!("{taken:?} {}", taken.object.content.json());
            assert!(!shown.contains("canary") && !shown.contains("Y2FuYXJ5") && shown.contains("hidden:"), "{shown}");
            assert!(taken.whole.is_none());
        }
    }

    #[test]
    fn a_status_write_is_not_seen_and_everything_else_is() {
        let intake = Intake::new(Redactor::new([0; 32]));
        let base = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1"}, "spec": {"x": 1}, "status": {"y": 1}});
        let take = |v: &Value| intake.take(&kind("a.example.com/v1", "A"), v.clone(), false).expect("admitted").object;
        let first = take(&base);
        let with = |path: &str, value: Value| {
            let mut v = base.clone();
            if let Some(place) = v.pointer_mut(path.rsplit_once('/').expect("a path").0) {
                place[path.rsplit_once('/').expect("a path").1] = value;
            }
            take(&v)
        };
        assert!(same_to_the_eye(&first, &with("/status/y", json!(2))));
        assert!(same_to_the_eye(&first, &with("/metadata/resourceVersion", json!("2"))));
        for (path, value) in [
            ("/spec/x", json!(2)),
            ("/metadata/uid", json!("other")),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("/metadata/labels", json!({"a": "b"})),
            ("/metadata/ownerReferences", json!([{"apiVersion": "v1", "kind": "X", "name": "o", "uid": "1"}])),
            ("/metadata/managedFields", json!([{"manager": "m", "operation": "Update"}])),
        ] {
            assert!(!same_to_the_eye(&first, &with(path, value)), "{path}");
        }
    }

    #[test]
    fn identities_share_their_text_and_unused_text_is_forgotten() {
        let intake = Intake::new(Redactor::new([0; 32]));
        let kind = kind("v1", "ConfigMap");
        let take = |name: &str| intake.take(&kind, json!({"metadata": {"name": name, "namespace": "shared"}}), false).expect("admitted").object;
        let (a, b) = (take("a"), take("b"));
        let namespace = |o: &Object| o.id.namespace.clone().expect("namespaced");
        assert!(Arc::ptr_eq(&namespace(&a), &namespace(&b)) && Arc::ptr_eq(&a.id.gk.kind, &kind.gvk.gk.kind));
        drop((a, b));
        intake.forget_unused();
        assert!(intake.texts.lock().expect("unpoisoned").is_empty());
    }

    #[test]
    fn of_deployers_only_the_list_of_what_they_applied_is_kept() {
        let raw = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "shop", "namespace": "argocd", "uid": "u"},
            "spec": {"source": {"repoURL": "https://git.example.com/fleet.git"}},
            "status": {"reconciledAt": "2026-01-02T03:04:05Z", "resources": [{"group": "apps", "kind": "Deployment", "name": "a", "health": {}}]}});
        let kept = whole(&Gvk::parse("argoproj.io/v1alpha1", "Application"), &raw).expect("kept");
        let resources = json!([{"group": "apps", "kind": "Deployment", "name": "a"}]);
        let naming = json!({"name": "shop", "namespace": "argocd"});
        assert_eq!(
            *kept,
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": naming, "status": {"resources": resources}})
        );
        let nothing = whole(&Gvk::parse("kustomize.toolkit.fluxcd.io/v1", "Kustomization"), &json!({"metadata": {"name": "a"}})).expect("kept");
        assert_eq!(nothing["status"], json!({}));
        assert!(whole(&Gvk::parse("kustomize.config.k8s.io/v1beta1", "Kustomization"), &raw).is_none());
    }

    #[test]
    fn veleros_objects_are_kept_whole_but_for_signed_urls() {
        let raw = json!({"metadata": {"name": "b", "managedFields": [{}]}, "status": {"phase": "Completed"}});
        let kept = whole(&Gvk::parse("velero.io/v1", "Backup"), &raw).expect("kept");
        assert_eq!(*kept, json!({"metadata": {"name": "b"}, "status": {"phase": "Completed"}}));
        assert!(whole(&Gvk::parse("velero.io/v1", "DownloadRequest"), &raw).is_none());
        assert!(whole(&Gvk::parse("v1", "Secret"), &raw).is_none());
        let report =
            json!({"metadata": {"name": "r"}, "status": {"result": "pass", "podLogs": [{"log": "canary"}], "events": [{"message": "canary"}]}});
        let kept = whole(&Gvk::parse("restore.kymaros.io/v1alpha1", "RestoreReport"), &report).expect("kept");
        assert_eq!(*kept, json!({"metadata": {"name": "r"}, "status": {"result": "pass"}}));
    }
}
