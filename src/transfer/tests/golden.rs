//! The bytes of every message and of one frame, as files that may only be added to.
//!
//! `SYNCLINE_BLESS=1` writes files that are missing, and never changes one that is there.

use std::path::PathBuf;

use super::bed::{Rng, name, path};
use crate::codec::{Bounded, decode, encode_into};
use crate::fs::Time;
use crate::hash::Hash;
use crate::path::named::Reach;
use crate::snapshot::Meta;
use crate::transfer::delta::recipe::Op;
use crate::transfer::delta::{Bits, Digests, Span, Turn};
use crate::transfer::frame::{FrameBuilder, FrameReader, preamble};
use crate::transfer::message::*;

fn list<T, const MAX: usize>(elements: Vec<T>) -> Bounded<T, MAX> {
    Bounded::new(elements).unwrap_or_default()
}

fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn metas() -> Vec<WireMeta> {
    let mut coder = MetaCoder::default();
    let mtime = |secs| Time { secs, nanos: 999_999_999 };
    let first = Meta { mode: 0o4755, uid: 1000, gid: 100, mtime: mtime(1_700_000_000), ..Meta::default() };
    [first, first, Meta { mtime: mtime(-1), ..first }].map(|meta| coder.encode(meta)).to_vec()
}

fn digests() -> WireDigests {
    WireDigests { content: hash(3), full: hash(4) }
}

fn entries() -> Vec<WireEntry> {
    let nodes = [
        WireNode::File { size: 3, root: Some(hash(1)) },
        WireNode::Link { size: 300, root: None, first: path("a/b") },
        WireNode::Dir { dir: 7, digests: Some(digests()) },
    ];
    let mut entries: Vec<WireEntry> = ["a", "b", "é"]
        .into_iter()
        .zip(metas())
        .zip(nodes)
        .map(|((text, meta), node)| WireEntry { name: name(text), meta, node })
        .collect();
    let target = WireNode::Symlink { target: list(b"../x".to_vec()) };
    entries.push(WireEntry { name: name("link"), meta: WireMeta::default(), node: target });
    let device = WireNode::Device { block: true, major: 7, minor: 300 };
    for (text, node) in [("pipe", WireNode::Fifo), ("socket", WireNode::Socket), ("x", device)] {
        entries.push(WireEntry { name: name(text), meta: WireMeta::default(), node });
    }
    entries
}

fn items() -> Vec<Item> {
    let meta = MetaChange { mode: true, mtime: true, acls: true, ..MetaChange::default() };
    let item = |text: &str, change, kind| Item { path: path(text), change, kind };
    vec![
        item("a", Change::Created, Kind::File),
        item("b", Change::Updated { size: true, meta }, Kind::Symlink),
        item("c", Change::Meta(meta), Kind::Dir),
        item("d", Change::Moved { from: path("e/f") }, Kind::Link),
        item("g", Change::Deleted, Kind::Special),
    ]
}

