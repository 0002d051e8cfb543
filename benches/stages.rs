//! The pure stages, each by itself, on made-up input: `cargo bench -- --quick` takes about a minute.
//!
//! Input comes from a fixed generator, so two runs measure the same bytes. What a whole run costs, beside
//! other tools, is measured by `benches/peers/run`.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

use syncline::chunk::{Algorithm, ChunkRef, Chunker, Params, Sizes};
use syncline::codec::Bounded;
use syncline::diff::diff;
use syncline::fs::Time;
use syncline::hash::{Domain, Hash};
use syncline::path::Name;
use syncline::snapshot::{self, DirId, Entry, Meta, Node, Profile, Snapshot};
use syncline::transfer::frame::FrameBuilder;
use syncline::transfer::message::{Message, MetaCoder, WireEntry, WireNode};
use syncline::tree::{self, FileTree};

const MIB: usize = 1 << 20;
/// Large enough not to stay in a second-level cache, small enough for many samples.
const FILE_BYTES: usize = 32 * MIB;
/// Names of the directory benchmarks.
const NAMES: usize = 100_000;
/// Chunks of the file-tree benchmarks: a file of about 6 GiB.
const CHUNKS: usize = 100_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    chunks(&mut criterion);
    trees(&mut criterion);
    snapshots(&mut criterion);
    frames(&mut criterion);
    criterion.final_summary();
}

