//! The shipped example of Alertmanager in a real Alertmanager: who is told of each alert, and what mutes what.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    daemon::{SOON, request},
    program::{Folder, Program, eventually, free_port},
    receiver::Receiver,
    tools,
};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("readable")
}

/// The shipped rules by name: expression and severity.
fn rules() -> BTreeMap<String, (String, String)> {
    let rules: Value = serde_yaml::from_str(&read("deploy/prometheus/rules.yml")).expect("YAML");
    let all = rules["groups"].as_array().expect("groups").iter().flat_map(|g| g["rules"].as_array().expect("rules").clone());
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    all.map(|rule| (word(&rule["alert"]), (word(&rule["expr"]), word(&rule["labels"]["severity"])))).collect()
}

type Labels<'a> = [(&'a str, &'a str); 4];

/// The labels of a shipped alert in a cluster, with one more.
fn labelled<'a>(rules: &'a BTreeMap<String, (String, String)>, name: &'a str, cluster: &'a str, more: (&'a str, &'a str)) -> Labels<'a> {
    [("alertname", name), ("severity", &rules[name].1), ("cluster", cluster), more]
}

/// Who is told of a severity.
fn told(severity: &str) -> &'static str {
    match severity {
        "critical" => "page",
        "warning" => "ticket",
        "info" => "nobody",
        "none" => "dead-man",
        other => panic!("nobody is told of {other}"),
    }
}

struct Alertmanager {
    port: u16,
    receiver: Receiver,
    _program: Program,
    // Last, so that it goes after the program that writes into it.
    _folder: Folder,
}

impl Alertmanager {
    /// The shipped file: nothing but addresses and patience are replaced.
    fn start() -> Self {
        let (folder, port, receiver) = (Folder::new("snapgap-alerts-"), free_port(), Receiver::start());
        let mut config = read("deploy/prometheus/alertmanager.yml");
        for (from, to) in [
            ("http://pager.example.com/alerts", format!("http://127.0.0.1:{}/page", receiver.port)),
            ("http://tickets.example.com/alerts", format!("http://127.0.0.1:{}/ticket", receiver.port)),
            ("http://deadman.example.com/alive", format!("http://127.0.0.1:{}/dead-man", receiver.port)),
            ("group_wait: 30s", "group_wait: 0s".into()),
            ("group_interval: 5m", "group_interval: 1s".into()),
        ] {
            assert_eq!(config.matches(from).count(), 1, "{from}");
            config = config.replace(from, &to);
        }
        fs::write(folder.path().join("alertmanager.yml"), config).expect("written");
        let args = ["--config.file=alertmanager.yml".into(), "--storage.path=alerts".into(), "--cluster.listen-address=".into()];
        let args = [&args[..], &[format!("--web.listen-address=127.0.0.1:{port}")]].concat();
        let program = Program::start(folder.path(), "alertmanager", &tools::path("alertmanager"), &args);
        eventually("Alertmanager is ready", SOON, || request(port, "GET", "/-/ready").is_some_and(|a| a.status == 200));
        Self { port, receiver, _program: program, _folder: folder }
    }

