//! The one place that runs programs on repository content, and how they are confined. I/O: a private folder, a child process.
//!
//! A render runs as: our own binary once more (the launcher, single-threaded), which confines itself and then becomes the program.
//! What confinement took hold is told by the launcher before the program's first instruction, so the report never claims more than
//! there was. Every means is optional on its own because kernels and container runtimes differ; a cut network is not (unless the
//! configuration says `best-effort`).

pub mod folder;
pub mod launcher;
pub mod message;

mod filter;
mod ruleset;
mod space;
mod supervise;

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use folder::{Folder, sweep};

/// One means of confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A network namespace of its own (inside a user namespace where the kernel allows one): no interface is up, not even loopback.
    Netns,
    /// A mount namespace whose root holds the render's folder, the program and the system libraries, and nothing else. Goes with `Netns`.
    Mountns,
    /// Landlock rules: the same files, and no TCP where the kernel knows that rule.
    Landlock,
    /// A seccomp filter: no sockets, no new processes, no signals to others, no tracing, mounting, io_uring or keyrings.
    Seccomp,
}

impl Layer {
    /// All layers, in the order in which they are put on.
    pub const ALL: [Self; 4] = [Self::Netns, Self::Mountns, Self::Landlock, Self::Seccomp];

    /// The stable name, part of the evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Mountns => "mountns",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

/// A set of layers: those to try, or those that took hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers(BTreeSet<Layer>);

impl Layers {
    /// Every layer: what a render asks for.
    pub fn all() -> Self {
        Self::only(&Layer::ALL)
    }

    /// Just these.
    pub fn only(layers: &[Layer]) -> Self {
        Self(layers.iter().copied().collect())
    }

    /// These less one.
    #[must_use]
    pub fn without(mut self, layer: Layer) -> Self {
        self.0.remove(&layer);
        self
    }

    /// Whether a layer is among them.
    pub fn has(&self, layer: Layer) -> bool {
        self.0.contains(&layer)
    }

    /// Whether the network is out of reach: either there is none, or no socket can be made. Landlock alone is not enough: it knows
    /// TCP, and only the newest kernels know UDP, by which a name server would be asked.
    pub fn cut_the_network(&self) -> bool {
        self.has(Layer::Netns) || self.has(Layer::Seccomp)
    }

    fn add(&mut self, layer: Layer) {
        self.0.insert(layer);
    }
}

impl fmt::Display for Layers {
    /// `netns+mountns+seccomp`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.0.iter().map(|l| l.name()).collect();
        f.write_str(&names.join("+"))
    }
}

/// Bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock. CPU seconds are bounded by twice as much, for the case that nobody is left to watch the clock.
    pub wall: Duration,
    /// Bytes of memory that the program may write to. Address space is bounded by this and 2 GiB, which is what a Go program reserves
    /// and never touches.
    pub memory_bytes: u64,
    /// Bytes on standard output; one more ends the run.
    pub output_bytes: u64,
}

/// One program to run.
#[derive(Debug)]
pub struct Job {
    /// Our own binary, which becomes the launcher.
    pub launcher: PathBuf,
    /// The program, as an absolute path without links.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables besides those that [`Folder::environment`] sets.
    pub environment: Vec<(String, String)>,
    /// Working folder, relative to the exported tree.
    pub cwd: String,
    /// Bounds.
    pub limits: Limits,
    /// Layers to try.
    pub layers: Layers,
    /// Whether to refuse if the network cannot be cut.
    pub strict: bool,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// Standard output, within its cap.
    pub stdout: Vec<u8>,
    /// The first 64 KiB of standard error.
    pub stderr: Vec<u8>,
    /// Exit code; absent if a signal ended it.
    pub code: Option<i32>,
    /// The layers that took hold.
    pub held: Layers,
    /// Layers that this kernel broke off half-way: not worth trying again.
    pub broken: Vec<Layer>,
}

/// Why a run gave nothing.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The kernel offers no way to cut the network.
    #[error(
        "the network cannot be cut for a render here: {0}; allow user namespaces or seccomp, or set render.sandbox to best-effort and accept that"
    )]
    NoConfinement(String),
    /// The folder could not be made or written.
    #[error("cannot prepare {what}: {source}")]
    Folder {
        /// What.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// Our own binary could not be run as the launcher, or did not say what it should.
    #[error("the launcher {launcher} does not work: {message}")]
    Launcher {
        /// The path.
        launcher: String,
        /// What happened.
        message: String,
    },
    /// Out of time.
    #[error("it ran for more than {} s (render.timeout)", .0.as_secs_f64())]
    TimedOut(Duration),
    /// Printed too much.
    #[error("it printed more than {0} bytes (render.output_bytes)")]
    TooMuchOutput(u64),
    /// Needed too much memory.
    #[error("it needed more than {0} bytes of memory (render.memory_bytes)")]
    TooMuchMemory(u64),
    /// The caller no longer wants it.
    #[error("it was cancelled")]
    Cancelled,
}

