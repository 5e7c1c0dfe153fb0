//! The fault set: whatever is done to an archive, it is read or refused with a reason, and only what is concerned is lost. pure

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{write::write_archive, *};
use crate::{object::ObjectId, velero::Names};

const LIMITS: ArchiveLimits = ArchiveLimits { entries: 2_000_000, object_bytes: 1 << 20, total_bytes: 16 << 30, time: Duration::from_secs(600) };

/// Reasons by which a damaged file may be refused.
const DAMAGE: [&str; 6] =
    ["archive_empty", "archive_not_gzip", "archive_truncated", "archive_corrupt", "archive_trailing_garbage", "archive_malformed"];

fn take(reader: impl Read + Send) -> Result<Archive, ArchiveError> {
    read(reader, "sample", &LIMITS, &Redactor::new([7; 32]))
}

/// How many objects the sample has.
const SAMPLE: usize = 64;

/// A sample of some size: texts that do not compress away.
fn sample() -> Vec<u8> {
    let noise =
        |n: u64| (0..1000u64).map(|i| format!("{:016x}", (n * 1031 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))).collect::<String>();
    let map = |n| json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":format!("c{n}"),"namespace":"n"},"data":{"k":noise(n)}});
    let maps: Vec<_> = (0..SAMPLE as u64).map(map).collect();
    let mut bytes = Vec::new();
    write_archive(&mut bytes, &maps, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
    bytes
}

/// Xorshift, so that a failure comes again.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_sample_cut_anywhere_is_refused_as_damaged() {
    let good = sample();
    assert!(good.len() > 10 * (64 << 10), "the sample has {} bytes", good.len());
    let cuts = (0..good.len()).step_by(64 << 10).chain(good.len() - 9..good.len());
    for cut in cuts {
        let error = take(&good[..cut]).expect_err("cut");
        assert!(error.is_damage() && matches!(error.kind(), "archive_empty" | "archive_truncated"), "cut at {cut}: {error}");
    }
    assert_eq!(take(&good[..]).expect("whole").objects.len(), SAMPLE);
}

#[test]
fn a_sample_with_one_bit_flipped_is_refused_or_the_same() {
    let good = sample();
    let whole = take(&good[..]).expect("whole");
    let mut state = 0x5eed_0001;
    for _ in 0..200 {
        let at = random(&mut state) as usize % (good.len() * 8);
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        match take(&bad[..]) {
            // Bits of the header that mean nothing (time, operating system) change nothing.
            Ok(archive) => assert!(archive.objects == whole.objects && at < 80, "bit {at}"),
            Err(e) => assert!(DAMAGE.contains(&e.kind()), "bit {at}: {e}"),
        }
    }
}

/// Makes a tar by hand: headers and contents as they are told, true or not.
#[derive(Default)]
struct Hand(Vec<u8>);

impl Hand {
    fn version() -> Self {
        Self::default().file("metadata/version", b"1.1.0\n")
    }

    fn header(mut self, name: &str, kind: EntryType, size: u64, change: impl FnOnce(&mut [u8; 512])) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        let name = &name.as_bytes()[..name.len().min(100)];
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        change(header.as_mut_bytes());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    fn content(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, name: &str, kind: EntryType, bytes: &[u8]) -> Self {
        self.header(name, kind, bytes.len() as u64, |_| {}).content(bytes)
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(name, EntryType::Regular, bytes)
    }

    fn map(self, name: &str) -> Self {
        let body = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":name,"namespace":"n"},"data":{"k":"v"}}).to_string();
        self.file(&path(name), body.as_bytes())
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let rest = format!(" {key}={value}\n");
            let digits = (1..10).find(|d| (rest.len() + d).to_string().len() == *d).expect("short");
            format!("{}{rest}", rest.len() + digits)
        };
        let all: String = records.iter().map(record).collect();
        self.entry("pax", EntryType::XHeader, all.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&self.0).expect("in memory");
        gz.finish().expect("in memory")
    }
}

fn path(name: &str) -> String {
    format!("resources/configmaps/namespaces/n/{name}.json")
}

/// Names of the objects that were read, and the entries that were lost with their reasons.
fn said(bytes: &[u8]) -> (Vec<String>, Vec<(String, String)>, Vec<String>) {
    let archive = take(bytes).expect("read");
    let mut names: Vec<String> = archive.objects.keys().map(|id| id.name.to_string()).collect();
    names.sort();
    let told = archive.diagnostics.iter().map(|d| (d.reason.to_string(), d.file.chars().take(60).collect())).collect();
    let mut lost: Vec<String> = archive.unreadable.iter().map(ToString::to_string).collect();
    lost.sort();
    (names, told, lost)
}

