//! What the receiver has in the place of chunks → recipes for them ([`delta`](crate::transfer::delta)).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;

use super::{Gone, Job, Message, Output, ProtocolError, Sender, violation};
use crate::snapshot::EntryId;
use crate::transfer::delta::recipe::{Op, Plan};
use crate::transfer::delta::{
    Bits, Digests, LEVELS, NEW_BYTES_MAX, OLD_BYTES_MAX, Span, Turn, Turned, pieces_max,
};

/// Bytes of digests that wait for their comparison at most: more than a receiver that keeps to what it may have
/// open at one time can send.
const DIGEST_BYTES_MAX: usize = 64 << 20;
/// New bytes that are being compared at either end at most: many times more than a receiver has open at one time,
/// for it may give up files, and open others, before it can say so.
const OPEN_BYTES_MAX: u64 = 1 << 30;
/// New bytes of the recipes of one job, about.
const BATCH_BYTES: u64 = 16 << 20;

/// A file, and the position of the first of its chunks that are refined together.
type Key = (EntryId, u64);

/// The last turn, and what was found out before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The file.
    pub file: EntryId,
    /// The first of the chunks.
    pub first: u64,
    /// What was found out.
    pub plan: Plan,
    /// What is left.
    pub turn: Turn,
}

impl Patch {
    /// Takes the last turn: the recipe, and its literal bytes. `read` fills a buffer from a place in the file.
    ///
    /// # Errors
    /// What `read` gives.
    pub fn make(
        &self,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<(Vec<Op>, Vec<u8>)> {
        let pieces = self.turn.run(&mut read)?.pieces;
        let positions = self.turn.theirs.as_ref().map(|theirs| theirs.positions(&pieces));
        let positions = positions.unwrap_or_else(|| vec![None; pieces.len()]);
        let fine: Vec<_> = pieces.iter().map(|piece| piece.span).zip(positions).collect();
        let (ops, literals) = self.plan.recipe(&fine);
        let mut bytes = vec![0; literals.iter().map(|span| span.len as usize).sum()];
        let mut rest = &mut bytes[..];
        for span in literals {
            let (part, after) = rest.split_at_mut(span.len as usize);
            read(part, span.at)?;
            rest = after;
        }
        Ok((ops, bytes))
    }
}

#[derive(Default)]
pub(super) struct Refinements {
    open: BTreeMap<Key, State>,
    /// New bytes of what is in `open`.
    open_bytes: u64,
    /// Files that are not coming: turns on their way here are ignored.
    gone: HashSet<EntryId>,
    /// Jobs that compare.
    comparing: usize,
    digest_bytes: usize,
    /// How many of a file's chunks were refined.
    refined: HashMap<EntryId, u64>,
    patches: VecDeque<Patch>,
}

enum State {
    /// So many bytes are being compared with these.
    Comparing(Digests, u64),
    /// The receiver compares.
    Told(Plan),
}

impl Sender {
    /// The receiver asks for chunks and tells what it has in their place.
    pub(super) fn refine(
        &mut self,
        file: EntryId,
        first: u64,
        count: u32,
        digests: Digests,
    ) -> Result<(), ProtocolError> {
        if self.refinements.gone.contains(&file) {
            return Ok(());
        }
        let (known, span) = self.chunk_span(file, first, count)?;
        let span = span.filter(|span| u64::from(span.len) <= NEW_BYTES_MAX);
        let span = span.ok_or_else(|| violation("too many chunks refined at once"))?;
        let refined = self.refinements.refined.entry(file).or_default();
        *refined += u64::from(count);
        if *refined > known || self.refinements.open.contains_key(&(file, first)) {
            return Err(violation("chunks refined more than once"));
        }
        self.hold_digests(&digests, 0)?;
        let len = u64::from(span.len);
        self.refinements.open_bytes += len;
        if self.refinements.open_bytes > OPEN_BYTES_MAX {
            return Err(violation("too much refined at once"));
        }
        let turn = Turn { level: 0, spans: vec![span], theirs: Some(digests.clone()) };
        self.refinements.open.insert((file, first), State::Comparing(digests, len));
        self.jobs += 1;
        self.refinements.comparing += 1;
        self.ready.push_back(Output::Job(Job::Compare { file, first, turn }));
        Ok(())
    }

    fn hold_digests(&mut self, digests: &Digests, level: usize) -> Result<(), ProtocolError> {
        if !digests.is_valid() {
            return Err(violation("pieces of no length"));
        }
        if digests.len() as u64 > pieces_max(level, OLD_BYTES_MAX) {
            return Err(violation("pieces of more bytes than may be compared"));
        }
        self.refinements.digest_bytes += digests.bytes();
        if self.refinements.digest_bytes > DIGEST_BYTES_MAX {
            return Err(violation("too much refined at once"));
        }
        Ok(())
    }

