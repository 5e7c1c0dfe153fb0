//! What lands in Git shows in the daemon: pending, applied, backed up; force-pushes, commits that change nothing, a server over TLS.

use std::{fs, path::Path};

use jiff::Timestamp;
use serde_json::{Value, json};
use snapgap::velero::{Names, archive::write::write_backup};

use crate::support::{
    control_plane::ControlPlane,
    daemon::{Daemon, SOON, Setting, shipped_user},
    git_repo::Repo,
    git_servers::{GitHttp, Mode},
    program::{Folder, eventually},
    tools,
};

fn settings(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{level: '{value}'}}\n")
}

/// Commits as of now: windows are dated by commits.
fn commit(repo: &Repo, message: &str, files: &[(&str, &str)]) -> String {
    repo.set_clock(Timestamp::now().as_second() - 60);
    repo.commit(message, files)
}

fn live(plane: &ControlPlane, namespace: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&plane.kubectl(&["get", "configmaps,serviceaccounts", "-n", namespace, "-o", "json"])).expect("JSON");
    list["items"].as_array().expect("items").clone()
}

/// Writes a backup of one namespace as it lies in a bucket.
fn backup(plane: &ControlPlane, bucket: &Path, name: &str, namespace: &str) {
    let now = Timestamp::now();
    let marker = json!({
        "apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, "namespace": "velero"},
        "spec": {"includedNamespaces": [namespace], "ttl": "720h0m0s"},
        "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1, "startTimestamp": now, "completionTimestamp": now,
            "expiration": now + jiff::SignedDuration::from_hours(720)},
    });
    write_backup(bucket, &marker, &live(plane, namespace), &Names::builtin()).expect("written");
}

#[test]
fn a_commit_is_pending_then_applied_then_backed_up_and_a_force_push_takes_it_back() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-landing-"));
    plane.kubectl(&["create", "namespace", "landing"]);
    let apply = |text: &str| plane.kubectl_with(&["apply", "--server-side", "-n", "landing"], text);
    let repo = Repo::new(folder.path(), "fleet");
    let first = commit(&repo, "Level 1", &[("shop/settings.yaml", &settings("1"))]);
    apply(&settings("1"));
    let bucket = folder.path().join("bucket");
    fs::create_dir_all(bucket.join("backups")).expect("made");
    backup(plane, &bucket, "one", "landing");
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "landing")]).cluster(&shipped_user(plane, "landing"));
    let daemon = Daemon::start(&setting.with(&format!("velero: {{backups: [{{file: '{}'}}]}}", bucket.display())));
    let object = ("landing", "ConfigMap", "settings");
    daemon.wait(object, "recovery", "either");
    eventually("the window is closed", SOON, || daemon.window("shop")["state"] == "closed");

    let before = Timestamp::now();
    let second = commit(&repo, "Level 2", &[("shop/settings.yaml", &settings("2"))]);
    let said = daemon.wait(object, "recovery", "split");
    assert_eq!((said["drift"].as_str(), said["window"]["stage"].as_str()), (Some("changed"), Some("pending")), "{said:#}");
    assert_eq!(said["window"]["commits"][0]["sha"], second.as_str());
    let since: Timestamp = said["drift_since"].as_str().and_then(|t| t.parse().ok()).expect("it is known since when");
    assert!(since >= before, "Git moved on after the apply: it drifts since then, not since {since}");
    assert_eq!((said["window"]["cause"].as_str(), said["window"]["holds"]["sha"].as_str()), (Some("behind"), Some(first.as_str())), "{said:#}");
    let window = daemon.window("shop");
    assert_eq!((window["state"].as_str(), window["pending"].as_u64(), window["unsnapshotted"].as_u64()), (Some("open"), Some(1), Some(0)));
    daemon.wait_metric("snapgap_split_brain_state{app=\"shop\",state=\"open\"}", 1.0);

    apply(&settings("2"));
    let said = daemon.wait(object, "drift", "in_sync");
    assert_eq!((said["recovery"].as_str(), said["window"]["stage"].as_str()), (Some("split"), Some("unsnapshotted")), "{said:#}");
    let start = said["window"]["start"].clone();

    let readme = commit(&repo, "Say more", &[("README.md", "More.\n")]);
    daemon.wait_revision("shop", &readme);
    let said = daemon.object(object.0, object.1, object.2).expect("known");
    assert_eq!(said["window"]["start"], start, "a commit that changes nothing rendered moves no window");
    assert_eq!(said["window"]["commits"].as_array().map(Vec::len), Some(1), "{said:#}");

    std::thread::sleep(std::time::Duration::from_millis(1100));
    backup(plane, &bucket, "two", "landing");
    let said = daemon.wait(object, "recovery", "either");
    assert_eq!((said["backup"].as_str(), &said["window"]), (Some("two"), &Value::Null));
    daemon.wait_metric("snapgap_split_brain_state{app=\"shop\",state=\"closed\"}", 1.0);

    repo.git(&["reset", "-q", "--hard", &first]);
    daemon.wait_revision("shop", &first);
    let said = daemon.wait(object, "drift", "changed");
    assert_eq!(said["fields"][0]["desired"], "\"1\"", "{said:#}");
    assert_eq!(said["recovery"], "split", "the newest backup holds what Git no longer says: {said:#}");

    let gone = commit(&repo, "Take it out", &[("shop/other.yaml", &settings("9").replace("settings", "other"))]);
    repo.git(&["rm", "-q", "shop/settings.yaml"]);
    let gone = (repo.git(&["commit", "-q", "-m", "Take settings out"]), gone, repo.head()).2;
    daemon.wait_revision("shop", &gone);
    plane.kubectl(&["delete", "configmap/settings", "-n", "landing"]);
    daemon.wait(object, "recovery", "resurrected");
}

