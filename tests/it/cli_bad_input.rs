//! Bad input of every kind to the program itself: a clear message, the right exit code, no panic, and the rest of the report stands.

use std::{fs, io::Write as _, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tar::{Builder, EntryType, Header};

use crate::support::{
    cli::{Ran, SNAPGAP, World, snapgap, with},
    git_repo::Repo,
};

#[test]
fn a_bad_configuration_is_wrong_usage_and_names_the_key() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("snapgap.yaml");
    for (text, named) in [
        ("sourcess: []", &["unknown field `sourcess`", "expected one of"][..]),
        ("apps: 3", &["apps", "invalid type", "line 1"]),
        ("sources: [{url: /a}, {url: /b}]", &["`main` is used twice"]),
        ("sources: [{url: /a}]\napps: [{name: a, path: x}, {name: a, path: y}]", &["`a` is used twice"]),
        ("apps: [{name: a, path: x, source: none}]", &["none"]),
        ("sources: [{url: 'https://me:hunter2@git.example.com/x'}]", &["password", "auth.password_file"]),
        ("sources: [{url: /a, interval: soon}]", &["interval", "soon"]),
        ("sources: [{url: /a}]\napps: [{name: a, path: ../up}]", &["../up"]),
        ("apps: [", &["snapgap.yaml", "line"]),
        ("", &[]),
    ] {
        fs::write(&file, text).expect("written");
        let ran = snapgap(home.path(), &["config", "check", "-f", "snapgap.yaml"]).ended(if text.is_empty() { 0 } else { 3 });
        for word in named {
            assert!(ran.err.contains(word), "{text}: {word} is not in {ran:?}");
        }
        assert!(!ran.said().contains("hunter2"), "{ran:?}");
    }
    let endless = snapgap(home.path(), &["config", "check", "-f", "/dev/zero"]).ended(3).err;
    assert!(endless.contains("/dev/zero") && endless.contains("more than 4194304 bytes"), "{endless}");
    let folder = snapgap(home.path(), &["config", "check", "-f", "."]).ended(3).err;
    assert!(folder.contains("directory"), "{folder}");
    let missing = snapgap(home.path(), &["report", "-f", "none.yaml"]).ended(3).err;
    assert!(missing.contains("none.yaml"), "{missing}");
    fs::write(&file, [0xff, 0xfe, 0x00]).expect("written");
    snapgap(home.path(), &["config", "check", "-f", "snapgap.yaml"]).ended(3);
}

#[test]
fn what_cannot_be_reached_is_named_and_unknown() {
    let world = World::new();
    let flags = world.flags();
    let (git, dump) = (world.path("fleet.git"), world.path("cluster"));
    let no_ref = format!("{git}@nosuch");
    let shop = flags.apps[0].as_str();
    for (args, words) in [
        (vec!["--git", &no_ref, "--app", shop], &["nosuch", "no branch or tag"][..]),
        (vec!["--git", "/nonexistent/x", "--app", shop], &["/nonexistent/x", "no such folder"]),
        (vec!["--git", &dump, "--app", shop], &["not a Git repository"]),
        (vec!["--git", &git, "--app", "shop=no/such"], &["no/such", "correct the app's path"]),
        (vec!["--cluster-dump", "/nonexistent/dump"], &["/nonexistent/dump", "No such file"]),
        (vec!["--backup", "/nonexistent/b.tar.gz"], &["/nonexistent/b.tar.gz", "No such file"]),
        (vec!["--kubeconfig", "/nonexistent/kube"], &["/nonexistent/kube", "No such file"]),
        (vec!["--context", "nosuch"], &["--kubeconfig"]),
    ] {
        let ran = world.run(&[&["report", "-o", "json", "--all"], &args[..]].concat()).ended(2);
        for word in words {
            assert!(ran.out.contains(word), "{args:?}: {word} is not told:\n{}", ran.out);
        }
        let table = world.run(&[&["report"], &args[..]].concat()).ended(2).out;
        assert!(!table.contains("Nothing to act on"), "{args:?}: {table}");
    }
    for args in [&["--app", "shop"][..], &["--app", "a=x,colour=blue"], &["--app", "a=x:jsonnet"], &["--backup", ""], &["--now", "yesterday"]] {
        world.run(&[&["report"], args].concat()).ended(3);
    }
}

