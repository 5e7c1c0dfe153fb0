//! Which namespaces and schedules keep series of their own, and where the others are counted. pure

use std::collections::{BTreeMap, BTreeSet};

use crate::report::{
    Report,
    model::{ScheduleReport, ScheduleState},
};

/// Stands for everything beyond a cap. No object of Kubernetes can have this name.
pub(super) const OTHER: &str = "__other__";

/// Names that keep series of their own.
pub(super) struct Kept<'a>(BTreeSet<&'a str>);

impl<'a> Kept<'a> {
    /// The namespaces with most objects, by name where equal.
    pub(super) fn namespaces(report: &'a Report, cap: usize) -> Self {
        let mut objects: BTreeMap<&str, u64> = BTreeMap::new();
        for cell in report.summary.coverage.iter().filter(|cell| !cell.namespace.is_empty()) {
            *objects.entry(&cell.namespace).or_default() += cell.objects;
        }
        let mut ranked: Vec<_> = objects.into_iter().collect();
        ranked.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Self(ranked.into_iter().take(cap).map(|(name, _)| name).collect())
    }

    /// The schedules that need somebody, then paused ones, then the others, by name where equal. So what is folded is what is well, unless
    /// more schedules than the cap are in trouble.
    pub(super) fn schedules(report: &'a Report, cap: usize) -> Self {
        let mut ranked: Vec<&ScheduleReport> = report.schedules.iter().collect();
        let rank = |schedule: &ScheduleReport| match schedule.state {
            ScheduleState::Paused => 1,
            ScheduleState::OnTime | ScheduleState::Waiting => 2,
            _ => 0,
        };
        ranked.sort_by_key(|schedule| (rank(schedule), &schedule.name));
        Self(ranked.into_iter().take(cap).map(|schedule| &*schedule.name).collect())
    }

    /// Whether a name keeps series of its own.
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The name, or what it is folded into. An empty one stands for what has none, and is never folded.
    pub(super) fn fold<'n>(&self, name: &'n str) -> &'n str {
        if name.is_empty() || self.keeps(name) { name } else { OTHER }
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.0.iter().copied()
    }
}
