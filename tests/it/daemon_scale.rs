//! A small version of `cargo bench --bench scale`: what holds over 10,000 objects holds over 1,500, in the time that every run has.

use std::time::Duration;

use crate::support::{
    daemon::Daemon,
    scale::{USER, World, measure},
};

const OBJECTS: usize = 1_500;

#[test]
fn a_full_cluster_costs_little_memory_no_requests_when_quiet_and_an_edit_shows_within_a_second() {
    let world = World::start(OBJECTS);
    let bytes = world.bytes / world.objects;
    println!("{} objects of {} kinds, {bytes} bytes each, {} declared, made in {:?}", world.objects, world.kinds, world.declared, world.filling);
    let daemon = Daemon::start(&world.setting());
    let report = daemon.json("/api/v1/report");
    assert!(report["summary"]["objects"].as_u64().is_some_and(|n| n as usize >= OBJECTS), "{:#}", report["summary"]);
    assert_eq!(measure::drifting(&daemon), Vec::<String>::new(), "everything was applied");
    let quiet = measure::quiet(&world, &daemon, Duration::from_secs(18));
    println!("a Git cycle takes {}, of it the server's git {}; processor time when quiet {:?}", quiet.git, quiet.git_server, quiet.cpu);
    assert_eq!(quiet.asked, Vec::<String>::new(), "nothing is asked beyond the watches");
    assert!(quiet.cycles > 5 && quiet.git_requests.abs_diff(quiet.cycles as usize) <= 1, "one request a cycle: {quiet:?}");
    let made = |verb: &str| world.plane.audit().iter().filter(|r| r.user == USER && r.verb == verb).count() as f64;
    for verb in ["list", "watch"] {
        let series = format!("snapgap_kube_requests_total{{code=\"200\",verb=\"{verb}\"}}");
        assert_eq!(daemon.metric(&series), Some(made(verb)), "{series} is what the server's audit log says");
    }
    assert!(daemon.metric("snapgap_kube_requests_total{code=\"200\",verb=\"discover\"}") >= Some(3.0), "discovery is counted too");
    let (scrape, bytes) = measure::scrapes(&daemon, 5);
    println!("a scrape of {bytes} bytes takes {scrape}");
    let times = measure::edits(&world, &daemon, 12);
    let (resident, peak) = daemon.memory();
    println!("an edit shows after {times}; {resident} KiB resident, {peak} KiB at the peak");
    assert!(times.quantile(0.5) < Duration::from_secs(1), "{times}");
    // What 10,000 objects are allowed, and half the peak. An unoptimised build, whose code alone is several times as large, was at 79 MiB.
    assert!(resident < 100 << 10 && peak < 100 << 10, "{resident} KiB, {peak} KiB at the peak");
}
