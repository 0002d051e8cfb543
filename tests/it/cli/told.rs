//! What a run tells, beside what rsync tells of the same trees.
//!
//! Compared are whole outputs, but for what cannot be equal: bytes on the wire, rates, times, and the lines
//! that only this program has.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bench::{Bench, noise, terminate};
use crate::bed::can_run;

/// rsync in the bench's folder, and what it printed; `None`, with a reason printed, where there is none.
fn rsync(bench: &Bench, args: &[&str]) -> Option<String> {
    let there = Command::new("rsync").arg("--version").output().is_ok();
    if !can_run("rsync is not here", there) {
        return None;
    }
    let output = Command::new("rsync").args(args).current_dir(bench.path(".")).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn second(at: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at)
}

fn touch(bench: &Bench, name: &str, at: u64) {
    fs::File::open(bench.path(name)).unwrap().set_modified(second(at)).unwrap();
}

/// Of a link, which rsync compares by the second and this program by the nanosecond.
fn set_link_time(bench: &Bench, name: &str) {
    let mut touch = Command::new("touch");
    touch.args(["-h", "-d", "@1000000000", name]).current_dir(bench.path("."));
    assert!(touch.status().unwrap().success());
}

/// A tree of files, directories and a symbolic link, all of one time, in `src`.
fn bench() -> Bench {
    let bench = Bench::new();
    for (name, bytes) in
        [("file", &b"hello"[..]), ("z", b""), ("a/x", b"1"), ("a-b/x", b"2"), ("dir/sub/y", b"3")]
    {
        bench.write(&format!("src/{name}"), bytes);
    }
    bench.write("src/dir/large", noise(1, 1_300_000));
    symlink("dir/large", bench.path("src/link")).unwrap();
    set_link_time(&bench, "src/link");
    for name in ["file", "z", "a/x", "a-b/x", "dir/sub/y", "dir/large", "a", "a-b", "dir/sub", "dir", "."] {
        touch(&bench, &format!("src/{name}"), 1_000_000_000);
    }
    bench
}

/// Two destinations that lack something, have something else, and have something more.
fn changed(bench: &Bench) {
    for dst in ["ours", "theirs"] {
        assert!(
            Command::new("cp")
                .args(["-a", "src", dst])
                .current_dir(bench.path("."))
                .status()
                .unwrap()
                .success()
        );
        bench.write(&format!("{dst}/file"), "longer than it was");
        bench.write(&format!("{dst}/old/deep/f"), "f");
        bench.write(&format!("{dst}/old/g"), "g");
        bench.write(&format!("{dst}/dir/more"), "h");
        fs::remove_file(bench.path(&format!("{dst}/a/x"))).unwrap();
        fs::create_dir(bench.path(&format!("{dst}/a/x"))).unwrap();
        fs::remove_file(bench.path(&format!("{dst}/link"))).unwrap();
        symlink("nowhere", bench.path(&format!("{dst}/link"))).unwrap();
        set_link_time(bench, &format!("{dst}/link"));
        fs::set_permissions(bench.path(&format!("{dst}/z")), PermissionsExt::from_mode(0o600)).unwrap();
        fs::set_permissions(bench.path(&format!("{dst}/dir/sub")), PermissionsExt::from_mode(0o700)).unwrap();
        fs::remove_dir_all(bench.path(&format!("{dst}/a-b"))).unwrap();
        for name in ["file", "old/deep", "old", "dir", "a", "."] {
            touch(bench, &format!("{dst}/{name}"), 900_000_000);
        }
    }
}

