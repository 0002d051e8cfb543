//! Row 6 of the fault matrix: names that the destination takes for one another.
//!
//! Few kernels mount what folds names, so a file system in memory is seen through one that folds ASCII case, as vfat
//! does: it keeps the name that was there first, and finds it by either.

use std::any::Any;
use std::io;
use std::sync::Arc;

use super::bed::*;
use crate::fs::mem::MemFs;
use crate::fs::{Attrs, Dir, DirRef, FileRef, Kind, Rdev, Special, Stat};
use crate::path::Name;
use crate::sync::Summary;

struct FoldingDir(DirRef);

impl FoldingDir {
    /// The name that is there for `name`.
    fn at(&self, name: &Name) -> Name {
        let names = self.0.list().unwrap_or_default();
        let found = names.into_iter().find(|(at, _)| at.as_bytes().eq_ignore_ascii_case(name.as_bytes()));
        found.map_or_else(|| name.clone(), |(at, _)| at)
    }
}

fn folding(dir: &dyn Dir) -> &FoldingDir {
    dir.as_any().downcast_ref().unwrap()
}

impl Dir for FoldingDir {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        self.0.list()
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        self.0.stat(&self.at(name))
    }

    fn stat_self(&self) -> io::Result<Stat> {
        self.0.stat_self()
    }

    fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        self.0.read_link(&self.at(name))
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        Ok(Arc::new(FoldingDir(self.0.open_dir(&self.at(name))?)))
    }

    fn open_file(&self, name: &Name) -> io::Result<FileRef> {
        self.0.open_file(&self.at(name))
    }

    fn open_file_rw(&self, name: &Name) -> io::Result<FileRef> {
        self.0.open_file_rw(&self.at(name))
    }

    fn create_file(&self, name: &Name, mode: u32) -> io::Result<FileRef> {
        self.0.create_file(&self.at(name), mode)
    }

    fn create_dir(&self, name: &Name, mode: u32) -> io::Result<DirRef> {
        Ok(Arc::new(FoldingDir(self.0.create_dir(&self.at(name), mode)?)))
    }

    fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        self.0.create_symlink(&self.at(name), target)
    }

    fn create_special(&self, name: &Name, what: Special, rdev: Rdev, mode: u32) -> io::Result<()> {
        self.0.create_special(&self.at(name), what, rdev, mode)
    }

    fn link(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new = folding(new_dir);
        self.0.link(&self.at(name), &*new.0, &new.at(new_name))
    }

    fn rename(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new = folding(new_dir);
        self.0.rename(&self.at(name), &*new.0, &new.at(new_name))
    }

    fn rename_new(&self, name: &Name, new_dir: &dyn Dir, new_name: &Name) -> io::Result<()> {
        let new = folding(new_dir);
        self.0.rename_new(&self.at(name), &*new.0, &new.at(new_name))
    }

    fn exchange(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.0.exchange(&self.at(name), &self.at(other))
    }

    fn exchange_at_once(&self, name: &Name, other: &Name) -> io::Result<()> {
        self.0.exchange_at_once(&self.at(name), &self.at(other))
    }

    fn remove_file(&self, name: &Name) -> io::Result<()> {
        self.0.remove_file(&self.at(name))
    }

    fn remove_dir(&self, name: &Name) -> io::Result<()> {
        self.0.remove_dir(&self.at(name))
    }

    fn set_attrs(&self, name: &Name, attrs: &Attrs) -> io::Result<()> {
        self.0.set_attrs(&self.at(name), attrs)
    }

    fn set_attrs_self(&self, attrs: &Attrs) -> io::Result<()> {
        self.0.set_attrs_self(attrs)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn sync_fs(&self) -> io::Result<()> {
        self.0.sync_fs()
    }

    fn try_lock(&self) -> io::Result<Result<(), Option<u32>>> {
        self.0.try_lock()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Synchronizes with deletion into a folding file system that holds `to`; what it holds then.
fn run(from: &Tree, to: &MemFs) -> (Summary, Tree) {
    let target: DirRef = Arc::new(FoldingDir(to.root()));
    let done = sync(&mem(from).root(), &target, &options(true)).unwrap();
    assert_eq!(leftovers(&to.root()), [], "{done:?}");
    (done, capture(&to.root()))
}

/// One of two names is made, or stays; the other one is named; so it is again in the next run.
#[track_caller]
fn check(from: &[(&str, Spec)], to: &[(&str, Spec)], kept: &str, named: &str) {
    let (from, fs) = (tree(from), mem(&tree(to)));
    for run_number in 1..=2 {
        let (done, now) = run(&from, &fs);
        let problems: Vec<_> = done.problems.iter().map(|problem| &problem.path).collect();
        assert_eq!((done.code, problems), (23, vec![&path(named)]), "run {run_number}: {done:?}");
        assert_eq!(now.get(&path(kept)), from.get(&path(kept)), "run {run_number}");
        assert_eq!(now.get(&path(named)), None, "run {run_number}");
        assert_eq!(now.get(&path("z")), from.get(&path("z")), "run {run_number}: others are made");
    }
}

#[test]
fn of_two_names_that_fold_into_one_the_first_is_made_and_the_second_named() {
    let (upper, lower) = (file(b"upper"), file(b"lower"));
    let (z, old) = (file(b"new"), file(b"old"));
    // Into a directory that is there, a new one, and beside the one that is there.
    check(&[("A", upper.clone()), ("a", lower.clone()), ("z", z.clone())], &[("z", old.clone())], "A", "a");
    check(&[("d/A", upper.clone()), ("d/a", lower.clone()), ("z", z.clone())], &[], "d/A", "d/a");
    let there = [("A", upper.clone()), ("z", old.clone())];
    check(&[("A", upper.clone()), ("a", lower.clone()), ("z", z.clone())], &there, "A", "a");
    let there = [("a", lower.clone()), ("z", old.clone())];
    check(&[("A", upper.clone()), ("a", lower.clone()), ("z", z.clone())], &there, "a", "A");
    // A file and a directory.
    check(&[("A", upper), ("a/f", lower), ("z", z)], &[("z", old)], "A", "a");
}

#[test]
fn a_name_whose_case_changed_at_the_source_takes_the_place_of_the_old_one() {
    for bytes in [&b"the same"[..], b"other"] {
        let from = tree(&[("readme", file(bytes)), ("z", file(b"z"))]);
        let fs = mem(&tree(&[("README", file(b"the same")), ("z", file(b"z"))]));
        let (done, now) = run(&from, &fs);
        assert_eq!((done.code, now), (0, from), "{done:?}");
        for seed in 0..20 {
            assert_eq!(capture(&fs.crash(seed).root()).len(), 3, "power cut {seed}");
        }
    }
}
