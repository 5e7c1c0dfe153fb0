//! A real Prometheus scrapes the daemon and a real Alertmanager tells a receiver; every panel of the dashboard shows something.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use super::daemon_page::demo;
use crate::support::{
    daemon::{Daemon, SOON, request},
    git_repo::git_program,
    program::{Folder, Program, eventually, free_port},
    prometheus::{encoded, filled, queries},
    receiver::Receiver,
    tools,
};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("readable")
}

/// Takes the newest backup once more, now.
fn another_backup(backups: &Path) {
    let newest = fs::read_dir(backups).expect("backups").map(|e| e.expect("an entry").path()).max().expect("a backup");
    let old = newest.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
    let (name, now) = ("nightly-again", jiff::Timestamp::now().to_string());
    let mut backup: Value = serde_json::from_str(&fs::read_to_string(newest.join("velero-backup.json")).expect("readable")).expect("JSON");
    backup["metadata"]["name"] = name.into();
    backup["metadata"]["uid"] = name.into();
    for key in ["startTimestamp", "completionTimestamp"] {
        backup["status"][key] = now.as_str().into();
    }
    let folder = backups.join(name);
    fs::create_dir(&folder).expect("a folder");
    fs::copy(newest.join(format!("{old}.tar.gz")), folder.join(format!("{name}.tar.gz"))).expect("copied");
    fs::write(folder.join("velero-backup.json"), backup.to_string()).expect("written");
}

#[test]
fn prometheus_scrapes_it_alertmanager_tells_of_drift_and_every_panel_of_the_dashboard_shows_something() {
    let folder = Folder::new("snapgap-monitoring-");
    let daemon = Daemon::start(&demo(&folder.path().join("world")));
    let oldest = daemon.get("/metrics").body.lines().any(|l| l.starts_with("snapgap_drift_oldest_start_timestamp_seconds{"));
    assert!(oldest, "the demo's world has drift of a known age");
    let receiver = Receiver::start();
    let (prometheus, alertmanager) = (free_port(), free_port());
    // The shipped rules, without their patience.
    let mut rules = String::new();
    for line in read("deploy/prometheus/rules.yml").lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().split_once(':') {
            Some(("for" | "keep_firing_for", _)) => {
                rules.push_str(&format!("{indent}{}: 0s\n", line.trim_start().split(':').next().unwrap_or_default()))
            }
            _ => rules.push_str(&format!("{line}\n")),
        }
    }
    let rules = rules.replace("drift=~\"changed|missing\"}) > 3600", "drift=~\"changed|missing\"}) > 1");
    let at = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    at("rules.yml", &rules);
    at(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{cluster: test}}}}\nrule_files: [rules.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n\
             scrape_configs: [{{job_name: snapgap, static_configs: [{{targets: ['127.0.0.1:{}'], labels: {{cluster: test}}}}]}}]\n",
            daemon.port
        ),
    );
    at(
        "alertmanager.yml",
        &format!(
            "route: {{receiver: hook, group_by: [alertname, app], group_wait: 0s, group_interval: 1s}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{}/'}}]}}]\n",
            receiver.port
        ),
    );
    let args = |all: &[&str]| all.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let alerts = [format!("--web.listen-address=127.0.0.1:{alertmanager}"), "--cluster.listen-address=".into()];
    let all = [args(&["--config.file=alertmanager.yml", "--storage.path=alerts"]), alerts.to_vec()].concat();
    let _alertmanager = Program::start(folder.path(), "alertmanager", &tools::path("alertmanager"), &all);
    let all = [args(&["--config.file=prometheus.yml", "--storage.tsdb.path=series"]), vec![format!("--web.listen-address=127.0.0.1:{prometheus}")]]
        .concat();
    let _prometheus = Program::start(folder.path(), "prometheus", &tools::path("prometheus"), &all);
    let query = |expression: &str| -> Value {
        let answer = request(prometheus, "GET", &format!("/api/v1/query?query={}", encoded(expression)));
        answer.and_then(|a| serde_json::from_str(&a.body).ok()).unwrap_or_default()
    };
    let log = |name: &str| fs::read_to_string(folder.path().join(format!("{name}.log"))).unwrap_or_default();
    eventually("Prometheus has scraped it", SOON, || query("up{job=\"snapgap\"}")["data"]["result"][0]["value"][1] == "1");
    let delivered = || {
        let mut alerts = receiver.alerts().into_iter().map(|(_, alert)| alert);
        alerts.find(|a| a["labels"]["alertname"] == "SnapgapObjectsDrifted" && a["status"] == "firing")
    };
    let begun = std::time::Instant::now();
    while delivered().is_none() {
        let state = request(prometheus, "GET", "/api/v1/alerts").map(|a| a.body);
        let logs = (log("prometheus"), log("alertmanager"));
        assert!(begun.elapsed() < SOON, "no alert within {SOON:?}: {state:?}\n{}\n{}", logs.0, logs.1);
        std::thread::sleep(Duration::from_millis(200));
    }
    let alert = delivered().expect("waited for");
    println!("{alert:#}");
    assert_eq!((alert["labels"]["cluster"].as_str(), alert["labels"]["severity"].as_str()), (Some("test"), Some("warning")));
    let description = alert["annotations"]["description"].as_str().expect("a description");
    assert!(alert["labels"]["app"].is_string() && description.contains("has drifted for") && !description.contains("<error"), "{description}");
    let rules: Value = serde_json::from_str(&request(prometheus, "GET", "/api/v1/rules").expect("an answer").body).expect("JSON");
    for rule in rules["data"]["groups"].as_array().expect("groups").iter().flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default()) {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    let all = [queries("snapgap-overview"), queries("snapgap-backup")].concat();
    assert!(all.len() > 15, "only {} queries were found", all.len());
    // What the annotations mark: a commit lands, and a backup is taken.
    let world = folder.path().join("world");
    let git = |args: &[&str]| {
        let out = git_program().arg("--git-dir").arg(world.join("fleet.git")).args(args).output().expect("git runs: apt-get install git");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    let name = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let commit = git(&[&name[..], &["commit-tree", "main^{tree}", "-p", "main", "-m", "Nothing"]].concat());
    git(&["update-ref", "refs/heads/main", &commit]);
    another_backup(&world.join("backups"));
    let (mut empty, mut patience) = (Vec::new(), SOON);
    for text in &all {
        let text = filled(text);
        let begun = std::time::Instant::now();
        loop {
            let answer = query(&text);
            assert_eq!(answer["status"], "success", "{text}: {answer}");
            if answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty()) {
                break;
            }
            if begun.elapsed() > patience {
                patience = Duration::from_secs(2);
                empty.push(text.clone());
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    // The demo's world has no claims, restores nothing, and has no schedule without filters; tests/it/velero_life.rs has all of them.
    let no_such_thing_here = |text: &String| ["proven_restore", "volume", "left_out"].iter().any(|word| text.contains(word));
    empty.retain(|text| !no_such_thing_here(text));
    assert!(empty.is_empty(), "panels stay empty: {empty:#?}");
}
