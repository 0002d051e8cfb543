//! Random trees, random edits, every option: whatever happened before, a session makes the ends equal.

use std::collections::BTreeMap;

use super::bed::{Rng, edit, scanned, tree_of};
use super::pair::{Failure, Session, Setup, Split};
use super::seeds;
use crate::apply::ApplyError;
use crate::fs::mem::{MemFs, TreeEntry};
use crate::fs::{Kind, Time};
use crate::path::{RelPath, STAGING_PREFIX};
use crate::scan::Scan;
use crate::snapshot::{DirId, Entry, Node};
use crate::transfer::message::Report;
use crate::transfer::receiver::Options;

/// Two trees with a common past, edited apart.
pub(super) fn two_trees(rng: &mut Rng) -> (MemFs, MemFs) {
    let (source, destination) = (tree_of(&[]), tree_of(&[]));
    let past = rng.below(30);
    edit(&source, rng, past, false);
    match rng.below(4) {
        0 => {}
        1 => {
            let strange = rng.below(30);
            edit(&destination, rng, strange, true);
        }
        _ => {
            let setup = Setup { seed: rng.next(), ..Setup::new(&source, &destination) };
            check_equal(&setup, &setup.run().unwrap_or_else(|failure| panic!("a first copy: {failure:?}")));
            let edits = rng.below(12);
            edit(&destination, rng, edits, true);
        }
    }
    let edits = rng.below(12);
    edit(&source, rng, edits, false);
    (source, destination)
}

fn random_setup<'a>(rng: &mut Rng, source: &'a MemFs, destination: &'a MemFs) -> Setup<'a> {
    let (delete, delta) = (rng.below(3) > 0, rng.below(4) > 0);
    Setup {
        options: Options { delete, delta, itemize: rng.below(2) == 0, ..Options::default() },
        seed: rng.next(),
        chaos: rng.below(2) == 0,
        split: if rng.below(4) == 0 { Split::Seeded } else { Split::Whole },
        known: [0, 50, 100, 100][rng.below(4) as usize],
        compression: [None, None, Some(1), Some(9)][rng.below(4) as usize],
        ..Setup::new(source, destination)
    }
}

/// Every name of the source is at the destination, the same; with `delete`, nothing else.
pub(super) fn check_equal(setup: &Setup<'_>, session: &Session) {
    let source = scanned(setup.source, &setup.params, false);
    let destination = scanned(setup.destination, &setup.params, true);
    if setup.options.delete {
        assert_eq!(
            source.snapshot.root(),
            destination.snapshot.root(),
            "{}",
            differences(&source, &destination)
        );
        let names = destination.snapshot.all_entries().iter();
        let is_special = |entry: &Entry| matches!(entry.node, Node::Special { .. });
        assert!(!names.clone().any(is_special), "a special file was not deleted");
    } else {
        let found = differences(&source, &destination);
        assert!(found.is_empty(), "{found}");
    }
    assert_eq!(session.root, source.snapshot.root(), "the root was not proven");
    assert!(destination.leftovers.is_empty(), "left: {:?}", destination.leftovers);
}

/// What the source has and the destination has not, or not so.
fn differences(source: &Scan, destination: &Scan) -> String {
    let (source, destination) = (&source.snapshot, &destination.snapshot);
    let mut found = String::new();
    let mut pairs = vec![(DirId::ROOT, DirId::ROOT)];
    while let Some((dir, own)) = pairs.pop() {
        if source.profile().dir_meta(source.dir_meta(dir))
            != source.profile().dir_meta(destination.dir_meta(own))
        {
            found += &format!("{}: metadata; ", source.dir_path(dir));
        }
        for entry in source.entries(dir) {
            let path = source.dir_path(dir).join(&entry.name);
            let Some(other) = destination.find(own, &entry.name).map(|id| destination.entry(id)) else {
                found += &format!("{path}: missing; ");
                continue;
            };
            match (&entry.node, &other.node) {
                (Node::Dir { dir }, Node::Dir { dir: own }) => pairs.push((*dir, *own)),
                (a, b) if a == b && entry.counted(source.profile()) == other.counted(source.profile()) => {}
                (a, b) => found += &format!("{path}: {a:?} {:?} / {b:?} {:?}; ", entry.meta, other.meta),
            }
        }
    }
    found
}

fn counts(report: &Report) -> [u64; 6] {
    let Report { created, updated, deleted, moved, metadata_only, bytes_literal, .. } = *report;
    [created, updated, deleted, moved, metadata_only, bytes_literal]
}

/// The bytes that come: a dry run does not compare old bytes with new ones, and looks for the chunks of a small file
/// wherever they are. So it promises other shares of the same bytes.
fn check_literal(promised: &Report, done: &mut Report, delta: bool) {
    if delta {
        let all = |report: &Report| report.bytes_literal + report.bytes_reused;
        assert_eq!(all(promised), all(done), "{promised:?} {done:?}");
        done.bytes_literal = promised.bytes_literal;
    }
}

