//! Several directories, and what takes part of each → a view of them as one.
//!
//! Of names that several have the first counts, but that a directory counts before anything else; directories of
//! one name are one directory, in the same order. That is how rsync merges its sources. The view is only read. Below
//! what stands in one directory alone, it is that directory itself, so that it costs nothing there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::readonly::{ReadOnly, View};
use super::{DirRef, Kind, Stat};
use crate::path::Name;
use crate::path::named::{Named, Reach};

/// A directory, and what of it takes part.
#[derive(Clone)]
pub struct Layer {
    /// The directory.
    pub dir: DirRef,
    /// What takes part.
    pub named: Arc<Named>,
}

/// The view.
struct Layers(Vec<Layer>);

/// A view of directories as one: of the first that were named themselves, the metadata. There must be one at least.
#[must_use]
pub fn layered(layers: Vec<Layer>) -> DirRef {
    Arc::new(ReadOnly(Layers(layers)))
}

impl Layers {
    /// What has a name among what takes part, the first layer first.
    fn having<'a>(&'a self, name: &Name) -> impl Iterator<Item = io::Result<(&'a Layer, Stat)>> {
        self.0.iter().filter(|layer| layer.named.takes(name)).filter_map(|layer| match layer.dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            stat => Some(stat.map(|stat| (layer, stat))),
        })
    }

    /// The directories of a name as one, each opened by `open`.
    fn merged(&self, name: &Name, open: impl Fn(&Layer) -> io::Result<DirRef>) -> io::Result<DirRef> {
        let mut below = Vec::new();
        for layer in self.0.iter().filter(|layer| layer.named.takes(name)) {
            match open(layer) {
                Ok(dir) => below.extend(layer.named.enter(name).map(|named| Layer { dir, named })),
                Err(error) if is_no_dir(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match below.as_slice() {
            [] => Err(Errno::NOTDIR.into()),
            [only] if only.named.is_all() => Ok(only.dir.clone()),
            _ => Ok(layered(below)),
        }
    }
}

fn is_no_dir(error: &io::Error) -> bool {
    let errnos = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

impl View for Layers {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let mut names: BTreeMap<Name, Option<Kind>> = BTreeMap::new();
        for Layer { dir, named } in &self.0 {
            let found = match named.reach() {
                Reach::Itself => named.names().map(|name| (name.clone(), None)).collect(),
                Reach::Names | Reach::All => dir.list()?,
            };
            for (name, kind) in found {
                // What it is to be, the layers below have a say in.
                names.entry(name).and_modify(|kind| *kind = None).or_insert(kind);
            }
        }
        Ok(names.into_iter().collect())
    }

    fn stat_self(&self) -> io::Result<Stat> {
        let told = self.0.iter().find(|layer| layer.named.is_told());
        told.or(self.0.first()).ok_or(Errno::NOENT)?.dir.stat_self()
    }

    fn real<'a>(&'a self, name: &Name) -> io::Result<(&'a DirRef, Name)> {
        let mut first = None;
        for found in self.having(name) {
            let (layer, stat) = found?;
            if stat.kind == Kind::Dir {
                return Ok((&layer.dir, name.clone()));
            }
            first.get_or_insert(&layer.dir);
        }
        Ok((first.ok_or(Errno::NOENT)?, name.clone()))
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        self.merged(name, |layer| layer.dir.open_dir(name))
    }

    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        self.merged(name, |layer| match layer.dir.open_dir(name) {
            Err(error) if is_no_dir(&error) => layer.dir.open_dir_through(name),
            dir => dir,
        })
    }
}
