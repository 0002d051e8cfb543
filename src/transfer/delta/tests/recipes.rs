//! Both ends' turns, taken by hand: what comes out is the new bytes, and little crosses.

use proptest::prelude::*;

use super::super::recipe::{Follower, Op, Places, Plan, Segment, parts};
use super::super::{Bits, Digests, LEVELS, NEW_BYTES_MAX, Piece, SHAPES, Span, Turn, pieces_max};
use super::{bytes_of, edited, reader, some_bytes};
use crate::bench::pair::Rng;
use crate::snapshot::EntryId;
use crate::transfer::sender::Patch;

/// What a refinement gave and cost.
struct Refined {
    made: Vec<u8>,
    /// Literal bytes.
    literal: usize,
    steps: usize,
    /// Bytes of digests and bits, both ways.
    described: usize,
}

fn spans(pieces: &[Piece]) -> Vec<Span> {
    pieces.iter().map(|piece| piece.span).collect()
}

/// Takes every turn, each end seeing only its own bytes and what the other told.
fn refined(old: &[u8], new: &[u8]) -> Refined {
    let whole = |bytes: &[u8]| vec![Span { at: 0, len: bytes.len() as u32 }];
    // The receiver describes.
    let coarse = Turn { level: 0, spans: whole(old), theirs: None }.run(reader(old)).unwrap().pieces;
    let told = Digests::of(&coarse);
    let mut described = told.bytes();
    // The sender compares, and describes the rest.
    let turn = Turn { level: 0, spans: whole(new), theirs: Some(told.clone()) };
    let mut plan = Plan::new(turn.run(reader(new)).unwrap(), &told);
    assert_eq!((plan.len(), plan.is_empty()), (new.len() as u64, new.is_empty()));
    let used = plan.used(told.len());
    assert!(used.fits(coarse.len()));
    let middle = Digests::of(&plan.middle);
    assert!(middle.len() as u64 <= pieces_max(1, new.len() as u64));
    described += middle.bytes();
    // The receiver compares what is not known.
    let unknown = coarse.iter().enumerate().filter(|(at, _)| !used.get(*at));
    let rest = super::super::merge(unknown.map(|(_, piece)| piece.span));
    let turned = Turn { level: 1, spans: rest, theirs: Some(middle.clone()) }.run(reader(old)).unwrap();
    let found = middle.places(&turned.pieces);
    plan.known = Bits::of(found.iter().map(Option::is_some));
    assert!(plan.known.fits(plan.middle.len()));
    let fine = Digests::of(&turned.below);
    assert!(turned.below.len() as u64 <= pieces_max(2, old.len() as u64));
    described += fine.bytes();
    let places = Places { coarse: spans(&coarse), middle: found, fine: spans(&turned.below) };
    // The sender writes the recipe.
    let turn = Turn { level: LEVELS - 1, spans: plan.rest(), theirs: Some(fine) };
    let patch = Patch { file: EntryId(0), first: 0, plan, turn };
    let (ops, literals) = patch.make(reader(new)).unwrap();
    // The receiver follows it, part by part.
    let mut follower = Follower::default();
    let (mut literal, mut steps) = (Vec::new(), 0);
    let parts = parts(&ops, &literals);
    for (at, part) in parts.iter().enumerate() {
        assert_eq!(part.more, at + 1 < parts.len());
        assert!(part.ops.len() <= 4096 && part.bytes.len() <= 128 << 10);
        steps += part.ops.len();
        for op in &part.ops {
            follower.step(*op, &places, new.len() as u64).expect("an honest recipe makes sense");
        }
        literal.extend_from_slice(part.bytes);
        assert_eq!(follower.literal, literal.len() as u64, "each part brings its own bytes");
    }
    assert_eq!(follower.len, new.len() as u64);
    let mut made = Vec::new();
    let mut rest = &literal[..];
    for segment in &follower.segments {
        match segment {
            Segment::Old(span) => made.extend_from_slice(bytes_of(old, *span)),
            Segment::Literal(len) => {
                let (now, after) = rest.split_at(*len as usize);
                made.extend_from_slice(now);
                rest = after;
            }
        }
    }
    assert!(rest.is_empty());
    Refined { made, literal: literal.len(), steps, described }
}

