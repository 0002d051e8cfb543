//! A recipe, an old file and literal bytes → new bytes, a buffer at a time.

use std::io;

use crate::fs::File;
use crate::transfer::delta::Span;
use crate::transfer::delta::recipe::Segment;

/// Fills `buffer` from `at`.
pub(super) fn read_exactly(file: &dyn File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    match file.read_full_at(buffer, at)? {
        len if len == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Gives the bytes of a recipe in order.
pub(super) struct Assembly<'a> {
    source: Option<&'a dyn File>,
    segments: &'a [Segment],
    literals: &'a [u8],
    /// Bytes of the first segment that were given.
    given: usize,
}

impl<'a> Assembly<'a> {
    /// From an old file, if it could be opened.
    pub(super) fn new(source: Option<&'a dyn File>, segments: &'a [Segment], literals: &'a [u8]) -> Self {
        Assembly { source, segments, literals, given: 0 }
    }

    /// Fills `buffer` with the next bytes. After an error the place in the recipe is still right.
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        let mut result = Ok(());
        while !buffer.is_empty() {
            let Some((segment, rest)) = self.segments.split_first() else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let len = match segment {
                Segment::Old(span) => span.len,
                Segment::Literal(len) => *len,
            } as usize;
            let (part, after) = buffer.split_at_mut(buffer.len().min(len - self.given));
            match segment {
                Segment::Old(Span { at, .. }) => {
                    let read = self.source.ok_or_else(|| io::ErrorKind::NotFound.into());
                    let read = read.and_then(|source| read_exactly(source, part, at + self.given as u64));
                    result = result.and(read);
                }
                Segment::Literal(_) => match self.literals.split_at_checked(part.len()) {
                    Some((bytes, rest)) => {
                        part.copy_from_slice(bytes);
                        self.literals = rest;
                    }
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            }
            self.given += part.len();
            if self.given == len {
                (self.segments, self.given) = (rest, 0);
            }
            buffer = after;
        }
        result
    }
}
