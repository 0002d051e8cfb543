//! The kernel's questions → [`Shown`]'s answers.
//!
//! A state never changes, so the kernel may keep what it was told of one, bytes included, for as long as it likes; names and
//! `latest` it asks for again after [`AGAIN`]. A read that cannot give every byte that was asked for gives none: a short
//! answer would be filled with zeros.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    IoctlFlags, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};

use super::place::Place;
use super::shown::{AGAIN, Listing, Shown};
use crate::fs::{FileRef, Kind, Rdev, Special, Stat, Time};
use crate::limits::NAME_BYTES_MAX;

/// How long the kernel may keep what does not change.
const FOR_LONG: Duration = Duration::from_secs(365 * 86_400);
/// The size of a block, in which `statfs` counts.
const BLOCK_BYTES: u32 = 4096;
/// The size of a block, in which `stat` counts.
const STAT_BLOCK_BYTES: u64 = 512;

/// What the kernel speaks to.
pub(super) struct Kernel {
    shown: Shown,
    open: Mutex<Open>,
}

/// What is open, by handle.
#[derive(Default)]
struct Open {
    handles: HashMap<u64, Handle>,
    next: u64,
}

#[derive(Clone)]
enum Handle {
    File(FileRef, u64),
    Dir(Arc<Listing>),
}

