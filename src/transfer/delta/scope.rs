//! Missing chunks of a file, and the chunks it had → which new bytes to compare with which old ones.

use std::collections::HashMap;
use std::ops::Range;

use super::{NEW_BYTES_MAX, NEW_BYTES_MIN, OLD_BYTES_MAX, Span};
use crate::chunk::ChunkRef;

/// Old bytes beyond twice as many as there are new ones that are looked at beside a neighbour that both have.
const NEAR: u64 = 64 << 10;
/// Old bytes beyond where they are expected that are looked at too, where no neighbour says where they are.
const SLACK: u64 = 1 << 20;

/// Missing chunks that are refined together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The first, by position in the file's list.
    pub first: u64,
    /// Where it begins.
    pub offset: u64,
    /// What they are.
    pub chunks: Vec<ChunkRef>,
    /// Their length.
    pub len: u64,
    /// The old bytes.
    pub old: Span,
    /// It is a whole file whose chunks are not known; the one in the list stands for all, and has the hash of the
    /// root.
    pub whole: bool,
}

/// Takes from `missing` (positions in `list`, ascending) what is worth comparing with the file that was made of
/// `old`: between the neighbours that both have, or else about where the same share of the file was.
#[must_use]
pub fn scopes(list: &[ChunkRef], missing: &mut Vec<u64>, old: &[ChunkRef]) -> Vec<Scope> {
    let starts = |list: &[ChunkRef]| {
        let mut starts = vec![0_u64];
        starts.extend(list.iter().scan(0, |end, chunk| {
            *end += u64::from(chunk.len);
            Some(*end)
        }));
        starts
    };
    let (new_at, old_at) = (starts(list), starts(old));
    let places: HashMap<u64, usize> =
        old.iter().enumerate().map(|(at, chunk)| (chunk.hash.prefix(), at)).collect();
    let place = |at: usize| list.get(at).and_then(|chunk| places.get(&chunk.hash.prefix())).copied();
    let old_len = old_at[old.len()];
    let mut scopes = Vec::new();
    let mut rest = Vec::new();
    for run in runs(missing) {
        let len = new_at[run.end] - new_at[run.start];
        let before = run.start.checked_sub(1).and_then(place).map(|at| old_at[at + 1]);
        let after = place(run.end).map(|at| old_at[at]);
        let near = 2 * len + NEAR;
        let bytes = match (before, after) {
            (Some(start), Some(end)) if start <= end => start..end.min(start + near),
            (Some(start), _) => start..start + near,
            (None, Some(end)) => end.saturating_sub(near)..end,
            (None, None) => 0..old_len,
        };
        for part in parts(&run, &new_at) {
            let share = new_at[part.start] - new_at[run.start]..new_at[part.end] - new_at[run.start];
            let old = window(bytes.start..bytes.end.min(old_len), len, &share);
            if share.end - share.start < NEW_BYTES_MIN || old.end - old.start < NEW_BYTES_MIN {
                rest.extend((part.start..part.end).map(|at| at as u64));
                continue;
            }
            scopes.push(Scope {
                first: part.start as u64,
                offset: new_at[part.start],
                chunks: list[part].to_vec(),
                len: share.end - share.start,
                old: Span { at: old.start, len: (old.end - old.start) as u32 },
                whole: false,
            });
        }
    }
    *missing = rest;
    scopes
}

/// Positions that follow one another.
fn runs(positions: &[u64]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in positions.iter().map(|at| *at as usize) {
        match runs.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// A run in parts that are not too long.
fn parts(run: &Range<usize>, starts: &[u64]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut first = run.start;
    for at in run.clone() {
        if starts[at + 1] - starts[first] > NEW_BYTES_MAX && at > first {
            parts.push(first..at);
            first = at;
        }
    }
    parts.push(first..run.end);
    parts
}

/// The part of `old` that corresponds to `share` of `len` new bytes, with some slack, and not too long.
fn window(old: Range<u64>, len: u64, share: &Range<u64>) -> Range<u64> {
    let old_len = old.end.saturating_sub(old.start);
    if old_len <= OLD_BYTES_MAX / 4 || (old_len <= OLD_BYTES_MAX && share.end - share.start == len) {
        return old.start..old.start + old_len;
    }
    let scale = |at: u64| (u128::from(at) * u128::from(old_len) / u128::from(len.max(1))) as u64;
    let start = scale(share.start).saturating_sub(SLACK);
    let end = (scale(share.end) + SLACK).min(old_len).min(start + OLD_BYTES_MAX);
    old.start + start..old.start + end
}
