//! A tree → the same tree as the user wants it seen: other modes and owners, links followed or left out.
//!
//! What changes *what is sent* changes it here, below everything else: a scan, its index, the session and the root
//! then all speak of the tree as it is seen, and both ends still prove the same one. At a destination nothing is seen
//! otherwise but what is recorded, the targets of links, and links that stand for directories of the tree; what is made may be given to
//! somebody.
//!
//! Links are followed only here, and only where whoever owns the process asked for it. A directory that is entered
//! through a link into one that it lies in is an error, not an endless tree.

mod chmod;
mod links;
mod record;
mod recorded;

pub use chmod::{Chmod, ChmodError};
pub use links::{Follow, Keep};
pub use recorded::Records;

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;

use self::links::Decision;
use super::{Attrs, Dir, DirRef, File, FileRef, Kind, Rdev, Special, Stat, Time, walk};
use crate::path::named::Named;
use crate::path::{Name, RelPath};

/// What a tree is seen through. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    /// How modes are seen.
    pub chmod: Chmod,
    /// Which owners are seen: the first range that an owner is in says whom.
    pub users: Vec<(RangeInclusive<u32>, u32)>,
    /// Which groups are seen.
    pub groups: Vec<(RangeInclusive<u32>, u32)>,
    /// Which links are followed.
    pub follow: Follow,
    /// Which of the others are there.
    pub keep: Keep,
    /// Links that stand for directories of the tree, whatever else is followed: their paths, and those of the directories,
    /// to which no link is on the way.
    pub dirs: Arc<BTreeMap<RelPath, RelPath>>,
    /// Whether the tree's own name is sent too, so that links to what is beside it do not leave it.
    pub named: bool,
    /// Links are stored so that they lead nowhere, and seen as what they were.
    pub munged: bool,
    /// Files are read so that their access times stay.
    pub quiet: bool,
    /// What only root may give files is recorded in extended attributes, where it is seen and set.
    pub recorded: Records,
    /// What the tree is of, if directories that are only on the way to it have no metadata.
    pub way: Option<Arc<Named>>,
    /// Whose everything is that is made: user and group.
    pub owner: Option<(u32, u32)>,
}

impl Lens {
    /// Whether everything is seen as it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let named = self.named;
        *self == Lens { named, ..Lens::default() }
    }

    /// Whether any link is seen as what it leads to.
    fn follows(&self) -> bool {
        self.follow != Follow::None || !self.dirs.is_empty()
    }

    /// `dir` seen through this.
    #[must_use]
    pub fn on(self, dir: DirRef) -> DirRef {
        let dir = match self.recorded {
            Records::None => dir,
            Records::Read => recorded::recorded(dir, true),
            Records::Written => recorded::recorded(dir, false),
        };
        if (Lens { recorded: Records::None, ..self.clone() }).is_plain() {
            return dir;
        }
        let way = match dir.stat_self() {
            Ok(stat) if self.follows() => Some(Arc::new(Way::of(&stat, None))),
            _ => None,
        };
        let named = self.way.clone();
        Arc::new(Seen { named, root: dir.clone(), dir, lens: Arc::new(self), path: RelPath::root(), way })
    }

    fn stat(&self, stat: Stat) -> Stat {
        let id = |map: &[(RangeInclusive<u32>, u32)], id: u32| {
            map.iter().find(|(from, _)| from.contains(&id)).map_or(id, |(_, to)| *to)
        };
        Stat {
            mode: self.chmod.apply(stat.kind, stat.mode),
            uid: id(&self.users, stat.uid),
            gid: id(&self.groups, stat.gid),
            ..stat
        }
    }
}

/// The directories around one that may have been reached by a link, itself first.
struct Way {
    inode: (u64, u64),
    above: Option<Arc<Way>>,
}

impl Way {
    fn of(stat: &Stat, above: Option<Arc<Way>>) -> Way {
        Way { inode: (stat.dev, stat.ino), above }
    }

    fn has(&self, stat: &Stat) -> bool {
        std::iter::successors(Some(self), |way| way.above.as_deref())
            .any(|way| way.inode == (stat.dev, stat.ino))
    }
}

/// A directory seen through a lens.
struct Seen {
    dir: DirRef,
    /// What is named of it, if that tells which directories are only on the way.
    named: Option<Arc<Named>>,
    /// The tree's root, as it is.
    root: DirRef,
    lens: Arc<Lens>,
    /// Where it is in the tree, to tell which links leave it.
    path: RelPath,
    way: Option<Arc<Way>>,
}

impl Seen {
    /// What is seen of a name: what is there, or what it leads to.
    fn look(&self, name: &Name) -> io::Result<(Stat, Decision)> {
        let stat = self.dir.stat(name)?;
        if stat.kind != Kind::Symlink {
            return Ok((stat, Decision::AsItIs));
        }
        if let Some(dir) = self.dir_behind(name) {
            let seen = dir.and_then(|dir| dir.stat_self()).ok();
            return Ok(seen.map_or((stat, Decision::AsItIs), |seen| (seen, Decision::Through(seen))));
        }
        match links::decide(&self.lens, &self.dir, &self.path, name)? {
            Decision::Hidden => Ok((Stat { kind: Kind::Hidden, ..stat }, Decision::Hidden)),
            Decision::AsItIs => Ok((stat, Decision::AsItIs)),
            Decision::Through(stat) => Ok((stat, Decision::Through(stat))),
        }
    }

    fn is_through(&self, name: &Name) -> io::Result<bool> {
        // What is no link needs no look: the operation itself follows none.
        if !self.lens.follows() || self.dir.stat(name)?.kind != Kind::Symlink {
            return Ok(false);
        }
        Ok(matches!(self.look(name)?.1, Decision::Through(_)))
    }

