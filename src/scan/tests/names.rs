//! Names that are taken from the kept index, because their directory is what it was; and those that must not be.

use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, entry, name, path, paths};
use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::{Attrs, Dir, DirRef, Time, os};
use crate::path::RelPath;
use crate::scan::{Index, Opener, Options, Scan, Select, Side, scan};

const FILES: [(&str, &[u8]); 5] =
    [("top", b"0"), ("d/a", b"1"), ("d/b", b"22"), ("d/e/c", b"333"), ("f/g/h", b"4444")];

/// A change of what is in the directory that it is given, in which `a`, `b` and the directory `e` are.
type Edit = fn(&DirRef);

/// Changes of names, and nothing else that a stat of the names before would show.
const EDITS: [(&str, Edit); 9] = [
    ("a file added", |d| drop(d.create_file(&name("new"), 0o644).unwrap())),
    ("a directory added", |d| drop(d.create_dir(&name("new"), 0o755).unwrap())),
    ("a link added", |d| d.create_symlink(&name("new"), b"a").unwrap()),
    ("a second name", |d| d.link(&name("a"), &**d, &name("new")).unwrap()),
    ("a file removed", |d| d.remove_file(&name("a")).unwrap()),
    ("a file renamed", |d| d.rename(&name("a"), &**d, &name("new")).unwrap()),
    ("a file replaced by another", |d| d.rename(&name("a"), &**d, &name("b")).unwrap()),
    ("two that changed places", |d| d.exchange(&name("a"), &name("e")).unwrap()),
    ("a directory in the place of a file", |d| {
        d.remove_file(&name("a")).unwrap();
        d.create_dir(&name("a"), 0o755).unwrap();
    }),
];

/// The directories that were listed since `before` operations.
fn listed(faults: &Faults, before: u64) -> Vec<RelPath> {
    let log = faults.log().split_off(before as usize);
    let mut listed: Vec<RelPath> =
        log.into_iter().filter(|record| record.op == Op::List).map(|record| record.path).collect();
    listed.sort();
    listed
}

fn same(found: &Scan, fresh: &Scan, context: &str) {
    assert_eq!(paths(found), paths(fresh), "{context}");
    assert_eq!(found.snapshot.all_entries(), fresh.snapshot.all_entries(), "{context}");
    assert_eq!(found.snapshot.root(), fresh.snapshot.root(), "{context}");
}

/// What a scan lists of a tree that was scanned before, and changed since. What it finds must be true.
fn relisted(bed: &mut Bed, context: &str) -> Vec<RelPath> {
    let before = bed.faults.total();
    let (found, _) = bed.sync();
    same(&found, &bed.fresh(), context);
    listed(&bed.faults, before)
}

fn kept() -> Bed {
    let mut bed = Bed::new(&FILES);
    bed.sync();
    bed.wait(1_000_000_000);
    bed
}

#[test]
fn names_of_unchanged_directories_are_those_of_the_index() {
    let mut bed = kept();
    for _ in 0..3 {
        assert_eq!(relisted(&mut bed, "nothing"), [RelPath::root()]);
        bed.wait(1_000_000_000);
    }
}

#[test]
fn changed_names_are_seen_and_only_their_directory_is_read() {
    for (what, edit) in EDITS {
        for at in ["d", "", "d/e"] {
            let mut bed = Bed::new(&FILES);
            for file in ["a", "b", "e/inside"] {
                let below = if at.is_empty() { file.to_owned() } else { format!("{at}/{file}") };
                bed.fs.write(&below, file.as_bytes()).unwrap();
            }
            bed.wait(1_000_000_000);
            let first = bed.sync().0.snapshot;
            let all: Vec<RelPath> = first.dirs().map(|dir| first.dir_path(dir)).collect();
            bed.wait(1_000_000_000);
            edit(&bed.dir(at));
            bed.wait(1_000_000_000);
            let mut found = relisted(&mut bed, what);
            // What is new, or was moved, is read as well.
            let moved = path(at).join(&name(if what == "two that changed places" { "e" } else { "none" }));
            found.retain(|dir| all.contains(dir) && *dir != moved);
            let mut expected = vec![RelPath::root(), path(at)];
            expected.dedup();
            assert_eq!(found, expected, "{what} in {at:?}");
            bed.wait(1_000_000_000);
            assert_eq!(relisted(&mut bed, what), [RelPath::root()], "{what} in {at:?}, again");
        }
    }
}

