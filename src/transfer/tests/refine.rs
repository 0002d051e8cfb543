//! Sessions that refine: what they cost, and that they end right whatever changes meanwhile.

use std::cell::Cell;

use xxhash_rust::xxh3::xxh3_64;

use super::bed::{Rng, path, remove, scanned, small_params, tree_of};
use super::campaign::{check_equal, visible};
use super::pair::{Failure, Session, Setup};
use crate::chunk::Params;
use crate::fs::Time;
use crate::fs::mem::MemFs;
use crate::transfer::delta::{Span, Turn};
use crate::transfer::message::{Gone, Report};
use crate::transfer::receiver::{Action, Options};
use crate::transfer::sender::Job;

/// Bytes that one inserted byte may cost on the wire, both directions, the listing and the proof included.
const ONE_BYTE_MAX: u64 = 2000;

fn synced(setup: &Setup<'_>) -> Session {
    let session = setup.run().unwrap_or_else(|failure| panic!("{failure:?}"));
    check_equal(setup, &session);
    assert_eq!(session.turns_left, 0, "the sender waits for turns that are not taken");
    session
}

fn both_ways(session: &Session) -> u64 {
    session.wire.iter().sum()
}

/// Bytes with one more in the middle.
fn inserted(bytes: &[u8]) -> Vec<u8> {
    let mut new = bytes.to_vec();
    new.insert(new.len() / 2, b'!');
    new
}

#[test]
fn one_byte_inserted_in_a_mebibyte_costs_few_bytes_and_round_trips() {
    let old = Rng(1).bytes(1 << 20);
    let (source, destination) = (tree_of(&[("f", &inserted(&old))]), tree_of(&[("f", &old)]));
    let session = synced(&Setup { params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.patches, session.chunks_sent), (1, 1, 0));
    assert!(both_ways(&session) < 3 * ONE_BYTE_MAX, "{session:?}");
    assert!(session.report.bytes_literal < 200, "{session:?}");
    assert_eq!(session.report.bytes_reused + session.report.bytes_literal, (1 << 20) + 1);
    assert_eq!(session.round_trips, 5, "list, describe, refine, pieces, done");
}

#[test]
fn one_byte_inserted_in_a_small_file_is_found_without_a_chunk_list() {
    let old = Rng(1).bytes(100_000);
    let (source, destination) = (tree_of(&[("f", &inserted(&old))]), tree_of(&[("f", &old)]));
    let session = synced(&Setup { params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.patches, session.described), (1, 1, 0));
    assert!(both_ways(&session) < ONE_BYTE_MAX, "{session:?}");
    assert_eq!(session.round_trips, 4, "list, refine, pieces, done");
}

#[test]
fn a_thousand_edited_files_share_their_round_trips() {
    let source = tree_of(&[]);
    let destination = tree_of(&[]);
    for n in 0..1000 {
        let (at, old) = (format!("d{}/f{n}", n % 20), Rng(n).bytes(2000 + n as usize));
        destination.write(&at, &old).unwrap();
        source.write(&at, &inserted(&old)).unwrap();
    }
    let session = synced(&Setup { params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.patches, session.chunks_sent), (1000, 1000, 0));
    assert!(session.round_trips <= 5, "{session:?}");
    // Of 2.5 MB; the listing takes a fifth of it.
    assert!(both_ways(&session) < 400_000, "{session:?}");
}

#[test]
fn bytes_that_have_nothing_in_common_cost_little_more_than_themselves() {
    for (params, len) in [(Params::default(), 200_000), (small_params(), 3000), (Params::default(), 900_000)]
    {
        let (old, new) = (Rng(1).bytes(len), Rng(2).bytes(len));
        let (source, destination) = (tree_of(&[("f", &new)]), tree_of(&[("f", &old)]));
        let session = synced(&Setup { params, ..Setup::new(&source, &destination) });
        assert_eq!(session.report.bytes_literal, len as u64, "{session:?}");
        assert!(both_ways(&session) < len as u64 * 11 / 10 + 1000, "{session:?}");
    }
}

