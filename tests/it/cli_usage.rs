//! How every command ends and speaks: exit codes, help, colours, logs, progress; and that the demo needs nothing but itself.

use std::{
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::cli::{Ran, SNAPGAP, World, program, snapgap};

/// Every command with arguments that are good, over a world.
const GOOD: [&[&str]; 9] = [
    &["report"],
    &["explain", "Deployment/cart"],
    &["render", "shop"],
    &["config", "check"],
    &["schema", "report"],
    &["schema", "config"],
    &["completions", "bash"],
    &["version"],
    &["demo", "--once"],
];

fn over<'a>(world: &World, args: &[&'a str], config: &'a str) -> Ran {
    let takes_a_world = ["report", "explain", "render", "config"].contains(&args[0]);
    let more: &[&str] = if takes_a_world { &["-f", config] } else { &[] };
    snapgap(world.home(), &[args, more].concat())
}

#[test]
fn every_command_ends_with_0_if_good_and_3_if_used_wrongly() {
    let world = World::new();
    let config = world.config();
    for args in GOOD {
        let ran = over(&world, args, &config).ended(0);
        assert!(!ran.out.is_empty() && ran.err.is_empty(), "{args:?}: {ran:?}");
        let wrong = over(&world, &[args, &["--no-such-flag"]].concat(), &config).ended(3);
        assert!(wrong.out.is_empty() && wrong.err.contains("--no-such-flag") && wrong.err.contains("Usage:"), "{args:?}: {wrong:?}");
    }
    for command in ["report", "serve", "explain", "render", "demo", "config", "rbac", "schema", "completions", "version"] {
        let help = snapgap(world.home(), &[command, "--help"]).ended(0).out;
        assert!(help.contains("Usage: snapgap") && help.contains(command), "{command}: {help}");
    }
    for wrong in [
        &["nonsense"][..],
        &["explain"],
        &["explain", "Deployment/cart", "-o", "table"],
        &["explain", "Deployment/none", "-f", &config],
        &["render"],
        &["render", "none", "-f", &config],
        &["config"],
        &["config", "check", "-f", "none.yaml"],
        &["rbac", "--with", "everything"],
        &["rbac", "--cluster-dump", "."],
        &["rbac", "--kubeconfig", "none"],
        &["schema", "none"],
        &["completions", "none"],
        &["serve", "-f", "none.yaml"],
        &["serve", "--web.listen", "nonsense"],
        &["demo", "--once", "--pace", "soon"],
        &["demo", "--web.listen", "nonsense"],
        &["report", "--kubeconfig", "a", "--cluster-dump", "b"],
        &["report", "--log-level", "=,="],
    ] {
        let ran = snapgap(world.home(), wrong).ended(3);
        assert!(ran.out.is_empty() && ran.err.len() > 10, "{wrong:?}: {ran:?}");
    }
    for unread in [
        &["report", "-f", &config, "--git", "/nonexistent"][..],
        &["explain", "Deployment/none", "-f", &config, "--git", "/nonexistent"],
        &["render", "shop", "-f", &config, "--git", "/nonexistent"],
    ] {
        let ran = snapgap(world.home(), unread).ended(2);
        assert!(ran.said().contains("/nonexistent"), "{unread:?}: {ran:?}");
    }
}

#[test]
fn completions_are_what_each_shell_reads() {
    let home = tempfile::tempdir().expect("a folder");
    for (shell, check) in [("bash", Some("bash")), ("zsh", None), ("fish", None), ("elvish", None), ("powershell", None)] {
        let text = snapgap(home.path(), &["completions", shell]).ended(0).out;
        for word in ["report", "cluster-dump", "fail-on", "velero-namespace"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
        if let Some(program) = check {
            let file = home.path().join(shell);
            std::fs::write(&file, text).expect("written");
            let script = format!("source '{}' && complete -p snapgap", file.display());
            let out = Command::new(program).args(["-c", &script]).output().expect("it starts");
            assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("snapgap"), "{shell}: {out:?}");
        }
    }
}

#[test]
fn colours_are_for_terminals_unless_one_says_otherwise() {
    let world = World::new();
    let config = world.config();
    let coloured = |text: &str| text.contains("\u{1b}[");
    for (args, environment, terminal, want) in [
        (&[][..], None, false, false),
        (&[], None, true, true),
        (&[], Some(("NO_COLOR", "1")), true, false),
        (&[], Some(("NO_COLOR", "")), true, true),
        (&["--color", "never"], None, true, false),
        (&["--color", "always"], None, false, true),
        (&["--color", "always"], Some(("NO_COLOR", "1")), false, true),
    ] {
        let all = [&["report", "-f", &config], args].concat();
        let ran = if terminal { in_terminal(&world, &all, environment) } else { plain(&world, &all, environment) };
        assert_eq!(coloured(&ran.out.replace("\u{1b}[K", "")), want, "{args:?} {environment:?} terminal {terminal}: {ran:?}");
    }
    for form in ["json", "yaml", "markdown"] {
        assert!(!coloured(&plain(&world, &["report", "-f", &config, "-o", form, "--color", "always"], None).out), "{form} is for machines");
    }
}

fn plain(world: &World, args: &[&str], environment: Option<(&str, &str)>) -> Ran {
    program(world.home()).args(args).envs(environment).output().expect("it starts").into()
}

/// Runs it with a terminal as all three streams; what it wrote to either is in `out`.
fn in_terminal(world: &World, args: &[&str], environment: Option<(&str, &str)>) -> Ran {
    let quoted: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty cols 120 rows 50; exec '{SNAPGAP}' {}", quoted.join(" ")), "/dev/null"]);
    script.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", world.home()).env("TERM", "xterm").envs(environment);
    script
        .current_dir(world.home())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script is needed for the tests: apt-get install bsdutils")
        .into()
}

