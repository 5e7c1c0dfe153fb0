//! Every piece of evidence for one object: file, line, commit, owner, each backup's copy, three diffs, what a restore would do. pure

mod fixed;
mod restored;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use restored::RestoreEffect;

use super::{
    Inputs, Memo,
    compared::{Other, body_unread, hide, show},
    copies::Asked,
    join::{Case, Join},
};
use crate::{
    config::AppName,
    drift::{self, Comparison, LeafClass},
    object::{FieldPath, Object, ObjectId, Text, redact::MARK},
    report::model::{Disagreement, ObjectReport, ProofOf, ProofReport, Report, VolumeReport},
    velero::{Coverage, select::View},
    witness::{Backup, BackupState, Commit, Failure, MissingObject},
};

/// The document that `explain` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The verdicts, as in the report.
    pub object: ObjectReport,
    /// What Git says.
    pub git: Option<GitEvidence>,
    /// What the cluster says.
    pub live: Option<LiveEvidence>,
    /// What each backup says, newest start first, unusable ones included.
    pub backups: Vec<CopyEvidence>,
    /// Git against cluster, Git against backup, backup against cluster; those whose two sides are known.
    pub diffs: Vec<Diff>,
    /// What a restore of the backup that speaks would do to it now.
    pub restore: RestoreEffect,
    /// The same with `existingResourcePolicy: update`.
    pub restore_with_update: RestoreEffect,
    /// Of a PersistentVolumeClaim: whether anybody keeps its bytes.
    pub volume: Option<VolumeReport>,
    /// Whether its namespace was ever brought back.
    pub proof: Option<ProofReport>,
}

/// What Git says of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GitEvidence {
    /// The app that declares it, or last did.
    pub app: AppName,
    /// Whether it declares it now.
    pub declared: bool,
    /// The commit that was rendered.
    pub revision: Option<Text>,
    /// When it was rendered.
    pub rendered_at: Option<Timestamp>,
    /// Its states along the first-parent line, newest first.
    pub history: Vec<HistoryEvidence>,
    /// Whether the search went down to the root commit.
    pub complete: bool,
    /// Why the search ended early.
    pub note: Option<String>,
}

/// One state of an object in history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEvidence {
    /// The commit that brought it; absent if it is older than the search.
    pub since: Option<Commit>,
    /// Whether Git declared the object in that state.
    pub declared: bool,
    /// Whether the backup that speaks holds this state; absent if there is no such copy.
    pub backed_up: Option<bool>,
}

/// What the cluster says of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveEvidence {
    /// Its uid.
    pub uid: Option<Text>,
    /// Its version counter.
    pub resource_version: Option<Text>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The backup of the Velero restore that wrote it.
    pub restored_from: Option<Text>,
    /// Who wrote fields of it, latest first.
    pub writers: Vec<Writer>,
    /// Whether this is only the last good value.
    pub last_good: bool,
}

/// Who wrote fields, from managedFields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Writer {
    /// Field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: Option<String>,
    /// When it last wrote.
    pub time: Option<Timestamp>,
}

/// What one backup says of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CopyEvidence {
    /// The backup.
    pub backup: Text,
    /// What it is good for.
    pub state: BackupState,
    /// Whether it is the one that speaks.
    pub speaks: bool,
    /// The time it speaks for.
    pub start: Option<Timestamp>,
    /// What it holds.
    #[serde(flatten)]
    pub holds: Holds,
    /// That this is not what its spec takes, and the likely reason.
    pub disagreement: Option<Disagreement>,
}

/// What a backup holds of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "holds", rename_all = "snake_case")]
pub enum Holds {
    /// A copy. Whether it is the same as Git (on what Git sets) and as the cluster (in full), where those are known.
    Copy {
        /// The same as Git.
        same_as_git: Option<bool>,
        /// The same as the cluster.
        same_as_live: Option<bool>,
    },
    /// None, although its scope takes it.
    Missing {
        /// What the backup's log of errors says of it.
        error: Option<String>,
    },
    /// None, by its scope.
    Outside {
        /// Why.
        why: String,
    },
    /// None, and whether its scope takes it cannot be said.
    Undecided {
        /// Why.
        why: String,
    },
    /// Its content was not read.
    Unread {
        /// Why.
        failure: Failure,
    },
}

