//! The drift engine beside its peers, in one run on the same thousand pairs of objects that a real API server served: Argo CD's gitops-engine
//! per object, `kubectl diff` end to end. Needs the tests' tools and Go. `cargo bench --bench drift`

// What this shares with the tests holds more than it uses, and is held to other rules than the product.
#![allow(clippy::expect_used, clippy::unwrap_used, dead_code, missing_docs)]

#[path = "common/clock.rs"]
mod clock;
#[path = "../tests/it"]
mod it {
    pub mod exam;
    pub mod support {
        pub mod control_plane;
        pub mod git_repo;
        pub mod program;
        pub mod tools;
    }
}

use std::{
    fs,
    hint::black_box,
    path::Path,
    process::{Command, ExitCode},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use clock::Table;
use it::{
    exam::{
        api::Api,
        verdicts::{prepared, taken_in},
    },
    support::{
        self,
        control_plane::{ControlPlane, Options},
        git_repo::Repo,
        program::{Folder, eventually},
    },
};
use serde_json::{Value, json};
use snapgap::{
    drift::{Comparison, Observed, Policy, Schema, compare},
    object::{Gvk, Redactor, reduce},
};

const ROUNDS: usize = 7;
const MANAGER: &str = "argocd-controller";

fn workload(n: usize, kind: &str) -> Value {
    let name = format!("{}-{n}", kind.to_lowercase());
    let container = |c: &str| {
        let env: Vec<Value> = (0..8).map(|i| json!({"name": format!("SETTING_{i}"), "value": format!("value {i} of {name}")})).collect();
        json!({"name": c, "image": format!("registry.example.com/{c}:v{}", n % 7), "env": env, "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}},
            "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}}, "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}], "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
    };
    let labels = json!({"app.kubernetes.io/name": name});
    let mut v = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "bench", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [container("app"), container("proxy")], "volumes": [{"name": "config", "configMap": {"name": name}}]}}}});
    if kind == "StatefulSet" {
        v["spec"]["serviceName"] = name.into();
        v["spec"]["volumeClaimTemplates"] =
            json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}}]);
    }
    v
}

fn definition(n: usize) -> Value {
    let fields: serde_json::Map<String, Value> = (0..40)
        .map(|i| (format!("field{i}"), json!({"type": "string", "description": format!("what field {i} is for"), "maxLength": 100 + i})))
        .collect();
    let mut properties = fields;
    properties.insert("size".into(), json!({"type": "integer", "default": 3}));
    properties.insert("parts".into(), json!({"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "default": 1}}}}));
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("widget{n}s.bench.example.com")},
        "spec": {"group": "bench.example.com", "scope": "Namespaced", "names": {"kind": format!("Widget{n}"), "plural": format!("widget{n}s")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

/// A mixed thousand: 300 Deployments, 100 StatefulSets, 200 Services, 250 ConfigMaps, 20 CustomResourceDefinitions, 130 custom resources.
fn thousand() -> Vec<Value> {
    let mut all: Vec<Value> = (0..20).map(definition).collect();
    all.extend((0..300).map(|n| workload(n, "Deployment")));
    all.extend((0..100).map(|n| workload(n, "StatefulSet")));
    all.extend((0..200).map(|n| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("service-{n}"), "namespace": "bench", "labels": {"team": "shop"}},
            "spec": {"type": "ClusterIP", "selector": {"app": format!("a{n}")}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}})
    }));
    all.extend((0..250).map(|n| {
        let data: serde_json::Map<String, Value> = (0..10).map(|i| (format!("key-{i}"), json!(format!("{n} {}", "text ".repeat(20))))).collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("config-{n}"), "namespace": "bench"}, "data": data})
    }));
    all.extend((0..130).map(|n| {
        let fields: serde_json::Map<String, Value> = (0..15).map(|i| (format!("field{i}"), json!(format!("value {i}")))).collect();
        let mut v = json!({"apiVersion": "bench.example.com/v1", "kind": format!("Widget{}", n % 20), "metadata": {"name": format!("widget-{n}"), "namespace": "bench"}, "spec": fields});
        v["spec"]["parts"] = json!([{"name": "a"}, {"name": "b"}]);
        v
    }));
    assert_eq!(all.len(), 1000);
    all
}

