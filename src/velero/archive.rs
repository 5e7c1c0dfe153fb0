//! Reads a Velero archive: a gzip tar, streamed under caps, never unpacked to disk. I/O: reads the stream it is given.
//!
//! Layout: pkg/archive/filesystem.go and pkg/backup/item_backupper.go `getFileForArchive`, format 1 and 1.1.0. Every object lies there twice; only
//! `resources/<kind>/namespaces/<ns>/<name>.json` and `resources/<kind>/cluster/<name>.json` are read, the copies by version are passed
//! over by their headers.

mod error;
#[cfg(test)]
mod faults;
mod inflate;
mod tarball;
#[cfg(test)]
mod tests;
pub(crate) mod weight;
pub mod write;

use std::{collections::HashSet, io::Read, sync::Arc};

use serde_json::{Value, map::Entry};

pub use error::ArchiveError;
use error::Problem;
use inflate::Inflate;
use tarball::{Kind, Member, Tarball};

use crate::{
    config::ArchiveLimits,
    object::{Object, Redactor, Reduced, Text, reduce},
    velero::torn,
    witness::{Archive, Diagnostic, Holdings, Remark},
};

/// Diagnostics that are kept of one archive; the rest is counted.
const MAX_DIAGNOSTICS: usize = 100;

/// Entries that may be unreadable before the archive is.
const MAX_UNREADABLE: usize = 10_000;

/// Bytes of `metadata/version`.
const MAX_VERSION: u64 = 1024;

/// Bytes of a message; what a body says of itself may be of any length.
const MAX_MESSAGE: usize = 1000;

/// Bytes of identities and facts that an archive may have in any case, and more for each object. What is usual is 200 to 400 an object.
const FREE_FACTS: u64 = 64 << 20;
const FACTS_AN_OBJECT: u64 = 1 << 10;

/// Objects in the middle of a change that are kept of one archive: a few tell that it was taken in the middle of one.
const MAX_TORN: usize = 50;

/// Where a wanted entry belongs.
enum Place<'a> {
    Version,
    Object { resource: &'a str, namespace: Option<&'a str>, name: &'a str },
    Other,
    Unsafe,
}

/// Bytes of text of one archive that may stay in memory where the cache folder does not take them.
const MAX_SPILT: u64 = 256 << 20;

/// Decides what stays in memory of each object that is read.
pub trait Keep {
    /// Takes an object in its turn.
    fn keep(&mut self, object: Reduced) -> Arc<Object>;

    /// Bytes of text that had to stay in memory although they were to lie elsewhere.
    fn spilt(&self) -> u64 {
        0
    }
}

/// Keeps every object whole.
#[derive(Clone, Copy, Debug)]
pub struct InMemory;

impl Keep for InMemory {
    fn keep(&mut self, object: Reduced) -> Arc<Object> {
        Arc::new(object.packed())
    }
}

/// Reads an archive completely into memory, or says why not. `origin` is for people.
pub fn read(reader: impl Read + Send, origin: &str, limits: &ArchiveLimits, redactor: &Redactor) -> Result<Archive, ArchiveError> {
    read_with(reader, origin, limits, redactor, &mut InMemory)
}

