//! Two trees → the chunks that one has and the other lacks, by descending only where they differ.

use std::collections::HashSet;
use std::ops::Range;

use super::{Child, FileTree};

/// What a file has that another lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Places in the new file's chunks: ascending, not empty, never touching one another.
    pub missing: Vec<Range<usize>>,
    /// Nodes of the new tree that were opened: what a peer would have sent, root included.
    pub nodes_visited: usize,
}

impl Diff {
    /// How many chunks are missing.
    #[must_use]
    pub fn missing_chunks(&self) -> usize {
        self.missing.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Finds the chunks of `new` that stand nowhere in `old`.
///
/// A node that `old` has at the same level, wherever, is not opened: all its chunks are there. Time: one
/// pass over those levels of `old` that are reached (levels that are equal from the top down are not), and
/// a look-up for each child of a node that is opened.
#[must_use]
pub fn diff(old: &FileTree, new: &FileTree) -> Diff {
    let mut result = Diff::default();
    // Items of the current level whose parents differ; at the end, chunks.
    let mut level = new.levels();
    let mut suspects = vec![];
    extend(&mut suspects, 0..new.count(level));
    loop {
        let known: HashSet<Child> = (0..old.count(level)).map(|index| old.child(level, index)).collect();
        let differing = suspects.into_iter().flatten();
        let differing = differing.filter(|&index| !known.contains(&new.child(level, index)));
        if level == 0 {
            for index in differing {
                extend(&mut result.missing, index..index + 1);
            }
            return result;
        }
        let mut below = vec![];
        for index in differing {
            result.nodes_visited += 1;
            extend(&mut below, new.nodes(level)[index].children.clone());
        }
        if below.is_empty() {
            return result;
        }
        suspects = below;
        level -= 1;
    }
}

/// Adds a range behind the others, joined to the last if they touch.
fn extend(ranges: &mut Vec<Range<usize>>, next: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}
