//! What a chart in the source depends on. pure

use super::{Reach, RenderError, Why};
use crate::{config::HelmOptions, git::EntryKind, render::links::join};

/// Entries of one chart's folder.
pub(super) const MOST_ENTRIES: usize = 20_000;

/// The chart in `root` and its value files. Argo CD's rules for these: relative to the chart, or with a leading slash to the source's root.
pub(super) fn walk(reach: &mut Reach<'_>, root: &str, options: &HelmOptions) -> Result<(), RenderError> {
    if reach.tree.entry(&join(root, "Chart.yaml"))?.is_none() {
        let folder = if root.is_empty() { "." } else { root };
        return Err(RenderError::NotRenderable { wanted: "Chart.yaml", folder: folder.to_owned() });
    }
    links_below(reach, root)?;
    let from = if root.is_empty() { "." } else { root };
    for file in &options.value_files {
        match file.strip_prefix('/') {
            Some(rest) => reach.follow(from, "", rest)?,
            // `$name/path` is a file of another source.
            None if file.starts_with('$') => {
                reach.note(from, file, Why::Remote);
                None
            }
            None => reach.follow(from, root, file)?,
        };
    }
    Ok(())
}

/// Helm follows every link inside of a chart, so what they lead to counts.
pub(super) fn links_below(reach: &mut Reach<'_>, folder: &str) -> Result<(), RenderError> {
    let mut todo = vec![folder.to_owned()];
    let mut seen = 0;
    let mut entered = std::collections::BTreeSet::new();
    while let Some(folder) = todo.pop() {
        if !entered.insert(folder.clone()) {
            continue;
        }
        for entry in reach.tree.entries(&folder)?.unwrap_or_default() {
            seen += 1;
            if seen > MOST_ENTRIES {
                return Err(RenderError::TooLarge { what: "entries", cap: MOST_ENTRIES as u64, place: folder });
            }
            let path = join(&folder, &entry.name);
            match entry.kind {
                EntryKind::Folder => todo.push(path),
                EntryKind::Link => {
                    if let Some(found) = reach.follow(&path, &folder, &entry.name)?.filter(|f| f.entry.kind == EntryKind::Folder) {
                        todo.push(found.path);
                    }
                }
                EntryKind::File | EntryKind::Executable | EntryKind::Submodule => {}
            }
        }
    }
    Ok(())
}