/// What may happen to an old file, or to a new one.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Other,
    Shorter,
    Removed,
}

impl Damage {
    const ALL: [Damage; 3] = [Damage::Other, Damage::Shorter, Damage::Removed];

    fn happen(self, fs: &MemFs, at: &str) {
        let now = fs.time();
        fs.set_time(Time { secs: now.secs + 10, ..now });
        let len = fs.read(at).unwrap().len();
        match self {
            Damage::Other => fs.write(at, &Rng(77).bytes(len)).unwrap(),
            Damage::Shorter => fs.write(at, &Rng(77).bytes(len / 3)).unwrap(),
            Damage::Removed => remove(fs, at),
        }
    }
}

/// Files that are refined whole, as their only chunk, and by their chunks.
const SIZES: [(&str, usize); 3] = [("whole", 100_000), ("one", 9000), ("many", 700_000)];

fn files(edit: bool) -> MemFs {
    let fs = tree_of(&[]);
    for (name, len) in SIZES {
        let old = Rng(len as u64).bytes(len);
        fs.write(name, &if edit { inserted(&old) } else { old }).unwrap();
    }
    fs
}

/// Turns of the destination on a file: two comparisons, and what is made.
fn turn_of(action: &Action, victim: &str) -> Option<usize> {
    // Entries are numbered in the order of their names.
    let number = SIZES.iter().filter(|(name, _)| *name < victim).count() as u32;
    match action {
        Action::Compare { file, turn, .. } if file.0 == number => Some(turn.level),
        Action::Patch { file, .. } if file.0 == number => Some(2),
        _ => None,
    }
}

#[test]
fn an_old_file_that_changes_between_any_two_turns_still_gives_the_right_bytes() {
    for (victim, len) in SIZES {
        for damage in Damage::ALL {
            for turn in 0..3 {
                let (source, destination) = (files(true), files(false));
                let done = Cell::new(false);
                let before = |action: &Action| {
                    if turn_of(action, victim) == Some(turn) && !done.replace(true) {
                        damage.happen(&destination, victim);
                    }
                };
                let params = Params::default();
                let setup =
                    Setup { before_action: Some(&before), params, ..Setup::new(&source, &destination) };
                let context = format!("{victim} {damage:?} before turn {turn}");
                let session = setup.run().unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
                assert!(done.get(), "{context}: nothing was damaged");
                assert!(session.problems.is_empty() && session.lost.is_empty(), "{context}: {session:?}");
                check_equal(&setup, &session);
                // At most all of it, and before that a recipe with a coarse piece at each level.
                let Report { bytes_literal, bytes_reused, .. } = session.report;
                assert!(bytes_literal <= len as u64 + 40_000, "{context}: {session:?}");
                let total: usize = SIZES.iter().map(|(_, len)| len + 1).sum();
                assert!(bytes_reused <= total as u64, "{context}: {session:?}");
            }
        }
    }
}

#[test]
fn a_new_file_that_changes_between_any_two_turns_is_reported_and_the_rest_is_made() {
    for (victim, _) in SIZES {
        for damage in Damage::ALL {
            for last in [false, true] {
                let (source, destination) = (files(true), files(false));
                let done = Cell::new(false);
                let before = |_: u64, job: &Job| {
                    let now = match job {
                        Job::Compare { .. } => !last,
                        Job::Patch { .. } => last,
                        _ => false,
                    };
                    if now && !done.replace(true) {
                        damage.happen(&source, victim);
                    }
                };
                let params = Params::default();
                let setup = Setup { before_job: Some(&before), params, ..Setup::new(&source, &destination) };
                let context = format!("{victim} {damage:?} last: {last}");
                let session = setup.run().unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
                assert!(done.get(), "{context}: nothing was damaged");
                let [(lost, why)] = &session.lost[..] else { panic!("{context}: {:?}", session.lost) };
                assert_eq!((lost, session.root), (&path(victim), None), "{context}");
                assert!(matches!(why, Gone::Changed | Gone::Vanished), "{context}: {why:?}");
                for (name, len) in SIZES {
                    let old = Rng(len as u64).bytes(len);
                    let expected = if name == victim { old } else { inserted(&old) };
                    assert!(destination.read(name).unwrap() == expected, "{context}: {name}");
                }
            }
        }
    }
}

