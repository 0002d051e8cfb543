//! A directory → a view of it that holds one file, perhaps under another name.
//!
//! A single file is synchronized as a tree of one name. The view is only read: whatever would change it is
//! refused with `EROFS`.

use std::any::Any;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Attrs, Dir, DirRef, FileRef, Kind, Stat};
use crate::path::Name;

/// The view.
struct OneFile {
    dir: DirRef,
    real: Name,
    shown: Name,
}

/// A view of `dir` that holds its file `real` under the name `shown`, and nothing else.
#[must_use]
pub fn one_file(dir: DirRef, real: Name, shown: Name) -> DirRef {
    Arc::new(OneFile { dir, real, shown })
}

impl OneFile {
    fn real(&self, name: &Name) -> io::Result<&Name> {
        if *name == self.shown { Ok(&self.real) } else { Err(Errno::NOENT.into()) }
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(Errno::ROFS.into())
}

impl Dir for OneFile {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        Ok(vec![(self.shown.clone(), None)])
    }
    fn stat(&self, name: &Name) -> io::Result<Stat> {
        self.dir.stat(self.real(name)?)
    }
    fn stat_self(&self) -> io::Result<Stat> {
        self.dir.stat_self()
    }
    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        self.dir.read_link(self.real(name)?)
    }
    fn open_dir(&self, _: &Name) -> io::Result<DirRef> {
        Err(Errno::NOTDIR.into())
    }
    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.dir.open_file(self.real(name)?)
    }
    fn open_file_rw(&self, _: &Name) -> io::Result<FileRef> {
        read_only()
    }
    fn create_file(&self, _: &Name, _: u32) -> io::Result<FileRef> {
        read_only()
    }
    fn create_dir(&self, _: &Name, _: u32) -> io::Result<DirRef> {
        read_only()
    }
    fn create_symlink(&self, _: &Name, _: &[u8]) -> io::Result<()> {
        read_only()
    }
    fn link(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn rename(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn rename_new(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn exchange(&self, _: &Name, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn remove_file(&self, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn remove_dir(&self, _: &Name) -> io::Result<()> {
        read_only()
    }
    fn set_attrs(&self, _: &Name, _: &Attrs) -> io::Result<()> {
        read_only()
    }
    fn set_attrs_self(&self, _: &Attrs) -> io::Result<()> {
        read_only()
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_fs(&self) -> io::Result<()> {
        Ok(())
    }
    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        Ok(Ok(()))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
