//! A dump on disk as another cluster: a folder or file of objects as kubectl writes them, or a Velero archive. I/O: files.
//!
//! A dump cannot know what it lacks, so it claims little. A kind of which it holds an object (or an empty typed list) counts as read, any
//! other kind is unknown. It speaks for the whole cluster if it holds the Namespace kube-system, which every cluster has and no dump of one
//! application does; otherwise it speaks for the namespaces that appear in it and for nothing else that is not in it. A file that cannot
//! be read fails the whole dump: nobody could tell which absences it explains.

mod files;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use thiserror::Error;

use super::intake::{same_to_the_eye, whole};
use crate::{
    config::ArchiveLimits,
    object::{GroupKind, Gvk, Object, ObjectId, Redactor, Text, admit, builtin::builtin},
    velero::archive,
    witness::{KindState, Listing, Live},
};

/// Bounds on one dump. Reaching one fails the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpLimits {
    /// Files read.
    pub files: usize,
    /// Folders inside one another.
    pub depth: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files but archives.
    pub total_bytes: u64,
    /// Bounds on a Velero archive.
    pub archive: ArchiveLimits,
}

impl Default for DumpLimits {
    /// 20,000 files, 32 levels, 256 MiB a file, 1 GiB in all; an archive of a million entries, 16 MiB an object, 2 GiB in all, 5 minutes.
    fn default() -> Self {
        let archive = ArchiveLimits { entries: 1_000_000, object_bytes: 16 << 20, total_bytes: 2 << 30, time: Duration::from_secs(300) };
        Self { files: 20_000, depth: 32, file_bytes: 256 << 20, total_bytes: 1 << 30, archive }
    }
}

/// Why a dump cannot be used. Never quotes content.
#[derive(Debug, Error)]
pub enum DumpError {
    /// A file or folder cannot be read.
    #[error("cannot read the dump {}: {why}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A bound was reached.
    #[error("the dump {} is larger than allowed: {what}", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// Which bound.
        what: String,
    },
    /// A file is not in a form that is known.
    #[error("{}: line {line}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: u32,
        /// What is wrong.
        why: String,
    },
    /// A Velero archive cannot be read.
    #[error("{}: {why}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A document is no Kubernetes object.
    #[error("{}: line {line}: not a Kubernetes object: {why}", path.display())]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: u32,
        /// What is wrong.
        why: String,
    },
    /// One object in two states.
    #[error("the dump holds {id} twice and in different states, in {} and in {}; keep the newer one", first.display(), second.display())]
    Conflict {
        /// The object.
        id: Box<ObjectId>,
        /// The file that was read first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// Nothing in it.
    #[error("the dump {} holds no Kubernetes objects; it should be a .yaml, .yml or .json file, a Velero archive, or a folder of such files", .0.display())]
    Empty(PathBuf),
}

impl DumpError {
    /// The stable word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "dump_unreadable",
            Self::TooLarge { .. } => "dump_too_large",
            Self::Syntax { .. } => "dump_syntax",
            Self::Archive { .. } => "dump_archive",
            Self::NotAnObject { .. } => "dump_not_an_object",
            Self::Conflict { .. } => "dump_conflict",
            Self::Empty(_) => "dump_empty",
        }
    }
}

/// Reads a dump. `as_of` becomes the modification time of its newest file: a dump does not say when it was taken. Blocks.
///
/// # Errors
/// When any part of it cannot be read or a bound is reached.
pub fn read_dump(path: &Path, redactor: &Redactor, limits: &DumpLimits) -> Result<Live, DumpError> {
    let mut dump = Dump::default();
    let mut left = limits.total_bytes;
    for file in files::names(path, limits)? {
        if files::is_archive(&file)? {
            dump.add_archive(&file, redactor, &limits.archive)?;
        } else {
            let bytes = files::contents(&file, limits.file_bytes.min(left))?;
            left -= bytes.len() as u64;
            for document in files::documents(&file, &bytes)? {
                dump.add(document, &file, redactor)?;
            }
        }
        dump.live.as_of = dump.live.as_of.max(files::modified(&file));
    }
    dump.finish(path)
}

#[derive(Default)]
struct Dump {
    live: Live,
    origin: HashMap<ObjectId, PathBuf>,
    /// Scope by definition.
    defined: BTreeMap<GroupKind, (bool, Text)>,
}

impl Dump {
    fn add(&mut self, document: files::Document, file: &Path, redactor: &Redactor) -> Result<(), DumpError> {
        let files::Document { value, line } = document;
        for value in self.spread(value) {
            let not = |why: String| DumpError::NotAnObject { path: file.to_owned(), line, why };
            self.define(&value);
            let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
            let all = whole(&Gvk::parse(text("apiVersion"), text("kind")), &value);
            let object = admit(value, redactor).map_err(|e| not(e.to_string()))?;
            if let Some(all) = all {
                self.live.controllers.insert(object.id.clone(), all);
            }
            self.hold(Arc::new(object), file)?;
        }
        Ok(())
    }

