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
    Action, Close, FileId, Hash, Kind, Meta, Output, Place, ProtocolError, Receiver, UNKNOWN, Unverified,
    limits, violation,
};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::path::RelPath;
use crate::snapshot::{EntryId, Node};
use crate::transfer::message::{ChunkStep, Gone, Message, MetaCoder, REQUEST_MAX, WireMeta};
use crate::tree::FileTree;

/// A file that is being made.
pub(super) struct File {
    pub(super) place: Place,
    pub(super) close: Close,
    /// The root that the listing gave, if it gave one.
    listed_root: Option<Hash>,
    pub(super) own: Option<EntryId>,
    hold: bool,
    /// Whether a file with its root may be cloned: not again, if that turned out to be another.
    clonable: bool,
    /// Whether old bytes may be of use: not again, if they were not.
    pub(super) refinable: bool,
    /// Its list was asked for a second time.
    relisted: bool,
    /// How many chunks of the destination's file the sender has told what becomes of.
    passed: u64,
    /// The destination's file's list, while steps from it come.
    own_list: Option<Vec<ChunkRef>>,
    /// Old bytes that the whole file was made of.
    pub(super) patched: u64,
    /// Where each chunk starts, once a copy has failed.
    starts: Option<Vec<u64>>,
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
    /// Every action was given; its outcome is coming. The list is empty if it is not known.
    Closing { list: Vec<ChunkRef> },
}

impl State {
    fn listed_chunks(&self) -> u64 {
        match self {
            State::Listing(list) | State::Assembling { list, .. } | State::Closing { list } => {
                list.len() as u64
            }
            State::Descending(_) | State::Streaming { .. } => 0,
        }
    }
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
        if self.files.contains_key(&file) || self.given_up.contains(&file) {
            return Err(violation("a file named twice"));
        }
        self.named_bytes += size;
        if self.named_bytes > limits::TREE_BYTES_MAX {
            let (claimed, max) = (self.named_bytes, limits::TREE_BYTES_MAX);
            return Err(ProtocolError::TooLarge { what: "amount of bytes", claimed, max });
        }
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
        let close = Close { root: root.unwrap_or(UNKNOWN), size, meta };
        let own_file = own.filter(|_| own_root.is_some());
        let mut new = File {
            place,
            close,
            listed_root: root,
            own,
            hold: root.is_none(),
            clonable: true,
            refinable: true,
            passed: 0,
            own_list: None,
            relisted: false,
            patched: 0,
            starts: None,
            state: State::Listing(Vec::new()),
        };
        // With a root the change is certain; without one the chunk list must say whether there is one.
        let certain = root.is_some() || own_file.is_none();
        let single = self.single(root, size);
        if let Some(root) = root
            && let Some(from) = { self.locals.file(&self.own, root) }
        {
            self.reused(size);
            let list = single.into_iter().collect();
            return self.clone_file(Cloned {
                file,
                place: new.place,
                from,
                close,
                was: own,
                list,
                linked: false,
            });
        }
        if certain && root.is_some() {
            self.note(&new.place, Kind::File, Some(size), meta, was);
        }
        if self.options.dry_run && certain && !self.populated {
            if root.is_none() {
                self.note(&new.place, Kind::File, Some(size), meta, was);
            }
            self.report.bytes_literal += size;
            return Ok(());
        }
        if taken {
            if root.is_none() {
                self.note(&new.place, Kind::File, Some(size), meta, was);
            }
            new.state = State::Streaming { next: 0, first: None, begun: false };
        } else if let Some(refinement) =
            root.filter(|_| !self.options.dry_run).and_then(|_| self.refinable_whole(&new, size))
        {
            self.waiting();
            let list = refinement.chunks().to_vec();
            let missing = list.iter().map(|chunk| (0, *chunk)).collect();
            self.action(Action::Create { file, place: new.place.clone(), size });
            self.refine(file, refinement);
            new.state = State::Assembling { missing, list, begun: true };
        } else if let Some(chunk) = single {
            self.waiting();
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
        self.put(file, new);
        Ok(())
    }

    /// Remembers a file that is being made; tells whether its number was free.
    fn put(&mut self, file: FileId, new: File) -> bool {
        self.listed_chunks += new.state.listed_chunks();
        self.files.insert(file, new).is_none()
    }

    fn take(&mut self, file: FileId) -> Option<File> {
        let known = self.files.remove(&file)?;
        self.listed_chunks -= known.state.listed_chunks();
        Some(known)
    }

    /// Counts bytes that need not come.
    pub(super) fn reused(&mut self, bytes: u64) {
        self.report.bytes_reused = self.report.bytes_reused.saturating_add(bytes);
    }

