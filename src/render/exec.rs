//! What kustomize and helm have in common: find the program, ask its version, run it confined, clean what it says. I/O: child processes.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use thiserror::Error;

use super::{
    RenderError,
    closure::{Reference, Why},
    export::{ExportCaps, ExportError, Exported, export},
    sandbox::{
        self, Folder, Job, Layer, Layers, Limits, SandboxError,
        launcher::find_program,
        message::{Values, clean},
    },
};
use crate::{
    config,
    git::Tree,
    object::{Redactor, Text},
    witness::Diagnostic,
};

/// A program that renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// `kustomize`.
    Kustomize,
    /// `helm`, version 3 or 4.
    Helm,
}

impl Tool {
    /// Its name, in evidence and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kustomize => "kustomize",
            Self::Helm => "helm",
        }
    }

    fn program(self, settings: &config::Render) -> &Path {
        match self {
            Self::Kustomize => &settings.kustomize,
            Self::Helm => &settings.helm,
        }
    }

    fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Kustomize => &["version"],
            Self::Helm => &["version", "--short"],
        }
    }
}

/// What was learnt about programs and the kernel, kept between renders. Share one in a process.
#[derive(Debug, Default)]
pub struct ToolVersions {
    /// By path, time of change and size: a program that was replaced is asked again.
    known: Mutex<HashMap<(PathBuf, SystemTime, u64), Text>>,
    broken: Mutex<Vec<Layer>>,
}

impl ToolVersions {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn worth_trying(&self, asked: &Layers) -> Layers {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.iter().fold(asked.clone(), |layers, layer| layers.without(*layer))
    }

    fn remember_broken(&self, layers: &[Layer]) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(layers);
    }
}

/// What renders need besides the app and its files.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The configuration's part on rendering.
    pub settings: &'a config::Render,
    /// Hides the values of Secrets in what comes out.
    pub redactor: &'a Redactor,
    /// Our own binary, which becomes the launcher (`/proc/self/exe` in the program itself).
    pub launcher: &'a Path,
    /// The cluster's version, for charts that ask for it.
    pub kube_version: Option<String>,
    /// What the cluster serves, as `group/version` and `group/version/Kind`, for charts that ask for it.
    pub api_versions: Vec<String>,
    /// Where render folders are made.
    pub scratch_root: &'a Path,
    /// What earlier renders learnt.
    pub tools: &'a ToolVersions,
    /// Layers of confinement to try; all but in tests.
    pub layers: Layers,
    /// Bounds of what is written into a render's folder.
    pub export_caps: ExportCaps,
}

impl<'a> Context<'a> {
    /// A context with every layer, the usual bounds and nothing known of the cluster.
    pub fn new(settings: &'a config::Render, redactor: &'a Redactor, launcher: &'a Path, scratch_root: &'a Path, tools: &'a ToolVersions) -> Self {
        Self {
            settings,
            redactor,
            launcher,
            kube_version: None,
            api_versions: Vec::new(),
            scratch_root,
            tools,
            layers: Layers::all(),
            export_caps: ExportCaps::default(),
        }
    }
}

/// Why a program could not render an app. Messages hold no Secret values and no paths of the render's folder.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The app refers to something that is not in its repository. Never empty.
    #[error("{}", tell_references(.0))]
    References(Vec<Reference>),
    /// Its files could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// There is no such folder in the commit.
    #[error("no folder {} in this commit", if .0.is_empty() { "." } else { .0 })]
    NoFolder(String),
    /// The program is not there.
    #[error("no program {program}; install {tool} or set render.{tool} to its path", program = .program.display())]
    NoProgram {
        /// kustomize or helm.
        tool: &'static str,
        /// As configured.
        program: PathBuf,
    },
    /// A chart names dependencies that are not in its `charts/` folder.
    #[error(
        "the chart {chart} needs {}, missing in its charts/ folder; renders fetch nothing, so run `helm dependency build` and commit charts/",
        .missing.join(", ")
    )]
    MissingDependencies {
        /// Folder of the chart.
        chart: String,
        /// Names of the dependencies.
        missing: Vec<String>,
    },
    /// A value file that cannot be used.
    #[error("value file {file}: {reason}")]
    ValueFile {
        /// As configured.
        file: String,
        /// Why.
        reason: &'static str,
    },
    /// A chart file that is not what Helm takes.
    #[error("{file} is not readable as a chart: {reason}")]
    Chart {
        /// The file.
        file: String,
        /// Why, without content.
        reason: String,
    },
    /// The sandbox ended it, or could not be made.
    #[error("{tool}: {source}")]
    Sandbox {
        /// Name and, if known, version.
        tool: String,
        /// Why.
        source: SandboxError,
    },
    /// The program itself gave up.
    #[error("{tool}: {message}")]
    Failed {
        /// Name and version.
        tool: String,
        /// What it said, cleaned.
        message: String,
    },
}