#[test]
fn without_any_backup_the_window_is_none_and_nothing_else_is_claimed() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-nobackup-"));
    plane.kubectl(&["create", "namespace", "nobackup"]);
    let repo = Repo::new(folder.path(), "fleet");
    commit(&repo, "Level 1", &[("shop/settings.yaml", &settings("1"))]);
    plane.kubectl_with(&["apply", "-n", "nobackup"], &settings("1"));
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "nobackup")]);
    let daemon = Daemon::start(&setting.cluster(&shipped_user(plane, "nobackup")));
    assert_eq!(daemon.said("nobackup", "ConfigMap", "settings", "drift"), "in_sync");
    assert_eq!(daemon.window("shop")["state"], "none");
    commit(&repo, "Level 2", &[("shop/settings.yaml", &settings("2"))]);
    daemon.wait(("nobackup", "ConfigMap", "settings"), "drift", "changed");
    assert_eq!(daemon.window("shop")["state"], "none");
    plane.kubectl_with(&["apply", "-n", "nobackup"], &settings("2"));
    daemon.wait(("nobackup", "ConfigMap", "settings"), "drift", "in_sync");
}

#[test]
fn a_git_server_over_tls_that_fails_and_heals_costs_no_verdict() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-tls-"));
    plane.kubectl(&["create", "namespace", "over-tls"]);
    let repo = Repo::new(folder.path(), "fleet");
    commit(&repo, "Level 1", &[("shop/settings.yaml", &settings("1"))]);
    plane.kubectl_with(&["apply", "-n", "over-tls"], &settings("1"));
    let server = GitHttp::tls(folder.path());
    server.set_basic("reader", "c4n4ry-password");
    let password = folder.path().join("password");
    fs::write(&password, "c4n4ry-password\n").expect("written");
    let text = format!(
        "sources:\n- {{name: main, url: '{}', ref: main, interval: 1s, ca_file: '{}', auth: {{username: reader, password_file: '{}'}}}}\n\
         apps: [{{name: shop, path: shop, namespace: over-tls}}]\nweb: {{}}\n",
        server.url("fleet.git"),
        server.ca_file.display(),
        password.display()
    );
    let daemon = Daemon::start(&Setting(text).cluster(&shipped_user(plane, "over-tls")));
    let object = ("over-tls", "ConfigMap", "settings");
    daemon.wait(object, "drift", "in_sync");
    // The poll without news is one request and brings nothing.
    server.take_seen();
    commit(&repo, "Level 2", &[("shop/settings.yaml", &settings("2"))]);
    daemon.poll();
    daemon.wait(object, "drift", "changed");
    server.set(Mode::Status(503));
    eventually("the failure is told", SOON, || daemon.json("/api/v1/apps")["sources"][0]["failure"].is_object());
    assert_eq!(daemon.said(object.0, object.1, object.2, "drift"), "changed", "the last good tip stays in use");
    assert_eq!(daemon.get("/readyz").status, 200);
    commit(&repo, "Level 1 again", &[("shop/settings.yaml", &settings("1"))]);
    server.set(Mode::Normal);
    daemon.wait(object, "drift", "in_sync");
    assert!(daemon.json("/api/v1/apps")["sources"][0]["failure"].is_null());
    for path in ["/metrics", "/api/v1/report?all=true", "/api/v1/status", "/"] {
        assert!(!daemon.get(path).body.contains("c4n4ry"), "the password is in {path}");
    }
    assert!(!daemon.log().contains("c4n4ry"), "the password is in the log");
}

