//! The real listener over TCP: routes, token, TLS, headers, limits, poll, reload, hostile names, stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use snapgap::{
    build_info::BuildInfo,
    config,
    daemon::board::{Stage, StageBoard},
    http::{Limits, PollRequest, Published, ReloadRequest, Server, State, latest},
    metrics::{Counters, Exposition},
    report::{
        Report,
        evidence::{Diff, Evidence, Fact},
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const DOCUMENT: &str = include_str!("../data/http/report.json");
const SCRIPT: &str = "<script>alert(1)</script>";

fn report() -> Report {
    serde_json::from_str(DOCUMENT).unwrap()
}

pub fn web() -> config::Web {
    config::Web { listen: ([127, 0, 0, 1], 0).into(), token_file: None, tls: None, enable_lifecycle: false }
}

fn published() -> Option<Arc<Published>> {
    let explain = |id: &snapgap::object::ObjectId| {
        let diff = |title: &str, text: &str| Diff { title: title.into(), text: text.into() };
        Some(Evidence {
            facts: vec![Fact { label: "Object".into(), value: format!("{id} {SCRIPT}") }],
            diffs: vec![diff("Git against cluster", "-a\n+<script>b</script>\n"), diff("Git against backup", ""), diff("Cluster against backup", "")],
            notes: vec![],
        })
    };
    Some(Arc::new(Published { report: Arc::new(report()), explain: Arc::new(explain) }))
}

pub struct World {
    pub address: SocketAddr,
    client: Client,
    report: watch::Sender<Option<Arc<Published>>>,
    polls: mpsc::Receiver<PollRequest>,
    reloads: Option<mpsc::Receiver<ReloadRequest>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    async fn new(web: config::Web) -> Self {
        Self::with(web, Limits::default()).await
    }

    async fn with(web: config::Web, limits: Limits) -> Self {
        // A provider is chosen once a process; the second time it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sender, receiver) = watch::channel(None);
        let (poll, polls) = mpsc::channel(4);
        let (reload, reloads) = mpsc::channel(4);
        let counters = Arc::new(Counters::new().unwrap());
        let board = StageBoard::new();
        board.started(&Stage::Cluster, report().now);
        let bounds = config::Metrics { max_object_series: 500, max_namespaces: 200, max_schedules: 100 };
        let metrics = Exposition::new(BuildInfo::current(), counters.clone(), board.clone(), latest(receiver.clone(), move || bounds)).unwrap();
        counters.config_loaded(true, report().now);
        let clock = || "2026-11-23T14:12:00Z".parse().unwrap();
        let state = State { report: receiver, poll, reload, web, board, counters, metrics: Arc::new(metrics), clock };
        let server = Server::bind(state).await.unwrap().with_limits(limits);
        let (address, stop) = (server.address(), CancellationToken::new());
        let task = tokio::spawn(server.serve(stop.clone()));
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { address, client, report: sender, polls, reloads: Some(reloads), stop, task }
    }

    /// A world with a report.
    pub async fn ready(web: config::Web) -> Self {
        let world = Self::new(web).await;
        world.report.send(published()).unwrap();
        world
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Sends bytes as they are and reads until the other end closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The other end may close while we are still sending; what it said is what counts.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

async fn refused(response: Response, status: u16, reason: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    let document: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(document["error"]["reason"], reason, "{document}");
    assert!(document["error"]["message"].as_str().is_some_and(|m| m.len() > 10));
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_report_probes_differ_and_nothing_is_made_up() {
    let world = World::new(web()).await;
    assert_eq!(world.get("/livez").await.status(), StatusCode::OK);
    assert_eq!(world.get("/healthz").await.status(), StatusCode::OK);
    let ready = world.get("/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.text().await.unwrap(), "not ready: there is no report yet (waiting for cluster)\n");
    refused(world.get("/api/v1/report").await, 503, "not_ready").await;
    let page = world.text("/").await;
    assert!(page.contains("first report is being made") && page.contains("cluster"), "{page}");
    assert_eq!(world.json("/api/v1/status").await["report"], Value::Null);
    assert!(!world.text("/metrics").await.contains("snapgap_recovery_objects"));
    world.report.send(published()).unwrap();
    assert_eq!(world.text("/readyz").await, "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_with_its_type_and_the_security_headers() {
    let world = World::ready(web()).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/objects/view?group=apps&kind=Deployment&namespace=shop&name=cart", "text/html; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/api/v1/report", "application/json"),
        ("/api/v1/objects", "application/json"),
        ("/api/v1/object?kind=Deployment&namespace=shop&name=cart", "application/json"),
        ("/api/v1/apps", "application/json"),
        ("/api/v1/backups", "application/json"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/schema", "application/json"),
        ("/nowhere", "application/json"),
    ] {
        let response = world.get(path).await;
        assert_eq!(response.status() == StatusCode::OK, path != "/nowhere", "{path}");
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!(header("content-type"), kind, "{path}");
        assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"), "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("set-cookie"), "");
    }
    refused(world.ask(Method::DELETE, "/").send().await.unwrap(), 405, "wrong_method").await;
    refused(world.ask(Method::GET, "/-/poll").send().await.unwrap(), 405, "wrong_method").await;
    let page = world.ask(Method::GET, "/nowhere").header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.text().await.unwrap().contains("Not found"));
    let metrics = world.text("/metrics").await;
    assert!(metrics.contains("snapgap_http_requests_total{code=\"404\",handler=\"other\"} 2"), "paths are no label values");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_gives_the_report_its_parts_and_pages_of_objects() {
    let world = World::ready(web()).await;
    let whole = report();
    let all: Report = serde_json::from_value(world.json("/api/v1/report?all=true").await).unwrap();
    assert_eq!(all, whole);
    let findings: Report = serde_json::from_value(world.json("/api/v1/report").await).unwrap();
    assert!(findings.objects.len() < whole.objects.len() && findings.objects.iter().all(|o| o.is_finding()));
    assert_eq!(findings.summary, whole.summary, "the counts cover clean objects too");

    let names = |answer: &Value| answer["objects"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let once = names(&world.json("/api/v1/objects?all=true").await);
    assert_eq!(once.len(), whole.objects.len());
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let answer = world.json(&format!("/api/v1/objects?all=true&limit=7&continue={token}")).await;
        assert_eq!(answer["total"], whole.objects.len());
        paged.extend(names(&answer));
        match answer["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, once);
    for (query, wanted) in [
        ("app=ledger", &["ledger-metrics", "ledger-api"][..]),
        ("namespace=ledger&recovery=backup_stale", &["exchange-rates"]),
        ("drift=missing,removed", &["ledger-metrics", "cart-legacy"]),
        ("kind=Deployment.apps&namespace=shop&all=true", &["cart", "web"]),
        ("kind=ReplicaSet&recovery=derived", &["web-7d9f"]),
        ("layer=platform&recovery=git", &["grafana"]),
        ("name=cart", &["cart"]),
        ("name=web", &[]),
    ] {
        assert_eq!(names(&world.json(&format!("/api/v1/objects?{query}")).await), wanted, "{query}");
    }
    for bad in ["drift=purple", "limit=0", "limit=5001", "limit=x", "continue=%2A%2A", "unknown=1", "app=a&app=b"] {
        refused(world.get(&format!("/api/v1/objects?{bad}")).await, 400, "bad_request").await;
    }
    let one = world.json("/api/v1/object?group=apps&kind=Deployment&namespace=ledger&name=ledger-api").await;
    assert_eq!((one["object"]["drift"].as_str(), one["evidence"]["diffs"].as_array().map(Vec::len)), (Some("changed"), Some(3)));
    refused(world.get("/api/v1/object?kind=Deployment&namespace=ledger&name=none").await, 404, "no_such_object").await;
    refused(world.get("/api/v1/object?kind=Deployment").await, 400, "bad_request").await;
    assert_eq!(world.json("/api/v1/apps").await["apps"].as_array().map(Vec::len), Some(whole.apps.len()));
    let all = world.json("/api/v1/backups").await;
    assert_eq!(all["schedules"].as_array().map(Vec::len), Some(whole.schedules.len()));
    assert_eq!((all["backups"].as_array().map(Vec::len), all["restores"].as_array().map(Vec::len)), (Some(whole.backups.len()), Some(2)));
    let names = |answer: &Value, list: &str| -> Vec<String> {
        answer[list].as_array().unwrap().iter().map(|one| one["name"].as_str().or(one["backup"].as_str()).unwrap().to_owned()).collect()
    };
    let newest = "daily-20261123020000";
    let one = world.json(&format!("/api/v1/backups?backup={newest}")).await;
    assert_eq!(
        (names(&one, "backups"), names(&one, "disagreements"), names(&one, "schedules")),
        (vec![newest.into()], vec![newest.into()], vec!["daily".into()])
    );
    assert_eq!(names(&one, "restores").len(), 2, "what was restored of it");
    let weekly = world.json("/api/v1/backups?schedule=weekly").await;
    assert_eq!((names(&weekly, "backups").len(), names(&weekly, "schedules"), names(&weekly, "restores").len()), (1, vec!["weekly".into()], 0));
    assert_eq!(names(&world.json("/api/v1/backups?backup=none").await, "backups").len(), 0);
    refused(world.get("/api/v1/backups?bakup=x").await, 400, "bad_request").await;
    assert_eq!(world.json("/api/v1/status").await["stages"][0]["stage"], "cluster");
    assert_eq!(world.json("/api/v1/schema").await["title"], "snapgap.report/v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_text_and_every_link_of_the_page_leads_somewhere() {
    let world = World::ready(web()).await;
    let page = world.text("/").await;
    let links: Vec<String> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(|href| href.replace("&#38;", "&")).collect();
    assert!(links.len() > 40);
    for link in links.iter().filter(|link| link.starts_with('/')) {
        let response = world.get(link).await;
        assert_eq!(response.status(), StatusCode::OK, "{link}");
        if link.starts_with("/objects/") || link.starts_with("/?") {
            let html = response.text().await.unwrap();
            assert!(!html.to_lowercase().contains("<script"), "{link}");
        }
    }
    let evidence = world.text("/objects/view?group=&kind=ConfigMap&namespace=shop&name=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(evidence.contains("&#60;script&#62;alert(1)&#60;/script&#62;") && evidence.contains("Cluster against backup"));
    for hostile in
        ["/?app=%3Cscript%3E", "/?namespace=%22%3E%3Cscript%3E", "/?%3Cscript%3E=1", "/objects/view?kind=%3Cscript%3E&name=x", "/%3Cscript%3E"]
    {
        let html = world.ask(Method::GET, hostile).header("accept", "text/html").send().await.unwrap().text().await.unwrap();
        assert!(html.contains("<main") && !html.to_lowercase().contains("<script"), "{hostile}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_asked_for_everywhere_but_at_the_probes_and_may_be_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary-1\n").unwrap();
    let world = World::ready(config::Web { token_file: Some(file.clone()), enable_lifecycle: true, ..web() }).await;
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(world.get(path).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/", "/metrics", "/api/v1/report", "/api/v1/status", "/objects/view?kind=a&name=b", "/icon.svg", "/nowhere"] {
        let response = world.get(path).await;
        let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert!(challenges.len() == 2 && challenges[0].starts_with("Bearer") && challenges[1].starts_with("Basic"), "{path}");
        refused(response, 401, "no_token").await;
    }
    refused(world.ask(Method::POST, "/-/reload").send().await.unwrap(), 401, "no_token").await;
    let bearer = async |token: &str| world.ask(Method::GET, "/api/v1/status").bearer_auth(token).send().await.unwrap();
    assert_eq!(bearer("canary-1").await.status(), StatusCode::OK);
    let basic = world.ask(Method::GET, "/").basic_auth("anyone", Some("canary-1")).send().await.unwrap();
    assert_eq!(basic.status(), StatusCode::OK);
    let wrong = refused(bearer("canary-2").await, 401, "wrong_token").await;
    assert!(!wrong.to_string().contains("canary"));
    std::fs::write(&file, "canary-2").unwrap();
    assert_eq!((bearer("canary-2").await.status(), bearer("canary-1").await.status()), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    for broken in ["", " \n"] {
        std::fs::write(&file, broken).unwrap();
        refused(bearer("").await, 503, "token_unreadable").await;
    }
    std::fs::remove_file(&file).unwrap();
    refused(bearer("canary-2").await, 503, "token_unreadable").await;
}

fn certificate(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    made.cert.pem().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_follows_its_files_and_a_broken_rotation_leaves_the_last_good_pair() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let first = certificate(folder.path());
    let world = World::ready(config::Web { tls: Some((certificate_file, key_file.clone())), ..web() }).await;
    let port = world.address.port();
    let trusts = async |pem: Vec<u8>| {
        let root = reqwest::Certificate::from_pem(&pem).unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
        client.get(format!("https://localhost:{port}/readyz")).send().await.is_ok_and(|r| r.status() == StatusCode::OK)
    };
    assert!(trusts(first.clone()).await);
    assert!(world.ask(Method::GET, "/livez").send().await.is_err(), "no plain answers on a TLS port");
    let second = certificate(folder.path());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(trusts(second.clone()).await && !trusts(first).await);
    std::fs::write(&key_file, "no key").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(trusts(second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_passed_on_checked_and_rate_limited() {
    let mut world = World::ready(web()).await;
    let poll = async |world: &World, query: &str| {
        world.ask(Method::POST, &format!("/-/poll{query}")).body("{\"ref\":\"refs/heads/main\"}").send().await.unwrap()
    };
    assert_eq!(poll(&world, "?source=fleet").await.status(), StatusCode::ACCEPTED);
    assert_eq!(world.polls.recv().await.unwrap().unwrap().0.as_ref(), "fleet");
    assert_eq!(poll(&world, "").await.status(), StatusCode::ACCEPTED);
    assert_eq!(world.polls.recv().await.unwrap(), None);
    refused(poll(&world, "?source=none").await, 404, "no_such_source").await;
    refused(poll(&world, "?sauce=fleet").await, 400, "bad_request").await;
    let cross = world.ask(Method::POST, "/-/poll").header("sec-fetch-site", "cross-site").send().await.unwrap();
    refused(cross, 403, "cross_site").await;
    // The channel holds 4: more are accepted, since a poll is asked for already, until the rate limit says no.
    let mut last = None;
    for _ in 0..20 {
        let response = poll(&world, "").await;
        match response.status() {
            StatusCode::ACCEPTED => {}
            StatusCode::TOO_MANY_REQUESTS => {
                last = Some(response);
                break;
            }
            other => panic!("{other}"),
        }
    }
    let last = last.expect("20 polls at once are too many");
    assert_eq!(last.headers()["retry-after"], "1");
    refused(last, 429, "too_many_polls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_must_be_allowed_and_tells_how_it_ended() {
    let world = World::ready(web()).await;
    refused(world.ask(Method::POST, "/-/reload").send().await.unwrap(), 403, "lifecycle_disabled").await;
    let mut world = World::ready(config::Web { enable_lifecycle: true, ..web() }).await;
    let mut reloads = world.reloads.take().unwrap();
    tokio::spawn(async move {
        reloads.recv().await.unwrap().send(Ok(())).unwrap();
        reloads.recv().await.unwrap().send(Err("snapgap.yaml line 3: unknown key `sorces`".into())).unwrap();
    });
    assert_eq!(world.ask(Method::POST, "/-/reload").send().await.unwrap().status(), StatusCode::OK);
    let error = refused(world.ask(Method::PUT, "/-/reload").send().await.unwrap(), 422, "reload_failed").await;
    assert!(error.to_string().contains("line 3"));
    refused(world.ask(Method::POST, "/-/reload").send().await.unwrap(), 503, "stopping").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_too_slow_or_not_meant_for_us_is_refused() {
    let limits = Limits { head: Duration::from_millis(400), ..Limits::default() };
    let world = World::with(web(), limits).await;
    world.report.send(published()).unwrap();
    let large = world.ask(Method::POST, "/-/poll").body(vec![b'x'; 1024 * 1024 + 1]).send().await.unwrap();
    refused(large, 413, "too_large").await;
    let host = world.ask(Method::GET, "/api/v1/report").header("host", "evil.example.com").send().await.unwrap();
    refused(host, 421, "foreign_host").await;
    let answer = world.raw(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(world.raw(b"\x16\x03\x01 nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let began = Instant::now();
    let slow = world.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    assert!(!slow.contains(" 200 ") && began.elapsed() < Duration::from_secs(15), "an unfinished head is not waited for: {slow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_cap_wait_and_are_served_when_one_ends() {
    let limits = Limits { connections: 2, head: Duration::from_millis(800), ..Limits::default() };
    let world = World::with(web(), limits).await;
    let _idle: Vec<_> = (0..2).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert_eq!(world.get("/livez").await.status(), StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_millis(300), "it waited for an idle one to be closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_connections_at_once_and_a_stuck_one_after_the_grace() {
    let world = World::with(web(), Limits { grace: Duration::from_millis(600), ..Limits::default() }).await;
    assert_eq!(world.get("/livez").await.status(), StatusCode::OK);
    let began = Instant::now();
    world.stop.cancel();
    world.task.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(550), "an idle connection held up the stop");
    assert!(TcpStream::connect(world.address).is_err());

    let world = World::with(config::Web { enable_lifecycle: true, ..web() }, Limits { grace: Duration::from_millis(600), ..Limits::default() }).await;
    // Nobody answers this reload.
    let stuck = tokio::spawn(world.ask(Method::POST, "/-/reload").send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    world.stop.cancel();
    world.task.await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(500) && began.elapsed() < Duration::from_secs(10));
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_at_the_start() {
    let world = World::new(web()).await;
    let state = |web: config::Web| {
        let counters = Arc::new(Counters::new().unwrap());
        let (_, receiver) = watch::channel(None);
        let bounds = config::Metrics { max_object_series: 0, max_namespaces: 0, max_schedules: 0 };
        let metrics = Exposition::new(BuildInfo::current(), counters.clone(), StageBoard::new(), latest(receiver.clone(), move || bounds)).unwrap();
        let (poll, reload) = (mpsc::channel(1).0, mpsc::channel(1).0);
        State { report: receiver, poll, reload, web, board: StageBoard::new(), counters, metrics: Arc::new(metrics), clock: jiff::Timestamp::now }
    };
    let taken = Server::bind(state(config::Web { listen: world.address, ..web() })).await.err().unwrap();
    assert_eq!(taken.kind(), "port_in_use");
    assert!(taken.to_string().contains(&format!("port {} is in use", world.address.port())), "{taken}");
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let (crt, key, none) = (folder.path().join("tls.crt"), folder.path().join("tls.key"), folder.path().join("none"));
    for (tls, token, kind, says) in [
        (None, Some(none.clone()), "token_unusable", "cannot read the token file"),
        (Some((crt.clone(), none.clone())), None, "tls_unusable", "cannot read"),
        (Some((crt.clone(), crt.clone())), None, "tls_unusable", "holds no PEM private key"),
        (Some((key.clone(), key)), None, "tls_unusable", "holds no certificate"),
    ] {
        let error = Server::bind(state(config::Web { tls, token_file: token, ..web() })).await.err().unwrap();
        assert!(error.kind() == kind && error.to_string().contains(says), "{error}");
    }
    let far = Server::bind(state(config::Web { listen: ([192, 0, 2, 1], 0).into(), ..web() })).await.err().unwrap();
    assert_eq!(far.kind(), "bind_failed");
}
