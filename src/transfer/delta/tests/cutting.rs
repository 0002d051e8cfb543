//! Where pieces end, what their digests are, and how both are found again.

use proptest::prelude::*;

use super::super::{
    Bits, Digests, GEAR, LEVELS, Piece, SHAPES, Shape, Span, Turn, Turned, cut_all, merge, pieces_max,
};
use super::{bytes_of, reader, some_bytes};
use crate::bench::pair::Rng;

/// The rolling hash behind the byte at `at`, from its definition: the last sixteen bytes, each worth sixteen times
/// the one after it.
fn rolled(bytes: &[u8], at: usize) -> u64 {
    let window = &bytes[at - 15..=at];
    let worth =
        |(age, byte): (usize, &u8)| GEAR[usize::from(*byte)].wrapping_mul(16_u64.wrapping_pow(age as u32));
    window.iter().rev().enumerate().map(worth).fold(0, u64::wrapping_add)
}

/// The first place behind the minimum where the hash has enough zeros.
fn slow_cut(shape: &Shape, bytes: &[u8]) -> usize {
    let end = bytes.len().min(shape.max);
    (shape.min..end).find(|at| rolled(bytes, *at).leading_zeros() >= shape.zeros).map_or(end, |at| at + 1)
}

fn pieces(level: usize, bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    cut_all(level, 0, bytes, &mut pieces);
    pieces
}

#[test]
fn the_gear_table_is_the_output_of_splitmix64() {
    let mut rng = Rng(0);
    assert!(GEAR.iter().all(|number| *number == rng.next()));
    assert_eq!(GEAR[0], 0xe220_a839_7b1d_cdaf, "its first output for the seed 0");
}

#[test]
fn pieces_end_where_the_slow_cut_says() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let len = [0, 1, 23, 24, 25, 128, 129, 1024, 1025, 40_000][rng.below(10) as usize];
        let bytes = some_bytes(&mut rng, len);
        for (level, shape) in SHAPES.iter().enumerate() {
            let found = pieces(level, &bytes);
            let mut rest = &bytes[..];
            let mut at = 0;
            for piece in &found {
                let len = slow_cut(shape, rest);
                assert_eq!(piece.span, Span { at, len: len as u32 }, "seed {seed} level {level}");
                assert_eq!(piece.digest, xxhash_rust::xxh3::xxh3_64(&rest[..len]), "seed {seed}");
                at += len as u64;
                rest = &rest[len..];
            }
            assert!(rest.is_empty(), "seed {seed} level {level}");
            let lens = found.iter().map(|piece| piece.span.len as usize);
            assert!(lens.clone().all(|len| len <= shape.max), "seed {seed} level {level}");
            let but_last = found.len().saturating_sub(1);
            assert!(lens.take(but_last).all(|len| len > shape.min), "seed {seed} level {level}");
            assert!(found.len() as u64 <= pieces_max(level, len as u64), "seed {seed} level {level}");
        }
    }
}

#[test]
fn equal_bytes_are_cut_alike_wherever_they_begin() {
    for seed in 0..30 {
        let mut rng = Rng(seed);
        let bytes = rng.bytes(200_000);
        let shift = rng.below(5000) as usize + 1;
        for (level, shape) in SHAPES.iter().enumerate() {
            let ends = |from: usize| -> Vec<usize> {
                pieces(level, &bytes[from..])
                    .iter()
                    .map(|piece| from + piece.span.at as usize + piece.span.len as usize)
                    .collect()
            };
            let (whole, later) = (ends(0), ends(shift));
            let joint = later.iter().position(|end| whole.binary_search(end).is_ok()).expect("a common end");
            // With a chance of about four to one that the next end is common, thirty fail together never.
            assert!(
                later[joint] <= shift + 30 * shape.max.min(shape.min + (2 << shape.zeros)),
                "seed {seed}"
            );
            assert!(
                whole.ends_with(&later[joint..]),
                "seed {seed} level {level}: ends differ behind a common one"
            );
        }
    }
}

#[test]
fn pieces_have_the_length_that_is_documented() {
    let bytes = Rng(1).bytes(4 << 20);
    for (level, range) in [4800..5400, 610..670, 85..92].into_iter().enumerate() {
        let mean = bytes.len() / pieces(level, &bytes).len();
        assert!(range.contains(&mean), "level {level}: {mean}");
    }
}

fn piece(digest: u64, at: u64) -> Piece {
    Piece { span: Span { at, len: 1 }, digest }
}

#[test]
fn digests_are_as_long_as_their_number_asks() {
    for (count, width) in [(0, 3), (64, 3), (65, 4), (1024, 4), (1025, 5), (16_384, 5), (16_385, 6)] {
        let list: Vec<Piece> = (0..count).map(|at| piece(u64::MAX - at, at)).collect();
        let digests = Digests::of(&list);
        assert!(digests.is_valid());
        assert_eq!((digests.len() as u64, digests.bytes() as u64), (count, count * width));
        assert!(digests.iter().zip(&list).all(|(told, piece)| told == piece.digest % (1 << (8 * width))));
    }
    let many: Vec<Piece> = (0..200_000).map(|at| piece(at, at)).collect();
    let digests = Digests::of(&many);
    assert!(digests.is_valid());
    assert_eq!(digests.len(), super::super::DIGEST_BYTES_MAX / 6, "what does not fit is not told");
    assert_eq!(digests.positions(&many)[199_999], None);
}

