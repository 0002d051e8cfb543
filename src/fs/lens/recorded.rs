//! A tree in which what only root may give files is recorded in extended attributes → the tree that is meant, as with
//! rsync's `--fake-super`.
//!
//! Owners, groups, setuid bits and modes that would shut out the files' owner are in a [`Record`]; symbolic links, devices,
//! FIFOs and sockets are regular files with one, links with their targets as contents. What is set is recorded likewise,
//! and nothing else is done that needs root. Attributes of namespaces that are not the user's stand behind `user.rsync.`;
//! those whose names go on with a `%` are rsync's own, and are not seen.
//!
//! Cost: a system call more for each name that is looked at.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::record::{KEY, Record};
use crate::fs::{Attrs, Dir, DirRef, File, FileRef, Kind, Rdev, Special, Stat};
use crate::limits::PATH_BYTES_MAX;
use crate::path::Name;

/// What stands before attributes of other namespaces than the user's.
const PREFIX: &[u8] = b"user.rsync.";

/// Where records count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// Nowhere.
    #[default]
    None,
    /// In a tree that is read: attributes that only root may read count where they are not recorded.
    Read,
    /// In one that is written, where those stay what they are.
    Written,
}

/// `dir`, as it is recorded. `all`: attributes of all namespaces are seen.
pub(super) fn recorded(dir: DirRef, all: bool) -> DirRef {
    Arc::new(Recorded { dir, all })
}

struct Recorded {
    dir: DirRef,
    all: bool,
}

/// What is behind the records, for an implementation that recognises its own kind.
fn unwrapped(dir: &dyn Dir) -> &dyn Dir {
    dir.as_any().downcast_ref::<Recorded>().map_or(dir, |dir| &*dir.dir)
}

/// What is seen of something with that record, if it has one.
fn seen(real: Stat, record: Option<Vec<u8>>) -> io::Result<Stat> {
    match record {
        Some(text) => Ok(Record::parse(&text, real.kind)?.seen(real)),
        None => Ok(real),
    }
}

/// Whether there may be a record: other things take no such attributes.
fn may_have(real: &Stat) -> bool {
    matches!(real.kind, Kind::File | Kind::Dir)
}

/// What `attrs` make of what is seen.
fn wanted(seen: Stat, attrs: &Attrs) -> Stat {
    let mode = attrs.mode.filter(|_| seen.kind != Kind::Symlink).unwrap_or(seen.mode);
    let (uid, gid) = attrs.owner.unwrap_or((seen.uid, seen.gid));
    Stat { mode, uid, gid, ..seen }
}

/// Something that has attributes, and a record perhaps among them.
trait Holder {
    fn real(&self) -> io::Result<Stat>;
    fn record(&self) -> io::Result<Option<Vec<u8>>>;
    fn set_record(&self, text: Option<&[u8]>) -> io::Result<()>;
    fn set_real(&self, attrs: &Attrs) -> io::Result<()>;

    fn seen(&self) -> io::Result<Stat> {
        let real = self.real()?;
        let record = if may_have(&real) { self.record()? } else { None };
        seen(real, record)
    }

    /// Has it seen as `wanted`, times apart.
    fn be(&self, wanted: &Stat) -> io::Result<()> {
        let real = self.real()?;
        let (mode, record) = Record::of(&real, wanted);
        if mode != real.mode {
            self.set_real(&Attrs { mode: Some(mode), ..Attrs::default() })?;
        }
        let text = record.map(|record| record.text());
        if text != self.record()? { self.set_record(text.as_deref()) } else { Ok(()) }
    }

    fn set(&self, attrs: &Attrs) -> io::Result<()> {
        if !may_have(&self.real()?) {
            return self.set_real(attrs);
        }
        if attrs.owner.is_some() || attrs.mode.is_some() {
            self.be(&wanted(self.seen()?, attrs))?;
        }
        match *attrs {
            Attrs { mtime: None, atime: None, .. } => Ok(()),
            Attrs { mtime, atime, .. } => self.set_real(&Attrs { mtime, atime, ..Attrs::default() }),
        }
    }
}

/// A name of a directory, or without one the directory itself.
struct At<'a>(&'a dyn Dir, Option<&'a Name>);

impl Holder for At<'_> {
    fn real(&self) -> io::Result<Stat> {
        self.1.map_or_else(|| self.0.stat_self(), |name| self.0.stat(name))
    }

    fn record(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute(self.1, KEY)
    }

    fn set_record(&self, text: Option<&[u8]>) -> io::Result<()> {
        self.0.set_attribute(self.1, KEY, text)
    }

    fn set_real(&self, attrs: &Attrs) -> io::Result<()> {
        self.1.map_or_else(|| self.0.set_attrs_self(attrs), |name| self.0.set_attrs(name, attrs))
    }
}

impl Recorded {
    fn at<'a>(&'a self, name: &'a Name) -> At<'a> {
        At(&*self.dir, Some(name))
    }

    /// A regular file that is not to be anything else.
    fn file(file: FileRef) -> io::Result<FileRef> {
        let opened = seen(file.stat_opened()?, file.attribute(KEY)?)?;
        if opened.kind != Kind::File {
            return Err(Errno::INVAL.into());
        }
        Ok(Arc::new(RecordedFile { file, opened: Some(opened) }))
    }

    /// Makes a regular file that is seen as something else.
    fn create(&self, name: &Name, (kind, rdev, mode): (Kind, Rdev, u32), bytes: &[u8]) -> io::Result<()> {
        let file = self.dir.create_file(name, mode & 0o777 | 0o600)?;
        let made = file.write_all_at(bytes, 0).and_then(|()| {
            let real = file.stat()?;
            RecordedFile { file, opened: None }.be(&Stat { kind, rdev, mode, ..real })
        });
        made.inspect_err(|_| drop(self.dir.remove_file(name)))
    }

