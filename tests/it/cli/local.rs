//! Two paths of one machine, and the verbs that need no other end.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::process::Stdio;

use super::bench::{Bench, Ran, noise, raw, terminate};

/// A small tree of everything, in `src`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/file", "hello");
    bench.write("src/dir/large", noise(1, 300_000));
    bench.write("src/dir/empty", "");
    symlink("dir/large", bench.path("src/link")).unwrap();
    bench
}

#[test]
fn a_sync_makes_trees_equal_and_the_next_finds_nothing_to_do() {
    let bench = bench();
    let first = bench.summary(&["sync", "-a", "src/", "dst"]);
    bench.assert_equal("src", "dst");
    assert_eq!((&first["files_total"], &first["created"]), (&3.into(), &5.into()));
    assert_eq!((&first["bytes_total"], &first["bytes_literal"]), (&300_005.into(), &300_005.into()));
    for field in [
        "updated",
        "deleted",
        "moved",
        "metadata_only",
        "bytes_reused",
        "wire_sent",
        "wire_received",
        "round_trips",
        "elapsed_ms",
        "failed",
        "code",
    ] {
        assert!(first[field].is_u64(), "{field} in {first}");
    }
    let again = bench.summary(&["sync", "src/", "dst"]);
    assert_eq!((&again["root"], &again["bytes_literal"]), (&first["root"], &0.into()));
    assert_eq!((&again["created"], &again["updated"]), (&0.into(), &0.into()));
    // The root is what `tree` says of both.
    assert_eq!(bench.ok(&["tree", "src"]).root(), first["root"]);
    assert_eq!(bench.ok(&["tree", "dst/"]).root(), first["root"]);
}

#[test]
fn a_trailing_slash_means_the_contents() {
    let bench = bench();
    bench.ok(&["sync", "src", "outer"]);
    bench.assert_equal("src", "outer/src");
    bench.ok(&["sync", "src/.", "inner"]);
    bench.assert_equal("src", "inner");
    bench.ok(&["sync", "src/file", "outer/"]);
    assert_eq!(bench.read("outer/file"), "hello");
    bench.ok(&["sync", "src/file", "renamed"]);
    assert_eq!(bench.read("renamed"), "hello");
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let bench = bench();
    let told = bench.ok(&["sync", "-n", "-i", "src/", "dst"]);
    assert!(told.has_line(">f+++++++++ file") && told.has_line("cd+++++++++ dir/"), "{}", told.out);
    assert!(!bench.has("dst"));
    bench.ok(&["sync", "src/", "dst"]);
    bench.write("src/file", "other");
    bench.write("dst/extra", "x");
    let told = bench.ok(&["sync", "-ni", "--delete", "src/", "dst"]);
    assert!(told.has_line("*deleting   extra"), "{}", told.out);
    assert!(bench.has("dst/extra") && bench.read("dst/file") == "hello");
}

