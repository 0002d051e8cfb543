//! The port over a [`MemFs`].

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::MemFs;
use super::image::{Body, Ino};
use crate::fs::{Attrs, Dir, DirRef, File, FileRef, Kind, Rdev, Special, Stat};
use crate::path::Name;

pub(super) struct MemDir {
    fs: MemFs,
    ino: Ino,
    /// Tells this open from others of the same directory: locks belong to an open.
    handle: u64,
}

struct MemFile {
    fs: MemFs,
    ino: Ino,
    writable: bool,
}

impl MemDir {
    pub(super) fn open(fs: &MemFs, ino: Ino) -> DirRef {
        let mut disk = fs.disk();
        disk.next_handle += 1;
        Arc::new(MemDir { fs: fs.clone(), ino, handle: disk.next_handle })
    }

    fn open_regular(&self, name: &Name, writable: bool) -> Result<FileRef, Errno> {
        let disk = self.fs.disk();
        let ino = disk.lookup(self.ino, name)?;
        match disk.kind(ino) {
            Kind::File => Ok(Arc::new(MemFile { fs: self.fs.clone(), ino, writable })),
            Kind::Symlink => Err(Errno::LOOP),
            Kind::Dir | Kind::Special(_) | Kind::Hidden => Err(Errno::INVAL),
        }
    }

    /// The inode of a directory given to `link` or `rename`: it must be on the same file system.
    fn peer(&self, dir: &dyn Dir) -> Result<Ino, Errno> {
        let same = |dir: &&MemDir| Arc::ptr_eq(&dir.fs.disk, &self.fs.disk);
        dir.as_any().downcast_ref::<MemDir>().filter(same).map(|dir| dir.ino).ok_or(Errno::XDEV)
    }
}

impl Drop for MemDir {
    fn drop(&mut self) {
        let mut disk = self.fs.disk();
        if disk.locks.get(&self.ino) == Some(&self.handle) {
            disk.locks.remove(&self.ino);
        }
    }
}

impl Dir for MemDir {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let disk = self.fs.disk();
        Ok(disk.names(self.ino)?.iter().map(|(name, ino)| (name.clone(), Some(disk.kind(*ino)))).collect())
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        let disk = self.fs.disk();
        Ok(disk.stat(disk.lookup(self.ino, name)?))
    }

    fn stat_self(&self) -> io::Result<Stat> {
        Ok(self.fs.disk().stat(self.ino))
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let disk = self.fs.disk();
        match &disk.live[&disk.lookup(self.ino, name)?].body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        let (ino, kind) = {
            let disk = self.fs.disk();
            let ino = disk.lookup(self.ino, name)?;
            (ino, disk.kind(ino))
        };
        match kind {
            Kind::Dir => Ok(MemDir::open(&self.fs, ino)),
            Kind::Symlink => Err(Errno::LOOP.into()),
            Kind::File | Kind::Special(_) | Kind::Hidden => Err(Errno::NOTDIR.into()),
        }
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        Ok(self.open_regular(name, false)?)
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        let file = self.open_regular(name, true)?;
        self.fs.disk().writable()?;
        Ok(file)
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        let ino = self.fs.disk().create(self.ino, name, Body::File(Vec::new()), mode)?;
        Ok(Arc::new(MemFile { fs: self.fs.clone(), ino, writable: true }))
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        let ino = self.fs.disk().create(self.ino, name, Body::Dir(BTreeMap::new()), mode)?;
        Ok(MemDir::open(&self.fs, ino))
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        if target.is_empty() {
            return Err(Errno::NOENT.into());
        }
        self.fs.disk().create(self.ino, name, Body::Symlink(target.to_vec()), 0o777)?;
        Ok(())
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        self.fs.disk().create(self.ino, name, Body::Special(what, rdev), mode & 0o777)?;
        Ok(())
    }

    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new_dir = self.peer(new_dir)?;
        Ok(self.fs.disk().link(self.ino, name, new_dir, new_name)?)
    }

    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new_dir = self.peer(new_dir)?;
        Ok(self.fs.disk().rename(self.ino, name, new_dir, new_name)?)
    }

    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new_dir = self.peer(new_dir)?;
        let mut disk = self.fs.disk();
        disk.lookup(self.ino, name)?;
        if disk.lookup(new_dir, new_name).is_ok() {
            return Err(Errno::EXIST.into());
        }
        Ok(disk.rename(self.ino, name, new_dir, new_name)?)
    }

    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()> {
        Ok(self.fs.disk().exchange(self.ino, name, other)?)
    }

    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.exchange(name, other)
    }

    fn remove_file(&self, name: &Name) -> io::Result<()> {
        Ok(self.fs.disk().remove(self.ino, name, false)?)
    }

    fn remove_dir(&self, name: &Name) -> io::Result<()> {
        Ok(self.fs.disk().remove(self.ino, name, true)?)
    }

    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()> {
        let mut disk = self.fs.disk();
        let ino = disk.lookup(self.ino, name)?;
        Ok(disk.set_attrs(ino, attrs)?)
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        Ok(self.fs.disk().set_attrs(self.ino, attrs)?)
    }

    fn names_show_in_ctime(&self) -> bool {
        self.fs.disk().names_shown
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.disk().sync(self.ino);
        Ok(())
    }

    fn sync_fs(&self) -> io::Result<()> {
        self.fs.disk().sync_fs();
        Ok(())
    }

    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        let mut disk = self.fs.disk();
        let owner = *disk.locks.entry(self.ino).or_insert(self.handle);
        Ok(if owner == self.handle { Ok(()) } else { Err(Some(std::process::id())) })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.fs.disk();
        let bytes = disk.bytes(self.ino)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buf.len().min(bytes.len() - start);
        buf[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if !self.writable {
            return Err(Errno::BADF.into());
        }
        Ok(self.fs.disk().write(self.ino, buf, offset)?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.writable {
            return Err(Errno::INVAL.into());
        }
        Ok(self.fs.disk().set_len(self.ino, len)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.fs.disk().stat(self.ino))
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        Ok(self.fs.disk().set_attrs(self.ino, attrs)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.disk().sync(self.ino);
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
