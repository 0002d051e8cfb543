//! A disk that has no room.

use super::{bench, copy_dir, fails, noise, ok, put};
use crate::bed::can_run;
use crate::disk::Disk;

/// Row 34.
#[test]
fn a_store_survives_a_disk_without_room() {
    let disk = Disk::in_memory(6 << 20);
    if !can_run("a small disk needs root", disk.is_some()) {
        return;
    }
    let (disk, bench) = (disk.unwrap(), bench());
    let store = disk.root().join("st");
    let st = store.to_str().unwrap();
    ok(&bench, &["init", st]);
    ok(&bench, &["put", st, "x", "src"]);
    copy_dir(&bench, "src", "small");
    bench.write("src/huge", noise(9, 8_000_000));
    let error = fails(&bench, 11, &["put", st, "x", "src"]);
    assert!(error.contains("No space left"), "{error}");
    ok(&bench, &["check", st, "--read-data"]);
    ok(&bench, &["get", st, "x", "out"]);
    bench.assert_equal("small", "out");
    // Half of what is there is to go, and there is no room to write the other half anew.
    std::fs::write(bench.path("src/huge"), noise(9, 1_500_000)).unwrap();
    ok(&bench, &["put", st, "x", "src"]);
    ok(&bench, &["put", st, "x", "small"]);
    ok(&bench, &["forget", st, "x", "--keep-last", "1"]);
    let filler = disk.root().join("filler");
    let mut bytes = 6_usize << 20;
    while bytes > 0 {
        // What is written until there is no more room stays.
        let _ = std::fs::write(&filler, vec![1; bytes]);
        bytes = if filler.metadata().unwrap().len() < bytes as u64 { 0 } else { bytes * 2 };
    }
    let error = fails(&bench, 11, &["gc", st]);
    assert!(error.contains("No space left"), "{error}");
    ok(&bench, &["get", st, "x", "out"]);
    bench.assert_equal("small", "out");
    std::fs::remove_file(filler).unwrap();
    ok(&bench, &["check", st, "--read-data"]);
    ok(&bench, &["gc", st]);
    ok(&bench, &["check", st, "--read-data"]);
    put(&bench, "other");
}
