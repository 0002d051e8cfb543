//! Frames of one worker → one zstd stream, so that each is compressed with what the ones before it held.
//!
//! A source tree is many small files that resemble one another; a frame alone sees few of them. Each worker has a
//! *lane* of its own, whose frames arrive in the order in which they were packed, and the reader keeps one
//! decompressor a lane. The window, and with it the memory of either end, is [`WINDOW_LOG`] bits a lane.

use std::io;

use zstd::stream::raw::{self, CParameter, DParameter, InBuffer, Operation, OutBuffer};

use crate::codec::DecodeError;
use crate::limits::FRAME_BYTES_MAX;

/// Lanes of one direction at most.
pub const LANES_MAX: u8 = 16;
/// The window of a lane: 4 MiB.
pub const WINDOW_LOG: u32 = 22;
/// Bytes that a frame may grow by when it cannot be compressed: the ends of one stream and the beginning of the
/// next, and three bytes for each 128 KiB.
pub(super) const GROWTH_MAX: usize = 96;

/// The packing end of a lane.
pub(super) struct Packer {
    pub(super) lane: u8,
    level: i32,
    /// `None` once it has failed.
    stream: Option<raw::Encoder<'static>>,
}

impl Packer {
    pub(super) fn new(lane: u8) -> Packer {
        Packer { lane, level: 0, stream: None }
    }

    /// Appends the compressed form of `plain` to `frame`.
    pub(super) fn pack(&mut self, plain: &[u8], level: i32, frame: &mut Vec<u8>) -> io::Result<()> {
        let start = frame.len();
        frame.resize(start + zstd::zstd_safe::compress_bound(plain.len()) + GROWTH_MAX, 0);
        let mut out = OutBuffer::around(&mut frame[start..]);
        if self.level != level {
            if let Some(mut old) = self.stream.take() {
                while old.finish(&mut out, true)? > 0 {}
            }
            let mut stream = raw::Encoder::new(level)?;
            stream.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
            (self.stream, self.level) = (Some(stream), level);
        }
        // Taken, so that a stream that has failed is not used again.
        let mut stream = self.stream.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut input = InBuffer::around(plain);
        while input.pos() < plain.len() {
            stream.run(&mut input, &mut out)?;
        }
        while stream.flush(&mut out)? > 0 {}
        self.stream = Some(stream);
        let len = out.pos();
        frame.truncate(start + len);
        // It may wait long for a slow link.
        frame.shrink_to_fit();
        Ok(())
    }

    /// Appends the end of the stream to `frame`; `None` if it has not begun.
    pub(super) fn end(&mut self, frame: &mut Vec<u8>) -> Option<io::Result<()>> {
        let mut stream = self.stream.take()?;
        self.level = 0;
        let start = frame.len();
        frame.resize(start + GROWTH_MAX, 0);
        let mut out = OutBuffer::around(&mut frame[start..]);
        let ended = loop {
            match stream.finish(&mut out, true) {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let len = out.pos();
        frame.truncate(start + len);
        Some(ended)
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("lane", &self.lane).field("level", &self.level).finish_non_exhaustive()
    }
}

/// The unpacking ends of all lanes.
#[derive(Default)]
pub(super) struct Unpackers(Vec<Option<raw::Decoder<'static>>>);

impl Unpackers {
    /// The `len` bytes that `packed` holds, with what came before on its lane.
    pub(super) fn unpack(&mut self, lane: u8, packed: &[u8], len: usize) -> Result<Vec<u8>, DecodeError> {
        let malformed = DecodeError::Malformed { what: "compressed frame" };
        if lane >= LANES_MAX || len > FRAME_BYTES_MAX {
            return Err(malformed);
        }
        let at = usize::from(lane);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, || None);
        }
        let stream = match &mut self.0[at] {
            Some(stream) => stream,
            unused => {
                let mut stream = raw::Decoder::new().map_err(|_| malformed.clone())?;
                stream.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| malformed.clone())?;
                unused.insert(stream)
            }
        };
        // One more, for a stream that holds more than was said.
        let mut plain = vec![0; len + 1];
        let mut out = OutBuffer::around(&mut plain[..]);
        let mut input = InBuffer::around(packed);
        let mut ahead = 1;
        while input.pos() < packed.len() {
            let before = (input.pos(), out.pos());
            ahead = stream.run(&mut input, &mut out).map_err(|_| malformed.clone())?;
            if (input.pos(), out.pos()) == before {
                return Err(malformed);
            }
        }
        if out.pos() != len {
            return Err(malformed);
        }
        // Nothing is ahead of a stream that has ended: what it held is not kept for the next.
        if ahead == 0 {
            self.0[at] = None;
        }
        plain.truncate(len);
        Ok(plain)
    }
}

impl std::fmt::Debug for Unpackers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Unpackers").field(&self.0.len()).finish()
    }
}
