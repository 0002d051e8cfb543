//! A stream of chunks → a root, in the memory of one open node a level.

use serde::{Deserialize, Serialize};

use super::node::{Child, OpenNode};
use crate::chunk::ChunkRef;
use crate::hash::Hash;

/// What a file is: the digest of its tree, its length, and how many chunks it was cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Root {
    /// The digest of the topmost node, or of the only chunk.
    pub hash: Hash,
    /// Length in bytes.
    pub len: u64,
    /// Number of chunks, at least one. Unlike `len`, a digest does not prove it.
    pub chunks: u64,
}

impl Root {
    /// The root of the empty file: one chunk of no bytes.
    #[must_use]
    pub fn empty() -> Root {
        Root { hash: ChunkRef::of(b"").hash, len: 0, chunks: 1 }
    }
}

/// Takes a file's chunks in order and gives its root.
///
/// ```
/// use syncline::chunk::{ChunkRef, Chunker, Params};
/// use syncline::tree::{Builder, hash_bytes};
/// let chunker = Chunker::new(&Params::default());
/// let mut builder = Builder::new();
/// chunker.split(b"some bytes").for_each(|chunk| builder.push(ChunkRef::of(chunk)));
/// assert_eq!(builder.finish(), hash_bytes(&chunker, b"some bytes"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// The open node of each level, level 1 first.
    levels: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Level {
    open: OpenNode,
    /// How many children this level has been given, in all its nodes.
    children: u64,
}

impl Builder {
    /// Starts a file. Allocates nothing yet.
    #[must_use]
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds the next chunk. A chunk of no bytes adds nothing.
    pub fn push(&mut self, chunk: ChunkRef) {
        if chunk.len > 0 {
            self.add(0, chunk.into());
        }
    }

    /// Ends the file.
    #[must_use]
    pub fn finish(mut self) -> Root {
        let Some(chunks) = self.levels.first().map(|level| level.children) else { return Root::empty() };
        let mut index = 0;
        loop {
            let Level { open, children } = &mut self.levels[index];
            match *open.children() {
                // A level of one item is the top: a node over it would say nothing new.
                [Child { hash, len }] if *children == 1 => return Root { hash, len, chunks },
                [] => {}
                _ => {
                    let node = open.seal();
                    self.add(index + 1, node);
                }
            }
            index += 1;
        }
    }

    /// Gives `child` to the level at `index`, and each node that ends to the level above it.
    fn add(&mut self, mut index: usize, mut child: Child) {
        loop {
            if index == self.levels.len() {
                self.levels.push(Level { open: OpenNode::new(index + 1), children: 0 });
            }
            let Level { open, children } = &mut self.levels[index];
            *children += 1;
            if !open.push(child) {
                return;
            }
            child = open.seal();
            index += 1;
        }
    }
}
