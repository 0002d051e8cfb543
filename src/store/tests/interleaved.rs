//! Collections beside puts, each step of one between any two of the other: nothing that is named is lost.

use super::*;
use crate::store::blobs::{BlobInfo, BlobName, Head as PlaceHead, HeadVersion, Locking};
use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex};

/// How many interleavings the suite tries; all of them by `SYNCLINE_INTERLEAVINGS=1000`.
fn interleavings() -> u64 {
    std::env::var("SYNCLINE_INTERLEAVINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Whose turn it is: drawn anew before every operation, so that a seed is an interleaving.
struct Turns {
    state: Mutex<(u64, Vec<bool>, Option<usize>)>,
    changed: Condvar,
}

impl Turns {
    fn new(seed: u64, players: usize) -> Arc<Turns> {
        let turns = Turns { state: Mutex::new((seed, vec![true; players], None)), changed: Condvar::new() };
        turns.state.lock().unwrap().2 = Some(0);
        Arc::new(turns)
    }

    fn draw(state: &mut (u64, Vec<bool>, Option<usize>)) {
        let (random, playing, turn) = state;
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let players: Vec<usize> = (0..playing.len()).filter(|at| playing[*at]).collect();
        *turn = (!players.is_empty()).then(|| players[(*random >> 33) as usize % players.len()]);
    }

    fn take(&self, player: usize) {
        let mut state = self.state.lock().unwrap();
        while state.2 != Some(player) {
            state = self.changed.wait(state).unwrap();
        }
        Turns::draw(&mut state);
        self.changed.notify_all();
    }

    fn leave(&self, player: usize) {
        let mut state = self.state.lock().unwrap();
        state.1[player] = false;
        Turns::draw(&mut state);
        self.changed.notify_all();
    }
}

/// Blobs of which each operation waits for its player's turn.
struct Turned {
    blobs: Arc<MemoryBlobs>,
    turns: Arc<Turns>,
    player: usize,
}

impl Turned {
    fn blobs(&self) -> &MemoryBlobs {
        self.turns.take(self.player);
        &self.blobs
    }
}

impl Blobs for Turned {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> io::Result<()> {
        self.blobs().put(name, bytes)
    }
    fn read(&self, name: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        self.blobs.read(name, range)
    }
    fn len(&self, name: &BlobName) -> io::Result<u64> {
        self.blobs.len(name)
    }
    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        self.blobs().list(kind)
    }
    fn remove(&self, name: &BlobName) -> io::Result<()> {
        self.blobs().remove(name)
    }
    fn head(&self) -> io::Result<Option<PlaceHead>> {
        self.blobs().head()
    }
    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        self.blobs().replace_head(expected, bytes)
    }
    fn settings(&self) -> io::Result<Bytes> {
        self.blobs.settings()
    }
    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        self.blobs.put_settings(bytes)
    }
    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        self.blobs.replace_settings(bytes)
    }
    fn lock(&self) -> io::Result<Locking> {
        self.blobs.lock()
    }
    fn is_shared(&self) -> bool {
        true
    }
}

/// Row 33: two writers and a collector; what the writers put was there before and has been forgotten, so that they count on packs
/// which are about to go.
#[test]
fn a_collection_beside_puts_loses_nothing_that_is_named() {
    let machine = Machine::new();
    let trees = [tree(10, 12), tree(11, 12)];
    for seed in 0..interleavings() {
        let blobs = Arc::new(MemoryBlobs::default());
        let store = machine.store(blobs.clone());
        for (name, fs) in ["a", "b"].iter().zip(&trees) {
            let put = machine.put(&store, name, fs).unwrap();
            machine.forget(&store, name, put.state.sequence);
        }
        let turns = Turns::new(seed, 3);
        let open = |player: usize| {
            let (blobs, turns) = (blobs.clone(), turns.clone());
            Store::open(Arc::new(Turned { blobs, turns, player }))
        };
        let puts = std::thread::scope(|scope| {
            let writer = |player: usize| {
                let (machine, trees, open, turns) = (&machine, &trees, &open, &turns);
                scope.spawn(move || {
                    let put = open(player)
                        .and_then(|store| machine.put(&store, ["a", "b"][player], &trees[player]));
                    turns.leave(player);
                    put
                })
            };
            let writers = [writer(0), writer(1)];
            let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 10 };
            let collected = open(2).and_then(|store| store.collect(&collect, &()));
            turns.leave(2);
            assert!(
                collected.is_ok() || matches!(collected, Err(StoreError::Contended { .. })),
                "{collected:?}"
            );
            writers.map(|writer| writer.join().unwrap())
        });
        let store = Arc::new(Store::open(blobs).unwrap());
        for (put, fs) in puts.into_iter().zip(&trees) {
            match put {
                Ok(put) => holds(&store, &put, &machine, fs),
                Err(StoreError::Contended { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        let checked = store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap();
        assert!(checked.is_fine(), "seed {seed}: {:?} {:?}", checked.damage, checked.broken);
    }
}