#[test]
fn each_change_is_a_line_in_columns() {
    let bench = bench();
    bench.ok(&["sync", "src/", "dst"]);
    assert_eq!(bench.ok(&["sync", "src/", "dst"]).out, "");
    bench.write("src/file", "longer than it was");
    fs::rename(bench.path("src/dir/large"), bench.path("src/dir/moved")).unwrap();
    fs::remove_file(bench.path("src/link")).unwrap();
    symlink("file", bench.path("src/link")).unwrap();
    fs::File::open(bench.path("src/dir/empty")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    bench.write("dst/old", "x");
    let diff = bench.ok(&["diff", "dst", "src"]);
    let told = bench.ok(&["sync", "-i", "--delete", "src/", "dst"]);
    for line in [
        ">f.st...... file",
        "mf......... dir/moved <- dir/large",
        "cLc.t...... link -> file",
        ".f..t...... dir/empty",
        "*deleting   old",
    ] {
        assert!(told.has_line(line), "{line} in {}", told.out);
        assert!(diff.has_line(line), "{line} in {}", diff.out);
    }
    assert!(diff.out.ends_with("a sync would send 18 B (18 bytes)\n"), "{}", diff.out);
    bench.assert_equal("src", "dst");
}

#[test]
fn json_tells_items_and_verbose_tells_names_and_the_root() {
    let bench = bench();
    let lines = bench.ok(&["sync", "--json", "-i", "src/", "dst"]).json();
    let item = lines.iter().find(|line| line["path"] == "dir/large").unwrap();
    assert_eq!(
        (&item["event"], &item["kind"], &item["change"]),
        (&"item".into(), &"file".into(), &"created".into())
    );
    let told = bench.ok(&["sync", "-v", "src/", "other"]);
    assert!(told.has_line("dir/large") && told.has_line("dir/"), "{}", told.out);
    assert_eq!(lines.last().unwrap()["root"], told.root());
    let stats = bench.ok(&["sync", "--stats", "src/", "third"]);
    assert!(stats.has_line("Total transferred file size: 300,005 bytes"), "{}", stats.out);
}

#[test]
fn what_is_excluded_stays_on_both_ends() {
    let bench = bench();
    bench.write("src/a.o", "object");
    bench.write("dst/b.o", "theirs");
    bench.write("dst/gone", "x");
    bench.ok(&["sync", "--delete", "--exclude", "*.o", "--exclude=/dir", "src/", "dst"]);
    assert!(!bench.has("dst/a.o") && !bench.has("dst/dir") && !bench.has("dst/gone"));
    assert_eq!((bench.read("dst/b.o"), bench.read("dst/file")), ("theirs".into(), "hello".into()));
}

#[test]
fn names_that_the_source_has_not_stay_without_delete() {
    let bench = bench();
    bench.write("dst/extra/x", "mine");
    bench.ok(&["sync", "src/", "dst"]);
    assert_eq!(bench.read("dst/extra/x"), "mine");
    let deleted = bench.summary(&["sync", "--delete", "src/", "dst"]);
    assert_eq!(deleted["deleted"], 2);
    bench.assert_equal("src", "dst");
}

#[test]
fn more_to_delete_than_allowed_deletes_nothing() {
    let bench = bench();
    for name in ["a", "b", "dir2/c"] {
        bench.write(&format!("dst/{name}"), name);
    }
    bench.write("dst/moved", noise(1, 300_000));
    let ran = bench.run(&["sync", "--delete", "--max-delete=3", "src/", "dst"]);
    assert!(ran.code == 25 && ran.err.contains("4 names would be deleted"), "{}", ran.err);
    assert!(bench.has("dst/a") && bench.has("dst/b") && bench.has("dst/dir2/c"));
    assert_eq!(bench.read("dst/file"), "hello");
    // What was moved is no deletion.
    assert!(bench.has("dst/dir/large") && !bench.has("dst/moved"));
    bench.ok(&["sync", "--delete", "--max-delete=4", "src/", "dst"]);
    bench.assert_equal("src", "dst");
}

#[test]
fn backups_hold_what_was_replaced_and_what_was_deleted() {
    let bench = bench();
    bench.write("dst/file", "old");
    bench.write("dst/gone/x", "deleted");
    bench.ok(&["sync", "-b", "--delete", "src/", "dst"]);
    assert_eq!((bench.read("dst/file~"), bench.read("dst/gone/x~")), ("old".into(), "deleted".into()));
    bench.write("dst/file", "again");
    bench.ok(&["sync", "-b", "--backup-dir=old", "--suffix=.1", "--delete", "src", "dst"]);
    bench.write("dst/src/file", "third");
    bench.ok(&["sync", "--backup-dir=old", "src", "dst"]);
    assert_eq!(bench.read("dst/old/src/file"), "third");
    assert_eq!(bench.read("dst/src/file"), "hello");
    for args in [&["--suffix=a/b", "-b"][..], &["-b", "--suffix="]] {
        bench.fails(1, &[&["sync"], args, &["src/", "dst"]].concat());
    }
}

#[test]
fn ways_to_write_show_in_inodes_and_blocks() {
    use std::os::unix::fs::MetadataExt;
    let bench = bench();
    let stat = |at: &str| fs::metadata(bench.path(at)).unwrap();
    bench.write("src/zeros", [vec![0; 4 << 20], vec![1; 10], vec![0; 4 << 20]].concat());
    bench.ok(&["sync", "--mkpath", "-S", "src/", "a/b/dst"]);
    bench.assert_equal("src", "a/b/dst");
    assert!(stat("a/b/dst/zeros").blocks() < 1024, "{} blocks", stat("a/b/dst/zeros").blocks());
    let before = stat("a/b/dst/file").ino();
    bench.write("src/file", "hello, longer");
    bench.ok(&["sync", "--inplace", "src/", "a/b/dst"]);
    assert_eq!((stat("a/b/dst/file").ino(), bench.read("a/b/dst/file")), (before, "hello, longer".into()));
    bench.write("src/file", "short");
    bench.ok(&["sync", "--append", "src/", "a/b/dst"]);
    assert_eq!(bench.read("a/b/dst/file"), "hello, longer");
    bench.ok(&["sync", "--preallocate", "-W", "src/", "third"]);
    bench.assert_equal("src", "third");
    bench.fails(23, &["sync", "src/", "no/such/dir"]);
}

#[test]
fn mistakes_on_the_command_line_exit_with_1() {
    let bench = bench();
    let check = |args: &[&str], part: &str| {
        let error = bench.fails(1, args);
        assert!(error.contains(part), "{args:?}: {error}");
    };
    check(&["sync"], "<SRC>");
    check(&["sync", "--frob", "src", "dst"], "--frob");
    check(&["sync", "-z=20", "src", "dst"], "20");
    check(&["sync", "-z", "--no-compress", "src", "dst"], "--no-compress");
    check(&["sync", "--bwlimit", "fast", "src", "dst"], "fast");
    check(&["sync", "--filter", "frob x", "src", "dst"], "unknown kind of rule");
    check(&["sync", "--exclude-from", "none", "src", "dst"], "cannot read the rules in none");
    check(&["sync", "syncline://a/m", "syncline://b/m"], "both remote");
    check(&["sync", "syncline://a", "dst"], "no module");
    check(&["sync", "--", "src", "-oProxyCommand=x:dst"], "no host begins with -");
    check(&["sync", "src", "me@-host:dst"], "no host begins with -");
    check(&["sync", "src", "host::dst"], "an rsync daemon is not spoken to");
    check(&["sync", "a:src", "b:dst"], "both remote");
    check(&["sync", "src", "host:dst", "--syncline-path=-x"], "does not begin with -");
    check(&["serve", "--listen", "127.0.0.1:0"], "nothing to serve");
    check(&["serve", "--listen", "x", "--module", "m=src:ro"], "no address");
    check(&["serve", "--listen", "127.0.0.1:0", "--module", "m=src"], "no mode at the end");
    bench.write("bad.toml", "listen = '127.0.0.1:0'\nfrob = 1\n");
    check(&["serve", "--config", "bad.toml"], "line 2: unknown field");
    check(&["trust", "sl1x"], "PEER_ID");
    check(&["frob"], "frob");
    assert_eq!(bench.run(&[]).code, 1);
    assert_eq!(bench.run(&["--help"]).code, 0);
    assert_eq!(bench.run(&["--version"]).code, 0);
    assert!(!bench.has("dst"));
}

#[test]
fn a_source_that_is_not_there_exits_with_23_and_makes_no_destination() {
    let bench = bench();
    assert!(bench.fails(23, &["sync", "nothing/", "dst"]).contains("nothing/: open: No such file"));
    assert!(!bench.has("dst"));
}

#[test]
fn a_path_with_a_colon_is_local_if_it_is_there() {
    let bench = bench();
    bench.write("a:b/f", "x");
    bench.ok(&["sync", "a:b/", "./c:d"]);
    bench.assert_equal("a:b", "c:d");
}

#[test]
fn compression_flags_read_as_rsync_s() {
    let bench = bench();
    for (flags, dst) in [("-avz", "1"), ("-zv", "2"), ("--compress=19", "3"), ("--no-compress", "4")] {
        bench.ok(&["sync", flags, "--bwlimit=1G", "src/", dst]);
        bench.assert_equal("src", dst);
    }
}

#[test]
fn names_of_any_bytes_are_synced_and_escaped() {
    let bench = Bench::new();
    bench.write("src/plain", "x");
    for name in [&b"esc\x1b[2J"[..], b"new\nline", b"not\xffutf8", b"back\\slash"] {
        fs::write(raw(&bench.path("src"), name), "x").unwrap();
    }
    let told = bench.ok(&["sync", "-i", "src/", "dst"]);
    for line in ["esc\\x1b[2J", "new\\x0aline", "not\\xffutf8", "back\\\\slash"] {
        assert!(told.has_line(&format!(">f+++++++++ {line}")), "{line} in {}", told.out);
    }
    bench.assert_equal("src", "dst");
    let lines = bench.ok(&["sync", "-i", "--json", "src/", "other"]).json();
    let item = lines.iter().find(|line| line["path"] == "not\\xffutf8").unwrap();
    assert_eq!(item["path_bytes"], "6e6f74ff75746638");
    assert!(lines.iter().any(|line| line["path"] == "new\nline" && line.get("path_bytes").is_none()));
    let missing = raw(&bench.path("."), b"a\x1bb\n");
    let ran = Ran::of(bench.command("home", &["sync"]).arg(missing).arg("dst").output().unwrap());
    assert!(ran.err.contains("a\\x1bb\\x0a") && ran.err.lines().count() == 1, "{}", ran.err);
}

#[test]
fn the_second_of_two_syncs_into_one_place_names_the_first() {
    let bench = Bench::new();
    bench.write("src/large", noise(2, 8 << 20));
    // The first takes a minute at this rate, and is ended when the second was turned away.
    let slow = ["sync", "--bwlimit=100", "src/", "dst"];
    let mut first =
        bench.command("home", &slow).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let staged = || fs::read_dir(bench.path("dst")).is_ok_and(|mut entries| entries.next().is_some());
    while !staged() {
        assert!(first.try_wait().unwrap().is_none(), "the first has ended too early");
        std::thread::yield_now();
    }
    let error = bench.fails(11, &["sync", "src/", "dst"]);
    assert!(error.contains(&format!("process {}", first.id())), "{error}");
    // A signal ends it with rsync's code; what was visible is as it was, and the next run converges.
    terminate(&first);
    assert_eq!(first.wait().unwrap().code(), Some(20));
    assert!(!bench.has("dst/large"));
    bench.ok(&["sync", "src/", "dst"]);
    bench.assert_equal("src", "dst");
}

#[test]
fn tree_lists_the_chunks_of_a_file() {
    let bench = bench();
    let listed = bench.ok(&["tree", "--chunks", "src/dir/large"]);
    let chunks: Vec<Vec<&str>> = listed.out.lines().map(|line| line.split(' ').collect()).collect();
    let chunks: Vec<_> = chunks.iter().filter(|words| words.len() == 3).collect();
    let mut offset = 0;
    for words in &chunks {
        assert_eq!((words[0].parse::<u64>().unwrap(), words[2].len()), (offset, 64));
        offset += words[1].parse::<u64>().unwrap();
    }
    assert_eq!(offset, 300_000);
    assert!(chunks.len() > 1 && listed.has_line(&format!("chunks {}", chunks.len())));
    let json = bench.ok(&["tree", "--json", "src"]).json();
    assert_eq!(
        (&json[0]["files"], &json[0]["entries"], &json[0]["levels"]),
        (&3.into(), &5.into(), &1.into())
    );
}

#[test]
fn a_tree_that_was_cut_short_costs_only_what_is_missing() {
    let bench = bench();
    let mut large = noise(3, 2 << 20);
    bench.write("old/f", &large);
    large.insert(0, b'!');
    bench.write("new/f", &large);
    let counted = bench.summary(&["diff", "old", "new"]);
    let missing = counted["bytes_missing"].as_u64().unwrap();
    assert!((1..=3 * 256 * 1024).contains(&missing), "{counted}");
    // What `diff` foretells is what a sync sends.
    let file = fs::File::options().write(true).open(bench.path("new/f")).unwrap();
    file.write_all_at(b"?", 1 << 20).unwrap();
    let foretold = bench.summary(&["diff", "old", "new"]);
    let sent = bench.summary(&["sync", "new/", "old"]);
    assert_eq!(foretold["bytes_missing"], sent["bytes_literal"]);
}

#[test]
fn completions_and_the_manual_name_every_verb() {
    let bench = Bench::new();
    for args in [&["completions", "bash"][..], &["completions", "fish"], &["man"]] {
        let printed = bench.ok(args).out;
        for verb in ["sync", "serve", "id", "trust", "tree", "diff", "completions", "man"] {
            assert!(printed.contains(verb), "{args:?} does not name {verb}");
        }
    }
}