    /// Where an attribute of that name really is.
    fn real_key(key: &[u8]) -> Vec<u8> {
        if key.starts_with(b"user.") { key.to_vec() } else { [PREFIX, key].concat() }
    }

    /// Attributes as they are seen.
    fn keys(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let behind = |key: &[u8]| key.strip_prefix(PREFIX).map(<[u8]>::to_vec);
        let (recorded, real): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(key, _)| key.starts_with(PREFIX));
        let recorded = recorded.into_iter().filter_map(|(key, value)| Some((behind(&key)?, value)));
        let mut seen: Vec<_> = recorded.filter(|(key, _)| !key.starts_with(b"%")).collect();
        let own = seen.len();
        for (key, value) in real {
            let counts = key.starts_with(b"user.") || self.all;
            if counts && seen[..own].iter().all(|(other, _)| *other != key) {
                seen.push((key, value));
            }
        }
        seen
    }
}

impl Dir for Recorded {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let known = |kind: &Kind| *kind != Kind::File;
        Ok(self.dir.list()?.into_iter().map(|(name, kind)| (name, kind.filter(known))).collect())
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.dir.is_empty()
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        self.at(name).seen()
    }

    fn stat_self(&self) -> io::Result<Stat> {
        At(&*self.dir, None).seen()
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let real = self.dir.stat(name)?;
        if real.kind != Kind::File {
            return self.dir.read_link(name);
        }
        if self.stat(name)?.kind != Kind::Symlink {
            return Err(Errno::INVAL.into());
        }
        let mut target = vec![0; PATH_BYTES_MAX + 1];
        let len = self.dir.open_file(name)?.read_full_at(&mut target, 0)?;
        if len > PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG.into());
        }
        target.truncate(len);
        Ok(target)
    }

    fn stat_through(&self, name: &Name) -> io::Result<Stat> {
        let real = self.dir.stat_through(name)?;
        let pairs = if may_have(&real) { self.dir.attributes_through(name)? } else { Vec::new() };
        seen(real, pairs.into_iter().find(|(key, _)| key == KEY).map(|(_, value)| value))
    }

    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        Ok(recorded(self.dir.open_dir_through(name)?, self.all))
    }

    fn open_file_through(&self, name: &Name) -> io::Result<FileRef> {
        Recorded::file(self.dir.open_file_through(name)?)
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        Ok(recorded(self.dir.open_dir(name)?, self.all))
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        Recorded::file(self.dir.open_file(name)?)
    }

    fn open_file_quietly(&self, name: &Name) -> io::Result<FileRef> {
        Recorded::file(self.dir.open_file_quietly(name)?)
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        Recorded::file(self.dir.open_file_rw(name)?)
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        let file = RecordedFile { file: self.dir.create_file(name, mode & 0o777 | 0o600)?, opened: None };
        file.be(&Stat { mode, ..file.real()? })?;
        Ok(Arc::new(file))
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        let dir = self.dir.create_dir(name, mode & 0o777 | 0o700)?;
        At(&*dir, None).be(&Stat { mode, ..dir.stat_self()? })?;
        Ok(recorded(dir, self.all))
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        self.create(name, (Kind::Symlink, Rdev::default(), 0o777), target)
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        self.create(name, (Kind::Special(what), rdev, mode), b"")
    }

    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.dir.link(name, unwrapped(new_dir), new_name)
    }

    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.dir.rename(name, unwrapped(new_dir), new_name)
    }

    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        self.dir.rename_new(name, unwrapped(new_dir), new_name)
    }

    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.dir.exchange(name, other)
    }

    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.dir.exchange_at_once(name, other)
    }

    fn remove_file(&self, name: &Name) -> io::Result<()> {
        self.dir.remove_file(name)
    }

    fn remove_dir(&self, name: &Name) -> io::Result<()> {
        self.dir.remove_dir(name)
    }

    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()> {
        self.at(name).set(attrs)
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        At(&*self.dir, None).set(attrs)
    }

    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.keys(self.dir.attributes(name)?))
    }

    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.keys(self.dir.attributes_through(name)?))
    }

    fn set_attribute(&self, name: Option<&Name>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.dir.set_attribute(name, &Recorded::real_key(key), value)
    }

    fn names_show_in_ctime(&self) -> bool {
        self.dir.names_show_in_ctime()
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }

    fn sync_fs(&self) -> io::Result<()> {
        self.dir.sync_fs()
    }

    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        self.dir.try_lock()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct RecordedFile {
    file: FileRef,
    /// What was seen of it when it was opened.
    opened: Option<Stat>,
}

impl Holder for RecordedFile {
    fn real(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    fn record(&self) -> io::Result<Option<Vec<u8>>> {
        self.file.attribute(KEY)
    }

    fn set_record(&self, text: Option<&[u8]>) -> io::Result<()> {
        self.file.set_attribute(KEY, text)
    }

    fn set_real(&self, attrs: &Attrs) -> io::Result<()> {
        self.file.set_attrs(attrs)
    }
}

impl File for RecordedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn stat(&self) -> io::Result<Stat> {
        self.seen()
    }

    fn stat_opened(&self) -> io::Result<Stat> {
        self.opened.map_or_else(|| self.seen(), Ok)
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        self.set(attrs)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn close(self: Arc<Self>) -> io::Result<()> {
        Arc::into_inner(self).map_or(Ok(()), |file| file.file.close())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}
