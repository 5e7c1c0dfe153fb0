//! A program that runs as long as the test wants it, and never longer than the test binary.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// A free loopback port, below those that the kernel gives to outgoing connections, and never the same one twice in this binary: so it
/// stays free until the program that it is meant for takes it, and also while that program is restarted.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let port = || u16::try_from(12_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000).expect("below 32,000");
    std::iter::repeat_with(port).take(2_000).find(|p| TcpListener::bind(("127.0.0.1", *p)).is_ok()).expect("a free port")
}

/// Asks again and again until there is an answer; `None` if there was none in time.
pub fn eventually_some<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if begun.elapsed() > limit => return None,
            None => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Waits until something is true, or panics with what it was waiting for.
pub fn eventually(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Starts the program, writes its process id, and kills it with everything it started when our end of the pipe closes: that happens on
/// drop, and also when this whole binary is killed.
const GUARD: &str = r#"pid=$1; shift; "$@" & echo $! > "$pid.new"; mv "$pid.new" "$pid"; cat > /dev/null; kill -KILL 0"#;

/// Removes a folder some time after our end of the pipe closes.
const SWEEP: &str = r#"cat > /dev/null; sleep 2; rm -rf "$1""#;

/// A running program.
#[derive(Debug)]
pub struct Program {
    guard: Child,
    pid: Pid,
    log: PathBuf,
}

impl Program {
    /// Starts a program with its output in `DIR/NAME.log`.
    pub fn start(dir: &Path, name: &str, program: &Path, args: &[String]) -> Self {
        let log_file = dir.join(format!("{name}.log"));
        let log = fs::File::options().create(true).append(true).open(&log_file).expect("a log file");
        let pid_file = dir.join(format!("{name}.pid"));
        let _ = fs::remove_file(&pid_file);
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&pid_file)
            .arg(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let mut pid = None;
        eventually("the program's process id", Duration::from_secs(20), || {
            pid = fs::read_to_string(&pid_file).ok().and_then(|t| t.trim().parse().ok());
            pid.is_some()
        });
        Self { guard, pid: Pid::from_raw(pid.expect("waited for")), log: log_file }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4_000)..]).into_owned()
    }

    /// Panics with the end of its log if the program has ended.
    pub fn must_run(&self) {
        assert!(kill(self.pid, None).is_ok(), "{} ended:\n{}", self.log.display(), self.last_words());
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("the program runs");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.guard.id()).expect("a process id"));
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.guard.wait();
    }
}

/// A temporary folder that is removed even if the test binary is killed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    sweeper: Child,
}

impl Folder {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        let path = tempfile::Builder::new().prefix(name).tempdir().expect("a temporary folder").keep();
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        Self { path, sweeper }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.sweeper.wait();
    }
}
