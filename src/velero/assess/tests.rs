//! Objects and archives joined: what counts, what is due, what is unread. pure

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::verdict::world::World;

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
        side: SideFiles::default(),
    }
}

fn ours() -> Cluster {
    Cluster { uid: Some("ours".into()), namespaces: [("shop".into(), "u-shop".into())].into(), names: Names::builtin(), ..Cluster::default() }
}

fn told(objects: &[Value], files: Vec<FileBackup>) -> Vec<String> {
    assess(objects.iter(), files, vec![], &ours(), NOW.parse().expect("a time"))
        .backups
        .iter()
        .map(|b| {
            let content = match &b.content {
                BackupContent::Read(_) => "read".to_owned(),
                BackupContent::Unread(failure) => failure.reason.to_string(),
                BackupContent::Damaged(failure) => format!("damaged {}", failure.reason),
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
    let found = assess(
        [location("default"), backup("b", "2026-03-02T01:00:00Z", "u")].iter(),
        vec![],
        vec![],
        &Cluster::default(),
        NOW.parse().expect("a time"),
    );
    let failure = found.backups[0].content.archive().expect_err("unread");
    assert_eq!(failure.message, "what backup b holds was not read; fetch it with `velero backup download b` and give it with --backup FILE");
}

#[test]
fn a_file_alone_is_taken_at_its_word_and_its_scope_is_unknown() {
    let found = assess([].iter(), vec![file("b", None, "ours")], vec![], &Cluster::default(), NOW.parse().expect("a time"));
    let backup = &found.backups[0];
    assert_eq!((backup.state, &*backup.phase, backup.start.is_some()), (BackupState::Restorable, "", true));
    assert_eq!(backup.why, "it was given as a file without its velero-backup.json, and is taken to be complete");
    assert_eq!(*backup.scope, Scope::default());
}

#[test]
fn a_damaged_archive_may_still_be_the_one_that_speaks_unless_its_backup_is_useless_anyway() {
    let damaged = |object: Option<Value>| FileBackup {
        content: Err(Failure::new("archive_truncated", "x")),
        damage: Some(Damage::Copy("the archive ends too early".into())),
        cluster_uid: None,
        ..file("b", object, "ours")
    };
    let stored = |object| FileBackup { damage: Some(Damage::Stored("the archive ends too early".into())), ..damaged(object) };
    let own = || backup("b", "2026-03-02T01:00:00Z", "u");
    let with = |key: &str, value: &str| {
        let mut object = own();
        object["status"][key] = value.into();
        object
    };
    let in_cluster = [location("default"), own()];
    for (objects, file, want) in [
        (&[][..], damaged(None), "b invalid damaged archive_truncated"),
        (&[], damaged(Some(own())), "b invalid damaged archive_truncated"),
        (&in_cluster, damaged(Some(own())), "b restorable damaged archive_truncated"),
        (&in_cluster, stored(Some(own())), "b invalid archive_truncated"),
        (&[], stored(Some(own())), "b invalid archive_truncated"),
        (&[], damaged(Some(with("phase", "Failed"))), "b invalid archive_truncated"),
        (&[], damaged(Some(with("expiration", "2026-03-02T02:00:00Z"))), "b expired archive_truncated"),
    ] {
        assert_eq!(told(objects, vec![file]), [want]);
    }
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
    let found = assess(objects.iter(), vec![], vec![], &Cluster::default(), NOW.parse().expect("a time"));
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
    let found = assess(objects.iter(), vec![], vec![], &Cluster::default(), NOW.parse().expect("a time"));
    assert_eq!(*found.schedules[0].scope, Scope::of_template(&json!({}), &["scratch".into()]));
    assert_ne!(*found.schedules[0].scope, Scope::of_template(&json!({}), &[]));
}

fn side(errors: Value) -> SideFiles {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, json!({ "errors": errors }).to_string().as_bytes()).expect("written");
    let mut files = SideFiles::default();
    files.take(crate::velero::beside::SideFile::Results, "b-results.gz", Ok(Some(&out.finish().expect("ended"))));
    files
}

/// One backup with its archive, in the cluster of [`ours`], as state, reason and remarks.
fn evidence(mut object: Value, change: impl FnOnce(&mut FileBackup, &mut Archive), edit: impl FnOnce(&mut Value)) -> (Backup, String) {
    edit(&mut object);
    let mut file = file("b", None, "ours");
    let mut archive = Archive { origin: "b.tar.gz".into(), ..Archive::default() };
    file.cluster_uid = None;
    change(&mut file, &mut archive);
    archive.cluster_uid.clone_from(&file.cluster_uid);
    file.content = Ok(Arc::new(archive));
    let found = assess([location("default"), object].iter(), vec![file], vec![], &ours(), NOW.parse().expect("a time"));
    let backup = found.backups.into_iter().find(|b| &*b.name == "b").expect("the backup");
    let remarks: Vec<&str> = backup.remarks.iter().map(|r| &*r.reason).collect();
    let text = format!("{} {} [{}]", backup.state.name(), backup.reason, remarks.join(" "));
    (backup, text)
}

#[test]
fn a_partially_failed_backup_names_what_it_failed_on_and_what_it_holds_all_the_same() {
    let errors = json!({"namespaces": {"shop": [
        " resource: /configmaps name: /rates message: /Error backing up item error: /boom",
        " resource: /pods name: /db-0 message: /Error backing up item error: /daemonset pod not found in running state in node n1",
        " resource: /pods name: /db-0 message: /again"]}, "velero": [" message: /fail to get the namespace gone"]});
    let held = crate::verdict::world::take(World::config_map("shop", "rates", "1"));
    let (backup, text) = evidence(
        backup("b", "2026-03-02T01:00:00Z", "u"),
        |file, archive| {
            file.side = side(errors);
            archive.objects = [Arc::new(held)].into_iter().collect();
        },
        |b| {
            b["status"]["phase"] = "PartiallyFailed".into();
            b["status"]["errors"] = 3.into();
        },
    );
    assert_eq!(text, "degraded partially_failed [objects_missing]");
    let told = |backup: &Backup| -> Vec<String> {
        backup.missing.iter().map(|m| format!("{} {} {:?} {}", m.resource.as_deref().unwrap_or("-"), m.name, m.held, m.message)).collect()
    };
    let agent = "Error backing up item: daemonset pod not found in running state in node n1";
    assert_eq!(told(&backup), ["configmaps rates Some(true) Error backing up item: boom".to_owned(), format!("pods db-0 Some(false) {agent}")]);
    assert!(backup.why.ends_with("it failed on pods shop/db-0"), "{}", backup.why);
    // As Velero 1.18 writes it: the error names no kind, and the list of what it set out to write does.
    let errors =
        json!({"velero": [format!(" name: /db-0 message: /Error backing up item error: /daemonset pod not found in running state in node n1")]});
    let mut files = side(errors);
    files.listed = crate::witness::Side::Read(vec![
        crate::witness::ListedObject { kind: "v1/Pod".into(), namespace: Some("shop".into()), name: "db-0".into() },
        crate::witness::ListedObject { kind: "v1/ConfigMap".into(), namespace: Some("shop".into()), name: "rates".into() },
    ]);
    let held = crate::verdict::world::take(World::config_map("shop", "rates", "1"));
    let (listed, _) = evidence(
        self::backup("b", "2026-03-02T01:00:00Z", "u"),
        |file, archive| {
            file.side = files;
            archive.objects = [Arc::new(held)].into_iter().collect();
        },
        |b| b["status"]["phase"] = "PartiallyFailed".into(),
    );
    assert_eq!(told(&listed), [format!("pods db-0 Some(false) {agent}")]);
}

#[test]
fn whose_a_backup_without_kube_system_is_its_namespaces_tell() {
    let object = || backup("b", "2026-03-02T01:00:00Z", "u");
    let synced = |b: &mut Value| b["metadata"]["creationTimestamp"] = "2026-03-02T05:00:00Z".into();
    let holding = |name: &str, uid: &str| {
        let namespaces = [(name.into(), uid.into())].into();
        move |_: &mut FileBackup, archive: &mut Archive| archive.namespaces = namespaces
    };
    let told = |name: &str, uid: &str, is_synced: bool| {
        evidence(object(), holding(name, uid), |b| {
            if is_synced {
                synced(b)
            }
        })
        .1
    };
    assert_eq!(told("shop", "u-shop", true), "restorable completed []", "synced, and its namespace is ours");
    assert_eq!(told("shop", "u-other", true), "foreign foreign []");
    assert_eq!(told("shop", "u-other", false), "restorable completed [namespaces_made_anew]");
    assert_eq!(told("elsewhere", "u-other", true), "restorable completed [looks_foreign]", "nothing in common, so nothing is proven");
}

#[test]
fn torn_captures_and_starts_in_one_second_are_told() {
    let torn = |_: &mut FileBackup, archive: &mut Archive| {
        archive.torn = vec![crate::witness::Remark::new("syncing", "Application argocd/shop was being synced")];
    };
    let (torn, text) = evidence(backup("b", "2026-03-02T01:00:00Z", "u"), torn, |_| ());
    assert_eq!(text, "restorable completed [torn]");
    assert!(torn.why.contains("in the middle of a change: Application argocd/shop was being synced"), "{}", torn.why);
    let objects = [location("default"), backup("a", "2026-03-02T01:00:00Z", "u1"), backup("b", "2026-03-02T01:00:00Z", "u2")];
    let found = assess(objects.iter(), vec![], vec![], &ours(), NOW.parse().expect("a time"));
    assert_eq!(found.backups.iter().map(|b| &*b.name).collect::<Vec<_>>(), ["b", "a"]);
    assert!(found.backups.iter().all(|b| b.remarks.iter().any(|r| &*r.reason == "same_second")));
}

#[test]
fn attempts_to_copy_volumes_find_their_backup_by_the_label_that_stands_for_its_name() {
    let long = "nightly-of-everything-that-anybody-ever-put-into-this-cluster-20260301010000";
    let label = "nightly-of-everything-that-anybody-ever-put-into-this-clu906291";
    let upload = |backup: &str, uid: Option<&str>, claim: &str| {
        let mut labels = json!({"velero.io/backup-name":backup,"velero.io/pvc-uid":"u-claim"});
        if let Some(uid) = uid {
            labels["velero.io/backup-uid"] = uid.into();
        }
        json!({"apiVersion":"velero.io/v2alpha1","kind":"DataUpload","metadata":{"name":claim,"labels":labels},
            "spec":{"sourceNamespace":"shop","sourcePVC":claim},"status":{"phase":"Completed"}})
    };
    let objects = [
        location("default"),
        backup("short", "2026-03-02T01:00:00Z", "u-short"),
        backup(long, "2026-03-02T01:00:00Z", "u-long"),
        upload("short", Some("u-short"), "a"),
        upload(label, Some("u-long"), "b"),
        upload(label, None, "c"),
        // Of a backup of that name that was deleted, and of one that is gone.
        upload("short", Some("u-former"), "d"),
        upload("gone", Some("u-gone"), "e"),
    ];
    let found = assess(objects.iter(), vec![], vec![], &ours(), NOW.parse().expect("a time"));
    let told: Vec<(&str, &str)> = found.copies.iter().map(|(b, c)| (&**b, c.claim.as_deref().unwrap_or_default())).collect();
    assert_eq!(told, [("short", "a"), (long, "b"), (long, "c")]);
    assert_eq!(found.copies[0].1.claim_uid.as_deref(), Some("u-claim"));
}

#[test]
fn schedules_are_due_in_the_zone_of_veleros_server() {
    let nightly = |cron: &str| {
        json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":"nightly","creationTimestamp":"2026-01-01T00:00:00Z"},
        "spec":{"schedule":cron,"template":{}},"status":{"phase":"Enabled","lastBackup":"2026-03-02T00:00:05Z"}})
    };
    let due = |zone: Option<&str>, cron: &str| {
        let zone = zone.map(|z| crate::velero::cron::zone(z).expect("a zone"));
        let cluster = Cluster { server: Server { zone, validation: None }, ..Cluster::default() };
        let objects = [location("default"), nightly(cron)];
        let found = assess(objects.iter(), vec![], vec![], &cluster, NOW.parse().expect("a time"));
        (found.schedules[0].next_due.map(|t| t.to_string()), found.schedules[0].zone.iana_name().unwrap_or("UTC").to_owned())
    };
    let said = |due: &str, zone: &str| (Some(due.to_owned()), zone.to_owned());
    // It ran at one in the morning in Berlin, and is not overdue.
    assert_eq!(due(Some("Europe/Berlin"), "0 1 * * *"), said("2026-03-03T00:00:00Z", "Europe/Berlin"));
    assert_eq!(due(Some("Europe/Berlin"), "CRON_TZ=Local 0 1 * * *"), said("2026-03-03T00:00:00Z", "Europe/Berlin"));
    assert_eq!(due(Some("Europe/Berlin"), "CRON_TZ=UTC 0 1 * * *"), said("2026-03-02T01:00:00Z", "Europe/Berlin"));
    assert_eq!(due(None, "0 1 * * *"), said("2026-03-02T01:00:00Z", "UTC"));
}

