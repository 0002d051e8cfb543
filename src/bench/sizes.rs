//! A stream and chunkers → how long their chunks are, and how fast they cut.
//!
//! The stream is read once, in windows; each chunker cuts and hashes every window as it passes, so a file of any
//! length takes the memory of a window and of one number a chunk length.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::chunk::{ChunkRef, Chunker, Splitter};

/// Bytes that are read, cut and hashed at a time.
const WINDOW_BYTES: usize = 4 << 20;

/// How long the chunks of a file are. Exact, whatever the number of chunks: there are few lengths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    counts: BTreeMap<u32, u64>,
    count: u64,
    bytes: u64,
}

impl Lengths {
    /// Counts a chunk.
    pub fn add(&mut self, len: u32) {
        *self.counts.entry(len).or_default() += 1;
        self.count += 1;
        self.bytes += u64::from(len);
    }

    /// How many chunks there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean length in bytes.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.bytes as f64 / self.count.max(1) as f64
    }

    /// The shortest chunk, in bytes; 0 if there is none.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.counts.keys().next().copied().unwrap_or(0)
    }

    /// The longest chunk, in bytes.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.counts.keys().next_back().copied().unwrap_or(0)
    }

    /// The length that `percent` of a hundred chunks do not exceed (nearest rank).
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u32 {
        let rank = (self.count * percent.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        for (len, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return *len;
            }
        }
        self.max()
    }

    /// How many chunks have a length in each of `buckets` equal parts of 1 to [`max`](Self::max) bytes.
    #[must_use]
    pub fn histogram(&self, buckets: usize) -> Vec<u64> {
        let mut histogram = vec![0; buckets.max(1)];
        let max = u64::from(self.max()).max(1);
        for (len, count) in &self.counts {
            let at = (u64::from(*len).saturating_sub(1) * histogram.len() as u64 / max) as usize;
            histogram[at] += count;
        }
        histogram
    }
}

/// What a chunker made of a stream.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How long the chunks are.
    pub lengths: Lengths,
    /// Time to find the cuts alone.
    pub cut_time: Duration,
    /// Time to hash the chunks alone.
    pub hash_time: Duration,
    /// Time to do both in one pass.
    pub both_time: Duration,
}

/// Cuts what `reader` has by each of `chunkers`; gives its length in bytes, and what each made of it.
///
/// # Errors
/// The first error of the reader other than [`io::ErrorKind::Interrupted`].
pub fn measure(chunkers: &[Chunker], mut reader: impl Read) -> io::Result<(u64, Vec<Measured>)> {
    let mut measured = vec![Measured::default(); chunkers.len()];
    let mut splitters: Vec<[Splitter; 2]> = chunkers
        .iter()
        .map(|chunker| [Splitter::new(chunker.clone()), Splitter::new(chunker.clone())])
        .collect();
    let mut window = vec![0; WINDOW_BYTES];
    let mut bytes = 0;
    loop {
        let len = fill(&mut reader, &mut window)?;
        let window = &window[..len];
        bytes += len as u64;
        for (measured, [cutting, hashing]) in measured.iter_mut().zip(&mut splitters) {
            pass(measured, cutting, hashing, window);
        }
        if len == 0 {
            return Ok((bytes, measured));
        }
    }
}

/// One window, or with no bytes the end. Hashing alone is what both take less what cutting takes.
fn pass(measured: &mut Measured, cutting: &mut Splitter, hashing: &mut Splitter, window: &[u8]) {
    let mut none = |_: &[u8]| {};
    let mut count = |chunk: &[u8]| {
        std::hint::black_box(ChunkRef::of(chunk));
        measured.lengths.add(chunk.len() as u32);
    };
    let (cut, both) = if window.is_empty() {
        (timed(|| cutting.finish(&mut none)), timed(|| hashing.finish(&mut count)))
    } else {
        (timed(|| cutting.push(window, &mut none)), timed(|| hashing.push(window, &mut count)))
    };
    measured.cut_time += cut;
    measured.both_time += both;
    measured.hash_time += both.saturating_sub(cut);
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long cutting takes is what is measured, and decides nothing"
)]
fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::text;
    use crate::chunk::Params;

    #[test]
    fn a_stream_has_the_chunks_of_the_file_it_is_of() {
        let bytes = text(3, 9 << 20);
        let chunkers = [Chunker::new(&Params::default()), Chunker::new(&Params::fixed(4096).unwrap())];
        let (len, measured) = measure(&chunkers, &bytes[..]).unwrap();
        assert_eq!(len, bytes.len() as u64);
        for (chunker, measured) in chunkers.iter().zip(&measured) {
            let mut lengths = Lengths::default();
            chunker.split(&bytes).for_each(|chunk| lengths.add(chunk.len() as u32));
            assert_eq!(measured.lengths, lengths);
        }
    }

    #[test]
    fn percentiles_are_lengths_that_occur() {
        let mut lengths = Lengths::default();
        (1..=100).for_each(|len| lengths.add(len));
        let at = [0, 1, 50, 99, 100].map(|percent| lengths.percentile(percent));
        assert_eq!((at, lengths.min(), lengths.max()), ([1, 1, 50, 99, 100], 1, 100));
        assert_eq!((lengths.mean(), lengths.histogram(4)), (50.5, vec![25; 4]));
        assert_eq!(Lengths::default().percentile(50), 0);
    }

    #[test]
    fn an_empty_stream_is_one_empty_chunk() {
        let (len, measured) = measure(&[Chunker::new(&Params::default())], &b""[..]).unwrap();
        assert_eq!((len, measured[0].lengths.count(), measured[0].lengths.max()), (0, 1, 0));
    }
}
