//! Where staged things stand: which directories are new, under which name, and who made what.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::ApplyError;
use crate::chunk::ChunkRef;
use crate::fs::{Attrs, DirRef, FileRef, Time, os, walk};
use crate::hash::Hash;
use crate::path::{Name, RelPath, STAGING_PREFIX};
use crate::snapshot::{DirId, EntryId, Meta, Profile, Sets, Snapshot};
use crate::transfer::locals::LocalFile;
use crate::transfer::message::Writing;
use crate::transfer::receiver::Place;

/// Handles of each kind that a worker keeps open at most. There are four kinds (directories of the mirror and
/// of the destination as it was, files copied from, files being made), so that eight workers, and as many
/// threads of a source in the same process, stay below the usual limit of 1,024.
pub(super) const HANDLES_MAX: usize = 12;

/// A file that was made: what the next scan need not read.
#[derive(Clone, Debug)]
pub struct Made {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Its root.
    pub root: Hash,
    /// Its length in bytes.
    pub size: u64,
    /// Its modification time.
    pub mtime: Time,
    /// Its chunks.
    pub chunks: Vec<ChunkRef>,
}

/// A name under a temporary name in an existing directory.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub(super) dir: DirId,
    pub(super) temporary: Name,
    pub(super) name: Name,
    /// The doomed entry whose inode this is.
    pub(super) from: Option<EntryId>,
}

/// An existing directory before anything was staged in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) mtime: Time,
    /// Its mode, if that had to be changed for us to write in it.
    pub(super) mode: Option<u32>,
}

/// What workers share: the destination, and what stands where in it.
pub struct Stage {
    pub(super) root: DirRef,
    pub(super) own: Arc<Snapshot>,
    /// Files left by an interrupted run, by number: the tree's root, and where in it.
    leftovers: Vec<(DirRef, RelPath)>,
    /// Files of references, by number: the tree's root, and where in it.
    references: Vec<(DirRef, RelPath)>,
    pub(super) profile: Profile,
    /// The permission bits that this process gives to nothing new.
    umask: u32,
    /// How files are written.
    pub(super) writing: Writing,
    /// Distinguishes this run's temporary names.
    run: u64,
    counter: AtomicU64,
    slots: Mutex<Vec<Option<Arc<Slot>>>>,
    pub(super) renames: Mutex<Vec<Rename>>,
    pub(super) made: Mutex<Vec<Made>>,
    /// Files made by a second name of a doomed one's inode, and the metadata they get.
    pub(super) moved: Mutex<Vec<(Place, Meta)>>,
    /// Existing directories that something was staged in.
    pub(super) before: Mutex<HashMap<DirId, Before>>,
    /// What stood where something else was put, under temporary names.
    pub(super) displaced: Mutex<Vec<(DirId, Name)>>,
    /// Doomed entries whose bytes are not safe under their new name: they stay.
    pub(super) kept: Mutex<HashSet<EntryId>>,
    /// Leftovers whose inode has a new name.
    taken: Mutex<HashSet<u32>>,
    /// The extended attributes that something is to have, or has.
    pub(super) sets: Mutex<Sets>,
    /// Whether something may have been renamed into place.
    pub(super) committing: AtomicBool,
}

/// A directory of the mirror.
pub(super) struct Slot {
    place: Option<Place>,
    /// Whether the destination has it, at its place, already.
    pub(super) in_place: bool,
    /// The name it stands under while its parent does not have it under its own.
    staged_as: Option<Name>,
    created: Mutex<bool>,
}

