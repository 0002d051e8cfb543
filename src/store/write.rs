//! Objects → those that the store had not, in records, in packs; from several threads.
//!
//! Each thread fills a record of its own ([`Lane`]) and compresses it; whole records go to the pack that is being filled, and
//! the thread that fills it up writes it. Nothing refers to what was written before [`Writer::finish`]: an interrupted
//! writer leaves packs that the next one finds and need not write again.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};

use super::blobs::WriteLock;
use super::index::{self, Index, Locator, Made};
use super::pack::{Builder, Placed};
use super::record::Open;
use super::{ObjectId, Store, StoreError};
use crate::hash::Hash;

/// A pack is written when it has so many bytes.
pub const PACK_BYTES: usize = 32 << 20;
/// A record is compressed when its objects have so many bytes.
const RECORD_BYTES: usize = 512 << 10;
/// Sets of claimed objects, so that threads seldom meet.
const SHARDS: usize = 16;

/// What a writer has added so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Objects that were not there.
    pub objects: u64,
    /// Their bytes.
    pub raw: u64,
    /// Bytes of the packs that they became.
    pub stored: u64,
}

/// Adds objects to a store. Dropped without [`Writer::finish`], it leaves packs that nothing refers to.
pub(super) struct Writer<'a> {
    store: &'a Store,
    /// How often packs had been given up when this writer began.
    pub(super) collections: u64,
    index: std::sync::Arc<Index>,
    _lock: Option<Box<dyn WriteLock>>,
    claimed: [Mutex<HashSet<Hash>>; SHARDS],
    /// Chunks, and what names them.
    packs: [Mutex<Builder>; 2],
    written: Mutex<Written>,
}

/// Packs that are written and in no run of the index yet.
#[derive(Default)]
struct Written {
    packs: Vec<(Hash, Vec<Placed>)>,
    added: Added,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store) -> Result<Writer<'a>, StoreError> {
        let lock = store.lock()?;
        if lock.is_some() {
            store.blobs.remove_leftovers().map_err(StoreError::place("packs", "clean"))?;
        }
        // Before the index is read: what is condemned later is noticed.
        let collections = store.head()?.0.collections;
        store.refresh()?;
        Ok(Writer {
            store,
            collections,
            index: store.index(),
            _lock: lock,
            claimed: Default::default(),
            packs: Default::default(),
            written: Mutex::default(),
        })
    }

    /// Whether an object was in the store when this writer began.
    pub(super) fn had(&self, hash: &Hash) -> Result<bool, StoreError> {
        Ok(self.index.find(&*self.store.blobs, &self.store.locate(hash))?.is_some())
    }

    /// Begins a record: one for each thread.
    pub(super) fn lane(&self) -> Lane<'_, 'a> {
        let level = i32::from(self.store.settings.level);
        let zstd = zstd::bulk::Compressor::new(level).unwrap_or_default();
        Lane { writer: self, open: [Open::default(), Open::default()], zstd }
    }

    /// Whether this object is the caller's to put: it was not there, and no one else has put it.
    fn claim(&self, id: &ObjectId) -> Result<bool, StoreError> {
        if self.had(&id.hash)? {
            return Ok(false);
        }
        Ok(self.claim_anew(id))
    }

    /// Whether no one has put this object through this writer.
    fn claim_anew(&self, id: &ObjectId) -> bool {
        let shard = usize::from(id.hash.0[31]) % SHARDS;
        locked(&self.claimed[shard]).insert(id.hash)
    }

    /// Takes a record into the pack of its class, and writes the pack when it is full.
    fn push(&self, tree: bool, record: &[u8], rows: Vec<super::record::Row>) -> Result<(), StoreError> {
        let mut builder = locked(&self.packs[usize::from(tree)]);
        builder.push(record, rows, salt);
        if builder.len() < PACK_BYTES {
            return Ok(());
        }
        let mut full = std::mem::take(&mut *builder);
        drop(builder);
        self.write(&mut full)
    }

    /// Writes what there is of a class, durably.
    pub(super) fn flush(&self, tree: bool) -> Result<(), StoreError> {
        let mut open = std::mem::take(&mut *locked(&self.packs[usize::from(tree)]));
        self.write(&mut open)
    }

    fn write(&self, builder: &mut Builder) -> Result<(), StoreError> {
        let Some(pack) = builder.finish() else { return Ok(()) };
        self.store.blobs.put(&pack.name, &pack.bytes).map_err(StoreError::io(&pack.name, "write"))?;
        let mut written = locked(&self.written);
        for row in pack.placed.iter().flat_map(|placed| &placed.rows) {
            written.added.objects += 1;
            written.added.raw += row.len as u64;
        }
        written.added.stored += pack.bytes.len() as u64;
        written.packs.push((pack.name.hash, pack.placed));
        Ok(())
    }

    /// Writes what is left, and makes it known to the index. The store has the objects now; nothing refers to them yet. Nothing
    /// is put by this writer afterwards.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn finish(&self) -> Result<Added, StoreError> {
        self.flush(false)?;
        self.flush(true)?;
        let Written { packs, added } = std::mem::take(&mut *locked(&self.written));
        let locate = |hash: &Hash| -> Locator { self.store.locate(hash) };
        let source = self.store.source(&locate);
        // Packs that an interrupted writer left are in no run yet.
        let mut made = Made::default();
        let is_empty = packs.is_empty();
        // What only putting needs goes before the index is made, and tables as they are taken into it.
        self.claimed.iter().for_each(|claimed| drop(std::mem::take(&mut *locked(claimed))));
        packs.into_iter().for_each(|(pack, placed)| made.add(source, pack, &placed));
        if !is_empty {
            index::commit(source, &self.index, made)?;
            self.store.refresh()?;
        }
        Ok(added)
    }
}

/// One thread's way into the store.
pub(super) struct Lane<'w, 'a> {
    writer: &'w Writer<'a>,
    open: [Open; 2],
    zstd: zstd::bulk::Compressor<'static>,
}

impl Lane<'_, '_> {
    /// Puts an object that is what its name says; whether it was not there.
    ///
    /// # Errors
    /// [`StoreError::Io`] if a pack cannot be written.
    pub(super) fn put(&mut self, id: &ObjectId, bytes: &[u8]) -> Result<bool, StoreError> {
        if !self.writer.claim(id)? {
            return Ok(false);
        }
        self.push(id, bytes)?;
        Ok(true)
    }

    /// Puts an object that lies in a pack that is to be given up; once.
    pub(super) fn put_again(&mut self, id: &ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        if self.writer.claim_anew(id) { self.push(id, bytes) } else { Ok(()) }
    }

    fn push(&mut self, id: &ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        let tree = id.kind.is_tree();
        if !self.open[usize::from(tree)].has_room(bytes.len()) {
            self.flush(tree)?;
        }
        let open = &mut self.open[usize::from(tree)];
        open.push(*id, bytes);
        if open.len() >= RECORD_BYTES {
            self.flush(tree)?;
        }
        Ok(())
    }

    /// Hands on the record of a class that was begun.
    pub(super) fn flush(&mut self, tree: bool) -> Result<(), StoreError> {
        let open = &mut self.open[usize::from(tree)];
        if open.is_empty() {
            return Ok(());
        }
        let (record, rows) = open.encode(tree, &mut self.zstd, self.writer.store.seal());
        self.writer.push(tree, &record, rows)
    }
}

/// Bytes that no one else draws.
fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    // It fails before the kernel has gathered any randomness; nothing but the name rests on it, and that has the records too.
    let _ = SystemRandom::new().fill(&mut salt);
    salt
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
