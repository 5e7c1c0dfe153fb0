//! Git over smart HTTP and TLS, against git's own http-backend.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use snapgap::{
    config::{GitAuth, SecretSource, Source},
    git::{GitError, Repository, Tree, Update},
};
use tempfile::TempDir;

use crate::support::{
    git_repo::{Repo, fsck, source},
    git_servers::{ConnectProxy, GitHttp, Mode},
};

/// A repository behind a server, and a source that reads it.
pub(crate) struct World {
    pub folder: TempDir,
    pub repo: Repo,
    pub server: GitHttp,
    pub source: Source,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let repo = Repo::new(folder.path(), "shop");
        repo.commit("first", &[("app/a.yaml", "a: 1\n"), ("README.md", "hello\n")]);
        let server = GitHttp::tls(folder.path());
        let mut source = source(&server.url("shop.git"));
        source.ca_file = Some(server.ca_file.clone());
        Self { folder, repo, server, source }
    }

    fn with_password(password: &str) -> (Self, PathBuf) {
        let mut world = Self::new();
        let file = world.folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).expect("password file");
        world.server.set_basic("robot", password);
        world.source.auth = GitAuth::Basic { username: "robot".into(), password: SecretSource::File(file.clone()) };
        (world, file)
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn open(&self) -> Repository {
        Repository::open(&self.source, &self.cache()).expect("source")
    }

    pub fn fails(&self) -> GitError {
        update(&self.open()).expect_err("the update must fail")
    }
}

pub(crate) fn update(repository: &Repository) -> Result<Update, GitError> {
    repository.update(&AtomicBool::new(false))
}

pub(crate) fn mirror_of(cache: &Path) -> PathBuf {
    let all: Vec<_> = std::fs::read_dir(cache.join("git")).expect("cache").flatten().collect();
    assert_eq!(all.len(), 1);
    let folder = all[0].path();
    folder.join(std::fs::read_to_string(folder.join("current")).expect("current").trim())
}

pub(crate) fn read(repository: &Repository, sha: &str, path: &str) -> String {
    String::from_utf8(repository.tree(sha).expect("tree").read(path, 1000).expect("file")).expect("text")
}

#[test]
fn the_first_fetch_brings_all_and_no_news_is_one_request() {
    let world = World::new();
    let repository = world.open();
    assert_eq!(repository.last_tip().expect("readable"), None);
    let first = update(&repository).expect("fetched");
    assert_eq!(first.tip.sha.as_ref(), world.repo.head());
    assert!(first.moved && !first.forced && first.requests <= 4 && first.bytes > 0, "{first:?}");
    assert_eq!(read(&repository, &first.tip.sha, "app/a.yaml"), "a: 1\n");
    fsck(&mirror_of(&world.cache()));
    world.server.take_seen();

    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        let again = update(&repository).expect("asked");
        times.push(start.elapsed());
        assert_eq!((again.moved, again.forced, again.requests), (false, false, 1));
        assert_eq!(again.tip, first.tip);
    }
    let seen = world.server.take_seen();
    assert_eq!(seen.len(), 9, "{seen:?}");
    assert!(seen.iter().all(|s| s.method == "POST" && s.path == "/shop.git/git-upload-pack"));
    times.sort();
    println!("a cycle without news: median {:?}, slowest {:?}", times[4], times[8]);
    // An unoptimised build checks signatures slowly; the bound that counts is the release build's.
    let bound = if cfg!(debug_assertions) { 500 } else { 50 };
    assert!(times[4] < Duration::from_millis(bound), "{times:?}");
}

#[test]
fn a_server_of_protocol_version_0_is_asked_by_one_request_too() {
    let world = World::new();
    world.server.set_protocol_v2(false);
    let repository = world.open();
    assert!(update(&repository).expect("fetched").moved);
    world.repo.commit("second", &[("b", "b")]);
    assert_eq!(update(&repository).expect("fetched").tip.sha.as_ref(), world.repo.head());
    world.server.take_seen();
    assert!(!update(&repository).expect("asked").moved);
    assert_eq!(world.server.take_seen().len(), 1);
}

