//! The numbers at full scale: a real API server with 10,000 objects, a repository that declares most of them, a backup, and the daemon over
//! all three. Prints a table of figure, value and target. I/O: processes, loopback, files.
//!
//! `cargo bench --bench scale`; `SNAPGAP_SCALE=objects,edits` for another size, `SNAPGAP_SCALE_HOLD=1` to keep world and daemon running at
//! the first report, to be looked at, until standard input ends. Takes some ten minutes and the programs of `tests/tools/get`.

#![allow(clippy::expect_used)]

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use snapgap::{config, object, report, velero, verdict::*, witness};

#[path = "common/clock.rs"]
mod clock;
#[path = "common/join.rs"]
mod join;
#[path = "../tests/it/support"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support {
    pub mod authority;
    pub mod control_plane;
    pub mod daemon;
    pub mod git_repo;
    pub mod git_servers;
    pub mod manifests;
    pub mod program;
    pub mod scale;
    pub mod tools;
}
#[path = "../src/verdict/world.rs"]
#[allow(dead_code, reason = "the tests of the join use the rest")]
mod world;

use clock::{Table, ms};
use support::{
    daemon::Daemon,
    manifests,
    scale::{World, measure},
};

/// How long nothing is to change.
const QUIET: Duration = Duration::from_secs(75);

/// Objects and edits, if nothing else is asked for.
const SIZE: (usize, usize) = (10_000, 300);

fn size() -> (usize, usize) {
    let asked = std::env::var("SNAPGAP_SCALE").ok();
    let parsed = asked.as_deref().and_then(|text| text.split_once(',')).and_then(|(o, e)| Some((o.parse().ok()?, e.parse().ok()?)));
    assert!(asked.is_none() || parsed.is_some(), "SNAPGAP_SCALE is written OBJECTS,EDITS");
    parsed.unwrap_or(SIZE)
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg").map_or_else(|_| "unknown".to_owned(), |l| l.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn main() -> ExitCode {
    let (objects, edits) = size();
    let mut table = Table::begin();
    table.fact("load of the machine at the start", load());
    let joined = join::measure();
    let second = Duration::from_secs(1);
    table.target("join of 10,000 objects from cold, one core", ms(joined.cold), "< 1 s", joined.cold < second);
    table.fact("join again after one edit, one core", ms(joined.warm));
    table.target("join after a new backup with bodies on disk, one core", ms(joined.backup), "< 1 s", joined.backup < second);
    let binary = fs::metadata(env!("CARGO_BIN_EXE_snapgap")).map_or(0, |m| m.len());
    table.fact("size of the binary", format!("{:.1} MB", binary as f64 / 1e6));

    let world = World::start(objects);
    let sized = format!("{} of {} kinds, {} bytes each", world.objects, world.kinds, world.bytes / world.objects);
    table.fact("objects that were made", format!("{sized}, in {:.0} s", world.filling.as_secs_f64()));
    table.fact("of them declared in Git", world.declared);
    let setting = world.setting();
    let begun = Instant::now();
    let daemon = Daemon::start(&setting);
    let first = begun.elapsed();
    let peak = daemon.memory().1;
    let report = daemon.json("/api/v1/report");
    if std::env::var_os("SNAPGAP_SCALE_HOLD").is_some() {
        println!("held: configuration {}, port {}", daemon.config.display(), daemon.port);
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("standard input");
    }
    let summary = &report["summary"];
    assert!(summary["objects"].as_u64().is_some_and(|n| n as usize >= objects), "all objects are judged: {summary:#}");
    assert_eq!(summary["window"], "open", "{summary:#}");
    let drifting = measure::drifting(&daemon);
    assert!(drifting.is_empty(), "everything was applied: {} drift, for one {}", drifting.len(), drifting[0]);
    table.fact("objects in the report", &summary["objects"]);
    table.fact("first full report after", format!("{:.1} s", first.as_secs_f64()));
    table.fact("peak memory until then", format!("{:.1} MiB", mib(peak)));
    table.fact("memory in that moment", format!("{:.1} MiB", mib(daemon.memory().0)));

    let quiet = measure::quiet(&world, &daemon, QUIET);
    let minutes = QUIET.as_secs_f64() / 60.0;
    let shown = quiet.asked.first().map(|a| format!(", {a}")).unwrap_or_default();
    table.target(
        "list, get and patch requests with nothing changing",
        format!("{} in {:.0} s{shown}", quiet.asked.len(), minutes * 60.0),
        "0",
        quiet.asked.is_empty(),
    );
    table.target(
        "requests of a Git cycle without news",
        format!("{} in {} cycles", quiet.git_requests, quiet.cycles),
        "1 each",
        quiet.git_requests.abs_diff(quiet.cycles as usize) <= 1,
    );
    table.target("a Git cycle without news", &quiet.git, "median < 50 ms", quiet.git.quantile(0.5) < Duration::from_millis(50));
    table.fact("of it the server's git", &quiet.git_server);
    table.fact(
        "processor time with nothing changing, Git asked every second",
        format!("{:.1} %", quiet.cpu.as_secs_f64() / QUIET.as_secs_f64() * 100.0),
    );
    let resident = mib(daemon.memory().0);
    table.target("memory after the first report and that quiet", format!("{resident:.1} MiB"), "< 100 MiB", resident < 100.0);

    let (scrape, bytes) = measure::scrapes(&daemon, 50);
    table.fact("a scrape", format!("{bytes} bytes, {scrape}"));
    table.fact("load of the machine before the edits", load());
    let times = measure::edits(&world, &daemon, edits);
    table.target("an edit shows in /metrics after", &times, "p99 < 1 s", times.quantile(0.99) < Duration::from_secs(1));
    table.fact("load of the machine after the edits", load());
    let (now, peak) = daemon.memory();
    table.fact("memory after the edits", format!("{:.1} MiB", mib(now)));
    table.target("peak memory", format!("{:.1} MiB", mib(peak)), "< 200 MiB", mib(peak) < 200.0);
    table.end()
}
