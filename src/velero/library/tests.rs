//! What was read once is not read again, what is damaged is, and no Secret value lies in the cache folder. I/O: temporary folders.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    object::{ObjectId, admit},
    velero::{Names, archive::write::write_archive},
};

const LIMITS: ArchiveLimits = ArchiveLimits { entries: 100_000, object_bytes: 1 << 20, total_bytes: 1 << 30, time: Duration::from_secs(60) };

fn objects(generation: u32) -> Vec<Value> {
    let map = |n: u32| {
        let value = if n < 5 { generation } else { 0 };
        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":format!("c{n}"),"namespace":"shop","uid":format!("u{n}"),
            "resourceVersion":format!("{generation}{n}"),"managedFields":[{"manager":"kubectl","fieldsV1":{"n":generation}}]},
            "data":{"k":format!("{value}")}})
    };
    let secret =
        json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"shop"},"data":{"p":"Y2FuYXJ5"},"stringData":{"q":"canary"}});
    (0..50).map(map).chain([secret]).collect()
}

fn archive_of(objects: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_archive(&mut bytes, objects, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
    bytes
}

fn open(folder: &Path, key: u8) -> Library {
    Library::open(Some(folder), 1 << 30, LIMITS, Redactor::new([key; 32]))
}

/// Fails when it is read: what is in the library needs no stream.
struct Unreadable;

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("read again"))
    }
}

fn whole(archive: &Archive, key: u8, raw: &[Value]) {
    assert_eq!(archive.objects.len(), raw.len());
    for raw in raw {
        let expected = admit(raw.clone(), &Redactor::new([key; 32])).expect("an object");
        let kept = archive.objects.get(&expected.id).expect("held");
        let back = kept.whole().expect("read again");
        assert_eq!((back.content.json(), &back.meta.managers), (expected.content.json(), &expected.meta.managers), "{}", expected.id);
        assert_eq!((&kept.content, &kept.meta.uid, &kept.version), (&expected.content, &expected.meta.uid, &expected.version));
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == ending)).collect()
}

#[test]
fn an_archive_is_read_once_also_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = &folder.path().join("cache/backups");
    let raw = objects(1);
    let read = open(folder, 7).read("b1", "b1.tar.gz", &archive_of(&raw)[..]).expect("read");
    whole(&read, 7, &raw);
    assert!(read.objects.values().all(|o| o.content.place().is_some() && o.meta.managers.is_none()), "bodies lie on disk");
    let again = open(folder, 7);
    let read = again.read("b1", "b1.tar.gz", Unreadable).expect("from the cache");
    whole(&read, 7, &raw);
    assert_eq!((&*read.origin, read.diagnostics.len(), read.bytes > 0), ("b1.tar.gz", 0, true));
    assert!(again.read("b2", "b2.tar.gz", Unreadable).is_err());
    assert_eq!(fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);
    assert_eq!(files(folder, "archive").len(), 1);
    for file in files(folder, "archive") {
        let bytes = fs::read(&file).expect("readable");
        for value in ["canary", "Y2FuYXJ5"] {
            assert!(!bytes.windows(value.len()).any(|w| w == value.as_bytes()), "a Secret value in {}", file.display());
        }
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn archives_of_one_cluster_share_what_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = open(folder.path(), 7);
    let first = library.read("b1", "b1", &archive_of(&objects(1))[..]).expect("read");
    let second = library.read("b2", "b2", &archive_of(&objects(2))[..]).expect("read");
    let shared = second.objects.values().filter(|o| first.objects.get(&o.id).is_some_and(|f| Arc::ptr_eq(f, o))).count();
    assert_eq!(shared, 46, "five of fifty-one are other objects");
    whole(&first, 7, &objects(1));
    let id = ObjectId::new("", "ConfigMap", Some("shop"), "c0");
    assert_eq!(second.objects.get(&id).expect("held").whole().expect("whole").content.value()["data"]["k"], "2");
    let back = open(folder.path(), 7);
    let _in_use = back.read("b1", "b1", Unreadable).expect("from the cache");
    whole(&back.read("b2", "b2", Unreadable).expect("from the cache"), 7, &objects(2).iter().map(same_writers).collect::<Vec<_>>());
}

