//! `render`: what Git declares for one app, as snapgap reads it. I/O: through git and render.

use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::{
    Bad, Outcome,
    args::{Global, RenderArgs},
    config, gather, print,
    progress::Progress,
};
use crate::{
    config::AppName,
    git::{GitError, GitErrorKind, Repository},
    object::yaml,
    render,
    stages::{
        cluster,
        git::{KubeFacts, RenderEnv},
    },
};

fn unknown(error: GitError) -> Bad {
    Bad::Unknown(error.into())
}

/// Prints the objects of one app as YAML, each with where it is written.
pub async fn run(args: RenderArgs, global: &Global) -> Outcome {
    let config = config::load(&args.witness)?;
    let Some(app) = config.apps.get(&AppName(args.app.as_str().into())).cloned() else {
        let known: Vec<_> = config.apps.keys().map(ToString::to_string).collect();
        let known = if known.is_empty() { "none is configured".to_owned() } else { format!("there is {}", known.join(", ")) };
        return Err(Bad::Usage(anyhow::anyhow!("no app `{}`; {known}", args.app)));
    };
    let Some(source) = config.sources.get(&app.source).cloned() else {
        return Err(Bad::Usage(anyhow::anyhow!("app {}: no source {}", app.name, app.source)));
    };
    let redactor = gather::redactor(&config)?;
    let env = RenderEnv::new(&config, redactor.clone(), gather::launcher());
    let progress = Progress::start(global.quiet);
    // A chart may look at the cluster's version; if there is no cluster at hand it is rendered for the tool's default.
    let facts = match config.cluster.dump.is_some() || config.cluster.context.is_some() || config.cluster.kubeconfig.is_some() {
        true => {
            progress.now("reading the cluster");
            cluster::facts(&cluster::read_once(&config, &redactor, Timestamp::now(), &|_| {}).await)
        }
        false => KubeFacts::default(),
    };
    progress.now("reading Git and rendering");
    let cache = config.cache_dir.clone();
    let wanted = args.commit.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let repository = Repository::open(&source, &cache).map_err(unknown)?;
        let tip = repository.update(&AtomicBool::new(false)).map_err(unknown)?.tip;
        let commit = match wanted {
            None => tip,
            Some(digits) => repository.find_commit(&digits).map_err(|e| match e.error_kind() {
                GitErrorKind::NotFound | GitErrorKind::AmbiguousRef => Bad::Usage(anyhow::anyhow!("--commit: {e}")),
                _ => unknown(e),
            })?,
        };
        let tree = repository.tree(&commit.sha).map_err(unknown)?;
        Ok::<_, Bad>((commit, tree))
    });
    let (commit, tree) = opened.await.map_err(|e| Bad::Unknown(e.into()))??;
    let rendered = render::render(&app, &commit.sha, &tree, &env.context(&facts), Timestamp::now()).await;
    let rendered = rendered.map_err(|e| Bad::Unknown(anyhow::anyhow!("app {}: {e}", app.name)))?;
    drop(progress);
    let evidence = &rendered.evidence;
    let mut text = format!("# app {} at {} by {}", app.name, commit.sha, evidence.tool.as_deref().unwrap_or(&evidence.renderer));
    if let Some(sandbox) = &evidence.sandbox {
        text.push_str(&format!(", confined by {sandbox}"));
    }
    text.push_str(&format!(": {} objects, {} hooks left out\n", rendered.objects.len(), evidence.hooks));
    for d in &rendered.diagnostics {
        let line = d.line.map(|l| format!(":{l}")).unwrap_or_default();
        text.push_str(&format!("# {}{line}: {}\n", d.file, d.message));
    }
    for desired in &rendered.objects {
        text.push_str("---\n");
        if let Some(origin) = &desired.origin {
            text.push_str(&format!("# {}:{}\n", origin.file, origin.line));
        }
        let value = desired.object.content.value();
        text.push_str(&yaml::write(&value).map_err(|e| Bad::Unknown(e.into()))?);
    }
    print(&text)
}