#[test]
fn turns_by_hand_give_exactly_the_new_bytes() {
    for seed in 0..150 {
        let mut rng = Rng(seed);
        let len = [0, 1, 256, 5000, 70_000, 300_000][rng.below(6) as usize];
        let old = some_bytes(&mut rng, len);
        let new = match rng.below(8) {
            0 => some_bytes(&mut rng, 30_000),
            1 => Vec::new(),
            2 => old.clone(),
            _ => edited(&mut rng, &old),
        };
        let Refined { made, literal, .. } = refined(&old, &new);
        assert!(made == new, "seed {seed}");
        assert!(literal <= new.len(), "seed {seed}");
        if new == old {
            assert_eq!(literal, 0, "seed {seed}: what is all there need not come");
        }
    }
}

/// One piece of level 2 may be new, and one more where the edit stands on a border; nine of ten are shorter than
/// 230 bytes.
#[test]
fn one_inserted_byte_costs_a_few_hundred_bytes_of_a_mebibyte() {
    let mut literals = 0;
    for seed in 0..40 {
        let mut rng = Rng(seed);
        let old = rng.bytes(1 << 20);
        let mut new = old.clone();
        let at = rng.below(new.len() as u64 + 1) as usize;
        new.insert(at, b'!');
        let Refined { made, literal, steps, described } = refined(&old, &new);
        assert!(made == new, "seed {seed}");
        assert!(literal <= 1024 && steps <= 12, "seed {seed}: {literal} literal bytes, {steps} steps");
        // 200 coarse pieces of four bytes; of one or two of them the levels below.
        assert!(described <= 200 * 5 + 1500, "seed {seed}: {described}");
        literals += literal;
    }
    assert!(literals / 40 <= 160, "{literals} in 40 recipes");
}

#[test]
fn moved_blocks_cost_no_literals_but_their_edges() {
    for seed in 0..20 {
        let mut rng = Rng(seed);
        let old = rng.bytes(200_000);
        let new = [&old[120_000..], &old[..120_000]].concat();
        let Refined { made, literal, .. } = refined(&old, &new);
        assert!(made == new, "seed {seed}");
        assert!(literal <= 3000, "seed {seed}: {literal}");
    }
}

/// An old piece that is used is not described any finer: where a repetition starts or ends within it, the rest of
/// the new piece comes.
#[test]
fn repeated_blocks_cost_a_coarse_piece_at_each_edge() {
    for seed in 0..20 {
        let mut rng = Rng(seed);
        let old = rng.bytes(200_000);
        let new = [&old[..], &old[50_000..90_000]].concat();
        let Refined { made, literal, .. } = refined(&old, &new);
        assert!(made == new, "seed {seed}");
        assert!(literal <= 2 * SHAPES[0].max, "seed {seed}: {literal}");
    }
}

#[test]
fn unrelated_bytes_come_once() {
    let (old, new) = (Rng(1).bytes(100_000), Rng(2).bytes(100_000));
    let Refined { made, literal, steps, .. } = refined(&old, &new);
    assert!(made == new);
    assert_eq!((literal, steps), (100_000, 1));
}

#[test]
fn parts_cut_long_literals_and_lists_of_steps() {
    let bytes = Rng(3).bytes(300_000);
    let alone = [Op::Literal { len: 300_000 }];
    let lens: Vec<usize> = parts(&alone, &bytes).iter().map(|part| part.bytes.len()).collect();
    assert_eq!(lens, [131_072, 131_072, 37_856]);
    let many = vec![Op::Fine { skip: 1, count: 1 }; 10_000];
    let counts: Vec<usize> = parts(&many, &[]).iter().map(|part| part.ops.len()).collect();
    assert_eq!(counts, [4096, 4096, 1808]);
    let none = parts(&[], &[]);
    assert!(none.len() == 1 && !none[0].more, "an empty recipe is told too");
    // Steps before a literal that is cut stay before it.
    let mixed = [Op::Coarse { skip: 0, count: 1 }, Op::Literal { len: 131_073 }, Op::Middle { count: 2 }];
    let mixed: Vec<_> = parts(&mixed, &bytes).into_iter().map(|part| part.ops).collect();
    let expected = [
        vec![Op::Coarse { skip: 0, count: 1 }, Op::Literal { len: 131_072 }],
        vec![Op::Literal { len: 1 }, Op::Middle { count: 2 }],
    ];
    assert_eq!(mixed, expected);
}