/// The report over a repository with these files in app `odd`, beside the world's cluster and backups; the app `good` must stand.
fn with_files(world: &World, files: &[(&str, &str)], options: &str) -> Value {
    let repo = Repo::new(world.home(), "odd");
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good, namespace: shop}\ndata: {a: b}\n";
    repo.commit("All", &[files, &[("good/good.yaml", good)]].concat());
    let git = repo.git_dir.display().to_string();
    let odd = format!("odd=odd:directory,namespace=shop{options}");
    let report = world.report(&["--git", &git, "--app", &odd, "--app", "good=good:directory"]);
    assert!(app(&report, "good")["failure"].is_null() && app(&report, "good")["objects"] == 1, "{report:#}");
    report
}

fn app<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["apps"].as_array().expect("apps").iter().find(|a| a["name"] == name).expect("the app")
}

const PLAIN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\ndata: {a: b}\n";

#[test]
fn odd_files_in_git_are_told_and_spoil_no_neighbour() {
    let bomb = {
        let mut text = String::from("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 9].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        text
    };
    let huge = format!("{PLAIN}#{}\n", "x".repeat(80 << 20));
    let double = PLAIN.replace("{a: b}", "{a: b, a: c}");
    for (name, text, told) in [
        ("a tab", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: tab\n", &["odd/file.yaml", "line 4", "tab"][..]),
        ("an alias bomb", bomb.as_str(), &["odd/file.yaml", "alias"]),
        ("a huge file", huge.as_str(), &["more than 67108864 bytes in odd"]),
        ("a key twice", double.as_str(), &["odd/file.yaml", "\"line\":4", "this key is set before"]),
        ("a list without objects", "kind: List\napiVersion: v1\nitems: [1, two]\n", &["odd/file.yaml"]),
        ("an object without a name", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", &["odd/file.yaml", "name"]),
        ("an object named by a number", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n", &["odd/file.yaml", "name"]),
    ] {
        let world = World::new();
        let report = with_files(&world, &[("odd/file.yaml", text), ("odd/plain.yaml", PLAIN)], "");
        let odd = app(&report, "odd");
        let said = format!("{} {}", odd["failure"], odd["diagnostics"]);
        assert!(told.iter().all(|word| said.contains(word)), "{name}: {}", said.chars().take(2000).collect::<String>());
    }
}

#[test]
fn two_apps_that_declare_one_object_are_both_named() {
    let world = World::new();
    let repo = Repo::new(world.home(), "twice");
    repo.commit("Twice", &[("a/x.yaml", PLAIN), ("b/x.yaml", PLAIN)]);
    let git = repo.git_dir.display().to_string();
    let report = world.report(&["--git", &git, "--app", "first=a,namespace=shop", "--app", "second=b,namespace=shop"]);
    let notes = report["notes"].as_array().expect("notes");
    let note = notes.iter().find(|n| n["reason"] == "shared_object").unwrap_or_else(|| panic!("{notes:?}"));
    let message = note["message"].as_str().expect("a message");
    assert!(["first", "second", "plain"].iter().all(|w| message.contains(w)), "{message}");
}

#[test]
fn a_kind_that_a_dump_does_not_hold_is_unknown() {
    let world = World::new();
    let odd = "apiVersion: things.example.com/v1\nkind: Thing\nmetadata: {name: one}\n";
    let report = with_files(&world, &[("odd/thing.yaml", odd)], "");
    let thing = report["objects"].as_array().expect("objects").iter().find(|o| o["kind"] == "Thing").expect("it is reported");
    assert_eq!((&thing["drift"], &thing["sides"]["git"]), (&Value::from("unknown"), &Value::from("present")), "{thing}");
    assert!(thing["unknown"].to_string().contains("Thing.things.example.com"), "{thing}");
}

#[test]
fn a_gigabyte_in_a_dump_is_told_and_not_read() {
    let world = World::new();
    let huge = fs::File::create(world.path("cluster/shop/huge.yaml")).expect("a file");
    huge.set_len(1 << 30).expect("a hole of a gigabyte");
    let begun = std::time::Instant::now();
    let report = world.run(&["report", "-o", "json", "--all"]).ended(2).json();
    assert!(
        report["as_of"]["cluster"]["failure"]["message"].as_str().is_some_and(|m| m.contains("huge.yaml") && m.contains("268435456")),
        "{}",
        report["as_of"]
    );
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn a_context_that_the_kubeconfig_does_not_have_is_told_with_those_that_it_has() {
    let world = World::new();
    let file = world.home().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n\
        contexts: [{name: prod, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: x}}]\n";
    fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    let told = world.run(&["report", "-o", "json", "--kubeconfig", &file, "--context", "nosuch"]).ended(2).out;
    assert!(told.contains("no context nosuch; it has prod"), "{told}");
    fs::write(&file, "not: [a kubeconfig").expect("written");
    let told = world.run(&["report", "-o", "json", "--kubeconfig", &file]).ended(2).out;
    assert!(told.contains(&file) || told.contains("kubeconfig"), "{told}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).expect("packed");
    out.finish().expect("packed")
}

/// A tarball with Velero's version and these entries; names are written as they are, however bad.
fn tarball(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (kind, name, body) in [(EntryType::Regular, "metadata/version", &b"1.1.0\n"[..])].iter().chain(entries) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").expect("a link");
        }
        header.set_cksum();
        tar.append(&header, *body).expect("an entry");
    }
    gzip(&tar.into_inner().expect("a tarball"))
}

#[test]
fn a_bad_archive_is_named_with_its_reason_and_the_rest_stands() {
    let whole = |world: &World| fs::read(world.newest().1).expect("an archive");
    let flipped = |world: &World| {
        let mut bytes = whole(world);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        bytes
    };
    type Make<'a> = &'a dyn Fn(&World) -> Vec<u8>;
    // What the newest backup held is not known then, and the older one must not answer in its place: nothing is lost, nothing is held.
    let cases: [(&str, Make, &str); 6] = [
        ("truncated", &|w| whole(w)[..whole(w).len() / 2].to_vec(), "archive_truncated"),
        ("bit-flipped", &flipped, "archive_corrupt"),
        ("empty", &|_| Vec::new(), "archive_empty"),
        ("not gzip", &|_| b"PK\x03\x04 this is something else".to_vec(), "archive_not_gzip"),
        ("gzip of no tar", &|_| gzip(b"hello, world\n"), "archive_not_velero"),
        ("gzip of zeros", &|_| gzip(&[0; 4096]), "archive_not_velero"),
    ];
    for (name, make, reason) in cases {
        let world = World::new();
        let (backup, archive) = world.newest();
        fs::write(&archive, make(&world)).expect("written");
        let report = world.run(&["report", "-o", "json", "--all"]).ended(2).json();
        let of = |n: &str| report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == n).cloned();
        let told = of(&backup).unwrap_or_else(|| panic!("{name}: the backup is gone: {}", report["backups"]));
        assert_eq!((&told["state"], &told["unread"]["reason"]), (&"restorable".into(), &Value::from(reason)), "{name}: Velero still has it");
        assert!(told["unread"]["message"].as_str().is_some_and(|m| m.contains(&backup)), "{name}: {told}");
        assert!(told["speaks_for"].as_u64().is_some_and(|n| n > 0), "{name}: {told}");
        assert!(with(&report, "drift", "changed").contains(&"ConfigMap/ingress-settings".to_owned()), "{name}: drift is known without backups");
        for verdict in ["either", "split", "backup", "backup_stale", "lost", "resurrected"] {
            assert_eq!(with(&report, "recovery", verdict), Vec::<String>::new(), "{name}: nobody can call anything {verdict}");
        }
        assert_eq!(report["summary"]["window"], "unknown", "{name}");
        for form in ["table", "markdown"] {
            let text = world.run(&["report", "-o", form]).ended(2).out;
            let text: Vec<&str> = text.split_whitespace().collect();
            let text = text.join(" ");
            assert!(text.contains(&format!("Backup {backup}")) && text.contains("what it holds is not known"), "{name}: {form}:\n{text}");
        }
        // Where the file is all that there is, nothing can be restored from it.
        let copy = world.home().join("alone.tar.gz");
        fs::copy(&archive, &copy).expect("copied");
        let alone = format!("alone={},start=2026-01-01T00:00:00Z", copy.display());
        let report = world.run(&["report", "-o", "json", "--all", "--backup", &alone]).ended(2).json();
        let told = report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == "alone").expect("it is listed");
        assert_eq!(told["state"], if reason == "archive_not_velero" { "restorable" } else { "invalid" }, "{name}: {told}");
    }
}

#[test]
fn odd_entries_of_an_archive_are_passed_over() {
    let world = World::new();
    let good = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"feature-flags","namespace":"shop"},"data":{"dark":"on"}}"#;
    let entries = [
        (EntryType::Regular, "resources/configmaps/namespaces/shop/feature-flags.json", &good[..]),
        (EntryType::Regular, "resources/configmaps/namespaces/shop/../../../../../../tmp/out.json", good),
        (EntryType::Regular, "/etc/out.json", good),
        (EntryType::Symlink, "resources/configmaps/namespaces/shop/link.json", b""),
        (EntryType::Link, "resources/configmaps/namespaces/shop/hard.json", b""),
        (EntryType::Char, "resources/configmaps/namespaces/shop/device.json", b""),
        (EntryType::Fifo, "resources/configmaps/namespaces/shop/pipe.json", b""),
        (EntryType::Regular, "resources/configmaps/namespaces/shop/broken.json", b"{"),
        (EntryType::Regular, "resources/configmaps/namespaces/shop/nameless.json", br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}"#),
    ];
    let archive = world.home().join("odd.tar.gz");
    fs::write(&archive, tarball(&entries)).expect("written");
    let backup = format!("odd={},start=2026-01-01T00:00:00Z", archive.display());
    let report = world.report(&["--backup", &backup]);
    let odd = report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == "odd").expect("the backup");
    assert_eq!((&odd["unread"], &odd["objects"]), (&Value::Null, &Value::from(1)), "{odd}");
    assert!(!Path::new("/tmp/out.json").exists() && !Path::new("/etc/out.json").exists());
}

