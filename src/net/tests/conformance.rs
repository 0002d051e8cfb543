//! The rules that every link keeps.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::Instant;

use bytes::Bytes;

use super::*;

type Pair = fn() -> (Link, Link);

fn memory() -> (Link, Link) {
    memory_pair(1 << 20)
}

fn io() -> (Link, Link) {
    let (here, there) = UnixStream::pair().unwrap();
    let link = |stream: UnixStream| io_link(stream.try_clone().unwrap(), stream, Some(PATIENCE)).unwrap();
    (link(here), link(there))
}

fn quic() -> (Link, Link) {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    let here = site.connect(&client).unwrap();
    (here, site.server.accept_within(PATIENCE).unwrap().link)
}

fn pattern(bytes: usize, seed: usize) -> Bytes {
    (0..bytes).map(|i| ((i ^ seed).wrapping_mul(0x9e37_79b1) >> 13) as u8).collect()
}

fn bytes_arrive_complete_and_in_order_both_ways(pair: Pair) {
    let sizes = [1, 0, 7, 300, 1 << 20, 65_536, 1, 1, 999_999];
    let (here, there) = pair();
    let end = |link: Link, mine: usize, theirs: usize| {
        let Link { mut send, mut recv, stats, .. } = link;
        thread::scope(|scope| {
            scope.spawn(move || {
                for size in sizes {
                    send.send(pattern(size, mine)).unwrap();
                }
                send.finish().unwrap();
            });
            let mut bytes = Vec::new();
            while let Some(piece) = recv.recv().unwrap() {
                bytes.extend_from_slice(&piece);
            }
            let expected: Vec<u8> = sizes.iter().flat_map(|&size| pattern(size, theirs)).collect();
            assert!(bytes == expected);
            assert!(stats.wire().received >= expected.len() as u64);
            assert!(recv.recv().unwrap().is_none(), "the end stays the end");
        });
        stats.wire().sent
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| end(there, 2, 1));
        let bytes: usize = sizes.iter().sum();
        assert!(end(here, 1, 2) >= bytes as u64);
        other.join().unwrap();
    });
}

fn a_reader_that_stops_stops_the_writer(pair: Pair) {
    const FRAME: usize = 256 << 10;
    const HELD_MAX: usize = 40 << 20;
    let (mut here, mut there) = pair();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let writer = thread::spawn(move || {
        for _ in 0..2 * HELD_MAX / FRAME {
            here.send.send(pattern(FRAME, 0)).unwrap();
            counter.fetch_add(FRAME, Relaxed);
        }
        here.send.finish().unwrap();
        here
    });
    let start = Instant::now();
    let mut before = usize::MAX;
    while before != sent.load(Relaxed) {
        assert!(start.elapsed() < PATIENCE, "the writer goes on and on");
        before = sent.load(Relaxed);
        sleep(Duration::from_millis(300));
    }
    assert!(before > 0 && before <= HELD_MAX, "{before} bytes are held");
    assert_eq!(drain(&mut there).unwrap().len(), 2 * HELD_MAX);
    drop(writer.join().unwrap());
}

fn nothing_is_lost_when_a_finished_end_is_dropped(pair: Pair) {
    let (mut here, mut there) = pair();
    there.send.finish().unwrap();
    let writer = thread::spawn(move || {
        here.send.send(pattern(100_000, 0)).unwrap();
        here.send.finish().unwrap();
        here.send.finish().unwrap();
        assert!(here.recv.recv().unwrap().is_none());
    });
    writer.join().unwrap();
    sleep(Duration::from_millis(50));
    assert!(drain(&mut there).unwrap() == pattern(100_000, 0));
}

fn a_truncation_is_never_an_end(pair: Pair) {
    let (mut here, mut there) = pair();
    here.send.send("half of it".into()).unwrap();
    drop(here.send);
    let error = drain(&mut there).unwrap_err();
    assert!(matches!(error, NetError::Closed { code: None, .. }), "{error:?}");
}

fn a_sender_learns_that_the_receiver_left(pair: Pair) {
    let (mut here, there) = pair();
    drop(there);
    let error = (0..1000).find_map(|_| {
        sleep(Duration::from_millis(1));
        here.send.send(pattern(1 << 16, 0)).err()
    });
    assert!(matches!(error, Some(NetError::Closed { code: None, .. })), "{error:?}");
}

fn an_abort_reaches_both_ends_and_wakes_who_waits(pair: Pair) {
    let (mut here, mut there) = pair();
    let stats = here.stats.clone();
    let waiting = thread::spawn(move || here.recv.recv().unwrap_err());
    sleep(Duration::from_millis(50));
    stats.abort(7, "disk\x1b full");
    assert!(matches!(waiting.join().unwrap(), NetError::Closed { .. }));
    match drain(&mut there) {
        Err(NetError::Closed { code: Some(7), reason }) => assert!(reason.starts_with("disk"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(there.send.send("x".into()).is_err());
}

fn who_hears_of_an_abort_can_send_nothing_any_more(pair: Pair) {
    for round in 0..50 {
        let (here, mut there) = pair();
        let aborting = thread::spawn(move || here.stats.abort(7, "enough"));
        assert!(drain(&mut there).is_err());
        assert!(there.send.send("x".into()).is_err(), "round {round}");
        aborting.join().unwrap();
    }
}

fn a_large_volume_arrives_intact(pair: Pair) {
    const FRAME: usize = 256 << 10;
    const FRAMES: usize = (64 << 20) / FRAME;
    let (mut here, mut there) = pair();
    let reader = thread::spawn(move || {
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = there.recv.recv().unwrap() {
            hasher.update(&piece);
        }
        there.send.finish().unwrap();
        hasher.finalize()
    });
    let mut hasher = blake3::Hasher::new();
    for seed in 0..FRAMES {
        let frame = pattern(FRAME, seed);
        hasher.update(&frame);
        here.send.send(frame).unwrap();
    }
    here.send.finish().unwrap();
    assert!(here.recv.recv().unwrap().is_none());
    assert_eq!(reader.join().unwrap(), hasher.finalize());
}

macro_rules! every_link {
    ($($rule:ident),* $(,)?) => {
        mod every_link {
            mod memory { $(#[test] fn $rule() { super::super::$rule(super::super::memory) })* }
            mod io { $(#[test] fn $rule() { super::super::$rule(super::super::io) })* }
            mod quic { $(#[test] fn $rule() { super::super::$rule(super::super::quic) })* }
        }
    };
}

every_link! {
    bytes_arrive_complete_and_in_order_both_ways,
    a_reader_that_stops_stops_the_writer,
    nothing_is_lost_when_a_finished_end_is_dropped,
    a_truncation_is_never_an_end,
    a_sender_learns_that_the_receiver_left,
    an_abort_reaches_both_ends_and_wakes_who_waits,
    who_hears_of_an_abort_can_send_nothing_any_more,
    a_large_volume_arrives_intact,
}
