//! Pushed bytes → chunks: the streaming form of [`Chunker::split`].

use super::Chunker;

/// Cuts a stream that arrives in pieces of any size into the same chunks as [`Chunker::split`].
///
/// A chunk that lies whole inside one pushed piece, with `max` bytes before the piece's end, is handed on
/// where it lies. Only what straddles two pieces is copied, so pieces of a few times `max` cost least. Holds
/// less than `2 × max` bytes, and keeps its buffer from one file to the next.
///
/// ```
/// use syncline::chunk::{Chunker, Params, Splitter};
/// let mut splitter = Splitter::new(Chunker::new(&Params::fixed(64)?));
/// let mut lengths = Vec::new();
/// for piece in [&[1; 50][..], &[2; 100]] {
///     splitter.push(piece, &mut |chunk: &[u8]| lengths.push(chunk.len()));
/// }
/// splitter.finish(&mut |chunk: &[u8]| lengths.push(chunk.len()));
/// assert_eq!(lengths, [64, 64, 22]);
/// # Ok::<(), syncline::chunk::ParamsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Splitter {
    chunker: Chunker,
    /// Bytes since the last cut; between calls fewer than `max`.
    held: Vec<u8>,
    /// Whether this file has had a chunk: the empty file is owed one.
    has_cut: bool,
}

impl Splitter {
    /// Starts a file. Allocates nothing until bytes must be held.
    #[must_use]
    pub fn new(chunker: Chunker) -> Splitter {
        Splitter { chunker, held: Vec::new(), has_cut: false }
    }

    /// The chunker that this splitter cuts by.
    #[must_use]
    pub fn chunker(&self) -> &Chunker {
        &self.chunker
    }

    /// Takes the next bytes of the file and calls `sink` with each chunk that is now certain, in order.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
        let mut rest = self.cut_held(bytes, sink);
        while rest.len() >= self.chunker.max() {
            let (chunk, behind) = rest.split_at(self.chunker.cut(rest));
            self.has_cut = true;
            sink(chunk);
            rest = behind;
        }
        self.hold(rest);
    }

    /// Ends the file: calls `sink` with the chunks that were still held, and is ready for the next file.
    pub fn finish(&mut self, sink: &mut impl FnMut(&[u8])) {
        if !(self.held.is_empty() && self.has_cut) {
            self.chunker.split(&self.held).for_each(sink);
        }
        self.held.clear();
        self.has_cut = false;
    }

    /// Cuts until no held byte is left, borrowing from `bytes` what the cuts need to see, and gives what lies
    /// behind the last cut; gives nothing if `bytes` ended first and were all held.
    fn cut_held<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let max = self.chunker.max();
        let held_before = self.held.len();
        let mut borrowed = 0;
        let mut start = 0;
        while start < held_before {
            let wanted = (start + max).saturating_sub(self.held.len());
            let lent = &bytes[borrowed..][..wanted.min(bytes.len() - borrowed)];
            self.hold(lent);
            borrowed += lent.len();
            if lent.len() < wanted {
                self.held.drain(..start);
                return &[];
            }
            let chunk = &self.held[start..];
            let chunk = &chunk[..self.chunker.cut(chunk)];
            self.has_cut = true;
            sink(chunk);
            start += chunk.len();
        }
        self.held.clear();
        &bytes[start - held_before..]
    }
    /// Copies `bytes` behind what is held. The buffer grows by doubling, but never past `2 × max`.
    fn hold(&mut self, bytes: &[u8]) {
        let needed = self.held.len() + bytes.len();
        if needed > self.held.capacity() {
            let capacity = needed.next_power_of_two().min(2 * self.chunker.max());
            self.held.reserve_exact(capacity - self.held.len());
        }
        self.held.extend_from_slice(bytes);
    }

    /// Size of the buffer, for the test that bounds it.
    #[cfg(test)]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.held.capacity()
    }
}
