//! Entries and nodes from the wire → checked entries of directories whose lists are awaited.
//!
//! Every bound on what a listing may say stands here: names, numbers, sizes, and how many there may be.

use std::collections::HashMap;

use super::dirs::{Dir, State, entries_of};
use super::{Bounded, Message, Output, ProtocolError, REQUEST_MAX, Receiver, limits, violation};
use crate::fs::{Rdev, Special};
use crate::hash::Hash;
use crate::path::{Name, STAGING_PREFIX};
use crate::snapshot::node::DirTree;
use crate::snapshot::{Digests, DirId, Entry, EntryId, Meta, Node, Profile, Snapshot};
use crate::transfer::message::{MetaCoder, Step, WireDigests, WireEntry, WireMeta, WireNode};

/// An entry of a directory of the sender.
pub(super) struct Listed {
    pub(super) entry: Entry,
    /// Its number at the sender; `None` if it is the destination's own, in a node that is equal.
    pub(super) id: Option<u32>,
    pub(super) dir: Option<(u32, Option<Digests>)>,
    /// What is in the directory comes without being asked for.
    pub(super) follows: bool,
}

impl Listed {
    /// The destination's own entry, which the sender has too.
    pub(super) fn own(entry: &Entry) -> Listed {
        Listed { entry: entry.clone(), id: None, dir: None, follows: false }
    }
}

/// The nodes over a directory of the destination, to be found by digest.
pub(super) struct OwnNodes {
    tree: DirTree,
    places: HashMap<(usize, Hash), usize>,
    /// The entries that nodes count.
    counted: Vec<EntryId>,
}

impl OwnNodes {
    fn new(own: &Snapshot, dir: DirId) -> Option<OwnNodes> {
        let tree = own.dir_tree(dir)?;
        let mut places = HashMap::new();
        for (level, nodes) in tree.levels.iter().enumerate() {
            places.extend(nodes.iter().enumerate().map(|(at, node)| ((level, node.digests.full), at)));
        }
        let counted = own.counted(dir).map(|(id, _)| id).collect();
        Some(OwnNodes { tree, places, counted })
    }
}

impl Receiver {
    /// Counts names of the mirror.
    pub(super) fn name(&mut self, count: usize) -> Result<(), ProtocolError> {
        self.named += count as u64;
        // What the caller's rules keep is the destination's own.
        let kept = if self.deviates { u64::from(self.own.entry_count()) } else { 0 };
        if self.named > self.theirs.entries + kept {
            return Err(violation("more names than the tree was said to have"));
        }
        Ok(())
    }

    fn check_dir(&self, dir: u32) -> Result<(), ProtocolError> {
        if u64::from(dir) > self.theirs.entries {
            return Err(violation("a directory number beyond the tree"));
        }
        Ok(())
    }

    /// Nobody waits for what is told of a directory: it may be below one that is not looked into here.
    fn stray(&self, id: u32) -> Result<(), ProtocolError> {
        match self.dirs.contains_key(&id) || self.strays {
            true => Ok(()),
            false => Err(violation("a directory that is in none")),
        }
    }

    /// Takes nodes of a large directory: those the destination has too are its own entries.
    pub(super) fn nodes(
        &mut self,
        id: u32,
        level: u8,
        first: u32,
        digests: &[WireDigests],
    ) -> Result<(), ProtocolError> {
        self.check_dir(id)?;
        let (own_snapshot, claimed) = (self.own.clone(), self.theirs.entries);
        let Some(Dir { own, state: State::Entries { nodes, own_nodes, .. }, .. }) = self.dirs.get_mut(&id)
        else {
            return self.stray(id);
        };
        if usize::from(level) >= limits::TREE_LEVELS_MAX || digests.is_empty() {
            return Err(violation("nodes of no level"));
        }
        if u64::from(first) + digests.len() as u64 > claimed {
            return Err(violation("more nodes than the tree has names"));
        }
        if let (None, Some(own)) = (&own_nodes, *own) {
            *own_nodes = OwnNodes::new(&own_snapshot, own).map(Box::new);
        }
        let mut missing = Vec::new();
        let mut adopted = Vec::new();
        for (at, digests) in (first..).zip(digests) {
            let known = own_nodes.as_ref();
            match known.and_then(|known| known.places.get(&(usize::from(level), digests.full))) {
                Some(found) => adopted.push(*found),
                None => missing.push(at),
            }
        }
        self.strays |= !adopted.is_empty();
        // This message answers one request; the first of a directory answers `Expand`.
        *nodes = nodes.saturating_sub(1) + missing.len() as u64;
        if *nodes > claimed {
            return Err(violation("more nodes than the tree has names"));
        }
        let done = *nodes == 0;
        if let Some(own) = own_nodes.take() {
            for node in adopted {
                let range = own.tree.entries_below(usize::from(level), node);
                let counted = &own.counted[range.start as usize..range.end as usize];
                self.name(counted.len())?;
                if let Some((listed, _)) = self.awaited(id) {
                    listed.extend(counted.iter().map(|id| Listed::own(own_snapshot.entry(*id))));
                }
            }
            if let Some(Dir { state: State::Entries { own_nodes, .. }, .. }) = self.dirs.get_mut(&id) {
                *own_nodes = Some(own);
            }
        }
        for part in missing.chunks(REQUEST_MAX) {
            let nodes = Bounded::new(part.to_vec()).unwrap_or_default();
            let message = Message::ExpandNodes { dir: id, level, nodes };
            self.ready.push_back(Output::Message(message));
        }
        if !missing.is_empty() {
            self.rounds += u64::from(self.open_dirs <= 1 && self.open_files == 0);
        }
        if done { self.complete(id) } else { Ok(()) }
    }

