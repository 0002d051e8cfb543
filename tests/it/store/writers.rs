//! Two writers of one store.

use std::sync::Arc;
use std::time::Duration;

use syncline::fs::os;
use syncline::store::Store;
use syncline::store::blobs::DirBlobs;

use super::{bench, fails, ok, put, states};
use crate::cli::bench::Bench;

fn open(bench: &Bench) -> Store {
    let root = os::open_root(&bench.path("st")).unwrap();
    Store::open(Arc::new(DirBlobs::open(root).unwrap())).unwrap()
}

#[test]
fn a_second_writer_is_told_who_writes_and_readers_are_not_held_up() {
    let bench = bench();
    put(&bench, "x");
    let store = open(&bench);
    let writer = store.lock().unwrap();
    let commands: [&[&str]; 5] = [
        &["put", "st", "x", "src"],
        &["tag", "st", "x", "t"],
        &["forget", "st", "x@0"],
        &["gc", "st"],
        &["repair", "st"],
    ];
    for command in commands {
        let error = fails(&bench, 11, command);
        assert!(error.contains(&format!("another process ({})", std::process::id())), "{command:?}: {error}");
    }
    fails(&bench, 11, &["gc", "st", "--wait", "1"]);
    ok(&bench, &["get", "st", "x", "out"]);
    ok(&bench, &["check", "st", "--read-data"]);
    drop(writer);
    ok(&bench, &["gc", "st"]);
}

#[test]
fn a_writer_waits_if_it_is_told_so() {
    let bench = bench();
    let store = open(&bench);
    let writer = store.lock().unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| ok(&bench, &["put", "st", "x", "src", "--wait", "600"]));
        std::thread::sleep(Duration::from_millis(300));
        drop(writer);
        waiting.join().unwrap();
    });
    assert_eq!(states(&bench, "st"), ["x@0"]);
}

#[test]
fn writers_that_wait_for_each_other_all_get_their_state_in() {
    let bench = bench();
    std::thread::scope(|threads| {
        for name in ["a", "b", "c"] {
            let bench = &bench;
            threads.spawn(move || ok(bench, &["put", "st", name, "src", "--wait", "600"]));
        }
    });
    assert_eq!(states(&bench, "st").len(), 3);
    ok(&bench, &["verify", "st"]);
    ok(&bench, &["check", "st", "--read-data"]);
}
