//! Chunks → one 32-byte root: a Merkle tree a file, whose nodes end where their content says so.
//!
//! A tree that pairs its children by position falls to one chunk more at the front: every pairing above it
//! shifts. Here a node ends behind a child whose keyed digest is small, as a chunk ends behind bytes whose
//! hash is. So the same bytes give the same tree whatever their history, and an edit changes a constant
//! number of nodes a level, wherever it stands ("prolly" trees; Auvolat and Taïani, "Merkle Search Trees",
//! 2019, have the property by another rule).
//!
//! [`hash_bytes`] and [`hash_reader`] give a file's [`Root`] in one pass; a [`FileTree`] keeps all levels, to
//! be compared with another ([`diff`]) or walked by a peer, who checks each node against its digest before
//! believing it ([`verify_children`]); a [`Proof`] shows one chunk's place to someone who has the root alone.
//!
//! # Not here
//!
//! No IO but through a caller's [`Read`], no key: whoever must not have his tree shaped by others keys the
//! chunks ([`Params::with_key`](crate::chunk::Params::with_key)). The digest does not cover the chunking
//! parameters: compare roots only under equal [`Params::id`](crate::chunk::Params::id).
//!
//! # Invariants
//!
//! - A root of one chunk is that chunk; no node stands over it. Any other root is one node.
//! - Nodes have 1 to [`NODE_CHILDREN_MAX`](crate::limits::NODE_CHILDREN_MAX) children, and at least
//!   [`NODE_CHILDREN_MIN`] but for the last of a level.
//! - All chunks lie at the same depth: `⌈log₁₆ chunks⌉` levels at most, about `log₆₄ chunks`.
//!
//! # Cost
//!
//! Over the chunks, one boundary digest a chunk (0.1 µs) and 1/64 node; a [`Builder`] holds one open node a
//! level, under 11 KiB each. A [`FileTree`] holds 36 bytes a chunk and a little.
//!
//! ```
//! use syncline::chunk::{Chunker, Params, Sizes, Algorithm};
//! use syncline::tree::{FileTree, diff, hash_bytes};
//! let chunker = Chunker::new(&Params::new(Algorithm::Gear, Sizes { min: 64, avg: 256, max: 1024 })?);
//! let old: Vec<u8> = (0..100_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
//! let new = [b"one line at the front\n", &old[..]].concat();
//! let (old, new) = (FileTree::of_bytes(&chunker, &old), FileTree::of_bytes(&chunker, &new));
//! assert!(new.chunks().len() > 1000);
//! assert!(diff(&old, &new).missing_chunks() < 10);
//! # Ok::<(), syncline::chunk::ParamsError>(())
//! ```
#![doc = ""]
#![doc = include_str!("FORMAT.md")]

mod builder;
mod diff;
mod file;
mod node;
mod proof;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use crate::chunk::{ChunkRef, Chunker, Splitter};

pub use self::builder::{Builder, Root};
pub use self::diff::{Diff, diff};
pub use self::file::{FileTree, Node};
pub use self::node::{
    BOUNDARY_ONE_IN, Child, NODE_CHILDREN_MIN, TreeError, decode_node, encode_node, verify_children,
};
pub use self::proof::{Proof, ProofStep};

/// Bytes asked of a reader at a time: some chunks, so that few straddle two reads.
const READ_BYTES: usize = 1 << 20;

/// Gives the root of a file that is in memory.
#[must_use]
pub fn hash_bytes(chunker: &Chunker, bytes: &[u8]) -> Root {
    let mut builder = Builder::new();
    chunker.split(bytes).for_each(|chunk| builder.push(ChunkRef::of(chunk)));
    builder.finish()
}

/// Gives the root of everything that `reader` has, in about 2 MiB of memory whatever its length.
///
/// # Errors
/// The first error of the reader other than [`io::ErrorKind::Interrupted`].
pub fn hash_reader(chunker: &Chunker, reader: impl Read) -> io::Result<Root> {
    let mut builder = Builder::new();
    for_each_chunk(chunker, reader, |chunk| builder.push(chunk))?;
    Ok(builder.finish())
}

/// Calls `sink` with each chunk of what `reader` has, in order.
fn for_each_chunk(
    chunker: &Chunker,
    mut reader: impl Read,
    mut sink: impl FnMut(ChunkRef),
) -> io::Result<()> {
    let mut sink = |chunk: &[u8]| sink(ChunkRef::of(chunk));
    let mut splitter = Splitter::new(chunker.clone());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => splitter.push(&buffer[..len], &mut sink),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    splitter.finish(&mut sink);
    Ok(())
}
