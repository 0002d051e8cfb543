//! What is decided when everything is known: moves, hard links, deletions, the metadata of directories, and
//! whether the mirror is the sender's tree.
//!
//! A name is *doomed* if the source lacks it and the caller asked to delete. Bytes that stand only under a
//! doomed name are moved, not copied: a file by a second hard link before the old name goes, a directory by
//! one rename. Nothing is moved before the whole tree was compared, because until then no name is known to
//! be doomed.

use std::collections::{HashMap, HashSet};

use super::{Action, Change, Close, FileId, Kind, LocalFile, Meta, Place, ProtocolError, Receiver};
use super::{kind_of, mirror_root, violation};
use crate::chunk::ChunkRef;
use crate::path::RelPath;
use crate::snapshot::{DirId, Entry, EntryId, Node, Snapshot};

/// A file that has the root of one that is here.
pub(super) struct Cloned {
    pub(super) file: FileId,
    pub(super) place: Place,
    pub(super) from: LocalFile,
    pub(super) close: Close,
    /// What the destination has at the place.
    pub(super) was: Option<EntryId>,
    /// Its chunks, if they are known.
    pub(super) list: Vec<ChunkRef>,
    /// The two are to be one file.
    pub(super) linked: bool,
}

/// A new directory whose content the destination has under another name.
pub(super) struct Based {
    pub(super) mirror: DirId,
    pub(super) base: DirId,
    pub(super) place: Place,
}

/// A directory of the mirror: where it is, what the destination has there, what it is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct DirPlace {
    /// `None` for the root.
    pub(super) place: Option<Place>,
    pub(super) own: Option<DirId>,
    pub(super) was: Meta,
    pub(super) meta: Meta,
}

/// A directory that is renamed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedDir {
    /// The destination's directory.
    pub from: DirId,
    /// Where it goes.
    pub to: Place,
    /// Every directory of the mirror that is in it, itself first.
    pub dirs: Vec<(DirId, Place)>,
}

/// A directory that was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalDir {
    /// Its number in the mirror.
    pub dir: DirId,
    /// The destination's directory at the same path.
    pub own: Option<DirId>,
    /// The metadata it gets.
    pub meta: Meta,
    /// Whether that differs from what it has.
    pub changed: bool,
}

/// What is to be done when every file is staged, in the order of the fields.
#[derive(Debug)]
pub struct Finale {
    /// What the destination is to be: the sender's tree, but for what the caller's rules leave alone. On a dry run,
    /// or after failures, as far as known.
    pub mirror: Snapshot,
    /// Whether the destination will be what the mirror says, all of it.
    pub made: bool,
    /// Whether the mirror's root was compared with the sender's and is equal.
    pub proven: bool,
    /// Directories to rename.
    pub moves: Vec<MovedDir>,
    /// Files and links in moved directories whose metadata differs: where, what it is to be, what it is.
    pub moved_metas: Vec<(Place, Meta, Meta)>,
    /// Names of hard-linked files, and the first name, in place by then.
    pub links: Vec<(Place, RelPath)>,
    /// Names to delete: the topmost only.
    pub deletions: Vec<EntryId>,
    /// Names that would have been deleted, if there were not more of them than allowed.
    pub withheld: u64,
    /// Directories that were compared, parents first.
    pub dirs: Vec<FinalDir>,
}

impl Receiver {
    /// Decides on moves once every directory was compared.
    pub(super) fn settle(&mut self) -> Result<(), ProtocolError> {
        if self.settled || self.open_dirs > 0 {
            return Ok(());
        }
        self.settled = true;
        if self.may_delete() {
            self.doom_specials();
        }
        let mut rebuilt = Vec::new();
        for based in std::mem::take(&mut self.bases) {
            let Based { mirror, base, ref place } = based;
            if self.may_move(base, place) {
                self.taken_dirs.insert(base);
                self.move_dir(mirror, base, place);
            } else {
                rebuilt.push(based);
            }
        }
        // A file may be moved out of a directory only when it is known that this does not move itself.
        for Based { mirror, base, place } in rebuilt {
            self.rebuild_dir(mirror, base, place)?;
        }
        for cloned in std::mem::take(&mut self.clones) {
            self.clone_file(cloned)?;
        }
        Ok(())
    }

