//! An edit changes few chunks and few nodes, wherever it stands: the promise that everything else rests on.

use super::*;

/// Replaces `removed` bytes at `at` by `inserted`.
#[derive(Debug)]
pub(super) struct Edit {
    at: usize,
    removed: usize,
    inserted: Vec<u8>,
}

impl Edit {
    /// An insertion, a deletion or a replacement of 1 to `len_max` bytes, anywhere.
    pub(super) fn random(noise: &mut Noise, bytes: &[u8], len_max: usize) -> Edit {
        let at = noise.below(bytes.len() + 1);
        let len = 1 + noise.below(len_max);
        let removable = len.min(bytes.len() - at);
        let (removed, inserted) = match noise.below(3) {
            0 => (0, len),
            1 => (removable, 0),
            _ => (removable, removable),
        };
        Edit { at, removed, inserted: noise.bytes(inserted) }
    }

    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        bytes.splice(self.at..self.at + self.removed, self.inserted.iter().copied());
    }
}

/// Most chunks that an edit of up to one average chunk (64 KiB by default) may change.
///
/// The edited bytes lie in at most `avg / min + 2 = 6` chunks, as a rule in two. Behind them, each chunk
/// falls in with an old cut with a chance of about 1/2 (measured: the counts of edits that change
/// 1, 2, 3, … chunks halve each time under gear and fall faster under the others), so more than 24 change once
/// in some 2²⁰ edits.
const CHANGED_CHUNKS_MAX: usize = 24;

/// Most nodes of one level that such an edit may change.
///
/// 24 chunks in a row lie in at most `24 / 16 + 2` nodes, nearly always in one. Behind them the old and the
/// new level end a node at the same child unless one of them has fewer than 16 children there: about one
/// time in 20 (measured), so more than 6 change less than once in 10⁶ edits, on each of `log₆₄ n` levels.
const CHANGED_NODES_MAX: usize = 6;

/// Items of `new` that `old` has not, at each level, chunks first.
fn changed(old: &FileTree, new: &FileTree) -> Vec<usize> {
    let items = |tree: &FileTree, level| -> HashSet<Child> {
        (0..tree.count(level)).map(|index| tree.child(level, index)).collect()
    };
    (0..=new.levels()).map(|level| items(new, level).difference(&items(old, level)).count()).collect()
}

/// Checks the two bounds, both ways: what is gone from `old` is as little as what is new.
fn check_locality(old: &FileTree, new: &FileTree, context: &str) {
    for (old, new) in [(old, new), (new, old)] {
        let changed = changed(old, new);
        assert!(changed[0] <= CHANGED_CHUNKS_MAX, "{context}: chunks, then nodes a level: {changed:?}");
        assert!(changed[1..].iter().all(|&nodes| nodes <= CHANGED_NODES_MAX), "{context}: {changed:?}");
        let visited = diff(old, new).nodes_visited;
        assert!(visited <= CHANGED_NODES_MAX * new.levels(), "{context}: {visited} nodes visited");
    }
}

/// Lines as in a log: bytes that repeat themselves a little everywhere.
fn log_lines(noise: &mut Noise, len: usize) -> Vec<u8> {
    let verbs = ["opened", "closed", "wrote", "renamed"];
    let mut text = String::new();
    while text.len() < len {
        let (verb, file, millis) = (verbs[noise.below(4)], noise.below(10_000), noise.below(1000));
        text += &format!("INFO worker {verb} file /srv/data/{file:05}.dat in {millis} ms\n");
    }
    text.truncate(len);
    text.into_bytes()
}

/// Some 4,000 small chunks in 64 nodes: far more than the bounds, so that a shift could not hide in them.
const SCALED_BYTES: usize = 1 << 20;

#[test]
fn edit_changes_few_chunks_and_nodes_wherever_it_stands() {
    for seed in 0..600 {
        let mut noise = Noise(seed);
        let chunker = small(CONTENT_DEFINED[seed as usize % CONTENT_DEFINED.len()]);
        let generate = if seed % 5 == 0 { log_lines } else { Noise::bytes };
        let bytes = generate(&mut noise, SCALED_BYTES);
        let old = FileTree::of_bytes(&chunker, &bytes);
        for _ in 0..5 {
            let mut edited = bytes.clone();
            let edit = Edit::random(&mut noise, &bytes, 256);
            edit.apply(&mut edited);
            check_locality(&old, &FileTree::of_bytes(&chunker, &edited), &format!("seed {seed}, {edit:?}"));
        }
    }
}

