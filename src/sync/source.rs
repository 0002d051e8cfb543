//! Drives a [`Sender`]: reads files on worker threads, answers the receiver, learns roots on the way.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender as Channel, bounded, select_biased, unbounded};

use super::dir_links;
use super::listener::Decided;
use super::owners::{self, Asked};
use super::tree::now;
use super::wire::{FRAME_BYTES, Outbox, PATCH_FRAME_BYTES, REFINE_BYTES, Wire};
use super::{CODE_PARTIAL, Options, Problem, SyncError, Tree};
use crate::chunk::{ChunkRef, Chunker};
use crate::codec::Bounded;
use crate::fs::lens::Lens;
use crate::fs::{FileRef, Stat};
use crate::hash::{Domain, Hash};
use crate::limits::{FRAME_BYTES_MAX, PATH_BYTES_MAX};
use crate::monitor::Phase;
use crate::path::{Escaped, RelPath};
use crate::scan::{FileHasher, Fingerprint, Opener, Scan, ScanError, Seen, hash_file};
use crate::snapshot::{EntryId, Meta, Snapshot};
use crate::transfer::delta::recipe;
use crate::transfer::delta::{Turn, Turned};
use crate::transfer::frame::{FrameBuilder, FrameError};
use crate::transfer::message::{
    Gone, Item, Message, MetaCoder, SPARED_MAX, TEXT_BYTES_MAX, Text, Tree as TreeMessage,
};
use crate::transfer::sender::{HOLD_BYTES, Job, Outcome, Output, Patch, Sender};
use crate::transfer::{ProtocolError, violation};
use crate::tree;

/// Hashing first costs at most so many bytes read twice; above, unknown files are read once, in the session.
pub const HASH_FIRST_BYTES: u64 = 256 << 20;
/// More than a message takes beside the bytes of a chunk; or than an `End` does.
const MESSAGE_BYTES: usize = 128;
/// Bytes read from a large file at once.
const READ_BYTES: usize = 1 << 20;

/// The link has failed, or the session has (`EPIPE`): nobody will read this.
const CUT: Gone = Gone::Errno(32);

/// What a job's worker tells.
enum Told {
    Described(EntryId, Result<Learned, Gone>),
    Streamed(EntryId, Result<Learned, Gone>, bool),
    Read(EntryId, Result<(), Gone>),
    Compared(EntryId, u64, Result<Turned, Gone>),
    Patched(Vec<(EntryId, Gone)>),
    /// The link has failed.
    Cut,
}

/// What was learned of a file by reading it.
struct Learned {
    root: Hash,
    chunks: Vec<ChunkRef>,
    seen: Seen,
}

/// How the receiver ended, and what it changed.
pub(super) struct Sent {
    pub(super) outcome: Outcome,
    /// What this end has, and the receiver had before.
    pub(super) roots: Option<(Hash, Hash)>,
    pub(super) items: Vec<Item>,
    /// What the receiver could not make equal, as it told.
    pub(super) problems: Vec<Problem>,
    /// Exchanges that the receiver counted.
    pub(super) round_trips: u64,
    /// The exit code.
    pub(super) code: u8,
}

