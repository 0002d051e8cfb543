//! Access times.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::super::bed::write;
use super::{NOW, has_rsync, itemized};

const NAMES: &[&str] = &["same", "read", "read-within-a-second", "changed", "new", "fifo", "d/new"];

fn times(path: &Path, accessed: (i64, i64), modified: i64) {
    let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: time(accessed), last_modification: time((modified, 0)) };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A source, and a destination that lacks what is `new`.
fn make(root: &Path) {
    let made = |at: &str| mknodat(CWD, root.join(at), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    for side in ["src", "dst"] {
        for at in NAMES.iter().filter(|at| side == "src" || !at.ends_with("new")) {
            let at = format!("{side}/{at}");
            match at.ends_with("fifo") {
                true => made(&at),
                false => write(root, &at, if at == "dst/changed" { "old" } else { "bytes" }),
            }
            // Younger than the last access, and older than a day: whoever reads changes it.
            times(&root.join(at), (1_600_000_000, 0), 1_650_000_000);
        }
    }
    times(&root.join("src/read"), (1_600_000_100, 0), 1_650_000_000);
    times(&root.join("src/read-within-a-second"), (1_600_000_000, 500), 1_650_000_000);
    times(&root.join("src/fifo"), (1_600_000_200, 0), 1_650_000_000);
    times(&root.join("src/new"), (1_600_000_300, 700), 1_650_000_000);
    for dir in ["src/d", "src", "dst"] {
        times(&root.join(dir), (1_600_000_000, 0), 1_650_000_000);
    }
}

fn accessed(root: &Path, side: &str) -> Vec<String> {
    let time = |at: &&str| match root.join(side).join(at).symlink_metadata() {
        Ok(meta) if meta.atime() >= NOW => format!("{at}: now"),
        Ok(meta) => format!("{at}: {}.{:09}", meta.atime(), meta.atime_nsec()),
        Err(error) => format!("{at}: {:?}", error.kind()),
    };
    NAMES.iter().map(time).collect()
}

#[test]
fn access_times_are_kept_as_rsync_keeps_them_and_reading_changes_none() {
    if !has_rsync() {
        return;
    }
    for (theirs, ours) in [
        ("-aHUUi", "-aUi"),
        ("-aHUUi", "-aUUi"),
        ("-aHUUci", "-aUci"),
        ("-aHUUi", "-aUi --inplace"),
        ("-aHUUi --inplace", "-aUi"),
        ("-aHi --open-noatime", "-ai --open-noatime"),
        ("-aHUUi --no-U --open-noatime", "-aUi --no-U --open-noatime"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let run = |name: &str, program: &mut Command, args: &str| {
            let dir = temp.path().join(name);
            make(&dir);
            let source = accessed(&dir, "src");
            let output =
                program.args(args.split(' ')).args(["src/", "dst"]).current_dir(&dir).output().unwrap();
            assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(accessed(&dir, "src"), source, "{args}");
            (accessed(&dir, "dst"), itemized(&output))
        };
        let their = run("theirs", &mut Command::new("rsync"), theirs);
        let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
        program.env("HOME", temp.path().join("home")).env_remove("XDG_CACHE_HOME");
        let our = run("ours", program.arg("sync"), ours);
        assert_eq!(their, our, "{theirs}, {ours}");
        // Nothing is left to do.
        let dir = temp.path().join("ours");
        let again = program.current_dir(&dir).output().unwrap();
        assert_eq!(itemized(&again), [""; 0], "{ours}");
    }
}
