//! Who stands behind the leaf at hand, and what that makes of the difference. pure

use serde_json::Value;

use super::{
    LeafClass, ListKind, Writer,
    compare::{Taken, Walk},
    judge::Sides,
    lists,
    owners::{Entry, Owners, Place},
    values::{key_text, same},
};
use crate::object::Text;

/// The manager of kubectl's client-side apply.
const KUBECTL: &str = "kubectl-client-side-apply";

/// Owner, what kind of writer that is, and when it wrote.
pub(super) type Who = (Option<Text>, Option<Writer>, Option<jiff::Timestamp>);

/// What ownership says of a leaf that only the observed side has.
pub(super) enum Extra {
    /// The deployer applied it, Git no longer sets it.
    Dropped(Who),
    /// A person put it there.
    Added(Who),
    /// Expected, or not to be told; the position in [`super::judge::SILENT`].
    Silent(usize),
}

/// The owners of the leaf at hand.
pub(super) struct Found {
    pub newest: Who,
    pub managers: Vec<String>,
    pub by_person: bool,
    pub scaled_by_controller: bool,
    pub extra: Extra,
    /// Somebody applied it server-side, so that its absence or another value is not of that writer's making.
    applied: bool,
    /// Owners are noted, but none for this leaf.
    unowned: bool,
}

impl Found {
    pub(super) fn of(walk: &Walk<'_>) -> Self {
        let nobody = (None, None, None);
        let owners = walk.owners.get_or_init(|| Owners::read(walk.managers).named_in(walk.policy.gvk));
        let places: Vec<Place<'_>> = walk.steps.iter().map(Taken::place).collect();
        let entries = owners.of(&places, &|depth| walk.has_one_writer(depth));
        let writer = |e: &Entry| e.writer(walk.policy.managers);
        let who = |e: &Entry| (Some(e.name()), Some(writer(e)), e.time());
        let first = |w: Writer| entries.iter().copied().find(|e| writer(e) == w);
        // Who creates a custom resource by hand owns its defaults too, and without the schema they look like additions.
        let person = entries.iter().copied().find(|e| writer(e) == Writer::Person && (walk.known || !e.writes_whole_objects()));
        let deployer = first(Writer::Deployer);
        let dropped = entries.iter().copied().find(|e| writer(e) == Writer::Deployer && e.applied());
        let newest = entries.first().map_or(nobody.clone(), |e| who(e));
        // A null that was applied and that Git says no more is taken out too, and the default comes.
        let last_applied = || walk.applied_at(&walk.steps).is_some_and(|v| !v.is_null() || walk.null_in_git().is_none());
        let extra = match (dropped, person) {
            (Some(e), _) => Extra::Dropped(who(e)),
            _ if last_applied() => Extra::Dropped(deployer.map_or(newest.clone(), who)),
            (None, Some(e)) => Extra::Added(who(e)),
            (None, None) if walk.null_takes_out() => Extra::Dropped(newest.clone()),
            (None, None) if owners.is_empty() => Extra::Silent(3),
            (None, None) if entries.is_empty() => Extra::Silent(0),
            (None, None) if first(Writer::Controller).is_some() => Extra::Silent(1),
            // Who writes whole objects owns the defaults too, but this is none, and all defaults here are known: it was set once.
            (None, None)
                if walk.applied_text.is_none() && walk.merges() && walk.knows_defaults() && deployer.is_some_and(|e| e.subresource.is_empty()) =>
            {
                Extra::Dropped(deployer.map_or(nobody, who))
            }
            (None, None) if deployer.is_some() => Extra::Silent(2),
            (None, None) => Extra::Silent(3),
        };
        Self {
            by_person: person.is_some(),
            scaled_by_controller: entries.first().is_some_and(|e| e.subresource == "scale" && writer(e) == Writer::Controller),
            managers: entries.iter().map(|e| e.manager.clone()).collect(),
            applied: dropped.is_some(),
            unowned: entries.is_empty() && !owners.is_empty(),
            newest,
            extra,
        }
    }

