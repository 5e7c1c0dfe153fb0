//! Git over ssh, against a real sshd on loopback, and `file://` through git upload-pack.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use snapgap::{
    config::{GitAuth, Source},
    git::{Repository, Tree},
};

use crate::support::{
    git_repo::{Repo, source},
    git_servers::Sshd,
};

struct World {
    folder: tempfile::TempDir,
    repo: Repo,
    sshd: Sshd,
    source: Source,
}

impl World {
    fn new(command: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let repo = Repo::new(folder.path(), "it's a shop");
        repo.commit("first", &[("a", "1\n")]);
        let sshd = Sshd::start(command);
        let mut source = source(&sshd.url(&repo.git_dir));
        source.auth = sshd.auth();
        Self { folder, repo, sshd, source }
    }

    fn open(&self) -> Repository {
        Repository::open(&self.source, &self.folder.path().join("cache")).expect("source")
    }

    fn fails(&self) -> snapgap::git::GitError {
        self.open().update(&AtomicBool::new(false)).expect_err("must fail")
    }
}

#[test]
fn a_repository_behind_ssh_is_mirrored_and_followed() {
    let world = World::new(None);
    let repository = world.open();
    let go = AtomicBool::new(false);
    let first = repository.update(&go).expect("fetched");
    assert_eq!((first.tip.sha.as_ref(), first.requests), (world.repo.head().as_str(), 1));
    let again = repository.update(&go).expect("asked");
    assert_eq!((again.moved, again.requests), (false, 1));
    world.repo.commit("second", &[("a", "2\n")]);
    let second = repository.update(&go).expect("fetched");
    assert_eq!(second.tip.sha.as_ref(), world.repo.head());
    assert_eq!(repository.tree(&second.tip.sha).expect("tree").read("a", 9), Ok(b"2\n".to_vec()));
    // The short form, with a path from the login folder or from the root.
    let scp = format!("{}@127.0.0.1:{}", world.sshd.user, world.repo.git_dir.display());
    assert!(Repository::open(&source(&scp), world.folder.path()).is_ok());
}

#[test]
fn a_host_with_another_key_is_refused() {
    let mut world = World::new(None);
    let known_hosts_file = world.sshd.wrong_known_hosts();
    world.source.auth = GitAuth::Ssh { key_file: world.sshd.key_file.clone(), known_hosts_file };
    let error = world.fails();
    assert_eq!(error.kind(), "verify", "{error}");
    assert!(error.to_string().contains("auth.known_hosts_file"), "{error}");
    let empty = world.folder.path().join("empty");
    std::fs::write(&empty, "").expect("file");
    world.source.auth = GitAuth::Ssh { key_file: world.sshd.key_file.clone(), known_hosts_file: empty };
    assert_eq!(world.fails().kind(), "verify");
}

#[test]
fn a_key_that_is_unknown_open_to_all_or_missing_is_told() {
    let mut world = World::new(None);
    let auth = |key_file: std::path::PathBuf| GitAuth::Ssh { key_file, known_hosts_file: world.sshd.known_hosts_file.clone() };
    let stranger = auth(world.sshd.stranger_key());
    let missing = auth("/nonexistent/key".into());
    let odd = auth(world.folder.path().join("a\"b"));
    std::fs::write(world.folder.path().join("a\"b"), "x").expect("file");
    world.source.auth = stranger;
    let error = world.fails();
    assert_eq!(error.kind(), "auth", "{error}");
    world.source.auth = missing;
    assert!(world.fails().to_string().contains("cannot read auth.key_file /nonexistent/key"));
    world.source.auth = odd;
    assert_eq!(world.fails().kind(), "refused");
}

#[test]
fn a_missing_repository_and_a_missing_server_are_told_apart() {
    let mut world = World::new(None);
    world.source.location = world.sshd.url(&world.folder.path().join("none.git"));
    let error = world.fails();
    assert_eq!(error.kind(), "not_found", "{error}");
    world.source.location = "ssh://git@127.0.0.1:1/x".into();
    let error = world.fails();
    assert_eq!(error.kind(), "network", "{error}");
}

#[test]
fn a_server_that_says_nothing_ends_at_the_deadline_and_leaves_no_process() {
    let mut world = World::new(Some("sleep 1000"));
    world.source.timeout = Duration::from_secs(2);
    let start = Instant::now();
    let error = world.fails();
    assert_eq!(error.kind(), "timeout", "{error}");
    assert!(start.elapsed() < Duration::from_secs(4));
    let key = world.sshd.key_file.display().to_string();
    let left = || {
        let all = std::fs::read_dir("/proc").expect("proc").flatten();
        let lines = all.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        lines.filter(|l| l.starts_with(b"ssh\0") && String::from_utf8_lossy(l).contains(&key)).count()
    };
    let until = Instant::now() + Duration::from_secs(5);
    while left() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), 0);
}

#[test]
fn credentials_that_do_not_fit_the_location_are_refused() {
    let world = World::new(None);
    let mut odd = source("https://git.example.com/x");
    odd.auth = world.sshd.auth();
    assert_eq!(Repository::open(&odd, world.folder.path()).expect_err("refused").kind(), "refused");
    odd.location = "git@git.example.com:x".into();
    odd.auth = GitAuth::Bearer(snapgap::config::SecretSource::Env("X".into()));
    assert_eq!(Repository::open(&odd, world.folder.path()).expect_err("refused").kind(), "refused");
}

#[test]
fn a_file_url_goes_through_a_mirror() {
    let world = World::new(None);
    let source = source(&format!("file://{}", world.repo.git_dir.display()));
    let cache = world.folder.path().join("cache");
    let repository = Repository::open(&source, &cache).expect("source");
    let go = AtomicBool::new(false);
    let tip = repository.update(&go).expect("fetched").tip;
    assert_eq!(tip.sha.as_ref(), world.repo.head());
    assert!(cache.join("git").is_dir());
    std::fs::rename(&world.repo.git_dir, world.folder.path().join("away")).expect("moved");
    assert_eq!(repository.update(&go).expect_err("gone").kind(), "not_found");
    assert_eq!(repository.tree(&tip.sha).expect("tree").read("a", 9), Ok(b"1\n".to_vec()));
}
