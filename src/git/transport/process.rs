//! A wire to a child process: the ssh program, or `git upload-pack` on this machine. I/O: child processes.
//!
//! The environment is cleared but for what these programs need; no shell is involved; the process group is killed when the budget is
//! spent, so a silent server cannot hold anything up.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gix::protocol::transport::{Protocol, client::git};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::Wire;
use crate::{
    config::{GitAuth, Source},
    git::{
        budget::Budget,
        error::{Fault, GitErrorKind},
        location::SshPlace,
    },
};

/// Environment that ssh and git need to find programs, agents and folders; nothing else is passed on.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR"];
const STDERR_CAP: u64 = 16 * 1024;

/// Through `git upload-pack` on this machine.
pub(super) fn local(path: &Path, budget: &Arc<Budget>) -> Result<Wire, Fault> {
    if !path.exists() {
        return Err(Fault::new(GitErrorKind::NotFound, "no such folder"));
    }
    let mut command = Command::new("git");
    command.arg("upload-pack").arg(path);
    // The repository is not ours: no configuration but its own, and even that cannot name programs for this command.
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
    start(clear(command), budget, Program::Git)
}

/// Through the ssh program.
pub(super) fn ssh(source: &Source, place: &SshPlace, budget: &Arc<Budget>) -> Result<Wire, Fault> {
    let mut command = Command::new("ssh");
    command.args(arguments(&source.auth, place, budget.remaining())?);
    if matches!(source.auth, GitAuth::None)
        && let Some(agent) = std::env::var_os("SSH_AUTH_SOCK")
    {
        command.env("SSH_AUTH_SOCK", agent);
    }
    start(clear(command), budget, Program::Ssh)
}

/// The ssh command line. With a key file nothing but it counts: no user configuration, no agent, no other key. Without one, the user's
/// own ssh set-up applies. Host keys must be known either way, and nothing is ever asked.
fn arguments(auth: &GitAuth, place: &SshPlace, remaining: Duration) -> Result<Vec<String>, Fault> {
    let mut options: Vec<String> = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ControlMaster=no",
        "ControlPath=none",
        "ServerAliveInterval=15",
        "SendEnv=GIT_PROTOCOL",
        "LogLevel=ERROR",
    ]
    .map(str::to_owned)
    .to_vec();
    options.push(format!("ConnectTimeout={}", remaining.as_secs().clamp(1, 20)));
    let mut args = vec!["-T".to_owned(), "-x".to_owned()];
    if let GitAuth::Ssh { key_file, known_hosts_file } = auth {
        for (name, path) in [("auth.key_file", key_file), ("auth.known_hosts_file", known_hosts_file)] {
            std::fs::File::open(path).map_err(|e| Fault::new(GitErrorKind::Auth, format!("cannot read {name} {}: {e}", path.display())))?;
        }
        args.extend(["-F", "none", "-i"].map(str::to_owned));
        args.push(escaped("auth.key_file", key_file)?);
        options.push(format!("UserKnownHostsFile=\"{}\"", escaped("auth.known_hosts_file", known_hosts_file)?));
        let alone = ["GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "IdentityAgent=none", "PreferredAuthentications=publickey"];
        options.extend(alone.map(str::to_owned));
    }
    for option in options {
        args.extend(["-o".to_owned(), option]);
    }
    if let Some(port) = place.port {
        args.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &place.user {
        args.extend(["-l".to_owned(), user.clone()]);
    }
    args.extend(["--".to_owned(), place.host.clone(), format!("git-upload-pack {}", quoted(&place.path))]);
    Ok(args)
}

/// A path as ssh's options take it: `%` starts a token, `$` a variable, quotes and backslashes end the word.
fn escaped(name: &str, path: &Path) -> Result<String, Fault> {
    let text = path.to_str().filter(|t| !t.starts_with(['-', '~']) && !t.contains(['"', '\\', '$']) && !t.chars().any(char::is_control));
    let text =
        text.ok_or_else(|| Fault::new(GitErrorKind::Refused, format!("{name} must be a path without quotes, `\\`, `$` or a leading `-` or `~`")))?;
    Ok(text.replace('%', "%%"))
}

/// A word for the shell at the other end, as git quotes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '!' => {
                out.push_str("'\\");
                out.push(c);
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

fn clear(mut command: Command) -> Command {
    let own: Vec<_> = command.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
    command.env_clear().envs(PASSED_ON.iter().filter_map(|n| Some((n, std::env::var_os(n)?)))).envs(own);
    // Asks for protocol version 2; ssh carries it over where the server accepts it, and the protocol falls back where not.
    command.env("GIT_PROTOCOL", "version=2");
    command
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Git,
    Ssh,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Ssh => "ssh",
        }
    }
}

