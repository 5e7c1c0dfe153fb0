//! What brings an object back if the cluster is lost now: the table of the design, row by row. pure
//!
//! A side that could not be read is not a value of its own here. It stands for every state that it may be in, and a verdict is given
//! only if it is the same in all of them: that is how unknown is never swallowed and never spreads further than it must.

use crate::report::model::Recovery;

/// What the backup is known to hold, in one possible state of affairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// What Git sets (or, if Git has nothing to say, exactly what runs).
    Same,
    /// The object with other content.
    Differs,
    /// Not the object, although its scope takes it.
    Absent,
    /// Not the object, by its scope.
    Outside,
}

impl Held {
    pub(super) const ALL: [Self; 4] = [Self::Same, Self::Differs, Self::Absent, Self::Outside];
}

/// Yes, no, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tri {
    Yes,
    No,
    Unknown,
}

impl Tri {
    #[cfg(test)]
    pub(super) const ALL: [Self; 3] = [Self::Yes, Self::No, Self::Unknown];

    fn may_be(self, value: bool) -> bool {
        match self {
            Self::Yes => value,
            Self::No => !value,
            Self::Unknown => true,
        }
    }
}

/// One row of the table. An absent part matches anything.
pub(super) struct Row {
    pub git: bool,
    pub live: Option<bool>,
    pub derived: Option<bool>,
    pub held: &'static [Held],
    pub recovery: Recovery,
}

const fn row(git: bool, live: Option<bool>, derived: Option<bool>, held: &'static [Held], recovery: Recovery) -> Row {
    Row { git, live, derived, held, recovery }
}

/// Section 3 of the design; the first row that matches decides. The last but one is the row for derived objects that are gone: their
/// controller, not Git, decided that, and a restore of theirs is undone in the same way.
pub(super) const TABLE: [Row; 10] = [
    row(true, None, None, &[Held::Same], Recovery::Either),
    row(true, None, None, &[Held::Differs], Recovery::Split),
    row(true, None, None, &[Held::Absent], Recovery::Split),
    row(true, None, None, &[Held::Outside], Recovery::Git),
    row(false, Some(true), Some(true), &Held::ALL, Recovery::Derived),
    row(false, Some(true), None, &[Held::Same], Recovery::Backup),
    row(false, Some(true), None, &[Held::Differs], Recovery::BackupStale),
    row(false, Some(true), None, &[Held::Absent, Held::Outside], Recovery::Lost),
    row(false, Some(false), Some(true), &[Held::Same, Held::Differs], Recovery::Derived),
    row(false, Some(false), None, &[Held::Same, Held::Differs], Recovery::Resurrected),
];

/// The verdict on one fully known state of affairs; `None` if nobody has the object, so that there is nothing to judge.
pub(super) fn look_up(git: bool, live: bool, derived: bool, held: Held) -> Option<Recovery> {
    let hit =
        |row: &&Row| row.git == git && row.live.is_none_or(|l| l == live) && row.derived.is_none_or(|d| d == derived) && row.held.contains(&held);
    TABLE.iter().find(hit).map(|row| row.recovery)
}

/// What one candidate for "the backup that speaks" holds. Against Git and against the cluster it may be a different answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What it may hold if Git declares the object.
    pub against_git: Options,
    /// What it may hold if Git does not declare it.
    pub against_live: Options,
}

impl Candidate {
    /// The same answer against both.
    pub(super) fn plain(options: Options) -> Self {
        Self { against_git: options, against_live: options }
    }
}

/// A set of [`Held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options(u8);

impl Options {
    /// Nothing is known.
    pub(super) const ANY: Self = Self(0b1111);
    /// It is there; whether with the same content is not known.
    pub(super) const PRESENT: Self = Self(0b0011);

    /// One answer.
    pub(super) const fn one(held: Held) -> Self {
        Self(1 << held as u8)
    }

    fn iter(self) -> impl Iterator<Item = Held> {
        Held::ALL.into_iter().filter(move |h| self.0 & (1 << *h as u8) != 0)
    }
}

/// The verdicts that are possible with what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Possible {
    verdicts: u16,
    nothing: bool,
}

impl Possible {
    fn add(&mut self, verdict: Option<Recovery>) {
        match verdict {
            Some(v) => self.verdicts |= 1 << v as u16,
            None => self.nothing = true,
        }
    }

    /// Whether nobody can have the object.
    pub(super) fn nothing(self) -> bool {
        self.verdicts == 0
    }

    /// The verdict, if there is only one.
    pub(super) fn verdict(self) -> Recovery {
        let mut all = Recovery::ALL.into_iter().filter(|r| self.may_be(*r));
        match (all.next(), all.next(), self.nothing) {
            (Some(only), None, false) => only,
            _ => Recovery::Unknown,
        }
    }

    fn may_be(self, recovery: Recovery) -> bool {
        self.verdicts & (1 << recovery as u16) != 0
    }

    /// Whether something brings the object back, so that what its controller makes of it comes back too.
    pub(super) fn recoverable(self) -> Tri {
        let lost = self.nothing || self.may_be(Recovery::Lost);
        let found = Recovery::ALL.into_iter().any(|r| r != Recovery::Lost && self.may_be(r));
        match (found, lost) {
            (true, false) => Tri::Yes,
            (true, true) => Tri::Unknown,
            (false, _) => Tri::No,
        }
    }
}

