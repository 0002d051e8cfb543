//! Two snapshots and their chunk lists → what a sync would have to send.

use std::collections::{HashMap, HashSet};

use crate::chunk::ChunkRef;
use crate::hash::Hash;
use crate::snapshot::{Entry, EntryId, Node, Snapshot};

/// What of a target its base has nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Chunks, each counted once.
    pub chunks: u64,
    /// Bytes in them, and in files of which no chunks are known.
    pub bytes: u64,
}

/// Gives what a sync would have to send to make `base` what `target` is: the chunks that no file of the base
/// holds.
///
/// The closures give a file's chunks, in order, or `None` if they are not known: such a file of the target
/// counts whole, unless the base has its root; one of the base counts for nothing. Of the target only files
/// are asked for whose roots the base has not, so memory is proportional to what differs.
///
/// What is left out: compression, metadata, and the few dozen bytes a tree node that differs.
pub fn cost(
    (base, base_chunks): (&Snapshot, impl Fn(EntryId) -> Option<Vec<ChunkRef>>),
    (target, target_chunks): (&Snapshot, impl Fn(EntryId) -> Option<Vec<ChunkRef>>),
) -> Cost {
    let held: HashSet<Hash> = base.all_entries().iter().filter_map(Entry::root).collect();
    let mut cost = Cost::default();
    let mut wanted: HashMap<Hash, u32> = HashMap::new();
    let mut asked = HashSet::new();
    for (id, size, root) in files(target) {
        if size == 0 || root.is_some_and(|root| held.contains(&root) || !asked.insert(root)) {
            continue;
        }
        match target_chunks(id) {
            Some(chunks) => wanted.extend(chunks.iter().map(|chunk| (chunk.hash, chunk.len))),
            None => cost.bytes = cost.bytes.saturating_add(size),
        }
    }
    for (id, ..) in files(base) {
        if wanted.is_empty() {
            break;
        }
        for chunk in base_chunks(id).unwrap_or_default() {
            wanted.remove(&chunk.hash);
        }
    }
    cost.chunks = wanted.len() as u64;
    wanted.values().for_each(|len| cost.bytes = cost.bytes.saturating_add(u64::from(*len)));
    cost
}

/// The regular files, without further names of hard-linked ones.
fn files(snapshot: &Snapshot) -> impl Iterator<Item = (EntryId, u64, Option<Hash>)> + '_ {
    (0..).map(EntryId).zip(snapshot.all_entries()).filter_map(|(id, entry)| match entry.node {
        Node::File { size, root, link: None } => Some((id, size, root)),
        _ => None,
    })
}