    /// How many chunks a file has, and the bytes of some of them.
    fn chunk_span(
        &self,
        file: EntryId,
        first: u64,
        count: u32,
    ) -> Result<(u64, Option<Span>), ProtocolError> {
        let list =
            self.chunk_list(file).ok_or_else(|| violation("chunks of a file that was not described"))?;
        let end = first.checked_add(u64::from(count)).filter(|end| *end <= list.len() as u64 && count > 0);
        let end = end.ok_or_else(|| violation("chunks beyond the end of a file"))? as usize;
        let first = first as usize;
        let at = list[..first].iter().map(|chunk| u64::from(chunk.len)).sum();
        let len: u64 = list[first..end].iter().map(|chunk| u64::from(chunk.len)).sum();
        Ok((list.len() as u64, u32::try_from(len).ok().map(|len| Span { at, len })))
    }

    /// A [`Job::Compare`] has ended.
    pub fn compared(&mut self, file: EntryId, first: u64, outcome: Result<Turned, Gone>) {
        self.jobs -= 1;
        self.refinements.comparing -= 1;
        let Some(State::Comparing(theirs, len)) = self.refinements.open.remove(&(file, first)) else {
            return;
        };
        self.refinements.digest_bytes -= theirs.bytes();
        self.refinements.open_bytes -= len;
        match outcome {
            Err(why) => self.gone(file, why),
            Ok(turned) => {
                if self.refinements.gone.contains(&file) {
                    return self.settle_root();
                }
                let plan = Plan::new(turned, &theirs);
                if plan.middle.is_empty() {
                    let turn = Turn { level: LEVELS - 1, spans: Vec::new(), theirs: None };
                    self.refinements.patches.push_back(Patch { file, first, plan, turn });
                } else {
                    let known = plan.used(theirs.len());
                    let digests = Digests::of(&plan.middle);
                    self.refinements.open_bytes += plan.len();
                    self.refinements.open.insert((file, first), State::Told(plan));
                    self.message(Message::Pieces { file: file.0, first, level: 1, known, digests });
                }
            }
        }
        self.settle_root();
    }

    /// The receiver tells what it has of what was described, and describes what it has beside that.
    pub(super) fn pieces(
        &mut self,
        file: EntryId,
        first: u64,
        level: u8,
        known: Bits,
        digests: Digests,
    ) -> Result<(), ProtocolError> {
        if self.refinements.gone.contains(&file) {
            return Ok(());
        }
        let Some(State::Told(mut plan)) = self.refinements.open.remove(&(file, first)) else {
            return Err(violation("pieces out of turn"));
        };
        self.refinements.open_bytes -= plan.len();
        if usize::from(level) != LEVELS - 1 || !known.fits(plan.middle.len()) {
            return Err(violation("pieces of another level, or none that were told"));
        }
        self.hold_digests(&digests, LEVELS - 1)?;
        plan.known = known;
        let turn = Turn { level: LEVELS - 1, spans: plan.rest(), theirs: Some(digests) };
        self.refinements.patches.push_back(Patch { file, first, plan, turn });
        Ok(())
    }

    /// The receiver will not take its turns on a file.
    pub(super) fn forget_turns(&mut self, file: EntryId) {
        let Refinements { open, open_bytes, .. } = &mut self.refinements;
        let told = open.range((file, 0)..=(file, u64::MAX));
        let told = told.filter_map(|(key, state)| matches!(state, State::Told(_)).then_some(*key));
        for key in told.collect::<Vec<_>>() {
            if let Some(State::Told(plan)) = open.remove(&key) {
                *open_bytes -= plan.len();
            }
        }
    }

    /// A file's bytes are not coming.
    pub(super) fn end_turns(&mut self, file: EntryId) {
        self.forget_turns(file);
        self.refinements.gone.insert(file);
    }

    /// Comparisons under way at this end: messages that may wait for what comes of them are fewer and larger.
    #[must_use]
    pub fn comparing(&self) -> usize {
        self.refinements.comparing
    }

    /// Refinements that wait for the receiver's turn.
    #[must_use]
    pub fn turns_awaited(&self) -> usize {
        self.refinements.open.values().filter(|state| matches!(state, State::Told(_))).count()
    }

    /// Recipes to write together, so that they are compressed together.
    pub(super) fn next_patches(&mut self) -> Option<Job> {
        let waiting = self.refinements.patches.iter();
        if self.comparing() > 0 && waiting.map(|patch| patch.plan.len()).sum::<u64>() < BATCH_BYTES {
            return None;
        }
        let mut patches = Vec::new();
        let mut bytes = 0;
        while let Some(patch) = self.refinements.patches.pop_front_if(|_| bytes < BATCH_BYTES) {
            bytes += patch.plan.len();
            self.refinements.digest_bytes -= patch.turn.theirs.as_ref().map_or(0, Digests::bytes);
            patches.push(patch);
        }
        if patches.is_empty() {
            return None;
        }
        self.jobs += 1;
        Some(Job::Patch { patches })
    }

    /// A [`Job::Patch`] has ended; these files could not be read.
    pub fn patched(&mut self, lost: Vec<(EntryId, Gone)>) {
        self.jobs -= 1;
        for (file, why) in lost {
            self.gone(file, why);
        }
        self.settle_root();
    }
}
