//! One operation fails: the right exit code, the old file intact, nothing left behind.

use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::bed::*;
use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::mem::MemFs;
use crate::fs::os;
use crate::monitor::Phase;
use crate::path::RelPath;
use crate::scan::Cache;
use crate::sync::{Options, Place, Summary, SyncError};

fn pair() -> (Tree, Tree) {
    let from =
        [("d/big", file(&large(1))), ("new", file(&large(9))), ("n/x", file(b"x")), ("z", file(b"new"))];
    let to = [("d/big", file(b"old")), ("extra", file(b"extra")), ("z", file(b"old"))];
    (tree(&from), tree(&to))
}

/// A run that fails as a whole leaves everything as it was, and nothing of its own.
#[track_caller]
fn fails_and_changes_nothing(plan: Plan, code: u8) -> SyncError {
    let (from, to) = pair();
    let target = mem(&to);
    let (result, faults) = counted(&mem(&from), &target, plan, &options(true));
    let error = result.expect_err("the run fails");
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(capture(&target.root()), to, "{error}");
    faults.set_plan(Plan::new());
    assert_eq!(leftovers(&target.root()), [], "{error}");
    error
}

/// A run in which one path fails does everything else.
#[track_caller]
fn fails_in_part(from: &MemFs, to: &MemFs, source: Plan, target: Plan, options: &Options) -> Summary {
    let (source, target) = (Faults::new(source).wrap(from.root()), Faults::new(target).wrap(to.root()));
    let summary = sync(&source, &target, options).expect("the run goes on");
    assert_eq!(leftovers(&to.root()), []);
    summary
}

#[test]
fn full_disk_leaves_the_old_files_and_no_temporary_ones() {
    let (from, to) = pair();
    for room in [0, 1, 3, 50_000, 149_999, 160_000, 299_999] {
        let target = mem(&to);
        target.set_capacity(target.used() + room);
        let error = sync(&mem(&from).root(), &target.root(), &options(true)).unwrap_err();
        assert_eq!(error.code(), 11, "{room}: {error}");
        assert_eq!(capture(&target.root()), to, "{room}");
        assert_eq!(leftovers(&target.root()), [], "{room}");
        target.set_capacity(u64::MAX);
        assert_eq!(sync(&mem(&from).root(), &target.root(), &options(true)).unwrap().code, 0);
        assert_eq!(capture(&target.root()), from);
    }
}

#[test]
fn leftovers_are_removed_when_the_disk_is_full() {
    let (from, to) = pair();
    let target = mem(&to);
    target.write("d/.syncline-tmp-1-1", &[7; 100_000]).unwrap();
    target.set_capacity(target.used() + 10);
    assert_eq!(sync(&mem(&from).root(), &target.root(), &options(true)).unwrap_err().code(), 11);
    assert_eq!(leftovers(&target.root()), []);
}

#[test]
fn torn_write_fails_the_run() {
    for nth in 1..5 {
        fails_and_changes_nothing(Plan::new().tear_write(nth, Errno::NOSPC), 11);
    }
}

#[test]
fn fatal_errors_anywhere_in_staging_end_the_run_with_11() {
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO, Errno::MFILE, Errno::NFILE] {
        for op in [Op::CreateFile, Op::Write] {
            fails_and_changes_nothing(Plan::new().fail(op, 1, errno), 11);
            fails_and_changes_nothing(Plan::new().fail(op, 2, errno), 11);
        }
        fails_and_changes_nothing(Plan::new().fail(Op::CreateDir, 1, errno), 11);
    }
}

#[test]
fn what_only_close_tells_ends_the_run_with_11() {
    for nth in 1..=3 {
        let error = fails_and_changes_nothing(Plan::new().fail(Op::Close, nth, Errno::IO), 11);
        assert!(error.to_string().contains("close"), "{error}");
    }
}

