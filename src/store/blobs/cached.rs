//! Another place, with its index blobs kept in a local folder.
//!
//! Indexes are small, never change and are read by every run, and a service answers in tens of milliseconds. A kept one
//! has the digest of its name or is read again from the place: what is missing, damaged or cannot be written costs time,
//! nothing else. Those that the place no longer lists go with the next listing.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{BlobInfo, BlobKind, BlobName, Blobs, Head, HeadVersion, Locking};
use crate::fs::state;
use crate::hash::Hash;

/// A larger index is not kept.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// A place whose index blobs are kept in a folder.
pub struct Cached {
    place: Arc<dyn Blobs>,
    dir: PathBuf,
}

impl Cached {
    /// Keeps the index blobs of `place` in `dir`, which is of this store alone, and is made when something is kept.
    #[must_use]
    pub fn new(place: Arc<dyn Blobs>, dir: PathBuf) -> Cached {
        Cached { place, dir }
    }

    fn file(&self, blob: &BlobName) -> PathBuf {
        self.dir.join(blob.hash.to_string())
    }

    /// The blob as it is kept, if it has the bytes of its name.
    fn kept(&self, blob: &BlobName) -> Option<Bytes> {
        let bytes = state::read(&self.file(blob), KEPT_BYTES_MAX as usize).ok()?;
        (BlobName::of(blob.kind, &bytes) == *blob).then(|| bytes.into())
    }

    /// Keeps the blob, or not: it is in the place.
    fn keep(&self, blob: &BlobName, bytes: &[u8]) {
        if bytes.len() as u64 <= KEPT_BYTES_MAX && BlobName::of(blob.kind, bytes) == *blob {
            let _ = state::create_dir_all(&self.dir, 0o700)
                .and_then(|()| state::write_atomic(&self.file(blob), bytes, 0o600));
        }
    }
}

impl Blobs for Cached {
    fn put(&self, blob: &BlobName, bytes: &[u8]) -> io::Result<()> {
        self.place.put(blob, bytes)?;
        if blob.kind == BlobKind::Index {
            self.keep(blob, bytes);
        }
        Ok(())
    }

    fn read(&self, blob: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        if blob.kind != BlobKind::Index {
            return self.place.read(blob, range);
        }
        let whole = match self.kept(blob) {
            Some(bytes) => bytes,
            None => {
                let len = self.place.len(blob)?;
                if len > KEPT_BYTES_MAX {
                    return self.place.read(blob, range);
                }
                let bytes = self.place.read(blob, 0..len)?;
                self.keep(blob, &bytes);
                bytes
            }
        };
        if range.start > range.end || range.end > whole.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(whole.slice(range.start as usize..range.end as usize))
    }

    fn len(&self, blob: &BlobName) -> io::Result<u64> {
        match Some(blob).filter(|blob| blob.kind == BlobKind::Index).and_then(|blob| self.kept(blob)) {
            Some(bytes) => Ok(bytes.len() as u64),
            None => self.place.len(blob),
        }
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        let listed = self.place.list(kind)?;
        if kind == BlobKind::Index {
            for file in state::list(&self.dir).unwrap_or_default() {
                let hash: Option<Hash> = file.to_str().and_then(|text| text.parse().ok());
                if hash.is_some_and(|hash| listed.iter().all(|info| info.name.hash != hash)) {
                    let _ = state::remove(&self.dir.join(file));
                }
            }
        }
        Ok(listed)
    }

    fn remove(&self, blob: &BlobName) -> io::Result<()> {
        if blob.kind == BlobKind::Index {
            let _ = state::remove(&self.file(blob));
        }
        self.place.remove(blob)
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        self.place.remove_leftovers()
    }

    fn head(&self) -> io::Result<Option<Head>> {
        self.place.head()
    }

    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        self.place.replace_head(expected, bytes)
    }

    fn settings(&self) -> io::Result<Bytes> {
        self.place.settings()
    }

    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        self.place.put_settings(bytes)
    }

    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        self.place.replace_settings(bytes)
    }

    fn lock(&self) -> io::Result<Locking> {
        self.place.lock()
    }

    fn is_shared(&self) -> bool {
        self.place.is_shared()
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached({})", self.dir.display())
    }
}