fn in_parallel(all: &[Value], work: impl Fn(usize, &Value) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = all.get(n) else { break };
                    work(n, item);
                }
            });
        }
    });
}

fn place(api: &Api, all: &[Value]) {
    api.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}), "bench", false).expect("a namespace");
    let (crds, rest) = all.split_at(20);
    in_parallel(crds, |_, m| drop(api.apply(m, MANAGER, false).expect("applied")));
    let ready = || crds.iter().all(|m| api.live(m).is_ok_and(|c| c["status"]["conditions"].to_string().contains("\"Established\"")));
    eventually("the definitions are established", Duration::from_secs(60), ready);
    thread::sleep(Duration::from_secs(2));
    api.discover();
    in_parallel(rest, |_, m| drop(api.apply(m, MANAGER, false).expect("applied")));
    // Every tenth is edited by hand.
    in_parallel(rest, |n, m| {
        if n % 10 == 0 {
            let patch = json!([{"op": "add", "path": "/metadata/annotations", "value": {"by": "hand"}}]);
            api.json_patch(m, "kubectl-edit", &patch).expect("edited");
        }
    });
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn per_object(pairs: usize, mut round: impl FnMut() -> usize) -> (f64, usize) {
    let mut found = round();
    let times = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        found = round();
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(pairs).unwrap())
    });
    (median(times.collect()), found)
}

/// From parsed objects to a verdict, as the product takes them in when nothing of them is kept.
fn judged(schema: &dyn Schema, desired: Value, live: Value) -> Comparison {
    let redactor = Redactor::new([7; 32]);
    let taken = |value| reduce(value, &redactor).expect("an object");
    let (desired, live) = (taken(desired), taken(live));
    let gvk = Gvk { gk: desired.id.gk.clone(), version: desired.version.clone() };
    let observed = Observed { value: &live.value, managers: live.managers.as_deref(), applied: live.applied.as_deref() };
    compare(&desired.value, observed, &Policy::of(schema, &desired.id, &gvk))
}

fn differs(c: &Comparison) -> usize {
    usize::from(!c.leaves.is_empty())
}

fn main() -> ExitCode {
    let all = thousand();
    let plane = ControlPlane::start(Options { controllers: false, flags: Vec::new() });
    let api = Api::connect(&plane.admin());
    place(&api, &all);
    let folder = Folder::new("snapgap-bench-");
    let texts: Vec<(String, String)> = all.iter().map(|m| (m.to_string(), api.live(m).expect("live").to_string())).collect();
    let file = folder.path().join("pairs.jsonl");
    fs::write(&file, texts.iter().map(|(d, l)| format!("{{\"desired\":{d},\"live\":{l}}}\n")).collect::<String>()).expect("written");
    let (desired, live): (usize, usize) = texts.iter().fold((0, 0), |(d, l), (a, b)| (d + a.len(), l + b.len()));
    let mut table = Table::begin();
    table.fact("pairs, bytes of manifests, bytes of live objects", format!("{}, {desired}, {live}", texts.len()));

    let schemata = api.schemata(&plane.admin(), &all[..20].iter().map(|m| api.live(m).expect("live")).collect::<Vec<_>>());
    let schemas: Vec<_> = all.iter().map(|m| schemata.of(m)).collect();
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let (from_text, found) =
        per_object(texts.len(), || texts.iter().zip(&schemas).map(|((d, l), s)| differs(&black_box(judged(&**s, read(d), read(l))))).sum());
    let prepared: Vec<_> = texts.iter().map(|(d, l)| prepared(&taken_in(&read(d)), &taken_in(&read(l)))).collect();
    let (from_prepared, _) = per_object(texts.len(), || prepared.iter().zip(&schemas).map(|(p, s)| differs(&black_box(p.judge(&**s)))).sum());
    let us = |n: f64| format!("{n:.1} µs");
    table.fact("an object from text to verdict, and how many differ", format!("{}, {found}", us(from_text)));
    table.fact("an object, prepared", us(from_prepared));

    let peers = peer(&file);
    let (text, parsed) = (peers["text_ns"].as_f64().unwrap() / 1e3, peers["parsed_ns"].as_f64().unwrap() / 1e3);
    let modified = peers["modified"].as_array().unwrap().iter().filter(|m| **m == true).count();
    table.fact("the same by gitops-engine", format!("{}, {modified}", us(text)));
    table.fact("the same by gitops-engine, parsed", us(parsed));
    let ratio = text / from_text;
    table.target("gitops-engine takes as many times as long, from text", format!("{ratio:.1}"), ">= 20", ratio >= 20.0);
    table.fact("and prepared", format!("{:.1}", parsed / from_prepared));
    end_to_end(&plane, &all, folder.path(), &mut table);
    table.end()
}

