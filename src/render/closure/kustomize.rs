//! What a kustomization depends on, followed through all it refers to. pure
//!
//! The fields are those of kustomize `api/types/kustomization.go`, the deprecated ones included.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Reach, RenderError, Why, helm};
use crate::{
    git::EntryKind,
    object::yaml::{self, Limits},
    render::{detect::KUSTOMIZATIONS, links::join},
};

/// Walks from the kustomization in `root`.
pub(super) fn walk(reach: &mut Reach<'_>, root: &str) -> Result<(), RenderError> {
    let mut walk = Walk { reach, todo: vec![root.to_owned()], entered: BTreeSet::new() };
    let mut first = true;
    while let Some(folder) = walk.todo.pop() {
        if !walk.entered.insert(folder.clone()) {
            continue;
        }
        let found = walk.folder(&folder)?;
        if first && !found {
            let folder = if folder.is_empty() { ".".to_owned() } else { folder };
            return Err(RenderError::NotRenderable { wanted: "kustomization.yaml", folder });
        }
        first = false;
    }
    Ok(())
}

struct Walk<'w, 't> {
    reach: &'w mut Reach<'t>,
    todo: Vec<String>,
    entered: BTreeSet<String>,
}

/// A file with references, and the folder that they start from.
#[derive(Clone, Copy)]
struct From<'a> {
    file: &'a str,
    folder: &'a str,
}

impl Walk<'_, '_> {
    /// Reads the kustomization of a folder; whether there is one.
    fn folder(&mut self, folder: &str) -> Result<bool, RenderError> {
        let mut any = false;
        for name in KUSTOMIZATIONS {
            let path = join(folder, name);
            let Some(entry) = self.reach.tree.entry(&path)? else { continue };
            let path = match entry.kind {
                EntryKind::File | EntryKind::Executable => path,
                EntryKind::Link => match self.reach.follow(&path, folder, name)? {
                    Some(found) if found.entry.kind != EntryKind::Folder => found.path,
                    _ => continue,
                },
                EntryKind::Folder | EntryKind::Submodule => continue,
            };
            any = true;
            for kustomization in self.documents(&path)? {
                self.kustomization(From { file: &path, folder }, &kustomization)?;
            }
        }
        Ok(any)
    }

    fn documents(&mut self, path: &str) -> Result<Vec<Value>, RenderError> {
        let bytes = self.reach.read(path)?;
        let parsed = yaml::parse(&bytes, &Limits::default()).map_err(|error| RenderError::Yaml { file: path.to_owned(), error })?;
        Ok(parsed.documents.into_iter().map(|d| d.value).collect())
    }

    fn kustomization(&mut self, from: From<'_>, k: &Value) -> Result<(), RenderError> {
        for key in ["resources", "bases", "components", "crds", "configurations"] {
            for reference in texts(k.get(key)) {
                self.follow(from, reference)?;
            }
        }
        for key in ["generators", "transformers", "validators"] {
            for reference in texts(k.get(key)) {
                self.plugin(from, reference)?;
            }
        }
        for reference in texts(k.get("patchesStrategicMerge")).filter(|r| !is_inline(r)) {
            self.follow(from, reference)?;
        }
        self.patches_and_files(from, k)?;
        for key in ["configMapGenerator", "secretGenerator"] {
            for generator in items(k.get(key)) {
                self.patches_and_files(from, generator)?;
            }
        }
        if let Some(path) = k.get("openapi").and_then(|o| o.get("path")).and_then(Value::as_str) {
            self.follow(from, path)?;
        }
        let home = k.get("helmGlobals").and_then(|g| g.get("chartHome")).and_then(Value::as_str);
        for chart in items(k.get("helmCharts")) {
            self.chart(from, chart, home)?;
        }
        for chart in items(k.get("helmChartInflationGenerator")) {
            self.chart(from, chart, home)?;
        }
        Ok(())
    }

