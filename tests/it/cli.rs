//! The program itself over worlds that it made: commands, forms, exit codes, the demo's story, and that no Secret comes out anywhere.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    cli::{SNAPGAP, World, program, snapgap, with},
    program::eventually,
};

/// Ends a child when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of an answer, or nothing while nobody answers.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

#[test]
fn fail_on_decides_the_exit_code() {
    let world = World::new();
    for (named, code) in [("drift", 1), ("split", 1), ("lost", 1), ("drift,lost", 1), ("unknown", 0), ("unknown,split", 1), ("everything", 3)] {
        world.run(&["report", "--fail-on", named]).ended(code);
    }
    world.run(&["report"]).ended(0);
    let unread = ["report", "--git", "/nonexistent/repository"];
    world.run(&unread).ended(2);
    world.run(&[&unread[..], &["--fail-on", "unknown"]].concat()).ended(1);
    world.run(&["report", "--no-such-flag"]).ended(3);
    snapgap(world.home(), &["--help"]).ended(0);
    snapgap(world.home(), &[]).ended(3);
}

#[test]
fn a_pipe_that_is_closed_is_no_error() {
    let world = World::new();
    let script = format!("{SNAPGAP} report -o json --all -f '{}' | head -c 10; exit ${{PIPESTATUS[0]}}", world.config());
    let out = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn every_form_tells_the_same_findings() {
    let world = World::new();
    for form in ["table", "json", "yaml", "markdown"] {
        let told = world.run(&["report", "-o", form]).ended(0).out;
        for name in ["cart", "feature-flags", "cart-database", "summer-banner", "ingress-settings"] {
            assert!(told.contains(name), "{form} does not name {name}:\n{told}");
        }
    }
    let now = ["--now", "2100-01-01T00:00:00Z"];
    let json = world.run(&[&["report", "-o", "json"][..], &now].concat()).ended(0).json();
    let yaml = world.run(&[&["report", "-o", "yaml"][..], &now].concat()).ended(0).out;
    let yaml: Value = serde_yaml::from_str(&yaml).expect("YAML");
    assert_eq!(json["now"], "2100-01-01T00:00:00Z");
    assert_eq!((&json["summary"], &json["objects"]), (&yaml["summary"], &yaml["objects"]));
}

#[test]
fn all_adds_what_needs_no_action() {
    let world = World::new();
    let some = world.run(&["report", "-o", "json"]).ended(0).json();
    let all = world.run(&["report", "-o", "json", "--all"]).ended(0).json();
    let count = |report: &Value| report["objects"].as_array().map_or(0, Vec::len);
    assert!(count(&some) < count(&all), "{} of {}", count(&some), count(&all));
    assert_eq!(Value::from(count(&all)), all["summary"]["objects"]);
    assert_eq!(some["summary"], all["summary"], "the counts are over all objects, shown or not");
}

/// Holds a value against the parts of JSON Schema that the published schemas use; says where it does not fit.
fn misfit(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return misfit(root, &root["$defs"][name], value, at);
    }
    if let Some(options) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return options.iter().all(|o| misfit(root, o, value, at).is_some()).then(|| format!("{at}: none of the choices fits {value}"));
    }
    let named = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    let fits = match &schema["type"] {
        Value::String(kind) => named(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(named),
        _ => true,
    };
    if !fits || schema.get("const").is_some_and(|c| c != value) || schema["enum"].as_array().is_some_and(|e| !e.contains(value)) {
        return Some(format!("{at}: {value} is not {schema}"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().enumerate().find_map(|(n, item)| misfit(root, &schema["items"], item, &format!("{at}/{n}")));
    }
    let object = value.as_object()?;
    if let Some(missing) = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).find(|k| !object.contains_key(*k)) {
        return Some(format!("{at}: {missing} is missing"));
    }
    object.iter().find_map(|(key, inner)| {
        let at = format!("{at}/{key}");
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(property), _) => misfit(root, property, inner, &at),
            (None, Some(Value::Bool(false))) => Some(format!("{at} is not in the schema")),
            (None, Some(more)) => misfit(root, more, inner, &at),
            (None, None) => None,
        }
    })
}

#[test]
fn the_json_report_fits_the_published_schema() {
    let world = World::new();
    let schema = snapgap(world.home(), &["schema", "report"]).ended(0).json();
    let report = world.report(&[]);
    assert_eq!(misfit(&schema, &schema, &report, ""), None);
    let unread = world.run(&["report", "-o", "json", "--all", "--git", "/nonexistent"]).ended(2).json();
    assert_eq!(misfit(&schema, &schema, &unread, ""), None);
    let mut spoilt = report;
    spoilt["summary"]["objects"] = "many".into();
    assert!(misfit(&schema, &schema, &spoilt, "").is_some(), "the check itself finds what does not fit");
}

