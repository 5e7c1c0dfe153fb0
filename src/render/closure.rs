//! Everything that the render of an app can depend on, as one hash. pure
//!
//! A commit whose closure is unchanged renders the same, so it need not be rendered. A folder counts by its tree's id: that covers files
//! that would win if they were there.

mod helm;
mod kustomize;

use std::collections::BTreeMap;

use super::{
    Caps, RenderError, directory,
    links::{Found, Place, app_place, follow},
};
use crate::{
    config::{App, Renderer},
    git::{EntryKind, Tree},
    object::{Fingerprint, Text},
};

/// References followed for one app.
const MOST_REFERENCES: usize = 100_000;

/// Bytes of all files that are read to find references.
const MOST_BYTES: u64 = 8 << 20;

/// Listing costs little and the render has caps of its own, so these only end what would not end otherwise.
const LISTING: Caps = Caps { files: 1_000_000, entries: 2_000_000, bytes: u64::MAX, objects: usize::MAX };

/// Changes whenever the same files may render otherwise than before, for a reason in this program.
const VERSION: &str = "1";

/// What a render can depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Equal hashes render the same, with the same tool, cluster version and caps.
    pub hash: Text,
    /// Files, links and folders (whole, with all below them) that an exec renderer needs, none inside another; the empty path is the root.
    pub paths: Vec<String>,
    /// References that lead to nothing inside the source. A render that needs one will fail, or would have to go to the network.
    pub remote: Vec<Reference>,
}

/// A reference that cannot be followed inside the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The file or folder that holds it.
    pub from: String,
    /// The reference as written, without user info.
    pub target: String,
    /// Why it cannot be followed.
    pub why: Why,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (in {})", self.target, self.from)
    }
}

/// Why a reference cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It names another place: a URL, a Git host, another repository.
    Remote,
    /// It leaves the source, by itself or through a link.
    Escapes,
    /// Nothing is there, or a submodule, whose files are in another repository.
    Missing,
}

/// Computes the closure of an app. `renderer` is the resolved one.
///
/// # Errors
/// The app's path is not there, its kustomization is not YAML, a cap is reached, the tree cannot be read, or `renderer` is `Auto`.
pub fn closure(app: &App, renderer: &Renderer, tree: &dyn Tree) -> Result<Closure, RenderError> {
    let mut reach = Reach { tree, seen: BTreeMap::new(), folders: Vec::new(), remote: Vec::new(), references: 0, bytes: MOST_BYTES };
    let place = app_place(tree, &app.path)?;
    let root = place.path.clone();
    let settings = match renderer {
        Renderer::Auto => return Err(RenderError::Undecided),
        Renderer::Directory(options) => {
            let plan = directory::plan(app, options, tree, &LISTING)?;
            reach.seen.extend(plan.besides);
            reach.seen.extend(plan.manifests.into_iter().map(|m| (m.content, m.oid)));
            if place.entry.kind == EntryKind::Folder {
                reach.folders.push(root);
            }
            format!("{options:?}")
        }
        Renderer::Kustomize => {
            reach.take(place);
            kustomize::walk(&mut reach, &root)?;
            String::new()
        }
        Renderer::Helm(options) => {
            reach.take(place);
            helm::walk(&mut reach, &root, options)?;
            format!("{options:?} {} {:?}", app.name, app.namespace)
        }
    };
    Ok(reach.finish(app, renderer, &settings))
}

/// What was reached so far.
struct Reach<'t> {
    tree: &'t dyn Tree,
    /// Path and id of everything that counts.
    seen: BTreeMap<String, String>,
    /// Those that are folders.
    folders: Vec<String>,
    remote: Vec<Reference>,
    references: usize,
    bytes: u64,
}

impl Reach<'_> {
    fn finish(mut self, app: &App, renderer: &Renderer, settings: &str) -> Closure {
        self.remote.sort_by(|a, b| (&a.from, a.why, &a.target).cmp(&(&b.from, b.why, &b.target)));
        self.remote.dedup();
        let mut text = format!("{VERSION}\n{}\n{}\n{settings}\n", renderer.name(), app.path);
        for (path, oid) in &self.seen {
            text.push_str(&format!("{path}\0{oid}\n"));
        }
        let mut paths: Vec<String> = self.seen.into_keys().chain(self.folders.iter().cloned()).collect();
        paths.sort();
        paths.dedup();
        let folders = self.folders;
        let below =
            |path: &str| folders.iter().any(|f| path != f && (f.is_empty() || path.strip_prefix(f.as_str()).is_some_and(|r| r.starts_with('/'))));
        paths.retain(|path| !below(path));
        Closure { hash: Fingerprint::of(text.as_bytes()).to_string().into(), paths, remote: self.remote }
    }

    /// Counts what was found, and the links on the way.
    fn take(&mut self, found: Found) {
        self.seen.extend(found.links);
        if found.entry.kind == EntryKind::Folder && !self.folders.contains(&found.path) {
            self.folders.push(found.path.clone());
        }
        self.seen.insert(found.path, found.entry.oid);
    }

    /// Follows a reference that `from` makes from `folder`. What cannot be followed is noted.
    fn follow(&mut self, from: &str, folder: &str, reference: &str) -> Result<Option<Found>, RenderError> {
        self.references += 1;
        if self.references > MOST_REFERENCES {
            return Err(RenderError::TooLarge { what: "references", cap: MOST_REFERENCES as u64, place: from.to_owned() });
        }
        let why = if is_remote(reference) {
            Why::Remote
        } else {
            match follow(self.tree, folder, reference)? {
                Place::Found(found) => {
                    self.take(found.clone());
                    return Ok(Some(found));
                }
                Place::Missing if may_be_remote(reference) => Why::Remote,
                Place::Missing | Place::Submodule(_) => Why::Missing,
                Place::Outside | Place::Circle => Why::Escapes,
            }
        };
        self.note(from, reference, why);
        Ok(None)
    }

    fn note(&mut self, from: &str, reference: &str, why: Why) {
        self.remote.push(Reference { from: from.to_owned(), target: without_user(reference), why });
    }

    /// Reads a file that may hold references.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, RenderError> {
        let bytes = self.tree.read(path, self.bytes)?;
        self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }
}

