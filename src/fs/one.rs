//! A directory → a view of it that holds one file, perhaps under another name.
//!
//! A single file is synchronized as a tree of one name. The view is only read.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::readonly::{ReadOnly, View};
use super::{DirRef, Kind, Stat};
use crate::path::Name;

/// The view.
struct OneFile {
    dir: DirRef,
    real: Name,
    shown: Name,
}

/// A view of `dir` that holds its file `real` under the name `shown`, and nothing else.
#[must_use]
pub fn one_file(dir: DirRef, real: Name, shown: Name) -> DirRef {
    Arc::new(ReadOnly(OneFile { dir, real, shown }))
}

impl View for OneFile {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        Ok(vec![(self.shown.clone(), None)])
    }

    fn stat_self(&self) -> io::Result<Stat> {
        self.dir.stat_self()
    }

    fn attributes_self(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.dir.attributes(None)
    }

    fn real<'a>(&'a self, name: &Name) -> io::Result<(&'a DirRef, Name)> {
        if *name == self.shown { Ok((&self.dir, self.real.clone())) } else { Err(Errno::NOENT.into()) }
    }

    fn open_dir(&self, _: &Name) -> io::Result<DirRef> {
        Err(Errno::NOTDIR.into())
    }
}
