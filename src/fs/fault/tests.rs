use rustix::io::Errno;

use super::*;
use crate::fs::mem::MemFs;
use crate::fs::tests::{fails, name};

#[test]
fn operations_are_counted_and_logged_in_order() {
    let faults = Faults::new(Plan::new());
    let root = faults.wrap(MemFs::new().root());
    let dir = root.create_dir(&name("d"), 0o755).unwrap();
    dir.create_file(&name("f"), 0o644).unwrap().sync().unwrap();
    dir.rename(&name("f"), &*root, &name("g")).unwrap();
    let log: Vec<_> = faults.log().iter().map(|record| (record.op, record.path.to_string())).collect();
    let expected =
        [(Op::CreateDir, "d"), (Op::CreateFile, "d/f"), (Op::SyncFile, "d/f"), (Op::Rename, "d/f")];
    assert_eq!(log, expected.map(|(op, path)| (op, path.to_owned())));
    assert_eq!((faults.count(Op::Rename), faults.count(Op::Link), faults.total()), (1, 0, 4));
}

#[test]
fn only_the_nth_of_its_kind_fails_and_does_not_happen() {
    let fs = MemFs::new();
    let root = Faults::new(Plan::new().fail(Op::CreateFile, 2, Errno::NOSPC)).wrap(fs.root());
    root.create_dir(&name("d"), 0o755).unwrap();
    root.create_file(&name("a"), 0o644).unwrap();
    fails(root.create_file(&name("b"), 0o644), &[Errno::NOSPC]);
    root.create_file(&name("c"), 0o644).unwrap();
    assert_eq!(fs.tree().len(), 3);
}

#[test]
fn rule_restricted_to_a_path_counts_only_there() {
    let plan = Plan::new().fail_from(Op::Read, 1, Errno::IO).on("bad");
    let fs = MemFs::new();
    fs.write("bad", b"x").unwrap();
    fs.write("good", b"x").unwrap();
    let root = Faults::new(plan).wrap(fs.root());
    let read = |at| root.open_file(&name(at)).unwrap().read_at(&mut [0; 1], 0);
    for _ in 0..2 {
        fails(read("bad"), &[Errno::IO]);
        assert_eq!(read("good").unwrap(), 1);
    }
}

#[test]
fn torn_write_leaves_its_first_half() {
    let fs = MemFs::new();
    let root = Faults::new(Plan::new().tear_write(1, Errno::NOSPC)).wrap(fs.root());
    fails(root.create_file(&name("f"), 0o644).unwrap().write_all_at(b"abcdef", 0), &[Errno::NOSPC]);
    assert_eq!(fs.read("f").unwrap(), b"abc");
}

#[test]
fn nothing_happens_after_a_kill_until_the_plan_changes() {
    let fs = MemFs::new();
    let faults = Faults::new(Plan::new().kill_at(2));
    let root = faults.wrap(fs.root());
    root.create_file(&name("a"), 0o644).unwrap();
    for at in ["b", "c"] {
        assert!(is_killed(&root.create_file(&name(at), 0o644).err().unwrap()));
    }
    assert!(is_killed(&root.stat_self().unwrap_err()) && faults.killed());
    assert_eq!(fs.tree().len(), 1);
    faults.set_plan(Plan::new());
    root.create_file(&name("b"), 0o644).unwrap();
    assert!(!is_killed(&std::io::Error::other("something else")));
}

#[test]
#[should_panic(expected = "planned panic at Stat")]
fn planned_panic_happens() {
    let root = Faults::new(Plan::new().fail_any(1, Errno::IO).panic_at(2)).wrap(MemFs::new().root());
    fails(root.list(), &[Errno::IO]);
    let _ = root.stat_self();
}
