//! The receiver's requests → messages and reading jobs: the source's half of a session, without IO.
//!
//! [`Sender::handle`] takes one message, [`Sender::poll`] gives what to do next: a message to send, or a
//! [`Job`] for whoever can read files, whose outcome comes back through [`Sender::described`],
//! [`Sender::streamed`] and [`Sender::read`]. File bytes never pass through the machine: jobs send them.
//!
//! Invariants: a directory is listed, and a file described or streamed, at most once, however often it is
//! asked for; no more chunks of a file are sent than it has; a listing that names a file is sent before the
//! file's bytes. So what waits here is bounded by this end's own tree, whatever the receiver sends.
//!
//! `listing` writes what directories hold, `refine` answers what the receiver has in the place of chunks.

mod attributes;
mod listing;
mod refine;

pub use refine::Patch;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::delta::Turn;
use super::message::{Abort, CHUNKS_MAX, ChunkStep, Gone, Message, Report, Runs};
use super::{ProtocolError, violation};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::hash::Hash;
use crate::limits::NODE_CHILDREN_MAX;
use crate::snapshot::node::DirTree;
use crate::snapshot::{AttributesId, DirId, EntryId, Meta, Node, Sets, Snapshot};
use crate::tree::FileTree;

/// Longer chunk lists are told by the nodes over them.
const CHUNKS_DIRECT: usize = 256;
/// A job that streams small files ends at so many bytes, or files.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_FILES: usize = 256;
/// Bytes held for files described ahead; more descriptions wait.
pub const HOLD_BYTES: u64 = 32 << 20;

/// Something to do with files, for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Find out a file's chunks; if `hold`, keep its bytes at hand for a [`Job::Read`]. Then call
    /// [`Sender::described`].
    Describe {
        /// The file.
        file: EntryId,
        /// Keep the bytes.
        hold: bool,
    },
    /// Send each file's chunks as `Data` in order, then `End`, or `Gone`. Then call [`Sender::streamed`].
    Stream {
        /// The files.
        files: Vec<EntryId>,
    },
    /// Send these chunks as `Data`, each checked against its hash. Then call [`Sender::read`].
    Read {
        /// The file.
        file: EntryId,
        /// Where each chunk starts, and what it is.
        chunks: Vec<(u64, ChunkRef)>,
    },
    /// Compare chunks with what the receiver has in their place. Then call [`Sender::compared`].
    Compare {
        /// The file.
        file: EntryId,
        /// The first of the chunks.
        first: u64,
        /// What to do.
        turn: Turn,
    },
    /// Take the last turn of each, and send what comes of it as `Patch`. Then call [`Sender::patched`].
    Patch {
        /// What to do.
        patches: Vec<Patch>,
    },
    /// Bytes held for these files may go.
    Release {
        /// The files.
        files: Vec<EntryId>,
    },
}

/// What the sender wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Message(Message<'static>),
    /// Do this, in any order, any number at once, after the messages before it are on their way.
    Job(Job),
}

/// How the receiver ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its recomputed root, equal to ours; `None` if some path could not be made equal, or on a dry run.
    pub root: Option<Hash>,
    /// What it did.
    pub report: Report,
    /// The exit code it goes with.
    pub code: u8,
    /// Exchanges that nothing else overlapped.
    pub round_trips: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Request {
    Expand(DirId),
    ExpandDeep(DirId),
    Nodes(DirId, u8, u32),
    Refresh(DirId, bool),
    Take(DirId),
    Describe(EntryId, bool),
    FileNode(EntryId, u8, u32),
}

/// The source's half of a session.
pub struct Sender {
    snapshot: Snapshot,
    /// Files without a root, hard-linked names counted with their first.
    unknown: usize,
    /// Whether roots were learned that the root last told does not cover.
    stale: bool,
    requests: VecDeque<Request>,
    /// Every request there was: none is served twice.
    asked: HashSet<Request>,
    /// Requests for chunks, served before others because they let go of what is held.
    needs: VecDeque<(EntryId, Runs)>,
    /// How many of a file's chunks were asked for.
    needed: HashMap<EntryId, u64>,
    refinements: refine::Refinements,
    /// Chunks of the receiver's files that differ, where they are known from an earlier session.
    their_lists: HashMap<EntryId, Vec<ChunkRef>>,
    ready: VecDeque<Output>,
    /// Directories of which everything below is to be listed, and streamed if the flag says so.
    walks: Vec<(DirId, bool)>,
    /// Those that were among them, with the flag.
    walked: HashMap<DirId, bool>,
    batch: Vec<EntryId>,
    batch_bytes: u64,
    listed: HashSet<DirId>,
    refreshed: HashSet<DirId>,
    /// Directories below which everything was refreshed.
    refreshed_deep: HashSet<DirId>,
    described: HashSet<EntryId>,
    /// The trees of described files.
    files: HashMap<EntryId, FileTree>,
    held: HashMap<EntryId, u64>,
    held_bytes: u64,
    /// Jobs given out, but for those of [`Job::Release`], whose outcome was not told yet.
    jobs: usize,
    /// The nodes over the directories that were sent as nodes.
    trees: HashMap<DirId, DirTree>,
    outcome: Option<Outcome>,
    /// Extended attributes of the snapshot's entries, and the numbers of those that were told.
    sets: Sets,
    told_sets: HashMap<AttributesId, u32>,
}

