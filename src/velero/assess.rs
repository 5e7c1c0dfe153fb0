//! Joins Velero's objects and the archives at hand into what the backups hold. pure

mod evidence;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{
    Names,
    cron::Cron,
    custom::{self, Attempt, Objects},
    label::valid_name,
    restores,
    scope::{Defaults, Scope},
    server::Server,
    state::{Around, Damage, judge},
};
use crate::{
    object::Text,
    witness::{Archive, BackedUp, Backup, BackupContent, BackupState, Failure, Location, RestoreFiles, Schedule, SideFiles, VolumeAsk, VolumeCopy},
    words::span,
};

/// A backup whose archive was given or found.
#[derive(Clone, Debug)]
pub struct FileBackup {
    /// Its name.
    pub name: Text,
    /// `velero-backup.json`, if there is one.
    pub object: Option<Value>,
    /// Its start as told by the user, where there is no `velero-backup.json`.
    pub start: Option<Timestamp>,
    /// What it holds, or why that was not read.
    pub content: Result<Arc<Archive>, Failure>,
    /// What is wrong with the archive itself, if it is damaged.
    pub damage: Option<Damage>,
    /// uid of kube-system inside, known also where the content was let go.
    pub cluster_uid: Option<Text>,
    /// What Velero wrote beside the archive.
    pub side: SideFiles,
}

/// The cluster that backups are judged for.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// uid of kube-system.
    pub uid: Option<Text>,
    /// Its namespaces, with their uids.
    pub namespaces: BTreeMap<Text, Text>,
    /// What its kinds are called.
    pub names: Names,
    /// How Velero's server runs in it.
    pub server: Server,
    /// When its objects were read; absent: at the moment that is judged.
    pub seen: Option<Timestamp>,
}

/// What is the same for every backup.
struct Ground<'a> {
    objects: &'a Objects,
    locations: &'a [Location],
    cluster: &'a Cluster,
    now: Timestamp,
}

/// Reason of a backup that its storage location does not hold any more.
pub const DATA_GONE: &str = "data_gone";

/// Reason of content that nobody was told where to find.
pub const CONTENT_UNREAD: &str = "content_unread";

/// Velero's location when nothing names one (pkg/cmd/server/config `--default-backup-storage-location`).
const DEFAULT_LOCATION: &str = "default";

/// What the backups hold, and which of them each archive is of.
#[derive(Clone, Debug)]
pub struct Assessed {
    /// What the backups hold.
    pub backed_up: BackedUp,
    /// For each archive that was given, in that order, its backup's place among `backed_up.backups`.
    pub of_file: Vec<usize>,
}

/// [`assess_each`] for who needs no more than the outcome.
pub fn assess<'a>(
    objects: impl Iterator<Item = &'a Value>,
    files: Vec<FileBackup>,
    bucket: Vec<RestoreFiles>,
    cluster: &Cluster,
    now: Timestamp,
) -> BackedUp {
    assess_each(objects, files, bucket, cluster, now).backed_up
}