fn any_op() -> impl Strategy<Value = Op> {
    let skip = || prop_oneof![any::<i32>(), -6_i32..6];
    let count = || prop_oneof![any::<u32>(), 0_u32..4];
    prop_oneof![
        (skip(), count()).prop_map(|(skip, count)| Op::Coarse { skip, count }),
        count().prop_map(|count| Op::Middle { count }),
        (skip(), count()).prop_map(|(skip, count)| Op::Fine { skip, count }),
        prop_oneof![any::<u32>(), 0_u32..200].prop_map(|len| Op::Literal { len }),
    ]
}

proptest! {
    #[test]
    fn no_step_takes_a_follower_beyond_its_bounds(
        ops in proptest::collection::vec(any_op(), 0..60),
        len_max in prop_oneof![0_u64..600, Just(NEW_BYTES_MAX)],
    ) {
        let list = |count: u64| (0..count).map(|at| Span { at: at * 40, len: 30 }).collect::<Vec<_>>();
        let middle = list(8).into_iter().enumerate().map(|(at, span)| (at % 3 > 0).then_some(span)).collect();
        let places = Places { coarse: list(8), middle, fine: list(8) };
        let mut follower = Follower::default();
        for op in ops {
            if follower.step(op, &places, len_max).is_none() {
                break;
            }
            prop_assert!(follower.len <= len_max);
            let given = |segment: &Segment| u64::from(match segment {
                Segment::Old(span) => span.len,
                Segment::Literal(len) => *len,
            });
            prop_assert_eq!(follower.segments.iter().map(given).sum::<u64>(), follower.len);
        }
        prop_assert!(follower.segments.len() as u64 <= len_max / 16 + 5);
    }
}

#[test]
fn a_recipe_of_crumbs_makes_no_sense() {
    let places = Places { fine: vec![Span { at: 9, len: 1 }], ..Places::default() };
    let crumbs = [Op::Fine { skip: 0, count: 1 }, Op::Literal { len: 1 }, Op::Fine { skip: -1, count: 1 }];
    let mut follower = Follower::default();
    let steps = crumbs[..1].iter().chain(crumbs[1..].iter().cycle().take(1000));
    let taken = steps.map_while(|op| follower.step(*op, &places, 1000)).count();
    assert_eq!(taken, 1000 / 16 + 4, "each step gives one byte from another place");
    // Steps that give nothing take no memory either.
    let mut follower = Follower::default();
    for _ in 0..1000 {
        let nothing = [Op::Literal { len: 0 }, Op::Fine { skip: 0, count: 0 }, Op::Middle { count: 0 }];
        assert!(nothing.iter().all(|op| follower.step(*op, &places, 1000).is_some()));
    }
    assert!(follower.segments.len() <= 1 && follower.len == 0);
}

#[test]
fn recipes_of_the_shortest_pieces_are_followed() {
    // Pieces are shortest where nearly every window is an end: search for a byte whose runs are cut at once.
    for byte in 0..=255_u8 {
        let mut rng = Rng(u64::from(byte));
        let old: Vec<u8> =
            (0..20_000).map(|_| if rng.below(40) == 0 { rng.next() as u8 } else { byte }).collect();
        let mut new = old.clone();
        for at in (0..new.len()).step_by(60) {
            new[at] ^= 1;
        }
        assert!(refined(&old, &new).made == new, "{byte}");
    }
}
