//! A seed → bytes like those of a log, and edits of any bytes. The same seed gives the same everywhere.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::pair::Rng;

/// The line that [`text`] repeats, and [`Edit::SameLine`] changes there.
const MARK: &[u8] = b"== checkpoint written by syncline 0.1.0\n";
/// A [`MARK`] stands after so many lines.
const MARK_EVERY: u64 = 400;
/// Bytes of one small edit of [`Edit::Scattered`].
const SMALL: usize = 64;
/// Bytes that [`Edit::SameLine`] looks at to find what repeats itself.
const LOOK_BYTES: usize = 4 << 20;
/// A pattern that is no line is changed at most once in so many bytes.
const PATTERN_APART: usize = 4096;

/// Lines as in a log, `len` bytes of them; one line stands again and again.
#[must_use]
pub fn text(seed: u64, len: usize) -> Vec<u8> {
    use std::io::Write;
    let mut rng = Rng(seed);
    let verbs = ["opened", "closed", "wrote", "renamed", "verified"];
    let mut bytes = Vec::with_capacity(len + 128);
    let mut line = 0u64;
    while bytes.len() < len {
        line += 1;
        if line.is_multiple_of(MARK_EVERY) {
            bytes.extend_from_slice(MARK);
        }
        let (a, b) = (rng.next(), rng.next());
        let verb = verbs[(a % 5) as usize];
        // Writing into memory cannot fail.
        let _ = writeln!(bytes, "{line:08} {verb} /srv/data/{a:016x}.dat by {b:012x}", b = b >> 16);
    }
    bytes.truncate(len);
    bytes
}

/// A change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edit {
    /// None.
    Nothing,
    /// One byte in front of everything.
    InsertByteFront,
    /// One byte in the middle.
    InsertByteMiddle,
    /// One byte at the end.
    InsertByteEnd,
    /// 4 KiB after the first third.
    Insert4K,
    /// New bytes in front, a sixty-fourth of the file, an odd number.
    InsertRun,
    /// The first byte is gone.
    DeleteByte,
    /// 4 KiB in the middle are others.
    Overwrite,
    /// 64 KiB more at the end.
    Append,
    /// The second half comes first.
    SwapHalves,
    /// One byte in a hundred, in runs of 64 bytes here and there.
    Scattered,
    /// A line is another one wherever it stands; in bytes without such a line, a pattern that repeats itself.
    SameLine,
}

impl Edit {
    /// All of them, in the order of reports.
    pub const ALL: [Edit; 12] = [
        Edit::Nothing,
        Edit::InsertByteFront,
        Edit::InsertByteMiddle,
        Edit::InsertByteEnd,
        Edit::DeleteByte,
        Edit::Insert4K,
        Edit::InsertRun,
        Edit::Overwrite,
        Edit::Append,
        Edit::SwapHalves,
        Edit::Scattered,
        Edit::SameLine,
    ];

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Edit::Nothing => "nothing",
            Edit::InsertByteFront => "insert 1 byte, front",
            Edit::InsertByteMiddle => "insert 1 byte, middle",
            Edit::InsertByteEnd => "insert 1 byte, end",
            Edit::Insert4K => "insert 4 KiB",
            Edit::InsertRun => "insert 1/64, front",
            Edit::DeleteByte => "delete 1 byte, front",
            Edit::Overwrite => "overwrite 4 KiB",
            Edit::Append => "append 64 KiB",
            Edit::SwapHalves => "swap halves",
            Edit::Scattered => "scattered 1 %",
            Edit::SameLine => "one line everywhere",
        }
    }

    /// For programs.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Edit::Nothing => "nothing",
            Edit::InsertByteFront => "insert_byte_front",
            Edit::InsertByteMiddle => "insert_byte_middle",
            Edit::InsertByteEnd => "insert_byte_end",
            Edit::Insert4K => "insert_4k",
            Edit::InsertRun => "insert_run",
            Edit::DeleteByte => "delete_byte",
            Edit::Overwrite => "overwrite_4k",
            Edit::Append => "append_64k",
            Edit::SwapHalves => "swap_halves",
            Edit::Scattered => "scattered",
            Edit::SameLine => "same_line",
        }
    }

    /// The edited bytes. Where `old` is too short for an edit, as much of it as there is room for is made.
    #[must_use]
    pub fn apply(self, old: &[u8], seed: u64) -> Vec<u8> {
        let mut rng = Rng(seed ^ 0x5eed_0fed);
        let third = old.len() / 3;
        let middle = old.len() / 2;
        match self {
            Edit::Nothing => old.to_vec(),
            Edit::InsertByteFront => replaced(old, 0, 0, b"!"),
            Edit::InsertByteMiddle => replaced(old, middle, 0, b"!"),
            Edit::InsertByteEnd => replaced(old, old.len(), 0, b"!"),
            Edit::Insert4K => replaced(old, third, 0, &rng.bytes(4096)),
            Edit::InsertRun => replaced(old, 0, 0, &rng.bytes((old.len() / 64) | 1)),
            Edit::DeleteByte => old.get(1..).unwrap_or_default().to_vec(),
            Edit::Overwrite => {
                let len = 4096.min(old.len() - middle);
                replaced(old, middle, len, &rng.bytes(len))
            }
            Edit::Append => replaced(old, old.len(), 0, &rng.bytes(64 << 10)),
            Edit::SwapHalves => {
                // Where no block of any size ends.
                let (first, second) = old.split_at((middle | 1).min(old.len()));
                [second, first].concat()
            }
            Edit::Scattered => scattered(old, &mut rng),
            Edit::SameLine => same_line(old),
        }
    }
}

