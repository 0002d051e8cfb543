//! Lies about pieces, recipes, and steps from what the other end has.

use super::*;
use crate::codec::{decode, encode_into};
use crate::snapshot::{Builder, Entry, EntryId, Node, Profile};
use crate::transfer::ProtocolError;
use crate::transfer::delta::recipe::Op;
use crate::transfer::delta::{Bits, Digests, OLD_BYTES_MAX, pieces_max};
use crate::transfer::message::{ChunkStep, Gone, Step};
use crate::tree::FileTree;

/// Digests that no end would send; `bytes` of them, each of `width`.
fn digests(width: u8, bytes: usize) -> Digests {
    let mut encoded = vec![width];
    encode_into(&vec![7_u8; bytes][..], &mut encoded);
    decode("digests", &encoded).unwrap()
}

fn bits(list: &[bool]) -> Bits {
    Bits::of(list.iter().copied())
}

/// A small file that is refined whole, and one with a chunk list.
fn old_files() -> MemFs {
    tree_of(&[("large", &Rng(2).bytes(20_000)), ("small", &Rng(1).bytes(900))])
}

const LARGE: u32 = 0;
const SMALL: u32 = 1;

fn new_small() -> Vec<u8> {
    let mut bytes = Rng(1).bytes(900);
    bytes.insert(450, b'!');
    bytes
}

/// The sender's files, which both have changed.
fn new_files() -> Message<'static> {
    let small = entry("small", WireNode::File { size: 901, root: Some(root_of(&new_small())) });
    let large = entry("large", WireNode::File { size: 20_001, root: Some(Hash([8; 32])) });
    listing(&[large, small])
}

fn root_of(bytes: &[u8]) -> Hash {
    FileTree::of_bytes(&crate::chunk::Chunker::new(&small_params()), bytes).root().hash
}

fn pieces(file: u32, first: u64, level: u8, known: Bits, digests: Digests) -> Message<'static> {
    Message::Pieces { file, first, level, known, digests }
}

/// The sender's turn on the small file, of which it has no piece.
fn good_pieces() -> Message<'static> {
    pieces(SMALL, 0, 1, bits(&[false]), digests(3, 9))
}

fn patch<'a>(file: u32, first: u64, more: bool, ops: &[Op], bytes: &'a [u8]) -> Message<'a> {
    Message::Patch { file, first, more, ops: Bounded::new(ops.to_vec()).unwrap(), bytes }
}

fn victim() -> Victim {
    Victim::new(old_files(), claim()).unwrap()
}

