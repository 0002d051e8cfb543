//! `kill -9` at system calls of what writes to a store: it opens, holds everything that was acknowledged, and goes on.

use std::fs;

use super::{bench, copy_dir, noise, ok, put, states};
use crate::bed::can_run;
use crate::crash::{assert_untroubled, is_whole, points, recorder, sample};
use crate::disk::{can_trace, under};

/// Points of each command in a sample.
const SAMPLE: usize = 6;

/// Kills a command at many calls. The store has `x@0` of `old` and `x@1` of `src`; `gone` is what the command may remove.
#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn kill(command: &[&str], forgotten: bool, gone: &[&str], seed: u64) {
    if !can_run("kills need strace", can_trace()) {
        return;
    }
    let bench = bench();
    put(&bench, "x");
    copy_dir(&bench, "src", "old");
    bench.write("src/large", noise(50, 400_000));
    bench.write("src/dir/b", "changed");
    put(&bench, "x");
    copy_dir(&bench, "src", "newer");
    bench.write("newer/large", noise(51, 500_000));
    if forgotten {
        ok(&bench, &["forget", "st", "x@0"]);
    }
    copy_dir(&bench, "st", "template");
    copy_dir(&bench, "home", "home-template");
    let before = states(&bench, "st");
    let args = [&["store"], command].concat();
    let log = bench.path("strace.log");
    let recorder = recorder(&log);
    let traced: Vec<&str> = recorder.iter().map(String::as_str).collect();
    let output = under(&traced, &bench.command("home", &args)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = points(&fs::read_to_string(log).unwrap());
    let chosen = if is_whole() { all } else { sample(&all, seed, SAMPLE) };
    let mut killed = 0;
    for point in &chosen {
        let context = format!("{command:?}, seed {seed}: killed at {} {}", point.call, point.when);
        copy_dir(&bench, "template", "st");
        copy_dir(&bench, "home-template", "home");
        let tracer = point.tracer();
        let tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
        let output = under(&tracer, &bench.command("home", &args)).output().unwrap();
        assert_untroubled(&output, &context);
        killed += usize::from(!output.status.success());
        let now = states(&bench, "st");
        for state in &before {
            assert!(now.contains(state) || gone.contains(&state.as_str()), "{context}: {state} is not there");
        }
        ok(&bench, &["check", "st", "--read-data"]);
        ok(&bench, &["verify", "st"]);
        ok(&bench, &["get", "st", "x@1", "out"]);
        bench.assert_equal("src", "out");
        ok(&bench, &["put", "st", "after", "newer"]);
        ok(&bench, &args[1..]);
        ok(&bench, &["gc", "st"]);
        ok(&bench, &["check", "st", "--read-data"]);
        ok(&bench, &["get", "st", "after", "out"]);
        bench.assert_equal("newer", "out");
        let left = walkdir::WalkDir::new(bench.path("st")).into_iter().map(Result::unwrap);
        let left: Vec<_> =
            left.filter(|at| at.file_name().to_string_lossy().contains("syncline-tmp")).collect();
        assert!(left.is_empty(), "{context}: {left:?}");
    }
    eprintln!("{command:?}: {} points, {killed} runs were killed", chosen.len());
    assert!(killed > chosen.len() / 4, "only {killed} of {} runs were killed", chosen.len());
}

#[test]
fn a_killed_put_takes_nothing_that_was_there() {
    kill(&["put", "st", "y", "newer"], false, &[], 1);
}

#[test]
fn a_killed_forget_with_gc_takes_no_state_that_stays() {
    kill(&["forget", "st", "x", "--keep-last", "1", "--gc"], false, &["x@0"], 2);
}

#[test]
fn a_killed_gc_takes_nothing_that_a_state_needs() {
    kill(&["gc", "st"], true, &[], 3);
}
