//! Reading repositories: in place, commit by commit, file by file; and the builder that makes them without git.

use std::{collections::BTreeMap, os::unix::fs::symlink, path::Path, sync::atomic::AtomicBool, time::SystemTime};

use jiff::Timestamp;
use snapgap::git::{Entry, EntryKind, LineEnd, RepoBuilder, Repository, Tree, TreeError};

use crate::support::git_repo::{EPOCH, Repo, again, clone as git_clone, fsck, git_program, source};

fn open(path: &Path, reference: Option<&str>) -> Repository {
    let mut source = source(&path.display().to_string());
    source.reference = reference.map(str::to_owned);
    Repository::open(&source, Path::new("/nonexistent/cache")).expect("source")
}

fn tip(path: &Path, reference: Option<&str>) -> String {
    open(path, reference).update(&AtomicBool::new(false)).expect("read").tip.sha.to_string()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

#[test]
fn the_first_parent_line_goes_over_merges_and_reverts_newest_first() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "shop");
    let first = repo.commit("first", &[("a", "1")]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.commit("on the side", &[("b", "1")]);
    repo.git(&["checkout", "-q", "main"]);
    let second = repo.commit("second\n\nwith a body", &[("a", "2")]);
    let merge = repo.merge("side");
    repo.tick();
    repo.git(&["revert", "--no-edit", &second]);
    let revert = repo.head();

    let repository = open(&repo.git_dir, None);
    let update = repository.update(&AtomicBool::new(false)).expect("read");
    assert_eq!((update.requests, update.bytes, update.moved), (0, 0, true));
    let line = repository.first_parents(&update.tip.sha, 100, None).expect("read");
    let shown: Vec<_> = line.commits.iter().map(|c| (c.sha.as_ref(), c.subject.as_ref(), c.merge, c.time.as_second() - EPOCH)).collect();
    assert_eq!(
        shown,
        [
            (revert.as_str(), "Revert \"second\"", false, 300),
            (merge.as_str(), "Merge side", true, 240),
            (second.as_str(), "second", false, 180),
            (first.as_str(), "first", false, 60),
        ]
    );
    assert_eq!(line.end, LineEnd::Root);
    assert!(line.commits.iter().all(|c| c.author.as_ref() == "Ada Lovelace"), "names only, no addresses");
    let limited = repository.first_parents(&revert, 2, None).expect("read");
    assert_eq!((limited.commits.len(), limited.end), (2, LineEnd::Limit));
    let aged = repository.first_parents(&revert, 100, Some(at(EPOCH + 200))).expect("read");
    assert_eq!((aged.commits.len(), aged.end), (3, LineEnd::Age), "the commit that held at that time is the last one");

    for (old, new, is) in [(&side, &merge, true), (&first, &side, true), (&side, &second, false), (&merge, &side, false), (&merge, &merge, true)] {
        assert_eq!(repository.is_ancestor(old, new).expect("read"), is);
    }
    assert!(!repository.is_ancestor(&"1".repeat(40), &merge).expect("read"));
    assert_eq!(repository.first_parents(&"1".repeat(40), 1, None).expect_err("unknown").kind(), "not_found");
    assert_eq!(repository.tree("abc").expect_err("not a commit").kind(), "refused");
}

#[test]
fn odd_commits_are_shown_as_they_are_but_fit_to_be_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "shop");
    let long = "x".repeat(300);
    repo.commit(&format!("\n\n  {long}"), &[]);
    repo.set_clock(4_000_000_000);
    let future = repo.commit("a\u{202e}b\u{1b}[31mc", &[]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let raw = format!("tree {tree}\nparent {future}\nauthor \u{7}Eve <x> 99999999999999999 +0000\ncommitter broken\n\n");
    std::fs::write(folder.path().join("raw"), raw).expect("file");
    let file = folder.path().join("raw").display().to_string();
    let odd = repo.git(&["hash-object", "-t", "commit", "-w", "--literally", &file]);

    let repository = open(&repo.git_dir, None);
    let tip = repository.update(&AtomicBool::new(false)).expect("read").tip;
    assert_eq!((tip.subject.as_ref(), tip.time), ("ab[31mc", at(4_000_000_060)));
    let line = repository.first_parents(&future, 9, None).expect("read");
    assert_eq!(line.commits[1].subject.chars().count(), 201);
    assert!(line.commits[1].subject.starts_with("xxx") && line.commits[1].subject.ends_with('…'));
    match repository.commit(&odd) {
        Ok(commit) => assert!(!commit.author.contains('\u{7}') && commit.subject.is_empty(), "{commit:?}"),
        Err(error) => assert_eq!(error.kind(), "damaged", "{error}"),
    }
}

