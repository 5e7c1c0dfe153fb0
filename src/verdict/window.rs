//! The window of one object: how far its content has come, since when, why the backup differs, and when it should close. pure

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    compared::Wanted,
    copies::{Asked, Copy},
    declared::{Claim, Former},
    join::{Case, Git, Join},
    onsets::Onsets,
};
use crate::{
    config::SourceName,
    object::{FieldPath, Object},
    report::model::{Basis, Cause, Drift, Recovery, Stage, Start, Window},
    witness::{AppHistory, Backup, Commit, PastState, SourceState},
};

/// Earlier states of one object that are compared with a backup's copy. An object that changed more often since has an unknown cause.
const MOST_STATES: usize = 64;

/// When a commit landed on the ref, in order of trust: our own ledger, the date of a merge, the date of an ordinary commit.
///
/// Dates lie, so they are held against what we saw: a commit that the tip held at a poll landed no later than that poll, and nothing
/// landed after now.
pub(super) fn start_of(commit: &Commit, name: &SourceName, source: Option<&SourceState>, onsets: &Onsets, now: Timestamp) -> Start {
    let tip = source.and_then(|s| s.tip.as_ref());
    let with_tip = tip.filter(|t| t.commit.sha == commit.sha).and_then(|t| t.observed);
    if let Some(seen) = with_tip.or_else(|| onsets.observed(name, &commit.sha)) {
        let not_after = seen.not_after.min(now);
        return Start { not_before: seen.not_before.min(not_after), not_after, basis: Basis::Observed };
    }
    let limit = tip.and_then(|t| t.observed).map_or(now, |o| o.not_after.min(now));
    let at = commit.time.min(limit);
    Start { not_before: at, not_after: at, basis: if commit.merge { Basis::Merge } else { Basis::Commit } }
}

/// The commits that brought these states, newest first, each once.
fn commits_of(states: &[PastState]) -> Vec<Commit> {
    let mut seen = BTreeSet::new();
    states.iter().filter_map(|s| s.since.as_ref()).filter(|c| seen.insert(c.sha.clone())).cloned().collect()
}

/// How a backup's copy relates to the history of an object.
struct Relation {
    cause: Cause,
    commits: Vec<Commit>,
}

/// Whether the search went far enough to say that Git never declared what a backup of this age holds.
fn complete_enough(history: &AppHistory, backup: &Backup) -> bool {
    let reaches = history.reaches.as_ref().map(|c| c.time);
    history.complete || reaches.zip(backup.start).is_some_and(|(reaches, start)| reaches <= start)
}

/// The states that came after a backup began.
fn since_backup<'s>(states: &'s [PastState], backup: &Backup) -> &'s [PastState] {
    let newer = |s: &PastState| s.since.as_ref().zip(backup.start).is_some_and(|(c, start)| c.time > start);
    &states[..states.iter().take_while(|s| newer(s)).count()]
}

/// Looks for the state of Git that a copy holds. `states[0]` is the state at the tip, `differs` where the copy differs from it.
fn relate(
    join: &Join<'_>,
    case: &Case<'_>,
    states: &[PastState],
    history: &AppHistory,
    drops_namespace: bool,
    copy: (&Backup, &Object),
    differs: &BTreeSet<&FieldPath>,
) -> Relation {
    let (backup, object) = copy;
    let mut nearest: Option<(usize, usize)> = None;
    for (n, state) in states.iter().enumerate().skip(1).take(MOST_STATES) {
        let Some(past) = &state.object else { continue };
        let Ok(past) = join.engine.past(Wanted { id: &case.id, object: past, drops_namespace }, object) else {
            return Relation { cause: Cause::Unknown, commits: commits_of(since_backup(states, backup)) };
        };
        if past.holds {
            return Relation { cause: Cause::Behind { holds: state.since.clone() }, commits: commits_of(&states[..n]) };
        }
        // Where the copy differs from the tip and not from this state, it holds what this state declared.
        let explained = differs.iter().filter(|path| !past.differs.contains(**path)).count();
        if explained > 0 && nearest.is_none_or(|(_, most)| explained > most) {
            nearest = Some((n, explained));
        }
    }
    let searched = states.len() <= MOST_STATES + 1 && complete_enough(history, backup);
    match nearest {
        _ if !searched => Relation { cause: Cause::Unknown, commits: commits_of(since_backup(states, backup)) },
        Some((n, _)) => Relation { cause: Cause::Mixed, commits: commits_of(&states[..n]) },
        None => {
            let (owner, time) = case.trio.as_ref().and_then(|t| t.captured.clone()).map_or((None, None), |(o, t)| (Some(o), t));
            Relation { cause: Cause::CapturedDrift { owner, time }, commits: commits_of(since_backup(states, backup)) }
        }
    }
}

