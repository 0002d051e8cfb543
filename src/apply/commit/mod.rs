//! What was staged → what users see, in an order that survives a power cut at any point.

pub(super) mod backup;
mod folded;
mod in_place;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::backup::{Backup, Keeper};
use super::ApplyError;
use super::stage::{Handles, Rename, Stage, lock};
use super::worker::{Worker, attrs};
use crate::fs::walk::{self, remove_tree};
use crate::fs::{Attrs, DirRef, Kind, Stat, Time, os};
use crate::path::{Name, RelPath, STAGING_PREFIX};
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node};
use crate::transfer::receiver::{FinalDir, Finale, Place, Protected};

/// Changes of metadata that are worth a thread of their own.
const METAS_A_THREAD: usize = 2048;

/// What is done when everything is staged, beside the finale.
#[derive(Clone, Copy)]
pub struct Late<'a> {
    /// Files and links that stay and whose metadata differs: where, what it is to be, what it is.
    pub metas: &'a [(Place, Meta, Meta)],
    /// Paths that could not be made.
    pub failed: &'a HashSet<RelPath>,
    /// Whether directories that hold something may be replaced.
    pub delete: bool,
    /// What keeps them from it.
    pub protected: &'a Protected,
    /// Where what is replaced or deleted is kept.
    pub backup: Option<&'a Backup>,
}

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
    /// Paths that could not be made, here or before.
    failed: HashSet<RelPath>,
    /// New directories that could not be made. Nothing in them is tried: one error is enough.
    lost: HashSet<DirId>,
    /// Directories whose names changed: their times are set again.
    touched: HashSet<DirId>,
    /// Directories whose names changed and are the same again: their times are set back.
    passed_through: HashSet<DirId>,
    /// The mirror's number of the destination's directories.
    mirrors: HashMap<DirId, DirId>,
    /// The destination's number of the mirror's directories.
    owns: HashMap<DirId, DirId>,
    /// Names that are to be deleted.
    deletions: &'a [EntryId],
    delete: bool,
    protected: &'a Protected,
    /// Where a staged file stands among those that were made, by device and inode, if it may become another one.
    staged: HashMap<(u64, u64), usize>,
    keeper: Option<Keeper<'a>>,
    /// Backups that stand beside what they were made of: they stay, even if the source has no such names.
    saved: HashSet<RelPath>,
    /// What was called so before it got a temporary name.
    displaced_names: HashMap<(DirId, Name), Name>,
}

