//! The join: every object that a witness names, with what each of the three says of it and what follows. pure

mod made;

use std::{cell::OnceCell, collections::BTreeSet, rc::Rc, sync::Arc};

use super::{
    Inputs,
    compared::{Engine, Trio, body_unread},
    copies::{Asked, BackupSide, Copies, Labels},
    declared::{Claim, Former, GitSide, Undeclared},
    derived::Rule,
    drift_axis::{Declares, drift},
    fast::FastMap,
    memo::Memo,
    neighbours::Neighbours,
    recovery::{Possible, Tri, possible},
    schemas::SchemaSide,
    scope::Kinds,
    sides::{Cluster, ClusterSide, Gate},
    tracked::{Tracked, parents},
};
use crate::{
    config::AppName,
    drift::exempt::{Exemption, Exemptions},
    object::{DeployerMark, GroupKind, Object, ObjectId, Text},
    report::model::{Drift, Presence, Recovery, Side, UnknownSide},
    velero::select::View,
    witness::{Failure, KindState, Listing},
};

/// Longest chain of owners that is followed. Real ones have three or four links.
const LONGEST_CHAIN: usize = 32;

/// What Git says of an object in the end.
#[derive(Clone)]
pub(super) enum Git<'a> {
    Declared,
    Unknown(Rc<Failure>),
    Removed {
        app: Option<&'a AppName>,
        former: Option<Former<'a>>,
        /// The deployer's list that still has it.
        listed: Option<Text>,
    },
    Never,
}

impl Git<'_> {
    pub(super) fn presence(&self) -> Presence {
        match self {
            Self::Declared => Presence::Present,
            Self::Unknown(_) => Presence::Unknown,
            Self::Removed { .. } | Self::Never => Presence::Absent,
        }
    }

    fn tri(&self) -> Tri {
        match self {
            Self::Declared => Tri::Yes,
            Self::Unknown(_) => Tri::Unknown,
            Self::Removed { .. } | Self::Never => Tri::No,
        }
    }

    fn declares(&self) -> Declares {
        match self {
            Self::Declared => Declares::Yes,
            Self::Unknown(_) => Declares::Unknown,
            Self::Removed { .. } => Declares::Once,
            Self::Never => Declares::Never,
        }
    }
}

/// Who makes an object again.
#[derive(Clone, Copy)]
pub(super) enum Made {
    /// Nobody.
    No,
    /// A controller, by a rule of the table.
    By(&'static Rule),
    /// The controller of its owner (the case at this index), if that is recoverable.
    From(usize, Tri),
    /// It cannot be said: the only copy could not be read again.
    Unread,
}

impl Made {
    /// Whether a controller made it, as far as is known.
    fn by_controller(self) -> bool {
        matches!(self, Self::By(_) | Self::From(..))
    }

    /// Whether a controller makes it again from something that is recoverable.
    pub(super) fn again(self) -> Tri {
        match self {
            Self::No => Tri::No,
            Self::By(_) => Tri::Yes,
            Self::From(_, recoverable) => recoverable,
            Self::Unread => Tri::Unknown,
        }
    }
}

/// One object with what the witnesses say of it.
pub(super) struct Case<'a> {
    pub id: ObjectId,
    pub claim: Option<Claim<'a>>,
    pub git: Git<'a>,
    pub live: Cluster<'a>,
    pub copies: Copies<'a>,
    pub trio: Option<Arc<Trio>>,
    pub made: Made,
    pub drift: Drift,
    pub recovery: Recovery,
    pub plural_group: Rc<str>,
    pub namespaced: Option<bool>,
    /// It is no longer in Git, and a mark on it says to pass over that.
    pub extraneous: bool,
    /// Why it cannot be said whether the backup's copy is what runs, if so.
    unlike: Option<Failure>,
    possible: Possible,
}