/// Joins Backup objects and archives by name, judges every backup, and computes what the schedules will do.
///
/// `objects` are those of one Velero namespace, in any order, from the cluster or a dump; other objects among them are passed over, except that
/// Namespaces labelled `velero.io/exclude-from-backup=true` are taken out of the schedules' scopes, as Velero does at the start of a backup.
/// `bucket` are the files of restores that were found.
/// A Backup and an archive of one name are the same backup if their uids agree, or else their starts: a Backup that was synced from the bucket
/// has a new uid. A backup in the cluster without an archive is `Unread`: what it holds cannot be said.
pub fn assess_each<'a>(
    objects: impl Iterator<Item = &'a Value>,
    files: Vec<FileBackup>,
    bucket: Vec<RestoreFiles>,
    cluster: &Cluster,
    now: Timestamp,
) -> Assessed {
    let objects = custom::read(objects);
    let seen = cluster.seen.map_or(now, |seen| seen.min(now));
    let locations: Vec<Location> = objects.locations.iter().map(|l| location(l, cluster.server.validation, seen)).collect();
    let ground = Ground { objects: &objects, locations: &locations, cluster, now };
    let mut files: Vec<Option<FileBackup>> = files.into_iter().map(Some).collect();
    // Each with the number of its archive.
    let mut backups: Vec<(Backup, Option<usize>)> = Vec::new();
    for backup in &objects.backups {
        let own = files.iter().position(|f| f.as_ref().is_some_and(|f| is_same(backup, f)));
        let file = own.and_then(|n| files[n].take());
        backups.push((witness(backup.clone(), true, file, &ground), own));
    }
    let count = files.len();
    for (n, file) in files.into_iter().enumerate().filter_map(|(n, f)| Some((n, f?))) {
        let told = file.object.as_ref().and_then(custom::read_backup).map(|b| custom::Backup { start: b.start.or(file.start), ..b });
        let known = told.is_some();
        let backup = told.unwrap_or_else(|| custom::Backup { start: file.start, phase: "Completed".into(), ..custom::Backup::default() });
        let backup = custom::Backup { head: custom::Head { name: file.name.clone(), ..backup.head }, ..backup };
        let mut backup = witness(backup, false, Some(file), &ground);
        if !known {
            backup.phase = "".into();
            backup.scope = Arc::default();
            if backup.state == BackupState::Restorable {
                backup.why = "it was given as a file without its velero-backup.json, and is taken to be complete".to_owned();
            }
        }
        backups.push((backup, Some(n)));
    }
    backups.sort_by(|(a, _), (b, _)| b.start.cmp(&a.start).then_with(|| b.name.cmp(&a.name)));
    let mut of_file = vec![0; count];
    backups.iter().enumerate().filter_map(|(at, (_, n))| Some((at, (*n)?))).for_each(|(at, n)| of_file[n] = at);
    let mut backups: Vec<Backup> = backups.into_iter().map(|(backup, _)| backup).collect();
    evidence::coincidences(&mut backups);
    let defaults = defaults(&objects, &backups);
    let mut schedules: Vec<Schedule> = objects.schedules.iter().map(|s| schedule(s, &ground, defaults)).collect();
    schedules.sort_by(|a, b| a.name.cmp(&b.name));
    let restores = restores::all(&objects, bucket, &backups);
    let copies = copies(&objects, &backups);
    let backed_up = BackedUp { backups, schedules, locations, copies, restores, as_of: Some(now), failure: None };
    Assessed { backed_up, of_file }
}

/// The attempts to copy volumes by the name of their backup. One of a former backup of the same name is none of this one's.
fn copies(objects: &Objects, backups: &[Backup]) -> Vec<(Text, VolumeCopy)> {
    let uids: BTreeMap<&Text, &Text> = objects.backups.iter().filter_map(|b| Some((&b.head.name, b.head.uid.as_ref()?))).collect();
    let mut named: BTreeMap<Text, Vec<&Text>> = BTreeMap::new();
    for name in backups.iter().map(|b| &b.name) {
        let label = Text::from(valid_name(name));
        if label != *name {
            named.entry(label).or_default().push(name);
        }
        named.entry(name.clone()).or_default().push(name);
    }
    let of = |attempt: &Attempt| {
        let own = |name: &&&Text| attempt.backup_uid.as_ref().is_none_or(|uid| uids.get(**name).is_none_or(|known| *known == uid));
        let name = named.get(&attempt.backup)?.iter().find(own)?;
        Some(((*name).clone(), attempt.copy.clone()))
    };
    objects.attempts.iter().filter_map(of).collect()
}

