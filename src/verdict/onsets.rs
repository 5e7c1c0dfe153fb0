//! What has to outlive one report: since when each finding was seen, which tips were seen, how long closed windows were open, what restores proved. pure
//!
//! Serialisable: the daemon keeps it in its state file. Everything that Git, managedFields and backups date better is dated by them;
//! this only fills what they leave open.

mod proofs;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
pub use proofs::KeptProof;
use serde::{Deserialize, Serialize};

use crate::{
    config::SourceName,
    object::{ObjectId, Text},
    report::model::{Drift, Report, Start, WindowScope, WindowState},
    witness::Observed,
};

/// Tips that are remembered per source: enough for a busy branch between two backups.
const MOST_TIPS: usize = 256;

/// Closed windows that are remembered.
const MOST_CLOSED: usize = 1_000;

/// A rolled-up window that was open once and is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedWindow {
    /// What it was about.
    #[serde(flatten)]
    pub of: WindowScope,
    /// When it began, if that was known; else when it was first seen open.
    pub opened: Timestamp,
    /// When it was first seen closed.
    pub closed: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DriftOnset {
    #[serde(flatten)]
    id: ObjectId,
    drift: Drift,
    since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OpenWindow {
    #[serde(flatten)]
    of: WindowScope,
    first_seen: Timestamp,
    start: Option<Start>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SeenTips {
    /// The newest tip and when it was last confirmed.
    last: Option<(Text, Timestamp)>,
    /// Tips that were seen to arrive between two polls, oldest first.
    arrived: Vec<(Text, Observed)>,
}

/// First times, tips, closed windows and proofs. `Default` knows nothing, as on a first start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Onsets {
    drift: HashMap<ObjectId, (Drift, Timestamp)>,
    open: Vec<OpenWindow>,
    closed: Vec<ClosedWindow>,
    tips: BTreeMap<SourceName, SeenTips>,
    proofs: Vec<KeptProof>,
}

/// The written form: lists in a fixed order, because JSON has no keys of several parts.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    drift: Vec<DriftOnset>,
    #[serde(default)]
    open: Vec<OpenWindow>,
    #[serde(default)]
    closed: Vec<ClosedWindow>,
    #[serde(default)]
    tips: BTreeMap<SourceName, SeenTips>,
    #[serde(default)]
    proofs: Vec<KeptProof>,
}

impl From<Stored> for Onsets {
    fn from(s: Stored) -> Self {
        let drift = s.drift.into_iter().map(|d| (d.id, (d.drift, d.since))).collect();
        Self { drift, open: s.open, closed: s.closed, tips: s.tips, proofs: s.proofs }
    }
}

impl From<Onsets> for Stored {
    fn from(o: Onsets) -> Self {
        let mut drift: Vec<_> = o.drift.into_iter().map(|(id, (drift, since))| DriftOnset { id, drift, since }).collect();
        drift.sort_by(|a, b| a.id.cmp(&b.id));
        Self { drift, open: o.open, closed: o.closed, tips: o.tips, proofs: o.proofs }
    }
}

impl Onsets {
    /// Since when an object is seen to drift in this way.
    pub fn drift_since(&self, id: &ObjectId, drift: Drift) -> Option<Timestamp> {
        self.drift.get(id).filter(|(d, _)| *d == drift).map(|(_, since)| *since)
    }

    /// Between which two polls a commit arrived as the tip of a source.
    pub fn observed(&self, source: &SourceName, sha: &str) -> Option<Observed> {
        self.tips.get(source)?.arrived.iter().rev().find(|(s, _)| &**s == sha).map(|(_, o)| *o)
    }

    /// The tip of a source that was seen last, and when.
    pub fn last_tip(&self, source: &SourceName) -> Option<(Text, Timestamp)> {
        self.tips.get(source)?.last.clone()
    }

    /// Windows that were open and are closed, oldest first.
    pub fn closed(&self) -> &[ClosedWindow] {
        &self.closed
    }

    /// What restores proved, whether or not they are still told: by namespace, newest first.
    pub fn proofs(&self) -> &[KeptProof] {
        &self.proofs
    }

