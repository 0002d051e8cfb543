//! Files of the sender that differ: chunk lists → what is here, what must come; bytes → writes.
//!
//! A file is made in one of three ways: a clone of a file with the same root; chunk by chunk, from its
//! chunk list; or in one pass, where the destination had nothing to compare and asked for everything below
//! a directory.

use std::collections::HashMap;

use bytes::Bytes;

use super::descent::Descent;
use super::finale::Cloned;
use super::{
    Action, Close, FileId, Hash, Kind, Meta, Place, ProtocolError, Receiver, Unverified, limits, violation,
};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::path::RelPath;
use crate::snapshot::{EntryId, Node};
use crate::transfer::message::{Gone, Message, MetaCoder, REQUEST_MAX, WireMeta};
use crate::tree::FileTree;

/// A file that is being made.
pub(super) struct File {
    pub(super) place: Place,
    pub(super) close: Close,
    /// The root that the listing gave, if it gave one.
    listed_root: Option<Hash>,
    pub(super) own: Option<EntryId>,
    hold: bool,
    pub(super) state: State,
}

pub(super) enum State {
    /// Its chunk list is coming.
    Listing(Vec<ChunkRef>),
    /// Nodes over its chunk list are coming.
    Descending(Descent),
    /// Some of its chunks are coming: those at these offsets. All of them, in order.
    Assembling { missing: HashMap<u64, ChunkRef>, list: Vec<ChunkRef>, begun: bool },
    /// All its bytes are coming in order; the first chunk waits here, because it may be all.
    Streaming { next: u64, first: Option<Bytes>, begun: bool },
    /// Every action was given; its outcome is coming.
    Closing { list: Vec<ChunkRef> },
}

impl Receiver {
    /// Decides how a regular file of the sender comes to be here.
    pub(super) fn file_entry(
        &mut self,
        file: FileId,
        place: Place,
        (size, root, meta): (u64, Option<Hash>, Meta),
        own: Option<EntryId>,
        taken: bool,
    ) -> Result<(), ProtocolError> {
        let snapshot = self.own.clone();
        let was = own.map(|own| snapshot.entry(own));
        let own_root = was.and_then(|was| match was.node {
            Node::File { root, link: None, .. } => root,
            _ => None,
        });
        if let (Some(was), Some(root)) = (was, root)
            && own_root == Some(root)
        {
            self.unchanged(&place, was.meta, meta);
            return Ok(());
        }
        let close = Close { root: root.unwrap_or(Hash([0; 32])), size, meta };
        let own_file = own.filter(|_| own_root.is_some());
        let mut new = File {
            place,
            close,
            listed_root: root,
            own,
            hold: root.is_none(),
            state: State::Listing(Vec::new()),
        };
        // With a root the change is certain; without one the chunk list must say whether there is one.
        let certain = root.is_some() || own_file.is_none();
        if let Some(root) = root
            && let Some(from) = { self.locals.file(&self.own, root) }
        {
            self.report.bytes_reused += size;
            self.clone_file(Cloned { file, place: new.place, from, close, was: own });
            return Ok(());
        }
        if certain && root.is_some() {
            self.note(&new.place, Kind::File, Some(size), meta, was);
        }
        if self.options.dry_run && certain && !(self.populated && root.is_some()) {
            if root.is_none() {
                self.note(&new.place, Kind::File, Some(size), meta, was);
            }
            self.report.bytes_literal += size;
            return Ok(());
        }
        let single = size <= u64::from(self.own.params().sizes().min);
        if taken {
            self.note(&new.place, Kind::File, Some(size), meta, was);
            new.state = State::Streaming { next: 0, first: None, begun: false };
        } else if let Some(root) = root.filter(|_| single) {
            self.waiting();
            let chunk = ChunkRef { hash: root, len: size as u32 };
            self.assemble(file, &mut new, vec![chunk]);
            if self.options.dry_run {
                return Ok(());
            }
        } else {
            self.waiting();
            let wanted =
                if root.is_none() { &mut self.wanted.describe_hold } else { &mut self.wanted.describe };
            wanted.push(file.0);
        }
        self.open_files += 1;
        if self.files.insert(file, new).is_some() {
            return Err(violation("a file named twice"));
        }
        Ok(())
    }