    /// `patches`, `patchesJson6902` and `replacements` by path, and a generator's files.
    fn patches_and_files(&mut self, from: From<'_>, k: &Value) -> Result<(), RenderError> {
        for key in ["patches", "patchesJson6902", "replacements"] {
            for path in items(k.get(key)).filter_map(|p| p.get("path")).filter_map(Value::as_str) {
                self.follow(from, path)?;
            }
        }
        for file in texts(k.get("files")) {
            // `key=path`, or the path alone.
            self.follow(from, file.split_once('=').map_or(file, |(_, path)| path))?;
        }
        for file in texts(k.get("envs")).chain(texts(k.get("env"))) {
            self.follow(from, file)?;
        }
        Ok(())
    }

    fn follow(&mut self, from: From<'_>, reference: &str) -> Result<(), RenderError> {
        if reference.is_empty() {
            return Ok(());
        }
        if let Some(found) = self.reach.follow(from.file, from.folder, reference)?.filter(|f| f.entry.kind == EntryKind::Folder) {
            self.todo.push(found.path);
        }
        Ok(())
    }

    /// A generator, transformer or validator: written in place, a file with its configuration, or a kustomization of such.
    fn plugin(&mut self, from: From<'_>, reference: &str) -> Result<(), RenderError> {
        if is_inline(reference) {
            let parsed = yaml::parse(reference.as_bytes(), &Limits::default());
            let parsed = parsed.map_err(|error| RenderError::Yaml { file: from.file.to_owned(), error })?;
            return parsed.documents.iter().try_for_each(|d| self.configuration(from, &d.value));
        }
        match self.reach.follow(from.file, from.folder, reference)? {
            Some(found) if found.entry.kind == EntryKind::Folder => self.todo.push(found.path),
            Some(found) => {
                for document in self.documents(&found.path)? {
                    // Paths in it start from the kustomization that names it, not from where it lies.
                    self.configuration(From { file: &found.path, folder: from.folder }, &document)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    fn configuration(&mut self, from: From<'_>, c: &Value) -> Result<(), RenderError> {
        for path in texts(c.get("path")).chain(texts(c.get("paths")).filter(|p| !is_inline(p))) {
            self.follow(from, path)?;
        }
        self.patches_and_files(from, c)?;
        if c.get("kind").and_then(Value::as_str) == Some("HelmChartInflationGenerator") {
            self.chart(from, c, None)?;
        }
        Ok(())
    }

    /// A chart that kustomize inflates: it must lie in the chart home, or it would be pulled.
    fn chart(&mut self, from: From<'_>, chart: &Value, home: Option<&str>) -> Result<(), RenderError> {
        let text = |key: &str| chart.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        for file in texts(chart.get("valuesFile")).chain(texts(chart.get("additionalValuesFiles"))).chain(texts(chart.get("values"))) {
            self.follow(from, file)?;
        }
        let Some(name) = text("name").or_else(|| text("chartName")) else { return Ok(()) };
        let repo = text("repo").or_else(|| text("chartRepoUrl"));
        let version = text("version").or_else(|| text("chartVersion"));
        let home = text("chartHome").or(home).unwrap_or("charts");
        let plain = format!("{home}/{name}");
        let place = match (repo, version) {
            (Some(_), Some(version)) => format!("{home}/{name}-{version}/{name}"),
            _ => plain.clone(),
        };
        for place in [place, plain] {
            if matches!(crate::render::links::follow(self.reach.tree, from.folder, &place)?, crate::render::links::Place::Found(_)) {
                if let Some(found) = self.reach.follow(from.file, from.folder, &place)?.filter(|f| f.entry.kind == EntryKind::Folder) {
                    helm::links_below(self.reach, &found.path)?;
                }
                return Ok(());
            }
        }
        match repo {
            Some(repo) => self.reach.note(from.file, &format!("{}/{name}", repo.trim_end_matches('/')), Why::Remote),
            None => self.reach.note(from.file, &format!("{home}/{name}"), Why::Missing),
        }
        Ok(())
    }
}

/// The texts in a list, or the one text that stands for it.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), [].as_slice()),
        Some(Value::Array(list)) => (None, list.as_slice()),
        _ => (None, [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// Whether it is a document written in place and not a path.
fn is_inline(reference: &str) -> bool {
    reference.contains('\n') || reference.trim_start().starts_with('{')
}
