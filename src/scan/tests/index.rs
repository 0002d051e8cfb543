use proptest::prelude::*;

use super::bed::{Bed, entry, id, name, path};
use crate::chunk::Params;
use crate::chunk::tests::{Noise, check_golden};
use crate::hash::{Domain, Hash};
use crate::scan::{Fingerprint, Index, IndexError, Scan, Side};
use crate::snapshot::Profile;

/// Bytes with their checksum set right: what a checksum does not stop.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 32;
    let checksum = blake3::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(checksum.as_bytes());
    bytes
}

/// A tree with one of everything.
fn rich() -> Bed {
    let big = Noise(1).bytes(300_000);
    let mut bed = Bed::new(&[("d/big", &big), ("d/e/small", b"abc"), ("z", b""), ("a/x", b"1")]);
    bed.options.side = Side::Receiver;
    bed.dir("d").link(&name("big"), &*bed.dir("d/e"), &name("twin")).unwrap();
    bed.dir("").create_symlink(&name("link"), b"d/big").unwrap();
    bed.fs.mkspecial("d/pipe").unwrap();
    bed.dir("empty");
    bed.wait(1_000_000_000);
    bed
}

#[test]
fn index_restores_the_scan_that_it_kept() {
    let mut bed = rich();
    let (found, _) = bed.sync();
    let index = bed.index.as_ref().unwrap();
    assert_eq!((index.root(), index.profile()), (found.snapshot.root(), found.snapshot.profile()));
    assert_eq!(index.params_id(), bed.options.params.id());
    assert_eq!(index.entry_count(), found.snapshot.entry_count());
    let restored = index.restore(&bed.options.params).unwrap();
    assert_eq!(restored.snapshot.all_entries(), found.snapshot.all_entries());
    assert_eq!(restored.snapshot.root(), found.snapshot.root());
    assert_eq!(restored.prints, found.prints);
    for at in ["d/big", "d/e/twin", "d/e/small", "z"] {
        assert_eq!(restored.chunks(id(&restored, at)), found.chunks(id(&found, at)), "{at}");
        assert!(restored.chunks(id(&restored, at)).is_some());
    }
    assert_eq!(Index::encode(&restored), Index::encode(&found));
    assert_eq!(index.restore(&Params::fixed(512).unwrap()).unwrap_err(), IndexError::Params);
}

#[test]
fn index_of_a_tree_that_is_not_all_known_has_no_root_but_its_parts() {
    let bed = rich();
    let index = Index::parse(Index::encode(&bed.walk())).unwrap();
    assert_eq!(index.root(), None);
    let restored = index.restore(&bed.options.params).unwrap();
    assert_eq!(restored.unknown().len(), 4);
    assert_eq!(restored.chunks(id(&restored, "z")), None);
}

#[test]
fn racy_root_is_kept_for_the_tree_and_not_trusted_for_the_file() {
    let mut bed = rich();
    bed.fs.write("z", b"in the same tick").unwrap();
    let (found, _) = bed.sync();
    let restored = bed.index.as_ref().unwrap().restore(&bed.options.params).unwrap();
    assert_eq!(restored.snapshot.root(), found.snapshot.root());
    let walked = bed.walk();
    assert_eq!(walked.unknown(), [id(&walked, "z")]);
}

#[test]
fn what_is_no_index_is_refused_by_name() {
    let mut bed = rich();
    bed.sync();
    let good = Index::encode(&bed.sync().0);
    assert_eq!(Index::parse(Vec::new()).unwrap_err(), IndexError::Magic);
    assert_eq!(Index::parse(b"something else".to_vec()).unwrap_err(), IndexError::Magic);
    let mut version = good.clone();
    version[8] = 2;
    assert_eq!(Index::parse(version).unwrap_err(), IndexError::Version { found: 2 });
    assert_eq!(Index::parse(good[..good.len() - 1].to_vec()).unwrap_err(), IndexError::Checksum);
    for len in 8..=200 {
        assert!(Index::parse(good[..len].to_vec()).is_err(), "{len}");
    }
    let mut bytes = good;
    bytes[148..156].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(Index::parse(sealed(bytes)).unwrap_err(), IndexError::Malformed);
}

/// Two entries of each block that name the same block below: as a tree it would have 2⁶⁴ directories.
#[test]
fn index_whose_blocks_are_shared_is_refused_without_walking_all_paths() {
    let mut bytes = Index::encode(&Bed::new(&[]).walk());
    bytes.truncate(156);
    let mut below = 0;
    for level in 0..64 {
        let block = bytes.len() as u64;
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&(if level == 0 { 0_u32 } else { 2 }).to_le_bytes());
        for name in if level == 0 { &b""[..] } else { b"ab" } {
            bytes.extend_from_slice(&[2, 0, 1, *name]);
            bytes.extend_from_slice(&[0; 60]);
            bytes.extend_from_slice(&u64::to_le_bytes(below));
        }
        below = block;
    }
    bytes[140..144].copy_from_slice(&126_u32.to_le_bytes());
    bytes[148..156].copy_from_slice(&below.to_le_bytes());
    bytes.extend_from_slice(&[0; 32]);
    let index = Index::parse(sealed(bytes)).unwrap();
    assert!(matches!(index.restore(&Params::default()), Err(IndexError::Malformed)));
    assert!(index.by_inode((1, 1)).is_none());
}