/// Sends `tree` to the receiver at the other end of `wire`. Gives the tree back with every root that was
/// learned.
pub(super) fn run(mut tree: Tree, wire: &Wire, options: &Options) -> Result<(Tree, Sent), SyncError> {
    if options.writing.dir_links {
        dir_links::answer(&tree.scan.snapshot, wire)?;
    }
    let mut theirs = None;
    if options.delete {
        tell_spared(&mut tree, wire);
    }
    let asked = Asked::of(&tree.scan.snapshot, options).filter(|_| !wire.outbox.is_local());
    let asked = asked.map(|(asked, question)| {
        wire.outbox.message(&question);
        asked
    });
    if !tree.scan.unknown().is_empty() {
        tell_tree(&tree, wire, true);
        // Whether to hash first depends on whether there is anything to compare with.
        let first = await_tree(wire, &mut theirs, nothing_else)?;
        let populated = first.entries > 0 || first.leftovers;
        let worth_it = !tree.indexed || tree.unknown_bytes() <= HASH_FIRST_BYTES;
        if options.hash_first || populated && options.hashes_first() && worth_it {
            tree.hash(options);
        }
    }
    let lens = asked.map(|asked| await_ids(wire, &asked, &mut theirs)).transpose()?.unwrap_or_default();
    let root = tree.place.root.clone();
    let before = (!lens.is_plain()).then(|| {
        let before = owners::change(&mut tree.scan.snapshot, &lens);
        tree.place.root = lens.on(root.clone());
        before
    });
    tell_tree(&tree, wire, false);
    while theirs.as_ref().is_none_or(|theirs: &TreeMessage| theirs.more) {
        await_tree(wire, &mut theirs, nothing_else)?;
    }
    let empty = theirs.is_some_and(|theirs| theirs.entries == 0);
    let their_root = theirs.and_then(|theirs| theirs.root);
    let roots = tree.scan.snapshot.root().zip(their_root);
    let mut machine = Sender::new(tree.scan.snapshot.clone()).with_sets(tree.scan.sets.clone());
    if let Some(root) = their_root.filter(|root| machine.snapshot().root() != Some(*root))
        && let Some(remembered) = tree.remembered(&root)
    {
        machine.assume(&remembered.snapshot, &|id| remembered.chunks(id));
    }
    let scan = Arc::new(tree.scan);
    let result = drive(&mut machine, &scan, &tree.place.root, wire, options, empty);
    let mut scan = Arc::try_unwrap(scan).unwrap_or_else(|_| unreachable!("every worker has ended"));
    let Heard { learned, items, mut problems, left } = result?;
    let snapshot = !learned.is_empty();
    for (file, Learned { root, chunks, seen }) in learned {
        scan.learn(file, root, chunks, &seen);
    }
    if snapshot {
        scan.snapshot.refresh();
    }
    if let Some(before) = before {
        owners::restore(&mut scan.snapshot, &before);
        tree.place.root = root;
    }
    tree.scan = scan;
    let outcome = machine.outcome().cloned().ok_or(FrameError::Cut)?;
    let mut code = outcome.code;
    if removes(options) {
        let left = left.into_iter().chain(problems.iter().map(|problem| problem.path.clone())).collect();
        let failed = super::remove::remove(&tree, &left);
        tell_removed(&failed, wire);
        if !failed.is_empty() && code == 0 {
            code = CODE_PARTIAL;
        }
        problems.extend(failed);
    }
    Ok((tree, Sent { round_trips: outcome.round_trips, roots, outcome, items, problems, code }))
}

/// Whether names are removed here when they are there.
fn removes(options: &Options) -> bool {
    options.remove_source && !options.dry_run
}

fn tell_removed(failed: &[Problem], wire: &Wire) {
    let fits = |problem: &&Problem| problem.path.as_bytes().len() <= PATH_BYTES_MAX;
    let text = |text: &str| text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)].to_vec();
    let failed = failed
        .iter()
        .filter(fits)
        .map(|problem| (problem.path.clone(), Bounded::new(text(&problem.text)).unwrap_or_default()));
    let failed: Vec<(RelPath, Text)> = failed.collect();
    for part in failed.chunks(SPARED_MAX) {
        let failed = Bounded::new(part.to_vec()).unwrap_or_default();
        wire.outbox.message(&Message::Removed { more: true, failed });
    }
    wire.outbox.message(&Message::Removed { more: false, failed: Bounded::default() });
}

fn tell_tree(tree: &Tree, wire: &Wire, more: bool) {
    let errors = tree.scan.errors.len() as u64;
    let message = TreeMessage { errors, more, ..TreeMessage::of(&tree.scan.snapshot) };
    wire.outbox.message(&Message::Tree(message));
}

