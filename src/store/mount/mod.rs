//! A store → a file system that is only read, through the kernel's FUSE.
//!
//! | path | what |
//! |---|---|
//! | `NAME/` | a name of the store, with `#` for each slash in it |
//! | `NAME/12-2026-11-23T16:30:05/` | a state of it: its number in the store's history, and when it was put |
//! | `NAME/12-2026-11-23T16:30:05/…` | its tree, with the metadata, links and extended attributes that it was put with |
//! | `NAME/latest` | a link to the newest state |
//!
//! | module | in → out |
//! |---|---|
//! | `place` | what something stands for ↔ its inode number |
//! | `names` | names and states of the store → names of directories |
//! | `trees` | roots of snapshots → their trees, of which a few are kept |
//! | `shown` | an inode number → what is there |
//! | `kernel` | the kernel's questions → answers |
//!
//! # What it promises
//!
//! - Bytes are checked before anyone sees them. What cannot be read whole is `EIO`, and told with its path and cause
//!   ([`Options::tell`]).
//! - Inode numbers stay for as long as the mount lives, and so does what they stand for. States that are put meanwhile appear
//!   when a directory above them is looked at, a second later at most.
//! - What is forgotten and collected meanwhile goes; nothing else does.
//!
//! # Cost
//!
//! A state's tree is read whole when something in it is first looked at, and eight of them are kept, about 250 bytes a name.
//! Files are read as they are asked for, through the store's records that were read lately. An open file has 48 bytes a chunk.

mod kernel;
mod names;
mod place;
mod shown;
#[cfg(test)]
mod tests;
mod trees;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use rustix::mount::UnmountFlags;

use self::kernel::Kernel;
use self::shown::Shown;
use super::{Store, StoreError};
use crate::fs::{Time, os};

/// Threads that answer the kernel at most.
const THREADS_MAX: usize = 8;

/// Is told what could not be read, by its path below the directory of the mount, and why.
pub type Told = Box<dyn Fn(&[u8], &io::Error) + Send + Sync>;

/// How a store is mounted.
pub struct Options {
    /// What the system's table of mounts calls it.
    pub source: String,
    /// Whether others than who mounts may look, as far as modes and owners in the trees let them. Else nobody else may, and
    /// who mounts may read everything.
    pub allow_other: bool,
    /// How the time of a state is written; a slash in it becomes a hyphen.
    pub time: fn(Time) -> String,
    /// Who is told what could not be read.
    pub tell: Told,
}

/// A store that is mounted. If it is dropped, it is no longer.
pub struct Mounted {
    session: Session<Kernel>,
    dir: PathBuf,
}

/// Ends a mount from another thread.
pub struct Unmounter {
    session: SessionUnmounter,
    dir: PathBuf,
}

/// Mounts a store over a directory. Nobody gets an answer before [`Mounted::serve`].
///
/// # Errors
/// [`StoreError::Io`] if there is no such directory, no FUSE or no permission; those of [`Store::names`].
pub fn mount(store: Arc<Store>, dir: &Path, options: Options) -> Result<Mounted, StoreError> {
    let shown = dir.display().to_string();
    let failed = StoreError::place(&shown, "mount at");
    // Whoever asks for the whole path later would ask the mount.
    let dir = match os::open_root(dir).and_then(|_| dir.canonicalize()) {
        Ok(dir) => dir,
        Err(error) => return Err(failed(error)),
    };
    let kernel = Kernel::new(Shown::new(store, options.time, options.tell)?);
    let session =
        Session::new(kernel, &dir, &config(&options.source, options.allow_other)).map_err(failed)?;
    Ok(Mounted { session, dir })
}

fn config(source: &str, allow_other: bool) -> Config {
    // Who mounts by fusermount has all options in one text.
    let name =
        source.replace(|char: char| char.is_whitespace() || char.is_control() || ",\\".contains(char), "_");
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(name),
        MountOption::Subtype("syncline".to_owned()),
        MountOption::RO,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoAtime,
    ];
    if allow_other {
        config.mount_options.push(MountOption::DefaultPermissions);
        config.acl = SessionACL::All;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    config.n_threads = Some(threads.clamp(2, THREADS_MAX));
    config
}

impl Mounted {
    /// What ends the mount from another thread.
    pub fn unmounter(&mut self) -> Unmounter {
        Unmounter { session: self.session.unmount_callable(), dir: self.dir.clone() }
    }

    /// Answers whoever looks, until the mount is ended: by an [`Unmounter`], or by `umount`.
    ///
    /// # Errors
    /// That of the connection to the kernel, if it breaks.
    pub fn serve(self) -> io::Result<()> {
        self.session.run()
    }
}

impl Unmounter {
    /// Ends the mount. Where something in it is in use, it is gone from the tree of directories at once, and
    /// [`Mounted::serve`] returns when it is no longer used.
    ///
    /// # Errors
    /// That of `umount`.
    pub fn unmount(&mut self) -> io::Result<()> {
        match self.session.unmount() {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                Ok(rustix::mount::unmount(&self.dir, UnmountFlags::DETACH)?)
            }
            result => result,
        }
    }
}
