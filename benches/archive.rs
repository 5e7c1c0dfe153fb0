//! Reading an archive of 20,000 objects: bytes of memory an object, and time against `gzip -dc`. I/O: a temporary folder, `gzip`.

use std::{fs, process, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    config::ArchiveLimits,
    object::Redactor,
    velero::{
        Names,
        archive::{read, write::write_archive},
    },
};

#[expect(clippy::expect_used, reason = "a measurement that cannot be taken has nothing to say")]
fn main() {
    // Writing happens in a child, so that its memory does not blur what reading takes.
    if let Some(path) = std::env::args().skip_while(|a| a != "--write").nth(1) {
        return write(std::path::Path::new(&path));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("big.tar.gz");
    let own = std::env::current_exe().expect("a path");
    let written = process::Command::new(own).arg("--write").arg(&path).status().expect("a child");
    assert!(written.success());
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").expect("linux");
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()).expect("a size") * 1024
    };
    let limits = ArchiveLimits { entries: 1_000_000, object_bytes: 1 << 20, total_bytes: 1 << 30, time: Duration::from_secs(600) };
    let (before, started) = (resident(), std::time::Instant::now());
    let archive = read(fs::File::open(&path).expect("a file"), "big", &limits, &Redactor::new([7; 32])).expect("read");
    let (took, kept) = (started.elapsed(), resident().saturating_sub(before));
    let held: usize = archive.objects.values().map(|o| o.content.json().len() + o.meta.managers().map_or(0, |m| m.len())).sum();
    let started = std::time::Instant::now();
    let status = process::Command::new("gzip").arg("-dc").arg(&path).stdout(process::Stdio::null()).status().expect("gzip");
    assert!(status.success());
    let plain = started.elapsed();
    let objects = archive.objects.len();
    println!(
        "{objects} objects, {} bytes compressed, {} inflated; {} bytes an object resident, {} of them text; {took:?} against {plain:?} of gzip -dc, {:.1} times",
        fs::metadata(&path).expect("a file").len(),
        archive.bytes,
        kept / objects as u64,
        held / objects,
        took.as_secs_f64() / plain.as_secs_f64()
    );
}

#[expect(clippy::expect_used, reason = "a measurement that cannot be taken has nothing to say")]
fn write(path: &std::path::Path) {
    let fields = json!({"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{}}}}}}});
    let many: Vec<Value> = (0..20_000)
        .map(|n| {
            json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":format!("app-{n}"),"namespace":format!("team-{}", n % 50),"uid":format!("{n:032x}"),"resourceVersion":n.to_string(),
                "labels":{"app":format!("app-{n}")},"managedFields":[{"manager":"argocd-controller","operation":"Apply","time":"2026-01-01T00:00:00Z","fieldsV1":fields},
                {"manager":"kube-controller-manager","operation":"Update","subresource":"status","fieldsV1":fields}]},
                "spec":{"replicas":n % 5,"selector":{"matchLabels":{"app":format!("app-{n}")}},"template":{"metadata":{"labels":{"app":format!("app-{n}")}},
                "spec":{"containers":[{"name":"app","image":format!("registry.example.com/app:{n}"),"ports":[{"containerPort":8080}],"env":(0..8).map(|e| json!({"name":format!("E{e}"),"value":format!("{:016x}", n * 7919 + e)})).collect::<Vec<_>>(),
                "resources":{"requests":{"cpu":"100m","memory":"128Mi"}}}]}}},
                "status":{"replicas":1,"conditions":[{"type":"Available","status":"True","lastUpdateTime":"2026-01-01T00:00:00Z"}]}})
        })
        .collect();
    let file = fs::File::create(path).expect("a file");
    write_archive(file, &many, &Names::builtin(), Timestamp::UNIX_EPOCH).expect("written");
}