    /// What is listed of a directory whose entries are awaited, and how many parts are.
    fn awaited(&mut self, id: u32) -> Option<(&mut Vec<Listed>, &mut u64)> {
        match &mut self.dirs.get_mut(&id)?.state {
            State::Entries { listed, nodes, .. } => Some((listed, nodes)),
            _ => None,
        }
    }

    /// Takes entries of a directory. What was sent in vain, below a directory that is equal, is ignored.
    pub(super) fn listing(
        &mut self,
        id: u32,
        first: u32,
        more: bool,
        entries: Vec<WireEntry>,
    ) -> Result<(), ProtocolError> {
        self.check_dir(id)?;
        if u64::from(first) + entries.len() as u64 > self.theirs.entries {
            return Err(violation("an entry number beyond the tree"));
        }
        if self.awaited(id).is_none() {
            return self.stray(id);
        }
        self.name(entries.len())?;
        let (claimed, profile) = (self.theirs.entries, self.own.profile());
        let mut coder = MetaCoder::default();
        let mut decoded = Vec::with_capacity(entries.len());
        for (id, entry) in (first..).zip(entries) {
            let mut one = decode_entry(entry, id, (claimed, profile), &mut coder)?;
            one.entry.meta.attributes = self.attributes.of(id);
            decoded.push(one);
        }
        let Some((listed, nodes)) = self.awaited(id) else { return Ok(()) };
        listed.extend(decoded);
        if more {
            return Ok(());
        }
        *nodes = nodes.saturating_sub(1);
        if *nodes == 0 { self.complete(id) } else { Ok(()) }
    }

    /// Takes a directory as the way there from the destination's.
    pub(super) fn changes(
        &mut self,
        id: u32,
        first: u32,
        more: bool,
        steps: Vec<Step>,
        metas: &[WireMeta],
    ) -> Result<(), ProtocolError> {
        self.check_dir(id)?;
        self.strays = true;
        if let Some(Dir { state, .. }) = self.dirs.get_mut(&id)
            && matches!(state, State::Metas { moved: false, .. })
        {
            // Its metadata was asked for before the other end knew what was here; this tells it too.
            *state = entries_of(false, false);
        }
        let (snapshot, claimed, before) = (self.own.clone(), self.theirs.entries, self.named);
        let Some(Dir { own, state: State::Entries { listed, passed, nodes, .. }, .. }) =
            self.dirs.get_mut(&id)
        else {
            return Ok(());
        };
        let own = own.ok_or_else(|| violation("changes of a directory that is not here"))?;
        let mut walk = Walk {
            number: first,
            last_dir: 0,
            own: snapshot.counted(own).map(|(_, entry)| entry),
            metas: metas.iter(),
            coder: MetaCoder::default(),
        };
        for _ in 0..*passed {
            walk.own.next();
        }
        let was = listed.len();
        for step in steps {
            *passed += walk.step(step, claimed, &snapshot, listed)?;
            if before + (listed.len() - was) as u64 > claimed {
                return Err(violation("more names than the tree was said to have"));
            }
        }
        let count = listed.len() - was;
        if !more {
            *nodes = 0;
        }
        self.name(count)?;
        if more { Ok(()) } else { self.complete(id) }
    }
}

/// The destination's entries of a directory, being passed.
struct Walk<'a, I> {
    /// The sender's number of the next entry.
    number: u32,
    last_dir: i64,
    own: I,
    metas: std::slice::Iter<'a, WireMeta>,
    coder: MetaCoder,
}