#[test]
fn a_moved_tip_is_fetched_and_the_old_commit_stays_readable() {
    let world = World::new();
    let repository = world.open();
    let first = update(&repository).expect("fetched").tip;
    world.repo.commit("second", &[("app/a.yaml", "a: 2\n")]);
    let second = update(&repository).expect("fetched");
    assert!(second.moved && !second.forced);
    assert_eq!((second.tip.sha.as_ref(), second.tip.subject.as_ref()), (world.repo.head().as_str(), "second"));
    assert_eq!(read(&repository, &second.tip.sha, "app/a.yaml"), "a: 2\n");
    assert_eq!(read(&repository, &first.sha, "app/a.yaml"), "a: 1\n");
    assert!(repository.is_ancestor(&first.sha, &second.tip.sha).expect("readable"));
    assert!(!repository.is_ancestor(&second.tip.sha, &first.sha).expect("readable"));
    // Another process finds the same without asking anybody.
    world.server.take_seen();
    assert_eq!(world.open().last_tip().expect("readable"), Some(second.tip));
    assert!(world.server.take_seen().is_empty());
}

#[test]
fn history_rewritten_by_force_is_told_and_its_former_tips_stay_readable_within_a_bound() {
    let world = World::new();
    let repository = world.open();
    let first = update(&repository).expect("fetched").tip;
    let mut former = Vec::new();
    for n in 0..35 {
        world.repo.git(&["checkout", "-q", "-B", "main", &first.sha]);
        world.repo.commit(&format!("attempt {n}"), &[("app/a.yaml", &format!("a: {n}\n"))]);
        let update = update(&repository).expect("fetched");
        assert!(update.moved);
        assert_eq!(update.forced, n > 0, "attempt {n}");
        former.push(update.tip.sha);
    }
    assert_eq!(read(&repository, &former[33], "app/a.yaml"), "a: 33\n");
    let refs = world.repo.root.join("cache");
    let out = crate::support::git_repo::git_program().arg("--git-dir").arg(mirror_of(&refs)).args(["for-each-ref", "--format=%(refname)"]).output();
    let seen = String::from_utf8(out.expect("git").stdout).expect("text");
    assert_eq!(seen.lines().filter(|l| l.contains("/seen/")).count(), 32, "{seen}");
    fsck(&mirror_of(&refs));
}

#[test]
fn branches_tags_and_commits_are_followed() {
    let mut world = World::new();
    let first = world.repo.head();
    world.repo.git(&["tag", "light"]);
    world.repo.tick();
    world.repo.git(&["tag", "-a", "-m", "a release", "v1"]);
    world.repo.git(&["tag", "-a", "-m", "a tag of a tag", "v1-again", "v1"]);
    world.repo.git(&["checkout", "-q", "-b", "feature/x"]);
    let second = world.repo.commit("on the branch", &[("b", "b")]);
    world.repo.git(&["checkout", "-q", "main"]);
    for (reference, sha) in [
        (None, &first),
        (Some("HEAD"), &first),
        (Some("main"), &first),
        (Some("refs/heads/main"), &first),
        (Some("feature/x"), &second),
        (Some("light"), &first),
        (Some("v1"), &first),
        (Some("v1-again"), &first),
        (Some("refs/tags/v1"), &first),
        (Some(second.as_str()), &second),
    ] {
        world.source.reference = reference.map(str::to_owned);
        let repository = world.open();
        assert_eq!(update(&repository).expect("fetched").tip.sha.as_ref(), sha.as_str(), "{reference:?}");
        assert!(!update(&repository).expect("asked").moved, "{reference:?}");
    }
    // A commit never moves, so there is nothing to ask.
    world.server.take_seen();
    let repository = world.open();
    assert_eq!(update(&repository).expect("known").requests, 0);
    assert!(world.server.take_seen().is_empty());
    // A tag that is pointed elsewhere has moved, backwards counts as forced.
    world.source.reference = Some("v1".into());
    let repository = world.open();
    world.repo.git(&["tag", "-f", "-a", "-m", "again", "v1", &second]);
    let update = update(&repository).expect("fetched");
    assert_eq!((update.tip.sha.as_ref(), update.moved, update.forced), (second.as_str(), true, false));
}

