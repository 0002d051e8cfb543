//! A snapshot in the store → its tree as values, and the chunks of its files.

use std::collections::VecDeque;

use super::{ObjectId, ObjectKind, Store, StoreError};
use crate::chunk::ChunkRef;
use crate::hash::Hash;
use crate::limits::ENTRIES_MAX;
use crate::snapshot::stored::{Children, StoredEntry, Top, decode_attributes, decode_dir_node, decode_top};
use crate::snapshot::{AttributesId, Builder, DirId, Profile, Sets, Snapshot};
use crate::tree::{Child, decode_node};

impl Store {
    /// Reads the tree of a snapshot: names, metadata and files' roots, no file. What it gives has that root.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Damaged`], if an object of it is; [`StoreError::Io`].
    pub fn snapshot(&self, root: &Hash) -> Result<Snapshot, StoreError> {
        let id = ObjectId::snapshot(*root);
        let damaged = || StoreError::damaged(&id, "it is no tree");
        let top = self.top(root)?;
        let mut builder = Builder::new(top.profile, self.params.clone(), top.meta);
        let mut waiting = VecDeque::from([(DirId::ROOT, top.full)]);
        let mut entries_left = ENTRIES_MAX;
        while let Some((dir, full)) = waiting.pop_front() {
            let stored = self.dir(top.profile, &full)?;
            entries_left = entries_left.checked_sub(stored.len() as u64 + 1).ok_or_else(damaged)?;
            // Numbers are given in the order of the names, and that is how they lie.
            let fulls: Vec<Hash> =
                stored.iter().filter_map(|entry| entry.dir).map(|digests| digests.full).collect();
            let entries = stored.into_iter().map(|stored| stored.entry).collect();
            let dirs = builder.fill(dir, entries).map_err(|_| damaged())?;
            waiting.extend(dirs.into_iter().zip(fulls));
        }
        let snapshot = builder.finish();
        if snapshot.root() != Some(*root) {
            return Err(damaged());
        }
        Ok(snapshot)
    }

    /// What stands behind a snapshot's root.
    pub(super) fn top(&self, root: &Hash) -> Result<Top, StoreError> {
        let id = ObjectId::snapshot(*root);
        let damaged = |_| StoreError::damaged(&id, "it is no snapshot of this store");
        let top = decode_top(&self.get(&id)?).map_err(damaged)?;
        if top.params_id != self.params.id() {
            return Err(StoreError::damaged(&id, "its files are cut otherwise than this store's"));
        }
        Ok(top)
    }

    /// The entries of a directory, by name.
    pub(super) fn dir(&self, profile: Profile, full: &Hash) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Vec::new();
        // Nodes that are still to be read, with the level that each must have; next one last.
        let mut nodes: Vec<(Hash, Option<u8>)> = vec![(*full, None)];
        while let Some((hash, expected)) = nodes.pop() {
            let id = ObjectId::dir_node(hash);
            let damaged = || StoreError::damaged(&id, "it is no directory");
            match decode_dir_node(profile, &self.get(&id)?).map_err(|_| damaged())? {
                Children::Entries(found) if expected.is_none_or(|level| level == 0) => entries.extend(found),
                Children::Nodes { level, nodes: below }
                    if expected.is_none_or(|expected| expected == level) =>
                {
                    let level = level.checked_sub(1).ok_or_else(damaged)?;
                    nodes.extend(below.into_iter().rev().map(|node| (node, Some(level))));
                }
                _ => return Err(damaged()),
            }
            if (entries.len() + nodes.len()) as u64 > ENTRIES_MAX {
                return Err(damaged());
            }
        }
        Ok(entries)
    }

    /// The chunks of a file with this root and length, in order.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Damaged`], if a node of its tree is; [`StoreError::Io`].
    pub fn chunks(&self, root: &Hash, size: u64) -> Result<Vec<ChunkRef>, StoreError> {
        let mut chunks = Vec::new();
        self.walk_file(root, size, &mut |_| {}, &mut |chunk| chunks.push(chunk))?;
        Ok(chunks)
    }

    /// Calls `node` with each node of a file's tree, and `chunk` with each of its chunks in order.
    pub(super) fn walk_file(
        &self,
        root: &Hash,
        size: u64,
        node: &mut dyn FnMut(&Hash),
        chunk: &mut dyn FnMut(ChunkRef),
    ) -> Result<(), StoreError> {
        let top = Child { hash: *root, len: size };
        // One that is shorter than two chunks may be is not looked for.
        let kind = if size <= u64::from(self.params.sizes().min) { None } else { self.kind_of(root)? };
        match kind {
            Some(ObjectKind::FileNode) => {}
            // A file of one chunk, there or not.
            _ => {
                let len = u32::try_from(size).ok().filter(|len| *len <= self.params.sizes().max);
                let len = len.ok_or_else(|| StoreError::missing_root(*root))?;
                chunk(ChunkRef { hash: *root, len });
                return Ok(());
            }
        }
        // What is to be read, with the level that it must have; next one last.
        let mut waiting: Vec<(Child, Option<usize>)> = vec![(top, None)];
        while let Some((at, expected)) = waiting.pop() {
            if expected == Some(0) {
                chunk(ChunkRef { hash: at.hash, len: at.len as u32 });
                continue;
            }
            let id = ObjectId::file_node(at.hash);
            let damaged = || StoreError::damaged(&id, "it is no node of the file");
            let (level, children) = decode_node(&self.get(&id)?).map_err(|_| damaged())?;
            let len = children.iter().try_fold(0_u64, |sum, child| sum.checked_add(child.len));
            if expected.is_some_and(|expected| expected != level) || len != Some(at.len) {
                return Err(damaged());
            }
            node(&at.hash);
            waiting.extend(children.into_iter().rev().map(|child| (child, Some(level - 1))));
        }
        Ok(())
    }

    /// The extended attributes that a snapshot has.
    ///
    /// # Errors
    /// As for [`Store::snapshot`].
    pub fn attributes(&self, snapshot: &Snapshot) -> Result<Sets, StoreError> {
        let mut sets = Sets::default();
        for id in attribute_ids(snapshot) {
            let id = ObjectId::attributes(id);
            let set = decode_attributes(&self.get(&id)?)
                .map_err(|_| StoreError::damaged(&id, "it is no set of attributes"))?;
            sets.learn(set);
        }
        Ok(sets)
    }
}

/// The ids of all sets of attributes in a snapshot, each once.
pub(super) fn attribute_ids(snapshot: &Snapshot) -> impl Iterator<Item = AttributesId> {
    let of = |meta: &crate::snapshot::Meta| meta.attributes;
    let ids = snapshot.all_entries().iter().map(|entry| of(&entry.meta)).chain([of(&snapshot.meta())]);
    let ids = if snapshot.profile().attributes() { Some(ids) } else { None };
    let mut ids: Vec<AttributesId> =
        ids.into_iter().flatten().filter(|id| *id != AttributesId::default()).collect();
    ids.sort_unstable_by_key(|id| id.0);
    ids.dedup();
    ids.into_iter()
}
