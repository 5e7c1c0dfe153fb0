//! Good archives are read whole, bad ones not at all, and each says why. pure

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{
    write::{write_archive, write_backup},
    *,
};
use crate::{
    object::{GroupKind, ObjectId, admit},
    velero::Names,
};

const LIMITS: ArchiveLimits = ArchiveLimits { entries: 1000, object_bytes: 1 << 20, total_bytes: 64 << 20, time: Duration::from_secs(60) };

fn redactor() -> Redactor {
    Redactor::new([7; 32])
}

fn take(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    read(bytes, "nightly.tar.gz", &LIMITS, &redactor())
}

fn kind_of(bytes: &[u8]) -> &'static str {
    take(bytes).map_or_else(|e| e.kind(), |_| "read")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).expect("in memory");
    gz.finish().expect("in memory")
}

/// An archive of these entries, each a name, a type and a content; names are written as they are, good or bad.
fn tarball(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").expect("fits");
        }
        header.set_cksum();
        tar.append(&header, content.as_bytes()).expect("in memory");
    }
    gzip(&tar.into_inner().expect("in memory"))
}

fn file<'a>(name: &'a str, content: &'a str) -> (&'a str, EntryType, &'a str) {
    (name, EntryType::Regular, content)
}

const VERSION: (&str, EntryType, &str) = ("metadata/version", EntryType::Regular, "1.1.0\n");

fn objects() -> Vec<Value> {
    vec![
        json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"cluster-1"},"status":{"phase":"Active"}}),
        json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"cart","namespace":"shop","uid":"d1","resourceVersion":"9"},"spec":{"replicas":2}}),
        json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"shop"},"data":{"p":"Y2FuYXJ5"}}),
        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a".repeat(253),"namespace":"n".repeat(63)},"data":{"k":"v"}}),
        json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"system:node"},"rules":[]}),
    ]
}

fn good() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_archive(&mut bytes, &objects(), &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
    bytes
}

#[test]
fn what_is_written_is_read_again_whole_and_hidden() {
    let archive = take(&good()).expect("read");
    assert_eq!((archive.objects.len(), archive.diagnostics.len()), (5, 0));
    assert_eq!(archive.cluster_uid.as_deref(), Some("cluster-1"));
    for raw in objects() {
        let expected = admit(raw, &redactor()).expect("an object");
        assert_eq!(archive.objects.get(&expected.id).map(|o| &**o), Some(&expected));
    }
    assert!(!format!("{:?}", archive.objects).contains("canary"));
    assert!(archive.objects.values().all(|o| !o.content.json().contains("Y2FuYXJ5")));
    assert_eq!(good(), good());
}

#[test]
fn archives_of_go_and_of_gnu_tar_with_long_names_are_read() {
    for bytes in [
        &include_bytes!("../../../tests/data/velero/archive/go-long-names.tar.gz")[..],
        &include_bytes!("../../../tests/data/velero/archive/gnu-repacked.tar.gz")[..],
    ] {
        let archive = take(bytes).expect("read");
        assert_eq!(archive.diagnostics, []);
        assert_eq!((archive.objects.len(), archive.cluster_uid.as_deref()), (5, Some("uid-of-kube-system")));
        let long = ObjectId::new("", "ConfigMap", Some(&"n".repeat(63)), &format!("{}end", "long-name.".repeat(24)));
        assert!(archive.objects.contains_key(&long));
        assert!(archive.objects.contains_key(&ObjectId::new("apps", "Deployment", Some("shop"), &format!("caf\u{e9}-{}", "x".repeat(120)))));
    }
}

