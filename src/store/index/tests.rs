//! Runs that are searched, merged, damaged and missing.

use std::sync::Arc;

use super::*;
use crate::hash::Domain;
use crate::store::blobs::MemoryBlobs;

fn locator(at: u32) -> Locator {
    Locator(Hash::of(Domain::Chunk, &at.to_le_bytes()))
}

fn entries(range: std::ops::Range<u32>) -> Vec<Entry> {
    let entry = |at: u32| Entry {
        locator: locator(at),
        pack: at % 2,
        offset: at,
        span: at + 1,
        at: at as u16,
        kind: ObjectKind::Chunk,
    };
    let mut entries: Vec<Entry> = range.map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.locator);
    entries
}

fn run(blobs: &dyn Blobs, range: std::ops::Range<u32>) -> BlobName {
    let bytes = run::encode(&entries(range), &[Hash([0; 32]), Hash([1; 32])]);
    let name = run::name_of(&bytes);
    blobs.put(&name, &bytes).unwrap();
    name
}

#[test]
fn a_run_finds_what_is_in_it_and_nothing_else() {
    for count in [0, 1, 84, 85, 86, 170, 5000] {
        let blobs = MemoryBlobs::default();
        let name = run(&blobs, 0..count);
        let run = Run::open(&blobs, name, blobs.len(&name).unwrap()).unwrap();
        for at in 0..count {
            let found = run.find(&blobs, &locator(at)).unwrap();
            assert_eq!(found.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [at]);
        }
        for at in count..count + 100 {
            assert_eq!(run.find(&blobs, &locator(at)).unwrap(), []);
        }
        assert_eq!(run.entries(&blobs).map(|page| page.unwrap().len()).sum::<usize>(), count as usize);
    }
}

#[test]
fn every_flipped_bit_of_a_run_is_found() {
    let blobs = Arc::new(MemoryBlobs::default());
    let name = run(&*blobs, 0..100);
    let len = blobs.len(&name).unwrap();
    let bytes = blobs.read(&name, 0..len).unwrap();
    for bit in (0..len as usize * 8).step_by(7) {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        blobs.damage(&name, flipped.into());
        let read = Run::open(&*blobs, name, len)
            .and_then(|run| run.entries(&*blobs).collect::<Result<Vec<_>, _>>().map(drop));
        assert!(read.is_err(), "bit {bit}");
    }
}

#[test]
fn a_run_equals_the_golden_file() {
    let golden = include_bytes!("../../../fixtures/golden/store/v1/run.bin");
    let bytes = run::encode(&entries(0..3), &[Hash([0; 32]), Hash([1; 32])]);
    crate::chunk::tests::check_golden("store/v1/run.bin", golden, &bytes);
}
