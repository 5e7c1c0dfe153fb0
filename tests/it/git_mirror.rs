//! The mirror over time: damage, many packs, several processes, a full disk.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use snapgap::git::{GitError, Repository, Tree, TreeError, Update};

use crate::support::git_repo::{Repo, again, fsck, git_program, noise, source};

struct World {
    folder: tempfile::TempDir,
    repo: Repo,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let repo = Repo::new(folder.path(), "shop");
        repo.commit("first", &[("a", "1\n"), ("dir/b", &"b\n".repeat(1000))]);
        repo.commit("second", &[("a", "2\n")]);
        Self { folder, repo }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn open(&self) -> Repository {
        let source = source(&format!("file://{}", self.repo.git_dir.display()));
        Repository::open(&source, &self.cache()).expect("source")
    }

    /// The mirror's folder.
    fn mirror(&self) -> PathBuf {
        let all: Vec<_> = std::fs::read_dir(self.cache().join("git")).expect("cache").flatten().collect();
        assert_eq!(all.len(), 1);
        all[0].path()
    }

    fn generation(&self) -> PathBuf {
        self.mirror().join(std::fs::read_to_string(self.mirror().join("current")).expect("current").trim())
    }

    fn generations(&self) -> usize {
        let names = std::fs::read_dir(self.mirror()).expect("mirror").flatten().map(|e| e.file_name().into_string().expect("text"));
        names.filter(|n| n.starts_with("g-")).count()
    }
}

fn update(repository: &Repository) -> Result<Update, GitError> {
    repository.update(&AtomicBool::new(false))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).expect("folder").flatten().map(|e| e.path());
    all.filter(|p| p.extension().is_some_and(|e| e == extension)).collect()
}

fn packs(generation: &Path) -> Vec<PathBuf> {
    files(&generation.join("objects/pack"), "pack")
}

