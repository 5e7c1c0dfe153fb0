//! The join over a world of ordinary objects with bodies in memory: from cold, and again after one edit. I/O: the kernel's count of processor time.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use snapgap::{object::ObjectId, report::model::WindowState, verdict::Memo};

use crate::{
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
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        writeln!(f, "join, {OBJECTS} objects, from cold:      {:>8.1} ms of one core (median of {ROUNDS})", ms(self.cold))?;
        write!(f, "join, {OBJECTS} objects, after one edit: {:>8.1} ms of one core (median of {ROUNDS})", ms(self.warm))
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
    let held = |n: usize| {
        let mut object = ordinary(n, 2);
        if moved(n) {
            object["spec"]["replicas"] = 2.into();
        }
        served(object, n)
    };
    world.runs(live).backup(Snapshot::new("nightly", "01:00").holding((0..OBJECTS).map(held).collect()))
}

/// Time on the processor, where the kernel tells: a busy machine does not change it. Else the time on the wall.
fn on_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split_whitespace().next()?.parse().ok()?))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Builds the world and measures.
pub fn measure() -> Measured {
    let mut world = world();
    let timed = |world: &World, memo: &mut Memo| {
        let (begun, cpu) = (Instant::now(), on_cpu());
        let report = snapgap::verdict::judge(&world.inputs(), memo);
        let took = cpu.zip(on_cpu()).map_or_else(|| begun.elapsed(), |(before, after)| after - before);
        (took, report)
    };
    let mut cold = Vec::new();
    for _ in 0..ROUNDS {
        let (took, report) = timed(&world, &mut Memo::default());
        assert_eq!(report.summary.objects, OBJECTS as u64, "every object is judged");
        assert!(report.summary.window == WindowState::Open, "the world has open windows");
        cold.push(took);
    }
    let mut memo = Memo::default();
    timed(&world, &mut memo);
    let mut warm = Vec::new();
    for round in 0..ROUNDS {
        let edited = take(served(config_map(47, 100 + round), 47));
        assert!(world.live.objects.contains_key(&ObjectId::new("", "ConfigMap", Some(&namespace(47)), "configmap-47")));
        world.live.objects.insert(edited.id.clone(), std::sync::Arc::new(edited));
        warm.push(timed(&world, &mut memo).0);
        assert_eq!(memo.stats().compared, 1, "one edit compares one object again");
    }
    Measured { cold: median(cold), warm: median(warm) }
}
