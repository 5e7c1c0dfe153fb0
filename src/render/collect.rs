//! Documents to declared objects: lists expanded, hooks set aside, repeated objects told. pure

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::RenderError;
use crate::{
    object::{
        AdmitError, ObjectId, Redactor, Step, Text, admit, is_list,
        yaml::{Document, Limits, Note, parse},
    },
    witness::{Desired, Diagnostic, Origin},
};

/// Diagnostics kept of one app; the last one tells how many more there were.
const MOST_DIAGNOSTICS: usize = 1_000;

/// Bounds on what one app may read and declare. Reaching one fails the render: half an app would read as missing objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Manifest files.
    pub files: usize,
    /// Entries of folders that are looked at.
    pub entries: usize,
    /// Bytes of all files together, or of a program's output.
    pub bytes: u64,
    /// Objects, those set aside included.
    pub objects: usize,
}

impl Default for Caps {
    /// 10,000 files, 200,000 entries, 10 MiB (Argo CD's limit), 50,000 objects.
    fn default() -> Self {
        Self { files: 10_000, entries: 200_000, bytes: 10 << 20, objects: 50_000 }
    }
}

/// What an app declares.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// The objects, in the order in which they were rendered; identities are unique.
    pub objects: Vec<Desired>,
    /// What a person should know about the input.
    pub diagnostics: Vec<Diagnostic>,
    /// Helm and Argo CD hooks that were left out: they are no part of the steady state.
    pub hooks: usize,
}

/// Collects the objects of a program's output. They have no origin: the lines of the output are nobody's.
///
/// # Errors
/// The text is not YAML, or a cap is reached. `label` stands for the file.
pub fn from_text(text: &[u8], label: &str, redactor: &Redactor, caps: &Caps) -> Result<Collected, RenderError> {
    if text.len() as u64 > caps.bytes {
        return Err(RenderError::TooLarge { what: "bytes", cap: caps.bytes, place: label.to_owned() });
    }
    let parsed = parse(text, &Limits::within(caps.bytes)).map_err(|error| RenderError::Yaml { file: label.to_owned(), error })?;
    let mut collector = Collector::new(redactor, caps, Manners { hooks_apart: true, ..Manners::default() });
    let label: Text = label.into();
    collector.notes(&label, parsed.diagnostics);
    for document in parsed.documents {
        collector.document(&label, document, false)?;
    }
    Ok(collector.finish())
}

/// What the deployer whose rules hold does with odd documents.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// A document that is no object fails the app.
    pub(super) strict: bool,
    /// Hooks are not applied with the rest.
    pub(super) hooks_apart: bool,
    /// Objects marked as local configuration are not applied (kustomize).
    pub(super) local_config_apart: bool,
}

/// Gathers objects from documents.
pub(super) struct Collector<'a> {
    redactor: &'a Redactor,
    caps: &'a Caps,
    manners: Manners,
    objects: Vec<Option<Desired>>,
    at: HashMap<ObjectId, usize>,
    diagnostics: Vec<Diagnostic>,
    dropped: usize,
    hooks: usize,
    seen: usize,
}

impl<'a> Collector<'a> {
    pub(super) fn new(redactor: &'a Redactor, caps: &'a Caps, manners: Manners) -> Self {
        Self { redactor, caps, manners, objects: Vec::new(), at: HashMap::new(), diagnostics: Vec::new(), dropped: 0, hooks: 0, seen: 0 }
    }

    pub(super) fn finish(mut self) -> Collected {
        if let Some(last) = self.diagnostics.last().filter(|_| self.dropped > 0) {
            let message = format!("{} more remarks about this app are left out", self.dropped);
            self.diagnostics.push(Diagnostic { file: last.file.clone(), line: None, reason: "more_remarks".into(), message });
        }
        // Kept for as long as the commit is the newest, so no more room than there are objects.
        let mut objects = Vec::with_capacity(self.objects.iter().flatten().count());
        objects.extend(self.objects.into_iter().flatten());
        Collected { objects, diagnostics: self.diagnostics, hooks: self.hooks }
    }

