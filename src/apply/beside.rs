//! A directory → a second one beside it that shares its files: changed there, then put in its place at once.
//!
//! [`Beside::build`] makes directories of their own and gives each file a second name in them, so it costs a link a
//! file and no bytes; what cannot be linked is copied. Everything is taken along, whether it takes part in a run or
//! not. Who then changes metadata of a file must first give it an inode of its own
//! ([`Writing::atomic`](crate::transfer::message::Writing)): readers still see the other name.
//!
//! [`Beside::switch`] lets the two change places by one rename, when all that is in the new one is durable. A reader
//! that opens paths from the top sees the one or the other; one that stands in the old one sees that until it is
//! removed.
//!
//! The new one stands under one of a few names that follow from the directory's own ([`Site::leftovers`]), so that
//! a later run finds what an interrupted one has left without listing the directory around it. After a crash that
//! is either a tree that was not complete or one that was replaced; both are only to be removed.

use std::io;

use rustix::io::Errno;

use super::{ApplyError, copy};
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, DirRef, Kind, Stat, lacks_exchange};
use crate::path::{Name, RelPath, STAGING_PREFIX};

/// Names that trees beside one directory have: one for the new tree, one to try an exchange with, two for what was
/// left.
const NAMES: u8 = 4;

/// Pairs of directories that are held open on the way down.
const HANDLES_MAX: usize = 32;

/// Where a directory stands.
#[derive(Clone)]
pub struct Site {
    /// The directory around it.
    pub dir: DirRef,
    /// Its name there.
    pub name: Name,
}

impl Site {
    /// Trees beside it that earlier runs have left.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Name> {
        self.names().into_iter().filter(|name| self.dir.stat(name).is_ok()).collect()
    }

    /// Removes trees beside it. What cannot be removed is left to the next run.
    pub fn remove(&self, leftovers: &[Name]) {
        for name in leftovers {
            let _ = remove_tree(&*self.dir, name);
        }
    }

    fn names(&self) -> Vec<Name> {
        let hash = blake3::hash(self.name.as_bytes()).to_hex();
        let name = |at| {
            let text = [STAGING_PREFIX, format!("whole-{}-{at}", &hash[..16]).as_bytes()].concat();
            Name::new(&text).expect("a prefix and hexadecimal digits are a name")
        };
        (0..NAMES).map(name).collect()
    }
}

/// A tree beside a directory.
pub struct Beside {
    site: Site,
    name: Name,
    root: DirRef,
    /// The directory holds nothing, so that a rename can replace it.
    replaces_nothing: bool,
}

impl Beside {
    /// Makes a tree beside the directory at `site`, which holds what that directory holds.
    ///
    /// # Errors
    /// [`ApplyError::NoExchange`] where the file system cannot switch directories; [`ApplyError::Mount`] if something
    /// is mounted there or below; otherwise what could not be made, when nothing is left of it.
    pub fn build(site: &Site) -> Result<Beside, ApplyError> {
        let failed = |operation| ApplyError::io(RelPath::root(), operation);
        let old = site.dir.open_dir(&site.name).map_err(failed("open"))?;
        if old.stat_self().map_err(failed("stat"))?.dev != site.dir.stat_self().map_err(failed("stat"))?.dev {
            return Err(ApplyError::Mount { path: RelPath::root() });
        }
        let left = site.leftovers();
        // Of what was left twice, the first goes.
        let (gone, left) = left.split_at(left.len().saturating_sub(usize::from(NAMES) - 2));
        site.remove(gone);
        let mut free = site.names().into_iter().filter(|name| !left.contains(name));
        let (name, other) =
            free.next().zip(free.next()).ok_or_else(|| failed("make")(Errno::EXIST.into()))?;
        let root = site.dir.create_dir(&name, 0o700).map_err(failed("make a tree beside it"))?;
        let replaces_nothing = old.is_empty().map_err(failed("list"))?;
        let beside = Beside { site: site.clone(), name, root, replaces_nothing };
        let built = beside.try_exchange(&other).and_then(|()| share(&old, &beside.root));
        match built {
            Ok(()) => Ok(beside),
            Err(error) => {
                beside.remove();
                Err(error)
            }
        }
    }

    /// Whether directories can be switched here is known before any work is done.
    fn try_exchange(&self, other: &Name) -> Result<(), ApplyError> {
        if self.replaces_nothing {
            return Ok(());
        }
        let dir = &self.site.dir;
        let failed = |operation| ApplyError::io(RelPath::root(), operation);
        dir.create_dir(other, 0o700).map_err(failed("make"))?;
        let tried = dir.exchange_at_once(&self.name, other).and_then(|()| {
            dir.exchange_at_once(&self.name, other) // the lock is the first one's
        });
        let removed = dir.remove_dir(other);
        match tried {
            Err(error) if lacks_exchange(&error) => Err(ApplyError::NoExchange),
            tried => tried.and(removed).map_err(failed("exchange")),
        }
    }

