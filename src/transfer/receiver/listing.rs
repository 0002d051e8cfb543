//! Entries and nodes from the wire → checked entries of directories whose lists are awaited.
//!
//! Every bound on what a listing may say stands here: names, numbers, sizes, and how many there may be.

use std::collections::HashMap;

use super::dirs::{Dir, State};
use super::{Bounded, Message, Output, ProtocolError, REQUEST_MAX, Receiver, limits, violation};
use crate::hash::Hash;
use crate::path::{Name, STAGING_PREFIX};
use crate::snapshot::node::DirTree;
use crate::snapshot::{Digests, DirId, Entry, EntryId, Node, Snapshot};
use crate::transfer::message::{MetaCoder, WireDigests, WireEntry, WireNode};

/// An entry of a directory of the sender.
pub(super) struct Listed {
    pub(super) entry: Entry,
    /// Its number at the sender; `None` if it is the destination's own, in a node that is equal.
    pub(super) id: Option<u32>,
    pub(super) dir: Option<(u32, Option<Digests>)>,
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
        let ids = own.entry_ids(dir).map(EntryId);
        let counted = ids.filter(|id| own.entry(*id).node != Node::Special).collect();
        Some(OwnNodes { tree, places, counted })
    }
}

impl Receiver {
    /// Counts names of the mirror.
    pub(super) fn name(&mut self, count: usize) -> Result<(), ProtocolError> {
        self.named += count as u64;
        if self.named > self.theirs.entries {
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
            return Ok(());
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
                let own_entry =
                    |id: &EntryId| Listed { entry: own_snapshot.entry(*id).clone(), id: None, dir: None };
                if let Some((listed, _)) = self.awaited(id) {
                    listed.extend(counted.iter().map(own_entry));
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
            return Ok(());
        }
        self.name(entries.len())?;
        let claimed = self.theirs.entries;
        let Some((listed, nodes)) = self.awaited(id) else { return Ok(()) };
        let mut coder = MetaCoder::default();
        for (id, entry) in (first..).zip(entries) {
            listed.push(decode_entry(entry, id, claimed, &mut coder)?);
        }
        if more {
            return Ok(());
        }
        *nodes = nodes.saturating_sub(1);
        if *nodes == 0 { self.complete(id) } else { Ok(()) }
    }
}

fn decode_entry(
    wire: WireEntry,
    id: u32,
    claimed: u64,
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
    };
    Ok(Listed { entry: Entry { name, meta, node }, id: Some(id), dir })
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
