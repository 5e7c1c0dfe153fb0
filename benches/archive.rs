//! Reading an archive of 100,000 objects: memory above the baseline, bytes of memory an object of a further backup, and time against `gzip -dc`
//! of the same file in the same run. I/O: a temporary folder, `gzip`.

use std::{
    fs, process,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    config::ArchiveLimits,
    object::Redactor,
    velero::{Library, Names, archive::write::write_archive},
};

const OBJECTS: usize = 100_000;
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
fn main() {
    // Writing happens in a child, so that its memory does not blur what reading takes.
    let mut args = std::env::args().skip_while(|a| a != "--write").skip(1);
    if let (Some(path), Some(changed)) = (args.next(), args.next()) {
        return write(std::path::Path::new(&path), changed.parse().expect("a number"));
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
        println!(
            "backup {n} ({changed} % changed): {OBJECTS} objects, {:.0} MiB inflated; peak {:.1} MiB above the baseline, {} bytes an object stay; \
             {took:.2?} against {plain:.2?} of gzip -dc, {:.2} of its speed",
            archive.bytes as f64 / MIB,
            peak as f64 / MIB,
            after / OBJECTS as u64,
            plain.as_secs_f64() / took.as_secs_f64()
        );
        kept.push(archive);
    }
    let again = Library::open(Some(&folder.path().join("cache")), 8 << 30, limits, Redactor::new([7; 32]));
    let started = Instant::now();
    let archive = again.find("b0").expect("in the cache");
    println!("from the cache, in another run: {} objects in {:.2?}", archive.objects.len(), started.elapsed());
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