/// One message of every variant, in the order of their numbers.
pub(super) fn every_message() -> Vec<Message<'static>> {
    let text = |text: &str| list(text.as_bytes().to_vec());
    let hello = Hello {
        agent: text("syncline 0.1"),
        direction: Direction::Pull,
        module: text("data"),
        path: path("x/y"),
        make: 1,
        only: Some(name("f")),
        profile: 3,
        params: list(vec![1, 2, 3]),
        select: WireSelect {
            rules: list(vec![text("- *.o"), text(":Cs .cvsignore")]),
            prefix: Some(name("src")),
            delete_excluded: true,
            nul_ends_lines: false,
            gitignore: true,
            size_min: Some(1),
            size_max: Some(1 << 30),
            mounts: 2,
            prune_empty_dirs: true,
        },
        delete: true,
        remove_source: true,
        dry_run: false,
        checksum: true,
        itemize: false,
        updates: Updates {
            existing: true,
            ignore_existing: false,
            update: true,
            compare: Compare::SizeAndTime,
            window: 2,
            append: false,
        },
        removal: Removal {
            max: Some(100),
            force: true,
            ignore_errors: false,
            backup: Some(Backup { suffix: text("~"), dir: Some(text("../old")) }),
        },
        view: View {
            chmod: text("D755"),
            users: list(vec![(0, 0, 1000)]),
            follow_unsafe: true,
            separate: true,
            ..View::default()
        },
        writing: Writing { sparse: true, ..Writing::default() },
        references: list(vec![(Purpose::Link, text("../yesterday"))]),
        hash_first: true,
        named: Some(2),
        rounds: true,
    };
    let tree = Tree {
        root: Some(hash(9)),
        digests: Some(digests()),
        meta: metas()[0],
        attributes: [3; 20],
        entries: 1 << 20,
        files: 1000,
        bytes: 1 << 40,
        errors: 2,
        more: false,
        leftovers: true,
    };
    let report = Report {
        created: 1,
        updated: 2,
        deleted: 3,
        moved: 4,
        metadata_only: 5,
        bytes_literal: 6,
        bytes_reused: 7,
        failed: 8,
        created_beside: Beside { dirs: 9, symlinks: 10, specials: 11, devices: 17 },
        deleted_beside: Beside { dirs: 12, symlinks: 13, specials: 14, devices: 18 },
        root_made: true,
        files_transferred: 15,
        bytes_transferred: 16,
    };
    let chunk = WireChunk::from(crate::chunk::ChunkRef { hash: hash(5), len: 65_536 });
    let child = |dir, full| WireChild { dir, full };
    vec![
        Message::Hello(Box::new(hello)),
        Message::Welcome(Welcome { agent: text("syncline 0.1"), profile: 2, only: None }),
        Message::Tree(tree),
        Message::Abort(Abort { code: 12, text: text("why") }),
        Message::Expand { dirs: list(vec![0, 300]), deep: true },
        Message::ExpandNodes { dir: 1, level: 2, nodes: list(vec![3, 4]) },
        Message::Refresh { dirs: list(vec![1]), deep: false },
        Message::Take { dir: 0 },
        Message::Describe { files: list(vec![70_000]), hold: true },
        Message::Need { file: 5, runs: list(vec![(0, 1), (300, 2)]) },
        Message::Release { files: list(vec![6]) },
        Message::Nodes { dir: 1, level: 1, first: 64, digests: list(vec![digests()]) },
        Message::Listing { dir: 1, node: Some(2), first: 10, more: true, entries: list(entries()) },
        Message::Metas {
            dir: 1,
            first: 10,
            more: false,
            metas: list(metas()),
            children: list(vec![child(5, Some(hash(6))), child(-1, None)]),
        },
        Message::Chunks { file: 5, first: 4096, more: false, chunks: list(vec![chunk]) },
        Message::Data { file: 5, offset: 1 << 33, bytes: b"bytes" },
        Message::End { file: 5, root: hash(1), size: 5, meta: metas()[0] },
        Message::Gone { file: 5, why: Gone::Errno(5) },
        Message::Root(hash(9)),
        Message::Items(list(items())),
        Message::Problem { path: path("a/b"), text: text("why") },
        Message::Done { root: None, report, code: 23, round_trips: 3 },
        Message::FileTop { file: 5, level: 1, nodes: list(vec![(hash(7), 1 << 22), (hash(8), 300)]) },
        Message::DescribeNodes { file: 5, level: 1, nodes: list(vec![0, 200]) },
        Message::FileNode {
            file: 5,
            level: 1,
            node: 200,
            first: 6400,
            children: list(vec![(hash(5), 65_536)]),
        },
        Message::Refine { file: 5, first: 300, count: 2, digests: pieces(0).1 },
        Message::Pieces { file: 5, first: 300, level: 1, known: pieces(0).0, digests: pieces(1).1 },
        Message::Patch { file: 5, first: 300, more: false, ops: list(ops()), bytes: b"bytes" },
        Message::Changes { dir: 1, first: 10, more: true, steps: list(steps()), metas: list(metas()) },
        Message::ChunkSteps { file: 5, more: false, steps: list(chunk_steps(chunk)) },
        Message::Spared(list(vec![path("a/large"), path("b")])),
        Message::Named(list(vec![(path("a/b"), Reach::All), (path("c"), Reach::Names)])),
        Message::Names {
            users: list(vec![text("www-data"), text("ann")]),
            groups: list(vec![text("staff")]),
        },
        Message::Ids { users: list(vec![Some(33), None]), groups: list(vec![Some(300)]) },
        Message::Left(list(vec![path("a/kept"), path("b")])),
        Message::Removed { more: false, failed: list(vec![(path("a/b"), text("why"))]) },
        Message::Attributes {
            sets: list(vec![list(vec![(list(b"user.a".to_vec()), list(vec![0, 255]))])]),
            of: list(vec![(10, 0), (300, 0)]),
        },
        Message::Links(list(vec![path("a/link"), path("b")])),
        Message::Dirs(list(vec![true, false])),
        Message::Again,
        Message::Store(StoreHello {
            agent: text("syncline 1"),
            version: 1,
            module: text("vault"),
            make: true,
        }),
        Message::Place(StorePlace { agent: text("syncline 1"), found: true, shared: false }),
    ]
}

/// The pieces of some bytes at a level: which of them are known, and their digests.
fn pieces(level: usize) -> (Bits, Digests) {
    let bytes = Rng(8).bytes(3000);
    let turn = Turn { level, spans: vec![Span { at: 0, len: 3000 }], theirs: None };
    let turned = turn.run(|buffer, at| {
        buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
        Ok(())
    });
    let pieces = turned.unwrap().pieces;
    (Bits::of((0..pieces.len()).map(|at| at % 2 == 1)), Digests::of(&pieces))
}

fn ops() -> Vec<Op> {
    vec![
        Op::Coarse { skip: 3, count: 1 },
        Op::Middle { count: 300 },
        Op::Fine { skip: -70, count: 2 },
        Op::Literal { len: 5 },
    ]
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        Step::Same(300),
        Step::Meta(2),
        Step::Dir { dir: 7, same: true },
        Step::Dir { dir: -2, same: false },
        Step::Drop(1),
    ];
    steps.extend(entries().into_iter().take(1).map(Step::Entry));
    steps
}