    fn unchanged(&mut self, place: &Place, from: Meta, meta: Meta) {
        if self.note_meta(place, Kind::File, from, meta) {
            self.action(Action::Meta { place: place.clone(), meta, from });
        }
    }

    fn file_mut(&mut self, file: FileId) -> Result<&mut File, ProtocolError> {
        self.files.get_mut(&file).ok_or_else(|| violation("a file that is not awaited"))
    }

    /// Takes a part of a file's chunk list.
    pub(super) fn chunks(
        &mut self,
        file: FileId,
        first: u64,
        more: bool,
        chunks: impl Iterator<Item = ChunkRef>,
    ) -> Result<(), ProtocolError> {
        // A list sent ahead of the request that it answers, or once more: not needed.
        let Some(known) = self.files.get_mut(&file) else { return Ok(()) };
        let State::Listing(list) = &mut known.state else { return Ok(()) };
        if first != list.len() as u64 {
            return Err(violation("a chunk list out of order"));
        }
        list.extend(chunks);
        let max = limits::FILE_BYTES_MAX / 1024;
        if list.len() as u64 > max {
            return Err(ProtocolError::TooLarge { what: "chunk list", claimed: list.len() as u64, max });
        }
        if more {
            return Ok(());
        }
        let list = std::mem::take(list);
        self.listed(file, list)
    }

    /// All chunks of a file are known.
    pub(super) fn listed(&mut self, file: FileId, list: Vec<ChunkRef>) -> Result<(), ProtocolError> {
        let Some(mut known) = self.files.remove(&file) else { return Ok(()) };
        let tree = FileTree::from_chunks(list).map_err(|error| violation(error.to_string()))?;
        let (root, list) = (tree.root(), tree.chunks().to_vec());
        if root.len > limits::FILE_BYTES_MAX {
            let (claimed, max) = (root.len, limits::FILE_BYTES_MAX);
            return Err(ProtocolError::TooLarge { what: "file", claimed, max });
        }
        if known.listed_root.is_some_and(|listed| listed != root.hash) || root.len != known.close.size {
            return Err(ProtocolError::HashMismatch { path: self.path(&known.place) });
        }
        known.close.root = root.hash;
        if known.listed_root.is_none() {
            self.learned.push((known.place.clone(), known.close));
        }
        let snapshot = self.own.clone();
        if let Some(was) = known.own.map(|own| snapshot.entry(own))
            && known.listed_root.is_none()
        {
            if was.root() == Some(root.hash) && matches!(was.node, Node::File { link: None, .. }) {
                self.unchanged(&known.place, was.meta, known.close.meta);
                self.open_files -= 1;
                self.release(file, &known);
                return Ok(());
            }
        }
        if let Some(from) = { self.locals.file(&self.own, root.hash) } {
            self.open_files -= 1;
            self.report.bytes_reused += root.len;
            self.release(file, &known);
            let File { place, close, own, .. } = known;
            self.clone_file(Cloned { file, place, from, close, was: own });
            return Ok(());
        }
        if known.listed_root.is_none() {
            let was = known.own.map(|own| snapshot.entry(own));
            self.note(&known.place, Kind::File, Some(root.len), known.close.meta, was);
        }
        self.assemble(file, &mut known, list);
        if self.options.dry_run {
            self.open_files -= 1;
        } else {
            self.files.insert(file, known);
        }
        Ok(())
    }

    fn release(&mut self, file: FileId, known: &File) {
        if known.hold {
            self.wanted.release.push(file.0);
        }
    }

