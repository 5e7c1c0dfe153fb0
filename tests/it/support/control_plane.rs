//! A real control plane on loopback: etcd, kube-apiserver and, if asked for, kube-controller-manager.
//!
//! A port of the recipe that people use by hand: certificates of an own authority, an admin kubeconfig, further users by certificate. The
//! API server writes an audit log, so that a test can count who asked for what.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use serde_json::Value;

use super::{
    program::{Folder, Program, eventually, free_port},
    tools,
};

const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n";

/// How long a program may take to be ready. Generous: test machines are busy.
const READY: Duration = Duration::from_secs(180);

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Start kube-controller-manager: namespaces are then emptied, owners' children collected, Deployments make ReplicaSets.
    pub controllers: bool,
    /// More flags for the API server.
    pub flags: Vec<String>,
}

/// A running control plane.
pub struct ControlPlane {
    /// Port of the API server.
    pub port: u16,
    options: Options,
    etcd_port: u16,
    authority: Issuer<'static, KeyPair>,
    ca: String,
    etcd: Option<Program>,
    api_server: Mutex<Option<Program>>,
    controllers: Option<Program>,
    // Last, so that it goes after the programs that write into it.
    folder: Folder,
}

/// One request in the audit log.
#[derive(Clone, Debug)]
pub struct Request {
    pub user: String,
    pub agent: String,
    pub verb: String,
    pub uri: String,
    pub received: Timestamp,
}

/// kubectl as admin of a control plane.
#[derive(Clone, Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    /// Runs it with this on its standard input: what it prints, or its words if it fails.
    pub fn run(&self, args: &[&str], input: &str) -> Result<String, String> {
        self.run_in(&[], args, input)
    }

    fn run_in(&self, environment: &[(&str, &str)], args: &[&str], input: &str) -> Result<String, String> {
        // The name of the program becomes the field manager.
        let mut child = Command::new(tools::path("kubectl"))
            .arg0("kubectl")
            .args(args)
            .envs(environment.iter().copied())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads");
        let Output { status, stdout, stderr } = child.wait_with_output().expect("kubectl ends");
        if status.success() { Ok(String::from_utf8_lossy(&stdout).into_owned()) } else { Err(String::from_utf8_lossy(&stderr).into_owned()) }
    }
}

