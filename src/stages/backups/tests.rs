//! Small worlds of backups, each read as files and as a store: what is read, and what is said of it, must be the same. I/O: temporary folders.

use std::{fs, path::Path};

use serde_json::json;

use super::*;
use crate::{
    config::file::{File, Surroundings},
    object::{GroupKind, ObjectId},
    velero::{
        Names,
        archive::write::{write_backup, write_beside},
        beside::SideFile,
    },
    witness::KindState,
};

fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().expect("a time")
}

fn stage(text: &str) -> BackupStage {
    let config = File::parse(text).and_then(|f| f.validate(&Surroundings { cache_dir: "/nowhere".into() })).expect("valid");
    BackupStage::new(Arc::new(config), Redactor::new([0; 32]))
}

async fn run(text: &str, live: &Live, now: Timestamp) -> BackedUp {
    stage(text).run_through(live, now).await.0
}

fn object(kind: &str, namespace: Option<&str>, name: &str, uid: &str) -> Value {
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": uid}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = namespace.into();
    }
    value
}

/// A Backup that ended well and takes one namespace.
fn backup(name: &str, start: &str) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": {"name": name, "namespace": "velero", "uid": format!("uid-{name}"), "creationTimestamp": start},
        "spec": {"includedNamespaces": ["shop"], "storageLocation": "default"},
        "status": {"phase": "Completed", "startTimestamp": start, "completionTimestamp": start, "expiration": "2026-06-01T00:00:00Z"}})
}

/// The namespace in whose archives there is no kube-system; its uid tells whose it is.
fn shop(uid: &str) -> Vec<Value> {
    vec![object("Namespace", None, "shop", uid), object("ConfigMap", Some("shop"), "a", "a")]
}

/// What the cluster says: these objects of Velero's, and its own namespace.
fn cluster(objects: &[Value]) -> Live {
    let mut live = Live { as_of: Some(now()), discovered: true, cluster_uid: Some("ours".into()), ..Live::default() };
    let location = json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": "velero"},
        "spec": {"default": true}, "status": {"phase": "Available", "lastValidationTime": "2026-03-10T11:59:00Z"}});
    for object in objects.iter().chain([&location]) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).expect("a text");
        let id = ObjectId::new("velero.io", text("/kind"), Some("velero"), text("/metadata/name"));
        live.controllers.insert(id, Arc::new(object.clone()));
    }
    let kind =
        KindState { plural: "backups".into(), version: "v1".into(), versions: Vec::new(), namespaced: true, listing: Listing::Complete, told: None };
    live.kinds.insert(GroupKind::new("velero.io", "Backup"), kind);
    let redactor = Redactor::new([0; 32]);
    for raw in [object("Namespace", None, "shop", "shop-1"), object("Namespace", None, "kube-system", "ours")] {
        let own = crate::object::admit(raw, &redactor).expect("an object");
        live.objects.insert(own.id.clone(), Arc::new(own));
    }
    live
}

fn write(bucket: &Path, backup: &Value, objects: &[Value]) {
    write_backup(bucket, backup, objects, &Names::builtin()).expect("written");
}

/// What is said of each backup: `name: state, content`.
fn told(of: &BackedUp) -> Vec<String> {
    let content = |b: &Backup| b.content.archive().map_or_else(|f| f.reason.to_string(), |a| format!("{} objects", a.objects.len()));
    of.backups.iter().map(|b| format!("{}: {}, {}", b.name, b.state.name(), content(b))).collect()
}

/// Reads a bucket both ways, and wants the same said.
async fn both(bucket: &Path, live: &Live, want: &[&str]) {
    for text in [
        format!("velero: {{backups: [{{file: '{0}'}}]}}", bucket.display()),
        format!("velero: {{stores: [{{provider: folder, path: '{0}'}}]}}", bucket.display()),
    ] {
        assert_eq!(told(&run(&text, live, now()).await), want, "{text}");
    }
}

#[tokio::test]
async fn what_was_never_read_is_known_as_of_no_moment() {
    let unread = Live { failure: Some(Failure::new("network", "no answer")), ..Live::default() };
    let read = Live { as_of: Some(now()), discovered: true, ..Live::default() };
    let nothing = run("", &unread, now()).await;
    assert!(nothing.as_of.is_none() && nothing.failure.is_some(), "no cluster and no archive: nobody knows of any backup");
    let missing = run("velero: {backups: [{file: /nowhere/b.tar.gz}]}", &read, now()).await;
    assert!(missing.as_of.is_none() && missing.failure.is_some(), "an archive that cannot be found is no proof that there is none");
    let none = run("", &read, now()).await;
    assert!(none.as_of == Some(now()) && none.failure.is_none(), "a cluster without Velero has no backups");
}

