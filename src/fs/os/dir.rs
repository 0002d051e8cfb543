//! One open directory.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};

use super::file::OsFile;
use super::{
    attributes, lock, open_beneath, open_through, owner, regular, set_attrs_fd, set_created_mode, stat_at,
    stat_fd, stat_through, timestamps,
};
use crate::fs::{Attrs, Dir, DirRef, FileRef, Kind, Rdev, Special, Stat, lacks_exchange, state, walk};
use crate::path::Name;

/// Bytes of directory records one `getdents64` may fill: about a thousand names.
const LIST_BUFFER_BYTES: usize = 64 << 10;

thread_local! {
    static LIST_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct OsDir {
    fd: OwnedFd,
    /// Whether the descriptor's read position was ever moved. One list at a time: they share that position.
    listed: Mutex<bool>,
}

impl OsDir {
    pub(super) fn new(fd: OwnedFd) -> OsDir {
        OsDir { fd, listed: Mutex::new(false) }
    }

    fn open(&self, name: &Name, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_beneath(self.fd.as_fd(), name, flags, Mode::empty())
    }

    fn open_regular(&self, name: &Name, access: OFlags) -> io::Result<FileRef> {
        // NONBLOCK: a FIFO put in a file's place must not hang us. NOCTTY: nor a terminal adopt us.
        match self.open(name, access | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => regular(fd),
            // A directory opened for writing; a socket; a device without a driver.
            Err(Errno::ISDIR | Errno::NXIO | Errno::NODEV) => Err(Errno::INVAL.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The descriptor of a directory given to `link` or `rename`: it must be one of ours.
    fn peer(dir: &dyn Dir) -> Result<BorrowedFd<'_>, Errno> {
        dir.as_any().downcast_ref::<OsDir>().map(|dir| dir.fd.as_fd()).ok_or(Errno::XDEV)
    }

    fn unlink(&self, name: &Name, flags: AtFlags) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name.as_bytes(), flags))?)
    }

    /// `chmod` of a name without following it: the inode is pinned by an `O_PATH` descriptor, looked at, and
    /// changed through `/proc`, whose entry leads to that inode whatever has become of the name.
    fn set_mode(&self, name: &Name, mode: u32) -> io::Result<()> {
        let fd = self.open(name, OFlags::PATH)?;
        if stat_fd(fd.as_fd())?.kind == Kind::Symlink {
            return Ok(());
        }
        let path = lock::proc_fd_path(fd.as_fd());
        Ok(retry_on_intr(|| rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(mode)))?)
    }

    /// `rename_new` where the file system does not know `RENAME_NOREPLACE` (NFS): still one atomic step for the
    /// new name, which `link` and `mkdir` refuse to replace.
    pub(super) fn rename_new_without_flag(
        &self,
        name: &Name,
        new_dir: &dyn Dir,
        new_name: &Name,
    ) -> io::Result<()> {
        if self.stat(name)?.kind != Kind::Dir {
            self.link(name, new_dir, new_name)?;
            return self.remove_file(name);
        }
        let new_fd = OsDir::peer(new_dir)?;
        retry_on_intr(|| rustix::fs::mkdirat(new_fd, new_name.as_bytes(), Mode::from_raw_mode(0o700)))?;
        self.rename(name, new_dir, new_name).inspect_err(|_| {
            // The empty placeholder; if it cannot be removed the rename's own error still says more.
            let _ = new_dir.remove_dir(new_name);
        })
    }
}

