use std::collections::HashSet;
use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::chunk::tests::{Noise, check_golden};
use crate::chunk::{Algorithm, Params, Sizes};
use crate::hash::{Domain, Hash};
use crate::limits::{CHUNK_BYTES_MAX, NODE_CHILDREN_MAX, TREE_LEVELS_MAX};

mod locality;

/// Chunks scaled down by 256, so that small inputs make tall trees.
fn small(algorithm: Algorithm) -> Chunker {
    let sizes = match algorithm {
        Algorithm::Min => Sizes { min: 128, avg: 256, max: 384 },
        _ => Sizes { min: 64, avg: 256, max: 1024 },
    };
    Chunker::new(&Params::new(algorithm, sizes).unwrap())
}

/// The algorithms that let an inserted byte move few cuts.
const CONTENT_DEFINED: [Algorithm; 3] = [Algorithm::Gear, Algorithm::Rabin, Algorithm::Min];

fn tree(bytes: &[u8]) -> FileTree {
    FileTree::of_bytes(&small(Algorithm::Gear), bytes)
}

/// Chunks that nobody cut: `count` different digests.
fn made_up_chunks(seed: u64, count: usize) -> Vec<ChunkRef> {
    let mut noise = Noise(seed);
    (0..count).map(|_| ChunkRef::of(&noise.next().to_le_bytes())).collect()
}

fn tree_of(chunks: &[ChunkRef]) -> FileTree {
    FileTree::from_chunks(chunks.to_vec()).unwrap()
}

fn build(chunks: &[ChunkRef]) -> Root {
    let mut builder = Builder::new();
    chunks.iter().for_each(|&chunk| builder.push(chunk));
    builder.finish()
}

/// The oracle: `FORMAT.md` word for word, a whole level at a time, nothing kept and nothing shared.
fn slow_root(level: u8, items: &[(Hash, u64)]) -> (Hash, u64) {
    if let [root] = items {
        return *root;
    }
    let mut nodes = vec![];
    let mut rest = items;
    while !rest.is_empty() {
        let ends = |count: usize| {
            let boundary = Hash::of(Domain::Boundary, &[&[level][..], &rest[count - 1].0.0].concat());
            let value = u64::from_le_bytes(boundary.0[..8].try_into().unwrap());
            count == rest.len() || count == 256 || count >= 16 && value < u64::MAX / 49
        };
        let (children, behind) = rest.split_at((1..).find(|&count| ends(count)).unwrap());
        let len: u64 = children.iter().map(|child| child.1).sum();
        let mut bytes = vec![level];
        bytes.extend(len.to_le_bytes());
        bytes.extend((children.len() as u32).to_le_bytes());
        for (hash, len) in children {
            bytes.extend(hash.0);
            bytes.extend(len.to_le_bytes());
        }
        nodes.push((Hash::of(Domain::FileNode, &bytes), len));
        rest = behind;
    }
    slow_root(level + 1, &nodes)
}

/// Chunk counts at which a tree that is wrong goes wrong.
const INTERESTING_COUNTS: [(usize, &str); 13] = [
    (1, "the root is the chunk"),
    (2, "the smallest node"),
    (15, "no boundary is looked for"),
    (16, "the first that may be one"),
    (17, "the last node may have one child"),
    (64, "the mean fan-out"),
    (255, "one less than the most children"),
    (256, "the most children a node can have"),
    (257, "one node cannot do"),
    (1024, "16 nodes: the first boundary of level 2"),
    (4096, "64², about where a third level begins"),
    (16_385, "three levels with a short end"),
    (70_000, "level 3 has nodes to choose between"),
];

#[test]
fn tree_and_builder_agree_with_the_oracle_at_interesting_counts() {
    for (count, reason) in INTERESTING_COUNTS {
        let chunks = made_up_chunks(count as u64, count);
        let items: Vec<_> = chunks.iter().map(|chunk| (chunk.hash, chunk.len.into())).collect();
        let (hash, len) = slow_root(1, &items);
        let expected = Root { hash, len, chunks: count as u64 };
        assert_eq!(build(&chunks), expected, "builder: {count} chunks: {reason}");
        assert_eq!(tree_of(&chunks).root(), expected, "tree: {count} chunks: {reason}");
    }
}

