//! The one door into the core: a raw object becomes an [`Object`] with reduced content and a fingerprint. pure
//!
//! What a server fills in by itself (status, uid, resourceVersion, managedFields, ...) is taken out of the content and kept as facts
//! beside it, so that two contents are equal exactly when a person would call the objects equal.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{BodyError, Content, Fingerprint, Gvk, ObjectId, Packed, Place, Redactor, Text, renamed::today};

/// Why something is not a Kubernetes object. The message never quotes content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmitError {
    /// The document is a list or a scalar.
    #[error("not a mapping but {0}")]
    NotAMapping(&'static str),
    /// `apiVersion` or `kind` is absent, empty or not text.
    #[error("no {0}")]
    Missing(&'static str),
    /// No `metadata.name`; `generateName` alone names nothing that could be compared.
    #[error("{kind} has no metadata.name{}", if *.generated { " but a generateName, so it is a new object at every apply" } else { "" })]
    NoName {
        /// The kind that was named.
        kind: String,
        /// Whether a `generateName` is there.
        generated: bool,
    },
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The owner's kind and version.
    pub gvk: Gvk,
    /// The owner's name; it lives in the same namespace or is cluster-scoped.
    pub name: Text,
    /// The owner's uid.
    pub uid: Text,
    /// Whether it is the managing controller.
    pub controller: bool,
}

/// A mark that says which deployer put the object there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeployerMark {
    /// `argocd.argoproj.io/tracking-id`; the application's name. Only when the id refers to the object itself: copies are not tracked.
    ArgoCd(Text),
    /// `kustomize.toolkit.fluxcd.io/namespace` and `/name`, as `namespace/name`.
    FluxKustomization(Text),
    /// `helm.toolkit.fluxcd.io/namespace` and `/name`, as `namespace/name`.
    FluxHelmRelease(Text),
    /// `meta.helm.sh/release-namespace` and `/release-name`, as `namespace/name`.
    Helm(Text),
    /// `applyset.kubernetes.io/part-of`; the set's id.
    ApplySet(Text),
}

impl DeployerMark {
    /// The id of the ApplySet, if it is the mark of one.
    pub fn set(&self) -> Option<&Text> {
        match self {
            Self::ApplySet(id) => Some(id),
            _ => None,
        }
    }
}

/// Facts about an object that are not content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// `metadata.uid`.
    pub uid: Option<Text>,
    /// `metadata.resourceVersion`. Of a watched object: as of the last change that is more than a write of its status.
    pub resource_version: Option<Text>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Whether the label `velero.io/exclude-from-backup` is `true`.
    #[serde(default)]
    pub held_back: bool,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// The deployer's mark, if any.
    pub mark: Option<DeployerMark>,
    /// `metadata.managedFields` as compact JSON, packed, entries of the status subresource left out. Lies with the body where
    /// that is on a shelf.
    #[serde(skip)]
    pub managers: Option<Packed>,
    /// What kubectl or Argo CD last applied client-side, as compact JSON, packed, Secret values hidden. Lies with the body too.
    #[serde(skip)]
    pub applied: Option<Packed>,
    /// The backup of the Velero restore that wrote this object, from the labels that Velero leaves behind.
    pub restored_from: Option<Text>,
    /// `status.phase` of the three kinds whose phase decides what Velero takes or restores: Namespace, Pod and PersistentVolumeClaim; of a Job
    /// `Complete` once it has a completion time.
    pub phase: Option<Text>,
    /// Whether only metadata was read, because bodies of this kind are a controller's bookkeeping: the content then says nothing of
    /// anything but metadata.
    pub partial: bool,
}

/// A raw object taken in, and nothing of it packed: for whoever compares it or writes it down at once.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// Identity.
    pub id: ObjectId,
    /// The version that this side named.
    pub version: Text,
    /// Reduced content.
    pub value: Value,
    /// Facts that are not content; managedFields and what was last applied stand beside.
    pub meta: Meta,
    /// `metadata.managedFields` as compact JSON, entries of the status subresource left out.
    pub managers: Option<String>,
    /// What kubectl or Argo CD last applied client-side, as compact JSON, Secret values hidden.
    pub applied: Option<String>,
}

