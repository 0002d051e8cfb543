//! A directory on disk → a [`Snapshot`], by one stat a name; files are read only where that proves nothing.
//!
//! [`scan`] walks a directory and reads no file: what has the fingerprint that the kept [`Index`] has for it
//! (size, mtime, ctime, inode, device) keeps the root it had. What is left has no root yet
//! ([`Scan::unknown`]) and is read by [`Scan::hash_unknown`], or by whoever sends it and then tells
//! ([`Scan::learn`]), so that nothing is read twice. [`Index::encode`] keeps the result; a [`Cache`] is where.
//!
//! # What it promises
//!
//! - No path is walked by the kernel and no link followed: every name is looked up in the held handle of its
//!   directory ([`Opener`]). Depth is bounded by memory alone, open descriptors by a constant a thread.
//! - A file's root is that of bytes that stood in it between two equal stats.
//! - What cannot be read is in [`Scan::errors`], never merely absent: whoever deletes by this scan must look.
//! - Names that begin with [`STAGING_PREFIX`](crate::path::STAGING_PREFIX) are this program's own and no entries; they are in
//!   [`Scan::leftovers`].
//! - An index can make a scan fast or slow, not wrong: a file that changed has another ctime, unless it changed
//!   in the clock tick of the stat, and then the index does not trust its own root ([`Seen::is_racy`]).
//!
//! # Cost
//!
//! A stat a name, 1 µs; for the merge with the index 0.2 µs. Memory: about 400 bytes an entry at its peak.
//!
//! ```no_run
//! # fn example(root: syncline::fs::DirRef, now: syncline::scan::Clock) -> Result<(), syncline::scan::ScanError> {
//! use syncline::scan::{Index, Opener, Options, scan};
//! let options = Options::new(now);
//! let mut found = scan(&root, None, &options, &())?;
//! found.hash_unknown(&Opener::new(root), &options, &());
//! println!("{:?}", found.snapshot.root());
//! let kept: Vec<u8> = Index::encode(&found);
//! # Ok(()) }
//! ```

mod again;
mod assemble;
pub mod cache;
mod encode;
mod hash;
mod index;
mod links;
mod open;
mod parallel;
mod part;
pub mod select;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

pub use again::{Changed, rescan};
pub use cache::{Cache, Key};
pub use hash::{FileHasher, hash_file};
pub(crate) use hash::{Settled, batches, hash_settled, named};
pub use index::{Index, IndexError, format};
pub use open::Opener;
pub(crate) use parallel::{PARALLEL_BYTES, hash_parallel};
pub use select::{
    Builder, Excludes, Mounts, PATTERN_BYTES_MAX, RULE_FILE_BYTES_MAX, RULES_MAX, RuleError, RuleFiles,
    Rules, Select, Side, Sizes,
};
pub use walk::scan;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::chunk::{self, ChunkRef};
use crate::fs::{Kind, Rdev, Stat, Time};
use crate::hash::Hash;
use crate::path::named::Named;
use crate::path::{Name, RelPath};
use crate::snapshot::{BuildError, DirId, EntryId, Meta, Node, Profile, Sets, Snapshot};
use crate::transfer::receiver::Protected;

/// Gives the time: an argument, so that a test's scan is as certain as its file system.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// How to scan.
#[derive(Clone)]
pub struct Options {
    /// Which metadata counts in the snapshot.
    pub profile: Profile,
    /// How files are cut.
    pub params: chunk::Params,
    /// What is left out.
    pub select: Select,
    /// Which end this is: a sender leaves out what is hidden and, with a notice, devices, FIFOs and sockets that the
    /// profile does not count; at a receiver only what neither end may touch is no entry.
    pub side: Side,
    /// What stands before each path where rules are held against it: the name of a directory that is copied itself.
    pub prefix: RelPath,
    /// The absolute path of the root that `prefix` is below, for rules of absolute paths; without slashes around it.
    pub base: Vec<u8>,
    /// Only this name of the root directory, where a single file is the tree.
    pub only: Option<Name>,
    /// What was named, where not everything takes part. At a sender it is an error that such a name is not there; a
    /// receiver deletes none that is not in a directory which is entered.
    pub named: Option<Arc<Named>>,
    /// Names of one inode are files of their own.
    pub separate: bool,
    /// A receiver may delete directories that are not entered, so it has to know what is in them.
    pub deletes: bool,
    /// Threads that walk, and threads that hash; at least one.
    pub threads: usize,
    /// The clock that the file system's times are held against.
    pub now: Clock,
}

