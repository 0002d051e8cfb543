//! A thread swaps a directory and a link to outside as fast as it can while whole syncs run: nothing outside is
//! written, and nothing outside is read.
//!
//! `SYNCLINE_FLIPS=100000` says how many swaps they have to bear at least.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};

use super::bed::{chmod, contents, noise, sentinel, sync, with_delete, write};

/// Runs at least.
const ROUNDS: u64 = 40;

/// Runs `act`, with the number of the run, again and again while `d` and `link` change places in `root`.
#[expect(clippy::print_stderr, reason = "a campaign tells its figures")]
fn while_flipping(root: &Path, mut act: impl FnMut(u64)) {
    let wanted = std::env::var("SYNCLINE_FLIPS").map_or(1_000, |count| count.parse().unwrap());
    let (stop, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let mut runs = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (a, b) = (root.join("d"), root.join("link"));
            while !stop.load(Ordering::Relaxed) {
                if rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).is_ok() {
                    flips.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _stop = Stop(&stop); // even if an assertion fails
        while runs < ROUNDS || flips.load(Ordering::Relaxed) < wanted {
            act(runs);
            runs += 1;
        }
    });
    eprintln!("{runs} runs, {} swaps", flips.into_inner());
}

/// Runs the program itself: its code, and what it said.
fn program(root: &Path, args: &[&str]) -> (i32, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
    program.env("SYNCLINE_HOME", root.join("home")).current_dir(root).arg("sync").args(args);
    let output = program.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn outside(root: &Path) -> std::path::PathBuf {
    let outside = root.join("outside");
    for at in ["f", "g", "sub/h"] {
        write(&outside, at, "secret");
    }
    outside
}

/// Row 3 of the fault matrix.
#[test]
fn destination_swapped_for_a_link_is_not_left() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    let outside = outside(temp.path());
    let before = sentinel(&outside);
    for at in ["d/f", "d/sub/h", "d/extra"] {
        write(&to, at, "old");
    }
    std::os::unix::fs::symlink(&outside, to.join("link")).unwrap();
    while_flipping(&to, |round| {
        for at in ["d/f", "d/new/x", "d/sub/h"] {
            write(&from, at, noise(round, 20_000));
        }
        chmod(&from.join("d/f"), 0o600 + round as u32 % 64);
        // `link` stays: a run that deletes it ends the race.
        let options = syncline::sync::Options { delete: false, ..with_delete() };
        if round % 4 == 3 {
            let (code, told) = program(temp.path(), &["from/", "to"]);
            assert!(matches!(code, 0 | 11 | 12 | 23 | 24), "{code}: {told}");
            return;
        }
        match sync(&from, &to, &options) {
            Ok(summary) => assert!(matches!(summary.code, 0 | 23 | 24), "{:?}", summary.problems),
            Err(error) => assert!(matches!(error.code(), 11 | 12 | 23 | 24), "{error}"),
        }
    });
    assert_eq!(sentinel(&outside), before);
}

/// Row 4 of the fault matrix.
#[test]
fn source_swapped_for_a_link_gives_nothing_away() {
    let temp = tempfile::tempdir().unwrap();
    let from = temp.path().join("from");
    let outside = outside(temp.path());
    for at in ["d/f", "d/g", "d/sub/h"] {
        write(&from, at, "public");
    }
    std::os::unix::fs::symlink(&outside, from.join("link")).unwrap();
    while_flipping(&from, |round| {
        let to = temp.path().join(format!("to{round}"));
        match round % 4 {
            3 => drop(program(temp.path(), &["--delete", "from/", &format!("to{round}")])),
            _ => drop(sync(&from, &to, &with_delete())),
        }
        for (at, bytes) in contents(&to) {
            assert_ne!(bytes.as_deref(), Some(&b"secret"[..]), "{at:?}");
        }
        std::fs::remove_dir_all(to).unwrap();
    });
}