impl Reduced {
    /// The object, packed to be kept.
    pub fn packed(self) -> Object {
        let pack = |text: Option<String>| text.map(|t| Packed::of(&t));
        let meta = Meta { managers: pack(self.managers), applied: pack(self.applied), ..self.meta };
        Object { id: self.id, version: self.version, content: Content::of(&self.value), meta }
    }
}

/// An object that went through [`admit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Identity.
    pub id: ObjectId,
    /// The version that this side named.
    pub version: Text,
    /// Reduced content.
    pub content: Content,
    /// Facts that are not content.
    pub meta: Meta,
}

impl Meta {
    /// `metadata.managedFields` as JSON text.
    pub fn managers(&self) -> Option<String> {
        self.managers.as_ref().map(Packed::text)
    }

    /// What was last applied client-side, as JSON text.
    pub fn applied(&self) -> Option<String> {
        self.applied.as_ref().map(Packed::text)
    }
}

impl Object {
    /// The object with its body: itself, or read again if the body lies on a shelf.
    pub fn whole(&self) -> Result<Cow<'_, Self>, BodyError> {
        let Some(place) = self.content.place() else { return Ok(Cow::Borrowed(self)) };
        let super::content::Again { content, managers, applied } = place.read(self.content.print())?;
        Ok(Cow::Owned(Self { content, meta: Meta { managers, applied, ..self.meta.clone() }, id: self.id.clone(), version: self.version.clone() }))
    }

    /// An object that was taken in before, with its body on a shelf.
    pub fn remembered(id: ObjectId, version: Text, print: Fingerprint, meta: Meta, place: Place) -> Self {
        Self { id, version, content: Content::shelved(print, place), meta }
    }
}

impl Object {
    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk { gk: self.id.gk.clone(), version: self.version.clone() }
    }
}

/// `metadata` members that the server or a controller writes and nobody compares.
const SERVER_METADATA: [&str; 8] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Labels that a Velero restore leaves on what it wrote (pkg/restore/restore.go `addRestoreLabels`).
const RESTORE_LABELS: [&str; 2] = ["velero.io/backup-name", "velero.io/restore-name"];

/// The label by which an object, or a whole namespace, is left out of every backup (pkg/apis/velero/v1/labels_annotations.go).
pub const EXCLUDE_LABEL: &str = "velero.io/exclude-from-backup";

/// kubectl's own copy of the last applied manifest. It is bookkeeping: it changes at every apply and is no part of what runs.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn text_at<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
}

