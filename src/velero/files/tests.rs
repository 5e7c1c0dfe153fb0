//! Paths as people give them, and what is wrong with them. I/O: temporary folders.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    config::ArchiveLimits,
    object::Redactor,
    velero::{Names, archive::write::write_backup},
};

const LIMITS: ArchiveLimits = ArchiveLimits { entries: 1000, object_bytes: 1 << 20, total_bytes: 64 << 20, time: Duration::from_secs(60) };

fn library() -> Library {
    Library::open(None, 0, LIMITS, Redactor::new([1; 32]))
}

fn take(path: &Path, name: Option<&str>, start: Option<&str>) -> Result<Vec<FileBackup>, FilesError> {
    let start = start.map(|s| s.parse().expect("a time"));
    let given = BackupFile { path: path.to_owned(), name: name.map(str::to_owned), start };
    read(&[given], &Around::default())
}

/// All that was given, read.
fn read(given: &[BackupFile], around: &Around) -> Result<Vec<FileBackup>, FilesError> {
    let library = library();
    let of = |found: Found| match (&found.failure, open(&found.archive, &library)) {
        (Some(failure), _) => found.tell(Err(failure.clone()), None, None),
        (None, Ok(archive)) => found.tell(Ok(archive.clone()), None, archive.cluster_uid.clone()),
        (None, Err((failure, damage))) => found.tell(Err(failure), damage, None),
    };
    Ok(find(given, around)?.into_iter().map(of).collect())
}

fn put(bucket: &Path, name: &str, start: &str, cluster: &str, spec: Value) -> PathBuf {
    let backup = json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":name},"spec":spec,"status":{"phase":"Completed","startTimestamp":start}});
    let objects = [json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":cluster}})];
    write_backup(bucket, &backup, &objects, &Names::builtin()).expect("written")
}

fn told(found: &[FileBackup]) -> Vec<String> {
    found
        .iter()
        .map(|f| format!("{} {}", f.name, f.content.as_ref().map_or_else(|e| e.reason.to_string(), |a| a.objects.len().to_string())))
        .collect()
}

#[test]
fn an_archive_with_its_object_beside_it_needs_nothing_else() {
    let bucket = tempfile::tempdir().expect("a folder");
    let folder = put(bucket.path(), "b1", "2026-03-01T01:00:00Z", "ours", json!({}));
    for path in [folder.join("b1.tar.gz"), folder.clone()] {
        let found = take(&path, None, None).expect("found");
        assert_eq!(told(&found), ["b1 1"]);
        assert!(found[0].object.is_some() && found[0].cluster_uid.as_deref() == Some("ours"));
    }
    // `velero backup download b1` calls it b1-data.tar.gz.
    fs::rename(folder.join("b1.tar.gz"), folder.join("b1-data.tar.gz")).expect("renamed");
    assert_eq!(told(&take(&folder.join("b1-data.tar.gz"), None, None).expect("found")), ["b1 1"]);
}

#[test]
fn an_archive_alone_needs_a_start() {
    let bucket = tempfile::tempdir().expect("a folder");
    let folder = put(bucket.path(), "b1", "2026-03-01T01:00:00Z", "ours", json!({}));
    let archive = folder.join("b1.tar.gz");
    fs::remove_file(folder.join(MARKER)).expect("removed");
    let error = take(&archive, None, None).expect_err("no start");
    assert_eq!(error.kind(), "backup_no_start");
    assert!(error.to_string().contains("--backup NAME="), "{error}");
    let found = take(&archive, Some("mine"), Some("2026-03-01T01:00:00Z")).expect("found");
    assert_eq!(told(&found), ["mine 1"]);
    assert!(found[0].start.is_some() && found[0].object.is_none());
    // A Backup of its name in the cluster knows the start; `velero backup download b1` calls the archive b1-data.tar.gz.
    let around = Around { backups: ["b1".into()].into() };
    let downloaded = folder.join("b1-data.tar.gz");
    fs::copy(&archive, &downloaded).expect("copied");
    for path in [archive, downloaded] {
        let given = BackupFile { path, name: None, start: None };
        let found = read(&[given], &around).expect("found");
        assert_eq!(told(&found), ["b1 1"]);
    }
}

#[test]
fn what_is_wrong_with_a_path_is_said_with_the_way_out() {
    let bucket = tempfile::tempdir().expect("a folder");
    let kind = |path: &Path| take(path, None, None).map_or_else(|e| e.kind(), |_| "found");
    assert_eq!(kind(&bucket.path().join("nowhere")), "backup_unreadable");
    assert_eq!(kind(bucket.path()), "backup_none");
    let folder = put(bucket.path(), "b1", "2026-03-01T01:00:00Z", "ours", json!({}));
    fs::write(folder.join(MARKER), "{").expect("written");
    assert_eq!(kind(&folder.join("b1.tar.gz")), "backup_bad_object");
    fs::write(folder.join(MARKER), r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b1"}}"#).expect("written");
    assert_eq!(kind(&folder.join("b1.tar.gz")), "backup_bad_object");
    fs::write(folder.join(MARKER), r#"{"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"b2"}}"#).expect("written");
    assert_eq!(kind(&folder.join("b1.tar.gz")), "backup_other_object");
    fs::write(folder.join(MARKER), vec![b' '; MAX_MARKER as usize + 1]).expect("written");
    assert!(take(&folder.join("b1.tar.gz"), None, None).expect_err("too large").to_string().contains("more than the 4194304"));
    let given = |name: &str| BackupFile { path: folder.join("b1.tar.gz"), name: Some(name.to_owned()), start: Some(Timestamp::UNIX_EPOCH) };
    fs::remove_file(folder.join(MARKER)).expect("removed");
    let twice = read(&[given("x"), given("x")], &Around::default()).expect_err("twice");
    assert_eq!(twice.kind(), "backup_twice");
}

#[test]
fn what_is_wrong_inside_a_folder_of_many_stands_at_the_backup_it_concerns() {
    let bucket = tempfile::tempdir().expect("a folder");
    put(bucket.path(), "a1", "2026-03-01T01:00:00Z", "ours", json!({}));
    let broken = put(bucket.path(), "a4", "2026-03-04T01:00:00Z", "ours", json!({}));
    fs::write(broken.join("a4.tar.gz"), b"\x1f\x8bxx").expect("written");
    let lone = put(bucket.path(), "lone", "2026-02-01T01:00:00Z", "ours", json!({}));
    fs::remove_file(lone.join(MARKER)).expect("removed");
    for path in [bucket.path().to_owned(), bucket.path().join("backups")] {
        let found = take(&path, None, None).expect("found");
        assert_eq!(told(&found), ["a1 1", "a4 archive_truncated", "lone backup_no_start"]);
        assert!(matches!(&found[1].damage, Some(Damage::Copy(d)) if d.contains("ends too early")));
    }
    // One that is named besides is asked for.
    let given = |path: PathBuf| BackupFile { path, name: None, start: None };
    let both = [given(bucket.path().to_owned()), given(bucket.path().join("backups/a1"))];
    let asked: Vec<bool> = find(&both, &Around::default()).expect("found").iter().map(|f| f.asked_for).collect();
    assert_eq!(asked, [true, false, false]);
}

#[test]
fn a_folder_of_more_backups_than_anybody_keeps_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for n in 0..=MAX_BACKUPS {
        fs::write(folder.path().join(format!("{n}.tar.gz")), "").expect("written");
    }
    assert_eq!(take(folder.path(), None, None).expect_err("too many").kind(), "backup_too_many");
}
