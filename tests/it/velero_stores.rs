//! The content of backups, three ways in: a bucket, Velero's DownloadRequests and a file, against a real Velero and a real S3 server.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::{
    cluster::{self, Connection, Limits},
    config::{
        self, Config,
        file::{File, Surroundings},
    },
    object::{Object, ObjectId, Redactor},
    stages::backups::BackupStage,
    witness::{BackedUp, Backup, BackupContent, BackupState, Live, RestoreAction, Side, ToldBy},
};

use crate::support::{
    cli::{Ran, program, snapgap},
    control_plane::{ControlPlane, Options as Plane},
    daemon,
    velero::{ACCESS_KEY, BUCKET, Options, SECRET_KEY, Store, Velero},
};

/// A value that must be seen nowhere.
pub const CANARY: &str = "canary-7f3a";

/// The loudest log that anybody would ask for.
pub const LOUD: &str = "trace,kube_client=off";

/// A world of some kinds in namespace `shop`, with a Secret.
pub fn populate(plane: &ControlPlane) {
    let mut objects = vec![json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{"team":"shop"}}})];
    let in_shop = |api: &str, kind: &str, name: &str, rest: Value| {
        let mut object = json!({"apiVersion":api,"kind":kind,"metadata":{"name":name,"namespace":"shop","labels":{"app":name}}});
        object.as_object_mut().expect("a mapping").extend(rest.as_object().expect("a mapping").clone());
        object
    };
    for n in 0..40 {
        objects.push(in_shop("v1", "ConfigMap", &format!("settings-{n}"), json!({"data":{"n":n.to_string(),"text":"ä \u{2028} <&> \"quoted\"\n"}})));
    }
    objects.push(in_shop("v1", "Secret", "password", json!({"stringData":{"p":CANARY}})));
    objects.push(in_shop("v1", "ServiceAccount", "cart", json!({})));
    objects.push(in_shop("v1", "Service", "cart", json!({"spec":{"selector":{"app":"cart"},"ports":[{"port":80}]}})));
    let containers =
        json!([{"name":"app","image":"example.com/cart:1","env":[{"name":"A","value":"1"}],"resources":{"requests":{"cpu":"100m","memory":"1Gi"}}}]);
    objects.push(in_shop(
        "apps/v1",
        "Deployment",
        "cart",
        json!({"spec":{"replicas":2,"selector":{"matchLabels":{"app":"cart"}},"template":{"metadata":{"labels":{"app":"cart"}},"spec":{"containers":containers}}}}),
    ));
    objects.push(in_shop(
        "v1",
        "PersistentVolumeClaim",
        "data",
        json!({"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}),
    ));
    objects.push(in_shop("networking.k8s.io/v1", "NetworkPolicy", "deny", json!({"spec":{"podSelector":{},"policyTypes":["Ingress"]}})));
    plane.apply(&objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n"));
}

fn credentials(folder: &Path, secret: &str) -> String {
    let file = folder.join("cloud");
    fs::write(&file, format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n")).expect("written");
    file.display().to_string()
}

pub fn load(text: &str, folder: &Path) -> Config {
    File::parse(text).and_then(|f| f.validate(&Surroundings { cache_dir: folder.join("cache") })).expect("a configuration")
}

pub fn redactor() -> Redactor {
    Redactor::new([7; 32])
}

pub async fn live(kubeconfig: &Path) -> Live {
    let settings = config::Cluster { kubeconfig: Some(kubeconfig.to_owned()), secrets: true, ..Default::default() };
    let connection = Connection::connect(&settings).await.expect("connects");
    cluster::read(&connection, &settings, &redactor(), &Limits::default(), &|_| {}).await
}

pub async fn look(config: &Config, live: &Live) -> BackedUp {
    BackupStage::new(Arc::new(config.clone()), redactor()).run_through(live, Timestamp::now()).await.0
}

pub fn backup<'b>(of: &'b BackedUp, name: &str) -> &'b Backup {
    of.backups
        .iter()
        .find(|b| &*b.name == name)
        .unwrap_or_else(|| panic!("no backup {name}: {:?}", of.backups.iter().map(|b| &b.name).collect::<Vec<_>>()))
}

/// Makes a restore and says how it ended.
pub fn restored(velero: &Velero<'_>, name: &str, spec: Value) -> String {
    velero.create("Restore", name, &spec);
    velero.ended("Restore", name)["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

/// How many objects a restore made, by the list that Velero wrote of it.
pub fn made_by(of: &BackedUp, restore: &str) -> usize {
    let restore = of.restores.iter().find(|r| &*r.name == restore).unwrap_or_else(|| panic!("no restore {restore}"));
    assert!(restore.files.results.read().is_some(), "{:?}", restore.files.results);
    let items = restore.files.items.read().unwrap_or_else(|| panic!("what it did was not read: {:?}", restore.files.items.failure()));
    items.iter().filter(|i| i.action == RestoreAction::Created).count()
}

pub fn unread(of: &BackedUp, name: &str) -> (String, String) {
    match &backup(of, name).content {
        BackupContent::Unread(failure) | BackupContent::Damaged(failure) => (failure.reason.to_string(), failure.message.clone()),
        BackupContent::Read(_) => panic!("backup {name} was read"),
    }
}

/// What a backup holds of the namespace equals what the API server serves, body for body.
pub fn holds_what_is_served(of: &BackedUp, name: &str, live: &Live) -> usize {
    let BackupContent::Read(archive) = &backup(of, name).content else { panic!("backup {name} was not read: {:?}", unread(of, name)) };
    let same = |id: &ObjectId, served: &Object| {
        let kept = archive.objects.get(id).unwrap_or_else(|| panic!("{id} is not in backup {name}"));
        let whole = kept.whole().expect("its body is read again");
        assert_eq!(whole.content.json(), served.content.json(), "{id}");
        assert_eq!((&kept.meta.uid, &kept.meta.created, &kept.version), (&served.meta.uid, &served.meta.created, &served.version), "{id}");
        assert!(served.content.json().contains("hidden:") || !id.gk.is("", "Secret"));
    };
    // Events come and go, and of what the server makes by itself the backup may hold an earlier state.
    let compared = live.objects.iter().filter(|(id, o)| id.namespace.as_deref() == Some("shop") && !o.meta.partial && &*id.gk.kind != "Event");
    compared.inspect(|(id, object)| same(id, object)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_read_by_its_locations_coordinates_and_without_a_cluster() {
    let plane = ControlPlane::start(Plane::default());
    populate(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options { prefix: "east".into(), ..Options::default() });
    let folder = tempfile::tempdir().expect("a folder");
    let before = live(&plane.admin()).await;
    for name in ["first", "second"] {
        assert_eq!(velero.back_up(name, &json!({"includedNamespaces":["shop"]}))["status"]["phase"], "Completed");
    }
    // By the location's own coordinates: only credentials are told.
    let cloud = credentials(folder.path(), SECRET_KEY);
    let by_location = load(&format!("velero: {{stores: [{{location: default, credentials_file: '{cloud}'}}]}}"), folder.path());
    let now = live(&plane.admin()).await;
    let found = look(&by_location, &now).await;
    assert_eq!(holds_what_is_served(&found, "second", &now), holds_what_is_served(&found, "second", &before));
    assert!(holds_what_is_served(&found, "second", &now) >= 46);
    assert_eq!(unread(&found, "first").0, "not_needed");
    let all = load(&format!("velero: {{read: all, stores: [{{location: default, credentials_file: '{cloud}'}}]}}"), folder.path());
    holds_what_is_served(&look(&all, &now).await, "first", &now);
    // What lies beside the archives, and what restores did: by the bucket's own listing, with nobody asked.
    assert_eq!(restored(&velero, "drill", json!({"backupName":"second","namespaceMapping":{"shop":"shop-drill"}})), "Completed");
    velero.create("Backup", "gaps", &json!({"includedNamespaces":["shop","no-such"]}));
    assert_eq!(velero.ended("Backup", "gaps")["status"]["phase"], "PartiallyFailed");
    let now = live(&plane.admin()).await;
    let found = look(&by_location, &now).await;
    let side = &backup(&found, "second").side;
    assert!(matches!((&side.results, &side.volumes, &side.listed), (Side::Read(_), Side::Read(_), Side::Unread)), "{side:?}");
    let side = &backup(&found, "gaps").side;
    let said = side.results.read().expect("its errors are read").errors.iter().any(|e| e.message.contains("no-such"));
    assert!(said && side.listed.read().is_some_and(|l| l.len() >= 46), "{side:?}");
    let made = made_by(&found, "drill");
    assert!(made >= 46, "{made} objects were made");
    velero.plane.kubectl(&["delete", "backups.velero.io", "gaps", "-n", "velero", "--wait=true"]);
    fs::remove_dir_all(velero.root().join("backups/gaps")).expect("removed");
    let now = live(&plane.admin()).await;
    // What was read lies in the cache: a second look needs no archive.
    store.away();
    let nothing = look(&by_location, &now).await;
    assert_eq!(backup(&nothing, "second").state, BackupState::Restorable, "the cluster still says so");
    assert_eq!(unread(&nothing, "second").0, "store_unreachable");
    store.back();
    holds_what_is_served(&look(&by_location, &now).await, "second", &now);
    // Without any cluster, by configuration alone.
    let alone = format!(
        "velero: {{stores: [{{provider: aws, bucket: {BUCKET}, prefix: east, region: us-east-1, url: '{}', path_style: true, credentials_file: '{cloud}'}}]}}",
        store.url()
    );
    let dead = Live::default();
    let found = look(&load(&alone, folder.path()), &dead).await;
    assert_eq!((found.backups.len(), backup(&found, "second").state, found.as_of.is_some()), (2, BackupState::Restorable, true));
    // A restore that only the bucket tells of.
    assert_eq!((made_by(&found, "drill"), found.restores[0].by), (made, ToldBy::Bucket));
    holds_what_is_served(&found, "second", &now);
    // As a plain folder.
    let plain = format!("velero: {{stores: [{{provider: folder, path: '{}', prefix: east}}]}}", store.bucket().display());
    holds_what_is_served(&look(&load(&plain, folder.path()), &dead).await, "second", &now);
    // With a wrong key, and with a bucket that is not there.
    credentials(folder.path(), "wrong-canary");
    let refused = look(&load(&alone, folder.path()), &dead).await;
    let failure = refused.failure.expect("refused");
    assert_eq!((&*failure.reason, refused.as_of), ("store_unauthenticated", None), "{}", failure.message);
    assert!(!failure.message.contains("wrong-canary") && !failure.message.contains(ACCESS_KEY), "{}", failure.message);
    credentials(folder.path(), SECRET_KEY);
    let elsewhere = look(&load(&alone.replace(&format!("bucket: {BUCKET}"), "bucket: nowhere"), folder.path()), &dead).await;
    assert_eq!(&*elsewhere.failure.as_ref().expect("missing").reason, "store_missing", "{:?}", elsewhere.failure);
    // Through the program: the report, a body read again for `explain`, and nothing secret in the cache.
    let text = format!(
        "cluster: {{kubeconfig: '{}', secrets: true}}\nvelero: {{stores: [{{location: default, credentials_file: '{cloud}'}}]}}\n",
        plane.admin().display()
    );
    fs::write(folder.path().join("snapgap.yaml"), text).expect("written");
    let run = |args: &[&str]| {
        let ran: Ran = program(folder.path()).args(args).args(["-f", "snapgap.yaml", "--log-level", LOUD]).output().expect("it starts").into();
        assert!(![CANARY, SECRET_KEY, "X-Amz-", "Y2FuYXJ5"].iter().any(|word| ran.said().contains(word)), "something secret is shown: {ran:?}");
        ran
    };
    let report = run(&["report", "-o", "json", "--all"]).json();
    let second = report["backups"].as_array().expect("backups").iter().find(|b| b["name"] == "second").expect("second").clone();
    assert!(second["unread"].is_null() && second["objects"].as_u64().is_some_and(|n| n >= 46), "{second}");
    let told = run(&["explain", "ConfigMap/settings-7", "-n", "shop", "-o", "json"]).ended(0).json();
    let diff = told["diffs"].as_array().expect("diffs").iter().find(|d| d["left_label"] == "backup second").expect("backup against cluster").clone();
    assert!(diff["equal"] == true && diff["left"]["data"]["n"] == "7" && diff["left"] == diff["right"], "{diff}");
    let searched = Command::new("grep").args(["-rlaF", "-e", CANARY, "-e", "Y2FuYXJ5"]).arg(folder.path().join("cache")).output().expect("grep");
    assert!(searched.stdout.is_empty(), "{}", String::from_utf8_lossy(&searched.stdout));
    // The bucket holds a backup that the cluster has forgotten, and the cluster one whose data is gone.
    velero.kill();
    plane.kubectl(&["delete", "backups.velero.io", "second", "-n", "velero"]);
    fs::remove_dir_all(velero.root().join("backups/first")).expect("removed");
    let now = live(&plane.admin()).await;
    let found = look(&by_location, &now).await;
    assert_eq!(backup(&found, "second").state, BackupState::Restorable, "{}", backup(&found, "second").why);
    holds_what_is_served(&found, "second", &now);
    assert_eq!((backup(&found, "first").state, unread(&found, "first").0.as_str()), (BackupState::Invalid, "data_gone"));
    assert!(backup(&found, "first").why.contains("its data is gone"), "{}", backup(&found, "first").why);
    fs::remove_file(velero.file("second", ".tar.gz")).expect("removed");
    let found = look(&by_location, &now).await;
    assert_eq!((backup(&found, "second").state, unread(&found, "second").0.as_str()), (BackupState::Invalid, "data_gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_through_velero_is_opt_in_and_every_way_to_fail_has_its_reason() {
    let plane = ControlPlane::start(Plane::default());
    populate(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(velero.back_up("first", &json!({"includedNamespaces":["shop"]}))["status"]["phase"], "Completed");
    // A user with the shipped role and no more is refused, by name of the permission.
    let kubeconfig = daemon::shipped_user(&plane, "reader");
    let text = |kubeconfig: &Path, timeout: &str| {
        format!(
            "cluster: {{kubeconfig: '{}'}}\nvelero: {{download_requests: {{acknowledge: reads every secret in every backup, timeout: {timeout}}}}}\n",
            kubeconfig.display()
        )
    };
    let config = load(&text(&kubeconfig, "60s"), folder.path());
    let now = live(&plane.admin()).await;
    let refused = look(&config, &now).await;
    let (reason, message) = unread(&refused, "first");
    assert!(reason == "download_forbidden" && message.contains("create downloadrequests.velero.io") && message.contains("snapgap rbac"), "{message}");
    // With the tier's role it works, and leaves nothing behind.
    let kubeconfig_text = plane.admin().display().to_string();
    let roles = snapgap(folder.path(), &["rbac", "--with", "download-requests", "--kubeconfig", &kubeconfig_text]).ended(0).out;
    let role = roles.split("\n---").find(|d| d.contains("snapgap-download-requests")).expect("the tier's role");
    plane.apply(role);
    plane.kubectl(&["create", "rolebinding", "reader", "-n", "velero", "--role=snapgap-download-requests", "--user=reader"]);
    let mut found = look(&config, &now).await;
    crate::support::program::eventually("the binding is seen", Duration::from_secs(20), || {
        if matches!(&backup(&found, "first").content, BackupContent::Unread(f) if &*f.reason == "download_forbidden") {
            found = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(look(&config, &now)));
        }
        !matches!(&backup(&found, "first").content, BackupContent::Unread(f) if &*f.reason == "download_forbidden")
    });
    assert!(holds_what_is_served(&found, "first", &now) >= 46);
    let side = &backup(&found, "first").side;
    assert!(matches!((&side.results, &side.volumes, &side.listed), (Side::Read(_), Side::Read(_), Side::Unread)), "{side:?}");
    assert!(velero.all("DownloadRequest").is_empty(), "the request is taken away");
    // What a restore did, and what a partially failed backup set out to write.
    assert_eq!(restored(&velero, "drill", json!({"backupName":"first","namespaceMapping":{"shop":"shop-drill"}})), "Completed");
    assert_eq!(velero.back_up("gaps", &json!({"includedNamespaces":["shop","no-such"]}))["status"]["phase"], "PartiallyFailed");
    let later = live(&plane.admin()).await;
    let found = look(&config, &later).await;
    assert!(made_by(&found, "drill") >= 46 && found.restores[0].by == ToldBy::Velero);
    let side = &backup(&found, "gaps").side;
    assert!(side.results.read().is_some_and(|r| !r.errors.is_empty()) && side.listed.read().is_some_and(|l| l.len() >= 46), "{side:?}");
    assert!(velero.all("DownloadRequest").is_empty(), "those of small files too");
    velero.plane.kubectl(&["delete", "backups.velero.io", "gaps", "-n", "velero", "--wait=true"]);
    fs::remove_dir_all(velero.root().join("backups/gaps")).expect("removed");
    // Beside a store that answers Velero is asked for nothing of what lies in it; where the store does not answer, Velero is asked.
    let asked = || plane.audit().iter().filter(|r| r.verb == "create" && r.uri.contains("downloadrequests")).count();
    for (key, needs_velero) in [(SECRET_KEY, false), ("wrong", true)] {
        let (apart, before) = (tempfile::tempdir().expect("a folder"), asked());
        let stores = format!(", stores: [{{location: default, credentials_file: '{}'}}]}}\n", credentials(apart.path(), key));
        let found = look(&load(&text(&kubeconfig, "60s").replace("}}\n", &format!("}}{stores}")), apart.path()), &now).await;
        assert!(holds_what_is_served(&found, "first", &now) >= 46);
        assert_eq!(asked() > before, needs_velero, "{key}");
    }
    // The program as a whole, as talkative as it can be: the signed address is in nothing that it says.
    fs::write(folder.path().join("snapgap.yaml"), text(&kubeconfig, "60s")).expect("written");
    let args = ["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--log-level", LOUD];
    let ran: Ran = program(folder.path()).args(args).output().expect("the program starts").into();
    assert!(!ran.said().contains("X-Amz-") && !ran.said().contains(CANARY), "a signed address or a value is shown: {}", ran.err);
    assert_eq!(ran.json()["backups"][0]["unread"], Value::Null, "{}", ran.err);
    // Nobody answers.
    velero.kill();
    let fresh = tempfile::tempdir().expect("a folder");
    let silent = look(&load(&text(&kubeconfig, "2s"), fresh.path()), &now).await;
    let (reason, message) = unread(&silent, "first");
    assert!(reason == "download_unprocessed" && message.contains("did not answer for backup first within 2 s"), "{message}");
    assert!(velero.all("DownloadRequest").is_empty(), "also one that nobody answered is taken away");
    // The archive is gone although Velero signs its address.
    velero.run();
    fs::remove_file(velero.file("first", ".tar.gz")).expect("removed");
    let gone = look(&load(&text(&kubeconfig, "60s"), fresh.path()), &now).await;
    assert_eq!(unread(&gone, "first").0, "download_missing");
    assert!(velero.all("DownloadRequest").is_empty());
}

/// Flips one bit of a file in its middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("the archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_damaged_in_the_bucket_makes_its_backup_invalid_as_velero_cannot_restore_from_it() {
    let plane = ControlPlane::start(Plane::default());
    populate(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["first", "second"] {
        assert_eq!(velero.back_up(name, &json!({"includedNamespaces":["shop"]}))["status"]["phase"], "Completed");
    }
    damage(&velero.file("second", ".tar.gz"));
    let now = live(&plane.admin()).await;
    let cloud = credentials(folder.path(), SECRET_KEY);
    let text = format!("velero: {{stores: [{{location: default, credentials_file: '{cloud}'}}]}}");
    let found = look(&load(&text, folder.path()), &now).await;
    let second = backup(&found, "second");
    assert_eq!((second.state, &*second.reason, second.counts()), (BackupState::Invalid, "damaged", false), "{}", second.why);
    assert!(second.why.contains("its archive in the storage location is damaged, so no restore from it can work"), "{}", second.why);
    // The one before it was read in its place, and speaks.
    assert!(holds_what_is_served(&found, "first", &now) >= 46);
    // That no restore can work is what Velero itself says.
    velero.create("Restore", "try", &json!({"backupName": "second"}));
    let ended = velero.ended("Restore", "try");
    assert_eq!(ended["status"]["phase"], "Failed", "{ended}");
    // A damaged copy on somebody's disk says nothing of the kind.
    let copy = folder.path().join("second.tar.gz");
    fs::copy(velero.file("second", ".tar.gz"), &copy).expect("copied");
    let found = look(&load(&format!("velero: {{backups: [{{file: '{}'}}]}}", copy.display()), folder.path()), &now).await;
    assert_eq!(
        (backup(&found, "second").state, backup(&found, "second").counts()),
        (BackupState::Restorable, true),
        "{}",
        backup(&found, "second").why
    );
    assert!(unread(&found, "second").0.starts_with("archive_"));
}