#[test]
fn one_bad_entry_costs_its_own_object_and_no_other() {
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"n"}}"#;
    let large =
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x","namespace":"n"}},"data":{{"k":"{}"}}}}"#, "v".repeat(2 << 20));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let long = format!("{}x.json", "d/".repeat(32 << 10));
    let wrapped = |middle: &dyn Fn(Hand) -> Hand| middle(Hand::version().map("before")).map("after").end();
    let x = path("x");
    type Case<'c> = (&'c str, &'c dyn Fn(Hand) -> Hand, &'c str, bool);
    let cases: [Case<'_>; 15] = [
        ("invalid JSON", &|h| h.file(&x, b"{\"data\":canary}"), "not_json", true),
        ("not UTF-8", &|h| h.file(&x, b"{\"data\":\"\xff\xfe\"}"), "not_json", true),
        ("an empty file", &|h| h.file(&x, b""), "not_json", true),
        ("nested beyond all bounds", &|h| h.file(&x, &deep), "not_json", true),
        ("larger than the cap", &|h| h.file(&x, large.as_bytes()), "object_too_large", true),
        ("a symbolic link", &|h| h.entry(&x, EntryType::Symlink, b""), "not_a_file", true),
        ("a hard link", &|h| h.entry(&x, EntryType::Link, b""), "not_a_file", true),
        ("a device", &|h| h.entry(&x, EntryType::Char, b""), "not_a_file", true),
        ("a pipe", &|h| h.entry(&x, EntryType::Fifo, b""), "not_a_file", true),
        ("a sparse file", &|h| h.entry(&x, EntryType::GNUSparse, body), "not_a_file", true),
        ("a sparse file by PAX", &|h| h.pax(&[("GNU.sparse.major", "1")]).file(&x, body), "not_a_file", true),
        ("an unknown type", &|h| h.entry(&x, EntryType::new(b'Z'), body), "not_a_file", true),
        ("a name that leads out", &|h| h.file("resources/configmaps/namespaces/../../../x.json", body), "unsafe_name", false),
        ("an absolute name", &|h| h.file("/etc/x.json", body), "unsafe_name", false),
        ("a name of 64 KiB", &|h| h.pax(&[("path", &long)]).file(&x, body), "not_a_file", false),
    ];
    for (what, middle, reason, lost) in cases {
        let (names, told, unreadable) = said(&wrapped(middle));
        assert_eq!(names, ["after", "before"], "{what}");
        assert_eq!(told.iter().map(|(r, _)| r.as_str()).collect::<Vec<_>>(), [reason], "{what}");
        assert_eq!(unreadable, if lost { vec![x.clone()] } else { vec![] }, "{what}");
    }
    // The headers that follow an old sparse file's own are no entries.
    let more = |h: Hand| {
        let h = h.header(&x, EntryType::GNUSparse, body.len() as u64, |bytes| bytes[482] = 1);
        let mut next = [0; 512];
        next[504] = 1;
        h.content(&next).content(&[0; 512]).content(body)
    };
    assert_eq!(said(&wrapped(&more)).0, ["after", "before"]);
    let (names, told, lost) = said(&wrapped(&|h| h.map("twice").map("twice")));
    assert_eq!((names.len(), told[0].0.as_str(), lost.len()), (3, "repeated_object", 0));
}

#[test]
fn lies_about_a_size_are_refused_or_cost_no_other_object_silently() {
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"n"}}"#;
    for size in ["0", "1", "77", "79", "511", "512", "513", "1024", "9999999", "18446744073709551615", "-1", "x", ""] {
        let bytes = Hand::version().map("before").pax(&[("size", size)]).file(&path("x"), body).map("after").end();
        match take(&bytes[..]) {
            // What was read is what a reader that believes the size sees, and nothing is missing without a word.
            Ok(archive) => assert!(archive.objects.len() == 3 || !archive.diagnostics.is_empty(), "{size}"),
            Err(e) => assert!(DAMAGE.contains(&e.kind()), "{size}: {e}"),
        }
    }
    for size in [u64::from(u32::MAX), 8 << 30, (1 << 33) - 1] {
        let bytes = Hand::version().header(&path("x"), EntryType::Regular, size, |_| {}).content(body).end();
        let error = take(&bytes[..]).expect_err("it promises more than there is");
        assert_eq!(error.kind(), "archive_malformed", "{size}");
    }
}