#[test]
fn templates_are_filled_in_as_the_newest_backup_shows_that_this_velero_does() {
    let began = |name: &str, start: &str, spec: Value, created: &str| {
        let mut object = backup(name, start, "u");
        object["metadata"]["creationTimestamp"] = created.into();
        object["spec"] = spec;
        object
    };
    let old = || json!({"storageLocation":"default","includedNamespaces":["*"]});
    let new = || {
        json!({"storageLocation":"default","includedNamespaces":["*"],"excludedClusterScopedResources":["volumesnapshotcontents.snapshot.storage.k8s.io"],
        "excludedNamespaceScopedResources":["volumesnapshots.snapshot.storage.k8s.io"]})
    };
    let everything = json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":"s"},"spec":{"schedule":"@daily","template":{}}});
    let trap = |backups: Vec<Value>| {
        let objects: Vec<Value> = [location("default"), everything.clone()].into_iter().chain(backups).collect();
        assess(objects.iter(), vec![], vec![], &ours(), NOW.parse().expect("a time")).schedules[0].scope.is_unfiltered_trap()
    };
    let own = |name: &str, start: &str, spec: Value| began(name, start, spec, start);
    assert!(trap(vec![]), "nothing ran yet: as Velero does today");
    assert!(!trap(vec![own("a", "2026-03-02T01:00:00Z", old())]));
    assert!(trap(vec![own("a", "2026-03-01T01:00:00Z", old()), own("b", "2026-03-02T01:00:00Z", new())]), "it was upgraded since");
    let synced = began("b", "2026-03-02T01:00:00Z", new(), "2026-03-02T09:00:00Z");
    assert!(!trap(vec![own("a", "2026-03-01T01:00:00Z", old()), synced]), "another cluster's Velero tells nothing of this one");
    let by_old_filters = json!({"storageLocation":"default","includedNamespaces":["*"],"includedResources":["*"]});
    assert!(!trap(vec![own("a", "2026-03-02T01:00:00Z", by_old_filters)]));
}

