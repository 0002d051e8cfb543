//! Bytes that rotted or are gone: told, and mended from another copy.

use std::fs;

use super::{bench, copy_dir, fails, largest_pack, last, ok, put, states};
use crate::cli::bench::Bench;

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// A store with two states, a copy of it, and what is done to it.
fn damaged(damage: impl Fn(&Bench)) -> Bench {
    let bench = bench();
    put(&bench, "x");
    put(&bench, "y");
    copy_dir(&bench, "st", "copy");
    damage(&bench);
    bench
}

/// Its name, what it does, and the check that finds it.
type Case<'a> = (&'a str, &'a dyn Fn(&Bench), &'a [&'a str]);

/// Row 29.
#[test]
fn rot_is_told_with_what_it_affects_and_mended() {
    let rot = |bench: &Bench| flip(&largest_pack(bench, "st"), 300_000);
    let gone = |bench: &Bench| fs::remove_file(largest_pack(bench, "st")).unwrap();
    let cases: [Case<'_>; 2] =
        [("rot", &rot, &["check", "st", "--read-data"]), ("gone", &gone, &["check", "st"])];
    for (what, damage, check) in cases {
        let bench = damaged(damage);
        let ran = bench.run(&[&["store"], check].concat());
        assert_eq!(ran.code, 41, "{what}: {}{}", ran.out, ran.err);
        for name in ["affected: x@0 large: ", "affected: y@1 large: "] {
            assert!(ran.out.contains(name), "{what}: {}", ran.out);
        }
        let told = bench.run(&[&["store"], check, &["--json"]].concat());
        assert_eq!(last(&told)["fine"], false, "{what}");
        for command in [&["store", "get", "st", "x", "out"][..], &["sync", "store:st#x", "out2"]] {
            let ran = bench.run(command);
            assert_eq!(ran.code, 41, "{what}: {}", ran.err);
            assert!(
                ran.err.contains("large") && ran.err.contains("hint: `syncline store check`"),
                "{}",
                ran.err
            );
        }
        let ran = bench.run(&["store", "repair", "st"]);
        assert_eq!(ran.code, 41, "{what}: {}", ran.err);
        assert!(ran.err.contains("are nowhere"), "{what}: {}", ran.err);
        ok(&bench, &["repair", "st", "--from", "copy"]);
        ok(&bench, &["check", "st", "--read-data"]);
        ok(&bench, &["get", "st", "x", "out"]);
        bench.assert_equal("src", "out");
        assert_eq!(states(&bench, "st"), ["x@0", "y@1"]);
    }
}

#[test]
fn a_put_of_the_same_tree_mends_what_was_lost() {
    let bench = damaged(|bench| fs::remove_file(largest_pack(bench, "st")).unwrap());
    assert_eq!(bench.run(&["store", "repair", "st"]).code, 41);
    put(&bench, "z");
    ok(&bench, &["check", "st", "--read-data"]);
    ok(&bench, &["get", "st", "x", "out"]);
    bench.assert_equal("src", "out");
}

#[test]
fn a_head_is_taken_from_another_copy() {
    let bench = damaged(|bench| flip(&bench.path("st/head"), 60));
    put_into(&bench, "copy");
    assert!(fails(&bench, 41, &["ls", "st"]).contains("head is damaged"));
    fails(&bench, 41, &["repair", "st"]);
    ok(&bench, &["repair", "st", "--from", "copy"]);
    ok(&bench, &["check", "st", "--read-data"]);
    assert_eq!(states(&bench, "st"), ["x@0", "y@1", "z@2"]);
    ok(&bench, &["verify", "st"]);
}

fn put_into(bench: &Bench, store: &str) {
    ok(bench, &["put", store, "z", "src"]);
}

/// Row 31.
#[test]
fn an_index_that_is_gone_or_rotten_costs_nothing() {
    let bench = damaged(|bench| {
        let runs = fs::read_dir(bench.path("st/index")).unwrap().map(|run| run.unwrap().path());
        for (at, run) in runs.enumerate() {
            if at == 0 { fs::remove_file(run).unwrap() } else { flip(&run, 40) }
        }
    });
    ok(&bench, &["get", "st", "x", "out"]);
    bench.assert_equal("src", "out");
    put(&bench, "z");
    ok(&bench, &["repair", "st"]);
    ok(&bench, &["check", "st", "--read-data"]);
}
