//! Real Git servers on loopback: git's own http-backend behind TLS and a password, sshd, and a CONNECT proxy. I/O: ports, processes.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use super::authority::Authority;

/// How the HTTP server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Normal,
    /// Takes connections and says nothing, not even TLS.
    Silent,
    /// Takes the request and never answers.
    Stall,
    /// Answers POSTs a byte a tenth of a second.
    Drip,
    /// Ends the connection after so many bytes of a POST's answer.
    Truncate(usize),
    /// Flips bits in a POST's answer behind this many bytes.
    Garble(usize),
    /// Sends everyone to another base URL.
    Redirect(String),
    /// Answers everything with this status.
    Status(u16),
    /// Answers with a page for people.
    Html,
    /// Answers POSTs with a Git error that repeats the credentials.
    Echo,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
}

/// git's http-backend over HTTP, with or without TLS.
pub struct GitHttp {
    pub port: u16,
    pub ca_file: PathBuf,
    shared: Arc<Shared>,
    _certificates: TempDir,
}

struct Shared {
    root: PathBuf,
    tls: Option<Arc<rustls::ServerConfig>>,
    authorization: Mutex<Option<String>>,
    mode: Mutex<Mode>,
    seen: Mutex<Vec<Seen>>,
    /// How long git took for each answer.
    took: Mutex<Vec<Duration>>,
    protocol_v2: AtomicBool,
    over: AtomicBool,
}

impl GitHttp {
    /// Serves the repositories below `root` over TLS.
    pub fn tls(root: &Path) -> Self {
        Self::start(root, true)
    }

    /// Serves them in clear text.
    pub fn plain(root: &Path) -> Self {
        Self::start(root, false)
    }

