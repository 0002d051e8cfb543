//! Looking again at what changed finds what looking at everything finds, and asks for nothing else.

use super::bed::{Bed, path, paths};
use crate::fs::fault::Op;
use crate::scan::{Changed, Opener, Scan, rescan};

/// Looks again, hashes, and holds it against a scan without an index. Gives the scan and how often it statted.
fn look(bed: &Bed, before: &Scan, dirs: &[&str], trees: &[&str]) -> (Scan, u64) {
    let mut changed = Changed::default();
    dirs.iter().for_each(|dir| changed.dir(path(dir)));
    trees.iter().for_each(|tree| changed.tree(path(tree)));
    let stats = bed.faults.count(Op::Stat);
    let mut found = rescan(&bed.root(), before, &changed, &bed.options, &()).unwrap();
    let stats = bed.faults.count(Op::Stat) - stats;
    found.hash_unknown(&Opener::new(bed.root()), &bed.options, &());
    let fresh = bed.fresh();
    assert_eq!(paths(&found), paths(&fresh));
    assert_eq!(found.snapshot.root(), fresh.snapshot.root());
    (found, stats)
}

fn wide() -> Bed {
    let files: Vec<(String, &[u8])> =
        (0..400).map(|at| (format!("d{}/e/f{at}", at % 20), &b"bytes"[..])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    Bed::new(&files)
}

#[test]
fn only_what_changed_is_looked_at() {
    let mut bed = wide();
    let (before, _) = bed.sync();
    let (found, stats) = look(&bed, &before, &[], &[]);
    assert!(stats <= 1, "{stats}");
    bed.fs.write("d3/e/f3", b"other").unwrap();
    bed.fs.write("d3/e/new", b"new").unwrap();
    bed.wait(1_000_000_000);
    let (found, stats) = look(&bed, &found, &["d3/e"], &[]);
    // Its 21 files, and the directory around it.
    assert!((21..=24).contains(&stats), "{stats}");

    // What is elsewhere now brings its roots along.
    bed.rename(("d3", "e"), ("d4", "x"));
    bed.wait(1_000_000_000);
    let opened = bed.faults.count(Op::OpenFile);
    let (found, stats) = look(&bed, &found, &[], &["d3/e", "d4/x"]);
    assert!(stats < 60 && bed.faults.count(Op::OpenFile) == opened, "{stats}");
    bed.dir("d5/e").remove_file(&super::bed::name("f5")).unwrap();
    look(&bed, &found, &["d5/e"], &[]);
}

#[test]
fn a_directory_in_the_place_of_another_is_not_taken_for_it() {
    let mut bed =
        Bed::new(&[("a/d/same", b"1"), ("a/d/sub/x", b"1"), ("b/d/same", b"2"), ("b/d/sub/x", b"2")]);
    let (before, _) = bed.sync();
    bed.rename(("a", "d"), ("", "old"));
    bed.rename(("b", "d"), ("a", "d"));
    bed.wait(1_000_000_000);
    // By its inode, and where that is the same again, by what was heard.
    let (found, _) = look(&bed, &before, &["a", "b", ""], &[]);
    let (_, stats) = look(&bed, &found, &[], &["a/d"]);
    assert!(stats >= 5, "all below is looked at: {stats}");
}

#[test]
fn files_with_several_names_are_always_looked_at() {
    let mut bed = Bed::new(&[("a/one", b"1"), ("b/two", b"2"), ("c/x", b"3")]);
    let (a, b) = (bed.dir("a"), bed.dir("b"));
    a.link(&super::bed::name("one"), &*b, &super::bed::name("other")).unwrap();
    bed.wait(1_000_000_000);
    let (before, _) = bed.sync();
    bed.fs.write("a/one", b"changed").unwrap();
    bed.wait(1_000_000_000);
    // Heard of under one name only.
    let (_, stats) = look(&bed, &before, &["a"], &[]);
    assert!(stats > 0);
}

#[test]
fn a_file_that_is_young_is_read_again_when_it_is_looked_at_and_not_before() {
    let mut bed = Bed::new(&[("a/x", b"1"), ("b/y", b"2")]);
    bed.fs.write("a/x", b"3").unwrap();
    let (before, _) = bed.sync();
    let opened = bed.faults.count(Op::OpenFile);
    let (found, _) = look(&bed, &before, &["b"], &[]);
    assert_eq!(bed.faults.count(Op::OpenFile), opened);
    // In the same tick, with the same length.
    bed.fs.write("a/x", b"4").unwrap();
    look(&bed, &found, &["a"], &[]);
    assert!(bed.faults.count(Op::OpenFile) > opened);
}
