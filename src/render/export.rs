//! Writes the files that a render needs from a commit into its private folder. I/O: writes files.
//!
//! There is no checkout: no filters, no hooks, no line ending changes, no submodules, no executable bits. A link is written only if no
//! step of its target leaves the tree, and what it points at is written too.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::sandbox::message::Values;
use crate::git::{EntryKind, Tree, TreeError};

/// Bounds of one export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportCaps {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, folders and links.
    pub files: usize,
    /// Folders inside folders.
    pub depth: usize,
}

impl Default for ExportCaps {
    /// 256 MiB, 20 000 entries, 64 folders deep: more than ten times what the largest public GitOps repositories need for one app.
    fn default() -> Self {
        Self { bytes: 256 << 20, files: 20_000, depth: 64 }
    }
}

/// Links followed for one path at most; the kernel's own bound.
const LINK_HOPS: usize = 40;

/// Bytes of a link's target.
const LINK_BYTES: u64 = 4096;

/// What was written.
#[derive(Debug, Default)]
pub struct Exported {
    /// Submodules on the way: their files are in another repository and were not written.
    pub submodules: BTreeSet<String>,
    /// What must not be shown in messages.
    pub values: Values,
    /// Regular files written, as paths in the source.
    pub files: BTreeSet<String>,
}

/// Why files could not be exported. Nothing was run then.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A link that leaves the repository.
    #[error("the link {link} points at `{target}`, which is outside the repository; links must stay inside it")]
    LinkOutside {
        /// The link.
        link: String,
        /// Its target.
        target: String,
    },
    /// Links in a circle, or one link after the other.
    #[error("the link {0} leads to more than {LINK_HOPS} further links")]
    LinkLoop(String),
    /// A name that means something else to a file system than to Git.
    #[error("the path {0} has a step that must not be written (`..`, `.git`, empty or with a NUL or slash)")]
    Name(String),
    /// Beyond a cap.
    #[error("the files that this app needs are more than {cap} {unit}, at {path}")]
    TooMuch {
        /// The cap.
        cap: u64,
        /// Of what.
        unit: &'static str,
        /// Where it was hit.
        path: String,
    },
    /// The object database did not give it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk did not take it.
    #[error("cannot write {path} into the render's folder: {source}")]
    Write {
        /// Path in the source.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ExportError {
    /// Stable word: metric label and failure reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LinkOutside { .. } | Self::LinkLoop(_) => "bad_link",
            Self::Name(_) => "unsafe_path",
            Self::TooMuch { .. } => "too_large",
            Self::Tree(_) => "source_unreadable",
            Self::Write { .. } => "scratch_unwritable",
        }
    }
}

/// Writes `paths` (files, or folders with all that is in them) under `into`, which must be empty and ours alone. A path that is not in the
/// commit is passed over: the program will say what it misses.
pub fn export<'p>(tree: &dyn Tree, paths: impl IntoIterator<Item = &'p str>, into: &Path, caps: &ExportCaps) -> Result<Exported, ExportError> {
    let mut exporter = Exporter { tree, into, caps: *caps, out: Exported::default(), written: BTreeSet::new(), whole: BTreeSet::new(), bytes: 0 };
    for path in paths {
        exporter.add(path)?;
    }
    Ok(exporter.out)
}

