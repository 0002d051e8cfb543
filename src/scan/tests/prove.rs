//! What the kept index proves, and what it must not.

use super::bed::{Bed, entry, id, name};
use crate::chunk::tests::Noise;
use crate::fs::Time;
use crate::scan::{Index, Seen, Select};

/// Syncs, changes something, syncs again: how many files the second opened. Its root must be the true one.
fn reread(bed: &mut Bed, change: impl FnOnce(&Bed)) -> u64 {
    bed.sync();
    bed.wait(1_000_000_000);
    change(bed);
    bed.wait(1_000_000_000);
    let (found, opened) = bed.sync();
    assert_eq!(found.snapshot.root(), bed.fresh().snapshot.root());
    assert!(found.snapshot.root().is_some());
    opened
}

fn three() -> Bed {
    Bed::new(&[("d/a", b"1"), ("d/e/b", b"22"), ("c", b"333")])
}

#[test]
fn unchanged_tree_is_not_read_again() {
    assert_eq!(reread(&mut three(), |_| {}), 0);
}

#[test]
fn only_the_edited_file_is_read_again() {
    assert_eq!(reread(&mut three(), |bed| bed.fs.write("d/a", b"two").unwrap()), 1);
    assert_eq!(reread(&mut three(), |bed| bed.fs.write("d/new", b"two").unwrap()), 1);
    assert_eq!(reread(&mut three(), |bed| bed.dir("d").remove_file(&name("a")).unwrap()), 0);
}

#[test]
fn edit_of_same_size_with_restored_mtime_is_found_by_its_ctime() {
    let opened = reread(&mut three(), |bed| {
        let mtime = bed.dir("d").stat(&name("a")).unwrap().mtime;
        bed.fs.write("d/a", b"9").unwrap();
        bed.set_mtime("d", "a", mtime);
    });
    assert_eq!(opened, 1);
}

#[test]
fn replaced_file_of_same_size_and_mtime_is_found_by_its_inode() {
    let opened = reread(&mut three(), |bed| {
        let mtime = bed.dir("d").stat(&name("a")).unwrap().mtime;
        bed.fs.write("d/temp", b"9").unwrap();
        bed.set_mtime("d", "temp", mtime);
        bed.rename(("d", "temp"), ("d", "a"));
    });
    assert_eq!(opened, 1);
}

#[test]
fn renamed_file_is_not_read_again() {
    assert_eq!(reread(&mut three(), |bed| bed.rename(("d", "a"), ("d", "z"))), 0);
    assert_eq!(reread(&mut three(), |bed| bed.rename(("d", "a"), ("", "a"))), 0);
}

#[test]
fn moved_directory_is_not_read_again() {
    assert_eq!(reread(&mut three(), |bed| bed.rename(("", "d"), ("", "moved"))), 0);
    assert_eq!(reread(&mut three(), |bed| bed.rename(("d", "e"), ("x/y", "e"))), 0);
}

#[test]
fn swapped_files_are_told_apart_by_their_inodes() {
    let opened = reread(&mut Bed::new(&[("a", b"1"), ("b", b"2")]), |bed| {
        bed.rename(("", "a"), ("", "temp"));
        bed.rename(("", "b"), ("", "a"));
        bed.rename(("", "temp"), ("", "b"));
    });
    assert_eq!(opened, 0);
}

#[test]
fn renamed_file_is_read_again_if_its_mtime_could_be_another_files() {
    let opened = reread(&mut three(), |bed| {
        bed.set_mtime("d", "a", Time { secs: 1, nanos: 0 });
    });
    assert_eq!(opened, 1);
    let mut bed = three();
    bed.set_mtime("d", "a", Time { secs: 1, nanos: 0 });
    bed.wait(1_000_000_000);
    assert_eq!(reread(&mut bed, |bed| bed.rename(("d", "a"), ("d", "z"))), 1);
}