impl Sender {
    /// A sender of `snapshot`. Files without a root are hashed as they are described or streamed.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Sender {
        let unknown = snapshot
            .all_entries()
            .iter()
            .filter(|entry| matches!(entry.node, Node::File { root: None, link: None, .. }))
            .count();
        Sender {
            stale: false,
            snapshot,
            unknown,
            requests: VecDeque::new(),
            asked: HashSet::new(),
            needs: VecDeque::new(),
            needed: HashMap::new(),
            refinements: refine::Refinements::default(),
            their_lists: HashMap::new(),
            ready: VecDeque::new(),
            walks: Vec::new(),
            walked: HashMap::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            listed: HashSet::new(),
            refreshed: HashSet::new(),
            refreshed_deep: HashSet::new(),
            described: HashSet::new(),
            files: HashMap::new(),
            held: HashMap::new(),
            held_bytes: 0,
            jobs: 0,
            trees: HashMap::new(),
            outcome: None,
            sets: Sets::default(),
            told_sets: HashMap::new(),
        }
    }

    /// The same, with the extended attributes that the snapshot's entries have.
    #[must_use]
    pub fn with_sets(mut self, sets: Sets) -> Sender {
        self.sets = sets;
        self.tell_attributes([(None, self.snapshot.meta().attributes)]);
        self
    }

    /// The snapshot, with the roots learned so far.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How the receiver ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Takes one message of the receiver.
    ///
    /// # Errors
    /// [`ProtocolError`] if it is none that a receiver may send now, or names what does not exist.
    pub fn handle(&mut self, message: Message<'_>) -> Result<(), ProtocolError> {
        if self.outcome.is_some() {
            return Err(violation("a message after the last"));
        }
        match message {
            Message::Expand { dirs, deep } => {
                for dir in dirs.iter() {
                    let dir = self.dir(*dir)?;
                    self.request(if deep { Request::ExpandDeep(dir) } else { Request::Expand(dir) });
                }
            }
            Message::ExpandNodes { dir, level, nodes } => {
                let dir = self.dir(dir)?;
                let known = self.trees.get(&dir).and_then(|tree| tree.levels.get(usize::from(level)));
                let count = known.map_or(0, Vec::len);
                for node in nodes.iter() {
                    if *node as usize >= count {
                        return Err(violation("a node that was not named"));
                    }
                    self.request(Request::Nodes(dir, level, *node));
                }
            }
            Message::Refresh { dirs, deep } => {
                for dir in dirs.iter() {
                    let dir = self.dir(*dir)?;
                    self.request(Request::Refresh(dir, deep));
                }
            }
            Message::Take { dir } => {
                let dir = self.dir(dir)?;
                self.request(Request::Take(dir));
            }
            Message::Describe { files, hold } => {
                for file in files.iter() {
                    let file = self.file(*file)?;
                    self.request(Request::Describe(file, hold));
                }
            }
            Message::DescribeNodes { file, level, nodes } => {
                let file = self.file(file)?;
                let tree = self.files.get(&file).filter(|tree| (1..=tree.levels()).contains(&level.into()));
                let tree = tree.ok_or_else(|| violation("nodes of a file that was not described"))?;
                let known = tree.nodes(level.into()).len();
                if nodes.iter().any(|node| *node as usize >= known) {
                    return Err(violation("a node that was not named"));
                }
                for node in nodes.iter() {
                    self.request(Request::FileNode(file, level, *node));
                }
            }
            Message::Need { file, runs } => {
                let file = self.file(file)?;
                self.check_need(file, &runs)?;
                self.needs.push_back((file, runs));
            }
            Message::Refine { file, first, count, digests } => {
                let file = self.file(file)?;
                self.refine(file, first, count, digests)?;
            }
            Message::Pieces { file, first, level, known, digests } => {
                let file = self.file(file)?;
                self.pieces(file, first, level, known, digests)?;
            }
            Message::Release { files } => {
                let mut held = Vec::new();
                for file in files.iter() {
                    let file = self.file(*file)?;
                    self.forget_turns(file);
                    if self.release(file) {
                        held.push(file);
                    }
                }
                if !held.is_empty() {
                    self.ready.push_back(Output::Job(Job::Release { files: held }));
                }
            }
            Message::Done { root, report, code, round_trips } => {
                if root.is_some() && root != self.snapshot.root() {
                    return Err(ProtocolError::RootsDiffer { ours: self.snapshot.root(), theirs: root });
                }
                self.outcome = Some(Outcome { root, report, code, round_trips });
            }
            Message::Abort(Abort { code, text }) => return Err(ProtocolError::aborted(code, &text)),
            _ => return Err(violation("a message that only a sender sends")),
        }
        Ok(())
    }

    fn dir(&self, dir: u32) -> Result<DirId, ProtocolError> {
        let dir = DirId(dir);
        if self.snapshot.has_dir(dir) { Ok(dir) } else { Err(violation("a directory that was not named")) }
    }

    fn file(&self, file: u32) -> Result<EntryId, ProtocolError> {
        let file = EntryId(file);
        match self.snapshot.get(file).map(|entry| &entry.node) {
            Some(Node::File { .. }) => Ok(file),
            _ => Err(violation("a file that was not named")),
        }
    }

    fn request(&mut self, request: Request) {
        if self.asked.insert(request) {
            self.requests.push_back(request);
        }
    }

    /// Whether these runs are chunks of a described file, no more of them in all requests than it has.
    fn check_need(&mut self, file: EntryId, runs: &[(u64, u64)]) -> Result<(), ProtocolError> {
        let list =
            self.chunk_list(file).ok_or_else(|| violation("chunks of a file that was not described"))?;
        let known = list.len() as u64;
        let (mut end, mut count) = (Some(0_u64), 0_u64);
        for &(gap, len) in runs {
            end = end.and_then(|end| end.checked_add(gap)?.checked_add(len)).filter(|end| *end <= known);
            if end.is_none() || len == 0 {
                return Err(violation("chunks beyond the end of a file"));
            }
            count += len;
        }
        let needed = self.needed.entry(file).or_default();
        *needed += count;
        if *needed > known {
            return Err(violation("chunks asked for more than once"));
        }
        Ok(())
    }

    /// A file's chunks: as described, or, if it was not, the one whose hash is its root.
    fn chunk_list(&self, file: EntryId) -> Option<Cow<'_, [ChunkRef]>> {
        if let Some(tree) = self.files.get(&file) {
            return Some(Cow::Borrowed(tree.chunks()));
        }
        let entry = self.snapshot.entry(file);
        let len = u32::try_from(entry.size().unwrap_or(0)).ok()?;
        Some(Cow::Owned(vec![ChunkRef { hash: entry.root()?, len }]))
    }

    /// The chunks of checked runs, and where each starts.
    fn read_job(&self, file: EntryId, runs: &[(u64, u64)]) -> Job {
        let list = self.chunk_list(file).unwrap_or_default();
        let mut chunks = Vec::new();
        let mut offset = 0;
        let mut rest = list.iter();
        for &(gap, len) in runs {
            offset += rest.by_ref().take(gap as usize).map(|chunk| u64::from(chunk.len)).sum::<u64>();
            for chunk in rest.by_ref().take(len as usize) {
                chunks.push((offset, *chunk));
                offset += u64::from(chunk.len);
            }
        }
        Job::Read { file, chunks }
    }

    /// Forgets that a file's bytes are held; tells whether they were.
    fn release(&mut self, file: EntryId) -> bool {
        // The list stays: the receiver may still ask, if its own copy of a chunk turns out to be bad.
        let held = self.held.remove(&file);
        self.held_bytes -= held.unwrap_or(0);
        held.is_some()
    }

    /// A [`Job::Describe`] has ended: the file's root, length and chunks, or why not. A file that was listed
    /// with another root has changed since.
    pub fn described(&mut self, file: EntryId, outcome: Result<(Hash, Vec<ChunkRef>), Gone>) {
        self.jobs -= 1;
        let listed = self.snapshot.entry(file).root();
        match outcome {
            Ok((root, _)) if listed.is_some_and(|listed| listed != root) => self.gone(file, Gone::Changed),
            Ok((root, chunks)) => {
                self.learn(file, root);
                match FileTree::from_chunks(chunks) {
                    Ok(tree) => {
                        self.tell_chunks(file, &tree);
                        self.files.insert(file, tree);
                    }
                    // Only a peer's list can break the rules of one; ours was just made.
                    Err(_) => self.gone(file, Gone::Changed),
                }
                self.settle_root();
            }
            Err(why) => self.gone(file, why),
        }
        self.settle_root();
    }

    /// Tells a file's chunks: as the way there from the receiver's, if those are known; otherwise all of a short
    /// list, the nodes over a long one.
    fn tell_chunks(&mut self, file: EntryId, tree: &FileTree) {
        if let Some(theirs) = self.their_lists.remove(&file) {
            return self.tell_chunk_steps(file, tree.chunks(), &theirs);
        }
        if tree.chunks().len() > CHUNKS_DIRECT
            && let Some(level) =
                (1..tree.levels()).find(|level| tree.nodes(*level).len() <= NODE_CHILDREN_MAX)
        {
            let nodes = tree.nodes(level).iter().map(|node| (node.hash, node.len)).collect();
            let nodes = Bounded::new(nodes).unwrap_or_default();
            return self.message(Message::FileTop { file: file.0, level: level as u8, nodes });
        }
        let mut parts = tree.chunks().chunks(CHUNKS_MAX).peekable();
        let mut first = 0;
        while let Some(part) = parts.next() {
            let more = parts.peek().is_some();
            let list = part.iter().map(|chunk| (*chunk).into()).collect();
            let chunks = Bounded::new(list).unwrap_or_default();
            self.message(Message::Chunks { file: file.0, first, more, chunks });
            first += part.len() as u64;
        }
    }

    fn tell_chunk_steps(&mut self, file: EntryId, ours: &[ChunkRef], theirs: &[ChunkRef]) {
        let mut steps = Vec::new();
        let mut passed = 0;
        let places: HashMap<Hash, usize> =
            theirs.iter().enumerate().map(|(at, chunk)| (chunk.hash, at)).collect();
        for chunk in ours {
            let same = theirs.get(passed).is_some_and(|their| their == chunk);
            let at = if same { Some(passed) } else { places.get(&chunk.hash).copied() };
            // The way goes forwards only: what stood before is told again.
            let Some(at) = at.filter(|at| *at >= passed) else {
                steps.push(ChunkStep::Chunk((*chunk).into()));
                continue;
            };
            if at > passed {
                steps.push(ChunkStep::Drop((at - passed) as u64));
            }
            match steps.last_mut() {
                Some(ChunkStep::Same(count)) => *count += 1,
                _ => steps.push(ChunkStep::Same(1)),
            }
            passed = at + 1;
        }
        let mut parts = steps.chunks(CHUNKS_MAX).peekable();
        while let Some(part) = parts.next() {
            let (more, steps) = (parts.peek().is_some(), Bounded::new(part.to_vec()).unwrap_or_default());
            self.message(Message::ChunkSteps { file: file.0, more, steps });
        }
    }

    /// Tells the children of a node of a file's tree.
    fn file_node(&mut self, file: EntryId, level: u8, node: u32) {
        // The request was checked when it came.
        let Some(tree) = self.files.get(&file) else { return };
        let (at, index) = (usize::from(level), node as usize);
        let first = tree.nodes(at)[index].children.start as u32;
        let children = tree.children(at, index).iter().map(|child| (child.hash, child.len)).collect();
        let children = Bounded::new(children).unwrap_or_default();
        self.message(Message::FileNode { file: file.0, level, node, first, children });
    }

    /// One file of a [`Job::Stream`] was sent, `last` if it was the job's last: its root and, as it was
    /// read, its length and metadata; or why not.
    pub fn streamed(&mut self, file: EntryId, outcome: Result<(Hash, u64, Meta), Gone>, last: bool) {
        self.jobs -= usize::from(last);
        if let Ok((root, size, meta)) = outcome {
            let entry = self.snapshot.entry(file);
            let meta = Meta { attributes: entry.meta.attributes, atime: entry.meta.atime, ..meta };
            if entry.size() != Some(size) || entry.meta != meta {
                self.snapshot.set_file(file, size, meta, entry.root());
                self.stale = true;
            }
            self.learn(file, root);
        }
        self.settle_root();
    }

    /// A [`Job::Read`] has ended.
    pub fn read(&mut self, file: EntryId, outcome: Result<(), Gone>) {
        self.jobs -= 1;
        self.release(file);
        if let Err(why) = outcome {
            self.gone(file, why);
        }
        self.settle_root();
    }

    fn gone(&mut self, file: EntryId, why: Gone) {
        self.release(file);
        self.end_turns(file);
        self.message(Message::Gone { file: file.0, why });
    }

    fn learn(&mut self, file: EntryId, root: Hash) {
        let known = self.snapshot.entry(file).root();
        self.unknown -= usize::from(known.is_none());
        if known != Some(root) {
            self.snapshot.set_root(file, root);
            self.stale = true;
        }
    }

    /// Tells the root once it is known, and again if a file turned out to have changed since the scan: when
    /// no job is under way, so that every `End` before this `Root` is covered by it.
    fn settle_root(&mut self) {
        if self.unknown > 0 || !self.stale || self.jobs > 0 {
            return;
        }
        self.stale = false;
        self.snapshot.resolve_links();
        self.snapshot.refresh();
        if let Some(root) = self.snapshot.root() {
            self.message(Message::Root(root));
        }
    }

    fn message(&mut self, message: Message<'static>) {
        self.ready.push_back(Output::Message(message));
    }

    /// What to do next, or `None` until something arrives.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Some(output);
            }
            if let Some((file, runs)) = self.needs.pop_front() {
                self.jobs += 1;
                return Some(Output::Job(self.read_job(file, &runs)));
            }
            if let Some(job) = self.next_patches() {
                return Some(Output::Job(job));
            }
            if self.held_bytes > HOLD_BYTES
                && matches!(self.requests.front(), Some(Request::Describe(_, true)))
            {
                // Descriptions wait until some held bytes were asked for or released; the walk goes on.
                self.walk()?;
                continue;
            }
            match self.requests.pop_front() {
                Some(request) => self.serve(request),
                None => self.walk()?,
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Expand(dir) => {
                if self.list(dir, false) {
                    self.speculate(dir);
                }
            }
            Request::ExpandDeep(dir) => self.walk_later(dir, false),
            Request::Take(dir) => self.walk_later(dir, true),
            Request::Nodes(dir, level, node) => self.nodes(dir, level, node),
            Request::FileNode(file, level, node) => self.file_node(file, level, node),
            Request::Refresh(dir, deep) => self.refresh(dir, deep),
            Request::Describe(file, hold) => {
                if self.described.insert(file) {
                    let size = self.snapshot.entry(file).size().unwrap_or(0);
                    if hold {
                        self.held.insert(file, size);
                        self.held_bytes += size;
                    }
                    self.jobs += 1;
                    self.ready.push_back(Output::Job(Job::Describe { file, hold }));
                } else if let Some(tree) = self.files.remove(&file) {
                    // The receiver could not follow the way from its own list.
                    self.tell_chunks(file, &tree);
                    self.files.insert(file, tree);
                }
            }
        }
    }

    fn walk_later(&mut self, dir: DirId, stream: bool) {
        // One that was listed may still have to be streamed.
        if self.walked.get(&dir).is_none_or(|streamed| stream && !streamed) {
            self.walked.insert(dir, stream);
            self.walks.push((dir, stream));
        }
    }

    /// One step of listing or streaming whole subtrees, depth first; `None` if there is none left.
    fn walk(&mut self) -> Option<()> {
        let Some((dir, stream)) = self.walks.pop() else { return self.flush() };
        // A directory that was listed before still has subtrees to walk, and files to stream.
        self.list(dir, true);
        let ids = self.snapshot.entry_ids(dir);
        for id in ids.clone().rev().map(EntryId) {
            if let Some(child) = self.snapshot.entry(id).dir() {
                self.walk_later(child, stream);
            }
        }
        for id in ids.map(EntryId).filter(|_| stream) {
            if let Node::File { size, link: None, .. } = self.snapshot.entry(id).node
                && self.described.insert(id)
            {
                if self.batch_bytes + size > BATCH_BYTES || self.batch.len() == BATCH_FILES {
                    self.flush();
                }
                self.batch.push(id);
                self.batch_bytes += size;
            }
        }
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        if self.batch.is_empty() {
            return None;
        }
        let files = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.jobs += 1;
        self.ready.push_back(Output::Job(Job::Stream { files }));
        Some(())
    }
}
