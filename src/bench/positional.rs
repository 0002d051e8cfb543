//! Two lists of chunks → what it costs to compare them under a tree that groups children by their position.
//!
//! The tree that is not used here: every 64 items are a node, wherever they stand. One item more in front, and
//! every node has other children, though all the items are known. [`compare`] descends it as the real session
//! descends the real tree, asking for what the other end has nowhere, so that the difference is the tree's.

use std::collections::HashSet;

use crate::chunk::{ChunkRef, Chunker};
use crate::hash::{Domain, Hash};

/// Children of a node: the mean of the trees that are in use.
pub const FAN_OUT: usize = 64;
/// A digest and a length of eight bytes, for each child that is told.
const CHILD_BYTES: u64 = 40;
/// A number of four bytes, for each node that is asked for.
const REQUEST_BYTES: u64 = 4;

/// What a comparison cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Bytes of the chunks that the old file has not.
    pub data: u64,
    /// Bytes of digests, lengths and requests.
    pub description: u64,
    /// Nodes of the new tree that were told of.
    pub nodes: u64,
    /// Exchanges: one a level, and one for the bytes.
    pub round_trips: u64,
}

/// Compares two files by content-defined chunks under positional trees.
#[must_use]
pub fn compare(chunker: &Chunker, old: &[u8], new: &[u8]) -> Compared {
    let chunks = |bytes| chunker.split(bytes).map(ChunkRef::of).collect::<Vec<_>>();
    let (old_chunks, new_chunks) = (chunks(old), chunks(new));
    let (old, new) = (levels(&old_chunks), levels(&new_chunks));
    let mut compared = Compared { nodes: 1, description: CHILD_BYTES, round_trips: 1, ..Compared::default() };
    // The roots first; then, level by level, the children of every node that the old tree has nowhere.
    let mut suspects = vec![0];
    for (level, items) in new.iter().enumerate().rev() {
        let known: HashSet<&Hash> = old.get(level).into_iter().flatten().collect();
        suspects.retain(|index| !known.contains(&items[*index]));
        if suspects.is_empty() {
            return compared;
        }
        compared.round_trips += 1;
        if level == 0 {
            let missing: HashSet<usize> = suspects.iter().copied().collect();
            compared.description += REQUEST_BYTES * missing.len() as u64;
            compared.data = missing.iter().map(|index| u64::from(new_chunks[*index].len)).sum();
            return compared;
        }
        let below = new[level - 1].len();
        compared.description += REQUEST_BYTES * suspects.len() as u64;
        suspects =
            suspects.iter().flat_map(|index| index * FAN_OUT..((index + 1) * FAN_OUT).min(below)).collect();
        compared.description += CHILD_BYTES * suspects.len() as u64;
        compared.nodes += if level > 1 { suspects.len() as u64 } else { 0 };
    }
    compared
}

/// Chunks first, the root last.
fn levels(chunks: &[ChunkRef]) -> Vec<Vec<Hash>> {
    let mut levels = vec![chunks.iter().map(|chunk| chunk.hash).collect::<Vec<_>>()];
    while let Some(top) = levels.last().filter(|top| top.len() > 1) {
        let digest = |node: &[Hash]| {
            let bytes: Vec<u8> = node.iter().flat_map(|hash| hash.0).collect();
            Hash::of(Domain::FileNode, &bytes)
        };
        let next = top.chunks(FAN_OUT).map(digest).collect();
        levels.push(next);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::text;
    use crate::chunk::Params;

    #[test]
    fn equal_files_cost_their_roots() {
        let bytes = text(1, 500_000);
        let compared = compare(&Chunker::new(&Params::default()), &bytes, &bytes);
        assert_eq!(compared, Compared { data: 0, description: 40, nodes: 1, round_trips: 1 });
    }

    #[test]
    fn a_chunk_more_in_front_opens_every_node_and_sends_that_chunk_only() {
        let chunker = Chunker::new(&Params::fixed(64).unwrap());
        let old = text(1, 64 * 10_000);
        let new = [&[7; 64][..], &old[..]].concat();
        let compared = compare(&chunker, &old, &new);
        // 10,001 chunks, 157 nodes over them, 3 over those, 1.
        assert_eq!((compared.data, compared.nodes), (64, 1 + 3 + 157));
        assert_eq!(compared.description, 40 * (1 + 3 + 157 + 10_001) + 4 * (1 + 3 + 157 + 1));
    }
}
