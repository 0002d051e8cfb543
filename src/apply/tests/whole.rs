//! `--atomic`: whatever happens and whenever, the destination is the old tree or the new one, all of it.

use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::bed::*;
use super::property::pair;
use crate::fs::DirRef;
use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::mem::MemFs;
use crate::path::{Name, RelPath};
use crate::scan::Cache;
use crate::sync::{Around, Options, Place, Summary, SyncError, sync_dirs};
use crate::transfer::message::Writing;

fn whole(delete: bool) -> Options {
    Options { writing: Writing { atomic: true, ..Writing::default() }, threads: 1, ..options(delete) }
}

/// A file system in which `dst` holds a tree, all of it durable.
fn disk(tree: &Tree) -> MemFs {
    let fs = MemFs::new();
    build(&fs.mkdir("dst").unwrap(), tree);
    let mtime = tree.get(&RelPath::root()).map(|spec| spec.mtime);
    dst(&fs.root()).set_attrs_self(&crate::fs::Attrs { mtime, ..Default::default() }).unwrap();
    fs.root().sync_fs().unwrap();
    fs.set_time(at(1_500_000_000));
    fs
}

fn dst(root: &DirRef) -> DirRef {
    root.open_dir(&Name::try_from("dst").unwrap()).unwrap()
}

/// A run into `dst` below `root`.
fn run(from: &Tree, root: &DirRef, options: &Options) -> Result<Summary, SyncError> {
    let around = Around::Module { root: root.clone(), path: path("dst") };
    let failed = |source| SyncError::Root { path: "/dst".into(), operation: "open", source };
    let opened = root.open_dir(&Name::try_from("dst").unwrap()).map_err(failed)?;
    let to = Place { around, ..Place::new(opened, Path::new("/dst")) };
    sync_dirs(Place::new(mem(from).root(), Path::new("/from")), to, options)
}

/// The destination is one of the two, and a rerun makes it the new one and removes what was left.
fn assert_whole(fs: &MemFs, (old, from): (&Tree, &Tree), new: &Tree, delete: bool, context: &str) {
    let now = capture(&dst(&fs.root()));
    assert!(now == *old || now == *new, "{context}: a mixture: {now:?}");
    fs.root().sync_fs().unwrap();
    let again = run(from, &fs.root(), &whole(delete)).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(again.code, 0, "{context}: {:?}", again.problems);
    assert_eq!(capture(&dst(&fs.root())), *new, "{context}: rerun");
    assert_eq!(leftovers(&fs.root()), [], "{context}: rerun");
}

/// Kills a run at each `every`th operation and looks at what it leaves, and what power cuts leave.
fn check(what: &str, from: &Tree, to: &Tree, delete: bool, every: u64) {
    let counted = |fs: &MemFs, plan| {
        let faults = Faults::new(plan);
        (run(from, &faults.wrap(fs.root()), &whole(delete)), faults)
    };
    let made = disk(to);
    let old = capture(&dst(&made.root()));
    let (result, faults) = counted(&made, Plan::new());
    assert_eq!(result.unwrap().code, 0, "{what}");
    let new = capture(&dst(&made.root()));
    for seed in 0..10 {
        assert_eq!(capture(&dst(&made.crash(seed).root())), new, "{what}: power cut after the end");
    }
    let plain = disk(to);
    let result = run(from, &plain.root(), &options(delete));
    assert_eq!(result.unwrap().code, 0, "{what}");
    assert_eq!(capture(&dst(&plain.root())), new, "{what}: not what a run without --atomic makes");
    for nth in (1..=faults.total()).step_by(every as usize) {
        let fs = disk(to);
        let (_, faults) = counted(&fs, Plan::new().kill_at(nth));
        if !faults.killed() {
            continue;
        }
        let context = format!("{what}, killed at {nth}");
        let images: Vec<MemFs> = (0..3).map(|cut| fs.crash(nth * 1000 + cut)).collect();
        for (cut, image) in images.iter().enumerate() {
            assert_whole(image, (&old, from), &new, delete, &format!("{context}, power cut {cut}"));
        }
        assert_whole(&fs, (&old, from), &new, delete, &context);
    }
}

