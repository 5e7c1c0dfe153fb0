//! Objects and archives joined: what counts, what is due, what is unread. pure

use std::time::Duration;

use serde_json::json;

use super::*;

const NOW: &str = "2026-03-02T12:00:00Z";

fn backup(name: &str, start: &str, uid: &str) -> Value {
    json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":name,"uid":uid,"creationTimestamp":start,"labels":{"velero.io/schedule-name":"nightly"}},
        "spec":{"storageLocation":"default","includedNamespaces":["*"]},"status":{"phase":"Completed","startTimestamp":start,"completionTimestamp":start,"expiration":"2026-04-01T00:00:00Z"}})
}

fn location(name: &str) -> Value {
    json!({"apiVersion":"velero.io/v1","kind":"BackupStorageLocation","metadata":{"name":name},"spec":{"default":true},"status":{"phase":"Available"}})
}

fn file(name: &str, object: Option<Value>, cluster: &str) -> FileBackup {
    let archive = Archive { origin: format!("{name}.tar.gz"), cluster_uid: Some(cluster.into()), ..Archive::default() };
    FileBackup {
        name: name.into(),
        object,
        start: Some("2026-03-02T01:00:00Z".parse().expect("a time")),
        content: Ok(Arc::new(archive)),
        damage: None,
        cluster_uid: Some(cluster.into()),
    }
}

fn told(objects: &[Value], files: Vec<FileBackup>) -> Vec<String> {
    assess(objects.iter(), files, Some("ours"), NOW.parse().expect("a time"))
        .backups
        .iter()
        .map(|b| {
            let content = match &b.content {
                BackupContent::Read(_) => "read".to_owned(),
                BackupContent::Unread(failure) => failure.reason.to_string(),
            };
            format!("{} {} {content}", b.name, b.state.name())
        })
        .collect()
}

#[test]
fn backups_are_joined_with_their_files_newest_first() {
    let objects = [location("default"), backup("old", "2026-02-28T01:00:00Z", "u1"), backup("new", "2026-03-02T01:00:00Z", "u2")];
    assert_eq!(told(&objects, vec![]), ["new restorable content_unread", "old restorable content_unread"]);
    assert_eq!(told(&objects, vec![file("new", None, "ours")]), ["new restorable read", "old restorable content_unread"]);
    assert_eq!(told(&objects, vec![file("new", None, "theirs")]), ["new foreign read", "old restorable content_unread"]);
    // Synced from the bucket: another uid, the same start, so the same backup.
    assert_eq!(
        told(&objects, vec![file("new", Some(backup("new", "2026-03-02T01:00:00Z", "other")), "ours")]),
        ["new restorable read", "old restorable content_unread"]
    );
    // Neither: two backups that share a name.
    assert_eq!(
        told(&objects, vec![file("new", Some(backup("new", "2026-01-02T01:00:00Z", "other")), "ours")]),
        ["new restorable content_unread", "old restorable content_unread", "new restorable read"]
    );
}

#[test]
fn an_unread_backup_says_how_to_give_its_content() {
    let found = assess([location("default"), backup("b", "2026-03-02T01:00:00Z", "u")].iter(), vec![], None, NOW.parse().expect("a time"));
    let BackupContent::Unread(failure) = &found.backups[0].content else { panic!("read") };
    assert_eq!(failure.message, "what backup b holds was not read; fetch it with `velero backup download b` and give it with --backup FILE");
}

#[test]
fn a_file_alone_is_taken_at_its_word_and_its_scope_is_unknown() {
    let found = assess([].iter(), vec![file("b", None, "ours")], None, NOW.parse().expect("a time"));
    let backup = &found.backups[0];
    assert_eq!((backup.state, &*backup.phase, backup.start.is_some()), (BackupState::Restorable, "", true));
    assert_eq!(backup.why, "it was given as a file without its velero-backup.json, and is taken to be complete");
    assert_eq!(*backup.scope, Scope::default());
    let mut damaged = file("b", None, "ours");
    damaged.content = Err(Failure::new("archive_truncated", "x"));
    damaged.damage = Some("the archive ends too early".into());
    assert_eq!(told(&[], vec![damaged]), ["b invalid archive_truncated"]);
}

