//! Requests and answers ↔ a link on which both ends have greeted: frames, and a sign of life where there are none.

use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::message::Numbered;
use crate::codec::DecodeError;
use crate::net::{NetError, RecvHalf, SendHalf};
use crate::transfer::ProtocolError;
use crate::transfer::frame::{FrameBuilder, FrameError, FrameReader, Payload};

/// Frames that wait for the link at most.
const QUEUE_FRAMES: usize = 4;
/// After so long without anything to send, an empty frame is sent: links give up on silence.
const SILENCE: Duration = Duration::from_secs(10);

/// Why two ends of a store cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The link failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The other end broke the protocol, or gave up.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<FrameError> for RemoteError {
    fn from(error: FrameError) -> RemoteError {
        RemoteError::Protocol(error.into())
    }
}

impl From<DecodeError> for RemoteError {
    fn from(error: DecodeError) -> RemoteError {
        RemoteError::Protocol(error.into())
    }
}

/// Sends, on a thread of its own.
pub(super) struct Writer {
    pub(super) frames: Sender<Bytes>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(mut send: Box<dyn SendHalf>) -> Writer {
        let (frames, waiting) = bounded(QUEUE_FRAMES);
        let thread = std::thread::spawn(move || {
            // A failure is told by the receiving half too.
            let _ = write(&mut *send, &waiting);
        });
        Writer { frames, thread }
    }

    /// Waits until everything is sent; every other sender of frames must be dropped.
    pub(super) fn finish(self) {
        drop(self.frames);
        let _ = self.thread.join();
    }
}

fn write(send: &mut dyn SendHalf, waiting: &Receiver<Bytes>) -> Result<(), NetError> {
    loop {
        match waiting.recv_timeout(SILENCE) {
            Ok(frame) => send.send(frame)?,
            Err(RecvTimeoutError::Timeout) => send.send(FrameBuilder::default().take(None))?,
            // Whatever the other end was to do, it has answered.
            Err(RecvTimeoutError::Disconnected) => return send.finish_heard(),
        }
    }
}

/// A message as a frame.
pub(super) fn frame(number: u64, message: impl Serialize) -> Bytes {
    let mut builder = FrameBuilder::default();
    builder.push_value(&Numbered { number, message });
    builder.take(None)
}

/// Receives.
pub(super) struct Reader {
    pub(super) recv: Box<dyn RecvHalf>,
    pub(super) frames: FrameReader,
}

impl Reader {
    /// Waits for the next frame that holds something; `None` at the clean end.
    ///
    /// # Errors
    /// [`RemoteError`], after which there is nothing more.
    pub(super) fn next(&mut self) -> Result<Option<Payload>, RemoteError> {
        loop {
            match self.frames.next()? {
                Some(payload) if !payload.is_empty() => return Ok(Some(payload)),
                Some(_) => {}
                None => match self.recv.recv()? {
                    Some(bytes) => self.frames.push(&bytes),
                    None => {
                        self.frames.finish()?;
                        return Ok(None);
                    }
                },
            }
        }
    }
}
