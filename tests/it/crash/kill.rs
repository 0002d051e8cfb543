//! Row 17: the writing process is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{
    assert_converges, assert_old_or_new, assert_untroubled, build_new, build_old, found, is_whole, points,
    recorder, sample,
};
use crate::bed::{Contents, can_run};
use crate::cli::bench::Bench;
use crate::disk::{can_trace, under};

/// Points of each workload in a sample.
const SAMPLE: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Workload {
    /// Into nothing.
    First,
    /// Into an older tree, deleting.
    Update,
    /// The same through `syncline serve --once`, which is what is killed, with backups of what is replaced or deleted.
    Served,
    /// The same, switched at once.
    Atomic,
}

impl Workload {
    /// Run `number`, its writing process under `tracer`.
    fn command(self, bench: &Bench, number: usize, tracer: &[String]) -> Command {
        let (home, dst, backup) =
            (format!("home{number}"), format!("now{number}"), format!("--backup-dir=../backup{number}"));
        let tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
        let local = |args: &[&str]| {
            let command = bench.command(&home, args);
            if tracer.is_empty() { command } else { under(&tracer, &command) }
        };
        match self {
            Workload::First => local(&["sync", "new/", &dst]),
            Workload::Update => local(&["sync", "--delete", "new/", &dst]),
            Workload::Atomic => local(&["sync", "--delete", "--atomic", "new/", &dst]),
            Workload::Served => {
                let far = [&tracer[..], &[env!("CARGO_BIN_EXE_syncline")]].concat().join(" ");
                let to = format!("far:{}", bench.path(&dst).display());
                let how = ["--no-udp", "-e", "./ssh", "--syncline-path", &far];
                let what = ["--delete", "--backup", &backup, "new/", &to];
                bench.command(&home, &[&["sync"], &how[..], &what].concat())
            }
        }
    }

    /// Makes what run `number` writes to.
    fn set_up(self, bench: &Bench, number: usize) {
        if !matches!(self, Workload::First) {
            build_old(&bench.path(&format!("now{number}")));
            fs::create_dir(bench.path(&format!("backup{number}"))).unwrap();
        }
    }

    fn tear_down(bench: &Bench, number: usize) {
        for at in ["now", "backup", "home"] {
            let _ = fs::remove_dir_all(bench.path(&format!("{at}{number}")));
        }
    }
}

/// No bytes are lost: what is not at its place any more is among the backups.
fn assert_backed_up(old: &Contents, now: &Contents, backup: &Contents, context: &str) {
    for (at, bytes) in old.iter().filter(|(_, bytes)| bytes.is_some()) {
        let kept =
            now.get(at) == Some(bytes) || now.values().chain(backup.values()).any(|kept| kept == bytes);
        assert!(kept, "{context}: the bytes of {at:?} are gone");
    }
}

#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn kill(workload: Workload, seed: u64) {
    if !can_run("kills need strace", can_trace()) {
        return;
    }
    let bench = Bench::new();
    build_old(&bench.path("old"));
    build_new(&bench.path("new"));
    // What ssh does with its arguments, without a machine between.
    bench.write("ssh", "#!/bin/sh\nwhile [ \"$1\" != far ]; do shift; done\nshift\nexec sh -c \"$*\"\n");
    fs::set_permissions(bench.path("ssh"), PermissionsExt::from_mode(0o755)).unwrap();
    let (old, new) = (found(&bench.path("old")), found(&bench.path("new")));

    let log = bench.path("strace.log");
    workload.set_up(&bench, 0);
    let output = workload.command(&bench, 0, &recorder(&log)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(found(&bench.path("now0")), new);
    Workload::tear_down(&bench, 0);
    let all = points(&fs::read_to_string(log).unwrap());
    let chosen = if is_whole() { all } else { sample(&all, seed, SAMPLE) };

    let mut killed = 0;
    for (point, number) in chosen.iter().zip(1..) {
        let context = format!("{workload:?}, seed {seed}: killed at {} {}", point.call, point.when);
        workload.set_up(&bench, number);
        let before = found(&bench.path(&format!("now{number}")));
        let output = workload.command(&bench, number, &point.tracer()).output().unwrap();
        assert_untroubled(&output, &context);
        killed += u32::from(!output.status.success());
        let dst = bench.path(&format!("now{number}"));
        let now = found(&dst);
        assert_old_or_new(&before, &new, &now, &context);
        match workload {
            Workload::Served => {
                assert_backed_up(&old, &now, &found(&bench.path(&format!("backup{number}"))), &context);
            }
            Workload::Atomic => assert!(now == before || now == new, "{context}: a mixture of the two"),
            Workload::First | Workload::Update => {}
        }
        assert_converges(&bench, &mut workload.command(&bench, number, &[]), &new, &dst, &context);
        Workload::tear_down(&bench, number);
        let left =
            fs::read_dir(bench.path("")).unwrap().filter_map(|at| at.unwrap().file_name().into_string().ok());
        let left: Vec<String> = left.filter(|name| name.starts_with(".syncline-tmp-")).collect();
        assert!(left.is_empty(), "{context}: {left:?} are left beside it");
    }
    eprintln!("{workload:?}: {} points, {killed} runs were killed, every path old or new", chosen.len());
    assert!(killed as usize > chosen.len() / 3, "only {killed} of {} runs were killed", chosen.len());
}

/// Row 17.
#[test]
fn a_first_copy_that_is_killed_at_any_system_call_is_resumed() {
    kill(Workload::First, 1);
}

/// Row 17.
#[test]
fn an_update_that_is_killed_at_any_system_call_leaves_old_or_new() {
    kill(Workload::Update, 2);
}

/// Row 17.
#[test]
fn a_switch_that_is_killed_at_any_system_call_leaves_the_whole_old_tree_or_the_whole_new_one() {
    kill(Workload::Atomic, 4);
}

/// Row 17.
#[test]
fn a_server_that_is_killed_at_any_system_call_leaves_old_or_new_and_loses_no_bytes() {
    kill(Workload::Served, 3);
}
