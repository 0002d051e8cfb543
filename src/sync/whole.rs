//! `--atomic`: the destination's directory → one beside it, in which the run works; then the two change places.
//!
//! The tree beside is made when the two ends are known to differ, and everything that a run does happens there:
//! staging, commit, the scan that is the proof. Only a tree that is all of what it was to be takes the destination's
//! place; of one that is not, what was received stays for the next run. What stands at the destination alone is in
//! both trees, unless it is to be deleted.
//!
//! A link changes a file's ctime, by which an index tells that it is the same, so what is known of each is carried
//! over by inode, length and time when the old tree is gone; after a run that was interrupted, the destination's files
//! are read again.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use super::tree::{now, root_error};
use super::{Around, Options, Place, Privilege, SyncError, Tree};
use crate::apply::{Beside, Site};
use crate::fs::{DirRef, Time, os, walk};
use crate::path::Name;
use crate::scan::{Scan, Seen};
use crate::snapshot::EntryId;

/// A destination that is switched at once.
pub(super) struct Whole {
    site: Site,
    /// Its directory, whose lock is held by this handle.
    old: DirRef,
    /// Trees beside it that interrupted runs have left.
    left: Vec<Name>,
    beside: Option<Beside>,
    /// What is beside it stays there for the next run.
    stays: bool,
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(beside) = self.beside.take().filter(|_| !self.stays) {
            beside.remove();
        }
    }
}

impl Whole {
    /// The destination `place`, if it is to be switched. A single file always is, by its rename.
    ///
    /// # Errors
    /// [`SyncError::Usage`] if the other wishes do not go with that; [`SyncError::Refused`] if its directory cannot be
    /// exchanged for another by this process.
    pub(super) fn of(place: &Place, options: &Options) -> Result<Option<Whole>, SyncError> {
        if !options.writing.atomic || place.only.is_some() {
            return Ok(None);
        }
        let removed = options.removal.backup.as_ref();
        let conflict = match () {
            () if options.writing.in_place => Some("files that are written in place"),
            () if removed.is_some_and(|backup| backup.dir.is_some()) => Some("a directory for backups"),
            () if options.privilege == Privilege::Recorded => Some("metadata that is recorded in attributes"),
            () if options.writing.dir_links => Some("links that stand for directories"),
            () => None,
        };
        if let Some(what) = conflict {
            return Err(SyncError::Usage { text: format!("a tree that is switched at once, and {what}") });
        }
        if place.made && options.dry_run {
            return Ok(None);
        }
        let site = place.site()?;
        let left = site.leftovers();
        Ok(Some(Whole { site, old: place.root.clone(), left, beside: None, stays: false }))
    }

    /// The trees that interrupted runs have left.
    pub(super) fn left(&self) -> Vec<DirRef> {
        self.left.iter().filter_map(|name| self.site.dir.open_dir(name).ok()).collect()
    }

    /// Makes the tree beside, if the source's root `theirs` says that something will change; from now on `tree` is
    /// there.
    ///
    /// # Errors
    /// [`SyncError::Apply`] if it cannot be made, when nothing is left of it.
    pub(super) fn begin(
        &mut self,
        tree: &mut Tree,
        theirs: Option<crate::hash::Hash>,
        options: &Options,
    ) -> Result<(), SyncError> {
        let snapshot = &tree.scan.snapshot;
        // What does not count is part of no root, and may be deleted.
        let uncounted = || !snapshot.is_all_counted();
        let equal = theirs.is_some() && theirs == snapshot.root();
        if options.dry_run || equal && !(options.delete && uncounted()) {
            return Ok(());
        }
        let beside = Beside::build(&self.site)?;
        tree.place.root = options.destination_lens().on(beside.root().clone());
        self.beside = Some(beside);
        // As for the destination itself: where there are no locks, two runs at once are the user's to avoid.
        let _ = tree.place.root.try_lock();
        Ok(())
    }