#[tokio::test]
async fn the_newest_backup_that_counts_is_read_however_it_is_found() {
    let (old, new) = (backup("old", "2026-03-08T01:00:00Z"), backup("new", "2026-03-09T01:00:00Z"));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut new = new.clone();
        change(&mut new);
        new
    };
    let request = json!({"apiVersion": "velero.io/v1", "kind": "DeleteBackupRequest", "metadata": {"name": "d", "namespace": "velero"},
        "spec": {"backupName": "new"}, "status": {"phase": "InProgress"}});
    let expired = changed(&|b| b["status"]["expiration"] = "2026-03-09T12:00:00Z".into());
    let deleting = changed(&|b| b["status"]["phase"] = "Deleting".into());
    let elsewhere = changed(&|b| b["spec"]["storageLocation"] = "gone".into());
    let synced = changed(&|b| (b["metadata"]["uid"], b["metadata"]["creationTimestamp"]) = ("here".into(), "2026-03-09T02:00:00Z".into()));
    for (in_bucket, more, in_cluster, uid, want) in [
        (&new, None, &new, "shop-1", ["new: restorable, 2 objects", "old: restorable, not_needed"]),
        (&expired, None, &expired, "shop-1", ["new: expired, not_needed", "old: restorable, 2 objects"]),
        (&new, Some(request), &new, "shop-1", ["new: invalid, not_needed", "old: restorable, 2 objects"]),
        (&new, None, &deleting, "shop-1", ["new: invalid, not_needed", "old: restorable, 2 objects"]),
        (&elsewhere, None, &elsewhere, "shop-1", ["new: unavailable, not_needed", "old: restorable, 2 objects"]),
        // Another cluster's, as its namespaces say.
        (&new, None, &synced, "shop-2", ["new: foreign, 2 objects", "old: restorable, 2 objects"]),
    ] {
        let bucket = tempfile::tempdir().expect("a folder");
        write(bucket.path(), &old, &shop("shop-1"));
        write(bucket.path(), in_bucket, &shop(uid));
        // Of a restore that neither tells of nobody is asked.
        let restore = json!({"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": {"name": "r", "namespace": "velero"},
            "spec": {"backupName": "old"}, "status": {"phase": "Completed"}});
        let objects: Vec<Value> = [Some(old.clone()), Some(in_cluster.clone()), Some(restore), more].into_iter().flatten().collect();
        both(bucket.path(), &cluster(&objects), &want).await;
    }
}

#[tokio::test]
async fn an_older_backup_is_read_for_what_the_newest_failed_on() {
    let bucket = tempfile::tempdir().expect("a folder");
    let (old, mut new) = (backup("old", "2026-03-08T01:00:00Z"), backup("new", "2026-03-09T01:00:00Z"));
    (new["status"]["phase"], new["status"]["errors"]) = ("PartiallyFailed".into(), 1.into());
    write(bucket.path(), &old, &shop("shop-1"));
    write(bucket.path(), &new, &shop("shop-1")[..1]);
    let folder = bucket.path().join("backups/new");
    let errors = |name: &str| json!({"errors": {"namespaces": {"shop": [format!(" resource: /configmaps name: /{name} message: /Error backing up item error: /boom")]}}});
    let live = cluster(&[old, new]);
    write_beside(&folder, "new", SideFile::Results, &errors("a")).expect("written");
    both(bucket.path(), &live, &["new: degraded, 1 objects", "old: restorable, 2 objects"]).await;
    // It failed on a namespace that is not there: no object is missing.
    write_beside(&folder, "new", SideFile::Results, &json!({"errors": {"velero": ["the namespace no-such is not there"]}})).expect("written");
    both(bucket.path(), &live, &["new: degraded, 1 objects", "old: restorable, not_needed"]).await;
    // Nobody knows what it failed on.
    fs::remove_file(folder.join("new-results.gz")).expect("removed");
    both(bucket.path(), &live, &["new: degraded, 1 objects", "old: restorable, 2 objects"]).await;
}

