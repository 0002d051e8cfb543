//! Missing chunks that stand where older bytes are → compared with them, piece by piece ([`delta`]).
//!
//! What cannot be compared (the old file has changed, or cannot be read) is asked for whole.
//!
//! [`delta`]: crate::transfer::delta

use std::collections::{HashMap, VecDeque};

use super::files::File;
use super::{Action, FileId, LocalFile, Output, ProtocolError, Receiver, violation};
use crate::chunk::ChunkRef;
use crate::snapshot::EntryId;
use crate::transfer::delta::recipe::{Follower, Op, Places};
use crate::transfer::delta::scope::{Scope, scopes};
use crate::transfer::delta::{Bits, Digests, NEW_BYTES_MIN, Piece, Span, Turn, Turned, merge, pieces_max};
use crate::transfer::message::Message;

/// Pieces of level 2 described for each of level 1 that is sought at most: about fifteen times as many old bytes.
const FINE_PER_MIDDLE: usize = 100;
/// Old bytes compared at either end of what corresponds at all, for each piece of level 1 that is sought.
const EDGE_PER_MIDDLE: u64 = 1200;
/// Old and new bytes that are compared at one time, about.
const OPEN_BYTES: u64 = 48 << 20;

/// A file, and the position of the first of its chunks that are refined together.
type Key = (FileId, u64);

/// Chunks that are being refined.
#[derive(Default)]
pub(super) struct Refinements {
    open: HashMap<Key, Refinement>,
    /// Actions that compare.
    comparing: usize,
    open_bytes: u64,
    waiting: VecDeque<(Key, Refinement)>,
}

/// Chunks that are refined together.
pub(super) struct Refinement {
    scope: Scope,
    from: LocalFile,
    turn: State,
}

/// Whose turn it is.
enum State {
    /// The old bytes are being described.
    Describing,
    /// The sender compares.
    Asked { coarse: Vec<Piece> },
    /// The old bytes are being compared with what it told.
    Comparing { coarse: Vec<Piece>, theirs: Digests, nothing_known: bool },
    /// The recipe is coming.
    Answered { places: Places, follower: Follower, literals: Vec<u8> },
}

impl Refinement {
    /// What is refined.
    pub(super) fn chunks(&self) -> &[ChunkRef] {
        &self.scope.chunks
    }

    fn bytes(&self) -> u64 {
        self.scope.len + u64::from(self.scope.old.len)
    }
}

impl Receiver {
    /// A small file of which all is refined at once, without a chunk list.
    pub(super) fn refinable_whole(&self, known: &File, size: u64) -> Option<Refinement> {
        let own = known.own.filter(|_| self.options.delta && known.refinable)?;
        let max = u64::from(self.own.params().sizes().max);
        let old = self.own.entry(own).size().filter(|_| self.own.entry(own).root().is_some())?;
        let fits = (NEW_BYTES_MIN..=max).contains(&size) && (NEW_BYTES_MIN..=2 * max).contains(&old);
        let scope = Scope {
            first: 0,
            offset: 0,
            chunks: vec![ChunkRef { hash: known.close.root, len: size as u32 }],
            len: size,
            old: Span { at: 0, len: old as u32 },
            whole: size > u64::from(self.own.params().sizes().min),
        };
        fits.then_some(Refinement { scope, from: LocalFile::Entry(own), turn: State::Describing })
    }

    /// Takes from the positions `wanted` of `list` what can be refined.
    pub(super) fn refinable(
        &self,
        known: &File,
        list: &[ChunkRef],
        wanted: &mut Vec<u64>,
    ) -> Vec<Refinement> {
        let refinable = self.options.delta && known.refinable && !wanted.is_empty();
        let Some(own) = known.own.filter(|_| refinable) else {
            return Vec::new();
        };
        let Some(old) = self.old_chunks(own) else { return Vec::new() };
        let from = LocalFile::Entry(own);
        let refinement = |scope| Refinement { scope, from, turn: State::Describing };
        scopes(list, wanted, &old).into_iter().map(refinement).collect()
    }

    /// The chunks of the destination's file, as far as they are known; where only its root is, as one.
    fn old_chunks(&self, own: EntryId) -> Option<Vec<ChunkRef>> {
        let entry = self.own.entry(own);
        let (root, size) = (entry.root()?, entry.size()?);
        let list = self.locals.list(own).filter(|list| !list.is_empty());
        list.or_else(|| Some(vec![ChunkRef { hash: root, len: u32::try_from(size).ok()? }]))
    }

