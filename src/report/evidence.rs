//! An explanation as facts, diffs and notes: what the page and `snapgap explain` show of one object. pure

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    diff,
    text::{self, clean, shorten},
};
use crate::{
    verdict::{
        Explanation,
        explain::{self, Holds, RestoreEffect},
    },
    witness::Commit,
};

/// Everything that is known of one object besides its verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Single facts, in the order in which they are shown.
    pub facts: Vec<Fact>,
    /// Git against cluster, Git against backup, backup against cluster.
    pub diffs: Vec<Diff>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Fact {
    /// What it is about.
    pub label: String,
    /// What is known.
    pub value: String,
}

/// One diff.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Diff {
    /// The two sides.
    pub title: String,
    /// Unified diff; empty if the sides are the same.
    pub text: String,
}

/// The longest subject of a commit that is shown.
const SUBJECT: usize = 80;

fn commit(c: &Commit) -> String {
    let short = crate::words::short(&c.sha);
    format!("{short} {} ({}, {})", shorten(&c.subject, SUBJECT), clean(&c.author), c.time)
}

/// Puts an explanation into words.
pub fn of(e: &Explanation) -> Evidence {
    let mut facts = Vec::new();
    let mut notes = Vec::new();
    let mut fact = |label: &str, value: String| facts.push(Fact { label: label.to_owned(), value });
    fact("Drift", e.object.drift.name().to_owned());
    fact("Recovery", e.object.recovery.name().to_owned());
    fact("Why", clean(&e.object.why).into_owned());
    if let Some(confirmed) = &e.object.confirmed {
        fact("Server's dry run", super::confirm::sentence(confirmed));
    }
    if let Some(git) = &e.git {
        let verb = if git.declared { "declares it" } else { "declared it once" };
        let at = git.revision.as_ref().map(|r| format!(" at {}", r.get(..8).unwrap_or(r))).unwrap_or_default();
        fact("Git", format!("app {} {verb}{at}", git.app));
        if let Some(file) = &e.object.file {
            fact("Written in", format!("{}{}", clean(file), e.object.line.map(|l| format!(":{l}")).unwrap_or_default()));
        }
        for state in &git.history {
            let what = if state.declared { "declared since" } else { "not declared since" };
            let held = if state.backed_up == Some(true) { "; the backup that speaks holds this state" } else { "" };
            let since = state.since.as_ref().map_or_else(|| "a commit older than the search".to_owned(), commit);
            fact("History", format!("{what} {since}{held}"));
        }
        notes.extend(git.note.iter().map(|n| format!("The search in history ended early: {}", clean(n))));
    } else {
        fact("Git", "no app declares it".into());
    }
    match &e.live {
        None => fact("Cluster", "not there, or not read".into()),
        Some(live) => {
            let made = live.created.map(|t| format!("made {t}")).unwrap_or_else(|| "there".into());
            let ending = if live.deleting { ", being deleted" } else { "" };
            let old = if live.last_good { " (last good value)" } else { "" };
            fact("Cluster", format!("{made}{ending}{old}"));
            for w in &live.writers {
                let operation = w.operation.as_deref().unwrap_or("wrote");
                let time = w.time.map(|t| format!(" at {t}")).unwrap_or_default();
                fact("Written by", format!("{} ({operation}){time}", clean(&w.manager)));
            }
            if let Some(backup) = &live.restored_from {
                fact("Restored", format!("a Velero restore of {} wrote it", clean(backup)));
            }
        }
    }
    for copy in &e.backups {
        fact("Backup", backup(copy));
        if let Some(d) = &copy.disagreement {
            fact("Not as predicted", format!("{}: {} ({}): {}", clean(&copy.backup), d.mismatch.name(), d.reason, clean(&d.why)));
        }
    }
    let mut quiet: std::collections::BTreeMap<(&str, &str, &str), Vec<&str>> = std::collections::BTreeMap::new();
    for s in e.diffs.iter().flat_map(|d| &d.silenced) {
        quiet.entry((&s.rule, &s.origin, &s.reason)).or_default().push(&s.path);
    }
    for ((rule, origin, reason), paths) in quiet {
        let origin = if origin.is_empty() { String::new() } else { format!(" of {origin}") };
        fact("Left out", clean(&format!("{rule}{origin}: {} ({reason})", paths.join(", "))).into_owned());
    }
    fact("A restore now", restore(e.restore).into());
    if e.restore_with_update != e.restore {
        fact("With policy update", restore(e.restore_with_update).into());
    }
    if let Some(volume) = &e.volume {
        fact("Its bytes", format!("{}: {}", volume.state.name(), clean(&volume.why)));
        for v in &volume.evidence {
            fact("Bytes in", volume_evidence(v));
        }
    }
    if let Some(proof) = &e.proof {
        let last = match (proof.at, &proof.restore, &proof.backup) {
            (Some(at), Some(restore), backup) => {
                let of = backup.as_ref().map(|b| format!(" of {}", clean(b))).unwrap_or_default();
                let part = if proof.with_bytes < proof.proven { ", its manifests only" } else { "" };
                format!("its namespace was brought back at {at} by restore {}{of}{part}", clean(restore))
            }
            _ => "no restore ever proved its namespace".to_owned(),
        };
        fact("Proven", last);
    }
    let diffs = e.diffs.iter().map(|d| self::one_diff(d, &mut notes)).collect();
    for side in &e.object.unknown {
        notes.push(format!("{}: {}", side.reason, clean(&side.message)));
    }
    Evidence { facts, diffs, notes }
}