#[test]
fn files_links_folders_and_submodules_are_told_apart_and_sizes_are_held_against_a_cap() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "shop");
    symlink("../a.yaml", repo.work().join("link")).expect("link");
    symlink("dir", repo.work().join("linked-dir")).expect("link");
    std::fs::create_dir(repo.work().join("dir")).expect("folder");
    std::fs::write(repo.work().join("dir/run"), "#!/bin/sh\n").expect("file");
    std::fs::set_permissions(repo.work().join("dir/run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let sha = repo.commit("files", &[("a.yaml", "12345"), ("dir/b", "b"), ("dir.yaml", "sorts before dir in git's own order")]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{sha},sub")]);
    repo.tick();
    repo.git(&["commit", "-q", "-m", "a submodule"]);

    let repository = open(&repo.git_dir, None);
    let head = repository.update(&AtomicBool::new(false)).expect("read").tip.sha;
    let tree = repository.tree(&head).expect("tree");
    let names = |f: &str| tree.entries(f).expect("readable").map(|all| all.into_iter().map(|e| (e.name, e.kind)).collect::<Vec<_>>());
    let entry = |n: &str, k| (n.to_owned(), k);
    assert_eq!(
        names(""),
        Some(vec![
            entry("a.yaml", EntryKind::File),
            entry("dir", EntryKind::Folder),
            entry("dir.yaml", EntryKind::File),
            entry("link", EntryKind::Link),
            entry("linked-dir", EntryKind::Link),
            entry("sub", EntryKind::Submodule),
        ])
    );
    assert_eq!(names("dir"), Some(vec![entry("b", EntryKind::File), entry("run", EntryKind::Executable)]));
    for nothing in ["none", "a.yaml", "linked-dir", "sub", "dir/", "/dir", "dir//b", "..", "."] {
        assert_eq!(names(nothing), None, "{nothing}");
    }
    assert_eq!(tree.read("link", 100), Ok(b"../a.yaml".to_vec()));
    assert_eq!(tree.read("a.yaml", 5), Ok(b"12345".to_vec()));
    assert_eq!(tree.read("a.yaml", 4), Err(TreeError::TooLarge { path: "a.yaml".into(), size: 5, cap: 4 }));
    for no_file in ["dir", "sub", "none", "dir/none", "linked-dir/b", "a.yaml/b"] {
        assert_eq!(tree.read(no_file, 9), Err(TreeError::NotAFile(no_file.into())), "{no_file}");
    }
    assert_eq!(tree.entry("").expect("root").map(|e| e.kind), Some(EntryKind::Folder));
    let blob = repo.git(&["rev-parse", "HEAD:dir/b"]);
    assert_eq!(tree.entry("dir/b"), Ok(Some(Entry { name: "b".into(), kind: EntryKind::File, oid: blob })));
}

#[test]
fn a_tree_made_to_harm_is_damaged_and_not_followed() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "shop");
    repo.commit("first", &[("a", "1")]);
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    let id: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob[n * 2..n * 2 + 2], 16).expect("hex")).collect();
    for names in [vec![".."], vec!["."], vec![".GIT"], vec!["a/b"], vec!["a", "a"]] {
        let mut raw = Vec::new();
        for name in &names {
            raw.extend(format!("100644 {name}\0").bytes());
            raw.extend(&id);
        }
        std::fs::write(folder.path().join("raw"), raw).expect("file");
        let file = folder.path().join("raw").display().to_string();
        let tree = repo.git(&["hash-object", "-t", "tree", "-w", "--literally", &file]);
        let sha = repo.git(&["commit-tree", "-m", "harm", &tree]);
        let tree = open(&repo.git_dir, Some(&sha)).tree(&sha).expect("commit");
        assert!(matches!(tree.entries(""), Err(TreeError::Damaged { .. })), "{names:?}");
    }
}

