//! Entries → directory tree → one root.
//!
//! A [`Snapshot`] is what a directory tree holds, as values: names, kinds, sizes, file roots, link targets,
//! metadata. It does no IO. Each directory has two digests ([`Digests`]): `content` covers names, kinds,
//! file roots and link targets; `full` covers metadata too. Equal `content` under two names is a move, of a
//! file or of a whole directory; a touched mtime changes `full` alone.
//!
//! A directory's entries stand under a small Merkle tree of their own ([`node`]), whose nodes end where the
//! hash of a *name* says so: one name more among a million changes O(log n) nodes, and a file whose bytes
//! change moves no boundary.
//!
//! Invariants: entries of a directory are sorted by name bytes, without duplicates; a directory's number is
//! greater than its parent's, so that walking the numbers backwards is a post-order and nothing recurses.
//!
//! Cost: about 100 bytes and one allocation an entry.

mod attributes;
mod builder;
mod entry;
pub mod node;
mod profile;
pub mod stored;
#[cfg(test)]
mod tests;

pub use attributes::{Attributes, AttributesId, Sets};
pub use builder::{BuildError, Builder};
pub use entry::{Entry, Meta, Node};
pub use profile::{Field, Profile};

use std::ops::Range;
use std::sync::Arc;

use crate::chunk;
use crate::hash::{Domain, Hash};
use crate::path::{Name, RelPath};

#[doc = include_str!("FORMAT.md")]
pub mod format {}

/// A directory of a snapshot. The root is number 0; a child's number is greater than its parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub u32);

