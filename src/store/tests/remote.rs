//! A store at a server: the same as any other, and no wrong byte from one that lies.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::*;
use crate::store::blobs::remote::tests::Host;
use crate::store::blobs::{BlobInfo, BlobName, Head as Told, HeadVersion, Locking};

#[test]
fn what_is_put_at_a_server_comes_back() {
    let machine = Machine::new();
    let dir = MemFs::new();
    let place = Arc::new(DirBlobs::create(dir.root()).unwrap());
    let host = Host::new(place, true);
    let store = Arc::new(machine.store(host.client()));
    let (first, second) = (tree(1, 20), tree(2, 5));
    let put = machine.put(&store, "a", &first).unwrap();
    holds(&store, &put, &machine, &first);
    let others = Arc::new(Store::open(host.client()).unwrap());
    holds(&others, &put, &machine, &first);
    let lock = others.lock().unwrap();
    assert!(matches!(machine.put(&store, "b", &second), Err(StoreError::Locked { .. })));
    drop(lock);
    let put = machine.put(&store, "b", &second).unwrap();
    machine.forget(&store, "a", 0);
    let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 0 };
    assert!(store.collect(&collect, &()).unwrap().removed > 0);
    assert!(store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
    holds(&Arc::new(Store::open(host.client()).unwrap()), &put, &machine, &second);
}

/// A place that gives the bytes of another blob, or an older head, or says that it has what it has not.
struct Lying {
    place: Arc<MemoryBlobs>,
    swapped: Option<(BlobName, BlobName)>,
    flips: bool,
    head: Option<Bytes>,
}

impl Blobs for Lying {
    fn put(&self, _: &BlobName, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        let name = self.swapped.filter(|(from, _)| from == name).map_or(*name, |(_, to)| to);
        let bytes = self.place.read(&name, range)?;
        let mut bytes = bytes.to_vec();
        if self.flips
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        Ok(bytes.into())
    }

    fn len(&self, name: &BlobName) -> io::Result<u64> {
        self.place.len(name)
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        self.place.list(kind)
    }

    fn remove(&self, _: &BlobName) -> io::Result<()> {
        Ok(())
    }

    fn head(&self) -> io::Result<Option<Told>> {
        let head = self.place.head()?;
        Ok(head.map(|head| Told { bytes: self.head.clone().unwrap_or(head.bytes), ..head }))
    }

    fn replace_head(&self, _: Option<&HeadVersion>, _: &[u8]) -> io::Result<Option<HeadVersion>> {
        Ok(Some(HeadVersion("lie".to_owned())))
    }

    fn settings(&self) -> io::Result<Bytes> {
        self.place.settings()
    }

    fn put_settings(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn replace_settings(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<Locking> {
        Ok(Locking::Shared)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Every pack in place of every other, every last bit wrong, an older head: whoever reads gets what was put, or an error.
#[test]
fn a_lying_server_serves_no_wrong_byte() {
    let machine = Machine::new();
    let place = Arc::new(MemoryBlobs::default());
    let store = machine.store(place.clone());
    let fs = tree(7, 24);
    let first = machine.put(&store, "a", &fs).unwrap();
    let older = place.head().unwrap().unwrap().bytes;
    let second = machine.put(&store, "b", &tree(8, 5)).unwrap();
    let blobs: Vec<_> = BlobKind::ALL.iter().flat_map(|kind| place.list(*kind).unwrap()).collect();
    let mut lies = vec![(None, false, Some(older)), (None, true, None)];
    for from in &blobs {
        lies.extend(blobs.iter().map(|to| (Some((from.name, to.name)), false, None)));
    }
    let mut found_out = 0;
    for (swapped, flips, head) in lies {
        let lying = Lying { place: place.clone(), swapped, flips, head };
        let Ok(store) = Store::open(Host::new(Arc::new(lying), true).client()) else {
            found_out += 1;
            continue;
        };
        for put in [&first, &second] {
            match store.snapshot(&put.state.root) {
                Ok(snapshot) => assert_eq!(snapshot.root(), put.snapshot.root(), "{swapped:?}"),
                Err(_) => found_out += 1,
            }
            for entry in put.snapshot.all_entries() {
                let crate::snapshot::Node::File { root: Some(root), size, .. } = &entry.node else {
                    continue;
                };
                let Ok(chunks) = store.chunks(root, *size) else { continue };
                for chunk in &chunks {
                    if let Ok(bytes) = store.get(&ObjectId::chunk(chunk.hash)) {
                        assert_eq!(Hash::of(crate::hash::Domain::Chunk, &bytes), chunk.hash, "{swapped:?}");
                    }
                }
            }
        }
    }
    assert!(found_out > 0, "no lie was in the way");
}
