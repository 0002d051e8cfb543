//! What both ends found out in their turns → a recipe, and from it where each byte comes from.

use serde::{Deserialize, Serialize};

use super::{Bits, Digests, Piece, Span, Turned};
use crate::codec::Bounded;
use crate::transfer::message::Message;

/// One step of a recipe; together they give the new bytes in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Pieces of level 0, counted as the receiver told them.
    Coarse {
        /// The first, as the difference from the one after the last copied (from 0 at first).
        skip: i32,
        /// How many.
        count: u32,
    },
    /// The next pieces of level 1, as the sender told them: found by the receiver.
    Middle {
        /// How many.
        count: u32,
    },
    /// Pieces of level 2, counted as the receiver told them.
    Fine {
        /// The first, as the difference from the one after the last copied (from 0 at first).
        skip: i32,
        /// How many.
        count: u32,
    },
    /// The next of the bytes that come with the recipe.
    Literal {
        /// How many.
        len: u32,
    },
}

/// Where new bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The old file.
    Old(Span),
    /// What came with the recipe: the next so many bytes.
    Literal(u32),
}

/// The sender's half: what it has found out before the last turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Its pieces of level 0, and which of the receiver's each is.
    pub coarse: Vec<(Span, Option<u32>)>,
    /// Its pieces of level 1, in those that are none.
    pub middle: Vec<Piece>,
    /// Which of these the receiver has.
    pub known: Bits,
}

impl Plan {
    /// After the first turn, in which `turned` was compared with what the receiver told.
    #[must_use]
    pub fn new(turned: Turned, theirs: &Digests) -> Plan {
        let positions = theirs.positions(&turned.pieces);
        let coarse = turned.pieces.iter().map(|piece| piece.span).zip(positions).collect();
        Plan { coarse, middle: turned.below, known: Bits::default() }
    }

    /// How many bytes it makes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.coarse.iter().map(|(span, _)| u64::from(span.len)).sum()
    }

    /// Whether it makes none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.coarse.is_empty()
    }

    /// Which of the receiver's `count` pieces of level 0 are used.
    #[must_use]
    pub fn used(&self, count: usize) -> Bits {
        let mut used = vec![false; count];
        for at in self.coarse.iter().filter_map(|(_, at)| *at) {
            if let Some(used) = used.get_mut(at as usize) {
                *used = true;
            }
        }
        Bits::of(used.into_iter())
    }

    /// What neither level covered.
    #[must_use]
    pub fn rest(&self) -> Vec<Span> {
        let middle = self.middle.iter().enumerate().filter(|(at, _)| !self.known.get(*at));
        super::merge(middle.map(|(_, piece)| piece.span))
    }

    /// The recipe, and the literal bytes it needs, in order. `fine`: the pieces of level 2 in [`Plan::rest`],
    /// and which of the receiver's each is.
    #[must_use]
    pub fn recipe(&self, fine: &[(Span, Option<u32>)]) -> (Vec<Op>, Vec<Span>) {
        let mut writer = Writer::default();
        let (mut middle, mut fine) = (self.middle.iter().enumerate().peekable(), fine.iter().peekable());
        for (span, found) in &self.coarse {
            if let Some(at) = found {
                writer.coarse(*at);
                continue;
            }
            let end = span.at + u64::from(span.len);
            while let Some((at, piece)) = middle.next_if(|(_, piece)| piece.span.at < end) {
                if self.known.get(at) {
                    writer.middle();
                    continue;
                }
                let end = piece.span.at + u64::from(piece.span.len);
                while let Some((span, found)) = fine.next_if(|(span, _)| span.at < end) {
                    match found {
                        Some(at) => writer.fine(*at),
                        None => writer.literal(*span),
                    }
                }
            }
        }
        (writer.ops, super::merge(writer.literals.into_iter()))
    }
}

#[derive(Default)]
struct Writer {
    ops: Vec<Op>,
    literals: Vec<Span>,
    coarse: u32,
    fine: u32,
}

impl Writer {
    fn coarse(&mut self, at: u32) {
        let skip = at as i32 - self.coarse as i32;
        self.coarse = at + 1;
        match self.ops.last_mut() {
            Some(Op::Coarse { count, .. }) if skip == 0 => *count += 1,
            _ => self.ops.push(Op::Coarse { skip, count: 1 }),
        }
    }

    fn middle(&mut self) {
        match self.ops.last_mut() {
            Some(Op::Middle { count }) => *count += 1,
            _ => self.ops.push(Op::Middle { count: 1 }),
        }
    }

    fn fine(&mut self, at: u32) {
        let skip = at as i32 - self.fine as i32;
        self.fine = at + 1;
        match self.ops.last_mut() {
            Some(Op::Fine { count, .. }) if skip == 0 => *count += 1,
            _ => self.ops.push(Op::Fine { skip, count: 1 }),
        }
    }

    fn literal(&mut self, span: Span) {
        self.literals.push(span);
        match self.ops.last_mut() {
            Some(Op::Literal { len }) => *len += span.len,
            _ => self.ops.push(Op::Literal { len: span.len }),
        }
    }
}

