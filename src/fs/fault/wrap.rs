//! The port, with each operation judged before it is passed on.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{Faults, Op, Verdict};
use crate::fs::{Attrs, Dir, DirRef, File, FileRef, Kind, Rdev, Special, Stat};
use crate::path::{Name, RelPath};

pub(super) struct FaultDir {
    pub(super) inner: DirRef,
    pub(super) path: RelPath,
    pub(super) faults: Faults,
}

struct FaultFile {
    inner: FileRef,
    path: RelPath,
    faults: Faults,
}

impl FaultDir {
    fn judge(&self, op: Op) -> io::Result<()> {
        self.faults.judge(op, self.path.clone()).map(drop)
    }

    fn judge_name(&self, op: Op, name: &Name) -> io::Result<()> {
        self.faults.judge(op, self.path.join(name)).map(drop)
    }

    fn dir(&self, name: &Name, inner: DirRef) -> DirRef {
        Arc::new(FaultDir { inner, path: self.path.join(name), faults: self.faults.clone() })
    }

    fn file(&self, name: &Name, inner: FileRef) -> FileRef {
        Arc::new(FaultFile { inner, path: self.path.join(name), faults: self.faults.clone() })
    }
}

/// What a wrapped directory stands for, which is what the wrapped implementation can recognise.
fn unwrapped(dir: &dyn Dir) -> &dyn Dir {
    dir.as_any().downcast_ref::<FaultDir>().map_or(dir, |dir| &*dir.inner)
}

impl Dir for FaultDir {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        self.judge(Op::List)?;
        self.inner.list()
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        self.judge_name(Op::Stat, name)?;
        self.inner.stat(name)
    }

    fn stat_self(&self) -> io::Result<Stat> {
        self.judge(Op::Stat)?;
        self.inner.stat_self()
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        self.judge_name(Op::ReadLink, name)?;
        self.inner.read_link(name)
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        self.judge_name(Op::OpenDir, name)?;
        Ok(self.dir(name, self.inner.open_dir(name)?))
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.judge_name(Op::OpenFile, name)?;
        Ok(self.file(name, self.inner.open_file(name)?))
    }

    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        self.judge_name(Op::OpenFile, name)?;
        Ok(self.file(name, self.inner.open_file_quietly(name)?))
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        self.judge_name(Op::OpenFileRw, name)?;
        Ok(self.file(name, self.inner.open_file_rw(name)?))
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        self.judge_name(Op::CreateFile, name)?;
        Ok(self.file(name, self.inner.create_file(name, mode)?))
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        self.judge_name(Op::CreateDir, name)?;
        Ok(self.dir(name, self.inner.create_dir(name, mode)?))
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        self.judge_name(Op::CreateSymlink, name)?;
        self.inner.create_symlink(name, target)
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        self.judge_name(Op::CreateSpecial, name)?;
        self.inner.create_special(name, what, rdev, mode)
    }

    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.judge_name(Op::Link, name)?;
        self.inner.link(name, unwrapped(new_dir), new_name)
    }

    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.judge_name(Op::Rename, name)?;
        self.inner.rename(name, unwrapped(new_dir), new_name)
    }

    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.judge_name(Op::RenameNew, name)?;
        self.inner.rename_new(name, unwrapped(new_dir), new_name)
    }

    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.judge_name(Op::Exchange, name)?;
        self.inner.exchange(name, other)
    }

    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.judge_name(Op::Exchange, name)?;
        self.inner.exchange_at_once(name, other)
    }

    fn remove_file(&self, name: &Name) -> io::Result<()> {
        self.judge_name(Op::RemoveFile, name)?;
        self.inner.remove_file(name)
    }

    fn remove_dir(&self, name: &Name) -> io::Result<()> {
        self.judge_name(Op::RemoveDir, name)?;
        self.inner.remove_dir(name)
    }

    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()> {
        self.judge_name(Op::SetAttrs, name)?;
        self.inner.set_attrs(name, attrs)
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        self.judge(Op::SetAttrs)?;
        self.inner.set_attrs_self(attrs)
    }

    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.judge(Op::Attributes)?;
        self.inner.attributes(name)
    }

    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.judge_name(Op::Attributes, name)?;
        self.inner.attributes_through(name)
    }

    fn set_attribute(&self, name: Option<&Name>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.judge(Op::SetAttribute)?;
        self.inner.set_attribute(name, key, value)
    }

    fn names_show_in_ctime(&self) -> bool {
        self.inner.names_show_in_ctime()
    }

    fn sync(&self) -> io::Result<()> {
        self.judge(Op::SyncDir)?;
        self.inner.sync()
    }

    fn sync_fs(&self) -> io::Result<()> {
        self.judge(Op::SyncFs)?;
        self.inner.sync_fs()
    }

    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        self.judge(Op::Lock)?;
        self.inner.try_lock()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FaultFile {
    fn judge(&self, op: Op) -> io::Result<Verdict> {
        self.faults.judge(op, self.path.clone())
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.judge(Op::Read)?;
        self.inner.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        match self.judge(Op::Write)? {
            Verdict::Go => self.inner.write_all_at(buf, offset),
            Verdict::Half(errno) => {
                self.inner.write_all_at(&buf[..buf.len() / 2], offset)?;
                Err(errno.into())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.judge(Op::SetLen)?;
        self.inner.set_len(len)
    }

    fn stat(&self) -> io::Result<Stat> {
        self.judge(Op::Stat)?;
        self.inner.stat()
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        self.judge(Op::SetAttrs)?;
        self.inner.set_attrs(attrs)
    }

    fn attribute(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.judge(Op::Attributes)?;
        self.inner.attribute(key)
    }

    fn set_attribute(&self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.judge(Op::SetAttribute)?;
        self.inner.set_attribute(key, value)
    }

    fn sync(&self) -> io::Result<()> {
        self.judge(Op::SyncFile)?;
        self.inner.sync()
    }

    fn close(self: Arc<Self>) -> io::Result<()> {
        self.judge(Op::Close)?;
        Arc::into_inner(self).map_or(Ok(()), |file| file.inner.close())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