    /// The tree's own root.
    #[must_use]
    pub fn root(&self) -> &DirRef {
        &self.root
    }

    /// Makes the tree durable and puts it in the directory's place, which is durable when this returns; what stood
    /// there now stands beside it.
    ///
    /// # Errors
    /// [`ApplyError::NotDurable`]; otherwise the directory stands where it stood.
    pub fn switch(&self) -> Result<(), ApplyError> {
        let Site { dir, name } = &self.site;
        let not_durable = |source| ApplyError::NotDurable { source };
        self.root.sync_fs().map_err(not_durable)?;
        let switched = match self.replaces_nothing {
            true => dir.rename(&self.name, &**dir, name),
            false => dir.exchange_at_once(&self.name, name),
        };
        switched.map_err(ApplyError::io(RelPath::root(), "exchange"))?;
        dir.sync().map_err(not_durable)
    }

    /// Removes what stands beside the directory: the tree that was made, or after [`Beside::switch`] the one it
    /// has replaced. What cannot be removed is left to the next run.
    pub fn remove(&self) {
        self.site.remove(std::slice::from_ref(&self.name));
    }
}

/// A directory of both trees.
#[derive(Clone)]
struct Pair {
    from: DirRef,
    to: DirRef,
}

impl Pair {
    fn enter(&self, name: &Name) -> io::Result<Pair> {
        Ok(Pair { from: self.from.open_dir(name)?, to: self.to.open_dir(name)? })
    }
}

/// Gives the empty directory `to` all that `from` holds.
fn share(from: &DirRef, to: &DirRef) -> Result<(), ApplyError> {
    let root = Pair { from: from.clone(), to: to.clone() };
    let dev = from.stat_self().map_err(ApplyError::io(RelPath::root(), "stat"))?.dev;
    let mut below = vec![RelPath::root()];
    let mut way: Vec<(Name, Pair)> = Vec::new();
    while let Some(path) = below.pop() {
        let failed = |operation| ApplyError::io(path.clone(), operation);
        let here = open(&root, &path, &mut way).map_err(failed("open"))?;
        for (name, kind) in here.from.list().map_err(failed("list"))? {
            // What an interrupted run has left inside stays behind.
            if name.as_bytes().starts_with(STAGING_PREFIX) {
                continue;
            }
            let at = path.join(&name);
            let failed = |operation| ApplyError::io(at.clone(), operation);
            if kind.is_some_and(|kind| kind != Kind::Dir) && here.from.link(&name, &*here.to, &name).is_ok() {
                continue;
            }
            let stat = here.from.stat(&name).map_err(failed("stat"))?;
            if stat.dev != dev {
                return Err(ApplyError::Mount { path: at });
            }
            if stat.kind == Kind::Dir {
                here.to.create_dir(&name, 0o700).map_err(failed("create directory"))?;
                below.push(at);
                continue;
            }
            match here.from.link(&name, &*here.to, &name) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {
                    return Err(ApplyError::Mount { path: at });
                }
                Err(_) => copy_alike(&here, &name, &stat).map_err(failed("link or copy"))?,
                Ok(()) => {}
            }
        }
        like(&here).map_err(failed("set metadata"))?;
    }
    Ok(())
}

/// Opens a directory of both trees; `way` holds those that lead to the one before.
fn open(root: &Pair, path: &RelPath, way: &mut Vec<(Name, Pair)>) -> io::Result<Pair> {
    let names: Vec<Name> = path.components().collect();
    let same = way.iter().zip(&names).take_while(|((known, _), name)| known == *name).count();
    way.truncate(same);
    let mut here = way.last().map_or(root, |(_, pair)| pair).clone();
    for name in &names[same..] {
        here = here.enter(name)?;
        if way.len() < HANDLES_MAX {
            way.push((name.clone(), here.clone()));
        }
    }
    Ok(here)
}

/// Copies what cannot have a second name; what would then belong to another is no copy.
fn copy_alike(here: &Pair, name: &Name, stat: &Stat) -> io::Result<()> {
    copy::copy_name((&here.from, name, stat), &*here.to, name)?;
    let made = here.to.stat(name)?;
    let is_alike = (made.uid, made.gid) == (stat.uid, stat.gid);
    if is_alike { Ok(()) } else { Err(Errno::PERM.into()) }
}

/// Gives the new directory the metadata of the old one.
fn like(here: &Pair) -> io::Result<()> {
    let (was, is) = (here.from.stat_self()?, here.to.stat_self()?);
    let owner = ((was.uid, was.gid) != (is.uid, is.gid)).then_some((was.uid, was.gid));
    copy::copy_attributes((&*here.from, None), (&*here.to, None))?;
    let attrs = Attrs { owner, mode: Some(was.mode), mtime: Some(was.mtime), ..Attrs::default() };
    here.to.set_attrs_self(&attrs)
}
