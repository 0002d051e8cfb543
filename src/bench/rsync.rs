//! Two versions of a file → what rsync's algorithm would send between them.
//!
//! The old file is cut into blocks of one size, each described by a weak sum that can be rolled from one byte
//! to the next and a strong one; the new file is searched for those blocks at every offset (Tridgell and
//! Mackerras, "The rsync algorithm", 1996). Block and sum lengths follow rsync 3. The strong sum is BLAKE3, and
//! blocks are compared by all of it: rsync's may be shorter, and a file that comes out wrong is sent again.
//!
//! # What is counted
//!
//! Both directions of one file, without compression, file list or framing: the sums' header, the sums, a word
//! of four bytes a matched block and one for each 32 KiB of literal bytes, the end, the whole file's sum.
//!
//! # Cost
//!
//! About 2 ns a byte of the new file where nothing matches; 60 bytes a block in memory.
//!
//! ```
//! use syncline::bench::rsync::{block_len, delta};
//! let old: Vec<u8> = (0..600_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
//! let new = [b"x", &old[..]].concat();
//! assert_eq!(delta(&old, &new).literal, 1);
//! assert_eq!(block_len(2_400_000), 1544);
//! ```

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::hash::{Domain, Hash};

/// Blocks are not smaller.
const BLOCK_MIN: u64 = 700;
/// Blocks are not larger.
const BLOCK_MAX: u64 = 128 << 10;
/// Shortest and longest strong sum, in bytes.
const SUM_BYTES: (u64, u64) = (2, 16);
/// Four words: count of blocks, their length, length of a strong sum, length of the last block.
const HEAD_BYTES: u64 = 16;
/// A match, the length of literal bytes, the end.
const WORD_BYTES: u64 = 4;
/// Literal bytes behind one word at most.
const LITERAL_MAX: u64 = 32 << 10;
/// The sum of the whole file.
const FILE_SUM_BYTES: u64 = 16;

/// What one file costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Bytes of the new file that stand in no block of the old one: sent as they are.
    pub literal: u64,
    /// Bytes of the new file that were found.
    pub matched: u64,
    /// Blocks that were found, each time counted.
    pub matches: u64,
    /// Bytes that describe the old file's blocks, from the end that has them.
    pub sums: u64,
    /// Bytes around the literal ones, from the end that has the new file.
    pub words: u64,
}

/// Length of the blocks that a file of `len` bytes is cut into.
#[must_use]
pub fn block_len(len: u64) -> u64 {
    if len <= BLOCK_MIN * BLOCK_MIN {
        return BLOCK_MIN;
    }
    (len.isqrt() & !7).clamp(BLOCK_MIN, BLOCK_MAX)
}

/// Bytes of each block's strong sum in a first attempt: enough for a wrong match in 2¹⁰ files or fewer.
#[must_use]
pub fn sum_len(len: u64) -> u64 {
    // Any offset may meet any block: bits for the file's length, twice, less those of the block's length.
    let bits = 10 + 2 * u64::from(len.max(1).ilog2());
    let bits = bits.saturating_sub(u64::from(block_len(len).ilog2()));
    // The weak sum has 32 of them.
    let bytes = (bits + 1 + 7).saturating_sub(32) / 8;
    bytes.clamp(SUM_BYTES.0, SUM_BYTES.1)
}

