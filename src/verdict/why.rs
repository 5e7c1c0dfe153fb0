//! One plain sentence per object: what is wrong, since when, what to do. pure

use jiff::Timestamp;

use super::{
    compared::Field,
    copies::Copy,
    join::{Case, Git, Join, Made},
    rewritten::Rewritten,
    sides::Gate,
    words,
};
use crate::{
    drift::{LeafClass, Writer},
    object::Step,
    report::model::{Cause, Drift, Recovery, UnknownSide, Window},
    witness::{Backup, Commit},
};

/// Longest value that a sentence quotes, in characters.
const LONGEST_QUOTE: usize = 60;

/// The sentence.
pub(super) fn why(join: &Join<'_>, case: &Case<'_>, window: Option<&Window>, unknown: &[UnknownSide]) -> String {
    let teller = Teller { join, case, now: join.inputs.now };
    let mut parts = vec![teller.recovery(window, unknown)];
    parts.extend(teller.drift(window, unknown));
    if case.live.known().is_some_and(|o| o.meta.deleting) {
        parts.push("it is being deleted".into());
    } else if case.drift != Drift::Missing && join.terminating(case) {
        parts.push("its namespace is being deleted".into());
    }
    let text = parts.join("; ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

struct Teller<'j, 'a> {
    join: &'j Join<'a>,
    case: &'j Case<'a>,
    now: Timestamp,
}

/// A JSON text as a person writes it: strings without quotes, cut when long.
fn plain(json: &str) -> String {
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    if text.chars().count() <= LONGEST_QUOTE {
        return text;
    }
    text.chars().take(LONGEST_QUOTE - 1).chain(['…']).collect()
}

/// The last key of a path: what people call the field.
fn last_key(field: &Field) -> &str {
    let key = |s: &'_ Step| matches!(s, Step::Key(_));
    match field.path.0.iter().rfind(|s| key(s)) {
        Some(Step::Key(key)) => key,
        _ => &field.report.path,
    }
}

impl Teller<'_, '_> {
    fn clock(&self, at: Timestamp) -> String {
        words::clock(at, self.now)
    }

    fn named<'s>(&'s self, backup: &'s Backup) -> &'s str {
        self.join.backups.label(backup)
    }

    fn commit(&self, commit: &Commit) -> String {
        format!("{} ({})", self.clock(commit.time.min(self.now)), words::commit(commit))
    }

    fn speaker(&self) -> String {
        self.case.copies.speaker().map_or_else(|| "the backup".into(), |b| format!("backup {}", self.named(b)))
    }

    fn recovery(&self, window: Option<&Window>, unknown: &[UnknownSide]) -> String {
        match self.case.recovery {
            Recovery::Either => format!("Git and {} both hold it", self.speaker()),
            Recovery::Git => "only Git holds it: no backup is meant to".into(),
            Recovery::Backup => format!("only {} has it", self.speaker()),
            Recovery::BackupStale => {
                format!("only {} has it, and it changed since: those changes would be lost until the next backup", self.speaker())
            }
            Recovery::Split => self.split(window),
            Recovery::Lost => self.lost(),
            Recovery::Derived => match self.case.made {
                Made::By(rule) => rule.reason.into(),
                Made::From(owner, _) => format!("its controller makes it again from {}", self.join.cases[owner].id),
                Made::No | Made::Unread => "a controller makes it again".into(),
            },
            Recovery::Resurrected => self.resurrected(),
            Recovery::Unknown => match unknown.first() {
                Some(side) => format!("cannot be judged: {}", side.message),
                None => "cannot be judged".into(),
            },
        }
    }

    fn split(&self, window: Option<&Window>) -> String {
        let fields: Vec<&Field> = self.case.trio.iter().flat_map(|t| &t.fields).filter(|f| f.in_backup).collect();
        let value = |v: &Option<String>| v.as_deref().map_or_else(|| "none".into(), plain);
        let (declares, holds) = match (&self.case.copies.answers[..], &fields[..]) {
            ([Copy::Held(..)], [only]) => (format!("{} {}", last_key(only), value(&only.report.desired)), value(&only.report.backed_up)),
            ([Copy::Held(..)], many) => (format!("{} otherwise", words::count(many.len() as u64, "field", "fields")), "other content".into()),
            _ => ("it".into(), String::new()),
        };
        let newest = self.case.claim.and_then(|c| c.states().first()?.since.clone());
        let since = window.and_then(|w| w.start).map(|s| match &newest {
            Some(commit) => format!(" since {} ({})", self.clock(s.not_after), words::commit(commit)),
            None => format!(" since {}", self.clock(s.not_after)),
        });
        let since = since.unwrap_or_default();
        let heal = "after a restore, sync Git";
        match &self.case.copies.answers[..] {
            [Copy::Held(backup, _)] => {
                let cause = match window.map(|w| &w.cause) {
                    Some(Cause::CapturedDrift { owner: Some(owner), time }) => {
                        let when = time.map(|t| format!(" at {}", self.clock(t))).unwrap_or_default();
                        format!(", which Git never declared (written by {owner}{when})")
                    }
                    Some(Cause::CapturedDrift { .. }) => ", which Git never declared".into(),
                    Some(Cause::Mixed) => ", partly older and partly never declared".into(),
                    Some(Cause::Behind { .. } | Cause::Unknown) | None => String::new(),
                };
                format!("Git declares {declares}{since}; the newest usable backup {} holds {holds}{cause}: {heal}", self.named(backup))
            }
            [Copy::Missing(backup)] => {
                format!("Git declares it{since}; the newest usable backup {} does not hold it: {heal}", self.named(backup))
            }
            [Copy::Wanted(whose)] => format!("Git declares it{since}, and no usable backup holds it, although {whose} is to: {heal}"),
            _ => format!("Git declares {declares}{since}, and no usable backup is known to hold that: {heal}"),
        }
    }

    fn lost(&self) -> String {
        let who = match self.case.made {
            Made::From(owner, _) => format!("it is made from {}, which nobody has", self.join.cases[owner].id),
            _ => "nobody has it: no app declares it".into(),
        };
        let backup = match &self.case.copies.answers[..] {
            [Copy::Missing(backup)] => format!("the newest usable backup {} does not hold it", self.named(backup)),
            [Copy::Wanted(whose)] => format!("{whose} has no usable backup yet"),
            _ if self.join.backups.none() => "there is no usable backup at all".into(),
            _ => "no usable backup covers it".into(),
        };
        format!("{who}, and {backup}: commit it to Git or back it up")
    }

    fn resurrected(&self) -> String {
        let (speaker, heal) = (self.speaker(), "after a restore, delete it again");
        match &self.case.git {
            Git::Removed { former, .. } => {
                let when = former.and_then(|f| f.removed()).map(|c| format!(" at {}", self.commit(c))).unwrap_or_default();
                format!("Git removed it{when}, and {speaker} still holds it: {heal}")
            }
            _ => format!("it was deleted since {speaker}, which would bring it back: {heal}"),
        }
    }

    fn drift(&self, window: Option<&Window>, unknown: &[UnknownSide]) -> Option<String> {
        let case = self.case;
        let fields = || case.trio.iter().flat_map(|t| &t.fields).filter(|f| f.report.class.is_some());
        let by = |f: &Field| {
            let owner = f.report.owner.as_ref()?;
            Some(format!(" ({owner}{})", f.report.time.map(|t| format!(", {}", self.clock(t))).unwrap_or_default()))
        };
        match case.drift {
            Drift::InSync | Drift::Unmanaged | Drift::Derived | Drift::Gone => None,
            Drift::Unknown if case.recovery == Recovery::Unknown => None,
            Drift::Unknown => unknown.first().map(|side| format!("whether it drifts cannot be judged: {}", side.message)),
            Drift::Missing if matches!(self.join.cluster.gate(&case.id.gk), Gate::NotServed) => {
                Some(format!("the cluster does not serve {}: install its definition or take it out of Git", case.id.gk))
            }
            Drift::Missing if self.join.terminating(case) => {
                Some("its namespace is being deleted, so it cannot be made there before that is gone".into())
            }
            Drift::Missing => Some("the cluster does not have it: sync it".into()),
            Drift::Removed if self.join.terminating(case) => None,
            Drift::Added | Drift::Changed if fields().all(|f| f.report.class == Some(LeafClass::Operational)) => fields().next().map(|f| {
                let more = fields().count() - 1;
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let live = f.report.live.as_deref().map_or_else(|| "gone".into(), plain);
                let who = by(f).unwrap_or_default();
                match &f.report.desired {
                    Some(desired) => {
                        format!("by hand for now, live {} is {live}, Git says {}{who}{more}: end it or commit it", f.report.path, plain(desired))
                    }
                    None => format!(
                        "by hand for now, {} is {live}{who}{more}: {}",
                        f.report.path,
                        if f.report.path.contains("restartedAt") { "nothing is to be done" } else { "end it or commit it" }
                    ),
                }
            }),
            Drift::Removed => Some(match &case.git {
                Git::Removed { app, former, listed } => {
                    let app = app.map_or_else(|| "Git".into(), |a| format!("app {a}"));
                    match (former.and_then(|f| f.removed()), listed) {
                        (Some(commit), None) => format!("{app} declares it no more since {}, and it still runs: prune it", self.commit(commit)),
                        (Some(commit), Some(list)) => {
                            format!("{app} declares it no more since {}, and {list} still lists it: prune it", self.commit(commit))
                        }
                        (None, None) => format!("it carries the mark of {app}, which declares it no more: prune it"),
                        (None, Some(list)) => format!("{list} still lists it, and {app} declares it no more: prune it"),
                    }
                }
                _ => "Git declares it no more, and it still runs: prune it".into(),
            }),
            Drift::Added => fields().next().map(|f| {
                let more = fields().count().saturating_sub(1);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("a person added {}{more}{}: commit it or remove it", f.report.path, by(f).unwrap_or_default())
            }),
            Drift::Changed => {
                let edited = fields().find(|f| f.report.owner.is_some() && f.report.writer != Some(Writer::Deployer));
                let shown = edited.or_else(|| fields().find(|f| !matches!(f.report.class, Some(LeafClass::Added | LeafClass::UnknownField))))?;
                let more = fields().count() - 1;
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let live = shown.report.live.as_deref().map_or_else(|| "gone".into(), plain);
                let desired = shown.report.desired.as_deref().map_or_else(|| "nothing".into(), plain);
                let policy = Rewritten::new(self.join, case).class(shown) == Some(LeafClass::Policy);
                let heal = match (edited, window) {
                    _ if policy => "admission or a controller makes it so, and a sync does not heal that: change Git or the policy",
                    (Some(_), _) => "revert it or commit it",
                    (None, Some(_)) => "not applied yet: sync it",
                    (None, None) => "sync it",
                };
                Some(format!("live {} is {live}, Git says {desired}{}{more}: {heal}", shown.report.path, by(shown).unwrap_or_default()))
            }
        }
    }
}
