//! One link to a store's server, which threads share: requests follow each other, and so do the answers.
//!
//! Who asks puts what takes the answer in a queue and the request on the link, both in one order; a thread reads the
//! answers and gives each to the first in the queue. So this end always reads what the server has to say, also while it
//! sends a blob.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::VERSION;
use super::line::{Reader, RemoteError, Writer, frame};
use super::message::{Answer, Numbered, PIECE_BYTES, Request, failure};
use crate::codec::decode;
use crate::net::{Link, LinkStats, NetError};
use crate::transfer::frame::{FrameBuilder, FrameError, FrameReader, preamble};
use crate::transfer::message::{Message, StoreHello, StorePlace, Text};
use crate::transfer::{ProtocolError, violation};

/// How long an answer may take when nothing more can be sent.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Why there is no answer.
pub(super) enum Trouble {
    /// The server said why.
    Place(io::Error),
    /// The link failed, or what came over it made no sense.
    Lost(RemoteError),
}

/// What an answer's part gives: the whole, or nothing yet.
pub(super) type Taken<T> = Result<Option<T>, ProtocolError>;

/// Takes the parts of an answer. Says whether it was the last.
type Take = Box<dyn FnMut(Result<Answer<'_>, Trouble>) -> Result<bool, ProtocolError> + Send>;

/// A link to a store's server.
pub(super) struct Connection {
    asking: Mutex<Option<Asking>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    is_lost: Arc<AtomicBool>,
    /// The link says goodbye when nobody has this any more.
    _stats: Arc<dyn LinkStats>,
}

struct Asking {
    writer: Writer,
    waiting: Sender<(u64, Take)>,
    next: u64,
}

impl Connection {
    /// Greets a server: asks for the store that is a module of it.
    ///
    /// # Errors
    /// [`RemoteError`]: what the server said is [`ProtocolError::Aborted`].
    pub(super) fn open(
        mut link: Link,
        module: &str,
        make: bool,
    ) -> Result<(Connection, StorePlace), RemoteError> {
        let text = |text: &str| Text::new(text.as_bytes().to_vec()).unwrap_or_default();
        let agent = text(concat!("syncline ", env!("CARGO_PKG_VERSION")));
        let hello = StoreHello { agent, version: VERSION, module: text(module), make };
        let mut builder = FrameBuilder::default();
        builder.push(&Message::Store(hello));
        // A server that does not speak this has said why before it closed.
        let sent = link.send.send(preamble()).and_then(|()| link.send.send(builder.take(None)));
        let mut reader = Reader { recv: link.recv, frames: FrameReader::default() };
        let place = match reader.next() {
            Ok(Some(payload)) => match decode::<Message<'_>>("message", payload.bytes())? {
                Message::Place(place) => place,
                Message::Abort(abort) => {
                    return Err(ProtocolError::aborted(abort.code, &abort.text).into());
                }
                _ => return Err(violation("a message before the store's").into()),
            },
            Ok(None) => return Err(FrameError::Cut.into()),
            Err(error) => {
                sent?;
                return Err(error);
            }
        };
        let (waiting, queue) = unbounded();
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = is_lost.clone();
        let thread = std::thread::spawn(move || {
            hear(&mut reader, &queue, &lost);
        });
        let asking = Asking { writer: Writer::start(link.send), waiting, next: 0 };
        let connection = Connection {
            asking: Mutex::new(Some(asking)),
            reader: Mutex::new(Some(thread)),
            is_lost,
            _stats: link.stats,
        };
        Ok((connection, place))
    }

    /// Whether there will be no more answers.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Asks, with the bytes that belong to it, and waits until `take` has the whole answer.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn ask<T: Send + 'static>(
        &self,
        request: Request<'_>,
        body: &[u8],
        mut take: impl FnMut(Answer<'_>) -> Taken<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (tell, told) = bounded(1);
        let take: Take = Box::new(move |answer| {
            let result = match answer {
                Ok(Answer::Failed { why, text }) => Err(Trouble::Place(failure(why, &text))),
                Ok(answer) => match take(answer)? {
                    Some(whole) => Ok(whole),
                    None => return Ok(false),
                },
                Err(trouble) => Err(trouble),
            };
            let _ = tell.send(result);
            Ok(true)
        });
        let is_sent = self.send(request, body, take);
        if !is_sent {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        let answer = if is_sent { told.recv().ok() } else { told.recv_timeout(LAST_WORD).ok() };
        answer
            .unwrap_or_else(|| Err(lost(NetError::closed("the link to the store's server was lost").into())))
    }

    /// Puts a request on its way.
    fn send(&self, request: Request<'_>, body: &[u8], take: Take) -> bool {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asking) = &mut *asking else { return false };
        let number = asking.next;
        asking.next += 1;
        if asking.waiting.send((number, take)).is_err() {
            return false;
        }
        let frames = &asking.writer.frames;
        let is_sent = frames.send(frame(number, request)).is_ok();
        is_sent
            && body.chunks(PIECE_BYTES).all(|piece| frames.send(frame(number, Request::Piece(piece))).is_ok())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let asking = self.asking.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Asking { writer, waiting, .. }) = asking {
            drop(waiting);
            writer.finish();
        }
        if let Some(reader) = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = reader.join();
        }
    }
}

fn lost(error: RemoteError) -> Trouble {
    Trouble::Lost(error)
}

/// Gives each answer to who waits for it, until nobody asks any more or there are no more answers.
fn hear(reader: &mut Reader, queue: &Receiver<(u64, Take)>, is_lost: &AtomicBool) {
    for (number, mut take) in queue {
        if let Err(error) = answer(reader, number, &mut take) {
            is_lost.store(true, Ordering::Relaxed);
            let _ = take(Err(Trouble::Lost(error)));
            return;
        }
    }
}

/// Reads one answer to its end.
fn answer(reader: &mut Reader, number: u64, take: &mut Take) -> Result<(), RemoteError> {
    loop {
        let payload = reader.next()?.ok_or(FrameError::Cut)?;
        let answer: Numbered<Answer<'_>> = decode("answer", payload.bytes())?;
        if answer.number != number {
            return Err(violation("an answer to another request").into());
        }
        if take(Ok(answer.message))? {
            return Ok(());
        }
    }
}

/// Takes bytes, at most so many.
pub(super) fn bytes(max: usize) -> impl FnMut(Answer<'_>) -> Taken<Bytes> + Send + 'static {
    let mut whole = Vec::new();
    move |answer| {
        let Answer::Bytes { more, bytes } = answer else { return Err(other()) };
        if bytes.len() > max - whole.len() || more && bytes.is_empty() {
            return Err(violation("other bytes than were asked for"));
        }
        whole.extend_from_slice(bytes);
        Ok((!more).then(|| std::mem::take(&mut whole).into()))
    }
}

/// An answer of another kind.
pub(super) fn other() -> ProtocolError {
    violation("an answer of another kind than the request")
}
