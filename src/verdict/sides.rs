//! What the cluster says of one object: present, absent, or unknown with its reason. pure

use std::{cell::RefCell, rc::Rc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{fast::FastMap, recovery::Tri, words};
use crate::{
    object::{GroupKind, Object, ObjectId},
    report::model::Presence,
    witness::{Failure, Listing, Live},
};

/// What the cluster says of one object.
#[derive(Clone, Debug)]
pub(super) enum Cluster<'a> {
    Present(&'a Object),
    /// Known not to be there.
    Absent,
    /// Could not be read. `last` is the last good value, if there is one.
    Unknown {
        failure: Rc<Failure>,
        last: Option<&'a Object>,
    },
}

impl<'a> Cluster<'a> {
    pub(super) fn presence(&self) -> Presence {
        match self {
            Self::Present(_) => Presence::Present,
            Self::Absent => Presence::Absent,
            Self::Unknown { .. } => Presence::Unknown,
        }
    }

    pub(super) fn tri(&self) -> Tri {
        match self {
            Self::Present(_) => Tri::Yes,
            Self::Absent => Tri::No,
            Self::Unknown { .. } => Tri::Unknown,
        }
    }

    /// The object, if it is known to be there.
    pub(super) fn known(&self) -> Option<&'a Object> {
        match self {
            Self::Present(o) => Some(o),
            _ => None,
        }
    }

    /// The object, if it is known to be there and was read whole.
    pub(super) fn body(&self) -> Option<&'a Object> {
        self.known().filter(|o| !o.meta.partial)
    }

    /// The object as last read, be that still true or not.
    pub(super) fn last(&self) -> Option<&'a Object> {
        match self {
            Self::Present(o) => Some(o),
            Self::Unknown { last, .. } => *last,
            Self::Absent => None,
        }
    }
}

/// What holds for a whole kind.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    /// The inventory is complete: what is not in it does not exist.
    Open,
    /// The server does not serve the kind, so none of its objects exist.
    NotServed,
    /// Its objects cannot be judged.
    Closed(Rc<Failure>),
}

/// Answers for the cluster.
pub(super) struct ClusterSide<'a> {
    live: &'a Live,
    trouble: Option<Rc<Failure>>,
    elsewhere: Rc<Failure>,
    gates: RefCell<FastMap<GroupKind, Gate>>,
}

/// Whether a view is too old to be believed, as a failure of the given reason.
pub(super) fn staleness(reason: &str, what: &str, as_of: Timestamp, why: Option<&Failure>, now: Timestamp, limit: Duration) -> Option<Failure> {
    let age = now.duration_since(as_of);
    if age <= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX) {
        return None;
    }
    let cause = why.map(|f| format!(": {}", f.message)).unwrap_or_default();
    Some(Failure::new(reason, format!("{what} was last read {} ago{cause}", words::span(age.as_secs().max(0).unsigned_abs()))))
}

impl<'a> ClusterSide<'a> {
    pub(super) fn of(live: &'a Live, now: Timestamp, stale_after: Duration) -> Self {
        let trouble = match (live.as_of, &live.failure) {
            (None, Some(failure)) => Some(failure.clone()),
            (None, None) => Some(Failure::new("cluster_unread", "the cluster was not read yet")),
            (Some(at), failure) => staleness("cluster_stale", "the cluster", at, failure.as_ref(), now, stale_after),
        };
        let elsewhere = Failure::new("outside_view", "the view of the cluster holds some namespaces only, and this lies outside them");
        Self { live, trouble: trouble.map(Rc::new), elsewhere: Rc::new(elsewhere), gates: RefCell::default() }
    }

    /// What holds for a kind.
    pub(super) fn gate(&self, gk: &GroupKind) -> Gate {
        if let Some(failure) = &self.trouble {
            return Gate::Closed(failure.clone());
        }
        self.gates.borrow_mut().entry(gk.clone()).or_insert_with(|| self.look(gk)).clone()
    }

    fn look(&self, gk: &GroupKind) -> Gate {
        let closed = |f: &Failure| Gate::Closed(Rc::new(f.clone()));
        match self.live.kinds.get(gk).map(|k| &k.listing) {
            Some(Listing::Complete) => Gate::Open,
            Some(Listing::Skipped(f) | Listing::Failed(f)) => closed(f),
            None => match self.live.broken_groups.get(&gk.group) {
                Some(f) => closed(f),
                None if self.live.discovered => Gate::NotServed,
                None => closed(&Failure::new("discovery_failed", format!("the server could not say whether it serves {gk}"))),
            },
        }
    }

    /// What the cluster says of an object that the inventory holds or does not; `gate` is that of its kind.
    pub(super) fn judge(&self, id: &ObjectId, gate: &Gate, found: Option<&'a Object>) -> Cluster<'a> {
        match (gate, found) {
            (Gate::Closed(failure), last) => Cluster::Unknown { failure: failure.clone(), last },
            (_, Some(object)) => Cluster::Present(object),
            (_, None) if !self.live.covers(id) => Cluster::Unknown { failure: self.elsewhere.clone(), last: None },
            (_, None) => Cluster::Absent,
        }
    }

    /// Everything in the inventory.
    pub(super) fn inventory(&self) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> {
        self.live.objects.iter().map(|(id, o)| (id, &**o))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::world::{World, at};

    fn says(world: &World, kind: (&str, &str), name: &str) -> String {
        let side = ClusterSide::of(&world.live, world.now, Duration::from_secs(900));
        let id = ObjectId::new(kind.0, kind.1, Some("shop"), name);
        match side.judge(&id, &side.gate(&id.gk), world.live.objects.get(&id).map(|o| &**o)) {
            Cluster::Present(_) => "present".into(),
            Cluster::Absent => "absent".into(),
            Cluster::Unknown { failure, last } => format!("{}{}", failure.reason, if last.is_some() { ", last good" } else { "" }),
        }
    }

    #[test]
    fn only_a_complete_listing_makes_an_absence() {
        let world = || World::new().runs(vec![World::deployment("cart", 2)]);
        let deployment = ("apps", "Deployment");
        let failed = |f: fn(Failure) -> Listing| f(Failure::new("forbidden", "no"));
        let rows = [
            (world(), deployment, "cart", "present"),
            (world(), deployment, "gone", "absent"),
            (world().listing("apps", "Deployment", failed(Listing::Failed)), deployment, "cart", "forbidden, last good"),
            (world().listing("apps", "Deployment", failed(Listing::Skipped)), deployment, "gone", "forbidden"),
            (world(), ("odd.example.com", "Thing"), "a", "absent"),
            (world().broken_group("odd.example.com"), ("odd.example.com", "Thing"), "a", "stale_group"),
            (world().only_namespace("elsewhere"), deployment, "gone", "outside_view"),
            (world().only_namespace("elsewhere"), deployment, "cart", "present"),
            (world().only_namespace("shop"), deployment, "gone", "absent"),
            (world().undiscovered(), ("odd.example.com", "Thing"), "a", "discovery_failed"),
            (world().cluster_as_of(None), deployment, "gone", "cluster_unread"),
            (world().cluster_as_of(Some(at("11:44"))), deployment, "cart", "cluster_stale, last good"),
            (world().cluster_as_of(Some(at("11:45"))), deployment, "cart", "present"),
        ];
        for (n, (world, kind, name, want)) in rows.iter().enumerate() {
            assert_eq!(says(world, *kind, name), *want, "row {n}");
        }
    }
}
