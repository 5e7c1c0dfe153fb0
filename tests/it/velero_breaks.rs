//! Reading from a store that breaks off, that is replaced meanwhile or that is not whole yet, against a real S3 server.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;
use object_store::{
    ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder},
    signer::Signer as _,
};
use serde_json::{Value, json};
use snapgap::{
    config,
    velero::{
        Names,
        archive::write::write_archive,
        store::{
            Bucket, Coordinates, StoreError,
            feed::{self, Feed, Open},
            signed::{self, SignedUrl},
        },
    },
};

use crate::support::{
    cli::snapgap,
    gate::Gate,
    velero::{ACCESS_KEY, BUCKET, SECRET_KEY, Store},
};

/// A client of one's own of the S3 server, at some port.
fn client(port: u16) -> AmazonS3 {
    snapgap::tls::install();
    AmazonS3Builder::new()
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_allow_http(true)
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .build()
        .expect("a client")
}

/// Twenty-four megabytes, more than all buffers between a server and us hold, of which no part is like another.
fn large() -> Vec<u8> {
    (0..3_000_000u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

/// Reads a file whose connection breaks after its first megabyte, with something done before it can be taken up: what was read, and the verdict.
async fn broken(file: Arc<dyn Open>, gate: &Gate, between: impl AsyncFnOnce()) -> (std::io::Result<Vec<u8>>, Option<StoreError>) {
    broken_after(Duration::ZERO, file, gate, between).await
}

/// The same, with a pause before the break.
async fn broken_after(
    pause: Duration,
    file: Arc<dyn Open>,
    gate: &Gate,
    between: impl AsyncFnOnce(),
) -> (std::io::Result<Vec<u8>>, Option<StoreError>) {
    let (mut feed, verdict) = Feed::start(file, Duration::from_secs(120));
    let begin = tokio::task::spawn_blocking(move || {
        let mut all = vec![0; 1 << 20];
        feed.read_exact(&mut all).map(|()| (feed, all))
    });
    let (mut feed, mut all) = begin.await.expect("no panic").expect("it begins");
    tokio::time::sleep(pause).await;
    gate.close();
    between().await;
    gate.open();
    let rest = tokio::task::spawn_blocking(move || feed.read_to_end(&mut all).map(|_| all)).await.expect("no panic");
    (rest, verdict.error())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_taken_up_by_a_range_request_for_the_same_content() {
    let store = Store::start();
    let uploads = client(store.port);
    let put = async |name: &str, bytes: &[u8]| {
        let path = format!("backups/big/{name}");
        uploads.put(&path.as_str().into(), bytes.to_vec().into()).await.expect("uploaded");
    };
    let content = large();
    put("big.tar.gz", &content).await;
    put("velero-backup.json", b"{}").await;
    let gate = Gate::before(store.port).await;
    let settings = config::Store {
        provider: Some(config::Provider::Aws),
        bucket: Some(BUCKET.into()),
        url: Some(format!("http://127.0.0.1:{}", gate.port)),
        path_style: Some(true),
        ..config::Store::default()
    };
    let at = Coordinates::of(&settings, None).expect("complete");
    let keys = format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n");
    let bucket = Bucket::open(&at, Some(&keys), None).expect("opens");
    let listed = bucket.list().await.expect("listed");
    let file = bucket.archive("big", listed["big"].archive("big").expect("there")).expect("a file");
    let (read, error) = broken(file.clone(), &gate, async || {}).await;
    assert!(read.expect("whole") == content && error.is_none(), "every byte, once");
    let (read, error) = broken(file, &gate, async || put("big.tar.gz", &vec![1; content.len()]).await).await;
    assert_eq!((read.is_err(), error.map(|e| e.kind())), (true, Some("store_replaced")), "not half of one content and half of another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_is_taken_up_where_it_broke_for_the_same_content_and_for_as_long_as_it_holds() {
    let store = Store::start();
    let uploads = client(store.port);
    let path = "backups/big/big.tar.gz".into();
    let put = async |bytes: Vec<u8>| drop(uploads.put(&path, bytes.into()).await.expect("uploaded"));
    let content = large();
    put(content.clone()).await;
    // What is signed is an address at the gate: the signature covers the host.
    let gate = Gate::before(store.port).await;
    let signer = client(gate.port);
    let sign = async |seconds| {
        let address = signer.signed_url(Method::GET, &path, Duration::from_secs(seconds)).await.expect("signed").to_string();
        signed::file(SignedUrl::new(address), "big.tar.gz", &[]).expect("a file")
    };
    let (read, error) = broken(sign(600).await, &gate, async || {}).await;
    assert!(read.expect("whole") == content && error.is_none(), "every byte, once");
    // In its place lies another content of the same size.
    let other: Vec<u8> = content.iter().map(|b| !b).collect();
    let (read, error) = broken(sign(600).await, &gate, async || put(other).await).await;
    assert_eq!((read.is_err(), error.map(|e| e.kind())), (true, Some("store_replaced")), "not half of one content and half of another");
    let (read, error) = broken(sign(600).await, &gate, async || uploads.delete(&path).await.expect("deleted")).await;
    assert_eq!((read.is_err(), error.map(|e| e.kind())), (true, Some("download_missing")));
    // The address expires while the connection is away; the last try comes 3.75 s after the break. It holds long enough for a slow start.
    put(content).await;
    let away = async || tokio::time::sleep(Duration::from_millis(2500)).await;
    let (read, error) = broken_after(Duration::from_millis(5500), sign(8).await, &gate, away).await;
    let error = error.expect("refused");
    assert_eq!((read.is_err(), error.kind()), (true, "download_expired"), "{error}");
    assert!(!format!("{error} {error:?}").contains("X-Amz"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_that_expired_or_is_refused_says_so_and_shows_nothing_of_itself() {
    let store = Store::start();
    let server = client(store.port);
    let path = "backups/b/b.tar.gz".into();
    server.put(&path, b"content".to_vec().into()).await.expect("uploaded");
    let sign = async |seconds| server.signed_url(Method::GET, &path, Duration::from_secs(seconds)).await.expect("signed").to_string();
    let fetch = async |address: String| {
        let file = signed::file(SignedUrl::new(address), "b.tar.gz", &[]).expect("a file");
        feed::whole(&*file, "b.tar.gz", 1 << 20).await
    };
    assert_eq!(fetch(sign(60).await).await.expect("it holds"), b"content");
    let short = sign(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tampered = sign(60).await.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    let nothing = server.signed_url(Method::GET, &"backups/b/other".into(), Duration::from_secs(60)).await.expect("signed").to_string();
    for (address, kind) in [(short, "download_expired"), (tampered, "download_refused"), (nothing, "download_missing")] {
        let error = fetch(address).await.expect_err("refused");
        let told = format!("{error} {error:?}");
        println!("{kind}: {error}");
        assert_eq!(error.kind(), kind, "{told}");
        assert!(!told.contains("X-Amz") && !told.contains(ACCESS_KEY), "{told}");
    }
}

/// A world without a cluster that runs: a dump with Velero's Backup, and the store.
fn world(folder: &Path, store: &Store, backup: &Value) {
    let location = json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": "velero"},
        "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": BUCKET},
            "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": store.url()}}, "status": {"phase": "Available"}});
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name}, "status": {"phase": "Active"}});
    let dump = json!({"apiVersion": "v1", "kind": "List", "items": [namespace("kube-system"), namespace("shop"), location, backup]});
    fs::write(folder.join("dump.json"), dump.to_string()).expect("written");
    fs::write(folder.join("cloud"), format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n")).expect("written");
    let text = "cluster: {dump: dump.json}\ncache_dir: cache\nvelero: {stores: [{location: default, credentials_file: cloud}]}\n";
    fs::write(folder.join("snapgap.yaml"), text).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_its_backup_object_is_still_being_uploaded_and_is_not_read() {
    let store = Store::start();
    let uploads = client(store.port);
    let put = async |name: &str, bytes: Vec<u8>| {
        let path = format!("backups/late/{name}");
        uploads.put(&path.as_str().into(), bytes.into()).await.expect("uploaded");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"k": "v"}});
    let mut archive = Vec::new();
    write_archive(&mut archive, [&map], &Names::builtin(), Timestamp::now()).expect("written");
    let hour = |n: i64| (Timestamp::now() + jiff::SignedDuration::from_hours(n)).to_string();
    let backup = |phase: &str| {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "late", "namespace": "velero", "uid": "late", "creationTimestamp": hour(-2)},
            "spec": {"storageLocation": "default", "includedNamespaces": ["*"]},
            "status": {"phase": phase, "startTimestamp": hour(-2), "expiration": hour(48)}})
    };
    let ended = || {
        let mut ended = backup("Completed");
        ended["status"]["completionTimestamp"] = hour(-1).into();
        ended
    };
    let report = || snapgap(folder.path(), &["report", "-o", "json", "--all", "-f", "snapgap.yaml"]).json();
    let told = |report: &Value| {
        let of = |b: &Value| (b["state"].as_str().unwrap_or_default().to_owned(), b["unread"]["reason"].as_str().unwrap_or("read").to_owned());
        report["backups"].as_array().expect("backups").iter().map(of).collect::<Vec<_>>()
    };
    let holds = |report: &Value| report["objects"].as_array().expect("objects").iter().any(|o| o["name"] == "settings");
    // Velero uploads the archive first and its Backup object last: the archive lies there while the backup still runs.
    put("late.tar.gz", archive.clone()).await;
    world(folder.path(), &store, &backup("InProgress"));
    let running = report();
    assert_eq!(told(&running), [("pending".into(), "content_unread".into())], "{}", running["backups"]);
    assert!(!holds(&running), "nothing of a backup that is not whole is used");
    // Nobody in the cluster speaks of it: it is no backup.
    world(folder.path(), &store, &map);
    assert_eq!(told(&report()), []);
    // The cluster says that it ended, and its Backup object is not there: Velero itself takes it for gone (ListBackups asks for that object).
    world(folder.path(), &store, &ended());
    assert_eq!(told(&report()), [("invalid".into(), "data_gone".into())]);
    // The object came: the next look reads it.
    put("velero-backup.json", ended().to_string().into_bytes()).await;
    let whole = report();
    assert_eq!(told(&whole), [("restorable".into(), "read".into())], "{}", whole["backups"]);
    assert!(holds(&whole));
}