    fn start(root: &Path, tls: bool) -> Self {
        let certificates = tempfile::tempdir().expect("folder");
        let ca_file = certificates.path().join("ca.pem");
        let config = server_config(&ca_file);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            tls: tls.then(|| Arc::new(config)),
            authorization: Mutex::default(),
            mode: Mutex::new(Mode::Normal),
            seen: Mutex::default(),
            took: Mutex::default(),
            protocol_v2: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let port = listener.local_addr().expect("address").port();
        let accept = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accept.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = accept.clone();
                std::thread::spawn(move || shared.connection(stream.expect("connection")));
            }
        });
        Self { port, ca_file, shared, _certificates: certificates }
    }

    pub fn url(&self, repo: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/{repo}", self.port)
    }

    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().expect("lock") = mode;
    }

    /// Asks for this user and password from now on.
    pub fn set_basic(&self, user: &str, password: &str) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        *self.shared.authorization.lock().expect("lock") = Some(format!("Basic {pair}"));
    }

    /// Asks for this token from now on.
    pub fn set_bearer(&self, token: &str) {
        *self.shared.authorization.lock().expect("lock") = Some(format!("Bearer {token}"));
    }

    /// Speaks version 2 of the protocol only if asked to here.
    pub fn set_protocol_v2(&self, on: bool) {
        self.shared.protocol_v2.store(on, Ordering::Relaxed);
    }

    /// The requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().expect("lock"))
    }

    /// How long git took for each answer since the last call: what no client can make shorter.
    pub fn take_took(&self) -> Vec<Duration> {
        std::mem::take(&mut self.shared.took.lock().expect("lock"))
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn server_config(ca_file: &Path) -> rustls::ServerConfig {
    let authority = Authority::new();
    std::fs::write(ca_file, authority.pem()).expect("ca file");
    let (leaf, key) = authority.certify_loopback();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .expect("server certificate")
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Shared {
    fn mode(&self) -> Mode {
        self.mode.lock().expect("lock").clone()
    }

    fn wait(&self) {
        while !self.over.load(Ordering::Relaxed) && matches!(self.mode(), Mode::Silent | Mode::Stall) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connection(&self, stream: TcpStream) {
        if self.mode() == Mode::Silent {
            return self.wait();
        }
        stream.set_nodelay(true).expect("socket");
        let stream: Box<dyn Stream> = match &self.tls {
            Some(config) => Box::new(rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).expect("tls"), stream)),
            None => Box::new(stream),
        };
        let mut stream = BufReader::new(stream);
        while self.request(&mut stream).is_some() {}
    }

    /// Serves one request; `None` ends the connection.
    fn request(&self, stream: &mut BufReader<Box<dyn Stream>>) -> Option<()> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            match line.trim().split_once(':') {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let authorization = headers.get("authorization").cloned();
        self.seen.lock().expect("lock").push(Seen { method: method.clone(), path: target.clone(), authorization: authorization.clone() });

        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let out = stream.get_mut();
        match self.mode() {
            Mode::Stall => {
                self.wait();
                return None;
            }
            Mode::Redirect(base) => return answer(out, 302, &[("Location", &format!("{base}{target}"))], b"").ok(),
            Mode::Status(status) => return answer(out, status, &[], b"CANARY page").ok(),
            Mode::Html => return answer(out, 200, &[("Content-Type", "text/html")], b"<html>hello</html>").ok(),
            _ => {}
        }
        let wanted = self.authorization.lock().expect("lock").clone();
        if wanted.is_some() && wanted != authorization {
            return answer(out, 401, &[("WWW-Authenticate", "Basic realm=\"git\"")], b"no").ok();
        }
        if !self.root.join(path.trim_start_matches('/').split(".git/").next()?).with_extension("git").exists() {
            return answer(out, 404, &[], b"not here").ok();
        }
        if method == "POST" && self.mode() == Mode::Echo {
            let text = format!("ERR you said {}\n", authorization.unwrap_or_default());
            let body = format!("{:04x}{text}", text.len() + 4);
            return answer(out, 200, &[("Content-Type", "application/x-git-upload-pack-result")], body.as_bytes()).ok();
        }
        let begun = Instant::now();
        let (status, kind, mut body) = self.backend(&method, path, query, &headers, &body);
        self.took.lock().expect("lock").push(begun.elapsed());
        let kind = [("Content-Type", kind.as_str())];
        match self.mode() {
            Mode::Drip if method == "POST" => {
                head(out, status, &kind, body.len()).ok()?;
                for byte in body {
                    out.write_all(&[byte]).and_then(|()| out.flush()).ok()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Some(())
            }
            Mode::Truncate(at) if method == "POST" && body.len() > at => {
                head(out, status, &kind, body.len()).ok()?;
                out.write_all(&body[..at]).and_then(|()| out.flush()).ok()?;
                None
            }
            Mode::Garble(at) if method == "POST" && body.len() > at => {
                body[at..].iter_mut().step_by(7).for_each(|b| *b ^= 0x55);
                answer(out, status, &kind, &body).ok()
            }
            _ => answer(out, status, &kind, &body).ok(),
        }
    }

    fn backend(&self, method: &str, path: &str, query: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut command = super::git_repo::git_program();
        command.arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1").env("REQUEST_METHOD", method);
        command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REMOTE_ADDR", "127.0.0.1");
        command.env("CONTENT_TYPE", headers.get("content-type").map_or("", String::as_str)).env("CONTENT_LENGTH", body.len().to_string());
        if let Some(protocol) = headers.get("git-protocol").filter(|_| self.protocol_v2.load(Ordering::Relaxed)) {
            command.env("GIT_PROTOCOL", protocol);
        }
        let mut child = command.spawn().expect("git http-backend is needed for the tests: apt-get install git");
        let mut stdin = child.stdin.take().expect("stdin");
        let body = body.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&body));
        let out = child.wait_with_output().expect("git http-backend ends").stdout;
        let _ = writer.join();
        let split = out.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
        let head = String::from_utf8_lossy(&out[..split]).into_owned();
        let find = |name: &str| head.lines().find_map(|l| l.strip_prefix(name).map(|v| v.trim().to_owned()));
        let status = find("Status:").and_then(|s| s.split(' ').next()?.parse().ok()).unwrap_or(200);
        (status, find("Content-Type:").unwrap_or_default(), out[split + 4..].to_vec())
    }
}

