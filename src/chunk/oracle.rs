//! Slow, obvious chunkers to hold the fast ones against. Tests only.

use fastcdc::v2020::{get_gear_with_seed, select_masks};

use super::{Algorithm, Params, gear, min, rabin};

/// The lengths of all chunks of `bytes`.
pub(super) fn lengths(params: &Params, bytes: &[u8]) -> Vec<usize> {
    let sizes = params.sizes();
    let (shortest, avg, max) = (sizes.min as usize, sizes.avg as usize, sizes.max as usize);
    let seed = gear::seed(params);
    let polynomial = rabin::polynomial(params);
    let cut = |rest: &[u8]| {
        let end = rest.len().min(max);
        match params.algorithm() {
            Algorithm::Gear => gear_cut(seed, shortest, avg, &rest[..end]),
            Algorithm::Rabin => rabin_cut(polynomial, shortest, avg, &rest[..end]),
            Algorithm::Min => min_cut(min::constants(params), shortest, &rest[..end]),
            Algorithm::Fixed => end,
        }
    };
    let mut lengths = vec![];
    let mut start = 0;
    while start < bytes.len() || lengths.is_empty() {
        lengths.push(cut(&bytes[start..]));
        start += lengths[lengths.len() - 1];
    }
    lengths
}

/// FastCDC one byte at a time: hash the byte, then ask whether the chunk ends before it.
fn gear_cut(seed: u64, min: usize, avg: usize, bytes: &[u8]) -> usize {
    let (table, _) = get_gear_with_seed(seed);
    let (strict, loose) = select_masks(avg, gear::NORMALIZATION);
    // The crate tests bytes in pairs, and the odd last byte of a file has none.
    let tested_end = bytes.len() - bytes.len() % 2;
    let mut hash = 0u64;
    for position in min..tested_end {
        hash = (hash << 1).wrapping_add(table[usize::from(bytes[position])]);
        let mask = if position < avg { strict } else { loose };
        if hash & mask == 0 {
            return position;
        }
    }
    bytes.len()
}

/// Rabin with every window's polynomial written out and divided anew.
fn rabin_cut(polynomial: u64, min: usize, avg: usize, bytes: &[u8]) -> usize {
    let ones = (1u64 << rabin::mask_bits((avg - min) as u32)) - 1;
    (min..bytes.len())
        .find(|&position| {
            let window = &bytes[position - rabin::WINDOW_BYTES..position];
            polynomial_remainder(window, polynomial) & ones == ones
        })
        .unwrap_or(bytes.len())
}

/// Every window hashed on its own; the first of the least.
fn min_cut((multiplier, addend): (u32, u32), min: usize, bytes: &[u8]) -> usize {
    let hash = |end: &usize| {
        let number =
            bytes[end - min::WINDOW_BYTES..*end].iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte));
        (number * u64::from(multiplier) + u64::from(addend)) % (1 << 32)
    };
    (min..=bytes.len()).min_by_key(hash).unwrap_or(bytes.len())
}

/// Long division of `window`, high bit first, one bit a step.
fn polynomial_remainder(window: &[u8], divisor: u64) -> u64 {
    let mut value = 0u64;
    for bit in window.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
        value = value << 1 | u64::from(bit);
        if value >> rabin::DEGREE & 1 == 1 {
            value ^= divisor;
        }
    }
    value
}
