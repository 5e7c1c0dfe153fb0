//! The demo's cluster: a set of whole objects, with the bookkeeping that an API server adds. pure
//!
//! It is no API server: it knows the few defaults and products of controllers that the demo's kinds need, so that the objects look like
//! those of a real cluster. Everything downstream reads them as it reads any other cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::object::Fingerprint;

/// Group, kind, namespace and name, as text.
type Key = (String, String, String);

/// All objects of the cluster.
#[derive(Clone, Debug, Default)]
pub struct DemoCluster {
    objects: BTreeMap<Key, Value>,
    version: u64,
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn key_of(object: &Value) -> Key {
    (format!("{} {}", text(object, "/apiVersion"), text(object, "/kind")), text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

impl DemoCluster {
    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    /// Applies a manifest as a field manager: creates or overwrites what it sets, fills in what a server would.
    pub fn apply(&mut self, manifest: &Value, manager: &str, at: Timestamp) {
        let key = key_of(manifest);
        self.version += 1;
        let mut object = self.objects.get(&key).cloned().unwrap_or_else(|| new_object(manifest, at));
        let before = object.clone();
        merge(&mut object, manifest);
        fill_defaults(&mut object);
        if object != before || !self.objects.contains_key(&key) {
            self.finish(&mut object, manager, "Apply", at, fields_of(manifest));
        }
        self.objects.insert(key, object);
        self.make_products(manifest, at);
    }

    /// Changes one object in place, as a person or controller would. Does nothing if it is not there.
    pub fn edit(&mut self, kind: &str, namespace: &str, name: &str, manager: &str, at: Timestamp, patch: &Value) {
        let found = self.objects.keys().find(|(k, ns, n)| k.ends_with(&format!(" {kind}")) && ns == namespace && n == name).cloned();
        let Some(key) = found else { return };
        let Some(mut object) = self.objects.remove(&key) else { return };
        self.version += 1;
        merge(&mut object, patch);
        self.finish(&mut object, manager, "Update", at, fields_of(patch));
        self.objects.insert(key, object);
    }

    /// Removes an object.
    pub fn delete(&mut self, kind: &str, namespace: &str, name: &str) {
        self.version += 1;
        self.objects.retain(|(k, ns, n), _| !(k.ends_with(&format!(" {kind}")) && ns == namespace && n == name));
    }

    /// Puts a whole object in as it is (Velero's own objects, with status).
    pub fn put(&mut self, object: Value) {
        self.objects.insert(key_of(&object), object);
    }

    fn finish(&mut self, object: &mut Value, manager: &str, operation: &str, at: Timestamp, fields: Value) {
        let version = self.version;
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        metadata.insert("resourceVersion".into(), version.to_string().into());
        let generation = metadata.get("generation").and_then(Value::as_u64).unwrap_or(0) + 1;
        metadata.insert("generation".into(), generation.into());
        let mut managers: Vec<Value> = metadata.get("managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
        managers.retain(|m| text(m, "/manager") != manager);
        managers.push(json!({"manager": manager, "operation": operation, "time": seconds(at), "fieldsType": "FieldsV1", "fieldsV1": fields,
            "apiVersion": "v1"}));
        metadata.insert("managedFields".into(), managers.into());
    }

    /// What controllers make of an object: a ReplicaSet, Pods and an EndpointSlice; and what every namespace has.
    fn make_products(&mut self, manifest: &Value, at: Timestamp) {
        let (kind, name, namespace) = (text(manifest, "/kind"), text(manifest, "/metadata/name"), text(manifest, "/metadata/namespace"));
        match kind.as_str() {
            "Deployment" => {
                let Some(owner) = self.objects.get(&key_of(manifest)).cloned() else { return };
                let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
                let hash = Fingerprint::of(template.to_string().as_bytes()).to_string()[..8].to_owned();
                let set_name = format!("{name}-{hash}");
                let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
                self.product(
                    &owner,
                    at,
                    json!({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":set_name,"namespace":namespace,"labels":labels},
                    "spec":{"replicas":owner.pointer("/spec/replicas"),"selector":owner.pointer("/spec/selector"),"template":template}}),
                );
                let set = self.objects.get(&("apps/v1 ReplicaSet".into(), namespace.clone(), set_name.clone())).cloned().unwrap_or_default();
                for n in 0..2 {
                    self.product(
                        &set,
                        at,
                        json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":format!("{set_name}-{n}"),"namespace":namespace,"labels":labels},
                        "spec":template.pointer("/spec"),"status":{"phase":"Running"}}),
                    );
                }
            }
            "Service" => {
                let Some(owner) = self.objects.get(&key_of(manifest)).cloned() else { return };
                self.product(
                    &owner,
                    at,
                    json!({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
                    "metadata":{"name":format!("{name}-x7k2p"),"namespace":namespace,"labels":{"kubernetes.io/service-name":name}},"endpoints":[]}),
                );
            }
            "Namespace" => {
                for (api, kind, product, body) in [
                    ("v1", "ServiceAccount", "default", json!({})),
                    ("v1", "ConfigMap", "kube-root-ca.crt", json!({"data":{"ca.crt":"-----BEGIN CERTIFICATE-----"}})),
                ] {
                    let mut object = json!({"apiVersion":api,"kind":kind,"metadata":{"name":product,"namespace":name}});
                    merge(&mut object, &body);
                    let key = key_of(&object);
                    if !self.objects.contains_key(&key) {
                        let mut object = {
                            let mut o = new_object(&object, at);
                            merge(&mut o, &object);
                            o
                        };
                        self.finish(&mut object, "kube-controller-manager", "Update", at, json!({}));
                        self.objects.insert(key, object);
                    }
                }
            }
            _ => {}
        }
    }

    fn product(&mut self, owner: &Value, at: Timestamp, body: Value) {
        let key = key_of(&body);
        if self.objects.contains_key(&key) {
            return;
        }
        self.version += 1;
        let mut object = new_object(&body, at);
        merge(&mut object, &body);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(
                "ownerReferences".into(),
                json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]),
            );
        }
        self.finish(&mut object, "kube-controller-manager", "Update", at, json!({}));
        self.objects.insert(key, object);
    }
}