/// Counts that do not depend on which of several equal new files is the one that was moved: where roots are
/// learned on the way, that is the first whose chunk list arrives.
fn ordered_anyhow(report: &Report) -> [u64; 4] {
    let [created, updated, deleted, moved, metadata_only, bytes_literal] = counts(report);
    [created + updated + moved, deleted, metadata_only, bytes_literal]
}

/// How often sessions did what need not happen in any one of them: comparisons asked for, recipes, directories
/// told as changes, chunk lists told as steps, and listed chunks that came whole.
type Uses = [u64; 5];

fn uses(session: &Session) -> Uses {
    let Session { refines, patches, changes, chunk_steps, chunks_sent, .. } = *session;
    [refines, patches, changes, chunk_steps, chunks_sent]
}

fn check_seed(seed: u64) -> Uses {
    let mut rng = Rng(seed);
    let (source, destination) = two_trees(&mut rng);
    let remembered = scanned(&destination, &super::bed::small_params(), true).snapshot;
    let remembered = (rng.below(2) == 0).then_some(&remembered);
    let setup = Setup { remembered, ..random_setup(&mut rng, &source, &destination) };
    let dry = Setup {
        options: Options { dry_run: true, ..setup.options },
        ..random_setup(&mut rng, &source, &destination)
    };
    let before = destination.tree();
    let promised = dry.run().unwrap_or_else(|failure| panic!("seed {seed}: dry run: {failure:?}"));
    assert!(destination.tree() == before, "seed {seed}: a dry run changed something");
    assert_eq!(promised.chunks_sent, 0, "seed {seed}: a dry run asked for bytes");
    let session = setup.run().unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
    if !session.problems.is_empty() {
        // Without deleting, a directory that holds something is not replaced.
        let in_the_way = |error: &ApplyError| matches!(error, ApplyError::InTheWay { .. });
        assert!(
            !setup.options.delete && session.problems.iter().any(in_the_way),
            "seed {seed}: {:?}",
            session.problems
        );
        return uses(&session);
    }
    let (promised, mut done) = (promised.report, session.report);
    check_literal(&promised, &mut done, setup.options.delta);
    assert_eq!(ordered_anyhow(&promised), ordered_anyhow(&done), "seed {seed}: a dry run promised otherwise");
    if setup.known == 100 && dry.known == 100 {
        assert_eq!(counts(&promised), counts(&done), "seed {seed}: a dry run promised otherwise");
    }
    check_equal(&setup, &session);
    let again = setup.run().unwrap_or_else(|failure| panic!("seed {seed}: again: {failure:?}"));
    assert_eq!(counts(&again.report), [0; 6], "seed {seed}: the second session is no no-op");
    assert_eq!(session.turns_left, 0, "seed {seed}: the sender waits for turns that are not taken");
    uses(&session)
}

#[test]
fn any_edit_ends_in_equal_trees_and_a_second_session_does_nothing() {
    let mut all = Uses::default();
    for seed in seeds(600) {
        tell(seed);
        all.iter_mut().zip(check_seed(seed)).for_each(|(sum, more)| *sum += more);
    }
    // A campaign that does not do these things proves nothing of them.
    assert!(seeds(600).end < 600 || all.iter().all(|uses| *uses >= 20), "hardly used: {all:?}");
}

/// What a user can see.
pub(super) fn visible(fs: &MemFs) -> BTreeMap<RelPath, TreeEntry> {
    let mut tree = fs.tree();
    // Staging sets a directory's mtime, which the next run sets again.
    tree.values_mut().filter(|entry| entry.kind == Kind::Dir).for_each(|dir| dir.mtime = Time::default());
    tree.retain(|path, _| !path.components().any(|name| name.as_bytes().starts_with(STAGING_PREFIX)));
    tree
}

/// Cuts one session at every message boundary, and resumes it each time.
fn cut_everywhere(seed: u64) {
    for at in 0.. {
        let mut rng = Rng(seed ^ 0xc07);
        let (source, destination) = two_trees(&mut rng);
        let random = random_setup(&mut rng, &source, &destination);
        let setup =
            Setup { cut: Some(at), options: Options { delete: true, ..Options::default() }, ..random };
        let before = visible(&destination);
        match setup.run() {
            Ok(session) => return check_equal(&setup, &session),
            // Only the news that all is well was lost.
            Err(Failure::Cut(session)) if session.root.is_some() => check_equal(&setup, &session),
            Err(Failure::Cut(_)) => {
                assert!(
                    before == visible(&destination),
                    "seed {seed} cut at {at}: something visible changed"
                );
            }
            Err(failure) => panic!("seed {seed} cut at {at}: {failure:?}"),
        }
        let resume = Setup { cut: None, ..setup };
        let session =
            resume.run().unwrap_or_else(|failure| panic!("seed {seed} resumed at {at}: {failure:?}"));
        check_equal(&resume, &session);
    }
}

#[test]
fn cut_at_any_message_and_resumed_a_session_converges() {
    for seed in seeds(10) {
        tell(seed);
        cut_everywhere(seed);
    }
}

/// Names the seed of a failing test: shown only when one fails.
#[expect(clippy::print_stdout, reason = "a failing test must say which seed it was")]
fn tell(seed: u64) {
    println!("seed {seed}");
}