/// Lets the sender say this after its listing, which the receiver answers by `Refine`.
fn check_asked(what: &str, messages: &[Message<'_>]) {
    let mut victim = victim();
    victim.send(&new_files()).unwrap();
    let refined =
        |said: &Message<'_>| matches!(said, Message::Refine { file: SMALL, first: 0, count: 1, .. });
    assert!(victim.said.iter().any(refined), "{:?}", victim.said);
    assert_eq!(code_from(victim, messages), Some(12), "{what}");
}

#[test]
fn pieces_that_lie_are_refused() {
    let known = || bits(&[true]);
    let some = || digests(3, 6);
    check_asked("level 0", &[pieces(SMALL, 0, 0, known(), some())]);
    check_asked("level 2", &[pieces(SMALL, 0, 2, known(), some())]);
    check_asked("level 255", &[pieces(SMALL, 0, 255, known(), some())]);
    check_asked("no bits", &[pieces(SMALL, 0, 1, bits(&[]), some())]);
    check_asked("too many bits", &[pieces(SMALL, 0, 1, bits(&[true; 9]), some())]);
    check_asked("no width", &[pieces(SMALL, 0, 1, known(), digests(0, 6))]);
    check_asked("a width of nine", &[pieces(SMALL, 0, 1, known(), digests(9, 18))]);
    check_asked("half a digest", &[pieces(SMALL, 0, 1, known(), digests(4, 6))]);
    let max = pieces_max(1, 901) as usize;
    check_asked("more pieces than bytes", &[pieces(SMALL, 0, 1, known(), digests(1, max + 1))]);
    check_asked("of another run of chunks", &[pieces(SMALL, 1, 1, known(), some())]);
    check_asked("of a file that is not refined", &[pieces(LARGE, 0, 1, known(), some())]);
    check_asked("of a file that was not named", &[pieces(9, 0, 1, known(), some())]);
    check_asked("twice", &[good_pieces(), good_pieces()]);
    check_asked(
        "a receiver's own message",
        &[Message::Refine { file: SMALL, first: 0, count: 1, digests: some() }],
    );
    // While the old bytes are still compared, too.
    let mut victim = victim();
    victim.send(&new_files()).unwrap();
    victim.compares = false;
    assert_eq!(code_from(victim, &[good_pieces(), good_pieces()]), Some(12));
    check("unasked", 12, &[good_pieces()]);
}

#[test]
fn pieces_on_the_edge_of_what_may_be_said_are_taken() {
    let max = pieces_max(1, 901) as usize;
    for digests in [digests(1, max), digests(8, 8 * max), digests(3, 0)] {
        let mut victim = victim();
        victim.send(&new_files()).unwrap();
        victim.send(&pieces(SMALL, 0, 1, bits(&[true]), digests)).unwrap();
        let answered = |said: &Message<'_>| matches!(said, Message::Pieces { file: SMALL, level: 2, .. });
        assert!(victim.said.iter().any(answered), "{:?}", victim.said);
    }
}

#[test]
fn recipes_that_lie_are_refused() {
    let literal = |len| Op::Literal { len };
    let coarse = |skip, count| Op::Coarse { skip, count };
    let all = new_small();
    let whole = |ops: &[Op], bytes: &'static [u8]| [patch(SMALL, 0, false, ops, bytes)];
    check_asked("too short", &whole(&[literal(3)], b"abc"));
    check_asked("nothing", &whole(&[], b""));
    check_asked("too long", &[patch(SMALL, 0, false, &[literal(902)], &[0; 902])]);
    check_asked("too long, in parts", &vec![patch(SMALL, 0, true, &[literal(300)], &[0; 300]); 4]);
    check_asked("4 GiB", &whole(&[literal(u32::MAX)], b""));
    check_asked("4 GiB twice", &whole(&[literal(u32::MAX), literal(u32::MAX)], b""));
    check_asked("fewer bytes than the steps need", &[patch(SMALL, 0, true, &[literal(4)], b"abc")]);
    check_asked("more bytes than the steps need", &[patch(SMALL, 0, true, &[literal(2)], b"abc")]);
    check_asked("bytes without a step", &[patch(SMALL, 0, true, &[], b"abc")]);
    check_asked("a piece that was not told", &whole(&[coarse(1, 1)], b""));
    check_asked("a piece before the first", &whole(&[coarse(-1, 1)], b""));
    check_asked("pieces beyond the last", &whole(&[coarse(0, 2)], b""));
    check_asked("4 billion pieces", &whole(&[coarse(0, u32::MAX)], b""));
    check_asked("a piece far before the first", &whole(&[coarse(i32::MIN, 1)], b""));
    check_asked("a piece far beyond the last", &whole(&[coarse(i32::MAX, 1)], b""));
    check_asked("the same piece twice", &whole(&[coarse(0, 1), coarse(-1, 1)], b""));
    let skips = vec![coarse(i32::MAX, 0); 4096];
    check_asked(
        "skips without end",
        &[patch(SMALL, 0, true, &skips, b""), patch(SMALL, 0, true, &skips, b"")],
    );
    check_asked("a middle piece, of which none was told", &whole(&[Op::Middle { count: 1 }], b""));
    check_asked("a fine piece, of which none was told", &whole(&[Op::Fine { skip: 0, count: 1 }], b""));
    check_asked(
        "a middle piece that is not here",
        &[good_pieces(), patch(SMALL, 0, false, &[Op::Middle { count: 1 }], b"")],
    );
    check_asked(
        "fine pieces beyond the last",
        &[good_pieces(), patch(SMALL, 0, false, &[Op::Fine { skip: 0, count: u32::MAX }], b"")],
    );
    check_asked("of another run of chunks", &[patch(SMALL, 1, true, &[], b"")]);
    check_asked("of a file that is not refined", &[patch(LARGE, 0, true, &[], b"")]);
    check_asked("of a file that was not named", &[patch(9, 0, true, &[], b"")]);
    let good = patch(SMALL, 0, false, &[literal(901)], &all);
    check_asked("twice", &[good.clone(), good.clone()]);
    let mut victim = victim();
    victim.send(&new_files()).unwrap();
    victim.compares = false;
    assert_eq!(code_from(victim, &[good_pieces(), good.clone()]), Some(12), "out of turn");
    check("unasked", 12, &[good]);
}

#[test]
fn bytes_of_a_file_that_is_refined_are_not_taken() {
    let all = new_small();
    let data = Message::Data { file: SMALL, offset: 900, bytes: &all[..1] };
    check_asked("of no chunk", &[data]);
    let end = Message::End { file: SMALL, root: root_of(&all), size: 901, meta: meta() };
    check_asked("the end of a stream", &[end]);
}

#[test]
fn turns_on_a_file_that_is_given_up_are_ignored() {
    let mut victim = victim();
    victim.send(&new_files()).unwrap();
    victim.send(&Message::Gone { file: SMALL, why: Gone::Vanished }).unwrap();
    victim.said.clear();
    for _ in 0..100 {
        victim.send(&good_pieces()).unwrap();
        victim.send(&patch(SMALL, 0, true, &[Op::Literal { len: 9000 }], &[0; 9000])).unwrap();
    }
    // Each `Pieces` waits for a turn at the sender; nothing else is kept or said.
    assert!(victim.said.iter().all(|said| matches!(said, Message::Release { .. })), "{:?}", victim.said);
    assert_eq!(victim.receiver.comparing(), 0);
}

fn steps(file: u32, more: bool, steps: &[ChunkStep]) -> Message<'static> {
    Message::ChunkSteps { file, more, steps: Bounded::new(steps.to_vec()).unwrap() }
}

