//! Which archive is read next. pure
//!
//! Of each set of filters the newest backup that ended well speaks for the objects that it was to hold, so it is read first, and older ones only
//! if it is damaged or from another cluster, or if all are asked for.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::ReadBackups,
    object::Text,
    velero::{Damage, Scope, custom, moment::had_ended},
    witness::{Archive, Failure},
};

/// How long after a failure an archive is tried again.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Which archives are wanted, and when that is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The newest of each set of filters, or all.
    pub read: ReadBackups,
    /// The moment that is spoken of, if that is another than now: what had not ended then is not wanted.
    pub moment: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
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

/// Whether a backup has ended well enough to be read.
pub(super) fn ended(backup: &custom::Backup) -> bool {
    matches!(&*backup.phase, "Completed" | "PartiallyFailed")
}

/// Why an archive was not read.
pub(super) fn why_unread(backup: Option<&custom::Backup>, chosen: bool) -> Failure {
    match backup {
        Some(b) if !ended(b) => Failure::new("not_finished", "it did not end well, so it was not read"),
        _ if chosen => Failure::new("not_yet_read", "it is about to be read"),
        _ => Failure::new("not_needed", "a newer backup of the same scope was read; `velero.read: all` has every one read"),
    }
}

/// The one to read next, newest first; `None` if there is none for now.
pub(super) fn next(all: &[(&custom::Backup, &Outcome)], wanted: Wanted) -> Option<usize> {
    let Wanted { read, moment, now } = wanted;
    let then = |backup: &custom::Backup| moment.is_none_or(|m| had_ended(backup, m));
    let mut order: Vec<usize> = (0..all.len()).filter(|n| ended(all[*n].0) && then(all[*n].0)).collect();
    order.sort_by(|a, b| all[*b].0.start.cmp(&all[*a].0.start).then_with(|| all[*b].0.head.name.cmp(&all[*a].0.head.name)));
    // Scopes that a newer archive has settled, be it that it was read or that it must be tried again first.
    let mut settled: Vec<Scope> = Vec::new();
    for n in order {
        let (backup, outcome) = all[n];
        let scope = Scope::of_backup(&backup.spec, true);
        if read == ReadBackups::Newest && settled.contains(&scope) {
            continue;
        }
        if outcome.is_due(now) {
            return Some(n);
        }
        if matches!(outcome, Outcome::Read(_) | Outcome::Failed(..)) {
            settled.push(scope);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backup(name: &str, start: &str, namespaces: &[&str]) -> custom::Backup {
        let raw = json!({"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":name},"spec":{"includedNamespaces":namespaces},
            "status":{"phase":"Completed","startTimestamp":format!("2026-01-02T{start}:00Z")}});
        custom::read_backup(&raw).expect("a backup")
    }

    #[test]
    fn the_newest_of_each_scope_is_read_and_older_ones_only_if_it_is_no_good() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().expect("a time");
        let (old, new, shop) = (backup("old", "01:00", &["*"]), backup("new", "02:00", &["*"]), backup("shop", "01:30", &["shop"]));
        let damaged = || Outcome::Damaged(Failure::new("archive_corrupt", ""), Damage::Stored(String::new()));
        let failed = |minutes| Outcome::Failed(Failure::new("store_timeout", ""), now - SignedDuration::from_mins(minutes));
        let read = || Outcome::Read(Arc::default());
        let foreign = || Outcome::Foreign("x".into());
        let of = |[o, n, s]: [Outcome; 3], wanted| super::next(&[(&old, &o), (&new, &n), (&shop, &s)], wanted).map(|n| ["old", "new", "shop"][n]);
        let next = |outcomes, read| of(outcomes, Wanted { read, moment: None, now });
        use Outcome::Unread;
        for (outcomes, newest, all) in [
            ([Unread, Unread, Unread], Some("new"), Some("new")),
            ([Unread, read(), Unread], Some("shop"), Some("shop")),
            ([Unread, read(), read()], None, Some("old")),
            ([Unread, damaged(), read()], Some("old"), Some("old")),
            ([Unread, foreign(), read()], Some("old"), Some("old")),
            ([Unread, failed(1), read()], None, Some("old")),
            ([Unread, failed(6), read()], Some("new"), Some("new")),
            ([read(), read(), read()], None, None),
        ] {
            assert_eq!(next(outcomes.clone(), ReadBackups::Newest), newest, "{outcomes:?}");
            assert_eq!(next(outcomes.clone(), ReadBackups::All), all, "{outcomes:?}");
        }
        let then = |moment: &str| Wanted { read: ReadBackups::Newest, moment: moment.parse().ok(), now };
        for (moment, first) in [("2026-01-02T02:00:00Z", Some("new")), ("2026-01-02T01:59:00Z", Some("shop")), ("2026-01-02T00:59:00Z", None)] {
            assert_eq!(of([Unread, Unread, Unread], then(moment)), first, "as of {moment}");
        }
        let mut failed = backup("new", "02:00", &["*"]);
        failed.phase = "Failed".into();
        assert_eq!(super::next(&[(&failed, &Unread)], Wanted { read: ReadBackups::All, moment: None, now }), None);
    }
}
