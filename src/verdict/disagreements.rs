//! What backups were to hold against what they hold, as the report shows it. pure

use std::{collections::BTreeMap, sync::Arc};

use super::{fast::hash_of, join::Join};
use crate::{
    object::{ObjectId, Text},
    report::model::{BackupReport, Disagreement, DisagreementReport, Mismatch},
    velero::{
        observed::{self, Subject},
        select::{Plan, View},
    },
};

/// Objects of one backup that are listed of each sort; the rest is counted.
const MOST: usize = 200;

/// Compares every backup whose content and spec are known, and fills in the counts.
pub(super) fn disagreements(join: &Join<'_>, view: &View<'_>, backups: &mut [BackupReport]) -> Vec<DisagreementReport> {
    let live = join.inputs.live;
    let ground = ground(join);
    let mut subjects: Vec<Subject<'_>> = join.inputs.backed_up.backups.iter().filter_map(Subject::of).collect();
    subjects.sort_by(|a, b| (b.backup().start, &b.backup().name).cmp(&(a.backup().start, &a.backup().name)));
    let mut out = Vec::new();
    for (n, subject) in subjects.iter().enumerate() {
        let backup = subject.backup();
        let scope = &backup.scope;
        let own;
        let plan = match join.backups.plan_of(scope) {
            Some(plan) => plan,
            None => {
                own = Plan::of(scope, view);
                &own
            }
        };
        let (mut agreement, objects) = observed::missing(subject, view, plan, live).unzip();
        let mut objects = objects.unwrap_or_default();
        let policy = scope.policy().and_then(|p| live.objects.get(&ObjectId::new("", "ConfigMap", Some(&join.inputs.config.velero.namespace), p)));
        let key = hash_of(&(ground, policy.map(|o| o.content.print())));
        let unexpected = join.memo.unexpected(backup, key, || observed::unexpected(subject, live, &join.inputs.config.velero.namespace));
        let mut counts = BTreeMap::new();
        if let Some(agreement) = &mut agreement {
            agreement.unexpected = unexpected.as_ref().map(|u| u.len() as u64);
            counts.insert(Mismatch::MissingFromBackup, agreement.missing);
        }
        if let Some(unexpected) = &unexpected {
            counts.insert(Mismatch::UnexpectedInBackup, unexpected.len() as u64);
        }
        if let Some(report) = backups.iter_mut().find(|b| b.name == backup.name && b.start == backup.start) {
            report.agreement = agreement;
        }
        if counts.values().all(|n| *n == 0) {
            continue;
        }
        objects.truncate(MOST);
        objects.extend(unexpected.iter().flat_map(|u| u.iter()).take(MOST).cloned());
        objects.sort_by(|a, b| (&a.id, a.mismatch).cmp(&(&b.id, b.mismatch)));
        let newer = subjects[..n].iter().map(Subject::backup);
        let same = |b: &&crate::witness::Backup| *b.scope == **scope || b.schedule.is_some() && b.schedule == backup.schedule;
        let (schedule, start, newest) = (backup.schedule.clone(), backup.start, !newer.into_iter().any(|b| same(&b)));
        out.push(DisagreementReport { backup: backup.name.clone(), schedule, start, newest, counts, objects });
    }
    out
}

/// Stands for what decides besides the archive what a backup was not to hold: what kinds there are and what they are called.
fn ground(join: &Join<'_>) -> u64 {
    let live = join.inputs.live;
    let told = |t: &crate::witness::Told| (t.singular.clone(), t.shorts.clone(), t.storable, t.rank);
    let kinds: Vec<_> = live.kinds.iter().map(|(gk, k)| (gk, &k.plural, k.namespaced, k.told.as_ref().map(told))).collect();
    let mut namespaces: Vec<&Text> = live.objects.keys().filter(|id| id.gk.is("", "Namespace")).map(|id| &id.name).collect();
    namespaces.sort();
    hash_of(&(kinds, namespaces))
}

/// What a run found unexpected in one archive, for the next run.
pub(super) struct Remembered {
    pub archive: Arc<crate::witness::Archive>,
    pub scope: Arc<crate::velero::Scope>,
    pub key: u64,
    pub found: Arc<Vec<Disagreement>>,
    pub used: u64,
}

/// The row of one object in one backup's disagreements.
pub(super) fn of_object<'r>(reports: &'r [DisagreementReport], backup: &str, id: &ObjectId) -> Option<&'r Disagreement> {
    reports.iter().find(|r| &*r.backup == backup)?.objects.iter().find(|o| o.id == *id)
}
