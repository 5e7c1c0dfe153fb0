//! Onset times, shared by the tasks and kept in the state file. I/O: the state file.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::state::{self, Loaded, StateError};
use crate::{config::SourceName, object::Text, report::Report, verdict::Onsets};

/// How often the file is written at most. A crash loses no more than this, and nothing that Git or managedFields tell.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

struct Inner {
    onsets: Arc<Onsets>,
    saved: Arc<Onsets>,
    saved_at: Option<Timestamp>,
}

/// Onset times. Cloning shares them.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    path: Option<PathBuf>,
}

impl Memory {
    /// Loads the state file, if there is to be one. A corrupt one is set aside, a newer one refused.
    pub fn load(path: Option<&Path>) -> Result<Self, StateError> {
        let mut onsets = match path.map(state::load::<Onsets>).transpose()? {
            Some(Loaded::Good(onsets)) => onsets,
            Some(Loaded::SetAside(aside)) => {
                warn!(kept = %aside.display(), "the state file could not be understood and was set aside; onset times start anew");
                Onsets::default()
            }
            Some(Loaded::Fresh) | None => Onsets::default(),
        };
        onsets.end_at(Timestamp::now());
        let onsets = Arc::new(onsets);
        let inner = Inner { saved: onsets.clone(), onsets, saved_at: None };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), path: path.map(Path::to_owned) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The times as they are now.
    pub fn onsets(&self) -> Arc<Onsets> {
        self.lock().onsets.clone()
    }

    /// The tip of a source that was seen last, and when.
    pub fn tip(&self, source: &SourceName) -> Option<(Text, Timestamp)> {
        self.lock().onsets.last_tip(source)
    }

    /// Takes a report in, and writes the file if it is time. Returns whether the next report can say since when something is that this one
    /// could not.
    pub fn advance(&self, report: &Report, now: Timestamp) -> bool {
        let learned = Arc::make_mut(&mut self.lock().onsets).advance(report, now);
        let due = self.lock().saved_at.is_none_or(|at| now.duration_since(at).abs() >= PAUSE);
        if due {
            self.save(now);
        }
        learned
    }

    /// Writes the file if anything changed since.
    pub fn save(&self, now: Timestamp) {
        let Some(path) = &self.path else { return };
        let onsets = self.onsets();
        if *onsets == *self.lock().saved {
            return;
        }
        match state::save(path, &*onsets) {
            Ok(()) => {
                let mut inner = self.lock();
                inner.saved = onsets;
                inner.saved_at = Some(now);
            }
            Err(e) => {
                warn!(kind = e.kind(), "{e}; onset times are kept in memory");
                self.lock().saved_at = Some(now);
            }
        }
    }
}
