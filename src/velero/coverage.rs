//! Coverage: for each object which schedule will take it, or which rule leaves it out, as a document and as text. pure

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    observed::{self, Subject},
    select::{Decision, Plan, View},
};
use crate::{
    object::{ObjectId, Text},
    report::{
        model::{Agreement, Disagreement},
        text::{clean, until},
    },
    velero::Scope,
    witness::{Failure, Live},
};

/// The version of the document.
pub const SCHEMA: &str = "snapgap.coverage/v1";

/// Objects that a table names of one group before it counts the rest.
const NAMED: usize = 3;

/// What is asked: a schedule that runs, or a backup that does not exist yet.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// `schedule nightly`, `backup plan.yaml`.
    pub name: String,
    /// Its filters.
    pub scope: &'a Scope,
    /// Whether it will not run: paused, or refused for a reason outside its filters.
    pub idle: Option<String>,
    /// When it runs next.
    pub next_due: Option<Timestamp>,
    /// Its newest usable backup of which content and spec are known.
    pub newest: Option<Subject<'a>>,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageReport {
    /// Always `snapgap.coverage/v1`.
    pub schema: Text,
    /// The moment it speaks of.
    pub now: Timestamp,
    /// What was asked, in the order of names.
    pub plans: Vec<PlanReport>,
    /// Live objects.
    pub objects: u64,
    /// Objects that something which runs takes.
    pub taken: u64,
    /// Objects that nothing takes.
    pub left: u64,
    /// Objects of which it cannot be said.
    pub unsure: u64,
    /// Each object, in the order of identities.
    pub rows: Vec<Row>,
}

/// One schedule or backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// Name.
    pub name: String,
    /// Objects that it takes.
    pub takes: u64,
    /// Objects that it leaves out.
    pub leaves: u64,
    /// Cluster-scoped objects among those that are left out for want of one line in its spec.
    pub leaves_cluster_scoped: u64,
    /// Objects of which it cannot be said.
    pub unsure: u64,
    /// Why Velero refuses it; it then takes nothing.
    pub problems: Vec<String>,
    /// What its backups will complain of: they end as PartiallyFailed.
    pub complaints: Vec<String>,
    /// Why it will not run, if so.
    pub idle: Option<String>,
    /// When it runs next.
    pub next_due: Option<Timestamp>,
    /// Whether it names no filter and yet leaves out most cluster-scoped objects (Velero 1.17 and later).
    pub unfiltered_trap: bool,
    /// The line in its spec that makes it take all cluster-scoped objects, if it leaves any out for want of it.
    pub heal: Option<String>,
    /// Others that run and take everything that it takes.
    pub covered_by: Vec<String>,
    /// What its newest usable backup really holds, if that is known.
    pub newest: Option<ObservedReport>,
}

/// What one backup holds against what its own spec takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObservedReport {
    /// The backup.
    pub backup: Text,
    /// When it began.
    pub start: Option<Timestamp>,
    /// Counts; absent if they cannot be said.
    pub agreement: Option<Agreement>,
    /// Objects on which content and spec disagree, in the order of identities.
    pub disagreements: Vec<Disagreement>,
    /// Why they could not be compared, if so.
    pub failure: Option<Failure>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Group, kind, namespace and name.
    #[serde(flatten)]
    pub id: ObjectId,
    /// What each of those asked says, in their order.
    pub says: Vec<Saying>,
}

/// What one schedule or backup says of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Saying {
    /// Which one.
    pub by: String,
    /// `takes`, `leaves` or `unsure`.
    pub verdict: Text,
    /// Stable snake_case word.
    pub reason: Text,
    /// One sentence.
    pub message: String,
}

impl Row {
    fn any(&self, verdict: &str) -> bool {
        self.says.iter().any(|s| &*s.verdict == verdict)
    }
}

