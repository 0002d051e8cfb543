//! What was staged → what users see, in an order that survives a power cut at any point.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use super::ApplyError;
use super::stage::{Handles, Rename, Stage, lock};
use super::worker::attrs;
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, DirRef, Kind, Stat};
use crate::path::{Name, RelPath};
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node};
use crate::transfer::receiver::{FinalDir, Finale, Place};

/// What a commit could not do; everything else is durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// One error a path.
    pub errors: Vec<ApplyError>,
}

/// Everything a commit works with.
struct Commit<'a> {
    stage: &'a Arc<Stage>,
    handles: Handles,
    errors: Vec<ApplyError>,
    /// Directories whose names changed: their times are set again.
    touched: HashSet<DirId>,
    /// The mirror's number of the destination's directories.
    mirrors: HashMap<DirId, DirId>,
    /// What stood where something else was put, under temporary names.
    displaced: Vec<(DirId, Name)>,
    delete: bool,
}

impl Stage {
    /// Makes everything durable and visible: see [`super`] for the order. `metas` are files and links that
    /// stay and whose metadata differs. With `delete`, directories that hold something may be replaced.
    ///
    /// # Errors
    /// Only fatal ones, such as a failed `syncfs`, which is never tried again: what was renamed by then is
    /// complete, what was not is untouched.
    pub fn commit(
        self: &Arc<Stage>,
        finale: &Finale,
        metas: &[(Place, Meta, Meta)],
        delete: bool,
    ) -> Result<Committed, ApplyError> {
        let mut commit = Commit {
            stage: self,
            handles: Handles::new(self.clone()),
            errors: Vec::new(),
            touched: HashSet::new(),
            mirrors: finale.dirs.iter().filter_map(|dir| Some((dir.own?, dir.dir))).collect(),
            displaced: Vec::new(),
            delete,
        };
        let mut renames = std::mem::take(&mut *lock(&self.renames));
        // By directory, so that each is opened once.
        renames.sort_by_key(|rename| rename.dir);
        let visible = !renames.is_empty() || !finale.moves.is_empty();
        if visible {
            commit.barrier()?;
        }
        for moved in &finale.moves {
            commit.each(|commit| commit.move_dir(moved.from, &moved.to))?;
        }
        commit.handles.clear();
        for (dir, place) in finale.moves.iter().flat_map(|moved| &moved.dirs) {
            self.dir(*dir, place.clone(), true);
        }
        for rename in &renames {
            commit.each(|commit| commit.rename(rename))?;
        }
        commit.handles.clear();
        self.all_in_place();
        for (place, first) in &finale.links {
            commit.each(|commit| commit.link(place, first))?;
        }
        for (place, meta) in std::mem::take(&mut *lock(&self.metas)) {
            commit.each(|commit| commit.meta(&place, meta))?;
        }
        for (place, meta, _) in metas.iter().chain(&finale.moved_metas) {
            commit.each(|commit| commit.meta(place, *meta))?;
        }
        let removing = !finale.deletions.is_empty() || !commit.displaced.is_empty();
        if (visible || !commit.touched.is_empty()) && removing {
            commit.barrier()?;
        }
        for (dir, name) in std::mem::take(&mut commit.displaced) {
            commit.each(|commit| {
                let handle = commit.handles.mirror(dir)?;
                let path = commit.stage.dir_path(dir).join(&name);
                remove_tree(&*handle, &name).map_err(ApplyError::io(path, "remove"))
            })?;
        }
        for entry in &finale.deletions {
            commit.each(|commit| commit.delete(*entry))?;
        }
        for FinalDir { dir, meta, changed, .. } in finale.dirs.iter().rev() {
            if *changed || commit.touched.contains(dir) {
                commit.each(|commit| commit.dir_meta(*dir, *meta))?;
            }
        }
        let changed = finale.dirs.iter().any(|dir| dir.changed);
        if visible || removing || changed || !commit.touched.is_empty() || !metas.is_empty() {
            commit.barrier()?;
        }
        Ok(Committed { errors: commit.errors })
    }

    /// Removes everything this run has staged: nothing was committed.
    pub fn abandon(self: &Arc<Stage>) {
        let mut handles = Handles::new(self.clone());
        let renames = std::mem::take(&mut *lock(&self.renames));
        let renames = renames.into_iter().map(|rename| (rename.dir, rename.temporary));
        for (dir, temporary) in std::mem::take(&mut *lock(&self.begun)).into_iter().chain(renames) {
            if let Ok(dir) = handles.mirror(dir) {
                let _ = remove_tree(&*dir, &temporary);
            }
        }
    }
}