fn start(mut command: Command, budget: &Arc<Budget>, program: Program) -> Result<Wire, Fault> {
    budget.check().map_err(|_| budget.take_fault().unwrap_or_else(|| budget.timeout_fault()))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|e| {
        let what = match e.kind() {
            io::ErrorKind::NotFound => format!("this kind of location needs the `{0}` program, and it is not in PATH; install {0}", program.name()),
            _ => format!("cannot start `{}`: {e}", program.name()),
        };
        Fault::new(GitErrorKind::Io, what)
    })?;
    budget.count_request();
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(Fault::new(GitErrorKind::Io, "a child process came without its pipes"));
    };
    let said: Arc<Mutex<String>> = Arc::default();
    let listener = {
        let said = said.clone();
        std::thread::spawn(move || {
            let mut stderr = stderr;
            let mut text = Vec::new();
            // What goes beyond the cap is read all the same, or the program would block on it.
            let _ = stderr.by_ref().take(STDERR_CAP).read_to_end(&mut text);
            *said.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&text).into_owned();
            let _ = io::copy(&mut stderr, &mut io::sink());
        })
    };
    let over = Arc::new(AtomicBool::new(false));
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let guard = {
        let (over, budget) = (over.clone(), budget.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if budget.check().is_err() {
                    let _ = killpg(group, Signal::SIGKILL);
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        })
    };
    let running = Running { child, group, over, guard: Some(guard), listener: Some(listener), said, program, budget: budget.clone() };
    let reader = Counted { stdout, budget: budget.clone(), running };
    Ok(Box::new(git::blocking_io::Connection::new(reader, stdin, Protocol::V2, "", None::<(String, _)>, git::ConnectMode::Process, false)))
}

/// The child process and its watchers. Ends them all when dropped.
struct Running {
    child: Child,
    group: Pid,
    over: Arc<AtomicBool>,
    guard: Option<std::thread::JoinHandle<()>>,
    listener: Option<std::thread::JoinHandle<()>>,
    said: Arc<Mutex<String>>,
    program: Program,
    budget: Arc<Budget>,
}

impl Running {
    /// The output ended: if the program failed, say so in its own words.
    fn ended(&mut self) {
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return,
                Ok(Some(_)) => {
                    self.over.store(true, Ordering::Relaxed);
                    if let Some(listener) = self.listener.take_if(|l| l.is_finished() || !self.budget.remaining().is_zero()) {
                        let _ = listener.join();
                    }
                    let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.budget.note(explain(self.program, &said, &self.budget));
                    return;
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => return,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Killed before it is waited for: until then its id cannot have gone to another process.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(self.group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if let Some(guard) = self.guard.take() {
            guard.thread().unpark();
            let _ = guard.join();
        }
    }
}

/// What a program's last words mean.
fn explain(program: Program, said: &str, budget: &Budget) -> Fault {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    // ssh begins some of its lines with its own name.
    let text = budget.safe(said);
    let text = text.strip_prefix(&format!("{}: ", program.name())).unwrap_or(&text);
    let fault = |kind, way_out: &str| Fault::new(kind, format!("{}: {text}{way_out}", program.name()));
    if has(&["remote host identification has changed"]) {
        let what = "the server shows another host key than auth.known_hosts_file names: it was replaced, or someone sits in between; \
                    compare the fingerprint with the server's owner before you change the file";
        return Fault::new(GitErrorKind::Verify, what);
    }
    if has(&["host key verification failed", "no matching host key"]) {
        let what = "the server's host key is not known; put it into auth.known_hosts_file (ssh-keyscan, then compare the fingerprint)";
        return Fault::new(GitErrorKind::Verify, what);
    }
    if has(&["dubious ownership"]) {
        return fault(GitErrorKind::Io, "; the folder must belong to the user that runs this, or give its plain path to read it in place");
    }
    if has(&["not appear to be a git repository", "not a git repository", "repository not found", "no such file or directory", "could not be found"])
    {
        return fault(GitErrorKind::NotFound, "; check the location");
    }
    if has(&["permission denied", "unprotected private key", "invalid format", "error in libcrypto", "incorrect passphrase"]) {
        return fault(
            GitErrorKind::Auth,
            "; check the user name in the location, and auth.key_file (readable by its owner only, without passphrase)",
        );
    }
    if text.is_empty() {
        return Fault::new(GitErrorKind::Network, format!("{} ended without a word; check the location and the network", program.name()));
    }
    fault(GitErrorKind::Network, "; check the location and the network")
}

/// Standard output of the child, under the budget.
struct Counted {
    stdout: ChildStdout,
    budget: Arc<Budget>,
    running: Running,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stdout.read(buffer)?;
        if n == 0 {
            self.budget.check()?;
            self.running.ended();
        }
        self.budget.spend(n)?;
        Ok(n)
    }
}
