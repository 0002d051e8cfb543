//! Looking again at what changed finds what looking at everything finds, and asks for nothing else.

use super::bed::{Bed, path, paths};
use crate::fs::fault::Op;
use crate::scan::{Changed, Opener, Scan, Select, Side, rescan};

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
    if bed.options.side == Side::Receiver {
        assert_eq!((&found.protected, &found.leftovers), (&fresh.protected, &fresh.leftovers));
    }
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

/// A stream of numbers, the same for the same seed.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    }
}

#[test]
fn any_course_of_changes_that_is_told_is_found() {
    const DIRS: [&str; 6] = ["", "a", "a/b", "a/b/c", "d", "d/e"];
    const NAMES: [&str; 6] = ["f", "g", "h", "b", "c", "e"];
    for seed in 1..60 {
        let mut bed = Bed::new(&[("a/b/c/x", b"1"), ("a/y", b"2"), ("d/e/z", b"3"), ("top", b"4")]);
        let mut next = numbers(seed);
        let (mut scan, _) = bed.sync();
        for round in 0..12 {
            let mut changed = Changed::default();
            for _ in 0..=next(3) {
                let (dir, other) = (DIRS[next(DIRS.len())], DIRS[next(DIRS.len())]);
                let (from, to) = (NAMES[next(NAMES.len())], NAMES[next(NAMES.len())]);
                let handle = |at: &str| crate::fs::walk::open_path(&bed.fs.root(), &path(at)).ok();
                let (Some(here), Some(there)) = (handle(dir), handle(other)) else { continue };
                let (from_name, to_name) = (super::bed::name(from), super::bed::name(to));
                let at = |dir: &str, name: &str| {
                    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
                };
                match next(6) {
                    0 | 1 => {
                        let bytes = [seed as u8, round as u8, next(200) as u8];
                        let written = bed.fs.write(&at(dir, from), &bytes);
                        written.iter().for_each(|()| changed.dir(path(dir)));
                    }
                    2 => {
                        let removed = here.remove_file(&from_name);
                        removed.iter().for_each(|()| changed.dir(path(dir)));
                    }
                    3 => {
                        let made = here.create_dir(&from_name, 0o755);
                        made.iter().for_each(|_| changed.tree(path(&at(dir, from))));
                    }
                    4 => {
                        let linked = here.link(&from_name, &*there, &to_name);
                        linked.iter().for_each(|()| changed.dir(path(other)));
                    }
                    _ => {
                        let is_dir =
                            here.stat(&from_name).is_ok_and(|stat| stat.kind == crate::fs::Kind::Dir);
                        match here.rename_new(&from_name, &*there, &to_name) {
                            Err(_) => {}
                            Ok(()) if is_dir => {
                                changed.tree(path(&at(dir, from)));
                                changed.tree(path(&at(other, to)));
                            }
                            Ok(()) => {
                                changed.dir(path(dir));
                                changed.dir(path(other));
                            }
                        }
                    }
                }
                if next(2) == 0 {
                    bed.wait(20_000_000);
                }
            }
            let mut found = rescan(&bed.root(), &scan, &changed, &bed.options, &()).unwrap();
            found.hash_unknown(&Opener::new(bed.root()), &bed.options, &());
            assert_eq!(paths(&found), paths(&bed.fresh()), "seed {seed} round {round} {changed:?}");
            assert_eq!(
                found.snapshot.root(),
                bed.fresh().snapshot.root(),
                "seed {seed} round {round} {changed:?}"
            );
            scan = found;
        }
    }
}

#[test]
fn rules_of_names_alone_leave_the_rest_unlooked_at() {
    let mut bed = wide();
    bed.options.select = Select::excluding(&[b"f1*"]).unwrap();
    let (before, _) = bed.sync();
    let (_, stats) = look(&bed, &before, &[], &[]);
    assert!(stats <= 1, "{stats}");
    bed.fs.write("d3/e/new", b"new").unwrap();
    bed.fs.write("d3/e/f1new", b"new").unwrap();
    look(&bed, &before, &["d3/e"], &[]);

    bed.options.select.sizes.max = Some(100);
    let (before, _) = bed.sync();
    let (_, stats) = look(&bed, &before, &[], &[]);
    assert!(stats > 200, "{stats}");
}

#[test]
fn a_receiver_looks_only_where_something_changed_and_knows_what_it_must_keep() {
    for (rule, most) in [("none", 1), ("f1*", 400), ("d7", 21), ("/d3/e/f3", 21)] {
        let mut bed = wide();
        bed.options.side = Side::Receiver;
        bed.options.select = Select::excluding(&[rule.as_bytes()]).unwrap();
        let (before, _) = bed.sync();
        let (found, stats) = look(&bed, &before, &[], &[]);
        // But where something stands that no rule may touch.
        assert!(stats <= most, "{rule}: {stats}");
        bed.fs.write("d3/e/f3", b"other").unwrap();
        bed.fs.write("d3/e/f1new", b"new").unwrap();
        bed.fs.write("d7/new", b"new").unwrap();
        bed.wait(1_000_000_000);
        let (found, _) = look(&bed, &found, &["d3/e", "d7"], &[]);
        bed.dir("d3/e").remove_file(&super::bed::name("f1new")).unwrap();
        look(&bed, &found, &["d3/e"], &[]);
    }
}

#[test]
fn what_an_interrupted_run_left_is_found_again() {
    let mut bed = Bed::new(&[("a/x", b"1"), ("b/.syncline-tmp-1", b"2")]);
    bed.options.side = Side::Receiver;
    let (before, _) = bed.sync();
    assert_eq!(before.leftovers, [path("b/.syncline-tmp-1")]);
    look(&bed, &before, &[], &[]);
}
