//! What a backup's own files and its neighbours say against it: objects it failed on, torn captures, starts that coincide. pure

use std::collections::BTreeMap;

use crate::{
    object::{GroupKind, ObjectId, Text},
    velero::{Names, state::Kin},
    witness::{Archive, Backup, BackupContent, Entry, ListedObject, MissingObject, Remark, Side, SideFiles},
};

/// Names that one remark spells out; the rest is counted.
const MOST_NAMES: usize = 3;

/// Namespaces that an archive and the cluster have in common.
pub(super) fn kin(archive: Option<&Archive>, live: &BTreeMap<Text, Text>) -> Kin {
    let mut kin = Kin::default();
    for (name, uid) in archive.into_iter().flat_map(|a| &a.namespaces) {
        match live.get(name) {
            Some(here) if here == uid => kin.same += 1,
            Some(_) => kin.other.push(name.clone()),
            None => {}
        }
    }
    kin
}

/// The objects that a backup failed on: what it set out to write less what its archive holds, and what its errors name. A line of the log
/// names the object but not always its kind (pkg/backup/backup.go `backupItemBlock` gives the name alone).
pub(super) fn missing(side: &SideFiles, content: &BackupContent, names: &Names) -> Vec<MissingObject> {
    let errors = || side.results.read().into_iter().flat_map(|r| &r.errors);
    let mut out: Vec<MissingObject> = Vec::new();
    if let (Some(listed), BackupContent::Read(archive)) = (side.listed.read(), content) {
        for object in listed {
            let Some(id) = id_of(object).filter(|id| !archive.objects.contains_key(id)) else { continue };
            let said =
                |e: &&Entry| e.name.as_ref() == Some(&object.name) && e.namespace.as_ref().is_none_or(|n| Some(n) == object.namespace.as_ref());
            let message = errors().find(said).map_or_else(|| "Velero set out to write it and did not".to_owned(), |e| e.message.clone());
            let resource = names.of_kind(&id.gk).map(|n| n.resource.clone());
            out.push(MissingObject { resource, namespace: object.namespace.clone(), name: object.name.clone(), held: Some(false), message });
        }
    }
    for entry in errors() {
        let Some(name) = &entry.name else { continue };
        if out.iter().any(|m| m.name == *name && entry.namespace.as_ref().is_none_or(|n| Some(n) == m.namespace.as_ref())) {
            continue;
        }
        let held = match (content, &entry.resource) {
            (BackupContent::Read(archive), Some(resource)) => Some(holds(archive, names, resource, entry.namespace.as_deref(), name)),
            // The list of what was set out to be written was read, and the archive lacks none of that name.
            (BackupContent::Read(_), None) if side.listed.read().is_some() => Some(true),
            _ => None,
        };
        let (resource, namespace) = (entry.resource.clone(), entry.namespace.clone());
        out.push(MissingObject { resource, namespace, name: name.clone(), held, message: entry.message.clone() });
    }
    out
}

/// The identity that a line of a resource list names.
fn id_of(listed: &ListedObject) -> Option<ObjectId> {
    let (version, kind) = listed.kind.rsplit_once('/')?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some(ObjectId::new(group, kind, listed.namespace.as_deref(), &listed.name))
}

fn holds(archive: &Archive, names: &Names, resource: &str, namespace: Option<&str>, name: &str) -> bool {
    let kind = |gk: &GroupKind| match names.of_kind(gk) {
        Some(known) => *known.resource == *resource,
        None => resource.split_once('.').map_or("", |(_, group)| group) == &*gk.group,
    };
    archive.objects.keys().any(|id| &*id.name == name && id.namespace.as_deref() == namespace && kind(&id.gk))
}

/// What is to be told of one backup besides its state.
pub(super) fn remarks(backup: &Backup) -> Vec<Remark> {
    let mut out = Vec::new();
    let lacks: Vec<String> = backup.missing.iter().filter(|m| m.held != Some(true)).map(label).collect();
    if !lacks.is_empty() {
        out.push(Remark::new("objects_missing", format!("it failed on {}", some(&lacks))));
    }
    match &backup.side.results {
        Side::Failed(failure) if backup.errors > 0 => {
            out.push(Remark::new("errors_unread", format!("what it failed on cannot be said: {}", failure.message)));
        }
        Side::Read(results) if results.untold_errors > 0 => {
            let message = format!("{} more errors than are kept: what it failed on besides cannot be said", results.untold_errors);
            out.push(Remark::new("errors_unread", message));
        }
        Side::Absent if backup.errors > 0 => out.push(Remark::new("errors_unread", "what it failed on is not written beside its archive")),
        _ => {}
    }
    if let BackupContent::Read(archive) = &backup.content
        && !archive.torn.is_empty()
    {
        let all: Vec<String> = archive.torn.iter().map(|t| t.message.clone()).collect();
        out.push(Remark::new("torn", format!("it was taken in the middle of a change: {}", some(&all))));
    }
    out
}

fn label(missing: &MissingObject) -> String {
    let namespace = missing.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
    let resource = missing.resource.as_ref().map(|r| format!("{r} ")).unwrap_or_default();
    format!("{resource}{namespace}{}", missing.name)
}

fn some(all: &[String]) -> String {
    let shown = all.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > MOST_NAMES { format!("{shown} and {} more", all.len() - MOST_NAMES) } else { shown }
}

/// Says at each usable backup which others began in the same second: Velero's times are whole seconds, so nobody can tell which is newer.
pub(super) fn coincidences(backups: &mut [Backup]) {
    let mut by_start: BTreeMap<jiff::Timestamp, Vec<(usize, Text)>> = BTreeMap::new();
    for (n, backup) in backups.iter().enumerate() {
        if let Some(start) = backup.start.filter(|_| backup.state.usable()) {
            by_start.entry(start).or_default().push((n, backup.name.clone()));
        }
    }
    for together in by_start.into_values().filter(|t| t.len() > 1) {
        for (n, own) in &together {
            let others: Vec<String> = together.iter().filter(|(_, name)| name != own).map(|(_, name)| name.to_string()).collect();
            let message = format!("it began in the same second as {}: which is newer cannot be said, the later name is taken", some(&others));
            backups[*n].remarks.push(Remark::new("same_second", message));
        }
    }
}
