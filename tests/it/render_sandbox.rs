//! The sandbox itself, with a shell as the program: each layer on its own, every limit, and that nothing survives.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use snapgap::render::sandbox::{Layer, Layers, Ran, SandboxError};

use crate::support::render::{CANARY, Trap, World, put};

fn bash() -> PathBuf {
    PathBuf::from("/bin/bash").canonicalize().expect("no /bin/bash; install bash")
}

fn shell(world: &World, layers: Layers, script: &str) -> Result<Ran, SandboxError> {
    world.run(world.job(bash(), &["-c", script], layers), world.folder())
}

fn out(ran: &Ran) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// Layers that are on every kernel that these tests run on. Landlock is tried on top wherever it is.
fn with_namespaces() -> Layers {
    Layers::only(&[Layer::Netns, Layer::Mountns])
}

#[test]
fn each_layer_on_its_own_cuts_the_network() {
    let world = World::new("helm");
    let trap = Trap::set();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{} && echo connected", trap.port());
    for layers in [Layers::only(&[Layer::Netns]), with_namespaces(), Layers::only(&[Layer::Seccomp]), Layers::all()] {
        let ran = shell(&world, layers.clone(), &script).expect("ran");
        assert!(!out(&ran).contains("connected") && !trap.was_reached(), "{layers}");
        assert!(ran.held.cut_the_network(), "{layers}: {}", ran.held);
        if layers != Layers::all() {
            assert_eq!(ran.held, layers);
        }
    }
    // The same script does connect without any layer, so the above could fail.
    let mut job = world.job(bash(), &["-c", &script], Layers::default());
    job.strict = false;
    let ran = world.run(job, world.folder()).expect("ran");
    assert_eq!((out(&ran).trim(), ran.held.to_string().as_str()), ("connected", "none"));
    assert!(trap.was_reached());
}

#[test]
fn a_network_that_cannot_be_cut_is_a_refusal_before_the_program_starts() {
    let world = World::new("helm");
    for layers in [Layers::default(), Layers::only(&[Layer::Landlock]), Layers::only(&[Layer::Mountns])] {
        let folder = world.folder();
        let trace = world.scratch.path().join("trace");
        let job = world.job(bash(), &["-c", &format!("echo started > {}", trace.display())], layers);
        let refused = world.run(job, folder).expect_err("refused");
        assert_eq!(refused.kind(), "sandbox_unavailable");
        assert!(refused.to_string().contains("best-effort"), "{refused}");
        assert!(!trace.exists());
    }
}

#[test]
fn the_environment_is_ours_alone() {
    let world = World::new("helm");
    let ran = shell(&world, Layers::all(), "export -p; echo; umask").expect("ran");
    let text = out(&ran);
    for line in text.lines().filter_map(|l| l.strip_prefix("declare -x ")) {
        let name = line.split('=').next().expect("a name");
        let known = ["HOME", "TMPDIR", "TZ", "LC_ALL", "OLDPWD", "PWD", "SHLVL"];
        assert!(known.contains(&name) || ["XDG_", "HELM_", "GO"].iter().any(|p| name.starts_with(p)), "{line}");
    }
    assert!(text.contains("HOME=") && text.trim_end().ends_with("0077"), "{text}");
    assert!(std::env::var_os("PATH").is_some(), "there is something to leak");
}

#[test]
fn files_outside_the_folder_are_out_of_reach() {
    let world = World::new("helm");
    let elsewhere = tempfile::tempdir().expect("a folder");
    put(elsewhere.path(), &[("token", CANARY)]);
    let token = elsewhere.path().join("token");
    let home = std::env::var("HOME").expect("a home");
    let script = format!(
        "read x < input.txt && echo \"own $x\"; read x < {}; echo \"$x\"; for f in /etc/hostname /etc/passwd /proc/$PPID/environ /proc/self/status; do read -r x < $f && echo \"read $f\"; done; \
         for d in {home} /var/run/secrets /proc /tmp; do [ -e $d ] && echo \"see $d\"; done; echo x > ../home/f && echo wrote; echo x > f; echo x > ../input/f; echo x > ../f; echo x > ../../f; :",
        token.display()
    );
    let held = shell(&world, Layers::all(), ":").expect("ran").held;
    let mut tried = vec![with_namespaces(), Layers::all()];
    // What containers have, where namespaces are not to be had. A kernel without Landlock must not claim it.
    if held.has(Layer::Landlock) {
        tried.push(Layers::only(&[Layer::Landlock, Layer::Seccomp]));
        tried.push(Layers::only(&[Layer::Landlock, Layer::Netns]));
    }
    for layers in tried {
        let folder = world.folder();
        put(&folder.tree(), &[("input.txt", "input\n")]);
        let ran = world.run(world.job(bash(), &["-c", &script], layers.clone()), folder).expect("ran");
        let (text, complaints) = (out(&ran), String::from_utf8_lossy(&ran.stderr).into_owned());
        assert!(text.contains("own input") && text.contains("wrote"), "{layers}: {text} {complaints}");
        assert!(!text.contains(CANARY) && !text.contains("read "), "{layers}: {text}");
        if layers.has(Layer::Mountns) {
            assert!(text.lines().filter_map(|l| l.strip_prefix("see ")).all(|d| elsewhere.path().starts_with(d)), "{layers}: {text}");
        }
        let refused = complaints.lines().filter(|l| l.ends_with("Read-only file system") || l.ends_with("Permission denied"));
        assert!(refused.count() >= 4, "{layers}: {complaints}");
    }
    let peek = format!("read x < {}; echo \"$x\"", token.display());
    let mut job = world.job(bash(), &["-c", &peek], Layers::default());
    job.strict = false;
    assert!(out(&world.run(job, world.folder()).expect("ran")).contains(CANARY), "without any layer it is read, so the above could fail");
}