#[test]
fn flags_alone_name_the_same_world_as_the_file() {
    let world = World::new();
    let flags = world.flags();
    let by_flags = [&["report", "-o", "json", "--all"], &world.by_flags(&flags)[..]].concat();
    let told = snapgap(world.home(), &[&by_flags[..], &["--secrets"]].concat()).json();
    let file = world.report(&[]);
    for (axis, verdict) in
        [("recovery", "split"), ("recovery", "lost"), ("recovery", "backup_stale"), ("recovery", "resurrected"), ("drift", "changed")]
    {
        assert_eq!(with(&told, axis, verdict), with(&file, axis, verdict), "{verdict}");
    }
    // The name and the start of an archive may be told where no velero-backup.json lies beside it.
    let (name, archive) = world.newest();
    let alone = world.home().join("alone.tar.gz");
    std::fs::copy(archive, &alone).expect("copied");
    let start = file["backups"][0]["start"].as_str().expect("a start");
    let backup = format!("{name}={},start={start}", alone.display());
    let told = world.report(&["--backup", &backup]);
    assert_eq!(with(&told, "recovery", "split"), with(&file, "recovery", "split"));
    let refused = world.run(&["report", "--backup", &alone.display().to_string()]).ended(2);
    assert!(refused.out.contains("start="), "{refused:?}");
}

#[test]
fn no_cluster_is_unknown_and_says_how_to_name_one() {
    let home = tempfile::tempdir().expect("a folder");
    for form in ["table", "markdown", "json"] {
        let told = snapgap(home.path(), &["report", "-o", form]).ended(2).out;
        assert!(!told.contains("Nothing to act on"), "nothing was read: {told}");
        assert!(told.contains("--kubeconfig") && told.split_whitespace().any(|w| w.contains("--cluster-dump")), "{told}");
        assert!(!told.contains("There is no usable backup"), "nobody knows that: {told}");
    }
    let rbac = snapgap(home.path(), &["rbac"]).ended(3).err;
    assert!(rbac.contains("--kubeconfig"), "{rbac}");
}

#[test]
fn explain_finds_misses_and_asks_which() {
    let world = World::new();
    for object in ["Deployment/cart", "deployment/cart", "Deployment.apps/cart"] {
        let told = world.run(&["explain", object, "-n", "shop"]).ended(0).out;
        for evidence in ["split", "apps/shop/cart.yaml", "cart:2.3.0", "cart:2.4.0", "LOG_LEVEL", "Grace"] {
            assert!(told.contains(evidence), "{object} lacks {evidence}:\n{told}");
        }
    }
    let json = world.run(&["explain", "Deployment/cart", "-o", "json"]).ended(0).json();
    assert!(json.is_object());
    let which = world.run(&["explain", "ConfigMap/kube-root-ca.crt"]).ended(3).err;
    assert!(which.contains("several objects") && which.contains("-n NAMESPACE"), "{which}");
    let missed = world.run(&["explain", "Service/cart-settings"]).ended(3).err;
    assert!(missed.contains("there is ConfigMap shop/cart-settings"), "{missed}");
    let form = world.run(&["explain", "cart"]).ended(3).err;
    assert!(form.contains("KIND/NAME"), "{form}");
}

#[test]
fn render_prints_an_app_at_any_commit() {
    let world = World::new();
    let tip = world.run(&["render", "shop"]).ended(0).out;
    assert!(tip.contains("cart:2.4.0") && tip.contains("# apps/shop/cart.yaml:1"), "{tip}");
    let git = std::process::Command::new("git").args(["--git-dir", &world.path("fleet.git"), "rev-list", "--max-parents=0", "main"]).output();
    let first = String::from_utf8(git.expect("git runs: apt-get install git").stdout).expect("text");
    let first = first.trim();
    let older = world.run(&["render", "shop", "--commit", first]).ended(0).out;
    assert!(older.contains(first) && !older.contains("cart:2.4.0"), "{older}");
    let unknown = world.run(&["render", "nobody"]).ended(3).err;
    assert!(unknown.contains("ingress, shop"), "{unknown}");
    world.run(&["render", "shop", "--commit", &"0".repeat(40)]).ended(2);
}