#[test]
fn an_archive_that_inflates_without_end_stops_at_the_cap() {
    let world = World::new();
    let body = vec![b' '; 40 << 20];
    let archive = world.home().join("bomb.tar.gz");
    fs::write(&archive, tarball(&[(EntryType::Regular, "resources/configmaps/namespaces/shop/bomb.json", &body)])).expect("written");
    let backup = format!("bomb={},start=2026-01-01T00:00:00Z", archive.display());
    let report = world.run(&["report", "-o", "json", "--all", "--backup", &backup]).ended(2).json();
    let bomb = report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == "bomb").expect("the backup");
    // One entry costs its own object and no other; it is named with its place.
    assert_eq!(bomb["objects"], 0, "{bomb}");
    let told = report["notes"].as_array().expect("notes").iter().any(|n| n.to_string().contains("configmaps/namespaces/shop/bomb.json"));
    assert!(told, "{:#}", report["notes"]);
}

#[test]
fn a_wrong_clock_harms_nothing() {
    let world = World::new();
    for now in ["1970-01-01T00:00:00Z", "1990-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "9999-12-30T00:00:00Z"] {
        for form in ["table", "json", "yaml", "markdown"] {
            let ran = world.run(&["report", "-o", form, "--now", now]);
            assert!(matches!(ran.code, Some(0 | 2)) && !ran.said().contains("panicked"), "{now}: {ran:#?}");
        }
    }
    // After all backups have expired nothing may be called held by one.
    let late = world.report(&["--now", "2200-01-01T00:00:00Z"]);
    assert_eq!(late["summary"]["window"], "none");
    assert!(with(&late, "recovery", "either").is_empty() && with(&late, "recovery", "backup").is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_told() {
    let world = World::new();
    let file = world.home().join("cache-is-a-file");
    fs::write(&file, "x").expect("written");
    let git = format!("file://{}", world.path("fleet.git"));
    let cache = file.display().to_string();
    let flags = world.flags();
    let args = ["report", "-o", "json", "--git", &git, "--app", &flags.apps[0], "--cache-dir", &cache];
    let ran = world.run(&args).ended(2);
    assert!(ran.out.contains("cache-is-a-file"), "{}", ran.out);
}

/// Runs the program with a disk of one mebibyte at a path.
fn with_a_small_disk(world: &World, path: &str, args: &[&str]) -> Ran {
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{path}' && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-m", "sh", "-c", &mount, "sh", SNAPGAP]).args(args).env("HOME", world.home());
    command.output().expect("unshare is needed for the tests: apt-get install util-linux, and allow user namespaces").into()
}

#[test]
fn a_disk_that_fills_while_an_archive_is_read_costs_no_verdict() {
    let world = World::new();
    let noise = crate::support::git_repo::noise(3 << 20);
    let text = |n: usize| noise[n * 100_000..(n + 1) * 100_000].iter().map(|b| format!("{b:02x}")).collect::<String>();
    let map = |n: usize| serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("large-{n}"), "namespace": "shop"}, "data": {"k": text(n)}});
    let maps: Vec<Value> = (0..30).map(map).collect();
    let archive = world.home().join("large.tar.gz");
    let names = snapgap::velero::Names::builtin();
    snapgap::velero::archive::write::write_archive(fs::File::create(&archive).expect("a file"), &maps, &names, jiff::Timestamp::UNIX_EPOCH)
        .expect("written");
    let dump = world.home().join("large.json");
    fs::write(&dump, serde_json::json!({"apiVersion": "v1", "kind": "List", "items": maps}).to_string()).expect("written");
    let cache = world.home().join("small");
    fs::create_dir(&cache).expect("a folder");
    let now = jiff::Timestamp::now();
    let backup = format!("large={},start={now}", archive.display());
    let (dump, cache) = (dump.display().to_string(), cache.display().to_string());
    let args = ["report", "-o", "json", "--all", "--cluster-dump", &dump, "--backup", &backup, "--cache-dir", &cache];
    let small = with_a_small_disk(&world, &cache, &args);
    assert!(small.err.contains("the cache of backups cannot be written") && small.err.contains("kept in memory"), "{}", small.err);
    let held = with(&small.json(), "recovery", "backup").into_iter().filter(|name| name.starts_with("ConfigMap/large-")).count();
    assert_eq!(held, 30, "all are known to be in the backup: {}", small.json()["summary"]);
}

