//! Tests of the state: what a view says after which events. pure

use serde_json::json;

use super::*;
use crate::{
    cluster::intake::Intake,
    config,
    object::{Gvk, Redactor},
    witness::Told,
};

const GRACE: Duration = Duration::from_secs(30);

fn served(api_version: &str, kind: &str, plural: &str) -> Served {
    Served {
        gvk: Gvk::parse(api_version, kind),
        versions: Vec::new(),
        plural: plural.into(),
        namespaced: true,
        get: true,
        list: true,
        watch: true,
        told: Told::default(),
    }
}

fn maps() -> Served {
    served("v1", "ConfigMap", "configmaps")
}

fn widgets() -> Served {
    served("w.example.com/v1", "Widget", "widgets")
}

fn catalogue(kinds: &[Served]) -> Catalogue {
    Catalogue { kinds: kinds.iter().map(|k| (k.gvk.gk.clone(), k.clone())).collect(), ..Default::default() }
}

fn taken(kind: &Served, name: &str, value: u32, status: u32) -> Taken {
    let raw = json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": status.to_string()}, "data": {"v": value}, "status": status});
    Intake::new(Redactor::new([0; 32])).take(kind, raw, false).expect("admitted")
}

struct Bench {
    state: State,
    chooser: Chooser,
    start: Now,
}

impl Bench {
    fn new(kinds: &[Served]) -> Self {
        let mut state = State::new(true, GRACE);
        let chooser = Chooser::new(&config::Cluster::default());
        state.catalogue(&catalogue(kinds), &chooser);
        Self { state, chooser, start: Now { instant: Instant::now(), time: "2026-01-01T00:00:00Z".parse().expect("a time") } }
    }

    fn at(&self, seconds: u64) -> Now {
        let later = Duration::from_secs(seconds);
        Now { instant: self.start.instant + later, time: self.start.time + later }
    }

    fn listing(&mut self, kind: &Served, seconds: u64) -> String {
        let now = self.at(seconds);
        match self.state.view(now).kinds.get(&kind.gvk.gk).map(|k| k.listing.clone()) {
            None => "gone".into(),
            Some(Listing::Complete) => "complete".into(),
            Some(Listing::Skipped(f)) => format!("skipped {}", f.reason),
            Some(Listing::Failed(f)) => format!("failed {}", f.reason),
        }
    }

    fn age(&mut self, seconds: u64) -> Option<i64> {
        let now = self.at(seconds);
        self.state.as_of(now).map(|t| now.time.duration_since(t).as_secs())
    }
}

#[test]
fn a_kind_is_unknown_until_it_was_read_and_after_it_was_cut_off_for_too_long() {
    let mut b = Bench::new(&[maps(), widgets()]);
    let now = b.at(0);
    b.state.replace(&widgets().gvk.gk, vec![], now);
    let gk = maps().gvk.gk;
    assert!(b.state.pending());
    assert_eq!(b.listing(&maps(), 0).as_str(), "failed not_read_yet");
    let now = b.at(1);
    assert!(b.state.replace(&gk, vec![taken(&maps(), "a", 1, 1)], now));
    assert!(b.state.pending() && !b.state.kinds_pending(), "the schemas are awaited");
    b.state.learn(Default::default());
    assert!(!b.state.pending());
    let now = b.at(98);
    b.state.heard(now);
    assert_eq!((b.listing(&maps(), 100).as_str(), b.age(100)), ("complete", Some(2)), "true as of the last word of the server");
    let now = b.at(100);
    b.state.broke(&gk, Failure::new("unreachable", "cut off"), false, Duration::from_secs(5), now);
    assert_eq!((b.listing(&maps(), 110).as_str(), b.age(110)), ("complete", Some(15)), "within the grace period it stands, with its age");
    assert_eq!(b.listing(&maps(), 126), "failed unreachable");
    let now = b.at(126);
    assert_eq!(b.state.view(now).objects.len(), 1, "the last good objects stay");
    assert_eq!(b.state.view(now).failure, None, "the other kind can be read");
    let now = b.at(130);
    b.state.healed(&gk, now);
    assert_eq!((b.listing(&maps(), 130).as_str(), b.age(130)), ("complete", Some(0)));
}

