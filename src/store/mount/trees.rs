//! Roots of snapshots → their trees, of which those looked at last are kept.
//!
//! A tree is read when something in it is looked at for the first time: its names and metadata, no file. [`TREES_MAX`] are
//! kept, each with some 250 bytes a name; what is open keeps its tree beside those.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{Kind, Stat};
use crate::hash::Hash;
use crate::snapshot::stored::decode_attributes;
use crate::snapshot::{Attributes, AttributesId, EntryId, Meta};
use crate::store::view::stat_of_root;
use crate::store::{ObjectId, Store, StoreError, StoredTree};

/// Trees that are kept.
pub(super) const TREES_MAX: usize = 8;

/// Trees that were looked at lately. Two threads that want one read it once.
pub(super) struct Trees {
    store: Arc<Store>,
    /// The one that was looked at last, last.
    kept: Mutex<Vec<(Hash, Slot)>>,
}

type Slot = Arc<Mutex<Option<Arc<Tree>>>>;

/// A tree, and what it does not say by itself.
pub(super) struct Tree {
    pub(super) stored: Arc<StoredTree>,
    /// How many names a file has, by the first of them, if there are several.
    links: HashMap<EntryId, u64>,
}

impl Trees {
    pub(super) fn new(store: Arc<Store>) -> Trees {
        Trees { store, kept: Mutex::default() }
    }

    /// The tree with this root.
    pub(super) fn get(&self, root: &Hash) -> Result<Arc<Tree>, StoreError> {
        let slot = self.slot(root);
        // Whoever comes second waits here for the first.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = &*slot {
            return Ok(tree.clone());
        }
        let tree = Arc::new(Tree::new(StoredTree::open(self.store.clone(), root)?));
        *slot = Some(tree.clone());
        Ok(tree)
    }

    fn slot(&self, root: &Hash) -> Slot {
        let mut kept = self.kept();
        let found = kept.iter().position(|(other, _)| other == root).map(|at| kept.remove(at).1);
        let slot = found.unwrap_or_default();
        if kept.len() == TREES_MAX {
            kept.remove(0);
        }
        kept.push((*root, slot.clone()));
        slot
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Hash, Slot)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the root directory of a tree is, without reading the tree for it.
    pub(super) fn root(&self, root: &Hash) -> Result<Stat, StoreError> {
        let stat = stat_of_root(&self.meta(root)?);
        Ok(Stat { atime: stat.mtime, ..stat })
    }

    /// The extended attributes of the root directory of a tree, likewise.
    pub(super) fn root_attributes(&self, root: &Hash) -> Result<Arc<Attributes>, StoreError> {
        let Meta { attributes, .. } = self.meta(root)?;
        if attributes == AttributesId::default() {
            return Ok(Arc::default());
        }
        let id = ObjectId::attributes(attributes);
        let set = decode_attributes(&self.store.get(&id)?);
        set.map(Arc::new).map_err(|_| StoreError::damaged(&id, "it is no set of attributes"))
    }

    fn meta(&self, root: &Hash) -> Result<Meta, StoreError> {
        Ok(self.store.top(root)?.meta)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept().len()
    }
}

impl Tree {
    fn new(stored: Arc<StoredTree>) -> Tree {
        let mut links = HashMap::new();
        for id in (0..stored.snapshot().entry_count()).map(EntryId) {
            let first = stored.first_name(id);
            if first != id {
                *links.entry(first).or_insert(1) += 1;
            }
        }
        Tree { stored, links }
    }

    /// What an entry is. Its inode is its first name's number and two.
    pub(super) fn stat(&self, id: EntryId) -> Stat {
        let first = self.stored.first_name(id);
        let stat = self.stored.stat(first);
        let has_atime = self.stored.snapshot().profile().has_atime(stat.kind);
        Stat {
            // Of a directory 1, which says that its subdirectories were not counted.
            nlink: self.links.get(&first).copied().unwrap_or(1),
            // Bits of a link are never looked at, and everywhere the same.
            mode: if stat.kind == Kind::Symlink { 0o777 } else { stat.mode },
            atime: if has_atime { stat.atime } else { stat.mtime },
            ..stat
        }
    }

    /// The extended attributes of an entry.
    pub(super) fn attributes(&self, id: EntryId) -> Arc<Attributes> {
        let meta = self.stored.snapshot().entry(self.stored.first_name(id)).meta;
        self.stored.sets.get(meta.attributes).unwrap_or_default()
    }
}
