//! Peers that lie: every lie ends the session with a code of its own, and changes nothing a user can see.

mod attributes;
mod refine;

use std::sync::Arc;

use super::bed::{Rng, name, path, scanned, small_params, tree_of};
use super::golden::every_message;
use crate::apply::{ApplyError, Done, Stage, Worker};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::fs::Time;
use crate::fs::mem::MemFs;
use crate::hash::{Domain, Hash};
use crate::limits::{FRAME_BYTES_MAX, NAME_BYTES_MAX};
use crate::path::{Name, RelPath};
use crate::snapshot::{Digests, DirId, Meta};
use crate::sync::SyncError;
use crate::transfer::frame::{FrameBuilder, FrameReader, preamble};
use crate::transfer::locals::Locals;
use crate::transfer::message::{
    Message, MetaCoder, Tree, WireChild, WireDigests, WireEntry, WireMeta, WireNode,
};
use crate::transfer::receiver::{Action, Options, Output, Protected, Receiver};
use crate::transfer::sender::{self, Sender};

/// A destination, and a receiver into it that has heard `tree`.
struct Victim {
    fs: MemFs,
    stage: Arc<Stage>,
    worker: Worker,
    receiver: Receiver,
    reader: FrameReader,
    /// What the receiver said.
    said: Vec<Message<'static>>,
    /// Whether old bytes are compared at once; otherwise never.
    compares: bool,
    /// What was there.
    before: Vec<Seen>,
}

/// What a user sees of a name.
type Seen = (RelPath, u32, Vec<u8>);

fn seen(fs: &MemFs) -> Vec<Seen> {
    fs.tree().into_iter().map(|(path, entry)| (path, entry.mode, entry.bytes)).collect()
}

fn destination() -> MemFs {
    tree_of(&[("d/f", b"f"), ("d/g", b"g"), ("keep", &Rng(1).bytes(3000))])
}

/// A tree of ten names of which nothing is known.
fn claim() -> Tree {
    let snapshot = scanned(&tree_of(&[]), &small_params(), false).snapshot;
    Tree { root: None, digests: None, entries: 10, files: 10, bytes: 1 << 20, ..Tree::of(&snapshot) }
}

impl Victim {
    fn new(fs: MemFs, tree: Tree) -> Result<Victim, SyncError> {
        let own = Arc::new(scanned(&fs, &small_params(), true));
        let snapshot = Arc::new(own.snapshot.clone());
        let stage = Stage::new(fs.root(), snapshot.clone(), Vec::new(), 1, Default::default(), Vec::new());
        let locals = Locals::new(Box::new(move |id| own.chunks(id)), Vec::new());
        let options = Options { delete: true, ..Options::default() };
        let receiver = Receiver::new(snapshot, locals, tree, Protected::default(), options)?;
        let mut reader = FrameReader::default();
        reader.push(&preamble());
        let (before, worker) = (seen(&fs), Worker::new(stage.clone()));
        Ok(Victim { fs, worker, stage, receiver, reader, said: Vec::new(), compares: true, before })
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), SyncError> {
        let mut builder = FrameBuilder::default();
        builder.push(message);
        self.bytes(&builder.take(None))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.reader.push(bytes);
        while let Some(payload) = self.reader.next()? {
            let Victim { stage, worker, receiver, said, compares, .. } = self;
            payload.for_each(|message, frame| {
                receiver.handle(message, frame)?;
                while let Some(output) = receiver.poll() {
                    let action = match output {
                        Output::Action(action) => action,
                        Output::Message(message) => {
                            said.push(message);
                            continue;
                        }
                    };
                    if let Action::Dir { dir, place, own } = &action {
                        stage.dir(*dir, place.clone(), own.is_some());
                    }
                    let mut turned = None;
                    let mut note = |done| {
                        if let Done::Turned(file, first, outcome) = done {
                            turned = Some((file, first, outcome));
                        }
                    };
                    worker.run(action, &mut note).map_err(SyncError::from)?;
                    if let Some((file, first, outcome)) = turned.filter(|_| *compares) {
                        receiver.turned(file, first, outcome);
                    }
                }
                Ok::<_, SyncError>(())
            })?;
        }
        Ok(())
    }
}