#[test]
fn an_empty_backup_is_valid_and_empty() {
    let mut bytes = Vec::new();
    write_archive(&mut bytes, [], &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
    let archive = take(&bytes).expect("read");
    assert_eq!((archive.objects.len(), archive.diagnostics.len(), archive.cluster_uid), (0, 0, None));
}

#[test]
fn every_way_to_be_broken_has_its_own_word_and_a_way_out() {
    let good = good();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let garbage = [&good[..], b"garbage"].concat();
    for (bytes, kind, words) in [
        (Vec::new(), "archive_empty", "the file is empty"),
        (b"apiVersion: v1".to_vec(), "archive_not_gzip", "not a gzip file"),
        (vec![0x1f], "archive_truncated", "ends too early"),
        (good[..good.len() / 2].to_vec(), "archive_truncated", "ends too early"),
        (good[..good.len() - 4].to_vec(), "archive_truncated", "ends too early"),
        (flipped(good.len() - 6), "archive_corrupt", "damaged"),
        (garbage, "archive_trailing_garbage", "something follows"),
        ([&good[..], &good[..]].concat(), "archive_trailing_garbage", "something follows"),
        (gzip(b"hello"), "archive_not_velero", "not an archive of Velero"),
        (gzip(&[7; 4096]), "archive_not_velero", "not an archive of Velero"),
        (gzip(b""), "archive_not_velero", "not an archive of Velero"),
        (tarball(&[file("readme.txt", "hi")]), "archive_not_velero", "give the file <backup>.tar.gz"),
        (tarball(&[file("metadata/version", "2.0.0\n")]), "archive_format_version", "format version \"2.0.0\""),
    ] {
        let error = take(&bytes).expect_err(kind);
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("nightly.tar.gz: ") && text.contains(words), "{text}");
    }
    let whole = take(&good).expect("good");
    for at in 10..good.len() - 8 {
        match take(&flipped(at)) {
            // A bit that the compressed stream does not use leaves what it holds, checksum and all, as it was.
            Ok(archive) => assert_eq!(archive.objects, whole.objects, "bit {at}"),
            Err(e) => assert!(["archive_corrupt", "archive_truncated", "archive_trailing_garbage"].contains(&e.kind()), "bit {at}: {e}"),
        }
    }
}

#[test]
fn a_tar_that_breaks_inside_an_intact_gzip_is_malformed() {
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_path("metadata/version").expect("fits");
    header.set_size(6);
    header.set_cksum();
    tar.append(&header, &b"1.1.0\n"[..]).expect("in memory");
    let bytes = tar.into_inner().expect("in memory");
    let torn = [&bytes[..1024], &[9; 512][..]].concat();
    assert_eq!(kind_of(&gzip(&torn)), "archive_malformed");
    let gap = [&bytes[..1024], &[0; 512][..], &bytes[..1024]].concat();
    assert_eq!(kind_of(&gzip(&gap)), "archive_malformed");
    assert_eq!(kind_of(&gzip(&bytes[..700])), "archive_malformed");
    // Go's own reader takes a tar without its end, if it ends between entries.
    assert_eq!(kind_of(&gzip(&bytes[..1024])), "read");
}

#[test]
fn every_cap_is_held_and_named() {
    let good = good();
    let with = |limits: ArchiveLimits| read(&good[..], "a", &limits, &redactor()).expect_err("a cap");
    assert_eq!(with(ArchiveLimits { entries: 3, ..LIMITS }).to_string(), "a: the archive has more than 3 entries; raise `velero.max_entries`");
    assert_eq!(with(ArchiveLimits { total_bytes: 5000, ..LIMITS }).kind(), "archive_too_large");
    assert_eq!(with(ArchiveLimits { time: Duration::ZERO, ..LIMITS }).kind(), "archive_too_slow");
    assert!(!with(ArchiveLimits { entries: 3, ..LIMITS }).is_damage());
}

#[test]
fn names_beyond_all_bounds_are_refused_however_they_are_told() {
    let long = format!("resources/configmaps/cluster/{}.json", "x".repeat(5000));
    let build = |fill: &dyn Fn(&mut Builder<Vec<u8>>)| {
        let mut tar = Builder::new(Vec::new());
        let mut version = Header::new_ustar();
        version.set_path("metadata/version").expect("fits");
        version.set_size(6);
        version.set_cksum();
        tar.append(&version, &b"1.1.0\n"[..]).expect("in memory");
        fill(&mut tar);
        gzip(&tar.into_inner().expect("in memory"))
    };
    let pax = build(&|tar| {
        tar.append_pax_extensions([("path", long.as_bytes())]).expect("in memory");
        let mut header = Header::new_ustar();
        header.set_path("x").expect("fits");
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, &b""[..]).expect("in memory");
    });
    let passed_over = |bytes: &[u8]| {
        let archive = take(bytes).expect("read");
        assert_eq!((archive.objects.len(), archive.diagnostics.len(), &*archive.diagnostics[0].reason), (0, 1, "not_a_file"));
    };
    passed_over(&pax);
    let gnu = build(&|tar| {
        let mut header = Header::new_gnu();
        header.set_size(0);
        tar.append_data(&mut header, &long, &b""[..]).expect("in memory");
    });
    passed_over(&gnu);
    // An extension header that promises gigabytes is refused by its size, before anything is read into memory.
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(8 << 30);
    header.set_cksum();
    assert_eq!(kind_of(&gzip(&[good_tar(), header.as_bytes().to_vec()].concat())), "archive_malformed");
}

