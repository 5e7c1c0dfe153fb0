//! Laws that hold in every world: order does not matter, everything is counted once, unknown is never clean, gone is gone. pure

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Memo, Onsets, judge,
    world::{Snapshot, World, app, at, scope_of, scope_unknown},
};
use crate::{
    object::{GroupKind, ObjectId},
    report::model::{CoverageCell, Drift, ObjectReport, Recovery, Report, Stage, WindowScope, WindowState},
    witness::{BackupContent, BackupState, Failure, Listing},
};

/// What one object of a random world is like. Contents are small numbers; equal numbers are equal contents.
#[derive(Clone, Debug)]
struct Thing {
    kind: u8,
    name: u8,
    git: Option<u8>,
    live: Option<u8>,
    /// In each of three backups.
    held: [Option<u8>; 3],
    /// Earlier contents in Git, newest first.
    past: Vec<Option<u8>>,
    owner: Option<u8>,
    other_app: bool,
}

#[derive(Clone, Debug)]
struct Plan {
    things: Vec<Thing>,
    /// Per backup: 0 everything, 1 elsewhere only, 2 cannot be decided, 3 not read, 4 failed, 5 damaged.
    backups: Vec<u8>,
    schedule: bool,
}

fn content() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![1 => Just(None), 3 => (1u8..4).prop_map(Some)]
}

