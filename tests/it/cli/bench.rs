//! A workbench: a folder with a home of its own, the program, and what to look for in what it did.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

/// A name: its path, mode, time, and bytes.
type Listed = (PathBuf, u32, i64, i64, Vec<u8>);

pub(crate) struct Bench {
    dir: TempDir,
}

/// What one run did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The program with the home `home`, in the folder of the bench.
    pub(crate) fn command(&self, home: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.current_dir(self.dir.path()).env("SYNCLINE_HOME", self.path(home)).env_remove("SYNCLINE_LOG");
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command("home", args).output().unwrap())
    }

    /// Runs it, and nothing may go wrong.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
        ran
    }

    /// Runs it, and it fails with this code and one line, perhaps with a hint.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        let lines: Vec<&str> = ran.err.lines().collect();
        let error =
            lines[0].strip_prefix("syncline: error: ").unwrap_or_else(|| panic!("{args:?}: {}", ran.err));
        assert!(lines[1..].iter().all(|line| line.starts_with("hint: ")) && lines.len() <= 2, "{}", ran.err);
        error.to_owned()
    }

    /// Runs it with `--json`, and gives the summary.
    pub(crate) fn summary(&self, args: &[&str]) -> Value {
        let ran = self.ok(&[args, &["--json"]].concat());
        let last = ran.json().pop().unwrap();
        assert_eq!(last["event"], "summary");
        last
    }

    /// Two trees hold the same names, kinds, bytes, modes and times; and the program finds so too.
    pub(crate) fn assert_equal(&self, a: &str, b: &str) {
        assert_eq!(self.listing(a), self.listing(b));
        let counted = self.summary(&["diff", a, b]);
        for field in ["created", "updated", "deleted", "moved", "metadata_only", "bytes_missing"] {
            assert_eq!(counted[field], 0, "{field}: {counted}");
        }
    }

    /// Whether two trees do so now; one that changes meanwhile, or is not there, does not.
    pub(crate) fn is_equal(&self, a: &str, b: &str) -> bool {
        match (self.try_listing(a), self.try_listing(b)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }

    fn listing(&self, name: &str) -> Vec<Listed> {
        self.try_listing(name).unwrap()
    }

    fn try_listing(&self, name: &str) -> io::Result<Vec<Listed>> {
        let root = self.path(name);
        let mut open = vec![root.clone()];
        let mut listed = Vec::new();
        while let Some(path) = open.pop() {
            let meta = path.symlink_metadata()?;
            let bytes = if meta.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path)?.into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path)?
            };
            let path = path.strip_prefix(&root).unwrap().to_owned();
            listed.push((path, meta.mode(), meta.mtime(), meta.mtime_nsec(), bytes));
        }
        listed.sort();
        Ok(listed)
    }

    /// Starts a daemon with the home `server`, which lets in the client of `home`.
    pub(crate) fn serve(&self, modules: &[&str]) -> Daemon {
        let id = self.ok(&["id"]).out;
        let trusted = self.command("server", &["trust", id.trim(), "--comment", "test"]).output().unwrap();
        assert!(trusted.status.success());
        self.listen(modules, "127.0.0.1:0")
    }

    pub(crate) fn listen(&self, modules: &[&str], addr: &str) -> Daemon {
        let mut args = vec!["serve", "--listen", addr];
        modules.iter().for_each(|module| args.extend(["--module", module]));
        self.start(&args)
    }

    /// Starts a daemon, and waits until it is ready.
    pub(crate) fn start(&self, args: &[&str]) -> Daemon {
        self.spawn(self.command("server", args))
    }

    /// Starts a daemon by another command, and waits until it is ready.
    pub(crate) fn spawn(&self, mut command: Command) -> Daemon {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["listening", "on", addr, "id", id] = words[..] else {
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            panic!("{line:?} {err}")
        };
        // Read all the while, so that the daemon can always write.
        let log = Arc::new(Mutex::new(String::new()));
        let (err, heard) = (child.stderr.take().unwrap(), log.clone());
        let listening = std::thread::spawn(move || {
            for line in BufReader::new(err).lines() {
                heard.lock().unwrap().push_str(&(line.unwrap() + "\n"));
            }
        });
        Daemon { addr: addr.to_owned(), id: id.to_owned(), child, log, listening: Some(listening) }
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8, whatever the names");
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The root that was printed.
    pub(crate) fn root(&self) -> &str {
        self.out.lines().find_map(|line| line.strip_prefix("root ")).unwrap()
    }

    pub(crate) fn has_line(&self, line: &str) -> bool {
        self.out.lines().any(|found| found == line)
    }
}

/// A daemon, killed if a test forgets it.
pub(crate) struct Daemon {
    pub(crate) addr: String,
    pub(crate) id: String,
    child: Child,
    log: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("syncline://{}/{rest}", self.addr)
    }

    /// Asks it to stop, and gives its exit code and its log.
    pub(crate) fn stop(mut self) -> (i32, String) {
        terminate(&self.child);
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        self.listening.take().unwrap().join().unwrap();
        (code, self.log.lock().unwrap().clone())
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A line of its log so far that has this in it.
    pub(crate) fn log_line(&self, part: &str) -> Option<String> {
        self.log.lock().unwrap().lines().find(|line| line.contains(part)).map(str::to_owned)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// Bytes that no compressor makes smaller and no two calls with other seeds share.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A folder's name in bytes that need not be text.
pub(crate) fn raw(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}
