//! What is decided when everything is known: moves, hard links, deletions, the metadata of directories, and
//! whether the mirror is the sender's tree.
//!
//! A name is *doomed* if the source lacks it and the caller asked to delete. Bytes that stand only under a
//! doomed name are moved, not copied: a file by a second hard link before the old name goes, a directory by
//! one rename. Nothing is moved before the whole tree was compared, because until then no name is known to
//! be doomed.

use std::collections::HashSet;

use super::{Action, Change, Close, FileId, Kind, LocalFile, Meta, Place, ProtocolError, Receiver};
use super::{Item, kind_of, mirror_root, violation};
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
    /// The sender's tree, proven: it has the sender's root. On a dry run, or after failures, as far as known.
    pub mirror: Snapshot,
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
        if self.options.delete && !self.unreadable {
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
            self.rebuild_dir(mirror, base, place);
        }
        for cloned in std::mem::take(&mut self.clones) {
            self.clone_file(cloned);
        }
        Ok(())
    }

    /// Special entries are no part of any digest, so they may stand in directories that were not compared.
    fn doom_specials(&mut self) {
        let snapshot = self.own.clone();
        for (at, entry) in snapshot.all_entries().iter().enumerate() {
            let id = EntryId(at as u32);
            if entry.node == Node::Special && !self.replaced(id) {
                self.doomed.insert(id);
            }
        }
    }

    /// Whether the source has something else under the name of this entry.
    fn replaced(&self, own: EntryId) -> bool {
        let (dir, name) = (self.own.dir_of(own), &self.own.entry(own).name);
        let place = self.places.iter().position(|place| place.own == Some(dir));
        place.is_some_and(|at| {
            let entries = self.mirror.as_ref().map(|mirror| mirror.entries(DirId(at as u32)));
            entries.is_some_and(|entries| entries.iter().any(|entry| entry.name == *name))
        })
    }

    /// Whether this entry, or a directory it is in, is to be deleted.
    fn is_doomed(&self, entry: EntryId) -> bool {
        let mut at = Some(entry);
        while let Some(id) = at {
            if self.doomed.contains(&id) {
                return true;
            }
            at = self.own.entry_of(self.own.dir_of(id));
        }
        false
    }

    /// Whether this entry stands in a directory that moves as a whole.
    fn moves_along(&self, entry: EntryId) -> bool {
        let mut dir = Some(self.own.dir_of(entry));
        while let Some(at) = dir {
            if self.taken_dirs.contains(&at) {
                return true;
            }
            dir = (at != DirId::ROOT).then(|| self.own.parent(at));
        }
        false
    }

    /// A directory may be renamed if all of it is doomed and known, it goes nowhere else, and its new parent
    /// is in place, so that at no moment it has neither name.
    fn may_move(&self, base: DirId, place: &Place) -> bool {
        let parent_in_place = self.places.get(place.dir.0 as usize).is_some_and(|dir| dir.own.is_some());
        let doomed = self.own.entry_of(base).is_some_and(|entry| self.is_doomed(entry));
        if !parent_in_place || !doomed || self.options.filtered {
            return false;
        }
        let mut ancestors =
            std::iter::successors(Some(base), |dir| (*dir != DirId::ROOT).then(|| self.own.parent(*dir)));
        let mut below = vec![base];
        while let Some(dir) = below.pop() {
            for entry in self.own.entries(dir) {
                match entry.node {
                    Node::Special => return false,
                    Node::Dir { dir } if self.taken_dirs.contains(&dir) => return false,
                    Node::Dir { dir } => below.push(dir),
                    _ => {}
                }
            }
        }
        !ancestors.any(|dir| self.taken_dirs.contains(&dir))
    }

    fn move_dir(&mut self, mirror: DirId, base: DirId, place: &Place) {
        // It was counted when its name was seen: as updated if something else stands there.
        let own = self.places.get(place.dir.0 as usize).and_then(|dir| dir.own);
        match own.and_then(|own| self.own.find(own, &place.name)) {
            Some(_) => self.report.updated -= 1,
            None => self.report.created -= 1,
        }
        self.report.moved += 1;
        let from = self.own.dir_path(base);
        self.renamed(place, from, Kind::Dir);
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
                self.report.bytes_reused += entry.size().unwrap_or(0);
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

    /// Replaces the item that told of a created name.
    fn renamed(&mut self, place: &Place, from: RelPath, kind: Kind) {
        if self.options.itemize {
            let path = self.path(place);
            self.items.retain(|item| item.path != path);
            self.items.push(Item { path, change: Change::Moved { from }, kind });
        }
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
    fn rebuild_dir(&mut self, mirror: DirId, base: DirId, place: Place) {
        let snapshot = self.own.clone();
        let mut stack = vec![(mirror, base, place)];
        let mut top = true;
        while let Some((mirror, base, place)) = stack.pop() {
            let meta = self.places.get(mirror.0 as usize).map_or_else(Meta::default, |place| place.meta);
            if !std::mem::take(&mut top) {
                self.note(&place, Kind::Dir, None, meta, None);
            }
            self.action(Action::Dir { dir: mirror, place, own: None });
            let entries = self.mirror().entries(mirror).to_vec();
            let own = snapshot.entry_ids(base).map(EntryId);
            let own = own.filter(|id| snapshot.entry(*id).node != Node::Special);
            for (entry, own) in entries.into_iter().zip(own) {
                let place = Place { dir: mirror, name: entry.name.clone() };
                self.rebuild_entry(&entry, own, place, &mut stack);
            }
        }
    }

    fn rebuild_entry(
        &mut self,
        entry: &Entry,
        own: EntryId,
        place: Place,
        stack: &mut Vec<(DirId, DirId, Place)>,
    ) {
        match &entry.node {
            Node::Dir { dir } => {
                let own_dir = self.own.entry(own).dir();
                self.ensure_place(*dir, place.clone(), entry.meta);
                stack.extend(own_dir.map(|own_dir| (*dir, own_dir, place)));
            }
            Node::File { size, root: Some(root), link: None } => {
                self.synthetic -= 1;
                let close = Close { root: *root, size: *size, meta: entry.meta };
                self.report.bytes_reused += size;
                let from = LocalFile::Entry(own);
                self.clone_file(Cloned { file: FileId(self.synthetic), place, from, close, was: None });
            }
            Node::Symlink { target } => {
                self.note(&place, Kind::Symlink, None, entry.meta, None);
                self.action(Action::Symlink { place, target: target.to_vec(), meta: entry.meta });
            }
            node => self.note(&place, kind_of(node), entry.size(), entry.meta, None),
        }
    }

    /// Makes a file from one that is here: at once, or when it is known what is doomed.
    pub(super) fn clone_file(&mut self, cloned: Cloned) {
        if !self.settled {
            self.clones.push(cloned);
            return;
        }
        let Cloned { file, place, from, close, was } = cloned;
        let snapshot = self.own.clone();
        let doomed = match from {
            LocalFile::Entry(id) => {
                self.is_doomed(id) && !self.moves_along(id) && self.taken_files.insert(id)
            }
            LocalFile::Leftover(_) => false,
        };
        match from {
            LocalFile::Entry(id) if doomed && was.is_none() => {
                self.report.moved += 1;
                let from = snapshot.path(id);
                self.item(|this| this.path(&place), Change::Moved { from }, Kind::File);
            }
            _ => {
                let was = was.map(|was| snapshot.entry(was));
                self.note(&place, Kind::File, Some(close.size), close.meta, was);
            }
        }
        if !self.options.dry_run {
            self.close_later(file, &place, close);
            self.action(Action::Clone { file, place, from, doomed, close });
        }
    }

    /// Everything staged: what is left to do, if the mirror is the sender's tree.
    ///
    /// # Errors
    /// [`ProtocolError::RootsDiffer`] if it is not; [`ProtocolError::Violation`] if a hard link has no file.
    pub fn finish(&mut self) -> Result<Finale, ProtocolError> {
        let builder = self.mirror.take().ok_or_else(|| violation("finished twice"))?;
        let mut mirror = builder.finish();
        for (place, close) in std::mem::take(&mut self.learned) {
            if let Some(id) = mirror.find(place.dir, &place.name) {
                mirror.set_file(id, close.size, close.meta, Some(close.root));
            }
        }
        mirror.resolve_links();
        mirror.refresh();
        let proven = self.failed_paths == 0 && !self.options.dry_run;
        if proven && (self.root.is_none() || mirror_root(&mirror) != self.root) {
            return Err(ProtocolError::RootsDiffer { ours: mirror_root(&mirror), theirs: self.root });
        }
        let links = self.links(&mirror)?;
        let deletions = self.deletions();
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
            proven,
            moves: std::mem::take(&mut self.moves),
            moved_metas: std::mem::take(&mut self.moved_metas),
            links,
            deletions,
            dirs: dirs.collect(),
            mirror,
        })
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
                    return Err(violation(format!("a hard link to {first}, which is no file")));
                }
                links.push((Place { dir, name: entry.name.clone() }, (**first).clone()));
            }
        }
        Ok(links)
    }

    /// The names to delete, counted and told.
    fn deletions(&mut self) -> Vec<EntryId> {
        if self.unreadable {
            // What could not be read at the source is not known to be gone.
            return Vec::new();
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
            if seen.insert(id) && !self.taken_files.contains(&id) {
                self.report.deleted += 1;
                self.item(|_| snapshot.path(id), Change::Deleted, kind_of(&entry.node));
            }
        }
        deletions
    }
}
