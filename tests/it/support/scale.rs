//! A full cluster and its daemon: filled by parallel clients, declared in good part by Git, backed up, and measured. I/O: processes, loopback, files.

mod kinds;
pub mod measure;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Client, Config,
    config::Kubeconfig,
    core::{
        Request,
        params::{Patch, PatchParams},
    },
};
use serde_json::{Value, json};
use snapgap::{
    object::{GroupKind, Gvk},
    velero::{Names, archive::write::write_backup},
};
use tokio::runtime::Runtime;

use super::{
    control_plane::{ControlPlane, Options},
    daemon::{Setting, shipped_rules_with, user_with},
    git_repo::Repo,
    git_servers::GitHttp,
    manifests::NAMESPACES,
    program::{Folder, eventually},
};
use kinds::{GROUP, Many};

/// Who fills the cluster: the field manager of a deployer.
const DEPLOYER: &str = "argocd-controller";

/// The user who runs the daemon.
pub const USER: &str = "scale";

/// Clients that fill the cluster at the same time.
const CLIENTS: usize = 24;

/// Whether Git moved on since the backup for the Deployment with this number: one in twenty.
fn moved_on(n: usize) -> bool {
    n % 20 == 3
}

/// A full cluster, the repository that declares most of it, and a backup of it.
pub struct World {
    pub plane: ControlPlane,
    pub git: GitHttp,
    /// Objects that were made, kinds they are of, and their bytes as the server returns them.
    pub objects: usize,
    pub kinds: usize,
    pub bytes: usize,
    /// Objects that Git declares.
    pub declared: usize,
    /// How long filling the cluster took.
    pub filling: Duration,
    bucket: PathBuf,
    runtime: Runtime,
    client: Client,
    _folder: Folder,
}

impl World {
    /// Starts a control plane of its own and fills it with this many objects.
    pub fn start(total: usize) -> Self {
        let (plane, folder) = (ControlPlane::start(Options::default()), Folder::new("snapgap-scale-"));
        let runtime = Runtime::new().expect("a runtime");
        let client = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(plane.admin()).expect("readable"), &Default::default()).await;
            Client::try_from(config.expect("usable")).expect("a client")
        });
        let first = kinds::first();
        let rest = kinds::rest(total, &|_| 2);
        let begun = Instant::now();
        let mut made = runtime.block_on(fill(&client, &first));
        // kubectl gives up on a definition that has no conditions yet.
        let established = || plane.try_kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=10s"], "").is_ok();
        eventually("the custom kinds are served", Duration::from_secs(60), established);
        made.extend(runtime.block_on(fill(&client, &rest)));
        let filling = begun.elapsed();
        let (objects, bytes) = (made.len(), made.iter().map(|o| o.to_string().len()).sum());
        let repo = Repo::new(folder.path(), "fleet");
        let declared = declare(&repo, total);
        let bucket = folder.path().join("bucket");
        back_up(&plane, &bucket, made, first.iter().chain(&rest));
        let git = GitHttp::tls(folder.path());
        Self { plane, git, objects, kinds: first.len() + rest.len(), bytes, declared, filling, bucket, runtime, client, _folder: folder }
    }

    /// The settings of a daemon over all of it, as a user bound to the shipped ClusterRole with Secrets on.
    pub fn setting(&self) -> Setting {
        let groups = format!("rbac.customResourceGroups={{{GROUP}}}");
        let kubeconfig = user_with(&self.plane, USER, &shipped_rules_with(&[groups.as_str(), "rbac.secrets=true"]));
        let apps: Vec<String> =
            (0..NAMESPACES).map(|n| format!("- {{name: {0}, path: apps/{0}, namespace: {0}, renderer: directory}}", app(n))).collect();
        Setting(format!(
            "sources:\n- {{name: main, url: '{}', ca_file: '{}', interval: 1s}}\napps:\n{}\ncluster: {{kubeconfig: '{}', secrets: true}}\n\
             velero: {{backups: [{{file: '{}'}}]}}\n",
            self.git.url("fleet.git"),
            self.git.ca_file.display(),
            apps.join("\n"),
            kubeconfig.display(),
            self.bucket.display()
        ))
    }

    /// Sets one key of a declared ConfigMap, as a person would; returns when the request was sent.
    fn edit(&self, n: usize, value: &str) -> Instant {
        let name = format!("configmap-{n}");
        let path = format!("/api/v1/namespaces/{}/configmaps", app(n % NAMESPACES));
        let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        let patch = json!({"data": {"file-0.properties": value}});
        let request = Request::new(path).patch(&name, &params, &Patch::Merge(&patch)).expect("a request");
        let begun = Instant::now();
        self.runtime.block_on(self.client.request::<Value>(request)).expect("patched");
        begun
    }
}

