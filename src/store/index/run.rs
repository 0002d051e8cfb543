//! Where objects are, sorted: a blob that is searched by its pages, each with a check of its own (FORMAT.md).
//!
//! A locator's digits are spread evenly, and the first eight bytes of each page's first are kept in memory: a search reads
//! one page of 4 KiB.

use std::ops::Range;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::Locator;
use crate::hash::Hash;
use crate::store::ObjectKind;
use crate::store::blobs::{BlobKind, BlobName, Blobs};
use crate::store::error::StoreError;

pub(super) const PAGE_BYTES: usize = 4096;
pub(super) const ENTRY_BYTES: usize = 48;
pub(super) const PAGE_ENTRIES: usize = 85;
const FOOTER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"SYNCIDX\x01";
/// A run of at most so many bytes is held in memory; of a longer one, pages are read.
const WHOLE_BYTES_MAX: u64 = 32 << 20;
/// Pages read at once when all are.
const PAGES_READ: usize = 256;

/// Where an object is, among the packs of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) locator: Locator,
    /// Which of the run's packs.
    pub(super) pack: u32,
    /// Where in the pack its record begins, and how long that is.
    pub(super) offset: u32,
    pub(super) span: u32,
    /// Which of the record's objects.
    pub(super) at: u16,
    pub(super) kind: ObjectKind,
}

impl Entry {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.locator.0.0);
        bytes.extend_from_slice(&self.pack.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.span.to_le_bytes());
        bytes.extend_from_slice(&self.at.to_le_bytes());
        bytes.extend_from_slice(&[self.kind as u8, 0]);
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
        let (locator, rest) = bytes.split_first_chunk::<32>()?;
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, kind, _] = rest else { return None };
        Some(Entry {
            locator: Locator(Hash(*locator)),
            pack: u32::from_le_bytes([a, b, c, d]),
            offset: u32::from_le_bytes([e, f, g, h]),
            span: u32::from_le_bytes([i, j, k, l]),
            at: u16::from_le_bytes([m, n]),
            kind: ObjectKind::from_byte(kind)?,
        })
    }
}

