//! The last activation before a moment, and the longest time between two. pure
//!
//! Neither is in robfig/cron; both are built on its `Next`, so that they agree with it.

use std::time::Duration;

use jiff::{Timestamp, civil};

use super::{Fields, next::day_matches, next::next};

/// As far back as `Next` looks ahead.
const FIVE_YEARS: i64 = 5 * 366 * 86_400;

/// What a change of clock can add to or take from a gap, and some room.
const CLOCK: i64 = 3 * 3600;

/// How far ahead changes of clock are looked at.
const TWO_YEARS: i64 = 2 * 366 * 86_400;

/// The last activation before a moment: the latest start from which `next` still ends before it, found by halving.
pub(super) fn prev(fields: &Fields, before: Timestamp) -> Option<Timestamp> {
    let end = before.as_second();
    let reaches = |back: i64| next(fields, Timestamp::from_second(end.checked_sub(back)?).ok()?).filter(|t| *t < before);
    let mut far = 1;
    while reaches(far).is_none() {
        far *= 2;
        if far > 2 * FIVE_YEARS {
            return None;
        }
    }
    let mut near = far / 2;
    while far - near > 1 {
        let middle = near + (far - near) / 2;
        if reaches(middle).is_some() { far = middle } else { near = middle }
    }
    reaches(far)
}

/// The longest gap: by the calendar alone over the 28 years after which weekdays and leap years repeat, then at every change of clock.
pub(super) fn longest(fields: &Fields, around: Timestamp) -> Option<Duration> {
    next(fields, around)?;
    let calendar = by_calendar(fields)?;
    let mut longest = calendar;
    let horizon = around.as_second().saturating_add(TWO_YEARS);
    for change in fields.zone.following(around).take_while(|c| c.timestamp().as_second() < horizon) {
        let change = change.timestamp().as_second();
        let (start, end) = (change.saturating_sub(calendar + CLOCK), change.saturating_add(calendar + CLOCK));
        let mut last = next(fields, Timestamp::from_second(start).ok()?)?;
        while last.as_second() < end {
            let following = next(fields, last)?;
            longest = longest.max(following.as_second() - last.as_second());
            last = following;
        }
    }
    Some(Duration::from_secs(u64::try_from(longest).ok()?))
}

/// The longest gap in seconds on a clock that never changes.
fn by_calendar(fields: &Fields) -> Option<i64> {
    let minutes: Vec<i64> = (0..24 * 60).filter(|m| fields.hour & 1 << (m / 60) != 0 && fields.minute & 1 << (m % 60) != 0).map(|m| m * 60).collect();
    let (first, last) = (*minutes.first()?, *minutes.last()?);
    let within = minutes.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    let (mut day, end) = (civil::date(2001, 1, 1), civil::date(2029, 12, 31));
    let mut between = 0;
    let mut since: Option<i64> = None;
    while day < end {
        if fields.month & 1 << day.month() != 0 && day_matches(fields, day) {
            between = between.max(since.unwrap_or(0));
            since = Some(0);
        }
        since = since.map(|days| days + 1);
        day = day.tomorrow().ok()?;
    }
    since?;
    Some(within.max(between * 86_400 + first - last))
}
