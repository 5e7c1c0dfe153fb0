//! Bounds and periods of the cluster side. I/O: random numbers that spread retries.

use std::time::Duration;

/// Bounds and periods. The defaults are for real clusters; tests shorten the periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects of one list page.
    pub page: u32,
    /// Bytes of one list page, inflated. A page that is larger is asked for again in smaller parts.
    pub page_bytes: usize,
    /// Bytes of one watch event.
    pub event_bytes: usize,
    /// Lists that run at the same time.
    pub lists: usize,
    /// Longest time for one call that is not a watch, its whole body included.
    pub call: Duration,
    /// How long one watch is asked to last. Below the 240 s after which some load balancers drop a silent connection.
    pub watch: Duration,
    /// A watch that has shown bookmarks and then says nothing for this long is dead. Servers send bookmarks about once a minute.
    pub silence: Duration,
    /// How much longer than `watch` a watch without bookmarks may say nothing.
    pub overtime: Duration,
    /// How long a kind may be cut off before its objects count as unknown.
    pub grace: Duration,
    /// First and longest pause after a failure.
    pub retry: (Duration, Duration),
    /// First and longest pause after a refusal (401, 403, 404, 405): only a person can heal those.
    pub refused: (Duration, Duration),
    /// Discovery at least this often.
    pub rediscover: Duration,
    /// Discovery at least this often while a group is broken, or while definitions cannot be watched.
    pub rediscover_soon: Duration,
    /// A view is published this long after the first change.
    pub debounce: Duration,
    /// Least time between two published views.
    pub gap: Duration,
    /// The first view waits for the first outcome of every kind, but no longer than this.
    pub first: Duration,
    /// How often the age of the view is renewed while nothing changes.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            page: 500,
            page_bytes: 32 << 20,
            event_bytes: 16 << 20,
            lists: 4,
            call: s(60),
            watch: s(200),
            silence: s(150),
            overtime: s(10),
            grace: s(30),
            retry: (Duration::from_millis(500), s(30)),
            refused: (s(30), s(300)),
            rediscover: s(600),
            rediscover_soon: s(120),
            debounce: Duration::from_millis(100),
            gap: Duration::from_millis(200),
            first: s(90),
            heartbeat: s(2),
        }
    }
}

/// A number that nobody can foresee, from 0 up to 1: for spreading retries. Not for secrets.
pub(crate) fn spread() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Pauses that double from the first to the longest, each shortened by up to a half at random so that many kinds do not return at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self, (first, longest): (Duration, Duration)) -> Duration {
        let pause = first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(longest);
        self.failures = (self.failures + 1).min(20);
        pause.mul_f64(0.5 + spread() / 2.0)
    }

    /// Starts again from the first pause.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let range = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::default();
        for n in 0..40 {
            let whole = Duration::from_millis(500 * (1 << n.min(6))).min(range.1);
            let pause = backoff.next(range);
            assert!(pause >= whole / 2 && pause <= whole, "{n}: {pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next(range) <= range.0);
        assert!((0..100).map(|_| spread()).any(|s| s > 0.5) && (0..100).map(|_| spread()).any(|s| s < 0.5));
    }

    #[test]
    fn a_watch_ends_before_load_balancers_drop_it() {
        let limits = Limits::default();
        assert!(limits.watch + limits.overtime < Duration::from_secs(240) && limits.silence < limits.watch);
    }
}
