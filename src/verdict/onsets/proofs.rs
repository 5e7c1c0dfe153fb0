//! What restores proved, kept beyond the restores: Velero deletes them with their backup. pure

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    object::Text,
    report::model::{Report, RestoreReport},
};

/// Proofs that are kept at most: about a megabyte in the state file.
pub(super) const MOST: usize = 5_000;

/// That a restore proved a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProof {
    /// The namespace, by its name in the backup.
    pub namespace: Text,
    /// The restore.
    pub restore: Text,
    /// The backup that was restored.
    pub backup: Option<Text>,
    /// When the restore began; of one that does not say, `at`.
    pub began: Timestamp,
    /// How old the proof is: when the restore was done.
    pub at: Timestamp,
    /// Whether the bytes of all its claims came back too, or it had none.
    pub with_bytes: bool,
}

impl KeptProof {
    fn is_of(&self, restore: &Text, backup: Option<&Text>, began: Timestamp) -> bool {
        self.restore == *restore && self.backup.as_ref() == backup && self.began == began
    }
}

/// Takes in what the restores of a report prove. A restore whose own list was read replaces what was thought of it before, if
/// what its backup holds is known too; one that is not told any more takes nothing back.
pub(super) fn advance(known: &mut Vec<KeptProof>, report: &Report, now: Timestamp) {
    let start = |name: &Text| report.backups.iter().find(|b| b.name == *name).and_then(|b| b.start);
    let dated = |r: &'_ RestoreReport| {
        let at = r.completed.or_else(|| r.backup.as_ref().and_then(start))?;
        // What tells one restore from another stays as it is; only its age is by the clock here.
        Some((at.min(now), r.started.unwrap_or(at)))
    };
    // Without what its backup holds, what a restore passed over looks like what stood in its way.
    let read = |r: &RestoreReport| r.backup.as_ref().is_some_and(|b| report.backups.iter().any(|k| k.name == *b && k.objects.is_some()));
    for restore in report.restores.iter().filter(|r| r.here == Some(true) && r.created.is_some() && read(r)) {
        let Some((_, began)) = dated(restore) else { continue };
        known.retain(|p| !p.is_of(&restore.name, restore.backup.as_ref(), began) || restore.proves.contains(&p.namespace));
    }
    let mut places: HashMap<(Text, Text), Vec<usize>> = HashMap::new();
    for (n, proof) in known.iter().enumerate() {
        places.entry((proof.restore.clone(), proof.namespace.clone())).or_default().push(n);
    }
    for restore in &report.restores {
        let Some((at, began)) = dated(restore) else { continue };
        for namespace in &restore.proves {
            let with_bytes = restore.with_bytes.contains(namespace);
            let own = places.entry((restore.name.clone(), namespace.clone())).or_default();
            match own.iter().find(|n| known[**n].is_of(&restore.name, restore.backup.as_ref(), began)) {
                Some(n) => known[*n].with_bytes |= with_bytes,
                None => {
                    own.push(known.len());
                    let (restore, backup) = (restore.name.clone(), restore.backup.clone());
                    known.push(KeptProof { namespace: namespace.clone(), restore, backup, began, at, with_bytes });
                }
            }
        }
    }
    trim(known, report);
}