#[test]
fn failed_sync_ends_the_run_with_11_and_is_not_tried_again() {
    for errno in [Errno::IO, Errno::NOSPC, Errno::INVAL] {
        let error = fails_and_changes_nothing(Plan::new().fail(Op::SyncFs, 1, errno), 11);
        assert!(error.to_string().contains("durable"), "{error}");
    }
    let (from, to) = pair();
    for nth in 1..=3 {
        let home = tempfile::tempdir().unwrap();
        let cache = Some(Arc::new(Cache::new(home.path().to_owned())));
        let target = mem(&to);
        let options = Options { cache, ..options(true) };
        let plan = Plan::new().fail(Op::SyncFs, nth, Errno::IO);
        let (result, faults) = counted(&mem(&from), &target, plan, &options);
        assert_eq!(result.unwrap_err().code(), 11, "barrier {nth}");
        assert_eq!(faults.count(Op::SyncFs), nth, "never tried again");
        let kept = home.path().read_dir().unwrap().count();
        assert_eq!(kept, 0, "barrier {nth}: no index is kept of what may not be there");
        let (old, now) = (to.get(&path("extra")), capture(&target.root()));
        // The last barrier follows the deletions.
        assert!(nth == 3 || now.get(&path("extra")) == old, "barrier {nth}");
    }
}

#[test]
fn path_that_cannot_be_made_is_named_and_others_are_made() {
    let (from, to) = pair();
    for errno in [Errno::NAMETOOLONG, Errno::ACCESS, Errno::PERM] {
        for nth in 1..=3 {
            let plan = Plan::new().fail(Op::CreateFile, nth, errno);
            let target = mem(&to);
            let done = fails_in_part(&mem(&from), &target, Plan::new(), plan, &options(true));
            // What a mode seems to forbid is tried a second time, after the mode was changed.
            assert_eq!((done.code, done.problems.len()), (23, 1), "{errno} {nth}: {done:?}");
            assert_eq!(done.root, None);
            let failed = &done.problems[0].path;
            let now = capture(&target.root());
            for (at, spec) in from.iter().filter(|(at, spec)| *at != failed && spec.node != Node::Dir) {
                assert_eq!(now.get(at), Some(spec), "{errno} {nth}: {at}");
            }
            assert_eq!(now.get(failed), to.get(failed), "{errno} {nth}: {failed}");
        }
    }
}

/// So many files and links that stay, and all metadata of which changes.
fn many(meta: u32) -> Tree {
    let mut all = tree(&[]);
    for n in 0..7000 {
        let mut spec = if n % 100 == 0 { symlink("target") } else { file(b"stays") };
        spec.mode = if spec.mode == 0 { 0 } else { meta };
        spec.mtime = at(i64::from(meta) * 10 + n % 7);
        let dir_path = path(&format!("d{}", n % 5));
        all.entry(dir_path.clone()).or_insert_with(dir);
        all.insert(dir_path.join(&crate::path::Name::try_from(&format!("f{n:04}")[..]).unwrap()), spec);
    }
    all
}

#[test]
fn metadata_of_many_files_is_set_and_what_fails_is_named() {
    let (from, to) = (many(0o600), many(0o644));
    let failing = ["d0/f0005", "d3/f3498", "d4/f6999"];
    let mut plan = Plan::new();
    for at in failing {
        plan = plan.fail_from(Op::SetAttrs, 1, Errno::PERM).on(at);
    }
    let target = mem(&to);
    let done = fails_in_part(&mem(&from), &target, Plan::new(), plan, &options(true));
    assert_eq!(done.report.metadata_only, 7000, "{:?}", done.report);
    assert_eq!((done.code, done.root), (23, None));
    let mut named: Vec<RelPath> = done.problems.iter().map(|problem| problem.path.clone()).collect();
    named.sort();
    assert_eq!(named, failing.map(path), "{:?}", done.problems);
    let now = capture(&target.root());
    for (at, spec) in &from {
        let expected = if named.contains(at) { &to[at] } else { spec };
        assert_eq!(now.get(at), Some(expected), "{at}");
    }
    assert_eq!(sync(&mem(&from).root(), &target.root(), &options(true)).unwrap().code, 0);
    assert!(capture(&target.root()) == from);
    // What no file can be without ends the run, on whatever thread it happens.
    for at in failing {
        let plan = Plan::new().fail_from(Op::SetAttrs, 1, Errno::ROFS).on(at);
        let target = mem(&to);
        let (result, _) = counted(&mem(&from), &target, plan, &options(true));
        assert_eq!(result.expect_err("the run fails").code(), 11, "{at}");
    }
}

