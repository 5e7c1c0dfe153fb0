//! The join: three witnesses become one verdict per object, windows and counts. pure
//!
//! [`judge`] reads nothing and knows no clock: the same inputs give the same [`Report`], in whatever order they come. A [`Memo`] only
//! makes the next run quicker.

mod apps;
mod backups;
mod compared;
pub mod confirm;
mod copies;
mod declared;
pub mod derived;
mod disagreements;
mod drift_axis;
pub mod explain;
mod fast;
mod imports;
mod in_full;
mod join;
pub mod memo;
mod neighbours;
mod never;
mod notes;
mod objects;
pub mod onsets;
mod proof;
mod recovery;
mod rewritten;
mod rollup;
mod schedules;
mod schemas;
mod scope;
mod sides;
mod summary;
mod tracked;
mod volumes;
mod why;
mod window;
mod words;

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod rows;
#[cfg(test)]
pub(crate) mod world;

use jiff::Timestamp;

pub use confirm::Suspect;
pub use explain::{Explanation, explain};
pub use memo::{Memo, MemoStats};
pub use onsets::{ClosedWindow, KeptProof, Onsets};

use crate::{
    config::Config,
    report::model::{AsOf, Report, SCHEMA as REPORT_SCHEMA, StageAge, WindowScope, WindowState},
    velero::select::View,
    witness::{Answers, BackedUp, Declared, Live},
};

/// Everything that a verdict depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What Git declares.
    pub declared: &'a Declared,
    /// What the cluster runs.
    pub live: &'a Live,
    /// What the backups hold.
    pub backed_up: &'a BackedUp,
    /// What the user asked for.
    pub config: &'a Config,
    /// What earlier reports saw.
    pub onsets: &'a Onsets,
    /// What the API server answered about what drifts. It stands beside the verdicts and changes none.
    pub answers: &'a Answers,
    /// The moment to speak of.
    pub now: Timestamp,
}

/// Judges every object that a witness names, and fills every field of the report. Objects come in the order of their identities, clean
/// ones included.
pub fn judge(inputs: &Inputs<'_>, memo: &mut Memo) -> Report {
    judge_and_ask(inputs, memo).0
}

/// The same, and what the API server is to be asked; nothing unless that is configured.
pub fn judge_and_ask(inputs: &Inputs<'_>, memo: &mut Memo) -> (Report, Vec<Suspect>) {
    let view = View::of(inputs.live, &inputs.config.velero.namespace);
    let join = join::Join::of(inputs, &view, memo);
    let mut known = objects::Layers::default();
    let mut objects: Vec<_> = join.cases.iter().map(|case| objects::object(&join, case, &mut known)).collect();
    let (mut confirmed, suspects) = confirm::consider(&join);
    if !confirmed.is_empty() {
        objects.iter_mut().for_each(|o| o.confirmed = confirmed.remove(&o.id));
    }
    let layers = rollup::app_layers(&join, &objects);
    let windows = rollup::rollups(&join, &objects, &layers);
    let state = windows.iter().find(|w| w.of == WindowScope::Cluster).map_or(WindowState::Unknown, |w| w.state);
    let (restores, proofs) = proof::proofs(&join);
    let mut backups = self::backups::backups(&join, &objects);
    let disagreements = disagreements::disagreements(&join, &view, &mut backups);
    let report = Report {
        schema: REPORT_SCHEMA.into(),
        now: inputs.now,
        as_of: as_of(inputs),
        summary: summary::summary(&objects, state),
        windows,
        apps: apps::apps(&join, &objects, &layers),
        volumes: volumes::volumes(&join),
        backups,
        disagreements,
        restores,
        proofs,
        schedules: schedules::schedules(&join, &objects),
        locations: self::backups::locations(inputs.backed_up),
        sources: apps::sources(&join),
        blind_spots: notes::blind_spots(&join, &objects),
        suppressed: summary::suppressed(&join),
        notes: notes::notes(&join, &objects),
        objects,
    };
    memo.end();
    (report, suspects)
}

fn as_of(inputs: &Inputs<'_>) -> AsOf {
    let age = |at: Option<Timestamp>, failure: &Option<crate::witness::Failure>| StageAge { at, failure: failure.clone() };
    AsOf {
        git: inputs.declared.sources.iter().map(|(name, s)| (name.clone(), age(s.as_of, &s.failure))).collect(),
        cluster: age(inputs.live.as_of, &inputs.live.failure),
        backups: age(inputs.backed_up.as_of, &inputs.backed_up.failure),
        schemas: schemas::state(inputs.live),
    }
}
