//! The power goes while a tree is put, or right after: what was acknowledged is there.

use std::process::Command;

use super::{bench, copy_dir, noise, ok, states};
use crate::bed::can_run;
use crate::crash::{assert_untroubled, is_whole, points, recorder, sample};
use crate::disk::{Disk, can_trace, has, under};

#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn cut(fs: &str, mebibytes: u32, seed: u64, count: usize) {
    let disk = Disk::new(fs, mebibytes).filter(|_| can_trace() && has("python3"));
    if !can_run(&format!("power cuts need root, loop devices, {fs}, python3 and strace"), disk.is_some()) {
        return;
    }
    let (disk, bench) = (disk.unwrap(), bench());
    ok(&bench, &["put", "st", "x", "src"]);
    copy_dir(&bench, "src", "old");
    bench.write("src/large", noise(60, 700_000));
    copy_dir(&bench, "home", "home-template");
    let store = disk.root().join("st");
    let at = store.to_str().unwrap();
    let set_up = || {
        let _ = std::fs::remove_dir_all(&store);
        copy_dir(&bench, "home-template", "home");
        assert!(Command::new("cp").arg("-a").arg(bench.path("st")).arg(&store).status().unwrap().success());
        disk.run("sync -f mnt");
    };
    let put = |tracer: &[String]| {
        let tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
        under(&tracer, &bench.command("home", &["store", "put", at, "x", "src"])).output().unwrap()
    };
    set_up();
    let log = bench.path("strace.log");
    assert!(put(&recorder(&log)).status.success());
    let all = points(&std::fs::read_to_string(log).unwrap());
    let (count, mut done) = (if is_whole() { 100 } else { count }, 0);
    for (mut point, number) in sample(&all, seed, count).into_iter().zip(0..) {
        if number % 3 == 0 {
            // No call of that number: the put says that it is done, and then the power goes.
            point.when = 60_000;
        }
        let context = format!("{fs}, seed {seed}: power cut at {} {}", point.call, point.when);
        set_up();
        let output = put(&point.tracer());
        assert_untroubled(&output, &context);
        disk.cut_power();
        let now = states(&bench, at);
        let expected: &[&str] = if output.status.success() { &["x@0", "x@1"] } else { &["x@0"] };
        assert!(
            now.starts_with(&expected.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>()),
            "{context}"
        );
        done += usize::from(output.status.success());
        ok(&bench, &["check", at, "--read-data"]);
        ok(&bench, &["get", at, "x@0", "out"]);
        bench.assert_equal("old", "out");
        ok(&bench, &["put", at, "x", "src"]);
        disk.cut_power();
        ok(&bench, &["check", at, "--read-data"]);
        ok(&bench, &["get", at, "x", "out"]);
        bench.assert_equal("src", "out");
    }
    eprintln!("{fs}: {count} power cuts of puts, {done} right after exit 0, as many again after the next");
    assert!(done > 0 && done < count);
}

#[test]
fn a_power_cut_on_ext4_takes_nothing_that_was_acknowledged() {
    cut("ext4", 64, 4000, 6);
}

#[test]
fn a_power_cut_on_xfs_takes_nothing_that_was_acknowledged() {
    cut("xfs", 320, 5000, 3);
}
