//! A name that is about to be replaced or deleted → the same thing under another name, that stays.

use std::collections::HashMap;
use std::io;

use rustix::io::Errno;

use super::super::ApplyError;
use super::super::copy;
use super::super::stage::{Rename, lock};
use super::super::worker::attrs;
use super::Commit;
use crate::fs::{Attrs, Dir, DirRef, Kind, Stat};
use crate::path::{Name, RelPath};
use crate::snapshot::{Entry, EntryId, Node, Snapshot};
use crate::transfer::receiver::{Finale, Place};

/// Where what is replaced or deleted is kept.
#[derive(Clone)]
pub struct Backup {
    /// What is appended to its name.
    pub suffix: Vec<u8>,
    /// The directory that it goes to, under its own path; made when it is needed. Without one it stays beside its
    /// old name.
    pub dir: Option<BackupDir>,
}

/// A directory for backups: `path` below `root`, which may not be there yet.
#[derive(Clone)]
pub struct BackupDir {
    /// A directory that is there.
    pub root: DirRef,
    /// The way from there.
    pub path: RelPath,
}

/// Keeps backups of one commit.
pub(super) struct Keeper<'a> {
    backup: &'a Backup,
    mirror: &'a Snapshot,
    in_place: bool,
    /// Directories of backups that were made or found.
    dirs: HashMap<RelPath, DirRef>,
}

impl<'a> Keeper<'a> {
    /// Backups of what `mirror` replaces.
    /// `in_place`: old files will be written into, so that a second name would change with them.
    pub(super) fn new(backup: &'a Backup, mirror: &'a Snapshot, in_place: bool) -> Keeper<'a> {
        Keeper { backup, mirror, in_place, dirs: HashMap::new() }
    }

    /// Whether a name may be a backup's own: what stands beside what it was made of is not kept again.
    pub(super) fn is_backup(&self, name: &Name) -> bool {
        self.beside() && name.as_bytes().ends_with(&self.backup.suffix)
    }

    /// Gives `name` of the directory `dir`, which is at `path` below the destination's root, its name as a backup as
    /// well: a second name of the same file, or a copy where there is no such thing. `temporary` is a name that
    /// nothing has.
    ///
    /// # Errors
    /// Any of the port.
    fn keep(
        &mut self,
        root: &DirRef,
        (dir, path): (&DirRef, &RelPath),
        name: &Name,
        temporary: &Name,
    ) -> io::Result<()> {
        let new_name = self.name_of(name)?;
        let target = self.dir(root, dir, path)?;
        if self.in_place || dir.link(name, &*target, temporary).is_err() {
            // Another file system, or one without hard links.
            copy_name((dir, name, &dir.stat(name)?), &*target, temporary)?;
        }
        target.rename(temporary, &*target, &new_name).inspect_err(|_| {
            let _ = target.remove_file(temporary); // the rename's own error says more
        })?;
        // Of two names of one file, a rename of one over the other leaves both.
        match target.remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What a name is called as a backup.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub(super) fn name_of(&self, name: &Name) -> io::Result<Name> {
        let long = [name.as_bytes(), &self.backup.suffix].concat();
        Name::new(&long).map_err(|_| Errno::NAMETOOLONG.into())
    }

    /// Whether backups stand beside what they were made of.
    pub(super) fn beside(&self) -> bool {
        self.backup.dir.is_none()
    }

    /// The directory for backups of what is in the destination's directory at `path`: each that is made gets the
    /// owner and mode that the one it stands for will have, or has.
    fn dir(&mut self, root: &DirRef, dir: &DirRef, path: &RelPath) -> io::Result<DirRef> {
        let Some(BackupDir { root: top, path: way }) = &self.backup.dir else { return Ok(dir.clone()) };
        if let Some(known) = self.dirs.get(path) {
            return Ok(known.clone());
        }
        let mut here = top.clone();
        for name in way.components() {
            here = enter(&here, &name, None)?;
        }
        let (mut original, mut at) = (root.clone(), RelPath::root());
        for name in path.components() {
            (original, at) = (original.open_dir(&name)?, at.join(&name));
            let mut like = original.stat_self()?;
            if let Some(dir) = self.mirror.find_dir(&at) {
                let wanted = attrs(self.mirror.profile(), &like, self.mirror.dir_meta(dir));
                (like.uid, like.gid) = wanted.owner.unwrap_or((like.uid, like.gid));
                like.mode = wanted.mode.unwrap_or(like.mode);
            }
            here = enter(&here, &name, Some(&like))?;
        }
        self.dirs.insert(path.clone(), here.clone());
        Ok(here)
    }

    /// Makes backups in a directory of their own durable.
    fn sync(&self) -> io::Result<()> {
        match self.dirs.values().next() {
            Some(dir) => dir.sync_fs(),
            None => Ok(()),
        }
    }
}