/// The receiver's half: what the numbers in a recipe stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Its pieces of level 0.
    pub coarse: Vec<Span>,
    /// Where it has each piece of level 1 that the sender told.
    pub middle: Vec<Option<Span>>,
    /// Its pieces of level 2.
    pub fine: Vec<Span>,
}

/// Bytes of a segment on average at least. Where every piece is as short as may be, with as many runs of pieces as
/// pieces of the level above, it is 20.
const SEGMENT_BYTES: u64 = 16;

/// Follows a recipe that comes in parts.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    coarse: i64,
    middle: usize,
    fine: i64,
    /// Where the bytes so far come from.
    pub segments: Vec<Segment>,
    /// How many they are.
    pub len: u64,
    /// How many of them are literal.
    pub literal: u64,
}

impl Follower {
    /// Takes one step; `None` if it makes no sense, or gives more than `len_max` bytes in all, or takes them from
    /// more places than the shortest pieces would.
    pub fn step(&mut self, op: Op, places: &Places, len_max: u64) -> Option<()> {
        let copies = |list: &[Span], next: &mut i64, skip: i32, count: u32| {
            let first = next.checked_add(i64::from(skip))?;
            let end = first.checked_add(i64::from(count))?;
            *next = end;
            list.get(usize::try_from(first).ok()?..usize::try_from(end).ok()?).map(<[Span]>::to_vec)
        };
        match op {
            Op::Literal { len } => {
                self.literal += u64::from(len);
                self.push(Segment::Literal(len), len, len_max)?;
            }
            Op::Coarse { skip, count } => {
                for span in copies(&places.coarse, &mut self.coarse, skip, count)? {
                    self.push(Segment::Old(span), span.len, len_max)?;
                }
            }
            Op::Fine { skip, count } => {
                for span in copies(&places.fine, &mut self.fine, skip, count)? {
                    self.push(Segment::Old(span), span.len, len_max)?;
                }
            }
            Op::Middle { count } => {
                for _ in 0..count {
                    // Those that were not found here are described further, and passed over.
                    while places.middle.get(self.middle)?.is_none() {
                        self.middle += 1;
                    }
                    let span = (*places.middle.get(self.middle)?)?;
                    self.middle += 1;
                    self.push(Segment::Old(span), span.len, len_max)?;
                }
            }
        }
        Some(())
    }

    fn push(&mut self, segment: Segment, len: u32, len_max: u64) -> Option<()> {
        self.len = self.len.checked_add(u64::from(len)).filter(|len| *len <= len_max)?;
        match (self.segments.last_mut(), segment) {
            (Some(Segment::Old(last)), Segment::Old(span)) if last.at + u64::from(last.len) == span.at => {
                last.len += span.len;
            }
            (Some(Segment::Literal(last)), Segment::Literal(len)) => *last += len,
            _ => self.segments.push(segment),
        }
        (self.segments.len() as u64 <= len_max / SEGMENT_BYTES + 4).then_some(())
    }
}

/// Literal bytes of one part of a recipe at most.
const PART_BYTES: usize = 128 << 10;
/// Steps of one part of a recipe at most.
const PART_OPS: usize = 4096;

/// A part of a recipe, as one message holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its steps.
    pub ops: Vec<Op>,
    /// Their literal bytes.
    pub bytes: &'a [u8],
    /// Whether others follow.
    pub more: bool,
}

impl<'a> Part<'a> {
    /// As a message about a file, by its number, and the first of the chunks.
    #[must_use]
    pub fn message(self, file: u32, first: u64) -> Message<'a> {
        let ops = Bounded::new(self.ops).unwrap_or_default();
        Message::Patch { file, first, more: self.more, ops, bytes: self.bytes }
    }
}

/// Cuts a recipe with its literal bytes into parts that fit in a message. There is at least one.
#[must_use]
pub fn parts<'a>(ops: &[Op], mut bytes: &'a [u8]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let (mut part, mut part_bytes) = (Vec::new(), 0);
    let mut end = |part: &mut Vec<Op>, len: &mut usize, more| {
        let (now, rest) = bytes.split_at((*len).min(bytes.len()));
        bytes = rest;
        *len = 0;
        parts.push(Part { ops: std::mem::take(part), bytes: now, more });
    };
    for op in ops {
        let Op::Literal { len } = op else {
            part.push(*op);
            if part.len() >= PART_OPS {
                end(&mut part, &mut part_bytes, true);
            }
            continue;
        };
        let mut rest = *len as usize;
        while rest > 0 {
            let now = rest.min(PART_BYTES - part_bytes);
            part.push(Op::Literal { len: now as u32 });
            part_bytes += now;
            rest -= now;
            if part_bytes == PART_BYTES || part.len() >= PART_OPS {
                end(&mut part, &mut part_bytes, true);
            }
        }
    }
    end(&mut part, &mut part_bytes, false);
    parts
}