    /// Whether names that the source lacks may go: what could not be read there is not known to be gone.
    pub(super) fn may_delete(&self) -> bool {
        self.options.delete && (self.options.ignore_errors || self.theirs.errors == 0 && !self.unreadable)
    }

    /// Special entries that do not count are no part of any digest, so they may stand in directories that were not compared.
    fn doom_specials(&mut self) {
        let snapshot = self.own.clone();
        let is_special = |id: &EntryId| !snapshot.profile().counts(snapshot.entry(*id));
        let specials: Vec<EntryId> = (0..snapshot.entry_count()).map(EntryId).filter(is_special).collect();
        if specials.is_empty() {
            return;
        }
        let mirrors = (0..).map(DirId).zip(&self.places);
        let mirrors: HashMap<DirId, DirId> =
            mirrors.filter_map(|(dir, place)| Some((place.own?, dir))).collect();
        // What the source has in its place, or in the place of the topmost directory that was not compared.
        let in_its_place = |special: EntryId| {
            let mut at = special;
            loop {
                let dir = snapshot.dir_of(at);
                if let Some(mirror) = mirrors.get(&dir) {
                    let entries = self.mirror.as_ref()?.entries(*mirror);
                    let name = &snapshot.entry(at).name;
                    let found = entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
                    return Some((at, &entries[found].node));
                }
                at = snapshot.entry_of(dir)?;
            }
        };
        let doomed = |special: &EntryId| match in_its_place(*special) {
            _ if self.protected.keeps(*special) => false,
            // Below a directory that is adopted, not replaced by something else.
            Some((at, Node::Dir { .. })) => at != *special,
            Some(_) => false,
            None => true,
        };
        let doomed: Vec<EntryId> = specials.into_iter().filter(doomed).collect();
        self.doomed.extend(doomed);
    }

    /// Whether this entry, or a directory it is in, is to be deleted.
    fn is_doomed(&self, entry: EntryId) -> bool {
        self.above(entry).any(|id| self.doomed.contains(&id))
    }

    /// Whether this entry is in a directory that moves as a whole, or is that directory.
    fn moves_within(&self, entry: EntryId) -> bool {
        let taken = |id: EntryId| self.own.entry(id).dir().is_some_and(|dir| self.taken_dirs.contains(&dir));
        !self.taken_dirs.is_empty() && self.above(entry).any(taken)
    }

    /// An entry, and the directories that it is in.
    fn above(&self, entry: EntryId) -> impl Iterator<Item = EntryId> {
        std::iter::successors(Some(entry), |id| self.own.entry_of(self.own.dir_of(*id)))
    }

    /// A directory may be renamed if all of it is doomed and known, it goes nowhere else, and its new parent
    /// is in place, so that at no moment it has neither name.
    fn may_move(&self, base: DirId, place: &Place) -> bool {
        let parent_in_place = self.places.get(place.dir.0 as usize).is_some_and(|dir| dir.own.is_some());
        let free = |entry| self.is_doomed(entry) && !self.moves_within(entry);
        if !parent_in_place
            || self.options.filtered
            || !self.options.moves
            || !self.own.entry_of(base).is_some_and(free)
        {
            return false;
        }
        let mut below = vec![base];
        while let Some(dir) = below.pop() {
            for entry in self.own.entries(dir) {
                match entry.node {
                    Node::Special { what, .. } if !self.own.profile().has(what) => return false,
                    Node::Dir { dir } if self.taken_dirs.contains(&dir) => return false,
                    Node::Dir { dir } => below.push(dir),
                    _ => {}
                }
            }
        }
        true
    }

