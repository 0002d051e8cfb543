//! Messages ↔ a link: one thread a direction, frames in a short queue between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::{Options, SyncError};
use crate::net::{Link, LinkStats, NetError, RecvHalf, SendHalf};
use crate::transfer::frame::{Compression, FrameBuilder, FrameError, FrameReader, Payload, preamble};
use crate::transfer::message::Message;

/// Frames that wait for the link at most, where sending may block.
pub(super) const QUEUE_FRAMES: usize = 4;
/// A frame of file bytes is sent when it is this long.
pub(super) const FRAME_BYTES: usize = 192 << 10;
/// The level that adaptive compression uses.
const LEVEL: i32 = 3;
/// Below so many bytes a second of link speed, compressing is faster than sending plain bytes on any CPU
/// this runs on (zstd at level 3 makes about 200 MB/s a core).
const SLOW_LINK: u64 = 60_000_000;

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
    /// Bytes a second that the link took while frames were waiting; 0 before that is known.
    speed: AtomicU64,
    /// Frames that did not shrink, in a row.
    stubborn: AtomicUsize,
}

impl Outbox {
    /// How to compress the next frame of file bytes.
    pub(super) fn compression(&self) -> Compression {
        match self.state.compress {
            Compress::Always(level) => Some(level),
            Compress::Never => None,
            Compress::Adaptive if self.state.local => None,
            Compress::Adaptive => {
                let speed = self.state.speed.load(Ordering::Relaxed);
                // What did not shrink for a while is tried again now and then.
                let stubborn = self.state.stubborn.fetch_add(1, Ordering::Relaxed);
                let worth_it = stubborn < 4 || stubborn.is_multiple_of(16);
                (speed > 0 && speed < SLOW_LINK && worth_it).then_some(LEVEL)
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
        let (compression, plain) = (self.compression(), builder.len());
        let frame = builder.take(compression);
        if compression.is_some() && frame.len() < plain {
            self.state.stubborn.store(0, Ordering::Relaxed);
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
}

impl Use {
    /// As `options` say, for an end that sends files or does not.
    pub(super) fn new(options: &Options, sender: bool, local: bool) -> Use {
        Use { compress: options.compress, local, blocking: sender, bandwidth_max: options.bandwidth_max }
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
        speed: AtomicU64::new(0),
        stubborn: AtomicUsize::new(0),
    });
    let shared = state.clone();
    let writer = std::thread::spawn(move || write(send, &waiting, &shared, usage.bandwidth_max));
    let (arrived, inbox) = bounded(8);
    let reader = std::thread::spawn(move || read(recv, frames, &arrived));
    Wire { outbox: Outbox { frames: queue, state }, inbox, writer: Writer(writer), reader, stats }
}

#[expect(clippy::disallowed_methods, reason = "measures the link's speed and keeps to a rate")]
fn write(
    mut send: Box<dyn SendHalf>,
    waiting: &Receiver<Bytes>,
    state: &State,
    bandwidth_max: Option<u64>,
) -> Result<(), NetError> {
    let mut window = (Instant::now(), 0_u64);
    let mut due = Instant::now();
    loop {
        let frame = match waiting.recv_timeout(SILENCE) {
            Ok(frame) => frame,
            // A frame of no messages: this end is busy, not gone.
            Err(RecvTimeoutError::Timeout) => FrameBuilder::default().take(None),
            Err(RecvTimeoutError::Disconnected) => return send.finish(),
        };
        let len = frame.len() as u64;
        if let Some(rate) = bandwidth_max {
            let now = Instant::now();
            if due > now {
                std::thread::sleep(due - now);
            }
            let took = Duration::from_secs_f64(len as f64 / rate.max(1) as f64);
            due = due.max(now) + took;
        }
        let began = Instant::now();
        send.send(frame)?;
        // Only what was sent with more waiting behind it says how fast the link is.
        if waiting.is_empty() {
            window = (Instant::now(), 0);
            continue;
        }
        if window.1 == 0 {
            window.0 = began;
        }
        window.1 += len;
        let elapsed = window.0.elapsed();
        if elapsed > Duration::from_millis(20) && window.1 > 64 << 10 {
            let speed = (window.1 as f64 / elapsed.as_secs_f64()) as u64;
            state.speed.store(speed.max(1), Ordering::Relaxed);
            window = (Instant::now(), 0);
        }
    }
}

fn read(mut recv: Box<dyn RecvHalf>, mut frames: FrameReader, arrived: &Sender<Result<Payload, SyncError>>) {
    let end = loop {
        loop {
            match frames.next() {
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
            Ok(Some(bytes)) => frames.push(&bytes),
            Ok(None) => break frames.finish().err().map(SyncError::from),
            Err(error) => break Some(error.into()),
        }
    };
    if let Some(error) = end {
        let _ = arrived.send(Err(error));
    }
}
