//! Children → a node: where it ends, its bytes, its digest, and the checks before a peer's is believed.

use serde::{Deserialize, Serialize};

use crate::chunk::ChunkRef;
use crate::hash::{Domain, Hash, Hasher};
use crate::limits::{CHUNK_BYTES_MAX, NODE_CHILDREN_MAX, TREE_LEVELS_MAX};

/// Fewest children of a node that is not the last of its level.
///
/// Sixteen bound a tree's height (16¹⁶ chunks are 2⁶⁴) and its size (a node for 16 chunks), whatever
/// digests an adversary has ground.
pub const NODE_CHILDREN_MIN: usize = 16;

/// From [`NODE_CHILDREN_MIN`] on, each child ends its node with a chance of one in this many.
///
/// The mean fan-out is then 15 + 49 × (1 − (48/49)²⁴¹) ≈ 63.7, and one node in 141 is cut by
/// [`NODE_CHILDREN_MAX`].
pub const BOUNDARY_ONE_IN: u64 = 49;

/// Bytes of an encoded node before its children: level, length, count.
const HEADER_BYTES: usize = 1 + 8 + 4;
/// Bytes of an encoded child: digest, length.
const CHILD_BYTES: usize = 32 + 8;

/// Why a node, a list of chunks or a proof is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A node's level is 0 (there are chunks) or above [`TREE_LEVELS_MAX`].
    #[error("tree node at level {found}, not 1 to {TREE_LEVELS_MAX}")]
    Level {
        /// The level it was said to have.
        found: usize,
    },
    /// A node has no child or more than [`NODE_CHILDREN_MAX`].
    #[error("tree node with {found} children, not 1 to {NODE_CHILDREN_MAX}")]
    ChildCount {
        /// How many children it has.
        found: usize,
    },
    /// A node, or a list of more than one chunk, holds an item of no bytes.
    #[error("item {index} of a tree level has no bytes")]
    EmptyItem {
        /// The item's place in its node or list.
        index: usize,
    },
    /// A chunk is longer than [`CHUNK_BYTES_MAX`].
    #[error("chunk of {len} bytes, at most {CHUNK_BYTES_MAX} are allowed")]
    ChunkTooLong {
        /// Its length in bytes.
        len: u64,
    },
    /// The lengths of the children do not add up within 64 bits.
    #[error("lengths of a tree node's children overflow 64 bits")]
    LengthOverflow,
    /// Encoded bytes are not what their header says.
    #[error("tree node of {found} bytes is malformed")]
    Malformed {
        /// Their length in bytes.
        found: usize,
    },
    /// Something is not what its parent, or the root, says it is.
    #[error("expected {} bytes of digest {}, not {} of {}", expected.len, expected.hash, actual.len, actual.hash)]
    Mismatch {
        /// What the parent says.
        expected: Child,
        /// What was found.
        actual: Child,
    },
    /// A proof goes on to a child that its node does not have.
    #[error("proof goes on to child {index} of {children}")]
    ProofIndex {
        /// The child it goes on to.
        index: usize,
        /// How many there are.
        children: usize,
    },
}

/// What a node says of each child, and a root of everything: its digest and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Child {
    /// A chunk's digest at level 0, a node's above.
    pub hash: Hash,
    /// Length in bytes of everything below.
    pub len: u64,
}

impl Child {
    /// Makes a node of `children`, which lie at `level - 1`, and gives what its parent says of it.
    ///
    /// # Errors
    /// [`TreeError::Level`], [`TreeError::ChildCount`], [`TreeError::EmptyItem`],
    /// [`TreeError::ChunkTooLong`] and [`TreeError::LengthOverflow`], as they say.
    pub fn of_node(level: usize, children: &[Child]) -> Result<Child, TreeError> {
        let (hash, len) = (Hash::of(Domain::FileNode, &encode_node(level, children)?), total(children)?);
        Ok(Child { hash, len })
    }
}

impl From<ChunkRef> for Child {
    fn from(chunk: ChunkRef) -> Child {
        Child { hash: chunk.hash, len: chunk.len.into() }
    }
}

/// Checks that the node of these `children` is the one that its parent, or the root, speaks of.
///
/// A peer's node is believed after this and not before. That it also ends where it should is proven by the
/// whole tree built again from the bytes; until then a node that ends elsewhere can cost at most time.
///
/// # Errors
/// [`TreeError::Mismatch`] if it is another node, and the errors of [`Child::of_node`].
pub fn verify_children(level: usize, children: &[Child], expected: Child) -> Result<(), TreeError> {
    let actual = Child::of_node(level, children)?;
    if actual == expected { Ok(()) } else { Err(TreeError::Mismatch { expected, actual }) }
}

