//! An inode number, perhaps with a name in it → what is there: the file system, without the kernel.
//!
//! The top and the directories of names follow the store: whoever looks into one has the head read again, at most once in
//! [`AGAIN`]. A state never changes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Told;
use super::names::{Kept, LATEST, Names};
use super::place::Place;
use super::trees::{Tree, Trees};
use crate::fs::{FileRef, Kind, Rdev, Stat, Time};
use crate::path::{Name, RelPath};
use crate::snapshot::{Attributes, DirId, EntryId, Node};
use crate::store::view::unreadable;
use crate::store::{State, Store, StoreError};

/// How long what was read of the head is taken to hold.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// A store as a file system.
pub(super) struct Shown {
    store: Arc<Store>,
    trees: Trees,
    names: Mutex<Names>,
    looked: Mutex<Looked>,
    time: fn(Time) -> String,
    tell: Told,
    /// What was told last: a file that cannot be read is asked for again and again.
    last: Mutex<(Vec<u8>, String)>,
}

/// What was read of the head, and when.
#[derive(Default)]
struct Looked {
    names: BTreeMap<String, Vec<State>>,
    at: Option<Instant>,
}

/// A name in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) inode: u64,
    pub(super) kind: Kind,
}

/// What a directory holds, as it was when it was opened.
pub(super) enum Listing {
    /// Of a directory that no tree has.
    Names { own: u64, above: u64, names: Vec<(String, u64, Kind)> },
    /// A directory of a state's tree.
    Dir { state: u32, tree: Arc<Tree>, dir: DirId },
}

