//! A store as a file system: what is put is seen, and nothing stays mounted.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::{bench, fails, largest_pack, noise, ok, put, trees};
use crate::bed::{can_run, contents, metadata};
use crate::cli::bench::Bench;
use crate::disk::has;

/// A store that is mounted at `mnt`.
struct Mount {
    child: Child,
    dir: PathBuf,
}

fn can_mount() -> bool {
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    can_run("mounting needs /dev/fuse, and root or fusermount", device.is_ok() && crate::bed::is_root())
}

impl Mount {
    /// Mounts, and waits until it is ready.
    fn new(bench: &Bench) -> Mount {
        Mount::with(bench, &[])
    }

    fn with(bench: &Bench, args: &[&str]) -> Mount {
        let dir = bench.path("mnt");
        let _ = fs::create_dir(&dir);
        let mut command = bench.command("home", &[&["store", "mount", "st", "mnt"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mount = Mount { child, dir };
        if line != "mounted st at mnt; Ctrl-C ends it\n" {
            panic!("{line:?} {}", mount.end().1);
        }
        mount
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(path)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and gives its exit code and what it said.
    fn end(mut self) -> (i32, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), said)
    }

    /// Ends it by a signal: with no error, and nothing stays mounted. Gives what it said.
    fn stop(self) -> String {
        let dir = self.dir.clone();
        self.signal(Signal::TERM);
        let (code, said) = self.end();
        assert_eq!((code, is_mounted(&dir)), (0, false), "{said}");
        said
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.dir).output();
    }
}

fn is_mounted(dir: &Path) -> bool {
    let dir = fs::canonicalize(dir).unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1) == dir.to_str())
}

#[test]
fn a_state_is_seen_as_it_was_put() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    trees::build(&bench);
    put(&bench, "home/jane");
    let mount = Mount::new(&bench);
    assert_eq!(mount.names(""), ["home#jane"]);
    let state = mount.names("home#jane").remove(0);
    assert!(state.starts_with("0-20") && state.len() == "0-2026-11-23T16:30:05".len(), "{state}");
    assert_eq!(fs::read_link(mount.path("home#jane/latest")).unwrap(), Path::new(&state));
    let (src, seen) = (bench.path("src"), mount.path("home#jane").join(state));
    assert_eq!(contents(&seen), contents(&src));
    assert_eq!(metadata(&seen), metadata(&src));
    if can_run("rsync tells what differs", has("rsync")) {
        let mut rsync = Command::new("rsync");
        rsync.args(["-aHAXcni", "--numeric-ids", "--delete", "src/", "mnt/home#jane/latest/"]);
        let told = rsync.current_dir(bench.path("")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout), "", "{}", String::from_utf8_lossy(&told.stderr));
        assert!(told.status.success());
    }
    let [one, other] = ["mode", "dir/hard"].map(|name| seen.join(name).metadata().unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 3));
    for written in
        [fs::write(seen.join("a"), "x"), fs::remove_file(seen.join("a")), fs::create_dir(seen.join("n"))]
    {
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(mount.stop(), "");
}

#[test]
fn a_file_is_read_from_anywhere_in_it() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    bench.write("src/huge", noise(9, 3_000_000));
    put(&bench, "x");
    let mount = Mount::new(&bench);
    let bytes = fs::read(bench.path("src/huge")).unwrap();
    let file = fs::File::open(mount.path("x/latest/huge")).unwrap();
    for (offset, len) in [(2_999_990, 100), (1_234_567, 400_000), (3_000_000, 1), (9_000_000, 1), (0, 1)] {
        let mut read = vec![0; len];
        let count = file.read_at(&mut read, offset).unwrap();
        let end = bytes.len().min(offset as usize + len);
        assert_eq!(read[..count], bytes[end.min(offset as usize)..end], "{offset}");
    }
    assert!(bytes == fs::read(mount.path("x/latest/huge")).unwrap());
    drop(file);
    mount.stop();
}