fn is_same(backup: &custom::Backup, file: &FileBackup) -> bool {
    if backup.head.name != file.name {
        return false;
    }
    let Some(told) = file.object.as_ref().and_then(custom::read_backup) else { return true };
    if backup.head.uid.is_some() && backup.head.uid == told.head.uid {
        return true;
    }
    match (backup.start, told.start) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn witness(backup: custom::Backup, in_cluster: bool, file: Option<FileBackup>, ground: &Ground<'_>) -> Backup {
    let archive = file.as_ref().and_then(|f| f.content.as_ref().ok());
    let told = file.as_ref().and_then(|f| f.object.as_ref()).and_then(custom::read_backup);
    let around = Around {
        now: ground.now,
        locations: ground.locations,
        deletions: &ground.objects.deletions,
        in_cluster,
        at_hand: archive.is_some(),
        archive_cluster: file.as_ref().and_then(|f| f.cluster_uid.as_deref()),
        live_cluster: ground.cluster.uid.as_deref(),
        damage: file.as_ref().and_then(|f| f.damage.as_ref()),
        gone: file.as_ref().and_then(|f| f.content.as_ref().err()).filter(|f| &*f.reason == DATA_GONE).map(|f| &*f.message),
        kin: evidence::kin(archive.map(|a| &**a), &ground.cluster.namespaces),
        file_uid: told.as_ref().and_then(|b| b.head.uid.as_deref()),
    };
    let judgement = judge(&backup, &around);
    let sound = || judge(&backup, &Around { damage: None, ..around.clone() }).state.usable();
    // An older backup answers in the place of one that Velero itself could not restore from, and of no other.
    let damaged = matches!(around.damage, Some(Damage::Copy(_))) && sound();
    let name = backup.head.name;
    let side = Arc::new(file.as_ref().map(|f| f.side.clone()).unwrap_or_default());
    let content = match file {
        Some(FileBackup { content: Ok(archive), .. }) => BackupContent::Read(archive),
        Some(FileBackup { content: Err(failure), .. }) if damaged => BackupContent::Damaged(failure),
        Some(FileBackup { content: Err(failure), .. }) => BackupContent::Unread(failure),
        None => BackupContent::Unread(Failure::new(CONTENT_UNREAD, untold(&name, judgement.state))),
    };
    let missing = evidence::missing(&side, &content, &ground.cluster.names);
    let mut backup = Backup {
        name,
        schedule: backup.schedule,
        location: backup.location,
        phase: backup.phase,
        state: judgement.state,
        reason: judgement.reason.into(),
        why: judgement.why,
        remarks: judgement.remarks,
        missing,
        created: backup.head.created,
        start: backup.start,
        completed: backup.completed,
        expires: backup.expires,
        errors: backup.errors,
        warnings: backup.warnings,
        scope: Arc::new(Scope::of_backup(&backup.spec, backup.start.is_some())),
        content,
        side,
        volumes: VolumeAsk { fs_default: backup.spec.get("defaultVolumesToFsBackup").and_then(Value::as_bool).unwrap_or_default() },
    };
    let more = evidence::remarks(&backup);
    backup.remarks.extend(more);
    backup.why = backup.remarks.iter().fold(backup.why, |why, remark| format!("{why}; {}", remark.message));
    backup
}

/// How Velero fills in what a spec leaves open, as its newest backup shows that began in this cluster: into its spec it was written back.
fn defaults(objects: &Objects, backups: &[Backup]) -> Defaults {
    let own = |b: &&custom::Backup| {
        let judged = backups.iter().find(|j| j.name == b.head.name);
        judged.is_none_or(|j| j.state != BackupState::Foreign && j.remarks.iter().all(|r| &*r.reason != "looks_foreign"))
    };
    let newest = objects.backups.iter().filter(|b| b.start.is_some()).filter(own).max_by_key(|b| b.start);
    newest.map_or(Defaults::default(), |b| Defaults::shown_by(&b.spec))
}

/// How often Velero looks at a location if nobody says otherwise (pkg/cmd/server/config `defaultStoreValidationFrequency`).
const VALIDATION: Duration = Duration::from_secs(60);

/// How many looks may be missed, and how much time may pass in any case, before what the last one said is doubted.
const MISSED: (u32, Duration) = (5, Duration::from_secs(600));

/// How long ago Velero last looked at a location that it calls available, if that is too long (internal/storage/storagelocation.go
/// `IsReadyToValidate`: the location's own frequency wins over the server's, and zero switches it off).
fn stale(location: &custom::Location, server: Option<Duration>, seen: Timestamp) -> Option<String> {
    let every = location.validation.or(server).unwrap_or(VALIDATION);
    let age = Duration::try_from(seen.duration_since(location.validated?)).ok()?;
    let late = !every.is_zero() && age > every.saturating_mul(MISSED.0).max(MISSED.1);
    late.then(|| format!("Velero last looked at it {} ago, and should every {}", span(age.as_secs()), span(every.as_secs())))
}

/// Why nobody told of a backup's archive, and what to do.
fn untold(name: &str, state: BackupState) -> String {
    match state {
        BackupState::Pending => format!("what backup {name} will hold is not written yet"),
        _ => format!("what backup {name} holds was not read; fetch it with `velero backup download {name}` and give it with --backup FILE"),
    }
}

/// A storage location as the witness tells it. Without a phase it counts as not available (pkg/util/velero `BSLIsAvailable`).
pub(super) fn location(location: &custom::Location, server: Option<Duration>, seen: Timestamp) -> Location {
    let available = &*location.phase == "Available";
    let mut message = location.message.clone();
    if !available && message.is_none() {
        let phase = if location.phase.is_empty() { "not looked at by Velero yet" } else { &location.phase };
        message = Some(format!("its phase is: {phase}"));
    }
    for odd in &location.head.odd {
        message = Some(message.map_or_else(|| odd.clone(), |m| format!("{m}; {odd}")));
    }
    Location {
        name: location.head.name.clone(),
        default: location.default,
        available,
        read_only: location.read_only,
        message,
        validated: location.validated,
        stale: if available { stale(location, server, seen) } else { None },
    }
}

/// What a schedule will do. Next due is `cron.Next` of the last backup, else of the schedule's creation, or of the last skipped run if that is
/// later (pkg/controller/schedule_controller.go `getNextRunTime`); it lies in the past when a backup is overdue.
fn schedule(schedule: &custom::Schedule, ground: &Ground<'_>, defaults: Defaults) -> Schedule {
    let Ground { objects, locations, now, .. } = *ground;
    let zone = ground.cluster.server.zone.clone().unwrap_or(TimeZone::UTC);
    let scope = Scope::of_template_by(&schedule.template, &objects.excluded_namespaces, defaults);
    let mut problems: Vec<String> = schedule.head.odd.clone();
    let cron = if schedule.cron.is_empty() {
        problems.push("it has no cron expression".to_owned());
        None
    } else {
        Cron::parse_in(&schedule.cron, &zone)
            .map_err(|e| problems.push(format!("Velero cannot read its cron expression {:?}: {e}", schedule.cron)))
            .ok()
    };
    if cron.is_some() && &*schedule.phase == "FailedValidation" {
        problems.push(format!("Velero refused it: {}", schedule.validation_errors.join("; ")));
    }
    if !scope.problems().is_empty() {
        problems.push(format!("Velero will refuse its backups: {}", scope.problems().join("; ")));
    }
    let name =
        schedule.location.clone().or_else(|| locations.iter().find(|l| l.default).map(|l| l.name.clone())).unwrap_or_else(|| DEFAULT_LOCATION.into());
    let refused = match locations.iter().find(|l| l.name == name) {
        None => Some("does not exist"),
        Some(location) if location.read_only => Some("is read-only"),
        Some(location) if !location.available => Some("is not available"),
        Some(_) => None,
    };
    if let Some(refused) = refused {
        problems.push(format!("Velero will refuse its backups as long as storage location {name} {refused}"));
    }
    let mut base = schedule.last_backup.or(schedule.head.created).unwrap_or(now);
    base = base.max(schedule.last_skipped.unwrap_or(base));
    // It skips when Velero looks at it next, and counts from then on.
    if schedule.skip_immediately == Some(true) {
        base = base.max(now);
    }
    let next = cron.as_ref().and_then(|c| c.next(base));
    let interval = cron.as_ref().and_then(|c| c.longest_gap(now));
    if cron.is_some() && interval.is_none() {
        problems.push(format!("its cron expression {:?} names no date that comes within five years", schedule.cron));
    }
    Schedule {
        name: schedule.head.name.clone(),
        cron: schedule.cron.clone(),
        zone,
        paused: schedule.paused,
        created: schedule.head.created,
        last_backup: schedule.last_backup,
        counts_from: base,
        skip_immediately: schedule.skip_immediately,
        ttl: schedule.ttl,
        next_due: next.filter(|_| !schedule.paused),
        interval,
        location: Some(name),
        scope: Arc::new(scope),
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
    }
}
