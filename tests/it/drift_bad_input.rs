//! Schemas, objects and bookkeeping that nobody should send: what is made of them, how long it takes and how much memory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use snapgap::{
    cluster::{self, Connection, Limits},
    drift::Schema as _,
    object::Gvk,
    witness::Live,
};

use crate::{
    cluster_read::{redactor, settings},
    support::{
        cli::program,
        control_plane::ControlPlane,
        git_repo::Repo,
        program::{Folder, Program, eventually, free_port},
        scene::{Scene, fields, notes, of},
        tools,
    },
};

/// What is answered in the place of a document; `None` passes the server's own answer on.
type Fault = fn(&str) -> Option<Reply>;

enum Reply {
    /// This body.
    Body(Vec<u8>),
    /// The head and this much of the body, and then nothing.
    Stall(Vec<u8>),
    /// Spaces without end.
    Endless,
    /// No answer at all.
    Silence,
}

/// A real API server behind a proxy that answers for some documents itself.
struct Proxied {
    _proxy: Program,
    kubeconfig: std::path::PathBuf,
    fault: Arc<Mutex<Fault>>,
    _folder: Folder,
}

impl Proxied {
    fn before(plane: &ControlPlane) -> Self {
        let folder = Folder::new("snapgap-proxied-");
        // kubectl's proxy takes the encryption off, so that ours sees what is asked.
        let open = free_port();
        let args = [format!("--kubeconfig={}", plane.admin().display()), "proxy".into(), format!("--port={open}"), "--accept-paths=.*".into()];
        let proxy = Program::start(folder.path(), "kubectl-proxy", &tools::path("kubectl"), &args);
        eventually("kubectl's proxy listens", Duration::from_secs(60), || TcpStream::connect(("127.0.0.1", open)).is_ok());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let fault: Arc<Mutex<Fault>> = Arc::new(Mutex::new(|_| None));
        let told = fault.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fault = *told.lock().expect("unpoisoned");
                thread::spawn(move || drop(pass(stream, open, fault)));
            }
        });
        let kubeconfig = folder.path().join("proxied.kubeconfig");
        let text = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
        );
        fs::write(&kubeconfig, text).expect("written");
        Self { _proxy: proxy, kubeconfig, fault, _folder: folder }
    }

    fn fault(&self, fault: Fault) {
        *self.fault.lock().expect("unpoisoned") = fault;
    }
}

/// One request: its head is read, and either answered here or passed on, with the connection closed after the answer.
fn pass(mut from: TcpStream, to: u16, fault: Fault) -> std::io::Result<()> {
    let mut reader = BufReader::new(from.try_clone()?);
    let mut head = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if !line.to_lowercase().starts_with("connection:") {
            head.push(std::mem::take(&mut line));
        }
        line.clear();
    }
    let path = head.first().and_then(|l| l.split(' ').nth(1)).unwrap_or_default().to_owned();
    let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    match fault(&path) {
        Some(Reply::Body(body)) => {
            from.write_all(ok)?;
            write!(from, "content-length: {}\r\n\r\n", body.len())?;
            from.write_all(&body)
        }
        Some(Reply::Stall(begun)) => {
            from.write_all(ok)?;
            write!(from, "content-length: {}\r\n\r\n", begun.len() + 100)?;
            from.write_all(&begun)?;
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Some(Reply::Endless) => {
            from.write_all(ok)?;
            from.write_all(b"\r\n")?;
            loop {
                from.write_all(&[b' '; 1 << 16])?;
            }
        }
        Some(Reply::Silence) => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        None => {
            let mut server = TcpStream::connect(("127.0.0.1", to))?;
            server.write_all(format!("{}Connection: close\r\n\r\n", head.concat()).as_bytes())?;
            let mut answer = [0; 1 << 14];
            loop {
                match server.read(&mut answer)? {
                    0 => return Ok(()),
                    n => from.write_all(&answer[..n])?,
                }
            }
        }
    }
}

async fn read(proxied: &Proxied) -> (Live, Duration) {
    let settings = settings(proxied.kubeconfig.clone());
    let limits = Limits { call: Duration::from_secs(3), ..Limits::default() };
    let connection = Connection::connect(&settings).await.expect("a connection");
    let begun = Instant::now();
    (cluster::read(&connection, &settings, &redactor(), &limits, &|_| {}).await, begun.elapsed())
}

