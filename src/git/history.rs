//! Walking commits: the first-parent line of a branch, and whether one commit holds another. I/O: object database.

use std::collections::{BinaryHeap, HashSet};

use gix::ObjectId;
use jiff::Timestamp;

use super::{error::Fault, store::Store};
use crate::witness::Commit;

/// Commits that [`is_ancestor`] looks at before it gives up.
const ANCESTRY: usize = 2_000_000;

/// Why a walk along first parents ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// At the first commit of the history: nothing is older.
    Root,
    /// At the number of commits asked for.
    Limit,
    /// At the age asked for.
    Age,
    /// At a commit whose parents this repository does not have (a shallow clone).
    Shallow,
}

/// The first-parent line of a branch, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The commits; merges are flagged. A commit date in the future stays as it is.
    pub commits: Vec<Commit>,
    /// Why there are no more.
    pub end: LineEnd,
}

/// Walks from `from` along first parents. The first commit older than `not_older_than` is the last one given: it holds the state at that
/// moment.
pub(crate) fn first_parents(store: &Store, from: ObjectId, limit: usize, not_older_than: Option<Timestamp>) -> Result<Line, Fault> {
    let shallow: HashSet<ObjectId> = store.shallow().into_iter().collect();
    let mut commits = Vec::new();
    let mut at = from;
    loop {
        if commits.len() >= limit {
            return Ok(Line { commits, end: LineEnd::Limit });
        }
        let commit = store.commit(&at)?;
        let time = commit.shown.time;
        commits.push(commit.shown);
        let end = match commit.parents.first() {
            _ if shallow.contains(&at) => LineEnd::Shallow,
            None => LineEnd::Root,
            Some(_) if not_older_than.is_some_and(|oldest| time < oldest) => LineEnd::Age,
            Some(parent) => {
                at = *parent;
                continue;
            }
        };
        return Ok(Line { commits, end });
    }
}

/// Whether `old` is `new` or one of its ancestors. Newest commits are looked at first, so a branch that only grew is settled in a few
/// steps.
pub(crate) fn is_ancestor(store: &Store, old: ObjectId, new: ObjectId) -> Result<bool, Fault> {
    if old == new {
        return Ok(true);
    }
    if !store.has(&old) {
        return Ok(false);
    }
    let shallow: HashSet<ObjectId> = store.shallow().into_iter().collect();
    let mut seen = HashSet::from([new]);
    let mut queue = BinaryHeap::from([(Timestamp::MAX, new)]);
    while let Some((_, at)) = queue.pop() {
        if seen.len() > ANCESTRY {
            return Err(Fault::new(super::error::GitErrorKind::TooLarge, format!("more than {ANCESTRY} commits between {old} and {new}")));
        }
        if shallow.contains(&at) {
            continue;
        }
        let commit = store.commit(&at)?;
        for parent in commit.parents {
            if parent == old {
                return Ok(true);
            }
            if seen.insert(parent) {
                queue.push((commit.shown.time, parent));
            }
        }
    }
    Ok(false)
}
