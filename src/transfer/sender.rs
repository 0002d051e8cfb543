//! The receiver's requests → messages and reading jobs: the source's half of a session, without IO.
//!
//! [`Sender::handle`] takes one message, [`Sender::poll`] gives what to do next: a message to send, or a
//! [`Job`] for whoever can read files, whose outcome comes back through [`Sender::described`],
//! [`Sender::streamed`] and [`Sender::read`]. File bytes never pass through the machine: jobs send them.
//!
//! Invariants: a directory is listed, and a file described or streamed, at most once, however often it is
//! asked for; every message before a listing that names a file comes before that file's bytes; requests
//! wait in a queue of bounded length.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::message::{
    Abort, CHUNKS_MAX, Gone, LISTING_MAX, Message, MetaCoder, Report, WireChild, WireEntry, WireNode,
};
use super::{ProtocolError, violation};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::hash::Hash;
use crate::limits::NODE_CHILDREN_MAX;
use crate::snapshot::node::DirTree;
use crate::snapshot::{DirId, EntryId, Meta, Node, Snapshot};
use crate::tree::FileTree;

/// Requested elements that may wait at once.
const QUEUE_MAX: usize = 1 << 18;
/// Listed bytes sent unasked behind a listing that was asked for: what a round trip would cost more than.
const SPECULATE_BYTES: usize = 16 << 10;
/// Longer chunk lists are told by the nodes over them.
const CHUNKS_DIRECT: usize = 256;
/// Entries of one message take so many bytes at most.
const LISTING_BYTES: usize = 256 << 10;
/// A job that streams small files ends at so many bytes, or files.
const BATCH_BYTES: u64 = 512 << 10;
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

enum Request {
    Expand(DirId),
    ExpandDeep(DirId),
    Nodes(DirId, u8, u32),
    Refresh(DirId, bool),
    Take(DirId),
    Describe(EntryId, bool),
}