#[test]
fn a_commit_of_a_server_that_gives_only_named_ones_is_found_on_the_branches() {
    let mut world = World::new();
    let first = world.repo.head();
    world.repo.commit("second", &[("b", "b")]);
    world.server.set_protocol_v2(false);
    world.source.reference = Some(first.clone());
    assert_eq!(update(&world.open()).expect("fetched").tip.sha.as_ref(), first);
    world.source.reference = Some("1".repeat(40));
    let error = world.fails();
    assert_eq!(error.kind(), "ref_not_found", "{error}");
}

#[test]
fn a_reference_that_is_gone_is_named_with_what_comes_near_and_the_last_state_stays() {
    let mut world = World::new();
    world.repo.git(&["branch", "release-1.2"]);
    world.source.reference = Some("release-1.2".into());
    let repository = world.open();
    let tip = update(&repository).expect("fetched").tip;
    world.repo.git(&["branch", "-m", "release-1.2", "release-1.3"]);
    let error = update(&repository).expect_err("gone");
    assert_eq!(error.kind(), "ref_not_found");
    assert_eq!(error.to_string(), format!("source shop: {}: no branch or tag `release-1.2`; did you mean release-1.3?", world.source.location));
    assert_eq!(repository.last_tip().expect("readable").as_ref(), Some(&tip));
    assert_eq!(read(&repository, &tip.sha, "app/a.yaml"), "a: 1\n");

    world.repo.git(&["tag", "release-1.3", &world.repo.commit("later", &[("x", "x")])]);
    world.source.reference = Some("release-1.3".into());
    assert_eq!(world.fails().kind(), "ambiguous_ref");
    world.source.reference = Some("refs/tags/release-1.3".into());
    assert_eq!(update(&world.open()).expect("fetched").tip.subject.as_ref(), "later");
}

#[test]
fn an_empty_repository_and_one_that_vanished_are_told_apart() {
    let mut world = World::new();
    Repo::new(world.folder.path(), "empty");
    world.source.location = world.server.url("empty.git");
    assert_eq!(world.fails().kind(), "empty");
    world.source.location = world.server.url("none.git");
    let error = world.fails();
    assert_eq!(error.kind(), "not_found", "{error}");

    world.source.location = world.server.url("shop.git");
    let repository = world.open();
    let tip = update(&repository).expect("fetched").tip;
    std::fs::rename(&world.repo.git_dir, world.folder.path().join("away")).expect("moved");
    assert_eq!(update(&repository).expect_err("vanished").kind(), "not_found");
    assert_eq!(read(&repository, &tip.sha, "README.md"), "hello\n");
    std::fs::rename(world.folder.path().join("away"), &world.repo.git_dir).expect("moved back");
    assert!(!update(&repository).expect("back").moved);
}

#[test]
fn passwords_are_read_at_each_use_and_sent_without_being_asked_for() {
    let (world, file) = World::with_password("CANARY-one");
    let repository = world.open();
    assert!(update(&repository).expect("fetched").moved);
    assert!(world.server.take_seen().iter().all(|s| s.authorization.is_some()));
    assert_eq!(update(&repository).expect("asked").requests, 1);

    world.server.set_basic("robot", "CANARY-two");
    let error = update(&repository).expect_err("the password was changed");
    assert_eq!(error.kind(), "auth");
    assert!(error.to_string().contains("refuses the credentials"), "{error}");
    std::fs::write(&file, "CANARY-two").expect("rotated");
    assert!(!update(&repository).expect("asked").moved);
}

