//! What a session sees of a connection: two blocking halves that carry bytes in order.
//!
//! A [`Link`] is the same whether it runs over QUIC, over another program's standard input and output, or
//! inside one process. It is for threads: nothing here is async, `send` blocks while the other end is slow, and
//! each half may move to a thread of its own. It does not frame (the receiver gets the same bytes in pieces of
//! any size) and does not multiplex.
//!
//! Invariants of every implementation, held by one conformance suite:
//! - bytes arrive complete and in order, or the receiver gets an error;
//! - a clean end (`Ok(None)`) is only seen after the other end's [`finish`](SendHalf::finish): a lost connection,
//!   a dropped half and an abort are errors, so a truncation never looks like an end;
//! - memory is bounded: a reader that stops, stops the writer.
//!
//! **Finish before dropping, and read to the end.** Dropping a half earlier breaks the link for both. As
//! `finish` may wait for the other end to read, one end must read while it, or the other one, finishes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{NetError, PeerId};

/// The half of a link that sends.
pub trait SendHalf: Send {
    /// Sends all of `frame` after everything sent before; blocks while the link holds as much as it may.
    /// The bytes are handed on without a copy.
    ///
    /// # Errors
    /// [`NetError::Timeout`] if the other end takes nothing for too long; [`NetError::Closed`],
    /// [`NetError::NotAuthorised`] or [`NetError::Refused`] if the link is gone, in which case any part of what
    /// was sent may be lost.
    fn send(&mut self, frame: Bytes) -> Result<(), NetError>;

    /// Says that nothing more will be sent, and waits until all that was sent is out of this process's care:
    /// acknowledged by the other machine, written, or in the other half's queue.
    ///
    /// # Errors
    /// As for [`send`](SendHalf::send).
    fn finish(&mut self) -> Result<(), NetError>;

    /// As [`finish`](SendHalf::finish), but waits for nothing: for an end that was told, by what it received, that
    /// the other one has all and wants no more. That one may see an error instead of the clean end.
    ///
    /// # Errors
    /// As for [`send`](SendHalf::send).
    fn finish_heard(&mut self) -> Result<(), NetError> {
        self.finish()
    }
}

/// The half of a link that receives.
pub trait RecvHalf: Send {
    /// Waits for bytes: never an empty piece; `None` at the clean end.
    ///
    /// # Errors
    /// [`NetError::Timeout`] if nothing arrives for too long; [`NetError::Closed`],
    /// [`NetError::NotAuthorised`] or [`NetError::Refused`] if the link is gone.
    fn recv(&mut self) -> Result<Option<Bytes>, NetError>;
}

/// Bytes that went over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Bytes sent: UDP payloads with handshake, acknowledgements and retransmissions; on other links what was
    /// given to them.
    pub sent: u64,
    /// Bytes received, likewise.
    pub received: u64,
    /// The smoothed round-trip time, where the link knows one.
    pub rtt: Option<Duration>,
}

/// A link's counters and its emergency brake. May be used from any thread while the halves are at work.
pub trait LinkStats: Send + Sync {
    /// The counters now.
    fn wire(&self) -> Wire;

    /// Ends the link at once: what is under way is lost, and calls at both ends, blocked ones too, fail with
    /// [`NetError::Closed`]. The other end is told `code` and `reason` (of which it gets 200 bytes at most) if it
    /// can still be reached. Does nothing on a link that is closed.
    fn abort(&self, code: u32, reason: &str);
}

/// A connection to a peer.
pub struct Link {
    /// Sends.
    pub send: Box<dyn SendHalf>,
    /// Receives.
    pub recv: Box<dyn RecvHalf>,
    /// Counts and aborts. Whoever keeps it beyond the session keeps the link, and its goodbye, waiting: hold a
    /// [`Weak`](std::sync::Weak).
    pub stats: Arc<dyn LinkStats>,
    /// Who is at the other end, proven; `None` where that was settled outside, as with ssh or in one process.
    pub peer: Option<PeerId>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.peer)
            .field("wire", &self.stats.wire())
            .finish_non_exhaustive()
    }
}

/// Longest reason that is sent with an abort, and believed of a peer, in bytes.
pub(super) const REASON_BYTES_MAX: usize = 200;

/// The first [`REASON_BYTES_MAX`] bytes of a reason.
pub(super) fn reason_bytes(reason: &str) -> &[u8] {
    &reason.as_bytes()[..reason.len().min(REASON_BYTES_MAX)]
}

/// A peer's reason as text that is safe to print.
pub(super) fn reason_text(reason: &[u8]) -> String {
    crate::path::Escaped(&reason[..reason.len().min(REASON_BYTES_MAX)]).to_string()
}