impl<'a, I: Iterator<Item = &'a Entry>> Walk<'a, I> {
    fn own(&mut self) -> Result<&'a Entry, ProtocolError> {
        self.own.next().ok_or_else(|| violation("more entries than are here"))
    }

    fn meta(&mut self) -> Result<Meta, ProtocolError> {
        let meta = self.metas.next().and_then(|meta| self.coder.decode(*meta));
        meta.ok_or_else(|| violation("bad metadata"))
    }

    fn next_number(&mut self, claimed: u64) -> Result<u32, ProtocolError> {
        let number = self.number;
        self.number = number.saturating_add(1);
        if u64::from(number) >= claimed {
            return Err(violation("an entry number beyond the tree"));
        }
        Ok(number)
    }

    /// Takes a step; gives how many of the destination's entries it passed.
    fn step(
        &mut self,
        step: Step,
        claimed: u64,
        snapshot: &Snapshot,
        listed: &mut Vec<Listed>,
    ) -> Result<usize, ProtocolError> {
        match step {
            Step::Same(count) => {
                for _ in 0..count {
                    self.next_number(claimed)?;
                    listed.push(Listed::own(self.own()?));
                }
                Ok(count as usize)
            }
            Step::Meta(count) => {
                for _ in 0..count {
                    let id = Some(self.next_number(claimed)?);
                    let mut entry = self.own()?.clone();
                    if entry.dir().is_some() {
                        return Err(violation("a directory without a number"));
                    }
                    entry.meta = self.meta()?;
                    listed.push(Listed { entry, id, dir: None, follows: false });
                }
                Ok(count as usize)
            }
            Step::Dir { dir, same } => {
                let id = Some(self.next_number(claimed)?);
                let mut entry = self.own()?.clone();
                let own = entry.dir().ok_or_else(|| violation("a directory that is none here"))?;
                entry.meta = self.meta()?;
                self.last_dir = self.last_dir.wrapping_add(dir);
                let number = u32::try_from(self.last_dir).ok().filter(|dir| u64::from(*dir) <= claimed);
                let number = number.ok_or_else(|| violation("a directory number beyond the tree"))?;
                let digests = snapshot.digests(own).filter(|_| same);
                entry.node = Node::Dir { dir: DirId::ROOT };
                listed.push(Listed { entry, id, dir: Some((number, digests)), follows: !same });
                Ok(1)
            }
            Step::Drop(count) => {
                for _ in 0..count {
                    self.own()?;
                }
                Ok(count as usize)
            }
            Step::Entry(entry) => {
                let id = self.next_number(claimed)?;
                listed.push(decode_entry(entry, id, (claimed, snapshot.profile()), &mut self.coder)?);
                Ok(0)
            }
        }
    }
}

fn decode_entry(
    wire: WireEntry,
    id: u32,
    (claimed, profile): (u64, Profile),
    coder: &mut MetaCoder,
) -> Result<Listed, ProtocolError> {
    let WireEntry { name, meta, node } = wire;
    let meta = coder.decode(meta).ok_or_else(|| violation("bad metadata"))?;
    check_name(&name)?;
    let mut dir = None;
    let node = match node {
        WireNode::File { size, root } => Node::File { size: check_size(size)?, root, link: None },
        WireNode::Link { size, root, first } => {
            Node::File { size: check_size(size)?, root, link: Some(Box::new(first)) }
        }
        WireNode::Dir { dir: id, digests } => {
            if u64::from(id) > claimed {
                return Err(violation("a directory number beyond the tree"));
            }
            dir = Some((id, digests.map(Digests::from)));
            Node::Dir { dir: DirId::ROOT }
        }
        WireNode::Symlink { target } => {
            if target.is_empty() || target.contains(&0) {
                return Err(violation("a symbolic link to nothing"));
            }
            Node::Symlink { target: target.into_vec().into() }
        }
        WireNode::Fifo => special(Special::Fifo, Rdev::default(), profile)?,
        WireNode::Socket => special(Special::Socket, Rdev::default(), profile)?,
        WireNode::Device { block, major, minor } => {
            let what = if block { Special::BlockDevice } else { Special::CharDevice };
            special(what, Rdev { major, minor }, profile)?
        }
    };
    Ok(Listed { entry: Entry { name, meta, node }, id: Some(id), dir, follows: false })
}

/// A special file, if such are part of the session's trees.
fn special(what: Special, rdev: Rdev, profile: Profile) -> Result<Node, ProtocolError> {
    if !profile.has(what) {
        return Err(violation("a special file, which was not agreed on"));
    }
    Ok(Node::Special { what, rdev })
}

fn check_name(name: &Name) -> Result<(), ProtocolError> {
    if name.as_bytes().starts_with(STAGING_PREFIX) {
        return Err(violation(format!("the reserved name {name}")));
    }
    Ok(())
}

fn check_size(size: u64) -> Result<u64, ProtocolError> {
    if size > limits::FILE_BYTES_MAX {
        return Err(ProtocolError::TooLarge { what: "file", claimed: size, max: limits::FILE_BYTES_MAX });
    }
    Ok(size)
}
