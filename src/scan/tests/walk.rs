use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::bed::{Bed, Notices, entry, id, name, path, paths};
use crate::chunk::tests::Noise;
use crate::chunk::{ChunkRef, Chunker};
use crate::fs::fault::{Op, Plan};
use crate::fs::{Rdev, Special, Time, os, state, walk as fs_walk};
use crate::monitor::{Monitor, Phase};
use crate::scan::{Opener, ScanError, Seen, Select, Side, scan};
use crate::snapshot::Node;
use crate::tree;

#[test]
fn scan_reads_no_file_and_knows_every_name() {
    let bed = Bed::new(&[("a", b"1"), ("d/b", b"22"), ("d/e/c", b"333")]);
    bed.dir("d").create_symlink(&name("l"), b"../\xff anywhere").unwrap();
    let found = bed.walk();
    assert_eq!(paths(&found), ["a", "d", "d/b", "d/e", "d/e/c", "d/l"]);
    assert_eq!(entry(&found, "d/l").node, Node::Symlink { target: (*b"../\xff anywhere").into() });
    assert_eq!(entry(&found, "d/e/c").size(), Some(3));
    assert_eq!((bed.faults.count(Op::OpenFile), bed.faults.count(Op::Read)), (0, 0));
    assert_eq!(found.unknown().len(), 3);
    assert!(found.snapshot.root().is_none() && found.errors.is_empty());
    for at in 0..found.snapshot.entry_count() as usize {
        assert_eq!(found.prints[at].mtime, found.snapshot.all_entries()[at].meta.mtime);
    }
}