/// Output without what differs by its nature: numbers of the wire and of clocks, and lines that rsync has not.
/// In which order changes are decided on is another in each program: their lines are sorted here.
fn comparable(text: &str) -> Vec<String> {
    let ours = [
        "root ",
        "Number of moved",
        "Number of names of",
        "Number of paths",
        "Number of round",
        "Total time",
    ];
    let theirs = ["delta-transmission ", "total: matches="];
    let varying = [
        "File list generation time: ",
        "File list size: ",
        "Total bytes sent: ",
        "Total bytes received: ",
        "sent ",
        "Literal data: ",
        "Matched data: ",
    ];
    let begins = |line: &String| {
        ["sending incremental", "created directory"].iter().any(|start| line.starts_with(start))
    };
    let lines = text.lines().filter(|line| !ours.iter().chain(&theirs).any(|start| line.starts_with(start)));
    let lines = lines
        .map(|line| {
            let line = line.replace("theirs", "ours");
            if let Some(start) = varying.iter().find(|start| line.starts_with(**start)) {
                return (*start).to_owned();
            }
            // "total size is N  speedup is X (DRY RUN)"
            match line.split_once("  speedup is ") {
                Some((size, speedup)) => format!("{size} {}", speedup.contains("DRY RUN")),
                None => line,
            }
        })
        .collect::<Vec<_>>();
    let begin = lines.iter().take_while(|line| begins(line)).count();
    let end = lines.iter().position(String::is_empty).unwrap_or(lines.len());
    let mut told = lines;
    told[begin..end.max(begin)].sort();
    told
}

/// Both programs, with the same flags and then their own, from `src` to `ours` and `theirs`.
fn check(bench: &Bench, source: &str, flags: &[&str]) {
    let Some(theirs) = rsync(bench, &[&["-a"], flags, &[source, "theirs"]].concat()) else { return };
    let ours = bench.ok(&[&["sync"], flags, &[source, "ours"]].concat()).out;
    assert_eq!(comparable(&ours), comparable(&theirs), "{flags:?}:\n{ours}\n{theirs}");
}

#[test]
fn a_first_run_tells_what_rsync_does() {
    for flags in [
        &["-i"][..],
        &["-v"],
        &["-vi"],
        &["-n", "-i"],
        &["-nv"],
        &["--stats"],
        &["-v", "--stats", "-h"],
        &["--stats", "-hh"],
        &["--stats", "--no-h"],
        &["--out-format=%i|%n|%L|%B|%M|%U:%G|%o|%%|%q"],
        &["--out-format=%-20n|%o"],
        &["-q"],
        &[],
    ] {
        for source in ["src/", "src", "src/file"] {
            check(&bench(), source, flags);
        }
    }
}

#[test]
fn a_run_that_updates_tells_what_rsync_does() {
    for flags in [
        &["-i", "--delete"][..],
        &["-v", "--delete"],
        &["-vi"],
        &["-ci", "--delete"],
        &["-ni", "--delete"],
        &["-ii", "--delete"],
        &["-vv", "-i", "--delete"],
        &["--stats", "--delete"],
        &["--out-format=%o %n", "--delete"],
        &["--out-format=%n", "--delete"],
    ] {
        let bench = bench();
        changed(&bench);
        check(&bench, "src/", flags);
        // And then there is nothing left to tell.
        if !flags.contains(&"-ni") {
            check(&bench, "src/", &["-i"]);
        }
    }
}

#[test]
fn a_file_whose_bytes_are_the_same_is_told_as_by_an_rsync_with_checksums() {
    let bench = bench();
    changed(&bench);
    for dst in ["ours", "theirs"] {
        touch(&bench, &format!("{dst}/z"), 5);
    }
    check(&bench, "src/", &["-ci", "--delete"]);
}

#[test]
fn what_did_not_change_is_told_with_vv() {
    let bench = bench();
    bench.ok(&["sync", "src/", "ours"]);
    let told = bench.ok(&["sync", "-vv", "src/", "ours"]);
    for line in ["file is uptodate", "link is uptodate", "dir/large is uptodate"] {
        assert!(told.has_line(line), "{line} in {}", told.out);
    }
    assert!(!told.out.contains("dir is uptodate"), "{}", told.out);
}

#[test]
fn hard_links_and_moves_name_the_other_path() {
    let bench = Bench::new();
    bench.write("src/a", "x");
    fs::hard_link(bench.path("src/a"), bench.path("src/b")).unwrap();
    let told = bench.ok(&["sync", "-i", "src", "dst"]);
    assert!(told.has_line("hf+++++++++ src/b => src/a"), "{}", told.out);
    fs::remove_file(bench.path("src/b")).unwrap();
    bench.ok(&["sync", "--delete", "src", "dst"]);
    fs::rename(bench.path("src/a"), bench.path("src/c")).unwrap();
    let told = bench.ok(&["sync", "-v", "--delete", "src", "dst"]);
    assert!(told.has_line("src/c <- src/a"), "{}", told.out);
}