/// Encodes a node as `FORMAT.md` says: the bytes that its digest is of.
///
/// # Errors
/// As [`Child::of_node`].
pub fn encode_node(level: usize, children: &[Child]) -> Result<Vec<u8>, TreeError> {
    if !(1..=TREE_LEVELS_MAX).contains(&level) {
        return Err(TreeError::Level { found: level });
    }
    if !(1..=NODE_CHILDREN_MAX).contains(&children.len()) {
        return Err(TreeError::ChildCount { found: children.len() });
    }
    if let Some(index) = children.iter().position(|child| child.len == 0) {
        return Err(TreeError::EmptyItem { index });
    }
    if let Some(chunk) = children.iter().find(|chunk| level == 1 && chunk.len > CHUNK_BYTES_MAX as u64) {
        return Err(TreeError::ChunkTooLong { len: chunk.len });
    }
    Ok(node_bytes(level, children, total(children)?))
}

/// Decodes and checks a node's bytes: its level and its children. Their digest is the caller's to compare.
///
/// # Errors
/// [`TreeError::Malformed`] if the header and the bytes disagree, and the errors of [`Child::of_node`].
pub fn decode_node(bytes: &[u8]) -> Result<(usize, Vec<Child>), TreeError> {
    let malformed = TreeError::Malformed { found: bytes.len() };
    if bytes.len() > HEADER_BYTES + NODE_CHILDREN_MAX * CHILD_BYTES {
        return Err(malformed);
    }
    let (&[level, ..], children) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(malformed)?;
    let (children, rest) = children.as_chunks::<CHILD_BYTES>();
    let children: Vec<Child> = children
        .iter()
        .map(|child| {
            let (hash, len) = child.split_first_chunk::<32>().expect("40 bytes begin with 32");
            let len = len.try_into().expect("8 bytes are left of 40");
            Child { hash: Hash(*hash), len: u64::from_le_bytes(len) }
        })
        .collect();
    // One comparison checks the length, the count and that no other bytes decode to this node.
    let is_canonical = rest.is_empty() && encode_node(level.into(), &children)? == bytes;
    if is_canonical { Ok((level.into(), children)) } else { Err(malformed) }
}

fn total(children: &[Child]) -> Result<u64, TreeError> {
    let mut lens = children.iter().map(|child| child.len);
    lens.try_fold(0, u64::checked_add).ok_or(TreeError::LengthOverflow)
}

fn node_bytes(level: usize, children: &[Child], total_len: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + children.len() * CHILD_BYTES);
    bytes.push(level as u8);
    bytes.extend_from_slice(&total_len.to_le_bytes());
    bytes.extend_from_slice(&(children.len() as u32).to_le_bytes());
    for child in children {
        bytes.extend_from_slice(child.hash.as_bytes());
        bytes.extend_from_slice(&child.len.to_le_bytes());
    }
    bytes
}

/// A node of a tree that is being built from chunks of our own, and may get more children.
#[derive(Clone, Debug)]
pub(super) struct OpenNode {
    level: usize,
    children: Vec<Child>,
    /// Bytes below the children.
    len: u64,
}

impl OpenNode {
    pub(super) fn new(level: usize) -> OpenNode {
        OpenNode { level, children: Vec::new(), len: 0 }
    }

    pub(super) fn children(&self) -> &[Child] {
        &self.children
    }

    /// Adds a child, and whether the node ends behind it.
    pub(super) fn push(&mut self, child: Child) -> bool {
        self.children.push(child);
        // A file has fewer than 2⁶⁴ bytes; only a caller that counts chunks which are not there gets here
        // by more, and its tree matches nobody's.
        self.len = self.len.saturating_add(child.len);
        let count = self.children.len();
        count >= NODE_CHILDREN_MAX || count >= NODE_CHILDREN_MIN && is_boundary(self.level, &child.hash)
    }

    /// Ends the node and opens the next one.
    pub(super) fn seal(&mut self) -> Child {
        let len = std::mem::take(&mut self.len);
        let hash = Hash::of(Domain::FileNode, &node_bytes(self.level, &self.children, len));
        self.children.clear();
        Child { hash, len }
    }
}

/// Whether a node of `level` may end behind the child that has this digest.
///
/// Keyed by level and in a domain of its own, so that digests say nothing of boundaries, nor the
/// boundaries of one level of another's.
fn is_boundary(level: usize, child: &Hash) -> bool {
    let digest = Hasher::new(Domain::Boundary).update(&[level as u8]).update(child.as_bytes()).finish();
    digest.prefix() < u64::MAX / BOUNDARY_ONE_IN
}
