//! One object database: opening it apart from any user's configuration, and reading objects that are what their ids say. I/O: files.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use gix::{
    ObjectId, ThreadSafeRepository,
    hash::Kind as HashKind,
    objs::{CommitRef, Kind, TreeRef, tree::EntryKind as Mode},
    prelude::FindExt as _,
    refs::transaction::{PreviousValue, RefEdit},
};
use jiff::Timestamp;

use super::{
    error::{Fault, GitErrorKind, clean},
    mirror::Generation,
    tree::{Entry, EntryKind},
};
use crate::{object::Text, witness};

/// Folders kept decoded; beyond that the cache starts anew.
const TREES: usize = 4096;
/// A subject longer than this is cut, in characters.
const SUBJECT: usize = 200;
/// No single object may claim more memory than this, whatever the cap on a fetch.
const LEAST_ALLOC: u64 = 64 * 1024 * 1024;

/// An open object database, shared by threads.
pub(crate) struct Store {
    repo: ThreadSafeRepository,
    generation: Option<Arc<Generation>>,
    trees: Mutex<HashMap<ObjectId, Arc<Vec<Entry>>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.repo.path()).finish()
    }
}

/// What of a commit the room itself needs.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    pub shown: witness::Commit,
}

/// Reads no configuration but the repository's own, no environment, and writes nothing on opening.
fn options(alloc_limit: u64) -> gix::open::Options {
    gix::open::Options::isolated().config_overrides([
        format!("gitoxide.objects.allocLimit={}", alloc_limit.max(LEAST_ALLOC)),
        "core.logAllRefUpdates=false".to_owned(),
        "pack.threads=2".to_owned(),
        "user.name=snapgap".to_owned(),
        "user.email=snapgap@localhost".to_owned(),
    ])
}

/// Makes an empty bare repository in an empty folder.
pub(crate) fn create_bare(path: &Path) -> Result<(), Fault> {
    let made = ThreadSafeRepository::init_opts(path, gix::create::Kind::Bare, gix::create::Options::default(), options(0));
    made.map(|_| ()).map_err(|e| from_gix("create a repository in", path, &e))
}

impl Store {
    /// Opens a generation of a mirror.
    pub fn of_mirror(generation: Arc<Generation>, alloc_limit: u64) -> Result<Self, Fault> {
        let repo = options(alloc_limit)
            .open_path_as_is(true)
            .open(generation.path.clone())
            .map_err(|e| Fault::damaged(format!("the mirror {} cannot be opened: {}", generation.path.display(), words(&e))))?;
        Ok(Self { repo, generation: Some(generation), trees: Mutex::default() })
    }

    /// Opens a repository where it stands.
    pub fn in_place(path: &Path) -> Result<Self, Fault> {
        let missing = |what: String| Err(Fault::new(GitErrorKind::NotFound, what));
        match fs::metadata(path) {
            Ok(meta) if !meta.is_dir() => return missing("not a folder; give the folder of a repository".to_owned()),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return missing("no such folder".to_owned()),
            Err(e) => return Err(Fault::io("read", path, &e)),
        }
        // Told apart from "no repository here", which is what an unreadable folder would otherwise look like.
        fs::read_dir(path).map_err(|e| Fault::io("read", path, &e))?;
        match options(u64::MAX / 2).open(path) {
            Ok(repo) => Ok(Self { repo, generation: None, trees: Mutex::default() }),
            Err(error) => {
                let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let above = whole.ancestors().skip(1).find(|p| p.join(".git").exists());
                if !path.join(".git").exists() && !path.join("HEAD").exists() {
                    return missing(match above {
                        Some(root) => format!("not a repository itself, but inside one; give {}", root.display()),
                        None => "not a Git repository; give a checkout or a bare repository".to_owned(),
                    });
                }
                Err(Fault::damaged(format!("not a repository that can be read: {}", words(&error))))
            }
        }
    }

    /// A handle for this thread. Cheap.
    pub fn local(&self) -> gix::Repository {
        self.repo.to_thread_local()
    }

    /// The generation that this database is, if it is a mirror's.
    pub fn generation(&self) -> Option<&Arc<Generation>> {
        self.generation.as_ref()
    }