/// Tells which files are here and not copied: as the receiver would delete what it has in their place.
fn tell_spared(tree: &mut Tree, wire: &Wire) {
    // It stays with the scan: a look at what has changed since has to know it.
    let spared = tree.scan.spared.iter().cloned();
    let (spared, unspeakable): (Vec<_>, Vec<_>) =
        spared.partition(|path| path.as_bytes().len() <= PATH_BYTES_MAX);
    // What cannot be told of must not be deleted: so nothing is.
    tree.scan.errors.extend(unspeakable.into_iter().map(|path| ScanError::Io {
        path,
        operation: "spare",
        source: rustix::io::Errno::NAMETOOLONG.into(),
    }));
    for paths in spared.chunks(SPARED_MAX) {
        let paths = Bounded::new(paths.to_vec()).unwrap_or_default();
        wire.outbox.message(&Message::Spared(paths));
    }
}

/// Waits for the other end's next `Tree`. `before` takes what comes before it.
pub(super) fn await_tree(
    wire: &Wire,
    last: &mut Option<TreeMessage>,
    mut before: impl FnMut(Message<'_>) -> Result<(), ProtocolError>,
) -> Result<TreeMessage, SyncError> {
    *last = None;
    while last.is_none() {
        // A part of the paths fills a frame of its own.
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| match message {
            Message::Tree(tree) => {
                *last = Some(tree);
                Ok(())
            }
            Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
            message => before(message),
        })?;
    }
    last.ok_or_else(|| violation("no tree").into())
}

/// For an end whose peer has nothing to say before its tree.
pub(super) fn nothing_else(_: Message<'_>) -> Result<(), ProtocolError> {
    Err(violation("a message before the tree"))
}

/// Waits for the receiver's ids of those it was `asked` for: what the tree is to be seen through.
fn await_ids(wire: &Wire, asked: &Asked, theirs: &mut Option<TreeMessage>) -> Result<Lens, SyncError> {
    let mut lens = None;
    while lens.is_none() {
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| match message {
            Message::Tree(tree) => {
                *theirs = Some(tree);
                Ok(())
            }
            Message::Ids { users, groups } => {
                lens = Some(asked.answered(&users, &groups)?);
                Ok(())
            }
            Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
            _ => Err(violation("a message before the tree")),
        })?;
    }
    lens.ok_or_else(|| FrameError::Cut.into())
}

/// What a session leaves to be told or done.
#[derive(Default)]
struct Heard {
    learned: Vec<(EntryId, Learned)>,
    items: Vec<Item>,
    problems: Vec<Problem>,
    /// What the receiver has not as it is here.
    left: Vec<RelPath>,
}

fn drive(
    machine: &mut Sender,
    scan: &Arc<Scan>,
    root: &crate::fs::DirRef,
    wire: &Wire,
    options: &Options,
    empty: bool,
) -> Result<Heard, SyncError> {
    let (jobs, waiting) = bounded::<Job>(options.threads * 2);
    let (tell, told) = unbounded();
    let held = Held::default();
    let cancelled = AtomicBool::new(false);
    let totals = scan.snapshot.totals();
    let all = empty.then_some((totals.files, totals.bytes));
    options.monitor.begin(Phase::Transfer, all.map(|all| all.0), all.map(|all| all.1));
    std::thread::scope(|threads| {
        for lane in 0..options.threads {
            let (waiting, tell, outbox) = (waiting.clone(), tell.clone(), wire.outbox.clone());
            let (shared, opener) = ((&held, &cancelled), Opener::new(root.clone()));
            let builder = FrameBuilder::on_lane(1 + lane);
            threads.spawn(move || work(scan, opener, &waiting, &tell, (outbox, builder), shared, options));
        }
        drop((waiting, tell));
        let result = converse(machine, scan, wire, &jobs, &told, options);
        drop(jobs);
        // Workers end when the channel does; one in the middle of a large file, at its next chunk. The link stays
        // up, to tell the other end why.
        if result.is_err() {
            cancelled.store(true, Ordering::Relaxed);
        }
        result
    })
}