fn with(spec: Spec, mode: u32, secs: i64) -> Spec {
    Spec { mode, mtime: at(secs), ..spec }
}

#[test]
fn a_crash_leaves_the_whole_old_tree_or_the_whole_new_one() {
    let from = tree(&[
        ("a", file(b"new")),
        ("d/b", file(&large(1))),
        ("d/meta", with(file(b"meta"), 0o600, 5)),
        ("d/link", with(symlink("a"), 0, 6)),
        ("n/x/y", file(b"y")),
        ("h1", with(file(b"hard"), 0o600, 7)),
        ("h2", link("h1")),
        ("moved", file(&large(3))),
        ("kind", symlink("a")),
    ]);
    let to = tree(&[
        ("a", file(b"old")),
        ("d/b", file(&large(2))),
        ("d/meta", file(b"meta")),
        ("d/link", symlink("a")),
        ("h1", file(b"hard")),
        ("h2", link("h1")),
        ("was/moved", file(&large(3))),
        ("kind/f", file(b"f")),
        ("extra/deep/f", file(b"extra")),
    ]);
    check("everything", &from, &to, true, 1);
    let from: Vec<(RelPath, Spec)> = from.into_iter().filter(|(at, _)| at.as_bytes() != b"kind").collect();
    check("without --delete", &from.into_iter().collect(), &to, false, 3);
}

#[test]
fn an_empty_destination_appears_whole() {
    let from = tree(&[("a", file(b"a")), ("d/e/f", file(&large(1)))]);
    check("empty", &from, &tree(&[]), false, 1);
}

#[test]
fn random_trees_are_switched_whole() {
    for seed in 7000..7012 {
        let (from, to) = pair(seed);
        check(&format!("seed {seed}"), &from, &to, true, 29);
    }
}

#[test]
fn what_is_not_made_in_whole_is_not_seen_at_all() {
    let from = tree(&[("a", file(b"new")), ("b", file(b"new")), ("c/d", file(b"new"))]);
    let to = tree(&[("a", file(b"old")), ("b", file(b"old")), ("extra", file(b"extra"))]);
    for nth in 1..4 {
        let fs = disk(&to);
        let plan = Plan::new().fail(Op::CreateFile, nth, Errno::ACCESS);
        let summary = run(&from, &Faults::new(plan).wrap(fs.root()), &whole(true)).unwrap();
        assert_eq!((summary.code, summary.root), (23, None));
        assert_eq!(capture(&dst(&fs.root())), to);
        assert_eq!(summary.report.created + summary.report.updated + summary.report.deleted, 0);
        assert_eq!(run(&from, &fs.root(), &whole(true)).unwrap().code, 0);
        assert_eq!(capture(&dst(&fs.root())), from);
        assert_eq!(leftovers(&fs.root()), []);
    }
}

#[test]
fn what_was_staged_is_not_sent_again() {
    let from = tree(&[("a", file(&large(4))), ("b", file(&large(5))), ("c", file(b"c"))]);
    let to = tree(&[("kept", file(b"kept"))]);
    let fs = disk(&to);
    let plan = Plan::new().fail(Op::CreateFile, 3, Errno::ACCESS);
    run(&from, &Faults::new(plan).wrap(fs.root()), &whole(false)).unwrap();
    let again = run(&from, &fs.root(), &whole(false)).unwrap();
    assert!(again.report.bytes_literal < 200_000, "{:?}", again.report);
    assert_eq!(leftovers(&fs.root()), []);
}

