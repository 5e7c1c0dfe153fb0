//! Whether files changed since they were last read: names, sizes and times. I/O: looks at files and folders.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Folders below folders that are looked into; links in a circle end here.
const DEPTH: usize = 16;

/// Names, sizes and times of what lies at and below some paths: equal marks mean that nothing needs to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Mark {
    /// Looks. What is not there is no part of the mark.
    pub fn of(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let mut found = Vec::new();
        let mut open: Vec<(PathBuf, usize)> = paths.into_iter().map(|p| (p.as_ref().to_owned(), 0)).collect();
        while let Some((next, depth)) = open.pop() {
            let Ok(meta) = std::fs::metadata(&next) else { continue };
            if meta.is_dir() && depth < DEPTH {
                open.extend(std::fs::read_dir(&next).into_iter().flatten().flatten().map(|e| (e.path(), depth + 1)));
            }
            found.push((next, meta.len(), meta.modified().ok()));
        }
        found.sort();
        Self(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_mark_changes_with_every_file_below_and_with_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (deep, beside) = (folder.path().join("a/b"), folder.path().join("beside"));
        fs::create_dir_all(&deep).expect("made");
        fs::write(deep.join("x"), "1").expect("written");
        std::os::unix::fs::symlink(folder.path().join("a"), deep.join("circle")).expect("a link");
        let look = || Mark::of([folder.path().join("a"), beside.clone()]);
        let first = look();
        assert_eq!(first, look());
        fs::write(deep.join("x"), "12").expect("written");
        let grown = look();
        assert_ne!(first, grown);
        fs::write(&beside, "").expect("written");
        let more = look();
        assert_ne!(grown, more);
        fs::remove_file(&beside).expect("removed");
        assert_eq!(grown, look());
        let touched = fs::File::options().append(true).open(deep.join("x")).expect("open");
        touched.set_modified(SystemTime::UNIX_EPOCH).expect("touched");
        assert_ne!(grown, look());
    }
}
