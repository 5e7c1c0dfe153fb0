//! Where a bucket of S3 stands, in the host or in the path of its endpoint, and in which region: against a server that knows both.

use std::fs;

use serde_json::{Value, json};
use snapgap::velero::{Names, archive::write::write_backup};

use crate::support::{
    cli::{Ran, program},
    program::Folder,
    velero::{ACCESS_KEY, BUCKET, DOMAIN, SECRET_KEY, Store},
};

/// The names below the server's domain lead to it by a proxy, as nobody's DNS knows them.
#[test]
fn a_bucket_is_looked_for_in_the_host_where_velero_looks_and_in_its_region() {
    let (store, folder) = (Store::start(), Folder::new("snapgap-store-hosts-"));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "b"}});
    let marker = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly-1", "namespace": "velero"},
        "spec": {"includedNamespaces": ["shop"]}, "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1,
            "startTimestamp": "2026-03-01T01:00:00Z", "completionTimestamp": "2026-03-01T01:01:00Z", "expiration": "2027-03-01T00:00:00Z"}});
    write_backup(&store.bucket(), &marker, std::slice::from_ref(&map), &Names::builtin()).expect("written");
    let inside = |name: &str| folder.path().join(name);
    fs::write(inside("cloud"), format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")).expect("written");
    let location = |config: Value| {
        json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": "velero"},
            "spec": {"provider": "aws", "objectStorage": {"bucket": BUCKET}, "config": config}, "status": {"phase": "Available"}})
    };
    let report_in = |name: &str, of_store: &str, location: Option<&Value>, environment: &[(&str, &str)]| {
        let items: Vec<&Value> = [&map].into_iter().chain(location).collect();
        fs::write(inside("cluster.json"), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("written");
        let text = format!("cluster: {{dump: cluster.json}}\nvelero: {{stores: [{{{of_store}}}]}}\ncache_dir: 'cache-{name}'\n");
        fs::write(inside("snapgap.yaml"), text).expect("written");
        let args = ["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--now", "2026-03-02T00:00:00Z"];
        let ran: Ran =
            program(folder.path()).args(args).env("HTTP_PROXY", store.url()).envs(environment.iter().copied()).output().expect("it starts").into();
        let said = ran.json();
        let held = said["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "settings").expect("listed")["recovery"].clone();
        (held, said["as_of"]["backups"]["failure"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let report = |name: &str, of_store: &str, location| report_in(name, &format!("credentials_file: cloud, {of_store}"), location, &[]);
    let here = |rest: &str| format!("provider: aws, bucket: {BUCKET}, url: 'http://{DOMAIN}', {rest}");
    let read = (json!("backup"), String::new());
    assert_eq!(report("hosted", &here("region: us-east-1, path_style: false"), None), read);
    let of_velero = location(json!({"region": "us-east-1", "s3Url": format!("http://{DOMAIN}")}));
    assert_eq!(report("located", "location: default", Some(&of_velero)), read);
    // The name in the host alone is no bucket, so a path in its place is one that leads elsewhere.
    let (held, failure) = report("wrong", &here("region: us-east-1, path_style: false").replace(BUCKET, "nowhere"), None);
    assert_eq!((held, failure.as_str()), (json!("unknown"), "s3://nowhere: the bucket is not there"));
    let (held, failure) = report("region", &format!("provider: aws, bucket: {BUCKET}, url: '{}', region: eu-central-1", store.url()), None);
    assert_eq!((held, failure.as_str()), (json!("unknown"), "s3://velero: the bucket is in another region; give `region`"));
    // By the environment, which may bring credentials and a region and not lead elsewhere.
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let elsewhere = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")];
    assert_eq!(report_in("environment", &here("path_style: false"), None, &[&keys[..], &elsewhere].concat()), read);
    let (_, failure) = report_in("other-region", &here("path_style: false"), None, &[&keys[..], &[("AWS_REGION", "eu-central-1")]].concat());
    assert!(failure.contains("in another region"), "{failure}");
}