/// Reads an archive completely, or says why not, and keeps of its objects what it is told to.
///
/// A damaged end spoils the whole, because the checksum of a gzip stream lies at its end; so do the caps on entries, bytes in all, ratio and time.
/// What is wrong with one entry is that entry's own matter: it is a [`Diagnostic`], and its object is among [`Archive::unreadable`].
pub fn read_with(
    reader: impl Read + Send,
    origin: &str,
    limits: &ArchiveLimits,
    redactor: &Redactor,
    keep: &mut dyn Keep,
) -> Result<Archive, ArchiveError> {
    let fail = |problem| ArchiveError { origin: origin.to_owned(), problem };
    let inflate = Inflate::open(reader, limits).map_err(fail)?;
    inflate.ahead(|stream| {
        let mut tarball = Tarball::new(stream, limits.entries);
        let mut found = Found::default();
        loop {
            let step = match tarball.next() {
                Ok(None) => break,
                Ok(Some(member)) => found.take(&mut tarball, &member, limits, redactor, keep),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = step {
                let problem = if matches!(problem, Problem::MalformedTar(_)) && found.entries == 0 { Problem::NotVelero } else { problem };
                return Err(fail(blame(problem, tarball)));
            }
        }
        let bytes = tarball.into_inner().finish().map_err(fail)?;
        found.into_archive(origin, bytes).map_err(fail)
    })
}

/// What is odd inside a damaged stream is the damage's doing, and only the end of the stream tells whether it is damaged.
fn blame(problem: Problem, tarball: Tarball) -> Problem {
    let of_content = matches!(
        problem,
        Problem::MalformedTar(_)
            | Problem::NotVelero
            | Problem::FormatVersion(_)
            | Problem::TooManyEntries(_)
            | Problem::TooDamaged(_)
            | Problem::TooHeavy(_)
            | Problem::Spilt(_)
    );
    if !of_content {
        return problem;
    }
    match tarball.into_inner().finish() {
        Err(damage @ (Problem::Corrupt(_) | Problem::Truncated)) => damage,
        _ => problem,
    }
}

#[derive(Default)]
struct Found {
    entries: u64,
    newest_version: Option<u64>,
    version: Option<String>,
    resources: bool,
    objects: Holdings,
    texts: HashSet<Text>,
    /// Bytes of identities and facts so far, texts that are shared counted each time.
    facts: u64,
    torn: Vec<Remark>,
    diagnostics: Vec<Diagnostic>,
    unreadable: HashSet<Text>,
    untold: usize,
    buffer: Vec<u8>,
}

impl Found {
    fn tell(&mut self, file: &str, reason: &str, mut message: String) {
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push_str(" ...");
        }
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(Diagnostic { file: file.into(), line: None, reason: reason.into(), message });
        } else {
            self.untold += 1;
        }
    }

    /// Tells what is wrong with an entry, of which no object could be made.
    fn lose(&mut self, file: &str, reason: &str, message: String) -> Result<(), Problem> {
        self.tell(file, reason, message);
        if matches!(place(file), Place::Object { .. }) {
            self.unreadable.insert(file.into());
        }
        if self.unreadable.len() > MAX_UNREADABLE { Err(Problem::TooDamaged(MAX_UNREADABLE)) } else { Ok(()) }
    }

    fn take(
        &mut self,
        tarball: &mut Tarball,
        member: &Member,
        limits: &ArchiveLimits,
        redactor: &Redactor,
        keep: &mut dyn Keep,
    ) -> Result<(), Problem> {
        self.entries += 1;
        let path = &member.path;
        match (member.kind, place(path)) {
            (Kind::Folder, _) => {}
            (_, Place::Unsafe) => self.tell(path, "unsafe_name", "its name leads out of the archive; it was passed over".to_owned()),
            (Kind::Other(what), _) => self.lose(path, "not_a_file", format!("it is {what}, not a file; it was not followed"))?,
            (Kind::File, Place::Other) => self.resources |= path.starts_with("resources/"),
            (Kind::File, Place::Version) if member.size > MAX_VERSION => {
                return Err(Problem::FormatVersion(format!("(a text of {} bytes)", member.size)));
            }
            (Kind::File, Place::Version) => {
                tarball.body(member, &mut self.buffer)?;
                let version = String::from_utf8_lossy(&self.buffer).trim().to_owned();
                if version != "1" && !version.starts_with("1.") {
                    return Err(Problem::FormatVersion(version.chars().take(40).collect()));
                }
                self.version = Some(version);
            }
            (Kind::File, Place::Object { .. }) if member.size > limits.object_bytes => {
                self.resources = true;
                let (size, cap) = (member.size, limits.object_bytes);
                let message = format!("it has {size} bytes, more than the {cap} allowed; raise `velero.max_object`");
                self.lose(path, "object_too_large", message)?;
            }
            (Kind::File, Place::Object { resource, namespace, name }) => {
                self.resources = true;
                tarball.body(member, &mut self.buffer)?;
                self.object(path, resource, namespace, name, redactor, keep)?;
            }
        }
        tarball.skip()
    }

    fn object(
        &mut self,
        path: &str,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
        redactor: &Redactor,
        keep: &mut dyn Keep,
    ) -> Result<(), Problem> {
        let weight = weight::of(&self.buffer);
        if weight > weight::MOST {
            let message = format!("it is made of so many small parts that it would take {weight} bytes of memory and more, as no object does");
            return self.lose(path, "too_many_parts", message);
        }
        let mut value: Value = match serde_json::from_slice(&self.buffer) {
            Ok(value) => value,
            // Only the place is told, never what stands there: it may be a Secret.
            Err(e) => return self.lose(path, "not_json", format!("it is not JSON at line {}, column {}", e.line(), e.column())),
        };
        let inside = |key: &str| value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default();
        if inside("name") != name {
            let message = format!("it is named {:?} inside; a restore goes by that", shown(inside("name")));
            self.tell(path, "path_disagrees", message);
        }
        if namespace.is_some_and(|n| n != inside("namespace")) {
            let message = format!("it is of namespace {:?} inside; a restore goes by the path", shown(inside("namespace")));
            self.tell(path, "path_disagrees", message);
            place_in(&mut value, namespace.unwrap_or_default());
        }
        if self.torn.len() < MAX_TORN {
            self.torn.extend(torn::sign(&value));
        }
        match reduce(value, redactor) {
            Ok(mut object) => {
                match object.facts_size() {
                    Err(e) => return self.lose(path, "beyond_bounds", e.to_string()),
                    Ok(bytes) => self.facts += bytes as u64,
                }
                if self.facts > FREE_FACTS + FACTS_AN_OBJECT * self.objects.len() as u64 {
                    return Err(Problem::TooHeavy(self.facts));
                }
                self.intern(&mut object);
                if &*object.id.gk.kind != "Event" {
                    let version = object.meta.resource_version.as_deref().and_then(|v| v.parse().ok());
                    self.newest_version = self.newest_version.max(version);
                }
                // Of several entries of one path the last one counts, whatever the others were.
                self.unreadable.remove(path);
                if self.objects.insert(keep.keep(object)).is_some() {
                    self.tell(path, "repeated_object", format!("another entry of {resource} holds the same object; the last one counts"));
                }
                if keep.spilt() > MAX_SPILT {
                    return Err(Problem::Spilt(MAX_SPILT));
                }
                Ok(())
            }
            Err(e) => self.lose(path, "not_an_object", e.to_string()),
        }
    }

    /// Shares the texts that repeat in an archive.
    fn intern(&mut self, object: &mut Reduced) {
        let texts = &mut self.texts;
        let mut share = |text: &mut Text| match texts.get(text) {
            Some(shared) => *text = shared.clone(),
            None => drop(texts.insert(text.clone())),
        };
        share(&mut object.id.gk.group);
        share(&mut object.id.gk.kind);
        share(&mut object.version);
        if let Some(namespace) = &mut object.id.namespace {
            share(namespace);
        }
        for owner in &mut object.meta.owners {
            share(&mut owner.gvk.gk.group);
            share(&mut owner.gvk.gk.kind);
            share(&mut owner.gvk.version);
            share(&mut owner.name);
            share(&mut owner.uid);
        }
    }

    fn into_archive(mut self, origin: &str, bytes: u64) -> Result<Archive, Problem> {
        if self.version.is_none() && !self.resources {
            return Err(Problem::NotVelero);
        }
        if self.version.is_none() {
            let message = "the archive names no format version; it was read as 1.1.0".to_owned();
            self.tell("metadata/version", "no_version", message);
        }
        if self.untold > 0 {
            let message = format!("{} more entries could not be used", self.untold);
            self.diagnostics.push(Diagnostic { file: "".into(), line: None, reason: "more".into(), message });
        }
        let kube_system = crate::object::ObjectId::new("", "Namespace", None, "kube-system");
        let cluster_uid = self.objects.get(&kube_system).and_then(|o| o.meta.uid.clone());
        let namespaces = self.objects.values().filter(|o| o.id.gk.is("", "Namespace"));
        let namespaces = namespaces.filter_map(|o| Some((o.id.name.clone(), o.meta.uid.clone()?))).collect();
        self.objects.shrink_to_fit();
        let Self { objects, torn, diagnostics, unreadable, newest_version, .. } = self;
        Ok(Archive { origin: origin.to_owned(), objects, cluster_uid, namespaces, torn, diagnostics, unreadable, bytes, newest_version })
    }
}

