//! Operations → two images of a file system, in memory: the live one, and what a power cut would leave.
//!
//! For tests. Behaves as Linux does through the port (same errnos, hard links, links never followed), never
//! touches a disk, and is deterministic: the clock stands until it is set, inode numbers count up from 2, and a
//! crash is a function of its seed.
//!
//! # What a crash leaves
//!
//! The model promises no more than a journaling file system with ordered data (ext4 `data=ordered`) and less
//! than ext4 in fact does, since ext4 commits names in order and this one need not:
//!
//! * **Durable** are a file's bytes and attributes at its last `sync`, a directory's names and attributes at its
//!   last `sync`, and everything at the last `sync_fs`. Syncing a file does not make its name durable. A rename
//!   between two directories is durable when either of them is synced.
//! * **Names.** Each operation on names since then (create, link, rename, exchange, remove) happened wholly or not at all;
//!   which ones did is drawn from the seed. An operation can only have happened if those it builds on have:
//!   earlier ones on the same name, on the same inode, inside a directory that it moves or removes, or (if it
//!   brings in what stood elsewhere) on the directory it acts in; and moves of directories happen in order. So no file is lost that was only moved,
//!   but *which of two unrelated* names came first is open: a new file's name may be lost while the removal of
//!   an old one, issued later, is not.
//! * **Bytes.** A file that was not synced has one of: its durable bytes (none, if it is new), its live bytes,
//!   no more than it was cut to in between, or any mixture of old and new [`BLOCK_BYTES`] blocks with zeros
//!   where nothing was written. Never bytes of anything else.
//! * **Attributes.** Those of one moment between the last sync and the crash, whole.
//! * Locks and open handles are gone. Files without a name are gone.
//!
//! Deviations from a disk: bytes of a removed file are free at once even while it is open; access times do not
//! exist; everyone is root.
//!
//! ```
//! use syncline::fs::mem::MemFs;
//! use syncline::path::Name;
//!
//! let fs = MemFs::new();
//! let root = fs.root();
//! let file = root.create_file(&Name::try_from("f")?, 0o644)?;
//! file.write_all_at(b"new", 0)?;
//! file.sync()?;
//! root.sync()?;
//! assert_eq!(fs.crash(7).read("f")?, b"new"); // for every seed
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod crash;
mod handle;
mod image;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

pub use self::crash::BLOCK_BYTES;
use self::handle::MemDir;
use self::image::{Body, Disk, ROOT};
use super::{DirRef, Kind, Rdev, Special, Time, walk};
use crate::path::{Name, RelPath};

/// A file system in memory. Clones share it.
#[derive(Clone)]
pub struct MemFs {
    disk: Arc<Mutex<Disk>>,
}

/// What stands under one path, for comparing whole trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the contents.
    pub mtime: Time,
    /// A file's bytes or a link's target; empty for the others.
    pub bytes: Vec<u8>,
}

impl Default for MemFs {
    fn default() -> MemFs {
        MemFs::new()
    }
}

impl MemFs {
    /// An empty, writable file system: root 0755, no limit, the clock at 2001-09-09 01:46:40.
    #[must_use]
    pub fn new() -> MemFs {
        MemFs::from_disk(Disk::new())
    }

    fn from_disk(disk: Disk) -> MemFs {
        MemFs { disk: Arc::new(Mutex::new(disk)) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A test that panicked inside an operation is over; what it left is still worth looking at.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new handle of the root directory.
    #[must_use]
    pub fn root(&self) -> DirRef {
        MemDir::open(self, ROOT)
    }

    /// Sets the clock, which stamps mtime and ctime and never moves by itself.
    pub fn set_time(&self, now: Time) {
        self.disk().now = now;
    }

    /// The clock.
    #[must_use]
    pub fn time(&self) -> Time {
        self.disk().now
    }

    /// From now on every change fails with `EROFS`, or no longer does.
    pub fn set_read_only(&self, read_only: bool) {
        self.disk().read_only = read_only;
    }

    /// From now on the root says that changes of names show in the ctime of their directory, as they do, or not.
    pub fn show_names_in_ctime(&self, shown: bool) {
        self.disk().names_shown = shown;
    }

    /// Limits the bytes of all files together; a write that would exceed it fails with `ENOSPC`, having written
    /// what fits, as a disk does. Names cost nothing.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk().capacity = bytes;
    }

    /// Bytes of all files that have a name.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.disk().used
    }