/// `old` with the `len` bytes at `at` replaced by `new`.
fn replaced(old: &[u8], at: usize, len: usize, new: &[u8]) -> Vec<u8> {
    [&old[..at], new, &old[at + len..]].concat()
}

fn scattered(old: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut new = old.to_vec();
    let edits = (old.len() / 100).div_ceil(SMALL);
    for _ in 0..edits {
        let at = rng.below((new.len() - SMALL.min(new.len())) as u64 + 1) as usize;
        let len = SMALL.min(new.len() - at);
        let bytes = rng.bytes(len);
        new[at..at + len].copy_from_slice(&bytes);
    }
    new
}

/// Changes what repeats itself: [`text`]'s mark, else the line that is there most often, else a pattern.
fn same_line(old: &[u8]) -> Vec<u8> {
    if let Some(line) = repeated_line(old) {
        let mut changed = b"(changed) ".to_vec();
        changed.extend_from_slice(line);
        return old
            .split_inclusive(|byte| *byte == b'\n')
            .flat_map(|found| if found == line { &changed[..] } else { found })
            .copied()
            .collect();
    }
    let Some(pattern) = repeated_pattern(old) else { return old.to_vec() };
    let mut new = old.to_vec();
    let mut at = 0;
    while at + pattern.len() <= new.len() {
        if new[at..at + pattern.len()] == pattern {
            new[at..at + pattern.len()].iter_mut().for_each(|byte| *byte ^= 0x55);
            at += PATTERN_APART;
        } else {
            at += 1;
        }
    }
    new
}

/// A line of some length that stands in `bytes` at least twice.
fn repeated_line(bytes: &[u8]) -> Option<&[u8]> {
    let look = &bytes[..bytes.len().min(LOOK_BYTES)];
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for line in look.split_inclusive(|byte| *byte == b'\n').filter(|line| (8..=400).contains(&line.len())) {
        *counts.entry(line).or_default() += 1;
    }
    // Of equally frequent ones the first in order, so that the answer does not depend on the table.
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .max_by_key(|(line, count)| (*count, std::cmp::Reverse(*line)))
        .map(|(line, _)| line)
}

/// Four bytes that stand in `bytes` often.
fn repeated_pattern(bytes: &[u8]) -> Option<[u8; 4]> {
    let look = &bytes[..bytes.len().min(LOOK_BYTES)];
    let mut counts: HashMap<[u8; 4], u64> = HashMap::new();
    for word in look.chunks_exact(4) {
        if let Ok(word) = <[u8; 4]>::try_from(word) {
            *counts.entry(word).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(word, count)| (*count, std::cmp::Reverse(*word))).map(|(word, _)| word)
}