/// An object that is shared between archives keeps the managedFields of the first one that held it.
fn same_writers(raw: &Value) -> Value {
    let mut raw = raw.clone();
    if raw["data"]["k"] == "0" {
        raw["metadata"]["managedFields"][0]["fieldsV1"]["n"] = 1.into();
    }
    raw
}

#[test]
fn a_damaged_cache_is_set_aside_and_the_archive_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = objects(1);
    let bytes = archive_of(&raw);
    open(folder.path(), 7).read("b1", "b1", &bytes[..]).expect("read");
    let path = files(folder.path(), "archive").remove(0);
    let good = fs::read(&path).expect("readable");
    let index_at = u64::from_le_bytes(good[good.len() - 48..good.len() - 40].try_into().expect("eight")) as usize;
    for at in (0..32).chain((index_at..good.len()).step_by(7)).chain(good.len() - 48..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, &bad).expect("written");
        assert!(open(folder.path(), 7).find("b1").is_none(), "byte {at}");
    }
    for length in [0, 10, 32, index_at, good.len() - 1] {
        fs::write(&path, &good[..length]).expect("written");
        assert!(open(folder.path(), 7).find("b1").is_none(), "cut at {length}");
        assert_eq!(files(folder.path(), "damaged").len(), 1);
    }
    // A body is looked at when it is asked for; then the whole file is given up.
    let mut bad = good.clone();
    bad[40..index_at].iter_mut().for_each(|b| *b ^= 1);
    fs::write(&path, &bad).expect("written");
    let library = open(folder.path(), 7);
    let read = library.find("b1").expect("its index is sound");
    assert!(read.objects.values().all(|o| o.whole().is_err()));
    let read = library.read("b1", "b1", &bytes[..]).expect("read anew");
    whole(&read, 7, &raw);
}

#[test]
fn hashes_of_another_key_are_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = objects(1);
    open(folder.path(), 7).read("b1", "b1", &archive_of(&raw)[..]).expect("read");
    let other = open(folder.path(), 8);
    assert!(other.find("b1").is_none());
    whole(&other.read("b1", "b1", &archive_of(&raw)[..]).expect("read"), 8, &raw);
}

#[test]
fn a_budget_drops_what_was_not_used_for_longest() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = |library: &Library, key: &str| {
        library.read(key, key, &archive_of(&objects(1))[..]).expect("read");
        fs::metadata(folder.path().join(name(key))).expect("a file").len()
    };
    let one = size(&open(folder.path(), 7), "a");
    let library = Library::open(Some(folder.path()), one * 5 / 2, LIMITS, Redactor::new([7; 32]));
    let age = |key: &str, seconds: u64| {
        let file = fs::File::options().write(true).open(folder.path().join(name(key))).expect("a file");
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).expect("aged");
    };
    size(&library, "b");
    age("a", 100);
    age("b", 50);
    let c = library.read("c", "c", &archive_of(&objects(1))[..]).expect("read");
    let left = |key: &str| folder.path().join(name(key)).exists();
    assert_eq!((left("a"), left("b"), left("c")), (false, true, true));
    fs::remove_file(folder.path().join(name("c"))).expect("removed");
    whole(&c, 7, &objects(1));
}

#[test]
fn drafts_of_killed_readers_are_swept_and_those_of_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let drafts =
        || fs::read_dir(folder.path()).expect("a folder").flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".draft-")).count();
    let room = Room { folder: folder.path().to_owned(), budget: 1 << 30 };
    // What a killed reader leaves: its lock went with it.
    let (_, left) = room.draft().expect("a draft").keep().expect("kept");
    let writing = room.draft().expect("a draft");
    assert_eq!(drafts(), 2);
    open(folder.path(), 7);
    assert!(!left.exists() && writing.path().exists());
    // A reader that ends well leaves none, nor does one that fails.
    drop(writing);
    let library = open(folder.path(), 7);
    library.read("b1", "b1", &archive_of(&objects(1))[..]).expect("read");
    assert!(library.read("b2", "b2", &archive_of(&objects(1))[..900]).is_err());
    assert_eq!(drafts(), 0);
}

