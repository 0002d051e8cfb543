//! Roots and proofs, beside the definitions of RFC 6962 as they stand there.

use proptest::prelude::*;

use super::*;

const SIZES: std::ops::RangeInclusive<usize> = 0..=130;

fn leaves(count: usize) -> Vec<Hash> {
    (0..count as u64).map(|at| Hash::of(Domain::LogLeaf, &at.to_le_bytes())).collect()
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of(Domain::LogNode, &[left.0, right.0].concat())
}

/// The largest power of two below `count`.
fn split(count: usize) -> usize {
    (0..).map(|bit| 1 << bit).take_while(|power| *power < count).last().unwrap()
}

/// MTH, section 2.1.
fn slow_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(Domain::LogNode, b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(slow_root(left), slow_root(right))
        }
    }
}

/// PATH, section 2.1.1.
fn slow_path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    match at < left.len() {
        true => [slow_path(at, left), vec![slow_root(right)]].concat(),
        false => [slow_path(at - left.len(), right), vec![slow_root(left)]].concat(),
    }
}

/// SUBPROOF, section 2.1.2.
fn slow_subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { vec![] } else { vec![slow_root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    match old <= left.len() {
        true => [slow_subproof(old, left, known), vec![slow_root(right)]].concat(),
        false => [slow_subproof(old - left.len(), right, false), vec![slow_root(left)]].concat(),
    }
}

#[test]
fn roots_are_those_of_the_definition() {
    let leaves = leaves(*SIZES.end());
    let mut frontier = Frontier::new();
    for size in SIZES {
        let expected = slow_root(&leaves[..size]);
        assert_eq!(root_of(&leaves[..size]), expected, "{size}");
        assert_eq!((frontier.size(), frontier.root()), (size as u64, expected));
        let bytes = frontier.encode();
        assert_eq!(bytes.len(), 8 + 32 * size.count_ones() as usize);
        assert_eq!(Frontier::decode(&bytes), Ok(frontier.clone()));
        for wrong in [&bytes[1..], &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
            assert!(Frontier::decode(wrong).is_err(), "{size}");
        }
        frontier.extend(leaves.get(size).copied());
    }
    let most = [&[0xff; 8], &[0; 64 * 32][..]].concat();
    assert!(Frontier::decode(&most).is_err(), "one more would overflow");
}

/// Other lists of digests: one flipped bit each, all flipped bits of some, shorter, longer, two in each other's place.
fn others(proof: &[Hash], every_bit: bool) -> Vec<Vec<Hash>> {
    let mut others = Vec::new();
    let mut changed = |change: &dyn Fn(&mut Vec<Hash>)| {
        let mut other = proof.to_vec();
        change(&mut other);
        others.push(other);
    };
    for at in 0..proof.len() {
        let step = if every_bit { 1 } else { 97 };
        for bit in (at % step..256).step_by(step) {
            changed(&|other| other[at].0[bit / 8] ^= 1 << (bit % 8));
        }
        changed(&|other| _ = other.remove(at));
        changed(&|other| other.insert(at, proof[at]));
        (0..at).for_each(|before| changed(&|other| other.swap(before, at)));
    }
    changed(&|other| other.push(Hash([0; 32])));
    changed(&|other| other.insert(0, Hash([0; 32])));
    others
}

#[test]
fn inclusion_is_proven_by_that_list_only() {
    let all = leaves(*SIZES.end());
    for size in SIZES {
        let (leaves, root) = (&all[..size], slow_root(&all[..size]));
        assert_eq!(inclusion_proof(leaves, size), None);
        assert!(!verify_inclusion(&root, size as u64, size as u64, &root, &[]));
        for at in 0..size {
            let proof = inclusion_proof(leaves, at).unwrap();
            assert_eq!(proof, slow_path(at, leaves), "{at} of {size}");
            let verify = |leaf: usize, at: usize, proof: &[Hash]| {
                verify_inclusion(&all[leaf], at as u64, size as u64, &root, proof)
            };
            assert!(verify(at, at, &proof), "{at} of {size}");
            for other in others(&proof, [7, 64, 129].contains(&size)) {
                assert!(!verify(at, at, &other), "{at} of {size}: {other:?}");
            }
            assert!(!verify(at, at ^ 1, &proof) && !verify((at + 1) % all.len(), at, &proof));
            assert!(!verify(at, at + 1, &proof) && !verify(at, usize::MAX, &proof));
        }
    }
}

#[test]
fn consistency_is_proven_by_that_list_only() {
    let all = leaves(*SIZES.end());
    let roots: Vec<Hash> = SIZES.map(|size| slow_root(&all[..size])).collect();
    for size in SIZES {
        let leaves = &all[..size];
        assert_eq!(consistency_proof(leaves, size + 1), None);
        for old in 0..=size {
            let proof = consistency_proof(leaves, old).unwrap();
            let expected = if old == 0 { vec![] } else { slow_subproof(old, leaves, true) };
            assert_eq!(proof, expected, "{old} of {size}");
            let verify = |old: (usize, &Hash), new: (usize, &Hash), proof: &[Hash]| {
                verify_consistency((old.0 as u64, old.1), (new.0 as u64, new.1), proof)
            };
            let (before, now) = ((old, &roots[old]), (size, &roots[size]));
            assert!(verify(before, now, &proof), "{old} of {size}");
            for other in others(&proof, [7, 64, 129].contains(&size) && old % 5 == 2) {
                assert!(!verify(before, now, &other), "{old} of {size}: {other:?}");
            }
            let other = Hash([9; 32]);
            assert!(!verify((old, &other), now, &proof), "{old} of {size}");
            assert!(old == 0 || !verify(before, (size, &other), &proof), "{old} of {size}");
            assert!(old == size || !verify(now, before, &proof), "{old} of {size}");
        }
    }
}

proptest! {
    #[test]
    fn no_proof_panics(
        sizes in any::<[u64; 3]>(), small in any::<bool>(), count in 0usize..140, bytes in any::<[u8; 32]>(),
    ) {
        let [at, old, new] = if small { sizes.map(|size| size % 200) } else { sizes };
        let (hash, proof) = (Hash(bytes), vec![Hash(bytes); count]);
        prop_assert!(!verify_inclusion(&hash, at, new, &hash, &proof) || (new == 1 && count == 0));
        prop_assert!(!verify_consistency((old, &hash), (new, &hash), &proof) || (old == new && count == 0));
    }
}