    /// Takes each chunk from here or asks for it.
    fn assemble(&mut self, file: FileId, known: &mut File, list: Vec<ChunkRef>) {
        let mut copies = Vec::new();
        let mut missing = HashMap::new();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let (mut offset, mut run_end) = (0, 0);
        for (at, chunk) in (0_u64..).zip(&list) {
            if let Some(from) = { self.locals.chunk(&self.own, chunk.hash) } {
                self.report.bytes_reused += u64::from(chunk.len);
                copies.push(Action::Copy { file, offset, chunk: *chunk, from });
            } else {
                missing.insert(offset, *chunk);
                match runs.last_mut() {
                    Some((_, len)) if run_end == at => *len += 1,
                    _ => runs.push((at - run_end, 1)),
                }
                run_end = at + 1;
            }
            offset += u64::from(chunk.len);
        }
        if self.options.dry_run {
            self.report.bytes_literal += missing.values().map(|chunk| u64::from(chunk.len)).sum::<u64>();
            return self.release(file, known);
        }
        // A file of one chunk that must come is written at once, without a beginning and an end.
        let begun = list.len() != 1 || missing.is_empty();
        if begun {
            let (place, size) = (known.place.clone(), known.close.size);
            self.action(Action::Create { file, place, size });
            for copy in copies {
                self.action(copy);
            }
        }
        if missing.is_empty() {
            self.release(file, known);
            self.action(Action::Finish { file, close: known.close });
            known.state = State::Closing { list };
            return;
        }
        // The gap of the first run of a later message counts from the start of the list.
        let mut at = 0;
        for part in runs.chunks(REQUEST_MAX) {
            let mut part = part.to_vec();
            let end: u64 = part.iter().map(|(gap, len)| gap + len).sum();
            part[0].0 += at;
            at += end;
            let runs = Bounded::new(part).unwrap_or_default();
            self.ready.push_back(super::Output::Message(Message::Need { file: file.0, runs }));
        }
        known.state = State::Assembling { missing, list, begun };
    }

