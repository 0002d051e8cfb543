//! Links inside one process: a bounded queue each way.
//!
//! A queue costs one lock a frame for the writer and one lock a queueful for the reader, who takes all there is
//! at once; each wakes the other only if it sleeps, and a writer that slept wakes to an empty queue. Nothing is
//! copied.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::NetError;
use super::link::{Link, LinkStats, RecvHalf, SendHalf, Wire};

/// What a queued piece counts beyond its bytes, so that a stream of tiny ones is bounded too.
const PIECE_OVERHEAD_BYTES: usize = 64;

/// Two ends of a link inside this process, for a sync between two local trees.
///
/// Each direction queues `capacity_bytes`, and one frame more at most; the reader holds as much again while it
/// works on what it took. There is no timeout: a thread that hashes for an hour is not a broken network.
///
/// ```
/// let (mut here, mut there) = syncline::net::memory_pair(1 << 20);
/// here.send.send("hello".into())?;
/// here.send.finish()?;
/// assert_eq!(there.recv.recv()?.as_deref(), Some(&b"hello"[..]));
/// assert!(there.recv.recv()?.is_none());
/// # Ok::<(), syncline::net::NetError>(())
/// ```
#[must_use]
pub fn memory_pair(capacity_bytes: usize) -> (Link, Link) {
    let there = Arc::new(Pipe::new(capacity_bytes));
    let back = Arc::new(Pipe::new(capacity_bytes));
    (memory_link(there.clone(), back.clone()), memory_link(back, there))
}

fn memory_link(out: Arc<Pipe>, back: Arc<Pipe>) -> Link {
    Link {
        send: Box::new(PipeSend { pipe: out.clone() }),
        recv: Box::new(PipeRecv::new(back.clone(), None)),
        stats: Arc::new(PipeStats { out, back }),
        peer: None,
    }
}

/// A bounded queue of pieces, which ends cleanly or breaks.
#[derive(Default)]
pub(super) struct Pipe {
    state: Mutex<State>,
    readable: Condvar,
    writable: Condvar,
    capacity: usize,
    /// Payload bytes that went in, over all time.
    total: AtomicU64,
    /// Grows whenever what went in gets further, so that a waiting writer can tell slow from stuck.
    progress: AtomicU64,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    held: usize,
    end: Option<End>,
    reader_waits: bool,
    writer_waits: bool,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Clean,
    Broken { code: Option<u32>, reason: String },
}

