//! One node of a cluster, for what Velero does with volumes: its real node agent and the Pods that this starts, a real CSI snapshotter over folders.
//!
//! There is no kubelet and no container. What these would do is done here, and only for Pods of Velero's: such a Pod is bound to the node, its
//! claim is provisioned from its snapshot, its process runs with its volumes where it expects them (in a mount namespace of its own, which
//! needs root or user namespaces), and its end is reported with what it left in /dev/termination-log. The processes are Velero's own.
//! I/O: processes, mount namespaces, kubectl.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    control_plane::{ControlPlane, Kubectl},
    program::{Folder, Program, eventually},
    tools,
    velero::{NAMESPACE, PATIENCE, Velero},
};

/// The node's name.
pub const NODE: &str = "worker";

/// The CSI driver whose volumes are folders; also the name of its StorageClass and of its VolumeSnapshotClass.
pub const DRIVER: &str = "folder.csi.example.com";

/// Runs a program where `/` is as outside, but for bind mounts (`FROM TO` in pairs before `--`), a bare /dev and a termination log of its own.
const CONFINED: &str = r#"
set -e
root=$1 ended=$2 told=$3; shift 3
mkdir -p "$root"
mount -t tmpfs node "$root"
for entry in /*; do
  name=${entry#/}
  case $name in dev | host_pods) continue ;; esac
  if [ -L "$entry" ]; then cp -P "$entry" "$root/$name"
  elif [ -d "$entry" ]; then mkdir "$root/$name"; mount --rbind "$entry" "$root/$name"; fi
done
mkdir "$root/dev"
for device in null zero random urandom; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
ln -s "$told" "$root/dev/termination-log"
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
shift
code=0; chroot "$root" "$@" || code=$?
echo "$code" > "$ended.new"; mv "$ended.new" "$ended"
"#;

/// A node with Velero's node agent.
pub struct Node<'a> {
    plane: &'a ControlPlane,
    stop: Arc<AtomicBool>,
    kubelet: Option<JoinHandle<()>>,
    _programs: Vec<Program>,
    folder: Arc<Folder>,
}

impl<'a> Node<'a> {
    /// Installs the kinds of CSI snapshots; before Velero starts, since its discovery is as old as its start.
    pub fn install_kinds(plane: &ControlPlane) {
        for file in ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"] {
            plane.apply(&fs::read_to_string(tools::path(&format!("{file}.crd.yaml"))).expect("a definition"));
        }
        plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        plane.apply(
            &json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": DRIVER}, "provisioner": DRIVER}).to_string(),
        );
        plane.apply(
            &json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": DRIVER, "deletionPolicy": "Delete",
                "metadata": {"name": DRIVER, "labels": {"velero.io/csi-volumesnapshot-class": "true"}}})
            .to_string(),
        );
    }

    /// Starts everything that runs on it.
    pub fn start(velero: &Velero<'a>) -> Self {
        let plane = velero.plane;
        let folder = Arc::new(Folder::new("snapgap-node-"));
        let dir = folder.path();
        for name in ["pods", "volumes", "snapshots", "agent"] {
            fs::create_dir(dir.join(name)).expect("a folder");
        }
        let environment = velero.environment();
        let agent = agent(dir, &environment);
        plane.apply(
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": NODE}}})
                .to_string(),
        );
        plane.apply(&agent.to_string());
        // No scheduler runs, so the DaemonSet's Pod is made by hand, and without the label that would make the DaemonSet's controller take it.
        let spec = &agent["spec"]["template"]["spec"];
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node-agent-0", "namespace": NAMESPACE,
            "labels": {"role": "node-agent"}}, "spec": spec});
        pod["spec"]["nodeName"] = NODE.into();
        plane.apply(&pod.to_string());
        let socket = dir.join("csi.sock");
        let program = |name: &str, tool: &str, args: Vec<String>| Program::start(dir, name, &tools::path(tool), &args);
        let mut programs =
            vec![program("driver", "csi-folder-driver", vec![format!("--socket={}", socket.display()), format!("--root={}", dir.display())])];
        eventually("the driver listens", PATIENCE, || socket.exists());
        let kubeconfig = format!("--kubeconfig={}", plane.admin().display());
        programs.push(program("snapshotter", "csi-snapshotter", vec![kubeconfig.clone(), format!("--csi-address={}", socket.display())]));
        programs.push(program("snapshot-controller", "snapshot-controller", vec![kubeconfig, "--feature-gates=CSIVolumeGroupSnapshot=false".into()]));
        let stop = Arc::new(AtomicBool::new(false));
        let mut kubelet = Kubelet { kubectl: plane.kubectl_of(), folder: folder.clone(), running: BTreeMap::new() };
        let asked = stop.clone();
        let kubelet = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                kubelet.round();
                thread::sleep(Duration::from_millis(300));
            }
        });
        let node = Self { plane, stop, kubelet: Some(kubelet), _programs: programs, folder };
        eventually("the node agent's Pod runs", PATIENCE, || {
            node.plane.kubectl(&["get", "pod", "node-agent-0", "-n", NAMESPACE, "-o", "jsonpath={.status.phase}"]) == "Running"
        });
        node
    }

    /// A claim bound to a volume of the driver's that holds these files.
    pub fn claim(&self, namespace: &str, name: &str, files: &[(&str, &[u8])]) {
        self.bound(namespace, name, files, &csi(&format!("{namespace}-{name}")), &json!({}));
    }

    /// The same of a claim that says which snapshot it was made of.
    pub fn cloned_claim(&self, namespace: &str, name: &str, files: &[(&str, &[u8])]) {
        let source = json!({"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "yesterday"}});
        self.bound(namespace, name, files, &csi(&format!("{namespace}-{name}")), &source);
    }

    fn bound(&self, namespace: &str, name: &str, files: &[(&str, &[u8])], source: &Value, more: &Value) {
        let handle = format!("{namespace}-{name}");
        let folder = self.folder.path().join("volumes").join(&handle);
        fs::create_dir(&folder).expect("a volume");
        files.iter().for_each(|(file, bytes)| fs::write(folder.join(file), bytes).expect("written"));
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": DRIVER, "volumeName": handle}});
        if let (Some(spec), Some(more)) = (claim["spec"].as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        self.plane.apply(&volume(&handle, source, namespace, name).to_string());
        // The volume first: the binder looks again at a claim without one after a long while only.
        self.plane.apply(&claim.to_string());
        eventually(&format!("claim {name} is bound"), PATIENCE, || {
            self.plane.kubectl(&["get", "pvc", name, "-n", namespace, "-o", "jsonpath={.status.phase}"]) == "Bound"
        });
    }

    /// A claim bound to a volume that a plugin for native snapshots knows, and no CSI driver.
    pub fn native_claim(&self, namespace: &str, name: &str, files: &[(&str, &[u8])]) {
        let flex = json!({"driver": "example.com/folder", "options": {"volume": format!("{namespace}-{name}")}});
        self.bound(namespace, name, files, &json!({ "flexVolume": flex }), &json!({}));
    }

    /// The folder of volumes and snapshots.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A running Pod on this node that mounts claims under their own names. It has no process: nobody looks for one.
    pub fn pod(&self, namespace: &str, name: &str, annotations: &Value, claims: &[&str]) {
        let volumes: Vec<Value> = claims.iter().map(|c| json!({"name": c, "persistentVolumeClaim": {"claimName": c}})).collect();
        let mounts: Vec<Value> = claims.iter().map(|c| json!({"name": c, "mountPath": format!("/{c}")})).collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "annotations": annotations}, "spec": {
            "nodeName": NODE, "volumes": volumes, "containers": [{"name": "main", "image": "example.com/app:1", "volumeMounts": mounts}]}});
        self.plane.apply(&pod.to_string());
        self.mount(namespace, name, claims);
        let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
        self.plane.kubectl(&["patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &running]);
    }

    /// Mounts claims into the folder of a Pod, where a kubelet has them.
    fn mount(&self, namespace: &str, pod: &str, claims: &[&str]) {
        let uid = self.plane.kubectl(&["get", "pod", pod, "-n", namespace, "-o", "jsonpath={.metadata.uid}"]);
        for claim in claims {
            let handle = format!("{namespace}-{claim}");
            let place = self.folder.path().join("pods").join(&uid).join("volumes/kubernetes.io~csi").join(&handle);
            fs::create_dir_all(&place).expect("a folder");
            std::os::unix::fs::symlink(self.folder.path().join("volumes").join(&handle), place.join("mount")).expect("a link");
        }
    }

    /// Takes a Pod that a restore made, with claims that it made too: gives the claims empty volumes, and brings the Pod to where Velero's init container
    /// runs and waits for their bytes.
    pub fn adopt(&self, namespace: &str, name: &str, claims: &[&str]) {
        for claim in claims {
            let handle = format!("{namespace}-{claim}");
            fs::create_dir(self.folder.path().join("volumes").join(&handle)).expect("a volume");
            self.plane.apply(&volume(&handle, &csi(&handle), namespace, claim).to_string());
            eventually(&format!("claim {claim} is bound"), PATIENCE, || {
                self.plane.kubectl(&["get", "pvc", claim, "-n", namespace, "-o", "jsonpath={.status.phase}"]) == "Bound"
            });
        }
        self.mount(namespace, name, claims);
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        self.plane.kubectl_with(&["create", "--raw", &path], &binding.to_string());
        let waits = json!({"name": "restore-wait", "image": "example.com/velero:1.18.2", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}});
        let scheduled = json!([{"type": "PodScheduled", "status": "True"}]);
        let status = json!({"status": {"phase": "Pending", "conditions": scheduled, "initContainerStatuses": [waits]}}).to_string();
        self.plane.kubectl(&["patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &status]);
    }

    /// The file of a claim.
    pub fn file(&self, namespace: &str, claim: &str, name: &str) -> PathBuf {
        self.folder.path().join("volumes").join(format!("{namespace}-{claim}")).join(name)
    }

    /// The logs of what runs here, for a test that fails.
    pub fn logs(&self) -> String {
        let logs = fs::read_dir(self.folder.path()).expect("a folder").flatten().map(|e| e.path());
        let text = |path: PathBuf| format!("--- {}\n{}", path.display(), fs::read_to_string(&path).unwrap_or_default());
        logs.filter(|p| p.extension().is_some_and(|e| e == "log")).map(text).collect()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(kubelet) = self.kubelet.take() {
            let _ = kubelet.join();
        }
    }
}

/// The node agent, as Velero's installer lays it out as far as its own code looks at it (pkg/install/daemonset.go).
fn agent(dir: &Path, environment: &[(String, String)]) -> Value {
    let labels = json!({"name": "node-agent", "role": "node-agent"});
    let named = environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
    let env: Vec<Value> =
        named.chain([json!({"name": "NODE_NAME", "value": NODE}), json!({"name": "VELERO_NAMESPACE", "value": NAMESPACE})]).collect();
    let container = json!({"name": "node-agent", "image": "example.com/velero:1.18.2", "command": ["/velero"], "env": env,
        "args": ["node-agent", "server", "--metrics-address=127.0.0.1:0"], "volumeMounts": [{"name": "host-pods", "mountPath": "/host_pods"}]});
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "node-agent", "namespace": NAMESPACE}, "spec": {
        "selector": {"matchLabels": {"name": "node-agent"}},
        "template": {"metadata": {"labels": labels}, "spec": {
            "nodeSelector": {"example.com/none": "true"},
            "containers": [container], "volumes": [{"name": "host-pods", "hostPath": {"path": dir.join("pods").display().to_string()}}],
        }},
    }})
}

fn csi(handle: &str) -> Value {
    json!({"csi": {"driver": DRIVER, "volumeHandle": handle}})
}

fn volume(name: &str, source: &Value, namespace: &str, claim: &str) -> Value {
    let mut volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": DRIVER, "persistentVolumeReclaimPolicy": "Delete",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim, "namespace": namespace},
    }});
    if let (Some(spec), Some(source)) = (volume["spec"].as_object_mut(), source.as_object()) {
        spec.extend(source.clone());
    }
    volume
}

/// What a kubelet, a scheduler and a provisioner do for Velero's Pods.
struct Kubelet {
    kubectl: Kubectl,
    folder: Arc<Folder>,
    /// By the Pod's uid.
    running: BTreeMap<String, Run>,
}

struct Run {
    _program: Program,
    container: String,
    ended: PathBuf,
    told: PathBuf,
    reported: bool,
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Kubelet {
    /// Looks once at all Pods. What cannot be asked or said now is in the next round: the API server may be busy, a Pod gone.
    fn round(&mut self) {
        let Some(pods) = self.list("pods") else { return };
        let uids: Vec<&str> = pods.iter().map(|p| text(p, "/metadata/uid")).collect();
        self.running.retain(|uid, _| uids.contains(&&**uid));
        for pod in &pods {
            let velero = text(pod, "/spec/containers/0/command/0") == "/velero";
            if velero && !self.running.contains_key(text(pod, "/metadata/uid")) && text(pod, "/status/phase") == "Pending" {
                self.begin(pod);
            } else if velero {
                self.end(pod);
            }
        }
    }

    fn list(&self, resource: &str) -> Option<Vec<Value>> {
        let list: Value = serde_json::from_str(&self.kubectl.run(&["get", resource, "-n", NAMESPACE, "-o", "json"], "").ok()?).ok()?;
        list["items"].as_array().cloned()
    }

    fn begin(&mut self, pod: &Value) {
        let (name, uid) = (text(pod, "/metadata/name"), text(pod, "/metadata/uid"));
        if text(pod, "/spec/nodeName").is_empty() {
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": NAMESPACE},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/binding");
            let _ = self.kubectl.run(&["create", "--raw", &path, "-f", "-"], &binding.to_string());
            return;
        }
        let container = &pod["spec"]["containers"][0];
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let of = pod["spec"]["volumes"].as_array().into_iter().flatten().find(|v| v["name"] == mount["name"]);
            let Some(of) = of else { continue };
            let from = match (of.pointer("/hostPath/path").and_then(Value::as_str), of.pointer("/persistentVolumeClaim/claimName")) {
                (Some(path), _) => PathBuf::from(path),
                (None, Some(claim)) => match self.provisioned(claim.as_str().unwrap_or_default()) {
                    Some(folder) => folder,
                    None => return,
                },
                (None, None) => continue,
            };
            mounts.extend([from.display().to_string(), text(mount, "/mountPath").to_owned()]);
        }
        // A kubelet has a folder for each Pod, and the node agent refuses to start where one is missing.
        if fs::create_dir_all(self.folder.path().join("pods").join(uid)).is_err() {
            return;
        }
        let running = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [self.status(text(container, "/name"), &json!({"running": {}}))]});
        if !self.say(name, &running) {
            return;
        }
        let dir = self.folder.path();
        let file = |ending: &str| dir.join(format!("{name}.{ending}"));
        let mut args: Vec<String> = ["--mount", "--propagation=private"].map(str::to_owned).to_vec();
        if !nix::unistd::geteuid().is_root() {
            args.push("--map-root-user".into());
        }
        let places = [file("root"), file("ended"), file("told")].map(|p| p.display().to_string());
        args.extend(["sh", "-c", CONFINED, "sh"].map(str::to_owned).into_iter().chain(places).chain(mounts));
        args.extend(["--", "/usr/bin/env"].map(str::to_owned));
        let variables = container["env"].as_array().into_iter().flatten();
        args.extend(variables.map(|v| format!("{}={}", text(v, "/name"), text(v, "/value"))));
        args.push(tools::path("velero").display().to_string());
        let words = [&container["command"], &container["args"]].into_iter().filter_map(Value::as_array).flatten().skip(1);
        args.extend(words.filter_map(Value::as_str).map(str::to_owned));
        let program = Program::start(dir, name, &tools::path("unshare"), &args);
        let run =
            Run { _program: program, container: text(container, "/name").to_owned(), ended: file("ended"), told: file("told"), reported: false };
        self.running.insert(uid.to_owned(), run);
    }

    /// Reports the end of a Pod whose process has ended.
    fn end(&mut self, pod: &Value) {
        let Some(run) = self.running.get(text(pod, "/metadata/uid")).filter(|r| !r.reported) else { return };
        let Some(code) = fs::read_to_string(&run.ended).ok().and_then(|t| t.trim().parse::<u8>().ok()) else { return };
        let told = fs::read_to_string(&run.told).unwrap_or_default();
        let state = json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "message": told}});
        let status = json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [self.status(&run.container, &state)]});
        let said = self.say(text(pod, "/metadata/name"), &status);
        if let Some(run) = self.running.get_mut(text(pod, "/metadata/uid")) {
            run.reported = said;
        }
    }

    fn status(&self, container: &str, state: &Value) -> Value {
        json!({"name": container, "image": "example.com/velero:1.18.2", "imageID": "", "ready": true, "restartCount": 0, "state": state})
    }

    fn say(&self, pod: &str, status: &Value) -> bool {
        let patch = json!({ "status": status }).to_string();
        self.kubectl.run(&["patch", "pod", pod, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &patch], "").is_ok()
    }

    /// The folder of a claim of Velero's own, made from its snapshot if there is none yet; `None` if it has to wait.
    fn provisioned(&self, claim: &str) -> Option<PathBuf> {
        let get = |resource: &str, name: &str| -> Option<Value> {
            serde_json::from_str(&self.kubectl.run(&["get", resource, name, "-n", NAMESPACE, "-o", "json"], "").ok()?).ok()
        };
        let object = get("pvc", claim)?;
        let handle = format!("restored-{}", text(&object, "/metadata/uid"));
        let folder = self.folder.path().join("volumes").join(&handle);
        if text(&object, "/status/phase") == "Bound" {
            return Some(folder);
        }
        let snapshot = get("volumesnapshot", text(&object, "/spec/dataSource/name"))?;
        let content = get("volumesnapshotcontent", text(&snapshot, "/status/boundVolumeSnapshotContentName"))?;
        let source = self.folder.path().join("snapshots").join(text(&content, "/status/snapshotHandle"));
        if !folder.exists() {
            fs::create_dir(&folder).ok()?;
            for file in fs::read_dir(source).ok()?.flatten() {
                fs::copy(file.path(), folder.join(file.file_name())).ok()?;
            }
        }
        let made = volume(&handle, &csi(&handle), NAMESPACE, claim).to_string();
        self.kubectl.run(&["apply", "--server-side", "-f", "-"], &made).ok()?;
        None
    }
}
