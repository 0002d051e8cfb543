//! Digests of records → the root of RFC 6962, section 2.1, and short proofs about it.
//!
//! The tree over n leaves has a full tree over the first k on its left, k being the largest power of two below n. So
//! appending changes no full subtree, and a [`Frontier`] of one digest a bit of n is all that it takes. Instead of the
//! RFC's prefixes 0 and 1 leaves and nodes have [`Domain::LogLeaf`] and [`Domain::LogNode`]; the root of no
//! leaves is `Domain::LogNode` over nothing, which no node is. The verifications are those of RFC 9162, section 2.1.

use super::LogError;
use super::fields::Fields;
use crate::hash::{Domain, Hash};

/// More records than this no log has: so sizes can be counted on without overflow.
const SIZE_MAX: u64 = u64::MAX >> 1;

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash::of(Domain::LogNode, [left.0, right.0].as_flattened())
}

/// The root of the tree over no leaf.
fn empty() -> Hash {
    Hash::of(Domain::LogNode, b"")
}

/// The roots of the full trees that a log consists of, the largest first: one a bit of its size that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Of a log without records.
    #[must_use]
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf: two digests on average.
    pub fn append(&mut self, leaf: Hash) {
        let mut peak = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit that is set");
            peak = node(&left, &peak);
        }
        self.peaks.push(peak);
        self.size += 1;
    }

    /// The root over all leaves: at most 63 digests.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else { return empty() };
        peaks.fold(last, |right, left| node(&left, &right))
    }

    /// Its bytes: the size in eight, and the peaks.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        bytes.extend(self.peaks.iter().flat_map(|peak| peak.0));
        bytes
    }

    /// Reads a frontier that is all of `bytes`.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if it has not as many peaks as its size has bits that are set, or a size of 2⁶³ or more.
    pub fn decode(bytes: &[u8]) -> Result<Frontier, LogError> {
        let mut fields = Fields::new("frontier", bytes);
        let size = fields.u64()?;
        if size > SIZE_MAX {
            return Err(fields.malformed());
        }
        let peaks = (0..size.count_ones()).map(|_| fields.hash()).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Frontier { size, peaks })
    }
}

impl Extend<Hash> for Frontier {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.append(leaf));
    }
}

/// The root over `leaves`.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    frontier.extend(leaves.iter().copied());
    frontier.root()
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

/// What shows that the leaf at `index` is one of `leaves`; `None` if there is none. Hashes all of them.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], mut index: usize) -> Option<Vec<Hash>> {
    leaves.get(index)?;
    let (mut below, mut proof) = (leaves, Vec::new());
    while below.len() > 1 {
        let (left, right) = below.split_at(split(below.len()));
        if index < left.len() {
            proof.push(root_of(right));
            below = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            below = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` shows that `leaf` stands at `index` in the log of `size` records with this root. The proof may come
/// from anyone: at most 64 digests are taken.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            let level = at.trailing_zeros();
            (at, last) = (at >> level, last >> level);
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// What shows that the log of the first `old` of `leaves` was not changed since, but added to; `None` if there are not
/// so many. Hashes all of them.
#[must_use]
pub fn consistency_proof(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old > leaves.len() {
        return None;
    }
    let (mut below, mut old, mut proof) = (leaves, old, Vec::new());
    // Whether the old root is that of the old leaves below: then whoever asks has it.
    let mut known = true;
    if old == 0 {
        return Some(proof);
    }
    while old < below.len() {
        let (left, right) = below.split_at(split(below.len()));
        if old <= left.len() {
            proof.push(root_of(right));
            below = left;
        } else {
            proof.push(root_of(left));
            old -= left.len();
            below = right;
            known = false;
        }
    }
    if !known {
        proof.push(root_of(below));
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` shows that the log of `new` records begins with that of `old`: pairs of a size and a root. The proof
/// may come from anyone: at most 128 digests are taken.
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty() && (new_size > 0 || old_root == new_root);
    }
    if old_size >= new_size {
        return proof.is_empty() && old_size == new_size && old_root == new_root;
    }
    let level = (old_size - 1).trailing_ones();
    let (mut at, mut last) = ((old_size - 1) >> level, (new_size - 1) >> level);
    // Where the old log is one full tree, its root is the first digest.
    let (first, rest) = match proof.split_first() {
        Some(_) if old_size.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return false,
    };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node(sibling, &old_hash);
            new_hash = node(sibling, &new_hash);
            let level = at.trailing_zeros();
            (at, last) = (at >> level, last >> level);
        } else {
            new_hash = node(&new_hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}