impl End {
    fn error(&self) -> NetError {
        match self {
            End::Clean => NetError::closed("already finished"),
            End::Broken { code, reason } => NetError::Closed { code: *code, reason: reason.clone() },
        }
    }
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Pipe {
        Pipe { capacity, ..Pipe::default() }
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Relaxed)
    }

    /// Says that some of what was taken has got further.
    pub(super) fn note_progress(&self) {
        self.progress.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the queue")
    }

    /// Waits for a wake-up, or for `stall`; says whether it was the latter.
    fn wait<'a>(
        condvar: &Condvar,
        state: MutexGuard<'a, State>,
        stall: Option<Duration>,
    ) -> (MutexGuard<'a, State>, bool) {
        const UNPOISONED: &str = "no thread panics while it holds the queue";
        let Some(stall) = stall else { return (condvar.wait(state).expect(UNPOISONED), false) };
        let (state, timeout) = condvar.wait_timeout(state, stall).expect(UNPOISONED);
        (state, timeout.timed_out())
    }

    /// Puts a piece at the end of the queue once there is room; gives up when the reader takes nothing for
    /// `stall`.
    pub(super) fn push(&self, piece: Bytes, stall: Option<Duration>) -> Result<(), NetError> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        while state.end.is_none() && state.held >= self.capacity {
            let progress = self.progress();
            state.writer_waits = true;
            let (woken, timed_out) = Self::wait(&self.writable, state, stall);
            state = woken;
            if timed_out && self.progress() == progress && state.held >= self.capacity {
                drop(state);
                // A frame is missing now: what follows must not look like an end.
                self.end(End::Broken { code: None, reason: "the receiver takes nothing".to_owned() });
                return Err(NetError::stalled("sending", stall));
            }
        }
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        self.total.fetch_add(piece.len() as u64, Relaxed);
        state.held += piece.len() + PIECE_OVERHEAD_BYTES;
        state.queue.push_back(piece);
        if mem::take(&mut state.reader_waits) {
            self.readable.notify_one();
        }
        Ok(())
    }

    /// Moves everything that is queued into `into`, which is empty; `false` at the clean end.
    /// Gives up when nothing comes for `stall`.
    pub(super) fn take(&self, into: &mut VecDeque<Bytes>, stall: Option<Duration>) -> Result<bool, NetError> {
        let mut state = self.lock();
        while state.end.is_none() && state.queue.is_empty() {
            state.reader_waits = true;
            let (woken, timed_out) = Self::wait(&self.readable, state, stall);
            state = woken;
            if timed_out && state.end.is_none() && state.queue.is_empty() {
                state.reader_waits = false;
                return Err(NetError::stalled("receiving", stall));
            }
        }
        match &state.end {
            Some(broken @ End::Broken { .. }) => return Err(broken.error()),
            Some(End::Clean) if state.queue.is_empty() => return Ok(false),
            _ => {}
        }
        mem::swap(&mut state.queue, into);
        state.held = 0;
        self.note_progress();
        if mem::take(&mut state.writer_waits) {
            self.writable.notify_one();
        }
        Ok(true)
    }

    /// Ends the queue, unless it has ended. A broken one loses what it holds.
    pub(super) fn end(&self, end: End) {
        self.end_locked(&mut self.lock(), end);
    }

    fn end_locked(&self, state: &mut State, end: End) {
        if state.end.is_some() {
            return;
        }
        if let End::Broken { .. } = end {
            state.queue = VecDeque::new();
            state.held = 0;
        }
        state.end = Some(end);
        self.readable.notify_all();
        self.writable.notify_all();
    }

    /// The error that broke the queue, if one did.
    pub(super) fn health(&self) -> Result<(), NetError> {
        match &self.lock().end {
            Some(broken @ End::Broken { .. }) => Err(broken.error()),
            _ => Ok(()),
        }
    }

    /// Ends the queue, even one that has ended cleanly but was not read to its end.
    pub(super) fn sever(&self, code: Option<u32>, reason: &str) {
        self.sever_locked(&mut self.lock(), code, reason);
    }

    fn sever_locked(&self, state: &mut State, code: Option<u32>, reason: &str) {
        if let (Some(End::Clean), false) = (&state.end, state.queue.is_empty()) {
            state.end = None;
        }
        self.end_locked(state, End::Broken { code, reason: reason.to_owned() });
    }

    /// Severs both queues of a link at one moment: who finds one of them broken finds the other broken too.
    pub(super) fn sever_both(&self, other: &Pipe, code: Option<u32>, reason: &str) {
        // In one order, whichever end does this, so that two that do it at once never wait for each other.
        let (first, second) = if std::ptr::from_ref(self) < other { (self, other) } else { (other, self) };
        let (mut first_state, mut second_state) = (first.lock(), second.lock());
        first.sever_locked(&mut first_state, code, reason);
        second.sever_locked(&mut second_state, code, reason);
    }
}

/// The writing half of a pipe.
struct PipeSend {
    pipe: Arc<Pipe>,
}

impl SendHalf for PipeSend {
    fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        self.pipe.push(frame, None)
    }

    fn finish(&mut self) -> Result<(), NetError> {
        self.pipe.end(End::Clean);
        self.pipe.health()
    }
}

impl Drop for PipeSend {
    fn drop(&mut self) {
        self.pipe.end(End::Broken { code: None, reason: "the sender left before it finished".to_owned() });
    }
}

/// The reading half of a pipe.
pub(super) struct PipeRecv {
    pipe: Arc<Pipe>,
    taken: VecDeque<Bytes>,
    stall: Option<Duration>,
}

impl PipeRecv {
    pub(super) fn new(pipe: Arc<Pipe>, stall: Option<Duration>) -> PipeRecv {
        PipeRecv { pipe, taken: VecDeque::new(), stall }
    }
}

impl RecvHalf for PipeRecv {
    fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        if self.taken.is_empty() && !self.pipe.take(&mut self.taken, self.stall)? {
            return Ok(None);
        }
        Ok(self.taken.pop_front())
    }
}

impl Drop for PipeRecv {
    fn drop(&mut self) {
        self.pipe.end(End::Broken { code: None, reason: "the receiver left before the end".to_owned() });
    }
}

/// Counts what two pipes carry, and severs both.
pub(super) struct PipeStats {
    pub(super) out: Arc<Pipe>,
    pub(super) back: Arc<Pipe>,
}

impl LinkStats for PipeStats {
    fn wire(&self) -> Wire {
        Wire { sent: self.out.total(), received: self.back.total(), rtt: None }
    }

    fn abort(&self, code: u32, reason: &str) {
        self.out.sever_both(&self.back, Some(code), reason);
    }
}
