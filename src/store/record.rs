//! A few objects → one record: compressed together, so that small files that resemble each other cost little (FORMAT.md).
//!
//! A record has a header with checks of its own, so that damage is told from the end of a pack and its length is not
//! believed; a table of what is in it; and the objects' bytes. The checks find accidents; what an object is, its digest
//! proves.

use std::cell::RefCell;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{ObjectId, ObjectKind};
use crate::hash::Hash;

/// Bytes of a record's header.
pub(super) const HEADER_BYTES: usize = 40;
/// Bytes that the table has for each object.
pub(super) const TABLE_ENTRY_BYTES: usize = 37;
/// Objects' bytes of one record at most.
pub(super) const RAW_BYTES_MAX: usize = 2 << 20;
/// Objects of one record at most.
pub(super) const OBJECTS_MAX: usize = 1 << 14;
const MAGIC: [u8; 4] = *b"SLr1";
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// What is wrong with a record's bytes.
pub(super) type Why = &'static str;

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tree: bool,
    codec: u8,
    /// Objects in it.
    pub(super) count: usize,
    /// Their bytes.
    pub(super) raw: usize,
    /// Bytes of the table, then of the payload, as they lie.
    pub(super) table: usize,
    pub(super) payload: usize,
    table_check: u64,
    payload_check: u64,
}

