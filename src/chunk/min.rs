//! Bytes → cuts where the hash of four bytes is least, by the `mincdc` crate's search.
//!
//! A chunk ends behind the four bytes, ending anywhere from `min` to `max`, whose hash is the least of all; of
//! equal ones, behind the first. The hash of four bytes, read as a little-endian number, is
//! `number × multiplier + addend`, modulo 2³². Nothing below `min - 4` is looked at. Chunk lengths of bytes
//! without a pattern are spread evenly from `min` to `max`, so their mean is the middle.
//!
//! Unlike a cut by a mask, this one exists in every range that is searched, so no chunk is cut by force where
//! nothing in the content says so, and lengths differ by a factor of three at most. In return two cutters that
//! start at different places must search much the same range before they agree. In a run of equal bytes the
//! first place is as good as every other: a hole becomes chunks of `min`.
//!
//! The crate's search takes 16 to 64 bytes a step by the instructions that the processor has; which ones must
//! not move a cut, and the tests hold it against one that takes a byte a step.
//!
//! A key draws the multiplier (odd) and the addend: 63 bits. As with gear, that hides where a known file is cut
//! from someone who only sees chunk lengths; it is no encryption.
//!
//! Source: the `mincdc` crate's documentation (O. Peters), as `MinCDCHash4`; its two constants unless keyed.

use mincdc::{Cdc, MinCdcHash4};

use super::{Cut, Params};

/// Bytes under the hash. Part of the format.
pub(super) const WINDOW_BYTES: usize = 4;
/// The multiplier without a key: the crate's.
pub(super) const MULTIPLIER: u32 = 0x915f_77f5;
/// The addend without a key: the crate's.
pub(super) const ADDEND: u32 = 0x3463_6463;

pub(super) struct Min {
    min: usize,
    max: usize,
    hash: MinCdcHash4,
}

impl Min {
    pub(super) fn new(params: &Params) -> Min {
        let sizes = params.sizes();
        let (multiplier, addend) = constants(params);
        Min {
            min: sizes.min as usize,
            max: sizes.max as usize,
            hash: MinCdcHash4::with_params(multiplier, addend),
        }
    }
}

/// Multiplier and addend: the published ones, or 63 bits of the key's digest.
pub(super) fn constants(params: &Params) -> (u32, u32) {
    params.derive(b"syncline v1 min constants").map_or((MULTIPLIER, ADDEND), |digest| {
        let bits = digest.prefix();
        (bits as u32 | 1, (bits >> 32) as u32)
    })
}

impl Cut for Min {
    fn cut(&self, bytes: &[u8]) -> usize {
        let end = bytes.len().min(self.max);
        if end <= self.min {
            return end;
        }
        let search_start = self.min - WINDOW_BYTES;
        search_start + self.hash.best_splitpoint(&bytes[search_start..end])
    }
}
