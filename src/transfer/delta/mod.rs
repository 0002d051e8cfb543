//! Old bytes and new bytes → a recipe that makes the new from the old: what chunks are too coarse for.
//!
//! A missing chunk that stands where the receiver has older bytes is *refined* in three levels of ever smaller
//! pieces, cut by content, of which only short digests cross. The ends take turns: each describes at the next
//! level what the other's last description left unmatched.
//!
//! ```text
//! receiver (old bytes)                       sender (new bytes)
//!   level 0, about 5 KiB ──── digests ────▶  finds its pieces among them
//!   finds its pieces among them  ◀─ known, digests ── level 1, about 600 B, of what was not found
//!   level 2, about 90 B, of the rest ─ known, digests ─▶  finds its pieces among them
//!   builds the chunks  ◀──────── recipe, literals ──
//! ```
//!
//! Digests are short, and no cryptographic ones, because nothing rests on them: a chunk built from a recipe is checked against its hash, and
//! asked for whole if two pieces were taken for one another.
//!
//! Cost: 24 bytes of memory a piece; some 0.5 GB/s a core at each end for what is refined.

pub mod recipe;
pub mod scope;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::Bounded;

/// Levels of refinement.
pub const LEVELS: usize = 3;
/// New bytes that are refined together at most.
pub const NEW_BYTES_MAX: u64 = 4 << 20;
/// Old bytes that they are compared with at most.
pub const OLD_BYTES_MAX: u64 = 8 << 20;
/// Fewer new bytes than this are not worth it.
pub const NEW_BYTES_MIN: u64 = 256;
/// Bytes of the digests of one message at most.
pub const DIGEST_BYTES_MAX: usize = 768 << 10;

/// How pieces of one level are cut: after bytes whose rolling hash begins with so many zeros.
struct Shape {
    min: usize,
    max: usize,
    zeros: u32,
}

const SHAPES: [Shape; LEVELS] = [
    Shape { min: 1024, max: 32 << 10, zeros: 12 },
    Shape { min: 128, max: 4 << 10, zeros: 9 },
    Shape { min: 24, max: 512, zeros: 6 },
];

/// Bytes that the rolling hash looks at: each shifts by four bits out of 64.
const WINDOW: usize = 16;

const GEAR: [u64; 256] = gear();

/// 256 numbers without pattern (splitmix64).
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state = 0_u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// Length of the first piece of `bytes`.
fn cut(shape: &Shape, bytes: &[u8]) -> usize {
    if bytes.len() <= shape.min {
        return bytes.len();
    }
    let roll = |hash: u64, byte: &u8| (hash << 4).wrapping_add(GEAR[usize::from(*byte)]);
    let mut hash = bytes[shape.min - WINDOW..shape.min].iter().fold(0, roll);
    let end = bytes.len().min(shape.max);
    for (at, byte) in bytes[..end].iter().enumerate().skip(shape.min) {
        hash = roll(hash, byte);
        if hash >> (64 - shape.zeros) == 0 {
            return at + 1;
        }
    }
    end
}

/// A run of bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub at: u64,
    /// Its length.
    pub len: u32,
}

/// A run of bytes with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub span: Span,
    /// Their XXH3, of 64 bits.
    digest: u64,
}

/// Cuts `bytes`, which begin at `at` in their file, into pieces.
fn cut_all(level: usize, at: u64, bytes: &[u8], pieces: &mut Vec<Piece>) {
    let mut start = 0;
    while start < bytes.len() {
        let len = cut(&SHAPES[level], &bytes[start..]);
        let digest = xxh3_64(&bytes[start..start + len]);
        pieces.push(Piece { span: Span { at: at + start as u64, len: len as u32 }, digest });
        start += len;
    }
}

/// As many pieces as `len` bytes can have at a level at most, what was left at each level cut into the next.
#[must_use]
pub fn pieces_max(level: usize, len: u64) -> u64 {
    SHAPES.iter().take(level + 1).map(|shape| len / shape.min as u64 + 1).sum()
}

/// Digests of pieces as they cross, in order: each cut to as few bytes as tell pieces of so many apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    width: u8,
    bytes: Bounded<u8, DIGEST_BYTES_MAX>,
}

impl Digests {
    /// Of these pieces. One pair in 4,000 sets of pieces is taken for equal and is not.
    #[must_use]
    pub fn of(pieces: &[Piece]) -> Digests {
        let width = match pieces.len() {
            0..=64 => 3,
            65..=1024 => 4,
            1025..=16_384 => 5,
            _ => 6,
        };
        let mut bytes = Vec::with_capacity(pieces.len() * width);
        for piece in pieces {
            bytes.extend_from_slice(&piece.digest.to_le_bytes()[..width]);
        }
        // Scopes are bounded so that they fit; what does not is not told, and so not found.
        bytes.truncate(DIGEST_BYTES_MAX / width * width);
        Digests { width: width as u8, bytes: Bounded::new(bytes).unwrap_or_default() }
    }

