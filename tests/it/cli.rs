//! The program itself over worlds that it made: commands, forms, exit codes, the demo's story.

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
    // Where the cluster has the Backup, the archive as `velero backup download` writes it is enough.
    let downloaded = world.home().join(format!("{name}-data.tar.gz"));
    std::fs::copy(world.newest().1, &downloaded).expect("copied");
    let told = world.report(&["--backup", &downloaded.display().to_string()]);
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
    // What could not be read may be what knows it.
    for blind in [["--cluster-dump", "/nonexistent"], ["--git", "/nonexistent"], ["--backup", "/nonexistent"]] {
        let unknown = world.run(&[&["explain", "Service/cart-settings"][..], &blind].concat()).ended(2).err;
        assert!(unknown.contains("who could be asked") && unknown.contains("/nonexistent"), "{unknown}");
    }
    let unjudged = world.run(&["explain", "Deployment/cart", "-n", "shop", "--git", "/nonexistent"]).ended(2).out;
    assert!(unjudged.contains("unknown") && unjudged.contains("/nonexistent"), "{unjudged}");
    let form = world.run(&["explain", "cart"]).ended(3).err;
    assert!(form.contains("KIND/NAME"), "{form}");
}

#[test]
fn render_prints_an_app_at_any_commit() {
    let world = World::new();
    let tip = world.run(&["render", "shop"]).ended(0).out;
    assert!(tip.contains("cart:2.4.0") && tip.contains("# apps/shop/cart.yaml:1"), "{tip}");
    let git = |args: &[&str]| {
        let out = std::process::Command::new("git").args([&["--git-dir", &world.path("fleet.git")], args].concat()).output();
        String::from_utf8(out.expect("git runs: apt-get install git").stdout).expect("text")
    };
    let first = git(&["rev-list", "--max-parents=0", "main"]);
    let first = first.trim();
    assert_eq!(git(&["rev-list", "--count", "--merges", "main"]).trim(), "1", "the history has a merge,");
    assert!(git(&["log", "--format=%s", "main"]).contains("Revert \"Try a larger cache\""), "a revert,");
    let readme = git(&["log", "--format=", "--name-only", "--grep=Say how to roll back", "main"]);
    assert_eq!(readme.trim(), "README.md", "and a commit of nothing but a README");
    let older = world.run(&["render", "shop", "--commit", first]).ended(0).out;
    assert!(older.contains(first) && !older.contains("cart:2.4.0"), "{older}");
    let unknown = world.run(&["render", "nobody"]).ended(3).err;
    assert!(unknown.contains("ingress, shop"), "{unknown}");
    let short = world.run(&["render", "shop", "--commit", &first[..9]]).ended(0).out;
    assert_eq!(short, older, "the first digits of an id are enough");
    let tree = git(&["rev-parse", "main:apps"]);
    for (wrong, word) in [
        ("0".repeat(40).as_str(), "no commit"),
        ("0000", "no commit"),
        ("", "four digits"),
        ("abc", "four digits"),
        ("main", "no commit"),
        (tree.trim(), "no commit"),
    ] {
        let told = world.run(&["render", "shop", "--commit", wrong]).ended(3).err;
        assert!(told.contains(word) && told.contains("--commit"), "{wrong}: {told}");
    }
}

#[test]
fn another_moment_counts_the_backups_that_had_ended_then() {
    let world = World::new();
    let now = world.report(&[]);
    let backups = now["backups"].as_array().expect("backups");
    let start = |n: usize| backups[n]["start"].as_str().and_then(|s| s.parse::<jiff::Timestamp>().ok()).expect("a start");
    let (newer, older) = (start(0), start(1));
    let minute = jiff::SignedDuration::from_mins(1);
    let spoken = |moment: jiff::Timestamp| {
        let report = world.report(&["--now", &moment.to_string()]);
        let states: Vec<(String, bool)> = report["backups"]
            .as_array()
            .expect("backups")
            .iter()
            .map(|b| (b["state"].as_str().expect("a state").to_owned(), b["speaks_for"] != 0))
            .collect();
        (states, report["summary"]["window"].as_str().expect("a window").to_owned())
    };
    let told = |newer: (&str, bool), older: (&str, bool)| vec![(newer.0.to_owned(), newer.1), (older.0.to_owned(), older.1)];
    let later = jiff::SignedDuration::from_hours(1);
    assert_eq!(spoken(newer.checked_add(later).expect("a time")).0, told(("restorable", true), ("restorable", false)));
    assert_eq!(spoken(newer.checked_sub(minute).expect("a time")).0, told(("pending", false), ("restorable", true)));
    assert!(!spoken(newer).0[0].1, "it had begun and had not ended");
    assert_eq!(spoken(older.checked_sub(minute).expect("a time")), (told(("pending", false), ("pending", false)), "none".into()));
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