impl Commit<'_> {
    /// Everything written so far is durable when this returns.
    fn barrier(&mut self) -> Result<(), ApplyError> {
        self.stage.root.sync_fs().map_err(ApplyError::io(RelPath::root(), "syncfs"))
    }

    /// Keeps an error that concerns one path and goes on; gives a fatal one back.
    fn each(&mut self, step: impl FnOnce(&mut Self) -> Result<(), ApplyError>) -> Result<(), ApplyError> {
        match step(self) {
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                self.errors.push(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn failed(&self, place: &Place, operation: &'static str) -> impl FnOnce(io::Error) -> ApplyError + use<> {
        ApplyError::io(self.stage.path(place), operation)
    }

    /// A name has left one of the destination's directories.
    fn touch_own(&mut self, own: DirId) {
        self.touched.extend(self.mirrors.get(&own));
    }

    fn move_dir(&mut self, from: DirId, to: &Place) -> Result<(), ApplyError> {
        let Some(entry) = self.stage.own.entry_of(from) else { return Ok(()) };
        let own_name = self.stage.own.entry(entry).name.clone();
        let source = self.handles.parent_of(entry).map_err(self.failed(to, "open"))?;
        let target = self.handles.mirror(to.dir)?;
        self.make_way(&target, to, Kind::Dir)?;
        source.rename(&own_name, &*target, &to.name).map_err(self.failed(to, "rename"))?;
        self.touched.insert(to.dir);
        self.touch_own(self.stage.own.dir_of(entry));
        Ok(())
    }

    fn rename(&mut self, rename: &Rename) -> Result<(), ApplyError> {
        let Rename { dir, temporary, name } = rename;
        let place = Place { dir: *dir, name: name.clone() };
        let handle = self.handles.mirror(*dir)?;
        self.touched.insert(*dir);
        match handle.rename(temporary, &*handle, name) {
            Err(error) if in_the_way(&error) => {
                // The new and the old are of different kinds, which one rename cannot replace.
                self.may_replace(&handle, &place)?;
                handle.exchange(temporary, name).map_err(self.failed(&place, "exchange"))?;
                self.displaced.push((*dir, temporary.clone()));
                Ok(())
            }
            // A directory that could not be made: its error was told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(self.failed(&place, "rename")),
        }
    }

    /// Puts aside what stands at `place`, if it is of a kind that a rename of `kind` cannot replace.
    fn make_way(&mut self, dir: &DirRef, place: &Place, kind: Kind) -> Result<(), ApplyError> {
        match dir.stat(&place.name) {
            Ok(stat) if stat.kind != kind => {
                self.may_replace(dir, place)?;
                let aside = self.stage.temporary_name();
                dir.rename(&place.name, &**dir, &aside).map_err(self.failed(place, "rename"))?;
                self.displaced.push((place.dir, aside));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether what stands at `place` may go: not a directory that holds something, unless deleting.
    fn may_replace(&self, dir: &DirRef, place: &Place) -> Result<(), ApplyError> {
        let holds_something = dir.open_dir(&place.name).and_then(|dir| dir.list());
        match holds_something {
            Ok(names) if !names.is_empty() && !self.delete => {
                Err(ApplyError::InTheWay { path: self.stage.path(place) })
            }
            _ => Ok(()),
        }
    }

    fn link(&mut self, place: &Place, first: &RelPath) -> Result<(), ApplyError> {
        let mut first_dir = self.stage.root.clone();
        let Some((parent, first_name)) = first.split_last() else { return Ok(()) };
        for component in parent.components() {
            first_dir = first_dir.open_dir(&component).map_err(self.failed(place, "open"))?;
        }
        let target = first_dir.stat(&first_name).map_err(self.failed(place, "link"))?;
        let dir = self.handles.mirror(place.dir)?;
        match dir.stat(&place.name) {
            Ok(stat) if same_file(&stat, &target) => return Ok(()),
            _ => {}
        }
        let temporary = self.stage.temporary_name();
        first_dir.link(&first_name, &*dir, &temporary).map_err(self.failed(place, "link"))?;
        let rename = Rename { dir: place.dir, temporary, name: place.name.clone() };
        self.rename(&rename)
    }

    fn meta(&mut self, place: &Place, meta: Meta) -> Result<(), ApplyError> {
        let dir = self.handles.mirror(place.dir)?;
        let stat = dir.stat(&place.name).map_err(self.failed(place, "stat"))?;
        let mut attrs = attrs(self.stage.profile, &stat, meta);
        if stat.kind == Kind::Symlink {
            attrs.mode = None;
        }
        if attrs == Attrs::default() {
            return Ok(());
        }
        dir.set_attrs(&place.name, &attrs).map_err(self.failed(place, "set metadata"))
    }

    fn delete(&mut self, entry: EntryId) -> Result<(), ApplyError> {
        let own = self.stage.own.clone();
        let name = &own.entry(entry).name;
        let failed = |error| ApplyError::io(own.path(entry), "delete")(error);
        self.touch_own(own.dir_of(entry));
        let dir = match self.handles.parent_of(entry) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let removed = match own.entry(entry).node {
            Node::Dir { dir: below } => self.delete_dir(&dir, name, below),
            _ => dir.remove_file(name),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(failed),
        }
    }

    /// Deletes a directory with what the snapshot knows in it; what it does not know (an excluded name, or one
    /// that has appeared since) stays, and so does the directory.
    fn delete_dir(&mut self, parent: &DirRef, name: &Name, dir: DirId) -> io::Result<()> {
        let own = self.stage.own.clone();
        let mut below = vec![dir];
        let mut at = 0;
        while let Some(dir) = below.get(at) {
            below.extend(own.entries(*dir).iter().filter_map(Entry::dir));
            at += 1;
        }
        // Children first.
        for dir in below.iter().rev() {
            let Ok(handle) = self.handles.own(*dir) else { continue };
            for entry in own.entries(*dir) {
                let removed = match entry.node {
                    Node::Dir { .. } => handle.remove_dir(&entry.name),
                    _ => handle.remove_file(&entry.name),
                };
                match removed {
                    Err(error) if !is_gone_or_kept(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        parent.remove_dir(name)
    }

    fn dir_meta(&mut self, dir: DirId, meta: Meta) -> Result<(), ApplyError> {
        let handle = self.handles.mirror(dir)?;
        let failed = |error| ApplyError::io(self.stage.dir_path(dir), "set metadata")(error);
        let stat = handle.stat_self().map_err(failed)?;
        let attrs = attrs(self.stage.profile, &stat, meta);
        if attrs == Attrs::default() {
            return Ok(());
        }
        handle.set_attrs_self(&attrs).map_err(failed)
    }
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    (a.dev, a.ino) == (b.dev, b.ino)
}

fn in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory)
}

fn is_gone_or_kept(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty)
}
