//! One suite of facts over every implementation of the port; what is special to one stands beside it.

mod conformance;
mod race;
mod walk;

use std::io;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use super::fault::{Faults, Plan};
use super::mem::MemFs;
use super::{DirRef, os};
use crate::path::Name;

/// A fresh, empty file system and what the port itself cannot make.
pub(super) struct World {
    pub(super) root: DirRef,
    kind: WorldKind,
}

enum WorldKind {
    Os(tempfile::TempDir),
    Mem(MemFs),
}

impl World {
    pub(super) fn os() -> World {
        // Memory if there is some: the suite makes tens of thousands of system calls.
        let base = [PathBuf::from("/dev/shm"), std::env::temp_dir()].into_iter().find(|path| path.is_dir());
        let temp = tempfile::tempdir_in(base.unwrap()).unwrap();
        World { root: os::open_root(temp.path()).unwrap(), kind: WorldKind::Os(temp) }
    }

    fn mem() -> World {
        let fs = MemFs::new();
        World { root: fs.root(), kind: WorldKind::Mem(fs) }
    }

    /// The operating system behind a plan without faults.
    fn fault() -> World {
        let World { root, kind } = World::os();
        World { root: Faults::new(Plan::new()).wrap(root), kind }
    }

    fn make_fifo(&self, at: &str) {
        match &self.kind {
            WorldKind::Mem(fs) => fs.mkspecial(at).unwrap(),
            WorldKind::Os(temp) => {
                let path = temp.path().join(at);
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
            }
        }
    }

    /// A second open of the same root, as another process would have it.
    fn reopen(&self) -> DirRef {
        match &self.kind {
            WorldKind::Mem(fs) => fs.root(),
            WorldKind::Os(temp) => os::open_root(temp.path()).unwrap(),
        }
    }

    /// The path of a world that has one.
    pub(super) fn path(&self) -> &std::path::Path {
        match &self.kind {
            WorldKind::Os(temp) => temp.path(),
            WorldKind::Mem(_) => panic!("a file system in memory has no path"),
        }
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

/// Asserts that an operation failed with one of the errnos.
#[track_caller]
pub(super) fn fails<T>(result: io::Result<T>, expected: &[Errno]) {
    let error = result.err().expect("the operation should fail");
    let errno = Errno::from_io_error(&error);
    assert!(errno.is_some_and(|errno| expected.contains(&errno)), "{error} is none of {expected:?}");
}
