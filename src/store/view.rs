//! A snapshot in the store → a directory to be read, as any other end of a sync; files are fetched as they are read.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use super::{ObjectId, Store, StoreError};
use crate::chunk::ChunkRef;
use crate::fs::readonly::{ReadOnly, View};
use crate::fs::{Attrs, DirRef, File, FileRef, Kind, Rdev, Stat};
use crate::hash::Hash;
use crate::path::Name;
use crate::scan::Scan;
use crate::snapshot::{AttributesId, DirId, EntryId, Meta, Node, Sets, Snapshot};

/// The device number that everything in a stored tree has.
const DEVICE: u64 = 0x53_4c;

/// A snapshot of a store, as a tree to be read.
pub struct StoredTree {
    store: Arc<Store>,
    snapshot: Snapshot,
    pub(super) sets: Sets,
}

impl StoredTree {
    /// Reads the tree of a snapshot.
    ///
    /// # Errors
    /// As for [`Store::snapshot`].
    pub fn open(store: Arc<Store>, root: &Hash) -> Result<Arc<StoredTree>, StoreError> {
        let snapshot = store.snapshot(root)?;
        let sets = store.attributes(&snapshot)?;
        Ok(Arc::new(StoredTree { store, snapshot, sets }))
    }

    /// The tree as values.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The root directory. What reading a file cannot get from the store is `EIO`, with the store's error inside.
    #[must_use]
    pub fn root(self: &Arc<Self>) -> DirRef {
        Arc::new(ReadOnly(StoredDir { tree: self.clone(), dir: DirId::ROOT }))
    }

    /// What a scan of [`root`](StoredTree::root) would find, with every file's chunks, and no file read for it.
    ///
    /// # Errors
    /// As for [`Store::chunks`].
    pub fn scan(&self) -> Result<Scan, StoreError> {
        let mut lists = HashMap::new();
        let least = u64::from(self.store.params().sizes().min);
        for id in (0..self.snapshot.entry_count()).map(EntryId) {
            let Node::File { size, root: Some(root), link: None } = &self.snapshot.entry(id).node else {
                continue;
            };
            if *size > least {
                let chunks = self.store.chunks(root, *size)?;
                if chunks.len() > 1 {
                    lists.insert(id, chunks);
                }
            }
        }
        let stat = |id| self.stat(id);
        Ok(Scan::known(self.snapshot.clone(), self.sets.clone(), &self.stat_of_dir(DirId::ROOT), stat, lists))
    }

    fn stat_of_dir(&self, dir: DirId) -> Stat {
        match self.snapshot.entry_of(dir) {
            Some(id) => self.stat(id),
            None => stat_of_root(&self.snapshot.meta()),
        }
    }

    /// What an entry is. Names of one file have one inode, its first name's number and two.
    pub(super) fn stat(&self, id: EntryId) -> Stat {
        let entry = self.snapshot.entry(id);
        let (kind, size, rdev) = match &entry.node {
            Node::File { size, .. } => (Kind::File, *size, Rdev::default()),
            Node::Dir { .. } => (Kind::Dir, 0, Rdev::default()),
            Node::Symlink { target } => (Kind::Symlink, target.len() as u64, Rdev::default()),
            Node::Special { what, rdev } => (Kind::Special(*what), 0, *rdev),
        };
        stat(kind, &entry.meta, size, u64::from(self.first_name(id).0) + 2, rdev)
    }

    /// The first name of the file that has this one.
    pub(super) fn first_name(&self, id: EntryId) -> EntryId {
        let Node::File { link: Some(first), .. } = &self.snapshot.entry(id).node else { return id };
        let is_file = |id: &EntryId| matches!(self.snapshot.entry(*id).node, Node::File { link: None, .. });
        self.snapshot.find_path(first).filter(is_file).unwrap_or(id)
    }

