//! Row 18: the power goes, and with it what was not flushed.

use super::{
    assert_converges, assert_old_or_new, assert_untroubled, build_new, build_old, found, is_whole, points,
    recorder, sample,
};
use crate::bed::{can_run, contents};
use crate::cli::bench::Bench;
use crate::disk::{Disk, can_trace, has, under};

/// Power cuts of a whole campaign.
const WHOLE: usize = 200;

#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn cut(fs: &str, mebibytes: u32, seed: u64, count: usize) {
    let disk = Disk::new(fs, mebibytes).filter(|_| can_trace() && has("python3"));
    if !can_run(&format!("power cuts need root, loop devices, {fs}, python3 and strace"), disk.is_some()) {
        return;
    }
    let (disk, bench) = (disk.unwrap(), Bench::new());
    build_old(&bench.path("old"));
    build_new(&bench.path("new"));
    let (old, new) = (found(&bench.path("old")), found(&bench.path("new")));
    let now = disk.root().join("now");
    let to = now.to_str().unwrap();
    // Some of the runs switch the whole tree at once.
    let run = |tracer: &[String], atomic: bool| {
        let flags = if atomic { &["--atomic"][..] } else { &[] };
        let command = bench.command("home", &[&["sync", "--delete"], flags, &["new/", to]].concat());
        let tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
        if tracer.is_empty() { command } else { under(&tracer, &command) }
    };

    let log = bench.path("strace.log");
    build_old(&now);
    assert!(run(&recorder(&log), false).output().unwrap().status.success());
    let all = points(&std::fs::read_to_string(log).unwrap());
    let count = if is_whole() { WHOLE } else { count };
    let mut after_the_end = 0;
    for (mut point, number) in sample(&all, seed, count).into_iter().zip(0..) {
        if number % 8 == 0 {
            // No call of that number: the run says that it is done, and then the power goes.
            point.when = 60_000;
        }
        let context = format!("{fs}, seed {seed}: power cut at {} {}", point.call, point.when);
        let _ = std::fs::remove_dir_all(bench.path("home"));
        let _ = std::fs::remove_dir_all(&now);
        build_old(&now);
        disk.run("sync -f mnt");
        let (atomic, before) = (number % 3 == 1, found(&now));
        let output = run(&point.tracer(), atomic).output().unwrap();
        assert_untroubled(&output, &context);
        disk.cut_power();
        let after = found(&now);
        assert_old_or_new(&old, &new, &after, &context);
        assert!(!atomic || after == before || after == new, "{context}: a mixture of the two");
        if output.status.success() {
            assert_eq!(contents(&now), new, "{context}: it said that it was done");
            after_the_end += 1;
        }
        assert_converges(&bench, &mut run(&[], atomic), &new, &now, &context);
        disk.cut_power();
        assert_eq!(contents(&now), new, "{context}: after the rerun");
    }
    eprintln!("{fs}: {count} power cuts, {after_the_end} right after exit 0, as many again after the rerun");
    assert!(after_the_end > 0 && after_the_end < count);
}

/// Row 18.
#[test]
fn power_cut_on_ext4_leaves_old_or_new_and_takes_nothing_that_was_done() {
    cut("ext4", 48, 1000, 6);
}

/// Row 18.
#[test]
fn power_cut_on_xfs_leaves_old_or_new_and_takes_nothing_that_was_done() {
    cut("xfs", 320, 2000, 3);
}
