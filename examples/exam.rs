//! Puts a folder of manifests through the exam of the drift engine: `cargo run --example exam -- DIR [SEED [EDITS]]`.
//!
//! Starts a real API server and controllers (tests/tools/get), applies the manifests in three ways, requires that nothing is reported, edits
//! them at random and holds every verdict against a dry run of the server. Exit status 1 if anything is left to explain.

// The support of the tests holds more than this one program uses, and is held to other rules than the product.
#![allow(clippy::expect_used, clippy::unwrap_used, dead_code, missing_docs)]

#[path = "../tests/it"]
mod it {
    pub mod exam;
    pub mod support {
        pub mod control_plane;
        pub mod program;
        pub mod tools;
    }
}

use std::{path::PathBuf, process::ExitCode};

use it::{
    exam::{
        self,
        run::{Exam, Plan},
    },
    support,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = args.first().map(PathBuf::from) else {
        eprintln!("usage: cargo run --example exam -- DIR [SEED [EDITS]]");
        return ExitCode::from(3);
    };
    let number = |n: usize, otherwise: u64| args.get(n).map_or(otherwise, |t| t.parse().expect("a number"));
    let edits = usize::try_from(number(2, 6)).expect("a small number");
    let plan = Plan { seed: number(1, 1), git: edits, live: edits / 2, rounds: edits.div_ceil(3) };
    let plane = support::control_plane::ControlPlane::start(exam::options());
    let manifests = exam::manifests(&folder);
    let outcome = Exam::new(&plane, &manifests, plan).run(&manifests);
    outcome.print();
    if outcome.noise.is_empty() && outcome.disputed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
