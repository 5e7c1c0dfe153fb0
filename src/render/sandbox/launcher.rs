//! The launcher: our own binary, started once per render, which confines itself and becomes the program. I/O: everything about this process.
//!
//! It reads what to do from standard input, and its first line on standard error is a [`Report`]: the program itself comes after that
//! line, so it cannot forge it. Nothing here starts a thread, because namespaces and filters are put on one thread.

use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        prctl::{set_no_new_privs, set_pdeathsig},
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
        stat::{Mode, umask},
    },
    unistd::{getppid, setsid},
};
use serde::{Deserialize, Serialize};

use super::{Layer, Layers, filter, ruleset, space};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__sandbox";

/// Exit code of a launcher that did not become the program.
const NOT_STARTED: u8 = 125;

/// Address space beyond the memory limit: what a Go program reserves and never touches. Measured: kustomize 5.8 and helm 4.3 want 0.8
/// to 1.5 GiB before they do anything.
const RESERVED_BYTES: u64 = 2 << 30;

/// Bytes of one file that a render may write.
const FILE_BYTES: u64 = 64 << 20;

/// Open files.
const OPEN_FILES: u64 = 256;

/// Threads inside a user namespace, where the count is the render's own. Elsewhere the kernel counts every process of the user on the
/// whole machine, other containers included, so a limit would hit at random; there the filter forbids new processes.
const THREADS: u64 = 256;

/// Folders with shared libraries, for programs that are not linked statically.
const LIBRARIES: [&str; 8] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store", "/etc/ld.so.cache"];

const DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];

/// What to run and how.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub cwd: PathBuf,
    /// Readable folders besides the program and libraries.
    pub read: Vec<PathBuf>,
    pub home: PathBuf,
    pub stage: PathBuf,
    pub layers: Layers,
    pub strict: bool,
    pub memory_bytes: u64,
    pub cpu_seconds: u64,
    /// Process id of who started us, to notice that it is gone already.
    pub parent: i32,
}

/// The launcher's first and only word.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The program follows, confined by these layers.
    Held(Layers),
    /// A layer broke off half-way; start again without it.
    Broke { layer: Layer, why: String },
    /// The network could not be cut, and that was asked for.
    NotCut(String),
    /// Something else went wrong.
    Failed(String),
}

/// Takes over if this process was started as a launcher. Must be the first thing that `main` does, before any thread is started.
/// `None`: an ordinary start.
pub fn intercept() -> Option<ExitCode> {
    (env::args_os().nth(1)? == SUBCOMMAND).then(launch)
}

fn launch() -> ExitCode {
    let mut text = String::new();
    let spec =
        io::stdin().read_to_string(&mut text).map_err(|e| e.to_string()).and_then(|_| serde_json::from_str::<Spec>(&text).map_err(|e| e.to_string()));
    let outcome = match spec {
        Ok(spec) => become_program(&spec),
        Err(e) => Err(Report::Failed(format!("this subcommand is for snapgap's own use ({e})"))),
    };
    match outcome {
        Ok(error) => say(error.as_bytes()),
        Err(report) => tell(&report),
    }
    ExitCode::from(NOT_STARTED)
}

fn say(bytes: &[u8]) {
    // There is nobody to tell if standard error is gone; the exit code speaks then.
    let _ = io::stderr().write_all(bytes);
}

fn tell(report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    say(&line);
}

/// Confines this process and replaces it. Returns only if that fails: `Err` before the report was given, `Ok` with the reason after it.
fn become_program(spec: &Spec) -> Result<String, Report> {
    let failed = |what: &str, e: &dyn std::fmt::Display| Report::Failed(format!("{what}: {e}"));
    umask(Mode::from_bits_truncate(0o077));
    setsid().map_err(|e| failed("no session", &e))?;
    set_no_new_privs().map_err(|e| failed("no_new_privs", &e))?;
    fs::create_dir_all(spec.home.join("tmp")).map_err(|e| failed("home", &e))?;

    let (held, why_not) = confine(spec)?;
    if spec.strict && !held.cut_the_network() {
        return Err(Report::NotCut(if why_not.is_empty() { "no layer was asked for that does it".into() } else { why_not.join("; ") }));
    }
    // Not earlier: changing credentials undoes it.
    set_pdeathsig(Signal::SIGKILL).map_err(|e| failed("parent death signal", &e))?;
    if getppid().as_raw() != spec.parent {
        return Err(Report::Failed("whoever started this is gone".into()));
    }
    tell(&Report::Held(held));
    let error = Command::new(&spec.program).args(&spec.args).exec();
    Ok(format!("cannot run {}: {error}", spec.program.display()))
}

