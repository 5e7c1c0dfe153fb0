//! The daemon as a process: reload, stop, port, state file. It reads a dump, so no cluster is needed.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    daemon::{Daemon, SOON, Setting, request},
    git_repo::Repo,
    program::{Folder, eventually, free_port},
    tools,
};

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";

/// A repository with one app of one ConfigMap, and a dump that holds another content of it.
fn world(folder: &Folder) -> (Repo, Setting) {
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("Declare settings", &[("shop/settings.yaml", SETTINGS)]);
    let dump = folder.path().join("cluster.yaml");
    let live = SETTINGS.replace("{name: settings}", "{name: settings, namespace: shop}").replace("{a: b}", "{a: c}");
    fs::write(&dump, live).expect("written");
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "shop")]);
    (repo, setting.with(&format!("cluster: {{dump: '{}'}}", dump.display())))
}

/// The program itself, so that its exit code can be seen.
fn serve(folder: &Folder, setting: &Setting, args: &[&str]) -> Child {
    let config = folder.path().join("serve.yaml");
    fs::write(&config, &setting.0).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapgap"));
    command.args(["serve", "-f"]).arg(&config).arg("--cache-dir").arg(folder.path().join("cache")).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Waits for its end, but not for long.
fn ended(mut child: Child, within: Duration) -> Output {
    let begun = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if begun.elapsed() > within {
            child.kill().expect("killed");
            panic!("it did not end within {within:?}: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("it ended")
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

const LOADED: &str = "snapgap_config_last_reload_successful";

#[test]
fn a_reload_takes_a_good_configuration_and_a_bad_one_changes_nothing_but_a_gauge() {
    let folder = Folder::new("snapgap-reload-");
    let (_repo, setting) = world(&folder);
    let daemon = Daemon::start(&setting.clone().with("web: {enable_lifecycle: true}"));
    let apps = || daemon.json("/api/v1/apps")["apps"].as_array().expect("apps").len();
    assert_eq!((apps(), daemon.metric(LOADED)), (1, Some(1.0)));
    let good = |name: &str| format!("{}\nweb: {{enable_lifecycle: true}}", setting.0.replace("name: shop,", &format!("name: {name},")));
    let has = |name: &str| daemon.json("/api/v1/apps")["apps"].as_array().is_some_and(|a| a.len() == 1 && a[0]["name"] == name);
    // By signal.
    fs::write(&daemon.config, good("store")).expect("written");
    daemon.signal(Signal::SIGHUP);
    eventually("the app has its new name", SOON, || has("store"));
    // A key that does not exist.
    fs::write(&daemon.config, format!("{}\nsuorces: []\n", good("never"))).expect("written");
    daemon.signal(Signal::SIGHUP);
    eventually("the gauge says no", SOON, || daemon.metric(LOADED) == Some(0.0));
    let refused = daemon.post("/-/reload");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("suorces") && refused.body.contains("sources"), "{}", refused.body);
    assert!(daemon.log().contains("configuration refused"), "{}", daemon.log());
    fs::remove_file(&daemon.config).expect("removed");
    assert_eq!(daemon.post("/-/reload").status, 422);
    assert!(has("store"), "the old one stays in force");
    assert_eq!(daemon.get("/readyz").status, 200);
    // By request.
    fs::write(&daemon.config, good("market")).expect("written");
    let answer = daemon.post("/-/reload");
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("the app has its newest name", SOON, || has("market"));
    assert_eq!(daemon.metric(LOADED), Some(1.0));
    // The app that went took its series with it.
    let series = daemon.get("/metrics").body;
    assert!(series.contains("app=\"market\"") && !series.lines().any(|l| l.starts_with("snapgap_drift_objects") && l.contains("app=\"store\"")));
}

#[test]
fn a_reload_over_http_is_refused_unless_it_was_allowed() {
    let folder = Folder::new("snapgap-lifecycle-");
    let (_repo, setting) = world(&folder);
    let daemon = Daemon::start(&setting);
    let answer = daemon.post("/-/reload");
    assert!(answer.status == 403 && answer.body.contains("enable-lifecycle"), "{answer:?}");
}

#[test]
fn it_stops_on_sigterm_and_sigint_with_exit_code_0_in_under_5_seconds() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = Folder::new("snapgap-stop-");
        let (_repo, setting) = world(&folder);
        let port = free_port();
        let child = serve(&folder, &setting, &[&format!("--web.listen=127.0.0.1:{port}")]);
        eventually("it is ready", SOON, || request(port, "GET", "/readyz").is_some_and(|a| a.status == 200));
        // Somebody who holds a connection open and says nothing does not keep it.
        let _idle = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let begun = Instant::now();
        kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), signal).expect("it runs");
        let out = ended(child, Duration::from_secs(10));
        assert_eq!(out.status.code(), Some(0), "{signal}: {}", said(&out));
        assert!(begun.elapsed() < Duration::from_secs(5), "{signal}: it took {:?}", begun.elapsed());
    }
}