#[test]
fn moved_file_that_cannot_be_made_keeps_its_old_name() {
    let (from, to) =
        (tree(&[("d/new", file(&large(5)))]), tree(&[("d/f", file(b"f")), ("old", file(&large(5)))]));
    for [op, other] in [[Op::Link, Op::CreateFile], [Op::Rename, Op::RenameNew]] {
        let plan = Plan::new().fail_from(op, 1, Errno::PERM).fail_from(other, 1, Errno::PERM);
        let target = mem(&to);
        let done = fails_in_part(&mem(&from), &target, Plan::new(), plan, &options(true));
        assert_eq!(done.code, 23, "{op:?}: {done:?}");
        let now = capture(&target.root());
        assert_eq!(now.get(&path("old")), to.get(&path("old")), "{op:?}: the only copy");
        assert_eq!(now.get(&path("d/f")), None, "{op:?}: this one was deleted");
    }
}

#[test]
fn unreadable_source_file_suppresses_deletions() {
    let (from, to) = pair();
    for errno in [Errno::IO, Errno::ACCESS] {
        for plan in [
            Plan::new().fail_from(Op::OpenFile, 1, errno).on("z"),
            Plan::new().fail_from(Op::Read, 1, errno).on("z"),
        ] {
            let target = mem(&to);
            let done = fails_in_part(&mem(&from), &target, plan, Plan::new(), &options(true));
            assert_eq!(done.code, 23, "{done:?}");
            assert!(done.problems.iter().any(|problem| problem.path == path("z")), "{done:?}");
            let now = capture(&target.root());
            assert_eq!(now.get(&path("z")), to.get(&path("z")));
            assert_eq!(now.get(&path("d/big")), from.get(&path("d/big")), "others are made");
            assert_eq!(now.get(&path("extra")), to.get(&path("extra")), "nothing is deleted");
            assert_eq!(done.report.deleted, 0);
        }
    }
}

#[test]
fn unreadable_source_directory_keeps_all_that_is_there() {
    // `locked/sub` would be moved to `copy`, if its name were known to be gone.
    let from = tree(&[("locked/sub/f", file(b"f")), ("copy/f", file(b"f")), ("z", file(b"new"))]);
    let to = tree(&[("locked/sub/f", file(b"f")), ("extra/g", file(b"g")), ("z", file(b"old"))]);
    for op in [Op::List, Op::OpenDir] {
        let target = mem(&to);
        let plan = Plan::new().fail_from(op, 1, Errno::ACCESS).on("locked");
        let done = fails_in_part(&mem(&from), &target, plan, Plan::new(), &options(true));
        assert_eq!(done.code, 23, "{done:?}");
        let now = capture(&target.root());
        for at in ["locked/sub/f", "extra/g"].map(path) {
            assert_eq!(now.get(&at), to.get(&at), "{op:?}: {at}");
        }
        assert_eq!(now.get(&path("copy/f")), from.get(&path("copy/f")));
        assert_eq!(now.get(&path("z")), from.get(&path("z")));
    }
}

#[test]
fn links_to_a_file_that_failed_keep_their_own_bytes() {
    let from = tree(&[("a", file(b"new")), ("b", link("a"))]);
    let to = tree(&[("a", file(b"old a")), ("b", file(b"old b"))]);
    let source = Plan::new().fail_from(Op::Read, 1, Errno::IO).on("a");
    let target = Plan::new().fail_from(Op::CreateFile, 1, Errno::ACCESS);
    for (source, target) in [(source, Plan::new()), (Plan::new(), target)] {
        let fs = mem(&to);
        let done = fails_in_part(&mem(&from), &fs, source, target, &options(true));
        assert_eq!(done.code, 23, "{done:?}");
        assert_eq!(capture(&fs.root()), to, "{done:?}");
    }
}

