//! The blocking halves of a QUIC stream.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use quinn::{
    Connection, ConnectionError, ReadError, RecvStream, SendStream, StoppedError, TransportErrorCode, VarInt,
    WriteError,
};
use rustls::pki_types::CertificateDer;
use tokio::runtime::Runtime;

use super::gate::Slot;
use super::{LINGER, Opened};
use crate::net::link::{Link, LinkStats, RecvHalf, SendHalf, Wire, reason_bytes, reason_text};
use crate::net::{NetError, PeerId, tls};

/// Both sides had finished and read everything. Not 0, which quinn sends when a connection is merely dropped.
const CLOSE_DONE: u32 = 1;
/// This side left earlier.
pub(super) const CLOSE_ABANDONED: u32 = 2;
/// The server has too many connections.
pub(super) const CLOSE_BUSY: u32 = 3;
/// Added to the code of an abort.
const CLOSE_ABORT: u64 = 0x100;

/// TLS alerts (RFC 8446 §6) by which a server turns a key away: `access_denied`, `certificate_required`,
/// `bad_certificate`.
const ALERTS_NOT_AUTHORISED: [u8; 3] = [49, 116, 42];

/// Pieces taken from the stream under one lock.
const PIECES: usize = 64;

/// The acknowledgement delay of a peer that says nothing else (RFC 9000 §18.2).
const ACK_DELAY: Duration = Duration::from_millis(25);
const LINGER_LOSSY: Duration = Duration::from_secs(1);

/// Makes a link of an open stream; `None` if the connection has no peer key, which TLS rules out.
pub(super) fn quic_link(
    opened: Opened,
    slot: Option<Slot>,
    stall: Option<Duration>,
    runtime: Arc<Runtime>,
) -> Option<Link> {
    let Opened { connection, send: send_stream, recv: recv_stream } = opened;
    let peer = peer_of(&connection)?;
    let (sent_all, read_all) = (AtomicBool::new(false), AtomicBool::new(false));
    let shared = Arc::new(Shared { connection, sent_all, read_all, stall, _slot: slot, runtime });
    Some(Link {
        send: Box::new(QuicSend { stream: send_stream, cut: false, shared: shared.clone() }),
        recv: Box::new(QuicRecv { stream: recv_stream, pieces: VecDeque::new(), shared: shared.clone() }),
        stats: shared,
        peer: Some(peer),
    })
}

pub(super) fn peer_of(connection: &Connection) -> Option<PeerId> {
    let shown = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    tls::peer_of(&shown)
}

/// What both halves hold; the last one to go closes the connection.
struct Shared {
    connection: Connection,
    sent_all: AtomicBool,
    read_all: AtomicBool,
    stall: Option<Duration>,
    _slot: Option<Slot>,
    /// Last, as everything above needs it.
    runtime: Arc<Runtime>,
}

impl Shared {
    /// Runs a step that should not take longer than the stall time; `None` if it does.
    fn wait<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(within(self.stall, step))
    }
}

/// Runs a step for at most `stall`; `None` if that is not enough.
pub(super) async fn within<T>(stall: Option<Duration>, step: impl Future<Output = T>) -> Option<T> {
    match stall {
        Some(stall) => tokio::time::timeout(stall, step).await.ok(),
        None => Some(step.await),
    }
}

impl LinkStats for Shared {
    fn wire(&self) -> Wire {
        let stats = self.connection.stats();
        Wire { sent: stats.udp_tx.bytes, received: stats.udp_rx.bytes, rtt: Some(stats.path.rtt) }
    }

    fn abort(&self, code: u32, reason: &str) {
        let code = VarInt::from_u64(CLOSE_ABORT + u64::from(code)).expect("far below 2⁶²");
        self.connection.close(code, reason_bytes(reason));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let done = self.sent_all.load(Relaxed) && self.read_all.load(Relaxed);
        let code = if done { CLOSE_DONE } else { CLOSE_ABANDONED };
        let gone = || self.connection.close_reason().is_some();
        // The client says goodbye first: the server's process is the one that lives on to repeat an answer. A
        // connection that closes in its first moments may also fail to say so (see `INITIAL_WINDOW_BYTES`).
        if done && self.connection.side().is_server() {
            poll_for(LINGER, gone);
        }
        if gone() {
            return;
        }
        let before = self.connection.stats();
        self.connection.close(code.into(), b"");
        // Whoever is last here takes the runtime away: first let the goodbye go out. On a path that loses packets
        // stay for the closing period (three probe timeouts), in which quinn repeats it to a peer that asks.
        if before.path.lost_packets > 0 {
            thread::sleep((3 * (3 * before.path.rtt + ACK_DELAY)).min(LINGER_LOSSY));
        }
        poll_for(LINGER, || self.connection.stats().udp_tx.datagrams > before.udp_tx.datagrams);
    }
}

