//! Names → Linux: the port over held directory descriptors, one path component a system call.
//!
//! Everything below a root goes through `openat2` with `BENEATH | NO_SYMLINKS | NO_MAGICLINKS`, or through a
//! call that by definition acts on the last component itself (`renameat`, `unlinkat`, `utimensat` with
//! `NOFOLLOW`). A [`Name`] is a single component, so on a kernel without `openat2` (before
//! 5.6, or hidden by a sandbox) `openat` with `O_NOFOLLOW` confines just as well. A process that races us by
//! swapping directories for links can make an operation fail, but cannot make it leave the tree.
//!
//! Only the two doors below take an operator's path, which may contain links: the operator may name any place.
//!
//! Extended attributes are reached through `/proc`, since there are no calls
//! for names in a held directory before Linux 6.13. Setting the mode of a *name* needs `/proc`, because `fchmodat` follows links and `fchmodat2` is younger than the kernels we run on.

mod attributes;
mod dir;
mod file;
mod lock;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, StatxTimestamp, Timespec,
    Timestamps, UTIME_OMIT,
};
use rustix::io::{Errno, retry_on_intr};

pub use self::dir::umask;

use self::dir::OsDir;
use self::file::OsFile;
use super::{DirRef, FileRef, Kind, Rdev, Special, Stat, Time};
use crate::path::Name;

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the directory an operator named. Links in `path` are followed; nothing below the handle ever is.
///
/// # Errors
/// The errno of `open`: `ENOENT`, `ENOTDIR`, `EACCES`, …
pub fn open_root(path: &Path) -> io::Result<DirRef> {
    let fd = retry_on_intr(|| rustix::fs::open(path, DIR_FLAGS, Mode::empty()))?;
    Ok(Arc::new(OsDir::new(fd)))
}

/// Creates the directory an operator named (0777 less the umask) and opens it. Its parent must exist.
///
/// # Errors
/// `EEXIST` if anything has that name, even a dangling link; otherwise the errno of `mkdir` and `open`.
pub fn create_root(path: &Path) -> io::Result<DirRef> {
    retry_on_intr(|| rustix::fs::mkdir(path, Mode::from_raw_mode(0o777)))?;
    open_root(path)
}

/// Opens, for reading, the regular file an operator named. Links are followed; a FIFO does not block.
///
/// # Errors
/// `EINVAL` if it is not a regular file; otherwise the errno of `open`.
pub fn open_operator_file(path: &Path) -> io::Result<FileRef> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
    regular(fd)
}

/// A descriptor just opened as a file handle, once it is known to be a regular file.
fn regular(fd: OwnedFd) -> io::Result<FileRef> {
    let stat = stat_fd(fd.as_fd())?;
    if stat.kind != Kind::File {
        return Err(Errno::INVAL.into());
    }
    Ok(Arc::new(OsFile::new(fd, Some(stat))))
}

/// Opens one name in `dir`, never following a link.
fn open_beneath(dir: BorrowedFd<'_>, name: &Name, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    /// Set once a kernel (`ENOSYS`) or a sandbox (`EPERM`) was seen to refuse what `openat` then did.
    static OPENAT2_MISSING: AtomicBool = AtomicBool::new(false);
    const RESOLVE: ResolveFlags =
        ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !OPENAT2_MISSING.load(Ordering::Relaxed) {
        match retry_on_intr(|| rustix::fs::openat2(dir, name.as_bytes(), flags, mode, RESOLVE)) {
            Err(Errno::NOSYS | Errno::PERM) => {}
            result => return result,
        }
    }
    let fd = open_nofollow(dir, name, flags, mode)?;
    OPENAT2_MISSING.store(true, Ordering::Relaxed);
    Ok(fd)
}

/// Opens what one name in `dir` leads to, wherever that is. Links of the kernel's own (`/proc/PID/fd`) stay closed.
fn open_through(dir: BorrowedFd<'_>, name: &Name, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    match retry_on_intr(|| rustix::fs::openat2(dir, name.as_bytes(), flags, Mode::empty(), resolve)) {
        Err(Errno::NOSYS | Errno::PERM) => {
            retry_on_intr(|| rustix::fs::openat(dir, name.as_bytes(), flags, Mode::empty()))
        }
        result => result,
    }
}