fn converse(
    machine: &mut Sender,
    scan: &Scan,
    wire: &Wire,
    jobs: &Channel<Job>,
    told: &Receiver<Told>,
    options: &Options,
) -> Result<Heard, SyncError> {
    let mut heard = Heard::default();
    let left_max = u64::from(scan.snapshot.entry_count()) + 1;
    let mut builder = FrameBuilder::on_lane(0);
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Message(message) => {
                    builder.push(&message);
                    if builder.len() >= FRAME_BYTES {
                        wire.outbox.send_list(&mut builder);
                    }
                }
                Output::Job(job) => {
                    // What names the files goes before their bytes.
                    wire.outbox.send_list(&mut builder);
                    if let Job::Describe { file, .. } = job
                        && let (Some(list), Some(root)) =
                            (scan.chunks(file), scan.snapshot.entry(file).root())
                    {
                        machine.described(file, Ok((root, list)));
                        continue;
                    }
                    if jobs.send(job).is_err() {
                        return Err(FrameError::Cut.into());
                    }
                }
            }
            while let Ok(told) = told.try_recv() {
                tell_file(&told, scan, options);
                take(machine, told, &mut heard.learned)?;
            }
        }
        if machine.comparing() == 0 || builder.len() >= REFINE_BYTES {
            wire.outbox.send_list(&mut builder);
        }
        if machine.outcome().is_some() {
            wire.outbox.leave_lane(&mut builder);
            if !removes(options) {
                wire.outbox.heard();
            }
            return Ok(heard);
        }
        select_biased! {
            recv(told) -> told => if let Ok(told) = told {
                tell_file(&told, scan, options);
                take(machine, told, &mut heard.learned)?;
            },
            recv(wire.inbox) -> payload => {
                let payload = payload.map_err(|_| FrameError::Cut)??;
                let mut unheard = Vec::new();
                let result = payload.for_each(|message, _| match message {
                    Message::Items(list) => {
                        unheard.extend(list.into_vec());
                        Ok(())
                    }
                    Message::Problem { path, text } => {
                        heard.problems.push(Problem { path, text: Escaped(&text).to_string() });
                        Ok(())
                    }
                    Message::Left(paths) if removes(options) => {
                        heard.left.extend(paths.into_vec());
                        match heard.left.len() as u64 <= left_max {
                            true => Ok(()),
                            false => Err(crate::transfer::violation("more names than the tree has")),
                        }
                    }
                    message => machine.handle(message),
                });
                tell(unheard, &scan.snapshot, &mut heard, options);
                result?;
            },
        }
    }
}

/// Tells whoever listens of changes that the other end has told.
fn tell(items: Vec<Item>, source: &Snapshot, heard: &mut Heard, options: &Options) {
    if let Some(listener) = options.listener.as_ref().filter(|_| !items.is_empty()) {
        listener.changed(&items.iter().map(|item| Decided::of(item, source)).collect::<Vec<_>>());
    }
    if options.itemize {
        heard.items.extend(items);
    }
}

/// Tells of a file whose bytes have left, as far as a job is that of a file.
fn tell_file(told: &Told, scan: &Scan, options: &Options) {
    if let Told::Streamed(file, Ok(_), _) | Told::Read(file, Ok(())) = told {
        let size = scan.snapshot.entry(*file).size().unwrap_or(0);
        options.monitor.file(&scan.snapshot.path(*file), size);
    }
}

fn take(machine: &mut Sender, told: Told, learned: &mut Vec<(EntryId, Learned)>) -> Result<(), SyncError> {
    match told {
        Told::Described(file, Ok(found)) => {
            machine.described(file, Ok((found.root, found.chunks.clone())));
            learned.push((file, found));
        }
        Told::Described(file, Err(why)) => machine.described(file, Err(why)),
        Told::Streamed(file, Ok(found), last) => {
            let Stat { size, mode, uid, gid, mtime, .. } = found.seen.stat;
            let meta = Meta { mode, uid, gid, mtime, ..Meta::default() };
            machine.streamed(file, Ok((found.root, size, meta)), last);
            learned.push((file, found));
        }
        Told::Streamed(file, Err(why), last) => machine.streamed(file, Err(why), last),
        Told::Read(file, outcome) => machine.read(file, outcome),
        Told::Compared(file, first, outcome) => machine.compared(file, first, outcome),
        Told::Patched(lost) => machine.patched(lost),
        Told::Cut => return Err(FrameError::Cut.into()),
    }
    Ok(())
}