#[test]
fn tree_and_builder_agree_with_the_oracle_for_every_small_count() {
    let chunks = made_up_chunks(1, 600);
    let items: Vec<_> = chunks.iter().map(|chunk| (chunk.hash, chunk.len.into())).collect();
    for count in 1..=600 {
        let (hash, len) = slow_root(1, &items[..count]);
        let expected = Root { hash, len, chunks: count as u64 };
        assert_eq!((build(&chunks[..count]), tree_of(&chunks[..count]).root()), (expected, expected));
    }
}

#[test]
fn every_node_keeps_its_bounds_and_its_digest() {
    for seed in 0..20 {
        let tree = tree_of(&made_up_chunks(seed, 3000 + 977 * seed as usize));
        for level in 1..=tree.levels() {
            let nodes = tree.nodes(level);
            for (index, node) in nodes.iter().enumerate() {
                let children = tree.children(level, index);
                assert_eq!(verify_children(level, &children, tree.child(level, index)), Ok(()));
                assert!(node.children.len() <= NODE_CHILDREN_MAX);
                assert!(node.children.len() >= NODE_CHILDREN_MIN || index + 1 == nodes.len());
            }
            let below = tree.count(level - 1);
            assert!(nodes.iter().flat_map(|node| node.children.clone()).eq(0..below), "seed {seed}");
        }
        assert_eq!(tree.nodes(tree.levels()).len(), 1);
        assert!(tree.nodes(0).is_empty() && tree.nodes(tree.levels() + 1).is_empty());
    }
}

#[test]
fn mean_fan_out_is_about_64_on_the_lower_levels() {
    let tree = tree_of(&made_up_chunks(3, 400_000));
    for level in [1, 2] {
        let mean = tree.count(level - 1) / tree.count(level);
        assert!((58..70).contains(&mean), "level {level}: {mean}");
    }
}

#[test]
fn equal_chunks_make_a_bounded_tree() {
    // Every boundary says the same, so nodes have all 16 children or all 256.
    for count in [1, 16, 17, 256, 257, 70_000] {
        let chunks = vec![ChunkRef::of(&[0; 300]); count];
        assert_eq!(build(&chunks), tree_of(&chunks).root());
        assert!(tree_of(&chunks).levels() <= 5);
    }
}

#[test]
fn file_of_one_chunk_is_that_chunk() {
    for bytes in [&b""[..], b"x", &[9; 64]] {
        let expected = Root { hash: Hash::of(Domain::Chunk, bytes), len: bytes.len() as u64, chunks: 1 };
        assert_eq!(hash_bytes(&small(Algorithm::Gear), bytes), expected);
        assert_eq!(tree(bytes).root(), expected);
        assert_eq!(tree(bytes).levels(), 0);
    }
    assert_eq!(build(&[]), Root::empty());
    assert_eq!(build(&[ChunkRef::of(b"")]), Root::empty());
    assert_eq!(tree_of(&[]).root(), Root::empty());
}

#[test]
fn tree_refuses_chunks_that_no_chunker_cuts() {
    let fine = ChunkRef::of(b"x");
    let empty = ChunkRef::of(b"");
    let forged = ChunkRef { len: 0, ..fine };
    let long = ChunkRef { len: CHUNK_BYTES_MAX as u32 + 1, ..fine };
    for (chunks, error) in [
        (vec![fine, empty], TreeError::EmptyItem { index: 1 }),
        (vec![forged], TreeError::EmptyItem { index: 0 }),
        (vec![fine, long], TreeError::ChunkTooLong { len: long.len.into() }),
    ] {
        assert_eq!(FileTree::from_chunks(chunks), Err(error));
    }
}

#[test]
fn node_refuses_children_out_of_bounds() {
    let child = |len| Child { hash: Hash([1; 32]), len };
    let check = |level, children: &[Child], error| {
        assert_eq!(Child::of_node(level, children), Err(error));
        assert_eq!(verify_children(level, children, child(1)), Err(error));
    };
    check(0, &[child(1)], TreeError::Level { found: 0 });
    check(TREE_LEVELS_MAX + 1, &[child(1)], TreeError::Level { found: TREE_LEVELS_MAX + 1 });
    check(1, &[], TreeError::ChildCount { found: 0 });
    check(1, &[child(1); 257], TreeError::ChildCount { found: 257 });
    check(2, &[child(1), child(0)], TreeError::EmptyItem { index: 1 });
    check(1, &[child(1 << 20)], TreeError::ChunkTooLong { len: 1 << 20 });
    check(2, &[child(u64::MAX), child(1)], TreeError::LengthOverflow);
    assert!(Child::of_node(2, &[child(u64::MAX)]).is_ok());
}