    fn hold(&mut self, object: Arc<Object>, file: &Path) -> Result<(), DumpError> {
        let id = object.id.clone();
        self.seen(&object.gvk(), id.namespace.is_some());
        match self.origin.entry(id.clone()) {
            Entry::Occupied(first) if self.live.objects.get(&id).is_some_and(|o| !same_to_the_eye(o, &object)) => {
                return Err(DumpError::Conflict { id: Box::new(id), first: first.get().clone(), second: file.to_owned() });
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => drop(place.insert(file.to_owned())),
        }
        self.live.objects.insert(id, object);
        Ok(())
    }

    /// A Velero archive as a cluster. It holds no status, so nothing is kept whole; an entry that cannot be read fails it like any file.
    fn add_archive(&mut self, file: &Path, redactor: &Redactor, limits: &ArchiveLimits) -> Result<(), DumpError> {
        let failed = |why: String| DumpError::Archive { path: file.to_owned(), why };
        let archive = archive::read(files::open(file)?, "the archive", limits, redactor).map_err(|e| failed(e.what()))?;
        if let Some(odd) = archive.diagnostics.first() {
            // The bounds of a dump are fixed.
            let cap = limits.object_bytes;
            let large = || format!("it has more than the {cap} bytes that an object of a dump may have");
            let what = if &*odd.reason == "object_too_large" { large() } else { odd.message.clone() };
            return Err(failed(format!("{}: {what}", odd.file)));
        }
        for object in archive.objects.into_values() {
            let definition = object.id.gk.is("apiextensions.k8s.io", "CustomResourceDefinition");
            if definition {
                self.define(&object.content.value());
            }
            self.hold(object, file)?;
        }
        Ok(())
    }

    /// The items of a list at any depth. Items of a typed list need not say what they are, and an empty one says that there are none.
    fn spread(&mut self, value: Value) -> Vec<Value> {
        let list = value.get("kind").and_then(Value::as_str).and_then(|k| k.strip_suffix("List")).map(str::to_owned);
        let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        match (list, value) {
            (Some(item_kind), Value::Object(mut map)) if map.contains_key("items") => {
                let items = match map.remove("items") {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                };
                if !item_kind.is_empty() {
                    self.seen(&Gvk::parse(&api_version, &item_kind), false);
                }
                let name = |mut item: Value| {
                    if let Some(map) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
                        map.entry("apiVersion").or_insert_with(|| api_version.clone().into());
                        map.entry("kind").or_insert_with(|| item_kind.clone().into());
                    }
                    item
                };
                items.into_iter().map(name).flat_map(|item| self.spread(item)).collect()
            }
            (_, value) => vec![value],
        }
    }

    fn seen(&mut self, gvk: &Gvk, namespaced: bool) {
        let kind = &*gvk.gk.kind;
        let state = self.live.kinds.entry(gvk.gk.clone()).or_insert_with(|| {
            let known = builtin(&gvk.gk.group, kind);
            let plural = known.map_or_else(|| format!("{}s", kind.to_ascii_lowercase()), |b| b.plural.to_owned());
            let namespaced = known.map_or(namespaced, |b| b.namespaced);
            KindState {
                plural: plural.into(),
                version: gvk.version.clone(),
                versions: Vec::new(),
                namespaced,
                listing: Listing::Complete,
                told: None,
            }
        });
        if state.version != gvk.version && !state.versions.contains(&gvk.version) {
            state.versions.push(gvk.version.clone());
        }
        if builtin(&gvk.gk.group, kind).is_none() {
            state.namespaced |= namespaced;
        }
    }

    fn define(&mut self, value: &Value) {
        if value.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
            return;
        }
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let gk = GroupKind::new(text("/spec/group"), text("/spec/names/kind"));
        self.defined.insert(gk, (text("/spec/scope") == "Namespaced", text("/spec/names/plural").into()));
    }

    fn finish(mut self, path: &Path) -> Result<Live, DumpError> {
        if self.live.kinds.is_empty() {
            return Err(DumpError::Empty(path.to_owned()));
        }
        for (gk, (namespaced, plural)) in self.defined {
            if let Some(kind) = self.live.kinds.get_mut(&gk) {
                (kind.namespaced, kind.plural) = (namespaced, plural);
            }
        }
        let system = self.live.objects.get(&ObjectId::new("", "Namespace", None, "kube-system")).cloned();
        self.live.cluster_uid = system.as_ref().and_then(|o| o.meta.uid.clone());
        if system.is_none() {
            let named = |id: &ObjectId| if id.gk.is("", "Namespace") { Some(id.name.clone()) } else { id.namespace.clone() };
            self.live.namespaces = Some(self.live.objects.keys().filter_map(named).collect::<BTreeSet<Text>>());
        }
        Ok(self.live)
    }
}

#[cfg(test)]
mod tests;