    /// What kind of difference it is where Git sets something.
    pub(super) fn class(&self, walk: &Walk<'_>, class: LeafClass, (desired, observed): Sides<'_>) -> LeafClass {
        match self.newest.1 {
            Some(Writer::Person) if operation(walk) => LeafClass::Operational,
            // The field manager notes who asked for a field, before admission: one that its applier owns and that is not there was taken
            // out after that. Who removes a field takes it from its owners.
            Some(Writer::Deployer) if class == LeafClass::Missing && self.applied => LeafClass::Policy,
            // What the deployer applied is what Git says, nobody else owns it, and yet it is another value: admission wrote that.
            Some(Writer::Deployer) if class == LeafClass::Changed && walk.last_applied().zip(desired).is_some_and(|(a, d)| same(&a, d)) => {
                LeafClass::Policy
            }
            Some(Writer::Controller) => LeafClass::Policy,
            // A scale to none through the subresource takes the field from its owners and leaves none, for the zero is left out of what is
            // noted (autoscaling/v1 ScaleSpec `omitempty`); and where nobody is noted the server does not begin to note those who scale
            // after that. One replica may also be the default of a field that Git sets since today.
            None if self.unowned && walk.path == ["spec", "replicas"] && operation(walk) && observed.and_then(Value::as_u64) != Some(1) => {
                LeafClass::Operational
            }
            _ => class,
        }
    }
}

/// What people do to running objects without meaning to change what they are: kinds (empty: any) and the ends of paths.
/// Sources: kubectl pkg/polymorphichelpers (restarter, pauser), kubectl scale and cordon.
const OPERATIONS: [(&[&str], &[&str]); 5] = [
    (&[], &["template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"]),
    (&["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"], &["spec", "replicas"]),
    (&["Deployment"], &["spec", "paused"]),
    (&["Node"], &["spec", "unschedulable"]),
    (&["Rollout"], &["spec", "restartAt"]),
];

/// Whether the leaf at hand is one that operations touch.
pub(super) fn operation(walk: &Walk<'_>) -> bool {
    let kind = &*walk.policy.gvk.gk.kind;
    OPERATIONS.iter().any(|(kinds, end)| (kinds.is_empty() || kinds.contains(&kind)) && walk.path.ends_with(end))
}

impl<'a> Walk<'a> {
    /// Whether a value at this place that is no default of its own field cannot be any default.
    fn knows_defaults(&self) -> bool {
        let (schema, gvk, path) = (self.policy.schema, self.policy.gvk, &self.path);
        // The default of a whole branch may have filled it in, before Git set another part of the branch.
        let from_outside = (1..path.len()).any(|n| {
            let there = schema.default_of(gvk, &path[..n]);
            there.is_some_and(|d| path[n..].iter().try_fold(&d, |v, step| v.get(*step)).is_some())
        });
        schema.knows_defaults(gvk, path) && !from_outside
    }

    fn has_default(&self) -> bool {
        self.policy.schema.default_of(self.policy.gvk, &self.path).is_some()
    }

    /// Whether the deployer merges patches of its own making into the object (kubectl apply, Argo CD by default, Helm 3) instead of
    /// applying server-side. Then members of a mapping stay that it does not name, whatever the schema says of who writes the mapping.
    pub(super) fn merges(&self) -> bool {
        self.deployment() == Some(false)
    }

    /// Whether the deployer applies server-side; `None` if no deployer is known.
    pub(super) fn deployment(&self) -> Option<bool> {
        *self.applies.get_or_init(|| {
            let deployers = self.owners.get_or_init(|| Owners::read(self.managers)).deployers(self.policy.managers);
            let applies = deployers.iter().any(|e| e.applied());
            (applies || self.applied_text.is_some() || !deployers.is_empty()).then_some(applies)
        })
    }

    /// Whether the container at this depth of the path has one writer as a whole. Where nothing is known of a kind, it is taken to.
    fn has_one_writer(&self, depth: usize) -> bool {
        let (schema, gvk) = (self.policy.schema, self.policy.gvk);
        // The pull secrets of a ServiceAccount are one value to the server; they are paired by name here because controllers append to them.
        let appended = gvk.gk.is("", "ServiceAccount") && self.path[..depth] == ["imagePullSecrets"];
        if !self.known || appended || matches!(self.steps.get(depth), Some(Taken::Index(_))) {
            return true;
        }
        depth > 0 && (schema.is_whole(gvk, &self.path[..depth]) || self.is_list(depth) && self.is_atomic_list(depth))
    }

    fn is_list(&self, depth: usize) -> bool {
        self.frames.get(depth).is_some_and(|f| f.observed.or(f.desired).is_some_and(Value::is_array))
    }

