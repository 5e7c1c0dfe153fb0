//! The API server as examiner of the drift engine: any folder of manifests is applied, left alone, edited; the verdicts are held against dry runs.
//!
//! Used by the tests in `drift_exam.rs` and by the command `cargo run --example exam -- DIR`.

pub mod api;
pub mod client;
pub mod edits;
pub mod run;
pub mod verdicts;

use std::{fs, path::Path};

use serde_json::Value;
use snapgap::object::{expand, yaml};

use crate::support::control_plane::Options;

/// A control plane that judges the shape of objects and not their values: webhooks, policies and quotas among the manifests do not act.
pub fn options() -> Options {
    let off = "MutatingAdmissionWebhook,ValidatingAdmissionWebhook,MutatingAdmissionPolicy,ValidatingAdmissionPolicy,ResourceQuota,LimitRanger";
    Options { controllers: true, flags: vec![format!("--disable-admission-plugins={off}")] }
}

/// All objects in the YAML and JSON files of a folder and below, in the order of their names.
pub fn manifests(folder: &Path) -> Vec<Value> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let parsed = yaml::parse(&fs::read(path).expect("readable"), &yaml::Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        parsed.documents.into_iter().map(|d| d.value).filter(|v| !v.is_null()).flat_map(expand).collect::<Vec<_>>()
    };
    files.iter().flat_map(read).filter(|v| v["kind"].is_string() && v["metadata"]["name"].is_string()).collect()
}