/// Whatever an index says, a scan with it ends, and has the names that are there; unless the index is believed to have
/// them all, as one that was made on purpose is.
fn survives(bed: &Bed, bytes: Vec<u8>) {
    let Ok(index) = Index::parse(bytes) else { return };
    let _ = index.restore(&bed.options.params);
    let _ = (index.root(), index.profile(), index.by_inode((9, 9)).is_some());
    for is_believed in [true, false] {
        bed.fs.show_names_in_ctime(is_believed);
        let found = crate::scan::scan(&bed.fs.root(), Some(&index), &bed.options, &()).unwrap();
        let _ = Index::encode(&found);
        for at in ["d/big", "d/e/small", "d/e/twin"] {
            let there = found.snapshot.find_path(&path(at));
            assert!(there.is_some() || is_believed, "{at} is not in the scan");
            let _ = there.map(|id| found.chunks(id));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_an_index_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        thread_local! {
            static GOOD: (Bed, Vec<u8>) = {
                let mut bed = rich();
                let good = Index::encode(&bed.sync().0);
                (bed, good)
            };
        }
        GOOD.with(|(bed, good)| {
            let mut bytes = good.clone();
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()).max(40));
            }
            prop_assert!(bytes == *good || Index::parse(bytes.clone()).is_err(), "damage is found");
            survives(bed, sealed(bytes));
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_make_an_index_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&Bed::new(&[("d/big", b"1"), ("d/e/small", b""), ("d/e/twin", b"")]),
            sealed([b"SYNCINDX\x01\0\0\0", &tail[..], &[0; 32]].concat()));
    }
}

/// The example of FORMAT.md, so many seconds after it was made: all metadata fixed, so that it is the same on every
/// machine.
fn example(secs: u64) -> Scan {
    let bed = Bed::new(&[("a", b"abc")]);
    bed.dir("d");
    bed.dir("").create_symlink(&name("l"), b"a").unwrap();
    bed.wait(secs * 1_000_000_000);
    let mut found = bed.fresh();
    for (at, print) in found.prints.iter_mut().enumerate() {
        let inode = at as u64 + 2;
        let size = print.size.min(3);
        *print = Fingerprint { dev: 1, ino: inode, size, ..*print };
    }
    found.root_print = Fingerprint { dev: 1, ino: 1, size: 0, ..found.root_print };
    found
}

#[test]
fn index_bytes_equal_the_golden_file_and_the_document() {
    let bytes = Index::encode(&example(0));
    check_golden(
        "index/v1/example.bin",
        include_bytes!("../../../fixtures/golden/index/v1/example.bin"),
        &bytes,
    );
    let dump: String = bytes
        .chunks(16)
        .enumerate()
        .map(|(line, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
            format!("{:04x} {hex}\n", line * 16)
        })
        .collect();
    assert!(include_str!("../FORMAT.md").contains(&dump), "FORMAT.md should show:\n{dump}");
}

#[test]
fn directory_whose_names_are_all_there_differs_by_one_bit() {
    let (young, old) = (Index::encode(&example(0)), Index::encode(&example(1)));
    let body = old.len() - 32;
    let differ: Vec<usize> = (0..body).filter(|at| young[*at] != old[*at]).collect();
    let [at] = differ[..] else { panic!("{differ:?}") };
    assert_eq!((young[at], old[at]), (0, 8));
    let dump = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let shown = format!("`{}` at {:#06x}", dump(&old[at - 1..at + 3]), at - 1);
    assert!(include_str!("../FORMAT.md").contains(&shown), "FORMAT.md should show {shown}");
}

#[test]
fn golden_index_is_still_read() {
    let golden = include_bytes!("../../../fixtures/golden/index/v1/example.bin");
    let index = Index::parse(golden.to_vec()).unwrap();
    let restored = index.restore(&Params::default()).unwrap();
    assert_eq!(index.profile(), Profile::default());
    assert_eq!(entry(&restored, "a").root(), Some(Hash::of(Domain::Chunk, b"abc")));
    assert!(restored.snapshot.find_dir(&path("d")).is_some());
    assert_eq!(index.root(), restored.snapshot.root());
    let seen = restored.prints[id(&restored, "a").0 as usize];
    assert_eq!((seen.mtime.nanos, seen.ctime.secs), (123_456_789, 1_700_000_000));
}
