//! A directory that was scanned → a snapshot in the store, reading each file that the store lacks once.
//!
//! What the scan knows the root of, and the store has, is not read; a directory that the store has is passed over with all
//! below it. The rest is read, cut, hashed and packed in one pass by several threads; then come the nodes over the chunks,
//! the directories, and the snapshot; and last the head, which names it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::history::Signer;
use super::log::{RefName, Tag};
use super::tree::attribute_ids;
use super::write::{Added, Lane, Writer};
use super::{ObjectId, State, Store, StoreError};
use crate::chunk::{ChunkRef, Chunker, Splitter};
use crate::fs::{DirRef, File};
use crate::hash::Hash;
use crate::monitor::{Monitor, Phase};
use crate::net::Identity;
use crate::scan::{
    Clock, Opener, PARALLEL_BYTES, Scan, ScanError, Settled, batches, hash_parallel, hash_settled, named,
};
use crate::snapshot::stored::{encode_attributes, encode_dir, encode_top};
use crate::snapshot::{Builder, DirId, EntryId, Node, Snapshot, Totals};
use crate::tree::{self, FileTree, encode_node};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// How often a put begins anew because packs it counted on were collected.
const TRIES: u32 = 5;

/// How to put a tree.
pub struct PutOptions<'a> {
    /// Threads that read, hash and compress; at least one.
    pub threads: usize,
    /// The clock that the scan was made with.
    pub now: Clock,
    /// Told of what goes on.
    pub monitor: &'a dyn Monitor,
    /// What the state is marked with.
    pub tags: Vec<Tag>,
    /// Whose key signs the change.
    pub identity: &'a Identity,
}

/// What was put.
#[derive(Clone, Debug)]
pub struct Put {
    /// The state that the name has now.
    pub state: State,
    /// What the store had not.
    pub added: Added,
    /// What the snapshot holds.
    pub totals: Totals,
    /// The snapshot: without what could not be read.
    pub snapshot: Snapshot,
}

