//! The next activation, step by step as robfig/cron's `spec.go` finds it, changes of clock included. pure
//!
//! The port keeps the original's order of steps and Go's way to place a wall clock time on the time line: what happens at a gap or an
//! overlap follows from them, surprises included, and the point is to know when *Velero* will act.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::{Fields, STAR};

/// Years after which the search is given up.
const YEARS: i16 = 5;

/// Steps after which the search is given up: far more than five years need. Where a zone leaves out a whole day (Pacific/Apia,
/// 2011-12-30), the original never returns.
const STEPS: u32 = 100_000;

/// A moment with its wall clock in one zone.
struct Moment<'a> {
    zone: &'a TimeZone,
    unix: i64,
    wall: civil::DateTime,
}

impl<'a> Moment<'a> {
    fn at(zone: &'a TimeZone, unix: i64) -> Option<Self> {
        Some(Self { zone, unix, wall: zone.to_datetime(Timestamp::from_second(unix).ok()?) })
    }

    /// Go's `time.Date`: the offset is looked up at the wall clock time taken as UTC, and corrected once.
    fn placed(zone: &'a TimeZone, wall: civil::DateTime) -> Option<Self> {
        let offset = |unix: i64| Some(i64::from(zone.to_offset(Timestamp::from_second(unix).ok()?).seconds()));
        let plain = TimeZone::UTC.to_timestamp(wall).ok()?.as_second();
        let first = offset(plain)?;
        let unix = if first == 0 { plain } else { plain - offset(plain - first)? };
        Self::at(zone, unix)
    }

    fn later(&self, seconds: i64) -> Option<Self> {
        Self::at(self.zone, self.unix.checked_add(seconds)?)
    }
}

pub(super) fn day_matches(fields: &Fields, day: civil::Date) -> bool {
    let of_month = fields.day_of_month & 1 << day.day() != 0;
    let of_week = fields.day_of_week & 1 << day.weekday().to_sunday_zero_offset() != 0;
    if (fields.day_of_month | fields.day_of_week) & STAR != 0 { of_month && of_week } else { of_month || of_week }
}

/// `SpecSchedule.Next`. The second field of the original is always zero in the standard form.
pub(super) fn next(fields: &Fields, after: Timestamp) -> Option<Timestamp> {
    // A field of commas only never matches; the original walks all five years to find that out.
    if [fields.minute, fields.hour, fields.month].contains(&0) || fields.day_of_month | fields.day_of_week == 0 {
        return None;
    }
    let zone = &fields.zone;
    let whole = after.as_second() - i64::from(after.subsec_nanosecond() < 0);
    let mut t = Moment::at(zone, whole.checked_add(1)?)?;
    let limit = t.wall.year().checked_add(YEARS)?;
    let mut added = false;
    let mut steps = 0;
    let mut step = || {
        steps += 1;
        (steps < STEPS).then_some(())
    };
    'wrap: loop {
        if t.wall.year() > limit {
            return None;
        }
        while fields.month & 1 << t.wall.month() == 0 {
            step()?;
            if !added {
                added = true;
                t = Moment::placed(zone, t.wall.date().first_of_month().to_datetime(civil::Time::midnight()))?;
            }
            let (year, month) = if t.wall.month() == 12 { (t.wall.year().checked_add(1)?, 1) } else { (t.wall.year(), t.wall.month() + 1) };
            // Go carries days that the month lacks over into the next one.
            let first = civil::Date::new(year, month, 1).ok()?;
            let day = first.checked_add(jiff::Span::new().days(i64::from(t.wall.day()) - 1)).ok()?;
            t = Moment::placed(zone, day.to_datetime(t.wall.time()))?;
            if t.wall.month() == 1 {
                continue 'wrap;
            }
        }
        while !day_matches(fields, t.wall.date()) {
            step()?;
            if !added {
                added = true;
                t = Moment::placed(zone, t.wall.date().to_datetime(civil::Time::midnight()))?;
            }
            t = Moment::placed(zone, t.wall.date().tomorrow().ok()?.to_datetime(t.wall.time()))?;
            let hour = i64::from(t.wall.hour());
            if hour != 0 {
                t = t.later(if hour > 12 { 24 - hour } else { -hour } * 3600)?;
            }
            if t.wall.day() == 1 {
                continue 'wrap;
            }
        }
        while fields.hour & 1 << t.wall.hour() == 0 {
            step()?;
            if !added {
                added = true;
                t = Moment::placed(zone, t.wall.date().at(t.wall.hour(), 0, 0, 0))?;
            }
            t = t.later(3600)?;
            if t.wall.hour() == 0 {
                continue 'wrap;
            }
        }
        while fields.minute & 1 << t.wall.minute() == 0 {
            step()?;
            if !added {
                added = true;
                t = Moment::at(zone, t.unix - t.unix.rem_euclid(60))?;
            }
            t = t.later(60)?;
            if t.wall.minute() == 0 {
                continue 'wrap;
            }
        }
        while t.wall.second() != 0 {
            added = true;
            t = t.later(1)?;
            if t.wall.second() == 0 {
                continue 'wrap;
            }
        }
        return Timestamp::from_second(t.unix).ok();
    }
}
