//! Messages ↔ a link: one thread a direction, frames in a short queue between.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::gauge::{Gauge, Load, WINDOW, idle_time, worked};
use super::{Options, SyncError};
use crate::net::{Link, LinkStats, NetError, RecvHalf, SendHalf};
use crate::transfer::frame::{Compression, FrameBuilder, FrameError, FrameReader, Payload, preamble};
use crate::transfer::message::Message;

/// Frames that wait for the link at most, where sending may block.
pub(super) const QUEUE_FRAMES: usize = 4;
/// A frame of file bytes is sent when it is this long.
pub(super) const FRAME_BYTES: usize = 192 << 10;
/// A frame of recipes is sent when it is this long: small files share it, and its compression.
pub(super) const PATCH_FRAME_BYTES: usize = 512 << 10;
/// While more of them are being prepared, descriptions of old bytes wait until there are so many.
pub(super) const REFINE_BYTES: usize = 16 << 10;
/// The least level that recipes are compressed with: they are short, and made of what is new.
const PATCH_LEVEL: i32 = 9;
/// The level of lists, which are few and always shrink.
const LEVEL: i32 = 3;
/// After so long without anything to send, an empty frame is sent: links give up on silence.
const SILENCE: Duration = Duration::from_secs(10);

/// When to compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// When the link is slower than the compressor.
    #[default]
    Adaptive,
    /// Always, at this zstd level.
    Always(i32),
    /// Never.
    Never,
}

/// The sending side of a link; clones share it.
#[derive(Clone)]
pub(super) struct Outbox {
    frames: Sender<Bytes>,
    state: Arc<State>,
}

struct State {
    compress: Compress,
    /// Whether both ends are in one process, where adaptive compression never pays.
    local: bool,
    /// The level to compress with, where the link is what everything waits for; otherwise 0.
    level: AtomicI32,
    /// Frames that did not shrink, in a row.
    stubborn: AtomicUsize,
    /// Nanoseconds that processors compressed file bytes.
    packing: AtomicU64,
    /// The other end has said its last word: it has all that was sent.
    heard: AtomicBool,
    /// Another session may follow on the link.
    followed: bool,
}

impl Outbox {
    /// Whether both ends are in one process.
    pub(super) fn is_local(&self) -> bool {
        self.state.local
    }

    /// Whoever used `builder` is done: in a session that may be followed by another, which will use its lane.
    pub(super) fn leave_lane(&self, builder: &mut FrameBuilder) {
        if self.state.followed
            && let Some(frame) = builder.end_lane()
        {
            let _ = self.frames.send(frame);
        }
    }

    /// The other end has said its last word, so what was sent need not be acknowledged.
    pub(super) fn heard(&self) {
        self.state.heard.store(true, Ordering::Relaxed);
    }

    /// Whether the next frame of file bytes would be compressed.
    pub(super) fn may_compress(&self) -> bool {
        match self.state.compress {
            Compress::Always(_) => true,
            Compress::Never => false,
            Compress::Adaptive => !self.state.local && self.state.level.load(Ordering::Relaxed) > 0,
        }
    }

    /// How to compress the next frame of file bytes.
    pub(super) fn compression(&self) -> Compression {
        match self.state.compress {
            Compress::Always(level) => Some(level),
            Compress::Never => None,
            Compress::Adaptive if self.state.local => None,
            Compress::Adaptive => {
                // What did not shrink for a while is tried again now and then.
                let stubborn = self.state.stubborn.fetch_add(1, Ordering::Relaxed);
                let worth_it = stubborn < 4 || stubborn.is_multiple_of(16);
                let level = self.state.level.load(Ordering::Relaxed);
                (level > 0 && worth_it).then_some(level)
            }
        }
    }

    /// Sends the messages collected in `builder`, if any: file bytes. Blocks while the link is busy.
    ///
    /// `false` if the link has failed; its error comes through the reading side or [`Writer::finish`].
    pub(super) fn send(&self, builder: &mut FrameBuilder) -> bool {
        if builder.is_empty() {
            return true;
        }
        let (compression, plain, began) = (self.compression(), builder.len(), worked());
        let frame = builder.take(compression);
        if compression.is_some() {
            let packing = worked().saturating_sub(began);
            self.state.packing.fetch_add(packing.as_nanos() as u64, Ordering::Relaxed);
            if frame.len() < plain {
                self.state.stubborn.store(0, Ordering::Relaxed);
            }
        }
        self.frames.send(frame).is_ok()
    }