/// The list of documents.
fn of_index(path: &str) -> bool {
    path.split('?').next() == Some("/openapi/v3")
}

/// The one document that all Deployments depend on.
fn of_apps(path: &str) -> bool {
    path.starts_with("/openapi/v3/apis/apps/v1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_do_not_come_or_are_rubbish_leave_the_table_in_their_place() {
    let plane = ControlPlane::shared();
    let proxied = Proxied::before(plane);
    let (well, _) = read(&proxied).await;
    assert_eq!((well.schemas.failure.as_ref(), well.failure.as_ref()), (None, None), "through the proxy all is as it is");
    let (deployment, config_map) = (Gvk::parse("apps/v1", "Deployment"), Gvk::parse("v1", "ConfigMap"));
    let rows: [(&str, Fault, &str, bool); 12] = [
        ("the list is rubbish", |p| of_index(p).then(|| Reply::Body(b"<html>canary</html>".into())), "malformed", false),
        ("the list is another document", |p| of_index(p).then(|| Reply::Body(b"{\"paths\": [1, 2]}".into())), "malformed", false),
        ("the list does not come", |p| of_index(p).then_some(Reply::Silence), "timeout", false),
        ("the list stops in its middle", |p| of_index(p).then(|| Reply::Stall(b"{\"paths\": {".to_vec())), "timeout", false),
        ("one is rubbish", |p| of_apps(p).then(|| Reply::Body(b"{\"components\": {\"schemas\": \"canary\"}}".into())), "", true),
        ("one is no JSON", |p| of_apps(p).then(|| Reply::Body(vec![0xff; 1000])), "", true),
        ("one is empty", |p| of_apps(p).then(|| Reply::Body(Vec::new())), "", true),
        ("one does not come", |p| of_apps(p).then_some(Reply::Silence), "", true),
        ("one stops in its middle", |p| of_apps(p).then(|| Reply::Stall(b"{\"components\": {".to_vec())), "", true),
        ("one never ends", |p| of_apps(p).then_some(Reply::Endless), "", true),
        ("one is a hundred thousand levels deep", |p| of_apps(p).then(|| Reply::Body("[".repeat(100_000).into_bytes())), "", true),
        (
            "one refers to itself",
            |p| {
                let schema = json!({"$ref": "#/components/schemas/a", "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}]});
                of_apps(p).then(|| Reply::Body(json!({"components": {"schemas": {"a": schema}}}).to_string().into_bytes()))
            },
            "-",
            true,
        ),
    ];
    for (what, fault, reason, others) in rows {
        proxied.fault(fault);
        let (live, took) = read(&proxied).await;
        assert_eq!((live.failure.as_ref(), live.objects.len() > 50), (None, true), "{what}: the objects are read all the same");
        assert!(took < Duration::from_secs(120), "{what}: {took:?}");
        let said = format!("{:?}", live.schemas.failure);
        assert!(!said.contains("canary"), "{what}: what came is not quoted: {said}");
        match reason {
            // It can be read, and says nothing of use.
            "-" => {}
            "" => assert!(said.contains("apps/v1") && said.contains("compiled in"), "{what}: {said}"),
            reason => {
                let failure = live.schemas.failure.as_ref().unwrap_or_else(|| panic!("{what}: no failure"));
                assert!(&*failure.reason == reason && failure.message.contains("compiled in"), "{what}: {failure:?}");
            }
        }
        assert_eq!(live.schemas.served(&config_map).is_some(), others, "{what}: the others serve");
        let known = live.schemas.served(&deployment).or_else(|| live.schemas.bundled(&deployment)).expect("a schema");
        assert!(
            known.default_of(&deployment, &["spec", "progressDeadlineSeconds"]).is_some() || reason == "-",
            "{what}: Deployments are still known"
        );
    }
}

/// The report, the most memory in MiB that the program ever had, and the time that it had of the processors: other work on the machine
/// does not count.
fn measured(home: &Path, args: &[&str]) -> (Value, u64, Duration) {
    let begun = Instant::now();
    let out = fs::File::create(home.join("out.json")).expect("a file");
    let mut child = program(home).args(args).stdout(out).stderr(Stdio::null()).spawn().expect("the program starts");
    let (status, times) = (format!("/proc/{}/status", child.id()), format!("/proc/{}/stat", child.id()));
    let (mut most, mut spent) = (0, Duration::ZERO);
    while child.try_wait().expect("it can be waited for").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = peak.unwrap_or(most).max(most);
        // After the name in brackets: state, then eleven numbers, then the hundredths of seconds in user and in system mode.
        let text = fs::read_to_string(&times).unwrap_or_default();
        let numbers = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = numbers.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        spent = spent.max(Duration::from_millis(ticks * 10));
        thread::sleep(Duration::from_millis(20));
        assert!(begun.elapsed() < Duration::from_secs(900), "it does not end");
    }
    let report = serde_json::from_slice(&fs::read(home.join("out.json")).expect("readable")).expect("a report");
    (report, most / 1024, spent)
}

/// A world of files: Git, and a dump of the cluster.
struct Files {
    folder: Folder,
    repo: Repo,
}

impl Files {
    fn new(git: &str, live: &[Value]) -> Self {
        let folder = Folder::new("snapgap-files-");
        let repo = Repo::new(folder.path(), "fleet");
        repo.commit("Declare it", &[("app/all.yaml", git)]);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u"}});
        let items: Vec<Value> = live.iter().cloned().chain([namespace]).collect();
        fs::write(folder.path().join("cluster.json"), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("written");
        Self { folder, repo }
    }

    fn report(&self) -> (Value, u64, Duration) {
        let (git, dump) = (format!("{}@main", self.repo.git_dir.display()), self.folder.path().join("cluster.json").display().to_string());
        let args = ["report", "-o", "json", "--all", "--git", &git, "--app", "big=app:directory,namespace=big", "--cluster-dump", &dump];
        measured(self.folder.path(), &args)
    }
}

const LEAVES: usize = 50_000;

#[test]
fn an_object_of_fifty_thousand_leaves_is_compared_in_bounded_time_and_memory() {
    // A keyed list of 1.5 MB with everything that makes comparing dear: long managedFields, lines, and every leaf another.
    let rules =
        |value: &str| -> Vec<Value> { (0..LEAVES / 2).map(|n| json!({"name": format!("n{n}"), "value": format!("{value}{n:030}")})).collect() };
    let pod = |env: Vec<Value>| json!({"containers": [{"name": "app", "image": "example.com/app:1", "env": env}]});
    let metadata = |managers: Value| json!({"name": "big", "namespace": "big", "managedFields": managers});
    let object = |value: &str, managers: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(managers), "spec": pod(rules(value))});
    let owned: serde_json::Map<String, Value> =
        (0..LEAVES / 2).map(|n| (format!("k:{{\"name\":\"n{n}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}}))).collect();
    let containers = json!({"k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}, "f:env": owned}});
    let entry = |manager: &str| json!({"manager": manager, "operation": "Update", "time": "2026-03-02T10:00:00Z", "fieldsV1": {"f:spec": {"f:containers": containers}}});
    let git = serde_yaml::to_string(&object("v", Value::Null)).expect("YAML");
    assert!(git.len() > 1_500_000, "{} bytes", git.len());
    let map = |value: &str| -> serde_json::Map<String, Value> { (0..LEAVES).map(|n| (format!("key-{n}"), format!("{value}{n}").into())).collect() };
    let widget =
        |value: &str, managers: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata(managers), "spec": map(value)});
    let owned: serde_json::Map<String, Value> = (0..LEAVES).map(|n| (format!("f:key-{n}"), json!({}))).collect();
    let by = json!([{"manager": "kubectl-edit", "operation": "Update", "time": "2026-03-02T10:00:00Z", "fieldsV1": {"f:spec": owned}}]);
    let keyed = |managers: &str| json!([entry(managers)]);
    let flat = serde_yaml::to_string(&widget("v", Value::Null)).expect("YAML");
    for (what, git, kind, live, told) in [
        ("a keyed list, the same", &git, "Pod", object("v", keyed("argocd-controller")), 0),
        ("a keyed list, all of it edited", &git, "Pod", object("w", keyed("kubectl-edit")), LEAVES / 2),
        ("a keyed list, all of it rewritten under the deployer's name", &git, "Pod", object("w", keyed("argocd-controller")), LEAVES / 2),
        ("a mapping, the same", &flat, "Widget", widget("v", by.clone()), 0),
        ("a mapping, all of it edited", &flat, "Widget", widget("w", by.clone()), LEAVES),
        (
            "a mapping, all of it added",
            &"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: big}\nspec: {a: b}\n".to_owned(),
            "Widget",
            widget("v", by),
            LEAVES + 1,
        ),
    ] {
        let (report, mebibytes, took) = Files::new(git, &[live]).report();
        let said = of(&report, "big", kind, "big");
        println!("{what}: {took:?}, {mebibytes} MiB");
        assert_eq!(said["fields"].as_array().map_or(0, Vec::len), told, "{what}: {}", said["why"]);
        // A debug build; a release build takes a tenth.
        assert!(took < Duration::from_secs(60) && mebibytes < 800, "{what}: {took:?}, {mebibytes} MiB");
        if told == LEAVES / 2 {
            let last = &said["fields"][told - 1];
            assert!(last["line"].as_u64().is_some_and(|l| l > 1_000) && last["owner"].is_string(), "{last}");
        }
    }
}

#[test]
fn an_object_as_large_as_the_server_takes_is_judged_without_its_bookkeeping() {
    crate::drift_objects::define("bulk.example.com", "v1", "Bulk", "bulks");
    let scene = Scene::new("bulk");
    let spec: serde_json::Map<String, Value> = (0..LEAVES).map(|n| (format!("key-{n}"), format!("v{n}").into())).collect();
    let mut object = json!({"apiVersion": "bulk.example.com/v1", "kind": "Bulk", "metadata": {"name": "bulk"}, "spec": spec});
    scene.declare("bulk.yaml", &serde_yaml::to_string(&object).expect("YAML"));
    let file = scene.files().join("bulk.json");
    fs::write(&file, object.to_string()).expect("written");
    scene.kubectl(&["create", "--validate=false", "-f", &file.display().to_string()]);
    fs::remove_file(&file).expect("removed");
    // The server drops managedFields where the object would be too large with them (etcd takes 1.5 MiB).
    let live: Value = serde_json::from_str(&scene.kubectl(&["get", "bulk", "bulk", "-o", "json", "--show-managed-fields"])).expect("JSON");
    assert!(live["metadata"]["managedFields"].as_array().is_none_or(Vec::is_empty), "{} bytes", live["metadata"]["managedFields"].to_string().len());
    let begun = Instant::now();
    let report = scene.report();
    let said = of(&report, "bulk", "Bulk", "bulk");
    println!("{} bytes: {:?}", live.to_string().len(), begun.elapsed());
    assert_eq!((said["drift"].as_str(), fields(&said)), (Some("in_sync"), vec![]), "{}", said["why"]);
    object["spec"]["key-49999"] = "other".into();
    object["spec"].as_object_mut().expect("a mapping").remove("key-0");
    scene.declare("bulk.yaml", &serde_yaml::to_string(&object).expect("YAML"));
    let report = scene.report();
    let said = of(&report, "bulk", "Bulk", "bulk");
    assert_eq!(fields(&said), ["changed spec.key-49999"], "what was added cannot be told without owners: {}", said["why"]);
    assert_eq!(notes(&report, "owners_unknown").len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(240), "{:?}", begun.elapsed());
}

/// A definition of one kind with this schema.
fn definition(kind: &str, schema: &Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let names = json!({"plural": plural, "kind": kind});
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]);
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.bad.example.com")},
        "spec": {"group": "bad.example.com", "names": names, "scope": "Namespaced", "versions": versions}})
}

