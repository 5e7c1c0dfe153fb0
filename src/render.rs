//! Files to objects: the renderers and the one place that spawns them. I/O: a private folder per render, child processes.
//!
//! Planning is pure: [`detect`] decides what renders an app, [`closure`](mod@closure) what the result can depend on, [`directory`] and
//! [`collect`] turn text into objects.

pub mod closure;
pub mod collect;
pub mod detect;
pub mod directory;
pub mod error;
pub mod exec;
pub mod export;
pub mod links;
pub mod sandbox;

mod helm;
mod kustomize;
mod sourceignore;

use jiff::Timestamp;

pub use closure::{Closure, closure};
pub use collect::{Caps, Collected};
pub use error::RenderError;
pub use exec::{Context, ExecError, ToolVersions};

use crate::{
    config::{App, Renderer},
    git::Tree,
    object::Text,
    witness::{RenderEvidence, Rendered},
};

/// The renderer that an app is rendered with at this commit: the configured one, or for `auto` what lies in its folder decides.
pub fn resolve(app: &App, tree: &dyn Tree) -> Result<Renderer, RenderError> {
    match &app.renderer {
        Renderer::Auto => detect::detect(app, tree),
        chosen => Ok(chosen.clone()),
    }
}

/// Renders an app from the files of one commit.
///
/// `Auto` is resolved first, then the closure is computed, and what refers to the outside is refused before anything is spawned. Native
/// renderers and the export of files do their work on the calling task; a program is watched from the runtime's blocking pool. Dropping
/// the future ends the program and removes its folder.
pub async fn render(app: &App, revision: &str, tree: &dyn Tree, ctx: &Context<'_>, now: Timestamp) -> Result<Rendered, RenderError> {
    let renderer = resolve(app, tree)?;
    let closure = closure::closure(app, &renderer, tree)?;
    let caps = Caps { bytes: ctx.settings.output_bytes, ..Caps::default() };
    if !closure.remote.is_empty() {
        return Err(ExecError::References(closure.remote).into());
    }
    let (collected, program) = match &renderer {
        Renderer::Kustomize => {
            let (printed, diagnostics) = kustomize::build(app, &closure, tree, ctx).await?;
            (collect_printed(app, &printed, diagnostics, ctx, &caps)?, Some(printed))
        }
        Renderer::Helm(options) => {
            let (printed, diagnostics) = helm::template(app, options, &closure, tree, ctx).await?;
            (collect_printed(app, &printed, diagnostics, ctx, &caps)?, Some(printed))
        }
        Renderer::Directory(options) => (directory::render(app, options, tree, ctx.redactor, &caps)?, None),
        Renderer::Auto => return Err(RenderError::Undecided),
    };
    let evidence = RenderEvidence {
        renderer: renderer.name().into(),
        tool: program.as_ref().map(|p| p.tool.clone()),
        closure: closure.hash,
        sandbox: program.map(|p| p.sandbox),
        hooks: collected.hooks,
    };
    Ok(Rendered { revision: Text::from(revision), at: now, objects: collected.objects, evidence, diagnostics: collected.diagnostics })
}

fn collect_printed(
    app: &App,
    printed: &exec::Printed,
    diagnostics: Vec<crate::witness::Diagnostic>,
    ctx: &Context<'_>,
    caps: &Caps,
) -> Result<Collected, RenderError> {
    let label = if app.path.is_empty() { "." } else { &app.path };
    let mut collected = collect::from_text(&printed.stdout, label, ctx.redactor, caps)?;
    collected.diagnostics.splice(0..0, diagnostics);
    Ok(collected)
}