#[test]
fn no_process_can_be_started_or_signalled() {
    let world = World::new("helm");
    for layers in [Layers::only(&[Layer::Seccomp]), Layers::all()] {
        let script = "kill -0 $PPID && echo signalled; kill -0 $$ && echo self; (echo forked); echo end";
        let ran = shell(&world, layers, script).expect("ran");
        let text = out(&ran);
        assert!(!text.contains("signalled") && !text.contains("forked"), "{text}");
        assert!(text.contains("self"), "{text}");
        assert!(String::from_utf8_lossy(&ran.stderr).contains("fork"), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    let ran = shell(&world, Layers::only(&[Layer::Netns]), "(echo forked)").expect("ran");
    assert_eq!(out(&ran), "forked\n", "without the filter it can, so the above could fail");
}

#[test]
fn a_fork_bomb_goes_nowhere() {
    let mut world = World::new("helm");
    world.settings.timeout = Duration::from_secs(5);
    let _ = shell(&world, Layers::all(), "bomb() { bomb | bomb & }; bomb; echo mark-fork-bomb");
    assert!(gone("mark-fork-bomb"));
}

/// Processes with this text in their command line.
fn processes_with(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("proc").flatten();
    let numbers = all.filter(|e| e.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    let own = std::process::id().to_string();
    let others = numbers.filter(|e| e.file_name().to_string_lossy() != own);
    others.filter(|e| std::fs::read(e.path().join("cmdline")).is_ok_and(|c| String::from_utf8_lossy(&c).contains(mark))).count()
}

/// Whether no such process is left. A killed one may take a moment to be gone.
fn gone(mark: &str) -> bool {
    let patience = Instant::now() + Duration::from_secs(5);
    while processes_with(mark) > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    processes_with(mark) == 0
}

#[test]
fn a_program_that_ignores_the_polite_signal_is_killed_with_its_children() {
    let mut world = World::new("helm");
    world.settings.timeout = Duration::from_secs(2);
    let script = "trap '' TERM; (trap '' TERM; while :; do :; done) & : mark-stubborn; echo up; while :; do :; done";
    // Without the filter, so that it can have children at all.
    let began = Instant::now();
    let ended = shell(&world, with_namespaces(), script).expect_err("timed out");
    assert_eq!(ended.kind(), "render_timeout");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(gone("mark-stubborn"));
}

#[test]
fn children_left_behind_by_a_program_that_ended_are_killed() {
    let world = World::new("helm");
    let ran = shell(&world, with_namespaces(), "(trap '' TERM; while :; do :; done) & : mark-orphan; echo done").expect("ran");
    assert_eq!(out(&ran), "done\n");
    assert!(gone("mark-orphan"));
}

#[test]
fn dropping_a_run_ends_it_and_removes_its_folder() {
    let world = World::new("helm");
    let folder = world.folder();
    let path = folder.path().to_owned();
    let job = world.job(bash(), &["-c", "trap '' TERM; : mark-dropped; while :; do :; done"], Layers::all());
    world.run_and_drop(job, folder, Duration::from_millis(700));
    assert!(gone("mark-dropped"));
    let patience = Instant::now() + Duration::from_secs(5);
    while path.exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!path.exists());
}

#[test]
fn output_over_the_cap_ends_the_run_and_chatter_on_stderr_does_not() {
    let mut world = World::new("helm");
    world.settings.output_bytes = 100_000;
    let ended = shell(&world, Layers::all(), "while :; do echo 0123456789; done").expect_err("ended");
    assert_eq!(ended.kind(), "render_output_limit");
    let ran = shell(&world, Layers::all(), "for i in {1..20000}; do echo 0123456789 >&2; done; echo fine").expect("ran");
    assert_eq!(out(&ran), "fine\n");
    assert!(ran.stderr.len() <= 64 << 10);
}

#[test]
fn files_cpu_and_descriptors_are_limited() {
    let world = World::new("helm");
    let ran = shell(&world, Layers::all(), "ulimit -c; ulimit -n; ulimit -f; ulimit -t; ulimit -d; ulimit -u; ulimit -v").expect("ran");
    let text = out(&ran);
    let limits: Vec<&str> = text.lines().collect();
    let memory_kib = (1 << 30) / 1024;
    let expected =
        ["0".into(), "256".into(), "65536".into(), "120".into(), format!("{memory_kib}"), "256".into(), format!("{}", memory_kib + (2 << 20))];
    assert_eq!(limits, expected);
}

#[test]
fn a_launcher_that_is_none_is_told_apart_from_a_failing_program() {
    let world = World::new("helm");
    let mut job = world.job(bash(), &["-c", "exit 3"], Layers::all());
    job.launcher = "/nonexistent/snapgap".into();
    assert_eq!(world.run(job, world.folder()).expect_err("no launcher").kind(), "launcher_broken");
    let mut job = world.job(bash(), &["-c", "exit 3"], Layers::all());
    job.launcher = bash();
    assert_eq!(world.run(job, world.folder()).expect_err("not our binary").kind(), "launcher_broken");
    assert_eq!(shell(&world, Layers::all(), "exit 3").expect("ran").code, Some(3));
}

#[test]
fn the_hidden_subcommand_is_of_no_use_to_people() {
    let ran =
        std::process::Command::new(crate::support::render::launcher()).arg("__sandbox").stdin(std::process::Stdio::null()).output().expect("started");
    assert_eq!(ran.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("for snapgap's own use"));
}
