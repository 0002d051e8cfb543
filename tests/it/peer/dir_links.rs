//! Links at the destination that stand for directories.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::super::bed::write;
use super::trees::touch;
use super::{differences, has_rsync, itemized, listing};

/// A source, a destination with links of many kinds, and what these lead to.
fn make(root: &Path) {
    for at in ["dir/f", "dir/same", "dir/sub/deep/g", "file", "real/x", "to-file/x", "dangling/x"] {
        write(root, &format!("src/{at}"), at);
    }
    symlink("dir", root.join("src/link")).unwrap();
    for (at, bytes) in [
        ("hidden/dir/f", "old"),
        ("hidden/dir/same", "dir/same"),
        ("hidden/dir/gone", "gone"),
        ("hidden/sub/deep/g", "old"),
        ("hidden/sub/deep/gone", "gone"),
        ("hidden/lone/kept", "kept"),
        ("real/y", "y"),
    ] {
        write(root, &format!("dst/{at}"), bytes);
    }
    for (at, target) in [
        ("dst/dir", "./real/../hidden/dir"),
        // Only behind a link that stands for a directory.
        ("dst/hidden/dir/sub", "../sub"),
        // The source has no directory of that name.
        ("dst/lone", "hidden/lone"),
        ("dst/link", "hidden/lone"),
        ("dst/file", "hidden/lone"),
        // What these lead to is none.
        ("dst/to-file", "real/y"),
        ("dst/dangling", "nowhere"),
        // A destination by itself.
        ("dst/src", "hidden/dir"),
        ("dst/elsewhere", "../elsewhere"),
    ] {
        symlink(target, root.join(at)).unwrap();
    }
    write(root, "elsewhere/kept", "kept");
    write(root, "out/elsewhere/new", "new");
    write(root, "out/f", "f");
    for entry in walkdir::WalkDir::new(root) {
        touch(entry.unwrap().path(), (1_600_000_000, 0));
    }
}

#[test]
fn links_stand_for_directories_where_the_source_has_such_as_with_rsync() {
    if !has_rsync() {
        return;
    }
    for args in [
        "-Ki src/ dst",
        "--keep-dirlinks --delete --exclude=/hidden src/ dst",
        "-K --delete src/ dst",
        "-K --delete --exclude=gone --exclude=hidden src/ dst",
        "-K --delete --exclude=/dir src/ dst",
        "-K --delete -n src/ dst",
        "-K --backup src/ dst",
        "-K src dst",
        "-KR src/./dir/sub dst",
        // A link that leaves the destination is not followed, and stays.
        "-K out/ dst",
        "-K --delete out/ dst",
        "src/ dst",
    ] {
        let temp = tempfile::tempdir().unwrap();
        let run = |name: &str, program: &mut Command| {
            let dir = temp.path().join(name);
            make(&dir);
            let before = listing(&dir);
            // Of a directory that a link stands for rsync does not set the time.
            let output = program.arg("-acO").args(args.split(' ')).current_dir(&dir).output().unwrap();
            let lines = if args.starts_with("-Ki") { itemized(&output) } else { Vec::new() };
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            (before, listing(&dir), output.status.code(), lines, told)
        };
        let theirs = run("theirs", &mut Command::new("rsync"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
        program.env("HOME", temp.path().join("home")).env_remove("XDG_CACHE_HOME");
        let ours = run("ours", program.arg("sync"));
        assert_eq!((theirs.2, &theirs.3), (ours.2, &ours.3), "{args}: {}{}", theirs.4, ours.4);
        assert!(theirs.1 == ours.1, "{args}\n{}{}", differences(&theirs.0, &theirs.1, &ours.1), ours.4);
        // Nothing is left to do, and an index of what was seen is no other.
        let dir = temp.path().join("ours");
        let again = program.current_dir(&dir).output().unwrap();
        assert_eq!(itemized(&again), [""; 0], "{args}");
        assert!(fs::read(dir.join("elsewhere/kept")).is_ok());
    }
}
