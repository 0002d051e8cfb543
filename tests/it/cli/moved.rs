//! `--remove-source-files`: what goes, and what does not.

use std::fs;

use super::bench::{Bench, noise};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/a", "a");
    bench.write("src/d/b", noise(1, 300_000));
    bench.write("src/d/equal", "equal");
    std::os::unix::fs::symlink("a", bench.path("src/l")).unwrap();
    fs::create_dir_all(bench.path("store/in")).unwrap();
    bench
}

/// The names below a directory that are no directories.
fn files(bench: &Bench, dir: &str) -> Vec<String> {
    let walk = walkdir::WalkDir::new(bench.path(dir)).sort_by_file_name();
    let files = walk.into_iter().map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
    files.map(|entry| entry.path().strip_prefix(bench.path(dir)).unwrap().display().to_string()).collect()
}

#[test]
fn both_ends_of_a_network_remove_what_is_at_the_other() {
    let bench = bench();
    let daemon = bench.serve(&["m=store:rw", "ro=store:ro"]);
    let url = |module: &str| daemon.url(&format!("{module}/in/"));
    bench.ok(&["sync", "-a", "--accept-new", "src/", &url("m")]);
    bench.write("src/a", "changed");
    bench.ok(&["sync", "-a", "--remove-source-files", "src/", &url("m")]);
    assert_eq!(files(&bench, "src"), [""; 0]);
    assert!(bench.has("src/d"), "directories stay");
    assert_eq!(bench.read("store/in/a"), "changed");

    let error = bench.fails(40, &["sync", "-a", "--remove-source-files", &url("ro"), "dst"]);
    assert!(error.contains("read-only"), "{error}");
    assert_eq!(files(&bench, "store/in").len(), 4);
    bench.ok(&["sync", "-an", "--remove-source-files", &url("m"), "dst"]);
    assert_eq!(files(&bench, "store/in").len(), 4);
    bench.ok(&["sync", "-a", "--remove-source-files", &url("m"), "dst"]);
    assert_eq!((files(&bench, "store/in"), files(&bench, "dst").len()), (vec![], 4));
    assert_eq!(bench.read("dst/a"), "changed");
}

#[test]
fn what_cannot_be_made_or_is_not_proven_stays() {
    let bench = bench();
    // A directory that holds something is in the way.
    bench.write("dst/a/in", "the way");
    bench.write("dst/d/equal", "other");
    let time = fs::metadata(bench.path("src/d/equal")).unwrap().modified().unwrap();
    fs::File::options().write(true).open(bench.path("dst/d/equal")).unwrap().set_modified(time).unwrap();
    let ran =
        bench.run(&["sync", "-a", "--quick-check", "--no-index", "--remove-source-files", "src/", "dst"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert_eq!(files(&bench, "src"), ["a", "d/equal"]);
    // One file alone, and nothing else of its directory.
    bench.ok(&["sync", "-a", "--remove-source-files", "src/d/equal", "one"]);
    assert_eq!(files(&bench, "src"), ["a"]);
    assert_eq!(bench.read("one"), "equal");
}

#[test]
fn a_file_that_changes_while_the_rest_is_sent_stays() {
    let bench = bench();
    let daemon = bench.serve(&["m=store:rw"]);
    bench.ok(&["sync", "-a", "--accept-new", "src/a", &daemon.url("m/in/")]);
    // The rate leaves time to change what is equal, and so is not read again.
    let mut running = bench.command(
        "home",
        &[
            "sync",
            "-a",
            "--bwlimit=100K",
            "--no-compress",
            "--remove-source-files",
            "src/",
            &daemon.url("m/in/"),
        ],
    );
    let mut running = running.spawn().unwrap();
    while !walkdir::WalkDir::new(bench.path("store"))
        .into_iter()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".syncline"))
    {
        assert!(running.try_wait().unwrap().is_none(), "it has ended before anything was staged");
        std::thread::yield_now();
    }
    bench.write("src/a", "b");
    assert_eq!(running.wait().unwrap().code(), Some(23));
    assert_eq!(files(&bench, "src"), ["a"]);
}
