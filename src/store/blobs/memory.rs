//! Blobs in memory: for tests, and for a store that need not outlive its process.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{BlobInfo, BlobKind, BlobName, Blobs, Head, HeadVersion, Locking};
use crate::fs::Time;

/// Blobs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    settings: Option<Bytes>,
    blobs: BTreeMap<BlobName, Bytes>,
    head: Option<Bytes>,
    /// How often the head was replaced.
    heads: u64,
}

impl MemoryBlobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces a blob's bytes, whatever its name says: a damaged place, or a lying one.
    pub fn damage(&self, name: &BlobName, bytes: Bytes) {
        self.state().blobs.insert(*name, bytes);
    }

    /// Replaces the head whatever it was.
    pub fn damage_head(&self, bytes: Bytes) {
        let mut state = self.state();
        state.head = Some(bytes);
        state.heads += 1;
    }
}

impl Blobs for MemoryBlobs {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> io::Result<()> {
        self.state().blobs.entry(*name).or_insert_with(|| Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        let state = self.state();
        let blob = state.blobs.get(name).ok_or(io::ErrorKind::NotFound)?;
        if range.start > range.end || range.end > blob.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(blob.slice(range.start as usize..range.end as usize))
    }

    fn len(&self, name: &BlobName) -> io::Result<u64> {
        Ok(self.state().blobs.get(name).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        let state = self.state();
        let blobs = state.blobs.iter().filter(|(name, _)| name.kind == kind);
        Ok(blobs
            .map(|(name, bytes)| BlobInfo { name: *name, len: bytes.len() as u64, written: Time::default() })
            .collect())
    }

    fn remove(&self, name: &BlobName) -> io::Result<()> {
        self.state().blobs.remove(name);
        Ok(())
    }

    fn head(&self) -> io::Result<Option<Head>> {
        let state = self.state();
        let version = HeadVersion(state.heads.to_string());
        Ok(state.head.clone().map(|bytes| Head { bytes, version }))
    }

    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        let mut state = self.state();
        let current = state.head.as_ref().map(|_| HeadVersion(state.heads.to_string()));
        if current.as_ref() != expected {
            return Ok(None);
        }
        state.heads += 1;
        state.head = Some(Bytes::copy_from_slice(bytes));
        Ok(Some(HeadVersion(state.heads.to_string())))
    }

    fn settings(&self) -> io::Result<Bytes> {
        Ok(self.state().settings.clone().ok_or(io::ErrorKind::NotFound)?)
    }

    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.settings.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.settings = Some(Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        self.state().settings = Some(Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn lock(&self) -> io::Result<Locking> {
        Ok(Locking::Shared)
    }

    fn is_shared(&self) -> bool {
        true
    }
}