impl Commit<'_> {
    /// Keeps everything that will be replaced or deleted; tells whether that was anything. What cannot be kept is
    /// neither replaced nor deleted.
    pub(super) fn back_up(&mut self, renames: &mut Vec<Rename>, finale: &Finale) -> Result<bool, ApplyError> {
        let Some(mut keeper) = self.keeper.take() else { return Ok(false) };
        let mut kept = false;
        let mut staged = Vec::with_capacity(renames.len());
        for rename in std::mem::take(renames) {
            let place = Place { dir: rename.dir, name: rename.name.clone() };
            let outcome = self.each(&place, |commit| {
                kept |= commit.keep_place(&mut keeper, &place)?;
                Ok(())
            })?;
            if outcome {
                staged.push(rename);
            } else {
                self.lose(&rename, finale);
            }
        }
        *renames = staged;
        for (place, _) in &finale.links {
            let in_place = self.stage.slot(place.dir).is_some_and(|slot| slot.in_place);
            let now = finale.mirror.find(place.dir, &place.name).map(|id| finale.mirror.entry(id));
            let own = self.stage.own.clone();
            let was = own.find_path(&self.stage.path(place)).map(|id| own.entry(id));
            let replaced = was.is_some_and(|was| now.is_none_or(|now| now.root() != was.root()));
            if in_place && replaced {
                self.each(place, |commit| {
                    kept |= commit.keep_place(&mut keeper, place)?;
                    Ok(())
                })?;
            }
        }
        for entry in &finale.deletions {
            kept |= self.keep_entry(&mut keeper, *entry)?;
        }
        keeper.sync().map_err(|source| ApplyError::NotDurable { source })?;
        self.keeper = Some(keeper);
        Ok(kept)
    }

    /// Keeps what stands where something is to be put.
    fn keep_place(&mut self, keeper: &mut Keeper<'_>, place: &Place) -> Result<bool, ApplyError> {
        let dir = self.handles.mirror(place.dir)?;
        let own = self.stage.own.clone();
        match dir.stat(&place.name) {
            Err(_) => Ok(false),
            Ok(stat) if stat.kind == Kind::Dir => {
                // One that moves beside itself as a whole needs nothing now.
                let known = own.find_path(&self.stage.path(place)).filter(|_| !keeper.beside());
                known.map_or(Ok(false), |entry| self.keep_entry(keeper, entry))
            }
            Ok(_) => {
                let (path, temporary) = (self.stage.dir_path(place.dir), self.stage.temporary_name());
                let keep = keeper.keep(&self.stage.root, (&dir, &path), &place.name, &temporary);
                keep.map_err(self.failed(place, "back up"))?;
                self.save(keeper, &path, &place.name);
                Ok(true)
            }
        }
    }

    /// Keeps an entry of the destination, with all that is below it.
    fn keep_entry(&mut self, keeper: &mut Keeper<'_>, entry: EntryId) -> Result<bool, ApplyError> {
        let own = self.stage.own.clone();
        let mut below = vec![entry];
        let mut kept = false;
        while let Some(id) = below.pop() {
            let Entry { name, node, .. } = own.entry(id);
            if let Node::Dir { dir } = node {
                below.extend(own.entry_ids(*dir).map(EntryId));
                continue;
            }
            if keeper.is_backup(name) {
                continue;
            }
            let path = own.dir_path(own.dir_of(id));
            let temporary = self.stage.temporary_name();
            let keep = self
                .handles
                .parent_of(id)
                .and_then(|dir| keeper.keep(&self.stage.root, (&dir, &path), name, &temporary));
            match keep {
                Ok(()) => {
                    self.save(keeper, &path, name);
                    kept = true;
                }
                Err(error) => {
                    let error = ApplyError::io(own.path(id), "back up")(error);
                    if error.is_fatal() {
                        return Err(error);
                    }
                    lock(&self.stage.kept).insert(id);
                    self.errors.push(error);
                }
            }
        }
        Ok(kept)
    }

    fn save(&mut self, keeper: &Keeper<'_>, path: &RelPath, name: &Name) {
        if let Some(name) = keeper.name_of(name).ok().filter(|_| keeper.beside()) {
            self.saved.insert(path.join(&name));
        }
    }

    /// A directory that something else has replaced, where backups stand beside what they are of, becomes one
    /// itself; tells whether it was that.
    pub(super) fn keep_displaced(&mut self, dir: &DirRef, place: &Place) -> io::Result<bool> {
        let Some(keeper) = self.keeper.as_ref().filter(|keeper| keeper.beside()) else { return Ok(false) };
        let key = (place.dir, place.name.clone());
        let Some(name) = self.displaced_names.get(&key) else { return Ok(false) };
        if dir.stat(&place.name)?.kind != Kind::Dir || dir.open_dir(&place.name)?.is_empty()? {
            return Ok(false);
        }
        dir.rename_new(&place.name, &**dir, &keeper.name_of(name)?)?;
        Ok(true)
    }
}

fn enter(dir: &DirRef, name: &Name, like: Option<&Stat>) -> io::Result<DirRef> {
    match dir.open_dir(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = dir.create_dir(name, 0o755)?;
            if let Some(like) = like {
                let owner = Some((like.uid, like.gid));
                // As far as that may be set.
                let _ = made.set_attrs_self(&Attrs { owner, ..Attrs::default() });
                made.set_attrs_self(&Attrs { mode: Some(like.mode), ..Attrs::default() })?;
            }
            Ok(made)
        }
        other => other,
    }
}

/// Copies what is no directory to another file system, its metadata included.
fn copy_name(
    (dir, name, stat): (&DirRef, &Name, &Stat),
    target: &dyn Dir,
    new_name: &Name,
) -> io::Result<()> {
    match stat.kind {
        Kind::File => {
            let (source, made) = (dir.open_file(name)?, target.create_file(new_name, 0o600)?);
            copy::copy_bytes(&*source, &*made)?;
        }
        Kind::Symlink => target.create_symlink(new_name, &dir.read_link(name)?)?,
        Kind::Special(what) => target.create_special(new_name, what, stat.rdev, 0o600)?,
        Kind::Dir | Kind::Hidden => return Err(Errno::XDEV.into()),
    }
    let mode = (stat.kind != Kind::Symlink).then_some(stat.mode);
    let owner = Some((stat.uid, stat.gid));
    let _ = target.set_attrs(new_name, &Attrs { owner, ..Attrs::default() }); // as far as that may be set
    target.set_attrs(new_name, &Attrs { owner: None, mode, mtime: Some(stat.mtime) })
}
