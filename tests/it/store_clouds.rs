//! Backups in Google's and Azure's storage: what Velero's own plugin wrote to one, and a copy in the other, read as from S3.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use snapgap::{
    object::ObjectId,
    velero::{Names, archive::write::write_backup},
    witness::{BackedUp, BackupContent, BackupState, Live, Side, ToldBy},
};

use crate::{
    support::{
        cli::{Ran, program},
        clouds::{ACCOUNT_KEY, Cloud, Kind},
        control_plane::{ControlPlane, Options as Plane},
        daemon::{Daemon, Setting},
        program::{Folder, eventually},
        velero::{ACCESS_KEY, Options, PATIENCE, SECRET_KEY, Store, Velero},
    },
    velero_stores::{CANARY, LOUD, backup, holds_what_is_served, live, load, look, made_by, populate, restored},
};

/// Writes credentials to a file and names it.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// Every object that a backup holds, with its content.
fn contents(of: &BackedUp, name: &str) -> BTreeMap<ObjectId, String> {
    let BackupContent::Read(archive) = &backup(of, name).content else { panic!("backup {name} was not read") };
    archive.objects.iter().map(|(id, kept)| (id.clone(), kept.whole().expect("its body").content.json().to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_velero_wrote_to_google_and_its_copy_in_azure_read_as_from_s3() {
    let plane = ControlPlane::start(Plane::default());
    populate(&plane);
    let (store, google, azure) = (Store::start(), Cloud::start(Kind::Google).await, Cloud::start(Kind::Azure).await);
    let velero = Velero::start(&plane, &store, Options { google: Some(google.port), ..Options::default() });
    let mut location = google.location("google", "east");
    location.as_object_mut().expect("a mapping").remove("status");
    plane.apply(&location.to_string());
    eventually("Velero takes the location in Google's storage", PATIENCE, || {
        velero.field("BackupStorageLocation", "google", "/status/phase") == "Available"
    });
    let spec = |location: &str| json!({"includedNamespaces": ["shop"], "storageLocation": location});
    velero.create_all(&[("first", "default"), ("second", "google")].map(|(name, location)| Velero::manifest("Backup", name, &spec(location))));
    for ended in ["first", "second"].map(|name| velero.ended("Backup", name)) {
        assert_eq!(ended["status"]["phase"], "Completed", "{ended}\n{}", velero.log());
    }
    assert_eq!(restored(&velero, "drill", json!({"backupName": "second", "namespaceMapping": {"shop": "shop-drill"}})), "Completed");
    azure.upload(&store.bucket(), "west").await;
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = file(folder.path(), "cloud", &format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"));
    let (key, variables) = (file(folder.path(), "key.json", &google.credentials()), file(folder.path(), "azure", &azure.credentials()));
    let stores = |text: &str| load(&format!("velero: {{stores: [{text}]}}"), folder.path());
    let of_google = format!("{{location: google, credentials_file: '{key}'}}");
    let now = live(&plane.admin()).await;
    let dead = Live::default();

    // S3 as the measure, then Google's by the location's own coordinates and by configuration alone.
    let s3 = look(&stores(&format!("{{location: default, credentials_file: '{cloud}'}}")), &now).await;
    let measure = (holds_what_is_served(&s3, "first", &now), contents(&s3, "first"));
    assert!(measure.0 >= 46, "{}", measure.0);
    let alone = format!("{{{}, prefix: east, credentials_file: '{key}'}}", google.coordinates());
    for (text, live, by) in [(&of_google, &now, ToldBy::Velero), (&alone, &dead, ToldBy::Bucket)] {
        let found = look(&stores(text), live).await;
        let second = backup(&found, "second");
        assert_eq!((second.state, found.failure.is_none()), (BackupState::Restorable, true), "{text}: {} {:?}", second.why, found.failure);
        assert!(matches!((&second.side.results, &second.side.volumes), (Side::Read(_), Side::Read(_))), "{:?}", second.side);
        assert_eq!(holds_what_is_served(&found, "second", &now), measure.0, "{text}");
        assert!(contents(&found, "second").keys().eq(measure.1.keys()), "{text}");
        assert!(made_by(&found, "drill") >= 46 && found.restores.iter().any(|r| r.by == by), "{text}");
    }
    // Azure's copy by configuration, and by a location once only the copy is left.
    let alone = format!("{{{}, prefix: west, credentials_file: '{variables}'}}", azure.coordinates());
    let found = look(&stores(&alone), &dead).await;
    assert_eq!((found.backups.len(), backup(&found, "first").state), (1, BackupState::Restorable), "{:?}", found.failure);
    assert_eq!(contents(&found, "first"), measure.1);
    velero.kill();
    plane.kubectl(&["delete", "backups.velero.io", "first", "-n", "velero"]);
    plane.apply(&azure.location("azure", "west").to_string());
    let now = live(&plane.admin()).await;
    // The key stands where the location says, and nowhere else.
    let named = file(folder.path(), "azure-named", &azure.credentials().replace("AZURE_STORAGE_ACCOUNT_ACCESS_KEY", "OTHER_KEY"));
    let of_azure = format!("{{location: azure, credentials_file: '{named}'}}");
    let found = look(&stores(&of_azure), &now).await;
    assert_eq!(backup(&found, "first").state, BackupState::Restorable, "{} {:?}", backup(&found, "first").why, found.failure);
    assert_eq!(contents(&found, "first"), measure.1);

    // Through the program, as talkative as it can be: the report joins both, and neither key nor token nor value is shown.
    let text = format!("cluster: {{kubeconfig: '{}', secrets: true}}\nvelero: {{stores: [{of_google}, {of_azure}]}}\n", plane.admin().display());
    file(folder.path(), "snapgap.yaml", &text);
    let args = ["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--log-level", LOUD];
    let ran: Ran = program(folder.path()).args(args).output().expect("it starts").into();
    for secret in [CANARY, ACCOUNT_KEY, "Bearer ey", "SharedKey devstore", "PRIVATE KEY"] {
        assert!(!ran.said().contains(secret), "{secret} is shown: {}", ran.err);
    }
    let report = ran.json();
    for name in ["first", "second"] {
        let one = report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == name).unwrap_or_else(|| panic!("no {name}: {report}"));
        assert!(one["unread"].is_null() && one["objects"].as_u64().is_some_and(|n| n >= 46), "{one}");
    }
    let settings =
        report["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "settings-7" && o["namespace"] == "shop").expect("listed");
    assert_eq!(settings["recovery"], "backup", "{settings}");
}

/// A backup of one ConfigMap in a namespace of its own, as a folder like a bucket.
fn small_backup(folder: &Path, namespace: &str) -> Value {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace}, "data": {"a": "b"}});
    let marker = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": format!("of-{namespace}"), "namespace": "velero"},
        "spec": {"includedNamespaces": [namespace]}, "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1,
            "startTimestamp": "2026-03-01T01:00:00Z", "completionTimestamp": "2026-03-01T01:01:00Z", "expiration": "2199-03-01T00:00:00Z"}});
    write_backup(folder, &marker, std::slice::from_ref(&map), &Names::builtin()).expect("written");
    map
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_keeps_what_it_read_of_a_cloud_that_goes_away_and_says_so() {
    let folder = Folder::new("snapgap-clouds-");
    let (google, azure) = (Cloud::start(Kind::Google).await, Cloud::start(Kind::Azure).await);
    let mut items = Vec::new();
    for (cloud, namespace) in [(&google, "shop"), (&azure, "bank")] {
        let bucket = folder.path().join(namespace);
        fs::create_dir(&bucket).expect("a folder");
        items.push(small_backup(&bucket, namespace));
        cloud.upload(&bucket, "").await;
    }
    let dump = file(folder.path(), "cluster.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let (key, variables) = (file(folder.path(), "key.json", &google.credentials()), file(folder.path(), "azure", &azure.credentials()));
    let setting = Setting(format!(
        "cluster: {{dump: '{dump}'}}\nvelero:\n  interval: 1s\n  stores:\n  - {{{}, credentials_file: '{key}'}}\n  - {{{}, credentials_file: '{variables}'}}\n",
        google.coordinates(),
        azure.coordinates()
    ));
    let daemon = Daemon::start(&setting);
    let held = |namespace: &str| daemon.said(namespace, "ConfigMap", "settings", "recovery");
    let failure = || daemon.report()["as_of"]["backups"]["failure"].clone();
    for namespace in ["shop", "bank"] {
        eventually("the backup is read", PATIENCE, || held(namespace) == "backup");
    }
    assert!(failure().is_null(), "{}", failure());
    google.away();
    eventually("it is noticed", PATIENCE, || failure()["reason"] == "store_unreachable");
    let message = failure()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("gs://velero") && message.contains("Connection refused") && !message.contains("http"), "{message}");
    assert_eq!((held("shop").as_str(), held("bank").as_str()), ("backup", "backup"), "what was read stays");
    let known = || daemon.report()["as_of"]["backups"]["at"].as_str().expect("known as of a moment").to_owned();
    let (then, moment) = (known(), daemon.report()["now"].clone());
    eventually("time goes on", PATIENCE, || daemon.report()["now"] != moment);
    assert_eq!(known(), then, "what is known does not grow younger");
}