    /// The directory that a link stands for, if it is one of those.
    fn dir_behind(&self, name: &Name) -> Option<io::Result<DirRef>> {
        let real = (!self.lens.dirs.is_empty()).then(|| self.lens.dirs.get(&self.path.join(name)))??;
        Some(walk::open_path(&self.root, real))
    }

    fn below(&self, name: &Name, dir: DirRef) -> io::Result<DirRef> {
        let way = match &self.way {
            Some(above) => {
                let stat = dir.stat_self()?;
                if above.has(&stat) {
                    return Err(Errno::LOOP.into());
                }
                Some(Arc::new(Way::of(&stat, Some(above.clone()))))
            }
            None => None,
        };
        let (root, lens) = (self.root.clone(), self.lens.clone());
        let named = self.named.as_ref().and_then(|named| named.enter(name));
        Ok(Arc::new(Seen { named, dir, root, lens, path: self.path.join(name), way }))
    }

    /// Gives what was made to whom it belongs.
    fn own(&self, set: impl FnOnce(&Attrs) -> io::Result<()>) -> io::Result<()> {
        match self.lens.owner {
            Some(owner) => set(&Attrs { owner: Some(owner), ..Attrs::default() }),
            None => Ok(()),
        }
    }

    fn file(&self, file: FileRef) -> FileRef {
        Arc::new(SeenFile { file, lens: self.lens.clone() })
    }
}

/// What is seen of a directory of which that is named.
fn untold(named: Option<&Named>, stat: Stat) -> Stat {
    match named.is_some_and(Named::is_only_way) {
        true => Stat { mode: 0o755, uid: 0, gid: 0, mtime: Time::UNTOLD, ..stat },
        false => stat,
    }
}

/// What is seen, for an implementation that recognises its own kind.
fn unwrapped(dir: &dyn Dir) -> &dyn Dir {
    dir.as_any().downcast_ref::<Seen>().map_or(dir, |dir| &*dir.dir)
}

impl Dir for Seen {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let known = !self.lens.follows() && self.lens.keep == Keep::All;
        let kind = |kind: Option<Kind>| kind.filter(|kind| known || *kind != Kind::Symlink);
        Ok(self.dir.list()?.into_iter().map(|(name, of)| (name, kind(of))).collect())
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        let stat = self.lens.stat(self.look(name)?.0);
        let below = || self.named.as_ref().and_then(|named| named.enter(name));
        Ok(if stat.kind == Kind::Dir { untold(below().as_deref(), stat) } else { stat })
    }

    fn stat_self(&self) -> io::Result<Stat> {
        Ok(untold(self.named.as_deref(), self.lens.stat(self.dir.stat_self()?)))
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let target = self.dir.read_link(name)?;
        Ok(if self.lens.munged { links::unmunge(target) } else { target })
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        let dir = match self.is_through(name)? {
            true => self.dir_behind(name).unwrap_or_else(|| self.dir.open_dir_through(name)),
            false => self.dir.open_dir(name),
        };
        self.below(name, dir?)
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        let file = match self.is_through(name)? {
            true => self.dir.open_file_through(name),
            false if self.lens.quiet => self.dir.open_file_quietly(name),
            false => self.dir.open_file(name),
        };
        Ok(self.file(file?))
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        Ok(self.file(self.dir.open_file_rw(name)?))
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        let file = self.dir.create_file(name, mode)?;
        self.own(|attrs| file.set_attrs(attrs))?;
        Ok(self.file(file))
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        let dir = self.dir.create_dir(name, mode)?;
        self.own(|attrs| dir.set_attrs_self(attrs))?;
        self.below(name, dir)
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        if self.lens.munged {
            self.dir.create_symlink(name, &links::munge(target))?;
        } else {
            self.dir.create_symlink(name, target)?;
        }
        self.own(|attrs| self.dir.set_attrs(name, attrs))
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        self.dir.create_special(name, what, rdev, mode)?;
        self.own(|attrs| self.dir.set_attrs(name, attrs))
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
        self.dir.set_attrs(name, attrs)
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        self.dir.set_attrs_self(attrs)
    }

    fn attributes(&self, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let is_way = |named: Option<Arc<Named>>| named.is_some_and(|named| named.is_only_way());
        let below = |name: &Name| self.named.as_ref().and_then(|named| named.enter(name));
        match name {
            None if is_way(self.named.clone()) => Ok(Vec::new()),
            Some(name) if is_way(below(name)) => Ok(Vec::new()),
            Some(name) if self.is_through(name)? => match self.dir_behind(name) {
                Some(dir) => dir?.attributes(None),
                None => self.dir.attributes_through(name),
            },
            name => self.dir.attributes(name),
        }
    }

    fn attributes_through(&self, name: &Name) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.dir.attributes_through(name)
    }

    fn set_attribute(&self, name: Option<&Name>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.dir.set_attribute(name, key, value)
    }

    fn names_show_in_ctime(&self) -> bool {
        // What a link leads to may come and go without its directory.
        !self.lens.follows() && self.dir.names_show_in_ctime()
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

/// A file seen through a lens.
struct SeenFile {
    file: FileRef,
    lens: Arc<Lens>,
}

impl File for SeenFile {
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
        Ok(self.lens.stat(self.file.stat()?))
    }

    fn stat_opened(&self) -> io::Result<Stat> {
        Ok(self.lens.stat(self.file.stat_opened()?))
    }

    fn set_attrs(&self, attrs: &Attrs) -> io::Result<()> {
        self.file.set_attrs(attrs)
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