/// Lets a sender say all this; the code with which the session ends. Nothing may have changed.
fn code_of(fs: MemFs, tree: Tree, messages: &[Message<'_>]) -> Option<u8> {
    match Victim::new(fs, tree) {
        Ok(victim) => code_from(victim, messages),
        Err(error) => Some(error.code()),
    }
}

fn code_from(mut victim: Victim, messages: &[Message<'_>]) -> Option<u8> {
    let mut result = messages.iter().try_for_each(|message| victim.send(message));
    if result.is_ok() && victim.receiver.is_complete() {
        result = victim.receiver.finish().map(drop).map_err(SyncError::from);
    }
    victim.stage.abandon();
    assert!(seen(&victim.fs) == victim.before, "something changed");
    result.err().map(|error| error.code())
}

fn check(what: &str, code: u8, messages: &[Message<'_>]) {
    assert_eq!(code_of(destination(), claim(), messages), Some(code), "{what}");
}

fn meta() -> WireMeta {
    MetaCoder::default().encode(Meta { mode: 0o644, ..Meta::default() })
}

fn entry(text: &str, node: WireNode) -> WireEntry {
    WireEntry { name: name(text), meta: meta(), node }
}

fn file(text: &str, bytes: &[u8]) -> WireEntry {
    entry(text, WireNode::File { size: bytes.len() as u64, root: Some(Hash::of(Domain::Chunk, bytes)) })
}

fn dir(text: &str, dir: u32) -> WireEntry {
    entry(text, WireNode::Dir { dir, digests: None })
}

fn listing(entries: &[WireEntry]) -> Message<'static> {
    list_of(0, 0, false, entries)
}

fn list_of(dir: u32, first: u32, more: bool, entries: &[WireEntry]) -> Message<'static> {
    Message::Listing { dir, node: None, first, more, entries: Bounded::new(entries.to_vec()).unwrap() }
}

fn target(bytes: &[u8]) -> WireNode {
    WireNode::Symlink { target: Bounded::new(bytes.to_vec()).unwrap() }
}

fn chunks(first: u64, more: bool, list: &[ChunkRef]) -> Message<'static> {
    let chunks = list.iter().map(|chunk| (*chunk).into()).collect();
    Message::Chunks { file: 0, first, more, chunks: Bounded::new(chunks).unwrap() }
}

#[test]
fn names_that_climb_do_not_decode() {
    for bad in [&b"../"[..], b"a/b", b"a\0b", b"/ab"] {
        let mut builder = FrameBuilder::default();
        builder.push(&listing(&[file("XYZ", b"1")]));
        let mut frame = builder.take(None).to_vec();
        let at = frame.windows(3).position(|three| three == b"XYZ").unwrap();
        frame[at..at + 3].copy_from_slice(bad);
        let mut victim = Victim::new(destination(), claim()).unwrap();
        assert_eq!(victim.bytes(&frame).map_err(|error| error.code()), Err(12), "{bad:?}");
    }
    for bad in [&b""[..], b".", b"..", &[b'x'; NAME_BYTES_MAX + 1]] {
        assert!(Name::new(bad).is_err());
        let mut bytes = Vec::new();
        crate::codec::encode_into(bad, &mut bytes);
        assert!(crate::codec::decode::<Name>("name", &bytes).is_err(), "{bad:?}");
    }
}

