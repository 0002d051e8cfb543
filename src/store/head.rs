//! The one blob that changes: which names there are, which states of them are kept, and which packs are given up
//! (FORMAT.md).
//!
//! Whoever changes the store replaces the head, if it still is the one that was read. So two writers never undo each other's
//! change, and a writer learns whether packs that it counts on were given up meanwhile: they are condemned in a head before
//! they are removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

use super::blobs::HEAD_BYTES_MAX;
use super::error::StoreError;
use super::record::Seal;
use crate::fs::Time;
use crate::hash::Hash;

/// Layout of head and settings that this program writes, and the newest that it reads.
pub(super) const VERSION: u16 = 1;
const SEALED: u16 = 1;
const FRAME_BYTES: usize = 24;

/// A kept state of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its number in the store's history; no two have the same.
    pub sequence: u64,
    /// The root of the snapshot.
    pub root: Hash,
    /// When it was put: seconds and nanoseconds since 1970.
    pub time: (i64, u32),
    /// What it is marked with.
    pub tags: Vec<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
}

impl State {
    /// When it was put.
    #[must_use]
    pub fn time(&self) -> Time {
        Time { secs: self.time.0, nanos: self.time.1 }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// Its kept states, oldest first; none of a name that was given up.
    pub(super) states: Vec<State>,
    /// The digest of the last record of it.
    pub(super) last: Hash,
}

impl Default for Named {
    fn default() -> Named {
        Named { states: Vec::new(), last: Hash([0; 32]) }
    }
}

/// Records of the history that are a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) blob: Hash,
    /// How many.
    pub(super) count: u32,
}

/// The history, as far as it stands in the head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    /// The blobs of the oldest records.
    pub(super) sealed: Vec<Sealed>,
    /// The records behind those.
    pub(super) tail: Vec<Vec<u8>>,
    /// The tree's right edge, to append to.
    pub(super) frontier: Vec<u8>,
    /// The signed size and root of the tree.
    pub(super) tree_head: Vec<u8>,
}

/// What the head says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Which store it is of.
    pub(super) store: [u8; 16],
    /// How many heads there were before: no two heads of a store have the same bytes.
    pub(super) epoch: u64,
    /// Packs that are given up, and may still be there.
    pub(super) condemned: Vec<Hash>,
    /// How often packs were condemned: who counted on packs looks again if this has changed.
    pub(super) collections: u64,
    /// Objects that something refers to and that were lost: until they are put again, what is there is not taken to have
    /// everything below it there.
    pub(super) lost: Vec<Hash>,
    /// What each name stands for.
    pub(super) names: BTreeMap<String, Named>,
    /// The signed records of how that came about.
    pub(super) history: History,
}

impl Head {
    /// The roots of all snapshots that are kept.
    pub(super) fn roots(&self) -> impl Iterator<Item = Hash> + '_ {
        self.names.values().flat_map(|named| &named.states).map(|state| state.root)
    }

    pub(super) fn encode(&self, seal: Option<&dyn Seal>) -> Result<Vec<u8>, StoreError> {
        let bytes = frame(b"SYNCHEAD", self, seal)?;
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(StoreError::HeadFull { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8], seal: Option<&dyn Seal>) -> Result<Head, StoreError> {
        unframe(b"SYNCHEAD", "head", bytes, seal)
    }
}

/// Encodes a value behind a magic, a version, a length and a check.
pub(super) fn frame(
    magic: &[u8; 8],
    value: &impl Serialize,
    seal: Option<&dyn Seal>,
) -> Result<Vec<u8>, StoreError> {
    let body = postcard::to_stdvec(value).map_err(|_| StoreError::HeadFull { bytes: usize::MAX })?;
    let body = seal.map_or_else(|| body.clone(), |seal| seal.seal(magic, &body));
    let flags = if seal.is_some() { SEALED } else { 0 };
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let check = xxh3_64(&[&bytes[..], &body[..]].concat());
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Decodes what [`frame`] gives: exactly that, and nothing behind it.
pub(super) fn unframe<T: DeserializeOwned>(
    magic: &[u8; 8],
    what: &'static str,
    bytes: &[u8],
    seal: Option<&dyn Seal>,
) -> Result<T, StoreError> {
    let damaged = |why| StoreError::damaged(&what, why);
    let (frame, body) =
        bytes.split_first_chunk::<FRAME_BYTES>().ok_or_else(|| damaged("it ends too early"))?;
    let u16_at = |at: usize| u16::from_le_bytes([frame[at], frame[at + 1]]);
    let len = u32::from_le_bytes([frame[12], frame[13], frame[14], frame[15]]) as usize;
    if frame[..8] != *magic {
        return Err(damaged("it does not begin as one"));
    }
    if len != body.len() || frame[16..] != xxh3_64(&[&frame[..16], body].concat()).to_le_bytes() {
        return Err(damaged("it is not what was written"));
    }
    if u16_at(8) != VERSION {
        return Err(StoreError::Version { found: u16_at(8), known: VERSION });
    }
    let opened = match (u16_at(10), seal) {
        (0, None) => None,
        (SEALED, Some(seal)) => {
            Some(seal.open(magic, body).ok_or_else(|| damaged("it was not encrypted by this store's key"))?)
        }
        _ => return Err(damaged("it is encrypted where the store is not, or the other way about")),
    };
    let body = opened.as_deref().unwrap_or(body);
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(damaged("it is of no known layout")),
    }
}
