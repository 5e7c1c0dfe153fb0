//! Which archive is read next. pure
//!
//! Of each set of filters the newest backup that counts speaks for the objects that it was to hold, so it is read first; an older one only if
//! that one turns out to be no good, if it lacks something, or if all are asked for. Whether a backup counts is judged by the join with the
//! cluster, for archives from files, stores and Velero alike: nothing is chosen by phase alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::ReadBackups,
    object::Text,
    velero::{Damage, Scope},
    witness::{Archive, Backup, BackupState, Failure, Side},
};

/// Reason of content that is about to be read.
pub(super) const NOT_YET_READ: &str = "not_yet_read";

/// How long after a failure something is tried again.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Which archives are wanted, and when that is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The newest of each set of filters, or all.
    pub read: ReadBackups,
    /// Now.
    pub now: Timestamp,
}

/// An archive that may be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Its backup, as the join with the cluster judges it by what is known so far.
    pub backup: &'a Backup,
    /// What came of reading it.
    pub outcome: &'a Outcome,
    /// Whether it was asked for by its own name.
    pub asked_for: bool,
}

/// What came of reading an archive.
#[derive(Clone, Debug, Default)]
pub(super) enum Outcome {
    /// Not tried.
    #[default]
    Unread,
    /// Read; it is of this cluster, as far as is known.
    Read(Arc<Archive>),
    /// Read and let go, because it is of another cluster.
    Foreign(Text),
    /// Damaged.
    Damaged(Failure, Damage),
    /// It could not be read, or not all of it.
    Failed(Failure, Timestamp),
}

impl Outcome {
    /// Of an archive that was read.
    pub fn of(archive: Arc<Archive>, live_cluster: Option<&str>) -> Self {
        match (&archive.cluster_uid, live_cluster) {
            (Some(theirs), Some(ours)) if &**theirs != ours => Self::Foreign(theirs.clone()),
            _ => Self::Read(archive),
        }
    }

    /// What it holds, or why that is not known.
    pub fn content(&self, unread: impl FnOnce() -> Failure) -> Result<Arc<Archive>, Failure> {
        match self {
            Self::Unread => Err(unread()),
            Self::Read(archive) => Ok(archive.clone()),
            Self::Foreign(_) => Err(Failure::new("foreign", "its content was let go: it is of another cluster")),
            Self::Damaged(failure, _) | Self::Failed(failure, _) => Err(failure.clone()),
        }
    }

    /// uid of kube-system inside.
    pub fn cluster_uid(&self) -> Option<Text> {
        match self {
            Self::Read(archive) => archive.cluster_uid.clone(),
            Self::Foreign(uid) => Some(uid.clone()),
            _ => None,
        }
    }

    /// What is wrong with the archive itself.
    pub fn damage(&self) -> Option<Damage> {
        if let Self::Damaged(_, what) = self { Some(what.clone()) } else { None }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        match self {
            Self::Unread => true,
            Self::Failed(_, at) => now.duration_since(*at) >= AGAIN,
            _ => false,
        }
    }
}

/// Whether a backup in this phase has ended well enough to be read.
pub(super) fn ended(phase: &str) -> bool {
    matches!(phase, "Completed" | "PartiallyFailed")
}

/// Why an archive was not read, as long as nothing is chosen. `all` says how to have it read.
pub(super) fn why_unread(phase: &str, all: &str) -> Failure {
    if matches!(phase, "New" | "Queued" | "ReadyToStart" | "InProgress") || phase.starts_with("WaitingFor") || phase.starts_with("Finalizing") {
        Failure::new(NOT_YET_READ, "it was not done when it was last looked for")
    } else if ended(phase) {
        Failure::new("not_needed", format!("a newer backup of the same scope was read, or this one does not count; {all}"))
    } else {
        Failure::new("not_finished", "it did not end well, so it was not read")
    }
}

