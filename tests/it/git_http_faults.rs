//! Git servers that answer badly, stall or bring too much, against git's own http-backend.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use snapgap::git::Tree;

use crate::{
    git_http::{World, mirror_of, update, walk},
    support::{git_repo::fsck, git_servers::Mode},
};

#[test]
fn what_servers_answer_is_told_in_words() {
    let world = World::new();
    for (mode, kind) in [
        (Mode::Status(403), "auth"),
        (Mode::Status(404), "not_found"),
        (Mode::Status(429), "network"),
        (Mode::Status(500), "network"),
        (Mode::Status(503), "network"),
        (Mode::Html, "protocol"),
        (Mode::Truncate(30), "network"),
        (Mode::Garble(120), "protocol"),
        (Mode::Echo, "protocol"),
    ] {
        world.server.set(mode.clone());
        let error = world.fails();
        assert_eq!(error.kind(), kind, "{mode:?}: {error}");
        assert!(error.to_string().starts_with(&format!("source shop: {}: ", world.source.location)), "{error}");
    }
    world.server.set(Mode::Normal);
    assert!(update(&world.open()).expect("fetched").moved, "nothing of the failures stayed");
}

#[test]
fn silence_stalls_and_drips_end_at_the_deadline_and_a_cancel_ends_at_once() {
    let mut world = World::new();
    world.source.timeout = Duration::from_secs(1);
    for mode in [Mode::Silent, Mode::Stall, Mode::Drip] {
        world.server.set(mode.clone());
        let start = Instant::now();
        let error = world.fails();
        let took = start.elapsed();
        assert_eq!(error.kind(), "timeout", "{mode:?}: {error}");
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(3), "{mode:?}: {took:?}");
    }
    world.source.timeout = Duration::from_secs(60);
    world.server.set(Mode::Stall);
    let repository = world.open();
    let cancel = AtomicBool::new(false);
    let start = Instant::now();
    let error = std::thread::scope(|s| {
        let update = s.spawn(|| repository.update(&cancel));
        std::thread::sleep(Duration::from_millis(300));
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        update.join().expect("no panic").expect_err("cancelled")
    });
    assert_eq!(error.kind(), "cancelled");
    assert!(start.elapsed() < Duration::from_secs(2));
    world.server.set(Mode::Normal);
    assert!(update(&repository).expect("fetched").moved);
}

#[test]
fn a_fetch_larger_than_allowed_is_given_up_and_the_mirror_stays_as_it_was() {
    let mut world = World::new();
    world.source.max_fetch_bytes = 100_000;
    let repository = world.open();
    let first = update(&repository).expect("fetched").tip;
    let noise: String = crate::support::git_repo::noise(400_000).into_iter().map(|b| char::from(b'a' + b % 26)).collect();
    world.repo.commit("large", &[("large", &noise)]);
    let error = update(&repository).expect_err("too large");
    assert_eq!(error.kind(), "too_large");
    assert!(error.to_string().contains("raise `max_fetch_bytes`"), "{error}");
    // It would be too large the next time as well, so it is not fetched again.
    world.server.take_seen();
    let again = update(&repository).expect_err("still too large");
    assert_eq!((again.kind(), world.server.take_seen().len()), ("too_large", 1));
    assert_eq!(repository.last_tip().expect("readable"), Some(first));
    let left: Vec<_> = walk(&mirror_of(&world.cache()).join("objects/pack"));
    assert!(left.iter().all(|f| f.extension().is_some_and(|e| e == "pack" || e == "idx")), "{left:?}");
    world.source.max_fetch_bytes = 10_000_000;
    assert_eq!(update(&world.open()).expect("fetched").tip.subject.as_ref(), "large");
}

#[test]
fn a_mirror_that_grew_beyond_its_bound_is_fetched_anew_and_former_tips_come_along() {
    let mut world = World::new();
    world.source.max_fetch_bytes = 60_000;
    let repository = world.open();
    let first = update(&repository).expect("fetched").tip.sha;
    let mut forced_away = None;
    for n in 0..16 {
        world.repo.git(&["checkout", "-q", "-B", "main", &first]);
        let text: String = crate::support::git_repo::noise(40_000 + n * 2).into_iter().skip(n).map(|b| char::from(b'a' + b % 26)).collect();
        world.repo.commit(&format!("attempt {n}"), &[("large", &text)]);
        let update = update(&repository).expect("fetched");
        if n == 14 {
            forced_away = Some(update.tip.sha);
        }
        let size: u64 = walk(&mirror_of(&world.cache()).join("objects/pack")).iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum();
        assert!(size < 60_000 * 4 + 60_000 * 2, "{size} bytes after {n}");
    }
    let kept = forced_away.expect("a former tip");
    assert_eq!(repository.commit(&kept).expect("kept").subject.as_ref(), "attempt 14");
    assert_eq!(repository.tree(&kept).expect("tree").read("large", 100_000).expect("file").len(), 40_014);
    fsck(&mirror_of(&world.cache()));
}