/// Bytes kept at hand between a description and the request that follows it.
#[derive(Default)]
struct Held(Mutex<HashMap<EntryId, Bytes>>);

impl Held {
    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<EntryId, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's things.
struct Worker<'a> {
    scan: &'a Scan,
    opener: Opener,
    outbox: Outbox,
    held: &'a Held,
    cancelled: &'a AtomicBool,
    builder: FrameBuilder,
    chunker: Chunker,
    hasher: FileHasher,
    buffer: Vec<u8>,
    options: &'a Options,
}

fn work(
    scan: &Scan,
    opener: Opener,
    waiting: &Receiver<Job>,
    tell: &Channel<Told>,
    (outbox, builder): (Outbox, FrameBuilder),
    (held, cancelled): (&Held, &AtomicBool),
    options: &Options,
) {
    let chunker = Chunker::new(scan.snapshot.params());
    let hasher = FileHasher::new(chunker.clone());
    let buffer = Vec::new();
    let mut worker =
        Worker { scan, opener, outbox, held, cancelled, builder, chunker, hasher, buffer, options };
    for job in waiting {
        if !worker.job(job, tell) {
            let _ = tell.send(Told::Cut);
            return;
        }
    }
    worker.outbox.leave_lane(&mut worker.builder);
}

fn gone(error: &io::Error) -> Gone {
    match error.kind() {
        io::ErrorKind::NotFound => Gone::Vanished,
        _ => Gone::Errno(error.raw_os_error().unwrap_or(5)),
    }
}