#[test]
fn node_with_one_bit_changed_is_not_believed() {
    let tree = tree(&Noise(4).bytes(4000));
    let children = tree.children(1, 0);
    for index in 0..children.len() {
        for bit in [0, 7] {
            let mut forged = children.clone();
            forged[index].hash.0[5] ^= 1 << bit;
            assert!(verify_children(1, &forged, tree.child(1, 0)).is_err());
            let mut forged = children.clone();
            forged[index].len ^= 1 << bit;
            assert!(verify_children(1, &forged, tree.child(1, 0)).is_err());
        }
    }
    assert!(matches!(verify_children(2, &children, tree.child(1, 0)), Err(TreeError::Mismatch { .. })));
}

#[test]
fn node_bytes_decode_to_themselves_and_nothing_else_does() {
    let tree = tree(&Noise(5).bytes(4000));
    let children = tree.children(1, 0);
    let bytes = encode_node(1, &children).unwrap();
    assert_eq!(decode_node(&bytes), Ok((1, children)));
    for len in 0..bytes.len() {
        assert!(decode_node(&bytes[..len]).is_err());
    }
    assert!(decode_node(&[&bytes[..], &[0]].concat()).is_err());
    assert!(decode_node(&vec![1; 1 << 20]).is_err());
    // The header's other fields: level, total length, count.
    for at in [0, 1, 8, 9, 12] {
        let mut forged = bytes.clone();
        forged[at] ^= 0x80;
        assert!(decode_node(&forged).is_err(), "byte {at}");
    }
}

/// What a slow reader gives: pieces of any size, and an interruption now and then.
struct Pieces<'a>(&'a [u8], Noise, usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.below(10) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = (1 + self.1.below(self.2)).min(self.0.len()).min(buffer.len());
        let piece = self.0.split_off(..len).expect("no longer than what is left");
        buffer[..len].copy_from_slice(piece);
        Ok(len)
    }
}

proptest! {
    #[test]
    fn same_bytes_give_the_same_root_whatever_the_reads(
        seed: u64,
        len in 0usize..60_000,
        piece_max in prop_oneof![1usize..8, 1usize..2000, 1usize..100_000],
        algorithm in prop::sample::select(CONTENT_DEFINED.to_vec()),
    ) {
        let chunker = small(algorithm);
        let bytes = Noise(seed).bytes(len);
        let root = hash_bytes(&chunker, &bytes);
        prop_assert_eq!(hash_reader(&chunker, Pieces(&bytes, Noise(seed), piece_max)).unwrap(), root);
        let tree = FileTree::of_reader(&chunker, Pieces(&bytes, Noise(seed), piece_max)).unwrap();
        prop_assert_eq!(tree.root(), root);
        prop_assert_eq!(tree, FileTree::of_bytes(&chunker, &bytes));
    }

    #[test]
    fn diff_finds_what_set_difference_finds(
        seed: u64,
        len in 1usize..200_000,
        edits in 0usize..6,
    ) {
        let mut noise = Noise(seed);
        let old = noise.bytes(len);
        let mut new = old.clone();
        for _ in 0..edits {
            locality::Edit::random(&mut noise, &new, 5000).apply(&mut new);
        }
        check_diff(&tree(&old), &tree(&new));
        check_diff(&tree(&new), &tree(&old));
    }

    #[test]
    fn diff_of_unrelated_heights_is_complete(a in 0usize..6000, b in 0usize..300, shared in 0usize..300) {
        let common = made_up_chunks(7, shared);
        let a = tree_of(&[&made_up_chunks(8, a), &common[..]].concat());
        let b = tree_of(&[&common[..], &made_up_chunks(9, b)].concat());
        check_diff(&a, &b);
        check_diff(&b, &a);
    }
}

/// The slow way: every chunk of `new` looked up among all of `old`.
fn check_diff(old: &FileTree, new: &FileTree) {
    let found = diff(old, new);
    let known: HashSet<&ChunkRef> = old.chunks().iter().collect();
    let expected: Vec<usize> =
        (0..new.chunks().len()).filter(|&index| !known.contains(&new.chunks()[index])).collect();
    assert_eq!(found.missing.iter().cloned().flatten().collect::<Vec<_>>(), expected);
    assert_eq!(found.missing_chunks(), expected.len());
    assert!(
        found.missing.is_sorted_by(|a, b| a.end < b.start) && found.missing.iter().all(|r| !r.is_empty())
    );
}

