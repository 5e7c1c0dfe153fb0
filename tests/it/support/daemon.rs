//! The real program as a daemon, run by a user who is bound to the shipped ClusterRole and to nothing else. I/O: processes, loopback.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    control_plane::ControlPlane,
    program::{Folder, Program, eventually, free_port},
    tools,
};

/// How long a change may take to show. Generous: test machines are busy.
pub const SOON: Duration = Duration::from_secs(40);

/// The rules of the ClusterRole that the chart ships, for these groups of custom resources.
pub fn shipped_rules(custom_groups: &[&str]) -> Vec<Value> {
    let groups = format!("rbac.customResourceGroups={{{}}}", custom_groups.join(","));
    shipped_rules_with(if custom_groups.is_empty() { &[] } else { std::slice::from_ref(&groups) })
}

/// The same, for these values of the chart (`KEY=VALUE`).
pub fn shipped_rules_with(values: &[impl AsRef<str>]) -> Vec<Value> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/snapgap");
    let mut command = Command::new(tools::path("helm"));
    command.args(["template", "snapgap", chart, "--show-only", "templates/rbac.yaml"]);
    for value in values {
        command.args(["--set", value.as_ref()]);
    }
    let out = command.output().expect("helm starts");
    assert!(out.status.success(), "helm template: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    let documents = text.split("\n---").filter_map(|d| serde_yaml::from_str::<Value>(d.trim_start_matches("---")).ok());
    let role = documents.into_iter().find(|d| d["kind"] == "ClusterRole").expect("the chart has a ClusterRole");
    role["rules"].as_array().expect("rules").clone()
}

/// Writes a ClusterRole of the user's own with these rules.
pub fn grant(plane: &ControlPlane, user: &str, rules: &[Value]) {
    let role = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": user}, "rules": rules});
    plane.apply(&role.to_string());
}

/// A user bound to a ClusterRole of its own with these rules, and to `view` as the chart does. Returns the kubeconfig.
pub fn user_with(plane: &ControlPlane, user: &str, rules: &[Value]) -> PathBuf {
    grant(plane, user, rules);
    for (name, role) in [(user.to_owned(), user), (format!("{user}-view"), "view")] {
        let api = "rbac.authorization.k8s.io";
        let binding = serde_json::json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        plane.apply(&binding.to_string());
    }
    plane.user(user, &[])
}

/// A user who may do what the chart grants.
pub fn shipped_user(plane: &ControlPlane, user: &str) -> PathBuf {
    user_with(plane, user, &shipped_rules(&[]))
}

/// The configuration of a daemon, as text.
#[derive(Clone, Debug, Default)]
pub struct Setting(pub String);

impl Setting {
    /// A source that is asked every second, with apps `(name, path, namespace)`.
    pub fn new(source: &str, apps: &[(&str, &str, &str)]) -> Self {
        let mut text = format!("sources:\n- {{name: main, url: '{source}', interval: 1s}}\napps:\n");
        for (name, path, namespace) in apps {
            writeln!(text, "- {{name: {name}, path: {path}, namespace: {namespace}, renderer: directory}}").expect("text");
        }
        Self(text)
    }

    /// Reads a live cluster.
    pub fn cluster(mut self, kubeconfig: &Path) -> Self {
        writeln!(self.0, "cluster: {{kubeconfig: '{}'}}", kubeconfig.display()).expect("text");
        self
    }

    /// More top-level lines.
    pub fn with(mut self, lines: &str) -> Self {
        writeln!(self.0, "{lines}").expect("text");
        self
    }
}

/// An answer of the daemon.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request to a loopback port.
pub fn request(port: u16, method: &str, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body: body.to_owned() })
}

/// A running daemon.
pub struct Daemon {
    pub port: u16,
    pub config: PathBuf,
    program: Program,
    // Last, so that it goes after the program.
    folder: Folder,
}

impl Daemon {
    /// Starts it and waits for its first report.
    pub fn start(setting: &Setting) -> Self {
        let daemon = Self::launch(setting, &[]);
        eventually("the daemon is ready", Duration::from_secs(120), || daemon.try_get("/readyz").is_some_and(|a| a.status == 200));
        daemon
    }