/// Which others that run take everything that this one takes.
fn covered_by(n: usize, asked: &[Asked<'_>], plans: &[Plan<'_, '_>]) -> Vec<String> {
    let taken = |plan: &Plan<'_, '_>| plan.decisions().map(|(_, d)| matches!(d, Decision::Listed | Decision::Beside(_))).collect::<Vec<bool>>();
    let own = taken(&plans[n]);
    if !own.contains(&true) {
        return Vec::new();
    }
    let others = asked.iter().zip(plans).enumerate().filter(|(m, (other, _))| *m != n && other.idle.is_none());
    let whole = others.filter(|(_, (_, plan))| own.iter().zip(taken(plan)).all(|(own, other)| !own || other));
    whole.map(|(_, (other, _))| other.name.clone()).collect()
}

fn observe(subject: &Subject<'_>, view: &View<'_>, live: &Live, velero: &str) -> ObservedReport {
    let backup = subject.backup();
    let compared = observed::compare(subject, view, live, velero);
    let failure = match &compared {
        Err(e) => Some(Failure::new(e.kind(), e.to_string())),
        Ok((None, _)) => Some(Failure::new("not_comparable", "clocks disagree, or the cluster was looked at before it began")),
        Ok((Some(_), _)) => None,
    };
    let (agreement, disagreements) = compared.unwrap_or_default();
    ObservedReport { backup: backup.name.clone(), start: backup.start, agreement, disagreements, failure }
}

/// Plays everything that is asked through over a cluster. `view` is of `live`; `velero` is the namespace that Velero watches.
pub fn coverage(asked: &[Asked<'_>], view: &View<'_>, live: &Live, velero: &str, now: Timestamp) -> CoverageReport {
    let plans: Vec<Plan<'_, '_>> = asked.iter().map(|a| Plan::of(a.scope, view)).collect();
    let mut rows: BTreeMap<&ObjectId, Vec<Saying>> = view.ids().map(|id| (id, Vec::with_capacity(plans.len()))).collect();
    let mut reports = Vec::new();
    for (n, (one, plan)) in asked.iter().zip(&plans).enumerate() {
        let mut report = PlanReport {
            name: one.name.clone(),
            takes: 0,
            leaves: 0,
            leaves_cluster_scoped: 0,
            unsure: 0,
            problems: plan.problems().to_vec(),
            complaints: plan.complaints(),
            idle: one.idle.clone(),
            next_due: one.next_due,
            unfiltered_trap: plan.is_unfiltered_trap(),
            heal: None,
            covered_by: covered_by(n, asked, &plans),
            newest: one.newest.as_ref().map(|s| observe(s, view, live, velero)),
        };
        for (id, decision) in plan.decisions() {
            let why = plan.why(id, decision);
            let verdict = match decision {
                Decision::Listed | Decision::Beside(_) => "takes",
                Decision::Left(_) => "leaves",
                Decision::Unsure(_) => "unsure",
            };
            match verdict {
                "takes" => report.takes += 1,
                "leaves" => report.leaves += 1,
                _ => report.unsure += 1,
            }
            if why.reason == "cluster_scope" {
                report.leaves_cluster_scoped += 1;
                report.heal.get_or_insert_with(|| plan.healing_line().to_owned());
            }
            let saying = Saying { by: one.name.clone(), verdict: verdict.into(), reason: why.reason.into(), message: why.message };
            rows.entry(id).or_default().push(saying);
        }
        reports.push(report);
    }
    let rows: Vec<Row> = rows.into_iter().map(|(id, says)| Row { id: id.clone(), says }).collect();
    let taken = rows.iter().filter(|r| r.any("takes")).count() as u64;
    let unsure = rows.iter().filter(|r| !r.any("takes") && r.any("unsure")).count() as u64;
    let objects = rows.len() as u64;
    CoverageReport { schema: SCHEMA.into(), now, plans: reports, objects, taken, left: objects - taken - unsure, unsure, rows }
}

fn observed_lines(out: &mut String, newest: &ObservedReport, all: bool) {
    let Agreement { predicted, held, unexpected, .. } = newest.agreement.clone().unwrap_or_default();
    let beyond = unexpected.filter(|n| *n > 0).map(|n| format!(", and {n} that it does not take")).unwrap_or_default();
    let _ = match &newest.failure {
        Some(failure) => writeln!(out, "  what its newest backup {} holds cannot be said: {}", clean(&newest.backup), clean(&failure.message)),
        None => {
            writeln!(out, "  its newest backup {} holds {held} of {predicted} objects that its spec takes for certain{beyond}", clean(&newest.backup))
        }
    };
    let shown = if all { usize::MAX } else { NAMED };
    for d in newest.disagreements.iter().take(shown) {
        let _ = writeln!(out, "    {} {} ({}): {}", d.mismatch.name(), clean(&d.id.to_string()), d.reason, clean(&d.why));
    }
    if newest.disagreements.len() > shown {
        let _ = writeln!(out, "    and {} more (--all shows them)", newest.disagreements.len() - shown);
    }
}

/// The document for a terminal. `all` names every object.
pub fn table(report: &CoverageReport, all: bool) -> String {
    let mut out = String::new();
    if report.plans.is_empty() {
        out.push_str("There is no schedule, and no backup was given with --backup FILE.yaml: nothing will be taken.\n");
    }
    for plan in &report.plans {
        let due = plan.next_due.map(|d| format!(", next {}", until(report.now, d))).unwrap_or_default();
        let _ = writeln!(out, "{}: takes {} of {} objects{due}", clean(&plan.name), plan.takes, report.objects);
        for (mark, lines) in [("refused", &plan.problems), ("complains", &plan.complaints)] {
            for line in lines {
                let _ = writeln!(out, "  {mark}: {}", clean(line));
            }
        }
        if let Some(idle) = &plan.idle {
            let _ = writeln!(out, "  does not run: {}", clean(idle));
        }
        if !plan.covered_by.is_empty() {
            let _ = writeln!(out, "  everything that it takes is taken by {} too", clean(&plan.covered_by.join(", ")));
        }
        if let Some(newest) = &plan.newest {
            observed_lines(&mut out, newest, all);
        }
        if let Some(heal) = &plan.heal {
            let trap = if plan.unfiltered_trap { "It names no filter, and yet leaves" } else { "It leaves" };
            let _ = writeln!(out, "  {trap} out {} cluster-scoped objects; one line in its spec heals it: {heal}", plan.leaves_cluster_scoped);
        }
    }
    let _ = writeln!(out, "\n{} objects: {} taken, {} left out by all, {} not sure", report.objects, report.taken, report.left, report.unsure);
    if all {
        for row in &report.rows {
            let _ = writeln!(out, "{}", clean(&row.id.to_string()));
            for s in &row.says {
                let _ = writeln!(out, "  {} {} ({}): {}", clean(&s.by), s.verdict, s.reason, clean(&s.message));
            }
        }
        return out;
    }
    let mut groups: BTreeMap<(String, String), Vec<&ObjectId>> = BTreeMap::new();
    for row in report.rows.iter().filter(|r| !r.any("takes")) {
        let reasons: Vec<&str> = row.says.iter().map(|s| &*s.reason).collect();
        groups.entry((row.id.gk.to_string(), reasons.join(", "))).or_default().push(&row.id);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a, x), (b, y)| (y.len(), a).cmp(&(x.len(), b)));
    for ((kind, reasons), ids) in groups {
        let place = |id: &&ObjectId| clean(&id.namespace.as_ref().map_or_else(|| id.name.to_string(), |n| format!("{n}/{}", id.name))).into_owned();
        let names: Vec<String> = ids.iter().take(NAMED).map(place).collect();
        let rest = if ids.len() > NAMED { format!(" and {} more", ids.len() - NAMED) } else { String::new() };
        let _ = writeln!(out, "{:>5}  {kind} ({reasons}): {}{rest}", ids.len(), names.join(", "));
    }
    out
}