/// Runs the Go program over the same pairs.
fn peer(file: &Path) -> Value {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let program = std::env::var_os("SNAPGAP_BENCH_PEER").map_or_else(|| source.join("../../target/peers"), Into::into);
    if !program.exists() {
        let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").env("CGO_ENABLED", "0").current_dir(&source).status();
        assert!(built.expect("go starts").success(), "the peers do not build");
    }
    let out = Command::new(program).arg(file).arg(ROUNDS.to_string()).output().expect("the peers start");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// From a folder of manifests and a kubeconfig to a verdict on everything.
fn end_to_end(plane: &ControlPlane, all: &[Value], folder: &Path, table: &mut Table) {
    let repo = Repo::new(folder, "fleet");
    let yaml: Vec<String> = all.iter().map(|v| serde_yaml::to_string(v).expect("YAML")).collect();
    repo.commit("Declare all", &[("app/all.yaml", yaml.join("---\n").as_str())]);
    let (git, kubeconfig) = (repo.git_dir.display().to_string(), plane.admin().display().to_string());
    let run = || {
        let begun = Instant::now();
        let out = Command::new(env!("CARGO_BIN_EXE_snapgap"))
            .args(["report", "--git", &git, "--kubeconfig", &kubeconfig, "--app", "all=app:directory,namespace=bench", "-o", "json"])
            .env("HOME", folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .output()
            .expect("snapgap starts");
        assert!(matches!(out.status.code(), Some(0..=2)), "{}", String::from_utf8_lossy(&out.stderr));
        (begun.elapsed().as_secs_f64(), out.stdout)
    };
    let (cold, text) = run();
    let warm = median((0..5).map(|_| run().0).collect());
    let report: Value = serde_json::from_slice(&text).expect("a report");
    table.fact("snapgap report, with an empty cache, and again", format!("{cold:.2} s, {warm:.2} s"));
    table.fact("its summary of drift", &report["summary"]["drift"]);
    let manifests = folder.join("work.yaml");
    fs::write(&manifests, yaml.join("---\n")).expect("written");
    let begun = Instant::now();
    let out = Command::new(support::tools::path("kubectl"))
        .args(["diff", "-f"])
        .arg(&manifests)
        .env("KUBECONFIG", &kubeconfig)
        .env("HOME", folder)
        .output()
        .expect("kubectl starts");
    let kubectl = begun.elapsed().as_secs_f64();
    table.fact("kubectl diff, its exit code and bytes of diff", format!("{kubectl:.2} s, {:?}, {}", out.status.code(), out.stdout.len()));
    let ratio = kubectl / cold;
    table.target("kubectl diff takes as many times as long", format!("{ratio:.0}"), ">= 100", ratio >= 100.0);
    table.fact("and again", format!("{:.0}", kubectl / warm));
}