#[tokio::test]
async fn of_a_bucket_of_many_the_newest_of_each_scope_is_read_and_the_later_name_of_one_second() {
    let bucket = tempfile::tempdir().expect("a folder");
    let all = |name: &str, start: &str| {
        let mut all = backup(name, start);
        all["spec"]["includedNamespaces"] = json!(["*"]);
        all
    };
    let of = |cluster: &str| vec![object("Namespace", None, "kube-system", cluster)];
    let all: Vec<Value> =
        [("a1", "01"), ("a2", "02"), ("a3", "03"), ("a4", "04")].iter().map(|(n, d)| all(n, &format!("2026-03-{d}T01:00:00Z"))).collect();
    write(bucket.path(), &all[0], &of("ours"));
    write(bucket.path(), &all[1], &of("ours"));
    write(bucket.path(), &all[2], &of("theirs"));
    write(bucket.path(), &all[3], &of("ours"));
    fs::write(bucket.path().join("backups/a4/a4.tar.gz"), b"\x1f\x8bxx").expect("written");
    let twins = ["s1", "s2"].map(|name| backup(name, "2026-02-01T01:00:00Z"));
    twins.iter().for_each(|twin| write(bucket.path(), twin, &shop("shop-1")));
    let mut failed = backup("f1", "2026-03-05T01:00:00Z");
    failed["status"]["phase"] = "Failed".into();
    write(bucket.path(), &failed, &[]);
    let live = cluster(&[all, twins.to_vec(), vec![failed]].concat());
    let rest = [
        "a3: foreign, foreign",
        "a2: restorable, 1 objects",
        "a1: restorable, not_needed",
        "s2: restorable, 2 objects",
        "s1: restorable, not_needed",
    ];
    let said = |damaged: &'static str| ["f1: invalid, not_finished", damaged].into_iter().chain(rest).map(str::to_owned).collect::<Vec<_>>();
    let (files, store) = (
        format!("velero: {{backups: [{{file: '{}'}}]}}", bucket.path().display()),
        format!("velero: {{stores: [{{provider: folder, path: '{}'}}]}}", bucket.path().display()),
    );
    // A damaged copy says nothing against the backup; what the storage location itself holds does.
    assert_eq!(told(&run(&files, &live, now()).await), said("a4: restorable, archive_truncated"));
    assert_eq!(told(&run(&store, &live, now()).await), said("a4: invalid, archive_truncated"));
    // One that is asked for by its own path is read besides; `all` has every one read; and another moment has another newest one.
    let asked = format!("velero: {{backups: [{{file: '{0}'}}, {{file: '{0}/backups/a1'}}]}}", bucket.path().display());
    assert!(told(&run(&asked, &live, now()).await).contains(&"a1: restorable, 1 objects".to_owned()));
    let every = format!("velero: {{read: all, stores: [{{provider: folder, path: '{}'}}]}}", bucket.path().display());
    assert!(told(&run(&every, &live, now()).await).contains(&"s1: restorable, 2 objects".to_owned()));
    for text in [files, store] {
        let then = "2026-03-01T12:00:00Z".parse().ok();
        let (of, _) = stage(&text).at(then).run_through(&live, now()).await;
        let told = told(&of);
        assert!(told.contains(&"a1: restorable, 1 objects".to_owned()) && told.contains(&"a2: pending, later".to_owned()), "{told:#?}");
    }
}

#[tokio::test]
async fn files_about_volumes_are_read_of_every_backup_and_again_when_they_were_mended() {
    let bucket = tempfile::tempdir().expect("a folder");
    let (old, new) = (backup("old", "2026-03-08T01:00:00Z"), backup("new", "2026-03-09T01:00:00Z"));
    for backup in [&old, &new] {
        write(bucket.path(), backup, &shop("shop-1"));
    }
    let folder = |name: &str| bucket.path().join("backups").join(name);
    let kept = json!([{"pvcName": "data", "pvcNamespace": "shop", "backupMethod": "PodVolumeBackup", "result": "succeeded", "pvbInfo": {"size": 7}}]);
    write_beside(&folder("old"), "old", SideFile::VolumeInfo, &kept).expect("written");
    fs::write(folder("new").join("new-volumeinfo.json.gz"), "broken").expect("written");
    let live = cluster(&[old, new]);
    let volumes = |of: &BackedUp, name: &str| {
        let backup = of.backups.iter().find(|b| &*b.name == name).expect("there");
        backup.side.volumes.read().map(Vec::len).ok_or_else(|| backup.side.volumes.failure().map(|f| f.reason.to_string()))
    };
    let mut stage = stage(&format!("velero: {{interval: 1s, stores: [{{provider: folder, path: '{}'}}]}}", bucket.path().display()));
    let (of, _) = stage.run_through(&live, now()).await;
    assert_eq!(told(&of), ["new: restorable, 2 objects", "old: restorable, not_needed"]);
    assert_eq!((volumes(&of, "old"), volumes(&of, "new")), (Ok(1), Err(Some("side_file_unreadable".into()))));
    write_beside(&folder("new"), "new", SideFile::VolumeInfo, &kept).expect("written");
    let (of, _) = stage.run_through(&live, now() + SignedDuration::from_secs(2)).await;
    assert_eq!(volumes(&of, "new"), Ok(1), "the listing shows another file");
}

#[tokio::test]
async fn a_store_that_goes_away_is_told_and_so_is_what_it_may_hold_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let bucket = folder.path().join("bucket");
    let old = backup("old", "2026-03-08T01:00:00Z");
    write(&bucket, &old, &shop("shop-1"));
    let text = format!("velero: {{interval: 1s, stores: [{{provider: folder, path: '{}'}}]}}", bucket.display());
    let mut of_files = stage(&text);
    let (of, _) = of_files.run_through(&cluster(std::slice::from_ref(&old)), now()).await;
    assert!(of.failure.is_none() && of.as_of == Some(now()));
    fs::rename(&bucket, folder.path().join("elsewhere")).expect("renamed");
    let later = now() + SignedDuration::from_hours(2);
    let (of, _) = of_files.run_through(&cluster(&[old]), later).await;
    assert_eq!(told(&of), ["old: restorable, 2 objects"], "what was read stays");
    assert!(of.failure.is_some() && of.as_of == Some(now()), "{:?}", of.failure);
}