impl Options {
    /// Everything, as a source, with default parameters and profile, on two threads.
    #[must_use]
    pub fn new(now: Clock) -> Options {
        Options {
            profile: Profile::default(),
            params: chunk::Params::default(),
            select: Select::default(),
            side: Side::Sender,
            prefix: RelPath::root(),
            base: Vec::new(),
            only: None,
            named: None,
            separate: false,
            deletes: false,
            threads: 2,
            now,
        }
    }
}

/// Why something could not be scanned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The file system refused an operation.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What it was about.
        path: RelPath,
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// A file changed each time it was read.
    #[error("{path} changed while it was read")]
    Changed {
        /// The file.
        path: RelPath,
    },
    /// A per-directory file of rules that cannot be read, or is malformed: then it is not known what takes part.
    #[error("{path}: {source}")]
    Rules {
        /// The directory.
        path: RelPath,
        /// What is wrong.
        source: Box<RuleError>,
    },
    /// One of several sources cannot be opened.
    #[error("cannot open {path}: {source}")]
    Source {
        /// Its path, escaped.
        path: String,
        /// What the file system said.
        source: io::Error,
    },
    /// The tree is too large for a snapshot.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the contents, which anyone may set.
    pub mtime: Time,
    /// Last change of contents or metadata, which only the kernel sets.
    pub ctime: Time,
}

impl Fingerprint {
    /// The fingerprint in a stat.
    #[must_use]
    pub fn of(stat: &Stat) -> Fingerprint {
        let Stat { dev, ino, size, mtime, ctime, .. } = *stat;
        Fingerprint { dev, ino, size, mtime, ctime }
    }
}

/// A stat and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the file system said.
    pub stat: Stat,
    /// What the clock said *before* the stat, and before any byte was read.
    pub clock: Time,
}

impl Seen {
    /// Granularity of a file's times: the kernel stamps with the clock of its last tick, 1 to 10 ms old.
    const TICK_NANOS: i128 = 10_000_000;
    /// The same where a file system keeps whole seconds (or two of them, as FAT does).
    const COARSE_TICK_NANOS: i128 = 2_000_000_000;

    /// Whether the file may change after this and yet keep its times: its last change is not older than one
    /// tick of its file system's clock.
    ///
    /// A ctime beyond the clock counts as racy until the clock has passed it. An mtime beyond the clock does
    /// not: it was set by hand, and a file dated into the future is not to be read at every run.
    #[must_use]
    pub fn is_racy(&self) -> bool {
        let nanos = |time: Time| i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
        let tick = if self.stat.ctime.nanos == 0 { Seen::COARSE_TICK_NANOS } else { Seen::TICK_NANOS };
        let clock = nanos(self.clock);
        let (mtime, ctime) = (nanos(self.stat.mtime), nanos(self.stat.ctime));
        ctime >= clock - tick || (clock - tick..=clock).contains(&mtime)
    }
}