    fn move_dir(&mut self, mirror: DirId, base: DirId, place: &Place) {
        self.report.moved += 1;
        let from = self.own.dir_path(base);
        self.item(|this| this.path(place), Change::Moved { from }, Kind::Dir);
        let mut dirs = vec![(mirror, place.clone())];
        let to = place.clone();
        let from = base;
        let snapshot = self.own.clone();
        let mut stack = vec![(mirror, base)];
        while let Some((mirror, base)) = stack.pop() {
            let (was, place) = (snapshot.dir_meta(base), &mut self.places[mirror.0 as usize]);
            place.was = was;
            let own = snapshot.entries(base);
            let entries = self.mirror().entries(mirror).to_vec();
            for (entry, own) in entries.into_iter().zip(own) {
                let place = Place { dir: mirror, name: entry.name.clone() };
                self.reused(entry.size().unwrap_or(0));
                if let (Some(child), Some(own_child)) = (entry.dir(), own.dir()) {
                    dirs.push((child, place.clone()));
                    self.ensure_place(child, place, entry.meta);
                    stack.push((child, own_child));
                } else if entry.counted(snapshot.profile()) != own.counted(snapshot.profile()) {
                    self.moved_metas.push((place, entry.meta, own.meta));
                }
            }
        }
        self.moves.push(MovedDir { from, to, dirs });
    }

    fn ensure_place(&mut self, dir: DirId, place: Place, meta: Meta) {
        let at = dir.0 as usize;
        if self.places.len() <= at {
            self.places.resize_with(at + 1, DirPlace::default);
        }
        let was = Meta::default();
        self.places[at] = DirPlace { place: Some(place), own: None, was, meta };
    }

    /// Makes a new directory from the files of another.
    fn rebuild_dir(&mut self, mirror: DirId, base: DirId, place: Place) -> Result<(), ProtocolError> {
        let snapshot = self.own.clone();
        let mut stack = vec![(mirror, base, place)];
        while let Some((mirror, base, place)) = stack.pop() {
            self.note_dir(&place, mirror, None);
            self.action(Action::Dir { dir: mirror, place, own: None });
            let entries = self.mirror().entries(mirror).to_vec();
            let own = snapshot.counted(base).map(|(id, _)| id);
            for (entry, own) in entries.into_iter().zip(own) {
                let place = Place { dir: mirror, name: entry.name.clone() };
                self.rebuild_entry(&entry, own, place, &mut stack)?;
            }
        }
        Ok(())
    }

    fn rebuild_entry(
        &mut self,
        entry: &Entry,
        own: EntryId,
        place: Place,
        stack: &mut Vec<(DirId, DirId, Place)>,
    ) -> Result<(), ProtocolError> {
        match &entry.node {
            Node::Dir { dir } => {
                let own_dir = self.own.entry(own).dir();
                self.ensure_place(*dir, place.clone(), entry.meta);
                stack.extend(own_dir.map(|own_dir| (*dir, own_dir, place)));
            }
            Node::File { size, root: Some(root), link: None } => {
                self.synthetic -= 1;
                let close = Close { root: *root, size: *size, meta: entry.meta };
                self.reused(*size);
                let (file, from) = (FileId(self.synthetic), LocalFile::Entry(own));
                return self.clone_file(Cloned {
                    file,
                    place,
                    from,
                    close,
                    was: None,
                    list: Vec::new(),
                    linked: false,
                });
            }
            Node::Symlink { target } => {
                self.note(&place, Kind::Symlink, None, entry.meta, None);
                self.action(Action::Symlink { place, target: target.to_vec(), meta: entry.meta });
            }
            Node::Special { what, rdev } => self.special(place, (*what, *rdev), entry.meta, None),
            node => self.note(&place, kind_of(node), entry.size(), entry.meta, None),
        }
        Ok(())
    }

