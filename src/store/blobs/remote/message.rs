//! Requests and answers as they stand on the wire (REMOTE.md).

use std::io;

use serde::{Deserialize, Serialize, Serializer};

use super::super::{BlobInfo, BlobKind, BlobName};
use crate::codec::Bounded;
use crate::fs::Time;
use crate::hash::Hash;
use crate::path::Escaped;
use crate::transfer::message::{TEXT_BYTES_MAX, Text};

/// Bytes of one piece.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Blobs of one part of a list.
pub(super) const LIST_MAX: usize = 4096;
/// The settings are a few hundred bytes.
pub(super) const SETTINGS_BYTES_MAX: usize = 64 << 10;

/// Which head it was: at most 256 bytes of UTF-8.
pub(super) type Version = Bounded<u8, 256>;

/// A request, or an answer, and the number of the request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbered<T> {
    pub(super) number: u64,
    pub(super) message: T,
}

/// A blob's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireName {
    kind: WireKind,
    hash: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireKind {
    Pack,
    Index,
    Log,
}

impl From<BlobKind> for WireKind {
    fn from(kind: BlobKind) -> WireKind {
        match kind {
            BlobKind::Pack => WireKind::Pack,
            BlobKind::Index => WireKind::Index,
            BlobKind::Log => WireKind::Log,
        }
    }
}

impl From<WireKind> for BlobKind {
    fn from(kind: WireKind) -> BlobKind {
        match kind {
            WireKind::Pack => BlobKind::Pack,
            WireKind::Index => BlobKind::Index,
            WireKind::Log => BlobKind::Log,
        }
    }
}

impl From<BlobName> for WireName {
    fn from(name: BlobName) -> WireName {
        WireName { kind: name.kind.into(), hash: name.hash }
    }
}

impl From<WireName> for BlobName {
    fn from(name: WireName) -> BlobName {
        BlobName { kind: name.kind.into(), hash: name.hash }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request<'a> {
    /// The settings. Answered by `Bytes`.
    Settings,
    /// Writes the settings of a new store. Answered by `Done`.
    PutSettings(Bounded<u8, SETTINGS_BYTES_MAX>),
    /// The head. Answered by `Head`, and by `Bytes` if there is one.
    Head,
    /// Replaces the head, if it still is that; its bytes follow. Answered by `Replaced`.
    ReplaceHead { expected: Option<Version>, len: u64 },
    /// The blobs of a kind. Answered by `Blobs`.
    List(WireKind),
    /// A blob's length. Answered by `Len`.
    Len(WireName),
    /// Bytes of a blob. Answered by `Bytes`.
    Read { blob: WireName, offset: u64, len: u64 },
    /// Writes a blob; its bytes follow. Answered by `Done`.
    Put { blob: WireName, len: u64 },
    /// Removes a blob. Answered by `Done`.
    Remove(WireName),
    /// Removes what interrupted writers left. Answered by `Done`.
    RemoveLeftovers,
    /// Keeps others from writing. Answered by `Lock`.
    Lock,
    /// Lets others write again. Answered by `Done`.
    Unlock,
    /// The next bytes of what is being written: never none.
    Piece(#[serde(borrow, serialize_with = "as_bytes")] &'a [u8]),
    /// Replaces the settings. Answered by `Done`.
    ReplaceSettings(Bounded<u8, SETTINGS_BYTES_MAX>),
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer<'a> {
    /// It could not be done, or not to the end.
    Failed {
        why: Why,
        text: Text,
    },
    Done,
    Len(u64),
    /// Bytes; others follow if `more`, and then these are not none.
    Bytes {
        more: bool,
        #[serde(borrow, serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Which head it is, and its length, if there is one.
    Head(Option<(Version, u64)>),
    /// Blobs; others follow if `more`, and then these are not none.
    Blobs {
        more: bool,
        blobs: Bounded<WireInfo, LIST_MAX>,
    },
    /// Which head it is now, if it was replaced.
    Replaced(Option<Version>),
    Lock(WireLock),
}

/// A blob of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireInfo {
    hash: Hash,
    len: u64,
    secs: i64,
    nanos: u32,
}

impl From<&BlobInfo> for WireInfo {
    fn from(info: &BlobInfo) -> WireInfo {
        let Time { secs, nanos } = info.written;
        WireInfo { hash: info.name.hash, len: info.len, secs, nanos }
    }
}

impl WireInfo {
    pub(super) fn of(self, kind: BlobKind) -> BlobInfo {
        let written = Time { secs: self.secs, nanos: self.nanos.min(999_999_999) };
        BlobInfo { name: BlobName { kind, hash: self.hash }, len: self.len, written }
    }
}

/// What asking for the lock gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireLock {
    Held,
    Shared,
    /// Another has it, in this process there.
    Taken(Option<u32>),
}

/// Why something could not be done, as far as clients tell such things apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    Other,
    NotFound,
    UnexpectedEof,
    AlreadyExists,
    PermissionDenied,
    StorageFull,
    ResourceBusy,
    InvalidInput,
    InvalidData,
}

const KINDS: [(Why, io::ErrorKind); 9] = [
    (Why::Other, io::ErrorKind::Other),
    (Why::NotFound, io::ErrorKind::NotFound),
    (Why::UnexpectedEof, io::ErrorKind::UnexpectedEof),
    (Why::AlreadyExists, io::ErrorKind::AlreadyExists),
    (Why::PermissionDenied, io::ErrorKind::PermissionDenied),
    (Why::StorageFull, io::ErrorKind::StorageFull),
    (Why::ResourceBusy, io::ErrorKind::ResourceBusy),
    (Why::InvalidInput, io::ErrorKind::InvalidInput),
    (Why::InvalidData, io::ErrorKind::InvalidData),
];

impl Answer<'static> {
    /// That it could not be done.
    pub(super) fn failed(error: &io::Error) -> Answer<'static> {
        let why = KINDS.iter().find(|(_, kind)| *kind == error.kind()).map_or(Why::Other, |(why, _)| *why);
        let mut text = error.to_string().into_bytes();
        text.truncate(TEXT_BYTES_MAX);
        Answer::Failed { why, text: Text::new(text).unwrap_or_default() }
    }
}

/// What a server says of a failure, as an error of this end.
pub(super) fn failure(why: Why, text: &[u8]) -> io::Error {
    let kind = KINDS.iter().find(|(known, _)| *known == why).map_or(io::ErrorKind::Other, |(_, kind)| *kind);
    io::Error::new(kind, format!("the server: {}", Escaped(text)))
}

/// As one run of bytes; serde would go through a slice element by element, to the same encoding.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
