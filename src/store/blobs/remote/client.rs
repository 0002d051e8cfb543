//! The end that asks: a place for blobs that lie at a server.
//!
//! A link that was lost is made anew once where a request can be repeated: what reads, what removes, and a blob that is put under
//! its own name. A head that was to be replaced is not tried again, as nobody knows whether it was. With the link goes the lock:
//! until that is dropped, nothing is written any more, for others may have written meanwhile.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::super::{
    BlobInfo, BlobKind, BlobName, Blobs, HEAD_BYTES_MAX, Head, HeadVersion, Locking, WriteLock,
};
use super::connection::{Connection, Taken, Trouble, bytes, other};
use super::line::RemoteError;
use super::message::{Answer, Request, SETTINGS_BYTES_MAX, Version, WireLock};
use super::{BLOBS_MAX, PUT_BYTES_MAX, READ_BYTES_MAX};
use crate::codec::Bounded;
use crate::net::{Link, NetError};
use crate::transfer::frame::FrameError;
use crate::transfer::{ProtocolError, violation};

/// Makes a link to the server.
pub type Dial = Box<dyn Fn() -> Result<Link, NetError> + Send + Sync>;

/// Blobs at a server.
pub struct RemoteBlobs(Arc<Shared>);

struct Shared {
    dial: Dial,
    module: String,
    is_shared: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Connection>>,
    /// The one that has the lock.
    locked: Option<Arc<Connection>>,
}

impl RemoteBlobs {
    /// The store that is a module of the server at `link`; `dial` makes another link when that is lost. `make`: its place
    /// is made there, if the module's folder is empty.
    ///
    /// `None` if there is no store.
    ///
    /// # Errors
    /// [`RemoteError`]: what the server said is [`ProtocolError::Aborted`].
    pub fn open(
        link: Link,
        module: &str,
        make: bool,
        dial: Dial,
    ) -> Result<Option<RemoteBlobs>, RemoteError> {
        let (connection, place) = Connection::open(link, module, make)?;
        if !place.found {
            return Ok(None);
        }
        let state = Mutex::new(State { current: Some(Arc::new(connection)), locked: None });
        let (module, is_shared) = (module.to_owned(), place.shared);
        Ok(Some(RemoteBlobs(Arc::new(Shared { dial, module, is_shared, state }))))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link, or a new one if it is lost.
    fn connection(&self) -> Result<Arc<Connection>, Trouble> {
        let mut state = self.state();
        if let Some(current) = state.current.as_ref().filter(|current| !current.is_lost()) {
            return Ok(current.clone());
        }
        state.current = None;
        let opened = (self.dial)()
            .map_err(RemoteError::from)
            .and_then(|link| Connection::open(link, &self.module, false));
        let (connection, place) = opened.map_err(Trouble::Lost)?;
        if !place.found || place.shared != self.is_shared {
            return Err(Trouble::Lost(violation("another store than before").into()));
        }
        let connection = Arc::new(connection);
        state.current = Some(connection.clone());
        Ok(connection)
    }

    /// Asks on whatever link there is, and once more on another if that was lost.
    fn reading<T>(&self, ask: impl Fn(&Arc<Connection>) -> Result<T, Trouble>) -> io::Result<T> {
        let first = self.connection().and_then(|connection| ask(&connection));
        let result = match first {
            Err(Trouble::Lost(
                RemoteError::Net(_) | RemoteError::Protocol(ProtocolError::Frame(FrameError::Cut)),
            )) => self.connection().and_then(|connection| ask(&connection)),
            first => first,
        };
        result.map_err(io_error)
    }

    /// Asks for a change that may be asked for twice: on the link that has the lock, or as [`reading`](Shared::reading).
    fn writing<T>(&self, ask: impl Fn(&Arc<Connection>) -> Result<T, Trouble>) -> io::Result<T> {
        match self.locked() {
            Some(locked) => ask(&locked).map_err(lock_lost),
            None => self.reading(ask),
        }
    }

    /// Asks for a change that may not be asked for twice.
    fn writing_once<T>(&self, ask: impl Fn(&Arc<Connection>) -> Result<T, Trouble>) -> io::Result<T> {
        match self.locked() {
            Some(locked) => ask(&locked).map_err(lock_lost),
            None => self.connection().and_then(|connection| ask(&connection)).map_err(io_error),
        }
    }

    fn locked(&self) -> Option<Arc<Connection>> {
        self.state().locked.clone()
    }
}

fn bounded(settings: &[u8]) -> io::Result<Bounded<u8, SETTINGS_BYTES_MAX>> {
    let too_long = |_| too_long("settings", settings.len() as u64, SETTINGS_BYTES_MAX as u64);
    Bounded::new(settings.to_vec()).map_err(too_long)
}

fn io_error(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Place(error) => error,
        Trouble::Lost(error) => {
            let kind = match &error {
                RemoteError::Net(NetError::Timeout { .. }) => io::ErrorKind::TimedOut,
                RemoteError::Net(_) => io::ErrorKind::ConnectionAborted,
                RemoteError::Protocol(_) => io::ErrorKind::InvalidData,
            };
            io::Error::new(kind, error)
        }
    }
}

/// The same, of a link that had the lock.
fn lock_lost(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Lost(RemoteError::Net(NetError::Closed { code, reason })) => {
            let reason = format!("{reason}; the store's lock is lost with it");
            io_error(Trouble::Lost(NetError::Closed { code, reason }.into()))
        }
        other => io_error(other),
    }
}