struct Exporter<'a> {
    tree: &'a dyn Tree,
    into: &'a Path,
    caps: ExportCaps,
    out: Exported,
    /// Real paths (no link in them) that are on disk.
    written: BTreeSet<String>,
    /// Folders that are on disk with everything in them.
    whole: BTreeSet<String>,
    bytes: u64,
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Exporter<'_> {
    /// Walks to a path as the kernel would, writing every link on the way, then writes what is there.
    fn add(&mut self, path: &str) -> Result<(), ExportError> {
        let mut steps: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        if steps.iter().any(|s| s == "..") || path.starts_with('/') {
            return Err(ExportError::Name(path.to_owned()));
        }
        let mut real = String::new();
        let mut hops = 0;
        let mut last_link = None;
        while let Some(step) = steps.pop_front() {
            match step.as_str() {
                "" | "." => continue,
                ".." => {
                    if real.is_empty() {
                        let (link, target) = last_link.unwrap_or_else(|| (path.to_owned(), path.to_owned()));
                        return Err(ExportError::LinkOutside { link, target });
                    }
                    real = parent(&real).to_owned();
                    continue;
                }
                _ => {}
            }
            let next = join(&real, &step);
            check_name(&step, &next)?;
            let Some(entry) = self.tree.entry(&next)? else { return Ok(()) };
            match entry.kind {
                EntryKind::Folder => {
                    self.folder(&next)?;
                    real = next;
                }
                EntryKind::Link => {
                    hops += 1;
                    if hops > LINK_HOPS {
                        return Err(ExportError::LinkLoop(path.to_owned()));
                    }
                    let target = self.link(&next)?;
                    for step in target.split('/').rev() {
                        steps.push_front(step.to_owned());
                    }
                    last_link = Some((next, target));
                }
                EntryKind::File | EntryKind::Executable => {
                    return if steps.iter().all(|s| s.is_empty() || s == ".") { self.file(&next) } else { Ok(()) };
                }
                EntryKind::Submodule => {
                    self.out.submodules.insert(next);
                    return Ok(());
                }
            }
        }
        self.contents(&real)
    }

    /// Writes everything in a folder.
    fn contents(&mut self, folder: &str) -> Result<(), ExportError> {
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            if !self.whole.insert(folder.clone()) {
                continue;
            }
            for entry in self.tree.entries(&folder)?.unwrap_or_default() {
                let path = join(&folder, &entry.name);
                check_name(&entry.name, &path)?;
                match entry.kind {
                    EntryKind::Folder => {
                        self.folder(&path)?;
                        todo.push(path);
                    }
                    EntryKind::File | EntryKind::Executable => self.file(&path)?,
                    EntryKind::Link => self.add(&path)?,
                    EntryKind::Submodule => drop(self.out.submodules.insert(path)),
                }
            }
        }
        Ok(())
    }

    /// Counts a path that is about to be written. `false`: it is there already.
    fn count(&mut self, path: &str) -> Result<bool, ExportError> {
        if !self.written.insert(path.to_owned()) {
            return Ok(false);
        }
        let too_much = |cap: usize, unit| Err(ExportError::TooMuch { cap: cap as u64, unit, path: path.to_owned() });
        if self.written.len() > self.caps.files {
            return too_much(self.caps.files, "files and folders");
        }
        if path.split('/').count() > self.caps.depth {
            return too_much(self.caps.depth, "folders deep");
        }
        Ok(true)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.into.join(path)
    }

    fn folder(&mut self, path: &str) -> Result<(), ExportError> {
        if self.count(path)? {
            let made = DirBuilder::new().mode(0o700).create(self.at(path));
            made.map_err(|source| ExportError::Write { path: path.to_owned(), source })?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<(), ExportError> {
        if !self.count(path)? {
            return Ok(());
        }
        let content = match self.tree.read(path, self.caps.bytes - self.bytes) {
            Err(TreeError::TooLarge { .. }) => {
                return Err(ExportError::TooMuch { cap: self.caps.bytes, unit: "bytes", path: path.to_owned() });
            }
            other => other?,
        };
        self.bytes += content.len() as u64;
        // `create_new` follows no link, and nothing else may be there.
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.at(path)).and_then(|mut f| f.write_all(&content));
        written.map_err(|source| ExportError::Write { path: path.to_owned(), source })?;
        self.out.values.learn(path, &content);
        self.out.files.insert(path.to_owned());
        Ok(())
    }

    /// Writes a link and returns its target. Whether the target stays inside is found by walking it, which the caller does.
    fn link(&mut self, path: &str) -> Result<String, ExportError> {
        let raw = match self.tree.read(path, LINK_BYTES) {
            Err(TreeError::TooLarge { .. }) => return Err(ExportError::Name(path.to_owned())),
            other => other?,
        };
        let shown = || String::from_utf8_lossy(&raw).chars().take(200).filter(|c| !c.is_control()).collect::<String>();
        let outside = || ExportError::LinkOutside { link: path.to_owned(), target: shown() };
        let target = std::str::from_utf8(&raw).ok().filter(|t| !t.is_empty() && !t.starts_with('/') && !t.contains('\0')).ok_or_else(outside)?;
        // A target that is not in the commit is never walked to its end, so its text alone must stay inside as well.
        let mut depth = path.split('/').count() - 1;
        for step in target.split('/') {
            match step {
                "" | "." => {}
                ".." => depth = depth.checked_sub(1).ok_or_else(outside)?,
                _ => depth += 1,
            }
        }
        if self.count(path)? {
            let made = symlink(std::ffi::OsStr::from_bytes(&raw), self.at(path));
            made.map_err(|source| ExportError::Write { path: path.to_owned(), source })?;
        }
        Ok(target.to_owned())
    }
}

/// Refuses names that Git forbids or that mean something else on disk. Git's own checks cover what git wrote; a crafted tree can hold them.
fn check_name(name: &str, path: &str) -> Result<(), ExportError> {
    let bad = matches!(name, "" | "." | "..") || name.eq_ignore_ascii_case(".git") || name.contains(['/', '\0']);
    if bad { Err(ExportError::Name(path.chars().filter(|c| !c.is_control()).collect())) } else { Ok(()) }
}

/// Adds a file of our own to a folder of the render.
pub fn write_own(path: &Path, content: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut f| f.write_all(content))
}

