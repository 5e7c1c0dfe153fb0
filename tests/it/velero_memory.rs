//! Whatever lies in a bucket, reading it takes a bounded part of memory: each archive is made on the fly and read in a process of its own, whose
//! peak the kernel tells.

use std::{fs, io::Read, process::Command, time::Duration};

use flate2::{Compression, read::GzEncoder};
use serde_json::json;
use snapgap::{
    config::ArchiveLimits,
    object::Redactor,
    velero::{Library, archive},
};
use tar::{EntryType, Header};

use crate::support::git_repo::again;

/// The defaults of the configuration.
const LIMITS: ArchiveLimits = ArchiveLimits { entries: 2_000_000, object_bytes: 16 << 20, total_bytes: 16 << 30, time: Duration::from_secs(600) };

/// Objects of an archive that brings large ones.
const LARGE: usize = 20;

/// Bytes of what is too long in each: together as much as all of reading may take, and one is at hand in any case.
const LONG: usize = 4 << 20;

/// MiB above what the process has before it reads: one body with its tree and its text is at hand at a time, and four blocks of the stream wait.
const BOUND: u64 = 80;

/// Entries of the archive that has nothing but entries. Ten million take a debug build minutes, nearly all of them in making the stream.
const ENTRIES: u64 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };

/// Entries of archives that are refused for what they add up to. The rest of a stream is read all the same, to know that it is no damage.
const CROWD: usize = 12_000;

/// Text that compresses well, and not so well that it is a bomb.
fn junk(bytes: usize) -> String {
    let mut state = 0x5eed_0002_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    let piece: String = (0..3000).map(|_| next()).collect();
    piece.repeat(bytes / piece.len() + 1)
}

fn entry(name: &str, kind: EntryType, body: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_path(name).expect("short");
    header.set_entry_type(kind);
    header.set_size(body.len() as u64);
    header.set_cksum();
    let mut all = [header.as_bytes(), body].concat();
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

fn path(n: usize) -> String {
    format!("resources/configmaps/namespaces/n/c{n}.json")
}

/// An entry with a name that stands in an extension header.
fn long_entry(name: &str, body: &[u8]) -> Vec<u8> {
    let rest = format!(" path={name}\n");
    let digits = (1..10).find(|d| (rest.len() + d).to_string().len() == *d).expect("short");
    let record = format!("{}{rest}", rest.len() + digits);
    [entry("pax", EntryType::XHeader, record.as_bytes()), entry("x", EntryType::Regular, body)].concat()
}

/// A gzip stream of these entries, none of which is made before its turn.
struct Entries<I>(I, Vec<u8>, usize);

impl<I: Iterator<Item = Vec<u8>>> Read for Entries<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.2 == self.1.len() {
            let Some(next) = self.0.next() else { return Ok(0) };
            (self.1, self.2) = (next, 0);
        }
        let n = buffer.len().min(self.1.len() - self.2);
        buffer[..n].copy_from_slice(&self.1[self.2..self.2 + n]);
        self.2 += n;
        Ok(n)
    }
}

fn stream(entries: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Box<dyn Read + Send> {
    let version = std::iter::once(entry("metadata/version", EntryType::Regular, b"1.1.0\n"));
    Box::new(GzEncoder::new(Entries(version.chain(entries), Vec::new(), 0), Compression::fast()))
}

/// Objects of which each has something long at one place.
fn large(place: &'static str, value: impl Fn(&str) -> serde_json::Value + Send + 'static) -> Box<dyn Read + Send> {
    let long = junk(LONG + LARGE);
    stream((0..LARGE).map(move |n| {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("c{n}"), "namespace": "n"}, "status": {}});
        let (parent, key) = place.rsplit_once('/').expect("a pointer");
        let parent = object.pointer_mut(parent).and_then(|v| v.as_object_mut()).expect("a mapping");
        // Each another one, so that nothing can be shared.
        parent.insert(key.to_owned(), value(&format!("{n}{}", &long[n..])));
        entry(&path(n), EntryType::Regular, object.to_string().as_bytes())
    }))
}