#[test]
fn a_new_file_that_was_another_for_one_turn_comes_whole() {
    for (victim, _) in SIZES {
        let (source, destination) = (files(true), files(false));
        let good = source.read(victim).unwrap();
        let before = |_: u64, job: &Job| match job {
            Job::Compare { .. } => source.write(victim, &Rng(5).bytes(good.len())).unwrap(),
            Job::Patch { .. } => source.write(victim, &good).unwrap(),
            _ => {}
        };
        let params = Params::default();
        let setup = Setup { before_job: Some(&before), params, ..Setup::new(&source, &destination) };
        let session = setup.run().unwrap_or_else(|failure| panic!("{victim}: {failure:?}"));
        for (name, len) in SIZES {
            let expected = inserted(&Rng(len as u64).bytes(len));
            assert!(destination.read(name).unwrap() == expected, "{victim}: {name}");
        }
        assert!(session.lost.is_empty(), "{victim}: {session:?}");
    }
}

/// Two files of one piece each, whose short digests are equal.
fn clash() -> (Vec<u8>, Vec<u8>) {
    let mut seen = std::collections::HashMap::new();
    for seed in 0.. {
        let bytes = Rng(seed).bytes(600);
        let digest = xxh3_64(&bytes) & 0xff_ffff;
        if let Some(other) = seen.insert(digest, bytes.clone()) {
            return (other, bytes);
        }
    }
    unreachable!("there are 2^24 digests")
}

#[test]
fn pieces_taken_for_one_another_are_found_out_and_come_whole() {
    let (old, new) = clash();
    // Of one chunk, and of several.
    for params in [Params::default(), small_params()] {
        let (source, destination) = (tree_of(&[("f", &new)]), tree_of(&[("f", &old)]));
        let session = synced(&Setup { params, ..Setup::new(&source, &destination) });
        assert_eq!((session.refines, session.patches), (1, 1), "{session:?}");
        assert!(session.chunks_sent > 0, "{session:?}");
        assert_eq!((session.report.bytes_literal, session.report.bytes_reused), (600, 0), "{session:?}");
    }
}

#[test]
fn a_clash_in_a_longer_file_spoils_only_its_chunk() {
    let pieces = |bytes: &[u8]| -> Vec<Span> {
        let turn = Turn { level: 0, spans: vec![Span { at: 0, len: bytes.len() as u32 }], theirs: None };
        let read = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
            Ok(())
        };
        turn.run(read).unwrap().pieces.iter().map(|piece| piece.span).collect()
    };
    let rest = Rng(3).bytes(500_000);
    // With whatever follows up to the next cut, the last piece.
    let last = &rest[pieces(&rest).last().unwrap().at as usize..];
    let mut seen = std::collections::HashMap::new();
    let clash = (0..).find_map(|seed| {
        let piece = [last, &Rng(seed).bytes(600)].concat();
        let digest = xxh3_64(&piece) & 0xff_ffff;
        if pieces(&piece).len() > 1 { None } else { seen.insert(digest, seed).map(|other| (other, seed)) }
    });
    let with = |seed| [&rest[..], &Rng(seed).bytes(600)].concat();
    let (old, new) = clash.map(|(old, new)| (with(old), with(new))).unwrap();
    let (source, destination) = (tree_of(&[("f", &new)]), tree_of(&[("f", &old)]));
    let session = synced(&Setup { params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.patches, session.chunks_sent), (1, 1, 1), "{session:?}");
    assert!(session.report.bytes_literal <= 256 << 10, "{session:?}");
}

