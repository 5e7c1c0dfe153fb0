//! What renders an app that leaves it open, as Argo CD decides. pure

use super::{RenderError, links::app_place};
use crate::{
    config::{App, DirectoryOptions, HelmOptions, Renderer},
    git::{EntryKind, Tree},
};

/// The file names that make a folder a kustomization (kustomize `konfig.RecognizedKustomizationFileNames`).
pub const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The renderer of an app, never `Auto`: what is configured, else what lies in its folder. A kustomization file beside a `Chart.yaml` wins,
/// and any name that ends in `Chart.yaml` is a chart's (Argo CD `util/app/discovery`: files in lexical order, the last one decides).
///
/// # Errors
/// The app's path is not there or cannot be read.
pub fn detect(app: &App, tree: &dyn Tree) -> Result<Renderer, RenderError> {
    if app.renderer != Renderer::Auto {
        return Ok(app.renderer.clone());
    }
    let place = app_place(tree, &app.path)?;
    let mut renderer = Renderer::Directory(DirectoryOptions::default());
    if place.entry.kind != EntryKind::Folder {
        return Ok(renderer);
    }
    for entry in tree.entries(&place.path)?.unwrap_or_default() {
        if matches!(entry.kind, EntryKind::Folder | EntryKind::Submodule) {
            continue;
        }
        if KUSTOMIZATIONS.contains(&entry.name.as_str()) {
            renderer = Renderer::Kustomize;
        } else if entry.name.ends_with("Chart.yaml") {
            renderer = Renderer::Helm(HelmOptions::default());
        }
    }
    Ok(renderer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::MemoryTree;

    fn app(path: &str) -> App {
        App {
            name: crate::config::AppName("shop".into()),
            source: crate::config::SourceName("s".into()),
            path: path.into(),
            namespace: None,
            layer: None,
            renderer: Renderer::Auto,
        }
    }

    #[test]
    fn what_lies_in_the_folder_decides() {
        for (files, renderer) in [
            (&["app/a.yaml", "app/sub/Chart.yaml", "app/sub/kustomization.yaml"][..], "directory"),
            (&["app/Chart.yaml", "app/values.yaml"], "helm"),
            (&["app/kustomization.yaml"], "kustomize"),
            (&["app/kustomization.yml"], "kustomize"),
            (&["app/Kustomization"], "kustomize"),
            (&["app/Chart.yaml", "app/kustomization.yaml"], "kustomize"),
            (&["app/Chart.yaml", "app/Kustomization"], "kustomize"),
            (&["app/kustomize.yaml", "app/chart.yaml", "app/kustomization.yaml/x"], "directory"),
        ] {
            let tree = files.iter().fold(MemoryTree::new(), |tree, file| tree.with(file, ""));
            assert_eq!(detect(&app("app"), &tree).map(|r| r.name()), Ok(renderer), "{files:?}");
        }
    }

    #[test]
    fn a_single_file_is_a_directory_app_links_are_followed_and_a_configured_renderer_stays() {
        let tree = MemoryTree::new().with("a/x.yaml", "").with("chart/Chart.yaml", "").with_link("current", "chart");
        assert_eq!(detect(&app("a/x.yaml"), &tree).map(|r| r.name()), Ok("directory"));
        assert_eq!(detect(&app("current"), &tree).map(|r| r.name()), Ok("helm"));
        assert_eq!(detect(&app("nope"), &tree).map_err(|e| e.kind()), Err("path_not_found"));
        let told = App { renderer: Renderer::Kustomize, ..app("nope") };
        assert_eq!(detect(&told, &tree), Ok(Renderer::Kustomize));
    }
}
