//! Names → kernel: the one door to the file system, through directory handles that cannot be left.
//!
//! [`Dir`] and [`File`] are the whole port: about thirty operations, each relative to a held directory and
//! given one [`Name`], so that no path is ever walked twice and no symbolic link below the root is ever
//! followed. Three implementations: [`os`] (Linux), [`mem`] (a file system in memory that knows which
//! of its bytes are durable), and [`fault`] (any of them, failing where a plan says so). [`lens`] shows a tree with
//! other modes or owners, or with links followed, as the user asked for it. [`walk`] does what
//! takes more than one name on top of them; [`watch`] tells in which directories something happens; [`state`] keeps the program's own files, outside every tree.
//!
//! Errors are plain [`io::Error`]s that carry the errno; callers know the path and the purpose and add them.

pub mod fault;
pub mod layers;
pub mod lens;
pub mod mem;
pub mod one;
pub mod os;
pub(crate) mod readonly;
pub mod sparse;
pub mod state;
#[cfg(test)]
mod tests;
pub mod walk;
pub mod watch;

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::path::Name;

/// Seconds and nanoseconds since 1970, as the kernel has them: `secs` may be negative, `nanos` is below 10⁹.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub secs: i64,
    /// Nanoseconds after `secs`, 0 to 999,999,999.
    pub nanos: u32,
}

impl Time {
    /// The time of what has no metadata in a tree: a directory that is only on the way to others ([`lens`]).
    pub const UNTOLD: Time = Time { secs: -62_135_596_800, nanos: 999_999_999 };
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device node, FIFO or socket.
    Special(Special),
    /// What is there, and not to be seen through a [`lens`].
    Hidden,
}

/// What is neither file, directory nor symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Special {
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Special {
    /// Whether it is a device, which has a number.
    #[must_use]
    pub fn is_device(self) -> bool {
        matches!(self, Special::CharDevice | Special::BlockDevice)
    }
}

/// Major and minor number of a device; zeros for what is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rdev {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What the file system knows of one name. Links are never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last access, as far as the file system keeps it.
    pub atime: Time,
    /// Last change of contents or metadata; only the kernel sets it.
    pub ctime: Time,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Hard links.
    pub nlink: u64,
    /// Which device it stands for.
    pub rdev: Rdev,
}

/// Metadata to set; what is `None` stays. Applied in this order, because chown clears setuid bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Permission bits, at most 0o7777. Ignored for symbolic links.
    pub mode: Option<u32>,
    /// Modification time.
    pub mtime: Option<Time>,
    /// Access time.
    pub atime: Option<Time>,
}

/// A shared handle of an open directory.
pub type DirRef = Arc<dyn Dir>;
/// A shared handle of an open file.
pub type FileRef = Arc<dyn File>;

