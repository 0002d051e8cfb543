//! How much a store holds, and what keeping each chunk once saves.

use std::collections::HashSet;

use super::blobs::BlobKind;
use super::walk::Walk;
use super::{State, Store, StoreError};

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the files of all kept states together.
    pub logical: u64,
    /// Bytes of the packs.
    pub packs: u64,
    /// How many packs.
    pub pack_count: u64,
    /// Bytes of everything else: index, history, head.
    pub others: u64,
    /// Objects that the kept states need.
    pub objects: u64,
    /// Bytes of those objects, before compression.
    pub raw: u64,
    /// For each kept state, oldest first of each name: the bytes of objects that it was the first to need.
    pub states: Vec<(String, State, u64)>,
}

impl Store {
    /// Counts what there is, by walking every kept state: reads all tables and nodes, and no chunk.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] head or index; [`StoreError::Io`].
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        for info in self.list(BlobKind::Pack)? {
            stats.packs += info.len;
            stats.pack_count += 1;
        }
        for kind in [BlobKind::Index, BlobKind::Log] {
            stats.others += self.list(kind)?.iter().map(|info| info.len).sum::<u64>();
        }
        stats.others += self.head()?.0.encode(self.seal())?.len() as u64;
        let lens = self.object_lens()?;
        let mut walk = Walk::new(self);
        let mut seen = HashSet::new();
        for (name, states) in self.names()? {
            for state in states {
                stats.logical += state.bytes;
                let mut new = 0;
                walk.snapshot(&state.root, &mut |id| {
                    if seen.insert(id.hash.prefix()) {
                        stats.objects += 1;
                    }
                    new += lens.get(&id.hash.prefix()).copied().map_or(0, u64::from);
                    Ok(())
                })?;
                stats.raw += new;
                stats.states.push((name.clone(), state, new));
            }
        }
        Ok(stats)
    }

    /// The length of every object, by the first eight bytes of its digest: for counting only.
    fn object_lens(&self) -> Result<std::collections::HashMap<u64, u32>, StoreError> {
        let mut lens = std::collections::HashMap::new();
        for (hash, info) in self.index().packs() {
            let contents =
                super::pack::contents(&*self.blobs, &super::pack_name(hash), info.len, self.seal())?;
            for row in contents.placed.iter().flat_map(|placed| &placed.rows) {
                lens.insert(row.id.hash.prefix(), row.len as u32);
            }
        }
        Ok(lens)
    }
}
