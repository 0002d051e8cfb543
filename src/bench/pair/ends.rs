//! What a session in memory starts from and leaves: scans of its two ends, files of interrupted runs, chance.

use std::sync::Arc;

use crate::chunk::{Algorithm, ChunkRef, Chunker, Params, Sizes};
use crate::fs::mem::MemFs;
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, Kind};
use crate::path::{RelPath, STAGING_PREFIX};
use crate::scan::{Opener, Options, Scan, Side, scan};
use crate::transfer::locals::Leftover;
use crate::tree;

/// SplitMix64: enough randomness for tests and measurements, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }

    #[cfg(test)]
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

/// Chunks of 64 to 1024 bytes, so that files of a few kilobytes have many.
pub(crate) fn small_params() -> Params {
    let sizes = Sizes { min: 64, avg: 256, max: 1024 };
    Params::new(Algorithm::Gear, sizes).expect("the smallest sizes that there are")
}

fn options(fs: &MemFs) -> Options {
    let clock = fs.clone();
    Options { threads: 1, ..Options::new(Arc::new(move || clock.time())) }
}

fn stats(fs: &MemFs, options: &Options) -> Scan {
    scan(&fs.root(), None, options, &()).expect("a file system in memory can be read")
}

/// Scans and hashes everything.
pub(crate) fn scanned(fs: &MemFs, params: &Params, keep_special: bool) -> Scan {
    let side = if keep_special { Side::Receiver } else { Side::Sender };
    let options = Options { params: params.clone(), side, ..options(fs) };
    let mut found = stats(fs, &options);
    found.hash_unknown(&Opener::new(fs.root()), &options, &());
    found
}

fn is_staging(path: &RelPath) -> bool {
    path.components().any(|name| name.as_bytes().starts_with(STAGING_PREFIX))
}

/// The files that an interrupted run left.
pub(crate) fn leftovers(fs: &MemFs, params: &Params) -> Vec<(RelPath, Leftover)> {
    // Listing the tree copies every byte of it.
    if stats(fs, &options(fs)).leftovers.is_empty() {
        return Vec::new();
    }
    let chunker = Chunker::new(params);
    let tree = fs.tree();
    let staged = tree.iter().filter(|(path, entry)| is_staging(path) && entry.kind == Kind::File);
    staged
        .filter(|(_, entry)| !entry.bytes.is_empty())
        .map(|(path, entry)| {
            let root = tree::hash_bytes(&chunker, &entry.bytes).hash;
            let chunks = chunker.split(&entry.bytes).map(ChunkRef::of).collect();
            (path.clone(), Leftover { root, chunks })
        })
        .collect()
}

/// Removes what interrupted runs left; the directories around it keep their times.
pub(crate) fn remove_leftovers(fs: &MemFs) {
    for path in stats(fs, &options(fs)).leftovers {
        let Some((parent, name)) = path.split_last() else { continue };
        let dir =
            parent.components().fold(fs.root(), |dir, name| dir.open_dir(&name).expect("it was listed"));
        let mtime = dir.stat_self().ok().map(|stat| stat.mtime);
        // What stays is there for the next run to remove.
        let _ = remove_tree(&*dir, &name);
        let _ = dir.set_attrs_self(&Attrs { mtime, ..Attrs::default() });
    }
}
