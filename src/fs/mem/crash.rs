//! From live to durable: syncs, and the file system after a power cut.

use std::collections::BTreeMap;

use super::image::{Body, Disk, Image, Ino, NameOp, Node, ROOT, Unsynced, set_names};

/// The unit in which a file's un-synced bytes reach the disk or do not.
pub const BLOCK_BYTES: usize = 4096;

impl Disk {
    /// Makes a file's bytes and attributes durable, or a directory's names and attributes.
    pub(super) fn sync(&mut self, ino: Ino) {
        if matches!(self.live[&ino].body, Body::Dir(_)) {
            self.sync_names(ino);
        }
        self.sync_inode(ino);
    }

    pub(super) fn sync_fs(&mut self) {
        for op in std::mem::take(&mut self.pending) {
            set_names(&mut self.durable, &op);
        }
        let inodes: Vec<Ino> = self.unsynced.keys().copied().collect();
        for ino in inodes {
            self.sync_inode(ino);
        }
    }

    fn sync_inode(&mut self, ino: Ino) {
        if self.unsynced.remove(&ino).is_none() {
            return;
        }
        let live = &self.live[&ino];
        if let Some(node) = self.durable.get_mut(&ino) {
            node.meta = live.meta;
            if let (Body::File(to), Body::File(from)) = (&mut node.body, &live.body) {
                to.clone_from(from);
            }
        }
    }

    /// Makes durable each pending change of a name in `dir`, and those it builds on.
    fn sync_names(&mut self, dir: Ino) {
        let mut wanted: Vec<bool> =
            self.pending.iter().map(|op| op.slots.iter().any(|(slot_dir, ..)| *slot_dir == dir)).collect();
        for later in (0..self.pending.len()).rev() {
            if wanted[later] {
                let op = &self.pending[later];
                for (wanted, earlier) in wanted.iter_mut().zip(&self.pending[..later]) {
                    *wanted |= builds_on(op, earlier);
                }
            }
        }
        let ops = std::mem::take(&mut self.pending);
        for (op, wanted) in ops.into_iter().zip(wanted) {
            if wanted {
                set_names(&mut self.durable, &op);
            } else {
                self.pending.push(op);
            }
        }
    }
}

/// Whether `later` cannot be on the disk unless `earlier` is.
fn builds_on(later: &NameOp, earlier: &NameOp) -> bool {
    let acts_in = |op: &NameOp, dirs: &[Ino]| op.slots.iter().any(|(dir, ..)| dirs.contains(dir));
    (later.moves_dir && earlier.moves_dir)
        || later.targets.iter().any(|ino| earlier.targets.contains(ino))
        || later
            .slots
            .iter()
            .any(|(dir, name, _)| earlier.slots.iter().any(|slot| (slot.0, &slot.1) == (*dir, name)))
        || acts_in(earlier, &later.targets)
        || (later.brings_in && acts_in(later, &earlier.targets))
}

pub(super) fn crash(disk: &Disk, seed: u64) -> Disk {
    let mut random = Random(seed);
    let mut image = disk.durable.clone();

    // Whole range of likelihoods, so that "all but one" and "only one" are drawn as well as "half".
    let percent = random.below(101);
    let mut done = vec![false; disk.pending.len()];
    for (later, op) in disk.pending.iter().enumerate() {
        let possible = (0..later).all(|earlier| done[earlier] || !builds_on(op, &disk.pending[earlier]));
        done[later] = random.below(100) < percent && possible;
        if done[later] {
            set_names(&mut image, op);
        }
    }
    for (ino, unsynced) in &disk.unsynced {
        if let (Some(node), Some(live)) = (image.get_mut(ino), disk.live.get(ino)) {
            settle(node, live, unsynced, &mut random);
        }
    }

    let live = reachable(image);
    let used = live
        .values()
        .map(|node| if let Body::File(bytes) = &node.body { bytes.len() as u64 } else { 0 })
        .sum();
    Disk {
        durable: live.clone(),
        live,
        now: disk.now,
        capacity: disk.capacity,
        read_only: disk.read_only,
        names_shown: disk.names_shown,
        used,
        next_ino: disk.next_ino,
        ..Disk::new()
    }
}

/// Draws an un-synced inode's bytes and attributes.
fn settle(node: &mut Node, live: &Node, unsynced: &Unsynced, random: &mut Random) {
    let moment = random.below(unsynced.metas.len() as u64 + 2) as usize;
    if moment > 0 {
        node.meta = *unsynced.metas.get(moment - 1).unwrap_or(&live.meta);
    }
    let (Body::File(old), Body::File(new)) = (&mut node.body, &live.body) else { return };
    match random.below(4) {
        0 => {}
        1 => old.clone_from(new),
        choice => {
            if let Some(cut) = unsynced.cut {
                old.truncate(cut);
            }
            if choice == 3 {
                mix(old, new, random);
            }
        }
    }
}

/// Lets some blocks of `new` reach `old`, and the length any that some of them give.
fn mix(old: &mut Vec<u8>, new: &[u8], random: &mut Random) {
    // Cut short in the last block: an append reaches the disk with the length it had at the time.
    let end = random.below(new.len() as u64 + 1) as usize;
    for start in (0..end).step_by(BLOCK_BYTES) {
        let stop = end.min(start + BLOCK_BYTES);
        if random.below(2) == 1 {
            if old.len() < stop {
                old.resize(stop, 0);
            }
            old[start..stop].copy_from_slice(&new[start..stop]);
        }
    }
}

/// Only what a path leads to, with names counted anew.
fn reachable(mut image: Image) -> Image {
    let mut counts = BTreeMap::from([(ROOT, 1)]);
    let mut open = vec![ROOT];
    while let Some(dir) = open.pop() {
        let Body::Dir(names) = &image[&dir].body else { continue };
        for ino in names.values() {
            let count = counts.entry(*ino).or_insert(0_u64);
            *count += 1;
            if *count == 1 {
                open.push(*ino);
            }
        }
    }
    image.retain(|ino, node| {
        counts.get(ino).is_some_and(|count| {
            node.names = *count;
            true
        })
    });
    image
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct Random(u64);

impl Random {
    /// Below `bound`, which must not be 0; the bias is below 2⁻⁴⁰ for the bounds of a test.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}
