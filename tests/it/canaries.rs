//! Texts that only secrets hold come out nowhere: no output, log, metric, page, state file, error, cache, scratch folder or process list.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::Engine as _;
use serde_json::Value;

use crate::support::{
    cli::{Ran, program},
    git_repo::Repo,
    git_servers::{GitHttp, Mode},
    program::{Folder, Program, eventually, free_port},
    tools,
};

/// Where each stands says its name. No output may hold one, plain or in base64.
const CANARIES: [&str; 18] = [
    "canary-git-data",
    "canary-git-stringdata",
    "canary-git-last-applied",
    "canary-git-kustomize",
    "canary-git-helm",
    "canary-live-data",
    "canary-live-last-applied",
    "canary-backup-data",
    "canary-backup-last-applied",
    "canary-password-env",
    "canary-password-file",
    "canary-token-env",
    "canary-token-file",
    "canary-ssh-key",
    "canary-url-password",
    "canary-kubeconfig-token",
    "canary-kubeconfig-password",
    "canary-web-token",
];

fn in_base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Every way in which a canary may be written, with the name of it.
fn spellings() -> Vec<(&'static str, String)> {
    let of = |canary: &'static str| {
        // Without the padding and the last letters, so that the text is found inside a longer one, at each of the three places in which it
        // may begin there.
        let inside = (0..3).map(move |n| {
            let encoded = in_base64(&format!("{}{canary}", &"\0\0\0"[..n]));
            let from = if n == 0 { 0 } else { 4 };
            encoded[from..encoded.len() / 4 * 4 - 4].to_owned()
        });
        std::iter::once(canary.to_owned()).chain(inside).map(move |s| (canary, s))
    };
    CANARIES.into_iter().flat_map(of).collect()
}

fn refuse(place: &str, bytes: &[u8]) {
    for (canary, spelling) in spellings() {
        let found = bytes.windows(spelling.len()).any(|w| w == spelling.as_bytes());
        assert!(!found, "{place} holds {canary}:\n{}", String::from_utf8_lossy(bytes));
    }
}

/// Every file below a folder. What Git itself keeps of a commit lies packed in the mirror, as in any clone.
fn refuse_below(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            count += refuse_below(&path);
        } else if let Ok(bytes) = fs::read(&path) {
            refuse(&path.display().to_string(), &bytes);
            count += 1;
        }
    }
    count
}

/// Looks at the command lines of all processes, and at the environments of those that a renderer runs in, until it is dropped.
struct Lookout(Arc<AtomicBool>, Option<std::thread::JoinHandle<usize>>);

impl Lookout {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let look = move || {
            let mut looked = 0;
            while !seen.load(Ordering::Relaxed) {
                for process in
                    fs::read_dir("/proc").into_iter().flatten().flatten().filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok())
                {
                    let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    refuse("a command line", &command);
                    let program = command.split(|b| *b == 0).next().unwrap_or_default();
                    if ["kustomize", "helm", "ssh"].iter().any(|name| program.ends_with(name.as_bytes())) {
                        refuse("the environment of a child", &fs::read(process.path().join("environ")).unwrap_or_default());
                    }
                    looked += 1;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            looked
        };
        Self(over, Some(std::thread::spawn(look)))
    }

    fn end(mut self) -> usize {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().map_or(0, |t| t.join().expect("no canary was seen in a process list"))
    }
}

/// An answer as it came over the wire, head and all.
fn ask(port: u16, path: &str, authorization: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{authorization}\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A Secret with a value in each place that may hold one.
fn secret(data: &str, string_data: &str, applied: &str) -> String {
    let (data, inner) = (in_base64(data), in_base64(applied));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\n  namespace: shop\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: \
         '{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{{\"key\":\"{inner}\"}},\"stringData\":{{\"plain\":\"{applied}\"}}}}'\ndata:\n  key: {data}\n{string_data}"
    )
}

