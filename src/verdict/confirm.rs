//! Which objects the API server is asked about, as whom, and how its answer compares with what is said here. pure
//!
//! An answer stands beside a verdict and never changes one. It holds for what was asked: desired content, live content and its writers (a write
//! of the status changes neither), the schema, and the admission configuration that can be seen.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value};

use super::{
    compared::{Other, at, show},
    join::{Case, Join},
};
use crate::{
    config::AppName,
    drift::{
        Comparison, Leaf, LeafClass, Managers,
        foretold::{self, Change, related},
        owners::{Entry, Owners},
    },
    object::{Content, DeployerMark, FieldPath, Fingerprint, GroupKind, Gvk, Object, ObjectId, Step, Text, redact::MARK},
    report::model::{Answer, Confirmed, ConfirmedField, Deed, Drift},
    witness::{Answered, Failure, Said},
};

/// Fields that one object lists at most.
const MOST_FIELDS: usize = 50;

/// What is silent for want of an owner or of a schema. All other silences come from rules that know more than an apply does.
const PLAIN: [&str; 5] = ["default_or_admission", "controller_owned", "deployer_owned", "unattributed", "inside_list"];

/// What decides beside the object itself what an apply comes to, as far as it can be seen.
const ADMISSION: [&str; 6] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// A question to the API server: what would the deployer's next apply of this manifest change?
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The object.
    pub id: ObjectId,
    /// The version that Git names.
    pub gvk: Gvk,
    /// The version in which the live object was read.
    pub version: Text,
    /// Plural resource name.
    pub plural: Text,
    /// The field manager in whose name it is asked.
    pub manager: Text,
    /// What would be applied.
    pub body: Value,
    /// The version counter of the live object as it was last seen.
    pub resource_version: Option<Text>,
    /// The live content that was compared.
    pub live: Fingerprint,
    /// Its field managers.
    pub writers: Fingerprint,
    /// Everything that the answer depends on and that can be seen.
    pub key: Fingerprint,
}

/// A hash of an object's field managers.
pub fn writers(object: &Object) -> Fingerprint {
    Fingerprint::of(object.meta.managers().unwrap_or_default().as_bytes())
}

/// How the deployer applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Server-side: what it no longer sets is taken out.
    Apply,
    /// By a patch of its own making: a server-side apply in its name sets what Git sets, and takes out nothing.
    Update,
}

/// What is compared, and what is to be asked.
struct Question {
    suspect: Suspect,
    way: Way,
    comparison: Comparison,
    desired: Value,
    live: Value,
}

/// What is said of every object that drifts, and what has yet to be asked.
pub(super) fn consider(join: &Join<'_>) -> (BTreeMap<ObjectId, Confirmed>, Vec<Suspect>) {
    let mut said = BTreeMap::new();
    let mut suspects = Vec::new();
    if join.inputs.config.cluster.confirm.is_none() {
        return (said, suspects);
    }
    let asker = Asker { join, admission: admission(join), by_app: RefCell::default() };
    for case in join.cases.iter().filter(|c| c.drift.is_drift()) {
        let outcome = match asker.question(case) {
            Err(unasked) => unasked,
            Ok(question) => {
                let answers = join.inputs.answers;
                let answered = answers.by_object.get(&case.id).filter(|a| a.key == question.suspect.key);
                let outcome = match answered {
                    Some(answered) => judged(join, case, &question, answered),
                    None if answers.forbidden.contains_key(&case.id.gk) => Confirmed::unasked("forbidden", None),
                    None => Confirmed::unasked("pending", Some("the server was not asked yet".into())),
                };
                suspects.push(question.suspect);
                outcome
            }
        };
        said.insert(case.id.clone(), outcome);
    }
    (said, suspects)
}

/// A fingerprint of everything that admits objects and can be seen.
fn admission(join: &Join<'_>) -> String {
    let mut text = String::new();
    for kind in ADMISSION {
        let gk = GroupKind::new("admissionregistration.k8s.io", kind);
        let mut all: Vec<_> = join.inputs.live.objects.of_kind(&gk).map(|o| (&o.id.name, o.content.print())).collect();
        all.sort();
        for (name, print) in all {
            // Writing to a String cannot fail.
            let _ = write!(text, "{kind} {name} {print} ");
        }
    }
    text
}

fn unasked(reason: &str, message: impl Into<String>) -> Confirmed {
    Confirmed::unasked(reason, Some(message.into()))
}

