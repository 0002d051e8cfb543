//! The store as a whole: what is put comes back, once each; collecting, checking, repairing.

use std::sync::Arc;

use super::blobs::{BlobKind, Blobs, DirBlobs, MemoryBlobs};
use super::log::{RefName, Verdict};
use super::seal::{Cost, Unlock};
use super::*;
use crate::fs::mem::MemFs;
use crate::fs::{Time, walk};
use crate::net::Identity;
use crate::path::Name;
use crate::scan::{self, Clock, Scan, scan};

mod damage;
mod encrypted;
mod golden;
mod interleaved;
mod remote;

/// A machine that puts trees.
pub(super) struct Machine {
    identity: Identity,
    clock: Clock,
    /// What its stores are encrypted with.
    key: Option<Key>,
}

/// What opens the stores of a machine that encrypts.
const KEY_FILE: Unlock<'_> = Unlock::KeyFile(&[9; 32]);

impl Machine {
    pub(super) fn new() -> Machine {
        Machine {
            identity: Identity::ephemeral(),
            clock: Arc::new(|| Time { secs: 2_000_000_000, nanos: 0 }),
            key: None,
        }
    }

    /// One whose stores are encrypted.
    fn keyed() -> Machine {
        Machine { key: Some(Key::generate(KEY_FILE, Cost::default()).unwrap()), ..Machine::new() }
    }

    fn signer(&self) -> Signer<'_> {
        Signer { identity: &self.identity, time: (self.clock)() }
    }

    pub(super) fn store(&self, blobs: Arc<dyn Blobs>) -> Store {
        let settings = Settings { params: params(), key: self.key.clone(), ..Settings::default() };
        Store::create(blobs, [7; 16], &settings, self.signer()).unwrap()
    }

    fn open(&self, blobs: Arc<dyn Blobs>) -> Result<Store, StoreError> {
        Store::open_with(blobs, |wrapped| Ok(wrapped.open(KEY_FILE)?))
    }

    /// How its stores' files are cut.
    fn params(&self) -> crate::chunk::Params {
        match &self.key {
            Some(key) => params().with_key(key.secret.chunking_key()),
            None => params(),
        }
    }

    fn scan(&self, fs: &MemFs) -> Scan {
        let mut options = scan::Options::new(self.clock.clone());
        options.params = self.params();
        options.profile = crate::sync::stored::profile();
        scan(&fs.root(), None, &options, &()).unwrap()
    }

    pub(super) fn put(&self, store: &Store, name: &str, fs: &MemFs) -> Result<Put, StoreError> {
        let options = PutOptions {
            threads: 2,
            now: self.clock.clone(),
            monitor: &(),
            tags: Vec::new(),
            identity: &self.identity,
        };
        store.put_tree(&name.parse::<RefName>().unwrap(), &fs.root(), &mut self.scan(fs), &options)
    }

    pub(super) fn forget(&self, store: &Store, name: &str, sequence: u64) {
        store.forget(&name.parse().unwrap(), &[sequence], self.signer()).unwrap();
    }
}

/// Small chunks, so that small files have many.
fn params() -> crate::chunk::Params {
    crate::chunk::Params::least(512).unwrap()
}

pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::iter::successors(Some(seed * 2 + 1), next).map(|state| (state >> 56) as u8).take(len).collect()
}

/// A tree with `count` files of noise, some of several chunks, in three directories.
pub(super) fn tree(seed: u64, count: usize) -> MemFs {
    let fs = MemFs::new();
    for at in 0..count {
        let dir = format!("d{}", at % 3);
        if at < 3 {
            fs.mkdir(&dir).unwrap();
        }
        let len = [10, 400, 3000, 40_000][at % 4];
        write(&fs, &format!("{dir}/f{at}"), &noise(seed * 1000 + at as u64, len));
    }
    fs
}

fn write(fs: &MemFs, path: &str, bytes: &[u8]) {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = fs.root().open_dir(&Name::new(dir.as_bytes()).unwrap()).unwrap();
    let name = Name::new(name.as_bytes()).unwrap();
    let _ = dir.remove_file(&name);
    dir.create_file(&name, 0o644).unwrap().write_all_at(bytes, 0).unwrap();
}

/// Reads every file of a snapshot, and compares its tree with that of `fs`.
fn holds(store: &Arc<Store>, put: &Put, machine: &Machine, fs: &MemFs) {
    let tree = StoredTree::open(store.clone(), &put.state.root).unwrap();
    let mut options = scan::Options::new(machine.clock.clone());
    options.params = machine.params();
    options.profile = tree.snapshot().profile();
    let mut found = scan(&tree.root(), None, &options, &()).unwrap();
    found.hash_unknown(&scan::Opener::new(tree.root()), &options, &());
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let mut source = machine.scan(fs);
    source.hash_unknown(&scan::Opener::new(fs.root()), &options, &());
    assert_eq!(found.snapshot.root(), source.snapshot.root());
    assert_eq!(found.snapshot.root(), Some(put.state.root));
}