impl Stage {
    /// Makes everything durable and visible: see [`super`] for the order.
    ///
    /// # Errors
    /// Only fatal ones, such as [`ApplyError::NotDurable`]: what was renamed by then is complete, what was not is
    /// untouched.
    pub fn commit(self: &Arc<Stage>, finale: &Finale, late: Late<'_>) -> Result<Committed, ApplyError> {
        let mut commit = Commit {
            stage: self,
            handles: Handles::new(self.clone()),
            errors: Vec::new(),
            failed: late.failed.clone(),
            lost: self.not_made(),
            touched: HashSet::new(),
            passed_through: HashSet::new(),
            mirrors: finale.dirs.iter().filter_map(|dir| Some((dir.own?, dir.dir))).collect(),
            owns: finale.dirs.iter().filter_map(|dir| Some((dir.dir, dir.own?))).collect(),
            deletions: &finale.deletions,
            delete: late.delete,
            protected: late.protected,
            staged: HashMap::new(),
            keeper: late.backup.map(|backup| Keeper::new(backup, &finale.mirror, self.writing.in_place)),
            saved: HashSet::new(),
            displaced_names: HashMap::new(),
        };
        if self.writing.in_place {
            commit.staged = (0..).zip(lock(&self.made).iter()).map(|(at, made)| (made.inode, at)).collect();
        }
        let mut renames = std::mem::take(&mut *lock(&self.renames));
        // By directory, so that each is opened once; by name, so that of two that fold into one always the same is first.
        renames.sort_by(|a, b| (a.dir, &a.name).cmp(&(b.dir, &b.name)));
        let visible = !renames.is_empty() || !finale.moves.is_empty();
        let backed_up = commit.back_up(&mut renames, finale)?;
        if visible || backed_up {
            commit.barrier()?;
        }
        self.committing.store(true, Ordering::Relaxed);
        for moved in &finale.moves {
            let place = &moved.to;
            if !commit.each(place, |commit| commit.move_dir(moved.from, place))? {
                commit.lost.extend(moved.dirs.iter().map(|(dir, _)| *dir));
            }
        }
        commit.handles.clear();
        for (dir, place) in finale.moves.iter().flat_map(|moved| &moved.dirs) {
            self.dir(*dir, place.clone(), true);
        }
        for rename in &renames {
            let place = Place { dir: rename.dir, name: rename.name.clone() };
            if !commit.each(&place, |commit| commit.put(rename, &place))? {
                lock(&self.kept).extend(rename.from);
                commit.lose(rename, finale);
            }
        }
        if self.writing.atomic {
            commit.unshare([late.metas, &finale.moved_metas], finale)?;
        }
        commit.handles.clear();
        self.all_in_place();
        // A link is made only to a file that is what it is to be, metadata and all.
        commit.metas(late.metas)?;
        commit.metas(&finale.moved_metas)?;
        for (place, meta) in std::mem::take(&mut *lock(&self.moved)) {
            if !commit.failed.contains(&self.path(&place)) && !commit.is_lost(place.dir) {
                commit.each(&place, |commit| commit.meta(&place, meta))?;
            }
        }
        for (place, first) in &finale.links {
            if !commit.is_lost(place.dir) {
                commit.each(place, |commit| commit.link(place, first))?;
            }
        }
        let displaced = lock(&self.displaced).clone();
        let removing = !finale.deletions.is_empty() || !displaced.is_empty();
        if (visible || !commit.touched.is_empty()) && removing {
            commit.barrier()?;
        }
        for (dir, name) in displaced {
            let place = Place { dir, name };
            commit.each(&place, |commit| commit.remove_displaced(&place))?;
        }
        for entry in &finale.deletions {
            commit.delete(*entry)?;
        }
        commit.dirs(finale)?;
        let changed = finale.dirs.iter().any(|dir| dir.changed);
        if visible || removing || changed || !commit.touched.is_empty() || !late.metas.is_empty() {
            commit.barrier()?;
        }
        Ok(Committed { errors: commit.errors })
    }
}