impl SandboxError {
    /// Stable word: metric label and failure reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoConfinement(_) => "sandbox_unavailable",
            Self::Folder { .. } => "scratch_unwritable",
            Self::Launcher { .. } => "launcher_broken",
            Self::TimedOut(_) => "render_timeout",
            Self::TooMuchOutput(_) => "render_output_limit",
            Self::TooMuchMemory(_) => "render_memory_limit",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Sets a flag when the future that owns it goes away, so that the thread that watches the child ends it.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a job in its folder and removes the folder, also when this future is dropped: then the whole process group is killed first.
///
/// The child is watched from a thread of the runtime's blocking pool, which lives as long as the child does: the child is bound to
/// that very thread's life by the kernel.
pub async fn run(job: Job, folder: Folder) -> Result<Ran, SandboxError> {
    let flag = Arc::new(AtomicBool::new(false));
    let _cancel = CancelOnDrop(flag.clone());
    let launcher = job.launcher.display().to_string();
    let watched = tokio::task::spawn_blocking(move || run_blocking(&job, &folder, &flag));
    watched.await.unwrap_or_else(|e| Err(SandboxError::Launcher { launcher, message: e.to_string() }))
}

/// [`run`] without a runtime: ends early once `cancel` is set. The folder stays.
pub fn run_blocking(job: &Job, folder: &Folder, cancel: &AtomicBool) -> Result<Ran, SandboxError> {
    let mut layers = job.layers.clone();
    let mut broken = Vec::new();
    // A layer that breaks off half-way cannot be taken back in that process; it is left out of the next one. There are four layers.
    for _ in 0..=Layer::ALL.len() {
        let ended = supervise::supervise(job, folder, &layers, cancel)?;
        match ended.report {
            launcher::Report::Held(held) => {
                let ran = Ran { stdout: ended.stdout, stderr: ended.stderr, code: ended.code, held, broken };
                return if out_of_memory(&ran, ended.signal) { Err(SandboxError::TooMuchMemory(job.limits.memory_bytes)) } else { Ok(ran) };
            }
            launcher::Report::Broke { layer, why } => {
                tracing::debug!(layer = layer.name(), why, "a means of confinement is not to be had");
                layers = layers.without(layer);
                broken.push(layer);
            }
            launcher::Report::NotCut(why) => return Err(SandboxError::NoConfinement(why)),
            launcher::Report::Failed(message) => {
                return Err(SandboxError::Launcher { launcher: job.launcher.display().to_string(), message });
            }
        }
    }
    Err(SandboxError::NoConfinement("every means breaks off half-way".into()))
}

/// Whether a program died of its memory limit. Go says so in words, or its own collector stumbles over a page that it did not get (a fault of the
/// program's own code begins with `panic:`); a kernel that is out of memory kills.
fn out_of_memory(ran: &Ran, signal: Option<i32>) -> bool {
    if ran.code == Some(0) {
        return false;
    }
    let text = String::from_utf8_lossy(&ran.stderr);
    signal == Some(nix::libc::SIGKILL)
        || text.starts_with("SIGSEGV: segmentation violation")
        || ["out of memory", "cannot allocate memory", "Cannot allocate memory", "failed to reserve page"].iter().any(|m| text.contains(m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_names_the_layers_in_order_and_says_none_when_there_are_none() {
        assert_eq!(Layers::default().to_string(), "none");
        assert_eq!(Layers::only(&[Layer::Seccomp, Layer::Netns]).to_string(), "netns+seccomp");
        assert_eq!(Layers::all().to_string(), "netns+mountns+landlock+seccomp");
    }

    #[test]
    fn what_died_of_its_memory_limit_is_told_from_what_failed() {
        let ran =
            |code: i32, text: &str| Ran { stdout: Vec::new(), stderr: text.into(), code: Some(code), held: Layers::default(), broken: Vec::new() };
        let collector =
            "SIGSEGV: segmentation violation\nPC=0x436cfd m=2 sigcode=1 addr=0x0\n\ngoroutine 0 gp=0x1 m=2 [idle]:\nruntime.(*spanQueue).tryDrain";
        let own = "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation]";
        for (ran, signal, died) in [
            (ran(2, "fatal error: runtime: out of memory"), None, true),
            (ran(2, collector), None, true),
            (ran(2, own), None, false),
            (ran(1, "Error: accumulating resources"), None, false),
            (ran(0, "out of memory, says a chart"), None, false),
            (ran(1, ""), Some(nix::libc::SIGKILL), true),
        ] {
            assert_eq!(out_of_memory(&ran, signal), died, "{ran:?}");
        }
    }

    #[test]
    fn only_a_namespace_or_a_filter_counts_as_a_cut_network() {
        for (layers, cut) in [(&[Layer::Netns][..], true), (&[Layer::Seccomp], true), (&[Layer::Landlock, Layer::Mountns], false), (&[], false)] {
            assert_eq!(Layers::only(layers).cut_the_network(), cut, "{layers:?}");
        }
    }
}
