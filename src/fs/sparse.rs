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

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::fs::mem::MemFs;
    use crate::path::Name;

    /// Remembers what is written.
    struct Writes {
        file: FileRef,
        ranges: Mutex<Vec<(u64, usize)>>,
    }

    impl File for Writes {
        fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
            if !buf.is_empty() {
                self.ranges.lock().unwrap().push((offset, buf.len()));
            }
            self.file.write_all_at(buf, offset)
        }
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.file.read_at(buf, offset)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
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
        fn as_fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    #[test]
    fn blocks_of_zeros_are_not_written() {
        let one = |at: usize, len: usize| {
            let mut bytes = vec![0; len];
            bytes[at] = 1;
            bytes
        };
        let check = |offset: u64, bytes: &[u8], expected: &[(u64, usize)]| {
            let file = MemFs::new().root().create_file(&Name::try_from("f").unwrap(), 0o600).unwrap();
            let writes = Arc::new(Writes { file, ranges: Mutex::default() });
            let view = sparse(writes.clone());
            view.write_all_at(bytes, offset).unwrap();
            view.set_len(offset + bytes.len() as u64).unwrap();
            assert_eq!(*writes.ranges.lock().unwrap(), expected);
            let mut read = vec![9; bytes.len()];
            assert_eq!(view.read_full_at(&mut read, offset).unwrap(), bytes.len());
            assert_eq!(read, bytes);
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
