//! Names of one inode → the first of them, and others that say they are the same file.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ChunkList, Fingerprint, Scan};
use crate::path::RelPath;
use crate::snapshot::{EntryId, Node, Sets, Snapshot};
use crate::transfer::receiver::Protected;

impl Scan {
    /// Ties together the names, given as (device, inode, entry), that stand for one file: the first in path
    /// order stays as it is, the others become links to it.
    pub(super) fn tie(&mut self, mut names: Vec<(u64, u64, EntryId)>) {
        names.sort_unstable();
        for same in names.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|same| same.len() > 1) {
            let mut paths: Vec<(RelPath, EntryId)> =
                same.iter().map(|&(_, _, id)| (self.snapshot.path(id), id)).collect();
            paths.sort_unstable();
            let ((first_path, first), others) = (&paths[0], &paths[1..]);
            let entry = self.snapshot.entry(*first);
            let (size, meta, root) = (entry.size().unwrap_or(0), entry.meta, entry.root());
            for &(_, other) in others {
                self.snapshot.set_file(other, size, meta, root);
                self.snapshot.set_link(other, first_path.clone());
                self.prints[other.0 as usize] = self.prints[first.0 as usize];
                self.racy[other.0 as usize] = self.racy[first.0 as usize];
                self.lists.remove(&other);
            }
            self.others.insert(*first, others.iter().map(|(_, id)| *id).collect());
        }
        self.snapshot.refresh();
    }

    /// A scan that an index kept.
    pub(super) fn restored(
        snapshot: Snapshot,
        prints: Vec<Fingerprint>,
        racy: Vec<bool>,
        root_print: Fingerprint,
        lists: Vec<(u32, usize)>,
        kept: Arc<Vec<u8>>,
    ) -> Scan {
        let mut others: HashMap<EntryId, Vec<EntryId>> = HashMap::new();
        for (id, entry) in (0..).map(EntryId).zip(snapshot.all_entries()) {
            if let Node::File { link: Some(path), .. } = &entry.node
                && let Some(first) = snapshot.find_path(path)
            {
                others.entry(first).or_default().push(id);
            }
        }
        let lists = lists.into_iter().map(|(id, at)| (EntryId(id), ChunkList::Kept(at))).collect();
        let (leftovers, errors, protected) = (Vec::new(), Vec::new(), Protected::default());
        let (newly_complete, kept, linked, partial) = (false, Some(kept), Vec::new(), Vec::new());
        Scan {
            snapshot,
            prints,
            leftovers,
            errors,
            protected,
            spared: Vec::new(),
            sets: Sets::default(),
            root_print,
            racy,
            newly_complete,
            lists,
            kept,
            others,
            linked,
            partial,
            proven: false,
        }
    }
}
