//! What only the operating system can show.

use std::os::fd::AsFd;

use super::{lock, open_nofollow};
use crate::fs::os::dir::OsDir;
use crate::fs::tests::{World, fails, name};
use crate::fs::{Dir as _, Kind, Rdev, Stat, Time, os};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

fn os_dir(world: &World) -> &OsDir {
    world.root.as_any().downcast_ref().unwrap()
}

#[test]
fn root_is_created_once_and_its_parent_never() {
    let world = World::os();
    let path = world.path().join("new");
    let root = os::create_root(&path).unwrap();
    assert_eq!(root.stat_self().unwrap(), world.root.stat(&name("new")).unwrap());
    fails(os::create_root(&path), &[Errno::EXIST]);
    fails(os::create_root(&world.path().join("no/parent")), &[Errno::NOENT]);
    fails(os::open_root(&world.path().join("gone")), &[Errno::NOENT]);
}

#[test]
fn operator_file_is_opened_through_links_if_regular() {
    let world = World::os();
    world.root.create_file(&name("f"), 0o600).unwrap().write_all_at(b"x", 0).unwrap();
    world.root.create_symlink(&name("link"), b"f").unwrap();
    assert_eq!(os::open_operator_file(&world.path().join("link")).unwrap().stat().unwrap().size, 1);
    fails(os::open_operator_file(world.path()), &[Errno::INVAL]);
}

#[test]
fn fallback_without_openat2_does_not_follow_links() {
    let world = World::os();
    let dir = world.root.create_dir(&name("dir"), 0o755).unwrap();
    dir.create_file(&name("f"), 0o600).unwrap();
    world.root.create_symlink(&name("to-dir"), b"dir").unwrap();
    let fd = rustix::fs::openat(CWD, world.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let open = |at, flags| open_nofollow(fd.as_fd(), &name(at), flags, Mode::empty());
    assert!(open("dir", OFlags::DIRECTORY).is_ok());
    assert!(matches!(open("to-dir", OFlags::DIRECTORY), Err(Errno::NOTDIR | Errno::LOOP)));
    assert!(matches!(open("to-dir", OFlags::RDONLY), Err(Errno::LOOP)));
}

#[test]
fn fallback_of_rename_new_replaces_nothing() {
    let world = World::os();
    let root = os_dir(&world);
    for at in ["file", "taken"].map(name) {
        root.create_file(&at, 0o600).unwrap();
    }
    for at in ["dir", "taken-dir"].map(name) {
        root.create_dir(&at, 0o700).unwrap().create_file(&name("inside"), 0o600).unwrap();
    }
    let rename = |from, to| root.rename_new_without_flag(&name(from), root, &name(to));
    fails(rename("file", "taken"), &[Errno::EXIST]);
    fails(rename("dir", "taken-dir"), &[Errno::EXIST]);
    fails(rename("gone", "x"), &[Errno::NOENT]);
    rename("file", "file2").unwrap();
    rename("dir", "dir2").unwrap();
    let dir = root.open_dir(&name("dir")).map(drop);
    fails(dir, &[Errno::NOENT]);
    assert_eq!(root.stat(&name("file2")).unwrap().nlink, 1);
    assert!(root.open_dir(&name("dir2")).unwrap().stat(&name("inside")).is_ok());
    let inside = root.open_dir(&name("dir2")).unwrap();
    fails(root.rename_new_without_flag(&name("dir2"), &*inside, &name("below")), &[Errno::INVAL]);
    assert_eq!(inside.list().unwrap().len(), 1, "the placeholder is gone");
}

#[test]
fn set_group_id_of_the_parent_does_not_change_the_mode() {
    let world = World::os();
    let parent = world.root.create_dir(&name("shared"), 0o2775).unwrap();
    assert_eq!(parent.create_dir(&name("d"), 0o755).unwrap().stat_self().unwrap().mode, 0o755);
}

#[test]
fn lock_owner_is_found_in_the_table() {
    let stat = Stat {
        kind: Kind::Dir,
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Time::default(),
        atime: Time::default(),
        ctime: Time::default(),
        dev: rustix::fs::makedev(0xfe, 0x1a),
        ino: 99,
        nlink: 2,
        rdev: Rdev::default(),
    };
    let owner = |line: &str| lock::find_owner(line, &stat);
    assert_eq!(owner("1: POSIX  ADVISORY  WRITE 7 fe:1a:99 0 EOF"), None);
    assert_eq!(
        owner("1: FLOCK  ADVISORY  WRITE 7 fe:1a:98 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 fe:1a:99 0 EOF"),
        Some(8)
    );
    assert_eq!(owner("2: -> FLOCK  ADVISORY  WRITE 8 fe:1a:99 0 EOF"), None);
    assert_eq!(owner("1: FLOCK  ADVISORY  WRITE 0 fe:1a:99 0 EOF"), None, "in another pid namespace");
    assert_eq!(owner("1: FLOCK  ADVISORY  WRITE -1 fe:1a:99 0 EOF"), None);
    assert_eq!(owner("nonsense"), None);
}