#[test]
fn it_stops_in_under_5_seconds_while_git_and_cluster_hang() {
    let folder = Folder::new("snapgap-hang-");
    // A server that takes connections and never answers, for both.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- {{name: a, context: {{cluster: a, user: a}}}}\n\
         clusters:\n- {{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}\nusers:\n- {{name: a, user: {{}}}}\n"
    );
    fs::write(&kubeconfig, text).expect("written");
    let setting = Setting::new(&format!("https://127.0.0.1:{port}/fleet"), &[("shop", "shop", "shop")]).cluster(&kubeconfig);
    let listen = free_port();
    let child = serve(&folder, &setting, &[&format!("--web.listen=127.0.0.1:{listen}")]);
    eventually("it answers", SOON, || request(listen, "GET", "/livez").is_some_and(|a| a.status == 200));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(request(listen, "GET", "/readyz").expect("an answer").status, 503, "nothing was read yet");
    let begun = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), Signal::SIGTERM).expect("it runs");
    let out = ended(child, Duration::from_secs(20));
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

/// A chart that takes Helm minutes to render: a billion turns of a loop.
const ENDLESS: &str = "{{- range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}";

/// Processes that run this very program.
fn running(program: &Path) -> usize {
    let processes = fs::read_dir("/proc").expect("linux").flatten();
    processes.filter(|p| fs::read_link(p.path().join("exe")).is_ok_and(|exe| exe == program)).count()
}

#[test]
fn it_stops_in_under_5_seconds_in_the_middle_of_a_render_and_of_a_request() {
    let folder = Folder::new("snapgap-render-hangs-");
    let helm = folder.path().join("helm-of-this-test");
    fs::copy(tools::path("helm"), &helm).expect("copied");
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("A chart", &[("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n"), ("shop/templates/endless.yaml", ENDLESS)]);
    let dump = folder.path().join("cluster.yaml");
    fs::write(&dump, SETTINGS).expect("written");
    let setting = Setting(format!(
        "sources: [{{url: '{}', ref: main}}]\napps: [{{name: shop, path: shop, renderer: helm, namespace: shop}}]\n\
         cluster: {{dump: '{}'}}\nrender: {{helm: '{}', timeout: 10m}}\n",
        repo.git_dir.display(),
        dump.display(),
        helm.display()
    ));
    let port = free_port();
    let child = serve(&folder, &setting, &[&format!("--web.listen=127.0.0.1:{port}")]);
    eventually("helm is at work", SOON, || running(&helm) > 0);
    let mut half = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").expect("sent");
    let begun = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), Signal::SIGTERM).expect("it runs");
    let out = ended(child, Duration::from_secs(20));
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    eventually("helm is gone too", Duration::from_secs(5), || running(&helm) == 0);
}