/// The lock, for as long as this lives and its link does.
struct RemoteLock {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

impl WriteLock for RemoteLock {}

impl Drop for RemoteLock {
    fn drop(&mut self) {
        self.shared.state().locked.take_if(|locked| Arc::ptr_eq(locked, &self.connection));
        // A link that is lost has none.
        let _ = self.connection.ask(Request::Unlock, &[], done);
    }
}

fn done(answer: Answer<'_>) -> Taken<()> {
    if answer == Answer::Done { Ok(Some(())) } else { Err(other()) }
}

fn version(text: Version) -> Result<HeadVersion, ProtocolError> {
    let text =
        String::from_utf8(text.into_vec()).map_err(|_| violation("a head's version that is no text"))?;
    Ok(HeadVersion(text))
}

fn too_long(what: &str, len: u64, max: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{what} of {len} bytes; at most {max} go to a server"),
    )
}

impl Blobs for RemoteBlobs {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if len > PUT_BYTES_MAX {
            return Err(too_long("a blob", len, PUT_BYTES_MAX));
        }
        let blob = (*name).into();
        self.0.writing(|connection| connection.ask(Request::Put { blob, len }, bytes, done))
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        let len = range.end.checked_sub(range.start).ok_or(io::ErrorKind::UnexpectedEof)?;
        if len > READ_BYTES_MAX {
            return Err(too_long("a range", len, READ_BYTES_MAX));
        }
        let (blob, offset) = ((*name).into(), range.start);
        let read = self.0.reading(|connection| {
            connection.ask(Request::Read { blob, offset, len }, &[], bytes(len as usize))
        })?;
        if read.len() as u64 != len {
            return Err(io_error(Trouble::Lost(violation("fewer bytes than were asked for").into())));
        }
        Ok(read)
    }

    fn len(&self, name: &BlobName) -> io::Result<u64> {
        let blob = (*name).into();
        self.0.reading(|connection| {
            connection.ask(Request::Len(blob), &[], |answer| match answer {
                Answer::Len(len) => Ok(Some(len)),
                _ => Err(other()),
            })
        })
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        self.0.reading(|connection| {
            let mut found = Vec::new();
            connection.ask(Request::List(kind.into()), &[], move |answer| {
                let Answer::Blobs { more, blobs } = answer else { return Err(other()) };
                if more && blobs.is_empty() || found.len() + blobs.len() > BLOBS_MAX {
                    return Err(violation("a list of blobs without an end"));
                }
                found.extend(blobs.iter().map(|info| info.of(kind)));
                Ok((!more).then(|| std::mem::take(&mut found)))
            })
        })
    }

    fn remove(&self, name: &BlobName) -> io::Result<()> {
        let blob = (*name).into();
        self.0.writing(|connection| connection.ask(Request::Remove(blob), &[], done))
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        self.0.writing(|connection| connection.ask(Request::RemoveLeftovers, &[], done))
    }

    fn head(&self) -> io::Result<Option<Head>> {
        self.0.reading(|connection| {
            let mut told = None;
            connection.ask(Request::Head, &[], move |answer| match (&mut told, answer) {
                (None, Answer::Head(None)) => Ok(Some(None)),
                (None, Answer::Head(Some((text, len)))) if len <= HEAD_BYTES_MAX as u64 => {
                    told = Some((version(text)?, bytes(len as usize), len));
                    Ok(None)
                }
                (None, Answer::Head(Some(_))) => Err(violation("a head that is longer than any")),
                (Some((version, take, len)), answer) => {
                    let Some(bytes) = take(answer)? else { return Ok(None) };
                    if bytes.len() as u64 != *len {
                        return Err(violation("a head that is shorter than was said"));
                    }
                    Ok(Some(Some(Head { bytes, version: version.clone() })))
                }
                _ => Err(other()),
            })
        })
    }

    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        let len = bytes.len() as u64;
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(too_long("a head", len, HEAD_BYTES_MAX as u64));
        }
        let expected = match expected {
            None => None,
            Some(HeadVersion(text)) => match Bounded::new(text.clone().into_bytes()) {
                Ok(text) => Some(text),
                // No head of that server has this version.
                Err(_) => return Ok(None),
            },
        };
        self.0.writing_once(|connection| {
            let request = Request::ReplaceHead { expected: expected.clone(), len };
            connection.ask(request, bytes, |answer| match answer {
                Answer::Replaced(None) => Ok(Some(None)),
                Answer::Replaced(Some(text)) => Ok(Some(Some(version(text)?))),
                _ => Err(other()),
            })
        })
    }

    fn settings(&self) -> io::Result<Bytes> {
        self.0.reading(|connection| connection.ask(Request::Settings, &[], bytes(SETTINGS_BYTES_MAX)))
    }

    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        let settings = bounded(bytes)?;
        self.0.writing_once(|connection| connection.ask(Request::PutSettings(settings.clone()), &[], done))
    }

    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        let settings = bounded(bytes)?;
        self.0
            .writing_once(|connection| connection.ask(Request::ReplaceSettings(settings.clone()), &[], done))
    }

    fn lock(&self) -> io::Result<Locking> {
        let (lock, connection) = self.0.reading(|connection| {
            let lock = connection.ask(Request::Lock, &[], |answer| match answer {
                Answer::Lock(lock) => Ok(Some(lock)),
                _ => Err(other()),
            })?;
            Ok((lock, connection.clone()))
        })?;
        Ok(match lock {
            WireLock::Shared => Locking::Shared,
            WireLock::Taken(pid) => Locking::Taken(pid),
            WireLock::Held => {
                self.0.state().locked = Some(connection.clone());
                Locking::Held(Box::new(RemoteLock { shared: self.0.clone(), connection }))
            }
        })
    }

    fn is_shared(&self) -> bool {
        self.0.is_shared
    }
}

impl fmt::Debug for RemoteBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteBlobs({})", self.0.module)
    }
}
