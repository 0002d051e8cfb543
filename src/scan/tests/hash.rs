//! One file, read while it changes.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bed::{Bed, name};
use crate::chunk::{Chunker, Params};
use crate::fs::mem::MemFs;
use crate::fs::{Attrs, File, FileRef, Stat, Time};
use crate::scan::hash::{FileHasher, Unsettled, hash_file, hash_settled};
use crate::tree;

/// A file that someone else rewrites, with `bytes` numbered, after each of the first `edits` reads.
struct Edited {
    inner: FileRef,
    fs: MemFs,
    edits: Arc<AtomicU64>,
    bytes: &'static [u8],
}

impl File for Edited {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.inner.read_at(buf, offset)?;
        if self.edits.load(Ordering::Relaxed) > 0 {
            let left = self.edits.fetch_sub(1, Ordering::Relaxed);
            self.fs.set_time(Time { secs: 1_900_000_000 - left as i64, nanos: 7 });
            self.fs.write("a", self.bytes)?;
        }
        Ok(count)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        unreachable!("nothing is written")
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("nothing is written")
    }

    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }

    fn set_attrs(&self, _: &Attrs) -> io::Result<()> {
        unreachable!("nothing is written")
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("nothing is written")
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Hashes a file of three bytes that becomes `bytes` after each of the first `edits` reads.
fn hash_edited(edits: u64, bytes: &'static [u8]) -> (Result<crate::hash::Hash, Unsettled>, u64) {
    let bed = Bed::new(&[("a", b"old")]);
    let edits = Arc::new(AtomicU64::new(edits));
    let mut opened = 0;
    let open = || {
        opened += 1;
        let inner = bed.fs.root().open_file(&name("a"))?;
        Ok(Arc::new(Edited { inner, fs: bed.fs.clone(), edits: edits.clone(), bytes }) as FileRef)
    };
    let mut hasher = FileHasher::new(Chunker::new(&Params::default()));
    let mut hash = |file: &dyn File, size| {
        let (root, chunks, len) = hash_file(file, size, &mut hasher)?;
        Ok((root, chunks.to_vec(), len))
    };
    let result = hash_settled(open, &mut hash, &bed.options.now).map(|settled| settled.root);
    (result, opened)
}

#[test]
fn file_that_changes_once_is_read_again() {
    let root = |bytes| tree::hash_bytes(&Chunker::new(&Params::default()), bytes).hash;
    for bytes in [&b"new"[..], b"longer", b"", b"s"] {
        let (result, opened) = hash_edited(1, bytes);
        assert!(matches!(result, Ok(found) if found == root(bytes)), "{bytes:?}");
        assert_eq!(opened, 2);
    }
    let (result, opened) = hash_edited(0, b"");
    assert!(matches!(result, Ok(found) if found == root(b"old")));
    assert_eq!(opened, 1);
}

#[test]
fn file_that_changes_twice_is_given_up() {
    for bytes in [&b"new"[..], b"longer", b"s"] {
        let (result, opened) = hash_edited(u64::MAX, bytes);
        assert!(matches!(result, Err(Unsettled::Changed)), "{bytes:?}");
        assert_eq!(opened, 2);
    }
}
