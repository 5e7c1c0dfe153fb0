//! The files of one commit, read only. pure
//!
//! A trait because there are two: the object database, and a tree in memory (demo and tests).

use std::{collections::BTreeMap, fmt};

use thiserror::Error;

/// Read access to the files of one commit. Paths use `/`, have no leading or trailing slash, and never contain `.` or `..` steps;
/// the root folder is the empty path.
pub trait Tree: Send + Sync {
    /// The entries of a folder, in lexical order of their names. `Ok(None)` if there is no such folder.
    fn entries(&self, folder: &str) -> Result<Option<Vec<Entry>>, TreeError>;
    /// The entry at a path; `Ok(None)` if there is none. The root folder is an entry.
    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError>;
    /// The content of a file (or the target text of a link). Refuses more than `cap` bytes without reading them.
    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, TreeError>;
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name, without folder; empty for the root.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Id of the blob or tree: equal ids mean equal content.
    pub oid: String,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A regular file with the executable bit.
    Executable,
    /// A folder.
    Folder,
    /// A symbolic link; its content is the target.
    Link,
    /// A submodule: another repository's commit, whose files are not here.
    Submodule,
}

/// Why a tree could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    /// Nothing at this path, or not a file.
    #[error("no file {0} in this commit")]
    NotAFile(String),
    /// Larger than the cap.
    #[error("{path} is {size} bytes, more than the {cap} allowed")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// The cap.
        cap: u64,
    },
    /// The object database is damaged or incomplete.
    #[error("cannot read {path} from the object database: {message}")]
    Damaged {
        /// The path asked for.
        path: String,
        /// What the database said.
        message: String,
    },
}

/// A tree in memory: path to content. Ids are content hashes.
#[derive(Clone, Default)]
pub struct MemoryTree {
    files: BTreeMap<String, (EntryKind, Vec<u8>)>,
}

impl fmt::Debug for MemoryTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.keys()).finish()
    }
}

impl MemoryTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// This tree with one more regular file.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), (EntryKind::File, content.into()));
        self
    }

    /// This tree with one more symbolic link.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> Self {
        self.files.insert(path.to_owned(), (EntryKind::Link, target.as_bytes().to_vec()));
        self
    }

    fn folder_oid(&self, prefix: &str) -> String {
        let mut text = String::new();
        for (path, (kind, content)) in self.files.iter().filter(|(p, _)| p.starts_with(prefix)) {
            text.push_str(&format!("{path}\0{kind:?}\0{}\n", crate::object::Fingerprint::of(content)));
        }
        crate::object::Fingerprint::of(text.as_bytes()).to_string()
    }

    fn prefix(folder: &str) -> String {
        if folder.is_empty() { String::new() } else { format!("{folder}/") }
    }
}

impl Tree for MemoryTree {
    fn entries(&self, folder: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        let prefix = Self::prefix(folder);
        let mut found: BTreeMap<String, Entry> = BTreeMap::new();
        for (path, (kind, content)) in self.files.iter() {
            let Some(rest) = path.strip_prefix(&prefix) else { continue };
            match rest.split_once('/') {
                None => {
                    let oid = crate::object::Fingerprint::of(content).to_string();
                    found.insert(rest.to_owned(), Entry { name: rest.to_owned(), kind: *kind, oid });
                }
                Some((name, _)) => {
                    let oid = || self.folder_oid(&format!("{prefix}{name}/"));
                    found.entry(name.to_owned()).or_insert_with(|| Entry { name: name.to_owned(), kind: EntryKind::Folder, oid: oid() });
                }
            }
        }
        Ok((!found.is_empty() || folder.is_empty()).then(|| found.into_values().collect()))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        if path.is_empty() {
            return Ok(Some(Entry { name: String::new(), kind: EntryKind::Folder, oid: self.folder_oid("") }));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.entries(folder)?.and_then(|all| all.into_iter().find(|e| e.name == name)))
    }

    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, TreeError> {
        let (_, content) = self.files.get(path).ok_or_else(|| TreeError::NotAFile(path.to_owned()))?;
        let size = content.len() as u64;
        if size > cap { Err(TreeError::TooLarge { path: path.to_owned(), size, cap }) } else { Ok(content.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_in_memory_lists_folders_and_reads_files() {
        let tree = MemoryTree::new().with("a/b/c.yaml", "x").with("a/d.yaml", "y").with_link("l", "a");
        let names = |f: &str| tree.entries(f).expect("readable").map(|e| e.into_iter().map(|e| (e.name, e.kind)).collect::<Vec<_>>());
        assert_eq!(names(""), Some(vec![("a".into(), EntryKind::Folder), ("l".into(), EntryKind::Link)]));
        assert_eq!(names("a"), Some(vec![("b".into(), EntryKind::Folder), ("d.yaml".into(), EntryKind::File)]));
        assert_eq!(names("nope"), None);
        assert_eq!(tree.read("a/d.yaml", 9), Ok(b"y".to_vec()));
        assert!(matches!(tree.read("a/d.yaml", 0), Err(TreeError::TooLarge { .. })));
        let moved = tree.clone().with("a/d.yaml", "z");
        assert_ne!(tree.entry("a"), moved.entry("a"));
        assert_eq!(tree.entry("a/b"), moved.entry("a/b"));
    }
}
