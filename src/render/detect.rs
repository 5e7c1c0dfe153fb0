//! Which renderer a folder asks for. pure

use super::RenderError;
use crate::{
    config::{App, Renderer},
    git::Tree,
};

/// The renderer of an app that names none.
pub fn detect(app: &App, tree: &dyn Tree) -> Result<Renderer, RenderError> {
    let has = |name: &str| Ok::<_, RenderError>(tree.entries(&app.path)?.is_some_and(|all| all.iter().any(|e| e.name == name)));
    Ok(match (has("kustomization.yaml")?, has("Chart.yaml")?) {
        (true, _) => Renderer::Kustomize,
        (_, true) => Renderer::Helm(Default::default()),
        _ => Renderer::Directory(Default::default()),
    })
}
