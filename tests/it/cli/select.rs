//! Which files take part: each flag, by what a run leaves at the destination.

use std::io::Write;
use std::process::Stdio;

use super::bench::Bench;

/// Files of the source with their lengths, and names that the destination alone has.
fn bench(files: &[(&str, usize)], extras: &[&str]) -> Bench {
    let bench = Bench::new();
    for (name, len) in files {
        bench.write(&format!("src/{name}"), "x".repeat(*len));
    }
    extras.iter().for_each(|name| bench.write(&format!("dst/{name}"), "mine"));
    bench
}

/// Which of `names` are at the destination.
fn there<'a>(bench: &Bench, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| bench.has(&format!("dst/{name}"))).collect()
}

const FILES: [(&str, usize); 6] = [("a", 1), ("a.o", 2), ("b.o", 3), ("d/c", 4), ("d/a.o", 5), ("core", 6)];
const NAMES: [&str; 7] = ["a", "a.o", "b.o", "d", "d/c", "d/a.o", "core"];

#[test]
fn rules_count_in_the_order_of_the_command_line_whatever_their_flags() {
    let check = |flags: &[&str], expected: &[&str]| {
        let bench = bench(&FILES, &[]);
        bench.write("excludes", "# not these\n*.o\n\n");
        bench.write("includes", "a.o\r\n- d\r\n");
        bench.write("rules", "+ b.o\n- *.o\n");
        bench.write("src/.rsync-filter", "- core\n");
        bench.write("src/d/.cvsignore", "c\n");
        bench.write(".cvsignore", "a.own\n");
        let mut command = bench.command("home", &[&["sync"], flags, &["src/", "dst"]].concat());
        let output = command.env("HOME", bench.path("")).env("CVSIGNORE", "a b").output().unwrap();
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(there(&bench, &NAMES), expected, "{flags:?}");
    };
    check(&["--include", "a.o", "--exclude", "*.o"], &["a", "a.o", "d", "d/c", "d/a.o", "core"]);
    check(&["--exclude", "*.o", "--include", "a.o"], &["a", "d", "d/c", "core"]);
    check(&["-f", "+ b.o", "--exclude=*.o", "-f", "+ a.o"], &["a", "b.o", "d", "d/c", "core"]);
    check(&["--exclude-from=excludes", "--include-from=includes"], &["a", "core"]);
    check(&["--include-from=includes", "--exclude-from=excludes"], &["a", "a.o", "core"]);
    check(&["-f", "merge rules"], &["a", "b.o", "d", "d/c", "core"]);
    check(&["-F"], &["a", "a.o", "b.o", "d", "d/c", "d/a.o"]);
    check(&["--include=core", "-F"], &NAMES);
    check(&["-F", "--include=core"], &["a", "a.o", "b.o", "d", "d/c", "d/a.o"]);
    // Words of ~/.cvsignore, of CVSIGNORE, of the directory, of CVS itself; and always last.
    check(&["-C"], &["d"]);
    check(&["-C", "--include=*.o"], &["a.o", "b.o", "d", "d/a.o"]);
    check(&["-f", ":C", "-f", "+ a"], &["a", "a.o", "b.o", "d", "d/a.o", "core"]);
}

#[test]
fn rule_files_of_the_tree_are_copied_unless_asked_twice() {
    for (flag, is_copied) in [("-F", true), ("-FF", false)] {
        let bench = bench(&FILES, &[]);
        bench.write("src/.rsync-filter", "- core\n");
        bench.ok(&["sync", flag, "src/", "dst"]);
        assert_eq!((bench.has("dst/.rsync-filter"), bench.has("dst/core")), (is_copied, false), "{flag}");
    }
}

