//! Directories of the snapshot → the messages that list them, each at most once.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::ops::Range;

use super::{Output, Sender};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::fs::{Rdev, Special};
use crate::hash::Hash;
use crate::limits::NODE_CHILDREN_MAX;
use crate::snapshot::node::DirTree;
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node, Snapshot};
use crate::transfer::message::{
    LISTING_MAX, Message, MetaCoder, Step, WireChild, WireEntry, WireMeta, WireNode,
};

/// Listed bytes sent unasked behind a listing that was asked for: what a round trip would cost more than.
const SPECULATE_BYTES: usize = 16 << 10;
/// Entries of one message take so many bytes at most.
const LISTING_BYTES: usize = 256 << 10;

impl Sender {
    /// Tells at once what differs from `theirs`, the receiver's tree, known from an earlier session; `lists` gives
    /// its files' chunks, as far as they are known.
    pub fn assume(&mut self, theirs: &Snapshot, lists: &dyn Fn(EntryId) -> Option<Vec<ChunkRef>>) {
        let mut pairs = vec![(DirId::ROOT, DirId::ROOT)];
        while let Some((dir, their_dir)) = pairs.pop() {
            let (ours, their) = (self.snapshot.digests(dir), theirs.digests(their_dir));
            if ours.is_none() || their.is_none() || ours == their || !self.listed.insert(dir) {
                continue;
            }
            self.refreshed.insert(dir);
            let below = self.changes(dir, theirs, their_dir, lists);
            pairs.extend(below.into_iter().rev());
        }
    }

    /// Tells a directory by the way from what the receiver has. Gives the subdirectories, ours and theirs, that
    /// are to be told too.
    fn changes(
        &mut self,
        dir: DirId,
        theirs: &Snapshot,
        their_dir: DirId,
        lists: &dyn Fn(EntryId) -> Option<Vec<ChunkRef>>,
    ) -> Vec<(DirId, DirId)> {
        let mut below = Vec::new();
        let ids = self.snapshot.entry_ids(dir);
        let mut part = Part::new(ids.start);
        let mut their_entries = theirs.counted(their_dir).map(|(_, entry)| entry).peekable();
        for id in ids {
            let entry = self.snapshot.entry(EntryId(id));
            while their_entries.next_if(|their| their.name < entry.name).is_some() {
                part.step(Step::Drop(1));
            }
            let their = their_entries.next_if(|their| their.name == entry.name);
            let same_meta = their.is_some_and(|their| their.meta == entry.meta);
            let dirs = their.and_then(|their| Some((entry.dir()?, their.dir()?)));
            let digests = dirs.and_then(|(a, b)| Some((self.snapshot.digests(a)?, theirs.digests(b)?)));
            match (dirs, digests) {
                (Some((ours, their)), Some((our_digests, their_digests))) => {
                    let same = our_digests.full == their_digests.full;
                    if same && same_meta {
                        part.step(Step::Same(1));
                    } else {
                        part.meta(entry.meta);
                        let number = i64::from(ours.0);
                        let dir = number - std::mem::replace(&mut part.last_dir, number);
                        part.step(Step::Dir { dir, same });
                    }
                    below.extend((!same).then_some((ours, their)));
                }
                _ if their.is_some_and(|their| same_contents(entry, their)) => {
                    if same_meta {
                        part.step(Step::Same(1));
                    } else {
                        part.meta(entry.meta);
                        part.step(Step::Meta(1));
                    }
                }
                _ => {
                    if their.is_some() {
                        part.step(Step::Drop(1));
                        let file = matches!(entry.node, Node::File { link: None, .. });
                        let list = theirs.find(their_dir, &entry.name).filter(|_| file).and_then(lists);
                        if let Some(list) = list.filter(|list| list.len() > 1) {
                            self.their_lists.insert(EntryId(id), list);
                        }
                    }
                    part.bytes += listed_bytes(entry);
                    let wire = self.wire_entry(entry, &mut part.coder);
                    part.step(Step::Entry(wire));
                }
            }
            part.next = id + 1;
            if part.is_full() {
                let next = Part::new(part.next);
                let message = std::mem::replace(&mut part, next).message(dir, true);
                self.ready.push_back(Output::Message(message));
            }
        }
        // What the sender has not at the end need not be told.
        self.message(part.message(dir, false));
        below
    }

    /// Lists a directory, unless that was done: its topmost nodes if it has several and the receiver can
    /// compare them, else (or if `whole`) all its entries. Tells whether it sent entries.
    pub(super) fn list(&mut self, dir: DirId, whole: bool) -> bool {
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
                bytes += listed_bytes(self.snapshot.entry(EntryId(*id)));
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
        self.tell_attributes_of(ids.clone());
        let mut coder = MetaCoder::default();
        let entries = ids.clone().map(|id| self.wire_entry(self.snapshot.entry(EntryId(id)), &mut coder));
        let entries = Bounded::new(entries.collect()).unwrap_or_default();
        self.message(Message::Listing { dir: dir.0, node, first: ids.start, more, entries });
    }

