//! The exposition held against Prometheus' own linter.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{io::Write as _, process::Stdio, sync::Arc};

use snapgap::{
    build_info::BuildInfo,
    config,
    daemon::board::StageBoard,
    metrics::{Counters, Exposition, Snapshot},
    report::Report,
};

use crate::support::tools;

#[test]
fn promtool_finds_nothing_to_say_about_the_exposition() {
    let report: Report = serde_json::from_str(include_str!("../data/http/report.json")).unwrap();
    let counters = Arc::new(Counters::new().unwrap());
    counters.config_loaded(true, report.now);
    counters.absorb(&report);
    counters.kube_requests(snapgap::metrics::Verb::Get, Some(503), 1);
    counters.http("page", 200, std::time::Duration::from_millis(3));
    let report = Arc::new(report);
    let limits = config::Metrics { max_object_series: 500, max_namespaces: 200, max_schedules: 100 };
    let latest = Arc::new(move || Snapshot { report: Some(report.clone()), limits });
    let text = Exposition::new(BuildInfo::current(), counters, StageBoard::new(), latest).unwrap().text().unwrap();

    let mut child = std::process::Command::new(tools::path("promtool"))
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
    let build = text.lines().find(|line| line.starts_with("snapgap_build_info{")).unwrap();
    assert!(build.contains("rustc=\"1.") && !build.contains("revision=\"\""), "{build}");
}
