//! Where a store's bytes lie: blobs that never change, under names that say what they hold, and one head that does.
//!
//! [`Blobs`] is all that a store asks of a directory, of memory or of an object store. A blob is named by the digest of its
//! bytes, so writing one twice is no conflict, and a blob under another's name is found out. Only the head is replaced,
//! by whoever still knows what it was: that is how several writers of one store agree.
//!
//! Errors are plain [`io::Error`]s: `NotFound` for a blob that is not there, `UnexpectedEof` for one that ends before the
//! range. Callers know the blob and the purpose, and add them.

mod cached;
mod dir;
mod memory;
#[cfg(feature = "cloud")]
mod object;
pub mod remote;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::fs::Time;
use crate::hash::{Domain, Hash};

pub use cached::Cached;
pub use dir::DirBlobs;
pub use memory::MemoryBlobs;
#[cfg(feature = "cloud")]
pub use object::ObjectBlobs;
pub use remote::RemoteBlobs;

/// What a blob holds, which is the folder that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// Records of objects.
    Pack,
    /// Where the objects of some packs are: made from them, and made again where it is missing.
    Index,
    /// Records of the history that stand no longer in the head.
    Log,
}

impl BlobKind {
    /// Every kind.
    pub const ALL: [BlobKind; 3] = [BlobKind::Pack, BlobKind::Index, BlobKind::Log];

    /// The folder's name.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            BlobKind::Pack => "packs",
            BlobKind::Index => "index",
            BlobKind::Log => "log",
        }
    }
}

/// The name of a blob: its kind, and the digest of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName {
    /// What it holds.
    pub kind: BlobKind,
    /// [`Domain::Blob`] over its bytes.
    pub hash: Hash,
}

impl BlobName {
    /// The name of the blob with these bytes.
    #[must_use]
    pub fn of(kind: BlobKind, bytes: &[u8]) -> BlobName {
        BlobName { kind, hash: Hash::of(Domain::Blob, bytes) }
    }
}

impl fmt::Display for BlobName {
    /// As a path: the folder, a slash, 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.folder(), self.hash)
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}", self.kind.folder(), self.hash)
    }
}

/// A blob that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name, which says nothing of the bytes before they are read.
    pub name: BlobName,
    /// Its length in bytes.
    pub len: u64,
    /// When it was written, as the place's clock has it.
    pub written: Time,
}

/// Which state of the head was read: not to be compared with that of another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadVersion(pub String);

/// A head as it was read.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its bytes.
    pub bytes: Bytes,
    /// What a replacement must name.
    pub version: HeadVersion,
}

/// Held by the only process that writes; dropped, another may.
pub trait WriteLock: Send + Sync {}

/// What asking for the lock gave.
pub enum Locking {
    /// Nobody else writes while this is held.
    Held(Box<dyn WriteLock>),
    /// The place has no locks: several processes may write at once.
    Shared,
    /// Another process has it; its number, where that can be told.
    Taken(Option<u32>),
}

/// The longest head, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 20;

/// A place for a store's bytes.
pub trait Blobs: Send + Sync {
    /// Writes a blob; durable when it returns, and there as a whole or not at all. One that is there already stays.
    ///
    /// # Errors
    /// Whatever the place says; the blob may then be there or not.
    fn put(&self, name: &BlobName, bytes: &[u8]) -> io::Result<()>;

    /// Reads exactly the bytes of `range`.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` if the blob ends before; whatever else the place says.
    fn read(&self, name: &BlobName, range: Range<u64>) -> io::Result<Bytes>;

    /// The blob's length.
    ///
    /// # Errors
    /// `NotFound`, and whatever else the place says.
    fn len(&self, name: &BlobName) -> io::Result<u64>;

    /// Every whole blob of a kind, in any order. What is not named as a blob is left out.
    ///
    /// # Errors
    /// Whatever the place says.
    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>>;

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// Whatever the place says.
    fn remove(&self, name: &BlobName) -> io::Result<()>;

    /// Removes what interrupted writers left. Only with the lock, where there is one.
    ///
    /// # Errors
    /// Whatever the place says.
    fn remove_leftovers(&self) -> io::Result<()> {
        Ok(())
    }

    /// The head, or `None` where there is none yet.
    ///
    /// # Errors
    /// Whatever the place says.
    fn head(&self) -> io::Result<Option<Head>>;

    /// Replaces the head, durably, if it still is what `expected` says; `None`: if there is none yet. `Ok(None)` if it is not.
    ///
    /// # Errors
    /// Whatever the place says. It may then have been replaced or not: read it again.
    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>>;

    /// The settings that the store was made with: written before the head.
    ///
    /// # Errors
    /// `NotFound` where there is no store, and whatever else the place says.
    fn settings(&self) -> io::Result<Bytes>;

    /// Writes the settings of a new store.
    ///
    /// # Errors
    /// `AlreadyExists`, and whatever else the place says.
    fn put_settings(&self, bytes: &[u8]) -> io::Result<()>;

    /// Replaces the settings, whatever they are, durably. Only with the lock, where there is one.
    ///
    /// # Errors
    /// Whatever the place says.
    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()>;

    /// Keeps other processes from writing, where the place can.
    ///
    /// # Errors
    /// Whatever the place says.
    fn lock(&self) -> io::Result<Locking>;

    /// Whether several processes write at once: then what is young is left alone.
    fn is_shared(&self) -> bool;
}