/// An open directory. Every operation acts on this directory itself or on one name directly in it.
pub trait Dir: Send + Sync {
    /// Every name in the directory but `.` and `..`, with its kind where the file system tells it for free;
    /// in no particular order. Names the port cannot represent do not exist on Linux.
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>>;
    /// Whether there is no name in the directory.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.list()?.is_empty())
    }
    /// What `name` is. Never follows a link.
    fn stat(&self, name: &Name) -> io::Result<Stat>;
    /// What this directory is.
    fn stat_self(&self) -> io::Result<Stat>;
    /// The bytes of a symbolic link.
    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>>;

    /// What the symbolic link `name` leads to, wherever that is: only where whoever owns this process asked for it.
    /// `ELOOP` where links are never followed.
    fn stat_through(&self, name: &Name) -> io::Result<Stat> {
        let _ = name;
        Err(Errno::LOOP.into())
    }
    /// Opens the directory that the symbolic link `name` leads to, as [`Dir::stat_through`].
    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        let _ = name;
        Err(Errno::LOOP.into())
    }
    /// Opens, for reading, the regular file that the symbolic link `name` leads to, as [`Dir::stat_through`].
    fn open_file_through(&self, name: &Name) -> io::Result<FileRef> {
        let _ = name;
        Err(Errno::LOOP.into())
    }

    /// Opens a directory in this one. `ENOTDIR` or `ELOOP` if `name` is something else.
    fn open_dir(&self, name: &Name) -> io::Result<DirRef>;
    /// Opens a regular file for reading, without blocking on FIFOs. `EINVAL` if it is not a regular file.
    fn open_file(&self, name: &Name) -> io::Result<FileRef>;
    /// The same; where this process may, so that reading leaves the access time alone.
    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        self.open_file(name)
    }
    /// Opens an existing regular file for reading and writing.
    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef>;
    /// Creates a file that must not exist, for reading and writing, with exactly this mode whatever the umask; with
    /// fewer bits where the directory's default ACL clears some.
    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef>;
    /// Creates a directory that must not exist, with exactly this mode, and opens it.
    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef>;
    /// Creates a symbolic link that must not exist.
    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()>;
    /// Creates a device node, FIFO or socket that must not exist, with at most this mode. `EPERM` where this process may
    /// not make such.
    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()>;
    /// Gives the file `name` a second name, `new_name` in `new_dir`, which must not exist.
    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()>;
    /// Renames, replacing what `new_name` was, at once.
    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()>;
    /// Renames; `EEXIST` if `new_name` is there.
    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()>;
    /// Lets two names of this directory, of whatever kinds, change places.
    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()>;
    /// The same in one step, with no moment in between: `EINVAL` or `ENOSYS` where the file system has no such step.
    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()>;
    /// Removes a name that is not a directory.
    fn remove_file(&self, name: &Name) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, name: &Name) -> io::Result<()>;

    /// Sets the metadata of `name`, never following a link.
    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()>;
    /// Sets this directory's own metadata.
    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()>;

    /// The extended attributes of `name`, or without one of this directory, in any order; never those of what a link
    /// leads to. None where the file system has no such thing.
    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let _ = name;
        Ok(Vec::new())
    }
    /// One extended attribute, as [`Dir::attributes`].
    fn attribute(&self, name: Option<&Name>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let found = self.attributes(name)?.into_iter().find(|(other, _)| other == key);
        Ok(found.map(|(_, value)| value))
    }
    /// The extended attributes of what the symbolic link `name` leads to, as [`Dir::stat_through`].
    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let _ = name;
        Err(Errno::LOOP.into())
    }
    /// Sets an extended attribute of `name`, or without one of this directory; without a value, removes it.
    fn set_attribute(&self, name: Option<&Name>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let _ = (name, key, value);
        Err(Errno::OPNOTSUPP.into())
    }

    /// Whether on this file system every change of a directory's names shows in the directory's ctime.
    fn names_show_in_ctime(&self) -> bool {
        false
    }

    /// Makes this directory's names durable (fsync of the directory).
    fn sync(&self) -> io::Result<()>;
    /// Makes everything written to this file system so far durable (syncfs).
    fn sync_fs(&self) -> io::Result<()>;
    /// Takes the directory's exclusive advisory lock, held until the last handle of this open is dropped.
    /// `Ok(Err(pid))` if another process has it; the pid is `None` where it cannot be told.
    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>>;

    /// For an implementation to recognise its own kind in `link` and `rename`.
    fn as_any(&self) -> &dyn Any;
}

/// Whether an error of [`Dir::exchange_at_once`] says that the file system has no such step.
pub(crate) fn lacks_exchange(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS))
}

/// An open regular file.
pub trait File: Send + Sync {
    /// Reads at most `buf.len()` bytes at `offset`; 0 at the end. May read fewer than asked.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, growing the file as needed.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or grows the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves room for `len` bytes, where the file system can.
    fn allocate(&self, len: u64) -> io::Result<()> {
        let _ = len;
        Ok(())
    }
    /// What the file is now.
    fn stat(&self) -> io::Result<Stat>;
    /// What the file was when it was opened, where that is known for free; otherwise what it is now.
    fn stat_opened(&self) -> io::Result<Stat> {
        self.stat()
    }
    /// Sets the file's metadata.
    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()>;
    /// One of the file's extended attributes.
    fn attribute(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let _ = key;
        Ok(None)
    }
    /// Sets an extended attribute of the file; without a value, removes it.
    fn set_attribute(&self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let _ = (key, value);
        Err(Errno::OPNOTSUPP.into())
    }
    /// Makes bytes and metadata durable (fsync).
    fn sync(&self) -> io::Result<()>;
    /// Closes the file, unless another handle of it is held, and tells what could not be written: some file systems
    /// (through FUSE, or a network) say so only then.
    fn close(self: Arc<Self>) -> io::Result<()> {
        Ok(())
    }
    /// The descriptor, where there is one: for copies and clones inside the kernel.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Fills `buf` from `offset`, stopping early only at the end of the file; gives the bytes read.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}