/// Takes a raw object in: checks that it is one, hides Secret values, separates facts from content. `Err` never quotes content.
///
/// A `List` is not an object; expand it with [`expand`] first. A kind that moved to another API group is taken in under the group that it
/// is in today, whatever group the manifest names.
pub fn reduce(mut raw: Value, redactor: &Redactor) -> Result<Reduced, AdmitError> {
    let applied = applied(&raw, redactor);
    redactor.reduce(&mut raw);
    let Value::Object(mut map) = raw else { return Err(AdmitError::NotAMapping(json_kind(&raw))) };
    let kind = text_at(&map, "kind").ok_or(AdmitError::Missing("kind"))?.to_owned();
    let mut gvk = Gvk::parse(text_at(&map, "apiVersion").ok_or(AdmitError::Missing("apiVersion"))?, &kind);
    let group = today(&gvk.gk.group, &kind);
    if *group != *gvk.gk.group {
        gvk.gk.group = group.into();
    }
    let phased = gvk.gk.group.is_empty() && ["Namespace", "Pod", "PersistentVolumeClaim"].contains(&&*gvk.gk.kind);
    let status = map.remove("status");
    let job = &*gvk.gk.group == "batch" && &*gvk.gk.kind == "Job";
    let of_status = |key| text_at(status.as_ref()?.as_object()?, key);
    let phase = match (phased, job) {
        (true, _) => of_status("phase").map(Text::from),
        (_, true) => of_status("completionTime").map(|_| "Complete".into()),
        _ => None,
    };
    let Some(Value::Object(metadata)) = map.get_mut("metadata") else { return Err(AdmitError::NoName { kind, generated: false }) };
    let Some(name) = text_at(metadata, "name").map(str::to_owned) else {
        return Err(AdmitError::NoName { kind, generated: text_at(metadata, "generateName").is_some() });
    };
    let namespace = text_at(metadata, "namespace").map(str::to_owned);
    let id = ObjectId::new(&gvk.gk.group, &gvk.gk.kind, namespace.as_deref(), &name);
    let label = |key| metadata.get("labels").and_then(Value::as_object).and_then(|l| text_at(l, key));
    let restored_from = label(RESTORE_LABELS[0]).map(Text::from);
    let meta = Meta {
        uid: text_at(metadata, "uid").map(Text::from),
        resource_version: text_at(metadata, "resourceVersion").map(Text::from),
        created: text_at(metadata, "creationTimestamp").and_then(|t| t.parse().ok()),
        deleting: metadata.get("deletionTimestamp").is_some_and(|v| !v.is_null()),
        held_back: label(EXCLUDE_LABEL) == Some("true"),
        owners: owners(metadata),
        mark: mark(metadata, &id),
        managers: None,
        applied: None,
        restored_from,
        phase,
        partial: false,
    };
    let managers = managers(metadata);
    for key in SERVER_METADATA {
        metadata.remove(key);
    }
    drop_members(metadata, "labels", &RESTORE_LABELS);
    drop_members(metadata, "annotations", &[LAST_APPLIED]);
    Ok(Reduced { id, version: gvk.version, value: Value::Object(map), meta, managers, applied })
}

/// Takes a raw object in as [`reduce`] does, and packs it.
pub fn admit(raw: Value, redactor: &Redactor) -> Result<Object, AdmitError> {
    reduce(raw, redactor).map(Reduced::packed)
}

/// Whether it is a `List` or a typed list such as `DeploymentList`.
pub fn is_list(raw: &Value) -> bool {
    raw.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List")) && raw.get("items").is_some_and(Value::is_array)
}

/// Expands a `List` (or a typed list such as `DeploymentList`) into its items, at any depth; any other value is returned as it is.
pub fn expand(raw: Value) -> Vec<Value> {
    let is_list = is_list(&raw);
    match raw {
        Value::Object(mut map) if is_list => match map.remove("items") {
            Some(Value::Array(items)) => items.into_iter().flat_map(expand).collect(),
            _ => Vec::new(),
        },
        other => vec![other],
    }
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn drop_members(metadata: &mut Map<String, Value>, section: &str, keys: &[&str]) {
    if let Some(Value::Object(members)) = metadata.get_mut(section) {
        let before = members.len();
        members.retain(|k, _| !keys.contains(&k.as_str()));
        if members.is_empty() && before > 0 {
            metadata.remove(section);
        }
    }
}

fn owners(metadata: &Map<String, Value>) -> Vec<Owner> {
    let refs = metadata.get("ownerReferences").and_then(Value::as_array);
    refs.into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .filter_map(|r| {
            Some(Owner {
                gvk: Gvk::parse(text_at(r, "apiVersion")?, text_at(r, "kind")?),
                name: text_at(r, "name")?.into(),
                uid: text_at(r, "uid")?.into(),
                controller: r.get("controller") == Some(&Value::Bool(true)),
            })
        })
        .collect()
}

fn managers(metadata: &Map<String, Value>) -> Option<String> {
    let kept: Vec<&Value> =
        metadata.get("managedFields")?.as_array()?.iter().filter(|e| e.get("subresource").and_then(Value::as_str) != Some("status")).collect();
    if kept.is_empty() { None } else { serde_json::to_string(&kept).ok() }
}

/// Reads the copy of the last applied manifest. It says of itself what kind it is, so the kind of the object around it decides whether
/// there are values to hide.
fn applied(raw: &Value, redactor: &Redactor) -> Option<String> {
    let text = raw.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    let Value::Object(mut copy) = serde_json::from_str(text).ok()? else { return None };
    for key in ["apiVersion", "kind"] {
        copy.insert(key.into(), raw.get(key)?.clone());
    }
    copy.remove("status");
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences"));
        drop_members(metadata, "annotations", &[LAST_APPLIED]);
    }
    let mut copy = Value::Object(copy);
    redactor.reduce(&mut copy);
    Some(copy.to_string())
}