#[test]
fn when_the_whole_server_is_out_of_reach_the_last_good_view_stays_in_use_with_its_age() {
    let mut b = Bench::new(&[maps(), widgets()]);
    let (maps, widgets) = (maps(), widgets());
    let now = b.at(0);
    b.state.replace(&maps.gvk.gk, vec![taken(&maps, "a", 1, 1)], now);
    b.state.replace(&widgets.gvk.gk, vec![], now);
    let now = b.at(100);
    for kind in [&maps, &widgets] {
        b.state.broke(&kind.gvk.gk, Failure::new("unreachable", "cut off"), false, Duration::ZERO, now);
    }
    let failure = |b: &mut Bench, seconds| {
        let now = b.at(seconds);
        b.state.view(now).failure.map(|f| f.reason.to_string())
    };
    assert_eq!(failure(&mut b, 110), None, "a hiccup is not worth a word");
    assert_eq!(failure(&mut b, 200).as_deref(), Some("unreachable"));
    assert_eq!((b.listing(&maps, 200).as_str(), b.age(200)), ("complete", Some(100)));
    let now = b.at(201);
    b.state.healed(&maps.gvk.gk, now);
    assert_eq!((b.listing(&widgets, 202).as_str(), b.age(202)), ("complete", Some(102)), "the rest gets its time to return");
    assert_eq!(failure(&mut b, 202), None);
    assert_eq!(b.listing(&widgets, 240), "failed unreachable", "and is unknown if it does not");
}

#[test]
fn a_server_that_stalls_is_noticed_kind_by_kind_and_costs_no_verdict() {
    let mut b = Bench::new(&[maps(), widgets()]);
    let (maps, widgets) = (maps(), widgets());
    let now = b.at(0);
    b.state.replace(&maps.gvk.gk, vec![taken(&maps, "a", 1, 1)], now);
    b.state.replace(&widgets.gvk.gk, vec![], now);
    let now = b.at(100);
    b.state.heard(now);
    let now = b.at(230);
    b.state.broke(&maps.gvk.gk, Failure::new("timeout", "no word for 150 s"), false, Duration::from_secs(150), now);
    assert_eq!((b.listing(&maps, 230).as_str(), b.age(230)), ("complete", Some(150)), "what is held stays in use with its age");
    let failure = |b: &mut Bench, seconds| {
        let now = b.at(seconds);
        b.state.view(now).failure.map(|f| f.message)
    };
    assert_eq!(failure(&mut b, 230).as_deref(), Some("the API server stopped talking; no word for 150 s"));
    let now = b.at(231);
    b.state.heard(now);
    assert_eq!(
        (b.listing(&maps, 231).as_str(), b.listing(&widgets, 231).as_str()),
        ("failed timeout", "complete"),
        "another kind speaks: it is this one"
    );
    assert_eq!(failure(&mut b, 231), None);
}

#[test]
fn a_refusal_counts_at_once_and_the_other_kinds_stand() {
    let mut b = Bench::new(&[maps(), widgets()]);
    let now = b.at(0);
    b.state.replace(&maps().gvk.gk, vec![], now);
    b.state.replace(&widgets().gvk.gk, vec![taken(&widgets(), "w", 1, 1)], now);
    b.state.broke(&widgets().gvk.gk, Failure::new("forbidden", "no"), true, Duration::ZERO, now);
    assert_eq!((b.listing(&maps(), 1).as_str(), b.listing(&widgets(), 1).as_str()), ("complete", "failed forbidden"));
    assert_eq!(b.state.view(now).failure, None);
    let now = b.at(49);
    b.state.heard(now);
    assert_eq!(b.age(50), Some(1), "a kind that failed says so itself and does not age the view");
}

