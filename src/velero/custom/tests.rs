//! Tolerance: odd objects are told, never lost and never an error. pure

use serde_json::json;

use super::*;

#[test]
fn a_backup_is_read_with_all_that_decides_on_its_state() {
    let object = json!({"apiVersion":"velero.io/v1","kind":"Backup",
        "metadata":{"name":"nightly-1","namespace":"velero","uid":"u","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"velero.io/schedule-name":"nightly"}},
        "spec":{"storageLocation":"default","itemOperationTimeout":"4h0m0s","ttl":"720h0m0s"},
        "status":{"phase":"Completed","startTimestamp":"2026-01-01T00:00:01Z","completionTimestamp":"2026-01-01T00:01:00Z",
            "expiration":"2026-01-31T00:00:01Z","warnings":2,"errors":null}});
    let backup = read_backup(&object).expect("a backup");
    assert_eq!((&*backup.head.name, backup.schedule.as_deref(), &*backup.phase), ("nightly-1", Some("nightly"), "Completed"));
    assert_eq!(backup.item_operation_timeout, Some(Duration::from_secs(4 * 3600)));
    assert_eq!((backup.errors, backup.warnings, backup.head.odd.len()), (0, 2, 0));
}

#[test]
fn a_malformed_object_is_kept_and_told() {
    let objects = [
        json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"odd","labels":[]},"spec":7,
            "status":{"phase":["x"],"startTimestamp":"yesterday","errors":-1,"validationErrors":"no"}}),
        json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":"s"},"spec":{"schedule":5,"paused":"yes"}}),
        json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{}}),
        json!({"apiVersion":"velero.io/v2alpha1","kind":"DataUpload","metadata":{"name":"x"}}),
        json!({"apiVersion":"example.com/v1","kind":"Backup","metadata":{"name":"other"}}),
        json!("text"),
        json!(null),
    ];
    let found = read(&objects);
    assert_eq!((found.backups.len(), found.schedules.len()), (1, 1));
    assert_eq!(&*found.backups[0].phase, "");
    let told: Vec<_> = found.diagnostics.iter().map(|d| format!("{}: {} {}", d.reason, d.file, d.message)).collect();
    assert_eq!(
        told,
        [
            "malformed_member: Backup odd spec is not a mapping and was passed over",
            "malformed_member: Backup odd status.phase is not text and was passed over",
            "malformed_member: Backup odd status.startTimestamp is not a time as RFC 3339 writes it and was passed over",
            "malformed_member: Backup odd status.errors is not a count and was passed over",
            "malformed_member: Backup odd status.validationErrors is not a list of texts and was passed over",
            "malformed_member: Schedule s spec.schedule is not text and was passed over",
            "malformed_member: Schedule s spec.paused is not true or false and was passed over",
            "not_an_object: Backup a Backup without a name was passed over",
        ]
    );
}

#[test]
fn unknown_words_are_kept_and_labelled_namespaces_are_found() {
    let objects = [
        json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"new"},"status":{"phase":"Levitating"}}),
        json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"scratch","labels":{"velero.io/exclude-from-backup":"true"}}}),
        json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}),
        json!({"apiVersion":"velero.io/v1","kind":"DeleteBackupRequest","metadata":{"name":"d"},"spec":{"backupName":"new"},"status":{"phase":"New"}}),
        json!({"apiVersion":"velero.io/v1","kind":"Restore","metadata":{"name":"r"},"spec":{"backupName":"new"},"status":{"phase":"Completed"}}),
    ];
    let found = read(&objects);
    assert_eq!(&*found.backups[0].phase, "Levitating");
    assert_eq!(found.excluded_namespaces, [Text::from("scratch")]);
    assert_eq!((&*found.deletions[0].backup, found.restores[0].backup.as_deref()), ("new", Some("new")));
}

#[test]
fn texts_of_others_are_cut() {
    let long = "é".repeat(5000);
    let object =
        json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"b"},"status":{"failureReason":long,"validationErrors":[long]}});
    let backup = read_backup(&object).expect("a backup");
    assert_eq!(backup.failure.map(|f| f.chars().count()), Some(1024));
    assert_eq!(backup.validation_errors[0].chars().count(), 1024);
}