/// The tar of a good archive, without its end.
fn good_tar() -> Vec<u8> {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&good()[..]).read_to_end(&mut tar).expect("good");
    tar.truncate(tar.len() - 1024);
    tar
}

/// Ten gigabytes of zeros, made on the fly.
struct Zeros(u64);

impl Read for Zeros {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = (buffer.len() as u64).min(self.0) as usize;
        buffer[..n].fill(0);
        self.0 -= n as u64;
        Ok(n)
    }
}

#[test]
fn ten_gigabytes_in_ten_megabytes_are_not_inflated() {
    let mut header = Header::new_ustar();
    header.set_path("resources/configmaps/cluster/x.txt").expect("fits");
    header.set_size(10 << 30);
    header.set_cksum();
    let tar = std::io::Cursor::new(header.as_bytes().to_vec()).chain(Zeros(10 << 30));
    let bomb = flate2::read::GzEncoder::new(tar, Compression::default());
    let limits = ArchiveLimits { total_bytes: 16 << 30, time: Duration::from_secs(600), ..LIMITS };
    assert_eq!(read(bomb, "bomb", &limits, &redactor()).expect_err("a bomb").kind(), "archive_bomb");
    let bomb = flate2::read::GzEncoder::new(Zeros(10 << 30), Compression::fast());
    assert_eq!(read(bomb, "bomb", &LIMITS, &redactor()).expect_err("too large").kind(), "archive_too_large");
}

#[test]
fn what_leads_out_or_is_no_file_is_passed_over_and_told() {
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}}"#;
    let bytes = tarball(&[
        VERSION,
        file("resources/configmaps/namespaces/../../../evil.json", object),
        file("/resources/configmaps/namespaces/n/a.json", object),
        ("resources/configmaps/namespaces/n/link.json", EntryType::Symlink, ""),
        ("resources/configmaps/namespaces/n/hard.json", EntryType::Link, ""),
        ("resources/configmaps/namespaces/n/device.json", EntryType::Char, ""),
        ("resources/configmaps/namespaces/n/pipe.json", EntryType::Fifo, ""),
        ("resources/configmaps/namespaces/n/", EntryType::Directory, ""),
        file("resources/configmaps/namespaces/n/bad.json", "{\"data\":canary}"),
        file("resources/configmaps/namespaces/n/list.json", "[1]"),
        file("resources/configmaps/namespaces/n/a.json", object),
        file("resources/configmaps/v1-preferredversion/namespaces/n/a.json", "not looked at"),
        file("resources/configmaps/namespaces/n/notes.txt", "not looked at"),
    ]);
    let archive = take(&bytes).expect("read");
    assert_eq!(archive.objects.keys().map(ToString::to_string).collect::<Vec<_>>(), ["ConfigMap n/a"]);
    let told: Vec<_> = archive.diagnostics.iter().map(|d| (&*d.reason, d.file.rsplit('/').next().unwrap_or_default())).collect();
    assert_eq!(
        told,
        [
            ("unsafe_name", "evil.json"),
            ("unsafe_name", "a.json"),
            ("not_a_file", "link.json"),
            ("not_a_file", "hard.json"),
            ("not_a_file", "device.json"),
            ("not_a_file", "pipe.json"),
            ("not_json", "bad.json"),
            ("path_disagrees", "list.json"),
            ("path_disagrees", "list.json"),
            ("not_an_object", "list.json"),
        ]
    );
    assert!(!format!("{:?}", archive.diagnostics).contains("canary"));
}

#[test]
fn where_path_and_body_disagree_a_restore_decides() {
    let bytes = tarball(&[
        VERSION,
        file("resources/configmaps/namespaces/here/a.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","namespace":"there"}}"#),
        file(
            "resources/configmaps/namespaces/here/b.json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","namespace":"here"},"data":{"k":"last"}}"#,
        ),
    ]);
    let archive = take(&bytes).expect("read");
    let object = archive.objects.get(&ObjectId::new("", "ConfigMap", Some("here"), "b")).expect("held");
    assert!(object.content.json().contains("last"));
    assert_eq!(archive.objects.len(), 1);
    let reasons: Vec<_> = archive.diagnostics.iter().map(|d| &*d.reason).collect();
    assert_eq!(reasons, ["path_disagrees", "path_disagrees", "repeated_object"]);
}

