//! A large file's tree, compared with the destination's file of the same name from the top down.
//!
//! The sender names the nodes of one level; those that the destination's file has too are its own chunks, and
//! only the others are asked for, level by level, until every chunk of the new file is known. Each node's
//! children are checked against its hash when they arrive. A byte inserted anywhere costs the nodes on one or two
//! paths instead of a list of all chunks.

use std::collections::{BTreeMap, HashMap};

use super::files::State;
use super::{Bounded, FileId, Hash, ProtocolError, REQUEST_MAX, Receiver, limits, violation};
use crate::chunk::ChunkRef;
use crate::transfer::message::Message;
use crate::tree::{Child, FileTree, verify_children};

/// What is known of a file's chunks.
pub(super) struct Descent {
    /// Chunks, by the offset of the first.
    parts: BTreeMap<u64, Vec<ChunkRef>>,
    /// Nodes that were asked for, by level and index: where they begin, and what they must be.
    asked: HashMap<(u8, u32), (u64, Child)>,
    /// Nodes of the destination's file, with the chunks below each.
    own: HashMap<(u8, Hash), std::ops::Range<usize>>,
    own_chunks: Vec<ChunkRef>,
}

impl Descent {
    fn new(own_chunks: Option<Vec<ChunkRef>>) -> Descent {
        let tree = own_chunks.and_then(|chunks| FileTree::from_chunks(chunks).ok());
        let mut own = HashMap::new();
        if let Some(tree) = &tree {
            let mut below: Vec<std::ops::Range<usize>> =
                (0..tree.chunks().len()).map(|at| at..at + 1).collect();
            for level in 1..=tree.levels() {
                let nodes = tree.nodes(level);
                below = nodes
                    .iter()
                    .map(|node| below[node.children.start].start..below[node.children.end - 1].end)
                    .collect();
                own.extend(
                    nodes.iter().zip(&below).map(|(node, chunks)| ((level as u8, node.hash), chunks.clone())),
                );
            }
        }
        let own_chunks = tree.map(|tree| tree.chunks().to_vec()).unwrap_or_default();
        Descent { parts: BTreeMap::new(), asked: HashMap::new(), own, own_chunks }
    }

    /// Takes nodes of `level` that begin at `offset`, the first of them with index `first`; gives the indices of
    /// those to ask for.
    fn take(
        &mut self,
        level: u8,
        first: u32,
        mut offset: u64,
        nodes: &[Child],
    ) -> Result<Vec<u32>, ProtocolError> {
        let mut wanted = Vec::new();
        for (node, child) in (first..).zip(nodes) {
            if level == 0 {
                let len = u32::try_from(child.len).map_err(|_| violation("a chunk too long"))?;
                self.parts.insert(offset, vec![ChunkRef { hash: child.hash, len }]);
            } else if let Some(chunks) = self.own.get(&(level, child.hash)) {
                self.parts.insert(offset, self.own_chunks[chunks.clone()].to_vec());
            } else {
                self.asked.insert((level, node), (offset, *child));
                wanted.push(node);
            }
            offset = offset.checked_add(child.len).filter(|end| *end <= limits::FILE_BYTES_MAX).ok_or(
                ProtocolError::TooLarge { what: "file", claimed: u64::MAX, max: limits::FILE_BYTES_MAX },
            )?;
            if child.len == 0 {
                return Err(violation("an empty node"));
            }
        }
        Ok(wanted)
    }

    /// All chunks, in order.
    fn into_list(self) -> Vec<ChunkRef> {
        self.parts.into_values().flatten().collect()
    }
}

fn children_of(wire: &[(Hash, u64)]) -> Vec<Child> {
    wire.iter().map(|(hash, len)| Child { hash: *hash, len: *len }).collect()
}

impl Receiver {
    /// Takes all nodes of one level of a file's tree.
    pub(super) fn file_top(
        &mut self,
        file: FileId,
        level: u8,
        nodes: &[(Hash, u64)],
    ) -> Result<(), ProtocolError> {
        // As with chunk lists: what nobody waits for is ignored.
        let Some(known) = self.files.get_mut(&file) else { return Ok(()) };
        if !matches!(&known.state, State::Listing(list) if list.is_empty()) {
            return Ok(());
        }
        if level == 0 || usize::from(level) > limits::TREE_LEVELS_MAX || nodes.is_empty() {
            return Err(violation("nodes of no level"));
        }
        let mut descent = Descent::new(known.own.and_then(|own| self.locals.list(own)));
        let wanted = descent.take(level, 0, 0, &children_of(nodes))?;
        self.descend(file, level, wanted, descent)
    }

    /// Takes the children of one node of a file's tree.
    pub(super) fn file_node(
        &mut self,
        file: FileId,
        (level, node): (u8, u32),
        first: u32,
        children: &[(Hash, u64)],
    ) -> Result<(), ProtocolError> {
        let known = self.files.get_mut(&file).ok_or_else(|| violation("a node that was not asked for"))?;
        let State::Descending(descent) = &mut known.state else {
            return Err(violation("a node that was not asked for"));
        };
        let asked = descent.asked.remove(&(level, node));
        let (offset, expected) = asked.ok_or_else(|| violation("a node that was not asked for"))?;
        let children = children_of(children);
        if verify_children(usize::from(level), &children, expected).is_err() {
            let path = self.file_path(file);
            return Err(ProtocolError::HashMismatch { path });
        }
        let wanted = descent.take(level - 1, first, offset, &children)?;
        let State::Descending(descent) = std::mem::replace(&mut known.state, State::Listing(Vec::new()))
        else {
            return Ok(());
        };
        self.descend(file, level - 1, wanted, descent)
    }

    fn descend(
        &mut self,
        file: FileId,
        level: u8,
        wanted: Vec<u32>,
        descent: Descent,
    ) -> Result<(), ProtocolError> {
        for part in wanted.chunks(REQUEST_MAX) {
            let nodes = Bounded::new(part.to_vec()).unwrap_or_default();
            let message = Message::DescribeNodes { file: file.0, level, nodes };
            self.ready.push_back(super::Output::Message(message));
        }
        if descent.asked.is_empty() {
            return self.listed(file, descent.into_list());
        }
        if let Some(known) = self.files.get_mut(&file) {
            known.state = State::Descending(descent);
        }
        Ok(())
    }
}
