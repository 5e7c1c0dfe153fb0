//! An API server that dies or stalls under the daemon: what was known stays known, the probes stay fine, and it recovers by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

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
    let status = daemon.json("/api/v1/status");
    println!("the status while it is dead: {:#}", status["stages"]);
    let cluster = daemon.json("/api/v1/report")["as_of"]["cluster"].clone();
    assert!(cluster["failure"].is_object(), "that the cluster cannot be reached is told: {cluster:#}");
    let unanswered = daemon.metric("snapgap_kube_requests_total{code=\"none\",verb=\"watch\"}");
    assert!(unanswered > Some(0.0), "requests without an answer are counted: {unanswered:?}");
    plane.start_api_server();
    sees_edits(&plane, &daemon);
    assert!(daemon.json("/api/v1/report")["as_of"]["cluster"]["failure"].is_null(), "healed is healed");
    let restarts = || daemon.metric("snapgap_kube_watch_restarts_total");
    eventually("watches that began again with a list are counted", SOON, || restarts() > Some(0.0));

    plane.stall_api_server();
    holds(&daemon, Duration::from_secs(20), "stalled");
    plane.resume_api_server();
    let begun = Instant::now();
    sees_edits(&plane, &daemon);
    assert!(begun.elapsed() < SOON * 2);
}
