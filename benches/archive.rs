//! Reading an archive of 100,000 objects: memory above the baseline, bytes of memory an object of a further backup, and time against `gzip -dc`
//! of the same file in the same run. Prints figure, value, target and verdict. I/O: a temporary folder, `gzip`.

use std::{
    fs,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    config::ArchiveLimits,
    object::Redactor,
    velero::{Library, Names, archive::write::write_archive},
};

#[path = "common/clock.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod clock;

use clock::Table;

const OBJECTS: usize = 100_000;

/// Bytes above the baseline, while the first archive is read.
const PEAK: u64 = 64 << 20;

/// Bytes an object of a further backup of the same cluster.
const FURTHER: u64 = 200;

/// Of the speed of `gzip -dc`.
const SPEED: f64 = 0.5;

const MIB: f64 = (1 << 20) as f64;

/// Memory of this process by a name that the kernel has for it, in bytes.
#[expect(clippy::expect_used, reason = "a measurement that cannot be taken has nothing to say")]
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("linux");
    status.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok()).expect("a size") * 1024
}

/// Lets the kernel count the most memory anew.
fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

#[expect(clippy::expect_used, reason = "a measurement that cannot be taken has nothing to say")]
fn main() -> ExitCode {
    // Writing happens in a child, so that its memory does not blur what reading takes.
    let mut args = std::env::args().skip_while(|a| a != "--write").skip(1);
    if let (Some(path), Some(changed)) = (args.next(), args.next()) {
        write(std::path::Path::new(&path), changed.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let own = std::env::current_exe().expect("a path");
    // Of the further backups nothing, a tenth and everything is another object than before.
    let paths: Vec<_> = [0, 0, 10, 100].iter().enumerate().map(|(n, changed)| (folder.path().join(format!("b{n}.tar.gz")), *changed)).collect();
    for (path, changed) in &paths {
        let written = process::Command::new(&own).arg("--write").arg(path).arg(changed.to_string()).status().expect("a child");
        assert!(written.success());
    }
    let limits = ArchiveLimits { entries: 1_000_000, object_bytes: 1 << 20, total_bytes: 1 << 30, time: Duration::from_secs(600) };
    let library = Library::open(Some(&folder.path().join("cache")), 8 << 30, limits, Redactor::new([7; 32]));
    let mut kept = Vec::new();
    let mut table = Table::begin();
    for (n, (path, changed)) in paths.iter().enumerate() {
        reset_peak();
        let before = memory("VmRSS:");
        let started = Instant::now();
        let archive = library.read(&format!("b{n}"), "bench", fs::File::open(path).expect("a file")).expect("read");
        let took = started.elapsed();
        let (peak, after) = (memory("VmHWM:").saturating_sub(before), memory("VmRSS:").saturating_sub(before));
        let started = Instant::now();
        let gzip = process::Command::new("gzip").arg("-dc").arg(path).stdout(process::Stdio::null()).status().expect("gzip");
        assert!(gzip.success() && archive.objects.len() == OBJECTS);
        let plain = started.elapsed();
        let name = format!("backup {n} ({changed} % changed)");
        table.fact(&format!("{name}: objects, and bytes inflated"), format!("{OBJECTS}, {:.0} MiB", archive.bytes as f64 / MIB));
        let value = format!("{:.1} MiB", peak as f64 / MIB);
        table.target(&format!("{name}: memory above the baseline while it is read"), value, "< 64 MiB", peak < PEAK);
        let each = after / OBJECTS as u64;
        let figure = format!("{name}: bytes an object that stay");
        // One in which every object is another is no further backup of the same cluster.
        if matches!(n, 1 | 2) {
            table.target(&figure, each, "<= 200", each <= FURTHER);
        } else {
            table.fact(&figure, each);
        }
        let speed = plain.as_secs_f64() / took.as_secs_f64();
        let value = format!("{speed:.2} ({took:.2?} against {plain:.2?})");
        table.target(&format!("{name}: speed against gzip -dc"), value, ">= 0.5", speed >= SPEED);
        kept.push(archive);
    }
    let again = Library::open(Some(&folder.path().join("cache")), 8 << 30, limits, Redactor::new([7; 32]));
    let started = Instant::now();
    let archive = again.find("b0").expect("in the cache");
    table.fact("from the cache, in another run", format!("{} objects in {:.2?}", archive.objects.len(), started.elapsed()));
    table.end()
}

#[expect(clippy::expect_used, reason = "a measurement that cannot be taken has nothing to say")]
fn write(path: &std::path::Path, changed: usize) {
    let fields = json!({"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{}}}}}}});
    let object = |n: usize| -> Value {
        let tag = if n % 100 < changed { changed } else { 0 };
        json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":format!("app-{n}"),"namespace":format!("team-{}", n % 50),"uid":format!("{n:032x}"),
            "resourceVersion":(n * 1000 + tag).to_string(),"labels":{"app":format!("app-{n}")},
            "managedFields":[{"manager":"argocd-controller","operation":"Apply","time":"2026-01-01T00:00:00Z","fieldsV1":fields},
            {"manager":"kube-controller-manager","operation":"Update","subresource":"status","fieldsV1":fields}]},
            "spec":{"replicas":n % 5,"selector":{"matchLabels":{"app":format!("app-{n}")}},"template":{"metadata":{"labels":{"app":format!("app-{n}")}},
            "spec":{"containers":[{"name":"app","image":format!("registry.example.com/app:{tag}"),"ports":[{"containerPort":8080}],
            "env":(0..8).map(|e| json!({"name":format!("E{e}"),"value":format!("{:016x}", n * 7919 + e)})).collect::<Vec<_>>(),
            "resources":{"requests":{"cpu":"100m","memory":"128Mi"}}}]}}},
            "status":{"replicas":1,"conditions":[{"type":"Available","status":"True","lastUpdateTime":"2026-01-01T00:00:00Z"}]}})
    };
    let many: Vec<Value> = (0..OBJECTS).map(object).collect();
    write_archive(fs::File::create(path).expect("a file"), &many, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
}
