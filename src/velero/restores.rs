//! Restore objects, restores that only the bucket knows, and Kymaros' reports, as one list. pure
//!
//! Sources: pkg/apis/velero/v1/restore_types.go; for Kymaros api/v1alpha1 of its repository (group `restore.kymaros.io`), read with tolerance.

use serde_json::Value;

use super::{
    custom::{self, Objects},
    label::valid_name,
};
use crate::{
    object::Text,
    witness::{Backup, Restore, RestoreFiles, ToldBy},
};

/// Digits of the time that `velero restore create` ends a name with.
const STAMP: usize = 14;

/// Every restore that anybody tells of, newest first.
pub(super) fn all(objects: &Objects, files: Vec<RestoreFiles>, backups: &[Backup]) -> Vec<Restore> {
    let mut files: Vec<Option<RestoreFiles>> = files.into_iter().map(Some).collect();
    let mut out: Vec<Restore> = Vec::new();
    for restore in &objects.restores {
        let own = files.iter_mut().find(|f| f.as_ref().is_some_and(|f| f.name == restore.head.name)).and_then(Option::take);
        let volumes = objects.returns.iter().filter(|(label, uid, _)| is_of(restore, label, uid.as_ref())).map(|(.., volume)| volume.clone());
        let files = own.unwrap_or_else(|| RestoreFiles::of(&restore.head.name));
        out.push(Restore { volumes: volumes.collect(), ..velero(restore, files, backups) });
    }
    out.extend(files.into_iter().flatten().map(|f| bucket(f, backups)));
    out.extend(objects.kymaros.iter().map(kymaros));
    out.sort_by(|a, b| (b.completed, &a.name).cmp(&(a.completed, &b.name)));
    out
}

/// Whether a label and a uid are those of a restore. Of two of one name the uid tells which.
fn is_of(restore: &custom::Restore, label: &str, uid: Option<&Text>) -> bool {
    valid_name(&restore.head.name) == label && (uid.is_none() || restore.head.uid.is_none() || restore.head.uid.as_ref() == uid)
}

fn velero(restore: &custom::Restore, files: RestoreFiles, backups: &[Backup]) -> Restore {
    // By schedule it takes the newest completed one; Velero writes its name into the spec, so this is for restores that did not get so far.
    let newest = |schedule: &Text| backups.iter().find(|b| b.schedule.as_ref() == Some(schedule) && &*b.phase == "Completed").map(|b| b.name.clone());
    Restore {
        name: restore.head.name.clone(),
        by: ToldBy::Velero,
        backup: restore.backup.clone().or_else(|| restore.schedule.as_ref().and_then(newest)),
        phase: Some(restore.phase.clone()),
        started: restore.started,
        completed: restore.completed,
        errors: restore.errors,
        warnings: restore.warnings,
        mapping: restore.mapping.clone(),
        part: restore.part.clone(),
        volumes: Vec::new(),
        tested: Vec::new(),
        files,
    }
}

/// The bucket names no backup. A restore that was not named by hand is called after it.
fn bucket(files: RestoreFiles, backups: &[Backup]) -> Restore {
    let stamped = |b: &&Backup| {
        let rest = files.name.strip_prefix(&*b.name).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|r| r.len() == STAMP && r.bytes().all(|b| b.is_ascii_digit()))
    };
    let errors = files.results.read().map_or(0, |r| r.errors.len() as u64 + r.untold_errors);
    let warnings = files.results.read().map_or(0, |r| r.warnings.len() as u64 + r.untold_warnings);
    Restore {
        name: files.name.clone(),
        by: ToldBy::Bucket,
        backup: backups.iter().find(stamped).map(|b| b.name.clone()),
        phase: None,
        started: None,
        completed: None,
        errors,
        warnings,
        mapping: Default::default(),
        part: None,
        volumes: Vec::new(),
        tested: Vec::new(),
        files,
    }
}

fn kymaros(report: &custom::KymarosReport) -> Restore {
    Restore {
        name: report.head.name.clone(),
        by: ToldBy::Kymaros,
        backup: report.backup.clone(),
        phase: report.result.clone(),
        started: report.started,
        completed: report.completed,
        errors: 0,
        warnings: 0,
        mapping: Default::default(),
        part: None,
        volumes: Vec::new(),
        tested: report.namespaces.clone(),
        files: RestoreFiles::of(&report.head.name),
    }
}