#[test]
fn a_full_disk_is_told_and_the_next_run_is_good() {
    let world = World::new();
    let repo = Repo::new(world.home(), "large");
    fs::create_dir_all(repo.work().join("odd")).expect("a folder");
    fs::write(repo.work().join("noise"), crate::support::git_repo::noise(4 << 20)).expect("written");
    repo.commit("Large", &[("odd/plain.yaml", PLAIN)]);
    let cache = world.home().join("small");
    fs::create_dir(&cache).expect("a folder");
    let cache = cache.display().to_string();
    let git = format!("file://{}", repo.git_dir.display());
    let args = ["report", "-o", "json", "--git", &git, "--app", "odd=odd,namespace=shop", "--cache-dir", &cache, "-f", &world.config()];
    let small = with_a_small_disk(&world, &cache, &args).ended(2);
    assert!(small.out.contains("No space left") || small.out.contains("disk"), "{}", small.out);
    let room = snapgap(world.home(), &args).ended(0).json();
    assert!(app(&room, "odd")["failure"].is_null());
}

#[test]
fn a_port_in_use_is_told() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let told = world.run(&["serve", "--web.listen", &address]).ended(3).err;
    assert!(told.contains(&format!("port {} is in use", taken.local_addr().expect("an address").port())), "{told}");
    world.run(&["serve", "--web.listen", "nonsense"]).ended(3);
}
