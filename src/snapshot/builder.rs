//! Directories in any order, parents first → a [`Snapshot`].

use super::{DirId, DirNode, Entry, EntryId, Meta, Node, Profile, Snapshot};
use crate::chunk;
use crate::path::{Name, RelPath};

/// Why entries do not make a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two entries of one directory have the same name.
    #[error("duplicate name {0}")]
    Duplicate(Name),
    /// More than 2³² entries or directories.
    #[error("more than {} entries", u32::MAX)]
    TooMany,
    /// A directory was filled that is not there, or twice.
    #[error("directory {} is not waiting for entries", .0.0)]
    NotWaiting(DirId),
}

/// Collects the directories of a snapshot. A directory may be filled as soon as its parent was.
#[derive(Debug)]
pub struct Builder {
    profile: Profile,
    params: chunk::Params,
    meta: Meta,
    dirs: Vec<Pending>,
    entries: u64,
}

#[derive(Debug)]
struct Pending {
    parent: DirId,
    /// Which of the parent's entries this is.
    at: u32,
    entries: Option<Vec<Entry>>,
}

impl Builder {
    /// Starts with a root directory that has this metadata and no entries yet.
    #[must_use]
    pub fn new(profile: Profile, params: chunk::Params, meta: Meta) -> Builder {
        let root = Pending { parent: DirId::ROOT, at: 0, entries: None };
        Builder { profile, params, meta, dirs: vec![root], entries: 0 }
    }

    /// Fills a directory. Entries may come in any order; each [`Node::Dir`] among them gets a new number,
    /// and the numbers are given back in the order of the sorted names.
    ///
    /// # Errors
    /// [`BuildError::Duplicate`]; [`BuildError::NotWaiting`] if `dir` is unknown or was filled before.
    pub fn fill(&mut self, dir: DirId, mut entries: Vec<Entry>) -> Result<Vec<DirId>, BuildError> {
        if self.dirs.get(dir.index()).is_none_or(|pending| pending.entries.is_some()) {
            return Err(BuildError::NotWaiting(dir));
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(BuildError::Duplicate(pair[0].name.clone()));
        }
        self.entries += entries.len() as u64;
        if self.entries + self.dirs.len() as u64 >= u64::from(u32::MAX) {
            return Err(BuildError::TooMany);
        }
        let mut children = Vec::new();
        for (at, entry) in entries.iter_mut().enumerate() {
            if let Node::Dir { dir: child } = &mut entry.node {
                *child = DirId(self.dirs.len() as u32);
                children.push(*child);
                self.dirs.push(Pending { parent: dir, at: at as u32, entries: None });
            }
        }
        self.dirs[dir.index()].entries = Some(entries);
        Ok(children)
    }

    /// The entries of a directory that was filled.
    #[must_use]
    pub fn entries(&self, dir: DirId) -> &[Entry] {
        self.dirs.get(dir.index()).and_then(|pending| pending.entries.as_deref()).unwrap_or_default()
    }

    /// Finds the entry at `path`, as far as directories were filled; the root has none.
    #[must_use]
    pub fn find_path(&self, path: &RelPath) -> Option<&Entry> {
        let (mut dir, mut found) = (DirId::ROOT, None);
        for (at, name) in path.components().enumerate() {
            if at > 0 {
                dir = found.and_then(Entry::dir)?;
            }
            let entries = self.entries(dir);
            found = Some(&entries[entries.binary_search_by(|entry| entry.name.cmp(&name)).ok()?]);
        }
        found
    }

    /// The snapshot, with every digest that can be known. Directories never filled are empty.
    #[must_use]
    pub fn finish(self) -> Snapshot {
        let mut entries = Vec::with_capacity(self.entries as usize);
        let mut dirs: Vec<DirNode> = Vec::with_capacity(self.dirs.len());
        for pending in self.dirs {
            let start = entries.len() as u32;
            entries.extend(pending.entries.unwrap_or_default());
            // Parents stand before their children, so the parent's range is known.
            let entry =
                dirs.get(pending.parent.index()).map_or(0, |parent| parent.entries.start + pending.at);
            let entries = start..entries.len() as u32;
            dirs.push(DirNode { entry: EntryId(entry), parent: pending.parent, entries, digests: None });
        }
        let mut snapshot = Snapshot {
            profile: self.profile,
            params: self.params,
            meta: self.meta,
            dirs,
            entries: entries.into(),
        };
        snapshot.refresh();
        snapshot
    }
}