/// Makes questions of cases.
struct Asker<'j, 'a> {
    join: &'j Join<'a>,
    admission: String,
    /// Who deploys an app, where an object itself does not tell.
    by_app: RefCell<BTreeMap<AppName, Option<(Text, Way)>>>,
}

impl Asker<'_, '_> {
    /// What is to be asked about a case, or why nothing is.
    fn question(&self, case: &Case<'_>) -> Result<Question, Confirmed> {
        match case.drift {
            Drift::Missing => return Err(unasked("absent", "it is not there, so there is nothing that an apply would change")),
            Drift::Removed => return Err(unasked("undeclared", "Git does not declare it, so nobody would apply it")),
            _ => {}
        }
        let (Some(claim), Some(live)) = (case.claim, case.live.body()) else {
            return Err(unasked("absent", "one of the two sides is not at hand"));
        };
        if case.id.gk.is("", "Secret") || claim.desired.object.content.json().contains(MARK) {
            return Err(unasked("secret", "values of Secrets are never kept, so there is nothing that could be sent"));
        }
        let wanted = claim.wanted(&case.id);
        let (desired, observed) = (wanted.value(), live.content.value());
        let comparison = self.join.engine.compare(wanted, &desired, &observed, Other { object: live, live: true, listed: true });
        if !comparison.leaves.iter().any(is_asked) {
            return Err(unasked("additions", "a dry run is silent about what others added"));
        }
        let gvk = wanted.object.gvk();
        let kind = self.join.inputs.live.kinds.get(&gvk.gk).filter(|k| k.version == gvk.version || k.versions.contains(&gvk.version));
        let Some(kind) = kind else {
            return Err(unasked("version_unserved", format!("the server does not serve version {} of it", gvk.version)));
        };
        let (manager, way) = self.deployer(claim.app(), live)?;
        if way == Way::Update && comparison.leaves.iter().filter(|l| is_asked(l)).all(|l| l.class == LeafClass::Removed) {
            let message =
                format!("{manager} applies client-side: what Git dropped it takes out by a patch of its own, which a dry run cannot foretell");
            return Err(unasked("client_side", message));
        }
        let body = manifest(&desired, &comparison, way);
        let (live_print, writers) = (live.content.print(), writers(live));
        let schema = self.join.engine.schemas.pair(&gvk, &live.version).print();
        let key = format!("{body} {} {manager} {live_print} {writers} {schema:?} {}", gvk.version, self.admission);
        let suspect = Suspect {
            id: case.id.clone(),
            gvk,
            version: live.version.clone(),
            plural: kind.plural.clone(),
            manager,
            body,
            resource_version: live.meta.resource_version.clone(),
            live: live_print,
            writers,
            key: Fingerprint::of(key.as_bytes()),
        };
        Ok(Question { suspect, way, comparison, desired, live: observed })
    }

    /// In whose name it is asked: the deployer that put the object there, by its own entries. One whose every field another hand has taken over has no
    /// entry left; then its mark tells, or what it wrote of the same app. Such a one owns nothing that it could take out.
    fn deployer(&self, app: &AppName, live: &Object) -> Result<(Text, Way), Confirmed> {
        let managers = &self.join.inputs.config.managers;
        match candidates(live, managers) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                let marked = live.meta.mark.as_ref().and_then(|m| own_names(m).first()).map(|name| (Text::from(*name), Way::Apply));
                marked.or_else(|| self.of_app(app)).ok_or_else(|| {
                    unasked("no_deployer", "no deployer's field manager stands in its managedFields, so nobody knows in whose name to ask")
                })
            }
            Err(all) => Err(unasked("ambiguous_deployer", format!("several deployers wrote it and none more than the others: {}", all.join(", ")))),
        }
    }

    /// Who deployed other objects of an app; the first that tells.
    fn of_app(&self, app: &AppName) -> Option<(Text, Way)> {
        if let Some(known) = self.by_app.borrow().get(app) {
            return known.clone();
        }
        let own = self.join.cases.iter().filter(|c| c.claim.is_some_and(|claim| claim.app() == app));
        let found = own.filter_map(|c| c.live.body()).find_map(|o| candidates(o, &self.join.inputs.config.managers).ok().flatten());
        self.by_app.borrow_mut().insert(app.clone(), found.clone());
        found
    }
}

