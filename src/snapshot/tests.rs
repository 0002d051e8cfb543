mod golden;
mod oracle;

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::node::{BOUNDARY_EVERY, CHILDREN_MIN, DirTree};
use super::*;
use crate::chunk::tests::Noise;
use crate::fs::{Rdev, Special, Time};
use crate::limits::NODE_CHILDREN_MAX;

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn meta(secs: i64) -> Meta {
    Meta { mode: 0o644, uid: 1, gid: 2, mtime: Time { secs, nanos: 5 }, ..Meta::default() }
}

fn file(text: &str, root: u8) -> Entry {
    let node = Node::File { size: u64::from(root), root: Some(Hash([root; 32])), link: None };
    Entry { name: name(text), meta: meta(7), node }
}

fn dir(text: &str) -> Entry {
    Entry { name: name(text), meta: meta(8), node: Node::Dir { dir: DirId::ROOT } }
}

fn builder() -> Builder {
    Builder::new(Profile::default(), chunk::Params::default(), meta(9))
}

/// A snapshot of one directory.
fn flat(entries: Vec<Entry>) -> Snapshot {
    let mut builder = builder();
    builder.fill(DirId::ROOT, entries).unwrap();
    builder.finish()
}

/// The bytes of a file by its path; directories are those that hold something.
type Files = BTreeMap<Vec<&'static str>, u8>;

/// Builds a snapshot of files, filling directories in the order that `noise` gives.
fn build(files: &Files, noise: &mut Noise) -> Snapshot {
    let mut builder = builder();
    let mut open = vec![(DirId::ROOT, Vec::new())];
    while !open.is_empty() {
        let (dir_id, prefix) = open.swap_remove(noise.below(open.len()));
        let below = files.iter().filter_map(|(path, root)| Some((path.strip_prefix(&prefix[..])?, *root)));
        let mut entries = BTreeMap::new();
        for (rest, root) in below {
            entries.insert(rest[0], if rest.len() == 1 { file(rest[0], root) } else { dir(rest[0]) });
        }
        let names: Vec<&str> =
            entries.iter().filter(|(_, entry)| entry.dir().is_some()).map(|(name, _)| *name).collect();
        let mut entries: Vec<Entry> = entries.into_values().collect();
        for at in (1..entries.len()).rev() {
            entries.swap(at, noise.below(at + 1));
        }
        let children = builder.fill(dir_id, entries).unwrap();
        open.extend(children.into_iter().zip(names).map(|(id, name)| {
            let mut path: Vec<&'static str> = prefix.clone();
            path.push(name);
            (id, path)
        }));
    }
    builder.finish()
}

const NAMES: [&str; 6] = ["a", "a-b", "b", "c", "B", "é"];

/// Files below directories "d…", so that no name is both.
fn files() -> impl Strategy<Value = Files> {
    let dirs = prop::sample::select(vec!["d", "d0", "d.x"]);
    let path = (prop::collection::vec(dirs, 0..4), prop::sample::select(NAMES.to_vec()));
    let path = path.prop_map(|(mut dirs, name)| {
        dirs.push(name);
        dirs
    });
    prop::collection::btree_map(path, any::<u8>(), 0..40)
}

proptest! {
    #[test]
    fn digests_equal_the_oracle_s(files in files(), seed in any::<u64>()) {
        oracle::check(&build(&files, &mut Noise(seed)));
    }

    #[test]
    fn history_leaves_no_trace(old in files(), new in files(), seed in any::<u64>()) {
        let mut noise = Noise(seed);
        let direct = build(&new, &mut noise);
        // The same files by way of others: hashed later, in any order, after having held something else.
        let mut edited = build(&new, &mut noise);
        for id in (0..edited.entry_count()).map(EntryId) {
            if edited.entry(id).size().is_some() {
                edited.set_root(id, Hash([old.len() as u8; 32]));
            }
        }
        edited.refresh();
        edited.set_profile(Profile::new(true, true));
        edited.refresh();
        edited.set_profile(Profile::default());
        for id in (0..direct.entry_count()).rev().map(EntryId) {
            let Some(root) = direct.entry(id).root() else { continue };
            let path = direct.path(id);
            edited.set_root(edited.find_path(&path).unwrap(), root);
            if noise.below(3) == 0 {
                edited.refresh();
            }
        }
        edited.refresh();
        prop_assert_eq!(edited.root(), direct.root());
        prop_assert_eq!(edited.digests(DirId::ROOT), direct.digests(DirId::ROOT));
        prop_assert_eq!(old == new, build(&old, &mut noise).root() == direct.root());
    }
}