fn chunk(bytes: &[u8]) -> ChunkStep {
    ChunkStep::Chunk(ChunkRef::of(bytes).into())
}

#[test]
fn steps_over_chunks_that_lie_are_refused() {
    let same = ChunkStep::Same;
    let one = chunk(&[1; 64]);
    let code = |messages: &[Message<'_>]| {
        let mut victim = victim();
        victim.send(&new_files()).unwrap();
        assert!(victim.said.iter().any(|said| matches!(said, Message::Describe { hold: false, .. })));
        code_from(victim, messages)
    };
    // The least chunk has 64 bytes, so there are 313 at most.
    assert_eq!(code(&[steps(LARGE, true, &[one; 314])]), Some(22), "too many");
    assert_eq!(code(&vec![steps(LARGE, true, &[one; 100]); 4]), Some(22), "too many, in parts");
    assert_eq!(code(&[steps(LARGE, false, &[])]), Some(41), "nothing");
    assert_eq!(code(&[steps(LARGE, false, &[same(1)])]), Some(41), "another length");
    assert_eq!(code(&[steps(LARGE, false, &[one; 313])]), Some(41), "other chunks");
    assert_eq!(code(&[steps(LARGE, false, &[one, chunk(b""), one])]), Some(12), "a chunk of nothing");
    let all = FileTree::of_bytes(&crate::chunk::Chunker::new(&small_params()), &Rng(2).bytes(20_000));
    let all = all.chunks().len() as u64;
    let mixed = [steps(LARGE, true, &[same(all)]), chunks(0, false, &[ChunkRef::of(b"x")])];
    assert_eq!(code(&mixed), Some(12), "a list after half a way");
    assert_eq!(code(&[steps(LARGE, false, &[same(all), chunk(b"x")])]), Some(41), "another chunk");
    let unasked = [steps(5, false, &[one; 4096]), steps(SMALL, false, &[same(u64::MAX)])];
    assert_eq!(code_of(old_files(), claim(), &unasked), None, "unasked, and ignored as lists are");
}

#[test]
fn a_way_that_cannot_be_followed_is_asked_for_as_a_list_once() {
    let same = ChunkStep::Same;
    for way in [
        vec![same(u64::MAX)],
        vec![same(1), ChunkStep::Drop(u64::MAX), same(1)],
        vec![ChunkStep::Drop(u64::MAX), ChunkStep::Drop(u64::MAX), same(u64::MAX)],
        vec![same(1000)],
    ] {
        let mut victim = victim();
        victim.send(&new_files()).unwrap();
        victim.said.clear();
        for _ in 0..100 {
            victim.send(&steps(LARGE, true, &way)).unwrap();
            victim.send(&steps(LARGE, false, &[chunk(&[1; 64]); 4096])).unwrap();
        }
        let [Message::Describe { files, hold: true }] = &victim.said[..] else { panic!("{:?}", victim.said) };
        assert_eq!(files[..], [LARGE]);
    }
}