fn chunk_steps(chunk: WireChunk) -> Vec<ChunkStep> {
    vec![ChunkStep::Same(300), ChunkStep::Drop(1), ChunkStep::Chunk(chunk), ChunkStep::Same(1 << 40)]
}

/// Tells the names of an enum's variants as they are asked for, instead of a value.
struct Asked;

/// The names.
#[derive(Debug)]
struct Variants(&'static [&'static str]);

impl std::fmt::Display for Variants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Variants {}

impl serde::de::Error for Variants {
    fn custom<T: std::fmt::Display>(_: T) -> Variants {
        Variants(&[])
    }
}

impl<'de> serde::Deserializer<'de> for Asked {
    type Error = Variants;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Variants> {
        Err(Variants(&[]))
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Variants> {
        Err(Variants(variants))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The names of all variants of an enum of the wire, in the order of their numbers.
fn variants<T: serde::Deserialize<'static>>() -> &'static [&'static str] {
    T::deserialize(Asked).map_or_else(|Variants(names)| names, |_| &[])
}

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/wire/v1")
}

/// Compares with the file, which is written if it is missing and blessing was asked for.
fn check_golden(file: &str, bytes: &[u8]) {
    assert_eq!(bytes, golden(file, bytes), "{file}: the encoding changed, which needs a new version");
}

/// The bytes of the file, which is written if it is missing and blessing was asked for.
#[expect(clippy::disallowed_methods, reason = "fixtures are the crate's own files")]
pub(super) fn golden(file: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden_dir().join(file);
    match std::fs::read(&path) {
        Ok(golden) => golden,
        Err(_) if std::env::var_os("SYNCLINE_BLESS").is_some() => {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            bytes.to_vec()
        }
        Err(error) => panic!("{file}: {error}; SYNCLINE_BLESS=1 writes it"),
    }
}

fn name_of(message: &Message<'_>) -> String {
    let text = format!("{message:?}");
    text[..text.find(|char: char| !char.is_alphanumeric()).unwrap_or(text.len())].to_lowercase()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "fixtures are the crate's own files")]
fn every_variant_has_a_message_here_and_every_golden_file_is_one() {
    let here: Vec<String> = every_message().iter().map(name_of).collect();
    let all: Vec<String> = variants::<Message<'_>>().iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(here, all);
    let mut expected: Vec<String> =
        all.iter().enumerate().map(|(number, name)| format!("{number:02}-{name}.bin")).collect();
    expected.extend(["frame.bin".to_owned(), "lanes.bin".to_owned()]);
    let mut found: Vec<String> = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn every_message_has_its_golden_bytes() {
    for (number, message) in every_message().into_iter().enumerate() {
        let mut bytes = Vec::new();
        encode_into(&message, &mut bytes);
        assert_eq!(usize::from(bytes[0]), number, "the variant number comes first");
        assert_eq!(decode::<Message<'_>>("message", &bytes).unwrap(), message);
        check_golden(&format!("{number:02}-{}.bin", name_of(&message)), &bytes);
    }
}

/// The frame that PROTOCOL.md shows.
fn shown_frame() -> Vec<u8> {
    let mut builder = FrameBuilder::default();
    builder.push(&Message::Expand { dirs: list(vec![0, 300]), deep: false });
    builder.push(&Message::Data { file: 5, offset: 0, bytes: b"hello" });
    [&preamble()[..], &builder.take(None)[..]].concat()
}

#[test]
fn the_frame_of_the_protocol_document_is_a_real_one() {
    let bytes = shown_frame();
    check_golden("frame.bin", &bytes);
    let dump: Vec<String> = bytes
        .chunks(16)
        .enumerate()
        .map(|(at, row)| {
            let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{:04x}  {}", at * 16, hex.join(" "))
        })
        .collect();
    let document = include_str!("../PROTOCOL.md");
    assert!(document.contains(&dump.join("\n")), "PROTOCOL.md should show\n{}", dump.join("\n"));
    let mut reader = FrameReader::default();
    reader.push(&bytes);
    assert_eq!(reader.next().unwrap().map(|payload| payload.len()), Some(bytes.len() - 15));
}

#[test]
fn the_protocol_document_names_every_variant_with_its_number() {
    let document = include_str!("../PROTOCOL.md");
    let tables = [variants::<Message<'_>>(), variants::<Step>(), variants::<ChunkStep>(), variants::<Op>()];
    for (number, name) in tables.iter().flat_map(|names| names.iter().enumerate()) {
        let row = format!("| {number} | `{name}` |");
        assert!(document.contains(&row), "PROTOCOL.md lacks {row}");
    }
}

#[test]
fn the_golden_messages_have_every_step() {
    let steps = steps();
    for (names, shown) in [
        (variants::<Step>(), format!("{steps:?}")),
        (variants::<ChunkStep>(), format!("{:?}", every_message())),
        (variants::<Op>(), format!("{:?}", ops())),
    ] {
        assert!(names.iter().all(|name| shown.contains(name)), "{names:?}: {shown}");
    }
}