/// The same without `openat2`: one component needs no more than `O_NOFOLLOW`.
fn open_nofollow(dir: BorrowedFd<'_>, name: &Name, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| rustix::fs::openat(dir, name.as_bytes(), flags | OFlags::NOFOLLOW, mode))
}

/// What `name` in `dir` is.
///
/// `AT_STATX_SYNC_AS_STAT` (no flag): local file systems answer from the inode anyway, and on a network file
/// system `DONT_SYNC` could return attributes from before a change that another client has already made, so
/// that a scan would keep the root of a file that differs.
fn stat_at(dir: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> io::Result<Stat> {
    stat_as(dir, name, flags | AtFlags::SYMLINK_NOFOLLOW)
}

/// The same of what a link leads to.
fn stat_through(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Stat> {
    stat_as(dir, name, AtFlags::empty())
}

fn stat_as(dir: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> io::Result<Stat> {
    let flags = flags | AtFlags::NO_AUTOMOUNT;
    let statx = retry_on_intr(|| rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS))?;
    Ok(stat_of(&statx))
}

fn stat_fd(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    stat_at(fd, b"", AtFlags::EMPTY_PATH)
}

fn stat_of(statx: &Statx) -> Stat {
    let time = |at: StatxTimestamp| Time { secs: at.tv_sec, nanos: at.tv_nsec };
    let raw_mode = u32::from(statx.stx_mode);
    Stat {
        kind: kind_of(FileType::from_raw_mode(raw_mode)).unwrap_or(Kind::Hidden),
        mode: raw_mode & 0o7777,
        uid: statx.stx_uid,
        gid: statx.stx_gid,
        size: statx.stx_size,
        mtime: time(statx.stx_mtime),
        atime: time(statx.stx_atime),
        ctime: time(statx.stx_ctime),
        dev: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        ino: statx.stx_ino,
        nlink: u64::from(statx.stx_nlink),
        rdev: Rdev { major: statx.stx_rdev_major, minor: statx.stx_rdev_minor },
    }
}

/// `None` for `DT_UNKNOWN`: the file system does not tell the kind of a name it lists.
fn kind_of(file_type: FileType) -> Option<Kind> {
    match file_type {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Fifo => Some(Kind::Special(Special::Fifo)),
        FileType::Socket => Some(Kind::Special(Special::Socket)),
        FileType::CharacterDevice => Some(Kind::Special(Special::CharDevice)),
        FileType::BlockDevice => Some(Kind::Special(Special::BlockDevice)),
        FileType::Unknown => None,
    }
}

/// The times to set, if any are.
fn timestamps(attrs: &super::Attrs) -> io::Result<Option<Timestamps>> {
    let time = |time: Option<Time>| match time {
        // Above 10⁹ stand the kernel's "now" and "omit", which no caller may reach by accident.
        Some(Time { nanos: 1_000_000_000.., .. }) => Err(io::Error::from(Errno::INVAL)),
        Some(Time { secs, nanos }) => Ok(Timespec { tv_sec: secs, tv_nsec: i64::from(nanos) }),
        None => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }),
    };
    let times = Timestamps { last_access: time(attrs.atime)?, last_modification: time(attrs.mtime)? };
    Ok((attrs.atime.is_some() || attrs.mtime.is_some()).then_some(times))
}

/// Gives a file or directory just created exactly `mode`.
///
/// The umask, a default ACL and a set-group-id parent all change the mode that was asked for, so the outcome is
/// looked at instead of being predicted: an `fstat` costs a few hundred nanoseconds, a creation ten thousand.
fn set_created_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    if stat_fd(fd)?.mode != mode {
        retry_on_intr(|| rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)))?;
    }
    Ok(())
}

/// Sets the attributes of what `fd` is open on; `fd` must not be `O_PATH`.
fn set_attrs_fd(fd: BorrowedFd<'_>, attrs: &super::Attrs) -> io::Result<()> {
    let times = timestamps(attrs)?;
    if let Some((uid, gid)) = attrs.owner {
        let (uid, gid) = owner(uid, gid);
        retry_on_intr(|| rustix::fs::fchown(fd, Some(uid), Some(gid)))?;
    }
    if let Some(mode) = attrs.mode {
        retry_on_intr(|| rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)))?;
    }
    if let Some(times) = times {
        retry_on_intr(|| rustix::fs::futimens(fd, &times))?;
    }
    Ok(())
}

fn owner(uid: u32, gid: u32) -> (rustix::fs::Uid, rustix::fs::Gid) {
    (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid))
}