    /// Opens a file: `EINVAL` for what is none.
    pub(super) fn open_file(&self, id: EntryId) -> io::Result<FileRef> {
        let Node::File { size, root: Some(root), .. } = &self.snapshot.entry(id).node else {
            return Err(Errno::INVAL.into());
        };
        let mut chunks = Vec::new();
        let mut end = 0;
        for chunk in self.store.chunks(root, *size).map_err(unreadable)? {
            end += u64::from(chunk.len);
            chunks.push((end, chunk));
        }
        Ok(Arc::new(StoredFile { store: self.store.clone(), stat: self.stat(id), chunks }))
    }

    fn attributes(&self, id: AttributesId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let set = self.sets.get(id);
        set.iter().flat_map(|set| set.iter()).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }
}

/// What the root directory of a tree is.
pub(super) fn stat_of_root(meta: &Meta) -> Stat {
    stat(Kind::Dir, meta, 0, 1, Rdev::default())
}

fn stat(kind: Kind, meta: &Meta, size: u64, ino: u64, rdev: Rdev) -> Stat {
    let Meta { mode, uid, gid, mtime, atime, .. } = *meta;
    let atime = crate::fs::Time { secs: atime, nanos: 0 };
    // Any name may be one of several: the scan finds out by the inode.
    let nlink = if kind == Kind::File { 2 } else { 1 };
    Stat { kind, mode, uid, gid, size, mtime, atime, ctime: mtime, dev: DEVICE, ino, nlink, rdev }
}

struct StoredDir {
    tree: Arc<StoredTree>,
    dir: DirId,
}

impl StoredDir {
    fn find(&self, name: &Name) -> io::Result<EntryId> {
        Ok(self.tree.snapshot.find(self.dir, name).ok_or(Errno::NOENT)?)
    }
}

impl View for StoredDir {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        Ok(self.tree.snapshot.entries(self.dir).iter().map(|entry| (entry.name.clone(), None)).collect())
    }

    fn stat_self(&self) -> io::Result<Stat> {
        Ok(self.tree.stat_of_dir(self.dir))
    }

    fn attributes_self(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.tree.attributes(self.tree.snapshot.dir_meta(self.dir).attributes))
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        let dir = self.tree.snapshot.entry(self.find(name)?).dir().ok_or(Errno::NOTDIR)?;
        Ok(Arc::new(ReadOnly(StoredDir { tree: self.tree.clone(), dir })))
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        Ok(self.tree.stat(self.find(name)?))
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        match &self.tree.snapshot.entry(self.find(name)?).node {
            Node::Symlink { target } => Ok(target.to_vec()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.tree.open_file(self.find(name)?)
    }

    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        self.open_file(name)
    }

    fn attributes(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.tree.attributes(self.tree.snapshot.entry(self.find(name)?).meta.attributes))
    }
}

/// What the store could not give, as a file system says it.
pub(super) fn unreadable(error: StoreError) -> io::Error {
    io::Error::other(error)
}

struct StoredFile {
    store: Arc<Store>,
    stat: Stat,
    /// Each chunk, and where it ends.
    chunks: Vec<(u64, ChunkRef)>,
}

impl StoredFile {
    fn chunk(&self, chunk: &ChunkRef) -> io::Result<Bytes> {
        let bytes = self.store.get(&ObjectId::chunk(chunk.hash)).map_err(unreadable)?;
        if bytes.len() == chunk.len as usize { Ok(bytes) } else { Err(Errno::IO.into()) }
    }
}

impl File for StoredFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = self.chunks.partition_point(|(end, _)| *end <= offset);
        let Some((end, chunk)) = self.chunks.get(at) else { return Ok(0) };
        let bytes = self.chunk(chunk)?;
        let from = &bytes[(offset - (end - u64::from(chunk.len))) as usize..];
        let count = from.len().min(buf.len());
        buf[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.stat)
    }

    fn set_attrs(&self, _: &Attrs) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