#[test]
fn missing_and_wrong_credentials_name_the_way_out() {
    let (mut world, file) = World::with_password("CANARY-right");
    std::fs::write(&file, "CANARY-wrong").expect("file");
    assert_eq!(world.fails().kind(), "auth");
    std::fs::write(&file, "\n").expect("file");
    assert!(world.fails().to_string().contains("is empty"));
    std::fs::remove_file(&file).expect("removed");
    assert!(world.fails().to_string().contains("cannot read the credential file"));
    world.source.auth = GitAuth::Basic { username: "robot".into(), password: SecretSource::Env("SNAPGAP_TEST_UNSET".into()) };
    assert!(world.fails().to_string().contains("SNAPGAP_TEST_UNSET is not set"));
    world.source.auth = GitAuth::None;
    let error = world.fails();
    assert_eq!(
        error.to_string(),
        format!("source shop: {}: asks for a password; set auth.password_file (or auth.token_file)", world.source.location)
    );
    assert_eq!(world.server.take_seen().len(), 2, "one for each attempt that had something to send");
}

#[test]
fn bearer_tokens_and_the_environment_work() {
    let mut world = World::new();
    let file = world.folder.path().join("token");
    std::fs::write(&file, "CANARY-token\r\n").expect("token");
    world.server.set_bearer("CANARY-token");
    world.source.auth = GitAuth::Bearer(SecretSource::File(file));
    assert!(update(&world.open()).expect("fetched").moved);
    // PATH is a variable that every test run has; its value serves as a password here.
    let path = std::env::var("PATH").expect("PATH");
    world.server.set_basic("robot", &path);
    world.source.auth = GitAuth::Basic { username: "robot".into(), password: SecretSource::Env("PATH".into()) };
    assert!(!update(&world.open()).expect("asked").moved);
}

#[test]
fn credentials_are_found_in_no_error_and_no_debug_text() {
    let (mut world, file) = World::with_password("CANARY-secret");
    let mut said = Vec::new();
    let mut note = |world: &World| {
        let repository = world.open();
        let error = update(&repository).expect_err("must fail");
        said.push(format!("{error} {error:?} {repository:?}"));
    };
    let echo = World::with_password("CANARY-secret");
    echo.0.server.set(Mode::Echo);
    note(&echo.0);
    for mode in
        [Mode::Status(401), Mode::Status(403), Mode::Status(500), Mode::Html, Mode::Truncate(10), Mode::Redirect("https://127.0.0.1:1".into())]
    {
        world.server.set(mode);
        note(&world);
    }
    world.server.set(Mode::Normal);
    std::fs::write(&file, "CANARY\u{1}secret").expect("file");
    note(&world);
    world.source.ca_file = None;
    std::fs::write(&file, "CANARY-secret").expect("file");
    note(&world);
    world.source.location = "https://robot:CANARY-secret@127.0.0.1/x".into();
    said.push(format!("{:?}", Repository::open(&world.source, &world.cache()).expect_err("refused")));
    world.source.location = world.server.url("shop.git");
    world.source.proxy = Some("http://robot:CANARY-secret@127.0.0.1:1".into());
    note_last(&world, &mut said);
    assert!(said[0].contains("the server says: you said Basic [redacted]"), "{}", said[0]);
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "robot:CANARY-secret");
    for text in &said {
        // The location of a refused source is the caller's own value; what we say of it must not repeat it.
        assert!(!text.contains("CANARY") && !text.contains(&encoded), "{text}");
    }
    assert_eq!(said.len(), 11);
    for entry in walk(&world.cache()) {
        let content = std::fs::read(&entry).unwrap_or_default();
        assert!(!content.windows(6).any(|w| w == b"CANARY"), "{}", entry.display());
    }
}

fn note_last(world: &World, said: &mut Vec<String>) {
    let error = world.fails();
    said.push(format!("{error} {error:?}"));
}

pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { all.extend(walk(&entry.path())) } else { all.push(entry.path()) }
    }
    all
}

#[test]
fn credentials_never_go_over_plain_http_but_to_loopback() {
    let (mut world, _) = World::with_password("CANARY");
    world.source.location = "http://git.example.com/shop.git".into();
    let error = Repository::open(&world.source, &world.cache()).expect_err("refused");
    assert_eq!(error.kind(), "refused");
    let plain = GitHttp::plain(world.folder.path());
    plain.set_basic("robot", "CANARY");
    world.source.location = plain.url("shop.git");
    assert!(update(&world.open()).expect("fetched").moved);
}

