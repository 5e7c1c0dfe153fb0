//! Times, ages and commits as a person at 02:50 reads them. pure

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{object::Text, witness::Commit};

/// `14:02Z` on the day of `now`, `2026-01-02 14:02Z` on another.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, today) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let form = if at.date() == today.date() { "%H:%MZ" } else { "%Y-%m-%d %H:%MZ" };
    at.strftime(form).to_string()
}

/// `40 s`, `5 min`, `3 h`, `2 d`: the largest unit that fits.
pub(super) fn age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The first seven digits of a commit id.
pub(super) fn short(sha: &Text) -> &str {
    sha.get(..7).unwrap_or(sha)
}

/// `3f2a91c, Ada`.
pub(super) fn commit(commit: &Commit) -> String {
    format!("{}, {}", short(&commit.sha), commit.author)
}

/// `1 object`, `2 objects`.
pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_today_and_dated_otherwise() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().expect("time");
        let at = |t: &str| clock(t.parse().expect("time"), now);
        assert_eq!(at("2026-03-02T00:05:59Z"), "00:05Z");
        assert_eq!(at("2026-03-01T23:59:00Z"), "2026-03-01 23:59Z");
    }

    #[test]
    fn ages_use_the_largest_unit_that_fits() {
        for (seconds, want) in [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (172_799, "47 h"), (172_800, "2 d")] {
            assert_eq!(age(SignedDuration::from_secs(seconds)), want);
        }
    }
}
