//! Cron expressions as Velero reads them: `cron.ParseStandard` of robfig/cron 3.0.1, ported rule by rule. pure
//!
//! Velero's pkg/controller/schedule_controller.go hands `Schedule.spec.schedule` to that parser. Other cron libraries accept what it refuses
//! (weekday 7, seconds, `L`), refuse what it accepts (`@every 1h`, `CRON_TZ=`, `5/15`) and read `*/1` in the day fields otherwise, so
//! none of them can say when the next backup is due. Expected values from the real one are in `tests/data/velero/cron`.

mod duration;
mod gap;
mod next;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use duration::parse as parse_duration;
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use thiserror::Error;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Cron {
    /// Five fields or a name such as `@daily`.
    Fields(Fields),
    /// `@every <duration>`: counted from the last backup, so it has no fixed times of day.
    Every(Duration),
}

/// The activations of a five-field expression, as bit sets, and the zone that they are meant in.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day_of_month: u64,
    month: u64,
    day_of_week: u64,
    zone: TimeZone,
}

/// Why an expression is refused, in robfig/cron's own words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CronError(String);

impl CronError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Set in a field that was written as a star (`*`, `?`, `*/1`): the two day fields are joined by AND if either has it, else by OR.
const STAR: u64 = 1 << 63;

struct Bounds {
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds { min: 1, max: 12, names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] };
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Cron {
    /// Parses an expression as a server in UTC does, which is what Velero's image runs in.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        Self::parse_in(expression, &TimeZone::UTC)
    }

    /// Parses an expression (robfig/cron `parser.go`, `ParseStandard`).
    ///
    /// An expression without `TZ=` or `CRON_TZ=` means the local zone of Velero's server.
    pub fn parse_in(expression: &str, server: &TimeZone) -> Result<Self, CronError> {
        if expression.is_empty() {
            return Err(CronError::new("empty spec string"));
        }
        let mut rest = expression;
        let mut zone = server.clone();
        if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
            // The real parser panics without a space, and Velero turns the panic into a validation error.
            let (name, after) = rest
                .split_once(' ')
                .and_then(|(head, after)| Some((head.split_once('=')?.1, after)))
                .ok_or_else(|| CronError::new("a time zone and nothing after it"))?;
            zone = if name == "Local" { server.clone() } else { self::zone(name)? };
            rest = after.trim();
        }
        if rest.starts_with('@') {
            return descriptor(rest, zone);
        }
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
            return Err(CronError::new(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "))));
        };
        Ok(Self::Fields(Fields {
            minute: field(minute, &MINUTES)?,
            hour: field(hour, &HOURS)?,
            day_of_month: field(day_of_month, &DAYS)?,
            month: field(month, &MONTHS)?,
            day_of_week: field(day_of_week, &WEEKDAYS)?,
            zone,
        }))
    }

    /// The first activation after a moment. `None`: none within five years (robfig/cron `spec.go`, `Next`), or beyond year 9999.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Fields(fields) => next::next(fields, after),
            Self::Every(every) => {
                let whole = Timestamp::from_second(after.as_second() - i64::from(after.subsec_nanosecond() < 0)).ok()?;
                whole.checked_add(*every).ok()
            }
        }
    }

    /// How many activations lie after one moment and not after another; no more than `most` are counted.
    pub fn runs(&self, after: Timestamp, until: Timestamp, most: u64) -> u64 {
        let mut at = after;
        let mut runs = 0;
        while runs < most
            && let Some(next) = self.next(at).filter(|next| *next <= until)
        {
            (at, runs) = (next, runs + 1);
        }
        runs
    }

    /// The last activation before a moment. `None`: none within five years, or `@every`, whose activations depend on the last backup.
    pub fn prev(&self, before: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Fields(fields) => gap::prev(fields, before),
            Self::Every(_) => None,
        }
    }

    /// The longest time between two activations that the expression allows, over all calendar years and over the changes of clock in the
    /// two years after `around`. `None`: it never activates.
    pub fn longest_gap(&self, around: Timestamp) -> Option<Duration> {
        match self {
            Self::Fields(fields) => gap::longest(fields, around),
            Self::Every(every) => Some(*every),
        }
    }
}

