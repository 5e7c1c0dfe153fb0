//! One line of progress on standard error, when a terminal is there and work takes longer than a second. I/O: standard error.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A line that is shown while it lives, and wiped when it is dropped.
pub struct Progress {
    what: Arc<Mutex<String>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Starts a line; `quiet`, or standard error not being a terminal, makes it silent.
    pub fn start(quiet: bool) -> Self {
        let what = Arc::new(Mutex::new(String::new()));
        if quiet || !std::io::stderr().is_terminal() {
            return Self { what, task: None };
        }
        let shared = what.clone();
        let task = tokio::spawn(async move {
            let mut seconds = 0;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                seconds += 1;
                let text = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = write!(std::io::stderr(), "\r\x1b[K{text} ({seconds} s)");
            }
        });
        Self { what, task: Some(task) }
    }

    /// Says what is being done now.
    pub fn now(&self, what: &str) {
        what.clone_into(&mut self.what.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