#[test]
fn a_dash_is_standard_input_and_names_may_end_in_a_nul() {
    let check = |flags: &[&str], text: &[u8], expected: &[&str]| {
        let bench = bench(&FILES, &[]);
        let mut command = bench.command("home", &[&["sync"], flags, &["src/", "dst"]].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(there(&bench, &NAMES), expected, "{flags:?}");
    };
    check(&["--exclude-from=-"], b"*.o\nd", &["a", "core"]);
    check(&["-f", ". -"], b"- *.o\n- d\n", &["a", "core"]);
    check(&["-0", "--exclude-from=-"], b"*.o\0d\0", &["a", "core"]);
    check(&["--from0", "--exclude-from", "-"], b"*.o\nd\0", &NAMES);
}

#[test]
fn what_is_deleted_is_what_no_rule_of_the_receiver_protects() {
    let extras = ["x.o", "gone", "keep/x", "keep/y.o"];
    let check = |flags: &[&str], expected: &[&str]| {
        let bench = bench(&FILES, &extras);
        bench.ok(&[&["sync"], flags, &["src/", "dst"]].concat());
        assert_eq!(there(&bench, &extras), expected, "{flags:?}");
        // A second run, with what the first has kept of the tree.
        bench.ok(&[&["sync"], flags, &["src/", "dst"]].concat());
        assert_eq!(there(&bench, &extras), expected, "{flags:?}, again");
    };
    check(&["--exclude=*.o"], &extras);
    check(&["--delete"], &[]);
    check(&["--delete", "--exclude=*.o"], &["x.o", "keep/y.o"]);
    check(&["--delete", "-f", "H *.o"], &[]);
    check(&["--delete", "-f", "P *.o"], &["x.o", "keep/y.o"]);
    check(&["--delete", "-f", "P keep"], &["keep/x", "keep/y.o"]);
    check(&["--delete", "-f", "-p *.o"], &["x.o"]);
    check(&["--delete-excluded", "--exclude=*.o"], &[]);
    check(&["--delete-excluded", "--exclude=*.o", "-f", "P gone"], &["gone"]);
    check(&["--delete-excluded", "-f", "-sr *.o"], &["x.o", "keep/y.o"]);
}

#[test]
fn what_is_protected_and_not_hidden_is_updated() {
    let bench = bench(&FILES, &["core", "d/x"]);
    bench.ok(&["sync", "--delete", "-f", "P core", "-f", "P x", "src/", "dst"]);
    assert_eq!((bench.read("dst/core"), bench.read("dst/d/x")), ("xxxxxx".into(), "mine".into()));
    assert_eq!(there(&bench, &NAMES), NAMES);
}

#[test]
fn a_protected_name_keeps_the_directory_that_a_file_would_replace() {
    let bench = bench(&[("d", 1)], &["d/keep", "d/x"]);
    let ran = bench.run(&["sync", "--delete", "-f", "P keep", "src/", "dst"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert_eq!(bench.read("dst/d/keep"), "mine");
}

#[test]
fn patterns_begin_at_the_root_of_the_transfer() {
    let check = |source: &str, flag: &str, expected: &[&str]| {
        let bench = bench(&FILES, &[]);
        bench.ok(&["sync", flag, source, "dst"]);
        assert_eq!(there(&bench, &["src", "src/a", "src/core", "a", "core"]), expected, "{source} {flag}");
    };
    check("src/", "--exclude=/core", &["a"]);
    check("src", "--exclude=/core", &["src", "src/a", "src/core"]);
    check("src", "--exclude=/src/core", &["src", "src/a"]);
    check("src", "--exclude=src", &[]);
}

#[test]
fn a_server_applies_the_rules_of_its_client_to_its_own_tree() {
    let bench = bench(&FILES, &[]);
    bench.write("served/keep.o", "mine");
    bench.write("served/shown", "mine");
    bench.write("served/gone", "mine");
    let daemon = bench.serve(&["m=served:rw"]);
    let remote = daemon.url("m/");
    let flags = ["sync", "--accept-new", "--delete", "-f", "P *.o", "-f", "- core"];
    bench.ok(&[&flags[..], &["src/", &remote]].concat());
    assert!(bench.has("served/keep.o") && bench.has("served/a.o") && !bench.has("served/core"));
    assert!(!bench.has("served/gone"));
    bench.ok(&["sync", "-f", "H keep.o", "-f", "- b.o", &remote, "dst"]);
    assert_eq!(there(&bench, &["a.o", "keep.o", "b.o", "d/c"]), ["a.o", "d/c"]);
}

#[test]
fn files_of_other_sizes_are_neither_copied_nor_deleted() {
    let sizes = [("small", 10), ("k", 1024), ("big", 1025), ("d/big", 5000)];
    let names = ["small", "k", "big", "d", "d/big"];
    let check = |flags: &[&str], expected: &[&str]| {
        let copied = bench(&sizes, &[]);
        copied.ok(&[&["sync"], flags, &["src/", "dst"]].concat());
        assert_eq!(there(&copied, &names), expected, "{flags:?}");
        let kept = bench(&sizes, &["small", "k", "big", "d/big", "gone"]);
        for _ in 0..2 {
            kept.ok(&[&["sync", "--delete"], flags, &["src/", "dst"]].concat());
            assert_eq!(there(&kept, &names), names, "{flags:?}");
            assert!(!kept.has("dst/gone"));
            let updated =
                names.into_iter().filter(|name| *name != "d" && kept.read(&format!("dst/{name}")) != "mine");
            let files: Vec<&str> = expected.iter().copied().filter(|name| *name != "d").collect();
            assert_eq!(updated.collect::<Vec<_>>(), files, "{flags:?}");
        }
    };
    check(&["--max-size=1k"], &["small", "k", "d"]);
    check(&["--max-size=1k-1"], &["small", "d"]);
    check(&["--min-size", "1k"], &["k", "big", "d", "d/big"]);
    check(&["--min-size=11", "--max-size=2kb"], &["k", "big", "d"]);
}

#[test]
fn directories_without_files_are_left_out_if_asked() {
    let bench = bench(&[("d/e/x.o", 1), ("f/a", 1), ("big/b", 100)], &["d/mine", "empty/x"]);
    std::fs::create_dir_all(bench.path("src/empty/below")).unwrap();
    let flags = ["sync", "-m", "--delete", "--exclude=*.o", "--max-size=50", "src/", "dst"];
    for _ in 0..2 {
        bench.ok(&flags);
        assert_eq!(there(&bench, &["d", "empty", "f/a", "big"]), ["f/a", "big"]);
    }
    let protect = ["sync", "-m", "-f", "P below", "src/", "dst"];
    bench.ok(&protect);
    assert!(bench.has("dst/empty/below") && bench.has("dst/d/e/x.o"));
}

#[test]
fn a_server_is_told_of_sizes_and_of_what_they_spare() {
    let bench = bench(&[("small", 10), ("big", 100), ("d/big", 100)], &["big", "gone"]);
    bench.write("served/d/big", "mine");
    bench.write("served/gone", "mine");
    let daemon = bench.serve(&["m=served:rw", "s=src:ro"]);
    bench.ok(&["sync", "--accept-new", "--delete", "--max-size=50", "src/", &daemon.url("m/")]);
    assert_eq!(bench.read("served/d/big"), "mine");
    assert!(!bench.has("served/gone") && !bench.has("served/big") && bench.has("served/small"));
    bench.ok(&["sync", "--delete", "--max-size=50", "-m", &daemon.url("s/"), "dst"]);
    assert_eq!(there(&bench, &["big", "small", "gone", "d"]), ["big", "small", "d"]);
}

#[test]
fn other_file_systems_are_left_alone_if_asked() {
    let bench = bench(&[("a", 1)], &[]);
    let mount = bench.path("src/mount");
    std::fs::create_dir_all(&mount).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&mount).output();
    if !crate::bed::can_run("other file systems: cannot mount", mounted.is_ok_and(|ran| ran.status.success()))
    {
        return;
    }
    bench.write("src/mount/file", "x");
    let mut found = Vec::new();
    for (flag, to) in [("-v", "all"), ("-x", "once"), ("-xx", "twice")] {
        let ran = bench.run(&["sync", flag, "src/", to]);
        let has = |name: &str| bench.has(&format!("{to}/{name}"));
        found.push((ran.code, has("a"), has("mount"), has("mount/file")));
    }
    let unmounted = std::process::Command::new("umount").arg(&mount).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(found, [(0, true, true, true), (0, true, true, false), (0, true, false, false)]);
}

#[test]
fn what_git_ignores_is_left_out_and_protected() {
    let names =
        ["a.o", "keep.o", "d/a.o", "d/b.o", "d/own", "own", "built/x", "sub/a.o", "sub/s", ".git/x.o", "e/s"];
    let sizes = names.map(|name| (name, 1));
    let check = |flags: &[&str], expected: &[&str], mine: &[&str]| {
        let bench = bench(&sizes, &["z.o", "gone"]);
        let rules = "# objects\r\n*.o\r\n!keep.o\r\n/built/\r\n";
        bench.write("src/.gitignore", rules);
        bench.write("dst/.gitignore", rules);
        bench.write("src/d/.gitignore", "!b.o\n/own");
        bench.write("src/.git/info/exclude", "e\nb.o\n");
        // A repository of its own.
        bench.write("src/sub/.git/info/exclude", "s\n");
        for _ in 0..2 {
            bench.ok(&[&["sync", "--delete"], flags, &["src/", "dst"]].concat());
            assert_eq!(there(&bench, &names), expected, "{flags:?}");
            assert_eq!(there(&bench, &["z.o", "gone"]), mine, "{flags:?}");
        }
    };
    let git = ["keep.o", "d/b.o", "own", "sub/a.o", ".git/x.o"];
    check(&["--gitignore"], &git, &["z.o"]);
    check(&["--gitignore", "--delete-excluded"], &git, &[]);
    check(&[], &names, &[]);
    // Rules come first.
    let rules = ["--gitignore", "--include=a.o", "--exclude=.git", "--exclude=own"];
    check(&rules, &["a.o", "keep.o", "d/a.o", "d/b.o", "sub/a.o"], &["z.o"]);
}