/// A time as the API server writes it: whole seconds.
pub fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A uid that is the same for the same object in every run.
fn uid(key: &Key) -> String {
    let hex = Fingerprint::of(format!("{key:?}").as_bytes()).to_string();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn new_object(manifest: &Value, at: Timestamp) -> Value {
    json!({"apiVersion": manifest["apiVersion"], "kind": manifest["kind"],
        "metadata": {"name": manifest["metadata"]["name"], "uid": uid(&key_of(manifest)), "creationTimestamp": seconds(at)}})
}

/// Lays `over` onto `under`: mappings merge, lists whose items have a `name` merge by it, everything else is replaced.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(u), Value::Object(o)) => {
            for (k, v) in o {
                merge(u.entry(k.clone()).or_insert(Value::Null), v);
            }
        }
        (Value::Array(u), Value::Array(o)) if o.iter().all(|v| v.get("name").is_some()) && !o.is_empty() => {
            for item in o {
                match u.iter_mut().find(|x| x.get("name") == item.get("name")) {
                    Some(x) => merge(x, item),
                    None => u.push(item.clone()),
                }
            }
        }
        (u, o) => *u = o.clone(),
    }
}

/// The fieldsV1 of what a manager set.
fn fields_of(value: &Value) -> Value {
    fn walk(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let fields: Map<String, Value> = map
                    .iter()
                    .filter(|(k, _)| !matches!(k.as_str(), "apiVersion" | "kind" | "name" | "namespace"))
                    .map(|(k, v)| (format!("f:{k}"), walk(v)))
                    .collect();
                fields.into()
            }
            Value::Array(items) if !items.is_empty() && items.iter().all(|i| i.get("name").is_some()) => {
                let fields: Map<String, Value> = items
                    .iter()
                    .map(|i| {
                        let mut inner = walk(i);
                        if let Some(inner) = inner.as_object_mut() {
                            inner.insert(".".into(), json!({}));
                        }
                        (format!("k:{}", json!({"name": i["name"]})), inner)
                    })
                    .collect();
                fields.into()
            }
            _ => json!({}),
        }
    }
    walk(value)
}