fn backup(copy: &explain::CopyEvidence) -> String {
    let start = copy.start.map(|t| format!(", began {t}")).unwrap_or_default();
    let speaks = if copy.speaks { ", speaks for it" } else { "" };
    let same = |b: &Option<bool>, what: &str| match b {
        Some(true) => format!("same as {what}"),
        Some(false) => format!("differs from {what}"),
        None => format!("not compared with {what}"),
    };
    let holds = match &copy.holds {
        Holds::Copy { same_as_git, same_as_live } => format!("holds a copy: {}, {}", same(same_as_git, "Git"), same(same_as_live, "the cluster")),
        Holds::Missing { error: None } => "does not hold it, although its scope takes it".into(),
        Holds::Missing { error: Some(error) } => format!("does not hold it, because it failed on it: {}", clean(error)),
        Holds::Outside { why } => format!("does not hold it, by its scope: {}", clean(why)),
        Holds::Undecided { why } => format!("does not hold it; whether it should cannot be said: {}", clean(why)),
        Holds::Unread { failure } => format!("was not read: {}", clean(&failure.message)),
    };
    format!("{} ({}{start}{speaks}) {holds}", clean(&copy.backup), copy.state.name())
}

fn volume_evidence(v: &crate::report::model::VolumeEvidence) -> String {
    let how = v.method.map(|m| format!(" by {}", m.words())).unwrap_or_default();
    let ended = match v.outcome {
        Some(crate::witness::VolumeOutcome::Succeeded) => "kept",
        Some(crate::witness::VolumeOutcome::Failed) => "not kept",
        Some(crate::witness::VolumeOutcome::Skipped) => "left out",
        Some(crate::witness::VolumeOutcome::Running) => "not done yet",
        None => "not said",
    };
    let bytes = v.bytes.map(|n| format!(", {n} bytes")).unwrap_or_default();
    let message = v.message.as_ref().map(|m| format!(": {}", clean(m))).unwrap_or_default();
    format!("{} ({}) {ended}{how}{bytes}{message}", clean(&v.backup), v.state.name())
}

fn restore(effect: RestoreEffect) -> &'static str {
    match effect {
        RestoreEffect::Nothing => "would do nothing: no usable backup holds it",
        RestoreEffect::Create => "would create it as the backup holds it",
        RestoreEffect::SkipSame => "would leave it alone: it is the same",
        RestoreEffect::SkipDiffers => "would leave it alone with a warning, although it differs",
        RestoreEffect::Overwrite => "would patch it to what the backup holds, which rolls it back",
        RestoreEffect::Merge => "would add the backup's secrets, labels and annotations to it; what the cluster has wins",
        RestoreEffect::Refused => "would try to patch it, and the API server refuses: it differs in what nobody can change",
        RestoreEffect::Provisioned => "would leave it out: its claim gets a new volume from its storage class",
        RestoreEffect::NeverRestored => "would leave it out: Velero never restores it",
        RestoreEffect::Unknown => "cannot be foretold",
    }
}

fn one_diff(d: &explain::Diff, notes: &mut Vec<String>) -> Diff {
    let title = format!("{} against {}", clean(&d.left_label), clean(&d.right_label));
    if let Some(failure) = &d.unjudged {
        notes.push(format!("{title}: {}", clean(&failure.message)));
    }
    for leaf in &d.leaves {
        if let Some(owner) = &leaf.owner {
            let time = leaf.time.map(|t| format!(" at {t}")).unwrap_or_default();
            notes.push(format!("{}: {} wrote it{time}", clean(&leaf.path), clean(owner)));
        }
    }
    let (left, right) = ((d.left_label.as_str(), &d.left), (d.right_label.as_str(), &d.right));
    let text = match () {
        () if d.equal && d.leaves.is_empty() => String::new(),
        () if d.leaves.is_empty() => diff::unified(left, right),
        () => {
            let said = |l: &explain::DiffLeaf| {
                let owner = l.owner.as_ref().map(|o| format!(" by {o}")).unwrap_or_default();
                let kind = l.writer.map(|w| format!(", a {}", w.name())).filter(|_| l.owner.is_some()).unwrap_or_default();
                format!("{}{owner}{kind}{}", l.class.name(), l.time.map(|t| format!(", {t}")).unwrap_or_default())
            };
            let gone = d.leaves.iter().filter(|l| l.right.is_none()).map(|l| (&l.at, said(l)));
            let there = d.leaves.iter().filter(|l| l.right.is_some()).map(|l| (&l.at, said(l)));
            let quiet = d.silenced.iter().filter(|s| s.right.is_some()).map(|s| (&s.at, format!("left out: {}", s.rule)));
            diff::annotated(left, right, &gone.collect::<Vec<_>>(), &quiet.chain(there).collect::<Vec<_>>())
        }
    };
    Diff { title, text }
}

impl Evidence {
    /// The evidence as text for a terminal.
    pub fn text(&self, title: &str) -> String {
        let mut out = format!("{}\n", clean(title));
        let width = self.facts.iter().map(|f| f.label.len()).max().unwrap_or(0);
        for f in &self.facts {
            out.push_str(&format!("  {:<width$}  {}\n", f.label, f.value));
        }
        for note in &self.notes {
            out.push_str(&format!("  note: {note}\n"));
        }
        for d in &self.diffs {
            let same = if d.text.is_empty() { ": the same\n" } else { "\n" };
            out.push_str(&format!("\n{}{same}", d.title));
            // The diff is built from canonical YAML lines; control characters in values are escaped line by line.
            for line in d.text.lines() {
                out.push_str(&text::clean(line));
                out.push('\n');
            }
        }
        out
    }
}
