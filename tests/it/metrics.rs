//! The exposition held against Prometheus' own linter.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{io::Write as _, path::PathBuf, process::Stdio, sync::Arc};

use snapgap::{
    config,
    daemon::board::StageBoard,
    metrics::{Counters, Exposition, Snapshot, collector::BuildInfo},
    report::Report,
};

/// promtool from the folder of test tools, or from `PATH`.
fn promtool() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let folder = std::env::var_os("SNAPGAP_TOOLS").map_or_else(|| home.join(".cache/snapgap-tools/bin"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = vec![folder];
    places.extend(std::env::split_paths(&path));
    let found = places.iter().map(|place| place.join("promtool")).find(|file| file.is_file());
    found.expect("no promtool: build the test tools as README says, or install the package `prometheus`")
}

#[test]
fn promtool_finds_nothing_to_say_about_the_exposition() {
    let report: Report = serde_json::from_str(include_str!("../data/http/report.json")).unwrap();
    let counters = Arc::new(Counters::new().unwrap());
    counters.config_loaded(true, report.now);
    counters.absorb(&report);
    counters.kube_requests(snapgap::metrics::Verb::Get, Some(503), 1);
    counters.http("page", 200, std::time::Duration::from_millis(3));
    let report = Arc::new(report);
    let limits = config::Metrics { max_object_series: 500, max_namespaces: 200 };
    let latest = Arc::new(move || Snapshot { report: Some(report.clone()), limits });
    let text = Exposition::new(BuildInfo::current(), counters, StageBoard::new(), latest).unwrap().text().unwrap();

    let mut child = std::process::Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
    assert!(text.contains("resource_name=\"cart-flags\""));
}