/// The source's half of a session.
pub struct Sender {
    snapshot: Snapshot,
    /// Files without a root, hard-linked names counted with their first.
    unknown: usize,
    /// Whether roots were learned that the root last told does not cover.
    stale: bool,
    requests: VecDeque<Request>,
    ready: VecDeque<Output>,
    /// Directories of which everything below is to be listed, and streamed if the flag says so.
    walks: Vec<(DirId, bool)>,
    batch: Vec<EntryId>,
    batch_bytes: u64,
    listed: HashSet<DirId>,
    refreshed: HashSet<DirId>,
    described: HashSet<EntryId>,
    /// Described files.
    trees: HashMap<EntryId, Arc<FileTree>>,
    held: HashMap<EntryId, u64>,
    held_bytes: u64,
    jobs: usize,
    tree: Option<(DirId, DirTree)>,
    outcome: Option<Outcome>,
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
            ready: VecDeque::new(),
            walks: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            listed: HashSet::new(),
            refreshed: HashSet::new(),
            described: HashSet::new(),
            trees: HashMap::new(),
            held: HashMap::new(),
            held_bytes: 0,
            jobs: 0,
            tree: None,
            outcome: None,
        }
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

    /// Whether nothing is to be done until a message or an outcome of a job arrives.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.requests.is_empty() && self.walks.is_empty() && self.jobs == 0
    }

    /// Takes one message of the receiver.
    ///
    /// # Errors
    /// [`ProtocolError`] if it is none that a receiver may send now, or names what does not exist.
    pub fn handle(&mut self, message: Message<'_>) -> Result<(), ProtocolError> {
        match message {
            Message::Expand { dirs, deep } => {
                for dir in dirs.iter() {
                    let dir = self.dir(*dir)?;
                    self.request(if deep { Request::ExpandDeep(dir) } else { Request::Expand(dir) })?;
                }
            }
            Message::ExpandNodes { dir, level, nodes } => {
                let dir = self.dir(dir)?;
                for node in nodes.iter() {
                    self.request(Request::Nodes(dir, level, *node))?;
                }
            }
            Message::Refresh { dirs, deep } => {
                for dir in dirs.iter() {
                    let dir = self.dir(*dir)?;
                    self.request(Request::Refresh(dir, deep))?;
                }
            }
            Message::Take { dir } => {
                let dir = self.dir(dir)?;
                self.request(Request::Take(dir))?;
            }
            Message::Describe { files, hold } => {
                for file in files.iter() {
                    let file = self.file(*file)?;
                    self.request(Request::Describe(file, hold))?;
                }
            }
            Message::DescribeNodes { file, level, nodes } => {
                let file = self.file(file)?;
                if self.ready.len() > QUEUE_MAX {
                    return Err(violation("too many requests at once"));
                }
                for node in nodes.iter() {
                    self.file_node(file, level, *node)?;
                }
            }
            Message::Need { file, runs } => {
                let file = self.file(file)?;
                let chunks = self.needed(file, &runs)?;
                self.jobs += 1;
                self.ready.push_back(Output::Job(Job::Read { file, chunks }));
            }
            Message::Release { files } => {
                let files = files.iter().map(|file| self.file(*file)).collect::<Result<Vec<_>, _>>()?;
                for file in &files {
                    self.release(*file);
                }
                self.ready.push_back(Output::Job(Job::Release { files }));
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
            Some(Node::File { link: None, .. }) => Ok(file),
            _ => Err(violation("a file that was not named")),
        }
    }

    fn request(&mut self, request: Request) -> Result<(), ProtocolError> {
        if self.requests.len() >= QUEUE_MAX {
            return Err(violation("too many requests at once"));
        }
        self.requests.push_back(request);
        Ok(())
    }

    fn needed(&self, file: EntryId, runs: &[(u64, u64)]) -> Result<Vec<(u64, ChunkRef)>, ProtocolError> {
        let entry = self.snapshot.entry(file);
        let Some(list) = self.trees.get(&file).map(|tree| tree.chunks()) else {
            // Not described: then it must be one chunk, whose hash is the root.
            return match (entry.root(), entry.size()) {
                (Some(hash), Some(size)) if runs == [(0, 1)] && size <= u64::from(u32::MAX) => {
                    Ok(vec![(0, ChunkRef { hash, len: size as u32 })])
                }
                _ => Err(violation("chunks of a file that was not described")),
            };
        };
        let mut chunks = Vec::new();
        let (mut at, mut offset) = (0_usize, 0_u64);
        for &(gap, len) in runs {
            let start = usize::try_from(gap).ok().and_then(|gap| at.checked_add(gap));
            let end = start.zip(usize::try_from(len).ok()).and_then(|(start, len)| start.checked_add(len));
            let (Some(start), Some(end)) = (start, end.filter(|end| *end <= list.len())) else {
                return Err(violation("chunks beyond the end of a file"));
            };
            offset += list[at..start].iter().map(|chunk| u64::from(chunk.len)).sum::<u64>();
            for chunk in &list[start..end] {
                chunks.push((offset, *chunk));
                offset += u64::from(chunk.len);
            }
            at = end;
        }
        Ok(chunks)
    }

    fn release(&mut self, file: EntryId) {
        if let Some(bytes) = self.held.remove(&file) {
            self.held_bytes -= bytes;
        }
        // The list stays: the receiver may still ask, if its own copy of a chunk turns out to be bad.
    }

    /// A [`Job::Describe`] has ended: the file's root, length and chunks, or why not.
    pub fn described(&mut self, file: EntryId, outcome: Result<(Hash, Vec<ChunkRef>), Gone>) {
        self.jobs -= 1;
        match outcome {
            Ok((root, chunks)) => {
                self.learn(file, root);
                match FileTree::from_chunks(chunks) {
                    Ok(tree) => {
                        self.tell_chunks(file, &tree);
                        self.trees.insert(file, Arc::new(tree));
                    }
                    // Only a peer's list can break the rules of one; ours was just made.
                    Err(_) => self.gone(file, Gone::Changed),
                }
                self.settle_root();
            }
            Err(why) => self.gone(file, why),
        }
    }

    /// Tells a file's chunks: all of a short list, the nodes over a long one.
    fn tell_chunks(&mut self, file: EntryId, tree: &FileTree) {
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

    /// Tells the children of a node of a file's tree.
    fn file_node(&mut self, file: EntryId, level: u8, node: u32) -> Result<(), ProtocolError> {
        let tree =
            self.trees.get(&file).ok_or_else(|| violation("nodes of a file that was not described"))?;
        let (at, index) = (usize::from(level), node as usize);
        if at == 0 || at > tree.levels() || index >= tree.nodes(at).len() {
            return Err(violation("a node that was not named"));
        }
        let first = tree.nodes(at)[index].children.start as u32;
        let children = tree.children(at, index).iter().map(|child| (child.hash, child.len)).collect();
        let children = Bounded::new(children).unwrap_or_default();
        self.message(Message::FileNode { file: file.0, level, node, first, children });
        Ok(())
    }

    /// One file of a [`Job::Stream`] was sent, `last` if it was the job's last: its root and, as it was
    /// read, its length and metadata; or why not.
    pub fn streamed(&mut self, file: EntryId, outcome: Result<(Hash, u64, Meta), Gone>, last: bool) {
        self.jobs -= usize::from(last);
        if let Ok((root, size, meta)) = outcome {
            let entry = self.snapshot.entry(file);
            if entry.size() != Some(size) || entry.meta != meta {
                self.snapshot.set_file(file, size, meta, entry.root());
                self.stale = true;
            }
            self.learn(file, root);
            self.settle_root();
        }
    }

    /// A [`Job::Read`] has ended.
    pub fn read(&mut self, file: EntryId, outcome: Result<(), Gone>) {
        self.jobs -= 1;
        self.release(file);
        if let Err(why) = outcome {
            self.gone(file, why);
        }
    }

    fn gone(&mut self, file: EntryId, why: Gone) {
        self.release(file);
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

    /// Tells the root once it is known, and again if a file turned out to have changed since the scan.
    fn settle_root(&mut self) {
        if self.unknown > 0 || !self.stale {
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

    /// Lists at once what differs from `theirs`, the receiver's tree, known from an earlier session.
    pub fn assume(&mut self, theirs: &Snapshot) {
        let mut pairs = vec![(DirId::ROOT, DirId::ROOT)];
        while let Some((dir, their_dir)) = pairs.pop() {
            let (ours, their) = (self.snapshot.digests(dir), theirs.digests(their_dir));
            let (Some(ours), Some(their)) = (ours, their) else { continue };
            if ours.full == their.full {
                continue;
            }
            let same_content = ours.content == their.content;
            if same_content {
                self.refresh_against(dir, theirs, their_dir);
            } else if !self.list(dir, false) {
                // A large one is compared node by node; the receiver cannot place what is below before that.
                continue;
            }
            let mut below = Vec::new();
            for entry in self.snapshot.entries(dir) {
                let their_entry = theirs.find(their_dir, &entry.name).map(|id| theirs.entry(id));
                if let (Some(child), Some(their_child)) = (entry.dir(), their_entry.and_then(|e| e.dir())) {
                    below.push((child, their_child));
                }
            }
            pairs.extend(below.into_iter().rev());
        }
    }

    /// What to do next, or `None` until something arrives.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Some(output);
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
            Request::ExpandDeep(dir) => self.walks.push((dir, false)),
            Request::Take(dir) => self.walks.push((dir, true)),
            Request::Nodes(dir, level, node) => self.nodes(dir, level, node),
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
                }
            }
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
                self.walks.push((child, stream));
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

    /// Lists a directory, unless that was done: its topmost nodes if it has several and the receiver can
    /// compare them, else (or if `whole`) all its entries. Tells whether it sent entries.
    fn list(&mut self, dir: DirId, whole: bool) -> bool {
        if !self.listed.insert(dir) {
            return false;
        }
        let ids = self.snapshot.entry_ids(dir);
        if !whole
            && ids.len() > NODE_CHILDREN_MAX
            && let Some(tree) = self.dir_tree(dir)
            && let [.., below, _top] = &tree.levels[..]
        {
            let level = tree.levels.len() as u8 - 2;
            let digests = below.iter().map(|node| node.digests.into()).collect();
            let digests = Bounded::new(digests).unwrap_or_default();
            self.message(Message::Nodes { dir: dir.0, level, first: 0, digests });
            return false;
        }
        self.listings(dir, None, ids);
        true
    }

    /// Lists entries in as many parts as their number and size take.
    fn listings(&mut self, dir: DirId, node: Option<u32>, ids: Range<u32>) {
        let mut first = ids.start;
        loop {
            let mut bytes = 0;
            let fits = |id: &u32| {
                let entry = self.snapshot.entry(EntryId(*id));
                let extra = match &entry.node {
                    Node::Symlink { target } => target.len(),
                    Node::File { link: Some(first), .. } => first.as_bytes().len(),
                    _ => 0,
                };
                bytes += entry.name.as_bytes().len() + extra + 128;
                bytes <= LISTING_BYTES
            };
            let end = ids.end.min(first + LISTING_MAX as u32);
            let end = first + ((first..end).take_while(fits).count() as u32).max(1).min(ids.end - first);
            self.listing(dir, node, first..end, end < ids.end);
            first = end;
            if end >= ids.end {
                return;
            }
        }
    }

    fn listing(&mut self, dir: DirId, node: Option<u32>, ids: Range<u32>, more: bool) {
        let mut coder = MetaCoder::default();
        let entries = ids.clone().map(|id| {
            let entry = self.snapshot.entry(EntryId(id));
            let node = match &entry.node {
                Node::File { size, root, link: None } => WireNode::File { size: *size, root: *root },
                Node::File { size, root, link: Some(first) } => {
                    WireNode::Link { size: *size, root: *root, first: (**first).clone() }
                }
                Node::Dir { dir } => {
                    let digests = self.snapshot.digests(*dir).map(Into::into);
                    WireNode::Dir { dir: dir.0, digests }
                }
                Node::Symlink { target } => {
                    WireNode::Symlink { target: Bounded::new(target.to_vec()).unwrap_or_default() }
                }
                Node::Special => unreachable!("a source's snapshot has no special entries"),
            };
            WireEntry { name: entry.name.clone(), meta: coder.encode(entry.meta), node }
        });
        let entries = Bounded::new(entries.collect()).unwrap_or_default();
        self.message(Message::Listing { dir: dir.0, node, first: ids.start, more, entries });
    }

    fn dir_tree(&mut self, dir: DirId) -> Option<&DirTree> {
        if self.tree.as_ref().is_none_or(|(of, _)| *of != dir) {
            self.tree = Some((dir, self.snapshot.dir_tree(dir)?));
        }
        self.tree.as_ref().map(|(_, tree)| tree)
    }

    /// Lists what is below a node of a large directory. A node that does not exist is asked for in vain:
    /// the receiver counts what it misses.
    fn nodes(&mut self, dir: DirId, level: u8, node: u32) {
        let start = self.snapshot.entry_ids(dir).start;
        let Some(tree) = self.dir_tree(dir) else { return };
        let Some(children) = tree.levels.get(usize::from(level)).and_then(|nodes| nodes.get(node as usize))
        else {
            return;
        };
        let range = children.children.clone();
        if level == 0 {
            self.listings(dir, Some(node), start + range.start..start + range.end);
            return;
        }
        let below = &tree.levels[usize::from(level) - 1][range.start as usize..range.end as usize];
        let digests = Bounded::new(below.iter().map(|node| node.digests.into()).collect());
        let digests = digests.unwrap_or_default();
        self.message(Message::Nodes { dir: dir.0, level: level - 1, first: range.start, digests });
    }

    /// Lists directories below `dir`, nearest first, while it costs less than a round trip.
    fn speculate(&mut self, dir: DirId) {
        let mut budget = SPECULATE_BYTES;
        let mut queue = VecDeque::from([dir]);
        while let Some(dir) = queue.pop_front() {
            for id in self.snapshot.entry_ids(dir).map(EntryId) {
                let Some(child) = self.snapshot.entry(id).dir() else { continue };
                let entries = self.snapshot.entries(child);
                let cost = 16 + entries.iter().map(|e| e.name.as_bytes().len() + 44).sum::<usize>();
                if cost > budget {
                    return;
                }
                budget -= cost;
                if self.list(child, false) {
                    queue.push_back(child);
                }
            }
        }
    }

    fn refresh(&mut self, dir: DirId, deep: bool) {
        let mut stack = vec![dir];
        while let Some(dir) = stack.pop() {
            if self.refreshed.insert(dir) {
                self.metas(dir, |snapshot, child| {
                    if deep { None } else { snapshot.digests(child).map(|digests| digests.full) }
                });
            }
            if deep {
                stack.extend(self.snapshot.entries(dir).iter().rev().filter_map(|entry| entry.dir()));
            }
        }
    }

    fn refresh_against(&mut self, dir: DirId, theirs: &Snapshot, their_dir: DirId) {
        if self.refreshed.insert(dir) {
            self.metas(dir, |snapshot, child| {
                let full = snapshot.digests(child)?.full;
                let name = &snapshot.entry(snapshot.entry_of(child)?).name;
                let their_child = theirs.entry(theirs.find(their_dir, name)?).dir()?;
                (theirs.digests(their_child)?.full == full).then_some(full)
            });
        }
    }

    fn metas(&mut self, dir: DirId, full: impl Fn(&Snapshot, DirId) -> Option<Hash>) {
        let ids = self.snapshot.entry_ids(dir);
        let mut first = ids.start;
        loop {
            let end = ids.end.min(first + LISTING_MAX as u32);
            let (mut metas, mut children) = (Vec::new(), Vec::new());
            let (mut coder, mut last) = (MetaCoder::default(), 0);
            for entry in (first..end).map(|id| self.snapshot.entry(EntryId(id))) {
                metas.push(coder.encode(entry.meta));
                if let Some(child) = entry.dir() {
                    let id = i64::from(child.0);
                    children.push(WireChild { dir: id - last, full: full(&self.snapshot, child) });
                    last = id;
                }
            }
            let (metas, children) = (Bounded::new(metas), Bounded::new(children));
            self.ready.push_back(Output::Message(Message::Metas {
                dir: dir.0,
                first,
                more: end < ids.end,
                metas: metas.unwrap_or_default(),
                children: children.unwrap_or_default(),
            }));
            first = end;
            if end == ids.end {
                return;
            }
        }
    }
}