#[test]
fn a_location_at_which_velero_has_not_looked_for_long_is_not_known_to_be_available() {
    let at = |validated: &str, frequency: Option<&str>, phase: &str| {
        let mut object = location("default");
        object["status"] = json!({"phase":phase,"lastValidationTime":validated});
        if let Some(frequency) = frequency {
            object["spec"]["validationFrequency"] = frequency.into();
        }
        object
    };
    let stale = |object: Value, server: Option<u64>, seen: Option<&str>| {
        let server = Server { zone: None, validation: server.map(Duration::from_secs) };
        let cluster = Cluster { server, seen: seen.map(|t| t.parse().expect("a time")), ..Cluster::default() };
        assess([object].iter(), vec![], vec![], &cluster, NOW.parse().expect("a time")).locations[0].stale.clone()
    };
    let month = || at("2026-02-02T12:00:00Z", None, "Available");
    assert_eq!(stale(month(), None, None).as_deref(), Some("Velero last looked at it 28 d ago, and should every 1 min"));
    for (what, object, server, seen, late) in [
        ("just now", at("2026-03-02T11:59:00Z", None, "Available"), None, None, false),
        ("within ten minutes", at("2026-03-02T11:50:00Z", None, "Available"), None, None, false),
        ("later than that", at("2026-03-02T11:49:59Z", None, "Available"), None, None, true),
        ("seldom, as it says", at("2026-03-02T08:00:00Z", Some("1h"), "Available"), None, None, false),
        ("later than it says", at("2026-03-02T06:00:00Z", Some("1h"), "Available"), None, None, true),
        ("seldom, as the server is told", at("2026-03-02T08:00:00Z", None, "Available"), Some(3600), None, false),
        ("its own frequency wins", at("2026-03-02T08:00:00Z", Some("1m"), "Available"), Some(3600), None, true),
        ("never, as it says", at("2026-02-02T12:00:00Z", Some("0"), "Available"), None, None, false),
        ("never, as the server is told", month(), Some(0), None, false),
        ("a dump of that day", month(), None, Some("2026-02-02T12:05:00Z"), false),
        ("not available anyway", at("2026-02-02T12:00:00Z", None, "Unavailable"), None, None, false),
    ] {
        assert_eq!(stale(object, server, seen).is_some(), late, "{what}");
    }
}