/// Bytes without a pattern, the same in every run (xorshift64).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Text that compresses about as well as program source does.
fn text(len: usize) -> Vec<u8> {
    let words =
        ["struct ", "return ", "if (", "->next", ";\n\t", "static int ", "NULL", "device", " = ", "0x"];
    let picks = noise(len);
    let mut bytes = Vec::with_capacity(len + 16);
    for pick in picks {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(words[usize::from(pick) % words.len()].as_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn chunks(criterion: &mut Criterion) {
    let bytes = noise(FILE_BYTES);
    let sizes = Sizes { min: 16 << 10, avg: 64 << 10, max: 256 << 10 };
    let params = [
        ("gear", Params::default()),
        ("rabin", Params::new(Algorithm::Rabin, sizes).expect("the default sizes suit Rabin")),
        ("min", Params::least(64 << 10).expect("64 KiB is a mean size")),
        ("fixed", Params::fixed(64 << 10).expect("64 KiB is a block size")),
    ];
    for (stage, hash) in [("chunk", false), ("chunk+hash", true)] {
        let mut group = criterion.benchmark_group(stage);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        for (name, params) in &params {
            let chunker = Chunker::new(params);
            group.bench_function(*name, |bencher| {
                bencher.iter(|| match hash {
                    false => chunker.split(black_box(&bytes)).count(),
                    true => chunker.split(black_box(&bytes)).map(ChunkRef::of).count(),
                });
            });
        }
        group.finish();
    }
}

fn chunk_refs(count: usize) -> Vec<ChunkRef> {
    let chunk =
        |i: usize| ChunkRef { hash: Hash::of(Domain::Chunk, &(i as u64).to_le_bytes()), len: 64 << 10 };
    (0..count).map(chunk).collect()
}

fn trees(criterion: &mut Criterion) {
    let refs = chunk_refs(CHUNKS);
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(CHUNKS as u64));
    group.bench_function("root of 100k chunks", |bencher| {
        bencher.iter(|| {
            let mut builder = tree::Builder::new();
            refs.iter().for_each(|chunk| builder.push(*chunk));
            builder.finish()
        });
    });
    group.bench_function("all levels of 100k chunks", |bencher| {
        bencher.iter_batched(
            || refs.clone(),
            |refs| FileTree::from_chunks(refs).expect("the chunks are valid"),
            BatchSize::LargeInput,
        );
    });
    let old = FileTree::from_chunks(refs.clone()).expect("the chunks are valid");
    for edits in [1, 1000] {
        let mut edited = refs.clone();
        for edit in 0..edits {
            // Another digest, in place and spread over the file.
            edited[edit * (CHUNKS / edits)].hash = Hash([edit as u8; 32]);
        }
        let new = FileTree::from_chunks(edited).expect("the chunks are valid");
        group.bench_function(BenchmarkId::new("diff of 100k chunks, edits", edits), |bencher| {
            bencher.iter(|| tree::diff(black_box(&old), black_box(&new)));
        });
    }
    group.finish();
}

/// A directory of [`NAMES`] files, or a hundred directories that hold as many together. Every file whose number
/// is a multiple of `edited` holds other bytes: with [`NAMES`], the first alone.
fn names(flat: bool, edited: usize) -> snapshot::Builder {
    let root = move |i: usize| {
        Hash::of(Domain::Chunk, &[&i.to_le_bytes()[..], &[u8::from(i.is_multiple_of(edited))]].concat())
    };
    let meta = Meta { mode: 0o644, mtime: Time { secs: 1_700_000_000, nanos: 0 }, ..Meta::default() };
    let file = |i: usize| Entry {
        name: name(i),
        meta,
        node: Node::File { size: i as u64, root: Some(root(i)), link: None },
    };
    let mut builder = snapshot::Builder::new(Profile::default(), Params::default(), meta);
    if flat {
        builder.fill(DirId::ROOT, (0..NAMES).map(file).collect()).expect("the names differ");
    } else {
        let dir = |i: usize| Entry { name: name(i), meta, node: Node::Dir { dir: DirId::ROOT } };
        let dirs = builder.fill(DirId::ROOT, (0..100).map(dir).collect()).expect("the names differ");
        for (at, dir) in dirs.into_iter().enumerate() {
            let files = at * NAMES / 100..(at + 1) * NAMES / 100;
            builder.fill(dir, files.map(file).collect()).expect("the names differ");
        }
    }
    builder
}

fn name(i: usize) -> Name {
    Name::new(format!("name-{i:06}.txt").as_bytes()).expect("letters and digits are a name")
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(NAMES as u64));
    for (shape, flat) in [("one directory", true), ("100 directories", false)] {
        group.bench_function(BenchmarkId::new("digests of 100k names", shape), |bencher| {
            bencher.iter_batched(
                || names(flat, NAMES),
                |builder| builder.finish().root().expect("every file's root is known"),
                BatchSize::PerIteration,
            );
        });
    }
    let old = names(false, NAMES).finish();
    for edited in [1000, 10] {
        let new = names(false, edited).finish();
        group.bench_function(
            BenchmarkId::new("diff of 100k names, files edited", NAMES / edited),
            |bencher| {
                bencher.iter(|| diff(black_box(&old), black_box(&new)).len());
            },
        );
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    let chunk = text(64 << 10);
    let data = |builder: &mut FrameBuilder| {
        for offset in [0, 64 << 10, 128 << 10] {
            builder.push(&Message::Data { file: 7, offset, bytes: &chunk });
        }
    };
    group.throughput(Throughput::Bytes(3 * chunk.len() as u64));
    for (name, level) in [("plain", None), ("zstd 1", Some(1)), ("zstd 3", Some(3))] {
        let mut builder = FrameBuilder::default();
        group.bench_function(BenchmarkId::new("encode three chunks", name), |bencher| {
            bencher.iter(|| {
                data(&mut builder);
                builder.take(level)
            });
        });
    }

    let entries: Vec<WireEntry> = listing(&names(true, NAMES).finish(), 512);
    let listing = Message::Listing {
        dir: 0,
        node: None,
        first: 0,
        more: false,
        entries: Bounded::new(entries).expect("a listing holds so many"),
    };
    group.throughput(Throughput::Elements(512));
    let mut builder = FrameBuilder::default();
    group.bench_function("encode a listing of 512 names", |bencher| {
        bencher.iter(|| {
            builder.push(&listing);
            builder.take(None)
        });
    });
    group.finish();
}

fn listing(snapshot: &Snapshot, count: usize) -> Vec<WireEntry> {
    let mut coder = MetaCoder::default();
    let entries = snapshot.entries(DirId::ROOT).iter().take(count);
    entries
        .map(|entry| WireEntry {
            name: entry.name.clone(),
            meta: coder.encode(entry.meta),
            node: WireNode::File { size: entry.size().unwrap_or(0), root: entry.root() },
        })
        .collect()
}
