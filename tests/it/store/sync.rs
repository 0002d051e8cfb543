//! A store as an end of `syncline sync`.

use super::{bench, last, ok, put};

#[test]
fn a_directory_is_put_and_comes_back() {
    let bench = bench();
    let told = bench.summary(&["sync", "src", "store:st#x"]);
    assert_eq!((&told["files_total"], &told["code"]), (&4.into(), &0.into()));
    assert_eq!(told["root"], last(&ok(&bench, &["ls", "st", "--json"]))["root"]);
    bench.write("dst/extra", "");
    bench.ok(&["sync", "--delete", "store:st#x", "dst"]);
    bench.assert_equal("src", "dst");
    // With a slash and without, it is the same tree.
    assert_eq!(bench.summary(&["sync", "src/", "store:st#x"])["root"], told["root"]);
    bench.write("src/a", "changed");
    put(&bench, "x");
    bench.ok(&["sync", "store:st#x@0", "old"]);
    assert_eq!(bench.read("old/a"), "one");
}

#[test]
fn a_state_goes_wherever_a_directory_does() {
    let bench = bench();
    put(&bench, "x");
    std::fs::create_dir(bench.path("served")).unwrap();
    let served = bench.path("served");
    let server = bench.serve(&[&format!("m={}:rw", served.display())]);
    bench.ok(&["sync", "--accept-new", "store:st#x", &server.url("m/")]);
    bench.assert_equal("src", "served");
    drop(server);
    bench.ok(&["sync", "--exclude", "deep", "--chmod", "F600", "store:st#x", "dst"]);
    assert!(bench.has("dst/dir/b") && !bench.has("dst/dir/deep"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&bench.path("dst/a").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let listed = bench.ok(&["sync", "--list-only", "store:st#x"]).out;
    assert!(listed.contains("large") && !listed.contains("deep/c"), "{listed}");
    let told = bench.summary(&["sync", "-n", "store:st#x", "nowhere"]);
    assert!(told["created"].as_u64().unwrap() > 3 && !bench.has("nowhere"), "{told}");
}

#[test]
fn flags_that_a_store_cannot_heed_are_refused() {
    let bench = bench();
    put(&bench, "x");
    let check = |code, args: &[&str], said: &str| {
        let error = bench.fails(code, &[&["sync"], args].concat());
        assert!(error.contains(said), "{args:?}: {error}");
    };
    check(1, &["-n", "src", "store:st#x"], "--dry-run");
    check(1, &["--remove-source-files", "src", "store:st#x"], "--remove-source-files");
    check(1, &["--remove-source-files", "store:st#x", "dst"], "--remove-source-files");
    check(1, &["-b", "src", "store:st#x"], "--backup");
    check(1, &["-u", "src", "store:st#x"], "leaves files alone");
    check(1, &["--inplace", "src", "store:st#x"], "--inplace");
    check(1, &["--link-dest", "y", "src", "store:st#x"], "--link-dest");
    check(1, &["src", "src/dir", "store:st#x"], "one directory");
    check(1, &["src/a", "store:st#x"], "not a file");
    check(1, &["src", "store:st#x@0"], "without a state");
    check(1, &["store:st#x", "store:st#y"], "both in a store");
    check(1, &["--watch", "src", "store:st#x"], "--watch");
    check(1, &["src", "store:st"], "no #NAME");
    check(23, &["store:st#y", "dst"], "there is no y");
    check(23, &["store:none#y", "dst"], "there is no store");
}
