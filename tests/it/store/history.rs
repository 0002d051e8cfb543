//! What a machine remembers of a store's history.

use super::{bench, copy_dir, fails, last, ok, put};

#[test]
fn a_store_that_was_put_back_is_refused_with_both_statements() {
    let bench = bench();
    put(&bench, "x");
    copy_dir(&bench, "st", "old");
    put(&bench, "x");
    copy_dir(&bench, "st", "new");
    copy_dir(&bench, "old", "st");
    let commands: [&[&str]; 4] =
        [&["ls", "st"], &["put", "st", "x", "src"], &["get", "st", "x", "out"], &["verify", "st"]];
    for command in commands {
        let ran = bench.run(&[&["store"], command].concat());
        assert_eq!(ran.code, 40, "{command:?}: {}", ran.err);
        assert!(
            ran.err.starts_with("syncline: error: the history was rolled back: it had 2 records and has 1\n")
        );
        assert!(
            ran.err.contains("seen before, 2 records") && ran.err.contains("in the store now, 1 records")
        );
        assert_eq!(ran.err.matches("  signature ").count(), 2, "{}", ran.err);
    }
    copy_dir(&bench, "new", "st");
    ok(&bench, &["ls", "st"]);
}

#[test]
fn a_history_that_was_forked_is_refused_however_long_it_becomes() {
    let bench = bench();
    put(&bench, "x");
    copy_dir(&bench, "st", "fork");
    put(&bench, "x");
    copy_dir(&bench, "fork", "st");
    let elsewhere = |args: &[&str]| {
        assert!(bench.command("other", &[&["store"], args].concat()).output().unwrap().status.success());
    };
    for records in 2..5 {
        elsewhere(&["put", "st", "y", "src"]);
        let ran = bench.run(&["store", "ls", "st"]);
        assert_eq!(ran.code, 40, "with {records} records: {}", ran.err);
        assert!(ran.err.contains("rewritten or forked"), "{}", ran.err);
        // Both records for the one place.
        assert!(ran.err.contains("seen before, record 1") && ran.err.contains("in the store now, record 1"));
    }
    elsewhere(&["ls", "st"]);
}

#[test]
fn a_history_is_told_and_verified() {
    let bench = bench();
    put(&bench, "x");
    ok(&bench, &["tag", "st", "x", "t"]);
    put(&bench, "y");
    ok(&bench, &["forget", "st", "x@0"]);
    let told = ok(&bench, &["log", "st", "--json"]).json();
    let actions: Vec<&str> = told.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["put", "tag", "put", "forget"]);
    assert_eq!(ok(&bench, &["log", "st", "y", "--json"]).json().len(), 1);
    let id = bench.ok(&["id"]).out;
    let told = last(&ok(&bench, &["verify", "st", "y", "--key", id.trim(), "--json"]));
    assert_eq!((&told["records"], &told["seen_before"]), (&4.into(), &4.into()));
    let other = bench.command("other", &["id"]).output().unwrap().stdout;
    let other = String::from_utf8(other).unwrap();
    let ran = bench.run(&["store", "verify", "st", "y", "--key", other.trim()]);
    assert!(ran.code == 40 && ran.err.contains("a record is not by"), "{}", ran.err);
    fails(&bench, 1, &["verify", "st", "--key", id.trim()]);
    // Who has never seen it believes what is whole.
    let fresh = bench.command("fresh", &["store", "verify", "st"]).output().unwrap();
    assert!(String::from_utf8_lossy(&fresh.stdout).contains("nothing of it was seen before"));
}