/// A world whose every credential and Secret is a canary.
struct World {
    folder: Folder,
    server: GitHttp,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new("snapgap-canaries-");
        let home = folder.path();
        for name in ["repositories", "cluster", "tmp", "cache"] {
            fs::create_dir(home.join(name)).expect("a folder");
        }
        let repo = Repo::new(&home.join("repositories"), "fleet");
        let git = secret("canary-git-data", "stringData:\n  plain: canary-git-stringdata\n", "canary-git-last-applied");
        let kustomization = "secretGenerator: [{name: made, namespace: shop, literals: ['key=canary-git-kustomize']}]\n";
        let chart = "apiVersion: v2\nname: chart\nversion: 1.0.0\n";
        // The second template fails, so that helm has something to say while it holds the Secret.
        let template = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: charted}}\ndata: {{key: {}}}\n", in_base64("canary-git-helm"));
        let failing = "{{ fail (printf \"no: %s\" .Values.password) }}\n";
        repo.commit(
            "Keys",
            &[
                ("shop/keys.yaml", &git),
                ("kustomize/kustomization.yaml", kustomization),
                ("helm/Chart.yaml", chart),
                ("helm/values.yaml", "password: fine\n"),
                ("helm/templates/secret.yaml", &template),
                ("broken/Chart.yaml", chart),
                ("broken/values.yaml", "password: fine\n"),
                ("broken/templates/secret.yaml", &template),
                ("broken/templates/fail.yaml", failing),
            ],
        );
        fs::write(home.join("cluster/keys.yaml"), secret("canary-live-data", "", "canary-live-last-applied")).expect("written");
        let archived: Value = serde_yaml::from_str(&secret("canary-backup-data", "", "canary-backup-last-applied")).expect("YAML");
        let out = fs::File::create(home.join("keys.tar.gz")).expect("a file");
        let names = snapgap::velero::Names::builtin();
        snapgap::velero::archive::write::write_archive(out, [&archived], &names, jiff::Timestamp::UNIX_EPOCH).expect("an archive");
        for file in ["password-file", "token-file", "ssh-key", "web-token"] {
            fs::write(home.join(file), format!("canary-{file}\n")).expect("written");
            fs::set_permissions(home.join(file), fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        }
        fs::write(home.join("known_hosts"), "127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
            .expect("written");
        let user = |name: &str, credentials: &str| {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:9'}}}}]\n\
                 contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{credentials}}}}}]\n"
            );
            fs::write(home.join(name), text).expect("written");
        };
        user("by-token", "token: canary-kubeconfig-token");
        user("by-password", "username: me, password: canary-kubeconfig-password");
        let server = GitHttp::tls(&home.join("repositories"));
        server.set_basic("me", "canary-password-env");
        Self { folder, server }
    }

    fn home(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration: every way to authenticate, each once.
    fn configuration(&self) -> String {
        let (home, url, ca) = (self.home().display(), self.server.url("fleet.git"), self.server.ca_file.display());
        let source = |name: &str, url: &str, auth: &str| {
            format!("- {{name: {name}, url: '{url}', ca_file: '{ca}', timeout: 3s, interval: 2s, auth: {{{auth}}}}}\n")
        };
        let mut text = String::from("sources:\n");
        text += &source("good", &url, "username: me, password_env: CANARY_PASSWORD");
        text += &source("password-file", &url, &format!("username: me, password_file: '{home}/password-file'"));
        text += &source("token-file", &url, &format!("token_file: '{home}/token-file'"));
        text += &source("token-env", &url, "token_env: CANARY_TOKEN");
        text += &format!(
            "- {{name: ssh, url: 'ssh://git@127.0.0.1:9/x.git', timeout: 3s, auth: {{ssh_key_file: '{home}/ssh-key', known_hosts_file: '{home}/known_hosts'}}}}\napps:\n"
        );
        for (name, source, path, renderer) in [
            ("keys", "good", "shop", "directory"),
            ("made", "good", "kustomize", "kustomize"),
            ("charted", "good", "helm", "helm"),
            ("broken", "good", "broken", "helm"),
            ("a", "password-file", "shop", "auto"),
            ("b", "token-file", "shop", "auto"),
            ("c", "token-env", "shop", "auto"),
            ("d", "ssh", "shop", "auto"),
        ] {
            text += &format!("- {{name: {name}, source: {source}, path: {path}, renderer: {renderer}, namespace: shop}}\n");
        }
        text += &format!(
            "cluster: {{dump: '{home}/cluster', secrets: true}}\nvelero: {{backups: [{{file: '{home}/keys.tar.gz', name: keys, start: '2026-01-01T00:00:00Z'}}]}}\n\
             cache_dir: '{home}/cache'\nrender: {{kustomize: '{}', helm: '{}'}}\n",
            tools::path("kustomize").display(),
            tools::path("helm").display()
        );
        let file = self.home().join("snapgap.yaml");
        fs::write(&file, text).expect("written");
        file.display().to_string()
    }

    fn command(&self, level: &str) -> Command {
        let mut command = program(self.home());
        command.env("CANARY_PASSWORD", "canary-password-env").env("CANARY_TOKEN", "canary-token-env");
        command.env("TMPDIR", self.home().join("tmp")).args(["--log-level", level]);
        command
    }

    fn run(&self, level: &str, args: &[&str]) -> Ran {
        let ran = Ran::from(self.command(level).args(args).output().expect("it starts"));
        refuse(&format!("{args:?} at {level}"), ran.said().as_bytes());
        ran
    }
}