#[test]
fn files_without_a_known_root_are_refined_and_what_was_held_for_them_is_let_go() {
    // More than the sender holds at one time: it would wait for ever.
    let (source, destination) = (tree_of(&[]), tree_of(&[]));
    for n in 0..40 {
        let old = Rng(n).bytes(1 << 20);
        destination.write(&format!("f{n}"), &old).unwrap();
        source.write(&format!("f{n}"), &inserted(&old)).unwrap();
    }
    let session = synced(&Setup { known: 0, params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.described, session.chunks_sent), (40, 0), "{session:?}");
    assert_eq!((session.refines, session.patches), (40, 40), "{session:?}");
    assert!(both_ways(&session) < 40 * 3 * ONE_BYTE_MAX, "{session:?}");
}

#[test]
fn files_that_are_unlike_leave_no_turn_open() {
    // Described instead: the sender must not wait for the receiver's turn on each, for ever and in vain.
    let (source, destination) = (tree_of(&[]), tree_of(&[]));
    for n in 0..30 {
        destination.write(&format!("f{n}"), &Rng(n).bytes(30_000)).unwrap();
        source.write(&format!("f{n}"), &Rng(n + 1000).bytes(30_000)).unwrap();
    }
    let session = synced(&Setup { params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.described), (30, 30), "{session:?}");
}

#[test]
fn a_session_cut_anywhere_is_resumed_without_bytes_that_are_here() {
    for cut in 3.. {
        let (source, destination) = (files(true), files(false));
        let before = visible(&destination);
        let params = Params::default();
        let setup = Setup { cut: Some(cut), params, ..Setup::new(&source, &destination) };
        match setup.run() {
            Err(Failure::Cut(session)) if session.root.is_none() => {
                assert!(visible(&destination) == before, "cut at {cut}: something visible changed");
            }
            Err(Failure::Cut(_)) => {}
            Ok(_) => return assert!(cut > 10, "cut at {cut}"),
            Err(failure) => panic!("cut at {cut}: {failure:?}"),
        }
        let session = synced(&Setup { cut: None, ..setup });
        assert!(session.report.bytes_literal < 1000, "cut at {cut}: {session:?}");
    }
}

#[test]
fn without_the_option_nothing_is_refined() {
    let (source, destination) = (files(true), files(false));
    let options = Options { delta: false, delete: true, ..Options::default() };
    let session = synced(&Setup { options, params: Params::default(), ..Setup::new(&source, &destination) });
    assert_eq!((session.refines, session.patches), (0, 0));
    assert!(session.report.bytes_literal > 100_000, "{session:?}");
}

/// A session whose sender remembers the destination's tree.
fn remembering(old: &[u8], new: &[u8], own_lists: bool) -> Session {
    let (source, destination) = (tree_of(&[("f", new)]), tree_of(&[("f", old)]));
    let remembered = scanned(&destination, &small_params(), true).snapshot;
    synced(&Setup { remembered: Some(&remembered), own_lists, ..Setup::new(&source, &destination) })
}

#[test]
fn a_remembered_list_is_told_by_steps_in_as_many_parts_as_they_take() {
    let old = Rng(4).bytes(4 << 20);
    let mut new = old.clone();
    new.iter_mut().skip(100).step_by(500).for_each(|byte| *byte ^= 1);
    let session = remembering(&old, &new, true);
    assert!((2..=6).contains(&session.chunk_steps), "{session:?}");
}

#[test]
fn chunks_that_changed_places_are_told_again() {
    let old = Rng(4).bytes(64 << 10);
    let (front, back) = old.split_at(20 << 10);
    let session = remembering(&old, &[back, front].concat(), true);
    assert_eq!((session.chunk_steps, session.report.bytes_literal > 2000), (1, false), "{session:?}");
    // Those of the front, which the way has passed, but not those of the back.
    assert!((20..150).contains(&session.chunks_listed), "{session:?}");
}

#[test]
fn a_receiver_that_lost_its_lists_asks_for_the_whole_list() {
    for len in [20_000, 300_000] {
        let old = Rng(6).bytes(len);
        let session = remembering(&old, &inserted(&old), false);
        assert_eq!((session.chunk_steps, session.described), (1, 2), "{session:?}");
        assert!(session.chunks_listed > 40, "{session:?}");
    }
}