#[test]
fn a_server_without_a_known_certificate_is_not_believed() {
    let (mut world, _) = World::with_password("CANARY");
    world.source.ca_file = None;
    let error = world.fails();
    assert_eq!(error.kind(), "verify", "{error}");
    assert!(error.to_string().contains("set `ca_file`"), "{error}");
    assert!(world.server.take_seen().is_empty(), "nothing was sent");
    let broken = world.folder.path().join("broken.pem");
    std::fs::write(&broken, "not a certificate").expect("file");
    world.source.ca_file = Some(broken);
    assert_eq!(world.fails().kind(), "refused");
    world.source.ca_file = Some("/nonexistent/ca.pem".into());
    assert_eq!(world.fails().kind(), "io");
}

#[test]
fn the_proxy_of_the_configuration_is_used() {
    let mut world = World::new();
    let proxy = ConnectProxy::start();
    world.source.proxy = Some(format!("http://127.0.0.1:{}", proxy.port));
    assert!(update(&world.open()).expect("fetched").moved);
    let targets = proxy.targets();
    assert!(!targets.is_empty() && targets.iter().all(|t| *t == format!("127.0.0.1:{}", world.server.port)), "{targets:?}");
    world.source.proxy = Some("http://127.0.0.1:1".into());
    let error = world.fails();
    assert_eq!(error.kind(), "network");
    assert!(error.to_string().contains("through the proxy"), "{error}");
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (world, _) = World::with_password("CANARY");
    let other = World::new();
    let front = GitHttp::plain(world.folder.path());
    front.set(Mode::Redirect(format!("https://127.0.0.1:{}", other.server.port)));
    let mut source = world.source.clone();
    source.location = front.url("shop.git");
    source.ca_file = Some(other.server.ca_file.clone());
    // The other server asks for nothing: the redirect is followed, without credentials, for greeting and fetch alike.
    let repository = Repository::open(&source, &world.cache()).expect("source");
    assert_eq!(update(&repository).expect("fetched").tip.sha.as_ref(), other.repo.head());
    assert_eq!(update(&repository).expect("asked").requests, 1);
    let seen = other.server.take_seen();
    assert!(seen.len() >= 3 && seen.iter().all(|s| s.authorization.is_none()), "{seen:?}");
    assert!(front.take_seen().iter().all(|s| s.authorization.is_some()));
    // It asks for some: they are not given, and the message says where to.
    other.server.set_basic("robot", "CANARY");
    let error = update(&repository).expect_err("no credentials for that host");
    assert_eq!(error.kind(), "auth");
    assert!(error.to_string().contains("not sent to another host"), "{error}");
    assert!(other.server.take_seen().iter().all(|s| s.authorization.is_none()));
}

#[test]
fn redirects_to_a_weaker_scheme_without_end_or_to_no_git_address_are_not_followed() {
    let world = World::new();
    let plain = GitHttp::plain(world.folder.path());
    world.server.set(Mode::Redirect(format!("http://127.0.0.1:{}", plain.port)));
    assert_eq!(world.fails().kind(), "refused");
    assert!(plain.take_seen().is_empty());
    world.server.set(Mode::Redirect(String::new()));
    assert_eq!(world.fails().kind(), "protocol");
    assert_eq!(world.server.take_seen().len(), 1 + 6);
    world.server.set(Mode::Redirect("https://127.0.0.1:1/login?to=".into()));
    let error = world.fails();
    assert_eq!(error.kind(), "protocol", "{error}");
    assert!(error.to_string().contains("a login page?"), "{error}");
}

#[test]
fn a_remembered_greeting_that_no_longer_holds_is_asked_for_again() {
    let world = World::new();
    let front = GitHttp::plain(world.folder.path());
    let mut source = world.source.clone();
    source.location = front.url("shop.git");
    let repository = Repository::open(&source, &world.cache()).expect("source");
    update(&repository).expect("fetched");
    front.set(Mode::Redirect(format!("https://127.0.0.1:{}", world.server.port)));
    world.repo.commit("second", &[("b", "b")]);
    assert_eq!(update(&repository).expect("fetched from the new place").tip.sha.as_ref(), world.repo.head());
}