    /// Lets nothing be later than `now`: what was seen by a clock that ran ahead was seen by now at the latest.
    pub fn end_at(&mut self, now: Timestamp) {
        self.drift.values_mut().for_each(|(_, since)| *since = (*since).min(now));
        for window in &mut self.open {
            window.first_seen = window.first_seen.min(now);
        }
        for window in &mut self.closed {
            (window.opened, window.closed) = (window.opened.min(now), window.closed.min(now));
        }
        for proof in &mut self.proofs {
            proof.at = proof.at.min(now);
        }
        for seen in self.tips.values_mut() {
            if let Some((_, at)) = &mut seen.last {
                *at = (*at).min(now);
            }
            for (_, observed) in &mut seen.arrived {
                *observed = Observed { not_before: observed.not_before.min(now), not_after: observed.not_after.min(now) };
            }
        }
    }

    /// Takes a report in: first times of what is new in it, nothing of what is gone from it.
    ///
    /// What a report could not judge is neither new nor gone: its times stay. Returns whether a drift is dated now that the report could not
    /// date: only being seen tells when it began.
    pub fn advance(&mut self, report: &Report, now: Timestamp) -> bool {
        self.end_at(now);
        let mut learned = false;
        let mut drift = HashMap::new();
        for object in &report.objects {
            let known = self.drift.get(&object.id);
            match (object.drift, known) {
                (Drift::Unknown, Some(known)) => drop(drift.insert(object.id.clone(), *known)),
                (d, Some(known)) if d.is_drift() && known.0 == d => drop(drift.insert(object.id.clone(), *known)),
                (d, _) if d.is_drift() => {
                    learned |= object.drift_since.is_none();
                    drift.insert(object.id.clone(), (d, now));
                }
                _ => {}
            }
        }
        self.drift = drift;
        self.advance_windows(report, now);
        self.advance_tips(report, now);
        proofs::advance(&mut self.proofs, report, now);
        learned
    }

    fn advance_windows(&mut self, report: &Report, now: Timestamp) {
        let known = std::mem::take(&mut self.open);
        for rollup in &report.windows {
            let before = known.iter().find(|w| w.of == rollup.of);
            match (rollup.state, before) {
                (WindowState::Open, before) => {
                    let first_seen = before.map_or(now, |b| b.first_seen);
                    // The oldest start of its whole life: a second change does not make an open window younger.
                    let starts = [before.and_then(|b| b.start), rollup.start];
                    let start = starts.into_iter().flatten().min_by_key(|s| s.not_after);
                    self.open.push(OpenWindow { of: rollup.of.clone(), first_seen, start });
                }
                (WindowState::Unknown | WindowState::None, Some(before)) => self.open.push(before.clone()),
                (WindowState::Closed, Some(before)) => {
                    let opened = before.start.map_or(before.first_seen, |s| s.not_after).min(now);
                    self.closed.push(ClosedWindow { of: rollup.of.clone(), opened, closed: now });
                }
                (_, None) => {}
            }
        }
        let extra = self.closed.len().saturating_sub(MOST_CLOSED);
        self.closed.drain(..extra);
    }

    fn advance_tips(&mut self, report: &Report, now: Timestamp) {
        self.tips.retain(|name, _| report.sources.iter().any(|s| s.name == *name));
        for source in &report.sources {
            let Some(tip) = &source.tip else { continue };
            let seen = self.tips.entry(source.name.clone()).or_default();
            let confirmed = source.as_of.unwrap_or(now).min(now);
            match &seen.last {
                Some((sha, at)) if *sha != tip.sha => {
                    let not_after = source.observed.unwrap_or(confirmed).min(confirmed);
                    seen.arrived.push((tip.sha.clone(), Observed { not_before: (*at).min(not_after), not_after }));
                    let extra = seen.arrived.len().saturating_sub(MOST_TIPS);
                    seen.arrived.drain(..extra);
                }
                _ => {}
            }
            seen.last = Some((tip.sha.clone(), confirmed));
        }
    }
}