#[test]
fn edit_of_64_kib_changes_few_default_chunks() {
    for seed in 0..9 {
        let params = if seed < 6 { Params::default() } else { Params::least(64 << 10).unwrap() };
        let chunker = Chunker::new(&params);
        let mut noise = Noise(seed);
        let bytes = noise.bytes(12 << 20);
        let old = FileTree::of_bytes(&chunker, &bytes);
        for case in 0..8 {
            let mut edited = bytes.clone();
            Edit::random(&mut noise, &bytes, 64 << 10).apply(&mut edited);
            let new = FileTree::of_bytes(&chunker, &edited);
            check_locality(&old, &new, &format!("seed {seed}, case {case}"));
        }
    }
}

#[test]
fn edit_in_a_tree_of_a_quarter_million_chunks_changes_few_nodes() {
    let chunks = made_up_chunks(1, 250_000);
    let old = tree_of(&chunks);
    assert_eq!(old.levels(), 4, "16 GiB at 64 KiB a chunk");
    let mut noise = Noise(2);
    for case in 0..25 {
        let mut edited = chunks.clone();
        let at = noise.below(chunks.len() - CHANGED_CHUNKS_MAX);
        let (removed, inserted) = (noise.below(CHANGED_CHUNKS_MAX), noise.below(CHANGED_CHUNKS_MAX));
        edited.splice(at..at + removed, made_up_chunks(noise.next(), inserted));
        check_locality(&old, &tree_of(&edited), &format!("case {case}: {removed} at {at} by {inserted}"));
    }
}

#[test]
fn edit_at_either_end_changes_few_chunks_and_nodes() {
    for seed in 0..30 {
        let bytes = Noise(seed).bytes(SCALED_BYTES);
        let old = tree(&bytes);
        check_locality(&old, &tree(&[b"x", &bytes[..]].concat()), &format!("seed {seed}, front"));
        check_locality(&old, &tree(&[&bytes[..], b"x"].concat()), &format!("seed {seed}, end"));
        check_locality(&old, &tree(&bytes[1..]), &format!("seed {seed}, first byte gone"));
        check_locality(&old, &tree(&bytes[..SCALED_BYTES - 1]), &format!("seed {seed}, last byte gone"));
    }
}

#[test]
fn tree_depends_on_the_bytes_and_not_on_their_history() {
    for seed in 0..50 {
        let mut noise = Noise(seed);
        let target = noise.bytes(50_000);
        // Grown byte range by byte range in any order, with detours, from nothing.
        let mut bytes = vec![];
        let mut have = vec![];
        for place in (0..10).map(|step| step * 3 % 10) {
            let at = have.partition_point(|&other| other < place);
            have.insert(at, place);
            bytes.splice(at * 5000..at * 5000, target[place * 5000..][..5000].iter().copied());
            let mut detour = bytes.clone();
            Edit::random(&mut noise, &bytes, 3000).apply(&mut detour);
            assert_ne!(tree(&detour).root(), tree(&bytes).root(), "seed {seed}");
        }
        assert_eq!(tree(&bytes), tree(&target), "seed {seed}");
    }
}

/// The tree that is not built here: every 64 items a node, by position.
fn positional_levels(chunks: &[ChunkRef]) -> Vec<HashSet<Hash>> {
    let mut levels = vec![];
    let mut items: Vec<Hash> = chunks.iter().map(|chunk| chunk.hash).collect();
    while items.len() > 1 {
        let bytes = |node: &[Hash]| node.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>();
        items = items.chunks(64).map(|node| Hash::of(Domain::FileNode, &bytes(node))).collect();
        levels.push(items.iter().copied().collect());
    }
    levels
}

#[test]
fn byte_at_the_front_changes_every_fixed_block() {
    let chunker = Chunker::new(&Params::fixed(256).unwrap());
    let bytes = Noise(1).bytes(200_000);
    let old = FileTree::of_bytes(&chunker, &bytes);
    let new = FileTree::of_bytes(&chunker, &[b"x", &bytes[..]].concat());
    assert_eq!(diff(&old, &new).missing_chunks(), new.chunks().len());
}

#[test]
fn chunk_at_the_front_changes_every_node_of_a_positional_tree() {
    let chunks = made_up_chunks(1, 10_000);
    let more = [&made_up_chunks(2, 1), &chunks[..]].concat();
    for (old, new) in positional_levels(&chunks).iter().zip(&positional_levels(&more)) {
        assert_eq!(new.intersection(old).count(), 0);
    }
    check_locality(&tree_of(&chunks), &tree_of(&more), "the same chunks");
}
