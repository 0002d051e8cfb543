//! Messages ↔ frames: the unit that is compressed, bounded and written to a link.
//!
//! ```text
//! offset width field
//!      0     4 n, bytes after this field, little-endian, 1 to FRAME_BYTES_MAX + 102
//!      4     1 codec: 0 plain, 1 zstd, 2 zstd on a lane
//!      5   n-1 plain: messages, one after the other
//!              zstd: 4 bytes, length of the messages; then one zstd frame
//!              zstd on a lane: 1 byte, the lane; 4 bytes, length of the messages; then the lane's stream goes on
//! ```
//!
//! Each end's first ten bytes are not a frame but the [`preamble`].

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;

use super::lane::{self, LANES_MAX};
use super::message::{Message, VERSION};
use crate::codec::{DecodeError, decode_front, encode_into};
use crate::limits::FRAME_BYTES_MAX;

const MAGIC: [u8; 8] = *b"SYNCLINE";
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const STREAM: u8 = 2;
const HEADER: usize = 5;
/// Frames that would shrink by less than one part in this many stay plain.
const GAIN_MIN: usize = 16;

/// Why incoming bytes end the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The other end is not Syncline at all.
    #[error("the other end does not speak syncline's protocol")]
    NotSyncline,
    /// The other end speaks another version.
    #[error("the other end speaks protocol version {theirs}, this end {ours}")]
    Version {
        /// Their version.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// A frame or message that is malformed or too large.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The stream ended within a frame.
    #[error("the connection ended in the middle of a message")]
    Cut,
}

/// The first bytes each end sends: `SYNCLINE`, then the protocol version, little-endian.
#[must_use]
pub fn preamble() -> Bytes {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.into()
}

/// How to compress: zstd at this level, or not.
pub type Compression = Option<i32>;

/// Collects messages into one frame.
#[derive(Debug)]
pub struct FrameBuilder {
    buffer: Vec<u8>,
    lane: Option<lane::Packer>,
}

impl Default for FrameBuilder {
    fn default() -> FrameBuilder {
        FrameBuilder { buffer: vec![0; HEADER], lane: None }
    }
}

impl FrameBuilder {
    /// One whose frames are compressed with what was in the frames before. They must be sent in order, and no
    /// other builder of the same stream may have this lane. From [`LANES_MAX`] on, an ordinary one.
    #[must_use]
    pub fn on_lane(lane: usize) -> FrameBuilder {
        let lane = u8::try_from(lane).ok().filter(|lane| *lane < LANES_MAX);
        FrameBuilder { lane: lane.map(lane::Packer::new), ..FrameBuilder::default() }
    }

    /// Appends a message.
    ///
    /// # Panics
    /// If the frame outgrows [`FRAME_BYTES_MAX`]: callers send before that.
    pub fn push(&mut self, message: &Message<'_>) {
        self.push_value(message);
    }

    /// Appends a message of another protocol in the same frames.
    ///
    /// # Panics
    /// As [`push`](FrameBuilder::push).
    pub(crate) fn push_value(&mut self, value: &impl Serialize) {
        encode_into(value, &mut self.buffer);
        assert!(self.len() <= FRAME_BYTES_MAX, "frame of {} bytes", self.len());
    }

    /// Bytes of messages so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len() - HEADER
    }

    /// Whether there is no message yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame's bytes; the builder is empty again.
    pub fn take(&mut self, compression: Compression) -> Bytes {
        // The next one will be about as long.
        let mut next = Vec::with_capacity(self.buffer.len());
        next.resize(HEADER, 0);
        let mut buffer = std::mem::replace(&mut self.buffer, next);
        let plain = &buffer[HEADER..];
        let compression = compression.filter(|_| plain.len() >= 64);
        if let (Some(level), Some(lane)) = (compression, &mut self.lane) {
            let mut frame = vec![0; 4];
            frame.extend([STREAM, lane.lane]);
            frame.extend_from_slice(&(plain.len() as u32).to_le_bytes());
            if lane.pack(plain, level, &mut frame).is_ok() {
                let len = (frame.len() - 4) as u32;
                frame[..4].copy_from_slice(&len.to_le_bytes());
                return frame.into();
            }
        } else if let Some(level) = compression
            && let Ok(packed) = zstd::bulk::compress(plain, level)
            && packed.len() + plain.len() / GAIN_MIN < plain.len()
        {
            let mut frame = Vec::with_capacity(HEADER + 4 + packed.len());
            frame.extend_from_slice(&(packed.len() as u32 + 5).to_le_bytes());
            frame.push(ZSTD);
            frame.extend_from_slice(&(plain.len() as u32).to_le_bytes());
            frame.extend_from_slice(&packed);
            return frame.into();
        }
        let len = (buffer.len() - 4) as u32;
        buffer[..4].copy_from_slice(&len.to_le_bytes());
        buffer[4] = PLAIN;
        buffer.into()
    }

    /// The frame that ends this builder's lane, if it was used: from then on another builder may have it.
    pub fn end_lane(&mut self) -> Option<Bytes> {
        let lane = self.lane.as_mut()?;
        let mut frame = vec![0; 4];
        frame.extend([STREAM, lane.lane]);
        frame.extend_from_slice(&0_u32.to_le_bytes());
        lane.end(&mut frame)?.ok()?;
        let len = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&len.to_le_bytes());
        Some(frame.into())
    }
}

