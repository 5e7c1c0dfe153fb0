//! The join over a world of ordinary objects: from cold and after one edit with bodies in memory, and after a new backup whose bodies are on
//! disk. I/O: a temporary folder.

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use snapgap::{
    config::ArchiveLimits,
    object::{ObjectId, Redactor},
    report::model::{Report, WindowState},
    velero::{Library, Names, archive::write::write_archive},
    verdict::Memo,
    witness::BackupContent,
};

use crate::{
    clock::{median, timed},
    manifests::{NAMESPACES, config_map, deployment, namespace, secret},
    world::{Snapshot, World, app, take},
};

/// Objects of the world.
const OBJECTS: usize = 10_000;
const ROUNDS: usize = 7;

/// Medians of one core's time.
pub struct Measured {
    /// Nothing is remembered.
    pub cold: Duration,
    /// All but one object are as they were.
    pub warm: Duration,
    /// A new backup was read, in which one object in ten is another than in the one before; bodies of both are on disk.
    pub backup: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        writeln!(f, "join, {OBJECTS} objects, from cold:      {:>8.1} ms of one core (median of {ROUNDS})", ms(self.cold))?;
        writeln!(f, "join, {OBJECTS} objects, after one edit: {:>8.1} ms of one core (median of {ROUNDS})", ms(self.warm))?;
        write!(f, "join, {OBJECTS} objects, a new backup:   {:>8.1} ms of one core (median of {ROUNDS})", ms(self.backup))
    }
}

/// Six Deployments, three ConfigMaps and a Secret in ten.
fn ordinary(n: usize, tag: usize) -> Value {
    match n % 10 {
        0..6 => deployment(n, tag),
        6..9 => config_map(n, tag),
        _ => secret(n, tag),
    }
}

/// A manifest as a server returns it: defaults, bookkeeping and what a deployer's server-side apply leaves in managedFields.
fn served(mut manifest: Value, n: usize) -> Value {
    let metadata = &mut manifest["metadata"];
    metadata["uid"] = format!("00000000-0000-4000-8000-{n:012}").into();
    metadata["resourceVersion"] = (100_000 + n).to_string().into();
    metadata["creationTimestamp"] = "2026-03-01T10:00:00Z".into();
    metadata["managedFields"] = json!([{"manager": "argocd-controller", "operation": "Apply", "time": "2026-03-02T10:00:00Z",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}, "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {}}}}}}]);
    if manifest["kind"] == "Deployment" {
        manifest["metadata"]["generation"] = 1.into();
        manifest["spec"]["revisionHistoryLimit"] = 10.into();
        manifest["spec"]["progressDeadlineSeconds"] = 600.into();
        manifest["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
        manifest["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst".into();
        manifest["status"] = json!({"replicas": 3, "readyReplicas": 3});
    }
    manifest
}

/// What a backup holds: Git moved on since for one Deployment in ten.
fn held(n: usize) -> Value {
    let mut object = ordinary(n, 2);
    if n % 10 == 3 {
        object["spec"]["replicas"] = 2.into();
    }
    served(object, n)
}

/// One ConfigMap in ten is edited by hand; Git moved on since the backup for one Deployment in ten.
fn world() -> World {
    let drifts = |n: usize| n % 10 == 7;
    let moved = |n: usize| n % 10 == 3;
    let mut world = World::new();
    for a in 0..NAMESPACES {
        let (name, place) = (format!("app-{a}"), namespace(a));
        let own = || (a..OBJECTS).step_by(NAMESPACES);
        world = world.app(app(&name, Some(&place))).declares(&name, own().map(|n| ordinary(n, 2)).collect());
        for n in own().filter(|n| moved(*n)) {
            world = world.history(&name, deployment(n, 2), &[(Some(3), "tip", "10:00"), (Some(2), "before", "00:30")]);
        }
        world = world.complete(&name);
    }
    let live = (0..OBJECTS).map(|n| served(ordinary(n, if drifts(n) { 1 } else { 2 }), n)).collect();
    world.runs(live).backup(Snapshot::new("nightly", "01:00").holding((0..OBJECTS).map(held).collect()))
}

/// One join, and how long it took.
fn joined(world: &World, memo: &mut Memo) -> (Duration, Report) {
    timed(|| snapgap::verdict::judge(&world.inputs(), memo))
}

/// Builds the world and measures.
pub fn measure() -> Measured {
    let mut world = world();
    let mut cold = Vec::new();
    for _ in 0..ROUNDS {
        let (took, report) = joined(&world, &mut Memo::default());
        assert_eq!(report.summary.objects, OBJECTS as u64, "every object is judged");
        assert!(report.summary.window == WindowState::Open, "the world has open windows");
        cold.push(took);
    }
    let mut memo = Memo::default();
    joined(&world, &mut memo);
    let mut warm = Vec::new();
    for round in 0..ROUNDS {
        let edited = take(served(config_map(47, 100 + round), 47));
        assert!(world.live.objects.contains_key(&ObjectId::new("", "ConfigMap", Some(&namespace(47)), "configmap-47")));
        world.live.objects.insert(edited.id.clone(), std::sync::Arc::new(edited));
        warm.push(joined(&world, &mut memo).0);
        assert_eq!(memo.stats().compared, 1, "one edit compares one object again");
    }
    Measured { cold: median(cold), warm: median(warm), backup: new_backup(world) }
}

/// Backups as the daemon has them, read into a library on disk; the newer one brings one Deployment in ten up to Git.
fn new_backup(mut world: World) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ArchiveLimits { entries: 1_000_000, object_bytes: 1 << 20, total_bytes: 1 << 30, time: Duration::from_secs(600) };
    let library = Library::open(Some(&folder.path().join("cache")), 8 << 30, limits, Redactor::new([7; 32]));
    let newer = |n: usize| if n % 10 == 3 { served(ordinary(n, 2), n) } else { held(n) };
    let objects: [Vec<Value>; 2] = [(0..OBJECTS).map(held).collect(), (0..OBJECTS).map(newer).collect()];
    let archives = objects.iter().zip(["older", "newer"]).map(|(objects, name)| {
        let path = folder.path().join(format!("{name}.tar.gz"));
        write_archive(std::fs::File::create(&path).expect("a file"), objects, &Names::builtin(), world.now).expect("written");
        library.read(name, name, std::fs::File::open(&path).expect("a file")).expect("read")
    });
    let archives: Vec<_> = archives.collect();
    let older = &mut world.backed_up.backups[0];
    older.content = BackupContent::Read(archives[0].clone());
    let mut newer = older.clone();
    (newer.name, newer.content) = ("newer".into(), BackupContent::Read(archives[1].clone()));
    newer.start = newer.start.map(|s| s + Duration::from_secs(3600));
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut memo = Memo::default();
        let before = joined(&world, &mut memo).1;
        let mut after = world.clone();
        after.backed_up.backups.insert(0, newer.clone());
        let (took, report) = joined(&after, &mut memo);
        let split = |r: &Report| r.windows[0].objects;
        assert!(split(&before) >= (OBJECTS / 10) as u64 && split(&report) < split(&before), "the new backup closes windows");
        times.push(took);
    }
    median(times)
}
