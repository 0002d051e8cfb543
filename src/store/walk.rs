//! A snapshot's root → everything that it refers to, each object once over all snapshots walked.

use std::collections::HashSet;

use super::index::Locator;
use super::{ObjectId, Store, StoreError};
use crate::hash::Hash;
use crate::path::RelPath;
use crate::snapshot::stored::{Children, StoredEntry, decode_dir_node};
use crate::snapshot::{AttributesId, Meta, Node, Profile};

/// Something that a snapshot refers to and that cannot be read.
#[derive(Debug)]
pub struct Broken {
    /// What.
    pub object: ObjectId,
    /// The snapshot.
    pub root: Hash,
    /// What of it needs the object: the first path that does.
    pub path: RelPath,
    /// Why it cannot be read.
    pub error: StoreError,
}

/// What was reached so far.
pub(super) struct Walk<'a> {
    store: &'a Store,
    /// The first half of each locator: what shares it with something reached counts as reached.
    reached: HashSet<[u8; 16]>,
    /// What could not be read; what is below it was not reached.
    pub(super) broken: Vec<Broken>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a Store) -> Walk<'a> {
        Walk { store, reached: HashSet::new(), broken: Vec::new() }
    }

    /// Whether an object was reached.
    pub(super) fn has(&self, hash: &Hash) -> bool {
        self.has_locator(&self.store.locate(hash))
    }

    /// The same, of an object by its locator.
    pub(super) fn has_locator(&self, locator: &Locator) -> bool {
        self.reached.contains(&half(locator))
    }

    /// How many objects were reached.
    pub(super) fn len(&self) -> usize {
        self.reached.len()
    }

    /// Notes an object; whether it is new.
    fn reach(&mut self, hash: &Hash) -> bool {
        self.reached.insert(half(&self.store.locate(hash)))
    }

    fn broke(&mut self, object: ObjectId, root: &Hash, path: &RelPath, error: StoreError) {
        self.broken.push(Broken { object, root: *root, path: path.clone(), error });
    }

    /// Reaches everything below a snapshot. `each` is called with every object that was not reached before.
    pub(super) fn snapshot(
        &mut self,
        root: &Hash,
        each: &mut dyn FnMut(&ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.reach(root) {
            return Ok(());
        }
        let id = ObjectId::snapshot(*root);
        let top = match self.store.top(root) {
            Ok(top) => top,
            Err(error) => {
                self.broke(id, root, &RelPath::root(), error);
                return Ok(());
            }
        };
        self.attributes(top.profile, &top.meta, root, &RelPath::root(), each)?;
        let mut waiting = vec![(RelPath::root(), top.full)];
        while let Some((path, full)) = waiting.pop() {
            self.dir_node(top.profile, root, &path, &full, &mut waiting, each)?;
        }
        each(&id)
    }

    /// Reaches a node of a directory and what is directly below it; directories and nodes below wait.
    fn dir_node(
        &mut self,
        profile: Profile,
        root: &Hash,
        path: &RelPath,
        full: &Hash,
        waiting: &mut Vec<(RelPath, Hash)>,
        each: &mut dyn FnMut(&ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.reach(full) {
            return Ok(());
        }
        let id = ObjectId::dir_node(*full);
        let read = self.store.get(&id).and_then(|bytes| {
            decode_dir_node(profile, &bytes).map_err(|_| StoreError::damaged(&id, "it is no directory"))
        });
        let children = match read {
            Ok(children) => children,
            Err(error) => {
                self.broke(id, root, path, error);
                return Ok(());
            }
        };
        match children {
            Children::Nodes { nodes, .. } => {
                waiting.extend(nodes.into_iter().map(|node| (path.clone(), node)));
            }
            Children::Entries(entries) => {
                for StoredEntry { entry, dir } in entries {
                    let path = path.join(&entry.name);
                    self.attributes(profile, &entry.meta, root, &path, each)?;
                    if let Node::File { size, root: Some(file), .. } = &entry.node {
                        self.file(root, &path, file, *size, each)?;
                    }
                    waiting.extend(dir.map(|digests| (path, digests.full)));
                }
            }
        }
        each(&id)
    }

    fn attributes(
        &mut self,
        profile: Profile,
        meta: &Meta,
        root: &Hash,
        path: &RelPath,
        each: &mut dyn FnMut(&ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !profile.attributes() || meta.attributes == AttributesId::default() {
            return Ok(());
        }
        let id = ObjectId::attributes(meta.attributes);
        if !self.reach(&id.hash) {
            return Ok(());
        }
        match self.store.get(&id) {
            Ok(_) => each(&id),
            Err(error) => {
                self.broke(id, root, path, error);
                Ok(())
            }
        }
    }

    fn file(
        &mut self,
        root: &Hash,
        path: &RelPath,
        file: &Hash,
        size: u64,
        each: &mut dyn FnMut(&ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.has(file) {
            return Ok(());
        }
        let (mut nodes, mut chunks) = (Vec::new(), Vec::new());
        let walked =
            self.store.walk_file(file, size, &mut |node| nodes.push(*node), &mut |chunk| chunks.push(chunk));
        if let Err(error) = walked {
            self.reach(file);
            let object = error.object().unwrap_or(ObjectId::file_node(*file));
            self.broke(object, root, path, error);
            return Ok(());
        }
        for chunk in chunks {
            if !self.reach(&chunk.hash) {
                continue;
            }
            let id = ObjectId::chunk(chunk.hash);
            match self.store.has(&id)? {
                true => each(&id)?,
                false => self.broke(id, root, path, StoreError::Missing { object: id }),
            }
        }
        for node in nodes {
            if self.reach(&node) {
                each(&ObjectId::file_node(node))?;
            }
        }
        Ok(())
    }
}

/// The first half of a locator, which tells objects apart that nobody made to be confused.
pub(super) fn half(locator: &Locator) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&locator.0.0[..16]);
    half
}
