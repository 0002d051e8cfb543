//! A second thread swaps names for links that lead outside, as fast as it can; nothing outside may change.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};

use super::{World, name};
use crate::fs::{Attrs, DirRef, Stat, Time, os, walk};

const ROUNDS: u32 = 4_000;

/// Everything an outsider could lose: names, bytes, and (by ctime) any change of metadata.
fn sentinel(outside: &DirRef) -> Vec<(String, Stat, Vec<u8>)> {
    let mut seen = vec![(String::new(), outside.stat_self().unwrap(), Vec::new())];
    for (at, _) in outside.list().unwrap() {
        let mut bytes = [0; 64];
        let len = outside.open_file(&at).unwrap().read_full_at(&mut bytes, 0).unwrap();
        seen.push((at.to_string(), outside.stat(&at).unwrap(), bytes[..len].to_vec()));
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    seen
}

/// Makes `inside` with a directory `d` and a file `f`, links to `outside` under `d2` and `f2`, and gives the
/// handles of both.
fn set_up(world: &World) -> (DirRef, DirRef) {
    let inside = world.root.create_dir(&name("inside"), 0o755).unwrap();
    let outside = world.root.create_dir(&name("outside"), 0o755).unwrap();
    for at in ["secret", "x"] {
        outside.create_file(&name(at), 0o600).unwrap().write_all_at(b"secret", 0).unwrap();
    }
    inside.create_symlink(&name("d2"), b"../outside").unwrap();
    inside.create_symlink(&name("f2"), b"../outside/secret").unwrap();
    inside.create_dir(&name("d"), 0o755).unwrap();
    inside.create_file(&name("f"), 0o600).unwrap().write_all_at(b"public", 0).unwrap();
    (inside, outside)
}

/// Runs `act` while `d` and `d2`, `f` and `f2` change places; gives the number of swaps.
fn while_flipping(inside: &Path, act: impl FnOnce()) -> u64 {
    let (stop, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pairs = [("d", "d2"), ("f", "f2")].map(|(a, b)| (inside.join(a), inside.join(b)));
            while !stop.load(Ordering::Relaxed) {
                for (a, b) in &pairs {
                    if rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok() {
                        flips.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        // Stops the other thread even if an assertion fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        act();
    });
    flips.into_inner()
}

#[test]
fn no_operation_leaves_the_tree_through_a_swapped_link() {
    let world = World::os();
    let (inside, outside) = set_up(&world);
    let before = sentinel(&outside);
    let (mut reached, mut refused) = (0, 0);
    let mut count = |result: io::Result<()>| if result.is_ok() { reached += 1 } else { refused += 1 };

    let flips = while_flipping(&world.path().join("inside"), || {
        let (d, f, x) = (name("d"), name("f"), name("x"));
        let attrs = Attrs { owner: Some((0, 0)), mode: Some(0o751), mtime: Some(Time { secs: 1, nanos: 2 }) };
        // Only root may chown; for others the mode and time are still tried.
        let owner = attrs.owner.filter(|_| rustix::process::geteuid().is_root());
        let attrs = Attrs { owner, ..attrs };
        for round in 0..ROUNDS {
            count(inside.open_dir(&d).map(|dir| {
                let _ = dir.create_file(&x, 0o600).map(|file| file.write_all_at(b"new", 0));
                let _ = dir.set_attrs(&x, &attrs);
                let _ = dir.rename(&x, &*dir, &name("secret"));
                let _ = dir.remove_file(&name("secret"));
            }));
            count(inside.open_file(&f).map(|file| {
                let mut bytes = [0; 6];
                file.read_full_at(&mut bytes, 0).unwrap();
                assert_eq!(&bytes, b"public");
            }));
            count(inside.open_file_rw(&f).map(|file| file.write_all_at(b"public", 0).unwrap()));
            inside.set_attrs(&d, &attrs).unwrap();
            inside.set_attrs(&f, &attrs).unwrap();
            assert!(inside.create_file(&f, 0o600).is_err());
            if round % 16 == 0 {
                inside.rename(&d, &*inside, &name("moved")).unwrap();
                inside.rename(&name("moved"), &*inside, &d).unwrap();
            }
        }
    });

    assert_eq!(sentinel(&outside), before);
    assert!(flips > 100 && reached > 0 && refused > 0, "{flips} flips, {reached} reached, {refused} refused");
}

#[test]
fn removal_of_a_swapped_tree_stays_inside() {
    let world = World::os();
    let (inside, outside) = set_up(&world);
    let before = sentinel(&outside);
    while_flipping(&world.path().join("inside"), || {
        for _ in 0..ROUNDS / 4 {
            // Whichever of the two it meets is removed; the other is, afterwards.
            for at in ["d", "d2"].map(name) {
                let _ = walk::remove_tree(&*inside, &at);
            }
            let _ = inside.create_symlink(&name("d2"), b"../outside");
            if let Ok(dir) = inside.create_dir(&name("d"), 0o755) {
                for below in ["secret", "y", "z"] {
                    dir.create_dir(&name(below), 0o755).unwrap();
                }
            }
        }
    });
    assert_eq!(sentinel(&outside), before);
}

#[test]
fn opening_from_an_operators_path_follows_its_links() {
    let world = World::os();
    let (_, outside) = set_up(&world);
    let through = os::open_root(&world.path().join("inside/d2")).unwrap();
    assert_eq!(through.stat_self().unwrap().ino, outside.stat_self().unwrap().ino);
}