/// Puts the layers on, in an order in which none takes away what the next one needs. Returns those that hold and why others do not.
fn confine(spec: &Spec) -> Result<(Layers, Vec<String>), Report> {
    let mut held = Layers::default();
    let mut why_not = Vec::new();
    let broke = |layer: Layer, why: String| Report::Broke { layer, why };
    let libraries: Vec<PathBuf> = LIBRARIES.iter().map(PathBuf::from).filter(|p| p.exists()).collect();
    let devices = DEVICES.map(PathBuf::from);
    let mut own_user = false;

    if spec.layers.has(Layer::Netns) {
        match space::enter(spec.layers.has(Layer::Mountns)) {
            space::Entered::WithUser => own_user = true,
            space::Entered::AsRoot => {}
            space::Entered::Broke(why) => return Err(broke(Layer::Netns, why)),
            space::Entered::Refused(why) => why_not.push(why),
        }
        if why_not.is_empty() {
            held.add(Layer::Netns);
        }
    }
    if held.has(Layer::Netns) && spec.layers.has(Layer::Mountns) {
        let read: Vec<PathBuf> = libraries.iter().chain(&spec.read).chain([&spec.program]).cloned().collect();
        let root = space::Root { stage: &spec.stage, read: &read, devices: &devices, home: &spec.home, cwd: &spec.cwd };
        space::change_root(&root).map_err(|why| broke(Layer::Mountns, why))?;
        fs::create_dir_all(spec.home.join("tmp")).map_err(|e| broke(Layer::Mountns, e.to_string()))?;
        held.add(Layer::Mountns);
    } else {
        env::set_current_dir(&spec.cwd).map_err(|e| Report::Failed(format!("cannot enter {}: {e}", spec.cwd.display())))?;
    }
    limit(spec, own_user).map_err(Report::Failed)?;
    if spec.layers.has(Layer::Landlock) {
        let run: Vec<PathBuf> = libraries.iter().chain([&spec.program]).cloned().collect();
        let read: Vec<PathBuf> = spec.read.iter().chain(&devices).cloned().collect();
        match ruleset::apply(&read, &run, std::slice::from_ref(&spec.home)) {
            Ok(true) => held.add(Layer::Landlock),
            Ok(false) => why_not.push("the kernel has no Landlock".into()),
            Err(e) => return Err(broke(Layer::Landlock, e.to_string())),
        }
    }
    if spec.layers.has(Layer::Seccomp) {
        // Two filters: a first one that holds without the second does no harm, but must not be called a cut network.
        match filter::apply(std::process::id()) {
            Ok(()) => held.add(Layer::Seccomp),
            Err(e) => why_not.push(format!("no seccomp filter: {e}")),
        }
    }
    Ok((held, why_not))
}

/// Lowers the limits of this process, never above what it may have.
fn limit(spec: &Spec, own_user: bool) -> Result<(), String> {
    let mut limits = vec![
        (Resource::RLIMIT_DATA, spec.memory_bytes),
        (Resource::RLIMIT_AS, spec.memory_bytes.saturating_add(RESERVED_BYTES)),
        (Resource::RLIMIT_CPU, spec.cpu_seconds),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
        (Resource::RLIMIT_FSIZE, FILE_BYTES),
        (Resource::RLIMIT_CORE, 0),
    ];
    if own_user {
        limits.push((Resource::RLIMIT_NPROC, THREADS));
    }
    for (resource, value) in limits {
        let ceiling = getrlimit(resource).map_err(|e| format!("{resource:?}: {e}"))?.1;
        let value = value.min(ceiling);
        setrlimit(resource, value, value).map_err(|e| format!("{resource:?}: {e}"))?;
    }
    Ok(())
}

/// The path of a program: as given if it has a folder in it, else looked for in `path` (a `PATH` value). Links are followed, because
/// inside the sandbox only the program itself is there.
pub fn find_program(program: &Path, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let usable = |p: PathBuf| p.canonicalize().ok().filter(|p| p.is_file());
    if program.components().count() > 1 {
        return usable(program.to_owned());
    }
    env::split_paths(path?).filter(|d| d.is_absolute()).find_map(|d| usable(d.join(program)))
}
