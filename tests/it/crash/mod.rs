//! `kill -9` at system calls, and power cuts of a real file system: every path is old or new, a rerun converges.
//!
//! A seeded sample, a few seconds long. `SYNCLINE_CAMPAIGN=N` makes it N times as large. Needs strace; the power
//! cuts need root, loop devices and ext4, since they use its shutdown ioctl (what was not flushed is lost).

use std::path::Path;
use std::process::Command;

use super::bed::{can_run, child, contents, is_root, noise, sync, with_delete, write};

const CALLS: [&str; 11] = [
    "renameat",
    "renameat2",
    "mkdirat",
    "openat2",
    "linkat",
    "unlinkat",
    "fchmod",
    "utimensat",
    "pwrite64",
    "syncfs",
    "symlinkat",
];

fn campaign() -> u64 {
    std::env::var("SYNCLINE_CAMPAIGN").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Whether a program can be run at all.
fn has(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

fn build_old(root: &Path) {
    for i in 0..12 {
        write(root, &format!("d{}/f{i}", i % 3), noise(i, 1000 * i as usize));
    }
    write(root, "big", noise(100, 400_000));
    write(root, "moved-from/x", noise(101, 50_000));
    write(root, "gone/y", noise(102, 70_000));
    write(root, "dir-to-file/z", "z");
    write(root, "file-to-dir", "f");
}

fn build_new(root: &Path) {
    for i in 0..12 {
        write(root, &format!("d{}/f{i}", i % 3), noise(i + i % 2 * 50, 1000 * i as usize));
    }
    let mut big = noise(100, 400_000);
    big.splice(1000..1000, *b"inserted");
    write(root, "big", big);
    write(root, "moved-to/x", noise(101, 50_000));
    write(root, "d0/moved-y", noise(102, 70_000));
    write(root, "new/a/b/c", noise(103, 100_000));
    write(root, "dir-to-file", "now a file");
    write(root, "file-to-dir/sub/f", "now below");
    std::os::unix::fs::symlink("big", root.join("link")).unwrap();
    std::fs::hard_link(root.join("big"), root.join("d1/hard")).unwrap();
}

fn assert_old_or_new(old: &Path, new: &Path, now: &Path, context: &str) {
    let (old, new, now) = (contents(old), contents(new), contents(now));
    for at in old.keys().chain(new.keys()).chain(now.keys()) {
        if at.to_string_lossy().contains(".syncline-tmp-") {
            continue;
        }
        let is = now.get(at);
        assert!(is == old.get(at) || is == new.get(at), "{context}: {at:?} is neither old nor new");
        let stays = old.contains_key(at) && new.contains_key(at);
        assert!(!stays || is.is_some(), "{context}: {at:?} is not there");
    }
}

fn assert_converges(new: &Path, now: &Path, context: &str) {
    let again = sync(new, now, &with_delete()).unwrap_or_else(|error| panic!("{context}: rerun: {error}"));
    assert_eq!(again.code, 0, "{context}: {:?}", again.problems);
    assert_eq!(contents(now), contents(new), "{context}: rerun");
}

/// A run under strace that is killed at some system call.
fn kill(seed: u64, from: &Path, to: &Path) -> String {
    let draw = u64::from_le_bytes(noise(seed, 8).try_into().unwrap());
    let call = CALLS[(draw % CALLS.len() as u64) as usize];
    let when = 1 + (draw >> 32) % if call == "syncfs" { 3 } else { 25 };
    let inject = format!("inject={call}:signal=KILL:when={when}");
    let trace = format!("trace={call}");
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let output = child(&wrapper, from, to).output().unwrap();
    format!("seed {seed}: {call} {when}: {}", output.status)
}

#[test]
fn killed_at_any_system_call_leaves_old_or_new() {
    if !can_run("kills need strace", has("strace")) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    build_old(&old);
    build_new(&new);
    let mut killed = 0;
    for seed in 0..24 * campaign() {
        let now = temp.path().join(format!("now{seed}"));
        build_old(&now);
        let context = kill(seed, &new, &now);
        killed += u32::from(context.contains("signal"));
        assert_old_or_new(&old, &new, &now, &context);
        assert_converges(&new, &now, &context);
        std::fs::remove_dir_all(now).unwrap();
    }
    assert!(killed > 5, "only {killed} runs were killed");
}

/// An ext4 in a file, mounted; unmounted when dropped.
struct Disk {
    temp: tempfile::TempDir,
}

impl Disk {
    fn new() -> Option<Disk> {
        let temp = tempfile::tempdir().unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).current_dir(temp.path()).output();
            status.is_ok_and(|output| output.status.success())
        };
        std::fs::create_dir(temp.path().join("mnt")).unwrap();
        let made = is_root()
            && has("python3")
            && run("truncate", &["-s", "48M", "image"])
            && run("mkfs.ext4", &["-q", "-F", "image"])
            && run("mount", &["-o", "loop", "image", "mnt"]);
        made.then_some(Disk { temp })
    }

    fn root(&self) -> std::path::PathBuf {
        self.temp.path().join("mnt")
    }

    fn run(&self, command: &str) {
        let status = Command::new("sh").args(["-c", command]).current_dir(self.temp.path()).status();
        assert!(status.unwrap().success(), "{command}");
    }

    /// Loses what was not flushed, and mounts what is left.
    fn cut_power(&self) {
        // FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH.
        let ioctl = "import fcntl, os, struct; \
                     fcntl.ioctl(os.open('mnt', os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        self.run(&format!("python3 -c \"{ioctl}\" && umount mnt && mount -o loop image mnt"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.root()).status();
    }
}

#[test]
fn power_cut_leaves_old_or_new_and_takes_nothing_that_was_done() {
    let disk = Disk::new();
    if !can_run("power cuts need root, a loop device, ext4 and strace", disk.is_some() && has("strace")) {
        return;
    }
    let disk = disk.unwrap();
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    build_old(&old);
    build_new(&new);
    for seed in 1000..1000 + 8 * campaign() {
        let now = disk.root().join(format!("now{seed}"));
        build_old(&now);
        disk.run("sync -f mnt");
        let context = kill(seed, &new, &now);
        let done = context.contains("exit status: 0");
        disk.cut_power();
        assert_old_or_new(&old, &new, &now, &context);
        if done {
            assert_eq!(contents(&now), contents(&new), "{context}: it said that it was done");
        }
        assert_converges(&new, &now, &context);
        disk.cut_power();
        assert_eq!(contents(&now), contents(&new), "{context}: after the end");
        std::fs::remove_dir_all(now).unwrap();
    }
}
