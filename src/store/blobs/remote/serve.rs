//! The end that answers: requests on a link → a place, and what it says.
//!
//! Requests are carried out one after the other. What one of them can do: read any blob of the place, and, where the client may
//! write, put blobs under their own names, remove blobs, and replace the head that is there. Nothing is written while another has
//! the lock, in this process or another; who has not asked for it is given it for the one request.

use std::io;

use bytes::Bytes;
use crossbeam_channel::Sender;

use super::super::{BlobName, Blobs, HEAD_BYTES_MAX, HeadVersion, Locking, WriteLock};
use super::line::{Reader, RemoteError, Writer, frame};
use super::message::{
    Answer, LIST_MAX, Numbered, PIECE_BYTES, Request, Version, WireKind, WireLock, WireName,
};
use super::{BLOBS_MAX, PUT_BYTES_MAX, READ_BYTES_MAX};
use crate::codec::{Bounded, decode};
use crate::net::{Link, NetError};
use crate::transfer::frame::{FrameBuilder, FrameError, FrameReader};
use crate::transfer::message::{Message, StorePlace, Text};
use crate::transfer::violation;

/// What a client that broke the protocol is told.
const CODE_PROTOCOL: u32 = 12;

/// What is answered for.
#[derive(Clone, Copy)]
pub struct Answering<'a> {
    /// The place; `None`: there is no store.
    pub place: Option<&'a dyn Blobs>,
    /// Whether the client may write.
    pub writable: bool,
}

/// Answers a client's requests until it leaves. Both ends have greeted, and `frames` holds what has arrived behind the client's
/// [`Store`](Message::Store).
///
/// # Errors
/// [`RemoteError`] if the link was lost in the middle of a request, or the client broke the protocol.
pub fn serve(link: Link, frames: FrameReader, answering: Answering<'_>) -> Result<(), RemoteError> {
    let Answering { place, writable } = answering;
    let agent = Text::new(concat!("syncline ", env!("CARGO_PKG_VERSION")).into()).unwrap_or_default();
    let shared = place.is_some_and(Blobs::is_shared);
    let mut builder = FrameBuilder::default();
    builder.push(&Message::Place(StorePlace { agent, found: place.is_some(), shared }));
    let writer = Writer::start(link.send);
    let mut reader = Reader { recv: link.recv, frames };
    let greeted = writer.frames.send(builder.take(None)).is_ok();
    let result = match place {
        Some(blobs) if greeted => {
            let frames = writer.frames.clone();
            Session { blobs, writable, frames, lock: None }.run(&mut reader)
        }
        // It leaves when it has read that.
        _ => reader.next().map(drop).or(Ok(())),
    };
    if let Err(RemoteError::Protocol(error)) = &result {
        link.stats.abort(CODE_PROTOCOL, &error.to_string());
    }
    writer.finish();
    result
}

struct Session<'a> {
    blobs: &'a dyn Blobs,
    writable: bool,
    frames: Sender<Bytes>,
    lock: Option<Box<dyn WriteLock>>,
}