    /// Begins to refine, or remembers to.
    pub(super) fn refine(&mut self, file: FileId, refinement: Refinement) {
        let key = (file, refinement.scope.first);
        self.refinements.waiting.push_back((key, refinement));
        self.refine_next();
    }

    fn refine_next(&mut self) {
        while let Some((_, next)) = self.refinements.waiting.front() {
            let bytes = next.bytes();
            if self.refinements.open_bytes + bytes > OPEN_BYTES && !self.refinements.open.is_empty() {
                return;
            }
            let Some(((file, first), refinement)) = self.refinements.waiting.pop_front() else { return };
            self.refinements.open_bytes += bytes;
            let turn = Turn { level: 0, spans: vec![refinement.scope.old], theirs: None };
            let from = refinement.from;
            self.refinements.open.insert((file, first), refinement);
            self.refinements.comparing += 1;
            self.action(Action::Compare { file, first, from, turn });
        }
    }

    fn take_refinement(&mut self, key: Key) -> Option<Refinement> {
        let refinement = self.refinements.open.remove(&key)?;
        self.refinements.open_bytes -= refinement.bytes();
        Some(refinement)
    }

    /// A file is not made: what still comes of its refinements is ignored. The sender is told of turns that it
    /// waits for in vain.
    pub(super) fn forget_refinements(&mut self, file: FileId) {
        let open: Vec<Key> = self.refinements.open.keys().filter(|key| key.0 == file).copied().collect();
        for key in open {
            let Some(Refinement { turn, .. }) = self.take_refinement(key) else { continue };
            if let State::Comparing { .. } = turn {
                self.wanted.release.push(file.0);
            }
        }
        self.refinements.waiting.retain(|(key, _)| key.0 != file);
        self.refine_next();
    }

    /// Comparisons under way at this end: messages that may wait for what comes of them are fewer and larger.
    #[must_use]
    pub fn comparing(&self) -> usize {
        self.refinements.comparing
    }

    /// An [`Action::Compare`] has ended; `None` if the old bytes could not be read.
    pub fn turned(&mut self, file: FileId, first: u64, outcome: Option<Turned>) {
        let key = (file, first);
        self.refinements.comparing -= 1;
        let Some(refinement) = self.refinements.open.get_mut(&key) else { return };
        let Some(Turned { pieces, below }) = outcome else { return self.unrefined(key) };
        match std::mem::replace(&mut refinement.turn, State::Describing) {
            State::Describing => {
                let digests = Digests::of(&pieces);
                let count = refinement.scope.chunks.len() as u32;
                refinement.turn = State::Asked { coarse: pieces };
                let message = Message::Refine { file: file.0, first, count, digests };
                self.ready.push_back(Output::Message(message));
            }
            State::Comparing { coarse, theirs, nothing_known } => {
                let middle = theirs.places(&pieces);
                let known = Bits::of(middle.iter().map(Option::is_some));
                let unlike = nothing_known && known.count() == 0;
                if unlike && refinement.scope.whole {
                    // Perhaps its chunks are elsewhere. The sender need not wait for this end's turn.
                    self.wanted.release.push(file.0);
                    return self.unrefined(key);
                }
                // Bytes that have nothing in common at two levels will not at the third, nor are many old bytes
                // worth describing for a few new ones.
                let unknown = middle.iter().filter(|place| place.is_none()).count();
                let fine = if unlike || below.len() > FINE_PER_MIDDLE * unknown { Vec::new() } else { below };
                let digests = Digests::of(&fine);
                let spans = |pieces: &[Piece]| pieces.iter().map(|piece| piece.span).collect();
                let places = Places { coarse: spans(&coarse), middle, fine: spans(&fine) };
                let (follower, literals) = (Follower::default(), Vec::new());
                refinement.turn = State::Answered { places, follower, literals };
                let message = Message::Pieces { file: file.0, first, level: 2, known, digests };
                self.ready.push_back(Output::Message(message));
            }
            other => refinement.turn = other,
        }
    }

    /// The chunks are asked for whole.
    fn unrefined(&mut self, key: Key) {
        let Some(Refinement { scope, .. }) = self.take_refinement(key) else { return };
        if scope.whole {
            self.describe_instead(key.0);
        } else {
            let positions = scope.first..scope.first + scope.chunks.len() as u64;
            self.wanted.need.entry(key.0).or_default().extend(positions);
        }
        self.refine_next();
    }