/// Encodes a run: `entries` sorted by locator, of objects in `packs`.
pub(super) fn encode(entries: &[Entry], packs: &[Hash]) -> Vec<u8> {
    let pages = entries.len().div_ceil(PAGE_ENTRIES);
    let mut bytes = Vec::with_capacity(pages * (PAGE_BYTES + 8) + packs.len() * 32 + FOOTER_BYTES);
    for (at, page) in entries.chunks(PAGE_ENTRIES).enumerate() {
        page.iter().for_each(|entry| entry.encode(&mut bytes));
        bytes.resize((at + 1) * PAGE_BYTES - 8, 0);
        let check = xxh3_64(&bytes[at * PAGE_BYTES..]);
        bytes.extend_from_slice(&check.to_le_bytes());
    }
    let start = bytes.len();
    for page in entries.chunks(PAGE_ENTRIES) {
        bytes.extend_from_slice(&page[0].locator.prefix().to_le_bytes());
    }
    packs.iter().for_each(|pack| bytes.extend_from_slice(pack.as_bytes()));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(packs.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let check = xxh3_64(&bytes[start..]);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// A run that can be searched.
#[derive(Debug)]
pub(super) struct Run {
    name: BlobName,
    /// All pages, where they are few.
    whole: Option<Bytes>,
    len: usize,
    /// The beginning of each page's first locator.
    fences: Vec<u64>,
    packs: Vec<Hash>,
}

impl Run {
    /// Opens a run.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what lies behind its pages is not what was written; [`StoreError::Io`].
    pub(super) fn open(blobs: &dyn Blobs, name: BlobName, len: u64) -> Result<Run, StoreError> {
        if len <= WHOLE_BYTES_MAX {
            let bytes = blobs.read(&name, 0..len).map_err(StoreError::io(&name, "read"))?;
            return Run::of_bytes(name, bytes);
        }
        let damaged = |why| StoreError::damaged(&name, why);
        let read = |range| blobs.read(&name, range).map_err(StoreError::io(&name, "read"));
        let footer = Footer::decode(&read(len - FOOTER_BYTES as u64..len)?).map_err(damaged)?;
        let tail = footer.tail_bytes();
        if footer.pages() as u64 * PAGE_BYTES as u64 + tail as u64 != len {
            return Err(damaged("it has another length than it says"));
        }
        let (fences, packs) = footer.tail(&read(len - tail as u64..len)?).map_err(damaged)?;
        Ok(Run { name, whole: None, len: footer.entries, fences, packs })
    }

    /// A run that is in memory.
    pub(super) fn of_bytes(name: BlobName, bytes: Bytes) -> Result<Run, StoreError> {
        let damaged = |why| StoreError::damaged(&name, why);
        let footer = bytes.len().checked_sub(FOOTER_BYTES).ok_or_else(|| damaged("it ends too early"))?;
        let footer = Footer::decode(&bytes[footer..]).map_err(damaged)?;
        let pages = footer.pages() * PAGE_BYTES;
        if pages + footer.tail_bytes() != bytes.len() {
            return Err(damaged("it has another length than it says"));
        }
        let (fences, packs) = footer.tail(&bytes[pages..]).map_err(damaged)?;
        if bytes[..pages].chunks_exact(PAGE_BYTES).any(|page| !is_page(page)) {
            return Err(damaged("a page is not what was written"));
        }
        Ok(Run { name, whole: Some(bytes.slice(..pages)), len: footer.entries, fences, packs })
    }

    pub(super) fn name(&self) -> BlobName {
        self.name
    }

    /// How many objects it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The packs that it speaks of.
    pub(super) fn packs(&self) -> &[Hash] {
        &self.packs
    }

    /// Finds the entries of a locator: more than one if the object is in several packs.
    pub(super) fn find(&self, blobs: &dyn Blobs, locator: &Locator) -> Result<Vec<Entry>, StoreError> {
        let prefix = locator.prefix();
        let first = self.fences.partition_point(|fence| *fence < prefix).saturating_sub(1);
        let last = self.fences.partition_point(|fence| *fence <= prefix);
        let mut found = Vec::new();
        for page in first..last {
            let bytes = self.read(blobs, page..page + 1)?;
            let rows = self.rows(page, &bytes);
            let at = rows.partition_point(|row| row[..32] < locator.0.0[..]);
            for row in rows[at..].iter().take_while(|row| row[..32] == locator.0.0[..]) {
                found.push(self.entry(row)?);
            }
        }
        Ok(found)
    }

    /// Every entry, in order, a few pages at a time.
    pub(super) fn entries<'a>(
        &'a self,
        blobs: &'a dyn Blobs,
    ) -> impl Iterator<Item = Result<Vec<Entry>, StoreError>> + 'a {
        let pages = self.fences.len();
        (0..pages).step_by(PAGES_READ).map(move |at| self.pages(blobs, at..(at + PAGES_READ).min(pages)))
    }

    fn pages(&self, blobs: &dyn Blobs, pages: Range<usize>) -> Result<Vec<Entry>, StoreError> {
        let bytes = self.read(blobs, pages.clone())?;
        let mut entries = Vec::with_capacity(pages.len() * PAGE_ENTRIES);
        for (at, page) in pages.zip(bytes.chunks_exact(PAGE_BYTES)) {
            for row in self.rows(at, page) {
                entries.push(self.entry(row)?);
            }
        }
        Ok(entries)
    }

    /// The bytes of some pages, checked.
    fn read(&self, blobs: &dyn Blobs, pages: Range<usize>) -> Result<Bytes, StoreError> {
        let range = pages.start * PAGE_BYTES..pages.end * PAGE_BYTES;
        if let Some(bytes) = &self.whole {
            return Ok(bytes.slice(range));
        }
        let bytes = blobs
            .read(&self.name, range.start as u64..range.end as u64)
            .map_err(StoreError::io(&self.name, "read"))?;
        match bytes.chunks_exact(PAGE_BYTES).all(is_page) {
            true => Ok(bytes),
            false => Err(self.damaged()),
        }
    }

    /// The encoded entries of a page.
    fn rows<'p>(&self, at: usize, page: &'p [u8]) -> &'p [[u8; ENTRY_BYTES]] {
        let count = (self.len - at * PAGE_ENTRIES).min(PAGE_ENTRIES);
        &page.as_chunks::<ENTRY_BYTES>().0[..count]
    }

    fn entry(&self, row: &[u8; ENTRY_BYTES]) -> Result<Entry, StoreError> {
        let entry = Entry::decode(row).filter(|entry| (entry.pack as usize) < self.packs.len());
        entry.ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> StoreError {
        StoreError::damaged(&self.name, "a page is not what was written")
    }
}

/// Whether a page is what was written.
fn is_page(page: &[u8]) -> bool {
    let (page, check) = page.split_at(PAGE_BYTES - 8);
    check == xxh3_64(page).to_le_bytes()
}

/// The last bytes of a run.
struct Footer {
    entries: usize,
    packs: usize,
}

impl Footer {
    fn decode(bytes: &[u8]) -> Result<Footer, &'static str> {
        let bytes: &[u8; FOOTER_BYTES] = bytes.try_into().map_err(|_| "it ends too early")?;
        let (magic, rest) = bytes.split_at(8);
        let (entries, rest) = rest.split_at(8);
        let entries = entries.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
        let packs = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if magic != MAGIC || entries > 1 << 40 || packs > 1 << 26 {
            return Err("it does not end as an index");
        }
        Ok(Footer { entries: entries as usize, packs })
    }

    fn pages(&self) -> usize {
        self.entries.div_ceil(PAGE_ENTRIES)
    }

    /// Bytes behind the pages.
    fn tail_bytes(&self) -> usize {
        self.pages() * 8 + self.packs * 32 + FOOTER_BYTES
    }

    /// Fences and packs.
    fn tail(&self, bytes: &[u8]) -> Result<(Vec<u64>, Vec<Hash>), &'static str> {
        let (tail, check) = bytes.split_at(bytes.len() - 8);
        if check != xxh3_64(tail).to_le_bytes() {
            return Err("its list of pages and packs is not what was written");
        }
        let (fences, packs) = tail.split_at(self.pages() * 8);
        let fences = fences.as_chunks::<8>().0.iter().map(|fence| u64::from_le_bytes(*fence)).collect();
        let packs = packs.as_chunks::<32>().0[..self.packs].iter().map(|pack| Hash(*pack)).collect();
        Ok((fences, packs))
    }
}

/// The name of a run with these bytes.
pub(super) fn name_of(bytes: &[u8]) -> BlobName {
    BlobName::of(BlobKind::Index, bytes)
}
