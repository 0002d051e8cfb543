//! Rows 13 to 16 and 19: disks that are full, read-only or broken; directories that cannot be read.
//!
//! A small file system in a file is really full or really read-only. What this kernel's file systems do not do by
//! themselves (quotas, errors of the device), `strace` answers in the kernel's place.

use std::fs;
use std::path::Path;

use crate::bed::{can_run, contents};
use crate::cli::bench::{Bench, Ran, noise};
use crate::disk::{Disk, can_trace, has, under};

/// A destination with a file that is to be replaced, and with one that is to be deleted.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/a", "a");
    bench.write("src/d/large", noise(1, 6 << 20));
    bench.write("src/z", "z");
    bench.write("dst/d/large", noise(2, 1 << 20));
    bench.write("dst/extra", "extra");
    bench
}

/// Nothing in `root` has a temporary name.
#[track_caller]
fn assert_no_leftovers(root: &Path) {
    let left = contents(root).into_keys().find(|at| at.to_string_lossy().contains(".syncline-tmp-"));
    assert_eq!(left, None);
}

/// Runs `sync --delete src/ dst` while `strace` answers some calls with an error.
fn inject(bench: &Bench, rules: &[&str], args: &[&str]) -> Ran {
    let log = bench.path("strace.log");
    let mut wrapper = vec!["strace", "-f", "-qq", "-o", log.to_str().unwrap()];
    wrapper.extend(rules);
    let command = bench.command("home", &[&["sync", "--delete"], args, &["src/", "dst"]].concat());
    Ran::of(under(&wrapper, &command).output().unwrap())
}

/// A run that fails as a whole: the code, one line that says all of `said`, and a destination as it was before.
#[track_caller]
fn assert_failed(bench: &Bench, ran: &Ran, code: i32, said: &[&str], before: &crate::bed::Contents) {
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(said.iter().all(|said| ran.err.contains(said)), "{said:?} in {}", ran.err);
    assert_eq!(contents(&bench.path("dst")), *before);
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
}

/// Row 13.
#[test]
fn a_full_disk_keeps_the_old_file_and_no_temporary_one() {
    let disk = Disk::new("ext4", 8);
    if !can_run("a full disk needs root, loop devices and ext4", disk.is_some()) {
        return;
    }
    let (disk, bench) = (disk.unwrap(), bench());
    let dst = disk.root().join("dst");
    for (at, bytes) in [("d/large", noise(2, 1 << 20)), ("extra", b"extra".to_vec())] {
        crate::bed::write(&dst, at, bytes);
    }
    let before = contents(&dst);
    let to = dst.to_str().unwrap();
    let error = bench.fails(11, &["sync", "--delete", "src/", to]);
    assert!(error.contains("d/large") && error.contains("No space left on device"), "{error}");
    assert_eq!(contents(&dst), before);
    fs::write(bench.path("src/d/large"), "shorter").unwrap();
    bench.ok(&["sync", "--delete", "src/", to]);
    assert_eq!(contents(&dst), contents(&bench.path("src")));
}

/// Row 14.
#[test]
fn a_read_only_disk_is_named_with_what_was_to_be_written() {
    let disk = Disk::new("ext4", 16);
    if !can_run("a read-only disk needs root, loop devices and ext4", disk.is_some()) {
        return;
    }
    let (disk, bench) = (disk.unwrap(), bench());
    let dst = disk.root().join("dst");
    crate::bed::write(&dst, "a", "old");
    disk.run("mount -o remount,ro mnt");
    let error = bench.fails(11, &["sync", "--delete", "src/", dst.to_str().unwrap()]);
    assert!(error.contains("Read-only file system"), "{error}");
    assert_eq!(contents(&dst).len(), 1);
}

/// Row 14.
#[test]
fn a_quota_that_is_used_up_keeps_the_old_file_and_names_the_limit() {
    if !can_run("errors of the kernel need strace", can_trace()) {
        return;
    }
    let bench = bench();
    let before = contents(&bench.path("dst"));
    let rules = ["-e", "inject=pwrite64,copy_file_range:error=EDQUOT:when=3+"];
    let ran = inject(&bench, &rules, &[]);
    assert_failed(&bench, &ran, 11, &["d/large", "quota"], &before);
}

