//! How long the join takes over 10,000 objects with bodies in memory: from cold, and again after one edit. Prints medians.

use std::{collections::HashMap, sync::Arc, time::Duration, time::Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    config::{App, AppName, ArchiveLimits, Cluster, Config, History, LayerRules, Metrics, Render, Renderer, Sandbox, SourceName, Velero, Web},
    object::{GroupKind, Object, ObjectId, Redactor, admit},
    velero::Scope,
    verdict::{Inputs, Memo, Onsets, judge},
    witness::{
        AppHistory, AppState, Archive, BackedUp, Backup, BackupContent, BackupState, Commit, Declared, Desired, KindState, Listing, Live, PastState,
        RenderEvidence, Rendered, SourceState, Tip,
    },
};

const OBJECTS: usize = 10_000;
const APPS: usize = 50;
const ROUNDS: usize = 7;

fn take(value: Value) -> Object {
    admit(value, &Redactor::new([7; 32])).unwrap_or_else(|e| panic!("the generated world is well formed: {e}"))
}

fn name_of(n: usize) -> (&'static str, &'static str, &'static str) {
    match n % 10 {
        0..6 => ("apps/v1", "Deployment", "deployments"),
        6..9 => ("v1", "ConfigMap", "configmaps"),
        _ => ("v1", "Secret", "secrets"),
    }
}

/// A Deployment of ordinary size (some 2 KB as Git writes it), a ConfigMap or a Secret.
fn desired(n: usize, tag: usize) -> Value {
    let (api, kind, _) = name_of(n);
    let name = format!("object-{n}");
    let labels = json!({"app.kubernetes.io/name":name,"app.kubernetes.io/part-of":"bench","team":"shop"});
    let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":name,"namespace":format!("ns-{}", n % APPS),"labels":labels}});
    match kind {
        "Deployment" => {
            let env: Vec<Value> = (0..20).map(|i| json!({"name":format!("SETTING_{i}"),"value":format!("value {i} of {name}")})).collect();
            let container = |c: &str| {
                json!({"name":c,"image":format!("registry.example.com/{c}:v{tag}"),"env":env,"ports":[{"containerPort":8080}],
                "resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"memory":"256Mi"}},
                "livenessProbe":{"httpGet":{"path":"/livez","port":8080},"periodSeconds":10}})
            };
            v["spec"] = json!({"replicas":3,"selector":{"matchLabels":{"app":name}},
                "template":{"metadata":{"labels":{"app":name}},"spec":{"containers":[container("app"), container("proxy")]}}});
        }
        "ConfigMap" => v["data"] = (0..10).map(|i| (format!("key-{i}"), json!(format!("{tag} {}", "text ".repeat(20))))).collect(),
        _ => v["stringData"] = json!({"password":format!("p{tag}"),"user":"u"}),
    }
    v
}

