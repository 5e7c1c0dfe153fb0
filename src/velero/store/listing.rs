//! What a bucket's listing says: which backups there are, and which of their files. pure
//!
//! Layout: pkg/persistence/object_store_layout.go. A backup exists when its `velero-backup.json` does; its archive may be there before that
//! (it is uploaded first) and may be gone after (a lifecycle rule took it).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::object::Text;

/// A file of a backup or restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its size.
    pub size: u64,
    /// What tells this content of it from another: the store's etag, else size and time.
    pub tag: String,
    /// The etag alone, for asking for this very content.
    pub etag: Option<String>,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

/// The files of one backup or restore, by their names within its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The files.
    pub files: BTreeMap<String, StoredFile>,
}

/// The Backup object as it lies in a bucket.
pub const MARKER: &str = "velero-backup.json";

impl Listed {
    /// The Backup object.
    pub fn marker(&self) -> Option<&StoredFile> {
        self.files.get(MARKER)
    }

    /// When the newest of its files was written.
    pub fn modified(&self) -> Option<Timestamp> {
        self.files.values().map(|f| f.modified).max()
    }

    /// The archive.
    pub fn archive(&self, backup: &str) -> Option<&StoredFile> {
        self.files.get(&format!("{backup}.tar.gz"))
    }
}

/// Sorts the paths below `backups/` or `restores/` by backup or restore. Other files, and folders deeper down, are passed over.
pub fn group(files: impl IntoIterator<Item = (String, StoredFile)>) -> BTreeMap<Text, Listed> {
    let mut found: BTreeMap<Text, Listed> = BTreeMap::new();
    for (path, file) in files {
        if let Some((backup, name)) = path.split_once('/').filter(|(b, n)| !b.is_empty() && !n.is_empty() && !n.contains('/')) {
            found.entry(backup.into()).or_default().files.insert(name.to_owned(), file);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_backup() {
        let file = |n: u64| StoredFile { size: n, tag: n.to_string(), etag: None, modified: Timestamp::UNIX_EPOCH };
        let paths = ["a/velero-backup.json", "a/a.tar.gz", "a/a-logs.gz", "b/b.tar.gz", "stray", "c/d/e", "/x"];
        let found = group(paths.iter().zip(0..).map(|(p, n)| ((*p).to_owned(), file(n))));
        assert_eq!(found.keys().map(|k| &**k).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found["a"].marker().map(|f| f.size), Some(0));
        assert_eq!((found["a"].archive("a").map(|f| f.size), found["b"].marker()), (Some(1), None));
    }
}