#[test]
fn what_is_asked_of_no_world_is_answered_without_one() {
    let world = World::new();
    let told = world.run(&["config", "check"]).ended(0).out;
    assert!(told.contains("The configuration is good") && told.contains("app shop: apps/shop"), "{told}");
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef snapgap"), ("fish", "complete -c snapgap")] {
        let text = snapgap(world.home(), &["completions", shell]).ended(0).out;
        assert!(text.contains(sign) && text.contains("cluster-dump"), "{shell}");
    }
    snapgap(world.home(), &["completions", "cmd"]).ended(3);
    assert!(snapgap(world.home(), &["schema", "config"]).ended(0).json()["properties"]["velero"].is_object());
    assert!(snapgap(world.home(), &["version"]).ended(0).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_demo_shows_one_of_everything() {
    let world = World::new();
    let report = world.report(&[]);
    for (axis, verdict, object) in [
        ("recovery", "split", "Deployment/cart"),
        ("recovery", "lost", "ConfigMap/feature-flags"),
        ("recovery", "backup_stale", "Secret/cart-database"),
        ("recovery", "resurrected", "ConfigMap/summer-banner"),
        ("drift", "changed", "ConfigMap/ingress-settings"),
    ] {
        assert!(with(&report, axis, verdict).contains(&object.to_owned()), "{object} is not {verdict}");
    }
    assert_eq!(report["summary"]["window"], "open");
    let told = snapgap(world.home(), &["demo", "--once"]).ended(0).out;
    for heading in ["WINDOWS", "LOST (1)", "STALE BACKUP (1)", "SPLIT", "DRIFT", "RESURRECTED (1)"] {
        assert!(told.contains(heading), "{heading}: {told}");
    }
    let full = world.path("");
    assert!(snapgap(world.home(), &["demo", "--once", "--keep", &full]).ended(3).err.contains("not empty"));
}

#[test]
fn the_story_of_the_demo_opens_and_closes_the_window() {
    let home = tempfile::tempdir().expect("a folder");
    let mut child = program(home.path()).args(["demo", "--pace", "2"]).stdout(Stdio::piped()).spawn().map(Running).expect("starts");
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines().map(|l| l.expect("text"));
    let line = lines.find(|l| l.contains("http://")).expect("an address");
    let address = line.split("http://").nth(1).and_then(|l| l.split('/').next()).expect("an address").to_owned();
    let reader = std::thread::spawn(move || lines.collect::<Vec<_>>());
    let holds = |state: &str| {
        let metrics = get(&address, "/metrics").unwrap_or_default();
        let states: Vec<_> =
            metrics.lines().filter(|l| l.starts_with("snapgap_split_brain_state{") && l.contains(&format!("state=\"{state}\""))).collect();
        !states.is_empty() && states.iter().all(|l| l.ends_with(" 1"))
    };
    eventually("every window is open", Duration::from_secs(30), || holds("open"));
    eventually("every window is closed", Duration::from_secs(60), || holds("closed"));
    drop(child);
    let told = reader.join().expect("read");
    assert!(told.iter().any(|l| l.contains("Every window is closed")), "{told:?}");
}

#[test]
fn the_demo_ends_by_itself_when_told_so() {
    let home = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let told = snapgap(home.path(), &["demo", "--pace", "1", "--exit"]).ended(0).out;
    assert!(told.contains("Another backup. Every window is closed.") && begun.elapsed() < Duration::from_secs(60), "{told}");
}

/// Texts that stand in places where only secrets stand. No output may hold one, plain or in base64.
const CANARIES: [&str; 8] = [
    "canary-git-data",
    "canary-git-stringdata",
    "canary-git-last-applied",
    "canary-live-data",
    "canary-live-last-applied",
    "canary-env-password",
    "canary-token-file",
    "canary-url-password",
];

fn in_base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn refuse_canaries(place: &str, text: &str) {
    for canary in CANARIES {
        // Without the padding and the last letters, so that the text is found inside a longer one that begins with it.
        let encoded = in_base64(canary);
        let encoded = &encoded[..encoded.len() / 4 * 4 - 4];
        assert!(!text.contains(canary) && !text.contains(encoded), "{place} holds {canary}:\n{text}");
    }
}

#[test]
fn no_secret_comes_out_anywhere() {
    let world = World::new();
    let secret = |data: &str, string_data: &str, applied: &str| {
        let (data, inner) = (in_base64(data), in_base64(applied));
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\n  namespace: shop\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: \
             '{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{{\"key\":\"{inner}\"}},\"stringData\":{{\"plain\":\"{applied}\"}}}}'\ndata:\n  key: {data}\n{string_data}"
        )
    };
    // Git holds it in the commit, the dump as the server would serve it. The archive is the dump of another moment.
    let repo = crate::support::git_repo::Repo::new(world.home(), "fleet2");
    let git = secret(CANARIES[0], &format!("stringData:\n  plain: {}\n", CANARIES[1]), CANARIES[2]);
    repo.commit("Keys", &[("shop/keys.yaml", &git)]);
    let live = secret(CANARIES[3], "", CANARIES[4]);
    std::fs::write(world.path("cluster/shop/secret-keys.yaml"), &live).expect("written");
    let archived: Value = serde_yaml::from_str(&live).expect("YAML");
    let archive = world.home().join("keys.tar.gz");
    let names = snapgap::velero::Names::builtin();
    let out = std::fs::File::create(&archive).expect("a file");
    snapgap::velero::archive::write::write_archive(out, [&archived], &names, jiff::Timestamp::UNIX_EPOCH).expect("an archive");
    let token = world.home().join("token");
    std::fs::write(&token, CANARIES[6]).expect("written");
    let configuration = format!(
        "sources:\n- {{name: good, url: '{}', ref: main}}\n- {{name: far, url: 'https://127.0.0.1:9/x.git', auth: {{username: me, password_env: CANARY}}, timeout: 2s}}\n\
         - {{name: farther, url: 'https://127.0.0.1:9/y.git', auth: {{token_file: '{}'}}, timeout: 2s}}\n\
         apps:\n- {{name: keys, source: good, path: shop, namespace: shop}}\n- {{name: far, source: far, path: x}}\n- {{name: farther, source: farther, path: x}}\n\
         cluster: {{dump: '{}', secrets: true}}\nvelero: {{backups: [{{file: '{}', name: keys, start: '2026-01-01T00:00:00Z'}}]}}\n\
         cache_dir: '{}'\n",
        repo.git_dir.display(),
        token.display(),
        world.path("cluster"),
        archive.display(),
        world.path("cache")
    );
    let file = world.home().join("canary.yaml");
    std::fs::write(&file, configuration).expect("written");
    let file = file.display().to_string();
    let run = |args: &[&str]| {
        let out = program(world.home()).env("CANARY", CANARIES[5]).args(args).args(["-f", &file, "--log-level", "trace"]).output().expect("starts");
        crate::support::cli::Ran::from(out)
    };
    for args in [
        &["report", "--all"][..],
        &["report", "--all", "-o", "json"],
        &["report", "--all", "-o", "markdown"],
        &["explain", "Secret/keys", "-n", "shop"],
        &["explain", "Secret/keys", "-n", "shop", "-o", "json"],
        &["render", "keys"],
        &["config", "check"],
    ] {
        let ran = run(args);
        assert!(ran.code.is_some_and(|c| c < 3), "{args:?}: {ran:#?}");
        refuse_canaries(&args.join(" "), &ran.said());
    }
    let told = run(&["explain", "Secret/keys", "-n", "shop"]).out;
    assert!(told.contains("shop/keys"), "the Secret was read by all: {told}");
    let refused = snapgap(world.home(), &["report", "--git", "https://me:canary-url-password@git.example.com/x"]).ended(3);
    refuse_canaries("a URL with a password", &refused.said());

    let (port, state) = (crate::support::program::free_port(), world.home().join("state.json"));
    let address = format!("127.0.0.1:{port}");
    let logs = world.home().join("serve.log");
    let log = std::fs::File::create(&logs).expect("a log");
    let mut serve = program(world.home());
    serve.env("CANARY", CANARIES[5]).args(["serve", "-f", &file, "--log-level", "trace", "--web.listen", &address, "--state-file"]).arg(&state);
    let serve = serve.stdout(log.try_clone().expect("a handle")).stderr(log).spawn().map(Running).expect("starts");
    let secret_seen = || get(&address, "/api/v1/report").is_some_and(|r| r.contains("\"keys\""));
    eventually("the daemon reports the Secret", Duration::from_secs(60), secret_seen);
    let object = "group=&kind=Secret&namespace=shop&name=keys";
    for path in [
        "/metrics".to_owned(),
        "/".into(),
        format!("/objects/view?{object}"),
        format!("/api/v1/object?{object}"),
        "/api/v1/report".into(),
        "/api/v1/objects".into(),
        "/api/v1/apps".into(),
        "/api/v1/backups".into(),
        "/api/v1/status".into(),
    ] {
        let body = get(&address, &path).unwrap_or_else(|| panic!("{path} answers"));
        assert!(!body.is_empty(), "{path}");
        refuse_canaries(&path, &body);
    }
    eventually("the state file is written", Duration::from_secs(60), || state.exists());
    drop(serve);
    refuse_canaries("the state file", &std::fs::read_to_string(&state).expect("a state file"));
    refuse_canaries("the daemon's log", &std::fs::read_to_string(&logs).expect("a log"));
}
