//! A tree at a server → how fast it arrives, at a destination that keeps nothing.
//!
//! An ordinary pull: the server sees a client whose destination is empty, reads, hashes and sends as ever. Here
//! the bytes are counted and dropped. Nothing is written at either end, but for the index that any pull makes a
//! server keep.

use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::client::{Remote, greet, hello, profile_of};
use super::source::{await_tree, nothing_else};
use super::wire::{self, Use};
use super::{Options, Place, SyncError, Tree};
use crate::fs::mem::MemFs;
use crate::net::{Link, Wire};
use crate::transfer::frame::{FrameBuilder, FrameError};
use crate::transfer::locals::Locals;
use crate::transfer::message::{Direction, Message, Tree as TreeMessage};
use crate::transfer::receiver::{Action, Options as Wishes, Output, Protected, Receiver};

/// The code that a server is told when enough was seen: the client was interrupted.
const CODE_ENOUGH: u32 = 20;

/// When enough was seen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// File bytes that arrive at most, and a few frames more.
    pub bytes_max: u64,
    /// How long bytes may come.
    pub time_max: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    /// File bytes that arrived.
    pub bytes: u64,
    /// From the request for them to the last.
    pub time: Duration,
    /// From the destination's first word to the server's answer: its scan, and a round trip.
    pub answer_time: Duration,
    /// Whether that was everything there is.
    pub complete: bool,
    /// Bytes in all files there.
    pub bytes_total: u64,
    /// What went over the link, and its round-trip time.
    pub wire: Wire,
}

/// Pulls what `remote` names until it is all here or a bound is reached, and keeps nothing.
///
/// # Errors
/// [`SyncError`], if the server refuses, or the link fails.
#[expect(clippy::disallowed_methods, reason = "how fast bytes come is what is measured")]
pub fn probe(link: Link, remote: &Remote, bounds: Bounds, options: &Options) -> Result<Probed, SyncError> {
    let wire = wire::open(link, Use::new(options, false, false))?;
    let stats = wire.stats.clone();
    let name = remote.last();
    let result = (|| {
        let asked = hello(Direction::Pull, remote, remote.path(), 0, name, None, options);
        let welcome = greet(&wire, &Message::Hello(Box::new(asked)), options.named.as_deref())?;
        let place = Place::new(MemFs::new().root(), Path::new("/"));
        let bare = Options { cache: None, ..options.clone() };
        let tree = Tree::scan(place, profile_of(&welcome)?, &bare, true)?;
        let snapshot = std::sync::Arc::new(tree.scan.snapshot);
        let started = Instant::now();
        wire.outbox.message(&Message::Tree(TreeMessage::of(&snapshot)));
        let mut theirs = None;
        while theirs.as_ref().is_none_or(|theirs: &TreeMessage| theirs.more) {
            await_tree(&wire, &mut theirs, nothing_else)?;
        }
        let theirs = theirs.ok_or(FrameError::Cut)?;
        let answer_time = started.elapsed();
        let locals = Locals::new(Box::new(|_| None), Vec::new());
        let wishes = Wishes { single: welcome.only.is_some(), ..Wishes::default() };
        let machine = Receiver::new(snapshot, locals, theirs, Protected::default(), wishes)?;
        let started = Instant::now();
        let (bytes, complete) = take(machine, &wire, bounds, started + bounds.time_max)?;
        let (time, wire) = (started.elapsed(), stats.wire());
        Ok(Probed { bytes, time, answer_time, complete, bytes_total: theirs.bytes, wire })
    })();
    if result.as_ref().is_ok_and(|probed| !probed.complete) {
        stats.abort(CODE_ENOUGH, "only measured how fast it comes");
    }
    let closed = super::close(wire, &result);
    let probed = result?;
    if probed.complete {
        closed?;
    }
    Ok(probed)
}

/// Counts what comes until a bound is reached or nothing more does.
#[expect(clippy::disallowed_methods, reason = "gives up after a while")]
fn take(
    mut machine: Receiver,
    wire: &wire::Wire,
    bounds: Bounds,
    deadline: Instant,
) -> Result<(u64, bool), SyncError> {
    let mut builder = FrameBuilder::default();
    let mut bytes = 0;
    loop {
        drain(&mut machine, wire, &mut builder, &mut bytes);
        wire.outbox.send_list(&mut builder);
        if machine.is_complete() {
            // No root: nothing here is what the source is.
            let (report, round_trips) = (machine.report(), machine.round_trips());
            wire.outbox.message(&Message::Done { root: None, report, code: 0, round_trips });
            return Ok((bytes, true));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if bytes >= bounds.bytes_max || left.is_zero() {
            return Ok((bytes, false));
        }
        let payload = match wire.inbox.recv_timeout(left) {
            Ok(payload) => payload?,
            Err(RecvTimeoutError::Timeout) => return Ok((bytes, false)),
            Err(RecvTimeoutError::Disconnected) => return Err(FrameError::Cut.into()),
        };
        payload.for_each(|message, frame| {
            machine.handle(message, frame)?;
            drain(&mut machine, wire, &mut builder, &mut bytes);
            Ok::<(), SyncError>(())
        })?;
    }
}

/// Does as if everything that the machine wants were done.
fn drain(machine: &mut Receiver, wire: &wire::Wire, builder: &mut FrameBuilder, bytes: &mut u64) {
    while let Some(output) = machine.poll() {
        match output {
            Output::Message(Message::Items(_)) => {}
            Output::Message(message) => builder.push(&message),
            Output::Action(Action::Whole { file, data, .. }) => {
                *bytes += data.len() as u64;
                machine.closed(file);
            }
            Output::Action(Action::Write { data, .. }) => *bytes += data.len() as u64,
            Output::Action(Action::Finish { file, .. } | Action::Clone { file, .. }) => machine.closed(file),
            Output::Action(_) => {}
        }
        if builder.len() >= wire::FRAME_BYTES {
            wire.outbox.send_list(builder);
        }
    }
}