/// A zone by name, as Go's `time.LoadLocation` takes it on Linux: exact case; empty and `UTC` are UTC. Zones come from the database bundled with this
/// program, never from the machine.
pub fn zone(name: &str) -> Result<TimeZone, CronError> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err(CronError::new(format!("provided bad location {name}: time: invalid location name")));
    }
    let unknown = || CronError::new(format!("provided bad location {name}: unknown time zone {name}"));
    let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| unknown())?;
    if zone.iana_name() == Some(name) { Ok(zone) } else { Err(unknown()) }
}

fn descriptor(text: &str, zone: TimeZone) -> Result<Cron, CronError> {
    let all = |b: &Bounds| bits(b.min, b.max, 1) | STAR;
    let daily = Fields { minute: 1, hour: 1, day_of_month: all(&DAYS), month: all(&MONTHS), day_of_week: all(&WEEKDAYS), zone };
    Ok(Cron::Fields(match text {
        "@yearly" | "@annually" => Fields { day_of_month: 1 << 1, month: 1 << 1, ..daily },
        "@monthly" => Fields { day_of_month: 1 << 1, ..daily },
        "@weekly" => Fields { day_of_week: 1, ..daily },
        "@daily" | "@midnight" => daily,
        "@hourly" => Fields { hour: all(&HOURS), ..daily },
        _ => {
            let Some(every) = text.strip_prefix("@every ") else {
                return Err(CronError::new(format!("unrecognized descriptor: {text}")));
            };
            let nanos = duration::parse(every).map_err(|e| CronError::new(format!("failed to parse duration {text}: {e}")))?;
            // `Every` rounds up to one second and cuts off what is below a second.
            return Ok(Cron::Every(Duration::from_secs(u64::try_from(nanos / 1_000_000_000).unwrap_or(0).max(1))));
        }
    }))
}

/// One field: a list of ranges. Empty items of the list count for nothing, so `,` is a field that never matches.
fn field(text: &str, bounds: &Bounds) -> Result<u64, CronError> {
    text.split(',').filter(|item| !item.is_empty()).try_fold(0, |bits, item| Ok(bits | range(item, bounds)?))
}

/// One item: `*`, `?`, `N`, `N-M`, each with an optional `/step`. `N/step` means `N-max/step`.
fn range(text: &str, bounds: &Bounds) -> Result<u64, CronError> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end, mut extra);
    if matches!(ends[0], "*" | "?") {
        (start, end, extra) = (bounds.min, bounds.max, STAR);
    } else {
        start = int_or_name(ends[0], bounds)?;
        end = match ends[..] {
            [_] => start,
            [_, high] => int_or_name(high, bounds)?,
            _ => return Err(CronError::new(format!("too many hyphens: {text}"))),
        };
        extra = 0;
    }
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            let step = int(step)?;
            if ends.len() == 1 {
                end = bounds.max;
            }
            if step > 1 {
                extra = 0;
            }
            step
        }
        _ => return Err(CronError::new(format!("too many slashes: {text}"))),
    };
    if start < bounds.min {
        return Err(CronError::new(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.min)));
    }
    if end > bounds.max {
        return Err(CronError::new(format!("end of range ({end}) above maximum ({}): {text}", bounds.max)));
    }
    if start > end {
        return Err(CronError::new(format!("beginning of range ({start}) beyond end of range ({end}): {text}")));
    }
    if step == 0 {
        return Err(CronError::new(format!("step of range should be a positive number: {text}")));
    }
    Ok(bits(start, end, step) | extra)
}

fn bits(min: u64, max: u64, step: u64) -> u64 {
    (min..=max).filter(|n| (n - min).is_multiple_of(step)).fold(0, |bits, n| bits | 1 << n)
}

fn int_or_name(text: &str, bounds: &Bounds) -> Result<u64, CronError> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(at) => Ok(at as u64 + bounds.min),
        None => int(text),
    }
}

/// Go's `strconv.Atoi`, with its words; a leading plus is allowed.
fn int(text: &str) -> Result<u64, CronError> {
    let refused = |why: &str| CronError::new(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused("invalid syntax"));
    }
    let number: i64 = text.parse().map_err(|_| refused("value out of range"))?;
    u64::try_from(number).map_err(|_| CronError::new(format!("negative number ({number}) not allowed: {text}")))
}
