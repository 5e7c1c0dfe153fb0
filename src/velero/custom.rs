//! Velero's own objects, read with tolerance: what is odd becomes a diagnostic, never an error. pure
//!
//! Sources: pkg/apis/velero/v1/*_types.go. No kind has a status subresource, and new phases appear between releases, so phases are kept as
//! text. A member of the wrong type counts as absent and is told.

mod reader;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use reader::Reader;

use super::beside;
use crate::{
    object::{EXCLUDE_LABEL, Text},
    witness::{Diagnostic, RestoredVolume, VolumeCopy},
};

/// What every object of Velero has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Name.
    pub name: Text,
    /// Namespace.
    pub namespace: Option<Text>,
    /// uid. A backup that was synced from the bucket has another one than in its `velero-backup.json`.
    pub uid: Option<Text>,
    /// `metadata.creationTimestamp`, by the API server's clock.
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// What is odd about it, one sentence each.
    pub odd: Vec<String>,
}

/// A Backup.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backup {
    /// Name and the like.
    pub head: Head,
    /// Label `velero.io/schedule-name`.
    pub schedule: Option<Text>,
    /// Label `velero.io/gc-failure`: why an expired backup could not be collected.
    pub gc_failure: Option<Text>,
    /// `spec`, for [`super::Scope`].
    pub spec: Value,
    /// `spec.storageLocation`.
    pub location: Option<Text>,
    /// `spec.itemOperationTimeout`; Velero's default is four hours.
    pub item_operation_timeout: Option<Duration>,
    /// `status.phase`; empty means new.
    pub phase: Text,
    /// `status.startTimestamp`, by Velero's clock.
    pub start: Option<Timestamp>,
    /// `status.completionTimestamp`, by Velero's clock; set on failure too.
    pub completed: Option<Timestamp>,
    /// `status.expiration`.
    pub expires: Option<Timestamp>,
    /// `status.errors`.
    pub errors: u64,
    /// `status.warnings`.
    pub warnings: u64,
    /// `status.failureReason`.
    pub failure: Option<String>,
    /// `status.validationErrors`.
    pub validation_errors: Vec<String>,
}