impl Session<'_> {
    fn run(mut self, reader: &mut Reader) -> Result<(), RemoteError> {
        loop {
            let payload = match reader.next() {
                Ok(Some(payload)) => payload,
                // Nothing was under way: it may leave as it likes.
                Ok(None) | Err(RemoteError::Net(NetError::Closed { .. })) => return Ok(()),
                Err(error) => return Err(error),
            };
            let Numbered { number, message } = decode("request", payload.bytes())?;
            self.answer(number, message, reader)?;
        }
    }

    fn answer(&mut self, number: u64, request: Request<'_>, reader: &mut Reader) -> Result<(), RemoteError> {
        let answered = match request {
            Request::Settings => self.blobs.settings().and_then(|bytes| self.bytes(number, &bytes)),
            Request::PutSettings(bytes) => {
                self.change(|blobs| blobs.put_settings(&bytes)).map(|()| self.say(number, Answer::Done))
            }
            Request::ReplaceSettings(bytes) => {
                self.change(|blobs| blobs.replace_settings(&bytes)).map(|()| self.say(number, Answer::Done))
            }
            Request::Head => self.head(number),
            Request::ReplaceHead { expected, len } => {
                let bytes = body(reader, number, len, HEAD_BYTES_MAX as u64, self.writable)?;
                self.replace_head(expected, &bytes).map(|version| self.say(number, Answer::Replaced(version)))
            }
            Request::List(kind) => self.list(number, kind),
            Request::Len(blob) => self.blobs.len(&blob.into()).map(|len| self.say(number, Answer::Len(len))),
            Request::Read { blob, offset, len } => self.read(number, blob, offset, len),
            Request::Put { blob, len } => {
                let bytes = body(reader, number, len, PUT_BYTES_MAX, self.writable)?;
                self.put(blob.into(), &bytes).map(|()| self.say(number, Answer::Done))
            }
            Request::Remove(blob) => {
                self.change(|blobs| blobs.remove(&blob.into())).map(|()| self.say(number, Answer::Done))
            }
            Request::RemoveLeftovers => {
                self.change(|blobs| blobs.remove_leftovers()).map(|()| self.say(number, Answer::Done))
            }
            Request::Lock => self.take_lock().map(|lock| self.say(number, Answer::Lock(lock))),
            Request::Unlock => {
                self.lock = None;
                self.say(number, Answer::Done);
                Ok(())
            }
            Request::Piece(_) => return Err(violation("bytes that belong to no request").into()),
        };
        if let Err(error) = answered {
            self.say(number, Answer::failed(&error));
        }
        Ok(())
    }

    /// Sends a part of an answer. A link that takes none is heard of when the next request is read.
    fn say(&self, number: u64, answer: Answer<'_>) {
        let _ = self.frames.send(frame(number, answer));
    }

    /// Carries out a change, if the client may make it and nobody else is making others.
    fn change<T>(&self, change: impl FnOnce(&dyn Blobs) -> io::Result<T>) -> io::Result<T> {
        let _lock = match (&self.lock, self.writable) {
            (_, false) => return Err(read_only()),
            (Some(_), true) => None,
            (None, true) => match self.blobs.lock()? {
                Locking::Held(lock) => Some(lock),
                Locking::Shared => None,
                Locking::Taken(_) => {
                    let text = "another is writing to the store, and the lock is not this client's";
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
                }
            },
        };
        change(self.blobs)
    }

    fn take_lock(&mut self) -> io::Result<WireLock> {
        if !self.writable {
            return Err(read_only());
        }
        Ok(match self.blobs.lock()? {
            Locking::Held(lock) => {
                self.lock = Some(lock);
                WireLock::Held
            }
            Locking::Shared => WireLock::Shared,
            Locking::Taken(pid) => WireLock::Taken(pid),
        })
    }

    fn put(&self, blob: BlobName, bytes: &[u8]) -> io::Result<()> {
        if self.writable && BlobName::of(blob.kind, bytes) != blob {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a blob with other bytes than its name says",
            ));
        }
        self.change(|blobs| blobs.put(&blob, bytes))
    }

    fn replace_head(&self, expected: Option<Version>, bytes: &[u8]) -> io::Result<Option<Version>> {
        let expected = match expected.map(|text| String::from_utf8(text.into_vec())) {
            None => None,
            Some(Ok(text)) => Some(HeadVersion(text)),
            // No head has that.
            Some(Err(_)) => return Ok(None),
        };
        let replaced = self.change(|blobs| blobs.replace_head(expected.as_ref(), bytes))?;
        replaced.map(told).transpose()
    }

    fn head(&self, number: u64) -> io::Result<()> {
        let Some(head) = self.blobs.head()? else {
            self.say(number, Answer::Head(None));
            return Ok(());
        };
        self.say(number, Answer::Head(Some((told(head.version)?, head.bytes.len() as u64))));
        self.bytes(number, &head.bytes)
    }

    fn bytes(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(PIECE_BYTES));
            rest = behind;
            self.say(number, Answer::Bytes { more: !rest.is_empty(), bytes: piece });
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&self, number: u64, blob: WireName, offset: u64, len: u64) -> io::Result<()> {
        if len > READ_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a longer range than may be asked for"));
        }
        let (blob, end) = (blob.into(), offset.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?);
        let mut at = offset;
        loop {
            let next = end.min(at + PIECE_BYTES as u64);
            let bytes = self.blobs.read(&blob, at..next)?;
            self.say(number, Answer::Bytes { more: next < end, bytes: &bytes });
            if next == end {
                return Ok(());
            }
            at = next;
        }
    }

    fn list(&self, number: u64, kind: WireKind) -> io::Result<()> {
        let found = self.blobs.list(kind.into())?;
        if found.len() > BLOBS_MAX {
            return Err(io::Error::other(format!(
                "{} blobs of one kind; {BLOBS_MAX} can be told",
                found.len()
            )));
        }
        let mut rest = &found[..];
        loop {
            let (part, behind) = rest.split_at(rest.len().min(LIST_MAX));
            rest = behind;
            let blobs = Bounded::new(part.iter().map(Into::into).collect()).unwrap_or_default();
            self.say(number, Answer::Blobs { more: !rest.is_empty(), blobs });
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the store is read-only for this key")
}

fn told(version: HeadVersion) -> io::Result<Version> {
    Version::new(version.0.into_bytes())
        .map_err(|_| io::Error::other("a head's version is too long to be told"))
}

/// Reads the bytes that belong to a request; where nothing will be written, none is kept.
fn body(reader: &mut Reader, number: u64, len: u64, max: u64, wanted: bool) -> Result<Vec<u8>, RemoteError> {
    if len > max {
        return Err(violation(format!("{len} bytes are to be written at once; at most {max} are")).into());
    }
    let (mut bytes, mut taken) = (Vec::new(), 0);
    while taken < len {
        let payload = reader.next()?.ok_or(FrameError::Cut)?;
        let request: Numbered<Request<'_>> = decode("request", payload.bytes())?;
        let Request::Piece(piece) = request.message else {
            return Err(violation("a request within the bytes of another").into());
        };
        taken += piece.len() as u64;
        if request.number != number || piece.is_empty() || taken > len {
            return Err(violation("other bytes than were announced").into());
        }
        if wanted {
            bytes.extend_from_slice(piece);
        }
    }
    Ok(bytes)
}