    /// Sends the messages collected in `builder`, if any: lists, which always shrink.
    pub(super) fn send_list(&self, builder: &mut FrameBuilder) -> bool {
        if builder.is_empty() {
            return true;
        }
        let compression = match self.state.compress {
            Compress::Always(level) => Some(level),
            Compress::Never => None,
            Compress::Adaptive => (!self.state.local).then_some(LEVEL),
        };
        self.frames.send(builder.take(compression)).is_ok()
    }

    /// Sends the messages collected in `builder`, if any: recipes. Blocks while the link is busy.
    pub(super) fn send_patches(&self, builder: &mut FrameBuilder) -> bool {
        if builder.is_empty() {
            return true;
        }
        let slow = self.state.level.load(Ordering::Relaxed) > 0;
        let compression = match self.state.compress {
            Compress::Always(level) => Some(level.max(PATCH_LEVEL)),
            Compress::Never => None,
            Compress::Adaptive if self.state.local => None,
            Compress::Adaptive => Some(if slow { PATCH_LEVEL } else { LEVEL }),
        };
        self.frames.send(builder.take(compression)).is_ok()
    }

    /// Sends one message by itself.
    pub(super) fn message(&self, message: &Message<'_>) -> bool {
        let mut builder = FrameBuilder::default();
        builder.push(message);
        self.send_list(&mut builder)
    }
}

/// The thread that sends.
pub(super) struct Writer(JoinHandle<Result<(), NetError>>);

impl Writer {
    /// Waits until everything sent has left; every [`Outbox`] must be dropped before.
    pub(super) fn finish(self) -> Result<(), NetError> {
        self.0.join().unwrap_or_else(|_| Err(NetError::closed("the sending thread failed")))
    }
}

/// What arrives: the messages of a frame; then an end, clean or not, and nothing more.
pub(super) type Inbox = Receiver<Result<Payload, SyncError>>;

/// Greets, and waits for the other end's first message, on the caller's thread.
pub(super) fn first(link: &mut Link, frames: &mut FrameReader) -> Result<Payload, SyncError> {
    link.send.send(preamble())?;
    loop {
        match frames.next()? {
            Some(payload) if !payload.is_empty() => return Ok(payload),
            Some(_) => {}
            None => match link.recv.recv()? {
                Some(bytes) => frames.push(&bytes),
                None => return Err(FrameError::Cut.into()),
            },
        }
    }
}

/// Both sides of a link.
pub(super) struct Wire {
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
    pub(super) writer: Writer,
    pub(super) reader: JoinHandle<()>,
    pub(super) stats: Arc<dyn LinkStats>,
}

/// How a link is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) compress: Compress,
    pub(super) local: bool,
    /// Whether sending blocks when the link is slow. A sender does; a receiver, whose requests are as many as
    /// there are differences, does not, so that one of the two always reads.
    pub(super) blocking: bool,
    pub(super) bandwidth_max: Option<u64>,
    pub(super) receive_max: Option<u64>,
    /// Whether sessions follow each other.
    pub(super) followed: bool,
}

impl Use {
    /// As `options` say, for an end that sends files or does not.
    pub(super) fn new(options: &Options, sender: bool, local: bool) -> Use {
        let Options { compress, bandwidth_max, receive_max, .. } = *options;
        Use { compress, local, blocking: sender, bandwidth_max, receive_max, followed: false }
    }
}

/// Starts the threads of a link and greets the other end.
pub(super) fn open(mut link: Link, usage: Use) -> Result<Wire, SyncError> {
    link.send.send(preamble())?;
    Ok(resume(link, usage, FrameReader::default()))
}

/// Starts the threads of a link on which both ends have greeted; `frames` holds what has arrived already.
pub(super) fn resume(link: Link, usage: Use, frames: FrameReader) -> Wire {
    let Link { send, recv, stats, peer: _ } = link;
    let (queue, waiting) = if usage.blocking { bounded(QUEUE_FRAMES) } else { unbounded() };
    let state = Arc::new(State {
        compress: usage.compress,
        local: usage.local,
        level: AtomicI32::new(Gauge::default().told()),
        stubborn: AtomicUsize::new(0),
        packing: AtomicU64::new(0),
        heard: AtomicBool::new(false),
        followed: usage.followed,
    });
    let shared = state.clone();
    let writer = std::thread::spawn(move || write(send, &waiting, &shared, usage.bandwidth_max));
    let (arrived, inbox) = bounded(8);
    let reader = std::thread::spawn(move || read(recv, frames, &arrived, Pace::new(usage.receive_max)));
    Wire { outbox: Outbox { frames: queue, state }, inbox, writer: Writer(writer), reader, stats }
}