/// Finds what of `new` stands in blocks of `old`.
#[must_use]
pub fn delta(old: &[u8], new: &[u8]) -> Delta {
    let blocks = Blocks::of(old);
    let mut delta = Delta {
        sums: blocks.described(),
        words: HEAD_BYTES + WORD_BYTES + FILE_SUM_BYTES,
        ..Delta::default()
    };
    let mut literal_from = 0;
    let mut take = |delta: &mut Delta, at: usize, len: usize| {
        let literal = (at - literal_from) as u64;
        delta.literal += literal;
        delta.words += literal.div_ceil(LITERAL_MAX) * WORD_BYTES;
        delta.matches += u64::from(len > 0);
        delta.matched += len as u64;
        delta.words += if len > 0 { WORD_BYTES } else { 0 };
        literal_from = at + len;
    };
    let mut at = 0;
    let mut rolling = None;
    while at + blocks.len <= new.len() && !blocks.whole.is_empty() {
        let sum = rolling.take().unwrap_or_else(|| Weak::of(&new[at..at + blocks.len]));
        if blocks.has(sum.value(), &new[at..at + blocks.len]) {
            take(&mut delta, at, blocks.len);
            at += blocks.len;
        } else {
            let next = new.get(at + blocks.len);
            rolling = next.map(|next| sum.roll(new[at], *next, blocks.len));
            at += 1;
        }
    }
    // The old file's last block is shorter, and is found at the new file's end only.
    if let Some((len, strong)) = blocks.last
        && let Some(start) = new.len().checked_sub(len).filter(|start| *start >= at.min(new.len()))
        && Hash::of(Domain::Chunk, &new[start..]) == strong
    {
        take(&mut delta, start, len);
    }
    take(&mut delta, new.len(), 0);
    delta
}

/// The blocks of an old file, to be looked up by their weak sums.
struct Blocks {
    len: usize,
    count: u64,
    old_len: u64,
    /// Which values of the lower half of a weak sum occur at all: most offsets end here.
    tags: Vec<bool>,
    whole: HashMap<u32, Vec<Hash>, BuildHasherDefault<Plain>>,
    last: Option<(usize, Hash)>,
}

impl Blocks {
    fn of(old: &[u8]) -> Blocks {
        let len = block_len(old.len() as u64) as usize;
        let mut tags = vec![false; 1 << 16];
        let mut whole: HashMap<u32, Vec<Hash>, BuildHasherDefault<Plain>> = HashMap::default();
        let blocks = old.chunks_exact(len);
        let rest = blocks.remainder();
        for block in blocks {
            let weak = Weak::of(block).value();
            tags[usize::from(tag(weak))] = true;
            let strong = Hash::of(Domain::Chunk, block);
            let same = whole.entry(weak).or_default();
            if !same.contains(&strong) {
                same.push(strong);
            }
        }
        let last = (!rest.is_empty()).then(|| (rest.len(), Hash::of(Domain::Chunk, rest)));
        let old_len = old.len() as u64;
        Blocks { len, count: old_len.div_ceil(len as u64), old_len, tags, whole, last }
    }

    fn has(&self, weak: u32, bytes: &[u8]) -> bool {
        self.tags[usize::from(tag(weak))]
            && self.whole.get(&weak).is_some_and(|known| known.contains(&Hash::of(Domain::Chunk, bytes)))
    }

    fn described(&self) -> u64 {
        HEAD_BYTES + self.count * (4 + sum_len(self.old_len))
    }
}

/// Both halves of a weak sum in one: the lower alone is nearly the same for all text.
fn tag(weak: u32) -> u16 {
    (weak as u16).wrapping_add((weak >> 16) as u16)
}

/// The sum of a window's bytes, and the sum of those sums: both follow the window in constant time.
#[derive(Clone, Copy)]
struct Weak {
    a: u32,
    b: u32,
}

impl Weak {
    fn of(bytes: &[u8]) -> Weak {
        let (mut a, mut b) = (0u32, 0u32);
        for &byte in bytes {
            a = a.wrapping_add(signed(byte));
            b = b.wrapping_add(a);
        }
        Weak { a, b }
    }

    /// The sum of the window one byte further, which `out` leaves and `into` enters.
    fn roll(self, out: u8, into: u8, len: usize) -> Weak {
        let a = self.a.wrapping_sub(signed(out)).wrapping_add(signed(into));
        let b = self.b.wrapping_sub((len as u32).wrapping_mul(signed(out))).wrapping_add(a);
        Weak { a, b }
    }

    fn value(self) -> u32 {
        (self.a & 0xffff) | self.b << 16
    }
}

/// Bytes count as −128 to 127.
fn signed(byte: u8) -> u32 {
    i32::from(byte as i8) as u32
}

/// Weak sums are hashes already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
