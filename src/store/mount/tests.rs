//! What is shown, without a kernel that asks.

use std::sync::mpsc::{Receiver, channel};

use super::shown::{Listing, Shown};
use super::trees::TREES_MAX;
use super::*;
use crate::fs::Kind;
use crate::fs::mem::MemFs;
use crate::path::Name;
use crate::store::blobs::{BlobKind, Blobs, MemoryBlobs};
use crate::store::tests::{Machine, noise, tree};

const TOP: u64 = 1;

/// A store that is shown, and what is told of it.
struct Bench {
    machine: Machine,
    blobs: Arc<MemoryBlobs>,
    store: Arc<Store>,
    shown: Shown,
    told: Receiver<(String, String)>,
}

impl Bench {
    /// With a state of each of these names, each of a tree of its own.
    fn new(names: &[String]) -> Bench {
        let machine = Machine::new();
        let blobs = Arc::new(MemoryBlobs::default());
        let store = Arc::new(machine.store(blobs.clone()));
        for (seed, name) in names.iter().enumerate() {
            machine.put(&store, name, &tree(seed as u64, 9)).unwrap();
        }
        let (tell, told) = channel();
        let tell = move |path: &[u8], cause: &io::Error| {
            tell.send((String::from_utf8_lossy(path).into_owned(), cause.to_string())).unwrap();
        };
        let shown = Shown::new(store.clone(), |time| time.secs.to_string(), Box::new(tell)).unwrap();
        Bench { machine, blobs, store, shown, told }
    }

    /// The inode at a path.
    fn find(&self, path: &str) -> io::Result<u64> {
        let mut inode = TOP;
        for name in path.split('/') {
            let stat = self.shown.find(inode, name.as_bytes())?;
            inode = stat.ino;
            if stat.kind == Kind::Symlink {
                let target = self.shown.read_link(inode)?;
                let above = path.split_once('/').unwrap().0;
                inode = self.find(&format!("{above}/{}", String::from_utf8(target).unwrap()))?;
            }
        }
        Ok(inode)
    }

    fn read(&self, inode: u64) -> io::Result<Vec<u8>> {
        let file = self.shown.open(inode)?;
        let mut bytes = vec![0; file.stat()?.size as usize + 1];
        let count = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let inode = if path.is_empty() { TOP } else { self.find(path).unwrap() };
        names(&self.shown.list(inode).unwrap())
    }
}

fn names(listing: &Listing) -> Vec<String> {
    let listed = (0..).map_while(|at| listing.get(at));
    listed.map(|listed| String::from_utf8(listed.name).unwrap()).collect()
}

fn names_of(count: u64) -> Vec<String> {
    (0..count).map(|at| format!("n{at}")).collect()
}

#[test]
fn files_keep_their_numbers_when_their_trees_are_read_again() {
    let bench = Bench::new(&names_of(TREES_MAX as u64 + 3));
    let first = bench.find("n0/latest/d0/f3").unwrap();
    assert_eq!(bench.read(first).unwrap(), noise(3, 40_000));
    for at in 1..TREES_MAX as u64 + 3 {
        let inode = bench.find(&format!("n{at}/latest/d0/f3")).unwrap();
        assert_eq!(bench.read(inode).unwrap(), noise(at * 1000 + 3, 40_000));
        assert!(bench.shown.trees_kept() <= TREES_MAX);
    }
    assert_eq!(bench.find("n0/latest/d0/f3").unwrap(), first);
    assert_eq!(bench.read(first).unwrap(), noise(3, 40_000));
}

#[test]
fn a_tree_is_read_when_something_in_it_is_looked_at() {
    let bench = Bench::new(&names_of(3));
    for at in 0..3 {
        let root = bench.find(&format!("n{at}/latest")).unwrap();
        assert!(bench.shown.stat(root).unwrap().kind == Kind::Dir);
        assert_eq!(bench.shown.attributes(root).unwrap().iter().count(), 0);
    }
    assert_eq!(bench.shown.trees_kept(), 0);
    bench.find("n1/latest/d0").unwrap();
    assert_eq!(bench.shown.trees_kept(), 1);
}

#[test]
fn directories_are_listed_with_themselves_and_the_one_above() {
    let bench = Bench::new(&["a/b".to_owned()]);
    assert_eq!(bench.names(""), [".", "..", "a#b"]);
    assert_eq!(bench.names("a#b"), [".", "..", "latest", "0-2000000000"]);
    assert_eq!(bench.names("a#b/latest"), [".", "..", "d0", "d1", "d2"]);
    assert_eq!(bench.names("a#b/latest/d1"), [".", "..", "f1", "f4", "f7"]);
    let (root, dir) = (bench.find("a#b/latest").unwrap(), bench.find("a#b/latest/d1").unwrap());
    let listing = bench.shown.list(dir).unwrap();
    assert_eq!([0, 1].map(|at| listing.get(at).unwrap().inode), [dir, root]);
    let listed = listing.get(2).unwrap();
    assert_eq!((listed.inode, listed.kind), (bench.find("a#b/latest/d1/f1").unwrap(), Kind::File));
    assert!(listing.get(5).is_none() && listing.get(usize::MAX).is_none());
}