    /// The file system as found after a power cut now, one of the possible ones, chosen by `seed`.
    #[must_use]
    pub fn crash(&self, seed: u64) -> MemFs {
        MemFs::from_disk(crash::crash(&self.disk(), seed))
    }

    /// Creates the directory `path` and those above it that are missing, all 0755.
    ///
    /// # Errors
    /// `EINVAL` if `path` is no relative path; `ENOTDIR` or `ELOOP` if something else stands in the way.
    pub fn mkdir(&self, path: &str) -> io::Result<DirRef> {
        let mut dir = self.root();
        for name in rel_path(path)?.components() {
            dir = match dir.create_dir(&name, 0o755) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => dir.open_dir(&name)?,
                result => result?,
            };
        }
        Ok(dir)
    }

    /// Makes `path` a file of exactly these bytes, creating it (0644) and its directories where missing.
    ///
    /// # Errors
    /// As [`MemFs::mkdir`], and what the operations themselves report.
    pub fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let dir = self.mkdir(&parent)?;
        let file = match dir.create_file(&name, 0o644) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => dir.open_file_rw(&name)?,
            result => result?,
        };
        file.set_len(0)?;
        file.write_all_at(bytes, 0)
    }

    /// The bytes of the file `path`.
    ///
    /// # Errors
    /// `EINVAL` if it is not a regular file, `ENOENT` if it is not there.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let (parent, name) = split(path)?;
        let file = walk::open_path(&self.root(), &rel_path(&parent)?)?.open_file(&name)?;
        let mut bytes = vec![0; usize::try_from(file.stat()?.size).map_err(io::Error::other)?];
        file.read_full_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Creates a FIFO in `path`'s directory, which must exist.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken, `ENOENT` if the directory is not there.
    pub fn mkspecial(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let ino = walk::open_path(&self.root(), &rel_path(&parent)?)?.stat_self()?.ino;
        self.disk().create(ino, &name, Body::Special(Special::Fifo, Rdev::default()), 0o644)?;
        Ok(())
    }

    /// Everything below the root by path.
    #[must_use]
    pub fn tree(&self) -> BTreeMap<RelPath, TreeEntry> {
        let disk = self.disk();
        let mut tree = BTreeMap::new();
        let mut open = vec![(RelPath::root(), ROOT)];
        while let Some((path, dir)) = open.pop() {
            let Body::Dir(names) = &disk.live[&dir].body else { continue };
            for (name, ino) in names {
                let node = &disk.live[ino];
                let (path, meta) = (path.join(name), &node.meta);
                let bytes = match &node.body {
                    Body::File(bytes) | Body::Symlink(bytes) => bytes.clone(),
                    Body::Dir(_) | Body::Special(..) => Vec::new(),
                };
                let kind = node.body.kind();
                if kind == Kind::Dir {
                    open.push((path.clone(), *ino));
                }
                tree.insert(path, TreeEntry { kind, mode: meta.mode, mtime: meta.mtime, bytes });
            }
        }
        tree
    }
}

fn rel_path(path: &str) -> io::Result<RelPath> {
    RelPath::new(path.as_bytes()).map_err(|_| Errno::INVAL.into())
}

/// A path's directory and last name.
fn split(path: &str) -> io::Result<(String, Name)> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    Ok((parent.to_owned(), Name::new(name.as_bytes()).map_err(|_| Errno::INVAL)?))
}
