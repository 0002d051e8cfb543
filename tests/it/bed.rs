//! Directories of the operating system for whole syncs, and syncs in a process of their own.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use syncline::sync::{Options, Place, Summary, SyncError, sync_dirs};

/// Names the variable that makes this test program a process that synchronizes: source, destination, options.
const CHILD: &str = "SYNCLINE_TEST_CHILD";

/// What one path holds: a file's bytes, a link's target, nothing for a directory.
pub(crate) type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub(crate) fn contents(root: &Path) -> Contents {
    let mut found = Contents::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let at = entry.path().strip_prefix(root).unwrap().to_owned();
        let bytes = if entry.file_type().is_file() {
            Some(std::fs::read(entry.path()).unwrap())
        } else if entry.file_type().is_symlink() {
            Some(std::fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes())
        } else {
            None
        };
        found.insert(at, bytes);
    }
    found
}

/// Everything of a tree that a write could change, ctime included.
pub(crate) fn sentinel(root: &Path) -> Vec<(PathBuf, u32, i64, i64, i64, i64, u64)> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            (entry.into_path(), meta.mode(), times.0, times.1, times.2, times.3, meta.size())
        })
        .collect()
}

/// Path, and what must be equal on both ends: mode, owner, mtime, names of the file.
pub(crate) fn metadata(root: &Path) -> Vec<(PathBuf, u32, u32, u32, i64, i64)> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let at = entry.path().strip_prefix(root).unwrap().to_owned();
            (at, meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec())
        })
        .collect()
}

pub(crate) fn write(root: &Path, at: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(at);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut bytes = vec![0; len];
    reader.fill(&mut bytes);
    bytes
}

pub(crate) fn sync(from: &Path, to: &Path, options: &Options) -> Result<Summary, SyncError> {
    sync_dirs(Place::open(from)?, Place::open_or_create(to)?, options)
}

pub(crate) fn with_delete() -> Options {
    Options { delete: true, threads: 2, ..Options::default() }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a test that needs root may run; says so if not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn can_run(what: &str, possible: bool) -> bool {
    if !possible {
        eprintln!("skipped: {what}");
    }
    possible
}

/// A command that synchronizes with deletion, in a process of its own, perhaps under another program.
pub(crate) fn child(wrapper: &[&str], from: &Path, to: &Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(&program),
        [wrapper, arguments @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(&program);
            command
        }
    };
    command.args(["--exact", "bed::synchronizes_for_other_tests", "--nocapture"]);
    command.env(CHILD, format!("{}\n{}", from.display(), to.display()));
    command
}

/// The same as another user.
pub(crate) fn child_as(uid: u32, from: &Path, to: &Path) -> Command {
    let mut command = child(&[], from, to);
    command.uid(uid).gid(uid);
    command
}

/// Does nothing, unless another test has started it in a process of its own.
#[test]
#[expect(clippy::print_stderr, reason = "what its parent reads")]
fn synchronizes_for_other_tests() {
    let Ok(work) = std::env::var(CHILD) else { return };
    let (from, to) = work.split_once('\n').unwrap();
    match sync(from.as_ref(), to.as_ref(), &with_delete()) {
        Ok(summary) => {
            for problem in &summary.problems {
                eprintln!("problem: {}: {}", problem.path, problem.text);
            }
            std::process::exit(summary.code.into());
        }
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(error.code().into());
        }
    }
}