impl DirId {
    /// The root directory.
    pub const ROOT: DirId = DirId(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// An entry of a snapshot: the entries of one directory are numbered without gaps, in name order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

impl EntryId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The two digests of a directory, or of a node of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digests {
    /// Of names, kinds, file roots and link targets, all the way down.
    pub content: Hash,
    /// Of `content` and the metadata, all the way down.
    pub full: Hash,
}

#[derive(Clone, Debug)]
struct DirNode {
    /// The entry that names this directory; meaningless for the root.
    entry: EntryId,
    parent: DirId,
    entries: Range<u32>,
    digests: Option<Digests>,
}

/// A directory tree as values.
#[derive(Clone, Debug)]
pub struct Snapshot {
    profile: Profile,
    params: chunk::Params,
    meta: Meta,
    dirs: Vec<DirNode>,
    /// Shared by clones until one of them learns something: a session has several.
    entries: Arc<Vec<Entry>>,
}

impl Snapshot {
    /// Which metadata counts.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// How the files were chunked.
    #[must_use]
    pub fn params(&self) -> &chunk::Params {
        &self.params
    }

    /// The metadata of the root directory itself.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// How many directories there are, the root included.
    #[must_use]
    pub fn dir_count(&self) -> u32 {
        self.dirs.len() as u32
    }

    /// How many entries there are in all directories together.
    #[must_use]
    pub fn entry_count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Whether `dir` is a directory of this snapshot.
    #[must_use]
    pub fn has_dir(&self, dir: DirId) -> bool {
        dir.index() < self.dirs.len()
    }

    /// One entry.
    ///
    /// # Panics
    /// If `id` is not of this snapshot.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.index()]
    }

    /// One entry, or `None` if `id` is not of this snapshot.
    #[must_use]
    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.index())
    }

    /// Every entry, in the order of its number.
    #[must_use]
    pub fn all_entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of a directory that are part of the tree: those that the profile counts, with their numbers.
    ///
    /// # Panics
    /// If `dir` is not of this snapshot.
    pub fn counted(&self, dir: DirId) -> impl Iterator<Item = (EntryId, &Entry)> {
        let entries = self.entry_ids(dir).map(EntryId).zip(self.entries(dir));
        entries.filter(|(_, entry)| self.profile.counts(entry))
    }

    /// Whether every entry is part of the tree.
    #[must_use]
    pub fn is_all_counted(&self) -> bool {
        self.entries.iter().all(|entry| self.profile.counts(entry))
    }

    /// The entries of a directory, by name.
    ///
    /// # Panics
    /// If `dir` is not of this snapshot.
    #[must_use]
    pub fn entries(&self, dir: DirId) -> &[Entry] {
        let range = &self.dirs[dir.index()].entries;
        &self.entries[range.start as usize..range.end as usize]
    }

    /// The numbers of a directory's entries.
    #[must_use]
    pub fn entry_ids(&self, dir: DirId) -> Range<u32> {
        self.dirs[dir.index()].entries.clone()
    }

    /// The directory that holds entry `id`. O(log directories).
    #[must_use]
    pub fn dir_of(&self, id: EntryId) -> DirId {
        // Directories were given their entries in the order of their numbers; empty ones share a start.
        let after = self.dirs.partition_point(|dir| dir.entries.start <= id.0);
        let found = self.dirs[..after].iter().rposition(|dir| dir.entries.contains(&id.0));
        DirId(found.unwrap_or(0) as u32)
    }

    /// Finds `name` in a directory. O(log entries).
    #[must_use]
    pub fn find(&self, dir: DirId, name: &Name) -> Option<EntryId> {
        let entries = self.entries(dir);
        let at = entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        Some(EntryId(self.dirs[dir.index()].entries.start + at as u32))
    }

    /// Finds the directory at `path`.
    #[must_use]
    pub fn find_dir(&self, path: &RelPath) -> Option<DirId> {
        path.components().try_fold(DirId::ROOT, |dir, name| self.entry(self.find(dir, &name)?).dir())
    }

    /// Finds the entry at `path`; the root has none.
    #[must_use]
    pub fn find_path(&self, path: &RelPath) -> Option<EntryId> {
        let (parent, name) = path.split_last()?;
        self.find(self.find_dir(&parent)?, &name)
    }

    /// The parent of a directory; the root is its own.
    #[must_use]
    pub fn parent(&self, dir: DirId) -> DirId {
        self.dirs[dir.index()].parent
    }

    /// The entry that names `dir`, or `None` for the root.
    #[must_use]
    pub fn entry_of(&self, dir: DirId) -> Option<EntryId> {
        (dir != DirId::ROOT).then(|| self.dirs[dir.index()].entry)
    }

    /// The metadata of a directory, the root included.
    #[must_use]
    pub fn dir_meta(&self, dir: DirId) -> Meta {
        self.entry_of(dir).map_or(self.meta, |entry| self.entry(entry).meta)
    }

    /// The path of a directory. O(depth).
    #[must_use]
    pub fn dir_path(&self, dir: DirId) -> RelPath {
        let mut names = Vec::new();
        let mut at = dir;
        while let Some(entry) = self.entry_of(at) {
            names.push(&self.entry(entry).name);
            at = self.parent(at);
        }
        names.into_iter().rev().fold(RelPath::root(), |path, name| path.join(name))
    }

    /// The path of an entry. O(depth + log directories).
    #[must_use]
    pub fn path(&self, id: EntryId) -> RelPath {
        self.dir_path(self.dir_of(id)).join(&self.entry(id).name)
    }

    /// Every directory with its path, parents first.
    pub fn dirs(&self) -> impl Iterator<Item = DirId> + use<> {
        (0..self.dirs.len() as u32).map(DirId)
    }

    /// The digests of a directory, or `None` while some file root below it is not known.
    #[must_use]
    pub fn digests(&self, dir: DirId) -> Option<Digests> {
        self.dirs[dir.index()].digests
    }

    /// The digests of the nodes over a directory's entries, or `None` as for [`Snapshot::digests`].
    #[must_use]
    pub fn dir_tree(&self, dir: DirId) -> Option<node::DirTree> {
        let mut encoder = entry::Encoder::new(self.profile);
        node::DirTree::new(self.entries(dir), &mut encoder, |dir| self.digests(dir))
    }

    /// Sets the root of a file that was not hashed when the snapshot was built.
    ///
    /// The digests above it are not known again until [`Snapshot::refresh`].
    ///
    /// # Panics
    /// If `id` is not a regular file of this snapshot.
    pub fn set_root(&mut self, id: EntryId, hash: Hash) {
        *self.file_mut(id).1 = Some(hash);
    }

    /// Replaces what is known of a file by what was read of it later; a hard-linked one stays linked.
    ///
    /// The digests above it are not known again until [`Snapshot::refresh`].
    ///
    /// # Panics
    /// If `id` is not a regular file of this snapshot.
    pub fn set_file(&mut self, id: EntryId, size: u64, meta: Meta, root: Option<Hash>) {
        let (own_size, own_root, _) = self.file_mut(id);
        (*own_size, *own_root) = (size, root);
        Arc::make_mut(&mut self.entries)[id.index()].meta = meta;
    }

    /// Makes a file a further name of the hard-linked file whose first name is `first`.
    ///
    /// The digests above it are not known again until [`Snapshot::refresh`].
    ///
    /// # Panics
    /// If `id` is not a regular file of this snapshot.
    pub fn set_link(&mut self, id: EntryId, first: RelPath) {
        *self.file_mut(id).2 = Some(Box::new(first));
    }

    /// Size, root and link of a file, after forgetting the digests above it.
    fn file_mut(&mut self, id: EntryId) -> (&mut u64, &mut Option<Hash>, &mut Option<Box<RelPath>>) {
        let mut dir = self.dir_of(id);
        while self.dirs[dir.index()].digests.take().is_some() && dir != DirId::ROOT {
            dir = self.parent(dir);
        }
        match &mut Arc::make_mut(&mut self.entries)[id.index()].node {
            Node::File { size, root, link } => (size, root, link),
            other => panic!("entry {id:?} is not a file but {other:?}"),
        }
    }

    /// Gives every further name of a hard-linked file the root, length and metadata of its first name.
    pub fn resolve_links(&mut self) {
        for at in 0..self.entries.len() {
            let Node::File { link: Some(first), .. } = &self.entries[at].node else { continue };
            let Some(first) = self.find_path(first).map(|first| self.entry(first)) else { continue };
            let (Node::File { size, root: Some(root), link: None }, meta) = (&first.node, first.meta) else {
                continue;
            };
            let (size, root) = (*size, *root);
            self.set_file(EntryId(at as u32), size, meta, Some(root));
        }
    }

    /// Replaces the profile; digests are not known again until [`Snapshot::refresh`].
    pub fn set_profile(&mut self, profile: Profile) {
        if self.profile != profile {
            self.profile = profile;
            for dir in &mut self.dirs {
                dir.digests = None;
            }
        }
    }

    /// Gives every entry, in order, and then the root another owner and group; every digest is known again then that was
    /// before.
    pub fn set_owners(&mut self, mut owners: impl FnMut(u32, u32) -> (u32, u32)) {
        let entries = Arc::make_mut(&mut self.entries);
        for meta in entries.iter_mut().map(|entry| &mut entry.meta).chain([&mut self.meta]) {
            (meta.uid, meta.gid) = owners(meta.uid, meta.gid);
        }
        for dir in &mut self.dirs {
            dir.digests = None;
        }
        self.refresh();
    }

    /// Computes every digest that can be known now and was not, bottom-up. About 0.3 µs an entry.
    pub fn refresh(&mut self) {
        let mut encoder = entry::Encoder::new(self.profile);
        for at in (0..self.dirs.len()).rev() {
            if self.dirs[at].digests.is_some() {
                continue;
            }
            let range = self.dirs[at].entries.clone();
            let entries = &self.entries[range.start as usize..range.end as usize];
            let dirs = &self.dirs;
            self.dirs[at].digests =
                node::DirTree::new(entries, &mut encoder, |dir| dirs[dir.index()].digests)
                    .map(|tree| tree.digests());
        }
    }

    /// The snapshot's root: one hash for everything that counts, or `None` while a file root is not known.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let full = self.digests(DirId::ROOT)?.full;
        Some(root_hash(self.profile, &self.params, &self.meta, &full))
    }

    /// Files that are not hard links to another, and the bytes they hold.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { dirs: u64::from(self.dir_count()) - 1, ..Totals::default() };
        for entry in self.entries.iter() {
            match &entry.node {
                Node::File { link: Some(_), .. } => totals.files += 1,
                Node::File { size, .. } => {
                    totals.files += 1;
                    totals.bytes = totals.bytes.saturating_add(*size);
                }
                Node::Symlink { .. } => totals.symlinks += 1,
                Node::Special { what, .. } if what.is_device() => totals.devices += 1,
                Node::Special { .. } => totals.specials += 1,
                Node::Dir { .. } => {}
            }
        }
        totals
    }
}

/// What a snapshot holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files, each name of a hard-linked one.
    pub files: u64,
    /// Bytes of the regular files, hard-linked ones once.
    pub bytes: u64,
    /// Directories below the root.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Device nodes.
    pub devices: u64,
    /// FIFOs and sockets.
    pub specials: u64,
}

/// The root of a snapshot whose root directory has digest `full` and metadata `meta`.
#[must_use]
pub fn root_hash(profile: Profile, params: &chunk::Params, meta: &Meta, full: &Hash) -> Hash {
    Hash::of(Domain::Snapshot, &root_bytes(profile, params, meta, full))
}

/// What a snapshot's root is the digest of.
fn root_bytes(profile: Profile, params: &chunk::Params, meta: &Meta, full: &Hash) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    profile.encode_into(&mut bytes);
    bytes.extend_from_slice(params.id().as_bytes());
    profile.normalize(*meta, entry::DIR).encode_into(profile, &mut bytes);
    bytes.extend_from_slice(full.as_bytes());
    bytes
}