impl<'a> Case<'a> {
    /// The object as any witness has it: live first, then Git, then a backup.
    pub(super) fn any(&self) -> Option<&'a Object> {
        self.live.last().or_else(|| self.claim.map(|c| &c.desired.object)).or_else(|| self.copies.any())
    }

    /// Why the backup's copy could not be compared although the cluster's could, or could not be read again.
    fn unread(&self) -> Option<Failure> {
        let compared = self.trio.as_ref().filter(|t| t.live.as_ref().is_some_and(|o| o.unjudged.is_none()));
        let unjudged = compared.and_then(|t| t.backup.as_ref()).and_then(|o| o.unjudged.clone());
        let gone = || matches!(self.made, Made::Unread).then(|| self.copies.any()?.whole().err().map(|e| body_unread(&e))).flatten();
        unjudged.or_else(gone)
    }

    /// Why the comparison with Git could not be made, if so.
    fn unjudged(&self) -> Option<&Failure> {
        let outcome = |t: &'_ Arc<Trio>| t.live.as_ref().or(t.backup.as_ref()).is_some_and(|o| o.unjudged.is_some());
        let trio = self.trio.as_ref().filter(|t| outcome(t))?;
        trio.live.as_ref().and_then(|o| o.unjudged.as_ref()).or_else(|| trio.backup.as_ref().and_then(|o| o.unjudged.as_ref()))
    }
}

/// What Git and the cluster have under one identity.
type Found<'a> = (Option<Claim<'a>>, Option<&'a Object>);

/// What holds for all objects of a kind.
struct Kind {
    gate: Gate,
    namespaced: Option<bool>,
    plural_group: Rc<str>,
}

/// Everything that is known, joined.
pub(super) struct Join<'a> {
    pub inputs: &'a Inputs<'a>,
    pub engine: Engine<'a>,
    pub memo: &'a Memo,
    pub kinds: Kinds<'a>,
    pub cluster: ClusterSide<'a>,
    pub backups: BackupSide<'a>,
    pub git: GitSide<'a>,
    pub cases: Vec<Case<'a>>,
    /// Namespaces that are being deleted.
    pub ending: BTreeSet<Text>,
    /// What makers say that they make: by the row of their kind, namespace and name.
    products: OnceCell<FastMap<(usize, ObjectId), usize>>,
}

impl<'a> Join<'a> {
    pub(super) fn of(inputs: &'a Inputs<'a>, view: &'a View<'a>, memo: &'a Memo) -> Self {
        let (declared, live, backed_up, config, now) = (inputs.declared, inputs.live, inputs.backed_up, inputs.config, inputs.now);
        let own = config.ignore.iter().filter(|r| r.expires.is_none_or(|e| e > now)).map(Exemption::of);
        let exempt = Exemptions::new(own.chain(super::imports::exemptions(live)).collect());
        memo.begin(Engine::policy_print(&exempt, &config.managers));
        let kinds = Kinds::of(declared, live, backed_up);
        let cluster = ClusterSide::of(live, now, config.stale_after);
        let backups = BackupSide::of(backed_up, view, now, config.stale_after);
        let seen = |id: &ObjectId| live.objects.contains_key(id) || backups.holds(id);
        let git = GitSide::of(declared, config, now, &kinds, memo, &seen);
        let schemas = SchemaSide::new(live, kinds.definitions(), memo);
        let engine = Engine { schemas, exempt, neighbours: Neighbours::of(live), tracked: Tracked::of(live), managers: &config.managers, memo };
        let namespace = GroupKind::new("", "Namespace");
        let namespaces = live.objects.of_kind(&namespace);
        let ending = namespaces.filter(|o| o.meta.deleting || o.meta.phase.as_deref() == Some("Terminating")).map(|o| o.id.name.clone()).collect();
        let mut join = Self { inputs, engine, memo, kinds, cluster, backups, git, cases: Vec::new(), ending, products: OnceCell::new() };
        join.gather();
        join.settle();
        // An object that every witness knows to be gone came from an older archive, and is gone here too.
        join.keep_known();
        join
    }

