//! Records → one blob of some tens of MiB, and which records a blob has (FORMAT.md).

use xxhash_rust::xxh3::xxh3_64;

use super::blobs::{BlobKind, BlobName, Blobs};
use super::error::StoreError;
use super::record::{self, HEADER_BYTES, Header, Row, Seal, Why};

/// What every pack begins with: a name, a version, zeros; then comes what makes it another than any with the same records.
const MAGIC: [u8; 16] = *b"SYNCPACK\x01\0\0\0\0\0\0\0";
/// Bytes before the first record.
const PACK_HEADER_BYTES: usize = MAGIC.len() + SALT_BYTES;
const SALT_BYTES: usize = 16;
const TRAILER_MAGIC: [u8; 4] = *b"SLPE";
const TRAILER_BYTES: usize = 16;
/// Bytes of one pack at most.
pub(super) const PACK_BYTES_MAX: u64 = 1 << 30;

/// Where a record lies in a pack that is being filled.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) offset: u32,
    pub(super) span: u32,
    pub(super) rows: Vec<Row>,
}

/// A pack that is being filled.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    placed: Vec<Placed>,
}

/// A pack that is whole.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) name: BlobName,
    pub(super) bytes: Vec<u8>,
    pub(super) placed: Vec<Placed>,
}

impl Builder {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record. `salt` is asked once a pack, and must not give the same twice: a pack that was given up must not
    /// come back under its name while others remove it.
    pub(super) fn push(&mut self, record: &[u8], rows: Vec<Row>, salt: impl FnOnce() -> [u8; SALT_BYTES]) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&MAGIC);
            self.bytes.extend_from_slice(&salt());
        }
        let (offset, span) = (self.bytes.len() as u32, record.len() as u32);
        self.bytes.extend_from_slice(record);
        self.placed.push(Placed { offset, span, rows });
    }

    /// The whole pack, or `None` if nothing is in it; empties it.
    pub(super) fn finish(&mut self) -> Option<Pack> {
        let Builder { mut bytes, placed } = std::mem::take(self);
        if placed.is_empty() {
            return None;
        }
        let start = bytes.len();
        placed.iter().for_each(|placed| bytes.extend_from_slice(&placed.offset.to_le_bytes()));
        bytes.extend_from_slice(&(placed.len() as u32).to_le_bytes());
        let check = xxh3_64(&bytes[start..]);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.extend_from_slice(&TRAILER_MAGIC);
        Some(Pack { name: BlobName::of(BlobKind::Pack, &bytes), bytes, placed })
    }
}

/// What a pack has, by what it says itself.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) placed: Vec<Placed>,
    /// What of it cannot be read, and where.
    pub(super) damage: Vec<(u64, Why)>,
}

/// Reads the tables of all records of a pack, and no object.
///
/// A pack without its trailer is read from its front as far as its records go.
pub(super) fn contents(
    blobs: &dyn Blobs,
    name: &BlobName,
    len: u64,
    seal: Option<&dyn Seal>,
) -> Result<Contents, StoreError> {
    let mut contents = Contents::default();
    if len > PACK_BYTES_MAX {
        contents.damage.push((0, "it is longer than any pack"));
        return Ok(contents);
    }
    let read = |range| blobs.read(name, range).map_err(StoreError::io(name, "read"));
    if len < PACK_HEADER_BYTES as u64 || read(0..MAGIC.len() as u64)?[..] != MAGIC {
        contents.damage.push((0, "it does not begin as a pack"));
    }
    let offsets = offsets(len, read)?;
    if offsets.is_none() {
        contents
            .damage
            .push((len.saturating_sub(TRAILER_BYTES as u64), "its list of records is not what was written"));
    }
    let mut next = PACK_HEADER_BYTES as u64;
    let mut listed = offsets.as_deref().map(<[u32]>::iter);
    loop {
        let offset = match &mut listed {
            Some(listed) => match listed.next() {
                Some(offset) => u64::from(*offset),
                None => break,
            },
            None => next,
        };
        let header = match read(offset..(offset + HEADER_BYTES as u64).min(len).max(offset)) {
            Ok(bytes) => Header::decode(&bytes),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err("a record lies outside")
            }
            Err(error) => return Err(error),
        };
        let header = match header.map(|header| (header, offset + header.span() as u64)) {
            Ok((header, end)) if end <= len => {
                next = end;
                header
            }
            other => {
                // Without a list, this is where the records end.
                if listed.is_none() {
                    break;
                }
                contents.damage.push((offset, other.err().unwrap_or("a record lies outside")));
                continue;
            }
        };
        let start = offset + HEADER_BYTES as u64;
        let table = read(start..start + header.table as u64)?;
        match record::decode_table(&header, &table, seal) {
            Ok(rows) => {
                contents.placed.push(Placed { offset: offset as u32, span: header.span() as u32, rows });
            }
            Err(why) => contents.damage.push((offset, why)),
        }
    }
    Ok(contents)
}

/// The offsets of a pack's records, from its trailer; `None` if that is damaged.
fn offsets(
    len: u64,
    read: impl Fn(std::ops::Range<u64>) -> Result<bytes::Bytes, StoreError>,
) -> Result<Option<Vec<u32>>, StoreError> {
    let Some(at) = len.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let trailer = read(at..len)?;
    let Some((count, rest)) = trailer.split_first_chunk::<4>() else { return Ok(None) };
    let count = u64::from(u32::from_le_bytes(*count));
    let Some(start) = at.checked_sub(count * 4) else { return Ok(None) };
    let mut bytes = read(start..at)?.to_vec();
    bytes.extend_from_slice(&(count as u32).to_le_bytes());
    if rest != [&xxh3_64(&bytes).to_le_bytes()[..], &TRAILER_MAGIC].concat() {
        return Ok(None);
    }
    let offsets = bytes[..bytes.len() - 4].as_chunks::<4>().0;
    Ok(Some(offsets.iter().map(|offset| u32::from_le_bytes(*offset)).collect()))
}
