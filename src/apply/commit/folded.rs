//! A new name that the file system takes for one that is there: `a` for `A`, or one form of a letter for another.
//!
//! Without care the second of the two would replace the first, and a deletion of the one would take the other. So a
//! name that the scan has not seen never replaces one; only where the one that is there is a file that goes anyway (a
//! name whose case changed at the source), it makes way.

use std::io;

use super::super::ApplyError;
use super::super::stage::{Rename, lock};
use super::{Commit, same_file};
use crate::fs::{Dir, DirRef, Kind};
use crate::path::{Name, STAGING_PREFIX};
use crate::transfer::receiver::Place;

/// The name under which `name`, which is taken, is listed, if that is another one. Cost: a stat a name of `dir`.
pub(super) fn other_name(dir: &dyn Dir, name: &Name) -> io::Result<Option<Name>> {
    let names: Vec<Name> = dir.list()?.into_iter().map(|(at, _)| at).collect();
    if names.contains(name) {
        return Ok(None);
    }
    let taken = dir.stat(name)?;
    // What is staged may be a second name of that very file.
    let mut names = names.into_iter().filter(|at| !at.as_bytes().starts_with(STAGING_PREFIX));
    Ok(names.find(|at| dir.stat(at).is_ok_and(|stat| same_file(&stat, &taken))))
}

impl Commit<'_> {
    /// Whether the destination had no such name when it was scanned.
    pub(super) fn is_new(&self, place: &Place) -> bool {
        self.owns.get(&place.dir).is_none_or(|own| self.stage.own.find(*own, &place.name).is_none())
    }

    /// Puts what was staged where `other` stands, if that is a file that is to be deleted; it is, with what else was
    /// displaced. Otherwise both stay what they are.
    pub(super) fn rename_folded(
        &mut self,
        rename: &Rename,
        place: &Place,
        handle: &DirRef,
        other: Name,
    ) -> Result<(), ApplyError> {
        let own = self.owns.get(&place.dir).and_then(|own| self.stage.own.find(*own, &other));
        let goes = own.filter(|entry| self.keeper.is_none() && self.deletions.contains(entry));
        let is_dir = handle.stat(&other).is_ok_and(|stat| stat.kind == Kind::Dir);
        let Some(entry) = goes.filter(|_| !is_dir) else {
            let path = self.stage.path(place);
            let other = self.stage.path(&Place { dir: place.dir, name: other });
            return Err(ApplyError::Folded { path, other });
        };
        let aside = self.stage.temporary_name();
        let replace = || {
            handle.rename(&other, &**handle, &aside)?;
            handle.rename_new(&rename.temporary, &**handle, &rename.name).inspect_err(|_| {
                let _ = handle.rename_new(&aside, &**handle, &other); // the first error says more
            })
        };
        self.stage.change(place.dir, handle, replace).map_err(self.failed(place, "rename"))?;
        lock(&self.stage.displaced).push((place.dir, aside));
        // By its old name it would be the new file that is deleted.
        lock(&self.stage.kept).insert(entry);
        Ok(())
    }
}