/// What a scan found, and has learned since.
#[derive(Debug)]
pub struct Scan {
    /// The tree. Files whose root is not known have none, and then no directory above them has digests.
    pub snapshot: Snapshot,
    /// What tells whether an entry changed, by [`EntryId`].
    pub prints: Vec<Fingerprint>,
    /// Temporary files and directories of earlier runs, the topmost of each only; sorted.
    pub leftovers: Vec<RelPath>,
    /// What could not be read. The path of a directory among them is an empty directory of the snapshot; that
    /// of a name whose stat failed is not in the snapshot at all. So delete nothing by a scan that has errors.
    pub errors: Vec<ScanError>,
    /// What a receiver may not delete.
    pub protected: Protected,
    /// Files that a sender has and does not copy, for their size; sorted. A receiver may not delete what it has in
    /// their place.
    pub spared: Vec<RelPath>,
    /// The extended attributes that there are, if the profile counts any.
    pub sets: Sets,
    root_print: Fingerprint,
    /// Whether an entry's fingerprint may fail to show its next change, by [`EntryId`].
    racy: Vec<bool>,
    /// The next scan could save lists of names that this one made.
    newly_complete: bool,
    /// Chunks of the files that have more than one.
    lists: HashMap<EntryId, ChunkList>,
    /// The index that kept lists lie in.
    kept: Option<Arc<Vec<u8>>>,
    /// The further names of a hard-linked file, by its first.
    others: HashMap<EntryId, Vec<EntryId>>,
    /// Files that have further names, here or elsewhere.
    linked: Vec<EntryId>,
    /// Directories with names that take no part.
    partial: Vec<DirId>,
    /// The tree never changes, and reading a file holds its bytes against the chunks that are known of it.
    proven: bool,
}

#[derive(Clone, Debug)]
enum ChunkList {
    /// Begins so far into the index.
    Kept(usize),
    Learned(Box<[ChunkRef]>),
}

impl Scan {
    /// The scan of a tree that is known without looking, and in which reading a file holds its bytes against its chunks: what
    /// each entry's stat would be, and the chunks of those files that have more than one.
    #[must_use]
    pub fn known(
        snapshot: Snapshot,
        sets: Sets,
        root: &Stat,
        stat: impl Fn(EntryId) -> Stat,
        lists: HashMap<EntryId, Vec<ChunkRef>>,
    ) -> Scan {
        let ids = (0..snapshot.entry_count()).map(EntryId);
        let lists = lists.into_iter().map(|(id, list)| (id, ChunkList::Learned(list.into_boxed_slice())));
        Scan {
            prints: ids.map(|id| Fingerprint::of(&stat(id))).collect(),
            racy: vec![false; snapshot.entry_count() as usize],
            snapshot,
            sets,
            root_print: Fingerprint::of(root),
            lists: lists.collect(),
            leftovers: Vec::new(),
            errors: Vec::new(),
            protected: Protected::default(),
            spared: Vec::new(),
            newly_complete: false,
            partial: Vec::new(),
            kept: None,
            others: HashMap::new(),
            linked: Vec::new(),
            proven: true,
        }
    }

    /// The root and the chunks of a file that need not be cut and hashed again when it is read.
    #[must_use]
    pub fn proven_chunks(&self, id: EntryId) -> Option<(Hash, Vec<ChunkRef>)> {
        let root = self.snapshot.get(id)?.root().filter(|_| self.proven)?;
        Some((root, self.chunks(id)?))
    }

    /// The files without a root, in the order of their numbers, without further names of hard-linked ones.
    #[must_use]
    pub fn unknown(&self) -> Vec<EntryId> {
        let ids = (0..).map(EntryId).zip(self.snapshot.all_entries());
        let is_unknown = |node: &Node| matches!(node, Node::File { root: None, link: None, .. });
        ids.filter(|(_, entry)| is_unknown(&entry.node)).map(|(id, _)| id).collect()
    }

    /// Takes in what a file was found to hold by whoever read it: its root, all its chunks, and the stat before
    /// it was read, which the stat after it must have equalled. Further names of the file get the same.
    ///
    /// [`Snapshot::refresh`] then computes the digests above.
    ///
    /// # Panics
    /// If `id` is not a regular file of this snapshot.
    pub fn learn(&mut self, id: EntryId, root: Hash, chunks: Vec<ChunkRef>, seen: &Seen) {
        self.learn_list(id, root, (chunks.len() > 1).then(|| chunks.into_boxed_slice()), seen);
    }

