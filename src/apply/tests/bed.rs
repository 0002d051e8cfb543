//! Trees as values: drawn from a seed, built on any file system, read back, synchronized.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::fs::fault::{Faults, Plan};
use crate::fs::mem::MemFs;
use crate::fs::{Attrs, DirRef, Kind, Rdev, Special, Stat, Time};
use crate::monitor::Monitor;
use crate::path::{Name, RelPath, STAGING_PREFIX};
use crate::sync::{Options, Place, Summary, SyncError, sync_dirs};

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}

/// What stands under one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) node: Node,
    /// 0 for symbolic links.
    pub(super) mode: u32,
    pub(super) mtime: Time,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Node {
    File(Vec<u8>),
    /// A further name of the file under that path.
    Link(RelPath),
    Dir,
    Symlink(Vec<u8>),
    Special(Special, Rdev),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Node::File(bytes) => write!(f, "{} bytes {:?}", bytes.len(), &bytes[..bytes.len().min(4)]),
            Node::Link(first) => write!(f, "link to {first}"),
            Node::Dir => f.write_str("directory"),
            Node::Symlink(_) => f.write_str("symlink"),
            Node::Special(what, _) => write!(f, "{what:?}"),
        }
    }
}

/// A tree; the root directory stands under the empty path.
pub(super) type Tree = BTreeMap<RelPath, Spec>;

pub(super) fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

pub(super) fn at(secs: i64) -> Time {
    Time { secs, nanos: 123_456_789 }
}

pub(super) fn dir() -> Spec {
    Spec { node: Node::Dir, mode: 0o755, mtime: at(1000) }
}

pub(super) fn file(bytes: &[u8]) -> Spec {
    Spec { node: Node::File(bytes.to_vec()), mode: 0o644, mtime: at(2000) }
}

pub(super) fn link(first: &str) -> Spec {
    Spec { node: Node::Link(path(first)), mode: 0, mtime: at(0) }
}

pub(super) fn symlink(target: &str) -> Spec {
    Spec { node: Node::Symlink(target.into()), mode: 0, mtime: at(3000) }
}

/// A tree of these names, with the directories around them.
pub(super) fn tree(entries: &[(&str, Spec)]) -> Tree {
    let mut tree = Tree::from([(RelPath::root(), dir())]);
    for (at, spec) in entries {
        let mut above = path(at);
        while let Some((parent, _)) = above.split_last() {
            tree.entry(parent.clone()).or_insert_with(dir);
            above = parent;
        }
        tree.insert(path(at), spec.clone());
    }
    tree
}

/// Bytes of several chunks, the same for the same seed.
pub(super) fn large(seed: u64) -> Vec<u8> {
    Random(seed).bytes(150_000)
}

fn open(root: &DirRef, at: &RelPath) -> DirRef {
    crate::fs::walk::open_path(root, at).unwrap()
}

/// Makes an empty directory that tree.
pub(super) fn build(root: &DirRef, tree: &Tree) {
    // Links last: what they link to may come after them.
    let is_link = |spec: &Spec| matches!(spec.node, Node::Link(_));
    let order = tree.iter().filter(|(_, spec)| !is_link(spec)).chain(tree.iter().filter(|(_, s)| is_link(s)));
    for (at, spec) in order {
        let Some((parent, name)) = at.split_last() else { continue };
        let dir = open(root, &parent);
        match &spec.node {
            Node::File(bytes) => dir.create_file(&name, 0o600).unwrap().write_all_at(bytes, 0).unwrap(),
            Node::Dir => drop(dir.create_dir(&name, 0o700).unwrap()),
            Node::Symlink(target) => dir.create_symlink(&name, target).unwrap(),
            Node::Link(first) => {
                let (first_dir, first) = first.split_last().unwrap();
                open(root, &first_dir).link(&first, &*dir, &name).unwrap();
            }
            Node::Special(what, rdev) => dir.create_special(&name, *what, *rdev, 0o600).unwrap(),
        }
    }
    for (at, spec) in tree.iter().rev().filter(|(_, spec)| !is_link(spec)) {
        let mode = (!matches!(spec.node, Node::Symlink(_))).then_some(spec.mode);
        let attrs = Attrs { mode, mtime: Some(spec.mtime), ..Attrs::default() };
        match at.split_last() {
            Some((parent, name)) => open(root, &parent).set_attrs(&name, &attrs).unwrap(),
            None => root.set_attrs_self(&attrs).unwrap(),
        }
    }
}

/// Reads a whole tree; `seen` gets every stat.
fn walk(root: &DirRef, mut seen: impl FnMut(&RelPath, &DirRef, Option<&Name>, Stat)) {
    seen(&RelPath::root(), root, None, root.stat_self().unwrap());
    let mut stack = vec![(RelPath::root(), root.clone())];
    while let Some((at, dir)) = stack.pop() {
        for (name, _) in dir.list().unwrap() {
            let stat = dir.stat(&name).unwrap();
            let below = at.join(&name);
            seen(&below, &dir, Some(&name), stat);
            if stat.kind == Kind::Dir {
                stack.push((below, dir.open_dir(&name).unwrap()));
            }
        }
    }
}

