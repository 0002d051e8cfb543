//! Bits that flip, blobs that are cut, missing or swapped: found, never served, mended from a copy.

use super::*;
use crate::store::blobs::{BlobInfo, BlobName};

/// How many flips the suite tries; all of them by `SYNCLINE_FLIPS=10000`.
fn flips() -> u64 {
    std::env::var("SYNCLINE_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

struct Copies {
    machine: Machine,
    blobs: Arc<MemoryBlobs>,
    healthy: Arc<MemoryBlobs>,
    fs: MemFs,
    put: Put,
}

fn everything(blobs: &MemoryBlobs) -> Vec<BlobInfo> {
    BlobKind::ALL.iter().flat_map(|kind| blobs.list(*kind).unwrap()).collect()
}

fn whole(blobs: &MemoryBlobs, info: &BlobInfo) -> bytes::Bytes {
    blobs.read(&info.name, 0..info.len).unwrap()
}

/// A store and a copy of all its bytes.
fn copies(machine: Machine) -> Copies {
    let blobs = Arc::new(MemoryBlobs::default());
    let store = machine.store(blobs.clone());
    let fs = tree(7, 24);
    let others = tree(8, 3);
    let first = machine.put(&store, "others", &others).unwrap();
    // So many changes that some are no longer in the head.
    for at in 0..260_u32 {
        let tag = format!("t{at}").parse().unwrap();
        store.tag(&"others".parse().unwrap(), first.state.sequence, &[tag], machine.signer()).unwrap();
    }
    let put = machine.put(&store, "a", &fs).unwrap();
    let healthy = Arc::new(MemoryBlobs::default());
    healthy.put_settings(&blobs.settings().unwrap()).unwrap();
    healthy.replace_head(None, &blobs.head().unwrap().unwrap().bytes).unwrap();
    for info in everything(&blobs) {
        healthy.put(&info.name, &whole(&blobs, &info)).unwrap();
    }
    Copies { machine, blobs, healthy, fs, put }
}

/// Every byte that the store gives of `put` is what was put, or an error.
fn serves_no_wrong_byte(copies: &Copies) {
    let Ok(store) = copies.machine.open(copies.blobs.clone()) else { return };
    let Ok(tree) = StoredTree::open(Arc::new(store), &copies.put.state.root) else { return };
    assert_eq!(tree.snapshot().root(), copies.put.snapshot.root());
    let mut options = scan::Options::new(copies.machine.clock.clone());
    (options.params, options.profile) = (copies.machine.params(), tree.snapshot().profile());
    let mut found = scan(&tree.root(), None, &options, &()).unwrap();
    found.hash_unknown(&scan::Opener::new(tree.root()), &options, &());
    for (found, put) in found.snapshot.all_entries().iter().zip(copies.put.snapshot.all_entries()) {
        assert!(found.root().is_none() || found.root() == put.root(), "{found:?} was {put:?}");
    }
}

/// Row 29.
#[test]
fn every_flipped_bit_is_found_never_served_and_mended() {
    flip_bits(copies(Machine::new()), flips());
}

/// Row 29.
#[test]
fn every_flipped_bit_of_an_encrypted_store_is_found_never_served_and_mended() {
    flip_bits(copies(Machine::keyed()), flips() / 2);
}

/// Flips bits of packs, index, log, head and settings, one at a time.
fn flip_bits(copies: Copies, flips: u64) {
    let blobs = everything(&copies.blobs);
    assert!(BlobKind::ALL.iter().all(|kind| blobs.iter().any(|info| info.name.kind == *kind)));
    let head = copies.blobs.head().unwrap().unwrap().bytes;
    let settings = copies.blobs.settings().unwrap();
    let all = Check { read_percent: 100, seed: 0 };
    let mut random = 1_u64;
    for flip in 0..flips {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(flip | 1);
        let which = (random >> 33) as usize % (blobs.len() + 2);
        let opener = if which == blobs.len() { &head } else { &settings };
        let bytes = blobs.get(which).map_or(opener.clone(), |info| whole(&copies.blobs, info));
        let bit = (random >> 13) as usize % (bytes.len() * 8);
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let what = match blobs.get(which) {
            Some(info) => {
                copies.blobs.damage(&info.name, flipped.into());
                info.name.to_string()
            }
            None if which == blobs.len() => {
                copies.blobs.damage_head(flipped.into());
                "head".to_owned()
            }
            None => {
                copies.blobs.replace_settings(&flipped).unwrap();
                "settings".to_owned()
            }
        };
        let found = match copies.machine.open(copies.blobs.clone()) {
            Err(error) => error.is_damage(),
            Ok(store) => {
                store.check(&all, &()).map_or_else(|error| error.is_damage(), |checked| !checked.is_fine())
            }
        };
        assert!(found, "flip {flip}: bit {bit} of {what} was not found");
        serves_no_wrong_byte(&copies);
        let healthy = copies.machine.open(copies.healthy.clone()).unwrap();
        let unlock = |wrapped: &Wrapped| Ok::<_, StoreError>(wrapped.open(KEY_FILE)?);
        reopen(&*copies.blobs, &*copies.healthy, unlock).unwrap();
        let store = Arc::new(copies.machine.open(copies.blobs.clone()).unwrap());
        let mended = store.repair(Some(&healthy), &()).unwrap();
        assert!(mended.lost.is_empty(), "flip {flip}: bit {bit} of {what}: {mended:?}");
        let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 100 };
        store.collect(&collect, &()).unwrap();
        let checked = store.check(&all, &()).unwrap();
        assert!(
            checked.is_fine(),
            "flip {flip}: bit {bit} of {what}: {:?} {:?}",
            checked.damage,
            checked.broken
        );
        // As it was, for the next.
        for info in everything(&copies.blobs) {
            copies.blobs.remove(&info.name).unwrap();
        }
        for info in &blobs {
            copies.blobs.damage(&info.name, whole(&copies.healthy, info));
        }
        copies.blobs.damage_head(head.clone());
        copies.blobs.replace_settings(&settings).unwrap();
    }
}

/// Without a copy: what is whole stays, what is lost is named, and putting the tree again heals it.
#[test]
fn what_no_copy_has_is_healed_by_putting_it_again() {
    let copies = copies(Machine::new());
    let largest = everything(&copies.blobs).into_iter().filter(|info| info.name.kind == BlobKind::Pack);
    let largest = largest.max_by_key(|info| info.len).unwrap();
    let mut bytes = whole(&copies.blobs, &largest).to_vec();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    copies.blobs.damage(&largest.name, bytes.into());
    let store = Arc::new(Store::open(copies.blobs.clone()).unwrap());
    let mended = store.repair(None, &()).unwrap();
    assert!(!mended.lost.is_empty());
    assert!(!store.check(&Check::default(), &()).unwrap().is_fine());
    let put = copies.machine.put(&store, "a", &copies.fs).unwrap();
    assert!(put.added.objects >= mended.lost.len() as u64);
    holds(&store, &put, &copies.machine, &copies.fs);
    assert!(store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
}

/// Row 30: a pack that ends too early has what stands before its end.
#[test]
fn a_torn_pack_has_what_is_before_its_end() {
    let copies = copies(Machine::new());
    let packs = copies.blobs.list(BlobKind::Pack).unwrap();
    let largest = packs.iter().max_by_key(|info| info.len).unwrap();
    for len in [0, 5, 16, 30, largest.len - 1, largest.len - 20] {
        copies.blobs.damage(&largest.name, whole(&copies.healthy, largest).slice(..len as usize));
        for info in copies.blobs.list(BlobKind::Index).unwrap() {
            copies.blobs.remove(&info.name).unwrap();
        }
        serves_no_wrong_byte(&copies);
        let store = Store::open(copies.blobs.clone()).unwrap();
        assert!(!store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
    }
    let store = Store::open(copies.blobs.clone()).unwrap();
    let contents = pack::contents(&*store.blobs, &largest.name, largest.len - 20, None).unwrap();
    assert!(!contents.placed.is_empty() && !contents.damage.is_empty());
}

/// Row 32: a place that gives other bytes than it was given: none is believed.
#[test]
fn a_lying_place_is_found_out() {
    let copies = copies(Machine::new());
    let packs: Vec<BlobInfo> = copies.blobs.list(BlobKind::Pack).unwrap();
    let swap = |a: &BlobName, b: &BlobInfo| copies.blobs.damage(a, whole(&copies.healthy, b));
    for (a, b) in packs.iter().zip(packs.iter().skip(1)) {
        swap(&a.name, b);
        swap(&b.name, a);
        serves_no_wrong_byte(&copies);
        swap(&a.name, a);
        swap(&b.name, b);
    }
    let other = Machine::new().store(Arc::new(MemoryBlobs::default()));
    drop(other);
}
