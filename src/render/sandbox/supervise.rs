//! Watches one confined child: its output, its clock, its end, and the end of everything it started. I/O: a child process.

use std::{
    io::{self, Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{
    Folder, Job, Layers, SandboxError,
    launcher::{Report, SUBCOMMAND, Spec},
};

/// Bytes of standard error that are kept. More is read and dropped.
const STDERR_BYTES: usize = 64 << 10;

/// How often the clock and the cancel flag are looked at while nothing is printed.
const TICK: Duration = Duration::from_millis(20);

/// Between the polite and the final signal.
const GRACE: Duration = Duration::from_millis(500);

/// How a child ended.
pub(super) struct Ended {
    pub report: Report,
    pub stdout: Vec<u8>,
    /// Without the report.
    pub stderr: Vec<u8>,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

fn pump(mut from: impl Read + Send + 'static, stream: Stream, to: SyncSender<(Stream, Vec<u8>)>) {
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        // Ends with the stream, or when nobody listens any more.
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if to.send((stream, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    });
}

/// A child that is killed with all of its group when this goes out of scope.
struct Leashed {
    child: Child,
    pid: Pid,
    done: bool,
}

impl Leashed {
    /// Whether the child has ended. It is not reaped by this, so that its id, and with it its group's, stays its own.
    fn ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid), flags), Ok(WaitStatus::StillAlive))
    }

    /// Signals the group, and the child itself in case it has not made its group yet. Nobody there is fine.
    fn signal(&mut self, signal: Signal) {
        let _ = nix::sys::signal::kill(self.pid, signal);
        let _ = killpg(self.pid, signal);
    }

    fn finish(&mut self) -> io::Result<std::process::ExitStatus> {
        self.signal(Signal::SIGKILL);
        self.done = true;
        self.child.wait()
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.finish();
        }
    }
}

struct Output {
    from: Receiver<(Stream, Vec<u8>)>,
    open: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    cap: u64,
}

impl Output {
    /// Takes what comes within a tick. `false` once standard output is over its cap.
    fn take(&mut self, tick: Duration) -> bool {
        match self.from.recv_timeout(tick) {
            Ok((Stream::Out, bytes)) => {
                self.stdout.extend_from_slice(&bytes);
                self.stdout.len() as u64 <= self.cap
            }
            Ok((Stream::Err, bytes)) => {
                let room = STDERR_BYTES.saturating_sub(self.stderr.len()).min(bytes.len());
                self.stderr.extend_from_slice(&bytes[..room]);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => {
                self.open = false;
                thread::sleep(tick.min(Duration::from_millis(1)));
                true
            }
        }
    }
}

/// Starts the launcher and sees the child through to its end. Nothing of its process group survives this call.
pub(super) fn supervise(job: &Job, folder: &Folder, layers: &Layers, cancel: &AtomicBool) -> Result<Ended, SandboxError> {
    let broken = |message: String| SandboxError::Launcher { launcher: job.launcher.display().to_string(), message };
    let spec = Spec {
        program: job.program.clone(),
        args: job.args.clone(),
        cwd: folder.tree().join(&job.cwd),
        read: vec![folder.tree(), folder.input()],
        home: folder.home(),
        stage: folder.root(),
        layers: layers.clone(),
        strict: job.strict,
        memory_bytes: job.limits.memory_bytes,
        cpu_seconds: job.limits.wall.as_secs().saturating_mul(2).max(2),
        parent: std::process::id() as i32,
    };
    let spec = serde_json::to_vec(&spec).map_err(|e| broken(e.to_string()))?;
    let deadline = Instant::now() + job.limits.wall;
    let mut child = Command::new(&job.launcher)
        .arg(SUBCOMMAND)
        .env_clear()
        .envs(folder.environment(job.limits.memory_bytes))
        .envs(job.environment.iter().map(|(k, v)| (k, v)))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| broken(e.to_string()))?;
    let pid = Pid::from_raw(child.id() as i32);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut leashed = Leashed { child, pid, done: false };
    let (to, from) = sync_channel(16);
    if let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) {
        pump(stdout, Stream::Out, to.clone());
        pump(stderr, Stream::Err, to);
        // The launcher reads all of it before anything else, so this does not block for long; a launcher that died says so below.
        let _ = stdin.write_all(&spec);
    }
    let mut output = Output { from, open: true, stdout: Vec::new(), stderr: Vec::new(), cap: job.limits.output_bytes };

    let stopped = loop {
        if !output.take(TICK) {
            break Some(SandboxError::TooMuchOutput(job.limits.output_bytes));
        }
        if cancel.load(Ordering::Relaxed) {
            break Some(SandboxError::Cancelled);
        }
        if leashed.ended() {
            break None;
        }
        if Instant::now() >= deadline {
            break Some(SandboxError::TimedOut(job.limits.wall));
        }
    };
    if let Some(why) = stopped {
        leashed.signal(Signal::SIGTERM);
        let patience = Instant::now() + GRACE;
        while !leashed.ended() && Instant::now() < patience {
            output.take(TICK);
        }
        return Err(leashed.finish().map_or_else(|e| broken(e.to_string()), |_| why));
    }
    let status = leashed.finish().map_err(|e| broken(e.to_string()))?;
    // The group is dead, so the pipes end as soon as they are empty. Whoever left the group and holds one open is not waited for.
    let patience = Instant::now() + GRACE;
    while output.open && Instant::now() < patience {
        if !output.take(TICK) {
            return Err(SandboxError::TooMuchOutput(job.limits.output_bytes));
        }
    }
    let code = status.code();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let (report, stderr) = split_report(&output.stderr).ok_or_else(|| {
        broken(format!("it ended ({status}) without a word: {}", String::from_utf8_lossy(&output.stderr).chars().take(200).collect::<String>()))
    })?;
    Ok(Ended { report, stdout: output.stdout, stderr, code, signal })
}

/// The first line is the launcher's, the rest the program's.
fn split_report(stderr: &[u8]) -> Option<(Report, Vec<u8>)> {
    let end = stderr.iter().position(|b| *b == b'\n')?;
    let report = serde_json::from_slice(&stderr[..end]).ok()?;
    Some((report, stderr[end + 1..].to_vec()))
}
