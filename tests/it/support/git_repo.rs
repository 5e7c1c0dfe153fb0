//! Repositories made with the real git program, with fixed people and dates. I/O: temporary folders, git.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use snapgap::config::{GitAuth, Source, SourceName};

/// 2026-01-01T00:00:00Z.
pub const EPOCH: i64 = 1_767_225_600;

/// A repository `<root>/<name>.git` with a work tree beside it. Each commit is a minute later than the one before.
pub struct Repo {
    pub root: PathBuf,
    pub git_dir: PathBuf,
    work: PathBuf,
    clock: AtomicI64,
}

impl Repo {
    pub fn new(root: &Path, name: &str) -> Self {
        let repo = Self {
            root: root.to_owned(),
            git_dir: root.join(format!("{name}.git")),
            work: root.join(format!("{name}.work")),
            clock: AtomicI64::new(EPOCH),
        };
        std::fs::create_dir_all(&repo.work).expect("work tree");
        repo.git(&["init", "-q", "-b", "main"]);
        repo.git(&["config", "uploadpack.allowFilter", "true"]);
        repo
    }

    /// Runs git and gives what it printed; fails the test if git fails.
    pub fn git(&self, args: &[&str]) -> String {
        let out = self.try_git(args);
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    pub fn try_git(&self, args: &[&str]) -> Output {
        let date = format!("{} +0000", self.clock.load(Ordering::Relaxed));
        let mut command = git_program();
        command.args(["-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false"]).args(args).current_dir(&self.work);
        command.env("GIT_DIR", &self.git_dir).env("GIT_WORK_TREE", &self.work);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada Lovelace").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
            command.env(format!("GIT_{who}_DATE"), &date);
        }
        command.output().expect("git is needed for the tests: apt-get install git")
    }

    pub fn tick(&self) {
        self.clock.fetch_add(60, Ordering::Relaxed);
    }

    pub fn set_clock(&self, seconds: i64) {
        self.clock.store(seconds, Ordering::Relaxed);
    }

    /// Commits files (path, content) on the branch at hand.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.tick();
        for (path, content) in files {
            let path = self.work.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, content).expect("file");
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Merges a branch into the one at hand, never fast-forward.
    pub fn merge(&self, branch: &str) -> String {
        self.tick();
        self.git(&["merge", "-q", "--no-ff", "-m", &format!("Merge {branch}"), branch]);
        self.head()
    }
}

/// The git program without any user's or system's configuration.
pub fn git_program() -> Command {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// `git fsck --strict` on a repository that is not ours to configure.
pub fn fsck(git_dir: &Path) {
    let out = git_program().args(["--git-dir"]).arg(git_dir).args(["fsck", "--strict", "--full"]).output().expect("git runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let said: Vec<_> = said.lines().filter(|l| !l.contains("notice:") && !l.starts_with("dangling")).collect();
    assert!(out.status.success() && said.is_empty(), "fsck: {said:?}");
}

/// A source with room and time to spare.
pub fn source(location: &str) -> Source {
    Source {
        name: SourceName("shop".into()),
        location: location.to_owned(),
        reference: None,
        auth: GitAuth::None,
        ca_file: None,
        proxy: None,
        timeout: Duration::from_secs(60),
        max_fetch_bytes: 64 * 1024 * 1024,
        interval: Duration::from_secs(60),
    }
}

/// Bytes that do not compress, the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Clones with git itself.
pub fn clone(args: &[&str], from: &str, to: &Path) {
    let out = git_program().args(["clone", "-q"]).args(args).arg(from).arg(to).output().expect("git runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The test of this name again, in a process of its own started through `through`, with an argument for it in `SNAPGAP_TEST_CHILD`.
pub fn again(test: &str, argument: &str, through: Command) -> Command {
    let mut command = through;
    command.arg(std::env::current_exe().expect("test binary")).args(["--exact", test, "--nocapture"]);
    command.env("SNAPGAP_TEST_CHILD", argument);
    command
}