/// Reads the deployer's mark. Sources: Argo CD `util/argo/resource_tracking.go`, Flux `kustomize-controller` owner labels, Helm
/// `pkg/action/validate.go`, KEP-3659 (ApplySet).
fn mark(metadata: &Map<String, Value>, id: &ObjectId) -> Option<DeployerMark> {
    let empty = Map::new();
    let labels = metadata.get("labels").and_then(Value::as_object).unwrap_or(&empty);
    let annotations = metadata.get("annotations").and_then(Value::as_object).unwrap_or(&empty);
    let pair = |from: &Map<String, Value>, ns: &str, name: &str| -> Option<Text> {
        let name = text_at(from, name)?;
        Some(format!("{}/{name}", text_at(from, ns).unwrap_or_default()).into())
    };
    if let Some((app, own)) = text_at(annotations, "argocd.argoproj.io/tracking-id").and_then(|t| t.split_once(':')) {
        let refers = |group: &str| format!("{group}/{}:{}/{}", id.gk.kind, id.namespace.as_deref().unwrap_or_default(), id.name);
        // Argo CD writes the group that Git names, also where the server has the object in the group that it moved to.
        let group = own.split_once('/').map_or("", |(group, _)| group);
        if own == refers(group) && *today(group, &id.gk.kind) == *id.gk.group {
            return Some(DeployerMark::ArgoCd(app.into()));
        }
    }
    if let Some(owner) = pair(labels, "kustomize.toolkit.fluxcd.io/namespace", "kustomize.toolkit.fluxcd.io/name") {
        return Some(DeployerMark::FluxKustomization(owner));
    }
    if let Some(owner) = pair(labels, "helm.toolkit.fluxcd.io/namespace", "helm.toolkit.fluxcd.io/name") {
        return Some(DeployerMark::FluxHelmRelease(owner));
    }
    if let Some(owner) = pair(annotations, "meta.helm.sh/release-namespace", "meta.helm.sh/release-name") {
        return Some(DeployerMark::Helm(owner));
    }
    text_at(labels, "applyset.kubernetes.io/part-of").map(|set| DeployerMark::ApplySet(set.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(v: Value) -> Result<Object, AdmitError> {
        admit(v, &Redactor::new([0; 32]))
    }

    #[test]
    fn bookkeeping_is_a_fact_and_not_content() {
        let bare = take(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"},"data":{"k":"v"}}));
        let served = take(json!({"apiVersion":"v1","kind":"ConfigMap","data":{"k":"v"},"status":{"x":1},
            "metadata":{"name":"a","namespace":"n","uid":"u1","resourceVersion":"7","generation":3,"creationTimestamp":"2026-01-02T03:04:05Z",
                "labels":{"velero.io/backup-name":"nightly","velero.io/restore-name":"r"},
                "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"},
                "managedFields":[{"manager":"kubectl-edit","operation":"Update","fieldsV1":{}},{"manager":"k","subresource":"status"}]}}));
        let (bare, served) = (bare.expect("bare"), served.expect("served"));
        assert_eq!(bare.content, served.content);
        assert_eq!(served.meta.restored_from.as_deref(), Some("nightly"));
        assert_eq!(served.meta.resource_version.as_deref(), Some("7"));
        assert!(served.meta.managers.map(|m| m.text()).is_some_and(|m| m.contains("kubectl-edit") && !m.contains("status")));
    }

    #[test]
    fn of_a_job_it_is_kept_whether_it_has_ended() {
        let job = |api: &str, status: Value| {
            let raw = json!({"apiVersion":api,"kind":"Job","metadata":{"name":"a","namespace":"n"},"status":status});
            take(raw).expect("admitted").meta.phase
        };
        let done = json!({"completionTime":"2026-01-02T03:04:05Z"});
        assert_eq!(job("batch/v1", done.clone()).as_deref(), Some("Complete"));
        assert_eq!((job("batch/v1", json!({"failed":1})), job("example.com/v1", done)), (None, None));
    }

    #[test]
    fn what_was_last_applied_is_kept_as_a_fact_with_the_values_of_secrets_hidden() {
        let with = |kind: &str, applied: Value| {
            let annotations = json!({LAST_APPLIED: applied.to_string()});
            take(json!({"apiVersion":"v1","kind":kind,"metadata":{"name":"a","namespace":"n","annotations":annotations}}))
                .expect("admitted")
                .meta
                .applied()
        };
        let map = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","annotations":{}},"data":{"k":"v"}});
        assert_eq!(
            with("ConfigMap", map).as_deref(),
            Some(r#"{"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"annotations":{}}}"#)
        );
        // A copy that claims to be of another kind hides nothing from the redactor.
        let secret = json!({"apiVersion":"v1","kind":"ConfigMap","data":{"k":"Y2FuYXJ5"},"stringData":{"q":"canary"}});
        let kept = with("Secret", secret).expect("kept");
        assert!(!kept.contains("canary") && !kept.contains("Y2FuYXJ5") && kept.contains("hidden:"), "{kept}");
        assert_eq!(with("ConfigMap", json!([1])), None);
    }

    #[test]
    fn what_is_no_object_is_refused_without_quoting_it() {
        for (value, message) in [
            (json!([1]), "not a mapping but a list"),
            (json!({"kind":"X","metadata":{"name":"a"}}), "no apiVersion"),
            (json!({"apiVersion":"v1","metadata":{"name":"a"}}), "no kind"),
            (json!({"apiVersion":"v1","kind":"Pod","metadata":{}}), "Pod has no metadata.name"),
            (
                json!({"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"}}),
                "Pod has no metadata.name but a generateName, so it is a new object at every apply",
            ),
        ] {
            assert_eq!(take(value).expect_err("refused").to_string(), message);
        }
    }

    #[test]
    fn a_copied_tracking_id_marks_nothing() {
        let with = |id: &str| {
            take(json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"n","annotations":{"argocd.argoproj.io/tracking-id":id}}}))
                .expect("admitted")
                .meta
                .mark
        };
        assert_eq!(with("shop:apps/Deployment:n/a"), Some(DeployerMark::ArgoCd("shop".into())));
        assert_eq!(with("shop:apps/Deployment:n/b"), None);
        assert_eq!(with("shop:extensions/Deployment:n/a"), Some(DeployerMark::ArgoCd("shop".into())), "the group that Git names");
    }

    #[test]
    fn a_kind_that_moved_is_one_object_under_both_groups() {
        let named = |api: &str, kind: &str| take(json!({"apiVersion":api,"kind":kind,"metadata":{"name":"a","namespace":"n"}})).expect("admitted");
        let (old, new) = (named("extensions/v1beta1", "Ingress"), named("networking.k8s.io/v1", "Ingress"));
        assert_eq!(old.id, new.id);
        assert_eq!(&*old.version, "v1beta1");
        assert_ne!(old.id, named("extensions/v1beta1", "Widget").id);
    }

    #[test]
    fn lists_expand_at_any_depth() {
        let list = json!({"apiVersion":"v1","kind":"List","items":[{"kind":"A"},{"kind":"ConfigMapList","items":[{"kind":"B"},{"kind":"C"}]}]});
        let kinds: Vec<_> = expand(list).iter().map(|v| v["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }
}
