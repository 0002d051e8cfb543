//! What sessions cost: round trips, bytes, names listed, chunks sent. Each number is exact and deterministic.

use super::bed::{Rng, link, path, remove, rename, scanned, set_mtime, small_params, tree_of};
use super::campaign::{check_equal, visible};
use super::pair::{Session, Setup, Split};
use crate::chunk::Params;
use crate::fs::Time;
use crate::fs::mem::MemFs;
use crate::transfer::message::{Gone, Report};
use crate::transfer::receiver::Options;

fn synced(setup: &Setup<'_>) -> Session {
    let session = setup.run().unwrap_or_else(|failure| panic!("{failure:?}"));
    check_equal(setup, &session);
    session
}

/// A source, and a destination that was made equal to it.
fn equal_pair(files: &[(&str, &[u8])]) -> (MemFs, MemFs) {
    let (source, destination) = (tree_of(files), tree_of(&[]));
    synced(&Setup::new(&source, &destination));
    (source, destination)
}

#[test]
fn equal_roots_cost_one_round_trip_and_no_listing() {
    let (source, destination) = equal_pair(&[("a/b", b"1"), ("c", b"2")]);
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!((session.round_trips, session.listed, session.messages), (1, 0, 3));
    assert!(session.wire.iter().sum::<u64>() < 400, "{:?}", session.wire);
}

#[test]
fn moved_and_copied_files_send_no_file_bytes() {
    let big = Rng(1).bytes(5000);
    let (source, destination) = equal_pair(&[("a/big", &big), ("b/small", b"x"), ("c/d/e", b"e")]);
    rename(&source, "a/big", "b/big");
    source.write("b/copy", b"e").unwrap();
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!((session.report.moved, session.report.created, session.report.bytes_literal), (1, 1, 0));
}

#[test]
fn a_moved_directory_sends_no_file_bytes_and_is_renamed_whole() {
    let big = Rng(1).bytes(5000);
    let (source, destination) = equal_pair(&[("a/x/big", &big), ("a/x/y/z", b"z"), ("b/f", b"f")]);
    rename(&source, "a/x", "b/x");
    // A copy of a file that moves with its directory is a copy, not a second name of it.
    source.write("c", &big).unwrap();
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!((session.report.moved, session.finale_moves, session.report.bytes_literal), (1, 1, 0));
}

#[test]
fn one_byte_at_the_front_of_8_mib_sends_few_chunks() {
    let mut bytes = Rng(7).bytes(8 << 20);
    let (source, destination) = (tree_of(&[("f", &bytes)]), tree_of(&[("f", &bytes)]));
    bytes.insert(0, b'!');
    source.write("f", &bytes).unwrap();
    let options = Options { delta: false, ..Options::default() };
    let setup = Setup { params: Params::default(), ..Setup::new(&source, &destination) };
    let session = synced(&Setup { options, ..setup });
    assert!(session.chunks_sent <= 2, "{session:?}");
    assert_eq!(session.round_trips, 4, "list, describe, need, done");
}

#[test]
fn touched_mtimes_cost_a_few_bytes_a_name() {
    let names: Vec<String> = (0..1000).map(|n| format!("d{}/e{}/file{n}", n % 10, n % 7)).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], name.as_bytes())).collect();
    let (source, destination) = equal_pair(&files);
    for (at, path) in source.tree().into_keys().enumerate() {
        set_mtime(&source, &path, Time { secs: 1_600_000_000 + at as i64, nanos: 0 });
    }
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!((session.listed, session.report.bytes_literal, session.report.metadata_only), (0, 0, 1080));
    assert!(session.wire[0] < 1080 * 10, "{session:?}");
    assert!(session.round_trips <= 4, "{session:?}");
}

#[test]
fn one_new_name_among_100_000_costs_a_few_nodes() {
    let source = MemFs::new();
    let dir = source.mkdir("d").unwrap();
    for n in 0..100_000 {
        dir.create_symlink(&super::bed::name(&format!("name{n}")), b"t").unwrap();
    }
    let destination = tree_of(&[]);
    synced(&Setup::new(&source, &destination));
    dir.create_symlink(&super::bed::name("name5x"), b"t").unwrap();
    let session = synced(&Setup::new(&source, &destination));
    assert!(session.listed <= 300 && session.nodes <= 512, "{session:?}");
    assert!(session.wire.iter().sum::<u64>() < 64 << 10, "{session:?}");
    assert_eq!(session.round_trips, 5, "root, directory, nodes, entries, done");
}

#[test]
fn depth_is_not_paid_in_round_trips() {
    let deep = vec!["d"; 300].join("/") + "/file";
    let (source, destination) = equal_pair(&[(&deep, b"old")]);
    source.write(&deep, b"new!").unwrap();
    let session = synced(&Setup::new(&source, &destination));
    assert!(session.round_trips <= 5, "{session:?}");
}