/// A stream that repeats one block: entries without end, made on the fly.
struct Repeat {
    block: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(self.block.len() - self.at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at = (self.at + n) % self.block.len();
        self.left -= n as u64;
        Ok(n)
    }
}

#[test]
fn ten_million_entries_are_not_counted_to_the_end() {
    let block = Hand::default().file("resources/configmaps/notes.txt", b"").0;
    let entries = Repeat { left: block.len() as u64 * 10_000_000, block, at: 0 };
    let tar = std::io::Cursor::new(Hand::version().0).chain(entries);
    let limits = ArchiveLimits { entries: 50_000, ..LIMITS };
    let packed = flate2::read::GzEncoder::new(tar, Compression::fast());
    assert_eq!(read(packed, "many", &limits, &Redactor::new([7; 32])).expect_err("too many").kind(), "archive_too_many_entries");
    // With bodies that cannot be read, it is their number that ends it.
    let many: Vec<u8> = (0..MAX_UNREADABLE + 2).fold(Hand::version(), |h, n| h.file(&path(&n.to_string()), b"{")).end();
    assert_eq!(take(&many[..]).expect_err("damaged").kind(), "archive_too_damaged");
}

#[test]
fn more_bad_entries_than_are_told_are_all_known() {
    let bytes = (0..300).fold(Hand::version().map("good"), |h, n| h.file(&path(&format!("bad{n}")), b"{")).end();
    let archive = take(&bytes[..]).expect("read");
    assert_eq!((archive.objects.len(), archive.unreadable.len(), archive.diagnostics.len()), (1, 300, MAX_DIAGNOSTICS + 1));
}

#[test]
fn layouts_of_old_and_new_releases_are_read() {
    let map = |name: &str| json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":name,"namespace":"n"}}).to_string();
    let deployment = |version: &str, name: &str| {
        json!({"apiVersion":version,"kind":"Deployment","metadata":{"name":name,"namespace":"n"},"spec":{"replicas":1}}).to_string()
    };
    // Format 1: no folders by version, and kinds that lived in two groups under the one that was seen first.
    let old = Hand::default()
        .file("metadata/version", b"1\n")
        .file("resources/configmaps/namespaces/n/a.json", map("a").as_bytes())
        .file("resources/deployments.extensions/namespaces/n/d.json", deployment("extensions/v1beta1", "d").as_bytes());
    let archive = take(&old.end()[..]).expect("read");
    assert_eq!((archive.objects.len(), archive.diagnostics.len()), (2, 0));
    assert!(archive.objects.contains_key(&ObjectId::new("apps", "Deployment", Some("n"), "d")));
    // Format 1.1.0 with every served version (feature EnableAPIGroupVersions).
    let new = Hand::version()
        .file("resources/deployments.apps/v1-preferredversion/namespaces/n/d.json", deployment("apps/v1", "d").as_bytes())
        .file("resources/deployments.apps/v1beta2/namespaces/n/d.json", deployment("apps/v1beta2", "d").as_bytes())
        .file("resources/deployments.apps/namespaces/n/d.json", deployment("apps/v1", "d").as_bytes());
    let archive = take(&new.end()[..]).expect("read");
    assert_eq!((archive.objects.len(), archive.diagnostics.len()), (1, 0));
    assert_eq!(archive.objects.values().next().map(|o| &*o.version), Some("v1"));
    // Nothing but the version: an empty backup. Nothing at all: no backup of Velero.
    assert!(take(&Hand::version().end()[..]).expect("read").objects.is_empty());
    assert_eq!(take(&Hand::default().end()[..]).expect_err("empty").kind(), "archive_not_velero");
    let mut folder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_path("resources/").expect("fits");
    header.set_size(0);
    header.set_cksum();
    folder.append(&header, &b""[..]).expect("in memory");
    let folder = Hand(folder.into_inner().expect("in memory")[..512].to_vec());
    assert_eq!(take(&folder.end()[..]).expect_err("no version, no objects").kind(), "archive_not_velero");
}

#[test]
fn corpora_of_the_fuzz_target_are_read_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/archive");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus").flatten() {
        let bytes = std::fs::read(entry.path()).expect("readable");
        let _ = take(&bytes[..]);
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&bytes).expect("in memory");
        let _ = take(&gz.finish().expect("in memory")[..]);
        seen += 1;
    }
    assert!(seen >= 5, "{seen} files in {}", folder.display());
}
