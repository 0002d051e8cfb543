//! Random pairs of trees: after a sync the destination is the source, whatever it was.

use super::bed::*;
use crate::fs::{DirRef, Time, os};
use crate::path::{Name, RelPath};

const NAMES: [&[u8]; 12] =
    [b"a", b"b", b"c", b"d", b"e.txt", b"f", b"sub", b"z", b"\xff\xfe", b"\x1b[2J", b"new\nline", b"-rf"];
const SIZES: [usize; 8] = [0, 0, 1, 100, 5_000, 16_384, 40_000, 200_000];
const TIMES: [i64; 6] = [-2_000_000_000, -1, 0, 1_000_000_000, 1_600_000_000, 4_000_000_000];
const MODES: [u32; 6] = [0o644, 0o600, 0o755, 0o4755, 0o2711, 0o000];
const DIR_MODES: [u32; 4] = [0o755, 0o700, 0o2775, 0o555];

fn time(random: &mut Random) -> Time {
    Time { secs: *random.pick(&TIMES), nanos: random.below(1_000_000_000) as u32 }
}

fn name(random: &mut Random) -> Name {
    let bytes: &[u8] = NAMES[random.below(NAMES.len())];
    Name::new(bytes).unwrap()
}

fn contents(random: &mut Random) -> Vec<u8> {
    // Few seeds, so that some files are the same and others only begin alike.
    let (seed, size) = (random.below(6) as u64, *random.pick(&SIZES));
    Random(seed).bytes(size)
}

fn dirs(tree: &Tree) -> Vec<RelPath> {
    tree.iter().filter(|(_, spec)| spec.node == Node::Dir).map(|(at, _)| at.clone()).collect()
}

fn add(tree: &mut Tree, random: &mut Random) {
    let parents = dirs(tree);
    let at = random.pick(&parents).join(&name(random));
    if tree.contains_key(&at) {
        return;
    }
    let files: Vec<RelPath> = tree
        .iter()
        .filter(|(_, spec)| matches!(spec.node, Node::File(_)))
        .map(|(at, _)| at.clone())
        .collect();
    let mtime = time(random);
    let (node, mode) = match random.below(10) {
        0..=4 => (Node::File(contents(random)), *random.pick(&MODES)),
        5..=7 => (Node::Dir, *random.pick(&DIR_MODES)),
        8 => (Node::Symlink([&b"a"[..], b"/etc/passwd", b"../..", b"\xff"][random.below(4)].to_vec()), 0),
        _ => match files.is_empty() {
            true => return,
            false => (Node::Link(random.pick(&files).clone()), 0),
        },
    };
    tree.insert(at, Spec { node, mode, mtime });
}

/// Takes a name out, with what is below it; links to what is gone become files.
fn remove(tree: &mut Tree, at: &RelPath) -> Tree {
    let flat_before = flat(tree);
    let inside =
        |other: &RelPath| other == at || other.as_bytes().starts_with(&[at.as_bytes(), b"/"].concat());
    let taken: Tree = tree.iter().filter(|(at, _)| inside(at)).map(|(a, s)| (a.clone(), s.clone())).collect();
    tree.retain(|at, _| !inside(at));
    let widowed: Vec<RelPath> = tree
        .iter()
        .filter(|(_, spec)| matches!(&spec.node, Node::Link(first) if taken.contains_key(first)))
        .map(|(at, _)| at.clone())
        .collect();
    for at in widowed {
        tree.insert(at.clone(), flat_before[&at].clone());
    }
    let shown = |at: &RelPath, spec: &Spec| match &spec.node {
        Node::Link(first) if !taken.contains_key(first) => flat_before[at].clone(),
        _ => spec.clone(),
    };
    taken.iter().map(|(at, spec)| (at.clone(), shown(at, spec))).collect()
}