#[test]
fn the_environment_and_the_flags_say_what_the_configuration_does_not() {
    let folder = Folder::new("snapgap-environment-");
    let (repo, setting) = world(&folder);
    let config = folder.path().join("by-environment.yaml");
    // Over a URL, so that a mirror is needed.
    let text = setting.0.replace(&repo.git_dir.display().to_string(), &format!("file://{}", repo.git_dir.display()));
    fs::write(&config, text).expect("written");
    let (state, cache, port) = (folder.path().join("onsets.json"), folder.path().join("mirrors"), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapgap"));
    command.args(["serve", "--web.enable-lifecycle"]).env("SNAPGAP_CONFIG", &config).env("SNAPGAP_STATE_FILE", &state);
    command.env("SNAPGAP_CACHE_DIR", &cache).env("SNAPGAP_WEB_LISTEN", format!("127.0.0.1:{port}"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    eventually("it is ready where the environment says", SOON, || request(port, "GET", "/readyz").is_some_and(|a| a.status == 200));
    let answer = request(port, "POST", "/-/reload").expect("an answer");
    assert_eq!(answer.status, 200, "the flag allows it: {}", answer.body);
    kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), Signal::SIGTERM).expect("it runs");
    let out = ended(child, Duration::from_secs(10));
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(fs::read_to_string(&state).is_ok_and(|s| s.contains("\"version\"")), "the state file is where the environment says");
    assert!(fs::read_dir(&cache).is_ok_and(|mut found| found.next().is_some()), "and so is the mirror");
}

#[test]
fn a_port_in_use_and_a_newer_state_file_end_it_with_exit_code_3_and_the_way_out() {
    let folder = Folder::new("snapgap-refused-");
    let (_repo, setting) = world(&folder);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let out = ended(serve(&folder, &setting, &[&format!("--web.listen={address}")]), Duration::from_secs(20));
    println!("{}", said(&out));
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains(&format!("port {} is in use on 127.0.0.1", address.port())) && said(&out).contains("web.listen"), "{}", said(&out));
    let state = folder.path().join("state.json");
    fs::write(&state, r#"{"version":99,"what":"the future"}"#).expect("written");
    let out = ended(serve(&folder, &setting, &["--state-file", &state.display().to_string(), "--web.listen=127.0.0.1:0"]), Duration::from_secs(20));
    println!("{}", said(&out));
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("version 99") && said(&out).contains("--state-file"), "{}", said(&out));
    assert_eq!(fs::read_to_string(&state).expect("kept"), r#"{"version":99,"what":"the future"}"#);
}

/// Runs until ready and stops; returns since when the settings are missing.
fn since(folder: &Folder, setting: &Setting, state: &Path) -> String {
    let port = free_port();
    let child = serve(folder, setting, &["--state-file", &state.display().to_string(), &format!("--web.listen=127.0.0.1:{port}")]);
    let mut found = None;
    eventually("the drift is reported with its onset", SOON, || {
        let answer = request(port, "GET", "/api/v1/object?namespace=shop&kind=ConfigMap&name=settings");
        let object = answer.filter(|a| a.status == 200).and_then(|a| serde_json::from_str::<serde_json::Value>(&a.body).ok());
        found = object.and_then(|o| Some(o["object"]["drift_since"].as_str()?.to_owned()));
        found.is_some()
    });
    kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), Signal::SIGTERM).expect("it runs");
    assert_eq!(ended(child, Duration::from_secs(10)).status.code(), Some(0));
    found.expect("waited for")
}

#[test]
fn onset_times_survive_a_restart_and_a_corrupt_state_file_is_kept_aside() {
    let folder = Folder::new("snapgap-state-");
    let (_repo, setting) = world(&folder);
    // An object that is not there carries no time of its own: only watching tells.
    let other = SETTINGS.replace("{name: settings}", "{name: other, namespace: shop}");
    fs::write(folder.path().join("cluster.yaml"), other).expect("written");
    let state = folder.path().join("state.json");
    let first = since(&folder, &setting, &state);
    assert!(state.exists(), "the state is written at the stop");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(since(&folder, &setting, &state), first);
    let ahead = fs::read_to_string(&state).expect("readable").replace(&first[..10], "2099-01-01");
    assert!(ahead.contains("2099"), "{ahead}");
    fs::write(&state, ahead).expect("written");
    let seen: Timestamp = since(&folder, &setting, &state).parse().expect("a time");
    assert!(seen <= Timestamp::now(), "what a clock that ran ahead wrote was seen by now: {seen}");
    fs::write(&state, "{half").expect("written");
    assert_ne!(since(&folder, &setting, &state), first, "without the file the onset is when it was first seen");
    assert_eq!(fs::read_to_string(folder.path().join("state.json.corrupt-0")).expect("kept"), "{half");
}
