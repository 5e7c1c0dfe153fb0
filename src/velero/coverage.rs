//! Coverage: for each object which schedule will take it, or which rule leaves it out, as a document and as text. pure

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::select::{Decision, Plan, View};
use crate::{
    object::{ObjectId, Text},
    report::text::{clean, until},
    velero::Scope,
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

/// Plays everything that is asked through over a cluster.
pub fn coverage(asked: &[Asked<'_>], view: &View<'_>, now: Timestamp) -> CoverageReport {
    let plans: Vec<Plan<'_, '_>> = asked.iter().map(|a| Plan::of(a.scope, view)).collect();
    let mut rows: BTreeMap<&ObjectId, Vec<Saying>> = view.ids().map(|id| (id, Vec::with_capacity(plans.len()))).collect();
    let mut reports = Vec::new();
    for (asked, plan) in asked.iter().zip(&plans) {
        let mut report = PlanReport {
            name: asked.name.clone(),
            takes: 0,
            leaves: 0,
            leaves_cluster_scoped: 0,
            unsure: 0,
            problems: plan.problems().to_vec(),
            complaints: plan.complaints(),
            idle: asked.idle.clone(),
            next_due: asked.next_due,
            unfiltered_trap: plan.is_unfiltered_trap(),
            heal: None,
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
            let saying = Saying { by: asked.name.clone(), verdict: verdict.into(), reason: why.reason.into(), message: why.message };
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