    /// Takes one chunk of a file.
    pub(super) fn data(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Result<(), ProtocolError> {
        self.report.bytes_literal += bytes.len() as u64;
        let known = self.files.get_mut(&file).ok_or_else(|| violation("bytes that were not asked for"))?;
        let (place, close) = (known.place.clone(), known.close);
        match &mut known.state {
            State::Assembling { missing, list, begun } => {
                let chunk = missing.remove(&offset).filter(|chunk| chunk.len as usize == bytes.len());
                let chunk = chunk.ok_or_else(|| violation("bytes that were not asked for"))?;
                let data = Unverified { bytes, expected: Some(chunk.hash) };
                let (last, begun) = (missing.is_empty(), *begun);
                if last {
                    known.state = State::Closing { list: std::mem::take(list) };
                }
                if !begun {
                    self.action(Action::Whole { file, place, data, close });
                } else {
                    self.action(Action::Write { file, offset, data });
                    if last {
                        self.action(Action::Finish { file, close });
                    }
                }
            }
            State::Streaming { next, first, begun } => {
                if offset != *next || bytes.is_empty() || bytes.len() > limits::CHUNK_BYTES_MAX {
                    return Err(violation("bytes out of order"));
                }
                *next = next.saturating_add(bytes.len() as u64);
                if *next > limits::FILE_BYTES_MAX {
                    let max = limits::FILE_BYTES_MAX;
                    return Err(ProtocolError::TooLarge { what: "file", claimed: *next, max });
                }
                if !*begun && first.is_none() {
                    *first = Some(bytes);
                    return Ok(());
                }
                let (held, fresh) = (first.take(), !std::mem::replace(begun, true));
                if fresh {
                    self.action(Action::Create { file, place, size: close.size });
                }
                if let Some(bytes) = held {
                    self.action(Action::Write {
                        file,
                        offset: 0,
                        data: Unverified { bytes, expected: None },
                    });
                }
                self.action(Action::Write { file, offset, data: Unverified { bytes, expected: None } });
            }
            _ => return Err(violation("bytes that were not asked for")),
        }
        Ok(())
    }

    /// Takes the end of a file that was streamed.
    pub(super) fn end(
        &mut self,
        file: FileId,
        root: Hash,
        size: u64,
        meta: WireMeta,
    ) -> Result<(), ProtocolError> {
        let meta = MetaCoder::default().decode(meta).ok_or_else(|| violation("bad metadata"))?;
        let known = self.file_mut(file)?;
        let State::Streaming { next, first, begun } = &mut known.state else {
            return Err(violation("the end of a file that was not streamed"));
        };
        if size != *next {
            return Err(violation("a length that is not the sum of the chunks"));
        }
        known.close = Close { root, size, meta };
        let (place, close) = (known.place.clone(), known.close);
        let (first, begun) = (first.take(), *begun);
        known.state = State::Closing { list: Vec::new() };
        self.learned.push((place.clone(), close));
        if begun {
            self.action(Action::Finish { file, close });
        } else {
            let data = Unverified { bytes: first.unwrap_or_default(), expected: Some(root) };
            self.action(Action::Whole { file, place, data, close });
        }
        Ok(())
    }

    /// Takes the news that a file's bytes are not coming.
    pub(super) fn gone(&mut self, file: FileId, why: Gone) -> Result<(), ProtocolError> {
        let known = self.files.remove(&file).ok_or_else(|| violation("a file that is not awaited"))?;
        self.open_files -= 1;
        self.failed_paths += 1;
        if let State::Assembling { begun: true, .. } | State::Streaming { begun: true, .. } = known.state {
            self.action(Action::Discard { file });
        }
        self.lost.push((self.path(&known.place), why));
        Ok(())
    }

    /// Files whose bytes the sender could not give, and why, since the last call.
    pub fn take_lost(&mut self) -> Vec<(RelPath, Gone)> {
        std::mem::take(&mut self.lost)
    }

    /// A [`Action::Copy`] found other bytes than the index promised: they are asked for.
    pub fn copy_failed(&mut self, file: FileId, offset: u64, chunk: ChunkRef) {
        let Some(known) = self.files.get_mut(&file) else { return };
        let (list, missing) = match &mut known.state {
            State::Assembling { list, missing, .. } => (std::mem::take(list), std::mem::take(missing)),
            State::Closing { list } => (std::mem::take(list), HashMap::new()),
            State::Listing(_) | State::Descending(_) | State::Streaming { .. } => return,
        };
        let at = list
            .iter()
            .scan(0, |sum: &mut u64, chunk| Some(std::mem::replace(sum, *sum + u64::from(chunk.len))))
            .position(|start| start == offset);
        let mut missing = missing;
        missing.insert(offset, chunk);
        known.state = State::Assembling { missing, list, begun: true };
        self.report.bytes_reused -= u64::from(chunk.len);
        let runs = Bounded::new(vec![(at.unwrap_or(0) as u64, 1)]).unwrap_or_default();
        self.ready.push_back(super::Output::Message(Message::Need { file: file.0, runs }));
    }

    /// A [`Action::Clone`] found another file than the index promised, or could not read it: the file's
    /// chunks are asked for.
    pub fn clone_failed(&mut self, file: FileId, place: Place, close: Close) {
        self.report.bytes_reused -= close.size;
        if file.0 >= self.synthetic {
            // The sender never numbered it: the next run, with a fresh index, will find out.
            return self.failed(file);
        }
        let state = State::Listing(Vec::new());
        let listed_root = Some(close.root);
        self.wanted.describe.push(file.0);
        self.files.insert(file, File { place, close, listed_root, own: None, hold: false, state });
    }

    /// Waits for the outcome of an action that makes a whole file.
    pub(super) fn close_later(&mut self, file: FileId, place: &Place, close: Close) {
        let state = State::Closing { list: Vec::new() };
        let (place, listed_root) = (place.clone(), Some(close.root));
        self.open_files += 1;
        self.files.insert(file, File { place, close, listed_root, own: None, hold: false, state });
    }

    /// A file is made: every action on it was done.
    pub fn closed(&mut self, file: FileId) {
        if self.files.remove(&file).is_some() {
            self.open_files -= 1;
        }
    }

    /// A directory or link cannot be made at the destination. The rest goes on.
    pub fn failed_path(&mut self) {
        self.failed_paths += 1;
    }

    /// A file cannot be made at the destination. The rest goes on.
    pub fn failed(&mut self, file: FileId) {
        if self.files.remove(&file).is_some() {
            self.open_files -= 1;
        }
        self.failed_paths += 1;
    }
}
