//! A file system in a file, mounted: one that can be filled, made read-only, or lose its power.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::is_root;

/// Unmounted when dropped.
pub(crate) struct Disk {
    temp: tempfile::TempDir,
}

/// Whether a program can be run at all.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

/// Whether a program can be traced: `strace` is there, and whoever runs this may use it.
pub(crate) fn can_trace() -> bool {
    let output = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

impl Disk {
    /// One of the kind `fs`, as `mkfs.FS` makes it; `None` where that is not possible.
    pub(crate) fn new(fs: &str, mebibytes: u32) -> Option<Disk> {
        let disk = Disk { temp: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.root()).unwrap();
        let force = if fs == "ext4" { "-F" } else { "-f" };
        let make = format!(
            "truncate -s {mebibytes}M image && mkfs.{fs} -q {force} image && mount -o loop image mnt"
        );
        (is_root() && disk.runs(&make)).then_some(disk)
    }

    /// One in memory, of so many bytes; `None` where that is not possible.
    pub(crate) fn in_memory(bytes: u64) -> Option<Disk> {
        let disk = Disk { temp: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.root()).unwrap();
        let mount = format!("mount -t tmpfs -o size={bytes} tmpfs mnt");
        (is_root() && disk.runs(&mount)).then_some(disk)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("mnt")
    }

    /// Runs a shell's line where `image` and `mnt` are.
    pub(crate) fn run(&self, line: &str) {
        assert!(self.runs(line), "{line}");
    }

    fn runs(&self, line: &str) -> bool {
        // Not everybody has the folders of the system's tools in the path.
        let line = format!("PATH=$PATH:/usr/sbin:/sbin; {line}");
        let output = Command::new("sh").args(["-c", &line]).current_dir(self.temp.path()).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Loses what was not flushed, and mounts what is left.
    pub(crate) fn cut_power(&self) {
        // FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH.
        let ioctl = "import fcntl, os, struct; \
                     fcntl.ioctl(os.open('mnt', os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        self.run(&format!("python3 -c \"{ioctl}\" && umount mnt && mount -o loop image mnt"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.runs("umount mnt");
    }
}

/// The command with another program around it, such as `strace` with its arguments.
pub(crate) fn under(wrapper: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(wrapper[0]);
    wrapped.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}