    fn learn_list(&mut self, id: EntryId, root: Hash, chunks: Option<Box<[ChunkRef]>>, seen: &Seen) {
        match chunks {
            Some(chunks) => self.lists.insert(id, ChunkList::Learned(chunks)),
            None => self.lists.remove(&id),
        };
        let others = self.others.get(&id).map_or(&[][..], Vec::as_slice);
        for &id in [id].iter().chain(others) {
            let Meta { attributes, atime, .. } = self.snapshot.entry(id).meta;
            let meta = Meta { attributes, atime, ..meta_of(&seen.stat) };
            self.snapshot.set_file(id, seen.stat.size, meta, Some(root));
            self.prints[id.0 as usize] = Fingerprint::of(&seen.stat);
            self.racy[id.0 as usize] = seen.is_racy();
        }
    }

    /// What the scan saw of an entry; a link count is not kept.
    ///
    /// # Panics
    /// If `id` is not of this scan.
    #[must_use]
    pub fn stat_of(&self, id: EntryId) -> Stat {
        let entry = self.snapshot.entry(id);
        let Fingerprint { dev, ino, size, mtime, ctime } = self.prints[id.0 as usize];
        let Meta { mode, uid, gid, atime, .. } = entry.meta;
        let atime = Time { secs: atime, nanos: 0 };
        let kind = match entry.node {
            Node::File { .. } => Kind::File,
            Node::Dir { .. } => Kind::Dir,
            Node::Symlink { .. } => Kind::Symlink,
            Node::Special { what, .. } => Kind::Special(what),
        };
        let rdev = if let Node::Special { rdev, .. } = entry.node { rdev } else { Rdev::default() };
        Stat { kind, mode, uid, gid, size, mtime, atime, ctime, dev, ino, nlink: 1, rdev }
    }

    /// The chunks of a file, in order; `None` while its root is not known, or if its list was not kept.
    ///
    /// A further name of a hard-linked file has the list of the first.
    #[must_use]
    pub fn chunks(&self, id: EntryId) -> Option<Vec<ChunkRef>> {
        let Node::File { size, root: Some(root), ref link } = self.snapshot.get(id)?.node else {
            return None;
        };
        let first = match link {
            Some(path) if !self.lists.contains_key(&id) => self.snapshot.find_path(path)?,
            _ => id,
        };
        match self.lists.get(&first) {
            Some(ChunkList::Learned(list)) => Some(list.to_vec()),
            Some(ChunkList::Kept(at)) => index::chunk_list(self.kept.as_ref()?, *at),
            // No list is kept of a file of one chunk: the chunk is the root.
            None => {
                let len =
                    u32::try_from(size).ok().filter(|&len| len <= self.snapshot.params().sizes().max)?;
                Some(vec![ChunkRef { hash: root, len }])
            }
        }
    }

    /// Whether an index of this scan would save the next one work that the index it was merged with could not.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.newly_complete
    }

    /// Computes the digests that can be known now ([`Snapshot::refresh`]).
    pub fn refresh(&mut self) {
        self.snapshot.refresh();
    }

    /// The encoded chunk list at an offset of the index that this scan was merged with.
    fn kept_bytes(&self, at: usize) -> &[u8] {
        let bytes = self.kept.as_ref().map_or(&[][..], |kept| kept.as_slice());
        let count = wire::Reader::new(bytes, at).u32().unwrap_or(0);
        &bytes[at..at + 4 + count as usize * index::CHUNK_BYTES]
    }
}

/// What of a stat is metadata whatever the profile.
fn meta_of(stat: &Stat) -> Meta {
    let Stat { mode, uid, gid, mtime, .. } = *stat;
    Meta { mode, uid, gid, mtime, ..Meta::default() }
}