/// Whether a path in the source is a folder on disk after the export.
pub fn is_folder(into: &Path, path: &str) -> bool {
    fs::metadata(into.join(path)).is_ok_and(|m| m.is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::git::{Entry, MemoryTree};

    fn go(tree: &dyn Tree, paths: &[&str], caps: ExportCaps) -> (tempfile::TempDir, Result<Exported, ExportError>) {
        let into = tempfile::tempdir().expect("a folder");
        let done = export(tree, paths.iter().copied(), into.path(), &caps);
        (into, done)
    }

    #[test]
    fn only_what_was_asked_for_is_written_and_only_we_can_read_it() {
        let tree = MemoryTree::new().with("a/b/c.yaml", "x").with("a/d.yaml", "y").with("z.yaml", "no");
        let (into, done) = go(&tree, &["a/b", "a/nope.yaml"], ExportCaps::default());
        assert_eq!(done.expect("exported").files, ["a/b/c.yaml".to_owned()].into());
        assert_eq!(fs::read(into.path().join("a/b/c.yaml")).expect("there"), b"x");
        assert!(!into.path().join("a/d.yaml").exists() && !into.path().join("z.yaml").exists());
        let mode = |p: &str| fs::metadata(into.path().join(p)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("a/b"), mode("a/b/c.yaml")), (0o700, 0o600));
    }

    #[test]
    fn a_link_inside_is_written_with_what_it_points_at() {
        let tree = MemoryTree::new().with("lib/chart/Chart.yaml", "c").with_link("app/charts/lib", "../../lib/chart").with_link("alias", "app");
        let (into, done) = go(&tree, &["alias/charts/lib/Chart.yaml"], ExportCaps::default());
        done.expect("exported");
        assert_eq!(fs::read(into.path().join("alias/charts/lib/Chart.yaml")).expect("reachable"), b"c");
        let (into, done) = go(&tree, &["app"], ExportCaps::default());
        done.expect("exported");
        assert_eq!(fs::read(into.path().join("app/charts/lib/Chart.yaml")).expect("reachable"), b"c");
    }

    #[test]
    fn a_link_that_leaves_is_refused_however_it_leaves() {
        for (link, target) in [
            ("app/l", "/etc"),
            ("app/l", "../.."),
            ("app/l", "../../etc/hostname"),
            ("l", ".."),
            ("app/l", "missing/../../../x"),
            ("app/l", "../../app"),
            ("app/l", ""),
        ] {
            let tree = MemoryTree::new().with("app/a.yaml", "x").with_link(link, target);
            for paths in [&[link][..], &["app", "l"], &[""]] {
                let (into, done) = go(&tree, paths, ExportCaps::default());
                assert_eq!(done.expect_err("refused").kind(), "bad_link", "{link} -> {target}");
                assert!(fs::symlink_metadata(into.path().join(link)).is_err() || link == "l", "{link} -> {target} was written");
            }
        }
        // Each link is inside by its own text, but the second one is reached through the first.
        let tree = MemoryTree::new().with("a/b/c/x", "x").with_link("up", "a/b/c").with_link("out", "up/../../../../x");
        assert!(go(&tree, &["out"], ExportCaps::default()).1.is_err());
    }

    #[test]
    fn links_in_a_circle_end() {
        let tree = MemoryTree::new().with_link("a", "b").with_link("b", "a");
        assert!(matches!(go(&tree, &["a"], ExportCaps::default()).1, Err(ExportError::LinkLoop(_))));
        let tree = MemoryTree::new().with("d/x", "x").with_link("d/self", ".").with_link("d/up", "..");
        let (_into, done) = go(&tree, &["d"], ExportCaps::default());
        done.expect("a folder that holds itself is written once");
    }

    /// A tree whose entries have names that git would not write.
    struct Crafted(&'static str);

    impl Tree for Crafted {
        fn entries(&self, folder: &str) -> Result<Option<Vec<Entry>>, TreeError> {
            Ok(folder.is_empty().then(|| vec![Entry { name: self.0.into(), kind: EntryKind::File, oid: "1".into() }]))
        }
        fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
            Ok(path.is_empty().then(|| Entry { name: String::new(), kind: EntryKind::Folder, oid: "0".into() }))
        }
        fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, TreeError> {
            Ok(b"owned".to_vec())
        }
    }

    #[test]
    fn crafted_names_are_refused() {
        for name in ["..", ".", "", ".git", ".GIT", "../../x", "a/b", "a\0b"] {
            assert_eq!(go(&Crafted(name), &[""], ExportCaps::default()).1.expect_err("refused").kind(), "unsafe_path", "{name:?}");
        }
        for path in ["../x", "/etc/passwd", "a/../../x"] {
            let tree = MemoryTree::new().with("a/x", "x");
            assert_eq!(go(&tree, &[path], ExportCaps::default()).1.expect_err("refused").kind(), "unsafe_path", "{path}");
        }
    }

    #[test]
    fn every_cap_holds() {
        let tree = MemoryTree::new().with("a/b/c/d.yaml", "12345").with("a/e.yaml", "12345");
        for (caps, unit) in [
            (ExportCaps { bytes: 9, ..ExportCaps::default() }, "bytes"),
            (ExportCaps { files: 4, ..ExportCaps::default() }, "files and folders"),
            (ExportCaps { depth: 3, ..ExportCaps::default() }, "folders deep"),
        ] {
            match go(&tree, &["a"], caps).1 {
                Err(e @ ExportError::TooMuch { unit: hit, .. }) => assert_eq!((hit, e.kind()), (unit, "too_large")),
                other => panic!("{unit}: {other:?}"),
            }
        }
        assert!(go(&tree, &["a"], ExportCaps { bytes: 10, files: 5, depth: 4 }).1.is_ok(), "a cap that is just met is no refusal");
    }
}