/// Two sides and where they differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The left side, for people: `Git (3f2a91c)`.
    pub left_label: String,
    /// The right side.
    pub right_label: String,
    /// The left side's content, Secret values hidden.
    pub left: Value,
    /// The right side's content, Secret values hidden.
    pub right: Value,
    /// Whether the sides count as equal: on what Git sets if Git is one of them, else in full.
    pub equal: bool,
    /// Where they differ; only for comparisons with Git.
    pub leaves: Vec<DiffLeaf>,
    /// Where they differ and a rule keeps it silent; only for Git against cluster.
    pub silenced: Vec<SilencedLeaf>,
    /// Why they could not be compared, if so.
    pub unjudged: Option<Failure>,
}

/// One differing leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffLeaf {
    /// Where.
    pub path: String,
    /// The same, for finding its line.
    #[serde(skip)]
    pub at: FieldPath,
    /// What kind of difference.
    pub class: LeafClass,
    /// The left side's value as JSON text.
    pub left: Option<String>,
    /// The right side's value as JSON text.
    pub right: Option<String>,
    /// Field manager that owns the right side's value.
    pub owner: Option<Text>,
    /// What kind of writer that is.
    pub writer: Option<drift::Writer>,
    /// When it last wrote.
    pub time: Option<Timestamp>,
}

/// One differing leaf that a rule keeps silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SilencedLeaf {
    /// Where.
    pub path: String,
    /// The same, for finding its line.
    #[serde(skip)]
    pub at: FieldPath,
    /// The rule.
    pub rule: Text,
    /// Why it exists.
    pub reason: String,
    /// Where it stands; empty for those that are built in.
    pub origin: Text,
    /// The left side's value as JSON text.
    pub left: Option<String>,
    /// The right side's value as JSON text.
    pub right: Option<String>,
    /// Field manager that owns the right side's value, where that was asked.
    pub owner: Option<Text>,
}

/// Every piece of evidence for one object of a report that was judged from the same inputs; `None` if the report does not know it.
pub fn explain(inputs: &Inputs<'_>, report: &Report, id: &ObjectId) -> Option<Explanation> {
    let object = report.objects.iter().find(|o| o.id == *id)?.clone();
    let memo = Memo::default();
    let view = View::of(inputs.live, &inputs.config.velero.namespace);
    let join = Join::of(inputs, &view, &memo);
    let case = &join.cases[join.find(id)?];
    let teller = Teller { join: &join, case, secret: id.gk.is("", "Secret") };
    Some(Explanation {
        git: teller.git(&object),
        live: teller.live(),
        backups: teller.backups(report),
        diffs: teller.diffs(),
        restore: teller.restore(false),
        restore_with_update: teller.restore(true),
        volume: report
            .volumes
            .iter()
            .find(|v| id.gk.is("", "PersistentVolumeClaim") && id.namespace.as_ref() == Some(&v.namespace) && v.name == id.name)
            .cloned(),
        proof: report.proofs.iter().find(|p| matches!(&p.of, ProofOf::Namespace(n) if Some(n) == id.namespace.as_ref())).cloned(),
        object,
    })
}

struct Teller<'j, 'a> {
    join: &'j Join<'a>,
    case: &'j Case<'a>,
    secret: bool,
}

/// Hides the values of a Secret, and says where another one stands beside them.
fn hide_beside(value: &Value, other: Option<&Value>) -> Value {
    match value {
        Value::String(text) if text.starts_with(MARK) => match other.and_then(Value::as_str) {
            Some(left) if left != text => "differs (value hidden)".into(),
            _ => hide(value),
        },
        Value::Array(items) => items.iter().enumerate().map(|(n, v)| hide_beside(v, other.and_then(|o| o.get(n)))).collect(),
        Value::Object(members) => Value::Object(members.iter().map(|(k, v)| (k.clone(), hide_beside(v, other.and_then(|o| o.get(k))))).collect()),
        plain => plain.clone(),
    }
}

