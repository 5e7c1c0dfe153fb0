//! One kind: listed once, then watched for ever, through refusals, lost connections and forgotten history. I/O: the Kubernetes API.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Shared, count};
use crate::{
    cluster::{
        call::CallError,
        inventory::{read_body, read_kind, wants_body},
        limits::{Backoff, spread},
        state::{Now, Target},
        wire::{Event, version_of},
    },
    witness::Failure,
};

/// Kinds whose objects define what is served.
pub(super) const DEFINITIONS: [(&str, &str); 2] = [("apiextensions.k8s.io", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService")];

/// Kinds whose objects say who may read what. A change of one is worth another attempt at what was refused.
const PERMISSIONS: [(&str, &str); 2] = [("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")];

/// Refused readers return within this time after permissions changed, not all at once.
const SPREAD: Duration = Duration::from_secs(2);

/// A watch that lasted for this long went well.
const SETTLED: Duration = Duration::from_secs(1);
/// Refusals in a row of a kind that could be read before, until it is believed that the permission is gone. With the pauses between them this
/// takes a few seconds.
const PASSING_REFUSALS: u32 = 4;

/// Why a watch came to its end.
enum End {
    /// The server ended it as agreed.
    Agreed,
    /// What happened since cannot be told: list anew.
    Forgotten,
    /// It failed, after this long without a word.
    Failed(CallError, Duration),
}

/// One reader.
struct Reader {
    shared: Arc<Shared>,
    target: Target,
    backoff: Backoff,
    /// Refusals in a row.
    refusals: u32,
    defines: bool,
    permits: bool,
    /// The server sends bookmarks for this kind, so silence means something.
    bookmarks: bool,
}

/// Follows one kind until it is aborted.
pub(super) async fn follow(shared: Arc<Shared>, target: Target) {
    let gk = &target.served.gvk.gk;
    let among = |kinds: &[(&str, &str)]| kinds.iter().any(|(g, k)| gk.is(g, k));
    let (defines, permits) = (among(&DEFINITIONS), among(&PERMISSIONS));
    Reader { shared, target, backoff: Backoff::default(), refusals: 0, defines, permits, bookmarks: false }.run().await;
}

impl Reader {
    async fn run(&mut self) {
        let mut churn = Backoff::default();
        loop {
            let from = self.list().await;
            let begun = Instant::now();
            if self.target.served.watch {
                self.watch(from).await;
                // A server that forgets at once what it has just listed must not be asked for list after list.
                if begun.elapsed() < SETTLED {
                    sleep(churn.next(self.shared.limits().retry)).await;
                } else {
                    churn.reset();
                }
            } else {
                sleep(self.shared.limits().rediscover).await;
            }
        }
    }

    /// Lists until it works; returns the resource version to watch from.
    async fn list(&mut self) -> String {
        let mut first = true;
        loop {
            let outcome = {
                // The semaphore is never closed; without a permit the list runs all the same.
                let _turn = self.shared.lists.acquire().await.ok();
                count(&self.shared.counters.lists);
                read_kind(&self.shared.wire, &self.shared.intake, &self.target).await
            };
            match outcome {
                Ok((objects, from)) => {
                    let known = self.shared.state().is_good(&self.target.served.gvk.gk) || !first;
                    let news = self.shared.state().replace(&self.target.served.gvk.gk, objects, Now::read());
                    self.backoff.reset();
                    self.refusals = 0;
                    self.shared.news.notify_one();
                    if self.defines && news && known {
                        self.shared.rediscover.notify_one();
                    }
                    return from;
                }
                Err(e) => {
                    first = false;
                    self.failed(&e.cause, e.failure, Duration::ZERO).await;
                }
            }
        }
    }

    /// Tells what went wrong and waits before the next attempt.
    async fn failed(&mut self, cause: &CallError, failure: Failure, silence: Duration) {
        let limits = *self.shared.limits();
        let gk = &self.target.served.gvk.gk;
        tracing::debug!(kind = %gk, reason = cause.kind(), error = %cause, "a kind cannot be read");
        count(&self.shared.counters.failures);
        // A server that just started refuses everybody until it has read its roles: what could be read before is asked again soon.
        self.refusals = if cause.refused() { self.refusals + 1 } else { 0 };
        let refused = cause.refused() && (self.refusals > PASSING_REFUSALS || !self.shared.state().was_read(gk));
        if self.refusals == 1 {
            self.backoff.reset();
        }
        self.shared.state().broke(gk, failure, refused, silence, Now::read());
        self.shared.news.notify_one();
        if cause.kind() == "not_served" {
            self.shared.rediscover.notify_one();
        }
        let pause = self.backoff.next(if refused { limits.refused } else { limits.retry }).max(cause.retry_after().unwrap_or_default());
        if !refused {
            sleep(pause).await;
        } else if timeout(pause, self.shared.mended.notified()).await.is_ok() {
            sleep(SPREAD.mul_f64(spread())).await;
        }
    }

    /// Watches from a resource version, again and again, until history is forgotten.
    async fn watch(&mut self, mut from: String) {
        loop {
            let begun = Instant::now();
            match self.watch_once(&mut from).await {
                End::Agreed if begun.elapsed() >= SETTLED => {
                    self.backoff.reset();
                    self.refusals = 0;
                }
                // A server that ends every watch at once must not be asked again at once.
                End::Agreed => sleep(self.backoff.next(self.shared.limits().retry)).await,
                End::Forgotten => return,
                End::Failed(cause, silence) => {
                    let kind = &self.target.served;
                    let failure = cause.failure("watch", &kind.plural, &kind.gvk);
                    self.failed(&cause, failure, silence).await;
                }
            }
        }
    }

    async fn watch_once(&mut self, from: &mut String) -> End {
        let limits = *self.shared.limits();
        let gk = self.target.served.gvk.gk.clone();
        // Up to a tenth earlier, so that the watches do not all end together.
        let asked = limits.watch.mul_f64(1.0 - spread() / 10.0);
        let seconds = u32::try_from(asked.as_secs().max(1)).unwrap_or(200);
        count(&self.shared.counters.watches);
        let mut events = match self.shared.wire.watch(&self.target.served, self.target.metadata, from, seconds).await {
            Ok(events) => events,
            Err(e) if e.expired() => return End::Forgotten,
            Err(e) => return End::Failed(e, Duration::ZERO),
        };
        self.shared.state().healed(&gk, Now::read());
        self.shared.news.notify_one();
        loop {
            let silence = if self.bookmarks { limits.silence.min(asked + limits.overtime) } else { asked + limits.overtime };
            let heard = Instant::now();
            let event = match events.next(silence).await {
                Ok(Some(event)) => event,
                Ok(None) => return End::Agreed,
                Err(e) if e.expired() => return End::Forgotten,
                Err(e) => return End::Failed(e, heard.elapsed()),
            };
            count(&self.shared.counters.events);
            self.shared.state().heard(Now::read());
            self.backoff.reset();
            let version = match &event {
                Event::Put(raw) | Event::Gone(raw) => version_of(raw).to_owned(),
                Event::Bookmark(version) => version.clone(),
            };
            // A cluster that was restored from an older state goes back in time; what it lost in between is in no event.
            if went_back(from, &version) {
                return End::Forgotten;
            }
            if let Some(end) = self.apply(event).await {
                return end;
            }
            if !version.is_empty() {
                *from = version;
            }
        }
    }

    async fn apply(&mut self, event: Event) -> Option<End> {
        let (raw, gone) = match event {
            Event::Put(raw) => (raw, false),
            Event::Gone(raw) => (raw, true),
            Event::Bookmark(_) => {
                self.bookmarks = true;
                return None;
            }
        };
        let gk = &self.target.served.gvk.gk;
        let mut taken = match self.shared.intake.take(&self.target.served, raw, self.target.metadata) {
            Ok(taken) => taken,
            Err(e) => return Some(End::Failed(CallError::Malformed(e.to_string()), Duration::ZERO)),
        };
        if gone {
            self.shared.state().remove(gk, &taken.object.id);
        } else {
            if wants_body(&self.target, &taken.object) && self.is_news(&taken.object) {
                if let Some(full) = read_body(&self.shared.wire, &self.shared.intake, &self.target, &taken.object).await {
                    taken = full;
                }
            } else if wants_body(&self.target, &taken.object) {
                return None;
            }
            self.shared.state().put(gk, taken);
        }
        self.shared.news.notify_one();
        if self.defines {
            self.shared.rediscover.notify_one();
        }
        if self.permits {
            self.shared.mended.notify_waiters();
        }
        None
    }

    /// Whether an object that is read whole may differ from the one held. Its status moves often, its generation only with its spec; kinds
    /// without generations are read again at each write.
    fn is_news(&self, object: &crate::object::Object) -> bool {
        let state = self.shared.state();
        state.held(&object.id).is_none_or(|held| held.meta.partial || held.meta.resource_version != object.meta.resource_version)
    }
}

/// Whether a resource version is older than the one before it. Only numbers can be compared; others are opaque.
fn went_back(before: &str, after: &str) -> bool {
    match (before.parse::<u64>(), after.parse::<u64>()) {
        (Ok(before), Ok(after)) => after < before,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_can_go_back_in_time() {
        for (before, after, back) in [("10", "9", true), ("9", "10", false), ("9", "9", false), ("", "5", false), ("9", "", false), ("b", "a", false)]
        {
            assert_eq!(went_back(before, after), back, "{before} {after}");
        }
    }
}