    /// Leaves what is beside the destination to the next run.
    pub(super) fn suspend(&mut self) {
        self.stays = true;
    }

    /// Removes what interrupted runs have left, because it may be what fills the disk.
    pub(super) fn clear(&mut self) {
        self.site.remove(&std::mem::take(&mut self.left));
    }

    /// Ends a run that went well: `tree` takes the destination's place, if anything in it `changed`, and is what it is
    /// there.
    ///
    /// # Errors
    /// Those of [`Beside::switch`]; the scan's.
    pub(super) fn end(mut self, tree: &mut Tree, changed: bool, options: &Options) -> Result<(), SyncError> {
        if let Some(beside) = &self.beside {
            if changed {
                self.stays = true;
                beside.switch()?;
                self.stays = false;
            } else {
                tree.place.root = self.old.clone();
            }
            beside.remove();
            let clock = now();
            let mut after = tree.rescan(options)?;
            carry_over(&mut after, &tree.scan, clock);
            tree.replace(after);
            tree.move_cache();
        }
        self.clear();
        tree.keep(options);
        Ok(())
    }
}

impl Place {
    /// Where this directory stands.
    ///
    /// # Errors
    /// [`SyncError::Refused`] if that is nowhere, or not for this process to change; [`SyncError::Locked`] if another
    /// directory stands there by now.
    pub(super) fn site(&self) -> Result<Site, SyncError> {
        let refused = |text: &str| SyncError::Refused { text: text.to_owned(), code: 1 };
        let failed = |error| root_error(&self.path, "find what is around it", error);
        let site = match &self.around {
            Around::Local(_) => {
                let path = std::fs::canonicalize(&self.path).map_err(failed)?;
                let name = path.file_name().and_then(|name| Name::new(name.as_bytes()).ok());
                let (dir, name) = path.parent().zip(name).ok_or_else(|| {
                    refused("--atomic: nothing is above this directory, so that it cannot be switched")
                })?;
                Site { dir: os::open_root(dir).map_err(failed)?, name }
            }
            Around::Module { root, path } => {
                let path = self.prefix.components().fold(path.clone(), |path, name| path.join(&name));
                let (above, name) = path.split_last().ok_or_else(|| {
                    refused("--atomic: a module's root cannot be switched; write to a directory in it")
                })?;
                Site { dir: walk::open_path(root, &above).map_err(failed)?, name }
            }
        };
        let (there, here) = (site.dir.stat(&site.name), self.root.stat_self());
        let (there, here) = there.and_then(|there| Ok((there, here?))).map_err(failed)?;
        if (there.dev, there.ino) != (here.dev, here.ino) {
            return Err(SyncError::Locked { path: self.path.clone(), pid: None });
        }
        Ok(site)
    }
}

/// Gives the files of a fresh scan the roots that those of the same inode, length and time had before.
fn carry_over(after: &mut Scan, before: &Scan, clock: Time) {
    let inodes: HashMap<(u64, u64), EntryId> =
        (0..).map(EntryId).zip(&before.prints).map(|(id, print)| ((print.dev, print.ino), id)).collect();
    for id in after.unknown() {
        let print = after.prints[id.0 as usize];
        let Some(&old) = inodes.get(&(print.dev, print.ino)) else { continue };
        let was = &before.prints[old.0 as usize];
        let Some(root) = before.snapshot.entry(old).root() else { continue };
        if (was.size, was.mtime) == (print.size, print.mtime) {
            let (stat, chunks) = (after.stat_of(id), before.chunks(old).unwrap_or_default());
            after.learn(id, root, chunks, &Seen { stat, clock });
        }
    }
    after.snapshot.resolve_links();
    after.snapshot.refresh();
}

/// Removes trees beside a destination that runs with `--atomic` have left, where they can be found.
pub(super) fn sweep(place: &Place) {
    if let Ok(site) = place.site() {
        site.remove(&site.leftovers());
    }
}
