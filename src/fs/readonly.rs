//! Something that can be looked at as a directory → a [`Dir`] that refuses with `EROFS` whatever would change it,
//! but for the removal of a name: where a source is moved away, that is the last step.

use std::any::Any;
use std::io;

use rustix::io::Errno;

use super::{Attrs, Dir, DirRef, FileRef, Kind, Rdev, Special, Stat};
use crate::path::Name;

/// What a view of directories has to say: the reading half of [`Dir`].
///
/// A view of other directories says where a name really is; one of something else says what there is of it.
pub(crate) trait View: Send + Sync + 'static {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>>;
    fn stat_self(&self) -> io::Result<Stat>;
    fn attributes_self(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>>;
    fn open_dir(&self, name: &Name) -> io::Result<DirRef>;
    fn open_dir_through(&self, _: &Name) -> io::Result<DirRef> {
        Err(Errno::LOOP.into())
    }
    /// The directory that has a name, and the name there.
    fn real<'a>(&'a self, _: &Name) -> io::Result<(&'a DirRef, Name)> {
        refused()
    }
    fn stat(&self, name: &Name) -> io::Result<Stat> {
        let (dir, name) = self.real(name)?;
        dir.stat(&name)
    }
    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let (dir, name) = self.real(name)?;
        dir.read_link(&name)
    }
    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        let (dir, name) = self.real(name)?;
        dir.open_file(&name)
    }
    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        let (dir, name) = self.real(name)?;
        dir.open_file_quietly(&name)
    }
    fn attributes(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (dir, name) = self.real(name)?;
        dir.attributes(Some(&name))
    }
}

/// A view as a directory.
pub(crate) struct ReadOnly<V>(pub(crate) V);

fn refused<T>() -> io::Result<T> {
    Err(Errno::ROFS.into())
}

impl<V: View> Dir for ReadOnly<V> {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        self.0.list()
    }
    fn stat(&self, name: &Name) -> io::Result<Stat> {
        self.0.stat(name)
    }
    fn stat_self(&self) -> io::Result<Stat> {
        self.0.stat_self()
    }
    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        self.0.read_link(name)
    }
    fn stat_through(&self, name: &Name) -> io::Result<Stat> {
        let (dir, name) = self.0.real(name)?;
        dir.stat_through(&name)
    }
    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        self.0.open_dir_through(name)
    }
    fn open_file_through(&self, name: &Name) -> io::Result<FileRef> {
        let (dir, name) = self.0.real(name)?;
        dir.open_file_through(&name)
    }
    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        self.0.open_dir(name)
    }
    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.0.open_file(name)
    }
    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        self.0.open_file_quietly(name)
    }
    fn open_file_rw(&self, _: &Name) -> io::Result<FileRef> {
        refused()
    }
    fn create_file(&self, _: &Name, _: u32) -> io::Result<FileRef> {
        refused()
    }
    fn create_dir(&self, _: &Name, _: u32) -> io::Result<DirRef> {
        refused()
    }
    fn create_symlink(&self, _: &Name, _: &[u8]) -> io::Result<()> {
        refused()
    }
    fn create_special(&self, _: &Name, _: Special, _: Rdev, _: u32) -> io::Result<()> {
        refused()
    }
    fn link(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        refused()
    }
    fn rename(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        refused()
    }
    fn rename_new(&self, _: &Name, _: &dyn Dir, _: &Name) -> io::Result<()> {
        refused()
    }
    fn exchange(&self, _: &Name, _: &Name) -> io::Result<()> {
        refused()
    }
    fn exchange_at_once(&self, _: &Name, _: &Name) -> io::Result<()> {
        refused()
    }
    fn remove_file(&self, name: &Name) -> io::Result<()> {
        let (dir, name) = self.0.real(name)?;
        dir.remove_file(&name)
    }
    fn remove_dir(&self, _: &Name) -> io::Result<()> {
        refused()
    }
    fn set_attrs(&self, _: &Name, _: &Attrs) -> io::Result<()> {
        refused()
    }
    fn set_attrs_self(&self, _: &Attrs) -> io::Result<()> {
        refused()
    }
    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        name.map_or_else(|| self.0.attributes_self(), |name| self.0.attributes(name))
    }
    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (dir, name) = self.0.real(name)?;
        dir.attributes_through(&name)
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