#[test]
fn names_that_are_seen_are_the_right_kind_after_they_were_replaced() {
    let mut bed = kept();
    bed.dir("d").remove_file(&name("a")).unwrap();
    bed.dir("d").create_symlink(&name("a"), b"b").unwrap();
    bed.wait(1_000_000_000);
    let (found, _) = bed.sync();
    assert!(entry(&found, "d/a").size().is_none());
}

#[test]
fn a_directory_whose_ctime_is_too_young_is_read_again() {
    for nanos in [0, 5_000_000, 9_000_000] {
        let mut bed = kept();
        bed.fs.write("d/young", b"1").unwrap();
        let tick = bed.fs.time();
        bed.wait(nanos);
        bed.sync();
        // Again in that tick: no stat of the directory tells.
        bed.fs.set_time(tick);
        bed.fs.write("d/younger", b"2").unwrap();
        bed.wait(3_000_000_000);
        assert_eq!(relisted(&mut bed, "young"), [RelPath::root(), path("d")], "{nanos} ns");
        assert!(bed.walk().snapshot.find_path(&path("d/younger")).is_some());
        assert_eq!(relisted(&mut bed, "old"), [RelPath::root()], "{nanos} ns");
    }
}

#[test]
fn every_directory_is_read_where_names_do_not_show_in_the_ctime() {
    let mut bed = kept();
    bed.fs.show_names_in_ctime(false);
    let all = ["", "d", "d/e", "f", "f/g"].map(path);
    assert_eq!(relisted(&mut bed, "without"), all);
    // The index is none the worse for it.
    bed.wait(1_000_000_000);
    bed.fs.show_names_in_ctime(true);
    assert_eq!(relisted(&mut bed, "with"), [RelPath::root()]);
}

#[test]
fn what_was_left_out_by_a_filter_is_seen_without_it() {
    let mut bed = Bed::new(&FILES);
    bed.options.select = Select::excluding(&[b"/d/b", b"/f/g/"]).unwrap();
    bed.sync();
    bed.wait(1_000_000_000);
    bed.options.select = Select::default();
    assert_eq!(relisted(&mut bed, "without the filter").len(), 4);
    let found = bed.walk();
    assert!(["d/b", "f/g/h"].iter().all(|at| found.snapshot.find_path(&path(at)).is_some()));
    bed.options.select = Select::excluding(&[b"/d/a"]).unwrap();
    let found = bed.walk();
    assert_eq!(paths(&found), ["d", "d/b", "d/e", "d/e/c", "f", "f/g", "f/g/h", "top"]);
}

#[test]
fn a_directory_with_what_is_no_entry_or_cannot_be_read_is_not_complete() {
    let mut bed = Bed::new(&FILES);
    bed.fs.mkspecial("d/pipe").unwrap();
    bed.fs.write("f/.syncline-tmp-1", b"").unwrap();
    bed.wait(1_000_000_000);
    bed.faults.set_plan(Plan::new().fail_from(Op::Stat, 1, rustix::io::Errno::ACCESS).on("d/e/c"));
    bed.sync();
    bed.faults.set_plan(Plan::new());
    bed.wait(1_000_000_000);
    bed.options.side = Side::Receiver;
    assert_eq!(relisted(&mut bed, "incomplete"), ["", "d", "d/e", "f"].map(path));
    let found = bed.walk();
    assert!(["d/pipe", "d/e/c"].iter().all(|at| found.snapshot.find_path(&path(at)).is_some()));
    assert_eq!(found.leftovers, [path("f/.syncline-tmp-1")]);
}

#[test]
fn a_moved_directory_is_read_where_it_is_now() {
    let mut bed = kept();
    bed.rename(("f", "g"), ("d", "g"));
    bed.wait(1_000_000_000);
    assert_eq!(relisted(&mut bed, "moved"), ["", "d", "d/g", "f"].map(path));
}