impl Commit<'_> {
    /// Everything written so far is durable when this returns.
    fn barrier(&mut self) -> Result<(), ApplyError> {
        self.stage.root.sync_fs().map_err(|source| ApplyError::NotDurable { source })
    }

    /// Does what makes `place`; tells whether it is made. Keeps an error that concerns one path; gives a fatal
    /// one back.
    fn each(
        &mut self,
        place: &Place,
        step: impl FnOnce(&mut Self) -> Result<(), ApplyError>,
    ) -> Result<bool, ApplyError> {
        match step(self) {
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                self.errors.push(error);
                self.failed.insert(self.stage.path(place));
                Ok(false)
            }
            Ok(()) => Ok(true),
        }
    }

    /// Puts files of their own where metadata will differ from that of a tree which shares them. Their directories
    /// are not changed by that, to whoever looks.
    fn unshare(&mut self, metas: [&[(Place, Meta, Meta)]; 2], finale: &Finale) -> Result<(), ApplyError> {
        let (mut worker, mirror) = (Worker::new(self.stage.clone()), &finale.mirror);
        for (place, meta, _) in metas.into_iter().flatten() {
            let root = mirror.find(place.dir, &place.name).and_then(|id| mirror.entry(id).root());
            self.each(place, |_| worker.own(place, *meta, root))?;
        }
        let touched = self.touched.clone();
        for rename in std::mem::take(&mut *lock(&self.stage.renames)) {
            let place = Place { dir: rename.dir, name: rename.name.clone() };
            if !self.each(&place, |commit| commit.rename(&rename, &place))? {
                self.lose(&rename, finale);
            }
            self.passed_through.insert(rename.dir);
        }
        self.touched = touched;
        Ok(())
    }

    /// A rename failed: what was staged is of no use, and if it was a directory, nothing in it is there.
    fn lose(&mut self, rename: &Rename, finale: &Finale) {
        if let Ok(dir) = self.handles.mirror(rename.dir) {
            let _ = remove_tree(&*dir, &rename.temporary); // the next run removes what stays
        }
        let mirror = &finale.mirror;
        let entry = mirror.find(rename.dir, &rename.name).map(|id| mirror.entry(id));
        self.lost.extend(entry.and_then(Entry::dir));
    }

    /// Whether a directory is, or is in, one that could not be made.
    fn is_lost(&self, dir: DirId) -> bool {
        !self.lost.is_empty()
            && std::iter::successors(Some(dir), |dir| self.stage.parent(*dir))
                .any(|dir| self.lost.contains(&dir))
    }

    fn failed(&self, place: &Place, operation: &'static str) -> impl FnOnce(io::Error) -> ApplyError + use<> {
        ApplyError::io(self.stage.path(place), operation)
    }

    /// A name has left one of the destination's directories.
    fn touch_own(&mut self, own: DirId) {
        self.touched.extend(self.mirrors.get(&own));
    }

    fn move_dir(&mut self, from: DirId, to: &Place) -> Result<(), ApplyError> {
        let own = self.stage.own.clone();
        let Some(entry) = own.entry_of(from) else { return Ok(()) };
        let own_name = &own.entry(entry).name;
        let source = self.handles.parent_of(entry).map_err(self.failed(to, "open"))?;
        let target = self.handles.mirror(to.dir)?;
        self.touched.insert(to.dir);
        self.touch_own(own.dir_of(entry));
        // What one rename cannot replace is exchanged: the name is never without the one or the other.
        let occupied = target.stat(&to.name).is_ok_and(|stat| stat.kind != Kind::Dir);
        let name = if occupied { self.stage.temporary_name() } else { to.name.clone() };
        let rename = || self.rename_own((from, &source, own_name), to.dir, &target, &name);
        rename().map_err(self.failed(to, "rename"))?;
        if occupied {
            target.exchange(&name, &to.name).map_err(self.failed(to, "exchange"))?;
            lock(&self.stage.displaced).push((to.dir, name));
        }
        Ok(())
    }

    /// Renames one of the destination's directories. Where modes forbid that, they are changed: those of the
    /// two directories around it, and its own, since its `..` changes.
    fn rename_own(
        &self,
        (from, source, own_name): (DirId, &DirRef, &Name),
        dir: DirId,
        target: &DirRef,
        name: &Name,
    ) -> io::Result<()> {
        let rename = || source.rename(own_name, &**target, name);
        let in_target = || self.stage.change(dir, target, rename);
        let parent = self.mirrors.get(&self.stage.own.parent(from));
        let in_both = || match parent {
            Some(parent) => self.stage.change(*parent, source, in_target),
            None => self.unprotected(source, in_target),
        };
        match in_both() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.unprotected(&source.open_dir(own_name)?, in_both)
            }
            result => result,
        }
    }

    /// Changes names in a directory that will be gone, or gets its mode later.
    fn unprotected(&self, dir: &DirRef, act: impl Fn() -> io::Result<()>) -> io::Result<()> {
        walk::unprotected(&**dir, act)
    }

    /// Puts what was staged where it belongs.
    fn put(&mut self, rename: &Rename, place: &Place) -> Result<(), ApplyError> {
        if self.stage.writing.in_place && self.write_in_place(rename, place)? {
            return Ok(());
        }
        self.rename(rename, place)
    }

    fn rename(&mut self, rename: &Rename, place: &Place) -> Result<(), ApplyError> {
        let Rename { dir, temporary, name, .. } = rename;
        let handle = self.handles.mirror(*dir)?;
        self.touched.insert(*dir);
        if self.is_new(place) {
            match self.stage.change(*dir, &handle, || handle.rename_new(temporary, &*handle, name)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let other = folded::other_name(&*handle, name).map_err(self.failed(place, "list"))?;
                    if let Some(other) = other {
                        return self.rename_folded(rename, place, &handle, other);
                    }
                    // It has appeared since the scan.
                }
                // What forbids it, or does not know it, is told by the rename that replaces.
                Err(_) => {}
            }
        }
        match self.stage.change(*dir, &handle, || handle.rename(temporary, &*handle, name)) {
            Err(error) if in_the_way(&error) => {
                // The new and the old are of different kinds, which one rename cannot replace.
                self.may_replace(&handle, place)?;
                handle.exchange(temporary, name).map_err(self.failed(place, "exchange"))?;
                lock(&self.stage.displaced).push((*dir, temporary.clone()));
                self.displaced_names.insert((*dir, temporary.clone()), name.clone());
                Ok(())
            }
            // A directory that could not be made: its error was told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(self.failed(place, "rename")),
        }
    }

    /// Whether what stands at `place` may go: not a directory that holds something, unless deleting; and then
    /// not one that holds what would not be deleted.
    fn may_replace(&mut self, dir: &DirRef, place: &Place) -> Result<(), ApplyError> {
        if dir.stat(&place.name).is_ok_and(|stat| stat.kind != Kind::Dir) {
            return Ok(());
        }
        let names = dir.open_dir(&place.name).and_then(|dir| dir.list());
        let names = names.map_err(self.failed(place, "list"))?;
        if names.is_empty() {
            return Ok(());
        }
        let path = self.stage.path(place);
        let own = self.stage.own.clone();
        let known = own.find_path(&path).and_then(|id| own.entry(id).dir());
        match known {
            _ if !self.delete => Err(ApplyError::InTheWay { path }),
            Some(known) => match self.unknown_below(known).map_err(self.failed(place, "list"))? {
                Some(kept) => Err(ApplyError::Kept { path, kept }),
                None => Ok(()),
            },
            None => Err(ApplyError::Kept { kept: path.clone(), path }),
        }
    }

    /// A name below one of the destination's directories that its snapshot does not have, or that is protected.
    fn unknown_below(&mut self, dir: DirId) -> io::Result<Option<RelPath>> {
        let own = self.stage.own.clone();
        let mut below = vec![dir];
        while let Some(dir) = below.pop() {
            for (name, _) in self.handles.own(dir)?.list()? {
                match own.find(dir, &name).filter(|id| !self.protected.keeps_in_deleted(*id)) {
                    Some(id) => below.extend(own.entry(id).dir()),
                    None if name.as_bytes().starts_with(STAGING_PREFIX) => {}
                    None => return Ok(Some(own.dir_path(dir).join(&name))),
                }
            }
        }
        Ok(None)
    }

    fn remove_displaced(&mut self, place: &Place) -> Result<(), ApplyError> {
        let handle = self.handles.mirror(place.dir)?;
        if self.keep_displaced(&handle, place).map_err(self.failed(place, "back up"))? {
            return Ok(());
        }
        let remove = || remove_tree(&*handle, &place.name);
        self.stage.change(place.dir, &handle, remove).map_err(self.failed(place, "remove"))
    }

    fn link(&mut self, place: &Place, first: &RelPath) -> Result<(), ApplyError> {
        if self.failed.contains(first) {
            let (path, first) = (self.stage.path(place), first.clone());
            return Err(ApplyError::NoTarget { path, first });
        }
        let Some((parent, first_name)) = first.split_last() else { return Ok(()) };
        let first_dir = walk::open_path(&self.stage.root, &parent).map_err(self.failed(place, "open"))?;
        let target = first_dir.stat(&first_name).map_err(self.failed(place, "link"))?;
        let dir = self.handles.mirror(place.dir)?;
        match dir.stat(&place.name) {
            Ok(stat) if same_file(&stat, &target) => return Ok(()),
            _ => {}
        }
        let temporary = self.stage.temporary_name();
        let link = || first_dir.link(&first_name, &*dir, &temporary);
        self.stage.change(place.dir, &dir, link).map_err(self.failed(place, "link"))?;
        let rename = Rename { dir: place.dir, temporary, name: place.name.clone(), from: None };
        let renamed = self.rename(&rename, place);
        if renamed.is_err() {
            let _ = dir.remove_file(&rename.temporary); // the rename's own error says more
        }
        renamed
    }

    fn meta(&mut self, place: &Place, meta: Meta) -> Result<(), ApplyError> {
        set_meta(self.stage, &mut self.handles, place, meta)
    }

    /// Metadata of what stays; where there is much of it, on several threads.
    fn metas(&mut self, metas: &[(Place, Meta, Meta)]) -> Result<(), ApplyError> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = metas.len().div_ceil(threads).max(METAS_A_THREAD);
        let stage = self.stage;
        let set_all = |part: &[(Place, Meta, Meta)]| {
            let mut handles = Handles::new(stage.clone());
            let mut errors = Vec::new();
            for (place, meta, _) in part {
                let outcome = set_meta(stage, &mut handles, place, *meta);
                errors.extend(outcome.err().map(|error| (error, place.clone())));
            }
            errors
        };
        let errors = std::thread::scope(|scope| {
            let mut parts = metas.chunks(share);
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || set_all(part))).collect();
            let mut errors = set_all(first);
            for part in others {
                errors.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            errors
        });
        for (error, place) in errors {
            self.each(&place, |_| Err(error))?;
        }
        Ok(())
    }

    /// Deletes a name of the destination, with all that the snapshot knows below it.
    fn delete(&mut self, entry: EntryId) -> Result<(), ApplyError> {
        match self.try_delete(entry) {
            Err(error) if is_gone_or_kept(&error) => Ok(()),
            Err(error) => {
                let error = ApplyError::io(self.stage.own.path(entry), "delete")(error);
                if error.is_fatal() {
                    return Err(error);
                }
                self.errors.push(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn try_delete(&mut self, entry: EntryId) -> io::Result<()> {
        let own = self.stage.own.clone();
        let parent = own.dir_of(entry);
        let dir = self.handles.parent_of(entry)?;
        if let Node::Dir { dir: below } = own.entry(entry).node {
            self.empty_dir(below)?;
        }
        let mirror = self.mirrors.get(&parent).copied();
        self.touched.extend(mirror);
        let remove = || self.remove_entry(&dir, entry);
        if let Some(mirror) = mirror {
            return self.stage.change(mirror, &dir, remove);
        }
        // A directory that is equal but for a special file: nothing else of it changes.
        let before = dir.stat_self()?;
        let removed = self.unprotected(&dir, remove);
        walk::restore(&*dir, &before)?;
        removed
    }

    /// Deletes what the snapshot knows in a directory; what it does not know (an excluded name, or one that has
    /// appeared since) stays, and so do the directories around it.
    fn empty_dir(&mut self, dir: DirId) -> io::Result<()> {
        let own = self.stage.own.clone();
        let mut below = vec![dir];
        let mut at = 0;
        while let Some(dir) = below.get(at) {
            below.extend(own.entries(*dir).iter().filter_map(Entry::dir));
            at += 1;
        }
        // Children first.
        for dir in below.iter().rev() {
            let handle = match self.handles.own(*dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result?,
            };
            for id in own.entry_ids(*dir).map(EntryId) {
                match self.unprotected(&handle, || self.remove_entry(&handle, id)) {
                    Err(error) if !is_gone_or_kept(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Removes one name, unless its bytes are not safe elsewhere.
    fn remove_entry(&self, dir: &DirRef, entry: EntryId) -> io::Result<()> {
        let Entry { name, node, .. } = self.stage.own.entry(entry);
        match node {
            Node::Dir { .. } => dir.remove_dir(name),
            _ if lock(&self.stage.kept).contains(&entry) => Ok(()),
            _ if !self.saved.is_empty() && self.saved.contains(&self.stage.own.path(entry)) => Ok(()),
            _ => dir.remove_file(name),
        }
    }

    /// Gives directories their metadata, children first; and modes back where they were changed in passing.
    fn dirs(&mut self, finale: &Finale) -> Result<(), ApplyError> {
        let before = std::mem::take(&mut *lock(&self.stage.before));
        for dir in self.passed_through.difference(&self.touched) {
            if let (Some(before), Ok(handle)) = (before.get(dir), self.handles.mirror(*dir)) {
                let attrs = Attrs { mtime: Some(before.mtime), ..Attrs::default() };
                handle
                    .set_attrs_self(&attrs)
                    .map_err(|error| ApplyError::io(self.stage.dir_path(*dir), "set metadata")(error))?;
            }
        }
        let mut borrowed: HashMap<DirId, u32> =
            before.into_iter().filter_map(|(dir, before)| Some((dir, before.mode?))).collect();
        for FinalDir { dir, meta, changed, own } in finale.dirs.iter().rev() {
            let borrowed = borrowed.remove(dir).is_some();
            if (*changed || borrowed || self.touched.contains(dir)) && !self.is_lost(*dir) {
                let path = self.stage.dir_path(*dir);
                match self.dir_meta(*dir, *meta, own.is_none(), &path) {
                    Err(error) if error.is_fatal() => return Err(error),
                    result => self.errors.extend(result.err()),
                }
            }
        }
        for (dir, mode) in borrowed {
            if let Ok(handle) = self.handles.mirror(dir) {
                let _ = handle.set_attrs_self(&Attrs { mode: Some(mode), ..Attrs::default() });
            }
        }
        Ok(())
    }

    fn dir_meta(&mut self, dir: DirId, meta: Meta, new: bool, path: &RelPath) -> Result<(), ApplyError> {
        let handle = self.handles.mirror(dir)?;
        let failed = |error| ApplyError::io(path.clone(), "set metadata")(error);
        let bare = self.stage.prepare(&*handle, None, meta);
        let stat = handle.stat_self().map_err(failed)?;
        let mut attrs = attrs(self.stage.profile, &stat, meta);
        if new && !self.stage.profile.mode() {
            attrs.mode = Some(self.stage.new_mode(meta.mode));
        }
        if new && meta.mtime == Time::UNTOLD {
            attrs.mode = Some(0o777 & !os::umask());
        }
        if attrs != Attrs::default() {
            handle.set_attrs_self(&attrs).map_err(failed)?;
        }
        if bare {
            return Ok(());
        }
        let equalized = self.stage.equalize(&*handle, None, meta).map(drop);
        equalized.map_err(|error| ApplyError::io(path.clone(), "set attributes")(error))
    }
}

/// Metadata of a name that stays.
fn set_meta(stage: &Arc<Stage>, handles: &mut Handles, place: &Place, meta: Meta) -> Result<(), ApplyError> {
    let failed = |operation| ApplyError::io(stage.path(place), operation);
    let dir = handles.mirror(place.dir)?;
    let bare = stage.prepare(&*dir, Some(&place.name), meta);
    let stat = dir.stat(&place.name).map_err(|error| failed("stat")(error))?;
    let mut attrs = attrs(stage.profile, &stat, meta);
    if stat.kind == Kind::Symlink {
        attrs.mode = None;
    }
    // What has other names here could not be given an inode of its own, which was told.
    if stage.writing.atomic && stat.nlink > 1 {
        return Ok(());
    }
    if attrs != Attrs::default() {
        dir.set_attrs(&place.name, &attrs).map_err(|error| failed("set metadata")(error))?;
    }
    if bare {
        return Ok(());
    }
    let equalized = stage.equalize(&*dir, Some(&place.name), meta).map(drop);
    equalized.map_err(|error| failed("set attributes")(error))
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