impl Dir for OsDir {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *listed, true) {
            rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        }
        LIST_BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.reserve_exact(LIST_BUFFER_BYTES);
            read_names(self.fd.as_fd(), buffer.spare_capacity_mut())
        })
    }

    fn is_empty(&self) -> io::Result<bool> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *listed, true) {
            rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        }
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        stat_at(self.fd.as_fd(), name.as_bytes(), AtFlags::empty())
    }

    fn stat_self(&self) -> io::Result<Stat> {
        stat_fd(self.fd.as_fd())
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let target = retry_on_intr(|| rustix::fs::readlinkat(&self.fd, name.as_bytes(), Vec::new()))?;
        Ok(target.into_bytes())
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        Ok(Arc::new(OsDir::new(self.open(name, OFlags::RDONLY | OFlags::DIRECTORY)?)))
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.open_regular(name, OFlags::RDONLY)
    }

    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        match self.open_regular(name, OFlags::RDONLY | OFlags::NOATIME) {
            // It is another's file.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => self.open_file(name),
            file => file,
        }
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        self.open_regular(name, OFlags::RDWR)
    }

    fn stat_through(&self, name: &Name) -> io::Result<Stat> {
        stat_through(self.fd.as_fd(), name.as_bytes())
    }

    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        let fd = open_through(self.fd.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Arc::new(OsDir::new(fd)))
    }

    fn open_file_through(&self, name: &Name) -> io::Result<FileRef> {
        regular(open_through(self.fd.as_fd(), name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?)
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        // Special bits are set afterwards: openat2 refuses none of them, but some file systems drop them.
        let fd = open_beneath(self.fd.as_fd(), name, flags, Mode::from_raw_mode(mode & 0o777))?;
        if mode & (0o7000 | umask()) != 0 {
            set_created_mode(fd.as_fd(), mode)?;
        }
        Ok(Arc::new(OsFile::new(fd, None)))
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        // Enterable by us whatever mode is asked for: the handle is opened before the mode is set.
        let first = Mode::from_raw_mode(mode & 0o777 | 0o700);
        retry_on_intr(|| rustix::fs::mkdirat(&self.fd, name.as_bytes(), first))?;
        let fd = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        set_created_mode(fd.as_fd(), mode)?;
        Ok(Arc::new(OsDir::new(fd)))
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::symlinkat(target, &self.fd, name.as_bytes()))?)
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        let (kind, mode) = (file_type(what), Mode::from_raw_mode(mode & 0o777));
        let device = rustix::fs::makedev(rdev.major, rdev.minor);
        Ok(retry_on_intr(|| rustix::fs::mknodat(&self.fd, name.as_bytes(), kind, mode, device))?)
    }

    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let (new, flags) = (OsDir::peer(new_dir)?, AtFlags::empty());
        Ok(retry_on_intr(|| rustix::fs::linkat(&self.fd, name.as_bytes(), new, new_name.as_bytes(), flags))?)
    }

    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new = OsDir::peer(new_dir)?;
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.fd, name.as_bytes(), new, new_name.as_bytes()))?)
    }

    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let (new, flags) = (OsDir::peer(new_dir)?, RenameFlags::NOREPLACE);
        let result = retry_on_intr(|| {
            rustix::fs::renameat_with(&self.fd, name.as_bytes(), new, new_name.as_bytes(), flags)
        });
        match result {
            // INVAL is also how a directory moved into itself is refused; the other way refuses that too.
            Err(Errno::INVAL | Errno::NOSYS) => self.rename_new_without_flag(name, new_dir, new_name),
            result => Ok(result?),
        }
    }

    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()> {
        match self.exchange_at_once(name, other) {
            Err(error) if lacks_exchange(&error) => walk::exchange_in_steps(self, name, other),
            result => result,
        }
    }

    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()> {
        let (a, b, flags) = (name.as_bytes(), other.as_bytes(), RenameFlags::EXCHANGE);
        Ok(retry_on_intr(|| rustix::fs::renameat_with(&self.fd, a, &self.fd, b, flags))?)
    }

    fn remove_file(&self, name: &Name) -> io::Result<()> {
        self.unlink(name, AtFlags::empty())
    }

    fn remove_dir(&self, name: &Name) -> io::Result<()> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()> {
        let times = timestamps(attrs)?;
        let (name_bytes, flags) = (name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW);
        if let Some((uid, gid)) = attrs.owner {
            let (uid, gid) = owner(uid, gid);
            retry_on_intr(|| rustix::fs::chownat(&self.fd, name_bytes, Some(uid), Some(gid), flags))?;
        }
        if let Some(mode) = attrs.mode {
            self.set_mode(name, mode)?;
        }
        if let Some(times) = times {
            retry_on_intr(|| rustix::fs::utimensat(&self.fd, name_bytes, &times, flags))?;
        }
        Ok(())
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        set_attrs_fd(self.fd.as_fd(), attrs)
    }

    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        attributes::all(self.fd.as_fd(), name, false)
    }

    fn attribute(&self, name: Option<&Name>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        attributes::one(self.fd.as_fd(), name, key)
    }

    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        attributes::all(self.fd.as_fd(), Some(name), true)
    }

    fn set_attribute(&self, name: Option<&Name>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        attributes::set(self.fd.as_fd(), name, key, value)
    }

    fn names_show_in_ctime(&self) -> bool {
        // Local file systems that keep POSIX's rule; not those of a network or of another program.
        const KNOWN: [u64; 8] = [
            0x0000_ef53, // ext2, ext3, ext4
            0x5846_5342, // XFS
            0x9123_683e, // btrfs
            0x0102_1994, // tmpfs
            0xf2f5_2010, // F2FS
            0x2fc1_2fc1, // ZFS
            0xca45_1a4e, // bcachefs
            0x8584_58f6, // ramfs
        ];
        rustix::fs::fstatfs(&self.fd).is_ok_and(|fs| KNOWN.contains(&(fs.f_type as u64 & 0xffff_ffff)))
    }

    // A sync that failed has dropped the dirty pages: a second call would report success over lost data.
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn sync_fs(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.fd)?)
    }

    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        match retry_on_intr(|| rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Ok(())),
            Err(Errno::WOULDBLOCK) => Ok(Err(lock::owner_pid(&self.stat_self()?))),
            Err(error) => Err(error.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The bits that the kernel clears in the mode of what is created; all, where that cannot be told. Read once: this
/// program does not change it.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = state::read(Path::new("/proc/self/status"), 1 << 16).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok()).unwrap_or(0o777)
    })
}

fn file_type(what: Special) -> FileType {
    match what {
        Special::Fifo => FileType::Fifo,
        Special::Socket => FileType::Socket,
        Special::CharDevice => FileType::CharacterDevice,
        Special::BlockDevice => FileType::BlockDevice,
    }
}

fn read_names(fd: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<Vec<(Name, Option<Kind>)>> {
    let mut names = Vec::new();
    let mut entries = RawDir::new(fd, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            continue;
        }
        // A broken or hostile file system (FUSE, a bad image) may list what is no name: it has no safe meaning.
        let name = Name::new(bytes).map_err(|_| io::Error::from(Errno::IO))?;
        names.push((name, super::kind_of(entry.file_type())));
    }
    Ok(names)
}