impl Header {
    /// Bytes of the whole record.
    pub(super) fn span(&self) -> usize {
        HEADER_BYTES + self.table + self.payload
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.tree.into();
        bytes[5] = self.codec;
        bytes[6..8].copy_from_slice(&(self.count as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.raw as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.table as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&(self.payload as u32).to_le_bytes());
        bytes[20..28].copy_from_slice(&self.table_check.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.payload_check.to_le_bytes());
        let check = xxh3_64(&bytes[..36]) as u32;
        bytes[36..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a header and checks everything that it says of itself.
    pub(super) fn decode(bytes: &[u8]) -> Result<Header, Why> {
        let bytes: &[u8; HEADER_BYTES] =
            bytes.get(..HEADER_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or("it ends too early")?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if bytes[..4] != MAGIC || u32_at(36) != xxh3_64(&bytes[..36]) as u32 {
            return Err("a record's header is not what was written");
        }
        let header = Header {
            tree: bytes[4] == 1,
            codec: bytes[5],
            count: u16::from_le_bytes([bytes[6], bytes[7]]).into(),
            raw: u32_at(8) as usize,
            table: u32_at(12) as usize,
            payload: u32_at(16) as usize,
            table_check: u64_at(20),
            payload_check: u64_at(28),
        };
        let fits = bytes[4] <= 1
            && header.codec & !SEALED <= ZSTD
            && (1..=OBJECTS_MAX).contains(&header.count)
            && header.raw <= RAW_BYTES_MAX
            && header.table == header.count * TABLE_ENTRY_BYTES + header.overhead()
            && header.payload <= header.raw + header.overhead();
        if fits { Ok(header) } else { Err("a record's header is of no known layout") }
    }

    fn is_sealed(&self) -> bool {
        self.codec & SEALED != 0
    }

    fn overhead(&self) -> usize {
        if self.is_sealed() { SEAL_BYTES } else { 0 }
    }

    /// What each sealed part is bound to: that it is of such a record.
    fn bound(&self, part: u8) -> [u8; 12] {
        let mut bound = [0; 12];
        bound[..4].copy_from_slice(&MAGIC);
        (bound[4], bound[5], bound[6]) = (self.tree.into(), self.codec, part);
        bound[8..].copy_from_slice(&(self.raw as u32).to_le_bytes());
        bound
    }
}

/// Set in the codec of a record whose parts are sealed.
const SEALED: u8 = 0x80;
/// Bytes that sealing adds: a nonce of 24 and a tag of 16.
pub(super) const SEAL_BYTES: usize = 40;

/// Encrypts, and proves that what is decrypted was encrypted under the same key.
pub(super) trait Seal: Send + Sync {
    /// Seals `plain`, bound to `bound`: [`SEAL_BYTES`] longer.
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Vec<u8>;
    /// What was sealed; `None` if it was not under this key, or not bound to `bound`.
    fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}

/// One object of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: ObjectId,
    pub(super) len: usize,
}

/// A record that is being filled.
#[derive(Default)]
pub(super) struct Open {
    rows: Vec<Row>,
    raw: Vec<u8>,
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of the objects so far.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether one more object of `len` bytes has a place.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.rows.len() < OBJECTS_MAX && self.raw.len() + len <= RAW_BYTES_MAX
    }

    pub(super) fn push(&mut self, id: ObjectId, bytes: &[u8]) {
        self.rows.push(Row { id, len: bytes.len() });
        self.raw.extend_from_slice(bytes);
    }

    /// The record's bytes and its rows; empties it.
    pub(super) fn encode(
        &mut self,
        tree: bool,
        zstd: &mut zstd::bulk::Compressor<'_>,
        seal: Option<&dyn Seal>,
    ) -> (Vec<u8>, Vec<Row>) {
        let rows = std::mem::take(&mut self.rows);
        let mut table = Vec::with_capacity(rows.len() * TABLE_ENTRY_BYTES);
        for Row { id, len } in &rows {
            table.push(id.kind as u8);
            table.extend_from_slice(&(*len as u32).to_le_bytes());
            table.extend_from_slice(id.hash.as_bytes());
        }
        // What does not shrink is kept as it is: that costs nothing to read.
        let smaller =
            zstd.compress(&self.raw).ok().filter(|bytes| bytes.len() + bytes.len() / 32 < self.raw.len());
        let codec = if smaller.is_some() { ZSTD } else { PLAIN } | if seal.is_some() { SEALED } else { 0 };
        let mut payload = smaller.unwrap_or_else(|| self.raw.clone());
        let mut header = Header {
            tree,
            codec,
            count: rows.len(),
            raw: self.raw.len(),
            table: 0,
            payload: 0,
            table_check: 0,
            payload_check: 0,
        };
        if let Some(seal) = seal {
            table = seal.seal(&header.bound(0), &table);
            payload = seal.seal(&header.bound(1), &payload);
        }
        (header.table, header.payload) = (table.len(), payload.len());
        (header.table_check, header.payload_check) = (xxh3_64(&table), xxh3_64(&payload));
        let mut bytes = Vec::with_capacity(header.span());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&table);
        bytes.extend_from_slice(&payload);
        self.raw.clear();
        (bytes, rows)
    }
}

/// Reads the table that follows a header.
pub(super) fn decode_table(header: &Header, table: &[u8], seal: Option<&dyn Seal>) -> Result<Vec<Row>, Why> {
    if table.len() != header.table || xxh3_64(table) != header.table_check {
        return Err("a record's table is not what was written");
    }
    let opened = open_part(header, 0, table, seal)?;
    let table = opened.as_deref().unwrap_or(table);
    let (rows, rest) = table.as_chunks::<TABLE_ENTRY_BYTES>();
    let row = |row: &[u8; TABLE_ENTRY_BYTES]| {
        let (&[kind, a, b, c, d], hash) = row.split_first_chunk::<5>()?;
        let (kind, hash) = (ObjectKind::from_byte(kind)?, Hash(hash.try_into().ok()?));
        Some(Row { id: ObjectId { kind, hash }, len: u32::from_le_bytes([a, b, c, d]) as usize })
    };
    let rows: Vec<Row> =
        rows.iter().map(row).collect::<Option<_>>().ok_or("a record has objects of unknown kinds")?;
    let raw = rows.iter().try_fold(0_usize, |sum, row| sum.checked_add(row.len));
    if !rest.is_empty() || rows.len() != header.count || raw != Some(header.raw) {
        return Err("a record's table is of no known layout");
    }
    Ok(rows)
}

/// A whole record, its objects' bytes one after the other.
#[derive(Debug)]
pub(super) struct Record {
    rows: Vec<Row>,
    /// Where each object ends.
    ends: Vec<u32>,
    raw: Bytes,
}

impl Record {
    /// Reads a record and checks all of it but its objects' digests.
    pub(super) fn decode(bytes: &[u8], seal: Option<&dyn Seal>) -> Result<Record, Why> {
        let header = Header::decode(bytes)?;
        let body = &bytes[HEADER_BYTES..];
        let (table, payload) = body.split_at_checked(header.table).ok_or("it ends too early")?;
        let rows = decode_table(&header, table, seal)?;
        if payload.len() != header.payload || xxh3_64(payload) != header.payload_check {
            return Err("a record's bytes are not what was written");
        }
        let opened = open_part(&header, 1, payload, seal)?;
        let raw = match header.codec & !SEALED {
            PLAIN => opened.unwrap_or_else(|| payload.to_vec()),
            _ => decompress(opened.as_deref().unwrap_or(payload), header.raw)?,
        };
        if raw.len() != header.raw {
            return Err("a record has another length than it says");
        }
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len as u32;
            Some(*end)
        });
        Ok(Record { ends: ends.collect(), rows, raw: raw.into() })
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.raw.len() + self.rows.len() * (size_of::<Row>() + size_of::<u32>())
    }

    /// The object at a place of the table, and its bytes, which share the record's memory.
    pub(super) fn object(&self, at: usize) -> Option<(ObjectId, Bytes)> {
        let (row, end) = (self.rows.get(at)?, *self.ends.get(at)? as usize);
        Some((row.id, self.raw.slice(end - row.len..end)))
    }

    /// Every object and its bytes.
    pub(super) fn objects(&self) -> impl Iterator<Item = (ObjectId, &[u8])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            start += row.len;
            (row.id, &self.raw[start - row.len..start])
        })
    }
}

/// Decompresses with a context that each thread keeps: making one takes about as long as a small record.
fn decompress(bytes: &[u8], raw: usize) -> Result<Vec<u8>, Why> {
    thread_local! {
        static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    ZSTD.with_borrow_mut(|zstd| {
        if zstd.is_none() {
            *zstd = zstd::bulk::Decompressor::new().ok();
        }
        let result = zstd.as_mut().and_then(|zstd| zstd.decompress(bytes, raw).ok());
        result.ok_or("a record cannot be decompressed")
    })
}

fn open_part(
    header: &Header,
    part: u8,
    bytes: &[u8],
    seal: Option<&dyn Seal>,
) -> Result<Option<Vec<u8>>, Why> {
    match (header.is_sealed(), seal) {
        (false, None) => Ok(None),
        (true, Some(seal)) => seal
            .open(&header.bound(part), bytes)
            .map(Some)
            .ok_or("a record was not encrypted by this store's key"),
        (false, Some(_)) => Err("a record of an encrypted store is not encrypted"),
        (true, None) => Err("a record is encrypted, and the store is not"),
    }
}