#[test]
fn everything_is_durable_before_the_switch_and_the_switch_before_the_removal() {
    let (from, to) = (tree(&[("a", file(b"new"))]), tree(&[("a", file(b"old")), ("b", file(b"b"))]));
    let fs = disk(&to);
    let faults = Faults::new(Plan::new());
    run(&from, &faults.wrap(fs.root()), &whole(true)).unwrap();
    let ops: Vec<Op> = faults.log().iter().map(|record| record.op).collect();
    // Twice it was only tried.
    let switch = ops.iter().rposition(|op| *op == Op::Exchange).unwrap();
    let before = ops[..switch].iter().rposition(|op| op.is_change()).unwrap();
    assert_eq!(ops[before], Op::SyncFs);
    let after = ops[switch + 1..].iter().position(|op| op.is_change()).unwrap();
    assert_eq!(ops[switch + 1 + after], Op::SyncDir);
    assert!(ops[switch + 1..].contains(&Op::RemoveFile));
}

#[test]
fn a_failed_switch_leaves_the_old_tree_and_nothing_else() {
    let (from, to) = (tree(&[("a", file(b"new"))]), tree(&[("a", file(b"old"))]));
    for (nth, errno, text) in [(1, Errno::INVAL, "no exchange"), (3, Errno::IO, "exchange")] {
        let fs = disk(&to);
        let plan = Plan::new().fail(Op::Exchange, nth, errno);
        let error = run(&from, &Faults::new(plan).wrap(fs.root()), &whole(true)).unwrap_err();
        assert!(error.to_string().contains(text) && error.code() == 11, "{error}");
        assert_eq!(capture(&dst(&fs.root())), to);
        if nth == 1 {
            assert_eq!(leftovers(&fs.root()), []);
        }
        assert_eq!(run(&from, &fs.root(), &whole(true)).unwrap().code, 0);
        assert_eq!(leftovers(&fs.root()), []);
    }
}

#[test]
fn a_run_without_the_flag_removes_what_one_with_it_has_left() {
    let (from, to) = (tree(&[("a", file(b"new"))]), tree(&[("a", file(b"old"))]));
    let fs = disk(&to);
    let plan = Plan::new().fail(Op::CreateFile, 1, Errno::ACCESS);
    run(&from, &Faults::new(plan).wrap(fs.root()), &whole(true)).unwrap();
    assert_ne!(leftovers(&fs.root()), []);
    assert_eq!(run(&from, &fs.root(), &options(true)).unwrap().code, 0);
    assert_eq!(leftovers(&fs.root()), []);
}

#[test]
fn a_module_root_and_other_ways_to_write_are_refused() {
    let (from, to) = (tree(&[("a", file(b"new"))]), tree(&[("a", file(b"old"))]));
    let fs = disk(&to);
    let around = Around::Module { root: dst(&fs.root()), path: RelPath::root() };
    let place = Place { around, ..Place::new(dst(&fs.root()), Path::new("/dst")) };
    let error = sync_dirs(Place::new(mem(&from).root(), Path::new("/from")), place, &whole(true));
    assert!(error.unwrap_err().to_string().contains("module's root"));
    let in_place = Writing { atomic: true, in_place: true, ..Writing::default() };
    let error = run(&from, &fs.root(), &Options { writing: in_place, ..whole(true) });
    assert_eq!(error.unwrap_err().code(), 1);
    assert_eq!(capture(&dst(&fs.root())), to);
}

#[test]
fn after_a_switch_no_file_is_read_again() {
    let temp = tempfile::tempdir().unwrap();
    let cached =
        |delete| Options { cache: Some(Arc::new(Cache::new(temp.path().to_owned()))), ..whole(delete) };
    let from = tree(&[("a", file(b"a")), ("d/b", file(b"new")), ("d/c", with(file(b"c"), 0o600, 3))]);
    let fs = disk(&tree(&[("a", file(b"a")), ("d/b", file(b"old")), ("d/c", file(b"c")), ("x", file(b"x"))]));
    for (round, delete, reads) in [(0, false, true), (1, false, false), (2, true, false), (3, true, false)] {
        let faults = Faults::new(Plan::new());
        assert_eq!(run(&from, &faults.wrap(fs.root()), &cached(delete)).unwrap().code, 0);
        assert_eq!(faults.count(Op::Read) > 0, reads, "round {round}");
    }
    assert_eq!(capture(&dst(&fs.root())), from);
}
