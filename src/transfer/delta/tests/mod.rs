//! Pieces, digests, scopes and recipes, each beside a slow and obvious way to the same.

mod cutting;
mod recipes;
mod scopes;

use std::io;

use super::Span;
use crate::bench::pair::Rng;

/// Reads from memory, as a file would be read.
fn reader(bytes: &[u8]) -> impl FnMut(&mut [u8], u64) -> io::Result<()> + '_ {
    |buffer, at| {
        let part = bytes.get(at as usize..at as usize + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The bytes of a span.
fn bytes_of(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.at as usize..span.at as usize + span.len as usize]
}

/// Bytes of many kinds: random, all zeros, of few values, periodic, text.
fn some_bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    match rng.below(6) {
        0 => vec![0; len],
        1 => rng.bytes(len).into_iter().map(|byte| byte & 1).collect(),
        2 => {
            let period = rng.below(3000) as usize + 1;
            let few = rng.bytes(period);
            few.into_iter().cycle().take(len).collect()
        }
        3 => (0..).flat_map(|n: u64| format!("line {} of a text\n", n % 97).into_bytes()).take(len).collect(),
        _ => rng.bytes(len),
    }
}

/// New bytes from old: a few edits of every kind.
fn edited(rng: &mut Rng, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..rng.below(5) {
        let at = rng.below(new.len() as u64 + 1) as usize;
        let end = at + rng.below((new.len() - at) as u64 + 1).min(5000) as usize;
        let len = rng.below(700) as usize;
        match rng.below(7) {
            0 => drop(new.splice(at..at, rng.bytes(len))),
            1 => drop(new.drain(at..end)),
            2 => drop(new.splice(at..end, rng.bytes(end - at))),
            3 => {
                let moved: Vec<u8> = new.drain(at..end).collect();
                let to = rng.below(new.len() as u64 + 1) as usize;
                drop(new.splice(to..to, moved));
            }
            4 => {
                let repeated = new[at..end].to_vec();
                for _ in 0..rng.below(4) {
                    drop(new.splice(at..at, repeated.iter().copied()));
                }
            }
            5 => drop(new.splice(at..end, std::iter::repeat_n(0, len))),
            _ => drop(new.splice(at..at, std::iter::once(b'!'))),
        }
    }
    new
}