#[test]
fn the_mirror_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    update(&world.open()).expect("fetched");
    for folder in [world.mirror(), world.generation()] {
        let mode = std::fs::metadata(&folder).expect("folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
}

#[test]
fn packs_do_not_pile_up_and_nothing_is_lost() {
    let world = World::new();
    let repository = world.open();
    let first = update(&repository).expect("fetched").tip.sha;
    let old_tree = repository.tree(&first).expect("tree");
    world.repo.git(&["checkout", "-q", "-b", "gone"]);
    let forced_away = world.repo.commit("will be replaced", &[("only-here", "kept\n")]);
    world.repo.git(&["branch", "-f", "main", &forced_away]);
    world.repo.git(&["checkout", "-q", "main"]);
    update(&repository).expect("fetched");
    world.repo.git(&["reset", "-q", "--hard", &first]);
    assert!(update(&repository).expect("fetched").forced);
    world.repo.git(&["branch", "-D", "gone"]);

    let mut commits = Vec::new();
    for n in 0..60 {
        commits.push(world.repo.commit(&format!("push {n}"), &[("a", &format!("{n}\n")), (&format!("dir/{n}"), "x\n")]));
        let update = update(&repository).expect("fetched");
        assert!(update.moved && !update.forced);
        assert!(packs(&world.generation()).len() <= 50, "{} packs after {n} pushes", packs(&world.generation()).len());
    }
    assert!(packs(&world.generation()).len() < 30, "they were put together");
    for (n, sha) in commits.iter().enumerate() {
        assert_eq!(repository.tree(sha).expect("tree").read("a", 99), Ok(format!("{n}\n").into_bytes()));
    }
    assert_eq!(repository.tree(&forced_away).expect("kept").read("only-here", 9), Ok(b"kept\n".to_vec()));
    assert_eq!(repository.first_parents(&commits[59], 1000, None).expect("read").commits.len(), 62);
    fsck(&world.generation());

    // Whoever still reads the old files may, and they go when nobody does.
    assert_eq!(old_tree.read("a", 9), Ok(b"2\n".to_vec()));
    assert_eq!(world.generations(), 2);
    drop(old_tree);
    update(&repository).expect("asked");
    assert_eq!(world.generations(), 1);
}

#[test]
fn a_damaged_mirror_is_built_anew_at_the_next_update() {
    let world = World::new();
    let go = |name: &str, harm: &dyn Fn(&Path)| {
        let repository = world.open();
        let tip = update(&repository).expect(name).tip;
        harm(&world.generation());
        for repository in [world.open(), repository] {
            let again = update(&repository).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(again.tip, tip, "{name}");
            // Damage to a file shows when it is read; the update after that repairs it.
            if repository.tree(&tip.sha).expect(name).read("dir/b", 9999).is_err() {
                update(&repository).expect(name);
            }
            assert_eq!(repository.tree(&tip.sha).expect(name).read("dir/b", 9999), Ok("b\n".repeat(1000).into_bytes()), "{name}");
            assert_eq!(repository.first_parents(&tip.sha, 9, None).expect(name).commits.len(), 2, "{name}");
        }
        fsck(&world.generation());
    };
    let each = |extension: &'static str, harm: &'static dyn Fn(&Path)| {
        move |g: &Path| {
            files(&g.join("objects/pack"), extension).iter().for_each(|f| {
                std::fs::set_permissions(f, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
                harm(f);
            })
        }
    };
    let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("written");
    go("no pack", &each("pack", &|f| std::fs::remove_file(f).expect("removed")));
    go("no index", &each("idx", &|f| std::fs::remove_file(f).expect("removed")));
    go("empty pack", &each("pack", &|f| std::fs::write(f, "").expect("written")));
    go("empty index", &each("idx", &|f| std::fs::write(f, "").expect("written")));
    go("garbage index", &each("idx", &|f| std::fs::write(f, "x".repeat(5000)).expect("written")));
    go(
        "garbled pack",
        &each("pack", &|f| {
            let mut bytes = std::fs::read(f).expect("read");
            bytes.iter_mut().skip(12).for_each(|b| *b ^= 0xff);
            std::fs::write(f, bytes).expect("written");
        }),
    );
    go(
        "half a pack",
        &each("pack", &|f| {
            let bytes = std::fs::read(f).expect("read");
            std::fs::write(f, &bytes[..bytes.len() / 2]).expect("written");
        }),
    );
    go("no HEAD", &|g| std::fs::remove_file(g.join("HEAD")).expect("removed"));
    go("no objects", &|g| std::fs::remove_dir_all(g.join("objects")).expect("removed"));
    go("a configuration of garbage", &|g| write(g.join("config"), "[[["));
    go("a pointer to nowhere", &|g| write(g.with_file_name("current"), "g-999\n"));
    go("a pointer out of the folder", &|g| write(g.with_file_name("current"), "../../x\n"));
    go("no pointer", &|g| std::fs::remove_file(g.with_file_name("current")).expect("removed"));
    go("no mirror", &|g| std::fs::remove_dir_all(g.parent().expect("mirror")).expect("removed"));
    go("what a killed process leaves", &|g| {
        for left in ["refs/snapgap/x.lock", "packed-refs.lock", "objects/pack/.tmpAbC", "objects/pack/pack-1.keep"] {
            std::fs::create_dir_all(g.join(left).parent().expect("folder")).expect("folder");
            write(g.join(left), "");
        }
        let refs = std::fs::read_dir(g.join("refs/snapgap")).expect("refs").flatten().find(|e| e.path().is_dir()).expect("ours");
        write(refs.path().join("tip.lock"), "");
        std::fs::create_dir(g.with_file_name("g-500")).expect("half a generation");
    });
    assert_eq!(world.generations(), 1);
}

#[test]
fn a_flipped_bit_anywhere_in_a_pack_is_damage_or_nothing_but_never_other_content() {
    let world = World::new();
    world.repo.git(&["repack", "-adq"]);
    let git_dir = world.repo.git_dir.clone();
    let head = world.repo.head();
    let pack = &packs(&git_dir)[0];
    let index = pack.with_extension("idx");
    for file in [pack, &index] {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
        let sound = std::fs::read(file).expect("read");
        let mut damaged = 0;
        for at in (0..sound.len()).step_by(sound.len() / 150 + 1) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(file, &bytes).expect("written");
            let Ok(repository) = Repository::open(&source(&git_dir.display().to_string()), &world.cache()) else {
                damaged += 1;
                continue;
            };
            match repository.tree(&head) {
                Ok(tree) => {
                    for (path, content) in [("a", "2\n".to_owned()), ("dir/b", "b\n".repeat(1000))] {
                        match tree.read(path, 1 << 20) {
                            Ok(found) => assert_eq!(found, content.into_bytes(), "byte {at}"),
                            Err(TreeError::NotAFile(_)) => panic!("damage at byte {at} reads as absence"),
                            Err(_) => damaged += 1,
                        }
                    }
                }
                Err(error) => {
                    assert!(matches!(error.kind(), "damaged" | "not_found"), "byte {at}: {error}");
                    damaged += 1;
                }
            }
        }
        std::fs::write(file, &sound).expect("written");
        assert!(damaged > 10, "only {damaged} flips in {} were noticed", file.display());
    }
}

/// In a child process: updates until the tip is the one that the parent ends with.
fn child_loop(location: &str, cache: &Path) {
    let repository = Repository::open(&source(location), cache).expect("source");
    for _ in 0..500 {
        let tip = update(&repository).expect("updated").tip;
        repository.tree(&tip.sha).expect("tree").read("dir/b", 9999).expect("readable");
        if tip.subject.as_ref() == "last" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the last commit was never seen");
}

#[test]
fn several_processes_share_one_mirror() {
    if let Ok(argument) = std::env::var("SNAPGAP_TEST_CHILD") {
        let (location, cache) = argument.split_once('|').expect("location and cache");
        return child_loop(location, Path::new(cache));
    }
    let world = World::new();
    let argument = format!("file://{}|{}", world.repo.git_dir.display(), world.cache().display());
    let spawn = || {
        let mut command = again("git_mirror::several_processes_share_one_mirror", &argument, Command::new("env"));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("child")
    };
    let children = [spawn(), spawn(), spawn()];
    for n in 0..12 {
        world.repo.commit(&format!("push {n}"), &[("a", &format!("{n}\n"))]);
        if n % 4 == 2 && world.cache().join("git").exists() {
            // Not before one of them has made the mirror.
            while !world.cache().join("git").read_dir().is_ok_and(|mut all| all.any(|m| m.is_ok_and(|m| m.path().join("current").exists()))) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            // Somebody notices damage in between: the mirror is replaced under the others.
            let _ = std::fs::write(world.generation().join("damaged"), "");
        }
    }
    world.repo.commit("last", &[("a", "last\n")]);
    for child in children {
        let out = child.wait_with_output().expect("child ends");
        assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    }
    update(&world.open()).expect("updated");
    fsck(&world.generation());
}

#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    const SIZE: &str = "600k";
    if let Ok(argument) = std::env::var("SNAPGAP_TEST_CHILD") {
        let (location, cache) = argument.split_once('|').expect("location and cache");
        let cache = Path::new(cache);
        let repository = Repository::open(&source(location), cache).expect("source");
        let first = update(&repository).expect("there is room for this").tip;
        let work = Path::new(location.strip_prefix("file://").expect("url")).with_extension("work");
        std::fs::write(work.join("noise"), noise(900_000)).expect("written");
        let git = |args: &[&str]| {
            let person = ["-c", "user.name=a", "-c", "user.email=a@example.com", "--work-tree", "."];
            let git_dir = location.strip_prefix("file://").expect("url");
            let out = git_program().current_dir(&work).args(["--git-dir", git_dir]).args(person).args(args).output().expect("git");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        };
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "too large"]);
        for _ in 0..2 {
            let error = update(&repository).expect_err("no room for this");
            assert_eq!(error.kind(), "disk_full", "{error}");
            assert!(error.to_string().contains("cache_dir"), "{error}");
        }
        assert_eq!(repository.last_tip().expect("readable").as_ref(), Some(&first));
        assert_eq!(repository.tree(&first.sha).expect("tree").read("a", 9), Ok(b"2\n".to_vec()));
        git(&["reset", "-q", "--hard", "HEAD~1"]);
        assert!(!update(&repository).expect("as before").moved);
        return;
    }
    let world = World::new();
    std::fs::create_dir(world.cache()).expect("folder");
    let cache = world.cache().display().to_string();
    let argument = format!("file://{}|{cache}", world.repo.git_dir.display());
    let mut through = Command::new("unshare");
    let mount = format!("mount -t tmpfs -o size={SIZE} tmpfs '{cache}' && exec \"$@\"");
    through.args(["-U", "-r", "-m", "sh", "-c", &mount, "sh"]);
    let out = again("git_mirror::a_full_disk_is_told_and_harms_nothing", &argument, through).output();
    let out = out.expect("unshare is needed for the tests: apt-get install util-linux, and allow user namespaces");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_told() {
    let world = World::new();
    std::fs::write(world.cache(), "a file").expect("file");
    let error = update(&world.open()).expect_err("not a folder");
    assert_eq!(error.kind(), "io", "{error}");
    assert!(error.to_string().contains(&world.cache().display().to_string()), "{error}");
}