#[test]
fn digests_equal_the_oracle_s_in_directories_of_all_sizes() {
    // Around one node's limits, and around two and three levels.
    for size in [0, 1, 15, 16, 17, 18, 64, 255, 256, 257, 1000, 5000, 20_000] {
        let snapshot = flat((0..size).map(|at| file(&format!("f{at}"), at as u8)).collect());
        let tree = snapshot.dir_tree(DirId::ROOT).unwrap();
        assert!(tree.levels.iter().flatten().all(|node| node.children.len() <= NODE_CHILDREN_MAX));
        oracle::check(&snapshot);
    }
}

/// The nodes of a directory of these names, level by level; what the files hold is derived from the name.
fn tree(names: &BTreeMap<u32, u32>) -> DirTree {
    let mut entries: Vec<Entry> =
        names.values().map(|name| file(&format!("{name:08x}"), *name as u8)).collect();
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    DirTree::new(&entries, &mut entry::Encoder::new(Profile::default()), |_| None).unwrap()
}

/// How many nodes of `new` are not in `old`.
fn changed(old: &DirTree, new: &DirTree) -> usize {
    let known: HashSet<Digests> = old.levels.iter().flatten().map(|node| node.digests).collect();
    new.levels.iter().flatten().filter(|node| !known.contains(&node.digests)).count()
}

/// Nodes of a level that one name more, less or other changes at most in the cases below.
///
/// The node it falls in always changes; one more where the change adds or removes a boundary. The node behind
/// that begins elsewhere, and boundaries within its first [`CHILDREN_MIN`] children may be seen or passed over;
/// each further node is out of step with probability about 1 − e^(−16/64) + e^(−240/64) ≈ 0.25 (a boundary passed
/// over, or none found), so that one of a rename's two changes touches more than 9 nodes of one level with
/// probability about 0.25⁸ = 10⁻⁵. That all of them do at once is what the bound leaves room for.
const CHANGED_NODES_A_LEVEL_MAX: usize = 18;

#[test]
fn one_name_among_100_000_changes_a_bounded_number_of_nodes() {
    const NAMES: u32 = 100_000;
    const CASES: usize = 3000;
    let scramble = |at: u32| at.wrapping_mul(0x9e37_79b1).rotate_left(7);
    let names: BTreeMap<u32, u32> = (0..NAMES).map(|at| (at, scramble(at))).collect();
    let old = tree(&names);
    let shape = oracle::Shape::new(names.values().copied());
    let old_levels = shape.levels();
    let sizes = |tree: &DirTree| tree.levels.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&old), old_levels.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(old_levels.len(), 3);
    let bound = CHANGED_NODES_A_LEVEL_MAX * old_levels.len();
    let known: Vec<HashSet<(u32, u32)>> =
        old_levels.iter().map(|level| level.iter().copied().collect()).collect();

    let mut noise = Noise(2026);
    let (mut worst, mut sum) = (0, 0);
    for case in 0..CASES {
        let victim = (case % 3 != 0).then(|| (noise.below(NAMES as usize)) as u32);
        let fresh = (case % 3 != 1).then(|| scramble(NAMES + noise.below(1 << 30) as u32));
        let mut edited = shape.clone();
        victim.into_iter().for_each(|victim| edited.remove(names[&victim]));
        fresh.into_iter().for_each(|fresh| edited.insert(fresh));
        // A node is as it was if its ends are, and no change lies between them.
        let changes: Vec<u32> = victim.map(|victim| names[&victim]).into_iter().chain(fresh).collect();
        let is_old = |level: usize, node: &(u32, u32)| {
            known.get(level).is_some_and(|known| known.contains(node))
                && !changes.iter().any(|change| (node.0..=node.1).contains(change))
        };
        let levels = edited.levels();
        let count: usize = levels
            .iter()
            .enumerate()
            .map(|(level, nodes)| nodes.iter().filter(|node| !is_old(level, node)).count())
            .sum();
        assert!((1..=bound).contains(&count), "case {case}: {changes:x?} changes {count} nodes");
        (worst, sum) = (worst.max(count), sum + count);
        // Now and then the real digests, to see that they say the same.
        if case < 6 {
            let mut edited = names.clone();
            if let Some(victim) = victim {
                edited.remove(&victim);
            }
            if let Some(fresh) = fresh {
                edited.insert(NAMES, fresh);
            }
            assert_eq!(changed(&old, &tree(&edited)), count, "case {case}: {changes:x?}");
        }
    }
    assert!(sum / CASES <= 8, "{} nodes on average, {worst} at worst", sum / CASES);
}

