//! Bytes → cuts by a Rabin fingerprint of the last 64 bytes, modulo an irreducible polynomial of degree 53.
//!
//! Bytes are read as one polynomial over GF(2), high bit first; the fingerprint of a window is its remainder
//! modulo [`POLYNOMIAL`] (or the key's). A chunk ends behind a window whose fingerprint has ones in all of
//! its lowest `bits`, where 2^`bits` is the power of two nearest `avg - min`. Ones and not zeros, because the
//! fingerprint of a run of zeros is zero: a hole becomes few chunks of `max`, not many of `min`. The first
//! window tested ends at `min`, so no window looks behind the chunk it ends.
//!
//! Slower than gear, and its fingerprints are better understood: kept to be compared with.

use super::{Cut, Params};

/// Bytes under the rolling window.
pub(super) const WINDOW_BYTES: usize = 64;
/// Degree of every polynomial used here. It is prime, which makes [`is_irreducible`] short.
pub(super) const DEGREE: u32 = 53;
/// The polynomial used without a key: what [`polynomial_from`] gives for [`UNKEYED`].
pub(super) const POLYNOMIAL: u64 = 0x003d_3220_5399_da43;
/// What [`POLYNOMIAL`] is drawn from, so that nobody need wonder why it is this one.
#[cfg(test)]
pub(super) const UNKEYED: [u8; 32] = *b"syncline v1 unkeyed rabin chunks";

pub(super) struct Rabin {
    min: usize,
    max: usize,
    mask: u64,
    /// For the eight bits that a shift pushes past the degree: what clears them and adds their remainder.
    overflow: [u64; 256],
    /// For a byte that leaves the window: its remainder, 64 bytes up.
    leaving: [u64; 256],
}

impl Rabin {
    pub(super) fn new(params: &Params) -> Rabin {
        let sizes = params.sizes();
        let polynomial = polynomial(params);
        // Eight bits above the degree, less than 2⁶¹: one table entry clears them.
        let overflow: [u64; 256] = std::array::from_fn(|bits| {
            let value = (bits as u64) << DEGREE;
            value ^ remainder(value.into(), polynomial)
        });
        let leaving = std::array::from_fn(|byte| {
            (0..WINDOW_BYTES).fold(byte as u64, |value, _| remainder(u128::from(value) << 8, polynomial))
        });
        Rabin {
            min: sizes.min as usize,
            max: sizes.max as usize,
            mask: (1 << mask_bits(sizes.avg - sizes.min)) - 1,
            overflow,
            leaving,
        }
    }

    /// `value`, of at most 53 bits, with the byte behind it.
    #[inline]
    fn shift_in(&self, value: u64, byte: u8) -> u64 {
        (value << 8) ^ u64::from(byte) ^ self.overflow[(value >> (DEGREE - 8)) as usize]
    }
}

impl Cut for Rabin {
    fn cut(&self, bytes: &[u8]) -> usize {
        let end = bytes.len().min(self.max);
        if end <= self.min {
            return end;
        }
        let first = &bytes[self.min - WINDOW_BYTES..self.min];
        let mut value = first.iter().fold(0, |value, &byte| self.shift_in(value, byte));
        let leaving = &bytes[self.min - WINDOW_BYTES..end - WINDOW_BYTES];
        let entering = &bytes[self.min..end];
        for (position, (&old, &new)) in leaving.iter().zip(entering).enumerate() {
            if value & self.mask == self.mask {
                return self.min + position;
            }
            value = self.shift_in(value, new) ^ self.leaving[usize::from(old)];
        }
        end
    }
}

/// The exponent of the power of two nearest `distance` (as a ratio); 0 for a distance of 0.
pub(super) fn mask_bits(distance: u32) -> u32 {
    let Some(floor) = distance.checked_ilog2() else { return 0 };
    let square = u64::from(distance) * u64::from(distance);
    floor + u32::from(square >= 1 << (2 * floor + 1))
}

/// The polynomial that `params` cut by.
pub(super) fn polynomial(params: &Params) -> u64 {
    params.derive(b"syncline v1 rabin key").map_or(POLYNOMIAL, |key| polynomial_from(key.as_bytes()))
}

/// Draws an irreducible polynomial of degree 53 from BLAKE3's output stream under `key`.
///
/// One in 53 polynomials of this degree is irreducible (one in 27 of those with a constant term), and about
/// 2⁵³ / 53 ≈ 1.7 × 10¹⁴ exist.
pub(super) fn polynomial_from(key: &[u8; 32]) -> u64 {
    let mut stream = blake3::Hasher::new_keyed(key).update(b"syncline v1 rabin polynomial").finalize_xof();
    let mut word = [0; 8];
    loop {
        stream.fill(&mut word);
        let lower = u64::from_le_bytes(word) & ((1 << DEGREE) - 1);
        let candidate = 1 << DEGREE | lower | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
    }
}

/// Rabin's test (Rabin, "Probabilistic Algorithms in Finite Fields", 1980, lemma 1) for a prime degree n:
/// f is irreducible iff it has no root and divides x^(2ⁿ) − x.
pub(super) fn is_irreducible(polynomial: u64) -> bool {
    const X: u64 = 0b10;
    let has_root_0 = polynomial & 1 == 0;
    let has_root_1 = polynomial.count_ones().is_multiple_of(2);
    let power = || (0..polynomial.ilog2()).fold(X, |value, _| remainder(square(value), polynomial));
    !has_root_0 && !has_root_1 && power() == X
}

/// The remainder of `value` modulo `polynomial`, by long division.
pub(super) fn remainder(mut value: u128, polynomial: u64) -> u64 {
    let degree = polynomial.ilog2();
    while let Some(top) = value.checked_ilog2().filter(|&top| top >= degree) {
        value ^= u128::from(polynomial) << (top - degree);
    }
    value as u64
}

/// The square over GF(2): every bit moves to twice its place.
fn square(value: u64) -> u128 {
    (0..u64::BITS).filter(|bit| value >> bit & 1 == 1).fold(0, |square, bit| square | 1 << (2 * bit))
}