fn changes(dir: u32, first: u32, more: bool, steps: &[Step], metas: &[WireMeta]) -> Message<'static> {
    let (steps, metas) = (Bounded::new(steps.to_vec()).unwrap(), Bounded::new(metas.to_vec()).unwrap());
    Message::Changes { dir, first, more, steps, metas }
}

#[test]
fn changes_that_lie_are_refused() {
    use Step::{Drop, Same};
    let meta_of = Step::Meta;
    let dir = |dir, same| Step::Dir { dir, same };
    let new = |text: &str| Step::Entry(file(text, b"new"));
    // The destination has the directory `d`, with two files, and the file `keep`.
    let root = |steps: &[Step], metas: &[WireMeta]| [changes(0, 0, false, steps, metas)];
    check("more that is the same than is here", 12, &root(&[Same(3)], &[]));
    check("4 billion that are the same", 12, &root(&[Same(u32::MAX)], &[]));
    check("4 billion dropped", 12, &root(&[Drop(u32::MAX)], &[]));
    check("4 billion dropped, twice", 12, &root(&[Drop(u32::MAX), Drop(u32::MAX)], &[]));
    check("metadata of more than is here", 12, &root(&[Same(1), meta_of(2)], &[meta(); 2]));
    check("no metadata", 12, &root(&[Same(1), meta_of(1)], &[]));
    check("metadata of a directory, as if it were a file", 12, &root(&[meta_of(1)], &[meta()]));
    let wild = MetaCoder::default().encode(Meta { mode: 0o10000, ..Meta::default() });
    check("a mode beyond 7777", 12, &root(&[Same(1), meta_of(1)], &[wild]));
    check("a directory that is a file here", 12, &root(&[Same(1), dir(1, false)], &[meta()]));
    check("a directory without metadata", 12, &root(&[dir(1, true)], &[]));
    check("a directory beyond the tree", 12, &root(&[dir(11, false)], &[meta()]));
    check("a directory far beyond the tree", 12, &root(&[dir(i64::MAX, false)], &[meta()]));
    check("a negative number", 12, &root(&[dir(-1, false)], &[meta()]));
    check("the root below itself", 12, &root(&[dir(0, false)], &[meta()]));
    check("a name that is there", 12, &root(&[Same(2), new("keep")], &[]));
    check("a name out of order, twice", 12, &root(&[new("z"), new("z")], &[]));
    check("a reserved name", 12, &root(&[new(".syncline-tmp-1")], &[]));
    check("an entry beyond the tree", 12, &[changes(0, u32::MAX, false, &[Same(1)], &[])]);
    check("an entry just beyond the tree", 12, &[changes(0, 9, false, &[Same(2)], &[])]);
    check("a directory beyond the tree", 12, &[changes(11, 0, false, &[], &[])]);
    let endless: Vec<Message<'_>> =
        (0..12).map(|n| changes(0, 0, true, &[new(&format!("{n:02}"))], &[])).collect();
    check("changes without end", 12, &endless);
    let over = [changes(0, 0, true, &[Same(2)], &[]), changes(0, 2, false, &[Same(1)], &[])];
    check("the same twice, in parts", 12, &over);
    let fresh = Step::Entry(super::dir("new", 2));
    let of_new = [changes(0, 0, false, &[Same(2), fresh], &[]), changes(2, 3, false, &[new("x")], &[])];
    check("changes of a directory that is not here", 12, &of_new);
    let twice = [
        changes(0, 0, false, &[dir(1, false), Same(1)], &[meta()]),
        changes(1, 2, false, &[Step::Entry(super::dir("again", 1))], &[]),
    ];
    check("one number for two directories", 12, &twice);
    let mixed = [list_of(0, 0, true, &[file("keep", b"1")]), changes(0, 1, false, &[Same(2)], &[])];
    check("a listing, and changes of what it has named", 12, &mixed);
}

#[test]
fn changes_that_nobody_waits_for_are_ignored() {
    let mut victim = Victim::new(destination(), claim()).unwrap();
    victim.send(&changes(0, 0, false, &[Step::Same(2)], &[])).unwrap();
    for n in 0..100 {
        victim.send(&changes(n % 10, 0, true, &[const { Step::Same(u32::MAX) }; 1024], &[])).unwrap();
    }
}

