//! The exit code of `snapgap report`, for pipelines. pure

use std::{fmt, str::FromStr};

use super::model::{Drift, Recovery, Report, VolumeReport, VolumeState};

/// What `--fail-on` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailOn {
    /// Git and cluster disagree: `changed`, `missing`, `removed` or `added`.
    Drift,
    /// Git and backup disagree: `split`, or `resurrected` by a restore.
    Split,
    /// Something would be lost: `lost`, or `backup_stale`, whose changes since the backup would be, or the bytes of a claim that nobody keeps.
    Lost,
    /// Something could not be judged.
    Unknown,
}

impl FailOn {
    /// All names.
    pub const ALL: [Self; 4] = [Self::Drift, Self::Split, Self::Lost, Self::Unknown];

    /// The name as written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Split => "split",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    fn found_in(self, report: &Report) -> bool {
        let drift = |d: Drift| report.summary.drift.get(&d).is_some_and(|n| *n > 0);
        let recovery = |r: Recovery| report.summary.recovery.get(&r).is_some_and(|n| *n > 0);
        match self {
            Self::Drift => Drift::ALL.into_iter().filter(|d| d.is_drift()).any(drift),
            Self::Split => recovery(Recovery::Split) || recovery(Recovery::Resurrected),
            Self::Lost => recovery(Recovery::Lost) || recovery(Recovery::BackupStale) || report.volumes.iter().any(VolumeReport::is_unprotected),
            Self::Unknown => could_not_say(report),
        }
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| format!("`{text}` is none of {}", names()))
    }
}

/// Whether something could not be judged: an object is unknown on either axis, or a witness, a source or an app failed and its last good
/// value (or none) stands in.
pub fn could_not_say(report: &Report) -> bool {
    let unknown = [report.summary.drift.get(&Drift::Unknown), report.summary.recovery.get(&Recovery::Unknown)];
    let as_of = &report.as_of;
    unknown.into_iter().flatten().any(|n| *n > 0)
        || as_of.git.values().chain([&as_of.cluster, &as_of.backups]).any(|stage| stage.failure.is_some())
        || report.sources.iter().any(|s| s.failure.is_some())
        || report.apps.iter().any(|a| a.failure.is_some())
        || report.volumes.iter().any(|v| v.state == VolumeState::Unknown)
}

/// The exit code, by the counts over all objects (printed or not):
///
/// * `1`: something that `fail_on` names was found, whatever else is unknown;
/// * `2`: nothing named was found, but something could not be judged, so nobody can say that it is not there;
/// * `0`: nothing named was found and everything was judged. Findings that nobody named do not change the code.
///
/// `3` is not decided here: it stands for wrong usage or configuration.
pub fn exit_code(report: &Report, fail_on: &[FailOn]) -> u8 {
    if fail_on.iter().any(|f| f.found_in(report)) {
        1
    } else if could_not_say(report) {
        2
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::sample, witness::Failure};

    #[test]
    fn the_code_follows_what_was_named_and_what_is_unknown() {
        use FailOn::{Drift, Lost, Split, Unknown};
        let busy = sample::busy();
        let clean = sample::clean();
        for named in [&[Drift][..], &[Split], &[Lost], &[Unknown], &[Unknown, Drift]] {
            assert_eq!(exit_code(&busy, named), 1, "{named:?}");
            assert_eq!(exit_code(&clean, named), 0, "{named:?}");
        }
        assert_eq!((exit_code(&busy, &[]), exit_code(&clean, &[])), (2, 0));
    }

    #[test]
    fn a_failed_stage_is_never_clean() {
        let failure = || Some(Failure::new("unreachable", "the API server does not answer"));
        let spoil: [fn(&mut Report, Option<Failure>); 4] =
            [|r, f| r.as_of.cluster.failure = f, |r, f| r.as_of.backups.failure = f, |r, f| r.sources[0].failure = f, |r, f| r.apps[0].failure = f];
        for spoil in spoil {
            let mut report = sample::clean();
            spoil(&mut report, failure());
            assert_eq!(exit_code(&report, &[FailOn::Drift]), 2);
            assert_eq!(exit_code(&report, &[FailOn::Unknown]), 1);
        }
    }

    #[test]
    fn only_an_object_of_the_named_kind_counts() {
        for (verdict, named) in [(Recovery::Resurrected, FailOn::Split), (Recovery::BackupStale, FailOn::Lost)] {
            let mut report = sample::clean();
            report.summary.recovery.insert(verdict, 1);
            let codes = FailOn::ALL.map(|f| exit_code(&report, &[f]));
            assert_eq!(codes, FailOn::ALL.map(|f| u8::from(f == named)));
        }
        let mut report = sample::clean();
        report.summary.drift.insert(Drift::Unmanaged, 9);
        assert_eq!(exit_code(&report, &FailOn::ALL), 0);
    }

    #[test]
    fn a_claim_that_nobody_keeps_is_lost_and_one_of_which_nothing_is_known_is_unknown() {
        for (state, codes) in [
            (VolumeState::Absent, [0, 0, 1, 0]),
            (VolumeState::Unknown, [2, 2, 2, 1]),
            (VolumeState::Skipped, [0; 4]),
            (VolumeState::Snapshot, [0; 4]),
        ] {
            let mut report = sample::clean();
            report.volumes.push(sample::claim("data", state));
            assert_eq!(FailOn::ALL.map(|f| exit_code(&report, &[f])), codes, "{state:?}");
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_refused() {
        for f in FailOn::ALL {
            assert_eq!(f.to_string().parse(), Ok(f));
        }
        assert_eq!("splits".parse::<FailOn>(), Err("`splits` is none of drift, split, lost, unknown".into()));
    }
}