#[test]
fn schedules_say_when_they_are_due_and_what_is_wrong_with_them() {
    let schedule = |name: &str, spec: Value, status: Value| json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":name,"creationTimestamp":"2026-03-01T00:30:00Z"},"spec":spec,"status":status});
    let daily = |extra: Value| {
        let mut spec = json!({"schedule":"0 1 * * *","template":{}});
        spec.as_object_mut().expect("a mapping").extend(extra.as_object().expect("a mapping").clone());
        spec
    };
    let objects = [
        location("default"),
        json!({"apiVersion":"velero.io/v1","kind":"BackupStorageLocation","metadata":{"name":"archive"},"spec":{"accessMode":"ReadOnly"},"status":{"phase":"Available"}}),
        schedule("a-new", daily(json!({})), json!({"phase":"Enabled"})),
        schedule("b-ran", daily(json!({})), json!({"lastBackup":"2026-03-02T01:00:00Z"})),
        schedule("c-skipped", daily(json!({})), json!({"lastBackup":"2026-02-01T01:00:00Z","lastSkipped":"2026-03-02T09:00:00Z"})),
        schedule("d-overdue", daily(json!({})), json!({"lastBackup":"2026-02-20T01:00:00Z"})),
        schedule("e-paused", daily(json!({"paused":true})), json!({"lastBackup":"2026-03-02T01:00:00Z"})),
        schedule("f-bad", daily(json!({"schedule":"0 1 * * 7"})), json!({"phase":"FailedValidation","validationErrors":["invalid schedule"]})),
        schedule("g-never", daily(json!({"schedule":"0 0 31 2 *"})), json!({})),
        schedule("h-every", daily(json!({"schedule":"@every 6h"})), json!({"lastBackup":"2026-03-02T10:00:30Z"})),
        schedule("i-nowhere", daily(json!({"template":{"storageLocation":"gone"}})), json!({})),
        schedule("j-readonly", daily(json!({"template":{"storageLocation":"archive"}})), json!({})),
        schedule("k-mixed", daily(json!({"template":{"includedResources":["pods"],"includedClusterScopedResources":["*"]}})), json!({})),
        schedule("l-empty", json!({}), json!({})),
    ];
    let found = assess(objects.iter(), vec![], None, NOW.parse().expect("a time"));
    let told: Vec<String> = found
        .schedules
        .iter()
        .map(|s| {
            let next = s.next_due.map_or("-".to_owned(), |t| t.to_string());
            let hours = s.interval.map_or("-".to_owned(), |i| format!("{}h", i.as_secs() / 3600));
            format!("{} | {next} | {hours} | {}", s.name, s.problem.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "a-new | 2026-03-01T01:00:00Z | 24h | -",
            "b-ran | 2026-03-03T01:00:00Z | 24h | -",
            "c-skipped | 2026-03-03T01:00:00Z | 24h | -",
            "d-overdue | 2026-02-21T01:00:00Z | 24h | -",
            "e-paused | - | 24h | -",
            "f-bad | - | - | Velero cannot read its cron expression \"0 1 * * 7\": end of range (7) above maximum (6): 7",
            "g-never | - | - | its cron expression \"0 0 31 2 *\" names no date that comes within five years",
            "h-every | 2026-03-02T16:00:30Z | 6h | -",
            "i-nowhere | 2026-03-01T01:00:00Z | 24h | Velero will refuse its backups as long as storage location gone does not exist",
            "j-readonly | 2026-03-01T01:00:00Z | 24h | Velero will refuse its backups as long as storage location archive is read-only",
            "k-mixed | 2026-03-01T01:00:00Z | 24h | Velero will refuse its backups: old kind filters (includedResources, excludedResources, includeClusterResources) and new ones are mixed",
            "l-empty | - | - | it has no cron expression",
        ]
    );
    assert_eq!(found.schedules[0].location.as_deref(), Some("default"));
    assert_eq!(found.schedules[0].interval, Some(Duration::from_secs(86_400)));
}

#[test]
fn a_namespace_that_is_labelled_is_out_of_every_schedule() {
    let objects = [
        json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"scratch","labels":{"velero.io/exclude-from-backup":"true"}}}),
        json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":"s"},"spec":{"schedule":"@daily","template":{}}}),
    ];
    let found = assess(objects.iter(), vec![], None, NOW.parse().expect("a time"));
    assert_eq!(*found.schedules[0].scope, Scope::of_template(&json!({}), &["scratch".into()]));
    assert_ne!(*found.schedules[0].scope, Scope::of_template(&json!({}), &[]));
}
