//! What every implementation does alike.

use rustix::io::Errno;

use super::{World, fails, name};
use crate::fs::{Attrs, DirRef, Kind, Rdev, Special, Time};

/// Runs each fact in every world.
macro_rules! facts {
    ($($fact:ident)*) => {
        mod os { $(#[test] fn $fact() { super::$fact(&super::World::os()); })* }
        mod mem { $(#[test] fn $fact() { super::$fact(&super::World::mem()); })* }
        mod fault { $(#[test] fn $fact() { super::$fact(&super::World::fault()); })* }
    };
}

facts! {
    created_file_has_exact_mode_and_keeps_its_bytes
    created_directory_has_exact_mode_and_lists_its_names
    creation_refuses_a_name_that_is_there
    special_files_are_what_was_asked_for
    missing_names_are_enoent
    directories_are_not_opened_through_links_or_files
    files_are_opened_only_if_regular
    links_are_read_and_never_followed
    hard_links_share_an_inode
    rename_replaces_at_once
    rename_refuses_what_would_mix_kinds
    rename_new_refuses_a_name_that_is_there
    exchange_swaps_names_of_any_kinds
    removal_tells_files_from_directories
    removed_directory_takes_no_new_names
    attributes_are_set_and_the_rest_stays
    attributes_of_a_link_do_not_reach_its_target
    pre_1970_and_far_future_times_survive
    malformed_time_is_refused
    file_grows_with_zeros_and_is_cut
    list_can_be_repeated_and_sees_changes
    lock_is_exclusive_until_its_handle_is_dropped
    names_need_not_be_text
    syncs_succeed
}

/// A file, a directory, a link to each, and a FIFO.
fn populate(world: &World) -> &DirRef {
    let root = &world.root;
    root.create_file(&name("file"), 0o644).unwrap().write_all_at(b"bytes", 0).unwrap();
    root.create_dir(&name("dir"), 0o755).unwrap();
    root.create_symlink(&name("to-file"), b"file").unwrap();
    root.create_symlink(&name("to-dir"), b"dir").unwrap();
    world.make_fifo("fifo");
    root
}

fn names(dir: &DirRef) -> Vec<String> {
    let mut names: Vec<_> = dir.list().unwrap().into_iter().map(|(name, _)| name.to_string()).collect();
    names.sort_unstable();
    names
}

fn read(dir: &DirRef, at: &str) -> Vec<u8> {
    let mut buf = vec![0; 1000];
    let len = dir.open_file(&name(at)).unwrap().read_full_at(&mut buf, 0).unwrap();
    buf.truncate(len);
    buf
}

fn mode(mode: u32) -> Attrs {
    Attrs { mode: Some(mode), ..Attrs::default() }
}

fn created_file_has_exact_mode_and_keeps_its_bytes(world: &World) {
    for (at, mode) in [("a", 0o600), ("b", 0o777), ("c", 0o666), ("d", 0o000), ("e", 0o4755), ("f", 0o2711)] {
        let file = world.root.create_file(&name(at), mode).unwrap();
        file.write_all_at(at.as_bytes(), 3).unwrap();
        let stat = world.root.stat(&name(at)).unwrap();
        assert_eq!((stat.kind, stat.size, stat.nlink), (Kind::File, 4, 1));
        assert_eq!(stat, file.stat().unwrap());
        file.set_attrs(&Attrs::default()).unwrap();
    }
    assert_eq!(read(&world.root, "a"), b"\0\0\0a");
    // Before any write, which clears setuid bits for all but root.
    for mode in [0o000, 0o644, 0o777, 0o4755, 0o2711, 0o1777] {
        let file = world.root.create_file(&name("exact"), mode).unwrap();
        assert_eq!(file.stat().unwrap().mode, mode);
        world.root.remove_file(&name("exact")).unwrap();
    }
}

fn created_directory_has_exact_mode_and_lists_its_names(world: &World) {
    for mode in [0o700, 0o777, 0o1777, 0o2755, 0o500] {
        let dir = world.root.create_dir(&name("dir"), mode).unwrap();
        let stat = dir.stat_self().unwrap();
        assert_eq!((stat.kind, stat.mode, stat.nlink), (Kind::Dir, mode, 2));
        assert_eq!(stat, world.root.stat(&name("dir")).unwrap());
        assert!(dir.is_empty().unwrap() && !world.root.is_empty().unwrap());
        world.root.remove_dir(&name("dir")).unwrap();
    }
    let root = populate(world);
    for (at, kind) in root.list().unwrap() {
        assert!(kind.is_none_or(|kind| kind == root.stat(&at).unwrap().kind), "{at}");
    }
    assert!(!root.is_empty().unwrap());
    assert_eq!(
        names(root),
        ["dir", "fifo", "file", "to-dir", "to-file"],
        "though its first names were read before"
    );
    assert_eq!(root.stat(&name("fifo")).unwrap().kind, Kind::Special(Special::Fifo));
}

fn creation_refuses_a_name_that_is_there(world: &World) {
    let root = populate(world);
    root.create_symlink(&name("dangling"), b"nowhere").unwrap();
    for taken in ["file", "dir", "to-file", "to-dir", "dangling", "fifo"].map(name) {
        fails(root.create_file(&taken, 0o644), &[Errno::EXIST]);
        fails(root.create_dir(&taken, 0o755), &[Errno::EXIST]);
        fails(root.create_symlink(&taken, b"x"), &[Errno::EXIST]);
        fails(root.create_special(&taken, Special::Fifo, Rdev::default(), 0o600), &[Errno::EXIST]);
        fails(root.link(&name("file"), &**root, &taken), &[Errno::EXIST]);
    }
    assert!(!names(root).contains(&"nowhere".to_owned()));
}

fn special_files_are_what_was_asked_for(world: &World) {
    let root = &world.root;
    let none = Rdev::default();
    let mut all = vec![(Special::Fifo, none), (Special::Socket, none)];
    if rustix::process::geteuid().is_root() {
        all.push((Special::CharDevice, Rdev { major: 1, minor: 3 }));
        all.push((Special::BlockDevice, Rdev { major: 7, minor: 300 }));
    }
    for (at, (what, rdev)) in all.into_iter().enumerate() {
        let at = name(&format!("special{at}"));
        root.create_special(&at, what, rdev, 0o600).unwrap();
        let stat = root.stat(&at).unwrap();
        assert_eq!((stat.kind, stat.rdev, stat.mode), (Kind::Special(what), rdev, 0o600));
    }
}

fn missing_names_are_enoent(world: &World) {
    let (root, gone) = (&world.root, name("gone"));
    fails(root.stat(&gone), &[Errno::NOENT]);
    fails(root.read_link(&gone), &[Errno::NOENT]);
    fails(root.open_dir(&gone), &[Errno::NOENT]);
    fails(root.open_file(&gone), &[Errno::NOENT]);
    fails(root.open_file_rw(&gone), &[Errno::NOENT]);
    fails(root.link(&gone, &**root, &name("x")), &[Errno::NOENT]);
    fails(root.rename(&gone, &**root, &name("x")), &[Errno::NOENT]);
    fails(root.rename_new(&gone, &**root, &name("x")), &[Errno::NOENT]);
    fails(root.remove_file(&gone), &[Errno::NOENT]);
    fails(root.remove_dir(&gone), &[Errno::NOENT]);
    fails(root.set_attrs(&gone, &mode(0o600)), &[Errno::NOENT]);
}

fn directories_are_not_opened_through_links_or_files(world: &World) {
    let root = populate(world);
    for at in ["file", "fifo", "to-dir", "to-file"] {
        fails(root.open_dir(&name(at)), &[Errno::NOTDIR, Errno::LOOP]);
    }
    assert!(root.open_dir(&name("dir")).is_ok());
}

fn files_are_opened_only_if_regular(world: &World) {
    let root = populate(world);
    for at in ["dir", "fifo"].map(name) {
        fails(root.open_file(&at), &[Errno::INVAL]);
        fails(root.open_file_rw(&at), &[Errno::INVAL]);
    }
    for at in ["to-file", "to-dir"].map(name) {
        fails(root.open_file(&at), &[Errno::LOOP]);
        fails(root.open_file_rw(&at), &[Errno::LOOP]);
    }
    root.open_file_rw(&name("file")).unwrap().write_all_at(b"B", 0).unwrap();
    assert_eq!(read(root, "file"), b"Bytes");
    let read_only = root.open_file(&name("file")).unwrap();
    fails(read_only.set_len(0), &[Errno::INVAL]);
    fails(read_only.write_all_at(b"x", 0), &[Errno::BADF]);
    fails(root.open_file_rw(&name("file")).unwrap().set_len(u64::MAX), &[Errno::INVAL, Errno::FBIG]);
}

fn links_are_read_and_never_followed(world: &World) {
    let root = populate(world);
    assert_eq!(root.read_link(&name("to-file")).unwrap(), b"file");
    fails(root.read_link(&name("file")), &[Errno::INVAL]);
    let stat = root.stat(&name("to-file")).unwrap();
    assert_eq!((stat.kind, stat.size), (Kind::Symlink, 4));
    let long = [b'x'; 4000];
    root.create_symlink(&name("long"), &long).unwrap();
    assert_eq!(root.read_link(&name("long")).unwrap(), long);
    fails(root.create_symlink(&name("empty"), b""), &[Errno::NOENT]);
    root.link(&name("to-file"), &**root, &name("second")).unwrap();
    assert_eq!(root.stat(&name("second")).unwrap().kind, Kind::Symlink);
}

fn hard_links_share_an_inode(world: &World) {
    let root = populate(world);
    let dir = root.open_dir(&name("dir")).unwrap();
    root.link(&name("file"), &*dir, &name("second")).unwrap();
    let (first, second) = (root.stat(&name("file")).unwrap(), dir.stat(&name("second")).unwrap());
    assert_eq!((first, first.nlink), (second, 2));
    dir.open_file_rw(&name("second")).unwrap().write_all_at(b"!", 5).unwrap();
    assert_eq!(read(root, "file"), b"bytes!");
    root.remove_file(&name("file")).unwrap();
    assert_eq!(dir.stat(&name("second")).unwrap().nlink, 1);
    fails(root.link(&name("dir"), &**root, &name("x")), &[Errno::PERM]);
}

fn rename_replaces_at_once(world: &World) {
    let root = populate(world);
    let dir = root.open_dir(&name("dir")).unwrap();
    dir.create_file(&name("new"), 0o600).unwrap().write_all_at(b"new", 0).unwrap();
    dir.rename(&name("new"), &**root, &name("file")).unwrap();
    assert_eq!(read(root, "file"), b"new");
    assert!(names(&dir).is_empty());
    root.rename(&name("file"), &**root, &name("to-dir")).unwrap();
    assert_eq!(read(root, "to-dir"), b"new");
    // A directory may take the place of an empty one.
    dir.create_file(&name("inside"), 0o600).unwrap();
    root.create_dir(&name("empty"), 0o755).unwrap();
    root.rename(&name("dir"), &**root, &name("empty")).unwrap();
    assert_eq!(names(&root.open_dir(&name("empty")).unwrap()), ["inside"]);
    // Two names of one file: nothing happens.
    root.link(&name("to-dir"), &**root, &name("twin")).unwrap();
    root.rename(&name("to-dir"), &**root, &name("twin")).unwrap();
    assert_eq!(names(root), ["empty", "fifo", "to-dir", "to-file", "twin"]);
}

fn rename_refuses_what_would_mix_kinds(world: &World) {
    let root = populate(world);
    let dir = root.open_dir(&name("dir")).unwrap();
    fails(root.rename(&name("file"), &**root, &name("dir")), &[Errno::ISDIR]);
    fails(root.rename(&name("dir"), &**root, &name("file")), &[Errno::NOTDIR]);
    fails(root.rename(&name("dir"), &*dir, &name("below")), &[Errno::INVAL]);
    fails(root.rename_new(&name("dir"), &*dir, &name("below")), &[Errno::INVAL]);
    root.create_dir(&name("other"), 0o755).unwrap();
    dir.create_file(&name("inside"), 0o600).unwrap();
    fails(root.rename(&name("other"), &**root, &name("dir")), &[Errno::NOTEMPTY, Errno::EXIST]);
    fails(root.rename(&name("file"), &*World::mem().root, &name("x")), &[Errno::XDEV]);
    assert_eq!(names(&dir), ["inside"]);
}

fn rename_new_refuses_a_name_that_is_there(world: &World) {
    let root = populate(world);
    let dir = root.open_dir(&name("dir")).unwrap();
    for taken in ["dir", "to-file", "fifo"].map(name) {
        fails(root.rename_new(&name("file"), &**root, &taken), &[Errno::EXIST]);
    }
    root.rename_new(&name("file"), &*dir, &name("moved")).unwrap();
    assert_eq!(read(&dir, "moved"), b"bytes");
    root.rename_new(&name("dir"), &**root, &name("renamed")).unwrap();
    assert_eq!(names(root), ["fifo", "renamed", "to-dir", "to-file"]);
}

fn exchange_swaps_names_of_any_kinds(world: &World) {
    let root = populate(world);
    let inode = |at: &str| root.stat(&name(at)).unwrap().ino;
    root.open_dir(&name("dir")).unwrap().create_file(&name("inside"), 0o600).unwrap();
    for (a, b) in [("file", "dir"), ("dir", "to-file"), ("fifo", "file"), ("to-dir", "to-file")] {
        let before = (inode(a), inode(b));
        root.exchange(&name(a), &name(b)).unwrap();
        assert_eq!((inode(b), inode(a)), before, "{a} and {b}");
    }
    root.exchange(&name("dir"), &name("dir")).unwrap();
    root.link(&name("to-dir"), &**root, &name("twin")).unwrap();
    root.exchange(&name("to-dir"), &name("twin")).unwrap();
    fails(root.exchange(&name("file"), &name("gone")), &[Errno::NOENT]);
    fails(root.exchange(&name("gone"), &name("file")), &[Errno::NOENT]);
    assert_eq!(names(root), ["dir", "fifo", "file", "to-dir", "to-file", "twin"]);
}

fn removal_tells_files_from_directories(world: &World) {
    let root = populate(world);
    fails(root.remove_file(&name("dir")), &[Errno::ISDIR, Errno::PERM]);
    for at in ["file", "to-dir", "fifo"] {
        fails(root.remove_dir(&name(at)), &[Errno::NOTDIR]);
    }
    root.open_dir(&name("dir")).unwrap().create_file(&name("inside"), 0o600).unwrap();
    fails(root.remove_dir(&name("dir")), &[Errno::NOTEMPTY, Errno::EXIST]);
    root.remove_file(&name("to-dir")).unwrap();
    root.remove_file(&name("file")).unwrap();
    assert_eq!(names(root), ["dir", "fifo", "to-file"]);
}

fn removed_directory_takes_no_new_names(world: &World) {
    let root = populate(world);
    let dir = root.open_dir(&name("dir")).unwrap();
    let file = root.open_file_rw(&name("file")).unwrap();
    root.remove_dir(&name("dir")).unwrap();
    root.remove_file(&name("file")).unwrap();
    fails(dir.create_file(&name("x"), 0o600), &[Errno::NOENT]);
    fails(dir.create_dir(&name("x"), 0o700), &[Errno::NOENT]);
    // An open file without a name is still a file.
    file.write_all_at(b"B", 0).unwrap();
    let mut buf = [0; 9];
    assert_eq!(file.read_full_at(&mut buf, 0).unwrap(), 5);
    assert_eq!(file.stat().unwrap().nlink, 0);
}

fn attributes_are_set_and_the_rest_stays(world: &World) {
    let root = populate(world);
    let mtime = Time { secs: 1_234_567_890, nanos: 123_456_789 };
    for at in ["file", "dir", "fifo"].map(name) {
        let before = root.stat(&at).unwrap();
        root.set_attrs(&at, &Attrs { mtime: Some(mtime), ..Attrs::default() }).unwrap();
        assert_eq!((root.stat(&at).unwrap().mtime, root.stat(&at).unwrap().mode), (mtime, before.mode));
        root.set_attrs(&at, &mode(0o1750)).unwrap();
        assert_eq!((root.stat(&at).unwrap().mtime, root.stat(&at).unwrap().mode), (mtime, 0o1750));
        let owner = Some((before.uid, before.gid));
        root.set_attrs(&at, &Attrs { owner, mode: Some(0o6755), ..Attrs::default() }).unwrap();
        assert_eq!(root.stat(&at).unwrap().mode, 0o6755, "chown stands before chmod");
    }
    let all = Attrs { mode: Some(0o700), mtime: Some(Time { secs: 5, nanos: 6 }), ..Attrs::default() };
    let (dir, file) = (root.open_dir(&name("dir")).unwrap(), root.open_file(&name("file")).unwrap());
    dir.set_attrs_self(&all).unwrap();
    file.set_attrs(&all).unwrap();
    for stat in [dir.stat_self().unwrap(), file.stat().unwrap()] {
        assert_eq!((stat.mode, stat.mtime), (0o700, Time { secs: 5, nanos: 6 }));
    }
}

fn attributes_of_a_link_do_not_reach_its_target(world: &World) {
    let root = populate(world);
    let (file, dir) = (root.stat(&name("file")).unwrap(), root.stat(&name("dir")).unwrap());
    let attrs = Attrs {
        owner: Some((file.uid, file.gid)),
        mode: Some(0o111),
        mtime: Some(Time { secs: 7, nanos: 8 }),
        atime: None,
    };
    for at in ["to-file", "to-dir"].map(name) {
        root.set_attrs(&at, &attrs).unwrap();
        assert_eq!(root.stat(&at).unwrap().mtime, Time { secs: 7, nanos: 8 });
    }
    assert_eq!((root.stat(&name("file")).unwrap(), root.stat(&name("dir")).unwrap()), (file, dir));
}

fn pre_1970_and_far_future_times_survive(world: &World) {
    let root = populate(world);
    for secs in [-1, -1_000_000_000, 0, 4_000_000_000] {
        let mtime = Some(Time { secs, nanos: 999_999_999 });
        root.set_attrs(&name("file"), &Attrs { mtime, ..Attrs::default() }).unwrap();
        assert_eq!(Some(root.stat(&name("file")).unwrap().mtime), mtime);
    }
}

fn malformed_time_is_refused(world: &World) {
    let root = populate(world);
    let before = root.stat(&name("file")).unwrap();
    // The kernel would take these two for "now" and "omit".
    for nanos in [1_000_000_000, 0x3fff_ffff, 0x3fff_fffe] {
        let attrs = Attrs { mtime: Some(Time { secs: 0, nanos }), mode: Some(0), ..Attrs::default() };
        fails(root.set_attrs(&name("file"), &attrs), &[Errno::INVAL]);
        fails(root.open_file(&name("file")).unwrap().set_attrs(&attrs), &[Errno::INVAL]);
    }
    assert_eq!(root.stat(&name("file")).unwrap().mtime, before.mtime);
}

fn file_grows_with_zeros_and_is_cut(world: &World) {
    let file = world.root.create_file(&name("f"), 0o600).unwrap();
    file.write_all_at(b"abc", 5).unwrap();
    file.set_len(6).unwrap();
    file.set_len(7).unwrap();
    assert_eq!(read(&world.root, "f"), b"\0\0\0\0\0a\0");
    assert_eq!(file.read_at(&mut [0; 4], 7).unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 4], 1 << 40).unwrap(), 0);
    file.write_all_at(b"", 100).unwrap();
    assert_eq!(file.stat().unwrap().size, 7);
}

fn list_can_be_repeated_and_sees_changes(world: &World) {
    let root = &world.root;
    assert!(names(root).is_empty());
    // Several buffers full.
    for i in 0..3000 {
        root.create_file(&name(&format!("a-name-of-some-length-{i:04}")), 0o600).unwrap();
    }
    assert_eq!(names(root).len(), 3000);
    root.remove_file(&name("a-name-of-some-length-1234")).unwrap();
    assert_eq!(names(root).len(), 2999);
}

fn lock_is_exclusive_until_its_handle_is_dropped(world: &World) {
    let (first, second) = (world.reopen(), world.reopen());
    assert_eq!(first.try_lock().unwrap(), Ok(()));
    assert_eq!(first.try_lock().unwrap(), Ok(()), "it is ours already");
    let owner = second.try_lock().unwrap().unwrap_err();
    assert!(owner.is_none_or(|pid| pid == std::process::id()), "{owner:?}");
    drop(first);
    assert_eq!(second.try_lock().unwrap(), Ok(()));
}

fn names_need_not_be_text(world: &World) {
    let root = &world.root;
    let odd = crate::path::Name::new(b"\xff\x1b[2J\n").unwrap();
    let longest = crate::path::Name::new(&[b'n'; 255]).unwrap();
    for at in [&odd, &longest] {
        root.create_file(at, 0o600).unwrap();
        root.set_attrs(at, &mode(0o640)).unwrap();
        assert_eq!(root.stat(at).unwrap().mode, 0o640);
        assert!(root.list().unwrap().iter().any(|(listed, _)| listed == at));
        root.remove_file(at).unwrap();
    }
}

fn syncs_succeed(world: &World) {
    let root = populate(world);
    root.open_file_rw(&name("file")).unwrap().sync().unwrap();
    root.sync().unwrap();
    root.sync_fs().unwrap();
}
