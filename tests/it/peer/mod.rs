//! The program and the rsync that is installed, side by side: the same trees and arguments, then the same trees.
//!
//! Trees are generated from a seed, a source and a destination that resembles it. A file's bytes follow from its
//! length and time, so that what rsync's quick check takes for equal is equal. Each case is run twice in directories
//! of its own, and everything in them is compared: names, kinds, bytes, targets, modes, owners, times (those of the
//! run itself as "now"), and which names are one file.

mod atimes;
mod attributes;
mod deletion;
mod dir_links;
mod metadata;
mod recorded;
mod sources;
mod special;
mod trees;
mod updates;
mod writing;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use super::bed::can_run;

/// Times from here on are those of the run itself.
const NOW: i64 = 1_700_000_000;

/// Whether an rsync is here whose behaviour is the one that is documented.
pub(super) fn has_rsync() -> bool {
    let version = Command::new("rsync").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    can_run("no rsync 3 is installed", version.is_ok_and(|version| version.contains("version 3.")))
}

/// How cases are run.
#[derive(Clone, Copy)]
struct Table {
    /// What rsync gets before the arguments of each case.
    theirs: &'static [&'static str],
    /// What we get.
    ours: &'static [&'static str],
    /// Whether a name may be of one kind in the source and of another in the destination.
    mixed: bool,
    /// Whether files may have several names.
    links: bool,
    /// Whether there are devices, FIFOs and sockets.
    specials: bool,
    /// Whether there are extended attributes and ACLs.
    attributes: bool,
    /// Whether the itemized lines are compared too, where nothing moves: of that only we tell.
    lines: bool,
    /// What both get behind the arguments of each case.
    paths: &'static [&'static str],
    /// What stands in a file `list`, in the directory where both run.
    list: &'static str,
    /// Trees that each set of arguments is tried on.
    seeds: u64,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            theirs: &["-aH"],
            ours: &["-a"],
            mixed: true,
            links: true,
            specials: false,
            attributes: false,
            lines: false,
            paths: &["src/", "dst"],
            list: "",
            seeds: 4,
        }
    }
}

impl Table {
    /// Runs each set of arguments on its trees.
    fn check(self, sets: &[&[&str]]) {
        if !has_rsync() {
            return;
        }
        for (at, set) in (0..).zip(sets) {
            for seed in 0..self.seeds {
                compare(self, set, at * 1000 + seed);
            }
        }
    }
}

/// One case.
fn compare(table: Table, set: &[&str], seed: u64) {
    let Table { theirs, ours, mixed, links, specials, attributes, paths, list, lines, .. } = table;
    let temp = tempfile::tempdir().unwrap();
    let run = |name: &str, program: &mut Command, common: &[&str]| {
        let dir = temp.path().join(name);
        trees::make(&dir, seed, mixed, links);
        if specials {
            trees::make_special(&dir, seed);
        }
        if attributes {
            trees::make_attributes(&dir, seed);
        }
        std::fs::write(dir.join("list"), list).unwrap();
        let before = listing(&dir);
        let itemize: &[&str] = if lines { &["-i"] } else { &[] };
        program.args(common).args(itemize).args(set).args(paths).current_dir(&dir);
        let output = program.output().unwrap();
        (before, listing(&dir), output)
    };
    let (before, theirs_after, their) = run("theirs", &mut Command::new("rsync"), theirs);
    let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
    program.env("HOME", temp.path().join("home")).env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME");
    let (_, ours_after, our) = run("ours", program.arg("sync"), ours);
    let told = |output: &Output| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("code {:?}\n{}{}", output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let moved = itemized(&our).iter().any(|line| line.contains(" <- "));
    if lines && !moved && itemized(&their) != itemized(&our) {
        let (their, our) = (itemized(&their).join("\n"), itemized(&our).join("\n"));
        panic!("seed {seed}, {set:?}: lines\n{}", differences(&before, &their, &our));
    }
    if theirs_after != ours_after || their.status.code() != our.status.code() {
        panic!(
            "seed {seed}, {set:?}\n{}--- rsync: {}--- syncline: {}",
            differences(&before, &theirs_after, &ours_after),
            told(&their),
            told(&our),
        );
    }
}

/// The lines of changes, sorted: rsync tells of deletions while it goes.
fn itemized(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // What rsync skips it tells among the changes; we tell it elsewhere.
    let lines = text.lines().filter(|line| !line.starts_with("skipping "));
    let mut lines: Vec<String> = lines.map(|line| format!("{}: {}", &line[12..], &line[..11])).collect();
    lines.sort();
    lines
}

/// Everything below a directory, a line a name.
fn listing(root: &Path) -> String {
    let mut text = String::new();
    let mut inodes: HashMap<u64, String> = HashMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.unwrap();
        let at = entry.path().strip_prefix(root).unwrap().display().to_string();
        let meta = entry.metadata().unwrap();
        let time = match meta.mtime() {
            NOW.. => "now".to_owned(),
            secs => format!("{secs}.{:09}", meta.mtime_nsec()),
        };
        let what = if meta.is_file() {
            let first = inodes.entry(meta.ino()).or_insert_with(|| at.clone());
            let hash = blake3::hash(&std::fs::read(entry.path()).unwrap()).to_hex();
            format!("file {} {} = {first}", meta.len(), &hash[..8])
        } else if meta.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            format!("link {}", target.as_os_str().as_bytes().escape_ascii())
        } else if meta.is_dir() {
            "dir".to_owned()
        } else {
            format!("special {:o} {:x}", meta.mode() >> 12, meta.rdev())
        };
        let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
        let attributes = attributes(entry.path());
        writeln!(text, "{at}: {what}, {mode:o} {uid}:{gid} {time}{attributes}").unwrap();
    }
    text
}

/// The extended attributes of a name.
fn attributes(path: &Path) -> String {
    let mut list = vec![0; 4096];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut names: Vec<&[u8]> =
        list[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let mut value = vec![0; 4096];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        write!(text, " {}={}", name.escape_ascii(), value[..len].escape_ascii()).unwrap();
    }
    text
}

/// What differs, and what was there before.
fn differences(before: &str, theirs: &str, ours: &str) -> String {
    let only = |of: &str, other: &str| -> Vec<String> {
        let lines = of.lines().filter(|line| !other.lines().any(|same| same == *line));
        lines.map(str::to_owned).collect()
    };
    let (theirs, ours) = (only(theirs, ours), only(ours, theirs));
    let mut text = String::new();
    for (mark, line) in
        theirs.iter().map(|line| ("rsync   ", line)).chain(ours.iter().map(|line| ("syncline", line)))
    {
        writeln!(text, "{mark} {line}").unwrap();
        let (at, _) = line.split_once(": ").unwrap();
        let below = at.split_once('/').map_or("", |(_, below)| below);
        for line in before.lines().filter(|line| {
            let (at, _) = line.split_once(": ").unwrap();
            at.split_once('/').is_some_and(|(_, at)| at == below)
        }) {
            writeln!(text, "    before {line}").unwrap();
        }
    }
    text
}