#[test]
fn definitions_that_no_server_would_take_stop_nothing_and_hide_nothing() {
    let wide: serde_json::Map<String, Value> = (0..450_000).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
    let one = |field: Value| json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"k": field}}}});
    let kinds = [
        ("Circle", json!({"type": "object", "properties": {"spec": {"$ref": "#"}}})),
        ("Ring", one(json!({"$ref": "#/properties/spec"}))),
        ("Wide", json!({"type": "object", "properties": {"spec": {"type": "object", "properties": wide}}})),
        ("Wrong", json!({"type": 3, "properties": "all"})),
        ("Liar", one(json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [1, null, {}], "items": 7}))),
        ("Number", one(json!({"type": "number", "default": {"a": []}, "enum": 3, "format": 9}))),
        ("Nothing", Value::Null),
        ("Text", json!("a schema")),
    ];
    let object = |kind: &str, value: &str| json!({"apiVersion": "bad.example.com/v1", "kind": kind, "metadata": {"name": "o", "namespace": "big"}, "spec": {"k": value}});
    let git: Vec<String> = kinds.iter().map(|(kind, _)| serde_yaml::to_string(&object(kind, "git")).expect("YAML")).collect();
    let mut live: Vec<Value> = kinds.iter().map(|(kind, schema)| definition(kind, schema)).collect();
    live.extend(kinds.iter().map(|(kind, _)| object(kind, "live")));
    let (report, mebibytes, took) = Files::new(&git.join("---\n"), &live).report();
    println!("{took:?}, {mebibytes} MiB");
    assert!(took < Duration::from_secs(60) && mebibytes < 1_500, "{took:?}, {mebibytes} MiB");
    for (kind, _) in &kinds {
        let said = of(&report, "big", kind, "o");
        // Another value is told, or the object cannot be judged; it is never in sync.
        assert!(["changed", "unknown"].contains(&said["drift"].as_str().unwrap_or_default()), "{kind}: {said}");
    }
    let noted = notes(&report, "schema_unread").concat();
    for kind in ["Wrong", "Wide", "Text"] {
        assert!(noted.contains(&format!("{kind}.bad.example.com")), "{kind}: {noted}");
    }
    // Deeper than a reader goes: the dump is refused as a whole, with the place, and nothing is guessed.
    let files = Files::new("{apiVersion: bad.example.com/v1, kind: Deep, metadata: {name: o}}", &[definition("Deep", &json!("deep"))]);
    let deep = r#"{"type": "object", "properties": {"a": "#.repeat(5_000) + "3" + &"}}".repeat(5_000);
    let dump = files.folder.path().join("cluster.json");
    fs::write(&dump, fs::read_to_string(&dump).expect("readable").replace("\"deep\"", &deep)).expect("written");
    let (report, _, took) = files.report();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(of(&report, "big", "Deep", "o")["drift"], "unknown", "{}", report["as_of"]["cluster"]);
}