/// Cuts a byte stream, however it was split, into the messages of its frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    pending: BytesMut,
    greeted: bool,
    lanes: lane::Unpackers,
}

impl FrameReader {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The messages of the next whole frame, decompressed; `None` if more bytes are needed first.
    ///
    /// # Errors
    /// [`FrameError`], after which the stream is of no more use.
    #[expect(clippy::should_implement_trait, reason = "fails, and gives more after `None`")]
    pub fn next(&mut self) -> Result<Option<Payload>, FrameError> {
        if !self.greeted {
            let expected = preamble();
            if !expected[..8].starts_with(&self.pending[..self.pending.len().min(8)]) {
                return Err(FrameError::NotSyncline);
            }
            if self.pending.len() < expected.len() {
                return Ok(None);
            }
            let greeting = self.pending.split_to(expected.len());
            let theirs = u16::from_le_bytes([greeting[8], greeting[9]]);
            if theirs != VERSION {
                return Err(FrameError::Version { theirs, ours: VERSION });
            }
            self.greeted = true;
        }
        let Some(head) = self.pending.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        let max = FRAME_BYTES_MAX + 6 + lane::GROWTH_MAX;
        if len > max {
            let (len, max) = (len as u64, max as u64);
            return Err(DecodeError::TooLarge { what: "frame", len, max }.into());
        }
        if len == 0 {
            return Err(DecodeError::Malformed { what: "frame" }.into());
        }
        if self.pending.len() < 4 + len {
            self.pending.reserve(4 + len - self.pending.len());
            return Ok(None);
        }
        let mut frame = self.pending.split_to(4 + len).freeze();
        frame.advance(4);
        Ok(Some(Payload(unpack(frame, &mut self.lanes)?)))
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// [`FrameError::Cut`] within a frame or the preamble.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.pending.is_empty() && self.greeted { Ok(()) } else { Err(FrameError::Cut) }
    }
}

fn unpack(mut frame: Bytes, lanes: &mut lane::Unpackers) -> Result<Bytes, FrameError> {
    match frame.get_u8() {
        PLAIN if frame.len() <= FRAME_BYTES_MAX => Ok(frame),
        STREAM if frame.len() >= 5 => {
            let (lane, len) = (frame.get_u8(), frame.get_u32_le() as usize);
            Ok(lanes.unpack(lane, &frame, len)?.into())
        }
        ZSTD if frame.len() >= 4 => {
            let len = frame.get_u32_le() as usize;
            if len > FRAME_BYTES_MAX {
                let (len, max) = (len as u64, FRAME_BYTES_MAX as u64);
                return Err(DecodeError::TooLarge { what: "frame", len, max }.into());
            }
            match zstd::bulk::decompress(&frame, len) {
                Ok(plain) if plain.len() == len => Ok(plain.into()),
                _ => Err(DecodeError::Malformed { what: "compressed frame" }.into()),
            }
        }
        _ => Err(DecodeError::Malformed { what: "frame" }.into()),
    }
}

/// The messages of one frame.
#[derive(Clone, Debug)]
pub struct Payload(Bytes);

impl Payload {
    /// Calls `each` with every message, in order, and the bytes it borrows from.
    ///
    /// # Errors
    /// The first malformed message, or what `each` gives.
    pub fn for_each<E: From<DecodeError>>(
        &self,
        mut each: impl FnMut(Message<'_>, &Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            each(decode_front("message", &mut rest)?, &self.0)?;
        }
        Ok(())
    }

    /// The messages, one behind the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of all its messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