impl Teller<'_, '_> {
    fn git(&self, object: &ObjectReport) -> Option<GitEvidence> {
        let name = object.app.as_ref()?;
        let former = self.join.git.former(&self.case.id);
        let (state, states, drops_namespace) = match (self.case.claim, former) {
            (Some(claim), _) => (claim.state, claim.states(), claim.drops_namespace),
            (None, Some(former)) => (former.state, former.states, former.drops_namespace),
            (None, None) => (self.join.inputs.declared.apps.get(name)?, &[][..], false),
        };
        let copy = self.case.copies.held();
        let holds = |past: &Object| {
            let wanted = super::compared::Wanted { id: &self.case.id, object: past, drops_namespace };
            copy.and_then(|(_, copy)| Some(self.join.engine.past(wanted, copy).ok()?.holds))
        };
        let of = |s: &crate::witness::PastState| HistoryEvidence {
            since: s.since.clone(),
            declared: s.object.is_some(),
            backed_up: s.object.as_deref().and_then(holds),
        };
        Some(GitEvidence {
            app: name.clone(),
            declared: self.case.claim.is_some(),
            revision: state.rendered.as_ref().map(|r| r.revision.clone()),
            rendered_at: state.rendered.as_ref().map(|r| r.at),
            history: states.iter().map(of).collect(),
            complete: state.history.complete,
            note: state.history.note.clone(),
        })
    }

    fn live(&self) -> Option<LiveEvidence> {
        let object = self.case.live.last()?;
        let entries: Vec<Value> = object.meta.managers().and_then(|m| serde_json::from_str(&m).ok()).unwrap_or_default();
        let text = |e: &Value, key: &str| e.get(key).and_then(Value::as_str).map(str::to_owned);
        let of = |e: &Value| {
            let manager = text(e, "manager")?;
            Some(Writer { manager, operation: text(e, "operation"), time: text(e, "time").and_then(|t| t.parse().ok()) })
        };
        let mut writers: Vec<Writer> = entries.iter().filter_map(of).collect();
        writers.sort_by(|a, b| (b.time, &a.manager).cmp(&(a.time, &b.manager)));
        Some(LiveEvidence {
            uid: object.meta.uid.clone(),
            resource_version: object.meta.resource_version.clone(),
            created: object.meta.created,
            deleting: object.meta.deleting,
            restored_from: object.meta.restored_from.clone(),
            writers,
            last_good: self.case.live.known().is_none(),
        })
    }

    /// Git against another side.
    fn against(&self, other: &Object, live: bool) -> Option<Comparison> {
        let wanted = self.case.claim?.wanted(&self.case.id);
        let other = match other.whole() {
            Ok(other) => other,
            Err(e) => return Some(Comparison { unjudged: Some(body_unread(&e)), ..Comparison::default() }),
        };
        let side = Other { object: &other, live, listed: live };
        Some(self.join.engine.compare(wanted, &wanted.value(), &other.content.value(), side))
    }

    fn backups(&self, report: &Report) -> Vec<CopyEvidence> {
        let mut all: Vec<&Backup> = self.join.inputs.backed_up.backups.iter().collect();
        all.sort_by(|a, b| (b.start, &b.name).cmp(&(a.start, &a.name)));
        let speaker = self.case.copies.speaker().map(|b| &b.name);
        let Case { id, plural_group, namespaced, .. } = self.case;
        let labels = || self.join.labels_of(self.case.any());
        let asked = Asked { id, plural_group, namespaced: *namespaced, labels: &labels, created: None };
        let covers = |b: &Backup| self.join.backups.coverage(b, &asked);
        let error = |b: &Backup| {
            let own = |m: &&MissingObject| {
                m.held != Some(true) && m.name == id.name && m.namespace.as_ref().is_none_or(|n| Some(n) == id.namespace.as_ref())
            };
            let kind = |m: &&MissingObject| m.resource.as_deref().is_none_or(|r| *r == **plural_group);
            b.missing.iter().filter(own).find(kind).map(|m| m.message.clone())
        };
        let holds = |b: &Backup| match b.content.archive() {
            Err(failure) => Holds::Unread { failure: failure.clone() },
            Ok(_) if let Some(failure) = self.join.backups.unreadable(b, plural_group, id) => Holds::Unread { failure },
            Ok(archive) => match (archive.objects.get(&self.case.id), covers(b)) {
                (Some(copy), _) => Holds::Copy {
                    same_as_git: self.against(copy, false).filter(|c| c.unjudged.is_none()).map(|c| super::compared::agrees(&c)),
                    same_as_live: self.case.live.body().and_then(|l| self.join.engine.same_in_full(l, copy).ok()),
                },
                _ if error(b).is_some() => Holds::Missing { error: error(b) },
                (None, Coverage::In) => Holds::Missing { error: None },
                (None, Coverage::Out(why)) => Holds::Outside { why: why.message },
                (None, Coverage::Unknown(why)) => Holds::Undecided { why: why.message },
            },
        };
        let of = |b: &Backup| CopyEvidence {
            backup: b.name.clone(),
            state: b.state,
            speaks: speaker == Some(&b.name) && b.counts(),
            start: b.start,
            holds: holds(b),
            disagreement: super::disagreements::of_object(&report.disagreements, &b.name, id).cloned(),
        };
        all.into_iter().map(of).collect()
    }