fn thing() -> impl Strategy<Value = Thing> {
    let sides = (content(), content(), [content(), content(), content()]);
    let rest = (proptest::collection::vec(content(), 0..4), proptest::option::weighted(0.2, 0u8..6), any::<bool>());
    ((0u8..4, 0u8..6), sides, rest).prop_map(|((kind, name), (git, live, held), (past, owner, other_app))| Thing {
        kind,
        name,
        git,
        live,
        held,
        past,
        owner,
        other_app,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let things = proptest::collection::vec(thing(), 1..10);
    (things, proptest::collection::vec(0u8..6, 0..4), any::<bool>()).prop_map(|(mut things, backups, schedule)| {
        things.sort_by_key(|t| (t.kind, t.name));
        things.dedup_by_key(|t| (t.kind, t.name));
        Plan { things, backups, schedule }
    })
}

fn written(thing: &Thing, content: u8) -> Value {
    let (api, kind, namespace) = match thing.kind {
        0 => ("apps/v1", "Deployment", Some("shop")),
        1 => ("v1", "ConfigMap", Some("shop")),
        2 => ("rbac.authorization.k8s.io/v1", "ClusterRole", None),
        _ => ("odd.example.com/v1", "Thing", Some("shop")),
    };
    let mut v = json!({"apiVersion":api,"kind":kind,"metadata":{"name":format!("n{}", thing.name)},"spec":{"replicas":content}});
    if let Some(namespace) = namespace {
        v["metadata"]["namespace"] = namespace.into();
    }
    v
}

fn running(thing: &Thing, content: u8) -> Value {
    let mut v = written(thing, content);
    if let Some(owner) = thing.owner.filter(|o| *o != thing.name) {
        v["metadata"]["ownerReferences"] =
            json!([{"apiVersion":"apps/v1","kind":"Deployment","name":format!("n{owner}"),"uid":"u","controller":true}]);
    }
    v
}

fn build(plan: &Plan) -> World {
    let declared = |other: bool| {
        let own = plan.things.iter().filter(|t| t.other_app == other);
        own.filter_map(|t| Some(written(t, t.git?))).collect::<Vec<_>>()
    };
    let mut world = World::new().declares("shop", declared(false)).declares("other", declared(true));
    world = world.runs(plan.things.iter().filter_map(|t| Some(running(t, t.live?))).collect());
    // The odd kind is served whether or not anything of it runs.
    world = world.runs(vec![json!({"apiVersion":"odd.example.com/v1","kind":"Thing","metadata":{"name":"always","namespace":"shop"}})]);
    for t in plan.things.iter().filter(|t| t.kind == 0) {
        let app = if t.other_app { "other" } else { "shop" };
        let states: Vec<Option<u32>> = std::iter::once(t.git).chain(t.past.iter().copied()).map(|c| c.map(u32::from)).collect();
        let clocks = ["10:00", "08:00", "00:30", "00:10"];
        let states: Vec<(Option<u32>, &str, &str)> = states.into_iter().zip(clocks).map(|(s, clock)| (s, clock, clock)).collect();
        world = world.history(app, written(t, 1), &states);
    }
    for (n, kind) in plan.backups.iter().enumerate().take(3) {
        let held = plan.things.iter().filter_map(|t| Some(running(t, t.held[n]?))).collect();
        let snapshot = Snapshot::new(&format!("b{n}"), ["01:00", "02:00", "03:00"][n]);
        let snapshot = match kind {
            1 => snapshot.scope(scope_of(&["elsewhere"], &[])).holding(held),
            2 => snapshot.scope(scope_unknown()).holding(held),
            3 => snapshot.unread(),
            4 => snapshot.state(BackupState::Invalid).holding(held),
            5 => snapshot.state(BackupState::Invalid).broken(),
            _ => snapshot.holding(held),
        };
        world = world.backup(snapshot);
    }
    if plan.schedule { world.schedule("nightly", Some("23:00")) } else { world }
}

/// The same world with everything that has an order turned around.
fn reversed(world: &World) -> World {
    let mut other = world.clone();
    for state in other.declared.apps.values_mut() {
        if let Some(rendered) = &mut state.rendered {
            let mut turned = (**rendered).clone();
            turned.objects.reverse();
            *rendered = Arc::new(turned);
        }
    }
    // A rebuilt map iterates in another order.
    other.live.objects = world.live.objects.iter().map(|(id, o)| (id.clone(), o.clone())).collect();
    other.backed_up.backups.reverse();
    for backup in &mut other.backed_up.backups {
        if let BackupContent::Read(archive) = &backup.content {
            let mut turned = (**archive).clone();
            turned.objects = archive.objects.values().cloned().collect();
            backup.content = BackupContent::Read(Arc::new(turned));
        }
    }
    other.backed_up.schedules.reverse();
    other
}

fn clean(recovery: Recovery) -> bool {
    matches!(recovery, Recovery::Either | Recovery::Git | Recovery::Backup | Recovery::Derived)
}

fn by_id(report: &Report) -> HashMap<&ObjectId, &ObjectReport> {
    report.objects.iter().map(|o| (&o.id, o)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_input_does_not_matter(plan in plan()) {
        let world = build(&plan);
        prop_assert_eq!(world.judge(), reversed(&world).judge());
    }

    #[test]
    fn a_memo_changes_nothing(first in plan(), second in plan()) {
        let (first, second) = (build(&first), build(&second));
        let mut memo = Memo::default();
        for world in [&first, &second, &first] {
            prop_assert_eq!(judge(&world.inputs(), &mut memo), world.judge());
        }
    }

    #[test]
    fn every_object_is_counted_once_on_each_axis(plan in plan()) {
        let report = build(&plan).judge();
        let (summary, objects) = (&report.summary, report.objects.len() as u64);
        prop_assert_eq!(summary.objects, objects);
        prop_assert_eq!(summary.drift.values().sum::<u64>(), objects);
        prop_assert_eq!(summary.recovery.values().sum::<u64>(), objects);
        prop_assert_eq!(summary.recovery_by_layer.values().flat_map(|l| l.values()).sum::<u64>(), objects);
        prop_assert_eq!(summary.coverage.iter().map(|c| c.objects).sum::<u64>(), objects);
        prop_assert!(report.objects.windows(2).all(|w| w[0].id < w[1].id), "sorted, and each once");
        let cell = |c: &CoverageCell| (c.namespace.clone(), c.scope, c.in_git, c.in_cluster, c.in_backup);
        let cells: std::collections::BTreeSet<_> = summary.coverage.iter().map(cell).collect();
        prop_assert_eq!(cells.len(), summary.coverage.len());
    }

    #[test]
    fn what_is_unknown_says_why_and_what_is_not_has_no_excuse(plan in plan()) {
        for o in build(&plan).judge().objects {
            prop_assert_eq!(o.is_unknown(), !o.unknown.is_empty(), "{:?}", o);
        }
    }

    #[test]
    fn a_window_is_open_exactly_where_an_object_is_split(plan in plan()) {
        let report = build(&plan).judge();
        for rollup in &report.windows {
            let own = |o: &&ObjectReport| match &rollup.of {
                WindowScope::Cluster => true,
                WindowScope::Layer(layer) => o.layer == *layer,
                WindowScope::App(app) => o.app.as_ref() == Some(app),
            };
            let split = report.objects.iter().filter(own).filter(|o| o.recovery == Recovery::Split).count() as u64;
            prop_assert_eq!(rollup.objects, split);
            prop_assert_eq!(rollup.state == WindowState::Open, split > 0 && rollup.state != WindowState::None, "{:?}", rollup);
            prop_assert!(rollup.state != WindowState::Closed || (split == 0 && rollup.unknown == 0));
            prop_assert_eq!(rollup.objects, rollup.pending + rollup.unsnapshotted);
        }
        for o in &report.objects {
            match &o.window {
                Some(w) => prop_assert_eq!(w.stage == Stage::Resurrection, o.recovery == Recovery::Resurrected),
                None => prop_assert_ne!(o.recovery, Recovery::Split),
            }
            if let Some(start) = o.window.as_ref().and_then(|w| w.start) {
                prop_assert!(start.not_before <= start.not_after && start.not_after <= report.now);
            }
        }
    }

    #[test]
    fn a_failure_of_git_leaves_nothing_clean_that_depends_on_it(plan in plan(), with_render in any::<bool>()) {
        let world = build(&plan);
        let declared = |o: &&ObjectReport| o.app.as_ref().is_some_and(|a| &*a.0 == "shop") && o.sides.git == crate::report::model::Presence::Present;
        let before = world.judge();
        let own: Vec<ObjectId> = before.objects.iter().filter(declared).map(|o| o.id.clone()).collect();
        let mut failed = world.clone().fails("shop", "render_failed");
        if !with_render {
            failed = failed.app(app("shop", Some("shop"))).fails("shop", "render_failed");
        }
        let after = failed.judge();
        let found = by_id(&after);
        for id in own {
            // Without a render, what neither runs nor is backed up is not known of at all; the app itself is then the finding.
            let Some(o) = found.get(&id) else { prop_assert!(!with_render); continue };
            // What a controller makes is not suspected to be in Git only because it lies where an unread app puts its objects.
            let owner = |t: &Thing| super::world::take(written(t, 1)).id == id && t.owner.is_some();
            let owned = !with_render && plan.things.iter().any(owner);
            prop_assert!(owned || o.drift == Drift::Unknown, "{:?}", o);
            prop_assert!(owned || !clean(o.recovery), "{:?}", o);
        }
        let neighbours = |r: &Report| {
            let of = |o: &&ObjectReport| o.app.as_ref().is_some_and(|a| &*a.0 == "other");
            r.objects.iter().filter(of).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(neighbours(&before), neighbours(&after), "neighbours are unaffected");
    }

    #[test]
    fn a_failure_of_the_cluster_leaves_no_drift_verdict_that_depends_on_it(plan in plan()) {
        let world = build(&plan).cluster_as_of(None);
        for o in world.judge().objects {
            prop_assert_eq!(o.drift, Drift::Unknown);
            // What its controller made when the backup began, it makes again; whether it runs now does not matter for that.
            let held_by_git = o.sides.git == crate::report::model::Presence::Present;
            prop_assert!(held_by_git || o.recovery == Recovery::Derived || !clean(o.recovery), "{:?}", o);
        }
        let one = build(&plan).listing("apps", "Deployment", Listing::Failed(Failure::new("forbidden", "no")));
        for o in one.judge().objects {
            prop_assert!(o.id.gk != GroupKind::new("apps", "Deployment") || o.drift == Drift::Unknown);
        }
    }

    #[test]
    fn a_failure_of_the_backups_leaves_no_recovery_verdict_that_depends_on_it(plan in plan()) {
        for o in build(&plan).backups_as_of(None).judge().objects {
            prop_assert!(matches!(o.recovery, Recovery::Unknown | Recovery::Derived), "{:?}", o);
        }
        let mut unread = build(&plan);
        for backup in &mut unread.backed_up.backups {
            backup.content = BackupContent::Unread(Failure::new("content_unread", "no"));
        }
        for o in unread.judge().objects {
            prop_assert!(!matches!(o.recovery, Recovery::Either | Recovery::Backup), "{:?}", o);
        }
        // Nor does an older backup answer for the newest one, if that is damaged.
        let damaged = build(&plan).backup(Snapshot::new("newest", "09:00").state(BackupState::Invalid).broken());
        for o in damaged.judge().objects {
            prop_assert!(matches!(o.recovery, Recovery::Unknown | Recovery::Derived), "{:?}", o);
        }
    }

    #[test]
    fn what_is_gone_everywhere_is_gone_from_the_report(plan in plan(), which in 0usize..10) {
        let Some(victim) = plan.things.get(which) else { return Ok(()) };
        let mut after = plan.clone();
        let thing = after.things.iter_mut().find(|t| (t.kind, t.name) == (victim.kind, victim.name)).expect("it is there");
        (thing.git, thing.live, thing.held) = (None, None, [None; 3]);
        let id = super::world::take(written(victim, 1)).id;
        let mut memo = Memo::default();
        judge(&build(&plan).inputs(), &mut memo);
        let world = build(&after);
        let report = judge(&world.inputs(), &mut memo);
        prop_assert!(!report.objects.iter().any(|o| o.id == id));
        let mut onsets = Onsets::default();
        onsets.advance(&build(&plan).judge(), at("11:00"));
        onsets.advance(&report, at("11:05"));
        let name = format!("\"{}\"", id.name);
        let known = report.objects.iter().any(|o| o.id.name == id.name);
        prop_assert!(known || !serde_json::to_string(&onsets).expect("json").contains(&name));
    }

    #[test]
    fn a_report_survives_being_written_and_read(plan in plan()) {
        let report = build(&plan).judge();
        let text = serde_json::to_string(&report).expect("json");
        prop_assert_eq!(serde_json::from_str::<Report>(&text).expect("readable"), report);
    }
}