/// A name as a message shows it.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(253)]
}

/// A restore sets the namespace of the path on the object and keeps its name (pkg/restore/restore.go `restoreItem`, `SetNamespace`).
fn place_in(value: &mut Value, namespace: &str) {
    if let Some(Entry::Occupied(mut metadata)) = value.as_object_mut().map(|map| map.entry("metadata"))
        && let Some(metadata) = metadata.get_mut().as_object_mut()
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

/// Sorts an entry by its name.
fn place(path: &str) -> Place<'_> {
    if path.starts_with('/') || path.contains('\0') || path.split('/').any(|step| step == "..") {
        return Place::Unsafe;
    }
    let mut steps = path.split('/').filter(|step| !matches!(*step, "" | "."));
    let steps: [&str; 6] = std::array::from_fn(|_| steps.next().unwrap_or_default());
    match steps {
        ["metadata", "version", "", ..] => Place::Version,
        ["resources", resource, "namespaces", namespace, file, ""] if file.len() > 5 && file.ends_with(".json") => {
            Place::Object { resource, namespace: Some(namespace), name: &file[..file.len() - 5] }
        }
        ["resources", resource, "cluster", file, "", _] if file.len() > 5 && file.ends_with(".json") => {
            Place::Object { resource, namespace: None, name: &file[..file.len() - 5] }
        }
        _ => Place::Other,
    }
}
