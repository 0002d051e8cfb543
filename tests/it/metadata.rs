//! Modes, owners, times and links of real files.

use rustix::fs::{CWD, FileType, Mode};

use super::bed::{can_run, chmod, contents, is_root, metadata, sync, with_delete, write};

#[test]
fn owners_and_setuid_bits_are_kept_between_local_directories() {
    if !can_run("owners need root", is_root()) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    write(&from, "suid", "program");
    write(&from, "d/sgid", "program");
    write(&to, "suid", "program");
    std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
    for at in ["suid", "d/sgid", "d", "link"] {
        std::os::unix::fs::lchown(from.join(at), Some(1234), Some(5678)).unwrap();
    }
    chmod(&from.join("suid"), 0o4755);
    chmod(&from.join("d/sgid"), 0o2711);
    chmod(&from.join("d"), 0o2775);
    sync(&from, &to, &with_delete()).unwrap();
    assert_eq!(metadata(&to), metadata(&from));
    // A change of owner alone must not lose the bits.
    std::os::unix::fs::lchown(from.join("suid"), Some(4321), Some(5678)).unwrap();
    chmod(&from.join("suid"), 0o4755);
    let again = sync(&from, &to, &with_delete()).unwrap();
    assert_eq!((again.report.metadata_only, again.report.bytes_literal), (1, 0));
    assert_eq!(metadata(&to), metadata(&from));
}

#[test]
fn special_files_are_skipped_at_the_source_and_replaced_at_the_destination() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    write(&from, "f", "f");
    write(&from, "was-fifo", "file");
    write(&to, "d/x", "x");
    let fifo = |path| rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fifo(from.join("fifo"));
    fifo(to.join("was-fifo"));
    fifo(to.join("d/extra-fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let done = sync(&from, &to, &with_delete()).unwrap();
    assert_eq!(done.code, 0, "{:?}", done.problems);
    let names: Vec<String> = contents(&to).keys().map(|at| at.display().to_string()).collect();
    assert_eq!(names, ["f", "was-fifo"]);
}