impl ControlPlane {
    /// One for all tests of this binary that are kind to it: each works in a namespace of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Options { controllers: true, flags: Vec::new() }))
    }

    /// Starts one and waits until it is ready.
    pub fn start(options: Options) -> Self {
        let folder = Folder::new("snapgap-control-plane-");
        let dir = folder.path().to_owned();
        let (authority, ca) = authority();
        let server = issue(&authority, "kube-apiserver", &[], &["127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"]);
        let signer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        for (name, text) in [
            ("ca.crt", &ca),
            ("ca.key", &authority.key().serialize_pem()),
            ("server.crt", &server.0),
            ("server.key", &server.1),
            ("sa.key", &signer.serialize_pem()),
            ("sa.pub", &signer.public_key_pem()),
            ("audit.yaml", &AUDIT_POLICY.to_owned()),
        ] {
            fs::write(dir.join(name), text).expect("written");
        }
        let mut plane = Self {
            port: free_port(),
            options,
            etcd_port: free_port(),
            authority,
            ca,
            etcd: None,
            api_server: Mutex::new(None),
            controllers: None,
            folder,
        };
        let (client, peer) = (format!("http://127.0.0.1:{}", plane.etcd_port), format!("http://127.0.0.1:{}", free_port()));
        let args = [
            "--data-dir=etcd".to_owned(),
            "--unsafe-no-fsync".into(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        plane.etcd = Some(Program::start(&dir, "etcd", &tools::path("etcd"), &args));
        let admin = plane.user("admin", &["system:masters"]);
        fs::copy(admin, plane.admin()).expect("copied");
        plane.start_api_server();
        if plane.options.controllers {
            plane.controllers = Some(plane.start_controllers());
        }
        plane
    }

    fn start_controllers(&self) -> Program {
        let admin = self.admin().display().to_string();
        let args = [
            format!("--kubeconfig={admin}"),
            format!("--authentication-kubeconfig={admin}"),
            format!("--authorization-kubeconfig={admin}"),
            format!("--secure-port={}", free_port()),
            "--bind-address=127.0.0.1".into(),
            "--cert-dir=.".into(),
            "--leader-elect=false".into(),
            "--service-account-private-key-file=sa.key".into(),
            "--root-ca-file=ca.crt".into(),
            "--controllers=*,-nodeipam,-nodelifecycle".into(),
        ];
        Program::start(self.dir(), "kube-controller-manager", &tools::path("kube-controller-manager"), &args)
    }

    /// Starts the API server on its port and waits until it is ready.
    pub fn start_api_server(&self) {
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".into(),
            "--cert-dir=.".into(),
            "--tls-cert-file=server.crt".into(),
            "--tls-private-key-file=server.key".into(),
            "--client-ca-file=ca.crt".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-account-key-file=sa.pub".into(),
            "--service-account-signing-key-file=sa.key".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--authorization-mode=RBAC".into(),
            "--disable-admission-plugins=ServiceAccount".into(),
            "--endpoint-reconciler-type=none".into(),
            "--allow-privileged".into(),
            "--audit-policy-file=audit.yaml".into(),
            "--audit-log-path=audit.log".into(),
        ];
        args.extend(self.options.flags.iter().cloned());
        // One that was just killed may not have let go of its port yet.
        eventually("the API server's port is free", READY, || TcpListener::bind(("127.0.0.1", self.port)).is_ok());
        let program = Program::start(self.dir(), "kube-apiserver", &tools::path("kube-apiserver"), &args);
        *self.server() = Some(program);
        let begun = Instant::now();
        while let Err(why) = self.try_kubectl(&["get", "--raw", "/readyz?verbose"], "") {
            self.server().iter().chain(&self.etcd).for_each(Program::must_run);
            let log = || self.server().as_ref().map_or_else(String::new, Program::last_words);
            assert!(begun.elapsed() < READY, "the API server is not ready within {READY:?}: {why}\n{}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Program>> {
        self.api_server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the API server; etcd stays.
    pub fn kill_api_server(&self) {
        drop(self.server().take());
    }

    /// Stops the API server where it stands: connections stay open and say nothing.
    pub fn stall_api_server(&self) {
        self.server().as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// Stops etcd where it stands: the API server answers what it can by itself and is silent on the rest. For planes of one's own only.
    pub fn stall_etcd(&self) {
        self.etcd.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// Lets a stalled etcd go on.
    pub fn resume_etcd(&self) {
        self.etcd.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// Lets a stalled API server go on.
    pub fn resume_api_server(&self) {
        self.server().as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// The folder with certificates, kubeconfigs and logs.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of a user who may do everything.
    pub fn admin(&self) -> PathBuf {
        self.dir().join("admin.kubeconfig")
    }

    /// A kubeconfig for a user with these groups. What the user may do is for RBAC to say.
    pub fn user(&self, name: &str, groups: &[&str]) -> PathBuf {
        self.user_at(name, groups, self.port)
    }

    /// The same, through another loopback port (a [`super::gate::Gate`]).
    pub fn user_at(&self, name: &str, groups: &[&str], port: u16) -> PathBuf {
        let (certificate, key) = issue(&self.authority, name, groups, &[]);
        let encoded = |text: &str| STANDARD.encode(text);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context: {{cluster: test, user: {name}}}\n\
             clusters:\n- name: test\n  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: {}}}\n\
             users:\n- name: {name}\n  user: {{client-certificate-data: {}, client-key-data: {}}}\n",
            encoded(&self.ca),
            encoded(&certificate),
            encoded(&key),
        );
        let path = self.dir().join(format!("{name}-{port}.kubeconfig"));
        fs::write(&path, text).expect("written");
        path
    }

    /// Runs kubectl as admin; panics with its words if it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args, "").unwrap_or_else(|e| panic!("kubectl {args:?}: {e}"))
    }

    /// Runs kubectl as admin over some YAML: `apply` with `-f -` added.
    pub fn kubectl_with(&self, args: &[&str], yaml: &str) -> String {
        let args = [args, &["-f", "-"]].concat();
        self.try_kubectl(&args, yaml).unwrap_or_else(|e| panic!("kubectl {args:?}: {e}"))
    }

    /// Applies YAML, server-side.
    pub fn apply(&self, yaml: &str) {
        self.kubectl_with(&["apply", "--server-side", "--force-conflicts"], yaml);
    }

    /// Runs kubectl as admin.
    pub fn try_kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        self.try_kubectl_in(&[], args, input)
    }

    /// Runs kubectl as admin with these variables in its environment.
    pub fn try_kubectl_in(&self, environment: &[(&str, &str)], args: &[&str], input: &str) -> Result<String, String> {
        self.kubectl_of().run_in(environment, args, input)
    }

    /// kubectl as admin, for a thread of its own.
    pub fn kubectl_of(&self) -> Kubectl {
        Kubectl { kubeconfig: self.admin(), home: self.dir().to_owned() }
    }

    /// Every request that the API server has answered, or begun to answer, and written down.
    pub fn audit(&self) -> Vec<Request> {
        let log = fs::read_to_string(self.dir().join("audit.log")).expect("an audit log");
        let request = |line: &str| {
            let entry: Value = serde_json::from_str(line).ok()?;
            // A watch is written down when it begins and when it ends.
            if entry["verb"] == "watch" && entry["stage"] != "ResponseStarted" {
                return None;
            }
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            Some(Request {
                user: entry["user"]["username"].as_str().unwrap_or_default().to_owned(),
                agent: text("userAgent"),
                verb: text("verb"),
                uri: text("requestURI"),
                received: text("requestReceivedTimestamp").parse().ok()?,
            })
        };
        log.lines().filter_map(request).collect()
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    (Issuer::new(params, key), certificate)
}

/// A certificate for a server (with names) or a user (without), and its key.
fn issue(authority: &Issuer<'static, KeyPair>, name: &str, groups: &[&str], hosts: &[&str]) -> (String, String) {
    let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    // The certificate carries one group; RBAC subjects of the tests need no more.
    if let Some(group) = groups.first() {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    params.extended_key_usages = vec![if hosts.is_empty() { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth }];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    (params.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}
