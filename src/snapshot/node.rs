//! Entries of one directory → the nodes over them → two digests.
//!
//! Level 0 nodes hold entries; a node of level `l + 1` holds nodes of level `l`; the topmost level is one
//! node. Where a node ends depends on names alone (of a node: the last name below it), so `content` and
//! `full` share one shape, and two directories whose names agree have the same shape whatever the files
//! hold. The tests have a slow, recursive oracle.
//!
//! Cost: one short BLAKE3 a name beyond the first [`CHILDREN_MIN`] of each node; nothing for directories of
//! at most that many names but the digest itself.

use std::ops::Range;

use super::entry::Encoder;
use super::{Digests, DirId, Entry};
use crate::hash::{Domain, Hash, Hasher};
use crate::limits::NODE_CHILDREN_MAX;

/// Children of a node at least, but for the last of a level.
pub const CHILDREN_MIN: usize = 16;
/// A node ends at a name whose boundary hash is a multiple of this: 64 children more on average.
pub const BOUNDARY_EVERY: u64 = 64;

/// A node over some of a directory's entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirTreeNode {
    /// What is below.
    pub digests: Digests,
    /// Its children: nodes of the level below, or entries at level 0 (those that the profile does not count left out).
    pub children: Range<u32>,
}

/// The nodes over one directory's entries, level by level; the last level is one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirTree {
    /// Nodes by level, from the entries up.
    pub levels: Vec<Vec<DirTreeNode>>,
}

impl DirTree {
    /// Builds the nodes over `entries`; `None` while a root below is not known.
    pub(super) fn new(
        entries: &[Entry],
        encoder: &mut Encoder,
        digests: impl Fn(DirId) -> Option<Digests>,
    ) -> Option<DirTree> {
        let counted: Vec<&Entry> = entries.iter().filter(|entry| encoder.counts(entry)).collect();
        let mut leaves = Vec::new();
        // Names that end a node of the level being built; a node above ends at one of them.
        let mut last_names: Vec<&[u8]> = Vec::new();
        for range in split(counted.len(), |at| ends_node(0, counted[at].name.as_bytes())) {
            encoder.content.clear();
            encoder.full.clear();
            for buffer in [&mut encoder.content, &mut encoder.full] {
                header(buffer, 0, range.len());
            }
            for entry in &counted[range.clone()] {
                encoder.push(entry, &digests)?;
            }
            let digests = Digests {
                content: Hash::of(Domain::DirContent, &encoder.content),
                full: Hash::of(Domain::DirFull, &encoder.full),
            };
            if let Some(last) = counted[range.clone()].last() {
                last_names.push(last.name.as_bytes());
            }
            leaves.push(DirTreeNode { digests, children: range.start as u32..range.end as u32 });
        }
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let level = levels.len() as u8;
            let mut nodes = Vec::new();
            let mut names = Vec::new();
            for range in split(below.len(), |at| ends_node(level, last_names[at])) {
                names.push(last_names[range.end - 1]);
                let digests = node_digests(level, below[range.clone()].iter().map(|node| node.digests));
                nodes.push(DirTreeNode { digests, children: range.start as u32..range.end as u32 });
            }
            last_names = names;
            levels.push(nodes);
        }
        Some(DirTree { levels })
    }

    /// The digests of the whole directory.
    #[must_use]
    pub fn digests(&self) -> Digests {
        // There is always one topmost node, even over no entries.
        self.levels[self.levels.len() - 1][0].digests
    }
}

impl DirTree {
    /// The entries below one node, by position in the directory among those that the profile counts.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn entries_below(&self, level: usize, node: usize) -> Range<u32> {
        let mut range = self.levels[level][node].children.clone();
        for below in self.levels[..level].iter().rev() {
            range = below[range.start as usize].children.start..below[range.end as usize - 1].children.end;
        }
        range
    }
}

/// The digests of a node above level 0 with these children: to check a peer's nodes before using them.
#[must_use]
pub fn node_digests(level: u8, children: impl ExactSizeIterator<Item = Digests>) -> Digests {
    let mut head = Vec::new();
    header(&mut head, level, children.len());
    let (mut content, mut full) = (Hasher::new(Domain::DirContent), Hasher::new(Domain::DirFull));
    content.update(&head);
    full.update(&head);
    for child in children {
        content.update(child.content.as_bytes());
        full.update(child.full.as_bytes());
    }
    Digests { content: content.finish(), full: full.finish() }
}

fn header(buffer: &mut Vec<u8>, level: u8, children: usize) {
    buffer.push(level);
    buffer.extend_from_slice(&(children as u32).to_le_bytes());
}

/// Whether a node of `level` may end after a child whose last name is `name`.
fn ends_node(level: u8, name: &[u8]) -> bool {
    let hash = Hasher::new(Domain::Boundary).update(&[level]).update(name).finish();
    hash.prefix().is_multiple_of(BOUNDARY_EVERY)
}

/// Splits `0..len` after each element that `ends`, within the limits; one empty range for no elements.
fn split(len: usize, ends: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while len - start > CHILDREN_MIN {
        let last_possible = len.min(start + NODE_CHILDREN_MAX);
        let end = (start + CHILDREN_MIN..last_possible).find(|&end| ends(end - 1)).unwrap_or(last_possible);
        ranges.push(start..end);
        start = end;
    }
    if start < len || ranges.is_empty() {
        ranges.push(start..len);
    }
    ranges
}