#[test]
fn states_appear_and_go_while_what_is_known_of_them_stays() {
    let bench = Bench::new(&["x".to_owned()]);
    let old = bench.find("x/0-2000000000/d0/f3").unwrap();
    let fs = tree(50, 9);
    bench.machine.put(&bench.store, "x", &fs).unwrap();
    bench.machine.put(&bench.store, "y", &fs).unwrap();
    bench.machine.forget(&bench.store, "x", 0);
    bench.shown.expire();
    assert_eq!(bench.names(""), [".", "..", "x", "y"]);
    assert_eq!(bench.names("x"), [".", "..", "latest", "1-2000000000"]);
    assert_eq!(bench.find("x/0-2000000000").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(bench.read(bench.find("x/latest/d0/f3").unwrap()).unwrap(), noise(50_003, 40_000));
    assert_eq!(bench.read(old).unwrap(), noise(3, 40_000));
}

#[test]
fn the_head_is_not_read_at_every_look() {
    let bench = Bench::new(&["x".to_owned()]);
    bench.shown.expire();
    bench.find("x").unwrap();
    bench.machine.put(&bench.store, "y", &tree(1, 3)).unwrap();
    let known = bench.names("");
    bench.shown.expire();
    assert_eq!((known.len(), bench.names("").len()), (3, 4));
}

#[test]
fn names_of_one_file_are_one_inode() {
    let bench = Bench::new(&[]);
    let fs = MemFs::new();
    let (root, dir) = (fs.root(), fs.mkdir("d").unwrap());
    let name = |name: &str| Name::new(name.as_bytes()).unwrap();
    fs.write("one", b"bytes").unwrap();
    fs.write("alone", b"bytes").unwrap();
    root.link(&name("one"), &*dir, &name("two")).unwrap();
    root.link(&name("one"), &*root, &name("three")).unwrap();
    bench.machine.put(&bench.store, "x", &fs).unwrap();
    bench.shown.expire();
    let stat = |path: &str| bench.shown.stat(bench.find(path).unwrap()).unwrap();
    let first = stat("x/latest/d/two");
    assert_eq!((stat("x/latest/one"), stat("x/latest/three")), (first, first));
    assert_eq!((first.nlink, stat("x/latest/alone").nlink, first.size), (3, 1, 5));
    let listing = bench.shown.list(bench.find("x/latest/d").unwrap()).unwrap();
    assert_eq!(listing.get(2).unwrap().inode, first.ino);
    assert_eq!(bench.read(first.ino).unwrap(), b"bytes");
}

#[test]
fn what_is_lost_is_an_error_that_is_told_once() {
    let bench = Bench::new(&["x".to_owned()]);
    let file = bench.find("x/latest/d0/f3").unwrap();
    for pack in bench.blobs.list(BlobKind::Pack).unwrap() {
        bench.blobs.remove(&pack.name).unwrap();
    }
    let store = Arc::new(Store::open(bench.blobs.clone()).unwrap());
    let bench = Bench { store, ..bench };
    let error = bench.read(file).unwrap_err();
    for _ in 0..3 {
        bench.shown.tell_of(file, None, &error);
    }
    bench.shown.tell_of(TOP, Some(b"x"), &error);
    let told: Vec<_> = bench.told.try_iter().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0].0, "x/0-2000000000/d0/f3");
    assert!(error.raw_os_error().is_none() && told[0].1 == error.to_string(), "{told:?}");
}

#[test]
fn what_is_not_there_is_not_found_and_what_is_no_directory_has_nothing_in_it() {
    let bench = Bench::new(&["x".to_owned()]);
    let check = |path: &str, expected: rustix::io::Errno| {
        let error = bench.find(path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(expected.raw_os_error()), "{path}");
    };
    check("y", rustix::io::Errno::NOENT);
    check("x/7-2000000000", rustix::io::Errno::NOENT);
    check("x/latest/d9", rustix::io::Errno::NOENT);
    check("x/latest/d0/f3/f", rustix::io::Errno::NOTDIR);
    let state = bench.find("x/latest").unwrap();
    // Numbers that nothing has.
    for inode in [0, 99, state + 5000, state + (5 << 32), u64::MAX] {
        assert!(bench.shown.stat(inode).is_err() && bench.shown.list(inode).is_err(), "{inode}");
        assert!(bench.shown.open(inode).is_err() && bench.shown.read_link(inode).is_err(), "{inode}");
    }
    for inode in [TOP, state, bench.find("x/latest/d0").unwrap()] {
        assert!(bench.shown.open(inode).is_err() && bench.shown.read_link(inode).is_err());
    }
    assert_eq!(bench.shown.totals().files, 9);
}
