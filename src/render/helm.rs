//! The helm renderer: `helm template` on a chart in the repository, as Argo CD runs it. I/O: a confined child process.
//!
//! Dependencies must be vendored; `helm dependency update` is never run. Values are validated against `values.schema.json` as a deployer
//! would, unless the schema refers to another file or address: that would need the network (and has let helm read `/dev/zero`), so
//! validation is then skipped and a diagnostic says so. Validation never changes what is rendered. A schema packed inside a subchart's
//! archive is not looked into; if it refers elsewhere, the render fails with helm's words.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use super::{
    closure::Closure,
    exec::{Context, ExecError, Prepared, Printed, Tool, prepare, run, submodules},
    export::{Exported, write_own},
    sandbox::SandboxError,
};
use crate::{
    config::{App, HelmOptions},
    git::Tree,
    witness::Diagnostic,
};

/// API versions per argument: the kernel bounds the length of one.
const API_VERSIONS_EACH: usize = 500;

/// Name of a chart's schema for its values.
const SCHEMA: &str = "values.schema.json";

/// Renders the chart in the app's folder. Returns what was printed and what a person should know.
pub(super) async fn template(
    app: &App,
    options: &HelmOptions,
    closure: &Closure,
    tree: &dyn Tree,
    ctx: &Context<'_>,
) -> Result<(Printed, Vec<Diagnostic>), ExecError> {
    let value_files = options.value_files.iter().map(|f| value_file(&app.path, f)).collect::<Result<Vec<_>, _>>()?;
    // Templates read any file of the chart (`.Files`), so the whole folder is needed.
    let paths = closure.paths.iter().chain(&value_files).chain([&app.path]).map(String::as_str);
    let mut prepared = prepare(ctx, tree, &app.path, paths)?;
    let on_disk = prepared.folder.tree();
    check_dependencies(&on_disk.join(&app.path), &app.path)?;
    for (path, given) in value_files.iter().zip(&options.value_files) {
        if !on_disk.join(path).is_file() {
            return Err(ExecError::ValueFile { file: given.clone(), reason: "no such file in this commit" });
        }
    }
    let mut diagnostics = submodules(&prepared.exported);

    let mut args = vec!["template".to_owned()];
    args.push(format!("--namespace={}", app.namespace.as_deref().unwrap_or("default")));
    args.push(if options.skip_crds { "--skip-crds" } else { "--include-crds" }.to_owned());
    if let Some(version) = options.kube_version.as_ref().or(ctx.kube_version.as_ref()) {
        args.push(format!("--kube-version={version}"));
    }
    args.extend(ctx.api_versions.chunks(API_VERSIONS_EACH).map(|some| format!("--api-versions={}", some.join(","))));
    args.extend(value_files.iter().map(|path| format!("--values={}", on_disk.join(path).display())));
    if let Some(values) = &options.values {
        args.push(format!("--values={}", inline_values(values, &mut prepared)?));
    }
    if let Some(schema) = schema_that_refers_elsewhere(&on_disk, &prepared.exported) {
        args.push("--skip-schema-validation".to_owned());
        diagnostics.push(Diagnostic {
            message: format!("{schema} refers to another file or address, which a render cannot reach: values were not validated"),
            file: schema.into(),
            line: None,
            reason: "schema_not_validated".into(),
        });
    }
    // After `--` nothing is taken for a flag, whatever the release is called.
    args.extend(["--".to_owned(), options.release_name.clone().unwrap_or_else(|| app.name.to_string()), ".".to_owned()]);
    let printed = run(ctx, Tool::Helm, args, &app.path, prepared).await?;
    Ok((printed, diagnostics))
}

/// The path in the source of a value file: relative to the chart, or to the repository's root with a leading slash, as in Argo CD.
fn value_file(chart: &str, given: &str) -> Result<String, ExecError> {
    let bad = |reason| ExecError::ValueFile { file: given.to_owned(), reason };
    if given.contains("://") {
        return Err(bad("it is an address; renders have no network, so keep it in the repository"));
    }
    let (base, rest) = match given.strip_prefix('/') {
        Some(rest) => ("", rest),
        None => (chart, given),
    };
    let mut steps: Vec<&str> = base.split('/').filter(|s| !s.is_empty()).collect();
    for step in rest.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop().ok_or_else(|| bad("it leaves the repository"))?),
            step => steps.push(step),
        }
    }
    Ok(steps.join("/"))
}

fn inline_values(values: &str, prepared: &mut Prepared) -> Result<String, ExecError> {
    let path = prepared.folder.input().join("values.yaml");
    prepared.exported.values.learn("values.yaml", values.as_bytes());
    let failed =
        |source| ExecError::Sandbox { tool: Tool::Helm.name().to_owned(), source: SandboxError::Folder { what: "the inline values".into(), source } };
    write_own(&path, values.as_bytes()).map_err(failed)?;
    Ok(path.display().to_string())
}

/// What is of interest in `Chart.yaml` and `requirements.yaml`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Chart {
    name: Option<String>,
    dependencies: Option<Vec<Dependency>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Dependency {
    name: String,
}