impl Slot {
    /// This directory, once it stands under its own name.
    fn placed(&self) -> Slot {
        let created = Mutex::new(*lock(&self.created));
        Slot { place: self.place.clone(), in_place: true, staged_as: None, created }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked has already failed the run; what it shared is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Stages into `root`, whose snapshot is `own`. `run` is any number no other run has; `leftovers` are the
    /// files behind [`LocalFile::Leftover`]; `writing` says how files are written; `references` are the
    /// files behind [`LocalFile::Reference`].
    #[must_use]
    pub fn new(
        root: DirRef,
        own: Arc<Snapshot>,
        leftovers: Vec<(DirRef, RelPath)>,
        run: u64,
        writing: Writing,
        references: Vec<(DirRef, RelPath)>,
    ) -> Arc<Stage> {
        let slot = Slot { place: None, in_place: true, staged_as: None, created: Mutex::new(true) };
        Arc::new(Stage {
            root,
            profile: own.profile(),
            umask: if own.profile().mode() { 0 } else { os::umask() },
            own,
            leftovers,
            references,
            run,
            writing,
            counter: AtomicU64::new(0),
            slots: Mutex::new(vec![Some(Arc::new(slot))]),
            renames: Mutex::default(),
            made: Mutex::default(),
            moved: Mutex::default(),
            before: Mutex::default(),
            displaced: Mutex::default(),
            kept: Mutex::default(),
            taken: Mutex::default(),
            sets: Mutex::default(),
            committing: AtomicBool::new(false),
        })
    }

    /// Tells of the extended attributes that the destination's entries have.
    pub fn learn_all(&self, sets: Sets) {
        lock(&self.sets).extend(sets);
    }

    /// Tells of a directory of the mirror, before anything in it.
    pub fn dir(&self, dir: DirId, place: Place, own: bool) {
        let parent_in_place = self.slot(place.dir).is_some_and(|parent| parent.in_place);
        let staged_as = (!own && parent_in_place).then(|| self.temporary_name());
        let slot = Slot { place: Some(place), in_place: own, staged_as, created: Mutex::new(own) };
        let mut slots = lock(&self.slots);
        let at = dir.0 as usize;
        if slots.len() <= at {
            slots.resize_with(at + 1, || None);
        }
        if let Some(name) = slot.staged_as.clone()
            && let Some(place) = &slot.place
        {
            let rename = Rename { dir: place.dir, temporary: name, name: place.name.clone(), from: None };
            lock(&self.renames).push(rename);
        }
        slots[at] = Some(Arc::new(slot));
    }

    /// The mode of something new that has `mode` at the source.
    pub(super) fn new_mode(&self, mode: u32) -> u32 {
        if self.profile.mode() { self.profile.file_mode(mode) } else { mode & 0o777 & !self.umask }
    }

    pub(super) fn slot(&self, dir: DirId) -> Option<Arc<Slot>> {
        lock(&self.slots).get(dir.0 as usize).cloned().flatten()
    }

    pub(super) fn temporary_name(&self) -> Name {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut name = self.temporary_prefix();
        name.extend_from_slice(format!("{count:x}").as_bytes());
        Name::new(&name).expect("a prefix and hexadecimal digits are a name")
    }

    /// How this run's temporary names begin, and no others.
    pub(super) fn temporary_prefix(&self) -> Vec<u8> {
        let mut prefix = STAGING_PREFIX.to_vec();
        prefix.extend_from_slice(format!("{:016x}-", self.run).as_bytes());
        prefix
    }

    /// Changes names in an existing directory. If its own mode forbids that, it is made writable until the run
    /// ends.
    pub(super) fn change<T>(
        &self,
        dir: DirId,
        handle: &DirRef,
        act: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        self.remember(dir, handle)?;
        match act() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.make_writable(dir, handle).map_err(|()| error)?;
                act()
            }
            result => result,
        }
    }

    /// Remembers what a directory was before its first change.
    fn remember(&self, dir: DirId, handle: &DirRef) -> io::Result<()> {
        if !lock(&self.before).contains_key(&dir) {
            let mtime = handle.stat_self()?.mtime;
            lock(&self.before).entry(dir).or_insert(Before { mtime, mode: None });
        }
        Ok(())
    }

    /// Gives the owner of a directory, if that is us, every permission in it.
    fn make_writable(&self, dir: DirId, handle: &DirRef) -> Result<(), ()> {
        let mut before = lock(&self.before);
        let before = before.get_mut(&dir).ok_or(())?;
        let mode = handle.stat_self().map_err(drop)?.mode;
        if mode & 0o700 == 0o700 {
            // Another thread was faster, or it is not the mode that forbids.
            return before.mode.map(drop).ok_or(());
        }
        let attrs = Attrs { mode: Some(mode | 0o700), ..Attrs::default() };
        handle.set_attrs_self(&attrs).map_err(drop)?;
        before.mode.get_or_insert(mode);
        Ok(())
    }

    /// Whether a leftover's inode has no new name yet; from now on it has.
    pub(super) fn take(&self, leftover: u32) -> bool {
        lock(&self.taken).insert(leftover)
    }

    pub(super) fn path(&self, place: &Place) -> RelPath {
        self.dir_path(place.dir).join(&place.name)
    }

    pub(super) fn dir_path(&self, dir: DirId) -> RelPath {
        let mut names = Vec::new();
        let mut at = dir;
        while let Some(place) = self.slot(at).and_then(|slot| slot.place.clone()) {
            names.push(place.name);
            at = place.dir;
        }
        names.iter().rev().fold(RelPath::root(), |path, name| path.join(name))
    }

    /// The new directories that could not be made.
    pub(super) fn not_made(&self) -> HashSet<DirId> {
        let slots = lock(&self.slots);
        let slots = (0..).map(DirId).zip(slots.iter());
        let not_made = |slot: &Slot| !*lock(&slot.created);
        slots.filter(|(_, slot)| slot.as_deref().is_some_and(not_made)).map(|(dir, _)| dir).collect()
    }

    /// The directory that `dir` is in; `None` for the root.
    pub(super) fn parent(&self, dir: DirId) -> Option<DirId> {
        self.slot(dir)?.place.as_ref().map(|place| place.dir)
    }

    /// From now on every directory stands under its own name.
    pub(super) fn all_in_place(&self) {
        for slot in lock(&self.slots).iter_mut().flatten() {
            *slot = Arc::new(slot.placed());
        }
    }

    /// Files that were made, for the index.
    pub fn take_made(&self) -> Vec<Made> {
        std::mem::take(&mut lock(&self.made))
    }
}