    /// Takes what the sender has of what was described, and its description of the rest.
    pub(super) fn pieces(
        &mut self,
        file: FileId,
        first: u64,
        level: u8,
        known: Bits,
        digests: Digests,
    ) -> Result<(), ProtocolError> {
        if self.given_up.contains(&file) {
            self.wanted.release.push(file.0);
            return Ok(());
        }
        let refinement = self.refinements.open.get_mut(&(file, first));
        let refinement = refinement.ok_or_else(|| violation("pieces that were not asked for"))?;
        let State::Asked { coarse } = &mut refinement.turn else {
            return Err(violation("pieces out of turn"));
        };
        if level != 1 || !digests.is_valid() {
            return Err(violation("pieces of another level"));
        }
        if !known.fits(coarse.len()) || digests.len() as u64 > pieces_max(1, refinement.scope.len) {
            return Err(violation("pieces of more bytes than there are"));
        }
        let coarse = std::mem::take(coarse);
        let unknown = coarse.iter().enumerate().filter(|(at, _)| !known.get(*at));
        let mut spans = merge(unknown.map(|(_, piece)| piece.span));
        trim(&mut spans, refinement.scope.old, EDGE_PER_MIDDLE * digests.len() as u64);
        let from = refinement.from;
        let turn = Turn { level: 1, spans, theirs: Some(digests.clone()) };
        refinement.turn = State::Comparing { coarse, theirs: digests, nothing_known: known.count() == 0 };
        self.refinements.comparing += 1;
        self.action(Action::Compare { file, first, from, turn });
        Ok(())
    }

    /// Takes (a part of) a recipe.
    pub(super) fn patch(
        &mut self,
        key: Key,
        more: bool,
        ops: &[Op],
        bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        self.report.bytes_literal = self.report.bytes_literal.saturating_add(bytes.len() as u64);
        if self.given_up.contains(&key.0) {
            return Ok(());
        }
        let refinement = self.refinements.open.get_mut(&key);
        let refinement = refinement.ok_or_else(|| violation("a recipe that was not asked for"))?;
        if let State::Asked { coarse } = &mut refinement.turn {
            let coarse = coarse.iter().map(|piece| piece.span).collect();
            let places = Places { coarse, ..Places::default() };
            refinement.turn = State::Answered { places, follower: Follower::default(), literals: Vec::new() };
        }
        let State::Answered { places, follower, literals } = &mut refinement.turn else {
            return Err(violation("a recipe out of turn"));
        };
        for op in ops {
            let done = follower.step(*op, places, refinement.scope.len);
            done.ok_or_else(|| violation("a recipe that makes no sense"))?;
        }
        literals.extend_from_slice(bytes);
        if follower.literal != literals.len() as u64 {
            return Err(violation("a recipe with other bytes than it needs"));
        }
        if more {
            return Ok(());
        }
        let Some(Refinement { scope, from, turn: State::Answered { follower, literals, .. } }) =
            self.take_refinement(key)
        else {
            return Ok(());
        };
        if follower.len != scope.len {
            return Err(violation("a recipe for other bytes"));
        }
        self.reused(scope.len - follower.literal);
        self.refine_next();
        let (file, offset) = (key.0, scope.offset);
        if let Some(known) = self.files.get_mut(&file).filter(|_| scope.whole) {
            known.patched = scope.len - follower.literal;
        }
        let last = self.arrived(file, offset, &scope.chunks);
        let last = last.ok_or_else(|| violation("a recipe that was not asked for"))?;
        let (segments, literals) = (follower.segments, literals.into());
        let chunks = if scope.whole { Vec::new() } else { scope.chunks };
        let len = scope.len;
        self.action(Action::Patch { file, offset, chunks, len, from, segments, literals });
        if let Some(close) = self.close_of(file).filter(|_| last) {
            self.action(Action::Finish { file, close });
        }
        Ok(())
    }
}

/// Shortens what is left at either end of `all`, but never all of it, to `max` bytes beside what is not left.
fn trim(spans: &mut [Span], all: Span, max: u64) {
    let end = |span: &Span| span.at + u64::from(span.len);
    if let Some(first) = spans.first_mut().filter(|first| first.at == all.at && end(first) < end(&all)) {
        let cut = u64::from(first.len).saturating_sub(max);
        *first = Span { at: first.at + cut, len: first.len - cut as u32 };
    }
    if let Some(last) = spans.last_mut().filter(|last| end(last) == end(&all) && last.at > all.at) {
        last.len = last.len.min(max as u32);
    }
}