#[test]
fn a_server_gets_and_gives_with_the_arrow_of_its_direction() {
    let bench = bench();
    fs::create_dir(bench.path("served")).unwrap();
    let daemon = bench.serve(&["m=served:rw"]);
    let url = daemon.url("m/");
    let pushed = bench.ok(&["sync", "--accept-new", "-vi", "--stats", "src", &url]);
    for line in [
        "sending incremental file list",
        "cd+++++++++ src/",
        "<f+++++++++ src/file",
        "Number of created files: 12 (reg: 6, dir: 5, link: 1)",
    ] {
        assert!(pushed.has_line(line), "{line} in {}", pushed.out);
    }
    let pulled = bench.ok(&["sync", "-vi", "--out-format=%i %o %n%L", &daemon.url("m/src"), "back"]);
    for line in [
        "receiving incremental file list",
        "created directory back",
        ">f+++++++++ recv src/dir/large",
        "cL+++++++++ recv src/link -> dir/large",
    ] {
        assert!(pulled.has_line(line), "{line} in {}", pulled.out);
    }
    assert_eq!(pulled.root(), pushed.root());
}

#[test]
fn a_source_without_a_destination_is_listed() {
    let bench = bench();
    for args in [
        &["src/"][..],
        &["src"],
        &["-a", "src/"],
        &["-a", "--list-only", "src", "dst"],
        &["-r", "--no-h", "src/"],
        &["-ah", "src/"],
        &["src/file"],
    ] {
        let Some(theirs) = rsync(&bench, &[args, &["-l"]].concat()) else { return };
        assert_eq!(bench.ok(&[&["sync"], args].concat()).out, theirs, "{args:?}");
    }
    assert!(!bench.has("dst"));
    let daemon = bench.serve(&["m=src:ro"]);
    let listed = bench.ok(&["sync", "--accept-new", "-r", &daemon.url("m/")]).out;
    let here = bench.ok(&["sync", "-r", "src/"]).out;
    let files = |text: &str| {
        text.lines().filter(|line| !line.starts_with('d')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(files(&listed), files(&here));
    let one = bench.ok(&["sync", &daemon.url("m/file")]).out;
    assert!(one.starts_with("-rw") && one.ends_with(" file\n"), "{one}");
}

#[test]
fn a_log_file_gets_a_line_a_change_whatever_is_printed() {
    let bench = bench();
    assert_eq!(bench.ok(&["sync", "--log-file=log", "src/", "dst"]).out, "");
    let log = bench.read("log");
    let texts: Vec<&str> = log.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    assert_eq!(
        texts[..4],
        ["building file list", "cd+++++++++ ./", ">f+++++++++ file", "cL+++++++++ link -> dir/large"]
    );
    assert!(texts.last().unwrap().starts_with("sent "), "{log}");
    bench.write("src/file", "other");
    bench.ok(&["sync", "-q", "--log-file=log", "--log-file-format=%o %n", "src/", "dst"]);
    assert!(bench.read("log").contains("] send file\n"), "{}", bench.read("log"));
    assert!(bench.read("log").starts_with(&log), "a log is only added to");
}

#[test]
fn progress_names_each_file_with_what_is_done() {
    let bench = bench();
    let told = bench.ok(&["sync", "--progress", "src", "one"]).out;
    for (name, bytes) in [("src/file", "5"), ("src/dir/large", "1,300,000"), ("src/z", "0")] {
        let at = told.find(&format!("{name}\n")).unwrap_or_else(|| panic!("{name} in {told}"));
        let line = told[at..].lines().nth(1).unwrap();
        assert!(line.starts_with(&format!("{bytes:>15} 100% ")) && line.contains("/6)"), "{line}");
        assert_eq!(told.matches(&format!("{name}\n")).count(), 1, "{told}");
    }
    assert!(
        told.starts_with("sending incremental file list\n") && told.contains("(xfr#6, to-chk=0/6)"),
        "{told}"
    );
    assert!(told.contains("\nsrc/link -> dir/large\n") && !told.contains("speedup"), "{told}");
    let whole = bench.ok(&["sync", "--info=progress2", "src/", "two"]).out;
    assert!(whole.starts_with('\r') && whole.ends_with(" (xfr#6, to-chk=0/6)\n"), "{whole:?}");
    assert!(whole.contains("      1,300,008 100% "), "{whole:?}");
    let both = bench.ok(&["sync", "-P", "--info=name0,del0", "src/", "three"]).out;
    assert!(!both.contains("link"), "{both}");
}

#[test]
fn what_is_no_flag_of_info_or_no_time_is_refused() {
    let bench = bench();
    for (args, part) in [
        (&["--info=progres2"][..], "progres"),
        (&["--debug=io"], "only `none`"),
        (&["--stop-at=2020-1-1"], "no time to come"),
        (&["--stop-after=0"], "0"),
        (&["--out-format=%b"], "%b"),
        (&["--log-file=nowhere/log"], "nowhere/log"),
    ] {
        let code = if args[0].starts_with("--log") { 11 } else { 1 };
        let error = bench.fails(code, &[&["sync"], args, &["src", "dst"]].concat());
        assert!(error.contains(part), "{args:?}: {error}");
    }
    assert!(!bench.has("dst"));
}

#[test]
fn a_plan_is_carried_out_once_and_refused_when_an_end_has_changed() {
    let bench = bench();
    changed(&bench);
    let planned = bench.ok(&["sync", "--delete", "--write-plan=plan", "--json", "src/", "ours"]).json();
    let large = planned.iter().find(|line| line["path"] == "file").unwrap();
    assert_eq!((&large["change"], &large["size"]), (&"updated".into(), &5.into()));
    let summary = planned.last().unwrap();
    assert_eq!(planned.len() as u64, bench.read("plan").lines().count() as u64);
    assert!(bench.has("ours/old") && bench.read("plan").starts_with("{"));
    // Other flags would do something else.
    let error = bench.fails(42, &["sync", "--apply-plan=plan", "src/", "ours"]);
    assert!(error.contains("these flags"), "{error}");
    let done = bench.summary(&["sync", "--delete", "--apply-plan=plan", "src/", "ours"]);
    assert_eq!((&done["bytes_literal"], &done["deleted"]), (&summary["bytes_literal"], &summary["deleted"]));
    bench.assert_equal("src", "ours");
    let error = bench.fails(42, &["sync", "--delete", "--apply-plan=plan", "src/", "ours"]);
    assert!(error.contains("the destination has changed"), "{error}");

    bench.ok(&["sync", "--write-plan=plan", "src", "new"]);
    assert!(!bench.has("new"));
    bench.write("src/late", "x");
    let error = bench.fails(42, &["sync", "--apply-plan=plan", "src", "new"]);
    assert!(error.contains("the source has changed"), "{error}");
    assert!(!bench.has("new"));
    bench.ok(&["sync", "--write-plan=plan", "src", "new"]);
    bench.ok(&["sync", "--apply-plan=plan", "src", "new"]);
    bench.assert_equal("src", "new/src");
    bench.write("none", "{}\n");
    assert!(bench.fails(1, &["sync", "--apply-plan=none", "src", "new"]).contains("first line"));
}

#[test]
fn a_plan_with_a_server_holds_both_roots() {
    let bench = bench();
    changed(&bench);
    let daemon = bench.serve(&["to=ours:rw", "from=src:ro"]);
    let to = daemon.url("to/");
    bench.ok(&["sync", "--accept-new", "--delete", "--write-plan=plan", "src/", &to]);
    bench.ok(&["sync", "--delete", "--apply-plan=plan", "src/", &to]);
    bench.assert_equal("src", "ours");
    let from = daemon.url("from/");
    bench.ok(&["sync", "--delete", "--write-plan=plan", &from, "theirs"]);
    bench.write("theirs/other", "x");
    bench.fails(42, &["sync", "--delete", "--apply-plan=plan", &from, "theirs"]);
    assert!(bench.has("theirs/other"));
}

#[test]
fn a_flag_that_is_not_here_is_refused_with_what_to_use() {
    let bench = bench();
    for (flag, part) in [
        ("--rsync-path=x", "--syncline-path"),
        ("--write-batch=x", "--write-plan"),
        ("--config=x", "syncline serve"),
        ("-M--x", "configuration"),
        ("--verbos", "did you mean --verbose?"),
        ("--itemise-changes", "did you mean --itemize-changes?"),
        ("-Z", "did you mean -z?"),
        ("--frobnicate", "--help"),
    ] {
        let ran = bench.run(&["sync", flag, "src", "dst"]);
        assert!(ran.code == 1 && ran.err.contains(part), "{flag}: {}", ran.err);
    }
    assert!(!bench.has("dst"));
    for undone in [&["-v", "--no-v"][..], &["-i", "--no-i"], &["-P", "--no-progress"]] {
        assert_eq!(bench.ok(&[&["sync", "-n"], undone, &["src/", "dst"]].concat()).out, "", "{undone:?}");
    }
    let told =
        bench.ok(&["sync", "-rs8", "--fsync", "--no-i-r", "--msgs2stderr", "--debug=none", "src/", "dst"]);
    assert_eq!(told.out, "");
    bench.assert_equal("src", "dst");
}

#[test]
fn a_change_is_told_while_the_run_goes_on() {
    let bench = Bench::new();
    bench.write("src/dir/small", "x");
    // Hours, at this rate.
    bench.write("src/large", noise(1, 4_000_000));
    for dst in ["served", "back"] {
        bench.write(&format!("{dst}/dir/old"), "old");
    }
    let daemon = bench.serve(&["to=served:rw", "from=src:ro"]);
    let (to, from) = (daemon.url("to/"), daemon.url("from/"));
    bench.ok(&["sync", "--accept-new", "-n", &from, "back"]);
    for (ends, sign) in [(["src/", "here"], ">"), (["src/", &to], "<"), ([&from, "back"], ">")] {
        let flags = ["sync", "-vi", "--bwlimit=1", "--no-compress", "--log-file=log"];
        let mut command = bench.command("home", &[&flags[..], &ends].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told: Vec<String> = lines.by_ref().take_while(|line| !line.ends_with("dir/small")).collect();
        assert!(child.try_wait().unwrap().is_none(), "{ends:?}: {told:?}");
        assert!(told.contains(&format!("{sign}f+++++++++ large")), "{ends:?}: {told:?}");
        terminate(&child);
        child.wait().unwrap();
        assert!(bench.read("log").contains(&format!("] {sign}f+++++++++ large\n")));
        fs::remove_file(bench.path("log")).unwrap();
    }
}

#[test]
fn what_is_in_a_directory_is_told_behind_it_and_before_it_when_it_goes() {
    let bench = bench();
    changed(&bench);
    let told = bench.ok(&["sync", "-i", "--delete", "src/", "ours"]).out;
    let at =
        |end: &str| told.lines().position(|line| line.ends_with(end)).unwrap_or_else(|| panic!("{told}"));
    for (first, second) in [
        (" ./", " file"),
        (" a-b/", " a-b/x"),
        (" dir/", " dir/sub/"),
        (" old/deep/f", " old/deep/"),
        (" old/deep/", " old/"),
    ] {
        assert!(at(first) < at(second), "{told}");
    }
}

#[test]
fn a_format_with_the_hash_of_a_file_is_told_when_it_is_known() {
    let bench = bench();
    let told = bench.ok(&["sync", "--no-index", "--out-format=%C %n", "src/", "dst"]).out;
    for name in ["file", "dir/large"] {
        let tree = bench.ok(&["tree", &format!("src/{name}")]).out;
        let line = told.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        let (hash, _) = line.split_once(' ').unwrap();
        assert!(hash.len() == 64 && tree.contains(hash), "{line}");
    }
}