impl ExecError {
    /// Stable word: metric label and failure reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::References(all) => match worst(all) {
                Why::Remote => "remote_reference",
                Why::Escapes => "bad_link",
                Why::Missing => "missing_file",
            },
            Self::Export(e) => e.kind(),
            Self::NoFolder(_) => "path_not_found",
            Self::NoProgram { .. } => "tool_missing",
            Self::MissingDependencies { .. } => "missing_dependency",
            Self::ValueFile { .. } => "value_file",
            Self::Chart { .. } => "bad_chart",
            Self::Sandbox { source, .. } => source.kind(),
            Self::Failed { .. } => "render_failed",
        }
    }
}

/// The reason that decides what the way out is.
fn worst(all: &[Reference]) -> Why {
    [Why::Remote, Why::Escapes].into_iter().find(|why| all.iter().any(|r| r.why == *why)).unwrap_or(Why::Missing)
}

/// Names references in a message at most.
const REFERENCES_TOLD: usize = 5;

fn tell_references(all: &[Reference]) -> String {
    let why = worst(all);
    let these: Vec<String> = all.iter().filter(|r| r.why == why).map(|r| format!("{} (in {})", r.target, r.from)).collect();
    let more = if these.len() > REFERENCES_TOLD { format!(" and {} more", these.len() - REFERENCES_TOLD) } else { String::new() };
    let these = format!("{}{more}", these[..these.len().min(REFERENCES_TOLD)].join(", "));
    match why {
        Why::Remote => format!("the app refers to {these}; renders have no network, so keep a copy in the repository"),
        Why::Escapes => format!("the app refers to {these}, which leads out of the repository; references and links must stay inside it"),
        Why::Missing => format!("the app refers to {these}, which is not in this commit"),
    }
}

impl From<ExecError> for RenderError {
    fn from(error: ExecError) -> Self {
        Self::Other { kind: error.kind(), message: error.to_string() }
    }
}

/// An app's files in a render's folder, ready to be rendered.
pub(super) struct Prepared {
    pub folder: Folder,
    pub exported: Exported,
}

/// Writes `paths` into a fresh folder; `app_path` must be a folder there.
pub(super) fn prepare<'p>(
    ctx: &Context<'_>,
    tree: &dyn Tree,
    app_path: &str,
    paths: impl IntoIterator<Item = &'p str>,
) -> Result<Prepared, ExecError> {
    let folder = Folder::new(ctx.scratch_root).map_err(|source| ExecError::Sandbox { tool: "render".into(), source })?;
    let exported = export(tree, paths, &folder.tree(), &ctx.export_caps)?;
    if !super::export::is_folder(&folder.tree(), app_path) {
        return Err(ExecError::NoFolder(app_path.to_owned()));
    }
    Ok(Prepared { folder, exported })
}

/// What a program printed.
pub(super) struct Printed {
    pub stdout: Vec<u8>,
    /// Name and version.
    pub tool: Text,
    /// The layers that confined it.
    pub sandbox: Text,
}

/// Runs a program in a prepared folder, which is gone afterwards.
pub(super) async fn run(ctx: &Context<'_>, tool: Tool, args: Vec<String>, cwd: &str, prepared: Prepared) -> Result<Printed, ExecError> {
    let program = find(ctx, tool)?;
    let version = version(ctx, tool, &program).await?;
    let named: Text = format!("{} {version}", tool.name()).into();
    let Prepared { folder, exported } = prepared;
    let ran = confined(ctx, &program, args, cwd, folder, &exported.values).await;
    let (ran, said) = ran.map_err(|source| ExecError::Sandbox { tool: named.to_string(), source })?;
    if ran.code != Some(0) {
        let message = match (said.is_empty(), ran.code) {
            (false, _) => said,
            (true, Some(code)) => format!("it ended with code {code} and said nothing"),
            (true, None) => "a signal ended it".to_owned(),
        };
        return Err(ExecError::Failed { tool: named.to_string(), message });
    }
    Ok(Printed { stdout: ran.stdout, tool: named, sandbox: ran.held.to_string().into() })
}