#[test]
fn roots_are_those_of_the_bytes_whatever_their_length() {
    let params = crate::chunk::Params::default();
    let sizes = [0, 1, 16 << 10, (16 << 10) + 1, 300_000, 1 << 20, (1 << 20) + 1, 3_500_000];
    let contents: Vec<Vec<u8>> = sizes.iter().map(|&size| Noise(size as u64).bytes(size)).collect();
    let names: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().zip(&contents).map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let mut bed = Bed::new(&files);
    bed.options.threads = 3;
    for found in [bed.sync().0, bed.sync().0] {
        assert!(found.snapshot.root().is_some());
        for (at, bytes) in &files {
            let chunker = Chunker::new(&params);
            assert_eq!(entry(&found, at).root(), Some(tree::hash_bytes(&chunker, bytes).hash), "{at}");
            let chunks: Vec<ChunkRef> = chunker.split(bytes).map(ChunkRef::of).collect();
            assert_eq!(found.chunks(id(&found, at)), Some(chunks), "{at}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let mut noise = Noise(7);
    let files: Vec<(String, Vec<u8>)> = (0..300)
        .map(|at| (format!("d{}/e{}/f{at}", noise.below(9), noise.below(9)), noise.bytes(at % 50)))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(at, bytes)| (at.as_str(), &bytes[..])).collect();
    let mut bed = Bed::new(&files);
    let expected = bed.fresh();
    for threads in [1, 2, 5] {
        bed.options.threads = threads;
        let found = bed.fresh();
        assert_eq!(found.prints, expected.prints);
        assert_eq!(found.snapshot.all_entries(), expected.snapshot.all_entries());
        assert_eq!(found.snapshot.root(), expected.snapshot.root());
    }
}

#[test]
fn filter_leaves_out_names_and_whole_directories() {
    let mut bed = Bed::new(&[("a.o", b""), ("a.c", b""), ("target/x", b""), ("src/target/y", b"")]);
    bed.options.select = Select::excluding(&[b"*.o", b"/target/"]).unwrap();
    let found = bed.walk();
    assert_eq!(paths(&found), ["a.c", "src", "src/target", "src/target/y"]);
    let listed = bed.faults.log().iter().filter(|record| record.path == path("target")).count();
    assert_eq!(listed, 0, "an excluded directory is not even looked at");
}

#[test]
fn own_temporary_names_are_leftovers_and_not_entries() {
    let bed = Bed::new(&[("d/.syncline-tmp-1/x/.syncline-tmp-2", b""), (".syncline-tmp-3", b""), ("a", b"")]);
    let found = bed.walk();
    assert_eq!(found.leftovers, [path(".syncline-tmp-3"), path("d/.syncline-tmp-1")]);
    assert_eq!(paths(&found), ["a", "d"]);
}

#[test]
fn source_skips_special_names_with_a_notice_and_destination_keeps_them() {
    let mut bed = Bed::new(&[("d/a", b"")]);
    bed.fs.mkspecial("d/pipe").unwrap();
    let notices = Notices::default();
    let found = scan(&bed.root(), None, &bed.options, &notices).unwrap();
    assert_eq!(paths(&found), ["d", "d/a"]);
    assert_eq!(
        *notices.0.lock().unwrap(),
        ["d/pipe: skipped: a device, FIFO or socket, or a link that is not sent"]
    );
    bed.options.side = Side::Receiver;
    let fifo = Node::Special { what: Special::Fifo, rdev: Rdev::default() };
    assert_eq!(entry(&bed.walk(), "d/pipe").node, fifo);
    bed.options.side = Side::Sender;
    bed.options.profile = bed.options.profile.with_specials();
    assert_eq!(entry(&bed.walk(), "d/pipe").node, fifo);
}

#[test]
fn names_of_one_inode_are_links_to_the_first_in_path_order() {
    let mut bed = Bed::new(&[("m/file", b"shared"), ("a-b", b"")]);
    bed.dir("m").link(&name("file"), &*bed.dir("a"), &name("z")).unwrap();
    bed.dir("m").link(&name("file"), &*bed.dir(""), &name("zz")).unwrap();
    bed.wait(1_000_000_000);
    for round in 0..2 {
        let (found, opened) = bed.sync();
        // As bytes "a-b" stands before "a/z"; as paths the directory "a" comes first.
        assert_eq!(opened, if round == 0 { 2 } else { 0 });
        let first = entry(&found, "a/z");
        let Node::File { root: Some(root), link: None, .. } = &first.node else { panic!("{first:?}") };
        for other in ["m/file", "zz"] {
            let Node::File { root: own, link, .. } = &entry(&found, other).node else { panic!("{other}") };
            assert_eq!((own, link.as_deref()), (&Some(*root), Some(&path("a/z"))));
            assert_eq!(found.chunks(id(&found, other)), found.chunks(id(&found, "a/z")));
        }
        assert!(found.snapshot.root().is_some());
    }
    bed.options.select = Select::excluding(&[b"/a/"]).unwrap();
    let found = bed.walk();
    let Node::File { link, .. } = &entry(&found, "m/file").node else { panic!() };
    assert_eq!(*link, None, "the first of the names that are not excluded");
}

#[test]
fn tree_of_depth_2500_with_a_branch_at_each_level_is_scanned_hashed_and_kept() {
    let bed = Bed::new(&[]);
    let mut dir = bed.fs.root();
    for level in 0..2500 {
        if level % 100 == 0 {
            dir.create_file(&name("f"), 0o644).unwrap().write_all_at(&[level as u8], 0).unwrap();
        }
        // Sorted first, so that it waits until the walk comes back up.
        dir.create_dir(&name("aside"), 0o755).unwrap().create_file(&name("g"), 0o644).unwrap();
        dir = dir.create_dir(&name("deeper"), 0o755).unwrap();
    }
    dir.link(&name("none"), &*dir, &name("other")).unwrap_err();
    let mut bed = bed;
    bed.wait(1_000_000_000);
    let (first, opened) = bed.sync();
    assert_eq!((first.snapshot.dir_count(), opened), (5001, 2525));
    assert!(first.errors.is_empty() && first.snapshot.root().is_some());
    let opens = bed.faults.count(Op::OpenDir);
    let (again, opened) = bed.sync();
    assert_eq!((again.snapshot.root(), opened), (first.snapshot.root(), 0));
    // Each directory once, and a way down from the root for each stretch whose handles were let go.
    let opens = bed.faults.count(Op::OpenDir) - opens;
    assert!(opens < 5000 + 2 * 2500 * (2500 / 40), "{opens} directories opened");
}

/// Counts the descriptors of the process now and then.
#[derive(Default)]
struct Descriptors(AtomicUsize);

impl Monitor for Descriptors {
    fn advance(&self, _: Phase, _: u64, _: u64) {
        let count = state::list(Path::new("/proc/self/fd")).unwrap().len();
        self.0.fetch_max(count, Ordering::Relaxed);
    }
}

#[test]
fn real_tree_of_depth_2100_needs_few_descriptors() {
    let temp = tempfile::tempdir().unwrap();
    let top = os::open_root(temp.path()).unwrap();
    let mut dir = top.create_dir(&name("deep"), 0o755).unwrap();
    let root = dir.clone();
    for level in 0..2100 {
        if level % 10 == 0 {
            dir.create_dir(&name("aside"), 0o755).unwrap();
        }
        dir = dir.create_dir(&name("deeper"), 0o755).unwrap();
    }
    dir.create_file(&name("f"), 0o644).unwrap().write_all_at(b"bottom", 0).unwrap();
    let bed = Bed::new(&[]);
    let most = Descriptors::default();
    let mut found = scan(&root, None, &bed.options, &most).unwrap();
    found.hash_unknown(&Opener::new(root), &bed.options, &most);
    assert!(found.errors.is_empty() && found.snapshot.root().is_some());
    assert_eq!((found.snapshot.dir_count(), found.snapshot.totals().files), (2311, 1));
    // Two threads and their caches, and what other tests have open at the same time.
    let most = most.0.load(Ordering::Relaxed);
    assert!(most < 500, "{most} descriptors were open");
    fs_walk::remove_tree(&*top, &name("deep")).unwrap();
}

#[test]
fn panic_of_one_thread_ends_the_scan() {
    let mut bed = Bed::new(&[("a/b/c", b""), ("d/e/f", b""), ("g/h", b"")]);
    for nth in [3, 6, 9] {
        bed.options.threads = 3;
        bed.faults.set_plan(Plan::new().panic_at(nth));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bed.walk()));
        assert!(result.is_err());
    }
}