/// A sender of `old_files`, whose large file was described; and how many chunks that has.
fn sender() -> (Sender, u64) {
    let mut sender = Sender::new(scanned(&old_files(), &small_params(), false).snapshot);
    let tree = FileTree::of_bytes(&crate::chunk::Chunker::new(&small_params()), &Rng(2).bytes(20_000));
    let files = Bounded::new(vec![LARGE]).unwrap();
    sender.handle(Message::Describe { files, hold: false }).unwrap();
    drain(&mut sender);
    sender.described(EntryId(LARGE), Ok((tree.root().hash, tree.chunks().to_vec())));
    drain(&mut sender);
    (sender, tree.chunks().len() as u64)
}

fn drain(sender: &mut Sender) -> Vec<sender::Output> {
    std::iter::from_fn(|| sender.poll()).collect()
}

fn refine(file: u32, first: u64, count: u32, digests: Digests) -> Message<'static> {
    Message::Refine { file, first, count, digests }
}

/// Does the comparisons that the sender asks for, with the old files' own bytes; gives the pieces of level 1.
fn compare(sender: &mut Sender) -> usize {
    let fs = old_files();
    let mut below = 0;
    for output in drain(sender) {
        let sender::Output::Job(sender::Job::Compare { file, first, turn }) = output else { continue };
        let bytes = fs.read(if file.0 == LARGE { "large" } else { "small" }).unwrap();
        let turned = turn.run(|buffer, at| {
            buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
            Ok(())
        });
        below += turned.as_ref().map_or(0, |turned| turned.below.len());
        sender.compared(file, first, turned.map_err(|_| Gone::Changed));
    }
    below
}

fn refused(what: &str, sender: &mut Sender, message: Message<'_>) {
    let outcome = sender.handle(message);
    assert!(matches!(outcome, Err(ProtocolError::Violation { .. })), "{what}: {outcome:?}");
}

#[test]
fn a_sender_refuses_to_refine_what_it_did_not_offer() {
    let some = || digests(3, 6);
    let (_, chunks) = sender();
    for (what, message) in [
        ("a file that was not named", refine(99, 0, 1, some())),
        ("no chunk", refine(LARGE, 0, 0, some())),
        ("chunks beyond the end", refine(LARGE, 0, chunks as u32 + 1, some())),
        ("chunks beyond the end", refine(LARGE, chunks, 1, some())),
        ("4 billion chunks", refine(LARGE, 0, u32::MAX, some())),
        ("chunks that overflow", refine(LARGE, u64::MAX, 1, some())),
        ("chunks that overflow", refine(LARGE, u64::MAX - 1, u32::MAX, some())),
        ("two chunks of what was not described", refine(SMALL, 0, 2, some())),
        ("the second chunk of what was not described", refine(SMALL, 1, 1, some())),
        ("no width", refine(SMALL, 0, 1, digests(0, 6))),
        ("a width of nine", refine(SMALL, 0, 1, digests(9, 18))),
        ("half a digest", refine(SMALL, 0, 1, digests(4, 6))),
        ("more pieces than may be compared", {
            refine(SMALL, 0, 1, digests(1, pieces_max(0, OLD_BYTES_MAX) as usize + 1))
        }),
        ("pieces unasked", pieces(SMALL, 0, 2, bits(&[]), some())),
        ("a recipe", patch(SMALL, 0, false, &[], b"")),
        ("changes", changes(0, 0, false, &[], &[])),
        ("steps", steps(LARGE, false, &[])),
    ] {
        refused(what, &mut sender().0, message);
    }
    let (mut sender, _) = sender();
    sender.handle(refine(SMALL, 0, 1, some())).unwrap();
    refused("the same chunk again", &mut sender, refine(SMALL, 0, 1, some()));
}

#[test]
fn a_sender_refines_no_chunk_twice_under_another_number() {
    let (mut sender, chunks) = sender();
    for first in 0..chunks {
        // All of a file, one after the other, is what may be asked for.
        sender.handle(refine(LARGE, first, 1, digests(3, 3))).unwrap();
        compare(&mut sender);
        let _ = sender.handle(Message::Release { files: Bounded::new(vec![LARGE]).unwrap() });
    }
    refused("one more", &mut sender, refine(LARGE, 0, 1, digests(3, 3)));
    let (mut sender, _) = self::sender();
    sender.handle(refine(LARGE, 0, chunks as u32, digests(3, 3))).unwrap();
    refused("a part of what is refined", &mut sender, refine(LARGE, 1, 1, digests(3, 3)));
}

