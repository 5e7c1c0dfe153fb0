//! Windows rolled up: the cluster, its layers, its apps. pure

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::join::Join;
use crate::{
    config::{App, AppName, Layer},
    object::{ObjectId, Text},
    report::model::{ObjectReport, Presence, Recovery, Stage, Start, WindowRollup, WindowScope, WindowState},
    witness::Commit,
};

#[derive(Default)]
struct Tally {
    start: Option<Start>,
    start_layer: Option<Layer>,
    pending: u64,
    unsnapshotted: u64,
    resurrected: u64,
    unknown: u64,
    /// An app of it could not be judged, so objects that nobody knows of may be missing here.
    blind: bool,
    commits: BTreeMap<Text, Commit>,
    closes_at: Option<Timestamp>,
    never_closes: bool,
    over: Option<Layer>,
}

impl Tally {
    fn add(&mut self, object: &ObjectReport, over: bool) {
        if object.recovery == Recovery::Unknown && object.sides.git != Presence::Absent {
            self.unknown += 1;
        }
        let Some(window) = &object.window else { return };
        self.commits.extend(window.commits.iter().map(|c| (c.sha.clone(), c.clone())));
        match window.stage {
            Stage::Pending => self.pending += 1,
            Stage::Unsnapshotted => self.unsnapshotted += 1,
            Stage::Resurrection => {
                self.resurrected += 1;
                return;
            }
        }
        match window.closes_at {
            // All of it is closed when the last of it is.
            Some(at) => self.closes_at = self.closes_at.max(Some(at)),
            None => self.never_closes = true,
        }
        if let Some(start) = window.start {
            let older = |known: Start| (start.not_after, start.not_before) < (known.not_after, known.not_before);
            if self.start.is_none_or(older) {
                self.start = Some(start);
                self.start_layer = Some(object.layer);
            }
            if over {
                self.over = self.over.max(Some(object.layer));
            }
        }
    }

    fn state(&self, none: bool) -> WindowState {
        match () {
            () if none => WindowState::None,
            () if self.pending + self.unsnapshotted > 0 => WindowState::Open,
            () if self.unknown > 0 || self.blind => WindowState::Unknown,
            () => WindowState::Closed,
        }
    }
}

/// The layer of every app: what its configuration says, else that of most of its objects, else that of its destination.
pub(super) fn app_layers(join: &Join<'_>, objects: &[ObjectReport]) -> BTreeMap<AppName, Layer> {
    let mut votes: BTreeMap<&AppName, [u64; 3]> = BTreeMap::new();
    objects.iter().filter_map(|o| Some((o.app.as_ref()?, o.layer))).for_each(|(app, layer)| votes.entry(app).or_default()[layer as usize] += 1);
    let layer_of = |(name, app): (&&AppName, &&App)| {
        let counts = votes.get(*name).copied().unwrap_or_default();
        let most = counts.into_iter().max().filter(|n| *n > 0);
        let elected = most.and_then(|most| Layer::ALL.into_iter().find(|l| counts[*l as usize] == most));
        let by_place = || {
            let place = ObjectId::new("", "ConfigMap", Some(app.namespace.as_deref().unwrap_or("default")), "");
            join.inputs.config.layers.layer_of(&place, Some(name))
        };
        ((*name).clone(), app.layer.or(elected).unwrap_or_else(by_place))
    };
    join.git.apps().iter().map(layer_of).collect()
}

/// Windows of the cluster, of each layer and of each app, in that order.
pub(super) fn rollups(join: &Join<'_>, objects: &[ObjectReport], layers: &BTreeMap<AppName, Layer>) -> Vec<WindowRollup> {
    let (config, now) = (join.inputs.config, join.inputs.now);
    let mut tallies: BTreeMap<WindowScope, Tally> = BTreeMap::new();
    // Where no app is known, or nobody knows of any backup, nothing is known to be closed.
    let blind = layers.is_empty() || join.backups.trouble().is_some();
    for scope in Layer::ALL.map(WindowScope::Layer).into_iter().chain([WindowScope::Cluster]) {
        tallies.insert(scope, Tally { blind, ..Tally::default() });
    }
    for (name, layer) in layers {
        let blind = join.git.trouble_of(name).is_some();
        tallies.entry(WindowScope::App(name.clone())).or_default().blind |= blind;
        tallies.entry(WindowScope::Layer(*layer)).or_default().blind |= blind;
        tallies.entry(WindowScope::Cluster).or_default().blind |= blind;
    }
    for object in objects {
        let over = object.window.as_ref().and_then(|w| w.start).is_some_and(|s| too_old(s, config.layers.objective(object.layer), now));
        let app = object.app.clone().map(WindowScope::App);
        for scope in [Some(WindowScope::Cluster), Some(WindowScope::Layer(object.layer)), app].into_iter().flatten() {
            tallies.entry(scope).or_default().add(object, over);
        }
    }
    let none = join.backups.none();
    let objective_of = |scope: &WindowScope, tally: &Tally| match scope {
        WindowScope::Layer(layer) => config.layers.objective(*layer),
        WindowScope::App(name) => config.layers.objective(layers.get(name).copied().unwrap_or(Layer::Apps)),
        // The whole has no objective of its own: it is held against that of the layer that breaks one, or that is open longest.
        WindowScope::Cluster => match tally.over.or(tally.start_layer) {
            Some(layer) => config.layers.objective(layer),
            None => Layer::ALL.map(|l| config.layers.objective(l)).into_iter().min().unwrap_or_default(),
        },
    };
    let finish = |(of, tally): (WindowScope, Tally)| {
        let objective = objective_of(&of, &tally);
        let over_objective = match of {
            WindowScope::Cluster => tally.over.is_some(),
            _ => tally.start.is_some_and(|s| too_old(s, objective, now)),
        };
        let state = tally.state(none);
        let mut commits: Vec<Commit> = tally.commits.into_values().collect();
        commits.sort_by(|a, b| (b.time, &b.sha).cmp(&(a.time, &a.sha)));
        WindowRollup {
            of,
            state,
            start: tally.start,
            objects: tally.pending + tally.unsnapshotted,
            pending: tally.pending,
            unsnapshotted: tally.unsnapshotted,
            resurrected: tally.resurrected,
            unknown: tally.unknown,
            commits,
            objective_seconds: objective.as_secs(),
            over_objective,
            closes_at: tally.closes_at.filter(|_| !tally.never_closes),
        }
    };
    tallies.into_iter().map(finish).collect()
}

/// Whether a window is open for longer than allowed even if it began as late as it may have.
fn too_old(start: Start, objective: std::time::Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(objective).is_ok_and(|objective| now.duration_since(start.not_after) > objective)
}