fn chart_file(path: &Path, shown: &str) -> Result<Option<Chart>, ExecError> {
    let bad = |reason: String| ExecError::Chart { file: shown.to_owned(), reason };
    match fs::read(path) {
        Ok(text) => serde_yaml::from_slice::<Option<Chart>>(&text).map(|c| Some(c.unwrap_or_default())).map_err(|e| {
            // The parser's message may quote a value; where it stands is enough.
            bad(e.location().map_or_else(|| "not the expected YAML".to_owned(), |l| format!("line {}, column {}", l.line(), l.column())))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(bad(e.kind().to_string())),
    }
}

/// Refuses a chart whose dependencies are not all in `charts/`, as folders or archives.
fn check_dependencies(chart: &Path, shown: &str) -> Result<(), ExecError> {
    let at = |name: &str| if shown.is_empty() { name.to_owned() } else { format!("{shown}/{name}") };
    let mut wanted = Vec::new();
    for name in ["Chart.yaml", "requirements.yaml"] {
        let found = chart_file(&chart.join(name), &at(name))?;
        wanted.extend(found.and_then(|c| c.dependencies).unwrap_or_default().into_iter().map(|d| d.name));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut folders = Vec::new();
    let mut archives = Vec::new();
    for entry in fs::read_dir(chart.join("charts")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix(".tgz") {
            archives.push(stem.to_owned());
        } else {
            // A link's target was exported as well, so it can be looked into.
            let inner = chart_file(&entry.path().join("Chart.yaml"), &at(&format!("charts/{name}/Chart.yaml")));
            folders.extend(inner.ok().flatten().and_then(|c| c.name));
        }
    }
    let archived = |name: &str| archives.iter().any(|a| a.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')));
    let missing: Vec<String> = wanted.into_iter().filter(|name| !folders.contains(name) && !archived(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(ExecError::MissingDependencies { chart: at("Chart.yaml"), missing }) }
}

/// The first schema with a reference that is not inside itself.
fn schema_that_refers_elsewhere(on_disk: &Path, exported: &Exported) -> Option<String> {
    let is_schema = |path: &&String| path.rsplit('/').next() == Some(SCHEMA);
    let refers = |path: &&String| {
        let schema = fs::read(on_disk.join(path)).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        schema.is_some_and(|s| refers_elsewhere(&s))
    };
    exported.files.iter().filter(is_schema).find(refers).cloned()
}

fn refers_elsewhere(schema: &Value) -> bool {
    let outside = |key: &str, value: &Value| match (key, value.as_str()) {
        ("$ref" | "$dynamicRef" | "$recursiveRef", Some(target)) => !target.starts_with('#'),
        // Known drafts are built into helm; any other would be fetched.
        ("$schema", Some(target)) => !target.contains("://json-schema.org/"),
        _ => false,
    };
    match schema {
        Value::Object(map) => map.iter().any(|(k, v)| outside(k, v) || refers_elsewhere(v)),
        Value::Array(items) => items.iter().any(refers_elsewhere),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn value_files_stay_in_the_repository() {
        for (chart, given, path) in [
            ("charts/shop", "values-prod.yaml", "charts/shop/values-prod.yaml"),
            ("charts/shop", "../../env/prod.yaml", "env/prod.yaml"),
            ("charts/shop", "/env/./prod.yaml", "env/prod.yaml"),
            ("", "a.yaml", "a.yaml"),
        ] {
            assert_eq!(value_file(chart, given).expect("inside"), path);
        }
        for given in ["../../../etc/passwd", "/../x", "https://example.com/v.yaml", "s3://bucket/v.yaml"] {
            assert_eq!(value_file("charts/shop", given).expect_err("refused").kind(), "value_file", "{given}");
        }
    }

    #[test]
    fn dependencies_must_be_vendored() {
        let check = |files: &[(&str, &str)]| {
            let dir = tempfile::tempdir().expect("a folder");
            for (path, text) in files {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, text).expect("written");
            }
            check_dependencies(dir.path(), "shop").map_err(|e| e.to_string())
        };
        let wants = ("Chart.yaml", "name: shop\ndependencies:\n- {name: redis, version: 1.x, repository: 'https://charts.example.com'}\n");
        assert_eq!(check(&[("Chart.yaml", "name: shop\n")]), Ok(()));
        assert_eq!(check(&[("Chart.yaml", "name: shop\ndependencies: null\n")]), Ok(()));
        assert_eq!(check(&[wants, ("charts/redis-1.2.3.tgz", "")]), Ok(()));
        assert_eq!(check(&[wants, ("charts/vendored/Chart.yaml", "name: redis\n")]), Ok(()));
        let missing = check(&[wants, ("charts/redisearch-1.0.0.tgz", ""), ("charts/README.md", "")]).expect_err("refused");
        assert!(missing.contains("needs redis") && missing.contains("helm dependency build"), "{missing}");
        assert!(check(&[("Chart.yaml", "name: shop\n"), ("requirements.yaml", "dependencies:\n- name: old\n")]).is_err());
        let broken = check(&[("Chart.yaml", "name: shop\ndependencies: canary-value\n")]).expect_err("refused");
        assert!(broken.contains("shop/Chart.yaml") && !broken.contains("canary"), "{broken}");
    }

    #[test]
    fn only_references_that_leave_the_schema_count() {
        for (schema, elsewhere) in [
            (json!({"$schema": "https://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/a"}}}), false),
            (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), false),
            (json!({"allOf": [{"$ref": "https://example.com/s.json"}]}), true),
            (json!({"properties": {"a": {"$ref": "file:///dev/zero"}}}), true),
            (json!({"$schema": "https://example.com/own"}), true),
        ] {
            assert_eq!(refers_elsewhere(&schema), elsewhere, "{schema}");
        }
    }
}
