//! Since when an app of kustomize or Helm declares what it declares: older states are rendered by the real tools, each distinct one once.

use std::{fs, path::Path};

use serde_json::{Value, json};
use snapgap::velero::{Names, archive::write::write_backup};

use crate::support::{cli::snapgap, git_repo::Repo, program::Folder, tools};

const KUSTOMIZATION: &str = "namespace: shop\nresources: [../../base]\nconfigMapGenerator: []\n";
const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
const TEMPLATE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-helm, namespace: {{ .Release.Namespace }}}\ndata: {level: {{ .Values.level | quote }}}\n";

fn map(name: &str, level: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"level": level.to_string()}})
}

/// Commits that set a level in the base and in the chart's values.
fn level(repo: &Repo, level: u32) -> String {
    let base = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: from-kustomize}}\ndata: {{level: '{level}'}}\n");
    repo.commit(&format!("Level {level}"), &[("base/settings.yaml", &base), ("chart/values.yaml", &format!("level: {level}\n"))])
}

/// Six commits: three of them change what is rendered, and a backup was made after the first.
fn world(folder: &Path) -> (Repo, [String; 6]) {
    let repo = Repo::new(folder, "fleet");
    let start = [
        ("base/kustomization.yaml", "resources: [settings.yaml]\n"),
        ("overlays/shop/kustomization.yaml", KUSTOMIZATION),
        ("chart/Chart.yaml", CHART),
        ("chart/templates/settings.yaml", TEMPLATE),
    ];
    for (path, text) in start {
        let path = repo.work().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let commits = [
        level(&repo, 1),
        repo.commit("Say more", &[("README.md", "More.\n")]),
        level(&repo, 2),
        repo.commit("Another app", &[("other/x.yaml", "x: 1\n")]),
        level(&repo, 3),
        repo.commit("Say yet more", &[("README.md", "Yet more.\n")]),
    ];
    let marker = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "one", "namespace": "velero"}, "spec": {"includedNamespaces": ["shop"]},
        "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1, "startTimestamp": "2026-01-01T00:01:30Z",
            "completionTimestamp": "2026-01-01T00:01:40Z", "expiration": "2027-01-01T00:00:00Z"}});
    fs::create_dir_all(folder.join("bucket/backups")).expect("made");
    write_backup(&folder.join("bucket"), &marker, &[map("from-kustomize", 1), map("from-helm", 1)], &Names::builtin()).expect("written");
    let live = json!({"apiVersion": "v1", "kind": "List", "items": [map("from-kustomize", 3), map("from-helm", 3)]});
    fs::write(folder.join("cluster.json"), live.to_string()).expect("written");
    (repo, commits)
}

fn report(folder: &Path, repo: &Repo, history: &str) -> Value {
    let config = format!(
        "sources: [{{url: '{}', ref: main}}]\n\
         apps:\n- {{name: kustomized, path: overlays/shop, renderer: kustomize, namespace: shop}}\n- {{name: templated, path: chart, renderer: helm, namespace: shop}}\n\
         cluster: {{dump: cluster.json}}\nrender: {{kustomize: '{}', helm: '{}'}}\nvelero: {{backups: [{{file: bucket}}]}}\nhistory: {history}\n",
        repo.git_dir.display(),
        tools::path("kustomize").display(),
        tools::path("helm").display(),
    );
    fs::write(folder.join("snapgap.yaml"), config).expect("written");
    snapgap(folder, &["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--now", "2026-01-01T03:00:00Z"]).ended(0).json()
}

fn window<'a>(report: &'a Value, name: &str) -> &'a Value {
    let object = report["objects"].as_array().expect("objects").iter().find(|o| o["name"] == name).expect("declared");
    assert_eq!((&object["recovery"], &object["window"]["stage"]), (&json!("split"), &json!("unsnapshotted")), "{object:#}");
    &object["window"]
}

#[test]
fn the_window_of_an_exec_rendered_app_starts_with_the_commit_that_changed_the_render() {
    let folder = Folder::new("snapgap-renders-");
    let (repo, commits) = world(folder.path());
    // Two states besides the tip's are all there are: the commits between change no input.
    let whole = report(folder.path(), &repo, "{renders: 2}");
    for name in ["from-kustomize", "from-helm"] {
        let window = window(&whole, name);
        assert_eq!(window["start"]["not_before"], "2026-01-01T00:05:00Z", "{name}: level 3 landed then: {window:#}");
        let told: Vec<&str> = window["commits"].as_array().expect("commits").iter().filter_map(|c| c["sha"].as_str()).collect();
        assert_eq!(told, [&*commits[4], &*commits[2]], "{name}: the newest first, and none that changed nothing: {window:#}");
        assert_eq!(window["holds"]["sha"], *commits[0], "{name}: {window:#}");
    }
    assert!(!whole["notes"].to_string().contains("history_short"), "{}", whole["notes"]);
}

#[test]
fn a_search_that_was_cut_short_says_so_instead_of_naming_a_start() {
    let folder = Folder::new("snapgap-renders-");
    let (repo, _) = world(folder.path());
    for (history, why) in [("{renders: 0}", "stopped after 0 renders of older states"), ("{commits: 1}", "stopped after 1 commits")] {
        let short = report(folder.path(), &repo, history);
        for name in ["from-kustomize", "from-helm"] {
            assert!(window(&short, name)["start"].is_null(), "{history} {name}: older than what was searched");
        }
        let notes = short["notes"].to_string();
        assert!(notes.contains("history_short") && notes.contains(why), "{history}: {notes}");
    }
}