/// A sender that has compared the small file, of which the receiver has nothing; and its pieces of level 1.
fn told() -> (Sender, usize) {
    let (mut sender, _) = sender();
    sender.handle(refine(SMALL, 0, 1, digests(3, 3))).unwrap();
    let count = compare(&mut sender);
    let said = drain(&mut sender);
    let told = |output: &sender::Output| {
        matches!(output, sender::Output::Message(Message::Pieces { file: SMALL, level: 1, .. }))
    };
    assert!(said.iter().any(told), "{said:?}");
    assert!(count > 0);
    (sender, count)
}

#[test]
fn a_sender_refuses_turns_that_lie() {
    let (_, count) = told();
    let known = |count| bits(&vec![true; count]);
    let some = || digests(3, 6);
    let max = pieces_max(2, OLD_BYTES_MAX) as usize;
    for (what, message) in [
        ("level 0", pieces(SMALL, 0, 0, known(count), some())),
        ("level 1", pieces(SMALL, 0, 1, known(count), some())),
        ("level 3", pieces(SMALL, 0, 3, known(count), some())),
        ("no bits", pieces(SMALL, 0, 2, known(0), some())),
        ("too many bits", pieces(SMALL, 0, 2, known(count + 8), some())),
        ("another run of chunks", pieces(SMALL, 1, 2, known(count), some())),
        ("another file", pieces(LARGE, 0, 2, known(count), some())),
        ("a file that was not named", pieces(99, 0, 2, known(count), some())),
        ("no width", pieces(SMALL, 0, 2, known(count), digests(0, 6))),
        ("half a digest", pieces(SMALL, 0, 2, known(count), digests(4, 6))),
        ("more pieces than may be compared", pieces(SMALL, 0, 2, known(count), digests(1, max + 1))),
    ] {
        refused(what, &mut told().0, message);
    }
    let (mut sender, _) = told();
    sender.handle(pieces(SMALL, 0, 2, known(count), some())).unwrap();
    refused("twice", &mut sender, pieces(SMALL, 0, 2, known(count), some()));
    let (mut sender, _) = told();
    sender.handle(Message::Release { files: Bounded::new(vec![SMALL]).unwrap() }).unwrap();
    refused("after it was let go", &mut sender, pieces(SMALL, 0, 2, known(count), some()));
    let (mut sender, _) = self::sender();
    sender.handle(refine(SMALL, 0, 1, some())).unwrap();
    refused("before the sender has compared", &mut sender, pieces(SMALL, 0, 2, known(count), some()));
}

/// A sender of so many files of `len` bytes, which are nowhere.
fn sender_of(files: u32, len: u64) -> Sender {
    let mut builder = Builder::new(Profile::default(), small_params(), Meta::default());
    let entry = |n: u32| {
        let node = Node::File { size: len, root: Some(Hash([1; 32])), link: None };
        Entry { name: name(&format!("{n:06}")), meta: Meta::default(), node }
    };
    builder.fill(DirId::ROOT, (0..files).map(entry).collect()).unwrap();
    Sender::new(builder.finish())
}

#[test]
fn a_sender_bounds_what_is_refined_at_one_time() {
    // New bytes: a gibibyte of files of 4 MiB.
    let mut sender = sender_of(257, 4 << 20);
    for file in 0..256 {
        sender.handle(refine(file, 0, 1, digests(3, 3))).unwrap();
    }
    refused("too many bytes", &mut sender, refine(256, 0, 1, digests(3, 3)));
    refused("a file too long", &mut sender_of(1, (4 << 20) + 1), refine(0, 0, 1, digests(3, 3)));
    refused("a file much too long", &mut sender_of(1, 1 << 40), refine(0, 0, 1, digests(3, 3)));
    // Digests: 64 MiB.
    let most = pieces_max(0, OLD_BYTES_MAX) as usize;
    let mut sender = sender_of(2000, 300);
    let taken = (0..2000).take_while(|file| sender.handle(refine(*file, 0, 1, digests(8, 8 * most))).is_ok());
    assert_eq!(taken.count(), (64 << 20) / (8 * most));
}