#[test]
fn bytes_of_a_file_move_no_boundary() {
    let old = flat((0..5000).map(|at| file(&format!("f{at}"), 1)).collect());
    let mut new = old.clone();
    let ranges = |snapshot: &Snapshot| -> Vec<Vec<Range<u32>>> {
        let levels = snapshot.dir_tree(DirId::ROOT).unwrap().levels;
        levels.iter().map(|level| level.iter().map(|node| node.children.clone()).collect()).collect()
    };
    let before = ranges(&old);
    for id in (0..5000).step_by(7).map(EntryId) {
        new.set_file(id, 99, meta(99), Some(Hash([9; 32])));
    }
    new.refresh();
    assert_eq!(ranges(&new), before);
    new.set_root(EntryId(0), Hash([1; 32]));
    let mut one = old.clone();
    one.set_root(EntryId(2500), Hash([7; 32]));
    one.refresh();
    let changed = changed(&old.dir_tree(DirId::ROOT).unwrap(), &one.dir_tree(DirId::ROOT).unwrap());
    assert_eq!(changed, before.len(), "one node a level");
}

#[test]
fn content_digests_ignore_names_above_and_metadata() {
    let mut builder = builder();
    let mut moved = dir("moved");
    moved.meta = meta(1000);
    let children = builder.fill(DirId::ROOT, vec![dir("here"), moved, dir("other")]).unwrap();
    let mut touched = file("x", 1);
    touched.meta.mode = 0o600;
    builder.fill(children[0], vec![file("x", 1), file("y", 2)]).unwrap();
    builder.fill(children[1], vec![touched, file("y", 2)]).unwrap();
    builder.fill(children[2], vec![file("x", 1), file("y", 3)]).unwrap();
    let snapshot = builder.finish();
    let [here, moved, other] = [1, 2, 3].map(|at| snapshot.digests(DirId(at)).unwrap());
    assert_eq!(here.content, moved.content);
    assert_ne!(here.full, moved.full);
    assert_ne!(here.content, other.content);
}

#[test]
fn profile_decides_what_of_the_metadata_counts() {
    let with = |change: fn(&mut Meta)| {
        let mut entry = file("x", 1);
        change(&mut entry.meta);
        let mut link = Entry { node: Node::Symlink { target: (*b"x").into() }, ..file("y", 1) };
        link.meta.mode = entry.meta.mode & 0o700;
        let mut snapshot = flat(vec![entry, link]);
        [(false, false), (true, false), (false, true), (true, true)].map(|(owner, setid)| {
            snapshot.set_profile(Profile::new(owner, setid));
            assert_eq!(snapshot.root(), None);
            snapshot.refresh();
            oracle::check(&snapshot);
            snapshot.root().unwrap()
        })
    };
    let plain = with(|_| {});
    let counts = |change| {
        let changed = with(change);
        [0, 1, 2, 3].map(|at| changed[at] != plain[at])
    };
    assert_eq!(counts(|meta| meta.uid = 9), [false, true, false, true]);
    assert_eq!(counts(|meta| meta.gid = 9), [false, true, false, true]);
    assert_eq!(counts(|meta| meta.mode |= 0o4000), [false, false, true, true]);
    assert_eq!(counts(|meta| meta.mode |= 0o2000), [false, false, true, true]);
    assert_eq!(counts(|meta| meta.mode |= 0o1000), [true; 4]);
    assert_eq!(counts(|meta| meta.mtime.nanos += 1), [true; 4]);
    let distinct: HashSet<Hash> = plain.into_iter().collect();
    assert_eq!(distinct.len(), 4, "a root says what it is under");
}

#[test]
fn mode_of_a_symbolic_link_never_counts() {
    let link = |mode| {
        let node = Node::Symlink { target: (*b"x").into() };
        flat(vec![Entry { name: name("l"), meta: Meta { mode, ..meta(1) }, node }]).root()
    };
    assert_eq!(link(0o777), link(0));
}

#[test]
fn special_entries_are_part_of_no_digest() {
    let special = special("pipe", Special::Fifo, 0);
    let with = flat(vec![file("a", 1), special, file("z", 1)]);
    assert_eq!(with.root(), flat(vec![file("a", 1), file("z", 1)]).root());
    assert_eq!(with.entry_count(), 3);
}

