//! One app in Git, what a real control plane runs of it, and what the program says of the two. I/O: git, kubectl, child processes.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    cli::{Ran, snapgap},
    control_plane::{ControlPlane, Options},
    git_repo::Repo,
    program::Folder,
};

/// A scene in a namespace of its own.
pub struct Scene {
    plane: &'static ControlPlane,
    repo: Repo,
    /// The namespace, which is also the name of the app.
    pub namespace: &'static str,
    /// More of the configuration file.
    pub config: String,
    // Last, so that it goes after what lies in it.
    folder: Folder,
}

/// The control plane that all scenes share. They add kinds and policies, so it is not the one of the other tests.
pub fn plane() -> &'static ControlPlane {
    static PLANE: std::sync::OnceLock<ControlPlane> = std::sync::OnceLock::new();
    PLANE.get_or_init(|| ControlPlane::start(Options { controllers: true, flags: Vec::new() }))
}

impl Scene {
    /// With an empty app.
    pub fn new(namespace: &'static str) -> Self {
        let folder = Folder::new("snapgap-scene-");
        let repo = Repo::new(folder.path(), "fleet");
        // Commits are an hour old, so that whatever is applied now was applied after they landed.
        repo.set_clock(Timestamp::now().as_second() - 3_600);
        plane().apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
        Self { plane: plane(), repo, namespace, config: String::new(), folder }
    }

    /// Commits a file of the app.
    pub fn declare(&self, file: &str, yaml: &str) {
        self.repo.commit(&format!("Change {file}"), &[(&format!("app/{file}"), yaml)]);
    }

    /// The moment of commits from now on, in seconds from now.
    pub fn commit_at(&self, seconds: i64) {
        self.repo.set_clock(Timestamp::now().as_second() + seconds);
    }

    /// The folder of the app's files as last committed.
    pub fn files(&self) -> std::path::PathBuf {
        self.repo.work().join("app")
    }

    /// Applies the app's files server-side as this manager.
    pub fn deploy(&self, manager: &str) {
        let files = self.files().display().to_string();
        let manager = format!("--field-manager={manager}");
        self.plane.kubectl(&["apply", "-n", self.namespace, "--server-side", "--force-conflicts", &manager, "-f", &files]);
    }

    /// Runs kubectl in the namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.plane.kubectl(&[&["-n", self.namespace], args].concat())
    }

    /// Patches an object as this manager; `more` are further arguments.
    pub fn patch(&self, object: &str, manager: &str, patch: &str, more: &[&str]) {
        let manager = format!("--field-manager={manager}");
        self.kubectl(&[&["patch", object, "--type=merge", &manager, "-p", patch], more].concat());
    }

    /// Applies other objects in the namespace, as nobody's deployer.
    pub fn also(&self, yaml: &str) {
        let args = ["apply", "-n", self.namespace, "--server-side", "--force-conflicts", "--field-manager=setup-controller"];
        self.plane.kubectl_with(&args, yaml);
    }

    /// Runs a command of the program over the scene.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_at(&self.plane.admin(), args)
    }

    /// The same with another kubeconfig.
    pub fn run_at(&self, kubeconfig: &Path, args: &[&str]) -> Ran {
        let file = self.folder.path().join("snapgap.yaml");
        let (namespace, more) = (self.namespace, &self.config);
        let text = format!(
            "sources:\n- {{name: fleet, url: '{}', ref: main}}\napps:\n- {{name: {namespace}, source: fleet, path: app, renderer: directory, namespace: {namespace}}}\n\
             cluster: {{kubeconfig: '{}', secrets: true}}\n{more}\n",
            self.repo.git_dir.display(),
            kubeconfig.display(),
        );
        std::fs::write(&file, text).expect("written");
        let file = file.display().to_string();
        snapgap(self.folder.path(), &[args, &["-f", &file]].concat())
    }

    /// The whole report.
    pub fn report(&self) -> Value {
        self.run(&["report", "-o", "json", "--all"]).json()
    }

    /// What the report says of one object of the namespace.
    pub fn verdict(&self, kind: &str, name: &str) -> Value {
        of(&self.report(), self.namespace, kind, name)
    }
}

/// One object of a report.
pub fn of(report: &Value, namespace: &str, kind: &str, name: &str) -> Value {
    let all = report["objects"].as_array().unwrap_or_else(|| panic!("no objects: {report}"));
    let hit = |o: &&Value| o["kind"] == kind && o["name"] == name && (o["namespace"] == namespace || o["namespace"].is_null());
    all.iter().find(hit).cloned().unwrap_or_else(|| panic!("{kind} {name} is not in the report"))
}

/// The differing fields, each as `class path`, and `by` whom.
pub fn fields(object: &Value) -> Vec<String> {
    let line = |f: &Value| {
        let text = |key: &str| f[key].as_str().unwrap_or_default().to_owned();
        let by = if f["owner"].is_null() { String::new() } else { format!(" by {}", text("owner")) };
        format!("{} {}{by}", text("class"), text("path"))
    };
    object["fields"].as_array().into_iter().flatten().map(line).collect()
}

/// Messages of notes with this reason.
pub fn notes(report: &Value, reason: &str) -> Vec<String> {
    let notes = report["notes"].as_array().into_iter().flatten().filter(|n| n["reason"] == reason);
    notes.map(|n| n["message"].as_str().unwrap_or_default().to_owned()).collect()
}