#[test]
fn a_render_that_fails_makes_its_app_unknown_and_its_last_good_render_stays_with_its_age() {
    let folder = Folder::new("snapgap-render-");
    let repo = Repo::new(folder.path(), "fleet");
    let kustomization = "namespace: shop\nresources: [settings.yaml]\n";
    let files = |kustomization: &'static str| {
        [
            ("shop/kustomization.yaml", kustomization),
            ("shop/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: '1'}\n"),
        ]
    };
    repo.commit("Level 1", &files(kustomization));
    let dump = folder.path().join("cluster.yaml");
    fs::write(&dump, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {level: '1'}\n").expect("written");
    let text = format!(
        "sources: [{{url: '{}', ref: main, interval: 1s}}]\napps: [{{name: shop, path: shop, renderer: kustomize, namespace: shop}}]\n\
         cluster: {{dump: '{}'}}\nrender: {{kustomize: '{}'}}\n",
        repo.git_dir.display(),
        dump.display(),
        tools::path("kustomize").display()
    );
    let daemon = Daemon::start(&Setting(text));
    let object = ("shop", "ConfigMap", "settings");
    daemon.wait(object, "drift", "in_sync");
    let app = || daemon.json("/api/v1/apps")["apps"][0].clone();
    let good = app();
    repo.commit("Break it", &files("namespace: shop\nresources: [settings.yaml, nowhere.yaml]\n"));
    let unknown = daemon.wait(object, "drift", "unknown");
    let side = unknown["unknown"].as_array().expect("sides").iter().find(|s| s["side"] == "git").expect("Git is the side").clone();
    assert!(
        side["message"].as_str().is_some_and(|m| m.contains("nowhere.yaml") && !m.contains("/tmp/")),
        "the tool's words without our paths: {side:#}"
    );
    let failed = app();
    assert!(failed["failure"].is_object(), "{failed:#}");
    for kept in ["revision", "rendered_at", "objects"] {
        assert_eq!(failed[kept], good[kept], "the last good render stays: {failed:#}");
    }
    assert!(failed["render"]["tool"].as_str().is_some_and(|t| t.contains("kustomize v5")), "the tool is evidence: {failed:#}");
    let page = daemon.get("/").body;
    assert!(page.contains("render fails") && page.contains("The last good render stays in use."), "the page says so");
    repo.commit("Mend it", &files(kustomization));
    daemon.wait(object, "drift", "in_sync");
    assert!(app()["failure"].is_null());
}
