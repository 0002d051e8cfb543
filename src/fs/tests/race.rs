//! A second thread swaps names for links that lead outside, as fast as it can; nothing outside may change.
//!
//! Rows 3 and 4 of the fault matrix, for every operation of the port that takes a name; whole syncs are in `tests/it/race.rs`. The
//! suite does a short batch; `SYNCLINE_FLIPS=100000` says how many swaps each operation has to bear.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::{World, name};
use crate::fs::{Attrs, DirRef, Kind, Stat, Time, os, walk};

/// Tries of an operation at least, however fast the swaps are.
const TRIES_MIN: u64 = 100;

/// Swaps that an operation has to bear at least.
fn flips_wanted() -> u64 {
    std::env::var("SYNCLINE_FLIPS").map_or(1_000, |count| count.parse().unwrap())
}

/// Everything an outsider could lose: names, bytes, and (by ctime) any change of metadata.
fn sentinel(outside: &DirRef) -> Vec<(String, Stat, Vec<u8>)> {
    // Looking changes the times of access.
    let stat = |stat: Stat| Stat { atime: Time::default(), ..stat };
    let mut seen = vec![(String::new(), stat(outside.stat_self().unwrap()), Vec::new())];
    for (at, _) in outside.list().unwrap() {
        let mut bytes = [0; 64];
        let len = outside.open_file(&at).unwrap().read_full_at(&mut bytes, 0).unwrap();
        seen.push((at.to_string(), stat(outside.stat(&at).unwrap()), bytes[..len].to_vec()));
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

/// Does `act` again and again while `d` and `d2`, `f` and `f2` change places, until they have done so often enough.
fn while_flipping(inside: &Path, mut act: impl FnMut()) -> u64 {
    let (stop, flips, wanted) = (AtomicBool::new(false), AtomicU64::new(0), flips_wanted());
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
        let mut tries = 0;
        while tries < TRIES_MIN || flips.load(Ordering::Relaxed) < wanted {
            act();
            tries += 1;
        }
    });
    flips.into_inner()
}