#[test]
fn name_that_vanishes_is_simply_absent() {
    let bed = Bed::new(&[("d/a", b""), ("d/b", b""), ("e/c", b""), ("f/x", b"")]);
    bed.faults.set_plan(
        Plan::new()
            .fail_from(Op::Stat, 1, Errno::NOENT)
            .on("d/a")
            .fail_from(Op::OpenDir, 1, Errno::NOENT)
            .on("e"),
    );
    let found = bed.walk();
    assert_eq!(paths(&found), ["d", "d/b", "f", "f/x"]);
    assert!(found.errors.is_empty());
}

#[test]
fn what_cannot_be_read_is_an_error_and_the_rest_goes_on() {
    for (op, at, operation, left) in [
        (Op::List, "d", "list", &["d", "e", "e/c"][..]),
        (Op::OpenDir, "d", "open", &["d", "e", "e/c"]),
        (Op::Stat, "d/a", "stat", &["d", "d/b", "e", "e/c"]),
    ] {
        let bed = Bed::new(&[("d/a", b""), ("d/b", b""), ("e/c", b"")]);
        bed.faults.set_plan(Plan::new().fail_from(op, 1, Errno::ACCESS).on(at));
        let found = bed.walk();
        assert_eq!(paths(&found), left);
        let [ScanError::Io { path: failed, operation: tried, source }] = &found.errors[..] else {
            panic!("{:?}", found.errors)
        };
        assert_eq!(
            (failed, *tried, source.kind()),
            (&path(at), operation, std::io::ErrorKind::PermissionDenied)
        );
    }
}

#[test]
fn scan_fails_if_the_root_cannot_be_listed() {
    for op in [Op::List, Op::Stat] {
        let bed = Bed::new(&[("a", b"")]);
        bed.faults.set_plan(Plan::new().fail(op, 1, Errno::NOENT));
        let error = scan(&bed.root(), None, &bed.options, &()).unwrap_err();
        assert!(matches!(error, ScanError::Io { path, .. } if path.is_root()));
    }
}

#[test]
fn file_that_cannot_be_read_stays_unknown_and_is_an_error() {
    for (op, operation) in [(Op::OpenFile, "open"), (Op::Read, "read")] {
        let mut bed = Bed::new(&[("a", b"1"), ("b", b"2")]);
        bed.faults.set_plan(Plan::new().fail_from(op, 1, Errno::IO).on("a"));
        let (found, _) = bed.sync();
        assert!(entry(&found, "a").root().is_none() && entry(&found, "b").root().is_some());
        assert!(matches!(&found.errors[..], [ScanError::Io { operation: tried, .. }] if *tried == operation));
        assert!(found.snapshot.root().is_none());
    }
}

#[test]
fn file_changed_since_its_stat_gets_its_new_size_and_time() {
    let bed = Bed::new(&[("a", b"old")]);
    let mut found = bed.walk();
    bed.fs.write("a", b"longer now").unwrap();
    bed.wait(1_000_000_000);
    found.hash_unknown(&Opener::new(bed.root()), &bed.options, &());
    assert!(found.errors.is_empty());
    assert_eq!(found.snapshot.root(), bed.fresh().snapshot.root());
    assert_eq!(entry(&found, "a").size(), Some(10));
}

#[test]
fn stat_is_racy_within_a_tick_of_the_last_change() {
    let time = |secs, nanos| Time { secs, nanos };
    let bed = Bed::new(&[("a", b"")]);
    let stat = bed.fs.root().stat(&name("a")).unwrap();
    for (mtime, ctime, clock, expected) in [
        (time(5, 1), time(5, 500), time(5, 500), true),
        (time(5, 1), time(5, 500), time(5, 10_000_500), true),
        (time(5, 1), time(5, 500), time(5, 10_000_501), false),
        (time(5, 1), time(5, 0), time(7, 0), true),
        (time(5, 1), time(5, 0), time(7, 2), false),
        // The clock went back: until it has caught up nothing is certain.
        (time(5, 1), time(9, 1), time(6, 0), true),
        // A date set by hand says nothing, unless it is now.
        (time(i64::MAX, 999_999_999), time(5, 1), time(6, 0), false),
        (time(i64::MIN, 0), time(5, 1), time(6, 0), false),
        (time(5, 999_999_999), time(5, 1), time(6, 0), true),
    ] {
        let seen = Seen { stat: crate::fs::Stat { mtime, ctime, ..stat }, clock };
        assert_eq!(seen.is_racy(), expected, "{mtime:?} {ctime:?} {clock:?}");
    }
}