#[test]
fn of_several_entries_of_one_path_the_last_decides_whether_it_can_be_read() {
    let path = "resources/configmaps/namespaces/here/a.json";
    let good = file(path, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"here"}}"#);
    for (entries, unreadable) in [([VERSION, file(path, "{"), good], 0), ([VERSION, good, file(path, "{")], 1)] {
        assert_eq!(take(&tarball(&entries)).expect("read").unreadable.len(), unreadable);
    }
}

#[test]
fn an_archive_of_format_1_and_one_without_a_version_are_read() {
    let role = file(
        "resources/clusterroles.rbac.authorization.k8s.io/cluster/r.json",
        r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"}}"#,
    );
    assert_eq!(take(&tarball(&[file("metadata/version", "1\n"), role])).expect("read").objects.len(), 1);
    let archive = take(&tarball(&[role])).expect("read");
    assert_eq!((archive.objects.len(), &*archive.diagnostics[0].reason), (1, "no_version"));
}

#[test]
fn diagnostics_are_bounded() {
    let names: Vec<String> = (0..300).map(|n| format!("resources/x/cluster/{n}.json")).collect();
    let entries: Vec<_> = names.iter().map(|n| file(n, "{")).chain([VERSION]).collect();
    let archive = take(&tarball(&entries)).expect("read");
    assert_eq!(archive.diagnostics.len(), MAX_DIAGNOSTICS + 1);
    assert_eq!(archive.diagnostics[MAX_DIAGNOSTICS].message, "200 more entries could not be used");
}

#[test]
fn texts_that_repeat_are_shared() {
    let many: Vec<Value> =
        (0..3).map(|n| json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":format!("c{n}"),"namespace":"shop"}})).collect();
    let mut bytes = Vec::new();
    write_archive(&mut bytes, &many, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
    let archive = take(&bytes).expect("read");
    let mut namespaces = archive.objects.values().filter_map(|o| o.id.namespace.clone());
    let first = namespaces.next().expect("three");
    assert!(namespaces.all(|n| Arc::ptr_eq(&n, &first)));
}

#[test]
fn a_backup_is_written_as_it_lies_in_a_bucket() {
    let folder = tempfile::tempdir().expect("a folder");
    let backup = json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"b1"},"status":{"startTimestamp":"2026-03-02T01:00:00Z"}});
    let written = write_backup(folder.path(), &backup, &objects(), &Names::builtin()).expect("written");
    assert!(written.ends_with("backups/b1"));
    assert!(written.join("velero-backup.json").is_file());
    let names = Names::builtin().with(GroupKind::new("example.com", "Mouse"), "mice", true);
    let mouse = json!({"apiVersion":"example.com/v1","kind":"Mouse","metadata":{"name":"m","namespace":"n"}});
    assert!(write_archive(Vec::new(), [&mouse], &names, Timestamp::UNIX_EPOCH).is_ok());
    let error = write_archive(Vec::new(), [&mouse], &Names::builtin(), Timestamp::UNIX_EPOCH).expect_err("unknown");
    assert_eq!((error.kind(), error.to_string().contains("Mouse.example.com")), ("unknown_kind", true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), compress in any::<bool>()) {
        let _ = take(&if compress { gzip(&bytes) } else { [&[0x1f, 0x8b, 8, 0][..], &bytes].concat() });
    }

    #[test]
    fn a_tar_changed_anywhere_is_read_or_refused_and_never_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&good()[..]).read_to_end(&mut tar).expect("good");
        for (at, byte) in changes {
            let at = at.index(tar.len());
            tar[at] = byte;
        }
        let _ = take(&gzip(&tar));
        let _ = take(&gzip(&tar[..cut.index(tar.len())]));
    }

    #[test]
    fn objects_survive_being_written_and_read(names in proptest::collection::btree_set("[a-z0-9]([a-z0-9.-]{0,80}[a-z0-9])?", 0..12), namespaced in any::<bool>(), value in "\\PC{0,40}") {
        let kind = if namespaced { "ConfigMap" } else { "PersistentVolume" };
        let raw: Vec<Value> = names
            .iter()
            .map(|name| {
                let mut o = json!({"apiVersion":"v1","kind":kind,"metadata":{"name":name},"data":{"k":value}});
                if namespaced {
                    o["metadata"]["namespace"] = name.as_str().into();
                }
                o
            })
            .collect();
        let mut bytes = Vec::new();
        write_archive(&mut bytes, &raw, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
        let archive = take(&bytes).expect("read");
        let expected: Holdings = raw.into_iter().map(|o| Arc::new(admit(o, &redactor()).expect("an object"))).collect();
        prop_assert_eq!(archive.objects, expected);
    }
}
