//! Metadata that is recorded in extended attributes, by either program and for either.

use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::super::bed::{can_run, chmod, is_root, write};
use super::trees::touch;
use super::{has_rsync, listing};

/// What only root can make.
fn make(root: &Path) {
    let at = |name: &str| root.join(name);
    for (name, mode, owner) in [
        ("plain", 0o644, 0),
        ("setuid", 0o4755, 0),
        ("closed", 0o400, 1001),
        ("all", 0o777, 0),
        ("none", 0, 7),
        ("d/in", 0o640, 1002),
    ] {
        write(root, name, name);
        chown(at(name), Some(owner), Some(owner + 1)).unwrap();
        chmod(&at(name), mode);
    }
    for (name, kind, number) in [
        ("block", FileType::BlockDevice, makedev(8, 1)),
        ("char", FileType::CharacterDevice, makedev(1, 300)),
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
    ] {
        mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o644), number).unwrap();
        chown(at(name), Some(3), Some(4)).unwrap();
    }
    symlink("d/in", at("link")).unwrap();
    lchown(at("link"), Some(7), Some(8)).unwrap();
    std::fs::hard_link(at("setuid"), at("d/hard")).unwrap();
    lsetxattr(at("plain"), "user.own", b"1", XattrFlags::empty()).unwrap();
    lsetxattr(at("plain"), "trusted.other", b"2", XattrFlags::empty()).unwrap();
    chown(at("d"), Some(5), Some(6)).unwrap();
    chmod(&at("d"), 0o1500);
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        touch(entry.unwrap().path(), (1_600_000_000, 0));
    }
}

/// What happens to it before a second run.
fn change(root: &Path) {
    chmod(&root.join("plain"), 0o2755);
    chown(root.join("closed"), Some(0), Some(0)).unwrap();
    chmod(&root.join("closed"), 0o644);
    std::fs::remove_file(root.join("fifo")).unwrap();
    write(root, "fifo", "a file now");
    std::fs::remove_file(root.join("link")).unwrap();
    symlink("elsewhere", root.join("link")).unwrap();
    write(root, "setuid", "changed");
    chmod(&root.join("setuid"), 0o6711);
    for name in ["fifo", "link", "setuid", ""] {
        touch(&root.join(name), (1_600_000_001, 0));
    }
}

#[test]
fn what_either_program_records_is_what_the_other_reads() {
    if !has_rsync() || !can_run("owners need root", is_root()) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    make(&temp.path().join("src"));
    let rsync = |args: &str| {
        let output = Command::new("rsync").args(args.split(' ')).current_dir(temp.path()).output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let ours = |args: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
        program.env("HOME", temp.path().join("home")).env_remove("XDG_CACHE_HOME");
        let output = program.arg("sync").args(args.split(' ')).current_dir(temp.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.is_empty(), "{args}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = |at: &str| listing(&temp.path().join(at));
    for round in ["new", "changed"] {
        rsync("-aHX --fake-super --delete src/ theirs");
        ours("-aX --fake-super --delete src/ ours");
        assert_eq!(all("theirs"), all("ours"), "{round}");
        assert!(all("ours").contains("user.rsync.%stat=60644 8,1 3:4"), "{}", all("ours"));
        assert!(all("ours").contains("user.rsync.trusted.other=2"), "{}", all("ours"));
        // And back. A destination on the same machine would be recorded too.
        rsync("-aHX -M--super --fake-super --delete ours/ back");
        assert_eq!(all("src"), all("back"), "{round}");
        assert_eq!(ours("-aXi --fake-super theirs/ ours"), "", "{round}");
        assert_eq!(ours("-aXi --fake-super src/ theirs"), "", "{round}");
        change(&temp.path().join("src"));
    }
    ours("-a --fake-super --super src/ root");
    rsync("-aH --fake-super --super src/ root-too");
    assert_eq!(all("root"), all("root-too"));
}