#[test]
fn a_checkout_a_bare_repository_and_a_worktree_are_read_in_place_and_never_written_to() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "origin");
    let first = repo.commit("first", &[("a", "1")]);
    repo.git(&["tag", "-a", "-m", "release", "v1"]);
    repo.git(&["branch", "feature"]);
    let clone = folder.path().join("clone");
    git_clone(&[], &repo.git_dir.display().to_string(), &clone);
    let worktree = folder.path().join("worktree");
    let in_clone = |args: &[&str]| {
        let out = git_program().arg("-C").arg(&clone).args(args).output().expect("git");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    in_clone(&["worktree", "add", "-q", "--detach", &worktree.display().to_string()]);

    let before = snapshot(folder.path());
    for path in [&repo.git_dir, &clone, &clone.join(".git"), &worktree] {
        assert_eq!(tip(path, None), first, "{}", path.display());
        assert_eq!(tip(path, Some("v1")), first);
    }
    assert_eq!(tip(&clone, Some("origin/feature")), first);
    assert_eq!(tip(&clone, Some(&first)), first);
    let missing = |reference: &str| open(&clone, Some(reference)).update(&AtomicBool::new(false)).expect_err("missing");
    assert_eq!(missing("mian").kind(), "ref_not_found");
    assert!(missing("mian").to_string().contains("did you mean main?"), "{}", missing("mian"));
    assert_eq!(missing(&"1".repeat(40)).kind(), "ref_not_found");
    assert_eq!(before, snapshot(folder.path()));

    // What is committed beside us is seen at the next update.
    let repository = open(&repo.git_dir, None);
    let go = AtomicBool::new(false);
    repository.update(&go).expect("read");
    assert!(!repository.update(&go).expect("read").moved);
    let second = repo.commit("second", &[("a", "2")]);
    let update = repository.update(&go).expect("read");
    assert_eq!((update.tip.sha.as_ref(), update.moved, update.forced), (second.as_str(), true, false));
    repo.git(&["reset", "-q", "--hard", &first]);
    assert!(repository.update(&go).expect("read").forced);
    assert_eq!(repository.last_tip().expect("read").expect("known").sha.as_ref(), first);
}

fn snapshot(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("folder").flatten() {
        let meta = entry.metadata().expect("metadata");
        all.insert(entry.path().display().to_string(), (meta.len(), meta.modified().expect("time")));
        if meta.is_dir() {
            all.extend(snapshot(&entry.path()));
        }
    }
    all
}

#[test]
fn a_shallow_checkout_says_where_its_history_ends() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "origin");
    for n in 0..5 {
        repo.commit(&format!("{n}"), &[]);
    }
    let clone = folder.path().join("clone");
    git_clone(&["--depth", "2"], &format!("file://{}", repo.git_dir.display()), &clone);
    let repository = open(&clone, None);
    let tip = repository.update(&AtomicBool::new(false)).expect("read").tip;
    let line = repository.first_parents(&tip.sha, 100, None).expect("read");
    assert_eq!((line.commits.len(), line.end), (2, LineEnd::Shallow));
}

#[test]
fn paths_that_hold_no_repository_say_what_they_are() {
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "origin");
    std::fs::create_dir_all(folder.path().join("plain/sub")).expect("folder");
    std::fs::write(folder.path().join("file"), "x").expect("file");
    let say = |path: &str| {
        let source = source(&folder.path().join(path).display().to_string());
        Repository::open(&source, folder.path()).expect_err(path)
    };
    assert_eq!((say("none").kind(), say("file").kind(), say("plain").kind()), ("not_found", "not_found", "not_found"));
    std::fs::create_dir(folder.path().join("plain/.git")).expect("folder");
    assert!(say("plain/sub").to_string().contains("inside one; give "), "{}", say("plain/sub"));
    assert_eq!(say("plain").kind(), "damaged");
    let empty = open(&repo.git_dir, None).update(&AtomicBool::new(false)).expect_err("empty");
    assert_eq!(empty.kind(), "empty", "{empty}");
}