/// The deployer that wrote an object, and how; the names of all if none of several wrote more than the others.
fn candidates(live: &Object, managers: &Managers) -> Result<Option<(Text, Way)>, Vec<String>> {
    let owners = Owners::read(live.meta.managers().as_deref());
    let found = owners.deployers(managers);
    let applying: Vec<&Entry> = found.iter().copied().filter(|e| e.applied()).collect();
    let (candidates, way) = if applying.is_empty() { (found, Way::Update) } else { (applying, Way::Apply) };
    let mut names: Vec<(usize, &str)> = candidates.iter().map(|e| (e.size(), e.manager.as_str())).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.dedup_by(|a, b| a.1 == b.1);
    let marked = live.meta.mark.as_ref().and_then(|mark| names.iter().find(|(_, name)| own_names(mark).contains(name)));
    match (marked, &names[..]) {
        (Some((_, name)), _) | (None, [(_, name)]) => Ok(Some(((*name).into(), way))),
        (None, []) => Ok(None),
        (None, [(most, name), (next, _), ..]) if most > next => Ok(Some(((*name).into(), way))),
        (None, all) => Err(all.iter().map(|(_, name)| (*name).to_owned()).collect()),
    }
}

/// Whether a dry run can speak of a leaf at all.
fn is_asked(leaf: &Leaf) -> bool {
    !leaf.is_addition() && leaf.class != LeafClass::UnknownField
}

/// The names under which a deployer writes what carries its mark.
fn own_names(mark: &DeployerMark) -> &'static [&'static str] {
    match mark {
        DeployerMark::ArgoCd(_) => &["argocd-controller", "argocd-application-controller", "argocd"],
        DeployerMark::FluxKustomization(_) => &["kustomize-controller"],
        DeployerMark::FluxHelmRelease(_) => &["helm-controller"],
        DeployerMark::Helm(_) => &["helm", "Helm", "helm-controller"],
        DeployerMark::ApplySet(_) => &["kubectl", "kubectl-client-side-apply"],
    }
}

/// What the deployer would apply: Git's manifest with the deployer's own marks, which it adds to what it deploys.
fn manifest(desired: &Value, comparison: &Comparison, way: Way) -> Value {
    let mut body = desired.clone();
    for quiet in comparison.silenced.iter().filter(|s| &*s.rule == "tracking").flat_map(|s| &s.listed) {
        if let ([Step::Key(metadata), Step::Key(section), Step::Key(key)], Some(value)) = (&quiet.path.0[..], &quiet.observed) {
            let members = body.as_object_mut().map(|root| root.entry(&**metadata).or_insert_with(|| Map::new().into()));
            let section = members.and_then(Value::as_object_mut).map(|m| m.entry(&**section).or_insert_with(|| Map::new().into()));
            if let Some(section) = section.and_then(Value::as_object_mut) {
                section.insert(key.to_string(), value.clone());
            }
        }
    }
    // Server-side apply refuses what the schema does not know; the patches of others let it pass, and the server drops it.
    if way == Way::Update {
        comparison.leaves.iter().filter(|l| l.class == LeafClass::UnknownField).for_each(|l| take_out(&mut body, &l.path));
    }
    body
}

fn take_out(value: &mut Value, path: &FieldPath) {
    let Some((Step::Key(last), parents)) = path.0.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(&**key),
        Step::Index(n) => value.get_mut(n),
        Step::Value(_) => None,
        Step::Select(_) => {
            let wanted = FieldPath(vec![step.clone()]);
            let position = value.as_array()?.iter().position(|item| at(&Value::Array(vec![item.clone()]), &wanted).is_some())?;
            value.get_mut(position)
        }
    });
    if let Some(members) = parent.and_then(Value::as_object_mut) {
        members.remove(&**last);
    }
}

/// How an answer compares.
fn judged(join: &Join<'_>, case: &Case<'_>, question: &Question, answered: &Answered) -> Confirmed {
    let about = |answer, failure: Option<&Failure>, fields| Confirmed {
        answer,
        manager: Some(answered.manager.clone()),
        at: Some(answered.at),
        reason: failure.map(|f| f.reason.clone()),
        message: failure.map(|f| f.message.clone()),
        fields,
    };
    match &answered.said {
        Said::Refused(failure) => about(Answer::Refused, Some(failure), Vec::new()),
        Said::Nothing(failure) => about(Answer::Unasked, Some(failure), Vec::new()),
        Said::Would { then, before } => match fields(join, case, question, then, before.as_deref()) {
            Ok(fields) => about(if fields.is_empty() { Answer::Agrees } else { Answer::Differs }, None, fields),
            Err(failure) => about(Answer::Unasked, Some(&failure), Vec::new()),
        },
    }
}

