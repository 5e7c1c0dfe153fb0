//! A real Velero server beside a control plane, with a real S3 server over a folder as its bucket. All on loopback.
//!
//! Velero runs out of the cluster, as its docs/run-locally.md has it: it needs its CRDs, its namespace, a plugin for its store and a user who may
//! do everything. A restore looks for a Deployment of its own name, so there is one without Pods. It has no node agent, so it copies no volumes. Its discovery is as old as its start: make CRDs before.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    authority::Authority,
    clouds,
    control_plane::ControlPlane,
    program::{Folder, Program, eventually, free_port},
    tools,
};

/// The namespace that Velero watches.
pub const NAMESPACE: &str = "velero";

/// The bucket's name.
pub const BUCKET: &str = "velero";

/// The domain below which the S3 server knows buckets by their hosts.
pub const DOMAIN: &str = "s3.example.com";

/// The S3 server's only user.
pub const ACCESS_KEY: &str = "minio";

/// The key of that user.
pub const SECRET_KEY: &str = "minio123";

/// How long Velero may take for one thing. Generous: test machines are busy, and its queue looks around every 20 seconds.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Phases after which a backup or a restore does not change any more.
const ENDED: [&str; 4] = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"];

/// An S3 server over a folder: several Veleros may share it.
pub struct Store {
    /// Its port.
    pub port: u16,
    tls: bool,
    server: Mutex<Option<Program>>,
    // Last, so that it goes after the program that writes into it.
    folder: Folder,
}

impl Store {
    /// Starts one with an empty bucket.
    pub fn start() -> Self {
        Self::new(false)
    }

    /// Starts one that speaks TLS, with a certificate of an authority of its own.
    pub fn start_tls() -> Self {
        Self::new(true)
    }

    fn new(tls: bool) -> Self {
        let folder = Folder::new("snapgap-store-");
        fs::create_dir_all(folder.path().join("data").join(BUCKET)).expect("a bucket");
        let store = Self { port: free_port(), tls, server: Mutex::new(None), folder };
        if tls {
            let authority = Authority::new();
            let (certificate, key) = authority.certify_loopback();
            for (name, text) in [("ca.pem", authority.pem()), ("tls.pem", certificate.pem()), ("tls.key", key.serialize_pem())] {
                fs::write(store.folder.path().join(name), text).expect("written");
            }
        }
        store.back();
        store
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http{}://127.0.0.1:{}", if self.tls { "s" } else { "" }, self.port)
    }

    /// The authority that its certificate is of, if it speaks TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The bucket as a folder.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("data").join(BUCKET)
    }

    /// Takes the server away: connections are refused. What is stored stays.
    pub fn away(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Brings the server back.
    pub fn back(&self) {
        let inside = |name: &str| self.folder.path().join(name).display().to_string();
        let tls = [format!("--cert={}", inside("tls.pem")), format!("--key={}", inside("tls.key"))];
        let mut args = vec![
            format!("ROOT_ACCESS_KEY={ACCESS_KEY}"),
            format!("ROOT_SECRET_KEY={SECRET_KEY}"),
            tools::path("versitygw").display().to_string(),
            format!("--port=127.0.0.1:{}", self.port),
            format!("--virtual-domain={DOMAIN}"),
        ];
        args.extend(tls.into_iter().filter(|_| self.tls));
        args.extend(["posix".into(), inside("data")]);
        let program = Program::start(self.folder.path(), "versitygw", Path::new("/usr/bin/env"), &args);
        eventually("the S3 server listens", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(program);
    }
}

/// How to start a Velero.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More flags for the server, which win over ours.
    pub flags: Vec<String>,
    /// Folder in the bucket; empty for its root.
    pub prefix: String,
    /// Plugins beside the one for the store.
    pub plugins: Vec<&'static str>,
    /// A server of Google's storage that it may write to as well, through its plugin for that, by its port on loopback.
    pub google: Option<u16>,
}