/// Keeps to a rate.
struct Pace {
    rate: Option<u64>,
    due: Instant,
}

#[expect(clippy::disallowed_methods, reason = "a rate is one of time")]
impl Pace {
    /// `rate` in bytes a second; none is any.
    fn new(rate: Option<u64>) -> Pace {
        Pace { rate, due: Instant::now() }
    }

    /// Counts `len` bytes.
    fn count(&mut self, len: usize) {
        let Some(rate) = self.rate else { return };
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(len as f64 / rate.max(1) as f64);
    }

    /// Waits for as long as what was counted takes.
    fn wait(&self) {
        std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
    }
}

#[expect(clippy::disallowed_methods, reason = "tells how long it waited for frames")]
fn write(
    mut send: Box<dyn SendHalf>,
    waiting: &Receiver<Bytes>,
    state: &State,
    bandwidth_max: Option<u64>,
) -> Result<(), NetError> {
    let mut watch = Watch::new();
    let mut pace = Pace::new(bandwidth_max);
    loop {
        let asked = Instant::now();
        let frame = match waiting.recv_timeout(SILENCE) {
            Ok(frame) => frame,
            // A frame of no messages: this end is busy, not gone.
            Err(RecvTimeoutError::Timeout) => FrameBuilder::default().take(None),
            Err(RecvTimeoutError::Disconnected) if state.heard.load(Ordering::Relaxed) => {
                return send.finish_heard();
            }
            Err(RecvTimeoutError::Disconnected) => return send.finish(),
        };
        watch.starved += asked.elapsed();
        let len = frame.len() as u64;
        pace.wait();
        pace.count(frame.len());
        send.send(frame)?;
        watch.sent(len, state);
    }
}

/// Looks at a link and the processors, a window at a time, and sets the level.
struct Watch {
    gauge: Gauge,
    began: Instant,
    bytes: u64,
    starved: Duration,
    idle: Option<Duration>,
    packing: u64,
}

#[expect(clippy::disallowed_methods, reason = "a clock is what it is about")]
impl Watch {
    fn new() -> Watch {
        let (gauge, began, idle) = (Gauge::default(), Instant::now(), idle_time());
        Watch { gauge, began, bytes: 0, starved: Duration::ZERO, idle, packing: 0 }
    }

    fn sent(&mut self, bytes: u64, state: &State) {
        self.bytes += bytes;
        let elapsed = self.began.elapsed();
        if elapsed < WINDOW || state.compress != Compress::Adaptive || state.local {
            return;
        }
        let (idle, packing) = (idle_time(), state.packing.load(Ordering::Relaxed));
        let rested = idle.zip(self.idle).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
        let a_second = |time: Duration| time.as_secs_f64() / elapsed.as_secs_f64();
        let load = Load {
            bytes: self.bytes as f64 / elapsed.as_secs_f64(),
            starved: a_second(self.starved),
            idle: a_second(rested),
            packing: a_second(Duration::from_nanos(packing - self.packing)),
        };
        self.gauge.look(load);
        state.level.store(self.gauge.told(), Ordering::Relaxed);
        (self.began, self.bytes, self.starved) = (Instant::now(), 0, Duration::ZERO);
        (self.idle, self.packing) = (idle, packing);
    }
}

fn read(
    mut recv: Box<dyn RecvHalf>,
    mut frames: FrameReader,
    arrived: &Sender<Result<Payload, SyncError>>,
    mut pace: Pace,
) {
    let end = loop {
        loop {
            match frames.next() {
                // Who sent it is there, and has nothing to say.
                Ok(Some(payload)) if payload.is_empty() => {}
                Ok(Some(payload)) => {
                    if arrived.send(Ok(payload)).is_err() {
                        // Nobody listens any more, but the other end may still wait for us to read.
                        while let Ok(Some(_)) = recv.recv() {}
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let _ = arrived.send(Err(error.into()));
                    while let Ok(Some(_)) = recv.recv() {}
                    return;
                }
            }
        }
        match recv.recv() {
            Ok(Some(bytes)) => {
                pace.count(bytes.len());
                pace.wait();
                frames.push(&bytes);
            }
            Ok(None) => break frames.finish().err().map(SyncError::from),
            Err(error) => break Some(error.into()),
        }
    };
    if let Some(error) = end {
        let _ = arrived.send(Err(error));
    }
}
