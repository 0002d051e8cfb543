//! Bytes → chunks: where one file is cut, so that an edit moves few cuts and the rest stay where they were.
//!
//! Cutting at fixed offsets fails at the first inserted byte: every later block holds other bytes. A
//! content-defined cut is decided by the few bytes around it, so that the cuts behind an edit come back as
//! soon as the old and the new rule agree on one of them. [`Params`] name an algorithm and its sizes; a
//! [`Chunker`] is the parameters made ready; it cuts a whole file in memory ([`Chunker::split`]) or a stream
//! ([`Splitter`]), to the same chunks whatever the sizes of the reads.
//!
//! # Not here
//!
//! No IO, no threads, no compression; nothing above a chunk ([`crate::tree`] stacks them).
//!
//! # Invariants
//!
//! - The chunks of a file, joined, are the file. All but the last have between `min` and `max` bytes.
//! - A file of at most `min` bytes is one chunk; the empty file is one chunk of no bytes.
//! - Cuts depend on the parameters, the key and the bytes, on nothing else.
//!
//! # Cost
//!
//! One pass: [`Algorithm::Gear`] 2 to 3 GB/s a core, [`Algorithm::Rabin`] about 0.5 GB/s, [`Algorithm::Min`] 10
//! and more, [`Algorithm::Fixed`] nothing. A [`Splitter`] holds less than `2 × max` bytes.
//!
//! # Sources
//!
//! Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems",
//! IEEE TPDS 2020 (gear, normalised chunking); Rabin, "Fingerprinting by Random Polynomials", 1981; the
//! `mincdc` crate (min).
//!
//! ```
//! use syncline::chunk::{ChunkRef, Chunker, Params};
//! let chunker = Chunker::new(&Params::default());
//! let bytes: Vec<u8> = (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
//! let chunks: Vec<ChunkRef> = chunker.split(&bytes).map(ChunkRef::of).collect();
//! assert_eq!(chunks.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>(), 1_200_000);
//! ```

mod fixed;
mod gear;
mod min;
#[cfg(test)]
mod oracle;
mod params;
mod rabin;
mod splitter;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hash::{Domain, Hash};

pub use self::params::{Algorithm, PARAMS_BYTES, Params, ParamsError, Sizes};
pub use self::splitter::Splitter;

/// Where the next chunk ends: the one question that a chunking algorithm answers.
pub trait Cut: Send + Sync {
    /// Gives the length of the chunk that starts at `bytes[0]`.
    ///
    /// `bytes` holds at least the maximum chunk size, or all that is left of the file. The answer lies in
    /// `1..=bytes.len()`, and is 0 only where `bytes` is empty.
    fn cut(&self, bytes: &[u8]) -> usize;
}

/// Chunking parameters made ready to cut. Cloning one shares its tables.
#[derive(Clone)]
pub struct Chunker {
    params: Params,
    cut: Arc<dyn Cut>,
}

impl Chunker {
    /// Builds the tables that `params` ask for: some hundred microseconds for Rabin, nothing to speak of else.
    #[must_use]
    pub fn new(params: &Params) -> Chunker {
        let cut: Arc<dyn Cut> = match params.algorithm() {
            Algorithm::Gear => Arc::new(gear::Gear::new(params)),
            Algorithm::Rabin => Arc::new(rabin::Rabin::new(params)),
            Algorithm::Min => Arc::new(min::Min::new(params)),
            Algorithm::Fixed => Arc::new(fixed::Fixed::new(params)),
        };
        Chunker { params: params.clone(), cut }
    }

    /// The parameters that this chunker cuts by.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The most bytes a chunk can have.
    #[must_use]
    pub fn max(&self) -> usize {
        self.params.sizes().max as usize
    }

    /// Gives the length of the chunk that starts at `bytes[0]`, as [`Cut::cut`] does.
    #[must_use]
    pub fn cut(&self, bytes: &[u8]) -> usize {
        self.cut.cut(bytes)
    }

    /// Cuts a whole file that is in memory; the empty file gives one empty chunk.
    ///
    /// ```
    /// use syncline::chunk::{Chunker, Params};
    /// let chunker = Chunker::new(&Params::fixed(64)?);
    /// assert_eq!(chunker.split(&[7; 150]).map(<[u8]>::len).collect::<Vec<_>>(), [64, 64, 22]);
    /// assert_eq!(chunker.split(b"").collect::<Vec<_>>(), [b""]);
    /// # Ok::<(), syncline::chunk::ParamsError>(())
    /// ```
    #[must_use]
    pub fn split<'a>(&'a self, bytes: &'a [u8]) -> Split<'a> {
        Split { chunker: self, rest: Some(bytes) }
    }
}

/// Shows the parameters, not the tables: from them the key's cuts could be made.
impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunker").field(&self.params).finish()
    }
}

/// The chunks of a file in memory, in order: what [`Chunker::split`] gives.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    chunker: &'a Chunker,
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (chunk, behind) = rest.split_at(self.chunker.cut(rest));
        self.rest = (!behind.is_empty()).then_some(behind);
        Some(chunk)
    }
}

impl std::iter::FusedIterator for Split<'_> {}

/// A chunk by its digest and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkRef {
    /// BLAKE3 of the bytes, in [`Domain::Chunk`].
    pub hash: Hash,
    /// Length in bytes, at most [`CHUNK_BYTES_MAX`](crate::limits::CHUNK_BYTES_MAX) in anything we cut.
    pub len: u32,
}

impl ChunkRef {
    /// Digests one chunk.
    ///
    /// # Panics
    /// If `bytes` has 2³² bytes or more: no chunker cuts such a chunk.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ChunkRef {
        let len = u32::try_from(bytes.len()).expect("no chunker cuts a chunk of 4 GiB");
        ChunkRef { hash: Hash::of(Domain::Chunk, bytes), len }
    }
}