/// The same object as a server returns it: defaults, bookkeeping and two field managers.
fn served(n: usize, tag: usize) -> Value {
    let mut v = desired(n, tag);
    v["metadata"]["uid"] = format!("uid-{n}").into();
    v["metadata"]["resourceVersion"] = "123456".into();
    v["metadata"]["managedFields"] = json!([{"manager":"argocd-controller","operation":"Apply","time":"2026-03-02T10:00:00Z",
        "fieldsV1":{"f:metadata":{"f:labels":{"f:team":{}}},"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{}}}}}}]);
    if v["kind"] == "Deployment" {
        v["spec"]["revisionHistoryLimit"] = 10.into();
        v["spec"]["progressDeadlineSeconds"] = 600.into();
        v["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
        v["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst".into();
        v["status"] = json!({"replicas":3,"readyReplicas":3});
    }
    v
}

struct World {
    declared: Declared,
    live: Live,
    backed_up: BackedUp,
    config: Config,
    onsets: Onsets,
    now: Timestamp,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn commit(sha: &str, at: &str) -> Commit {
    Commit { sha: sha.into(), author: "Ada".into(), subject: "change".into(), time: time(at), merge: false }
}

fn map(objects: impl Iterator<Item = Value>) -> HashMap<ObjectId, Arc<Object>> {
    objects.map(take).map(|o| (o.id.clone(), Arc::new(o))).collect()
}

fn config() -> Config {
    let limits = ArchiveLimits { entries: 1, object_bytes: 1, total_bytes: 1, time: Duration::from_secs(1) };
    Config {
        sources: Default::default(),
        apps: Default::default(),
        cluster: Cluster::default(),
        velero: Velero { namespace: "velero".into(), backups: Vec::new(), limits },
        layers: LayerRules::default(),
        ignore: Vec::new(),
        managers: Default::default(),
        render: Render {
            sandbox: Sandbox::Strict,
            kustomize: "kustomize".into(),
            helm: "helm".into(),
            timeout: Duration::from_secs(1),
            memory_bytes: 1,
            output_bytes: 1,
        },
        stale_after: Duration::from_secs(900),
        history: History { commits: 1, renders: 1 },
        web: Web { listen: ([127, 0, 0, 1], 0).into(), token_file: None, tls: None, enable_lifecycle: false },
        metrics: Metrics { max_object_series: 500, max_namespaces: 200 },
        cache_dir: "cache".into(),
        state_file: None,
    }
}

/// 10,000 objects of 50 apps: one in twenty drifts, one in ten is newer in Git than in the backup.
fn world() -> World {
    let now = time("2026-03-02T12:00:00Z");
    let source = SourceName("main".into());
    let tip = Tip { commit: commit("tip", "2026-03-02T10:00:00Z"), observed: None };
    let state = SourceState { location: "bench".into(), reference: "main".into(), tip: Some(tip), as_of: Some(now), failure: None };
    let mut declared = Declared { sources: [(source.clone(), state)].into(), apps: Default::default() };
    for a in 0..APPS {
        let name = AppName(format!("app-{a}").into());
        let own: Vec<Object> = (a..OBJECTS).step_by(APPS).map(|n| take(desired(n, 2))).collect();
        let past = |o: &Object, n: usize| {
            let before = PastState { since: Some(commit("before", "2026-03-01T10:00:00Z")), object: Some(take(desired(n, 1))) };
            (o.id.clone(), vec![PastState { since: Some(commit("tip", "2026-03-02T10:00:00Z")), object: Some(o.clone()) }, before])
        };
        let changed = own.iter().zip((a..OBJECTS).step_by(APPS)).filter(|(_, n)| n % 10 == 3);
        let history = AppHistory { objects: changed.map(|(o, n)| past(o, n)).collect(), reaches: None, complete: true, note: None };
        let app = App {
            name: name.clone(),
            source: source.clone(),
            path: format!("apps/{a}"),
            namespace: Some(format!("ns-{a}").into()),
            layer: None,
            renderer: Renderer::Directory(Default::default()),
        };
        let evidence = RenderEvidence { renderer: "directory".into(), tool: None, closure: "c".into(), sandbox: None, hooks: 0 };
        let objects = own.into_iter().map(|object| Desired { object, origin: None }).collect();
        let rendered = Rendered { revision: "tip".into(), at: now, objects, evidence, diagnostics: Vec::new() };
        declared.apps.insert(name, AppState { app, rendered: Some(Arc::new(rendered)), failure: None, history: Arc::new(history) });
    }
    let kinds = (0..10).map(|n| {
        let (api, kind, plural) = name_of(n);
        let group = api.split_once('/').map_or("", |(g, _)| g);
        let state = KindState { plural: plural.into(), version: "v1".into(), versions: Vec::new(), namespaced: true, listing: Listing::Complete };
        (GroupKind::new(group, kind), state)
    });
    let live = Live {
        kinds: kinds.collect(),
        discovered: true,
        objects: map((0..OBJECTS).map(|n| served(n, if n % 20 == 7 { 1 } else { 2 }))).into_iter().collect(),
        as_of: Some(now),
        ..Live::default()
    };
    let archive = Archive { objects: map((0..OBJECTS).map(|n| served(n, if n % 10 == 3 { 1 } else { 2 }))), ..Archive::default() };
    let backup = Backup {
        name: "nightly".into(),
        schedule: None,
        location: None,
        phase: "Completed".into(),
        state: BackupState::Restorable,
        reason: "completed".into(),
        remarks: Vec::new(),
        missing: Vec::new(),
        side: Arc::default(),
        why: "completed".into(),
        start: Some(time("2026-03-02T01:00:00Z")),
        completed: None,
        expires: None,
        errors: 0,
        warnings: 0,
        scope: Arc::new(Scope::of_backup(&json!({"includedNamespaces":["*"],"includeClusterResources":true}), true)),
        content: BackupContent::Read(Arc::new(archive)),
    };
    let backed_up = BackedUp { backups: vec![backup], as_of: Some(now), ..BackedUp::default() };
    World { declared, live, backed_up, config: config(), onsets: Onsets::default(), now }
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

fn main() {
    let mut world = world();
    let timed = |world: &World, memo: &mut Memo| {
        let inputs = Inputs {
            declared: &world.declared,
            live: &world.live,
            backed_up: &world.backed_up,
            config: &world.config,
            onsets: &world.onsets,
            now: world.now,
        };
        let (begun, cpu) = (Instant::now(), on_cpu());
        let report = judge(&inputs, memo);
        let took = cpu.zip(on_cpu()).map_or_else(|| begun.elapsed(), |(before, after)| after - before);
        (took, report)
    };
    let mut cold = Vec::new();
    for _ in 0..ROUNDS {
        let (took, report) = timed(&world, &mut Memo::default());
        assert_eq!(report.summary.objects, OBJECTS as u64, "every object is judged");
        assert!(report.summary.window == snapgap::report::model::WindowState::Open, "the world has open windows");
        cold.push(took);
    }
    let mut memo = Memo::default();
    timed(&world, &mut memo);
    let mut warm = Vec::new();
    for round in 0..ROUNDS {
        let edited = take(served(42, 100 + round));
        world.live.objects.insert(edited.id.clone(), Arc::new(edited));
        warm.push(timed(&world, &mut memo).0);
        assert_eq!(memo.stats().compared, 1, "one edit compares one object again");
    }
    println!("join, {OBJECTS} objects, from cold:      {:>8.1} ms of one core (median of {ROUNDS})", median(cold).as_secs_f64() * 1e3);
    println!("join, {OBJECTS} objects, after one edit: {:>8.1} ms of one core (median of {ROUNDS})", median(warm).as_secs_f64() * 1e3);
}