/// Whether older backups of the same filters have nothing to say besides: it was read, it counts, and it lacks nothing.
fn settles(candidate: &Candidate<'_>) -> bool {
    let Candidate { backup, outcome, .. } = candidate;
    match (outcome, backup.state) {
        // It counts, so an older one must not answer in its place: it is tried again first.
        (Outcome::Failed(..), _) => true,
        (Outcome::Read(_), BackupState::Restorable) => true,
        // What it failed on, an older one may hold.
        (Outcome::Read(_), BackupState::Degraded) => {
            let told = backup.side.results.read().is_some_and(|r| r.untold_errors == 0) || backup.errors == 0 && backup.side.results == Side::Absent;
            told && backup.missing.iter().all(|m| m.held == Some(true))
        }
        _ => false,
    }
}

/// The one to read next; `None` if there is none for now. One that was asked for by name comes first, then the newest; what was never tried comes
/// before what failed, so that no failure keeps others from their turn.
pub(super) fn next(all: &[Candidate<'_>], wanted: Wanted) -> Option<usize> {
    let untried = |n: usize| matches!(all[n].outcome, Outcome::Unread);
    first(all, wanted, untried).or_else(|| first(all, wanted, |n| all[n].outcome.is_due(wanted.now)))
}

fn first(all: &[Candidate<'_>], wanted: Wanted, due: impl Fn(usize) -> bool) -> Option<usize> {
    if let Some(asked_for) = (0..all.len()).find(|n| all[*n].asked_for && due(*n)) {
        return Some(asked_for);
    }
    let mut order: Vec<usize> = (0..all.len()).filter(|n| ended(&all[*n].backup.phase)).collect();
    order.sort_by(|a, b| {
        let key = |n: &usize| (all[*n].backup.start, &all[*n].backup.name);
        key(b).cmp(&key(a))
    });
    let mut settled: Vec<&Scope> = Vec::new();
    for n in order {
        let scope = &*all[n].backup.scope;
        match wanted.read {
            // Of a moment that is spoken of, what had not ended by then is pending.
            ReadBackups::All if all[n].backup.state != BackupState::Pending && due(n) => return Some(n),
            ReadBackups::All => {}
            ReadBackups::Newest if !all[n].backup.state.usable() || settled.contains(&scope) => {}
            ReadBackups::Newest if due(n) => return Some(n),
            ReadBackups::Newest if settles(&all[n]) => settled.push(scope),
            ReadBackups::Newest => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        velero::Damage,
        verdict::world::{Snapshot, World, scope_of},
        witness::{BackupState as S, MissingObject, Results, SideFiles},
    };

    /// What is chosen of three backups: `old` and `new` take everything, `shop` one namespace and lies between them.
    fn chosen(outcomes: &[Outcome; 3], states: [S; 3], change: fn(&mut Backup), read: ReadBackups) -> Option<&'static str> {
        let all = |name: &str, clock: &str| Snapshot::new(name, clock).with(|_| {});
        let world = World::new().backup(all("old", "01:00")).backup(all("new", "02:00"));
        let world = world.backup(Snapshot::new("shop", "01:30").scope(scope_of(&["shop"], &[])));
        let names = ["old", "new", "shop"];
        let mut backups: Vec<Backup> =
            names.iter().map(|n| world.backed_up.backups.iter().find(|b| &*b.name == *n).cloned().expect("there")).collect();
        for (backup, state) in backups.iter_mut().zip(states) {
            backup.state = state;
        }
        change(&mut backups[1]);
        let candidates: Vec<Candidate<'_>> =
            backups.iter().zip(outcomes).map(|(backup, outcome)| Candidate { backup, outcome, asked_for: false }).collect();
        next(&candidates, Wanted { read, now: now() }).map(|n| names[n])
    }

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("a time")
    }

    fn read() -> Outcome {
        Outcome::Read(Arc::default())
    }

    #[test]
    fn the_newest_of_each_scope_is_read_and_older_ones_only_if_it_is_no_good() {
        let damaged = || Outcome::Damaged(Failure::new("archive_corrupt", ""), Damage::Stored(String::new()));
        let failed = |minutes| Outcome::Failed(Failure::new("store_timeout", ""), now() - SignedDuration::from_mins(minutes));
        let foreign = || Outcome::Foreign("x".into());
        use Outcome::Unread;
        let sound = [S::Restorable; 3];
        let newest = |state| [S::Restorable, state, S::Restorable];
        for (outcomes, states, newest, all) in [
            ([Unread, Unread, Unread], sound, Some("new"), Some("new")),
            ([Unread, read(), Unread], sound, Some("shop"), Some("shop")),
            ([Unread, read(), read()], sound, None, Some("old")),
            ([Unread, failed(1), read()], sound, None, Some("old")),
            // Of another scope it has its turn first.
            ([Unread, failed(6), Unread], sound, Some("shop"), Some("shop")),
            ([Unread, failed(6), read()], sound, Some("new"), Some("old")),
            ([read(), read(), read()], sound, None, None),
            // What the join says of them once they were read.
            ([Unread, damaged(), read()], newest(S::Invalid), Some("old"), Some("old")),
            ([Unread, foreign(), read()], newest(S::Foreign), Some("old"), Some("old")),
            // Its archive does not tell that it is another cluster's, its namespaces do: it stays at hand.
            ([Unread, read(), read()], newest(S::Foreign), Some("old"), Some("old")),
            // What does not count is not read, and stands in nobody's way.
            ([Unread, Unread, read()], newest(S::Expired), Some("old"), Some("new")),
            ([Unread, Unread, read()], newest(S::Invalid), Some("old"), Some("new")),
            ([Unread, Unread, read()], newest(S::Unavailable), Some("old"), Some("new")),
            ([Unread, Unread, read()], newest(S::Pending), Some("old"), Some("old")),
        ] {
            assert_eq!(chosen(&outcomes, states, |_| {}, ReadBackups::Newest), newest, "{outcomes:?} {states:?}");
            assert_eq!(chosen(&outcomes, states, |_| {}, ReadBackups::All), all, "{outcomes:?} {states:?}");
        }
        let unfinished = |b: &mut Backup| b.phase = "Failed".into();
        assert_eq!(chosen(&[read(), Unread, read()], sound, unfinished, ReadBackups::All), None);
    }

    #[test]
    fn what_a_backup_lacks_an_older_one_may_hold() {
        fn degraded(b: &mut Backup, held: Option<bool>, untold: u64) {
            let missed = |held| MissingObject { resource: None, namespace: None, name: "x".into(), held, message: String::new() };
            b.missing = held.into_iter().map(|h| missed(Some(h))).collect();
            let results = Results { untold_errors: untold, ..Results::default() };
            b.side = Arc::new(SideFiles { results: Side::Read(results), ..SideFiles::default() });
        }
        let of = |change| chosen(&[Outcome::Unread, read(), read()], [S::Restorable, S::Degraded, S::Restorable], change, ReadBackups::Newest);
        assert_eq!(of(|b| degraded(b, None, 0)), None, "it failed on nothing that is an object");
        assert_eq!(of(|b| degraded(b, Some(true), 0)), None, "it holds all that it failed on");
        assert_eq!(of(|b| degraded(b, Some(false), 0)), Some("old"));
        assert_eq!(of(|b| degraded(b, None, 3)), Some("old"), "nobody knows all that it failed on");
        assert_eq!(of(|b| b.errors = 1), Some("old"), "nor here");
    }

    #[test]
    fn of_two_that_began_in_one_second_the_later_name_is_read() {
        let world = World::new().backup(Snapshot::new("a", "01:00")).backup(Snapshot::new("b", "01:00"));
        let candidates: Vec<Candidate<'_>> =
            world.backed_up.backups.iter().map(|backup| Candidate { backup, outcome: &Outcome::Unread, asked_for: false }).collect();
        let at = next(&candidates, Wanted { read: ReadBackups::Newest, now: now() }).expect("one");
        assert_eq!(&*candidates[at].backup.name, "b");
    }

    #[test]
    fn what_was_asked_for_is_read_whatever_is_said_of_it() {
        let world = World::new().backup(Snapshot::new("a", "01:00").state(S::Expired)).backup(Snapshot::new("b", "02:00"));
        let candidates: Vec<Candidate<'_>> =
            world.backed_up.backups.iter().map(|backup| Candidate { backup, outcome: &Outcome::Unread, asked_for: &*backup.name == "a" }).collect();
        let at = next(&candidates, Wanted { read: ReadBackups::Newest, now: now() }).expect("one");
        assert_eq!(&*candidates[at].backup.name, "a");
    }
}