/// How much there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Shown {
    /// Shows a store.
    pub(super) fn new(store: Arc<Store>, time: fn(Time) -> String, tell: Told) -> Result<Shown, StoreError> {
        let shown = Shown {
            trees: Trees::new(store.clone()),
            store,
            names: Mutex::default(),
            looked: Mutex::default(),
            time,
            tell,
            last: Mutex::default(),
        };
        shown.look(&mut lock(&shown.looked))?;
        Ok(shown)
    }

    /// Reads the head again, unless that was just done.
    #[expect(clippy::disallowed_methods, reason = "how long ago it was read")]
    fn look_again(&self) {
        // Who comes while another looks takes what is known.
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.at.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        // A store that cannot be reached just now is shown as it was.
        if let Err(error) = self.look(&mut looked) {
            self.tell(Vec::new(), &unreadable(error));
        }
        looked.at = Some(Instant::now());
    }

    fn look(&self, looked: &mut Looked) -> Result<(), StoreError> {
        let names = self.store.names()?;
        if names != looked.names {
            self.store.refresh()?;
            self.names().learn(&names, self.time);
            looked.names = names;
        }
        Ok(())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }

    /// What a name in a directory stands for.
    pub(super) fn find(&self, parent: u64, name: &[u8]) -> io::Result<Stat> {
        let place = match place(parent)? {
            Place::Top => {
                self.look_again();
                self.names().find(name).map(Place::Name)
            }
            Place::Name(number) => {
                self.look_again();
                let names = self.names();
                let named = names.name(number).ok_or(Errno::NOENT)?;
                let state = std::str::from_utf8(name).ok().and_then(|name| named.states.get(name));
                match named.newest {
                    Some(_) if name == LATEST.as_bytes() => Some(Place::Latest(number)),
                    _ => state.map(|number| Place::Root(*number)),
                }
            }
            parent => {
                let (state, tree, dir) = self.dir(parent)?;
                let found = Name::new(name).ok().and_then(|name| tree.stored.snapshot().find(dir, &name));
                found.map(|id| Place::Entry(state, tree.stored.first_name(id)))
            }
        };
        self.stat_of(place.ok_or(Errno::NOENT)?)
    }

    /// What an inode is.
    pub(super) fn stat(&self, inode: u64) -> io::Result<Stat> {
        self.stat_of(place(inode)?)
    }

    fn stat_of(&self, place: Place) -> io::Result<Stat> {
        let inode = place.inode();
        match place {
            Place::Top => {
                let names = self.names();
                let times = names.all().filter_map(|(_, name)| Some(names.newest(name)?.state.time()));
                Ok(made(Kind::Dir, inode, times.max().unwrap_or_default()))
            }
            Place::Name(name) => {
                let names = self.names();
                names.name(name).ok_or(Errno::NOENT)?;
                let time = names.newest(name).map(|kept| kept.state.time());
                Ok(made(Kind::Dir, inode, time.unwrap_or_default()))
            }
            Place::Latest(name) => {
                let names = self.names();
                let newest = names.newest(name).ok_or(Errno::NOENT)?;
                let size = newest.shown.len() as u64;
                Ok(Stat { size, ..made(Kind::Symlink, inode, newest.state.time()) })
            }
            Place::Root(number) => {
                let root = self.state(number)?.root;
                Ok(Stat { ino: inode, ..self.trees.root(&root).map_err(unreadable)? })
            }
            Place::Entry(state, id) => Ok(Stat { ino: inode, ..self.entry(state, id)?.stat(id) }),
        }
    }

    /// What a directory holds.
    pub(super) fn list(&self, inode: u64) -> io::Result<Listing> {
        let place = place(inode)?;
        match place {
            Place::Top => {
                self.look_again();
                let names = self.names();
                let listed =
                    |(name, number): (&str, u32)| (name.to_owned(), Place::Name(number).inode(), Kind::Dir);
                let names = names.all().map(listed).collect();
                Ok(Listing::Names { own: inode, above: inode, names })
            }
            Place::Name(number) => {
                self.look_again();
                let names = self.names();
                let named = names.name(number).ok_or(Errno::NOENT)?;
                let latest = (LATEST.to_owned(), Place::Latest(number).inode(), Kind::Symlink);
                let states = named
                    .states
                    .iter()
                    .map(|(name, state)| (name.clone(), Place::Root(*state).inode(), Kind::Dir));
                let names = named.newest.map(|_| latest).into_iter().chain(states).collect();
                Ok(Listing::Names { own: inode, above: Place::Top.inode(), names })
            }
            place => {
                let (state, tree, dir) = self.dir(place)?;
                Ok(Listing::Dir { state, tree, dir })
            }
        }
    }

    /// Opens a file.
    pub(super) fn open(&self, inode: u64) -> io::Result<FileRef> {
        match place(inode)? {
            Place::Entry(state, id) => self.entry(state, id)?.stored.open_file(id),
            Place::Latest(_) => Err(Errno::LOOP.into()),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    /// Where a link points.
    pub(super) fn read_link(&self, inode: u64) -> io::Result<Vec<u8>> {
        match place(inode)? {
            Place::Latest(name) => {
                Ok(self.names().newest(name).ok_or(Errno::NOENT)?.shown.clone().into_bytes())
            }
            Place::Entry(state, id) => match &self.entry(state, id)?.stored.snapshot().entry(id).node {
                Node::Symlink { target } => Ok(target.to_vec()),
                _ => Err(Errno::INVAL.into()),
            },
            _ => Err(Errno::INVAL.into()),
        }
    }

    /// The extended attributes of an inode.
    pub(super) fn attributes(&self, inode: u64) -> io::Result<Arc<Attributes>> {
        match place(inode)? {
            Place::Root(number) => self.trees.root_attributes(&self.state(number)?.root).map_err(unreadable),
            Place::Entry(state, id) => Ok(self.entry(state, id)?.attributes(id)),
            _ => Ok(Arc::default()),
        }
    }

    /// What the store takes, and the files of all its states.
    pub(super) fn totals(&self) -> Totals {
        let names = self.names();
        let states = names.all().filter_map(|(_, name)| names.name(name));
        let states = states.flat_map(|named| named.states.values()).filter_map(|number| names.state(*number));
        let files = states.fold(0, |sum: u64, kept| sum.saturating_add(kept.state.files));
        Totals { bytes: self.store.index().packs().map(|(_, pack)| pack.len).sum(), files }
    }

    /// Tells why something could not be read: at an inode, perhaps at a name in it.
    pub(super) fn tell_of(&self, inode: u64, name: Option<&[u8]>, cause: &io::Error) {
        let mut path = self.path(inode);
        if let Some(name) = name {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        self.tell(path, cause);
    }

    fn tell(&self, path: Vec<u8>, cause: &io::Error) {
        let told = (path, cause.to_string());
        let mut last = lock(&self.last);
        if *last != told {
            (self.tell)(&told.0, cause);
            *last = told;
        }
    }

    /// The path of an inode, below the directory of the mount.
    fn path(&self, inode: u64) -> Vec<u8> {
        let of_state = |number: u32, path: &RelPath| -> Option<Vec<u8>> {
            let names = self.names();
            let Kept { name, shown, .. } = names.state(number)?;
            let mut bytes = format!("{}/{shown}", names.name(*name)?.shown).into_bytes();
            if !path.is_root() {
                bytes.push(b'/');
                bytes.extend_from_slice(path.as_bytes());
            }
            Some(bytes)
        };
        let of_name = |number: u32| Some(self.names().name(number)?.shown.clone());
        let path = match Place::of(inode) {
            None | Some(Place::Top) => None,
            Some(Place::Name(number)) => of_name(number).map(String::into_bytes),
            Some(Place::Latest(number)) => {
                of_name(number).map(|name| format!("{name}/{LATEST}").into_bytes())
            }
            Some(Place::Root(state)) => of_state(state, &RelPath::root()),
            Some(Place::Entry(state, id)) => {
                self.entry(state, id).ok().and_then(|tree| of_state(state, &tree.stored.snapshot().path(id)))
            }
        };
        path.unwrap_or_default()
    }

    fn state(&self, number: u32) -> io::Result<State> {
        Ok(self.names().state(number).ok_or(Errno::NOENT)?.state.clone())
    }

    fn tree(&self, state: u32) -> io::Result<Arc<Tree>> {
        let root = self.state(state)?.root;
        self.trees.get(&root).map_err(unreadable)
    }

    /// The tree of a state that has this entry.
    fn entry(&self, state: u32, id: EntryId) -> io::Result<Arc<Tree>> {
        let tree = self.tree(state)?;
        if tree.stored.snapshot().get(id).is_some() { Ok(tree) } else { Err(Errno::NOENT.into()) }
    }

    /// A directory of a state.
    fn dir(&self, place: Place) -> io::Result<(u32, Arc<Tree>, DirId)> {
        match place {
            Place::Root(state) => Ok((state, self.tree(state)?, DirId::ROOT)),
            Place::Entry(state, id) => {
                let tree = self.entry(state, id)?;
                let dir = tree.stored.snapshot().entry(id).dir().ok_or(Errno::NOTDIR)?;
                Ok((state, tree, dir))
            }
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    #[cfg(test)]
    pub(super) fn trees_kept(&self) -> usize {
        self.trees.count()
    }

    /// Has the head read at the next look, however short ago it was.
    #[cfg(test)]
    pub(super) fn expire(&self) {
        lock(&self.looked).at = None;
    }
}

impl Listing {
    /// The name at a place in the list, which begins with the directory itself and the one above.
    pub(super) fn get(&self, at: usize) -> Option<Listed> {
        let listed = |name: &[u8], inode, kind| Some(Listed { name: name.to_vec(), inode, kind });
        match (self, at) {
            (_, 0) => listed(b".", self.own(), Kind::Dir),
            (_, 1) => listed(b"..", self.above(), Kind::Dir),
            (Listing::Names { names, .. }, at) => {
                let (name, inode, kind) = names.get(at - 2)?;
                listed(name.as_bytes(), *inode, *kind)
            }
            (Listing::Dir { state, tree, dir }, at) => {
                let snapshot = tree.stored.snapshot();
                let ids = snapshot.entry_ids(*dir);
                let id = ids.clone().nth(at - 2).map(EntryId)?;
                let inode = Place::Entry(*state, tree.stored.first_name(id)).inode();
                listed(snapshot.entry(id).name.as_bytes(), inode, tree.stored.stat(id).kind)
            }
        }
    }

    fn own(&self) -> u64 {
        match self {
            Listing::Names { own, .. } => *own,
            Listing::Dir { state, tree, dir } => in_state(*state, tree, *dir),
        }
    }

    fn above(&self) -> u64 {
        match self {
            Listing::Names { above, .. } => *above,
            Listing::Dir { state, tree, dir } => in_state(*state, tree, tree.stored.snapshot().parent(*dir)),
        }
    }
}

/// The inode number of a directory in a state.
fn in_state(state: u32, tree: &Tree, dir: DirId) -> u64 {
    tree.stored.snapshot().entry_of(dir).map_or(Place::Root(state), |id| Place::Entry(state, id)).inode()
}

fn place(inode: u64) -> io::Result<Place> {
    Ok(Place::of(inode).ok_or(Errno::NOENT)?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in no tree: everybody's to read, of whoever mounts.
fn made(kind: Kind, ino: u64, mtime: Time) -> Stat {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mode = if kind == Kind::Symlink { 0o777 } else { 0o555 };
    let (atime, ctime) = (mtime, mtime);
    Stat { kind, mode, uid, gid, size: 0, mtime, atime, ctime, dev: 0, ino, nlink: 1, rdev: Rdev::default() }
}