#[test]
fn listings_that_lie_are_refused() {
    let link = |first: &str| WireNode::Link { size: 1, root: None, first: path(first) };
    let huge = |size| entry("a", WireNode::File { size, root: None });
    let with_meta = |meta| WireEntry { meta, ..file("a", b"1") };
    let encode = |meta| MetaCoder::default().encode(meta);
    let nanos = Meta { mtime: Time { secs: 0, nanos: 1_000_000_000 }, ..Meta::default() };
    check("reserved name", 12, &[listing(&[file(".syncline-tmp-1", b"1")])]);
    check("duplicate name", 12, &[listing(&[file("a", b"1"), file("a", b"2")])]);
    check("file and directory of one name", 12, &[listing(&[file("a", b"1"), dir("a", 1)])]);
    check("one number for two directories", 12, &[listing(&[dir("a", 1), dir("b", 1)])]);
    for node in [WireNode::Fifo, WireNode::Socket, WireNode::Device { block: false, major: 1, minor: 1 }] {
        check("a special file that was not agreed on", 12, &[listing(&[entry("a", node)])]);
    }
    check("the root below itself", 12, &[listing(&[dir("a", 0)])]);
    check("a directory beyond the tree", 12, &[listing(&[dir("a", 11)])]);
    check("an entry beyond the tree", 12, &[list_of(0, u32::MAX, false, &[file("a", b"1")])]);
    check("a listing beyond the tree", 12, &[list_of(11, 0, false, &[])]);
    check("a file of 2^63 bytes", 22, &[listing(&[huge(1 << 63)])]);
    check("an empty link target", 12, &[listing(&[entry("a", target(b""))])]);
    check("a link target with NUL", 12, &[listing(&[entry("a", target(b"a\0"))])]);
    check(
        "a mode beyond 7777",
        12,
        &[listing(&[with_meta(encode(Meta { mode: 0o10000, ..Meta::default() }))])],
    );
    check("a second of 10^9 nanoseconds", 12, &[listing(&[with_meta(encode(nanos))])]);
    check("a message of a receiver", 12, &[Message::Take { dir: 0 }]);
    let twice =
        [list_of(0, 0, false, &[dir("a", 1), file("b", b"1")]), list_of(1, 1, false, &[file("c", b"2")])];
    check("one number for two files", 12, &twice);
    let endless: Vec<Message<'_>> =
        (0..11).map(|n| list_of(0, 0, true, &[file(&format!("{n}"), b"1")])).collect();
    check("a listing without end", 12, &endless);
    for first in ["nothing", "d"] {
        let found = [entry("a", link(first)), dir("d", 1)];
        let root = Message::Root(Hash([1; 32]));
        let code = code_of(destination(), claim(), &[listing(&found), list_of(1, 2, false, &[]), root]);
        assert!(matches!(code, Some(12 | 41)), "a link to {first}: {code:?}");
    }
}

#[test]
fn claims_beyond_the_limits_are_refused_before_anything_is_held() {
    for tree in [
        Tree { entries: 1_000_000_000, ..claim() },
        Tree { files: 1 << 63, ..claim() },
        Tree { bytes: 1 << 63, ..claim() },
    ] {
        assert_eq!(code_of(destination(), tree, &[]), Some(22));
    }
}

#[test]
fn nodes_and_metadata_that_lie_are_refused() {
    let nodes = |level, first, digests: &[WireDigests]| Message::Nodes {
        dir: 0,
        level,
        first,
        digests: Bounded::new(digests.to_vec()).unwrap(),
    };
    let strange = WireDigests { content: Hash([1; 32]), full: Hash([2; 32]) };
    check("no nodes", 12, &[nodes(0, 0, &[])]);
    check("nodes of level 200", 12, &[nodes(200, 0, &[strange])]);
    check("nodes beyond the tree", 12, &[nodes(0, u32::MAX, &[strange])]);
    // The destination's own names, over and over.
    let own = scanned(&destination(), &small_params(), true).snapshot;
    let all: WireDigests = own.digests(DirId::ROOT).unwrap().into();
    check("nodes without end", 12, &vec![nodes(0, 0, &[strange, all]); 6]);

    let d = own.find_dir(&path("d")).unwrap();
    let content = own.digests(d).unwrap().content;
    let touched = |name: &str, id| {
        let digests = Digests { content, full: Hash([3; 32]) };
        entry(name, WireNode::Dir { dir: id, digests: Some(digests.into()) })
    };
    let metas = |count: usize, children: &[WireChild], more| Message::Metas {
        dir: 1,
        first: 0,
        more,
        metas: Bounded::new(vec![meta(); count]).unwrap(),
        children: Bounded::new(children.to_vec()).unwrap(),
    };
    let child = |dir| WireChild { dir, full: None };
    check("too few", 12, &[listing(&[touched("d", 1)]), metas(1, &[], false)]);
    check("too many", 12, &[listing(&[touched("d", 1)]), metas(2, &[], true), metas(1, &[], true)]);
    check("a directory too many", 12, &[listing(&[touched("d", 1)]), metas(2, &[child(2)], false)]);
    check("a negative number", 12, &[listing(&[touched("d", 1)]), metas(2, &[child(-1)], false)]);
    // What the destination has, in ten places.
    let copies: Vec<WireEntry> = (1..6)
        .map(|id| {
            let digests = own.digests(d).unwrap();
            entry(&format!("copy{id}"), WireNode::Dir { dir: id, digests: Some(digests.into()) })
        })
        .collect();
    check("more copies than names", 12, &[listing(&copies)]);
}