/// Waits until `done`, but no longer than `patience`.
fn poll_for(patience: Duration, done: impl Fn() -> bool) {
    for _ in 0..patience.as_millis() {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

struct QuicSend {
    stream: SendStream,
    /// A frame was cut short: what follows must not look like an end.
    cut: bool,
    shared: Arc<Shared>,
}

impl SendHalf for QuicSend {
    fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        let mut left = [frame];
        while !left[0].is_empty() {
            let written = match self.shared.wait(self.stream.write_chunks(&mut left)) {
                Some(written) => written.map(drop).map_err(|error| write_lost(&error)),
                None => Err(NetError::stalled("sending", self.shared.stall)),
            };
            written.inspect_err(|_| self.cut = true)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), NetError> {
        if self.cut {
            return Err(NetError::closed("a frame was cut short"));
        }
        let _ = self.stream.finish(); // Fails only if this was said before.
        let Shared { connection, stall, .. } = &*self.shared;
        let acknowledged = self.shared.runtime.block_on(async {
            let mut stopped = pin!(self.stream.stopped());
            let mut sent = connection.stats().frame_tx.stream;
            loop {
                match within(*stall, &mut stopped).await {
                    Some(Ok(None)) => return Ok(()),
                    Some(Ok(Some(_))) => return Err(NetError::closed("the receiver left before the end")),
                    Some(Err(StoppedError::ConnectionLost(ConnectionError::ApplicationClosed(close))))
                        if close.error_code == CLOSE_DONE.into() =>
                    {
                        return Ok(());
                    }
                    Some(Err(error)) => return Err(write_lost(&error.into())),
                    // What is still on its way out is progress.
                    None if connection.stats().frame_tx.stream == sent => {
                        return Err(NetError::stalled("finishing", *stall));
                    }
                    None => sent = connection.stats().frame_tx.stream,
                }
            }
        });
        self.shared.sent_all.store(acknowledged.is_ok(), Relaxed);
        acknowledged
    }

    fn finish_heard(&mut self) -> Result<(), NetError> {
        if self.cut {
            return Err(NetError::closed("a frame was cut short"));
        }
        let _ = self.stream.finish(); // Fails only if this was said before.
        self.shared.sent_all.store(true, Relaxed);
        Ok(())
    }
}

impl Drop for QuicSend {
    fn drop(&mut self) {
        // A dropped stream would otherwise end as if it had been finished.
        if !self.shared.sent_all.load(Relaxed) {
            let _ = self.stream.reset(CLOSE_ABANDONED.into());
        }
    }
}

struct QuicRecv {
    stream: RecvStream,
    pieces: VecDeque<Bytes>,
    shared: Arc<Shared>,
}

impl RecvHalf for QuicRecv {
    fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        if let Some(piece) = self.pieces.pop_front() {
            return Ok(Some(piece));
        }
        let mut pieces = [const { Bytes::new() }; PIECES];
        match self.shared.wait(self.stream.read_chunks(&mut pieces)) {
            Some(Ok(Some(count))) => {
                self.pieces.extend(pieces.into_iter().take(count));
                Ok(self.pieces.pop_front())
            }
            Some(Ok(None)) => {
                self.shared.read_all.store(true, Relaxed);
                Ok(None)
            }
            Some(Err(ReadError::ConnectionLost(error))) => Err(lost(&error)),
            Some(Err(_)) => Err(NetError::closed("the sender left before it finished")),
            None => Err(NetError::stalled("receiving", self.shared.stall)),
        }
    }
}

pub(super) fn write_lost(error: &WriteError) -> NetError {
    match error {
        WriteError::ConnectionLost(error) => lost(error),
        WriteError::Stopped(_) => NetError::closed("the receiver left before the end"),
        _ => NetError::closed("already finished"),
    }
}

/// What the loss of a connection means to whoever used it.
pub(super) fn lost(error: &ConnectionError) -> NetError {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = u64::from(close.error_code);
            let reason = reason_text(&close.reason);
            match code.checked_sub(CLOSE_ABORT).map(u32::try_from) {
                Some(Ok(code)) => NetError::Closed { code: Some(code), reason },
                _ if code == u64::from(CLOSE_BUSY) => NetError::Refused { reason },
                _ => NetError::closed("the peer has left"),
            }
        }
        ConnectionError::ConnectionClosed(close) => {
            let refusal = |alert: &u8| close.error_code == TransportErrorCode::crypto(*alert);
            if ALERTS_NOT_AUTHORISED.iter().any(refusal) {
                NetError::NotAuthorised
            } else if close.error_code == TransportErrorCode::CONNECTION_REFUSED {
                NetError::Refused { reason: "it takes no connections now".to_owned() }
            } else {
                NetError::Closed { code: None, reason: reason_text(close.to_string().as_bytes()) }
            }
        }
        ConnectionError::TimedOut => {
            NetError::Timeout { what: "waiting for the peer's machine", after: Duration::ZERO }
        }
        ConnectionError::LocallyClosed => NetError::closed("closed on this side"),
        other => NetError::Closed { code: None, reason: reason_text(other.to_string().as_bytes()) },
    }
}
