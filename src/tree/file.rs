//! A file's chunks → all levels of its tree, kept to be compared, walked and proven from.

use std::io::{self, Read};
use std::ops::Range;

use super::node::{Child, OpenNode, TreeError};
use super::{Root, for_each_chunk};
use crate::chunk::{ChunkRef, Chunker};
use crate::limits::CHUNK_BYTES_MAX;

/// A node of a [`FileTree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node's digest.
    pub hash: crate::hash::Hash,
    /// Length in bytes of everything below.
    pub len: u64,
    /// The places of its children in the level below.
    pub children: Range<usize>,
}

/// All levels of a file's tree: chunks at level 0, nodes above, the root at level [`levels`](Self::levels).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTree {
    chunks: Vec<ChunkRef>,
    /// Level 1 first. The last has one node.
    nodes: Vec<Vec<Node>>,
}

impl FileTree {
    /// Cuts and hashes a file that is in memory.
    #[must_use]
    pub fn of_bytes(chunker: &Chunker, bytes: &[u8]) -> FileTree {
        FileTree::stack(chunker.split(bytes).map(ChunkRef::of).collect())
    }

    /// Cuts and hashes everything that `reader` has, in the memory of the tree and 2 MiB.
    ///
    /// # Errors
    /// The first error of the reader other than [`io::ErrorKind::Interrupted`].
    pub fn of_reader(chunker: &Chunker, reader: impl Read) -> io::Result<FileTree> {
        let mut chunks = vec![];
        for_each_chunk(chunker, reader, |chunk| chunks.push(chunk))?;
        Ok(FileTree::stack(chunks))
    }

    /// Builds the tree of chunks that someone else may have listed; of none, the empty file's.
    ///
    /// # Errors
    /// [`TreeError::EmptyItem`] for a chunk of no bytes, unless it is the empty file's only one;
    /// [`TreeError::ChunkTooLong`] for one of more than [`CHUNK_BYTES_MAX`].
    pub fn from_chunks(chunks: Vec<ChunkRef>) -> Result<FileTree, TreeError> {
        if chunks.is_empty() || chunks == [ChunkRef::of(b"")] {
            return Ok(FileTree::stack(vec![ChunkRef::of(b"")]));
        }
        if let Some(index) = chunks.iter().position(|chunk| chunk.len == 0) {
            return Err(TreeError::EmptyItem { index });
        }
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.len as usize > CHUNK_BYTES_MAX) {
            return Err(TreeError::ChunkTooLong { len: chunk.len.into() });
        }
        Ok(FileTree::stack(chunks))
    }

    /// Stacks levels until one has a single item. `chunks` has at least one, each valid.
    fn stack(chunks: Vec<ChunkRef>) -> FileTree {
        let mut tree = FileTree { chunks, nodes: vec![] };
        while tree.count(tree.levels()) > 1 {
            let nodes = tree.next_level();
            tree.nodes.push(nodes);
        }
        tree
    }

    /// The nodes over the topmost level.
    fn next_level(&self) -> Vec<Node> {
        let below = self.levels();
        let count = self.count(below);
        let mut open = OpenNode::new(below + 1);
        let mut nodes = vec![];
        let mut start = 0;
        for index in 0..count {
            if open.push(self.child(below, index)) || index + 1 == count {
                let Child { hash, len } = open.seal();
                nodes.push(Node { hash, len, children: start..index + 1 });
                start = index + 1;
            }
        }
        nodes
    }

    /// What the file is.
    #[must_use]
    pub fn root(&self) -> Root {
        let Child { hash, len } = self.child(self.levels(), 0);
        Root { hash, len, chunks: self.chunks.len() as u64 }
    }

    /// The chunks, in the file's order; at least one.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    /// The root's level: 0 if the file is one chunk.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes of a level from 1 to [`levels`](Self::levels), in the file's order; none of any other.
    #[must_use]
    pub fn nodes(&self, level: usize) -> &[Node] {
        level.checked_sub(1).and_then(|index| self.nodes.get(index)).map_or(&[], Vec::as_slice)
    }

    /// Number of items at a level, chunks or nodes.
    pub(super) fn count(&self, level: usize) -> usize {
        if level == 0 { self.chunks.len() } else { self.nodes(level).len() }
    }

    /// The item at `index` of a level, chunk or node, as its parent speaks of it.
    ///
    /// # Panics
    /// If there is no such item.
    #[must_use]
    pub fn child(&self, level: usize, index: usize) -> Child {
        if level == 0 {
            return self.chunks[index].into();
        }
        let Node { hash, len, .. } = self.nodes(level)[index];
        Child { hash, len }
    }

    /// The children of node `index` of `level`: what a peer is sent, and what its digest is of.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn children(&self, level: usize, index: usize) -> Vec<Child> {
        self.nodes(level)[index].children.clone().map(|child| self.child(level - 1, child)).collect()
    }
}