#[test]
fn file_bytes_that_lie_are_refused() {
    let long = Rng(5).bytes(2000);
    let one = ChunkRef::of(&long[..1000]);
    let two = ChunkRef::of(&long[1000..]);
    let root = crate::tree::FileTree::from_chunks(vec![one, two]).unwrap().root().hash;
    let known = || listing(&[entry("a", WireNode::File { size: 2000, root: Some(root) })]);
    let data = |file, offset, bytes| Message::Data { file, offset, bytes };
    check("bytes unasked", 12, &[data(0, 0, b"x")]);
    check("other bytes", 41, &[listing(&[file("a", b"abc")]), data(0, 0, b"abd")]);
    check("more bytes", 12, &[listing(&[file("a", b"abc")]), data(0, 0, b"abcd")]);
    check("bytes elsewhere", 12, &[listing(&[file("a", b"abc")]), data(0, 1, b"abc")]);
    check("bytes twice", 12, &[listing(&[file("a", b"abc")]), data(0, 0, b"abc"), data(0, 0, b"abc")]);
    check("an end unasked", 12, &[known(), Message::End { file: 0, root, size: 0, meta: meta() }]);
    check("a list that begins late", 12, &[known(), chunks(1, false, &[one, two])]);
    check("a list of other length", 41, &[known(), chunks(0, false, &[one])]);
    check("a list of other chunks", 41, &[known(), chunks(0, false, &[two, one])]);
    check("a chunk of nothing", 12, &[known(), chunks(0, false, &[one, ChunkRef::of(b"")])]);
    check("a list without end", 22, &[known(), chunks(0, true, &[one; 33])]);
    let begun =
        [known(), chunks(0, false, &[one, two]), data(0, 0, &long[..1000]), data(0, 1000, &long[..1000])];
    check("a wrong second chunk", 41, &begun);
    let good = [listing(&[file("a", b"abc")]), data(0, 0, b"abc"), Message::Root(Hash([9; 32]))];
    let code = code_of(destination(), claim(), &good);
    assert_eq!(code, None, "a file that was not closed yet awaits its outcome");
}

#[test]
fn a_stream_that_lies_is_refused() {
    let data = |offset, bytes| Message::Data { file: 0, offset, bytes };
    let end = |bytes: &[u8], size| {
        let root = Hash::of(Domain::Chunk, bytes);
        Message::End { file: 0, root, size, meta: meta() }
    };
    let list = listing(&[file("a", b"abc")]);
    for (what, code, messages) in [
        ("a wrong root of one chunk", 41, vec![list.clone(), data(0, b"abc"), end(b"xyz", 3)]),
        ("a wrong root", 41, vec![list.clone(), data(0, b"abc"), data(3, b"d"), end(b"xyz", 4)]),
        ("out of order", 12, vec![list.clone(), data(3, b"abc")]),
        ("nothing", 12, vec![list.clone(), data(0, b"")]),
        ("another length", 12, vec![list.clone(), data(0, b"abc"), end(b"abc", 4)]),
    ] {
        assert_eq!(code_of(tree_of(&[]), claim(), &messages), Some(code), "{what}");
    }
}

