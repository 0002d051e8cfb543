//! Records that were read lately, decompressed: the small files of a directory lie in one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use super::record::Record;
use crate::hash::Hash;

/// Bytes of records that are kept.
const BYTES_MAX: usize = 32 << 20;

/// A pack, and where in it the record begins.
pub(super) type Key = (Hash, u32);

/// Records that were read lately. Two threads that want one read it once.
#[derive(Default)]
pub(super) struct Blocks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    slots: HashMap<Key, Slot>,
    /// In the order in which they were read.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

type Slot = Arc<Mutex<Option<Arc<Record>>>>;

impl Blocks {
    /// The record at `key`, which `read` reads if it is not here.
    pub(super) fn get(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<Record, StoreError>,
    ) -> Result<Arc<Record>, StoreError> {
        let slot = self.kept().slots.entry(key).or_default().clone();
        // Whoever comes second waits here for the first.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = &*slot {
            return Ok(record.clone());
        }
        let record = read().map(Arc::new).inspect_err(|_| drop(self.kept().slots.remove(&key)))?;
        *slot = Some(record.clone());
        drop(slot);
        self.keep(key, record.memory());
        Ok(record)
    }

    fn keep(&self, key: Key, bytes: usize) {
        let mut kept = self.kept();
        kept.bytes += bytes;
        kept.order.push_back((key, bytes));
        while kept.bytes > BYTES_MAX {
            let Some((oldest, bytes)) = kept.order.pop_front() else { break };
            kept.slots.remove(&oldest);
            kept.bytes -= bytes;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