    /// Whether this is a list of digests at all.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=8).contains(&self.width) && self.bytes.len().is_multiple_of(usize::from(self.width))
    }

    /// The bytes they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / usize::from(self.width.max(1))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shorten(&self, digest: u64) -> u64 {
        let unused = 64 - 8 * u32::from(self.width.clamp(1, 8));
        digest << unused >> unused
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.bytes.chunks_exact(usize::from(self.width.clamp(1, 8))).map(|digest| {
            let mut whole = [0; 8];
            whole[..digest.len()].copy_from_slice(digest);
            u64::from_le_bytes(whole)
        })
    }

    /// For each of `pieces`, the number of the digest here that is its own.
    #[must_use]
    pub fn positions(&self, pieces: &[Piece]) -> Vec<Option<u32>> {
        let mut places = HashMap::with_capacity(self.len());
        for (at, digest) in self.iter().enumerate() {
            places.entry(digest).or_insert(at as u32);
        }
        // Where a piece stands more than once, runs of neighbours are told in fewer bytes.
        let digests: Vec<u64> = self.iter().collect();
        let mut expected = 0_usize;
        let position = |piece: &Piece| {
            let digest = self.shorten(piece.digest);
            let next = digests.get(expected).filter(|next| **next == digest).map(|_| expected as u32);
            let found = next.or_else(|| places.get(&digest).copied());
            expected = found.map_or(expected, |found| found as usize + 1);
            found
        };
        pieces.iter().map(position).collect()
    }

    /// For each digest here, the one of `pieces` that has it.
    #[must_use]
    pub fn places(&self, pieces: &[Piece]) -> Vec<Option<Span>> {
        let mut places = HashMap::with_capacity(pieces.len());
        for piece in pieces {
            places.entry(self.shorten(piece.digest)).or_insert(piece.span);
        }
        self.iter().map(|digest| places.get(&digest).copied()).collect()
    }
}

/// Yes or no for each of a list, eight to a byte, the first lowest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits(Bounded<u8, { DIGEST_BYTES_MAX / 8 }>);

impl Bits {
    /// Of these.
    #[must_use]
    pub fn of(list: impl Iterator<Item = bool>) -> Bits {
        let mut bytes = Vec::new();
        for (at, bit) in list.enumerate() {
            if at % 8 == 0 {
                bytes.push(0);
            }
            bytes[at / 8] |= u8::from(bit) << (at % 8);
        }
        Bits(Bounded::new(bytes).unwrap_or_default())
    }

    /// The one at `at`; no, beyond the end.
    #[must_use]
    pub fn get(&self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    /// Whether there are as many bytes as so many bits need.
    #[must_use]
    pub fn fits(&self, count: usize) -> bool {
        self.0.len() == count.div_ceil(8)
    }

    /// How many are yes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

/// What one end finds out in its turn: work for a thread that can read the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which pieces are compared.
    pub level: usize,
    /// The bytes they are cut from.
    pub spans: Vec<Span>,
    /// What the other end has; nothing yet on the first turn.
    pub theirs: Option<Digests>,
}

/// What a [`Turn`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// Those of the next level, in the pieces that the other end has not.
    pub below: Vec<Piece>,
}

impl Turn {
    /// Reads and cuts. `read` fills a buffer from a place in the file.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn run(&self, mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>) -> io::Result<Turned> {
        let theirs: Option<HashSet<u64>> = self.theirs.as_ref().map(|theirs| theirs.iter().collect());
        let mut turned = Turned::default();
        let mut buffer = Vec::new();
        for span in &self.spans {
            buffer.resize(span.len as usize, 0);
            read(&mut buffer, span.at)?;
            let first = turned.pieces.len();
            cut_all(self.level, span.at, &buffer, &mut turned.pieces);
            let (Some(set), Some(digests)) = (&theirs, &self.theirs) else { continue };
            if self.level + 1 == LEVELS {
                continue;
            }
            let new = turned.pieces[first..].iter();
            let unknown = new.filter(|piece| !set.contains(&digests.shorten(piece.digest)));
            for rest in merge(unknown.map(|piece| piece.span)) {
                let start = (rest.at - span.at) as usize;
                let bytes = &buffer[start..start + rest.len as usize];
                cut_all(self.level + 1, rest.at, bytes, &mut turned.below);
            }
        }
        Ok(turned)
    }
}

/// Joins spans that follow one another.
pub fn merge(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.at + u64::from(last.len) == span.at => last.len += span.len,
            _ => merged.push(span),
        }
    }
    merged
}