    fn post(&self, labels: &[(&str, &str)]) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let url = format!("--alertmanager.url=http://127.0.0.1:{}", self.port);
        let out = Command::new(tools::path("amtool")).args([&url, "alert", "add"]).args(&labels).output().expect("amtool starts");
        assert!(out.status.success(), "{labels:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// The alert with these labels as Alertmanager has it.
    fn get(&self, labels: &[(&str, &str)]) -> Option<Value> {
        let all: Value = serde_json::from_str(&request(self.port, "GET", "/api/v2/alerts")?.body).expect("JSON");
        all.as_array().expect("a list").iter().find(|alert| labels.iter().all(|(name, value)| alert["labels"][name] == *value)).cloned()
    }

    /// Where it was delivered.
    fn delivered(&self, labels: &[(&str, &str)]) -> Vec<String> {
        let all = self.receiver.alerts().into_iter().filter(|(_, alert)| labels.iter().all(|(name, value)| alert["labels"][name] == *value));
        let mut paths: Vec<_> = all.map(|(path, _)| path.trim_start_matches('/').to_owned()).collect();
        paths.dedup();
        paths
    }
}

#[test]
fn every_shipped_alert_reaches_whom_its_severity_says() {
    let alertmanager = Alertmanager::start();
    let rules = rules();
    assert!(rules.len() > 20);
    let all = rules.iter().map(|(name, (_, severity))| (name.as_str(), severity.as_str())).chain([("Watchdog", "none")]);
    let all: Vec<_> = all.map(|(name, severity)| [("alertname", name), ("severity", severity), ("cluster", "eu"), ("app", name)]).collect();
    all.iter().for_each(|labels| alertmanager.post(labels));
    for labels in &all {
        let (name, whom) = (labels[0].1, told(labels[1].1));
        let alert = alertmanager.get(&labels[..]).unwrap_or_else(|| panic!("{name} is not known"));
        let names: Vec<_> = alert["receivers"].as_array().expect("receivers").iter().map(|r| r["name"].as_str().expect("a name")).collect();
        assert_eq!(names, [whom], "{name}");
        let expected: &[&str] = if whom == "nobody" { &[] } else { &[whom] };
        eventually(&format!("{name} is delivered"), SOON, || alertmanager.delivered(&labels[..]).len() >= expected.len());
        assert_eq!(alertmanager.delivered(&labels[..]), expected, "{name}");
    }
}

#[test]
fn an_inhibition_mutes_what_it_says_and_nothing_beside_it() {
    let alertmanager = Alertmanager::start();
    let rules = rules();
    let cases = [
        (
            "SnapgapSplitBrainWindowCritical",
            &["SnapgapSplitBrainWindowOverObjective"][..],
            "app",
            &["SnapgapObjectsDrifted", "SnapgapSplitBrainUnknown"][..],
        ),
        (
            "SnapgapBackupStorageLocationUnavailable",
            &["SnapgapBackupScheduleStale"],
            "storage_location",
            &["SnapgapBackupScheduleNeverSucceeded", "SnapgapNamespaceNotBackedUp"],
        ),
        (
            "SnapgapEvaluationStalled",
            &["SnapgapObjectsDrifted", "SnapgapSplitBrainUnknown"],
            "app",
            &["SnapgapSplitBrainWindowCritical", "SnapgapMassMissing"],
        ),
    ];
    let file: Value = serde_yaml::from_str(&read("deploy/prometheus/alertmanager.yml")).expect("YAML");
    assert_eq!(file["inhibit_rules"].as_array().map(Vec::len), Some(cases.len()), "an inhibition that no case holds");
    for (round, (source, muted, label, spared)) in cases.into_iter().enumerate() {
        // A world of its own, so that no case mutes what another one looks at.
        let (here, there) = (format!("eu-{round}"), format!("us-{round}"));
        alertmanager.post(&labelled(&rules, source, &here, (label, "one")));
        eventually("the source is known", SOON, || alertmanager.get(&labelled(&rules, source, &here, (label, "one"))).is_some());
        let silent: Vec<_> = muted.iter().map(|name| labelled(&rules, name, &here, (label, "one"))).collect();
        let heard = muted.iter().flat_map(|name| [labelled(&rules, name, &here, (label, "two")), labelled(&rules, name, &there, (label, "one"))]);
        let heard: Vec<_> = heard.chain(spared.iter().map(|name| labelled(&rules, name, &here, (label, "one")))).collect();
        silent.iter().chain(&heard).for_each(|labels| alertmanager.post(labels));
        for labels in &heard {
            let whom = told(labels[1].1);
            eventually(&format!("{labels:?} is delivered"), SOON, || alertmanager.delivered(labels) == [whom]);
            let alert = alertmanager.get(labels).expect("known");
            assert_eq!(alert["status"]["state"], "active", "{alert:#}");
        }
        for labels in &silent {
            let alert = alertmanager.get(labels).expect("known");
            assert_eq!(alert["status"]["state"], "suppressed", "{source} does not mute {labels:?}");
            assert_eq!(alert["status"]["inhibitedBy"].as_array().map(Vec::len), Some(1), "{alert:#}");
            assert_eq!(alertmanager.delivered(labels), [""; 0], "{labels:?}");
        }
        // A label that is missing on both sides counts as equal: both rules must always have it.
        for name in [&[source], muted].concat() {
            let expression = &rules[name].0;
            assert!(expression.contains("cluster") && expression.contains(label), "{name} may lack {label}: {expression}");
        }
    }
}
