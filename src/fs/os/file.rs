//! One open regular file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, retry_on_intr};

use super::{attributes, set_attrs_fd, stat_fd};
use crate::fs::{Attrs, File, Stat};

pub(super) struct OsFile {
    fd: OwnedFd,
    /// What it was when it was opened.
    opened: Option<Stat>,
}

impl OsFile {
    pub(super) fn new(fd: OwnedFd, opened: Option<Stat>) -> OsFile {
        OsFile { fd, opened }
    }
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buf, offset))?)
    }

    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let count = retry_on_intr(|| rustix::io::pwrite(&self.fd, buf, offset))?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            buf = &buf[count..];
            offset = offset.checked_add(count as u64).ok_or(Errno::FBIG)?;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.fd, len))?)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match retry_on_intr(|| rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        }
    }

    fn stat(&self) -> io::Result<Stat> {
        stat_fd(self.fd.as_fd())
    }

    fn stat_opened(&self) -> io::Result<Stat> {
        self.opened.map_or_else(|| self.stat(), Ok)
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        set_attrs_fd(self.fd.as_fd(), attrs)
    }

    fn attribute(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        attributes::one_of_file(self.fd.as_fd(), key)
    }

    fn set_attribute(&self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        attributes::set_of_file(self.fd.as_fd(), key, value)
    }

    // Never retried, not even after EINTR: see `OsDir::sync`.
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    #[expect(unsafe_code, reason = "no safe call tells what close said")]
    fn close(self: Arc<Self>) -> io::Result<()> {
        let Some(file) = Arc::into_inner(self) else { return Ok(()) };
        // Safety: the descriptor was this file's alone, and it is given up here.
        let closed = unsafe { rustix::io::try_close(file.fd.into_raw_fd()) };
        // After an interrupted close it is closed all the same.
        closed.or_else(|error| if error == Errno::INTR { Ok(()) } else { Err(error.into()) })
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}