    /// Makes a file from one that is here: at once, or when it is known what is doomed.
    pub(super) fn clone_file(&mut self, cloned: Cloned) -> Result<(), ProtocolError> {
        if !self.settled {
            self.clones.push(cloned);
            return Ok(());
        }
        let Cloned { file, place, from, close, was, list, linked } = cloned;
        let snapshot = self.own.clone();
        let doomed = match from {
            LocalFile::Entry(id) => {
                // Where deletions are counted, a name that goes must be one, or be told as moved.
                let told = was.is_none() || self.options.deletions_max.is_none();
                self.options.moves
                    && told
                    && self.is_doomed(id)
                    && !self.moves_within(id)
                    && self.taken_files.insert(id)
            }
            LocalFile::Leftover(_) => false,
            LocalFile::Reference(_) => linked,
        };
        match from {
            LocalFile::Entry(id) if doomed && was.is_none() => {
                self.report.moved += 1;
                self.moved_files.insert(id);
                let from = snapshot.path(id);
                self.item(|this| this.path(&place), Change::Moved { from }, Kind::File);
            }
            _ => {
                let was = was.map(|was| snapshot.entry(was));
                self.note(&place, Kind::File, Some(close.size), close.meta, was);
            }
        }
        if !self.options.dry_run {
            self.close_later(file, &place, close, list)?;
            self.action(Action::Clone { file, place, from, doomed, close });
        }
        Ok(())
    }

    /// Everything staged: what is left to do, if the mirror is the sender's tree.
    ///
    /// # Errors
    /// [`ProtocolError::RootsDiffer`] if it is not; [`ProtocolError::Violation`] if a hard link has no file.
    pub fn finish(&mut self) -> Result<Finale, ProtocolError> {
        let builder = self.mirror.take().ok_or_else(|| violation("finished twice"))?;
        let mut mirror = if self.is_mirror { (*self.own).clone() } else { builder.finish() };
        for (place, close) in std::mem::take(&mut self.learned) {
            if let Some(id) = mirror.find(place.dir, &place.name) {
                mirror.set_file(id, close.size, close.meta, Some(close.root));
            }
        }
        if !self.is_mirror {
            mirror.resolve_links();
            mirror.refresh();
        }
        self.finished = true;
        self.note_root();
        for (place, own) in std::mem::take(&mut self.unknown_links) {
            if let Some(id) = mirror.find(place.dir, &place.name) {
                self.linked(place, mirror.entry(id), own);
            }
        }
        let made = self.failed_paths == 0 && !self.options.dry_run;
        let proven = made && !self.deviates;
        if proven && (self.root.is_none() || mirror_root(&mirror) != self.root) {
            return Err(ProtocolError::RootsDiffer { ours: mirror_root(&mirror), theirs: self.root });
        }
        let links = self.links(&mirror)?;
        self.tell_replaced();
        let (deletions, withheld) = self.deletions();
        let profile = self.own.profile();
        let dirs = self
            .places
            .iter()
            .enumerate()
            .filter(|(at, dir)| (*at == 0 && !self.options.single) || dir.place.is_some());
        let dirs = dirs.map(|(at, dir)| {
            let own = dir.own.is_some();
            let changed = !own || profile.dir_meta(dir.was) != profile.dir_meta(dir.meta);
            FinalDir { dir: DirId(at as u32), own: dir.own, meta: dir.meta, changed }
        });
        Ok(Finale {
            made,
            proven,
            moves: std::mem::take(&mut self.moves),
            moved_metas: std::mem::take(&mut self.moved_metas),
            links,
            deletions,
            withheld,
            dirs: dirs.collect(),
            mirror,
        })
    }

    /// Tells what becomes of the root directory itself, which no count has, once: as soon as it is known which
    /// attributes it gets, or in the end.
    pub(super) fn note_root(&mut self) {
        let DirPlace { was, meta, .. } = self.places[0];
        let is_known = self.finished || self.knows_attributes(was) && self.knows_attributes(meta);
        if self.options.single || self.root_noted || !is_known {
            return;
        }
        self.root_noted = true;
        let profile = self.own.profile();
        let (was, meta) = (profile.dir_meta(was), profile.dir_meta(meta));
        self.report.root_made = self.options.made;
        if self.options.made {
            self.item(|_| RelPath::root(), Change::Created, Kind::Dir);
        } else if was != meta {
            let change = Change::Meta(self.meta_change(was, meta));
            self.item(|_| RelPath::root(), change, Kind::Dir);
        }
    }