#[test]
fn a_directory_that_takes_the_place_of_another_is_read() {
    let mut bed = kept();
    // The same names, in another inode, and nothing else that differs.
    let old = bed.dir("").stat(&name("f")).unwrap();
    bed.rename(("", "f"), ("d", "f"));
    bed.fs.write("f/other", b"").unwrap();
    bed.fs.set_time(Time { secs: old.ctime.secs, nanos: old.ctime.nanos });
    let attrs = Attrs { mtime: Some(old.mtime), ..Attrs::default() };
    bed.dir("").set_attrs(&name("f"), &attrs).unwrap();
    bed.wait(3_000_000_000);
    let found = relisted(&mut bed, "replaced");
    assert!(found.contains(&path("f")), "{found:?}");
}

/// A real directory, and scans of it by a clock that is long past every change.
struct Real {
    temp: tempfile::TempDir,
    faults: Faults,
    options: Options,
    index: Option<Index>,
}

impl Real {
    fn new() -> Real {
        // In memory where that is a file system of its own, so that the test is fast, and trusted.
        let shm = std::path::Path::new("/dev/shm");
        let temp = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let now = Time { secs: 4_000_000_000, nanos: 1 };
        let options = Options { threads: 1, ..Options::new(Arc::new(move || now)) };
        Real { temp: temp.unwrap(), faults: Faults::new(Plan::new()), options, index: None }
    }

    fn root(&self) -> DirRef {
        os::open_root(self.temp.path()).unwrap()
    }

    fn dir(&self, at: &str) -> DirRef {
        path(at).components().fold(self.root(), |dir, name| dir.open_dir(&name).unwrap())
    }

    fn scan(&self, index: Option<&Index>) -> Scan {
        let mut found = scan(&self.faults.wrap(self.root()), index, &self.options, &()).unwrap();
        found.hash_unknown(&Opener::new(self.root()), &self.options, &());
        found
    }

    /// Scans, keeps the index, and gives what was listed for it.
    fn relisted(&mut self, context: &str) -> Vec<RelPath> {
        let before = self.faults.total();
        let found = self.scan(self.index.as_ref());
        let listed = listed(&self.faults, before);
        same(&found, &self.scan(None), context);
        self.index = Some(Index::parse(Index::encode(&found)).unwrap());
        // Until the kernel's clock has another time to stamp a change with.
        std::thread::sleep(Duration::from_millis(25));
        listed
    }
}

#[test]
fn changed_names_are_seen_on_a_real_file_system() {
    for (what, edit) in EDITS {
        let mut real = Real::new();
        let d = real.root().create_dir(&name("d"), 0o755).unwrap();
        for file in ["a", "b"] {
            d.create_file(&name(file), 0o644).unwrap().write_all_at(file.as_bytes(), 0).unwrap();
        }
        d.create_dir(&name("e"), 0o755).unwrap().create_file(&name("c"), 0o644).unwrap();
        real.relisted(what);
        let shown = real.root().names_show_in_ctime();
        let unchanged = real.relisted(what);
        assert_eq!(unchanged.len(), if shown { 1 } else { 3 }, "{what}: {unchanged:?}");
        edit(&real.dir("d"));
        let changed = real.relisted(what);
        assert!(changed.contains(&path("d")), "{what}: {changed:?}");
        edit_below(&real);
        real.relisted("a name below");
    }
}

/// A name two directories down, whose parents do not change.
fn edit_below(real: &Real) {
    let d = real.dir("d");
    let below = d.list().unwrap().into_iter().find_map(|(name, _)| d.open_dir(&name).ok());
    below.unwrap().create_file(&name("late"), 0o600).unwrap();
}

#[test]
fn file_systems_that_keep_the_rule_are_known_by_their_number() {
    // What the kernel shows of processes does not keep it.
    assert!(!os::open_root(std::path::Path::new("/proc")).unwrap().names_show_in_ctime());
    let shm = std::path::Path::new("/dev/shm");
    if shm.is_dir() {
        let known: &dyn Dir = &*os::open_root(shm).unwrap();
        assert!(known.names_show_in_ctime());
    }
}