/// An operation of the port, under its name.
type Operation = (&'static str, fn(&DirRef) -> io::Result<()>);

/// Every operation that takes a name, on a name that may lead outside (`d` or `f`), or below one.
const OPERATIONS: [Operation; 25] = [
    ("list", |inside| {
        let names = inside.open_dir(&name("d"))?.list()?;
        assert!(names.iter().all(|(at, _)| *at != name("secret")), "names of outside");
        Ok(())
    }),
    ("is_empty", |inside| inside.open_dir(&name("d"))?.is_empty().map(drop)),
    ("stat", |inside| {
        // One look at the name itself, whichever of the two it is now.
        match inside.stat(&name("f"))?.kind {
            Kind::File => Ok(()),
            Kind::Symlink => Err(Errno::LOOP.into()),
            other => panic!("{other:?}"),
        }
    }),
    ("stat below", |inside| {
        let found = inside.open_dir(&name("d"))?.stat(&name("secret"));
        assert!(found.is_err(), "what is outside");
        Ok(())
    }),
    ("read_link", |inside| {
        inside.read_link(&name("f")).map(|target| assert_eq!(target, b"../outside/secret"))
    }),
    ("open_dir", |inside| inside.open_dir(&name("d")).map(drop)),
    ("open_file", |inside| {
        let (file, mut bytes) = (inside.open_file(&name("f"))?, [0; 6]);
        file.read_full_at(&mut bytes, 0)?;
        assert_eq!(&bytes, b"public");
        Ok(())
    }),
    ("open_file_rw", |inside| inside.open_file_rw(&name("f"))?.write_all_at(b"public", 0)),
    ("create_file", |inside| inside.create_file(&name("f"), 0o600).map(|_| panic!("a link was followed"))),
    ("create_file below", |inside| {
        let dir = inside.open_dir(&name("d"))?;
        dir.create_file(&name("x"), 0o600)?.write_all_at(b"new", 0)?;
        dir.remove_file(&name("x"))
    }),
    ("create_dir", |inside| inside.create_dir(&name("d"), 0o700).map(|_| panic!("a link was followed"))),
    ("create_dir below", |inside| {
        let dir = inside.open_dir(&name("d"))?;
        dir.create_dir(&name("x"), 0o700)?;
        dir.remove_dir(&name("x"))
    }),
    ("create_symlink", |inside| {
        inside.create_symlink(&name("f"), b"x").map(|()| panic!("a name was replaced"))
    }),
    ("create_symlink below", |inside| {
        let dir = inside.open_dir(&name("d"))?;
        dir.create_symlink(&name("x"), b"target")?;
        dir.remove_file(&name("x"))
    }),
    ("link", |inside| {
        inside.link(&name("f"), &**inside, &name("second"))?;
        let kind = inside.stat(&name("second"))?.kind;
        inside.remove_file(&name("second"))?;
        if kind == Kind::File { Ok(()) } else { Err(Errno::LOOP.into()) }
    }),
    ("rename", |inside| {
        inside.rename(&name("d"), &**inside, &name("moved"))?;
        inside.rename(&name("moved"), &**inside, &name("d"))
    }),
    ("rename below", |inside| {
        let dir = inside.open_dir(&name("d"))?;
        dir.create_file(&name("x"), 0o600)?;
        // Outside there is one of that name.
        dir.rename(&name("x"), &*dir, &name("secret"))?;
        dir.remove_file(&name("secret"))
    }),
    ("rename_new", |inside| {
        inside.rename_new(&name("f"), &**inside, &name("moved"))?;
        inside.rename_new(&name("moved"), &**inside, &name("f"))
    }),
    ("exchange", |inside| {
        inside.exchange(&name("d"), &name("f"))?;
        inside.exchange(&name("d"), &name("f"))
    }),
    ("remove_file", |inside| {
        inside.remove_file(&name("f"))?;
        // Whichever of the two it was is made again.
        match inside.stat(&name("f2"))?.kind {
            Kind::File => inside.create_symlink(&name("f"), b"../outside/secret"),
            _ => inside.create_file(&name("f"), 0o600)?.write_all_at(b"public", 0),
        }
    }),
    ("remove_dir", |inside| {
        inside.remove_dir(&name("d"))?;
        inside.create_dir(&name("d"), 0o755).map(drop)
    }),
    ("set mode", |inside| set(inside, Attrs { mode: Some(0o751), ..Attrs::default() })),
    ("set owner", |inside| {
        // Only root may chown.
        let owner = Some((0, 0)).filter(|_| rustix::process::geteuid().is_root());
        set(inside, Attrs { owner, ..Attrs::default() })
    }),
    ("set mtime", |inside| {
        set(inside, Attrs { mtime: Some(Time { secs: 1, nanos: 2 }), ..Attrs::default() })
    }),
    ("set_attrs_self", |inside| {
        let mtime = Some(Time { secs: 3, nanos: 4 });
        inside.open_dir(&name("d"))?.set_attrs_self(&Attrs { mtime, mode: Some(0o750), ..Attrs::default() })
    }),
];

/// Sets the metadata of both names, whatever they are now.
fn set(inside: &DirRef, attrs: Attrs) -> io::Result<()> {
    inside.set_attrs(&name("d"), &attrs)?;
    inside.set_attrs(&name("f"), &attrs)
}

#[test]
#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn no_operation_leaves_the_tree_through_a_swapped_link() {
    let (mut reached, mut refused, mut flips) = (0_u64, 0_u64, 0);
    for (operation, act) in OPERATIONS {
        let world = World::os();
        let (inside, outside) = set_up(&world);
        let before = sentinel(&outside);
        flips += while_flipping(&world.path().join("inside"), || {
            if act(&inside).is_ok() { reached += 1 } else { refused += 1 }
        });
        assert_eq!(sentinel(&outside), before, "{operation} has left the tree");
    }
    eprintln!(
        "{} operations: {flips} swaps, {reached} tries reached the tree, {refused} were refused",
        OPERATIONS.len()
    );
    assert!(reached > 0 && refused > 0, "{reached} reached, {refused} refused");
}

#[test]
fn removal_of_a_swapped_tree_stays_inside() {
    let world = World::os();
    let (inside, outside) = set_up(&world);
    let before = sentinel(&outside);
    while_flipping(&world.path().join("inside"), || {
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
