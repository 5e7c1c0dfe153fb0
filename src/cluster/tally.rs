//! Requests to the API server, counted by verb and by what came of them. pure

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::metrics::Verb;

/// Requests by verb and HTTP status; without a status no answer came.
pub type Requests = BTreeMap<(Verb, Option<u16>), u64>;

/// Counts requests. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Requests>>);

impl Tally {
    /// What was counted so far.
    pub fn requests(&self) -> Requests {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a request. It counts as unanswered if it is dropped before anything is said of it.
    pub(super) fn begin(&self, verb: Verb) -> Pending<'_> {
        Pending { tally: self, verb, status: None }
    }
}

/// A request that waits for its answer.
pub(super) struct Pending<'a> {
    tally: &'a Tally,
    verb: Verb,
    status: Option<u16>,
}

impl Pending<'_> {
    /// An answer came.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        *self.tally.0.lock().unwrap_or_else(PoisonError::into_inner).entry((self.verb, self.status)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_given_up_counts_as_unanswered() {
        let tally = Tally::default();
        tally.begin(Verb::List).answered(200);
        tally.begin(Verb::List).answered(403);
        drop(tally.begin(Verb::List));
        tally.begin(Verb::List).answered(200);
        let counted: Vec<_> = tally.requests().into_iter().collect();
        assert_eq!(counted, [((Verb::List, None), 1), ((Verb::List, Some(200)), 2), ((Verb::List, Some(403)), 1)]);
    }
}
