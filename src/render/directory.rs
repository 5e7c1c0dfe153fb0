//! Plain YAML and JSON, by Argo CD's or Flux's rules for a folder. pure
//!
//! Argo CD: `reposerver/repository/repository.go` (`getPotentiallyValidManifests`, `getObjsFromYAMLOrJSON`). Flux: the generator of
//! github.com/fluxcd/pkg `kustomize`, over what the source's artifact holds (`artifact/storage`: no links, `.sourceignore`).

mod plan;

use serde_json::Value;

use super::{Caps, Collected, RenderError, collect::Collector, collect::Manners};
use crate::{
    config::{App, DirectoryOptions, DirectoryRules},
    git::{Tree, TreeError},
    object::{
        Redactor, Text,
        yaml::{self, Document, Limits, LineMap, Parsed, YamlError},
    },
};

pub(super) use plan::plan;

/// A file that holds this anywhere is not read by Argo CD.
const SKIP_MARKER: &str = "+argocd:skip-file-rendering";

/// Renders an app of plain files. The app's path may be a folder or a single file. Namespaces are left as they are written.
///
/// # Errors
/// A cap is reached; a link leaves the repository; a file that looks like a manifest is not YAML (with file, line and column); under
/// Flux's rules also any other file that is not YAML or not objects, and [`RenderError::NeedsKustomize`] where a kustomization lies.
pub fn render(app: &App, options: &DirectoryOptions, tree: &dyn Tree, redactor: &Redactor, caps: &Caps) -> Result<Collected, RenderError> {
    let plan = plan(app, options, tree, caps)?;
    let flux = options.rules == DirectoryRules::Flux;
    let mut collector = Collector::new(redactor, caps, Manners { strict: flux, hooks_apart: !flux, local_config_apart: flux });
    for (file, message) in plan.dangling {
        collector.remark(&file.as_str().into(), None, "dangling_link", message);
    }
    let mut left = caps.bytes;
    for manifest in plan.manifests {
        let bytes = tree.read(&manifest.content, left).map_err(|error| match error {
            TreeError::TooLarge { .. } => RenderError::TooLarge { what: "bytes", cap: caps.bytes, place: app.path.clone() },
            other => other.into(),
        })?;
        left = left.saturating_sub(bytes.len() as u64);
        let rules = Reading { flux, named: plan.single, limits: Limits::within(caps.bytes) };
        rules.file(&mut collector, &manifest.file, &bytes)?;
    }
    Ok(collector.finish())
}

/// How files are read.
struct Reading {
    flux: bool,
    /// The user named this very file, so it is meant to hold manifests.
    named: bool,
    limits: Limits,
}

impl Reading {
    fn file(&self, collector: &mut Collector<'_>, file: &str, bytes: &[u8]) -> Result<(), RenderError> {
        let text = yaml::decode(bytes);
        if !self.flux && text.contains(SKIP_MARKER) {
            return Ok(());
        }
        let name: Text = file.into();
        let meant = self.flux || self.named || looks_like_a_manifest(&text);
        let json = file.ends_with(".json");
        let parsed = match self.parse(bytes, json) {
            Ok(parsed) => parsed,
            Err(error) if meant => return Err(RenderError::Yaml { file: file.to_owned(), error }),
            Err(error) => {
                collector.remark(&name, Some(error.line), "not_a_manifest", format!("passed over: {error}"));
                return Ok(());
            }
        };
        if !meant {
            // Settings of other programs lie beside manifests; that is no finding, so one remark is enough.
            if parsed.documents.iter().any(|d| !d.value.is_null()) {
                collector.remark(&name, None, "not_a_manifest", "passed over: holds no Kubernetes object".to_owned());
            }
            return Ok(());
        }
        collector.notes(&name, parsed.diagnostics);
        parsed.documents.into_iter().try_for_each(|document| collector.document(&name, document, true))
    }

    fn parse(&self, bytes: &[u8], json: bool) -> Result<Parsed, YamlError> {
        let parsed = yaml::parse(bytes, &self.limits);
        if !json {
            return parsed;
        }
        match parsed {
            Ok(parsed) => match parsed.documents.get(1) {
                Some(second) => {
                    let reason = "a JSON file may hold one object only; put them into a List or into files of their own".to_owned();
                    Err(YamlError { line: second.line, column: 1, reason })
                }
                None => Ok(parsed),
            },
            // Not all JSON is YAML 1.1: a key may be long, or stand on another line than its colon.
            Err(error) if bytes.len() as u64 <= self.limits.bytes => match serde_json::from_str::<Value>(&yaml::decode(bytes)) {
                Ok(value) => Ok(Parsed { documents: vec![Document { value, line: 1, lines: LineMap::default() }], diagnostics: Vec::new() }),
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

/// Argo CD's test of a file that does not parse: with all three words in it, it is meant as a manifest.
fn looks_like_a_manifest(text: &str) -> bool {
    let has = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let rest = text[at + word.len()..].trim_start_matches(['"', '\'', ' ', '\t', '\r', '\n']);
            rest.starts_with(':')
        })
    };
    has("apiVersion") && has("kind") && has("metadata")
}