#[test]
fn file_that_vanishes_or_changes_is_consistent_or_24() {
    let (from, to) = pair();
    for change in ["vanish", "grow", "shrink", "replace"] {
        let (source, target) = (mem(&from), mem(&to));
        let fs = source.clone();
        let act = move || {
            fs.set_time(at(1_700_000_000));
            match change {
                "vanish" => fs.root().remove_file(&"new".try_into().unwrap()).unwrap(),
                "grow" => fs.write("new", &large(3).repeat(2)).unwrap(),
                "shrink" => fs.write("new", b"short").unwrap(),
                _ => fs.write("new", &large(7)).unwrap(),
            }
        };
        let once = std::sync::Once::new();
        let monitor = on_phase(Phase::Transfer, move || once.call_once(&act));
        let options = Options { monitor, ..options(false) };
        let done = sync(&source.root(), &target.root(), &options).unwrap();
        let (now, source) = (capture(&target.root()), capture(&source.root()));
        if done.code == 0 {
            assert_eq!(now.get(&path("new")).map(|s| &s.node), source.get(&path("new")).map(|s| &s.node));
        } else {
            assert_eq!(done.code, 24, "{change}: {done:?}");
            assert_eq!(now.get(&path("new")), None, "{change}");
        }
        assert_eq!(now.get(&path("z")), from.get(&path("z")), "{change}: others are made");
    }
}

#[test]
fn directory_that_holds_something_is_replaced_only_with_delete() {
    let (from, to) = (tree(&[("d", file(b"file")), ("z", file(b"new"))]), tree(&[("d/sub/f", file(b"f"))]));
    let target = mem(&to);
    let done = fails_in_part(&mem(&from), &target, Plan::new(), Plan::new(), &options(false));
    assert_eq!((done.code, done.problems.len()), (23, 1), "{done:?}");
    assert!(done.problems[0].text.contains("--delete"), "{done:?}");
    let now = capture(&target.root());
    assert_eq!(now.get(&path("d/sub/f")), to.get(&path("d/sub/f")));
    assert_eq!(now.get(&path("z")), from.get(&path("z")));
    let done = fails_in_part(&mem(&from), &target, Plan::new(), Plan::new(), &options(true));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(capture(&target.root()), from);
}

#[test]
fn excluded_names_are_never_deleted_with_what_is_around_them() {
    let select = crate::scan::Select::excluding(&[b"keep"]).unwrap();
    let options = Options { select, ..options(true) };
    let from = tree(&[("d", file(b"file"))]);
    let to = tree(&[
        ("d/keep", file(b"k")),
        ("d/f", file(b"f")),
        ("gone/keep", file(b"k")),
        ("gone/f", file(b"f")),
    ]);
    let target = mem(&to);
    let done = fails_in_part(&mem(&from), &target, Plan::new(), Plan::new(), &options);
    assert_eq!((done.code, done.problems.len()), (23, 1), "{done:?}");
    let now = capture(&target.root());
    for at in ["d/keep", "gone/keep"].map(path) {
        assert_eq!(now.get(&at), to.get(&at), "{at}");
    }
    assert_eq!((now.get(&path("gone/f")), now.get(&path("d/f"))), (None, to.get(&path("d/f"))));
}

#[test]
fn special_files_that_the_source_has_not_are_deleted_with_delete_and_only_then() {
    let from = tree(&[("d/f", file(b"f")), ("e", file(b"e"))]);
    let make = |specials: &[&str]| {
        let fs = mem(&from);
        for at in specials {
            fs.mkspecial(at).unwrap();
        }
        let (root, d) = (fs.root(), fs.mkdir("d").unwrap());
        for dir in [root, d] {
            let mtime = Some(at(1000));
            dir.set_attrs_self(&crate::fs::Attrs { mtime, ..Default::default() }).unwrap();
        }
        fs
    };
    let (source, target) = (make(&[]), make(&["fifo", "d/fifo"]));
    let done = sync(&source.root(), &target.root(), &options(false)).unwrap();
    assert_eq!(done.code, 0, "{done:?}");
    // What the source has, and does not send, spares what stands in its place.
    let has_them = make(&["fifo", "d/fifo"]);
    sync(&has_them.root(), &target.root(), &options(true)).unwrap();
    assert!(capture(&target.root()).contains_key(&path("d/fifo")));
    let done = sync(&source.root(), &target.root(), &options(true)).unwrap();
    assert_eq!((done.code, done.report.deleted), (0, 2), "{done:?}");
    assert_eq!(capture(&target.root()), from);
}

