//! The API server as the examiner sees it: plain requests, answers as values, refusals as values too.

use std::{collections::HashMap, path::Path, sync::RwLock};

use http::{Request, header::CONTENT_TYPE};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use snapgap::{cluster, drift::schema::definition, object::Redactor};
use tokio::runtime::Runtime;

use super::verdicts::Schemata;

/// Why the server did not do it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub message: String,
}

/// One API server, spoken to by as many threads as like to.
pub struct Api {
    client: Client,
    runtime: Runtime,
    /// By `apiVersion` and kind: the plural and whether objects live in namespaces.
    kinds: RwLock<HashMap<(String, String), (String, bool)>>,
}

/// Identity in one line.
pub fn label(object: &Value) -> String {
    let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

impl Api {
    pub fn connect(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("usable");
            Client::try_from(config).expect("a client")
        });
        let api = Self { client, runtime, kinds: RwLock::default() };
        api.discover();
        api
    }

    pub fn send(&self, method: &str, path: &str, content: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let bytes = body.map(|b| serde_json::to_vec(b).expect("JSON")).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content).body(bytes).expect("a request");
        self.runtime.block_on(self.client.request::<Value>(request)).map_err(|error| match error {
            kube::Error::Api(status) => Refusal { message: status.message },
            other => panic!("{method} {path}: {other}"),
        })
    }

    pub fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.send("GET", path, "application/json", None)
    }

    /// What the server describes of its kinds, read as the product reads it, and the definitions among these objects.
    pub fn schemata(&self, kubeconfig: &Path, definitions: &[Value]) -> Schemata {
        let settings = snapgap::config::Cluster { kubeconfig: Some(kubeconfig.to_owned()), secrets: true, ..Default::default() };
        let live = self.runtime.block_on(async {
            let connection = cluster::Connection::connect(&settings).await.expect("a connection");
            cluster::read(&connection, &settings, &Redactor::new([7; 32]), &cluster::Limits::default(), &|_| {}).await
        });
        assert!(live.schemas.failure.is_none(), "{:?}", live.schemas.failure);
        Schemata { definitions: definitions.iter().filter_map(definition::read).collect(), served: live.schemas }
    }

    /// Asks which kinds are served. Again after a CustomResourceDefinition came.
    pub fn discover(&self) {
        let groups = self.get("/apis").expect("groups");
        let versions = groups["groups"].as_array().into_iter().flatten().flat_map(|g| g["versions"].as_array().into_iter().flatten());
        let mut all = vec![("/api/v1".to_owned(), "v1".to_owned())];
        all.extend(versions.filter_map(|v| v["groupVersion"].as_str()).map(|gv| (format!("/apis/{gv}"), gv.to_owned())));
        let mut found = HashMap::new();
        for (path, version) in all {
            // A group whose own server does not answer has no kinds to examine.
            let Ok(list) = self.get(&path) else { continue };
            for r in list["resources"].as_array().into_iter().flatten() {
                let (name, kind) = (r["name"].as_str().unwrap_or_default(), r["kind"].as_str().unwrap_or_default());
                if !name.contains('/') {
                    found.insert((version.clone(), kind.to_owned()), (name.to_owned(), r["namespaced"] == true));
                }
            }
        }
        *self.kinds.write().expect("kinds") = found;
    }

    /// Whether objects of this kind live in namespaces; `None` if the kind is not served.
    pub fn is_namespaced(&self, object: &Value) -> Option<bool> {
        self.kind(object).map(|(_, namespaced)| namespaced)
    }

    fn kind(&self, object: &Value) -> Option<(String, bool)> {
        let key = (object["apiVersion"].as_str()?.to_owned(), object["kind"].as_str()?.to_owned());
        self.kinds.read().expect("kinds").get(&key).cloned()
    }

    fn collection(&self, object: &Value) -> String {
        let (plural, namespaced) = self.kind(object).unwrap_or_else(|| panic!("{} is not served", label(object)));
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let root = if version.contains('/') { "/apis" } else { "/api" };
        match object["metadata"]["namespace"].as_str().filter(|_| namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{version}/{plural}"),
        }
    }

    pub fn path(&self, object: &Value) -> String {
        format!("{}/{}", self.collection(object), object["metadata"]["name"].as_str().unwrap_or_default().replace(':', "%3A"))
    }

    pub fn live(&self, object: &Value) -> Result<Value, Refusal> {
        self.get(&self.path(object))
    }

    /// Server-side apply, by force, as every GitOps controller does it.
    pub fn apply(&self, object: &Value, manager: &str, dry: bool) -> Result<Value, Refusal> {
        let query = format!("?fieldManager={manager}&force=true&fieldValidation=Strict{}", if dry { "&dryRun=All" } else { "" });
        self.send("PATCH", &(self.path(object) + &query), "application/apply-patch+yaml", Some(object))
    }

    pub fn create(&self, object: &Value, manager: &str) -> Result<Value, Refusal> {
        let query = format!("?fieldManager={manager}&fieldValidation=Strict");
        self.send("POST", &(self.collection(object) + &query), "application/json", Some(object))
    }

    /// Puts an earlier state back, whatever came in between.
    pub fn replace(&self, earlier: &Value, manager: &str) -> Result<Value, Refusal> {
        let mut object = earlier.clone();
        object["metadata"]["resourceVersion"] = self.live(earlier)?["metadata"]["resourceVersion"].clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        self.send("PUT", &format!("{}?fieldManager={manager}", self.path(earlier)), "application/json", Some(&object))
    }

    pub fn merge(&self, object: &Value, manager: &str, patch: &Value) -> Result<Value, Refusal> {
        self.send("PATCH", &format!("{}?fieldManager={manager}", self.path(object)), "application/merge-patch+json", Some(patch))
    }

    pub fn json_patch(&self, object: &Value, manager: &str, patch: &Value) -> Result<Value, Refusal> {
        let query = format!("?fieldManager={manager}&fieldValidation=Strict");
        self.send("PATCH", &(self.path(object) + &query), "application/json-patch+json", Some(patch))
    }
}