    /// A file whose bytes are equal: only its metadata is made so.
    pub(super) fn unchanged(&mut self, place: &Place, from: Meta, meta: Meta) {
        if self.note_meta(place, Kind::File, from, meta) {
            self.action(Action::Meta { place: place.clone(), meta, from });
        }
    }

    /// Takes a part of a file's chunk list.
    pub(super) fn chunks(
        &mut self,
        file: FileId,
        first: u64,
        more: bool,
        chunks: impl Iterator<Item = ChunkRef>,
    ) -> Result<(), ProtocolError> {
        // A list that nobody waits for any more.
        let Some(known) = self.files.get_mut(&file) else { return Ok(()) };
        let State::Listing(list) = &mut known.state else { return Ok(()) };
        if first != list.len() as u64 {
            return Err(violation("a chunk list out of order"));
        }
        let before = list.len();
        list.extend(chunks);
        // Every chunk but the last is at least so long.
        let max = known.close.size / u64::from(self.own.params().sizes().min) + 1;
        if list.len() as u64 > max {
            return Err(ProtocolError::TooLarge { what: "chunk list", claimed: list.len() as u64, max });
        }
        self.listed_chunks += (list.len() - before) as u64;
        if self.listed_chunks > limits::CHUNKS_MAX {
            let (claimed, max) = (self.listed_chunks, limits::CHUNKS_MAX);
            return Err(ProtocolError::TooLarge { what: "number of chunks", claimed, max });
        }
        if more {
            return Ok(());
        }
        let list = std::mem::take(list);
        self.listed_chunks -= list.len() as u64;
        self.listed(file, list)
    }

    /// Takes a part of the way from the chunks of the destination's file to those of the sender's.
    pub(super) fn chunk_steps(
        &mut self,
        file: FileId,
        more: bool,
        steps: &[ChunkStep],
    ) -> Result<(), ProtocolError> {
        let Some(known) = self.files.get_mut(&file) else { return Ok(()) };
        let State::Listing(list) = &known.state else { return Ok(()) };
        if known.relisted {
            // The rest of a way that could not be followed.
            return Ok(());
        }
        let own = known.own_list.take();
        let own = own.or_else(|| self.locals.list(known.own?)).unwrap_or_default();
        let (first, mut chunks) = (list.len() as u64, Vec::new());
        let room = known.close.size / u64::from(self.own.params().sizes().min) + 1;
        for step in steps {
            match *step {
                ChunkStep::Chunk(chunk) => chunks.push(chunk.into()),
                ChunkStep::Drop(count) => known.passed = known.passed.saturating_add(count),
                ChunkStep::Same(count) => {
                    let range = usize::try_from(known.passed).ok().zip(usize::try_from(count).ok());
                    let same = range.and_then(|(from, count)| own.get(from..from.checked_add(count)?));
                    let Some(same) = same else {
                        self.list_again(file);
                        return Ok(());
                    };
                    chunks.extend(same);
                    known.passed = known.passed.saturating_add(count);
                }
            }
            if first + chunks.len() as u64 > room {
                let (claimed, max) = (first + chunks.len() as u64, room);
                return Err(ProtocolError::TooLarge { what: "chunk list", claimed, max });
            }
        }
        known.own_list = more.then_some(own);
        self.chunks(file, first, more, chunks.into_iter())
    }

    /// The sender knows more of the destination's file than this end does: it is asked for the whole list.
    fn list_again(&mut self, file: FileId) {
        let Some(mut known) = self.take(file) else { return };
        known.relisted = true;
        known.state = State::Listing(Vec::new());
        // A request is answered once; this is the other of the two there are.
        let list = if known.hold { &mut self.wanted.describe } else { &mut self.wanted.describe_hold };
        list.push(file.0);
        self.put(file, known);
    }