    /// Joins the witnesses by identity. Kinds repeat a thousand times over, so what holds for a whole kind is asked once for each.
    fn gather(&mut self) {
        let most = self.inputs.live.objects.len();
        let mut found: FastMap<&ObjectId, Found<'a>> = FastMap::with_capacity_and_hasher(most, Default::default());
        for (id, claim) in self.git.claims() {
            found.entry(id).or_default().0 = Some(claim);
        }
        for (id, object) in self.cluster.inventory() {
            found.entry(id).or_default().1 = Some(object);
        }
        for id in self.backups.identities() {
            found.entry(id).or_default();
        }
        let mut cases = Vec::with_capacity(found.len());
        let mut by_kind: FastMap<&GroupKind, Vec<(&ObjectId, Found<'a>)>> = FastMap::default();
        for (id, sides) in found {
            by_kind.entry(&id.gk).or_default().push((id, sides));
        }
        let mut by_kind: Vec<_> = by_kind.into_iter().collect();
        by_kind.sort_unstable_by_key(|(gk, _)| *gk);
        for (gk, mut own) in by_kind {
            own.sort_unstable_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
            let facts = self.kinds.facts(gk, self.memo);
            let namespaced = facts.as_ref().map(|f| f.namespaced);
            let plural_group = facts.map_or_else(|| self.kinds.plural_group(gk, self.memo), |f| f.plural_group);
            let kind = Kind { gate: self.cluster.gate(gk), namespaced, plural_group };
            cases.extend(own.into_iter().map(|(id, sides)| self.case(id.clone(), &kind, sides)));
        }
        let tracked = &self.engine.tracked;
        let mark = |case: &Case<'a>| tracked.mark(&case.id, case.live.last().and_then(|o| o.meta.mark.as_ref())).cloned();
        for case in &cases {
            if let (Some(claim), Some(mark)) = (case.claim, mark(case)) {
                self.git.learn(&mark, claim.app());
            }
        }
        // Who declares the parent of a set deploys the set; a parent that nobody declares says so by its name.
        let mut sets: Vec<&Text> = cases.iter().filter_map(|c| c.live.last()?.meta.mark.as_ref()?.set()).collect();
        sets.sort_unstable();
        sets.dedup();
        for (set, parent) in parents(&sets, cases.iter().map(|c| &c.id)) {
            let claim = cases.binary_search_by(|c| c.id.cmp(parent)).ok().and_then(|n| cases[n].claim);
            let named = || self.git.apps().keys().find(|n| *n.0 == *parent.name).copied();
            if let Some(app) = claim.map(|c| c.app()).or_else(named) {
                self.git.learn(&DeployerMark::ApplySet(set), app);
            }
        }
        self.cases = cases;
    }

    /// Labels of an object for Velero's selectors, read when they are asked for.
    pub(super) fn labels_of(&self, object: Option<&Object>) -> Labels {
        object.and_then(|o| self.memo.labels(o).ok())
    }

    fn case(&self, id: ObjectId, kind: &Kind, (claim, live): Found<'a>) -> Case<'a> {
        let Kind { gate, namespaced, plural_group } = kind;
        let live = self.cluster.judge(&id, gate, live);
        let labels = || self.labels_of(live.last().or_else(|| claim.map(|c| &c.desired.object)));
        let created = live.known().and_then(|o| o.meta.created);
        let copies = self.backups.of_object(&Asked { id: &id, plural_group, namespaced: *namespaced, labels: &labels, created });
        let trouble = claim.and_then(|c| self.git.trouble_of(c.app()));
        let git = match (&claim, trouble) {
            (Some(_), Some(failure)) => Git::Unknown(failure.clone()),
            (Some(_), None) => Git::Declared,
            (None, _) => Git::Never,
        };
        let held = copies.held().map(|(_, object)| object);
        let trio = match (&git, claim) {
            (Git::Declared, Some(c)) if live.body().is_some() || held.is_some() => Some(self.engine.trio(c.wanted(&id), live.body(), held)),
            _ => None,
        };
        Case {
            id,
            claim,
            git,
            live,
            copies,
            trio,
            made: Made::No,
            drift: Drift::Unknown,
            recovery: Recovery::Unknown,
            plural_group: plural_group.clone(),
            namespaced: *namespaced,
            extraneous: false,
            unlike: None,
            possible: Possible::default(),
        }
    }

    /// The index of an object among the cases.
    pub(super) fn find(&self, id: &ObjectId) -> Option<usize> {
        self.cases.binary_search_by(|c| c.id.cmp(id)).ok()
    }

    /// Whether an object, or the namespace in which it lies, is being deleted.
    pub(super) fn terminating(&self, case: &Case<'_>) -> bool {
        let namespace = case.id.namespace.as_ref().is_some_and(|n| self.ending.contains(n));
        namespace || case.live.known().is_some_and(|o| o.meta.deleting)
    }

    /// Decides every case; a case that its owner decides waits for the owner.
    fn settle(&mut self) {
        let mut settled = vec![false; self.cases.len()];
        for first in 0..self.cases.len() {
            let mut chain = Vec::new();
            let mut next = Some(first);
            while let Some(n) = next.filter(|n| !settled[*n] && chain.len() < LONGEST_CHAIN && !chain.iter().any(|(seen, _)| seen == n)) {
                let made = self.made(n);
                chain.push((n, made));
                next = match made {
                    Made::From(owner, _) => Some(owner),
                    Made::No | Made::By(_) | Made::Unread => None,
                };
            }
            while let Some((n, made)) = chain.pop() {
                let made = match made {
                    // Owners that own each other in a circle bring nothing back, nor does a chain that no controller would build.
                    Made::From(owner, _) if !settled[owner] => Made::No,
                    Made::From(owner, _) => Made::From(owner, self.cases[owner].possible.recoverable()),
                    other => other,
                };
                self.decide(n, made);
                settled[n] = true;
            }
        }
    }

    fn decide(&mut self, n: usize, made: Made) {
        let case = &self.cases[n];
        let git = match (&case.git, case.claim) {
            (Git::Never, None) => self.undeclared(case, made),
            (git, _) => git.clone(),
        };
        let extraneous = matches!(git, Git::Removed { .. }) && case.live.last().is_some_and(extraneous);
        let git = if extraneous { Git::Never } else { git };
        let held = case.copies.held().map(|(_, object)| object);
        let same_as_git = case.trio.as_ref().and_then(|t| t.backup.as_ref()).filter(|o| o.unjudged.is_none()).map(|o| o.holds);
        let same_as_live = match (&case.live, held) {
            (Cluster::Present(live), Some(held)) if !live.meta.partial => Some(self.engine.same_in_full(live, held)),
            (Cluster::Absent, Some(_)) => Some(Ok(true)),
            _ => None,
        };
        let unlike = same_as_live.as_ref().and_then(|same| same.as_ref().err().cloned());
        let candidates = case.copies.candidates(same_as_git, same_as_live.and_then(Result::ok));
        let possible = possible(git.tri(), case.live.tri(), made.again(), candidates);
        let agreement = case.trio.as_ref().and_then(|t| t.live.as_ref()).filter(|o| o.unjudged.is_none()).map(|o| o.agreement);
        let drift = drift(git.declares(), case.live.tri(), agreement, made.by_controller());
        let case = &mut self.cases[n];
        case.git = git;
        case.extraneous = extraneous;
        case.unlike = unlike;
        case.made = made;
        case.possible = possible;
        case.drift = drift;
        case.recovery = possible.verdict();
    }

    fn undeclared(&self, case: &Case<'a>, made: Made) -> Git<'a> {
        let object = case.live.last().or_else(|| case.copies.any());
        // Marks are copied from a Deployment to its ReplicaSets and from a Service to its EndpointSlices, so on what a controller makes
        // they say nothing.
        let made = made.by_controller();
        let own = object.and_then(|o| o.meta.mark.as_ref());
        let tracked = &self.engine.tracked;
        match self.git.undeclared(&case.id, tracked.mark(&case.id, own)) {
            Undeclared::Claimed(failure) => Git::Unknown(failure),
            Undeclared::Marked(failure) | Undeclared::Suspected(failure) if !made => Git::Unknown(failure),
            Undeclared::Removed { app, former } if !made => Git::Removed { app, former, listed: tracked.get(&case.id).map(|l| l.by.clone()) },
            _ => Git::Never,
        }
    }

    /// Whether only backups speak of an object of a kind that nobody reads because it forgets by itself (an Event): there is nothing to say.
    fn is_fleeting(&self, case: &Case<'_>) -> bool {
        let skipped = |k: &KindState| matches!(&k.listing, Listing::Skipped(why) if &*why.reason == "ephemeral");
        matches!(case.git, Git::Never) && self.inputs.live.kinds.get(&case.id.gk).is_some_and(skipped)
    }

    fn keep_known(&mut self) {
        let gone: Vec<bool> = self.cases.iter().map(|c| c.possible.nothing() || self.is_fleeting(c)).collect();
        if !gone.contains(&true) {
            return;
        }
        let mut kept = 0;
        let moved: Vec<usize> = gone
            .iter()
            .map(|gone| {
                kept += usize::from(!gone);
                kept.saturating_sub(1)
            })
            .collect();
        let mut at = 0;
        self.cases.retain(|_| {
            at += 1;
            !gone[at - 1]
        });
        for case in &mut self.cases {
            case.made = match case.made {
                Made::From(owner, _) if gone[owner] => Made::No,
                Made::From(owner, recoverable) => Made::From(moved[owner], recoverable),
                other => other,
            };
        }
    }

    /// Why a case could not be judged, per side; empty if it was.
    pub(super) fn unknown(&self, case: &Case<'a>) -> Vec<UnknownSide> {
        self.unknown_within(case, LONGEST_CHAIN)
    }

    fn unknown_within(&self, case: &Case<'a>, owners: usize) -> Vec<UnknownSide> {
        let mut out = Vec::new();
        if case.drift != Drift::Unknown && case.recovery != Recovery::Unknown {
            return out;
        }
        let mut add = |side, f: &Failure| out.push(UnknownSide { side, reason: f.reason.clone(), message: f.message.clone() });
        if let Git::Unknown(failure) = &case.git {
            add(Side::Git, failure);
        } else if let Some(failure) = case.unjudged() {
            add(Side::Git, failure);
        }
        match &case.live {
            Cluster::Unknown { failure, .. } => add(Side::Cluster, failure),
            Cluster::Present(object) if object.meta.partial => {
                let message = format!("of {} only metadata is read, as a controller keeps the rest", case.plural_group);
                add(Side::Cluster, &Failure::new("body_unread", message));
            }
            _ => {}
        }
        if case.recovery == Recovery::Unknown {
            let unread = || case.unread().or_else(|| case.unlike.clone());
            if let Some(failure) = case.copies.failure().or_else(unread) {
                add(Side::Backup, &failure);
            }
            if let Made::From(owner, Tri::Unknown) = case.made
                && let Some(left) = owners.checked_sub(1)
            {
                let owner = &self.cases[owner];
                for side in self.unknown_within(owner, left) {
                    let message = format!("its owner {} could not be judged: {}", owner.id, side.message);
                    if !out.iter().any(|o| o.side == side.side) {
                        out.push(UnknownSide { message, ..side });
                    }
                }
            }
        }
        out
    }
}

/// Whether a mark on the object tells Argo CD to pass over that Git does not declare it (util/argo `compare-options`).
fn extraneous(object: &Object) -> bool {
    const KEY: &str = "argocd.argoproj.io/compare-options";
    let json = object.content.json();
    json.contains(KEY) && {
        let value = object.content.value();
        let options = value.get("metadata").and_then(|m| m.get("annotations")).and_then(|a| a.get(KEY)).and_then(serde_json::Value::as_str);
        options.is_some_and(|o| o.split(',').any(|o| o.trim() == "IgnoreExtraneous"))
    }
}
