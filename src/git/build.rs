//! Making a repository without the git program: for the demo. I/O: files.

use std::{collections::BTreeMap, path::Path};

use gix::{
    ObjectId, ThreadSafeRepository,
    actor::Signature,
    date::Time,
    objs::{Commit, Tree, tree::Entry, tree::EntryKind},
    refs::transaction::{PreviousValue, RefEdit},
};
use jiff::Timestamp;
use thiserror::Error;

use super::store::{create_bare, words};

/// Why a repository could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot write the repository {place}: {what}")]
pub struct BuildError {
    place: String,
    what: String,
}

impl BuildError {
    /// Stable name.
    pub fn kind(&self) -> &'static str {
        "io"
    }
}

/// Writes commits into a bare repository of its own. The first branch is `main`, and HEAD points at it.
#[derive(Clone)]
pub struct RepoBuilder {
    repo: ThreadSafeRepository,
    place: String,
}

impl std::fmt::Debug for RepoBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RepoBuilder").field(&self.place).finish()
    }
}

/// A folder on its way to becoming a tree.
#[derive(Default)]
struct Folder<'a> {
    files: BTreeMap<&'a str, &'a [u8]>,
    folders: BTreeMap<&'a str, Folder<'a>>,
}

impl RepoBuilder {
    /// Makes an empty bare repository. The folder is created, or must be empty.
    pub fn create(path: &Path) -> Result<Self, BuildError> {
        let place = path.display().to_string();
        let failed = |what: String| BuildError { place: place.clone(), what };
        std::fs::create_dir_all(path).map_err(|e| failed(e.to_string()))?;
        create_bare(path).map_err(|e| failed(e.what))?;
        Self::open(path)
    }

    /// Opens a repository that [`RepoBuilder::create`] made.
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        let place = path.display().to_string();
        let options = gix::open::Options::isolated().open_path_as_is(true).config_overrides(["core.logAllRefUpdates=false"]);
        let repo = options.open(path).map_err(|e| BuildError { place: place.clone(), what: words(&e) })?;
        Ok(Self { repo, place })
    }

    /// Adds a commit with exactly these files (path to content) and lets `branch` point at it. Author and committer are the same person
    /// and time; two or more parents make a merge. Gives the commit's id.
    pub fn commit(
        &self,
        branch: &str,
        parents: &[String],
        message: &str,
        author: &str,
        time: Timestamp,
        files: &BTreeMap<String, String>,
    ) -> Result<String, BuildError> {
        let failed = |what: String| BuildError { place: self.place.clone(), what };
        let mut root = Folder::default();
        for (path, content) in files {
            let mut steps: Vec<&str> = path.split('/').collect();
            if steps.iter().any(|s| s.is_empty() || *s == "." || *s == ".." || s.eq_ignore_ascii_case(".git")) {
                return Err(failed(format!("`{path}` can be no path in a repository")));
            }
            let name = steps.pop().unwrap_or_default();
            let mut at = &mut root;
            for step in steps {
                at = at.folders.entry(step).or_default();
            }
            at.files.insert(name, content.as_bytes());
        }
        let repo = self.repo.to_thread_local();
        let tree = write(&repo, &root).map_err(|e| failed(words(&e)))?;
        let person: String = author.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
        let slug: String = person.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
        let signature = Signature {
            name: person.trim().into(),
            email: format!("{}@example.com", slug.trim_matches('.')).into(),
            time: Time { seconds: time.as_second(), offset: 0 },
        };
        let parents = parents.iter().map(|p| ObjectId::from_hex(p.as_bytes())).collect::<Result<Vec<_>, _>>();
        let commit = Commit {
            tree,
            parents: parents.map_err(|e| failed(format!("a parent is no commit id: {e}")))?.into_iter().collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: format!("{}\n", message.trim_end()).into(),
            extra_headers: Vec::new(),
        };
        let id = repo.write_object(&commit).map_err(|e| failed(words(&e)))?.detach();
        let name = format!("refs/heads/{branch}");
        let name = name.as_str().try_into().map_err(|e| failed(format!("`{branch}` can be no branch: {e}")))?;
        repo.edit_references_as([RefEdit::update(name, id, PreviousValue::Any, "")], None).map_err(|e| failed(words(&e)))?;
        Ok(id.to_string())
    }
}

fn write(repo: &gix::Repository, folder: &Folder<'_>) -> gix::Result<ObjectId> {
    let mut tree = Tree::empty();
    for (name, content) in &folder.files {
        let oid = repo.write_blob(content)?.detach();
        tree.entries.push(Entry { mode: EntryKind::Blob.into(), filename: (*name).into(), oid });
    }
    for (name, inner) in &folder.folders {
        let oid = write(repo, inner)?;
        tree.entries.push(Entry { mode: EntryKind::Tree.into(), filename: (*name).into(), oid });
    }
    // Git's own order: a folder sorts as if its name ended with a slash.
    tree.entries.sort();
    Ok(repo.write_object(&tree)?.detach())
}