#[test]
fn a_remembered_tree_sends_the_exact_difference_at_once() {
    let (source, destination) = equal_pair(&[("a/b/c/f", b"1"), ("a/b/g", b"2"), ("h/i", b"3")]);
    let remembered = scanned(&destination, &small_params(), true).snapshot;
    source.write("a/b/c/f", b"changed").unwrap();
    let setup = Setup { remembered: Some(&remembered), ..Setup::new(&source, &destination) };
    let session = synced(&setup);
    assert_eq!((session.round_trips, session.report.updated), (3, 1));
    assert_eq!(session.listed, 1, "the name that changed, and no other");
}

#[test]
fn an_empty_destination_is_filled_in_one_pass() {
    let big = Rng(3).bytes(40_000);
    let source = tree_of(&[("a/big", &big), ("b", b""), ("c/d/e", b"e")]);
    let destination = tree_of(&[]);
    let session = synced(&Setup { known: 0, ..Setup::new(&source, &destination) });
    assert_eq!((session.round_trips, session.report.bytes_literal), (2, 40_001));
}

#[test]
fn unknown_roots_are_described_and_what_is_here_is_not_sent() {
    let big = Rng(3).bytes(40_000);
    let (source, destination) = equal_pair(&[("a/big", &big), ("b", b"b"), ("c/d", b"d")]);
    rename(&source, "a/big", "c/big");
    source.write("b", b"new").unwrap();
    let session = synced(&Setup { known: 0, ..Setup::new(&source, &destination) });
    assert_eq!((session.report.bytes_literal, session.report.moved), (3, 1));
}

#[test]
fn a_large_new_directory_with_subdirectories_into_a_populated_tree_converges() {
    // Large enough for nodes, small enough to be sent unasked, behind a listing that fills a frame.
    let names: Vec<String> = (0..300).map(|n| format!("new/{n}")).chain(["new/sub/f".to_owned()]).collect();
    let (source, destination) = equal_pair(&[("old", b"1")]);
    for name in &names {
        source.write(name, b"").unwrap();
    }
    for n in 0..60 {
        source.root().create_symlink(&super::bed::name(&format!("link{n}")), &[b'x'; 4000]).unwrap();
    }
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!(session.report.created, 363);
}

#[test]
fn files_that_change_in_one_pass_end_in_the_root_they_were_sent_with() {
    for seed in 0..40 {
        // Each large enough for a job of its own.
        let source = tree_of(&[("a", &Rng(1).bytes(600_000)), ("b", &Rng(2).bytes(600_000)), ("c", b"c")]);
        let destination = tree_of(&[]);
        let change = |job: u64, _: &crate::transfer::sender::Job| {
            let at = ["a", "b", "c"][job.min(2) as usize];
            source.write(at, &Rng(job + 9).bytes(700_000)).unwrap();
        };
        let setup =
            Setup { before_job: Some(&change), seed, chaos: true, ..Setup::new(&source, &destination) };
        let session = setup.run().unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
        let reached = scanned(&destination, &small_params(), true).snapshot.root();
        assert_eq!(session.root, reached, "seed {seed}");
        assert!(session.lost.is_empty() && session.root.is_some(), "seed {seed}");
    }
}

/// Changes the source when the first job is given out; the rest must still be made equal.
fn spoiled(change: &dyn Fn(&MemFs), known: u64, populated: bool) -> Session {
    let big = Rng(3).bytes(4000);
    let source = tree_of(&[("good", b"good"), ("spoiled", &big), ("z/good", &Rng(4).bytes(3000))]);
    let destination = if populated { tree_of(&[("other", b"1"), ("spoiled", b"old")]) } else { tree_of(&[]) };
    let before = |job: u64, _: &crate::transfer::sender::Job| {
        if job == 0 {
            change(&source);
        }
    };
    let setup = Setup { before_job: Some(&before), known, ..Setup::new(&source, &destination) };
    let session = setup.run().unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(destination.read("z/good").unwrap(), source.read("z/good").unwrap());
    assert_eq!(destination.read("good").unwrap(), b"good");
    session
}

#[test]
fn a_file_that_vanishes_at_the_source_is_reported_and_the_rest_finishes() {
    for (known, populated) in [(0, true), (100, true), (0, false), (100, false)] {
        let session = spoiled(&|source| remove(source, "spoiled"), known, populated);
        assert_eq!(session.lost, [(path("spoiled"), Gone::Vanished)]);
        assert_eq!((session.root, session.report.failed), (None, 1));
    }
}

#[test]
fn a_file_that_changes_at_the_source_is_reported_or_sent_as_it_is_now() {
    let other = Rng(9).bytes(4000);
    let change = |source: &MemFs| source.write("spoiled", &other).unwrap();
    let session = spoiled(&change, 100, true);
    assert_eq!(session.lost, [(path("spoiled"), Gone::Changed)]);
    // In one pass what was read is what is told, whatever the listing said.
    let session = spoiled(&change, 100, false);
    assert!(session.lost.is_empty() && session.root.is_some());
}