#[test]
fn digests_of_no_width_or_in_parts_are_none() {
    for (width, len, valid) in [(0, 0, false), (9, 9, false), (255, 255, false), (3, 4, false), (8, 8, true)]
    {
        let bytes = crate::codec::Bounded::new(vec![7; len]).unwrap();
        let digests = Digests { width, bytes };
        assert_eq!(digests.is_valid(), valid, "{width} {len}");
        // Even then nothing panics.
        let _ = (digests.len(), digests.positions(&[piece(1, 1)]), digests.places(&[piece(1, 1)]));
    }
}

proptest! {
    #[test]
    fn positions_and_places_are_those_of_a_search(
        theirs in proptest::collection::vec(0_u64..40, 0..60),
        ours in proptest::collection::vec(0_u64..40, 0..60),
    ) {
        // Equal in what crosses, and different beyond it.
        let told = |digests: &[u64], beyond: u64| -> Vec<Piece> {
            digests.iter().zip(0..).map(|(digest, at)| piece(digest | beyond << 32, at)).collect()
        };
        let (theirs, ours) = (told(&theirs, 1), told(&ours, 2));
        let digests = Digests::of(&theirs);
        let short = |piece: &Piece| piece.digest & 0xff_ffff;
        let positions = digests.positions(&ours);
        prop_assert_eq!(positions.len(), ours.len());
        let mut last = None;
        for (piece, found) in ours.iter().zip(positions) {
            match found {
                Some(at) => prop_assert_eq!(short(&theirs[at as usize]), short(piece)),
                None => prop_assert!(theirs.iter().all(|other| short(other) != short(piece))),
            }
            // Neighbours stay neighbours where they can.
            if let Some(last) = last
                && theirs.get(last as usize + 1).is_some_and(|next: &Piece| short(next) == short(piece))
            {
                prop_assert_eq!(found, Some(last + 1));
            }
            last = found.or(last);
        }
        let places = digests.places(&ours);
        prop_assert_eq!(places.len(), theirs.len());
        for (piece, found) in theirs.iter().zip(places) {
            let first = ours.iter().find(|other| short(other) == short(piece));
            prop_assert_eq!(found, first.map(|other| other.span));
        }
    }

    #[test]
    fn bits_are_a_list_of_bools(list in proptest::collection::vec(any::<bool>(), 0..70)) {
        let bits = Bits::of(list.iter().copied());
        prop_assert_eq!(bits.count(), list.iter().filter(|bit| **bit).count());
        for (at, bit) in list.iter().enumerate() {
            prop_assert_eq!(bits.get(at), *bit);
        }
        prop_assert!(!bits.get(list.len()) && !bits.get(usize::MAX));
        for count in 0..90 {
            prop_assert_eq!(bits.fits(count), count.div_ceil(8) == list.len().div_ceil(8), "{}", count);
        }
    }

    #[test]
    fn merged_spans_cover_the_same_bytes_and_none_follows_another(
        gaps in proptest::collection::vec((0_u64..3, 1_u32..5), 0..30),
    ) {
        let mut at = 0;
        let spans: Vec<Span> = gaps.iter().map(|(gap, len)| {
            let span = Span { at: at + gap, len: *len };
            at = span.at + u64::from(span.len);
            span
        }).collect();
        let covered = |spans: &[Span]| -> Vec<u64> {
            spans.iter().flat_map(|span| span.at..span.at + u64::from(span.len)).collect()
        };
        let merged = merge(spans.iter().copied());
        prop_assert_eq!(covered(&merged), covered(&spans));
        prop_assert!(merged.windows(2).all(|two| two[0].at + u64::from(two[0].len) < two[1].at));
    }
}

#[test]
fn a_turn_cuts_again_exactly_what_the_other_end_has_not() {
    for seed in 0..40 {
        let mut rng = Rng(seed);
        let old = some_bytes(&mut rng, 60_000);
        let new = super::edited(&mut rng, &old);
        let spans = vec![Span { at: 0, len: new.len() as u32 }];
        for level in 0..LEVELS {
            let theirs = Digests::of(&pieces(level, &old));
            let turn = Turn { level, spans: spans.clone(), theirs: Some(theirs) };
            let Turned { pieces: found, below } = turn.run(reader(&new)).unwrap();
            assert_eq!(found, pieces(level, &new), "seed {seed}");
            let known: Vec<&[u8]> =
                pieces(level, &old).iter().map(|piece| bytes_of(&old, piece.span)).collect();
            let unknown = found.iter().filter(|piece| !known.contains(&bytes_of(&new, piece.span)));
            let mut expected = Vec::new();
            for rest in merge(unknown.map(|piece| piece.span)).into_iter().filter(|_| level + 1 < LEVELS) {
                cut_all(level + 1, rest.at, bytes_of(&new, rest), &mut expected);
            }
            assert_eq!(below, expected, "seed {seed} level {level}");
        }
        let alone = Turn { level: 0, spans, theirs: None }.run(reader(&new)).unwrap();
        assert!(alone.below.is_empty(), "nobody told anything yet");
        let beyond = Turn { level: 0, spans: vec![Span { at: 1, len: new.len() as u32 + 1 }], theirs: None };
        assert!(beyond.run(reader(&new)).is_err(), "a file that became shorter");
    }
}
