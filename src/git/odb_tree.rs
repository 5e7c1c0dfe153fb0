//! The files of one commit, read from the object database. I/O: files.

use std::sync::Arc;

use gix::ObjectId;

use super::{
    error::Fault,
    store::Store,
    tree::{Entry, EntryKind, Tree, TreeError},
};

/// The files of one commit. Cheap to clone; keeps the mirror's files alive while it is held.
///
/// Every object is held against its id as it is read, so damage shows as [`TreeError::Damaged`], never as other content. Names that are
/// not UTF-8 are listed with replacement characters and cannot be read.
#[derive(Clone, Debug)]
pub struct GitTree {
    store: Arc<Store>,
    root: ObjectId,
}

impl GitTree {
    pub(crate) fn new(store: Arc<Store>, root: ObjectId) -> Self {
        Self { store, root }
    }

    fn find(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        let mut at = Entry { name: String::new(), kind: EntryKind::Folder, oid: self.root.to_string() };
        if path.is_empty() {
            return Ok(Some(at));
        }
        for step in path.split('/') {
            if at.kind != EntryKind::Folder {
                return Ok(None);
            }
            let entries = self.list(path, &at)?;
            match entries.binary_search_by(|e| e.name.as_str().cmp(step)) {
                Ok(found) => at = entries[found].clone(),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn list(&self, path: &str, folder: &Entry) -> Result<Arc<Vec<Entry>>, TreeError> {
        self.store.entries(&id_of(path, folder)?).map_err(|e| damaged(path, e))
    }
}

impl Tree for GitTree {
    fn entries(&self, folder: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        match self.find(folder)? {
            Some(entry) if entry.kind == EntryKind::Folder => Ok(Some(self.list(folder, &entry)?.to_vec())),
            _ => Ok(None),
        }
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        self.find(path)
    }

    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, TreeError> {
        let entry = self.find(path)?.filter(|e| matches!(e.kind, EntryKind::File | EntryKind::Executable | EntryKind::Link));
        let entry = entry.ok_or_else(|| TreeError::NotAFile(path.to_owned()))?;
        let id = id_of(path, &entry)?;
        let size = self.store.size(&id).map_err(|e| damaged(path, e))?;
        if size > cap {
            return Err(TreeError::TooLarge { path: path.to_owned(), size, cap });
        }
        self.store.read_as(&id, gix::objs::Kind::Blob).map_err(|e| damaged(path, e))
    }
}

fn id_of(path: &str, entry: &Entry) -> Result<ObjectId, TreeError> {
    ObjectId::from_hex(entry.oid.as_bytes()).map_err(|e| TreeError::Damaged { path: path.to_owned(), message: e.to_string() })
}

fn damaged(path: &str, fault: Fault) -> TreeError {
    TreeError::Damaged { path: path.to_owned(), message: fault.what }
}