#[test]
fn managed_fields_that_are_rubbish_own_nothing_and_stop_nothing() {
    let nested = (0..90).fold(json!({}), |inner, _| json!({"f:a": inner}));
    let rubbish = [
        json!("text"),
        json!([1, null, "x", [], {}]),
        json!([{"manager": 3, "fieldsV1": []}]),
        json!([{"manager": "kubectl-edit", "operation": "Update", "time": "not a time", "fieldsV1": {"f:data": {"k:{": {}, "v:[": {}, "i:x": {}, "f:": {}}}}]),
        json!([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": nested}]),
        json!([{"manager": "\u{202e}\u{0}\n", "operation": "Apply", "apiVersion": "///", "fieldsV1": {"f:data": {"f:k": 3}}}]),
        Value::Array((0..20_000).map(|n| json!({"manager": format!("m{n}"), "operation": "Update", "fieldsV1": {"f:data": {"f:k": {}}}})).collect()),
    ];
    let name = |n: usize| format!("m{n}");
    let object = |n: usize, value: &str, managers: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(n), "namespace": "big", "managedFields": managers}, "data": {"k": value}});
    let git: Vec<String> = (0..rubbish.len()).map(|n| serde_yaml::to_string(&object(n, "git", &Value::Null)).expect("YAML")).collect();
    let live: Vec<Value> = rubbish.iter().enumerate().map(|(n, m)| object(n, "live", m)).collect();
    let (report, mebibytes, took) = Files::new(&git.join("---\n"), &live).report();
    assert!(took < Duration::from_secs(30) && mebibytes < 500, "{took:?}, {mebibytes} MiB");
    for n in 0..rubbish.len() {
        let said = of(&report, "big", "ConfigMap", &name(n));
        assert_eq!(said["drift"], "changed", "{n}: {said}");
        assert!(fields(&said)[0].contains(" data.k"), "{n}: {said}");
    }
}