    /// All chunks of a file are known.
    pub(super) fn listed(&mut self, file: FileId, list: Vec<ChunkRef>) -> Result<(), ProtocolError> {
        let Some(mut known) = self.take(file) else { return Ok(()) };
        let tree = FileTree::from_chunks(list).map_err(|error| violation(error.to_string()))?;
        let (root, list) = (tree.root(), tree.chunks().to_vec());
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
            && was.root() == Some(root.hash)
            && matches!(was.node, Node::File { link: None, .. })
        {
            self.unchanged(&known.place, was.meta, known.close.meta);
            self.open_files -= 1;
            self.release(file, &known);
            return Ok(());
        }
        if known.clonable
            && let Some(from) = { self.locals.file(&self.own, root.hash) }
        {
            self.open_files -= 1;
            self.reused(root.len);
            self.release(file, &known);
            let File { place, close, own, .. } = known;
            return self.clone_file(Cloned { file, place, from, close, was: own, list, linked: false });
        }
        if known.listed_root.is_none() {
            let was = known.own.map(|own| snapshot.entry(own));
            self.note(&known.place, Kind::File, Some(root.len), known.close.meta, was);
        }
        self.assemble(file, &mut known, list);
        if self.options.dry_run {
            self.open_files -= 1;
        } else {
            self.put(file, known);
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
        let mut wanted = Vec::new();
        let mut offset = 0;
        for (at, chunk) in (0_u64..).zip(&list) {
            if let Some(from) = { self.locals.chunk(&self.own, chunk.hash) } {
                self.reused(u64::from(chunk.len));
                copies.push(Action::Copy { file, offset, chunk: *chunk, from });
            } else {
                missing.insert(offset, *chunk);
                wanted.push(at);
            }
            offset += u64::from(chunk.len);
        }
        if self.options.dry_run {
            self.report.bytes_literal += missing.values().map(|chunk| u64::from(chunk.len)).sum::<u64>();
            return self.release(file, known);
        }
        let refined = self.refinable(known, &list, &mut wanted);
        // A file of one chunk that must come is written at once, without a beginning and an end.
        let begun = list.len() != 1 || missing.is_empty() || !refined.is_empty();
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
        if wanted.is_empty() {
            self.release(file, known);
        } else {
            self.need(file, wanted);
        }
        for refinement in refined {
            self.refine(file, refinement);
        }
        known.state = State::Assembling { missing, list, begun };
    }

    /// Chunks of a file, beginning at `offset`, need not be waited for any more; tells whether they were, and
    /// whether they were the last.
    pub(super) fn arrived(&mut self, file: FileId, offset: u64, chunks: &[ChunkRef]) -> Option<bool> {
        let State::Assembling { missing, list, .. } = &mut self.files.get_mut(&file)?.state else {
            return None;
        };
        let mut at = offset;
        for chunk in chunks {
            missing.remove(&at)?;
            at += u64::from(chunk.len);
        }
        let last = missing.is_empty();
        if last {
            let list = std::mem::take(list);
            self.files.get_mut(&file)?.state = State::Closing { list };
        }
        Some(last)
    }

    /// How a file ends.
    pub(super) fn close_of(&self, file: FileId) -> Option<Close> {
        self.files.get(&file).map(|known| known.close)
    }

    /// Asks for chunks by their positions, ascending.
    pub(super) fn need(&mut self, file: FileId, positions: Vec<u64>) {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut end = 0;
        for at in positions {
            if runs.len() == REQUEST_MAX && at != end {
                self.need_runs(file, &mut runs);
                // The first gap of each message counts from the start of the list.
                end = 0;
            }
            match runs.last_mut() {
                Some((_, len)) if at == end => *len += 1,
                _ => runs.push((at - end, 1)),
            }
            end = at + 1;
        }
        self.need_runs(file, &mut runs);
    }

    fn need_runs(&mut self, file: FileId, runs: &mut Vec<(u64, u64)>) {
        let runs = Bounded::new(std::mem::take(runs)).unwrap_or_default();
        self.ready.push_back(Output::Message(Message::Need { file: file.0, runs }));
    }

    /// Takes one chunk of a file.
    pub(super) fn data(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Result<(), ProtocolError> {
        self.report.bytes_literal = self.report.bytes_literal.saturating_add(bytes.len() as u64);
        if self.given_up.contains(&file) {
            return Ok(());
        }
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
        if self.given_up.contains(&file) {
            return Ok(());
        }
        let meta = Meta { attributes: self.attributes.of(file.0), ..meta };
        let known = self.files.get_mut(&file).ok_or_else(|| violation("the end of a file not asked for"))?;
        let State::Streaming { next, first, begun } = &mut known.state else {
            return Err(violation("the end of a file that was not streamed"));
        };
        if size != *next {
            return Err(violation("a length that is not the sum of the chunks"));
        }
        let listed = (known.listed_root, known.close.size, known.close.meta);
        let changed = listed != (Some(root), size, meta);
        known.close = Close { root, size, meta };
        let (place, close) = (known.place.clone(), known.close);
        let (first, begun) = (first.take(), *begun);
        known.state = State::Closing { list: Vec::new() };
        self.learned.push((place.clone(), close));
        if changed {
            // The sender tells its root again when it knows that this is how the file ends.
            self.root = None;
        }
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
        if self.given_up.contains(&file) {
            return Ok(());
        }
        let known = self.give_up(file).ok_or_else(|| violation("a file that is not awaited"))?;
        self.unreadable |= matches!(why, Gone::Errno(_));
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

    /// A file fails. What still arrives of it is ignored.
    fn give_up(&mut self, file: FileId) -> Option<File> {
        let known = self.take(file)?;
        self.given_up.insert(file);
        self.wanted.need.remove(&file);
        self.forget_refinements(file);
        self.open_files -= 1;
        self.failed_paths += 1;
        Some(known)
    }

    /// What was made of a whole file's old bytes is not what it should be: it is made from its chunks.
    pub fn patch_failed(&mut self, file: FileId) {
        let reused = self.files.get_mut(&file).map_or(0, |known| std::mem::take(&mut known.patched));
        self.report.bytes_reused = self.report.bytes_reused.saturating_sub(reused);
        self.describe_instead(file);
    }

    /// Begins a file again, by its chunk list.
    pub(super) fn describe_instead(&mut self, file: FileId) {
        let Some(mut known) = self.take(file) else { return };
        self.action(Action::Discard { file });
        known.refinable = false;
        known.passed = 0;
        known.state = State::Listing(Vec::new());
        self.wanted.describe.push(file.0);
        self.put(file, known);
    }

    /// The only chunk of a file so small that its root is one.
    fn single(&self, root: Option<Hash>, size: u64) -> Option<ChunkRef> {
        let small = size <= u64::from(self.own.params().sizes().min);
        root.filter(|_| small).map(|hash| ChunkRef { hash, len: size as u32 })
    }

    /// A [`Action::Copy`] found other bytes than the index promised: they are asked for.
    pub fn copy_failed(&mut self, file: FileId, offset: u64, chunk: ChunkRef) {
        let Some(known) = self.files.get_mut(&file) else { return };
        if let State::Closing { list } = &mut known.state {
            let (list, missing) = (std::mem::take(list), HashMap::new());
            known.state = State::Assembling { missing, list, begun: true };
        }
        let State::Assembling { list, missing, .. } = &mut known.state else { return };
        let starts = known.starts.get_or_insert_with(|| {
            let start = |end: &mut u64, chunk: &ChunkRef| {
                let next = *end + u64::from(chunk.len);
                Some(std::mem::replace(end, next))
            };
            list.iter().scan(0, start).collect()
        });
        let Ok(at) = starts.binary_search(&offset) else { return };
        missing.insert(offset, chunk);
        self.report.bytes_reused = self.report.bytes_reused.saturating_sub(u64::from(chunk.len));
        // Asked for with others: where one copy fails, many do.
        self.wanted.need.entry(file).or_default().push(at as u64);
    }

    /// A [`Action::Clone`] found another file than the index promised, or could not read it: the file is
    /// made from its chunks.
    pub fn clone_failed(&mut self, file: FileId, place: Place, close: Close) {
        self.report.bytes_reused = self.report.bytes_reused.saturating_sub(close.size);
        if file.0 >= self.synthetic {
            // The sender never numbered it: the next run, with a fresh index, will find out.
            self.lost.push((self.path(&place), Gone::Changed));
            return self.failed(file);
        }
        let Some(mut known) = self.take(file) else { return };
        let State::Closing { list } = std::mem::replace(&mut known.state, State::Listing(Vec::new())) else {
            return;
        };
        known.clonable = false;
        if list.is_empty() {
            self.wanted.describe.push(file.0);
        } else {
            self.assemble(file, &mut known, list);
        }
        self.put(file, known);
    }

    /// Waits for the outcome of an action that makes a whole file, whose chunks are `list` if they are known.
    pub(super) fn close_later(
        &mut self,
        file: FileId,
        place: &Place,
        close: Close,
        list: Vec<ChunkRef>,
    ) -> Result<(), ProtocolError> {
        self.open_files += 1;
        let new = File {
            place: place.clone(),
            close,
            listed_root: Some(close.root),
            own: None,
            hold: false,
            clonable: true,
            refinable: true,
            passed: 0,
            own_list: None,
            relisted: false,
            patched: 0,
            starts: None,
            state: State::Closing { list },
        };
        if self.put(file, new) { Ok(()) } else { Err(violation("a file named twice")) }
    }

    /// A file is made: every action on it was done.
    pub fn closed(&mut self, file: FileId) {
        if self.take(file).is_some() {
            self.open_files -= 1;
        }
    }

    /// A directory or link cannot be made at the destination. The rest goes on.
    pub fn failed_path(&mut self) {
        self.failed_paths += 1;
    }

    /// A file cannot be made at the destination. The rest goes on.
    pub fn failed(&mut self, file: FileId) {
        self.give_up(file);
    }
}
