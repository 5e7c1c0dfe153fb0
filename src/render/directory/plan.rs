//! Which files of a folder are manifests. pure

use globset::{GlobBuilder, GlobMatcher};

use crate::{
    config::{App, DirectoryOptions, DirectoryRules},
    git::{Entry, EntryKind, Tree},
    render::{
        Caps, RenderError,
        detect::KUSTOMIZATIONS,
        links::{Place, app_place, follow, join},
        sourceignore::{self, SourceIgnore},
    },
};

/// Bytes of one `.sourceignore`.
const LONGEST_IGNORE_FILE: u64 = 256 << 10;

/// The files of a directory app, in the order in which they are read.
#[derive(Clone, Debug, Default)]
pub(in crate::render) struct Plan {
    /// The files.
    pub(in crate::render) manifests: Vec<Manifest>,
    /// The app's path is a single file.
    pub(in crate::render) single: bool,
    /// What else decides about the outcome, by path and id: links on the way and lists of exclusions.
    pub(in crate::render) besides: Vec<(String, String)>,
    /// Links that lead to nothing that could be read, and why.
    pub(in crate::render) dangling: Vec<(String, String)>,
}

/// One file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) struct Manifest {
    /// The path under which it lies in the app, as people know it.
    pub(in crate::render) file: String,
    /// The path of its content: another one if it is a link.
    pub(in crate::render) content: String,
    /// Id of its content.
    pub(in crate::render) oid: String,
}

/// Lists the manifests of a directory app, without reading them.
pub(in crate::render) fn plan(app: &App, options: &DirectoryOptions, tree: &dyn Tree, caps: &Caps) -> Result<Plan, RenderError> {
    let place = app_place(tree, &app.path)?;
    let mut plan = Plan { besides: place.links, ..Plan::default() };
    if place.entry.kind != EntryKind::Folder {
        if place.path.ends_with(".jsonnet") {
            return Err(RenderError::NeedsJsonnet { file: place.path });
        }
        plan.single = true;
        plan.manifests.push(Manifest { file: place.path.clone(), content: place.path, oid: place.entry.oid });
        return Ok(plan);
    }
    let mut walk = Walk { tree, caps, root: place.path, seen: 0, plan };
    match options.rules {
        DirectoryRules::Argocd => walk.argocd(options)?,
        DirectoryRules::Flux => walk.flux(options)?,
    }
    Ok(walk.plan)
}

struct Walk<'a> {
    tree: &'a dyn Tree,
    caps: &'a Caps,
    root: String,
    seen: usize,
    plan: Plan,
}

impl Walk<'_> {
    fn entries(&mut self, folder: &str) -> Result<Vec<Entry>, RenderError> {
        let entries = self.tree.entries(folder)?.unwrap_or_default();
        self.seen += entries.len();
        if self.seen > self.caps.entries {
            return Err(RenderError::TooLarge { what: "entries", cap: self.caps.entries as u64, place: self.root.clone() });
        }
        Ok(entries)
    }

    fn add(&mut self, file: String, content: String, oid: String) -> Result<(), RenderError> {
        if file.ends_with(".jsonnet") {
            return Err(RenderError::NeedsJsonnet { file });
        }
        if self.plan.manifests.len() == self.caps.files {
            return Err(RenderError::TooLarge { what: "files", cap: self.caps.files as u64, place: self.root.clone() });
        }
        self.plan.manifests.push(Manifest { file, content, oid });
        Ok(())
    }

    /// The path relative to the app's folder.
    fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.root).unwrap_or(path).trim_start_matches('/')
    }

    fn argocd(&mut self, options: &DirectoryOptions) -> Result<(), RenderError> {
        let wanted = Wanted::new(options)?;
        let mut todo = vec![self.root.clone()];
        // A stack and not recursion: folders may be nested as deep as a hostile commit likes.
        while let Some(path) = todo.pop() {
            let mut below = Vec::new();
            for entry in self.entries(&path)? {
                let path = join(&path, &entry.name);
                match entry.kind {
                    EntryKind::Folder if options.recurse => below.push(path),
                    EntryKind::File | EntryKind::Executable if wanted.takes(&entry.name, self.relative(&path)) => {
                        self.add(path.clone(), path, entry.oid)?;
                    }
                    EntryKind::Link if is_manifest_name(&entry.name) => self.link(&path, &wanted, &entry.name)?,
                    EntryKind::Folder | EntryKind::File | EntryKind::Executable | EntryKind::Link | EntryKind::Submodule => {}
                }
            }
            todo.extend(below.into_iter().rev());
        }
        // Argo CD walks in the order of names, folders among files.
        self.plan.manifests.sort_by(|a, b| a.file.split('/').cmp(b.file.split('/')));
        Ok(())
    }

    /// A link to a file is read; one to a folder is not descended; one that leaves the repository fails the app, whether it is excluded or
    /// not.
    fn link(&mut self, path: &str, wanted: &Wanted, name: &str) -> Result<(), RenderError> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let dangling = match follow(self.tree, folder, name)? {
            Place::Found(found) => {
                self.plan.besides.extend(found.links);
                match found.entry.kind {
                    EntryKind::File | EntryKind::Executable => {
                        if wanted.takes(name, self.relative(path)) {
                            self.add(path.to_owned(), found.path, found.entry.oid)?;
                        }
                        return Ok(());
                    }
                    _ => "passed over: a link to a folder",
                }
            }
            Place::Outside => return Err(RenderError::BadLink { path: path.to_owned(), how: "leaves the repository" }),
            Place::Circle => return Err(RenderError::BadLink { path: path.to_owned(), how: "leads in circles" }),
            Place::Missing => "passed over: the link leads to nothing",
            Place::Submodule(_) => "passed over: the link leads into a submodule",
        };
        self.plan.dangling.push((path.to_owned(), dangling.to_owned()));
        Ok(())
    }

    fn flux(&mut self, options: &DirectoryOptions) -> Result<(), RenderError> {
        let wanted = Wanted::new(options)?;
        let mut ignore = SourceIgnore::default();
        // Lists above the app's folder hold for it too; those in folders beside it do not matter.
        let mut above = Vec::new();
        let mut at = self.root.as_str();
        while let Some((folder, _)) = at.rsplit_once('/').or_else(|| (!at.is_empty()).then_some(("", at))) {
            above.push(folder.to_owned());
            at = folder;
        }
        for folder in above.into_iter().rev() {
            self.ignore_file(&mut ignore, &folder)?;
        }
        let mut todo = vec![self.root.clone()];
        let mut files: Vec<(String, String, Entry)> = Vec::new();
        while let Some(folder) = todo.pop() {
            self.ignore_file(&mut ignore, &folder)?;
            for entry in self.entries(&folder)? {
                let path = join(&folder, &entry.name);
                match entry.kind {
                    EntryKind::Folder => todo.push(path),
                    // The artifact holds regular files alone.
                    EntryKind::File | EntryKind::Executable => files.push((folder.clone(), path, entry)),
                    EntryKind::Link | EntryKind::Submodule => {}
                }
            }
        }
        files.retain(|(_, path, _)| !ignore.excludes(path));
        files.sort_by(|(_, a, _), (_, b, _)| a.split('/').cmp(b.split('/')));
        if let Some((folder, ..)) = files.iter().find(|(.., entry)| KUSTOMIZATIONS.contains(&entry.name.as_str())) {
            return Err(RenderError::NeedsKustomize { folder: if folder.is_empty() { ".".to_owned() } else { folder.clone() } });
        }
        for (_, path, entry) in files {
            if is_yaml_name(&entry.name) && wanted.takes(&entry.name, self.relative(&path)) {
                self.add(path.clone(), path, entry.oid)?;
            }
        }
        Ok(())
    }

    fn ignore_file(&mut self, ignore: &mut SourceIgnore, folder: &str) -> Result<(), RenderError> {
        let path = join(folder, sourceignore::FILE);
        let Some(entry) = self.tree.entry(&path)?.filter(|e| matches!(e.kind, EntryKind::File | EntryKind::Executable)) else { return Ok(()) };
        let text = self.tree.read(&path, LONGEST_IGNORE_FILE)?;
        ignore.add(folder, &String::from_utf8_lossy(&text));
        if ignore.len() > sourceignore::MOST_PATTERNS {
            return Err(RenderError::TooLarge { what: "patterns", cap: sourceignore::MOST_PATTERNS as u64, place: path });
        }
        self.plan.besides.push((path, entry.oid));
        Ok(())
    }
}

