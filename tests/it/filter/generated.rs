//! Generated trees and rules: the destination that this program makes is the one that rsync makes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use syncline::scan::{Builder, RuleError, RuleFiles, Select, Sizes};
use syncline::sync::{Options, Summary, SyncError, resolve, sync_dirs};
use tempfile::TempDir;

use crate::bed::{Contents, can_run, contents, noise};

/// A source of decisions.
struct Dice {
    bytes: Vec<u8>,
    at: usize,
}

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice { bytes: noise(seed, 64 << 10), at: 0 }
    }

    fn below(&mut self, count: usize) -> usize {
        self.at += 2;
        usize::from(u16::from_le_bytes([self.bytes[self.at - 2], self.bytes[self.at - 1]])) % count
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const FILES: &[&str] = &["a", "b", "a.o", "b.o", "core", "x y", "k.c"];
/// No name is a file's in one tree and a directory's in the other.
const DIRS: &[&str] = &["d", "e", "foo", "sub.d"];
const PATTERNS: &[&str] = &[
    "a", "b", "*.o", "/a", "/d", "d/", "e/", "foo/", "/foo/", "foo/a", "d/**", "/d/*", "/d/***", "**/a",
    "e/a", "*", "*/", "/*", "?", "[ab]", "[!a]*", "foo/**/a", "sub.d", "*.d/*.o", "x y", "k.*", "/e/foo",
    "d/d", "core", "a**b", "*.rules",
];

/// A folder in memory, where that is a file system of its own: what is synced is waited for.
fn folder() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A tree below `root`; of each file the bytes say which tree it is of.
fn plant(dice: &mut Dice, root: &Path, mark: &str) {
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((dir, depth)) = open.pop() {
        fs::create_dir_all(&dir).unwrap();
        for name in FILES {
            if dice.chance(45) {
                fs::write(dir.join(name), mark).unwrap();
            }
        }
        for name in DIRS {
            if depth < 3 && dice.chance(45 - 10 * depth) {
                open.push((dir.join(name), depth + 1));
            }
        }
        for name in [".rules", ".rsync-filter", ".cvsignore", ".more"] {
            if dice.chance(20) {
                let count = 1 + dice.below(3);
                let text = if name == ".cvsignore" {
                    (0..count)
                        .map(|_| dice.pick(&["*.c", "b", "!", "d", "k.c"]))
                        .collect::<Vec<_>>()
                        .join(" ")
                } else {
                    let end = dice.pick(&["\n", "\n", "\r\n", "\r", "\n# comment\n\n"]);
                    (0..count).map(|_| rule(dice, true)).collect::<Vec<_>>().join(end)
                };
                fs::write(dir.join(name), text + dice.pick(&["", "\n", "\r\n"])).unwrap();
            }
        }
    }
}

/// A rule; `sided`: it may name a side.
fn rule(dice: &mut Dice, sided: bool) -> String {
    let pattern = dice.pick(PATTERNS);
    let kind = match dice.below(16) {
        0..5 => dice.pick(&["-", "exclude"]),
        5..9 => dice.pick(&["+", "include"]),
        9 if sided => dice.pick(&["H", "hide"]),
        10 if sided => dice.pick(&["S", "show"]),
        11 if sided => dice.pick(&["P", "protect"]),
        12 if sided => dice.pick(&["R", "risk"]),
        13 if sided => dice.pick(&["-s", "-r", "+s", "+r", "-sr", "exclude,r"]),
        14 => dice.pick(&["-p", "-!", "+!", "-p", "+p", "-!p"]),
        15 if dice.chance(15) => return dice.pick(&["!", "clear"]).to_owned(),
        _ => "-",
    };
    format!("{kind}{}{pattern}", dice.pick(&[" ", " ", "_"]))
}

/// The selecting flags of one case, which both programs know.
fn flags(dice: &mut Dice, folder: &Path) -> Vec<String> {
    let mut flags = Vec::new();
    for _ in 0..dice.below(6) {
        match dice.below(17) {
            15 => flags.push("-m".to_owned()),
            16 => flags.push(dice.pick(&["--max-size=5", "--min-size=5"]).to_owned()),
            0..6 => flags.extend(["-f".to_owned(), rule(dice, true)]),
            6 | 7 => flags.push(format!("--exclude={}", dice.pick(PATTERNS))),
            8 => flags.push(format!("--include={}", dice.pick(PATTERNS))),
            9 => {
                let letters = dice.pick(&["", "e", "n", "s", "r", "p", "en", "es", "sr"]);
                let comma = dice.pick(&[",", ""]);
                // A side may be named once.
                let name = dice.pick(&[".rules", ".rsync-filter"]);
                let sided = letters.contains(['s', 'r']);
                flags.extend([
                    "-f".to_owned(),
                    format!(":{comma}{letters} {}", if sided { ".plain" } else { name }),
                ]);
            }
            10 => flags.push("-F".to_owned()),
            11 => flags.extend([
                "-f".to_owned(),
                dice.pick(&[":C", ":- .more", ":n+ .more", ":-p .more"]).to_owned(),
            ]),
            12 => {
                let file = folder.join(format!("from{}", flags.len()));
                let lines: Vec<String> = (0..3)
                    .map(|_| format!("{}{}", dice.pick(&["", "", "- ", "+ ", "#", ";"]), dice.pick(PATTERNS)))
                    .collect();
                fs::write(&file, lines.join(dice.pick(&["\n", "\r\n", "\n\n"]))).unwrap();
                flags.push(format!("--{}-from={}", dice.pick(&["exclude", "include"]), file.display()));
            }
            13 => {
                let file = folder.join(format!("merge{}", flags.len()));
                let lines: Vec<String> = (0..3).map(|_| rule(dice, false)).collect();
                fs::write(&file, lines.join("\n")).unwrap();
                flags.extend([
                    "-f".to_owned(),
                    format!("{} {}", dice.pick(&[".", "merge", ".s", ".p"]), file.display()),
                ]);
            }
            _ => flags.push("-C".to_owned()),
        }
    }
    flags
}

/// The files of this machine, and nothing that CVS would pass over besides.
struct Files;

impl RuleFiles for Files {
    fn read(&mut self, file: &[u8]) -> io::Result<Vec<u8>> {
        fs::read(OsStr::from_bytes(file))
    }

    fn cvs_ignores(&mut self) -> io::Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

/// What the flags select.
fn select(flags: &[String], delete: Option<&str>) -> Result<Select, RuleError> {
    let mut rules = Builder::new(Box::new(Files), false);
    let mut sizes = Sizes::default();
    let mut flags_left = flags.iter();
    while let Some(flag) = flags_left.next() {
        let value = flag.split_once('=').map_or("", |(_, value)| value).as_bytes();
        match flag.split('=').next() {
            Some("-f") => rules.filter(flags_left.next().unwrap().as_bytes())?,
            Some("-F") => rules.per_dir_filter()?,
            Some("--exclude") => rules.pattern(false, value)?,
            Some("--include") => rules.pattern(true, value)?,
            Some("--exclude-from") => rules.patterns_from(false, value)?,
            Some("--include-from") => rules.patterns_from(true, value)?,
            Some("--max-size") => sizes.max = Some(5),
            Some("--min-size") => sizes.min = Some(5),
            _ => assert!(flag == "-C" || flag == "-m"),
        }
    }
    if flags.iter().any(|flag| flag == "-C") {
        rules.cvs_exclude()?;
    }
    let delete_excluded = delete == Some("--delete-excluded");
    let prune_empty_dirs = flags.iter().any(|flag| flag == "-m");
    Ok(Select { rules: rules.finish(), delete_excluded, sizes, prune_empty_dirs, ..Select::default() })
}

struct Case {
    folder: PathBuf,
    source: &'static str,
    flags: Vec<String>,
    delete: Option<&'static str>,
}

/// What a run leaves, its exit code, and what it said.
type Left = (Contents, u8, String);

impl Case {
    fn by_rsync(&self) -> Left {
        let to = self.copy("theirs");
        let mut command = Command::new("rsync");
        command.arg("-aI").args(self.delete.map(|_| "--delete-before")).args(self.delete).args(&self.flags);
        command.args([self.source, "theirs/"]).current_dir(&self.folder);
        command.env("HOME", &self.folder).env_remove("CVSIGNORE").env("LC_ALL", "C");
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (contents(&to), output.status.code().unwrap() as u8, told)
    }

    fn by_us(&self) -> Left {
        let to = self.copy("ours");
        let (code, told) = match select(&self.flags, self.delete) {
            Err(error) => (1, error.to_string()),
            Ok(select) => match self.sync(&to, select) {
                Ok(summary) => (summary.code, format!("{:?}", summary.problems)),
                Err(error) => (error.code(), error.to_string()),
            },
        };
        (contents(&to), code, told)
    }

    fn sync(&self, to: &Path, select: Select) -> Result<Summary, SyncError> {
        let options = Options { delete: self.delete.is_some(), select, threads: 2, ..Options::default() };
        // As it would be written by whoever stands in the folder.
        let from = resolve::source(&self.folder.join(self.source))?;
        if from.shape.is_left_out(&options.select) {
            return Ok(Summary::default());
        }
        let to = resolve::destination(to, &from.shape, &options)?;
        sync_dirs(from.shown_as(None), to, &options)
    }

    fn copy(&self, name: &str) -> PathBuf {
        let to = self.folder.join(name);
        let copied = Command::new("cp").arg("-a").arg(self.folder.join("dst")).arg(&to).status().unwrap();
        assert!(copied.success());
        to
    }
}

#[test]
fn generated_rules_leave_what_rsync_leaves() {
    let there = Command::new("rsync").arg("--version").output().is_ok();
    if !can_run("generated filter rules: no rsync to compare with", there) {
        return;
    }
    let cases: u64 = std::env::var("FILTER_CASES").map_or(240, |count| count.parse().unwrap());
    let first: u64 = std::env::var("FILTER_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut differing = Vec::new();
    let (mut refused, mut deleting) = (0, 0);
    for seed in first..first + cases {
        let temp = folder();
        let mut dice = Dice::new(seed);
        plant(&mut dice, &temp.path().join("src"), "source");
        let base = if dice.chance(80) { "dst" } else { "dst/src" };
        plant(&mut dice, &temp.path().join(base), "here");
        fs::create_dir_all(temp.path().join("dst")).unwrap();
        let flags = flags(&mut dice, temp.path());
        let delete = [None, Some("--delete"), Some("--delete"), Some("--delete-excluded")][dice.below(4)];
        let source = if base == "dst" { "src/" } else { "src" };
        let case = Case { folder: temp.path().to_owned(), source, flags, delete };
        let (theirs, ours) = (case.by_rsync(), case.by_us());
        refused += u64::from(theirs.1 == 1);
        deleting += u64::from(theirs.1 == 0 && delete.is_some());
        if theirs.1 != ours.1 || theirs.1 == 0 && theirs.0 != ours.0 {
            let only = |a: &Contents, b: &Contents| {
                a.iter()
                    .filter(|(at, bytes)| b.get(*at) != Some(bytes))
                    .map(|(at, _)| at.clone())
                    .collect::<Vec<_>>()
            };
            differing.push(format!(
                "seed {seed}: {source} {:?} {delete:?}\n  codes {:?} {:?}\n  rsync alone {:?}\n  we alone {:?}\n  {}{}",
                case.flags,
                theirs.1,
                ours.1,
                only(&theirs.0, &ours.0),
                only(&ours.0, &theirs.0),
                theirs.2,
                ours.2
            ));
        }
    }
    assert!(differing.is_empty(), "{} of {cases} differ\n{}", differing.len(), differing.join("\n"));
    assert!(refused * 4 < cases && deleting * 3 > cases, "{refused} refused, {deleting} with deletions");
}