/// The app with this number, and its namespace.
fn app(n: usize) -> String {
    super::manifests::namespace(n)
}

/// Applies everything as a deployer does, and gives what the server made of it.
async fn fill(client: &Client, all: &[Many]) -> Vec<Value> {
    let made = Mutex::new(Vec::new());
    let each = all.iter().flat_map(|many| many.objects.iter().map(move |object| (many, object)));
    stream::iter(each)
        .for_each_concurrent(CLIENTS, |(many, object)| {
            let made = &made;
            async move {
                let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
                let prefix = if many.api_version.contains('/') { "/apis" } else { "/api" };
                let place = text("/metadata/namespace").map(|n| format!("/namespaces/{n}")).unwrap_or_default();
                let path = format!("{prefix}/{}{place}/{}", many.api_version, many.plural);
                let name = text("/metadata/name").expect("a name");
                let request = Request::new(path).patch(name, &PatchParams::apply(DEPLOYER).force(), &Patch::Apply(object)).expect("a request");
                let answer = client.request::<Value>(request).await;
                let object = answer.unwrap_or_else(|e| panic!("{} {name}: {e}", many.plural));
                made.lock().expect("unpoisoned").push(object);
            }
        })
        .await;
    made.into_inner().expect("unpoisoned")
}

/// Writes what a team would: a folder an app, a file a kind. Returns how many objects are declared.
fn declare(repo: &Repo, total: usize) -> usize {
    let files = |tag: &dyn Fn(usize) -> usize| {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for many in kinds::rest(total, tag).iter().filter(|m| m.declared) {
            for object in &many.objects {
                let app = object["metadata"]["namespace"].as_str().expect("what is declared is namespaced");
                let text = serde_yaml::to_string(object).expect("YAML");
                files.entry(format!("apps/{app}/{}.yaml", many.plural)).or_default().push(text);
            }
        }
        files
    };
    let write = |message: &str, files: &BTreeMap<String, Vec<String>>| {
        let joined: Vec<(String, String)> = files.iter().map(|(path, documents)| (path.clone(), documents.join("---\n"))).collect();
        repo.commit(message, &joined.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    };
    repo.set_clock(Timestamp::now().as_second() - 48 * 3600);
    write("Declare the fleet", &files(&|n| if moved_on(n) { 1 } else { 2 }));
    repo.set_clock(Timestamp::now().as_second() - 3600);
    let tip = files(&|_| 2);
    write("Roll out", &tip);
    repo.commit("Say more in the readme", &[("README.md", "# fleet\n")]);
    tip.values().map(Vec::len).sum()
}

/// Writes a backup in Velero's own format, taken before the last change in Git was rolled out.
fn back_up<'a>(plane: &ControlPlane, bucket: &PathBuf, mut objects: Vec<Value>, all: impl Iterator<Item = &'a Many>) {
    for object in objects.iter_mut().filter(|o| o["kind"] == "Deployment") {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let number = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
        if moved_on(number) {
            let before = super::manifests::deployment(number, 1);
            for n in 0..2 {
                object["spec"]["template"]["spec"]["containers"][n]["image"] = before["spec"]["template"]["spec"]["containers"][n]["image"].clone();
            }
        }
    }
    objects.push(serde_json::from_str(&plane.kubectl(&["get", "namespace", "kube-system", "-o", "json"])).expect("JSON"));
    let mut names = Names::builtin();
    for many in all {
        let gvk = Gvk::parse(&many.api_version, many.objects[0]["kind"].as_str().expect("a kind"));
        names = names.with(GroupKind::new(gvk.gk.group, gvk.gk.kind), &many.plural, many.namespaced);
    }
    let time = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
    let backup = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly", "namespace": "velero"},
        "spec": {"includedNamespaces": ["*"], "includeClusterResources": true},
        "status": {"phase": "Completed", "startTimestamp": time(-6), "completionTimestamp": time(-6), "expiration": time(700)}});
    fs::create_dir_all(bucket).expect("a folder");
    write_backup(bucket, &backup, &objects, &names).expect("written");
}
