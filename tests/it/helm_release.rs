//! A chart that helm itself installs and upgrades, by Helm 3 (create and update) and Helm 4 (server-side apply): silent after each, and what the next
//! upgrade would take out is told before it.

use std::process::Command;

use serde_json::Value;

use crate::support::{cli::snapgap, control_plane::ControlPlane, git_repo::Repo, program::Folder, tools};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/snapgap");

/// Runs helm as admin.
fn helm(plane: &ControlPlane, folder: &Folder, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(tools::path(program));
    command.args(args).env("KUBECONFIG", plane.admin()).env("HOME", folder.path()).env("HELM_DRIVER", "secret");
    let out = command.output().expect("helm starts");
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// Object, class and path of each differing field, and objects that differ as such.
fn told(report: &Value, app: &str) -> Vec<String> {
    let objects = report["objects"].as_array().expect("objects").iter().filter(|o| o["app"] == app);
    let drifting = objects.filter(|o| o["drift"] != "in_sync");
    let fields = |o: &Value| -> Vec<String> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let told = o["fields"].as_array().expect("fields").iter().filter(|f| f["class"].is_string());
        let told: Vec<_> = told.map(|f| format!("{} {} {}", text(&o["kind"]), text(&f["class"]), text(&f["path"]))).collect();
        if told.is_empty() { vec![format!("{} {}: {}", text(&o["kind"]), text(&o["drift"]), text(&o["why"]))] } else { told }
    };
    let mut all: Vec<String> = drifting.flat_map(fields).collect();
    all.sort();
    all
}

#[test]
fn what_helm_installs_is_silent_and_what_its_next_upgrade_takes_out_is_told_before() {
    let plane = ControlPlane::shared();
    for (program, namespace) in [("helm3", "release-three"), ("helm", "release-four")] {
        let folder = Folder::new("snapgap-release-");
        plane.kubectl(&["create", "namespace", namespace]);
        let before = ["--set", "podAnnotations.team=blue,podLabels.tier=web,service.annotations.note=x,terminationGracePeriodSeconds=20"];
        let after = ["--set", "podAnnotations.team=blue,terminationGracePeriodSeconds=25"];
        let release = |verb: &str, values: &[&str]| {
            let args = [&[verb, namespace, CHART, "--namespace", namespace, "--set", "persistence.enabled=true"], values].concat();
            helm(plane, &folder, program, &args)
        };
        let repo = Repo::new(folder.path(), "fleet");
        let declare = |values: &[&str]| repo.commit("Render the chart", &[("release/all.yaml", &release("template", values))]);
        let (git, kubeconfig) = (repo.git_dir.display().to_string(), plane.admin().display().to_string());
        let app = format!("{namespace}=release:directory,namespace={namespace}");
        let report =
            || snapgap(folder.path(), &["report", "-o", "json", "--all", "--git", &git, "--kubeconfig", &kubeconfig, "--app", &app]).ended(0).json();
        declare(&before);
        release("install", &before);
        let first = report();
        let ours = first["objects"].as_array().expect("objects").iter().filter(|o| o["app"] == namespace).count();
        assert!(ours >= 8, "only {ours} objects of the release");
        assert_eq!(told(&first, namespace), Vec::<String>::new(), "{program}: after the installation");
        declare(&after);
        assert_eq!(
            told(&report(), namespace),
            [
                "Deployment changed spec.template.spec.terminationGracePeriodSeconds",
                "Deployment removed spec.template.metadata.labels.tier",
                "Service removed metadata.annotations.note",
            ],
            "{program}: before the upgrade"
        );
        release("upgrade", &after);
        assert_eq!(told(&report(), namespace), Vec::<String>::new(), "{program}: after the upgrade");
        // What a person adds stays through an upgrade, and is told as such.
        plane.kubectl(&["-n", namespace, "label", "service", &format!("{namespace}-snapgap"), "touched=yes"]);
        release("upgrade", &after);
        assert_eq!(told(&report(), namespace), ["Service added metadata.labels.touched"], "{program}: after an addition by hand");
    }
}
