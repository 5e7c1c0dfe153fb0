//! A bucket behind TLS with a certificate of an own authority, as MinIO in a cluster mostly has: `ca_file`, or `caCert` of the location.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use snapgap::velero::{Names, archive::write::write_backup};

use crate::support::{
    authority::Authority,
    cli::snapgap,
    program::Folder,
    velero::{ACCESS_KEY, BUCKET, SECRET_KEY, Store},
};

/// A backup of one ConfigMap, as it lies in the bucket.
fn fill(store: &Store) {
    let marker = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly-1", "namespace": "velero"}, "spec": {"includedNamespaces": ["shop"]},
        "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1, "startTimestamp": "2026-03-01T01:00:00Z",
            "completionTimestamp": "2026-03-01T01:01:00Z", "expiration": "2027-03-01T00:00:00Z"}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "b"}});
    write_backup(&store.bucket(), &marker, &[map], &Names::builtin()).expect("written");
}

#[test]
fn a_bucket_behind_an_own_authority_is_read_if_that_is_named_and_refused_if_not() {
    let (store, folder) = (Store::start_tls(), Folder::new("snapgap-store-tls-"));
    fill(&store);
    let inside = |name: &str| folder.path().join(name).display().to_string();
    fs::write(inside("cloud"), format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")).expect("written");
    fs::write(inside("other.pem"), Authority::new().pem()).expect("written");
    let location = |ca: &str| {
        json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": "velero"},
            "spec": {"provider": "aws", "objectStorage": {"bucket": BUCKET, "caCert": STANDARD.encode(ca)},
                "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": store.url()}},
            "status": {"phase": "Available"}})
    };
    let report = |name: &str, of_store: &str, location: Option<Value>| {
        let mut items =
            vec![json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "b"}})];
        items.extend(location);
        fs::write(inside("cluster.json"), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("written");
        let text =
            format!("cluster: {{dump: cluster.json}}\nvelero: {{stores: [{{credentials_file: cloud, {of_store}}}]}}\ncache_dir: 'cache-{name}'\n");
        fs::write(inside("snapgap.yaml"), text).expect("written");
        let said = snapgap(folder.path(), &["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--now", "2026-03-02T00:00:00Z"]).json();
        let held = said["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "settings").expect("listed")["recovery"].clone();
        (held, said["as_of"]["backups"]["failure"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let here = format!("provider: aws, bucket: {BUCKET}, region: us-east-1, url: '{}', path_style: true", store.url());
    let good = store.ca_file().display().to_string();
    let ca = fs::read_to_string(store.ca_file()).expect("readable");
    assert_eq!(report("named", &format!("{here}, ca_file: '{good}'"), None), (json!("backup"), String::new()));
    assert_eq!(report("located", "location: default", Some(location(&ca))), (json!("backup"), String::new()));
    for (name, of_store, location) in [
        ("unknown", here.clone(), None),
        ("other", format!("{here}, ca_file: other.pem"), None),
        // What the other store holds may be newer.
        ("beside", format!("{here}, ca_file: '{good}'}}, {{credentials_file: cloud, prefix: elsewhere, {here}, ca_file: other.pem"), None),
        ("located-other", "location: default".to_owned(), Some(location(&Authority::new().pem()))),
    ] {
        let (held, failure) = report(name, &of_store, location);
        assert_eq!(held, "unknown", "{name}: {failure}");
        assert!(failure.contains("TLS failed") && failure.contains("ca_file"), "{name}: {failure}");
    }
}