#[test]
fn new_name_of_a_linked_file_does_not_explain_its_ctime() {
    let opened = reread(&mut three(), |bed| {
        bed.dir("d").link(&name("a"), &*bed.dir(""), &name("z")).unwrap();
    });
    assert_eq!(opened, 1, "once for both names");
}

#[test]
fn file_changed_in_the_tick_of_the_scan_is_read_again() {
    let mut bed = three();
    bed.wait(1_000_000_000);
    bed.fs.write("d/a", b"5").unwrap();
    bed.wait(9_000_000);
    let (first, _) = bed.sync();
    // The clock stands: size, times and inode stay the same.
    let stat = bed.dir("d").stat(&name("a")).unwrap();
    let now = bed.fs.time();
    bed.fs.set_time(stat.ctime);
    bed.fs.write("d/a", b"6").unwrap();
    bed.fs.set_time(now);
    assert_eq!(bed.dir("d").stat(&name("a")).unwrap(), stat);
    bed.wait(1_000_000_000);
    let (second, opened) = bed.sync();
    assert_eq!(opened, 1);
    assert_ne!(first.snapshot.root(), second.snapshot.root());
    assert_eq!(bed.sync().1, 0, "and is certain from then on");
}

#[test]
fn kept_root_stays_trusted_when_the_clock_goes_back() {
    let mut bed = three();
    bed.sync();
    bed.fs.set_time(Time { secs: 5, nanos: 1 });
    assert_eq!((bed.sync().1, bed.sync().1), (0, 0));
}

#[test]
fn file_dated_into_the_future_is_not_read_at_every_run() {
    let mut bed = three();
    bed.set_mtime("d", "a", Time { secs: 1 << 40, nanos: 5 });
    bed.set_mtime("d/e", "b", Time { secs: -(1 << 40), nanos: 5 });
    bed.wait(1_000_000_000);
    assert_eq!(reread(&mut bed, |_| {}), 0);
}

#[test]
fn other_filter_or_profile_needs_no_reading() {
    let mut bed = three();
    bed.sync();
    bed.options.select = Select::excluding(&[b"/c"]).unwrap();
    bed.options.profile = crate::snapshot::Profile::new(true, false);
    let (found, opened) = bed.sync();
    assert_eq!((found.snapshot.root(), opened), (bed.fresh().snapshot.root(), 0));
}

#[test]
fn index_of_other_parameters_is_passed_over() {
    let mut bed = three();
    bed.sync();
    bed.options.params = crate::chunk::Params::fixed(4096).unwrap();
    let (found, opened) = bed.sync();
    assert_eq!((found.snapshot.root(), opened), (bed.fresh().snapshot.root(), 3));
}

#[test]
fn learned_file_is_not_read_and_its_chunks_are_kept() {
    let bytes = Noise(3).bytes(500_000);
    let mut bed = Bed::new(&[("big", &bytes)]);
    bed.dir("").link(&name("big"), &*bed.dir("d"), &name("twin")).unwrap();
    bed.wait(1_000_000_000);
    let hashed = bed.fresh();
    let (root, chunks) = (entry(&hashed, "big").root().unwrap(), hashed.chunks(id(&hashed, "big")).unwrap());
    let mut found = bed.walk();
    assert_eq!((found.unknown(), found.chunks(id(&found, "big"))), (vec![id(&found, "big")], None));
    let seen = Seen { stat: bed.dir("").stat(&name("big")).unwrap(), clock: bed.fs.time() };
    let file = id(&found, "big");
    found.learn(file, root, chunks.clone(), &seen);
    found.refresh();
    assert_eq!((found.snapshot.root(), found.unknown()), (hashed.snapshot.root(), vec![]));
    bed.index = Some(Index::parse(Index::encode(&found)).unwrap());
    let (found, opened) = bed.sync();
    assert_eq!((found.chunks(id(&found, "d/twin")), opened), (Some(chunks), 0));
}