    /// Notes damage, so that the next update of a mirror repairs it, and gives the fault.
    pub fn damaged(&self, what: impl std::fmt::Display) -> Fault {
        match &self.generation {
            Some(generation) => {
                generation.mark_damaged();
                Fault::damaged(format!("{what}; the mirror is built anew at the next update"))
            }
            None => Fault::damaged(format!("{what}; run `git fsck` in the repository")),
        }
    }

    /// The commits whose ids begin with these digits; nothing if no id can begin so.
    pub fn commits_beginning(&self, digits: &str) -> Result<Vec<ObjectId>, Fault> {
        let Ok(prefix) = gix::hash::Prefix::from_hex(digits) else { return Ok(Vec::new()) };
        let repo = self.local();
        let mut found = std::collections::HashSet::new();
        repo.objects.lookup_prefix(prefix, Some(&mut found)).map_err(|e| self.damaged(format!("looking for commit {digits}: {}", words(&e))))?;
        found.retain(|id| repo.find_header(*id).is_ok_and(|header| header.kind() == Kind::Commit));
        Ok(found.into_iter().collect())
    }

    /// Whether an object is there.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.local().has_object(id)
    }

    /// Size of an object, without reading it whole.
    pub fn size(&self, id: &ObjectId) -> Result<u64, Fault> {
        let header = self.local().find_header(*id).map_err(|e| self.damaged(format!("object {id}: {}", words(&e))))?;
        Ok(header.size())
    }

    /// Reads an object and makes sure that it is the one its id names.
    pub fn read(&self, id: &ObjectId) -> Result<(Kind, Vec<u8>), Fault> {
        let mut buffer = Vec::new();
        let repo = self.local();
        let kind = {
            let data = repo.objects.find(id, &mut buffer).map_err(|e| self.damaged(format!("object {id}: {}", words(&e))))?;
            data.verify_checksum(id).map_err(|_| self.damaged(format!("object {id} is not what its id says")))?;
            data.kind
        };
        Ok((kind, buffer))
    }

    /// Reads an object of a kind.
    pub fn read_as(&self, id: &ObjectId, kind: Kind) -> Result<Vec<u8>, Fault> {
        match self.read(id)? {
            (found, data) if found == kind => Ok(data),
            (found, _) => Err(self.damaged(format!("object {id} is a {found}, not a {kind}"))),
        }
    }

    /// Follows tags to the commit behind an object.
    pub fn peel(&self, id: ObjectId) -> Result<ObjectId, Fault> {
        let mut at = id;
        for _ in 0..10 {
            match self.read(&at)? {
                (Kind::Commit, _) => return Ok(at),
                (Kind::Tag, data) => {
                    let tag = gix::objs::TagRef::from_bytes(&data, HashKind::Sha1).map_err(|e| self.damaged(format!("tag {at}: {}", words(&e))))?;
                    at = tag.target();
                }
                (kind, _) => return Err(Fault::new(GitErrorKind::RefNotFound, format!("the reference points at a {kind}, not at a commit"))),
            }
        }
        Err(Fault::new(GitErrorKind::RefNotFound, "the reference points at a chain of more than 10 tags"))
    }

    /// Reads a commit.
    pub fn commit(&self, id: &ObjectId) -> Result<Parsed, Fault> {
        let data = self.read_as(id, Kind::Commit)?;
        let commit = CommitRef::from_bytes(&data, HashKind::Sha1).map_err(|e| self.damaged(format!("commit {id}: {}", words(&e))))?;
        let seconds = commit.time().map_or(0, |t| t.seconds);
        let time = Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let author = commit.author().map(|a| clean(&a.name.to_string(), SUBJECT)).unwrap_or_default();
        let message = commit.message.to_string();
        let subject = message.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
        let parents: Vec<ObjectId> = commit.parents().collect();
        let shown = witness::Commit {
            sha: Text::from(id.to_string().as_str()),
            author: Text::from(author.as_str()),
            subject: Text::from(clean(subject, SUBJECT).as_str()),
            time,
            merge: parents.len() > 1,
        };
        Ok(Parsed { tree: commit.tree(), parents, shown })
    }

    /// The entries of a folder, by name. A folder with names that no file can have is damaged (or made to harm).
    pub fn entries(&self, id: &ObjectId) -> Result<Arc<Vec<Entry>>, Fault> {
        let cache = || self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().get(id) {
            return Ok(known.clone());
        }
        let data = self.read_as(id, Kind::Tree)?;
        let tree = TreeRef::from_bytes(&data, HashKind::Sha1).map_err(|e| self.damaged(format!("folder {id}: {}", words(&e))))?;
        let mut entries = Vec::with_capacity(tree.entries.len());
        for entry in &tree.entries {
            let name = entry.filename.to_string();
            if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.eq_ignore_ascii_case(".git") {
                return Err(Fault::damaged(format!("folder {id} holds an entry named `{}`, which Git never makes", clean(&name, 80))));
            }
            let kind = match entry.mode.kind() {
                Mode::Tree => EntryKind::Folder,
                Mode::Blob => EntryKind::File,
                Mode::BlobExecutable => EntryKind::Executable,
                Mode::Link => EntryKind::Link,
                Mode::Commit => EntryKind::Submodule,
            };
            entries.push(Entry { name, kind, oid: entry.oid.to_string() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = entries.windows(2).find(|w| w[0].name == w[1].name) {
            return Err(Fault::damaged(format!("folder {id} holds two entries named `{}`", clean(&pair[0].name, 80))));
        }
        let entries = Arc::new(entries);
        let mut cache = cache();
        if cache.len() >= TREES {
            cache.clear();
        }
        cache.insert(*id, entries.clone());
        Ok(entries)
    }

    /// Commits whose parents were never fetched into this repository.
    pub fn shallow(&self) -> Vec<ObjectId> {
        self.local().shallow_commits().ok().flatten().map(|all| all.iter().copied().collect()).unwrap_or_default()
    }

    /// The commit that one of our own refs keeps.
    pub fn kept(&self, name: &str) -> Option<ObjectId> {
        let repo = self.local();
        let reference = repo.try_find_reference(name).ok().flatten()?;
        reference.target().try_id().map(ToOwned::to_owned)
    }

    /// Our own refs under a prefix.
    pub fn kept_under(&self, prefix: &str) -> Vec<(String, ObjectId)> {
        let repo = self.local();
        let Ok(platform) = repo.references() else { return Vec::new() };
        let Ok(all) = platform.prefixed(prefix) else { return Vec::new() };
        all.filter_map(Result::ok).filter_map(|r| Some((r.name().as_bstr().to_string(), r.target().try_id()?.to_owned()))).collect()
    }

    /// Sets and removes refs of our own, all or none.
    pub fn keep(&self, set: &[(String, ObjectId)], remove: &[String]) -> Result<(), Fault> {
        let mut edits = Vec::new();
        let bad = |e: &dyn std::fmt::Display| Fault::new(GitErrorKind::Io, format!("cannot name a ref of the mirror: {e}"));
        for (name, id) in set {
            edits.push(RefEdit::update(name.as_str().try_into().map_err(|e| bad(&e))?, *id, PreviousValue::Any, "snapgap"));
        }
        for name in remove {
            edits.push(RefEdit::delete(name.as_str().try_into().map_err(|e| bad(&e))?, PreviousValue::Any));
        }
        self.local().edit_references(edits).map(|_| ()).map_err(|e| from_gix("write refs in", self.repo.path(), &e))
    }
}

/// The words of a gix error, for people.
pub(crate) fn words(error: &gix::Error) -> String {
    let mut words: Vec<String> = error.iter_errors().map(|e| e.to_string()).collect();
    words.dedup();
    clean(&words.join(": "), 300)
}

/// A failed write through gix. A full disk is told apart.
pub(crate) fn from_gix(doing: &str, path: &Path, error: &gix::Error) -> Fault {
    for cause in error.iter_errors() {
        let io = cause.downcast_ref::<std::io::Error>();
        if let Some(io) = io.filter(|e| super::error::is_full(e)) {
            return Fault::io(doing, path, io);
        }
    }
    Fault::new(GitErrorKind::Io, format!("cannot {doing} {}: {}", path.display(), words(error)))
}
