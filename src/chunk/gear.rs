//! Bytes → FastCDC cuts (version of 2020, normalisation level 1), by the `fastcdc` crate's scan loop.
//!
//! The gear hash of a position is `hash = (hash << 1) + table[byte]`: a byte's influence leaves the 64 bits
//! after 64 steps, and the masks look at bits that hold about the last 48. A chunk ends *before* the byte
//! whose hash has zeros under the mask: the strict mask up to `avg`, the loose one behind it, which draws
//! lengths towards `avg`. Nothing below `min` is hashed at all.
//!
//! A key changes the table by exclusive or with a seed of 64 bits, as the crate does. That hides where a
//! known file is cut from someone who only sees chunk lengths; it is no encryption.

use std::borrow::Cow;

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};

use super::{Cut, Params};

/// Part of the format: another level cuts elsewhere.
pub(super) const NORMALIZATION: Normalization = Normalization::Level1;

pub(super) struct Gear {
    min: usize,
    avg: usize,
    max: usize,
    mask_strict: u64,
    mask_loose: u64,
    table: Cow<'static, [u64]>,
    /// `table`, each entry shifted left by one: the scan takes two bytes a step.
    table_shifted: Cow<'static, [u64]>,
}

impl Gear {
    pub(super) fn new(params: &Params) -> Gear {
        let sizes = params.sizes();
        let (mask_strict, mask_loose) = select_masks(sizes.avg as usize, NORMALIZATION);
        let (table, table_shifted) = get_gear_with_seed(seed(params));
        Gear {
            min: sizes.min as usize,
            avg: sizes.avg as usize,
            max: sizes.max as usize,
            mask_strict,
            mask_loose,
            table,
            table_shifted,
        }
    }
}

/// The seed of the gear table: 0, which leaves the table as published, or 64 bits of the key's digest.
pub(super) fn seed(params: &Params) -> u64 {
    params.derive(b"syncline v1 gear seed").map_or(0, |digest| digest.prefix())
}

impl Cut for Gear {
    fn cut(&self, bytes: &[u8]) -> usize {
        let (_, len) = cut_gear(
            bytes,
            self.min,
            self.avg,
            self.max,
            self.mask_strict,
            self.mask_loose,
            self.mask_strict << 1,
            self.mask_loose << 1,
            &self.table,
            &self.table_shifted,
        );
        len
    }
}