#[test]
fn frames_that_lie_are_refused() {
    let mut bomb = ((FRAME_BYTES_MAX as u32) + 103).to_le_bytes().to_vec();
    bomb.push(0);
    let mut zeros = FrameBuilder::default();
    zeros.push(&Message::Data { file: 0, offset: 0, bytes: &[0; 500_000] });
    let zeros = zeros.take(Some(3));
    // The compressed bytes hold more than they say.
    let mut short = zeros.to_vec();
    short[5..9].copy_from_slice(&1000_u32.to_le_bytes());
    let mut long = zeros.to_vec();
    long[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut lane = FrameBuilder::on_lane(3);
    let mut on_lane = |bytes: &[u8]| {
        lane.push(&Message::Data { file: 0, offset: 0, bytes });
        lane.take(Some(3)).to_vec()
    };
    let (first, second) = (on_lane(&[1; 5000]), on_lane(&[1; 5000]));
    let mut no_lane = first.clone();
    no_lane[5] = 16;
    let mut short_lane = first.clone();
    short_lane[6..10].copy_from_slice(&1000_u32.to_le_bytes());
    let mut long_lane = first;
    long_lane[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    let lanes = [&no_lane[..], &short_lane, &long_lane, &second];
    let others = [&bomb[..], &[0; 4], &[1, 0, 0, 0, 7], &[1, 0, 0, 0, 1], &[1, 0, 0, 0, 2], &short, &long];
    for bytes in others.into_iter().chain(lanes) {
        let mut victim = Victim::new(destination(), claim()).unwrap();
        assert_eq!(victim.bytes(bytes).map_err(|error| error.code()), Err(12), "{:?}", &bytes[..4]);
    }
    let mut reader = FrameReader::default();
    reader.push(b"HTTP/1.1");
    assert!(reader.next().is_err());
    let mut other = preamble().to_vec();
    other[8] = 99;
    let mut reader = FrameReader::default();
    reader.push(&other);
    assert_eq!(SyncError::from(reader.next().unwrap_err()).code(), 2);
}

#[test]
fn damaged_frames_never_panic() {
    for seed in super::seeds(3000) {
        let mut rng = Rng(seed);
        let mut builder = FrameBuilder::default();
        let messages = every_message();
        for _ in 0..=rng.below(4) {
            builder.push(rng.pick(&messages).unwrap());
        }
        let mut bytes = builder.take(Some(3).filter(|_| rng.below(3) == 0)).to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << rng.below(8);
        }
        bytes.truncate(bytes.len() - rng.below(3) as usize);
        let mut victim = Victim::new(destination(), claim()).unwrap();
        let _ = victim.bytes(&bytes);
        let source = scanned(&destination(), &small_params(), false).snapshot;
        let mut sender = Sender::new(source);
        let mut reader = FrameReader::default();
        reader.push(&preamble());
        reader.push(&bytes);
        while let Ok(Some(payload)) = reader.next() {
            let _ = payload.for_each(|message, _| sender.handle(message));
            while let Some(output) = sender.poll() {
                drop(output);
            }
        }
    }
}

#[test]
fn a_sender_refuses_what_it_did_not_offer() {
    let snapshot = scanned(&destination(), &small_params(), false).snapshot;
    let keep = snapshot.find_path(&path("keep")).unwrap().0;
    let small = snapshot.find_path(&path("d/f")).unwrap().0;
    let need = |file, runs: &[(u64, u64)]| Message::Need { file, runs: Bounded::new(runs.to_vec()).unwrap() };
    let dirs = |dir| Bounded::new(vec![dir]).unwrap();
    for (what, message) in [
        ("a directory", Message::Expand { dirs: dirs(99), deep: false }),
        ("a directory", Message::Refresh { dirs: dirs(99), deep: true }),
        ("a directory", Message::Take { dir: 99 }),
        ("a file", Message::Describe { files: dirs(99), hold: true }),
        ("a node", Message::ExpandNodes { dir: 0, level: 0, nodes: dirs(0) }),
        ("a directory as a file", Message::Describe { files: dirs(0), hold: false }),
        ("a file", Message::Release { files: dirs(99) }),
        ("more than a file has", need(small, &[(0, 2)])),
        ("no chunk", need(small, &[(0, 0)])),
        ("a run that overflows", need(small, &[(u64::MAX, 1)])),
        ("runs that overflow", need(small, &[(0, 1), (u64::MAX, u64::MAX)])),
        ("a message of a sender", Message::Root(Hash([0; 32]))),
    ] {
        let mut sender = Sender::new(snapshot.clone());
        assert!(sender.handle(message).is_err(), "{what}");
    }
    let mut sender = Sender::new(snapshot.clone());
    assert!(sender.handle(need(small, &[(0, 1)])).is_ok());
    assert!(sender.handle(need(small, &[(0, 1)])).is_err(), "the same chunk again");
    let _ = keep;
}

#[test]
fn floods_of_requests_are_served_once() {
    let snapshot = scanned(&destination(), &small_params(), false).snapshot;
    let mut sender = Sender::new(snapshot);
    let mut outputs = 0;
    for _ in 0..1000 {
        let all = || Bounded::new(vec![0; 4096]).unwrap();
        sender.handle(Message::Expand { dirs: all(), deep: true }).unwrap();
        sender.handle(Message::Refresh { dirs: all(), deep: true }).unwrap();
        sender.handle(Message::Take { dir: 0 }).unwrap();
        while let Some(output) = sender.poll() {
            assert!(!matches!(output, sender::Output::Job(sender::Job::Read { .. })));
            outputs += 1;
        }
    }
    assert!(outputs < 10, "{outputs}");
}

/// [`ApplyError::HashMismatch`] is the code of a lie about bytes.
#[test]
fn wrong_bytes_are_an_integrity_error() {
    assert_eq!(SyncError::from(ApplyError::HashMismatch { path: path("a") }).code(), 41);
}