impl Worker<'_> {
    /// Does a job; `false` if the link has failed.
    fn job(&mut self, job: Job, tell: &Channel<Told>) -> bool {
        match job {
            Job::Describe { file, hold } => {
                tell.send(Told::Described(file, self.describe(file, hold))).is_ok()
            }
            Job::Stream { files } => {
                let last = files.len() - 1;
                for (at, file) in files.into_iter().enumerate() {
                    let outcome = self.stream(file);
                    if let Err(why) = &outcome {
                        if !self.make_room(0) {
                            return false;
                        }
                        self.builder.push(&Message::Gone { file: file.0, why: *why });
                    }
                    if at == last && !self.outbox.send(&mut self.builder) {
                        return false;
                    }
                    if tell.send(Told::Streamed(file, outcome, at == last)).is_err() {
                        return false;
                    }
                }
                true
            }
            Job::Read { file, chunks } => {
                let outcome = self.read(file, &chunks);
                let sent = self.outbox.send(&mut self.builder);
                sent && tell.send(Told::Read(file, outcome)).is_ok()
            }
            Job::Compare { file, first, turn } => {
                tell.send(Told::Compared(file, first, self.compare(file, &turn))).is_ok()
            }
            Job::Patch { patches } => {
                let mut lost = Vec::new();
                for patch in &patches {
                    if let Err(why) = self.patch(patch) {
                        lost.push((patch.file, why));
                    }
                }
                let sent = self.outbox.send_patches(&mut self.builder);
                sent && tell.send(Told::Patched(lost)).is_ok()
            }
            Job::Release { files } => {
                let mut held = self.held.files();
                for file in files {
                    held.remove(&file);
                }
                true
            }
        }
    }

    fn open(&mut self, file: EntryId) -> Result<(FileRef, Seen), Gone> {
        // Before the stat, that is: a change in the tick of the clock is one that may not show.
        let clock = now();
        let open = self.opener.file(&self.scan.snapshot, file).map_err(|error| gone(&error))?;
        let stat = open.stat_opened().map_err(|error| gone(&error))?;
        Ok((open, Seen { stat, clock }))
    }

    /// The file must be what it was when it was opened.
    fn unchanged(open: &FileRef, seen: &Seen) -> Result<(), Gone> {
        let stat = open.stat().map_err(|error| gone(&error))?;
        if Fingerprint::of(&stat) == Fingerprint::of(&seen.stat) { Ok(()) } else { Err(Gone::Changed) }
    }

    fn describe(&mut self, file: EntryId, hold: bool) -> Result<Learned, Gone> {
        let (open, seen) = self.open(file)?;
        let size = seen.stat.size;
        if Some(size) != self.scan.snapshot.entry(file).size() {
            return Err(Gone::Changed);
        }
        let (root, chunks) = if hold && size <= HOLD_BYTES {
            let mut bytes = vec![0; size as usize];
            let len = open.read_full_at(&mut bytes, 0).map_err(|error| gone(&error))?;
            bytes.truncate(len);
            let chunks: Vec<ChunkRef> = self.chunker.split(&bytes).map(ChunkRef::of).collect();
            let mut builder = tree::Builder::new();
            chunks.iter().for_each(|chunk| builder.push(*chunk));
            self.held.files().insert(file, bytes.into());
            (builder.finish().hash, chunks)
        } else {
            let hashed = hash_file(&*open, size, &mut self.hasher).map_err(|error| gone(&error))?;
            (hashed.0, hashed.1.to_vec())
        };
        Worker::unchanged(&open, &seen)?;
        self.options.monitor.advance(Phase::Hash, 1, size);
        Ok(Learned { root, chunks, seen })
    }

    /// Adds a chunk to the frame, and sends that when it is full; `false` if the link has failed.
    fn data(&mut self, file: EntryId, offset: u64, bytes: &[u8]) -> bool {
        // What is compressed together shares what was seen before.
        let full = if self.outbox.may_compress() { FRAME_BYTES_MAX } else { FRAME_BYTES };
        if !self.make_room(bytes.len()) {
            return false;
        }
        self.builder.push(&Message::Data { file: file.0, offset, bytes });
        self.options.monitor.advance(Phase::Transfer, 0, bytes.len() as u64);
        let room = self.builder.len() < full - MESSAGE_BYTES || self.outbox.send(&mut self.builder);
        room && !self.cancelled.load(Ordering::Relaxed)
    }

    /// Sends the frame if it has no room for a message with so many bytes; `false` if the link has failed.
    fn make_room(&mut self, bytes: usize) -> bool {
        let fits = self.builder.len() + bytes + MESSAGE_BYTES <= FRAME_BYTES_MAX;
        fits || self.outbox.send(&mut self.builder)
    }

    /// Reads a file once: cuts, hashes, sends.
    fn stream(&mut self, file: EntryId) -> Result<Learned, Gone> {
        let (open, seen) = self.open(file)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = match self.scan.proven_chunks(file) {
            Some(proven) if seen.stat.size > 0 => self.stream_proven(file, &open, proven, &mut buffer),
            _ => self.stream_chunks(file, &open, &seen, &mut buffer),
        };
        self.buffer = buffer;
        let (root, chunks) = result?;
        Worker::unchanged(&open, &seen)?;
        let Stat { size, mode, uid, gid, mtime, .. } = seen.stat;
        let atime = self.scan.snapshot.entry(file).meta.atime;
        let meta = Meta { mode, uid, gid, mtime, atime, ..Meta::default() };
        let meta = MetaCoder::default().encode(meta);
        if !self.make_room(0) {
            return Err(CUT);
        }
        self.builder.push(&Message::End { file: file.0, root, size, meta });
        self.options.monitor.advance(Phase::Transfer, 1, 0);
        Ok(Learned { root, chunks, seen })
    }

    /// Sends chunks that are known, as they are read.
    fn stream_proven(
        &mut self,
        file: EntryId,
        open: &FileRef,
        (root, chunks): (Hash, Vec<ChunkRef>),
        buffer: &mut Vec<u8>,
    ) -> Result<(Hash, Vec<ChunkRef>), Gone> {
        let mut offset = 0;
        for chunk in &chunks {
            let len = chunk.len as usize;
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let read = open.read_full_at(&mut buffer[..len], offset).map_err(|error| gone(&error))?;
            if read < len {
                return Err(Gone::Changed);
            }
            if !self.data(file, offset, &buffer[..len]) {
                return Err(CUT);
            }
            offset += len as u64;
        }
        Ok((root, chunks))
    }

    fn stream_chunks(
        &mut self,
        file: EntryId,
        open: &FileRef,
        seen: &Seen,
        buffer: &mut Vec<u8>,
    ) -> Result<(Hash, Vec<ChunkRef>), Gone> {
        let size = seen.stat.size;
        let max = self.chunker.max();
        let capacity = (size.min((READ_BYTES + max) as u64) as usize).max(1);
        if buffer.len() < capacity {
            buffer.resize(capacity, 0);
        }
        let (mut offset, mut start, mut end) = (0_u64, 0, 0);
        let mut chunks = Vec::new();
        let mut builder = tree::Builder::new();
        loop {
            let wanted = (size - offset - (end - start) as u64).min((capacity - end) as u64) as usize;
            let at = offset + (end - start) as u64;
            let read = open.read_full_at(&mut buffer[end..end + wanted], at).map_err(|error| gone(&error))?;
            end += read;
            let ended = offset + (end - start) as u64 >= size || read < wanted;
            while start < end && (ended || end - start >= max) {
                let chunk = ChunkRef::of(&buffer[start..start + self.chunker.cut(&buffer[start..end])]);
                let len = chunk.len as usize;
                if !self.data(file, offset, &buffer[start..start + len]) {
                    return Err(CUT);
                }
                builder.push(chunk);
                chunks.push(chunk);
                (start, offset) = (start + len, offset + u64::from(chunk.len));
            }
            if ended {
                break;
            }
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
        }
        if offset != size {
            return Err(Gone::Changed);
        }
        Ok((builder.finish().hash, chunks))
    }

    /// Sends chunks of a described file, each as it was described.
    fn read(&mut self, file: EntryId, chunks: &[(u64, ChunkRef)]) -> Result<(), Gone> {
        let held = self.held.files().remove(&file);
        if let Some(bytes) = held {
            for (offset, chunk) in chunks {
                let start = *offset as usize;
                // What was held is what was hashed.
                let part = bytes.get(start..start + chunk.len as usize).ok_or(Gone::Changed)?;
                if !self.data(file, *offset, part) {
                    return Err(CUT);
                }
            }
            return Ok(());
        }
        let open = self.opener.file(&self.scan.snapshot, file).map_err(|error| gone(&error))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = chunks.iter().try_for_each(|(offset, chunk)| {
            let len = chunk.len as usize;
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let read = open.read_full_at(&mut buffer[..len], *offset).map_err(|error| gone(&error))?;
            if read != len || Hash::of(Domain::Chunk, &buffer[..len]) != chunk.hash {
                return Err(Gone::Changed);
            }
            if self.data(file, *offset, &buffer[..len]) { Ok(()) } else { Err(CUT) }
        });
        self.buffer = buffer;
        result
    }

    /// Cuts and compares bytes of a file. Whether it is still what it was, the hashes of the chunks will tell.
    fn compare(&mut self, file: EntryId, turn: &Turn) -> Result<Turned, Gone> {
        let open = self.opener.file(&self.scan.snapshot, file).map_err(|error| gone(&error))?;
        turn.run(|buffer, at| read_exactly(&open, buffer, at)).map_err(|error| gone(&error))
    }

    /// Takes the last turn, and sends the recipe.
    fn patch(&mut self, patch: &Patch) -> Result<(), Gone> {
        let open = self.opener.file(&self.scan.snapshot, patch.file).map_err(|error| gone(&error))?;
        let made = patch.make(|buffer, at| read_exactly(&open, buffer, at));
        let (ops, bytes) = made.map_err(|error| gone(&error))?;
        self.options.monitor.advance(Phase::Transfer, 0, patch.plan.len());
        for part in recipe::parts(&ops, &bytes) {
            self.builder.push(&part.message(patch.file.0, patch.first));
            if self.builder.len() >= PATCH_FRAME_BYTES && !self.outbox.send_patches(&mut self.builder) {
                return Err(CUT);
            }
        }
        Ok(())
    }
}

fn read_exactly(file: &FileRef, buffer: &mut [u8], at: u64) -> io::Result<()> {
    match file.read_full_at(buffer, at)? {
        len if len == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