    fn links(&self, mirror: &Snapshot) -> Result<Vec<(Place, RelPath)>, ProtocolError> {
        let mut links = Vec::new();
        // In a directory that was not compared nothing changed, nor did what its links are names of: their
        // roots and metadata are part of its digest.
        let compared = |dir: &DirId| {
            *dir == DirId::ROOT && !self.adopted
                || self.places.get(dir.0 as usize).is_some_and(|place| place.place.is_some())
        };
        for dir in mirror.dirs().filter(compared) {
            for entry in mirror.entries(dir) {
                let Node::File { link: Some(first), .. } = &entry.node else { continue };
                let target = mirror.find_path(first).map(|id| &mirror.entry(id).node);
                if !matches!(target, Some(Node::File { link: None, .. })) {
                    if self.deviates {
                        continue;
                    }
                    return Err(violation(format!("a hard link to {first}, which is no file")));
                }
                links.push((Place { dir, name: entry.name.clone() }, (**first).clone()));
            }
        }
        Ok(links)
    }

    /// Counts and tells what goes with directories in whose place something else is made.
    fn tell_replaced(&mut self) {
        let snapshot = self.own.clone();
        let mut gone = Vec::new();
        for top in std::mem::take(&mut self.replaced).into_iter().filter(|_| self.options.replaces) {
            let Some(dir) = snapshot.entry(top).dir().filter(|dir| !self.protected.holds(*dir)) else {
                continue;
            };
            let mut below = vec![dir];
            while let Some(dir) = below.pop() {
                gone.extend(snapshot.entry_ids(dir).map(EntryId));
                below.extend(snapshot.entries(dir).iter().filter_map(Entry::dir));
            }
        }
        gone.sort_unstable();
        gone.retain(|id| !self.doomed.contains(id));
        for id in gone {
            self.tell_deleted(id);
        }
    }

    fn tell_deleted(&mut self, id: EntryId) {
        let snapshot = self.own.clone();
        let kind = kind_of(&snapshot.entry(id).node);
        self.report.deleted += 1;
        self.report.deleted_beside.count(kind);
        self.item(|_| snapshot.path(id), Change::Deleted, kind);
    }

    /// The names to delete, counted and told; and how many are not, because they are too many.
    fn deletions(&mut self) -> (Vec<EntryId>, u64) {
        if !self.may_delete() {
            return (Vec::new(), 0);
        }
        let snapshot = self.own.clone();
        let mut deletions: Vec<EntryId> = self.doomed.iter().copied().collect();
        deletions.sort_unstable();
        deletions.retain(|id| snapshot.entry(*id).dir().is_none_or(|dir| !self.taken_dirs.contains(&dir)));
        let mut below = deletions.clone();
        let mut seen = HashSet::new();
        while let Some(id) = below.pop() {
            let entry = snapshot.entry(id);
            if let Some(dir) = entry.dir() {
                if self.taken_dirs.contains(&dir) {
                    continue;
                }
                below.extend(snapshot.entry_ids(dir).map(EntryId));
            }
            if !self.moved_files.contains(&id) {
                seen.insert(id);
            }
        }
        let count = seen.len() as u64;
        if self.options.deletions_max.is_some_and(|max| count > max) {
            // What was moved is gone from there all the same.
            return (self.taken_files.iter().copied().collect(), count);
        }
        let mut seen: Vec<EntryId> = seen.into_iter().collect();
        seen.sort_unstable();
        for id in seen {
            self.tell_deleted(id);
        }
        (deletions, 0)
    }
}