/// A Schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Name and the like.
    pub head: Head,
    /// `spec.schedule`.
    pub cron: Text,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.skipImmediately`. Velero turns it to false as soon as it has skipped; a paused schedule keeps it.
    pub skip_immediately: Option<bool>,
    /// `spec.template.ttl`.
    pub ttl: Option<Duration>,
    /// `spec.template`, for [`super::Scope`].
    pub template: Value,
    /// `spec.template.storageLocation`.
    pub location: Option<Text>,
    /// `status.phase`.
    pub phase: Text,
    /// `status.lastBackup`: when the newest backup was submitted; says nothing about its success.
    pub last_backup: Option<Timestamp>,
    /// `status.lastSkipped`.
    pub last_skipped: Option<Timestamp>,
    /// `status.validationErrors`.
    pub validation_errors: Vec<String>,
}

/// A BackupStorageLocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Location {
    /// Name and the like.
    pub head: Head,
    /// `spec.default`.
    pub default: bool,
    /// `spec.accessMode` is `ReadOnly`.
    pub read_only: bool,
    /// `status.phase`; empty counts as not available, as in Velero.
    pub phase: Text,
    /// `status.message`.
    pub message: Option<String>,
    /// `status.lastValidationTime`.
    pub validated: Option<Timestamp>,
    /// `spec.validationFrequency`, if it names one that counts; zero switches validation off.
    pub validation: Option<Duration>,
}

/// A Restore, as far as it proves that a backup can be restored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restore {
    /// Name and the like.
    pub head: Head,
    /// `spec.backupName`.
    pub backup: Option<Text>,
    /// `spec.scheduleName`.
    pub schedule: Option<Text>,
    /// `status.phase`.
    pub phase: Text,
    /// `status.startTimestamp`.
    pub started: Option<Timestamp>,
    /// `status.completionTimestamp`.
    pub completed: Option<Timestamp>,
    /// `status.errors`.
    pub errors: u64,
    /// `status.warnings`.
    pub warnings: u64,
    /// `spec.namespaceMapping`.
    pub mapping: BTreeMap<Text, Text>,
    /// Why it brings back a part only, if it was asked for one.
    pub part: Option<String>,
}

/// A RestoreReport of Kymaros, joined with the RestoreTest that it is of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KymarosReport {
    /// Name and the like.
    pub head: Head,
    /// `spec.testRef`.
    pub test: Option<Text>,
    /// `status.result`: pass, fail or partial.
    pub result: Option<Text>,
    /// `status.backup.name`.
    pub backup: Option<Text>,
    /// `status.startedAt`.
    pub started: Option<Timestamp>,
    /// `status.completedAt`.
    pub completed: Option<Timestamp>,
    /// Namespaces that its test restores.
    pub namespaces: Vec<Text>,
}

/// A DeleteBackupRequest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteRequest {
    /// Name and the like.
    pub head: Head,
    /// `spec.backupName`.
    pub backup: Text,
    /// Label `velero.io/backup-uid`.
    pub backup_uid: Option<Text>,
    /// `status.phase`; anything but `Processed` is open (pkg/controller/gc_controller.go).
    pub phase: Text,
}

/// An attempt to copy a volume: a PodVolumeBackup or a DataUpload.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its backup, by name or by the label that stands for the name.
    pub backup: Text,
    /// Label `velero.io/backup-uid`.
    pub backup_uid: Option<Text>,
    /// What became of it.
    pub copy: VolumeCopy,
}

/// All of Velero's objects that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// Backups.
    pub backups: Vec<Backup>,
    /// Schedules.
    pub schedules: Vec<Schedule>,
    /// Storage locations.
    pub locations: Vec<Location>,
    /// Restores.
    pub restores: Vec<Restore>,
    /// Requests to delete backups.
    pub deletions: Vec<DeleteRequest>,
    /// Attempts to copy volumes.
    pub attempts: Vec<Attempt>,
    /// Volumes that restores brought back, by the label and the uid of their restore.
    pub returns: Vec<(Text, Option<Text>, RestoredVolume)>,
    /// Reports of Kymaros.
    pub kymaros: Vec<KymarosReport>,
    /// Namespaces labelled `velero.io/exclude-from-backup=true`, if namespaces were among the objects: Velero leaves them out of every
    /// backup (pkg/controller/backup_controller.go `prepareBackupRequest`).
    pub excluded_namespaces: Vec<Text>,
    /// What is odd, and what is no object at all.
    pub diagnostics: Vec<Diagnostic>,
}

/// Label by which Velero's objects name their backup: [`super::label::valid_name`] of its name.
const BACKUP_LABEL: &str = "velero.io/backup-name";

/// Labels by which they name their restore; a long name is cut and hashed as well, the uid is not.
const RESTORE_LABELS: [&str; 2] = ["velero.io/restore-name", "velero.io/restore-uid"];

/// The API group of Kymaros.
pub const KYMAROS: &str = "restore.kymaros.io";

/// Reads Velero's objects out of any objects; others are passed over.
pub fn read<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Objects {
    let mut found = Objects::default();
    let mut tests: BTreeMap<(Option<Text>, Text), Vec<Text>> = BTreeMap::new();
    for object in objects {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, kind) = (text("apiVersion").rsplit_once('/').map_or("", |(group, _)| group), text("kind"));
        let mut reader = Reader::new(object);
        match (group, kind) {
            ("", "Namespace") => {
                if reader.label(EXCLUDE_LABEL).as_deref() == Some("true") {
                    found.excluded_namespaces.extend(reader.text("/metadata/name"));
                }
                continue;
            }
            ("velero.io", "PodVolumeBackup") => {
                let backup = reader.text("/spec/tags/backup").or_else(|| reader.label(BACKUP_LABEL));
                found.attempts.extend(attempt(&mut reader, backup, beside::of_pod_volume_backup(object)));
                continue;
            }
            ("velero.io", "DataUpload") => {
                let backup = reader.label(BACKUP_LABEL);
                found.attempts.extend(attempt(&mut reader, backup, beside::of_data_upload(object)));
                continue;
            }
            ("velero.io", "PodVolumeRestore" | "DataDownload") => {
                let [restore, uid] = RESTORE_LABELS.map(|key| reader.label(key));
                let volume = if kind == "DataDownload" { beside::of_data_download(object) } else { beside::of_pod_volume_restore(object) };
                found.returns.extend(restore.map(|r| (r, uid, volume)));
                continue;
            }
            (KYMAROS, "RestoreTest") => {
                let names = object.pointer("/spec/backupSource/namespaces").and_then(Value::as_array).into_iter().flatten();
                let names = names.filter_map(|n| n.get("name").and_then(Value::as_str)).map(Text::from).collect();
                let head = head(&mut reader);
                tests.insert((head.namespace, head.name), names);
                continue;
            }
            (KYMAROS, "RestoreReport") => {
                found.kymaros.push(kymaros(&mut reader));
                continue;
            }
            ("velero.io", _) => {}
            _ => continue,
        }
        let Some(name) = reader.text("/metadata/name") else {
            let message = format!("a {kind} without a name was passed over");
            found.diagnostics.push(Diagnostic { file: kind.into(), line: None, reason: "not_an_object".into(), message });
            continue;
        };
        let odd = match kind {
            "Backup" => push(&mut found.backups, backup(&mut reader), reader, |o| &mut o.head),
            "Schedule" => push(&mut found.schedules, schedule(&mut reader), reader, |o| &mut o.head),
            "BackupStorageLocation" => push(&mut found.locations, location(&mut reader), reader, |o| &mut o.head),
            "Restore" => push(&mut found.restores, restore(&mut reader), reader, |o| &mut o.head),
            "DeleteBackupRequest" => push(&mut found.deletions, deletion(&mut reader), reader, |o| &mut o.head),
            _ => continue,
        };
        let file = Text::from(format!("{kind} {name}"));
        found.diagnostics.extend(odd.into_iter().map(|message| Diagnostic {
            file: file.clone(),
            line: None,
            reason: "malformed_member".into(),
            message,
        }));
    }
    for report in &mut found.kymaros {
        let test = report.test.clone().and_then(|test| tests.get(&(report.head.namespace.clone(), test)));
        report.namespaces = test.cloned().unwrap_or_default();
    }
    found
}

fn attempt(reader: &mut Reader<'_>, backup: Option<Text>, copy: VolumeCopy) -> Option<Attempt> {
    Some(Attempt { backup: backup?, backup_uid: reader.label("velero.io/backup-uid"), copy })
}

/// One Backup, as `velero-backup.json` holds it. `None`: it is no Backup with a name.
pub fn read_backup(object: &Value) -> Option<Backup> {
    read([object]).backups.pop()
}

fn push<T>(into: &mut Vec<T>, mut object: T, reader: Reader<'_>, head: fn(&mut T) -> &mut Head) -> Vec<String> {
    let odd = reader.finish();
    head(&mut object).odd.clone_from(&odd);
    into.push(object);
    odd
}

fn head(r: &mut Reader<'_>) -> Head {
    Head {
        name: r.text("/metadata/name").unwrap_or_else(|| "".into()),
        namespace: r.text("/metadata/namespace"),
        uid: r.text("/metadata/uid"),
        created: r.time("/metadata/creationTimestamp"),
        deleting: r.text("/metadata/deletionTimestamp").is_some(),
        odd: Vec::new(),
    }
}

fn backup(r: &mut Reader<'_>) -> Backup {
    Backup {
        head: head(r),
        schedule: r.label("velero.io/schedule-name"),
        gc_failure: r.label("velero.io/gc-failure"),
        spec: r.mapping("/spec"),
        location: r.text("/spec/storageLocation"),
        item_operation_timeout: r.duration("/spec/itemOperationTimeout"),
        phase: r.text("/status/phase").unwrap_or_else(|| "".into()),
        start: r.time("/status/startTimestamp"),
        completed: r.time("/status/completionTimestamp"),
        expires: r.time("/status/expiration"),
        errors: r.count("/status/errors"),
        warnings: r.count("/status/warnings"),
        failure: r.text("/status/failureReason").map(|t| t.to_string()),
        validation_errors: r.texts("/status/validationErrors"),
    }
}

fn schedule(r: &mut Reader<'_>) -> Schedule {
    Schedule {
        head: head(r),
        cron: r.text("/spec/schedule").unwrap_or_else(|| "".into()),
        paused: r.flag("/spec/paused"),
        skip_immediately: r.mapping("/spec").get("skipImmediately").and_then(Value::as_bool),
        ttl: r.duration("/spec/template/ttl"),
        template: r.mapping("/spec/template"),
        location: r.text("/spec/template/storageLocation"),
        phase: r.text("/status/phase").unwrap_or_else(|| "".into()),
        last_backup: r.time("/status/lastBackup"),
        last_skipped: r.time("/status/lastSkipped"),
        validation_errors: r.texts("/status/validationErrors"),
    }
}

fn location(r: &mut Reader<'_>) -> Location {
    Location {
        head: head(r),
        default: r.flag("/spec/default"),
        read_only: r.text("/spec/accessMode").as_deref() == Some("ReadOnly"),
        phase: r.text("/status/phase").unwrap_or_else(|| "".into()),
        message: r.text("/status/message").map(|t| t.to_string()),
        validated: r.time("/status/lastValidationTime"),
        validation: r.span("/spec/validationFrequency"),
    }
}

fn restore(r: &mut Reader<'_>) -> Restore {
    Restore {
        head: head(r),
        backup: r.text("/spec/backupName"),
        schedule: r.text("/spec/scheduleName"),
        phase: r.text("/status/phase").unwrap_or_else(|| "".into()),
        started: r.time("/status/startTimestamp"),
        completed: r.time("/status/completionTimestamp"),
        errors: r.count("/status/errors"),
        warnings: r.count("/status/warnings"),
        mapping: mapping(&r.mapping("/spec/namespaceMapping")),
        part: super::restores::part(&r.mapping("/spec")),
    }
}

fn mapping(value: &Value) -> BTreeMap<Text, Text> {
    value.as_object().into_iter().flatten().filter_map(|(from, to)| Some((from.as_str().into(), to.as_str()?.into()))).collect()
}

fn kymaros(r: &mut Reader<'_>) -> KymarosReport {
    KymarosReport {
        head: head(r),
        test: r.text("/spec/testRef"),
        result: r.text("/status/result"),
        backup: r.text("/status/backup/name"),
        started: r.time("/status/startedAt"),
        completed: r.time("/status/completedAt"),
        namespaces: Vec::new(),
    }
}

fn deletion(r: &mut Reader<'_>) -> DeleteRequest {
    DeleteRequest {
        head: head(r),
        backup: r.text("/spec/backupName").unwrap_or_else(|| "".into()),
        backup_uid: r.label("velero.io/backup-uid"),
        phase: r.text("/status/phase").unwrap_or_else(|| "".into()),
    }
}
