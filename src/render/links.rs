//! Paths inside one commit, links followed as far as they stay inside. pure

use std::collections::VecDeque;

use super::RenderError;
use crate::git::{Entry, EntryKind, Tree};

/// Links followed on the way to one place. Linux allows 40.
const MOST_LINKS: usize = 40;

/// Bytes of a link's target. Linux allows 4096.
const LONGEST_TARGET: u64 = 4096;

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file or a folder.
    Found(Found),
    /// Nothing.
    Missing,
    /// A place outside of the source.
    Outside,
    /// A link that leads to itself.
    Circle,
    /// Something inside a submodule, or one itself; its path.
    Submodule(String),
}

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its own path, free of links.
    pub path: String,
    /// The entry; never a link and never a submodule.
    pub entry: Entry,
    /// Links on the way: path and id.
    pub links: Vec<(String, String)>,
}

/// Follows `reference` from `folder`, step by step and link by link. Both use `/`; `folder` is clean, `reference` may hold `.`, `..` and
/// empty steps. An absolute reference leads outside.
///
/// # Errors
/// The tree could not be read.
pub fn follow(tree: &dyn Tree, folder: &str, reference: &str) -> Result<Place, RenderError> {
    if reference.starts_with('/') {
        return Ok(Place::Outside);
    }
    let mut at: Vec<String> = steps(folder).map(str::to_owned).collect();
    let mut todo: VecDeque<String> = steps(reference).map(str::to_owned).collect();
    let mut links = Vec::new();
    let mut entry = tree.entry(&at.join("/"))?;
    while let Some(step) = todo.pop_front() {
        match entry.as_ref().map(|e| e.kind) {
            Some(EntryKind::Folder) => {}
            Some(EntryKind::Submodule) => return Ok(Place::Submodule(at.join("/"))),
            _ => return Ok(Place::Missing),
        }
        if step == ".." {
            if at.pop().is_none() {
                return Ok(Place::Outside);
            }
            entry = tree.entry(&at.join("/"))?;
            continue;
        }
        at.push(step);
        let path = at.join("/");
        entry = tree.entry(&path)?;
        let Some(link) = entry.as_ref().filter(|e| e.kind == EntryKind::Link) else { continue };
        if links.len() == MOST_LINKS {
            return Ok(Place::Circle);
        }
        let target = tree.read(&path, LONGEST_TARGET)?;
        let Ok(target) = String::from_utf8(target) else { return Ok(Place::Missing) };
        if target.starts_with('/') {
            return Ok(Place::Outside);
        }
        links.push((path, link.oid.clone()));
        steps(&target).rev().for_each(|s| todo.push_front(s.to_owned()));
        at.pop();
        entry = tree.entry(&at.join("/"))?;
    }
    Ok(match entry {
        None => Place::Missing,
        Some(entry) if entry.kind == EntryKind::Submodule => Place::Submodule(at.join("/")),
        Some(entry) => Place::Found(Found { path: at.join("/"), entry, links }),
    })
}

/// The place of an app: like [`follow`] from the root, but everything other than a file or a folder is an error.
///
/// # Errors
/// The path is not there, leads outside or into a submodule, or the tree could not be read.
pub fn app_place(tree: &dyn Tree, path: &str) -> Result<Found, RenderError> {
    match follow(tree, "", path)? {
        Place::Found(found) => Ok(found),
        Place::Missing => Err(RenderError::NoPath { path: path.to_owned() }),
        Place::Outside => Err(RenderError::BadLink { path: path.to_owned(), how: "leaves the repository" }),
        Place::Circle => Err(RenderError::BadLink { path: path.to_owned(), how: "leads in circles" }),
        Place::Submodule(path) => Err(RenderError::Submodule { path }),
    }
}

/// A path from its parts; the root folder is the empty text.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn steps(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty() && *s != ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::MemoryTree;

    #[test]
    fn references_are_followed_through_links_and_never_out() {
        let tree = MemoryTree::new()
            .with("apps/shop/cart.yaml", "x")
            .with("base/b.yaml", "y")
            .with_link("apps/shop/base", "../../base")
            .with_link("apps/shop/b.yaml", "base/./b.yaml")
            .with_link("apps/shop/out", "../../../etc/passwd")
            .with_link("apps/shop/abs", "/etc/passwd")
            .with_link("apps/shop/round", "round")
            .with_link("apps/shop/gone", "nowhere")
            .with_link("apps/shop/into", "cart.yaml/x");
        let at = |reference: &str| match follow(&tree, "apps/shop", reference).expect("readable") {
            Place::Found(found) => format!("{} via {}", found.path, found.links.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>().join(",")),
            other => format!("{other:?}"),
        };
        for (reference, place) in [
            ("cart.yaml", "apps/shop/cart.yaml via "),
            ("./../shop//cart.yaml", "apps/shop/cart.yaml via "),
            ("", "apps/shop via "),
            ("../..", " via "),
            ("base", "base via apps/shop/base"),
            ("base/../apps", "apps via apps/shop/base"),
            ("b.yaml", "base/b.yaml via apps/shop/b.yaml,apps/shop/base"),
            ("../../../x", "Outside"),
            ("/apps/shop/cart.yaml", "Outside"),
            ("out", "Outside"),
            ("abs", "Outside"),
            ("round", "Circle"),
            ("gone", "Missing"),
            ("into", "Missing"),
            ("nope/../cart.yaml", "Missing"),
        ] {
            assert_eq!(at(reference), place, "{reference}");
        }
    }
}