#[test]
fn what_is_put_comes_back() {
    let dir = MemFs::new();
    let places: [(Machine, Arc<dyn Blobs>); 3] = [
        (Machine::new(), Arc::new(MemoryBlobs::default())),
        (Machine::new(), Arc::new(DirBlobs::create(dir.root()).unwrap())),
        (Machine::keyed(), Arc::new(MemoryBlobs::default())),
    ];
    for (machine, blobs) in places {
        let store = Arc::new(machine.store(blobs.clone()));
        let fs = tree(1, 40);
        let put = machine.put(&store, "a", &fs).unwrap();
        assert!(put.added.objects > 40);
        holds(&store, &put, &machine, &fs);
        let again = machine.put(&store, "b", &fs).unwrap();
        assert_eq!((again.state.root, again.added), (put.state.root, Added::default()));
        write(&fs, "d0/f0", b"other bytes");
        let changed = machine.put(&store, "a", &fs).unwrap();
        assert!((1..20).contains(&changed.added.objects), "{:?}", changed.added);
        let opened = Arc::new(machine.open(blobs).unwrap());
        holds(&opened, &changed, &machine, &fs);
        let sequences = |name: &str| -> Vec<u64> {
            opened.names().unwrap()[name].iter().map(|state| state.sequence).collect()
        };
        assert_eq!((sequences("a"), sequences("b")), (vec![0, 2], vec![1]));
        assert!(matches!(opened.audit(None, None).unwrap(), Verdict::Fine(_)));
        assert!(opened.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
    }
}

/// Row 31: an index that is gone, in part or whole, gives the same answers.
#[test]
fn an_index_is_made_again() {
    let machine = Machine::new();
    let blobs = Arc::new(MemoryBlobs::default());
    let store = machine.store(blobs.clone());
    let fs = tree(2, 60);
    let put = machine.put(&store, "a", &fs).unwrap();
    write(&fs, "d1/f1", &noise(99, 5000));
    let changed = machine.put(&store, "a", &fs).unwrap();
    for info in blobs.list(BlobKind::Index).unwrap() {
        blobs.remove(&info.name).unwrap();
        let opened = Arc::new(Store::open(blobs.clone()).unwrap());
        holds(&opened, &changed, &machine, &fs);
        assert_eq!(opened.snapshot(&put.state.root).unwrap().root(), Some(put.state.root));
        assert_eq!(machine.put(&opened, "b", &fs).unwrap().added, Added::default());
    }
    store.mend_index().unwrap();
    assert!(!blobs.list(BlobKind::Index).unwrap().is_empty());
}

#[test]
fn what_is_forgotten_is_collected_and_what_is_kept_is_not() {
    let machine = Machine::new();
    let blobs = Arc::new(MemoryBlobs::default());
    let store = Arc::new(machine.store(blobs.clone()));
    let (first, second) = (tree(3, 50), tree(4, 50));
    let one = machine.put(&store, "a", &first).unwrap();
    let two = machine.put(&store, "a", &second).unwrap();
    let bytes = || blobs.list(BlobKind::Pack).unwrap().iter().map(|info| info.len).sum::<u64>();
    let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 20 };
    let before = bytes();
    assert_eq!(store.collect(&collect, &()).unwrap().packs, 0);
    machine.forget(&store, "a", one.state.sequence);
    let planned = store.collect(&Collect { dry_run: true, ..collect }, &()).unwrap();
    assert!(planned.packs > 0 && bytes() == before);
    let done = store.collect(&collect, &()).unwrap();
    assert_eq!((done.packs, done.removed), (planned.packs, planned.removed));
    assert!(bytes() < before * 6 / 10, "{before} {}", bytes());
    holds(&store, &two, &machine, &second);
    assert!(matches!(store.snapshot(&one.state.root), Err(StoreError::Missing { .. })));
    assert_eq!(store.collect(&collect, &()).unwrap().packs, 0);
    // What was collected can be put again.
    let one = machine.put(&store, "b", &first).unwrap();
    holds(&store, &one, &machine, &first);
    assert!(store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
}

#[test]
fn a_copy_has_the_same_root_and_moves_what_is_new() {
    let machine = Machine::new();
    let store = Arc::new(machine.store(Arc::new(MemoryBlobs::default())));
    let other = Arc::new(machine.store(Arc::new(MemoryBlobs::default())));
    let fs = tree(5, 30);
    let name = "a".parse().unwrap();
    for at in 0..3 {
        write(&fs, "d0/f0", &noise(at, 3000));
        let put = machine.put(&store, "a", &fs).unwrap();
        let (state, added) = store.copy_to(&other, &put.state, &name, machine.signer(), &()).unwrap();
        assert_eq!(state.root, put.state.root);
        assert!(at == 0 || added.objects < 20, "{added:?}");
        holds(&other, &put, &machine, &fs);
    }
    let stats = other.stats().unwrap();
    assert_eq!(stats.states.len(), 3);
    assert!(stats.logical > 2 * stats.raw && stats.raw > stats.states[1].2);
}

#[test]
fn a_reader_finds_what_was_moved_to_another_pack() {
    let machine = Machine::new();
    let blobs = Arc::new(MemoryBlobs::default());
    let store = machine.store(blobs.clone());
    let fs = tree(6, 40);
    let one = machine.put(&store, "a", &fs).unwrap();
    for at in 0..20 {
        write(&fs, &format!("d{}/f{at}", at % 3), b"short now");
    }
    let two = machine.put(&store, "a", &fs).unwrap();
    let reader = Arc::new(Store::open(blobs).unwrap());
    machine.forget(&store, "a", one.state.sequence);
    let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 1 };
    assert!(store.collect(&collect, &()).unwrap().rewritten > 0);
    holds(&reader, &two, &machine, &fs);
}

/// The longest path of a tree can be walked without a stack.
#[test]
fn a_deep_tree_comes_back() {
    let machine = Machine::new();
    let store = Arc::new(machine.store(Arc::new(MemoryBlobs::default())));
    let fs = MemFs::new();
    let mut dir = fs.root();
    for _ in 0..1500 {
        dir = dir.create_dir(&Name::new(b"d").unwrap(), 0o755).unwrap();
    }
    let put = machine.put(&store, "a", &fs).unwrap();
    holds(&store, &put, &machine, &fs);
    let _ = walk::remove_tree;
}