/// Keeps the newest proof of each namespace and the newest with its bytes, and the same for each backup that there is; of too many those that would be
/// missed least go first: of single backups before the newest of all, older before newer.
fn trim(known: &mut Vec<KeptProof>, report: &Report) {
    // Newest first within a namespace, so the first of each is the newest.
    let order = |a: &KeptProof, b: &KeptProof| (&a.namespace, b.at, &a.restore).cmp(&(&b.namespace, a.at, &b.restore));
    known.sort_by(order);
    let listed = report.as_of.backups.at.is_some();
    let backups: BTreeSet<&Text> = report.backups.iter().map(|b| &b.name).collect();
    let mut seen: BTreeSet<(Text, Option<Text>, bool)> = BTreeSet::new();
    let mut ranked: Vec<(bool, KeptProof)> = Vec::new();
    for proof in known.drain(..) {
        let mut is_first = |of: Option<&Text>| {
            let mut new = |with_bytes| seen.insert((proof.namespace.clone(), of.cloned(), with_bytes));
            new(false) | (proof.with_bytes && new(true))
        };
        let newest = is_first(None);
        let of_backup = proof.backup.as_ref().filter(|b| !listed || backups.contains(b)).is_some_and(|b| is_first(Some(b)));
        if newest || of_backup {
            ranked.push((newest, proof));
        }
    }
    if ranked.len() > MOST {
        ranked.sort_by_key(|(newest, proof)| std::cmp::Reverse((*newest, proof.at)));
        ranked.truncate(MOST);
    }
    known.extend(ranked.into_iter().map(|(_, proof)| proof));
    known.sort_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::world::{Snapshot, World, at};

    fn restore(name: &str, backup: &str, done: &str, proves: &[&str], with_bytes: &[&str]) -> RestoreReport {
        let names = |of: &[&str]| of.iter().map(|n| (*n).into()).collect();
        RestoreReport {
            name: name.into(),
            by: "velero".into(),
            backup: Some(backup.into()),
            phase: Some("Completed".into()),
            here: Some(true),
            started: Some(at(done)),
            completed: Some(at(done)),
            created: Some(1),
            updated: Some(0),
            skipped: Some(0),
            failed: Some(0),
            proves: names(proves),
            with_bytes: names(with_bytes),
            why: String::new(),
        }
    }

    fn report(backups: &[&str], restores: Vec<RestoreReport>) -> Report {
        let mut report = backups.iter().fold(World::new(), |w, b| w.backup(Snapshot::new(b, "01:00"))).judge();
        report.restores = restores;
        report
    }

    fn told(known: &[KeptProof]) -> Vec<String> {
        known.iter().map(|p| format!("{} {}{}", p.namespace, p.restore, if p.with_bytes { " +bytes" } else { "" })).collect()
    }

    #[test]
    fn what_a_restore_proved_stays_when_it_is_told_no_more_and_the_newest_is_kept_of_each_backup_that_there_is() {
        let now = at("12:00");
        let mut known = Vec::new();
        let all = vec![
            restore("r1", "b1", "02:00", &["shop", "pay"], &["shop"]),
            restore("r2", "b1", "03:00", &["shop"], &[]),
            restore("r3", "b2", "04:00", &["shop"], &[]),
        ];
        advance(&mut known, &report(&["b1", "b2"], all.clone()), now);
        assert_eq!(told(&known), ["pay r1", "shop r3", "shop r2", "shop r1 +bytes"]);
        advance(&mut known, &report(&["b1", "b2"], Vec::new()), now);
        assert_eq!(told(&known), ["pay r1", "shop r3", "shop r2", "shop r1 +bytes"], "nobody tells of the restores any more");
        advance(&mut known, &report(&["b2"], Vec::new()), now);
        assert_eq!(told(&known), ["pay r1", "shop r3", "shop r1 +bytes"], "its backup is gone, and there is a newer one");
        // Its list was read, and of its backup nothing: what it passed over then looks like what stood in its way.
        let mut blind = report(&["b2"], vec![restore("r3", "b2", "04:00", &[], &[])]);
        blind.backups[0].objects = None;
        advance(&mut known, &blind, now);
        assert_eq!(told(&known), ["pay r1", "shop r3", "shop r1 +bytes"]);
        // Read again, its list says otherwise.
        advance(&mut known, &report(&["b2"], vec![restore("r3", "b2", "04:00", &[], &[])]), now);
        assert_eq!(told(&known), ["pay r1", "shop r1 +bytes"]);
        // Without its list nothing is taken back.
        let unread = RestoreReport { created: None, ..restore("r1", "b1", "02:00", &[], &[]) };
        advance(&mut known, &report(&["b2"], vec![unread]), now);
        assert_eq!(told(&known), ["pay r1", "shop r1 +bytes"]);
    }

    #[test]
    fn no_more_are_kept_than_are_allowed_and_none_is_of_the_future() {
        let mut known = Vec::new();
        let names: Vec<String> = (0..MOST + 10).map(|n| format!("n{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let restores = vec![restore("old", "b", "02:00", &names[..20], &[]), restore("new", "b", "23:00", &names[10..], &[])];
        advance(&mut known, &report(&["b"], restores), at("12:00"));
        assert_eq!(known.len(), MOST);
        assert!(known.iter().all(|p| p.at <= at("12:00") && &*p.restore == "new"), "the oldest went first");
        // One of a clock that runs ahead is the same restore at the next look.
        advance(&mut known, &report(&["b"], vec![restore("new", "b", "23:00", &[], &[])]), at("12:05"));
        assert!(known.is_empty(), "it is taken back");
    }
}