fn fields(join: &Join<'_>, case: &Case<'_>, question: &Question, then: &Object, before: Option<&Object>) -> Result<Vec<ConfirmedField>, Failure> {
    let Some(claim) = case.claim else { return Ok(Vec::new()) };
    let (live, then) = states(join, question, then, before)?;
    let predicted = then.content.value();
    let left = join.engine.compare(claim.wanted(&case.id), &question.desired, &predicted, Other { object: &then, live: true, listed: false });
    Ok(compare(question.way, &question.comparison, &left, &live, &predicted))
}

/// What is there and what would be there, both as the version says them in which the object was compared. The server answers in the version that
/// Git names: if that is another one, it was asked for both states in it, so that no difference between versions looks like one between states.
fn states<'t>(join: &Join<'_>, question: &Question, then: &'t Object, before: Option<&Object>) -> Result<(Value, Cow<'t, Object>), Failure> {
    let Suspect { gvk, version, .. } = &question.suspect;
    if gvk.version == *version {
        return Ok((question.live.clone(), Cow::Borrowed(then)));
    }
    let unseen = || {
        let message = format!(
            "the server answers in version {} that Git names, and that does not show all that was compared in version {version}",
            gvk.version
        );
        Failure::new("version_differs", message)
    };
    let live = before.ok_or_else(unseen)?.content.value();
    let pair = join.engine.schemas.pair(gvk, version);
    match &pair.bridge {
        Some(way) if way.desired_is_older => {
            let across = |value| way.across(value).ok_or_else(unseen);
            let mut said = then.clone();
            said.content = Content::of(&across(then.content.value())?);
            said.version = way.to.clone();
            Ok((across(live)?, Cow::Owned(said)))
        }
        Some(_) => Ok((live, Cow::Borrowed(then))),
        None if question.comparison.leaves.iter().any(|l| is_asked(l) && pair.wanted.has_no(&l.path)) => Err(unseen()),
        None => Ok((live, Cow::Borrowed(then))),
    }
}

/// Where the two do not say the same. `left` is what would still differ from Git afterwards.
fn compare(way: Way, ours: &Comparison, left: &Comparison, live: &Value, then: &Value) -> Vec<ConfirmedField> {
    let changes = foretold::changes(live, then);
    let mut out = Vec::new();
    for leaf in ours.leaves.iter().filter(|l| is_asked(l)) {
        // The values decide; positions in lists without keys may not be the same on all sides.
        let by_position = leaf.path.0.iter().any(|s| matches!(s, Step::Index(_)));
        let touched = at(live, &leaf.path) != at(then, &leaf.path) || by_position && changes.iter().any(|c| related(&c.path, &leaf.path));
        let stays = left.leaves.iter().any(|l| is_asked(l) && (l.path.covers(&leaf.path) || leaf.path.covers(&l.path)));
        let deed = match (touched, stays) {
            (true, false) => continue,
            // That a sync does not heal it is just what the class says.
            _ if leaf.class == LeafClass::Policy => continue,
            (false, _) if leaf.class == LeafClass::Removed && way == Way::Update => continue,
            (false, _) => Deed::Keeps,
            (true, true) => Deed::Alters,
        };
        out.push(ConfirmedField { path: leaf.path.to_string(), deed, then: at(then, &leaf.path).map(|v| show(v, false)) });
    }
    for change in changes.iter().filter(|c| !c.is_of_form() && !is_told(c, &changes, ours)) {
        let then = (!change.then.is_null()).then(|| show(&change.then, false));
        out.push(ConfirmedField { path: change.path.to_string(), deed: Deed::Changes, then });
    }
    out.truncate(MOST_FIELDS);
    out
}

/// Whether a change is at a place of which something is said here: a leaf, or a silence that knows more than an apply does.
fn is_told(change: &Change, all: &[Change], ours: &Comparison) -> bool {
    let ruled = ours.silenced.iter().filter(|s| !PLAIN.contains(&&*s.rule)).flat_map(|s| s.listed.iter().map(|q| &q.path));
    let parent = |c: &Change| c.path.0.split_last().map(|(_, parent)| parent.to_vec());
    // A default takes the place of a field beside it that goes, and that is told.
    let fills_in = change.now.is_null() && all.iter().any(|c| c.then.is_null() && parent(c) == parent(change));
    fills_in || ours.leaves.iter().map(|l| &l.path).chain(ruled).any(|p| related(p, &change.path))
}
