//! The kustomize renderer: `kustomize build` as Argo CD runs it by default. I/O: a confined child process.
//!
//! Load restrictions stay on (`LoadRestrictionsRootOnly`: files outside a kustomization's folder are refused, folders such as `../../base`
//! are not). Plugins, exec functions and `--enable-helm` stay off: a kustomization with `helmCharts` fails with kustomize's own words.

use super::{
    closure::Closure,
    exec::{Context, ExecError, Printed, Tool, prepare, run, submodules},
};
use crate::{config::App, git::Tree, witness::Diagnostic};

/// Builds the app's folder. Returns what was printed and what a person should know.
pub(super) async fn build(app: &App, closure: &Closure, tree: &dyn Tree, ctx: &Context<'_>) -> Result<(Printed, Vec<Diagnostic>), ExecError> {
    let prepared = prepare(ctx, tree, &app.path, closure.paths.iter().map(String::as_str))?;
    let diagnostics = submodules(&prepared.exported);
    let args = ["build", "--load-restrictor=LoadRestrictionsRootOnly", "."].map(str::to_owned).to_vec();
    let printed = run(ctx, Tool::Kustomize, args, &app.path, prepared).await?;
    Ok((printed, diagnostics))
}
