//! `kill -9` at system calls, and power cuts of real file systems: every path is old or new, a rerun converges.
//!
//! Rows 17 and 18 of the fault matrix ([`crate::matrix`]). Here are the trees, the points and what must hold after
//! each; [`kill`] and [`power`] have the runs. The suite runs a seeded sample, a few seconds long;
//! `SYNCLINE_CAMPAIGN=all` runs every system call and 200 power cuts a file system (CONTRIBUTING.md has the commands).

mod kill;
mod power;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};

use super::bed::{Contents, contents, noise, write};
use super::cli::bench::Bench;

/// Calls that change what is on disk, or say that it is to stay: a sample is taken of these.
const CALLS: [&str; 14] = [
    "copy_file_range",
    "fallocate",
    "fchmod",
    "ftruncate",
    "linkat",
    "mkdirat",
    "openat2",
    "pwrite64",
    "renameat",
    "renameat2",
    "symlinkat",
    "syncfs",
    "unlinkat",
    "utimensat",
];

/// Whether everything is to be run.
pub(crate) fn is_whole() -> bool {
    std::env::var("SYNCLINE_CAMPAIGN").is_ok_and(|what| what == "all")
}

/// A system call at which a run is ended: its name, and the number of the call among those of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) when: u32,
}

impl Point {
    /// The tracer that kills there.
    pub(crate) fn tracer(&self) -> Vec<String> {
        let Point { call, when } = self;
        let rules = [format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}")];
        let fixed = ["strace", "-f", "-qq", "-o", "/dev/null"].map(str::to_owned);
        fixed.into_iter().chain(rules.into_iter().flat_map(|rule| ["-e".to_owned(), rule])).collect()
    }
}

/// A tracer that writes down every call.
pub(crate) fn recorder(log: &Path) -> Vec<String> {
    ["strace", "-f", "-qq", "-o", log.to_str().unwrap()].map(str::to_owned).into()
}

/// Every point of a run that [`recorder`] has written down.
pub(crate) fn points(log: &str) -> Vec<Point> {
    let mut counts: HashMap<(&str, &str), u32> = HashMap::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((call, _)) = call.trim_start().split_once('(') else { continue };
        if !call.is_empty() && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *counts.entry((call, thread)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<&str, u32> = BTreeMap::new();
    for ((call, _), count) in counts {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    let each = |(call, count): (&str, u32)| {
        let call = call.to_owned();
        (1..=count).map(move |when| Point { call: call.clone(), when })
    };
    most.into_iter().flat_map(each).collect()
}

/// `count` of the points that change something, the same ones for the same seed.
pub(crate) fn sample(points: &[Point], seed: u64, count: usize) -> Vec<Point> {
    let changing: Vec<&Point> = points.iter().filter(|point| CALLS.contains(&&*point.call)).collect();
    let draws = noise(seed, 8 * count);
    let draws = draws.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    draws.map(|draw| changing[(draw % changing.len() as u64) as usize].clone()).collect()
}

fn build_old(root: &Path) {
    for i in 0..12 {
        write(root, &format!("d{}/f{i}", i % 3), noise(i, 1000 * i as usize));
    }
    write(root, "big", noise(100, 400_000));
    write(root, "moved-from/x", noise(101, 50_000));
    write(root, "gone/y", noise(102, 70_000));
    write(root, "dir-to-file/z", "z");
    write(root, "file-to-dir", "f");
}

fn build_new(root: &Path) {
    for i in 0..12 {
        write(root, &format!("d{}/f{i}", i % 3), noise(i + i % 2 * 50, 1000 * i as usize));
    }
    let mut big = noise(100, 400_000);
    big.splice(1000..1000, *b"inserted");
    write(root, "big", big);
    write(root, "moved-to/x", noise(101, 50_000));
    write(root, "d0/moved-y", noise(102, 70_000));
    write(root, "new/a/b/c", noise(103, 100_000));
    write(root, "dir-to-file", "now a file");
    write(root, "file-to-dir/sub/f", "now below");
    std::os::unix::fs::symlink("big", root.join("link")).unwrap();
    std::fs::hard_link(root.join("big"), root.join("d1/hard")).unwrap();
}

/// What is in a tree; nothing, if it is not there.
fn found(root: &Path) -> Contents {
    if root.exists() { contents(root) } else { Contents::new() }
}

/// Each path is what it was or what it is to be; only temporary names are neither.
fn assert_old_or_new(old: &Contents, new: &Contents, now: &Contents, context: &str) {
    for at in old.keys().chain(new.keys()).chain(now.keys()) {
        if at.to_string_lossy().contains(".syncline-tmp-") {
            continue;
        }
        let is = now.get(at);
        assert!(is == old.get(at) || is == new.get(at), "{context}: {at:?} is neither old nor new");
        let stays = old.contains_key(at) && new.contains_key(at);
        assert!(!stays || is.is_some(), "{context}: {at:?} is not there");
    }
}

/// The tracer did what it was asked for.
pub(crate) fn assert_untroubled(output: &Output, context: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("strace: "), "{context}: {said}");
}

/// The same run once more, to its end.
fn assert_converges(bench: &Bench, rerun: &mut Command, new: &Contents, now: &Path, context: &str) {
    let output = rerun.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{context}: rerun: {} {said}", output.status);
    assert!(contents(now) == *new, "{context}: the rerun left another tree in {}", bench.path("").display());
}