fn special(text: &str, what: Special, minor: u32) -> Entry {
    let rdev = if what.is_device() { Rdev { major: 1, minor } } else { Rdev::default() };
    Entry { node: Node::Special { what, rdev }, ..file(text, 0) }
}

#[test]
fn special_entries_are_part_of_a_digest_where_the_profile_counts_them() {
    let tree = |device: Special, minor, pipe| {
        let mut tree = flat(vec![special("device", device, minor), file("f", 1), special("pipe", pipe, 0)]);
        tree.set_profile(tree.profile().with_devices().with_specials());
        tree.refresh();
        oracle::check(&tree);
        tree
    };
    let all = tree(Special::CharDevice, 3, Special::Fifo);
    let mut roots = vec![all.root()];
    for other in [
        tree(Special::CharDevice, 4, Special::Fifo),
        tree(Special::BlockDevice, 3, Special::Fifo),
        tree(Special::CharDevice, 3, Special::Socket),
    ] {
        roots.push(other.root());
    }
    for (profile, counted) in [
        (Profile::default().with_devices(), vec!["device", "f"]),
        (Profile::default().with_specials(), vec!["f", "pipe"]),
    ] {
        let mut less = all.clone();
        less.set_profile(profile);
        less.refresh();
        let names: Vec<String> = less.counted(DirId::ROOT).map(|(_, entry)| entry.name.to_string()).collect();
        assert_eq!(names, counted);
        roots.push(less.root());
    }
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 6);
}

#[test]
fn digests_are_known_only_when_every_root_below_is() {
    let mut builder = builder();
    let unknown = Entry { node: Node::File { size: 1, root: None, link: None }, ..file("u", 0) };
    let children = builder.fill(DirId::ROOT, vec![dir("known"), dir("unknown")]).unwrap();
    builder.fill(children[0], vec![file("a", 1)]).unwrap();
    builder.fill(children[1], vec![unknown]).unwrap();
    let mut snapshot = builder.finish();
    assert!(snapshot.digests(children[0]).is_some() && snapshot.digests(children[1]).is_none());
    assert_eq!((snapshot.root(), snapshot.dir_tree(DirId::ROOT)), (None, None));
    let id = snapshot.find_path(&RelPath::new(b"unknown/u").unwrap()).unwrap();
    snapshot.set_root(id, Hash([1; 32]));
    snapshot.refresh();
    oracle::check(&snapshot);
    assert!(snapshot.root().is_some());
}

#[test]
fn builder_refuses_what_is_no_tree() {
    let mut builder = builder();
    let twice = builder.fill(DirId::ROOT, vec![file("a", 1), file("b", 1), file("a", 2)]);
    assert_eq!(twice, Err(BuildError::Duplicate(name("a"))));
    assert_eq!(builder.fill(DirId(1), Vec::new()), Err(BuildError::NotWaiting(DirId(1))));
    builder.fill(DirId::ROOT, Vec::new()).unwrap();
    assert_eq!(builder.fill(DirId::ROOT, Vec::new()), Err(BuildError::NotWaiting(DirId::ROOT)));
}

#[test]
fn entries_are_found_by_name_path_and_number() {
    let files = [(vec!["d", "d0", "a"], 1), (vec!["d", "b"], 2), (vec!["a-b"], 3)].into_iter().collect();
    let snapshot = build(&files, &mut Noise(1));
    for id in (0..snapshot.entry_count()).map(EntryId) {
        assert_eq!(snapshot.find_path(&snapshot.path(id)), Some(id));
        assert_eq!(snapshot.find(snapshot.dir_of(id), &snapshot.entry(id).name), Some(id));
        if let Some(dir) = snapshot.entry(id).dir() {
            assert_eq!(
                (snapshot.entry_of(dir), snapshot.find_dir(&snapshot.path(id))),
                (Some(id), Some(dir))
            );
        }
    }
    assert_eq!(snapshot.find_path(&RelPath::root()), None);
    let totals = snapshot.totals();
    assert_eq!((totals.files, totals.bytes, totals.dirs, totals.symlinks), (3, 6, 2, 0));
}

#[test]
fn limits_of_nodes_leave_room_between_them() {
    const { assert!(CHILDREN_MIN < NODE_CHILDREN_MAX && BOUNDARY_EVERY > 1) };
}