impl Kernel {
    pub(super) fn new(shown: Shown) -> Kernel {
        Kernel { shown, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, handle: Handle) -> FileHandle {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.handles.insert(number, handle);
        FileHandle(number)
    }

    fn held(&self, handle: FileHandle) -> Option<Handle> {
        self.open().handles.get(&handle.0).cloned()
    }

    /// What the kernel is told of an error. What is wrong with the store, the user is told too.
    fn refused(&self, inode: INodeNo, name: Option<&OsStr>, error: &io::Error) -> Errno {
        match error.raw_os_error() {
            Some(number) if number != rustix::io::Errno::IO.raw_os_error() => Errno::from_i32(number),
            _ => {
                self.shown.tell_of(inode.0, name.map(OsStr::as_bytes), error);
                Errno::EIO
            }
        }
    }

    /// The bytes of a file from `offset` on: as many as there are, up to `len`.
    fn bytes(&self, handle: FileHandle, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let Some(Handle::File(file, size)) = self.held(handle) else {
            return Err(rustix::io::Errno::BADF.into());
        };
        let mut bytes = vec![0; size.saturating_sub(offset).min(len.into()) as usize];
        let count = file.read_full_at(&mut bytes, offset)?;
        if count == bytes.len() { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Filesystem for Kernel {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.shown.find(parent.0, name.as_bytes()) {
            Ok(stat) => {
                let entry_for = if is_lasting(parent.0) { FOR_LONG } else { AGAIN };
                reply.entry_with_ttls(&lasting(stat.ino), &entry_for, &attributes(&stat), Generation(0));
            }
            Err(error) => reply.error(self.refused(parent, Some(name), &error)),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.shown.stat(inode.0) {
            Ok(stat) => reply.attr(&lasting(inode.0), &attributes(&stat)),
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        match self.shown.read_link(inode.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.shown.open(inode.0).and_then(|file| {
            let size = file.stat()?.size;
            Ok(Handle::File(file, size))
        });
        match opened {
            Ok(handle) => reply.opened(self.hold(handle), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.bytes(handle, offset, len) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open().handles.remove(&handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.shown.list(inode.0) {
            Ok(listing) => {
                reply.opened(self.hold(Handle::Dir(Arc::new(listing))), FopenFlags::empty());
            }
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(Handle::Dir(listing)) = self.held(handle) else {
            return reply.error(Errno::EBADF);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, listed) in (offset + 1..).zip((from..).map_while(|at| listing.get(at))) {
            let name = OsStr::from_bytes(&listed.name);
            if reply.add(INodeNo(listed.inode), next, file_type(listed.kind), name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.open().handles.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let totals = self.shown.totals();
        let blocks = totals.bytes.div_ceil(BLOCK_BYTES.into());
        reply.statfs(blocks, 0, 0, totals.files, 0, BLOCK_BYTES, NAME_BYTES_MAX as u32, BLOCK_BYTES);
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, len: u32, reply: ReplyXattr) {
        match self.shown.attributes(inode.0) {
            Ok(set) => match set.get(name.as_bytes()) {
                Some(value) => answer(value, len, reply),
                None => reply.error(Errno::NO_XATTR),
            },
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, len: u32, reply: ReplyXattr) {
        match self.shown.attributes(inode.0) {
            Ok(set) => {
                let names: Vec<u8> =
                    set.iter().flat_map(|(name, _)| name.iter().copied().chain([0])).collect();
                answer(&names, len, reply);
            }
            Err(error) => reply.error(self.refused(inode, None, &error)),
        }
    }

    // What follows is refused as what is not there is: the kernel then does by itself what is to be done, and asks no more.

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}

/// Whether what is in a directory stays as it is.
fn is_lasting(inode: u64) -> bool {
    matches!(Place::of(inode), Some(Place::Root(_) | Place::Entry(..)))
}

/// How long the kernel may keep what an inode is.
fn lasting(inode: u64) -> Duration {
    if is_lasting(inode) { FOR_LONG } else { AGAIN }
}

/// Answers with a value, or with how long it is if that is what was asked.
fn answer(value: &[u8], len: u32, reply: ReplyXattr) {
    match len {
        0 => reply.size(value.len() as u32),
        len if value.len() <= len as usize => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

fn attributes(stat: &Stat) -> FileAttr {
    FileAttr {
        ino: INodeNo(stat.ino),
        size: stat.size,
        blocks: stat.size.div_ceil(STAT_BLOCK_BYTES),
        atime: system_time(stat.atime),
        mtime: system_time(stat.mtime),
        ctime: system_time(stat.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(stat.kind),
        perm: (stat.mode & 0o7777) as u16,
        nlink: u32::try_from(stat.nlink).unwrap_or(u32::MAX),
        uid: stat.uid,
        gid: stat.gid,
        rdev: device(stat.rdev),
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File | Kind::Hidden => FileType::RegularFile,
        Kind::Dir => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Special(Special::Fifo) => FileType::NamedPipe,
        Kind::Special(Special::Socket) => FileType::Socket,
        Kind::Special(Special::CharDevice) => FileType::CharDevice,
        Kind::Special(Special::BlockDevice) => FileType::BlockDevice,
    }
}

/// A device's number in the kernel's 32 bits: 12 of the major one, 20 of the minor one, of which the lower 8 are last.
fn device(rdev: Rdev) -> u32 {
    let Rdev { major, minor } = rdev;
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// A time; one that is beyond what can be told is the beginning of 1970.
fn system_time(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.secs.unsigned_abs());
    let second = if time.secs < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let told = second.and_then(|second| second.checked_add(Duration::from_nanos(time.nanos.into())));
    told.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_number_that_the_kernel_gives_it() {
        for (major, minor) in [(1, 3), (7, 200), (259, 0x1_2345), (0xfff, 0xf_ffff)] {
            let expected = rustix::fs::makedev(major, minor);
            assert_eq!(u64::from(device(Rdev { major, minor })), expected & 0xffff_ffff, "{major}:{minor}");
        }
    }

    #[test]
    fn times_before_1970_are_told_and_those_beyond_any_calendar_too() {
        let half = 500_000_000;
        let told = |secs, nanos| system_time(Time { secs, nanos });
        assert_eq!(told(-1, half), UNIX_EPOCH - Duration::from_nanos(half.into()));
        assert_eq!(told(1, half), UNIX_EPOCH + Duration::from_millis(1500));
        for secs in [i64::MIN, i64::MAX] {
            let _ = told(secs, 999_999_999);
        }
    }
}