/// Runs once, and cleans the message while the paths to clean out of it are known.
async fn confined(
    ctx: &Context<'_>,
    program: &Path,
    args: Vec<String>,
    cwd: &str,
    folder: Folder,
    values: &Values,
) -> Result<(sandbox::Ran, String), SandboxError> {
    let job = Job {
        launcher: ctx.launcher.to_owned(),
        program: program.to_owned(),
        args,
        environment: Vec::new(),
        cwd: cwd.to_owned(),
        limits: Limits { wall: ctx.settings.timeout, memory_bytes: ctx.settings.memory_bytes, output_bytes: ctx.settings.output_bytes },
        layers: ctx.tools.worth_trying(&ctx.layers),
        strict: ctx.settings.sandbox == config::Sandbox::Strict,
    };
    let (root, tree) = (folder.path().display().to_string(), folder.tree().display().to_string());
    let ran = sandbox::run(job, folder).await?;
    ctx.tools.remember_broken(&ran.broken);
    let said = clean(&ran.stderr, &root, &tree, values);
    Ok((ran, said))
}

fn find(ctx: &Context<'_>, tool: Tool) -> Result<PathBuf, ExecError> {
    let program = tool.program(ctx.settings);
    let path = std::env::var_os("PATH");
    find_program(program, path.as_deref()).ok_or_else(|| ExecError::NoProgram { tool: tool.name(), program: program.to_owned() })
}

/// Asks a program for its version, confined like a render, once per path, time of change and size.
async fn version(ctx: &Context<'_>, tool: Tool, program: &Path) -> Result<Text, ExecError> {
    let gone = || ExecError::NoProgram { tool: tool.name(), program: program.to_owned() };
    let meta = fs::metadata(program).map_err(|_| gone())?;
    let key = (program.to_owned(), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len());
    if let Some(known) = ctx.tools.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(known.clone());
    }
    let named = |source| ExecError::Sandbox { tool: tool.name().to_owned(), source };
    let folder = Folder::new(ctx.scratch_root).map_err(named)?;
    let args = tool.version_args().iter().map(|a| (*a).to_owned()).collect();
    let (ran, said) = confined(ctx, program, args, "", folder, &Values::default()).await.map_err(named)?;
    if ran.code != Some(0) {
        let message = format!("{} does not tell its version: {said}", program.display());
        return Err(ExecError::Failed { tool: tool.name().to_owned(), message });
    }
    let version: Text = version_in(&String::from_utf8_lossy(&ran.stdout)).into();
    ctx.tools.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, version.clone());
    Ok(version)
}

/// The version in what `version` prints: `v5.8.1`, `v3.17.2+gcc0bbbd`, `{Version:kustomize/v4.5.7 GitCommit:...}`.
fn version_in(text: &str) -> String {
    let word = |c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c));
    let is_version = |w: &&str| w.strip_prefix('v').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()) && r.contains('.'));
    let found = text.split(word).find(is_version).map(str::to_owned);
    found.unwrap_or_else(|| text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(40).collect())
}

/// Tells of submodules whose files a render may miss.
pub(super) fn submodules(exported: &Exported) -> Vec<Diagnostic> {
    let told = |path: &String| Diagnostic {
        file: path.as_str().into(),
        line: None,
        reason: "submodule".into(),
        message: format!("{path} is a submodule: its files are in another repository and were not rendered"),
    };
    exported.submodules.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_by_the_reason_that_counts_most() {
        let reference = |target: &str, why| Reference { from: "app/kustomization.yaml".into(), target: target.into(), why };
        let missing = reference("a.yaml", Why::Missing);
        for (all, kind, message) in [
            (vec![missing.clone()], "missing_file", "the app refers to a.yaml (in app/kustomization.yaml), which is not in this commit"),
            (
                vec![missing.clone(), reference("../../..", Why::Escapes)],
                "bad_link",
                "the app refers to ../../.. (in app/kustomization.yaml), which leads out of the repository; references and links must stay inside it",
            ),
            (
                vec![missing, reference("https://git.example.com/x", Why::Remote)],
                "remote_reference",
                "the app refers to https://git.example.com/x (in app/kustomization.yaml); renders have no network, so keep a copy in the repository",
            ),
        ] {
            let error = ExecError::References(all);
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
        }
        let many = ExecError::References((0..7).map(|n| reference(&format!("{n}.yaml"), Why::Missing)).collect()).to_string();
        assert!(many.contains("4.yaml") && !many.contains("5.yaml") && many.contains("and 2 more"), "{many}");
    }

    #[test]
    fn versions_are_found_in_what_tools_print() {
        for (text, version) in [
            ("v5.8.1\n", "v5.8.1"),
            ("v3.17.2+gcc0bbbd\n", "v3.17.2"),
            ("{Version:kustomize/v4.5.7 GitCommit:56d82a}", "v4.5.7"),
            ("(devel)\n", "(devel)"),
            ("", ""),
        ] {
            assert_eq!(version_in(text), version);
        }
    }
}
