//! Which new bytes are compared with which old ones.

use std::collections::BTreeSet;

use super::super::scope::{Scope, scopes};
use super::super::{NEW_BYTES_MAX, NEW_BYTES_MIN, OLD_BYTES_MAX};
use crate::bench::pair::Rng;
use crate::chunk::ChunkRef;
use crate::hash::Hash;

fn chunk(id: u64, len: u32) -> ChunkRef {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&id.to_le_bytes());
    ChunkRef { hash: Hash(hash), len }
}

fn len_of(list: &[ChunkRef]) -> u64 {
    list.iter().map(|chunk| u64::from(chunk.len)).sum()
}

/// What must hold of any scopes.
fn check(list: &[ChunkRef], wanted: &[u64], old: &[ChunkRef]) -> (Vec<Scope>, Vec<u64>) {
    let mut missing = wanted.to_vec();
    let found = scopes(list, &mut missing, old);
    let mut seen = BTreeSet::new();
    for at in
        missing.iter().copied().chain(found.iter().flat_map(|s| s.first..s.first + s.chunks.len() as u64))
    {
        assert!(seen.insert(at), "chunk {at} twice");
    }
    assert!(seen.iter().eq(wanted), "every missing chunk once, and no other");
    for scope in &found {
        let (first, count) = (scope.first as usize, scope.chunks.len());
        assert_eq!(scope.chunks, list[first..first + count]);
        assert_eq!(scope.offset, len_of(&list[..first]));
        assert_eq!(scope.len, len_of(&scope.chunks));
        assert!((NEW_BYTES_MIN..=NEW_BYTES_MAX).contains(&scope.len) || count == 1, "{}", scope.len);
        let old_len = u64::from(scope.old.len);
        assert!((NEW_BYTES_MIN..=OLD_BYTES_MAX).contains(&old_len), "{old_len}");
        assert!(scope.old.at + old_len <= len_of(old), "beyond the old file");
        assert!(!scope.whole);
    }
    (found, missing)
}

#[test]
fn scopes_cover_every_missing_chunk_once_and_stay_in_the_old_file() {
    for seed in 0..3000 {
        let mut rng = Rng(seed);
        let longest = [100, 3000, 70_000, 524_288][rng.below(4) as usize];
        let some = |rng: &mut Rng, count: u64| -> Vec<ChunkRef> {
            (0..count).map(|_| chunk(rng.below(200), rng.below(longest) as u32 + 1)).collect()
        };
        let (new_count, old_count) = (rng.below(60) + 1, rng.below(60));
        let (mut list, old) = (some(&mut rng, new_count), some(&mut rng, old_count));
        // A common part, so that there are neighbours, of which some are out of order.
        for _ in 0..rng.below(20) {
            if let Some(known) = rng.pick(&old).copied() {
                let at = rng.below(list.len() as u64) as usize;
                list[at] = known;
            }
        }
        let share = rng.below(100);
        let wanted: Vec<u64> = (0..list.len() as u64).filter(|_| rng.below(100) < share).collect();
        check(&list, &wanted, &old);
    }
}

#[test]
fn between_two_known_neighbours_stand_the_bytes_to_compare_with() {
    let old = [chunk(1, 5000), chunk(2, 6000), chunk(3, 7000)];
    let list = [chunk(1, 5000), chunk(9, 6001), chunk(3, 7000)];
    let (found, missing) = check(&list, &[1], &old);
    assert!(missing.is_empty());
    assert_eq!((found.len(), found[0].old.at, found[0].old.len), (1, 5000, 6000));
    // At either end of the file, the end is a neighbour.
    for (list, wanted, expected) in [
        (vec![chunk(9, 6000), chunk(2, 6000), chunk(3, 7000)], 0, (0, 5000)),
        (vec![chunk(1, 5000), chunk(2, 6000), chunk(9, 600)], 2, (11_000, 7000)),
    ] {
        let (found, _) = check(&list, &[wanted], &old);
        assert_eq!((found[0].old.at, found[0].old.len), expected);
    }
}

#[test]
fn long_runs_are_cut_and_each_part_looks_where_it_would_stand() {
    let of = |from: u64| -> Vec<ChunkRef> { (from..from + 400).map(|id| chunk(id, 65_536)).collect() };
    let (old, list) = (of(0), of(1000));
    let wanted: Vec<u64> = (0..400).collect();
    let (found, missing) = check(&list, &wanted, &old);
    assert!(missing.is_empty() && found.len() >= 7, "25 MiB in parts of at most 4");
    for scope in &found {
        let (old_start, old_end) = (scope.old.at, scope.old.at + u64::from(scope.old.len));
        assert!(
            old_start <= scope.offset && scope.offset + scope.len <= old_end,
            "its own place is looked at"
        );
    }
}

#[test]
fn what_is_too_small_to_compare_is_left() {
    let old = [chunk(1, 5000), chunk(2, 255), chunk(3, 5000)];
    let list = [chunk(1, 5000), chunk(9, 6000), chunk(3, 5000)];
    assert_eq!(check(&list, &[1], &old).1, [1], "few old bytes");
    let list = [chunk(1, 5000), chunk(9, 255), chunk(7, 5000)];
    assert_eq!(check(&list, &[1], &[chunk(1, 5000), chunk(2, 6000)]).1, [1], "few new bytes");
    assert_eq!(check(&list, &[0, 1, 2], &[]).1, [0, 1, 2], "no old file");
}