    fn diffs(&self) -> Vec<Diff> {
        let git = self.case.claim.map(|c| {
            let revision = c.state.rendered.as_ref().map(|r| format!(" ({})", super::words::short(&r.revision))).unwrap_or_default();
            (format!("Git{revision}"), c.wanted(&self.case.id).value())
        });
        let live = self.case.live.last().filter(|o| !o.meta.partial).map(|o| ("cluster".to_owned(), o));
        let whole = self.case.copies.held().and_then(|(b, o)| Some((format!("backup {}", b.name), o.whole().ok()?)));
        let held = whole.as_ref().map(|(label, o)| (label.clone(), &**o));
        let mut out = Vec::new();
        for (other, is_live) in [(&live, true), (&held, false)] {
            if let (Some((git, desired)), Some((label, object))) = (&git, other)
                && let Some(comparison) = self.against(object, is_live)
            {
                out.push(self.diff((git, desired), (label, &object.content.value()), &comparison));
            }
        }
        if let (Some((live_label, live)), Some((label, copy))) = (&live, &held) {
            let same = self.join.engine.same_in_full(live, copy);
            out.push(Diff {
                left_label: label.clone(),
                right_label: live_label.clone(),
                left: self.shown(&copy.content.value()),
                right: self.shown(&live.content.value()),
                equal: matches!(same, Ok(true)),
                leaves: Vec::new(),
                silenced: Vec::new(),
                unjudged: same.err(),
            });
        }
        out
    }

    fn shown(&self, value: &Value) -> Value {
        if self.secret { hide(value) } else { value.clone() }
    }

    fn diff(&self, left: (&str, &Value), right: (&str, &Value), comparison: &Comparison) -> Diff {
        let leaf = |l: &crate::drift::Leaf| DiffLeaf {
            path: l.path.to_string(),
            at: l.path.clone(),
            class: l.class,
            left: l.desired.as_ref().map(|v| show(v, self.secret)),
            right: l.observed.as_ref().map(|v| show(v, self.secret)),
            owner: l.owner.clone(),
            writer: l.writer,
            time: l.time,
        };
        let silenced = |s: &crate::drift::Silence, q: &crate::drift::Quiet| SilencedLeaf {
            path: q.path.to_string(),
            at: q.path.clone(),
            rule: (*s.rule).into(),
            reason: s.reason.to_string(),
            origin: s.origin.clone(),
            left: q.desired.as_ref().map(|v| show(v, self.secret)),
            right: q.observed.as_ref().map(|v| show(v, self.secret)),
            owner: q.owner.clone(),
        };
        let silenced = &silenced;
        Diff {
            left_label: left.0.to_owned(),
            right_label: right.0.to_owned(),
            left: self.shown(left.1),
            right: if self.secret { hide_beside(right.1, Some(left.1)) } else { right.1.clone() },
            equal: super::compared::agrees(comparison),
            leaves: comparison.leaves.iter().map(leaf).collect(),
            silenced: comparison.silenced.iter().flat_map(|s| s.listed.iter().map(move |q| silenced(s, q))).collect(),
            unjudged: comparison.unjudged.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_value_of_a_secret_shows_as_another_and_as_nothing_else() {
        let at = |v: &str| json!({"data":{"p":format!("{MARK}{v}")},"kind":"Secret"});
        assert_eq!(hide_beside(&at("01"), Some(&at("01"))), json!({"data":{"p":"(value hidden)"},"kind":"Secret"}));
        assert_eq!(hide_beside(&at("01"), Some(&at("02"))), json!({"data":{"p":"differs (value hidden)"},"kind":"Secret"}));
        assert_eq!(hide_beside(&at("01"), None), json!({"data":{"p":"(value hidden)"},"kind":"Secret"}));
    }
}
