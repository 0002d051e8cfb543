//! A tree and a chunk → proof that the chunk stands at an offset, for someone who has the root alone.

use super::FileTree;
use super::node::{Child, TreeError, verify_children};
use crate::chunk::ChunkRef;
use crate::hash::Hash;
use crate::limits::TREE_LEVELS_MAX;

/// The way from a root down to one chunk; about 2.5 KiB a level, at most 10 KiB.
///
/// ```
/// use syncline::chunk::{Chunker, Params};
/// use syncline::tree::FileTree;
/// let tree = FileTree::of_bytes(&Chunker::new(&Params::fixed(64)?), &[7; 1000]);
/// let proof = tree.proof(3).expect("the file has more than three chunks");
/// let root = tree.root();
/// assert_eq!(proof.verify(&root.hash, root.len, tree.chunks()[3]), Ok(192));
/// # Ok::<(), syncline::chunk::ParamsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The nodes on the way, the root first; none if the root is the chunk.
    pub steps: Vec<ProofStep>,
}

/// One node on the way down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofStep {
    /// All children of the node.
    pub children: Vec<Child>,
    /// The child that the way goes on to.
    pub index: usize,
}

impl Proof {
    /// Checks that `chunk` is in the file of `total_len` bytes that has this root, and gives its offset.
    ///
    /// The proof may come from anyone: at most [`TREE_LEVELS_MAX`] nodes are hashed, each of at most
    /// [`NODE_CHILDREN_MAX`](crate::limits::NODE_CHILDREN_MAX) children.
    ///
    /// # Errors
    /// [`TreeError::Mismatch`] if a node or the chunk is not what its parent says, [`TreeError::ProofIndex`]
    /// if a step goes on to a child that is not there, and the errors of [`Child::of_node`].
    pub fn verify(&self, root: &Hash, total_len: u64, chunk: ChunkRef) -> Result<u64, TreeError> {
        if self.steps.len() > TREE_LEVELS_MAX {
            return Err(TreeError::Level { found: self.steps.len() });
        }
        let mut expected = Child { hash: *root, len: total_len };
        let mut offset = 0;
        for (level, ProofStep { children, index }) in (1..=self.steps.len()).rev().zip(&self.steps) {
            verify_children(level, children, expected)?;
            expected = *children
                .get(*index)
                .ok_or(TreeError::ProofIndex { index: *index, children: children.len() })?;
            // No overflow: the node's length, just verified, is the sum of all.
            offset += children[..*index].iter().map(|child| child.len).sum::<u64>();
        }
        let actual = Child::from(chunk);
        if actual == expected { Ok(offset) } else { Err(TreeError::Mismatch { expected, actual }) }
    }
}

impl FileTree {
    /// Proves where the chunk at `index` stands; `None` if there is no such chunk.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<Proof> {
        if index >= self.chunks().len() {
            return None;
        }
        let mut steps = vec![];
        let mut below = index;
        for level in 1..=self.levels() {
            let node = self.nodes(level).partition_point(|node| node.children.end <= below);
            let start = self.nodes(level)[node].children.start;
            steps.push(ProofStep { children: self.children(level, node), index: below - start });
            below = node;
        }
        steps.reverse();
        Some(Proof { steps })
    }
}