#[test]
fn the_builder_makes_repositories_that_git_finds_sound() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("demo.git");
    let builder = RepoBuilder::create(&path).expect("made");
    let files = |all: &[(&str, &str)]| all.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect::<BTreeMap<_, _>>();
    let commit = |branch: &str, parents: &[&String], message: &str, minute: i64, all: &[(&str, &str)]| {
        let parents: Vec<String> = parents.iter().map(|p| (*p).clone()).collect();
        builder.commit(branch, &parents, message, "Ada <x> Lovelace", at(EPOCH + minute * 60), &files(all)).expect("committed")
    };
    let first = commit("main", &[], "first\n\nwith a body", 0, &[("a.yaml", "a"), ("a/b/c.yaml", "c"), ("a-b", "x"), ("a0", "y")]);
    let side = commit("side", &[&first], "on the side", 1, &[("a.yaml", "a"), ("new", "n")]);
    let second = commit("main", &[&first], "second", 2, &[("a.yaml", "A")]);
    let merge = commit("main", &[&second, &side], "merge", 3, &[("a.yaml", "A"), ("new", "n")]);
    fsck(&path);
    let out = git_program().arg("--git-dir").arg(&path).args(["log", "--first-parent", "--format=%H %an %cI %s"]).output().expect("git");
    let expected = format!(
        "{merge} Ada x Lovelace 2026-01-01T00:03:00Z merge\n{second} Ada x Lovelace 2026-01-01T00:02:00Z second\n\
         {first} Ada x Lovelace 2026-01-01T00:00:00Z first\n"
    );
    assert_eq!(String::from_utf8(out.stdout).expect("text").replace("+00:00", "Z"), expected);

    let repository = open(&path, None);
    let tip = repository.update(&AtomicBool::new(false)).expect("read").tip;
    assert_eq!((tip.sha.as_ref(), tip.merge), (merge.as_str(), true));
    let tree = repository.tree(&first).expect("tree");
    assert_eq!(tree.read("a/b/c.yaml", 9), Ok(b"c".to_vec()));
    assert_eq!(tree.entries("").expect("read").expect("root").len(), 4);
    // A reader that is open already sees what is added.
    let third = RepoBuilder::open(&path).expect("opened").commit("main", &[merge], "third", "Ada", at(EPOCH + 240), &files(&[])).expect("made");
    assert_eq!(repository.update(&AtomicBool::new(false)).expect("read").tip.sha.as_ref(), third);
    fsck(&path);
    for bad in ["", "../x", "a//b", "/a", ".git/config", "a/./b"] {
        assert!(builder.commit("main", &[], "m", "a", at(0), &files(&[(bad, "x")])).is_err(), "{bad}");
    }
    assert!(builder.commit("a b", &[], "m", "a", at(0), &files(&[])).is_err());
    assert!(builder.commit("main", &["x".into()], "m", "a", at(0), &files(&[])).is_err());
    assert!(RepoBuilder::create(&path).is_err(), "not over an existing one");
}

#[test]
fn a_folder_that_may_not_be_read_is_told_from_one_that_is_not_there() {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(path) = std::env::var("SNAPGAP_TEST_CHILD") {
        let error = Repository::open(&source(&path), Path::new("/nonexistent")).expect_err("not readable");
        assert_eq!(error.kind(), "io", "{error}");
        assert!(error.to_string().contains("Permission denied"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let repo = Repo::new(folder.path(), "shop");
    repo.commit("first", &[]);
    std::fs::set_permissions(&repo.git_dir, PermissionsExt::from_mode(0o000)).expect("mode");
    // In a user namespace of its own even root is bound by permissions.
    let mut through = std::process::Command::new("unshare");
    through.args(["-U"]);
    let test = "git_history::a_folder_that_may_not_be_read_is_told_from_one_that_is_not_there";
    let out = again(test, &repo.git_dir.display().to_string(), through).output();
    std::fs::set_permissions(&repo.git_dir, PermissionsExt::from_mode(0o700)).expect("mode");
    let out = out.expect("unshare is needed for the tests: apt-get install util-linux, and allow user namespaces");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
}
