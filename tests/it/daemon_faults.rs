//! An API server that dies or stalls under the daemon: what was known stays known, the probes stay fine, and it recovers by itself.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    control_plane::{ControlPlane, Options},
    daemon::{Daemon, SOON, Setting, shipped_user},
    git_repo::Repo,
    program::{Folder, eventually},
};

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
const OBJECT: (&str, &str, &str) = ("default", "ConfigMap", "settings");

/// Looks at the daemon for a while: it answers, is ready, and does not take a failure for drift.
fn holds(daemon: &Daemon, span: Duration, what: &str) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        for probe in ["/livez", "/readyz", "/healthz"] {
            assert_eq!(daemon.get(probe).status, 200, "{what}: {probe} after {:?}", begun.elapsed());
        }
        let said = daemon.object(OBJECT.0, OBJECT.1, OBJECT.2).expect("Git declares it");
        let drift = said["drift"].as_str().expect("a verdict");
        assert_eq!(drift, "in_sync", "{what}: after {:?}: {said:#}", begun.elapsed());
        assert_eq!(daemon.metric("snapgap_drift_objects{app=\"shop\",drift=\"missing\"}"), Some(0.0), "{what}: absence was made of a failure");
        thread::sleep(Duration::from_millis(500));
    }
}

/// An edit shows, and its revert too.
fn sees_edits(plane: &ControlPlane, daemon: &Daemon) {
    plane.kubectl(&["patch", "configmap/settings", r#"-p={"data":{"a":"c"}}"#]);
    daemon.wait(OBJECT, "drift", "changed");
    plane.kubectl_with(&["apply", "--server-side", "--force-conflicts"], SETTINGS);
    daemon.wait(OBJECT, "drift", "in_sync");
}

/// Every stage's status, by kind and subject.
fn stages(daemon: &Daemon) -> BTreeMap<String, Value> {
    let status = daemon.json("/api/v1/status");
    let named = status["stages"].as_array().expect("stages").iter().map(|s| {
        let kind = s["stage"].as_str().expect("a kind");
        (s["subject"].as_str().map_or(kind.to_owned(), |subject| format!("{kind}/{subject}")), s.clone())
    });
    named.collect()
}

/// Seconds since a stage last succeeded.
fn age(stage: &Value) -> i64 {
    let at: jiff::Timestamp = stage["last_success"].as_str().and_then(|t| t.parse().ok()).expect("a success");
    jiff::Timestamp::now().duration_since(at).as_secs()
}

#[test]
fn a_cluster_in_which_nothing_happens_grows_no_older() {
    let (plane, folder) = (ControlPlane::start(Options::default()), Folder::new("snapgap-quiet-"));
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("Declare settings", &[("shop/settings.yaml", SETTINGS)]);
    plane.kubectl_with(&["apply", "--server-side"], SETTINGS);
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "default")]);
    let daemon = Daemon::start(&setting.cluster(&shipped_user(&plane, "quiet")).with("stale_after: 40s"));
    daemon.wait(OBJECT, "drift", "in_sync");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(75) {
        let said = daemon.object(OBJECT.0, OBJECT.1, OBJECT.2).expect("Git declares it");
        assert_eq!(said["drift"], "in_sync", "after {:?}: {said:#}", begun.elapsed());
        let stages = stages(&daemon);
        assert!(age(&stages["cluster"]) < 40 && age(&stages["backups"]) < 40, "after {:?}: {stages:#?}", begun.elapsed());
        thread::sleep(Duration::from_secs(3));
    }
}

#[test]
fn a_killed_or_stalled_api_server_costs_no_verdict_and_is_picked_up_again() {
    let (plane, folder) = (ControlPlane::start(Options::default()), Folder::new("snapgap-faults-"));
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("Declare settings", &[("shop/settings.yaml", SETTINGS)]);
    plane.kubectl_with(&["apply", "--server-side"], SETTINGS);
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "default")]);
    let daemon = Daemon::start(&setting.cluster(&shipped_user(&plane, "faults")));
    daemon.wait(OBJECT, "drift", "in_sync");

    plane.kill_api_server();
    holds(&daemon, Duration::from_secs(45), "killed");
    let failing = stages(&daemon);
    assert!(failing["cluster"]["error"]["message"].as_str().is_some_and(|m| m.len() > 10), "the stage says why it fails: {failing:#?}");
    let (success, finished) = (&failing["cluster"]["last_success"], &failing["cluster"]["last_finished"]);
    assert!(success.as_str() < finished.as_str(), "and when it last did not: {failing:#?}");
    assert_eq!(failing["backups"]["error"]["reason"], failing["cluster"]["error"]["reason"], "Velero's objects come from the cluster: {failing:#?}");
    for other in ["git/main", "render/shop", "verdict"] {
        assert!(failing[other]["error"].is_null() && age(&failing[other]) < 25, "{other} goes on: {failing:#?}");
    }
    let cluster = daemon.json("/api/v1/report")["as_of"]["cluster"].clone();
    assert!(cluster["failure"].is_object(), "that the cluster cannot be reached is told: {cluster:#}");
    plane.start_api_server();
    sees_edits(&plane, &daemon);
    assert!(daemon.json("/api/v1/report")["as_of"]["cluster"]["failure"].is_null(), "healed is healed");
    eventually("no stage fails any more", SOON, || stages(&daemon).values().all(|s| s["error"].is_null()));

    plane.stall_api_server();
    holds(&daemon, Duration::from_secs(20), "stalled");
    plane.resume_api_server();
    let begun = Instant::now();
    sees_edits(&plane, &daemon);
    assert!(begun.elapsed() < SOON * 2);
}
