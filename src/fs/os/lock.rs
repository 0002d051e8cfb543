//! What `/proc` knows: who holds a lock, and the path of a descriptor.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::fs::{Stat, state};

/// Larger than any sane machine's list of locks; what stands beyond is not looked at.
const PROC_LOCKS_BYTES_MAX: usize = 4 << 20;

/// The process that holds the `flock` on the directory `stat` describes, as far as `/proc/locks` tells: `None`
/// across pid namespaces, without `/proc`, or where the file system shows another device number (btrfs).
pub(super) fn owner_pid(stat: &Stat) -> Option<u32> {
    let table = state::read("/proc/locks".as_ref(), PROC_LOCKS_BYTES_MAX).ok()?;
    find_owner(std::str::from_utf8(&table).ok()?, stat)
}

/// Looks for `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`; device numbers are hexadecimal.
pub(super) fn find_owner(table: &str, stat: &Stat) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(stat.dev), rustix::fs::minor(stat.dev));
    let object = format!("{major:02x}:{minor:02x}:{}", stat.ino);
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        // Those still waiting have an arrow in this place.
        if words.next() != Some("FLOCK") {
            return None;
        }
        let (pid, place) = (words.nth(2)?, words.next()?);
        (place == object).then(|| pid.parse().ok().filter(|&pid| pid != 0)).flatten()
    })
}

/// The name by which `/proc` leads to what `fd` is open on.
pub(super) fn proc_fd_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
