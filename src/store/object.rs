//! What a store keeps, once each: objects that are named by the digest of what they say.
//!
//! A snapshot names the root of its directory tree, directory nodes name files' roots, file nodes name chunks: from a
//! snapshot's root everything below is proven. An object is believed when its bytes have its digest, whoever gave them.

use std::fmt;

use crate::hash::{Domain, Hash};
use crate::snapshot::AttributesId;
use crate::snapshot::stored;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// The bytes of one chunk.
    Chunk = 0,
    /// A node of a file's tree.
    FileNode = 1,
    /// A node of a directory's tree, metadata included.
    DirNode = 2,
    /// A set of extended attributes.
    Attributes = 3,
    /// The root of a snapshot, with what it is made of.
    Snapshot = 4,
}

impl ObjectKind {
    /// The kind of that number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<ObjectKind> {
        use ObjectKind::{Attributes, Chunk, DirNode, FileNode, Snapshot};
        [Chunk, FileNode, DirNode, Attributes, Snapshot].into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether it names other objects, or is small beside what does: such lie apart from the chunks.
    #[must_use]
    pub fn is_tree(self) -> bool {
        self != ObjectKind::Chunk
    }
}

/// Which object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// What it is.
    pub kind: ObjectKind,
    /// The digest that names it; of extended attributes 20 bytes of it, then zeros.
    pub hash: Hash,
}

impl ObjectId {
    /// A chunk.
    #[must_use]
    pub fn chunk(hash: Hash) -> ObjectId {
        ObjectId { kind: ObjectKind::Chunk, hash }
    }

    /// A node of a file's tree.
    #[must_use]
    pub fn file_node(hash: Hash) -> ObjectId {
        ObjectId { kind: ObjectKind::FileNode, hash }
    }

    /// A node of a directory's tree.
    #[must_use]
    pub fn dir_node(full: Hash) -> ObjectId {
        ObjectId { kind: ObjectKind::DirNode, hash: full }
    }

    /// A set of extended attributes.
    #[must_use]
    pub fn attributes(id: AttributesId) -> ObjectId {
        let mut hash = [0; 32];
        hash[..20].copy_from_slice(&id.0);
        ObjectId { kind: ObjectKind::Attributes, hash: Hash(hash) }
    }

    /// The root of a snapshot.
    #[must_use]
    pub fn snapshot(root: Hash) -> ObjectId {
        ObjectId { kind: ObjectKind::Snapshot, hash: root }
    }

    /// Whether `bytes` are this object.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let hash = match self.kind {
            ObjectKind::Chunk => Hash::of(Domain::Chunk, bytes),
            ObjectKind::FileNode => Hash::of(Domain::FileNode, bytes),
            ObjectKind::DirNode => Hash::of(Domain::DirFull, bytes),
            ObjectKind::Attributes => {
                let mut hash = Hash::of(Domain::Attributes, bytes);
                hash.0[20..].fill(0);
                hash
            }
            ObjectKind::Snapshot => match stored::root_of(bytes) {
                Some(root) => root,
                None => return false,
            },
        };
        hash == self.hash
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind, self.hash)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ObjectKind::Chunk => "chunk",
            ObjectKind::FileNode => "file node",
            ObjectKind::DirNode => "directory node",
            ObjectKind::Attributes => "extended attributes",
            ObjectKind::Snapshot => "snapshot",
        };
        write!(f, "{kind} {}", self.hash)
    }
}
