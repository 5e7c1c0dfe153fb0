//! Tells the program which compiler makes it. I/O: runs `rustc --version`.
//!
//! The revision is not read from `.git` here: it would have to be read again, and the whole crate compiled again, after every commit. A build that
//! is to be known by its revision says it in `SNAPGAP_REVISION`, as the Containerfile does.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("--version").output().ok().and_then(|out| String::from_utf8(out.stdout).ok());
    let version = told.as_deref().map(|text| text.trim().trim_start_matches("rustc ")).filter(|text| !text.is_empty());
    println!("cargo:rustc-env=SNAPGAP_RUSTC={}", version.unwrap_or("unknown"));
}