/// What is never a path.
fn is_remote(reference: &str) -> bool {
    reference.contains("://") || ["git@", "git::", "gh:", "ssh:"].iter().any(|p| reference.starts_with(p))
}

/// What kustomize takes for a repository when there is no such path.
fn may_be_remote(reference: &str) -> bool {
    let (first, rest) = reference.split_once('/').unwrap_or((reference, ""));
    let host = !rest.is_empty() && first.contains('.') && !first.starts_with('.');
    host || reference.contains("?ref=") || reference.contains("?version=") || reference.contains("//") || reference.contains('@')
}

/// A URL without user name and password, and a reference of bounded length.
fn without_user(reference: &str) -> String {
    let clean = match reference.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => match reference.split_once('@') {
            Some((user, rest)) if user.contains(':') => rest.to_owned(),
            _ => reference.to_owned(),
        },
    };
    clean.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{AppName, DirectoryOptions, DirectoryRules, HelmOptions, SourceName},
        git::MemoryTree,
    };

    fn refused(renderer: Renderer, tree: &MemoryTree) -> (&'static str, String) {
        let app = App {
            name: AppName("shop".into()),
            source: SourceName("s".into()),
            path: "a".into(),
            namespace: None,
            layer: None,
            renderer: Renderer::Auto,
        };
        let error = closure(&app, &renderer, tree).expect_err("capped");
        (error.kind(), error.to_string())
    }

    #[test]
    fn references_are_counted() {
        let tree = MemoryTree::new().with("x", "");
        let mut reach =
            Reach { tree: &tree, seen: BTreeMap::new(), folders: Vec::new(), remote: Vec::new(), references: MOST_REFERENCES - 1, bytes: 0 };
        assert!(reach.follow("k", "", "x").is_ok_and(|found| found.is_some()));
        let error = reach.follow("k", "", "x").expect_err("capped");
        assert_eq!((error.kind(), error.to_string().starts_with("more than 100000 references in k")), ("too_large", true), "{error}");
    }

    #[test]
    fn files_with_references_are_bounded() {
        let large = vec![b'#'; usize::try_from(MOST_BYTES).expect("fits") + 1];
        let (kind, _) = refused(Renderer::Kustomize, &MemoryTree::new().with("a/kustomization.yaml", large));
        assert_eq!(kind, "too_large");
    }

    #[test]
    fn entries_of_a_chart_are_counted() {
        let tree = (0..=helm::MOST_ENTRIES).fold(MemoryTree::new().with("a/Chart.yaml", ""), |tree, n| tree.with(&format!("a/templates/{n}"), ""));
        let (kind, text) = refused(Renderer::Helm(HelmOptions::default()), &tree);
        assert_eq!((kind, text.starts_with("more than 20000 entries in a")), ("too_large", true), "{text}");
    }

    #[test]
    fn patterns_and_their_files_are_bounded() {
        let flux = || Renderer::Directory(DirectoryOptions { rules: DirectoryRules::Flux, ..DirectoryOptions::default() });
        let tree = MemoryTree::new().with("a/x.yaml", "");
        let (kind, text) = refused(flux(), &tree.clone().with(".sourceignore", "x\n".repeat(10_001)));
        assert_eq!((kind, text.starts_with("more than 10000 patterns in .sourceignore")), ("too_large", true), "{text}");
        assert_eq!(refused(flux(), &tree.with("a/.sourceignore", vec![b'#'; 300_000])).0, "too_large");
    }

    #[test]
    fn a_link_of_absurd_length_is_refused() {
        let tree = MemoryTree::new().with_link("a", &"x/".repeat(3_000));
        assert_eq!(refused(Renderer::Kustomize, &tree).0, "too_large");
    }

    #[test]
    fn user_names_and_passwords_are_dropped() {
        for (reference, shown) in [
            ("https://u:canary@git.example.com/x?ref=v1", "https://git.example.com/x?ref=v1"),
            ("https://canary@git.example.com", "https://git.example.com"),
            ("https://git.example.com/a@b", "https://git.example.com/a@b"),
            ("git@git.example.com:x/y", "git@git.example.com:x/y"),
            ("u:canary@git.example.com:x", "git.example.com:x"),
            ("../base", "../base"),
        ] {
            assert_eq!(without_user(reference), shown);
        }
        assert_eq!(without_user(&"x".repeat(1_000)).len(), 300);
    }
}