#[test]
fn only_what_can_be_seen_counts_as_a_change() {
    let mut b = Bench::new(&[maps()]);
    let gk = maps().gvk.gk;
    let now = b.at(0);
    b.state.replace(&gk, vec![taken(&maps(), "a", 1, 1), taken(&maps(), "b", 1, 1)], now);
    let first = b.state.view(now);
    assert!(!b.state.changed(now));
    assert!(!b.state.put(&gk, taken(&maps(), "a", 1, 2)), "a write of the status");
    assert!(!b.state.replace(&gk, vec![taken(&maps(), "b", 1, 7), taken(&maps(), "a", 1, 9)], now), "the same in another order");
    assert!(!b.state.changed(now));
    assert!(b.state.put(&gk, taken(&maps(), "a", 2, 2)) && b.state.changed(now));
    let second = b.state.view(now);
    let (a, bb) = (taken(&maps(), "a", 0, 0).object.id.clone(), taken(&maps(), "b", 0, 0).object.id.clone());
    assert_ne!(first.objects.get(&a), second.objects.get(&a), "an earlier view does not move");
    assert!(Arc::ptr_eq(&first.objects.get(&bb).expect("held").clone(), second.objects.get(&bb).expect("held")));
    b.state.remove(&gk, &a);
    assert!(b.state.changed(now) && b.state.held(&a).is_none() && second.objects.contains_key(&a));
    b.state.remove(&gk, &a);
    assert!(b.state.replace(&gk, vec![], now), "a delete that was missed shows in the next list");
}

#[test]
fn a_kind_that_is_no_longer_served_goes_unless_its_group_is_broken() {
    let mut b = Bench::new(&[maps(), widgets()]);
    let now = b.at(0);
    b.state.replace(&widgets().gvk.gk, vec![taken(&widgets(), "w", 1, 1)], now);
    let mut stale = catalogue(&[maps()]);
    stale.broken.insert("w.example.com".into(), Failure::new("group_unavailable", "no answer"));
    let targets = b.state.catalogue(&stale, &b.chooser);
    assert!(targets.contains_key(&widgets().gvk.gk), "its watch goes on and tells the truth");
    let view = b.state.view(now);
    assert!(view.broken_groups.contains_key("w.example.com") && view.objects.len() == 1);
    let targets = b.state.catalogue(&catalogue(&[maps()]), &b.chooser);
    let view = b.state.view(now);
    assert!(!targets.contains_key(&widgets().gvk.gk) && view.objects.is_empty() && view.broken_groups.is_empty());
    assert_eq!(b.listing(&widgets(), 0), "gone");
}

#[test]
fn without_any_discovery_there_is_a_failure_and_with_an_older_one_the_kinds_stay() {
    let mut state = State::new(true, GRACE);
    let now = Now { instant: Instant::now(), time: Timestamp::UNIX_EPOCH };
    state.undiscovered(Failure::new("unreachable", "refused"));
    let view = state.view(now);
    assert!(!view.discovered && view.failure.is_some() && view.as_of.is_none() && !state.pending());
    let mut b = Bench::new(&[maps()]);
    let now = b.at(0);
    b.state.replace(&maps().gvk.gk, vec![], now);
    b.state.undiscovered(Failure::new("timeout", "no answer"));
    let view = b.state.view(now);
    assert!(view.discovered && view.failure.is_none() && view.kinds.len() == 1, "the watches still live");
}

#[test]
fn a_kind_that_is_switched_off_is_skipped_and_its_objects_go() {
    let mut b = Bench::new(&[maps()]);
    let now = b.at(0);
    b.state.replace(&maps().gvk.gk, vec![taken(&maps(), "a", 1, 1)], now);
    let chooser = Chooser::new(&config::Cluster { exclude: vec!["configmaps".into()], ..Default::default() });
    assert!(b.state.catalogue(&catalogue(&[maps()]), &chooser).is_empty());
    assert_eq!(b.listing(&maps(), 0), "skipped excluded");
    assert!(b.state.view(now).objects.is_empty());
}