#[test]
fn progress_shows_on_a_terminal_after_a_second_and_not_when_quiet() {
    let world = World::new();
    let config = world.config();
    // A server that takes connections and says nothing: the deadline of the source ends it.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let text = std::fs::read_to_string(&config).expect("readable");
    let url = format!("http://127.0.0.1:{}/x.git", silent.local_addr().expect("an address").port());
    let slow =
        text.lines().map(|l| if l.contains("fleet.git") { format!("  - {{url: '{url}', ref: main, timeout: 4s}}\n") } else { format!("{l}\n") });
    let file = world.home().join("slow.yaml");
    std::fs::write(&file, slow.collect::<String>()).expect("written");
    let file = file.display().to_string();
    let begun = Instant::now();
    let shown = in_terminal(&world, &["report", "-f", &file], None);
    assert!(begun.elapsed().as_secs() >= 3, "it waited for the deadline: {shown:?}");
    assert!(shown.out.contains("reading Git and rendering (2 s)") && shown.out.contains("\r\u{1b}[K"), "{shown:?}");
    for quiet in [in_terminal(&world, &["report", "-f", &file, "--quiet"], None), plain(&world, &["report", "-f", &file], None)] {
        assert!(!quiet.said().contains("reading Git and rendering"), "{quiet:?}");
    }
    let rendered = in_terminal(&world, &["render", "shop", "-f", &file], None);
    assert!(rendered.out.contains("reading Git and rendering (2 s)"), "{rendered:?}");
    assert!(!in_terminal(&world, &["render", "shop", "-f", &file, "--quiet"], None).out.contains("reading Git"));
    // On a busy machine a run may take a second: then there is another.
    let mut runs = (0..20).map(|_| (Instant::now(), in_terminal(&world, &["report", "-f", &config], None), Instant::now()));
    let (_, quick, _) = runs.find(|(begun, _, ended)| *ended - *begun < Duration::from_millis(900)).expect("one of twenty runs takes no second");
    assert!(!quick.out.contains("reading"), "what takes no second shows nothing: {quick:?}");
}

#[test]
fn logs_go_to_standard_error_in_the_form_and_at_the_level_that_is_asked_for() {
    let world = World::new();
    let kubeconfig = world.home().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: x}}]\n";
    std::fs::write(&kubeconfig, text).expect("written");
    let kubeconfig = kubeconfig.display().to_string();
    let run = |more: &[&str], environment| plain(&world, &[&["report", "-o", "json", "--kubeconfig", &kubeconfig], more].concat(), environment);
    let logged = run(&["--log-level", "kube_client=debug", "--log-format", "json"], None);
    assert!(!logged.err.is_empty(), "{logged:?}");
    for line in logged.err.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    assert!(logged.json().is_object(), "and the report stands alone on standard output");
    let by_environment = run(&["--log-format", "json"], Some(("SNAPGAP_LOG_LEVEL", "kube_client=debug")));
    assert!(by_environment.err.lines().count() > 0, "{by_environment:?}");
    assert_eq!(run(&[], None).err, "", "nothing is said without need");
    let text = run(&["--log-level", "kube_client=debug"], None).err;
    assert!(text.contains("DEBUG") && !text.starts_with('{') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn the_demo_needs_no_other_program() {
    let home = tempfile::tempdir().expect("a folder");
    let nothing = home.path().join("nothing");
    std::fs::create_dir(&nothing).expect("a folder");
    let kept = home.path().join("world").display().to_string();
    let alone = |args: &[&str]| -> Ran {
        let out = Command::new(SNAPGAP).args(args).env_clear().env("PATH", &nothing).current_dir(home.path()).output();
        Ran::from(out.expect("it starts")).ended(0)
    };
    let once = alone(&["demo", "--once", "--keep", &kept]).out;
    assert!(once.contains("WINDOWS (2)") && once.contains("A window is open"), "{once}");
    let named = once.lines().find(|l| l.trim_start().starts_with("snapgap report -f ")).expect("it says how to look again").trim();
    let again = alone(&named.split_whitespace().skip(1).collect::<Vec<_>>()).out;
    assert!(again.contains("WINDOWS (2)") && again.contains("LOST (1)"), "{again}");
    let told = home.path().join("told").display().to_string();
    let story = alone(&["demo", "--pace", "1", "--exit", "--keep", &told]).out;
    let after = alone(&["report", "-f", &format!("{told}/snapgap.yaml")]).out;
    assert!(after.contains("The window is closed") && !after.contains("STALE BACKUP") && !after.contains("SPLIT"), "{after}");
    let (opening, acts) = story.split_once("The story begins").expect("the story begins");
    assert!(opening.contains("A window is open") && acts.matches("A window is open").count() == 6, "{story}");
    let (before, last) = acts.split_once("Another backup. Every window is closed.").expect("the last step");
    assert!(!before.contains("The window is closed") && last.contains("The window is closed"), "it closes before the reader's eyes:\n{story}");
}

#[test]
fn velero_is_looked_for_in_the_namespace_that_is_named() {
    let world = World::new();
    let file = world.home().join("elsewhere.yaml");
    let backup = "{apiVersion: velero.io/v1, kind: Backup, metadata: {name: one, namespace: elsewhere}, spec: {}, status: {phase: Failed}}";
    std::fs::write(&file, backup).expect("written");
    let names = |more: &[&str]| {
        let said = plain(&world, &[&["report", "-o", "json", "--cluster-dump", &file.display().to_string()], more].concat(), None).json();
        said["backups"].as_array().expect("backups").iter().map(|b| b["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["--velero-namespace", "elsewhere"]), ["\"one\""]);
    assert_eq!(names(&[]), [""; 0]);
}
