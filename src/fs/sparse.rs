//! A file being made → the same file, with holes where it would hold zeros.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{Attrs, File, FileRef, Stat};

/// Zeros of this length, where a multiple of it begins, become a hole: the block of most file systems.
const BLOCK_BYTES: usize = 4 << 10;

/// The view.
struct Sparse {
    file: FileRef,
}

/// A view of a new file through which blocks of zeros are not written. Its length is to be set in the end: it may
/// end in a hole.
#[must_use]
pub fn sparse(file: FileRef) -> FileRef {
    Arc::new(Sparse { file })
}

/// Where the next block begins after `offset`.
fn block_len(offset: u64, rest: usize) -> usize {
    let within = (offset % BLOCK_BYTES as u64) as usize;
    rest.min(BLOCK_BYTES - within)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

impl File for Sparse {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        // Runs of blocks that are not zeros are written at once.
        let (mut at, mut begun) = (0, 0);
        while at < buf.len() {
            let end = at + block_len(offset + at as u64, buf.len() - at);
            if is_zero(&buf[at..end]) {
                self.file.write_all_at(&buf[begun..at], offset + begun as u64)?;
                begun = end;
            }
            at = end;
        }
        self.file.write_all_at(&buf[begun..], offset + begun as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        self.file.set_attrs(attrs)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn close(self: Arc<Self>) -> io::Result<()> {
        Arc::into_inner(self).map_or(Ok(()), |file| file.file.close())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::mem::MemFs;
    use crate::path::Name;

    /// What stands where nothing was written.
    const OLD: u8 = 0xee;

    #[test]
    fn blocks_of_zeros_are_not_written() {
        let one = |at: usize, len: usize| {
            let mut bytes = vec![0; len];
            bytes[at] = 1;
            bytes
        };
        let check = |offset: usize, bytes: &[u8], expected: &[(usize, usize)]| {
            let file = MemFs::new().root().create_file(&Name::try_from("f").unwrap(), 0o600).unwrap();
            let mut wanted = vec![OLD; offset + bytes.len()];
            file.write_all_at(&wanted, 0).unwrap();
            sparse(file.clone()).write_all_at(bytes, offset as u64).unwrap();
            for &(at, len) in expected {
                wanted[at..at + len].copy_from_slice(&bytes[at - offset..at - offset + len]);
            }
            let mut found = vec![0; wanted.len()];
            file.read_full_at(&mut found, 0).unwrap();
            assert!(found == wanted, "{} bytes at {offset}: {expected:?}", bytes.len());
        };
        check(0, &[], &[]);
        check(0, &[0; 10_000], &[]);
        check(0, &one(0, 10_000), &[(0, 4096)]);
        check(0, &one(4096, 12_288), &[(4096, 4096)]);
        check(100, &one(0, 8192), &[(100, 3996)]);
        check(4000, &one(96, 5000), &[(4096, 4096)]);
        check(0, &[1; 9000], &[(0, 9000)]);
    }
}