/// A header that differs from others by a number in its name.
fn numbered(n: u64) -> Vec<u8> {
    // As scattered as names are, so that the whole is no bomb; the checksum is the template's, and the digits'.
    let digits = format!("{:016x}{n:08}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = TEMPLATE.with(Clone::clone);
    bytes[20..44].copy_from_slice(digits.as_bytes());
    let sum = SUM.with(|s| *s) + digits.bytes().map(u32::from).sum::<u32>();
    bytes[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    bytes
}

thread_local! {
    static TEMPLATE: Vec<u8> = {
        let mut bytes = entry("resources/configmap/........................", EntryType::Regular, b"");
        bytes[154..156].copy_from_slice(b"\0 ");
        bytes
    };
    /// The checksum without the digits.
    static SUM: u32 = TEMPLATE.with(|t| t.iter().enumerate().filter(|(n, _)| !(20..44).contains(n) && !(148..156).contains(n)).map(|(_, b)| u32::from(*b)).sum::<u32>())
        + 8 * u32::from(b' ');
}

fn archive_of(case: &str) -> Box<dyn Read + Send> {
    let text = |t: &str| json!(t);
    let owner = |key: &'static str| {
        move |t: &str| {
            let mut owner = json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"});
            owner[key] = t.into();
            json!([owner])
        }
    };
    match case {
        "name" => large("/metadata/name", text),
        "namespace" => large("/metadata/namespace", text),
        "uid" => large("/metadata/uid", text),
        "owner's kind" => large("/metadata/ownerReferences", owner("kind")),
        "owners" => large("/metadata/ownerReferences", |t| {
            let number = t.trim_end_matches(char::is_alphabetic);
            vec![json!({"apiVersion": "v1", "kind": "K", "name": number, "uid": "u"}); 50_000].into()
        }),
        "revisions" => {
            let long = junk(LONG / 2 + LARGE);
            stream((0..LARGE).map(move |n| {
                let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": format!("c{n}"), "namespace": "n"},
                    "status": {"lastAttemptedRevision": &long[n..], "lastAppliedRevision": format!("x{}", &long[n..])}});
                entry(&path(n), EntryType::Regular, object.to_string().as_bytes())
            }))
        }
        "data" => large("/data", |t| json!({"k": t})),
        "small parts" => {
            let body = format!("{{\"a\":[{}0]}}", r#"{"a":0},"#.repeat((16 << 20) / 8 - 10));
            stream((0..2).map(move |n| entry(&path(n), EntryType::Regular, body.as_bytes())))
        }
        "facts of what length is allowed" => {
            let long = junk(5000);
            stream((0..CROWD).map(move |n| {
                let fact = format!("{n:07}{}", &long[..4000]);
                let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("c{n}"), "namespace": "n", "uid": fact, "resourceVersion": fact},
                    "status": {"phase": fact}});
                entry(&path(n), EntryType::Regular, object.to_string().as_bytes())
            }))
        }
        "unreadable entries of what length is allowed" => {
            let long = junk(5000);
            stream((0..CROWD).map(move |n| long_entry(&format!("resources/configmaps/namespaces/n/{n:07}{}.json", &long[..4000]), b"{")))
        }
        "entries" | "one entry too many" => stream((0..ENTRIES).map(numbered)),
        other => panic!("no case {other}"),
    }
}

/// Kilobytes by a name that the kernel has for them.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("linux");
    status.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok()).expect("a size")
}

/// Reads one archive, with bodies on disk as the daemon has them, and says what came of it and what it took.
fn read(case: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let entries = match case {
        "entries" => ENTRIES + 1,
        "one entry too many" => ENTRIES,
        _ => LIMITS.entries,
    };
    let limits = ArchiveLimits { entries, ..LIMITS };
    let reader = archive_of(case);
    let before = memory("VmRSS:");
    let (redactor, outcome) = (Redactor::new([7; 32]), |read: Result<_, archive::ArchiveError>| read.map_err(|e| e.kind()));
    // Bodies on disk and the archive in memory for as long as it is asked: its peak counts it.
    let library = Library::open(Some(folder.path()), 8 << 30, limits, redactor);
    let said = match outcome(library.read("one", "sample", reader)) {
        Ok(archive) => format!("{} objects, {} unreadable", archive.objects.len(), archive.unreadable.len()),
        Err(kind) => kind.to_owned(),
    };
    println!("\nmeasured: {} MiB: {said}", memory("VmHWM:").saturating_sub(before) >> 10);
}

/// What came of a case, and the MiB that it took.
fn measured(case: &str) -> (String, u64) {
    let test = "velero_memory::whatever_an_archive_holds_reading_it_takes_little_memory";
    let out = again(test, case, Command::new("env")).output().expect("it starts again");
    let text = String::from_utf8_lossy(&out.stdout);
    let line =
        text.lines().find_map(|l| l.strip_prefix("measured: ")).unwrap_or_else(|| panic!("{case}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    let (size, said) = line.split_once(" MiB: ").expect("a size");
    println!("{case}: {size} MiB: {said}");
    (said.to_owned(), size.parse().expect("a number"))
}

#[test]
fn whatever_an_archive_holds_reading_it_takes_little_memory() {
    if let Ok(case) = std::env::var("SNAPGAP_TEST_CHILD") {
        return read(&case);
    }
    let lost = format!("0 objects, {LARGE} unreadable");
    let kept = format!("{LARGE} objects, 0 unreadable");
    let mut beyond = Vec::new();
    for (case, want, bound) in [
        ("name", &*lost, BOUND),
        // A restore takes the namespace of the path.
        ("namespace", &*kept, BOUND),
        ("uid", &*lost, BOUND),
        ("owner's kind", &*lost, BOUND),
        ("owners", &*lost, 3 * BOUND),
        ("revisions", &*kept, BOUND),
        ("data", &*kept, BOUND),
        ("small parts", "0 objects, 2 unreadable", 2 * BOUND),
        ("facts of what length is allowed", "archive_too_heavy", 3 * BOUND),
        ("unreadable entries of what length is allowed", "archive_too_damaged", 2 * BOUND),
        ("entries", "0 objects, 0 unreadable", BOUND),
        ("one entry too many", "archive_too_many_entries", BOUND),
    ] {
        let (said, mib) = measured(case);
        if said != want || mib > bound {
            beyond.push(format!("{case}: {mib} MiB and {said:?}, where {bound} MiB and {want:?} are right"));
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}