    /// Starts it and waits for nothing.
    pub fn launch(setting: &Setting, args: &[&str]) -> Self {
        let folder = Folder::new("snapgap-daemon-");
        let port = free_port();
        let config = folder.path().join("snapgap.yaml");
        fs::write(&config, &setting.0).expect("written");
        let mut all: Vec<String> = ["serve", "-f"].map(str::to_owned).to_vec();
        all.push(config.display().to_string());
        all.push(format!("--web.listen=127.0.0.1:{port}"));
        all.push(format!("--cache-dir={}", folder.path().join("cache").display()));
        all.extend(args.iter().map(|a| (*a).to_owned()));
        let program = Program::start(folder.path(), "snapgap", Path::new(env!("CARGO_BIN_EXE_snapgap")), &all);
        Self { port, config, program, folder }
    }

    /// Memory in KiB: resident now, and the most that ever was.
    pub fn memory(&self) -> (u64, u64) {
        let status = self.program.proc("status");
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok()).expect("a size");
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Processor time that it has used.
    pub fn cpu(&self) -> Duration {
        let stat = self.program.proc("stat");
        // The name stands in brackets and may hold anything; ticks are hundredths of a second on Linux.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields[n].parse::<u64>().expect("ticks");
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("snapgap.log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// GET, if it answers.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        request(self.port, "GET", path)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}; the log says:\n{}", self.log()))
    }

    /// POST.
    pub fn post(&self, path: &str) -> Answer {
        request(self.port, "POST", path).unwrap_or_else(|| panic!("no answer to {path}; the log says:\n{}", self.log()))
    }

    /// JSON of a path that must answer 200.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// The whole report.
    pub fn report(&self) -> Value {
        self.json("/api/v1/report?all=true")
    }

    /// Every object of an app.
    pub fn objects_of(&self, app: &str) -> Vec<Value> {
        self.json(&format!("/api/v1/objects?app={app}&all=true&limit=5000"))["objects"].as_array().expect("objects").clone()
    }

    /// One object; `None` if nobody knows it.
    pub fn object(&self, namespace: &str, kind: &str, name: &str) -> Option<Value> {
        let answer = self.get(&format!("/api/v1/object?namespace={namespace}&kind={kind}&name={name}"));
        let parsed: Value = serde_json::from_str(&answer.body).expect("JSON");
        (answer.status == 200).then(|| parsed["object"].clone())
    }

    /// One word of an object, for example its `drift`.
    pub fn said(&self, namespace: &str, kind: &str, name: &str, key: &str) -> String {
        self.object(namespace, kind, name).and_then(|o| Some(o[key].as_str()?.to_owned())).unwrap_or_default()
    }

    /// Waits until an object's word is this one.
    pub fn wait(&self, (namespace, kind, name): (&str, &str, &str), key: &str, want: &str) -> Value {
        let begun = std::time::Instant::now();
        while self.said(namespace, kind, name, key) != want {
            let last = self.object(namespace, kind, name);
            assert!(begun.elapsed() < SOON, "{kind}/{name} in {namespace}: {key} is not {want} within {SOON:?}: {last:#?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("{kind}/{name} in {namespace}: {key} {want} after {:?}", begun.elapsed());
        self.object(namespace, kind, name).expect("it was there")
    }

    /// The value of a series, written as in the text format.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").body;
        text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// Waits until a series has this value.
    pub fn wait_metric(&self, series: &str, want: f64) {
        eventually(&format!("{series} is {want}"), SOON, || self.metric(series) == Some(want));
    }

    /// Asks for a poll of Git at once.
    pub fn poll(&self) {
        assert_eq!(self.post("/-/poll").status, 202);
    }

    /// Waits until an app was rendered from this commit.
    pub fn wait_revision(&self, app: &str, commit: &str) {
        eventually(&format!("{app} is at {commit}"), SOON, || {
            self.json("/api/v1/apps")["apps"].as_array().is_some_and(|all| all.iter().any(|a| a["name"] == app && a["revision"] == commit))
        });
    }

    /// The state of an app's window.
    pub fn window(&self, app: &str) -> Value {
        let all = self.json("/api/v1/apps")["windows"].as_array().expect("windows").clone();
        all.into_iter().find(|w| w["scope"] == "app" && w["name"] == app).expect("the app has a window")
    }
}
