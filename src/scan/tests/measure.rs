//! Measurements, run by hand:
//! `SYNCLINE_TREE=/dev/shm/tree cargo test --release --lib scan::tests::measure -- --ignored --nocapture`.
#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "a stopwatch for a person")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::fs::{Stat, Time, os};
use crate::scan::{Cache, Index, Key, Opener, Options, Select, Side, scan};

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let (start, cpu_start) = (Instant::now(), cpu());
    let result = work();
    let (wall, cpu) = (start.elapsed().as_secs_f64() * 1e3, cpu() - cpu_start);
    eprintln!("{what:30} {wall:9.1} ms, {cpu:9.1} ms of the processors");
    result
}

#[test]
#[ignore = "needs SYNCLINE_TREE"]
fn scan_hash_encode_store_and_scan_again() {
    let tree = PathBuf::from(std::env::var_os("SYNCLINE_TREE").expect("SYNCLINE_TREE names a directory"));
    let root = os::open_root(&tree).unwrap();
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time { secs: since.as_secs() as i64, nanos: since.subsec_nanos() }
    };
    let mut options = Options::new(Arc::new(now));
    for threads in [1, 2] {
        options.threads = threads;
        eprintln!("-- {threads} thread(s)");
        let mut found = timed("scan, no index", || scan(&root, None, &options, &()).unwrap());
        timed("hash_unknown", || found.hash_unknown(&Opener::new(root.clone()), &options, &()));
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let totals = found.snapshot.totals();
        eprintln!("{} files, {} bytes, {} dirs", totals.files, totals.bytes, totals.dirs);
        let encoded = timed("encode", || Index::encode(&found));
        eprintln!("{} bytes, {} an entry", encoded.len(), encoded.len() / found.prints.len());
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let cache = Cache::new(dir.path().into());
        let stat: Stat = root.stat_self().unwrap();
        let key = Key::new(b"/tree", &stat, &Select::default(), Side::Sender, &options.params);
        timed("store", || cache.store(&key, &encoded, found.snapshot.root().as_ref()).unwrap());
        let index = timed("load", || cache.load(&key).unwrap());
        for _ in 0..3 {
            let again = timed("scan, index", || scan(&root, Some(&index), &options, &()).unwrap());
            assert_eq!((again.unknown().len(), again.snapshot.root()), (0, found.snapshot.root()));
        }
        timed("map of inodes", || assert!(index.by_inode((0, 0)).is_none()));
        timed("restore", || index.restore(&options.params).unwrap());
        let mut snapshot = found.snapshot.clone();
        snapshot.set_profile(crate::snapshot::Profile::new(true, true));
        timed("refresh of all digests", || snapshot.refresh());
    }
}