    fn wire_entry(&self, entry: &Entry, coder: &mut MetaCoder) -> WireEntry {
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
            Node::Special { what: Special::Fifo, .. } => WireNode::Fifo,
            Node::Special { what: Special::Socket, .. } => WireNode::Socket,
            Node::Special { what, rdev: Rdev { major, minor } } => {
                let block = *what == Special::BlockDevice;
                WireNode::Device { block, major: *major, minor: *minor }
            }
        };
        WireEntry { name: entry.name.clone(), meta: coder.encode(entry.meta), node }
    }

    fn dir_tree(&mut self, dir: DirId) -> Option<&DirTree> {
        match self.trees.entry(dir) {
            Slot::Occupied(known) => Some(known.into_mut()),
            Slot::Vacant(unknown) => Some(unknown.insert(self.snapshot.dir_tree(dir)?)),
        }
    }

    /// Lists what is below a node of a large directory, which was named.
    pub(super) fn nodes(&mut self, dir: DirId, level: u8, node: u32) {
        let start = self.snapshot.entry_ids(dir).start;
        let Some(tree) = self.trees.get(&dir) else { return };
        let range = tree.levels[usize::from(level)][node as usize].children.clone();
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
    ///
    /// Not large ones: their nodes are of use only to a receiver that has such a directory, and one that has
    /// not asks for everything below, which must follow a list of names.
    pub(super) fn speculate(&mut self, dir: DirId) {
        let mut budget = SPECULATE_BYTES;
        let mut queue = VecDeque::from([dir]);
        while let Some(dir) = queue.pop_front() {
            for id in self.snapshot.entry_ids(dir).map(EntryId) {
                let Some(child) = self.snapshot.entry(id).dir() else { continue };
                let entries = self.snapshot.entries(child);
                if entries.len() > NODE_CHILDREN_MAX {
                    continue;
                }
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

    /// Tells the metadata of a directory's entries, unless that was done, and if `deep` of all below it.
    pub(super) fn refresh(&mut self, dir: DirId, deep: bool) {
        let mut stack = vec![dir];
        while let Some(dir) = stack.pop() {
            if deep && !self.refreshed_deep.insert(dir) {
                continue;
            }
            if self.refreshed.insert(dir) {
                self.metas(dir, |snapshot, child| {
                    if deep { None } else { snapshot.digests(child).map(|digests| digests.full) }
                });
            }
            if deep {
                stack.extend(self.snapshot.entries(dir).iter().rev().filter_map(Entry::dir));
            }
        }
    }

    fn metas(&mut self, dir: DirId, full: impl Fn(&Snapshot, DirId) -> Option<Hash>) {
        let ids = self.snapshot.entry_ids(dir);
        let mut first = ids.start;
        loop {
            let end = ids.end.min(first + LISTING_MAX as u32);
            self.tell_attributes_of(first..end);
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

/// About what an entry takes on the wire, at most.
fn listed_bytes(entry: &Entry) -> usize {
    let extra = match &entry.node {
        Node::Symlink { target } => target.len(),
        Node::File { link: Some(first), .. } => first.as_bytes().len(),
        _ => 0,
    };
    entry.name.as_bytes().len() + extra + 128
}

/// Whether two entries of one name, neither a directory, are the same but for metadata.
fn same_contents(ours: &Entry, theirs: &Entry) -> bool {
    ours.dir().is_none() && ours.node == theirs.node && (ours.size().is_none() || ours.root().is_some())
}

/// A part of a directory's changes.
struct Part {
    first: u32,
    next: u32,
    steps: Vec<Step>,
    metas: Vec<WireMeta>,
    coder: MetaCoder,
    last_dir: i64,
    bytes: usize,
}

impl Part {
    fn new(first: u32) -> Part {
        let (steps, metas, coder) = (Vec::new(), Vec::new(), MetaCoder::default());
        Part { first, next: first, steps, metas, coder, last_dir: 0, bytes: 0 }
    }

    fn meta(&mut self, meta: Meta) {
        self.metas.push(self.coder.encode(meta));
    }

    fn step(&mut self, step: Step) {
        match (self.steps.last_mut(), &step) {
            (Some(Step::Same(last)), Step::Same(more))
            | (Some(Step::Meta(last)), Step::Meta(more))
            | (Some(Step::Drop(last)), Step::Drop(more)) => *last += more,
            _ => self.steps.push(step),
        }
    }

    /// Whether the next entry, with what is dropped before it, may not fit.
    fn is_full(&self) -> bool {
        self.steps.len() + 3 > LISTING_MAX || self.metas.len() == LISTING_MAX || self.bytes > LISTING_BYTES
    }

    fn message(self, dir: DirId, more: bool) -> Message<'static> {
        let (steps, metas) = (Bounded::new(self.steps), Bounded::new(self.metas));
        let (steps, metas) = (steps.unwrap_or_default(), metas.unwrap_or_default());
        Message::Changes { dir: dir.0, first: self.first, more, steps, metas }
    }
}