#[test]
fn a_source_that_could_not_be_read_deletes_nothing() {
    let source = tree_of(&[("a", &Rng(1).bytes(300))]);
    let destination = tree_of(&[("extra", b"1")]);
    let before = |_: u64, _: &crate::transfer::sender::Job| {
        remove(&source, "a");
        let _ = source.mkspecial("a");
    };
    let setup = Setup { before_job: Some(&before), ..Setup::new(&source, &destination) };
    let session = setup.run().unwrap_or_else(|failure| panic!("{failure:?}"));
    assert!(matches!(session.lost[..], [(_, Gone::Errno(_))]), "{session:?}");
    assert_eq!((destination.read("extra").unwrap(), session.deletions), (b"1".to_vec(), 0));
}

#[test]
fn without_delete_extras_stay_and_the_root_is_still_proven() {
    let (source, destination) = equal_pair(&[("a/f", b"1")]);
    destination.write("a/extra", b"2").unwrap();
    source.write("a/f", b"3").unwrap();
    let options = Options::default();
    let session = synced(&Setup { options, ..Setup::new(&source, &destination) });
    assert!(session.root.is_some() && destination.read("a/extra").is_ok());
}

#[test]
fn hard_links_follow_their_replaced_leader() {
    let (source, destination) = equal_pair(&[("a", b"1"), ("b/keep", b"2")]);
    link(&source, "a", "b/a2");
    synced(&Setup::new(&source, &destination));
    source.write("a", b"changed").unwrap();
    synced(&Setup::new(&source, &destination));
    remove(&source, "a");
    let session = synced(&Setup::new(&source, &destination));
    assert_eq!(session.report.bytes_literal, 0);
}

#[test]
fn a_destination_that_changed_after_its_scan_still_converges() {
    let big = Rng(3).bytes(20_000);
    for known in [0, 100] {
        for (moved, bytes) in [(true, 20_000), (false, 20_002)] {
            let (source, destination) = equal_pair(&[("d/big", &big), ("d/x", b"x")]);
            if moved {
                // A clone fails: it finds other bytes of the same length.
                rename(&source, "d/big", "big");
            } else {
                // Copies of chunks fail.
                source.write("d/big", &[b"!", &big[..], b"!"].concat()).unwrap();
            }
            let spoil = || {
                destination.set_time(Time { secs: 2_000_000_000, nanos: 0 });
                destination.write("d/big", &vec![0; 20_000]).unwrap();
            };
            let setup = Setup { after_scan: Some(&spoil), known, ..Setup::new(&source, &destination) };
            let session = setup.run().unwrap_or_else(|failure| panic!("{failure:?}"));
            assert_eq!(session.report.bytes_literal, bytes, "moved: {moved}, known: {known}");
            let Report { created, updated, moved: moves, .. } = session.report;
            assert_eq!(created + updated + moves, 1, "moved: {moved}, known: {known}");
            check_equal(&setup, &session);
        }
    }
}

#[test]
fn bytes_verified_before_a_cut_are_not_sent_again() {
    let files: Vec<(String, Vec<u8>)> = (0..20).map(|n| (format!("d/{n}"), Rng(n).bytes(3000))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    for cut in (3..200).step_by(7) {
        let (source, destination) = (tree_of(&files), tree_of(&[]));
        let setup = Setup { cut: Some(cut), ..Setup::new(&source, &destination) };
        let first = match setup.run() {
            Err(super::pair::Failure::Cut(session)) => session,
            other => return assert!(cut > 100, "cut at {cut}: {other:?}"),
        };
        let session = synced(&Setup { cut: None, ..setup });
        assert!(
            first.staged + session.report.bytes_literal <= 60_000,
            "cut at {cut}: {} staged, {} sent",
            first.staged,
            session.report.bytes_literal
        );
    }
}

#[test]
fn reads_of_one_byte_change_nothing() {
    let run = |split| {
        let (source, destination) = equal_pair(&[("a/f", b"1"), ("b", b"2")]);
        source.write("a/f", &Rng(5).bytes(5000)).unwrap();
        rename(&source, "b", "c");
        let session = synced(&Setup { split, compression: Some(3), ..Setup::new(&source, &destination) });
        (visible(&destination), session.wire, session.messages, session.round_trips)
    };
    assert!(run(Split::Whole) == run(Split::Every(1)));
}

#[test]
fn a_remembered_list_tells_a_large_file_by_its_changed_chunk() {
    let mut bytes = Rng(8).bytes(4 << 20);
    let (source, destination) = equal_pair(&[("f", &bytes)]);
    let remembered = scanned(&destination, &small_params(), true).snapshot;
    bytes.insert(2 << 20, b'!');
    source.write("f", &bytes).unwrap();
    let known = synced(&Setup { remembered: Some(&remembered), ..Setup::new(&source, &destination) });
    assert!(known.wire.iter().sum::<u64>() < 2000, "{known:?}");
}