/// The defaults that the demo's kinds get from an API server.
fn fill_defaults(object: &mut Value) {
    fn set(object: &mut Value, pointer: &str, key: &str, value: Value) {
        if let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
            map.entry(key.to_owned()).or_insert(value);
        }
    }
    match object["kind"].as_str() {
        Some("Deployment") => {
            set(object, "/spec", "strategy", json!({"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}));
            set(object, "/spec", "revisionHistoryLimit", json!(10));
            set(object, "/spec", "progressDeadlineSeconds", json!(600));
            set(object, "/spec/template/spec", "restartPolicy", json!("Always"));
            set(object, "/spec/template/spec", "dnsPolicy", json!("ClusterFirst"));
            set(object, "/spec/template/spec", "schedulerName", json!("default-scheduler"));
            set(object, "/spec/template/spec", "terminationGracePeriodSeconds", json!(30));
            set(object, "/spec/template/spec", "securityContext", json!({}));
            set(object, "/spec/template/spec/containers/0", "imagePullPolicy", json!("IfNotPresent"));
            set(object, "/spec/template/spec/containers/0", "terminationMessagePath", json!("/dev/termination-log"));
            set(object, "/spec/template/spec/containers/0", "terminationMessagePolicy", json!("File"));
            set(object, "/spec/template/spec/containers/0/ports/0", "protocol", json!("TCP"));
            if let Some(limit) = object.pointer_mut("/spec/template/spec/containers/0/resources/limits/memory")
                && *limit == "0.5Gi"
            {
                *limit = json!("512Mi");
            }
        }
        Some("Service") => {
            set(object, "/spec", "type", json!("ClusterIP"));
            set(object, "/spec", "clusterIP", json!("10.96.14.7"));
            set(object, "/spec", "clusterIPs", json!(["10.96.14.7"]));
            set(object, "/spec", "sessionAffinity", json!("None"));
            set(object, "/spec", "internalTrafficPolicy", json!("Cluster"));
            set(object, "/spec/ports/0", "protocol", json!("TCP"));
        }
        Some("NetworkPolicy") => set(object, "/spec/ingress/0/ports/0", "protocol", json!("TCP")),
        Some("Namespace") => {
            let name = object["metadata"]["name"].clone();
            set(object, "/metadata", "labels", json!({}));
            set(object, "/metadata/labels", "kubernetes.io/metadata.name", name);
            set(object, "", "spec", json!({"finalizers":["kubernetes"]}));
            set(object, "", "status", json!({"phase":"Active"}));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + n).expect("in range")
    }

    #[test]
    fn applying_twice_changes_nothing() {
        let manifest = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"},"data":{"k":"v"}});
        let mut cluster = DemoCluster::default();
        cluster.apply(&manifest, "argocd-controller", at(0));
        let before: Vec<_> = cluster.objects().cloned().collect();
        cluster.apply(&manifest, "argocd-controller", at(60));
        assert_eq!(before, cluster.objects().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_deployment_brings_its_products_and_an_edit_names_its_author() {
        let mut cluster = DemoCluster::default();
        cluster.apply(
            &json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"n"},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"c","image":"i"}]}}}}),
            "argocd-controller",
            at(0),
        );
        cluster.edit("Deployment", "n", "a", "kubectl-edit", at(9), &json!({"spec":{"replicas":3}}));
        let kinds: Vec<_> = cluster.objects().map(|o| text(o, "/kind")).collect();
        assert_eq!(kinds, ["Deployment", "ReplicaSet", "Pod", "Pod"]);
        let deployment = cluster.objects().next().expect("there");
        assert_eq!(deployment["spec"]["replicas"], 3);
        assert_eq!(deployment["metadata"]["managedFields"][1]["manager"], "kubectl-edit");
    }
}
