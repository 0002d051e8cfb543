//! Names that only one side has → pairs of equal content: the largest directories first, then files.
//!
//! The order makes the result whole: a directory is paired before any directory in it, so no part of it was
//! given away already, and what goes along with a moved directory is never paired again.

use std::collections::{HashMap, HashSet, VecDeque};

use super::counted;
use crate::hash::Hash;
use crate::path::Name;
use crate::snapshot::{DirId, EntryId, Node, Snapshot};

/// The names that only one snapshot has.
pub(super) struct Lone<'a> {
    snapshot: &'a Snapshot,
    /// Each directory stands before what it holds.
    ids: Vec<EntryId>,
    /// Directories that were paired.
    taken_dirs: HashSet<DirId>,
    /// Files that were paired.
    taken_files: HashSet<EntryId>,
}

impl<'a> Lone<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Lone<'a> {
        Lone { snapshot, ids: Vec::new(), taken_dirs: HashSet::new(), taken_files: HashSet::new() }
    }

    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// Adds an entry and everything below it.
    pub(super) fn add(&mut self, id: EntryId) {
        self.ids.push(id);
        if let Some(dir) = self.snapshot.entry(id).dir() {
            self.add_below(dir);
        }
    }

    /// Adds everything in a directory.
    pub(super) fn add_below(&mut self, dir: DirId) {
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            for id in counted(self.snapshot, dir) {
                self.ids.push(id);
                open.extend(self.snapshot.entry(id).dir());
            }
        }
    }

    /// What was not paired, itself or with a directory above it.
    pub(super) fn left(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.ids.iter().copied().filter(|id| !self.is_taken(*id))
    }

    fn is_taken(&self, id: EntryId) -> bool {
        if self.taken_files.contains(&id) {
            return true;
        }
        let mut dir = self.snapshot.entry(id).dir().unwrap_or_else(|| self.snapshot.dir_of(id));
        while dir != DirId::ROOT {
            if self.taken_dirs.contains(&dir) {
                return true;
            }
            dir = self.snapshot.parent(dir);
        }
        false
    }

    fn take(&mut self, id: EntryId) {
        match self.snapshot.entry(id).dir() {
            Some(dir) => drop(self.taken_dirs.insert(dir)),
            None => drop(self.taken_files.insert(id)),
        }
    }

    /// What may move: directories that hold something, those with the most names below them first, then files
    /// that hold something.
    fn movable(&self) -> Vec<Movable> {
        let mut below: HashMap<DirId, u64> = HashMap::new();
        let mut movable = Vec::new();
        for &id in self.ids.iter().rev() {
            let mut names = 1;
            match self.snapshot.entry(id).node {
                Node::Dir { dir } => {
                    let held = below.get(&dir).copied().unwrap_or(0);
                    names += held;
                    let known = self.snapshot.digests(dir).filter(|_| held > 0);
                    movable.extend(known.map(|known| Movable { id, held, content: known.content }));
                }
                Node::File { size: 1.., root: Some(content), link: None } => {
                    movable.push(Movable { id, held: 0, content });
                }
                _ => {}
            }
            *below.entry(self.snapshot.dir_of(id)).or_default() += names;
        }
        movable.reverse();
        movable.sort_by_key(|entry| std::cmp::Reverse(entry.held));
        movable
    }
}

/// An entry that may be one end of a move.
struct Movable {
    id: EntryId,
    /// Names below it: equal where the content is.
    held: u64,
    content: Hash,
}

/// Pairs what is gone with what is new and equal, each at most once; of several that are equal, the one that
/// kept its name.
pub(super) fn find(gone: &mut Lone<'_>, new: &mut Lone<'_>) -> Vec<(EntryId, EntryId)> {
    let mut named: HashMap<(Hash, Name), VecDeque<EntryId>> = HashMap::new();
    let mut equal: HashMap<Hash, VecDeque<EntryId>> = HashMap::new();
    for Movable { id, content, .. } in gone.movable() {
        let name = gone.snapshot.entry(id).name.clone();
        named.entry((content, name)).or_default().push_back(id);
        equal.entry(content).or_default().push_back(id);
    }
    let mut pairs = Vec::new();
    for same_size in new.movable().chunk_by(|a, b| a.held == b.held) {
        // First those that kept their name, so that no other takes what is theirs.
        for same_name in [true, false] {
            for &Movable { id: to, content, .. } in same_size {
                let name = &new.snapshot.entry(to).name;
                let candidates =
                    if same_name { named.get_mut(&(content, name.clone())) } else { equal.get_mut(&content) };
                let Some(candidates) = candidates.filter(|_| !new.is_taken(to)) else { continue };
                while let Some(from) = candidates.pop_front() {
                    if !gone.is_taken(from) {
                        gone.take(from);
                        new.take(to);
                        pairs.push((from, to));
                        break;
                    }
                }
            }
        }
    }
    pairs
}