#[test]
fn a_state_that_is_put_meanwhile_appears() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    put(&bench, "x");
    let mount = Mount::new(&bench);
    let first = mount.names("x").remove(0);
    assert_eq!(bench.read(&format!("mnt/x/{first}/a")), "one");
    bench.write("src/a", "changed");
    put(&bench, "x");
    put(&bench, "y");
    while mount.names("").len() < 2 || mount.names("x").len() < 3 {
        std::thread::sleep(Duration::from_millis(50));
    }
    while fs::read_link(mount.path("x/latest")).unwrap() == Path::new(&first) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(bench.read("mnt/x/latest/a"), "changed");
    assert_eq!(bench.read(&format!("mnt/x/{first}/a")), "one");
    assert_eq!(mount.stop(), "");
}

#[test]
fn what_is_damaged_is_an_error_and_told_and_the_rest_is_read() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    // What is put later lies in a pack of its own.
    let large = fs::read(bench.path("src/large")).unwrap();
    fs::remove_file(bench.path("src/large")).unwrap();
    put(&bench, "x");
    bench.write("src/large", &large);
    put(&bench, "x");
    let pack = largest_pack(&bench, "st");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[300_000] ^= 0x40;
    fs::write(&pack, bytes).unwrap();
    let mount = Mount::new(&bench);
    let error = fs::read(mount.path("x/latest/large")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    // Whatever of it is read is what was put.
    let file = fs::File::open(mount.path("x/latest/large")).unwrap();
    let mut read = 0;
    for (at, expected) in large.chunks(4096).enumerate() {
        let mut page = vec![0; expected.len()];
        if file.read_exact_at(&mut page, at as u64 * 4096).is_ok() {
            assert!(page == expected, "page {at}");
            read += 1;
        }
    }
    assert!((1..large.len() / 4096).contains(&read), "{read} pages can be read");
    assert_eq!(bench.read("mnt/x/latest/a"), "one");
    drop(file);
    let said = mount.stop();
    let line = said.lines().next().unwrap();
    assert!(line.starts_with("syncline: error: x/1-20") && line.contains("/large: "), "{said}");
    assert!(line.contains("damaged") || line.contains("digest"), "{said}");
}

#[test]
fn a_mount_ends_by_a_signal_whoever_uses_it_and_by_umount() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    put(&bench, "x");
    for signal in [Signal::INT, Signal::TERM] {
        let mount = Mount::new(&bench);
        let open = fs::File::open(mount.path("x/latest/large")).unwrap();
        assert!(is_mounted(&mount.dir));
        mount.signal(signal);
        let dir = mount.dir.clone();
        assert_eq!((mount.end(), is_mounted(&dir)), ((0, String::new()), false));
        drop(open);
    }
    let mount = Mount::new(&bench);
    let status = Command::new("umount").arg(&mount.dir).status().unwrap();
    assert!(status.success());
    let dir = mount.dir.clone();
    assert_eq!((mount.end(), is_mounted(&dir)), ((0, String::new()), false));
}

#[test]
fn mistakes_have_a_code() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    bench.write("file", "");
    let check = |code, args: &[&str], said: &str| {
        let error = fails(&bench, code, &[&["mount"], args].concat());
        assert!(error.contains(said), "{args:?}: {error}");
    };
    check(11, &["st", "nowhere"], "cannot mount at nowhere");
    check(11, &["st", "file"], "cannot mount at file");
    check(23, &["nothing", "src"], "there is no store");
    assert!(!is_mounted(&bench.path("src")));
    ok(&bench, &["ls", "st"]);
}

#[test]
fn other_users_are_let_in_only_if_that_was_asked() {
    if !can_mount() || !can_run("another user looks by setpriv", has("setpriv")) {
        return;
    }
    let bench = bench();
    crate::bed::chmod(&bench.path(""), 0o755);
    crate::bed::chmod(&bench.path("src"), 0o755);
    crate::bed::chmod(&bench.path("src/large"), 0o600);
    put(&bench, "x");
    let reads = |path: &str| {
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "cat"];
        let output = Command::new("setpriv").args(user).arg(bench.path(path)).output().unwrap();
        output.status.success()
    };
    for (args, expected) in [(&[][..], false), (&["--allow-other"], true)] {
        let mount = Mount::with(&bench, args);
        assert_eq!(reads("mnt/x/latest/a"), expected, "{args:?}");
        assert!(!reads("mnt/x/latest/large"), "{args:?}");
        mount.stop();
    }
}