fn change(tree: &mut Tree, random: &mut Random) {
    let names: Vec<RelPath> = tree.keys().filter(|at| !at.is_root()).cloned().collect();
    if names.is_empty() {
        return add(tree, random);
    }
    let at = random.pick(&names).clone();
    match random.below(8) {
        0 | 1 => add(tree, random),
        2 => drop(remove(tree, &at)),
        // Moves, of whole directories too.
        3 | 4 => {
            let moved = remove(tree, &at);
            let parents = dirs(tree);
            let to = random.pick(&parents).join(&name(random));
            if tree.contains_key(&to) {
                return;
            }
            let renamed = |old: &RelPath| {
                let rest = &old.as_bytes()[at.as_bytes().len()..];
                RelPath::new(&[to.as_bytes(), rest].concat()).unwrap()
            };
            for (old, mut spec) in moved {
                if let Node::Link(first) = &mut spec.node {
                    *first = renamed(first);
                }
                tree.insert(renamed(&old), spec);
            }
        }
        // Another kind under the same name.
        5 => {
            drop(remove(tree, &at));
            let node = match random.below(3) {
                0 => Node::Dir,
                1 => Node::Symlink(b"x".to_vec()),
                _ => Node::File(contents(random)),
            };
            tree.insert(at, Spec { node, mode: 0o755, mtime: time(random) });
        }
        _ => {
            let new = contents(random);
            let (mtime, mode) = (time(random), *random.pick(&DIR_MODES));
            let spec = tree.get_mut(&at).unwrap();
            match &mut spec.node {
                Node::File(bytes) if mode != 0o755 => *bytes = new,
                Node::Symlink(target) => *target = b"other".to_vec(),
                Node::File(_) | Node::Dir => spec.mode = mode,
                _ => {}
            }
            spec.mtime = mtime;
        }
    }
}

/// A tree and another made from it by some changes.
pub(super) fn pair(seed: u64) -> (Tree, Tree) {
    let mut random = Random(seed);
    let mut from = Tree::from([(RelPath::root(), dir())]);
    for _ in 0..random.below(40) {
        add(&mut from, &mut random);
    }
    let mut to = if random.below(8) == 0 { Tree::from([(RelPath::root(), dir())]) } else { from.clone() };
    for _ in 0..random.below(25) {
        let tree = if random.below(2) == 0 { &mut from } else { &mut to };
        change(tree, &mut random);
    }
    (from, to)
}

/// Whether a directory that holds something stands where the source has something else.
fn in_the_way(from: &Tree, to: &Tree, at: &RelPath) -> bool {
    let holds = |at: &RelPath| to.keys().any(|below| below.split_last().is_some_and(|(up, _)| up == *at));
    to[at].node == Node::Dir && holds(at) && from.get(at).is_some_and(|spec| spec.node != Node::Dir)
}

fn check(seed: u64, make: impl Fn(&Tree) -> DirRef, pass_time: impl Fn(), delete: bool) {
    let (from, mut to) = pair(seed);
    if !delete {
        let blocked: Vec<RelPath> = to.keys().filter(|at| in_the_way(&from, &to, at)).cloned().collect();
        for at in blocked {
            remove(&mut to, &at);
        }
    }
    let context = format!("seed {seed}, delete {delete}");
    let (source, target) = (make(&from), make(&to));
    let (from, before) = (capture(&source), stats(&source));
    pass_time();
    let summary = sync(&source, &target, &options(delete)).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!((summary.code, summary.problems.len()), (0, 0), "{context}: {summary:?}");
    assert!(summary.root.is_some(), "{context}");
    assert_eq!(stats(&source), before, "{context}: the source was written to");
    let after = capture(&target);
    if delete {
        for at in from.keys().chain(after.keys()) {
            assert_eq!(after.get(at), from.get(at), "{context}: {at}");
        }
    } else {
        let (from, after, to) = (flat(&from), flat(&after), flat(&to));
        for (at, spec) in &from {
            assert_eq!(after.get(at), Some(spec), "{context}: {at}");
        }
        for (at, spec) in to.iter().filter(|(at, _)| !from.contains_key(at)) {
            assert_eq!(after.get(at).map(|found| &found.node), Some(&spec.node), "{context}: extra {at}");
        }
    }
    assert_settled(&source, &target, &options(delete), &context);
}

#[test]
fn random_trees_become_equal_in_memory() {
    for seed in 0..600 {
        let clocks = std::cell::RefCell::new(Vec::new());
        let make = |tree: &Tree| {
            let fs = mem(tree);
            clocks.borrow_mut().push(fs.clone());
            fs.root()
        };
        let pass = || clocks.borrow().iter().for_each(|fs| fs.set_time(at(1_600_000_000)));
        check(seed, make, pass, seed % 3 != 0);
    }
}

#[test]
fn random_trees_become_equal_on_disk() {
    for seed in 1000..1120 {
        let temp = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        let make = |tree: &Tree| {
            count.set(count.get() + 1);
            let root = os::create_root(&temp.path().join(count.get().to_string())).unwrap();
            build(&root, tree);
            root
        };
        check(seed, make, || (), seed % 3 != 0);
    }
}
