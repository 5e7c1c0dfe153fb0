//! What is measured of a daemon over a full cluster. I/O: /proc, loopback.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{NAMESPACES, USER, World, app};
use crate::support::daemon::Daemon;

/// How long an edit may take to show before the measurement is given up.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// Times in order.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Puts them in order.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that this share of them does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |share: f64| self.quantile(share).as_secs_f64() * 1e3;
        write!(f, "median {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms of {}", ms(0.5), ms(0.9), ms(0.99), ms(1.0), self.count())
    }
}

/// What a quiet time showed.
#[derive(Debug)]
pub struct Quiet {
    /// Requests to the API server beyond the watches.
    pub asked: Vec<String>,
    /// Cycles of the source, their requests, and how long each took.
    pub cycles: u64,
    pub git_requests: usize,
    pub git: Times,
    /// How long the server's git took for its answers, which is part of a cycle.
    pub git_server: Times,
    /// Processor time that was spent.
    pub cpu: Duration,
}

/// What the report has to tell of drift: nothing, as everything that Git declares was applied.
pub fn drifting(daemon: &Daemon) -> Vec<String> {
    let found = daemon.json("/api/v1/objects?drift=changed,missing,removed,added,unknown&limit=5000")["objects"].as_array().expect("objects").clone();
    found.iter().map(|o| format!("{}/{}: {} {} {}", o["kind"], o["name"], o["drift"], o["why"], o["fields"])).collect()
}

/// Lets time pass in which nothing changes.
pub fn quiet(world: &World, daemon: &Daemon, lasting: Duration) -> Quiet {
    let runs = || daemon.metric("snapgap_git_fetches_total{source=\"main\"}").expect("a counter") as u64;
    let stage = || {
        let stages = daemon.json("/api/v1/status")["stages"].as_array().expect("stages").clone();
        stages.into_iter().find(|s| s["stage"] == "git").expect("one source")
    };
    let (since, begun, before, cpu) = (Timestamp::now(), Instant::now(), runs(), daemon.cpu());
    world.git.take_seen();
    world.git.take_took();
    let (mut cycles, mut last) = (Vec::new(), stage()["runs"].clone());
    while begun.elapsed() < lasting {
        thread::sleep(Duration::from_millis(250));
        let now = stage();
        if now["runs"] != last && now["running"] == false {
            last = now["runs"].clone();
            cycles.push(Duration::from_millis(now["duration_ms"].as_u64().expect("a duration")));
        }
    }
    let (git_requests, cycles_done) = (world.git.take_seen().len(), runs() - before);
    let requests = world.plane.audit().into_iter().filter(|r| r.user == USER && r.received >= since && r.verb != "watch");
    Quiet {
        asked: requests.map(|r| format!("{} {}", r.verb, r.uri)).collect(),
        cycles: cycles_done,
        git_requests,
        git: Times::of(cycles),
        git_server: Times::of(world.git.take_took()),
        cpu: daemon.cpu().saturating_sub(cpu),
    }
}

/// Edits ConfigMaps of one app after the other by hand and back again, and measures from the request until `/metrics` says so.
pub fn edits(world: &World, daemon: &Daemon, count: usize) -> Times {
    let mut times = Vec::new();
    // Pauses of no pattern, so that edits do not fall into step with anything.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pause = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_millis(100 + state % 500)
    };
    for n in 0..count {
        // Every ConfigMap is edited away from Git and then back.
        let (number, away) = (n / 2 % NAMESPACES, n % 2 == 0);
        let series = format!("snapgap_drift_objects{{app=\"{}\",drift=\"changed\"}}", app(number));
        let was = super::super::manifests::config_map(number, 1)["data"]["file-0.properties"].as_str().expect("text").to_owned();
        let want = if away { 1.0 } else { 0.0 };
        assert_ne!(daemon.metric(&series), Some(want), "{series} before the edit");
        let begun = world.edit(number, if away { "edited by hand\n" } else { &was });
        while daemon.metric(&series) != Some(want) {
            assert!(begun.elapsed() < GIVEN_UP, "{series} is not {want} within {GIVEN_UP:?}");
            thread::sleep(Duration::from_millis(5));
        }
        times.push(begun.elapsed());
        thread::sleep(pause());
    }
    Times::of(times)
}

/// How long a scrape takes.
pub fn scrapes(daemon: &Daemon, count: usize) -> (Times, usize) {
    let mut bytes = 0;
    let mut scrape = || {
        let begun = Instant::now();
        bytes = daemon.get("/metrics").body.len();
        begun.elapsed()
    };
    (Times::of((0..count).map(|_| scrape()).collect()), bytes)
}