/// All verdicts that what is known allows.
pub(super) fn possible(git: Tri, live: Tri, derived: Tri, candidates: impl Iterator<Item = Candidate> + Clone) -> Possible {
    let mut out = Possible::default();
    let both = |t: Tri| [true, false].into_iter().filter(move |v| t.may_be(*v));
    for (g, l, d) in both(git).flat_map(|g| both(live).flat_map(move |l| both(derived).map(move |d| (g, l, d)))) {
        for candidate in candidates.clone() {
            let options = if g { candidate.against_git } else { candidate.against_live };
            options.iter().for_each(|held| out.add(look_up(g, l, d, held)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use Held::{Absent, Differs, Outside, Same};

    /// The design's table, written down a second time: git, live, derived, backup, verdict. One test a row.
    macro_rules! rows {
        ($($name:ident: $git:expr, $live:expr, $derived:expr, [$($held:expr),+] => $want:expr;)+) => {$(
            #[test]
            fn $name() {
                for live in $live { for derived in $derived { for held in [$($held),+] {
                    assert_eq!(look_up($git, live, derived, held), $want, "live {live}, derived {derived}, backup {held:?}");
                }}}
            }
        )+};
    }

    rows! {
        both_hold_it: true, [true, false], [true, false], [Same] => Some(Recovery::Either);
        git_and_backup_disagree: true, [true, false], [true, false], [Differs] => Some(Recovery::Split);
        it_landed_after_the_snapshot: true, [true, false], [true, false], [Absent] => Some(Recovery::Split);
        by_design_only_git_holds_it: true, [true, false], [true, false], [Outside] => Some(Recovery::Git);
        only_the_backup_has_it: false, [true], [false], [Same] => Some(Recovery::Backup);
        only_the_backup_has_it_and_it_is_older: false, [true], [false], [Differs] => Some(Recovery::BackupStale);
        nobody_has_it: false, [true], [false], [Absent, Outside] => Some(Recovery::Lost);
        a_controller_makes_it_again: false, [true], [true], [Same, Differs, Absent, Outside] => Some(Recovery::Derived);
        it_was_deleted_since: false, [false], [false], [Same, Differs] => Some(Recovery::Resurrected);
        a_controller_dropped_it_since: false, [false], [true], [Same, Differs] => Some(Recovery::Derived);
        there_is_nothing_to_judge: false, [false], [true, false], [Absent, Outside] => None;
    }

    fn sets() -> impl Iterator<Item = Options> {
        (1..16).map(Options)
    }

    #[test]
    fn whatever_could_not_be_read_a_verdict_holds_in_every_state_it_may_be_in() {
        for git in Tri::ALL {
            for live in Tri::ALL {
                for derived in Tri::ALL {
                    for (against_git, against_live) in sets().flat_map(|a| sets().map(move |b| (a, b))) {
                        let verdict = possible(git, live, derived, [Candidate { against_git, against_live }].into_iter());
                        let mut seen = Vec::new();
                        for g in [true, false].into_iter().filter(|v| git.may_be(*v)) {
                            for l in [true, false].into_iter().filter(|v| live.may_be(*v)) {
                                for d in [true, false].into_iter().filter(|v| derived.may_be(*v)) {
                                    seen.extend((if g { against_git } else { against_live }).iter().map(|h| look_up(g, l, d, h)));
                                }
                            }
                        }
                        let first = seen[0];
                        let unanimous = seen.iter().all(|s| *s == first);
                        let want = if unanimous { first.unwrap_or(Recovery::Unknown) } else { Recovery::Unknown };
                        assert_eq!(verdict.verdict(), want);
                        assert_eq!(verdict.nothing(), unanimous && first.is_none());
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_cluster_does_not_hide_what_git_and_backup_agree_on() {
        let same = Candidate::plain(Options::one(Same));
        assert_eq!(possible(Tri::Yes, Tri::Unknown, Tri::No, [same].into_iter()).verdict(), Recovery::Either);
        assert_eq!(possible(Tri::Unknown, Tri::Yes, Tri::No, [same].into_iter()).verdict(), Recovery::Unknown);
    }

    #[test]
    fn two_candidates_that_agree_on_the_verdict_need_no_decision() {
        let absent = [Candidate::plain(Options::one(Absent)), Candidate::plain(Options::one(Outside))];
        assert_eq!(possible(Tri::No, Tri::Yes, Tri::No, absent.into_iter()).verdict(), Recovery::Lost);
        assert_eq!(possible(Tri::Yes, Tri::Yes, Tri::No, absent.into_iter()).verdict(), Recovery::Unknown);
    }

    #[test]
    fn what_an_owner_brings_back_comes_back_with_it() {
        let held = |h| [Candidate::plain(Options::one(h))].into_iter();
        assert_eq!(possible(Tri::No, Tri::Yes, Tri::No, held(Outside)).recoverable(), Tri::No);
        assert_eq!(possible(Tri::No, Tri::Yes, Tri::No, held(Same)).recoverable(), Tri::Yes);
        assert_eq!(possible(Tri::Yes, Tri::Yes, Tri::No, [Candidate::plain(Options::ANY)].into_iter()).recoverable(), Tri::Yes);
        assert_eq!(possible(Tri::No, Tri::Yes, Tri::No, [Candidate::plain(Options::ANY)].into_iter()).recoverable(), Tri::Unknown);
    }
}