    /// Also below what the schema leaves open: the server takes lists there as one value (structured-merge-diff's deduced types).
    pub(super) fn is_atomic_list(&self, depth: usize) -> bool {
        matches!(self.policy.schema.list_kind(self.policy.gvk, &self.path[..depth]), ListKind::Atomic | ListKind::Bag)
    }

    /// Whether the deployer wrote the mapping at hand, which Git does not set any more, as such. An apply takes such a one out if nobody owns what
    /// is in it; a merged patch takes it out with all that is in it. `null` is what Git says there: to an apply that is no absence.
    pub(super) fn dropped_container(&self, unowned: bool, null: bool) -> Option<Who> {
        let owners = self.owners.get_or_init(|| Owners::read(self.managers));
        let places: Vec<Place<'_>> = self.steps.iter().map(Taken::place).collect();
        // A field that is a container goes with the last of what was applied in it, an entry of a mapping only if it was applied as such
        // (structured-merge-diff fieldpath/set.go EnsureNamedFieldsAreMembers).
        let field = matches!(self.steps.last(), Some(Taken::Key(_))) && !self.policy.schema.is_entry(self.policy.gvk, &self.path);
        let applied = |e: &&Entry| e.applied() && if field { e.reaches(&places) } else { e.wrote_container(&places) };
        let applier = owners.deployers(self.policy.managers).into_iter().find(applied);
        let who = |e: &Entry| (Some(e.name()), Some(e.writer(self.policy.managers)), e.time());
        if let Some(e) = applier {
            return (unowned && !null).then(|| who(e));
        }
        // kubectl itself writes annotations, so there they say nothing of the manifest.
        if self.path.first() == Some(&"metadata") || !self.merges() {
            return None;
        }
        let updater = owners.deployers(self.policy.managers).into_iter().find(|e| e.wrote_container(&places));
        match (self.applied_text.is_some(), updater) {
            (true, _) if self.last_applied().is_some() => Some(updater.map_or((None, None, None), who)),
            // Of a custom resource it is known which mappings come to be by a default. This one did not, or who created the object owns it with that.
            (false, Some(e)) if self.policy.schema.is_custom(self.policy.gvk) && self.knows_defaults() && !self.has_default() => Some(who(e)),
            _ => None,
        }
    }

    /// What was last applied client-side at the place at hand.
    pub(super) fn last_applied(&self) -> Option<Value> {
        self.applied_at(&self.steps).filter(|v| !v.is_null()).cloned()
    }

    /// How many steps lead to where Git says null: to the place at hand, or to what it is in.
    fn null_in_git(&self) -> Option<usize> {
        let innermost = self.frames.iter().take_while(|f| f.desired.is_some()).count().checked_sub(1)?;
        let (Some(container), Taken::Key(key)) = (self.frames[innermost].desired, self.steps.get(innermost)?) else { return None };
        container.get(*key)?.is_null().then_some(innermost + 1)
    }

    /// Whether Git says null there and kubectl's patch takes out what is there, whoever put it there: of built-in kinds always, of custom resources
    /// unless the manifest said so when it was last applied (apimachinery strategicpatch `diffMaps`, jsonmergepatch `keepOrDeleteNullInObj`).
    fn null_takes_out(&self) -> bool {
        let kubectl = || self.owners.get_or_init(|| Owners::read(self.managers)).deployers(self.policy.managers).iter().any(|e| e.manager == KUBECTL);
        let patches = || self.merges() && (self.applied_text.is_some() || kubectl());
        let said = |steps| self.applied_at(&self.steps[..steps]).is_some_and(Value::is_null);
        self.null_in_git().is_some_and(|steps| patches() && !(self.policy.schema.is_custom(self.policy.gvk) && said(steps)))
    }

    fn applied_at(&self, steps: &[Taken<'_>]) -> Option<&Value> {
        let root = self.applied.get_or_init(|| self.applied_text.and_then(|t| serde_json::from_str(t).ok())).as_ref()?;
        steps.iter().try_fold(root, |value, step| match step {
            Taken::Key(key) => value.get(*key),
            Taken::Index(n) => value.get(*n),
            Taken::Value(wanted, _) => value.as_array()?.iter().find(|v| key_text(v) == key_text(wanted)),
            Taken::Item { item, keys, .. } => value.as_array()?.iter().find(|v| {
                keys.iter().all(|(k, default)| {
                    let have = lists::key_value(v, k, default.as_deref());
                    have.is_some() && have == lists::key_value(item, k, default.as_deref())
                })
            }),
        })
    }
}
