//! A scan and what may have changed since → another scan, of which only that was looked at.
//!
//! Whoever watches a tree knows in which directories something happened. Everything else is carried over as the
//! scan before has it, without a system call: so a change in a large tree costs its own directory and the one around
//! it, and some 0.5 µs a name for putting the rest in order again.
//!
//! What it trusts: that a directory which is not named has not changed, nor what its names stand for, since the scan
//! before. A file with several names may change by one that is elsewhere, so directories that hold such files are
//! always looked at; so are those with names that are there and not sent, not touched, or left by an interrupted run,
//! which no scan keeps. A scan that could not read everything is no base, nor is any where more than names decides what
//! takes part (files of rules, sizes, mounts) or a part of the tree was named, nor where extended attributes count, which
//! are not kept: then everything is looked at. At a receiver, what rules say of a name that is carried over is asked anew.

use std::collections::HashSet;

use super::{Fingerprint, Index, Options, Scan, ScanError, Side, scan};
use crate::fs::DirRef;
use crate::monitor::Monitor;
use crate::path::RelPath;
use crate::scan::walk::scan_changed;
use crate::snapshot::EntryId;

/// Where something may have changed.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    dirs: HashSet<RelPath>,
    trees: HashSet<RelPath>,
}

impl Changed {
    /// In this directory: its names, what they stand for, or its own metadata.
    pub fn dir(&mut self, path: RelPath) {
        // Its times stand in the directory above.
        if let Some((parent, _)) = path.split_last() {
            self.dirs.insert(parent);
        }
        self.dirs.insert(path);
    }

    /// At this path: another directory, or none, may be there, and anything in it.
    pub fn tree(&mut self, path: RelPath) {
        // Its name came or went in the directory above.
        if let Some((parent, _)) = path.split_last() {
            self.dir(parent);
        }
        self.dirs.insert(path.clone());
        self.trees.insert(path);
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// Takes in what another one has.
    pub fn extend(&mut self, other: Changed) {
        self.dirs.extend(other.dirs);
        self.trees.extend(other.trees);
    }

    pub(super) fn has_dir(&self, path: &RelPath) -> bool {
        self.dirs.contains(path)
    }

    pub(super) fn has_tree(&self, path: &RelPath) -> bool {
        self.trees.contains(path)
    }

    pub(super) fn has_trees(&self) -> bool {
        !self.trees.is_empty()
    }
}

/// Scans `root` again, as [`scan`] does, but looks only where something `changed` since the scan `before`, which must
/// be one with the same options.
///
/// # Errors
/// As for [`scan`].
pub fn rescan(
    root: &DirRef,
    before: &Scan,
    changed: &Changed,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Scan, ScanError> {
    let index = Index::parse(Index::encode(before)).ok();
    if !options.names_alone_decide() || !before.errors.is_empty() || options.only.is_some() || index.is_none()
    {
        return scan(root, index.as_ref(), options, monitor);
    }
    let mut changed = changed.clone();
    for dir in before.linked.iter().map(|id| before.snapshot.dir_of(*id)) {
        changed.dir(before.snapshot.dir_path(dir));
    }
    for (dir, _) in before.spared.iter().chain(&before.leftovers).filter_map(RelPath::split_last) {
        changed.dir(dir);
    }
    if options.side == Side::Receiver {
        before.partial.iter().for_each(|dir| changed.dir(before.snapshot.dir_path(*dir)));
    }
    let found = scan_changed(root, index.as_ref(), Some(&changed), options, monitor)?;
    let others = others(before, &found);
    if others.is_empty() {
        return Ok(found);
    }
    others.into_iter().for_each(|dir| changed.dir(dir));
    scan_changed(root, index.as_ref(), Some(&changed), options, monitor)
}

impl Options {
    /// Whether a scan with `other` would find what one with these finds.
    pub(crate) fn sees_as(&self, other: &Options) -> bool {
        let Options { profile, params, select, side, prefix, base, only, named, separate, deletes, .. } =
            other;
        (self.profile, &self.params, &self.select, self.side) == (*profile, params, select, *side)
            && (&self.prefix, &self.base, &self.only, &self.named) == (prefix, base, only, named)
            && (self.separate, self.deletes) == (*separate, *deletes)
    }

    /// Whether a name takes part by its path and kind alone, so that it does as long as it is there.
    pub(crate) fn names_alone_decide(&self) -> bool {
        self.named.is_none()
            && !self.profile.attributes()
            && !self.profile.atimes()
            && self.select.decides_by_name()
    }
}

/// Where files that have been given further names since had their first: nobody tells of that there.
fn others(before: &Scan, found: &Scan) -> Vec<RelPath> {
    let inode = |print: &Fingerprint| (print.dev, print.ino);
    let known: HashSet<(u64, u64)> =
        before.linked.iter().map(|id| inode(&before.prints[id.0 as usize])).collect();
    let linked = found.linked.iter().map(|id| inode(&found.prints[id.0 as usize]));
    let new: HashSet<(u64, u64)> = linked.filter(|inode| !known.contains(inode)).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let same = (0..).map(EntryId).zip(&before.prints).filter(|(_, print)| new.contains(&inode(print)));
    same.map(|(id, _)| before.snapshot.dir_path(before.snapshot.dir_of(id))).collect()
}

impl Scan {
    /// Whether all of this tree was read, and nothing in it can change by a name that is elsewhere.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        self.errors.is_empty() && self.linked.is_empty()
    }

    /// Files with more than one name, in the tree or out of it.
    pub(super) fn note_linked(&mut self, names: &[(u64, u64, EntryId)]) {
        self.linked = names.iter().map(|(_, _, id)| *id).collect();
    }
}