#[test]
fn diff_of_equal_trees_opens_nothing() {
    let tree = tree(&Noise(10).bytes(300_000));
    assert_eq!(diff(&tree, &tree), Diff::default());
}

#[test]
fn proof_gives_the_offset_of_every_chunk() {
    for size in [0, 10, 5000, 100_000] {
        let tree = tree(&Noise(11).bytes(size));
        let Root { hash, len, chunks } = tree.root();
        let mut offset = 0;
        for (index, &chunk) in tree.chunks().iter().enumerate() {
            assert_eq!(tree.proof(index).unwrap().verify(&hash, len, chunk), Ok(offset));
            offset += u64::from(chunk.len);
        }
        assert_eq!((offset, tree.proof(chunks as usize)), (len, None));
    }
}

#[test]
fn proof_refuses_another_chunk_root_length_or_way() {
    let tree = tree(&Noise(12).bytes(100_000));
    let Root { hash, len, .. } = tree.root();
    let chunk = tree.chunks()[70];
    let good = tree.proof(70).unwrap();
    assert!(good.verify(&hash, len, tree.chunks()[71]).is_err());
    assert!(good.verify(&hash, len, ChunkRef { len: chunk.len + 1, ..chunk }).is_err());
    assert!(good.verify(&chunk.hash, len, chunk).is_err());
    assert!(good.verify(&hash, len + 1, chunk).is_err());
    assert!(good.steps.len() >= 2);
    let check = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        assert!(proof.verify(&hash, len, chunk).is_err());
    };
    check(&|proof| proof.steps.truncate(1));
    check(&|proof| drop(proof.steps.remove(0)));
    check(&|proof| proof.steps[0].index += 1);
    check(&|proof| proof.steps[1].index = usize::MAX);
    check(&|proof| proof.steps[0].children[0].len -= 1);
    check(&|proof| proof.steps[1].children.truncate(1));
    check(&|proof| proof.steps = vec![proof.steps[0].clone(); TREE_LEVELS_MAX + 1]);
}

/// A root node of three chunks, and its bytes as a hex dump of 16 a line.
fn golden_node() -> (Vec<u8>, String) {
    let tree = tree(&Noise(2026).bytes(700));
    assert_eq!((tree.levels(), tree.count(0)), (1, 3), "short enough to print");
    let bytes = encode_node(1, &tree.children(1, 0)).unwrap();
    let dump = bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        format!("{:04x} {hex}\n", line * 16)
    });
    let dump = dump.collect();
    (bytes, dump)
}

#[test]
fn node_bytes_equal_the_golden_file_and_the_document() {
    let (bytes, dump) = golden_node();
    let golden = include_bytes!("../../fixtures/golden/tree/v1/node.bin");
    check_golden("tree/v1/node.bin", golden, &bytes);
    assert!(include_str!("FORMAT.md").contains(&dump), "FORMAT.md should show:\n{dump}");
}

#[test]
fn roots_equal_the_golden_files() {
    let (min, min_default) = (small(Algorithm::Min), Chunker::new(&Params::least(64 << 10).unwrap()));
    let actual =
        golden_roots(&[("min-128-256-384", min, &[300_000]), ("min-default", min_default, &[12_000_000])]);
    let golden = include_bytes!("../../fixtures/golden/tree/v1/roots-min.txt");
    check_golden("tree/v1/roots-min.txt", golden, actual.as_bytes());

    let actual = golden_roots(&[
        ("gear-64-256-1024", small(Algorithm::Gear), &[0, 1, 64, 900, 20_000, 300_000, 3_000_000][..]),
        ("rabin-64-256-1024", small(Algorithm::Rabin), &[300_000]),
        ("gear-default", Chunker::new(&Params::default()), &[16_384, 300_000, 12_000_000]),
    ]);
    let golden = include_bytes!("../../fixtures/golden/tree/v1/roots.txt");
    check_golden("tree/v1/roots.txt", golden, actual.as_bytes());
}

/// One line for each of the sizes under each of the chunkers: what the tree's root says, and its levels.
fn golden_roots(cases: &[(&str, Chunker, &[usize])]) -> String {
    let mut actual = String::new();
    for (name, chunker, sizes) in cases {
        for &size in *sizes {
            let tree = FileTree::of_bytes(chunker, &Noise(2026).bytes(size));
            let Root { hash, len, chunks } = tree.root();
            let levels = tree.levels();
            actual += &format!("{name} {len} bytes {chunks} chunks {levels} levels {hash}\n");
        }
    }
    actual
}
