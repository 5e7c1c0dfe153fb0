//! Folders to objects and closures, by cases: files in, outcome out. I/O: reads tests/data/render.

#![cfg(test)]

use std::{fmt::Write as _, fs, path::Path};

use snapgap::{
    config::{App, AppName, DirectoryOptions, DirectoryRules, HelmOptions, Renderer, SourceName},
    git::{MemoryTree, Tree},
    object::Redactor,
    render::{Caps, RenderError, closure, detect::detect, directory},
};

/// A case: settings (`key: value`), files (`-- path --`, `-- path -> target --` for links), and after `==` the outcome.
struct Case {
    settings: Vec<(String, String)>,
    files: Vec<File>,
    outcome: String,
}

enum File {
    Plain(String, String),
    Link(String, String),
}

impl Case {
    fn parse(text: &str) -> Self {
        let (input, outcome) = text.split_once("\n==\n").expect("an outcome after ==");
        let (mut settings, mut files) = (Vec::new(), Vec::<File>::new());
        for line in input.lines() {
            if let Some(name) = line.strip_prefix("-- ").and_then(|l| l.strip_suffix(" --")) {
                files.push(match name.split_once(" -> ") {
                    Some((path, target)) => File::Link(path.into(), target.into()),
                    None => File::Plain(name.into(), String::new()),
                });
            } else if let Some(file) = files.last_mut() {
                let File::Plain(_, content) = file else { panic!("a link has no content: {line}") };
                content.push_str(line);
                content.push('\n');
            } else if let Some((key, value)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
                settings.push((key.into(), value.into()));
            }
        }
        Self { settings, files, outcome: outcome.to_owned() }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn number(&self, key: &str, default: usize) -> usize {
        self.get(key).map_or(default, |n| n.parse().expect("a number"))
    }

    /// The tree, with the file of this number changed if there is one.
    fn tree(&self, changed: Option<usize>) -> MemoryTree {
        self.files.iter().enumerate().fold(MemoryTree::new(), |tree, (n, file)| match file {
            File::Plain(path, content) if changed == Some(n) => tree.with(path, format!("{content}\n# changed\n")),
            File::Plain(path, content) => tree.with(path, content.as_str()),
            File::Link(path, target) if changed == Some(n) => tree.with_link(path, &format!("./{target}")),
            File::Link(path, target) => tree.with_link(path, target),
        })
    }

    fn directory(&self) -> DirectoryOptions {
        DirectoryOptions {
            recurse: self.get("recurse") == Some("true"),
            include: self.get("include").map(str::to_owned),
            exclude: self.get("exclude").map(str::to_owned),
            rules: if self.get("rules") == Some("flux") { DirectoryRules::Flux } else { DirectoryRules::Argocd },
        }
    }

    fn app(&self) -> App {
        let renderer = match self.get("renderer") {
            Some("kustomize") => Renderer::Kustomize,
            Some("helm") => Renderer::Helm(HelmOptions {
                value_files: self.get("values").map(|v| v.split(' ').map(str::to_owned).collect()).unwrap_or_default(),
                ..HelmOptions::default()
            }),
            Some("auto") => Renderer::Auto,
            _ => Renderer::Directory(self.directory()),
        };
        let path = self.get("path").unwrap_or_default().to_owned();
        App { name: AppName("shop".into()), source: SourceName("s".into()), path, namespace: None, layer: None, renderer }
    }
}

fn told(error: &RenderError) -> String {
    let text = format!("error {}: {error}\n", error.kind());
    assert!(!text.contains("canary") && !format!("{error:?}").contains("canary"), "a value is quoted: {error:?}");
    text
}

/// Runs every case of a folder and compares its outcome.
fn run(folder: &str, outcome: impl Fn(&Case) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/render").join(folder);
    let mut cases: Vec<_> = fs::read_dir(&folder).expect("cases").map(|e| e.expect("entry").path()).collect();
    cases.sort();
    let mut wrong = String::new();
    for path in &cases {
        let case = Case::parse(&fs::read_to_string(path).expect("readable"));
        let got = outcome(&case);
        if got != case.outcome {
            let _ = write!(wrong, "---- {}\nwanted:\n{}got:\n{got}", path.display(), case.outcome);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases.len() > 5, "cases are missing");
}

#[test]
fn folders_render_by_the_rules_of_their_deployer() {
    run("directory", |case| {
        let caps = Caps {
            files: case.number("files", Caps::default().files),
            entries: case.number("entries", Caps::default().entries),
            bytes: case.number("bytes", 10 << 20) as u64,
            objects: case.number("objects", Caps::default().objects),
        };
        let tree = case.tree(None);
        let rendered = match directory::render(&case.app(), &case.directory(), &tree, &Redactor::new([0; 32]), &caps) {
            Ok(rendered) => rendered,
            Err(error) => return told(&error),
        };
        let mut text = String::new();
        for desired in &rendered.objects {
            let origin = desired.origin.as_ref().expect("plain files have an origin");
            let _ = writeln!(text, "{} at {}:{}", desired.object.id, origin.file, origin.line);
        }
        for d in &rendered.diagnostics {
            let _ = writeln!(text, "remark {}:{} {}: {}", d.file, d.line.map_or("-".to_owned(), |l| l.to_string()), d.reason, d.message);
        }
        if rendered.hooks > 0 {
            let _ = writeln!(text, "hooks {}", rendered.hooks);
        }
        assert!(!text.contains("canary") && rendered.objects.iter().all(|d| !d.object.content.json().contains("canary")), "a value is quoted");
        text
    });
}

#[test]
fn closures_hold_what_a_render_depends_on_and_nothing_else() {
    run("closure", |case| {
        let app = case.app();
        let hash = |tree: &dyn Tree| closure(&app, &detect(&app, tree)?, tree);
        let whole = match hash(&case.tree(None)) {
            Ok(whole) => whole,
            Err(error) => return told(&error),
        };
        assert_eq!(hash(&case.tree(None)).as_ref(), Ok(&whole), "the same tree, the same closure");
        let mut text = format!("export {}\n", whole.paths.iter().map(|p| if p.is_empty() { "." } else { p }).collect::<Vec<_>>().join(" "));
        for (n, file) in case.files.iter().enumerate() {
            let (File::Plain(path, _) | File::Link(path, _)) = file;
            if hash(&case.tree(Some(n))).map(|c| c.hash) != Ok(whole.hash.clone()) {
                let _ = writeln!(text, "depends {path}");
            }
        }
        for reference in &whole.remote {
            let _ = writeln!(text, "{:?} {} from {}", reference.why, reference.target, reference.from);
        }
        text
    });
}

#[test]
fn settings_are_part_of_the_closure() {
    let tree = MemoryTree::new().with("a/Chart.yaml", "").with("a/kustomization.yaml", "{}").with("a/x.yaml", "");
    let app = Case::parse("path: a\n\n==\n").app();
    let mut hashes: Vec<String> = Vec::new();
    let helm = |options: HelmOptions| Renderer::Helm(options);
    for renderer in [
        Renderer::Directory(DirectoryOptions::default()),
        Renderer::Directory(DirectoryOptions { recurse: true, ..DirectoryOptions::default() }),
        Renderer::Kustomize,
        helm(HelmOptions::default()),
        helm(HelmOptions { values: Some("a: 1".into()), ..HelmOptions::default() }),
        helm(HelmOptions { skip_crds: true, ..HelmOptions::default() }),
    ] {
        hashes.push(closure(&app, &renderer, &tree).expect("closure").hash.to_string());
    }
    for changed in [App { name: AppName("other".into()), ..app.clone() }, App { namespace: Some("n".into()), ..app.clone() }] {
        hashes.push(closure(&changed, &helm(HelmOptions::default()), &tree).expect("closure").hash.to_string());
    }
    let all = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), all);
    assert_eq!(closure(&app, &Renderer::Auto, &tree).map_err(|e| e.kind()), Err("undecided"));
}
