//! What only a real system can refuse: permissions of another user, a full disk, a lock of another process; and
//! indexes that are stale or broken.

use std::path::Path;
use std::sync::Arc;

use syncline::scan::Cache;
use syncline::sync::{Options, SyncError};

use super::bed::{
    can_run, child, child_as, chmod, contents, is_root, metadata, noise, sync, with_delete, write,
};

const NOBODY: u32 = 65534;

fn give(root: &Path, uid: u32) {
    for entry in walkdir::WalkDir::new(root) {
        std::os::unix::fs::lchown(entry.unwrap().path(), Some(uid), Some(uid)).unwrap();
    }
}

/// A directory that another user may enter.
fn open_temp() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    chmod(temp.path(), 0o755);
    temp
}

#[test]
fn protected_directories_of_ours_are_written_and_protected_again() {
    if !can_run("another user needs root", is_root()) {
        return;
    }
    let temp = open_temp();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    for root in [&from, &to] {
        write(root, "ro/sub/f", "f");
    }
    write(&from, "ro/new", "new");
    write(&from, "ro/newdir/x", "x");
    write(&from, "ro/sub/f", "changed");
    std::fs::hard_link(from.join("ro/new"), from.join("ro/sub/link")).unwrap();
    write(&to, "ro/extra", "extra");
    write(&to, "ro/extradir/y", "y");
    write(&to, "away/moved/z", noise(1, 30_000));
    write(&from, "ro/moved/z", noise(1, 30_000));
    for at in ["ro/sub", "ro/newdir", "ro/moved", "ro"] {
        chmod(&from.join(at), 0o555);
    }
    for at in ["ro/sub", "ro/extradir", "ro", "away/moved", "away"] {
        chmod(&to.join(at), 0o555);
    }
    give(temp.path(), NOBODY);
    let output = child_as(NOBODY, &from, &to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(contents(&to), contents(&from));
    assert_eq!(metadata(&to), metadata(&from));
}

#[test]
fn directory_of_another_user_is_named_and_the_rest_is_done() {
    if !can_run("another user needs root", is_root()) {
        return;
    }
    let temp = open_temp();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    for at in ["theirs/f", "theirs/big", "ours/f"] {
        write(&from, at, noise(2, 600_000));
        write(&to, at, "old");
    }
    give(temp.path(), NOBODY);
    std::os::unix::fs::lchown(to.join("theirs"), Some(0), Some(0)).unwrap();
    let output = child_as(NOBODY, &from, &to).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{told}");
    assert!(told.contains("theirs/f") && told.contains("theirs/big") && !told.contains("ours/f"), "{told}");
    assert_eq!(contents(&to)[Path::new("theirs/f")].as_deref(), Some(&b"old"[..]));
    assert_eq!(contents(&to)[Path::new("ours/f")], contents(&from)[Path::new("ours/f")]);
    assert!(!contents(&to).keys().any(|at| at.to_string_lossy().contains("syncline-tmp")));
}

#[test]
fn lock_of_another_process_is_told_with_its_pid() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    write(&from, "f", "f");
    std::fs::create_dir(&to).unwrap();
    let held = syncline::sync::Place::open(&to).unwrap();
    held.lock().unwrap();
    let output = child(&[], &from, &to).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{told}");
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    assert!(matches!(sync(&from, &to, &with_delete()), Err(SyncError::Locked { .. })));
    drop(held);
    assert_eq!(sync(&from, &to, &with_delete()).unwrap().code, 0);
}

#[test]
fn change_behind_the_index_is_found_by_its_ctime() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to, home) = (temp.path().join("from"), temp.path().join("to"), temp.path().join("home"));
    write(&from, "f", "one");
    write(&from, "d/g", noise(3, 100_000));
    let options = Options { cache: Some(Arc::new(Cache::new(home.clone()))), ..with_delete() };
    sync(&from, &to, &options).unwrap();
    for (root, text) in [(&from, "two"), (&to, "bad")] {
        let mtime = std::fs::File::open(root.join("f")).unwrap().metadata().unwrap().modified().unwrap();
        write(root, "f", text);
        std::fs::OpenOptions::new().write(true).open(root.join("f")).unwrap().set_modified(mtime).unwrap();
        sync(&from, &to, &options).unwrap();
        assert_eq!(contents(&to), contents(&from), "{text}");
    }
    // Whatever becomes of the indexes costs time only.
    for damage in [&b""[..], b"garbage", b"cut"] {
        for entry in walkdir::WalkDir::new(&home) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let mut bytes = std::fs::read(entry.path()).unwrap();
                if damage == b"cut" {
                    bytes.truncate(bytes.len() / 2);
                } else {
                    bytes = damage.to_vec();
                }
                std::fs::write(entry.path(), bytes).unwrap();
            }
        }
        write(&from, "f", damage);
        let done = sync(&from, &to, &options).unwrap();
        assert_eq!((done.code, contents(&to)), (0, contents(&from)));
    }
    let checked = Options { checksum: true, ..options };
    assert_eq!(sync(&from, &to, &checked).unwrap().report.bytes_literal, 0);
}
