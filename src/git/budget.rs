//! What one operation may take: time, bytes, and the caller's patience. I/O: reads the monotonic clock.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::error::{Fault, GitErrorKind, clean};

/// Shared by everything that works on one operation. The first fault that is noted is the one that is told: what follows from it
/// (a broken stream, a pack that ends early) would only hide it.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Instant,
    timeout: Duration,
    cap: u64,
    bytes: AtomicU64,
    requests: AtomicU32,
    /// Set when the work must end; gix looks at it too.
    pub stop: Arc<AtomicBool>,
    fault: Mutex<Option<Fault>>,
    secrets: Mutex<Vec<String>>,
}

impl Budget {
    pub fn new(timeout: Duration, cap: u64) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            timeout,
            cap,
            bytes: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            stop: Arc::default(),
            fault: Mutex::default(),
            secrets: Mutex::default(),
        }
    }

    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub fn cap(&self) -> u64 {
        self.cap
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts one request to a server.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The fault for a passed deadline.
    pub fn timeout_fault(&self) -> Fault {
        let what = format!(
            "not done within {:?} (requests: {2}, bytes received: {1}); check the server, or raise `timeout`",
            self.timeout,
            self.bytes(),
            self.requests()
        );
        Fault::new(GitErrorKind::Timeout, what)
    }

    /// Whether work may go on.
    pub fn check(&self) -> std::io::Result<()> {
        if self.remaining().is_zero() {
            return Err(self.note(self.timeout_fault()));
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.note(Fault::new(GitErrorKind::Cancelled, "stopped on request")));
        }
        Ok(())
    }

    /// Counts bytes received and holds them against the cap.
    pub fn spend(&self, bytes: usize) -> std::io::Result<()> {
        let sum = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64);
        if sum > self.cap {
            let what = format!("the server sent more than the {} bytes that one fetch may bring; raise `max_fetch_bytes` if that is right", self.cap);
            return Err(self.note(Fault::new(GitErrorKind::TooLarge, what)));
        }
        self.check()
    }

    /// Notes a fault, unless an earlier one is noted already, and gives an error to end reading with.
    pub fn note(&self, fault: Fault) -> std::io::Error {
        let mut noted = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = noted.get_or_insert(fault);
        std::io::Error::other(fault.clone())
    }

    /// The first fault that was noted, if any; it is forgotten, so that a second attempt starts clean.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Remembers a credential, so that [`Budget::safe`] can keep it out of what is shown.
    pub fn keep_secret(&self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret.to_owned());
        }
    }

    /// Text from a server or a program, fit to be shown: cleaned, capped, and without the credentials of this operation.
    pub fn safe(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text = text.replace(secret.as_str(), "[redacted]");
        }
        clean(&text, 400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_on_bytes_is_exact_and_the_first_fault_stays() {
        let budget = Budget::new(Duration::from_secs(60), 10);
        assert!(budget.spend(10).is_ok());
        assert!(budget.spend(1).is_err());
        budget.note(Fault::new(GitErrorKind::Network, "later"));
        assert_eq!(budget.take_fault().map(|f| f.kind), Some(GitErrorKind::TooLarge));
        assert_eq!(budget.take_fault(), None);
    }

    #[test]
    fn a_passed_deadline_and_a_stop_are_told_apart() {
        let budget = Budget::new(Duration::ZERO, 10);
        assert!(budget.check().is_err());
        assert_eq!(budget.take_fault().map(|f| f.kind), Some(GitErrorKind::Timeout));
        let budget = Budget::new(Duration::from_secs(60), 10);
        budget.stop.store(true, Ordering::Relaxed);
        assert!(budget.check().is_err());
        assert_eq!(budget.take_fault().map(|f| f.kind), Some(GitErrorKind::Cancelled));
    }

    #[test]
    fn credentials_are_taken_out_of_what_a_server_says() {
        let budget = Budget::new(Duration::from_secs(1), 1);
        budget.keep_secret("CANARY");
        budget.keep_secret("");
        assert_eq!(budget.safe("no such user: CANARY\n!"), "no such user: [redacted] !");
    }
}
