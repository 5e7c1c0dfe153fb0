//! How long the join takes over 10,000 objects: from cold, after one edit, after a new backup. Prints medians. I/O: standard output, a temporary folder.

// What the tests' builders say of a world that is malformed is said here too.
#![allow(clippy::expect_used)]

use snapgap::{config, object, report, velero, verdict::*, witness};

#[path = "common/clock.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod clock;
#[path = "common/join.rs"]
mod join;
#[path = "../tests/it/support/manifests.rs"]
#[allow(dead_code, reason = "the full cluster uses the rest")]
mod manifests;
#[path = "../src/verdict/world.rs"]
#[allow(dead_code, reason = "the tests of the join use the rest")]
mod world;

fn main() {
    println!("{}", join::measure());
}
