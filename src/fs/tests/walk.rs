//! Trees and paths over the port.

use rustix::io::Errno;

use super::{World, fails, name};
use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::mem::MemFs;
use crate::fs::{DirRef, walk};
use crate::path::RelPath;

fn deep(root: &DirRef, levels: u32) {
    let mut dir = root.clone();
    for level in 0..levels {
        // A second directory every few levels, so that the way up has work left.
        if level % 100 == 0 {
            dir.create_dir(&name("b"), 0o755).unwrap().create_file(&name("f"), 0o600).unwrap();
        }
        dir = dir.create_dir(&name("a"), 0o755).unwrap();
        dir.create_symlink(&name("up"), b"..").unwrap();
    }
}

#[test]
fn exchange_in_steps_swaps_and_leaves_nothing() {
    for world in [World::os(), World::mem()] {
        let root = &world.root;
        root.create_file(&name("f"), 0o600).unwrap();
        root.create_dir(&name("d"), 0o700).unwrap();
        let before = (root.stat(&name("f")).unwrap().ino, root.stat(&name("d")).unwrap().ino);
        walk::exchange_in_steps(&**root, &name("f"), &name("d")).unwrap();
        assert_eq!((root.stat(&name("d")).unwrap().ino, root.stat(&name("f")).unwrap().ino), before);
        assert_eq!(root.list().unwrap().len(), 2);
    }
}

#[test]
fn tree_of_2000_levels_is_removed() {
    for world in [World::os(), World::mem()] {
        deep(&world.root, 2000);
        walk::remove_tree(&*world.root, &name("a")).unwrap();
        assert_eq!(world.root.list().unwrap().len(), 1, "only the other directory is left");
    }
}

#[test]
fn removal_closes_far_handles_and_opens_the_way_again() {
    let (fs, faults, levels) = (MemFs::new(), Faults::new(Plan::new()), 3 * walk::HANDLES_MAX as u64 + 8);
    fs.mkdir(&vec!["a"; levels as usize].join("/")).unwrap();
    walk::remove_tree(&*faults.wrap(fs.root()), &name("a")).unwrap();
    // Each level once on the way down; on the way up the whole way to the deepest one that was closed.
    let again = (1..=3).map(|times| levels - times * walk::HANDLES_MAX as u64).sum::<u64>();
    assert_eq!(faults.count(Op::OpenDir), levels + again);
}

#[test]
fn path_of_1000_levels_is_opened() {
    let world = World::os();
    deep(&world.root, 1000);
    let path = RelPath::new(["a"; 1000].join("/").as_bytes()).unwrap();
    let dir = walk::open_path(&world.root, &path).unwrap();
    assert_eq!(dir.read_link(&name("up")).unwrap(), b"..");
    fails(walk::open_path(&world.root, &path.join(&name("x"))), &[Errno::NOENT]);
    fails(walk::open_path(&world.root, &RelPath::new(b"a/up").unwrap()), &[Errno::LOOP, Errno::NOTDIR]);
}

#[test]
fn removal_takes_a_link_and_leaves_its_target() {
    let world = World::os();
    let kept = world.root.create_dir(&name("kept"), 0o755).unwrap();
    kept.create_file(&name("f"), 0o600).unwrap();
    world.root.create_symlink(&name("link"), b"kept").unwrap();
    walk::remove_tree(&*world.root, &name("link")).unwrap();
    assert_eq!(kept.list().unwrap().len(), 1);
    fails(walk::remove_tree(&*world.root, &name("link")), &[Errno::NOENT]);
}

#[test]
fn removal_opens_a_directory_its_mode_protects() {
    let fs = MemFs::new();
    fs.write("d/f", b"x").unwrap();
    let plan = Plan::new().fail(Op::OpenDir, 1, Errno::ACCESS).fail(Op::RemoveFile, 1, Errno::ACCESS);
    let faults = Faults::new(plan);
    walk::remove_tree(&*faults.wrap(fs.root()), &name("d")).unwrap();
    assert_eq!((fs.tree().len(), faults.count(Op::SetAttrs)), (0, 2));
}

#[test]
fn removal_reports_the_first_error() {
    let fs = MemFs::new();
    fs.write("d/f", b"x").unwrap();
    let faults = Faults::new(Plan::new().fail(Op::RemoveFile, 1, Errno::IO).on("d/f"));
    fails(walk::remove_tree(&*faults.wrap(fs.root()), &name("d")), &[Errno::IO]);
    assert_eq!(fs.read("d/f").unwrap(), b"x");
}

#[test]
fn the_way_behind_links_stays_below_the_root() {
    for world in [World::os(), World::mem()] {
        let root = &world.root;
        let a = root.create_dir(&name("a"), 0o755).unwrap();
        a.create_dir(&name("b"), 0o755).unwrap();
        a.create_file(&name("file"), 0o600).unwrap();
        for (link, target) in [
            ("b", "a/b"),
            ("twice", "./b/../b//"),
            ("root", "a/.."),
            ("up", ".."),
            ("absolute", "/"),
            ("round", "round"),
            ("none", "a/none"),
            ("file", "a/file"),
        ] {
            root.create_symlink(&name(link), target.as_bytes()).unwrap();
        }
        a.create_symlink(&name("back"), b"../a/b").unwrap();
        a.create_symlink(&name("out"), b"../../a").unwrap();
        let check = |path: &str, expected: Result<&str, Errno>| {
            let found = walk::real_path(root, &RelPath::new(path.as_bytes()).unwrap());
            let found = found.map(|path| path.to_string()).map_err(|error| Errno::from_io_error(&error));
            assert_eq!(found, expected.map(str::to_owned).map_err(Some), "{path}");
        };
        check("a/b", Ok("a/b"));
        check("b", Ok("a/b"));
        check("twice", Ok("a/b"));
        check("a/back", Ok("a/b"));
        check("root", Ok("."));
        check("root/twice", Ok("a/b"));
        check("up", Err(Errno::XDEV));
        check("a/out", Err(Errno::XDEV));
        check("absolute", Err(Errno::XDEV));
        check("round", Err(Errno::LOOP));
        check("none", Err(Errno::NOENT));
        check("file", Err(Errno::NOTDIR));
    }
}
