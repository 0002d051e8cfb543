use std::os::unix::fs::MetadataExt;

use super::*;

#[test]
fn written_file_has_its_bytes_and_mode_and_leaves_no_other() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("a/b");
    create_dir_all(&dir, 0o700).unwrap();
    create_dir_all(&dir, 0o700).unwrap();
    assert_eq!(dir.metadata().unwrap().mode() & 0o7777, 0o700);
    let path = dir.join("key");
    for (bytes, mode) in [(&b"old and longer"[..], 0o600), (b"new", 0o644)] {
        write_atomic(&path, bytes, mode).unwrap();
        assert_eq!(read(&path, 100).unwrap(), bytes);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode);
    }
    assert_eq!(list(&dir).unwrap(), ["key"]);
    assert!(remove(&path).unwrap());
    assert!(!remove(&path).unwrap());
}

#[test]
fn read_is_bounded() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("f");
    write_atomic(&path, &[0; 10], 0o600).unwrap();
    assert_eq!(read(&path, 10).unwrap().len(), 10);
    assert_eq!(read(&path, 9).unwrap_err().raw_os_error(), Some(Errno::FBIG.raw_os_error()));
}

#[test]
fn failed_write_keeps_what_was_there() {
    let temp = tempfile::tempdir().unwrap();
    let taken = temp.path().join("dir");
    create_dir_all(&taken, 0o700).unwrap();
    assert!(write_atomic(&taken, b"x", 0o600).is_err());
    assert_eq!(list(temp.path()).unwrap(), ["dir"]);
}

#[test]
fn temporary_name_left_by_a_kill_is_passed_over() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("f");
    let (_file, left) = create_temp(&path).unwrap();
    write_atomic(&path, b"x", 0o600).unwrap();
    assert_eq!(read(&path, 1).unwrap(), b"x");
    assert!(left.exists());
}