/// What a directory holds, our own temporary names left out.
pub(super) fn capture(root: &DirRef) -> Tree {
    let mut found = BTreeMap::new();
    walk(root, |at, dir, name, stat| {
        let node = match (stat.kind, name) {
            (Kind::File, Some(name)) => Node::File(read(dir, name, stat.size)),
            (Kind::Symlink, Some(name)) => Node::Symlink(dir.read_link(name).unwrap()),
            (Kind::Special(what), _) => Node::Special(what, stat.rdev),
            _ => Node::Dir,
        };
        if !at.components().any(|name| name.as_bytes().starts_with(STAGING_PREFIX)) {
            found.insert(at.clone(), (node, stat));
        }
    });
    let mut firsts: BTreeMap<u64, RelPath> = BTreeMap::new();
    let mut tree = Tree::new();
    for (at, (node, stat)) in found {
        let mode = if stat.kind == Kind::Symlink { 0 } else { stat.mode };
        let first = firsts.entry(stat.ino).or_insert_with(|| at.clone());
        let linked = stat.kind == Kind::File && *first != at;
        let node = if linked { Node::Link(first.clone()) } else { node };
        tree.insert(at, Spec { node, mode, mtime: stat.mtime });
    }
    tree
}

/// Every stat of a tree, which tells any change at all.
pub(super) fn stats(root: &DirRef) -> BTreeMap<RelPath, Stat> {
    let mut stats = BTreeMap::new();
    walk(root, |at, _, _, stat| {
        // Looking changes the time of access.
        stats.insert(at.clone(), Stat { atime: Time::default(), ..stat });
    });
    stats
}

/// The bytes of every file, those under our temporary names included.
pub(super) fn files(root: &DirRef) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    walk(root, |_, dir, name, stat| {
        if let (Kind::File, Some(name)) = (stat.kind, name) {
            found.push(read(dir, name, stat.size));
        }
    });
    found
}

fn read(dir: &DirRef, name: &Name, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    dir.open_file(name).unwrap().read_full_at(&mut bytes, 0).unwrap();
    bytes
}

/// Our own temporary names below a directory.
pub(super) fn leftovers(root: &DirRef) -> Vec<RelPath> {
    let mut found = Vec::new();
    walk(root, |at, _, name, _| {
        if name.is_some_and(|name| name.as_bytes().starts_with(STAGING_PREFIX)) {
            found.push(at.clone());
        }
    });
    found
}

/// The tree with every further name showing its file's bytes and metadata.
pub(super) fn flat(tree: &Tree) -> Tree {
    let shown = |spec: &Spec| match &spec.node {
        Node::Link(first) => tree[first].clone(),
        _ => spec.clone(),
    };
    tree.iter().map(|(at, spec)| (at.clone(), shown(spec))).collect()
}

/// A file system in memory that holds a tree, all of it durable; its clock is past the tree's making.
pub(super) fn mem(tree: &Tree) -> MemFs {
    let fs = MemFs::new();
    build(&fs.root(), tree);
    fs.root().sync_fs().unwrap();
    fs.set_time(at(1_500_000_000));
    fs
}

pub(super) fn options(delete: bool) -> Options {
    Options { delete, threads: 2, ..Options::default() }
}

pub(super) fn sync(from: &DirRef, to: &DirRef, options: &Options) -> Result<Summary, SyncError> {
    let place = |root: &DirRef, path| Place::new(root.clone(), Path::new(path));
    sync_dirs(place(from, "/from"), place(to, "/to"), options)
}

/// Synchronizes with every change counted, and gives how many operations the destination saw.
pub(super) fn counted(from: &MemFs, to: &MemFs, plan: Plan, options: &Options) -> (Counted, Faults) {
    let faults = Faults::new(plan);
    let result = sync(&from.root(), &faults.wrap(to.root()), options);
    (result, faults)
}

pub(super) type Counted = Result<Summary, SyncError>;

/// Asserts that a second run finds nothing to do and sends no bytes.
#[track_caller]
pub(super) fn assert_settled(from: &DirRef, to: &DirRef, options: &Options, context: &str) {
    let again = sync(from, to, options).unwrap_or_else(|error| panic!("{context}: second run: {error}"));
    let report = &again.report;
    let changes = report.created + report.updated + report.deleted + report.moved + report.metadata_only;
    assert_eq!((changes, report.bytes_literal, again.code), (0, 0, 0), "{context}: second run: {again:?}");
    assert_eq!(leftovers(to), [], "{context}");
}

/// Runs something the first time a phase begins.
pub(super) struct OnPhase<F>(pub(super) crate::monitor::Phase, pub(super) F);

impl<F: Fn() + Send + Sync> Monitor for OnPhase<F> {
    fn begin(&self, phase: crate::monitor::Phase, _: Option<u64>, _: Option<u64>) {
        if phase == self.0 {
            self.1();
        }
    }
}

pub(super) fn on_phase(
    phase: crate::monitor::Phase,
    act: impl Fn() + Send + Sync + 'static,
) -> Arc<dyn Monitor> {
    Arc::new(OnPhase(phase, act))
}
