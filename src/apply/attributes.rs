//! What is there, and the extended attributes it is to have → those that are set and removed.

use std::io;

use super::stage::{Stage, lock};
use crate::fs::{Attrs, Dir};
use crate::path::Name;
use crate::snapshot::{Attributes, Meta, Profile};

impl Stage {
    /// Takes in attributes that something will have.
    pub fn learn(&self, set: Attributes) {
        lock(&self.sets).learn(set);
    }

    /// The same as [`Stage::equalize`], before the mode is set, which may forbid it or be a part of an ACL. What it
    /// cannot do is left to that. Whether it has none and is to have none: then nothing is left to do.
    pub(super) fn prepare(&self, dir: &dyn Dir, name: Option<&Name>, meta: Meta) -> bool {
        match self.equalize(dir, name, meta) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => return done.unwrap_or(false),
        }
        let stat = match name {
            Some(name) => dir.stat(name),
            None => dir.stat_self(),
        };
        let Ok(stat) = stat else { return false };
        let set_mode = |mode| {
            let attrs = Attrs { mode: Some(mode), ..Attrs::default() };
            match name {
                Some(name) => dir.set_attrs(name, &attrs),
                None => dir.set_attrs_self(&attrs),
            }
        };
        // The owner of a file that is only read may still write its attributes, but must say so.
        if stat.mode & 0o200 == 0 && set_mode(stat.mode | 0o200).is_ok() {
            let _ = self.equalize(dir, name, meta);
            let _ = set_mode(stat.mode);
        }
        false
    }

    /// Whether `name` of `dir` has the attributes in `meta`, as far as the profile counts them.
    pub(super) fn has_attributes(&self, dir: &dyn Dir, name: &Name, meta: Meta) -> bool {
        let found = || Attributes::new(taken(self.profile, dir, Some(name)).ok()?);
        !self.profile.attributes() || found().is_some_and(|found| found.id() == meta.attributes)
    }

    /// Gives `name` of `dir`, or without one `dir` itself, the attributes in `meta`, as far as the profile counts them.
    /// Whether these are none, and there were none.
    pub(super) fn equalize(&self, dir: &dyn Dir, name: Option<&Name>, meta: Meta) -> io::Result<bool> {
        if !self.profile.attributes() {
            return Ok(true);
        }
        let wanted = lock(&self.sets).get(meta.attributes);
        let wanted = wanted.ok_or_else(|| io::Error::other("its attributes were not told"))?;
        set(self.profile, dir, name, &wanted)
    }
}

/// Gives something the attributes that another name of the directory has.
pub(super) fn copy(profile: Profile, dir: &dyn Dir, from: &Name, to: &Name) -> io::Result<()> {
    if !profile.attributes() {
        return Ok(());
    }
    let wanted = Attributes::new(taken(profile, dir, Some(from))?).unwrap_or_default();
    set(profile, dir, Some(to), &wanted).map(drop)
}

fn taken(profile: Profile, dir: &dyn Dir, name: Option<&Name>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = dir.attributes(name)?;
    pairs.retain(|(key, _)| profile.takes_attribute(key));
    Ok(pairs)
}

/// Whether there were none, and are none now.
fn set(profile: Profile, dir: &dyn Dir, name: Option<&Name>, wanted: &Attributes) -> io::Result<bool> {
    let found = taken(profile, dir, name)?;
    for (key, _) in found.iter().filter(|(key, _)| wanted.get(key).is_none()) {
        dir.set_attribute(name, key, None)?;
    }
    for (key, value) in wanted.iter() {
        let same = found.iter().any(|(other, has)| (&other[..], &has[..]) == (key, value));
        if !same {
            dir.set_attribute(name, key, Some(value))?;
        }
    }
    Ok(found.is_empty() && wanted.iter().next().is_none())
}
