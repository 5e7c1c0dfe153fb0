//! Times and commits as a person at 02:50 reads them. pure

use jiff::{Timestamp, tz::TimeZone};

use crate::witness::Commit;
pub(super) use crate::words::{count, short, span};

/// `14:02Z` on the day of `now`, `2026-01-02 14:02Z` on another.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, today) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let form = if at.date() == today.date() { "%H:%MZ" } else { "%Y-%m-%d %H:%MZ" };
    at.strftime(form).to_string()
}

/// `3f2a91c, Ada`.
pub(super) fn commit(commit: &Commit) -> String {
    format!("{}, {}", short(&commit.sha), commit.author)
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
}