/// Open directories, a few at a time: never by more than one name at once, so at any depth.
pub(super) struct Handles {
    stage: Arc<Stage>,
    mirror: HashMap<DirId, DirRef>,
    own: HashMap<DirId, DirRef>,
    files: HashMap<LocalFile, FileRef>,
}

impl Handles {
    pub(super) fn new(stage: Arc<Stage>) -> Handles {
        Handles { stage, mirror: HashMap::new(), own: HashMap::new(), files: HashMap::new() }
    }

    /// A directory of the mirror, made if it is new, under its temporary name if it is staged.
    pub(super) fn mirror(&mut self, dir: DirId) -> Result<DirRef, ApplyError> {
        let mut path = Vec::new();
        let mut at = dir;
        let mut handle = loop {
            if at == DirId::ROOT {
                break self.stage.root.clone();
            }
            if let Some(handle) = self.mirror.get(&at) {
                break handle.clone();
            }
            let Some(slot) = self.stage.slot(at) else {
                let missing = io::Error::from(io::ErrorKind::NotFound);
                return Err(ApplyError::io(self.stage.dir_path(at), "open")(missing));
            };
            let parent = slot.place.as_ref().map_or(DirId::ROOT, |place| place.dir);
            path.push((at, slot));
            at = parent;
        };
        for (dir, slot) in path.into_iter().rev() {
            handle = enter(&self.stage, &handle, &slot)
                .map_err(|error| ApplyError::io(self.stage.dir_path(dir), "create directory")(error))?;
            if self.mirror.len() >= HANDLES_MAX {
                self.mirror.clear();
            }
            self.mirror.insert(dir, handle.clone());
        }
        Ok(handle)
    }

    /// A directory of the destination as it was.
    pub(super) fn own(&mut self, dir: DirId) -> io::Result<DirRef> {
        let snapshot = self.stage.own.clone();
        let mut path = Vec::new();
        let mut at = dir;
        let mut handle = loop {
            if let Some(handle) = self.own.get(&at) {
                break handle.clone();
            }
            let Some(entry) = snapshot.entry_of(at) else { break self.stage.root.clone() };
            path.push((at, entry));
            at = snapshot.parent(at);
        };
        for (dir, entry) in path.into_iter().rev() {
            handle = handle.open_dir(&snapshot.entry(entry).name)?;
            if self.own.len() >= HANDLES_MAX {
                self.own.clear();
            }
            self.own.insert(dir, handle.clone());
        }
        Ok(handle)
    }

    /// The directory and name of a file that is here.
    pub(super) fn local(&mut self, file: LocalFile) -> io::Result<(DirRef, Name)> {
        match file {
            LocalFile::Entry(id) => {
                let snapshot = self.stage.own.clone();
                let dir = self.own(snapshot.dir_of(id))?;
                Ok((dir, snapshot.entry(id).name.clone()))
            }
            LocalFile::Leftover(at) => {
                let stage = self.stage.clone();
                below(stage.leftovers.get(at as usize))
            }
            LocalFile::Reference(at) => {
                let stage = self.stage.clone();
                below(stage.references.get(at as usize))
            }
        }
    }

    /// A file that is here, open for reading.
    pub(super) fn local_file(&mut self, file: LocalFile) -> io::Result<FileRef> {
        if let Some(open) = self.files.get(&file) {
            return Ok(open.clone());
        }
        let (dir, name) = self.local(file)?;
        let open = dir.open_file(&name)?;
        if self.files.len() >= HANDLES_MAX {
            self.files.clear();
        }
        self.files.insert(file, open.clone());
        Ok(open)
    }

    /// The directory that holds one of the destination's entries.
    pub(super) fn parent_of(&mut self, entry: EntryId) -> io::Result<DirRef> {
        let dir = self.stage.own.dir_of(entry);
        self.own(dir)
    }

    /// Forgets every handle: names may have changed.
    pub(super) fn clear(&mut self) {
        self.mirror.clear();
        self.own.clear();
        self.files.clear();
    }
}

/// The directory and name of a path.
fn below(file: Option<&(DirRef, RelPath)>) -> io::Result<(DirRef, Name)> {
    let (root, path) = file.ok_or(Errno::NOENT)?;
    let (parent, name) = path.split_last().ok_or(Errno::NOENT)?;
    Ok((walk::open_path(root, &parent)?, name))
}

fn enter(stage: &Stage, parent: &DirRef, slot: &Slot) -> io::Result<DirRef> {
    let Some(place) = &slot.place else { return Ok(parent.clone()) };
    let name = slot.staged_as.as_ref().unwrap_or(&place.name);
    let mut created = lock(&slot.created);
    if *created {
        return parent.open_dir(name);
    }
    let create = || parent.create_dir(name, 0o700);
    let dir = if slot.staged_as.is_some() { stage.change(place.dir, parent, create)? } else { create()? };
    *created = true;
    Ok(dir)
}