#[test]
fn everything_in_the_folder_counts_and_what_is_damaged_goes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = open(folder.path(), 7);
    let read = |library: &Library, key: &str| drop(library.read(key, key, &archive_of(&objects(1))[..]).expect("read"));
    ["a", "b", "c"].iter().for_each(|key| read(&library, key));
    let path = |key: &str| folder.path().join(name(key));
    let one = fs::metadata(path("a")).expect("a file").len();
    room::set_aside(&path("c"));
    // A draft of another process takes its place as well.
    let room = Room { folder: folder.path().to_owned(), budget: 1 << 30 };
    let draft = room.draft().expect("a draft");
    draft.as_file().set_len(one).expect("grown");
    let of = |budget: u64| Library::open(Some(folder.path()), budget, LIMITS, Redactor::new([7; 32]));
    read(&of(one * 9 / 2), "d");
    assert_eq!((path("a").exists(), path("b").exists(), files(folder.path(), "damaged").len()), (true, true, 0));
    read(&of(one * 5 / 2), "e");
    assert_eq!((files(folder.path(), "archive"), draft.path().exists()), (vec![path("e")], true));
}

#[test]
fn an_archive_larger_than_the_budget_stays_in_memory_where_it_does_not_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = objects(1);
    open(folder.path(), 7).read("a", "a", &archive_of(&raw)[..]).expect("read");
    let one = fs::metadata(folder.path().join(name("a"))).expect("a file").len();
    // Without room for half of the bodies, and for the bodies alone.
    for budget in [one / 4, one - 1] {
        let library = Library::open(Some(folder.path()), budget, LIMITS, Redactor::new([7; 32]));
        let read = library.read("b", "b", &archive_of(&raw)[..]).expect("read");
        whole(&read, 7, &raw);
        let on_disk = read.objects.values().filter(|o| o.content.place().is_some()).count();
        assert!(on_disk > 0 && (on_disk == raw.len()) == (budget == one - 1), "{on_disk} of {}", raw.len());
        let left: u64 = fs::read_dir(folder.path()).expect("a folder").flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
        assert!(left <= budget, "{left} bytes are left where {budget} may be");
    }
}

#[test]
fn backups_that_come_and_go_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = open(folder.path(), 7);
    let open_files = || {
        let links = fs::read_dir("/proc/self/fd").expect("linux").flatten().filter_map(|e| fs::read_link(e.path()).ok());
        links.filter(|l| l.starts_with(folder.path())).count()
    };
    let mut kept = std::collections::VecDeque::new();
    for n in 1..=40 {
        // A few objects change each time, most never.
        let read = library.read(&format!("b{n}"), "b", &archive_of(&objects(n))[..]).expect("read");
        kept.push_back((n, read));
        if kept.len() > 3 {
            kept.pop_front();
        }
        assert!(library.lock().held.len() <= 4, "{n}: those that nobody uses are forgotten");
        assert!(open_files() <= 6, "{n}: {} files are open for three archives", open_files());
    }
    let shared = kept[2].1.objects.values().filter(|o| kept[1].1.objects.get(&o.id).is_some_and(|f| Arc::ptr_eq(f, o))).count();
    assert_eq!(shared, 46, "and what stays as it is is still shared");
    for (n, read) in &kept {
        assert!(read.objects.values().all(|o| o.whole().is_ok()), "{n}");
    }
    drop(kept);
    assert_eq!(open_files(), 0);
}

#[test]
fn without_a_folder_everything_stays_in_memory() {
    let library = Library::open(None, 0, LIMITS, Redactor::new([7; 32]));
    let raw = objects(1);
    let read = library.read("b1", "b1", &archive_of(&raw)[..]).expect("read");
    whole(&read, 7, &raw);
    assert!(Arc::ptr_eq(&read, &library.read("b1", "b1", Unreadable).expect("in memory")));
    assert!(read.objects.values().all(|o| o.content.place().is_none()));
    drop(read);
    assert!(library.read("b1", "b1", Unreadable).is_err());
}

#[test]
fn the_key_is_drawn_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("deep/backups");
    let first = key::load(&folder).expect("drawn");
    assert_eq!((key::load(&folder).expect("kept"), first == [0; 32]), (first, false));
    let path = folder.join("key");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    assert!(key::load(&folder).expect_err("open to all").to_string().contains("may be read by others"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    fs::write(&path, b"torn").expect("written");
    assert_ne!(key::load(&folder).expect("drawn anew"), first);
}
