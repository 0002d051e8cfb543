//! Our exclusion patterns against those of the rsync that is installed.

mod generated;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use syncline::scan::Select;

/// Every name that the patterns are tried on; a trailing slash is a directory. Parents stand before children.
const TREE: &[&str] = &[
    "a",
    "b",
    "aa",
    "ab",
    "a.o",
    "b.o",
    ".o",
    "x.o.c",
    "az",
    "a-z",
    "a]",
    "[a",
    "a*b",
    "a\\b",
    "a b",
    "7",
    "Q",
    "q_9",
    "\u{e9}",
    "foo/",
    "foo/a",
    "foo/b",
    "foo/foo",
    "foo/bar/",
    "foo/bar/a",
    "foo/bar/baz/",
    "foo/bar/baz/a",
    "foo/bar/baz/z.o",
    "bar/",
    "bar/a",
    "bar/foo/",
    "bar/foo/bar/",
    "bar/foo/bar/a",
    "bar/foo/bar/b.o",
    "bar/foo/q",
    "xfoo/",
    "xfoo/bar/",
    "xfoo/bar/a",
    "xfoo/a",
    "d.d/",
    "d.d/a",
    "d.d/d.d/",
    "d.d/d.d/a",
    "z/",
    "z/y/",
    "z/y/x/",
    "z/y/x/w",
    "z/y/x/a.o",
];

const PATTERNS: &[&str] = &[
    "a",
    "/a",
    "foo",
    "/foo",
    "foo/",
    "/foo/",
    "foo/bar",
    "/foo/bar",
    "foo/bar/",
    "foo/a",
    "bar/a",
    "oo/bar",
    "*.o",
    "/*.o",
    "*.o/",
    "*",
    "/*",
    "*/",
    "/*/",
    "*/*",
    "/*/*",
    "*/a",
    "f*/a",
    "foo/*",
    "foo/*/a",
    "foo/b*z",
    "**",
    "/**",
    "**/",
    "**a",
    "**/a",
    "/**/a",
    "foo/**",
    "/foo/**",
    "foo/***",
    "/foo/***",
    "/foo/bar/***",
    "foo/**/a",
    "/foo/**/a",
    "foo**a",
    "/foo**a",
    "**/foo/bar",
    "**foo/bar",
    "*/**/a",
    "z/**/w",
    "z/**/x/**",
    "?",
    "??",
    "/?",
    "?oo",
    "foo?bar",
    "[ab]",
    "[!ab]",
    "[^ab]",
    "[a-c]",
    "[a-]",
    "a[]]",
    "[]a]",
    "[[]a",
    "[[a",
    "[a",
    "[[:alpha:]]",
    "[[:digit:]]",
    "[[:upper:][:digit:]]",
    "[![:alpha:]]",
    "[[:bogus:]]",
    "[:alpha:]",
    "a\\b",
    "a\\*b",
    "a\\\\b",
    "a[\\\\]b",
    "a?b",
    "a*b",
    "*\\",
    "\\a",
    "\\a*",
    "d.d/a",
    "d.d/d.d",
    "d.d/",
    "*.d/*.d",
    "foo[/]bar",
    "foo[!a]bar",
    "foo[.-0]bar",
    "***",
    "foo/***/a",
    "a***",
    "/",
    "//",
    "foo//bar",
    "a/",
    ".o",
    ".*",
    "[9-0]",
    "[a-b-z]",
    "[--9]",
    "[!-~]",
    "q_[[:xdigit:]]",
    "*/bar/*",
    "/*/bar/a",
    "bar/*/a",
    "**/bar/**/b.o",
];

/// The names of [`TREE`] that rsync would transfer.
fn kept_by_rsync(tree: &Path, to: &Path, pattern: &str) -> BTreeSet<String> {
    let output = Command::new("rsync")
        .args(["-a", "--dry-run", "--itemize-changes", "--8-bit-output", "--out-format=%n"])
        .arg(format!("--exclude={pattern}"))
        .arg(format!("{}/", tree.display()))
        .arg(format!("{}/", to.display()))
        .env("LC_ALL", "C")
        .output()
        .expect("rsync was there a moment ago");
    assert!(output.status.success(), "{pattern}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the tree has names in UTF-8 alone");
    text.lines().filter(|line| *line != "./").map(|line| line.replace("\\#134", "\\")).collect()
}

/// The names of [`TREE`] that the filter leaves.
fn kept_by_us(pattern: &str) -> BTreeSet<String> {
    let filter = Select::excluding(&[pattern.as_bytes()]).expect("no pattern is empty or long");
    let mut gone: Vec<&str> = Vec::new();
    let mut kept = BTreeSet::new();
    for &name in TREE {
        let (path, is_dir) = name.strip_suffix('/').map_or((name, false), |path| (path, true));
        if gone.iter().any(|dir| name.starts_with(dir)) || filter.hides(path.as_bytes(), is_dir) {
            gone.extend(is_dir.then_some(name));
        } else {
            kept.insert(name.to_owned());
        }
    }
    kept
}

#[test]
fn patterns_exclude_what_rsync_excludes() {
    if Command::new("rsync").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (tree, to) = (dir.path().join("tree"), dir.path().join("to"));
    fs::DirBuilder::new().create(&tree).unwrap();
    for name in TREE {
        match name.strip_suffix('/') {
            Some(path) => fs::DirBuilder::new().recursive(true).create(tree.join(path)).unwrap(),
            None => drop(fs::OpenOptions::new().create_new(true).write(true).open(tree.join(name)).unwrap()),
        }
    }
    fs::DirBuilder::new().create(&to).unwrap();
    assert_eq!(kept_by_rsync(&tree, &to, "no such name"), kept_by_us("no such name"));
    let differing: Vec<String> = PATTERNS
        .iter()
        .filter_map(|pattern| {
            let (theirs, ours) = (kept_by_rsync(&tree, &to, pattern), kept_by_us(pattern));
            let only = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect::<Vec<_>>();
            (theirs != ours).then(|| {
                format!(
                    "{pattern:?}: rsync alone keeps {:?}, we alone {:?}",
                    only(&theirs, &ours),
                    only(&ours, &theirs)
                )
            })
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