impl Store {
    /// Begins to add objects: the only writer where the place allows one.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Io`].
    pub(super) fn writer(&self) -> Result<Writer<'_>, StoreError> {
        Writer::new(self)
    }

    /// Puts the tree below `root`, of which `scan` was made with this store's [`params`](Store::params), as the newest
    /// state of `name`. Durable when it returns. The scan learns what was read.
    ///
    /// Files that cannot be read are not in the snapshot, and in [`Scan::errors`].
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Io`], [`StoreError::Contended`].
    pub fn put_tree(
        &self,
        name: &RefName,
        root: &DirRef,
        scan: &mut Scan,
        options: &PutOptions<'_>,
    ) -> Result<Put, StoreError> {
        let mut added = Added::default();
        let mut tries = 0;
        loop {
            let writer = self.writer()?;
            let snapshot = self.put_objects(&writer, root, scan, options)?;
            let now_added = writer.finish()?;
            added.objects += now_added.objects;
            added.raw += now_added.raw;
            added.stored += now_added.stored;
            let Some(hash) = snapshot.root() else {
                return Err(StoreError::damaged(&"the tree", "a directory of it has no digest"));
            };
            let totals = snapshot.totals();
            let by = Signer { identity: options.identity, time: (options.now)() };
            self.refresh()?;
            let state = self.change_head(|head| {
                let relied = head.collections == writer.collections;
                let mut found = Vec::new();
                for hash in &head.lost {
                    found.push(self.kind_of(hash)?.is_some());
                }
                let mut found = found.into_iter();
                head.lost.retain(|_| !found.next().unwrap_or(false));
                relied.then(|| head.add(name, hash, &options.tags, &totals, by)).transpose()
            })?;
            self.seal_history()?;
            if let Some(state) = state {
                return Ok(Put { state, added, totals, snapshot });
            }
            tries += 1;
            if tries == TRIES {
                return Err(StoreError::Contended { tries });
            }
        }
    }

    /// Puts everything that a tree needs, and gives its snapshot.
    fn put_objects(
        &self,
        writer: &Writer<'_>,
        root: &DirRef,
        scan: &mut Scan,
        options: &PutOptions<'_>,
    ) -> Result<Snapshot, StoreError> {
        // Where others collect beside this, a node may be there whose writer has yet to learn that what is below it went; and
        // something below one may be lost. Then each object is looked for, not only the first of those that name others.
        let closed = !self.blobs.is_shared() && self.head()?.0.lost.is_empty();
        let files = lacking(writer, scan, closed)?;
        let read = Reading {
            store: self,
            writer,
            root,
            options,
            failed: Mutex::new(None),
            stop: AtomicBool::new(false),
        };
        let learned = read.files(&scan.snapshot, &files)?;
        writer.flush(false)?;
        let mut lane = writer.lane();
        for result in learned {
            match result {
                Ok((id, Settled { root, chunks, seen })) => {
                    let chunks = chunks.map_or_else(Vec::new, Vec::from);
                    if chunks.len() > 1 {
                        put_file_nodes(&mut lane, chunks.clone())?;
                    }
                    scan.learn(id, root, chunks, &seen);
                }
                Err(error) => scan.errors.push(error),
            }
        }
        if !closed {
            let ids = scan.snapshot.dirs().flat_map(|dir| scan.snapshot.counted(dir)).map(|(id, _)| id);
            for chunks in ids.filter_map(|id| scan.chunks(id)).filter(|chunks| chunks.len() > 1) {
                put_file_nodes(&mut lane, chunks)?;
            }
        }
        scan.refresh();
        let whole = scan.snapshot.root().is_some();
        let snapshot = if whole { scan.snapshot.clone() } else { known_only(&scan.snapshot) };
        for id in attribute_ids(&snapshot) {
            if let Some(set) = scan.sets.get(id) {
                lane.put(&ObjectId::attributes(id), &encode_attributes(&set))?;
            }
        }
        for dir in dirs_lacking(writer, &snapshot, closed)?.into_iter().rev() {
            for (full, bytes) in encode_dir(&snapshot, dir).into_iter().flatten() {
                lane.put(&ObjectId::dir_node(full), &bytes)?;
            }
        }
        if let (Some(root), Some(top)) = (snapshot.root(), encode_top(&snapshot)) {
            lane.put(&ObjectId::snapshot(root), &top)?;
        }
        lane.flush(true)?;
        Ok(snapshot)
    }
}

/// Directories that the store may lack, parents first. If it is `closed`, one that it has it has with all below.
fn dirs_lacking(writer: &Writer<'_>, snapshot: &Snapshot, closed: bool) -> Result<Vec<DirId>, StoreError> {
    let mut has = vec![false; snapshot.dir_count() as usize];
    let mut lacking = Vec::new();
    for dir in snapshot.dirs() {
        let above = dir != DirId::ROOT && has[snapshot.parent(dir).0 as usize];
        let digests = snapshot.digests(dir);
        has[dir.0 as usize] =
            closed && (above || digests.map_or(Ok(false), |digests| writer.had(&digests.full))?);
        if !has[dir.0 as usize] {
            lacking.push(dir);
        }
    }
    Ok(lacking)
}

/// Files that are to be read, by number, with their lengths.
fn lacking(writer: &Writer<'_>, scan: &Scan, closed: bool) -> Result<Vec<(EntryId, u64)>, StoreError> {
    let mut files = Vec::new();
    for dir in dirs_lacking(writer, &scan.snapshot, closed)? {
        for (id, entry) in scan.snapshot.counted(dir) {
            let Node::File { size, root, link: None } = &entry.node else { continue };
            let mut has = match root {
                Some(root) if closed => writer.had(root)?,
                Some(_) => scan.chunks(id).is_some(),
                None => false,
            };
            for chunk in scan.chunks(id).filter(|_| has && !closed).into_iter().flatten() {
                has = has && writer.had(&chunk.hash)?;
            }
            if !has {
                files.push((id, *size));
            }
        }
    }
    files.sort_unstable_by_key(|(id, _)| id.0);
    Ok(files)
}

/// Puts the nodes over a file's chunks.
fn put_file_nodes(lane: &mut Lane<'_, '_>, chunks: Vec<ChunkRef>) -> Result<(), StoreError> {
    let malformed = |_| StoreError::damaged(&"a file", "its chunks make no tree");
    let tree = FileTree::from_chunks(chunks).map_err(malformed)?;
    for level in 1..=tree.levels() {
        for (at, node) in tree.nodes(level).iter().enumerate() {
            let bytes = encode_node(level, &tree.children(level, at)).map_err(malformed)?;
            lane.put(&ObjectId::file_node(node.hash), &bytes)?;
        }
    }
    Ok(())
}

/// The same tree without the files whose root is not known.
fn known_only(snapshot: &Snapshot) -> Snapshot {
    let mut builder = Builder::new(snapshot.profile(), snapshot.params().clone(), snapshot.meta());
    for dir in snapshot.dirs() {
        let known = |node: &Node| !matches!(node, Node::File { root: None, .. });
        let entries = snapshot.entries(dir).iter().filter(|entry| known(&entry.node)).cloned().collect();
        // Directories are numbered in the same order, as none is left out.
        let _ = builder.fill(dir, entries);
    }
    builder.finish()
}

/// Reads files into the store.
struct Reading<'s> {
    store: &'s Store,
    writer: &'s Writer<'s>,
    root: &'s DirRef,
    options: &'s PutOptions<'s>,
    /// The first thing that the store could not do.
    failed: Mutex<Option<StoreError>>,
    stop: AtomicBool,
}

type Learned = Result<(EntryId, Settled), ScanError>;

impl Reading<'_> {
    /// Reads these files, the largest one after the other on all threads, then the others.
    fn files(&self, snapshot: &Snapshot, files: &[(EntryId, u64)]) -> Result<Vec<Learned>, StoreError> {
        let bytes = files.iter().map(|(_, size)| size).sum();
        self.options.monitor.begin(Phase::Transfer, Some(files.len() as u64), Some(bytes));
        let (huge, files): (Vec<_>, Vec<_>) = files.iter().partition(|(_, size)| *size >= PARALLEL_BYTES);
        let mut learned = Vec::new();
        for (id, size) in huge {
            learned.push(self.huge(snapshot, id)?);
            self.options.monitor.advance(Phase::Transfer, 1, size);
        }
        let batches = batches(&files);
        let next = AtomicUsize::new(0);
        let threads = self.options.threads.clamp(1, batches.len().max(1));
        let results = std::thread::scope(|scope| {
            let work = || self.batches(snapshot, &batches, &next);
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect::<Vec<Vec<Learned>>>()
        });
        self.check()?;
        learned.extend(results.into_iter().flatten());
        Ok(learned)
    }

    /// Gives what the store could not do, if anything.
    fn check(&self) -> Result<(), StoreError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Notes an error of the store: every thread ends.
    fn fail(&self, error: StoreError) -> std::io::Error {
        self.stop.store(true, Ordering::Relaxed);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        std::io::ErrorKind::Interrupted.into()
    }

    fn batches(&self, snapshot: &Snapshot, batches: &[Vec<EntryId>], next: &AtomicUsize) -> Vec<Learned> {
        let mut lane = self.writer.lane();
        let mut opener = Opener::new(self.root.clone());
        let mut buffer = vec![0; READ_BYTES];
        let mut splitter = Splitter::new(Chunker::new(self.store.params()));
        let mut learned = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            for &id in batch {
                if self.stop.load(Ordering::Relaxed) {
                    return learned;
                }
                let mut read =
                    |file: &dyn File, size: u64| self.read(file, size, &mut splitter, &mut buffer, &mut lane);
                let settled = hash_settled(|| opener.file(snapshot, id), &mut read, &self.options.now);
                learned.push(named(snapshot, id, settled));
                let size = snapshot.entry(id).size().unwrap_or(0);
                self.options.monitor.advance(Phase::Transfer, 1, size);
            }
        }
        if let Err(error) = lane.flush(false) {
            let _ = self.fail(error);
        }
        learned
    }

    /// Reads the first `size` bytes of a file into the store.
    fn read(
        &self,
        file: &dyn File,
        size: u64,
        splitter: &mut Splitter,
        buffer: &mut [u8],
        lane: &mut Lane<'_, '_>,
    ) -> std::io::Result<(Hash, Vec<ChunkRef>, u64)> {
        let mut chunks = Vec::new();
        let mut failed = None;
        let mut put = |chunk: &[u8]| {
            let found = ChunkRef::of(chunk);
            chunks.push(found);
            if failed.is_none() {
                failed = lane.put(&ObjectId::chunk(found.hash), chunk).err();
            }
        };
        let mut len = 0;
        if size <= buffer.len() as u64 {
            let count = file.read_full_at(&mut buffer[..size as usize], 0)?;
            splitter.chunker().split(&buffer[..count]).for_each(&mut put);
            len = count as u64;
        } else {
            while len < size {
                let wanted = (size - len).min(buffer.len() as u64) as usize;
                let count = file.read_full_at(&mut buffer[..wanted], len)?;
                if count == 0 {
                    break;
                }
                splitter.push(&buffer[..count], &mut put);
                len += count as u64;
            }
            splitter.finish(&mut put);
        }
        if let Some(error) = failed {
            return Err(self.fail(error));
        }
        Ok((root_of(&chunks), chunks, len))
    }

    /// Hashes a file on all threads, then reads of it what the store lacks.
    fn huge(&self, snapshot: &Snapshot, id: EntryId) -> Result<Learned, StoreError> {
        let chunker = Chunker::new(self.store.params());
        let mut opener = Opener::new(self.root.clone());
        let threads = self.options.threads;
        let mut hash = |file: &dyn File, size| {
            let (root, chunks, len) = hash_parallel(file, size, &chunker, threads, &|_| {})?;
            self.lacking_chunks(file, &chunks)?;
            Ok((root, chunks, len))
        };
        let settled = hash_settled(|| opener.file(snapshot, id), &mut hash, &self.options.now);
        self.check()?;
        Ok(named(snapshot, id, settled))
    }

    /// Puts those of a file's chunks that the store lacks, on all threads.
    fn lacking_chunks(&self, file: &dyn File, chunks: &[ChunkRef]) -> std::io::Result<()> {
        let next = AtomicUsize::new(0);
        let mut offset = 0;
        let mut runs: Vec<(u64, &[ChunkRef])> = Vec::new();
        for run in chunks.chunks(64) {
            runs.push((offset, run));
            offset += run.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>();
        }
        let work = || -> std::io::Result<()> {
            let mut lane = self.writer.lane();
            let mut buffer = Vec::new();
            while let Some((mut offset, run)) = runs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                for chunk in run {
                    let at = offset;
                    offset += u64::from(chunk.len);
                    if self.writer.had(&chunk.hash).map_err(|error| self.fail(error))? {
                        continue;
                    }
                    buffer.resize(chunk.len as usize, 0);
                    let count = file.read_full_at(&mut buffer, at)?;
                    // It may change meanwhile: the stat after this will tell.
                    if ChunkRef::of(&buffer[..count]) != *chunk {
                        break;
                    }
                    lane.put(&ObjectId::chunk(chunk.hash), &buffer).map_err(|error| self.fail(error))?;
                }
            }
            lane.flush(false).map_err(|error| self.fail(error))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.options.threads.max(1)).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, std::io::Result<()>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().try_for_each(join)
        })
    }
}

fn root_of(chunks: &[ChunkRef]) -> Hash {
    let mut builder = tree::Builder::new();
    chunks.iter().for_each(|chunk| builder.push(*chunk));
    builder.finish().hash
}
