//! The drift axis: Git against cluster, one verdict per object. pure

use super::{compared::Agreement, recovery::Tri};
use crate::report::model::Drift;

/// What Git says of an object, as far as drift needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Declares {
    /// An app that was read declares it.
    Yes,
    /// An app declared it once, or its mark is still on it.
    Once,
    /// No app has anything to do with it.
    Never,
    /// It cannot be said.
    Unknown,
}

#[cfg(test)]
impl Declares {
    pub(super) const ALL: [Self; 4] = [Self::Yes, Self::Once, Self::Never, Self::Unknown];
}

/// The verdict. `agreement` is the comparison with what runs, absent where it could not be made; `made` says that a controller makes it.
pub(super) fn drift(git: Declares, live: Tri, agreement: Option<Agreement>, made: bool) -> Drift {
    match (git, live) {
        (Declares::Unknown, _) | (_, Tri::Unknown) => Drift::Unknown,
        (Declares::Yes, Tri::No) => Drift::Missing,
        (Declares::Yes, Tri::Yes) => match agreement {
            None => Drift::Unknown,
            Some(Agreement::Same) => Drift::InSync,
            Some(Agreement::Additions) => Drift::Added,
            Some(Agreement::Differs) => Drift::Changed,
        },
        (Declares::Once | Declares::Never, Tri::No) => Drift::Gone,
        (Declares::Once, Tri::Yes) => Drift::Removed,
        (Declares::Never, Tri::Yes) if made => Drift::Derived,
        (Declares::Never, Tri::Yes) => Drift::Unmanaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_cluster_give_one_verdict() {
        use Agreement::{Additions, Differs, Same};
        use Declares::{Never, Once, Unknown, Yes};
        for (git, live, agreement, made, want) in [
            (Yes, Tri::Yes, Some(Same), false, Drift::InSync),
            (Yes, Tri::Yes, Some(Differs), false, Drift::Changed),
            (Yes, Tri::Yes, Some(Additions), false, Drift::Added),
            (Yes, Tri::Yes, None, false, Drift::Unknown),
            (Yes, Tri::No, None, false, Drift::Missing),
            (Once, Tri::Yes, None, false, Drift::Removed),
            (Once, Tri::No, None, false, Drift::Gone),
            (Never, Tri::Yes, None, false, Drift::Unmanaged),
            (Never, Tri::Yes, None, true, Drift::Derived),
            (Never, Tri::No, None, true, Drift::Gone),
            (Unknown, Tri::Yes, None, false, Drift::Unknown),
        ] {
            assert_eq!(drift(git, live, agreement, made), want, "{git:?} {live:?}");
        }
    }

    #[test]
    fn an_unknown_side_never_gives_another_verdict() {
        for made in [true, false] {
            for agreement in [None, Some(Agreement::Same), Some(Agreement::Differs), Some(Agreement::Additions)] {
                for git in Declares::ALL {
                    assert_eq!(drift(git, Tri::Unknown, agreement, made), Drift::Unknown);
                }
                for live in Tri::ALL {
                    assert_eq!(drift(Declares::Unknown, live, agreement, made), Drift::Unknown);
                }
            }
        }
    }
}