/// Everything that this program and its libraries can say.
const EVERYTHING: &str = "trace,hyper=trace,reqwest=trace,rustls=trace,kube=trace,gix=trace";

#[test]
fn no_command_tells_a_secret() {
    let world = World::new();
    let (file, lookout) = (world.configuration(), Lookout::begin());
    for level in ["trace", EVERYTHING] {
        for args in [
            &["report", "--all"][..],
            &["report", "--all", "-o", "json"],
            &["report", "--all", "-o", "yaml"],
            &["report", "--all", "-o", "markdown"],
            &["explain", "Secret/keys", "-n", "shop"],
            &["explain", "Secret/keys", "-n", "shop", "-o", "json"],
            &["render", "keys"],
            &["render", "made"],
            &["render", "charted"],
            &["config", "check"],
        ] {
            let ran = world.run(level, &[args, &["-f", &file]].concat());
            assert!(matches!(ran.code, Some(0 | 2)), "{args:?}: {ran:#?}");
        }
    }
    let seen = world.run("warn", &["report", "--all", "-o", "json", "-f", &file]).json();
    let keys = seen["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "keys").expect("the Secret").clone();
    assert_eq!(keys["sides"], serde_json::json!({"git": "present", "cluster": "present", "backup": "present"}), "all three read it: {keys:#}");
    assert!(!keys["fields"].as_array().expect("fields").is_empty(), "and it differs: {keys:#}");
    let apps = seen["apps"].as_array().expect("apps");
    for (app, fails) in [("keys", false), ("made", false), ("charted", false), ("broken", true), ("a", true), ("b", true), ("c", true), ("d", true)] {
        let told = apps.iter().find(|a| a["name"] == app).expect("an app");
        assert_eq!(told["failure"].is_object(), fails, "{told:#}");
    }
    // Servers that repeat what they were sent, and credentials where they do not belong.
    world.server.set(Mode::Echo);
    world.run("trace", &["report", "-f", &file]);
    for kubeconfig in ["by-token", "by-password"] {
        let kubeconfig = world.home().join(kubeconfig).display().to_string();
        for args in [&["report"][..], &["rbac"]] {
            world.run(EVERYTHING, &[args, &["--kubeconfig", &kubeconfig]].concat()).ended(2);
        }
    }
    for url in [
        "https://me:canary-url-password@git.example.com/x",
        "ssh://me:canary-url-password@git.example.com/x",
        "me:canary-url-password@git.example.com:x",
    ] {
        world.run("trace", &["report", "--git", url]).ended(3);
    }
    let inside = world.home().join("inside.yaml");
    for text in [
        "sources: [{url: 'https://me:canary-url-password@git.example.com/x'}]",
        "sources: [{url: 'https://git.example.com/x', proxy: 'http://me:canary-url-password@proxy.example.com:3128'}]",
        "sources: [{url: 'https://git.example.com/x?token=canary-url-password'}]",
        "sources: [{url: /x, auth: {password: canary-password-file}}]",
    ] {
        fs::write(&inside, text).expect("written");
        let ran = world.run("trace", &["config", "check", "-f", &inside.display().to_string()]).ended(3);
        assert!(ran.err.len() > 20, "{ran:?}");
    }
    assert!(lookout.end() > 1000);
    assert!(refuse_below(&world.home().join("cache")) > 5, "the mirror was looked at");
    refuse_below(&world.home().join("tmp"));
}

#[test]
fn the_daemon_tells_no_secret() {
    let world = World::new();
    let (file, lookout, port) = (world.configuration(), Lookout::begin(), free_port());
    let with_token = format!("{}web: {{token_file: '{}/web-token'}}\n", fs::read_to_string(&file).expect("readable"), world.home().display());
    fs::write(&file, with_token).expect("written");
    let state = world.home().join("state.json");
    let wrapper = world.home().join("serve.sh");
    let script = format!(
        "export CANARY_PASSWORD=canary-password-env CANARY_TOKEN=canary-token-env TMPDIR='{}' HOME='{}'\nexec \"$@\"\n",
        world.home().join("tmp").display(),
        world.home().display()
    );
    fs::write(&wrapper, script).expect("written");
    let args = ["serve.sh", env!("CARGO_BIN_EXE_snapgap"), "serve", "-f", &file, "--log-level", EVERYTHING, "--log-format", "json"];
    let more = [format!("--web.listen=127.0.0.1:{port}"), format!("--state-file={}", state.display())];
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).chain(more).collect();
    let serve = Program::start(world.home(), "serve", Path::new("/bin/bash"), &args);
    let token = "Authorization: Bearer canary-web-token\r\n";
    let get = |path: &str| String::from_utf8_lossy(&ask(port, path, token).unwrap_or_default()).into_owned();
    eventually("the daemon reports the Secret", Duration::from_secs(90), || get("/api/v1/report?all=true").contains("\"keys\""));
    let object = "group=&kind=Secret&namespace=shop&name=keys";
    let pages = [
        "/metrics",
        "/",
        "/api/v1/report?all=true",
        "/api/v1/objects?all=true",
        "/api/v1/apps",
        "/api/v1/backups",
        "/api/v1/status",
        "/livez",
        "/nowhere",
    ];
    let pages = pages.map(str::to_owned).into_iter().chain([format!("/objects/view?{object}"), format!("/api/v1/object?{object}")]);
    for path in pages {
        let answer = ask(port, &path, token).expect("an answer");
        assert!(answer.len() > 100, "{path}");
        refuse(&path, &answer);
        for wrong in ["Authorization: Bearer canary-web-token-wrong\r\n", "Authorization: Basic Y2FuYXJ5\r\n", ""] {
            let answer = ask(port, &path, wrong).expect("an answer");
            assert!(
                path == "/livez" || answer.starts_with(b"HTTP/1.0 401") || answer.starts_with(b"HTTP/1.1 401"),
                "{path}: {}",
                String::from_utf8_lossy(&answer)
            );
            refuse(&path, &answer);
        }
    }
    eventually("the state file is written", Duration::from_secs(60), || state.exists());
    drop(serve);
    refuse("the state file", &fs::read(&state).expect("a state file"));
    let log = fs::read(world.home().join("serve.log")).expect("a log");
    assert!(log.len() > 1000);
    refuse("the daemon's log", &log);
    assert!(lookout.end() > 1000);
    assert!(refuse_below(&world.home().join("cache")) > 5, "the mirror was looked at");
    refuse_below(&world.home().join("tmp"));
}