fn head(out: &mut dyn Stream, status: u16, headers: &[(&str, &str)], length: usize) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    out.write_all(text.as_bytes())?;
    out.write_all(b"\r\n")?;
    out.flush()
}

fn answer(out: &mut dyn Stream, status: u16, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<()> {
    head(out, status, headers, body.len())?;
    out.write_all(body)?;
    out.flush()
}

/// A proxy that tunnels by CONNECT and remembers where to.
pub struct ConnectProxy {
    pub port: u16,
    targets: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let port = listener.local_addr().expect("address").port();
        let targets: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = targets.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || tunnel(stream, &seen));
            }
        });
        Self { port, targets }
    }

    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().expect("lock").clone()
    }
}

fn tunnel(stream: TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let target = first.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let mut line = String::from("x");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).ok()?;
    }
    seen.lock().expect("lock").push(target.clone());
    let server = TcpStream::connect(&target).ok()?;
    (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut up, mut from) = (server.try_clone().ok()?, stream.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut up));
    let (mut down, mut to) = (server, stream);
    std::io::copy(&mut down, &mut to).ok()?;
    Some(())
}

/// A real sshd on loopback, with host key, user key and known_hosts of its own.
pub struct Sshd {
    pub port: u16,
    pub key_file: PathBuf,
    pub known_hosts_file: PathBuf,
    pub user: String,
    folder: TempDir,
    child: Child,
}

impl Sshd {
    /// Lets the key in; with a `command`, that runs instead of what the client asks for.
    pub fn start(command: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        keygen(&at("host"));
        keygen(&at("user"));
        let public = std::fs::read_to_string(at("user.pub")).expect("public key");
        let options = command.map(|c| format!("command=\"{c}\" ")).unwrap_or_default();
        std::fs::write(at("authorized_keys"), format!("{options}{public}")).expect("authorized_keys");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("port").port();
        let host = std::fs::read_to_string(at("host.pub")).expect("host key");
        std::fs::write(at("known hosts"), format!("[127.0.0.1]:{port} {host}")).expect("known_hosts");
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv GIT_PROTOCOL\n",
            folder.path().display()
        );
        std::fs::write(at("sshd_config"), config).expect("config");
        if nix::unistd::geteuid().is_root() {
            // sshd separates its privileges into this folder; a distribution's service makes it at start.
            std::fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        let child = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(at("sshd_config")).stderr(Stdio::null()).spawn();
        let child = child.expect("sshd is needed for the tests: apt-get install openssh-server");
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("user").expect("user").name;
        let sshd = Self { port, key_file: at("user"), known_hosts_file: at("known hosts"), user, folder, child };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "sshd did not start on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// A known_hosts file that names another key for this host.
    pub fn wrong_known_hosts(&self) -> PathBuf {
        let other = self.folder.path().join("other");
        keygen(&other);
        let key = std::fs::read_to_string(other.with_extension("pub")).expect("key");
        let file = self.folder.path().join("wrong_hosts");
        std::fs::write(&file, format!("[127.0.0.1]:{} {key}", self.port)).expect("known_hosts");
        file
    }

    /// A key that the server does not know.
    pub fn stranger_key(&self) -> PathBuf {
        let file = self.folder.path().join("stranger");
        keygen(&file);
        file
    }

    pub fn auth(&self) -> snapgap::config::GitAuth {
        snapgap::config::GitAuth::Ssh { key_file: self.key_file.clone(), known_hosts_file: self.known_hosts_file.clone() }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(file: &Path) {
    let out = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).output();
    let out = out.expect("ssh-keygen is needed for the tests: apt-get install openssh-client");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("mode");
}