/// A running Velero.
pub struct Velero<'a> {
    /// The cluster that it serves.
    pub plane: &'a ControlPlane,
    /// Its store.
    pub store: &'a Store,
    options: Options,
    server: Mutex<Option<Program>>,
    folder: Folder,
}

impl<'a> Velero<'a> {
    /// Installs Velero's kinds, its namespace and a location named `default`, starts the server and waits until the location is available.
    pub fn start(plane: &'a ControlPlane, store: &'a Store, options: Options) -> Self {
        let folder = Folder::new("snapgap-velero-");
        for name in ["plugins", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let google = options.google.is_some().then_some(&"velero-plugin-for-gcp");
        for plugin in ["velero-plugin-for-aws"].iter().chain(google).chain(&options.plugins) {
            std::os::unix::fs::symlink(tools::path(plugin), folder.path().join("plugins").join(plugin)).expect("a link");
        }
        let credentials = format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n");
        fs::write(folder.path().join("credentials"), credentials).expect("written");
        if options.google.is_some() {
            fs::write(folder.path().join("google.json"), clouds::service_account()).expect("written");
        }
        install_kinds(plane);
        let velero = Self { plane, store, options, server: Mutex::new(None), folder };
        plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string());
        plane.apply(
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "velero", "namespace": NAMESPACE}, "spec": {
                "replicas": 0, "selector": {"matchLabels": {"component": "velero"}}, "template": {"metadata": {"labels": {"component": "velero"}},
                "spec": {"containers": [{"name": "velero", "image": "example.com/velero:1.18.2"}]}},
            }})
            .to_string(),
        );
        plane.apply(&velero.location("default", true).to_string());
        velero.run();
        velero
    }

    /// A storage location over the store.
    pub fn location(&self, name: &str, default: bool) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {
            "provider": "velero.io/aws", "default": default, "objectStorage": {"bucket": BUCKET, "prefix": self.options.prefix},
            "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": self.store.url(), "checksumAlgorithm": ""},
        }})
    }

    /// The variables that Velero's processes need, the server and those that its node agent starts.
    pub fn environment(&self) -> Vec<(String, String)> {
        let dir = self.folder.path();
        let file = |path: PathBuf| path.display().to_string();
        [
            ("KUBECONFIG", file(self.plane.admin())),
            ("AWS_SHARED_CREDENTIALS_FILE", file(self.credentials())),
            ("STORAGE_EMULATOR_HOST", self.options.google.map_or_else(String::new, |port| format!("127.0.0.1:{port}"))),
            ("GOOGLE_APPLICATION_CREDENTIALS", file(dir.join("google.json"))),
            ("TMPDIR", file(dir.join("tmp"))),
            ("HOME", file(dir.to_owned())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// A file with the credentials of the store, as Velero reads them.
    pub fn credentials(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    /// Starts the server, again or for the first time, and waits until its location is available.
    pub fn run(&self) {
        let dir = self.folder.path();
        let mut args: Vec<String> = self.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend([
            tools::path("velero").display().to_string(),
            "server".into(),
            format!("--namespace={NAMESPACE}"),
            format!("--plugin-dir={}", dir.join("plugins").display()),
            format!("--metrics-address=127.0.0.1:{}", free_port()),
            "--profiler-address=".into(),
            "--store-validation-frequency=5s".into(),
            "--backup-sync-period=5s".into(),
            "--garbage-collection-frequency=20s".into(),
            "--item-operation-sync-frequency=1s".into(),
            "--default-backup-ttl=24h".into(),
            "--concurrent-backups=10".into(),
            "--client-qps=300".into(),
            "--client-burst=600".into(),
        ]);
        args.extend(self.options.flags.iter().cloned());
        let program = Program::start(dir, "velero", Path::new("/usr/bin/env"), &args);
        let begun = Instant::now();
        while self.field("backupstoragelocation", "default", "/status/phase") != "Available" {
            program.must_run();
            assert!(begun.elapsed() < PATIENCE, "the location is not available: {}", program.last_words());
            std::thread::sleep(Duration::from_millis(300));
        }
        *self.server() = Some(program);
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Program>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the server where it stands (SIGKILL), with its plugins. [`Velero::run`] starts it again.
    pub fn kill(&self) {
        drop(self.server().take());
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("velero.log")).unwrap_or_default()
    }

    /// An object of Velero's with this spec; of a Backup a location and a time to live are filled in by Velero.
    pub fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
    }

    /// Creates an object of Velero's: `create("Backup", "nightly", &spec)`.
    pub fn create(&self, kind: &str, name: &str, spec: &Value) {
        self.create_all(&[Self::manifest(kind, name, spec)]);
    }

    /// Creates many objects at once.
    pub fn create_all(&self, objects: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.plane.kubectl_with(&["create"], &list.to_string());
    }

    /// One of Velero's objects as it is now; null if there is none.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        let resource = format!("{}.velero.io", kind.to_lowercase());
        let text = self.plane.kubectl(&["get", &resource, name, "-n", NAMESPACE, "-o", "json", "--ignore-not-found"]);
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") }
    }

    /// A text in one of Velero's objects; empty if it is not there.
    pub fn field(&self, kind: &str, name: &str, pointer: &str) -> String {
        self.get(kind, name).pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// All of Velero's objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        let text = self.plane.kubectl(&["get", &format!("{}.velero.io", kind.to_lowercase()), "-n", NAMESPACE, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("JSON");
        list["items"].as_array().expect("items").clone()
    }

    /// Waits until a backup or a restore has ended, well or badly, and returns it.
    pub fn ended(&self, kind: &str, name: &str) -> Value {
        let mut found = Value::Null;
        eventually(&format!("{kind} {name} ends"), PATIENCE, || {
            found = self.get(kind, name);
            has_ended(&found)
        });
        found
    }

    /// Waits until all of Velero's objects of a kind have ended, and returns them.
    pub fn all_ended(&self, kind: &str, limit: Duration) -> Vec<Value> {
        let mut found = Vec::new();
        eventually(&format!("every {kind} ends"), limit, || {
            found = self.all(kind);
            found.iter().all(has_ended)
        });
        found
    }

    /// Creates a backup and waits until it has ended.
    pub fn back_up(&self, name: &str, spec: &Value) -> Value {
        self.create("Backup", name, spec);
        self.ended("Backup", name)
    }

    /// The folder that holds `backups/`, `restores/` and so on.
    pub fn root(&self) -> PathBuf {
        self.store.bucket().join(&self.options.prefix)
    }

    /// One file of a restore in the bucket: `restore_file("again", "-results.gz")`.
    pub fn restore_file(&self, restore: &str, ending: &str) -> PathBuf {
        self.root().join("restores").join(restore).join(format!("restore-{restore}{ending}"))
    }

    /// One file of a backup in the bucket: `file("nightly", ".tar.gz")`, `file("nightly", "-logs.gz")`.
    pub fn file(&self, backup: &str, ending: &str) -> PathBuf {
        self.root().join("backups").join(backup).join(format!("{backup}{ending}"))
    }
}

/// A gzipped file, inflated, as text.
pub fn inflated(path: &Path) -> String {
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).expect("gzip and text");
    text
}

fn has_ended(object: &Value) -> bool {
    object.pointer("/status/phase").and_then(Value::as_str).is_some_and(|phase| ENDED.contains(&phase))
}

/// Installs Velero's kinds, as its own command prints them, and waits until they are served.
fn install_kinds(plane: &ControlPlane) {
    let out = Command::new(tools::path("velero"))
        .args(["install", "--crds-only", "--dry-run", "-o", "yaml"])
        .env("KUBECONFIG", plane.admin())
        .env("HOME", plane.dir())
        .output()
        .expect("velero starts");
    assert!(out.status.success(), "velero install: {}", String::from_utf8_lossy(&out.stderr));
    plane.apply(&String::from_utf8(out.stdout).expect("text"));
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
}