    pub(super) fn remark(&mut self, file: &Text, line: Option<u32>, reason: &str, message: String) {
        if self.diagnostics.len() < MOST_DIAGNOSTICS {
            self.diagnostics.push(Diagnostic { file: file.clone(), line, reason: reason.into(), message });
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn notes(&mut self, file: &Text, notes: Vec<Note>) {
        notes.into_iter().for_each(|n| self.remark(file, Some(n.line), n.reason, n.message));
    }

    /// Takes a document in. An empty one is nothing.
    pub(super) fn document(&mut self, file: &Text, document: Document, with_origin: bool) -> Result<(), RenderError> {
        let Document { value, line, lines } = document;
        if value.is_null() {
            return Ok(());
        }
        if !is_list(&value) {
            let origin = with_origin.then(|| Origin { file: file.clone(), line, lines: Arc::new(lines) });
            return self.object(file, line, value, origin);
        }
        let mut items = Vec::new();
        expand(value, &mut Vec::new(), &mut items);
        for (steps, item) in items {
            let lines = lines.below(&steps, &item);
            let line = lines.line_of(&crate::object::FieldPath::root(), &item).unwrap_or(line);
            let origin = with_origin.then(|| Origin { file: file.clone(), line, lines: Arc::new(lines) });
            self.object(file, line, item, origin)?;
        }
        Ok(())
    }

    fn object(&mut self, file: &Text, line: u32, value: Value, origin: Option<Origin>) -> Result<(), RenderError> {
        self.seen += 1;
        if self.seen > self.caps.objects {
            return Err(RenderError::TooLarge { what: "objects", cap: self.caps.objects as u64, place: file.to_string() });
        }
        if self.manners.hooks_apart && is_hook(&value) {
            self.hooks += 1;
            return Ok(());
        }
        if self.manners.local_config_apart && annotation(&value, "config.kubernetes.io/local-config").is_some_and(|v| v != "false") {
            return Ok(());
        }
        let object = match admit(value, self.redactor) {
            Ok(object) => object,
            Err(error) if self.manners.strict => {
                return Err(RenderError::NotAnObject { file: file.to_string(), line, message: error.to_string() });
            }
            Err(error) => {
                let reason = match &error {
                    AdmitError::NoName { generated: true, .. } => "generate_name",
                    _ => "not_an_object",
                };
                self.remark(file, Some(line), reason, format!("left out: {error}"));
                return Ok(());
            }
        };
        if let Some(before) = self.at.insert(object.id.clone(), self.objects.len()).and_then(|n| self.objects[n].take()) {
            let place = before.origin.map_or_else(|| "above".to_owned(), |o| format!("at {}, line {}", o.file, o.line));
            self.remark(file, Some(line), "repeated_object", format!("{} is declared {place} too; the last one wins", object.id));
        }
        self.objects.push(Some(Desired { object, origin }));
        Ok(())
    }
}

/// Expands a list into its items with their places, as `object::expand` does.
fn expand(value: Value, steps: &mut Vec<Step>, items: &mut Vec<(Vec<Step>, Value)>) {
    match value {
        Value::Object(mut map) if map.get("items").is_some_and(Value::is_array) => {
            let Some(Value::Array(list)) = map.remove("items") else { return };
            steps.push(Step::Key("items".into()));
            for (n, item) in list.into_iter().enumerate() {
                steps.push(Step::Index(n));
                if is_list(&item) {
                    expand(item, steps, items)
                } else {
                    items.push((steps.clone(), item))
                }
                steps.pop();
            }
            steps.pop();
        }
        other => items.push((steps.clone(), other)),
    }
}

fn annotation<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// Whether it is applied at certain moments only, or (`Skip`) never (Argo CD gitops-engine `pkg/sync/hook`). Helm 2's `crd-install` marks an
/// ordinary object.
fn is_hook(value: &Value) -> bool {
    annotation(value, "argocd.argoproj.io/hook").is_some() || annotation(value, "helm.sh/hook").is_some_and(|h| h != "crd-install")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::FieldPath;

    fn collect(text: &str, caps: &Caps) -> Result<Collected, RenderError> {
        from_text(text.as_bytes(), "the output", &Redactor::new([0; 32]), caps)
    }

    fn ids(collected: &Collected) -> Vec<String> {
        collected.objects.iter().map(|d| d.object.id.to_string()).collect()
    }

    fn remarks(collected: &Collected) -> Vec<String> {
        collected.diagnostics.iter().map(|d| format!("{}:{} {}: {}", d.file, d.line.unwrap_or(0), d.reason, d.message)).collect()
    }

    fn named(kind: &str, name: &str, annotation: &str) -> String {
        format!("---\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  annotations: {{{annotation}}}\n")
    }

    #[test]
    fn hooks_are_counted_and_left_out() {
        let text = [
            named("Job", "a", "helm.sh/hook: pre-install"),
            named("Job", "b", "argocd.argoproj.io/hook: PostSync"),
            named("Job", "c", "argocd.argoproj.io/hook: Skip"),
            named("Job", "d", "helm.sh/hook: crd-install"),
            named("Job", "e", "helm.sh/hook-weight: '1'"),
        ]
        .concat();
        let collected = collect(&text, &Caps::default()).expect("collected");
        assert_eq!((ids(&collected), collected.hooks), (vec!["Job d".to_owned(), "Job e".to_owned()], 3));
    }

    #[test]
    fn odd_documents_are_remarks_and_repeated_objects_are_told() {
        let text = "- 1\n---\n# nothing\n---\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\n"
            .to_owned()
            + &named("ConfigMap", "x", "v: '1'")
            + &named("ConfigMap", "z", "")
            + &named("ConfigMap", "x", "v: '2'");
        let collected = collect(&text, &Caps::default()).expect("collected");
        assert_eq!(ids(&collected), ["ConfigMap z", "ConfigMap x"]);
        assert_eq!(collected.objects[1].object.content.value()["metadata"]["annotations"]["v"], "2");
        assert!(collected.objects.iter().all(|d| d.origin.is_none()));
        assert_eq!(
            remarks(&collected),
            [
                "the output:1 not_an_object: left out: not a mapping but a list",
                "the output:5 not_an_object: left out: no apiVersion",
                "the output:8 generate_name: left out: Pod has no metadata.name but a generateName, so it is a new object at every apply",
                "the output:24 repeated_object: ConfigMap x is declared above too; the last one wins",
            ]
        );
    }

    #[test]
    fn lists_in_lists_are_expanded_and_every_item_knows_its_lines() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: a\n    data:\n      k: v\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n";
        let redactor = Redactor::new([0; 32]);
        let caps = Caps::default();
        let mut collector = Collector::new(&redactor, &caps, Manners::default());
        for document in parse(text.as_bytes(), &Limits::default()).expect("YAML").documents {
            collector.document(&"f.yaml".into(), document, true).expect("taken");
        }
        let collected = collector.finish();
        assert_eq!(ids(&collected), ["ConfigMap a", "Secret s"]);
        let line = |n: usize, path: FieldPath| {
            let desired: &Desired = &collected.objects[n];
            let origin = desired.origin.as_ref().expect("origin");
            (origin.line, origin.lines.line_of(&path, &desired.object.content.value()))
        };
        assert_eq!(line(0, FieldPath::root().key("data").key("k")), (7, Some(12)));
        assert_eq!(line(1, FieldPath::root().key("kind")), (13, Some(14)));
    }

    #[test]
    fn a_secret_is_hidden_and_never_quoted() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  p: canary\n";
        let collected = collect(secret, &Caps::default()).expect("collected");
        assert!(!collected.objects[0].object.content.json().contains("canary"));
        for broken in [
            format!("{secret}  q: \"canary\n"),
            format!("{secret}  canary\n"),
            format!("{secret}  p: *canary\n"),
            format!("{secret}  q: !!int canary"),
        ] {
            let error = collect(&broken, &Caps::default()).expect_err("refused");
            assert_eq!(error.kind(), "yaml_invalid");
            assert!(error.to_string().starts_with("the output, line ") && !format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
        let repeated = collect(&format!("{secret}  p: canary2\n"), &Caps::default()).expect("collected");
        assert!(!remarks(&repeated).concat().contains("canary"), "{:?}", remarks(&repeated));
    }

    #[test]
    fn bytes_and_objects_are_capped_and_remarks_are_bounded() {
        let two = named("A", "a", "") + &named("A", "b", "");
        assert!(collect(&two, &Caps { objects: 2, bytes: two.len() as u64, ..Caps::default() }).is_ok());
        let objects = collect(&two, &Caps { objects: 1, ..Caps::default() }).expect_err("capped");
        assert_eq!(
            (objects.kind(), objects.to_string().as_str()),
            ("too_large", "more than 1 objects in the output; raise the cap or narrow the app's path")
        );
        assert_eq!(collect(&two, &Caps { bytes: 50, ..Caps::default() }).expect_err("capped").kind(), "too_large");
        let noise = collect(&"--- 1\n".repeat(MOST_DIAGNOSTICS + 7), &Caps::default()).expect("collected");
        assert_eq!(noise.diagnostics.len(), MOST_DIAGNOSTICS + 1);
        assert_eq!(noise.diagnostics[MOST_DIAGNOSTICS].message, "7 more remarks about this app are left out");
    }
}
