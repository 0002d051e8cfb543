//! One large file → its chunks, on several threads.
//!
//! Content-defined cuts depend on where the chunk before ended, but not for long: two cutters that start at
//! different places soon cut at the same one, and from there on alike. So the file is cut in segments, each from
//! its own start to past its end, and the lists are joined: where a list ends inside the next segment, that one's
//! chunks are cut anew until a cut is one of its own, and the rest is taken as it is. The result is what one
//! thread would get (Ni and others, "SS-CDC", SYSTOR 2019, and desync's parallel chunking join likewise).
//!
//! Cost: each byte is read, cut and hashed once, and at each joint a few chunks twice. Memory: one buffer a
//! thread and 36 bytes a chunk.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::chunk::{ChunkRef, Chunker};
use crate::fs::File;
use crate::hash::Hash;
use crate::tree;

/// Files at least this long are hashed so.
pub(crate) const PARALLEL_BYTES: u64 = 64 << 20;
/// Bytes of one segment: hundreds of chunks, so that a joint is cheap.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// A cutter over a file, with a buffer.
struct Cutter<'a> {
    file: &'a dyn File,
    size: u64,
    chunker: &'a Chunker,
    buffer: Vec<u8>,
    /// What of the file the buffer holds: from this offset, so many bytes.
    held: (u64, usize),
}

impl<'a> Cutter<'a> {
    fn new(file: &'a dyn File, size: u64, chunker: &'a Chunker) -> Cutter<'a> {
        let buffer = vec![0; READ_BYTES + chunker.max()];
        Cutter { file, size, chunker, buffer, held: (0, 0) }
    }

    /// The chunk that starts at `offset`; `None` at the end of the file, or if it has become shorter.
    fn chunk(&mut self, offset: u64) -> io::Result<Option<ChunkRef>> {
        let (start, len) = self.held;
        let wanted = (self.size - offset).min(self.chunker.max() as u64);
        if offset < start || offset + wanted > start + len as u64 {
            let wanted = (self.size - offset).min(self.buffer.len() as u64) as usize;
            let read = self.file.read_full_at(&mut self.buffer[..wanted], offset)?;
            self.held = (offset, read);
        }
        let (start, len) = self.held;
        let bytes = &self.buffer[(offset - start) as usize..len];
        let cut = self.chunker.cut(bytes);
        Ok((cut > 0).then(|| ChunkRef::of(&bytes[..cut])))
    }

    /// The chunks from `start` to the first cut at or after `end`.
    fn chunks(&mut self, start: u64, end: u64) -> io::Result<Vec<ChunkRef>> {
        let (mut chunks, mut offset) = (Vec::new(), start);
        while offset < end
            && let Some(chunk) = self.chunk(offset)?
        {
            offset += u64::from(chunk.len);
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}

/// Hashes the first `size` bytes of a file on `threads` threads: root, chunks, and how many bytes they are.
pub(crate) fn hash_parallel(
    file: &dyn File,
    size: u64,
    chunker: &Chunker,
    threads: usize,
    advance: &(dyn Fn(u64) + Sync),
) -> io::Result<(Hash, Vec<ChunkRef>, u64)> {
    hash_segments(file, size, chunker, threads, SEGMENT_BYTES, advance)
}

fn hash_segments(
    file: &dyn File,
    size: u64,
    chunker: &Chunker,
    threads: usize,
    segment_bytes: u64,
    advance: &(dyn Fn(u64) + Sync),
) -> io::Result<(Hash, Vec<ChunkRef>, u64)> {
    let count = size.div_ceil(segment_bytes) as usize;
    let next = AtomicUsize::new(0);
    let segments: Vec<Mutex<io::Result<Vec<ChunkRef>>>> =
        (0..count).map(|_| Mutex::new(Ok(Vec::new()))).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                let mut cutter = Cutter::new(file, size, chunker);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(segment) = segments.get(at) else { return };
                    let start = at as u64 * segment_bytes;
                    let chunks = cutter.chunks(start, (start + segment_bytes).min(size));
                    *segment.lock().unwrap_or_else(PoisonError::into_inner) = chunks;
                    advance(segment_bytes.min(size - start));
                }
            });
        }
    });
    let mut joined: Vec<ChunkRef> = Vec::new();
    let mut end = 0_u64;
    let mut cutter = Cutter::new(file, size, chunker);
    for (at, segment) in segments.into_iter().enumerate() {
        let chunks = segment.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        let segment_end = ((at as u64 + 1) * segment_bytes).min(size);
        let mut offset = at as u64 * segment_bytes;
        let mut rest = chunks.iter();
        // Both lists advance until they cut at the same place.
        while end != offset && end < segment_end {
            if offset < end {
                match rest.next() {
                    Some(chunk) => offset += u64::from(chunk.len),
                    None => break,
                }
            } else if let Some(chunk) = cutter.chunk(end)? {
                end += u64::from(chunk.len);
                joined.push(chunk);
            } else {
                break;
            }
        }
        if end == offset {
            for chunk in rest {
                end += u64::from(chunk.len);
                joined.push(*chunk);
            }
        }
    }
    let mut builder = tree::Builder::new();
    joined.iter().for_each(|chunk| builder.push(*chunk));
    Ok((builder.finish().hash, joined, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Algorithm, Params, Sizes};
    use crate::fs::mem::MemFs;
    use crate::path::Name;

    #[test]
    fn parallel_hash_is_what_one_thread_gets() {
        let sizes = Sizes { min: 64, avg: 256, max: 1024 };
        let chunker = Chunker::new(&Params::new(Algorithm::Gear, sizes).unwrap());
        for (seed, len) in [(1_u64, 300_000), (2, 65_536), (3, 65_537), (4, 1), (5, 4096)] {
            let mut state = seed;
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            });
            // Runs of zeros are cut at the maximum, out of step with any segment: the hard case for a joint.
            let bytes: Vec<u8> = noise
                .take(len)
                .enumerate()
                .map(|(at, byte)| if at % 50_000 > 20_000 { 0 } else { byte })
                .collect();
            let fs = MemFs::new();
            fs.write("f", &bytes).unwrap();
            let file = fs.root().open_file(&Name::try_from("f").unwrap()).unwrap();
            for segment in [4096, 5000, 16_384] {
                let (root, chunks, end) =
                    hash_segments(&*file, len as u64, &chunker, 3, segment, &|_| {}).unwrap();
                let expected: Vec<ChunkRef> = chunker.split(&bytes).map(ChunkRef::of).collect();
                assert_eq!(chunks, expected, "seed {seed} len {len} segment {segment}");
                assert_eq!((root, end), (tree::hash_bytes(&chunker, &bytes).hash, len as u64));
            }
        }
    }
}