/// Why a backup that was to hold an object does not.
fn absent(states: &[PastState], backup: &Backup) -> Relation {
    // An earlier state without the object is what the backup holds.
    if let Some(n) = states.iter().position(|s| s.object.is_none()) {
        return Relation { cause: Cause::Behind { holds: states[n].since.clone() }, commits: commits_of(&states[..n]) };
    }
    let born = states.last().and_then(|s| s.since.as_ref()).map(|c| c.time);
    let after = born.zip(backup.start).is_some_and(|(born, start)| born > start);
    let cause = if after { Cause::Behind { holds: None } } else { Cause::Unknown };
    Relation { cause, commits: commits_of(if after { states } else { since_backup(states, backup) }) }
}

/// The open window of a case, if it has one.
pub(super) fn window(join: &Join<'_>, case: &Case<'_>) -> Option<Window> {
    match (case.recovery, &case.git, case.claim) {
        (Recovery::Split, _, Some(claim)) => Some(split(join, case, &claim)),
        (Recovery::Resurrected, Git::Removed { former, .. }, _) => Some(resurrection(join, case, former.as_ref())),
        _ => None,
    }
}

fn start(join: &Join<'_>, source: &SourceName, commit: Option<&Commit>) -> Option<Start> {
    let inputs = join.inputs;
    commit.map(|c| start_of(c, source, inputs.declared.sources.get(source), inputs.onsets, inputs.now))
}

fn closes_at(join: &Join<'_>, case: &Case<'_>) -> Option<Timestamp> {
    let labels = || join.labels_of(case.any());
    let asked = Asked { id: &case.id, plural_group: &case.plural_group, namespaced: case.namespaced, labels: &labels, created: None };
    join.backups.next_due(&asked)
}

fn split(join: &Join<'_>, case: &Case<'_>, claim: &Claim<'_>) -> Window {
    let (states, history) = (claim.states(), &claim.state.history);
    // What is not known to be applied counts as pending: saying that it runs would be the greater claim.
    let stage = if matches!(case.drift, Drift::InSync | Drift::Added) { Stage::Unsnapshotted } else { Stage::Pending };
    let relation = match case.copies.answers[..] {
        [Copy::Held(backup, object)] if !states.is_empty() => {
            let fields = case.trio.iter().flat_map(|t| &t.fields).filter(|f| f.in_backup);
            relate(join, case, states, history, claim.drops_namespace, (backup, object), &fields.map(|f| &f.path).collect())
        }
        [Copy::Missing(backup)] if !states.is_empty() => absent(states, backup),
        _ => Relation { cause: Cause::Unknown, commits: commits_of(&states[..states.len().min(1)]) },
    };
    Window {
        stage,
        start: start(join, &claim.state.app.source, states.first().and_then(|s| s.since.as_ref())),
        cause: relation.cause,
        commits: relation.commits,
        closes_at: closes_at(join, case),
    }
}

fn resurrection(join: &Join<'_>, case: &Case<'_>, former: Option<&Former<'_>>) -> Window {
    let relation = match (former, case.copies.held()) {
        (Some(f), Some(copy)) => {
            let relation = relate(join, case, f.states, &f.state.history, f.drops_namespace, copy, &BTreeSet::new());
            // A copy that matches no state is still one that Git removed; whose edit it holds is not asked here.
            match relation.cause {
                Cause::Behind { .. } => relation,
                _ => Relation { cause: Cause::Unknown, commits: commits_of(&f.states[..1]) },
            }
        }
        _ => Relation { cause: Cause::Unknown, commits: Vec::new() },
    };
    Window {
        stage: Stage::Resurrection,
        start: former.and_then(|f| start(join, &f.state.app.source, f.removed())),
        cause: relation.cause,
        commits: relation.commits,
        closes_at: closes_at(join, case),
    }
}