#[test]
fn many_files_wait_for_their_bytes_with_few_handles() {
    let temp = tempfile::tempdir().unwrap();
    let root = |name: &str| os::create_root(&temp.path().join(name)).unwrap();
    let (source, target) = (root("from"), root("to"));
    let (mut from, mut to) = (tree(&[]), tree(&[]));
    for i in 0..1500 {
        let bytes = Random(i).bytes(40_000);
        to.insert(path(&format!("d{}/f{i}", i % 40)), file(&bytes));
        from.insert(path(&format!("d{}/f{i}", i % 40)), file(&[&[1; 10], &bytes[..]].concat()));
        for tree in [&mut from, &mut to] {
            tree.insert(path(&format!("d{}", i % 40)), dir());
        }
    }
    build(&source, &from);
    build(&target, &to);
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    struct Watch(Arc<std::sync::atomic::AtomicUsize>);
    impl crate::monitor::Monitor for Watch {
        fn advance(&self, _: Phase, _: u64, _: u64) {
            let open = std::path::Path::new("/proc/self/fd");
            #[expect(clippy::disallowed_methods, reason = "counts this process's descriptors")]
            let open = std::fs::read_dir(open).map_or(0, Iterator::count);
            self.0.fetch_max(open, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let monitor = Arc::new(Watch(most.clone()));
    sync(&source, &target, &Options { monitor, ..options(true) }).unwrap();
    assert_eq!(capture(&target), from);
    let most = most.load(std::sync::atomic::Ordering::Relaxed);
    assert!(most < 700, "{most} descriptors were open, those of other tests included");
}

#[test]
fn deep_trees_are_synchronized_and_deleted() {
    let (source, target) = (mem(&tree(&[])), mem(&tree(&[])));
    let (empty, deep_fs) = (source.root(), MemFs::new());
    build_deep(&deep_fs, 2_000);
    for (from, to) in [(deep_fs.root(), target.root()), (empty, target.root())] {
        let done = sync(&from, &to, &options(true)).unwrap();
        assert_eq!(done.code, 0, "{:?}", done.problems);
        assert_settled(&from, &to, &options(true), "deep");
    }
}

/// A chain of directories with a file every hundred levels.
fn build_deep(fs: &MemFs, levels: u32) {
    let mut dir = fs.root();
    for level in 0..levels {
        if level % 100 == 0 {
            dir.create_file(&"f".try_into().unwrap(), 0o644).unwrap().write_all_at(b"f", 0).unwrap();
        }
        dir = dir.create_dir(&"x".try_into().unwrap(), 0o755).unwrap();
    }
    fs.root().sync_fs().unwrap();
}

#[test]
fn second_run_into_one_destination_is_refused_with_the_owner() {
    let target = mem(&tree(&[]));
    let held = target.root();
    held.try_lock().unwrap().unwrap();
    let error = sync(&mem(&tree(&[])).root(), &target.root(), &options(false)).unwrap_err();
    assert!(
        matches!(&error, SyncError::Locked { pid: Some(pid), .. } if *pid == std::process::id()),
        "{error}"
    );
    assert_eq!(error.code(), 11);
    drop(held);
    let place = Place::new(target.root(), Path::new("/to"));
    place.lock().unwrap();
}

#[test]
fn leftovers_are_reused_and_removed_without_a_trace() {
    let from = tree(&[("d/f", file(&large(6))), ("e/g", file(b"g")), ("e/h", file(&large(8)))]);
    let to = tree(&[("e/g", file(b"g")), ("d", dir())]);
    let target = mem(&to);
    target.write("d/.syncline-tmp-1-1", &large(6)).unwrap();
    target.write("e/.syncline-tmp-1-2/deep/x", &large(8)[..100_000]).unwrap();
    let done = sync(&mem(&from).root(), &target.root(), &options(true)).unwrap();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.report.bytes_literal < 150_000, "{done:?}");
    assert_eq!(capture(&target.root()), from);
    assert_eq!(leftovers(&target.root()), []);
    for seed in 0..20 {
        assert_eq!(capture(&target.crash(seed).root()), from, "power cut {seed}");
    }
}