/// The names that Argo CD reads; jsonnet is among them and refused later.
fn is_manifest_name(name: &str) -> bool {
    is_yaml_name(name) || name.ends_with(".json") || name.ends_with(".jsonnet")
}

fn is_yaml_name(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// `include` and `exclude`.
struct Wanted {
    include: Option<GlobMatcher>,
    exclude: Option<GlobMatcher>,
}

impl Wanted {
    fn new(options: &DirectoryOptions) -> Result<Self, RenderError> {
        let matcher = |which, pattern: &Option<String>| pattern.as_deref().filter(|p| !p.is_empty()).map(|p| glob(which, p)).transpose();
        Ok(Self { include: matcher("include", &options.include)?, exclude: matcher("exclude", &options.exclude)? })
    }

    fn takes(&self, name: &str, relative: &str) -> bool {
        is_manifest_name(name)
            && !self.exclude.as_ref().is_some_and(|g| g.is_match(relative))
            && self.include.as_ref().is_none_or(|g| g.is_match(relative))
    }
}

/// A glob with the meaning of gobwas/glob without separators, which Argo CD uses: `*` and `**` alike match anything, slashes too.
fn glob(which: &'static str, pattern: &str) -> Result<GlobMatcher, RenderError> {
    let mut plain = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                plain.push(c);
                plain.extend(chars.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            // To globset `**` is a matter of whole path steps; here it is only a star.
            '*' if !in_class && plain.ends_with('*') && !plain.ends_with("\\*") => continue,
            _ => {}
        }
        plain.push(c);
    }
    let built = GlobBuilder::new(&plain).literal_separator(false).backslash_escape(true).empty_alternates(true).build();
    built.map(|g| g.compile_matcher()).map_err(|error| RenderError::BadGlob { which, message: error.kind().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_mean_what_argo_cd_means() {
        for (pattern, path, matches) in [
            ("*.yaml", "deep/a.yaml", true),
            ("**/a.yaml", "a.yaml", false),
            ("**/a.yaml", "x/y/a.yaml", true),
            ("{a,b}.yaml", "b.yaml", true),
            ("{,deep/}a.yaml", "a.yaml", true),
            ("a?.yaml", "ab.yaml", true),
            ("[!a].yaml", "a.yaml", false),
            ("[*]x", "*x", true),
            ("\\**", "*abc", true),
            ("\\**", "abc", false),
            ("a***b", "a/x/b", true),
        ] {
            assert_eq!(glob("include", pattern).expect("glob").is_match(path), matches, "{pattern} {path}");
        }
        assert_eq!(glob("exclude", "[a").expect_err("no glob").kind(), "bad_glob");
    }
}