/// Row 14.
#[test]
fn too_few_descriptors_are_told_or_do() {
    if !can_run("limits of a process need prlimit", has("prlimit")) {
        return;
    }
    let mut told = 0;
    for limit in [8, 12, 16, 24, 64] {
        let bench = bench();
        let before = contents(&bench.path("dst"));
        let limit = format!("--nofile={limit}");
        let command = bench.command("home", &["sync", "--delete", "src/", "dst"]);
        let ran = Ran::of(under(&["prlimit", &limit], &command).output().unwrap());
        if ran.code == 0 {
            bench.assert_equal("src", "dst");
            continue;
        }
        assert!(!ran.err.contains("panicked"), "{limit}: {}", ran.err);
        assert!(
            matches!(ran.code, 11 | 23) && ran.err.contains("Too many open files"),
            "{limit}: {} {}",
            ran.code,
            ran.err
        );
        let (now, new) = (contents(&bench.path("dst")), contents(&bench.path("src")));
        for at in before.keys().chain(now.keys()) {
            let is = now.get(at);
            assert!(is == before.get(at) || is == new.get(at), "{limit}: {at:?} is neither old nor new");
        }
        assert_no_leftovers(&bench.path("dst"));
        told += 1;
    }
    assert!(told > 0, "no limit was too low");
}

/// Row 14.
#[test]
fn a_name_that_is_too_long_with_its_suffix_is_named_and_the_others_are_done() {
    let bench = bench();
    let long = "n".repeat(255);
    bench.write(&format!("src/{long}"), "new");
    bench.write(&format!("dst/{long}"), "old");
    let ran = bench.run(&["sync", "--backup", "src/", "dst"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert!(ran.err.contains(&long) && ran.err.contains("File name too long"), "{}", ran.err);
    assert_eq!((bench.read(&format!("dst/{long}")), bench.read("dst/a")), ("old".into(), "a".into()));
    assert_no_leftovers(&bench.path("dst"));
}

/// Row 15.
#[test]
fn a_file_that_cannot_be_read_is_named_the_others_are_made_and_nothing_is_deleted() {
    if !can_run("errors of the kernel need strace", can_trace()) {
        return;
    }
    let bench = bench();
    let bad = bench.path("src/d/large");
    let rules = ["-P", bad.to_str().unwrap(), "-e", "inject=pread64,read,copy_file_range:error=EIO"];
    let ran = inject(&bench, &rules, &[]);
    assert_eq!(ran.code, 23, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("d/large") && ran.err.contains("Input/output error"), "{}", ran.err);
    assert_eq!((bench.read("dst/a"), bench.read("dst/z")), ("a".into(), "z".into()));
    assert_eq!(fs::read(bench.path("dst/d/large")).unwrap(), noise(2, 1 << 20));
    assert_eq!(bench.read("dst/extra"), "extra");
    assert_no_leftovers(&bench.path("dst"));
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
}

/// Row 16.
#[test]
fn a_barrier_that_fails_is_not_tried_again_and_nothing_is_recorded_as_done() {
    if !can_run("errors of the kernel need strace", can_trace()) {
        return;
    }
    for nth in 1..=3 {
        let bench = bench();
        let before = contents(&bench.path("dst"));
        let rule = format!("inject=syncfs:error=EIO:when={nth}");
        let ran = inject(&bench, &["-e", "trace=syncfs", "-e", &rule], &[]);
        let log = bench.read("strace.log");
        assert_eq!((log.matches("syncfs(").count(), log.matches("INJECTED").count()), (nth, 1), "{log}");
        let before = if nth == 1 { before } else { contents(&bench.path("dst")) };
        assert_eq!(
            nth == 3,
            !before.contains_key(Path::new("extra")),
            "what is deleted before barrier {nth}"
        );
        assert_failed(&bench, &ran, 11, &["durable", "Input/output error"], &before);
    }
}

/// Row 16, for the program's own files: what could not be kept is not believed later.
#[test]
fn an_index_that_cannot_be_made_durable_changes_no_later_run() {
    if !can_run("errors of the kernel need strace", can_trace()) {
        return;
    }
    let bench = bench();
    let ran = inject(&bench, &["-e", "inject=fsync,fdatasync:error=EIO"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    bench.assert_equal("src", "dst");
    bench.write("src/a", "b");
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
}

/// Row 19. `--max-delete`: `cli::local::more_to_delete_than_allowed_deletes_nothing`.
#[test]
fn below_a_directory_that_cannot_be_read_nothing_is_deleted() {
    if !can_run("errors of the kernel need strace", can_trace()) {
        return;
    }
    for errno in ["EACCES", "EIO"] {
        let bench = bench();
        bench.write("src/d/sub/f", "f");
        bench.write("dst/d/sub/f", "f");
        bench.write("dst/d/sub/extra", "extra");
        let bad = bench.path("src/d");
        let rule = format!("inject=getdents64:error={errno}");
        let ran = inject(&bench, &["-P", bad.to_str().unwrap(), "-e", &rule], &[]);
        assert_eq!(ran.code, 23, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("d: "), "{}", ran.err);
        for (at, text) in
            [("dst/d/sub/f", "f"), ("dst/d/sub/extra", "extra"), ("dst/extra", "extra"), ("dst/a", "a")]
        {
            assert_eq!(bench.read(at), text, "{at}");
        }
        bench.ok(&["sync", "--delete", "src/", "dst"]);
        bench.assert_equal("src", "dst");
    }
}
