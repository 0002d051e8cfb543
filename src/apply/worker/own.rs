//! A file that another tree shares → one of its own: what its metadata is set on must not be what readers see.

use std::io;

use rustix::io::Errno;

use super::super::{ApplyError, copy};
use super::{Close, Worker, attrs};
use crate::fs::{Attrs, DirRef, Kind, Stat};
use crate::hash::Hash;
use crate::path::Name;
use crate::snapshot::Meta;
use crate::transfer::receiver::Place;

impl Worker {
    /// Stages a copy of the file or link at `place` with `meta`, if that differs from what it has and it has other
    /// names. `root`: its bytes, if they are known.
    ///
    /// # Errors
    /// What cannot be read or written; `ESTALE` if its bytes are not those that are known.
    pub(in super::super) fn own(
        &mut self,
        place: &Place,
        meta: Meta,
        root: Option<Hash>,
    ) -> Result<(), ApplyError> {
        let failed = |operation| ApplyError::io(self.stage.path(place), operation);
        let dir = self.handles.mirror(place.dir)?;
        let stat = dir.stat(&place.name).map_err(failed("stat"))?;
        let wanted = self.wanted(&stat, meta);
        let is_alike = wanted == Attrs::default() && self.stage.has_attributes(&*dir, &place.name, meta);
        if stat.nlink < 2 || is_alike {
            return Ok(());
        }
        // What does not count stays what it was.
        let all = Attrs {
            owner: wanted.owner.or(Some((stat.uid, stat.gid))),
            mode: wanted.mode.or(Some(stat.mode)),
            mtime: wanted.mtime.or(Some(stat.mtime)),
            atime: wanted.atime.or(Some(stat.atime)),
        };
        match stat.kind {
            Kind::File => self.own_file(place, &stat, (&all, meta), root),
            Kind::Symlink => {
                let target = dir.read_link(&place.name).map_err(failed("read the link"))?;
                self.own_name((place, meta), &dir, "copy a link", &all, |dir, name| {
                    dir.create_symlink(name, &target)
                })
            }
            Kind::Special(what) => self.own_name((place, meta), &dir, "copy a node", &all, |dir, name| {
                dir.create_special(name, what, stat.rdev, 0o600)
            }),
            Kind::Dir | Kind::Hidden => Ok(()),
        }
    }

    /// Stages a name of what has no bytes, which has what the old one has, but for what `all` and `meta` say.
    fn own_name(
        &mut self,
        (place, meta): (&Place, Meta),
        old: &DirRef,
        operation: &'static str,
        all: &Attrs,
        create: impl Fn(&DirRef, &Name) -> io::Result<()>,
    ) -> Result<(), ApplyError> {
        let like = |dir: &DirRef, name: &Name| {
            create(dir, name)?;
            copy::copy_attributes((&**old, Some(&place.name)), (&**dir, Some(name)))
        };
        self.name_with((place.clone(), meta), operation, like, |_| *all)
    }

    fn wanted(&self, stat: &Stat, meta: Meta) -> Attrs {
        let wanted = attrs(self.stage.profile, stat, meta);
        if stat.kind == Kind::Symlink { Attrs { mode: None, ..wanted } } else { wanted }
    }

    fn own_file(
        &mut self,
        place: &Place,
        stat: &Stat,
        (all, meta): (&Attrs, Meta),
        root: Option<Hash>,
    ) -> Result<(), ApplyError> {
        let path = self.stage.path(place);
        let failed = |operation| ApplyError::io(path.clone(), operation);
        let dir = self.handles.mirror(place.dir)?;
        let source = dir.open_file(&place.name).map_err(failed("open"))?;
        let open = self.create(place.clone(), Meta { mode: 0o600, ..Meta::default() })?;
        let (chunks, found) = match self.copy_all(&source, &open)? {
            Some((chunks, found)) if root.is_none_or(|root| root == found) => (chunks, found),
            _ => {
                self.remove(&open);
                return Err(failed("copy")(Errno::STALE.into()));
            }
        };
        let file = self.handle(&open)?;
        if let Err(error) = file.set_len(stat.size).and_then(|()| file.set_attrs(all)) {
            self.remove(&open);
            return Err(failed("set metadata")(error));
        }
        self.complete(open, Close { root: found, size: stat.size, meta }, chunks, None)
    }
}