/// Why a restore brings back a part only: any filter but that by namespace, or no volumes. What Velero adds by itself to every restore's excludes is none
/// (pkg/controller/restore_controller.go `nonRestorableResources`).
pub(super) fn part(spec: &Value) -> Option<String> {
    const ALWAYS: [&str; 9] = [
        "nodes",
        "events",
        "events.events.k8s.io",
        "backups.velero.io",
        "restores.velero.io",
        "resticrepositories.velero.io",
        "csinodes.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "backuprepositories.velero.io",
    ];
    let words = |key: &str| -> Vec<&str> { spec.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect() };
    let included: Vec<&str> = words("includedResources").into_iter().filter(|w| *w != "*").collect();
    let excluded: Vec<&str> = words("excludedResources").into_iter().filter(|w| !ALWAYS.contains(w)).collect();
    let selects =
        |key: &str| spec.get(key).is_some_and(|s| s.as_object().is_some_and(|o| !o.is_empty()) || s.as_array().is_some_and(|a| !a.is_empty()));
    match () {
        () if !included.is_empty() => Some(format!("includedResources is {}", included.join(", "))),
        () if !excluded.is_empty() => Some(format!("excludedResources has {}", excluded.join(", "))),
        () if spec.get("restorePVs").and_then(Value::as_bool) == Some(false) => Some("restorePVs is false".to_owned()),
        () if selects("labelSelector") || selects("orLabelSelectors") => Some("a label selector is set".to_owned()),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_filter_but_by_namespace_makes_a_part() {
        for (spec, want) in [
            (json!({"includedNamespaces": ["shop"], "excludedResources": ["nodes", "events"], "includedResources": ["*"]}), None),
            (json!({"restorePVs": true}), None),
            (json!({"restorePVs": false}), Some("restorePVs is false")),
            (json!({"includedResources": ["configmaps"]}), Some("includedResources is configmaps")),
            (json!({"excludedResources": ["nodes", "secrets"]}), Some("excludedResources has secrets")),
            (json!({"labelSelector": {"matchLabels": {"a": "b"}}}), Some("a label selector is set")),
            (json!({"orLabelSelectors": [{"matchLabels": {"a": "b"}}]}), Some("a label selector is set")),
        ] {
            assert_eq!(part(&spec).as_deref(), want, "{spec}");
        }
    }

    #[test]
    fn what_brought_volumes_back_is_put_to_its_restore_also_where_its_label_is_cut() {
        let long = "a-restore-with-a-name-that-is-longer-than-any-label-in-kubernetes-may-be";
        let restore = |name: &str, uid: &str| json!({"apiVersion":"velero.io/v1","kind":"Restore","metadata":{"name":name,"uid":uid},"spec":{}});
        let moved = |label: &str, uid: &str, claim: &str| {
            json!({"apiVersion":"velero.io/v2alpha1","kind":"DataDownload",
                "metadata":{"name":claim,"labels":{"velero.io/restore-name":label,"velero.io/restore-uid":uid}},
                "spec":{"targetVolume":{"namespace":"shop","pvc":claim}},"status":{"phase":"Completed","progress":{"totalBytes":1,"bytesDone":1}}})
        };
        let objects =
            [restore("drill", "u1"), restore(long, "u2"), moved("drill", "u1", "a"), moved("drill", "u0", "b"), moved(&valid_name(long), "u2", "c")];
        let found = all(&custom::read(&objects), Vec::new(), &[]);
        let claims = |name: &str| -> Vec<&str> {
            let restore = found.iter().find(|r| &*r.name == name).expect("a restore");
            restore.volumes.iter().filter_map(|v| v.claim.as_deref()).collect()
        };
        assert_eq!((claims("drill"), claims(long)), (vec!["a"], vec!["c"]), "b was brought back by an earlier restore of that name");
    }

    #[test]
    fn errors_beyond_those_that_are_kept_still_count() {
        let mut files = RestoreFiles::of("r");
        files.results = crate::witness::Side::Read(crate::witness::Results { untold_errors: 3, untold_warnings: 1, ..Default::default() });
        let found = bucket(files, &[]);
        assert_eq!((found.errors, found.warnings), (3, 1));
    }
}
